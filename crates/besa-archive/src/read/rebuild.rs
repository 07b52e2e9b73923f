//! Rows of a row group as events of a batch, field by field as they were read from the evidence.
//!
//! A layout is decoded once and turned into a plan against the reading run's dictionary; a row
//! then only follows its plan. Fields that the run did not ask for are passed over, except that
//! their place in the overflow is counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use besa_event::{
    Batch, Dictionary, EventTime, FieldId, Head, Keep, LogSourceId, LogSources, Origin, Precision, Span,
    Timestamp, ValueKind, Zone, json_escape,
};

use super::file::{DataFile, TextColumn};
use super::sift::Chosen;
use crate::codec::layout::{Layout, Place, Raw};
use crate::codec::page::{NONE, Texts};
use crate::codec::varint;
use crate::entry::Window;
use crate::error::{Error, Result};
use crate::write::piece::{HOST, LAYOUT, MORE, ORIGIN, PRECISION, RAW, RECORD, TIME, ZONE};

/// What of an event is rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Every field, or those of the dictionary.
    pub keep: Keep,
    /// Whether the raw record is rebuilt too; it always is where a record has no field.
    pub raw: bool,
}

/// Rows and bytes after which a batch is handed over.
const BATCH_ROWS_MAX: usize = 4_096;
const BATCH_BYTES_MAX: usize = 1 << 20;

const PRECISIONS: [Precision; 7] = [
    Precision::Day,
    Precision::Minute,
    Precision::Second,
    Precision::Millisecond,
    Precision::Microsecond,
    Precision::HundredNanoseconds,
    Precision::Nanosecond,
];
const ZONES: [Zone; 3] = [Zone::Stated, Zone::Assumed, Zone::AssumedWithYear];

/// The columns of a row group that rebuilding needs.
pub(crate) struct Rows {
    path: String,
    pub(crate) times: Vec<Option<i64>>,
    records: Vec<Option<i64>>,
    precisions: Texts,
    zones: Texts,
    hosts: Texts,
    origins: Texts,
    layouts: Texts,
    raws: Texts,
    mores: Texts,
    fields: Vec<Texts>,
    plans: Vec<Plan>,
}

/// A layout against a dictionary.
struct Plan {
    fields: Vec<Step>,
    names: Vec<String>,
    raw: PlannedRaw,
}

#[derive(Clone, Copy)]
struct Step {
    /// The dictionary's id, or a position in the plan's names.
    name: Name,
    kind: ValueKind,
    place: Place,
    /// Position among the columns read; `NONE` if the column is not there.
    column: u32,
    /// Whether its value is needed though nobody asked for its name: it stands in a hole of the
    /// raw record, or lends its value to a second name.
    needed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Known(FieldId),
    Local(u32),
    /// A second name that nobody asked for yet.
    Later(u32),
    /// Not asked for.
    Skipped,
}

enum PlannedRaw {
    Absent,
    Stored,
    Pieces { holes: Vec<usize>, pieces: Vec<Vec<u8>> },
}

/// The columns of texts of one row group, each read once whoever asks first.
pub(crate) struct Columns<'f> {
    pub(crate) file: &'f DataFile,
    group: usize,
    /// By the name in lower case.
    opened: HashMap<String, TextColumn<'f>>,
}

impl<'f> Columns<'f> {
    pub(crate) fn new(file: &'f DataFile, group: usize) -> Self {
        Self { file, group, opened: HashMap::new() }
    }

