//! The intelligence store: STIX objects exactly as received, every version, with where each came
//! from; collections, accounts and an audit log. SQL stops here.
//!
//! ```
//! use besa_intel::{Batch, NewCollection, Store, Time, open_sqlite, prepare_all};
//!
//! let folder = tempfile::tempdir()?;
//! let store = open_sqlite(&folder.path().join("intel.sqlite"))?;
//! let now = Time::parse("2026-01-01T00:00:00Z")?;
//! let feed = store.add_collection(&NewCollection::titled("Feed"), now)?;
//! let bundle = br#"{"objects": [{"type": "ipv4-addr", "spec_version": "2.1", "value": "198.51.100.3",
//!     "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"}, {"type": "ipv4-addr"}]}"#;
//! let objects = prepare_all(bundle)?;
//! let receipt = store.add_objects(Batch::new("me", now, Some(feed.key), objects))?;
//! assert_eq!((receipt.successes(), receipt.failures()), (1, 1));
//! assert_eq!(store.by_observable("198.51.100[.]3", 0, 10)?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`store`] | the trait [`Store`] and its domain types |
//! | [`object`] | an object checked and taken apart, ready to be stored |
//! | [`observable`] | normal forms of observable values |
//! | [`account`] | passwords, tokens, roles |
//! | `sql` | the one implementation, over any [`sql::Connection`]; schema, migrations, writer, pages |
//! | `sqlite`, `postgres` | the two connections |
//!
//! Invariants:
//! - What was received is given out byte for byte; index columns are derived and never given out.
//! - The **commit sequence** is assigned under the write lock and is the only cursor. A reader that
//!   saw number n sees everything below n for ever: no clock decides what a peer has seen.
//! - `date_added` rises strictly within a collection, whatever the clock does.
//! - A version is (id, instant of `modified`, specification version); its first content stays, any
//!   other content under the same key is kept aside as a conflict.
//! - What binds an object beside its own markings (who sent it, under which release) stands with it.
//! - The clock is an argument.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod account;
pub mod object;
pub mod observable;
mod postgres;
pub mod sql;
mod sqlite;
pub mod store;

pub use object::{Candidate, Prepared, Refusal, prepare, prepare_all, prepare_request};
pub use postgres::open as open_postgres;
#[doc(hidden)]
pub use sqlite::make_old as make_old_sqlite;
pub use sqlite::{backup as backup_sqlite, open as open_sqlite};
pub use store::*;
