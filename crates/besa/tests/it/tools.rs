//! Rules, patterns, explanations, completions, help.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::{WHOAMI_EXE, code, process, rule_file, run, stderr, stdout, text};

#[test]
fn short_help() {
    expect_test::expect![[r#"
        Finds traces of attacks in logs and other evidence

        Usage: besa [OPTIONS] <COMMAND>

        Commands:
          hunt         Hunt: evidence in, findings out
          follow       Hunt through logs while they grow
          archive      Events kept, and hunted through again
          demo         Replay a real attack and hunt it
          explain      Explain why one rule did or did not match one record
          bench        Measure how fast a hunt is on your own evidence
          rules        Look at rules: which load, and what one says of an event
          pattern      Look at STIX patterns: is one valid, does it match observations
          scenario     The built-in attack scenario
          serve        Serve the store of intelligence over TAXII 2.1
          intel        The store of intelligence: objects in, out, and found
          alliance     An alliance: join it, release to allies, see who answers
          release      What may leave this node, to whom, and why
          intake       What comes from allies: poison is held
          authority    A member's keys, and its signature; files only
          charter      Who the members of an alliance are, by which rules; files only
          taxii        Exchange with other TAXII servers: look, pull, push
          collection   The node's collections, and who may use them
          user         The node's users
          token        API tokens of users
          backup       Copy the store while it is in use, and put a copy back
          audit        Read the audit log: every access and change, oldest first
          completions  Print completions for a shell
          man          Print the manual page
          help         Print this message or the help of the given subcommand(s)

        Options:
              --color <WHEN>  When to use colour; NO_COLOR is honoured [default: auto] [possible values:
                              auto, always, never]
          -q, --quiet         Say nothing on standard error but errors: no progress, no account
          -h, --help          Print help (see more with '--help')
          -V, --version       Print version

        Start with `besa demo`. `besa help <command>` teaches each command.
    "#]]
    .assert_eq(&stdout(&run(&["-h"])));
    let long = stdout(&run(&["hunt", "--help"]));
    for taught in ["besa hunt evidence.zip", "Exit codes: 0 nothing found", "rule_id", "Ctrl-C"] {
        assert!(long.contains(taught), "{taught}");
    }
}

#[test]
fn completions_and_manual() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&run(&["completions", shell])).contains("hunt"), "{shell}");
    }
    assert!(stdout(&run(&["man"])).starts_with(".ie"));
    let dir = TempDir::new().unwrap();
    assert_eq!(code(&run(&["man", "--dir", text(dir.path())])), 0);
    assert!(dir.path().join("besa-hunt.1").is_file());
}

#[test]
fn colour_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let rule = rule_file(dir.path());
    let check = |color: &str| stdout(&run(&["--color", color, "rules", "check", text(&rule)]));
    assert!(!check("auto").contains('\u{1b}'));
    fs::write(&rule, "title: broken").unwrap();
    assert!(check("always").contains('\u{1b}') && !check("never").contains('\u{1b}'));
}

#[test]
fn rules_are_checked_with_file_line_and_reason() {
    let dir = TempDir::new().unwrap();
    rule_file(dir.path());
    let good = run(&["rules", "check", text(dir.path())]);
    assert_eq!(code(&good), 0, "{}", stdout(&good));
    assert!(stdout(&good).contains("1  windows/process_creation/*"), "{}", stdout(&good));
    let bad = "title: B\nlogsource: {product: windows}\ndetection:\n  s:\n    F|nosuch: v\n  condition: s\n";
    fs::write(dir.path().join("bad.yml"), bad).unwrap();
    let output = run(&["rules", "check", text(dir.path())]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("bad.yml:5: "), "{}", stdout(&output));
    let json: Value =
        serde_json::from_str(&stdout(&run(&["rules", "check", "--json", text(dir.path())]))).unwrap();
    assert_eq!((&json["loaded"], &json["refused"][0]["kind"]), (&1.into(), &"modifier".into()));
    assert_eq!(code(&run(&["rules", "check", "/does/not/exist"])), 2);
    assert_eq!(code(&run(&["rules", "check"])), 0, "the built-in pack");
}

