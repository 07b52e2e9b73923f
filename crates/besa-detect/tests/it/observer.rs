//! An index filled by the observer never misses what the live matcher reports, on real evidence.
//!
//! The index reads the evidence with a dictionary of its own, the matcher with that of a hunt with
//! rules beside the indicators. Indicators are taken from the evidence itself: every n-th
//! observable of each kind, the domains above it, the network around it, the end of its path.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;

use besa_detect::intel::{Intel, IntelMatcher, IntelScratch, Observer, ObserverScratch};
use besa_event::observable::{ObservableKind as Kind, display, network_key, parse_address};
use besa_event::{Batch, Dictionary, DictionaryBuilder, Event, Keep, LogSources};
use besa_evidence::{Context, Decoder, Item, Limits, decode, walk};

use crate::support::shared;

type Keys = HashSet<(Kind, Vec<u8>)>;

/// Events looked at, without `BESA_FULL=1`.
const EVENTS_MAX: usize = 12_000;

/// A reader of evidence.
struct Side<T> {
    what: T,
    dictionary: Dictionary,
    sources: LogSources,
}

impl<T> Side<T> {
    fn new(make: impl FnOnce(&mut DictionaryBuilder) -> T) -> Self {
        let mut names = Dictionary::builder();
        let what = make(&mut names);
        Self { what, dictionary: names.build(), sources: LogSources::new() }
    }

    /// Shows events in the order of the evidence, evenly taken from all files.
    fn each(&self, folders: &[PathBuf], see: &mut dyn FnMut(Event<'_>)) {
        let context = Context {
            dictionary: &self.dictionary,
            sources: &self.sources,
            keep: Keep::Everything,
            reference: Some((2022, 12)),
            carve: true,
            limits: Limits::default(),
        };
        let (mut decoder, mut batch) = (Decoder::new(), Batch::default());
        let mut left = if std::env::var_os("BESA_FULL").is_some() { usize::MAX } else { EVENTS_MAX };
        let _ = walk(folders, &context.limits, &mut Vec::new, &mut |item| {
            if let Item::Block(block) = item {
                decode(&context, &mut decoder, block, &mut batch);
                for event in batch.events().take(64) {
                    see(event);
                    left = left.saturating_sub(1);
                }
            }
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

#[test]
fn an_index_misses_nothing_that_the_matcher_reports() {
    let (Some(samples), Some(datasets), Some(rules)) = (
        shared("corpora/evtx-attack-samples"),
        shared("corpora/otrf-security-datasets"),
        shared("corpora/sigma/rules/windows"),
    ) else {
        return;
    };
    let folders = [samples, datasets];
    let index = Side::new(Observer::new);
    let mut held: Vec<Keys> = Vec::new();
    let mut scratch = ObserverScratch::default();
    index.each(&folders, &mut |event| {
        let mut keys = Keys::new();
        index.what.keys(event, &mut scratch, &mut |kind, key| {
            keys.insert((kind, key.to_vec()));
        });
        held.push(keys);
    });

    let (intel, lines) = indicators(&held);
    let live = Side::new(|names| {
        let mut loader = besa_sigma::Loader::new(besa_sigma::Placeholders::default());
        for path in crate::support::yaml_files(&rules) {
            loader.add("rule", &std::fs::read(path).unwrap());
        }
        let _ = besa_detect::sigma::SigmaMatcher::compile(&loader.finish().rules, names);
        IntelMatcher::compile(intel, names).0
    });
    let (mut at, mut reported, mut kinds) = (0, 0, BTreeMap::<&str, usize>::new());
    let (mut scratch, mut met) = (IntelScratch::default(), Vec::new());
    live.each(&folders, &mut |event| {
        met.clear();
        live.what.matches(event, &live.dictionary, &live.sources, &mut scratch, &mut met);
        for found in &met {
            let (kind, shown) = live.what.info(found.what).value.unwrap();
            assert!(
                held[at].iter().any(|key| meets(kind, &shown, key)),
                "{} record {}: {shown}",
                event.batch().origin,
                event.head().record
            );
            *kinds.entry(kind.name()).or_default() += 1;
        }
        reported += met.len();
        at += 1;
    });
    eprintln!("{at} events, {lines} indicators, {reported} matches: {kinds:?}");
    assert_eq!(at, held.len());
    assert!(reported > 10_000 && kinds.len() >= 10, "{reported} matches of {kinds:?}");
}

/// Every 7th key of each kind as an indicator, and networks around every 50th address.
fn indicators(held: &[Keys]) -> (Intel, usize) {
    let mut all: Vec<&(Kind, Vec<u8>)> = held.iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    let mut text = String::from("type,value\n");
    let mut line = |kind: &str, value: &str| {
        if !value.contains(['"', '\n', '\r']) {
            text.push_str(&format!("{kind},\"{value}\"\n"));
        }
    };
    for (number, (kind, key)) in all.iter().enumerate() {
        let shown = display(*kind, key);
        if number % 7 == 0
            && let Some(name) = column(*kind)
        {
            line(name, &shown);
        }
        if number % 50 == 0
            && let Some(address) = parse_address(shown.as_bytes())
        {
            let mut network = Vec::new();
            network_key(address, 20, &mut network);
            line("cidr", &display(Kind::Network, &network));
        }
    }
    let mut intel = Intel::default();
    let loaded = intel.load("index.csv", text.as_bytes());
    (intel, loaded.values)
}

/// The name of a kind in a column `type`.
fn column(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Ipv4 | Kind::Ipv6 => "ip",
        Kind::Domain => "domain",
        Kind::Url => "url",
        Kind::Email => "email",
        Kind::Md5 => "md5",
        Kind::Sha1 => "sha1",
        Kind::Sha256 => "sha256",
        Kind::Imphash => "imphash",
        Kind::FileName => "filename",
        Kind::FilePath | Kind::PathTail => "filepath",
        Kind::RegistryKey => "regkey",
        Kind::Mutex => "mutex",
        Kind::NamedPipe => "named pipe",
        _ => return None,
    })
}

fn meets(kind: Kind, shown: &str, (of, key): &(Kind, Vec<u8>)) -> bool {
    if kind != Kind::Network {
        return *of == kind && display(*of, key) == shown;
    }
    let prefix = shown.rsplit_once('/').and_then(|(_, prefix)| prefix.parse().ok()).unwrap();
    let Some(address) = parse_address(display(*of, key).as_bytes()) else { return false };
    let mut network = Vec::new();
    network_key(address, prefix, &mut network);
    display(Kind::Network, &network) == shown
}
