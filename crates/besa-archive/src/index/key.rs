//! Observables as keys of 48 bits: what an event's value is stored under, what an indicator asks.
//!
//! ```text
//! bit 47 46 45 …                 0
//!      0  0 [14 zeros][address    ]   IPv4, in order of the address
//!      0  1 [first 46 bits        ]   IPv6, in order of the network
//!      1 [8 zeros][39 bits of a hash]   everything else, IPv6 addresses too
//! ```
//! Addresses keep their order, so that a network is a range of keys. Everything else is the upper
//! 39 bits of a [`hash`] of kind and normalised value: of look-ups among a million distinct values
//! one in half a million names a row group in vain. That costs reading the row group, never a wrong
//! answer, since rows are confirmed by the matcher; each bit more would cost every key a bit.
//!
//! Soundness: whatever value an event holds, the keys under which it is stored ([`stored`]) meet
//! those asked for by an indicator of the same kind and value ([`asked`]), and by one of a network
//! that the address lies in. Both are functions of kind and bytes alone.
//!
//! The end of a path (`PathTail`) is stored under its last two components (under the file name if
//! it has one only), so that a path has three keys and not one for each of its directories.
//!
//! A URL whose host and path stand in two fields is not seen value by value; its path is stored
//! by itself, and every URL indicator asks for its path as well ([`Observed::UrlPath`]).

use besa_event::observable::ObservableKind as Kind;

/// Bits of a key.
pub const KEY_BITS: u32 = 48;
/// Keys are below this.
pub(super) const KEYS_END: u64 = 1 << KEY_BITS;

const HASHED: u64 = 1 << 47;
/// Bits of a hash in a key.
const HASH_BITS: u32 = 39;
const IPV6: u64 = 1 << 46;
/// Numbers beside those of kinds.
const URL_PATH: u8 = 0xFE;
const ANY_URL: u8 = 0xFD;

/// Something seen in a value of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed<'a> {
    /// An observable in normal form, or a derived key of one.
    Value(Kind, &'a [u8]),
    /// The path of a URL whose host may stand in another field: from the first slash up to a
    /// question mark.
    UrlPath(&'a [u8]),
    /// A part of a URL that can only be understood together with others: every URL indicator
    /// has to look here.
    AnyUrl,
}

/// A stable hash of a number and bytes: words of eight bytes (little endian, the last one filled
/// up with zeros) multiplied to 128 bits and folded; the length closes it. Written into index
/// runs, so it never changes.
#[must_use]
pub fn hash(number: u8, bytes: &[u8]) -> u64 {
    let mut state = mix(u64::from(number) ^ 0x2D35_8DCC_AA6C_78A5, 0x9E37_79B9_7F4A_7C15);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        state = mix(state ^ u64::from_le_bytes(word.try_into().unwrap_or_default()), 0x8BB8_4B93_962E_ACC9);
    }
    let mut last = [0; 8];
    last.iter_mut().zip(words.remainder()).for_each(|(into, byte)| *into = *byte);
    state = mix(state ^ u64::from_le_bytes(last), 0x4B33_A62E_D433_D4A3 ^ bytes.len() as u64);
    mix(state ^ 0x1B03_7387_12FA_D5C9, 0xD6E8_FEB8_6659_FD93)
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

fn hashed(number: u8, bytes: &[u8]) -> u64 {
    HASHED | hash(number, bytes) >> (u64::BITS - HASH_BITS)
}

fn ipv4(address: [u8; 4]) -> u64 {
    u64::from(u32::from_be_bytes(address))
}

/// Networks of IPv6 are told apart by this many bits.
const IPV6_BITS: u32 = 46;

fn ipv6_network(address: [u8; 16]) -> u64 {
    IPV6 | (u128::from_be_bytes(address) >> (128 - IPV6_BITS)) as u64
}

/// The keys under which something seen in an event is stored.
pub fn stored(observed: Observed<'_>, see: &mut dyn FnMut(u64)) {
    match observed {
        Observed::Value(kind, value) => stored_value(kind, value, see),
        Observed::UrlPath(path) => see(hashed(URL_PATH, path)),
        Observed::AnyUrl => see(hashed(ANY_URL, b"")),
    }
}

fn stored_value(kind: Kind, value: &[u8], see: &mut dyn FnMut(u64)) {
    see(value_key(kind, value));
    if let (Kind::Ipv6, Ok(address)) = (kind, <[u8; 16]>::try_from(value)) {
        see(ipv6_network(address));
    }
}

/// The ranges of keys, first and last, that an indicator's value asks for.
pub fn asked(kind: Kind, value: &[u8], see: &mut dyn FnMut(u64, u64)) {
    let key = value_key(kind, value);
    see(key, key);
    match kind {
        Kind::Network => {
            if let Some((first, last)) = network(value) {
                see(first, last);
            }
        }
        Kind::Url => {
            let path = hashed(URL_PATH, url_path(value));
            see(path, path);
            let any = hashed(ANY_URL, b"");
            see(any, any);
        }
        _ => {}
    }
}

/// The address that a key of IPv4 stands for.
pub(super) fn ipv4_of(key: u64) -> Option<[u8; 4]> {
    u32::try_from(key).ok().map(u32::to_be_bytes)
}

/// Bits (`1 << kind`) of the kinds under which an event can hold what an indicator of a kind asks for.
pub(super) fn kinds_asked(kind: Kind) -> u32 {
    let bits = |kinds: &[Kind]| kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u32);
    match kind {
        Kind::Ipv4 | Kind::Ipv6 | Kind::Network => ADDRESSES,
        // The end of a path that is a file name alone is stored as one.
        Kind::FileName | Kind::PathTail => bits(&[Kind::FileName, Kind::FilePath, Kind::PathTail]),
        _ => bits(&[kind]),
    }
}

