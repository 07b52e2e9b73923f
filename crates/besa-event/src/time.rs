//! Instants with the precision and the zone assumption of the record that stated them.
//!
//! A timeline that hides how well a time is known misleads: an RFC 3164 syslog line states no
//! year and no zone, an EVTX record states 100 ns. [`EventTime`] carries all three facts.
//!
//! Hand-written because it stands on the hot path (each record has a time, nearly always in one
//! of four shapes) and the arithmetic is small: days from civil is the well-known era
//! computation of the proleptic Gregorian calendar.

use std::fmt;

/// Nanoseconds since 1970-01-01T00:00:00Z; covers the years 1678 to 2261.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// The smallest unit that the record states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Whole days.
    Day,
    /// Whole minutes.
    Minute,
    /// Whole seconds.
    #[default]
    Second,
    /// 10⁻³ s.
    Millisecond,
    /// 10⁻⁶ s.
    Microsecond,
    /// 10⁻⁷ s, the unit of Windows' `FILETIME`.
    HundredNanoseconds,
    /// 10⁻⁹ s.
    Nanosecond,
}

impl Precision {
    /// Digits after the decimal point of the seconds.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::Day | Self::Minute | Self::Second => 0,
            Self::Millisecond => 3,
            Self::Microsecond => 6,
            Self::HundredNanoseconds => 7,
            Self::Nanosecond => 9,
        }
    }

    fn of_digits(digits: usize) -> Self {
        match digits {
            0 => Self::Second,
            1..=3 => Self::Millisecond,
            4..=6 => Self::Microsecond,
            7 => Self::HundredNanoseconds,
            _ => Self::Nanosecond,
        }
    }

    /// The name used in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::Millisecond => "millisecond",
            Self::Microsecond => "microsecond",
            Self::HundredNanoseconds => "100ns",
            Self::Nanosecond => "nanosecond",
        }
    }
}

/// How the zone of a time is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// The record states it, or its format defines UTC.
    #[default]
    Stated,
    /// The record states none; UTC (or what the user gave) was assumed.
    Assumed,
    /// As [`Zone::Assumed`], and the year was assumed too (RFC 3164 states none).
    AssumedWithYear,
}

impl Zone {
    /// The name used in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Assumed => "assumed",
            Self::AssumedWithYear => "assumed-year",
        }
    }
}

/// When an event happened, as well as its record says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime {
    /// The instant.
    pub at: Timestamp,
    /// How finely it is stated.
    pub precision: Precision,
    /// How its zone is known.
    pub zone: Zone,
}

/// A calendar date and time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year of the proleptic Gregorian calendar.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60; 60 is read as the first second of the next minute.
    pub second: u32,
    /// 0 to 999,999,999.
    pub nanosecond: u32,
}

const NANOS: i64 = 1_000_000_000;
/// Seconds from 1601-01-01 (the epoch of `FILETIME`) to 1970-01-01.
const FILETIME_OFFSET_SECONDS: i64 = 11_644_473_600;

impl Civil {
    /// The instant, or `None` when a part is out of range or the instant cannot be held.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let fits = (1..=12).contains(&self.month)
            && self.day >= 1
            && self.day <= days_in_month(self.year, self.month)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
            && i64::from(self.nanosecond) < NANOS;
        if !fits {
            return None;
        }
        let days = days_from_civil(self.year, self.month, self.day)?;
        let seconds = days * 86_400
            + i64::from(self.hour) * 3_600
            + i64::from(self.minute) * 60
            + i64::from(self.second);
        let nanos = seconds.checked_mul(NANOS)?.checked_add(i64::from(self.nanosecond))?;
        Some(Timestamp(nanos))
    }

    /// Day of the week, Monday = 1 to Sunday = 7 (ISO 8601).
    #[must_use]
    pub fn weekday(&self) -> u32 {
        let days = days_from_civil(self.year, self.month, self.day).unwrap_or_default();
        // 1970-01-01 was a Thursday.
        u32::try_from((days + 3).rem_euclid(7) + 1).unwrap_or(1)
    }

    /// Week of the year, 1 to 53 (ISO 8601: week 1 holds the first Thursday).
    #[must_use]
    pub fn iso_week(&self) -> u32 {
        let day_of_year = |civil: &Self| {
            let start = days_from_civil(civil.year, 1, 1).unwrap_or_default();
            days_from_civil(civil.year, civil.month, civil.day).unwrap_or_default() - start + 1
        };
        let week = (day_of_year(self) - i64::from(self.weekday()) + 10) / 7;
        if week < 1 {
            let last = Self { year: self.year - 1, month: 12, day: 31, ..*self };
            return last.iso_week();
        }
        if week == 53 {
            let first = Self { year: self.year + 1, month: 1, day: 1, ..*self };
            if first.weekday() <= 4 {
                return 1;
            }
        }
        u32::try_from(week).unwrap_or(1)
    }
}

