//! ArcSight Common Event Format, in files of its own and behind syslog headers.
//!
//! ```text
//! CEF:0|Security|threatmanager|1.0|100|worm stopped|10|src=10.0.0.1 dst=2.1.2.2 spt=1232 msg=a b cs1=x cs1Label=Rule
//! ```
//! Fields have the format's own names: `deviceVendor`, `deviceProduct`, `deviceVersion`,
//! `deviceEventClassId`, `name`, `severity`, then the extension's keys. A custom field
//! (`cs1=x cs1Label=Rule`) is a field of its label's name as well.
//!
//! Values of the extension hold spaces; a value ends where a space and a word with `=` follow.
//! Senders often forget to escape `=` in URLs, so a word with other bytes than a key may have
//! belongs to the value. `\=`, `\\`, `\|`, `\n` and `\r` are decoded.
//!
//! The class follows from vendor and product where SigmaHQ has rules for them; then `src`, `dst`
//! and the like also have Sigma's names, if rules ask for those.

use besa_event::{Batch, EventTime, LogSourceId};
use memchr::{memchr_iter, memrchr};

use crate::context::{Context, Position};
use crate::syslog;
use crate::text::{
    Class, Classes, Learnt, Lines, Sink, backslash_decode, contains_ignore_case, is_digits, most_lines,
    names, split_at_byte, split_at_text, time,
};

/// Custom fields whose labels are followed up in one event; the standard defines 21.
const LABELS_MAX: usize = 64;

/// How far into a line a syslog header may reach.
const PREFIX_LEN_MAX: usize = 512;

/// Vendor, product (both contained in the record's, in any case), and row of [`CLASSES`].
const PRODUCTS: &[(&[u8], &[u8], usize)] = &[
    (b"fortinet", b"fortigate", 0),
    (b"palo alto", b"", 1),
    (b"cisco", b"", 2),
    (b"juniper", b"", 3),
    (b"huawei", b"", 4),
    (b"check point", b"", FIREWALL),
    (b"sonicwall", b"", FIREWALL),
    (b"sophos", b"firewall", FIREWALL),
    (b"zscaler", b"", PROXY),
    (b"blue", b"proxysg", PROXY),
    (b"symantec", b"proxysg", PROXY),
    (b"skyhigh", b"web gateway", PROXY),
    (b"mcafee", b"web gateway", PROXY),
    (b"squid", b"", PROXY),
    (b"forcepoint", b"security", PROXY),
    (b"imperva", b"", WEBSERVER),
    (b"incapsula", b"", WEBSERVER),
    (b"f5", b"asm", WEBSERVER),
];

const FIREWALL: usize = 5;
const PROXY: usize = 6;
const WEBSERVER: usize = 7;
const CLASSES: &[Class] = &[
    Class { product: "fortigate", services: &["event", "traffic"], categories: &["firewall"] },
    Class { product: "paloalto", services: &["globalprotect"], categories: &["firewall"] },
    Class { product: "cisco", services: &["aaa", "bgp", "ldp"], categories: &["firewall"] },
    Class { product: "juniper", services: &["bgp"], categories: &["firewall"] },
    Class { product: "huawei", services: &["bgp"], categories: &["firewall"] },
    Class { product: "", services: &[], categories: &["firewall"] },
    Class { product: "", services: &[], categories: &["proxy"] },
    Class { product: "", services: &[], categories: &["webserver"] },
];

/// The format's key, and Sigma's name of the same.
pub(crate) const SECOND_NAMES: &[(&[u8], &str)] = &[
    (b"src", "src_ip"),
    (b"dst", "dst_ip"),
    (b"spt", "src_port"),
    (b"dpt", "dst_port"),
    (b"srcPort", "src_port"),
    (b"dstPort", "dst_port"),
    (b"act", "action"),
    (b"request", "c-uri"),
    (b"request", "cs-uri"),
    (b"request", "cs-uri-query"),
    (b"url", "c-uri"),
    (b"requestMethod", "cs-method"),
    (b"requestClientApplication", "c-useragent"),
    (b"requestClientApplication", "cs-user-agent"),
    (b"requestContext", "cs-referer"),
    (b"dhost", "cs-host"),
    (b"dhost", "r-dns"),
];

