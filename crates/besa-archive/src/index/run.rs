//! The bytes of a run: written as a stream, read at places.
//!
//! ```text
//! segment: block … block, filter      about 65,536 keys; the filter refuses keys it lacks (fuse.rs)
//! …
//! meta:    files u32 · row groups of each u8 · incomplete files u32, each u32
//!          segments u32, each: blocks u32 · filter length u32 · checksum u32
//!          blocks u32, each: first key 6 B · length u32 · checksum u32
//! trailer: offset of meta u64 · keys u64 · length of meta u32 · checksum u32 · "besarun2"
//!
//! block:   keys u16 · low bits u8 · first key 6 B · bytes of upper u16 · low parts · upper · sets
//! ```
//! Numbers are little endian. Keys less the first key of their block are in Elias–Fano form: the
//! lower bits packed, the upper part in unary (bit `upper + position` set). A set is the row
//! groups of a key, numbered through over all files, in the code of `bits.rs`; one after another
//! in the order of the keys. A checksum is the lower half of the stable hash of `key.rs`.
//!
//! A run that ends in `besarun1` has other keys and is not asked; its files are searched without
//! it until `besa archive compact` makes it anew.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use bytes::Bytes;

use super::bits::{BitReader, BitWriter};
use super::fuse;
use super::key::{KEYS_END, hash};

const MAGIC: &[u8; 8] = b"besarun2";
/// Of runs with longer keys.
const MAGIC_BEFORE: &[u8; 8] = b"besarun1";
const TRAILER: usize = 32;
pub(super) const BLOCK_KEYS: usize = 512;
/// A block ends when its sets have so many bytes.
const BLOCK_SETS_BYTES: usize = 16 << 10;
const SEGMENT_KEYS: usize = 1 << 16;
const BLOCK_HEADER: usize = 11;

/// Why a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The storage refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The bytes are not what was written.
    #[error("index run is damaged: {0}")]
    Damaged(&'static str),
    /// It was written before keys became shorter.
    #[error("index run is of an older format and is not asked; `besa archive compact` makes it anew")]
    Older,
}

/// Bytes at a place: of memory, a file, an object in a store.
pub trait ReadAt {
    /// Exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// What the storage says; `UnexpectedEof` when there are fewer.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Cow<'_, [u8]>>;
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Cow<'_, [u8]>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = from.checked_add(len).and_then(|end| self.get(from..end));
        found.map(Cow::Borrowed).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl ReadAt for Bytes {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Cow<'_, [u8]>> {
        self.as_ref().read_at(offset, len)
    }
}

#[cfg(unix)]
impl ReadAt for std::fs::File {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Cow<'_, [u8]>> {
        let mut out = vec![0; len];
        std::os::unix::fs::FileExt::read_exact_at(self, &mut out, offset)?;
        Ok(Cow::Owned(out))
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    hash(0, bytes) as u32
}

/// Writes a run; keys come in ascending order.
pub struct RunWriter<'w> {
    out: &'w mut dyn Write,
    offset: u64,
    groups: Vec<u8>,
    universe: u32,
    keys: Vec<u64>,
    sets: BitWriter,
    segment_keys: Vec<u64>,
    segment_blocks: u32,
    segments: Vec<u8>,
    segment_count: u32,
    blocks: Vec<u8>,
    block_count: u32,
    count: u64,
}

impl<'w> RunWriter<'w> {
    /// A run over files with these numbers of row groups.
    pub fn new(out: &'w mut dyn Write, groups: Vec<u8>) -> Self {
        let universe = groups.iter().map(|groups| u32::from(*groups)).sum();
        Self {
            out,
            offset: 0,
            groups,
            universe,
            keys: Vec::new(),
            sets: BitWriter::default(),
            segment_keys: Vec::new(),
            segment_blocks: 0,
            segments: Vec::new(),
            segment_count: 0,
            blocks: Vec::new(),
            block_count: 0,
            count: 0,
        }
    }

    /// The next key and its row groups, numbered through over all files, ascending.
    ///
    /// # Errors
    /// What the output says.
    pub fn push(&mut self, key: u64, units: &[u32]) -> io::Result<()> {
        debug_assert!(key < KEYS_END && !units.is_empty() && self.keys.last().is_none_or(|last| *last < key));
        self.keys.push(key);
        self.segment_keys.push(key);
        self.sets.set(units, self.universe);
        self.count += 1;
        if self.keys.len() >= BLOCK_KEYS || self.sets.len() >= BLOCK_SETS_BYTES {
            self.end_block()?;
            if self.segment_keys.len() >= SEGMENT_KEYS {
                self.end_segment()?;
            }
        }
        Ok(())
    }

