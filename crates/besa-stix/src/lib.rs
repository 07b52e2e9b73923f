//! STIX 2.1: objects, patterns, ids, markings. Pure: no files, no network, no clock, no events.
//!
//! | module | what |
//! |---|---|
//! | [`bundle`] | bytes → objects and defects |
//! | [`object`] | an object: its text as received and a small header |
//! | [`validate`] | the MUSTs and some SHOULDs of the standard, with reasons |
//! | [`pattern`] | patterns: parse, print, check, evaluate |
//! | [`observation`] | what patterns are evaluated on |
//! | [`id`], [`canonical`] | deterministic ids, canonical JSON |
//! | [`marking`] | TLP markings |
//! | [`time`] | timestamps |
//!
//! Invariants: an object's text is never altered; a pattern that was not evaluated is an error and
//! never "no match"; whatever a stranger sends is bounded in depth, size and work, without panics.
//!
//! Sections cited are those of STIX 2.1 (OASIS Standard).

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod bundle;
pub mod canonical;
mod encoding;
pub mod id;
pub mod marking;
pub mod object;
pub mod observation;
pub mod pattern;
pub mod time;
pub mod validate;
