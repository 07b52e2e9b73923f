//! What a stream of evidence turned out to be, and the one place that sends blocks to decoders.

use std::fmt;
use std::sync::Arc;

use besa_event::{Batch, Block};

use crate::context::{Context, Position};
use crate::{auditd, cef, csv, encodings, evtx, iis, json, leef, plain, syslog, weblog, zeek};

/// The format of a block, with what decoding it needs to know (a header line, a column list).
#[derive(Clone, Debug)]
pub struct Format(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Evtx,
    Json(json::Layout),
    Zeek(Arc<zeek::Header>),
    Csv(Arc<csv::Header>),
    Iis(Arc<iis::Header>),
    Syslog,
    Auditd,
    Weblog,
    Cef,
    Leef,
    Text,
}

impl Format {
    /// The name used in accounts of what was read.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::Evtx => "evtx",
            Kind::Json(_) => "json",
            Kind::Zeek(_) => "zeek",
            Kind::Csv(_) => "csv",
            Kind::Iis(_) => "iis",
            Kind::Syslog => "syslog",
            Kind::Auditd => "auditd",
            Kind::Weblog => "weblog",
            Kind::Cef => "cef",
            Kind::Leef => "leef",
            Kind::Text => "text",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one worker keeps from block to block: compiled templates, resolved names, buffers. It
/// belongs to one [`Context`]: what it remembers of names holds for that dictionary.
#[derive(Debug, Default)]
pub struct Decoder {
    evtx: evtx::Decoder,
    json: json::Decoder,
    transcoded: Vec<u8>,
}

impl Decoder {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that reads JSON byte by byte: the slow twin of [`Decoder::new`], with the same events
    /// and defects, for tests and comparisons.
    #[must_use]
    pub fn byte_by_byte() -> Self {
        Self { json: json::Decoder::byte_by_byte(), ..Self::default() }
    }
}

/// Turns a block into events and defects. `batch` is emptied first; the buffer that it held is
/// returned for reuse.
///
/// Text that is not UTF-8 is read as Windows-1252 (the superset of Latin-1 that Windows writes),
/// sequence by sequence, so that every text format's decoder sees UTF-8 and a log in which both
/// encodings meet is still read right.
pub fn decode(
    context: &Context<'_>,
    decoder: &mut Decoder,
    block: Block<Format>,
    batch: &mut Batch,
) -> Vec<u8> {
    let Block { origin, format: Format(kind), bytes, offset, first_record, sequence } = block;
    let recycled = batch.reset(origin, sequence, bytes);
    let position = Position { offset, first_record };
    let mut bytes = std::mem::take(&mut batch.bytes);
    if !matches!(kind, Kind::Evtx) && !encodings::is_utf8(&bytes) {
        decoder.transcoded.clear();
        encodings::to_utf8(&bytes, &mut decoder.transcoded);
        std::mem::swap(&mut bytes, &mut decoder.transcoded);
    }
    match &kind {
        Kind::Evtx => evtx::decode(context, position, &bytes, &mut decoder.evtx, batch),
        Kind::Json(layout) => json::decode(context, position, &bytes, *layout, &mut decoder.json, batch),
        Kind::Zeek(header) => zeek::decode(context, position, header, &bytes, batch),
        Kind::Csv(header) => csv::decode(context, position, header, &bytes, batch),
        Kind::Iis(header) => iis::decode(context, position, header, &bytes, batch),
        Kind::Syslog => syslog::decode(context, position, &bytes, batch),
        Kind::Auditd => auditd::decode(context, position, &bytes, batch),
        Kind::Weblog => weblog::decode(context, position, &bytes, batch),
        Kind::Cef => cef::decode(context, position, &bytes, batch),
        Kind::Leef => leef::decode(context, position, &bytes, batch),
        Kind::Text => plain::decode(context, position, &bytes, batch),
    }
    batch.bytes = bytes;
    recycled
}
