//! What one correlation remembers: its groups and the hits of their windows.
//!
//! ```text
//! hash of the group ─▶ index ─▶ group ─first…last─▶ hits, each with the number of the next
//!                                └▶ columns by the group's number: key, last time, slots, numbers
//! hash of group and values ─▶ index ─▶ distinct value with the number of its hits
//! ```
//!
//! All of it lies in a few vectors and refers to each other by number: adding and forgetting a hit
//! allocates nothing, and what the next hits need can be asked for ahead.

use std::collections::VecDeque;

use besa_sigma::{Correlation, CorrelationKind as Kind, TemporalExpression};
use besa_simd::tokens::prefetch;

use super::slab::{Index, NONE, Short, Slab};
use super::texts::Texts;
use super::{Hashes, judged_at_end, span_nanos};
use crate::finding::{Finding, FindingTime, Locator, RELATED_MAX, RuleRef};
use crate::joined::texts as texts_of;

/// Groups of one correlation.
const GROUPS_MAX: usize = 1 << 18;
/// Hits of one group inside its window.
const GROUP_HITS_MAX: u32 = 1 << 14;
/// Hits of one correlation: 40 bytes each.
const HITS_MAX: usize = 1 << 26;

/// A hit before it is known to which group it belongs.
#[derive(Clone, Copy)]
pub(super) struct NewHit<'h> {
    pub(super) time: FindingTime,
    pub(super) slot: u16,
    pub(super) logsource: u16,
    pub(super) source: &'h Locator,
    pub(super) host: &'h str,
    /// Values of `group-by`, joined.
    pub(super) group: &'h [u8],
    /// Values of the condition's fields, joined.
    pub(super) values: &'h [u8],
    pub(super) hashes: Hashes,
}

#[derive(Debug)]
pub(super) struct State {
    kind: Kind,
    /// Nanoseconds.
    span: i64,
    at_end: bool,
    /// Rules of the correlation.
    rules: usize,
    index: Index,
    groups: Slab<Group>,
    /// Per group: the values of `group-by`, joined.
    keys: Vec<Key>,
    /// Per group: the time of its last hit, [`GONE`] of one that was removed.
    last_times: Vec<i64>,
    /// Per group and rule, where the order or the kinds of hits matter: for `temporal` its hits, for
    /// `temporal_ordered` the start of the latest chain that reached it, or [`NO_CHAIN`].
    slots: Vec<i64>,
    /// Per group, where numbers are asked for.
    numbers: Vec<Numbers>,
    hits: Slab<GroupHit>,
    values: Slab<Value>,
    values_index: Index,
    /// Groups judged when their window is over: (end of the window, group), in order.
    closing: VecDeque<(i64, u32)>,
}

/// Later than any hit is said to be.
const GONE: i64 = i64::MAX;
/// Earlier than any chain is said to begin.
const NO_CHAIN: i64 = i64::MIN;

/// A cache line, mostly in place.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Key(Short<62>);

#[derive(Debug)]
struct Group {
    hash: u64,
    first_time: i64,
    first: u32,
    last: u32,
    len: u32,
    /// Distinct values that lack nothing, where they are counted.
    distinct: u32,
    raised: bool,
}

/// A hit in a window, and the one after it in its group.
#[derive(Clone, Copy, Debug)]
struct GroupHit {
    at: i64,
    record: u64,
    path: u32,
    host: u32,
    /// Its values' number where they are counted; where numbers are asked for, [`NONE`] without one.
    value: u32,
    next: u32,
    slot: u16,
    logsource: u16,
    digits: u8,
    zone: u8,
}

/// Values that hits of a group have.
#[derive(Debug)]
struct Value {
    values: Short<22>,
    hash: u64,
    group: u32,
    hits: u32,
    is_complete: bool,
}

impl State {
    pub(super) fn new(correlation: &Correlation) -> Self {
        Self {
            kind: correlation.kind,
            span: span_nanos(correlation),
            at_end: judged_at_end(correlation),
            rules: correlation.rules.len(),
            index: Index::default(),
            groups: Slab::default(),
            keys: Vec::new(),
            last_times: Vec::new(),
            slots: Vec::new(),
            numbers: Vec::new(),
            hits: Slab::default(),
            values: Slab::default(),
            values_index: Index::default(),
            closing: VecDeque::new(),
        }
    }

    /// First of three: where the groups of the next hits are.
    pub(super) fn expect_places(&self, hashes: &Hashes) {
        self.index.prefetch(hashes.group);
        if self.kind == Kind::ValueCount {
            self.values_index.prefetch(hashes.values);
        }
    }

