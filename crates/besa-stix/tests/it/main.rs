//! Foreign vectors and properties of `besa-stix`.

mod hostile;
mod object_vectors;
mod pattern_equivalence;
mod pattern_vectors;
mod properties;
mod vectors;
