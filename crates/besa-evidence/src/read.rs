//! Walking and decoding on one thread, for small inputs, tests and fuzzing.

use std::io::Read;
use std::ops::ControlFlow;

use besa_event::{Batch, Defect, Dictionary, Event, Keep, LogSources};

use crate::context::{Context, Limits};
use crate::format::{Decoder, decode};
use crate::walk::{FileAccount, Item, walk_reader};

/// What became of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What could not be read, in the order of the evidence.
    pub defects: Vec<Defect>,
    /// Each file and member that is no container.
    pub files: Vec<FileAccount>,
}

/// Reads a stream, whatever it holds, and hands each batch of events to `on_batch`; `name` is
/// what its origin is called.
///
/// ```
/// use besa_event::{Dictionary, Keep, LogSources};
/// use besa_evidence::{Context, Limits, read_all};
///
/// let mut names = Dictionary::builder();
/// let image = names.intern("Image");
/// let (dictionary, sources) = (names.build(), LogSources::new());
/// let context = Context {
///     dictionary: &dictionary,
///     sources: &sources,
///     keep: Keep::Named,
///     reference: None,
///     carve: false,
///     limits: Limits::default(),
/// };
/// let line = br#"{"Event":{"System":{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational"},
///                 "EventData":{"Image":"a.exe"}}}"#;
/// let mut images = Vec::new();
/// let account = read_all(&context, "a.json", &mut line.as_slice(), &mut |batch| {
///     for event in batch.events() {
///         let source = sources.get(event.logsource());
///         images.push((event.get(image).unwrap().display().into_owned(), source.to_string()));
///     }
/// });
/// assert_eq!(images, [("a.exe".to_owned(), "windows/sysmon/process_creation".to_owned())]);
/// assert_eq!(account.files[0].format, Some("json"));
/// ```
pub fn read_all(
    context: &Context<'_>,
    name: &str,
    input: &mut (dyn Read + Send),
    on_batch: &mut dyn FnMut(&Batch),
) -> Account {
    read_all_by(context, &mut Decoder::new(), name, input, on_batch)
}

fn read_all_by(
    context: &Context<'_>,
    decoder: &mut Decoder,
    name: &str,
    input: &mut (dyn Read + Send),
    on_batch: &mut dyn FnMut(&Batch),
) -> Account {
    let mut account = Account::default();
    let mut batch = Batch::default();
    let mut sink = |item| {
        match item {
            Item::Block(block) => {
                decode(context, decoder, block, &mut batch);
                on_batch(&batch);
                account.defects.append(&mut batch.defects);
            }
            Item::Defect(defect) => account.defects.push(defect),
            Item::Done(file) => account.files.push(file),
            Item::Progress { .. } => {}
        }
        ControlFlow::Continue(())
    };
    let _ = walk_reader(name, input, &context.limits, &mut Vec::new, &mut sink);
    account
}

/// Reads bytes by vector instructions and by the slow twin, [`Decoder::byte_by_byte`], and compares
/// each event, its head and its fields, and each defect. For tests and fuzzing.
///
/// # Errors
/// What differs first.
pub fn decode_twice(bytes: &[u8], keep: Keep, limits: Limits) -> Result<usize, String> {
    let mut names = Dictionary::builder();
    WANTED.iter().for_each(|name| {
        names.intern(name);
    });
    let (dictionary, sources) = (names.build(), LogSources::new());
    let (dictionary, sources) = (&dictionary, &sources);
    let context = Context { dictionary, sources, keep, reference: None, carve: true, limits };
    let read = |mut decoder: Decoder| {
        let mut events = Vec::new();
        let account = read_all_by(&context, &mut decoder, "-", &mut &*bytes, &mut |batch| {
            events.extend(batch.events().map(|event| told(dictionary, event)));
        });
        (events, account)
    };
    let (events, account) = read(Decoder::new());
    let (twin_events, twin_account) = read(Decoder::byte_by_byte());
    if let Some((event, twin)) = events.iter().zip(&twin_events).find(|(event, twin)| event != twin) {
        return Err(format!("by marks: {event}\nbyte by byte: {twin}"));
    }
    if events.len() != twin_events.len() || account != twin_account {
        let (count, twin_count) = (events.len(), twin_events.len());
        return Err(format!("by marks: {count} {account:?}\nbyte by byte: {twin_count} {twin_account:?}"));
    }
    Ok(events.len())
}

/// Everything of an event, as text.
fn told(dictionary: &Dictionary, event: Event<'_>) -> String {
    use std::fmt::Write as _;
    let head = event.head();
    let mut out = format!("{} {:?} {:?} {}", head.record, head.logsource, head.time, event.host());
    let _ = write!(out, " {}", event.raw().len());
    for field in event.fields() {
        let name = event.field_name(dictionary, field.name);
        let _ = write!(out, "\n{name} {:?} {}", field.value.kind, field.value.bytes.escape_ascii());
    }
    out
}

/// Names asked for when any bytes are read.
const WANTED: [&str; 9] =
    ["Image", "CommandLine", "EventID", "Channel", "Hostname", "Message", "id.orig_h", "c-uri", "_raw"];

/// Recognises, frames and decodes any bytes and looks at every value; returns the number of
/// events. For fuzzing: it must neither panic nor hang, and what it spends is bounded.
#[must_use]
pub fn decode_any(bytes: &[u8]) -> usize {
    let mut names = Dictionary::builder();
    WANTED.iter().for_each(|name| {
        names.intern(name);
    });
    let (dictionary, sources) = (names.build(), LogSources::new());
    let limits = Limits {
        block_len_bytes: 64 << 10,
        record_len_bytes_max: 1 << 20,
        decompressed_len_bytes_max: 16 << 20,
        members_max: 1_000,
        decompression_threads_max: 0,
        ..Limits::default()
    };
    let keep = Keep::Everything;
    let context = Context {
        dictionary: &dictionary,
        sources: &sources,
        keep,
        reference: Some((2024, 6)),
        carve: true,
        limits,
    };
    let mut events = 0;
    read_all(&context, "-", &mut &*bytes, &mut |batch| {
        for event in batch.events() {
            events += 1;
            for field in event.fields() {
                std::hint::black_box((event.field_name(&dictionary, field.name), field.value.display()));
            }
        }
    });
    events
}
