//! Evidence into an archive: the reader and workers of a hunt, and one writer behind them, which has
//! threads that encode. Who has rules or indicators hunts in the same pass.
//!
//! Batches reach the writer in the order of the evidence. What a flush acknowledged stays,
//! whatever comes after: an interrupt ends reading, and what was read until then is flushed.
//! The dictionary holds every second name that readers can give, since rules of the future may
//! ask for any of them; a hunt through the archive drops those that its own rules do not name.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use besa_archive::{Ingest, IngestOptions, Receipt, Writer};
use besa_detect::{Detector, Outcome, Worker};
use besa_event::{Batch, Block, Dictionary, Keep, LogSources};
use besa_evidence::{Context, Decoder, Format, Limits, decode, second_names};
use crossbeam_channel::{Receiver, Sender};

use super::interrupt::Interrupt;
use super::knowledge::Knowledge;
use super::pipeline::{self, Done, Evidence, Stage};
use super::progress::Progress;
use super::{Collector, Hunted, Settings, concluded, now, this_month};

/// Events after which a flush is due, and the age in ns: a flush makes one file for each day and
/// log source, so that few large ones are better than many small ones.
const FLUSH_EVENTS: u64 = 4 << 20;
const FLUSH_AGE: i64 = 60 * 1_000_000_000;

/// Names and log sources of a run that keeps everything, and what it hunts for meanwhile.
struct Keeping<'k> {
    dictionary: Dictionary,
    sources: LogSources,
    /// Whom to show each event, if anybody looks for anything.
    detector: Option<&'k Detector>,
    /// Batches that the writer is done with, on their way back to the workers.
    spare: (Sender<Batch>, Receiver<Batch>),
}

/// What a worker that hunts keeps from block to block.
///
/// It decodes each block a second time, by the names that its rules ask for: second names that
/// only the archive needs would change what a rule sees, and findings shall be those of a hunt.
struct Hunter<'k> {
    detector: &'k Detector,
    worker: Worker<'k>,
    decoder: Decoder,
    batch: Batch,
    outcome: Outcome,
}

impl<'k> Hunter<'k> {
    fn new(detector: &'k Detector) -> Self {
        Self {
            detector,
            worker: detector.worker(),
            decoder: Decoder::new(),
            batch: Batch::default(),
            outcome: Outcome::default(),
        }
    }

    fn meet(&mut self, context: &Context<'_>, block: &Block<Format>) {
        let context = Context {
            dictionary: self.detector.dictionary(),
            sources: self.detector.sources(),
            keep: self.detector.keep(),
            ..*context
        };
        decode(&context, &mut self.decoder, block.clone(), &mut self.batch);
        self.worker.run(&self.batch, &mut self.outcome);
    }
}

impl Stage for Keeping<'_> {
    type Hand<'s>
        = Option<Hunter<'s>>
    where
        Self: 's;
    type Outcome = (Batch, Outcome);

    fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    fn sources(&self) -> &LogSources {
        &self.sources
    }

    fn keep(&self) -> Keep {
        Keep::History
    }

    fn hand(&self) -> Option<Hunter<'_>> {
        self.detector.map(Hunter::new)
    }

    fn meet(&self, hunter: &mut Option<Hunter<'_>>, context: &Context<'_>, block: &Block<Format>) {
        if let Some(hunter) = hunter {
            hunter.meet(context, block);
        }
    }

    fn run(&self, hunter: &mut Option<Hunter<'_>>, batch: &mut Batch) -> (Batch, Outcome) {
        let outcome = hunter.as_mut().map(|hunter| std::mem::take(&mut hunter.outcome));
        let next = self.spare.1.try_recv().unwrap_or_default();
        (std::mem::replace(batch, next), outcome.unwrap_or_default())
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What was read, and what was found in it if anything was looked for.
    pub(crate) hunted: Hunted,
    /// All flushes together; the version is the last one's.
    pub(crate) receipt: Receipt,
}

/// Adds evidence to an archive and hunts through it.
pub(crate) fn add(
    mut writer: Writer,
    knowledge: &Knowledge,
    settings: Settings,
    progress: &Progress,
    interrupt: &Arc<Interrupt>,
) -> anyhow::Result<Kept> {
    let started = Instant::now();
    writer.collect(now())?;
    let mut names = Dictionary::builder();
    second_names().for_each(|name| {
        names.intern(name);
    });
    let detector = &knowledge.detector;
    let hunts = !(detector.rules().rules.is_empty() && detector.intel().is_empty());
    let keeping = Keeping {
        dictionary: names.build(),
        sources: LogSources::new(),
        detector: hunts.then_some(detector),
        spare: crossbeam_channel::unbounded(),
    };
    let evidence = Evidence {
        paths: settings.evidence,
        limits: Limits::default(),
        carve: settings.carve,
        reference: Some(this_month()),
    };
    let options = IngestOptions {
        events: FLUSH_EVENTS,
        age: FLUSH_AGE,
        threads: settings.workers,
        ..IngestOptions::default()
    };
    let mut keeper = Keeper {
        keeping: &keeping,
        ingest: writer.ingest(options)?,
        receipt: Receipt::default(),
        collector: Collector::new(detector, settings.defects, progress),
    };
    let read = pipeline::run(&keeping, evidence, settings.workers, progress, interrupt, &mut |done| {
        keeper.take(done)
    });
    progress.clear();
    if let Err(error) = read {
        let kept = keeper.receipt.events;
        keeper.ingest.discard();
        return Err(error.context(format!("{kept} events are in the archive, those read after them are not")));
    }
    keeper.flush()?;
    let Keeper { collector, receipt, .. } = keeper;
    Ok(Kept { hunted: concluded(collector, knowledge, interrupt, started, None)?, receipt })
}

struct Keeper<'k> {
    keeping: &'k Keeping<'k>,
    ingest: Ingest,
    receipt: Receipt,
    collector: Collector<'k>,
}

impl Keeper<'_> {
    fn take(&mut self, done: Done<(Batch, Outcome)>) -> anyhow::Result<()> {
        match done {
            Done::Defect(defect) => self.collector.take(Done::Defect(defect)),
            Done::File(file) => self.collector.take(Done::File(file)),
            Done::Block { path, format, outcome: (batch, outcome), events, defects, spent } => {
                let at = now();
                self.ingest.append(&batch, &self.keeping.dictionary, &self.keeping.sources, at)?;
                // Both ends are the stage's own; there are never more than jobs under way.
                let _ = self.keeping.spare.0.send(batch);
                self.collector.take(Done::Block { path, format, outcome, events, defects, spent })?;
                if self.ingest.is_due(at) { self.flush() } else { Ok(()) }
            }
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let made = self.ingest.flush(now()).context("the archive cannot be written")?;
        self.ingest.tend(now()).context("the index of the archive cannot be written")?;
        let sum = &mut self.receipt;
        *sum = Receipt {
            version: made.version,
            events: sum.events + made.events,
            files: sum.files + made.files,
            bytes: sum.bytes + made.bytes,
            index_bytes: sum.index_bytes + made.index_bytes,
        };
        Ok(())
    }
}
