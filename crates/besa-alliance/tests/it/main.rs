//! The alliance at its boundary: charters that change, logs that grow, members that cheat.
#![expect(clippy::print_stderr, reason = "a test says what it skipped and which seed it drew")]

mod answers;
mod charters;
mod graphs;
mod intake;
mod malice;
mod noninterference;
mod vectors;

use std::collections::BTreeSet;

use besa_alliance::charter::{
    Charter, CharterContents, KeyContents, KeyStatement, Limits, Quorum, Revocation,
};
use besa_alliance::directory::Directory;
use besa_alliance::entry::{
    Audience, Content, Entry, EntryRef, Envelope, Receipt, Release, Witness, released_object,
};
use besa_alliance::keys::SecretKey;
use besa_alliance::log::{Admitted, Head, Ledger};
use besa_alliance::member::{Digest, Member, MemberId, MemberState, NodeKey, Role};
use besa_alliance::refusal::Refusal;
use besa_stix::marking::TLP_2_GREEN;
use besa_stix::time::Instant;

/// Second 0 of the tests.
const START: i64 = 1_790_000_000;

fn at(second: i64) -> Instant {
    Instant::from_unix(START + second, 0)
}

fn id(member: u8) -> MemberId {
    MemberId::parse(&format!("identity--00000000-0000-4000-8000-0000000000{member:02x}")).unwrap()
}

fn authority(member: u8) -> SecretKey {
    SecretKey::from_seed(&[member; 32])
}

fn node(member: u8) -> SecretKey {
    SecretKey::from_seed(&[100 + member; 32])
}

fn node_key(key: &SecretKey) -> NodeKey {
    NodeKey { node_key: key.id(), valid_from: at(-1_000), valid_until: at(100_000_000) }
}

fn member(number: u8) -> Member {
    Member {
        identity_ref: id(number),
        name: format!("CSIRT {number}"),
        nation: None,
        state: MemberState::Active,
        roles: BTreeSet::from([Role::Publisher, Role::Witness]),
        authority_key: authority(number).id(),
        node_keys: vec![node_key(&node(number))],
    }
}

/// The first charter of members 1 to 4, quorum 3, two witnesses.
fn first_contents() -> CharterContents {
    CharterContents {
        name: "Allies".to_owned(),
        alliance: None,
        sequence: 0,
        previous: None,
        members: (1..=4).map(member).collect(),
        quorum: Quorum { charter_signatures: 3, witness_signatures: 2, block_confirmations: 2 },
        limits: Limits {
            objects_per_entry: 5,
            entries_per_hour: 10,
            logs_per_member: 3,
            ..Limits::default()
        },
        revocations: Vec::new(),
        groups: Vec::new(),
    }
}

fn charter(second: i64, contents: CharterContents, signers: &[u8]) -> Charter {
    let mut charter = Charter::draft(at(second), contents).unwrap();
    signers.iter().for_each(|signer| charter.add_signature(&authority(*signer)));
    Charter::parse(&charter.text()).unwrap()
}

fn directory() -> Directory {
    let first = charter(0, first_contents(), &[1, 2, 3, 4]);
    let digest = first.digest;
    Directory::found(first, &digest).unwrap()
}

/// Contents for the charter after the one in force.
fn next_contents(directory: &Directory) -> CharterContents {
    let charter = directory.charter();
    CharterContents {
        alliance: Some(directory.alliance()),
        sequence: charter.contents.sequence + 1,
        previous: Some(charter.digest),
        ..charter.contents.clone()
    }
}

fn object(creator: u8, number: u32, value: &str) -> String {
    format!(
        r#"{{"type":"note","spec_version":"2.1","id":"note--00000000-0000-4000-8000-{number:012x}","created_by_ref":"{}","created":"2026-09-21T00:00:00.000Z","modified":"2026-09-21T00:00:00.000Z","content":"{value}","object_refs":["{}"]}}"#,
        id(creator),
        id(creator)
    )
}

fn release(objects: &[&str]) -> Content {
    let mut objects: Vec<_> = objects.iter().map(|text| released_object(text).unwrap()).collect();
    objects.sort_unstable();
    Content::Release(Release { objects })
}

/// One member's pen: the next entry of its log for the charter.
struct Author {
    number: u8,
    key: SecretKey,
    audience: Audience,
    sequence: u64,
    previous: Option<Digest>,
    second: i64,
}

impl Author {
    fn new(number: u8) -> Self {
        Self {
            number,
            key: node(number),
            audience: Audience::Charter,
            sequence: 0,
            previous: None,
            second: 0,
        }
    }

    fn envelope(&self, directory: &Directory) -> Envelope {
        Envelope {
            created_by_ref: id(self.number),
            alliance: directory.alliance(),
            charter: directory.charter().contents.sequence,
            audience: self.audience.clone(),
            object_marking_refs: vec![TLP_2_GREEN.to_owned()],
            sequence: self.sequence + 1,
            previous: self.previous,
        }
    }

    /// Signs without moving on.
    fn draft(&self, directory: &Directory, content: Content) -> Entry {
        let entry = Entry::sign(at(self.second + 1), self.envelope(directory), content, &self.key).unwrap();
        Entry::parse(&entry.text()).unwrap()
    }

    fn write(&mut self, directory: &Directory, content: Content) -> Entry {
        let entry = self.draft(directory, content);
        (self.sequence, self.previous, self.second) = (entry.sequence(), Some(entry.digest), self.second + 1);
        entry
    }

    fn note(&mut self, directory: &Directory, value: &str) -> Entry {
        let number = u32::from(self.number) * 1_000 + u32::try_from(self.sequence).unwrap();
        let text = object(self.number, number, value);
        self.write(directory, release(&[&text]))
    }
}

/// Member 2's view, which has everything it took.
struct View {
    ledger: Ledger,
    taken: Vec<Entry>,
}

impl View {
    fn new() -> Self {
        Self { ledger: Ledger::default(), taken: Vec::new() }
    }

    fn admit(&mut self, directory: &Directory, entry: &Entry) -> Result<Admitted, Refusal> {
        let held = |number: u64| {
            let same = |one: &&Entry| one.log() == entry.log() && one.sequence() == number;
            self.taken.iter().find(same).map(|one| one.digest)
        };
        let outcome = self.ledger.admit(directory, entry, &id(2), at(10_000), held);
        if let Ok(Admitted::New) = outcome {
            self.taken.push(entry.clone());
        }
        outcome
    }
}

fn name(outcome: Result<impl Sized, Refusal>) -> &'static str {
    outcome.err().map_or("taken", |refusal| refusal.name())
}
