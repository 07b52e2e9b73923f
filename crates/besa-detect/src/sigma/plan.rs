//! What a class of events asks for: the rules about it, the fields that can trigger one of them,
//! an index per field.
//!
//! Classes share much (process creation is one set of rules, whoever logs it), so an index is
//! built once per set of tests and shared by the plans that need it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use besa_event::{Dictionary, FieldId, LogSource};

use super::index::FieldIndex;
use super::leaf::{Leaf, LeafId};
use super::program::{Expr, Program};
use super::sweep::Sweep;

const NO_SLOT: u16 = u16::MAX;
/// A table that too many indexes compete for goes without memo.
pub(crate) const NO_MEMO: u16 = u16::MAX;

/// Built once per class of events, when its first event is met.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Rules about this class, ascending.
    pub(crate) rules: Vec<u32>,
    /// Rules that no value can trigger.
    pub(crate) always: Vec<u32>,
    /// Per field of the dictionary: its slot, and whether one of its tests is a trigger.
    slots: Vec<u16>,
    hot: Vec<bool>,
    /// Per slot.
    pub(crate) fields: Vec<Slot>,
    /// Tests on any value.
    pub(crate) keywords: Option<Slot>,
    /// Tells whether keywords can occur in an event at all.
    pub(crate) sweep: Option<Sweep>,
}

/// The tests of one field.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) triggers: Arc<Triggers>,
    /// Number of the triggers for the memo's keys.
    pub(crate) memo: u16,
    /// All tests, compiled when a rule first asks for one of them.
    all: Arc<All>,
}

/// The tests of one field that trigger rules, with the rules that each of them triggers.
#[derive(Debug)]
pub(crate) struct Triggers {
    pub(crate) index: FieldIndex,
    memo: u16,
    /// Per entry of the index, the end of its rules in `rules`.
    ends: Vec<u32>,
    rules: Vec<u32>,
}

/// Every test of one field.
#[derive(Debug)]
pub(crate) struct All {
    leaves: Box<[LeafId]>,
    index: OnceLock<FieldIndex>,
    pub(crate) memo: u16,
}

/// What plans share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    triggers: HashMap<Vec<(LeafId, u32)>, Arc<Triggers>>,
    all: HashMap<Vec<LeafId>, Arc<All>>,
    memos: u16,
}

impl Known {
    /// A number for the memo's keys.
    fn next_memo(&mut self) -> u16 {
        let memo = self.memos;
        self.memos = memo.saturating_add(1);
        memo
    }

    fn slot(&mut self, used: Vec<LeafId>, triggers: Vec<(LeafId, u32)>, leaves: &[Leaf]) -> Slot {
        let triggers = match self.triggers.get(&triggers) {
            Some(known) => Arc::clone(known),
            None => {
                let made = Arc::new(Triggers::build(&triggers, leaves, self.next_memo()));
                self.triggers.insert(triggers, Arc::clone(&made));
                made
            }
        };
        let all = match self.all.get(&used) {
            Some(known) => Arc::clone(known),
            None => {
                let memo = self.next_memo();
                let made = Arc::new(All { leaves: used.as_slice().into(), index: OnceLock::new(), memo });
                self.all.insert(used, Arc::clone(&made));
                made
            }
        };
        Slot { memo: triggers.memo, triggers, all }
    }
}

impl Triggers {
    /// `triggers` are ascending and distinct.
    fn build(triggers: &[(LeafId, u32)], leaves: &[Leaf], memo: u16) -> Self {
        let mut ids: Vec<LeafId> = Vec::new();
        let mut ends: Vec<u32> = Vec::new();
        for (number, (leaf, _)) in (1_u32..).zip(triggers) {
            if ids.last() != Some(leaf) {
                ids.push(*leaf);
                ends.push(0);
            }
            ends.last_mut().into_iter().for_each(|end| *end = number);
        }
        let rules = triggers.iter().map(|(_, rule)| *rule).collect();
        Self { index: FieldIndex::build(ids, leaves), memo, ends, rules }
    }

    /// The rules that an entry triggers.
    pub(crate) fn of(&self, entry: u32) -> &[u32] {
        let entry = entry as usize;
        let start = entry.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.rules[start..self.ends[entry] as usize]
    }
}

