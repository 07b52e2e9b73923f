//! Members, charter, keys, signed releases and the policy that decides what may leave.
//!
//! | module | what |
//! |---|---|
//! | [`member`] | who is a member, in which state, with which keys |
//! | [`policy`] | what may leave, to whom, whole or redacted; [`policy::Released`] |
//! | [`intake`] | what comes from allies: poison goes to quarantine |
//!
//! Invariants: no file, no network, no clock; bytes and times are arguments. Whatever a stranger
//! sends is bounded in size and work, without panics, and refused by a reason with a name.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod intake;
pub mod member;
pub mod policy;
