//! Findings that rest on several records: correlations and patterns over several observations.

use std::collections::{BTreeMap, HashMap};

use crate::correlate::{Correlator, Hashes};
use crate::detector::Detector;
use crate::finding::{Finding, Hit, HitPart, Locator, RELATED_MAX, RuleRef};
use crate::intel::{PartHit, PatternBinding, PatternState};

/// Hits of one pattern that are remembered by their number. More than the pattern's own state
/// can hold, so that what it binds is still known.
const PATTERN_HITS_MAX: usize = 1 << 16;

/// Hits whose memory is asked for at once: enough that waits overlap, few enough to stay in the
/// nearest cache.
const EXPECTED: usize = 32;

/// Evaluates hits over time, once all of them are known in order.
#[derive(Debug)]
pub struct Deferred<'d> {
    detector: &'d Detector,
    correlator: Correlator<'d>,
    patterns: HashMap<u32, PatternOverTime<'d>>,
    bindings: Vec<PatternBinding>,
    /// Of the hits at hand; a buffer.
    hashes: Vec<Hashes>,
    /// Bindings of hits that were no longer remembered.
    forgotten: u64,
}

#[derive(Debug)]
struct PatternOverTime<'d> {
    state: PatternState<'d>,
    /// Number of an event to one of its hits; numbers ascend with time.
    hits: BTreeMap<u64, Hit>,
    numbers: HashMap<Locator, u64>,
    next: u64,
}

impl<'d> Deferred<'d> {
    /// No hits yet.
    #[must_use]
    pub fn new(detector: &'d Detector) -> Self {
        Self {
            detector,
            correlator: Correlator::new(detector.rules()),
            patterns: HashMap::new(),
            bindings: Vec::new(),
            hashes: Vec::new(),
            forgotten: 0,
        }
    }

    /// Takes the next hit in the order of [`Hit::sort_key`].
    pub fn push(&mut self, hit: &Hit, out: &mut Vec<Finding>) {
        self.push_all(std::slice::from_ref(hit), out);
    }

    /// Takes the next hits in the order of [`Hit::sort_key`]; cheaper than one by one.
    pub fn push_all(&mut self, hits: &[Hit], out: &mut Vec<Finding>) {
        let from = out.len();
        let mut hashes = std::mem::take(&mut self.hashes);
        for hits in hits.chunks(EXPECTED) {
            self.correlator.expect(hits, &mut hashes);
            for (hit, hashes) in hits.iter().zip(&hashes) {
                match hit.part {
                    HitPart::Correlation { .. } => self.correlator.push(hit, *hashes, out),
                    HitPart::Pattern { pattern, part } => self.push_pattern(pattern, part, hit, out),
                }
            }
        }
        self.hashes = hashes;
        self.keep_wanted(out, from);
    }

    /// All hits have been pushed.
    pub fn finish(&mut self, out: &mut Vec<Finding>) {
        let from = out.len();
        self.correlator.finish(out);
        let mut numbers: Vec<u32> = self.patterns.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(pattern) = self.patterns.get_mut(&number) {
                pattern.state.finish(&mut self.bindings);
                self.forgotten += pattern.report(number, &mut self.bindings, out);
            }
        }
        self.keep_wanted(out, from);
    }

    /// Groups, hits and searches that were given up to keep memory and time bounded; if not 0,
    /// findings may be missing.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let patterns: u64 = self.patterns.values().map(|pattern| pattern.state.dropped()).sum();
        self.correlator.dropped + self.forgotten + patterns
    }

    fn push_pattern(&mut self, number: u32, part: u16, hit: &Hit, out: &mut Vec<Finding>) {
        let Some(state) = self.detector.intel().state(number) else { return };
        let pattern = self.patterns.entry(number).or_insert_with(|| PatternOverTime {
            state,
            hits: BTreeMap::new(),
            numbers: HashMap::new(),
            next: 0,
        });
        let id = pattern.number_of(hit);
        pattern.state.push(PartHit { part, time: hit.time.at, id }, &mut self.bindings);
        self.forgotten += pattern.report(number, &mut self.bindings, out);
    }

    fn keep_wanted(&self, out: &mut Vec<Finding>, from: usize) {
        let Some(min) = self.detector.level_min() else { return };
        out.extract_if(from.., |finding| self.detector.info(finding.rule).level < min).for_each(drop);
    }
}

impl PatternOverTime<'_> {
    /// The number of the hit's event; hits of one event in several parts share it.
    fn number_of(&mut self, hit: &Hit) -> u64 {
        if let Some(number) = self.numbers.get(&hit.source) {
            return *number;
        }
        if self.hits.len() >= PATTERN_HITS_MAX
            && let Some((_, oldest)) = self.hits.pop_first()
        {
            self.numbers.remove(&oldest.source);
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(hit.source.clone(), number);
        self.hits.insert(number, hit.clone());
        number
    }

    /// Turns bindings into findings; returns how many rest on hits that were forgotten.
    fn report(&self, number: u32, bindings: &mut Vec<PatternBinding>, out: &mut Vec<Finding>) -> u64 {
        let mut forgotten = 0;
        for binding in bindings.drain(..) {
            let mut ids: Vec<u64> = binding.parts.iter().map(|(_, id)| *id).collect();
            ids.sort_unstable();
            ids.dedup();
            let mut hits: Vec<&Hit> = ids.iter().filter_map(|id| self.hits.get(id)).collect();
            let Some(last) = hits.pop() else {
                forgotten += 1;
                continue;
            };
            out.push(Finding {
                rule: RuleRef::Pattern(number),
                time: Some(last.time),
                source: last.source.clone(),
                logsource: last.logsource,
                host: last.host.clone(),
                matched: vec![("observations".to_owned(), ids.len().to_string())],
                related: hits.iter().take(RELATED_MAX).map(|hit| hit.source.clone()).collect(),
            });
        }
        forgotten
    }
}
