//! The event history and its index of observables; searched again for every new indicator.
//!
//! ```text
//! Batch ─▶ Ingest: one piece for each partition (UTC day × log source)
//!            └▶ data/day=2022-07-15/source=windows-sysmon-process_creation~1a2b3c4d/<name>.parquet
//!               index/<name>.run             an index run for the files of each flush, merged 64 to 1
//!               manifest/<version>.zst       what the archive holds: created if absent = commit
//! Archive::look_up ─▶ row groups that can hold a value
//! Archive::scan, Reader ─▶ Batch, rebuilt as it was read from the evidence ─▶ the caller's visitor
//! ```
//!
//! A data file is plain Parquet: one column for each field name with its text, so that DuckDB or
//! pyarrow read it as it is; `docs/archive-format.md` tells it field by field. Two columns more,
//! the layout and the overflow, hold what is needed to rebuild each event exactly.
//!
//! Invariants:
//! - This crate knows no rules and no STIX; a caller passes a visitor over batches. It reads no
//!   clock: times are arguments.
//! - What a commit acknowledged survives `kill -9` and loss of power; before that, nothing of it
//!   is visible. A manifest version is created only if it is absent, so of two writers one wins.
//! - A file, run or row that cannot be read is a defect with the file's name, never an empty
//!   answer.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod archive;
mod codec;
mod entry;
mod error;
mod hands;
pub mod index;
mod ingest;
mod maintain;
mod manifest;
pub mod probe;
#[cfg(test)]
#[path = "../tests/foreign/python.rs"]
mod python;
mod read;
mod runs;
mod store;
pub mod turns;
mod write;

pub use archive::{Archive, Writer};
pub use entry::{Day, FileEntry, FileNumber, GroupEntry, Hold, RunEntry, Source, Window, names_source};
pub use error::{Error, Result};
pub use ingest::{Ingest, IngestOptions, Receipt};
pub use maintain::{Retention, Upkeep, Verified};
pub use manifest::Manifest;
pub use read::rebuild::Wanted;
pub use read::scan::{Reader, Scan, Scanned};
pub use read::sift::Judge;
pub use runs::{LookedUp, Tended};
pub use store::Store;
