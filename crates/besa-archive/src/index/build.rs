//! The run of one data file from the values of its fields, and runs merged: what storage asks for.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::key::{self, Observed};
use super::run::{Run, RunWriter, merge};
use crate::entry::RunEntry;
use crate::error::{Error, Result};
use crate::indexing::{Indexer, Indexing};

/// Finds the observables in a value of a field; whoever knows what indicators are held against
/// gives it.
pub trait Observe: Send + Sync + fmt::Debug {
    /// Shows everything in a value that an indicator can be met by, derived keys included.
    fn observe(&self, field: &str, text: &[u8], see: &mut dyn FnMut(Observed<'_>));
}

/// Pairs of key and row group that one file can have; past them it is indexed as incomplete.
const PAIRS_MAX: usize = 1 << 26;
/// Pairs are sorted and made distinct when so many have been added.
const FRESH_MAX: usize = 1 << 20;

/// The index of observables.
#[derive(Clone, Debug)]
pub struct ObservableIndexing {
    observe: Arc<dyn Observe>,
}

impl ObservableIndexing {
    /// An index of what `observe` finds.
    #[must_use]
    pub fn new(observe: Arc<dyn Observe>) -> Self {
        Self { observe }
    }
}

impl Indexing for ObservableIndexing {
    fn start(&self) -> Box<dyn Indexer> {
        Box::new(FileIndexer {
            observe: Arc::clone(&self.observe),
            pairs: Vec::new(),
            distinct: 0,
            groups: 1,
            incomplete: false,
        })
    }

    fn merge(&self, runs: &[(RunEntry, Bytes)]) -> Result<Vec<u8>> {
        let opened: Result<Vec<_>> = runs
            .iter()
            .map(|(entry, bytes)| {
                Run::open(bytes.clone(), bytes.len() as u64)
                    .map_err(|error| Error::damaged(entry.path.clone(), error))
            })
            .collect();
        let mut out = Vec::new();
        merge(&opened?, &mut out).map_err(|(number, error)| {
            Error::damaged(runs.get(number).map(|(entry, _)| entry.path.as_str()).unwrap_or_default(), error)
        })?;
        Ok(out)
    }
}

struct FileIndexer {
    observe: Arc<dyn Observe>,
    /// `key << 6 | row group`; the first `distinct` are sorted.
    pairs: Vec<u64>,
    distinct: usize,
    groups: u8,
    incomplete: bool,
}

impl FileIndexer {
    fn settle(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        self.distinct = self.pairs.len();
        if self.distinct > PAIRS_MAX {
            self.incomplete = true;
            (self.pairs, self.distinct) = (Vec::new(), 0);
        }
    }
}

impl Indexer for FileIndexer {
    fn value(&mut self, row_group: u8, field: &str, text: &[u8]) {
        self.groups = self.groups.max(row_group.saturating_add(1));
        if self.incomplete || row_group > 63 {
            self.incomplete = true;
            return;
        }
        let pairs = &mut self.pairs;
        self.observe.observe(field, text, &mut |observed| {
            key::stored(observed, &mut |key| pairs.push(key << 6 | u64::from(row_group)));
        });
        if self.pairs.len() - self.distinct > FRESH_MAX.max(self.distinct) {
            self.settle();
        }
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.settle();
        let mut out = Vec::new();
        let mut writer = RunWriter::new(&mut out, vec![self.groups]);
        let mut written = Ok(());
        let mut units = Vec::new();
        for same in self.pairs.chunk_by(|one, other| one >> 6 == other >> 6) {
            units.clear();
            units.extend(same.iter().map(|pair| (pair & 63) as u32));
            let key = same.first().map_or(0, |pair| pair >> 6);
            written = written.and_then(|()| writer.push(key, &units));
        }
        let incomplete: &[u32] = if self.incomplete { &[0] } else { &[] };
        // Memory takes every write; should that ever change, no bytes are no run and are noticed.
        if written.and_then(|()| writer.finish(incomplete)).is_err() {
            out.clear();
        }
        out
    }
}
