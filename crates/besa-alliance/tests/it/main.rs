//! Tests of the alliance at its boundary.

#![allow(clippy::print_stdout, reason = "a test says its seed, what it skipped and how much it compared")]

mod graphs;
mod intake;
mod noninterference;
