//! A column of one row group under construction: distinct values, and a position for each row.
//!
//! Each value is looked up once, by its bytes as they stand in the evidence; only values that are
//! new are unescaped and checked. Memory is the distinct values and four bytes a row. A column of
//! values that hardly repeat ceases to look them up and then may hold one several times.

use std::hash::BuildHasher;

use besa_event::{ValueKind, json_is_canonical, json_unescape};
use hashbrown::HashTable;

use crate::codec::page::{Distinct, NONE};

/// What a column knows of a distinct value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The bytes by which it is found, in `keys` if it was escaped, else the text itself.
    key: (u32, u32),
    escaped: bool,
    /// Whether the bytes cannot be told from the text: by default, and for JSON text.
    verbatim: [bool; 2],
    /// In `keys`, what was unescaped and is not UTF-8.
    unescaped: Option<(u32, u32)>,
}

impl Entry {
    fn verbatim_for(&self, is_json: bool) -> bool {
        let [by_default, json] = self.verbatim;
        if is_json { json } else { by_default }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Column {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    keys: Vec<u8>,
    texts: Vec<u8>,
    spans: Vec<(u32, u32)>,
    /// Of the bytes as they are, in `texts`; the same as `spans` but for what is not UTF-8.
    exact: Vec<(u32, u32)>,
    ids: Vec<u32>,
    last: u32,
    /// Nearly every value was new, so none is looked up any more but the last one.
    plain: bool,
}

/// Distinct values from which it is asked whether looking values up is worth it.
const PLAIN_FROM: usize = 2_048;

impl Column {
    /// How many rows it has reached: the row of the last value and all before it.
    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Bytes held.
    pub(crate) fn weight(&self) -> usize {
        self.keys.len() + self.texts.len() + self.entries.len() * 40 + self.ids.len() * 4
    }

    /// Adds the value of a row not yet reached; tells whether its bytes have to be kept beside
    /// its text.
    #[inline]
    pub(crate) fn set(
        &mut self,
        row: usize,
        kind: ValueKind,
        bytes: &[u8],
        hasher: &impl BuildHasher,
    ) -> bool {
        let (id, verbatim) = self.intern(kind, bytes, hasher);
        self.ids.resize(row, NONE);
        self.ids.push(id);
        verbatim
    }

    /// The same for a column of which nobody asks that its values are distinct.
    #[inline]
    pub(crate) fn set_any(
        &mut self,
        row: usize,
        kind: ValueKind,
        bytes: &[u8],
        hasher: &impl BuildHasher,
    ) -> bool {
        let distinct = self.entries.len();
        let verbatim = self.set(row, kind, bytes, hasher);
        if distinct == PLAIN_FROM && self.entries.len() > PLAIN_FROM && row < PLAIN_FROM + PLAIN_FROM / 8 {
            self.plain = true;
            self.table = HashTable::new();
        }
        verbatim
    }

    /// The position of a value, and whether its bytes cannot be told from its text.
    #[inline]
    pub(crate) fn intern(&mut self, kind: ValueKind, bytes: &[u8], hasher: &impl BuildHasher) -> (u32, bool) {
        let is_json = kind == ValueKind::JsonText;
        let escaped = is_json && memchr::memchr(b'\\', bytes).is_some();
        let matches = |id: u32| {
            self.entries
                .get(id as usize)
                .is_some_and(|entry| entry.escaped == escaped && self.key(entry) == bytes)
        };
        let id = if matches(self.last) {
            self.last
        } else if self.plain {
            self.insert(0, escaped, bytes, hasher)
        } else {
            let hash = hasher.hash_one((escaped, bytes));
            match self.table.find(hash, |id| matches(*id)).copied() {
                Some(id) => id,
                None => self.insert(hash, escaped, bytes, hasher),
            }
        };
        self.last = id;
        let verbatim = self.entries.get(id as usize).is_some_and(|entry| entry.verbatim_for(is_json));
        (id, verbatim)
    }

    #[inline]
    fn key(&self, entry: &Entry) -> &[u8] {
        let arena = if entry.escaped { &self.keys } else { &self.texts };
        let (start, len) = entry.key;
        arena.get(start as usize..(start + len) as usize).unwrap_or_default()
    }

    fn insert(&mut self, hash: u64, escaped: bool, bytes: &[u8], hasher: &impl BuildHasher) -> u32 {
        let start = self.texts.len();
        let entry = if escaped { self.add_escaped(bytes) } else { self.add_plain(bytes) };
        let id = self.entries.len() as u32;
        self.entries.push(entry);
        let text = self.texts.len() - start;
        self.exact.push(if escaped { (start as u32, text as u32) } else { entry.key });
        if escaped || entry.key.1 as usize == text {
            self.spans.push((start as u32, text as u32));
        } else {
            // Bytes that are not UTF-8, followed by the text that stands for them.
            self.spans.push((start as u32 + entry.key.1, text as u32 - entry.key.1));
        }
        if self.plain {
            return id;
        }
        let (entries, keys, texts) = (&self.entries, &self.keys, &self.texts);
        self.table.insert_unique(hash, id, |id| {
            let entry = entries.get(*id as usize);
            let (escaped, (start, len)) = entry.map_or((false, (0, 0)), |entry| (entry.escaped, entry.key));
            let arena = if escaped { keys } else { texts };
            hasher.hash_one((escaped, arena.get(start as usize..(start + len) as usize).unwrap_or_default()))
        });
        id
    }

    fn add_escaped(&mut self, bytes: &[u8]) -> Entry {
        let key = (self.keys.len() as u32, bytes.len() as u32);
        self.keys.extend_from_slice(bytes);
        let start = self.texts.len();
        json_unescape(bytes, &mut self.texts);
        let text = self.texts.get(start..).unwrap_or_default();
        let canonical = json_is_canonical(bytes);
        // Escapes make no bytes that are not UTF-8, so it is enough to look at these.
        if canonical || std::str::from_utf8(bytes).is_ok() {
            return Entry { key, escaped: true, verbatim: [!canonical; 2], unescaped: None };
        }
        let unescaped = (key.0 + key.1, text.len() as u32);
        self.keys.extend_from_slice(text);
        let lossy = String::from_utf8_lossy(text).into_owned();
        self.texts.truncate(start);
        self.texts.extend_from_slice(lossy.as_bytes());
        Entry { key, escaped: true, verbatim: [true; 2], unescaped: Some(unescaped) }
    }

    fn add_plain(&mut self, bytes: &[u8]) -> Entry {
        let key = (self.texts.len() as u32, bytes.len() as u32);
        self.texts.extend_from_slice(bytes);
        let is_utf8 = std::str::from_utf8(bytes).is_ok();
        if !is_utf8 {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.texts.extend_from_slice(text.as_bytes());
        }
        let changes_when_escaped = bytes.iter().any(|byte| *byte < 0x20 || *byte == b'"');
        Entry { key, escaped: false, verbatim: [!is_utf8, !is_utf8 || changes_when_escaped], unescaped: None }
    }

    /// The distinct texts.
    pub(crate) fn distinct(&self) -> Distinct<'_> {
        Distinct { arena: &self.texts, spans: &self.spans }
    }

    /// The distinct values as the bytes that they are; only for what was never escaped.
    pub(crate) fn exact(&self) -> Distinct<'_> {
        Distinct { arena: &self.texts, spans: &self.exact }
    }

    /// The distinct texts one by one; where they are not UTF-8, the bytes.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().zip(&self.spans).map(|(entry, (start, len))| {
            match entry.unescaped {
                Some((start, len)) => self.keys.get(start as usize..(start + len) as usize),
                None if entry.escaped || !entry.verbatim_for(false) => {
                    self.texts.get(*start as usize..(start + len) as usize)
                }
                None => Some(self.key(entry)),
            }
            .unwrap_or_default()
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
