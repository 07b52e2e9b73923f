//! Field names as small numbers.
//!
//! A run interns every field name that its rules, patterns and readers care about, then freezes
//! the dictionary. Readers look a record's names up once and hand on ids; names that nobody
//! asked for are skipped, or kept beside the batch when everything is wanted.
//!
//! Names compare without regard to ASCII case. Sigma is silent on it (issue trackers of several
//! tools are not): `commandLine` and `CommandLine` are one field to every analyst, and logs that
//! hold both spellings with different meaning have not been seen.

use crate::logsource::ALIASES;

/// A field name. Ids below the dictionary's length are the dictionary's; ids with the high bit
/// set are positions in the names of one [`Batch`](crate::Batch). Some of those are names for later
/// (see [`Keep::History`](crate::Keep)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u32);

const LOCAL: u32 = 1 << 31;
const FOR_LATER: u32 = 1 << 30;

impl FieldId {
    /// The id of a name that only its batch knows.
    #[must_use]
    pub fn local(index: u32) -> Self {
        Self(LOCAL | index)
    }

    /// The id of a second name that this run does not ask for and a later one may.
    #[must_use]
    pub fn for_later(index: u32) -> Self {
        Self(LOCAL | FOR_LATER | index)
    }

    /// The position in the batch's names, if this is not the dictionary's.
    #[must_use]
    pub fn as_local(self) -> Option<usize> {
        (self.0 & LOCAL != 0).then_some((self.0 & !(LOCAL | FOR_LATER)) as usize)
    }

    /// Whether it is a second name that only a later run may ask for.
    #[must_use]
    pub fn is_for_later(self) -> bool {
        self.0 & (LOCAL | FOR_LATER) == LOCAL | FOR_LATER
    }

    /// The position in the dictionary; only for ids that are not local.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The frozen map from field names to ids.
#[derive(Debug)]
pub struct Dictionary {
    names: Vec<Box<str>>,
    /// Open addressing, a power of two, at most half full; `u32::MAX` is empty.
    slots: Vec<u32>,
    /// For each of [`ALIASES`]' tables: pairs (field of the record, field that rules ask for).
    pub(crate) aliases: Vec<Vec<(FieldId, FieldId)>>,
}

/// A dictionary being filled.
#[derive(Debug, Default)]
pub struct DictionaryBuilder {
    names: Vec<Box<str>>,
    slots: Vec<u32>,
}

impl Dictionary {
    /// Starts an empty dictionary.
    #[must_use]
    pub fn builder() -> DictionaryBuilder {
        DictionaryBuilder::default()
    }

    /// The id of `name`, without regard to ASCII case.
    #[must_use]
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Option<FieldId> {
        find(&self.names, &self.slots, name)
    }

    /// The name of an id as it was interned; empty for an id of another dictionary.
    #[must_use]
    pub fn name(&self, id: FieldId) -> &str {
        self.names.get(id.index()).map_or("", AsRef::as_ref)
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl DictionaryBuilder {
    /// The id of `name`, new if it was not there.
    pub fn intern(&mut self, name: &str) -> FieldId {
        if let Some(id) = find(&self.names, &self.slots, name.as_bytes()) {
            return id;
        }
        let id = FieldId(u32::try_from(self.names.len()).unwrap_or(LOCAL - 1));
        self.names.push(name.into());
        if self.names.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            insert(&mut self.slots, id, name.as_bytes());
        }
        id
    }

    fn grow(&mut self) {
        self.slots = vec![u32::MAX; (self.names.len() * 4).next_power_of_two()];
        for (id, name) in (0..).zip(&self.names) {
            insert(&mut self.slots, FieldId(id), name.as_bytes());
        }
    }

    /// Freezes it. For each alias whose target is wanted, the source name is interned as well,
    /// so that readers keep the field it comes from.
    #[must_use]
    pub fn build(mut self) -> Dictionary {
        let mut aliases = Vec::with_capacity(ALIASES.len());
        for table in ALIASES {
            let mut pairs = Vec::new();
            for (from, to) in *table {
                if let Some(to) = find(&self.names, &self.slots, to.as_bytes()) {
                    pairs.push((self.intern(from), to));
                }
            }
            aliases.push(pairs);
        }
        Dictionary { names: self.names, slots: self.slots, aliases }
    }
}

#[inline]
fn find(names: &[Box<str>], slots: &[u32], name: &[u8]) -> Option<FieldId> {
    let mask = slots.len().checked_sub(1)?;
    let mut at = hash(name) & mask;
    loop {
        let slot = *slots.get(at)?;
        let known = names.get(slot as usize)?;
        if known.as_bytes().eq_ignore_ascii_case(name) {
            return Some(FieldId(slot));
        }
        at = (at + 1) & mask;
    }
}

fn insert(slots: &mut [u32], id: FieldId, name: &[u8]) {
    let mask = slots.len().saturating_sub(1);
    let mut at = hash(name) & mask;
    while slots.get(at).is_some_and(|slot| *slot != u32::MAX) {
        at = (at + 1) & mask;
    }
    if let Some(slot) = slots.get_mut(at) {
        *slot = id.0;
    }
}

/// Hash of the name with bit 0x20 of every byte set, which folds ASCII letters. The table's keys
/// are our own and it never grows after the build, so a stranger's names cannot degrade it.
#[inline]
fn hash(name: &[u8]) -> usize {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = name.len() as u64;
    let mut chunks = name.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default()) | 0x2020_2020_2020_2020;
        state = (state.rotate_left(23) ^ word).wrapping_mul(K);
    }
    for byte in chunks.remainder() {
        state = (state.rotate_left(9) ^ u64::from(byte | 0x20)).wrapping_mul(K);
    }
    (state ^ (state >> 32)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_only_if_interned() {
        let mut builder = Dictionary::builder();
        let names: Vec<String> = (0..500).map(|i| format!("Field.{i}.Name-é{i}")).collect();
        let ids: Vec<FieldId> = names.iter().map(|name| builder.intern(name)).collect();
        assert_eq!(builder.intern("FIELD.7.name-é7"), ids[7]);
        let dictionary = builder.build();
        for (name, id) in names.iter().zip(ids) {
            assert_eq!(dictionary.lookup(name.to_ascii_uppercase().as_bytes()), Some(id));
            assert_eq!(dictionary.name(id), name);
        }
        assert_eq!(dictionary.lookup(b"Field.500.Name"), None);
        assert_eq!(dictionary.lookup(b""), None);
        assert_eq!(Dictionary::builder().build().lookup(b"x"), None);
    }

    #[test]
    fn the_source_of_a_wanted_alias_is_kept() {
        let mut builder = Dictionary::builder();
        builder.intern("Image");
        let dictionary = builder.build();
        assert!(dictionary.lookup(b"NewProcessName").is_some());
        assert!(dictionary.lookup(b"ParentProcessName").is_none());
    }
}
