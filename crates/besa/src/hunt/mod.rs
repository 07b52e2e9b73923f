//! A hunt: evidence through the pipeline, findings sorted, everything counted.
//!
//! ```text
//! knowledge ─▶ Detector ─┐
//! evidence ──────────────┴▶ pipeline ─▶ findings ─▶ sort ─▶ output
//!                                   └─▶ hits ─▶ sort ─▶ Deferred ─▶ findings ↗
//! ```
//!
//! Whatever the size of the evidence and the number of findings, memory holds the blocks under
//! way, one run of findings, one of hits, and a summary by rule.

pub(crate) mod account;
pub(crate) mod allies;
pub(crate) mod clock;
pub(crate) mod defects;
pub(crate) mod follow;
mod guard;
mod intel;
pub(crate) mod interrupt;
pub(crate) mod keep;
pub(crate) mod knowledge;
pub(crate) mod observables;
pub(crate) mod pipeline;
pub(crate) mod progress;
pub(crate) mod retro;
mod sort;
pub(crate) mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use besa_detect::{Deferred, Detector, Finding, Hit};
use besa_event::Timestamp;
use besa_evidence::Limits;

use account::{Account, Coverage, Parts, Tally};
use clock::Spent;
use defects::DefectLog;
use interrupt::Interrupt;
use knowledge::Knowledge;
use pipeline::{Done, Evidence};
use progress::Progress;
pub(crate) use sort::Sorted;
use sort::Sorter;
use summary::Summary;

/// What to hunt through, and how.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) evidence: Vec<PathBuf>,
    /// Threads that decode and match.
    pub(crate) workers: usize,
    /// Whether deleted records of Windows event logs are read.
    pub(crate) carve: bool,
    pub(crate) defects: DefectLog,
}

/// What a hunt found.
#[derive(Debug)]
pub(crate) struct Hunted {
    /// Oldest first; those without a time before all others.
    pub(crate) findings: Sorted<Finding>,
    pub(crate) summary: Summary,
    pub(crate) account: Account,
    /// Processor time of the workers.
    pub(crate) spent: Spent,
}

/// Hunts. An interrupt ends it early; what was found until then is the result.
pub(crate) fn hunt(
    knowledge: &Knowledge,
    settings: Settings,
    progress: &Progress,
    interrupt: &Arc<Interrupt>,
) -> anyhow::Result<Hunted> {
    let started = Instant::now();
    let detector = &knowledge.detector;
    let evidence = Evidence {
        paths: settings.evidence,
        limits: Limits::default(),
        carve: settings.carve,
        reference: Some(this_month()),
    };
    let mut collector = Collector::new(detector, settings.defects, progress);
    pipeline::run(detector, evidence, settings.workers, progress, interrupt, &mut |done| {
        collector.take(done)
    })?;
    concluded(collector, knowledge, interrupt, started, None)
}

/// Sorts what was collected and gives the account of it.
fn concluded(
    collector: Collector<'_>,
    knowledge: &Knowledge,
    interrupt: &Interrupt,
    started: Instant,
    coverage: Option<Coverage>,
) -> anyhow::Result<Hunted> {
    let progress = collector.progress;
    let (findings, summary, tally, defects) = collector.finish()?;
    progress.clear();
    let account = Account::new(&Parts {
        detector: &knowledge.detector,
        refused: &knowledge.refused,
        tally: &tally,
        defects: &defects,
        summary: &summary,
        complete: !interrupt.is_stopped(),
        elapsed: started.elapsed(),
        coverage,
    });
    Ok(Hunted { findings, summary, account, spent: tally.spent })
}

/// Year and month of today: records that state no year are not younger.
pub(crate) fn this_month() -> (i64, u32) {
    let today = now().civil();
    (today.year, today.month)
}

/// The time of day; only for what is about this run, never for what is about evidence.
#[expect(clippy::disallowed_methods, reason = "the one place where the binary asks for the time of day")]
pub(crate) fn now() -> Timestamp {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Takes results in the order of the evidence.
struct Collector<'d> {
    detector: &'d Detector,
    progress: &'d Progress,
    findings: Sorter<Finding>,
    hits: Sorter<Hit>,
    summary: Summary,
    tally: Tally,
    defects: DefectLog,
}

const CANNOT_SPILL: &str = "cannot store findings";
const CANNOT_LOG: &str = "cannot write the file of defects";

impl<'d> Collector<'d> {
    fn new(detector: &'d Detector, defects: DefectLog, progress: &'d Progress) -> Self {
        Self {
            detector,
            progress,
            findings: Sorter::new(),
            hits: Sorter::new(),
            summary: Summary::default(),
            tally: Tally::default(),
            defects,
        }
    }

    fn take(&mut self, done: Done<besa_detect::Outcome>) -> anyhow::Result<()> {
        match done {
            Done::Defect(defect) => self.defects.push(defect).context(CANNOT_LOG),
            Done::File(file) => {
                self.tally.files += 1;
                self.tally.bytes += file.bytes;
                self.tally.formats.entry(file.format.unwrap_or("not read")).or_default().0 += 1;
                Ok(())
            }
            Done::Block { path, format, outcome, events, defects, spent } => {
                self.tally.spent.add(spent);
                self.tally.formats.entry(format).or_default().1 += events;
                self.tally.events += events;
                self.take_outcome(outcome)?;
                defects.into_iter().try_for_each(|defect| self.defects.push(defect)).context(CANNOT_LOG)?;
                self.progress.matched(self.tally.events, self.summary.findings, &path.path);
                Ok(())
            }
        }
    }

    fn take_outcome(&mut self, outcome: besa_detect::Outcome) -> anyhow::Result<()> {
        let of_source = &mut self.tally.events_of_source;
        if of_source.len() < outcome.events.len() {
            of_source.resize(outcome.events.len(), 0);
        }
        of_source.iter_mut().zip(&outcome.events).for_each(|(sum, events)| *sum += events);
        self.tally.events_outside += outcome.events_outside;
        self.tally.hits_unplaced += outcome.hits_unplaced;
        for (pattern, events) in &outcome.unevaluated {
            *self.tally.unevaluated.entry(*pattern).or_default() += events;
        }
        outcome.findings.into_iter().try_for_each(|finding| self.found(finding))?;
        outcome.hits.into_iter().try_for_each(|hit| self.hits.push(hit)).context(CANNOT_SPILL)
    }

    fn found(&mut self, finding: Finding) -> anyhow::Result<()> {
        self.summary.add(&finding, self.detector);
        self.findings.push(finding).context(CANNOT_SPILL)
    }

    /// Evaluates what looks at many records, then sorts.
    fn finish(mut self) -> anyhow::Result<(Sorted<Finding>, Summary, Tally, DefectLog)> {
        let hits = std::mem::replace(&mut self.hits, Sorter::new()).finish();
        let mut deferred = Deferred::new(self.detector);
        let mut made = Vec::new();
        hits.visit_some(&mut |hits| {
            deferred.push_all(hits, &mut made);
            made.drain(..).try_for_each(|finding| self.found(finding))
        })?;
        deferred.finish(&mut made);
        made.into_iter().try_for_each(|finding| self.found(finding))?;
        self.tally.hits_dropped = deferred.dropped();
        self.defects.finish().context(CANNOT_LOG)?;
        Ok((self.findings.finish(), self.summary, self.tally, self.defects))
    }
}
