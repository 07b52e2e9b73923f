//! Sigma rules against batches of events, all of them in one pass.
//!
//! ```text
//! rules ─▶ Program: leaves (distinct field tests) + a Boolean expression and a trigger per rule
//!                     └─ per class of events, at its first event ─▶ Plan: rules, slots, indexes
//! event ─▶ each field with triggers: memo, else index of triggers ─▶ triggered rules
//!            └─ none: done                 └─ some ─▶ expression, the rarest test first
//!                                                      ─▶ tests one by one; an index of all tests
//!                                                         of a field that many are asked of
//! ```
//!
//! A rule is evaluated only when one leaf of its trigger holds; on ordinary logs that is less
//! than one rule per event. Everything that no trigger needs is looked at only then. [`mod@reference`] is the slow twin: it walks the syntax tree for every
//! rule and event on owned values, and the two are held equal by tests.
//!
//! Decided where the specification is silent (SIGMA-SPEC 2.1): field names compare without
//! regard to ASCII case; of a field with several values any one may pass; `|neq` and `not` hold
//! on an absent field; `|fieldref` ignores case unless `|cased`.

mod grams;
mod index;
mod leaf;
mod literals;
mod matcher;
mod memo;
mod networks;
mod plan;
mod program;
pub mod reference;
mod sweep;
mod values;

pub(crate) use leaf::{RegexSource, parse_number};
pub(crate) use literals::required;
pub(crate) use matcher::is_comparable;
pub use matcher::{SigmaMatcher, SigmaScratch, SigmaTriggers};
pub(crate) use memo::{Key, Memo};
pub use program::CompileError;
