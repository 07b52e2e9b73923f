//! CSV with a header row: event log exports, SIEM exports, proxy logs.
//!
//! ```text
//! "TimeCreated","Id","ProviderName","LogName","MachineName","Message"
//! "7/15/2022 10:11:12 AM","1","Microsoft-Windows-Sysmon","Microsoft-Windows-Sysmon/Operational","pc1","Process Create:
//! Image: C:\Windows\System32\cmd.exe"
//! ```
//! RFC 4180 with `,`, `;`, tab or `|`, whichever gives the rows the header's width. A quoted
//! value may hold delimiters and line ends, `""` is a quote; a quote in the midst of an unquoted
//! value is text. Column names are the field names, trimmed. Empty cells are no fields, since CSV
//! cannot tell empty from absent. `sep=;` (Excel) and `#TYPE …` (PowerShell) lines are skipped,
//! as is the header where it is repeated.
//!
//! Records are numbered by the line they start at.
//!
//! The class: an event id with a channel or provider makes it Windows' (and `EventID`,
//! `Channel`, `Provider_Name`, `Computer` are added under these names); else see
//! `text::columns`. In Windows exports, lines `Name: value` of the message are fields too if
//! rules ask for the name, which is the shape of Sysmon's messages.

use std::collections::HashMap;

use besa_event::{Batch, EventTime, FieldId, LogSource, LogSourceId, Zone};
use memchr::{memchr, memchr_iter, memchr2};

use crate::context::{Context, Position};
use crate::text::columns::{class, normalised, second_name};
use crate::text::{
    Class, Learnt, Sink, contains_ignore_case, is_ip, is_number, split_at_byte, split_at_text, time,
};

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records of a sample that are held against the header.
const RECOGNISE_RECORDS_MAX: usize = 100;
const COLUMNS_MAX: usize = 2_048;
const COLUMN_NAME_LEN_MAX: usize = 128;
/// Windows classes remembered within one block.
const CLASSES_MAX: usize = 1_024;

const TIMES: &[&str] = &[
    "@timestamp",
    "_time",
    "TimeCreated",
    "SystemTime",
    "EventTime",
    "TimeGenerated",
    "UtcTime",
    "timestamp",
    "datetime",
    "date_time",
    "date-time",
    "Date and Time",
    "Date/Time",
    "event_time",
    "eventtime",
    "time",
    "ts",
    "date",
];
const HOSTS: &[&str] = &[
    "Computer",
    "ComputerName",
    "Computer Name",
    "MachineName",
    "Hostname",
    "host.name",
    "host",
    "s-computername",
    "device_name",
    "DeviceName",
];
const EVENT_IDS: &[&str] = &["EventID", "Event ID", "Event_ID", "EventCode", "winlog.event_id", "Id"];
const CHANNELS: &[&str] = &["Channel", "LogName", "Log Name", "winlog.channel", "Log"];
const PROVIDERS: &[&str] = &[
    "Provider_Name",
    "ProviderName",
    "Provider Name",
    "Provider",
    "SourceName",
    "winlog.provider_name",
    "Source",
];

/// The header row and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    delimiter: u8,
    columns: Vec<Vec<u8>>,
    /// The header row as it stands.
    row: Vec<u8>,
    class: Class,
}

impl Header {
    /// The header at the start of a file, if what follows is a table under it.
    pub(crate) fn parse(sample: &[u8]) -> Option<Self> {
        let mut body = sample;
        let mut stated = None;
        while is_preamble(body) || matches!(body.first(), Some(b'\r' | b'\n')) {
            let (line, rest) = split_at_byte(body, b'\n')?;
            if let Some(delimiter) = line.trim_ascii().strip_prefix(b"sep=") {
                stated = delimiter.first().copied();
            }
            body = rest;
        }
        let candidates =
            DELIMITERS.into_iter().filter(|delimiter| stated.is_none_or(|stated| stated == *delimiter));
        candidates
            .filter_map(|delimiter| Self::with(delimiter, body))
            .max_by_key(|header| header.columns.len())
    }

