//! The scenario as written: deterministic, in its window of time, well-formed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;

const SMALL: Options = Options { scale: 0.01, seed: 7 };

fn written(options: &Options) -> (tempfile::TempDir, Written) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut last = 0;
    let written = write(folder.path(), options, &mut |progress| {
        assert!(progress.done == last + 1 && progress.done <= progress.total, "{progress:?}");
        last = progress.done;
    })
    .expect("written");
    (folder, written)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn text_of(path: &Path) -> String {
    let bytes = fs::read(path).expect("readable");
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip of text");
        return text;
    }
    String::from_utf8(bytes).expect("text")
}

fn digest(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let hash = |path: &PathBuf| Sha256::digest(fs::read(path).expect("readable")).to_vec();
    files(folder).iter().map(|path| (path.strip_prefix(folder).expect("below").into(), hash(path))).collect()
}

#[test]
fn the_same_seed_writes_the_same_bytes_and_another_does_not() {
    let (first, _) = written(&SMALL);
    let (second, _) = written(&SMALL);
    let (third, _) = written(&Options { seed: 8, ..SMALL });
    assert_eq!(digest(first.path()), digest(second.path()));
    assert_ne!(digest(first.path()), digest(third.path()));
}

#[test]
fn scale_changes_the_everyday_and_not_the_attack() {
    let (_small, small) = written(&SMALL);
    let (_large, large) = written(&Options { scale: 0.05, ..SMALL });
    let (_none, none) = written(&Options { scale: 0.0, ..SMALL });
    assert_eq!((small.injected, small.traps), (large.injected, large.traps));
    assert_eq!((none.benign, none.injected), (0, small.injected));
    for (options, written) in [(0.01, small), (0.05, large)] {
        let expected = 200_000.0 * options;
        assert!((written.benign as f64 / expected - 1.0).abs() < 0.15, "{written:?} for {expected}");
    }
    assert!(write(Path::new("."), &Options { scale: f64::NAN, seed: 1 }, &mut |_| {}).is_err());
}

/// The moment of a record, as microseconds since 1970, by the kind of file.
fn times(path: &Path, text: &str) -> Vec<String> {
    let name = path.to_string_lossy();
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    if name.contains("winlogbeat") {
        lines()
            .map(|line| {
                let event: Value = serde_json::from_str(line).expect(line);
                assert!(
                    event["winlog"]["computer_name"].as_str().is_some_and(|name| name.ends_with(".example"))
                );
                event["@timestamp"].as_str().expect("a time").to_owned()
            })
            .collect()
    } else if name.ends_with(".log") && name.contains("u_ex") {
        lines()
            .map(|line| {
                let fields: Vec<&str> = line.split(' ').collect();
                assert_eq!(fields.len(), 17, "{line}");
                format!("{}T{}", fields[0], fields[1])
            })
            .collect()
    } else if name.contains("/zeek/") {
        let columns = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).expect("a header");
            line.split('\t').count() - 1
        };
        assert_eq!(columns("#fields"), columns("#types"), "{name}");
        lines()
            .map(|line| {
                assert_eq!(line.split('\t').count(), columns("#fields"), "{line}");
                let seconds: f64 = line.split('\t').next().and_then(|ts| ts.parse().ok()).expect("a time");
                calendar::Time((seconds * 1e6) as i64).rfc3339()
            })
            .collect()
    } else if name.contains("/proxy/") {
        let columns = text::PROXY_COLUMNS.split(',').count();
        lines()
            .skip(1)
            .map(|line| {
                let fields: Vec<&str> = line.splitn(columns, ',').collect();
                assert!(fields.len() == columns && fields[columns - 1].ends_with('"'), "{line}");
                format!("{}T{}", fields[0], fields[1])
            })
            .collect()
    } else if name.contains("/gateway/") {
        lines().map(|line| line.split(' ').nth(1).expect("a time").to_owned()).collect()
    } else {
        Vec::new()
    }
}

#[test]
fn every_line_is_well_formed_in_order_and_within_the_window() {
    let (folder, written) = written(&SMALL);
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    let mut lines = 0;
    for path in files(folder.path()) {
        let of_member = MEMBERS.iter().any(|member| path.starts_with(folder.path().join(member)));
        if !of_member || path.extension().is_some_and(|extension| extension == "evtx") {
            continue;
        }
        let times = times(&path, &text_of(&path));
        assert!(!times.is_empty(), "nothing read from {}", path.display());
        assert!(times.is_sorted(), "{}", path.display());
        assert!(
            times.iter().all(|time| ("2021-05-01".."2022-07-20").contains(&time.as_str())),
            "{}",
            path.display()
        );
        lines += times.len() as u64;
        kinds.insert(
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .chars()
                .take_while(char::is_ascii_alphabetic)
                .collect(),
        );
    }
    assert!(kinds.len() >= 7, "{kinds:?}");
    assert!(lines > 0 && lines < written.events());
}

