//! `besa archive export`, and what foreign readers find in the archive beside it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{code, foreign, json_lines, python, run, scenario, stderr, stdout, text};

const SCRIPT: &str = include_str!("../../../besa-archive/tests/foreign/export.py");

fn kept(dir: &Path, evidence: &[&Path]) -> std::path::PathBuf {
    let archive = dir.join("history");
    let paths: Vec<&str> = evidence.iter().map(|path| text(path)).collect();
    let added = run(&[&["-q", "archive", "add", "--archive", text(&archive)], paths.as_slice()].concat());
    assert_eq!(code(&added), 0, "{}", stderr(&added));
    archive
}

fn export(archive: &Path, rest: &[&str]) -> Vec<Value> {
    let output = run(&[&["-q", "archive", "export", "--archive", text(archive)], rest].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    json_lines(&stdout(&output))
}

const LINES: &str = r#"{"@timestamp":"2022-07-15T05:00:00.5Z","host":"pc1","a":1,"b":[true,"x\u0041",null],"c":"=1+1","big":1e400,"0x":"\"","n":-0.5}
{"@timestamp":"2022-07-16T05:00:00Z","host":"pc2","a":"zwei","none":null}
{"a":3}
"#;

#[test]
fn events_come_out_as_they_went_in() {
    let dir = TempDir::new().unwrap();
    let evidence = dir.path().join("app.jsonl");
    fs::write(&evidence, LINES).unwrap();
    let archive = kept(dir.path(), &[&evidence]);
    let lines = export(&archive, &["--raw"]);
    assert_eq!(lines.len(), 3);
    let first = lines.iter().find(|line| line["source"]["record"] == 1).unwrap();
    assert_eq!(first["time"], "2022-07-15T05:00:00.500Z");
    assert_eq!((&first["time_precision"], &first["time_zone"]), (&"millisecond".into(), &"stated".into()));
    assert_eq!((&first["host"], &first["source"]["path"]), (&"pc1".into(), &text(&evidence).into()));
    let fields = &first["fields"];
    assert_eq!(fields["b"], json!([true, "xA", null]));
    assert_eq!((&fields["a"], &fields["n"], &fields["big"]), (&1.into(), &(-0.5).into(), &"1e400".into()));
    assert_eq!(first["raw"], LINES.lines().next().unwrap());
    let records = |rest: &[&str]| -> Vec<u64> {
        export(&archive, rest).iter().map(|line| line["source"]["record"].as_u64().unwrap()).collect()
    };
    assert_eq!(records(&["--from", "2022-07-16"]), [2]);
    assert_eq!(records(&["--to", "2022-07-16"]), [1]);
    assert_eq!(records(&["--source", "windows"]), [0; 0]);
    let asked = export(&archive, &["--field", "A"]);
    assert!(asked.iter().all(|line| line["fields"].as_object().unwrap().len() == 1), "{asked:?}");
    assert!(asked.iter().all(|line| line.get("raw").is_none()));
    to_files(dir.path(), &archive);
}

fn to_files(dir: &Path, archive: &Path) {
    let csv = dir.join("all.csv");
    let at = |rest: &[&str]| run(&[&["archive", "export", "--archive", text(archive)], rest].concat());
    let output = at(&["--format", "csv", "--out", text(&csv)]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    assert!(stderr(&output).contains("3 events"), "{}", stderr(&output));
    let written = fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = written.split("\r\n").collect();
    assert!(lines[0].starts_with("besa_time,besa_time_precision,besa_time_zone,besa_log_source,besa_host"));
    assert!(lines[0].ends_with(r#"0x,"'@timestamp",a,b,big,c,host,n"#), "{}", lines[0]);
    let first = lines.iter().find(|line| line.contains("pc1")).unwrap();
    assert!(first.ends_with(r#"1,true; xA,1e400,"'=1+1",pc1,"'-0.5""#), "{first}");
    assert_eq!(lines.len(), 5);
    // A file that is gone is said, and the rest still written.
    let data = first_file(&archive.join("data"));
    fs::remove_file(data).unwrap();
    let before = written.len();
    let output = at(&["--format", "csv", "--out", text(&csv)]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("NOT EXPORTED"), "{}", stderr(&output));
    assert!(fs::read_to_string(&csv).unwrap().len() < before);
    assert_eq!(code(&at(&["--archive", "nowhere"])), 2);
}

fn first_file(folder: &Path) -> std::path::PathBuf {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let first = entries.swap_remove(0);
    if first.is_dir() { first_file(&first) } else { first }
}

/// What JSON and readers of Parquet may disagree about: escapes, empty and missing values, names
/// that differ in case, names and values past what has a column.
fn strange() -> String {
    let mut lines = String::new();
    for n in 0..3_000_u32 {
        let texts = ["", "\u{0}", "日本語", "a\"b\\c", "\u{1f600}\r\n", "null", "\u{fffd}"];
        let mut event = json!({
            "@timestamp": format!("2021-{:02}-01T00:{:02}:{:02}.{:03}Z", n % 2 + 1, n / 60 % 60, n % 60, n % 1_000),
            "text": texts[n as usize % texts.len()],
            "unique": format!("{n}-{}", n.wrapping_mul(2_654_435_761)),
            "number": n,
            "list": [n % 3, "second"],
            "inner": {"deep": {"est": n % 7 == 0}},
        });
        if n % 10 == 0 {
            event["sometimes"] = Value::Null;
            event["Text"] = "other case".into();
        }
        if n % 500 == 0 {
            event["long"] = "ü".repeat(100_000).into();
        }
        if n % 1_000 == 0 {
            (0..450).for_each(|at| event[format!("wide{at}")] = at.into());
        }
        writeln!(lines, "{event}").unwrap();
    }
    lines
}

/// Every event of every file, and every column: DuckDB and pyarrow against `export`.
#[test]
fn foreign_readers_find_what_is_exported() {
    let Some(python) = python::python("readers") else { return };
    let dir = TempDir::new().unwrap();
    let made = dir.path().join("strange.jsonl");
    fs::write(&made, strange()).unwrap();
    let mut evidence = vec![made.as_path(), scenario()];
    let samples = foreign("corpora/evtx-attack-samples").map(|folder| folder.join("Lateral Movement"));
    let samples = samples.as_deref().filter(|folder| folder.exists());
    let events_min = if samples.is_some() { 6_000 } else { 5_000 };
    evidence.extend(samples);
    let archive = kept(dir.path(), &evidence);
    let all = dir.path().join("all.jsonl");
    let output = run(&["-q", "archive", "export", "--archive", text(&archive), "--out", text(&all)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let child = Command::new(python)
        .args(["-c", SCRIPT, text(&archive)])
        .stdin(Stdio::from(fs::File::open(&all).unwrap()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(output.status.success() && lines.len() == 1, "{said}");
    let told: HashMap<String, u64> = serde_json::from_str(lines[0]).unwrap();
    assert!(told["events"] > events_min && told["values"] > 50_000 && told["files"] > 10, "{told:?}");
}
