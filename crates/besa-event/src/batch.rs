//! Batches of events: spans over one buffer, filled by a reader, read by the matcher, recycled.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::block::{Defect, Origin};
use crate::dictionary::{Dictionary, FieldId};
use crate::json_text::json_unescape;
use crate::logsource::{KnownAliases, LogSourceId, LogSources};
use crate::time::EventTime;

/// A piece of a batch's evidence bytes, or of what was decoded from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte; the high bit tells that it is a position in the decoded bytes.
    start: u32,
    len: u32,
}

const DECODED: u32 = 1 << 31;

impl Span {
    /// A range of the evidence bytes; positions past 2 GiB give an empty span (blocks are far
    /// smaller).
    #[must_use]
    #[inline]
    pub fn new(range: Range<usize>) -> Self {
        match (u32::try_from(range.start), u32::try_from(range.end.saturating_sub(range.start))) {
            (Ok(start), Ok(len)) if start < DECODED => Self { start, len },
            _ => Self::default(),
        }
    }

    #[inline]
    fn decoded(range: Range<usize>) -> Self {
        let span = Self::new(range);
        Self { start: span.start | DECODED, ..span }
    }

    /// Length in bytes.
    #[must_use]
    #[inline]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it holds nothing.
    #[must_use]
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    fn range(self) -> Range<usize> {
        let start = (self.start & !DECODED) as usize;
        start..start + self.len as usize
    }
}

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueKind {
    /// Text as it is (UTF-8, or bytes that could not be decoded).
    Text,
    /// The inside of a JSON string with escape sequences still in it.
    JsonText,
    /// A number in its source spelling.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Present without a value: JSON `null`, an EVTX null type. Bytes are empty.
    Null,
    /// Present, but holds other fields (a JSON object or array); only its presence counts.
    Node,
}

/// One field of one event. A field that holds several values (a JSON array) is several fields
/// of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: FieldId,
    /// What the bytes are.
    pub kind: ValueKind,
    /// Where they are.
    pub span: Span,
}

/// What an event is besides its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The record as it stood in the evidence, where that is text; empty for binary formats.
    pub raw: Span,
    /// The host that the record speaks of; empty if unknown.
    pub host: Span,
    /// When it happened, if the record says.
    pub time: Option<EventTime>,
    /// EVTX record id, line number from 1, or object number from 1.
    pub record: u64,
    /// Product, services and categories.
    pub logsource: LogSourceId,
}

#[derive(Clone, Debug)]
struct EventEntry {
    head: Head,
    fields: Range<u32>,
    /// End of the fields that the record has itself; aliases follow.
    own_end: u32,
}

/// Which fields a reader keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Every field; names that the dictionary lacks are kept beside the batch.
    #[default]
    Everything,
    /// Only fields whose names are in the dictionary.
    Named,
    /// Every field; and what has a second name that no table knows before the evidence is read is
    /// kept under it too, by a [`FieldId::for_later`]: a run whose dictionary holds the name would
    /// have been given it. For events that later runs will read, never for matching.
    History,
}

/// Events of one origin in the order of the evidence.
///
/// Shapes: `fields` is flat over all events; each event holds a range of it.
#[derive(Debug, Default)]
pub struct Batch {
    /// Where the events came from.
    pub origin: Arc<Origin>,
    /// Position of the batch in the run.
    pub sequence: u64,
    /// The evidence's bytes. A decoder takes them out while it works and puts them back.
    pub bytes: Vec<u8>,
    /// What could not be read in this stretch of evidence.
    pub defects: Vec<Defect>,
    decoded: Vec<u8>,
    fields: Vec<Field>,
    events: Vec<EventEntry>,
    names: Vec<Span>,
    open_from: u32,
    known_aliases: KnownAliases,
}

impl Batch {
    /// Empties it for the next block and takes that block's bytes over; returns the old buffer
    /// for reuse.
    pub fn reset(&mut self, origin: Arc<Origin>, sequence: u64, bytes: Vec<u8>) -> Vec<u8> {
        self.origin = origin;
        self.sequence = sequence;
        self.defects.clear();
        self.decoded.clear();
        self.fields.clear();
        self.events.clear();
        self.names.clear();
        self.open_from = 0;
        std::mem::replace(&mut self.bytes, bytes)
    }

