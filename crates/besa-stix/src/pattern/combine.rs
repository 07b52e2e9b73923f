//! From "which observations satisfy which `[ … ]`" to a binding of the whole pattern (9.5).
//!
//! # What has to be found
//! Each comparison expression takes as many observations as it is asked for, all different;
//! an observed-data object with `number_observed` = n can serve n times. An observation may last
//! from `first` to `last`, and the standard does not say when in between it happened (9.1). A set of
//! observations is judged by two numbers, M = the latest `first` and m = the earliest `last`:
//!
//! | operator | condition |
//! |---|---|
//! | a FOLLOWEDBY b | M(a) ≤ m(b) |
//! | a WITHIN w | M(a) < m(a) + w |
//! | a START s STOP e | M(a) < e and m(a) ≥ s |
//!
//! For single points in time that is the text of 9.5.1 and 9.5.2; for longer ones it says "the times
//! can be chosen so", judged for each operator by itself.
//!
//! # How it is found
//! All conditions are about thresholds. Once a threshold T is chosen for each FOLLOWEDBY
//! (M(a) ≤ T ≤ m(b)) and an earliest time for each WITHIN, every slot (a comparison expression with a
//! demand) has a plain window of allowed observations, and what is left is to give different
//! observations to the slots: a flow problem, solved exactly. So the search goes over thresholds
//! only, outermost operator first:
//!
//! - windows that hold too few observations are seen by binary search, without listing them;
//! - a failure names the slots it depends on. Raising T gives `a` more and `b` less room, so when the
//!   failure does not depend on the upper end of `a`, all later T are skipped;
//! - copies made by REPEATS are alike, so their thresholds are taken in ascending order;
//! - an OR of plain comparison expressions is one slot, any other OR is tried from left to right.
//!
//! The result is exact; the number of steps is bounded by the caller, and beyond it the answer is
//! the error "too expensive", never "no match".

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use super::ast::*;
use super::evaluate::EvaluateError;
use crate::time::Instant;

/// An observation that satisfied a comparison expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The caller's number of the observation; the same observation has the same number in all lists.
    pub observation: usize,
    /// When it was first observed.
    pub first: Instant,
    /// When it was last observed; the same as `first` for an event.
    pub last: Instant,
    /// How often: the number of observations it stands for, at least 1.
    pub count: u64,
}

/// Observations that together satisfy a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// All observations used, each once, ascending.
    pub observations: Vec<usize>,
    /// Which comparison expression (leaf number) was satisfied by which observation, each pair once.
    pub leaves: Vec<(usize, usize)>,
}

/// Most slots (comparison expressions times composite REPEATS) in one alternative.
const MAX_SLOTS: usize = 4096;
/// Most constraints (FOLLOWEDBY and WITHIN, copies counted) in one alternative: the search nests as deep.
const MAX_CONSTRAINTS: usize = 512;
/// Most alternatives by OR.
const MAX_ALTERNATIVES: usize = 4096;

/// Finds a binding of the pattern among the hits: `hits[leaf]` for each of
/// [`Pattern::comparison_exprs`]. `limit` bounds the elementary steps of the search.
pub fn combine(pattern: &Pattern, hits: &[Vec<Hit>], limit: u64) -> Result<Option<Binding>, EvaluateError> {
    let mut work = Work { left: limit, limit };
    let mut planner = Planner { hits, next_leaf: 0, work: &mut work };
    let plans = planner.plans(&pattern.root, Window::ALL)?;
    if plans.iter().any(|plan| plan.constraints.len() > MAX_CONSTRAINTS) {
        return Err(EvaluateError::TooExpensive { limit });
    }
    for plan in plans {
        let mut search = Search::new(plan, &mut work);
        if let Outcome::Found(binding) = search.constraint(0)? {
            return Ok(Some(binding));
        }
    }
    Ok(None)
}

struct Work {
    left: u64,
    limit: u64,
}

