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

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use besa_event::{Batch, Dictionary, FieldId, Keep};
use foldhash::quality::RandomState;

use super::shapes::{INNER, ROLES, Role, SECOND_NAMES, Scope};
use crate::context::Context;

const PATHS_MAX: usize = 8_192;
const PATH_BYTES_MAX: usize = 1 << 20;
const SLOTS: usize = PATHS_MAX * 2;
const SECOND_NAMES_MAX: usize = 4;
/// No block: the dictionary has the name, or nobody wants it.
const NEVER_LOCAL: u64 = u64::MAX;

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
    /// Tells one path from another within a record, even where the table started anew in it.
    pub(super) path: u32,
}

impl Name {
    /// What becomes of a value, unless its field's name is still to be added to the batch.
    fn use_(&self) -> Use {
        let is_more = self.role != Role::None || self.inner.is_some() || !self.second_names.is_empty();
        match self.field {
            _ if is_more => Use::Named,
            Some(field) => Use::Field(field),
            None => Use::Idle,
        }
    }
}

impl Hot {
    #[inline]
    fn path(&self) -> std::ops::Range<usize> {
        let start = self.path_at as usize;
        start..start + self.path_len as usize
    }
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
    /// The path, then what the field is called, in the bytes of all.
    path: std::ops::Range<usize>,
    called: std::ops::Range<usize>,
    name: Name,
}

/// What nearly every value of a path asks for, apart from [`Known`] so that all of it for a kind of
/// record fits into the nearest cache.
#[derive(Clone, Copy, Debug)]
struct Hot {
    /// The path, in the bytes of all.
    path_at: u32,
    path_len: u32,
    /// The path that followed it when it was met last.
    next: u32,
    use_: Use,
    /// The block for which a name that the dictionary lacks was added to its batch.
    local_in: u64,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing: it is of no use to anybody.
    Idle,
    /// It is a field and nothing else.
    Field(FieldId),
    /// [`Name`] tells.
    Named,
}

/// A path's place in [`Names`], good until the next path is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    index: u32,
    pub(super) hash: PathHash,
}

/// A path's hash along the names that lead to it, which depends on where they were split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PathHash(u64);

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Upper half of the hash, so that the wrong path is seldom compared.
    tag: u32,
    /// Into `known`; `u32::MAX` is empty.
    index: u32,
}

const EMPTY: Slot = Slot { tag: 0, index: u32::MAX };

