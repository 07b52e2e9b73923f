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

use std::collections::VecDeque;
use std::sync::Arc;

use besa_event::{DictionaryBuilder, Event, FieldId};
use besa_sigma::{Correlation, CorrelationKind, CorrelationOp, RuleSet, Target, TemporalExpression};
use hashbrown::{HashMap, HashSet};

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
///
/// A hit costs one look-up of its group and one of each of its texts, and allocates only what is
/// new: paths, hosts and values are shared by the hits that name them.
#[derive(Debug)]
pub(crate) struct Correlator<'r> {
    rules: &'r RuleSet,
    states: Vec<State>,
    /// Correlations that are judged when a window is over.
    judged_at_end: Vec<usize>,
    /// Per correlation: the correlations that its findings feed, with the slot there.
    parents: Vec<Vec<(usize, usize)>>,
    texts: Texts,
    /// Of the hit at hand; a buffer.
    key: Vec<u8>,
    /// Groups and hits dropped to stay within bounds.
    pub(crate) dropped: u64,
}

/// Values of `group-by`, each behind its length: one text to hash, compare and hold.
type GroupKey = Vec<u8>;
/// Values of the condition's fields.
type Values = Arc<[Option<String>]>;
type Seeded = foldhash::quality::RandomState;

#[derive(Debug, Default)]
struct State {
    groups: HashMap<GroupKey, Group, Seeded>,
    /// Groups judged when their window is over: (end of the window, group), in order.
    closing: VecDeque<(i64, GroupKey)>,
}

#[derive(Debug)]
struct Group {
    hits: VecDeque<GroupHit>,
    more: More,
    raised: bool,
}

/// What a condition asks for beyond the number of hits, kept up to date with them.
#[derive(Debug)]
enum More {
    Nothing,
    Distinct(Box<Distinct>),
    /// The hits' numbers, ascending.
    Ranked(Vec<f64>),
    /// Per slot, its hits.
    Slots(Box<[u32]>),
    /// Per slot, the start of the latest chain that reached it.
    Chains(Box<[Option<i64>]>),
}

/// Values of the hits, how often each stands there, and how many of them are whole.
#[derive(Debug, Default)]
struct Distinct {
    counts: HashMap<Values, u32, Seeded>,
    complete: usize,
}

#[derive(Clone, Debug)]
struct GroupHit {
    time: FindingTime,
    slot: u16,
    logsource: u16,
    record: u64,
    path: Arc<str>,
    host: Arc<str>,
    /// `None` where nothing depends on them.
    values: Option<Values>,
    /// The value as a number, where numbers are asked for.
    number: Option<f64>,
}

/// A hit before it is known to which group it belongs.
#[derive(Clone, Copy)]
struct NewHit<'h> {
    time: FindingTime,
    slot: u16,
    logsource: u16,
    source: &'h Locator,
    host: &'h str,
    values: &'h [Option<String>],
}

/// Texts that hits share. Those that no hit holds any more are let go now and then.
#[derive(Debug, Default)]
struct Texts {
    known: HashSet<Arc<str>, Seeded>,
    sweep_at: usize,
}

/// Texts below which none is let go.
const TEXTS_MIN: usize = 1 << 12;