impl Work {
    fn spend(&mut self, steps: usize) -> Result<(), EvaluateError> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX).max(1);
        self.left = self.left.checked_sub(steps).ok_or(EvaluateError::TooExpensive { limit: self.limit })?;
        Ok(())
    }
}

/// Allowed observations: `last >= lo` and `first <= hi`, nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Window {
    lo: i128,
    hi: i128,
}

impl Window {
    const ALL: Self = Self { lo: i128::MIN, hi: i128::MAX };

    fn narrow(self, lo: i128, hi: i128) -> Self {
        Self { lo: self.lo.max(lo), hi: self.hi.min(hi) }
    }

    fn allows(self, candidate: &Candidate) -> bool {
        candidate.last >= self.lo && candidate.first <= self.hi
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    observation: usize,
    leaf: usize,
    first: i128,
    last: i128,
    capacity: u64,
}

/// The observations that satisfy one slot, ordered both ways, with running sums of capacity.
struct Candidates {
    by_first: Vec<Candidate>,
    /// `capacity_by_first[i]`: of all before place i.
    capacity_by_first: Vec<u64>,
    lasts: Vec<i128>,
    capacity_by_last: Vec<u64>,
    longest: i128,
}

impl Candidates {
    fn new(mut by_first: Vec<Candidate>) -> Self {
        by_first.sort_by_key(|candidate| (candidate.first, candidate.last, candidate.observation));
        by_first.dedup_by_key(|candidate| candidate.observation);
        let mut by_last: Vec<(i128, u64)> = by_first.iter().map(|c| (c.last, c.capacity)).collect();
        by_last.sort_unstable();
        let longest = by_first.iter().map(|c| c.last.saturating_sub(c.first)).max().unwrap_or(0).max(0);
        Self {
            capacity_by_first: running_sums(by_first.iter().map(|c| c.capacity)),
            capacity_by_last: running_sums(by_last.iter().map(|(_, capacity)| *capacity)),
            lasts: by_last.into_iter().map(|(last, _)| last).collect(),
            by_first,
            longest,
        }
    }

    /// Places in `by_first` that can lie in the window; `last` still has to be looked at.
    fn range(&self, window: Window) -> Range<usize> {
        let earliest = window.lo.saturating_sub(self.longest);
        let start = self.by_first.partition_point(|c| c.first < earliest);
        let end = self.by_first.partition_point(|c| c.first <= window.hi);
        start..end.max(start)
    }

    fn within(&self, window: Window) -> impl Iterator<Item = &Candidate> {
        let range = self.range(window);
        self.by_first.get(range).unwrap_or_default().iter().filter(move |candidate| window.allows(candidate))
    }

    /// Capacity in the window. Where lo <= hi, whatever ended before lo also began before hi, so two
    /// sums suffice; else only long observations reach over the gap and are looked at one by one.
    fn capacity(&self, window: Window) -> u64 {
        if window.lo > window.hi {
            return self.within(window).fold(0, |sum, candidate| sum.saturating_add(candidate.capacity));
        }
        let begun = self.by_first.partition_point(|c| c.first <= window.hi);
        let ended = self.lasts.partition_point(|last| *last < window.lo);
        let begun = self.capacity_by_first.get(begun).copied().unwrap_or(0);
        let ended = self.capacity_by_last.get(ended).copied().unwrap_or(0);
        begun.saturating_sub(ended)
    }

    /// The earliest upper end at which the window holds the demand, if any up to `window.hi` does.
    fn earliest_hi(&self, window: Window, demand: u64) -> Option<i128> {
        let range = self.range(window);
        let upper = |place: usize| self.by_first.get(place).map(|candidate| candidate.first);
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            let enough = self.capacity(Window { lo: window.lo, hi: upper(middle)? }) >= demand;
            if enough { high = middle } else { low = middle + 1 }
        }
        upper(low).filter(|_| low < range.end)
    }

    /// The next `first` after `threshold` in the window.
    fn next_first(&self, window: Window, threshold: i128) -> Option<i128> {
        let after = self.by_first.partition_point(|c| c.first <= threshold);
        let end = self.range(window).end;
        let later = self.by_first.get(after..end.max(after))?;
        later.iter().find(|candidate| candidate.last >= window.lo).map(|candidate| candidate.first)
    }

