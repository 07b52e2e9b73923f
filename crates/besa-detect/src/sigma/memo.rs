//! Remembers which tests a value passed.
//!
//! Logs repeat themselves: nine of ten values of a field have been seen shortly before. The memo
//! is bounded in entries and bytes and starts afresh when full; its hash is seeded per worker, so
//! that nobody can choose values that collide.

use std::hash::BuildHasher;

use besa_event::{Value, ValueKind};
use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::index::Entry;

const ENTRIES_MAX: usize = 1 << 16;
const BYTES_MAX: usize = 8 << 20;
/// Longer values repeat too seldom to be worth their place.
const VALUE_LEN_BYTES_MAX: usize = 2_048;

/// Values of one class of events.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    seed: RandomState,
    table: HashTable<Remembered>,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    hash: u64,
    value_start: u32,
    value_len: u32,
    entries_start: u32,
    entries_len: u32,
    slot: u16,
    escaped: bool,
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
    pub(crate) fn get(&self, key: Key<'_>) -> Option<&[Entry]> {
        if key.value.bytes.len() > VALUE_LEN_BYTES_MAX {
            return None;
        }
        let hash = self.hash(key);
        let found = self.table.find(hash, |known| self.same(known, hash, key))?;
        let start = found.entries_start as usize;
        self.entries.get(start..start + found.entries_len as usize)
    }

    /// Remembers what a value passed.
    pub(crate) fn put(&mut self, key: Key<'_>, entries: &[Entry]) {
        if key.value.bytes.len() > VALUE_LEN_BYTES_MAX {
            return;
        }
        if self.table.len() >= ENTRIES_MAX || self.bytes.len() + self.entries.len() * 4 >= BYTES_MAX {
            self.table.clear();
            self.bytes.clear();
            self.entries.clear();
        }
        let hash = self.hash(key);
        let position = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let remembered = Remembered {
            hash,
            value_start: position(self.bytes.len()),
            value_len: position(key.value.bytes.len()),
            entries_start: position(self.entries.len()),
            entries_len: position(entries.len()),
            slot: key.slot,
            escaped: key.escaped(),
        };
        self.bytes.extend_from_slice(key.value.bytes);
        self.entries.extend_from_slice(entries);
        self.table.insert_unique(hash, remembered, |known| known.hash);
    }

    fn hash(&self, key: Key<'_>) -> u64 {
        self.seed.hash_one((key.slot, key.escaped(), key.value.bytes))
    }

    fn same(&self, known: &Remembered, hash: u64, key: Key<'_>) -> bool {
        let start = known.value_start as usize;
        known.hash == hash
            && known.slot == key.slot
            && known.escaped == key.escaped()
            && self.bytes.get(start..start + known.value_len as usize) == Some(key.value.bytes)
    }
}
