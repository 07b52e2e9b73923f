//! The waist of Besa: what an event is, and nothing of where it came from or what it means.
//!
//! ```text
//! Block (bytes cut at record borders, ready to decode)
//!   └─ decode ─▶ Batch { bytes, fields, events }
//!                  event = { raw span, host span, time, record, log source, range of fields }
//!                  field = { name id, kind, span }      spans point into `bytes`
//! ```
//!
//! An event owns nothing. Its values are [`Span`]s over the buffer of its [`Batch`], which also
//! holds what had to be decoded (UTF-16 text, rendered numbers) in a second buffer. Buffers are recycled: reading a
//! terabyte allocates what reading a gigabyte does.
//!
//! Invariants:
//! - This crate knows no files, no network and no clock. Time is the event's own.
//! - Every span lies inside the buffers of its batch; reading through [`Event`] cannot fail.
//! - Field names compare without regard to ASCII case (Sigma leaves this open; see
//!   [`Dictionary`]).
//!
//! ```
//! use besa_event::{Batch, Dictionary, EventTime, Head, LogSources, ValueKind};
//!
//! let mut dictionary = Dictionary::builder();
//! let image = dictionary.intern("Image");
//! let dictionary = dictionary.build();
//! let sources = LogSources::new();
//!
//! let mut batch = Batch::default();
//! let value = batch.append(br"C:\Windows\System32\cmd.exe");
//! batch.push_field(dictionary.lookup(b"image").unwrap(), ValueKind::Text, value);
//! let class = sources.windows("Microsoft-Windows-Sysmon/Operational", "", "1");
//! batch.end_event(&dictionary, &sources, Head { record: 1, logsource: class, ..Head::default() });
//!
//! let event = batch.event(0);
//! assert_eq!(event.get(image).unwrap().bytes, b"C:\\Windows\\System32\\cmd.exe");
//! assert_eq!(sources.get(event.logsource()).categories, ["process_creation"]);
//! ```

mod batch;
mod block;
mod dictionary;
mod json_text;
mod logsource;
pub mod observable;
pub mod sieve;
mod time;

pub use batch::{Batch, Event, Field, FieldView, Head, Keep, Span, Value, ValueKind};
pub use block::{Block, Defect, Origin, Place};
pub use dictionary::{Dictionary, DictionaryBuilder, FieldId};
pub use json_text::{json_escape, json_unescape, json_unescape_checked};
pub use logsource::{LogSource, LogSourceId, LogSources, aliases_of};
pub use time::{Civil, EventTime, Precision, Timestamp, Zone, parse_month};
