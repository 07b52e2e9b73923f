//! Upkeep: compaction, retention, holds, verification.
//!
//! Each change is one commit: a crash leaves the archive as it was or as it shall be, and files
//! of neither are collected by the next writer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use besa_event::{Defect, Dictionary, Keep, LogSources, Origin, Place, Timestamp};

use crate::archive::{Archive, Writer};
use crate::entry::{Day, FileEntry, FileNumber, Hold, Source, Window};
use crate::error::{Error, Result};
use crate::index::Observe;
use crate::ingest::{IngestOptions, Pieces, Receipt};
use crate::manifest::{Action, Manifest};
use crate::read::file::DataFile;
use crate::read::rebuild::{Columns, Rebuilder, Rows, Wanted};
use crate::runs::Tended;
use crate::store::digest;
use crate::write::piece::{FILE_BYTES_MAX, GROUP_ROWS_MAX, GROUPS_MAX};

/// What upkeep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Data files that are no longer part of the archive.
    pub files_removed: u64,
    /// Data files made of them.
    pub files_made: u64,
    /// Events deleted.
    pub events_removed: u64,
    /// Bytes of the files removed, less those made.
    pub bytes_freed: i64,
    /// Files past their time that a hold keeps.
    pub files_held: u64,
    /// Index runs merged, made anew and dropped.
    pub runs: Tended,
}

/// Which files retention is about.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Files all of whose events are older than this are deleted, ns since 1970. Files of events
    /// without a time count by when they were added.
    pub before: i64,
    /// Only these log sources; none means all.
    pub sources: Vec<String>,
}

const EVERYTHING: Wanted = Wanted { keep: Keep::History, raw: true };

impl Writer {
    /// Makes of the small files of each partition larger ones; a commit for some partitions each.
    /// Then looks after the index: runs that are missing, damaged or of another version are made
    /// anew from the events, and many become one.
    ///
    /// # Errors
    /// When a file cannot be read or written; partitions done before stay done.
    pub fn compact(&mut self, now: Timestamp, cancelled: &dyn Fn() -> bool) -> Result<Upkeep> {
        let mut done = Upkeep::default();
        for some in at_once(small_files(self.manifest())) {
            let made = self.rewrite(&some, now, cancelled)?;
            let before: u64 = some.iter().flatten().map(|file| file.bytes).sum();
            done.files_removed += some.iter().map(Vec::len).sum::<usize>() as u64;
            done.files_made += made.files;
            done.bytes_freed += before.cast_signed() - made.bytes.cast_signed();
        }
        done.runs = self.tend_runs(now, cancelled)?;
        Ok(done)
    }

