//! JSON in the shapes that people have: lines, pretty-printed or concatenated objects, arrays,
//! exports that wrap their records; Windows events as several tools write them, cloud audit
//! logs, Suricata, Zeek.
//!
//! ```text
//! {"Event":{"System":{"EventID":1,"Channel":"…Sysmon/Operational"},
//!           "EventData":{"Image":"C:\\a.exe","Hashes":"…"}}}
//!
//!   parse   path Event.EventData.Image ──names──▶ field Image, span of  C:\\a.exe  (JsonText)
//!           path Event.System.Channel  ──names──▶ field Channel, and the role Channel
//!   shapes  roles Channel, EventId     ─────────▶ log source windows/sysmon/process_creation
//! ```
//!
//! A record is checked against RFC 8259 as a whole while it is read; nothing is unescaped and
//! nothing allocated. Nested objects become dotted paths (`a.b.c`), an array several fields of
//! one name. What a path means (a rename, a role, further names) is worked out once per path
//! and remembered by [`names`]; what a record is, [`shapes`] tells from the roles it filled,
//! without any mapping file.
//!
//! Lenient where evidence is: names may be repeated in one object (each is a field), lone
//! surrogates are kept, bytes that were not UTF-8 have been read as Windows-1252 before.
//! Strict otherwise: a torn or invalid record is a defect and gives no event.

use besa_event::{Batch, Defect, Place};
use memchr::memchr;

use self::parse::{Fault, PATH_LEN_MAX, Parser};
use self::record::Record;
pub(crate) use self::scan::{Scan, Scanned};
use self::strings::Strings;
use crate::context::{Context, Position};

mod embedded;
mod names;
mod parse;
mod record;
mod scan;
mod shapes;
mod strings;

pub(crate) use self::shapes::SECOND_NAMES;

/// How records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One a line: damage ends with its line, and records are numbered as lines.
    Lines,
    /// Values with white space and commas between them, numbered as values.
    Values,
}

/// What a worker keeps from block to block.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    names: names::Names,
    record: Record,
    classes: shapes::Classes,
    path: Vec<u8>,
    strings: strings::Store,
}

impl Decoder {
    /// The slow twin: reads strings byte by byte.
    pub(crate) fn byte_by_byte() -> Self {
        Self { strings: strings::Store::off(), ..Self::default() }
    }
}

/// Lines of a sample that may be damaged before the first sound record.
const RECOGNISE_LINES: usize = 20;

/// How records follow each other, if a sample is JSON at all.
pub(crate) fn recognise(sample: &[u8]) -> Option<Layout> {
    let sample = sample.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(sample);
    let text = sample.trim_ascii_start();
    if !is_opening(text) {
        // A file cut out of a longer one begins inside of a record.
        let mut lines = text.split(|byte| *byte == b'\n').skip(1).take(RECOGNISE_LINES);
        let has_record = lines.any(|line| is_opening(line) && ends_with_value(line));
        return has_record.then_some(Layout::Lines);
    }
    if text.first() == Some(&b'[') || wrapper_head(text).is_some() {
        return Some(Layout::Values);
    }
    // A pretty-printed record has its brace on a line of its own.
    let is_pretty = text.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == b"{");
    let line = memchr(b'\n', text).and_then(|len| text.get(..len)).unwrap_or(text);
    let is_one_a_line = match Scan::default().advance(line, 0) {
        Scanned::Complete(end) => line.get(end..).unwrap_or_default().trim_ascii().is_empty(),
        // A line longer than the sample.
        Scanned::More => line.len() == text.len(),
        // A torn first record says nothing of the others.
        Scanned::Torn(_) => true,
    };
    Some(if is_one_a_line && !is_pretty { Layout::Lines } else { Layout::Values })
}

/// Whether a text begins as JSON records do: `{"name":`, `{}`, `[{`, `[[` or `[]`.
fn is_opening(text: &[u8]) -> bool {
    match text.split_first() {
        Some((b'[', rest)) => match rest.trim_ascii_start().first() {
            Some(b'{') => is_opening(rest.trim_ascii_start()),
            Some(b']' | b'[') => true,
            _ => false,
        },
        Some((b'{', rest)) => match rest.trim_ascii_start().split_first() {
            Some((b'}', _)) => true,
            Some((b'"', rest)) => {
                let Some(end) = memchr(b'"', rest) else { return false };
                let behind = rest.get(end + 1..).unwrap_or_default().trim_ascii_start();
                behind.first() == Some(&b':') || rest.get(..end).is_some_and(|name| name.ends_with(b"\\"))
            }
            _ => false,
        },
        _ => false,
    }
}

