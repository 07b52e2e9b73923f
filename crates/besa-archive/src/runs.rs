//! Which index runs there are, which files they cover, and what they say.
//!
//! ```text
//! flush ─▶ a run for its data files ─64 of a tier─▶ one run (next tier) ─▶ …
//! ```
//! A tier is the logarithm of the number of files. So a year of files that came one by one each hour
//! has some 60 runs at each of three tiers, and a look-up opens those and no data file.
//!
//! Invariants:
//! - A file is passed over only if a run that covers it was read without an error, is of the
//!   version of [`Observe`] that asks, and fits what the manifest says of the file. Every other file
//!   is named with all its row groups: slower, never wrong.
//! - Merging is one commit that puts a run in the place of others; runs are never changed. A run
//!   that cannot be read is left out of it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use besa_event::{Dictionary, LogSource, LogSources, Timestamp};

use crate::archive::{Archive, Writer};
use crate::entry::{FileEntry, FileNumber, RunEntry};
use crate::error::{Error, Result};
use crate::index::{Asked, FileIndexer, Hits, Observe, Run, Searched, merge};
use crate::maintain::read_file;
use crate::manifest::{Action, Manifest};
use crate::store::{Blob, Store, digest};
use crate::write::names::{NAMES_MAX, Names};
use crate::write::piece::{Kit, Piece};

/// Runs of a tier that make one of the next.
const TIER: usize = 64;
/// Files indexed anew in one commit.
const REBUILT_AT_ONCE: usize = 256;
/// Threads that read runs: a bucket answers many requests at once.
const THREADS: usize = 8;

/// What the index says.
#[derive(Clone, Debug, Default)]
pub struct LookedUp {
    /// Row groups (bit n is row group n) that may hold something asked for, by file. Files that
    /// are not listed hold nothing of it.
    pub groups: HashMap<FileNumber, u64>,
    /// What of it each row group (by file and number) holds. One that is in `groups` and not here holds
    /// more than is told, or is in no run that tells all: it may hold anything that is asked for.
    pub hits: HashMap<(FileNumber, u32), Hits>,
    /// Files of which the index says nothing; `groups` has all their row groups.
    pub unindexed: BTreeSet<FileNumber>,
    /// Runs that could not be used, each with the reason.
    pub unusable: Vec<String>,
    /// Runs asked.
    pub runs: u64,
    /// What it cost.
    pub searched: Searched,
}

/// What looking after runs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Runs that were merged into others.
    pub merged: u64,
    /// Data files that had no usable run and have one now.
    pub rebuilt: u64,
    /// Runs that could not be used and are gone.
    pub dropped: u64,
}

/// Keys of a row group beyond which they are not told one by one: with so many it is as well to look
/// for everything.
const HITS_MAX: usize = 1 << 12;
/// The same of all row groups together: 32 MiB.
const ALL_HITS_MAX: usize = 1 << 22;

/// What one run names.
#[derive(Clone, Default)]
struct Named {
    groups: HashMap<FileNumber, u64>,
    /// `None` where there is too much to tell.
    hits: HashMap<(FileNumber, u32), Option<Hits>>,
    /// Files of which the run does not have everything.
    incomplete: BTreeSet<FileNumber>,
}

impl Named {
    /// Notes a key that is asked for and that a row group holds; keys come in ascending order. `told`
    /// counts those of all runs.
    fn note(&mut self, at: (FileNumber, u32), key: u64, asked: &Asked, told: &AtomicUsize) {
        let place = self.hits.entry(at).or_insert_with(|| Some(Hits::default()));
        let Some(hits) = place else { return };
        let new = hits.add(key, asked);
        let many = hits.len() > HITS_MAX;
        if new > 0 && (many || told.fetch_add(new, Ordering::Relaxed) >= ALL_HITS_MAX) {
            *place = None;
        }
    }
}

impl Archive {
    /// Asks all runs. `version` is that of the [`Observe`] that the values asked for go with.
    #[must_use]
    pub fn look_up(&self, asked: &Asked, version: u32) -> LookedUp {
        let manifest = self.manifest();
        let runs: Vec<&RunEntry> = manifest.runs.values().filter(|run| is_alive(manifest, run)).collect();
        let mut found = LookedUp { runs: runs.len() as u64, ..LookedUp::default() };
        let mut covered: BTreeSet<FileNumber> = BTreeSet::new();
        let mut hits: HashMap<(FileNumber, u32), Option<Hits>> = HashMap::new();
        let mut incomplete = BTreeSet::new();
        for (run, result) in runs.iter().zip(self.ask(&runs, asked, version)) {
            match result {
                Ok((named, cost)) => {
                    covered.extend(run.files.iter().copied());
                    for (file, groups) in named.groups {
                        *found.groups.entry(file).or_default() |= groups;
                    }
                    incomplete.extend(named.incomplete);
                    for (at, told) in named.hits {
                        join(hits.entry(at), told);
                    }
                    found.searched.blocks += cost.blocks;
                    found.searched.filters += cost.filters;
                    found.searched.keys += cost.keys;
                }
                Err(reason) => found.unusable.push(format!("{}: {reason}", run.path)),
            }
        }
        found.unindexed = manifest.files.keys().copied().filter(|file| !covered.contains(file)).collect();
        found.groups.extend(found.unindexed.iter().map(|file| (*file, u64::MAX)));
        let told =
            hits.into_iter().filter(|((file, _), _)| covered.contains(file) && !incomplete.contains(file));
        found.hits = told.filter_map(|(at, hits)| Some((at, hits?))).collect();
        found
    }

