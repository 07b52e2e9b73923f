//! A chunk: its header, its records one after another, and what stands in its free space.
//!
//! ```text
//! 0     "ElfChnk\0"; 8 first, 16 last record number; 24 first, 32 last record id
//! 40    header length; 44 offset of the last record; 48 offset of the free space
//! 52    CRC-32 of 512..free space; 120 flags; 124 CRC-32 of 0..120 and 128..512
//! 128   64 offsets of names, 384: 32 offsets of templates (both for writers; not followed)
//! 512   records: "**\0\0", length:u32, id:u64, FILETIME, BinXML, length again
//! ```
//!
//! A record is whole when its two lengths agree. Where a record should be and no whole one is,
//! reading goes on at the next whole one; what lies between is reported, and read if it still
//! holds BinXML. Behind the last record stand remains of earlier rounds of the log, and records
//! whose chunk header had not been brought up to date: they are carved. Each search moves
//! forward only, so a chunk is passed over a bounded number of times.

use std::sync::Arc;

use besa_event::{Batch, Defect, Place};
use flate2::Crc;
use memchr::memmem;

use super::CHUNK_LEN;
use super::cursor::{u32_at, u64_at};
use super::record::{self, Decoder};
use crate::Context;

pub(super) const CHUNK_MAGIC: &[u8] = b"ElfChnk\0";
pub(super) const CHUNK_HEADER_LEN: usize = 512;
pub(super) const RECORD_MAGIC: &[u8] = b"**\0\0";
pub(super) const RECORD_HEADER_LEN: usize = 24;
/// Header and the second length.
const RECORD_LEN_MIN: usize = RECORD_HEADER_LEN + 4;
/// Chunk flag: no checksums were written.
const NO_CRC32: u32 = 4;

/// CRC-32 as the format has it (that of zlib), over all parts.
pub(super) fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    for part in parts {
        crc.update(part);
    }
    crc.sum()
}

/// Checksum of a chunk's header.
pub(super) fn header_crc32(chunk: &[u8]) -> u32 {
    crc32(&[chunk.get(..120).unwrap_or_default(), chunk.get(128..CHUNK_HEADER_LEN).unwrap_or_default()])
}

/// Whether there are only zeros; in blocks, which the compiler turns into vector instructions.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.chunks(256).all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Decodes one chunk. `offset` is its place in the origin. A chunk of zeros is unused and says
/// nothing.
pub(super) fn decode(
    context: &Context<'_>,
    chunk: &[u8],
    offset: u64,
    decoder: &mut Decoder,
    batch: &mut Batch,
) {
    if !chunk.starts_with(CHUNK_MAGIC) && is_blank(chunk) {
        return;
    }
    decoder.start_chunk();
    let magic = memmem::Finder::new(RECORD_MAGIC);
    let mut reader = Reader { context, chunk, offset, decoder, batch, magic };
    match reader.check_header() {
        Some(records_end) => {
            let read_to = reader.walk(records_end);
            if context.carve {
                reader.carve(read_to, "unallocated space of the chunk");
            } else {
                reader.count_unallocated(read_to);
            }
        }
        None => reader.carve(0, "the chunk"),
    }
}

struct Reader<'r, 'c> {
    context: &'r Context<'c>,
    chunk: &'r [u8],
    offset: u64,
    decoder: &'r mut Decoder,
    batch: &'r mut Batch,
    magic: memmem::Finder<'static>,
}

/// A record's place and header.
#[derive(Clone, Copy, Debug)]
struct Found {
    at: usize,
    len: usize,
    id: u64,
    filetime: u64,
}

impl Reader<'_, '_> {
    /// Reports what is wrong with the header and tells where the records end; `None` when
    /// nothing in it can be relied on.
    fn check_header(&mut self) -> Option<usize> {
        let chunk = self.chunk;
        if chunk.len() < CHUNK_LEN {
            self.defect(0, format!("the chunk is torn, only {} of {CHUNK_LEN} bytes are there", chunk.len()));
        }
        if !chunk.starts_with(CHUNK_MAGIC) {
            self.defect(0, "the chunk's header is damaged, its records are searched for".into());
            return None;
        }
        let number = |at| u32_at(chunk, at).unwrap_or(0);
        let is_checked = number(120) & NO_CRC32 == 0;
        if is_checked && chunk.len() >= CHUNK_HEADER_LEN && header_crc32(chunk) != number(124) {
            self.defect(0, "the checksum of the chunk's header does not match".into());
        }
        let free = number(48) as usize;
        if !(CHUNK_HEADER_LEN..=CHUNK_LEN).contains(&free) {
            self.defect(48, format!("the chunk's free space cannot start at offset {free}"));
            return Some(chunk.len());
        }
        if let Some(records) = chunk.get(CHUNK_HEADER_LEN..free)
            && is_checked
            && crc32(&[records]) != number(52)
        {
            self.defect(CHUNK_HEADER_LEN, "the checksum of the chunk's records does not match".into());
        }
        Some(free.min(chunk.len()))
    }

    /// Reads record after record up to `end`; tells how far it came.
    fn walk(&mut self, end: usize) -> usize {
        let mut at = CHUNK_HEADER_LEN;
        while at < end && !self.decoder.work.is_used_up() {
            if let Some(found) = self.whole_record(at) {
                self.read(found, found.at + found.len - 4);
                at += found.len;
                continue;
            }
            let next = self.next_whole_record(at + 1).filter(|next| next.at < end);
            self.damaged(at, next.map_or(end, |next| next.at), next.is_none());
            match next {
                Some(next) => at = next.at,
                None => return at,
            }
        }
        at
    }