    /// Second: the groups and their columns.
    pub(super) fn expect_group(&self, hashes: &Hashes) {
        if let Some(group) = self.index.likely(hashes.group) {
            let at = group as usize;
            self.groups.prefetch(group);
            prefetch(&self.keys, at);
            prefetch(&self.last_times, at);
            prefetch(&self.slots, at * self.rules);
            prefetch(&self.numbers, at);
        }
        if self.kind == Kind::ValueCount
            && let Some(value) = self.values_index.likely(hashes.values)
        {
            self.values.prefetch(value);
        }
    }

    /// Third: the hits that will be linked or forgotten.
    pub(super) fn expect_hits(&self, hashes: &Hashes) {
        if let Some(group) = self.index.likely(hashes.group) {
            let group = self.groups.get(group);
            self.hits.prefetch(group.last);
            self.hits.prefetch(group.first);
        }
    }

    /// Takes a hit; its group if the condition begins to hold there.
    pub(super) fn take(
        &mut self,
        correlation: &Correlation,
        new: NewHit<'_>,
        texts: &mut Texts,
        dropped: &mut u64,
    ) -> Option<u32> {
        let now = new.time.at;
        let group = self.group_of(&new, texts, dropped);
        if !self.at_end {
            self.forget_before(group, now.saturating_sub(self.span), texts);
        }
        self.add(group, &new, texts);
        if self.groups.get(group).len > GROUP_HITS_MAX {
            self.forget_first(group, texts);
            *dropped += 1;
        }
        if self.at_end {
            return None;
        }
        let held = self.holds(correlation, group, now, self.span);
        let raised = &mut self.groups.get_mut(group).raised;
        let begins = held && !*raised;
        *raised = held && self.kind != Kind::TemporalOrdered;
        begins.then_some(group)
    }

    /// The next group whose window ended before `now`. It is to be removed next.
    pub(super) fn pop_closed(&mut self, now: i64) -> Option<u32> {
        self.closing.pop_front_if(|(end, _)| *end < now).map(|(_, group)| group)
    }

    fn group_of(&mut self, new: &NewHit<'_>, texts: &mut Texts, dropped: &mut u64) -> u32 {
        if self.hits.len() >= HITS_MAX {
            self.make_room(new.time.at, texts, dropped);
        }
        let is_key = |group: u32| self.keys[group as usize].0.as_bytes() == new.group;
        if let Some(group) = self.index.find(new.hashes.group, is_key) {
            return group;
        }
        if self.groups.len() >= GROUPS_MAX {
            self.make_room(new.time.at, texts, dropped);
        }
        self.add_group(new)
    }

    fn add_group(&mut self, new: &NewHit<'_>) -> u32 {
        let group = self.groups.add(Group {
            hash: new.hashes.group,
            first_time: new.time.at,
            first: NONE,
            last: NONE,
            len: 0,
            distinct: 0,
            raised: false,
        });
        self.index.insert(new.hashes.group, group);
        let at = group as usize;
        if at == self.keys.len() {
            self.keys.push(Key::default());
            self.last_times.push(GONE);
        }
        self.keys[at] = Key(new.group.into());
        self.reset_columns(at);
        if self.at_end {
            self.closing.push_back((new.time.at.saturating_add(self.span), group));
        }
        group
    }

    fn reset_columns(&mut self, at: usize) {
        let nothing = match self.kind {
            Kind::Temporal => 0,
            Kind::TemporalOrdered => NO_CHAIN,
            Kind::ValueSum | Kind::ValueAvg | Kind::ValueMedian | Kind::ValuePercentile => {
                if at == self.numbers.len() {
                    self.numbers.push(Numbers::default());
                }
                return;
            }
            Kind::EventCount | Kind::ValueCount => return,
        };
        let (from, to) = (at * self.rules, (at + 1) * self.rules);
        if to > self.slots.len() {
            self.slots.resize(to, nothing);
        }
        self.slots[from..to].fill(nothing);
    }

    /// Removes a group with its hits; its key.
    pub(super) fn remove(&mut self, group: u32, texts: &mut Texts) -> Short<62> {
        while self.groups.get(group).len > 0 {
            self.forget_first(group, texts);
        }
        self.index.remove(self.groups.get(group).hash, group);
        self.groups.remove(group);
        let at = group as usize;
        self.last_times[at] = GONE;
        if let Some(numbers) = self.numbers.get_mut(at) {
            *numbers = Numbers::default();
        }
        std::mem::take(&mut self.keys[at]).0
    }

