//! Column chunks as Parquet pages: one dictionary page at most, then one data page.
//!
//! The `parquet` crate's own writer would look every value up in its dictionary once more; the
//! ingest has done that already (`write::column`), so pages are written here from positions in
//! a dictionary, each with its checksum. Tests hold whole archives against our own reader, the
//! `parquet` crate's, pyarrow and DuckDB (`read::foreign`).
//!
//! ```text
//! chunk = [header, zstd(PLAIN dictionary)] header, zstd(levels ‖ values)
//! text:   RLE_DICTIONARY, or DELTA_LENGTH_BYTE_ARRAY where most values are distinct
//! int:    DELTA_BINARY_PACKED
//! ```

use std::cell::RefCell;

use super::{delta, hybrid, varint};
use crate::error::{Error, Result};

/// A position that stands for "no value".
pub(crate) const NONE: u32 = u32::MAX;

/// How the values of a chunk are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Dictionary,
    DeltaLength,
    Delta,
}

/// An encoded column chunk of one row group.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) uncompressed: usize,
    /// Length of the dictionary page with its header; 0 if there is none.
    pub(crate) dictionary_len: usize,
    pub(crate) rows: usize,
    pub(crate) nulls: usize,
    pub(crate) coding: Coding,
    /// Least and greatest, of integers that have an order.
    pub(crate) range: Option<(i64, i64)>,
}

/// Distinct values in one arena.
#[derive(Clone, Copy)]
pub(crate) struct Distinct<'a> {
    pub(crate) arena: &'a [u8],
    /// Start and length of each.
    pub(crate) spans: &'a [(u32, u32)],
}

impl<'a> Distinct<'a> {
    fn get(&self, index: u32) -> &'a [u8] {
        let (start, len) = self.spans.get(index as usize).copied().unwrap_or_default();
        self.arena.get(start as usize..(start + len) as usize).unwrap_or_default()
    }
}

/// Writes chunks; holds what is worth keeping from one to the next.
pub(crate) struct PageWriter {
    zstd: zstd::bulk::Compressor<'static>,
    plain: Vec<u8>,
    positions: Vec<u32>,
}

const TYPE_DATA: i64 = 0;
const TYPE_DICTIONARY: i64 = 2;
const PLAIN: i64 = 0;
const RLE: i64 = 3;

impl Coding {
    fn number(self) -> i64 {
        match self {
            Self::Dictionary => 8,
            Self::DeltaLength => 6,
            Self::Delta => 5,
        }
    }
}

