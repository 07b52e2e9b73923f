//! A running member of an alliance: what it releases, what it takes in, what it answers.
//!
//! ```text
//! release ─▶ journal (own hash-chained logs) ─▶ courier, one an ally ─▶ the ally's inbox
//! inbox ─▶ gate (signature, log, hash: before anything is stored) ─▶ store
//!            └▶ intake (poison defence) ─▶ receipt ─▶ armed ─▶ hunt through the past ─▶ answer
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`home`] | the folder `alliance/`: settings, node key, charters |
//! | [`places`] | the collections of the alliance in the store |
//! | [`journal`] | one's own logs: signing and appending, from several processes |
//! | [`release`] | objects for an audience, each judged for each recipient |
//! | [`gate`] | what allies post, judged before it is stored |
//! | [`intake`] | what came in whole: accepted, quarantined, withdrawn; receipts |
//! | [`hunt`] | questions of allies, in a fair queue, and their signed answers |
//! | [`courier`] | what is for an ally goes to it, in order, whatever fails meanwhile |
//! | `relay` | what a signer cannot bring itself, by way of a witness |
//! | [`witness`] | heads of others' logs, countersigned |
//! | [`picture`] | who has answered what |
//! | [`node`] | all of it in threads |
//!
//! Invariants:
//! - Nothing that an ally sent is stored before its signature, its place in its log and the hash of
//!   each object were judged ([`gate`]).
//! - Nothing leaves but as [`besa_alliance::policy::Released`], for one named member ([`courier`]).
//! - Every step starts from a commit number of the store, so `kill -9` anywhere repeats a step and
//!   loses none; every step may be repeated.
//! - This crate knows no events and no rules: the history is searched by whoever implements
//!   [`hunt::Hunter`]. Time is an argument ([`node::Clock`]).

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod bell;
pub mod courier;
pub mod error;
pub mod gate;
pub mod home;
pub mod hunt;
pub mod intake;
pub mod journal;
pub mod known;
pub mod node;
pub mod picture;
pub mod places;
mod relay;
pub mod release;
pub mod settings;
pub mod witness;

pub use error::NodeError;
pub use node::{Clock, Node};
