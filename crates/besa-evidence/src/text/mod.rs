//! What the text formats share: lines, pushing fields, times, column names.
//!
//! A text reader works on plain subslices of its block and hands them to a [`Sink`], which finds
//! their place in the block by their address and stores spans. Parsers stay free of offsets, and
//! a slice that is not from the block (a constant, decoded text) is copied to the batch's decoded
//! bytes instead of being lost.
//!
//! Every text event has its whole line as `head.raw` and as the field `_raw`, so that keywords
//! and regular expressions which span fields are found.

use std::net::IpAddr;

use besa_event::{Batch, Defect, FieldId, Head, Keep, LogSource, LogSourceId, Place, Span, ValueKind};
use memchr::{memchr, memchr2, memmem};

use crate::context::Context;

pub(crate) mod columns;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod time;

/// Lines of a sample that a recogniser looks at.
const RECOGNISE_LINES_MAX: usize = 200;

/// Field names of a format, each resolved once per block.
macro_rules! names {
    ($($field:ident = $text:literal,)*) => {
        /// Ids of the format's own field names; `None` where nobody wants the field.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Names {
            $($field: Option<besa_event::FieldId>,)*
        }

        impl Names {
            fn new(sink: &mut $crate::text::Sink<'_>) -> Self {
                Self { $($field: sink.name($text.as_bytes()),)* }
            }
        }
    };
}
pub(crate) use names;

/// Writes the events of one block to its batch.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) context: &'a Context<'a>,
    block: &'a [u8],
    batch: &'a mut Batch,
    raw: Option<FieldId>,
    scratch: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(context: &'a Context<'a>, block: &'a [u8], batch: &'a mut Batch) -> Self {
        let mut sink = Self { context, block, batch, raw: None, scratch: Vec::new() };
        sink.raw = sink.name(b"_raw");
        sink
    }

    /// The id of a field name, or `None` when such a field is not kept or the name is empty.
    pub(crate) fn name(&mut self, name: &[u8]) -> Option<FieldId> {
        if name.is_empty() {
            return None;
        }
        if let Some(id) = self.context.dictionary.lookup(name) {
            return Some(id);
        }
        if self.context.keep == Keep::Named {
            return None;
        }
        let span = self.span(name);
        Some(self.batch.local_name(span))
    }

    /// The id of a field name that rules ask for; unlike [`Sink::name`] never a new one. For
    /// second names of fields that the event has already.
    pub(crate) fn known(&self, name: &[u8]) -> Option<FieldId> {
        self.context.dictionary.lookup(name)
    }

    /// As [`Sink::known`], for a second name that the evidence makes and no table of ours holds: a
    /// run that keeps events for later cannot have it in its dictionary.
    pub(crate) fn made(&mut self, name: &[u8]) -> Option<FieldId> {
        if self.context.keep != Keep::History || name.is_empty() {
            return self.known(name);
        }
        let span = self.span(name);
        Some(self.batch.name_for_later(span))
    }

    /// The id of the name `prefix.name`.
    pub(crate) fn dotted_name(&mut self, prefix: &[u8], name: &[u8]) -> Option<FieldId> {
        let mut whole = std::mem::take(&mut self.scratch);
        whole.clear();
        whole.extend_from_slice(prefix);
        whole.push(b'.');
        whole.extend_from_slice(name);
        let id = self.name(&whole);
        self.scratch = whole;
        id
    }

    /// Where `part` lies in the block, or where a copy of it now lies.
    pub(crate) fn span(&mut self, part: &[u8]) -> Span {
        match offset_in(self.block, part) {
            Some(start) => Span::new(start..start + part.len()),
            None if part.is_empty() => Span::default(),
            None => self.batch.append(part),
        }
    }

    /// Adds a text field.
    pub(crate) fn push(&mut self, name: Option<FieldId>, value: &[u8]) {
        self.push_kind(name, ValueKind::Text, value);
    }

    /// Adds a field that the format defines as a number; anything else in it is text.
    pub(crate) fn push_number(&mut self, name: Option<FieldId>, value: &[u8]) {
        let kind = if is_number(value) { ValueKind::Number } else { ValueKind::Text };
        self.push_kind(name, kind, value);
    }

    pub(crate) fn push_kind(&mut self, name: Option<FieldId>, kind: ValueKind, value: &[u8]) {
        if name.is_some() {
            let span = self.span(value);
            self.push_span(name, kind, span);
        }
    }

    /// Adds a text field whose bytes `write` puts together.
    pub(crate) fn push_decoded(&mut self, name: Option<FieldId>, write: impl FnOnce(&mut Vec<u8>)) {
        if name.is_some() {
            let span = self.batch.append_with(write);
            self.push_span(name, ValueKind::Text, span);
        }
    }

    /// Adds a text field, decoded by `decode` only if it holds `escape`.
    pub(crate) fn push_escaped(
        &mut self,
        name: Option<FieldId>,
        escape: u8,
        value: &[u8],
        decode: impl FnOnce(&[u8], &mut Vec<u8>),
    ) {
        if memchr(escape, value).is_some() {
            self.push_decoded(name, |out| decode(value, out));
        } else {
            self.push(name, value);
        }
    }

    /// Adds a field unless the event has reached the cap; the cap is reported when it ends.
    pub(crate) fn push_span(&mut self, name: Option<FieldId>, kind: ValueKind, span: Span) {
        if let Some(name) = name
            && self.batch.open_fields().len() <= self.context.limits.fields_max
        {
            self.batch.push_field(name, kind, span);
        }
    }

    /// Appends decoded bytes that several fields of the block will share.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Span {
        self.batch.append(bytes)
    }

    /// Appends what `write` puts together, for several fields.
    pub(crate) fn append_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        self.batch.append_with(write)
    }

    /// Puts bytes together in a buffer that is reused, for reading only.
    pub(crate) fn with_scratch<T>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.scratch.clear();
        read(&mut self.scratch)
    }

    pub(crate) fn defect(&mut self, record: u64, reason: String) {
        let origin = std::sync::Arc::clone(&self.batch.origin);
        self.batch.defects.push(Defect { origin, place: Place::Record(record), reason });
    }

    /// Closes the event of `line`, which stood at line number `record`.
    pub(crate) fn end(&mut self, record: u64, line: &[u8], learnt: &Learnt<'_>) {
        if memchr(0, line).is_some() {
            self.defect(record, "line holds NUL bytes, as after a torn write".to_owned());
        }
        let fields_max = self.context.limits.fields_max;
        if self.batch.open_fields().len() > fields_max {
            self.defect(record, format!("more than {fields_max} fields; further ones were left out"));
        }
        let raw = self.span(line);
        if let Some(name) = self.raw {
            self.batch.push_field(name, ValueKind::Text, raw);
        }
        let host = self.span(learnt.host);
        let head = Head { raw, host, time: learnt.time, record, logsource: learnt.class };
        self.batch.end_event(self.context.dictionary, self.context.sources, head);
    }
}

