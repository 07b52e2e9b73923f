//! Evidence to event batches and defects.
//!
//! ```text
//! paths ──walk──▶ containers (gz, zstd, zip, tar) ──▶ recognised by content ──frame──▶ Block ──decode──▶ Batch
//!          one reader thread, sequential                                          any worker, in parallel
//! ```
//!
//! Framing finds record borders and cuts blocks of about a megabyte; decoding turns a block into
//! spans. The two are apart so that one large file is decoded by every core, and so that memory
//! is bounded by the number of blocks under way, whatever the size of the input.
//!
//! | module | knows |
//! |---|---|
//! | [`walk()`] | paths, containers, caps on what they may cost |
//! | `recognise`, `encodings` | what a stream is, by its first bytes |
//! | `frame` | where records end |
//! | `evtx`, `json`, `eve`, `zeek`, `csv`, `iis`, `syslog`, `auditd`, `weblog`, `cef`, `leef`, `plain` | one format each |
//! | [`decode`] | which of them a block goes to |
//!
//! Invariants:
//! - This crate knows no rules and no network.
//! - Damage never ends a run: what cannot be read becomes a [`Defect`](besa_event::Defect) with
//!   its place and reason, and reading goes on behind it.
//! - What a stranger's bytes can make us spend is bounded by [`Limits`].
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod auditd;
mod cef;
mod context;
mod csv;
mod encodings;
mod eve;
pub mod evtx;
mod format;
mod frame;
mod iis;
mod json;
mod leef;
mod plain;
mod read;
mod recognise;
mod second;
mod syslog;
mod text;
mod walk;
mod weblog;
mod zeek;

pub use context::{Context, Limits, Position};
pub use format::{Decoder, Format, decode};
pub use read::{Account, decode_any, decode_twice, read_all};
pub use second::second_names;
pub use walk::{FileAccount, Item, walk, walk_reader};
