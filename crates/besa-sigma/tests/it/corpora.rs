//! Foreign rules: what has to be accepted is, what has to be refused is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use besa_sigma::{Loader, Placeholders, RefusalKind, RuleSet, parse_rule};

use crate::shared;

fn yaml_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("folder can be read");
    for entry in entries {
        let path = entry.expect("entry can be read").path();
        if path.is_dir() {
            yaml_files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            out.push(path);
        }
    }
    out.sort();
}

fn load(folder: &Path, placeholders: &Placeholders) -> RuleSet {
    let mut files = Vec::new();
    yaml_files(folder, &mut files);
    let mut loader = Loader::new(placeholders.clone());
    for file in &files {
        let bytes = std::fs::read(file).expect("file can be read");
        loader.add(&file.display().to_string(), &bytes);
    }
    loader.finish()
}

fn vectors(path: &Path) -> Vec<serde_json::Value> {
    std::fs::read_to_string(path)
        .expect("vectors can be read")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

#[test]
fn specification_vectors() {
    let Some(path) = shared("vectors/sigma_spec_vectors.jsonl") else {
        return;
    };
    for row in vectors(&path) {
        let rule = row["rule"].as_str().expect("a row has a rule");
        let read = parse_rule("vector", rule.as_bytes(), &Placeholders::new());
        let must_refuse = row["expect"] == "reject";
        assert_eq!(read.is_err(), must_refuse, "{} {}: {read:?}", row["id"], row["point"]);
    }
}

const PUBLISHED: [&str; 5] =
    ["rules", "rules-compliance", "rules-emerging-threats", "rules-placeholder", "rules-threat-hunting"];

/// Every published rule is accepted but for placeholders without a value, and
/// those are accepted once their placeholders have one.
#[test]
fn published_rules() {
    let mut count = 0;
    for folder in PUBLISHED {
        let Some(path) = shared(&format!("corpora/sigma/{folder}")) else {
            return;
        };
        let set = load(&path, &Placeholders::new());
        assert_eq!(set.warnings, [], "{folder}");
        count += set.rules.len();
        let all = set.rules.len() + set.refused.len();
        assert_eq!(expanded(&path, set).rules.len(), all);
    }
    assert!(count > 3_700, "{count} rules were accepted");
}

/// Gives every placeholder that is asked for two values. A rule names one that
/// is missing at a time, so it is asked again.
fn expanded(path: &Path, mut set: RuleSet) -> RuleSet {
    const PLACEHOLDERS_IN_A_RULE_MAX: usize = 4;
    let mut placeholders = Placeholders::new();
    for _ in 0..PLACEHOLDERS_IN_A_RULE_MAX {
        if set.refused.is_empty() {
            break;
        }
        for refusal in &set.refused {
            assert_eq!(refusal.kind, RefusalKind::Placeholder, "{refusal}");
            let name = refusal.reason.split('%').nth(1).expect("a name is given");
            placeholders.insert(name.to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        }
        set = load(path, &placeholders);
    }
    set
}

/// What publishers gave up is refused for reasons we can name.
#[test]
#[expect(clippy::print_stderr, reason = "prints the table of reasons")]
fn unsupported_and_deprecated_rules() {
    for folder in ["unsupported", "deprecated"] {
        let Some(path) = shared(&format!("corpora/sigma/{folder}")) else {
            return;
        };
        let set = load(&path, &Placeholders::new());
        let mut table: BTreeMap<String, usize> = BTreeMap::new();
        for refusal in &set.refused {
            *table.entry(format!("{}: {}", refusal.kind, refusal.reason)).or_default() += 1;
        }
        eprintln!(
            "{folder}: {} accepted, {} refused, {} warnings",
            set.rules.len(),
            set.refused.len(),
            set.warnings.len()
        );
        for (reason, count) in &table {
            eprintln!("  {count:4} {reason}");
        }
        for refusal in &set.refused {
            let expected = matches!(
                refusal.kind,
                RefusalKind::Aggregation | RefusalKind::Condition | RefusalKind::Placeholder
            );
            assert!(expected, "{refusal}");
        }
    }
}
