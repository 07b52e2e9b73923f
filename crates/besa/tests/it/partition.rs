//! Networks that break and machines that fail, between nodes that are processes of their own: ways
//! are cut, stalled, or end within a request at any byte; nodes are killed at any step and stay away for
//! some, and so is the command that releases. When all is whole again, the logs of all agree, nothing is
//! lost and nothing doubled, and every release has been answered by everybody.
//!
//! Each round breaks and heals, and is checked. `BESA_PARTITION_ROUNDS` sets how many (1 unless told),
//! `BESA_PARTITION_SEED` what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use besa_alliance::entry::{Content, Entry};
use besa_alliance::member::Digest;
use besa_node::places::{ACCEPTED, SENT, inbox};
use serde_json::json;

use crate::besa;
use crate::nodes::{MEMBERS, Nodes, pairs, until};
use crate::pen::{id, indicator_id};
use crate::wire::Way;

/// Disturbances in a round.
const STEPS: u32 = 12;

/// Xorshift: the same in every run.
struct Dice(u64);

impl Dice {
    /// One of so many, from 0.
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn member(&mut self) -> u8 {
        MEMBERS[usize::try_from(self.throw(3)).unwrap()]
    }

    fn way(&mut self) -> Way {
        match self.throw(6) {
            0 => Way::Apart,
            1 => Way::Stalled,
            2 => Way::CutAfter(usize::try_from(1 + self.throw(6_000)).unwrap()),
            _ => Way::Whole,
        }
    }

    fn pause(&mut self) {
        std::thread::sleep(Duration::from_millis(self.throw(120)));
    }
}

