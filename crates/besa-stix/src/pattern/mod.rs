//! STIX 2.1 patterning (section 9): text ↔ tree ([`Pattern`]), checking ([`Pattern::check`]) and
//! evaluation ([`evaluate()`]).
//!
//! ```
//! use besa_stix::pattern::{DEFAULT_WORK, Pattern, evaluate};
//! use besa_stix::observation::read_observations;
//!
//! let pattern = Pattern::parse("[ipv4-addr:value ISSUBSET '198.51.100.0/24']")?;
//! let (observations, defects) = read_observations(br#"{"type": "bundle", "objects": [
//!     {"type": "observed-data", "id": "observed-data--0", "number_observed": 1, "object_refs": ["ipv4-addr--0"],
//!      "first_observed": "2024-01-01T00:00:00Z", "last_observed": "2024-01-01T00:00:00Z"},
//!     {"type": "ipv4-addr", "id": "ipv4-addr--0", "value": "198.51.100.7"}]}"#)?;
//! assert!(defects.is_empty());
//! let binding = evaluate(&pattern, &observations, DEFAULT_WORK)?.expect("the address lies in the net");
//! assert_eq!(binding.observations, [0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Evaluation has two halves that also work apart: [`CompiledComparison::matches`] tests one `[ … ]`
//! against one observation, given as any [`ObjectGraph`] (JSON objects here, log events elsewhere),
//! and [`combine()`] finds a binding from the hits of each `[ … ]`.

mod ast;
mod check;
mod combine;
mod compare;
mod equivalence;
mod evaluate;
mod lexer;
mod net;
mod parse;
mod pcre;
mod print;

pub use ast::*;
pub use check::{Finding, Severity};
pub use combine::{Binding, Hit, combine};
pub use compare::{CompiledComparison, ObjectGraph, Value};
pub use equivalence::{ALTERNATIVES_MAX, TooManyAlternatives};
pub use evaluate::{CompiledPattern, DEFAULT_WORK, EvaluateError, evaluate};
pub use parse::{MAX_PATTERN_BYTES, MAX_PATTERN_DEPTH, PatternError};
