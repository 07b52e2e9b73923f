//! Remembers which tests a value passed.
//!
//! Logs repeat themselves: nine of ten values of a field have been seen shortly before. Values and
//! results lie in two rings in which the newest overwrite the oldest, and sets of four places say
//! where; so a memo has one size for ever and nothing is ever cleared or grown. Positions in the
//! rings are counted from the beginning of all writing, so it is known whether what they point at
//! is still there. The hash is seeded per worker, so that nobody can choose values that collide.
//!
//! ```text
//! places   [tag, position] × 4       half a cache line; all sets fit into the second-level cache
//! values   [head][value]             one stretch for all that a hit without results needs
//! results  [entries]
//! ```

use std::hash::{BuildHasher, Hasher};

use besa_event::{Value, ValueKind};
use foldhash::quality::RandomState;

use super::index::Entry;

/// Sets of places; a power of two.
const SETS: usize = 1 << 13;
const WAYS: usize = 4;
/// Powers of two.
const VALUES_LEN_BYTES: usize = 2 << 20;
const ENTRIES_LEN: usize = 1 << 17;
/// Longer values repeat too seldom to be worth their place.
pub(crate) const VALUE_LEN_BYTES_MAX: usize = 2_048;
/// More results for one value than an ordinary rule set can have.
const RESULTS_MAX: usize = 1 << 12;

/// Values of one worker. Memory: 2.75 MiB once something was put.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    seed: RandomState,
    /// Shape: `SETS` × `WAYS`; empty until the first `put`.
    places: Vec<[Place; WAYS]>,
    values: Ring<u8>,
    entries: Ring<Entry>,
}

/// Position in the ring, and below it 16 bits of the hash; zero is none.
#[derive(Clone, Copy, Debug, Default)]
struct Place(u64);

/// What to look a value up by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) slot: u16,
    pub(crate) value: Value<'a>,
}

/// What stands before a value: all by which keys differ but the bytes, and the results.
#[derive(Clone, Copy, Debug)]
struct Head {
    slot: u16,
    value_len: u16,
    is_escaped: bool,
    results_len: u16,
    results_at: u64,
}

const HEAD_LEN: usize = 15;

impl Head {
    fn to_bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..2].copy_from_slice(&self.slot.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.value_len.to_le_bytes());
        bytes[4] = u8::from(self.is_escaped);
        bytes[5..7].copy_from_slice(&self.results_len.to_le_bytes());
        bytes[7..].copy_from_slice(&self.results_at.to_le_bytes());
        bytes
    }

    #[inline]
    fn from_bytes(bytes: &[u8; HEAD_LEN]) -> Self {
        let [a, b, c, d, is_escaped, e, f, at @ ..] = *bytes;
        Self {
            slot: u16::from_le_bytes([a, b]),
            value_len: u16::from_le_bytes([c, d]),
            is_escaped: is_escaped != 0,
            results_len: u16::from_le_bytes([e, f]),
            results_at: u64::from_le_bytes(at),
        }
    }
}

impl Key<'_> {
    fn is_escaped(self) -> bool {
        self.value.kind == ValueKind::JsonText
    }
}

impl Memo {
    /// The entries that the value passed when it was last seen.
    #[inline]
    pub(crate) fn get(&self, key: Key<'_>) -> Option<&[Entry]> {
        self.get_at(key, self.hash(key))
    }

    /// The same, for whoever has the key's hash.
    #[inline]
    pub(crate) fn get_at(&self, key: Key<'_>, hash: u64) -> Option<&[Entry]> {
        if key.value.bytes.len() > VALUE_LEN_BYTES_MAX {
            return None;
        }
        let places = self.places.get(set_of(hash))?;
        let may_be = |place: &&Place| place.0 as u16 == tag(hash);
        places.iter().filter(may_be).find_map(|place| self.results(*place, key))
    }