    /// Ends the run; `incomplete` are the positions of files that every search has to name.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self, incomplete: &[u32]) -> io::Result<()> {
        self.end_block()?;
        self.end_segment()?;
        let mut meta = Vec::new();
        let number = |out: &mut Vec<u8>, value: usize| {
            out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
        };
        number(&mut meta, self.groups.len());
        meta.extend_from_slice(&self.groups);
        number(&mut meta, incomplete.len());
        incomplete.iter().for_each(|file| meta.extend_from_slice(&file.to_le_bytes()));
        meta.extend_from_slice(&self.segment_count.to_le_bytes());
        meta.extend_from_slice(&self.segments);
        meta.extend_from_slice(&self.block_count.to_le_bytes());
        meta.extend_from_slice(&self.blocks);
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend_from_slice(&self.offset.to_le_bytes());
        trailer.extend_from_slice(&self.count.to_le_bytes());
        number(&mut trailer, meta.len());
        let sum = checksum(&meta) ^ checksum(&trailer);
        trailer.extend_from_slice(&sum.to_le_bytes());
        trailer.extend_from_slice(MAGIC);
        self.out.write_all(&meta)?;
        self.out.write_all(&trailer)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let (Some(first), Some(last)) = (self.keys.first().copied(), self.keys.last().copied()) else {
            return Ok(());
        };
        let block = encode(&self.keys, first, last, &self.sets.take());
        self.keys.clear();
        self.blocks.extend_from_slice(first.to_le_bytes().get(..6).unwrap_or_default());
        self.blocks.extend_from_slice(&u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.blocks.extend_from_slice(&checksum(&block).to_le_bytes());
        self.block_count += 1;
        self.segment_blocks += 1;
        self.write(&block)
    }

    fn end_segment(&mut self) -> io::Result<()> {
        if self.segment_keys.is_empty() {
            return Ok(());
        }
        let filter = fuse::build(&self.segment_keys);
        self.segment_keys.clear();
        self.segments.extend_from_slice(&self.segment_blocks.to_le_bytes());
        self.segments.extend_from_slice(&u32::try_from(filter.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.segments.extend_from_slice(&checksum(&filter).to_le_bytes());
        self.segment_count += 1;
        self.segment_blocks = 0;
        self.write(&filter)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.offset += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

fn encode(keys: &[u64], first: u64, last: u64, sets: &[u8]) -> Vec<u8> {
    let low = ((last - first + 1) / keys.len() as u64).max(1).ilog2();
    let mut lows = BitWriter::default();
    let mut upper = vec![0_u8; (((last - first) >> low) as usize + keys.len()).div_ceil(8)];
    for (position, key) in keys.iter().enumerate() {
        let value = key - first;
        lows.put(value & ((1 << low) - 1), low);
        let bit = (value >> low) as usize + position;
        if let Some(byte) = upper.get_mut(bit / 8) {
            *byte |= 1 << (bit % 8);
        }
    }
    let mut out = Vec::new();
    out.extend_from_slice(&u16::try_from(keys.len()).unwrap_or(0).to_le_bytes());
    out.push(u8::try_from(low).unwrap_or(0));
    out.extend_from_slice(first.to_le_bytes().get(..6).unwrap_or_default());
    out.extend_from_slice(&u16::try_from(upper.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&lows.take());
    out.extend_from_slice(&upper);
    out.extend_from_slice(sets);
    out
}

/// Reads the keys of a block into `keys`; gives where its sets begin.
fn decode(block: &[u8], keys: &mut Vec<u64>) -> Option<usize> {
    keys.clear();
    let [n0, n1, low, k0, k1, k2, k3, k4, k5, u0, u1] = *block.first_chunk::<BLOCK_HEADER>()?;
    let count = usize::from(u16::from_le_bytes([n0, n1]));
    let first = u64::from_le_bytes([k0, k1, k2, k3, k4, k5, 0, 0]);
    if count > BLOCK_KEYS || u32::from(low) > super::key::KEY_BITS {
        return None;
    }
    let lows_end = BLOCK_HEADER + (count * usize::from(low)).div_ceil(8);
    let sets_at = lows_end + usize::from(u16::from_le_bytes([u0, u1]));
    let mut lows = BitReader::new(block.get(BLOCK_HEADER..lows_end)?);
    for (at, byte) in block.get(lows_end..sets_at)?.iter().enumerate() {
        let mut bits = *byte;
        while bits != 0 {
            if keys.len() == count {
                return None;
            }
            let upper = (at * 8 + bits.trailing_zeros() as usize).checked_sub(keys.len())? as u64;
            let key = first.checked_add(upper.checked_shl(low.into())? | lows.get(low.into())?)?;
            if key >= KEYS_END || keys.last().is_some_and(|last| *last >= key) {
                return None;
            }
            keys.push(key);
            bits &= bits - 1;
        }
    }
    (keys.len() == count && count > 0).then_some(sets_at)
}

#[derive(Clone, Copy, Debug)]
pub(super) struct BlockPlace {
    pub(super) first: u64,
    offset: u64,
    len: u32,
    sum: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) blocks: std::ops::Range<usize>,
    filter_offset: u64,
    filter_len: u32,
    filter_sum: u32,
}

/// A run open for searching: its directory in memory, 26 bytes for each 512 keys.
#[derive(Debug)]
pub struct Run<R> {
    reader: R,
    /// Of each file, the number of its first row group; then how many there are.
    starts: Vec<u32>,
    pub(super) incomplete: Vec<u32>,
    pub(super) segments: Vec<Segment>,
    pub(super) blocks: Vec<BlockPlace>,
    keys: u64,
}

/// A block read: its keys and its sets.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) keys: Vec<u64>,
    bytes: Vec<u8>,
    sets_at: usize,
}

impl Block {
    pub(super) fn sets(&self) -> BitReader<'_> {
        BitReader::new(self.bytes.get(self.sets_at..).unwrap_or_default())
    }
}

struct Meta<'a>(&'a [u8]);

impl<'a> Meta<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], IndexError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(IndexError::Damaged("directory is short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, IndexError> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default()))
    }
}