    /// The first `last` at or after `from`.
    fn next_last(&self, from: i128) -> Option<i128> {
        self.lasts.get(self.lasts.partition_point(|last| *last < from)).copied()
    }
}

fn running_sums(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sums = vec![0u64];
    let mut sum = 0u64;
    for value in values {
        sum = sum.saturating_add(value);
        sums.push(sum);
    }
    sums
}

#[derive(Clone)]
struct Slot {
    candidates: Rc<Candidates>,
    demand: u64,
    window: Window,
}

#[derive(Clone)]
struct Constraint {
    kind: ConstraintKind,
    /// The same constraint of the copy before, whose threshold is not later.
    previous: Option<usize>,
}

/// Slots are given by their places in the plan.
#[derive(Clone)]
enum ConstraintKind {
    Within { slots: Vec<usize>, length: i128 },
    Before { first: Vec<usize>, then: Vec<usize> },
}

/// One way through the ORs: slots and what binds them, outermost constraint first.
#[derive(Clone, Default)]
struct Plan {
    slots: Vec<Slot>,
    constraints: Vec<Constraint>,
}

impl Plan {
    /// Takes over another plan's slots and constraints; returns the places its slots got.
    fn append(&mut self, other: &Self) -> Range<usize> {
        let (slots, constraints) = (self.slots.len(), self.constraints.len());
        self.slots.extend(other.slots.iter().cloned());
        let moved = |places: &Vec<usize>| places.iter().map(|place| place + slots).collect();
        self.constraints.extend(other.constraints.iter().map(|constraint| Constraint {
            kind: match &constraint.kind {
                ConstraintKind::Within { slots, length } => {
                    ConstraintKind::Within { slots: moved(slots), length: *length }
                }
                ConstraintKind::Before { first, then } => {
                    ConstraintKind::Before { first: moved(first), then: moved(then) }
                }
            },
            previous: constraint.previous.map(|previous| previous + constraints),
        }));
        slots..self.slots.len()
    }

    /// Puts constraints before the plan's own.
    fn prepend(&mut self, mut outer: Vec<Constraint>) {
        let shift = outer.len();
        for constraint in &mut self.constraints {
            constraint.previous = constraint.previous.map(|previous| previous + shift);
        }
        outer.append(&mut self.constraints);
        self.constraints = outer;
    }

    fn is_possible(&self) -> bool {
        self.slots.iter().all(|slot| slot.candidates.capacity(slot.window) >= slot.demand)
    }
}

/// Turns the tree into plans. Leaves are numbered by walking in the order of `comparison_exprs`.
struct Planner<'a> {
    hits: &'a [Vec<Hit>],
    next_leaf: usize,
    work: &'a mut Work,
}

