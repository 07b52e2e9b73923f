//! A member with valid keys that cheats, over the wire: refused, recorded, and proved to the others.

use besa_alliance::charter::{KeyContents, KeyStatement, PinnedHead, Revocation};
use besa_alliance::entry::{Audience, Content, Entry, Envelope, Release, released_object};
use besa_alliance::keys::SecretKey;
use besa_alliance::member::{Digest, NodeKey};
use besa_alliance::policy::Inside;
use besa_exchange::taxii::client::{Client, Login, Pushed, Trust};
use besa_intel::Time;
use besa_node::places;
use besa_node::settings::Answers;
use besa_server::now;
use besa_stix::marking::TLP_2_GREEN;

use crate::support::*;

/// Member 2 without its node: it writes what it likes into the inbox that member 1 gave it.
struct Cheat {
    client: Client,
    inbox: String,
    alliance: Digest,
    last: Option<Entry>,
}

impl Cheat {
    fn against(victim: &Ally) -> Self {
        let desk = victim.desk();
        let token = places::welcome(victim.store.as_ref(), &desk.places, &id(2), now()).unwrap();
        let client = Client::new(&Login::Token(token), &Trust::default()).unwrap();
        let inbox = format!("{}collections/{}/", victim.url(), places::inbox(&id(2)));
        Self { client, inbox, alliance: desk.settings.alliance, last: None }
    }

    fn send(&self, texts: &[String]) -> Pushed {
        self.client.push(&self.inbox, &Inside::by_the_operator().texts(texts.to_vec())).unwrap()
    }

    /// The reasons for which things were refused.
    fn refused(&self, texts: &[String]) -> Vec<String> {
        let pushed = self.send(texts);
        pushed.failures.into_iter().map(|(_, why)| why.split(':').next().unwrap().to_owned()).collect()
    }

    fn draft(&self, objects: &[&str], key: &SecretKey) -> Entry {
        let mut lines: Vec<_> = objects.iter().map(|text| released_object(text).unwrap()).collect();
        lines.sort_unstable();
        let envelope = Envelope {
            created_by_ref: id(2),
            alliance: self.alliance,
            charter: 0,
            audience: Audience::Charter,
            object_marking_refs: vec![TLP_2_GREEN.to_owned()],
            sequence: self.last.as_ref().map_or(1, |last| last.sequence() + 1),
            previous: self.last.as_ref().map(|last| last.digest),
        };
        Entry::sign(now(), envelope, Content::Release(Release { objects: lines }), key).unwrap()
    }

    fn next(&mut self, objects: &[&str]) -> Entry {
        let entry = self.draft(objects, &node_key(2));
        self.last = Some(entry.clone());
        entry
    }
}

fn proofs(ally: &Ally, alias: &str) -> Vec<String> {
    let ids = ally.listed(alias);
    let proofs = ids.iter().filter(|id| id.starts_with("besa-proof"));
    let breach = |id: &String| {
        let raw = ally.store.object(id, None).unwrap().unwrap().raw;
        serde_json::from_str::<serde_json::Value>(&raw).unwrap()["breach"].as_str().unwrap().to_owned()
    };
    proofs.map(breach).collect()
}

#[test]
fn what_no_entry_brings_is_not_stored() {
    let mut allies = alliance(2);
    allies[0].start();
    let cheat = Cheat::against(&allies[0]);
    assert_eq!(cheat.refused(&[indicator(2, 1, &domain(1))]), ["not-released"]);
    assert!(!allies[0].holds(&indicator_id(1)));
}

#[test]
fn an_altered_object_is_refused_and_the_true_one_still_taken() {
    let mut allies = alliance(2);
    allies[0].start();
    let mut cheat = Cheat::against(&allies[0]);
    let (good, bad) = (indicator(2, 1, &domain(1)), indicator(2, 1, &domain(666)));
    let entry = cheat.next(&[&good]).text();
    assert_eq!(cheat.refused(&[entry.clone(), bad]), ["altered"]);
    assert!(!allies[0].holds(&indicator_id(1)));
    // It stands in the signer's own receipt; sent again as it was signed, it is no longer waited for.
    let sent = places::SENT;
    until("a receipt", || allies[0].listed(sent).iter().any(|id| id.starts_with("besa-receipt")));
    let second = indicator(2, 2, &domain(2));
    let next = cheat.next(&[&second]).text();
    assert_eq!(cheat.refused(&[next, second]), Vec::<String>::new());
    until("the next is in use", || allies[0].listed("alliance-accepted") == [indicator_id(2)]);
}

