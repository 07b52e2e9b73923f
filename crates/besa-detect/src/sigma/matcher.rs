//! The pass over a batch.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use besa_event::{
    Dictionary, DictionaryBuilder, Event, LogSource, LogSourceId, LogSources, Value, ValueKind,
};
use besa_sigma::Rule;

use super::index::{Entry, FieldIndex, IndexScratch};
use super::leaf::{Leaf, LeafId, LeafKind, field_ref_holds};
use super::memo::{Key, Memo, VALUE_LEN_BYTES_MAX};
use super::plan::{NO_MEMO, Plan, Shared, Slot};
use super::program::{CompileError, Compiler, Expr, Node, Program};
use super::values::Values;
use crate::intel::values::with_aliases;

/// All rules, compiled; shared by the workers of a run.
#[derive(Debug)]
pub struct SigmaMatcher {
    program: Program,
    /// Per log source, its plan.
    plans: RwLock<Vec<Arc<OnceLock<Plan>>>>,
    shared: Shared,
}

/// What one worker needs while it matches; belongs to one matcher.
#[derive(Debug, Default)]
pub struct SigmaScratch {
    plans: Vec<Option<Arc<OnceLock<Plan>>>>,
    matched: Vec<u32>,
    state: State,
}

/// What is known of the event at hand, and buffers. A cell holds when it bears the event's round,
/// so nothing has to be cleared between events.
#[derive(Debug, Default)]
struct State {
    round: u32,
    /// Per leaf of the program: it holds; it was tested by itself and does not.
    leaf: Vec<u32>,
    failed: Vec<u32>,
    /// Per rule: already a candidate.
    rule: Vec<u32>,
    /// Per slot of the plan, keywords last: all of its tests have been answered.
    answered: Vec<u32>,
    candidates: Vec<u32>,
    due: Vec<Due>,
    values: Values,
    memo: Memo,
    index: IndexScratch,
    entries: Vec<Entry>,
}

/// A value that is about to be looked up.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// Position among the event's fields.
    field: u32,
    slot: u32,
    hash: u64,
}

