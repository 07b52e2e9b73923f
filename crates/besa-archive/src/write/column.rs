//! A column of one row group under construction: distinct values, and a position for each row.
//!
//! Each value is looked up once, by its bytes as they stand in the evidence; only values that are
//! new are unescaped and checked. Memory is the distinct values and four bytes a row. A column of
//! values that hardly repeat ceases to look them up and then may hold one several times.

use std::hash::BuildHasher;

use besa_event::{ValueKind, json_unescape_checked};
use hashbrown::HashTable;

use crate::codec::page::{Distinct, NONE};

/// What a column knows of a distinct value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The bytes by which it is found, in `keys` if it was escaped, else in `texts`.
    start: u32,
    len: u32,
    flags: u8,
}

/// It was escaped.
const ESCAPED: u8 = 1;
/// Its bytes cannot be told from the text.
const VERBATIM: u8 = 2;
/// The same if it is JSON text.
const VERBATIM_JSON: u8 = 4;
/// It is not UTF-8; its text follows it in `texts`, or stands in `unescaped`.
const NOT_TEXT: u8 = 8;
/// Its bytes hold a backslash.
const BACKSLASH: u8 = 16;

impl Entry {
    fn is_escaped(self) -> bool {
        self.flags & ESCAPED != 0
    }

    fn is_verbatim(self, is_json: bool) -> bool {
        self.flags & if is_json { VERBATIM_JSON } else { VERBATIM } != 0
    }
}

/// A place in the table: the position of a value, and its hash, so that nothing has to be read
/// again when the table grows.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    id: u32,
}

/// The table takes its group from the lower bits of a hash and its tag from the upper ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Column {
    ids: Vec<u32>,
    last: u32,
    /// Nearly every value was new, so none is looked up any more but the last one.
    plain: bool,
    entries: Vec<Entry>,
    keys: Vec<u8>,
    texts: Vec<u8>,
    table: HashTable<Slot>,
    spans: Vec<(u32, u32)>,
    /// What was unescaped and is not UTF-8, in `keys`, by position of the value.
    unescaped: Vec<(u32, u32, u32)>,
}

/// Bytes from which an arena no longer doubles.
const GROWS_BY_HALF: usize = 16 << 10;
/// Distinct values from which it is asked whether looking values up is worth it.
const PLAIN_FROM: usize = 2_048;

impl Column {
    /// How many rows it has reached: the row of the last value and all before it.
    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Bytes held, used or not.
    pub(crate) fn weight(&self) -> usize {
        self.keys.capacity()
            + self.texts.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.spans.capacity() * size_of::<(u32, u32)>()
            + self.table.allocation_size()
            + self.ids.capacity() * size_of::<u32>()
            + self.unescaped.capacity() * size_of::<(u32, u32, u32)>()
    }

