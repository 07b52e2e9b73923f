//! A piece: the events of one partition on their way into one data file.
//!
//! Invariants:
//! - An event's own fields are stored, in order, with their kinds; fields added under a rule's
//!   name are not, the reading run adds its own.
//! - A row group ends at [`GROUP_ROWS_MAX`] rows or [`GROUP_BYTES_MAX`] bytes of distinct values, a
//!   file at [`GROUPS_MAX`] row groups or [`FILE_BYTES_MAX`] encoded bytes.
//! - A file has at most [`COLUMNS_MAX`] columns of fields; further names go into the overflow, so
//!   that a stranger's names cost bytes and no columns.

use std::collections::BTreeMap;

use besa_event::{Dictionary, Event, EventTime, Field, ValueKind};
use foldhash::fast::RandomState;

use super::column::Column;
use super::names::Names;
use crate::codec::layout::{self, Layout, LayoutField, Place, Raw};
use crate::codec::page::{Chunk, Distinct, PageWriter};
use crate::codec::varint;
use crate::entry::Day;
use crate::entry::{GroupEntry, Source};
use crate::error::Result;
use crate::index::FileIndexer;

/// Rows of a row group, at most.
pub(crate) const GROUP_ROWS_MAX: usize = 1 << 16;
/// Bytes that a row group under construction holds, at most (plus one event).
pub(crate) const GROUP_BYTES_MAX: usize = 32 << 20;
/// Row groups of a file, at most: a set of them is a `u64`.
pub(crate) const GROUPS_MAX: usize = 64;
/// Encoded bytes after which a file is closed.
pub(crate) const FILE_BYTES_MAX: usize = 48 << 20;
/// Columns of fields of a file, at most.
pub(crate) const COLUMNS_MAX: usize = 400;
/// Bytes of an event beside its columns: its time and number.
const ROW_WEIGHT: usize = 48;
/// Layouts of a row group from which it is asked whether the raw record is worth taking apart.
const LAYOUTS_TRIED: usize = 256;

/// The archive's own columns, in the order of the file. Names and meaning: `docs/archive-format.md`.
pub(crate) const TIME: &str = "besa_time";
pub(crate) const PRECISION: &str = "besa_time_precision";
pub(crate) const ZONE: &str = "besa_time_zone";
pub(crate) const RECORD: &str = "besa_record";
pub(crate) const HOST: &str = "besa_host";
pub(crate) const ORIGIN: &str = "besa_origin";
pub(crate) const LAYOUT: &str = "besa_layout";
pub(crate) const RAW: &str = "besa_raw";
pub(crate) const MORE: &str = "besa_more";

/// What an encoded column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    /// Nanoseconds since 1970.
    Time,
    /// An unsigned number.
    Number,
    /// UTF-8.
    Text,
    /// Bytes.
    Bytes,
}

/// An encoded row group.
pub(crate) struct Group {
    pub(crate) entry: GroupEntry,
    pub(crate) own: Vec<(&'static str, ColumnType, Chunk)>,
    /// Position of the column in the piece's names, chunk; ascending.
    pub(crate) fields: Vec<(usize, Chunk)>,
}

impl Group {
    fn encoded_len(&self) -> usize {
        self.own.iter().map(|(_, _, chunk)| chunk.bytes.len()).sum::<usize>()
            + self.fields.iter().map(|(_, chunk)| chunk.bytes.len()).sum::<usize>()
    }
}

/// What all pieces of a writer share.
#[derive(Default)]
pub(crate) struct Kit {
    pub(crate) names: Names,
    pub(crate) spare: Spare,
    hasher: RandomState,
}

/// Columns that were used, for reuse: most are small, and there are many.
#[derive(Default)]
pub(crate) struct Spare {
    columns: Vec<Column>,
    weight: usize,
}

/// A larger column is given back to the system: whoever gets it next may need little.
const SPARE_COLUMN_MAX: usize = 4 << 10;
/// Bytes of spare columns, at most.
const SPARE_MAX: usize = 4 << 20;

impl Spare {
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    pub(crate) fn put(&mut self, columns: Vec<Column>) {
        for column in columns {
            if self.weight + column.weight() <= SPARE_MAX {
                self.weight += column.weight();
                self.columns.push(column);
            }
        }
    }

