//! `besa archive export`: kept events as JSON lines or CSV, in one pass, in a fixed order.
//!
//! JSON names what an event is besides its fields as findings do; CSV as the archive's columns
//! do, because no field's column can be named so.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;

use anyhow::Context as _;
use besa_archive::{Archive, Error, FileEntry, Scan, Scanned, Wanted, names_source};
use besa_event::{Dictionary, Event, FieldView, Keep, LogSource, LogSources, ValueKind};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;

use super::{open, window};
use crate::cli::{ArchiveExportArgs, ExportFormat};
use crate::hunt::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::hunt::progress::Progress;
use crate::output::{write_file, write_row};
use crate::terminal::{Terminal, counted, visible};
use crate::{EXIT_ERROR, is_broken_pipe};

/// Columns of CSV before those of the fields.
const HEADER: [&str; 8] = [
    "besa_time",
    "besa_time_precision",
    "besa_time_zone",
    "besa_log_source",
    "besa_host",
    "besa_origin",
    "besa_record",
    "besa_raw",
];

pub(super) fn export(arguments: &ArchiveExportArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let archive = open(&arguments.place)?;
    let interrupt = Interrupt::new();
    interrupt.listen();
    let export = Export::new(arguments, &archive, &interrupt, terminal);
    let mut scanned = None;
    let mut write = |out: &mut dyn Write| {
        scanned = Some(export.write(out)?);
        Ok(())
    };
    let written = match arguments.out.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => write_file(path, &mut write),
        None => {
            let mut out = terminal.stdout();
            write(&mut out).and_then(|()| Ok(out.flush()?))
        }
    };
    export.progress.clear();
    match written {
        // Who reads has seen enough.
        Err(error) if is_broken_pipe(&error) => return Ok(0),
        Err(_) if interrupt.is_stopped() => {
            terminal.say("Interrupted; the export is not complete.\n");
            return Ok(EXIT_INTERRUPTED);
        }
        written => written?,
    }
    let scanned = scanned.unwrap_or_default();
    terminal.say(&account(&scanned));
    Ok(if scanned.defects.is_empty() { 0 } else { EXIT_ERROR })
}

fn account(scanned: &Scanned) -> String {
    let mut text = String::new();
    for defect in &scanned.defects {
        text.push_str(&format!("NOT EXPORTED: {}\n", visible(&defect.reason)));
    }
    let files = counted(scanned.files, "file");
    text.push_str(&format!(
        "{} of {files} exported, {} passed over\n",
        counted(scanned.events, "event"),
        scanned.files_passed_over
    ));
    text
}

/// An export under way.
struct Export<'a> {
    arguments: &'a ArchiveExportArgs,
    archive: &'a Archive,
    interrupt: &'a Interrupt,
    progress: Progress,
    /// The names asked for; empty for all.
    dictionary: Dictionary,
    sources: LogSources,
}

impl<'a> Export<'a> {
    fn new(
        arguments: &'a ArchiveExportArgs,
        archive: &'a Archive,
        interrupt: &'a Interrupt,
        terminal: &Terminal,
    ) -> Self {
        let mut names = Dictionary::builder();
        arguments.field.iter().for_each(|name| {
            names.intern(name);
        });
        let bytes = |file: &FileEntry| if is_asked_for(arguments, &file.source) { file.bytes } else { 0 };
        let total = archive.manifest().files.values().map(bytes).sum();
        let progress = Progress::of(total, terminal);
        let (dictionary, sources) = (names.build(), LogSources::new());
        Self { arguments, archive, interrupt, progress, dictionary, sources }
    }

    fn write(&self, out: &mut dyn Write) -> anyhow::Result<Scanned> {
        let admits = |class: &LogSource| is_asked_for(self.arguments, &besa_archive::Source::from(class));
        let keep = if self.arguments.field.is_empty() { Keep::Everything } else { Keep::Named };
        let scan = Scan {
            window: window(self.arguments.from, self.arguments.to),
            admits: &admits,
            wanted: Wanted { keep, raw: self.arguments.raw },
            dictionary: &self.dictionary,
            sources: &self.sources,
            groups: None,
            cancelled: &|| self.interrupt.is_stopped(),
            progress: &|scanned| {
                self.progress.read(scanned.bytes);
                self.progress.passed(scanned.events);
            },
        };
        let mut failure = None;
        let rows = Rows::start(self, &scan, out)?;
        let scanned = self.archive.scan(&scan, &mut |batch| {
            let written = batch.events().try_for_each(|event| rows.event(event, out));
            written.map_err(|error| {
                failure = Some(error);
                Error::Cancelled
            })
        });
        match failure {
            Some(failure) => Err(failure),
            None => scanned.context("the archive cannot be read"),
        }
    }

    /// The fields of an event that were asked for, in its order.
    fn fields<'e>(&'e self, event: Event<'e>) -> impl Iterator<Item = (String, FieldView<'e>)> {
        let asked = &self.arguments.field;
        let named = event
            .fields()
            .map(move |field| (event.field_name(&self.dictionary, field.name).into_owned(), field));
        named.filter(move |(name, field)| {
            field.value.kind != ValueKind::Node
                && (asked.is_empty() || asked.iter().any(|asked| asked.eq_ignore_ascii_case(name)))
        })
    }
}