impl Timestamp {
    /// From Windows' `FILETIME`: units of 100 ns since 1601-01-01 (MS-DTYP 2.3.3).
    #[must_use]
    pub fn from_filetime(filetime: u64) -> Option<Self> {
        let units = i64::try_from(filetime).ok()?;
        let units = units.checked_sub(FILETIME_OFFSET_SECONDS * 10_000_000)?;
        units.checked_mul(100).map(Self)
    }

    /// As Windows' `FILETIME`; `None` before 1601.
    #[must_use]
    pub fn to_filetime(self) -> Option<u64> {
        u64::try_from(self.0.div_euclid(100) + FILETIME_OFFSET_SECONDS * 10_000_000).ok()
    }

    /// Calendar parts in UTC.
    #[must_use]
    pub fn civil(self) -> Civil {
        let seconds = self.0.div_euclid(NANOS);
        let nanosecond = u32::try_from(self.0.rem_euclid(NANOS)).unwrap_or(0);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let in_day = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        Civil {
            year,
            month,
            day,
            hour: in_day / 3_600,
            minute: in_day / 60 % 60,
            second: in_day % 60,
            nanosecond,
        }
    }

    /// RFC 3339 in UTC with `digits` (0 to 9) digits of fraction.
    #[must_use]
    pub fn rfc3339(self, digits: usize) -> String {
        let c = self.civil();
        let mut text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        );
        if digits > 0 {
            let fraction = format!("{:09}", c.nanosecond);
            text.push('.');
            text.push_str(fraction.get(..digits.min(9)).unwrap_or_default());
        }
        text.push('Z');
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339(9))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at.rfc3339(self.precision.digits()))
    }
}

impl EventTime {
    /// From Windows' `FILETIME`.
    #[must_use]
    pub fn from_filetime(filetime: u64) -> Option<Self> {
        let at = Timestamp::from_filetime(filetime)?;
        Some(Self { at, precision: Precision::HundredNanoseconds, zone: Zone::Stated })
    }

    /// Reads RFC 3339 / ISO 8601 date-times as logs write them: `T` or one space between date
    /// and time, `.` or `,` before up to any number of fraction digits (beyond nine are cut),
    /// `Z`, `z`, ` UTC`, `±hh:mm`, `±hhmm`, `±hh`, or no zone (assumed UTC); seconds may be
    /// absent. The whole input must be consumed but for surrounding white space.
    #[must_use]
    pub fn parse_iso(text: &[u8]) -> Option<Self> {
        let mut r = Reader { rest: text.trim_ascii() };
        let year = r.digits(4)?;
        r.byte_if(b"-/")?;
        let month = r.digits(2)?;
        r.byte_if(b"-/")?;
        let day = r.digits(2)?;
        if r.rest.is_empty() {
            return finish(&[year, month, day, 0, 0, 0], 0, Precision::Day, None);
        }
        r.byte_if(b"Tt ")?;
        let (hour, minute, second, nanosecond, precision) = r.time_of_day()?;
        let offset = r.zone()?;
        finish(&[year, month, day, hour, minute, second], nanosecond, precision, offset)
    }

