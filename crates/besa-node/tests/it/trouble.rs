//! Allies that are away, nodes that die, partitions that heal: nothing is lost and nothing doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use besa_alliance::entry::Audience;

use crate::support::*;

#[test]
fn an_ally_that_was_away_gets_everything_in_order() {
    let mut allies = alliance(3);
    allies[1].hunter = Arc::new(Past(BTreeMap::new()));
    allies[2].hunter = Arc::new(Past(BTreeMap::new()));
    allies[0].start();
    allies[1].start();
    let mut releases = Vec::new();
    for number in 1..=20 {
        allies[0].import(&[indicator(1, number, &domain(number))]);
        releases
            .push(allies[0].release(&[indicator_id(number)], &Audience::Charter).entries.remove(0).0.id());
    }
    until("the one that is there answers", || {
        allies[0].picture(&releases[19]).readers[&id(2)].answer_ms.is_some()
    });
    assert!(!allies[2].holds(&releases[0]));
    allies[2].start();
    until("the one that was away answers all", || {
        releases.iter().all(|release| allies[0].picture(release).readers[&id(3)].answer_ms.is_some())
    });
    let (second, third) = (log_of(&allies[1], 1), log_of(&allies[2], 1));
    assert_eq!(second, third);
    assert_eq!(second.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
}

#[test]
fn an_ally_that_cannot_be_reached_fetches() {
    let mut allies = alliance(2);
    // The first does not know where the second is; the second knows the first.
    let mut settings = allies[0].home().settings().unwrap();
    settings.peers.clear();
    allies[0].home().save(&settings).unwrap();
    allies[0].start();
    allies[0].import(&[indicator(1, 1, &domain(1))]);
    allies[0].release(&[indicator_id(1)], &Audience::Charter);
    let outbox = besa_node::places::outbox(&id(2));
    until("it lies in the outbox", || allies[0].listed(&outbox).contains(&indicator_id(1)));
    allies[1].start();
    until("it was fetched", || allies[1].listed("alliance-accepted") == [indicator_id(1)]);
}

/// Nodes are stopped at any moment while releases go both ways; at the end every log is whole at
/// every reader, each release has one receipt, and no answer is missing.
#[test]
fn nodes_that_stop_at_any_step_lose_and_double_nothing() {
    let mut allies = alliance(3);
    for ally in &mut allies {
        ally.hunter = Arc::new(Past(BTreeMap::new()));
        ally.start();
    }
    let mut releases: Vec<(usize, String)> = Vec::new();
    for round in 0..12u32 {
        let author = (round % 3) as usize;
        let creator = allies[author].number;
        for number in round * 10..round * 10 + 3 {
            allies[author].import(&[indicator(creator, number, &domain(number))]);
            let mut done = allies[author].release(&[indicator_id(number)], &Audience::Charter);
            releases.push((author, done.entries.remove(0).0.id()));
        }
        let victim = ((round * 7 + 1) % 3) as usize;
        allies[victim].stop();
        allies[victim].start();
    }
    until("everybody answered everything", || {
        releases.iter().all(|(author, release)| allies[*author].picture(release).is_whole())
    });
    for author in &allies {
        let logs: BTreeSet<_> = allies
            .iter()
            .filter(|reader| reader.number != author.number)
            .map(|reader| log_of(reader, author.number))
            .collect();
        assert_eq!(logs.len(), 1, "readers of {} disagree", author.number);
        let log = logs.into_iter().next().unwrap();
        assert_eq!(log.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
        // One receipt for each of the others' releases.
        let sent = author.listed(besa_node::places::SENT);
        let receipts = sent.iter().filter(|id| id.starts_with("besa-receipt")).count();
        assert_eq!(receipts, 24);
    }
}
