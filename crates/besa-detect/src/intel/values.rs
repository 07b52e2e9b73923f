//! The observables of single values, for an index that sees values and not events.
//!
//! A storage by columns holds every value of a field once; whoever indexes it knows a value and the
//! names of its field. [`ways_of`] turns names into ways to look at values, [`observe`] looks at a
//! value. Together they show every key that [`Observer::keys`](super::Observer::keys) shows of an
//! event made of these values, with one exception:
//!
//! # URLs in two fields
//! A URL whose host and path stand in two fields ([`SPLIT_URLS`]) cannot be seen in either. Let
//! `host`, `path` and `query` be the texts; the matcher reads `host ‖ path [‖ "?" ‖ query]` as a URL.
//! - If the host holds none of `/ ? # \`, does not end with a colon, and path and query hold no
//!   `://`, then the URL's path is the field's path up to the first `?` or `#` (white space at its
//!   end may be taken off). That is shown as [`Seen::UrlPath`].
//! - If the first `://` stands in the query, the URL is what the query by itself is as a URL.
//! - Everything else is shown as [`Seen::AnyUrl`]: whoever looks for a URL has to look here.
//!
//! So the place of a URL in an event is found by the URL, by its path, or by `AnyUrl`.

use besa_event::observable::{ObservableKind as Kind, normalise};
use besa_event::sieve::{Sieve, Words};
use besa_event::{LogSource, aliases_of};

use super::extract;
use super::fields::{SPLIT_URLS, classes_by_name};
use super::observer::derived_keys;

/// Changes whenever [`ways_of`], [`observe`] or a normal form changes, so that an index filled by
/// an older version is not trusted. A test holds it against a fingerprint.
pub const VERSION: u32 = 1;

/// How a value is looked at: bits of its field's classes and its part in split URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way(pub u32);

/// Something seen in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// An observable in normal form, or a derived key of one.
    Key(Kind, &'a [u8]),
    /// From the first slash of a URL up to its query; the host stands elsewhere.
    UrlPath(&'a [u8]),
    /// Part of a URL that cannot be told from this value alone.
    AnyUrl,
}

const HOST: u32 = 1 << 16;
const PATH: u32 = 1 << 17;
const QUERY: u32 = 1 << 18;

/// The different ways in which the values of a field have to be looked at: as what its own name
/// says, and what each further name says under which it is asked for (`names`, and the aliases of
/// its class of events). An empty name stands for a record without fields.
#[must_use]
pub fn ways_of(class: &LogSource, names: &[&str]) -> Vec<Way> {
    let mut ways: Vec<Way> = with_aliases(class, names).into_iter().map(way_of).collect();
    ways.sort_unstable();
    ways.dedup();
    ways
}

/// Names of a field, and all those under which its values are asked for in events of a class.
pub(crate) fn with_aliases<'n>(class: &LogSource, names: &[&'n str]) -> Vec<&'n str> {
    let mut all: Vec<&str> = names.to_vec();
    let mut at = 0;
    while let Some(name) = all.get(at).copied() {
        for (_, to) in aliases_of(class).filter(|(from, _)| from.eq_ignore_ascii_case(name)) {
            if !all.iter().any(|known| known.eq_ignore_ascii_case(to)) {
                all.push(to);
            }
        }
        at += 1;
    }
    all
}

fn way_of(name: &str) -> Way {
    let is = |other: &str| other.eq_ignore_ascii_case(name);
    let parts = SPLIT_URLS.iter().map(|(host, path, query)| {
        let bit = |holds, bit| if holds { bit } else { 0 };
        bit(is(host), HOST) | bit(is(path), PATH) | bit(query.is_some_and(is), QUERY)
    });
    Way(parts.fold(u32::from(classes_by_name(name)), |all, part| all | part))
}

