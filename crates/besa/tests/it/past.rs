//! The past against the present over foreign evidence: rules, patterns and indicators give in the
//! archive what they give live, whatever they are.
//!
//! Indicators and patterns are drawn from the evidence itself, so that many are found, and mixed
//! with some that are not there. A part of the corpora is taken; all of them with `BESA_LONG=1`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::archive::{check, equal};
use crate::{code, foreign, run, stderr, stdout, text};

/// Numbers that look random and are the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn some<'v>(&mut self, values: &'v BTreeSet<String>, count: usize) -> Vec<&'v String> {
        let all: Vec<&String> = values.iter().collect();
        if all.is_empty() {
            return Vec::new();
        }
        (0..count).map(|_| all[self.below(all.len())]).collect()
    }
}

/// Values of the evidence that indicators could name.
#[derive(Default)]
struct Values {
    addresses: BTreeSet<String>,
    hashes: BTreeSet<String>,
    files: BTreeSet<String>,
    domains: BTreeSet<String>,
    commands: BTreeSet<String>,
}

impl Values {
    fn of(archive: &Path, every: usize) -> Self {
        let output = run(&["-q", "archive", "export", "--archive", text(archive)]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let mut values = Self::default();
        for line in stdout(&output).lines().step_by(every) {
            let event: Value = serde_json::from_str(line).unwrap();
            for (name, value) in event["fields"].as_object().unwrap() {
                value.as_str().into_iter().for_each(|value| values.take(name, value));
            }
        }
        values
    }

    fn take(&mut self, name: &str, value: &str) {
        if value.parse::<std::net::IpAddr>().is_ok() {
            self.addresses.insert(value.to_owned());
        }
        if name.eq_ignore_ascii_case("CommandLine")
            && value.len() > 12
            && !value.contains(['\'', '%', '_', '\\'])
        {
            self.commands.insert(value.to_owned());
        }
        if let Some((_, file)) = value.rsplit_once('\\')
            && file.contains('.')
            && file.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
        {
            self.files.insert(file.to_owned());
        }
        for part in value.split([',', '=', ';', ' ']) {
            if [32, 40, 64].contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                self.hashes.insert(part.to_owned());
            }
            let labels: Vec<&str> = part.split('.').collect();
            let is_label = |label: &&str| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            };
            if (2..5).contains(&labels.len()) && labels.iter().all(is_label) && part.len() > 6 {
                self.domains.insert(part.to_owned());
            }
        }
    }

    /// A list of indicators.
    fn list(&self, draw: &mut Draw) -> String {
        let absent = ["198.51.100.250", "never-seen.example.org", "0123456789abcdef0123456789abcdef"]
            .map(str::to_owned);
        let kinds = [&self.addresses, &self.hashes, &self.files, &self.domains];
        let mut lines: BTreeSet<String> = kinds
            .iter()
            .flat_map(|values| draw.some(values, 12).into_iter().cloned().collect::<Vec<_>>())
            .collect();
        lines.extend(absent);
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// Patterns of several shapes.
    fn bundle(&self, draw: &mut Draw) -> Value {
        let mut patterns = Vec::new();
        for (address, other) in draw.some(&self.addresses, 6).into_iter().zip(draw.some(&self.addresses, 6)) {
            let kind = if address.contains(':') { "ipv6-addr" } else { "ipv4-addr" };
            patterns.push(format!("[{kind}:value = '{address}']"));
            patterns.push(format!("[network-traffic:dst_ref.value IN ('{address}', '{other}') AND network-traffic:dst_port < 1024]"));
        }
        let files: Vec<_> = draw.some(&self.files, 12);
        for pair in files.chunks(2) {
            patterns.push(format!("[file:name = '{}']", pair[0]));
            patterns.push(format!(
                "[process:image_ref.name = '{}'] FOLLOWEDBY [file:name = '{}'] WITHIN 600 SECONDS",
                pair[0], pair[1]
            ));
            patterns.push(format!(
                "[file:name MATCHES '^{}.*exe$' AND file:name != '{}']",
                &pair[0][..1],
                pair[1]
            ));
        }
        for hash in draw.some(&self.hashes, 8) {
            let kind = match hash.len() {
                32 => "MD5",
                40 => "SHA-1",
                _ => "SHA-256",
            };
            patterns.push(format!("[file:hashes.'{kind}' = '{}']", hash.to_lowercase()));
        }
        for domain in draw.some(&self.domains, 6) {
            patterns.push(format!("[domain-name:value = '{domain}'] OR [url:value LIKE '%{domain}%']"));
        }
        for command in draw.some(&self.commands, 6) {
            let part: String = command.chars().skip(2).take(8).collect();
            patterns.push(format!("[process:command_line LIKE '%{part}%']"));
        }
        let objects: Vec<Value> = (1..)
            .zip(patterns)
            .map(|(number, pattern)| {
                json!({
                    "type": "indicator", "spec_version": "2.1", "id": format!("indicator--00000000-0000-4000-8000-{number:012}"),
                    "created": "2022-01-01T00:00:00.000Z", "modified": "2022-01-01T00:00:00.000Z", "valid_from": "2022-01-01T00:00:00Z",
                    "pattern_type": "stix", "pattern": pattern,
                })
            })
            .collect();
        json!({"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000000", "objects": objects})
    }
}