    /// Drops groups whose window is over; if all are live, those hit longest ago.
    fn make_room(&mut self, now: i64, texts: &mut Texts, dropped: &mut u64) {
        let live_from = now.saturating_sub(self.span);
        self.remove_where(|last| last < live_from, texts);
        if self.groups.len() >= GROUPS_MAX || self.hits.len() >= HITS_MAX {
            let mut times: Vec<i64> = self.last_times.iter().copied().filter(|last| *last != GONE).collect();
            let oldest = times.len() / 4;
            let oldest = *times.select_nth_unstable(oldest).1;
            *dropped += self.remove_where(|last| last <= oldest, texts);
        }
        let last_times = &self.last_times;
        self.closing.retain(|(_, group)| last_times[*group as usize] != GONE);
    }

    fn remove_where(&mut self, is: impl Fn(i64) -> bool, texts: &mut Texts) -> u64 {
        let mut removed = 0;
        for at in 0..self.last_times.len() {
            let last = self.last_times[at];
            if last != GONE && is(last) {
                self.remove(at as u32, texts);
                removed += 1;
            }
        }
        removed
    }

    fn add(&mut self, group: u32, new: &NewHit<'_>, texts: &mut Texts) {
        let hit = GroupHit {
            at: new.time.at,
            record: new.source.record,
            path: texts.hold_shared(&new.source.path),
            host: texts.hold(new.host),
            value: self.add_value(group, new),
            next: NONE,
            slot: new.slot,
            logsource: new.logsource,
            digits: new.time.digits,
            zone: new.time.zone,
        };
        let number = self.hits.add(hit);
        let of = self.groups.get_mut(group);
        let before = std::mem::replace(&mut of.last, number);
        of.len += 1;
        if of.len == 1 {
            of.first = number;
            of.first_time = hit.at;
        } else {
            self.hits.get_mut(before).next = number;
        }
        self.last_times[group as usize] = hit.at.min(GONE - 1);
    }

    /// Counts a hit's values; what the hit has to remember of them.
    fn add_value(&mut self, group: u32, new: &NewHit<'_>) -> u32 {
        match self.kind {
            Kind::EventCount | Kind::TemporalOrdered => NONE,
            Kind::Temporal => {
                if let Some(hits) = slot_of(&mut self.slots, self.rules, group, new.slot) {
                    *hits += 1;
                }
                NONE
            }
            Kind::ValueCount => self.add_distinct(group, new),
            Kind::ValueSum | Kind::ValueAvg | Kind::ValueMedian | Kind::ValuePercentile => {
                let first = texts_of(new.values).next().flatten();
                let number = first.and_then(|text| crate::sigma::parse_number(text.as_bytes()));
                let is_ranked = matches!(self.kind, Kind::ValueMedian | Kind::ValuePercentile);
                let Some(number) = number else { return NONE };
                self.numbers[group as usize].add(number, is_ranked);
                0
            }
        }
    }

    fn add_distinct(&mut self, group: u32, new: &NewHit<'_>) -> u32 {
        let hash = new.hashes.values;
        let is_it = |number: u32| {
            let value = self.values.get(number);
            value.group == group && value.values.as_bytes() == new.values
        };
        if let Some(number) = self.values_index.find(hash, is_it) {
            self.values.get_mut(number).hits += 1;
            return number;
        }
        let is_complete = texts_of(new.values).all(|value| value.is_some());
        self.groups.get_mut(group).distinct += u32::from(is_complete);
        let number = self.values.add(Value { values: new.values.into(), hash, group, hits: 1, is_complete });
        self.values_index.insert(hash, number);
        number
    }

    fn forget_before(&mut self, group: u32, from: i64, texts: &mut Texts) {
        loop {
            let of = self.groups.get(group);
            if of.len == 0 || of.first_time >= from {
                return;
            }
            self.forget_first(group, texts);
        }
    }

    fn forget_first(&mut self, group: u32, texts: &mut Texts) {
        let of = self.groups.get_mut(group);
        let number = of.first;
        let hit = *self.hits.get(number);
        self.hits.remove(number);
        of.len -= 1;
        of.first = hit.next;
        if of.len > 0 {
            of.first_time = self.hits.get(hit.next).at;
        }
        texts.release(hit.path);
        texts.release(hit.host);
        self.forget_value(group, hit);
    }

