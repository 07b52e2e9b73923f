//! The archive: a hunt through what was kept finds what the hunt through the evidence found.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{besa, code, foreign, json_lines, run, scenario, stderr, stdout, text};

/// What has to be the same, one line a finding, sorted: those of one time have no order.
fn findings(arguments: &[&str]) -> Vec<String> {
    let output = besa().args(arguments).output().unwrap();
    assert!(code(&output) <= 1, "{arguments:?}: {}", stderr(&output));
    shown(&stdout(&output))
}

/// The same of JSON lines.
fn shown(lines: &str) -> Vec<String> {
    let shown = |line: &Value| {
        let parts = ["rule_id", "title", "source", "time", "matched", "related", "host", "logsource"];
        json!(parts.map(|part| line[part].clone())).to_string()
    };
    let mut shown: Vec<String> = json_lines(lines).iter().map(shown).collect();
    shown.sort();
    shown
}

/// Keeps evidence, then hunts through both; returns the findings and the archive.
fn check(evidence: &[&Path], knowledge: &[&str]) -> (Vec<String>, TempDir) {
    let dir = TempDir::new().unwrap();
    let archive = dir.path().join("history");
    let paths: Vec<&str> = evidence.iter().map(|path| text(path)).collect();
    let added = run(&[&["-q", "archive", "add", "--archive", text(&archive)], paths.as_slice()].concat());
    assert_eq!(code(&added), 0, "{}", stderr(&added));
    let live = findings(&[&["-q", "hunt", "-f", "jsonl"], knowledge, paths.as_slice()].concat());
    let past = findings(
        &[&["-q", "archive", "hunt", "-f", "jsonl", "--archive", text(&archive)], knowledge].concat(),
    );
    let missing: Vec<_> = live.iter().filter(|line| past.binary_search(line).is_err()).take(3).collect();
    let more: Vec<_> = past.iter().filter(|line| live.binary_search(line).is_err()).take(3).collect();
    assert!(live == past, "{} live, {} past\nmissing {missing:#?}\nmore {more:#?}", live.len(), past.len());
    (live, dir)
}

#[test]
fn the_scenario_is_found_in_the_archive_as_in_the_evidence() {
    let intel = scenario().join("intel");
    let (found, dir) = check(&[scenario()], &["--intel", text(&intel)]);
    assert!(found.len() > 300, "{}", found.len());
    let (without_intel, _) = check(&[scenario()], &[]);
    assert!(!without_intel.is_empty() && without_intel.len() < found.len());
    looked_after(&dir.path().join("history"));
}

