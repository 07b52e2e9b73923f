//! URL parameters: `added_after`, `limit`, `next`, `match[…]` (sections 3.4, 3.5).
//!
//! `next` is a commit number in hexadecimal behind a format letter. It names a place, not a state, so
//! it stays valid for ever, goes with any filter and with `added_after`, and tells nothing that the
//! reader has not seen. Parameters that are not known are ignored.

use besa_intel::{PAGE_MAX, PageQuery, Time, VersionFilter, VersionKey};

/// Most values in one `match[…]`.
const VALUES_MAX: usize = 200;

/// Objects in a page when no `limit` is given.
pub(crate) const LIMIT_DEFAULT: usize = 100;

/// Which filters an endpoint knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filters {
    /// Objects and manifest: all of them.
    All,
    /// One object: version and specification version.
    Object,
    /// Versions of one object: specification version; always all versions.
    Versions,
}

/// Reads the parameters; the error is a description for the client.
pub(crate) fn read(query: Option<&str>, filters: Filters) -> Result<PageQuery, String> {
    let mut wanted = PageQuery { limit: LIMIT_DEFAULT, ..PageQuery::default() };
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| format!("`{}` is not well encoded", shorten(name)))?;
        let value = decode(value).ok_or_else(|| format!("the value of `{name}` is not well encoded"))?;
        match name.as_str() {
            "limit" => wanted.limit = limit(&value)?,
            "next" => wanted.after = next(&value)?,
            "added_after" => {
                let time = Time::parse(&value).map_err(|error| format!("`added_after`: {error}"))?;
                wanted.added_after = Some(time);
            }
            "match[id]" if filters == Filters::All => wanted.ids.extend(list(&name, &value)?),
            "match[type]" if filters == Filters::All => wanted.types.extend(list(&name, &value)?),
            "match[version]" if filters != Filters::Versions => {
                wanted.versions = versions(&list(&name, &value)?)?;
            }
            "match[spec_version]" => {
                let known = list(&name, &value)?.into_iter().filter_map(|spec| match spec.as_str() {
                    "2.0" => Some(20),
                    "2.1" => Some(21),
                    _ => None,
                });
                wanted.specs = Some(known.collect());
            }
            _ => {}
        }
    }
    if filters == Filters::Versions {
        wanted.versions = VersionFilter::all();
    }
    Ok(wanted)
}

/// The token that goes on after a commit number.
pub(crate) fn token(after: u64) -> String {
    format!("c{after:x}")
}

fn next(value: &str) -> Result<u64, String> {
    let digits = value.strip_prefix('c').filter(|digits| (1..=16).contains(&digits.len()));
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| format!("`{}` is no `next` of this server; start again without it", shorten(value)))
}

/// At least 1; more than the server gives is the server's most (section 3.5).
fn limit(value: &str) -> Result<usize, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<usize>() {
        Ok(0) => Err("`limit` is 0; it must be at least 1".to_owned()),
        Ok(number) if digits => Ok(number.min(PAGE_MAX)),
        Err(_) if digits => Ok(PAGE_MAX),
        _ => Err(format!("`limit` is `{}`; it must be a whole number", shorten(value))),
    }
}

fn versions(values: &[String]) -> Result<VersionFilter, String> {
    let mut filter = VersionFilter::default();
    for value in values {
        match value.as_str() {
            "all" => filter.all = true,
            "first" => filter.first = true,
            "last" => filter.last = true,
            other => {
                let time = Time::parse(other).map_err(|error| format!("`match[version]`: {error}"))?;
                filter.exact.push(VersionKey::of(time));
            }
        }
    }
    Ok(filter)
}

fn list(name: &str, value: &str) -> Result<Vec<String>, String> {
    let values: Vec<String> = value.split(',').map(|part| part.trim().to_owned()).collect();
    if values.iter().all(String::is_empty) {
        return Err(format!("`{name}` is empty"));
    }
    if values.len() > VALUES_MAX {
        return Err(format!("`{name}` has {} values, at most {VALUES_MAX} are read", values.len()));
    }
    Ok(values.into_iter().filter(|value| !value.is_empty()).collect())
}

/// Undoes percent-encoding; `None` if it is broken or no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}