names! {
    vendor = "deviceVendor",
    product = "deviceProduct",
    version = "deviceVersion",
    signature = "deviceEventClassId",
    name = "name",
    severity = "severity",
}

/// Whether most lines are CEF, bare or behind a syslog header.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    most_lines(sample, |line| {
        let head = line.get(..line.len().min(PREFIX_LEN_MAX)).unwrap_or_default();
        start(head, b"CEF:").and_then(|at| line.get(at..)).is_some_and(|text| header(text).is_some())
    })
}

/// Where `CEF:` or `LEEF:` with a version stands, at the start or behind a space.
pub(crate) fn start(head: &[u8], mark: &[u8]) -> Option<usize> {
    let (before, after) = split_at_text(head, mark)?;
    let fits = before.last().is_none_or(|b| matches!(b, b' ' | b':' | b'\t'));
    (fits && after.first().is_some_and(u8::is_ascii_digit)).then_some(before.len())
}

/// Decodes whole lines.
pub(crate) fn decode(context: &Context<'_>, position: Position, bytes: &[u8], batch: &mut Batch) {
    let mut sink = Sink::new(context, bytes, batch);
    let mut decoder = syslog::Decoder::new(&mut sink);
    for (number, line) in Lines::new(bytes, position.first_record) {
        let learnt = match decoder.carried(&mut sink, line) {
            Some(learnt) => learnt,
            None if line.starts_with(b"CEF:") || line.starts_with(b"LEEF:") => {
                sink.defect(number, "header ends before its last part (torn line)".to_owned());
                Learnt::default()
            }
            None => decoder.line(&mut sink, line),
        };
        sink.end(number, line, &learnt);
    }
}

/// The seven parts before the extension, still escaped, and the extension.
struct Record<'a> {
    parts: [&'a [u8]; 6],
    extension: &'a [u8],
}

fn header(text: &[u8]) -> Option<Record<'_>> {
    let rest = text.strip_prefix(b"CEF:")?;
    let (version, mut rest) = split_at_byte(rest, b'|')?;
    if version.len() > 4 || !is_digits(version.trim_ascii()) {
        return None;
    }
    let mut parts = [&b""[..]; 6];
    for (index, part) in parts.iter_mut().enumerate() {
        match unescaped_pipe(rest) {
            Some(at) => {
                *part = rest.get(..at)?;
                rest = rest.get(at + 1..)?;
            }
            // The pipe before an empty extension is forgotten at times.
            None if index == 5 => {
                *part = rest;
                rest = b"";
            }
            None => return None,
        }
    }
    Some(Record { parts, extension: rest })
}

fn unescaped_pipe(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'|', b'\\', text.get(from..)?)?;
        if text.get(at) == Some(&b'|') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// Reads CEF records, also for readers of logs that carry them.
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
            classes: Classes::new(CLASSES),
            pairs: Vec::new(),
        }
    }

    /// Adds the fields of the record that starts `text`; adds nothing if none does.
    pub(crate) fn record(&mut self, sink: &mut Sink<'_>, text: &'b [u8]) -> Option<Learnt<'b>> {
        let record = header(text)?;
        let names = self.names;
        let ids = [names.vendor, names.product, names.version, names.signature, names.name, names.severity];
        for (id, part) in ids.into_iter().zip(record.parts) {
            push(sink, id, part);
        }
        let [vendor, product, ..] = record.parts;
        let class = product_class(sink, &mut self.classes, vendor, product);
        pairs(record.extension, &mut self.pairs);
        let mut learnt = Learnt { class, ..Learnt::default() };
        for (key, value) in &self.pairs {
            let id = sink.name(key);
            push(sink, id, value);
            if class != LogSourceId::default() {
                self.second.push(sink, key, value);
            }
            if key.eq_ignore_ascii_case(b"dvchost") || (learnt.host.is_empty() && *key == b"dvc") {
                learnt.host = value;
            }
        }
        self.labelled(sink);
        learnt.time = self.time(sink);
        Some(learnt)
    }

    /// `cs1=x cs1Label=Rule` is the field `Rule` too.
    fn labelled(&self, sink: &mut Sink<'_>) {
        let labels = self.pairs.iter().filter_map(|(key, label)| Some((key.strip_suffix(b"Label")?, *label)));
        for (key, label) in labels.filter(|(_, label)| !label.is_empty()).take(LABELS_MAX) {
            if let Some((_, value)) = self.pairs.iter().find(|(known, _)| *known == key) {
                let id = sink.name(label);
                push(sink, id, value);
            }
        }
    }

    fn time(&self, sink: &Sink<'_>) -> Option<EventTime> {
        const KEYS: &[&[u8]] = &[b"rt", b"end", b"start", b"deviceReceiptTime", b"devTime"];
        let value =
            |wanted: &&[u8]| self.pairs.iter().find(|(key, _)| key == wanted).map(|(_, value)| *value);
        KEYS.iter().filter_map(value).find_map(|text| time::any(text, sink.context.reference))
    }
}

