//! The decoder against the `evtx` crate, against the writer, and against damage.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::evtx::{EvtxParser, ParserSettings};
use besa_event::{Dictionary, Event, Keep, LogSources, Origin, ValueKind};
use serde_json::{Map, Value};

use super::*;
use crate::Limits;

/// A field as the tests compare it.
type Pair = (String, String);

/// What a run needs.
struct Setting {
    dictionary: Dictionary,
    sources: LogSources,
    keep: Keep,
}

impl Setting {
    fn everything() -> Self {
        Self::new(&[], Keep::Everything)
    }

    fn new(names: &[&str], keep: Keep) -> Self {
        let mut dictionary = Dictionary::builder();
        for name in names {
            dictionary.intern(name);
        }
        Self { dictionary: dictionary.build(), sources: LogSources::new(), keep }
    }

    fn context(&self) -> Context<'_> {
        Context {
            dictionary: &self.dictionary,
            sources: &self.sources,
            keep: self.keep,
            reference: None,
            carve: true,
            limits: Limits::default(),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Batch {
        let mut batch = Batch::default();
        batch.origin = Origin::new("a.evtx");
        decode(&self.context(), Position::default(), bytes, &mut Decoder::default(), &mut batch);
        batch
    }

    fn pairs(&self, event: Event<'_>) -> Vec<Pair> {
        let pair = |field: besa_event::FieldView<'_>| {
            let name = event.field_name(&self.dictionary, field.name).into_owned();
            (name, String::from_utf8(field.value.bytes.to_vec()).expect("values are UTF-8"))
        };
        event.fields().map(pair).collect()
    }
}

fn ids(batch: &Batch) -> Vec<u64> {
    batch.events().map(|event| event.head().record).collect()
}

fn defects(batch: &Batch) -> Vec<String> {
    batch.defects.iter().map(ToString::to_string).collect()
}

// Against the oracle.

/// The place of foreign test data, or `None` with a word about it.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BESA_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    note(&format!("skipped: no foreign vectors at {}", path.display()));
    None
}

#[allow(clippy::print_stderr, reason = "a test says what it compared or why it did not")]
fn note(text: &str) {
    eprintln!("{text}");
}

fn logs_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("evtx")) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The fields of the oracle's JSON. Where it says the same as our fields in another way, the
/// difference is taken out here and nowhere else:
/// - repeated names bear suffixes (`Data_1`), or are one array;
/// - names of `Data` keep their white space;
/// - an element whose attributes are all left out is `null`; to us, one that is made to bear
///   attributes (`Correlation`, `Security`) is never a field of its own;
/// - of an empty element it does not tell whether the value is null or an empty string.
fn oracle_pairs(record: &Value) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let Some(event) = record.get("Event").and_then(Value::as_object) else { return pairs };
    for (section, value) in event {
        let Some(object) = value.as_object().filter(|_| section != "#attributes") else { continue };
        attributes(section, object, &mut pairs);
        children(object, if section == "RenderingInfo" { "RenderingInfo_" } else { "" }, &mut pairs);
    }
    let is_bearer = |name: &str| matches!(name, "Correlation" | "Security" | "Execution" | "Provider");
    pairs.retain(|(name, text)| !(text.is_empty() && is_bearer(name)));
    pairs.sort();
    pairs
}

fn children(object: &Map<String, Value>, prefix: &str, pairs: &mut Vec<Pair>) {
    for (key, value) in object.iter().filter(|(key, _)| !key.starts_with('#')) {
        let name = match key.rsplit_once('_') {
            Some((base, number)) if number.parse::<u32>().is_ok() && object.contains_key(base) => base,
            _ => key,
        };
        let name = format!("{prefix}{}", name.split_whitespace().collect::<String>());
        member(&name, value, prefix, pairs);
    }
}

fn member(name: &str, value: &Value, prefix: &str, pairs: &mut Vec<Pair>) {
    match value {
        Value::Object(object) => {
            attributes(name, object, pairs);
            if let Some(text) = object.get("#text") {
                member(name, text, prefix, pairs);
            }
            children(object, prefix, pairs);
        }
        Value::Array(items) => items.iter().for_each(|item| member(name, item, prefix, pairs)),
        Value::Null => pairs.push((name.to_owned(), String::new())),
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        other => pairs.push((name.to_owned(), other.to_string())),
    }
}

fn attributes(name: &str, object: &Map<String, Value>, pairs: &mut Vec<Pair>) {
    for (attribute, value) in object.get("#attributes").and_then(Value::as_object).into_iter().flatten() {
        if !attribute.starts_with("xmlns") {
            member(&format!("{name}_{attribute}"), value, "", pairs);
        }
    }
}

