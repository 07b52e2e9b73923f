//! Streaming ingest: batches in, durable commits out.
//!
//! ```text
//! append ─▶ piece of the event's partition ─full, or memory is short─▶ data file (not yet visible)
//! flush  ─▶ all pieces to files, all files synced, one manifest version: acknowledged
//! ```
//!
//! Invariants:
//! - Nothing of an ingest is visible before a flush, everything after it. A crash between leaves
//!   files that no manifest names; the next writer collects them.
//! - Memory is bounded by [`IngestOptions::memory`] whatever the number of partitions: beyond it
//!   row groups are encoded early, and pieces written out.
//! - Deterministic: the same batches with the same options give the same files.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use besa_event::{Batch, Dictionary, LogSource, LogSourceId, LogSources, Timestamp};
use foldhash::fast::RandomState;

use crate::archive::Writer;
use crate::codec::page::PageWriter;
use crate::entry::{Day, FileEntry, FileNumber, RunEntry, Source};
use crate::error::{Error, Result};
use crate::index::{FileIndexer, Observe, RunDraft};
use crate::manifest::Action;
use crate::runs::Tended;
use crate::store::{Store, digest};
use crate::write::file::assemble;
use crate::write::names::{NAMES_MAX, Names};
use crate::write::piece::Piece;

/// Bytes from which ending a row group is better than closing its file.
const GROUP_WORTH_ENDING: usize = 4 << 20;

/// How an ingest works.
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Bytes that pieces may hold together.
    pub memory: usize,
    /// zstd level of the columns.
    pub level: i32,
    /// Age in ns after which [`Ingest::is_due`] says so.
    pub age: i64,
    /// Events after which it says so.
    pub events: u64,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self { memory: 96 << 20, level: 1, age: 10 * 1_000_000_000, events: 1 << 20 }
    }
}

/// What a flush acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Version of the manifest that holds it.
    pub version: u64,
    /// Events that are durable and searchable now and were not before.
    pub events: u64,
    /// Data files that hold them.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Size of their index runs in bytes.
    pub index_bytes: u64,
}

/// Pieces under construction, and files that wait for their commit.
pub(crate) struct Pieces {
    store: Store,
    observe: Option<Arc<dyn Observe>>,
    options: IngestOptions,
    /// By number of the partition.
    open: Vec<Option<Piece>>,
    partitions: BTreeMap<(Day, Source), usize>,
    names: Names,
    hasher: RandomState,
    pages: PageWriter,
    /// Files and runs that are written and not yet in the manifest.
    sealed: Vec<FileEntry>,
    runs: Vec<RunEntry>,
    /// Of sealed files, what no run says yet.
    draft: RunDraft,
    /// Distinguishes this writer's files: version of the manifest it began with, a number.
    session: u64,
    next_file: u64,
    serial: u64,
    weight: usize,
}

/// See the module. Holds the archive's write lock.
pub struct Ingest {
    writer: Writer,
    pieces: Pieces,
    events: u64,
    oldest: Option<Timestamp>,
    /// Numbers of the partitions that the batch under way has met.
    met: HashMap<(LogSourceId, Day), usize>,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Ingest {
    pub(crate) fn new(writer: Writer, options: IngestOptions) -> Result<Self> {
        let pieces = Pieces::new(&writer, options)?;
        Ok(Self { writer, pieces, events: 0, oldest: None, met: HashMap::new() })
    }

    /// Takes the events of a batch. They are not durable before [`Ingest::flush`].
    ///
    /// # Errors
    /// When a data file cannot be written; the ingest has then to be given up, and nothing of it
    /// since the last flush is in the archive.
    pub fn append(
        &mut self,
        batch: &Batch,
        dictionary: &Dictionary,
        sources: &LogSources,
        now: Timestamp,
    ) -> Result<()> {
        self.met.clear();
        self.pieces.start_batch();
        let mut last = None;
        for event in batch.events() {
            let of = (event.logsource(), Day::of(event.time().map(|time| time.at)));
            let partition = match last {
                Some((known, partition)) if known == of => partition,
                _ => *self
                    .met
                    .entry(of)
                    .or_insert_with(|| self.pieces.partition(of.1, Source::from(sources.get(of.0).as_ref()))),
            };
            last = Some((of, partition));
            self.pieces.push(partition, event, dictionary, now)?;
        }
        self.events += batch.len() as u64;
        if !batch.is_empty() {
            self.oldest.get_or_insert(now);
        }
        self.pieces.bound(now)
    }

    /// Whether enough came together, or waited for long enough, that a flush is due.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let waited = self.oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0));
        self.events >= self.pieces.options.events || waited >= self.pieces.options.age
    }

