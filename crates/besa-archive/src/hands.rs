//! Threads that encode what an ingest has collected, and write it.
//!
//! Which row group ends when, which file gets which number, and what is written into one run is
//! decided by whoever gives tasks, at the same places whatever the number of threads: what came of
//! tasks is taken in the order in which they were given, and never more than [`UNDER_WAY_MAX`] are
//! under way. Without threads a task is done when it is given.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use besa_event::Timestamp;

use crate::codec::page::PageWriter;
use crate::entry::{FileEntry, FileNumber, RunEntry};
use crate::error::{Error, Result};
use crate::index::{FileKeys, RunDraft};
use crate::store::{Store, digest};
use crate::write::column::Column;
use crate::write::file::assemble;
use crate::write::piece::{Ended, Ending, Piece};

/// Tasks that were given and not taken, at most.
pub(crate) const UNDER_WAY_MAX: usize = 6;

/// Names are never given twice: by the manifest's version, a counter, and the content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) session: u64,
    pub(crate) serial: u64,
}

impl Name {
    fn with(self, sha256: &str) -> String {
        format!("{:010}-{:05}-{}", self.session, self.serial, sha256.get(..12).unwrap_or_default())
    }
}

/// What is to be done.
pub(crate) enum Task {
    /// A row group of the piece of that number is to be encoded.
    Group(usize, Box<Ending>),
    /// A piece is to become a data file; with its last row group.
    File {
        piece: Box<Piece>,
        last: Option<Box<Ending>>,
        number: FileNumber,
        name: Name,
        folder: String,
        added: Timestamp,
    },
    /// Keys are to become a run.
    Run { draft: RunDraft, name: Name, observes: u32 },
}

/// What came of it.
pub(crate) enum Made {
    Group(usize, Box<Ended>),
    File { entry: FileEntry, keys: Option<FileKeys>, spare: Vec<Column> },
    Run(RunEntry),
}

type Outcome = Result<Made>;

/// See the module.
pub(crate) struct Hands {
    store: Store,
    pages: PageWriter,
    /// Absent without threads.
    tasks: Option<Sender<(Task, Sender<Outcome>)>>,
    threads: Vec<JoinHandle<()>>,
    /// With the bytes that each task holds.
    waiting: VecDeque<(usize, Receiver<Outcome>)>,
    weight: usize,
}

impl Hands {
    /// So many threads, which compress at this level.
    ///
    /// # Errors
    /// When the level does not exist.
    pub(crate) fn new(store: Store, level: i32, threads: usize) -> Result<Self> {
        let (tasks, queue) = channel::<(Task, Sender<Outcome>)>();
        let queue = Arc::new(Mutex::new(queue));
        let mut hands = Vec::new();
        for number in 0..threads {
            let (queue, store, mut pages) = (Arc::clone(&queue), store.clone(), PageWriter::new(level)?);
            let work = move || {
                loop {
                    let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((task, tell)) = task else { return };
                    // Who gave the task may have given up.
                    let _ = tell.send(task.run(&store, &mut pages));
                }
            };
            let builder = std::thread::Builder::new().name(format!("encoder {number}"));
            match builder.spawn(work) {
                Ok(hand) => hands.push(hand),
                // With fewer threads, or none, the same is done.
                Err(_) => break,
            }
        }
        let tasks = (!hands.is_empty()).then_some(tasks);
        let pages = PageWriter::new(level)?;
        Ok(Self { store, pages, tasks, threads: hands, waiting: VecDeque::new(), weight: 0 })
    }

    /// Bytes of what was given and not taken yet.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether something has to be taken before more is given.
    pub(crate) fn are_full(&self) -> bool {
        self.waiting.len() >= UNDER_WAY_MAX
    }

    /// Gives a task that holds so many bytes.
    pub(crate) fn give(&mut self, task: Task, weight: usize) {
        let (tell, told) = channel();
        // Should all threads have ended, nothing is told, which is noticed.
        let _ = match &self.tasks {
            Some(tasks) => tasks.send((task, tell)).is_ok(),
            None => tell.send(task.run(&self.store, &mut self.pages)).is_ok(),
        };
        self.waiting.push_back((weight, told));
        self.weight += weight;
    }

    /// What came of the oldest task, once it is done; `None` if there is none.
    pub(crate) fn take(&mut self) -> Option<Outcome> {
        let (weight, told) = self.waiting.pop_front()?;
        self.weight -= weight;
        Some(told.recv().unwrap_or_else(|_| Err(Error::Invalid("a thread that encodes ended".into()))))
    }
}

impl Drop for Hands {
    /// Nothing is written any more once the archive is given back.
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Task {
    fn run(self, store: &Store, pages: &mut PageWriter) -> Outcome {
        match self {
            Self::Group(piece, ending) => Ok(Made::Group(piece, Box::new(ending.encode(pages)?))),
            Self::File { mut piece, last, number, name, folder, added } => {
                let mut spare = Vec::new();
                if let Some(ending) = last {
                    let mut ended = ending.encode(pages)?;
                    spare = std::mem::take(&mut ended.spare);
                    piece.take(ended);
                }
                let groups: Vec<_> = piece.groups.iter().map(|group| group.entry).collect();
                let keys = piece.indexer.take().map(|indexer| indexer.keys(groups.len()));
                let bytes = assemble(&mut piece, pages)?;
                let sha256 = digest(&bytes);
                let entry = FileEntry {
                    number,
                    path: format!("{folder}/{}.parquet", name.with(&sha256)),
                    day: piece.day,
                    source: std::mem::take(&mut piece.source),
                    rows: piece.len(),
                    bytes: bytes.len() as u64,
                    sha256,
                    groups,
                    added: added.0,
                };
                store.put(&entry.path, bytes)?;
                Ok(Made::File { entry, keys, spare })
            }
            Self::Run { draft, name, observes } => {
                let (files, bytes) = draft.finish();
                let sha256 = digest(&bytes);
                let path = format!("index/{}.run", name.with(&sha256));
                let run = RunEntry { path, files, bytes: bytes.len() as u64, sha256, observes };
                store.put(&run.path, bytes)?;
                Ok(Made::Run(run))
            }
        }
    }
}