#[derive(Default)]
struct Tally {
    files: usize,
    records: usize,
    fields: usize,
    carved: usize,
}

/// Every record that the oracle reads is ours, field by field. What is ours alone must be a
/// carved record, and be among those that the oracle carves.
fn compare(bytes: Vec<u8>, place: &str, setting: &Setting, tally: &mut Tally) {
    let batch = setting.decode(&bytes);
    let mut ours: BTreeMap<u64, Vec<Vec<Pair>>> = BTreeMap::new();
    for event in batch.events() {
        let mut pairs = setting.pairs(event);
        pairs.sort();
        ours.entry(event.head().record).or_default().push(pairs);
        tally.fields += event.fields().len();
    }
    let settings = ParserSettings::default().recover_records(true);
    let mut parser =
        EvtxParser::from_buffer(bytes).expect("the oracle reads it").with_configuration(settings);
    let mut live_ids = Vec::new();
    for record in parser.records_json_value() {
        // An error of the oracle is one of a carved record here: `live_ids` is checked below.
        let Ok(record) = record else { continue };
        let expected = oracle_pairs(&record.data);
        let of_id = ours.entry(record.event_record_id).or_default();
        if record.recovered {
            // The oracle does not check that a carved record's template is still its own.
            let before = of_id.len();
            of_id.retain(|found| *found != expected);
            tally.carved += before - of_id.len();
            continue;
        }
        let found = if of_id.is_empty() { Vec::new() } else { of_id.remove(0) };
        assert_eq!(found, expected, "{place} record {}", record.event_record_id);
        live_ids.push(record.event_record_id);
    }
    ours.retain(|_, left| !left.is_empty());
    assert!(ours.is_empty(), "{place}: ours alone are {ours:?}");
    assert_eq!(live_ids, &ids(&batch)[..live_ids.len()], "{place}: in the order of the log");
    tally.files += 1;
    tally.records += live_ids.len();
}

#[test]
fn every_field_is_as_the_oracle_has_it() {
    let setting = Setting::everything();
    for (corpus, records_min) in [("evtx-attack-samples", 5_000), ("sigma-regression", 140)] {
        let Some(folder) = shared(&format!("corpora/{corpus}")) else { return };
        let mut tally = Tally::default();
        for path in logs_below(&folder) {
            let bytes = fs::read(&path).expect("the file can be read");
            compare(bytes, &path.display().to_string(), &setting, &mut tally);
        }
        let Tally { files, records, fields, carved } = tally;
        note(&format!(
            "{corpus}: {files} files, {records} records and {carved} carved ones, {fields} fields equal"
        ));
        assert!(records >= records_min, "{corpus}: {records} records");
    }
}

/// A file with one record whose BinXML is given: `build` gets the offset at which it stands.
fn file_with(build: impl FnOnce(&mut Tokens)) -> Vec<u8> {
    let mut file = written(&[sample(1, EventData::Unnamed(&[]))]);
    let chunk = &mut file[FILE_HEADER_LEN..];
    // The chunk's names and templates are those of the record that is overwritten.
    chunk[128..].fill(0);
    let mut tokens = Tokens { bytes: Vec::new(), base: 512 + 24 };
    build(&mut tokens);
    let binxml = tokens.bytes;
    let len = u32::try_from(24 + binxml.len() + 4).unwrap().to_le_bytes();
    let mut record = [b"**\0\0", &len[..], &1_u64.to_le_bytes(), &TIME.to_le_bytes(), &binxml].concat();
    record.extend_from_slice(&len);
    chunk[512..512 + record.len()].copy_from_slice(&record);
    seal(chunk, 512 + record.len());
    file
}

/// Puts the end of the records and both checksums into a chunk's header.
fn seal(chunk: &mut [u8], free: usize) {
    chunk[48..52].copy_from_slice(&u32::try_from(free).unwrap().to_le_bytes());
    let records = chunk::crc32(&[&chunk[512..free]]);
    chunk[52..56].copy_from_slice(&records.to_le_bytes());
    let header = chunk::header_crc32(chunk);
    chunk[124..128].copy_from_slice(&header.to_le_bytes());
}

/// BinXML being written by hand; all names stand in place, all lengths are zero (nobody reads
/// them).
struct Tokens {
    bytes: Vec<u8>,
    base: usize,
}

impl Tokens {
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn at(&self) -> u32 {
        u32::try_from(self.base + self.bytes.len()).unwrap()
    }

