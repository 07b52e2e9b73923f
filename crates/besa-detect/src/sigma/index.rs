//! All value tests of one field in one class of events, answered in one pass over the value.
//!
//! ```text
//! value ─fold─▶ exact:    hash look-up of the whole value
//!               literals: every literal that a part, glob or regex needs
//!                           └─ position decides, or the test itself is run
//!               networks, numbers: the value is read once, then looked up, compared
//!               scan:     tests without a literal (times, `*`, some regexes), one by one
//! ```
//!
//! Soundness: a test sits in `exact` only if equality decides it, among the literals only under
//! some that every passing value holds one of, and otherwise in `scan`. So a prefilter may let too
//! much through, never too little.

use std::hash::BuildHasher;

use aho_corasick::packed;
use besa_event::Value;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::grams::LiteralSet;
use super::leaf::{Leaf, LeafId, LeafKind, PartAt, parse_address, parse_number};
use super::literals;
use super::networks::Networks;
use crate::text::{fold, fold_into};

/// Position of a test in its index.
pub(crate) type Entry = u32;

/// The tests of one field.
#[derive(Debug, Default)]
pub(crate) struct FieldIndex {
    /// The leaf of each entry.
    pub(crate) leaves: Vec<LeafId>,
    seed: RandomState,
    /// Entries by their text.
    exact: HashTable<Entry>,
    exact_cased: HashTable<Entry>,
    literals: LiteralSet,
    /// Says in a fraction of the time that no literal occurs; for small sets only.
    gate: Option<packed::Searcher>,
    /// Per literal, the end of its uses.
    use_ends: Vec<u32>,
    uses: Vec<Use>,
    networks: Networks,
    numbers: Vec<Entry>,
    scan: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    entry: Entry,
    check: Check,
}

/// What decides once the literal was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Its position.
    At(PartAt),
    /// The test itself.
    Run,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub(crate) struct IndexScratch {
    text: Vec<u8>,
    folded: Vec<u8>,
    /// Per entry, the round in which it was last decided.
    decided: Vec<u32>,
    round: u32,
}

const GATE_LITERALS_MAX: usize = 64;
const GATE_LITERAL_LEN_BYTES_MIN: usize = 3;
/// In shorter values the literals are looked for at once.
const GATE_VALUE_LEN_BYTES_MIN: usize = 64;

/// A searcher for a small set of literals, if they suit one.
fn gate(literals: &[Vec<u8>]) -> Option<packed::Searcher> {
    let small = !literals.is_empty() && literals.len() <= GATE_LITERALS_MAX;
    if !small || literals.iter().any(|literal| literal.len() < GATE_LITERAL_LEN_BYTES_MIN) {
        return None;
    }
    packed::Searcher::new(literals)
}

/// Folded literals of which every value that passes the test holds one, and what decides then.
/// `None`: there are none, or equality, presence or another field decides.
pub(crate) fn literals_of(kind: &LeafKind) -> Option<(Vec<Vec<u8>>, Check)> {
    let (all, check) = match kind {
        LeafKind::Part { text, at, cased: false } => (vec![text.to_vec()], Check::At(*at)),
        LeafKind::Part { text, cased: true, .. } => (vec![fold(text)], Check::Run),
        LeafKind::Glob { glob, .. } => (vec![fold(glob.longest_literal()?)], Check::Run),
        LeafKind::Regex { source, .. } => (literals::required(source)?, Check::Run),
        _ => return None,
    };
    all.iter().all(|literal| !literal.is_empty()).then_some((all, check))
}

impl FieldIndex {
    /// Compiles the tests; `leaves` are the program's.
    pub(crate) fn build(ids: Vec<LeafId>, leaves: &[Leaf]) -> Self {
        let mut index = Self { leaves: ids, ..Self::default() };
        let mut found: Vec<(Vec<u8>, Use)> = Vec::new();
        for entry in 0..index.leaves.len() {
            let kind = &leaves[index.leaves[entry].index()].kind;
            index.place(u32::try_from(entry).unwrap_or(Entry::MAX), kind, leaves, &mut found);
        }
        index.set_literals(found);
        index
    }

    fn place(&mut self, entry: Entry, kind: &LeafKind, leaves: &[Leaf], found: &mut Vec<(Vec<u8>, Use)>) {
        if let Some((literals, check)) = literals_of(kind) {
            found.extend(literals.into_iter().map(|literal| (literal, Use { entry, check })));
            return;
        }
        match kind {
            LeafKind::Exact { text, cased } => {
                let ids = &self.leaves;
                let table = if *cased { &mut self.exact_cased } else { &mut self.exact };
                let rehash = |entry: &Entry| self.seed.hash_one(exact_text(leaves, ids, *entry));
                table.insert_unique(self.seed.hash_one(&**text), entry, rehash);
            }
            LeafKind::Cidr(network) => self.networks.add(*network, entry),
            LeafKind::Compare { .. } => self.numbers.push(entry),
            LeafKind::Null | LeafKind::Exists | LeafKind::FieldRef { .. } => {}
            _ => self.scan.push(entry),
        }
    }