fn is_long() -> bool {
    std::env::var("BESA_LONG").is_ok_and(|value| value == "1")
}

/// Every n-th file below a folder, or all of them.
fn part_of(folder: &Path, every: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut stack = vec![folder.to_path_buf()];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                stack.push(entry.path());
            } else if is_long() || entry.metadata().unwrap().len() < 400_000 {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files.into_iter().step_by(if is_long() { 1 } else { every }).collect()
}

#[test]
fn whatever_is_found_live_is_found_in_the_past() {
    let (Some(rules), Some(otrf), Some(samples)) = (
        foreign("corpora/sigma"),
        foreign("corpora/otrf-security-datasets"),
        foreign("corpora/evtx-attack-samples"),
    ) else {
        return;
    };
    let evidence = [part_of(&otrf, 6), part_of(&samples, 6)].concat();
    let evidence: Vec<&Path> = evidence.iter().map(PathBuf::as_path).collect();
    assert!(evidence.len() > 20, "{evidence:?}");
    let rules: Vec<String> = ["rules", "rules-emerging-threats", "rules-threat-hunting"]
        .iter()
        .map(|folder| text(&rules.join(folder)).to_owned())
        .collect();
    let rules: Vec<&str> = rules.iter().flat_map(|folder| ["--rules", folder.as_str()]).collect();
    let (by_rules, kept) = check(&evidence, &rules);
    assert!(by_rules.len() > 200, "{}", by_rules.len());
    let values = Values::of(&kept.path().join("history"), if is_long() { 23 } else { 1 });
    let dir = TempDir::new().unwrap();
    let (list, bundle, one) =
        (dir.path().join("list.txt"), dir.path().join("bundle.json"), dir.path().join("one.yml"));
    fs::write(&one, crate::WHOAMI).unwrap();
    let mut found = 0;
    for seed in 0..if is_long() { 6 } else { 2 } {
        let mut draw = Draw(seed);
        fs::write(&list, values.list(&mut draw)).unwrap();
        fs::write(&bundle, values.bundle(&mut draw).to_string()).unwrap();
        for intel in [&[&list][..], &[&bundle], &[&list, &bundle]] {
            let intel = intel.iter().flat_map(|path| ["--intel", text(path)]);
            let knowledge: Vec<&str> = ["--rules", text(&one)].into_iter().chain(intel).collect();
            found += equal(&evidence, kept.path(), &knowledge).len();
        }
    }
    assert!(found > 200, "{found}");
    let everything: Vec<&str> =
        rules.iter().copied().chain(["--intel", text(&list), "--intel", text(&bundle)]).collect();
    let all = equal(&evidence, kept.path(), &everything);
    assert!(all.len() > by_rules.len());
}
