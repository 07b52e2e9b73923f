//! Messages of single programs and devices that hold fields.

use besa_event::{EventTime, FieldId};
use memchr::memmem;

use crate::text::{Sink, is_digits, is_ip, names as field_names, quoted, split_at_byte, split_at_text, word};

field_names! {
    src_ip = "src_ip",
    src_port = "src_port",
}

/// The ids of the fields.
pub(super) fn names_of(sink: &mut Sink<'_>) -> Names {
    Names::new(sink)
}

/// Names of netfilter and FortiGate, and Sigma's for `category: firewall`.
pub(crate) const SECOND_NAMES: &[(&[u8], &str)] = &[
    (b"SRC", "src_ip"),
    (b"DST", "dst_ip"),
    (b"SPT", "src_port"),
    (b"DPT", "dst_port"),
    (b"srcip", "src_ip"),
    (b"dstip", "dst_ip"),
    (b"srcport", "src_port"),
    (b"dstport", "dst_port"),
];

/// What a FortiGate record says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fortigate<'a> {
    pub(super) kind: &'a [u8],
    pub(super) device: &'a [u8],
    pub(super) time: Option<EventTime>,
}

/// Whether it is a record of FortiOS (`date=… time=… devname="…" … logid="…"`).
pub(super) fn is_fortigate(text: &[u8]) -> bool {
    let starts =
        [&b"date="[..], b"logver=", b"timestamp=", b"itime="].iter().any(|start| text.starts_with(start));
    let head = text.get(..text.len().min(512)).unwrap_or_default();
    starts && (memmem::find(head, b"logid=").is_some() || memmem::find(head, b"devid=").is_some())
}

/// The audit record in a message: bare, or behind the kernel's `audit: ` and its clock.
pub(super) fn audit_text(text: &[u8]) -> Option<&[u8]> {
    let text = match text.strip_prefix(b"[").and_then(|rest| split_at_byte(rest, b']')) {
        Some((_, rest)) => rest.trim_ascii_start(),
        None => text,
    };
    let text = text.strip_prefix(b"audit: ").unwrap_or(text);
    (text.starts_with(b"type=") || text.starts_with(b"node=")).then_some(text)
}

impl Names {
    /// `bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/id`
    pub(super) fn sudo(&self, sink: &mut Sink<'_>, text: &[u8]) {
        let Some((_, mut rest)) = split_at_text(text, b" : ") else { return };
        while let Some((key, after)) = split_at_byte(rest, b'=') {
            // Failures come first: `3 incorrect password attempts ; TTY=pts/0`.
            let key = key.rsplit(|b| *b == b' ').next().unwrap_or(key);
            if key.is_empty() || !key.iter().all(u8::is_ascii_uppercase) {
                return;
            }
            let (value, next) = match key {
                b"COMMAND" => (after, &b""[..]),
                _ => split_at_text(after, b" ; ").unwrap_or((after, b"")),
            };
            let name = sink.name(key);
            sink.push(name, value);
            rest = next;
        }
    }

    /// `… from 203.0.113.7 port 4711 ssh2`
    pub(super) fn sshd(&self, sink: &mut Sink<'_>, text: &[u8]) {
        // The user's name stands before and is the peer's to choose: the last ` from ` counts.
        let Some(at) = memmem::rfind(text, b" from ") else { return };
        let (address, rest) = word(text.get(at + 6..).unwrap_or_default());
        if !is_ip(address) {
            return;
        }
        sink.push(self.src_ip, address);
        let (port, _) = word(rest.strip_prefix(b"port ").unwrap_or_default());
        if is_digits(port) {
            sink.push_number(self.src_port, port);
        }
    }

    /// `IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.1 … PROTO=TCP SPT=4711 DPT=22`; tells whether
    /// it was such a message.
    pub(super) fn netfilter(&self, sink: &mut Sink<'_>, text: &[u8]) -> bool {
        let fits = [&b" SRC="[..], b" DST=", b" PROTO="].iter().all(|key| memmem::find(text, key).is_some());
        if !fits {
            return false;
        }
        let start = memmem::find(text, b"IN=").unwrap_or(0);
        for part in text.get(start..).unwrap_or_default().split(|b| *b == b' ') {
            if let Some((key, value)) = split_at_byte(part, b'=')
                && !value.is_empty()
            {
                push(sink, key, value);
            }
        }
        true
    }

    /// `date=2019-05-10 time=11:37:47 devname="fw1" type="event" …`
    pub(super) fn fortigate<'l>(&self, sink: &mut Sink<'_>, text: &'l [u8]) -> Fortigate<'l> {
        let mut found = Fortigate::default();
        let (mut date, mut clock) = (&b""[..], &b""[..]);
        let mut rest = text;
        while let Some((key, after)) = split_at_byte(rest.trim_ascii_start(), b'=') {
            let (value, after) = quoted(after).unwrap_or_else(|| word(after));
            rest = after;
            match key {
                b"type" => found.kind = value,
                b"devname" => found.device = value,
                b"date" => date = value,
                b"time" => clock = value,
                b"eventtime" => found.time = EventTime::parse_unix(value),
                _ => {}
            }
            push(sink, key, value);
        }
        if found.time.is_none() && date.len() + clock.len() <= 40 {
            found.time = sink.with_scratch(|whole| {
                whole.extend_from_slice(date);
                whole.push(b' ');
                whole.extend_from_slice(clock);
                EventTime::parse_iso(whole)
            });
        }
        found
    }
}

fn push(sink: &mut Sink<'_>, key: &[u8], value: &[u8]) {
    let name: Option<FieldId> = sink.name(key);
    sink.push(name, value);
    if let Some((_, second)) = SECOND_NAMES.iter().find(|(known, _)| *known == key) {
        let id = sink.known(second.as_bytes());
        sink.push(id, value);
    }
}
