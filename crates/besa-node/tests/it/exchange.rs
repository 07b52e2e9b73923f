//! What an alliance is for: one is hit, all are warned, searched, and answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use besa_alliance::charter::{CharterContents, Quorum};
use besa_alliance::entry::Audience;
use besa_alliance::intake::{Decision, Word, fingerprint};
use besa_alliance::signed::Kind;
use besa_intel::Sender;
use besa_node::hunt::{Hunter, Search, Searched, send};
use besa_node::settings::Answers;
use besa_server::now;

use crate::support::*;

#[test]
fn a_release_is_received_searched_and_answered_by_every_ally() {
    let mut allies = alliance(4);
    allies[1].hunter = Arc::new(Past(BTreeMap::from([(indicator_id(1), sight(7))])));
    allies[2].hunter = Arc::new(Past(BTreeMap::new()));
    // The fourth has no history: it takes, and does not say that it found nothing.
    allies.iter_mut().for_each(Ally::start);
    allies[0].import(&[indicator(1, 1, &domain(1)), indicator(1, 2, &domain(2))]);
    let done = allies[0].release(&[indicator_id(1), indicator_id(2)], &Audience::Charter);
    assert_eq!((done.entries.len(), done.withheld.len()), (1, 0));
    let release = done.entries[0].0.id();
    until("two answers and three receipts", || {
        let readers = allies[0].picture(&release).readers;
        readers.values().filter(|reader| reader.answer_ms.is_some()).count() == 2
            && readers.values().all(|reader| reader.receipt_ms.is_some())
    });
    let picture = allies[0].picture(&release);
    let reader = |member| &picture.readers[&id(member)];
    assert_eq!((reader(2).seen, reader(2).accepted), (7, 2));
    assert_eq!(reader(2).first_seen.as_deref(), Some("2022-04-15T05:20:00.000Z"));
    let (start, end, sources) = reader(3).searched.clone().unwrap();
    assert_eq!(reader(3).seen, 0);
    assert_eq!((start.as_str(), end.as_str()), ("2020-09-13T12:26:40.000Z", "2023-11-14T22:13:20.000Z"));
    assert_eq!(sources, ["zeek/dns"]);
    assert_eq!((reader(4).accepted, reader(4).answer_ms), (2, None));
    until("the witness has it", || allies[0].picture(&release).witnesses.contains(&id(3)));
    for ally in &allies[1..] {
        assert_eq!(ally.listed("alliance-accepted"), [indicator_id(1), indicator_id(2)]);
        // Byte for byte.
        let stored = ally.store.object(&indicator_id(1), None).unwrap().unwrap();
        assert_eq!(stored.raw, indicator(1, 1, &domain(1)));
        // From whom, and under what.
        assert_eq!(stored.origin.from, Sender::Member(id(1).to_string()));
        assert_eq!(stored.origin.under, [besa_stix::marking::TLP_2_GREEN]);
    }
}

/// A search for one ally takes until it is let go.
struct Slow {
    asker: besa_alliance::member::MemberId,
    let_go: AtomicBool,
}

impl Hunter for Slow {
    fn search(&self, search: &Search<'_>) -> Result<Option<Searched>, String> {
        while *search.asker == self.asker && !self.let_go.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Past(BTreeMap::new()).search(search)
    }
}

#[test]
fn a_question_that_takes_long_holds_up_no_other_ally() {
    let mut allies = alliance(3);
    let slow = Arc::new(Slow { asker: id(1), let_go: AtomicBool::new(false) });
    allies[2].hunter = Arc::clone(&slow) as Arc<dyn Hunter>;
    allies.iter_mut().for_each(Ally::start);
    let release = |asker: usize| {
        let number = u32::try_from(asker).unwrap();
        allies[asker].import(&[indicator(asker as u8 + 1, number, &domain(number))]);
        let done = allies[asker].release(&[indicator_id(number)], &Audience::Charter);
        done.entries[0].0.id()
    };
    let is_answered =
        |asker: usize, entry: &str| allies[asker].picture(entry).readers[&id(3)].answer_ms.is_some();
    let long = release(0);
    until("it is taken", || allies[2].holds(&long));
    let short = release(1);
    until("the other is answered", || is_answered(1, &short));
    assert!(!is_answered(0, &long));
    slow.let_go.store(true, Ordering::Relaxed);
    until("so is the first", || is_answered(0, &long));
}

