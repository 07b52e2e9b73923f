//! A malicious member with valid keys, and what becomes of what it tries.

use super::*;
use besa_alliance::proof::Proof;

/// A third member with nothing but the charter reads the proof from its text.
fn proved(directory: &Directory, proof: Result<Proof, Refusal>, breach: &str, accused: u8) {
    let text = proof.unwrap().text();
    let verdict = Proof::parse(&text).unwrap().verify(directory).unwrap();
    assert_eq!((verdict.breach, verdict.accused), (breach, vec![id(accused)]));
    // A proof says nothing else than it proves.
    let other =
        text.replace(&format!("\"accused\":[\"{}\"]", id(accused)), &format!("\"accused\":[\"{}\"]", id(9)));
    assert_ne!(other, text);
    assert!(Proof::parse(&other).is_err(), "its id no longer follows");
}

#[test]
fn an_honest_log_is_taken_and_repetition_does_nothing() {
    let (directory, mut view, mut author) = (directory(), View::new(), Author::new(1));
    let entries: Vec<_> = (0..5).map(|n| author.note(&directory, &n.to_string())).collect();
    assert_eq!(name(view.admit(&directory, &entries[1])), "gap");
    for entry in &entries {
        assert_eq!(view.admit(&directory, entry).unwrap(), Admitted::New);
    }
    for entry in &entries {
        assert_eq!(view.admit(&directory, entry).unwrap(), Admitted::Known, "a replay");
    }
    // From a trusted head on, without the entries before it.
    let head = view.ledger.head(&entries[0].log()).unwrap().clone();
    let mut resumed = View { ledger: Ledger::resume([head]), taken: Vec::new() };
    assert_eq!(name(resumed.admit(&directory, &entries[2])), "too-old");
    assert_eq!(resumed.admit(&directory, &author.note(&directory, "6")).unwrap(), Admitted::New);
    // Nothing contradicts anything, so nothing is proved.
    assert_eq!(name(Proof::entries(&directory, &entries[0], &entries[1], at(20))), "no-proof");
    assert_eq!(name(Proof::entries(&directory, &entries[0], &entries[0], at(20))), "no-proof");
    assert_eq!(name(Proof::entry(&directory, &entries[0], at(20))), "no-proof");
}

#[test]
fn a_forked_and_a_rewritten_log() {
    let (directory, mut view, mut author) = (directory(), View::new(), Author::new(1));
    let first = author.note(&directory, "a");
    let second = author.note(&directory, "b");
    view.admit(&directory, &first).unwrap();
    view.admit(&directory, &second).unwrap();
    // Another entry 1, and another history in which an entry 3 follows another entry 2.
    let mut other = Author::new(1);
    let forked = other.note(&directory, "other a");
    other.note(&directory, "other b");
    let rewritten = other.note(&directory, "other c");
    assert_eq!(name(view.admit(&directory, &forked)), "fork");
    assert_eq!(name(view.admit(&directory, &rewritten)), "fork");
    proved(&directory, Proof::entries(&directory, &first, &forked, at(20)), "fork", 1);
    proved(&directory, Proof::entries(&directory, &rewritten, &second, at(20)), "fork", 1);
    // Two members' entries are no fork, nor are those of two logs.
    let of_other = Author::new(3).note(&directory, "a");
    assert_eq!(name(Proof::entries(&directory, &first, &of_other, at(20))), "no-proof");
    let mut elsewhere = Author { audience: Audience::Members(BTreeSet::from([id(2)])), ..Author::new(1) };
    let private = elsewhere.write(&directory, release(&[&object(1, 900, "private")]));
    assert_eq!(view.admit(&directory, &private).unwrap(), Admitted::New);
    assert_eq!(name(Proof::entries(&directory, &first, &private, at(20))), "no-proof");
}