    fn forget_value(&mut self, group: u32, hit: GroupHit) {
        match self.kind {
            Kind::EventCount | Kind::TemporalOrdered => {}
            Kind::Temporal => {
                if let Some(hits) = slot_of(&mut self.slots, self.rules, group, hit.slot) {
                    *hits -= 1;
                }
            }
            Kind::ValueCount => {
                let value = self.values.get_mut(hit.value);
                value.hits -= 1;
                if value.hits == 0 {
                    value.values = Short::default();
                    self.values_index.remove(value.hash, hit.value);
                    self.groups.get_mut(group).distinct -= u32::from(value.is_complete);
                    self.values.remove(hit.value);
                }
            }
            Kind::ValueSum | Kind::ValueAvg | Kind::ValueMedian | Kind::ValuePercentile => {
                if hit.value != NONE {
                    self.numbers[group as usize].forget_first();
                }
            }
        }
    }

    /// Whether the condition holds in a group's window.
    pub(super) fn holds(&mut self, correlation: &Correlation, group: u32, now: i64, span: i64) -> bool {
        match self.kind {
            Kind::Temporal => self.holds_temporal(correlation, group),
            Kind::TemporalOrdered => self.holds_ordered(group, now, span),
            _ => self.measure(correlation, group).is_some_and(|value| {
                correlation.condition.comparisons.iter().all(|test| test.op.holds(value, test.number))
            }),
        }
    }

    /// The count, sum, … of the hits in the window; `None` where no hit has a number.
    fn measure(&self, correlation: &Correlation, group: u32) -> Option<f64> {
        let numbers = || self.numbers.get(group as usize);
        match self.kind {
            Kind::EventCount => Some(f64::from(self.groups.get(group).len)),
            Kind::ValueCount => Some(f64::from(self.groups.get(group).distinct)),
            Kind::ValueSum => numbers()?.sum(),
            Kind::ValueAvg => numbers()?.average(),
            Kind::ValueMedian | Kind::ValuePercentile => {
                numbers()?.percentile(correlation.condition.percentile.unwrap_or(50.0))
            }
            Kind::Temporal | Kind::TemporalOrdered => None,
        }
    }

    fn holds_temporal(&self, correlation: &Correlation, group: u32) -> bool {
        let slots = &self.slots[group as usize * self.rules..][..self.rules];
        if let Some(expression) = &correlation.condition.expression {
            return expression_holds(expression, slots);
        }
        let seen = slots.iter().filter(|hits| **hits > 0).count();
        if correlation.condition.comparisons.is_empty() {
            return seen == self.rules;
        }
        correlation.condition.comparisons.iter().all(|test| test.op.holds(seen as f64, test.number))
    }

    /// Advances the chains with the newest hit. A chain is named by its start; of several that
    /// reached a slot the latest serves best, since it has the most time left.
    fn holds_ordered(&mut self, group: u32, now: i64, span: i64) -> bool {
        let chains = &mut self.slots[group as usize * self.rules..][..self.rules];
        let slot = usize::from(self.hits.get(self.groups.get(group).last).slot);
        if slot >= chains.len() {
            return false;
        }
        let start = match slot.checked_sub(1) {
            None => now.max(NO_CHAIN + 1),
            Some(before) if now.saturating_sub(chains[before]) <= span => chains[before],
            Some(_) => NO_CHAIN,
        };
        chains[slot] = chains[slot].max(start);
        let complete = slot + 1 == chains.len() && start != NO_CHAIN;
        if complete {
            chains.fill(NO_CHAIN);
        }
        complete
    }

    /// What is found in a group whose condition holds.
    pub(super) fn finding(
        &self,
        number: usize,
        correlation: &Correlation,
        group: u32,
        texts: &Texts,
    ) -> Finding {
        let key =
            texts_of(self.keys[group as usize].0.as_bytes()).map(|text| text.unwrap_or_default().into());
        let mut matched: Vec<(String, String)> = correlation.group_by.iter().cloned().zip(key).collect();
        let of = self.groups.get(group);
        let measured = match self.measure(correlation, group) {
            Some(value) => format!("{value}"),
            None => format!("{} hits", of.len),
        };
        matched.push((correlation.kind.as_str().to_owned(), measured));
        let last = self.hits.get(of.last);
        let others = (of.len as usize).saturating_sub(1);
        Finding {
            rule: RuleRef::Correlation(u32::try_from(number).unwrap_or(u32::MAX)),
            time: Some(FindingTime { at: last.at, digits: last.digits, zone: last.zone }),
            source: last.source(texts),
            logsource: last.logsource,
            host: texts.get(last.host).as_ref().into(),
            matched,
            related: self.hits_of(of).take(others.min(RELATED_MAX)).map(|hit| hit.source(texts)).collect(),
        }
    }

