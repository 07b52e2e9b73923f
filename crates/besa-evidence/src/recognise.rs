//! What a stream is, told by its first bytes and never by its name.
//!
//! Magic numbers decide first, then encodings, then the text formats from the most to the least
//! specific. Text that nothing claims is still text; what is not even that is refused.

use std::sync::Arc;

use memchr::{memchr, memrchr};

use crate::encodings::{Utf16, utf16_of};
use crate::format::Kind;
use crate::walk::tar;
use crate::{auditd, cef, csv, evtx, iis, json, leef, syslog, weblog, zeek};

/// How much of a stream recognition looks at.
pub(crate) const SAMPLE_LEN: usize = 64 << 10;

/// What a stream of bytes holds.
#[derive(Debug)]
pub(crate) enum Content {
    Empty,
    Container(Container),
    Encoded(Utf16),
    Records(Kind),
    /// Nothing that is read, and why.
    Refused(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Gz,
    Zstd,
    Zip,
    Tar,
}

/// Judges the start of a stream as it stands in the file or member.
pub(crate) fn content(sample: &[u8]) -> Content {
    if sample.is_empty() {
        return Content::Empty;
    }
    if evtx::recognise(sample) {
        return Content::Records(Kind::Evtx);
    }
    if let Some(container) = container(sample) {
        return Content::Container(container);
    }
    for (magic, reason) in REFUSED {
        if sample.starts_with(magic) {
            return Content::Refused(reason);
        }
    }
    if let Some(order) = utf16_of(sample) {
        return Content::Encoded(order);
    }
    if is_binary(sample) {
        return Content::Refused("not recognised: neither text nor a format that is read");
    }
    Content::Records(text(sample))
}

fn container(sample: &[u8]) -> Option<Container> {
    match sample {
        [0x1F, 0x8B, 8, ..] => Some(Container::Gz),
        // A frame, or a skippable frame (RFC 8878 section 3.1).
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Container::Zstd),
        // A member, an empty archive, or the mark of a split one.
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => Some(Container::Zip),
        _ => tar::is_header(sample.get(..tar::BLOCK_LEN)?).then_some(Container::Tar),
    }
}

const PACKETS: &str = "packet capture: not read; convert it with Zeek or Suricata";
const COMPRESSED: &str =
    "a compression that is not read; decompress it first, or repack it as gz, zstd or zip";

/// Magic numbers of what is not read, with a reason that tells what can be done.
const REFUSED: &[(&[u8], &str)] = &[
    (b"\xD4\xC3\xB2\xA1", PACKETS),
    (b"\xA1\xB2\xC3\xD4", PACKETS),
    (b"\x4D\x3C\xB2\xA1", PACKETS),
    (b"\xA1\xB2\x3C\x4D", PACKETS),
    (b"\x0A\x0D\x0D\x0A", PACKETS),
    (b"BZh", COMPRESSED),
    (b"\xFD7zXZ\0", COMPRESSED),
    (b"7z\xBC\xAF\x27\x1C", COMPRESSED),
    (b"Rar!\x1A\x07", COMPRESSED),
    (b"\x04\x22\x4D\x18", COMPRESSED),
    (b"\x00\x05\x16\x07", "AppleDouble file of macOS: attributes of another file, no records"),
    (b"regf", "registry hive: not read; export it as text first"),
    (b"SQLite format 3\0", "SQLite database: not read; export its tables as CSV or JSON first"),
    (b"PAR1", "Parquet file: not read; export it as CSV or JSON first"),
    (b"%PDF-", "PDF document: not read"),
    (b"LfLe", "event log of Windows before Vista (EVT): not read; convert it to EVTX first"),
];

/// Whether a sample is not text. Text holds few control characters and few kinds of them; a
/// log that a crash padded with zeros is still text.
fn is_binary(sample: &[u8]) -> bool {
    let head = sample.get(..sample.len().min(8_192)).unwrap_or(sample);
    let mut seen = [0_usize; 32];
    for byte in head {
        if let Some(count) = seen.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let zeros = seen.first().copied().unwrap_or(0);
    let is_control = |byte: &usize| !matches!(byte, 0 | 0x09..=0x0D | 0x1B);
    let others: usize = seen.iter().enumerate().filter(|(byte, _)| is_control(byte)).map(|(_, n)| n).sum();
    let kinds = seen.iter().enumerate().filter(|(byte, n)| is_control(byte) && **n > 0).count();
    zeros * 10 > head.len() * 9 || (kinds >= 4 && (others + zeros) * 50 > head.len())
}

/// Judges the start of a text. Always finds something: text of no known format is text.
pub(crate) fn text(sample: &[u8]) -> Kind {
    let sample = whole_lines(sample);
    if let Some(layout) = json::recognise(sample) {
        return Kind::Json(layout);
    }
    if zeek::recognise(sample)
        && let Some(header) = zeek::Header::parse(sample)
    {
        return Kind::Zeek(Arc::new(header));
    }
    if iis::recognise(sample)
        && let Some(header) = iis::Header::parse(sample)
    {
        return Kind::Iis(Arc::new(header));
    }
    type Recognise = fn(&[u8]) -> bool;
    let simple: [(Recognise, Kind); 5] = [
        (cef::recognise, Kind::Cef),
        (leef::recognise, Kind::Leef),
        (auditd::recognise, Kind::Auditd),
        (weblog::recognise, Kind::Weblog),
        (syslog::recognise, Kind::Syslog),
    ];
    for (recognise, kind) in simple {
        if recognise(sample) {
            return kind;
        }
    }
    if csv::recognise(sample)
        && let Some(header) = csv::Header::parse(sample)
    {
        return Kind::Csv(Arc::new(header));
    }
    Kind::Text
}

/// A full sample without its last, torn line.
fn whole_lines(sample: &[u8]) -> &[u8] {
    if sample.len() < SAMPLE_LEN || memchr(b'\n', sample).is_none() {
        return sample;
    }
    let end = memrchr(b'\n', sample).map_or(sample.len(), |at| at + 1);
    sample.get(..end).unwrap_or(sample)
}