#[test]
fn anothers_object_is_refused_and_proved_to_all() {
    let mut allies = alliance(3);
    allies[0].start();
    allies[2].start();
    let mut cheat = Cheat::against(&allies[0]);
    let stolen = indicator(3, 1, &domain(1));
    let entry = cheat.next(&[&stolen]).text();
    assert_eq!(cheat.refused(&[entry, stolen]), ["wrong-creator"]);
    assert!(!allies[0].holds(&indicator_id(1)));
    assert_eq!(proofs(&allies[0], places::SENT), ["wrong-creator"]);
    let inbox = places::inbox(&id(1));
    until("the third has the proof", || proofs(&allies[2], &inbox) == ["wrong-creator"]);
}

#[test]
fn a_fork_is_refused_and_proved_to_all() {
    let mut allies = alliance(3);
    allies[0].start();
    allies[2].start();
    let mut cheat = Cheat::against(&allies[0]);
    let (one, other) = (indicator(2, 1, &domain(1)), indicator(2, 2, &domain(2)));
    let (first, forked) = (cheat.draft(&[&one], &node_key(2)), cheat.draft(&[&other], &node_key(2)));
    assert!(cheat.refused(&[first.text(), one.clone()]).is_empty());
    // A repetition is no fork.
    assert!(cheat.refused(&[first.text(), one]).is_empty());
    assert_eq!(cheat.refused(&[forked.text(), other]), ["fork", "not-released"]);
    cheat.last = Some(first);
    let third = indicator(2, 3, &domain(3));
    let next = cheat.next(&[&third]);
    assert!(cheat.refused(&[next.text(), third]).is_empty(), "the honest log goes on");
    let inbox = places::inbox(&id(1));
    until("the third has the proof", || proofs(&allies[2], &inbox) == ["fork"]);
}