    /// A column that a layout or the format names, so that it has to be there.
    pub(crate) fn open(&mut self, name: &str) -> Result<&mut TextColumn<'f>> {
        match self.opened.entry(name.to_ascii_lowercase()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let missing = || Error::damaged(&self.file.entry.path, format!("it has no column `{name}`"));
                Ok(place.insert(self.file.column(self.group, name)?.ok_or_else(missing)?))
            }
        }
    }

    fn take(&mut self, name: &str) -> Result<Texts> {
        self.open(name)?;
        self.opened
            .remove(&name.to_ascii_lowercase())
            .map_or_else(|| Ok(Texts::default()), TextColumn::into_texts)
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Vec<Option<i64>>> {
        self.file.ints(self.group, name)
    }

    pub(crate) fn rows(&self) -> usize {
        self.file.rows(self.group)
    }

    pub(crate) fn damaged(&self, reason: &str) -> Error {
        Error::damaged(&self.file.entry.path, reason)
    }
}

impl Rows {
    /// Reads what rebuilding needs: of all rows, or of those chosen only, whose layouts alone say which
    /// columns that is. Fields whose columns were not chosen are there without their values.
    pub(crate) fn read(
        mut columns: Columns<'_>,
        dictionary: &Dictionary,
        wanted: Wanted,
        chosen: Option<&Chosen>,
    ) -> Result<Self> {
        let path = columns.file.entry.path.clone();
        let layouts = columns.take(LAYOUT)?;
        let is_used = used(&layouts, chosen.map(|chosen| chosen.rows.as_slice()));
        let mut fields: Vec<Texts> = Vec::new();
        let mut read: HashMap<String, u32> = HashMap::new();
        let mut plans = Vec::with_capacity(layouts.spans.len());
        for (id, is_used) in (0_u32..).zip(is_used) {
            if !is_used {
                plans.push(Plan { fields: Vec::new(), names: Vec::new(), raw: PlannedRaw::Absent });
                continue;
            }
            let layout = Layout::decode(layouts.value(id))
                .ok_or_else(|| columns.damaged("a layout is not well formed"))?;
            let mut plan = Plan::new(&layout, dictionary, wanted);
            for (step, field) in plan.fields.iter_mut().zip(&layout.fields) {
                if !matches!(field.place, Place::Column | Place::Both) || !step.is_needed() {
                    continue;
                }
                let folded = field.name.to_ascii_lowercase();
                // Values in holes are part of the raw record, which is whole or absent.
                if !wanted.raw && field.place == Place::Column && chosen.is_some_and(|c| !c.needs(&folded)) {
                    step.place = Place::Nothing;
                    continue;
                }
                step.column = match read.get(&folded) {
                    Some(at) => *at,
                    None => {
                        let at = fields.len() as u32;
                        fields.push(columns.take(field.name)?);
                        read.insert(folded, at);
                        at
                    }
                };
            }
            plans.push(plan);
        }
        let stored = plans.iter().any(|plan| matches!(plan.raw, PlannedRaw::Stored));
        let overflows = plans.iter().any(Plan::overflows);
        Ok(Self {
            times: columns.ints(TIME)?,
            records: columns.ints(RECORD)?,
            precisions: columns.take(PRECISION)?,
            zones: columns.take(ZONE)?,
            hosts: columns.take(HOST)?,
            origins: columns.take(ORIGIN)?,
            raws: if stored { columns.take(RAW)? } else { Texts::default() },
            mores: if overflows { columns.take(MORE)? } else { Texts::default() },
            layouts,
            fields,
            plans,
            path,
        })
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::damaged(&self.path, reason)
    }
}

/// For each layout, whether a row that is read has it.
fn used(layouts: &Texts, chosen: Option<&[u32]>) -> Vec<bool> {
    let mut is_used = vec![chosen.is_none(); layouts.spans.len()];
    for row in chosen.unwrap_or_default() {
        let id = layouts.ids.get(*row as usize).copied().unwrap_or(NONE);
        if let Some(place) = is_used.get_mut(id as usize) {
            *place = true;
        }
    }
    is_used
}

impl Step {
    fn is_needed(self) -> bool {
        self.needed || self.name != Name::Skipped
    }
}

impl Plan {
    /// Whether it looks into the overflow.
    fn overflows(&self) -> bool {
        self.fields.iter().any(|step| matches!(step.place, Place::More | Place::Both))
    }

