//! W3C extended log files: IIS, proxies such as Blue Coat, Exchange, the Windows firewall.
//!
//! ```text
//! #Software: Microsoft Internet Information Services 10.0
//! #Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status
//! 2022-07-15 10:11:12 10.0.0.5 GET /owa/ id=1 443 - 203.0.113.7 Mozilla/5.0+(Windows+NT) 200
//! ```
//! (W3C working draft WD-logfile-960323.) The columns are the header's, which may change within
//! a file: IIS writes it anew when it is restarted or set up differently. Values are separated
//! by spaces, in some products by tabs or commas, and may stand in double quotes; `-` is an
//! absent value. `cs(User-Agent)` is named `cs-user-agent`; IIS writes its spaces as `+`, which
//! are put back.
//!
//! The class follows from the columns (see `text::columns`). As SigmaHQ's rules ask
//! `cs-uri-query` for paths too, web and proxy events have the whole URI as a further value of
//! it, and as `cs-uri` (proxies: `c-uri`, with scheme and host) where there is no such column.
//!
//! Times are UTC by the specification, unless the header says `#Time Format: Local`.

use besa_event::{Batch, EventTime, FieldId, LogSourceId, Zone};
use memchr::memchr;

use crate::context::{Context, Position};
use crate::text::columns::{class, normalised, second_name};
use crate::text::{Class, Learnt, Lines, Sink, time};

/// Columns beyond this are not read.
const COLUMNS_MAX: usize = 1_024;

/// Columns that hold numbers, besides ports.
const NUMBERS: &[&[u8]] =
    &[b"sc-status", b"sc-substatus", b"sc-win32-status", b"sc-bytes", b"cs-bytes", b"time-taken"];

/// What the `#` lines so far say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    /// Normalised column names.
    columns: Vec<Vec<u8>>,
    separator: u8,
    software: Vec<u8>,
    /// Of `#Date`, for logs without a `date` column.
    date: Vec<u8>,
    local_time: bool,
    class: Class,
}

impl Header {
    /// The header at the start of a file, if this is such a file.
    pub(crate) fn parse(sample: &[u8]) -> Option<Self> {
        let empty = Class { product: "", services: &[], categories: &[] };
        let mut header = Self {
            columns: Vec::new(),
            separator: b' ',
            software: Vec::new(),
            date: Vec::new(),
            local_time: false,
            class: empty,
        };
        for (_, line) in Lines::new(sample, 1).take_while(|(_, line)| line.starts_with(b"#")) {
            if let Some(changed) = header.update(line) {
                header = changed;
            }
        }
        (!header.columns.is_empty()).then_some(header)
    }

    /// The header after one more `#` line, if that changes it.
    pub(crate) fn update(&self, line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        let mut changed = self.clone();
        if let Some(fields) = directive(line, b"#Fields:") {
            changed.separator = separator(fields);
            changed.columns = fields
                .split(|b| *b == changed.separator)
                .filter(|name| !name.trim_ascii().is_empty())
                .take(COLUMNS_MAX)
                .map(normalised)
                .collect();
        } else if let Some(software) = directive(line, b"#Software:") {
            changed.software = software.to_vec();
        } else if let Some(date) = directive(line, b"#Date:") {
            changed.date = date.get(..10).unwrap_or_default().to_vec();
        } else if let Some(zone) = directive(line, b"#Time Format:") {
            changed.local_time = zone.eq_ignore_ascii_case(b"local");
        } else {
            return None;
        }
        changed.class = class(&changed.columns, &changed.software);
        (changed != *self).then_some(changed)
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }
}

fn directive<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
}

fn separator(fields: &[u8]) -> u8 {
    let count = |byte: u8| fields.iter().filter(|b| **b == byte).count();
    [b'\t', b','].into_iter().find(|byte| count(*byte) > 0 && count(*byte) >= count(b' ')).unwrap_or(b' ')
}

/// Whether it starts with directives of which one is `#Fields:`.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    Header::parse(sample).is_some()
}

/// Decodes whole lines; `header` is what holds at the first.
pub(crate) fn decode(
    context: &Context<'_>,
    position: Position,
    header: &Header,
    bytes: &[u8],
    batch: &mut Batch,
) {
    let mut sink = Sink::new(context, bytes, batch);
    let mut header = header.clone();
    let mut plan = Plan::new(&mut sink, &header);
    let mut cells: Vec<Cell<'_>> = Vec::new();
    for (number, line) in Lines::new(bytes, position.first_record) {
        if line.starts_with(b"#") {
            if let Some(changed) = header.update(line) {
                plan = if changed.columns == header.columns && changed.class == header.class {
                    plan
                } else {
                    Plan::new(&mut sink, &changed)
                };
                header = changed;
            }
            continue;
        }
        split(line, header.separator, &mut cells);
        if cells.len() != header.columns.len() {
            let (found, expected) = (cells.len(), header.columns.len());
            sink.defect(number, format!("line has {found} of {expected} columns"));
        }
        let learnt = plan.row(&mut sink, &header, &cells);
        sink.end(number, line, &learnt);
    }
}

