//! Parts of a STIX pattern met in several events, brought together in the order of time.
//!
//! Parts are kept in a buffer for each comparison expression. A binding is searched for, by
//! `besa-stix`, whenever something has to leave a buffer and at the end; the observations of a
//! binding are then taken out and the search goes on, so every binding is made of events of its
//! own. Hence nothing that leaves a buffer could still have been part of a binding with what had
//! come before it.
//!
//! Where the whole pattern stands under WITHIN, parts older than its window leave the buffers and
//! nothing is lost. Otherwise a buffer holds [`PARTS_MAX`] parts; when it is full of parts that
//! have found no partner, the older half is dropped and counted.

use std::collections::VecDeque;

use besa_stix::pattern::{CompiledPattern, Hit, ObservationExpr, Qualifier};
use besa_stix::time::Instant;

/// Parts kept of one comparison expression.
pub const PARTS_MAX: usize = 1_024;
/// Elementary steps of one search.
const WORK: u64 = 2_000_000;

/// A comparison expression that an event satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHit {
    /// The comparison expression, from left to right.
    pub part: u16,
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// The caller's number of the event; the same event has the same number in all parts.
    pub id: u64,
}

/// Events that together satisfy a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternBinding {
    /// Which comparison expression was satisfied by which event, ascending.
    pub parts: Vec<(u16, u64)>,
    /// Time of the last of them, in nanoseconds since 1970.
    pub time: i64,
}

/// The state of one pattern over time.
#[derive(Clone, Debug)]
pub struct PatternState<'m> {
    pattern: &'m CompiledPattern,
    /// Length of the window that the whole pattern stands under, in nanoseconds.
    window: Option<i128>,
    parts: Vec<VecDeque<PartHit>>,
    /// Parts that left a full buffer; if not 0, a binding may be missing.
    dropped: u64,
    /// Searches that took too long; if not 0, a binding may be missing.
    unevaluated: u64,
}

impl<'m> PatternState<'m> {
    /// No parts yet.
    pub(crate) fn new(pattern: &'m CompiledPattern) -> Self {
        Self {
            window: window(&pattern.pattern().root),
            parts: vec![VecDeque::new(); pattern.leaves().len()],
            pattern,
            dropped: 0,
            unevaluated: 0,
        }
    }

    /// Takes the next part, in the order of time, and appends bindings that became certain.
    pub fn push(&mut self, hit: PartHit, out: &mut Vec<PatternBinding>) {
        let part = usize::from(hit.part);
        if part >= self.parts.len() {
            return;
        }
        self.leave_window(hit.time, out);
        if self.parts[part].len() >= PARTS_MAX {
            self.search(out);
            let left = self.parts[part].len();
            if left >= PARTS_MAX {
                self.parts[part].drain(..left / 2);
                self.dropped += (left / 2) as u64;
            }
        }
        self.parts[part].push_back(hit);
    }

    /// All parts have been pushed.
    pub fn finish(&mut self, out: &mut Vec<PatternBinding>) {
        self.search(out);
        self.parts.iter_mut().for_each(VecDeque::clear);
    }

    /// Parts dropped to keep memory bounded, and searches given up; if not 0, bindings may be
    /// missing.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped + self.unevaluated
    }

    /// Searches once the oldest part is two windows old, then lets go of what is older than one.
    fn leave_window(&mut self, now: i64, out: &mut Vec<PatternBinding>) {
        let Some(window) = self.window else { return };
        let age = |hit: &PartHit| i128::from(now) - i128::from(hit.time);
        let oldest = self.parts.iter().filter_map(|part| part.front()).map(age).max();
        if oldest.is_none_or(|oldest| oldest < window.saturating_mul(2)) {
            return;
        }
        self.search(out);
        for part in &mut self.parts {
            while part.front().is_some_and(|hit| age(hit) >= window) {
                part.pop_front();
            }
        }
    }

    fn search(&mut self, out: &mut Vec<PatternBinding>) {
        loop {
            let mut ids: Vec<u64> = self.parts.iter().flatten().map(|hit| hit.id).collect();
            ids.sort_unstable();
            ids.dedup();
            let hits: Vec<Vec<Hit>> = self
                .parts
                .iter()
                .map(|part| part.iter().filter_map(|hit| of_part(hit, &ids)).collect())
                .collect();
            let binding = match self.pattern.combine(&hits, WORK) {
                Ok(Some(binding)) => binding,
                Ok(None) => return,
                Err(_) => {
                    self.unevaluated += 1;
                    return;
                }
            };
            let used: Vec<u64> =
                binding.observations.iter().filter_map(|place| ids.get(*place).copied()).collect();
            let parts = binding
                .leaves
                .iter()
                .filter_map(|(leaf, place)| Some((u16::try_from(*leaf).ok()?, *ids.get(*place)?)));
            let parts = parts.collect();
            let is_used = |hit: &PartHit| used.binary_search(&hit.id).is_ok();
            let time = self.parts.iter().flatten().filter(|hit| is_used(hit)).map(|hit| hit.time).max();
            self.parts.iter_mut().for_each(|part| part.retain(|hit| !is_used(hit)));
            out.push(PatternBinding { parts, time: time.unwrap_or_default() });
            if used.is_empty() {
                return;
            }
        }
    }
}

fn of_part(hit: &PartHit, ids: &[u64]) -> Option<Hit> {
    let at = Instant::from_unix_nanos(i128::from(hit.time))?;
    Some(Hit { observation: ids.binary_search(&hit.id).ok()?, first: at, last: at, count: 1 })
}

fn window(expr: &ObservationExpr) -> Option<i128> {
    match expr {
        ObservationExpr::Qualified(_, Qualifier::Within { seconds }) => Some((seconds * 1e9).ceil() as i128),
        ObservationExpr::Qualified(inner, Qualifier::StartStop { .. }) => window(inner),
        _ => None,
    }
}
