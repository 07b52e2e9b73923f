//! The observables of an event, for whoever keeps an index of them.
//!
//! [`IntelMatcher`](super::IntelMatcher) looks values up in its table through [`Observer`] and
//! [`derived_keys`] alone, so an index that is filled by the one and asked with the other in mind
//! cannot miss an event that the matcher would report.
//!
//! # Keys
//! The matcher looks up, for every observable `(kind, bytes)` that [`Observer::observe`] hands out:
//! 1. the observable itself: equal kind, equal bytes;
//! 2. its derived keys ([`derived_keys`]), which are slices of its own bytes:
//!
//! | observable | derived keys |
//! |---|---|
//! | `Domain` | the domains above it, down to two labels: each suffix after a dot that holds a dot |
//! | `Url` | the same without its query: everything before the first `?` |
//! | `FilePath` | as `PathTail`: the rest from each `/` on, itself included where it starts with one; of the first 64 |
//! | `RegistryKey` | the key above it: everything before the last `\` |
//!
//! 3. of an `Ipv4` or `Ipv6`, every `Network` that it lies in ([`network_key`] for each prefix
//!    length; `0.0.0.0/0` too). A network is never itself an observable.
//!
//! So an index either stores observables and derived keys and looks indicators up by equality
//! (networks excepted: those are ranges over the addresses, which sort as their bytes do), or it
//! stores observables only, and finds `Domain` by reversed prefix, `Url`, `FilePath` and
//! `RegistryKey` by prefix or suffix.
//!
//! # Dictionary
//! What a field can hold is told by its name, so the names of [`super::fields`] have to be in the
//! dictionary that the reader uses ([`Observer::new`] enters them); the reader has to keep
//! everything ([`Keep::Everything`](besa_event::Keep)), for fields beyond that list are scanned
//! too. Further names in the dictionary change nothing but spans. The raw record counts only where
//! an event has no fields.
//!
//! # Limits
//! Of a value the first 1 MiB is looked at; an observable longer than 4,096 bytes has no key.

use besa_event::observable::ObservableKind as Kind;
#[cfg(doc)]
use besa_event::observable::network_key;
use besa_event::{DictionaryBuilder, Event, Value, ValueKind};

use super::extract::{self, ALL_KINDS};
use super::fields::FieldClasses;
use crate::sigma::is_comparable;

/// Finds the observables of events. Belongs to the dictionary that it was made for.
///
/// ```
/// use besa_detect::intel::{Observer, ObserverScratch};
/// use besa_event::observable::ObservableKind;
/// use besa_event::{Batch, Dictionary, Head, LogSources, ValueKind};
///
/// let mut names = Dictionary::builder();
/// let observer = Observer::new(&mut names);
/// let (dictionary, sources) = (names.build(), LogSources::new());
///
/// let mut batch = Batch::default();
/// let command = batch.append(b"curl http://cdn.evil.example/x?y");
/// batch.push_field(dictionary.lookup(b"CommandLine").unwrap(), ValueKind::Text, command);
/// batch.end_event(&dictionary, &sources, Head::default());
///
/// let mut found = Vec::new();
/// let mut scratch = ObserverScratch::default();
/// observer.keys(batch.event(0), &mut scratch, &mut |kind, key| found.push((kind, key.to_vec())));
/// assert!(found.contains(&(ObservableKind::Url, b"cdn.evil.example/x".to_vec())));
/// assert!(found.contains(&(ObservableKind::Domain, b"evil.example".to_vec())));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Observer {
    classes: FieldClasses,
}

/// Buffers of one worker.
#[derive(Clone, Debug, Default)]
pub struct ObserverScratch {
    /// The observable under construction.
    pub(crate) key: Vec<u8>,
    /// A URL put together from fields.
    pub(crate) joined: Vec<u8>,
}

/// A value of an event that may hold observables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Index among the event's fields; [`RAW`] for the raw record.
    pub(crate) at: usize,
    /// Bits of the field's classes.
    pub(crate) classes: u16,
    pub(crate) value: Value<'a>,
}

/// The place that stands for the raw record.
pub(crate) const RAW: usize = usize::MAX;

impl Observer {
    /// Enters the field names that it needs into the dictionary under construction.
    #[must_use]
    pub fn new(names: &mut DictionaryBuilder) -> Self {
        Self { classes: FieldClasses::intern(names) }
    }

