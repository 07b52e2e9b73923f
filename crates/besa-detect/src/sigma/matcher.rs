//! The pass over a batch.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use besa_event::{Dictionary, DictionaryBuilder, Event, LogSourceId, LogSources, ValueKind};
use besa_sigma::Rule;

use super::index::{Entry, IndexScratch};
use super::leaf::{LeafId, LeafKind, field_ref_holds};
use super::memo::{Key, Memo};
use super::plan::{Plan, Slot};
use super::program::{CompileError, Compiler, Expr, Program};

/// All rules, compiled; shared by the workers of a run.
#[derive(Debug)]
pub struct SigmaMatcher {
    program: Program,
    /// Per log source, its plan.
    plans: RwLock<Vec<Arc<OnceLock<Plan>>>>,
}

/// What one worker needs while it matches; belongs to one matcher.
#[derive(Debug, Default)]
pub struct SigmaScratch {
    plans: Vec<Option<PlanState>>,
    marks: Marks,
    index: IndexScratch,
    entries: Vec<Entry>,
    candidates: Vec<u32>,
    matched: Vec<u32>,
}

#[derive(Debug)]
struct PlanState {
    plan: Arc<OnceLock<Plan>>,
    memo: Memo,
}

/// What is known of the event at hand. A cell holds when it bears the event's round, so nothing
/// has to be cleared between events.
#[derive(Debug, Default)]
struct Marks {
    round: u32,
    /// Per leaf of the program.
    leaf: Vec<u32>,
    /// Per rule: already a candidate.
    rule: Vec<u32>,
    /// Per slot of the plan.
    present: Vec<u32>,
    /// Per slot of the plan: present with a value other than null.
    valued: Vec<u32>,
}

impl Marks {
    fn next(&mut self, leaves: usize, rules: usize, slots: usize) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            *self = Self { round: 1, ..Self::default() };
        }
        for (cells, len) in [
            (&mut self.leaf, leaves),
            (&mut self.rule, rules),
            (&mut self.present, slots),
            (&mut self.valued, slots),
        ] {
            if cells.len() < len {
                cells.resize(len, 0);
            }
        }
    }
}

