//! Objects against the standard's own examples, the OASIS validator's tests and rows written from
//! the text.

use besa_stix::id::sco_id;
use besa_stix::validate::{Level, validate, validate_text};
use serde_json::Value;

use crate::vectors::{rows, settle, text};

#[test]
fn deterministic_ids_of_the_examples() {
    let Some(rows) = rows("deterministic_id_vectors.jsonl") else { return };
    let mut checked = 0;
    for row in rows.iter().filter(|row| row["agree"] == true) {
        assert_eq!(sco_id(&row["object"]).unwrap().as_deref(), row["spec_id"].as_str(), "{}", row["id"]);
        checked += 1;
    }
    assert!(checked > 20);
}

#[test]
fn validity_by_the_text_of_the_standard() {
    let Some(rows) = rows("object_spec_vectors.jsonl") else { return };
    let mut wrong = Vec::new();
    for row in rows.iter().filter(|row| !row["expect"].is_null()) {
        judge(row, row["expect"] == true, first_must(&row["object"]), &mut wrong);
    }
    settle(&rows, &wrong, &[]);
}

#[test]
fn validity_by_the_oasis_validator() {
    let names = "sections 3.1, 11.1.1: property names have 3 to 250 of a-z, 0-9 and `_`";
    let eleven_digits = "section 2.9: the UUID in its `src_ref` lacks a digit";
    let registry = "RFC 5646 2.2.9: the tag is well-formed; three-letter languages are not looked up (`bbb` is registered)";
    let exceptions = [
        ("ov-0107", names),
        ("ov-0108", names),
        ("ov-0126", registry),
        ("ov-0266", eleven_digits),
        ("ov-0270", eleven_digits),
        ("ov-0272", eleven_digits),
        ("ov-0275", eleven_digits),
        ("ov-0276", eleven_digits),
        ("ov-0280", eleven_digits),
        ("ov-0283", eleven_digits),
        ("ov-0284", eleven_digits),
        ("ov-0285", eleven_digits),
        ("ov-0396", registry),
        (
            "ov-0476",
            "section 3.2: `spec_version` is required; a bundle's own `2.1` (section 8) does not stand in",
        ),
    ];
    let Some(rows) = rows("object_validity_vectors.jsonl") else { return };
    let mut wrong = Vec::new();
    for row in &rows {
        let found = match row["input_text"].as_str() {
            Some(text) => validate_text(text.as_bytes()).into_iter().next().map(|problem| problem.message),
            None => first_must(&row["input"]),
        };
        judge(row, row["valid_must"] == true, found, &mut wrong);
    }
    settle(&rows, &wrong, &exceptions);
}

fn first_must(value: &Value) -> Option<String> {
    let problems = validate(value).into_iter().filter(|problem| problem.level == Level::Must);
    problems.map(|problem| format!("{} `{}`: {}", problem.object, problem.path, problem.message)).next()
}

fn judge(row: &Value, valid: bool, found: Option<String>, wrong: &mut Vec<(String, String)>) {
    match (valid, found) {
        (true, Some(problem)) => wrong.push((text(row, "id").to_owned(), format!("refused: {problem}"))),
        (false, None) => {
            wrong.push((text(row, "id").to_owned(), format!("accepted: {}", row["must_errors"])));
        }
        _ => {}
    }
}