    fn hits_of(&self, group: &Group) -> impl Iterator<Item = &GroupHit> {
        let mut next = group.first;
        (0..group.len).map(move |_| {
            let hit = self.hits.get(next);
            next = hit.next;
            hit
        })
    }
}

/// What is kept of a rule in a group.
fn slot_of(slots: &mut [i64], rules: usize, group: u32, slot: u16) -> Option<&mut i64> {
    slots.get_mut(group as usize * rules..)?.get_mut(..rules)?.get_mut(usize::from(slot))
}

impl GroupHit {
    fn source(&self, texts: &Texts) -> Locator {
        Locator { path: texts.get(self.path), record: self.record }
    }
}

/// The numbers of a window.
#[derive(Debug, Default)]
struct Numbers {
    window: VecDeque<f64>,
    /// The same ascending, where ranks are asked for.
    ranked: Vec<f64>,
    /// Sums of those that are whole and of their sizes.
    whole: i128,
    sizes: i128,
    /// How many are not whole, or too great to be added up exactly.
    others: u32,
}

/// Up to it every whole number is an `f64`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl Numbers {
    fn add(&mut self, number: f64, is_ranked: bool) {
        self.window.push_back(number);
        if is_ranked {
            let at = self.ranked.partition_point(|have| have.total_cmp(&number).is_lt());
            self.ranked.insert(at, number);
        }
        self.account(number, 1);
    }

    fn forget_first(&mut self) {
        let Some(number) = self.window.pop_front() else { return };
        if !self.ranked.is_empty() {
            let at = self.ranked.partition_point(|have| have.total_cmp(&number).is_lt());
            self.ranked.remove(at);
        }
        self.account(number, -1);
    }

    fn account(&mut self, number: f64, sign: i128) {
        let is_negative_zero = number == 0.0 && number.is_sign_negative();
        if number.abs() <= WHOLE_MAX && number.fract() == 0.0 && !is_negative_zero {
            self.whole += number as i128 * sign;
            self.sizes += number.abs() as i128 * sign;
        } else {
            self.others = self.others.wrapping_add_signed(sign as i32);
        }
    }

    /// As if they were added up one by one: if no sum on the way can have been rounded, the order
    /// does not matter, and the sum is at hand.
    fn sum(&self) -> Option<f64> {
        self.window.front()?;
        if self.others == 0 && self.sizes <= WHOLE_MAX as i128 {
            return Some(self.whole as f64);
        }
        Some(self.window.iter().sum())
    }

    fn average(&self) -> Option<f64> {
        Some(self.sum()? / self.window.len() as f64)
    }

    /// Nearest-rank percentile: the smallest value that at least `rank` per cent do not exceed.
    fn percentile(&self, rank: f64) -> Option<f64> {
        let len = self.ranked.len();
        let position = (rank / 100.0 * len as f64).ceil().max(1.0) as usize;
        self.ranked.get(position.min(len).checked_sub(1)?).copied()
    }
}

/// `slots`: per rule of the correlation, its hits in the window.
fn expression_holds(expression: &TemporalExpression, slots: &[i64]) -> bool {
    match expression {
        TemporalExpression::All(members) => members.iter().all(|member| expression_holds(member, slots)),
        TemporalExpression::Any(members) => members.iter().any(|member| expression_holds(member, slots)),
        TemporalExpression::Not(inner) => !expression_holds(inner, slots),
        TemporalExpression::Rule(slot) => slots.get(*slot).is_some_and(|hits| *hits > 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Sums are those of adding up one by one, to the last bit; ranks those of sorting.
        #[test]
        fn numbers_of_a_sliding_window(
            all in prop::collection::vec(
                prop_oneof![
                    (-9..9_i32).prop_map(f64::from),
                    prop::sample::select(vec![-0.0, 0.5, -0.1, 1e300, -1e300, WHOLE_MAX, -WHOLE_MAX, f64::INFINITY]),
                ],
                1..40,
            ),
            (window, is_ranked) in (1..10_usize, any::<bool>()),
        ) {
            let mut numbers = Numbers::default();
            for at in 0..all.len() {
                numbers.add(all[at], is_ranked);
                if at >= window {
                    numbers.forget_first();
                }
                let mut own = all[(at + 1).saturating_sub(window)..=at].to_vec();
                let sum: f64 = own.iter().sum();
                prop_assert_eq!(numbers.sum().map(f64::to_bits), Some(sum.to_bits()));
                if is_ranked {
                    own.sort_by(f64::total_cmp);
                    prop_assert_eq!(numbers.percentile(100.0), own.last().copied());
                    prop_assert_eq!(numbers.percentile(0.0), own.first().copied());
                }
            }
        }
    }
}