#[derive(Debug)]
pub(super) struct Names {
    known: Vec<Known>,
    /// Position for position with `known`.
    hot: Vec<Hot>,
    /// Open addressing, at most half full. A path that was met split in several ways (`{"a.b":1}`
    /// and `{"a":{"b":1}}`) has several slots and one place in `known`.
    slots: Vec<Slot>,
    used_slots: usize,
    by_path: HashMap<Box<[u8]>, u32>,
    /// How many paths were ever learnt.
    paths: u32,
    /// The path looked up last: records of one source have their names in one order.
    last: u32,
    bytes: Vec<u8>,
    /// Seeded, so that nobody can choose names that collide.
    hasher: RandomState,
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
            hot: Vec::new(),
            slots: vec![EMPTY; SLOTS],
            used_slots: 0,
            by_path: HashMap::new(),
            paths: 0,
            last: 0,
            bytes: Vec::new(),
            hasher: RandomState::default(),
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
        self.hot.clear();
        self.by_path.clear();
        self.bytes.clear();
        self.slots.fill(EMPTY);
        self.used_slots = 0;
    }

    /// Looks up the path of `key` in the object at `parent`, whose hash is `parent_hash`.
    #[inline]
    pub(super) fn find(
        &mut self,
        context: &Context<'_>,
        (parent, parent_hash): (&[u8], PathHash),
        key: &[u8],
        batch: &mut Batch,
    ) -> Found {
        let hash = self.hash(parent_hash, key);
        let index = match self.index_of(parent, key, hash) {
            Some(index) => index,
            None => self.learn(context, parent, key, hash),
        };
        self.last = index;
        self.met(Found { index, hash }, batch)
    }

    /// As [`Names::find`], for a path with none below it: guesses that names follow each other as
    /// they did before, which the guessed path's bytes then prove.
    #[inline]
    pub(super) fn find_leaf(
        &mut self,
        context: &Context<'_>,
        (parent, parent_hash): (&[u8], PathHash),
        key: &[u8],
        batch: &mut Batch,
    ) -> Found {
        let last = self.last as usize;
        if let Some(index) = self.hot.get(last).map(|hot| hot.next)
            && let Some(hot) = self.hot.get(index as usize)
            && let Some(path) = self.bytes.get(hot.path())
            && is_joined(path, parent, key)
        {
            self.last = index;
            return self.met(Found { index, hash: PathHash::default() }, batch);
        }
        let found = self.find(context, (parent, parent_hash), key, batch);
        if let Some(hot) = self.hot.get_mut(last) {
            hot.next = found.index;
        }
        found
    }

    #[inline]
    fn met(&mut self, found: Found, batch: &mut Batch) -> Found {
        if let Some(hot) = self.hot.get(found.index as usize)
            && hot.local_in != self.block
            && hot.local_in != NEVER_LOCAL
        {
            self.add_local_name(found, batch);
        }
        found
    }

    /// As [`Names::find`], for a path as a whole.
    pub(super) fn find_path(&mut self, context: &Context<'_>, path: &[u8], batch: &mut Batch) -> Found {
        self.find(context, (b"", PathHash::default()), path, batch)
    }

    #[inline]
    fn index_of(&self, parent: &[u8], key: &[u8], hash: PathHash) -> Option<u32> {
        let mask = SLOTS - 1;
        let mut at = hash.0 as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.tag == tag(hash)
                && let Some(known) = self.known.get(slot.index as usize)
                && let Some(path) = self.bytes.get(known.path.clone())
                && is_joined(path, parent, key)
            {
                return Some(slot.index);
            }
            if slot.index == EMPTY.index {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    /// What the path is called and means in the batch being filled.
    #[inline]
    pub(super) fn name(&self, found: Found) -> Name {
        self.known.get(found.index as usize).map(|known| known.name).unwrap_or_default()
    }

    /// What becomes of a value of the path in the batch being filled.
    #[inline]
    pub(super) fn use_of(&self, found: Found) -> Use {
        self.hot.get(found.index as usize).map_or(Use::Named, |hot| hot.use_)
    }

    #[inline]
    fn hash(&self, parent: PathHash, key: &[u8]) -> PathHash {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(parent.0);
        hasher.write(key);
        PathHash(hasher.finish())
    }

    /// Keeps a name that the dictionary lacks beside the batch.
    #[cold]
    fn add_local_name(&mut self, found: Found, batch: &mut Batch) {
        let Some(known) = self.known.get_mut(found.index as usize) else { return };
        let called = self.bytes.get(known.called.clone()).unwrap_or_default();
        let span = batch.append(called);
        known.name.field = Some(batch.local_name(span));
        if let Some(hot) = self.hot.get_mut(found.index as usize) {
            hot.use_ = known.name.use_();
            hot.local_in = self.block;
        }
    }

    #[cold]
    fn learn(&mut self, context: &Context<'_>, parent: &[u8], key: &[u8], hash: PathHash) -> u32 {
        if self.used_slots >= PATHS_MAX || self.bytes.len() >= PATH_BYTES_MAX {
            self.forget();
        }
        let path = if parent.is_empty() { key.to_vec() } else { [parent, key].join(&b'.') };
        let index = match self.by_path.get(path.as_slice()) {
            Some(index) => *index,
            None => self.learn_path(context, &path),
        };
        let mask = SLOTS - 1;
        let mut at = hash.0 as usize & mask;
        while self.slots.get(at).is_some_and(|slot| slot.index != EMPTY.index) {
            at = (at + 1) & mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Slot { tag: tag(hash), index };
            self.used_slots += 1;
        }
        index
    }

    fn learn_path(&mut self, context: &Context<'_>, path: &[u8]) -> u32 {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(path);
        let middle = self.bytes.len();
        let called = called(path);
        self.bytes.extend_from_slice(&called);
        let mut name = self.meaning(context, path, &called);
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        name.path = self.paths;
        self.paths = self.paths.wrapping_add(1);
        let is_local = name.field.is_none() && context.keep != Keep::Named;
        let (path_at, called) = (start..middle, middle..self.bytes.len());
        let local_in = if is_local { 0 } else { NEVER_LOCAL };
        self.hot.push(Hot {
            path_at: u32::try_from(start).unwrap_or(u32::MAX),
            path_len: u32::try_from(middle - start).unwrap_or(u32::MAX),
            next: index,
            use_: name.use_(),
            local_in,
        });
        self.known.push(Known { path: path_at, called, name });
        self.by_path.insert(path.into(), index);
        index
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

fn tag(hash: PathHash) -> u32 {
    (hash.0 >> 32) as u32
}

/// Whether a path is that of `key` in the object at `parent`.
#[inline]
fn is_joined(path: &[u8], parent: &[u8], key: &[u8]) -> bool {
    if parent.is_empty() {
        return is_equal(path, key);
    }
    path.len() == parent.len() + 1 + key.len()
        && path.get(parent.len() + 1..).is_some_and(|end| is_equal(end, key))
        && path.starts_with(parent)
        && path.get(parent.len()) == Some(&b'.')
}

/// Equality of short texts without a call: two words that overlap hold up to twice their length.
#[inline]
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    /// Of at least `N` and at most twice `N` bytes.
    #[inline]
    fn by_two<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk::<N>() && a.last_chunk::<N>() == b.last_chunk::<N>()
    }
    a.len() == b.len()
        && match a.len() {
            8..=16 => by_two::<8>(a, b),
            4..8 => by_two::<4>(a, b),
            17..=32 => by_two::<16>(a, b),
            2..4 => by_two::<2>(a, b),
            _ => a == b,
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

    /// A table with the context it holds for, each answer of which is compared with a look-up
    /// without any table.
    struct Checked<'c> {
        context: &'c Context<'c>,
        names: Names,
        batch: Batch,
    }

    impl Checked<'_> {
        fn leaf(&mut self, parent: &[&str], key: &str) -> Name {
            let (path, hash) = self.parent(parent);
            let found = self.names.find_leaf(self.context, (&path, hash), key.as_bytes(), &mut self.batch);
            self.compare(&path, key, found)
        }

        /// As the parser goes down: the hash grows along the names as they are split.
        fn parent(&mut self, parent: &[&str]) -> (Vec<u8>, PathHash) {
            let (mut path, mut hash) = (Vec::new(), PathHash::default());
            for name in parent {
                let found = self.names.find(self.context, (&path, hash), name.as_bytes(), &mut self.batch);
                self.compare(&path, name, found);
                hash = found.hash;
                path = if path.is_empty() { name.as_bytes().to_vec() } else { joined(&path, name) };
            }
            (path, hash)
        }

        fn compare(&self, parent: &[u8], key: &str, found: Found) -> Name {
            let path = if parent.is_empty() { key.as_bytes().to_vec() } else { joined(parent, key) };
            let known = &self.names.known[found.index as usize];
            assert_eq!(self.names.bytes[known.path.clone()], path);
            let (name, direct) = (self.names.name(found), called(&path));
            let expected = self.names.meaning(self.context, &path, &direct);
            assert_eq!((name.role, name.is_renamed), (expected.role, expected.is_renamed), "{path:?}");
            assert_eq!(name.inner, expected.inner);
            let second_names = |name: Name| name.second_names.iter().map(|(_, id)| id).collect::<Vec<_>>();
            assert_eq!(second_names(name), second_names(expected));
            match (self.context.dictionary.lookup(&direct), self.context.keep) {
                (Some(id), _) => assert_eq!(name.field, Some(id)),
                (None, Keep::Named) => assert_eq!(name.field, None),
                (None, _) => assert_eq!(self.names.bytes[known.called.clone()], direct),
            }
            assert!(self.names.known.len() <= PATHS_MAX && self.names.used_slots <= PATHS_MAX);
            name
        }
    }

    fn joined(parent: &[u8], key: &str) -> Vec<u8> {
        [parent, key.as_bytes()].join(&b'.')
    }

    fn check(keep: Keep, run: impl FnOnce(&mut Checked<'_>)) {
        let mut builder = Dictionary::builder();
        for name in ["a.b", "a", "Image", "CommandLine", "key.of.16.bytes.", "p7777"] {
            builder.intern(name);
        }
        let (dictionary, sources) = (builder.build(), besa_event::LogSources::new());
        let limits = crate::Limits::default();
        let (dictionary, sources) = (&dictionary, &sources);
        let context = Context { dictionary, sources, keep, reference: None, carve: false, limits };
        let mut checked = Checked { context: &context, names: Names::default(), batch: Batch::default() };
        checked.names.begin_block(&context);
        run(&mut checked);
    }

    #[test]
    fn a_path_is_one_however_it_is_split() {
        for keep in [Keep::Named, Keep::Everything] {
            check(keep, |checked| {
                let whole = checked.leaf(&[], "a.b");
                let split = checked.leaf(&["a"], "b");
                assert_eq!((whole.path, whole.field), (split.path, split.field));
                let data = ["Event.EventData", "winlog.event_data"].map(|parent| {
                    let split: Vec<&str> = parent.split('.').collect();
                    (checked.leaf(&[parent], "Image"), checked.leaf(&split, "Image"))
                });
                for (whole, split) in data {
                    assert_eq!((whole.path, whole.field), (split.path, split.field));
                    assert_eq!(whole.field, checked.context.dictionary.lookup(b"Image"));
                }
                // An empty name and one that begins with a dot are no other's.
                for (parent, key) in [(&["a"][..], ""), (&[], "a."), (&["a", ""], "b"), (&["a"], ".b")] {
                    assert_ne!(checked.leaf(parent, key).path, whole.path, "{parent:?} {key}");
                }
            });
        }
    }

    #[test]
    fn a_full_table_starts_anew_and_says_the_same() {
        check(Keep::Named, |checked| {
            let mut met = std::collections::HashSet::new();
            for round in 0..2 {
                for number in 0..PATHS_MAX + 100 {
                    let name = checked.leaf(&[], &format!("p{number}"));
                    let is_new = round > 0 || met.insert(name.path);
                    assert!(is_new, "one number for two paths of a record");
                    if number % 1_000 == round {
                        checked.leaf(&["a"], "b");
                        checked.leaf(&[], "a.b");
                    }
                }
            }
            let long = "x".repeat(PATH_BYTES_MAX / 4);
            (0..9).for_each(|number| {
                checked.leaf(&[&long], &number.to_string());
            });
            assert!(checked.names.bytes.len() < 2 * PATH_BYTES_MAX);
        });
    }

    #[test]
    fn wrong_guesses_and_equal_hashes_are_told_by_the_bytes() {
        // Alike in length, beginning and end, as the comparison of two overlapping words sees them.
        const KEYS: [&str; 8] =
            ["key.of.16.bytes.", "key.of.61.bytes.", "12345678", "12345679", "Image", "image", "", "a.b"];
        check(Keep::Everything, |checked| {
            let mut state = 1_u64;
            for _ in 0..5_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = KEYS[(state >> 40) as usize % KEYS.len()];
                let parent = [&[][..], &["a"], &["a", "b"], &["a.b"]][(state >> 50) as usize % 4];
                checked.leaf(parent, key);
            }
        });
        check(Keep::Named, |checked| {
            // The last slot: the one that gives way goes to the first.
            let hash = PathHash(u64::MAX);
            let learnt = ["one", "two", "six"]
                .map(|key| (key, checked.names.learn(checked.context, b"", key.as_bytes(), hash)));
            for (key, index) in learnt {
                assert_eq!(checked.names.index_of(b"", key.as_bytes(), hash), Some(index), "{key}");
            }
            assert_eq!(checked.names.index_of(b"", b"ten", hash), None);
            assert_eq!(checked.names.index_of(b"o", b"ne", hash), None);
        });
    }
}
