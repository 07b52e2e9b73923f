//! What a dotted path is called and means, worked out once and remembered.
//!
//! | in the record | field |
//! |---|---|
//! | `Event.System.Channel`, `Event.System.EventID.#text` | `Channel`, `EventID` |
//! | `Event.System.Provider.#attributes.Name` (also `@Name`, `Provider_attributes.Name`) | `Provider_Name` |
//! | `Event.EventData.Threat Name`, `winlog.event_data.ThreatName` | `ThreatName` (white space taken out) |
//! | `Event.UserData.….Param1` (any depth) | `Param1` |
//! | anything else | its path |
//!
//! These are the names that decoding EVTX gives, so a rule sees no difference. The memory is
//! bounded: a stranger's names can push ours out, which costs time and changes nothing.

use std::hash::{BuildHasher, RandomState};

use besa_event::{Batch, Dictionary, FieldId, Keep};

use super::shapes::{INNER, ROLES, Role, SECOND_NAMES, Scope};
use crate::context::Context;

const PATHS_MAX: usize = 8_192;
const PATH_BYTES_MAX: usize = 1 << 20;
const SLOTS: usize = PATHS_MAX * 2;
const SECOND_NAMES_MAX: usize = 4;

/// What a path is called and means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    /// The field, if it is kept.
    pub(super) field: Option<FieldId>,
    pub(super) role: Role,
    /// Whether it is an element of a Windows event: only its text is a field, not its being there.
    pub(super) is_renamed: bool,
    /// Set if its text may be a document: the path under which that document's fields stand.
    pub(super) inner: Option<&'static str>,
    pub(super) second_names: SecondNames,
    /// Tells one path from another within a record.
    pub(super) path: u32,
}

/// Further names of a field that the dictionary holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SecondNames([Option<(Scope, FieldId)>; SECOND_NAMES_MAX]);

impl SecondNames {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.0, [None, ..])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Scope, FieldId)> {
        self.0.into_iter().flatten()
    }

    fn add(&mut self, scope: Scope, name: Option<FieldId>) {
        let free = self.0.iter_mut().find(|place| place.is_none());
        if let (Some(name), Some(place)) = (name, free) {
            *place = Some((scope, name));
        }
    }
}

#[derive(Debug)]
struct Known {
    hash: u64,
    /// The path, then what the field is called, in the bytes of all.
    path: std::ops::Range<usize>,
    called: std::ops::Range<usize>,
    name: Name,
    /// The block for which a name that the dictionary lacks was added to its batch.
    local_in: u64,
}

#[derive(Debug)]
pub(super) struct Names {
    known: Vec<Known>,
    /// Open addressing into `known`, at most half full; `u32::MAX` is empty.
    slots: Vec<u32>,
    bytes: Vec<u8>,
    seed: u64,
    block: u64,
    /// Address and length of the dictionary that this holds for.
    dictionary: (usize, usize),
    /// Paths with a meaning; the position is that in `roles`.
    catalogue: Dictionary,
    roles: Vec<Meaning>,
}