#[derive(Clone, Copy, Debug)]
struct Cell<'a> {
    /// Inside its quotes.
    text: &'a [u8],
    is_quoted: bool,
}

fn split<'l>(line: &'l [u8], separator: u8, cells: &mut Vec<Cell<'l>>) {
    cells.clear();
    let mut rest = line.strip_suffix(b" ").unwrap_or(line);
    while cells.len() <= COLUMNS_MAX {
        // A value in quotes ends at a quote before a separator; backslashes mean nothing here.
        let inside = rest.strip_prefix(b"\"").and_then(|inside| {
            let end = closing_quote(inside, separator)?;
            Some((inside.get(..end)?, inside.get(end + 1..)?))
        });
        let (text, after) = inside.unwrap_or_else(|| {
            let end = memchr(separator, rest).unwrap_or(rest.len());
            rest.split_at_checked(end).unwrap_or((rest, b""))
        });
        cells.push(Cell { text, is_quoted: inside.is_some() });
        match after.strip_prefix(&[separator]) {
            Some(after) => rest = after,
            None => return,
        }
    }
}

fn closing_quote(inside: &[u8], separator: u8) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr(b'"', inside.get(from..)?)?;
        match inside.get(at + 1) {
            None => return Some(at),
            Some(next) if *next == separator => return Some(at),
            Some(b'"') => from = at + 2,
            Some(_) => from = at + 1,
        }
    }
}

/// What to do with each column, resolved once per header and block.
#[derive(Debug)]
struct Plan {
    columns: Vec<Column>,
    date: Option<usize>,
    time: Option<usize>,
    /// A column with the whole date-time.
    stamp: Option<usize>,
    host: Option<usize>,
    class: LogSourceId,
    url: Option<Url>,
}

#[derive(Debug)]
struct Column {
    name: Option<FieldId>,
    second: Option<FieldId>,
    plus_is_space: bool,
    is_number: bool,
}

/// Columns that a whole URI is put together from, and its names.
#[derive(Debug)]
struct Url {
    scheme: Option<usize>,
    host: Option<usize>,
    stem: Option<usize>,
    query: Option<usize>,
    names: [Option<FieldId>; 3],
}

impl Plan {
    fn new(sink: &mut Sink<'_>, header: &Header) -> Self {
        let columns = header
            .columns
            .iter()
            .map(|name| Column {
                name: sink.name(name),
                second: second_name(&header.class, name).and_then(|second| sink.known(second.as_bytes())),
                plus_is_space: matches!(name.as_slice(), b"cs-user-agent" | b"cs-cookie"),
                is_number: NUMBERS.contains(&name.as_slice()) || name.ends_with(b"-port"),
            })
            .collect();
        let first = |names: &[&[u8]]| names.iter().find_map(|name| header.position(name));
        Self {
            columns,
            date: header.position(b"date"),
            time: header.position(b"time"),
            stamp: first(&[b"date-time", b"datetime", b"gmttime", b"x-timestamp", b"timestamp"]),
            host: first(&[b"s-computername", b"server-hostname", b"s-ip"]),
            class: header.class.intern(sink.context),
            url: Url::new(sink, header),
        }
    }

    fn row<'l>(&self, sink: &mut Sink<'_>, header: &Header, cells: &[Cell<'l>]) -> Learnt<'l> {
        for (column, cell) in self.columns.iter().zip(cells) {
            if !is_present(cell) {
                continue;
            }
            push(sink, column.name, column, cell);
            push(sink, column.second, column, cell);
        }
        if let Some(url) = &self.url {
            url.push(sink, cells);
        }
        let host = self.host.and_then(|index| cells.get(index)).filter(|cell| is_present(cell));
        Learnt {
            time: self.time(sink, header, cells),
            host: host.map_or(b"", |cell| cell.text),
            class: self.class,
        }
    }

    fn time(&self, sink: &mut Sink<'_>, header: &Header, cells: &[Cell<'_>]) -> Option<EventTime> {
        let text = |index: Option<usize>| index.and_then(|index| cells.get(index)).map(|cell| cell.text);
        let found = match (text(self.date), text(self.time)) {
            (Some(date), Some(time)) => joined_time(sink, date, time),
            (None, Some(time)) if !header.date.is_empty() => joined_time(sink, &header.date, time),
            _ => time::any(text(self.stamp)?, None),
        }?;
        let zone = if header.local_time { Zone::Assumed } else { Zone::Stated };
        Some(EventTime { zone, ..found })
    }
}