    /// Puts new files in the place of several partitions' files, in one commit.
    fn rewrite(
        &mut self,
        partitions: &[Vec<FileEntry>],
        now: Timestamp,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Receipt> {
        let mut pieces = Pieces::new(self, IngestOptions { level: 3, ..IngestOptions::default() })?;
        let read = partitions.iter().try_for_each(|files| {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            self.read_over(files, &mut pieces, now)
        });
        if let Err(error) = read {
            pieces.discard();
            return Err(error);
        }
        let (mut actions, receipt) = pieces.finish(now)?;
        let expected: u64 = partitions.iter().flatten().map(|file| file.rows).sum();
        if receipt.events != expected {
            return Err(Error::Invalid(format!(
                "{} events of {expected} came over; nothing was changed",
                receipt.events
            )));
        }
        let gone: Vec<FileEntry> = partitions.iter().flatten().cloned().collect();
        actions.extend(remove(self.manifest(), &gone, now));
        self.commit(actions)?;
        Ok(receipt)
    }

    /// Reads the files of a partition into a new one, which is closed with it.
    fn read_over(&self, files: &[FileEntry], pieces: &mut Pieces, now: Timestamp) -> Result<()> {
        let sources = LogSources::new();
        let added = files.iter().map(|file| file.added).max().unwrap_or(now.0);
        files.iter().try_for_each(|file| {
            read_file(&self.reader(), file, &sources, &mut |dictionary, batch| {
                let Some(batch) = batch else { return Ok(()) };
                pieces.start_batch();
                let partition = pieces.partition(file.day, file.source.clone());
                batch
                    .events()
                    .try_for_each(|event| pieces.push(partition, event, dictionary, Timestamp(added)))?;
                pieces.bound(Timestamp(added))
            })
        })?;
        pieces.seal_all(Timestamp(added))
    }

    /// Deletes files that are past their time and not held. A hold that another writer places
    /// meanwhile counts: what to delete is worked out anew.
    ///
    /// # Errors
    /// When the change cannot be committed; then nothing was deleted.
    pub fn retain(&mut self, retention: &Retention, now: Timestamp) -> Result<Upkeep> {
        let mut done = Upkeep::default();
        self.commit_worked_out(&mut |manifest| {
            let gone;
            (done, gone) = past(manifest, retention);
            if gone.is_empty() { Vec::new() } else { remove(manifest, &gone, now) }
        })?;
        Ok(done)
    }

    /// Places a hold, or changes the one of the same case.
    ///
    /// # Errors
    /// When the change cannot be committed.
    pub fn hold(&mut self, hold: Hold) -> Result<()> {
        self.commit(vec![Action::Hold(hold)])
    }

    /// Releases a hold.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none of that case.
    pub fn release(&mut self, case: &str) -> Result<()> {
        if !self.manifest().holds.contains_key(case) {
            return Err(Error::Invalid(format!("there is no hold for case `{case}`")));
        }
        self.commit(vec![Action::Release { case: case.to_owned() }])
    }
}

/// Files past their time and not held, and what their deletion comes to.
fn past(manifest: &Manifest, retention: &Retention) -> (Upkeep, Vec<FileEntry>) {
    let mut done = Upkeep::default();
    let mut gone = Vec::new();
    for file in manifest.files.values() {
        let last = file.span().map_or(file.added, |(_, last)| last);
        let named = |name: &String| crate::entry::names_source(name, &file.source);
        let about = retention.sources.is_empty() || retention.sources.iter().any(named);
        if last >= retention.before || !about {
            continue;
        }
        if manifest.held_by(file).is_some() {
            done.files_held += 1;
        } else {
            done.files_removed += 1;
            done.events_removed += file.rows;
            done.bytes_freed += file.bytes.cast_signed();
            gone.push(file.clone());
        }
    }
    (done, gone)
}

/// Removals of files, and of runs that cover nothing else.
fn remove(manifest: &Manifest, files: &[FileEntry], now: Timestamp) -> Vec<Action> {
    let going: BTreeSet<FileNumber> = files.iter().map(|file| file.number).collect();
    let dead = |number| going.contains(number) || !manifest.files.contains_key(number);
    let runs = manifest.runs.values().filter(|run| run.files.iter().all(dead));
    let files = files.iter().map(|file| Action::Remove { number: file.number, at: now.0 });
    files.chain(runs.map(|run| Action::RemoveRun { path: run.path.clone(), at: now.0 })).collect()
}

/// Runs of neighbouring files of one partition that fit into one file.
fn small_files(manifest: &Manifest) -> Vec<Vec<FileEntry>> {
    let mut partitions: BTreeMap<(Day, &Source), Vec<&FileEntry>> = BTreeMap::new();
    for file in manifest.files.values() {
        partitions.entry((file.day, &file.source)).or_default().push(file);
    }
    let mut all = Vec::new();
    for files in partitions.values() {
        let mut run: Vec<FileEntry> = Vec::new();
        for file in files {
            let rows: u64 = run.iter().map(|file| file.rows).sum::<u64>() + file.rows;
            let bytes: u64 = run.iter().map(|file| file.bytes).sum::<u64>() + file.bytes;
            if rows > (GROUP_ROWS_MAX * GROUPS_MAX) as u64 || bytes > FILE_BYTES_MAX as u64 {
                all.push(std::mem::take(&mut run));
            }
            run.push((*file).clone());
        }
        all.push(run);
    }
    all.retain(|run| run.len() > 1);
    all
}

/// Partitions that are rewritten in one commit: as many as make some large files.
fn at_once(all: Vec<Vec<FileEntry>>) -> Vec<Vec<Vec<FileEntry>>> {
    let mut groups: Vec<Vec<Vec<FileEntry>>> = Vec::new();
    let mut bytes = FILE_BYTES_MAX as u64;
    for files in all {
        bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        match groups.last_mut().filter(|group| bytes < FILE_BYTES_MAX as u64 && group.len() < 256) {
            Some(group) => group.push(files),
            None => {
                bytes = files.iter().map(|file| file.bytes).sum();
                groups.push(vec![files]);
            }
        }
    }
    groups
}

/// Rebuilds every event of a file with all second names of its values. The visitor is given
/// batches, and nothing at the end of each row group.
pub(crate) fn read_file(
    archive: &Archive,
    file: &FileEntry,
    sources: &LogSources,
    visit: &mut dyn FnMut(&Dictionary, Option<&besa_event::Batch>) -> Result<()>,
) -> Result<()> {
    let data = DataFile::open(archive.store(), file)?;
    let class = sources.intern(data.class.clone());
    let dictionary = Dictionary::builder().build();
    let mut rebuilder = Rebuilder::new(&dictionary, sources);
    (0..data.groups()).try_for_each(|group| {
        let rows = Rows::read(Columns::new(&data, group), &dictionary, EVERYTHING, None)?;
        let mut hand = |batch: &besa_event::Batch| visit(&dictionary, Some(batch));
        rebuilder.run(&rows, class, Window::default(), None, &mut hand)?;
        visit(&dictionary, None)
    })
}

/// What a verification looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Data files.
    pub files: u64,
    /// Their events, all rebuilt.
    pub events: u64,
    /// Index runs.
    pub runs: u64,
    /// Files that no run covers: searched without index.
    pub files_without_run: u64,
    /// Files whose runs were held against their events.
    pub files_indexed: u64,
    /// What is wrong; each names its file.
    pub defects: Vec<Defect>,
}

