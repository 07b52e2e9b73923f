//! Correlation, per hit: hits in order of time pushed into the state of one correlation.
//! `cargo bench -p besa-detect --bench correlation`.
//!
//! Hits as a hunt makes them, with path, host, group and values as texts of their own. `few` is a
//! hundred groups, `many` 200,000 (all live, none in the processor's cache), `flood` a million: far
//! more than may be kept, so groups are evicted; how many is printed.

#![allow(clippy::print_stderr, reason = "what was evicted goes there")]

mod support;

use std::cell::{Cell, LazyCell};
use std::hint::black_box;
use std::sync::Arc;

use besa_detect::intel::Intel;
use besa_detect::{Deferred, Detector, Finding, FindingTime, Hit, HitPart, Locator, Scope};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use support::{ProcessorTime, criterion};

const HITS: u64 = 1_000_000;
const RULES: &str = "title: a\nname: a\nlogsource: {product: windows}\ndetection: {s: {Id: 1}, condition: s}\n---\ntitle: b\nname: b\nlogsource: {product: windows}\ndetection: {s: {Id: 2}, condition: s}\n---\n";

/// The kind, and the rest of the correlation.
const KINDS: [(&str, &str); 4] = [
    ("event_count", "rules: [a]\n  condition: {gte: 1000000}"),
    ("value_count", "rules: [a]\n  condition: {field: Size, gte: 1000000}"),
    ("temporal", "rules: [a, b]\n  condition: {gte: 3}"),
    ("temporal_ordered", "rules: [a, b]"),
];

fn detector(kind: &str, rest: &str) -> Detector {
    let text = format!(
        "{RULES}title: c\ncorrelation:\n  type: {kind}\n  group-by: [User, Host]\n  timespan: 2h\n  {rest}\n"
    );
    let set = besa_sigma::parse("bench", text.as_bytes(), &besa_sigma::Placeholders::default());
    assert!(set.refused.is_empty(), "{:?}", set.refused);
    Detector::new(set, Intel::default(), Scope::default()).0
}

/// A million hits in an hour, over so many groups; the window is two hours, so all stay.
fn hits(groups: u64, slots: u16, has_values: bool) -> Vec<Hit> {
    // Shared by the hits of a file, as the batches of a hunt share it.
    let paths: Vec<Arc<str>> =
        (0..20).map(|number| format!("case/logs/Security-{number}.evtx").into()).collect();
    let hit = |number: u64| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let group = mixed % groups;
        Hit {
            time: FindingTime { at: (number * 3_600_000) as i64, digits: 3, zone: 0 },
            part: HitPart::Correlation {
                correlation: 0,
                slot: (mixed >> 20) as u16 % slots,
                group: [format!("CORP\\user{group}"), format!("ws{:05}.corp.example", group % 1_000)]
                    .map(Some)
                    .into_iter()
                    .collect(),
                values: has_values.then(|| Some((mixed % 50).to_string())).into_iter().collect(),
            },
            source: Locator { path: paths[(mixed % 20) as usize].clone(), record: number },
            logsource: 1,
            host: format!("ws{:05}.corp.example", group % 1_000),
        }
    };
    (0..HITS).map(hit).collect()
}

fn push_all(detector: &Detector, hits: &[Hit]) -> (Vec<Finding>, u64) {
    let mut deferred = Deferred::new(detector);
    let mut findings = Vec::new();
    deferred.push_all(hits, &mut findings);
    deferred.finish(&mut findings);
    (findings, deferred.dropped())
}

fn per_hit(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("correlation");
    group.sample_size(10).throughput(Throughput::Elements(HITS));
    for (kind, rest) in KINDS {
        let detector = detector(kind, rest);
        let slots = if rest.contains('b') && kind.starts_with("temporal") { 2 } else { 1 };
        for (name, groups) in [("few", 100), ("many", 200_000), ("flood", 1_000_000)] {
            let hits = LazyCell::new(|| hits(groups, slots, kind == "value_count"));
            let is_told = Cell::new(false);
            group.bench_function(BenchmarkId::new(kind, name), |b| {
                if !is_told.replace(true) {
                    let (findings, dropped) = push_all(&detector, &hits);
                    eprintln!(
                        "{kind}/{name}: {} findings, {dropped} groups and hits evicted",
                        findings.len()
                    );
                }
                b.iter(|| black_box(push_all(&detector, &hits)).1);
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = per_hit
}
criterion_main!(benches);
