//! Sigma rules, STIX patterns and indicators to one matcher; batches of events to findings.
//!
//! ```text
//! Batch ──Worker──▶ findings                      (a rule, pattern or indicator met in one record)
//!              └──▶ hits ──sorted by time──▶ Deferred ──▶ findings   (over several records)
//! ```
//!
//! This crate knows no I/O, no clock and no storage: time is the event's. The same batches and
//! the same rules give the same findings, anywhere, years later; that is what makes a finding
//! evidence. Sorting (and spilling) of hits is the caller's.

mod correlate;
mod deferred;
mod detector;
mod finding;
pub mod intel;
mod joined;
pub mod sigma;
mod text;

pub use deferred::Deferred;
pub use detector::{Detector, NotCompiled, Outcome, Scope, Worker};
pub use finding::{Finding, FindingTime, Hit, HitPart, Kind, Locator, RELATED_MAX, RuleInfo, RuleRef};
pub use joined::Joined;
pub use sigma::{CompileError, SigmaTriggers};