#[test]
fn objects_altered_or_of_another() {
    let directory = directory();
    let is_member = |id: &MemberId| directory.member(id).is_some();
    let (own, altered) = (object(1, 7, "good"), object(1, 7, "evil"));
    let entry = Author::new(1).note(&directory, "x");
    assert_eq!(name(entry.check_object(&own, is_member)), "not-released");
    let entry = Author::new(1).write(&directory, release(&[&own]));
    assert_eq!(name(entry.check_object(&own, is_member)), "taken");
    let spaced = own.replace(":\"", ": \"").replace("good", "g\\u006fod");
    assert_eq!(name(entry.check_object(&spaced, is_member)), "taken", "the same in another spelling");
    assert_eq!(name(entry.check_object(&altered, is_member)), "altered");
    let creator = format!("\"created_by_ref\":\"{}\"", id(1));
    let forged = own.replace(&creator, &format!("\"created_by_ref\":\"{}\"", id(3)));
    assert_eq!(name(entry.check_object(&forged, is_member)), "altered");
    // Twice the same key, digits that a double does not hold, and other Unicode forms.
    for (from, to, refusal) in [
        ("\"content\"", "\"content\":\"good\",\"content\"", "bad-object"),
        ("\"content\"", "\"x_size\":9007199254740993,\"content\"", "malformed"),
        ("good", "go\u{301}od", "altered"),
    ] {
        let found = name(entry.check_object(&own.replacen(from, to, 1), is_member));
        assert!(found == refusal || found == "malformed", "{to}: {found}");
    }
    // Member 4 releases member 1's object as its own word, or as its own revocation.
    for text in [own.clone(), own.replace("\"content\"", "\"revoked\":true,\"content\"")] {
        let stolen = Author::new(4).write(&directory, release(&[&text]));
        assert_eq!(name(stolen.check_object(&text, is_member)), "wrong-creator");
        proved(&directory, Proof::creator(&directory, &stolen, &text, at(20)), "wrong-creator", 4);
    }
    assert_eq!(name(Proof::creator(&directory, &entry, &own, at(20))), "no-proof");
    assert_eq!(
        name(Proof::creator(&directory, &entry, &altered, at(20))),
        "altered",
        "anybody may alter a copy"
    );
    // An object of somebody who is no member may be passed on.
    let foreign = object(77, 8, "a vendor's");
    assert_eq!(
        name(Author::new(4).write(&directory, release(&[&foreign])).check_object(&foreign, is_member)),
        "taken"
    );
    // Two bodies for one version.
    let again = Author { sequence: 1, previous: Some(entry.digest), ..Author::new(1) }
        .write(&directory, release(&[&altered]));
    proved(&directory, Proof::entries(&directory, &entry, &again, at(20)), "two-bodies", 1);
}

#[test]
fn too_much() {
    let directory = directory();
    let texts: Vec<_> = (0..6).map(|n| object(1, n, "x")).collect();
    let all: Vec<_> = texts.iter().map(String::as_str).collect();
    let oversized = Author::new(1).write(&directory, release(&all));
    assert_eq!(name(View::new().admit(&directory, &oversized)), "over-limit");
    proved(&directory, Proof::entry(&directory, &oversized, at(20)), "over-limit", 1);
    let huge = format!("{{\"type\":\"besa-release\",\"x\":\"{}\"}}", "a".repeat(4 << 20));
    assert!(Entry::parse(&huge).is_err());
    // A flood: eleven entries within an hour of their own times.
    let (mut view, mut author) = (View::new(), Author::new(1));
    let flood: Vec<_> = (0..11).map(|n| author.note(&directory, &n.to_string())).collect();
    let outcomes: Vec<_> = flood.iter().map(|entry| name(view.admit(&directory, entry))).collect();
    assert_eq!((&outcomes[..10], outcomes[10]), (["taken"; 10].as_slice(), "over-limit"));
    proved(&directory, Proof::entries(&directory, &flood[0], &flood[10], at(20)), "over-limit", 1);
    assert_eq!(name(Proof::entries(&directory, &flood[0], &flood[9], at(20))), "no-proof");
    // The hour over, it goes on.
    author = Author { sequence: 10, previous: Some(flood[9].digest), second: 4_000, ..Author::new(1) };
    assert_eq!(name(view.admit(&directory, &author.note(&directory, "later"))), "taken");
    // A log for every audience.
    let mut view = View::new();
    let outcomes: Vec<_> = (10..14)
        .map(|other| {
            let audience = Audience::Members(BTreeSet::from([id(2), id(other)]));
            name(view.admit(&directory, &Author { audience, ..Author::new(1) }.note(&directory, "x")))
        })
        .collect();
    assert_eq!(outcomes, ["taken", "taken", "taken", "over-limit"]);
}

#[test]
fn who_may_not_speak() {
    let directory = directory();
    let view = |entry: &Entry| name(View::new().admit(&directory, entry));
    let entry = |author: &Author| author.draft(&directory, release(&[&object(author.number, 1, "x")]));
    assert_eq!(view(&entry(&Author::new(9))), "no-member");
    assert_eq!(view(&entry(&Author { key: node(3), ..Author::new(1) })), "foreign-key");
    assert_eq!(
        view(&entry(&Author { key: authority(1), ..Author::new(1) })),
        "foreign-key",
        "a charter's key signs no release"
    );
    assert_eq!(view(&entry(&Author { second: 20_000, ..Author::new(1) })), "from-the-future");
    assert_eq!(
        view(&entry(&Author { second: -900, ..Author::new(1) })),
        "bad-charter",
        "older than its charter"
    );
    assert_eq!(
        view(&entry(&Author { audience: Audience::Members(BTreeSet::from([id(3)])), ..Author::new(1) })),
        "not-for-us"
    );
    // Without the role.
    let mut contents = next_contents(&directory);
    contents.members[0].roles.clear();
    contents.quorum.witness_signatures = 1;
    let mut lesser = directory.clone();
    lesser.advance(charter(100, contents, &[1, 2, 3])).unwrap();
    let entry = Author { second: 200, ..Author::new(1) }.note(&lesser, "x");
    assert_eq!(name(View::new().admit(&lesser, &entry)), "no-role");
    proved(&lesser, Proof::entry(&lesser, &entry, at(300)), "no-role", 1);
    // Another alliance of the same members with the same keys.
    let mut contents = first_contents();
    contents.name = "Others".to_owned();
    let others = charter(0, contents, &[1, 2, 3, 4]);
    let digest = others.digest;
    let others = Directory::found(others, &digest).unwrap();
    let entry = Author::new(1).note(&others, "x");
    assert_eq!(name(View::new().admit(&directory, &entry)), "other-alliance");
    assert_eq!(
        name(Proof::entries(&directory, &entry, &Author::new(1).note(&directory, "y"), at(20))),
        "other-alliance"
    );
}

