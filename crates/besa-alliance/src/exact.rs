//! JSON that has one meaning: what is hashed is what everybody reads.
//!
//! RFC 8785 spells equal JSON equally, but it reads numbers as doubles, so that two texts with
//! different digits may share a canonical form (`9007199254740993` and `…992`), and a relay could
//! change digits under a valid signature. Here a number whose exact decimal value is not that of
//! its canonical form is refused, with duplicate keys, deep nesting and text that is no UTF-8.
//! Hence equal hashes mean equal values, for readers of doubles and of decimals alike.
//!
//! Strings are compared as they are: Unicode forms are not normalised (RFC 8785 section 3.1), so
//! a composed and a decomposed letter are two texts with two hashes.

use besa_stix::canonical::{canonical, canonical_text, strict_value};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::member::Digest;

/// Why a text has no single meaning.
#[derive(Debug, thiserror::Error)]
pub enum ExactError {
    /// Longer than the limit given.
    #[error("the text has {found} bytes, at most {limit} are read")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// No JSON, duplicate keys, or nesting over 128 levels.
    #[error(transparent)]
    Json(#[from] besa_stix::canonical::CanonicalError),
    /// A number that loses digits as a double.
    #[error(
        "the number `{0}` has no exact canonical form (RFC 8785 knows doubles only); write it as a string"
    )]
    Number(String),
}

/// Reads JSON that has one meaning.
pub fn exact_value(text: &str, limit: usize) -> Result<Value, ExactError> {
    if text.len() > limit {
        return Err(ExactError::TooLong { found: text.len(), limit });
    }
    let value = strict_value(text.as_bytes())?;
    match inexact_number(text) {
        Some(number) => Err(ExactError::Number(number.chars().take(40).collect())),
        None => Ok(value),
    }
}

/// SHA-256 of the canonical form of a STIX object's text.
pub fn object_digest(text: &str) -> Result<Digest, ExactError> {
    let value = exact_value(text, besa_stix::object::MAX_OBJECT_BYTES)?;
    Ok(sha_256(canonical(&value)?.as_bytes()))
}

/// SHA-256.
pub(crate) fn sha_256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// The first number of a JSON text whose digits the canonical form would change.
fn inexact_number(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        let (_, tail) = rest.split_at_checked(at)?;
        rest = if let Some(string) = tail.strip_prefix('"') {
            after_string(string)
        } else {
            let end = tail.find(|c: char| !is_number_char(c)).unwrap_or(tail.len());
            let (number, after) = tail.split_at_checked(end)?;
            if !is_exact(number) {
                return Some(number);
            }
            after
        };
    }
    None
}

fn is_number_char(c: char) -> bool {
    matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')
}

/// What follows a string whose opening quote has been read.
fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return text.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

/// Integers of at most 15 digits are exact; others are compared with their canonical form.
fn is_exact(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let Ok(spelled) = canonical_text(number.as_bytes()) else { return false };
    decimal(number).is_some_and(|value| Some(value) == decimal(&spelled))
}

/// A decimal number as sign, significant digits and power of ten of the last digit.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let exponent: i64 = exponent.parse().ok()?;
    let last = exponent.checked_add(i64::try_from(dropped).ok()?)?;
    Some((negative, significant.to_owned(), last.checked_sub(i64::try_from(fraction.len()).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_keep_their_digits() {
        for good in [
            "0",
            "-0",
            "0.0e99999999999999999999",
            "1.0",
            "1e2",
            "9007199254740991",
            "-9007199254740991",
            "0.1",
            "1E+2",
            "123456789012345680000",
            "1e300",
            "5e-324",
            "333333333.3333333",
            "48.856600",
            r#""9007199254740993""#,
            r#"{"a\"1e999":"\\","b":[1,2.5]}"#,
            "9007199254740992",
        ] {
            assert!(exact_value(good, 100).is_ok(), "{good}");
        }
        for bad in [
            "9007199254740993",
            "123456789012345678901234567890",
            "0.1000000000000000055511151231257827",
            "1e-400",
            "333333333.33333329",
            "-9007199254740993",
            r#"{"a":"\"","b":12345678901234567}"#,
            "1e99999999999999999999",
            "18446744073709551615",
            "0.30000000000000004440",
        ] {
            assert!(exact_value(bad, 100).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_meaning() {
        let digest = |text: &str| object_digest(text).unwrap();
        assert_eq!(digest(r#"{"b":1.0,"a":"\u0041"}"#), digest(r#"{ "a":"A", "b":1 }"#));
        assert_ne!(digest("\"\u{e9}\""), digest("\"e\u{301}\""), "no Unicode normalisation");
        for bad in [r#"{"a":1,"\u0061":1}"#, r#""\ud800""#, "{", "1 1"] {
            assert!(object_digest(bad).is_err(), "{bad}");
        }
        assert!(exact_value("[[[[1]]]]", 8).is_err());
    }
}
