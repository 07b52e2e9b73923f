//! Charters that follow one another or do not; members and keys that come and go.

use super::*;
use besa_alliance::charter::{PinnedHead, SharingGroup};
use besa_alliance::policy::Membership;
use besa_alliance::proof::Proof;

#[test]
fn a_charter_changes_by_the_quorum_of_the_one_before() {
    let directory = directory();
    let try_out = |change: &dyn Fn(&mut CharterContents), signers: &[u8]| {
        let mut contents = next_contents(&directory);
        change(&mut contents);
        let mut draft = match Charter::draft(at(100), contents) {
            Ok(draft) => draft,
            Err(refusal) => return refusal.name(),
        };
        signers.iter().for_each(|signer| draft.add_signature(&authority(*signer)));
        name(directory.clone().advance(draft))
    };
    let newcomer = |contents: &mut CharterContents| contents.members.push(member(5));
    let proposed = |contents: &mut CharterContents| {
        contents.members.push(Member { state: MemberState::Proposed, ..member(5) });
    };
    let new_key = |contents: &mut CharterContents| contents.members[0].authority_key = authority(50).id();
    for (change, signers, outcome) in [
        (&(|_: &mut CharterContents| {}) as &dyn Fn(&mut CharterContents), &[1, 2, 3][..], "taken"),
        (&|_| {}, &[1, 2], "no-quorum"),
        (&|_| {}, &[1, 2, 50], "no-quorum"),
        (&|_| {}, &[], "no-quorum"),
        (&newcomer, &[1, 2, 3, 5], "taken"),
        (&newcomer, &[1, 2, 3], "bad-charter"),
        (&newcomer, &[1, 2, 5], "no-quorum"),
        (&proposed, &[1, 2, 3], "taken"),
        (&new_key, &[2, 3, 4], "bad-charter"),
        (&new_key, &[2, 3, 4, 50], "taken"),
        (&new_key, &[2, 3, 50], "no-quorum"),
        (&|contents| contents.members[3].state = MemberState::Removed, &[1, 2, 3], "taken"),
        (
            &|contents| {
                contents.members.pop();
            },
            &[1, 2, 3],
            "bad-charter",
        ),
        (&|contents| contents.quorum.charter_signatures = 2, &[1, 2, 3], "bad-charter"),
        (&|contents| contents.quorum.charter_signatures = 5, &[1, 2, 3], "bad-charter"),
        (&|contents| contents.quorum.witness_signatures = 9, &[1, 2, 3], "bad-charter"),
        (&|contents| contents.limits.objects_per_entry = 0, &[1, 2, 3], "bad-charter"),
        (&|contents| contents.members.swap(0, 1), &[1, 2, 3], "bad-charter"),
        (&|contents| contents.members[0].node_keys = vec![node_key(&node(2))], &[1, 2, 3], "bad-charter"),
        (
            &|contents| {
                contents.members[1].node_keys.clear();
                contents.members[0].node_keys.push(node_key(&node(2)));
            },
            &[1, 2, 3],
            "bad-charter",
        ),
        (
            &|contents| contents.members[0].node_keys = vec![node_key(&authority(1))],
            &[1, 2, 3],
            "bad-charter",
        ),
        (&|contents| contents.groups = groups(&[("g", &[1, 2]), ("h", &[])]), &[1, 2, 3], "taken"),
        (&|contents| contents.groups = groups(&[("h", &[1]), ("g", &[1])]), &[1, 2, 3], "bad-charter"),
        (&|contents| contents.groups = groups(&[("g", &[1]), ("g", &[2])]), &[1, 2, 3], "bad-charter"),
        (&|contents| contents.groups = groups(&[("g", &[2, 1])]), &[1, 2, 3], "bad-charter"),
        (&|contents| contents.groups = groups(&[("g", &[1, 1])]), &[1, 2, 3], "bad-charter"),
        (&|contents| contents.groups = groups(&[("g", &[1, 9])]), &[1, 2, 3], "bad-charter"),
        (&|contents| contents.groups = groups(&[("a\u{1b}", &[1])]), &[1, 2, 3], "bad-charter"),
        (&|contents| contents.sequence = 2, &[1, 2, 3], "unknown-charter"),
        (&|contents| contents.previous = None, &[1, 2, 3], "bad-charter"),
        (&|contents| contents.alliance = Some(Digest::from_bytes([1; 32])), &[1, 2, 3], "other-alliance"),
        (&|contents| contents.name = "a\u{1b}[2J".to_owned(), &[1, 2, 3], "bad-charter"),
    ] {
        assert_eq!(try_out(change, signers), outcome, "{signers:?}");
    }
}

