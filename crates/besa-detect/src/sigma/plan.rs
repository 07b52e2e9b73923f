//! What a class of events asks for: the rules about it, the fields they need, an index per field.

use besa_event::{Dictionary, FieldId, LogSource};

use super::index::FieldIndex;
use super::leaf::{Leaf, LeafId};
use super::program::{Expr, Program};

const NO_SLOT: u16 = u16::MAX;

/// Built once per class of events, when its first event is met.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Rules about this class, ascending.
    pub(crate) rules: Vec<u32>,
    /// Rules that no value can trigger.
    pub(crate) always: Vec<u32>,
    /// Per field of the dictionary, its slot.
    slots: Vec<u16>,
    /// Per slot.
    pub(crate) fields: Vec<Slot>,
    /// Tests on any value.
    pub(crate) keywords: Option<Slot>,
}

/// The tests of one field, with the rules that each of them triggers.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) index: FieldIndex,
    /// Per entry of the index, the end of its rules in `triggered`.
    ends: Vec<u32>,
    triggered: Vec<u32>,
}

impl Slot {
    fn build(leaves: Vec<LeafId>, all: &[Leaf], triggers: &[(LeafId, u32)]) -> Self {
        let mut slot = Self::default();
        for leaf in &leaves {
            let from = triggers.partition_point(|(id, _)| id < leaf);
            let rules = triggers[from..].iter().take_while(|(id, _)| id == leaf).map(|(_, rule)| *rule);
            slot.triggered.extend(rules);
            slot.ends.push(u32::try_from(slot.triggered.len()).unwrap_or(u32::MAX));
        }
        slot.index = FieldIndex::build(leaves, all);
        slot
    }

    /// The rules that an entry triggers.
    pub(crate) fn triggered(&self, entry: u32) -> &[u32] {
        let entry = entry as usize;
        let start = entry.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.triggered[start..self.ends[entry] as usize]
    }
}

impl Plan {
    pub(crate) fn build(program: &Program, dictionary: &Dictionary, class: &LogSource) -> Self {
        let mut plan = Self { slots: vec![NO_SLOT; dictionary.len()], ..Self::default() };
        let mut used = Vec::new();
        let mut triggers = Vec::new();
        for (number, rule) in (0_u32..).zip(&program.rules) {
            let asks = &rule.logsource;
            if !class.admits(asks.product.as_deref(), asks.category.as_deref(), asks.service.as_deref()) {
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
        plan.fill(used, &program.leaves, &triggers);
        plan
    }

    fn fill(&mut self, used: Vec<LeafId>, leaves: &[Leaf], triggers: &[(LeafId, u32)]) {
        let mut by_field: std::collections::BTreeMap<Option<FieldId>, Vec<LeafId>> =
            std::collections::BTreeMap::new();
        for id in used {
            by_field.entry(leaves[id.index()].field).or_default().push(id);
        }
        for (field, ids) in by_field {
            let slot = Slot::build(ids, leaves, triggers);
            match field {
                None => self.keywords = Some(slot),
                Some(field) => {
                    self.slots[field.index()] = u16::try_from(self.fields.len()).unwrap_or(NO_SLOT);
                    self.fields.push(slot);
                }
            }
        }
    }

    /// The slot of a field, if any rule of the class asks for it.
    #[inline]
    pub(crate) fn slot(&self, field: FieldId) -> Option<usize> {
        match self.slots.get(field.index()) {
            None | Some(&NO_SLOT) => None,
            Some(slot) => Some(usize::from(*slot)),
        }
    }
}

fn collect(expr: &Expr, out: &mut Vec<LeafId>) {
    match expr {
        Expr::Leaf(id) => out.push(*id),
        Expr::Not(inner) => collect(inner, out),
        Expr::All(members) | Expr::Any(members) => members.iter().for_each(|member| collect(member, out)),
    }
}