    fn with(delimiter: u8, body: &[u8]) -> Option<Self> {
        let end = record_end_with(body, delimiter).unwrap_or(body.len());
        let (row, rest) = body.split_at_checked(end)?;
        let row = row.trim_ascii_end();
        let mut columns = Vec::new();
        for cell in Cells::new(row, delimiter).take(COLUMNS_MAX) {
            let mut name = Vec::new();
            unquote(cell.text, &mut name);
            columns.push(normalised(&name));
        }
        let header = Self { delimiter, class: class(&columns, b""), columns, row: row.to_vec() };
        (header.has_names() && header.fits(rest)).then_some(header)
    }

    /// Whether the row holds names and not data: short, distinct, neither numbers nor addresses.
    fn has_names(&self) -> bool {
        let empty = self.columns.iter().filter(|name| name.is_empty()).count();
        let mut sorted: Vec<Vec<u8>> = self.columns.iter().map(|name| name.to_ascii_lowercase()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        self.columns.len() >= 2
            && empty <= 1
            && sorted.len() == self.columns.len()
            && self.columns.iter().filter(|name| !name.is_empty()).all(|name| is_name(name))
    }

    /// Whether at least eight in ten records are as wide as the header. A header alone is
    /// believed if it has a time.
    fn fits(&self, body: &[u8]) -> bool {
        let (mut fitting, mut all) = (0, 0);
        let mut rest = body;
        while all < RECOGNISE_RECORDS_MAX
            && let Some(end) = record_end_with(rest, self.delimiter)
        {
            let (record, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            rest = after;
            if record.trim_ascii().is_empty() {
                continue;
            }
            all += 1;
            let width = Cells::new(without_line_end(record), self.delimiter).take(COLUMNS_MAX + 1).count();
            fitting += usize::from(width == self.columns.len());
        }
        if all == 0 { self.first(TIMES).is_some() } else { fitting * 10 >= all * 8 }
    }

    /// The first column that has one of these names.
    fn first(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| {
            self.columns.iter().position(|column| column.eq_ignore_ascii_case(name.as_bytes()))
        })
    }
}

fn is_preamble(body: &[u8]) -> bool {
    body.starts_with(b"sep=") || body.starts_with(b"#TYPE ")
}

fn is_name(name: &[u8]) -> bool {
    let starts = name
        .first()
        .is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'@' | b'$') || *b >= 0x80);
    let words = name.iter().filter(|b| **b == b' ').count();
    starts
        && name.len() <= COLUMN_NAME_LEN_MAX
        && words <= 5
        && !name.iter().any(|b| b.is_ascii_control() || matches!(b, b'{' | b'}' | b'<' | b'>' | b'=' | b'"'))
        && !is_number(name)
        && !is_ip(name)
        && EventTime::parse_iso(name).is_none()
}

/// Whether it is a table under a header row.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    Header::parse(sample).is_some()
}

/// The end (past the line end) of the first record; `None` if it is incomplete.
pub(crate) fn record_end(bytes: &[u8], header: &Header) -> Option<usize> {
    record_end_with(bytes, header.delimiter)
}