fn groups(wanted: &[(&str, &[u8])]) -> Vec<SharingGroup> {
    let group = |(name, members): &(&str, &[u8])| SharingGroup {
        group: (*name).to_owned(),
        group_refs: members.iter().map(|number| id(*number)).collect(),
    };
    wanted.iter().map(group).collect()
}

/// The policy knows the groups of the charter in force, and those of no other.
#[test]
fn groups_come_and_go_with_the_charter() {
    let mut directory = directory();
    let view = |directory: &Directory| Membership::of(&directory.charter().contents).groups;
    assert!(view(&directory).is_empty());
    let with = CharterContents { groups: groups(&[("g", &[1, 3])]), ..next_contents(&directory) };
    directory.advance(Charter::parse(&charter(100, with, &[1, 2, 3]).text()).unwrap()).unwrap();
    assert_eq!(view(&directory), [("g".to_owned(), [id(1), id(3)].into())].into());
    let without = CharterContents { groups: Vec::new(), ..next_contents(&directory) };
    directory.advance(charter(200, without, &[1, 2, 3])).unwrap();
    assert!(view(&directory).is_empty());
}

#[test]
fn a_first_charter_is_trusted_by_its_hash_and_accepted_by_all() {
    let first = charter(0, first_contents(), &[1, 2, 3, 4]);
    let other = Digest::from_bytes([0; 32]);
    assert_eq!(name(Directory::found(first, &other)), "other-alliance");
    let partial = charter(0, first_contents(), &[1, 2, 3]);
    let digest = partial.digest;
    assert_eq!(name(Directory::found(partial, &digest)), "bad-charter");
    // A charter of one's own is another alliance, and follows nothing.
    let mut contents = first_contents();
    contents.members.truncate(1);
    contents.quorum = Quorum { charter_signatures: 1, witness_signatures: 1, block_confirmations: 1 };
    assert_eq!(name(directory().advance(charter(1, contents, &[1]))), "other-alliance");
}

#[test]
fn drafts_are_read_by_signers_only() {
    let draft = Charter::draft(at(0), first_contents()).unwrap();
    assert_eq!(name(Charter::parse(&draft.text())), "malformed");
    let mut read = Charter::parse_draft(&draft.text()).unwrap();
    assert_eq!((read.digest, read.signatures.len()), (draft.digest, 0));
    read.add_signature(&authority(1));
    assert_eq!(Charter::parse(&read.text()).unwrap().digest, draft.digest);
    for (from, to) in [("Allies", "Foes"), ("\"sequence\":0", "\"sequence\":0,\"signatures\":[]")] {
        let altered = draft.text().replacen(from, to, 1);
        assert_eq!(name(Charter::parse_draft(&altered)), "malformed", "{to}");
    }
    let contents = KeyContents {
        alliance: draft.digest,
        created_by_ref: id(1),
        certified: vec![node_key(&node(1))],
        revocations: Vec::new(),
    };
    let statement = KeyStatement::draft(at(0), contents).unwrap().text();
    assert_eq!(name(KeyStatement::parse(&statement)), "malformed");
    assert_eq!(KeyStatement::parse_draft(&statement).unwrap().signatures.len(), 0);
    assert_eq!(name(KeyStatement::parse_draft(&draft.text())), "malformed");
}

