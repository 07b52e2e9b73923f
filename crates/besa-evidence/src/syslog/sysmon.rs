//! Sysmon for Linux, which writes its events to syslog as XML on one line.
//!
//! ```text
//! sysmon: <Event><System><Provider Name="Linux-Sysmon" …/><EventID>1</EventID>…<Computer>web1</Computer>…</System>
//!         <EventData><Data Name="Image">/usr/bin/id</Data>…</EventData></Event>
//! ```
//! The text is the program's own fixed shape, so it is scanned for the few elements that count
//! and not parsed as XML at large. Fields have the names of the Windows event log's.

use besa_event::{EventTime, LogSourceId};
use memchr::memmem;

use crate::text::{Learnt, Sink, split_at_byte, split_at_text};

/// Event ids whose class is remembered; Sysmon for Linux has about ten.
const KNOWN_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    known: Vec<(Vec<u8>, LogSourceId)>,
}

impl Decoder {
    /// Adds the fields of an event; adds nothing if the message is none.
    pub(super) fn event<'l>(&mut self, sink: &mut Sink<'_>, text: &'l [u8]) -> Option<Learnt<'l>> {
        if !text.starts_with(b"<Event") {
            return None;
        }
        let (system, data) = split_at_text(text, b"</System>")?;
        let event_id = element(system, b"<EventID>")?;
        let provider = attribute(system, b"<Provider Name=\"")?;
        memmem::find(provider, b"Sysmon")?;
        let host = element(system, b"<Computer>").unwrap_or_default();
        let channel = element(system, b"<Channel>").unwrap_or(b"Linux-Sysmon/Operational");
        for (name, value) in [
            (&b"EventID"[..], event_id),
            (b"Provider_Name", provider),
            (b"Channel", channel),
            (b"Computer", host),
        ] {
            let name = sink.name(name);
            sink.push(name, value);
        }
        self.data(sink, data);
        let time = attribute(system, b"SystemTime=\"").and_then(EventTime::parse_iso);
        Some(Learnt { time, host, class: self.class(sink, event_id) })
    }

    fn data(&self, sink: &mut Sink<'_>, data: &[u8]) {
        let mut rest = data;
        while let Some((_, item)) = split_at_text(rest, b"<Data Name=\"") {
            let Some((name, after)) = split_at_byte(item, b'"') else { return };
            let Some(inside) = after.strip_prefix(b">") else {
                // `<Data Name="X" />` is an empty value.
                rest = after;
                continue;
            };
            let (value, after) = split_at_byte(inside, b'<').unwrap_or((inside, b""));
            let id = sink.name(name);
            sink.push_escaped(id, b'&', value, decode_entities);
            rest = after;
        }
    }

    fn class(&mut self, sink: &Sink<'_>, event_id: &[u8]) -> LogSourceId {
        if let Some((_, class)) = self.known.iter().find(|(known, _)| known == event_id) {
            return *class;
        }
        let id = String::from_utf8_lossy(event_id);
        let class = sink.context.sources.windows("Linux-Sysmon/Operational", "", &id);
        if self.known.len() < KNOWN_MAX && event_id.len() <= 8 {
            self.known.push((event_id.to_vec(), class));
        }
        class
    }
}

fn element<'a>(text: &'a [u8], open: &[u8]) -> Option<&'a [u8]> {
    split_at_byte(split_at_text(text, open)?.1, b'<').map(|(value, _)| value)
}

fn attribute<'a>(text: &'a [u8], open: &[u8]) -> Option<&'a [u8]> {
    split_at_byte(split_at_text(text, open)?.1, b'"').map(|(value, _)| value)
}

/// The five named entities and numeric ones (XML 1.0 section 4.6); others stay as they stand.
fn decode_entities(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((before, entity)) = split_at_byte(rest, b'&') {
        out.extend_from_slice(before);
        let head = entity.get(..entity.len().min(12)).unwrap_or_default();
        match split_at_byte(head, b';').and_then(|(name, _)| Some((character(name)?, name.len() + 1))) {
            Some((character, len)) => {
                let mut utf8 = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                rest = entity.get(len..).unwrap_or_default();
            }
            None => {
                out.push(b'&');
                rest = entity;
            }
        }
    }
    out.extend_from_slice(rest);
}

fn character(name: &[u8]) -> Option<char> {
    let number = |digits: &[u8], radix| {
        char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?)
    };
    match name {
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"amp" => Some('&'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => None,
    }
}