fn record_end_with(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let line_end = memchr(b'\n', bytes)?;
    // Most records have no quotes, or none that spans lines.
    if memchr(b'"', bytes.get(..line_end)?).is_none() {
        return Some(line_end + 1);
    }
    let mut at = 0;
    loop {
        let (_, end) = cell_at(bytes, at, delimiter);
        match bytes.get(end)? {
            b'\n' => return Some(end + 1),
            // Only after a closing quote; `\r` elsewhere is part of the cell.
            b'\r' => return (bytes.get(end + 1)? == &b'\n').then_some(end + 2),
            _ => at = end + 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell<'a> {
    /// Inside its quotes; quotes within still doubled.
    text: &'a [u8],
    is_quoted: bool,
}

/// The cell that starts at `at`, and where its terminator stands (the length, if it has none).
fn cell_at(bytes: &[u8], at: usize, delimiter: u8) -> (Cell<'_>, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(inside) = rest.strip_prefix(b"\"") else {
        let end = memchr2(delimiter, b'\n', rest).unwrap_or(rest.len());
        return (Cell { text: rest.get(..end).unwrap_or_default(), is_quoted: false }, at + end);
    };
    let mut from = 0;
    while let Some(found) = memchr(b'"', inside.get(from..).unwrap_or_default()) {
        let quote = from + found;
        let after = inside.get(quote + 1..).unwrap_or_default();
        let closes = match after {
            [] | [b'\n', ..] | [b'\r', b'\n', ..] | [b'\r'] => true,
            [next, ..] => *next == delimiter,
        };
        if closes {
            let text = inside.get(..quote).unwrap_or_default();
            return (Cell { text, is_quoted: true }, at + 1 + quote + 1);
        }
        // A doubled quote, or a stray one that is taken as text.
        from = quote + if after.first() == Some(&b'"') { 2 } else { 1 };
    }
    (Cell { text: inside, is_quoted: true }, bytes.len())
}

/// The cells of one record without its line end.
struct Cells<'a> {
    record: &'a [u8],
    at: Option<usize>,
    delimiter: u8,
}

impl<'a> Cells<'a> {
    fn new(record: &'a [u8], delimiter: u8) -> Self {
        Self { record, at: Some(0), delimiter }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let (cell, end) = cell_at(self.record, self.at?, self.delimiter);
        self.at = (end < self.record.len()).then_some(end + 1);
        Some(cell)
    }
}

fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