    /// Joins the uses of equal literals.
    fn set_literals(&mut self, mut found: Vec<(Vec<u8>, Use)>) {
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut literals: Vec<Vec<u8>> = Vec::new();
        for (literal, each) in found {
            if literals.last() != Some(&literal) {
                literals.push(literal);
                self.use_ends.push(0);
            }
            self.uses.push(each);
            if let Some(end) = self.use_ends.last_mut() {
                *end = u32::try_from(self.uses.len()).unwrap_or(u32::MAX);
            }
        }
        self.gate = gate(&literals);
        self.literals = LiteralSet::build(&literals);
    }

    /// Whether no value needs to be looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty()
            && self.exact_cased.is_empty()
            && self.uses.is_empty()
            && self.networks.is_empty()
            && self.numbers.is_empty()
            && self.scan.is_empty()
    }

    /// Appends the entries whose test the value passes, each once. The value is not null and not
    /// a node.
    pub(crate) fn passing(
        &self,
        value: Value<'_>,
        leaves: &[Leaf],
        scratch: &mut IndexScratch,
        out: &mut Vec<Entry>,
    ) {
        let IndexScratch { text: buffer, folded, decided, round } = scratch;
        let text = text_of(value, buffer);
        folded.clear();
        fold_into(text, folded);
        self.equal(text, folded, leaves, out);
        self.holding(text, folded, leaves, &mut Decided::new(decided, round, self.leaves.len()), out);
        if !self.networks.is_empty()
            && let Some(address) = parse_address(text)
        {
            self.networks.holding(address, out);
        }
        if !self.numbers.is_empty()
            && let Some(number) = parse_number(text)
        {
            out.extend(self.numbers.iter().filter(|entry| self.kind(leaves, **entry).holds_number(number)));
        }
        out.extend(self.scan.iter().filter(|entry| self.kind(leaves, **entry).holds(text, folded)));
    }

    fn equal(&self, text: &[u8], folded: &[u8], leaves: &[Leaf], out: &mut Vec<Entry>) {
        for (table, text) in [(&self.exact, folded), (&self.exact_cased, text)] {
            if !table.is_empty() {
                let hash = self.seed.hash_one(text);
                // Rules spell one text in several cases, so a text may have several entries.
                let same = |entry: &&Entry| exact_text(leaves, &self.leaves, **entry) == text;
                out.extend(table.iter_hash(hash).filter(same));
            }
        }
    }

    fn holding(
        &self,
        text: &[u8],
        folded: &[u8],
        leaves: &[Leaf],
        decided: &mut Decided<'_>,
        out: &mut Vec<Entry>,
    ) {
        if self.uses.is_empty() {
            return;
        }
        if folded.len() >= GATE_VALUE_LEN_BYTES_MIN
            && self.gate.as_ref().is_some_and(|gate| gate.find(folded).is_none())
        {
            return;
        }
        self.literals.find(folded, |literal, start| {
            for Use { entry, check } in self.uses_of(literal) {
                if decided.is(*entry) {
                    continue;
                }
                let passes = match check {
                    Check::At(PartAt::Anywhere) => true,
                    Check::At(PartAt::Start) => start == 0,
                    Check::At(PartAt::End) => start + self.literals.literal(literal).len() == folded.len(),
                    Check::Run => {
                        decided.set(*entry);
                        self.kind(leaves, *entry).holds(text, folded)
                    }
                };
                if passes {
                    decided.set(*entry);
                    out.push(*entry);
                }
            }
        });
    }

    fn uses_of(&self, literal: usize) -> &[Use] {
        let start = literal.checked_sub(1).map_or(0, |before| self.use_ends[before] as usize);
        &self.uses[start..self.use_ends[literal] as usize]
    }

    fn kind<'l>(&self, leaves: &'l [Leaf], entry: Entry) -> &'l LeafKind {
        &leaves[self.leaves[entry as usize].index()].kind
    }
}

/// The text of an entry that equality decides.
fn exact_text<'l>(leaves: &'l [Leaf], ids: &[LeafId], entry: Entry) -> &'l [u8] {
    match &leaves[ids[entry as usize].index()].kind {
        LeafKind::Exact { text, .. } => text,
        _ => &[],
    }
}

/// The text of a value, unescaped into `buffer` where that is needed.
fn text_of<'t>(value: Value<'t>, buffer: &'t mut Vec<u8>) -> &'t [u8] {
    if !value.is_escaped() {
        return value.bytes;
    }
    buffer.clear();
    besa_event::json_unescape(value.bytes, buffer);
    buffer
}

/// Which entries have been decided for the value at hand.
struct Decided<'s> {
    cells: &'s mut Vec<u32>,
    round: u32,
}

impl<'s> Decided<'s> {
    fn new(cells: &'s mut Vec<u32>, round: &mut u32, entries: usize) -> Self {
        if cells.len() < entries {
            cells.resize(entries, 0);
        }
        *round = round.wrapping_add(1);
        if *round == 0 {
            cells.fill(0);
            *round = 1;
        }
        Self { cells, round: *round }
    }

    fn is(&self, entry: Entry) -> bool {
        self.cells[entry as usize] == self.round
    }

    fn set(&mut self, entry: Entry) {
        self.cells[entry as usize] = self.round;
    }
}
