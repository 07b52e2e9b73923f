//! What the index of an archive is filled with: the observables that indicators are held against.

use std::sync::Arc;

use besa_archive::index::{Asked, Observe, ObserveWork, Observed, Sought};
use besa_detect::intel::IntelMatcher;
use besa_detect::intel::values::{self, Seen, Way};
use besa_event::LogSource;
use besa_event::observable::ObservableKind;

/// The observables of `besa-detect`.
#[derive(Debug)]
struct Observables;

/// What an archive is opened with for writing and for verification.
pub(crate) fn observe() -> Arc<dyn Observe> {
    Arc::new(Observables)
}

impl Observe for Observables {
    fn version(&self) -> u32 {
        values::VERSION
    }

    fn ways(&self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        values::ways_of(class, names).into_iter().map(|way| way.0).collect()
    }

    fn observe(&self, way: u32, text: &[u8], buffer: &mut Vec<u8>, see: &mut dyn FnMut(Observed<'_>)) {
        values::observe(Way(way), text, buffer, &mut |seen| see(observed(seen)));
    }

    fn observe_sought(
        &self,
        way: u32,
        text: &[u8],
        sought: &Sought,
        work: &mut ObserveWork,
        see: &mut dyn FnMut(Observed<'_>),
    ) {
        let ObserveWork { buffer, words } = work;
        let mut see = |seen: Seen<'_>| see(observed(seen));
        values::observe_sought(Way(way), text, (sought.kinds, &sought.text), (buffer, words), &mut see);
    }

    fn may_show(&self, way: u32, sought: &Sought, bytes: &[u8], longest: usize) -> bool {
        values::may_show(Way(way), sought.kinds, bytes, longest)
    }

    fn is_part(&self, way: u32) -> bool {
        values::is_part(Way(way))
    }
}

fn observed(seen: Seen<'_>) -> Observed<'_> {
    match seen {
        Seen::Key(kind, key) => Observed::Value(kind, key),
        Seen::UrlPath(path) => Observed::UrlPath(path),
        Seen::AnyUrl => Observed::AnyUrl,
    }
}

/// What the index is asked for intelligence.
#[derive(Debug)]
pub(crate) struct Question {
    /// Values of indicators by their numbers, then those of `of_patterns`.
    pub(crate) asked: Asked,
    /// Values of which some have to be there that a pattern is satisfied.
    of_patterns: Vec<(ObservableKind, Vec<u8>)>,
    /// How many values indicators have.
    indicators: u32,
    /// Whether some pattern cannot be asked for: no key decides it, so that the index rules nothing
    /// out.
    pub(crate) open: bool,
    /// Whether values still tell which events have to be looked at, by keys and literals.
    pub(crate) told_by_values: bool,
}

impl Question {
    /// What events have to hold that an indicator or pattern meets.
    pub(crate) fn of(intel: &IntelMatcher) -> Self {
        let needs: Vec<_> = intel.pattern_needs().map(|need| need.any_of).collect();
        let open = needs.iter().any(Option::is_none);
        let of_patterns: Vec<_> = needs.into_iter().flatten().flatten().collect();
        let keys = of_patterns.iter().map(|(kind, bytes)| (*kind, bytes.as_slice()));
        Self {
            asked: Asked::new(intel.all_values().chain(keys)),
            of_patterns,
            indicators: u32::try_from(intel.values()).unwrap_or(u32::MAX),
            open,
            told_by_values: !open || intel.is_told_by_values(),
        }
    }

    /// A value that is asked for by its number in `asked`.
    pub(crate) fn value<'a>(
        &'a self,
        intel: &'a IntelMatcher,
        number: u32,
    ) -> Option<(ObservableKind, &'a [u8])> {
        match number.checked_sub(self.indicators) {
            None => intel.value(number),
            Some(at) => self.of_patterns.get(at as usize).map(|(kind, bytes)| (*kind, bytes.as_slice())),
        }
    }
}

#[cfg(test)]
mod tests {
    use besa_archive::Judge as _;
    use besa_archive::index::{Hits, Sieve, key};
    use besa_event::observable::{KINDS, normalise};
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 16] = [
        "",
        "plain",
        "Image",
        "CommandLine",
        "Hashes",
        "imphash",
        "ja3",
        "DestinationHostname",
        "cs-host",
        "cs-uri-stem",
        "cs-uri-query",
        "url.full",
        "TargetObject",
        "PipeName",
        "user_agent",
        "ServiceName",
    ];

    /// What indicators name, and spellings of the same.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "([ab-]{1,2}[.]){1,3}(com|co[.]uk|exe|AL)[.]?",
            "(www[.])?(evil|EVIL|b)[.]example(:8080)?",
            "(hxxp|http|HTTPS)://([ab]{1,2}(:b)?@)?([ab]{1,2}[.]){1,2}com(:80|:8080)?(/[ab]{0,2}){0,2}([?]a=b)?(#x)?",
            "/[ab]{0,2}([?][ab]{0,2})?",
            "[?]?(a=b|http://a[.]com/b)",
            "(1|10|210)[.](2|25)[.](3|255)[.][0-9]{1,2}",
            "(1|10|210)[.](2|25)[.](0|255)[.]0/(0|8|16|20|24|31)",
            "(::ffff:|\\[::ffff:)1[.]2[.]3[.][0-9]\\]?",
            "2001:(db8|DB8|0db8)::(0001|1|[0-9a-f]{1,3})(%eth0)?",
            "2001:db8:[0-9]::/(16|32|47|64|127)",
            "[ab]{1,2}@([ab][.]){1,2}com",
            "(MD5=|IMPHASH=|SHA256=)?(0123456789abcdef|0123456789ABCDEF){2}",
            "([0-9]{40}|[0-9]{64}|[0-9]{128})",
            "(C:|%appdata%|\\\\\\?\\\\D:)(\\\\[ab]{1,2}){1,3}([.]exe)?",
            "[ab]{1,2}[.](exe|dll)",
            "(HKLM|HKEY_LOCAL_MACHINE)\\\\system\\\\(ControlSet001|currentcontrolset)\\\\[ab]",
            "(Global\\\\|\\\\\\\\[.]\\\\pipe\\\\)?[ab]{1,3}",
            "[aé_]{1,3}[.](example|é)",
        ]
    }

    /// Values that indicators of any kind have, of pieces.
    fn values_of(pieces: &[String]) -> Vec<(ObservableKind, Vec<u8>)> {
        let one = |kind: ObservableKind, piece: &str| {
            let mut value = Vec::new();
            normalise(kind, piece.as_bytes(), &mut value).map(|kind| (kind, value))
        };
        let values: Vec<_> =
            pieces.iter().flat_map(|piece| KINDS.iter().filter_map(move |kind| one(*kind, piece))).collect();
        values
    }

    /// The keys under which a value is stored, by the slow twin.
    fn keys(way: u32, text: &[u8]) -> Vec<u64> {
        let mut keys = Vec::new();
        Observables.observe(way, text, &mut Vec::new(), &mut |observed| {
            key::stored(observed, &mut |key| keys.push(key));
        });
        keys
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Looked for among everything, or among what a row group of these texts holds: a value is met
        /// exactly if one of its keys is asked for.
        #[test]
        fn values_are_met_by_their_keys(
            asked_for in prop::collection::vec((piece(), any::<prop::sample::Index>()), 1..12),
            others in prop::collection::vec(piece(), 0..6),
            texts in prop::collection::vec((
                prop::sample::select(NAMES.to_vec()),
                prop::collection::vec((0_usize..24, prop::sample::select(vec!["", " ", "\"", ",", "/", "=", "x", "\n"]), any::<bool>()), 1..4),
            ), 1..8),
            class in prop::sample::select(vec!["", "windows", "zeek"]),
        ) {
            let pieces: Vec<String> = asked_for.iter().map(|(piece, _)| piece.clone()).collect();
            // Some of the kinds that each may be of, so that row groups seek few kinds.
            let values: Vec<_> = pieces.iter().zip(&asked_for).flat_map(|(piece, (_, which))| {
                let all = values_of(std::slice::from_ref(piece));
                let from = if all.is_empty() { 0 } else { which.index(all.len()) };
                all.into_iter().skip(from).take(2)
            }).collect();
            let asked = Asked::new(values.iter().map(|(kind, value)| (*kind, value.as_slice())));
            let value = |number: u32| values.get(number as usize).map(|(kind, value)| (*kind, value.as_slice()));
            let sieve = Sieve::new(&Observables, &asked, &value, [1, 2]);
            let class = LogSource::new(class, &[], &[]);
            let texts: Vec<(u32, Vec<u8>)> = texts.iter().flat_map(|(name, parts)| {
                let all: Vec<&String> = pieces.iter().chain(&others).collect();
                let text: String = parts.iter().map(|(which, behind, upper)| {
                    let piece = all[which % all.len()];
                    format!("{}{behind}", if *upper { piece.to_uppercase() } else { piece.clone() })
                }).collect();
                let ways = Observables.ways(&class, &[name]);
                ways.into_iter().map(move |way| (way, text.clone().into_bytes()))
            }).collect();
            let mut stored: Vec<u64> = texts.iter().flat_map(|(way, text)| keys(*way, text)).collect();
            stored.sort_unstable();
            let mut hits = Hits::default();
            stored.iter().for_each(|key| { hits.add(*key, &asked); });
            for hits in [None, Some(&hits)] {
                let mut hand = sieve.hand();
                hand.look_for(hits);
                for (way, text) in &texts {
                    let may_meet = hand.may_meet(*way, text, text.len());
                    let expected = keys(*way, text).iter().any(|key| asked.holds(*key));
                    prop_assert!(may_meet || !expected);
                    prop_assert_eq!(
                        hand.meets(*way, text), expected,
                        "{:?} in {:?}, way {:x}, hits {:?}", values, String::from_utf8_lossy(text), way, hits
                    );
                }
            }
        }
    }
}