    /// Reads seconds since 1970 with an optional fraction (`1331901000.123456`); 13, 16 or 19
    /// digits without a point are milli-, micro- or nanoseconds, as JSON logs write them.
    #[must_use]
    pub fn parse_unix(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut parts = text.splitn(2, |b| *b == b'.');
        let whole = parts.next()?;
        let fraction = parts.next().unwrap_or_default();
        if whole.is_empty() || whole.len() > 19 {
            return None;
        }
        let value = decimal(whole)?;
        let (nanos, precision) = match whole.len() {
            0..=11 => (value.checked_mul(NANOS)?, Precision::of_digits(fraction.len())),
            12..=14 => (value.checked_mul(1_000_000)?, Precision::Millisecond),
            15..=17 => (value.checked_mul(1_000)?, Precision::Microsecond),
            _ => (value, Precision::Nanosecond),
        };
        let nanos = if whole.len() <= 11 { nanos.checked_add(fraction_nanos(fraction)?)? } else { nanos };
        let at = Timestamp(if negative { -nanos } else { nanos });
        Some(Self { at, precision, zone: Zone::Stated })
    }
}

/// English month abbreviation (any case) to 1..=12.
#[must_use]
pub fn parse_month(text: &[u8]) -> Option<u32> {
    const MONTHS: [&[u8; 3]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let name = text.get(..3)?;
    let index = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(*month))?;
    u32::try_from(index + 1).ok()
}

fn finish(parts: &[u32; 6], nanosecond: u32, precision: Precision, offset: Option<i64>) -> Option<EventTime> {
    let [year, month, day, hour, minute, second] = *parts;
    let civil = Civil { year: i64::from(year), month, day, hour, minute, second, nanosecond };
    let at = civil.timestamp()?.0.checked_sub(offset.unwrap_or(0) * NANOS)?;
    let zone = if offset.is_some() { Zone::Stated } else { Zone::Assumed };
    Some(EventTime { at: Timestamp(at), precision, zone })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn digits(&mut self, count: usize) -> Option<u32> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        let value = decimal(head)?;
        self.rest = tail;
        u32::try_from(value).ok()
    }

    fn byte_if(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, tail) = self.rest.split_first()?;
        if !allowed.contains(first) {
            return None;
        }
        self.rest = tail;
        Some(*first)
    }

    fn time_of_day(&mut self) -> Option<(u32, u32, u32, u32, Precision)> {
        let hour = self.digits(2)?;
        self.byte_if(b":")?;
        let minute = self.digits(2)?;
        if self.byte_if(b":").is_none() {
            return Some((hour, minute, 0, 0, Precision::Minute));
        }
        let second = self.digits(2)?;
        if self.byte_if(b".,").is_none() {
            return Some((hour, minute, second, 0, Precision::Second));
        }
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (fraction, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        let nanos = u32::try_from(fraction_nanos(fraction)?).ok()?;
        Some((hour, minute, second, nanos, Precision::of_digits(count)))
    }

    /// Outer `None`: not a zone. Inner `None`: no zone stated. Value: seconds east of UTC.
    #[allow(clippy::option_option, reason = "the two absences mean different things")]
    fn zone(&mut self) -> Option<Option<i64>> {
        let rest = self.rest.trim_ascii();
        if rest.is_empty() {
            return Some(None);
        }
        if rest.eq_ignore_ascii_case(b"z")
            || rest.eq_ignore_ascii_case(b"utc")
            || rest.eq_ignore_ascii_case(b"gmt")
        {
            return Some(Some(0));
        }
        self.rest = rest;
        let sign = if self.byte_if(b"+-")? == b'-' { -1 } else { 1 };
        let hours = i64::from(self.digits(2)?);
        let _ = self.byte_if(b":");
        let minutes = if self.rest.is_empty() { 0 } else { i64::from(self.digits(2)?) };
        if !self.rest.is_empty() || hours > 23 || minutes > 59 {
            return None;
        }
        Some(Some(sign * (hours * 3_600 + minutes * 60)))
    }
}

