//! Other people's clients: `taxii2-client` and `stix2` from PyPI, over HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Node, PASSWORD};

#[test]
fn taxii2_client_and_stix2() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with taxii2-client and stix2 (python3 -m venv and PyPI are needed)");
        return;
    };
    let node = Node::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/foreign.py");
    let out = Command::new(python)
        .arg(script)
        .args([&node.running.url(), "writer", PASSWORD, &node.feed.id])
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{text}");
    assert!(text.contains("all good"), "{text}");
}

/// A Python with the packages, made once in the target folder.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = folder.join("bin/python");
    let ready = |python: &Path| {
        let check = Command::new(python).args(["-c", "import taxii2client, stix2"]).output();
        check.is_ok_and(|out| out.status.success())
    };
    if ready(&python) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output();
    made.is_ok_and(|out| out.status.success()).then_some(())?;
    let packages =
        ["install", "--quiet", "--retries", "0", "--timeout", "10", "taxii2-client==2.3.0", "stix2==3.0.2"];
    Command::new(folder.join("bin/pip")).args(packages).output().ok()?;
    ready(&python).then_some(python)
}
