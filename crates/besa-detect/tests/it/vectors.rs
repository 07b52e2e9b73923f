//! The Sigma specification's points as rule, event and verdict.

use besa_detect::sigma::reference::{Record, Reference};
use besa_event::{Batch, LogSource};
use serde_json::Value;

use crate::support::{TestEvent, hunt, push, shared};

/// Rows on which the specification is silent (`expect` null), with what Besa decided.
const DECIDED: &[(&str, bool)] = &[
    ("sg-086", true),  // fieldref compares without regard to case
    ("sg-105", false), // a keyword looks at values, not at field names
    ("sg-117", true),  // operators of a condition in any case
    ("sg-122", true),  // dots descend into nested objects
    ("sg-123", true),  // field names without regard to case
];

#[test]
fn sigma_specification() {
    let Some(path) = shared("vectors/sigma_spec_vectors.jsonl") else { return };
    let mut judged = 0;
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let id = row["id"].as_str().unwrap();
        let rule = row["rule"].as_str().unwrap();
        let parsed =
            besa_sigma::parse_rule("vector.yml", rule.as_bytes(), &besa_sigma::Placeholders::default());
        if row["expect"] == "reject" {
            assert!(parsed.is_err(), "{id} must be refused");
            judged += 1;
            continue;
        }
        let decided = DECIDED.iter().find(|(known, _)| *known == id).map(|(_, verdict)| *verdict);
        let expected = row["expect"].as_bool().or(decided).unwrap_or_else(|| panic!("{id} is not decided"));
        let class = LogSource::new("windows", &[], &["process_creation"]);
        let hunted = hunt(rule, class.clone(), std::slice::from_ref(&row["event"]));
        assert_eq!(!hunted.findings.is_empty(), expected, "{id} {}: fast matcher", row["point"]);

        let mut batch = Batch::default();
        let (dictionary, sources) = (hunted.detector.dictionary(), hunted.detector.sources());
        let event = TestEvent { fields: &row["event"], class: sources.intern(class), record: 1 };
        push(&mut batch, dictionary, sources, &event);
        let record = Record::of(batch.event(0), dictionary);
        assert_eq!(Reference::default().matches(&parsed.unwrap(), &record), expected, "{id}: slow twin");
        judged += 1;
    }
    assert_eq!(judged, 76);
}

#[test]
fn matched_fields_name_what_made_a_rule_match() {
    let rule = "title: t\nlogsource: {product: windows}\ndetection:\n  a:\n    Image|endswith: '\\cmd.exe'\n    CommandLine|contains: [whoami, nothing]\n  n:\n    User: SYSTEM\n  condition: a and not n\n";
    let event = serde_json::json!({"Image": "C:\\Windows\\cmd.exe", "CommandLine": "cmd /c WHOAMI", "User": "a", "Other": 1});
    let hunted = hunt(rule, LogSource::new("windows", &[], &[]), &[event]);
    let matched: Vec<String> =
        hunted.findings[0].matched.iter().map(|(field, value)| format!("{field}={value}")).collect();
    assert_eq!(matched, ["Image=C:\\Windows\\cmd.exe", "CommandLine=cmd /c WHOAMI"]);
}
