//! The observables in one value, normalised; what is looked up besides is told from them by
//! [`derived_keys`](super::derived_keys).

use besa_event::observable::{self, ObservableKind as Kind, VALUE_BYTES_MAX, normalise};
use besa_event::sieve::{Sieve, Words};

use super::fields::{FieldClass as Class, has};

/// Bytes of a value that are looked at.
const SCAN_BYTES_MAX: usize = 1 << 20;

/// All kinds of observables, as bits (`1 << kind`).
pub(crate) const ALL_KINDS: u32 = u32::MAX;
const FILES: u32 = bit(Kind::FileName) | bit(Kind::FilePath) | bit(Kind::PathTail);
const ADDRESSES: u32 = bit(Kind::Ipv4) | bit(Kind::Ipv6) | bit(Kind::Network);
const DIGESTS: u32 = bit(Kind::Md5) | bit(Kind::Sha1) | bit(Kind::Sha256) | bit(Kind::Sha512);
/// Those that stand in running text.
const IN_TEXT: u32 = ADDRESSES | DIGESTS | bit(Kind::Domain) | bit(Kind::Url) | bit(Kind::Email);

const fn bit(kind: Kind) -> u32 {
    1 << kind as u32
}

/// Whether a value taken for one kind can turn out to be of some kinds: addresses are of either family,
/// and a path has an end.
fn is_among(kind: Kind, kinds: u32) -> bool {
    let can_be = match kind {
        Kind::Ipv4 | Kind::Ipv6 | Kind::Network => ADDRESSES,
        Kind::FilePath | Kind::PathTail => bit(Kind::FilePath) | bit(Kind::PathTail),
        _ => bit(kind),
    };
    kinds & can_be != 0
}

/// Hands every observable of a value to `see`, by the classes of its field; those that are not of
/// `kinds` may be left out, and in running text those that the sieve holds back. `key` is a buffer.
pub(crate) fn observables(
    classes: u16,
    text: &[u8],
    kinds: u32,
    key: &mut Vec<u8>,
    sieve: Option<(&Sieve, &mut Words)>,
    see: &mut dyn FnMut(Kind, &[u8]),
) {
    let text = &text[..text.len().min(SCAN_BYTES_MAX)];
    let mut one = |kind, text: &[u8]| {
        if is_among(kind, kinds) {
            one(kind, text, key, see);
        }
    };
    if has(classes, Class::Hashes) {
        if kinds & (DIGESTS | bit(Kind::Imphash)) != 0 {
            hashes(text, &mut one);
        }
        return;
    }
    if has(classes, Class::Version) {
        return;
    }
    // A dotted word may be a file name, of which the sieve knows nothing.
    let files = has(classes, Class::Command) && kinds & FILES != 0;
    if is_running(classes)
        && (!may_hold_token(text, text.len(), kinds)
            || sieve.as_ref().is_some_and(|(sieve, _)| !sieve.may_hold_word(text)))
    {
        return;
    }
    if classes != 0 {
        by_class(classes, text, kinds, &mut one);
    }
    if !files && !may_hold_token(text, text.len(), kinds) {
        return;
    }
    let mut token = |kind, token: &[u8]| {
        if files && kind == Kind::Domain {
            one(Kind::FileName, token);
        }
        one(kind, token);
    };
    match sieve {
        Some((sieve, words)) if !files => sieve.scan(text, words, &mut token),
        _ => observable::scan(text, &mut token),
    }
}

/// Whether fields of these classes hold nothing but what running text could hold: a host is an address
/// or a name.
fn is_running(classes: u16) -> bool {
    classes & !(1 << Class::Host as u16) == 0
}

/// Whether any of many values can be shown for some kinds: `bytes` hold them, with whatever between them,
/// and none is longer than `longest`. No value is looked at by itself, so this costs next to nothing.
pub(crate) fn may_hold_any(classes: u16, kinds: u32, bytes: &[u8], longest: usize) -> bool {
    !is_running(classes) || may_hold_token(bytes, longest, kinds)
}

/// Digits of the shortest digest.
const DIGITS_MIN: usize = 32;

/// Whether there can be a token of some kinds in running text: addresses, names and URLs have a dot or a
/// colon, and the shortest digest has 32 digits.
fn may_hold_token(text: &[u8], longest: usize, kinds: u32) -> bool {
    let digest = kinds & DIGESTS != 0 && longest >= DIGITS_MIN;
    digest || (kinds & IN_TEXT & !DIGESTS != 0 && memchr::memchr2(b'.', b':', text).is_some())
}

fn by_class(classes: u16, text: &[u8], kinds: u32, one: &mut impl FnMut(Kind, &[u8])) {
    if has(classes, Class::Path) && kinds & FILES != 0 {
        one(Kind::FilePath, unquoted(text));
        // A long path has no normal form, but its name may have one.
        one(Kind::FileName, observable::file_name(unquoted(text)));
    }
    if has(classes, Class::RegistryKey) && text.len() > VALUE_BYTES_MAX {
        let end = memchr::memrchr(b'\\', text).unwrap_or_default();
        one(Kind::RegistryKey, &text[..end]);
    }
    if has(classes, Class::Command) && kinds & FILES != 0 {
        paths_in(text, one);
    }
    for (class, kind) in [
        (Class::Host, Kind::Ipv4),
        (Class::Host, Kind::Domain),
        (Class::Url, Kind::Url),
        (Class::RegistryKey, Kind::RegistryKey),
        (Class::Imphash, Kind::Imphash),
        (Class::Ja3, Kind::Ja3),
        (Class::Pipe, Kind::NamedPipe),
        (Class::Mutex, Kind::Mutex),
        (Class::Service, Kind::ServiceName),
        (Class::UserAgent, Kind::UserAgent),
    ] {
        if has(classes, class) {
            one(kind, text);
        }
    }
}

fn one(kind: Kind, text: &[u8], key: &mut Vec<u8>, see: &mut dyn FnMut(Kind, &[u8])) {
    key.clear();
    match normalise(kind, text, key) {
        // A path in an event is taken to be whole; its tails are told from it.
        Some(Kind::PathTail) => see(Kind::FilePath, key),
        Some(kind) => see(kind, key),
        None => {}
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
fn paths_in(text: &[u8], one: &mut impl FnMut(Kind, &[u8])) {
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
        one(Kind::FilePath, unquoted(path_text));
        one(Kind::FileName, path_text);
    }
}

/// Sysmon's `SHA1=…,MD5=…,IMPHASH=…`; a hash without a name tells by its length.
fn hashes(text: &[u8], one: &mut impl FnMut(Kind, &[u8])) {
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
            one(kind, digits);
        }
    }
}
