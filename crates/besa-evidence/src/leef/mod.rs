//! IBM QRadar's Log Event Extended Format 1.0 and 2.0, bare and behind syslog headers.
//!
//! ```text
//! LEEF:1.0|Microsoft|MSExchange|4.0 SP1|15345|src=192.0.2.0⇥dst=172.50.123.1⇥sev=5
//! LEEF:2.0|Lancope|StealthWatch|1.0|41|^|src=192.0.2.0^dst=172.50.123.1^sev=5
//! ```
//! Fields: `vendor`, `product`, `version`, `eventID`, then the attributes under their own names.
//! Version 2.0 may state the delimiter, as itself or as `x09`, `0x09`; without one it is a tab.
//! Some senders of 1.0 write spaces instead of tabs; a record without any tab is split as CEF's
//! extension is. Values hold no escapes.
//!
//! Time is `devTime`, in any of the shapes that `text::time` knows.

use besa_event::{Batch, LogSourceId};
use memchr::memchr;

use crate::cef::{self, SecondNames};
use crate::context::{Context, Position};
use crate::text::{Classes, Learnt, Sink, hex_digit, most_lines, names, split_at_byte, time};

/// How far into a line a syslog header may reach.
const PREFIX_LEN_MAX: usize = 512;

names! {
    vendor = "vendor",
    product = "product",
    version = "version",
    event_id = "eventID",
}

/// Whether most lines are LEEF, bare or behind a syslog header.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    most_lines(sample, |line| {
        let head = line.get(..line.len().min(PREFIX_LEN_MAX)).unwrap_or_default();
        cef::start(head, b"LEEF:").and_then(|at| line.get(at..)).is_some_and(|text| header(text).is_some())
    })
}

/// Decodes whole lines.
pub(crate) fn decode(context: &Context<'_>, position: Position, bytes: &[u8], batch: &mut Batch) {
    // Lines differ in nothing but the mark, which the shared reader looks for.
    cef::decode(context, position, bytes, batch);
}

struct Record<'a> {
    parts: [&'a [u8]; 4],
    delimiter: u8,
    attributes: &'a [u8],
}

fn header(text: &[u8]) -> Option<Record<'_>> {
    let rest = text.strip_prefix(b"LEEF:")?;
    let (format, mut rest) = split_at_byte(rest, b'|')?;
    if !matches!(format.trim_ascii(), b"1.0" | b"2.0" | b"1" | b"2") {
        return None;
    }
    let mut parts = [&b""[..]; 4];
    for part in &mut parts {
        (*part, rest) = split_at_byte(rest, b'|')?;
    }
    let stated = if format.starts_with(b"2") { split_at_byte(rest, b'|') } else { None };
    let stated = stated.and_then(|(delimiter, attributes)| Some((delimiter_of(delimiter)?, attributes)));
    let (delimiter, attributes) = stated.unwrap_or((b'\t', rest));
    Some(Record { parts, delimiter, attributes })
}