#[test]
fn two_charters_after_one() {
    let mut directory = directory();
    let ours = charter(100, next_contents(&directory), &[1, 2, 3]);
    let theirs = charter(200, next_contents(&directory), &[2, 3, 4]);
    directory.advance(ours.clone()).unwrap();
    assert_eq!(name(directory.advance(ours.clone())), "taken", "known already");
    assert_eq!(name(directory.advance(theirs.clone())), "fork");
    let proof = Proof::charters(&directory, &ours, &theirs, at(300)).unwrap().text();
    let verdict = Proof::parse(&proof).unwrap().verify(&directory).unwrap();
    assert_eq!((verdict.breach, verdict.accused), ("charter-fork", vec![id(2), id(3)]));
    assert_eq!(name(Proof::charters(&directory, &ours, &ours, at(300))), "no-proof");
}

#[test]
fn members_without_a_say() {
    for state in [MemberState::Suspended, MemberState::Removed] {
        let mut directory = directory();
        let before = Author::new(1).note(&directory, "before");
        let mut contents = next_contents(&directory);
        contents.members[0].state = state;
        directory.advance(charter(100, contents, &[2, 3, 4])).unwrap();
        // What it made earlier is not taken any more, but is no breach.
        assert_eq!(name(View::new().admit(&directory, &before)), "not-active");
        assert_eq!(name(Proof::entry(&directory, &before, at(300))), "no-proof");
        // Speaking under the charter that silenced it is one, as is clinging to the old one.
        let mut late = Author { second: 200, ..Author::new(1) };
        let entry = late.note(&directory, "now");
        assert_eq!(name(View::new().admit(&directory, &entry)), "not-active");
        let proof = Proof::entry(&directory, &entry, at(300)).unwrap();
        assert_eq!(Proof::parse(&proof.text()).unwrap().verify(&directory).unwrap().accused, [id(1)]);
        let envelope = Envelope { charter: 0, ..Author::new(1).envelope(&directory) };
        let content = release(&[&object(1, 1, "x")]);
        let clinging = Entry::sign(at(200 + 8 * 86_400), envelope, content, &node(1)).unwrap();
        let proof = Proof::entry(&directory, &clinging, at(300)).unwrap();
        assert_eq!(proof.contents.breach, "stale-charter");
    }
    // One proposed has not spoken yet either.
    let mut directory = directory();
    let mut contents = next_contents(&directory);
    contents.members.push(Member { state: MemberState::Proposed, ..member(5) });
    directory.advance(charter(100, contents, &[1, 2, 3])).unwrap();
    let entry = Author { second: 200, ..Author::new(5) }.note(&directory, "x");
    assert_eq!(name(View::new().admit(&directory, &entry)), "not-active");
}

fn statement(directory: &Directory, certified: Vec<NodeKey>, revocations: Vec<Revocation>) -> KeyStatement {
    let contents =
        KeyContents { alliance: directory.alliance(), created_by_ref: id(1), certified, revocations };
    KeyStatement::parse(&KeyStatement::sign(at(300), contents, &authority(1)).unwrap().text()).unwrap()
}

