//! Single tests against the values of an event's fields.
//!
//! A candidate rule mostly fails at its first or second test, so running all tests of a field to
//! know the outcome of one is a waste: an index of ten thousand tests costs more than any of them.
//! Values are unescaped and folded once for all tests of an event. Each field has a budget of tests;
//! past it the index answers for all at once, so a value costs twice the index at most, however many
//! rules ask.

use std::collections::HashMap;
use std::ops::Range;

use besa_event::{Event, FieldId};
use foldhash::fast::RandomState;
use memchr::memmem::Finder;

use super::leaf::{LeafId, LeafKind, PartAt};
use super::matcher::is_comparable;
use crate::text::fold_into;

/// Tests of one field of one event before its index is asked. An index costs as much as some tens
/// of tests for a short value, and more for a long one.
const TESTS_MAX: u32 = 32;

/// Values of one event that some test asked for.
#[derive(Debug, Default)]
pub(crate) struct Values {
    fields: Vec<Tested>,
    values: Vec<Ready>,
    /// What was unescaped, and every value folded.
    texts: Vec<u8>,
    folded: Vec<u8>,
    /// Prepared searches, kept from event to event: at most one for each test.
    finders: HashMap<LeafId, Finder<'static>, RandomState>,
}

/// In shorter values a part is looked for without preparation.
const FINDER_VALUE_LEN_BYTES_MIN: usize = 64;

#[derive(Debug)]
struct Tested {
    field: FieldId,
    /// In `values`.
    values: Range<usize>,
    tests: u32,
}

#[derive(Debug)]
struct Ready {
    /// Position among the event's fields.
    at: usize,
    /// In `texts`; `None` where the text stands as it is in the event.
    text: Option<Range<usize>>,
    /// In `folded`.
    folded: Range<usize>,
}

impl Values {
    /// Forgets the event before.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.values.clear();
        self.texts.clear();
        self.folded.clear();
    }

    /// Whether one of the values of a field passes a test; `None` once its budget is spent.
    pub(crate) fn pass(
        &mut self,
        event: Event<'_>,
        field: FieldId,
        (id, kind): (LeafId, &LeafKind),
    ) -> Option<bool> {
        let number = match self.fields.iter().position(|tested| tested.field == field) {
            Some(number) => number,
            None => self.prepare(event, field),
        };
        let tested = self.fields.get_mut(number)?;
        if tested.tests >= TESTS_MAX {
            return None;
        }
        tested.tests += 1;
        let fields = event.raw_fields();
        let (texts, all_folded, finders) = (&self.texts, &self.folded, &mut self.finders);
        Some(self.values[tested.values.clone()].iter().any(|value| {
            let text = match &value.text {
                Some(range) => &texts[range.clone()],
                None => event.value(&fields[value.at]).bytes,
            };
            let folded = &all_folded[value.folded.clone()];
            match kind {
                LeafKind::Part { text: part, at: PartAt::Anywhere, cased }
                    if folded.len() >= FINDER_VALUE_LEN_BYTES_MIN =>
                {
                    let finder = finders.entry(id).or_insert_with(|| Finder::new(part).into_owned());
                    finder.find(if *cased { text } else { folded }).is_some()
                }
                _ => kind.holds(text, folded),
            }
        }))
    }

    /// Makes the values of a field ready; returns its number.
    fn prepare(&mut self, event: Event<'_>, field: FieldId) -> usize {
        let first = self.values.len();
        for (at, each) in event.raw_fields().iter().enumerate() {
            if each.name != field || !is_comparable(each.kind) {
                continue;
            }
            let value = event.value(each);
            let from = self.folded.len();
            let text = value.is_escaped().then(|| {
                let from = self.texts.len();
                besa_event::json_unescape(value.bytes, &mut self.texts);
                from..self.texts.len()
            });
            let plain = text.clone().map_or(value.bytes, |range| &self.texts[range]);
            fold_into(plain, &mut self.folded);
            self.values.push(Ready { at, text, folded: from..self.folded.len() });
        }
        self.fields.push(Tested { field, values: first..self.values.len(), tests: 0 });
        self.fields.len() - 1
    }
}