fn unquote(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((before, after)) = split_at_text(rest, b"\"\"") {
        out.extend_from_slice(before);
        out.push(b'"');
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Decodes whole records.
pub(crate) fn decode(
    context: &Context<'_>,
    position: Position,
    header: &Header,
    bytes: &[u8],
    batch: &mut Batch,
) {
    let mut sink = Sink::new(context, bytes, batch);
    let mut plan = Plan::new(&mut sink, header);
    let mut cells = Vec::with_capacity(header.columns.len());
    let mut rest = bytes;
    let mut number = position.first_record;
    while !rest.is_empty() {
        let preamble = is_preamble(rest);
        let end = if preamble { memchr(b'\n', rest).map(|at| at + 1) } else { record_end(rest, header) };
        let (record, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, b""));
        rest = after;
        let start = number;
        number += memchr_iter(b'\n', record).count() as u64;
        let record = without_line_end(record);
        if preamble || record.trim_ascii().is_empty() || record.trim_ascii_end() == header.row {
            continue;
        }
        cells.clear();
        cells.extend(Cells::new(record, header.delimiter).take(COLUMNS_MAX + 1));
        if cells.len() != header.columns.len() {
            let (found, expected) = (cells.len(), header.columns.len());
            sink.defect(start, format!("record has {found} of {expected} columns"));
        }
        let learnt = plan.record(&mut sink, &cells);
        sink.end(start, record, &learnt);
    }
}

/// What to do with each column, resolved once per block.
#[derive(Debug)]
struct Plan {
    columns: Vec<[Option<FieldId>; 2]>,
    date: Option<usize>,
    time: Option<usize>,
    /// Whether the time's column says that it is UTC.
    is_utc: bool,
    host: Option<usize>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Fixed(LogSourceId),
    Windows(Windows),
}

#[derive(Debug)]
struct Windows {
    event_id: usize,
    channel: Option<usize>,
    provider: Option<usize>,
    message: Option<usize>,
    /// By the four parts, joined by NUL.
    classes: HashMap<Vec<u8>, LogSourceId>,
}

impl Windows {
    fn of(header: &Header) -> Option<Self> {
        let event_id = header.first(EVENT_IDS)?;
        let channel = header.first(CHANNELS);
        let provider = header.first(PROVIDERS);
        let name = |index: usize| header.columns.get(index).map_or(&b""[..], Vec::as_slice);
        // `Id` and `Source`, `Log` are anybody's words; they count together with a clear one.
        let vague = |index: usize| {
            [&b"id"[..], b"source", b"log", b"provider"]
                .iter()
                .any(|word| name(index).eq_ignore_ascii_case(word))
        };
        let parts = [Some(event_id), channel, provider];
        if channel.or(provider).is_none() || parts.into_iter().flatten().all(vague) {
            return None;
        }
        Some(Self {
            event_id,
            channel,
            provider,
            message: header.first(&["Message"]),
            classes: HashMap::new(),
        })
    }

    /// Sigma's name of a column's role.
    fn second_name(&self, index: usize) -> Option<&'static str> {
        if index == self.event_id {
            Some("EventID")
        } else if Some(index) == self.channel {
            Some("Channel")
        } else if Some(index) == self.provider {
            Some("Provider_Name")
        } else {
            None
        }
    }

    fn class(&mut self, sink: &mut Sink<'_>, cells: &[Cell<'_>]) -> LogSourceId {
        let text = |index: Option<usize>| {
            index.and_then(|index| cells.get(index)).map_or(&b""[..], |cell| cell.text)
        };
        let parts = [text(self.channel), text(self.provider), text(Some(self.event_id))];
        let context = sink.context;
        let classes = &mut self.classes;
        sink.with_scratch(|key| {
            for part in parts {
                key.extend_from_slice(part);
                key.push(0);
            }
            if let Some(class) = classes.get(key.as_slice()) {
                return *class;
            }
            let [channel, provider, event_id] = parts.map(String::from_utf8_lossy);
            let class = context.sources.windows(&channel, &provider, &event_id);
            if classes.len() < CLASSES_MAX {
                classes.insert(key.clone(), class);
            }
            class
        })
    }

    /// Adds lines `Name: value` of the message whose name rules ask for.
    fn message(&self, sink: &mut Sink<'_>, cells: &[Cell<'_>]) {
        let Some(cell) = self.message.and_then(|index| cells.get(index)) else { return };
        for line in cell.text.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some((name, value)) = split_at_text(line, b": ") else { continue };
            if !name.is_empty() && name.len() <= 64 && name.iter().all(u8::is_ascii_alphanumeric) {
                let id = sink.made(name);
                sink.push_escaped(id, b'"', value, unquote);
            }
        }
    }
}

impl Plan {
    fn new(sink: &mut Sink<'_>, header: &Header) -> Self {
        let windows = Windows::of(header);
        let host = header.first(HOSTS);
        let second = |index: usize, name: &[u8]| match &windows {
            Some(windows) if Some(index) == host => windows.second_name(index).or(Some("Computer")),
            Some(windows) => windows.second_name(index),
            None => second_name(&header.class, name),
        };
        let mut columns = Vec::with_capacity(header.columns.len());
        for (index, name) in header.columns.iter().enumerate() {
            let first = if name.is_empty() { None } else { sink.name(name) };
            let second = second(index, name).and_then(|second| sink.known(second.as_bytes()));
            columns.push([first, second.filter(|second| Some(*second) != first)]);
        }
        let pair = header.first(&["date"]).zip(header.first(&["time"]));
        let time = pair.map(|(_, time)| time).or_else(|| header.first(TIMES));
        let name = time.and_then(|index| header.columns.get(index)).map_or(&b""[..], Vec::as_slice);
        let kind = match windows {
            Some(windows) => Kind::Windows(windows),
            None => Kind::Fixed(fixed_class(sink, header)),
        };
        Self {
            columns,
            date: pair.map(|(date, _)| date),
            time,
            is_utc: contains_ignore_case(name, b"utc") || contains_ignore_case(name, b"gmt"),
            host,
            kind,
        }
    }