impl State {
    fn next(&mut self, leaves: usize, rules: usize, slots: usize) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.round = 1;
            let all = [&mut self.leaf, &mut self.failed, &mut self.rule, &mut self.answered];
            all.into_iter().for_each(|cells| cells.fill(0));
        }
        let all = [
            (&mut self.leaf, leaves),
            (&mut self.failed, leaves),
            (&mut self.rule, rules),
            (&mut self.answered, slots),
        ];
        for (cells, len) in all {
            if cells.len() < len {
                cells.resize(len, 0);
            }
        }
        self.candidates.clear();
        self.values.clear();
    }

    #[inline]
    fn is_known(&self, id: LeafId) -> bool {
        self.leaf[id.index()] == self.round
    }

    /// Fills `entries` with the tests of an index that a value passes; `hash` is the key's.
    #[inline]
    fn look(&mut self, program: &Program, index: &FieldIndex, key: Key<'_>, hash: u64) {
        self.entries.clear();
        if key.slot == NO_MEMO {
            return index.passing(key.value, &program.leaves, &mut self.index, &mut self.entries);
        }
        if let Some(known) = self.memo.get_at(key, hash) {
            return self.entries.extend_from_slice(known);
        }
        index.passing(key.value, &program.leaves, &mut self.index, &mut self.entries);
        self.memo.put_at(key, hash, &self.entries);
    }

    /// Notes the rules that a value triggers.
    #[inline]
    fn trigger(&mut self, program: &Program, slot: &Slot, value: Value<'_>, hash: u64) {
        let triggers = &*slot.triggers;
        self.look(program, &triggers.index, Key { slot: slot.memo, value }, hash);
        for entry in &self.entries {
            self.leaf[triggers.index.leaves[*entry as usize].index()] = self.round;
            for rule in triggers.of(*entry) {
                let cell = &mut self.rule[*rule as usize];
                if *cell != self.round {
                    *cell = self.round;
                    self.candidates.push(*rule);
                }
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
        let program = compiler.finish();
        (Self { program, plans: RwLock::default(), shared: Shared::default() }, errors)
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

    /// Numbers of the rules that are held against a class of events, ascending.
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
        let SigmaScratch { plans, matched, state } = scratch;
        matched.clear();
        let class = usize::from(event.logsource().0);
        if plans.len() <= class {
            plans.resize_with(class + 1, || None);
        }
        let cell = plans[class].get_or_insert_with(|| self.plan_cell(event.logsource()));
        let plan = cell.get_or_init(|| self.plan(dictionary, sources, event.logsource()));
        if plan.rules.is_empty() {
            return matched;
        }
        state.next(self.program.leaves.len(), self.program.rules.len(), plan.fields.len() + 1);
        self.candidates(event, plan, state);
        for at in 0..state.candidates.len() {
            let rule = state.candidates[at];
            if self.holds(self.program.rules[rule as usize].root as usize, event, plan, state) {
                matched.push(rule);
            }
        }
        matched.sort_unstable();
        matched
    }

    /// What tells of single values whether they can make an event of a class match; `None` where
    /// that is not told by values: a rule without a trigger, or one that looks at every field.
    pub fn triggers<'m>(
        &'m self,
        dictionary: &'m Dictionary,
        sources: &LogSources,
        class: LogSourceId,
    ) -> Option<SigmaTriggers<'m>> {
        let cell = self.plan_cell(class);
        let plan = cell.get_or_init(|| self.plan(dictionary, sources, class));
        let by_value = plan.always.is_empty() && plan.keywords.is_none();
        by_value.then(|| SigmaTriggers {
            matcher: self,
            dictionary,
            cell: Arc::clone(&cell),
            state: State::default(),
        })
    }

    /// Notes every rule that may hold.
    fn candidates(&self, event: Event<'_>, plan: &Plan, state: &mut State) {
        state.candidates.extend_from_slice(&plan.always);
        let fields = event.raw_fields();
        state.due.clear();
        for (at, field) in (0_u32..).zip(fields) {
            if let Some(number) = plan.hot_slot(field.name)
                && is_comparable(field.kind)
            {
                let hash = state.memo.hash(Key { slot: plan.fields[number].memo, value: event.value(field) });
                state.memo.touch(hash);
                state.due.push(Due { field: at, slot: number as u32, hash });
            }
        }
        for at in 0..state.due.len() {
            let Due { field, slot, hash } = state.due[at];
            let value = event.value(&fields[field as usize]);
            state.trigger(&self.program, &plan.fields[slot as usize], value, hash);
        }
        let Some(keywords) = &plan.keywords else { return };
        if keywords.triggers.index.is_empty()
            || plan.sweep.as_ref().is_some_and(|sweep| !sweep.may_hold(event))
        {
            return;
        }
        for field in fields.iter().filter(|field| is_comparable(field.kind)) {
            let value = event.value(field);
            let hash = state.memo.hash(Key { slot: keywords.memo, value });
            state.trigger(&self.program, keywords, value, hash);
        }
    }

    /// Whether the part of a condition at a position of the program's nodes holds.
    fn holds(&self, at: usize, event: Event<'_>, plan: &Plan, state: &mut State) -> bool {
        let program = &self.program;
        match program.nodes[at] {
            Node::Leaf(id) => self.leaf_holds(id, event, plan, state),
            Node::Not => !self.holds(at + 1, event, plan, state),
            Node::All { end } => {
                let mut member = at + 1;
                while member < end as usize {
                    if !self.holds(member, event, plan, state) {
                        return false;
                    }
                    member = program.end(member);
                }
                true
            }
            Node::Any { end } => {
                // Mostly what triggered the rule is one of them.
                let members = &program.nodes[at + 1..end as usize];
                let is_known = |node: &Node| match node {
                    Node::Leaf(id) => Some(state.is_known(*id)),
                    _ => None,
                };
                if members.iter().map_while(is_known).any(|is_known| is_known) {
                    return true;
                }
                let mut member = at + 1;
                while member < end as usize {
                    if self.holds(member, event, plan, state) {
                        return true;
                    }
                    member = program.end(member);
                }
                false
            }
        }
    }

    fn leaf_holds(&self, id: LeafId, event: Event<'_>, plan: &Plan, state: &mut State) -> bool {
        // The leaf itself is far away in memory.
        if state.is_known(id) {
            return true;
        }
        if state.failed[id.index()] == state.round {
            return false;
        }
        let leaf = &self.program.leaves[id.index()];
        let own = |field: &besa_event::Field| leaf.field.is_none_or(|name| name == field.name);
        let mut fields = event.raw_fields().iter().filter(|field| own(field));
        match &leaf.kind {
            LeafKind::Null => fields.all(|field| field.kind == ValueKind::Null),
            LeafKind::Exists => fields.next().is_some(),
            LeafKind::FieldRef { other, how, cased } => leaf.field.is_some_and(|field| {
                let comparable = |name| event.all(name).filter(|value| is_comparable(value.kind));
                comparable(field)
                    .any(|value| comparable(*other).any(|other| field_ref_holds(value, other, *how, *cased)))
            }),
            _ => self.value_passes(id, leaf, event, plan, state),
        }
    }

    /// Whether a value of the leaf's field passes (or any value, for a keyword).
    fn value_passes(
        &self,
        id: LeafId,
        leaf: &Leaf,
        event: Event<'_>,
        plan: &Plan,
        state: &mut State,
    ) -> bool {
        if let Some(field) = leaf.field
            && let Some(number) = plan.slot(field)
            && state.answered[number] != state.round
            && !(plan.fields[number].is_small() && are_short(event, field))
            && let Some(passes) = state.values.pass(event, field, (id, &leaf.kind))
        {
            let cells = if passes { &mut state.leaf } else { &mut state.failed };
            cells[id.index()] = state.round;
            return passes;
        }
        self.answer(leaf.field, event, plan, state);
        state.is_known(id)
    }

    /// Marks every leaf of a field (or of the keywords) that one of its values passes.
    fn answer(&self, field: Option<besa_event::FieldId>, event: Event<'_>, plan: &Plan, state: &mut State) {
        let (number, slot) = match field {
            Some(field) => {
                let Some(number) = plan.slot(field) else { return };
                (number, &plan.fields[number])
            }
            None => {
                let Some(keywords) = &plan.keywords else { return };
                (plan.fields.len(), keywords)
            }
        };
        if state.answered[number] == state.round {
            return;
        }
        state.answered[number] = state.round;
        let (index, memo) = slot.all(&self.program.leaves);
        for each in event.raw_fields() {
            if field.is_none_or(|name| name == each.name) && is_comparable(each.kind) {
                let key = Key { slot: memo, value: event.value(each) };
                state.look(&self.program, index, key, state.memo.hash(key));
                let State { leaf, entries, round, .. } = state;
                entries.iter().for_each(|entry| leaf[index.leaves[*entry as usize].index()] = *round);
            }
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
        let mut matched =
            Matched { out: Vec::new(), seen: event.raw_fields().iter().map(|_| Seen::default()).collect() };
        if let Some(rule) = self.program.rules.get(rule as usize) {
            self.collect_matched(&rule.expr, event, dictionary, &mut matched);
        }
        matched.out
    }

    fn collect_matched<'e>(
        &self,
        expr: &Expr,
        event: Event<'e>,
        dictionary: &Dictionary,
        matched: &mut Matched<'e>,
    ) {
        match expr {
            Expr::Not(_) => {}
            Expr::All(members) | Expr::Any(members) => {
                members.iter().for_each(|member| self.collect_matched(member, event, dictionary, matched));
            }
            Expr::Leaf(id) => {
                let leaf = &self.program.leaves[id.index()];
                for (field, seen) in event.raw_fields().iter().zip(&mut matched.seen) {
                    let asked = leaf.field.is_none_or(|name| name == field.name);
                    if !asked || seen.is_shown || !is_comparable(field.kind) {
                        continue;
                    }
                    let value = event.value(field);
                    if seen.passes(&leaf.kind, value) {
                        seen.is_shown = true;
                        let name = event.field_name(dictionary, field.name).into_owned();
                        let pair = (name, value.display().into_owned());
                        if !matched.out.contains(&pair) {
                            matched.out.push(pair);
                        }
                    }
                }
            }
        }
    }

    fn plan(&self, dictionary: &Dictionary, sources: &LogSources, class: LogSourceId) -> Plan {
        Plan::build(&self.program, dictionary, &sources.get(class), &self.shared)
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

/// Whether the memo keeps the values of a field.
fn are_short(event: Event<'_>, field: besa_event::FieldId) -> bool {
    event.all(field).all(|value| value.bytes.len() <= VALUE_LEN_BYTES_MAX)
}

/// Which values of a class of events trigger rules. An event none of whose values does matches no
/// rule ([`SigmaMatcher::matches`] evaluates none). One for each thread.
#[derive(Debug)]
pub struct SigmaTriggers<'m> {
    matcher: &'m SigmaMatcher,
    dictionary: &'m Dictionary,
    cell: Arc<OnceLock<Plan>>,
    state: State,
}

