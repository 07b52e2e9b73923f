//! Zeek's tab-separated logs.
//!
//! ```text
//! #separator \x09
//! #set_separator⇥,
//! #empty_field⇥(empty)
//! #unset_field⇥-
//! #path⇥conn
//! #fields⇥ts⇥uid⇥id.orig_h⇥…
//! #types⇥time⇥string⇥addr⇥…
//! 1331901000.123456⇥CHhAvVGS1DHFjwGM9⇥192.168.1.5⇥…
//! ```
//! Fields keep Zeek's names (`id.orig_h`). An unset value is no field, an empty one is an empty
//! text. A set or vector is one field an element. Bytes that would break the format stand as
//! `\xhh` and are decoded, in sets after splitting. `T` and `F` of type `bool` become `true` and
//! `false`, as in Zeek's JSON, for which rules are written.
//!
//! The log is the class: product `zeek`, service is the path (`conn`, `dns` …); `conn` is also
//! of the categories `firewall` and `network_connection`, `dns` of `dns`, `http` of `proxy` and
//! `webserver`.

use besa_event::{Batch, EventTime, FieldId, LogSource, LogSourceId, Span, ValueKind};
use memchr::memchr;

use crate::context::{Context, Position};
use crate::text::{Learnt, Lines, Sink, backslash_decode, hex_decode, is_number, split_at_byte};

/// Columns beyond this are not read.
const COLUMNS_MAX: usize = 4_096;

/// What the `#` lines so far say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    separator: u8,
    set_separator: u8,
    empty_field: Vec<u8>,
    unset_field: Vec<u8>,
    path: Vec<u8>,
    fields: Vec<Vec<u8>>,
    types: Vec<Vec<u8>>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            separator: b'\t',
            set_separator: b',',
            empty_field: b"(empty)".to_vec(),
            unset_field: b"-".to_vec(),
            path: Vec::new(),
            fields: Vec::new(),
            types: Vec::new(),
        }
    }
}

impl Header {
    /// The header at the start of a file, if this is such a file.
    pub(crate) fn parse(sample: &[u8]) -> Option<Self> {
        let mut header = Self::default();
        for (_, line) in Lines::new(sample, 1).take_while(|(_, line)| line.starts_with(b"#")) {
            if let Some(changed) = header.update(line) {
                header = changed;
            }
        }
        (!header.fields.is_empty()).then_some(header)
    }

    /// The header after one more `#` line, if that changes it.
    pub(crate) fn update(&self, line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut changed = self.clone();
        if let Some(separator) = line.strip_prefix(b"#separator ") {
            changed.separator = separator_of(separator)?;
            return (changed != *self).then_some(changed);
        }
        let (name, value) = split_at_byte(line.strip_prefix(b"#")?, self.separator)?;
        let list = || value.split(|b| *b == self.separator).take(COLUMNS_MAX).map(<[u8]>::to_vec).collect();
        match name {
            b"set_separator" => changed.set_separator = separator_of(value)?,
            b"empty_field" => changed.empty_field = value.to_vec(),
            b"unset_field" => changed.unset_field = value.to_vec(),
            b"path" => {
                changed.path = value.get(..value.len().min(64)).unwrap_or_default().to_ascii_lowercase();
            }
            b"fields" => changed.fields = list(),
            b"types" => changed.types = list(),
            _ => return None,
        }
        (changed != *self).then_some(changed)
    }
}

/// One byte, as itself or as `\x09`.
fn separator_of(text: &[u8]) -> Option<u8> {
    match text {
        [byte] => Some(*byte),
        [b'\\', b'x', digits @ ..] => {
            let mut out = Vec::with_capacity(1);
            hex_decode(digits.get(..2)?, &mut out);
            out.first().copied()
        }
        _ => None,
    }
}

/// Whether it starts with a Zeek header that names its columns.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    (sample.starts_with(b"#separator ") || sample.starts_with(b"#fields\t"))
        && Header::parse(sample).is_some()
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
    let mut plan: Option<Plan> = None;
    for (number, line) in Lines::new(bytes, position.first_record) {
        if line.starts_with(b"#") {
            if let Some(changed) = header.update(line) {
                header = changed;
                plan = None;
            }
            continue;
        }
        let plan = plan.get_or_insert_with(|| Plan::new(&mut sink, &header));
        let learnt = plan.row(&mut sink, &header, number, line);
        sink.end(number, line, &learnt);
    }
}

/// What to do with each column, resolved once per header and block.
#[derive(Debug)]
struct Plan {
    columns: Vec<Column>,
    class: LogSourceId,
    truths: [Span; 2],
}

#[derive(Clone, Copy, Debug)]
struct Column {
    name: Option<FieldId>,
    kind: Kind,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    Many,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    None,
    Time,
    Host,
}

impl Plan {
    fn new(sink: &mut Sink<'_>, header: &Header) -> Self {
        let mut columns = Vec::with_capacity(header.fields.len());
        for (index, name) in header.fields.iter().enumerate() {
            let kind = kind_of(header.types.get(index).map_or(b"", Vec::as_slice));
            let role = match name.as_slice() {
                b"ts" => Role::Time,
                b"id.orig_h" => Role::Host,
                _ => Role::None,
            };
            columns.push(Column { name: sink.name(name), kind, role });
        }
        let class = sink.context.sources.intern(class_of(&header.path));
        Self { columns, class, truths: [sink.append(b"false"), sink.append(b"true")] }
    }