impl Texts {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at.max(TEXTS_MIN) {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            // Paid for by as many new texts as are looked through.
            self.sweep_at = self.known.len() * 2;
        }
        let text: Arc<str> = text.into();
        self.known.insert(Arc::clone(&text));
        text
    }
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
        let numbered = rules.correlations.iter().enumerate();
        let judged_at_end =
            numbered.filter(|(_, correlation)| judged_at_end(correlation)).map(|(number, _)| number);
        let judged_at_end = judged_at_end.collect();
        Self { rules, states, judged_at_end, parents, texts: Texts::default(), key: Vec::new(), dropped: 0 }
    }

    /// Takes the next hit; `group` and `values` are those of the hit's part.
    pub(crate) fn push(&mut self, hit: &Hit, out: &mut Vec<Finding>) {
        let HitPart::Correlation { correlation, slot, group, values } = &hit.part else { return };
        self.close_until(hit.time.at, out);
        let new = NewHit {
            time: hit.time,
            slot: *slot,
            logsource: hit.logsource,
            source: &hit.source,
            host: &hit.host,
            values,
        };
        self.take_of(*correlation as usize, group, new, out);
    }

    /// Judges the windows that are still open.
    pub(crate) fn finish(&mut self, out: &mut Vec<Finding>) {
        self.close_until(i64::MAX, out);
    }

    fn take_of(&mut self, number: usize, group: &[String], new: NewHit<'_>, out: &mut Vec<Finding>) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        group.iter().for_each(|value| join(value, &mut key));
        self.take(number, &key, new, out);
        self.key = key;
    }

    fn take(&mut self, number: usize, key: &[u8], new: NewHit<'_>, out: &mut Vec<Finding>) {
        let Some(correlation) = self.rules.correlations.get(number) else { return };
        let span = span_nanos(correlation);
        let now = new.time.at;
        let groups = &self.states[number].groups;
        if groups.len() >= GROUPS_MAX && !groups.contains_key(key) {
            self.make_room(number, now, span);
        }
        let state = &mut self.states[number];
        let group = state.groups.entry_ref(key).or_insert_with(|| Group::new(correlation));
        let at_end = judged_at_end(correlation);
        if at_end && group.hits.is_empty() {
            state.closing.push_back((now.saturating_add(span), key.into()));
        }
        if !at_end {
            group.forget_before(now.saturating_sub(span));
        }
        let hit = group.hit(new, &mut self.texts, correlation.kind);
        self.dropped += group.add(hit);
        if at_end {
            return;
        }
        let held = group.judge(correlation, now, span);
        let begins = held && !group.raised;
        group.raised = held && correlation.kind != CorrelationKind::TemporalOrdered;
        if begins {
            let finding = group.finding(number, correlation, key);
            self.raise(number, finding, key, out);
        }
    }

    /// Judges every window that ended before `now`.
    fn close_until(&mut self, now: i64, out: &mut Vec<Finding>) {
        for at in 0..self.judged_at_end.len() {
            let number = self.judged_at_end[at];
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
    fn raise(&mut self, number: usize, finding: Finding, key: &[u8], out: &mut Vec<Finding>) {
        let child = &self.rules.correlations[number];
        if self.parents[number].is_empty() {
            if child.generates {
                out.push(finding);
            }
            return;
        }
        let key = parted(key);
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
            let values: Vec<Option<String>> = above.condition.fields.iter().map(value).collect();
            let new = NewHit {
                time,
                slot: u16::try_from(slot).unwrap_or(u16::MAX),
                logsource: finding.logsource,
                source: &finding.source,
                host: &finding.host,
                values: &values,
            };
            self.take_of(parent, &group, new, out);
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

/// Appends a value of `group-by` to a key.
fn join(value: &str, key: &mut Vec<u8>) {
    key.extend_from_slice(&(value.len() as u64).to_le_bytes());
    key.extend_from_slice(value.as_bytes());
}

/// The values that were joined.
fn parted(mut key: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    while let Some((len, rest)) = key.split_first_chunk() {
        let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX).min(rest.len());
        let (value, rest) = rest.split_at(len);
        values.push(String::from_utf8_lossy(value).into_owned());
        key = rest;
    }
    values
}

impl Group {
    fn new(correlation: &Correlation) -> Self {
        let slots = correlation.rules.len();
        let more = match correlation.kind {
            CorrelationKind::ValueCount => More::Distinct(Box::default()),
            CorrelationKind::ValueMedian | CorrelationKind::ValuePercentile => More::Ranked(Vec::new()),
            CorrelationKind::Temporal => More::Slots(vec![0; slots].into()),
            CorrelationKind::TemporalOrdered => More::Chains(vec![None; slots].into()),
            CorrelationKind::EventCount | CorrelationKind::ValueSum | CorrelationKind::ValueAvg => {
                More::Nothing
            }
        };
        Self { hits: VecDeque::new(), more, raised: false }
    }

    fn hit(&self, new: NewHit<'_>, texts: &mut Texts, kind: CorrelationKind) -> GroupHit {
        let values = match &self.more {
            More::Distinct(distinct) => Some(match distinct.counts.get_key_value(new.values) {
                Some((known, _)) => Arc::clone(known),
                None => new.values.into(),
            }),
            _ => None,
        };
        let number = || crate::sigma::parse_number(new.values.first()?.as_ref()?.as_bytes());
        let has_number = matches!(
            kind,
            CorrelationKind::ValueSum
                | CorrelationKind::ValueAvg
                | CorrelationKind::ValueMedian
                | CorrelationKind::ValuePercentile
        );
        // Mostly those of the hit before, which is at hand.
        let last = self.hits.back();
        let mut shared = |text: &str, last: Option<&Arc<str>>| match last {
            Some(last) if **last == *text => Arc::clone(last),
            _ => texts.shared(text),
        };
        GroupHit {
            time: new.time,
            slot: new.slot,
            logsource: new.logsource,
            record: new.source.record,
            path: shared(&new.source.path, last.map(|hit| &hit.path)),
            host: shared(new.host, last.map(|hit| &hit.host)),
            values,
            number: if has_number { number() } else { None },
        }
    }

    /// Adds a hit; returns how many older ones were dropped to stay within bounds.
    fn add(&mut self, hit: GroupHit) -> u64 {
        match (&mut self.more, &hit.values, hit.number) {
            (More::Slots(slots), ..) => {
                slots.get_mut(usize::from(hit.slot)).into_iter().for_each(|hits| *hits += 1);
            }
            (More::Distinct(distinct), Some(values), _) => distinct.add(values),
            (More::Ranked(numbers), _, Some(number)) => {
                let at = numbers.partition_point(|have| have.total_cmp(&number).is_lt());
                numbers.insert(at, number);
            }
            _ => {}
        }
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
        match (&mut self.more, &hit.values, hit.number) {
            (More::Slots(slots), ..) => {
                slots.get_mut(usize::from(hit.slot)).into_iter().for_each(|hits| *hits -= 1);
            }
            (More::Distinct(distinct), Some(values), _) => distinct.take_away(values),
            (More::Ranked(numbers), _, Some(number)) => {
                let at = numbers.partition_point(|have| have.total_cmp(&number).is_lt());
                numbers.remove(at);
            }
            _ => {}
        }
    }

    fn judge(&mut self, correlation: &Correlation, now: i64, span: i64) -> bool {
        match correlation.kind {
            CorrelationKind::Temporal => self.judge_temporal(correlation),
            CorrelationKind::TemporalOrdered => self.judge_ordered(now, span),
            _ => self.measure(correlation).is_some_and(|value| {
                correlation.condition.comparisons.iter().all(|test| test.op.holds(value, test.number))
            }),
        }
    }

    /// The count, sum, … of the hits in the window; `None` where no hit has a number.
    fn measure(&self, correlation: &Correlation) -> Option<f64> {
        let numbers = || self.hits.iter().filter_map(|hit| hit.number);
        match correlation.kind {
            CorrelationKind::EventCount => Some(self.hits.len() as f64),
            CorrelationKind::ValueCount => match &self.more {
                More::Distinct(distinct) => Some(distinct.complete as f64),
                _ => None,
            },
            CorrelationKind::ValueSum => numbers().next().map(|_| numbers().sum()),
            CorrelationKind::ValueAvg => {
                numbers().next().map(|_| numbers().sum::<f64>() / numbers().count() as f64)
            }
            CorrelationKind::ValueMedian | CorrelationKind::ValuePercentile => match &self.more {
                More::Ranked(numbers) => {
                    percentile(numbers, correlation.condition.percentile.unwrap_or(50.0))
                }
                _ => None,
            },
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => None,
        }
    }

    fn judge_temporal(&self, correlation: &Correlation) -> bool {
        let More::Slots(slots) = &self.more else { return false };
        if let Some(expression) = &correlation.condition.expression {
            return expression_holds(expression, slots);
        }
        let seen = slots.iter().filter(|hits| **hits > 0).count();
        if correlation.condition.comparisons.is_empty() {
            return seen == correlation.rules.len();
        }
        correlation.condition.comparisons.iter().all(|test| test.op.holds(seen as f64, test.number))
    }

    /// Advances the chains with the newest hit. A chain is named by its start; of several that
    /// reached a slot the latest serves best, since it has the most time left.
    fn judge_ordered(&mut self, now: i64, span: i64) -> bool {
        let More::Chains(chains) = &mut self.more else { return false };
        let Some(slot) = self.hits.back().map(|hit| usize::from(hit.slot)) else { return false };
        if slot >= chains.len() {
            return false;
        }
        let start = match slot.checked_sub(1) {
            None => Some(now),
            Some(before) => chains[before].filter(|start| now.saturating_sub(*start) <= span),
        };
        chains[slot] = chains[slot].max(start);
        let complete = slot + 1 == chains.len() && start.is_some();
        if complete {
            chains.fill(None);
        }
        complete
    }

    fn finding(&self, number: usize, correlation: &Correlation, key: &[u8]) -> Finding {
        let mut matched: Vec<(String, String)> =
            correlation.group_by.iter().cloned().zip(parted(key)).collect();
        matched.push((correlation.kind.as_str().to_owned(), self.measured_text(correlation)));
        let last = self.hits.back();
        let others = self.hits.len().saturating_sub(1);
        Finding {
            rule: RuleRef::Correlation(u32::try_from(number).unwrap_or(u32::MAX)),
            time: last.map(|hit| hit.time),
            source: last.map(GroupHit::source).unwrap_or_default(),
            logsource: last.map_or(0, |hit| hit.logsource),
            host: last.map(|hit| hit.host.to_string()).unwrap_or_default(),
            matched,
            related: self.hits.iter().take(others.min(RELATED_MAX)).map(GroupHit::source).collect(),
        }
    }

    fn measured_text(&self, correlation: &Correlation) -> String {
        match self.measure(correlation) {
            Some(value) => format!("{value}"),
            None => format!("{} hits", self.hits.len()),
        }
    }
}

impl Distinct {
    fn add(&mut self, values: &Values) {
        let count = self.counts.entry(Arc::clone(values)).or_default();
        *count += 1;
        self.complete += usize::from(*count == 1 && is_complete(values));
    }

    fn take_away(&mut self, values: &Values) {
        let Some(count) = self.counts.get_mut(values) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(values);
            self.complete -= usize::from(is_complete(values));
        }
    }
}

impl GroupHit {
    fn source(&self) -> Locator {
        Locator { path: self.path.to_string(), record: self.record }
    }
}

fn is_complete(values: &[Option<String>]) -> bool {
    values.iter().all(Option::is_some)
}

/// `slots`: per rule of the correlation, its hits in the window.
fn expression_holds(expression: &TemporalExpression, slots: &[u32]) -> bool {
    match expression {
        TemporalExpression::All(members) => members.iter().all(|member| expression_holds(member, slots)),
        TemporalExpression::Any(members) => members.iter().any(|member| expression_holds(member, slots)),
        TemporalExpression::Not(inner) => !expression_holds(inner, slots),
        TemporalExpression::Rule(slot) => slots.get(*slot).is_some_and(|hits| *hits > 0),
    }
}

/// Nearest-rank percentile: the smallest value that at least `rank` per cent do not exceed.
/// `numbers` ascend.
fn percentile(numbers: &[f64], rank: f64) -> Option<f64> {
    let position = (rank / 100.0 * numbers.len() as f64).ceil().max(1.0) as usize;
    numbers.get(position.min(numbers.len()).checked_sub(1)?).copied()
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
