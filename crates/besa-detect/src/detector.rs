//! All knowledge of a run behind one door: batches in, findings and hits out.

use besa_event::{Batch, Dictionary, Event, Keep, LogSourceId, LogSources, Timestamp};
use besa_sigma::{Level, RuleSet};

use crate::correlate::{CorrelationInputs, Correlator};
use crate::finding::{Finding, Hit, Locator, RuleInfo, RuleRef};
use crate::sigma::{CompileError, SigmaMatcher, SigmaScratch};

/// What narrows a hunt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Findings below this level are not made. Rules that a correlation needs are matched all
    /// the same.
    pub level_min: Option<Level>,
    /// Only events at or after this instant; events without a time are then left out.
    pub from: Option<Timestamp>,
    /// Only events before this instant; events without a time are then left out.
    pub to: Option<Timestamp>,
}

/// Compiled rules, correlations and intelligence. Shared by the workers of a run.
#[derive(Debug)]
pub struct Detector {
    rules: RuleSet,
    sigma: SigmaMatcher,
    inputs: CorrelationInputs,
    dictionary: Dictionary,
    sources: LogSources,
    scope: Scope,
    /// Per rule: whether its match is a finding.
    reported: Vec<bool>,
}

/// What came of a batch. Reused: the caller takes out what it wants and clears it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Findings in the order of the events.
    pub findings: Vec<Finding>,
    /// Hits for [`Deferred`].
    pub hits: Vec<Hit>,
    /// Events looked at, per log source. Shape: index = log source number.
    pub events: Vec<u64>,
    /// Events left out because they are outside the scope's time or have none.
    pub events_outside: u64,
    /// Hits that no correlation could place: the event lacks a time or a `group-by` field.
    pub hits_unplaced: u64,
}

impl Outcome {
    /// Empties it.
    pub fn clear(&mut self) {
        self.findings.clear();
        self.hits.clear();
        self.events.fill(0);
        self.events_outside = 0;
        self.hits_unplaced = 0;
    }
}

impl Detector {
    /// Compiles rules. Those that cannot be compiled are named; all others work.
    #[must_use]
    pub fn new(rules: RuleSet, scope: Scope) -> (Self, Vec<CompileError>) {
        let mut names = Dictionary::builder();
        let (sigma, errors) = SigmaMatcher::compile(&rules.rules, &mut names);
        let inputs = CorrelationInputs::compile(&rules, &mut names);
        let wanted =
            |level: Option<Level>| scope.level_min.is_none_or(|min| level.unwrap_or(Level::Medium) >= min);
        let reported = rules.rules.iter().map(|rule| rule.generates && wanted(rule.meta.level)).collect();
        let detector = Self {
            sigma,
            inputs,
            dictionary: names.build(),
            sources: LogSources::new(),
            scope,
            reported,
            rules,
        };
        (detector, errors)
    }

    /// The field names that rules ask for.
    #[must_use]
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// The classes of events met so far.
    #[must_use]
    pub fn sources(&self) -> &LogSources {
        &self.sources
    }

    /// Which fields readers have to keep.
    #[must_use]
    pub fn keep(&self) -> Keep {
        Keep::Everything
    }

    /// The rules it was made of.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// What a finding's rule says of itself.
    #[must_use]
    pub fn info(&self, rule: RuleRef) -> RuleInfo {
        let unknown = || RuleInfo {
            kind: crate::finding::Kind::Sigma,
            id: String::new(),
            title: String::new(),
            author: String::new(),
            level: Level::Medium,
            tags: Vec::new(),
            description: String::new(),
            falsepositives: Vec::new(),
            references: Vec::new(),
            license: String::new(),
            place: String::new(),
            intel_ref: None,
        };
        match rule {
            RuleRef::Sigma(number) => self.rules.rules.get(number as usize).map(RuleInfo::of_rule),
            RuleRef::Correlation(number) => {
                self.rules.correlations.get(number as usize).map(RuleInfo::of_correlation)
            }
            RuleRef::Indicator(_) | RuleRef::Pattern(_) => None,
        }
        .unwrap_or_else(unknown)
    }

