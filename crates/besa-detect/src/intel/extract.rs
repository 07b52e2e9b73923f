//! The observables in one value, normalised; what is looked up besides is told from them by
//! [`derived_keys`](super::derived_keys).

use besa_event::observable::{self, ObservableKind as Kind, VALUE_BYTES_MAX, normalise};
use besa_event::sieve::{Sieve, Words};

use super::fields::{FieldClass as Class, has};

/// Bytes of a value that are looked at.
const SCAN_BYTES_MAX: usize = 1 << 20;

/// Hands every observable of a value to `see`, by the classes of its field; in running text those
/// that the sieve holds back may be left out. `key` is a buffer.
pub(crate) fn observables(
    classes: u16,
    text: &[u8],
    key: &mut Vec<u8>,
    sieve: Option<(&Sieve, &mut Words)>,
    see: &mut dyn FnMut(Kind, &[u8]),
) {
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
    let mut token = |kind, token: &[u8]| {
        if files && kind == Kind::Domain {
            one(Kind::FileName, token, key, see);
        }
        one(kind, token, key, see);
    };
    match sieve {
        // A dotted word may be a file name, of which the sieve knows nothing.
        Some((sieve, words)) if !files => sieve.scan(text, words, &mut token),
        _ => observable::scan(text, &mut token),
    }
}

fn by_class(classes: u16, text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    if has(classes, Class::Path) {
        path(text, key, see);
        // A long path has no normal form, but its name may have one.
        one(Kind::FileName, observable::file_name(unquoted(text)), key, see);
    }
    if has(classes, Class::RegistryKey) && text.len() > VALUE_BYTES_MAX {
        let end = memchr::memrchr(b'\\', text).unwrap_or_default();
        one(Kind::RegistryKey, &text[..end], key, see);
    }
    if has(classes, Class::Command) {
        paths_in(text, key, see);
    }
    if has(classes, Class::Host) {
        one(Kind::Ipv4, text, key, see);
        one(Kind::Domain, text, key, see);
    }
    if has(classes, Class::Url) {
        url(text, key, see);
    }
    for (class, kind) in [
        (Class::RegistryKey, Kind::RegistryKey),
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

/// A path in an event is taken to be whole; its tails are told from it.
fn path(text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    key.clear();
    if normalise(Kind::FilePath, unquoted(text), key).is_some() {
        see(Kind::FilePath, key);
    }
}

/// A URL.
pub(crate) fn url(text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    one(Kind::Url, text, key, see);
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