/// What the catalogue says of a path.
#[derive(Clone, Debug, Default)]
struct Meaning {
    role: Role,
    inner: Option<&'static str>,
    second_names: Vec<(Scope, &'static str)>,
}

impl Default for Names {
    fn default() -> Self {
        let mut builder = Dictionary::builder();
        let mut roles: Vec<Meaning> = Vec::new();
        let mut meaning_of = |path: &str, set: &dyn Fn(&mut Meaning)| {
            let index = builder.intern(path).index();
            if roles.len() <= index {
                roles.resize(index + 1, Meaning::default());
            }
            if let Some(meaning) = roles.get_mut(index) {
                set(meaning);
            }
        };
        for (path, role) in ROLES {
            meaning_of(path, &|meaning| meaning.role = *role);
        }
        for (path, prefix) in INNER {
            meaning_of(path, &|meaning| meaning.inner = Some(prefix));
        }
        for (path, scope, name) in SECOND_NAMES {
            meaning_of(path, &|meaning| meaning.second_names.push((*scope, name)));
        }
        Self {
            known: Vec::new(),
            slots: vec![u32::MAX; SLOTS],
            bytes: Vec::new(),
            seed: RandomState::new().hash_one(0) | 1,
            block: 0,
            dictionary: (0, 0),
            catalogue: builder.build(),
            roles,
        }
    }
}

impl Names {
    pub(super) fn begin_block(&mut self, context: &Context<'_>) {
        self.block += 1;
        let dictionary = (std::ptr::from_ref(context.dictionary).addr(), context.dictionary.len());
        if self.dictionary != dictionary {
            self.dictionary = dictionary;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.known.clear();
        self.bytes.clear();
        self.slots.fill(u32::MAX);
    }

    /// What the path is called and means in the batch being filled.
    #[inline]
    pub(super) fn find(&mut self, context: &Context<'_>, path: &[u8], batch: &mut Batch) -> Name {
        let hash = self.hash(path);
        let mask = SLOTS - 1;
        let mut at = hash as usize & mask;
        while let Some(index) = self.slots.get(at).copied()
            && let Some(known) = self.known.get_mut(index as usize)
        {
            if known.hash == hash && self.bytes.get(known.path.clone()) == Some(path) {
                if known.local_in != self.block
                    && (known.local_in != 0
                        || (known.name.field.is_none() && context.keep == Keep::Everything))
                {
                    let called = self.bytes.get(known.called.clone()).unwrap_or_default();
                    let span = batch.append(called);
                    known.name.field = Some(batch.local_name(span));
                    known.local_in = self.block;
                }
                return known.name;
            }
            at = (at + 1) & mask;
        }
        self.learn(context, path, hash);
        self.find(context, path, batch)
    }

    /// Seeded, so that nobody can choose names that collide.
    #[inline]
    fn hash(&self, path: &[u8]) -> u64 {
        const K: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut state = self.seed ^ path.len() as u64;
        let mut chunks = path.chunks_exact(8);
        for chunk in &mut chunks {
            let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
            state = (state.rotate_left(23) ^ word).wrapping_mul(K);
            state ^= state >> 29;
        }
        for byte in chunks.remainder() {
            state = (state.rotate_left(9) ^ u64::from(*byte)).wrapping_mul(K);
        }
        (state ^ (state >> 32)).wrapping_mul(self.seed)
    }

    #[cold]
    fn learn(&mut self, context: &Context<'_>, path: &[u8], hash: u64) {
        if self.known.len() >= PATHS_MAX || self.bytes.len() >= PATH_BYTES_MAX {
            self.forget();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(path);
        let middle = self.bytes.len();
        let called = called(path);
        self.bytes.extend_from_slice(&called);
        let mut name = self.meaning(context, path, &called);
        let (path, called) = (start..middle, middle..self.bytes.len());
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        name.path = index;
        self.known.push(Known { hash, path, called, name, local_in: 0 });
        let mask = SLOTS - 1;
        let mut at = hash as usize & mask;
        while self.slots.get(at).is_some_and(|slot| *slot != u32::MAX) {
            at = (at + 1) & mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = index;
        }
    }

    fn meaning(&self, context: &Context<'_>, path: &[u8], called: &[u8]) -> Name {
        let lookup = |name: &[u8]| context.dictionary.lookup(name);
        let is_renamed = called != path;
        let mut name = Name { field: lookup(called), is_renamed, ..Name::default() };
        // The catalogue knows whole paths, and what the paths of Windows' shapes are renamed to.
        let known = self
            .catalogue
            .lookup(path)
            .or_else(|| if called == path { None } else { self.catalogue.lookup(called) });
        if let Some(meaning) = known.and_then(|id| self.roles.get(id.index())) {
            name.role = meaning.role;
            name.inner = meaning.inner;
            for (scope, second) in &meaning.second_names {
                name.second_names.add(*scope, lookup(second.as_bytes()));
            }
        }
        if path.starts_with(b"Event.") && path.ends_with(b"xmlns") {
            name.role = Role::Namespace;
        }
        // Rules for Google Cloud ask for records as Pub/Sub delivers them.
        if let Some(rest) = path.strip_prefix(b"protoPayload.") {
            name.second_names.add(Scope::Gcp, lookup(&[b"data.protoPayload.", rest].concat()));
        }
        // Laurel keeps each of auditd's records in an object of its type.
        if let Some((kind, rest)) =
            path.iter().position(|byte| *byte == b'.').and_then(|at| path.split_at_checked(at))
            && kind.len() > 2
            && kind.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_')
        {
            name.second_names.add(Scope::Auditd, rest.get(1..).and_then(lookup));
        }
        name
    }
}

/// The prefixes under which Windows' events keep their parts.
const SYSTEM: &[&[u8]] = &[b"Event.System.", b"System."];
const EVENT_DATA: &[&[u8]] = &[b"Event.EventData.", b"winlog.event_data.", b"EventData.", b"event_data."];
const USER_DATA: &[&[u8]] = &[b"Event.UserData.", b"winlog.user_data.", b"UserData."];

/// What a field is called by its path.
fn called(path: &[u8]) -> Vec<u8> {
    let after = |prefixes: &[&[u8]]| prefixes.iter().find_map(|prefix| path.strip_prefix(*prefix));
    if let Some(rest) = after(SYSTEM) {
        return element(rest);
    }
    if let Some(rest) = after(EVENT_DATA) {
        return without_space(&element(rest));
    }
    if let Some(rest) = after(USER_DATA) {
        let name = without_space(&element(rest));
        // The object that holds the parameters has a name of its own, which says nothing.
        return name.rsplit(|byte| *byte == b'.').next().unwrap_or_default().to_vec();
    }
    if let Some(rest) = path.strip_prefix(b"Event.RenderingInfo.") {
        return [b"RenderingInfo_".as_slice(), &element(rest)].concat();
    }
    path.to_vec()
}

/// An element's path with the spellings of its text and attributes made one: text is the element,
/// an attribute is `Element_Attribute`.
fn element(path: &[u8]) -> Vec<u8> {
    const TEXT: &[&[u8]] = &[b".#text", b".#value", b".$value", b".Value", b".text"];
    const ATTRIBUTES: &[&[u8]] = &[b".#attributes.", b"_attributes.", b".@", b".$."];
    for text in TEXT {
        if let Some(element) = path.strip_suffix(*text)
            && !element.is_empty()
        {
            return element.to_vec();
        }
    }
    for mark in ATTRIBUTES {
        if let Some(at) = memchr::memmem::find(path, mark) {
            let (element, attribute) = path.split_at_checked(at).unwrap_or_default();
            return [element, attribute.get(mark.len()..).unwrap_or_default()].join(&b'_');
        }
    }
    // Velociraptor and others write `Provider.Name`, `TimeCreated.SystemTime`.
    path.iter().map(|byte| if *byte == b'.' && is_attribute(path) { b'_' } else { *byte }).collect()
}

fn is_attribute(path: &[u8]) -> bool {
    const ELEMENTS: &[&[u8]] =
        &[b"Provider.", b"TimeCreated.", b"Execution.", b"Security.", b"Correlation.", b"EventID."];
    ELEMENTS.iter().any(|element| path.starts_with(element))
}

fn without_space(name: &[u8]) -> Vec<u8> {
    name.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_evtx() {
        let check = |path: &str, expected: &str| {
            assert_eq!(String::from_utf8(called(path.as_bytes())).unwrap(), expected, "{path}");
        };
        check("Event.System.Channel", "Channel");
        check("Event.System.EventID.#text", "EventID");
        check("Event.System.EventID.#attributes.Qualifiers", "EventID_Qualifiers");
        check("Event.System.EventID_attributes.Qualifiers", "EventID_Qualifiers");
        check("Event.System.Provider.#attributes.Name", "Provider_Name");
        check("Event.System.Provider.@Name", "Provider_Name");
        check("System.Provider.Name", "Provider_Name");
        check("System.EventID.Value", "EventID");
        check("Event.System.TimeCreated.#attributes.SystemTime", "TimeCreated_SystemTime");
        check("Event.EventData.Threat Name", "ThreatName");
        check("Event.EventData.Data.#text", "Data");
        check("winlog.event_data.TargetUserName", "TargetUserName");
        check("winlog.event_data.param1", "param1");
        check("Event.UserData.EventXML.Param1", "Param1");
        check("Event.UserData.LogFileCleared.SubjectUserName", "SubjectUserName");
        check("process.executable", "process.executable");
        check("a.b", "a.b");
    }
}