/// The class of a vendor's product; unknown if SigmaHQ has no rules for it.
pub(crate) fn product_class(
    sink: &Sink<'_>,
    classes: &mut Classes<'_>,
    vendor: &[u8],
    product: &[u8],
) -> LogSourceId {
    let short = |text: &[u8]| text.len() <= 64;
    if !short(vendor) || !short(product) {
        return LogSourceId::default();
    }
    let row = PRODUCTS.iter().find(|(known_vendor, known_product, _)| {
        contains_ignore_case(vendor, known_vendor) && contains_ignore_case(product, known_product)
    });
    row.map_or(LogSourceId::default(), |(_, _, row)| classes.id(sink.context, *row))
}

/// The classes that [`product_class`] chooses from.
pub(crate) fn product_classes() -> Classes<'static> {
    Classes::new(CLASSES)
}

/// Those of [`SECOND_NAMES`] that rules ask for.
#[derive(Debug)]
pub(crate) struct SecondNames {
    ids: Vec<(&'static [u8], besa_event::FieldId)>,
}

impl SecondNames {
    pub(crate) fn new(sink: &Sink<'_>) -> Self {
        let wanted = |(key, name): &(&'static [u8], &str)| Some((*key, sink.known(name.as_bytes())?));
        Self { ids: SECOND_NAMES.iter().filter_map(wanted).collect() }
    }

    /// Adds the value of `key` under the names that rules ask for. Fortinet puts `FTNTFGT` before
    /// the names of its own log format, for which SigmaHQ has its rules.
    pub(crate) fn push(&self, sink: &mut Sink<'_>, key: &[u8], value: &[u8]) {
        for (_, id) in self.ids.iter().filter(|(known, _)| *known == key) {
            push(sink, Some(*id), value);
        }
        if let Some(own) = key.strip_prefix(b"FTNTFGT") {
            let id = sink.made(own);
            push(sink, id, value);
        }
    }
}

/// Splits an extension into keys and values.
pub(crate) fn pairs<'b>(extension: &'b [u8], out: &mut Vec<(&'b [u8], &'b [u8])>) {
    out.clear();
    // Where the key that is being read for began, its text, and where its value starts.
    let mut open: Option<(&[u8], usize)> = None;
    let mut searched = 0;
    for at in memchr_iter(b'=', extension) {
        // Only what lies behind the last `=` is searched, so that a line of `=` costs no more.
        let before = extension.get(searched..at).unwrap_or_default();
        let start = memrchr(b' ', before).map(|space| searched + space + 1);
        let is_first = open.is_none();
        searched = at + 1;
        let Some(start) = start.or(is_first.then_some(0)) else { continue };
        let key = extension.get(start..at).unwrap_or_default();
        if !is_key(key) {
            continue;
        }
        if let Some((key, from)) = open {
            out.push((key, extension.get(from..start).unwrap_or_default().trim_ascii()));
        }
        open = Some((key, at + 1));
    }
    if let Some((key, from)) = open {
        out.push((key, extension.get(from..).unwrap_or_default().trim_ascii()));
    }
}

fn is_key(key: &[u8]) -> bool {
    let in_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']' | b'@');
    !key.is_empty() && key.len() <= 128 && key.iter().all(in_key)
}

