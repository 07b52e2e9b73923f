//! Tests of the crate at its boundary.

mod correlation;
mod differential;
mod support;
mod vectors;