impl PageWriter {
    pub(crate) fn new(level: i32) -> Result<Self> {
        let zstd = zstd::bulk::Compressor::new(level).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Self { zstd, plain: Vec::new(), positions: Vec::new() })
    }

    /// A column of texts or bytes. `ids` holds a position in `values` for each row; rows that it
    /// does not reach have no value.
    pub(crate) fn text(&mut self, values: Distinct<'_>, ids: &[u32], rows: usize) -> Result<Chunk> {
        let nulls = rows - ids.len() + ids.iter().filter(|id| **id == NONE).count();
        let present = rows - nulls;
        // A dictionary of nearly all values would only add positions to them.
        let coding = if values.spans.len() * 4 > present * 3 && present > 8 {
            Coding::DeltaLength
        } else {
            Coding::Dictionary
        };
        let mut chunk = Chunk::new(rows, nulls, coding);
        if coding == Coding::Dictionary {
            self.dictionary(values, &mut chunk)?;
        }
        self.plain.clear();
        self.levels(ids.iter().map(|id| *id != NONE), nulls, rows);
        self.positions.clear();
        self.positions.extend(ids.iter().filter(|id| **id != NONE));
        match coding {
            Coding::Dictionary => {
                let width =
                    (u32::BITS - (values.spans.len() as u32).saturating_sub(1).leading_zeros()).max(1);
                self.plain.push(width as u8);
                hybrid::encode(&self.positions, width, &mut self.plain);
            }
            _ => self.delta_length(values),
        }
        self.data_page(&mut chunk)?;
        Ok(chunk)
    }

    fn delta_length(&mut self, values: Distinct<'_>) {
        let lengths: Vec<i64> = self.positions.iter().map(|id| values.get(*id).len() as i64).collect();
        delta::encode(&lengths, &mut self.plain);
        for id in &self.positions {
            self.plain.extend_from_slice(values.get(*id));
        }
    }

    /// A column of integers; with `ranged`, their least and greatest are kept.
    pub(crate) fn ints(&mut self, values: &[Option<i64>], ranged: bool) -> Result<Chunk> {
        let present: Vec<i64> = values.iter().copied().flatten().collect();
        let nulls = values.len() - present.len();
        let mut chunk = Chunk::new(values.len(), nulls, Coding::Delta);
        chunk.range = present.iter().min().copied().zip(present.iter().max().copied()).filter(|_| ranged);
        self.plain.clear();
        self.levels(values.iter().map(Option::is_some), nulls, values.len());
        delta::encode(&present, &mut self.plain);
        self.data_page(&mut chunk)?;
        Ok(chunk)
    }

    /// Definition levels with their length in front (version 1 data pages).
    fn levels(&mut self, present: impl Iterator<Item = bool>, nulls: usize, rows: usize) {
        let at = self.plain.len();
        self.plain.extend_from_slice(&[0; 4]);
        if nulls == 0 || nulls == rows {
            varint::put((rows as u64) << 1, &mut self.plain);
            self.plain.push(u8::from(nulls == 0));
        } else {
            let mut levels: Vec<u32> = present.map(u32::from).collect();
            levels.resize(rows, 0);
            hybrid::encode(&levels, 1, &mut self.plain);
        }
        let len = (self.plain.len() - at - 4) as u32;
        if let Some(place) = self.plain.get_mut(at..at + 4) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }

    fn dictionary(&mut self, values: Distinct<'_>, chunk: &mut Chunk) -> Result<()> {
        self.plain.clear();
        for (start, len) in values.spans {
            self.plain.extend_from_slice(&len.to_le_bytes());
            let value = values.arena.get(*start as usize..(start + len) as usize);
            self.plain.extend_from_slice(value.unwrap_or_default());
        }
        let count = values.spans.len() as i64;
        self.page(TYPE_DICTIONARY, &mut chunk.bytes, |header| {
            header.push(0x3c); // field 7: dictionary page header
            numbers(&[count, PLAIN], header);
        })?;
        chunk.uncompressed += self.plain.len() + chunk.bytes.len();
        chunk.dictionary_len = chunk.bytes.len();
        Ok(())
    }

    fn data_page(&mut self, chunk: &mut Chunk) -> Result<()> {
        let (rows, encoding) = (chunk.rows as i64, chunk.coding.number());
        self.page(TYPE_DATA, &mut chunk.bytes, |header| {
            header.push(0x1c); // field 5: data page header
            numbers(&[rows, encoding, RLE, RLE], header);
        })?;
        chunk.uncompressed += self.plain.len() + HEADER_LEN_TYPICAL;
        Ok(())
    }

    /// A page header in Thrift's compact protocol (parquet.thrift, `PageHeader`), then `plain`.
    fn page(&mut self, kind: i64, out: &mut Vec<u8>, specific: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let packed = self.zstd.compress(&self.plain).map_err(|error| Error::Invalid(error.to_string()))?;
        let checksum = i64::from(crc32fast::hash(&packed).cast_signed());
        for number in [kind, self.plain.len() as i64, packed.len() as i64, checksum] {
            out.push(0x15); // the next field, a 32-bit integer
            varint::put_signed(number, out);
        }
        specific(out);
        out.push(0);
        out.extend_from_slice(&packed);
        Ok(())
    }
}

/// Uncompressed sizes count page headers; to the byte nobody needs to know.
const HEADER_LEN_TYPICAL: usize = 32;

/// A structure of 32-bit integers numbered from 1.
fn numbers(values: &[i64], out: &mut Vec<u8>) {
    for value in values {
        out.push(0x15);
        varint::put_signed(*value, out);
    }
    out.push(0);
}

impl Chunk {
    fn new(rows: usize, nulls: usize, coding: Coding) -> Self {
        Self { bytes: Vec::new(), uncompressed: 0, dictionary_len: 0, rows, nulls, coding, range: None }
    }
}

