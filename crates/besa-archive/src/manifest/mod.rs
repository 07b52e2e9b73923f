//! What an archive holds, as a chain of numbered versions.
//!
//! ```text
//! manifest/00000000000000000042.zst     zstd of JSON lines:
//!   {"besa_archive":1,"version":42,"snapshot":false,"next_file":913}
//!   {"add":{…}} {"remove":{…}} {"add_run":{…}} {"remove_run":{…}} {"hold":{…}} {"release":{…}} {"forget":{…}}
//!   {"end":7}                            how many lines stand between
//! ```
//!
//! A version is a snapshot (all of it) or what changed since the version before; every 32nd is a
//! snapshot, so that opening reads one snapshot and at most 31 small files. Creating the next
//! version if it is absent is the commit: of two writers one wins, and a crash leaves the old
//! version or the new one.
//!
//! Deleted files stay listed as removed until they are gone from the store, so that a reader of
//! an older version has time to finish.

pub(crate) mod codec;
mod log;

use std::collections::BTreeMap;

pub(crate) use log::Log;
use serde::{Deserialize, Serialize};

use crate::entry::{FileEntry, FileNumber, Hold, RunEntry};

/// One state of an archive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Number of the version; 0 is the empty archive before the first commit.
    pub version: u64,
    /// Data files by number, which is the order in which events are read within a partition.
    pub files: BTreeMap<FileNumber, FileEntry>,
    /// Index runs by path.
    pub runs: BTreeMap<String, RunEntry>,
    /// Legal holds by case.
    pub holds: BTreeMap<String, Hold>,
    /// Objects that are no longer part of it, and when they ceased to be, in ns since 1970.
    pub removed: BTreeMap<String, i64>,
    pub(crate) next_file: u64,
}

/// A change of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Add(FileEntry),
    Remove {
        number: FileNumber,
        at: i64,
    },
    AddRun(RunEntry),
    RemoveRun {
        path: String,
        at: i64,
    },
    Hold(Hold),
    Release {
        case: String,
    },
    /// An object that was removed is gone from the store. In a snapshot its opposite:
    Forget {
        path: String,
    },
    Removed {
        path: String,
        at: i64,
    },
}

impl Manifest {
    /// Events of all files.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.files.values().map(|file| file.rows).sum()
    }

    /// Applies a change; tells whether it fits this state.
    pub(crate) fn apply(&mut self, action: Action) -> bool {
        match action {
            Action::Add(file) => {
                self.next_file = self.next_file.max(file.number.0 + 1);
                self.files.insert(file.number, file).is_none()
            }
            Action::Remove { number, at } => match self.files.remove(&number) {
                Some(file) => self.removed.insert(file.path, at).is_none(),
                None => false,
            },
            Action::AddRun(run) => self.runs.insert(run.path.clone(), run).is_none(),
            Action::RemoveRun { path, at } => {
                self.runs.remove(&path).is_some() && self.removed.insert(path, at).is_none()
            }
            Action::Hold(hold) => {
                self.holds.insert(hold.case.clone(), hold);
                true
            }
            Action::Release { case } => self.holds.remove(&case).is_some(),
            Action::Forget { path } => {
                self.removed.remove(&path);
                true
            }
            Action::Removed { path, at } => self.removed.insert(path, at).is_none(),
        }
    }

    /// Everything as changes of the empty state.
    pub(crate) fn actions(&self) -> Vec<Action> {
        let files = self.files.values().cloned().map(Action::Add);
        let runs = self.runs.values().cloned().map(Action::AddRun);
        let holds = self.holds.values().cloned().map(Action::Hold);
        let removed = self.removed.iter().map(|(path, at)| Action::Removed { path: path.clone(), at: *at });
        files.chain(runs).chain(holds).chain(removed).collect()
    }

    /// The hold that forbids to delete a file.
    #[must_use]
    pub fn held_by(&self, file: &FileEntry) -> Option<&Hold> {
        self.holds.values().find(|hold| hold.touches(file))
    }
}
