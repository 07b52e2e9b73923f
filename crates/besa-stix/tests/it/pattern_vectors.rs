//! Patterns against the OASIS tools' own tests and against rows written from the standard's text.

use std::collections::BTreeSet;

use besa_stix::observation::read_observations;
use besa_stix::pattern::{DEFAULT_WORK, Pattern, Severity, evaluate};
use serde_json::Value;

use crate::vectors::{rows, settle, text};

#[test]
fn grammar() {
    let exceptions = [
        ("pg-0091", "section 2.16, RFC 3339 5.7: there is no 30 February"),
        ("pg-0092", "section 2.16, RFC 3339 5.7: there is no 31 April"),
    ];
    let Some(rows) = rows("pattern_grammar_vectors.jsonl") else { return };
    let mut wrong = Vec::new();
    for row in &rows {
        assert_eq!(text(row, "stix_version"), "2.1");
        let pattern = text(row, "pattern");
        let verdict = Pattern::parse(pattern).map_err(|error| error.to_string()).and_then(|parsed| {
            let printed = parsed.to_string();
            assert_eq!(Pattern::parse(&printed).as_ref(), Ok(&parsed), "{pattern} printed as {printed}");
            match parsed.check().into_iter().find(|finding| finding.severity == Severity::Error) {
                Some(finding) => Err(finding.message),
                None => Ok(()),
            }
        });
        if verdict.is_ok() != (row["valid"] == true) {
            wrong.push((text(row, "id").to_owned(), format!("{pattern} gave {verdict:?}")));
        }
    }
    settle(&rows, &wrong, &exceptions);
}

#[test]
fn semantics_by_the_text_of_the_standard() {
    let Some(rows) = rows("pattern_spec_vectors.jsonl") else { return };
    settle(&rows, &evaluate_rows(&rows), &[]);
}

#[test]
fn semantics_by_the_reference_matcher() {
    let second_repeats = "section 9.5.1: at most one qualifier of a kind";
    let half_open = "section 9.5.1: the last must not be equal to the first plus the window";
    let no_timestamp = "section 9.6.1: incompatible types are false, != true; the pattern itself is valid";
    let exceptions = [
        ("pm-0154", no_timestamp),
        ("pm-0155", no_timestamp),
        ("pm-0240", second_repeats),
        ("pm-0252", second_repeats),
        ("pm-0311", half_open),
        ("pm-0346", half_open),
        ("pm-0372", no_timestamp),
        ("pm-0374", no_timestamp),
        ("pm-0375", no_timestamp),
        ("pm-0376", no_timestamp),
        ("pm-0377", no_timestamp),
    ];
    let Some(rows) = rows("pattern_match_vectors.jsonl") else { return };
    settle(&rows, &evaluate_rows(&rows), &exceptions);
}

fn evaluate_rows(rows: &[Value]) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    for row in rows {
        let found = evaluate_row(row);
        if found != text(row, "expect") {
            wrong.push((
                text(row, "id").to_owned(),
                format!("{}: {found}, expected {}", text(row, "pattern"), row["expect"]),
            ));
        }
    }
    wrong
}

/// `match`, `nomatch`, `error`, or a binding that is none of those listed.
fn evaluate_row(row: &Value) -> String {
    let Ok(pattern) = Pattern::parse(text(row, "pattern")) else { return "error".to_owned() };
    let json = serde_json::to_vec(&row["observations"]).unwrap();
    let (observations, defects) = read_observations(&json).unwrap();
    assert_eq!(defects, [], "{}", row["id"]);
    match evaluate(&pattern, &observations, DEFAULT_WORK) {
        Err(_) => "error".to_owned(),
        Ok(None) => "nomatch".to_owned(),
        Ok(Some(binding)) => {
            let used: BTreeSet<&str> =
                binding.observations.iter().map(|place| observations[*place].id.as_str()).collect();
            let Some(listed) = row["all_binding_sdo_sets"].as_array() else { return "match".to_owned() };
            let set = |ids: &'_ Value| {
                ids.as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect::<BTreeSet<_>>()
            };
            let used: BTreeSet<String> = used.into_iter().map(str::to_owned).collect();
            if listed.iter().any(|ids| set(ids) == used) {
                "match".to_owned()
            } else {
                format!("binding {used:?}")
            }
        }
    }
}
