//! Sigma 2.1: rules, correlations and filters as a syntax tree, with the reason
//! for everything that was refused.
//!
//! ```text
//! bytes ─yaml─▶ positioned tree ─document─▶ rule │ correlation │ filter
//!                                  │ modifiers, text, regex, condition
//!                                  ▼
//!                  Loader::finish: filters ANDed in, references resolved
//!                                  ▼
//!                               RuleSet
//! ```
//!
//! ```
//! let rule = br#"
//! title: Shell started by a web server
//! logsource: {product: windows, category: process_creation}
//! detection:
//!   parent:
//!     ParentImage|endswith: '\w3wp.exe'
//!   shell:
//!     Image|endswith: ['\cmd.exe', '\powershell.exe']
//!   condition: parent and shell
//! "#;
//! let mut loader = besa_sigma::Loader::new(besa_sigma::Placeholders::new());
//! loader.add("webshell.yml", rule);
//! let set = loader.finish();
//! assert!(set.refused.is_empty());
//! assert_eq!(set.rules[0].searches[1].name, "shell");
//! ```
//!
//! # Invariants
//! - No files, no clock, no events: the caller gives names and bytes, and the
//!   same input gives the same set.
//! - Any bytes may be given. Each document ends up in the set exactly once: as
//!   a rule, correlation or filter, or among the refused with a reason.
//! - A refused document never takes another with it, except a correlation that
//!   refers to it.
//! - Work and memory are bounded by [`limits`]; recursion by the depth of the
//!   YAML tree and of the condition.
//! - What is not understood is refused, not skipped: a rule that is loaded
//!   means what it says.
//!
//! # Choices where the specification is silent or implementations differ
//! - Values keep the spelling of the source: unquoted `010` is the text `010`.
//! - `all` on a single value is a warning, though the specification forbids it:
//!   its meaning is clear, and published rules have it.
//! - `timeframe` of Sigma 1 is a warning; aggregation in a condition a refusal.
//! - `title`, `logsource`, `detection` and `condition` are mandatory.
//! - Two rules with the same id are both kept, with a warning.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod attack;
mod condition;
mod correlation;
mod document;
mod filter;
pub mod limits;
mod modifiers;
mod refusal;
mod regex;
mod rule;
mod set;
mod text;
mod yaml;

pub use ipnet::IpNet;
pub use refusal::{Refusal, RefusalKind, Warning};
pub use rule::*;
pub use set::{Loader, RuleSet, parse, parse_rule};
pub use text::Placeholders;
