//! What this crate promises, at its boundary: bytes in, events and defects out.

mod support;

mod containers;
mod corpora;
mod damage;
mod decompression;
mod encodings;
mod json;
mod shapes;
mod twins;
