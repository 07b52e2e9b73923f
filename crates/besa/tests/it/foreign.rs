//! Foreign vectors through the binary.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::{code, foreign, json_lines, run, stderr, stdout, text};

fn rows(file: &str) -> Option<Vec<Value>> {
    let path = foreign("vectors")?.join(file);
    Some(json_lines(&fs::read_to_string(path).unwrap()))
}

#[test]
fn sigma_specification() {
    let Some(rows) = rows("sigma_spec_vectors.jsonl") else { return };
    let dir = TempDir::new().unwrap();
    let (rule, event) = (dir.path().join("rule.yml"), dir.path().join("event.json"));
    let mut decided = 0;
    for row in &rows {
        let expected = match &row["expect"] {
            Value::Bool(matches) => i32::from(!matches),
            Value::String(word) if word == "reject" => 2,
            _ => continue,
        };
        decided += 1;
        fs::write(&rule, row["rule"].as_str().unwrap()).unwrap();
        fs::write(&event, row["event"].to_string()).unwrap();
        let output = run(&["rules", "test", text(&rule), text(&event)]);
        let said = stdout(&output);
        assert_eq!(code(&output), expected, "{}: {said}{}", row["id"], stderr(&output));
        let first = ["true\n", "false\n", "refused: "][expected as usize];
        assert!(said.starts_with(first), "{}: {said}", row["id"]);
    }
    assert!(decided >= 71, "{decided}");
}

#[test]
fn stix_patterning_specification() {
    let Some(rows) = rows("pattern_spec_vectors.jsonl") else { return };
    let dir = TempDir::new().unwrap();
    let observations = dir.path().join("observations.json");
    for row in &rows {
        fs::write(&observations, row["observations"].to_string()).unwrap();
        let output = run(&["pattern", "match", row["pattern"].as_str().unwrap(), text(&observations)]);
        let expected = match row["expect"].as_str().unwrap() {
            "match" => 0,
            "nomatch" => 1,
            _ => 2,
        };
        assert_eq!(code(&output), expected, "{}: {}{}", row["id"], stdout(&output), stderr(&output));
    }
}

/// One hunt with all rules over all cases: each case's rule has to fire on its file.
#[test]
fn sigma_regression_fires() {
    let (Some(cases), Some(rules)) = (foreign("corpora/sigma-regression"), foreign("corpora/sigma")) else {
        return;
    };
    let folders: Vec<_> = ["rules", "rules-emerging-threats"].map(|folder| cases.join(folder)).into();
    let output =
        run(&["hunt", "-q", "-r", text(&rules), "-f", "jsonl", text(&folders[0]), text(&folders[1])]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let mut found: HashMap<(String, String), u64> = HashMap::new();
    for line in json_lines(&stdout(&output)) {
        let part = |value: &Value| value.as_str().unwrap().to_owned();
        *found.entry((part(&line["rule_id"]), part(&line["source"]["path"]))).or_default() += 1;
    }
    let listed = json_lines(&fs::read_to_string(cases.join("cases.jsonl")).unwrap());
    assert!(listed.len() >= 129);
    for case in &listed {
        let file = cases.join(Path::new(case["evidence"].as_str().unwrap()));
        let key = (case["rule_id"].as_str().unwrap().to_owned(), text(&file).to_owned());
        let wanted = case["min_matches"].as_u64().unwrap_or(1);
        let count = found.get(&key).copied().unwrap_or(0);
        assert!(count >= wanted, "{key:?}: {count} of {wanted}");
    }
}
