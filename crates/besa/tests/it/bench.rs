//! `besa bench`: it measures the hunt that `besa hunt` does.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{code, process, rule_file, run, scenario, stderr, stdout, text};

fn bench(arguments: &[&str]) -> Value {
    let output = run(&[&["bench", "--json", "--runs", "1"], arguments].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn it_finds_what_a_hunt_finds() {
    let evidence = text(scenario());
    let hunt = run(&["hunt", "-q", "-f", "jsonl", evidence]);
    let digest: String = Sha256::digest(&hunt.stdout).iter().map(|byte| format!("{byte:02x}")).collect();
    let found = hunt.stdout.iter().filter(|byte| **byte == b'\n').count();
    let measured = bench(&["--jobs", "3", evidence]);
    let hunts = measured["hunts"].as_array().unwrap();
    assert_eq!(hunts.iter().map(|hunt| hunt["jobs"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
    for hunt in hunts {
        assert_eq!(hunt["findings"], found);
        assert_eq!(hunt["findings_sha256"], digest.as_str());
        for rate in ["decode", "match", "decode_and_match", "whole"] {
            let rate = &hunt[rate];
            for figure in ["seconds", "bytes_per_second", "events_per_second", "of_plain_read"] {
                assert!(rate[figure].as_f64().unwrap() > 0.0, "{figure} of {rate}");
            }
        }
    }
    assert!(measured["start_seconds"].as_f64().unwrap() > 0.0);
    assert!(measured["scaling"].as_f64().unwrap() > 0.0);
}

/// A rule without a log source may match more events, and never fewer.
#[test]
fn unrouted_rules_look_at_every_event() {
    let dir = TempDir::new().unwrap();
    let rule = rule_file(dir.path());
    let events = dir.path().join("events.json");
    let routed = process("C:\\\\whoami.exe", 1);
    let elsewhere = routed.replace("Sysmon/Operational", "Elsewhere/Operational");
    std::fs::write(&events, [routed, elsewhere].join("\n")).unwrap();
    let measured = bench(&["--jobs", "1", "--rules", text(&rule), text(&events)]);
    assert_eq!(measured["hunts"].as_array().unwrap().len(), 1);
    assert_eq!(measured["hunts"][0]["findings"], 1);
    assert_eq!(measured["unrouted"]["findings"], 2);
    assert_eq!(measured["evidence"]["events"], 2);
    assert_eq!(measured["evidence"]["bytes"], std::fs::metadata(&events).unwrap().len());

    let table = run(&["bench", "--runs", "2", "--rules", text(&rule), text(&events)]);
    let said = stdout(&table);
    for told in ["2 events", "plain read", "decode, one core", "match unrouted", "start (load", "findings"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert_eq!(code(&run(&["bench", "-"])), 2);
    assert_eq!(code(&run(&["bench", "/does/not/exist"])), 2);
}

#[test]
fn an_alliance_answers_what_was_planted() {
    let arguments = [
        "-q",
        "bench",
        "alliance",
        "--nodes",
        "3",
        "--days",
        "2",
        "--events",
        "50",
        "--releases",
        "4",
        "--json",
    ];
    let output = run(&arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let measured: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(measured["hits"], measured["hits_planted"]);
    assert!(measured["answers_ms"]["p99"].as_f64().unwrap() > 0.0);
}
