//! Three nodes as processes, set up by the command line alone, killed without warning while one
//! releases: every ally gets everything once, searches its archive, and answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use besa_alliance::charter::{Charter, CharterContents, Limits, Quorum};
use besa_alliance::keys::{SecretKey, charter_fingerprint};
use besa_alliance::member::{Member, MemberId, MemberState, NodeKey, Role};
use besa_stix::marking::TLP_2_GREEN;
use besa_stix::time::Instant as Time;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::besa;

const MEMBERS: usize = 3;

fn id(member: usize) -> String {
    format!("identity--00000000-0000-4000-8000-00000000000{member}")
}

fn indicator_id(number: usize) -> String {
    format!("indicator--00000000-0000-4000-8000-{number:012}")
}

struct Nodes {
    folder: TempDir,
    ports: Vec<u16>,
    running: Vec<Option<Child>>,
}

impl Nodes {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self, member: usize) -> String {
        self.path(&format!("data-{member}")).display().to_string()
    }

    /// Runs a command of a member: standard output.
    #[track_caller]
    fn run(&self, member: usize, args: &[&str], stdin: &str, codes: &[i32]) -> String {
        let mut child = besa()
            .args(args)
            .args(["--data", &self.data(member)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{stdin}").ok();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(codes.contains(&output.status.code().unwrap()), "{args:?}: {} {errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    fn serve(&mut self, member: usize) {
        let listen = format!("127.0.0.1:{}", self.ports[member - 1]);
        let mut child = besa()
            .args(["serve", "--listen", &listen, "--data", &self.data(member)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let served = lines.by_ref().map_while(Result::ok).any(|line| line.ends_with("/taxii2/"));
        assert!(served, "the node does not serve");
        std::thread::spawn(move || lines.for_each(drop));
        self.running[member - 1] = Some(child);
    }

    fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.running[member - 1].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn release(&self, member: usize, numbers: &[usize]) -> String {
        let ids: Vec<String> = numbers.iter().map(|number| indicator_id(*number)).collect();
        let mut args = vec!["alliance", "release", "--json"];
        args.extend(ids.iter().map(String::as_str));
        let done: Value = serde_json::from_str(&self.run(member, &args, "", &[0])).unwrap();
        done["releases"][0]["release"].as_str().unwrap().to_owned()
    }

    fn import(&self, member: usize, number: usize) {
        let file = self.path("import.json");
        let object = json!({
            "type": "indicator", "spec_version": "2.1", "id": indicator_id(number),
            "created_by_ref": id(member), "created": "2026-09-21T00:00:00.000Z",
            "modified": "2026-09-21T00:00:00.000Z", "indicator_types": ["malicious-activity"],
            "pattern": format!("[domain-name:value = 'c2-{number}.evil-example.com']"), "pattern_type": "stix",
            "valid_from": "2026-09-21T00:00:00Z", "object_marking_refs": [TLP_2_GREEN],
        });
        std::fs::write(&file, object.to_string()).unwrap();
        self.run(member, &["intel", "import", file.to_str().unwrap()], "", &[0]);
    }

    fn picture(&self, member: usize, release: &str) -> Value {
        serde_json::from_str(&self.run(member, &["alliance", "picture", "--json", release], "", &[0]))
            .unwrap()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        (1..=MEMBERS).for_each(|member| self.kill(member));
    }
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(180), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Keys, charter, data folders, accounts and addresses, by the commands that people use.
fn founded() -> Nodes {
    let folder = tempfile::tempdir().unwrap();
    let ports = (0..MEMBERS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let nodes = Nodes { ports: ports.collect(), folder, running: (0..MEMBERS).map(|_| None).collect() };
    let key = |seed: usize| SecretKey::from_seed(&[u8::try_from(seed).unwrap(); 32]);
    let member = |number: usize| Member {
        identity_ref: MemberId::parse(&id(number)).unwrap(),
        name: format!("CSIRT {number}"),
        nation: None,
        state: MemberState::Active,
        roles: [Role::Publisher].into(),
        authority_key: key(number).id(),
        node_keys: vec![NodeKey {
            node_key: key(100 + number).id(),
            valid_from: Time::parse("2026-01-01T00:00:00Z").unwrap(),
            valid_until: Time::parse("2046-01-01T00:00:00Z").unwrap(),
        }],
    };
    let contents = CharterContents {
        name: "Allies".to_owned(),
        alliance: None,
        sequence: 0,
        previous: None,
        members: (1..=MEMBERS).map(member).collect(),
        quorum: Quorum { charter_signatures: 2, witness_signatures: 0, block_confirmations: 1 },
        limits: Limits::default(),
        revocations: Vec::new(),
        groups: Vec::new(),
    };
    let mut charter = Charter::draft(Time::parse("2026-01-02T00:00:00Z").unwrap(), contents).unwrap();
    (1..=MEMBERS).for_each(|number| charter.add_signature(&key(number)));
    let file = nodes.path("charter.json").display().to_string();
    std::fs::write(&file, charter.text()).unwrap();
    let pin = charter_fingerprint(&charter.digest);
    for number in 1..=MEMBERS {
        let node_key = nodes.path(&format!("key-{number}")).display().to_string();
        std::fs::write(&node_key, key(100 + number).node_file().as_str()).unwrap();
        let wrong = pin.chars().rev().collect::<String>();
        let member = id(number);
        let join = ["alliance", "join", &file, "--as", &member, "--node-key", &node_key, "--pin"];
        nodes.run(number, &[&join[..], &[&wrong]].concat(), "", &[1]);
        nodes.run(number, &[&join[..], &[&pin]].concat(), "", &[0]);
    }
    for host in 1..=MEMBERS {
        for guest in (1..=MEMBERS).filter(|guest| *guest != host) {
            let token = nodes.run(host, &["alliance", "welcome", &id(guest)], "", &[0]);
            let url = format!("http://127.0.0.1:{}/api/", nodes.ports[host - 1]);
            let peer = ["alliance", "peer", &id(host), "--url", &url, "--token-stdin"];
            nodes.run(guest, &peer, token.trim(), &[0]);
        }
    }
    nodes
}

/// A Zeek DNS log with one question.
fn evidence(nodes: &Nodes, member: usize, name: &str) {
    let log = json!({
        "_path": "dns", "ts": "2022-03-01T12:00:00.000000Z", "uid": "C1", "id.orig_h": "10.0.0.5",
        "id.orig_p": 5353, "id.resp_h": "10.0.0.1", "id.resp_p": 53, "proto": "udp", "query": name,
    });
    let file = nodes.path("dns.log");
    std::fs::write(&file, format!("{log}\n")).unwrap();
    let archive = format!("{}/archive", nodes.data(member));
    let status = besa()
        .args(["-q", "archive", "add", file.to_str().unwrap(), "--archive", &archive])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn one_is_hit_and_every_ally_is_searched_whoever_is_killed_meanwhile() {
    let mut nodes = founded();
    evidence(&nodes, 2, "c2-1.evil-example.com");
    evidence(&nodes, 3, "www.example.org");
    (1..=MEMBERS).for_each(|member| nodes.serve(member));
    let mut releases = Vec::new();
    for round in 0..4 {
        let number = round + 1;
        nodes.import(1, number);
        releases.push(nodes.release(1, &[number]));
        // Any of them, also the one that releases, at any moment.
        let victim = round % MEMBERS + 1;
        nodes.kill(victim);
        nodes.serve(victim);
    }
    until("everybody has answered everything", || {
        releases.iter().all(|release| {
            let readers = nodes.picture(1, release)["readers"].clone();
            (2..=MEMBERS).all(|member| !readers[id(member)]["answer_ms"].is_null())
        })
    });
    let first = nodes.picture(1, &releases[0])["readers"].clone();
    assert_eq!((&first[id(2)]["seen"], &first[id(3)]["seen"]), (&json!(1), &json!(0)), "{first}");
    assert_eq!(first[id(2)]["first_seen"], "2022-03-01T12:00:00.000Z");
    assert_eq!(first[id(3)]["searched"][0], "2022-03-01T12:00:00.000Z");
    assert_eq!(first[id(3)]["searched"][2], json!(["zeek/dns/dns"]));
    // Once each, at each ally: the releases, and what they brought.
    for member in 2..=MEMBERS {
        let inbox = format!("from-{}", id(1).trim_start_matches("identity--"));
        let held = nodes.run(member, &["intel", "export", "--collection", &inbox], "", &[0]);
        let count = |what: &str| held.matches(&format!("\"type\":\"{what}\"")).count();
        assert_eq!((count("besa-release"), count("indicator")), (4, 4), "{held}");
        let status: Value =
            serde_json::from_str(&nodes.run(member, &["alliance", "status", "--json"], "", &[0])).unwrap();
        assert_eq!(status["members"][0]["entries"], 4, "{status}");
        assert_eq!(status["proofs"], json!([]));
    }
    // And armed for every later hunt.
    let log = nodes.path("later.log");
    std::fs::write(&log, "{\"_path\":\"dns\",\"ts\":1,\"query\":\"c2-3.evil-example.com\"}\n").unwrap();
    let hunt = ["hunt", "-q", "-f", "jsonl", "--allies", &nodes.data(3), log.to_str().unwrap()];
    let found = besa().args(hunt).output().unwrap();
    assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(String::from_utf8_lossy(&found.stdout).contains(&indicator_id(3)));
}
