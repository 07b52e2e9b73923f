//! The index of observables: which row groups of which files can hold an indicator's value.
//!
//! ```text
//! value of a field ─Observe─▶ observables ─stored─▶ keys of 48 bits ─┐
//!                                         (file, row group) ─────────┴▶ run ─merge─▶ larger run
//! indicator ─asked─▶ keys and ranges ─search─▶ (file, set of row groups) ─▶ rows, confirmed elsewhere
//! ```
//!
//! A run holds, sorted by key, the row groups in which the key occurs; `run.rs` draws the bytes.
//! Merging keeps keys and row groups, so a merged run takes the place of those it was made of.
//!
//! Invariants:
//! - A search may name row groups in vain, but never misses one: [`mod@key`] says why, and a
//!   test holds the search against a scan.
//! - No I/O but through [`ReadAt`] and `Write`; the same input gives the same bytes.
//! - Damage is an error, never an empty answer: blocks, filters and directory have checksums.
//!
//! Where runs lie, which files they cover and when they are merged is `crate::runs`'s.
//!
//! Limits: 64 row groups a file. A file with more than 2²⁶ pairs of key and row group is indexed
//! as incomplete: every search names it.

mod bits;
mod build;
mod draft;
mod fuse;
pub mod key;
mod run;
mod search;
mod sieve;
#[cfg(test)]
mod tests;

pub(crate) use build::FileIndexer;
pub use build::{Observe, ObserveWork, Sought};
pub(crate) use draft::{FileKeys, RunDraft};
pub use key::Observed;
pub(crate) use run::with_directory;
pub use run::{IndexError, ReadAt, Run, RunWriter, merge};
pub use search::{Asked, Searched};
pub use sieve::{Hits, Sieve, SieveHand, ValueOf};