    /// Deals with `at..end`, where records should be and no whole one is.
    fn damaged(&mut self, at: usize, end: usize, is_last: bool) {
        let stretch = self.chunk.get(at..end).unwrap_or_default();
        if is_blank(stretch) {
            // Zeros before the free space are how a log looks that was copied while in use; then
            // the header does not announce records either.
            let read = self.decoder.seen.last().copied().unwrap_or(0);
            let announced = u64_at(self.chunk, 32).filter(|last| is_last && *last > read);
            if let Some(last) = announced {
                self.defect(at, format!("zeros stand where the header announces records up to {last}"));
            } else if !is_last {
                self.defect(at, format!("{} zero bytes stand where records should be", stretch.len()));
            }
            return;
        }
        let Some(found) = self.record_header(at).filter(|_| stretch.len() > RECORD_LEN_MIN) else {
            self.defect(at, format!("no record begins here, {} bytes are passed over", stretch.len()));
            return;
        };
        let copy = (at + found.len).checked_sub(4).and_then(|copy| u32_at(self.chunk, copy));
        let reason = match copy {
            Some(copy) => format!("the record's lengths differ, {} and {copy}", found.len),
            None => format!("the record is torn, it should have {} bytes", found.len),
        };
        match self.decode(found, end) {
            Ok(()) => {
                self.decoder.seen.push(found.id);
                self.record_defect(found, &reason);
            }
            Err(why) => self.record_defect(found, &format!("{reason}; {why}")),
        }
    }

    /// Decodes a record whose BinXML ends at `end` at the latest.
    fn read(&mut self, found: Found, end: usize) {
        match self.decode(found, end) {
            Ok(()) => self.decoder.seen.push(found.id),
            Err(reason) if self.decoder.work.is_used_up() => {
                self.record_defect(found, &format!("{reason}; it and the rest of the chunk are left out"));
            }
            Err(reason) => self.record_defect(found, reason),
        }
    }

    fn decode(&mut self, found: Found, end: usize) -> super::cursor::Result<()> {
        let binxml = (found.at + RECORD_HEADER_LEN, end);
        let head = (found.id, found.filetime);
        record::decode(self.context, self.chunk, binxml, head, self.decoder, self.batch)?;
        if self.decoder.too_many_fields {
            let max = self.context.limits.fields_max;
            self.record_defect(found, &format!("it has more than {max} fields, the rest is left out"));
        }
        Ok(())
    }

    /// Reads whole records from `from` to the chunk's end that have not been read before.
    fn carve(&mut self, from: usize, place: &str) {
        self.decoder.work.is_strict = true;
        self.decoder.seen.sort_unstable();
        let (mut at, mut carved, mut unreadable) = (from, 0_usize, 0_usize);
        while let Some(found) = self.next_whole_record(at) {
            if self.decoder.work.is_used_up() {
                break;
            }
            at = found.at + found.len;
            let Err(place) = self.decoder.seen.binary_search(&found.id) else { continue };
            if self.decode(found, at - 4).is_ok() {
                self.decoder.seen.insert(place, found.id);
                carved += 1;
            } else {
                // Chance bytes, or its template is gone; whole records may stand within.
                unreadable += 1;
                at = found.at + 1;
            }
        }
        if carved > 0 {
            let rest =
                if unreadable > 0 { format!("; {unreadable} more could not be read") } else { String::new() };
            let records = if carved == 1 { "record" } else { "records" };
            self.defect(from, format!("{carved} {records} carved from {place}{rest}"));
        }
    }

    /// Says how many records stand in the chunk's free space that have not been read before.
    fn count_unallocated(&mut self, from: usize) {
        self.decoder.seen.sort_unstable();
        let (mut at, mut count) = (from, 0_usize);
        while let Some(found) = self.next_whole_record(at) {
            at = found.at + found.len;
            if self.decoder.seen.binary_search(&found.id).is_err() {
                count += 1;
            }
        }
        if count > 0 {
            let records = if count == 1 { "1 record stands" } else { &format!("{count} records stand") };
            let reason = format!("{records} in unallocated space of the chunk, read with `--carve` only");
            self.defect(from, reason);
        }
    }

    /// The header of a record at `at`, whatever its length says.
    fn record_header(&self, at: usize) -> Option<Found> {
        let bytes = self.chunk.get(at..).filter(|bytes| bytes.starts_with(RECORD_MAGIC))?;
        let len = u32_at(bytes, 4)? as usize;
        Some(Found { at, len, id: u64_at(bytes, 8)?, filetime: u64_at(bytes, 16)? })
    }

    fn whole_record(&self, at: usize) -> Option<Found> {
        let found = self.record_header(at).filter(|found| found.len >= RECORD_LEN_MIN)?;
        let copy = u32_at(self.chunk, at.checked_add(found.len)? - 4)?;
        (copy as usize == found.len).then_some(found)
    }

    fn next_whole_record(&self, from: usize) -> Option<Found> {
        let rest = self.chunk.get(from..)?;
        self.magic.find_iter(rest).find_map(|at| self.whole_record(from + at))
    }

    fn record_defect(&mut self, found: Found, reason: &str) {
        let at = self.offset + found.at as u64;
        self.push_defect(Place::Record(found.id), format!("{reason} (at offset {at})"));
    }

    /// Reports something at an offset in the chunk.
    fn defect(&mut self, at: usize, reason: String) {
        self.push_defect(Place::Offset(self.offset + at as u64), reason);
    }

    fn push_defect(&mut self, place: Place, reason: String) {
        let origin = Arc::clone(&self.batch.origin);
        self.batch.defects.push(Defect { origin, place, reason });
    }
}
