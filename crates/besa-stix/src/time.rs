//! STIX timestamps (section 2.16): RFC 3339 in UTC, `T` and `Z` upper case, any number of
//! sub-second digits.
//!
//! `2024-01-01T00:00:00Z` and `2024-01-01T00:00:00.000Z` are one [`Instant`] and two texts;
//! [`Timestamp`] keeps both, since a re-written timestamp breaks signatures.
//!
//! Limits: digits after the ninth are read and dropped (nanoseconds); a leap second `:60` is the
//! first second of the next minute, as in POSIX time.

use std::fmt;

/// A point in time, nanosecond precision, years 0000 to 9999 when read from text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Seconds since 1970-01-01T00:00:00Z.
    seconds: i64,
    /// 0..1,000,000,000.
    nanos: u32,
}

/// An instant with the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// The point in time.
    pub instant: Instant,
    /// As it was written.
    pub text: String,
}

/// Why a text is no STIX timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no STIX timestamp: {reason}; write for example 2024-01-31T23:59:59.000Z")]
pub struct TimestampError {
    /// The start of the text refused.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Instant {
    /// Reads a STIX timestamp.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        parse(text.as_bytes())
            .map_err(|reason| TimestampError { text: text.chars().take(64).collect(), reason })
    }

    /// From nanoseconds since 1970; `None` if the seconds do not fit 64 bits.
    pub fn from_unix_nanos(nanos: i128) -> Option<Self> {
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
        let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        Some(Self { seconds, nanos })
    }

    /// From seconds since 1970 and nanoseconds below 1,000,000,000 (more are carried over).
    pub fn from_unix(seconds: i64, nanos: u32) -> Self {
        let carry = i64::from(nanos / 1_000_000_000);
        Self { seconds: seconds.saturating_add(carry), nanos: nanos % 1_000_000_000 }
    }

    /// Nanoseconds since 1970.
    pub fn unix_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after the whole second.
    pub fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// The text with exactly three sub-second digits (the rest cut off), as `created` and
    /// `modified` are usually written (section 3.2).
    pub fn to_millis_text(self) -> String {
        let millis = self.nanos / 1_000_000;
        format!("{}.{millis:03}Z", CivilSeconds(self.seconds))
    }
}

impl Timestamp {
    /// Reads a STIX timestamp and keeps its text.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        Ok(Self { instant: Instant::parse(text)?, text: text.to_owned() })
    }
}

impl fmt::Display for Instant {
    /// The shortest text of the instant: sub-second digits only as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", CivilSeconds(self.seconds))?;
        if self.nanos > 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Prints seconds since 1970 as `2024-01-31T23:59:59`.
struct CivilSeconds(i64);

impl fmt::Display for CivilSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(86_400));
        let second = self.0.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

fn parse(text: &[u8]) -> Result<Instant, &'static str> {
    let (head, tail) = text.split_at_checked(19).ok_or("it is too short")?;
    for (at, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if head.get(at) != Some(&mark) {
            return Err("date and time must have the form YYYY-MM-DDTHH:MM:SS");
        }
    }
    let number = |from, to| digits(head.get(from..to)).ok_or("a digit is missing");
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) {
        return Err("the month is not 01 to 12");
    }
    if !(1..=days_in_month(year, month)).contains(&day) {
        return Err("the month has no such day");
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err("there is no such time of day");
    }
    let nanos = subsecond(tail)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Ok(Instant { seconds, nanos })
}

/// Reads `Z` or `.digitsZ`.
fn subsecond(tail: &[u8]) -> Result<u32, &'static str> {
    let Some((b'Z', rest)) = tail.split_last() else {
        return Err("it must end with an upper-case Z (UTC)");
    };
    let Some((first, digits)) = rest.split_first() else {
        return Ok(0);
    };
    if *first != b'.' || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("the seconds may be followed by a full stop and digits only");
    }
    let padded = digits.iter().map(|d| u32::from(d - b'0')).chain(std::iter::repeat(0));
    Ok(padded.take(9).fold(0, |nanos, digit| nanos * 10 + digit))
}

fn digits(text: Option<&[u8]>) -> Option<i64> {
    text?
        .iter()
        .try_fold(0i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. The year is counted from March, so
/// that the leap day is its last day and months follow the 153-days-in-five-months rhythm.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_instants() {
        for (text, nanos, shortest) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.5Z", -500_000_000, "1969-12-31T23:59:59.5Z"),
            ("2000-02-29T00:00:00.000Z", 951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000, "2017-01-01T00:00:00Z"),
            ("2024-01-01T00:00:00.1234567899Z", 1_704_067_200_123_456_789, "2024-01-01T00:00:00.123456789Z"),
            ("0000-03-01T00:00:00Z", -62_162_035_200_000_000_000, "0000-03-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000_000_000, "9999-12-31T23:59:59Z"),
        ] {
            let instant = Instant::parse(text).unwrap();
            assert_eq!(instant.unix_nanos(), nanos, "{text}");
            assert_eq!(instant.to_string(), shortest);
            assert_eq!(Instant::from_unix_nanos(nanos), Some(instant));
        }
        assert_eq!(Instant::from_unix(0, 9_999_999).to_millis_text(), "1970-01-01T00:00:00.009Z");
    }

    #[test]
    fn every_day_of_eight_centuries_goes_there_and_back() {
        for days in days_from_civil(1600, 1, 1)..days_from_civil(2400, 1, 1) {
            let (year, month, day) = civil_from_days(days);
            assert!((1..=days_in_month(year, month)).contains(&day));
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn refused_texts() {
        for text in [
            "",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00z",
            "2024-01-01t00:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00,1Z",
            "2024-01-01T00:00:00+00:00",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:61Z",
            "2024-01-01T00:00:00Z ",
            "２024-01-01T00:00:00Z",
            "+024-01-01T00:00:00Z",
            "2024-1-01T00:00:000Z",
        ] {
            assert!(Instant::parse(text).is_err(), "{text}");
        }
    }
}