    /// Appends decoded bytes and returns where they are.
    pub fn append(&mut self, decoded: &[u8]) -> Span {
        self.append_with(|out| out.extend_from_slice(decoded))
    }

    /// Appends what `write` puts at the end of the decoded bytes and returns where it is.
    #[inline]
    pub fn append_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.decoded.len();
        write(&mut self.decoded);
        Span::decoded(start..self.decoded.len())
    }

    /// An id for a name that the dictionary lacks.
    pub fn local_name(&mut self, name: Span) -> FieldId {
        let index = u32::try_from(self.names.len()).unwrap_or(0);
        self.names.push(name);
        FieldId::local(index)
    }

    /// An id for a second name that only later runs may ask for.
    pub fn name_for_later(&mut self, name: Span) -> FieldId {
        let index = u32::try_from(self.names.len()).unwrap_or(0);
        self.names.push(name);
        FieldId::for_later(index)
    }

    /// Adds a field to the event being read.
    #[inline]
    pub fn push_field(&mut self, name: FieldId, kind: ValueKind, span: Span) {
        self.fields.push(Field { name, kind, span });
    }

    /// Fields of the event being read, so far.
    #[must_use]
    pub fn open_fields(&self) -> &[Field] {
        self.fields.get(self.open_from as usize..).unwrap_or_default()
    }

    /// The value of the first field of that name in the event being read.
    #[must_use]
    pub fn open_value(&self, name: FieldId) -> Option<Value<'_>> {
        let field = self.open_fields().iter().find(|field| field.name == name)?;
        Some(Value { kind: field.kind, bytes: self.slice(field.span) })
    }

    /// Drops the fields of the event being read (the record turned out to be damaged).
    pub fn abandon_event(&mut self) {
        self.fields.truncate(self.open_from as usize);
    }

    /// Closes the event being read. Fields that the event's log source knows under another name
    /// (`NewProcessName` of Security 4688 is Sigma's `Image`) are added under that name too,
    /// unless the record has such a field itself.
    pub fn end_event(&mut self, dictionary: &Dictionary, sources: &LogSources, head: Head) {
        let own_end = u32::try_from(self.fields.len()).unwrap_or(u32::MAX);
        let mut known = std::mem::take(&mut self.known_aliases);
        for table in known.of(sources, head.logsource) {
            for (from, to) in dictionary.aliases.get(*table).map_or(&[][..], Vec::as_slice) {
                self.alias(*from, *to);
            }
        }
        self.known_aliases = known;
        let end = u32::try_from(self.fields.len()).unwrap_or(u32::MAX);
        self.events.push(EventEntry { head, fields: self.open_from..end, own_end });
        self.open_from = end;
    }

    fn alias(&mut self, from: FieldId, to: FieldId) {
        if self.open_fields().iter().any(|field| field.name == to && field.kind != ValueKind::Node) {
            return;
        }
        let mut at = self.open_from as usize;
        let end = self.fields.len();
        while at < end {
            if let Some(field) = self.fields.get(at).copied()
                && field.name == from
            {
                self.fields.push(Field { name: to, ..field });
            }
            at += 1;
        }
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// One event.
    ///
    /// # Panics
    /// When `index` is not below [`Batch::len`].
    #[must_use]
    pub fn event(&self, index: usize) -> Event<'_> {
        Event { batch: self, entry: &self.events[index] }
    }

    /// All events in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        self.events.iter().map(|entry| Event { batch: self, entry })
    }

    #[inline]
    fn slice(&self, span: Span) -> &[u8] {
        let arena = if span.start & DECODED == 0 { &self.bytes } else { &self.decoded };
        arena.get(span.range()).unwrap_or_default()
    }
}

/// One event, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    batch: &'a Batch,
    entry: &'a EventEntry,
}

/// One field with its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldView<'a> {
    /// The name.
    pub name: FieldId,
    /// The value.
    pub value: Value<'a>,
}