    /// Empties it for another row group; what it holds stays for reuse.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.last = 0;
        self.plain = false;
        self.entries.clear();
        self.keys.clear();
        self.texts.clear();
        self.table.clear();
        self.spans.clear();
        self.unescaped.clear();
    }

    /// Adds the value of a row not yet reached; tells whether its bytes have to be kept beside
    /// its text. `grown` gets the bytes that it holds more than before.
    #[inline]
    pub(crate) fn set(
        &mut self,
        row: usize,
        kind: ValueKind,
        bytes: &[u8],
        hasher: &impl BuildHasher,
        grown: &mut usize,
    ) -> bool {
        let (id, verbatim) = self.intern(kind, bytes, hasher, grown);
        if self.ids.len() == row && row < self.ids.capacity() {
            self.ids.push(id);
        } else {
            self.reach(row, id, grown);
        }
        verbatim
    }

    fn reach(&mut self, row: usize, id: u32, grown: &mut usize) {
        let before = self.ids.capacity();
        self.ids.resize(row, NONE);
        self.ids.push(id);
        *grown += (self.ids.capacity() - before) * size_of::<u32>();
    }

    /// The same for a column of which nobody asks that its values are distinct.
    #[inline]
    pub(crate) fn set_any(
        &mut self,
        row: usize,
        kind: ValueKind,
        bytes: &[u8],
        hasher: &impl BuildHasher,
        grown: &mut usize,
    ) -> bool {
        let distinct = self.entries.len();
        let verbatim = self.set(row, kind, bytes, hasher, grown);
        if distinct == PLAIN_FROM && self.entries.len() > PLAIN_FROM && row < PLAIN_FROM + PLAIN_FROM / 8 {
            self.plain = true;
            self.table = HashTable::new();
        }
        verbatim
    }

    /// The position of a value, and whether its bytes cannot be told from its text.
    #[inline]
    pub(crate) fn intern(
        &mut self,
        kind: ValueKind,
        bytes: &[u8],
        hasher: &impl BuildHasher,
        grown: &mut usize,
    ) -> (u32, bool) {
        let is_json = kind == ValueKind::JsonText;
        if let Some(entry) = self.entries.get(self.last as usize)
            && self.is(*entry, is_json, bytes)
        {
            return (self.last, entry.is_verbatim(is_json));
        }
        self.look_up(is_json, bytes, hasher, grown)
    }

    /// Whether an entry is for these bytes; bytes that are escaped are another value than the same
    /// bytes as a text.
    #[inline]
    fn is(&self, entry: Entry, is_json: bool, bytes: &[u8]) -> bool {
        entry.len as usize == bytes.len()
            && self.key(entry) == bytes
            && entry.is_escaped() == (is_json && entry.flags & BACKSLASH != 0)
    }

    fn look_up(
        &mut self,
        is_json: bool,
        bytes: &[u8],
        hasher: &impl BuildHasher,
        grown: &mut usize,
    ) -> (u32, bool) {
        let hash = if self.plain { 0 } else { (hasher.hash_one(bytes) >> 32) as u32 };
        let found = if self.plain {
            None
        } else {
            self.table.find(spread(hash), |slot| {
                let entry = self.entries.get(slot.id as usize);
                slot.hash == hash && entry.is_some_and(|entry| self.is(*entry, is_json, bytes))
            })
        };
        let id = match found {
            Some(slot) => slot.id,
            None => {
                let before = self.weight();
                let id = self.insert(hash, is_escaped(is_json, bytes), bytes);
                *grown += self.weight().saturating_sub(before);
                id
            }
        };
        self.last = id;
        let verbatim = self.entries.get(id as usize).is_some_and(|entry| entry.is_verbatim(is_json));
        (id, verbatim)
    }

    #[inline]
    fn key(&self, entry: Entry) -> &[u8] {
        let arena = if entry.is_escaped() { &self.keys } else { &self.texts };
        arena.get(entry.start as usize..(entry.start + entry.len) as usize).unwrap_or_default()
    }

    fn insert(&mut self, hash: u32, escaped: bool, bytes: &[u8]) -> u32 {
        let id = self.entries.len() as u32;
        self.reserve(escaped, bytes.len());
        let start = self.texts.len();
        let entry = if escaped { self.add_escaped(id, bytes) } else { self.add_plain(bytes) };
        self.entries.push(entry);
        let text = self.texts.len() - start;
        if escaped || entry.flags & NOT_TEXT == 0 {
            self.spans.push((start as u32, text as u32));
        } else {
            // Bytes that are not UTF-8, followed by the text that stands for them.
            self.spans.push((start as u32 + entry.len, text as u32 - entry.len));
        }
        if !self.plain {
            self.table.insert_unique(spread(hash), Slot { hash, id }, |slot| spread(slot.hash));
        }
        id
    }

    /// Makes room as vectors do, but larger ones grow by half: what is not used counts as held.
    fn reserve(&mut self, escaped: bool, more: usize) {
        let keys = escaped.then_some(&mut self.keys);
        for arena in [&mut self.texts].into_iter().chain(keys) {
            if arena.capacity() - arena.len() < more && arena.len() > GROWS_BY_HALF {
                arena.reserve_exact(more.max(arena.len() / 2));
            }
        }
    }

    fn add_escaped(&mut self, id: u32, bytes: &[u8]) -> Entry {
        let (at, len) = (self.keys.len() as u32, bytes.len() as u32);
        self.keys.extend_from_slice(bytes);
        let start = self.texts.len();
        let canonical = json_unescape_checked(bytes, &mut self.texts);
        if canonical {
            return Entry { start: at, len, flags: ESCAPED | BACKSLASH };
        }
        let flags = ESCAPED | BACKSLASH | VERBATIM | VERBATIM_JSON;
        // Escapes make no bytes that are not UTF-8, so it is enough to look at these.
        if std::str::from_utf8(bytes).is_ok() {
            return Entry { start: at, len, flags };
        }
        let text = self.texts.get(start..).unwrap_or_default();
        self.unescaped.push((id, at + len, text.len() as u32));
        self.keys.extend_from_slice(text);
        let lossy = String::from_utf8_lossy(text).into_owned();
        self.texts.truncate(start);
        self.texts.extend_from_slice(lossy.as_bytes());
        Entry { start: at, len, flags: flags | NOT_TEXT }
    }

    fn add_plain(&mut self, bytes: &[u8]) -> Entry {
        let (start, len) = (self.texts.len() as u32, bytes.len() as u32);
        self.texts.extend_from_slice(bytes);
        let backslash = if memchr::memchr(b'\\', bytes).is_some() { BACKSLASH } else { 0 };
        if std::str::from_utf8(bytes).is_err() {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.texts.extend_from_slice(text.as_bytes());
            return Entry { start, len, flags: backslash | VERBATIM | VERBATIM_JSON | NOT_TEXT };
        }
        // Without a branch for each byte: whole vectors at a time.
        let is_changed = bytes.iter().fold(false, |any, byte| any | (*byte < 0x20) | (*byte == b'"'));
        Entry { start, len, flags: backslash | if is_changed { VERBATIM_JSON } else { 0 } }
    }

    /// The distinct texts.
    pub(crate) fn distinct(&self) -> Distinct<'_> {
        Distinct { arena: &self.texts, spans: &self.spans }
    }

    /// Where the distinct values lie as the bytes that they are, in the arena of
    /// [`Column::distinct`]; only for what was never escaped.
    pub(crate) fn exact(&self) -> Vec<(u32, u32)> {
        self.entries.iter().map(|entry| (entry.start, entry.len)).collect()
    }

    /// The distinct texts one by one; where they are not UTF-8, the bytes.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0_u32..).zip(self.entries.iter().zip(&self.spans)).map(|(id, (entry, (start, len)))| {
            if entry.flags & NOT_TEXT == 0 {
                return self.texts.get(*start as usize..(start + len) as usize).unwrap_or_default();
            }
            if !entry.is_escaped() {
                return self.key(*entry);
            }
            let at = self.unescaped.binary_search_by_key(&id, |(id, ..)| *id).ok();
            let bytes = at
                .and_then(|at| self.unescaped.get(at))
                .and_then(|(_, start, len)| self.keys.get(*start as usize..(start + len) as usize));
            bytes.unwrap_or_default()
        })
    }

    /// How many distinct values.
    pub(crate) fn distinct_len(&self) -> usize {
        self.spans.len()
    }

    /// For each row reached, the position of its value.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }
}

#[inline]
fn is_escaped(is_json: bool, bytes: &[u8]) -> bool {
    is_json && memchr::memchr(b'\\', bytes).is_some()
}