    /// Numbers of the Sigma rules that are about a class of events.
    #[must_use]
    pub fn applicable(&self, class: LogSourceId) -> Vec<u32> {
        self.sigma.applicable(&self.dictionary, &self.sources, class)
    }

    /// A worker; one per thread.
    #[must_use]
    pub fn worker(&self) -> Worker<'_> {
        Worker { detector: self, scratch: SigmaScratch::default() }
    }

    fn in_scope(&self, event: Event<'_>) -> bool {
        if self.scope.from.is_none() && self.scope.to.is_none() {
            return true;
        }
        event.time().is_some_and(|time| {
            self.scope.from.is_none_or(|from| time.at >= from) && self.scope.to.is_none_or(|to| time.at < to)
        })
    }
}

/// Matches batches; keeps buffers between them.
#[derive(Debug)]
pub struct Worker<'d> {
    detector: &'d Detector,
    scratch: SigmaScratch,
}

impl Worker<'_> {
    /// Matches every event of a batch and appends to `out`.
    pub fn run(&mut self, batch: &Batch, out: &mut Outcome) {
        for event in batch.events() {
            if !self.detector.in_scope(event) {
                out.events_outside += 1;
                continue;
            }
            let class = usize::from(event.logsource().0);
            if out.events.len() <= class {
                out.events.resize(class + 1, 0);
            }
            out.events[class] += 1;
            self.sigma(event, out);
        }
    }

    fn sigma(&mut self, event: Event<'_>, out: &mut Outcome) {
        let Detector { sigma, dictionary, sources, inputs, reported, .. } = self.detector;
        for rule in sigma.matches(event, dictionary, sources, &mut self.scratch) {
            if inputs.is_fed_by(*rule) {
                out.hits_unplaced += inputs.hits(*rule, event, &mut out.hits);
            }
            if reported.get(*rule as usize).copied().unwrap_or_default() {
                let matched = sigma.matched_fields(*rule, event, dictionary);
                out.findings.push(finding(RuleRef::Sigma(*rule), event, matched));
            }
        }
    }
}

fn finding(rule: RuleRef, event: Event<'_>, matched: Vec<(String, String)>) -> Finding {
    Finding {
        rule,
        time: event.time().map(Into::into),
        source: Locator { path: event.batch().origin.path.clone(), record: event.head().record },
        logsource: event.logsource().0,
        host: event.host().into_owned(),
        matched,
        related: Vec::new(),
    }
}

/// Evaluates hits over time, once all of them are known in order.
#[derive(Debug)]
pub struct Deferred<'d> {
    detector: &'d Detector,
    correlator: Correlator<'d>,
}

impl<'d> Deferred<'d> {
    /// No hits yet.
    #[must_use]
    pub fn new(detector: &'d Detector) -> Self {
        Self { detector, correlator: Correlator::new(&detector.rules) }
    }

    /// Takes the next hit in the order of [`Hit::sort_key`].
    pub fn push(&mut self, hit: &Hit, out: &mut Vec<Finding>) {
        let from = out.len();
        self.correlator.push(hit, out);
        self.keep_wanted(out, from);
    }

    /// All hits have been pushed.
    pub fn finish(&mut self, out: &mut Vec<Finding>) {
        let from = out.len();
        self.correlator.finish(out);
        self.keep_wanted(out, from);
    }

    /// Groups and hits that were dropped to keep memory bounded; if not 0, findings may be
    /// missing.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.correlator.dropped
    }

    fn keep_wanted(&self, out: &mut Vec<Finding>, from: usize) {
        let Some(min) = self.detector.scope.level_min else { return };
        let added = out.split_off(from);
        out.extend(added.into_iter().filter(|finding| self.detector.info(finding.rule).level >= min));
    }
}
