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
//! State is bounded per correlation in groups and hits, and per group in hits; what is dropped is
//! counted and reported, never silent.
//!
//! What a hit costs is memory that is not at hand, so [`State`] keeps everything by number in a few
//! large pieces, and [`Correlator::expect`] asks for what the next hits will need all at once.

mod inputs;
mod slab;
mod state;
mod texts;

use std::hash::{BuildHasher, Hasher};

use besa_sigma::{Correlation, CorrelationOp, RuleSet, Target};
use besa_simd::tokens::prefetch;

pub(crate) use inputs::CorrelationInputs;
use state::{NewHit, State};
use texts::Texts;

use crate::finding::{Finding, Hit, HitPart};
use crate::joined::{Joined, texts};

/// The field that a `group-by` or condition name means for one rule of a correlation.
fn field_of_slot<'c>(correlation: &'c Correlation, slot: usize, name: &'c str) -> &'c str {
    let alias = correlation.aliases.iter().find(|alias| alias.name == name);
    let field = alias.and_then(|alias| alias.fields.iter().find(|field| field.rule == slot));
    field.map_or(name, |field| field.field.as_str())
}

/// Evaluates hits in order of time.
#[derive(Debug)]
pub(crate) struct Correlator<'r> {
    rules: &'r RuleSet,
    states: Vec<State>,
    /// Correlations that are judged when a window is over.
    judged_at_end: Vec<usize>,
    /// Per correlation: the correlations that its findings feed, with the slot there.
    parents: Vec<Vec<(usize, usize)>>,
    texts: Texts,
    seed: Seed,
    /// Groups and hits dropped to stay within bounds.
    pub(crate) dropped: u64,
}

type Seed = foldhash::quality::RandomState;

/// Where a hit belongs; depends on nothing but the hit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashes {
    group: u64,
    /// Of the group and the values.
    values: u64,
}

impl Hashes {
    fn of(seed: &Seed, group: &[u8], values: &[u8]) -> Self {
        let hash = |bytes: &[u8]| {
            let mut hasher = seed.build_hasher();
            hasher.write(bytes);
            hasher.finish()
        };
        let group = hash(group);
        let values = if values.is_empty() { 0 } else { hash(values) };
        let values = values ^ group.rotate_left(32);
        Self { group, values }
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
        let numbered = rules.correlations.iter().enumerate();
        let judged_at_end = numbered.filter(|(_, correlation)| judged_at_end(correlation));
        Self {
            rules,
            states: rules.correlations.iter().map(State::new).collect(),
            judged_at_end: judged_at_end.map(|(number, _)| number).collect(),
            parents,
            texts: Texts::default(),
            seed: Seed::default(),
            dropped: 0,
        }
    }

    /// Makes `hashes` those of the next hits (0 of hits of patterns), and asks for the memory that
    /// they will need: of all of them at once, so that the waits overlap.
    pub(crate) fn expect(&self, hits: &[Hit], hashes: &mut Vec<Hashes>) {
        hashes.clear();
        hits.iter().for_each(expect_texts);
        hashes.extend(hits.iter().map(|hit| self.hashes(hit)));
        let each = || hits.iter().zip(&*hashes).filter_map(|(hit, hashes)| Some((self.state(hit)?, hashes)));
        each().for_each(|(state, hashes)| state.expect_places(hashes));
        each().for_each(|(state, hashes)| state.expect_group(hashes));
        each().for_each(|(state, hashes)| state.expect_hits(hashes));
    }

    fn state(&self, hit: &Hit) -> Option<&State> {
        match &hit.part {
            HitPart::Correlation { correlation, .. } => self.states.get(*correlation as usize),
            HitPart::Pattern { .. } => None,
        }
    }

    /// Where a hit belongs.
    pub(crate) fn hashes(&self, hit: &Hit) -> Hashes {
        match &hit.part {
            HitPart::Correlation { group, values, .. } => {
                Hashes::of(&self.seed, group.as_bytes(), values.as_bytes())
            }
            HitPart::Pattern { .. } => Hashes::default(),
        }
    }