impl Archive {
    /// Reads everything: hashes of files and runs, every row, every event's time; with `observe`,
    /// whether every value of every row group is in the index.
    ///
    /// # Errors
    /// Only [`Error::Cancelled`]; what is wrong with the archive stands in the result.
    pub fn verify(
        &self,
        observe: Option<&Arc<dyn Observe>>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Verified> {
        let mut found = Verified::default();
        let mut defect = |path: &str, error: Error| {
            let origin = Origin::new(path);
            found.defects.push(Defect { origin, place: Place::Whole, reason: error.to_string() });
        };
        let (mut events, mut indexed) = (0, 0);
        for file in self.manifest().files.values() {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            match self.verify_file(file) {
                Ok(()) => events += file.rows,
                Err(error) => {
                    defect(&file.path, error);
                    continue;
                }
            }
            match observe.map(|observe| self.verify_index(file, observe)) {
                Some(Err(error)) => defect(&file.path, error),
                result => indexed += u64::from(result.is_some()),
            }
        }
        for run in self.manifest().runs.values() {
            if let Err(error) = self.verify_hash(&run.path, &run.sha256) {
                defect(&run.path, error);
            }
        }
        found.files = self.manifest().files.len() as u64;
        found.runs = self.manifest().runs.len() as u64;
        (found.events, found.files_indexed) = (events, indexed);
        let runs = self.manifest().runs.values();
        let covered: BTreeSet<FileNumber> = runs.flat_map(|run| run.files.iter().copied()).collect();
        let uncovered = self.manifest().files.keys().filter(|number| !covered.contains(number));
        found.files_without_run = uncovered.count() as u64;
        Ok(found)
    }

    fn verify_hash(&self, path: &str, sha256: &str) -> Result<()> {
        if digest(&self.store().get(path)?) == sha256 {
            Ok(())
        } else {
            Err(Error::damaged(path, "its SHA-256 is not the one that was written"))
        }
    }

    fn verify_file(&self, file: &FileEntry) -> Result<()> {
        self.verify_hash(&file.path, &file.sha256)?;
        let sources = LogSources::new();
        let (mut rows, mut outside) = (0, 0);
        read_file(self, file, &sources, &mut |_, batch| {
            let Some(batch) = batch else { return Ok(()) };
            rows += batch.len() as u64;
            let wrong = batch.events().filter(|event| Day::of(event.time().map(|time| time.at)) != file.day);
            outside += wrong.count();
            Ok(())
        })?;
        if rows != file.rows || outside > 0 {
            let reason = format!("{rows} of {} events, {outside} of them of another day", file.rows);
            return Err(Error::damaged(&file.path, reason));
        }
        Ok(())
    }
}