impl Planner<'_> {
    fn plans(&mut self, expr: &ObservationExpr, window: Window) -> Result<Vec<Plan>, EvaluateError> {
        if is_single(expr) {
            return self.single(expr, window);
        }
        match expr {
            ObservationExpr::Comparison(_) => self.single(expr, window),
            ObservationExpr::Or(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.append(&mut self.plans(part, window)?);
                    self.bounded(all.len(), MAX_ALTERNATIVES)?;
                }
                Ok(all)
            }
            ObservationExpr::And(parts) => self.product(parts, window, false),
            ObservationExpr::FollowedBy(parts) => self.product(parts, window, true),
            ObservationExpr::Qualified(inner, Qualifier::StartStop { start, stop }) => {
                self.plans(inner, window.narrow(start.unix_nanos(), stop.unix_nanos() - 1))
            }
            ObservationExpr::Qualified(inner, Qualifier::Within { seconds }) => {
                let mut plans = self.plans(inner, window)?;
                for plan in &mut plans {
                    let slots = (0..plan.slots.len()).collect();
                    let kind = ConstraintKind::Within { slots, length: nanoseconds(*seconds) };
                    plan.prepend(vec![Constraint { kind, previous: None }]);
                }
                Ok(plans)
            }
            ObservationExpr::Qualified(inner, Qualifier::Repeats { times }) => {
                let plans = self.plans(inner, window)?;
                self.repeat(&plans, *times)
            }
        }
    }

    /// One slot for an expression that one observation satisfies.
    fn single(&mut self, expr: &ObservationExpr, window: Window) -> Result<Vec<Plan>, EvaluateError> {
        let mut candidates = Vec::new();
        self.candidates(expr, window, &mut candidates)?;
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let slot = Slot { candidates: Rc::new(Candidates::new(candidates)), demand: 1, window };
        Ok(vec![Plan { slots: vec![slot], constraints: Vec::new() }])
    }

    fn candidates(
        &mut self,
        expr: &ObservationExpr,
        window: Window,
        all: &mut Vec<Candidate>,
    ) -> Result<(), EvaluateError> {
        match expr {
            ObservationExpr::Comparison(_) => {
                let leaf = self.next_leaf;
                self.next_leaf += 1;
                let hits = self.hits.get(leaf).map(Vec::as_slice).unwrap_or_default();
                self.work.spend(hits.len())?;
                let candidates = hits.iter().map(|hit| Candidate {
                    observation: hit.observation,
                    leaf,
                    first: hit.first.unix_nanos(),
                    last: hit.last.unix_nanos(),
                    capacity: hit.count,
                });
                all.extend(candidates.filter(|candidate| candidate.capacity > 0 && window.allows(candidate)));
                Ok(())
            }
            ObservationExpr::Qualified(inner, Qualifier::StartStop { start, stop }) => {
                self.candidates(inner, window.narrow(start.unix_nanos(), stop.unix_nanos() - 1), all)
            }
            ObservationExpr::Qualified(inner, _) => self.candidates(inner, window, all),
            ObservationExpr::Or(parts) | ObservationExpr::And(parts) | ObservationExpr::FollowedBy(parts) => {
                parts.iter().try_for_each(|part| self.candidates(part, window, all))
            }
        }
    }

    /// AND and FOLLOWEDBY: every choice of one plan for each part.
    fn product(
        &mut self,
        parts: &[ObservationExpr],
        window: Window,
        in_order: bool,
    ) -> Result<Vec<Plan>, EvaluateError> {
        let mut wholes = vec![(Plan::default(), Vec::new())];
        for part in parts {
            let choices = self.plans(part, window)?;
            self.bounded(wholes.len().saturating_mul(choices.len()), MAX_ALTERNATIVES)?;
            let mut next = Vec::new();
            for (whole, places) in &wholes {
                for choice in &choices {
                    let (mut whole, mut places): (Plan, Vec<Range<usize>>) = (whole.clone(), places.clone());
                    self.bounded(whole.slots.len() + choice.slots.len(), MAX_SLOTS)?;
                    self.bounded(whole.constraints.len() + choice.constraints.len(), MAX_CONSTRAINTS)?;
                    places.push(whole.append(choice));
                    next.push((whole, places));
                }
            }
            wholes = next;
        }
        Ok(wholes
            .into_iter()
            .map(|(mut plan, places)| {
                if in_order {
                    plan.prepend(chain(&places));
                }
                plan
            })
            .collect())
    }

    /// REPEATS: n times any of the plans. Without constraints that is n times the demand.
    fn repeat(&mut self, plans: &[Plan], times: u64) -> Result<Vec<Plan>, EvaluateError> {
        if times == 1 {
            return Ok(plans.to_vec());
        }
        if let [plan] = plans
            && plan.constraints.is_empty()
        {
            let mut plan = plan.clone();
            for slot in &mut plan.slots {
                slot.demand = slot.demand.saturating_mul(times);
            }
            return Ok(if plan.is_possible() { vec![plan] } else { Vec::new() });
        }
        if let [plan] = plans
            && !(Plan {
                slots: plan
                    .slots
                    .iter()
                    .map(|slot| Slot { demand: slot.demand.saturating_mul(times), ..slot.clone() })
                    .collect(),
                constraints: Vec::new(),
            })
            .is_possible()
        {
            return Ok(Vec::new());
        }
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        self.bounded(times, MAX_SLOTS)?;
        // Copies are alike, so a choice is how many copies each plan gets: ascending plan numbers.
        let mut wholes: Vec<(Plan, usize, Option<usize>)> = vec![(Plan::default(), 0, None)];
        for _ in 0..times {
            let mut next = Vec::new();
            for (whole, lowest, start) in &wholes {
                for (number, plan) in plans.iter().enumerate().skip(*lowest) {
                    self.bounded(whole.slots.len() + plan.slots.len(), MAX_SLOTS)?;
                    self.bounded(whole.constraints.len() + plan.constraints.len(), MAX_CONSTRAINTS)?;
                    self.bounded(next.len(), MAX_ALTERNATIVES)?;
                    self.work.spend(whole.slots.len() + whole.constraints.len())?;
                    let mut whole = whole.clone();
                    let own = whole.constraints.len();
                    whole.append(plan);
                    if let (true, Some(start), Some(constraint)) =
                        (number == *lowest, start, whole.constraints.get_mut(own))
                    {
                        constraint.previous = Some(*start);
                    }
                    let own = (own < whole.constraints.len()).then_some(own);
                    next.push((whole, number, own));
                }
            }
            wholes = next;
        }
        Ok(wholes.into_iter().map(|(plan, _, _)| plan).collect())
    }

    fn bounded(&mut self, count: usize, most: usize) -> Result<(), EvaluateError> {
        self.work.spend(1)?;
        if count > most { Err(EvaluateError::TooExpensive { limit: self.work.limit }) } else { Ok(()) }
    }
}