    fn new(layout: &Layout<'_>, dictionary: &Dictionary, wanted: Wanted) -> Self {
        let raw_wanted = wanted.raw || layout.fields.is_empty();
        let holes: &[usize] = match &layout.raw {
            Raw::Pieces { holes, .. } if raw_wanted => holes,
            _ => &[],
        };
        let mut names = Vec::new();
        let mut fields: Vec<Step> = layout
            .fields
            .iter()
            .map(|field| {
                let is_second = field.if_asked || matches!(field.place, Place::Twin(_));
                let mut keep = |name: fn(u32) -> Name| {
                    names.push(field.name.to_owned());
                    name(names.len() as u32 - 1)
                };
                let name = match (dictionary.lookup(field.name.as_bytes()), wanted.keep) {
                    (_, Keep::History) if is_second => keep(Name::Later),
                    (Some(id), _) => Name::Known(id),
                    (None, Keep::Named) => Name::Skipped,
                    (None, _) if is_second => Name::Skipped,
                    (None, _) => keep(Name::Local),
                };
                Step { name, kind: field.kind, place: field.place, column: NONE, needed: false }
            })
            .collect();
        for hole in holes {
            if let Some(step) = fields.get_mut(*hole) {
                step.needed = true;
            }
        }
        // A twin's value is its original's, which then has to be read.
        for position in 0..fields.len() {
            if let Some(Step { name, place: Place::Twin(original), .. }) = fields.get(position).copied()
                && name != Name::Skipped
                && let Some(step) = fields.get_mut(original as usize)
            {
                step.needed = true;
            }
        }
        let raw = match &layout.raw {
            Raw::Pieces { holes, pieces } if raw_wanted => PlannedRaw::Pieces {
                holes: holes.clone(),
                pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
            },
            Raw::Stored if raw_wanted => PlannedRaw::Stored,
            _ => PlannedRaw::Absent,
        };
        Self { fields, names, raw }
    }
}

/// Builds batches and hands each over when it is full or its origin changes.
pub(crate) struct Rebuilder<'a> {
    dictionary: &'a Dictionary,
    sources: &'a LogSources,
    batch: Batch,
    sequence: u64,
    /// Bytes of raw records of the batch under way.
    raw: Vec<u8>,
    used: usize,
    /// Origin under way, by its position in the row group.
    origin: u32,
    spans: Vec<Span>,
    locals: HashMap<String, FieldId>,
}

impl<'a> Rebuilder<'a> {
    pub(crate) fn new(dictionary: &'a Dictionary, sources: &'a LogSources) -> Self {
        Self {
            dictionary,
            sources,
            batch: Batch::default(),
            sequence: 0,
            raw: Vec::new(),
            used: 0,
            origin: NONE,
            spans: Vec::new(),
            locals: HashMap::new(),
        }
    }

    /// The number of a class in the reading run.
    pub(crate) fn class_of(&self, class: &besa_event::LogSource) -> LogSourceId {
        self.sources.intern(class.clone())
    }

    /// Hands every row inside the window over, in order. Rows are all, or those given (ascending).
    pub(crate) fn run(
        &mut self,
        rows: &Rows,
        class: LogSourceId,
        window: Window,
        chosen: Option<&[u32]>,
        visit: &mut dyn FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        self.origin = NONE;
        for row in 0..chosen.map_or(rows.times.len(), <[u32]>::len) {
            let row = chosen.map_or(Some(row), |chosen| chosen.get(row).map(|row| *row as usize));
            self.row(rows, row.unwrap_or(usize::MAX), class, window, visit)?;
        }
        self.hand_over(visit)
    }