    fn string(&mut self, text: &str) -> &mut Self {
        let units: Vec<u16> = text.encode_utf16().collect();
        self.put(&u16::try_from(units.len()).unwrap().to_le_bytes());
        self.put(&units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn name(&mut self, name: &str) -> &mut Self {
        let at = self.at() + 4;
        self.put(&at.to_le_bytes()).put(&[0; 6]).string(name).put(&[0, 0])
    }

    fn open(&mut self, dependency: Option<u16>, name: &str, has_attributes: bool) -> &mut Self {
        self.put(&[if has_attributes { 0x41 } else { 1 }]);
        if let Some(slot) = dependency {
            self.put(&slot.to_le_bytes());
        }
        self.put(&[0; 4]).name(name);
        if has_attributes { self.put(&[0; 4]) } else { self }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.put(&[5, 1]).string(text)
    }

    /// A template instance with its definition in place; values follow as (type, bytes).
    fn instance(&mut self, define: impl FnOnce(&mut Self), values: &[(u8, &[u8])]) -> &mut Self {
        self.put(&[0x0F, 1, 1, 0, 0x0C, 1]).put(b"GUID");
        let at = self.at() + 4;
        self.put(&at.to_le_bytes()).put(&[0; 4]).put(b"GUID").put(&[7; 12]);
        let len_at = self.bytes.len();
        self.put(&[0; 4]).put(&[0x0F, 1, 1, 0]);
        define(self);
        self.put(&[0]);
        let len = u32::try_from(self.bytes.len() - len_at - 4).unwrap();
        self.bytes[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
        self.put(&u32::try_from(values.len()).unwrap().to_le_bytes());
        for (value_type, bytes) in values {
            self.put(&u16::try_from(bytes.len()).unwrap().to_le_bytes()).put(&[*value_type, 0]);
        }
        for (_, bytes) in values {
            self.put(bytes);
        }
        self.put(&[0])
    }
}

/// `<Event><EventData><Data Name="v">%0</Data></EventData></Event>` with one value.
fn one_value(value_type: u8, bytes: &[u8]) -> Vec<u8> {
    one_value_named("v", value_type, bytes)
}

fn one_value_named(name: &str, value_type: u8, bytes: &[u8]) -> Vec<u8> {
    file_with(|tokens| {
        let define = |t: &mut Tokens| {
            t.open(Some(0xFFFF), "Event", false).put(&[2]);
            t.open(Some(0xFFFF), "EventData", false).put(&[2]);
            t.open(Some(0xFFFF), "Data", true).put(&[6]).name("Name").text(name).put(&[2]);
            t.put(&[0x0D, 0, 0, value_type, 4, 4, 4]);
        };
        tokens.instance(define, &[(value_type, bytes)]);
    })
}

#[test]
fn every_value_type_is_as_the_oracle_has_it() {
    let setting = Setting::everything();
    let bytes: Vec<u8> = (0..64).map(|n: u8| n.wrapping_mul(37).wrapping_add(1)).collect();
    let sid = [&[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0][..], &[0x21, 2, 0, 0]].concat();
    let system_time: Vec<u8> =
        [2022_u16, 7, 5, 15, 10, 11, 12, 123].iter().flat_map(|field| field.to_le_bytes()).collect();
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut cases: Vec<(u8, Vec<u8>)> = vec![
        (0x00, vec![]),
        (0x01, utf16("plain, Ünï, 日本, 😀, and a long tail that fills more than one block")),
        (0x01, utf16("cut\0here")),
        (0x01, vec![]),
        (0x02, b"ANSI \x80 \xe9\0".to_vec()),
        (0x0E, bytes.clone()),
        (0x10, bytes[..4].to_vec()),
        (0x10, bytes[..8].to_vec()),
        (0x12, system_time.clone()),
        (0x12, vec![0; 16]),
        (0x13, sid.clone()),
        (0x11, vec![0; 8]),
        (0x11, vec![0xFF; 8]),
        (0x15, vec![0; 8]),
        (0x0B, 0.1_f32.to_le_bytes().to_vec()),
        (0x0C, (-1234.567_f64).to_le_bytes().to_vec()),
        (0x0C, 3_f64.to_le_bytes().to_vec()),
        (0x0D, vec![1, 0, 0, 0]),
        (0x0D, vec![0, 0, 0, 0]),
        (0x0D, vec![6, 0, 0, 0]),
        (0x81, utf16("one\0two\0\0four\0")),
        (0x82, b"one\0\0three\0".to_vec()),
        (0x93, [&sid[..], &sid].concat()),
        (0x92, [&system_time[..], &system_time].concat()),
        (0x8D, vec![1, 0, 0, 0, 0, 0, 0, 0]),
        (0x8F, bytes[..32].to_vec()),
    ];
    for value_type in [0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x11, 0x14, 0x15, 0x0F] {
        let len = value::fixed_len(value_type).unwrap();
        cases.push((value_type, bytes[..len].to_vec()));
        cases.push((value_type | 0x80, bytes[..3 * len].to_vec()));
    }
    for (value_type, bytes) in cases {
        let file = one_value(value_type, &bytes);
        assert_eq!(defects(&setting.decode(&file)), [""; 0], "type {value_type:#x}");
        compare(file, &format!("type {value_type:#x} of {bytes:?}"), &setting, &mut Tally::default());
    }
}

#[test]
fn values_that_the_oracle_refuses_or_reads_beyond() {
    let check = |value_type, bytes: &[u8], expected: &[(ValueKind, &str)]| {
        let setting = Setting::everything();
        let batch = setting.decode(&one_value(value_type, bytes));
        let found: Vec<(ValueKind, String)> = batch
            .event(0)
            .fields()
            .map(|field| (field.value.kind, field.value.display().into_owned()))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(kind, text)| (*kind, (*text).to_owned())).collect();
        assert_eq!(found, expected, "type {value_type:#x}");
    };
    check(0x20, &[1, 2, 0, 0], &[(ValueKind::Text, "0x201")]);
    check(0x08, &[1, 0xAB], &[(ValueKind::Text, "01AB")]);
    check(0x13, &[1, 2, 3], &[(ValueKind::Text, "010203")]);
    check(0x77, &[1, 2, 3], &[(ValueKind::Text, "010203")]);
    check(0x01, &[0x00, 0xD8, 0x41, 0x00], &[(ValueKind::Text, "\u{FFFD}A")]);
    check(0x0C, &f64::NAN.to_le_bytes(), &[(ValueKind::Text, "NaN")]);
    check(0x00, &[], &[(ValueKind::Null, "")]);
    check(0x81, &[], &[(ValueKind::Text, "")]);
}

/// Everything that templates and plain BinXML can hold, in one record.
#[test]
fn every_token_is_as_the_oracle_has_it() {
    let setting = Setting::everything();
    let mut tally = Tally::default();
    let plain = file_with(|t| {
        t.put(&[0x0F, 1, 1, 0]).open(None, "Event", false).put(&[2]);
        t.open(None, "System", false).put(&[2]);
        t.open(None, "EventID", true).put(&[6]).name("Qualifiers").text("7").put(&[2, 5, 8, 9, 0, 0, 0, 4]);
        t.open(None, "Channel", false).put(&[2]).text("Security").put(&[4]);
        t.open(None, "Empty", false).put(&[3, 4]);
        t.open(None, "UserData", false).put(&[2]).put(&[0x0A]).name("target").put(&[0x0B]).string("ignored");
        t.open(None, "Wrap", true).put(&[6]).name("xmlns").text("urn:x").put(&[2]);
        t.open(None, "Text", false).put(&[2]).text("a").put(&[0x49]).name("amp").put(&[0x48, 0xE9, 0]);
        t.put(&[7]).string("<cdata>").text("z").put(&[4]);
        t.open(None, "Deep", true).put(&[6]).name("Kind").text("k").put(&[2]);
        t.open(None, "Leaf", false).put(&[2]).text("leaf").put(&[4, 4, 4, 4, 4, 0]);
    });
    compare(plain.clone(), "plain", &setting, &mut tally);
    let batch = setting.decode(&plain);
    assert_eq!(defects(&batch), [""; 0]);
    let expected = [
        ("EventID_Qualifiers", "7"),
        ("EventID", "9"),
        ("Channel", "Security"),
        ("Empty", ""),
        ("Text", "a&é<cdata>z"),
        ("Deep_Kind", "k"),
        ("Leaf", "leaf"),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(setting.pairs(batch.event(0)), expected);

    // An element that depends on a null value is absent, one within it too; joined text; a
    // fragment in the middle; an optional attribute without value.
    let template = file_with(|t| {
        let inner = |t: &mut Tokens| {
            t.open(Some(0xFFFF), "Inner", false).put(&[2]);
            t.open(Some(0xFFFF), "Param1", false).put(&[2, 0x0D, 0, 0, 8, 4, 4]);
        };
        let define = |t: &mut Tokens| {
            t.open(Some(0xFFFF), "Event", false).put(&[2]);
            t.open(Some(0xFFFF), "EventData", false).put(&[2]);
            t.open(Some(0), "Gone", false).put(&[2]);
            t.open(Some(0xFFFF), "GoneToo", false).put(&[2]).text("x").put(&[4, 4]);
            t.open(Some(1), "Here", true).put(&[6]).name("no").put(&[0x0E, 0, 0, 1]);
            t.put(&[2]).text("<").put(&[0x0D, 1, 0, 8]).text(">").put(&[4, 4]);
            t.open(Some(0xFFFF), "UserData", false).put(&[2, 0x0E, 2, 0, 0x21, 4, 4]);
        };
        // The fragment's names stand where the value will stand: build once to learn the place.
        let mut probe = Tokens { bytes: t.bytes.clone(), base: t.base };
        probe.instance(define, &[(0, &[]), (8, &[5, 0, 0, 0]), (0x21, &[])]);
        let mut fragment = Tokens { bytes: Vec::new(), base: probe.at() as usize - 1 };
        fragment.instance(inner, &[(8, &[6, 0, 0, 0])]);
        t.instance(define, &[(0, &[]), (8, &[5, 0, 0, 0]), (0x21, &fragment.bytes)]);
    });
    compare(template.clone(), "template", &setting, &mut tally);
    let batch = setting.decode(&template);
    let expected = [("Here", "<5>"), ("Param1", "6")].map(|(name, text)| (name.into(), text.into()));
    assert_eq!(setting.pairs(batch.event(0)), expected);
    assert_eq!(tally.records, 2);
}

// Against the writer.

/// 2022-07-15T10:11:12.1234567Z.
const TIME: u64 = 133_023_534_721_234_567;
const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";

fn sample(record_id: u64, data: EventData<'_>) -> EvtxRecord<'_> {
    EvtxRecord {
        channel: SYSMON,
        provider: "Microsoft-Windows-Sysmon",
        provider_guid: Some(*b"\x5f\x38\x70\x57\x2a\xc2\xe0\x43\xbf\x4c\x06\xf5\x69\x8f\xfb\xd9"),
        event_id: 1,
        version: 5,
        level: 4,
        task: 1,
        opcode: 0,
        keywords: 0x8000_0000_0000_0000,
        record_id,
        filetime: TIME,
        computer: "host1.example.org",
        process_id: 1234,
        thread_id: 5678,
        user_sid: Some(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]),
        data,
    }
}

fn written(records: &[EvtxRecord<'_>]) -> Vec<u8> {
    let mut writer = EvtxWriter::new(Cursor::new(Vec::new())).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn written_records_are_read_as_they_were() {
    let setting = Setting::everything();
    let data = [("Image", r"C:\Windows\System32\cmd.exe"), ("Threat Name", "Ünï"), ("Empty", "")];
    let file = written(&[sample(77, EventData::Named(&data))]);
    let batch = setting.decode(&file);
    let expected = [
        ("Provider_Name", "Microsoft-Windows-Sysmon"),
        ("Provider_Guid", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}"),
        ("EventID", "1"),
        ("Version", "5"),
        ("Level", "4"),
        ("Task", "1"),
        ("Opcode", "0"),
        ("Keywords", "0x8000000000000000"),
        ("TimeCreated_SystemTime", "2022-07-15T10:11:12.1234567Z"),
        ("EventRecordID", "77"),
        ("Execution_ProcessID", "1234"),
        ("Execution_ThreadID", "5678"),
        ("Channel", SYSMON),
        ("Computer", "host1.example.org"),
        ("Security_UserID", "S-1-5-18"),
        ("Image", r"C:\Windows\System32\cmd.exe"),
        ("ThreatName", "Ünï"),
        ("Empty", ""),
    ];
    let event = batch.event(0);
    assert_eq!(setting.pairs(event), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert_eq!((event.head().record, event.host().as_ref()), (77, "host1.example.org"));
    assert_eq!(event.time().unwrap().to_string(), "2022-07-15T10:11:12.1234567Z");
    assert_eq!(setting.sources.get(event.logsource()).categories, ["process_creation"]);
    assert_eq!(defects(&batch), [""; 0]);

    let strings = ["one", "", "three"];
    let mut tally = Tally::default();
    compare(file, "named", &setting, &mut tally);
    compare(written(&[sample(1, EventData::Unnamed(&strings))]), "unnamed", &setting, &mut tally);
    compare(written(&[sample(1, EventData::Unnamed(&["one"]))]), "one string", &setting, &mut tally);
    compare(many(2_000), "many", &setting, &mut tally);
    assert_eq!(tally.records, 2_003);
}

/// Several chunks of records of three kinds.
fn many(count: u64) -> Vec<u8> {
    let long = "x".repeat(300);
    let mut writer = EvtxWriter::new(Cursor::new(Vec::new())).unwrap();
    for id in 1..=count {
        let text = format!("value {id}");
        let named = [("Image", text.as_str()), ("CommandLine", &long)];
        let other = [("TargetObject", text.as_str()), ("EventType", "CreateKey")];
        let strings = [text.as_str(), "second"];
        let record = match id % 3 {
            0 => sample(id, EventData::Named(&named)),
            1 => EvtxRecord { event_id: 12, ..sample(id, EventData::Named(&other)) },
            _ => EvtxRecord { channel: "Application", ..sample(id, EventData::Unnamed(&strings)) },
        };
        writer.write(&record).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_record_too_large_for_a_chunk_is_refused_and_the_log_stays_whole() {
    let setting = Setting::everything();
    let long = "x".repeat(40_000);
    let fitting = "x".repeat(20_000);
    let mut writer = EvtxWriter::new(Cursor::new(Vec::new())).unwrap();
    for id in 1..=5 {
        writer.write(&sample(id, EventData::Named(&[("a", &fitting)]))).unwrap();
        assert!(writer.write(&sample(id, EventData::Named(&[("b", &long)]))).is_err());
    }
    let file = writer.finish().unwrap().into_inner();
    let batch = setting.decode(&file);
    assert_eq!((ids(&batch), defects(&batch).len()), (vec![1, 2, 3, 4, 5], 0));
    compare(file, "after refusals", &setting, &mut Tally::default());
    let empty = written(&[]);
    assert_eq!((setting.decode(&empty).len(), setting.decode(&empty).defects.len()), (0, 0));
}

#[test]
fn only_named_fields_are_kept_and_the_head_is_whole_all_the_same() {
    let setting = Setting::new(&["targetobject", "EventID"], Keep::Named);
    let batch = setting.decode(&many(30));
    let event = batch.event(0);
    let expected = [("EventID", "12"), ("targetobject", "value 1")];
    assert_eq!(setting.pairs(event), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let class = setting.sources.get(event.logsource());
    assert!(class.admits(Some("windows"), Some("registry_add"), Some("sysmon")), "{class}");
    assert_eq!(event.host(), "host1.example.org");
    assert_eq!(event.time().unwrap().to_string(), "2022-07-15T10:11:12.1234567Z");
    assert_eq!(batch.len(), 30);
}

#[test]
fn templates_are_known_again_in_other_chunks_and_batches() {
    let setting = Setting::everything();
    let file = many(2_000);
    let whole = setting.decode(&file);
    let (context, mut decoder) = (setting.context(), Decoder::default());
    let mut at = 0;
    for (index, bytes) in file[FILE_HEADER_LEN..].chunks(2 * CHUNK_LEN).enumerate() {
        let offset = (FILE_HEADER_LEN + index * 2 * CHUNK_LEN) as u64;
        let position = Position { offset, ..Position::default() };
        let mut batch = Batch::default();
        decode(&context, position, bytes, &mut decoder, &mut batch);
        for event in batch.events() {
            assert_eq!(setting.pairs(event), setting.pairs(whole.event(at)));
            at += 1;
        }
    }
    assert_eq!(at, 2_000);
    assert_eq!(decoder.templates(), 5, "two outer ones, two with names, one without");
}

/// Templates of one id at one offset, in chunks that one decoder reads one after the other: only
/// their bytes tell them apart.
#[test]
fn a_template_is_trusted_by_its_bytes_and_not_by_its_id() {
    let setting = Setting::everything();
    let (context, mut decoder) = (setting.context(), Decoder::default());
    let mut read = |name: &str| {
        let mut batch = Batch::default();
        let file = one_value_named(name, 1, b"x\0");
        decode(&context, Position::default(), &file, &mut decoder, &mut batch);
        assert_eq!(defects(&batch), [""; 0]);
        let pairs = setting.pairs(batch.events().next().unwrap());
        assert_eq!(format!("{pairs:?}"), format!("{:?}", setting.pairs(setting.decode(&file).event(0))));
        (format!("{pairs:?}").contains(&format!("\"{name}\"")), decoder.templates())
    };
    assert_eq!(read("first"), (true, 1));
    assert_eq!(read("other"), (true, 2), "as long as the first, of the same id, at the same offset");
    assert_eq!(read("first"), (true, 2), "the first is known again by its bytes");
}

#[test]
fn streams_are_recognised_by_their_content() {
    let file = many(200);
    let check = |bytes: &[u8], expected: Option<usize>| {
        let found = recognise(bytes).then(|| first_chunk(bytes));
        assert_eq!(found, expected);
    };
    let mut headless = file.clone();
    headless[..FILE_HEADER_LEN].fill(0xFF);
    let mut first_chunk_gone = headless.clone();
    first_chunk_gone[FILE_HEADER_LEN..FILE_HEADER_LEN + 512].fill(0xFF);
    check(&file, Some(4096));
    check(&file[..20], Some(4096));
    check(&headless, Some(4096));
    check(&first_chunk_gone, Some(4096));
    check(&file[FILE_HEADER_LEN..], Some(0));
    check(b"PK\x03\x04", None);
    check(b"", None);
    let batch = Setting::everything().decode(&headless);
    assert_eq!(
        (batch.len(), defects(&batch)),
        (200, vec!["a.evtx at offset 0: the file header is damaged".into()])
    );
}

// Against damage.

/// Offset of each record of a file by id.
fn records_of(file: &[u8]) -> BTreeMap<u64, usize> {
    let mut found = BTreeMap::new();
    for (index, chunk) in file[FILE_HEADER_LEN..].chunks(CHUNK_LEN).enumerate() {
        let mut at = 512;
        while chunk[at..].starts_with(b"**\0\0") {
            let offset = FILE_HEADER_LEN + index * CHUNK_LEN + at;
            found.insert(cursor::u64_at(chunk, at + 8).unwrap(), offset);
            at += cursor::u32_at(chunk, at + 4).unwrap() as usize;
        }
    }
    found
}

/// Damages a file of 60 records; all but `lost` must be read, and the defects be as said.
/// In what is expected, `@20` is the offset of record 20. Defects of checksums are left out: all damage here breaks them.
fn check_damage(damage: impl FnOnce(&mut Vec<u8>, &BTreeMap<u64, usize>), lost: &[u64], expected: &[&str]) {
    let mut file = many(60);
    let offsets = records_of(&file);
    damage(&mut file, &offsets);
    let batch = Setting::everything().decode(&file);
    let found: Vec<String> =
        defects(&batch).into_iter().filter(|defect| !defect.contains("checksum")).collect();
    let mut expected: Vec<String> = expected.iter().map(|text| format!("a.evtx {text}")).collect();
    for (id, at) in offsets.iter().rev() {
        expected.iter_mut().for_each(|text| *text = text.replace(&format!("@{id}"), &at.to_string()));
    }
    assert_eq!(found, expected);
    let left: Vec<u64> = (1..=60).filter(|id| !lost.contains(id)).collect();
    let mut read = ids(&batch);
    read.sort_unstable();
    assert_eq!(read, left);
}

#[test]
fn damage_is_reported_with_its_place_and_the_rest_is_read() {
    check_damage(|_, _| {}, &[], &[]);
    // The middle of a record overwritten.
    check_damage(
        |file, at| file[at[&20] + 24..at[&20] + 60].fill(0xEE),
        &[20],
        &["record 20: its binary XML holds an unknown token (at offset @20)"],
    );
    check_damage(
        |file, at| file[at[&20] + 34..at[&20] + 38].fill(0xEE),
        &[20],
        &["record 20: its template lies outside the chunk (at offset @20)"],
    );
    // Header and more of a record gone, several zeroed.
    check_damage(
        |file, at| file[at[&20]..at[&20] + 100].fill(0xEE),
        &[20],
        &["at offset @20: no record begins here, 248 bytes are passed over"],
    );
    check_damage(
        |file, at| file[at[&20]..at[&25]].fill(0),
        &[20, 21, 22, 23, 24],
        &["at offset @20: 2424 zero bytes stand where records should be"],
    );
    check_damage(
        |file, at| file[at[&50]..FILE_HEADER_LEN + CHUNK_LEN].fill(0),
        &[50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60],
        &["at offset @50: zeros stand where the header announces records up to 60"],
    );
    // A length that is wrong, with the record itself intact.
    check_damage(
        |file, at| file[at[&20] + 4] ^= 8,
        &[],
        &["record 20: the record's lengths differ, 240 and 25600 (at offset @20)"],
    );
    check_damage(
        |file, at| file[at[&20] + 7] = 0x70,
        &[],
        &["record 20: the record is torn, it should have 1879048440 bytes (at offset @20)"],
    );
    // The chunk's header.
    check_damage(
        |file, _| file[FILE_HEADER_LEN] = b'X',
        &[],
        &[
            "at offset 4096: the chunk's header is damaged, its records are searched for",
            "at offset 4096: 60 records carved from the chunk",
        ],
    );
    check_damage(
        |file, _| file[FILE_HEADER_LEN + 48..FILE_HEADER_LEN + 52].fill(0xFF),
        &[],
        &["at offset 4144: the chunk's free space cannot start at offset 4294967295"],
    );
    // The file ends in the middle of record 59.
    check_damage(
        |file, at| file.truncate(at[&59] + 100),
        &[59, 60],
        &[
            "at offset 4096: the chunk is torn, only 28640 of 65536 bytes are there",
            "record 59: the record is torn, it should have 248 bytes; its binary XML ends too early (at offset @59)",
        ],
    );
    // The header is older than the records: the last ones stand in free space.
    check_damage(
        |file, at| seal(&mut file[FILE_HEADER_LEN..], at[&50] - FILE_HEADER_LEN),
        &[],
        &["at offset @50: 11 records carved from unallocated space of the chunk"],
    );
    // A copy of a record in free space is not read twice.
    check_damage(
        |file, at| {
            let copy = file[at[&59]..at[&60]].to_vec();
            file[60_000..60_000 + copy.len()].copy_from_slice(&copy);
        },
        &[],
        &[],
    );
}

#[test]
fn checksums_are_looked_at() {
    let check = |at: usize, expected: &str| {
        let mut file = many(60);
        file[at] ^= 1;
        let batch = Setting::everything().decode(&file);
        assert!(defects(&batch).iter().any(|defect| defect.contains(expected)), "{:?}", batch.defects);
        assert_eq!(batch.len(), 60);
    };
    check(16, "a.evtx at offset 0: the checksum of the file header");
    check(FILE_HEADER_LEN + 16, "a.evtx at offset 4096: the checksum of the chunk's header");
    check(FILE_HEADER_LEN + 512 + 16, "a.evtx at offset 4608: the checksum of the chunk's records");
}

/// A template of thousands of elements, used by hundreds of tiny records.
#[test]
fn a_crafted_chunk_cannot_make_us_work_without_end() {
    let mut file = file_with(|t| {
        let define = |t: &mut Tokens| {
            t.open(Some(0xFFFF), "Event", false).put(&[2]);
            t.open(Some(0xFFFF), "EventData", false).put(&[2]);
            t.open(Some(0xFFFF), "A", false).put(&[3]);
            let name = t.at() - 1 - 2 - 2 - 2 - 6;
            for _ in 0..3_000 {
                t.put(&[1, 0xFF, 0xFF, 0, 0, 0, 0]).put(&name.to_le_bytes()).put(&[3]);
            }
            t.put(&[4, 4]);
        };
        t.instance(define, &[]);
    });
    let definition = u32::try_from(512 + 24 + 4 + 10).unwrap();
    let chunk = &mut file[FILE_HEADER_LEN..];
    let mut at = cursor::u32_at(chunk, 48).unwrap() as usize;
    let binxml = [&[0x0C, 1][..], b"GUID", &definition.to_le_bytes(), &[0; 4], &[0]].concat();
    for id in 2_u64.. {
        let len = u32::try_from(24 + binxml.len() + 4).unwrap().to_le_bytes();
        let record = [b"**\0\0", &len[..], &id.to_le_bytes(), &TIME.to_le_bytes(), &binxml, &len].concat();
        if at + record.len() > CHUNK_LEN {
            break;
        }
        chunk[at..at + record.len()].copy_from_slice(&record);
        at += record.len();
    }
    seal(chunk, at);
    let batch = Setting::everything().decode(&file);
    let fields: usize = batch.events().map(|event| event.fields().len()).sum();
    assert!(batch.len() > 10 && fields < 200_000, "{} events, {fields} fields", batch.len());
    let found = defects(&batch);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("more work than one chunk may; it and the rest of the chunk"), "{found:?}");
}

/// Small, fast, and the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn mutated_logs_do_not_panic_and_do_not_take_long() {
    let mut logs = vec![many(300), written(&[sample(1, EventData::Named(&[("a", "b")]))])];
    if let Some(folder) = shared("corpora/evtx-attack-samples") {
        let small = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() < 150_000);
        let paths = logs_below(&folder).into_iter().filter(small).step_by(9);
        logs.extend(paths.map(|path| fs::read(path).expect("the file can be read")));
    }
    let (setting, mut random) = (Setting::everything(), Random(0x5EED));
    let (mut events, mut damaged) = (0, 0);
    for round in 0..400 {
        let mut log = logs[round % logs.len()].clone();
        let hits = 1 << random.below(8);
        // Most of a chunk is free space: damage goes where the records are.
        let end = if round % 2 == 0 { log.len() } else { log.len().min(FILE_HEADER_LEN + 9_000) };
        for _ in 0..hits {
            let at = random.below(end);
            log[at] = match random.below(4) {
                0 => 0,
                1 => 0xFF,
                2 => log[at] ^ (1 << random.below(8)),
                _ => random.below(256) as u8,
            };
        }
        if round % 5 == 0 {
            log.truncate(random.below(log.len()));
        }
        let start = Instant::now();
        let batch = setting.decode(&log);
        assert!(start.elapsed() < Duration::from_secs(5), "round {round} took {:?}", start.elapsed());
        for event in batch.events() {
            events += setting.pairs(event).len().min(1);
        }
        damaged += usize::from(!batch.defects.is_empty());
    }
    assert!(events > 5_000 && damaged > 300, "{events} events, {damaged} damaged logs");
}
