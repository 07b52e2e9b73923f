//! The server over real sockets.

#![expect(clippy::print_stderr, reason = "tests say what they skip and where they are")]

mod access;
mod client;
mod foreign;
#[expect(dead_code, reason = "shared with the tests of the policy, which use all of it")]
#[path = "../../../besa-alliance/tests/it/graphs.rs"]
mod graphs;
mod hostile;
mod killed;
mod released;
mod support;
mod taxii;
