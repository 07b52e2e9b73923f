//! All knowledge of a run behind one door: batches in, findings and hits out.

use besa_event::{Batch, Dictionary, Event, Keep, LogSourceId, LogSources, Timestamp};
use besa_sigma::{Level, RuleSet};

use crate::correlate::CorrelationInputs;
use crate::finding::{Finding, Hit, HitPart, Locator, RuleInfo, RuleRef};
use crate::intel::{Intel, IntelMatch, IntelMatcher, IntelRef, IntelScratch, Refusal};
use crate::sigma::{CompileError, SigmaMatcher, SigmaScratch, SigmaTriggers};

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
    intel: IntelMatcher,
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
    /// Hits for [`Deferred`](crate::Deferred).
    pub hits: Vec<Hit>,
    /// Events looked at, per log source. Shape: index = log source number.
    pub events: Vec<u64>,
    /// Events left out because they are outside the scope's time or have none.
    pub events_outside: u64,
    /// Hits that no correlation could place: the event lacks a time or a `group-by` field.
    pub hits_unplaced: u64,
    /// STIX patterns that could not be evaluated on some event (a regular expression that gave
    /// up), with the number of events: they may have matched.
    pub unevaluated: Vec<(u32, u64)>,
}

impl Outcome {
    /// Counts events of a class that were looked at.
    pub fn looked_at(&mut self, class: LogSourceId, events: u64) {
        let class = usize::from(class.0);
        if self.events.len() <= class {
            self.events.resize(class + 1, 0);
        }
        self.events[class] += events;
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.findings.clear();
        self.hits.clear();
        self.events.fill(0);
        self.events_outside = 0;
        self.hits_unplaced = 0;
        self.unevaluated.clear();
    }
}

/// What could not be compiled; all else works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotCompiled {
    /// Sigma rules.
    pub rules: Vec<CompileError>,
    /// Indicators and patterns.
    pub intel: Vec<Refusal>,
}

impl Detector {
    /// Compiles rules and intelligence.
    #[must_use]
    pub fn new(rules: RuleSet, intel: Intel, scope: Scope) -> (Self, NotCompiled) {
        let mut names = Dictionary::builder();
        let (sigma, rules_refused) = SigmaMatcher::compile(&rules.rules, &mut names);
        let (intel, intel_refused) = IntelMatcher::compile(intel, &mut names);
        let inputs = CorrelationInputs::compile(&rules, &mut names);
        let wanted =
            |level: Option<Level>| scope.level_min.is_none_or(|min| level.unwrap_or(Level::Medium) >= min);
        let reported = rules.rules.iter().map(|rule| rule.generates && wanted(rule.meta.level)).collect();
        let detector = Self {
            sigma,
            intel,
            inputs,
            dictionary: names.build(),
            sources: LogSources::new(),
            scope,
            reported,
            rules,
        };
        (detector, NotCompiled { rules: rules_refused, intel: intel_refused })
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

    /// Which fields readers have to keep: keywords and indicators look at every value.
    #[must_use]
    pub fn keep(&self) -> Keep {
        let all = self.sigma.has_keywords() || !self.intel.is_empty();
        if all { Keep::Everything } else { Keep::Named }
    }

    /// Which fields Sigma rules alone look at.
    #[must_use]
    pub fn keep_for_rules(&self) -> Keep {
        if self.sigma.has_keywords() { Keep::Everything } else { Keep::Named }
    }

    /// The indicators and patterns it was made of.
    #[must_use]
    pub fn intel(&self) -> &IntelMatcher {
        &self.intel
    }

    pub(crate) fn level_min(&self) -> Option<Level> {
        self.scope.level_min
    }

    /// The rules it was made of.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// What a finding's rule says of itself; nothing for a number that is not this detector's.
    #[must_use]
    pub fn info(&self, rule: RuleRef) -> RuleInfo {
        match rule {
            RuleRef::Sigma(number) => self.rules.rules.get(number as usize).map(RuleInfo::of_rule),
            RuleRef::Correlation(number) => {
                self.rules.correlations.get(number as usize).map(RuleInfo::of_correlation)
            }
            RuleRef::Indicator(number) => {
                Some(RuleInfo::of_intel(self.intel.info(IntelRef::Indicator(number))))
            }
            RuleRef::Pattern(number) => Some(RuleInfo::of_intel(self.intel.info(IntelRef::Pattern(number)))),
        }
        .unwrap_or_default()
    }

    /// Numbers of the Sigma rules that are about a class of events.
    #[must_use]
    pub fn applicable(&self, class: LogSourceId) -> Vec<u32> {
        self.sigma.applicable(&self.dictionary, &self.sources, class)
    }

    /// What picks the events of a class that Sigma rules can match, value by value; `None` if every
    /// event has to be looked at.
    #[must_use]
    pub fn triggers(&self, class: LogSourceId) -> Option<SigmaTriggers<'_>> {
        self.sigma.triggers(&self.dictionary, &self.sources, class)
    }