    /// An empty column; `grown` gets the bytes that it holds.
    fn take(&mut self, grown: &mut usize) -> Column {
        let column = self.columns.pop().unwrap_or_default();
        self.weight -= column.weight();
        *grown += column.weight();
        column
    }
}

/// A row group under way.
#[derive(Default)]
struct Draft {
    rows: usize,
    /// Bytes that columns hold.
    weight: usize,
    /// By position in the piece's names.
    columns: Vec<Column>,
    /// Values in the overflow, for the index alone, by number of the name.
    extra: BTreeMap<u32, Column>,
    /// Pairs of names' numbers: a field, and a second name that was given to its value.
    twins: Vec<(u32, u32)>,
    times: Vec<Option<i64>>,
    records: Vec<Option<i64>>,
    precisions: Column,
    zones: Column,
    hosts: Column,
    origins: Column,
    layouts: Column,
    layouts_encoded: Vec<Vec<u8>>,
    raws: Column,
    mores: Column,
}

/// A row group that is complete and not yet encoded; what is needed for that.
pub(crate) struct Ending {
    draft: Draft,
    /// Ways in which the index looks at the values of columns, by position, and of what is in the
    /// overflow, by number.
    ways: Vec<(usize, Vec<u32>)>,
    ways_of_extra: Vec<(u32, Vec<u32>)>,
    group: u8,
    indexer: Option<FileIndexer>,
}

/// What came of it.
pub(crate) struct Ended {
    group: Group,
    indexer: Option<FileIndexer>,
    pub(crate) spare: Vec<Column>,
}

/// See the module.
pub(crate) struct Piece {
    pub(crate) day: Day,
    pub(crate) source: Source,
    pub(crate) groups: Vec<Group>,
    /// Names of the columns, as first spelled.
    pub(crate) columns_named: Vec<String>,
    pub(crate) indexer: Option<FileIndexer>,
    encoded_len: usize,
    /// Row groups that were begun before the one under way, and events in them.
    groups_before: u8,
    rows_before: u64,
    /// Position + 1 of a column by the number of its name.
    column_of: Vec<u16>,
    draft: Draft,
    takes_raw_apart: bool,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    key: Vec<u8>,
    more: Vec<u8>,
    fields: Vec<Stored>,
    spans: Vec<(u32, u32, u32)>,
}

/// A field of the event under way: its name's number, what it is, where it went, and whether only
/// a run that asks for it gets it.
type Stored = (u32, ValueKind, Place, bool);

impl Piece {
    pub(crate) fn new(day: Day, source: Source, indexer: Option<FileIndexer>) -> Self {
        Self {
            day,
            source,
            groups: Vec::new(),
            columns_named: Vec::new(),
            indexer,
            encoded_len: 0,
            groups_before: 0,
            rows_before: 0,
            column_of: Vec::new(),
            draft: Draft::default(),
            takes_raw_apart: true,
            scratch: Scratch::default(),
        }
    }

    /// Bytes held, roughly; without those of row groups that are being encoded.
    pub(crate) fn weight(&self) -> usize {
        let index = self.indexer.as_ref().map_or(0, FileIndexer::weight);
        self.encoded_len + index + self.column_of.capacity() * 2 + self.group_weight()
    }

    /// Bytes of the row group under way, roughly.
    pub(crate) fn group_weight(&self) -> usize {
        self.draft.weight + self.draft.rows * ROW_WEIGHT
    }

    /// Events taken.
    pub(crate) fn len(&self) -> u64 {
        self.rows_before + self.draft.rows as u64
    }

