//! Windows event logs (EVTX, [MS-EVEN6] 2.2.12 and the file format as published by libevtx).
//!
//! ```text
//! file  = header (4 KiB) chunk*                                    chunks stand on their own
//! chunk = header (512 B) record* free space                        64 KiB; names, templates, records
//! record = header, template instance = reference to a template + table of values
//! ```
//!
//! Each template is compiled once into a flat list of operations (`template`), known across
//! chunks by its content (`binxml`); a record is then a walk over its value table (`record`).
//! Damage is met in `chunk`: what cannot be read is reported with its place, and reading goes on.
//!
//! Invariants:
//! - No offset is followed twice in a row: names and templates are read where a reference
//!   points, chains of them are not walked, so there are no loops.
//! - Work is bounded: nesting by caps, everything else by `binxml::Work` for each chunk.
//! - A record is added whole or not at all, and none twice.
//!
//! [MS-EVEN6]: https://learn.microsoft.com/openspecs/windows_protocols/ms-even6

mod binxml;
mod chunk;
mod cursor;
mod record;
mod template;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::sync::Arc;

use besa_event::{Batch, Defect, Place};

use crate::{Context, Position};
pub(crate) use record::Decoder;
pub use write::{EventData, EvtxRecord, EvtxWriter};

/// First bytes of a file.
pub(crate) const MAGIC: &[u8] = b"ElfFile\0";
/// Length of the file header; the first chunk follows.
pub(crate) const FILE_HEADER_LEN: usize = 4096;
/// Length of a chunk.
pub(crate) const CHUNK_LEN: usize = 65536;

/// Whether the first bytes of a stream are an event log: by the file header, or, where that is
/// damaged or was cut away, by a chunk where one should be.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    sample.starts_with(MAGIC) || has_chunk(sample, 0) || has_chunk(sample, FILE_HEADER_LEN)
}

/// Offset of the first chunk in a stream that [`recognise`] took for a log: behind the file
/// header, or 0 where the stream starts with chunks.
pub(crate) fn first_chunk(sample: &[u8]) -> usize {
    if !sample.starts_with(MAGIC) && has_chunk(sample, 0) { 0 } else { FILE_HEADER_LEN }
}

/// Whether one of the chunks has its header, if the first stands at `first`.
fn has_chunk(sample: &[u8], first: usize) -> bool {
    let mut chunks = sample.get(first..).unwrap_or_default().chunks(CHUNK_LEN);
    chunks.any(|bytes| bytes.starts_with(chunk::CHUNK_MAGIC))
}

/// Decodes chunks: `bytes` is a whole number of them, but for a torn last one, and may start
/// with the file header where `position.offset` is 0. Events and defects go into `batch`.
pub(crate) fn decode(
    context: &Context<'_>,
    position: Position,
    bytes: &[u8],
    decoder: &mut Decoder,
    batch: &mut Batch,
) {
    decoder.start_batch();
    let header_len = if position.offset == 0 { first_chunk(bytes).min(bytes.len()) } else { 0 };
    let (header, chunks) = bytes.split_at_checked(header_len).unwrap_or((&[], bytes));
    if let Some(reason) = file_header_defect(header) {
        let origin = Arc::clone(&batch.origin);
        batch.defects.push(Defect { origin, place: Place::Offset(0), reason: reason.into() });
    }
    let mut offset = position.offset + header_len as u64;
    for bytes in chunks.chunks(CHUNK_LEN) {
        chunk::decode(context, bytes, offset, decoder, batch);
        offset += CHUNK_LEN as u64;
    }
}

/// What is wrong with a file header. Its numbers of chunks and records are not looked at: they
/// lag behind in every log that was copied while in use.
fn file_header_defect(header: &[u8]) -> Option<&'static str> {
    let stored = cursor::u32_at(header, 124)?;
    if !header.starts_with(MAGIC) {
        return Some("the file header is damaged");
    }
    let computed = chunk::crc32(&[header.get(..120)?]);
    (stored != computed).then_some("the checksum of the file header does not match")
}