#[test]
fn signatures_serve_one_purpose_and_have_one_form() {
    let directory = directory();
    let entry = Author::new(1).note(&directory, "x");
    let signature = |text: &str| text.split("\"ed25519\":\"").nth(1).unwrap()[..128].to_owned();
    let text = entry.text();
    // Every bit of the signature counts, and the order of the group cannot be added to it.
    let found = signature(&text);
    for at in [0, 63, 64, 127] {
        let digit = if &found[at..=at] == "0" { "1" } else { "0" };
        let changed = format!("{}{digit}{}", &found[..at], &found[at + 1..]);
        let altered = Entry::parse(&text.replace(&found, &changed)).unwrap();
        assert_eq!(name(View::new().admit(&directory, &altered)), "bad-signature");
    }
    // A receipt's signature on a release, and one taken from another member's same words.
    let receipt = Receipt {
        receipt_for: entry.reference(),
        outcome: besa_alliance::entry::EntryOutcome::Accepted,
        reason: None,
        results: Vec::new(),
    };
    let receipt = Author::new(1).draft(&directory, Content::Receipt(receipt));
    assert_eq!(name(View::new().admit(&directory, &receipt)), "taken");
    let crossed = Entry::parse(&text.replace(&found, &signature(&receipt.text()))).unwrap();
    assert_eq!(name(View::new().admit(&directory, &crossed)), "bad-signature");
    assert!(
        Entry::parse(&text.replace("besa-release", "besa-answer")).is_err(),
        "the id belongs to the type"
    );
    // Changes of any property, known or not.
    for (from, to) in [
        ("\"sequence\":1", "\"sequence\":1,\"x_more\":1"),
        ("\"sequence\":1", "\"sequence\":1.5"),
        ("\"sequence\":1", "\"sequence\":2"),
        ("\"sequence\":1", "\"sequence\":1,\"sequence\":1"),
        ("\"charter\":0", "\"charter\":9007199254740993"),
        ("\"audience\":[\"charter\"]", "\"audience\":[]"),
        ("\"spec_version\":\"2.1\"", "\"spec_version\":\"2.0\""),
        ("\"extension_type\":\"new-sdo\"", "\"extension_type\":\"new-sdo\",\"a\":1"),
        ("\"signatures\":[", "\"signatures\":[],\"x\":["),
        ("\"object_marking_refs\":[", "\"object_marking_refs\":[\"tool\","),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        assert!(Entry::parse(&altered).is_err(), "{to}");
    }
    // Order, white space and escapes do not count.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let respelled = serde_json::to_string_pretty(&value).unwrap().replace("charter", "ch\\u0061rter");
    assert_eq!(Entry::parse(&respelled).unwrap().digest, entry.digest);
}

#[test]
fn witnesses() {
    let (directory, mut author) = (directory(), Author::new(1));
    let entry = author.note(&directory, "x");
    let other = Author::new(1).note(&directory, "y");
    let statement = |number: u8, head: EntryRef| {
        Author::new(number).draft(&directory, Content::Witness(Witness { heads: vec![head] }))
    };
    let head = entry.reference();
    let statements = [statement(1, head.clone()), statement(3, head.clone()), statement(3, head.clone())];
    assert_eq!(besa_alliance::log::witnessed(&directory, &head, &statements), (1, false));
    let more = statement(4, head.clone());
    assert_eq!(besa_alliance::log::witnessed(&directory, &head, statements.iter().chain([&more])), (2, true));
    // The same witness to two histories, in two logs of its own, so that it is no fork.
    let mut private = Author { audience: Audience::Members(BTreeSet::from([id(2)])), ..Author::new(3) };
    let lie = private.write(&directory, Content::Witness(Witness { heads: vec![other.reference()] }));
    proved(&directory, Proof::entries(&directory, &statements[1], &lie, at(20)), "two-heads", 3);
}

#[test]
fn time_does_not_run_backwards() {
    let (directory, mut view, mut author) =
        (directory(), View::new(), Author { second: 500, ..Author::new(1) });
    let first = author.note(&directory, "a");
    author.second = 100;
    let second = author.note(&directory, "b");
    view.admit(&directory, &first).unwrap();
    assert_eq!(name(view.admit(&directory, &second)), "time-backwards");
    proved(&directory, Proof::entries(&directory, &first, &second, at(20)), "time-backwards", 1);
}
