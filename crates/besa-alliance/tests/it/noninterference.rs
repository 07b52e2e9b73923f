//! Non-interference, on random worlds: a second program written from `docs/RELEASE-POLICY.md` agrees
//! on every byte, and what a recipient gets does not change with what is hidden from it.
//!
//! `BESA_POLICY_CASES` sets how many cases (1,500 unless told), `BESA_POLICY_SEED` where to start.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use besa_alliance::policy::{Catalogue, Held, Ledger, Outcome, Page, Policy, Released, Settings, Text};
use besa_stix::time::Instant;
use serde_json::Value;

use crate::graphs::{Case, NOW, Thing, case};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

fn policy<'a>(case: &'a Case, catalogue: &'a dyn Catalogue) -> Policy<'a> {
    Policy {
        releaser: &case.releaser,
        recipient: &case.recipient,
        exit: case.exit,
        membership: &case.membership,
        catalogue,
        now: Instant::parse(NOW).unwrap(),
        settings: Settings { unmarked: case.unmarked, ..Settings::default() },
    }
}

fn decide(case: &Case, things: &[Thing]) -> Vec<Option<Released<Text>>> {
    let newest = things.iter().filter(|thing| thing.newest);
    let catalogue: BTreeMap<String, Held<'_>> =
        newest.map(|thing| (thing.id.to_ascii_lowercase(), thing.held())).collect();
    let held: Vec<Held<'_>> = things.iter().map(Thing::held).collect();
    policy(case, &catalogue).decide_all(&held).into_iter().map(Outcome::released).collect()
}

fn texts(outcomes: &[Option<Released<Text>>]) -> Vec<Option<String>> {
    outcomes.iter().map(|one| one.as_ref().map(|text| text.get().json().to_owned())).collect()
}

#[test]
fn an_independent_oracle_agrees_on_every_byte() {
    let (cases, seed) = (number("BESA_POLICY_CASES", 1_500), number("BESA_POLICY_SEED", 1));
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/oracle.py");
    let spawned = Command::new("python3").arg(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut oracle) = spawned else {
        eprintln!("skipped: there is no python3");
        return;
    };
    eprintln!("{cases} cases from seed {seed}");
    let mut input = oracle.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..cases {
            writeln!(input, "{}", case(seed + number).line()).unwrap();
        }
    });
    let mut lines = BufReader::new(oracle.stdout.take().unwrap()).lines();
    let mut counts = [0u64; 3];
    for number in 0..cases {
        let case = case(seed + number);
        let answer: Vec<Option<String>> =
            serde_json::from_str(&lines.next().expect("an answer").unwrap()).unwrap();
        let ours = texts(&decide(&case, &case.things));
        for ((thing, ours), theirs) in case.things.iter().zip(&ours).zip(&answer) {
            let kind = ours.as_ref().map_or(0, |text| 1 + usize::from(*text != thing.raw));
            counts[kind] += 1;
            if ours != theirs {
                let catalogue = case.catalogue();
                let why = policy(&case, &catalogue).decide(&thing.held());
                panic!(
                    "seed {}: {}\n{}\nours   {ours:?}\ntheirs {theirs:?}\ncase {}",
                    seed + number,
                    thing.raw,
                    why.explanation(),
                    case.line()
                );
            }
        }
    }
    writer.join().unwrap();
    assert!(oracle.wait().unwrap().success());
    eprintln!("withheld {}, whole {}, redacted {}", counts[0], counts[1], counts[2]);
    // A test in which nothing goes, or nothing is cut, would prove nothing.
    assert!(counts.iter().all(|count| *count > cases / 4), "{counts:?}");
}

/// The hidden with other words in them: names and values, not what they refer to or how marked.
fn reworded(thing: &Thing) -> Thing {
    let unreadable = thing.raw.contains("x_twice");
    let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(&thing.raw) else {
        return thing.clone();
    };
    if unreadable {
        // Read again, it would be readable and might go.
        return thing.clone();
    }
    for (key, word) in [("name", "other"), ("value", "203.0.113.9"), ("content", "other")] {
        if object.contains_key(key) {
            object.insert(key.to_owned(), word.into());
        }
    }
    object.insert("x_new".to_owned(), "secret".into());
    Thing { raw: Value::Object(object).to_string(), ..thing.clone() }
}

fn pages(case: &Case, visible: &[Released<Text>]) -> Vec<Page> {
    let mut ledger = Ledger::new(case.recipient.clone(), case.exit, Vec::new());
    ledger.advance(visible).unwrap();
    let (mut after, mut pages) = (0, Vec::new());
    loop {
        let page = ledger.page(visible, after, 2).unwrap();
        let more = page.get().more;
        after = page.get().next;
        pages.push(page.get().clone());
        if !more {
            return pages;
        }
    }
}

#[test]
fn the_hidden_leave_no_trace() {
    let (cases, seed) = (number("BESA_POLICY_CASES", 1_500), number("BESA_POLICY_SEED", 1));
    eprintln!("{cases} cases from seed {seed}");
    for number in 0..cases {
        let case = case(seed + number);
        let with = decide(&case, &case.things);
        let visible: Vec<Released<Text>> = with.iter().flatten().cloned().collect();
        let left: Vec<Thing> = case
            .things
            .iter()
            .zip(&with)
            .filter(|(_, goes)| goes.is_some())
            .map(|(one, _)| one.clone())
            .collect();
        let without: Vec<Option<Released<Text>>> = decide(&case, &left);
        let shown = texts(&with).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(
            shown,
            texts(&without).into_iter().flatten().collect::<Vec<_>>(),
            "seed {}: without the hidden",
            seed + number
        );
        let changed: Vec<Thing> = case
            .things
            .iter()
            .zip(&with)
            .map(|(thing, goes)| if goes.is_some() { thing.clone() } else { reworded(thing) })
            .collect();
        assert_eq!(
            shown,
            texts(&decide(&case, &changed)).into_iter().flatten().collect::<Vec<_>>(),
            "seed {}: with the hidden changed",
            seed + number
        );
        let without: Vec<Released<Text>> = without.into_iter().flatten().collect();
        assert_eq!(pages(&case, &visible), pages(&case, &without), "seed {}: pages", seed + number);
    }
}

#[test]
fn one_by_one_is_as_all_at_once() {
    let seed = number("BESA_POLICY_SEED", 1);
    for number in 0..200 {
        let case = case(seed + number);
        let catalogue = case.catalogue();
        let alone: Vec<_> = case
            .things
            .iter()
            .map(|thing| policy(&case, &catalogue).decide(&thing.held()).released())
            .collect();
        assert_eq!(texts(&alone), texts(&decide(&case, &case.things)), "seed {}", seed + number);
    }
}