    fn record<'l>(&mut self, sink: &mut Sink<'_>, cells: &[Cell<'l>]) -> Learnt<'l> {
        for (names, cell) in self.columns.iter().zip(cells) {
            if cell.text.is_empty() {
                continue;
            }
            for name in names.iter().filter(|name| name.is_some()) {
                if cell.is_quoted {
                    sink.push_escaped(*name, b'"', cell.text, unquote);
                } else {
                    sink.push(*name, cell.text);
                }
            }
        }
        let class = match &mut self.kind {
            Kind::Fixed(class) => *class,
            Kind::Windows(windows) => {
                windows.message(sink, cells);
                windows.class(sink, cells)
            }
        };
        let host = self.host.and_then(|index| cells.get(index)).map_or(&b""[..], |cell| cell.text);
        Learnt { time: self.time(sink, cells), host, class }
    }

    fn time(&self, sink: &mut Sink<'_>, cells: &[Cell<'_>]) -> Option<EventTime> {
        let text = |index: Option<usize>| index.and_then(|index| cells.get(index)).map(|cell| cell.text);
        let reference = sink.context.reference;
        let found = match (text(self.date), text(self.time)?) {
            (Some(date), clock) if date.len() + clock.len() <= 64 => sink.with_scratch(|whole| {
                whole.extend_from_slice(date);
                whole.push(b' ');
                whole.extend_from_slice(clock);
                time::any(whole, reference)
            }),
            (_, stamp) => time::any(stamp, reference),
        }?;
        let zone = if self.is_utc && found.zone == Zone::Assumed { Zone::Stated } else { found.zone };
        Some(EventTime { zone, ..found })
    }
}

