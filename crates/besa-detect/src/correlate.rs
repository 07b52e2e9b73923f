//! Sigma correlations over hits in order of time (correlation rules specification 2.1).
//!
//! The window slides with the hits: a group is judged at each of its hits, over those of the
//! last `timespan` (both ends included). A finding is raised when the condition begins to hold
//! and again only after it ceased to. A condition without a lower bound (`lt`, `lte`, `eq`,
//! `neq` alone) says something about a window that is over, so it is judged once, `timespan`
//! after the first hit of the group.
//!
//! Decided where the specification is silent: an event without a `group-by` field belongs to no
//! group and is left out (counted); hits of one instant are in the order of the rules, so that
//! `temporal_ordered` accepts them; late evidence cannot be late, since hits are sorted first.
//!
//! State is bounded per correlation in groups and per group in hits; what is dropped is counted
//! and reported, never silent.

use std::collections::{HashMap, HashSet, VecDeque};

use besa_event::{DictionaryBuilder, Event, FieldId};
use besa_sigma::{Correlation, CorrelationKind, CorrelationOp, RuleSet, Target, TemporalExpression};

use crate::finding::{Finding, FindingTime, Hit, HitPart, Locator, RELATED_MAX, RuleRef};

/// Groups of one correlation.
const GROUPS_MAX: usize = 1 << 18;
/// Hits of one group inside its window.
const GROUP_HITS_MAX: usize = 1 << 14;
/// Values longer than this are compared by their beginning.
const VALUE_LEN_BYTES_MAX: usize = 1_024;

/// What workers need in order to turn a rule's match into hits.
#[derive(Debug, Default)]
pub(crate) struct CorrelationInputs {
    /// Per rule of the set: the correlations that it feeds.
    feeds: HashMap<u32, Vec<Feed>>,
}

#[derive(Debug)]
struct Feed {
    correlation: u32,
    slot: u16,
    group: Vec<FieldId>,
    values: Vec<FieldId>,
}

impl CorrelationInputs {
    pub(crate) fn compile(rules: &RuleSet, names: &mut DictionaryBuilder) -> Self {
        let mut inputs = Self::default();
        for (number, correlation) in (0_u32..).zip(&rules.correlations) {
            for (slot, reference) in correlation.rules.iter().enumerate() {
                for target in &reference.targets {
                    let Target::Rule(rule) = target else { continue };
                    let mut ids = |fields: &[String]| -> Vec<FieldId> {
                        fields
                            .iter()
                            .map(|name| names.intern(field_of_slot(correlation, slot, name)))
                            .collect()
                    };
                    let feed = Feed {
                        correlation: number,
                        slot: u16::try_from(slot).unwrap_or(u16::MAX),
                        group: ids(&correlation.group_by),
                        values: ids(&correlation.condition.fields),
                    };
                    inputs.feeds.entry(u32::try_from(*rule).unwrap_or(u32::MAX)).or_default().push(feed);
                }
            }
        }
        inputs
    }

    /// Appends the hits that a rule's match gives; returns how many could not be placed because
    /// the event lacks a time or a `group-by` field.
    pub(crate) fn hits(&self, rule: u32, event: Event<'_>, out: &mut Vec<Hit>) -> u64 {
        let mut left_out = 0;
        for feed in self.feeds.get(&rule).map_or(&[][..], Vec::as_slice) {
            let text = |field: &FieldId| {
                let value = event.all(*field).find(|value| crate::sigma::is_comparable(value.kind))?;
                Some(shortened(value.display().into_owned()))
            };
            let group: Option<Vec<String>> = feed.group.iter().map(text).collect();
            let (Some(time), Some(group)) = (event.time(), group) else {
                left_out += 1;
                continue;
            };
            let values = feed.values.iter().map(text).collect();
            out.push(Hit {
                time: time.into(),
                part: HitPart::Correlation { correlation: feed.correlation, slot: feed.slot, group, values },
                source: Locator { path: event.batch().origin.path.clone(), record: event.head().record },
                logsource: event.logsource().0,
                host: event.host().into_owned(),
            });
        }
        left_out
    }

    /// The `group-by` and condition fields that rules of a correlation need are in the
    /// dictionary; whether a rule feeds any correlation.
    pub(crate) fn is_fed_by(&self, rule: u32) -> bool {
        self.feeds.contains_key(&rule)
    }
}