/// The kinds of addresses, which are told apart by their values.
pub(super) const ADDRESSES: u32 = 1 << Kind::Ipv4 as u32 | 1 << Kind::Ipv6 as u32 | 1 << Kind::Network as u32;

/// The one key of a kind and value.
fn value_key(kind: Kind, value: &[u8]) -> u64 {
    match (kind, <[u8; 4]>::try_from(value)) {
        (Kind::Ipv4, Ok(address)) => ipv4(address),
        (Kind::PathTail, _) => match last_two(value) {
            Tail::Two(components) => hashed(Kind::PathTail as u8, components),
            Tail::One(name) => hashed(Kind::FileName as u8, name),
        },
        _ => hashed(kind as u8, value),
    }
}

enum Tail<'a> {
    Two(&'a [u8]),
    One(&'a [u8]),
}

fn last_two(path: &[u8]) -> Tail<'_> {
    let mut slashes = memchr::memrchr_iter(b'/', path);
    match (slashes.next(), slashes.next()) {
        (_, Some(second)) => Tail::Two(path.get(second..).unwrap_or_default()),
        (Some(only), None) => Tail::One(path.get(only + 1..).unwrap_or_default()),
        (None, None) => Tail::One(path),
    }
}

/// From the first slash up to a question mark.
fn url_path(url: &[u8]) -> &[u8] {
    let from = memchr::memchr(b'/', url).unwrap_or(url.len());
    let rest = url.get(from..).unwrap_or_default();
    rest.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// First and last key of a network in normal form: family, prefix length, address.
fn network(value: &[u8]) -> Option<(u64, u64)> {
    match value {
        [4, prefix, address @ ..] => {
            let first = u32::from_be_bytes(address.try_into().ok()?);
            let hosts = u32::MAX.checked_shr(u32::from(*prefix)).unwrap_or(0);
            Some((u64::from(first & !hosts), u64::from(first | hosts)))
        }
        [6, prefix, address @ ..] => {
            let first = ipv6_network(address.try_into().ok()?);
            let below = IPV6_BITS.saturating_sub(u32::from(*prefix));
            let hosts = (1_u64 << below) - 1;
            Some((first & !hosts, first | hosts))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use besa_event::observable::normalise;
    use proptest::prelude::*;

    use super::*;

    fn keys(observed: Observed<'_>) -> Vec<u64> {
        let mut keys = Vec::new();
        stored(observed, &mut |key| keys.push(key));
        keys
    }

    fn finds(asking: (Kind, &str), observed: (Kind, &str)) -> bool {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let kind = normalise(asking.0, asking.1.as_bytes(), &mut ours).unwrap();
        let seen = normalise(observed.0, observed.1.as_bytes(), &mut theirs).unwrap();
        let stored = keys(Observed::Value(seen, &theirs));
        let mut found = false;
        asked(kind, &ours, &mut |first, last| found |= stored.iter().any(|key| (first..=last).contains(key)));
        found
    }

    /// These values are in runs that people keep.
    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash(4, b"evil.example"), 0x79B2_E4AA_B726_921E, "a word and a rest");
        assert_eq!(hash(4, b""), 0x8EAE_381F_2ECC_419C, "nothing");
    }

    #[test]
    fn values_and_networks() {
        use Kind::*;
        for (asking, observed, expected) in [
            ((Ipv4, "10.1.2.3"), (Ipv4, "10.1.2.3"), true),
            ((Ipv4, "10.1.2.3"), (Ipv4, "10.1.2.4"), false),
            ((Network, "10.0.0.0/8"), (Ipv4, "10.255.255.255"), true),
            ((Network, "10.0.0.0/8"), (Ipv4, "11.0.0.0"), false),
            ((Network, "0.0.0.0/0"), (Ipv4, "255.255.255.255"), true),
            ((Network, "0.0.0.0/0"), (Ipv6, "2001:db8::1"), false),
            ((Network, "10.1.2.2/31"), (Ipv4, "10.1.2.3"), true),
            ((Network, "2001:db8::/32"), (Ipv6, "2001:db8:ffff::1"), true),
            ((Network, "2001:db8::/32"), (Ipv6, "2001:db9::1"), false),
            ((Network, "2001:db8::/64"), (Ipv6, "2001:db8::1"), true),
            ((Network, "::/0"), (Ipv6, "ffff::1"), true),
            ((Ipv6, "2001:db8::1"), (Ipv6, "2001:db8::1"), true),
            ((Ipv6, "2001:db8::1"), (Ipv6, "2001:db8::2"), false),
            ((PathTail, "%appdata%\\a\\b.exe"), (PathTail, "\\appdata\\roaming\\a\\b.exe"), true),
            ((PathTail, "\\b.exe"), (FileName, "B.exe"), true),
            ((FileName, "b.exe"), (Domain, "b.exe"), false),
        ] {
            assert_eq!(finds(asking, observed), expected, "{asking:?} {observed:?}");
        }
    }

    #[test]
    fn a_split_url_is_found_by_its_path() {
        for (url, path, expected) in [
            ("http://evil.example/a/b?c=1", "/a/b", true),
            ("http://evil.example", "/", true),
            ("http://evil.example/a", "/b", false),
        ] {
            let mut value = Vec::new();
            normalise(Kind::Url, url.as_bytes(), &mut value).unwrap();
            let stored = keys(Observed::UrlPath(path.as_bytes()));
            let mut found = false;
            asked(Kind::Url, &value, &mut |first, last| found |= (first..=last).contains(&stored[0]));
            assert_eq!(found, expected, "{url} {path}");
        }
    }

    #[test]
    fn similar_values_spread_over_all_keys() {
        let mut seen = HashSet::new();
        let mut counts = [0_u32; 64];
        for number in 0..200_000_u32 {
            let hash = hash(4, format!("host{number}.example").as_bytes());
            counts[(hash >> 58) as usize] += 1;
            seen.insert(hash >> 25);
        }
        assert_eq!(seen.len(), 200_000);
        assert!(counts.iter().all(|count| (2_800..3_450).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn what_is_stored_is_found(number in 1_u8..=20, value in prop::collection::vec(any::<u8>(), 0..24)) {
            let kind = Kind::from_number(number).unwrap();
            let stored = keys(Observed::Value(kind, &value));
            let mut found = false;
            asked(kind, &value, &mut |first, last| {
                assert!(first <= last && last < KEYS_END);
                found |= stored.iter().any(|key| (first..=last).contains(key));
            });
            prop_assert!(found);
        }
    }
}
