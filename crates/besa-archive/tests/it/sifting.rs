//! Rows picked by their values: none is missed that holds what is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use besa_archive::index::{Asked, Observe, Observed, Sieve, SieveHand};
use besa_archive::{Archive, IngestOptions, Judge, Reader, Wanted, Window, Writer};
use besa_event::observable::ObservableKind;
use besa_event::{Batch, Dictionary, Field, Keep, LogSource, LogSources, Timestamp, ValueKind};
use proptest::prelude::*;

use crate::rebuilding::made;
use crate::support::{DAY, Made, batch, dictionary, scan, shown, with_second_names};

const NAMES: [&str; 9] =
    ["", "image", "newprocessname", "method", "besa_time", "Ünï", "x", "process", "plain"];

/// Every value under each name of its field is a service's name.
#[derive(Debug)]
struct Named;

fn number(name: &str) -> u32 {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).unwrap_or(99) as u32
}

fn key(name: &str, text: &[u8]) -> Vec<u8> {
    [number(name).to_string().as_bytes(), text].concat()
}

impl Observe for Named {
    fn version(&self) -> u32 {
        1
    }

    fn ways(&self, _: &LogSource, names: &[&str]) -> Vec<u32> {
        names.iter().map(|name| number(name)).collect()
    }

    fn observe(&self, way: u32, text: &[u8], _: &mut Vec<u8>, see: &mut dyn FnMut(Observed<'_>)) {
        let name = NAMES.get(way as usize).copied().unwrap_or("other");
        see(Observed::Value(ObservableKind::ServiceName, &key(name, text)));
    }
}

/// What an event holds that can be asked for. Names that a class of events gives to others' fields are
/// for the observer to know, and this one knows none.
fn values(batch: &Batch, number: usize, dictionary: &Dictionary) -> BTreeSet<Vec<u8>> {
    let event = batch.event(number);
    let fields = event.own_fields().iter();
    let fields = fields.filter(|field| matches!(field.kind, ValueKind::Text | ValueKind::JsonText));
    let text = |field: &Field| key(&event.field_name(dictionary, field.name), &event.value(field).text());
    let mut values: BTreeSet<Vec<u8>> = fields.map(text).collect();
    if event.fields().next().is_none() && !event.raw().is_empty() {
        values.insert(key("", event.raw()));
    }
    values
}

/// Those of an event's values that are asked for.
fn held(
    batch: &Batch,
    number: usize,
    dictionary: &Dictionary,
    asked_for: &BTreeSet<&[u8]>,
) -> BTreeSet<Vec<u8>> {
    let all = values(batch, number, dictionary).into_iter();
    all.filter(|value| asked_for.contains(value.as_slice())).collect()
}

/// Needs of an event only what is asked for.
struct Partly<'a>(SieveHand<'a>);

impl Judge for Partly<'_> {
    fn ways(&mut self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        self.0.ways(class, names)
    }

    fn meets(&mut self, way: u32, text: &[u8]) -> bool {
        self.0.meets(way, text)
    }

    fn looks_at_numbers(&self) -> bool {
        self.0.looks_at_numbers()
    }

    fn is_part(&self, _: u32) -> bool {
        false
    }

    fn suffices(&self) -> bool {
        true
    }
}