/// The field that a `group-by` or condition name means for one rule of a correlation.
fn field_of_slot<'c>(correlation: &'c Correlation, slot: usize, name: &'c str) -> &'c str {
    let alias = correlation.aliases.iter().find(|alias| alias.name == name);
    let field = alias.and_then(|alias| alias.fields.iter().find(|field| field.rule == slot));
    field.map_or(name, |field| field.field.as_str())
}

fn shortened(mut value: String) -> String {
    if value.len() > VALUE_LEN_BYTES_MAX {
        let end = (0..=VALUE_LEN_BYTES_MAX).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
        value.truncate(end);
    }
    value
}

/// Evaluates hits in order of time.
#[derive(Debug)]
pub(crate) struct Correlator<'r> {
    rules: &'r RuleSet,
    states: Vec<State>,
    /// Per correlation: the correlations that its findings feed, with the slot there.
    parents: Vec<Vec<(usize, usize)>>,
    /// Groups and hits dropped to stay within bounds.
    pub(crate) dropped: u64,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Vec<String>, Group>,
    /// Groups judged when their window is over: (end of the window, group), in order.
    closing: VecDeque<(i64, Vec<String>)>,
}

#[derive(Debug, Default)]
struct Group {
    hits: VecDeque<GroupHit>,
    counts: HashMap<Vec<Option<String>>, u32>,
    /// Per slot: start of the latest chain that reached it (`temporal_ordered`).
    chains: Vec<Option<i64>>,
    raised: bool,
}

#[derive(Clone, Debug)]
struct GroupHit {
    time: FindingTime,
    slot: usize,
    values: Vec<Option<String>>,
    source: Locator,
    logsource: u16,
    host: String,
}

impl<'r> Correlator<'r> {
    pub(crate) fn new(rules: &'r RuleSet) -> Self {
        let mut parents = vec![Vec::new(); rules.correlations.len()];
        for (number, correlation) in rules.correlations.iter().enumerate() {
            for (slot, reference) in correlation.rules.iter().enumerate() {
                for target in &reference.targets {
                    if let Target::Correlation(child) = target {
                        parents[*child].push((number, slot));
                    }
                }
            }
        }
        let states = rules.correlations.iter().map(|_| State::default()).collect();
        Self { rules, states, parents, dropped: 0 }
    }

    /// Takes the next hit; `group` and `values` are those of the hit's part.
    pub(crate) fn push(&mut self, hit: &Hit, out: &mut Vec<Finding>) {
        let HitPart::Correlation { correlation, slot, group, values } = &hit.part else { return };
        let taken = GroupHit {
            time: hit.time,
            slot: usize::from(*slot),
            values: values.clone(),
            source: hit.source.clone(),
            logsource: hit.logsource,
            host: hit.host.clone(),
        };
        self.close_until(hit.time.at, out);
        self.take(*correlation as usize, group.clone(), taken, out);
    }

    /// Judges the windows that are still open.
    pub(crate) fn finish(&mut self, out: &mut Vec<Finding>) {
        self.close_until(i64::MAX, out);
    }

    fn take(&mut self, number: usize, key: Vec<String>, hit: GroupHit, out: &mut Vec<Finding>) {
        let Some(correlation) = self.rules.correlations.get(number) else { return };
        let span = span_nanos(correlation);
        let now = hit.time.at;
        if self.states[number].groups.len() >= GROUPS_MAX && !self.states[number].groups.contains_key(&key) {
            self.make_room(number, now, span);
        }
        let state = &mut self.states[number];
        let group = state.groups.entry(key.clone()).or_default();
        if judged_at_end(correlation) {
            if group.hits.is_empty() {
                state.closing.push_back((now.saturating_add(span), key));
            }
            self.dropped += group.add(hit);
            return;
        }
        group.forget_before(now.saturating_sub(span));
        self.dropped += group.add(hit);
        let held = group.judge(correlation, now, span);
        let begins = held && !group.raised;
        group.raised = held && correlation.kind != CorrelationKind::TemporalOrdered;
        if begins {
            let finding = group.finding(number, correlation, &key);
            self.raise(number, finding, &key, out);
        }
    }