/// Shows everything in a value by which an indicator can meet it; the same may come several times.
/// `text` is the unescaped text, `buffer` is for work.
pub fn observe(way: Way, text: &[u8], buffer: &mut Vec<u8>, see: &mut dyn FnMut(Seen<'_>)) {
    observe_kinds(way, text, extract::ALL_KINDS, buffer, None, see);
}

/// The same, when only some observables count: those of `kinds` (bits, `1 << kind`), in running text
/// only those that the sieve lets through. Whatever is none of them may be left out.
pub fn observe_sought(
    way: Way,
    text: &[u8],
    (kinds, sieve): (u32, &Sieve),
    (buffer, words): (&mut Vec<u8>, &mut Words),
    see: &mut dyn FnMut(Seen<'_>),
) {
    observe_kinds(way, text, kinds, buffer, Some((sieve, words)), see);
}

/// Whether anything of some kinds (bits, `1 << kind`) can be shown of many values: `bytes` hold all of
/// them, with whatever between them, and none is longer than `longest`.
#[must_use]
pub fn may_show(way: Way, kinds: u32, bytes: &[u8], longest: usize) -> bool {
    let classes = u16::try_from(way.0 & 0xFFFF).unwrap_or_default();
    let of_url = is_part(way) && kinds >> Kind::Url as u32 & 1 == 1;
    of_url || extract::may_hold_any(classes, kinds, bytes, longest)
}

/// Whether a value looked at in this way can be a part of a URL whose other parts stand in other fields.
#[must_use]
pub fn is_part(way: Way) -> bool {
    way.0 & (HOST | PATH | QUERY) != 0
}

fn observe_kinds(
    way: Way,
    text: &[u8],
    kinds: u32,
    buffer: &mut Vec<u8>,
    sieve: Option<(&Sieve, &mut Words)>,
    see: &mut dyn FnMut(Seen<'_>),
) {
    let classes = u16::try_from(way.0 & 0xFFFF).unwrap_or_default();
    let mut key = |kind: Kind, bytes: &[u8]| {
        see(Seen::Key(kind, bytes));
        derived_keys(kind, bytes, &mut |kind, bytes| see(Seen::Key(kind, bytes)));
    };
    extract::observables(classes, text, kinds, buffer, sieve, &mut key);
    if !is_part(way) || kinds >> Kind::Url as u32 & 1 == 0 {
        return;
    }
    if way.0 & QUERY != 0 && holds_scheme(text) {
        let query = text.strip_prefix(b"?").unwrap_or(text);
        buffer.clear();
        if let Some(kind) = normalise(Kind::Url, query, buffer) {
            key(kind, buffer);
        }
    }
    if way.0 & HOST != 0 && (text.iter().any(|byte| b"/?#\\".contains(byte)) || text.ends_with(b":")) {
        see(Seen::AnyUrl);
    }
    if way.0 & PATH != 0 && text.starts_with(b"/") {
        path(text, see);
    }
}

fn path(text: &[u8], see: &mut dyn FnMut(Seen<'_>)) {
    if holds_scheme(text) {
        return see(Seen::AnyUrl);
    }
    let end = memchr::memchr2(b'?', b'#', text).unwrap_or(text.len());
    let path = text.get(..end).unwrap_or_default();
    see(Seen::UrlPath(path));
    let trimmed = path.trim_ascii_end();
    if trimmed.len() < path.len() {
        see(Seen::UrlPath(trimmed));
    }
}

fn holds_scheme(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"://").is_some()
}

#[cfg(test)]
mod tests {
    use besa_event::{Batch, Dictionary, Head, LogSources, ValueKind};
    use proptest::prelude::*;

    use super::super::{Observer, ObserverScratch};
    use super::*;

    /// What is shown of a value under all of its field's ways, sorted.
    fn seen(class: &LogSource, name: &str, text: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let (mut all, mut buffer) = (Vec::new(), Vec::new());
        for way in ways_of(class, &[name]) {
            observe(way, text, &mut buffer, &mut |seen| {
                all.push(match seen {
                    Seen::Key(kind, key) => (kind as u8, key.to_vec()),
                    Seen::UrlPath(path) => (254, path.to_vec()),
                    Seen::AnyUrl => (253, Vec::new()),
                });
            });
        }
        all.sort_unstable();
        all
    }

    /// What an index does with a URL that is asked for.
    fn finds_url(shown: &[(u8, Vec<u8>)], url: &[u8]) -> bool {
        let from = memchr::memchr(b'/', url).unwrap_or(url.len());
        let path = url[from..].split(|byte| *byte == b'?').next().unwrap_or_default();
        shown.iter().any(|(kind, key)| match kind {
            254 => key == path,
            253 => true,
            _ => *kind == Kind::Url as u8 && key == url,
        })
    }

    fn check(class: &LogSource, fields: &[(&str, Vec<u8>)]) {
        let mut names = Dictionary::builder();
        let observer = Observer::new(&mut names);
        let (dictionary, sources) = (names.build(), LogSources::new());
        let mut batch = Batch::default();
        for (name, value) in fields {
            let id = match dictionary.lookup(name.as_bytes()) {
                Some(id) => id,
                None => {
                    let span = batch.append(name.as_bytes());
                    batch.local_name(span)
                }
            };
            let span = batch.append(value);
            batch.push_field(id, ValueKind::Text, span);
        }
        let logsource = sources.intern(class.clone());
        batch.end_event(&dictionary, &sources, Head { logsource, ..Head::default() });
        let shown: Vec<_> = fields.iter().flat_map(|(name, value)| seen(class, name, value)).collect();
        for (name, value) in fields {
            let ways = ways_of(class, &[name]);
            let may_show = ways.iter().any(|way| may_show(*way, u32::MAX, value, value.len()));
            assert!(may_show || seen(class, name, value).is_empty(), "{name} {value:?}");
        }
        observer.keys(batch.event(0), &mut ObserverScratch::default(), &mut |kind, key| {
            let found = shown.iter().any(|(shown, have)| *shown == kind as u8 && have == key);
            assert!(
                found || (kind == Kind::Url && finds_url(&shown, key)),
                "{kind:?} {:?} of {fields:?}",
                String::from_utf8_lossy(key)
            );
        });
    }

    fn classes() -> Vec<LogSource> {
        vec![
            LogSource::default(),
            LogSource::new("zeek", &["http"], &["proxy", "webserver"]),
            LogSource::new("windows", &["security"], &["process_creation"]),
            LogSource::new("suricata", &[], &["webserver"]),
        ]
    }

    const NAMES: [&str; 16] = [
        "host",
        "uri",
        "http.hostname",
        "http.url",
        "cs-host",
        "cs-uri-stem",
        "cs-uri-query",
        "url.domain",
        "url.path",
        "url.query",
        "NewProcessName",
        "CommandLine",
        "Hashes",
        "unlisted",
        "FileVersion",
        "Path",
    ];
    const PIECES: [&str; 22] = [
        "/",
        "//",
        "://",
        ":",
        "?",
        "#",
        "\\",
        " ",
        "@",
        ".",
        "-",
        "evil.example",
        "http",
        "8080",
        "a",
        "/a/b",
        "10.1.2.3",
        "C:\\x\\y.exe",
        "%20",
        "[::1]",
        "\"",
        "\t",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn values_show_what_events_show(
            class in 0_usize..4,
            fields in prop::collection::vec(
                (prop::sample::select(NAMES.to_vec()), prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..5)),
                1..5,
            ),
        ) {
            let fields: Vec<_> =
                fields.into_iter().map(|(name, pieces)| (name, pieces.concat().into_bytes())).collect();
            check(&classes()[class], &fields);
        }

        #[test]
        fn split_urls_are_found(
            host in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 1..4),
            path in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..4),
            query in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..4),
        ) {
            let path = format!("/{}", path.concat());
            check(&classes()[0], &[
                ("cs-host", host.concat().into_bytes()),
                ("cs-uri-stem", path.into_bytes()),
                ("cs-uri-query", query.concat().into_bytes()),
            ]);
        }
    }

    /// Index runs that people keep were made by this version: where it changes, so must the number.
    #[test]
    fn the_version_stands_for_what_is_shown() {
        use super::super::fields::FIELDS;
        let mut text = String::new();
        for (class, names) in FIELDS {
            text.push_str(&format!("{class:?} {names:?}\n"));
        }
        for class in classes() {
            text.push_str(&format!("{:?}\n", aliases_of(&class).collect::<Vec<_>>()));
        }
        let samples = [
            "C:\\Windows\\System32\\cmd.exe /c \"D:\\a b\\c.ps1\" http://User@Evil.Example:8080/a?b#c",
            "MD5=0123456789abcdef0123456789abcdef,IMPHASH=0123456789abcdef0123456789abcdef",
            "mail a.b@evil.example, 10.1.2.3 [2001:db8::1] hxxp[:]//x[.]y",
            "HKLM\\SYSTEM\\ControlSet001\\Services\\x",
            "\\Device\\NamedPipe\\abc",
            "/a/b ?c",
            "Global\\m",
        ];
        for name in NAMES {
            for sample in samples {
                text.push_str(&format!("{:?}\n", seen(&classes()[1], name, sample.as_bytes())));
            }
        }
        let print = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(
            (VERSION, print),
            (1, 5_853_355_917_454_270_524),
            "count `VERSION` up and put the new fingerprint here"
        );
    }
}
