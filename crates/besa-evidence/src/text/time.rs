//! Times as text logs write them, besides ISO 8601 and Unix seconds (`besa_event::EventTime`).
//!
//! Whatever states no zone is taken as UTC and says so in its [`Zone`]. `7/8/2022` is read with
//! the month first (Windows exports under a US locale), `7.8.2022` with the day first; where the
//! first number of the former is above 12 it is the day.

use besa_event::{Civil, EventTime, Precision, Timestamp, Zone, parse_month};

/// A time at the front of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp<'a> {
    /// The instant; `None` when the text states no year and none is known, or when its parts
    /// are out of range.
    pub(crate) time: Option<EventTime>,
    /// What follows the time, with its leading space if any.
    pub(crate) rest: &'a [u8],
}

/// RFC 3164 section 4.1.2, `Oct 11 22:14:15`, and what devices make of it: a fraction, a year
/// before or after the time of day, a zone (`UTC`, or letters before a colon, which state an
/// offset that only the device knows).
pub(crate) fn rfc3164(text: &[u8], reference: Option<(i64, u32)>) -> Option<Stamp<'_>> {
    let mut r = Reader { rest: text };
    let month = r.month()?;
    r.byte(b" ")?;
    r.spaces();
    let (day, _) = r.digits(1, 2)?;
    r.byte(b" ")?;
    r.spaces();
    let mut year = r.year();
    if year.is_some() {
        r.byte(b" ")?;
    }
    let clock = r.clock()?;
    if year.is_none() && r.rest.first() == Some(&b' ') {
        let mut ahead = Reader { rest: r.rest.trim_ascii_start() };
        if let Some(found) = ahead.year()
            && ahead.rest.first().is_none_or(|b| matches!(b, b' ' | b':'))
        {
            year = Some(found);
            r = ahead;
        }
    }
    let zone = r.zone_name();
    let assumed_year = year.is_none();
    let year = year.or_else(|| {
        let (year, month_max) = reference?;
        Some(if month > month_max { year - 1 } else { year })
    });
    let zone = if assumed_year { Zone::AssumedWithYear } else { zone };
    Some(Stamp { time: year.and_then(|year| clock.on(year, month, day, 0, zone)), rest: r.rest })
}

/// The Common Log Format's `10/Oct/2000:13:55:36 -0700`, whole.
pub(crate) fn common_log(text: &[u8]) -> Option<Stamp<'_>> {
    let mut r = Reader { rest: text };
    let (day, _) = r.digits(1, 2)?;
    r.byte(b"/")?;
    let month = r.month()?;
    r.byte(b"/")?;
    let year = r.year()?;
    r.byte(b": ")?;
    let clock = r.clock()?;
    let (offset, zone) = match r.byte(b" ").and_then(|_| r.offset()) {
        Some(offset) => (offset, Zone::Stated),
        None => (0, Zone::Assumed),
    };
    Some(Stamp { time: clock.on(year, month, day, offset, zone), rest: r.rest })
}

/// Apache's error log and `ctime`: `Fri Sep 09 10:42:29.902022 2011`.
pub(crate) fn weekday_first(text: &[u8]) -> Option<Stamp<'_>> {
    const DAYS: [&[u8; 3]; 7] = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];
    let (day, rest) = text.split_at_checked(3)?;
    let rest = rest.strip_prefix(b",").unwrap_or(rest).strip_prefix(b" ")?;
    let known = DAYS.iter().any(|name| day.eq_ignore_ascii_case(*name));
    known.then(|| rfc3164(rest, None)).flatten()
}

/// A date-time at the front: ISO 8601 with `T`, or with one space if `spaced`.
pub(crate) fn iso_front(text: &[u8], spaced: bool) -> Option<Stamp<'_>> {
    let separator = text.get(10)?;
    let allowed = matches!(separator, b'T' | b't') || (spaced && *separator == b' ');
    if !allowed || !text.first()?.is_ascii_digit() {
        return None;
    }
    let tail = text.get(11..)?;
    let end = 11 + tail.iter().position(|b| *b == b' ').unwrap_or(tail.len());
    let (stamp, rest) = text.split_at_checked(end)?;
    let time = EventTime::parse_iso(stamp.strip_suffix(b":").unwrap_or(stamp))?;
    Some(Stamp { time: Some(time), rest })
}

/// A whole value that is known to be a time, in any shape of this module.
pub(crate) fn any(text: &[u8], reference: Option<(i64, u32)>) -> Option<EventTime> {
    let text = text.trim_ascii();
    EventTime::parse_iso(text)
        .or_else(|| (text.len() >= 9).then(|| EventTime::parse_unix(text)).flatten())
        .or_else(|| rfc3164(text, reference)?.time)
        .or_else(|| weekday_first(text)?.time)
        .or_else(|| common_log(text)?.time)
        .or_else(|| numbers_first(text))
}

/// `7/15/2022 10:11:12 AM`, `15.07.2022 10:11:12`.
fn numbers_first(text: &[u8]) -> Option<EventTime> {
    let mut r = Reader { rest: text };
    let (first, _) = r.digits(1, 2)?;
    let separator = r.byte(b"/.-")?;
    let (second, _) = r.digits(1, 2)?;
    r.byte(&[separator])?;
    let year = r.year()?;
    let (month, day) = if separator == b'/' && first <= 12 { (first, second) } else { (second, first) };
    if r.rest.is_empty() {
        let clock = Clock { hour: 0, minute: 0, second: 0, nanosecond: 0, precision: Precision::Day };
        return clock.on(year, month, day, 0, Zone::Assumed);
    }
    let _ = r.byte(b",");
    r.byte(b" T")?;
    r.spaces();
    let mut clock = r.clock()?;
    r.spaces();
    clock.hour = match r.rest {
        b"" => clock.hour,
        half if half.eq_ignore_ascii_case(b"am") => clock.hour % 12,
        half if half.eq_ignore_ascii_case(b"pm") => clock.hour % 12 + 12,
        _ => return None,
    };
    clock.on(year, month, day, 0, Zone::Assumed)
}