/// What a parser learnt of a record besides its fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Learnt<'a> {
    pub(crate) time: Option<besa_event::EventTime>,
    pub(crate) host: &'a [u8],
    pub(crate) class: LogSourceId,
}

/// A class of events as the formats' tables write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) product: &'static str,
    pub(crate) services: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
}

impl Class {
    pub(crate) fn intern(&self, context: &Context<'_>) -> LogSourceId {
        context.sources.intern(LogSource::new(self.product, self.services, self.categories))
    }
}

/// Ids of the rows of a table of classes, each interned when first met.
#[derive(Debug)]
pub(crate) struct Classes<'t> {
    table: &'t [Class],
    ids: Vec<Option<LogSourceId>>,
}

impl<'t> Classes<'t> {
    pub(crate) fn new(table: &'t [Class]) -> Self {
        Self { table, ids: vec![None; table.len()] }
    }

    /// The id of a row; unknown for a row that the table lacks.
    pub(crate) fn id(&mut self, context: &Context<'_>, row: usize) -> LogSourceId {
        let (Some(class), Some(id)) = (self.table.get(row), self.ids.get_mut(row)) else {
            return LogSourceId::default();
        };
        *id.get_or_insert_with(|| class.intern(context))
    }
}

/// Non-empty lines without their ends, with their line numbers.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    number: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8], first_number: u64) -> Self {
        Self { rest: bytes, number: first_number }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (line, rest) = split_at_byte(self.rest, b'\n').unwrap_or((self.rest, b""));
            let number = self.number;
            self.rest = rest;
            self.number = number.saturating_add(1);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.trim_ascii().is_empty() {
                return Some((number, line));
            }
        }
        None
    }
}