    fn ask(
        &self,
        runs: &[&RunEntry],
        asked: &Asked,
        version: u32,
    ) -> Vec<std::result::Result<(Named, Searched), String>> {
        let share = runs.len().div_ceil(THREADS).max(1);
        let told = &AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let hands: Vec<_> = runs
                .chunks(share)
                .map(|part| {
                    let all = move || {
                        part.iter().map(|run| self.ask_one(run, asked, version, told)).collect::<Vec<_>>()
                    };
                    (part.len(), scope.spawn(all))
                })
                .collect();
            let joined = hands.into_iter().map(|(len, hand)| {
                hand.join().unwrap_or_else(|_| vec![Err("it cannot be searched".to_owned()); len])
            });
            joined.flatten().collect()
        })
    }

    fn ask_one(
        &self,
        entry: &RunEntry,
        asked: &Asked,
        version: u32,
        told: &AtomicUsize,
    ) -> std::result::Result<(Named, Searched), String> {
        let run = open_run(self.store(), self.manifest(), entry, version)?;
        let mut named = Named::default();
        for position in run.incomplete() {
            if let Some(number) = entry.files.get(*position as usize) {
                named.groups.insert(*number, u64::MAX);
                named.incomplete.insert(*number);
            }
        }
        let is_there = |number: &&FileNumber| self.manifest().files.contains_key(number);
        let searched = run.search_keys(asked, &mut |key, file, groups| {
            if let Some(number) = entry.files.get(file as usize).filter(is_there) {
                *named.groups.entry(*number).or_default() |= groups;
                named.note((*number, groups.trailing_zeros()), key, asked, told);
            }
        });
        named.groups.retain(|number, _| self.manifest().files.contains_key(number));
        Ok((named, searched.map_err(|error| error.to_string())?))
    }

    /// Holds what the runs say of a file against what its events say: every key of every row
    /// group has to be found.
    pub(crate) fn verify_index(&self, file: &FileEntry, observe: &Arc<dyn Observe>) -> Result<()> {
        let made = index_file(self, file, observe)?;
        let len = made.len() as u64;
        let fresh =
            Run::open(bytes::Bytes::from(made), len).map_err(|error| Error::damaged(&file.path, error))?;
        let mut keys = Vec::new();
        let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
        let damaged = |error| Error::damaged(&file.path, error);
        fresh.each_key(&mut |key| keys.push(key)).map_err(damaged)?;
        let asked = Asked::of_keys(keys);
        fresh
            .search_keys(&asked, &mut |key, _, groups| *expected.entry(key).or_default() |= groups)
            .map_err(damaged)?;
        let manifest = self.manifest();
        for entry in manifest.runs.values().filter(|run| run.files.contains(&file.number)) {
            if entry.observes != observe.version() {
                continue;
            }
            let run = open_run(self.store(), manifest, entry, entry.observes)
                .map_err(|reason| Error::damaged(&entry.path, reason))?;
            let mut have: BTreeMap<u64, u64> = BTreeMap::new();
            run.search_keys(&asked, &mut |key, position, groups| {
                if entry.files.get(position as usize) == Some(&file.number) {
                    *have.entry(key).or_default() |= groups;
                }
            })
            .map_err(|error| Error::damaged(&entry.path, error))?;
            let incomplete = run.is_incomplete(entry.files.iter().position(|have| *have == file.number));
            let missing = expected
                .iter()
                .filter(|(key, groups)| *groups & !have.get(*key).copied().unwrap_or_default() != 0)
                .count();
            if missing > 0 && !incomplete {
                let reason = format!("{missing} of {} keys of `{}` are missing", expected.len(), file.path);
                return Err(Error::damaged(&entry.path, reason));
            }
        }
        Ok(())
    }
}