    /// Events appended since the last flush.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.events
    }

    /// Makes everything appended durable and visible. `now` is when it was added.
    ///
    /// # Errors
    /// When a file cannot be written or another writer is in the way; then nothing of it is in
    /// the archive.
    pub fn flush(&mut self, now: Timestamp) -> Result<Receipt> {
        let (actions, mut receipt) = self.pieces.finish(now)?;
        if !actions.is_empty() {
            self.writer.commit(actions)?;
        }
        receipt.version = self.writer.manifest().version;
        self.events = 0;
        self.oldest = None;
        self.pieces.restart(&self.writer);
        Ok(receipt)
    }

    /// Merges index runs where enough came together ([`Writer::merge_runs`]); for the time after a
    /// flush was acknowledged.
    ///
    /// # Errors
    /// As [`Writer::merge_runs`]; what was flushed stays.
    pub fn tend(&mut self, now: Timestamp) -> Result<Tended> {
        let done = self.writer.merge_runs(now);
        self.pieces.restart(&self.writer);
        done
    }

    /// Gives up what was appended since the last flush and deletes its files.
    pub fn discard(self) {
        self.pieces.discard();
    }
}

impl Pieces {
    pub(crate) fn new(writer: &Writer, options: IngestOptions) -> Result<Self> {
        let mut pieces = Self {
            store: writer.store().clone(),
            observe: writer.observe().cloned(),
            options,
            open: Vec::new(),
            partitions: BTreeMap::new(),
            names: Names::default(),
            hasher: RandomState::default(),
            pages: PageWriter::new(options.level)?,
            sealed: Vec::new(),
            runs: Vec::new(),
            draft: RunDraft::default(),
            session: 0,
            next_file: 0,
            serial: 0,
            weight: 0,
        };
        pieces.restart(writer);
        Ok(pieces)
    }

    fn restart(&mut self, writer: &Writer) {
        self.session = writer.manifest().version + 1;
        self.next_file = writer.manifest().next_file;
    }

    pub(crate) fn start_batch(&mut self) {
        self.names.start_batch();
    }

    /// The number of a partition; it holds until the end of the batch.
    pub(crate) fn partition(&mut self, day: Day, source: Source) -> usize {
        let next = self.open.len();
        let number = *self.partitions.entry((day, source.clone())).or_insert(next);
        if number == next {
            self.open.push(None);
        }
        if let Some(place @ None) = self.open.get_mut(number) {
            let class = LogSource::from(&source);
            let indexer = self.observe.clone().map(|observe| FileIndexer::new(observe, class));
            *place = Some(Piece::new(day, source, indexer));
        }
        number
    }

    /// Adds one event to its partition.
    pub(crate) fn push(
        &mut self,
        partition: usize,
        event: besa_event::Event<'_>,
        dictionary: &Dictionary,
        now: Timestamp,
    ) -> Result<()> {
        let Some(Some(piece)) = self.open.get_mut(partition) else {
            return Err(Error::Invalid("a partition that is not open".to_owned()));
        };
        let before = piece.weight();
        piece.push(event, dictionary, &mut self.names, &self.hasher);
        if piece.group_is_full() {
            piece.end_group(&self.names, &mut self.pages)?;
        }
        self.weight = (self.weight + piece.weight()).saturating_sub(before);
        if piece.is_full() {
            let (day, source) = (piece.day, piece.source.clone());
            self.seal(partition, now)?;
            self.partition(day, source);
        }
        Ok(())
    }

    /// Makes memory fit its bound: ends the row group of the largest piece, or writes the piece out
    /// if it has little to be encoded.
    pub(crate) fn bound(&mut self, now: Timestamp) -> Result<()> {
        while self.weight > self.options.memory {
            let open = self.open.iter().enumerate();
            let weights = open.filter_map(|(number, piece)| Some((piece.as_ref()?.weight(), number)));
            let Some((before, largest)) = weights.max() else { return Ok(()) };
            let Some(Some(piece)) = self.open.get_mut(largest) else { return Ok(()) };
            if piece.group_weight() < GROUP_WORTH_ENDING {
                self.seal(largest, now)?;
                continue;
            }
            piece.end_group(&self.names, &mut self.pages)?;
            self.weight = (self.weight + piece.weight()).saturating_sub(before);
            if piece.is_full() {
                self.seal(largest, now)?;
            }
        }
        if self.names.len() > NAMES_MAX {
            self.seal_all(now)?;
            self.names = Names::default();
        }
        Ok(())
    }

