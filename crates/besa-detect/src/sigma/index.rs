//! All value tests of one field in one class of events, answered in one pass over the value.
//!
//! ```text
//! value ─fold─▶ exact:     hash look-up of the whole value
//!               automaton: every literal that a part, glob or regex needs (Aho-Corasick)
//!                            └─ position decides, or the test itself is run
//!               scan:      tests without a literal (networks, numbers, `*`), one by one
//! ```
//!
//! Soundness: a test sits in `exact` only if equality decides it, in the automaton only under a
//! literal that every passing value holds, and otherwise in `scan`. So a prefilter may let too
//! much through, never too little.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, packed};
use besa_event::Value;
use hashbrown::HashMap;

use super::leaf::{Leaf, LeafId, LeafKind, PartAt};
use super::literals;
use crate::text::{fold, fold_into};

/// Position of a test in its index.
pub(crate) type Entry = u32;

/// The tests of one field.
#[derive(Debug, Default)]
pub(crate) struct FieldIndex {
    /// The leaf of each entry.
    pub(crate) leaves: Vec<LeafId>,
    exact: HashMap<Box<[u8]>, Vec<Entry>>,
    exact_cased: HashMap<Box<[u8]>, Vec<Entry>>,
    automaton: Option<AhoCorasick>,
    /// Says in a fraction of the automaton's time that none of its literals occurs; for small
    /// sets only, such as the keywords that one rule wants looked for in every value.
    gate: Option<packed::Searcher>,
    /// Per literal of the automaton, what to do when it is found.
    uses: Vec<Vec<Use>>,
    scan: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    entry: Entry,
    check: Check,
}

/// What decides once the literal was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
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

fn gate(literals: &[Vec<u8>]) -> Option<packed::Searcher> {
    let small = literals.len() <= GATE_LITERALS_MAX;
    if !small || literals.iter().any(|literal| literal.len() < GATE_LITERAL_LEN_BYTES_MIN) {
        return None;
    }
    packed::Searcher::new(literals)
}

impl FieldIndex {
    /// Compiles the tests; `leaves` are the program's.
    pub(crate) fn build(ids: Vec<LeafId>, leaves: &[Leaf]) -> Self {
        let mut index = Self { leaves: ids, ..Self::default() };
        let mut literals: HashMap<Vec<u8>, usize> = HashMap::new();
        for entry in 0..index.leaves.len() {
            let kind = &leaves[index.leaves[entry].index()].kind;
            index.place(u32::try_from(entry).unwrap_or(u32::MAX), kind, &mut literals);
        }
        if !literals.is_empty() {
            let mut patterns = vec![Vec::new(); literals.len()];
            for (literal, at) in literals {
                patterns[at] = literal;
            }
            index.gate = gate(&patterns);
            // The contiguous NFA costs a tenth more time than the DFA and a twentieth of its
            // memory. Building fails only past 2³¹ states, far beyond what rule limits allow;
            // then every test is run on every value.
            match AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(&patterns)
            {
                Ok(automaton) => index.automaton = Some(automaton),
                Err(_) => {
                    let all: Vec<Entry> = index.uses.iter().flatten().map(|each| each.entry).collect();
                    index.scan.extend(all);
                    index.scan.sort_unstable();
                    index.scan.dedup();
                }
            }
        }
        index
    }

    fn place(&mut self, entry: Entry, kind: &LeafKind, literals: &mut HashMap<Vec<u8>, usize>) {
        let mut under = |literal: Vec<u8>, check: Check, uses: &mut Vec<Vec<Use>>| {
            let next = literals.len();
            let at = *literals.entry(literal).or_insert(next);
            if at == uses.len() {
                uses.push(Vec::new());
            }
            uses[at].push(Use { entry, check });
        };
        match kind {
            LeafKind::Exact { text, cased: false } => {
                self.exact.entry(text.as_ref().into()).or_default().push(entry);
            }
            LeafKind::Exact { text, cased: true } => {
                self.exact_cased.entry(text.as_ref().into()).or_default().push(entry);
            }
            LeafKind::Part { text, at, cased: false } => under(text.to_vec(), Check::At(*at), &mut self.uses),
            LeafKind::Part { text, cased: true, .. } => under(fold(text), Check::Run, &mut self.uses),
            LeafKind::Glob { glob, .. } => match glob.longest_literal() {
                Some(literal) => under(fold(literal), Check::Run, &mut self.uses),
                None => self.scan.push(entry),
            },
            LeafKind::Regex { source, .. } => match literals::required(source) {
                Some(all) => {
                    for literal in all {
                        under(literal, Check::Run, &mut self.uses);
                    }
                }
                None => self.scan.push(entry),
            },
            LeafKind::Cidr(_) | LeafKind::Compare { .. } | LeafKind::Time { .. } | LeafKind::AnyValue => {
                self.scan.push(entry);
            }
            LeafKind::Null | LeafKind::Exists | LeafKind::FieldRef { .. } => {}
        }
    }

    /// Whether no value needs to be looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.exact_cased.is_empty() && self.uses.is_empty() && self.scan.is_empty()
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
        let text: &[u8] = match value.text() {
            std::borrow::Cow::Borrowed(text) => text,
            std::borrow::Cow::Owned(text) => {
                *buffer = text;
                buffer
            }
        };
        folded.clear();
        fold_into(text, folded);
        if decided.len() < self.leaves.len() {
            decided.resize(self.leaves.len(), 0);
        }
        *round = round.wrapping_add(1);
        if *round == 0 {
            decided.fill(0);
            *round = 1;
        }

        let equal = self.exact.get(folded.as_slice()).into_iter().chain(self.exact_cased.get(text));
        out.extend(equal.flatten());
        let run = |entry: Entry| leaves[self.leaves[entry as usize].index()].kind.holds(text, folded);
        if let Some(automaton) = &self.automaton
            && self.gate.as_ref().is_none_or(|gate| gate.find(folded.as_slice()).is_some())
        {
            for found in automaton.find_overlapping_iter(folded.as_slice()) {
                for Use { entry, check } in &self.uses[found.pattern().as_usize()] {
                    if decided[*entry as usize] == *round {
                        continue;
                    }
                    let passes = match check {
                        Check::At(PartAt::Anywhere) => true,
                        Check::At(PartAt::Start) => found.start() == 0,
                        Check::At(PartAt::End) => found.end() == folded.len(),
                        Check::Run => {
                            decided[*entry as usize] = *round;
                            run(*entry)
                        }
                    };
                    if passes {
                        decided[*entry as usize] = *round;
                        out.push(*entry);
                    }
                }
            }
        }
        out.extend(self.scan.iter().filter(|entry| run(**entry)));
    }
}
