//! Members, charter, keys, signed releases and the policy that decides what may leave.
//!
//! | module | what |
//! |---|---|
//! | [`member`] | who is a member, in which state, with which keys |
//! | [`exact`] | JSON with one meaning, and its hash |
//! | [`keys`] | Ed25519 keys, their files, fingerprints |
//! | [`signed`] | the one form of everything that is signed |
//! | [`charter`] | members, keys, quorum, limits; how they change |
//! | [`entry`] | releases, receipts, answers, witnessed heads |
//! | [`answer`] | sightings with what was searched |
//! | [`directory`] | what is known of an alliance; who may say what |
//! | [`log`] | the hash-chained logs |
//! | [`proof`] | breaches, proved to third parties |
//! | [`refusal`] | the reasons, by name |
//! | [`policy`] | what may leave, to whom, whole or redacted; [`policy::Released`] |
//! | [`intake`] | what comes from allies: poison goes to quarantine |
//!
//! Invariants: no file, no network, no clock; bytes and times are arguments. Whatever a stranger
//! sends is bounded in size and work, without panics, and refused by a reason with a name.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod answer;
pub mod charter;
pub mod directory;
pub mod entry;
pub mod exact;
pub mod intake;
pub mod keys;
pub mod log;
pub mod member;
pub mod policy;
pub mod proof;
pub mod refusal;
pub mod signed;