#[test]
fn one_rule_is_held_against_one_event() {
    let dir = TempDir::new().unwrap();
    let rule = rule_file(dir.path());
    let event = dir.path().join("event.json");
    let check = |json: &str, expected: i32, said: &str| {
        fs::write(&event, json).unwrap();
        let output = run(&["rules", "test", text(&rule), text(&event)]);
        let all = stdout(&output) + &stderr(&output);
        assert_eq!(code(&output), expected, "{json}: {all}");
        assert!(all.contains(said), "{json}: {all}");
    };
    check(r#"{"Image": "C:\\whoami.exe"}"#, 0, "true");
    check(r#"{"image": "C:\\WHOAMI.exe", "User": null}"#, 0, "true");
    check(r#"{"Image": "C:\\whoami.exe", "User": "system"}"#, 1, "false");
    check("{}", 1, "false");
    check(&process(WHOAMI_EXE, 1), 0, "true");
    check(r#"{"Image": "a"} {"Image": "b"}"#, 2, "2");
    check("{", 2, "error");
    let correlation = "title: C\ncorrelation:\n  type: event_count\n  rules: [x]\n  timespan: 1m\n  group-by: [a]\n  condition: {gte: 2}\n";
    fs::write(&rule, correlation).unwrap();
    let output = run(&["rules", "test", text(&rule), text(&event)]);
    assert_eq!(code(&output), 2);
    assert!(stdout(&output).starts_with("refused: "), "{}", stdout(&output));
}

#[test]
fn patterns_are_checked_and_matched() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("observed.json");
    let bundle = r#"{"type": "bundle", "id": "bundle--1", "objects": [
        {"type": "observed-data", "id": "observed-data--a", "number_observed": 1, "object_refs": ["ipv4-addr--b"],
         "first_observed": "2024-01-01T00:00:00Z", "last_observed": "2024-01-01T00:00:00Z"},
        {"type": "ipv4-addr", "id": "ipv4-addr--b", "value": "198.51.100.7"}]}"#;
    fs::write(&path, bundle).unwrap();
    let check = |arguments: &[&str], expected: i32, said: &str| {
        let output = run(arguments);
        let all = stdout(&output) + &stderr(&output);
        assert_eq!(code(&output), expected, "{arguments:?}: {all}");
        assert!(all.contains(said), "{arguments:?}: {all}");
    };
    let net = "[ipv4-addr:value ISSUBSET '198.51.100.0/24']";
    check(&["pattern", "check", net], 0, "valid");
    check(&["pattern", "check", "[ipv4-addr:value = "], 2, "invalid: ");
    check(&["pattern", "check", "[file:name MATCHES '(']"], 2, "invalid: ");
    check(&["pattern", "match", net, text(&path)], 0, "observed-data--a");
    check(&["pattern", "match", "[ipv4-addr:value = '192.0.2.1']", text(&path)], 1, "no match");
    check(&["pattern", "match", "[ipv4-addr", text(&path)], 2, "invalid pattern");
    check(&["pattern", "match", net, "/does/not/exist"], 2, "cannot read");
    let json: Value =
        serde_json::from_str(&stdout(&run(&["pattern", "match", "--json", net, text(&path)]))).unwrap();
    assert_eq!(json["binding"][0]["objects"][0]["value"], "198.51.100.7");
}

#[test]
fn an_explanation_says_what_held() {
    let dir = TempDir::new().unwrap();
    let rule = rule_file(dir.path());
    let events = dir.path().join("events.json");
    let security = r#"{"Event":{"System":{"EventID":4624,"Channel":"Security"},"EventData":{"Image":"C:\\whoami.exe"}}}"#;
    fs::write(&events, [process(WHOAMI_EXE, 1), process("C:\\\\a.exe", 2), security.to_owned()].join("\n"))
        .unwrap();
    let explain = |record: u32| {
        let place = format!("{}:{record}", text(&events));
        let output = run(&["explain", "--rule", text(&rule), "--record", &place]);
        (code(&output), (stdout(&output) + &stderr(&output)).replace(text(dir.path()), "DIR"))
    };
    let (exit, said) = explain(1);
    assert_eq!(exit, 0);
    expect_test::expect![[r"
        rule        Whoami (DIR/whoami.yml:1)
        record      DIR/events.json:1  2022-07-15T05:00:01.250Z  WS1
        log source  ✓ the record is windows/sysmon/process_creation, the rule asks for windows/process_creation/*
        ✓ selection  line 8
          ✓ Image `*\\whoami.exe`  line 9
              C:\Windows\System32\whoami.exe
        ✗ filter  line 10
          ✗ User `SYSTEM`  line 11
              CORP\a
        matches
    "]]
    .assert_eq(&said);
    let (exit, said) = explain(2);
    assert_eq!(exit, 1);
    assert!(said.ends_with("the condition does not hold\n"), "{said}");
    let (exit, said) = explain(3);
    assert_eq!(exit, 1);
    assert!(said.contains("the rule is about another log source"), "{said}");
    let (exit, said) = explain(4);
    assert_eq!(exit, 2);
    assert!(said.contains("has no record 4"), "{said}");
}