/// Tests of a field that one look at a short value, which the memo then keeps, answers sooner than
/// each by itself.
const ANSWERED_AT_ONCE_MAX: usize = 128;

impl Slot {
    /// Whether all tests are better answered together, as soon as one of them is asked for.
    pub(crate) fn is_small(&self) -> bool {
        self.all.leaves.len() <= ANSWERED_AT_ONCE_MAX
    }

    /// The index of all tests, with its number for the memo.
    pub(crate) fn all(&self, leaves: &[Leaf]) -> (&FieldIndex, u16) {
        let index = self.all.index.get_or_init(|| FieldIndex::build(self.all.leaves.to_vec(), leaves));
        (index, self.all.memo)
    }
}

impl Plan {
    /// Of the rules about `class`.
    pub(crate) fn build(
        program: &Program,
        dictionary: &Dictionary,
        class: &LogSource,
        shared: &Shared,
    ) -> Self {
        let mut plan = Self {
            slots: vec![NO_SLOT; dictionary.len()],
            hot: vec![false; dictionary.len()],
            ..Self::default()
        };
        let mut used = Vec::new();
        let mut triggers = Vec::new();
        for (number, rule) in (0_u32..).zip(&program.rules) {
            let asks = &rule.logsource;
            let parts = [&asks.product, &asks.category, &asks.service].map(|part| part.as_deref());
            if !class.admits(parts[0], parts[1], parts[2]) {
                continue;
            }
            plan.rules.push(number);
            collect(&rule.expr, &mut used);
            match &rule.trigger {
                Some(leaves) => triggers.extend(leaves.iter().map(|leaf| (*leaf, number))),
                None => plan.always.push(number),
            }
        }
        used.sort_unstable();
        used.dedup();
        triggers.sort_unstable();
        triggers.dedup();
        plan.fill(used, &triggers, &program.leaves, shared);
        plan
    }

    fn fill(&mut self, used: Vec<LeafId>, triggers: &[(LeafId, u32)], leaves: &[Leaf], shared: &Shared) {
        let mut by_field: BTreeMap<Option<FieldId>, TestsAndTriggers> = BTreeMap::new();
        let field_of = |id: LeafId| leaves[id.index()].field;
        for id in used {
            by_field.entry(field_of(id)).or_default().0.push(id);
        }
        for trigger in triggers {
            by_field.entry(field_of(trigger.0)).or_default().1.push(*trigger);
        }
        let mut known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (field, (ids, triggers)) in by_field {
            if field.is_none() {
                let mut keywords: Vec<LeafId> = triggers.iter().map(|(leaf, _)| *leaf).collect();
                keywords.dedup();
                self.sweep = Sweep::build(&keywords, leaves);
            }
            let slot = known.slot(ids, triggers, leaves);
            match field {
                None => self.keywords = Some(slot),
                Some(field) => {
                    self.slots[field.index()] = u16::try_from(self.fields.len()).unwrap_or(NO_SLOT);
                    self.hot[field.index()] = !slot.triggers.index.is_empty();
                    self.fields.push(slot);
                }
            }
        }
    }

    /// The slot of a field, if any rule of the class asks for it.
    #[inline]
    pub(crate) fn slot(&self, field: FieldId) -> Option<usize> {
        self.slots.get(field.index()).filter(|slot| **slot != NO_SLOT).map(|slot| usize::from(*slot))
    }

    /// The slot of a field whose values can trigger a rule.
    #[inline]
    pub(crate) fn hot_slot(&self, field: FieldId) -> Option<usize> {
        self.hot.get(field.index()).is_some_and(|hot| *hot).then(|| self.slot(field)).flatten()
    }
}

/// Tests of one field, and those of them that trigger rules, with the rule; both ascending.
type TestsAndTriggers = (Vec<LeafId>, Vec<(LeafId, u32)>);

fn collect(expr: &Expr, out: &mut Vec<LeafId>) {
    match expr {
        Expr::Leaf(id) => out.push(*id),
        Expr::Not(inner) => collect(inner, out),
        Expr::All(members) | Expr::Any(members) => members.iter().for_each(|member| collect(member, out)),
    }
}
