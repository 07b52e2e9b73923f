//! Three nodes as processes, set up by the command line alone, killed without warning while one
//! releases: every ally gets everything once, searches its archive, and answers.

use serde_json::json;

use crate::besa;
use crate::follow::Following;
use crate::nodes::{MEMBERS, Nodes, until};
use crate::pen::{id, indicator_id};

#[test]
fn one_is_hit_and_every_ally_is_searched_whoever_is_killed_meanwhile() {
    let mut nodes = Nodes::founded(&json!({}), &json!({}));
    nodes.evidence(2, "c2-1.evil-example.com");
    nodes.evidence(3, "www.example.org");
    MEMBERS.into_iter().for_each(|member| nodes.serve(member));
    let live = nodes.path("live.log");
    let mut following = Following::start(&["--allies", &nodes.data(3), live.to_str().unwrap()]);
    following.until_said("0 indicators of allies armed");
    let mut releases = Vec::new();
    for number in 1..=4 {
        nodes.import(1, number);
        releases.push(nodes.release(1, number));
        // Any of them, also the one that releases, at any moment.
        let victim = MEMBERS[number as usize % MEMBERS.len()];
        nodes.kill(victim);
        nodes.serve(victim);
    }
    until("everybody has answered everything", || {
        releases.iter().all(|release| nodes.is_answered(1, release))
    });
    let (second, third) = (id(2).to_string(), id(3).to_string());
    let first = nodes.readers(1, &releases[0]);
    assert_eq!((&first[&second]["seen"], &first[&third]["seen"]), (&json!(1), &json!(0)), "{first}");
    assert_eq!(first[&second]["first_seen"], "2022-03-01T12:00:00.000Z");
    assert_eq!(first[&third]["searched"][0], "2022-03-01T12:00:00.000Z");
    assert_eq!(first[&third]["searched"][2], json!(["zeek/dns/dns"]));
    // Once each, at each ally: the releases, and what they brought.
    for member in [2, 3] {
        let held = nodes.listed(member, &besa_node::places::inbox(&id(1)));
        let count = |what: &str| held.iter().filter(|object| object["type"] == what).count();
        assert_eq!((count("besa-release"), count("indicator")), (4, 4), "{held:?}");
        assert_eq!(nodes.status(member)["proofs"], json!([]));
    }
    // Armed in what watches the live log, and for every later hunt.
    following.until_said("4 indicators of allies armed");
    nodes.desk.put("live.log", "{\"_path\":\"dns\",\"ts\":1,\"query\":\"c2-4.evil-example.com\"}\n");
    assert_eq!(following.finding()["intel_ref"], indicator_id(4));
    nodes.desk.put("later.log", "{\"_path\":\"dns\",\"ts\":1,\"query\":\"c2-3.evil-example.com\"}\n");
    let log = nodes.path("later.log");
    let hunt = ["hunt", "-q", "-f", "jsonl", "--allies", &nodes.data(3), log.to_str().unwrap()];
    let found = besa().args(hunt).output().unwrap();
    assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(String::from_utf8_lossy(&found.stdout).contains(&indicator_id(3)));
}

/// The charter that people have compared, or nothing.
#[test]
fn nobody_joins_by_another_charter() {
    let desk = crate::desk::Desk::founded();
    let shown = desk.good("", &["charter", "show", "c0", "--json"]).json();
    let wrong: String = shown["fingerprint"].as_str().unwrap().chars().rev().collect();
    let member = id(1);
    let join =
        ["alliance", "join", "c0", "--as", member.as_str(), "--node-key", "n1", "--data", "d", "--pin"];
    assert_eq!(desk.run("", &[&join[..], &[&wrong]].concat()).code, 1);
    assert!(!desk.path("d").exists());
}