/// Whether at least six in ten of a sample's first lines fit a format.
pub(crate) fn most_lines(sample: &[u8], fits: impl Fn(&[u8]) -> bool) -> bool {
    let (mut fitting, mut all) = (0, 0);
    for (_, line) in Lines::new(sample, 1).take(RECOGNISE_LINES_MAX) {
        all += 1;
        fitting += usize::from(fits(line));
    }
    fitting > 0 && fitting * 10 >= all * 6
}

/// What stands before and after the first `byte`.
pub(crate) fn split_at_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(byte, text)?;
    let (before, after) = text.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}

/// What stands before and after the first occurrence of `needle`.
pub(crate) fn split_at_text<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(text, needle)?;
    let (before, after) = text.split_at_checked(at)?;
    Some((before, after.get(needle.len()..)?))
}

/// The inside of a string in double quotes at the front of `text`, escapes left in, and what
/// follows it; without the closing quote the rest of the text.
pub(crate) fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = text.strip_prefix(b"\"")?;
    let mut from = 0;
    while let Some(at) = inside.get(from..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        let at = from + at;
        if inside.get(at) == Some(&b'"') {
            return Some((inside.get(..at)?, inside.get(at + 1..)?));
        }
        from = at + 2;
    }
    Some((inside, b""))
}

/// The front of `text` up to the first space, and what follows the spaces.
pub(crate) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match split_at_byte(text, b' ') {
        Some((word, rest)) => (word, rest.trim_ascii_start()),
        None => (text, b""),
    }
}

/// Whether it is an IPv4 or IPv6 address and nothing else.
pub(crate) fn is_ip(text: &[u8]) -> bool {
    text.len() <= 45 && std::str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

/// A decimal number that is one in JSON too: optional sign, digits without leading zeros, optional
/// fraction.
pub(crate) fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, fraction) = split_at_byte(digits, b'.').unwrap_or((digits, b"0"));
    let padded = whole.len() > 1 && whole.starts_with(b"0");
    is_digits(whole) && is_digits(fraction) && !padded
}

/// At least one, and nothing but, ASCII digits.
pub(crate) fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Whether `text` holds `needle`, without regard to ASCII case; for short texts.
pub(crate) fn contains_ignore_case(text: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || text.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// The value of one hexadecimal digit.
pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Appends the bytes that pairs of hexadecimal digits stand for; stops at anything else.
pub(crate) fn hex_decode(digits: &[u8], out: &mut Vec<u8>) {
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
        _ => None,
    };
    out.extend(digits.chunks_exact(2).map_while(byte));
}

/// Appends `text` with its backslash sequences replaced: `\xhh` by the byte (if `hex`), and `\c`
/// by what `plain` gives for `c`; what `plain` does not know stays as it stands.
pub(crate) fn backslash_decode(text: &[u8], out: &mut Vec<u8>, hex: bool, plain: impl Fn(u8) -> Option<u8>) {
    let mut rest = text;
    while let Some((before, escape)) = split_at_byte(rest, b'\\') {
        out.extend_from_slice(before);
        rest = escape;
        if hex
            && let [b'x', high, low, after @ ..] = escape
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else if let Some((first, after)) = escape.split_first()
            && let Some(byte) = plain(*first)
        {
            out.push(byte);
            rest = after;
        } else {
            out.push(b'\\');
        }
    }
    out.extend_from_slice(rest);
}