    /// Whether it is time to close the file.
    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.groups_before) >= GROUPS_MAX || self.encoded_len >= FILE_BYTES_MAX
    }

    /// Whether a row group is still being encoded.
    pub(crate) fn is_awaiting(&self) -> bool {
        usize::from(self.groups_before) > self.groups.len()
    }

    /// Whether the row group is complete.
    pub(crate) fn group_is_full(&self) -> bool {
        self.draft.rows >= GROUP_ROWS_MAX || self.group_weight() >= GROUP_BYTES_MAX
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, event: Event<'_>, dictionary: &Dictionary, kit: &mut Kit) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.fields.clear();
        scratch.spans.clear();
        scratch.more.clear();
        let (raw, own) = (event.raw(), event.own_fields());
        for (position, field) in (0_u32..).zip(own) {
            let number = kit.names.number(event, dictionary, field.name);
            let value = event.value(field);
            let place = match twin_of(own, field, position) {
                Some(original) => Place::Twin(original),
                None => self.place(number, value.kind, value.bytes, kit),
            };
            if matches!(place, Place::More | Place::Both) {
                varint::put_bytes(value.bytes, &mut scratch.more);
            }
            scratch.fields.push((number, value.kind, place, field.name.is_for_later()));
            if !value.bytes.is_empty()
                && !matches!(place, Place::Twin(_))
                && let Some(span) = event.within_raw(field)
            {
                scratch.spans.push((span.start as u32, span.end as u32, position));
            }
        }
        if own.is_empty() && !raw.is_empty() {
            self.draft.intern_extra(u32::MAX, ValueKind::Text, raw, kit);
        }
        self.put_raw(raw, &mut scratch, kit);
        let draft = &mut self.draft;
        if !scratch.more.is_empty() {
            let more = scratch.more.as_slice();
            draft.mores.set(draft.rows, ValueKind::Text, more, &kit.hasher, &mut draft.weight);
        }
        draft.put_head(event, &kit.hasher);
        draft.rows += 1;
        self.scratch = scratch;
    }

    /// Where a value goes; puts it there unless that is the overflow.
    #[inline]
    fn place(&mut self, number: u32, kind: ValueKind, bytes: &[u8], kit: &mut Kit) -> Place {
        if bytes.is_empty() && matches!(kind, ValueKind::Null | ValueKind::Node) {
            return Place::Nothing;
        }
        let at = match self.column_of.get(number as usize) {
            Some(0) | None => self.new_column(number, &kit.names),
            Some(at) => Some(usize::from(*at)),
        };
        let draft = &mut self.draft;
        if let Some(at) = at {
            if draft.columns.len() < at {
                draft.weight += (at - draft.columns.len()) * size_of::<Column>();
                draft.columns.resize_with(at, Column::default);
            }
            let column = draft.columns.get_mut(at - 1).filter(|column| column.rows() <= draft.rows);
            if let Some(column) = column {
                if column.rows() == 0 && column.weight() == 0 {
                    *column = kit.spare.take(&mut draft.weight);
                }
                let verbatim = column.set_any(draft.rows, kind, bytes, &kit.hasher, &mut draft.weight);
                return if verbatim { Place::Both } else { Place::Column };
            }
        }
        draft.intern_extra(number, kind, bytes, kit);
        Place::More
    }

    fn new_column(&mut self, number: u32, names: &Names) -> Option<usize> {
        let name = names.get(number)?;
        let folded = name.column?;
        // Another spelling of the same name has the column already.
        let twin = self.columns_named.iter().position(|have| have.eq_ignore_ascii_case(&name.text));
        let at = match twin {
            Some(at) => at,
            None if self.columns_named.len() < COLUMNS_MAX && folded < u32::MAX => {
                self.columns_named.push(name.text.clone());
                self.columns_named.len() - 1
            }
            None => return None,
        };
        if self.column_of.len() <= number as usize {
            self.column_of.resize(number as usize + 1, 0);
        }
        *self.column_of.get_mut(number as usize)? = at as u16 + 1;
        Some(at + 1)
    }

    /// Stores the raw record and the layout.
    fn put_raw(&mut self, raw: &[u8], scratch: &mut Scratch, kit: &Kit) {
        let apart = self.takes_raw_apart && !raw.is_empty();
        if apart {
            keep_disjoint(&mut scratch.spans);
        } else {
            scratch.spans.clear();
        }
        let draft = &mut self.draft;
        if !raw.is_empty() && !apart {
            draft.raws.set(draft.rows, ValueKind::Text, raw, &kit.hasher, &mut draft.weight);
        }
        layout_key(raw, apart, scratch);
        let known = draft.layouts.distinct_len();
        draft.layouts.set(draft.rows, ValueKind::Text, &scratch.key, &kit.hasher, &mut draft.weight);
        if draft.layouts.distinct_len() > known {
            draft.note_twins(&scratch.fields);
            let mut encoded = Vec::new();
            layout_of(raw, apart, scratch, &kit.names).encode(&mut encoded);
            draft.weight += encoded.capacity() + size_of::<Vec<u8>>();
            draft.layouts_encoded.push(encoded);
            let many =
                draft.layouts_encoded.len() > LAYOUTS_TRIED && draft.layouts_encoded.len() * 4 > draft.rows;
            self.takes_raw_apart &= !many;
        }
    }

    /// Ends the row group; what is left to do is to encode it. `None` if it has no rows.
    pub(crate) fn end_group(&mut self, names: &Names) -> Option<Ending> {
        let draft = std::mem::take(&mut self.draft);
        if draft.rows == 0 {
            return None;
        }
        let (mut ways, mut ways_of_extra) = (Vec::new(), Vec::new());
        if let Some(indexer) = &self.indexer {
            let text = |number: u32| names.get(number).map_or("", |name| name.text.as_str());
            let ways_of = |name: &str| {
                let second = draft.twins.iter().filter(|(of, _)| text(*of).eq_ignore_ascii_case(name));
                let all: Vec<&str> =
                    std::iter::once(name).chain(second.map(|(_, twin)| text(*twin))).collect();
                indexer.ways(&all)
            };
            let columns = self.columns_named.iter().zip(&draft.columns).enumerate();
            let used = columns.filter(|(_, (_, column))| column.distinct_len() > 0);
            ways = used.map(|(position, (name, _))| (position, ways_of(name))).collect();
            ways_of_extra = draft.extra.keys().map(|number| (*number, ways_of(text(*number)))).collect();
        }
        let group = self.groups_before;
        self.groups_before = self.groups_before.saturating_add(1);
        self.rows_before += draft.rows as u64;
        let indexer = self.indexer.as_ref().map(FileIndexer::fresh);
        Some(Ending { draft, ways, ways_of_extra, group, indexer })
    }

    /// Takes a row group that was encoded; they come in order.
    pub(crate) fn take(&mut self, ended: Ended) {
        let Ended { group, indexer, .. } = ended;
        if let (Some(all), Some(more)) = (&mut self.indexer, indexer) {
            all.absorb(more);
        }
        self.encoded_len += group.encoded_len();
        self.groups.push(group);
    }

    /// Ends a row group of which only the index is wanted.
    pub(crate) fn end_group_indexed(&mut self, names: &Names) {
        let Some(mut ending) = self.end_group(names) else { return };
        ending.tell_index();
        if let (Some(all), Some(more)) = (&mut self.indexer, ending.indexer) {
            all.absorb(more);
        }
    }

    /// Forgets the numbers of names, of which there are too many; only between row groups of which
    /// the index alone is wanted.
    pub(crate) fn forget_names(&mut self) {
        self.column_of.clear();
        self.columns_named.clear();
    }
}