fn decimal(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |value, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    })
}

/// Decimal fraction digits as nanoseconds; digits past the ninth are cut.
fn fraction_nanos(digits: &[u8]) -> Option<i64> {
    let kept = digits.get(..digits.len().min(9))?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let missing = u32::try_from(9 - kept.len()).ok()?;
    decimal(kept).map(|value| value * 10_i64.pow(missing))
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01; `None` outside the years that a [`Timestamp`] can hold.
fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1_600..=2_400).contains(&year) {
        return None;
    }
    // The year starts in March, so that the leap day is its last.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = i64::from((month + 9) % 12);
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = u32::try_from(day_of_year - (153 * shifted_month + 2) / 5 + 1).unwrap_or(1);
    let month =
        u32::try_from(if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 }).unwrap_or(1);
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let found = EventTime::parse_iso(text.as_bytes()).map(|time| format!("{time} {}", time.zone.name()));
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn iso_shapes_of_real_logs() {
        check("2022-07-15T10:11:12Z", Some("2022-07-15T10:11:12Z stated"));
        check("2022-07-15 10:11:12.5", Some("2022-07-15T10:11:12.500Z assumed"));
        check("2022-07-15T10:11:12,123456+02:00", Some("2022-07-15T08:11:12.123456Z stated"));
        check("2022-07-15T10:11:12.1234567Z", Some("2022-07-15T10:11:12.1234567Z stated"));
        check("2022-07-15T10:11:12.123456789123-0130", Some("2022-07-15T11:41:12.123456789Z stated"));
        check("2022-07-15 10:11:12 UTC", Some("2022-07-15T10:11:12Z stated"));
        check("2022-07-15 10:11", Some("2022-07-15T10:11:00Z assumed"));
        check("2022-07-15", Some("2022-07-15T00:00:00Z assumed"));
        check("2024-02-29T00:00:00Z", Some("2024-02-29T00:00:00Z stated"));
        check("2023-02-29T00:00:00Z", None);
        check("2022-13-15T10:11:12Z", None);
        check("2022-07-15T10:11:12Zx", None);
        check("9999-07-15T10:11:12Z", None);
        check("", None);
    }

    #[test]
    fn unix_shapes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(EventTime::parse_unix(text.as_bytes()).unwrap().to_string(), expected, "{text}");
        };
        check("1331901000.123456", "2012-03-16T12:30:00.123456Z");
        check("1657879872", "2022-07-15T10:11:12Z");
        check("1657879872123", "2022-07-15T10:11:12.123Z");
        check("1657879872123456", "2022-07-15T10:11:12.123456Z");
        check("-1", "1969-12-31T23:59:59Z");
        assert_eq!(EventTime::parse_unix(b"abc"), None);
        assert_eq!(EventTime::parse_unix(b""), None);
        assert_eq!(EventTime::parse_unix(b"99999999999999999999"), None);
    }

    #[test]
    fn filetime_and_civil_are_inverse() {
        let time = EventTime::from_filetime(133_000_000_000_000_000).unwrap();
        assert_eq!(time.to_string(), "2022-06-18T04:26:40.0000000Z");
        assert_eq!(time.at.to_filetime(), Some(133_000_000_000_000_000));
        for days in (-100_000..100_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), Some(days));
        }
        assert_eq!(Timestamp::from_filetime(u64::MAX), None);
    }

    #[test]
    fn iso_weeks_at_the_turn_of_the_year() {
        let week = |text: &str| EventTime::parse_iso(text.as_bytes()).unwrap().at.civil().iso_week();
        assert_eq!(week("2020-12-31"), 53);
        assert_eq!(week("2021-01-01"), 53);
        assert_eq!(week("2021-01-04"), 1);
        assert_eq!(week("2024-12-30"), 1);
        assert_eq!(week("2022-07-15"), 28);
    }
}