/// Whether one observation satisfies the expression: a leaf, or an OR of such. WITHIN over one
/// observation holds always ("if there is a set of two or more", section 9.5.1).
fn is_single(expr: &ObservationExpr) -> bool {
    match expr {
        ObservationExpr::Comparison(_) => true,
        ObservationExpr::Or(parts) => parts.iter().all(is_single),
        ObservationExpr::And(_) | ObservationExpr::FollowedBy(_) => false,
        ObservationExpr::Qualified(inner, Qualifier::Repeats { times }) => *times == 1 && is_single(inner),
        ObservationExpr::Qualified(inner, _) => is_single(inner),
    }
}

/// Each part after all parts before it.
fn chain(places: &[Range<usize>]) -> Vec<Constraint> {
    let pairs = places.iter().zip(places.iter().skip(1));
    pairs
        .map(|(before, then)| Constraint {
            kind: ConstraintKind::Before { first: (0..before.end).collect(), then: then.clone().collect() },
            previous: None,
        })
        .collect()
}

/// At least one, so that observations at one instant are within any window.
fn nanoseconds(seconds: f64) -> i128 {
    ((seconds * 1e9).round() as i128).clamp(1, i128::from(i64::MAX) * 1_000_000_000)
}

enum Outcome {
    Found(Binding),
    Failed(Culprits),
}

/// The slots on whose window ends a failure depends: with any other slot's window changed at that
/// end, it would fail the same way.
#[derive(Default)]
struct Culprits {
    lo: BTreeSet<usize>,
    hi: BTreeSet<usize>,
}

impl Culprits {
    fn both(slots: impl IntoIterator<Item = usize>) -> Self {
        let lo: BTreeSet<usize> = slots.into_iter().collect();
        Self { hi: lo.clone(), lo }
    }

    fn add(&mut self, mut other: Self) {
        self.lo.append(&mut other.lo);
        self.hi.append(&mut other.hi);
    }
}

struct Search<'a> {
    slots: Vec<Slot>,
    constraints: Rc<[Constraint]>,
    /// The threshold chosen for each constraint so far.
    thresholds: Vec<i128>,
    demand: u64,
    work: &'a mut Work,
}

