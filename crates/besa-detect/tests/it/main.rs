//! Tests of the crate at its boundary.
#![allow(clippy::print_stderr, reason = "a test says what it skipped and how much it compared")]

mod corpora;
mod correlation;
mod differential;
mod observer;
mod support;
mod vectors;