impl SigmaTriggers<'_> {
    /// The slots of the fields that go by one of these names, in events of `class`, where their
    /// values can trigger a rule.
    #[must_use]
    pub fn slots(&self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        let Some(plan) = self.cell.get() else { return Vec::new() };
        let fields = with_aliases(class, names).into_iter();
        let fields = fields.filter_map(|name| self.dictionary.lookup(name.as_bytes()));
        let mut slots: Vec<u32> =
            fields.filter_map(|field| u32::try_from(plan.hot_slot(field)?).ok()).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Whether a text (not null, no node) of a field with that slot triggers a rule.
    pub fn fires(&mut self, slot: u32, text: &[u8]) -> bool {
        let Some(slot) = self.cell.get().and_then(|plan| plan.fields.get(slot as usize)) else {
            return false;
        };
        let key = Key { slot: slot.memo, value: Value { kind: ValueKind::Text, bytes: text } };
        self.state.look(&self.matcher.program, &slot.triggers.index, key, self.state.memo.hash(key));
        !self.state.entries.is_empty()
    }
}

/// Null and nodes have no text to compare.
pub(crate) fn is_comparable(kind: ValueKind) -> bool {
    !matches!(kind, ValueKind::Null | ValueKind::Node)
}

/// What made an event match, as it is collected.
struct Matched<'e> {
    out: Vec<(String, String)>,
    /// Per field of the event.
    seen: Vec<Seen<'e>>,
}

/// What is known of a field.
#[derive(Default)]
struct Seen<'e> {
    is_shown: bool,
    /// Its text, and that folded: made once for all tests.
    text: Option<(Cow<'e, [u8]>, Vec<u8>)>,
}

impl<'e> Seen<'e> {
    /// Whether the value by itself passes; presence and field references count as shown by it.
    fn passes(&mut self, kind: &LeafKind, value: Value<'e>) -> bool {
        match kind {
            LeafKind::Exists | LeafKind::FieldRef { .. } => true,
            LeafKind::Null => false,
            _ => {
                let (text, folded) = self.text.get_or_insert_with(|| {
                    let text = value.text();
                    let folded = crate::text::fold(&text);
                    (text, folded)
                });
                kind.holds(text, folded)
            }
        }
    }
}