    fn row(
        &mut self,
        rows: &Rows,
        row: usize,
        class: LogSourceId,
        window: Window,
        visit: &mut dyn FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        let at =
            rows.times.get(row).copied().ok_or_else(|| rows.damaged("a row is asked for that it has not"))?;
        if !window.holds(at) {
            return Ok(());
        }
        let origin = rows.origins.ids.get(row).copied().unwrap_or(NONE);
        let full = self.batch.len() >= BATCH_ROWS_MAX || self.used >= BATCH_BYTES_MAX;
        if origin != self.origin || full {
            self.hand_over(visit)?;
            self.start(rows, origin)?;
        }
        self.event(rows, row, at, class)
    }

    fn start(&mut self, rows: &Rows, origin: u32) -> Result<()> {
        self.origin = origin;
        let path = std::str::from_utf8(rows.origins.value(origin))
            .map_err(|_| rows.damaged("an origin is not text"))?;
        let kept =
            if *self.batch.origin.path == *path { Arc::clone(&self.batch.origin) } else { Origin::new(path) };
        let buffer = std::mem::take(&mut self.raw);
        self.raw = self.batch.reset(kept, self.sequence, buffer);
        self.raw.clear();
        self.sequence += 1;
        self.used = 0;
        self.locals.clear();
        Ok(())
    }

    fn hand_over(&mut self, visit: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        std::mem::swap(&mut self.batch.bytes, &mut self.raw);
        let result = visit(&self.batch);
        self.origin = NONE;
        let bytes = std::mem::take(&mut self.batch.bytes);
        let mut old = self.batch.reset(Arc::clone(&self.batch.origin), self.sequence, bytes);
        old.clear();
        self.raw.clear();
        result
    }

    fn event(&mut self, rows: &Rows, row: usize, at: Option<i64>, class: LogSourceId) -> Result<()> {
        let layout = rows.layouts.ids.get(row).copied().unwrap_or(NONE);
        let plan = rows.plans.get(layout as usize).ok_or_else(|| rows.damaged("a row has no layout"))?;
        self.values(rows, row, plan)?;
        let raw = self.raw_record(rows, row, plan)?;
        for (position, step) in plan.fields.iter().enumerate() {
            let position = if let Place::Twin(original) = step.place { original as usize } else { position };
            let span = self.spans.get(position).copied().unwrap_or_default();
            let name = match step.name {
                Name::Skipped => continue,
                Name::Known(id) => id,
                Name::Local(index) => self.local(plan, index),
                Name::Later(index) => {
                    FieldId::for_later(self.local(plan, index).as_local().unwrap_or(0) as u32)
                }
            };
            self.used += span.len() + size_of::<Span>();
            self.batch.push_field(name, step.kind, span);
        }
        let host = match rows.hosts.ids.get(row) {
            Some(id) if *id != NONE => self.batch.append(rows.hosts.value(*id)),
            _ => Span::default(),
        };
        let record = rows.records.get(row).copied().flatten().unwrap_or_default().cast_unsigned();
        let time = at.map(|at| self.time(rows, row, at)).transpose()?;
        let head = Head { raw, host, time, record, logsource: class };
        self.batch.end_event(self.dictionary, self.sources, head);
        Ok(())
    }

    fn time(&self, rows: &Rows, row: usize, at: i64) -> Result<EventTime> {
        let name = |texts: &Texts| texts.ids.get(row).map(|id| texts.value(*id).to_vec()).unwrap_or_default();
        let (precision, zone) = (name(&rows.precisions), name(&rows.zones));
        let precision = PRECISIONS.into_iter().find(|have| have.name().as_bytes() == precision);
        let zone = ZONES.into_iter().find(|have| have.name().as_bytes() == zone);
        match (precision, zone) {
            (Some(precision), Some(zone)) => Ok(EventTime { at: Timestamp(at), precision, zone }),
            _ => Err(rows.damaged("a time has no known precision or zone")),
        }
    }

    fn local(&mut self, plan: &Plan, index: u32) -> FieldId {
        let Some(name) = plan.names.get(index as usize) else { return FieldId::local(0) };
        if let Some(id) = self.locals.get(name) {
            return *id;
        }
        let span = self.batch.append(name.as_bytes());
        let id = self.batch.local_name(span);
        self.locals.insert(name.clone(), id);
        id
    }

