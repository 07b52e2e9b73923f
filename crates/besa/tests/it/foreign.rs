//! Foreign vectors through the binary.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::{besa, code, foreign, json_lines, run, stderr, stdout, text};

fn rows(file: &str) -> Option<Vec<Value>> {
    let path = foreign("vectors")?.join(file);
    Some(json_lines(&fs::read_to_string(path).unwrap()))
}

#[test]
fn sigma_specification() {
    let Some(rows) = rows("sigma_spec_vectors.jsonl") else { return };
    let dir = TempDir::new().unwrap();
    let (rule, event) = (dir.path().join("rule.yml"), dir.path().join("event.json"));
    let mut decided = 0;
    for row in &rows {
        let expected = match &row["expect"] {
            Value::Bool(matches) => i32::from(!matches),
            Value::String(word) if word == "reject" => 2,
            _ => continue,
        };
        decided += 1;
        fs::write(&rule, row["rule"].as_str().unwrap()).unwrap();
        fs::write(&event, row["event"].to_string()).unwrap();
        let output = run(&["rules", "test", text(&rule), text(&event)]);
        let said = stdout(&output);
        assert_eq!(code(&output), expected, "{}: {said}{}", row["id"], stderr(&output));
        let first = ["true\n", "false\n", "refused: "][expected as usize];
        assert!(said.starts_with(first), "{}: {said}", row["id"]);
    }
    assert!(decided >= 71, "{decided}");
}

#[test]
fn stix_patterning_specification() {
    let Some(rows) = rows("pattern_spec_vectors.jsonl") else { return };
    let dir = TempDir::new().unwrap();
    let observations = dir.path().join("observations.json");
    for row in &rows {
        fs::write(&observations, row["observations"].to_string()).unwrap();
        let output = run(&["pattern", "match", row["pattern"].as_str().unwrap(), text(&observations)]);
        let expected = match row["expect"].as_str().unwrap() {
            "match" => 0,
            "nomatch" => 1,
            _ => 2,
        };
        assert_eq!(code(&output), expected, "{}: {}{}", row["id"], stdout(&output), stderr(&output));
    }
}

/// One hunt with all rules over all cases: each case's rule has to fire on its file.
#[test]
fn sigma_regression_fires() {
    let (Some(cases), Some(rules)) = (foreign("corpora/sigma-regression"), foreign("corpora/sigma")) else {
        return;
    };
    let folders: Vec<_> = ["rules", "rules-emerging-threats"].map(|folder| cases.join(folder)).into();
    let output =
        run(&["hunt", "-q", "-r", text(&rules), "-f", "jsonl", text(&folders[0]), text(&folders[1])]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let mut found: HashMap<(String, String), u64> = HashMap::new();
    for line in json_lines(&stdout(&output)) {
        let part = |value: &Value| value.as_str().unwrap().to_owned();
        *found.entry((part(&line["rule_id"]), part(&line["source"]["path"]))).or_default() += 1;
    }
    let listed = json_lines(&fs::read_to_string(cases.join("cases.jsonl")).unwrap());
    assert!(listed.len() >= 129);
    for case in &listed {
        let file = cases.join(Path::new(case["evidence"].as_str().unwrap()));
        let key = (case["rule_id"].as_str().unwrap().to_owned(), text(&file).to_owned());
        let wanted = case["min_matches"].as_u64().unwrap_or(1);
        let count = found.get(&key).copied().unwrap_or(0);
        assert!(count >= wanted, "{key:?}: {count} of {wanted}");
    }
}

/// Pairs of (file, rule) beyond those on which most of five other evaluators agree, each looked at
/// in the record and true by the rule's text.
const BEYOND_THE_MAJORITY: &[(&str, &str, &str)] = &[
    // Windows Defender is `category: antivirus` by SigmaHQ's own table of log sources.
    ("WinDefender_Events_1117_1116_AtomicRedTeam.evtx", "238527ad-3c2c-4e4f-a1f6-92fd63adb864", "antivirus"),
    ("WinDefender_Events_1117_1116_AtomicRedTeam.evtx", "c9a88268-0047-4824-ba6e-4d81ce0b907c", "antivirus"),
    ("WinDefender_Events_1117_1116_AtomicRedTeam.evtx", "fa0c05b6-8ad3-468d-8231-c1cbccb64fba", "antivirus"),
    ("WinDefender_Events_1117_1116_AtomicRedTeam.evtx", "fdf135a2-9241-4f96-a114-bb404948f736", "antivirus"),
    // Security 4688 is a process creation, `NewProcessName` is `Image`.
    ("DE_RDP_Tunnel_5156.evtx", "c75309a3-59f8-4a8d-9c2c-4c927ad50555", "Security 4688"),
    ("LM_ScheduledTask_ATSVC_target_host.evtx", "63332011-f057-496c-ad8d-d2b6afb27f96", "Security 4688"),
    ("tutto_malseclogon.evtx", "bafd07c6-3ea5-454a-b4be-058fbb073de7", "Security 4688"),
    ("tutto_malseclogon.evtx", "c8da0dfd-4ed0-4b68-962d-13c9c884384e", "Security 4688"),
];

#[test]
fn every_pair_of_the_majority_is_found_with_its_count() {
    let (Some(table), Some(rules), Some(samples)) = (
        foreign("vectors/evtx_attack_samples_majority.csv"),
        foreign("corpora/sigma"),
        foreign("corpora/evtx-attack-samples"),
    ) else {
        return;
    };
    let mut command = besa();
    command.args(["-q", "hunt", "--format", "jsonl"]).arg(&samples);
    for folder in ["rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance"] {
        command.arg("--rules").arg(rules.join(folder));
    }
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in json_lines(&stdout(&command.output().unwrap())) {
        let path = line["source"]["path"].as_str().unwrap();
        let file = path.strip_prefix(text(&samples)).unwrap().trim_start_matches('/').to_owned();
        *found.entry((file, line["rule_id"].as_str().unwrap().to_owned())).or_default() += 1;
    }
    let mut wanted = 0;
    for row in fs::read_to_string(table).unwrap().lines().skip(1) {
        let columns: Vec<&str> = row.rsplitn(4, ',').collect();
        let pair = (columns[3].trim_matches('"').to_owned(), columns[2].to_owned());
        assert_eq!(found.remove(&pair), columns[1].parse().ok(), "{pair:?}");
        wanted += 1;
    }
    assert_eq!(wanted, 372);
    found.retain(|(file, rule), _| {
        !BEYOND_THE_MAJORITY.iter().any(|(name, known, _)| file.ends_with(name) && rule == known)
    });
    assert!(found.is_empty(), "not explained: {found:?}");
}
