//! Streaming ingest: batches in, durable commits out.
//!
//! ```text
//! append ─▶ piece of the event's partition ─full, or memory is short─▶ threads encode and write a
//!           data file (not yet visible)
//! flush  ─▶ all pieces to files, all files synced, one manifest version: acknowledged
//! ```
//!
//! Invariants:
//! - Nothing of an ingest is visible before a flush, everything after it. A crash between leaves
//!   files that no manifest names; the next writer collects them.
//! - Memory is bounded by [`IngestOptions::memory`] whatever the number of partitions: beyond it
//!   row groups are encoded early, and pieces written out.
//! - Deterministic: the same batches with the same options give the same files, whatever the number
//!   of threads.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use besa_event::{Batch, Dictionary, Event, LogSource, LogSourceId, LogSources, Timestamp};

use crate::archive::Writer;
use crate::entry::{Day, FileEntry, FileNumber, RunEntry, Source};
use crate::error::{Error, Result};
use crate::hands::{Hands, Made, Name, Task};
use crate::index::{FileIndexer, Observe, RunDraft};
use crate::manifest::Action;
use crate::runs::Tended;
use crate::store::{Store, digest};
use crate::write::names::NAMES_MAX;
use crate::write::piece::{Kit, Piece};

/// Bytes from which ending a row group is better than closing its file.
const GROUP_WORTH_ENDING: usize = 1 << 20;

/// How an ingest works.
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Bytes that pieces may hold together, those that are being encoded included.
    pub memory: usize,
    /// Threads that encode and write; with none, who appends does it.
    pub threads: usize,
    /// zstd level of the columns.
    pub level: i32,
    /// Age in ns after which [`Ingest::is_due`] says so.
    pub age: i64,
    /// Events after which it says so.
    pub events: u64,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self { memory: 96 << 20, threads: 0, level: 1, age: 10 * 1_000_000_000, events: 1 << 20 }
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
    hands: Hands,
    observe: Option<Arc<dyn Observe>>,
    options: IngestOptions,
    /// By number of the partition.
    open: Vec<Option<Piece>>,
    /// Bytes of all open pieces.
    open_weight: usize,
    partitions: BTreeMap<(Day, Source), usize>,
    kit: Kit,
    /// Files and runs that are written and not yet in the manifest.
    sealed: Vec<FileEntry>,
    runs: Vec<RunEntry>,
    /// Of sealed files, what no run says yet; and what is large enough to be written.
    draft: RunDraft,
    drafts_due: Vec<RunDraft>,
    store: Store,
    /// Distinguishes this writer's files: version of the manifest it began with, a number.
    session: u64,
    next_file: u64,
    serial: u64,
}

/// See the module. Holds the archive's write lock.
pub struct Ingest {
    // Dropped first: its threads write, for which the lock is held.
    pieces: Pieces,
    writer: Writer,
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
    pub fn discard(mut self) {
        self.pieces.discard();
    }
}

impl Pieces {
    pub(crate) fn new(writer: &Writer, options: IngestOptions) -> Result<Self> {
        let store = writer.store().clone();
        let mut pieces = Self {
            hands: Hands::new(store.clone(), options.level, options.threads)?,
            observe: writer.observe().cloned(),
            options,
            open: Vec::new(),
            open_weight: 0,
            partitions: BTreeMap::new(),
            kit: Kit::default(),
            sealed: Vec::new(),
            runs: Vec::new(),
            draft: RunDraft::default(),
            drafts_due: Vec::new(),
            store,
            session: 0,
            next_file: 0,
            serial: 0,
        };
        pieces.restart(writer);
        Ok(pieces)
    }

    fn restart(&mut self, writer: &Writer) {
        self.session = writer.manifest().version + 1;
        self.next_file = writer.manifest().next_file;
    }

    pub(crate) fn start_batch(&mut self) {
        self.kit.names.start_batch();
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
        event: Event<'_>,
        dictionary: &Dictionary,
        now: Timestamp,
    ) -> Result<()> {
        let Some(Some(piece)) = self.open.get_mut(partition) else {
            return Err(Error::Invalid("a partition that is not open".to_owned()));
        };
        let before = piece.weight();
        piece.push(event, dictionary, &mut self.kit);
        self.open_weight = (self.open_weight + piece.weight()).saturating_sub(before);
        if piece.group_is_full() {
            self.end_group(partition)?;
            self.close_if_full(partition, now)?;
        }
        Ok(())
    }

    /// Gives the row group under way of a piece away to be encoded.
    fn end_group(&mut self, partition: usize) -> Result<()> {
        let Some(Some(piece)) = self.open.get_mut(partition) else { return Ok(()) };
        let before = piece.weight();
        let ending = piece.end_group(&self.kit.names);
        self.open_weight = (self.open_weight + piece.weight()).saturating_sub(before);
        match ending {
            Some(ending) => {
                let weight = ending.weight();
                self.give(Task::Group(partition, Box::new(ending)), weight)
            }
            None => Ok(()),
        }
    }

