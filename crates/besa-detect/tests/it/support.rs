//! JSON events into batches, rules into detectors.

use std::path::PathBuf;

use besa_detect::intel::Intel;
use besa_detect::{Deferred, Detector, Finding, Outcome, Scope};
use besa_event::{Batch, Dictionary, EventTime, Head, LogSource, LogSourceId, LogSources, Origin, ValueKind};
use serde_json::Value;

/// The foreign vectors and corpora, if they are here.
pub(crate) fn shared(what: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BESA_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = root.join(what);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no foreign vectors at {}", path.display());
    None
}

/// One event of a test.
pub(crate) struct TestEvent<'a> {
    pub(crate) fields: &'a Value,
    pub(crate) class: LogSourceId,
    pub(crate) record: u64,
}

/// Appends an event. Objects are flattened with dots, arrays repeat the field; `@time` is the
/// event's time, `@host` its host.
pub(crate) fn push(batch: &mut Batch, dictionary: &Dictionary, sources: &LogSources, event: &TestEvent<'_>) {
    let mut head = Head { record: event.record, logsource: event.class, ..Head::default() };
    for (name, value) in event.fields.as_object().expect("an event is an object") {
        match name.as_str() {
            "@time" => head.time = EventTime::parse_iso(value.as_str().unwrap().as_bytes()),
            "@host" => head.host = batch.append(value.as_str().unwrap().as_bytes()),
            name => flatten(batch, dictionary, name, value),
        }
    }
    batch.end_event(dictionary, sources, head);
}

fn flatten(batch: &mut Batch, dictionary: &Dictionary, name: &str, value: &Value) {
    let (kind, text) = match value {
        Value::Null => (ValueKind::Null, String::new()),
        Value::Bool(truth) => (ValueKind::Boolean, truth.to_string()),
        Value::Number(number) => (ValueKind::Number, number.to_string()),
        // Half of the texts go in escaped, as a JSON reader leaves them.
        Value::String(text) if text.contains('\\') => {
            let quoted = serde_json::to_string(text).unwrap();
            (ValueKind::JsonText, quoted[1..quoted.len() - 1].to_owned())
        }
        Value::String(text) => (ValueKind::Text, text.clone()),
        Value::Array(members) => {
            return members.iter().for_each(|member| flatten(batch, dictionary, name, member));
        }
        Value::Object(members) => {
            for (inner, member) in members {
                flatten(batch, dictionary, &format!("{name}.{inner}"), member);
            }
            (ValueKind::Node, String::new())
        }
    };
    let span = batch.append(text.as_bytes());
    let id = dictionary.lookup(name.as_bytes()).unwrap_or_else(|| {
        let name = batch.append(name.as_bytes());
        batch.local_name(name)
    });
    batch.push_field(id, kind, span);
}

/// Hunts JSON events of one log source with rules in YAML.
pub(crate) struct Hunted {
    pub(crate) detector: Detector,
    pub(crate) findings: Vec<Finding>,
    pub(crate) outcome: Outcome,
    pub(crate) dropped: u64,
}

pub(crate) fn hunt(rules: &str, class: LogSource, events: &[Value]) -> Hunted {
    let set = besa_sigma::parse("test.yml", rules.as_bytes(), &besa_sigma::Placeholders::default());
    assert!(set.refused.is_empty(), "{:?}", set.refused);
    let (detector, errors) = Detector::new(set, Intel::default(), Scope::default());
    assert_eq!(errors, besa_detect::NotCompiled::default());
    let class = detector.sources().intern(class);
    let mut batch = Batch::default();
    batch.reset(Origin::new("events.json"), 0, Vec::new());
    for (record, fields) in (1..).zip(events) {
        push(&mut batch, detector.dictionary(), detector.sources(), &TestEvent { fields, class, record });
    }
    let mut outcome = Outcome::default();
    detector.worker().run(&batch, &mut outcome);
    let mut findings = std::mem::take(&mut outcome.findings);
    outcome.hits.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    let mut deferred = Deferred::new(&detector);
    for hit in &outcome.hits {
        deferred.push(hit, &mut findings);
    }
    deferred.finish(&mut findings);
    let dropped = deferred.dropped();
    Hunted { detector, findings, outcome, dropped }
}

/// Every rule file below a folder, sorted.
pub(crate) fn yaml_files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    files
}