/// Upkeep over a real archive; then a file is damaged, and nothing found is no answer.
fn looked_after(archive: &Path) {
    let at = |command: &str, rest: &[&str]| {
        run(&[&["archive", command, "--archive", text(archive)], rest].concat())
    };
    let stats = |archive: &Path| -> Value {
        let output = run(&["archive", "stats", "--json", "--archive", text(archive)]);
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    assert_eq!(code(&at("verify", &[])), 0);
    let before = stats(archive);
    assert!(before["events"].as_u64().unwrap() > 1_000 && before["partitions"].as_u64().unwrap() > 10);
    assert_eq!(code(&at("compact", &[])), 0);
    assert_eq!(stats(archive)["events"], before["events"]);
    assert_eq!(code(&at("hold", &["case-7"])), 0);
    assert_eq!(code(&at("retain", &["--days", "1"])), 0);
    assert_eq!(stats(archive)["events"], before["events"], "a hold keeps everything");
    let nothing = archive.with_file_name("nothing.txt");
    std::fs::write(&nothing, "never-seen.example.com\n").unwrap();
    let rule = archive.with_file_name("never.yml");
    std::fs::write(&rule, crate::WHOAMI.replace("whoami.exe", "never-seen-anywhere.exe")).unwrap();
    let account = archive.with_file_name("account.json");
    let hunt = ["--intel", text(&nothing), "--rules", text(&rule), "--account", text(&account)];
    assert_eq!(code(&at("hunt", &hunt)), 0);
    let told: Value = serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap();
    assert_eq!(told["coverage"]["events_held"], before["events"]);
    assert_eq!(told["events"], before["events"]);
    let first = first_data_file(&archive.join("data"));
    std::fs::remove_file(&first).unwrap();
    let output = at("hunt", &hunt);
    assert_eq!(code(&output), 2, "a missing file is no `nothing found`");
    assert!(stderr(&output).contains("NOT SEARCHED"), "{}", stderr(&output));
    assert_eq!(code(&at("verify", &[])), 1);
    assert_eq!(code(&at("hold", &["case-7", "--release"])), 0);
    assert_eq!(code(&at("retain", &["--days", "1"])), 0);
    assert!(stats(archive)["events"].as_u64() < before["events"].as_u64());
}

fn first_data_file(folder: &Path) -> std::path::PathBuf {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let first = entries.swap_remove(0);
    if first.is_dir() { first_data_file(&first) } else { first }
}

#[test]
fn foreign_evidence_is_found_in_the_archive_as_in_the_evidence() {
    let (Some(rules), Some(samples)) = (foreign("corpora/sigma"), foreign("corpora/evtx-attack-samples"))
    else {
        return;
    };
    let rules = rules.join("rules");
    let (found, _) = check(&[&samples], &["--rules", text(&rules)]);
    assert!(found.len() > 400, "{}", found.len());
}

/// One pass that keeps and hunts gives what a hunt gives, and keeps what a pass that only keeps
/// does.
#[test]
fn hunting_while_adding_finds_what_a_hunt_finds() {
    let dir = TempDir::new().unwrap();
    let (archive, alone) = (dir.path().join("history"), dir.path().join("alone"));
    let (out, account) = (dir.path().join("findings.jsonl"), dir.path().join("account.json"));
    let intel = scenario().join("intel");
    let mut evidence = vec![text(scenario())];
    let samples = foreign("corpora/evtx-attack-samples").map(|folder| folder.join("Execution"));
    evidence.extend(samples.as_deref().filter(|folder| folder.exists()).map(text));
    for knowledge in [
        &["--intel", text(&intel)][..],
        &["--rules", concat!(env!("CARGO_MANIFEST_DIR"), "/rules"), "--level", "high"],
    ] {
        let _ = std::fs::remove_dir_all(&archive);
        let live = findings(&[&["-q", "hunt", "-f", "jsonl"], knowledge, &evidence].concat());
        let add = [&["archive", "add", "--archive", text(&archive), "-f", "jsonl"], knowledge].concat();
        let added =
            run(&[&add, &["--out", text(&out), "--json", "--account", text(&account)][..], &evidence]
                .concat());
        assert_eq!(code(&added), 1, "{}", stderr(&added));
        let kept: Value = serde_json::from_str(&stdout(&added)).unwrap();
        let told: Value = serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap();
        assert_eq!((&told["events"], &told["findings"]["total"]), (&kept["events"], &live.len().into()));
        assert_eq!(shown(&std::fs::read_to_string(&out).unwrap()), live);
        let past = findings(
            &[&["-q", "archive", "hunt", "-f", "jsonl", "--archive", text(&archive)], knowledge].concat(),
        );
        assert!(past == live, "{} past, {} live", past.len(), live.len());
    }
    let added = run(&[&["-q", "archive", "add", "--archive", text(&alone)], evidence.as_slice()].concat());
    assert_eq!(code(&added), 0, "{}", stderr(&added));
    let everything = |archive: &Path| stdout(&run(&["-q", "archive", "export", "--archive", text(archive)]));
    assert!(everything(&archive) == everything(&alone));
    let mixed = run(&[
        &["archive", "add", "--archive", text(&alone), "--json", "--intel", text(&intel)],
        evidence.as_slice(),
    ]
    .concat());
    assert_eq!(code(&mixed), 2);
    assert!(stderr(&mixed).contains("--out"), "{}", stderr(&mixed));
}
