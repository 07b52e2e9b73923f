//! Correlations: what raises a finding, and when.

use besa_event::LogSource;
use serde_json::{Value, json};

use crate::support::hunt;

const BASE: &str = "title: logon\nname: logon\nlogsource: {product: windows}\ndetection: {s: {Id: 1}, condition: s}\n---\ntitle: reset\nname: reset\nlogsource: {product: windows}\ndetection: {s: {Id: 2}, condition: s}\n---\n";

fn event(second: u32, id: u32, user: &str, size: u32) -> Value {
    let (minute, second) = (second / 60, second % 60);
    json!({"@time": format!("2022-07-15T10:{minute:02}:{second:02}Z"), "Id": id, "User": user, "Size": size})
}

/// Each event is (second, rule, user, size); each expected finding is (record of the last event,
/// last matched value).
#[track_caller]
fn check(correlation: &str, events: &[(u32, u32, &str, u32)], expected: &[(u64, &str)]) {
    let rules = format!("{BASE}title: c\nname: c\ncorrelation:\n{correlation}");
    let events: Vec<Value> =
        events.iter().map(|(second, id, user, size)| event(*second, *id, user, *size)).collect();
    let hunted = hunt(&rules, LogSource::new("windows", &[], &[]), &events);
    let found: Vec<(u64, String)> = hunted
        .findings
        .iter()
        .map(|finding| (finding.source.record, finding.matched.last().unwrap().1.clone()))
        .collect();
    let expected: Vec<(u64, String)> =
        expected.iter().map(|(record, value)| (*record, (*value).to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn event_count_slides_and_is_raised_once_per_burst() {
    let rule =
        "  type: event_count\n  rules: [logon]\n  group-by: [User]\n  timespan: 10s\n  condition: {gte: 3}\n";
    check(rule, &[(0, 1, "a", 0), (9, 1, "a", 0), (12, 1, "a", 0), (15, 1, "a", 0)], &[(4, "3")]);
    check(rule, &[(0, 1, "a", 0), (1, 1, "b", 0), (2, 1, "a", 0)], &[]);
    check(rule, &[(0, 1, "a", 0), (5, 1, "a", 0), (10, 1, "a", 0), (11, 1, "a", 0)], &[(3, "3")]);
    let twice =
        [(0, 1, "a", 0), (1, 1, "a", 0), (2, 1, "a", 0), (60, 1, "a", 0), (61, 1, "a", 0), (62, 1, "a", 0)];
    check(rule, &twice, &[(3, "3"), (6, "3")]);
    // Evidence out of order in time: hits are sorted first.
    check(rule, &[(12, 1, "a", 0), (0, 1, "a", 0), (9, 1, "a", 0), (15, 1, "a", 0)], &[(4, "3")]);
}

#[test]
fn upper_bounds_are_judged_when_the_window_is_over() {
    let rule =
        "  type: event_count\n  rules: [logon]\n  group-by: [User]\n  timespan: 10s\n  condition: {lt: 3}\n";
    check(rule, &[(0, 1, "a", 0), (1, 1, "a", 0)], &[(2, "2")]);
    check(rule, &[(0, 1, "a", 0), (1, 1, "a", 0), (2, 1, "a", 0), (30, 1, "a", 0)], &[(4, "1")]);
}

#[test]
fn values() {
    let rule = |kind: &str, condition: &str| {
        format!(
            "  type: {kind}\n  rules: [logon]\n  group-by: [User]\n  timespan: 1m\n  condition: {{{condition}}}\n"
        )
    };
    let events = [(0, 1, "a", 10), (1, 1, "a", 10), (2, 1, "a", 30), (3, 1, "a", 50)];
    check(&rule("value_count", "field: Size, gte: 3"), &events, &[(4, "3")]);
    check(&rule("value_sum", "field: Size, gt: 45"), &events, &[(3, "50")]);
    check(&rule("value_avg", "field: Size, gte: 25"), &events, &[(4, "25")]);
    check(&rule("value_percentile", "field: Size, percentile: 75, gte: 30"), &events, &[(3, "30")]);
}

#[test]
fn temporal_and_its_order() {
    let rule = |kind: &str| {
        format!("  type: {kind}\n  rules: [logon, reset]\n  group-by: [User]\n  timespan: 10s\n")
    };
    let ordered = [(0, 1, "a", 0), (5, 2, "a", 0)];
    let reversed = [(0, 2, "a", 0), (5, 1, "a", 0)];
    check(&rule("temporal"), &ordered, &[(2, "2 hits")]);
    check(&rule("temporal"), &reversed, &[(2, "2 hits")]);
    check(&rule("temporal_ordered"), &ordered, &[(2, "2 hits")]);
    check(&rule("temporal_ordered"), &reversed, &[]);
    check(&rule("temporal_ordered"), &[(0, 1, "a", 0), (11, 2, "a", 0)], &[]);
    check(&rule("temporal_ordered"), &[(0, 1, "a", 0), (6, 1, "a", 0), (12, 2, "a", 0)], &[(3, "2 hits")]);
    // One instant: in the order of the rules, whatever the order of the records.
    check(&rule("temporal_ordered"), &[(0, 2, "a", 0), (0, 1, "a", 0)], &[(1, "2 hits")]);
}

#[test]
fn aliases_and_generate() {
    let rules = "title: a\nname: a\nlogsource: {product: windows}\ndetection: {s: {Id: 1}, condition: s}\n---\ntitle: b\nname: b\nlogsource: {product: windows}\ndetection: {s: {Id: 2}, condition: s}\n---\ntitle: c\ncorrelation:\n  type: temporal\n  rules: [a, b]\n  aliases: {who: {a: User, b: Account}}\n  group-by: [who]\n  timespan: 1m\n  generate: true\n";
    let events = [
        json!({"@time": "2022-07-15T10:00:00Z", "Id": 1, "User": "x"}),
        json!({"@time": "2022-07-15T10:00:01Z", "Id": 2, "Account": "x"}),
        json!({"@time": "2022-07-15T10:00:01Z", "Id": 2, "User": "x"}),
        json!({"Id": 2, "Account": "x"}),
    ];
    let hunted = hunt(rules, LogSource::new("windows", &[], &[]), &events);
    let titles: Vec<String> =
        hunted.findings.iter().map(|finding| hunted.detector.info(finding.rule).title).collect();
    assert_eq!(titles, ["a", "b", "b", "b", "c"]);
    assert_eq!(hunted.outcome.hits_unplaced, 2, "no `who` in the third event, no time in the fourth");
    assert_eq!(hunted.findings[4].related.len(), 1);
}

#[test]
fn correlations_of_correlations() {
    let rules = format!(
        "{BASE}title: many\nname: many\ncorrelation:\n  type: event_count\n  rules: [logon]\n  group-by: [User]\n  timespan: 10s\n  condition: {{gte: 2}}\n---\ntitle: then reset\ncorrelation:\n  type: temporal_ordered\n  rules: [many, reset]\n  group-by: [User]\n  timespan: 1m\n"
    );
    let events = [event(0, 1, "a", 0), event(1, 1, "a", 0), event(20, 2, "b", 0), event(30, 2, "a", 0)];
    let hunted = hunt(&rules, LogSource::new("windows", &[], &[]), &events);
    let found: Vec<(String, u64)> = hunted
        .findings
        .iter()
        .map(|finding| (hunted.detector.info(finding.rule).title, finding.source.record))
        .collect();
    assert_eq!(found, [("then reset".to_owned(), 4)]);
}

#[test]
fn a_flood_of_groups_is_bounded_and_counted() {
    let rule = format!(
        "{BASE}title: c\ncorrelation:\n  type: event_count\n  rules: [logon]\n  group-by: [User]\n  timespan: 1d\n  condition: {{gte: 2}}\n"
    );
    let events: Vec<Value> = (0..300_000).map(|n| event(n % 3_600, 1, &n.to_string(), 0)).collect();
    let hunted = hunt(&rule, LogSource::new("windows", &[], &[]), &events);
    assert!(hunted.findings.is_empty());
    assert!(hunted.dropped > 0);
}