impl<R: ReadAt> Run<R> {
    /// Opens the run of `len` bytes.
    ///
    /// # Errors
    /// Storage that cannot be read; bytes that are no run.
    pub fn open(reader: R, len: u64) -> Result<Self, IndexError> {
        let end = len.checked_sub(TRAILER as u64).ok_or(IndexError::Damaged("too short"))?;
        let trailer = reader.read_at(end, TRAILER)?.into_owned();
        let mut fields = Meta(&trailer);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let (meta_at, keys) = (word(fields.take(8)?), word(fields.take(8)?));
        let (meta_len, sum) = (fields.u32()?, fields.u32()?);
        if fields.0 == MAGIC_BEFORE {
            return Err(IndexError::Older);
        }
        if fields.0 != MAGIC || meta_at.checked_add(meta_len.into()) != Some(end) {
            return Err(IndexError::Damaged("the trailer is not a run's"));
        }
        let meta = reader.read_at(meta_at, meta_len as usize)?.into_owned();
        if sum != checksum(&meta) ^ checksum(trailer.get(..20).unwrap_or_default()) {
            return Err(IndexError::Damaged("checksum of the directory"));
        }
        Self {
            reader,
            starts: vec![0],
            incomplete: Vec::new(),
            segments: Vec::new(),
            blocks: Vec::new(),
            keys,
        }
        .directory(Meta(&meta), meta_at)
    }

    fn directory(mut self, mut meta: Meta<'_>, meta_at: u64) -> Result<Self, IndexError> {
        let files = meta.u32()?;
        let mut universe = 0_u32;
        for groups in meta.take(files as usize)? {
            universe =
                universe.checked_add((*groups).into()).ok_or(IndexError::Damaged("too many row groups"))?;
            self.starts.push(universe);
        }
        for _ in 0..meta.u32()? {
            self.incomplete.push(meta.u32()?);
        }
        let mut shapes = Vec::new();
        for _ in 0..meta.u32()? {
            shapes.push((meta.u32()?, meta.u32()?, meta.u32()?));
        }
        let blocks = meta.u32()?;
        let mut offset = 0_u64;
        for (count, filter_len, filter_sum) in shapes {
            let from = self.blocks.len();
            for _ in 0..count {
                let mut first = [0; 8];
                first.iter_mut().zip(meta.take(6)?).for_each(|(into, byte)| *into = *byte);
                let (len, sum) = (meta.u32()?, meta.u32()?);
                self.blocks.push(BlockPlace { first: u64::from_le_bytes(first), offset, len, sum });
                offset += u64::from(len);
            }
            let blocks = from..self.blocks.len();
            self.segments.push(Segment { blocks, filter_offset: offset, filter_len, filter_sum });
            offset += u64::from(filter_len);
        }
        let fits = offset == meta_at && self.blocks.len() == blocks as usize && meta.0.is_empty();
        let sorted = self.blocks.is_sorted_by(|one, next| one.first < next.first);
        let known = self.incomplete.iter().all(|file| *file < files);
        if fits && sorted && known {
            Ok(self)
        } else {
            Err(IndexError::Damaged("the directory does not fit"))
        }
    }

