//! The names that readers give a field beside its own, if the dictionary of the run holds them.
//!
//! A run whose events are kept for later needs all of them in its dictionary: which of them later
//! rules ask for is not known yet.

use crate::text::columns;

/// Every second name, some of them several times.
///
/// Not among them, since the evidence and not a table makes them: names behind FortiGate's
/// `FTNTFGT` in CEF, and `Name: value` lines in the message of an event log exported as CSV. A run
/// gets these by [`Keep::History`](besa_event::Keep).
pub fn second_names() -> impl Iterator<Item = &'static str> {
    let json = crate::json::SECOND_NAMES.iter().map(|(_, _, name)| *name);
    let texts = crate::cef::SECOND_NAMES.iter().chain(crate::syslog::SECOND_NAMES).map(|(_, name)| *name);
    let made = ["cs-uri-query", "EventID", "Channel", "Provider_Name", "Computer"];
    json.chain(texts).chain(columns::second_names()).chain(made)
}
