//! Text of no known format: each line is an event with nothing but its text, so that keywords
//! and indicators are still found in it.
//!
//! The line is the field `_raw` as well as the event's raw text. Where a line begins with an ISO
//! 8601 date-time (`2022-07-15T10:11:12.5Z`, `[2022-07-15 10:11:12,123]`), that is its time.

use besa_event::{Batch, EventTime, Head, Keep, LogSourceId, Span, ValueKind};
use memchr::memchr;

use crate::context::{Context, Position};

pub(crate) fn decode(context: &Context<'_>, position: Position, bytes: &[u8], batch: &mut Batch) {
    let name = match (context.dictionary.lookup(b"_raw"), context.keep) {
        (None, Keep::Everything | Keep::History) => {
            let name = batch.append(b"_raw");
            Some(batch.local_name(name))
        }
        (known, _) => known,
    };
    let mut record = position.first_record;
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let len = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..len).unwrap_or_default();
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if !text.trim_ascii().is_empty() {
            let raw = Span::new(at..at + text.len());
            if let Some(name) = name {
                batch.push_field(name, ValueKind::Text, raw);
            }
            let time = leading_time(text);
            let head = Head { raw, host: Span::default(), time, record, logsource: LogSourceId::default() };
            batch.end_event(context.dictionary, context.sources, head);
        }
        at += len + 1;
        record += 1;
    }
}

/// The date-time that a line begins with, in brackets or not.
fn leading_time(line: &[u8]) -> Option<EventTime> {
    let line = line.strip_prefix(b"[").unwrap_or(line);
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let in_time = |byte: &u8| byte.is_ascii_digit() || b"-/:.,TtZz+".contains(byte);
    let first = line.iter().take_while(|byte| in_time(byte)).count();
    let word = line.get(..first)?;
    if word.len() > 10 {
        return EventTime::parse_iso(word.strip_suffix(b":").unwrap_or(word));
    }
    // The date alone: the time of day stands behind a space.
    let rest = line.get(first..)?.strip_prefix(b" ")?;
    let second = rest.iter().take_while(|byte| in_time(byte)).count();
    let both = line.get(..first + 1 + second)?;
    EventTime::parse_iso(both.strip_suffix(b":").unwrap_or(both))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_times() {
        let check = |line: &str, expected: Option<&str>| {
            let found = leading_time(line.as_bytes()).map(|time| time.to_string());
            assert_eq!(found.as_deref(), expected, "{line}");
        };
        check("2022-07-15T10:11:12.5Z started", Some("2022-07-15T10:11:12.500Z"));
        check("[2022-07-15 10:11:12,123] started", Some("2022-07-15T10:11:12.123Z"));
        check("2022/07/15 10:11:12: started", Some("2022-07-15T10:11:12Z"));
        check("10.0.0.1 started", None);
        check("started 2022-07-15T10:11:12.5Z", None);
        check("", None);
    }
}