    /// A worker; one per thread.
    #[must_use]
    pub fn worker(&self) -> Worker<'_> {
        Worker {
            detector: self,
            sigma: SigmaScratch::default(),
            intel: IntelScratch::default(),
            met: Vec::new(),
        }
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
    sigma: SigmaScratch,
    intel: IntelScratch,
    met: Vec<IntelMatch>,
}

impl Worker<'_> {
    /// Matches every event of a batch and appends to `out`.
    pub fn run(&mut self, batch: &Batch, out: &mut Outcome) {
        self.run_on(batch, !self.detector.intel.is_empty(), out);
    }

    /// The same for Sigma rules alone: whoever calls it knows of these events that they hold
    /// nothing that an indicator or pattern is about.
    pub fn run_rules(&mut self, batch: &Batch, out: &mut Outcome) {
        self.run_on(batch, false, out);
    }

    /// Sigma rules alone on events that were picked out of others, of which it is known that none
    /// matches. Events are not counted: whoever calls it counts all ([`Outcome::looked_at`]).
    pub fn run_picked_by_rules(&mut self, batch: &Batch, out: &mut Outcome) {
        for event in batch.events().filter(|event| self.detector.in_scope(*event)) {
            self.match_sigma(event, out);
        }
    }

    /// The same for indicators and patterns alone.
    pub fn run_picked_by_intel(&mut self, batch: &Batch, out: &mut Outcome) {
        for event in batch.events().filter(|event| self.detector.in_scope(*event)) {
            self.match_intel(event, out);
        }
        out.unevaluated.extend(self.intel.take_unevaluated());
    }

    fn run_on(&mut self, batch: &Batch, intel: bool, out: &mut Outcome) {
        for event in batch.events() {
            if !self.detector.in_scope(event) {
                out.events_outside += 1;
                continue;
            }
            out.looked_at(event.logsource(), 1);
            self.match_sigma(event, out);
            if intel {
                self.match_intel(event, out);
            }
        }
        if intel {
            out.unevaluated.extend(self.intel.take_unevaluated());
        }
    }

    fn match_sigma(&mut self, event: Event<'_>, out: &mut Outcome) {
        let Detector { sigma, dictionary, sources, inputs, reported, .. } = self.detector;
        for rule in sigma.matches(event, dictionary, sources, &mut self.sigma) {
            if inputs.is_fed_by(*rule) {
                out.hits_unplaced += inputs.hits(*rule, event, &mut out.hits);
            }
            if reported.get(*rule as usize).copied().unwrap_or_default() {
                let matched = sigma.matched_fields(*rule, event, dictionary);
                out.findings.push(finding(RuleRef::Sigma(*rule), event, matched));
            }
        }
    }

    fn match_intel(&mut self, event: Event<'_>, out: &mut Outcome) {
        let Detector { intel, dictionary, sources, scope, .. } = self.detector;
        intel.matches(event, dictionary, sources, &mut self.intel, &mut self.met);
        for met in self.met.drain(..) {
            let rule = match met.what {
                IntelRef::Indicator(number) => RuleRef::Indicator(number),
                IntelRef::Pattern(number) => RuleRef::Pattern(number),
                IntelRef::PatternPart { pattern, part } => {
                    match event.time() {
                        Some(time) => {
                            out.hits.push(hit(time.into(), HitPart::Pattern { pattern, part }, event));
                        }
                        None => out.hits_unplaced += 1,
                    }
                    continue;
                }
            };
            if scope.level_min.is_none_or(|min| intel.info(met.what).level >= min) {
                out.findings.push(finding(rule, event, met.matched));
            }
        }
    }
}

fn hit(time: crate::FindingTime, part: HitPart, event: Event<'_>) -> Hit {
    Hit {
        time,
        part,
        source: locator(event),
        logsource: event.logsource().0,
        host: event.host().into_owned(),
    }
}

fn locator(event: Event<'_>) -> Locator {
    Locator { path: event.batch().origin.path.clone(), record: event.head().record }
}

fn finding(rule: RuleRef, event: Event<'_>, matched: Vec<(String, String)>) -> Finding {
    Finding {
        rule,
        time: event.time().map(Into::into),
        source: locator(event),
        logsource: event.logsource().0,
        host: event.host().into_owned(),
        matched,
        related: Vec::new(),
    }
}
