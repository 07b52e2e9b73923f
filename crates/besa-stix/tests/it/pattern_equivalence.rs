//! Equivalence: python-stix2's vectors, and that a normal form means what the pattern means.

use std::collections::BTreeMap;

use besa_stix::observation::read_observations;
use besa_stix::pattern::{ALTERNATIVES_MAX, DEFAULT_WORK, Pattern, evaluate};
use proptest::prelude::*;
use serde_json::json;

use crate::vectors::{rows, settle, text};

/// Rows that the standard decides otherwise.
const EXCEPTIONS: [(&str, &str); 3] = [("pe-002", TWICE), ("pe-005", TWICE), ("pe-011", TWICE)];
const TWICE: &str =
    "section 9.5.1: at most one qualifier of a kind on one expression, so one side is no pattern";

#[test]
fn equivalence_vectors() {
    let Some(rows) = rows("pattern_equivalence_vectors.jsonl") else { return };
    let mut wrong = Vec::new();
    for row in &rows {
        let pattern = |key| Pattern::parse(text(row, key)).map_err(|error| error.to_string());
        let found = match (pattern("a"), pattern("b")) {
            (Ok(a), Ok(b)) => a.is_equivalent(&b).map_err(|error| error.to_string()),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        if found != Ok(row["equivalent"] == true) {
            wrong.push((text(row, "id").to_owned(), format!("{found:?} for {} and {}", row["a"], row["b"])));
        }
    }
    settle(&rows, &wrong, &EXCEPTIONS);
}

#[test]
fn what_is_and_is_not_the_same() {
    for (a, b, same) in [
        ("[a:b IN (1, 2)]", "[a:b IN (2, 1, 2)]", true),
        ("[a:b = 1] AND [a:b = 1]", "[a:b = 1]", false),
        ("[a:b = 1 AND a:b = 1]", "[a:b = 1]", true),
        ("[a:b = 1] FOLLOWEDBY [a:c = 2]", "[a:c = 2] FOLLOWEDBY [a:b = 1]", false),
        ("[a:b = 1 AND c:d = 2]", "[e:f = 1 AND g:h = 2]", true),
        ("[windows-registry-key:key = 'HKLM\\\\A']", "[windows-registry-key:key = 'hklm\\\\a']", true),
        ("[file:name = 'A']", "[file:name = 'a']", false),
        ("[file:name LIKE '198.51.100.1/32']", "[file:name LIKE '198.51.100.1']", false),
        ("[a:b = 1] WITHIN 5 SECONDS", "[a:b = 1] WITHIN 6 SECONDS", false),
        ("([a:b = 2] OR [a:b = 1]) WITHIN 5 SECONDS", "([a:b = 1] OR [a:b = 2]) WITHIN 5 SECONDS", true),
    ] {
        let [a, b] = [a, b].map(|text| Pattern::parse(text).unwrap());
        assert_eq!(a.is_equivalent(&b), Ok(same), "{a} | {b}");
        assert_eq!(b.is_equivalent(&a), Ok(same));
    }
    // Distribution would give 2^20 alternatives.
    let large = vec!["([a:b = 1] OR [a:b = 2])"; 20].join(" AND ");
    assert!(Pattern::parse(&large).unwrap().normal_form().is_err());
    const { assert!(ALTERNATIVES_MAX < 1 << 20) };
}

/// Small patterns over few values, so that they match often.
fn pattern() -> impl Strategy<Value = String> {
    let test = (0..2u8, 0..3u8, any::<bool>()).prop_map(|(kind, value, negated)| {
        let kind = ["domain-name", "url"][usize::from(kind)];
        format!("{kind}:value {} 'v{value}'", if negated { "!=" } else { "=" })
    });
    let inside = test.prop_recursive(2, 6, 3, |inner| {
        (prop::collection::vec(inner, 2..4), any::<bool>())
            .prop_map(|(parts, and)| format!("({})", parts.join(if and { " AND " } else { " OR " })))
    });
    inside.prop_map(|inside| format!("[{inside}]")).prop_recursive(2, 6, 3, |inner| {
        (prop::collection::vec(inner, 2..4), 0..3usize)
            .prop_map(|(parts, kind)| format!("({})", parts.join([" AND ", " OR ", " FOLLOWEDBY "][kind])))
    })
}

/// One observed-data per entry: the seconds at which which objects were seen.
fn bundle(seen: &[(u8, Vec<(u8, u8)>)]) -> Vec<u8> {
    let mut objects = BTreeMap::new();
    for (at, (second, things)) in seen.iter().enumerate() {
        let mut refs = Vec::new();
        for (kind, value) in things {
            let kind = ["domain-name", "url"][usize::from(*kind)];
            let id = format!("{kind}--v{value}");
            objects.insert(id.clone(), json!({"type": kind, "id": id, "value": format!("v{value}")}));
            refs.push(id);
        }
        let time = format!("2024-01-01T00:00:{second:02}Z");
        let id = format!("observed-data--{at}");
        objects.insert(
            id.clone(),
            json!({"type": "observed-data", "id": id, "number_observed": 1, "object_refs": refs,
                "first_observed": time, "last_observed": time}),
        );
    }
    let objects: Vec<_> = objects.into_values().collect();
    json!({"type": "bundle", "id": "bundle--1", "objects": objects}).to_string().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_normal_form_means_the_same(
        source in pattern(),
        seen in prop::collection::vec((0..5u8, prop::collection::vec((0..2u8, 0..3u8), 1..3)), 0..5),
    ) {
        let pattern = Pattern::parse(&source).unwrap();
        let Ok(normal) = pattern.normal_form() else { return Ok(()) };
        prop_assert_eq!(normal.normal_form().unwrap().to_string(), normal.to_string(), "a normal form stays");
        let printed = Pattern::parse(&normal.to_string()).unwrap();
        let (observations, _) = read_observations(&bundle(&seen)).unwrap();
        let matches = |pattern: &Pattern| evaluate(pattern, &observations, DEFAULT_WORK).unwrap().is_some();
        prop_assert_eq!(matches(&pattern), matches(&printed), "{} | {}", pattern, normal);
    }
}
