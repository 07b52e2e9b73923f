//! Tests of the crate at its boundary.

mod corpora;
mod correlation;
mod differential;
mod support;
mod vectors;