fn is_asked_for(arguments: &ArchiveExportArgs, source: &besa_archive::Source) -> bool {
    arguments.source.is_empty() || arguments.source.iter().any(|name| names_source(name, source))
}

/// The rows of one of the formats.
enum Rows<'a> {
    Json(&'a Export<'a>),
    Csv { export: &'a Export<'a>, columns: HashMap<String, usize>, width: usize },
}

impl<'a> Rows<'a> {
    fn start(export: &'a Export<'a>, scan: &Scan<'_>, out: &mut dyn Write) -> anyhow::Result<Self> {
        if export.arguments.format == ExportFormat::Jsonl {
            return Ok(Self::Json(export));
        }
        let asked = &export.arguments.field;
        let names = if asked.is_empty() { export.archive.columns(scan) } else { asked.clone() };
        let fixed = HEADER.len() - usize::from(!export.arguments.raw);
        let header: Vec<&str> =
            HEADER.iter().take(fixed).copied().chain(names.iter().map(String::as_str)).collect();
        write_row(out, &header)?;
        let columns = names.iter().enumerate().map(|(at, name)| (name.to_ascii_lowercase(), fixed + at));
        let columns = columns.collect();
        Ok(Self::Csv { export, columns, width: header.len() })
    }

    fn event(&self, event: Event<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        match self {
            Self::Json(export) => {
                serde_json::to_writer(&mut *out, &export.row(event))?;
                Ok(out.write_all(b"\n")?)
            }
            Self::Csv { export, columns, width } => {
                Ok(write_row(out, &export.cells(event, columns, *width))?)
            }
        }
    }
}

impl Export<'_> {
    fn row<'e>(&'e self, event: Event<'e>) -> Row<'e> {
        let mut fields: Vec<(String, Vec<Value>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (name, field) in self.fields(event) {
            let at = *known.entry(name).or_insert_with_key(|name| {
                fields.push((name.clone(), Vec::new()));
                fields.len() - 1
            });
            if let Some((_, values)) = fields.get_mut(at) {
                values.push(value(field));
            }
        }
        let time = event.time();
        Row {
            time: time.map(|time| time.to_string()),
            time_precision: time.map(|time| time.precision.name()),
            time_zone: time.map(|time| time.zone.name()),
            host: event.host(),
            logsource: besa_archive::Source::from(self.sources.get(event.logsource()).as_ref()),
            source: Place { path: &event.batch().origin.path, record: event.head().record },
            fields: Fields(fields),
            raw: self.arguments.raw.then(|| String::from_utf8_lossy(event.raw())),
        }
    }

    fn cells(&self, event: Event<'_>, columns: &HashMap<String, usize>, width: usize) -> Vec<String> {
        let time = event.time();
        let mut cells = vec![
            time.map(|time| time.to_string()).unwrap_or_default(),
            time.map(|time| time.precision.name().to_owned()).unwrap_or_default(),
            time.map(|time| time.zone.name().to_owned()).unwrap_or_default(),
            self.sources.get(event.logsource()).to_string(),
            event.host().into_owned(),
            event.batch().origin.path.to_string(),
            event.head().record.to_string(),
        ];
        if self.arguments.raw {
            cells.push(String::from_utf8_lossy(event.raw()).into_owned());
        }
        cells.resize(width, String::new());
        for (name, field) in self.fields(event).filter(|(_, field)| !field.value.is_null()) {
            let at = columns.get(&name.to_ascii_lowercase());
            let Some(cell) = at.and_then(|at| cells.get_mut(*at)) else { continue };
            if !cell.is_empty() {
                cell.push_str("; ");
            }
            cell.push_str(&field.value.display());
        }
        cells
    }
}

/// A line of JSON; names are those of findings.
#[derive(Serialize)]
struct Row<'a> {
    time: Option<String>,
    time_precision: Option<&'static str>,
    time_zone: Option<&'static str>,
    host: Cow<'a, str>,
    logsource: besa_archive::Source,
    source: Place<'a>,
    fields: Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Place<'a> {
    path: &'a str,
    record: u64,
}

/// Names in the order of the record, each with its values.
struct Fields(Vec<(String, Vec<Value>)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            match values.as_slice() {
                [value] => map.serialize_entry(name, value)?,
                values => map.serialize_entry(name, values)?,
            }
        }
        map.end()
    }
}

/// A value as JSON: what was a number, a truth value or null in the evidence is one here, digit by
/// digit.
fn value(field: FieldView<'_>) -> Value {
    let text = field.value.display();
    match field.value.kind {
        ValueKind::Null | ValueKind::Node => Value::Null,
        ValueKind::Boolean if text == "true" => Value::Bool(true),
        ValueKind::Boolean if text == "false" => Value::Bool(false),
        ValueKind::Number => number(&text).unwrap_or_else(|| text.into_owned().into()),
        _ => text.into_owned().into(),
    }
}

/// A number that comes out as it stands in the evidence; others (`0x1f4`, `1.50`, those beyond
/// what JSON's readers hold) are text.
fn number(text: &str) -> Option<Value> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    (number.to_string() == text).then_some(Value::Number(number))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_stay_as_they_are_written() {
        for text in ["0", "-7", "18446744073709551615", "1.5"] {
            assert_eq!(number(text).unwrap().to_string(), text);
        }
        for text in ["0x1f4", "007", "1.50", "1e400", "123456789012345678901234567890", "", "NaN", "1 "] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