/// The charter changes while all run: the newcomer is served, asked and answered without a restart.
#[test]
fn a_new_member_is_served_by_nodes_that_run() {
    let first = charter(3);
    let mut allies = alliance_of(&first, Answers::Automatic);
    allies.iter_mut().for_each(Ally::start);
    allies[0].import(&[indicator(1, 1, &domain(1))]);
    allies[0].release(&[indicator_id(1)], &Audience::Charter);
    until("the members have it", || allies[1..].iter().all(|ally| ally.holds(&indicator_id(1))));

    let mut members = first.contents.members.clone();
    members.push(member(4));
    let contents = CharterContents {
        alliance: Some(first.digest),
        sequence: 1,
        previous: Some(first.digest),
        members,
        quorum: Quorum { charter_signatures: 3, ..first.contents.quorum },
        ..first.contents.clone()
    };
    let next = sign(contents, now(), 1..=4);
    // One of them gets it from its people, the others from that one.
    allies[1].home().keep(Kind::Charter, &next.id(), &next.text()).unwrap();
    let past = Arc::new(Past(BTreeMap::from([(indicator_id(1), sight(3)), (indicator_id(2), sight(4))])));
    let mut newcomer = joined(4, &[first, next], Answers::Automatic, past);
    until("all know the charter", || {
        allies.iter().all(|ally| ally.desk().known.directory.charter().contents.sequence == 1)
    });
    for ally in &allies {
        introduce(&newcomer, ally);
        introduce(ally, &newcomer);
    }
    newcomer.start();
    until("it gets what all members have", || newcomer.holds(&indicator_id(1)));
    allies[0].import(&[indicator(1, 2, &domain(2))]);
    let release = allies[0].release(&[indicator_id(2)], &Audience::Charter).entries.remove(0).0.id();
    until("it answers", || allies[0].picture(&release).readers[&id(4)].answer_ms.is_some());
    assert_eq!(allies[0].picture(&release).readers[&id(4)].seen, 4);
    // And is heard.
    newcomer.import(&[indicator(4, 3, &domain(3))]);
    newcomer.release(&[indicator_id(3)], &Audience::Charter);
    until("all have its release", || allies.iter().all(|ally| ally.holds(&indicator_id(3))));
}

#[test]
fn a_release_for_one_is_not_noticed_by_another() {
    let mut allies = alliance(3);
    allies.iter_mut().for_each(Ally::start);
    allies[0].import(&[indicator(1, 1, &domain(1)), indicator(1, 2, &domain(2))]);
    let secret = allies[0].release(&[indicator_id(1)], &Audience::Members([id(2)].into()));
    let open = allies[0].release(&[indicator_id(2)], &Audience::Charter);
    until("both have theirs", || allies[1].holds(&indicator_id(1)) && allies[2].holds(&indicator_id(2)));
    until("receipts", || {
        let receipted =
            |release: &str, member| allies[0].picture(release).readers[&id(member)].receipt_ms.is_some();
        receipted(&secret.entries[0].0.id(), 2) && receipted(&open.entries[0].0.id(), 3)
    });
    assert!(!allies[2].holds(&indicator_id(1)));
    assert!(!allies[2].holds(&secret.entries[0].0.id()));
    // The log of the charter has no gap where the other log has an entry.
    assert_eq!(open.entries[0].0.sequence(), 1);
}

#[test]
fn what_is_marked_red_stays_here_and_says_why() {
    let mut allies = alliance(2);
    allies.iter_mut().for_each(Ally::start);
    let red =
        indicator(1, 1, &domain(1)).replace(besa_stix::marking::TLP_2_GREEN, besa_stix::marking::TLP_2_RED);
    allies[0].import(&[red]);
    let done = allies[0].release(&[indicator_id(1)], &Audience::Charter);
    assert!(done.entries.is_empty());
    assert_eq!(done.withheld.len(), 1);
    assert!(done.withheld[0].to_string().contains("TLP:RED"), "{}", done.withheld[0]);
}