#[test]
fn gaps_foreign_keys_other_alliances_and_floods_are_refused() {
    let mut allies = alliance(2);
    allies[0].start();
    let mut cheat = Cheat::against(&allies[0]);
    let one = indicator(2, 1, &domain(1));
    let skipped = cheat.next(&[&one]);
    let two = indicator(2, 2, &domain(2));
    let next = cheat.next(&[&two]);
    assert_eq!(cheat.refused(&[next.text(), two]), ["gap", "not-released"]);
    cheat.last = None;
    let forged = cheat.draft(&[&one], &node_key(1));
    assert_eq!(cheat.refused(&[forged.text()]), ["foreign-key"]);
    let strange = Cheat { alliance: Digest::from_bytes([7; 32]), ..Cheat::against(&allies[0]) };
    let elsewhere = strange.draft(&[&one], &node_key(2));
    assert_eq!(cheat.refused(&[elsewhere.text()]), ["other-alliance"]);
    let many: Vec<String> = (0..101).map(|number| indicator(2, 1_000 + number, &domain(number))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let oversized = cheat.draft(&many, &node_key(2));
    assert_eq!(cheat.refused(&[oversized.text()]), ["over-limit"]);
    assert_eq!(proofs(&allies[0], places::SENT), ["over-limit"]);
    assert!(cheat.refused(&[skipped.text(), one]).is_empty(), "the honest beginning is still taken");
}

#[test]
fn an_inbox_is_not_read_by_its_sender_and_no_other_is_written() {
    let mut allies = alliance(3);
    allies[0].start();
    let cheat = Cheat::against(&allies[0]);
    let foreign = cheat.inbox.replace(&places::inbox(&id(2)), &places::inbox(&id(3)));
    let texts = Inside::by_the_operator().texts([indicator(2, 1, &domain(1))]);
    let refused = cheat.client.push(&foreign, &texts).unwrap_err();
    assert!(refused.to_string().contains("404"), "{refused}");
    let collections = cheat.client.collections(&allies[0].url()).unwrap();
    let aliases: Vec<_> = collections.iter().filter_map(|one| one.alias.clone()).collect();
    assert_eq!(aliases, [places::inbox(&id(2)), places::outbox(&id(2)), places::relay(&id(2))]);
}

#[test]
fn a_removed_member_says_nothing_more() {
    let first = charter(4);
    let mut allies = alliance_of(&first, Answers::Automatic);
    allies[0].start();
    allies[2].start();
    let mut cheat = Cheat::against(&allies[0]);
    let one = indicator(2, 1, &domain(1));
    let entry = cheat.next(&[&one]);
    assert!(cheat.refused(&[entry.text(), one]).is_empty());
    let mut contents = first.contents.clone();
    (contents.alliance, contents.sequence, contents.previous) = (Some(first.digest), 1, Some(first.digest));
    contents.members[1].state = besa_alliance::member::MemberState::Removed;
    contents.quorum.charter_signatures = 2;
    let next = sign(contents, now(), [1, 3, 4]);
    // It reaches one ally by hand, and the other by way of it.
    allies[0].home().keep(besa_alliance::signed::Kind::Charter, &next.id(), &next.text()).unwrap();
    until("the charter is known", || {
        allies[0].node().gate().known().directory.charter().contents.sequence == 1
    });
    let two = indicator(2, 2, &domain(2));
    let more = cheat.next(&[&two]);
    assert_eq!(cheat.refused(&[more.text(), two]), ["not-active", "not-released"]);
    until("it spread", || allies[2].node().gate().known().directory.charter().contents.sequence == 1);
}

/// It shows one history to one ally and another to the witness: the two are brought together.
#[test]
fn a_fork_shown_to_different_allies_is_proved() {
    let mut allies = alliance(3);
    allies[0].start();
    allies[2].start();
    let (mut to_ally, mut to_witness) = (Cheat::against(&allies[0]), Cheat::against(&allies[2]));
    let object = indicator(2, 1, &domain(1));
    let common = to_ally.next(&[&object]);
    to_witness.last = Some(common.clone());
    assert!(to_ally.refused(&[common.text(), object.clone()]).is_empty());
    assert!(to_witness.refused(&[common.text(), object]).is_empty());
    for (number, cheat) in [(2, &mut to_ally), (3, &mut to_witness)] {
        // The histories part, and go on.
        for step in 0..2 {
            let object = indicator(2, number + 10 * step, &domain(number));
            let entry = cheat.next(&[&object]);
            assert!(cheat.refused(&[entry.text(), object]).is_empty());
        }
    }
    until("the ally has the proof", || proofs(&allies[0], places::SENT) == ["fork"]);
    until("the witness gets it", || proofs(&allies[2], &places::inbox(&id(1))) == ["fork"]);
    assert!(!allies[0].holds(&indicator_id(3)), "the other history is not used");
}

#[test]
fn a_flood_is_refused_and_proved() {
    let mut contents = charter(2).contents;
    contents.limits.entries_per_hour = 3;
    let mut allies = alliance_of(&sign(contents, now(), 1..=2), Answers::Automatic);
    allies[0].start();
    let mut cheat = Cheat::against(&allies[0]);
    for number in 1..=3 {
        let object = indicator(2, number, &domain(number));
        let entry = cheat.next(&[&object]).text();
        assert!(cheat.refused(&[entry, object]).is_empty());
    }
    let object = indicator(2, 4, &domain(4));
    let entry = cheat.next(&[&object]).text();
    assert_eq!(cheat.refused(&[entry, object]), ["over-limit", "not-released"]);
    assert_eq!(proofs(&allies[0], places::SENT), ["over-limit"]);
}

/// A stolen key: what it signed after the head that its member stands by is out of use, what came
/// before stays, and it signs nothing more.
#[test]
fn what_a_stolen_key_signed_is_taken_out_of_use() {
    let mut allies = alliance(2);
    allies[0].start();
    let mut cheat = Cheat::against(&allies[0]);
    let mut entries = Vec::new();
    for number in 1..=2 {
        let object = indicator(2, number, &domain(number));
        let entry = cheat.next(&[&object]);
        assert!(cheat.refused(&[entry.text(), object]).is_empty());
        entries.push(entry);
    }
    until("both are used", || allies[0].listed("alliance-accepted") == [indicator_id(1), indicator_id(2)]);
    let stood_by =
        PinnedHead { head_log: entries[0].log(), head_sequence: 1, head_sha256: entries[0].digest };
    let revocation = Revocation {
        node_key: node_key(2).id(),
        revoked_from: now(),
        compromised: true,
        heads: vec![stood_by],
    };
    let contents = KeyContents {
        alliance: cheat.alliance,
        created_by_ref: id(2),
        certified: vec![NodeKey {
            node_key: node_key(50).id(),
            valid_from: Time::from_unix(now().unix_seconds() - 60, 0),
            valid_until: Time::from_unix(now().unix_seconds() + 3_600, 0),
        }],
        revocations: vec![revocation],
    };
    let statement = KeyStatement::sign(now(), contents, &authority(2)).unwrap();
    // It comes over the wire like anything else, from whoever has it.
    assert!(cheat.refused(&[statement.text()]).is_empty());
    until("the second is out of use", || allies[0].listed("alliance-accepted") == [indicator_id(1)]);
    let object = indicator(2, 3, &domain(3));
    let entry = cheat.next(&[&object]).text();
    assert_eq!(cheat.refused(&[entry, object]), ["revoked-key", "not-released"]);
    // Its member goes on behind the head that it stands by, under its new key; a node that starts
    // again knows that head, too.
    allies[0].stop();
    allies[0].start();
    cheat.last = Some(entries[0].clone());
    let object = indicator(2, 4, &domain(4));
    let entry = cheat.draft(&[&object], &node_key(50)).text();
    assert_eq!(cheat.refused(&[entry, object]), Vec::<String>::new());
}
