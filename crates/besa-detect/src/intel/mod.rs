//! Indicators and STIX patterns held against log events.
//!
//! ```text
//! files ─load─▶ Intel: values (arena), STIX patterns, Sigma texts, refusals
//!                 └─compile─▶ IntelMatcher: value table, pattern leaves, literal automaton
//! event ─▶ each value: memo, else scan ─▶ look-ups in the table      ─▶ indicators met
//!                                      └▶ literals ─▶ candidate leaves ─▶ exact evaluation
//! ```
//!
//! # Indicators
//! A value is looked up where it can stand: file names, paths, registry keys, pipes, mutexes and
//! services in the fields of [`fields`]; addresses, domains, URLs, hashes and e-mail addresses in
//! every text value (any of them can stand in a command line or a message), and in the raw record
//! where a record has no fields. Both sides are normalised by [`besa_event::observable`]. So met:
//! - a domain, by itself and by its subdomains, in URLs and e-mail addresses too;
//! - a URL whatever its scheme, and one without a query also with any query;
//! - a network by every address in it;
//! - a registry key by itself and by its values; a path without its start by whole path
//!   components.
//!
//! # STIX patterns
//! A pattern that only lists values (`[file:hashes.MD5 = '…' OR file:hashes.'SHA-256' = '…']`,
//! `IN`, `ISSUBSET` on addresses) becomes indicators. These compare normalised, while STIX 2.1
//! section 9.6 compares exactly: the file name `GoXml.exe` is met by `goxml.exe`, a domain by its
//! subdomains. That is wanted; whatever the pattern itself would match is always among it (a test
//! holds the two against each other). Every other pattern is evaluated exactly, by `besa-stix`, on
//! the event as an observation ([`mapping`]); literals that must occur decide which patterns are
//! tried. Patterns that one event cannot satisfy are matched by parts, which [`PatternState`]
//! brings together in the order of time.
//!
//! An indicator is looked for in all events; where an event lies outside its `valid_from` and
//! `valid_until` the match says so, since a hunt in the past looks for what was not yet known then.
//!
//! [`mod@reference`] is the slow twin: every value compared with every observable, every pattern
//! evaluated on every event.
//!
//! # Limits
//! 4 GiB of normalised values; values up to 4,096 bytes; a field scanned up to 1 MiB.

mod column;
mod combine;
mod exact;
mod extract;
pub mod fields;
mod graph;
mod load;
pub mod mapping;
mod matcher;
mod observer;
mod patterns;
pub mod reference;
mod simple;
mod table;
#[cfg(test)]
mod tests;
pub mod values;

pub use combine::{PARTS_MAX, PartHit, PatternBinding, PatternState};
pub use load::{Format, Intel, Loaded, Place, Refusal, SigmaText};
pub use matcher::{IndicatorValue, IntelInfo, IntelMatch, IntelMatcher, IntelRef, IntelScratch, PatternNeed};
pub use observer::{Observer, ObserverScratch, derived_keys};
