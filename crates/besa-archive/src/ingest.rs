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
//!   the largest piece is written out.
//! - Deterministic: the same batches with the same options give the same files.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use besa_event::{Batch, Dictionary, LogSource, LogSourceId, LogSources, Timestamp};
use foldhash::fast::RandomState;
use sha2::{Digest as _, Sha256};

use crate::archive::Writer;
use crate::codec::page::PageWriter;
use crate::entry::{Day, FileEntry, FileNumber, RunEntry, Source};
use crate::error::Result;
use crate::indexing::Indexing;
use crate::manifest::Action;
use crate::store::Store;
use crate::write::file::assemble;
use crate::write::names::{NAMES_MAX, Names};
use crate::write::piece::Piece;

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
        Self { memory: 256 << 20, level: 1, age: 10 * 1_000_000_000, events: 1 << 20 }
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

/// A file that is written and not yet in the manifest.
struct Sealed {
    file: FileEntry,
    run: Option<RunEntry>,
}

/// Pieces under construction, and files that wait for their commit.
pub(crate) struct Pieces {
    store: Store,
    indexing: Option<Arc<dyn Indexing>>,
    options: IngestOptions,
    open: BTreeMap<(Day, Source), Piece>,
    names: Names,
    hasher: RandomState,
    pages: PageWriter,
    sealed: Vec<Sealed>,
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
    /// Log sources of the batch under way.
    classes: HashMap<LogSourceId, Source>,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Ingest {
    pub(crate) fn new(writer: Writer, options: IngestOptions) -> Result<Self> {
        let pieces = Pieces::new(&writer, options)?;
        Ok(Self { writer, pieces, events: 0, oldest: None, classes: HashMap::new() })
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
        self.classes.clear();
        self.pieces.start_batch();
        for event in batch.events() {
            let source = self
                .classes
                .entry(event.logsource())
                .or_insert_with(|| Source::from(sources.get(event.logsource()).as_ref()));
            let day = Day::of(event.time().map(|time| time.at));
            self.pieces.push((day, source), event, dictionary, now)?;
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

    /// Gives up what was appended since the last flush and deletes its files.
    pub fn discard(self) {
        self.pieces.discard();
    }
}

impl Pieces {
    pub(crate) fn new(writer: &Writer, options: IngestOptions) -> Result<Self> {
        let mut pieces = Self {
            store: writer.store().clone(),
            indexing: writer.indexing().cloned(),
            options,
            open: BTreeMap::new(),
            names: Names::default(),
            hasher: RandomState::default(),
            pages: PageWriter::new(options.level)?,
            sealed: Vec::new(),
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

    /// Adds one event to its partition.
    pub(crate) fn push(
        &mut self,
        partition: (Day, &Source),
        event: besa_event::Event<'_>,
        dictionary: &Dictionary,
        now: Timestamp,
    ) -> Result<()> {
        let key = (partition.0, partition.1.clone());
        let indexing = &self.indexing;
        let piece = self.open.entry(key).or_insert_with_key(|(day, source)| {
            Piece::new(*day, source.clone(), indexing.as_ref().map(|indexing| indexing.start()))
        });
        let before = piece.weight();
        piece.push(event, dictionary, &mut self.names, &self.hasher);
        if piece.group_is_full() {
            piece.end_group(&self.names, &mut self.pages)?;
        }
        let full = piece.is_full();
        self.weight = (self.weight + piece.weight()).saturating_sub(before);
        if full {
            let key = (partition.0, partition.1.clone());
            self.seal(&key, now)?;
        }
        Ok(())
    }

    /// Writes the largest pieces out until memory is within its bound.
    pub(crate) fn bound(&mut self, now: Timestamp) -> Result<()> {
        while self.weight > self.options.memory {
            let largest = self.open.iter().max_by_key(|(_, piece)| piece.weight());
            let Some(key) = largest.map(|(key, _)| key.clone()) else { return Ok(()) };
            self.seal(&key, now)?;
        }
        if self.names.len() > NAMES_MAX {
            self.seal_all(now)?;
            self.names = Names::default();
        }
        Ok(())
    }

    fn seal_all(&mut self, now: Timestamp) -> Result<()> {
        while let Some(key) = self.open.keys().next().cloned() {
            self.seal(&key, now)?;
        }
        Ok(())
    }

    /// Writes one piece as a data file with its run.
    fn seal(&mut self, key: &(Day, Source), now: Timestamp) -> Result<()> {
        let Some(mut piece) = self.open.remove(key) else { return Ok(()) };
        self.weight = self.weight.saturating_sub(piece.weight());
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
        let run =
            piece.indexer.map(|indexer| self.put_run(&name, indexer.finish(), vec![number])).transpose()?;
        self.sealed.push(Sealed { file, run });
        Ok(())
    }

    /// Names are never given twice: by the manifest's version, a counter, and the content.
    fn name(&mut self, sha256: &str) -> String {
        self.serial += 1;
        format!("{:010}-{:05}-{}", self.session, self.serial, sha256.get(..12).unwrap_or_default())
    }

    fn put_run(&self, name: &str, bytes: Vec<u8>, files: Vec<FileNumber>) -> Result<RunEntry> {
        let path = format!("index/{name}.run");
        let run = RunEntry { path, files, bytes: bytes.len() as u64, sha256: digest(&bytes) };
        self.store.put(&run.path, bytes)?;
        Ok(run)
    }

    /// Seals everything and makes it durable; what is left to do is to commit the actions.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Result<(Vec<Action>, Receipt)> {
        self.seal_all(now)?;
        let paths: Vec<&str> = self
            .sealed
            .iter()
            .flat_map(|sealed| {
                [Some(sealed.file.path.as_str()), sealed.run.as_ref().map(|run| run.path.as_str())]
            })
            .flatten()
            .collect();
        if !paths.is_empty() {
            self.store.persist(&paths)?;
        }
        let mut receipt = Receipt::default();
        let mut actions = Vec::with_capacity(self.sealed.len() * 2);
        for Sealed { file, run } in self.sealed.drain(..) {
            receipt.events += file.rows;
            receipt.files += 1;
            receipt.bytes += file.bytes;
            actions.push(Action::Add(file));
            if let Some(run) = run {
                receipt.index_bytes += run.bytes;
                actions.push(Action::AddRun(run));
            }
        }
        Ok((actions, receipt))
    }

    pub(crate) fn discard(&self) {
        for Sealed { file, run } in &self.sealed {
            // What stays is an orphan, which the next writer collects.
            let _ = self.store.delete(&file.path);
            if let Some(run) = run {
                let _ = self.store.delete(&run.path);
            }
        }
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    use fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