impl<'a> Search<'a> {
    fn new(plan: Plan, work: &'a mut Work) -> Self {
        Self {
            thresholds: vec![i128::MIN; plan.constraints.len()],
            demand: plan.slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.demand)),
            slots: plan.slots,
            constraints: plan.constraints.into(),
            work,
        }
    }

    /// Chooses thresholds from the given constraint on. The depth is the number of constraints,
    /// at most [`MAX_CONSTRAINTS`].
    fn constraint(&mut self, number: usize) -> Result<Outcome, EvaluateError> {
        self.work.spend(self.slots.len())?;
        let poor = self.slots.iter().position(|slot| slot.candidates.capacity(slot.window) < slot.demand);
        if let Some(poor) = poor {
            return Ok(Outcome::Failed(Culprits::both([poor])));
        }
        let flow = match self.assign()? {
            Ok(flow) => flow,
            Err(slots) => return Ok(Outcome::Failed(Culprits::both(slots))),
        };
        let constraints = Rc::clone(&self.constraints);
        match constraints.get(number) {
            None => Ok(Outcome::Found(flow.binding())),
            Some(Constraint { kind: ConstraintKind::Within { slots, length }, previous }) => {
                self.within(number, slots, *length, *previous)
            }
            Some(Constraint { kind: ConstraintKind::Before { first, then }, previous }) => {
                self.before(number, first, then, *previous)
            }
        }
    }

    /// Tries every earliest time of the window.
    fn within(
        &mut self,
        number: usize,
        slots: &[usize],
        length: i128,
        previous: Option<usize>,
    ) -> Result<Outcome, EvaluateError> {
        let windows = self.windows(slots);
        let earliest = windows.iter().map(|window| window.lo).min().unwrap_or(i128::MIN);
        let mut from = earliest.max(self.threshold(previous));
        let mut culprits = self.enumerated(slots, previous);
        while let Some(lo) = self.smallest(slots, |slot| slot.candidates.next_last(from)) {
            self.work.spend(slots.len())?;
            self.set_threshold(number, lo);
            self.narrow(slots, lo, lo.saturating_add(length - 1));
            let outcome = self.constraint(number + 1)?;
            self.restore(slots, &windows);
            match outcome {
                Outcome::Found(_) => return Ok(outcome),
                Outcome::Failed(failed) => {
                    let concerned =
                        slots.iter().any(|slot| failed.lo.contains(slot) || failed.hi.contains(slot));
                    if !concerned {
                        return Ok(Outcome::Failed(failed));
                    }
                    culprits.add(failed);
                }
            }
            from = lo.saturating_add(1);
        }
        Ok(Outcome::Failed(culprits))
    }

    /// Tries every latest start of `first`, from the earliest that gives all its slots enough.
    fn before(
        &mut self,
        number: usize,
        first: &[usize],
        then: &[usize],
        previous: Option<usize>,
    ) -> Result<Outcome, EvaluateError> {
        let windows = (self.windows(first), self.windows(then));
        let mut threshold = self.threshold(previous);
        for slot in first.iter().filter_map(|place| self.slots.get(*place)) {
            match slot.candidates.earliest_hi(slot.window, slot.demand) {
                Some(hi) => threshold = threshold.max(hi),
                None => return Ok(Outcome::Failed(Culprits::both(first.iter().copied()))),
            }
        }
        let mut culprits = self.enumerated(&[], previous);
        culprits.lo.extend(first);
        loop {
            self.work.spend(first.len() + then.len())?;
            self.set_threshold(number, threshold);
            self.narrow(first, i128::MIN, threshold);
            self.narrow(then, threshold, i128::MAX);
            let outcome = self.constraint(number + 1)?;
            self.restore(then, &windows.1);
            self.restore(first, &windows.0);
            match outcome {
                Outcome::Found(_) => return Ok(outcome),
                Outcome::Failed(failed) => {
                    let more_room_helps = first.iter().any(|slot| failed.hi.contains(slot));
                    culprits.add(failed);
                    if !more_room_helps {
                        return Ok(Outcome::Failed(culprits));
                    }
                }
            }
            let Some(next) = self.smallest(first, |slot| slot.candidates.next_first(slot.window, threshold))
            else {
                culprits.hi.extend(first);
                return Ok(Outcome::Failed(culprits));
            };
            threshold = next;
        }
    }

    /// What a failure depends on because of where the enumeration starts.
    fn enumerated(&self, slots: &[usize], previous: Option<usize>) -> Culprits {
        let mut culprits = Culprits::both(slots.iter().copied());
        let copy = previous.and_then(|previous| self.constraints.get(previous));
        match copy.map(|constraint| &constraint.kind) {
            Some(ConstraintKind::Within { slots, .. }) => culprits.add(Culprits::both(slots.iter().copied())),
            Some(ConstraintKind::Before { first, then }) => {
                culprits.add(Culprits::both(first.iter().chain(then).copied()));
            }
            None => {}
        }
        culprits
    }

    fn threshold(&self, constraint: Option<usize>) -> i128 {
        constraint.and_then(|constraint| self.thresholds.get(constraint)).copied().unwrap_or(i128::MIN)
    }

    fn set_threshold(&mut self, constraint: usize, threshold: i128) {
        if let Some(place) = self.thresholds.get_mut(constraint) {
            *place = threshold;
        }
    }

    fn smallest(&self, slots: &[usize], next: impl Fn(&Slot) -> Option<i128>) -> Option<i128> {
        slots.iter().filter_map(|place| self.slots.get(*place)).filter_map(next).min()
    }

    fn windows(&self, slots: &[usize]) -> Vec<Window> {
        slots.iter().filter_map(|place| self.slots.get(*place)).map(|slot| slot.window).collect()
    }

    fn narrow(&mut self, slots: &[usize], lo: i128, hi: i128) {
        for place in slots {
            if let Some(slot) = self.slots.get_mut(*place) {
                slot.window = slot.window.narrow(lo, hi);
            }
        }
    }

    fn restore(&mut self, slots: &[usize], windows: &[Window]) {
        for (place, window) in slots.iter().zip(windows) {
            if let Some(slot) = self.slots.get_mut(*place) {
                slot.window = *window;
            }
        }
    }

    /// Gives different observations to the slots, or names slots that together have too few.
    ///
    /// A slot needs no more candidates than the whole demand: with that many it can always be served.
    fn assign(&mut self) -> Result<Result<Flow, BTreeSet<usize>>, EvaluateError> {
        let mut flow = Flow::default();
        for slot in &self.slots {
            let mut listed = Vec::new();
            let mut capacity = 0u64;
            for candidate in slot.candidates.within(slot.window) {
                listed.push(*candidate);
                capacity = capacity.saturating_add(candidate.capacity);
                if capacity >= self.demand {
                    break;
                }
            }
            self.work.spend(listed.len())?;
            flow.add_slot(listed, slot.demand);
        }
        for slot in 0..self.slots.len() {
            if let Some(starved) = flow.serve(slot, self.work)? {
                return Ok(Err(starved));
            }
        }
        Ok(Ok(flow))
    }
}