fn ends_with_value(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    Scan::default().advance(line, 0) == Scanned::Complete(line.len())
}

/// A wrapper's head must fit into this many bytes.
pub(crate) const WRAPPER_HEAD_LEN_MAX: usize = 4_096;

/// Names whose array holds the records of an export: CloudTrail, Azure diagnostics, Graph and
/// Azure's management API, `aws cloudtrail lookup-events`, Elasticsearch, Kubernetes and Google
/// lists.
const WRAPPERS: &[&[u8]] =
    &[b"Records", b"records", b"value", b"Events", b"events", b"hits", b"items", b"entries"];

/// Names that may stand before it.
const WRAPPER_PREAMBLE: &[&[u8]] = &[
    b"@odata.context",
    b"@odata.count",
    b"@odata.nextLink",
    b"nextLink",
    b"NextToken",
    b"nextToken",
    b"nextPageToken",
    b"took",
    b"timed_out",
    b"_shards",
    b"_scroll_id",
    b"total",
    b"max_score",
    b"count",
    b"kind",
    b"apiVersion",
    b"metadata",
    b"etag",
];

/// If an object is a wrapper around records: the length of what stands before the first record,
/// and how many objects are open there.
pub(crate) fn wrapper_head(text: &[u8]) -> Option<(usize, u64)> {
    let text = text.get(..text.len().min(WRAPPER_HEAD_LEN_MAX))?;
    let mut at = 0;
    let mut open = 0;
    let skip_space = |at: usize| {
        let space = text.iter().skip(at).take_while(|byte| byte.is_ascii_whitespace()).count();
        at + space
    };
    let expect = |at: usize, byte: u8| (text.get(at) == Some(&byte)).then_some(at + 1);
    at = expect(at, b'{')?;
    open += 1;
    loop {
        at = expect(skip_space(at), b'"')?;
        let name_len = memchr(b'"', text.get(at..)?)?;
        let name = text.get(at..at + name_len)?;
        at = skip_space(expect(skip_space(at + name_len + 1), b':')?);
        if WRAPPERS.contains(&name) {
            if let Some(begin) = expect(at, b'[') {
                let first = *text.get(skip_space(begin))?;
                return matches!(first, b'{' | b']').then_some((begin, open));
            }
            at = expect(at, b'{')?;
            open += 1;
            continue;
        }
        if !WRAPPER_PREAMBLE.contains(&name) {
            return None;
        }
        at = expect(skip_space(value_end(text, at)?), b',')?;
    }
}

/// Where a value in a wrapper's preamble ends.
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'{' | b'[' => match Scan::default().advance(text, at) {
            Scanned::Complete(end) => Some(end),
            _ => None,
        },
        b'"' => {
            // A string as the only element of an array, to have the scanner find its end.
            let mut scan = Scan::inside(1);
            match scan.advance(text.get(..at + 1)?, at) {
                Scanned::More => memchr(b'"', text.get(at + 1..)?).map(|len| at + len + 2),
                _ => None,
            }
        }
        _ => {
            let len = text.get(at..)?.iter().take_while(|byte| !b",}] \t\r\n".contains(byte)).count();
            Some(at + len)
        }
    }
}

pub(crate) fn decode(
    context: &Context<'_>,
    position: Position,
    bytes: &[u8],
    layout: Layout,
    decoder: &mut Decoder,
    batch: &mut Batch,
) {
    decoder.names.begin_block(context);
    decoder.classes.begin_block(context);
    let mut store = std::mem::take(&mut decoder.strings);
    let mut reader = Reader { context, bytes, strings: store.open(bytes), decoder, batch };
    match layout {
        Layout::Lines => reader.lines(position.first_record),
        Layout::Values => reader.values(position.first_record),
    }
    decoder.strings = store;
}

struct Reader<'a> {
    context: &'a Context<'a>,
    bytes: &'a [u8],
    strings: Strings<'a>,
    decoder: &'a mut Decoder,
    batch: &'a mut Batch,
}

