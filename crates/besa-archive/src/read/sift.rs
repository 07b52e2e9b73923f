//! Which rows of a row group hold a value that matters, told from its columns without rebuilding
//! events.
//!
//! ```text
//! layouts ─▶ names, second names, kinds of value
//! column  ─▶ its distinct values ─Judge─▶ any? ─▶ its rows
//! overflow, raw records without fields: likewise
//! ```
//! Each distinct value is looked at once, and the rows of a column are decoded only if one of its
//! values matters. Columns that nobody looks at are not read.
//!
//! Soundness: every value of an event is judged, under every name that the event gives it: in a
//! column, in the overflow, or as its raw record if it has no field. (The bytes of a value that is
//! not UTF-8 stand in the overflow beside its column.) Rows may be chosen in vain.
//!
//! Of the rows that are chosen often only the values matter that were chosen by ([`Judge::suffices`]):
//! then columns in which none is are not read for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use besa_event::{LogSource, ValueKind, json_unescape};

use super::rebuild::Columns;
use crate::codec::layout::{Layout, LayoutField, Place, Raw};
use crate::codec::page::{NONE, Texts};
use crate::codec::varint;
use crate::error::Result;
use crate::write::piece::{LAYOUT, MORE, RAW};

/// Says of single values whether an event that holds them matters. One for each thread.
pub trait Judge {
    /// The different ways in which the values of a field are looked at, in events of a class; none,
    /// and they are not looked at. `names` are all under which events give them; a record without
    /// fields is told as a field with the empty name.
    fn ways(&mut self, class: &LogSource, names: &[&str]) -> Vec<u32>;

    /// Whether a value matters. `text` is the decoded text, or the bytes where they are not UTF-8.
    fn meets(&mut self, way: u32, text: &[u8]) -> bool;

    /// Whether any of many values can matter: `bytes` hold all of them, with whatever between them, and
    /// none is longer than `longest`.
    fn may_meet(&mut self, _way: u32, _bytes: &[u8], _longest: usize) -> bool {
        true
    }

    /// Whether numbers and booleans are looked at, and not texts alone.
    fn looks_at_numbers(&self) -> bool;

    /// Whether a value that is looked at in this way matters wherever another one does.
    fn is_part(&self, _way: u32) -> bool {
        true
    }

    /// Whether of an event that matters only those values are needed that matter; others may then be
    /// empty.
    fn suffices(&self) -> bool {
        false
    }
}

/// The rows of a row group of which some value matters.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// Ascending.
    pub(crate) rows: Vec<u32>,
    /// The columns (names in lower case) that hold what matters; absent if all are needed.
    pub(crate) columns: Option<BTreeSet<String>>,
}

impl Chosen {
    /// Whether a column's values are needed; `name` is in lower case.
    pub(crate) fn needs(&self, name: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(name))
    }
}

/// Chooses the rows of a row group of which some value matters.
pub(crate) fn sift(columns: &mut Columns<'_>, class: &LogSource, judge: &mut dyn Judge) -> Result<Chosen> {
    let mut layouts = columns.open(LAYOUT)?.whole()?.clone();
    let ids = std::mem::take(&mut layouts.ids);
    let decoded = (0..layouts.spans.len() as u32)
        .map(|id| Layout::decode(layouts.value(id)))
        .collect::<Option<Vec<Layout<'_>>>>()
        .ok_or_else(|| columns.damaged("a layout is not well formed"))?;
    let names = Names::of(&decoded, judge.looks_at_numbers());
    let mut sift = Sift { class, judge, chosen: vec![false; columns.rows()] };
    let mut needed = BTreeSet::new();
    for (name, second) in names.second.iter().filter(|(name, _)| names.in_columns.contains(*name)) {
        let ways = sift.ways(name, second);
        if sift.column(columns, name, &ways)? || ways.iter().any(|way| sift.judge.is_part(*way)) {
            needed.insert(name.clone());
        }
    }
    if names.overflows {
        sift.overflow(columns, &decoded, &ids, &names)?;
    }
    if decoded.iter().any(|layout| layout.fields.is_empty()) {
        sift.raw(columns, &decoded, &ids)?;
    }
    let chosen = (0_u32..).zip(&sift.chosen);
    let rows = chosen.filter_map(|(row, chosen)| chosen.then_some(row)).collect();
    Ok(Chosen { rows, columns: sift.judge.suffices().then_some(needed) })
}

/// What the layouts say of the fields that can hold something. Names are in lower case.
#[derive(Default)]
struct Names {
    /// The second names that readers gave to values of a name.
    second: BTreeMap<String, BTreeSet<String>>,
    /// Names with texts in their column.
    in_columns: BTreeSet<String>,
    /// Whether there are texts in the overflow.
    overflows: bool,
    /// Whether numbers count as texts.
    numbers: bool,
}

impl Names {
    fn of(layouts: &[Layout<'_>], numbers: bool) -> Self {
        let mut names = Self { numbers, ..Self::default() };
        for layout in layouts {
            for field in &layout.fields {
                names.add(layout, field);
            }
        }
        names
    }

    fn add(&mut self, layout: &Layout<'_>, field: &LayoutField<'_>) {
        let original = match field.place {
            Place::Twin(original) => layout.fields.get(original as usize).unwrap_or(field),
            _ => field,
        };
        let name = original.name.to_ascii_lowercase();
        if self.counts(field.kind) {
            if matches!(field.place, Place::Column | Place::Both) {
                self.in_columns.insert(name.clone());
            }
            self.overflows |= matches!(field.place, Place::More | Place::Both);
        }
        let second = self.second.entry(name).or_default();
        if matches!(field.place, Place::Twin(_)) {
            second.insert(field.name.to_ascii_lowercase());
        }
    }

    fn counts(&self, kind: ValueKind) -> bool {
        match kind {
            ValueKind::Text | ValueKind::JsonText => true,
            ValueKind::Number | ValueKind::Boolean => self.numbers,
            ValueKind::Null | ValueKind::Node => false,
        }
    }
}

struct Sift<'s> {
    class: &'s LogSource,
    judge: &'s mut dyn Judge,
    /// Per row.
    chosen: Vec<bool>,
}