/// A decoded column of texts: distinct values and, for each row, a position among them or
/// [`NONE`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) arena: Vec<u8>,
    pub(crate) spans: Vec<(u32, u32)>,
    pub(crate) ids: Vec<u32>,
}

impl Texts {
    /// The value of a position.
    #[inline]
    pub(crate) fn value(&self, id: u32) -> &[u8] {
        Distinct { arena: &self.arena, spans: &self.spans }.get(id)
    }

    /// Bytes in which all values stand, with whatever between them, and the length of the longest.
    pub(crate) fn values(&self) -> (&[u8], usize) {
        let start = self.spans.first().map_or(0, |(start, _)| *start as usize);
        let longest = self.spans.iter().map(|(_, len)| *len).max().unwrap_or(0);
        (self.arena.get(start..).unwrap_or_default(), longest as usize)
    }

    /// The value of a row, if it has one.
    #[inline]
    pub(crate) fn of_row(&self, row: usize) -> Option<&[u8]> {
        self.ids.get(row).filter(|id| **id != NONE).map(|id| self.value(*id))
    }

    /// Takes bytes that hold values; gives where they begin.
    fn keep(&mut self, bytes: Vec<u8>) -> Option<u32> {
        let start = u32::try_from(self.arena.len()).ok()?;
        start.checked_add(u32::try_from(bytes.len()).ok()?)?;
        if self.arena.is_empty() {
            self.arena = bytes;
        } else {
            self.arena.extend_from_slice(&bytes);
        }
        Some(start)
    }

    /// Takes a PLAIN dictionary page.
    pub(crate) fn read_dictionary(&mut self, page: Vec<u8>, count: usize) -> Option<()> {
        let mut at = 0_usize;
        let base = self.arena.len();
        self.spans.reserve(count.min(page.len() / 4));
        for _ in 0..count {
            let len = u32::from_le_bytes(*page.get(at..)?.first_chunk::<4>()?);
            let start = at + 4;
            at = start.checked_add(len as usize).filter(|end| *end <= page.len())?;
            self.spans.push((u32::try_from(base + start).ok()?, len));
        }
        self.keep(page).map(|_| ())
    }

    /// Takes a data page of `rows` rows.
    pub(crate) fn read_data(&mut self, page: Vec<u8>, rows: usize, coding: Coding) -> Option<()> {
        let mut rest = page.as_slice();
        let levels = Levels::take(&mut rest, rows)?;
        let count = levels.present;
        match coding {
            Coding::Dictionary => {
                let (width, packed) = rest.split_first()?;
                rest = packed;
                let mut positions = Vec::with_capacity(count);
                hybrid::decode(&mut rest, u32::from(*width), count, &mut positions)?;
                let known = u32::try_from(self.spans.len()).ok()?;
                if positions.len() != count || positions.iter().any(|id| *id >= known) {
                    return None;
                }
                levels.spread(positions, &mut self.ids);
            }
            Coding::DeltaLength => {
                let lengths = delta::decode(&mut rest, count)?;
                if lengths.len() != count {
                    return None;
                }
                let first = u32::try_from(self.spans.len()).ok()?;
                let mut at = page.len() - rest.len() + self.arena.len();
                let end = page.len() + self.arena.len();
                self.spans.reserve(count);
                for length in lengths {
                    let length = u32::try_from(length).ok()?;
                    self.spans.push((u32::try_from(at).ok()?, length));
                    at = at.checked_add(length as usize).filter(|at| *at <= end)?;
                }
                levels.spread((first..u32::try_from(self.spans.len()).ok()?).collect(), &mut self.ids);
                self.keep(page)?;
            }
            Coding::Delta => return None,
        }
        Some(())
    }
}

/// Takes a data page of integers.
pub(crate) fn read_ints(mut page: &[u8], rows: usize) -> Option<Vec<Option<i64>>> {
    let levels = Levels::take(&mut page, rows)?;
    let values = delta::decode(&mut page, levels.present)?;
    if values.len() != levels.present {
        return None;
    }
    let mut values = values.into_iter();
    match levels.levels {
        None if levels.present == 0 => Some(vec![None; rows]),
        None => Some(values.map(Some).collect()),
        Some(levels) => {
            Some(levels.iter().map(|level| if *level == 1 { values.next() } else { None }).collect())
        }
    }
}

