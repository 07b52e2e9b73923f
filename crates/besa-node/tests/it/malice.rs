//! A member with valid keys that cheats: what takes more than one history, or a node that starts again.
//! What one request shows is tried against processes, in `crates/besa/tests/it/malice.rs`.

use besa_alliance::charter::{KeyContents, KeyStatement, PinnedHead, Revocation};
use besa_alliance::entry::Audience;
use besa_alliance::member::NodeKey;
use besa_alliance::policy::Inside;
use besa_exchange::taxii::client::{Client, Login, Trust};
use besa_intel::Time;
use besa_node::places;
use besa_server::now;

use crate::support::*;

/// Member 2 without its node: it writes what it likes into the inbox that a member gave it.
struct Cheat {
    client: Client,
    inbox: String,
    pen: Pen,
}

impl Cheat {
    fn against(victim: &Ally) -> Self {
        let desk = victim.desk();
        let token = places::welcome(victim.store.as_ref(), &desk.places, &id(2), now()).unwrap();
        let client = Client::new(&Login::Token(token), &Trust::default()).unwrap();
        let inbox = format!("{}collections/{}/", victim.url(), places::inbox(&id(2)));
        let alliance = desk.settings.alliance;
        let pen = Pen { member: id(2), alliance, audience: Audience::Charter, key: node_key(2), last: None };
        Self { client, inbox, pen }
    }

    /// The reasons for which things were refused.
    fn refused(&self, texts: &[String]) -> Vec<String> {
        let pushed = self.client.push(&self.inbox, &Inside::by_the_operator().texts(texts.to_vec())).unwrap();
        pushed.failures.into_iter().map(|(_, why)| why.split(':').next().unwrap().to_owned()).collect()
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

/// It shows one history to one ally and another to the witness: the two are brought together.
#[test]
fn a_fork_shown_to_different_allies_is_proved() {
    let mut allies = alliance(3);
    allies[0].start();
    allies[2].start();
    let (mut to_ally, mut to_witness) = (Cheat::against(&allies[0]), Cheat::against(&allies[2]));
    let object = indicator(2, 1, &domain(1));
    let common = to_ally.pen.next(&[&object]);
    to_witness.pen.last = Some(common.clone());
    assert!(to_ally.refused(&[common.text(), object.clone()]).is_empty());
    assert!(to_witness.refused(&[common.text(), object]).is_empty());
    for (number, cheat) in [(2, &mut to_ally), (3, &mut to_witness)] {
        // The histories part, and go on.
        for step in 0..2 {
            let object = indicator(2, number + 10 * step, &domain(number));
            let entry = cheat.pen.next(&[&object]);
            assert!(cheat.refused(&[entry.text(), object]).is_empty());
        }
    }
    until("the ally has the proof", || proofs(&allies[0], places::SENT) == ["fork"]);
    until("the witness gets it", || proofs(&allies[2], &places::inbox(&id(1))) == ["fork"]);
    assert!(!allies[0].holds(&indicator_id(3)), "the other history is not used");
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
        let entry = cheat.pen.next(&[&object]);
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
        alliance: cheat.pen.alliance,
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
    let entry = cheat.pen.next(&[&object]).text();
    assert_eq!(cheat.refused(&[entry, object]), ["revoked-key", "not-released"]);
    // Its member goes on behind the head that it stands by, under its new key; a node that starts
    // again knows that head, too.
    allies[0].stop();
    allies[0].start();
    cheat.pen.last = Some(entries[0].clone());
    let object = indicator(2, 4, &domain(4));
    let entry = cheat.pen.draft(&[&object], &node_key(50)).text();
    assert_eq!(cheat.refused(&[entry, object]), Vec::<String>::new());
}
