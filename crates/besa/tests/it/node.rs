//! Set-up by script, before and while the node runs; import, search, pull, backup, an orderly end.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::besa;
use crate::served::Served;

const PASSWORD: &str = "correct horse battery";
const OBJECT: &str = r#"{"type":"domain-name","id":"domain-name--3c10e93f-798e-5a26-a0c1-08156efab7f5","value":"example.com"}"#;

#[test]
fn a_node_set_up_by_script() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (data, other, file) = (path("data"), path("other"), path("bundle.json"));
    std::fs::write(&file, OBJECT).unwrap();
    let add_user = ["user", "add", "ana", "--role", "contributor", "--password-stdin", "--data", &data];
    assert_eq!(run(&add_user, PASSWORD), (0, String::new()));
    assert_eq!(run(&add_user, PASSWORD).0, 2, "there already");
    assert_eq!(
        run(&["user", "add", "bob", "--role", "reader", "--password-stdin", "--data", &data], "short").0,
        2
    );
    let mut served = Served::start(&data);
    let url = served.url.clone();
    // While it runs.
    let add = [
        "collection",
        "add",
        "--title",
        "T",
        "--alias",
        "feed",
        "--access",
        "ana=rw",
        "--data",
        &data,
        "--id-only",
    ];
    let (code, id) = run(&add, "");
    assert_eq!((code, id.trim().len()), (0, 36));
    assert_eq!(run(&["collection", "add", "--title", "T", "--access", "eve=rw", "--data", &data], "").0, 2);
    assert_eq!(run(&["intel", "import", &file, "--collection", "feed", "--data", &data], "").0, 0);
    let found = run(&["intel", "search", "--value", "EXAMPLE[.]com", "--data", &data], "");
    assert_eq!(found, (0, format!("{OBJECT}\n")));
    assert_eq!(run(&["intel", "search", "nothing", "--data", &data], ""), (1, String::new()));
    let collection = url.replace("/taxii2/", &format!("/api/collections/{}/", id.trim()));
    let ls = run(&["taxii", "ls", &url, "--user", "ana", "--password-stdin"], PASSWORD);
    assert_eq!(ls, (0, format!("rw\t{collection}\tT\n")));
    let listed = run(&["taxii", "ls", &url, "--json", "--user", "ana", "--password-stdin"], PASSWORD).1;
    let listed = crate::json_lines(&listed);
    assert_eq!((&listed[0]["url"], &listed[0]["can_write"]), (&collection.as_str().into(), &true.into()));
    let pull = ["taxii", "pull", &collection, "--user", "ana", "--password-stdin", "--data", &other];
    assert_eq!(run(&pull, PASSWORD).0, 0);
    let exported = run(&["intel", "export", "--data", &other], "").1;
    assert!(exported.contains(OBJECT), "{exported}");
    let token = run(&["token", "add", "ana", "--scope", "ro", "--data", &data], "").1;
    assert_eq!(
        run(&["taxii", "ls", &url, "--password-stdin"], token.trim()).1,
        format!("r-\t{collection}\tT\n")
    );
    let copy = path("copy.sqlite");
    assert_eq!(run(&["backup", "make", &copy, "--data", &data], "").0, 0);
    assert_eq!(run(&["backup", "restore", &copy, "--data", &path("restored")], "").0, 0);
    assert_eq!(run(&["backup", "restore", &copy, "--data", &path("restored")], "").0, 2);
    assert_eq!(run(&["intel", "export", "--collection", "feed", "--data", &path("restored")], "").0, 0);
    // Who did what, and lists for programs.
    let log = run(&["audit", "--json", "--data", &data], "").1;
    let entries = crate::json_lines(&log);
    assert!(entries.iter().any(|entry| entry["action"] == "user add" && entry["target"] == "ana"), "{log}");
    assert!(entries.iter().any(|entry| entry["actor"] == "ana" && entry["outcome"] == "200"), "{log}");
    assert_eq!(run(&["audit", "--actor", "nobody", "--data", &data], "").0, 1);
    for (what, name) in [("user", "name"), ("token", "id"), ("collection", "id")] {
        let listed = run(&[what, "list", "--json", "--data", &data], "").1;
        assert!(crate::json_lines(&listed)[0][name].is_string(), "{listed}");
    }
    assert_eq!(run(&["user", "list", "--data", &path("nowhere")], "").0, 2, "nothing is made by looking");
    assert!(!std::path::Path::new(&path("nowhere")).exists());
    // SIGTERM ends it in order.
    let pid = served.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

