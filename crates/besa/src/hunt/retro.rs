//! A hunt through an archive: the same workers, correlations, order and account as over evidence.
//!
//! Files are chosen by time and by log source alone, so that nothing can be missed; the index of
//! observables is not used yet. Only the columns that rules ask for are read, unless indicators
//! or keywords look at every value. One thread reads and matches.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use besa_archive::{Archive, Error, FileEntry, Scan, Scanned, Source, Wanted, Window};
use besa_detect::{Detector, Outcome};
use besa_event::{LogSource, Timestamp};

use super::account::Coverage;
use super::defects::DefectLog;
use super::interrupt::Interrupt;
use super::knowledge::Knowledge;
use super::progress::Progress;
use super::{Collector, Hunted, concluded};

/// What to hunt through.
pub(crate) struct Past<'a> {
    /// Folder or URL.
    pub(crate) archive: &'a str,
    /// The same as in the scope of the knowledge.
    pub(crate) window: Window,
    pub(crate) defects: DefectLog,
}

/// Hunts through an archive. An interrupt ends it early; what was found until then is the result.
pub(crate) fn hunt(
    knowledge: &Knowledge,
    past: Past<'_>,
    progress: &Progress,
    interrupt: &Arc<Interrupt>,
) -> anyhow::Result<Hunted> {
    let started = Instant::now();
    let detector = &knowledge.detector;
    let archive = Archive::open(past.archive)?;
    let mut coverage = held(detector, &archive, &past);
    let mut collector = Collector::new(detector, past.defects, progress);
    let scanned = search(detector, &archive, past.window, &mut collector, interrupt)?;
    coverage.files_searched = scanned.files;
    coverage.files_passed_over = scanned.files_passed_over;
    coverage.files_missing =
        scanned.defects.iter().map(|defect| format!("{}: {}", defect.origin.path, defect.reason)).collect();
    collector.tally.files = scanned.files;
    collector.tally.bytes = scanned.bytes;
    scanned
        .defects
        .into_iter()
        .try_for_each(|defect| collector.defects.push(defect))
        .context(super::CANNOT_LOG)?;
    concluded(collector, knowledge, interrupt, started, Some(coverage))
}

/// Whether anything that is looked for may be in events of a class.
fn is_looked_at(detector: &Detector, class: LogSource) -> bool {
    !detector.intel().is_empty() || !detector.applicable(detector.sources().intern(class)).is_empty()
}

fn search(
    detector: &Detector,
    archive: &Archive,
    window: Window,
    collector: &mut Collector<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<Scanned> {
    let reached = RefCell::new(Scanned::default());
    let scan = Scan {
        window,
        admits: &|class| is_looked_at(detector, class.clone()),
        wanted: Wanted { keep: detector.keep(), raw: false },
        dictionary: detector.dictionary(),
        sources: detector.sources(),
        groups: None,
        cancelled: &|| interrupt.is_stopped(),
        progress: &|scanned| {
            reached.replace(scanned.clone());
        },
    };
    let mut worker = detector.worker();
    let mut failure = None;
    let searched = archive.scan(&scan, &mut |batch| {
        let mut outcome = Outcome::default();
        worker.run(batch, &mut outcome);
        collector.tally.events += batch.len() as u64;
        let taken = collector.take_outcome(outcome);
        collector.progress.matched(collector.tally.events, collector.summary.findings, &batch.origin.path);
        taken.map_err(|error| {
            failure = Some(error);
            Error::Cancelled
        })
    });
    match (failure, searched) {
        (Some(failure), _) => Err(failure),
        (None, Err(Error::Cancelled)) => Ok(reached.into_inner()),
        (None, searched) => searched.context("the archive cannot be searched"),
    }
}

/// What the archive holds of what is asked for, before anything is read.
fn held(detector: &Detector, archive: &Archive, past: &Past<'_>) -> Coverage {
    let manifest = archive.manifest();
    let text = |at: Option<i64>| at.map(|at| Timestamp(at).rfc3339(3));
    let touched = |file: &&FileEntry| match file.span() {
        Some((first, last)) => past.window.touches(first, last),
        None => past.window.is_everything(),
    };
    let files: Vec<&FileEntry> = manifest.files.values().filter(touched).collect();
    let mut by_source: BTreeMap<&Source, u64> = BTreeMap::new();
    files.iter().for_each(|file| *by_source.entry(&file.source).or_default() += file.rows);
    let passed =
        by_source.into_iter().filter(|(source, _)| !is_looked_at(detector, LogSource::from(*source)));
    let mut log_sources_passed_over = BTreeMap::new();
    for (source, events) in passed {
        *log_sources_passed_over.entry(LogSource::from(source).to_string()).or_default() += events;
    }
    let groups = || {
        let all = files.iter().flat_map(|file| &file.groups).filter_map(|group| group.first.zip(group.last));
        all.filter(|(first, last)| past.window.touches(*first, *last))
    };
    Coverage {
        archive: past.archive.to_owned(),
        version: manifest.version,
        from: text(past.window.from),
        to: text(past.window.to),
        first: text(groups().map(|(first, _)| first).min()),
        last: text(groups().map(|(_, last)| last).max()),
        events_held: files.iter().map(|file| file.rows).sum(),
        log_sources_passed_over,
        ..Coverage::default()
    }
}