/// Demand of slots against capacity of observations, served slot by slot along augmenting paths.
#[derive(Default)]
struct Flow {
    candidates: Vec<Vec<Candidate>>,
    demand: Vec<u64>,
    /// observation → capacity left.
    left: HashMap<usize, u64>,
    /// observation → slot → units given. Ordered, so that the same input gives the same binding.
    given: HashMap<usize, BTreeMap<usize, u64>>,
}

impl Flow {
    fn add_slot(&mut self, candidates: Vec<Candidate>, demand: u64) {
        for candidate in &candidates {
            self.left.entry(candidate.observation).or_insert(candidate.capacity);
        }
        self.candidates.push(candidates);
        self.demand.push(demand);
    }

    /// `None` when the slot got its demand, else the slots that share too few observations.
    fn serve(&mut self, slot: usize, work: &mut Work) -> Result<Option<BTreeSet<usize>>, EvaluateError> {
        let mut needed = self.demand.get(slot).copied().unwrap_or(0);
        for candidate in self.candidates.get(slot).cloned().unwrap_or_default() {
            if needed == 0 {
                return Ok(None);
            }
            let left = self.left.entry(candidate.observation).or_default();
            let units = needed.min(*left);
            *left -= units;
            needed -= units;
            self.give(candidate.observation, slot, units);
        }
        while needed > 0 {
            match self.augment(slot, needed, work)? {
                Ok(units) => needed -= units,
                Err(starved) => return Ok(Some(starved)),
            }
        }
        Ok(None)
    }

