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

    /// The value of a row, if it has one.
    #[inline]
    pub(crate) fn of_row(&self, row: usize) -> Option<&[u8]> {
        self.ids.get(row).filter(|id| **id != NONE).map(|id| self.value(*id))
    }

    fn push(&mut self, value: &[u8]) -> Option<()> {
        let span = (u32::try_from(self.arena.len()).ok()?, u32::try_from(value.len()).ok()?);
        self.arena.extend_from_slice(value);
        self.spans.push(span);
        Some(())
    }

    /// Takes a PLAIN dictionary page.
    pub(crate) fn read_dictionary(&mut self, mut page: &[u8], count: usize) -> Option<()> {
        for _ in 0..count {
            let (len, rest) = page.split_first_chunk::<4>()?;
            let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            self.push(value)?;
            page = rest;
        }
        Some(())
    }

    /// Takes a data page of `rows` rows.
    pub(crate) fn read_data(&mut self, mut page: &[u8], rows: usize, coding: Coding) -> Option<()> {
        let present = read_levels(&mut page, rows)?;
        let count = present.iter().filter(|level| **level == 1).count();
        let mut positions = Vec::new();
        match coding {
            Coding::Dictionary => {
                let (width, rest) = page.split_first()?;
                page = rest;
                hybrid::decode(&mut page, u32::from(*width), count, &mut positions)?;
            }
            Coding::DeltaLength => {
                let lengths = delta::decode(&mut page, count)?;
                for length in lengths {
                    let (value, rest) = page.split_at_checked(usize::try_from(length).ok()?)?;
                    positions.push(u32::try_from(self.spans.len()).ok()?);
                    self.push(value)?;
                    page = rest;
                }
            }
            Coding::Delta => return None,
        }
        if positions.len() != count || positions.iter().any(|id| *id as usize >= self.spans.len()) {
            return None;
        }
        let mut positions = positions.into_iter();
        self.ids.extend(present.iter().map(|level| match level {
            1 => positions.next().unwrap_or(NONE),
            _ => NONE,
        }));
        Some(())
    }
}

/// Takes a data page of integers.
pub(crate) fn read_ints(mut page: &[u8], rows: usize) -> Option<Vec<Option<i64>>> {
    let present = read_levels(&mut page, rows)?;
    let count = present.iter().filter(|level| **level == 1).count();
    let values = delta::decode(&mut page, count)?;
    if values.len() != count {
        return None;
    }
    let mut values = values.into_iter();
    Some(present.iter().map(|level| if *level == 1 { values.next() } else { None }).collect())
}

fn read_levels(page: &mut &[u8], rows: usize) -> Option<Vec<u32>> {
    let (len, rest) = page.split_first_chunk::<4>()?;
    let (mut levels, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *page = rest;
    let mut present = Vec::with_capacity(rows.min(1 << 20));
    hybrid::decode(&mut levels, 1, rows, &mut present)?;
    Some(present)
}
