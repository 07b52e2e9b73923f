//! Intelligence of every sort, met in evidence.

use std::collections::BTreeSet;

use tempfile::TempDir;

use crate::{code, json_lines, run, scenario, stderr, stdout, text};

const LINES: &str = r#"{"@timestamp":"2022-07-15T05:00:00Z","host":{"name":"ws1"},"message":"GET http://files.bad.example/a.exe from 203.0.113.9"}
{"@timestamp":"2022-07-15T05:00:01Z","host":{"name":"ws2"},"message":"sent to eve@mail.example, md5 0123456789abcdef0123456789abcdef"}
{"@timestamp":"2022-07-15T05:00:02Z","host":{"name":"ws3"},"message":"nothing of note at 192.0.2.1"}
"#;

/// Each expected: (record, value met).
#[track_caller]
fn check(name: &str, intel: &str, expected: &[(u64, &str)]) {
    let dir = TempDir::new().unwrap();
    let (evidence, list) = (dir.path().join("evidence.json"), dir.path().join(name));
    std::fs::write(&evidence, LINES).unwrap();
    std::fs::write(&list, intel).unwrap();
    let output = run(&["-q", "hunt", "-i", text(&list), "--format", "jsonl", text(&evidence)]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let found: Vec<(u64, String)> = json_lines(&stdout(&output))
        .iter()
        .map(|line| {
            assert_eq!(line["kind"], "indicator", "{line}");
            (line["source"]["record"].as_u64().unwrap(), line["rule_id"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected: Vec<(u64, String)> =
        expected.iter().map(|(record, id)| (*record, (*id).to_owned())).collect();
    assert_eq!(found, expected, "{name}");
}

#[test]
fn lists_bundles_and_events() {
    let list =
        "# from an ally\nbad[.]example\n203.0.113.0/24\neve@mail.example\n0123456789ABCDEF0123456789ABCDEF\n";
    check(
        "list.txt",
        list,
        &[
            (1, "bad.example"),
            (1, "203.0.113.0/24"),
            (2, "eve@mail.example"),
            (2, "0123456789abcdef0123456789abcdef"),
        ],
    );
    check("list.csv", "type,indicator\nip,203.0.113.9\ndomain,absent.example\n", &[(1, "203.0.113.9")]);
    let stix = r#"{"type":"bundle","id":"bundle--11111111-1111-4111-8111-111111111111","objects":[{"type":"indicator","spec_version":"2.1","id":"indicator--22222222-2222-4222-8222-222222222222","created":"2022-07-16T00:00:00.000Z","modified":"2022-07-16T00:00:00.000Z","name":"Drop site","pattern":"[domain-name:value = 'files.bad.example']","pattern_type":"stix","valid_from":"2022-01-01T00:00:00Z"}]}"#;
    check("bundle.json", stix, &[(1, "indicator--22222222-2222-4222-8222-222222222222")]);
    let misp = r#"{"Event":{"uuid":"33333333-3333-4333-8333-333333333333","info":"Case","Attribute":[{"type":"ip-dst","category":"Network activity","to_ids":true,"value":"203.0.113.9"},{"type":"ip-dst","category":"Network activity","to_ids":false,"value":"192.0.2.1"}]}}"#;
    check("event.json", misp, &[(1, "203.0.113.9")]);
}

#[test]
fn a_list_of_no_use_is_an_error_and_not_nothing_found() {
    let dir = TempDir::new().unwrap();
    let (evidence, list) = (dir.path().join("evidence.json"), dir.path().join("list.txt"));
    std::fs::write(&evidence, LINES).unwrap();
    std::fs::write(&list, "# nothing but a comment\n").unwrap();
    let output = run(&["hunt", "-i", text(&list), text(&evidence)]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("holds no indicator that can be used"), "{}", stderr(&output));
}

/// What Albania learnt of the attackers' addresses is met in its ally's past, and not at the ally
/// that was not hit.
#[test]
fn an_allys_indicator_is_met_where_the_same_cluster_was() {
    let replay = scenario().join("intel").join("albania-replay.json");
    let hosts = |member: &str| -> BTreeSet<String> {
        let evidence = scenario().join(member);
        let output = run(&["-q", "hunt", "-i", text(&replay), "--format", "jsonl", text(&evidence)]);
        let lines = json_lines(&stdout(&output));
        let met = lines.iter().filter(|line| line["kind"] == "indicator");
        met.map(|line| line["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(hosts("ally-b").len(), 2);
    assert_eq!(hosts("ally-c").len(), 0);
}
