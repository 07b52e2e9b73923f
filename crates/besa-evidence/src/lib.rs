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
//! Invariants:
//! - This crate knows no rules and no network.
//! - Damage never ends a run: what cannot be read becomes a [`Defect`](besa_event::Defect) with
//!   its place and reason, and reading goes on behind it.
//! - What a stranger's bytes can make us spend is bounded by [`Limits`].
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod context;

pub use context::{Context, Limits, Position};