fn joined_time(sink: &mut Sink<'_>, date: &[u8], time: &[u8]) -> Option<EventTime> {
    if date.len() + time.len() > 64 {
        return None;
    }
    sink.with_scratch(|whole| {
        whole.extend_from_slice(date);
        whole.push(b' ');
        whole.extend_from_slice(time);
        EventTime::parse_iso(whole)
    })
}

fn is_present(cell: &Cell<'_>) -> bool {
    !cell.text.is_empty() && cell.text != b"-"
}

fn push(sink: &mut Sink<'_>, name: Option<FieldId>, column: &Column, cell: &Cell<'_>) {
    if cell.is_quoted {
        sink.push_escaped(name, b'"', cell.text, unquote);
    } else if column.plus_is_space {
        sink.push_escaped(name, b'+', cell.text, |text, out| {
            out.extend(text.iter().map(|b| if *b == b'+' { b' ' } else { *b }));
        });
    } else if column.is_number {
        sink.push_number(name, cell.text);
    } else {
        sink.push(name, cell.text);
    }
}

/// Two quotes within a quoted value are one.
fn unquote(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((before, after)) = crate::text::split_at_text(rest, b"\"\"") {
        out.extend_from_slice(before);
        out.push(b'"');
        rest = after;
    }
    out.extend_from_slice(rest);
}

impl Url {
    fn new(sink: &mut Sink<'_>, header: &Header) -> Option<Self> {
        let stem = header.position(b"cs-uri-stem").or_else(|| header.position(b"cs-uri-path"));
        let whole = header.position(b"cs-uri").or_else(|| header.position(b"c-uri"));
        if header.class.categories.is_empty() || stem.or(whole).is_none() {
            return None;
        }
        let proxy = header.class.categories == ["proxy"];
        let absent = |name: &[u8]| header.position(name).is_none();
        let query = absent(b"c-uri-query").then(|| sink.known(b"cs-uri-query")).flatten();
        let uri = if absent(b"cs-uri") { sink.name(b"cs-uri") } else { None };
        let client_uri = if proxy && absent(b"c-uri") { sink.name(b"c-uri") } else { None };
        Some(Self {
            scheme: header.position(b"cs-uri-scheme").filter(|_| proxy),
            host: header.position(b"cs-host").or_else(|| header.position(b"cs-uri-host")).filter(|_| proxy),
            stem: stem.or(whole),
            query: header.position(b"cs-uri-query"),
            names: [query, uri, client_uri],
        })
    }