    /// Judges every window that ended before `now`.
    fn close_until(&mut self, now: i64, out: &mut Vec<Finding>) {
        for number in 0..self.states.len() {
            while self.states[number].closing.front().is_some_and(|(end, _)| *end < now) {
                let Some((_, key)) = self.states[number].closing.pop_front() else { break };
                let Some(mut group) = self.states[number].groups.remove(&key) else { continue };
                let correlation = &self.rules.correlations[number];
                if group.judge(correlation, now, i64::MAX) {
                    let finding = group.finding(number, correlation, &key);
                    self.raise(number, finding, &key, out);
                }
            }
        }
    }

    /// A correlation holds: reports it if it is to be reported, and feeds those above it.
    fn raise(&mut self, number: usize, finding: Finding, key: &[String], out: &mut Vec<Finding>) {
        let child = &self.rules.correlations[number];
        for (parent, slot) in self.parents[number].clone() {
            let above = &self.rules.correlations[parent];
            let value = |name: &String| {
                let field = field_of_slot(above, slot, name);
                let at = child.group_by.iter().position(|have| have.eq_ignore_ascii_case(field))?;
                key.get(at).cloned()
            };
            let group: Option<Vec<String>> = above.group_by.iter().map(value).collect();
            let (Some(group), Some(time)) = (group, finding.time) else {
                self.dropped += 1;
                continue;
            };
            let hit = GroupHit {
                time,
                slot,
                values: above.condition.fields.iter().map(value).collect(),
                source: finding.source.clone(),
                logsource: finding.logsource,
                host: finding.host.clone(),
            };
            self.take(parent, group, hit, out);
        }
        if child.generates {
            out.push(finding);
        }
    }

    /// Drops groups whose window is over; if all are live, those hit longest ago.
    fn make_room(&mut self, number: usize, now: i64, span: i64) {
        let state = &mut self.states[number];
        let last = |group: &Group| group.hits.back().map_or(i64::MIN, |hit| hit.time.at);
        state.groups.retain(|_, group| last(group) >= now.saturating_sub(span));
        if state.groups.len() >= GROUPS_MAX {
            let mut times: Vec<i64> = state.groups.values().map(last).collect();
            let (_, median, _) = times.select_nth_unstable(GROUPS_MAX / 4);
            let oldest = *median;
            let before = state.groups.len();
            state.groups.retain(|_, group| last(group) > oldest);
            self.dropped += (before - state.groups.len()) as u64;
        }
        let groups = &state.groups;
        state.closing.retain(|(_, key)| groups.contains_key(key));
    }
}

impl Group {
    /// Adds a hit; returns how many older ones were dropped to stay within bounds.
    fn add(&mut self, hit: GroupHit) -> u64 {
        *self.counts.entry(hit.values.clone()).or_default() += 1;
        self.hits.push_back(hit);
        if self.hits.len() <= GROUP_HITS_MAX {
            return 0;
        }
        self.forget_first();
        1
    }