fn fixed_class(sink: &Sink<'_>, header: &Header) -> LogSourceId {
    if header.first(&["id.orig_h"]).is_some() {
        return sink.context.sources.intern(LogSource::new("zeek", &[], &[]));
    }
    header.class.intern(sink.context)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::text::testing::printed;

    fn check(text: &str, expected: &Expect) {
        let header = Header::parse(text.as_bytes()).unwrap();
        let found = printed(text.as_bytes(), |context, position, bytes, batch| {
            decode(context, position, &header, bytes, batch);
        });
        expected.assert_eq(&found);
    }

    #[test]
    fn windows_exports() {
        check(
            "#TYPE System.Diagnostics.Eventing.Reader.EventLogRecord\r\n\
             \"TimeCreated\",\"Id\",\"ProviderName\",\"LogName\",\"MachineName\",\"Message\"\r\n\
             \"7/15/2022 10:11:12 PM\",\"1\",\"Microsoft-Windows-Sysmon\",\"Microsoft-Windows-Sysmon/Operational\",\"pc1\",\"Process Create:\r\n\
             Image: C:\\Windows\\cmd.exe\r\nCommandLine: cmd \"\"a\"\"\"\r\n\
             \"7/15/2022 10:11:13 PM\",\"4688\",\"P\",\"Security\",\"pc1\",\"x\"\r\n",
            &expect![[r#"
                3 2022-07-15T22:11:12Z assumed host=pc1 windows/sysmon/process_creation
                  TimeCreated=7/15/2022 10:11:12 PM
                  Id=1
                  EventID=1
                  ProviderName=Microsoft-Windows-Sysmon
                  Provider_Name=Microsoft-Windows-Sysmon
                  LogName=Microsoft-Windows-Sysmon/Operational
                  Channel=Microsoft-Windows-Sysmon/Operational
                  MachineName=pc1
                  Computer=pc1
                  Message=Process Create:\r\nImage: C:\\Windows\\cmd.exe\r\nCommandLine: cmd \"a\"
                  Image=C:\\Windows\\cmd.exe
                  CommandLine=cmd \"a\"
                6 2022-07-15T22:11:13Z assumed host=pc1 windows/security/process_creation
                  TimeCreated=7/15/2022 10:11:13 PM
                  Id=4688
                  EventID=4688
                  ProviderName=P
                  Provider_Name=P
                  LogName=Security
                  Channel=Security
                  MachineName=pc1
                  Computer=pc1
                  Message=x
            "#]],
        );
        check(
            "RecordNumber,TimeCreated,EventId,Provider,Channel,Computer\n1,2022-07-15 10:11:12.1234567,4624,Microsoft-Windows-Security-Auditing,Security,dc1\n",
            &expect![[r#"
                2 2022-07-15T10:11:12.1234567Z assumed host=dc1 windows/security/
                  RecordNumber=1
                  TimeCreated=2022-07-15 10:11:12.1234567
                  EventID=4624
                  Provider=Microsoft-Windows-Security-Auditing
                  Provider_Name=Microsoft-Windows-Security-Auditing
                  Channel=Security
                  Computer=dc1
            "#]],
        );
    }

    #[test]
    fn other_tables() {
        check(
            "sep=;\ndate; time; c-ip; c-uri; cs(User-Agent); cs-host\n2022-07-15;10:11:12;10.0.0.1;http://x.example/;\"a;b\";x.example\n",
            &expect![[r#"
                3 2022-07-15T10:11:12Z assumed host= //proxy
                  date=2022-07-15
                  time=10:11:12
                  c-ip=10.0.0.1
                  src_ip=10.0.0.1
                  c-uri=http://x.example/
                  cs-user-agent=a;b
                  c-useragent=a;b
                  cs-host=x.example
                  r-dns=x.example
            "#]],
        );
        check(
            "timestamp\tsrc_ip\tdst_ip\taction\n1657879872\t10.0.0.1\t203.0.113.7\tblock\n1657879872\t10.0.0.1\n\ntimestamp\tsrc_ip\tdst_ip\taction\n1657879873\t10.0.0.2\tsize 5\"\t\n1657879874\t\t\tpass\n",
            &expect![[r#"
                2 2022-07-15T10:11:12Z stated host= //firewall
                  timestamp=1657879872
                  src_ip=10.0.0.1
                  dst_ip=203.0.113.7
                  action=block
                3 2022-07-15T10:11:12Z stated host= //firewall
                  timestamp=1657879872
                  src_ip=10.0.0.1
                6 2022-07-15T10:11:13Z stated host= //firewall
                  timestamp=1657879873
                  src_ip=10.0.0.2
                  dst_ip=size 5\"
                7 2022-07-15T10:11:14Z stated host= //firewall
                  timestamp=1657879874
                  action=pass
                t record 3: record has 2 of 4 columns
            "#]],
        );
    }

    #[test]
    fn what_is_a_table() {
        let check = |text: &str, expected: bool| assert_eq!(recognise(text.as_bytes()), expected, "{text}");
        check("a,b\n1,2\n", true);
        check("timestamp,message\n", true);
        check("name,message\n", false);
        check("Dear all, hello\nthis is a letter\nwith no table\n", false);
        check("1,2\n3,4\n", false);
        check("10.0.0.1,x\n10.0.0.2,x\n", false);
        check("a,a\n1,2\n", false);
        check("{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":2}\n", false);
        check("just one column\n1\n2\n", false);
        check("", false);
    }

    #[test]
    fn records_end_outside_quotes() {
        let header = Header::parse(b"a,b\n1,2\n").unwrap();
        let check = |text: &str, expected: Option<usize>| {
            assert_eq!(record_end(text.as_bytes(), &header), expected, "{text:?}");
        };
        check("1,2\n3,4\n", Some(4));
        check("1,\"x\ny\"\"\n\"\n3", Some(11));
        check("\"x\"\r\n", Some(5));
        check("1,5\" disk\n", Some(10));
        check("1,\"open\n", None);
        check("1,2", None);
        check("1,\"2\"", None);
    }
}