    /// Hands out every observable of an event: kind and normalised bytes
    /// ([`besa_event::observable::normalise`]). The same may come several times.
    pub fn observe(&self, event: Event<'_>, scratch: &mut ObserverScratch, see: &mut dyn FnMut(Kind, &[u8])) {
        for place in self.places(event) {
            if is_text(place.value.kind) {
                let text = place.value.text();
                extract::observables(place.classes, &text, ALL_KINDS, &mut scratch.key, None, see);
            }
        }
        self.split_urls(event, scratch, &mut |_, kind, bytes| see(kind, bytes));
    }

    /// Hands out every observable of an event and its derived keys: all that
    /// [`IntelMatcher`](super::IntelMatcher) looks up for the event, networks excepted (see the
    /// module's documentation).
    pub fn keys(&self, event: Event<'_>, scratch: &mut ObserverScratch, see: &mut dyn FnMut(Kind, &[u8])) {
        self.observe(event, scratch, &mut |kind, bytes| {
            see(kind, bytes);
            derived_keys(kind, bytes, see);
        });
    }

    /// The values to be looked at: those of all fields, or the raw record where there are none.
    pub(crate) fn places<'a>(&self, event: Event<'a>) -> impl Iterator<Item = Place<'a>> {
        let fields = event.raw_fields();
        let raw = (fields.is_empty() && !event.raw().is_empty()).then(|| Place {
            at: RAW,
            classes: 0,
            value: Value { kind: ValueKind::Text, bytes: event.raw() },
        });
        let of_fields = fields.iter().enumerate().map(move |(at, field)| Place {
            at,
            classes: self.classes.of(field.name),
            value: event.value(field),
        });
        of_fields.filter(|place| is_comparable(place.value.kind)).chain(raw)
    }

    /// URLs whose host and path stand in two fields; `see` is told the path's place.
    pub(crate) fn split_urls(
        &self,
        event: Event<'_>,
        scratch: &mut ObserverScratch,
        see: &mut dyn FnMut(usize, Kind, &[u8]),
    ) {
        let ObserverScratch { key, joined } = scratch;
        for (host, path, query) in &self.classes.split_urls {
            let place = event.raw_fields().iter().position(|field| field.name == *path);
            let (Some(host), Some(at), Some(path)) = (event.get(*host), place, event.get(*path)) else {
                continue;
            };
            let path = path.text();
            if !path.starts_with(b"/") {
                continue;
            }
            joined.clear();
            joined.extend_from_slice(&host.text());
            joined.extend_from_slice(&path);
            if let Some(query) = query.and_then(|query| event.get(query)).map(Value::text)
                && !matches!(&*query, b"" | b"-")
            {
                joined.push(b'?');
                joined.extend_from_slice(query.strip_prefix(b"?").unwrap_or(&query));
            }
            extract::url(joined, key, &mut |kind, bytes| see(at, kind, bytes));
        }
    }
}

/// Whether observables are looked for in values of this kind.
pub(crate) fn is_text(kind: ValueKind) -> bool {
    matches!(kind, ValueKind::Text | ValueKind::JsonText)
}

/// Components of a path from whose start its tails are looked up.
const PATH_TAILS_MAX: usize = 64;

/// Hands out the keys that are looked up besides an observable itself; see the module's table.
pub fn derived_keys(kind: Kind, bytes: &[u8], see: &mut dyn FnMut(Kind, &[u8])) {
    match kind {
        Kind::Domain => {
            let mut name = bytes;
            while let Some(dot) = memchr::memchr(b'.', name) {
                name = name.get(dot + 1..).unwrap_or_default();
                if name.contains(&b'.') {
                    see(Kind::Domain, name);
                }
            }
        }
        Kind::Url => {
            if let Some(query) = memchr::memchr(b'?', bytes) {
                see(Kind::Url, bytes.get(..query).unwrap_or_default());
            }
        }
        Kind::FilePath => {
            for at in memchr::memchr_iter(b'/', bytes).take(PATH_TAILS_MAX) {
                see(Kind::PathTail, bytes.get(at..).unwrap_or_default());
            }
        }
        Kind::RegistryKey => {
            if let Some(end) = memchr::memrchr(b'\\', bytes) {
                see(Kind::RegistryKey, bytes.get(..end).unwrap_or_default());
            }
        }
        _ => {}
    }
}