#[derive(Clone, Copy)]
struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
    precision: Precision,
}

impl Clock {
    /// The instant on a day, `offset` seconds east of UTC.
    fn on(self, year: i64, month: u32, day: u32, offset: i64, zone: Zone) -> Option<EventTime> {
        let Self { hour, minute, second, nanosecond, precision } = self;
        let civil = Civil { year, month, day, hour, minute, second, nanosecond };
        let at = civil.timestamp()?.0.checked_sub(offset.checked_mul(1_000_000_000)?)?;
        Some(EventTime { at: Timestamp(at), precision, zone })
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        if !allowed.contains(first) {
            return None;
        }
        self.rest = rest;
        Some(*first)
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// A number of at least `min` and at most `max` digits, and how many there were.
    fn digits(&mut self, min: usize, max: usize) -> Option<(u32, usize)> {
        let count = self.rest.iter().take(max).take_while(|b| b.is_ascii_digit()).count();
        if count < min {
            return None;
        }
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some((digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')), count))
    }

    fn month(&mut self) -> Option<u32> {
        let month = parse_month(self.rest)?;
        self.rest = self.rest.get(3..)?;
        Some(month)
    }

    /// Four digits that are a year and not the hour of a time of day.
    fn year(&mut self) -> Option<i64> {
        let mut ahead = Reader { rest: self.rest };
        let (year, _) = ahead.digits(4, 4)?;
        self.rest = ahead.rest;
        (1970..=2261).contains(&year).then_some(i64::from(year))
    }

    fn clock(&mut self) -> Option<Clock> {
        let (hour, _) = self.digits(1, 2)?;
        self.byte(b":")?;
        let (minute, _) = self.digits(2, 2)?;
        if self.byte(b":").is_none() {
            return Some(Clock { hour, minute, second: 0, nanosecond: 0, precision: Precision::Minute });
        }
        let (second, _) = self.digits(2, 2)?;
        let mut fraction = (0, 0);
        if matches!(self.rest, [b'.' | b',', digit, ..] if digit.is_ascii_digit()) {
            let _ = self.byte(b".,");
            fraction = self.digits(1, 9)?;
            while self.byte(b"0123456789").is_some() {}
        }
        let (value, count) = fraction;
        let missing = u32::try_from(9_usize.saturating_sub(count)).unwrap_or(0);
        let precision = match count {
            0 => Precision::Second,
            1..=3 => Precision::Millisecond,
            4..=6 => Precision::Microsecond,
            7 => Precision::HundredNanoseconds,
            _ => Precision::Nanosecond,
        };
        let nanosecond = value.saturating_mul(10_u32.saturating_pow(missing));
        Some(Clock { hour, minute, second, nanosecond, precision })
    }

    /// `±hhmm` or `±hh:mm` as seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = if self.byte(b"+-")? == b'-' { -1 } else { 1 };
        let (hours, _) = self.digits(2, 2)?;
        let _ = self.byte(b":");
        let (minutes, _) = self.digits(2, 2)?;
        Some(sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60))
    }

    /// Takes a zone's name if one follows: ` UTC` and ` GMT`, or other capitals before a colon.
    fn zone_name(&mut self) -> Zone {
        let Some(after) = self.rest.strip_prefix(b" ") else { return Zone::Assumed };
        let count = after.iter().take_while(|b| b.is_ascii_uppercase()).count();
        let Some((name, rest)) = after.split_at_checked(count) else { return Zone::Assumed };
        let ends = rest.first().is_none_or(|b| matches!(b, b' ' | b':'));
        if ends && matches!(name, b"UTC" | b"GMT" | b"Z") {
            self.rest = rest;
            return Zone::Stated;
        }
        if (3..=5).contains(&count) && rest.starts_with(b": ") {
            self.rest = rest;
        }
        Zone::Assumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = any(text.as_bytes(), Some((2022, 7)));
        let found = found.map_or(String::new(), |time| format!("{time} {}", time.zone.name()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn shapes_of_real_logs() {
        check("Jul  5 22:14:15", "2022-07-05T22:14:15Z assumed-year");
        check("Oct 11 22:14:15", "2021-10-11T22:14:15Z assumed-year");
        check("Oct 11 2022 22:14:15", "2022-10-11T22:14:15Z assumed");
        check("Oct 11 22:14:15.123 2019", "2019-10-11T22:14:15.123Z assumed");
        check("Oct 11 2022 22:14:15.5 UTC", "2022-10-11T22:14:15.500Z stated");
        check("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z stated");
        check("Fri Sep 09 10:42:29.902022 2011", "2011-09-09T10:42:29.902022Z assumed");
        check("7/15/2022 1:11:12 PM", "2022-07-15T13:11:12Z assumed");
        check("12/31/2022 12:01:02 AM", "2022-12-31T00:01:02Z assumed");
        check("15/07/2022 10:11", "2022-07-15T10:11:00Z assumed");
        check("15.07.2022 10:11:12", "2022-07-15T10:11:12Z assumed");
        check("1657879872", "2022-07-15T10:11:12Z stated");
        check("Feb 30 10:00:00", "");
        check("noon", "");
        check("4688", "");
    }

    #[test]
    fn a_time_without_year_and_reference_is_taken_but_unknown() {
        let stamp = rfc3164(b"Oct 11 22:14:15 host", None).unwrap();
        assert_eq!(stamp, Stamp { time: None, rest: b" host" });
    }
}