impl Reader<'_> {
    fn lines(&mut self, first_record: u64) {
        let mut record = first_record;
        let mut at = 0;
        while at < self.bytes.len() {
            let read_to = self.head_of_line(at, record);
            at = match self.bytes.get(read_to) {
                Some(b'\n') => read_to + 1,
                _ => {
                    let len = memchr(b'\n', self.bytes.get(read_to..).unwrap_or_default());
                    let end = len.map_or(self.bytes.len(), |len| read_to + len);
                    self.line(read_to, end, record);
                    end + 1
                }
            };
            record += 1;
        }
    }

    /// Reads the object at the beginning of a line, if a sound one is there; returns where it ends.
    /// Nearly always that is the end of the line, which so need not be searched for; the slow
    /// twin does.
    fn head_of_line(&mut self, begin: usize, record: u64) -> usize {
        let bytes = self.bytes;
        match bytes.get(begin) {
            Some(b'{') if self.strings.are_marked() => {
                self.object_in(bytes, true, begin, record).unwrap_or(begin)
            }
            _ => begin,
        }
    }

    /// Mostly one object; several, or an array of them, are read as well.
    fn line(&mut self, begin: usize, end: usize, record: u64) {
        let mut at = begin;
        loop {
            at = self.skip_separators(at, end);
            if at >= end {
                return;
            }
            match self.value(at, end, record) {
                Ok(next) => at = next,
                Err(fault) => return self.defect(record, at, &fault),
            }
        }
    }

    fn values(&mut self, first_record: u64) {
        let end = self.bytes.len();
        let mut record = first_record;
        let mut at = self.skip_separators(0, end);
        while at < end {
            at = match self.value(at, end, record) {
                Ok(next) => next,
                Err(fault) => {
                    self.defect(record, at, &fault);
                    match Scan::default().advance(self.bytes, at) {
                        Scanned::Complete(next) | Scanned::Torn(next) => next.max(at + 1),
                        Scanned::More => end,
                    }
                }
            };
            record += 1;
            at = self.skip_separators(at, end);
        }
    }

    fn skip_separators(&self, at: usize, end: usize) -> usize {
        let rest = self.bytes.get(at..end).unwrap_or_default();
        at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',')).count()
    }

    /// Reads one record, or each of an array of them; returns where it ends.
    fn value(&mut self, at: usize, end: usize, record: u64) -> Result<usize, Fault> {
        match self.bytes.get(at) {
            Some(b'[') => self.array(at, end, record),
            _ => self.object(at, end, record),
        }
    }

    fn array(&mut self, begin: usize, end: usize, record: u64) -> Result<usize, Fault> {
        let mut at = self.skip_separators(begin + 1, end);
        loop {
            match self.bytes.get(at..end).and_then(<[u8]>::first) {
                Some(b']') => return Ok(at + 1),
                Some(_) => {
                    let next = self.object(at, end, record)?;
                    at = self.skip_separators(next, end);
                }
                None => return Err(Fault { at, what: "an array ends too early" }),
            }
        }
    }

    fn object(&mut self, begin: usize, end: usize, record: u64) -> Result<usize, Fault> {
        let bytes = self.bytes;
        self.object_in(bytes.get(..end).unwrap_or_default(), false, begin, record)
    }

    /// Reads the object that begins at `begin` of `bytes`, what it has of the block. If it
    /// `is_in_line` it ends before the next line break. Nothing is added for one that is damaged.
    fn object_in(
        &mut self,
        bytes: &[u8],
        is_in_line: bool,
        begin: usize,
        record: u64,
    ) -> Result<usize, Fault> {
        let Decoder { names, record: seen, classes, path, .. } = &mut *self.decoder;
        seen.clear();
        path.clear();
        let mut parser =
            Parser::new(self.context, bytes, Some(&mut self.strings), names, seen, path, self.batch);
        parser.is_in_line = is_in_line;
        let parsed = parser.record(begin);
        if parsed.is_err() {
            self.batch.abandon_event();
            return parsed;
        }
        embedded::expand(self.context, bytes, names, seen, path, self.batch);
        let left_out = seen.left_out;
        shapes::finish(
            self.context,
            bytes,
            begin..*parsed.as_ref().unwrap_or(&begin),
            record,
            seen,
            classes,
            self.batch,
        );
        if left_out > 0 {
            let max = self.context.limits.fields_max;
            self.report(record, format!("{left_out} fields were left out: more than {max}, or with a path of more than {PATH_LEN_MAX} bytes"));
        }
        parsed
    }

    fn defect(&mut self, record: u64, begin: usize, fault: &Fault) {
        let at = fault.at.saturating_sub(begin);
        self.report(record, format!("no valid JSON: {} at byte {at} of the record", fault.what));
    }

    fn report(&mut self, record: u64, reason: String) {
        let origin = std::sync::Arc::clone(&self.batch.origin);
        self.batch.defects.push(Defect { origin, place: Place::Record(record), reason });
    }
}