/// Which rows of a page have a value.
struct Levels {
    rows: usize,
    present: usize,
    /// For each row, 1 if it has one; absent where all have or none has.
    levels: Option<Vec<u32>>,
}

impl Levels {
    fn take(page: &mut &[u8], rows: usize) -> Option<Self> {
        let (len, rest) = page.split_first_chunk::<4>()?;
        let (mut levels, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        *page = rest;
        if let Some(level) = hybrid::one_run(levels, rows) {
            return Some(Self { rows, present: if level == 1 { rows } else { 0 }, levels: None });
        }
        let mut present = Vec::with_capacity(rows.min(1 << 20));
        hybrid::decode(&mut levels, 1, rows, &mut present)?;
        let count = present.iter().filter(|level| **level == 1).count();
        Some(Self { rows, present: count, levels: Some(present) })
    }

    /// Appends for each row the next position or [`NONE`]; there are as many as rows with a value.
    fn spread(&self, positions: Vec<u32>, ids: &mut Vec<u32>) {
        match &self.levels {
            None if self.present == 0 => ids.resize(ids.len() + self.rows, NONE),
            None if ids.is_empty() => *ids = positions,
            None => ids.extend_from_slice(&positions),
            Some(levels) => {
                let mut positions = positions.into_iter();
                ids.extend(levels.iter().map(|level| match level {
                    1 => positions.next().unwrap_or(NONE),
                    _ => NONE,
                }));
            }
        }
    }
}

/// What is in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    Dictionary,
    Data(Coding),
}

/// A page, unpacked.
pub(crate) struct Page {
    pub(crate) kind: PageKind,
    /// Values of a dictionary, rows of data.
    pub(crate) count: usize,
    pub(crate) plain: Vec<u8>,
}

thread_local! {
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Page {
    /// Takes the next page of a chunk as [`PageWriter`] writes it, and no other; `None` if it is none
    /// or its checksum is another.
    pub(crate) fn take(chunk: &mut &[u8]) -> Option<Self> {
        let [kind, plain, packed, sum] = take_numbers(chunk)?;
        let (field, rest) = chunk.split_first()?;
        *chunk = rest;
        let (kind, count) = match (kind, field) {
            (TYPE_DICTIONARY, 0x3c) => {
                let [count, PLAIN] = take_numbers(chunk)? else { return None };
                (PageKind::Dictionary, count)
            }
            (TYPE_DATA, 0x1c) => {
                let [rows, coding, RLE, RLE] = take_numbers(chunk)? else { return None };
                let codings = [Coding::Dictionary, Coding::DeltaLength, Coding::Delta];
                (PageKind::Data(codings.into_iter().find(|known| known.number() == coding)?), rows)
            }
            _ => return None,
        };
        // Two structures end here: the specific header and the header.
        *chunk = chunk.strip_prefix(&[0, 0])?;
        let (packed, rest) = chunk.split_at_checked(usize::try_from(packed).ok()?)?;
        *chunk = rest;
        if i64::from(crc32fast::hash(packed).cast_signed()) != sum {
            return None;
        }
        let plain = unpack(packed, usize::try_from(plain).ok()?)?;
        Some(Self { kind, count: usize::try_from(count).ok()?, plain })
    }
}

/// Takes so many 32-bit integers of a structure, numbered from 1.
fn take_numbers<const N: usize>(bytes: &mut &[u8]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *bytes = bytes.strip_prefix(&[0x15])?;
        *number = varint::take_signed(bytes)?;
    }
    Some(numbers)
}

fn unpack(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    // What the frame says of itself is held against the header before memory is asked for.
    if zstd::zstd_safe::get_frame_content_size(packed).ok()?? != len as u64 || len > PAGE_BYTES_MAX {
        return None;
    }
    UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        let mut plain = Vec::with_capacity(len);
        (unpacker.decompress_to_buffer(packed, &mut plain).ok()? == len).then_some(plain)
    })
}

/// Lengths in page headers are signed numbers of 32 bits.
const PAGE_BYTES_MAX: usize = i32::MAX as usize;
