//! STIX 2.1 patterning (section 9).
mod ast;

pub use ast::*;