    /// How many keys there are.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// How many files it covers.
    #[must_use]
    pub fn files(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).unwrap_or(u32::MAX)
    }

    /// The positions of files that every search has to name.
    pub(crate) fn incomplete(&self) -> &[u32] {
        &self.incomplete
    }

    /// Whether a file, by its position, is one that every search has to name.
    pub(crate) fn is_incomplete(&self, file: Option<usize>) -> bool {
        self.incomplete.iter().any(|have| Some(*have as usize) == file)
    }

    #[cfg(test)]
    pub(crate) fn block_len(&self, block: usize) -> usize {
        self.blocks[block].len as usize
    }

    /// How many row groups a file has, by its position.
    #[must_use]
    pub fn groups(&self, file: usize) -> u32 {
        let at = |file: usize| self.starts.get(file).copied().unwrap_or(0);
        at(file + 1).saturating_sub(at(file))
    }

    /// Shows every key, ascending.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub(crate) fn each_key(&self, see: &mut dyn FnMut(u64)) -> Result<(), IndexError> {
        let mut block = Block::default();
        for place in &self.blocks {
            self.read_block(*place, &mut block)?;
            block.keys.iter().for_each(|key| see(*key));
        }
        Ok(())
    }

    /// How many row groups there are in all files.
    pub(super) fn universe(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// File and row group of a row group's number.
    pub(super) fn place_of(&self, unit: u32) -> (u32, u32) {
        let file = self.starts.partition_point(|start| *start <= unit).saturating_sub(1);
        let start = self.starts.get(file).copied().unwrap_or(0);
        (u32::try_from(file).unwrap_or(u32::MAX), unit - start)
    }

    pub(super) fn read_block(&self, place: BlockPlace, block: &mut Block) -> Result<(), IndexError> {
        block.bytes.clear();
        block.bytes.extend_from_slice(&self.reader.read_at(place.offset, place.len as usize)?);
        if checksum(&block.bytes) != place.sum {
            return Err(IndexError::Damaged("checksum of a block"));
        }
        block.sets_at = decode(&block.bytes, &mut block.keys).ok_or(IndexError::Damaged("a block"))?;
        Ok(())
    }

    pub(super) fn read_filter(&self, segment: &Segment) -> Result<Vec<u8>, IndexError> {
        let bytes = self.reader.read_at(segment.filter_offset, segment.filter_len as usize)?.into_owned();
        if checksum(&bytes) == segment.filter_sum {
            Ok(bytes)
        } else {
            Err(IndexError::Damaged("checksum of a filter"))
        }
    }
}

/// A run of one file of 64 row groups whose only block is these bytes, with a sound directory: so
/// that a fuzzer gets past the checksums.
pub(crate) fn with_directory(block: &[u8]) -> Vec<u8> {
    let (filter, mut meta, mut out) = ([0; 6], Vec::new(), block.to_vec());
    out.extend_from_slice(&filter);
    let number = |out: &mut Vec<u8>, value: usize| {
        out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
    };
    number(&mut meta, 1);
    meta.push(64);
    [0, 1, 1, filter.len()].into_iter().for_each(|value| number(&mut meta, value));
    meta.extend_from_slice(&checksum(&filter).to_le_bytes());
    number(&mut meta, 1);
    let mut first = [0; 6];
    first.iter_mut().zip(block.iter().skip(3)).for_each(|(into, byte)| *into = *byte);
    meta.extend_from_slice(&first);
    number(&mut meta, block.len());
    meta.extend_from_slice(&checksum(block).to_le_bytes());
    let mut trailer = Vec::new();
    trailer.extend_from_slice(&(out.len() as u64).to_le_bytes());
    trailer.extend_from_slice(&1_u64.to_le_bytes());
    number(&mut trailer, meta.len());
    let sum = checksum(&meta) ^ checksum(&trailer);
    trailer.extend_from_slice(&sum.to_le_bytes());
    trailer.extend_from_slice(MAGIC);
    out.extend_from_slice(&meta);
    out.extend_from_slice(&trailer);
    out
}

