//! Events made for tests, and how they are compared.

use std::sync::Arc;

use besa_archive::index::{Observe, Observed};
use besa_archive::{Archive, IngestOptions, Receipt, Scan, Scanned, Wanted, Window, Writer};
use besa_event::observable::ObservableKind;
use besa_event::{
    Batch, Dictionary, Event, EventTime, Head, Keep, LogSource, LogSources, Origin, Precision, Span,
    Timestamp, ValueKind, Zone,
};

pub(crate) const DAY: i64 = 86_400 * 1_000_000_000;

/// A dictionary with names that records use, so that some ids are not local.
pub(crate) fn dictionary() -> Dictionary {
    let mut builder = Dictionary::builder();
    builder.intern("Image");
    builder.intern("CommandLine");
    builder.build()
}

/// One event as test data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) time: Option<i64>,
    pub(crate) class: u8,
    pub(crate) host: String,
    pub(crate) fields: Vec<(String, u8, Vec<u8>)>,
    /// Whether a raw record is made of the fields, with text between.
    pub(crate) raw: bool,
}

pub(crate) fn classes(sources: &LogSources, number: u8) -> besa_event::LogSourceId {
    sources.intern(match number % 3 {
        0 => LogSource::default(),
        1 => LogSource::new("windows", &["security"], &["process_creation"]),
        _ => LogSource::new("zeek", &["http"], &["proxy", "webserver"]),
    })
}

pub(crate) fn batch(origin: &str, made: &[Made], dictionary: &Dictionary, sources: &LogSources) -> Batch {
    const KINDS: [ValueKind; 6] = [
        ValueKind::Text,
        ValueKind::JsonText,
        ValueKind::Number,
        ValueKind::Boolean,
        ValueKind::Null,
        ValueKind::Node,
    ];
    let mut batch = Batch::default();
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for event in made {
        let start = bytes.len();
        let fields = event.fields.iter().map(|(name, kind, value)| {
            let kind = KINDS[usize::from(*kind) % KINDS.len()];
            let value: &[u8] = if matches!(kind, ValueKind::Null | ValueKind::Node) { b"" } else { value };
            bytes.extend_from_slice(format!("{name}=").as_bytes());
            let from = bytes.len();
            bytes.extend_from_slice(value);
            let span = Span::new(from..bytes.len());
            bytes.push(b';');
            (name.clone(), kind, span)
        });
        let fields: Vec<_> = fields.collect();
        spans.push((fields, Span::new(start..bytes.len())));
    }
    batch.reset(Origin::new(origin), 0, bytes);
    for ((number, event), (fields, raw)) in (1..).zip(made).zip(spans) {
        for (name, kind, span) in fields {
            let id = dictionary.lookup(name.as_bytes()).unwrap_or_else(|| {
                let name = batch.append(name.as_bytes());
                batch.local_name(name)
            });
            batch.push_field(id, kind, span);
        }
        let host = batch.append(event.host.as_bytes());
        let time = event.time.map(|at| EventTime {
            at: Timestamp(at),
            precision: Precision::HundredNanoseconds,
            zone: Zone::Assumed,
        });
        let logsource = classes(sources, event.class);
        let raw = if event.raw { raw } else { Span::default() };
        batch.end_event(dictionary, sources, Head { raw, host, time, record: number, logsource });
    }
    batch
}

/// Events whose `process` was also given the name `Image` by a reader.
pub(crate) fn with_second_names(
    origin: &str,
    count: u64,
    dictionary: &Dictionary,
    sources: &LogSources,
) -> Batch {
    let mut batch = Batch::default();
    batch.reset(Origin::new(origin), 0, Vec::new());
    let second = dictionary.lookup(b"Image").unwrap();
    for record in 0..count {
        let name = batch.append(b"process");
        let (name, value) = (batch.local_name(name), batch.append(format!("value{record}").as_bytes()));
        let plain = batch.append(b"plain");
        let (plain, other) = (batch.local_name(plain), batch.append(format!("other{record}").as_bytes()));
        batch.push_field(name, ValueKind::Text, value);
        batch.push_field(plain, ValueKind::Text, other);
        batch.push_field(second, ValueKind::Text, value);
        batch.end_event(dictionary, sources, Head { record, ..Head::default() });
    }
    batch
}

/// An event as text: everything that a matcher could see.
pub(crate) fn shown(event: Event<'_>, dictionary: &Dictionary, sources: &LogSources) -> String {
    let fields: Vec<String> = event
        .fields()
        .map(|field| {
            let name = event.field_name(dictionary, field.name);
            format!("{name}:{:?}={}", field.value.kind, field.value.bytes.escape_ascii())
        })
        .collect();
    format!(
        "{}#{} {:?} {} {:?} raw={} {fields:?}",
        event.batch().origin,
        event.head().record,
        event.time(),
        event.host(),
        sources.get(event.logsource()),
        event.raw().escape_ascii(),
    )
}

pub(crate) fn add(url: &str, batches: &[Batch], dictionary: &Dictionary, sources: &LogSources) -> Receipt {
    let options = IngestOptions { memory: 1 << 20, ..IngestOptions::default() };
    let writer = Writer::open(url, Some(Arc::new(Words))).unwrap();
    let mut ingest = writer.ingest(options).unwrap();
    for batch in batches {
        ingest.append(batch, dictionary, sources, Timestamp(DAY)).unwrap();
    }
    ingest.flush(Timestamp(DAY)).unwrap()
}

pub(crate) fn scan(archive: &Archive, window: Window, dictionary: &Dictionary) -> (Vec<String>, Scanned) {
    let sources = LogSources::new();
    let mut events = Vec::new();
    let wanted = Wanted { keep: Keep::Everything, raw: true };
    let scan = Scan {
        window,
        admits: &|_| true,
        wanted,
        dictionary,
        sources: &sources,
        groups: None,
        cancelled: &|| false,
        progress: &|_| (),
    };
    let report = archive
        .scan(&scan, &mut |batch| {
            events.extend(batch.events().map(|event| shown(event, dictionary, &sources)));
            Ok(())
        })
        .unwrap();
    events.sort();
    (events, report)
}

/// The least index: every value is a service's name, if its field or a second name is `Image`.
#[derive(Debug)]
pub(crate) struct Words;

impl Observe for Words {
    fn version(&self) -> u32 {
        1
    }

    fn ways(&self, _: &LogSource, names: &[&str]) -> Vec<u32> {
        if names.iter().any(|name| name.eq_ignore_ascii_case("image")) { vec![0] } else { Vec::new() }
    }

    fn observe(&self, _: u32, text: &[u8], _: &mut Vec<u8>, see: &mut dyn FnMut(Observed<'_>)) {
        see(Observed::Value(ObservableKind::ServiceName, text));
    }
}