    pub(crate) fn seal_all(&mut self, now: Timestamp) -> Result<()> {
        for partition in std::mem::take(&mut self.partitions).into_values() {
            self.seal(partition, now)?;
        }
        self.open.clear();
        Ok(())
    }

    /// Writes one piece as a data file with its run.
    fn seal(&mut self, partition: usize, now: Timestamp) -> Result<()> {
        let Some(mut piece) = self.open.get_mut(partition).and_then(Option::take) else { return Ok(()) };
        self.weight = self.weight.saturating_sub(piece.weight());
        if piece.len() == 0 {
            return Ok(());
        }
        piece.end_group(&self.names, &mut self.pages)?;
        let groups = piece.groups.iter().map(|group| group.entry).collect::<Vec<_>>();
        let rows = piece.len();
        let bytes = assemble(&mut piece, &mut self.pages)?;
        let sha256 = digest(&bytes);
        let name = self.name(&sha256);
        let path = format!("data/day={}/source={}/{name}.parquet", piece.day, slug(&piece.source));
        let number = FileNumber(self.next_file);
        self.next_file += 1;
        let file = FileEntry {
            number,
            path,
            day: piece.day,
            source: piece.source,
            rows,
            bytes: bytes.len() as u64,
            sha256,
            groups,
            added: now.0,
        };
        self.store.put(&file.path, bytes)?;
        if let Some(indexer) = piece.indexer {
            let keys = indexer.keys(file.groups.len());
            if !self.draft.has_room_for(&keys) {
                self.write_run()?;
            }
            self.draft.add(number, keys);
        }
        self.sealed.push(file);
        Ok(())
    }

    /// Names are never given twice: by the manifest's version, a counter, and the content.
    fn name(&mut self, sha256: &str) -> String {
        self.serial += 1;
        format!("{:010}-{:05}-{}", self.session, self.serial, sha256.get(..12).unwrap_or_default())
    }

    /// Writes what the draft holds as a run.
    fn write_run(&mut self) -> Result<()> {
        let Some(observes) = self.observe.as_ref().map(|observe| observe.version()) else { return Ok(()) };
        let (files, bytes) = std::mem::take(&mut self.draft).finish();
        if files.is_empty() {
            return Ok(());
        }
        let sha256 = digest(&bytes);
        let path = format!("index/{}.run", self.name(&sha256));
        let run = RunEntry { path, files, bytes: bytes.len() as u64, sha256, observes };
        self.store.put(&run.path, bytes)?;
        self.runs.push(run);
        Ok(())
    }

    /// Seals everything and makes it durable; what is left to do is to commit the actions.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Result<(Vec<Action>, Receipt)> {
        self.seal_all(now)?;
        self.write_run()?;
        let files = self.sealed.iter().map(|file| file.path.as_str());
        let paths: Vec<&str> = files.chain(self.runs.iter().map(|run| run.path.as_str())).collect();
        if !paths.is_empty() {
            self.store.persist(&paths)?;
        }
        let receipt = Receipt {
            version: 0,
            events: self.sealed.iter().map(|file| file.rows).sum(),
            files: self.sealed.len() as u64,
            bytes: self.sealed.iter().map(|file| file.bytes).sum(),
            index_bytes: self.runs.iter().map(|run| run.bytes).sum(),
        };
        let files = self.sealed.drain(..).map(Action::Add);
        Ok((files.chain(self.runs.drain(..).map(Action::AddRun)).collect(), receipt))
    }

    pub(crate) fn discard(&self) {
        let files = self.sealed.iter().map(|file| file.path.as_str());
        for path in files.chain(self.runs.iter().map(|run| run.path.as_str())) {
            // What stays is an orphan, which the next writer collects.
            let _ = self.store.delete(path);
        }
    }
}

/// A log source as a part of a path: its displayed name, and what tells it from others that are
/// displayed alike.
fn slug(source: &Source) -> String {
    let shown = LogSource::from(source).to_string().to_ascii_lowercase();
    let plain = shown.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' });
    let whole = serde_json::to_vec(source).unwrap_or_default();
    let hash = digest(&whole);
    format!("{}~{}", plain.take(60).collect::<String>(), hash.get(..8).unwrap_or_default())
}
