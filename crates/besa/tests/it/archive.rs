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

/// Keeps evidence, then hunts through both, by index and by scan, and once more through a compacted
/// archive; returns the findings and the folder of the archive, which is called `history`.
pub(crate) fn check(evidence: &[&Path], knowledge: &[&str]) -> (Vec<String>, TempDir) {
    let dir = TempDir::new().unwrap();
    let archive = dir.path().join("history");
    let at = |command: &str, rest: &[&str]| {
        let output = run(&[&["-q", "archive", command, "--archive", text(&archive)], rest].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    };
    // Two additions, so that there is something to compact.
    let paths: Vec<&str> = evidence.iter().map(|path| text(path)).collect();
    let (first, second) = paths.split_at(paths.len() / 2);
    [first, second].iter().filter(|paths| !paths.is_empty()).for_each(|paths| at("add", paths));
    let live = equal(evidence, dir.path(), knowledge);
    at("compact", &[]);
    assert!(equal(evidence, dir.path(), knowledge) == live);
    (live, dir)
}

/// Hunts through evidence and through what was kept of it; returns the findings.
pub(crate) fn equal(evidence: &[&Path], kept: &Path, knowledge: &[&str]) -> Vec<String> {
    let paths: Vec<&str> = evidence.iter().map(|path| text(path)).collect();
    let archive = kept.join("history");
    let live = findings(&[&["-q", "hunt", "-f", "jsonl"], knowledge, paths.as_slice()].concat());
    let hunt = ["-q", "archive", "hunt", "-f", "jsonl", "--archive", text(&archive)];
    for further in [&["--jobs", "3"][..], &["--no-index", "--jobs", "1"]] {
        let past = findings(&[&hunt, knowledge, further].concat());
        let missing: Vec<_> = live.iter().filter(|line| past.binary_search(line).is_err()).take(3).collect();
        let more: Vec<_> = past.iter().filter(|line| live.binary_search(line).is_err()).take(3).collect();
        let counts = format!("{knowledge:?} {further:?}: {} live, {} past", live.len(), past.len());
        assert!(live == past, "{counts}\nmissing {missing:#?}\nmore {more:#?}");
    }
    live
}

fn compact(archive: &Path) {
    let output = run(&["-q", "archive", "compact", "--archive", text(archive)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn the_scenario_is_found_in_the_archive_as_in_the_evidence() {
    let intel = scenario().join("intel");
    let members: Vec<_> =
        ["albania", "ally-b", "ally-c"].iter().map(|member| scenario().join(member)).collect();
    let members: Vec<&Path> = members.iter().map(std::path::PathBuf::as_path).collect();
    let (found, dir) = check(&members, &["--intel", text(&intel)]);
    assert!(found.len() > 300, "{}", found.len());
    let of_intel = equal(&members, dir.path(), &["--intel", text(&intel), "--intel-only"]);
    assert!(!of_intel.is_empty() && of_intel.len() < found.len(), "{}", of_intel.len());
    patterns_by_literals(&members, dir.path());
    looked_after(&dir.path().join("history"));
}

/// Patterns that no key decides, by themselves: one told by a literal, one by nothing.
fn patterns_by_literals(evidence: &[&Path], kept: &Path) {
    let bundle = kept.join("bundle.json");
    for pattern in [
        "[process:command_line LIKE '%whoami%']",
        "[process:command_line MATCHES '^.....$' OR process:command_line LIKE '%whoami%']",
    ] {
        let indicator = json!({
            "type": "indicator", "spec_version": "2.1", "id": "indicator--00000000-0000-4000-8000-000000000001",
            "created": "2022-01-01T00:00:00.000Z", "modified": "2022-01-01T00:00:00.000Z",
            "valid_from": "2022-01-01T00:00:00Z", "pattern_type": "stix", "pattern": pattern,
        });
        let id = "bundle--00000000-0000-4000-8000-000000000000";
        std::fs::write(&bundle, json!({"type": "bundle", "id": id, "objects": [indicator]}).to_string())
            .unwrap();
        let found = equal(evidence, kept, &["--intel", text(&bundle), "--intel-only"]);
        assert!(!found.is_empty(), "{pattern}");
    }
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
    let ruled_out = told["coverage"]["index"]["events_ruled_out"].as_u64().unwrap();
    assert!(ruled_out > 0, "{told}");
    assert_eq!(told["events"].as_u64().unwrap() + ruled_out, before["events"].as_u64().unwrap());
    assert_eq!(told["coverage"]["index"]["files_without"], 0);
    let without = [&hunt[..], &["--no-index"]].concat();
    assert_eq!(code(&at("hunt", &without)), 0);
    let told: Value = serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap();
    assert_eq!((&told["events"], &told["coverage"]["index"]), (&before["events"], &Value::Null));
    let poor = at("hunt", &[&hunt[..], &["--budget", "0"]].concat());
    assert_eq!(code(&poor), 2, "what was not searched is no `nothing found`");
    assert!(stderr(&poor).contains("which the budget does not hold"), "{}", stderr(&poor));
    index_lost(archive, &hunt, &account);
    let first = first_data_file(&archive.join("data"));
    std::fs::remove_file(&first).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    for hunt in
        [&hunt[..], &["--intel", text(&nothing), "--intel-only", "--account", text(&account)], &without]
    {
        let output = at("hunt", hunt);
        assert_eq!(code(&output), 2, "a missing file is no `nothing found`, whatever the index knows of it");
        assert!(stderr(&output).contains("NOT SEARCHED"), "{}", stderr(&output));
        let told: Value = serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap();
        let missing = told["coverage"]["files_missing"].as_array().unwrap();
        assert!(missing.len() == 1 && missing[0].as_str().unwrap().contains(name), "{missing:?}");
    }
    assert_eq!(code(&at("verify", &[])), 1);
    assert_eq!(code(&at("hold", &["case-7", "--release"])), 0);
    assert_eq!(code(&at("retain", &["--days", "1"])), 0);
    assert!(stats(archive)["events"].as_u64() < before["events"].as_u64());
}

/// Index runs are lost: their files are read whole, that is said, and `compact` makes them anew.
fn index_lost(archive: &Path, hunt: &[&str], account: &Path) {
    let coverage = || -> Value {
        let output = run(&[&["archive", "hunt", "--archive", text(archive)], hunt].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let told: Value = serde_json::from_slice(&std::fs::read(account).unwrap()).unwrap();
        told["coverage"].clone()
    };
    std::fs::remove_dir_all(archive.join("index")).unwrap();
    let lost = coverage();
    assert_eq!(lost["files_searched"], lost["index"]["files_without"]);
    assert_eq!(lost["index"]["events_ruled_out"], 0);
    assert!(lost["index"]["unusable"][0].as_str().unwrap().contains("missing"), "{lost}");
    compact(archive);
    let again = coverage();
    assert_eq!((&again["index"]["files_without"], &again["index"]["unusable"]), (&json!(0), &json!([])));
    assert_eq!(code(&run(&["archive", "verify", "--archive", text(archive)])), 0);
}

fn first_data_file(folder: &Path) -> std::path::PathBuf {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let first = entries.swap_remove(0);
    if first.is_dir() { first_data_file(&first) } else { first }
}

/// Events of several sources with observables of every kind, in several spellings; which are there, the
/// number decides.
fn varied(number: usize) -> Value {
    let pick = |values: &[&str], salt: usize| {
        values[(number * 7 + salt * 3 + number / 11) % values.len()].to_owned()
    };
    let small = number % 97;
    let host = match number % 5 {
        0 => format!("www.Site{small}.example"),
        1 => format!("a.b.site{small}.example."),
        2 => format!("10.1.{small}.{}", number % 250),
        3 => format!("2001:db8::{small:x}"),
        _ => format!("site{small}.co.uk"),
    };
    let time = 1_640_000_000 + number;
    let zeek = json!({"ts": f64::from(time as u32), "uid": format!("C{number:016x}"), "id.orig_h": format!("10.0.0.{small}")});
    let mut event = match number % 6 {
        0 => {
            json!({"_path": "http", "host": host, "uri": format!("/{}?x={number}", pick(&["p", "q/r", ""], 1)),
            "user_agent": format!("agent {small}"), "referrer": format!("HTTP://User@{host}:80/x#y")})
        }
        1 => {
            json!({"_path": "dns", "query": host, "answers": [format!("10.9.0.{small}"), format!("::ffff:10.8.0.{small}"), "x"]})
        }
        2 => {
            json!({"_path": "conn", "id.resp_h": pick(&["2001:0DB8:0:0::7", "fe80::1%eth0", "10.1.2.3"], 2), "service": "ssl"})
        }
        3 => json!({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1,
            "Image": format!("C:\\Tools\\t{small}.EXE"),
            "CommandLine": format!("\"C:\\a\"\tt{small}.exe \u{e9} http://site{small}.example/d?e mail@site{small}.example"),
            "Hashes": format!("MD5={number:032x},SHA256={small:064X},IMPHASH={small:032X}")}),
        4 => json!({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 13,
            "TargetObject": format!("HKLM\\SYSTEM\\ControlSet001\\s{small}\\v"), "Image": "C:\\x.exe"}),
        _ => {
            json!({"message": format!("seen {host}, {small:040x} and \\u002f{host}/z"), "note": {"deep": [host]}})
        }
    };
    let fields = event.as_object_mut().unwrap();
    if number % 6 < 3 {
        fields.extend(zeek.as_object().unwrap().clone());
    } else {
        fields.insert(
            "@timestamp".into(),
            json!(format!("2022-01-01T00:{:02}:{:02}Z", number / 60 % 60, number % 60)),
        );
    }
    event
}

#[test]
fn indicators_of_every_kind_are_found_in_the_archive_as_in_the_evidence() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("events.jsonl");
    let lines: Vec<String> = (0..3_000).map(|number| varied(number).to_string()).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let output = run(&["-q", "archive", "add", "--archive", text(&dir.path().join("history")), text(&path)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let list = dir.path().join("list.txt");
    let kinds: Vec<(&str, Vec<String>)> = vec![
        (
            "addresses",
            vec!["10.1.7.102".into(), "10.9.0.13".into(), "::ffff:10.8.0.7".into(), "10.8.0.13".into()],
        ),
        ("addresses of IPv6", vec!["2001:db8::12".into(), "2001:DB8::7".into(), "fe80::1".into()]),
        (
            "networks",
            vec!["10.1.4.0/22".into(), "10.9.0.64/26".into(), "2001:db8::/125".into(), "0.0.0.0/4".into()],
        ),
        ("domains above", vec!["SITE7.example".into(), "site9.co.uk".into(), "b.site11.example".into()]),
        (
            "URLs",
            vec![
                "http://site3.example/d".into(),
                "https://www.site30.example/q/r".into(),
                "hxxp://site9.co.uk/p?x=504".into(),
            ],
        ),
        ("mail", vec!["mail@SITE9.example".into()]),
        ("digests", vec![format!("{:064x}", 15), format!("{:032x}", 2_001), format!("{:040X}", 5)]),
        (
            "files",
            vec!["T9.exe".into(), "c:\\tools\\t21.exe".into(), "%programfiles%\\nowhere\\t22.exe".into()],
        ),
        (
            "keys of the registry",
            vec![
                "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\s4".into(),
                "HKLM\\system\\ControlSet002\\s16\\v".into(),
            ],
        ),
    ];
    let mut all = Vec::new();
    for (kind, values) in &kinds {
        std::fs::write(&list, values.join("\n")).unwrap();
        let found = equal(&[&path], dir.path(), &["--intel", text(&list), "--intel-only"]);
        assert!(!found.is_empty(), "{kind}");
        all.extend(values.iter().cloned());
    }
    let whole =
        equal(&[&path], dir.path(), &["--intel", text(&dir.path().join("list.txt")), "--intel-only"]).len();
    all.extend((0..20_000).map(|number| format!("absent{number}.example")));
    std::fs::write(&list, all.join("\n")).unwrap();
    let found = equal(&[&path], dir.path(), &["--intel", text(&list), "--intel-only"]);
    assert!(found.len() > whole + 100, "{}", found.len());
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

/// Second names that the evidence makes: behind `FTNTFGT` in CEF, in messages of exported logs. A
/// rule that asks for one finds it in the past as now; an indicator meets each value once.
#[test]
fn names_that_the_evidence_makes_are_found_in_the_archive() {
    let dir = TempDir::new().unwrap();
    let (cef, csv) = (dir.path().join("fw.log"), dir.path().join("sysmon.csv"));
    let fortigate = "CEF:0|Fortinet|Fortigate|v6.0.3|44547|event:system|3|dvchost=fw1 src=10.9.8.7 FTNTFGTcfgpath=user.local FTNTFGTempty= cfgpath=own act=Add action=own FTNTFGTremip=203.0.113.77 start=1657879872123\n";
    std::fs::write(&cef, fortigate.repeat(3)).unwrap();
    std::fs::write(&csv, EXPORTED).unwrap();
    // The same once more, so that files of one partition are made one.
    let again = dir.path().join("fw2.log");
    std::fs::copy(&cef, &again).unwrap();
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("whoami.yml"), crate::WHOAMI).unwrap();
    let rule = |number: u8, product: &str, detection: &str| {
        let text = format!(
            "title: Rule {number}\nid: 11111111-2222-4333-8444-00000000000{number}\nlogsource: {{{product}}}\n\
             detection: {{selection: {{{detection}}}, condition: selection}}\n"
        );
        std::fs::write(rules.join(format!("{number}.yml")), text).unwrap();
    };
    rule(1, "product: fortigate", "cfgpath: user.local");
    rule(2, "product: fortigate", "cfgpath: own, remip|startswith: '203.'");
    rule(3, "product: fortigate", "empty: ''");
    rule(6, "product: fortigate", "action|all: [Add, own]");
    rule(7, "product: fortigate", "action: Add");
    rule(8, "product: fortigate", "action: own");
    rule(4, "product: windows", "Hashes|contains: SHA256, Quoted: 'say \"x\"'");
    rule(5, "product: windows", "Message|contains: whoami");
    let intel = dir.path().join("iocs.txt");
    std::fs::write(
        &intel,
        "203.0.113.77\n10.9.8.7\n5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\n",
    )
    .unwrap();
    let evidence = [cef.as_path(), &again, &csv];
    let knowledge = ["--rules", text(&rules), "--intel", text(&intel)];
    let (found, _) = check(&evidence, &knowledge);
    for (title, count) in [
        ("Whoami", 1),
        ("Rule 1", 6),
        ("Rule 2", 6),
        ("Rule 3", 6),
        ("Rule 7", 6),
        ("Rule 8", 6),
        ("Rule 4", 1),
        ("Rule 5", 1),
    ] {
        let of_rule = found.iter().filter(|line| line.contains(&format!("\"{title}\""))).count();
        assert_eq!(of_rule, count, "{title}: {found:#?}");
    }
    check(&evidence, &["--intel", text(&intel)]);
    check(&evidence, &knowledge[..2]);
    check(&evidence, &[]);
}

const EXPORTED: &str = "\"TimeCreated\",\"Id\",\"ProviderName\",\"LogName\",\"MachineName\",\"Message\"\r\n\
\"7/15/2022 10:11:12 AM\",\"1\",\"Microsoft-Windows-Sysmon\",\"Microsoft-Windows-Sysmon/Operational\",\"pc1\",\"Process Create:\r\n\
Id: 77\r\nImage: C:\\Windows\\System32\\whoami.exe\r\nQuoted: say \"\"x\"\"\r\nUser: CORP\\a\r\nImage: again\r\n\
Hashes: SHA256=5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8\"\r\n";