#[test]
fn the_key_names_every_planted_event_and_rules_that_exist() {
    let (folder, written) = written(&SMALL);
    let key: Value = serde_json::from_str(&text_of(&folder.path().join("expected.json"))).expect("JSON");
    let list = |name: &str| key[name].as_array().cloned().expect(name);
    assert_eq!(list("events").len() as u64, written.injected);
    assert_eq!(list("traps").len() as u64, written.traps);

    let rules: String = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules"))
        .iter()
        .map(|path| text_of(path))
        .collect();
    for (name, id) in rule_ids::IDS {
        assert!(rules.contains(&format!("\nid: {id}\n")), "no rule {name} {id}");
    }
    assert_eq!(rules.matches("\nid: ").count(), rule_ids::IDS.len(), "a rule without entry in rule_ids.rs");

    let mut found: BTreeSet<String> = BTreeSet::new();
    for event in list("events") {
        assert!(folder.path().join(event["path"].as_str().expect("a path")).is_file(), "{event}");
        if event["rules"].as_array().is_some_and(|rules| !rules.is_empty()) {
            found.insert(event["step"].as_str().expect("a step").to_owned());
        }
    }
    let blind: Vec<&str> =
        attack::STEPS.iter().map(|step| step.id).filter(|id| !found.contains(*id)).collect();
    // The clean-up is found by the published hash, not by a rule.
    assert_eq!(blind, ["b-cleanup"]);
    for correlation in list("correlations") {
        assert!(correlation["rule"].is_string(), "{correlation}");
    }
}

#[test]
fn our_rules_load_without_refusal() {
    let mut loader = besa_sigma::Loader::new(besa_sigma::Placeholders::default());
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")) {
        loader.add(&path.display().to_string(), text_of(&path).as_bytes());
    }
    let set = loader.finish();
    assert!(set.refused.is_empty() && set.warnings.is_empty(), "{:?} {:?}", set.refused, set.warnings);
    assert_eq!(set.rules.len() + set.correlations.len(), rule_ids::IDS.len());
}

#[test]
fn marks_and_facts_refer_to_what_exists() {
    let known = |key: &str| SOURCES.iter().any(|source| source.key == key);
    let members = estate::members(1);
    for member in &members {
        let streams: Vec<&str> = streams::of(member).iter().map(|stream| stream.name).collect();
        for (stream, item) in attack::of(member, 1) {
            assert!(streams.contains(&stream), "no stream {stream}");
            if let Some(attack::Mark::Step { id, rules }) = &item.mark {
                assert!(
                    attack::STEPS.iter().any(|step| step.id == *id && step.member == member.key),
                    "no step {id}"
                );
                assert!(rules.iter().all(|rule| rule_ids::id(rule).is_some()), "{rules:?}");
            }
        }
    }
    assert!(attack::STEPS.iter().flat_map(|step| step.sources).all(|key| known(key)));
    assert!(chronicle().iter().flat_map(|fact| fact.sources).all(|key| known(key)));
    assert!(indicators::PUBLISHED.iter().flat_map(|indicator| indicator.sources).all(|key| known(key)));
    assert!(chronicle().is_sorted_by_key(|fact| fact.from));
}

#[test]
fn advice_follows_techniques_of_any_spelling_and_version() {
    let looks = |techniques: &[&str]| next_steps(techniques).len();
    assert_eq!(looks(&["T1190"]), 1);
    assert_eq!(looks(&["attack.t1505.003", "T1505"]), 1);
    assert_eq!(looks(&["T1562.001"]), looks(&["attack.t1685"]));
    assert_eq!(looks(&["T15", "T9999"]), 0);
}

#[test]
fn bundles_are_json_with_unique_ids() {
    for text in [intel::published(), intel::of_the_replay()] {
        let bundle: Value = serde_json::from_str(&text).expect("JSON");
        let objects = bundle["objects"].as_array().expect("objects");
        let ids: BTreeSet<&str> = objects.iter().filter_map(|object| object["id"].as_str()).collect();
        assert_eq!(ids.len(), objects.len());
        assert!(objects.len() > 3);
    }
}
