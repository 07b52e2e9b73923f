//! The keys of one data file from the values of its fields: what the writer asks for.

use std::fmt;
use std::sync::Arc;

use besa_event::LogSource;
use besa_event::sieve::{Sieve as TextSieve, Words};

use super::draft::{FileKeys, RunDraft};
use super::key::{self, Observed};
use crate::entry::FileNumber;

/// Finds the observables in a value of a field; whoever knows what indicators are held against
/// gives it.
pub trait Observe: Send + Sync + fmt::Debug {
    /// Changes whenever something else is shown than before: runs of another version are not
    /// asked.
    fn version(&self) -> u32;

    /// The different ways in which the values of a field are looked at, in events of a class.
    /// `names` are the field's own and those that its reader gave to its values besides. A record
    /// without fields is told as a field with the empty name.
    fn ways(&self, class: &LogSource, names: &[&str]) -> Vec<u32>;

    /// Shows everything in a value by which an indicator can meet it, derived keys included.
    /// `text` is the decoded text, or the bytes as they are where they are not UTF-8.
    fn observe(&self, way: u32, text: &[u8], buffer: &mut Vec<u8>, see: &mut dyn FnMut(Observed<'_>));

    /// The same, when only what is sought counts: whatever is none of it may be left out.
    fn observe_sought(
        &self,
        way: u32,
        text: &[u8],
        _sought: &Sought,
        work: &mut ObserveWork,
        see: &mut dyn FnMut(Observed<'_>),
    ) {
        self.observe(way, text, &mut work.buffer, see);
    }

    /// Whether anything that is sought can be shown of many values: `bytes` hold all of them, with
    /// whatever between them, and none is longer than `longest`.
    fn may_show(&self, _way: u32, _sought: &Sought, _bytes: &[u8], _longest: usize) -> bool {
        true
    }

    /// Whether a value that is looked at in this way can mean something together with others of its
    /// event, though by itself it holds nothing that is sought.
    fn is_part(&self, _way: u32) -> bool {
        true
    }
}

/// Values that are sought in events.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Bits (`1 << kind`) of the kinds under which events hold them.
    pub kinds: u32,
    /// Holds those of them that stand in running text.
    pub text: TextSieve,
}

/// What observing needs for work; of one thread.
#[derive(Clone, Debug, Default)]
pub struct ObserveWork {
    /// A value under construction.
    pub buffer: Vec<u8>,
    /// Words under way.
    pub words: Words,
}

/// Pairs of key and row group that one file can have; past them it is indexed as incomplete.
const PAIRS_MAX: usize = 1 << 26;
/// Pairs are sorted and made distinct when so many have been added.
const FRESH_MAX: usize = 1 << 18;

/// Takes the distinct values of one data file, row group by row group.
pub(crate) struct FileIndexer {
    observe: Arc<dyn Observe>,
    class: LogSource,
    row_group: u8,
    ways: Vec<u32>,
    buffer: Vec<u8>,
    /// `key << 6 | row group`; the first `distinct` are sorted.
    pairs: Vec<u64>,
    distinct: usize,
    incomplete: bool,
}

impl FileIndexer {
    pub(crate) fn new(observe: Arc<dyn Observe>, class: LogSource) -> Self {
        Self {
            observe,
            class,
            row_group: 0,
            ways: Vec::new(),
            buffer: Vec::new(),
            pairs: Vec::new(),
            distinct: 0,
            incomplete: false,
        }
    }

    /// Bytes held.
    pub(crate) fn weight(&self) -> usize {
        self.pairs.capacity() * size_of::<u64>()
    }

    /// Another one for values of the same file.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(Arc::clone(&self.observe), self.class.clone())
    }

    /// Takes over what another one found in the same file.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.incomplete |= other.incomplete;
        self.pairs.append(&mut other.pairs);
        self.settle();
    }

    /// The ways in which values of a field of these names are looked at.
    pub(crate) fn ways(&self, names: &[&str]) -> Vec<u32> {
        self.observe.ways(&self.class, names)
    }

    /// The values that follow are looked at in these ways and stand in this row group (0 to 63).
    pub(crate) fn look(&mut self, row_group: u8, ways: Vec<u32>) {
        self.incomplete |= row_group > 63;
        self.row_group = row_group;
        self.ways = ways;
    }

    /// A distinct value.
    pub(crate) fn value(&mut self, text: &[u8]) {
        if self.incomplete {
            return;
        }
        let (pairs, row_group) = (&mut self.pairs, u64::from(self.row_group));
        for way in &self.ways {
            self.observe.observe(*way, text, &mut self.buffer, &mut |observed| {
                key::stored(observed, &mut |key| pairs.push(key << 6 | row_group));
            });
        }
        if self.pairs.len() - self.distinct > FRESH_MAX.max(self.distinct) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        if self.pairs.len() > PAIRS_MAX {
            self.incomplete = true;
        }
        if self.incomplete {
            self.pairs = Vec::new();
        }
        self.distinct = self.pairs.len();
    }

    /// What was found in a file with so many row groups.
    pub(crate) fn keys(mut self, groups: usize) -> FileKeys {
        self.settle();
        let groups = u8::try_from(groups).unwrap_or(u8::MAX);
        FileKeys { pairs: self.pairs, groups, incomplete: self.incomplete }
    }

    /// The run of that file alone.
    pub(crate) fn finish(self, groups: usize) -> Vec<u8> {
        let mut draft = RunDraft::default();
        draft.add(FileNumber::default(), self.keys(groups));
        draft.finish().1
    }
}