impl Ending {
    /// Bytes held, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.draft.weight + self.draft.rows * ROW_WEIGHT
    }

    /// Tells the index its values and encodes it.
    pub(crate) fn encode(mut self, pages: &mut PageWriter) -> Result<Ended> {
        self.tell_index();
        let Self { mut draft, indexer, .. } = self;
        let rows = draft.rows;
        let own = draft.encode_own(pages)?;
        let mut fields = Vec::with_capacity(draft.columns.len());
        let mut spare = Vec::new();
        for (position, mut column) in std::mem::take(&mut draft.columns).into_iter().enumerate() {
            if column.distinct_len() > 0 {
                fields.push((position, pages.text(column.distinct(), column.ids(), rows)?));
            }
            if (1..=SPARE_COLUMN_MAX).contains(&column.weight()) {
                column.clear();
                spare.push(column);
            }
        }
        let times = draft.times.iter().copied().flatten();
        let entry = GroupEntry { rows: rows as u32, first: times.clone().min(), last: times.max() };
        Ok(Ended { group: Group { entry, own, fields }, indexer, spare })
    }

    fn tell_index(&mut self) {
        let Some(indexer) = &mut self.indexer else { return };
        for (position, ways) in self.ways.drain(..) {
            indexer.look(self.group, ways);
            let column = self.draft.columns.get(position);
            column.into_iter().flat_map(Column::values).for_each(|value| indexer.value(value));
        }
        for (number, ways) in self.ways_of_extra.drain(..) {
            indexer.look(self.group, ways);
            let column = self.draft.extra.get(&number);
            column.into_iter().flat_map(Column::values).for_each(|value| indexer.value(value));
        }
    }
}