    /// Finds the span of every value that does not stand in a hole.
    fn values(&mut self, rows: &Rows, row: usize, plan: &Plan) -> Result<()> {
        self.spans.clear();
        let mut more = more_of(rows, row);
        for step in &plan.fields {
            let span = match step.place {
                Place::Nothing | Place::Twin(_) => Span::default(),
                Place::More | Place::Both => {
                    let bytes = varint::take_bytes(&mut more)
                        .ok_or_else(|| rows.damaged("the overflow ends early"))?;
                    if step.is_needed() { self.batch.append(bytes) } else { Span::default() }
                }
                Place::Column if !step.is_needed() => Span::default(),
                Place::Column => {
                    let text = column_text(rows, row, *step)?;
                    self.batch.append_with(|out| put_value(step.kind, text, out))
                }
            };
            self.spans.push(span);
        }
        if more.is_empty() { Ok(()) } else { Err(rows.damaged("the overflow holds more than the layout")) }
    }

    /// Rebuilds the raw record; values in holes get their spans within it.
    fn raw_record(&mut self, rows: &Rows, row: usize, plan: &Plan) -> Result<Span> {
        let start = self.raw.len();
        match &plan.raw {
            PlannedRaw::Absent => return Ok(Span::default()),
            PlannedRaw::Stored => {
                let id = rows.raws.ids.get(row).copied().unwrap_or(NONE);
                self.raw.extend_from_slice(rows.raws.value(id));
            }
            PlannedRaw::Pieces { holes, pieces } => {
                let mut pieces = pieces.iter();
                self.raw.extend_from_slice(pieces.next().map_or(&[][..], Vec::as_slice));
                for (hole, piece) in holes.iter().zip(pieces) {
                    let from = self.raw.len();
                    self.hole(rows, row, plan, *hole)?;
                    if let Some(span) = self.spans.get_mut(*hole) {
                        *span = Span::new(from..self.raw.len());
                    }
                    self.raw.extend_from_slice(piece);
                }
            }
        }
        self.used += self.raw.len() - start;
        Ok(Span::new(start..self.raw.len()))
    }

    fn hole(&mut self, rows: &Rows, row: usize, plan: &Plan, hole: usize) -> Result<()> {
        let step = plan.fields.get(hole).ok_or_else(|| rows.damaged("a hole has no field"))?;
        match step.place {
            Place::Column => {
                let text = column_text(rows, row, *step)?;
                put_value(step.kind, text, &mut self.raw);
            }
            Place::More | Place::Both => {
                let before =
                    plan.fields.iter().take(hole).filter(|s| matches!(s.place, Place::More | Place::Both));
                let mut more = more_of(rows, row);
                for _ in before {
                    varint::take_bytes(&mut more);
                }
                self.raw.extend_from_slice(varint::take_bytes(&mut more).unwrap_or_default());
            }
            Place::Nothing | Place::Twin(_) => return Err(rows.damaged("a hole has no value")),
        }
        Ok(())
    }
}

fn more_of(rows: &Rows, row: usize) -> &[u8] {
    rows.mores.of_row(row).unwrap_or_default()
}

#[inline]
fn column_text(rows: &Rows, row: usize, step: Step) -> Result<&[u8]> {
    let column = rows.fields.get(step.column as usize);
    match column.and_then(|column| column.ids.get(row).map(|id| (column, *id))) {
        Some((column, id)) if id != NONE => Ok(column.value(id)),
        _ => Err(rows.damaged("a value that the layout names is not in its column")),
    }
}

/// The bytes of a value of which the column holds the text.
#[inline]
fn put_value(kind: ValueKind, text: &[u8], out: &mut Vec<u8>) {
    if kind == ValueKind::JsonText { json_escape(text, out) } else { out.extend_from_slice(text) }
}