impl SigmaMatcher {
    /// Compiles rules; field names go into the dictionary under construction. Rules that cannot
    /// be compiled keep their number, never match, and are named in the errors.
    pub fn compile<'r>(
        rules: impl IntoIterator<Item = &'r Rule>,
        names: &mut DictionaryBuilder,
    ) -> (Self, Vec<CompileError>) {
        let mut compiler = Compiler::default();
        let mut errors = Vec::new();
        for (number, rule) in rules.into_iter().enumerate() {
            if let Err(reason) = compiler.add(rule, names) {
                errors.push(CompileError { rule: number, reason });
            }
        }
        (Self { program: compiler.finish(), plans: RwLock::default() }, errors)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.program.rules.len()
    }

    /// Whether any rule looks at every value of an event, whatever its name.
    #[must_use]
    pub fn has_keywords(&self) -> bool {
        self.program.leaves.iter().any(|leaf| leaf.field.is_none())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.program.rules.is_empty()
    }

    /// Numbers of the rules that are about a class of events, ascending.
    #[must_use]
    pub fn applicable(&self, dictionary: &Dictionary, sources: &LogSources, class: LogSourceId) -> Vec<u32> {
        self.plan_cell(class).get_or_init(|| self.plan(dictionary, sources, class)).rules.clone()
    }

    /// The numbers of the rules that the event matches, ascending. Valid until the next call.
    pub fn matches<'s>(
        &self,
        event: Event<'_>,
        dictionary: &Dictionary,
        sources: &LogSources,
        scratch: &'s mut SigmaScratch,
    ) -> &'s [u32] {
        scratch.matched.clear();
        let class = usize::from(event.logsource().0);
        if scratch.plans.len() <= class {
            scratch.plans.resize_with(class + 1, || None);
        }
        let SigmaScratch { plans, marks, index, entries, candidates, matched } = scratch;
        let state = plans[class].get_or_insert_with(|| PlanState {
            plan: self.plan_cell(event.logsource()),
            memo: Memo::default(),
        });
        let plan = state.plan.get_or_init(|| self.plan(dictionary, sources, event.logsource()));
        if plan.rules.is_empty() {
            return matched;
        }

        marks.next(self.program.leaves.len(), self.program.rules.len(), plan.fields.len());
        candidates.clear();
        candidates.extend_from_slice(&plan.always);
        let mut look =
            Look { program: &self.program, memo: &mut state.memo, index, entries, marks, candidates };
        for field in event.raw_fields() {
            let value = event.value(field);
            if let Some(slot) = plan.slot(field.name) {
                look.marks.present[slot] = look.marks.round;
                if value.kind != ValueKind::Null {
                    look.marks.valued[slot] = look.marks.round;
                }
                look.at(&plan.fields[slot], slot, value);
            }
            if let Some(keywords) = &plan.keywords {
                look.at(keywords, usize::from(u16::MAX), value);
            }
        }
        for rule in candidates.iter() {
            if self.holds(&self.program.rules[*rule as usize].expr, event, plan, marks) {
                matched.push(*rule);
            }
        }
        matched.sort_unstable();
        matched
    }

    fn holds(&self, expr: &Expr, event: Event<'_>, plan: &Plan, marks: &Marks) -> bool {
        match expr {
            Expr::All(members) => members.iter().all(|member| self.holds(member, event, plan, marks)),
            Expr::Any(members) => members.iter().any(|member| self.holds(member, event, plan, marks)),
            Expr::Not(inner) => !self.holds(inner, event, plan, marks),
            Expr::Leaf(id) => self.leaf_holds(*id, event, plan, marks),
        }
    }

    fn leaf_holds(&self, id: LeafId, event: Event<'_>, plan: &Plan, marks: &Marks) -> bool {
        let leaf = &self.program.leaves[id.index()];
        let slot = leaf.field.and_then(|field| plan.slot(field));
        let marked = |cells: &[u32]| slot.is_some_and(|slot| cells[slot] == marks.round);
        match &leaf.kind {
            LeafKind::Null => !marked(&marks.valued),
            LeafKind::Exists => marked(&marks.present),
            LeafKind::FieldRef { other, how, cased } => leaf.field.is_some_and(|field| {
                let comparable = |name| event.all(name).filter(|value| is_comparable(value.kind));
                comparable(field)
                    .any(|value| comparable(*other).any(|other| field_ref_holds(value, other, *how, *cased)))
            }),
            _ => marks.leaf[id.index()] == marks.round,
        }
    }

    /// The fields and values that made a matched event match: every test that holds and is not
    /// under a negation. Shape: (field name, value), in the order of the rule, each once.
    #[must_use]
    pub fn matched_fields(
        &self,
        rule: u32,
        event: Event<'_>,
        dictionary: &Dictionary,
    ) -> Vec<(String, String)> {
        let mut out = Vec::new();
        if let Some(rule) = self.program.rules.get(rule as usize) {
            self.collect_matched(&rule.expr, event, dictionary, &mut out);
        }
        out
    }

    fn collect_matched(
        &self,
        expr: &Expr,
        event: Event<'_>,
        dictionary: &Dictionary,
        out: &mut Vec<(String, String)>,
    ) {
        match expr {
            Expr::Not(_) => {}
            Expr::All(members) | Expr::Any(members) => {
                members.iter().for_each(|member| self.collect_matched(member, event, dictionary, out));
            }
            Expr::Leaf(id) => {
                let leaf = &self.program.leaves[id.index()];
                for field in event.raw_fields() {
                    let value = event.value(field);
                    let asked = leaf.field.is_none_or(|name| name == field.name);
                    if asked && is_comparable(value.kind) && passes_alone(&leaf.kind, value) {
                        let pair = (
                            event.field_name(dictionary, field.name).into_owned(),
                            value.display().into_owned(),
                        );
                        if !out.contains(&pair) {
                            out.push(pair);
                        }
                    }
                }
            }
        }
    }

    fn plan(&self, dictionary: &Dictionary, sources: &LogSources, class: LogSourceId) -> Plan {
        Plan::build(&self.program, dictionary, &sources.get(class))
    }

    fn plan_cell(&self, class: LogSourceId) -> Arc<OnceLock<Plan>> {
        let index = usize::from(class.0);
        if let Some(cell) = self.plans.read().unwrap_or_else(PoisonError::into_inner).get(index) {
            return Arc::clone(cell);
        }
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        while plans.len() <= index {
            plans.push(Arc::default());
        }
        Arc::clone(&plans[index])
    }
}

/// Null and nodes have no text to compare.
pub(crate) fn is_comparable(kind: ValueKind) -> bool {
    !matches!(kind, ValueKind::Null | ValueKind::Node)
}

/// Whether a value by itself passes; presence and field references count as shown by the value.
fn passes_alone(kind: &LeafKind, value: besa_event::Value<'_>) -> bool {
    match kind {
        LeafKind::Exists | LeafKind::FieldRef { .. } => true,
        LeafKind::Null => false,
        _ => {
            let text = value.text();
            kind.holds(&text, &crate::text::fold(&text))
        }
    }
}

/// Borrowed parts of a scratch while one event is looked at.
struct Look<'a> {
    program: &'a Program,
    memo: &'a mut Memo,
    index: &'a mut IndexScratch,
    entries: &'a mut Vec<Entry>,
    marks: &'a mut Marks,
    candidates: &'a mut Vec<u32>,
}

impl Look<'_> {
    /// Marks the leaves of a slot that the value passes and notes the rules they trigger.
    fn at(&mut self, slot: &Slot, number: usize, value: besa_event::Value<'_>) {
        if slot.index.is_empty() || !is_comparable(value.kind) {
            return;
        }
        let key = Key { slot: u16::try_from(number).unwrap_or(u16::MAX), value };
        if let Some(known) = self.memo.get(key) {
            mark(slot, known, self.marks, self.candidates);
            return;
        }
        self.entries.clear();
        slot.index.passing(value, &self.program.leaves, self.index, self.entries);
        self.memo.put(key, self.entries);
        mark(slot, self.entries, self.marks, self.candidates);
    }
}

fn mark(slot: &Slot, entries: &[Entry], marks: &mut Marks, candidates: &mut Vec<u32>) {
    for entry in entries {
        let leaf = slot.index.leaves[*entry as usize];
        marks.leaf[leaf.index()] = marks.round;
        for rule in slot.triggered(*entry) {
            let cell = &mut marks.rule[*rule as usize];
            if *cell != marks.round {
                *cell = marks.round;
                candidates.push(*rule);
            }
        }
    }
}