    fn forget_before(&mut self, from: i64) {
        while self.hits.front().is_some_and(|hit| hit.time.at < from) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(hit) = self.hits.pop_front() else { return };
        if let Some(count) = self.counts.get_mut(&hit.values) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&hit.values);
            }
        }
    }

    fn judge(&mut self, correlation: &Correlation, now: i64, span: i64) -> bool {
        match correlation.kind {
            CorrelationKind::Temporal => self.judge_temporal(correlation),
            CorrelationKind::TemporalOrdered => self.judge_ordered(correlation, now, span),
            _ => self.measure(correlation).is_some_and(|value| {
                correlation.condition.comparisons.iter().all(|test| test.op.holds(value, test.number))
            }),
        }
    }

    /// The count, sum, … of the hits in the window; `None` where no hit has a number.
    fn measure(&self, correlation: &Correlation) -> Option<f64> {
        let numbers = || -> Vec<f64> {
            let first = |hit: &GroupHit| hit.values.first().cloned().flatten();
            self.hits
                .iter()
                .filter_map(first)
                .filter_map(|text| crate::sigma::parse_number(text.as_bytes()))
                .collect()
        };
        let some = |numbers: Vec<f64>| (!numbers.is_empty()).then_some(numbers);
        match correlation.kind {
            CorrelationKind::EventCount => Some(self.hits.len() as f64),
            CorrelationKind::ValueCount => {
                let complete = self.counts.keys().filter(|values| values.iter().all(Option::is_some));
                Some(complete.count() as f64)
            }
            CorrelationKind::ValueSum => some(numbers()).map(|all| all.iter().sum()),
            CorrelationKind::ValueAvg => {
                some(numbers()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
            }
            CorrelationKind::ValueMedian => some(numbers()).map(|all| percentile(all, 50.0)),
            CorrelationKind::ValuePercentile => {
                some(numbers()).map(|all| percentile(all, correlation.condition.percentile.unwrap_or(50.0)))
            }
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => None,
        }
    }

    fn judge_temporal(&self, correlation: &Correlation) -> bool {
        let seen: HashSet<usize> = self.hits.iter().map(|hit| hit.slot).collect();
        if let Some(expression) = &correlation.condition.expression {
            return expression_holds(expression, &seen);
        }
        if correlation.condition.comparisons.is_empty() {
            return seen.len() == correlation.rules.len();
        }
        correlation.condition.comparisons.iter().all(|test| test.op.holds(seen.len() as f64, test.number))
    }

    /// Advances the chains with the newest hit. A chain is named by its start; of several that
    /// reached a slot the latest serves best, since it has the most time left.
    fn judge_ordered(&mut self, correlation: &Correlation, now: i64, span: i64) -> bool {
        let last = correlation.rules.len().saturating_sub(1);
        self.chains.resize(last + 1, None);
        let Some(slot) = self.hits.back().map(|hit| hit.slot) else { return false };
        let start = match slot.checked_sub(1) {
            None => Some(now),
            Some(before) => self.chains[before].filter(|start| now.saturating_sub(*start) <= span),
        };
        self.chains[slot] = self.chains[slot].max(start);
        let complete = slot == last && start.is_some();
        if complete {
            self.chains.fill(None);
        }
        complete
    }

    fn finding(&self, number: usize, correlation: &Correlation, key: &[String]) -> Finding {
        let mut matched: Vec<(String, String)> =
            correlation.group_by.iter().cloned().zip(key.iter().cloned()).collect();
        matched.push((correlation.kind.as_str().to_owned(), self.measured_text(correlation)));
        let last = self.hits.back();
        let others = self.hits.len().saturating_sub(1);
        Finding {
            rule: RuleRef::Correlation(u32::try_from(number).unwrap_or(u32::MAX)),
            time: last.map(|hit| hit.time),
            source: last.map(|hit| hit.source.clone()).unwrap_or_default(),
            logsource: last.map_or(0, |hit| hit.logsource),
            host: last.map(|hit| hit.host.clone()).unwrap_or_default(),
            matched,
            related: self.hits.iter().take(others.min(RELATED_MAX)).map(|hit| hit.source.clone()).collect(),
        }
    }

    fn measured_text(&self, correlation: &Correlation) -> String {
        match self.measure(correlation) {
            Some(value) => format!("{value}"),
            None => format!("{} hits", self.hits.len()),
        }
    }
}

fn expression_holds(expression: &TemporalExpression, seen: &HashSet<usize>) -> bool {
    match expression {
        TemporalExpression::All(members) => members.iter().all(|member| expression_holds(member, seen)),
        TemporalExpression::Any(members) => members.iter().any(|member| expression_holds(member, seen)),
        TemporalExpression::Not(inner) => !expression_holds(inner, seen),
        TemporalExpression::Rule(slot) => seen.contains(slot),
    }
}

/// Nearest-rank percentile: the smallest value that at least `rank` per cent do not exceed.
fn percentile(mut numbers: Vec<f64>, rank: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let position = (rank / 100.0 * numbers.len() as f64).ceil().max(1.0) as usize;
    numbers.get(position.min(numbers.len()) - 1).copied().unwrap_or_default()
}

fn span_nanos(correlation: &Correlation) -> i64 {
    i64::try_from(correlation.timespan_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000)
}

/// Whether nothing in the condition says "at least", so that only a whole window decides it.
fn judged_at_end(correlation: &Correlation) -> bool {
    let comparisons = &correlation.condition.comparisons;
    let at_least = comparisons.iter().any(|test| matches!(test.op, CorrelationOp::Gt | CorrelationOp::Gte));
    !comparisons.is_empty() && !at_least
}
