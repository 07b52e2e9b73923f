//! The wire between nodes and tools: TAXII 2.1 (OASIS Standard), server and client.
//!
//! [`taxii::server`] is a function from a request to a response over a [`besa_intel::Store`]; sockets,
//! TLS and passwords are another crate's business. [`taxii::client`] pulls and pushes. What goes out by
//! either is [`besa_alliance::policy::Released`]; [`release`] is where that is decided.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod release;
pub mod taxii;
