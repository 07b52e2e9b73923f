//! The slow twin: every observable of an event against every indicator in a plain loop, every
//! pattern on the whole event as a STIX observation in JSON. For tests and fuzzing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use besa_event::observable::{ObservableKind as Kind, display};
use besa_event::{Dictionary, Event, LogSources, ValueKind};
use besa_stix::observation::Observation;
use besa_stix::time::Instant;
use ipnet::IpNet;

use super::IntelRef;
use super::exact::observe;
use super::extract::{self, ALL_KINDS};
use super::fields::{SPLIT_URLS, classes_of};
use super::graph::EventGraph;
use super::load::Intel;
use super::mapping;
use super::observer::derived_keys;
use super::patterns::Patterns;

/// Everything the event meets, found the slow way.
#[must_use]
pub fn matches(
    intel: &Intel,
    event: Event<'_>,
    dictionary: &Dictionary,
    sources: &LogSources,
) -> BTreeSet<IntelRef> {
    let mut out = BTreeSet::new();
    indicators(intel, event, dictionary, &mut out);
    patterns(intel, event, dictionary, sources, &mut out);
    out
}

fn indicators(intel: &Intel, event: Event<'_>, dictionary: &Dictionary, out: &mut BTreeSet<IntelRef>) {
    let mut key = Vec::new();
    let mut see = |kind: Kind, bytes: &[u8]| {
        derived_keys(kind, bytes, &mut |kind, bytes| all_met(intel, kind, bytes, out));
        all_met(intel, kind, bytes, out);
    };
    for field in event.raw_fields() {
        let value = event.value(field);
        if matches!(value.kind, ValueKind::Text | ValueKind::JsonText) {
            extract::observables(
                classes_of(dictionary, field.name),
                &value.text(),
                ALL_KINDS,
                &mut key,
                None,
                &mut see,
            );
        }
    }
    if event.raw_fields().is_empty() {
        extract::observables(0, event.raw(), ALL_KINDS, &mut key, None, &mut see);
    }
    for (host, path, query) in SPLIT_URLS {
        let text = |name: &str| {
            event.get(dictionary.lookup(name.as_bytes())?).map(|value| value.display().into_owned())
        };
        let (Some(host), Some(path)) = (text(host), text(path)) else { continue };
        let query = query.and_then(text).filter(|query| !matches!(query.as_str(), "" | "-"));
        let query = query.map(|query| format!("?{}", query.trim_start_matches('?'))).unwrap_or_default();
        if path.starts_with('/') {
            extract::url(format!("{host}{path}{query}").as_bytes(), &mut key, &mut see);
        }
    }
}

fn all_met(intel: &Intel, kind: Kind, bytes: &[u8], out: &mut BTreeSet<IntelRef>) {
    for number in 0..u32::try_from(intel.values.len()).unwrap_or(u32::MAX) {
        if intel.values.get(number).is_some_and(|(of, value)| meets(of, value, kind, bytes)) {
            out.insert(IntelRef::Indicator(leader(intel, number)));
        }
    }
}

/// The first value with the same bytes in the same list stands for it.
fn leader(intel: &Intel, number: u32) -> u32 {
    let run = |number| intel.catalogue.run_of(number).map(|run| run.first);
    let same =
        |first: &u32| intel.values.get(*first) == intel.values.get(number) && run(*first) == run(number);
    intel.catalogue.leader_of((0..number).find(same).unwrap_or(number))
}

/// Whether an indicator is met by an observable.
pub(crate) fn meets(of: Kind, value: &[u8], kind: Kind, bytes: &[u8]) -> bool {
    if of == Kind::Network && matches!(kind, Kind::Ipv4 | Kind::Ipv6) {
        let network = display(of, value).parse::<IpNet>();
        let address = display(kind, bytes).parse::<IpAddr>();
        return matches!((network, address), (Ok(network), Ok(address)) if network.contains(&address));
    }
    of == kind && value == bytes
}

fn patterns(
    intel: &Intel,
    event: Event<'_>,
    dictionary: &Dictionary,
    sources: &LogSources,
    out: &mut BTreeSet<IntelRef>,
) {
    let (ready, _) = Patterns::new(intel.patterns.clone());
    let Some(at) = Instant::from_unix_nanos(i128::from(event.time().map_or(0, |time| time.at.0))) else {
        return;
    };
    let objects = mapping::objects_of(&sources.get(event.logsource()));
    let graph = EventGraph { event, dictionary, objects: &objects };
    let objects = observe(&graph, usize::MAX).unwrap_or_default();
    let observation = Observation::new(String::new(), (at, at), 1, objects);
    for (number, pattern) in (0..).zip(&ready.all) {
        if pattern.single {
            let timeless = pattern.timed && event.time().is_none();
            let found = pattern.compiled.evaluate(std::slice::from_ref(&observation), u64::MAX);
            if !timeless && matches!(found, Ok(Some(_))) {
                out.insert(IntelRef::Pattern(number));
            }
            continue;
        }
        for (part, leaf) in (0..).zip(pattern.compiled.leaves()) {
            if leaf.matches(&observation) == Ok(true) {
                out.insert(IntelRef::PatternPart { pattern: number, part });
            }
        }
    }
}
