//! Answers to a hunt, found and not found, and receipts.

use super::*;
use besa_alliance::answer::{Coverage, Seen, read_sighting, sighting};
use besa_alliance::entry::{Answer, EntryOutcome, ObjectOutcome, ReceiptLine};
use besa_stix::validate::{is_valid, validate};

fn seen(question: &Entry, count: u64, span: Option<(i64, i64)>) -> Seen {
    let asked = &question.content().objects()[0];
    let sources = vec!["windows/sysmon".to_owned(), "zeek/dns".to_owned()];
    Seen {
        object_ref: asked.object_ref.clone(),
        count,
        span: span.map(|(first, last)| (at(first), at(last))),
        coverage: Coverage::new(asked.object_sha256, at(-1_000)..at(0), sources),
    }
}

#[test]
fn sightings_say_what_was_searched() {
    let directory = directory();
    let question = Author::new(1).note(&directory, "look for this");
    let markings = [TLP_2_GREEN.to_owned()];
    let answer = |member: u8, text: &str, to: EntryRef| {
        let objects = vec![released_object(text).unwrap()];
        Author::new(member).draft(&directory, Content::Answer(Answer { answer_to: to, objects }))
    };
    for facts in [seen(&question, 0, None), seen(&question, 3, Some((-900, -10)))] {
        let object = sighting(&id(3), at(5), &markings, &facts).unwrap();
        let problems = validate(&object);
        assert!(is_valid(&problems), "{problems:?}");
        let text = object.to_string();
        let entry = answer(3, &text, question.reference());
        assert_eq!(name(View::new().admit(&directory, &entry)), "taken");
        assert_eq!(read_sighting(&entry, &question, &text).unwrap(), facts);
        // Altered, another's, to another question, without its coverage.
        let altered = text.replace("zeek/dns", "zeek/all");
        assert_eq!(name(read_sighting(&entry, &question, &altered)), "altered");
        assert_eq!(
            name(read_sighting(&answer(4, &text, question.reference()), &question, &text)),
            "wrong-creator"
        );
        let other = Author::new(4).note(&directory, "another");
        assert_eq!(name(read_sighting(&entry, &other, &text)), "bad-object");
        assert_eq!(name(read_sighting(&answer(3, &text, other.reference()), &other, &text)), "bad-object");
        let bare = text.replace("window_start", "window_begin");
        assert_eq!(
            name(read_sighting(&answer(3, &bare, question.reference()), &question, &bare)),
            "bad-object"
        );
    }
    for bad in [
        seen(&question, 0, Some((-900, -10))),
        seen(&question, 3, None),
        seen(&question, 3, Some((-10, -900))),
        seen(&question, 3, Some((-2_000, -10))),
        seen(&question, 3, Some((-10, 0))),
        seen(&question, 1_000_000_000, Some((-900, -10))),
    ] {
        assert_eq!(name(sighting(&id(3), at(5), &markings, &bad)), "bad-object");
    }
}

#[test]
fn receipts_give_reasons() {
    let directory = directory();
    let release = Author::new(1).note(&directory, "x");
    let line = |outcome, reason: Option<&str>| ReceiptLine {
        object_ref: release.content().objects()[0].object_ref.clone(),
        object_modified: None,
        outcome,
        reason: reason.map(str::to_owned),
    };
    let accepted = Receipt {
        receipt_for: release.reference(),
        outcome: EntryOutcome::Accepted,
        reason: None,
        results: Vec::new(),
    };
    let refused =
        Receipt { outcome: EntryOutcome::Refused, reason: Some("fork".to_owned()), ..accepted.clone() };
    let with = |receipt: &Receipt, results: Vec<ReceiptLine>| Receipt { results, ..receipt.clone() };
    for (receipt, good) in [
        (accepted.clone(), true),
        (refused.clone(), true),
        (with(&accepted, vec![line(ObjectOutcome::Quarantined, Some("own asset"))]), true),
        (with(&accepted, vec![line(ObjectOutcome::Withdrawn, None)]), true),
        (with(&accepted, vec![line(ObjectOutcome::Quarantined, None)]), false),
        (with(&accepted, vec![line(ObjectOutcome::Withdrawn, Some("why"))]), false),
        (
            with(&accepted, vec![line(ObjectOutcome::Withdrawn, None), line(ObjectOutcome::Withdrawn, None)]),
            false,
        ),
        (with(&refused, vec![line(ObjectOutcome::Withdrawn, None)]), false),
        (Receipt { reason: Some("a\u{7}".to_owned()), ..refused.clone() }, false),
        (Receipt { reason: None, ..refused }, false),
    ] {
        let author = Author::new(2);
        let entry = Entry::sign(at(1), author.envelope(&directory), Content::Receipt(receipt), &author.key);
        assert_eq!(entry.is_ok(), good);
    }
}
