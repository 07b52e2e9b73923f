//! The observables in one value, normalised and ready to be looked up.

use besa_event::observable::{self, ObservableKind as Kind, normalise};

use super::fields::{FieldClass as Class, has};

/// Bytes of a value that are looked at.
const SCAN_BYTES_MAX: usize = 1 << 20;
/// Components of a path from whose start its tails are looked up.
const PATH_TAILS_MAX: usize = 64;

/// Hands every observable of a value to `see`, by the classes of its field. `key` is a buffer.
pub(crate) fn observables(classes: u16, text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    let text = &text[..text.len().min(SCAN_BYTES_MAX)];
    if has(classes, Class::Hashes) {
        hashes(text, key, see);
        return;
    }
    if has(classes, Class::Version) {
        return;
    }
    if classes != 0 {
        by_class(classes, text, key, see);
    }
    let files = has(classes, Class::Command);
    observable::scan(text, &mut |kind, token| {
        if files && kind == Kind::Domain {
            one(Kind::FileName, token, key, see);
        }
        token_of(kind, token, key, see);
    });
}

/// A URL put together from fields.
pub(crate) fn split_url(joined: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    url(joined, key, see);
}

fn by_class(classes: u16, text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    if has(classes, Class::Path) {
        path(text, key, see);
        one(Kind::FileName, unquoted(text), key, see);
    }
    if has(classes, Class::Command) {
        paths_in(text, key, see);
    }
    if has(classes, Class::Host) {
        token_of(Kind::Ipv4, text, key, see);
        token_of(Kind::Domain, text, key, see);
    }
    if has(classes, Class::Url) {
        url(text, key, see);
    }
    if has(classes, Class::RegistryKey) {
        key.clear();
        if normalise(Kind::RegistryKey, text, key).is_some() {
            see(Kind::RegistryKey, key);
            if let Some(end) = key.iter().rposition(|byte| *byte == b'\\') {
                see(Kind::RegistryKey, &key[..end]);
            }
        }
    }
    for (class, kind) in [
        (Class::Imphash, Kind::Imphash),
        (Class::Ja3, Kind::Ja3),
        (Class::Pipe, Kind::NamedPipe),
        (Class::Mutex, Kind::Mutex),
        (Class::Service, Kind::ServiceName),
        (Class::UserAgent, Kind::UserAgent),
    ] {
        if has(classes, class) {
            one(kind, text, key, see);
        }
    }
}

fn one(kind: Kind, text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    key.clear();
    if let Some(kind) = normalise(kind, text, key) {
        see(kind, key);
    }
}

fn token_of(kind: Kind, token: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    match kind {
        Kind::Url => url(token, key, see),
        Kind::Domain => {
            key.clear();
            if normalise(kind, token, key).is_some() {
                domain(key, see);
            }
        }
        _ => one(kind, token, key, see),
    }
}

/// A domain and the domains above it, down to two labels.
fn domain(mut name: &[u8], see: &mut dyn FnMut(Kind, &[u8])) {
    while let Some(dot) = name.iter().position(|byte| *byte == b'.') {
        see(Kind::Domain, name);
        name = &name[dot + 1..];
    }
}

/// A URL as it is and without its query.
fn url(text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    key.clear();
    if normalise(Kind::Url, text, key).is_none() {
        return;
    }
    see(Kind::Url, key);
    if let Some(query) = key.iter().position(|byte| *byte == b'?') {
        see(Kind::Url, &key[..query]);
    }
}

/// A path as it is and its tails from each component on.
fn path(text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    key.clear();
    if normalise(Kind::FilePath, unquoted(text), key).is_none() {
        return;
    }
    see(Kind::FilePath, key);
    let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    for (at, _) in slashes.take(PATH_TAILS_MAX) {
        see(Kind::PathTail, &key[at..]);
    }
}

/// What stands in quotes at the start (a service's path with its arguments), or all of it.
fn unquoted(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    match text.strip_prefix(b"\"") {
        Some(rest) => rest.split(|byte| *byte == b'"').next().unwrap_or_default(),
        None => text,
    }
}

/// Paths with a drive letter in a command line: up to the quote that opened before them, else up
/// to white space.
fn paths_in(text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    for colon in memchr::memchr_iter(b':', text) {
        let drive = colon.checked_sub(1).and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphabetic);
        let before = colon.checked_sub(2).and_then(|at| text.get(at));
        let rooted = matches!(text.get(colon + 1), Some(b'\\' | b'/')) && text.get(colon + 2) != Some(&b'/');
        if !drive || !rooted || before.is_some_and(u8::is_ascii_alphanumeric) {
            continue;
        }
        let rest = &text[colon - 1..text.len().min(colon + 1_024)];
        let end = match before {
            Some(quote @ (b'"' | b'\'')) => rest.iter().position(|byte| byte == quote),
            _ => rest.iter().position(|byte| byte.is_ascii_whitespace() || b"\"'<>|,;)".contains(byte)),
        };
        let path_text = &rest[..end.unwrap_or(rest.len())];
        path(path_text, key, see);
        one(Kind::FileName, path_text, key, see);
    }
}

/// Sysmon's `SHA1=…,MD5=…,IMPHASH=…`; a hash without a name tells by its length.
fn hashes(text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    for item in text.split(|byte| matches!(byte, b',' | b';' | b'|')) {
        let item = item.trim_ascii();
        let (name, digits) = match item.iter().position(|byte| matches!(byte, b'=' | b':')) {
            Some(at) => (item[..at].trim_ascii(), item[at + 1..].trim_ascii()),
            None => (&b""[..], item),
        };
        let kind = if name.eq_ignore_ascii_case(b"IMPHASH") {
            Some(Kind::Imphash)
        } else {
            Kind::of_hash_digits(digits.len())
        };
        if let Some(kind) = kind {
            one(kind, digits, key, see);
        }
    }
}