    fn row<'l>(&self, sink: &mut Sink<'_>, header: &Header, number: u64, line: &'l [u8]) -> Learnt<'l> {
        let mut learnt = Learnt { class: self.class, ..Learnt::default() };
        let mut found = 0;
        let mut columns = self.columns.iter();
        for value in line.split(|b| *b == header.separator) {
            found += 1;
            let Some(column) = columns.next() else { continue };
            if value == header.unset_field {
                continue;
            }
            match column.role {
                Role::Time => {
                    learnt.time = EventTime::parse_unix(value).or_else(|| EventTime::parse_iso(value));
                }
                Role::Host => learnt.host = value,
                Role::None => {}
            }
            self.push(sink, header, column, value);
        }
        if found != self.columns.len() {
            let expected = self.columns.len();
            sink.defect(number, format!("line has {found} of {expected} columns"));
        }
        learnt
    }

    fn push(&self, sink: &mut Sink<'_>, header: &Header, column: &Column, value: &[u8]) {
        let name = column.name;
        if value == header.empty_field {
            return sink.push(name, b"");
        }
        let [no, yes] = self.truths;
        match (column.kind, value) {
            (Kind::Truth, b"T") => sink.push_span(name, ValueKind::Boolean, yes),
            (Kind::Truth, b"F") => sink.push_span(name, ValueKind::Boolean, no),
            (Kind::Number, _) if is_number(value) => sink.push_number(name, value),
            (Kind::Many, _) => {
                for element in value.split(|b| *b == header.set_separator) {
                    push_text(sink, name, element);
                }
            }
            _ => push_text(sink, name, value),
        }
    }
}

fn push_text(sink: &mut Sink<'_>, name: Option<FieldId>, value: &[u8]) {
    if memchr(b'\\', value).is_none() {
        return sink.push(name, value);
    }
    sink.push_decoded(name, |out| {
        backslash_decode(value, out, true, |escaped| (escaped == b'\\').then_some(b'\\'));
    });
}

fn kind_of(name: &[u8]) -> Kind {
    match name {
        b"count" | b"int" | b"double" | b"port" | b"interval" | b"time" => Kind::Number,
        b"bool" => Kind::Truth,
        _ if name.starts_with(b"set[") || name.starts_with(b"vector[") || name.starts_with(b"table[") => {
            Kind::Many
        }
        _ => Kind::Text,
    }
}

/// The class of a Zeek log by its path (`conn`, `dns` …), whatever it is written as.
pub(crate) fn class_of(path: &[u8]) -> LogSource {
    let categories: &[&str] = match path {
        b"conn" => &["firewall", "network_connection"],
        b"dns" => &["dns"],
        b"http" => &["proxy", "webserver"],
        _ => &[],
    };
    let service = String::from_utf8_lossy(path);
    let services: &[&str] = if service.is_empty() { &[] } else { &[&service] };
    LogSource::new("zeek", services, categories)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::text::testing::printed;

    fn check(lines: &[&str], expected: &Expect) {
        let text = lines.join("\n");
        let header = Header::parse(text.as_bytes()).unwrap();
        let found = printed(text.as_bytes(), |context, position, bytes, batch| {
            decode(context, position, &header, bytes, batch);
        });
        expected.assert_eq(&found);
    }

    #[test]
    fn types_escapes_and_a_header_that_changes() {
        check(
            &[
                r"#separator \x09",
                "#set_separator\t,",
                "#empty_field\t(empty)",
                "#unset_field\t-",
                "#path\tconn",
                "#open\t2022-07-15-10-11-12",
                "#fields\tts\tuid\tid.orig_h\tid.resp_p\tlocal_orig\tservice\ttunnel_parents",
                "#types\ttime\tstring\taddr\tport\tbool\tstring\tset[string]",
                "1331901000.123456\tCHh\t192.168.1.5\t80\tT\t-\ta\\x2cb,c",
                "1331901000.5\tC\\x09\\\\x\tfe80::1\t0\tF\t(empty)\t(empty)",
                "1331901000.5\ttorn",
                "#close\t2022-07-15-10-11-13",
                "#path\tdns",
                "#fields\tts\tquery",
                "#types\ttime\tstring",
                "1331901001.000000\texample.org",
            ],
            &expect![[r#"
                9 2012-03-16T12:30:00.123456Z stated host=192.168.1.5 zeek/conn/firewall,network_connection
                  ts=#1331901000.123456
                  uid=CHh
                  id.orig_h=192.168.1.5
                  id.resp_p=#80
                  local_orig=#true
                  tunnel_parents=a,b
                  tunnel_parents=c
                  src_ip=192.168.1.5
                  dst_port=#80
                10 2012-03-16T12:30:00.500Z stated host=fe80::1 zeek/conn/firewall,network_connection
                  ts=#1331901000.5
                  uid=C\t\\x
                  id.orig_h=fe80::1
                  id.resp_p=#0
                  local_orig=#false
                  service=
                  tunnel_parents=
                  src_ip=fe80::1
                  dst_port=#0
                11 2012-03-16T12:30:00.500Z stated host= zeek/conn/firewall,network_connection
                  ts=#1331901000.5
                  uid=torn
                16 2012-03-16T12:30:01.000000Z stated host= zeek/dns/dns
                  ts=#1331901001.000000
                  query=example.org
                t record 11: line has 2 of 7 columns
            "#]],
        );
    }

    #[test]
    fn a_comma_may_separate() {
        check(
            &[r"#separator \x2c", "#fields,ts,note", "1331901000,x"],
            &expect![[r#"
            3 2012-03-16T12:30:00Z stated host= zeek//
              ts=1331901000
              note=x
        "#]],
        );
    }
}