/// Offset of `part` in `whole`, if it is a piece of it.
fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (start.checked_add(part.len())? <= whole.len()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_over_blank_ones() {
        let lines: Vec<(u64, &[u8])> = Lines::new(b"a\r\n\n  \nb\nc", 7).collect();
        assert_eq!(lines, [(7, &b"a"[..]), (10, b"b"), (11, b"c")]);
    }

    #[test]
    fn quoted_strings_end_at_the_first_bare_quote() {
        assert_eq!(quoted(br#""a\"b" c"#), Some((&br#"a\"b"#[..], &b" c"[..])));
        assert_eq!(quoted(br#""torn \"#), Some((&br"torn \"[..], &b""[..])));
        assert_eq!(quoted(b"bare"), None);
    }

    type Recogniser = fn(&[u8]) -> bool;
    type Decoder = fn(&Context<'_>, crate::Position, &[u8], &mut Batch);

    /// In the order in which they are asked.
    const FORMATS: [(&str, Recogniser, Decoder); 8] = [
        ("zeek", crate::zeek::recognise, |context, position, bytes, batch| {
            let header = crate::zeek::Header::parse(bytes).unwrap_or_default();
            crate::zeek::decode(context, position, &header, bytes, batch);
        }),
        ("iis", crate::iis::recognise, |context, position, bytes, batch| {
            if let Some(header) = crate::iis::Header::parse(bytes) {
                crate::iis::decode(context, position, &header, bytes, batch);
            }
        }),
        ("cef", crate::cef::recognise, crate::cef::decode),
        ("leef", crate::leef::recognise, crate::leef::decode),
        ("auditd", crate::auditd::recognise, crate::auditd::decode),
        ("weblog", crate::weblog::recognise, crate::weblog::decode),
        ("syslog", crate::syslog::recognise, crate::syslog::decode),
        ("csv", crate::csv::recognise, |context, position, bytes, batch| {
            if let Some(header) = crate::csv::Header::parse(bytes) {
                let mut rest = bytes;
                while let Some(end) = crate::csv::record_end(rest, &header) {
                    assert!(end > 0);
                    rest = &rest[end..];
                }
                crate::csv::decode(context, position, &header, bytes, batch);
            }
        }),
    ];

    /// Samples with the format that is the first to recognise them; several of them contain
    /// another format.
    const SAMPLES: &[(&str, &str)] = &[
        (
            "zeek",
            "#separator \\x09\n#set_separator\t,\n#path\tdns\n#fields\tts\tid.orig_h\tquery\tanswers\n#types\ttime\taddr\tstring\tvector[string]\n1331901000.1\t10.0.0.1\ta\\x2c.example\ta,b\n1331901000.2\t10.0.0.1\tb\t-\n",
        ),
        (
            "iis",
            "#Software: Microsoft Internet Information Services 10.0\r\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query cs(User-Agent) sc-status\r\n2022-07-15 10:11:12 10.0.0.5 GET /a x=1 Mozilla/5.0+(X) 200\r\n",
        ),
        ("iis", "#Fields: date-time,client-ip,subject\n2022-07-15T10:11:12Z,10.0.0.1,\"a, \"\"b\"\"\"\n"),
        (
            "cef",
            "CEF:0|Fortinet|Fortigate|1|2|n \\| m|Low|src=1.2.3.4 act=Add cs1=x y cs1Label=L M rt=1657879872123 msg=a\\nb \\= c\n",
        ),
        ("cef", "<13>Oct 11 22:14:15 relay CEF:0|V|P|1|2|n|Low|msg=a, b, c request=http://x/?a=b\n"),
        ("leef", "LEEF:2.0|V|P|1.0|41|^|src=192.0.2.0^url=http://a/?b=c^devTime=Jul 15 2022 10:11:12\n"),
        ("leef", "Oct 11 22:14:15 relay LEEF:1.0|V|P|1|2|a=b\tc=d e\n"),
        (
            "auditd",
            "type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=59 success=yes exe=\"/bin/cat\" key=6101\x1dSYSCALL=execve\ntype=EXECVE msg=audit(1364481363.243:24287): argc=2 a0=\"cat\" a1=2F74\ntype=USER_CMD msg=audit(1364481363.243:24288): msg='cwd=\"/\" cmd=6C73 res=ok'\ntype=SOCKADDR msg=audit(1364481363.243:24288): saddr=02000050CB007107\n",
        ),
        (
            "weblog",
            "203.0.113.7 - - [15/Jul/2022:10:11:12 +0000] \"GET /a,b?x=\\x22 HTTP/1.1\" 200 5 \"http://r/\" \"UA \\\"q\\\"\" \"10.0.0.1\" 0.1\nvh:80 203.0.113.7 - - [15/Jul/2022:10:11:12 +0000] \"-\" 400 -\n",
        ),
        (
            "weblog",
            "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 1:tid 2] [client 72.15.99.187] no, never\n2022/07/15 10:11:12 [error] 1#0: *1 m, client: 1.2.3.4, server: s, request: \"GET / HTTP/1.1\", host: \"h\"\n",
        ),
        (
            "syslog",
            "<34>Oct 11 22:14:15 m su[1]: a, b\n<165>1 2003-10-11T22:14:15.003Z h app 1 ID [e@1 a=\"b\\\"\"][f] x\nJul 15 10:11:12 web1 sudo: bob : TTY=pts/0 ; USER=root ; COMMAND=id\nJul 15 10:11:12 web1 kernel: IN=e SRC=1.2.3.4 DST=1.2.3.4 PROTO=TCP\n",
        ),
        (
            "syslog",
            "2022-07-15T10:11:12+02:00 p nginx[1]: 203.0.113.7 - - [15/Jul/2022:10:11:12 +0000] \"GET / HTTP/1.1\" 200 5\n2022-07-15T10:11:12+02:00 p sysmon: <Event><System><Provider Name=\"Linux-Sysmon\"/><EventID>1</EventID></System><EventData><Data Name=\"Image\">&lt;a&#x41;</Data></EventData></Event>\n",
        ),
        ("syslog", "date=2019-05-10 time=11:37:47 logid=\"01\" type=\"traffic\" srcip=10.0.0.1 dstport=22\n"),
        (
            "syslog",
            "Jul 15 10:11:12 w audispd: type=CWD msg=audit(1364481363.243:24287): cwd=\"/\"\n<189>29: *Mar  1 18:46:11.123: %SYS-5-CONFIG_I: x\n",
        ),
        (
            "csv",
            "TimeCreated,Id,LogName,ProviderName,Message\r\n7/15/2022 10:11:12 PM,1,Security,P,\"Image: a\r\nb \"\"c\"\"\"\r\n2022-07-15 10:11:12,2,System,P,x\r\n",
        ),
        ("csv", "date;time;c-ip;cs-uri-stem\n2022-07-15;10:11:12;10.0.0.1;/a\n"),
        ("", "2022-07-15T10:11:12Z INFO started, all well\n2022-07-15T10:11:13Z WARN slow\n"),
        ("", "Dear all,\n\nthe type=SYSCALL is not a log [sic] \"here\".\n"),
        ("", "{\"a\":\"CEF:0|\"}\n{\"a\":1}\n"),
        ("", ""),
    ];

    #[test]
    fn each_sample_is_recognised_as_what_it_is() {
        for (expected, sample) in SAMPLES {
            let found = FORMATS.iter().filter(|(_, recognise, _)| recognise(sample.as_bytes()));
            let names: Vec<&str> = found.map(|(name, _, _)| *name).collect();
            assert_eq!(names.first().copied().unwrap_or_default(), *expected, "{names:?} of {sample}");
            // A relay's header makes any carried line syslog's too, for which the order is there.
            let others: Vec<&str> = names.iter().skip(1).copied().filter(|name| *name != "syslog").collect();
            assert!(others.is_empty(), "{names:?} of {sample}");
        }
    }

    #[test]
    fn mutated_samples_do_no_harm() {
        let mut random = testing::Random(0x2022_0715);
        for round in 0..150 {
            for (_, sample) in SAMPLES {
                let mut bytes = sample.as_bytes().to_vec();
                random.mutate(&mut bytes);
                for (name, recognise, decode) in FORMATS {
                    let _ = recognise(&bytes);
                    let events = testing::printed(&bytes, decode);
                    assert!(
                        events.len() <= 64 * bytes.len() * 16 + 64,
                        "{name} in round {round} wrote too much"
                    );
                }
            }
        }
    }

    #[test]
    fn hostile_lines_take_linear_time() {
        let pieces = [
            "=",
            "a=",
            "\"",
            "\\",
            "'",
            "[",
            "]",
            "x='",
            "msg='",
            " ",
            "a0=41 ",
            "aLabel=b ",
            "|",
            "<",
            ",",
            "CEF:0|",
            "a b=c ",
            "[a b=\"",
        ];
        let starts: Vec<&str> = SAMPLES.iter().map(|(_, sample)| sample.trim_end()).collect();
        for start in starts {
            for piece in pieces {
                let line = [start, &piece.repeat(20_000 / piece.len())].concat();
                for (_, recognise, decode) in FORMATS {
                    let _ = recognise(line.as_bytes());
                    let _ = testing::printed(line.as_bytes(), decode);
                }
            }
        }
    }

    #[test]
    fn backslash_sequences() {
        let decoded = |text: &[u8]| {
            let mut out = Vec::new();
            backslash_decode(text, &mut out, true, |c| (c == b'"' || c == b'\\').then_some(c));
            out
        };
        assert_eq!(decoded(br#"a\x2c\"\\\q\x2"#), br#"a,"\\q\x2"#);
        assert_eq!(decoded(br"\"), br"\");
    }
}
