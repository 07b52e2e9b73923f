//! Tests of the alliance at its boundary.

mod graphs;
mod intake;
mod noninterference;