/// Runs a command with a line on standard input: exit code and standard output.
#[expect(clippy::print_stderr, reason = "a failing test shows what was run")]
fn run(args: &[&str], stdin: &str) -> (i32, String) {
    let mut child = besa()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    writeln!(child.stdin.take().unwrap(), "{stdin}").ok();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    eprintln!("besa {}: {status} {}", args.join(" "), String::from_utf8_lossy(&stderr));
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap())
}

/// Users and a collection `feed` that `ana` may write to.
fn set_up(data: &str) {
    let user = ["user", "add", "ana", "--role", "contributor", "--password-stdin", "--data", data];
    assert_eq!(run(&user, PASSWORD).0, 0);
    let feed = ["collection", "add", "--title", "T", "--alias", "feed", "--access", "ana=rw", "--data", data];
    assert_eq!(run(&feed, "").0, 0);
}

/// Every object of an export or bundle, a line each, sorted.
fn object_lines(bundle: &str) -> Vec<String> {
    let mut lines: Vec<String> = bundle
        .lines()
        .skip(1)
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|line| line != "]}")
        .collect();
    lines.sort();
    lines
}

/// A hunt reports to a running node and to a data folder; reported twice, it is there once.
#[test]
fn a_hunt_reports_to_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (data, evidence, list) = (path("data"), path("evidence.json"), path("list.txt"));
    std::fs::write(
        &evidence,
        r#"{"@timestamp":"2022-07-15T05:00:00Z","host":{"name":"ws1"},"message":"GET http://files.bad.example/a.exe from 203.0.113.9"}"#,
    )
    .unwrap();
    std::fs::write(&list, "bad.example\n203.0.113.9\n").unwrap();
    set_up(&data);
    let served = Served::start(&data);
    let url = &served.url;
    let collection = url.replace("/taxii2/", "/api/collections/feed/");
    let hunt = |creator: &str, to: &[&str]| {
        let mut args = vec!["hunt", "-i", &list, "--format", "jsonl", "--tlp", "green", "--creator", creator];
        args.extend_from_slice(to);
        args.push(&evidence);
        run(&args, PASSWORD).0
    };
    let over_http = ["--report-to", &collection, "--user", "ana", "--password-stdin"];
    let held = || object_lines(&run(&["intel", "export", "--collection", "feed", "--data", &data], "").1);
    assert_eq!(hunt("CSIRT A", &over_http), 1);
    let first = held();
    let of_type =
        |kind: &str| first.iter().filter(|line| line.contains(&format!(r#""type":"{kind}""#))).count();
    assert_eq!(
        (of_type("sighting"), of_type("observed-data"), of_type("indicator")),
        (2, 2, 2),
        "{first:#?}"
    );
    assert!(first.iter().any(|line| line.contains(r#""name":"CSIRT A""#)));
    let sighting = first.iter().find(|line| line.contains(r#""type":"sighting""#)).unwrap();
    assert!(sighting.contains("where_sighted_refs") && sighting.contains(besa_stix::marking::TLP_2_GREEN));
    assert_eq!(hunt("CSIRT A", &over_http), 1);
    assert_eq!(held(), first, "the same hunt again adds nothing");
    assert_eq!(hunt("CSIRT A", &["--report-to", &data, "--report-collection", "feed"]), 1);
    assert_eq!(held(), first);
    // Another organisation's sightings of the same are its own.
    assert_eq!(hunt("CSIRT B", &over_http), 1);
    assert_eq!(held().iter().filter(|line| line.contains(r#""type":"sighting""#)).count(), 4);
    // What cannot be reported is an error, whatever was found.
    assert_eq!(hunt("A", &["--report-to", &path("nowhere"), "--report-collection", "feed"]), 2);
    assert_eq!(hunt("A", &["--report-to", &data, "--report-collection", "none"]), 2);
}

/// A bundle of the size of ATT&CK for mobile (ICS is smaller), with what ATT&CK has in it and spellings
/// that a careless program would change: import, push, pull and export leave every octet as it was.
#[test]
fn a_bundle_of_attacks_size_goes_round_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (one, two, three, file) = (path("one"), path("two"), path("three"), path("bundle.json"));
    let objects: Vec<String> = (0..2_400).map(attack_object).collect();
    let bundle = format!(
        "{{\"type\":\"bundle\",\"id\":\"bundle--11111111-1111-4111-8111-111111111111\",\"objects\":[\n{}\n]}}\n",
        objects.join(",\n")
    );
    assert!(bundle.len() > 4_000_000, "{}", bundle.len());
    std::fs::write(&file, &bundle).unwrap();
    [&one, &two, &three].into_iter().for_each(|data| set_up(data));
    assert_eq!(run(&["intel", "import", &file, "--collection", "feed", "--data", &one], "").0, 0);
    let served = Served::start(&two);
    let url = &served.url;
    let remote = url.replace("/taxii2/", "/api/collections/feed/");
    let peer = ["--collection", "feed", "--user", "ana", "--password-stdin", "--data"];
    for (verb, data) in [("push", &one), ("pull", &three)] {
        let mut args = vec!["taxii", verb, remote.as_str()];
        args.extend_from_slice(&peer);
        args.push(data);
        assert_eq!(run(&args, PASSWORD).0, 0, "{verb}");
    }
    let (code, exported) = run(&["intel", "export", "--collection", "feed", "--data", &three], "");
    assert_eq!(code, 0);
    let (before, after) = (object_lines(&bundle), object_lines(&exported));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
        let canonical = |text: &str| besa_stix::canonical::canonical_text(text.as_bytes()).unwrap();
        assert_eq!(canonical(before), canonical(after));
    }
}

/// One of a bundle's objects, as ATT&CK has them: techniques, relationships, groups, tactics of its own
/// type, an identity and a marking.
fn attack_object(number: usize) -> String {
    let uuid = |kind: usize, number: usize| format!("{kind:08x}-0000-4000-8000-{number:012x}");
    let (author, marking) =
        (format!("identity--{}", uuid(9, 0)), format!("marking-definition--{}", uuid(8, 0)));
    let common = format!(
        r#""spec_version":"2.1","created":"2020-01-01T00:00:00.000Z","modified":"2024-04-{:02}T14:05:59.{:06}Z","created_by_ref":"{author}","object_marking_refs":["{marking}"],"x_mitre_attack_spec_version":"3.2.0","x_mitre_version":"1.{}","x_mitre_domains":["mobile-attack"],"x_mitre_deprecated":false"#,
        1 + number % 28,
        number,
        number % 9
    );
    let text = "Adversaries may abuse \\u2013 or \\/misuse\\/ – çështje sigurie, 攻撃, \\ud83d\\ude00 — (Citation: Somebody 2022). "
        .repeat(16);
    match number {
        0 => format!(
            r#"{{"type":"identity","id":"{author}","spec_version":"2.1","created":"2017-06-01T00:00:00.000Z","modified":"2017-06-01T00:00:00.000Z","name":"The \u004dITRE Corporation","identity_class":"organization"}}"#
        ),
        1 => format!(
            r#"{{"definition":{{"statement":"Copyright 2015-2024"}},"id":"{marking}","type":"marking-definition","created":"2017-06-01T00:00:00Z","definition_type":"statement","spec_version":"2.1"}}"#
        )
        .replace("00:00:00Z", "00:00:00.000Z"),
        2..16 => format!(
            r#"{{"type":"x-mitre-tactic","id":"x-mitre-tactic--{}",{common},"name":"Tactic {number}","x_mitre_shortname":"t{number}","x_numbers":[1.0,1E2,-0.0,0.10,1e-7,12345678901234567,3.0e+0]}}"#,
            uuid(2, number)
        ),
        n if n.is_multiple_of(3) => format!(
            r#"{{"type":"attack-pattern","id":"attack-pattern--{}",{common},"name":"Technique {number}","description":"{text}","kill_chain_phases":[{{"kill_chain_name":"mitre-mobile-attack","phase_name":"t3"}}],"external_references":[{{"source_name":"mitre-attack","external_id":"T{number}","url":"https://attack.mitre.org/techniques/T{number}"}}],"x_mitre_platforms":["Android","iOS"],"x_mitre_detection":"{text}","x_mitre_is_subtechnique":false,"extensions":{{"extension-definition--{}":{{"extension_type":"property-extension","rank":5.50,"toxicity": 1.0E1}}}}}}"#,
            uuid(3, number),
            uuid(7, 1)
        ),
        n if n % 3 == 1 => format!(
            r#"{{"type":"relationship","id":"relationship--{}",{common},"relationship_type":"uses","source_ref":"malware--{}","target_ref":"attack-pattern--{}","description":"{text}","x_mitre_modified_by_ref":"{author}"}}"#,
            uuid(4, number),
            uuid(5, number + 1),
            uuid(3, number - 1)
        ),
        _ => format!(
            r#"{{"type":"malware","id":"malware--{}",{common},"name":"Mal\u0301ware {number}","is_family":true,"description":"{text}","x_mitre_aliases":["a","ä{number}"],"x_mitre_contributors":["Ünï Cødé"]}}"#,
            uuid(5, number)
        ),
    }
}
