//! `besa hunt`: exit codes, account, order, windows of time, interruption.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use besa_evidence::evtx::{EventData, EvtxRecord, EvtxWriter};
use serde_json::Value;
use tempfile::TempDir;

use crate::{WHOAMI_EXE, besa, code, json_lines, process, rule_file, run, scenario, stderr, stdout, text};

/// Evidence of some processes, one of them `whoami`.
fn evidence(dir: &TempDir) -> String {
    let path = dir.path().join("events.json");
    let lines = [process("C:\\\\a.exe", 0), process(WHOAMI_EXE, 61), process("C:\\\\b.exe", 122)];
    fs::write(&path, lines.join("\n")).unwrap();
    text(&path).to_owned()
}

#[test]
fn a_finding_has_the_documented_fields() {
    let dir = TempDir::new().unwrap();
    let (rule, events) = (rule_file(dir.path()), evidence(&dir));
    let output = run(&["hunt", "--rules", text(&rule), "--format", "jsonl", &events]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let mut lines = json_lines(&stdout(&output));
    assert_eq!(lines.len(), 1);
    lines[0]["source"]["path"] = "events.json".into();
    expect_test::expect![[r#"
        {
          "rule_id": "11111111-2222-4333-8444-555555555555",
          "title": "Whoami",
          "author": "A. Author",
          "level": "high",
          "kind": "sigma",
          "tags": [
            "attack.t1033",
            "attack.discovery",
            "attack.t1562.001"
          ],
          "techniques": [
            "T1033",
            "T1685"
          ],
          "time": "2022-07-15T05:01:01.250Z",
          "time_precision": "millisecond",
          "time_zone": "stated",
          "source": {
            "path": "events.json",
            "record": 2
          },
          "logsource": {
            "product": "windows",
            "service": "sysmon",
            "category": "process_creation"
          },
          "host": "WS1",
          "matched": {
            "Image": "C:\\Windows\\System32\\whoami.exe"
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&lines[0]).unwrap());
}

#[test]
fn exit_codes_and_what_is_said() {
    let dir = TempDir::new().unwrap();
    let (rule, events) = (rule_file(dir.path()), evidence(&dir));
    let garbage = dir.path().join("garbage.bin");
    fs::write(&garbage, (0..=255).collect::<Vec<u8>>().repeat(64)).unwrap();
    let (rule, garbage) = (text(&rule), text(&garbage));
    let check = |arguments: &[&str], expected: i32, said: &str| {
        let output = run(arguments);
        let all = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(code(&output), expected, "{arguments:?}: {all}");
        assert!(all.contains(said), "{arguments:?} does not say {said:?}: {all}");
    };
    check(&["hunt", "-r", rule, &events], 1, "Whoami");
    check(&["hunt", "-r", rule, "--level", "critical", &events], 0, "Nothing found.");
    check(&["hunt", "-r", rule, "--level", "critical", &events], 0, "1 rule loaded");
    check(&["hunt", "-r", rule, "--from", "2022-07-15T05:02", &events], 0, "2 events outside");
    check(&["hunt", "-r", rule, "--to", "2022-07-15T05:02:00Z", &events], 1, "1 event outside");
    check(&["hunt", "-r", rule, garbage, &events], 1, "1 defect; all else was read");
    check(&["hunt", "-r", rule, garbage], 2, "garbage.bin");
    check(&["hunt", "-r", rule, "/does/not/exist"], 2, "evidence `/does/not/exist` does not exist");
    check(&["hunt", "-r", "/does/not/exist", &events], 2, "rules `/does/not/exist`");
    check(&["hunt", "-r", rule, "--level", "loud", &events], 2, "use informational, low");
    check(&["hunt"], 2, "<EVIDENCE>");
}

#[test]
fn the_account_is_given_with_zero_findings_and_names_idle_and_refused_rules() {
    let dir = TempDir::new().unwrap();
    let events = evidence(&dir);
    let rules = dir.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let rule = |product: &str, test: &str| {
        format!(
            "title: T\nlogsource: {{product: {product}, service: x}}\ndetection:\n  s:\n    {test}\n  condition: s\n"
        )
    };
    fs::write(rules.join("idle.yml"), rule("linux", "F: v")).unwrap();
    fs::write(rules.join("broken.yaml"), rule("linux", "F|re: '('")).unwrap();
    fs::write(rules.join("notes.txt"), "no rule").unwrap();
    let account = dir.path().join("account.json");
    let output = run(&["hunt", "-r", text(&rules), "--account", text(&account), &events]);
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("broken.yaml:5"), "{}", stderr(&output));
    let account: Value = serde_json::from_slice(&fs::read(account).unwrap()).unwrap();
    assert_eq!(account["complete"], true);
    assert_eq!(account["events"], 3);
    assert_eq!(account["log_sources"][0]["log_source"], "windows/sysmon/process_creation");
    assert_eq!(account["rules"]["loaded"], 1);
    assert_eq!(account["rules"]["not_applicable_by_log_source"]["linux/*/x"], 1);
    assert_eq!(account["rules"]["refused"].as_array().unwrap().len(), 1);
    assert_eq!(account["findings"]["total"], 0);
}

/// Everything but times of day and random ids.
fn comparable(text: &str) -> String {
    let drop_uuid =
        |line: &str| if line.starts_with("{\"type\":\"bundle\"") { String::new() } else { line.to_owned() };
    text.lines().map(drop_uuid).collect::<Vec<_>>().join("\n")
}

#[test]
fn output_does_not_depend_on_the_number_of_workers() {
    let dir = TempDir::new().unwrap();
    let account = |jobs: &str| dir.path().join(format!("account-{jobs}"));
    for format in ["table", "jsonl", "csv", "stix", "timesketch"] {
        let hunted = ["1", "2", "7"].map(|jobs| {
            let output = run(&[
                "hunt",
                "-q",
                "--jobs",
                jobs,
                "--format",
                format,
                "--account",
                text(&account(jobs)),
                text(scenario()),
            ]);
            assert_eq!(code(&output), 1, "{}", stderr(&output));
            let mut account: Value = serde_json::from_slice(&fs::read(account(jobs)).unwrap()).unwrap();
            account["seconds"] = Value::Null;
            (comparable(&stdout(&output)), account)
        });
        assert!(hunted[0].0.lines().count() > 50);
        assert!(hunted[0] == hunted[1] && hunted[0] == hunted[2], "{format} differs");
    }
}

#[test]
fn findings_are_a_timeline() {
    let output = run(&["hunt", "-q", "--format", "jsonl", text(scenario())]);
    let times: Vec<String> = json_lines(&stdout(&output))
        .iter()
        .map(|line| line["time"].as_str().unwrap_or_default().to_owned())
        .collect();
    // To the second, since times differ in their number of digits.
    assert!(times.is_sorted_by_key(|time| time.get(..19).unwrap_or_default().to_owned()));
}

#[test]
fn standard_input_and_files_give_the_same() {
    let dir = TempDir::new().unwrap();
    let (rule, events) = (rule_file(dir.path()), evidence(&dir));
    let mut child = besa()
        .args(["hunt", "-q", "-r", text(&rule), "-f", "csv", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(&events).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 1);
    let from_file = stdout(&run(&["hunt", "-q", "-r", text(&rule), "-f", "csv", &events]));
    assert_eq!(stdout(&output).replace(",-,", ",PATH,"), from_file.replace(&format!(",{events},"), ",PATH,"));
}

#[test]
fn a_file_appears_whole_and_a_closed_pipe_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out.jsonl");
    let output = run(&["hunt", "-q", "-f", "jsonl", "-o", text(&out), text(scenario())]);
    assert_eq!((code(&output), output.stdout.len()), (1, 0));
    assert!(json_lines(&fs::read_to_string(&out).unwrap()).len() > 300);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file stayed behind");
    let nowhere = run(&["hunt", "-o", "/does/not/exist/out", text(scenario())]);
    assert_eq!(code(&nowhere), 2);

    let mut child = besa()
        .args(["hunt", "-f", "jsonl", text(scenario())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with('{'));
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked") && stderr(&output).contains("findings of"));
}

/// Sends a hunt on standard input more than it holds back, then SIGINT, and gives what it says.
fn interrupted(image: &str) -> (i32, String, String) {
    let dir = TempDir::new().unwrap();
    let rule = rule_file(dir.path());
    let mut child = besa()
        .args(["hunt", "-r", text(&rule), "-f", "jsonl", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = (0..16_000).map(|number| process(image, number) + "\n").collect();
    assert!(lines.len() > 3 << 20);
    // A block is handed on at one megabyte and the pipe holds 64 KiB, so that when this returns
    // whole blocks are under way; standard input stays open.
    input.write_all(lines.as_bytes()).unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    drop(input);
    (code(&output), stdout(&output), stderr(&output))
}

#[test]
#[cfg(unix)]
fn an_interrupted_hunt_gives_what_it_found_and_says_that_it_is_partial() {
    let (exit, found, said) = interrupted(WHOAMI_EXE);
    assert_eq!(exit, 1, "{said}");
    assert!(json_lines(&found).len() > 1_000, "{said}");
    assert!(said.contains("PARTIAL"), "{said}");
    let (exit, found, said) = interrupted("C:\\\\a.exe");
    assert_eq!((exit, found.as_str()), (130, ""), "{said}");
    assert!(said.contains("PARTIAL"), "{said}");
}

/// Channel, event id, event data.
type Sort<'a> = (&'a str, u16, &'a [(&'a str, &'a str)]);

/// Forwarded events: a file of several channels gives what a file for each channel gives.
#[test]
fn a_file_of_mixed_channels_gives_the_findings_of_its_parts() {
    const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";
    let process = [
        ("Image", "C:\\ProgramData\\Microsoft\\Windows\\GoXml.exe"),
        ("CommandLine", "GoXml.exe 1 2 3 4 5 6 7"),
    ];
    let driver = [("ImageLoaded", "C:\\Windows\\System32\\drivers\\rwdsk.sys")];
    let service = [("ServiceName", "RawDisk3"), ("ImagePath", "\\??\\C:\\Windows\\rwdsk.sys")];
    let noise = [("LogonType", "3"), ("TargetUserName", "clerk")];
    let kinds: [Sort<'_>; 4] =
        [(SYSMON, 1, &process), (SYSMON, 6, &driver), ("System", 7045, &service), ("Security", 4624, &noise)];
    let records: Vec<_> = (1..=40).map(|id| (id, kinds[usize::try_from(id % 4).unwrap()])).collect();

    let dir = TempDir::new().unwrap();
    write_log(&dir.path().join("mixed.evtx"), &records);
    let parts = dir.path().join("parts");
    fs::create_dir(&parts).unwrap();
    for channel in [SYSMON, "System", "Security"] {
        let own: Vec<_> = records.iter().filter(|(_, kind)| kind.0 == channel).copied().collect();
        write_log(&parts.join(format!("{}.evtx", channel.replace('/', "-"))), &own);
    }
    let findings = |path: &Path| -> Vec<(String, u64)> {
        let output = run(&["-q", "hunt", "--format", "jsonl", text(path)]);
        let lines = json_lines(&stdout(&output));
        let pair = |line: &Value| {
            (line["rule_id"].as_str().unwrap().to_owned(), line["source"]["record"].as_u64().unwrap())
        };
        let mut pairs: Vec<_> = lines.iter().map(pair).collect();
        pairs.sort();
        pairs
    };
    let mixed = findings(&dir.path().join("mixed.evtx"));
    assert!(mixed.len() >= 30, "{mixed:?}");
    assert_eq!(mixed, findings(&parts));
}

fn write_log(path: &Path, records: &[(u64, Sort<'_>)]) {
    let mut writer = EvtxWriter::new(fs::File::create(path).unwrap()).unwrap();
    for (record_id, (channel, event_id, data)) in records {
        let record = EvtxRecord {
            channel,
            provider: "Provider",
            provider_guid: None,
            event_id: *event_id,
            version: 0,
            level: 4,
            task: 0,
            opcode: 0,
            keywords: 0,
            record_id: *record_id,
            filetime: 133_000_000_000_000_000 + record_id * 10_000_000,
            computer: "ws01",
            process_id: 4,
            thread_id: 8,
            user_sid: None,
            data: EventData::Named(data),
        };
        writer.write(&record).unwrap();
    }
    writer.finish().unwrap();
}