/// A value as it stands in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// What the bytes are.
    pub kind: ValueKind,
    /// The bytes; escaped if the kind says so.
    pub bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// The text: unescaped if it was escaped, empty for null and nodes.
    #[must_use]
    pub fn text(self) -> Cow<'a, [u8]> {
        if self.kind != ValueKind::JsonText {
            return Cow::Borrowed(self.bytes);
        }
        let mut out = Vec::with_capacity(self.bytes.len());
        json_unescape(self.bytes, &mut out);
        Cow::Owned(out)
    }

    /// The text for people; what is not UTF-8 is shown as U+FFFD.
    #[must_use]
    pub fn display(self) -> Cow<'a, str> {
        match self.text() {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Whether the bytes hold escape sequences, so that they are not the text.
    #[must_use]
    #[inline]
    pub fn is_escaped(self) -> bool {
        self.kind == ValueKind::JsonText && memchr::memchr(b'\\', self.bytes).is_some()
    }

    /// Whether there is a value at all.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind == ValueKind::Null
    }
}

impl<'a> Event<'a> {
    /// What it is besides its fields.
    #[must_use]
    pub fn head(self) -> &'a Head {
        &self.entry.head
    }

    /// Its log source.
    #[must_use]
    pub fn logsource(self) -> LogSourceId {
        self.entry.head.logsource
    }

    /// When it happened.
    #[must_use]
    pub fn time(self) -> Option<EventTime> {
        self.entry.head.time
    }

    /// The record as it stood in the evidence; empty for binary formats.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.batch.slice(self.entry.head.raw)
    }

    /// The host that the record speaks of; empty if unknown.
    #[must_use]
    pub fn host(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.batch.slice(self.entry.head.host))
    }

    /// The batch it belongs to.
    #[must_use]
    pub fn batch(self) -> &'a Batch {
        self.batch
    }

    /// Its fields as they lie in the batch.
    #[must_use]
    #[inline]
    pub fn raw_fields(self) -> &'a [Field] {
        let range = self.entry.fields.start as usize..self.entry.fields.end as usize;
        self.batch.fields.get(range).unwrap_or_default()
    }

    /// The fields that the record has itself, in its order; not those that [`Batch::end_event`]
    /// added under a rule's name.
    #[must_use]
    pub fn own_fields(self) -> &'a [Field] {
        let range = self.entry.fields.start as usize..self.entry.own_end as usize;
        self.batch.fields.get(range).unwrap_or_default()
    }

    /// Where the bytes of a field lie within [`Event::raw`], if they do.
    #[must_use]
    #[inline]
    pub fn within_raw(self, field: &Field) -> Option<Range<usize>> {
        let raw = self.entry.head.raw;
        let same_arena = (raw.start ^ field.span.start) & DECODED == 0;
        let (raw, inner) = (raw.range(), field.span.range());
        let inside = same_arena && raw.start <= inner.start && inner.end <= raw.end;
        inside.then(|| inner.start - raw.start..inner.end - raw.start)
    }

    /// Whether a test holds of one of some stretches of bytes in which all of its values lie. Values
    /// that lie near each other share a stretch; what else lies in it belongs to no value, or to
    /// another event.
    pub fn any_stretch(self, mut test: impl FnMut(&'a [u8]) -> bool) -> bool {
        /// Bytes between two values of one stretch: names and signs of most formats.
        const GAP_MAX: usize = 256;
        // Of the evidence's bytes and of the decoded bytes.
        let arenas: [&[u8]; 2] = [&self.batch.bytes, &self.batch.decoded];
        let mut open = [0..0, 0..0];
        for field in self.raw_fields().iter().filter(|field| !field.span.is_empty()) {
            let (range, which) = (field.span.range(), usize::from(field.span.start & DECODED != 0));
            let stretch: &mut Range<usize> = &mut open[which];
            if range.start <= stretch.end + GAP_MAX
                && stretch.start <= range.end + GAP_MAX
                && !Range::is_empty(stretch)
            {
                *stretch = stretch.start.min(range.start)..stretch.end.max(range.end);
            } else {
                let before = std::mem::replace(stretch, range);
                if !Range::is_empty(&before) && test(arenas[which].get(before).unwrap_or_default()) {
                    return true;
                }
            }
        }
        arenas.into_iter().zip(open).any(|(arena, stretch)| {
            !Range::is_empty(&stretch) && test(arena.get(stretch).unwrap_or_default())
        })
    }

    /// Its fields in the order of the record.
    pub fn fields(self) -> impl ExactSizeIterator<Item = FieldView<'a>> {
        self.raw_fields().iter().map(move |field| FieldView { name: field.name, value: self.value(field) })
    }

    /// The value of one of its fields.
    #[must_use]
    #[inline]
    pub fn value(self, field: &Field) -> Value<'a> {
        Value { kind: field.kind, bytes: self.batch.slice(field.span) }
    }

    /// The first value of a field.
    #[must_use]
    pub fn get(self, name: FieldId) -> Option<Value<'a>> {
        self.all(name).next()
    }

    /// Every value of a field.
    pub fn all(self, name: FieldId) -> impl Iterator<Item = Value<'a>> {
        self.raw_fields().iter().filter(move |field| field.name == name).map(move |field| self.value(field))
    }

    /// The name of one of its fields as the dictionary or the record spells it.
    #[must_use]
    pub fn field_name(self, dictionary: &'a Dictionary, name: FieldId) -> Cow<'a, str> {
        match name.as_local() {
            None => Cow::Borrowed(dictionary.name(name)),
            Some(index) => {
                let span = self.batch.names.get(index).copied().unwrap_or_default();
                String::from_utf8_lossy(self.batch.slice(span))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogSource;

    #[test]
    fn stretches_hold_every_value_and_little_else() {
        let (dictionary, sources) = (Dictionary::builder().build(), LogSources::new());
        let mut batch = Batch::default();
        let text = |range: Range<usize>| range.map(|at| (at % 251) as u8).collect::<Vec<u8>>();
        batch.reset(Origin::new("-"), 0, text(0..5_000));
        batch.append(&text(0..5_000));
        let decoded =
            |range: Range<usize>| Span { start: range.start as u32 | DECODED, len: range.len() as u32 };
        let spans = [
            Span::new(1_000..1_010),
            decoded(10..20),
            Span::new(1_100..1_200),
            decoded(4_000..4_001),
            Span::default(),
            Span::new(990..995),
            decoded(12..15),
            Span::new(3_000..3_001),
        ];
        spans.into_iter().for_each(|span| batch.push_field(FieldId(0), ValueKind::Text, span));
        batch.end_event(&dictionary, &sources, Head::default());
        let mut stretches = Vec::new();
        assert!(!batch.event(0).any_stretch(|stretch| {
            stretches.push(stretch.to_vec());
            false
        }));
        let expected = [10..20, 4_000..4_001, 990..1_200, 3_000..3_001, 12..15].map(text);
        assert_eq!(stretches, expected);
        assert!(batch.event(0).any_stretch(|stretch| stretch.len() == 1));
    }

    #[test]
    fn events_read_from_both_buffers_and_aliases_are_added() {
        let mut builder = Dictionary::builder();
        let image = builder.intern("Image");
        let dictionary = builder.build();
        let process = dictionary.lookup(b"NewProcessName").unwrap();
        let sources = LogSources::new();
        let class = sources.intern(LogSource::new("windows", &["security"], &["process_creation"]));

        let mut batch = Batch::default();
        batch.reset(Origin::new("a"), 0, b"cmd.exe other".to_vec());
        batch.push_field(process, ValueKind::Text, Span::new(0..7));
        let host = batch.append(b"DC1");
        let raw = Span::new(0..7);
        batch.end_event(&dictionary, &sources, Head { raw, host, logsource: class, ..Head::default() });
        let name = batch.append(b"Odd");
        let odd = batch.local_name(name);
        batch.push_field(odd, ValueKind::JsonText, Span::new(8..13));
        batch.abandon_event();
        batch.push_field(odd, ValueKind::Text, Span::new(8..13));
        batch.end_event(&dictionary, &sources, Head::default());

        let first = batch.event(0);
        assert_eq!(first.get(image).unwrap().bytes, b"cmd.exe");
        assert_eq!(first.host(), "DC1");
        assert_eq!((first.raw_fields().len(), first.own_fields().len()), (2, 1));
        assert_eq!(first.within_raw(&first.own_fields()[0]), Some(0..7));
        let second = batch.event(1);
        assert_eq!(second.fields().len(), 1);
        assert_eq!(second.field_name(&dictionary, odd), "Odd");
        assert_eq!(second.get(odd).unwrap().display(), "other");
        assert_eq!(second.get(image), None);
    }
}