/// One byte, or its number as `x09` or `0x09`; nothing means a tab.
fn delimiter_of(text: &[u8]) -> Option<u8> {
    match text {
        [] => Some(b'\t'),
        [byte] => Some(*byte),
        [b'0', b'x' | b'X', digits @ ..] | [b'x' | b'X' | b'\\', digits @ ..] => {
            let digits = digits.strip_prefix(b"x").unwrap_or(digits);
            match digits {
                b"t" => Some(b'\t'),
                [low] => hex_digit(*low),
                [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Reads LEEF records, also for readers of logs that carry them.
#[derive(Debug)]
pub(crate) struct Decoder<'b> {
    names: Names,
    second: SecondNames,
    classes: Classes<'static>,
    pairs: Vec<(&'b [u8], &'b [u8])>,
}

impl<'b> Decoder<'b> {
    pub(crate) fn new(sink: &mut Sink<'_>) -> Self {
        Self {
            names: Names::new(sink),
            second: SecondNames::new(sink),
            classes: cef::product_classes(),
            pairs: Vec::new(),
        }
    }

    /// Adds the fields of the record that starts `text`; adds nothing if none does.
    pub(crate) fn record(&mut self, sink: &mut Sink<'_>, text: &'b [u8]) -> Option<Learnt<'b>> {
        let record = header(text)?;
        let names = self.names;
        for (id, part) in
            [names.vendor, names.product, names.version, names.event_id].into_iter().zip(record.parts)
        {
            sink.push(id, part);
        }
        let [vendor, product, ..] = record.parts;
        let class = cef::product_class(sink, &mut self.classes, vendor, product);
        let mut learnt = Learnt { class, ..Learnt::default() };
        self.split(&record);
        for (key, value) in &self.pairs {
            let id = sink.name(key);
            sink.push(id, value);
            if class != LogSourceId::default() {
                self.second.push(sink, key, value);
            }
            match *key {
                b"devTime" => learnt.time = time::any(value, sink.context.reference),
                b"identHostName" => learnt.host = value,
                _ => {}
            }
        }
        Some(learnt)
    }

    fn split(&mut self, record: &Record<'b>) {
        if record.delimiter == b'\t' && memchr(b'\t', record.attributes).is_none() {
            return cef::pairs(record.attributes, &mut self.pairs);
        }
        self.pairs.clear();
        let attributes = record.attributes.split(|b| *b == record.delimiter);
        let pairs = attributes.filter_map(|attribute| split_at_byte(attribute, b'='));
        self.pairs
            .extend(pairs.map(|(key, value)| (key.trim_ascii(), value)).filter(|(key, _)| !key.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::text::testing::printed;

    fn check(lines: &[&str], expected: &Expect) {
        expected.assert_eq(&printed(lines.join("\n").as_bytes(), decode));
    }

    #[test]
    fn records() {
        check(
            &[
                "LEEF:1.0|Microsoft|MSExchange|4.0 SP1|15345|src=192.0.2.0\tdst=172.50.123.1\tsev=5\tdevTime=Jul 15 2022 10:11:12",
                "LEEF:2.0|Lancope|StealthWatch|1.0|41|^|src=192.0.2.0^dst=172.50.123.1^url=http://a/?b=c",
                "LEEF:2.0|Cisco|ASA|1.0|41|0x09|src=192.0.2.0\tdstPort=22\tidentHostName=fw1",
                "LEEF:2.0|V|P|1.0|41|src=192.0.2.0\tx=1",
                "LEEF:1.0|V|P|1.0|41|src=192.0.2.0 msg=with spaces",
                "<13>Oct 11 22:14:15 relay LEEF:1.0|V|P|1|2|a=b",
            ],
            &expect![[r#"
                1 2022-07-15T10:11:12Z assumed host= //
                  vendor=Microsoft
                  product=MSExchange
                  version=4.0 SP1
                  EventID=15345
                  src=192.0.2.0
                  dst=172.50.123.1
                  sev=5
                  devTime=Jul 15 2022 10:11:12
                2 - host= //
                  vendor=Lancope
                  product=StealthWatch
                  version=1.0
                  EventID=41
                  src=192.0.2.0
                  dst=172.50.123.1
                  url=http://a/?b=c
                3 - host=fw1 cisco/aaa,bgp,ldp/firewall
                  vendor=Cisco
                  product=ASA
                  version=1.0
                  EventID=41
                  src=192.0.2.0
                  src_ip=192.0.2.0
                  dstPort=22
                  dst_port=22
                  identHostName=fw1
                4 - host= //
                  vendor=V
                  product=P
                  version=1.0
                  EventID=41
                  src=192.0.2.0
                  x=1
                5 - host= //
                  vendor=V
                  product=P
                  version=1.0
                  EventID=41
                  src=192.0.2.0
                  msg=with spaces
                6 2022-10-11T22:14:15Z assumed-year host=relay //
                  facility=user
                  severity=notice
                  hostname=relay
                  message=LEEF:1.0|V|P|1|2|a=b
                  vendor=V
                  product=P
                  version=1
                  EventID=2
                  a=b
            "#]],
        );
    }
}