fn push(sink: &mut Sink<'_>, name: Option<besa_event::FieldId>, value: &[u8]) {
    sink.push_escaped(name, b'\\', value, |value, out| {
        let escapes = escapes_backslashes(value);
        backslash_decode(value, out, false, |escaped| match escaped {
            b'=' | b'|' => Some(escaped),
            b'\\' if escapes => Some(escaped),
            b'n' if escapes => Some(b'\n'),
            b'r' if escapes => Some(b'\r'),
            _ => None,
        });
    });
}

/// Whether the sender escapes backslashes. Many do not and write `C:\Windows\notepad.exe`; one
/// sequence that the format does not have gives them away, and then `\n` is no line end.
fn escapes_backslashes(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((_, escape)) = split_at_byte(rest, b'\\') {
        let Some((first, after)) = escape.split_first() else { return true };
        if !matches!(first, b'=' | b'|' | b'\\' | b'n' | b'r') {
            return false;
        }
        rest = after;
    }
    true
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
                r"CEF:0|security|threat\|manager|1.0|100|detected a \\ in message|10|src=10.0.0.1 act=blocked a | dst=1.1.1.1 msg=two\nlines and a\=b",
                "CEF:0|Fortinet|Fortigate|v6.0.3|44547|event:system|3|deviceExternalId=FG1 dvchost=fw1 FTNTFGTcfgpath=user.local act=Add cs1=a value cs1Label=Rule Name start=1657879872123",
                r"CEF:0|Zscaler|NSSWeblog|5.5|Allowed|Allowed|3|request=http://x.example/?a=1&b=2 fname=C:\Windows\notepad.exe requestClientApplication=curl/7 dhost=x.example",
                "<13>Oct 11 22:14:15 relay CEF:0|V|P|1|2|n|Low|",
                "CEF:0|V|P|1|2|n|Low",
                "CEF:0|torn",
            ],
            &expect![[r#"
                1 - host= //
                  deviceVendor=security
                  deviceProduct=threat|manager
                  deviceVersion=1.0
                  deviceEventClassId=100
                  name=detected a \\ in message
                  severity=10
                  src=10.0.0.1
                  act=blocked a |
                  dst=1.1.1.1
                  msg=two\nlines and a=b
                2 2022-07-15T10:11:12.123Z stated host=fw1 fortigate/event,traffic/firewall
                  deviceVendor=Fortinet
                  deviceProduct=Fortigate
                  deviceVersion=v6.0.3
                  deviceEventClassId=44547
                  name=event:system
                  severity=3
                  deviceExternalId=FG1
                  dvchost=fw1
                  FTNTFGTcfgpath=user.local
                  cfgpath=user.local
                  act=Add
                  action=Add
                  cs1=a value
                  cs1Label=Rule Name
                  start=1657879872123
                  Rule Name=a value
                3 - host= //proxy
                  deviceVendor=Zscaler
                  deviceProduct=NSSWeblog
                  deviceVersion=5.5
                  deviceEventClassId=Allowed
                  name=Allowed
                  severity=3
                  request=http://x.example/?a=1&b=2
                  c-uri=http://x.example/?a=1&b=2
                  cs-uri=http://x.example/?a=1&b=2
                  cs-uri-query=http://x.example/?a=1&b=2
                  fname=C:\\Windows\\notepad.exe
                  requestClientApplication=curl/7
                  c-useragent=curl/7
                  cs-user-agent=curl/7
                  dhost=x.example
                  cs-host=x.example
                  r-dns=x.example
                4 2022-10-11T22:14:15Z assumed-year host=relay //
                  facility=user
                  severity=notice
                  hostname=relay
                  message=CEF:0|V|P|1|2|n|Low|
                  deviceVendor=V
                  deviceProduct=P
                  deviceVersion=1
                  deviceEventClassId=2
                  name=n
                  severity=Low
                5 - host= //
                  deviceVendor=V
                  deviceProduct=P
                  deviceVersion=1
                  deviceEventClassId=2
                  name=n
                  severity=Low
                6 - host= //
                t record 6: header ends before its last part (torn line)
            "#]],
        );
    }
}