    /// One shortest augmenting path from the slot to an observation with capacity left.
    fn augment(
        &mut self,
        from: usize,
        needed: u64,
        work: &mut Work,
    ) -> Result<Result<u64, BTreeSet<usize>>, EvaluateError> {
        let mut reached_by: HashMap<usize, usize> = HashMap::new(); // observation → slot that wants it
        let mut freed_by: BTreeMap<usize, Option<usize>> = BTreeMap::from([(from, None)]); // slot → observation it gives up
        let mut queue = VecDeque::from([from]);
        while let Some(slot) = queue.pop_front() {
            let candidates = self.candidates.get(slot).map(Vec::as_slice).unwrap_or_default();
            work.spend(candidates.len())?;
            for candidate in candidates {
                let observation = candidate.observation;
                if reached_by.contains_key(&observation) {
                    continue;
                }
                reached_by.insert(observation, slot);
                if self.left.get(&observation).is_some_and(|left| *left > 0) {
                    return Ok(Ok(self.shift(observation, needed, &reached_by, &freed_by)));
                }
                let holders = self.given.get(&observation).into_iter().flatten();
                for (holder, _) in holders.filter(|(_, units)| **units > 0) {
                    if !freed_by.contains_key(holder) {
                        freed_by.insert(*holder, Some(observation));
                        queue.push_back(*holder);
                    }
                }
            }
        }
        Ok(Err(freed_by.into_keys().collect()))
    }

    /// Moves as many units as possible along the path that ends at `last`.
    fn shift(
        &mut self,
        last: usize,
        needed: u64,
        reached_by: &HashMap<usize, usize>,
        freed_by: &BTreeMap<usize, Option<usize>>,
    ) -> u64 {
        let mut path = Vec::new(); // (observation, slot that takes it, observation the slot gives up)
        let mut units = needed.min(self.left.get(&last).copied().unwrap_or(0));
        let mut observation = last;
        while let Some(slot) = reached_by.get(&observation) {
            let given_up = freed_by.get(slot).copied().flatten();
            path.push((observation, *slot, given_up));
            let Some(given_up) = given_up else { break };
            let held = self.given.get(&given_up).and_then(|slots| slots.get(slot)).copied();
            units = units.min(held.unwrap_or(0));
            observation = given_up;
        }
        if let Some(left) = self.left.get_mut(&last) {
            *left -= units;
        }
        for (observation, slot, given_up) in path {
            self.give(observation, slot, units);
            let held = given_up.and_then(|given_up| self.given.get_mut(&given_up)?.get_mut(&slot));
            if let Some(held) = held {
                *held -= units;
            }
        }
        units
    }

    fn give(&mut self, observation: usize, slot: usize, units: u64) {
        if units > 0 {
            *self.given.entry(observation).or_default().entry(slot).or_default() += units;
        }
    }

    fn binding(&self) -> Binding {
        let mut leaves = BTreeSet::new();
        for (slot, candidates) in self.candidates.iter().enumerate() {
            let used = candidates.iter().filter(|candidate| {
                let units = self.given.get(&candidate.observation).and_then(|slots| slots.get(&slot));
                units.is_some_and(|units| *units > 0)
            });
            leaves.extend(used.map(|candidate| (candidate.leaf, candidate.observation)));
        }
        let observations: BTreeSet<usize> = leaves.iter().map(|(_, observation)| *observation).collect();
        Binding { observations: observations.into_iter().collect(), leaves: leaves.into_iter().collect() }
    }
}
