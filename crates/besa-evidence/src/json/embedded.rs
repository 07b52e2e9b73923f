//! Documents inside strings: JSON and XML that exports carry as text (`EventData` of Microsoft
//! Sentinel, `CloudTrailEvent` of `aws cloudtrail lookup-events`, `_raw` of Splunk).
//!
//! Only paths that the catalogue names are looked into, one level deep. Text that does not parse
//! stays the text it is.

use besa_event::{Batch, ValueKind, json_unescape};

use super::names::{Name, Names};
use super::parse::Parser;
use super::record::{Record, Slot, Source};
use super::shapes::Role;
use crate::context::Context;

pub(super) fn expand(
    context: &Context<'_>,
    block: &[u8],
    names: &mut Names,
    record: &mut Record,
    path: &mut Vec<u8>,
    batch: &mut Batch,
) {
    // The buffers are taken out, because what is found in them is added to the record.
    let inner = std::mem::take(&mut record.inner);
    let mut embedded = std::mem::take(&mut record.embedded);
    for part in &inner {
        let text = block.get(part.start..part.end).unwrap_or_default();
        // An escaped `<` is told only when it has been unescaped.
        if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[' | b'<' | b'\\')) {
            continue;
        }
        let begin = embedded.len();
        json_unescape(text, &mut embedded);
        let document = embedded.get(begin..).unwrap_or_default();
        path.clear();
        path.extend_from_slice(part.prefix.as_bytes());
        match document.trim_ascii_start().first() {
            Some(b'{' | b'[') => {
                let space = document.len() - document.trim_ascii_start().len();
                json(context, document, begin, space, names, record, path, batch);
            }
            Some(b'<') => {
                let xml = document.to_vec();
                embedded.truncate(begin);
                let mut reader = Xml { context, names, record, path, batch, out: &mut embedded };
                reader.event(&xml);
            }
            _ => embedded.truncate(begin),
        }
    }
    record.inner = inner;
    record.embedded = embedded;
}

#[allow(clippy::too_many_arguments, reason = "the parts of one decoder, borrowed apart")]
fn json(
    context: &Context<'_>,
    document: &[u8],
    base: usize,
    space: usize,
    names: &mut Names,
    record: &mut Record,
    path: &mut Vec<u8>,
    batch: &mut Batch,
) {
    let has_prefix = !path.is_empty();
    let mut parser = Parser::new(context, document, None, names, record, path, batch).embedded(base);
    // A fault ends the document and not the record: what was found in it before stands.
    let _ = if has_prefix { parser.value_of_path(space) } else { parser.record(space) };
}

/// Windows events as XML, as far as exports hold them: elements with text, `Data` with a `Name`,
/// attributes of `System`'s elements.
struct Xml<'a> {
    context: &'a Context<'a>,
    names: &'a mut Names,
    record: &'a mut Record,
    path: &'a mut Vec<u8>,
    batch: &'a mut Batch,
    /// Unescaped values, to which roles point.
    out: &'a mut Vec<u8>,
}

impl Xml<'_> {
    fn event(&mut self, xml: &[u8]) {
        let mut section = b"EventData".as_slice();
        let mut rest = xml;
        while let Some((tag, behind)) = next_tag(rest) {
            rest = behind;
            let (element, attributes) = split_tag(tag);
            if matches!(element, b"System" | b"EventData" | b"UserData") {
                section = element;
                continue;
            }
            if tag.starts_with(b"/") || tag.starts_with(b"?") || element == b"Event" {
                continue;
            }
            let text = match tag.ends_with(b"/") {
                true => b"".as_slice(),
                false => rest.split(|byte| *byte == b'<').next().unwrap_or_default(),
            };
            let has_children =
                !tag.ends_with(b"/") && !is_closing(rest.get(text.len()..).unwrap_or_default());
            self.element(section, element, attributes, text, has_children);
        }
    }

    fn element(
        &mut self,
        section: &[u8],
        element: &[u8],
        attributes: &[u8],
        text: &[u8],
        has_children: bool,
    ) {
        let mut has_attributes = false;
        let mut name = element.to_vec();
        for (attribute, value) in Attributes(attributes) {
            if attribute == b"xmlns" {
                continue;
            }
            if element == b"Data" && attribute == b"Name" {
                name.clear();
                unescape(value, &mut name);
                continue;
            }
            has_attributes = true;
            self.field(&[b"Event.", section, b".", element, b".@", attribute], value);
        }
        if !(has_children || has_attributes && text.is_empty()) {
            self.field(&[b"Event.", section, b".", &name], text);
        }
    }

    fn field(&mut self, path: &[&[u8]], text: &[u8]) {
        self.path.clear();
        path.iter().for_each(|part| self.path.extend_from_slice(part));
        let found = self.names.find_path(self.context, self.path, self.batch);
        let Name { field, role, .. } = self.names.name(found);
        let begin = self.out.len();
        unescape(text, self.out);
        if !matches!(role, Role::None | Role::PairName | Role::PairText | Role::Namespace) {
            self.record.fill(role, Slot::new(Source::Embedded, ValueKind::Text, &(begin..self.out.len())));
        }
        if let Some(field) = field {
            let span = self.batch.append(self.out.get(begin..).unwrap_or_default());
            self.batch.push_field(field, ValueKind::Text, span);
        }
    }
}

/// The inside of the next tag, and what follows it.
fn next_tag(xml: &[u8]) -> Option<(&[u8], &[u8])> {
    let begin = memchr::memchr(b'<', xml)? + 1;
    let rest = xml.get(begin..)?;
    let len = memchr::memchr(b'>', rest)?;
    Some((rest.get(..len)?, rest.get(len + 1..)?))
}

fn is_closing(rest: &[u8]) -> bool {
    rest.starts_with(b"</")
}

fn split_tag(tag: &[u8]) -> (&[u8], &[u8]) {
    let tag = tag.strip_suffix(b"/").unwrap_or(tag);
    let len = tag.iter().position(u8::is_ascii_whitespace).unwrap_or(tag.len());
    tag.split_at_checked(len).unwrap_or_default()
}

/// `name="value"` or `name='value'`.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_ascii_start();
        let equals = memchr::memchr(b'=', text)?;
        let name = text.get(..equals)?.trim_ascii();
        let value = text.get(equals + 1..)?.trim_ascii_start();
        let quote = *value.first()?;
        let value = value.get(1..)?;
        let len = memchr::memchr(quote, value)?;
        self.0 = value.get(len + 1..)?;
        Some((name, value.get(..len)?))
    }
}

/// The five named entities and character references (XML 1.0 section 4.1, 4.6).
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (before, entity) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(before);
        let len = entity.iter().take(12).position(|byte| *byte == b';').unwrap_or(0);
        let character = match entity.get(1..len.max(1)).unwrap_or_default() {
            b"lt" => Some('<'),
            b"gt" => Some('>'),
            b"amp" => Some('&'),
            b"quot" => Some('"'),
            b"apos" => Some('\''),
            reference => reference.strip_prefix(b"#").and_then(character),
        };
        match character {
            Some(character) => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = entity.get(len + 1..).unwrap_or_default();
            }
            None => {
                out.push(b'&');
                rest = entity.get(1..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
}

fn character(number: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(number).ok()?;
    let code = match text.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => text.parse().ok()?,
    };
    char::from_u32(code)
}