impl Draft {
    fn intern_extra(&mut self, number: u32, kind: ValueKind, bytes: &[u8], kit: &Kit) {
        let extra = self.extra.entry(number).or_insert_with(|| {
            self.weight += size_of::<Column>();
            Column::default()
        });
        extra.intern(kind, bytes, &kit.hasher, &mut self.weight);
    }

    /// Notes second names, which are the same in all events of a layout.
    fn note_twins(&mut self, fields: &[Stored]) {
        for (name, _, place, _) in fields {
            let Place::Twin(original) = place else { continue };
            let pair = fields.get(*original as usize).map(|(of, ..)| (*of, *name));
            if let Some(pair) = pair.filter(|pair| !self.twins.contains(pair)) {
                self.twins.push(pair);
            }
        }
    }

    fn put_head(&mut self, event: Event<'_>, hasher: &RandomState) {
        let (head, row, weight) = (event.head(), self.rows, &mut self.weight);
        let text = ValueKind::Text;
        self.times.push(head.time.map(|time| time.at.0));
        self.records.push(Some(head.record.cast_signed()));
        if let Some(EventTime { precision, zone, .. }) = head.time {
            self.precisions.set(row, text, precision.name().as_bytes(), hasher, weight);
            self.zones.set(row, text, zone.name().as_bytes(), hasher, weight);
        }
        let host = event.host();
        if !host.is_empty() {
            self.hosts.set(row, text, host.as_bytes(), hasher, weight);
        }
        self.origins.set(row, text, event.batch().origin.path.as_bytes(), hasher, weight);
    }

    fn encode_own(&self, pages: &mut PageWriter) -> Result<Vec<(&'static str, ColumnType, Chunk)>> {
        let rows = self.rows;
        let mut own = vec![
            (TIME, ColumnType::Time, pages.ints(&self.times, true)?),
            (RECORD, ColumnType::Number, pages.ints(&self.records, false)?),
        ];
        let texts = [
            (PRECISION, ColumnType::Text, &self.precisions),
            (ZONE, ColumnType::Text, &self.zones),
            (HOST, ColumnType::Text, &self.hosts),
            (ORIGIN, ColumnType::Text, &self.origins),
            (RAW, ColumnType::Bytes, &self.raws),
            (MORE, ColumnType::Bytes, &self.mores),
        ];
        for (name, kind, column) in texts {
            let spans = column.exact();
            let values = Distinct { arena: column.distinct().arena, spans: &spans };
            own.push((name, kind, pages.text(values, column.ids(), rows)?));
        }
        let mut arena = Vec::new();
        let mut spans = Vec::with_capacity(self.layouts_encoded.len());
        for layout in &self.layouts_encoded {
            spans.push((arena.len() as u32, layout.len() as u32));
            arena.extend_from_slice(layout);
        }
        let layouts = Distinct { arena: &arena, spans: &spans };
        own.push((LAYOUT, ColumnType::Bytes, pages.text(layouts, self.layouts.ids(), rows)?));
        Ok(own)
    }
}

