//! Remembers which tests a value passed.
//!
//! Logs repeat themselves: nine of ten values of a field have been seen shortly before. Values and
//! results lie in two rings in which the newest overwrite the oldest, and sets of four records say
//! where; so a memo has one size for ever and nothing is ever cleared or grown. Positions in the
//! rings are counted from the beginning of all writing, so a record knows whether what it points
//! at is still there. The hash is seeded per worker, so that nobody can choose values that collide.

use std::hash::{BuildHasher, Hasher};

use besa_event::{Value, ValueKind};
use foldhash::quality::RandomState;

use super::index::Entry;

/// Sets of records; a power of two.
const SETS: usize = 1 << 13;
const WAYS: usize = 4;
const VALUES_LEN_BYTES: usize = 2 << 20;
const ENTRIES_LEN: usize = 1 << 17;
/// Longer values repeat too seldom to be worth their place.
pub(crate) const VALUE_LEN_BYTES_MAX: usize = 2_048;
/// More results for one value than an ordinary rule set can have.
const RESULTS_MAX: usize = 1 << 12;

/// Values of one worker. Memory: 3.5 MiB once something was put.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    seed: RandomState,
    /// Shape: `SETS` × `WAYS`; empty until the first `put`.
    records: Vec<Record>,
    values: Ring<u8>,
    entries: Ring<Entry>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    value_at: u64,
    entries_at: u64,
    /// Upper half of the hash.
    hash: u32,
    value_len: u16,
    entries_len: u16,
    slot: u16,
    escaped: bool,
    used: bool,
}

/// What to look a value up by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) slot: u16,
    pub(crate) value: Value<'a>,
}

impl Key<'_> {
    fn escaped(self) -> bool {
        self.value.kind == ValueKind::JsonText
    }
}

impl Memo {
    /// The entries that the value passed when it was last seen.
    #[inline]
    pub(crate) fn get(&self, key: Key<'_>) -> Option<&[Entry]> {
        if key.value.bytes.len() > VALUE_LEN_BYTES_MAX {
            return None;
        }
        let hash = self.hash(key);
        let set = set_of(hash);
        let records = self.records.get(set..set + WAYS)?;
        let record = records.iter().find(|record| self.is_of(record, hash, key))?;
        self.entries.get(record.entries_at, usize::from(record.entries_len))
    }

    /// Remembers what a value passed.
    pub(crate) fn put(&mut self, key: Key<'_>, entries: &[Entry]) {
        if key.value.bytes.len() > VALUE_LEN_BYTES_MAX || entries.len() > RESULTS_MAX {
            return;
        }
        if self.records.is_empty() {
            self.records = vec![Record::default(); SETS * WAYS];
            self.values.cells = vec![0; VALUES_LEN_BYTES];
            self.entries.cells = vec![0; ENTRIES_LEN];
        }
        let hash = self.hash(key);
        let record = Record {
            value_at: self.values.push(key.value.bytes),
            entries_at: self.entries.push(entries),
            hash: upper(hash),
            value_len: u16::try_from(key.value.bytes.len()).unwrap_or(u16::MAX),
            entries_len: u16::try_from(entries.len()).unwrap_or(u16::MAX),
            slot: key.slot,
            escaped: key.escaped(),
            used: true,
        };
        let set = set_of(hash);
        let records = &mut self.records[set..set + WAYS];
        records.rotate_right(1);
        records[0] = record;
    }

    #[inline]
    fn is_of(&self, record: &Record, hash: u64, key: Key<'_>) -> bool {
        record.hash == upper(hash)
            && record.used
            && record.slot == key.slot
            && record.escaped == key.escaped()
            && self.values.get(record.value_at, usize::from(record.value_len)) == Some(key.value.bytes)
    }

    #[inline]
    fn hash(&self, key: Key<'_>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u32(u32::from(key.slot) << 1 | u32::from(key.escaped()));
        hasher.write(key.value.bytes);
        hasher.finish()
    }
}

#[inline]
fn set_of(hash: u64) -> usize {
    (hash as usize & (SETS - 1)) * WAYS
}

#[inline]
fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The last so many cells written; a stretch never wraps around the end.
#[derive(Debug, Default)]
struct Ring<T> {
    /// A power of two of cells.
    cells: Vec<T>,
    /// Cells written or skipped since the beginning.
    written: u64,
}

impl<T: Copy> Ring<T> {
    /// Writes a stretch, far shorter than the ring, and returns its position.
    fn push(&mut self, stretch: &[T]) -> u64 {
        let len = self.cells.len();
        let mut start = self.written as usize & (len - 1);
        if start + stretch.len() > len {
            self.written += (len - start) as u64;
            start = 0;
        }
        self.cells[start..start + stretch.len()].copy_from_slice(stretch);
        let at = self.written;
        self.written += stretch.len() as u64;
        at
    }

    /// A stretch, unless it has been overwritten.
    #[inline]
    fn get(&self, at: u64, len: usize) -> Option<&[T]> {
        if self.written - at > self.cells.len() as u64 {
            return None;
        }
        let start = at as usize & (self.cells.len() - 1);
        self.cells.get(start..start + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far more values than fit, each put again now and then: what is remembered is right, and
    /// what was put last is there.
    #[test]
    fn remembers_the_newest_and_never_a_wrong_thing() {
        let mut memo = Memo::default();
        let mut hits = 0;
        for round in 0..300_000_u32 {
            let number = if round % 3 == 0 { round } else { round.wrapping_mul(2_654_435_761) % 20_000 };
            let slot = (number % 5) as u16;
            let text = format!("{number}{}", "x".repeat(number as usize % 90));
            let kind = if number % 2 == 0 { ValueKind::JsonText } else { ValueKind::Text };
            let key = Key { slot, value: Value { kind, bytes: text.as_bytes() } };
            let expected: Vec<Entry> = (0..number % 4).map(|entry| number + entry).collect();
            match memo.get(key) {
                Some(known) => {
                    hits += 1;
                    assert_eq!(known, expected);
                }
                None => memo.put(key, &expected),
            }
            assert_eq!(memo.get(key), Some(expected.as_slice()));
        }
        assert!(hits > 50_000, "{hits}");
        let long = "y".repeat(VALUE_LEN_BYTES_MAX + 1);
        let key = Key { slot: 0, value: Value { kind: ValueKind::Text, bytes: long.as_bytes() } };
        memo.put(key, &[1]);
        assert_eq!(memo.get(key), None);
    }
}