    /// Reads what [`Memo::get_at`] is about to read of a key with this hash. Whoever has several keys
    /// does so for each of them first, and waits for memory once and not for each.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) {
        let Some(places) = self.places.get(set_of(hash)) else { return };
        let likely = places.iter().fold(
            0,
            |likely, place| {
                if place.0 as u16 == tag(hash) { place.0 >> 16 } else { likely }
            },
        );
        std::hint::black_box(self.values.from(likely).and_then(<[u8]>::first).copied());
    }

    /// The results behind a place, if it is this key's.
    #[inline]
    fn results(&self, place: Place, key: Key<'_>) -> Option<&[Entry]> {
        let (head, rest) = self.values.from(place.0 >> 16)?.split_first_chunk()?;
        let head = Head::from_bytes(head);
        let value = rest.get(..usize::from(head.value_len))?;
        let is_it = head.slot == key.slot && head.is_escaped == key.is_escaped() && value == key.value.bytes;
        match usize::from(head.results_len) {
            _ if !is_it => None,
            0 => Some(&[]),
            len => self.entries.from(head.results_at)?.get(..len),
        }
    }

    /// Remembers what a value passed.
    pub(crate) fn put(&mut self, key: Key<'_>, entries: &[Entry]) {
        self.put_at(key, self.hash(key), entries);
    }

    /// The same, for whoever has the key's hash.
    pub(crate) fn put_at(&mut self, key: Key<'_>, hash: u64, entries: &[Entry]) {
        if key.value.bytes.len() > VALUE_LEN_BYTES_MAX || entries.len() > RESULTS_MAX {
            return;
        }
        if self.places.is_empty() || self.values.is_worn_out() {
            self.places = vec![[Place::default(); WAYS]; SETS];
            self.values = Ring::new(VALUES_LEN_BYTES);
            self.entries = Ring::new(ENTRIES_LEN);
        }
        let results_at = self.entries.begin(entries.len());
        self.entries.push(entries);
        let head = Head {
            slot: key.slot,
            value_len: u16::try_from(key.value.bytes.len()).unwrap_or(u16::MAX),
            is_escaped: key.is_escaped(),
            results_len: u16::try_from(entries.len()).unwrap_or(u16::MAX),
            results_at,
        };
        let at = self.values.begin(HEAD_LEN + key.value.bytes.len());
        self.values.push(&head.to_bytes());
        self.values.push(key.value.bytes);
        let places = &mut self.places[set_of(hash)];
        places.rotate_right(1);
        places[0] = Place(at << 16 | u64::from(tag(hash)));
    }

    /// Of a value that is short enough to be remembered; any other has one that is of no use.
    #[inline]
    pub(crate) fn hash(&self, key: Key<'_>) -> u64 {
        if key.value.bytes.len() > VALUE_LEN_BYTES_MAX {
            return 0;
        }
        let mut hasher = self.seed.build_hasher();
        hasher.write_u32(u32::from(key.slot) << 1 | u32::from(key.is_escaped()));
        hasher.write(key.value.bytes);
        hasher.finish()
    }
}

#[inline]
fn set_of(hash: u64) -> usize {
    hash as usize & (SETS - 1)
}

#[inline]
fn tag(hash: u64) -> u16 {
    (hash >> 48) as u16
}

/// The last so many cells written; a stretch never wraps around the end.
#[derive(Debug, Default)]
struct Ring<T> {
    /// A power of two of cells.
    cells: Vec<T>,
    /// Cells written or skipped since the beginning, which stands one round behind zero: nothing
    /// was ever written at zero.
    written: u64,
}

impl<T: Copy + Default> Ring<T> {
    fn new(len: usize) -> Self {
        Self { cells: vec![T::default(); len], written: len as u64 }
    }

    /// Whether positions are about to need more bits than a place has.
    fn is_worn_out(&self) -> bool {
        self.written >> 47 != 0
    }

    /// Makes sure that the next so many cells, far fewer than the ring has, lie in one stretch;
    /// returns its position.
    fn begin(&mut self, len: usize) -> u64 {
        let start = self.written as usize & (self.cells.len() - 1);
        if start + len > self.cells.len() {
            self.written += (self.cells.len() - start) as u64;
        }
        self.written
    }

    fn push(&mut self, stretch: &[T]) {
        let start = self.written as usize & (self.cells.len() - 1);
        self.cells[start..start + stretch.len()].copy_from_slice(stretch);
        self.written += stretch.len() as u64;
    }

    /// What was written from a position on, unless it has been overwritten.
    #[inline]
    fn from(&self, at: u64) -> Option<&[T]> {
        if self.written - at > self.cells.len() as u64 {
            return None;
        }
        self.cells.get(at as usize & (self.cells.len() - 1)..)
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
            memo.touch(memo.hash(key));
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