/// The earlier field of which a field is the second name: the same bytes, not equal ones.
#[inline]
fn twin_of(own: &[Field], field: &Field, position: u32) -> Option<u32> {
    let is_own = field.name.as_local().is_some() && !field.name.is_for_later();
    if is_own || field.span.is_empty() {
        return None;
    }
    let earlier = own.get(..position as usize).unwrap_or_default();
    let twin = earlier.iter().position(|other| other.span == field.span && other.kind == field.kind)?;
    (earlier.get(twin)?.name != field.name).then_some(twin as u32)
}

/// Keeps of overlapping spans the one that begins first (of those the longest), by position.
fn keep_disjoint(spans: &mut Vec<(u32, u32, u32)>) {
    if !spans.is_sorted() {
        spans.sort_unstable_by_key(|(start, end, position)| (*start, u32::MAX - end, *position));
    }
    let mut end_of_last = 0;
    spans.retain(|(start, end, _)| {
        let keep = *start >= end_of_last;
        if keep {
            end_of_last = *end;
        }
        keep
    });
}

/// What two events have in common exactly if their layouts are equal: the layout with numbers
/// for names.
fn layout_key(raw: &[u8], apart: bool, scratch: &mut Scratch) {
    let key = &mut scratch.key;
    key.clear();
    key.push(u8::from(apart) | u8::from(raw.is_empty()) << 1);
    key.extend_from_slice(&(scratch.fields.len() as u32).to_le_bytes());
    for (number, kind, place, if_asked) in &scratch.fields {
        let bits = u32::from(layout::bits(*kind, *place, *if_asked));
        key.extend_from_slice(&(number << 7 | bits).to_le_bytes());
        if let Place::Twin(original) = place {
            key.extend_from_slice(&original.to_le_bytes());
        }
    }
    if !apart {
        return;
    }
    key.extend_from_slice(&(scratch.spans.len() as u32).to_le_bytes());
    let mut at = 0;
    for (start, end, position) in &scratch.spans {
        let piece = raw.get(at..*start as usize).unwrap_or_default();
        key.extend_from_slice(&position.to_le_bytes());
        key.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        key.extend_from_slice(piece);
        at = *end as usize;
    }
    key.extend_from_slice(raw.get(at..).unwrap_or_default());
}

fn layout_of<'a>(raw: &'a [u8], apart: bool, scratch: &Scratch, names: &'a Names) -> Layout<'a> {
    let fields = scratch.fields.iter().map(|(number, kind, place, if_asked)| LayoutField {
        name: names.get(*number).map_or("", |name| name.text.as_str()),
        kind: *kind,
        place: *place,
        if_asked: *if_asked,
    });
    let raw = match (raw.is_empty(), apart) {
        (true, _) => Raw::Absent,
        (false, false) => Raw::Stored,
        (false, true) => {
            let mut at = 0;
            let mut pieces = Vec::with_capacity(scratch.spans.len() + 1);
            for (start, end, _) in &scratch.spans {
                pieces.push(raw.get(at..*start as usize).unwrap_or_default());
                at = *end as usize;
            }
            pieces.push(raw.get(at..).unwrap_or_default());
            Raw::Pieces {
                holes: scratch.spans.iter().map(|(_, _, position)| *position as usize).collect(),
                pieces,
            }
        }
    };
    Layout { fields: fields.collect(), raw }
}