impl Sift<'_> {
    fn ways(&mut self, name: &str, second: &BTreeSet<String>) -> Vec<u32> {
        let names: Vec<&str> = std::iter::once(name).chain(second.iter().map(String::as_str)).collect();
        self.judge.ways(self.class, &names)
    }

    fn choose(&mut self, row: usize) {
        if let Some(place) = self.chosen.get_mut(row) {
            *place = true;
        }
    }

    /// Chooses rows by a column; tells whether any of its values matters.
    fn column(&mut self, columns: &mut Columns<'_>, name: &str, ways: &[u32]) -> Result<bool> {
        if ways.is_empty() {
            return Ok(false);
        }
        let column = columns.open(name)?;
        let texts = column.distinct()?;
        let (bytes, longest) = texts.values();
        let ways: Vec<u32> =
            ways.iter().copied().filter(|way| self.judge.may_meet(*way, bytes, longest)).collect();
        if ways.is_empty() {
            return Ok(false);
        }
        let met = self.met(texts, &ways);
        let any = met.iter().any(|met| *met);
        if any {
            let rows = column.whole()?.ids.iter().enumerate();
            let of_met = rows.filter(|(_, id)| met.get(**id as usize).is_some_and(|met| *met));
            of_met.for_each(|(row, _)| self.choose(row));
        }
        Ok(any)
    }

    fn meets(&mut self, ways: &[u32], text: &[u8]) -> bool {
        ways.iter().any(|way| self.judge.meets(*way, text))
    }

    /// For each distinct value, whether it matters.
    fn met(&mut self, texts: &Texts, ways: &[u32]) -> Vec<bool> {
        let values = (0..texts.spans.len() as u32).map(|id| texts.value(id));
        values.map(|value| self.meets(ways, value)).collect()
    }

    fn overflow(
        &mut self,
        columns: &mut Columns<'_>,
        layouts: &[Layout<'_>],
        ids: &[u32],
        names: &Names,
    ) -> Result<()> {
        let ways: Vec<_> = layouts.iter().map(|layout| self.ways_of_overflow(layout, names)).collect();
        let mores = columns.open(MORE)?.whole()?;
        let mut known: HashMap<(u32, u32), bool> = HashMap::new();
        for (row, more) in mores.ids.iter().enumerate().filter(|(_, more)| **more != NONE) {
            let layout = ids.get(row).copied().unwrap_or(NONE);
            let met = *known.entry((layout, *more)).or_insert_with(|| {
                let ways = ways.get(layout as usize).map_or(&[][..], Vec::as_slice);
                self.meets_one(ways, mores.value(*more))
            });
            if met {
                self.choose(row);
            }
        }
        Ok(())
    }

    /// For each value in the overflow, how to look at it and whether it is escaped.
    fn ways_of_overflow(&mut self, layout: &Layout<'_>, names: &Names) -> Vec<Option<(bool, Vec<u32>)>> {
        let overflows = layout.fields.iter().filter(|field| matches!(field.place, Place::More | Place::Both));
        let none = BTreeSet::new();
        overflows
            .map(|field| {
                let name = field.name.to_ascii_lowercase();
                let mut ways = || self.ways(&name, names.second.get(&name).unwrap_or(&none));
                names.counts(field.kind).then(|| (field.kind == ValueKind::JsonText, ways()))
            })
            .collect()
    }

    /// Whether any value of an overflow matters.
    fn meets_one(&mut self, ways: &[Option<(bool, Vec<u32>)>], mut more: &[u8]) -> bool {
        let mut text = Vec::new();
        ways.iter().any(|ways| {
            let bytes = varint::take_bytes(&mut more).unwrap_or_default();
            let Some((is_escaped, ways)) = ways else { return false };
            text.clear();
            if *is_escaped {
                json_unescape(bytes, &mut text);
            } else {
                text.extend_from_slice(bytes);
            }
            self.meets(ways, &text)
        })
    }

    /// Records without fields.
    fn raw(&mut self, columns: &mut Columns<'_>, layouts: &[Layout<'_>], ids: &[u32]) -> Result<()> {
        let ways = self.ways("", &BTreeSet::new());
        let stored = layouts.iter().any(|layout| layout.fields.is_empty() && layout.raw == Raw::Stored);
        let empty = Texts::default();
        let raws = if stored { columns.open(RAW)?.whole()? } else { &empty };
        let met = self.met(raws, &ways);
        let whole: Vec<bool> = layouts.iter().map(|layout| self.meets_pieces(layout, &ways)).collect();
        for (row, layout) in ids.iter().enumerate() {
            let of_row = raws.ids.get(row).and_then(|id| met.get(*id as usize));
            let is_bare = layouts.get(*layout as usize).is_some_and(|layout| layout.fields.is_empty());
            let in_pieces = whole.get(*layout as usize).is_some_and(|met| *met);
            if is_bare && (in_pieces || of_row.is_some_and(|met| *met)) {
                self.choose(row);
            }
        }
        Ok(())
    }

    /// A record without fields that is kept in pieces is one piece.
    fn meets_pieces(&mut self, layout: &Layout<'_>, ways: &[u32]) -> bool {
        match &layout.raw {
            Raw::Pieces { pieces, .. } if layout.fields.is_empty() => self.meets(ways, &pieces.concat()),
            _ => false,
        }
    }
}
