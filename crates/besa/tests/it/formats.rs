//! Every format is what it claims to be, also when evidence is hostile.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::{code, json_lines, process, rule_file, run, scenario, stderr, stdout, text};

fn hunted(format: &str) -> String {
    let output = run(&["hunt", "-q", "-f", format, text(scenario())]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn stix_is_valid_by_the_standard() {
    let bundle = hunted("stix");
    let problems = besa_stix::validate::validate_text(bundle.as_bytes());
    let musts: Vec<_> =
        problems.iter().filter(|problem| problem.level == besa_stix::validate::Level::Must).take(5).collect();
    assert!(musts.is_empty(), "{musts:?}");
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let count = |kind: &str| {
        bundle["objects"].as_array().unwrap().iter().filter(|object| object["type"] == kind).count()
    };
    assert_eq!(count("sighting"), json_lines(&hunted("jsonl")).len());
    assert_eq!(count("observed-data"), count("sighting"));
    assert!(count("indicator") > 20 && count("ipv4-addr") > 0 && count("file") > 0);
    let first =
        bundle["objects"].as_array().unwrap().iter().find(|object| object["type"] == "sighting").unwrap();
    assert_eq!(first["object_marking_refs"][0], besa_stix::marking::TLP_2_AMBER);
}

#[test]
fn timelines_and_layers_are_what_their_tools_read() {
    for row in json_lines(&hunted("timesketch")) {
        for field in ["message", "datetime", "timestamp_desc"] {
            assert!(!row[field].as_str().unwrap().is_empty());
        }
    }
    let csv = hunted("timesketch-csv");
    assert!(csv.starts_with("message,datetime,timestamp_desc,tag,"));
    let layer: Value = serde_json::from_str(&hunted("navigator")).unwrap();
    assert_eq!((&layer["domain"], &layer["versions"]["layer"]), (&"enterprise-attack".into(), &"4.5".into()));
    let ids: Vec<&str> = layer["techniques"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["techniqueID"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"T1190") && ids.contains(&"T1486") && ids.is_sorted(), "{ids:?}");
}

#[test]
fn hostile_evidence_stays_text() {
    let dir = TempDir::new().unwrap();
    let rule = rule_file(dir.path());
    let events = dir.path().join("events.json");
    let image = "=cmd|' /C calc'!A0<script>alert(1)</script><img src=x>\\u001b[2J\\\\whoami.exe";
    fs::write(&events, process(image, 1)).unwrap();
    let hunt = |format: &str| stdout(&run(&["hunt", "-q", "-r", text(&rule), "-f", format, text(&events)]));
    let html = hunt("html");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x&gt;"));
    assert_eq!(html.matches("<script").count(), 1, "only the report's own script");
    assert!(!html.contains("<img") && !html.contains("src=\"") && !html.contains("<link"));
    assert!(html.contains("default-src 'none'"));
    let csv = hunt("csv");
    assert!(csv.contains("\"Image==cmd") || csv.contains("Image==cmd"), "{csv}");
    for format in ["table", "html"] {
        assert!(!hunt(format).contains('\u{1b}'), "{format} passes an escape sequence on");
    }
}