#[test]
fn poison_waits_for_an_analyst_and_the_receipt_says_so() {
    let mut allies = alliance(2);
    allies[1].hunter = Arc::new(Past(BTreeMap::new()));
    allies.iter_mut().for_each(Ally::start);
    let poison = [
        indicator(1, 1, "[ipv4-addr:value = '8.8.8.8']"),
        indicator(1, 2, "[file:name = 'cl.exe']"),
        indicator(1, 3, &domain(3)),
    ];
    allies[0].import(&poison);
    let ids: Vec<String> = (1..=3).map(indicator_id).collect();
    let release = allies[0].release(&ids, &Audience::Charter).entries[0].0.id();
    until("the receipt", || allies[0].picture(&release).readers[&id(2)].receipt_ms.is_some());
    let reader = allies[0].picture(&release).readers[&id(2)].clone();
    let expected = [(indicator_id(1), "allow-list"), (indicator_id(2), "unspecific")];
    let found: Vec<_> = reader.not_used.iter().map(|(id, why)| (id.clone(), why.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(allies[1].listed("alliance-accepted").first(), Some(&indicator_id(3)));
    assert_eq!(allies[1].listed("alliance-quarantine"), [indicator_id(1), indicator_id(2)]);
    // An analyst's word: the first is used and searched for after all, the second never.
    let word = |number: usize, word| {
        let value = serde_json::from_str(&poison[number]).unwrap();
        let (object, sha256) = (ids[number].clone(), fingerprint(&value).unwrap());
        Decision {
            object,
            sha256,
            word,
            analyst: "a".into(),
            at: "2026-11-27T00:00:00Z".into(),
            why: "-".into(),
        }
    };
    allies[1].home().decide(&word(0, Word::Release)).unwrap();
    allies[1].home().decide(&word(1, Word::Deny)).unwrap();
    until("it is used", || allies[1].listed("alliance-accepted").contains(&indicator_id(1)));
    until("it is not waited for", || allies[1].listed("alliance-quarantine").is_empty());
    let answers =
        || allies[1].listed(besa_node::places::SENT).iter().filter(|id| id.starts_with("sighting")).count();
    until("it is answered", || answers() == 2);
}

#[test]
fn a_revocation_is_acknowledged_and_the_object_out_of_use() {
    let mut allies = alliance(2);
    allies.iter_mut().for_each(Ally::start);
    allies[0].import(&[indicator(1, 1, &domain(1))]);
    allies[0].release(&[indicator_id(1)], &Audience::Charter);
    until("it is in use", || allies[1].listed("alliance-accepted") == [indicator_id(1)]);
    allies[0].import(&[versioned(1, 1, &domain(1), "2026-10-01T00:00:00.000Z", true)]);
    let release = allies[0].release(&[indicator_id(1)], &Audience::Charter).entries[0].0.id();
    until("it is acknowledged", || allies[0].picture(&release).readers[&id(2)].withdrawn == 1);
    assert!(allies[1].listed("alliance-accepted").is_empty());
}

#[test]
fn an_answer_waits_for_an_analyst_where_that_is_the_rule() {
    let mut allies = alliance_of(&charter(2), Answers::Confirmed);
    allies[1].hunter = Arc::new(Past(BTreeMap::from([(indicator_id(1), sight(1))])));
    allies.iter_mut().for_each(Ally::start);
    allies[0].import(&[indicator(1, 1, &domain(1))]);
    let entry = allies[0].release(&[indicator_id(1)], &Audience::Charter).entries.remove(0).0;
    let draft = allies[1].home().file(&format!("pending/{}.json", entry.digest));
    until("a draft", || draft.exists());
    assert!(allies[0].picture(&entry.id()).readers[&id(2)].answer_ms.is_none());
    let pending: besa_node::hunt::Pending = serde_json::from_slice(&std::fs::read(&draft).unwrap()).unwrap();
    let desk = allies[1].desk();
    send(&desk.known.directory, &desk.journal, &entry, &pending.sightings, now()).unwrap();
    until("the answer", || allies[0].picture(&entry.id()).readers[&id(2)].seen == 1);
}