    /// Takes the next hit, with its [`hashes`](Self::hashes).
    pub(crate) fn push(&mut self, hit: &Hit, hashes: Hashes, out: &mut Vec<Finding>) {
        let HitPart::Correlation { correlation, slot, group, values } = &hit.part else { return };
        self.close_until(hit.time.at, out);
        let new = NewHit {
            time: hit.time,
            slot: *slot,
            logsource: hit.logsource,
            source: &hit.source,
            host: &hit.host,
            group: group.as_bytes(),
            values: values.as_bytes(),
            hashes,
        };
        self.take(*correlation as usize, new, out);
    }

    /// Judges the windows that are still open.
    pub(crate) fn finish(&mut self, out: &mut Vec<Finding>) {
        self.close_until(i64::MAX, out);
    }

    fn take(&mut self, number: usize, new: NewHit<'_>, out: &mut Vec<Finding>) {
        let (Some(correlation), Some(state)) =
            (self.rules.correlations.get(number), self.states.get_mut(number))
        else {
            return;
        };
        if let Some(group) = state.take(correlation, new, &mut self.texts, &mut self.dropped) {
            let finding = state.finding(number, correlation, group, &self.texts);
            self.raise(number, finding, new.group, out);
        }
    }

    /// Judges every window that ended before `now`.
    fn close_until(&mut self, now: i64, out: &mut Vec<Finding>) {
        for at in 0..self.judged_at_end.len() {
            let number = self.judged_at_end[at];
            let correlation = &self.rules.correlations[number];
            while let Some(group) = self.states[number].pop_closed(now) {
                let state = &mut self.states[number];
                let finding = state
                    .holds(correlation, group, now, i64::MAX)
                    .then(|| state.finding(number, correlation, group, &self.texts));
                let key = state.remove(group, &mut self.texts);
                if let Some(finding) = finding {
                    self.raise(number, finding, key.as_bytes(), out);
                }
            }
        }
    }

    /// A correlation holds: feeds those above it, and is reported if it is to be.
    fn raise(&mut self, number: usize, finding: Finding, group: &[u8], out: &mut Vec<Finding>) {
        for at in 0..self.parents[number].len() {
            let (parent, slot) = self.parents[number][at];
            self.feed(number, (parent, slot), &finding, group, out);
        }
        if self.rules.correlations[number].generates {
            out.push(finding);
        }
    }

    /// Gives what a correlation found in a group to one above it.
    fn feed(
        &mut self,
        number: usize,
        (parent, slot): (usize, usize),
        finding: &Finding,
        group: &[u8],
        out: &mut Vec<Finding>,
    ) {
        let (child, above) = (&self.rules.correlations[number], &self.rules.correlations[parent]);
        let value = |name: &String| {
            let field = field_of_slot(above, slot, name);
            let at = child.group_by.iter().position(|have| have.eq_ignore_ascii_case(field))?;
            texts(group).nth(at).flatten()
        };
        let is_grouped = above.group_by.iter().all(|name| value(name).is_some());
        let (true, Some(time)) = (is_grouped, finding.time) else {
            self.dropped += 1;
            return;
        };
        let group: Joined = above.group_by.iter().map(value).collect();
        let values: Joined = above.condition.fields.iter().map(value).collect();
        let new = NewHit {
            time,
            slot: u16::try_from(slot).unwrap_or(u16::MAX),
            logsource: finding.logsource,
            source: &finding.source,
            host: &finding.host,
            group: group.as_bytes(),
            values: values.as_bytes(),
            hashes: Hashes::of(&self.seed, group.as_bytes(), values.as_bytes()),
        };
        self.take(parent, new, out);
    }
}

fn expect_texts(hit: &Hit) {
    prefetch(hit.host.as_bytes(), 0);
    if let HitPart::Correlation { group, values, .. } = &hit.part {
        prefetch(group.as_bytes(), 0);
        prefetch(values.as_bytes(), 0);
    }
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