/// Events of which some value is among every `step`-th of all values: those that the sieve gives,
/// and those that hold one.
fn check(
    batches: &[Batch],
    dictionary: &Dictionary,
    sources: &LogSources,
    step: usize,
    window: Window,
) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().display().to_string();
    let writer = Writer::open(&url, Some(Arc::new(Named))).unwrap();
    let mut ingest = writer.ingest(IngestOptions { memory: 1 << 16, ..IngestOptions::default() }).unwrap();
    batches.iter().for_each(|batch| ingest.append(batch, dictionary, sources, Timestamp(DAY)).unwrap());
    ingest.flush(Timestamp(DAY)).unwrap();
    let archive = Archive::open(&url).unwrap();

    let of_events = batches.iter().flat_map(|batch| (0..batch.len()).map(move |number| (batch, number)));
    let all: BTreeSet<Vec<u8>> =
        of_events.clone().flat_map(|(batch, number)| values(batch, number, dictionary)).collect();
    let asked_for: BTreeSet<&[u8]> = all.iter().step_by(step).map(Vec::as_slice).collect();
    let asked = Asked::new(asked_for.iter().map(|value| (ObservableKind::ServiceName, *value)));
    let numbered: Vec<&[u8]> = asked_for.iter().copied().collect();
    let value = |number: u32| Some((ObservableKind::ServiceName, *numbered.get(number as usize)?));
    let sieve = Sieve::new(&Named, &asked, &value, [1, 2]);
    let looked = archive.look_up(&asked, 1);

    let holding: Vec<String> = of_events
        .filter(|(batch, number)| window.holds(batch.event(*number).time().map(|time| time.at.0)))
        .filter(|(batch, number)| {
            values(batch, *number, dictionary).iter().any(|value| asked_for.contains(value.as_slice()))
        })
        .map(|(batch, number)| shown(batch.event(number), dictionary, sources))
        .collect();
    let inner = LogSources::new();
    let mut reader = Reader::new(&archive, window, dictionary, &inner);
    let wanted = Wanted { keep: Keep::Everything, raw: true };
    let (mut sifted, mut inside) = (BTreeSet::new(), 0);
    let (mut hand, mut partly) = (sieve.hand(), Partly(sieve.hand()));
    for file in archive.manifest().files.values() {
        for group in 0..file.groups.len() {
            let hits = looked.hits.get(&(file.number, group as u32));
            let is_hit = looked.groups.get(&file.number).is_some_and(|groups| groups >> group & 1 == 1);
            assert_eq!(hits.is_some(), is_hit);
            let mut of_group = 0;
            let mut whole = |hits| {
                let (mut events, mut parts) = (Vec::new(), Vec::new());
                hand.look_for(hits);
                let sift = reader.sift(file, group, wanted, &mut hand, &mut |batch| {
                    events.extend(batch.events().map(|event| shown(event, dictionary, &inner)));
                    parts.extend((0..batch.len()).map(|number| held(batch, number, dictionary, &asked_for)));
                    Ok(())
                });
                of_group = sift.unwrap();
                (events, parts)
            };
            let (all, holding) = whole(None);
            if hits.is_some() {
                let (of_hits, _) = whole(hits);
                assert_eq!(all, of_hits, "what the index says of a row group suffices");
            } else {
                assert_eq!(all, Vec::<String>::new());
            }
            sifted.extend(all);
            inside += of_group;
            // Of the rows that are picked, what is asked for is there though the rest is not.
            partly.0.look_for(hits);
            let wanted = Wanted { raw: false, ..wanted };
            let mut left = holding.into_iter();
            if hits.is_some() {
                let sift = reader.sift(file, group, wanted, &mut partly, &mut |batch| {
                    for number in 0..batch.len() {
                        let expected = left.next().unwrap();
                        let found = held(batch, number, dictionary, &asked_for);
                        assert!(found.is_superset(&expected), "{found:?} {expected:?}");
                        // What is left out is empty, and the empty text may be asked for (one byte tells the field).
                        assert!(
                            found.difference(&expected).all(|value| value.len() == 1),
                            "{found:?} {expected:?}"
                        );
                    }
                    Ok(())
                });
                sift.unwrap();
            }
            assert_eq!(left.next(), None);
        }
    }
    let (all, _) = scan(&archive, window, dictionary);
    assert_eq!(inside, all.len() as u64);
    assert!(sifted.iter().all(|event| all.binary_search(event).is_ok()), "an event that is not there");
    let missed: Vec<_> = holding.iter().filter(|event| !sifted.contains(*event)).collect();
    assert!(missed.is_empty(), "{missed:#?} of {asked_for:?}");
    (sifted.len(), holding.iter().collect::<BTreeSet<_>>().len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_event_is_missed(made in prop::collection::vec(made(), 0..40), step in 1_usize..30, cut in any::<bool>()) {
        let (dictionary, sources) = (dictionary(), LogSources::new());
        let batches = [batch("a.log", &made, &dictionary, &sources)];
        let window = if cut { Window { from: Some(-DAY), to: Some(DAY / 2) } } else { Window::default() };
        check(&batches, &dictionary, &sources, step, window);
    }
}

#[test]
fn few_events_are_picked_of_many() {
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let field = |name: &str, kind, value: String| (name.to_owned(), kind, value.into_bytes());
    // Distinct values, values that repeat, and a second value of a name, which is in the overflow.
    let made: Vec<Made> = (0..3_000_u32)
        .map(|n| Made {
            time: Some(i64::from(n)),
            fields: vec![
                field("method", 1, format!("a\\\\{}", n % 700)),
                field("x", 0, n.to_string()),
                field("x", 1, format!("more{}", n % 900)),
            ],
            ..Made::default()
        })
        .collect();
    let batches = [batch("a.log", &made, &dictionary, &sources)];
    for step in [1_000, 40] {
        let (sifted, holding) = check(&batches, &dictionary, &sources, step, Window::default());
        assert_eq!(sifted, holding, "every {step}th value");
        assert!(sifted > 0 && sifted < 1_000);
    }
    let bare = [Made { raw: true, ..Made::default() }, Made::default()];
    check(&[batch("b.log", &bare, &dictionary, &sources)], &dictionary, &sources, 1, Window::default());
}

#[test]
fn a_value_is_found_under_its_second_name() {
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let batches = [with_second_names("a.log", 300, &dictionary, &sources)];
    let (sifted, holding) = check(&batches, &dictionary, &sources, 7, Window::default());
    assert_eq!(sifted, holding);
}
