//! Our files in other readers' hands: the `parquet` crate's, pyarrow's and DuckDB's.
//!
//! Each value of each column has to be what our own reader gives. The events are made to meet what
//! readers trip over: columns without any value in a row group (an empty dictionary), empty
//! texts, values of hundreds of kilobytes, columns of distinct values, several row groups, times
//! before 1970 and numbers past 2^63.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use besa_event::{
    Batch, Dictionary, EventTime, Head, LogSource, LogSources, Origin, Precision, Span, Timestamp, ValueKind,
    Zone,
};
use bytes::Bytes;
use parquet::basic::Type as Physical;
use parquet::column::reader::ColumnReader;
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::file::DataFile;
use crate::archive::{Archive, Writer};
use crate::codec::page::NONE;
use crate::ingest::IngestOptions;
use crate::python;
use crate::write::piece::{GROUP_ROWS_MAX, LAYOUT, MORE, RAW, RECORD, TIME};

const DAY: i64 = 86_400 * 1_000_000_000;
const SCRIPT: &str = include_str!("../../tests/foreign/read.py");

/// A value that depends on the row and on nothing else.
fn mixed(row: u64) -> u64 {
    let mixed = (row ^ row >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

/// Fields of a row; `kind` goes with them.
fn fields(row: u64) -> Vec<(String, ValueKind, Vec<u8>)> {
    let mut fields = Vec::new();
    let mut push = |name: &str, kind, value: &[u8]| fields.push((name.to_owned(), kind, value.to_vec()));
    let r = mixed(row);
    push("Image", ValueKind::Text, format!(r"C:\Windows\{}.exe", r % 97).as_bytes());
    push("image", ValueKind::Text, b"a second value of the name");
    push("Unique", ValueKind::Text, format!("{{{r:016x}-{row}}}").as_bytes());
    push("Number", ValueKind::Number, (r % 1_000).to_string().as_bytes());
    push(
        "Escaped",
        ValueKind::JsonText,
        [r"a\u0041\/\n", r"\ud83d\ude00", r"\ud800", "plain"][(r % 4) as usize].as_bytes(),
    );
    push("Empty or not", ValueKind::Text, if r.is_multiple_of(3) { b"" } else { b"x" });
    push("Always empty", ValueKind::Text, b"");
    push("Never", ValueKind::Null, b"");
    push(
        "Grüße \"'`; DROP",
        ValueKind::Text,
        ["", "ü", "日本語", "\u{0}", "\u{10ffff}\r\n"][(r % 5) as usize].as_bytes(),
    );
    push("Not text", ValueKind::Text, [&b"\xff\xfe"[..], b"ok", b"\xc3", b"\xed\xa0\x80"][(r % 4) as usize]);
    if r.is_multiple_of(5_000) {
        push("Long", ValueKind::Text, "ab\u{e9}".repeat(60_000 + (r % 9) as usize * 7).as_bytes());
    }
    if row == 7 {
        push("Only in the first row group", ValueKind::Boolean, b"true");
    }
    if row > GROUP_ROWS_MAX as u64 {
        push("Only in later row groups", ValueKind::Number, row.to_string().as_bytes());
    }
    if r.is_multiple_of(4) {
        fields.truncate((r >> 8) as usize % fields.len());
    }
    fields
}

fn batch(rows: std::ops::Range<u64>, class: u64, dictionary: &Dictionary, sources: &LogSources) -> Batch {
    let mut batch = Batch::default();
    batch.reset(Origin::new(format!("made/{class}!ü.log")), 0, Vec::new());
    for row in rows {
        let r = mixed(row);
        for (name, kind, value) in fields(row) {
            let name = batch.append(name.as_bytes());
            let (name, span) = (batch.local_name(name), batch.append(&value));
            batch.push_field(name, kind, span);
        }
        let host = batch.append([&b""[..], b"pc1", b"\xffpc"][(r % 3) as usize]);
        let raw =
            if class == 1 { batch.append(format!("raw {r} \u{1f600}").as_bytes()) } else { Span::default() };
        let at = (r % DAY as u64).cast_signed() - if class == 1 { DAY } else { 0 };
        let time = EventTime { at: Timestamp(at), precision: Precision::Nanosecond, zone: Zone::Stated };
        let logsource =
            sources.intern(LogSource::new("windows", &["sysmon"], &[["a", "b", "c"][class as usize]]));
        let record = if r.is_multiple_of(11) { u64::MAX - row } else { row };
        let head = Head { raw, host, time: (class < 2).then_some(time), record, logsource };
        batch.end_event(dictionary, sources, head);
    }
    batch
}

/// Three partitions: one of several row groups, one with raw records before 1970, one without times.
fn made(url: &str) -> Archive {
    let (dictionary, sources) = (Dictionary::builder().build(), LogSources::new());
    let mut ingest = Writer::open(url, None).unwrap().ingest(IngestOptions::default()).unwrap();
    let rows = GROUP_ROWS_MAX as u64 * 2 + 100;
    let parts = (0..rows).step_by(10_000).map(|from| (from..(from + 10_000).min(rows), 0));
    for (rows, class) in parts.chain([(0..3_000, 1), (0..1, 2)]) {
        let batch = batch(rows, class, &dictionary, &sources);
        ingest.append(&batch, &dictionary, &sources, Timestamp(0)).unwrap();
    }
    assert!(ingest.flush(Timestamp(0)).unwrap().events > rows);
    Archive::open(url).unwrap()
}

/// A column's checksum, as `tests/foreign/read.py` tells it.
#[derive(Default)]
struct Sum {
    digest: Sha256,
    nulls: u64,
}

impl Sum {
    fn add(&mut self, value: Option<&[u8]>) {
        match value {
            None => {
                self.nulls += 1;
                self.digest.update([0]);
            }
            Some(value) => {
                self.digest.update([1]);
                self.digest.update((value.len() as u32).to_le_bytes());
                self.digest.update(value);
            }
        }
    }

    fn told(self, kind: &str) -> Value {
        let hex = self.digest.finalize().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        json!({"type": kind, "nulls": self.nulls, "sha256": hex})
    }
}

/// What the `parquet` crate reads of a column of a row group, as bytes.
fn by_the_crate(group: &dyn RowGroupReader, column: usize, rows: usize) -> Vec<Option<Vec<u8>>> {
    let mut levels = Vec::new();
    let present: Vec<Vec<u8>> = match group.get_column_reader(column).unwrap() {
        ColumnReader::ByteArrayColumnReader(mut reader) => {
            let mut values = Vec::new();
            assert_eq!(reader.read_records(rows, Some(&mut levels), None, &mut values).unwrap().0, rows);
            values.iter().map(|value| value.data().to_vec()).collect()
        }
        ColumnReader::Int64ColumnReader(mut reader) => {
            let mut values = Vec::new();
            assert_eq!(reader.read_records(rows, Some(&mut levels), None, &mut values).unwrap().0, rows);
            values.iter().map(|value| value.to_le_bytes().to_vec()).collect()
        }
        _ => panic!("no column of ours has such a type"),
    };
    let mut present = present.into_iter();
    let values: Vec<_> = levels.iter().map(|level| (*level == 1).then(|| present.next().unwrap())).collect();
    assert_eq!((values.len(), present.count()), (rows, 0));
    values
}

fn ours(file: &DataFile, group: usize, name: &str, physical: Physical) -> Vec<Option<Vec<u8>>> {
    if physical == Physical::INT64 {
        let ints = file.ints(group, name).unwrap();
        return ints.iter().map(|value| value.map(|value| value.to_le_bytes().to_vec())).collect();
    }
    let texts = file.column(group, name).unwrap().unwrap().into_texts().unwrap();
    texts.ids.iter().map(|id| (*id != NONE).then(|| texts.value(*id).to_vec())).collect()
}

/// Holds a file against the `parquet` crate; returns what other readers have to find in it.
fn check(root: &Path, archive: &Archive, file: &crate::entry::FileEntry) -> Value {
    let path = root.join(&file.path);
    let data = DataFile::open(archive.store(), file).unwrap();
    let foreign = SerializedFileReader::new(Bytes::from(std::fs::read(&path).unwrap())).unwrap();
    assert_eq!(foreign.num_row_groups(), data.groups());
    assert_eq!(foreign.metadata().file_metadata().num_rows(), file.rows.cast_signed());
    let mut columns = serde_json::Map::new();
    for (position, column) in foreign.metadata().file_metadata().schema_descr().columns().iter().enumerate() {
        let name = column.name();
        let mut sum = Sum::default();
        for group in 0..data.groups() {
            let values = ours(&data, group, name, column.physical_type());
            let theirs = by_the_crate(&*foreign.get_row_group(group).unwrap(), position, data.rows(group));
            let differs = values.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
            assert!(
                values.len() == theirs.len() && differs.is_none(),
                "{name} of row group {group}: {differs:?}"
            );
            values.iter().for_each(|value| sum.add(value.as_deref()));
        }
        let kind = match name {
            TIME => "time",
            RECORD => "number",
            LAYOUT | RAW | MORE => "bytes",
            _ => "text",
        };
        columns.insert(name.to_owned(), sum.told(kind));
    }
    let told = json!({"path": path, "rows": file.rows, "columns": columns});
    check_documented(&told, foreign.metadata().file_metadata().schema_descr().columns());
    told
}

/// The table of `docs/archive-format.md` against the files: names, order, types.
fn check_documented(file: &Value, schema: &[parquet::schema::types::ColumnDescPtr]) {
    let documented: Vec<(&str, &str)> = include_str!("../../../../docs/archive-format.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.split(" | ").next().unwrap()))
        .collect();
    let own: Vec<(&str, &str)> = schema
        .iter()
        .map(|column| column.name())
        .filter(|name| name.starts_with("besa_"))
        .map(|name| match file["columns"][name]["type"].as_str().unwrap() {
            "time" => (name, "timestamp, ns, UTC"),
            "number" => (name, "unsigned 64 bit"),
            kind => (name, if kind == "text" { "text" } else { "bytes" }),
        })
        .collect();
    assert_eq!(own, documented);
}

#[test]
fn other_readers_read_what_ours_reads() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let archive = made(root.to_str().unwrap());
    let files: Vec<Value> =
        archive.manifest().files.values().map(|file| check(&root, &archive, file)).collect();
    assert!(files.len() >= 3);
    let values: u64 = files
        .iter()
        .map(|file| file["rows"].as_u64().unwrap() * file["columns"].as_object().unwrap().len() as u64)
        .sum();
    let Some(python) = python::python("readers") else { return };
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = files.iter().map(|file| format!("{file}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("files {}, values {}\n", files.len(), values * 2));
}
