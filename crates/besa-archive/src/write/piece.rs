//! A piece: the events of one partition on their way into one data file.
//!
//! Invariants:
//! - An event's own fields are stored, in order, with their kinds; fields added under a rule's
//!   name are not, the reading run adds its own.
//! - A row group ends at [`GROUP_ROWS_MAX`] rows or [`GROUP_BYTES_MAX`] bytes of distinct values, a
//!   file at [`GROUPS_MAX`] row groups or [`FILE_BYTES_MAX`] encoded bytes.
//! - A file has at most [`COLUMNS_MAX`] columns of fields; further names go into the overflow, so
//!   that a stranger's names cost bytes and no columns.

use std::collections::HashMap;

use besa_event::{Dictionary, Event, EventTime, Field, ValueKind};
use foldhash::fast::RandomState;

use super::column::Column;
use super::names::Names;
use crate::codec::layout::{self, Layout, LayoutField, Place, Raw};
use crate::codec::page::{Chunk, PageWriter};
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
    /// Position of the column in the piece's names, chunk.
    pub(crate) fields: Vec<(usize, Chunk)>,
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
    /// Row groups that the index was told.
    groups_told: u8,
    /// Pairs of names' numbers: a field, and a second name that was given to its value.
    twins: Vec<(u32, u32)>,
    /// Position + 1 of a column by the number of its name.
    column_of: Vec<u16>,
    rows: usize,
    weight_fixed: usize,
    weight_columns: usize,
    columns: Vec<Column>,
    /// Values in the overflow, for the index alone, by number of the name.
    extra: HashMap<u32, Column>,
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
            groups_told: 0,
            twins: Vec::new(),
            column_of: Vec::new(),
            rows: 0,
            weight_fixed: 0,
            weight_columns: 0,
            columns: Vec::new(),
            extra: HashMap::new(),
            times: Vec::new(),
            records: Vec::new(),
            precisions: Column::default(),
            zones: Column::default(),
            hosts: Column::default(),
            origins: Column::default(),
            layouts: Column::default(),
            layouts_encoded: Vec::new(),
            raws: Column::default(),
            mores: Column::default(),
            takes_raw_apart: true,
            scratch: Scratch::default(),
        }
    }

    /// Bytes held, roughly.
    pub(crate) fn weight(&self) -> usize {
        let index = self.indexer.as_ref().map_or(0, FileIndexer::weight);
        self.encoded_len + index + self.group_weight()
    }

    /// Bytes of the row group under way, roughly.
    pub(crate) fn group_weight(&self) -> usize {
        self.weight_fixed + self.weight_columns + self.rows * 64
    }

    /// Events held.
    pub(crate) fn len(&self) -> u64 {
        self.groups.iter().map(|group| u64::from(group.entry.rows)).sum::<u64>() + self.rows as u64
    }

    /// Whether it is time to close the file.
    pub(crate) fn is_full(&self) -> bool {
        self.groups.len() >= GROUPS_MAX || self.encoded_len >= FILE_BYTES_MAX
    }

    /// Whether the row group is complete.
    pub(crate) fn group_is_full(&self) -> bool {
        self.rows >= GROUP_ROWS_MAX || self.group_weight() >= GROUP_BYTES_MAX
    }

    /// Adds an event.
    pub(crate) fn push(
        &mut self,
        event: Event<'_>,
        dictionary: &Dictionary,
        names: &mut Names,
        hasher: &RandomState,
    ) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.fields.clear();
        scratch.spans.clear();
        scratch.more.clear();
        let (raw, own) = (event.raw(), event.own_fields());
        for (position, field) in (0_u32..).zip(own) {
            let number = names.number(event, dictionary, field.name);
            let value = event.value(field);
            let place = match twin_of(own, field, position) {
                Some(original) => Place::Twin(original),
                None => self.place(number, value.kind, value.bytes, names, hasher),
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
            self.extra.entry(u32::MAX).or_default().intern(ValueKind::Text, raw, hasher);
        }
        self.put_raw(raw, &mut scratch, names, hasher);
        if !scratch.more.is_empty() {
            self.weight_fixed += scratch.more.len() * 2;
            self.mores.set(self.rows, ValueKind::Text, &scratch.more, hasher);
        }
        self.put_head(event, hasher);
        self.scratch = scratch;
        self.rows += 1;
    }

    /// Where a value goes; puts it there unless that is the overflow.
    #[inline]
    fn place(
        &mut self,
        number: u32,
        kind: ValueKind,
        bytes: &[u8],
        names: &Names,
        hasher: &RandomState,
    ) -> Place {
        if bytes.is_empty() && matches!(kind, ValueKind::Null | ValueKind::Node) {
            return Place::Nothing;
        }
        let row = self.rows;
        if let Some(column) = self.column(number, names)
            && column.rows() <= row
        {
            let before = column.weight();
            let verbatim = column.set_any(row, kind, bytes, hasher);
            let added = column.weight() - before;
            self.weight_columns += added;
            return if verbatim { Place::Both } else { Place::Column };
        }
        let extra = self.extra.entry(number).or_default();
        let before = extra.weight();
        extra.intern(kind, bytes, hasher);
        self.weight_fixed += extra.weight() - before;
        Place::More
    }

    #[inline]
    fn column(&mut self, number: u32, names: &Names) -> Option<&mut Column> {
        let at = match self.column_of.get(number as usize) {
            Some(0) | None => self.new_column(number, names)?,
            Some(at) => usize::from(*at),
        };
        self.columns.get_mut(at - 1)
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
                self.columns.push(Column::default());
                self.columns.len() - 1
            }
            None => return None,
        };
        if self.column_of.len() <= number as usize {
            self.weight_fixed += (number as usize + 1 - self.column_of.len()) * 2;
            self.column_of.resize(number as usize + 1, 0);
        }
        *self.column_of.get_mut(number as usize)? = at as u16 + 1;
        Some(at + 1)
    }

    /// Stores the raw record and the layout.
    fn put_raw(&mut self, raw: &[u8], scratch: &mut Scratch, names: &Names, hasher: &RandomState) {
        let apart = self.takes_raw_apart && !raw.is_empty();
        if apart {
            keep_disjoint(&mut scratch.spans);
        } else {
            scratch.spans.clear();
        }
        if !raw.is_empty() && !apart {
            self.weight_fixed += raw.len();
            self.raws.set(self.rows, ValueKind::Text, raw, hasher);
        }
        layout_key(raw, apart, scratch);
        let known = self.layouts.distinct_len();
        self.layouts.set(self.rows, ValueKind::Text, &scratch.key, hasher);
        if self.layouts.distinct_len() > known {
            self.note_twins(&scratch.fields);
            let mut encoded = Vec::new();
            layout_of(raw, apart, scratch, names).encode(&mut encoded);
            self.weight_fixed += encoded.len() + scratch.key.len() * 2;
            self.layouts_encoded.push(encoded);
            let many =
                self.layouts_encoded.len() > LAYOUTS_TRIED && self.layouts_encoded.len() * 4 > self.rows;
            self.takes_raw_apart &= !many;
        }
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
        let head = event.head();
        self.times.push(head.time.map(|time| time.at.0));
        self.records.push(Some(head.record.cast_signed()));
        if let Some(EventTime { precision, zone, .. }) = head.time {
            self.precisions.set(self.rows, ValueKind::Text, precision.name().as_bytes(), hasher);
            self.zones.set(self.rows, ValueKind::Text, zone.name().as_bytes(), hasher);
        }
        let host = event.host();
        let before = self.hosts.weight() + self.origins.weight();
        if !host.is_empty() {
            self.hosts.set(self.rows, ValueKind::Text, host.as_bytes(), hasher);
        }
        self.origins.set(self.rows, ValueKind::Text, event.batch().origin.path.as_bytes(), hasher);
        self.weight_fixed += self.hosts.weight() + self.origins.weight() - before;
    }

    /// Ends the row group: tells the index its values and encodes it.
    pub(crate) fn end_group(&mut self, names: &Names, pages: &mut PageWriter) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.tell_index(names);
        let rows = self.rows;
        let own = self.encode_own(pages)?;
        let mut fields = Vec::with_capacity(self.columns.len());
        for (position, column) in self.columns.iter_mut().enumerate() {
            if column.distinct_len() > 0 {
                fields.push((position, pages.text(column.distinct(), column.ids(), rows)?));
                *column = Column::default();
            }
        }
        let times = self.times.iter().copied().flatten();
        let entry = GroupEntry { rows: rows as u32, first: times.clone().min(), last: times.max() };
        let group = Group { entry, own, fields };
        self.encoded_len += group.own.iter().map(|(_, _, chunk)| chunk.bytes.len()).sum::<usize>()
            + group.fields.iter().map(|(_, chunk)| chunk.bytes.len()).sum::<usize>();
        self.groups.push(group);
        self.clear_group();
        Ok(())
    }

    /// Ends a row group of which only the index is wanted.
    pub(crate) fn end_group_indexed(&mut self, names: &Names) {
        self.tell_index(names);
        self.columns.iter_mut().for_each(|column| *column = Column::default());
        self.clear_group();
    }

    /// Forgets the numbers of names, of which there are too many; only between row groups of which
    /// the index alone is wanted.
    pub(crate) fn forget_names(&mut self) {
        self.column_of.clear();
        self.columns_named.clear();
        self.columns.clear();
    }

    fn tell_index(&mut self, names: &Names) {
        let group = self.groups_told;
        self.groups_told = self.groups_told.saturating_add(1);
        let Some(indexer) = &mut self.indexer else { return };
        let text = |number: u32| names.get(number).map_or("", |name| name.text.as_str());
        let mut tell = |name: &str, column: &Column| {
            if column.distinct_len() == 0 {
                return;
            }
            let second = self.twins.iter().filter(|(of, _)| text(*of).eq_ignore_ascii_case(name));
            let all: Vec<&str> = std::iter::once(name).chain(second.map(|(_, twin)| text(*twin))).collect();
            indexer.field(group, &all);
            column.values().for_each(|value| indexer.value(value));
        };
        for (name, column) in self.columns_named.iter().zip(&self.columns) {
            tell(name, column);
        }
        for (number, column) in &self.extra {
            tell(text(*number), column);
        }
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
            own.push((name, kind, pages.text(column.exact(), column.ids(), rows)?));
        }
        let mut arena = Vec::new();
        let mut spans = Vec::with_capacity(self.layouts_encoded.len());
        for layout in &self.layouts_encoded {
            spans.push((arena.len() as u32, layout.len() as u32));
            arena.extend_from_slice(layout);
        }
        let layouts = crate::codec::page::Distinct { arena: &arena, spans: &spans };
        own.push((LAYOUT, ColumnType::Bytes, pages.text(layouts, self.layouts.ids(), rows)?));
        Ok(own)
    }

    fn clear_group(&mut self) {
        self.rows = 0;
        self.weight_fixed = self.column_of.len() * 2;
        self.weight_columns = 0;
        self.extra.clear();
        self.twins.clear();
        self.times.clear();
        self.records.clear();
        self.layouts_encoded.clear();
        for column in [
            &mut self.precisions,
            &mut self.zones,
            &mut self.hosts,
            &mut self.origins,
            &mut self.layouts,
            &mut self.raws,
            &mut self.mores,
        ] {
            *column = Column::default();
        }
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
