//! Networks that break: between the nodes stand proxies that cut, stall and heal connections at any
//! byte. After healing all honest logs agree, nothing is lost and nothing doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use besa_alliance::entry::Audience;
use besa_intel::Sender;

use crate::support::*;
use crate::wire::{Way, Wire};

/// Puts a wire into the way of every ally to every other.
fn wired(allies: &[Ally]) -> BTreeMap<(u8, u8), Wire> {
    let mut wires = BTreeMap::new();
    for guest in allies {
        let mut settings = guest.home().settings().unwrap();
        for peer in &mut settings.peers {
            let host = allies.iter().find(|host| id(host.number) == peer.member).unwrap();
            let wire = Wire::to(host.port());
            peer.url = Some(wire.url());
            wires.insert((guest.number, host.number), wire);
        }
        guest.home().save(&settings).unwrap();
    }
    wires
}

/// Between two members there is no way at all; the witness has what the one lacks of the other.
#[test]
fn what_cannot_go_straight_goes_round_by_the_witness() {
    let mut allies = alliance(3);
    let wires = wired(&allies);
    for ((from, to), wire) in &wires {
        wire.set(if *from != 3 && *to != 3 { Way::Apart } else { Way::Whole });
    }
    allies[1].hunter = Arc::new(Past(BTreeMap::from([(indicator_id(3), sight(5))])));
    allies.iter_mut().for_each(Ally::start);
    let mut releases = Vec::new();
    for number in 1..=3 {
        allies[0].import(&[indicator(1, number, &domain(number))]);
        releases.push(allies[0].release(&[indicator_id(number)], &Audience::Charter).entries.remove(0).0);
    }
    // What was not for all does not go round.
    allies[0].import(&[indicator(1, 4, &domain(4))]);
    allies[0].release(&[indicator_id(4)], &Audience::Members([id(3)].into()));
    let all: Vec<_> = (1..=3).map(indicator_id).collect();
    until("the one behind the cut uses it", || allies[1].listed("alliance-accepted") == all);
    assert!(!allies[1].holds(&indicator_id(4)));
    let stored = allies[1].store.object(&indicator_id(1), None).unwrap().unwrap();
    assert_eq!(stored.origin.from, Sender::Member(id(1).to_string()), "the relay is not its origin");
    // Receipts and answers are for the signer alone: they wait for the way.
    assert!(allies[0].picture(&releases[2].id()).readers[&id(2)].receipt_ms.is_none());
    wires.values().for_each(|wire| wire.set(Way::Whole));
    until("the answers arrive", || {
        releases.iter().all(|entry| allies[0].picture(&entry.id()).readers[&id(2)].answer_ms.is_some())
    });
    assert_eq!(allies[0].picture(&releases[2].id()).readers[&id(2)].seen, 5);
    until("the signer's own courier has brought all", || log_of(&allies[1], 1).len() == 3);
    let signed: Vec<_> = releases.iter().map(|one| (one.sequence(), one.digest.to_string())).collect();
    assert_eq!(log_of(&allies[1], 1), signed);
    let sent = allies[1].listed(besa_node::places::SENT);
    let receipts = sent.iter().filter(|id| id.starts_with("besa-receipt")).count();
    assert_eq!(receipts, 3, "one for each release, whatever way it came");
}

#[test]
fn after_a_partition_all_honest_logs_agree() {
    const ROUNDS: u32 = 8;
    let mut allies = alliance(3);
    let wires = wired(&allies);
    for ally in &mut allies {
        ally.hunter = Arc::new(Past(BTreeMap::new()));
        ally.start();
    }
    let mut releases: Vec<(usize, String)> = Vec::new();
    for round in 0..ROUNDS {
        // A member is alone, or every connection breaks within a request, or stands still.
        let alone = u8::try_from(round % 3).unwrap() + 1;
        for ((from, to), wire) in &wires {
            wire.set(match round % 4 {
                0 | 2 if *from == alone || *to == alone => Way::Apart,
                1 => Way::CutAfter(200 + round as usize * 331),
                3 => Way::Stalled,
                _ => Way::Whole,
            });
        }
        for (author, ally) in allies.iter().enumerate() {
            let number = round * 10 + u32::from(ally.number);
            ally.import(&[indicator(ally.number, number, &domain(number))]);
            let mut done = ally.release(&[indicator_id(number)], &Audience::Charter);
            releases.push((author, done.entries.remove(0).0.id()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    wires.values().for_each(|wire| wire.set(Way::Whole));
    until("everybody answered everything", || {
        releases.iter().all(|(author, release)| allies[*author].picture(release).is_whole())
    });
    for author in 1..=3 {
        let readers = allies.iter().filter(|ally| ally.number != author);
        let logs: BTreeSet<_> = readers.map(|ally| log_of(ally, author)).collect();
        assert_eq!(logs.len(), 1, "the readers of {author} disagree");
        let numbers: Vec<u64> = logs.iter().flatten().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=u64::from(ROUNDS)).collect::<Vec<_>>());
    }
    for ally in &allies {
        let sent = ally.listed(besa_node::places::SENT);
        let receipts = sent.iter().filter(|id| id.starts_with("besa-receipt")).count();
        assert_eq!(receipts, 2 * ROUNDS as usize, "one receipt for each release of the others");
    }
}