    /// Closes a piece that has enough for a file, and opens the next one.
    fn close_if_full(&mut self, partition: usize, now: Timestamp) -> Result<()> {
        let Some(Some(piece)) = self.open.get(partition) else { return Ok(()) };
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
        let memory = self.options.memory;
        // A quarter is for what is being encoded.
        while self.open_weight > memory / 4 * 3 {
            let open = self.open.iter().enumerate();
            let weights = open.filter_map(|(number, piece)| Some((piece.as_ref()?.weight(), number)));
            let Some((_, largest)) = weights.max() else { break };
            let Some(Some(piece)) = self.open.get(largest) else { break };
            if piece.group_weight() < GROUP_WORTH_ENDING {
                self.seal(largest, now)?;
                continue;
            }
            self.end_group(largest)?;
            let is_full = matches!(self.open.get(largest), Some(Some(piece)) if piece.is_full());
            if is_full {
                self.seal(largest, now)?;
            }
        }
        while self.open_weight + self.hands.weight() + self.kit.spare.weight() > memory && self.take()? {}
        if self.kit.names.len() > NAMES_MAX {
            self.seal_all(now)?;
            self.kit = Kit::default();
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

    /// Gives one piece away to become a data file.
    fn seal(&mut self, partition: usize, now: Timestamp) -> Result<()> {
        while matches!(self.open.get(partition), Some(Some(piece)) if piece.is_awaiting()) && self.take()? {}
        let Some(mut piece) = self.open.get_mut(partition).and_then(Option::take) else { return Ok(()) };
        let weight = piece.weight();
        self.open_weight = self.open_weight.saturating_sub(weight);
        if piece.len() == 0 {
            return Ok(());
        }
        let last = piece.end_group(&self.kit.names).map(Box::new);
        let folder = format!("data/day={}/source={}", piece.day, slug(&piece.source));
        let number = FileNumber(self.next_file);
        self.next_file += 1;
        let name = self.name();
        self.give(Task::File { piece: Box::new(piece), last, number, name, folder, added: now }, weight)
    }

    fn name(&mut self) -> Name {
        self.serial += 1;
        Name { session: self.session, serial: self.serial }
    }

    /// Gives a task away, and before it the runs that are due.
    fn give(&mut self, task: Task, weight: usize) -> Result<()> {
        while self.hands.are_full() && self.take()? {}
        for draft in std::mem::take(&mut self.drafts_due) {
            self.give_run(draft);
        }
        self.hands.give(task, weight);
        Ok(())
    }

    fn give_run(&mut self, draft: RunDraft) {
        let Some(observes) = self.observe.as_ref().map(|observe| observe.version()) else { return };
        let (name, weight) = (self.name(), draft.weight());
        self.hands.give(Task::Run { draft, name, observes }, weight);
    }

    /// Takes what came of the oldest task; tells whether there was one.
    fn take(&mut self) -> Result<bool> {
        let Some(made) = self.hands.take() else { return Ok(false) };
        match made? {
            Made::Group(partition, mut ended) => {
                self.kit.spare.put(std::mem::take(&mut ended.spare));
                if let Some(Some(piece)) = self.open.get_mut(partition) {
                    let before = piece.weight();
                    piece.take(*ended);
                    self.open_weight = (self.open_weight + piece.weight()).saturating_sub(before);
                }
            }
            Made::File { entry, keys, spare } => {
                self.kit.spare.put(spare);
                if let Some(keys) = keys {
                    if !self.draft.has_room_for(&keys) {
                        self.drafts_due.push(std::mem::take(&mut self.draft));
                    }
                    self.draft.add(entry.number, keys);
                }
                self.sealed.push(entry);
            }
            Made::Run(run) => self.runs.push(run),
        }
        Ok(true)
    }

    /// Seals everything and makes it durable; what is left to do is to commit the actions.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Result<(Vec<Action>, Receipt)> {
        self.seal_all(now)?;
        while self.take()? {}
        let last = std::mem::take(&mut self.draft);
        let drafts = std::mem::take(&mut self.drafts_due).into_iter().chain([last]);
        drafts.filter(|draft| !draft.is_empty()).for_each(|draft| self.give_run(draft));
        while self.take()? {}
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

    /// Deletes what was written since the last flush.
    pub(crate) fn discard(&mut self) {
        while let Some(made) = self.hands.take() {
            match made {
                Ok(Made::File { entry, .. }) => self.sealed.push(entry),
                Ok(Made::Run(run)) => self.runs.push(run),
                _ => {}
            }
        }
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