/// Goes through all keys of a run.
struct Cursor<'r, R> {
    run: &'r Run<R>,
    next_block: usize,
    block: Block,
    at: usize,
    sets_bit: usize,
    /// By the position of a file: what is added to its row groups' numbers; `None` leaves it out.
    shifts: Vec<Option<i64>>,
}

impl<R: ReadAt> Cursor<'_, R> {
    /// The key under the cursor, reading the next block where needed.
    fn key(&mut self) -> Result<Option<u64>, IndexError> {
        if self.at == self.block.keys.len() {
            let Some(place) = self.run.blocks.get(self.next_block) else { return Ok(None) };
            self.run.read_block(*place, &mut self.block)?;
            (self.next_block, self.at, self.sets_bit) = (self.next_block + 1, 0, 0);
        }
        Ok(self.block.keys.get(self.at).copied())
    }

    /// Appends the set of the key under the cursor and goes on.
    fn take(&mut self, units: &mut Vec<u32>) -> Result<(), IndexError> {
        let mut sets = self.block.sets().at(self.sets_bit);
        let (run, shifts) = (self.run, &self.shifts);
        sets.set(run.universe(), &mut |unit| {
            let (file, _) = run.place_of(unit);
            let shift = shifts.get(file as usize).copied().flatten();
            units.extend(shift.and_then(|shift| u32::try_from(i64::from(unit) + shift).ok()));
        })
        .ok_or(IndexError::Damaged("a set"))?;
        self.sets_bit = sets.position();
        self.at += 1;
        Ok(())
    }
}

/// Merges runs into one over all their files in order, less those that `keep` (run, position of
/// the file) leaves out. Memory: a block of each run and the row groups of one key.
///
/// # Errors
/// A run that cannot be read, with its position; an output that refuses (position of the last).
pub fn merge<R: ReadAt>(
    runs: &[Run<R>],
    keep: &dyn Fn(usize, usize) -> bool,
    out: &mut dyn Write,
) -> Result<(), (usize, IndexError)> {
    let mut groups = Vec::new();
    let mut incomplete = Vec::new();
    let mut cursors = Vec::new();
    let mut heap = BinaryHeap::new();
    let mut base = 0_u32;
    for (number, run) in runs.iter().enumerate() {
        let mut shifts = Vec::new();
        for (file, start) in run.starts.iter().enumerate().take(run.starts.len().saturating_sub(1)) {
            if !keep(number, file) {
                shifts.push(None);
                continue;
            }
            shifts.push(Some(i64::from(base) - i64::from(*start)));
            let position = u32::try_from(groups.len()).unwrap_or(u32::MAX);
            incomplete.extend(run.incomplete.iter().filter(|have| **have as usize == file).map(|_| position));
            groups.push(u8::try_from(run.groups(file)).unwrap_or(u8::MAX));
            base = base
                .checked_add(run.groups(file))
                .ok_or((number, IndexError::Damaged("too many row groups in one run")))?;
        }
        let mut cursor = Cursor { run, next_block: 0, block: Block::default(), at: 0, sets_bit: 0, shifts };
        if let Some(key) = cursor.key().map_err(|error| (number, error))? {
            heap.push(Reverse((key, number)));
        }
        cursors.push(cursor);
    }
    let mut writer = RunWriter::new(out, groups);
    let mut units = Vec::new();
    while let Some(Reverse((key, number))) = heap.pop() {
        let Some(cursor) = cursors.get_mut(number) else { continue };
        cursor.take(&mut units).map_err(|error| (number, error))?;
        if let Some(next) = cursor.key().map_err(|error| (number, error))? {
            heap.push(Reverse((next, number)));
        }
        if heap.peek().is_none_or(|Reverse((next, _))| *next != key) && !units.is_empty() {
            writer.push(key, &units).map_err(|error| (number, error.into()))?;
            units.clear();
        }
    }
    writer.finish(&incomplete).map_err(|error| (runs.len().saturating_sub(1), error.into()))
}
