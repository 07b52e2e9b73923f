//! Correlations: what raises a finding, and when.

use besa_detect::{Deferred, Finding, Hit, HitPart, Joined, RuleRef};
use besa_event::LogSource;
use besa_sigma::{Correlation, CorrelationKind as Kind, CorrelationOp};
use proptest::prelude::*;
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

/// The slow twin: for each hit, everything is worked out anew from all hits before it. Findings as
/// (record of the last hit, measured).
fn reference(correlation: &Correlation, hits: &[Hit]) -> Vec<(u64, String)> {
    let comparisons = &correlation.condition.comparisons;
    let at_least = comparisons.iter().any(|test| matches!(test.op, CorrelationOp::Gt | CorrelationOp::Gte));
    let span = i64::try_from(correlation.timespan_seconds).unwrap() * 1_000_000_000;
    let mut groups: Vec<&Joined> = hits.iter().map(|hit| parts(hit).1).collect();
    groups.sort();
    groups.dedup();
    let mut found = Vec::new();
    for group in groups {
        let own: Vec<&Hit> = hits.iter().filter(|hit| parts(hit).1 == group).collect();
        if !comparisons.is_empty() && !at_least {
            let mut from = 0;
            while from < own.len() {
                let end = own[from].time.at + span;
                let len = own[from..].iter().take_while(|hit| hit.time.at <= end).count();
                found.extend(judged(correlation, &own[from..from + len]));
                from += len;
            }
            continue;
        }
        let (mut raised, mut begin) = (false, 0);
        for at in 0..own.len() {
            let window = |from: usize| {
                let hits = own[from..=at].iter().filter(|hit| hit.time.at >= own[at].time.at - span);
                hits.copied().collect::<Vec<_>>()
            };
            if correlation.kind == Kind::TemporalOrdered {
                if parts(own[at]).0 + 1 == correlation.rules.len() && is_in_order(correlation, &window(begin))
                {
                    begin = at + 1;
                    found.push((own[at].source.record, format!("{} hits", window(0).len())));
                }
                continue;
            }
            let finding = judged(correlation, &window(0));
            found.extend(finding.clone().filter(|_| !raised));
            raised = finding.is_some();
        }
    }
    found.sort();
    found
}

fn parts(hit: &Hit) -> (usize, &Joined, &Joined) {
    match &hit.part {
        HitPart::Correlation { slot, group, values, .. } => (usize::from(*slot), group, values),
        HitPart::Pattern { .. } => panic!("{hit:?}"),
    }
}

/// Whether each rule's hit follows one of the rule before it, and the last hit is the last rule's.
fn is_in_order(correlation: &Correlation, hits: &[&Hit]) -> bool {
    let mut wanted = 0;
    for (at, hit) in hits.iter().enumerate() {
        let slot = parts(hit).0;
        if slot == wanted && (wanted + 1 < correlation.rules.len() || at + 1 == hits.len()) {
            wanted += 1;
        }
    }
    wanted == correlation.rules.len()
}

fn judged(correlation: &Correlation, hits: &[&Hit]) -> Option<(u64, String)> {
    let number = |hit: &&Hit| parts(hit).2.iter().next()??.parse::<f64>().ok();
    let mut numbers: Vec<f64> = hits.iter().filter_map(number).collect();
    let mut distinct: Vec<_> = hits.iter().map(|hit| parts(hit).2).collect();
    distinct.retain(|values| values.iter().all(|value| value.is_some()));
    distinct.sort();
    distinct.dedup();
    let mut slots: Vec<usize> = hits.iter().map(|hit| parts(hit).0).collect();
    slots.sort_unstable();
    slots.dedup();
    let rank = |numbers: &mut Vec<f64>, rank: f64| {
        numbers.sort_by(f64::total_cmp);
        numbers[((rank / 100.0 * numbers.len() as f64).ceil().max(1.0) as usize).min(numbers.len()) - 1]
    };
    let holds =
        |value: f64| correlation.condition.comparisons.iter().all(|test| test.op.holds(value, test.number));
    let record = hits.last()?.source.record;
    let measured = match correlation.kind {
        Kind::Temporal => {
            let seen = slots.len();
            let all = correlation.condition.comparisons.is_empty() && seen == correlation.rules.len();
            let some = !correlation.condition.comparisons.is_empty() && holds(seen as f64);
            return (all || some).then(|| (record, format!("{} hits", hits.len())));
        }
        Kind::EventCount => hits.len() as f64,
        Kind::ValueCount => distinct.len() as f64,
        _ if numbers.is_empty() => return None,
        Kind::ValueSum => numbers.iter().sum(),
        Kind::ValueAvg => numbers.iter().sum::<f64>() / numbers.len() as f64,
        Kind::ValueMedian => rank(&mut numbers, 50.0),
        Kind::ValuePercentile => rank(&mut numbers, correlation.condition.percentile.unwrap()),
        Kind::TemporalOrdered => panic!("judged by its order"),
    };
    holds(measured).then(|| (record, format!("{measured}")))
}

proptest! {
    // More by PROPTEST_CASES.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(600)))]

    #[test]
    fn each_kind_equals_its_slow_twin(
        kind in prop::sample::select(vec![
            ("event_count", ""), ("value_count", "field: Size, "), ("value_count", "field: [Size, Id], "),
            ("value_sum", "field: Size, "), ("value_avg", "field: Size, "), ("value_median", "field: Size, "),
            ("value_percentile", "field: Size, percentile: 80, "), ("temporal", ""), ("temporal_ordered", ""),
        ]),
        (op, limit) in (prop::sample::select(vec!["gte", "gt", "lt", "lte"]), 1..5_u32),
        has_condition in any::<bool>(),
        span in 1..20_u32,
        events in prop::collection::vec((0..60_u32, 1..3_u32, prop::sample::select(vec!["a", "b", "c"]), 0..6_u32), 0..60),
    ) {
        let (kind, fields) = kind;
        let condition = match kind {
            "temporal_ordered" => String::new(),
            "temporal" if !has_condition => String::new(),
            "temporal" => "  condition: {gte: 2}\n".to_owned(),
            _ => format!("  condition: {{{fields}{op}: {limit}}}\n"),
        };
        let rules = if kind.starts_with("temporal") { "logon, reset" } else { "logon" };
        let text = format!(
            "{BASE}title: c\nname: c\ncorrelation:\n  type: {kind}\n  rules: [{rules}]\n  group-by: [User]\n  timespan: {span}s\n{condition}"
        );
        let events: Vec<Value> = events
            .iter()
            .map(|(second, id, user, size)| {
                let mut event = event(*second, *id, user, *size);
                if *size == 5 {
                    event.as_object_mut().unwrap().remove("Size");
                }
                event
            })
            .collect();
        let hunted = hunt(&text, LogSource::new("windows", &[], &[]), &events);
        let mut together = Vec::new();
        let mut deferred = Deferred::new(&hunted.detector);
        deferred.push_all(&hunted.outcome.hits, &mut together);
        deferred.finish(&mut together);
        let one_by_one: Vec<&Finding> =
            hunted.findings.iter().filter(|finding| matches!(finding.rule, RuleRef::Correlation(_))).collect();
        prop_assert_eq!(&one_by_one, &together.iter().collect::<Vec<_>>());
        let mut found: Vec<(u64, String)> = one_by_one
            .iter()
            .map(|finding| (finding.source.record, finding.matched.last().unwrap().1.clone()))
            .collect();
        found.sort();
        prop_assert_eq!(found, reference(&hunted.detector.rules().correlations[0], &hunted.outcome.hits), "{}", text);
    }
}