/// What happened.
#[derive(Debug, Default)]
struct Account {
    breaks: u64,
    kills: u64,
    /// Indicators put into stores, by whom.
    imported: u32,
    /// Releases of which a command said that they were signed.
    said: BTreeSet<String>,
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
#[expect(clippy::print_stderr, reason = "a long run says what it did")]
fn after_it_heals_all_logs_agree_whatever_broke() {
    let (rounds, seed) = (number("BESA_PARTITION_ROUNDS", 1), number("BESA_PARTITION_SEED", 1));
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut nodes = Nodes::founded(&json!({}), &json!({}));
    for member in MEMBERS {
        nodes.evidence(member, "c2-1.evil-example.com");
        nodes.serve(member);
    }
    let mut account = Account::default();
    for round in 1..=rounds {
        (0..STEPS).for_each(|_| disturb(&mut nodes, &mut dice, &mut account));
        let started = Instant::now();
        nodes.wires.values().for_each(|wire| wire.set(Way::Whole));
        MEMBERS.into_iter().for_each(|member| nodes.serve_if_down(member));
        let signed = check(&nodes, &account);
        eprintln!(
            "seed {seed}, round {round}: {} ways broken, {} processes killed, {signed} releases of {} indicators; \
             whole {} ms after healing",
            account.breaks,
            account.kills,
            account.imported,
            started.elapsed().as_millis()
        );
    }
}

fn disturb(nodes: &mut Nodes, dice: &mut Dice, account: &mut Account) {
    for wire in nodes.wires.values() {
        let way = dice.way();
        account.breaks += u64::from(way != Way::Whole);
        wire.set(way);
    }
    account.imported += 1;
    let (author, number) = (dice.member(), account.imported);
    nodes.import(author, number);
    if dice.throw(4) == 0 {
        release_and_kill(nodes, author, number, dice);
        account.kills += 1;
    } else {
        account.said.insert(nodes.release(author, number));
    }
    dice.pause();
    if dice.throw(2) == 0 {
        nodes.kill(dice.member());
        account.kills += 1;
    }
    dice.pause();
    // Those that are away come back sooner or later.
    let back = dice.member();
    nodes.serve_if_down(back);
}

/// Whether it was signed before it was killed, its log will tell.
fn release_and_kill(nodes: &Nodes, author: u8, number: u32, dice: &mut Dice) {
    let mut command = besa();
    command.args(["alliance", "release", &indicator_id(number), "--data", &nodes.data(author)]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    dice.pause();
    child.kill().ok();
    child.wait().unwrap();
}

/// Waits until everything has arrived and is answered, and holds all logs against each other. Gives
/// how many releases there are.
fn check(nodes: &Nodes, account: &Account) -> usize {
    until("everybody holds all that is for it", || {
        pairs().all(|(author, reader)| agree(nodes, author, reader))
    });
    let mut signed = BTreeSet::new();
    for author in MEMBERS {
        let asked: BTreeSet<Digest> = others(author)
            .flat_map(|other| releases(&entries(nodes, other, SENT)))
            .map(|one| one.digest)
            .collect();
        until("everything is receipted and answered", || {
            let sent = entries(nodes, author, SENT);
            receipted(&sent).len() >= asked.len() && answered(&sent).len() >= asked.len()
        });
        let sent = entries(nodes, author, SENT);
        assert_eq!(receipted(&sent), Vec::from_iter(asked.clone()), "{author}: one receipt for each release");
        assert_eq!(answered(&sent), Vec::from_iter(asked), "{author}: one answer to each release");
        whole_logs(&sent);
        for release in releases(&sent) {
            until("its author knows that all have answered", || nodes.is_answered(author, &release.id()));
            signed.insert(release.id());
        }
        assert_eq!(nodes.status(author)["proofs"], json!([]), "nobody has cheated");
    }
    assert!(account.said.is_subset(&signed), "what was said to be signed is there");
    for reader in MEMBERS {
        let mut brought: Vec<String> = others(reader)
            .flat_map(|author| releases(&entries(nodes, author, SENT)))
            .flat_map(|release| release.content().objects().to_vec())
            .map(|line| line.object_ref)
            .collect();
        brought.sort_unstable();
        let accepted = nodes.listed(reader, ACCEPTED).into_iter().filter(|one| one["type"] == "indicator");
        let mut used: Vec<String> = accepted.map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        used.sort_unstable();
        assert_eq!(used, brought, "what {reader} uses");
    }
    signed.len()
}

fn others(member: u8) -> impl Iterator<Item = u8> {
    MEMBERS.into_iter().filter(move |other| *other != member)
}

/// All entries in a collection of a member.
fn entries(nodes: &Nodes, member: u8, collection: &str) -> Vec<Entry> {
    let listed = nodes.listed(member, collection);
    listed.iter().filter_map(|object| Entry::parse(&object.to_string()).ok()).collect()
}

/// Whether a reader holds exactly those entries of an author that are for it.
fn agree(nodes: &Nodes, author: u8, reader: u8) -> bool {
    let held: BTreeSet<Digest> =
        entries(nodes, reader, &inbox(&id(author))).iter().map(|entry| entry.digest).collect();
    let sent = entries(nodes, author, SENT);
    let for_it = sent.iter().filter(|entry| entry.envelope().audience.includes(&id(reader)));
    held == for_it.map(|entry| entry.digest).collect()
}

fn releases(entries: &[Entry]) -> Vec<Entry> {
    entries.iter().filter(|entry| matches!(entry.content(), Content::Release(_))).cloned().collect()
}

/// The releases that have a receipt, sorted, each as often as it has one.
fn receipted(sent: &[Entry]) -> Vec<Digest> {
    let mut all: Vec<_> = sent
        .iter()
        .filter_map(|entry| match entry.content() {
            Content::Receipt(receipt) => Some(receipt.receipt_for.entry_sha256),
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all
}

/// The releases that have an answer, sorted, each as often as it has one.
fn answered(sent: &[Entry]) -> Vec<Digest> {
    let mut all: Vec<_> = sent
        .iter()
        .filter_map(|entry| match entry.content() {
            Content::Answer(answer) => Some(answer.answer_to.entry_sha256),
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all
}

/// Each log of a member is one chain from 1, without a fork and without a gap.
fn whole_logs(sent: &[Entry]) {
    let mut logs: BTreeMap<Digest, Vec<&Entry>> = BTreeMap::new();
    sent.iter().for_each(|entry| logs.entry(entry.log()).or_default().push(entry));
    for log in logs.values_mut() {
        log.sort_by_key(|entry| entry.sequence());
        let mut last: Option<&Entry> = None;
        for entry in log {
            assert_eq!(entry.sequence(), last.map_or(1, |last| last.sequence() + 1));
            assert_eq!(entry.envelope().previous, last.map(|last| last.digest));
            last = Some(entry);
        }
    }
}
