//! The `besa` binary as its users run it: arguments in, text and exit code out.

mod allies;
mod archive;
mod authority;
mod bench;
mod demo;
mod desk;
mod export;
mod follow;
mod foreign;
mod formats;
mod hunt;
mod intel;
mod malice;
mod node;
mod nodes;
mod partition;
mod past;
#[path = "../../../besa-node/tests/it/pen.rs"]
mod pen;
#[path = "../../../besa-archive/tests/foreign/python.rs"]
mod python;
mod reliable;
mod served;
mod tidy;
mod tools;
#[path = "../../../besa-node/tests/it/wire.rs"]
mod wire;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// The binary, away from the user's settings.
fn besa() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_besa"));
    command.env("COLUMNS", "100").env_remove("NO_COLOR");
    command
}

/// Runs to the end.
fn run(arguments: &[&str]) -> Output {
    besa().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Each line as JSON.
fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The scenario with few benign events, written once for all tests.
fn scenario() -> &'static Path {
    static SCENARIO: OnceLock<TempDir> = OnceLock::new();
    SCENARIO
        .get_or_init(|| {
            let dir = TempDir::new().unwrap();
            let output = run(&["-q", "scenario", "write", "--scale", "0.01", text(dir.path())]);
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            dir
        })
        .path()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder of foreign test data, if it is there.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn foreign(folder: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("BESA_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = shared.join(folder);
    if !path.exists() {
        eprintln!("skipped: no foreign vectors at {}", path.display());
        return None;
    }
    Some(path)
}

/// A rule over Sysmon process creation, as a file.
fn rule_file(dir: &Path) -> PathBuf {
    let path = dir.join("whoami.yml");
    std::fs::write(&path, WHOAMI).unwrap();
    path
}

const WHOAMI: &str = r"title: Whoami
id: 11111111-2222-4333-8444-555555555555
author: A. Author
level: high
tags: [attack.t1033, attack.discovery, attack.t1562.001]
logsource: {product: windows, category: process_creation}
detection:
  selection:
    Image|endswith: '\whoami.exe'
  filter:
    User: SYSTEM
  condition: selection and not filter
";

/// A Sysmon process creation as `evtx_dump` writes it.
fn process(image: &str, second: u32) -> String {
    format!(
        r##"{{"Event":{{"System":{{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"WS1","TimeCreated":{{"#attributes":{{"SystemTime":"2022-07-15T05:{:02}:{:02}.250Z"}}}}}},"EventData":{{"Image":"{image}","User":"CORP\\a"}}}}}}"##,
        second / 60 % 60,
        second % 60,
    )
}

const WHOAMI_EXE: &str = r"C:\\Windows\\System32\\whoami.exe";