/// What two runs tell of one row group.
fn join(place: Entry<'_, (FileNumber, u32), Option<Hits>>, told: Option<Hits>) {
    match place {
        Entry::Vacant(place) => {
            place.insert(told);
        }
        Entry::Occupied(mut place) => match (place.get_mut(), told) {
            (Some(hits), Some(more)) => hits.join(more),
            (hits, _) => *hits = None,
        },
    }
}

/// Whether a run covers any file that is still there.
fn is_alive(manifest: &Manifest, run: &RunEntry) -> bool {
    run.files.iter().any(|file| manifest.files.contains_key(file))
}

/// Opens a run and holds it against the manifest.
fn open_run(
    store: &Store,
    manifest: &Manifest,
    entry: &RunEntry,
    version: u32,
) -> std::result::Result<Run<Blob>, String> {
    if entry.observes != version {
        return Err("it was made by another version and is not asked".to_owned());
    }
    let blob = store.open(&entry.path).map_err(|error| error.to_string())?;
    let len = blob.len();
    if len != entry.bytes {
        return Err(format!("it has {len} bytes, {} were written", entry.bytes));
    }
    let run = Run::open(blob, len).map_err(|error| error.to_string())?;
    let fits = |(position, number): (usize, &FileNumber)| {
        manifest.files.get(number).is_none_or(|file| file.groups.len() == run.groups(position) as usize)
    };
    if run.files() as usize != entry.files.len() || !entry.files.iter().enumerate().all(fits) {
        return Err("it is about other files".to_owned());
    }
    Ok(run)
}

/// The bytes of the run of a data file, from its events.
fn index_file(archive: &Archive, file: &FileEntry, observe: &Arc<dyn Observe>) -> Result<Vec<u8>> {
    let indexer = FileIndexer::new(Arc::clone(observe), LogSource::from(&file.source));
    let mut piece = Piece::new(file.day, file.source.clone(), Some(indexer));
    let mut kit = Kit::default();
    let sources = LogSources::new();
    read_file(archive, file, &sources, &mut |dictionary: &Dictionary, batch| {
        match batch {
            Some(batch) => {
                kit.names.start_batch();
                batch.events().for_each(|event| piece.push(event, dictionary, &mut kit));
            }
            None => {
                piece.end_group_indexed(&kit.names);
                if kit.names.len() > NAMES_MAX {
                    kit.names = Names::default();
                    piece.forget_names();
                }
            }
        }
        Ok(())
    })?;
    Ok(piece.indexer.map(|indexer| indexer.finish(file.groups.len())).unwrap_or_default())
}

impl Writer {
    /// Merges runs in tiers. What cannot be merged stays as it is.
    ///
    /// # Errors
    /// When a run cannot be written or the change cannot be committed.
    pub fn merge_runs(&mut self, now: Timestamp) -> Result<Tended> {
        let mut done = Tended::default();
        let Some(version) = self.observe().map(|observe| observe.version()) else { return Ok(done) };
        let mut broken: BTreeSet<String> = BTreeSet::new();
        while let Some(runs) = next_merge(self.manifest(), version, &broken) {
            let (mut entries, mut opened) = (Vec::new(), Vec::new());
            for entry in runs {
                match open_run(self.store(), self.manifest(), &entry, version) {
                    Ok(run) => {
                        opened.push(run);
                        entries.push(entry);
                    }
                    Err(_) => {
                        broken.insert(entry.path);
                    }
                }
            }
            if entries.is_empty() {
                continue;
            }
            match self.merge_opened(&entries, &opened, now)? {
                Ok(()) => done.merged += entries.len() as u64,
                Err(path) => {
                    broken.insert(path);
                }
            }
        }
        Ok(done)
    }

    /// Puts one run in the place of several. The inner error is the path of one that is damaged.
    fn merge_opened(
        &mut self,
        entries: &[RunEntry],
        opened: &[Run<Blob>],
        now: Timestamp,
    ) -> Result<std::result::Result<(), String>> {
        let manifest = self.manifest();
        let keep = |run: usize, file: usize| {
            let number = entries.get(run).and_then(|entry| entry.files.get(file));
            number.is_some_and(|number| manifest.files.contains_key(number))
        };
        let kept = entries.iter().enumerate().flat_map(|(run, entry)| {
            let numbers = entry.files.iter().enumerate();
            numbers.filter(move |(file, _)| keep(run, *file)).map(|(_, number)| *number)
        });
        let files: Vec<FileNumber> = kept.collect();
        let hashes: String = entries.iter().map(|entry| entry.sha256.as_str()).collect();
        let name = digest(format!("{hashes}{files:?}").as_bytes());
        let path = format!("index/{:010}-m-{}.run", manifest.version + 1, name.get(..12).unwrap_or_default());
        let mut damaged = None;
        let written = self.store().put_with(&path, &mut |out| {
            merge(opened, &keep, out).map_err(|(number, error)| {
                let at = entries.get(number).map(|entry| entry.path.clone()).unwrap_or_default();
                if matches!(error, crate::index::IndexError::Damaged(_)) {
                    damaged = Some(at.clone());
                }
                Error::damaged(at, error)
            })
        });
        let (bytes, sha256) = match (written, damaged) {
            (Ok(made), _) => made,
            (Err(_), Some(path)) => return Ok(Err(path)),
            (Err(error), None) => return Err(error),
        };
        self.store().persist(&[&path])?;
        let observes = entries.first().map_or(0, |entry| entry.observes);
        let made = RunEntry { path, files, bytes, sha256, observes };
        let gone = entries.iter().map(|entry| Action::RemoveRun { path: entry.path.clone(), at: now.0 });
        let actions = gone.chain([Action::AddRun(made)]).collect();
        self.commit(actions).map(Ok)
    }