    fn push(&self, sink: &mut Sink<'_>, cells: &[Cell<'_>]) {
        let text = |index: Option<usize>| {
            index.and_then(|index| cells.get(index)).filter(|cell| is_present(cell)).map(|cell| cell.text)
        };
        let Some(stem) = text(self.stem) else { return };
        let host = text(self.host).filter(|_| stem.starts_with(b"/"));
        let query = text(self.query).map(|query| query.strip_prefix(b"?").unwrap_or(query));
        if host.is_none() && query.is_none() {
            return self.names.iter().for_each(|name| sink.push(*name, stem));
        }
        if self.names.iter().all(Option::is_none) {
            return;
        }
        let scheme = text(self.scheme).unwrap_or(b"http");
        let span = sink.append_with(|whole| {
            if let Some(host) = host {
                [scheme, b"://", host].iter().for_each(|part| whole.extend_from_slice(part));
            }
            whole.extend_from_slice(stem);
            if let Some(query) = query {
                whole.push(b'?');
                whole.extend_from_slice(query);
            }
        });
        for name in self.names {
            sink.push_span(name, besa_event::ValueKind::Text, span);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::text::testing::printed;

    fn check(lines: &[&str], expected: &Expect) {
        let text = lines.join("\r\n");
        let header = Header::parse(text.as_bytes()).unwrap();
        let found = printed(text.as_bytes(), |context, position, bytes, batch| {
            decode(context, position, &header, bytes, batch);
        });
        expected.assert_eq(&found);
    }

    #[test]
    fn iis_with_a_header_that_changes() {
        check(
            &[
                "#Software: Microsoft Internet Information Services 10.0",
                "#Version: 1.0",
                "#Date: 2022-07-15 10:11:12",
                "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status",
                "2022-07-15 10:11:12 10.0.0.5 GET /owa/ id=1 443 - 203.0.113.7 Mozilla/5.0+(Windows+NT) - 200",
                "#Fields: time cs-method cs-uri-stem c-ip",
                "10:11:13 GET /a 203.0.113.8",
                "10:11:14 GET",
            ],
            &expect![[r#"
                5 2022-07-15T10:11:12Z stated host=10.0.0.5 /iis/webserver
                  date=2022-07-15
                  time=10:11:12
                  s-ip=10.0.0.5
                  cs-method=GET
                  cs-uri-stem=/owa/
                  cs-uri-query=id=1
                  s-port=#443
                  c-ip=203.0.113.7
                  cs-user-agent=Mozilla/5.0 (Windows NT)
                  sc-status=#200
                  cs-uri-query=/owa/?id=1
                  cs-uri=/owa/?id=1
                  c-useragent=Mozilla/5.0 (Windows NT)
                  c-uri=/owa/
                7 2022-07-15T10:11:13Z stated host= /iis/webserver
                  time=10:11:13
                  cs-method=GET
                  cs-uri-stem=/a
                  c-ip=203.0.113.8
                  cs-uri-query=/a
                  cs-uri=/a
                  c-uri=/a
                8 2022-07-15T10:11:14Z stated host= /iis/webserver
                  time=10:11:14
                  cs-method=GET
                t record 8: line has 2 of 4 columns
            "#]],
        );
    }

    #[test]
    fn proxy_firewall_and_comma_separated_logs() {
        check(
            &[
                "#Software: SGOS 6.5.5.5",
                "#Fields: date time time-taken c-ip cs-username s-action sc-status cs-method cs-uri-scheme cs-host cs-uri-path cs-uri-query cs-uri-extension cs(User-Agent) r-ip",
                "2022-07-15 10:11:12 95 10.0.0.7 bob TCP_NC_MISS 200 GET http evil.example /a.exe ?x=1 exe \"Mozilla/5.0 (\"\"X\"\" 11)\" 203.0.113.9",
                "2022-07-15 10:11:12 1 10.0.0.7 - TCP_TUNNELED 200 CONNECT tcp evil.example / - - - -",
            ],
            &expect![[r#"
                3 2022-07-15T10:11:12Z stated host= //proxy
                  date=2022-07-15
                  time=10:11:12
                  time-taken=#95
                  c-ip=10.0.0.7
                  src_ip=10.0.0.7
                  cs-username=bob
                  s-action=TCP_NC_MISS
                  sc-status=#200
                  cs-method=GET
                  cs-uri-scheme=http
                  cs-host=evil.example
                  r-dns=evil.example
                  cs-uri-path=/a.exe
                  cs-uri-query=?x=1
                  cs-uri-extension=exe
                  cs-user-agent=Mozilla/5.0 (\"X\" 11)
                  c-useragent=Mozilla/5.0 (\"X\" 11)
                  r-ip=203.0.113.9
                  dst_ip=203.0.113.9
                  cs-uri-query=http://evil.example/a.exe?x=1
                  cs-uri=http://evil.example/a.exe?x=1
                  c-uri=http://evil.example/a.exe?x=1
                4 2022-07-15T10:11:12Z stated host= //proxy
                  date=2022-07-15
                  time=10:11:12
                  time-taken=#1
                  c-ip=10.0.0.7
                  src_ip=10.0.0.7
                  s-action=TCP_TUNNELED
                  sc-status=#200
                  cs-method=CONNECT
                  cs-uri-scheme=tcp
                  cs-host=evil.example
                  r-dns=evil.example
                  cs-uri-path=/
                  cs-uri-query=tcp://evil.example/
                  cs-uri=tcp://evil.example/
                  c-uri=tcp://evil.example/
            "#]],
        );
        check(
            &[
                "#Version: 1.5",
                "#Software: Microsoft Windows Firewall",
                "#Time Format: Local",
                "#Fields: date time action protocol src-ip dst-ip src-port dst-port",
                "2022-07-15 10:11:12 ALLOW TCP 10.0.0.1 203.0.113.7 50000 443",
            ],
            &expect![[r#"
                5 2022-07-15T10:11:12Z assumed host= windows/firewall/firewall
                  date=2022-07-15
                  time=10:11:12
                  action=ALLOW
                  protocol=TCP
                  src-ip=10.0.0.1
                  src_ip=10.0.0.1
                  dst-ip=203.0.113.7
                  dst_ip=203.0.113.7
                  src-port=#50000
                  src_port=#50000
                  dst-port=#443
                  dst_port=#443
            "#]],
        );
        check(
            &[
                "#Software: Microsoft Exchange Server",
                "#Fields: date-time,client-ip,server-hostname,recipient-address",
                "2022-07-15T10:11:12.123Z,10.0.0.1,EX1,\"a@example.org;b, c@example.org\"",
            ],
            &expect![[r#"
                3 2022-07-15T10:11:12.123Z stated host=EX1 //
                  date-time=2022-07-15T10:11:12.123Z
                  client-ip=10.0.0.1
                  server-hostname=EX1
                  recipient-address=a@example.org;b, c@example.org
            "#]],
        );
    }
}