#[test]
fn a_key_is_rotated() {
    let mut directory = directory();
    let new = SecretKey::from_seed(&[201; 32]);
    let revocation =
        Revocation { node_key: node(1).id(), revoked_from: at(400), compromised: false, heads: Vec::new() };
    let rotated =
        statement(&directory, vec![NodeKey { valid_from: at(350), ..node_key(&new) }], vec![revocation]);
    directory.take_keys(rotated.clone()).unwrap();
    directory.take_keys(rotated).unwrap();
    let (mut view, mut author) = (View::new(), Author { second: 100, ..Author::new(1) });
    let early = author.note(&directory, "made before, arrives late");
    assert_eq!(name(view.admit(&directory, &early)), "taken");
    author.second = 500;
    assert_eq!(
        name(view.admit(&directory, &author.draft(&directory, release(&[&object(1, 1, "x")])))),
        "revoked-key"
    );
    author.key = SecretKey::from_seed(&[201; 32]);
    assert_eq!(name(view.admit(&directory, &author.note(&directory, "with the new key"))), "taken");
    let before = Author { second: 200, key: new, ..Author::new(1) }.note(&directory, "x");
    assert_eq!(name(View::new().admit(&directory, &before)), "key-not-valid");
    // The key is member 1's for ever, and only its authority speaks for it.
    let mut contents = next_contents(&directory);
    contents.members[2].node_keys.push(node_key(&author.key));
    assert_eq!(name(directory.advance(charter(600, contents, &[1, 2, 3]))), "foreign-key");
    let contents = KeyContents {
        alliance: directory.alliance(),
        created_by_ref: id(1),
        certified: vec![node_key(&node(60))],
        revocations: Vec::new(),
    };
    let forged = KeyStatement::sign(at(300), contents, &node(1)).unwrap();
    assert_eq!(name(directory.take_keys(forged)), "bad-signature", "a stolen node cannot speak for a state");
    // A later charter that lists the revoked key does not bring it back.
    directory.advance(charter(600, next_contents(&directory), &[1, 2, 3])).unwrap();
    let back = Author { second: 700, ..Author::new(1) }.note(&directory, "x");
    assert_eq!(name(View::new().admit(&directory, &back)), "revoked-key");
}

#[test]
fn a_key_is_stolen() {
    let mut directory = directory();
    let (mut view, mut author) = (View::new(), Author::new(1));
    let honest: Vec<_> = (0..3).map(|n| author.note(&directory, &n.to_string())).collect();
    let thief = author.note(&directory, "the thief's");
    view.admit(&directory, &honest[0]).unwrap();
    let mut deceived = View::new();
    for entry in honest.iter().chain([&thief]) {
        deceived.admit(&directory, entry).unwrap();
    }
    let log = honest[0].log();
    let head = PinnedHead { head_log: log, head_sequence: 3, head_sha256: honest[2].digest };
    let revocation =
        Revocation { node_key: node(1).id(), revoked_from: at(1), compromised: true, heads: vec![head] };
    let new = SecretKey::from_seed(&[202; 32]);
    directory.take_keys(statement(&directory, vec![node_key(&new)], vec![revocation])).unwrap();
    // Whatever time it states, the thief's word is void, and what leads up to the pinned head is not.
    assert_eq!(name(view.admit(&directory, &thief)), "revoked-key");
    assert_eq!(name(view.admit(&directory, &honest[1])), "revoked-key", "alone it could be the thief's");
    assert!(directory.is_void(&thief) && !directory.is_void(&honest[1]));
    let run = |entries: &[Entry], view: &mut View| {
        name(view.ledger.admit_pinned(&directory, entries, &id(2), at(10_000)))
    };
    let mut forged = Author::new(1);
    forged.note(&directory, "0");
    let forged = forged.note(&directory, "another");
    assert_eq!(run(&[forged, honest[2].clone()], &mut view), "gap");
    assert_eq!(run(&[honest[1].clone()], &mut view), "revoked-key");
    assert_eq!(run(&honest[1..], &mut view), "taken");
    // The member goes on with its new key from where it stands; the thief's is no fork of its making.
    let mut author =
        Author { key: new, sequence: 3, previous: Some(honest[2].digest), second: 500, ..Author::new(1) };
    let next = author.note(&directory, "on");
    assert_eq!(name(view.admit(&directory, &next)), "taken");
    assert_eq!(name(Proof::entries(&directory, &thief, &next, at(600))), "revoked-key");
    // Who took the thief's word goes back.
    assert_eq!(name(deceived.admit(&directory, &next)), "fork");
    let back = Head { sequence: 3, digest: honest[2].digest, ..deceived.ledger.head(&log).unwrap().clone() };
    assert!(deceived.ledger.set_back(back.clone()) && !deceived.ledger.set_back(back));
    assert_eq!(name(deceived.admit(&directory, &next)), "taken");
}