    /// Reads all runs, makes those anew that are missing, damaged or of another version, and drops
    /// what cannot be used; then merges.
    ///
    /// # Errors
    /// When a run cannot be written, or [`Error::Cancelled`]; what was done before stays done.
    pub(crate) fn tend_runs(&mut self, now: Timestamp, cancelled: &dyn Fn() -> bool) -> Result<Tended> {
        let Some(observe) = self.observe().cloned() else { return Ok(Tended::default()) };
        let mut done = Tended::default();
        let mut sound: BTreeSet<FileNumber> = BTreeSet::new();
        let mut unsound: Vec<String> = Vec::new();
        for run in self.manifest().runs.values() {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            if self.is_sound(run, observe.version()) {
                sound.extend(run.files.iter().copied());
            } else {
                unsound.push(run.path.clone());
            }
        }
        let files = self.manifest().files.values();
        let missing: Vec<FileEntry> = files.filter(|file| !sound.contains(&file.number)).cloned().collect();
        for some in missing.chunks(REBUILT_AT_ONCE) {
            done.rebuilt += self.rebuild(some, &observe, cancelled)?;
        }
        if !unsound.is_empty() {
            done.dropped = unsound.len() as u64;
            self.commit(unsound.into_iter().map(|path| Action::RemoveRun { path, at: now.0 }).collect())?;
        }
        done.merged = self.merge_runs(now)?.merged;
        Ok(done)
    }

    fn is_sound(&self, run: &RunEntry, version: u32) -> bool {
        let hash = || self.store().get(&run.path).is_ok_and(|bytes| digest(&bytes) == run.sha256);
        open_run(self.store(), self.manifest(), run, version).is_ok() && hash()
    }

    /// Makes runs of files from their events. Files that cannot be read are passed over.
    fn rebuild(
        &mut self,
        files: &[FileEntry],
        observe: &Arc<dyn Observe>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<u64> {
        let archive = self.reader();
        let mut made: Vec<RunEntry> = Vec::new();
        for file in files {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            let Ok(bytes) = index_file(&archive, file, observe) else { continue };
            let sha256 = digest(&bytes);
            let name = format!("{:010}-i-{:010}", self.manifest().version + 1, file.number.0);
            let path = format!("index/{name}-{}.run", sha256.get(..12).unwrap_or_default());
            let entry = RunEntry {
                path,
                files: vec![file.number],
                bytes: bytes.len() as u64,
                sha256,
                observes: observe.version(),
            };
            self.store().put(&entry.path, bytes)?;
            made.push(entry);
        }
        let paths: Vec<&str> = made.iter().map(|run| run.path.as_str()).collect();
        self.store().persist(&paths)?;
        let count = made.len() as u64;
        if count > 0 {
            self.commit(made.into_iter().map(Action::AddRun).collect())?;
        }
        Ok(count)
    }
}

/// The runs that are to become one: 64 of a tier, or one of whose files most are gone.
fn next_merge(manifest: &Manifest, version: u32, broken: &BTreeSet<String>) -> Option<Vec<RunEntry>> {
    let usable = manifest
        .runs
        .values()
        .filter(|run| run.observes == version && !broken.contains(&run.path) && is_alive(manifest, run));
    let mut tiers: BTreeMap<u32, Vec<&RunEntry>> = BTreeMap::new();
    for run in usable {
        let gone = run.files.iter().filter(|file| !manifest.files.contains_key(file)).count();
        if gone * 2 > run.files.len() {
            return Some(vec![run.clone()]);
        }
        tiers.entry(run.files.len().max(1).ilog(TIER)).or_default().push(run);
    }
    let mut tier = tiers.into_values().find(|tier| tier.len() >= TIER)?;
    tier.sort_unstable_by_key(|run| run.files.first().copied());
    Some(tier.into_iter().take(TIER).cloned().collect())
}
