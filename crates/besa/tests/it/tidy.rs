//! Rules of the project that no compiler knows.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each may use; the table of ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("besa-simd", &[]),
    ("besa-event", &["besa-simd"]),
    ("besa-stix", &[]),
    ("besa-sigma", &[]),
    ("besa-evidence", &["besa-event", "besa-simd"]),
    ("besa-detect", &["besa-event", "besa-sigma", "besa-simd", "besa-stix"]),
    ("besa-archive", &["besa-event"]),
    ("besa-intel", &["besa-stix"]),
    ("besa-alliance", &["besa-stix"]),
    ("besa-exchange", &["besa-alliance", "besa-intel"]),
    ("besa-server", &["besa-exchange", "besa-intel"]),
    ("besa-node", &["besa-alliance", "besa-exchange", "besa-intel", "besa-stix"]),
    (
        "besa",
        &[
            "besa-alliance",
            "besa-archive",
            "besa-detect",
            "besa-event",
            "besa-evidence",
            "besa-exchange",
            "besa-intel",
            "besa-node",
            "besa-server",
            "besa-sigma",
            "besa-stix",
        ],
    ),
];

#[test]
fn crates_depend_as_drawn_in_the_architecture() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap();
        let ours = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().unwrap())
            .filter(|name| name.starts_with("besa"));
        found.insert(package["name"].as_str().unwrap(), ours.collect());
    }
    let drawn: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    assert_eq!(found, drawn);
}

#[test]
fn every_source_file_says_what_it_is() {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut silent = Vec::new();
    for file in rust_files(crates.as_ref()) {
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.starts_with("//!") {
            silent.push(file);
        }
    }
    assert!(silent.is_empty(), "without a header `//!`: {silent:?}");
}

fn rust_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
