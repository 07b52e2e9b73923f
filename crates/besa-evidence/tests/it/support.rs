//! Reading bytes and printing what came of them.

use std::fmt::Write as _;
use std::path::PathBuf;

use besa_event::{Dictionary, Event, Keep, LogSources, ValueKind};
use besa_evidence::{Account, Context, Limits, read_all};

/// Names that rules ask for in these tests.
const WANTED: &[&str] = &[
    "Channel",
    "EventID",
    "Provider_Name",
    "Computer",
    "Image",
    "CommandLine",
    "User",
    "ParentImage",
    "id.orig_h",
    "properties.message",
    "data.protoPayload.methodName",
    "gcp.audit.method_name",
    "eventSource",
    "apiGroup",
    "cs-host",
    "c-uri",
    "src_ip",
    "dst_ip",
    "query",
    "requestParameters",
    "status",
    "type",
    "SYSCALL",
];

pub(crate) struct Reading {
    pub(crate) text: String,
    pub(crate) account: Account,
}

/// Reads `input` and prints one line an event: number, log source, time, host, then the fields.
pub(crate) fn read(limits: Limits, keep: Keep, input: &[u8]) -> Reading {
    let mut names = Dictionary::builder();
    WANTED.iter().for_each(|name| {
        names.intern(name);
    });
    let (dictionary, sources) = (names.build(), LogSources::new());
    let context = Context {
        dictionary: &dictionary,
        sources: &sources,
        keep,
        reference: Some((2024, 12)),
        carve: true,
        limits,
    };
    let mut text = String::new();
    let account = read_all(&context, "t", &mut &*input, &mut |batch| {
        for event in batch.events() {
            print(&mut text, &dictionary, &sources, event);
        }
    });
    Reading { text, account }
}

fn print(out: &mut String, dictionary: &Dictionary, sources: &LogSources, event: Event<'_>) {
    let class = sources.get(event.logsource());
    let time = event.time().map_or("-".to_owned(), |time| format!("{time} {}", time.zone.name()));
    let parts =
        [class.product.clone().unwrap_or_default(), class.services.join(","), class.categories.join(",")];
    write!(out, "{} {} [{time}] host={}", event.head().record, parts.join("/"), event.host()).unwrap();
    for field in event.fields() {
        let name = event.field_name(dictionary, field.name);
        if name == "_raw" {
            continue;
        }
        let value = match field.value.kind {
            ValueKind::Text | ValueKind::JsonText => field.value.display().escape_debug().to_string(),
            ValueKind::Number | ValueKind::Boolean => format!("#{}", field.value.display()),
            ValueKind::Null => "null".to_owned(),
            ValueKind::Node => "node".to_owned(),
        };
        write!(out, " {name}={value}").unwrap();
    }
    out.push('\n');
}

/// As [`read`] with everything kept and the usual limits; defects and accounts are printed too.
pub(crate) fn summary(input: &[u8]) -> String {
    summary_with(Limits::default(), input)
}

pub(crate) fn summary_with(limits: Limits, input: &[u8]) -> String {
    let Reading { mut text, account } = read(limits, Keep::Everything, input);
    for defect in &account.defects {
        writeln!(text, "! {defect}").unwrap();
    }
    for file in &account.files {
        writeln!(text, "= {} {} {}", file.origin, file.format.unwrap_or("-"), file.bytes).unwrap();
    }
    text
}

/// Foreign data, which is never part of the project.
pub(crate) fn corpora(folder: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("BESA_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = shared.join("corpora").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    #[allow(clippy::print_stderr, reason = "a test that did not run must say so")]
    {
        eprintln!("skipped: no foreign vectors at {}", path.display());
    }
    None
}
