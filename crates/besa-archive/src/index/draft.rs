//! The keys of several data files on their way into one run: what a flush writes.
//!
//! A run costs a file in the archive, and its keys cost the fewer bits the more they are, so files
//! that become visible together share runs.

use super::run::RunWriter;
use crate::entry::FileNumber;

/// Bits of a row group's number within a draft.
const UNIT_BITS: u32 = 16;
const UNITS_MAX: usize = 1 << UNIT_BITS;
/// Pairs from which a draft is large enough; 16 MiB.
const PAIRS_ENOUGH: usize = 2 << 20;

/// What a run is to say of one data file.
#[derive(Debug, Default)]
pub(crate) struct FileKeys {
    /// `key << 6 | row group`, ascending and distinct.
    pub(super) pairs: Vec<u64>,
    pub(super) groups: u8,
    /// Every search has to name the file.
    pub(super) incomplete: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RunDraft {
    files: Vec<FileNumber>,
    groups: Vec<u8>,
    units: usize,
    /// Positions of files.
    incomplete: Vec<u32>,
    /// `key << 16 | row group`, row groups numbered through over all files.
    pairs: Vec<u64>,
}

impl RunDraft {
    /// Whether this file goes into the draft: else it has to be written first.
    pub(crate) fn has_room_for(&self, keys: &FileKeys) -> bool {
        self.files.is_empty()
            || (self.units + usize::from(keys.groups) <= UNITS_MAX
                && self.pairs.len() + keys.pairs.len() <= PAIRS_ENOUGH)
    }

    /// Bytes held.
    pub(crate) fn weight(&self) -> usize {
        self.pairs.capacity() * size_of::<u64>()
    }

    /// Whether it covers no file.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, file: FileNumber, keys: FileKeys) {
        let base = self.units as u64;
        let FileKeys { mut pairs, groups, incomplete } = keys;
        pairs.iter_mut().for_each(|pair| *pair = *pair >> 6 << UNIT_BITS | (base + (*pair & 63)));
        if self.pairs.is_empty() {
            self.pairs = pairs;
        } else {
            self.pairs.extend_from_slice(&pairs);
        }
        if incomplete {
            self.incomplete.push(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        }
        self.files.push(file);
        self.groups.push(groups);
        self.units += usize::from(groups);
    }

    /// The files in the order of the run, and its bytes.
    pub(crate) fn finish(mut self) -> (Vec<FileNumber>, Vec<u8>) {
        self.pairs.sort_unstable();
        let mut out = Vec::new();
        let mut writer = RunWriter::new(&mut out, self.groups);
        let mut written = Ok(());
        let mut units = Vec::new();
        for same in self.pairs.chunk_by(|one, other| one >> UNIT_BITS == other >> UNIT_BITS) {
            units.clear();
            units.extend(same.iter().map(|pair| (pair & (UNITS_MAX as u64 - 1)) as u32));
            let key = same.first().map_or(0, |pair| pair >> UNIT_BITS);
            written = written.and_then(|()| writer.push(key, &units));
        }
        // Memory takes every write; should that ever change, no bytes are no run and are noticed.
        if written.and_then(|()| writer.finish(&self.incomplete)).is_err() {
            out.clear();
        }
        (self.files, out)
    }
}
