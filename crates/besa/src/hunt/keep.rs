//! Evidence into an archive: the reader and workers of a hunt, and one writer behind them.
//!
//! Batches reach the writer in the order of the evidence. What a flush acknowledged stays,
//! whatever comes after: an interrupt ends reading, and what was read until then is flushed.
//! The dictionary holds every second name that readers can give, since rules of the future may
//! ask for any of them; a hunt through the archive drops those that its own rules do not name.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use besa_archive::{Ingest, IngestOptions, Receipt, Writer};
use besa_event::{Batch, Dictionary, Keep, LogSources};
use besa_evidence::{Limits, second_names};

use super::account::Tally;
use super::defects::DefectLog;
use super::interrupt::Interrupt;
use super::pipeline::{self, Done, Evidence, Stage};
use super::progress::Progress;
use super::{CANNOT_LOG, now, this_month};

/// Events after which a flush is due, and the age in ns: a flush makes one file for each day and
/// log source, so that few large ones are better than many small ones.
const FLUSH_EVENTS: u64 = 4 << 20;
const FLUSH_AGE: i64 = 60 * 1_000_000_000;

/// Names and log sources of a run that keeps everything.
struct Keeping {
    dictionary: Dictionary,
    sources: LogSources,
}

impl Stage for Keeping {
    type Hand<'s> = ();
    type Outcome = Batch;

    fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    fn sources(&self) -> &LogSources {
        &self.sources
    }

    fn keep(&self) -> Keep {
        Keep::Everything
    }

    fn hand(&self) {}

    fn run(&self, (): &mut (), batch: &mut Batch) -> Batch {
        std::mem::take(batch)
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `false` if Ctrl-C ended it.
    pub(crate) complete: bool,
    pub(crate) tally: Tally,
    pub(crate) defects: DefectLog,
    /// All flushes together; the version is the last one's.
    pub(crate) receipt: Receipt,
}

/// What to keep, and how it is read.
pub(crate) struct Additions {
    pub(crate) evidence: Vec<PathBuf>,
    pub(crate) workers: usize,
    pub(crate) carve: bool,
    pub(crate) defects: DefectLog,
}

/// Adds evidence to an archive.
pub(crate) fn add(
    mut writer: Writer,
    additions: Additions,
    progress: &Progress,
    interrupt: &Arc<Interrupt>,
) -> anyhow::Result<Kept> {
    writer.collect(now())?;
    let mut names = Dictionary::builder();
    second_names().for_each(|name| {
        names.intern(name);
    });
    let keeping = Keeping { dictionary: names.build(), sources: LogSources::new() };
    let evidence = Evidence {
        paths: additions.evidence,
        limits: Limits::default(),
        carve: additions.carve,
        reference: Some(this_month()),
    };
    let options = IngestOptions { events: FLUSH_EVENTS, age: FLUSH_AGE, ..IngestOptions::default() };
    let mut keeper = Keeper {
        keeping: &keeping,
        progress,
        ingest: writer.ingest(options)?,
        kept: Kept {
            complete: true,
            tally: Tally::default(),
            defects: additions.defects,
            receipt: Receipt::default(),
        },
    };
    let read = pipeline::run(&keeping, evidence, additions.workers, progress, interrupt, &mut |done| {
        keeper.take(done)
    });
    progress.clear();
    if let Err(error) = read {
        let kept = keeper.kept.receipt.events;
        keeper.ingest.discard();
        return Err(error.context(format!("{kept} events are in the archive, those read after them are not")));
    }
    keeper.flush()?;
    keeper.kept.defects.finish().context(CANNOT_LOG)?;
    keeper.kept.complete = !interrupt.is_stopped();
    Ok(keeper.kept)
}

struct Keeper<'k> {
    keeping: &'k Keeping,
    progress: &'k Progress,
    ingest: Ingest,
    kept: Kept,
}

impl Keeper<'_> {
    fn take(&mut self, done: Done<Batch>) -> anyhow::Result<()> {
        let Kept { tally, defects: log, .. } = &mut self.kept;
        match done {
            Done::Defect(defect) => log.push(defect).context(CANNOT_LOG),
            Done::File(file) => {
                tally.files += 1;
                tally.bytes += file.bytes;
                tally.formats.entry(file.format.unwrap_or("not read")).or_default().0 += 1;
                Ok(())
            }
            Done::Block { path, format, outcome: batch, events, defects, .. } => {
                tally.formats.entry(format).or_default().1 += events;
                tally.events += events;
                defects.into_iter().try_for_each(|defect| log.push(defect)).context(CANNOT_LOG)?;
                let at = now();
                self.ingest.append(&batch, &self.keeping.dictionary, &self.keeping.sources, at)?;
                self.progress.matched(tally.events, 0, &path.path);
                if self.ingest.is_due(at) { self.flush() } else { Ok(()) }
            }
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let made = self.ingest.flush(now()).context("the archive cannot be written")?;
        let sum = &mut self.kept.receipt;
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
