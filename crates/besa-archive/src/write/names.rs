//! Field names as numbers that hold over many batches, whatever dictionary a batch was read with.
//!
//! A batch's ids are looked up once for each batch. Names that differ in ASCII case alone have
//! numbers of their own and one column.

use std::collections::HashMap;

use besa_event::{Dictionary, Event, FieldId};

/// Names that start so are the archive's own columns.
pub(crate) const OWN: &str = "besa_";
/// Longer names have no column.
const NAME_LEN_MAX: usize = 200;
/// Names after which the writer has to start anew.
pub(crate) const NAMES_MAX: usize = 1 << 16;

/// A name.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    /// As it is spelled.
    pub(crate) text: String,
    /// The number of its column's name; `None` if it can have no column.
    pub(crate) column: Option<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: Vec<Name>,
    numbers: HashMap<String, u32>,
    folded: HashMap<String, u32>,
    /// For the batch under way: number + 1 of each of the dictionary's and of its own names.
    of_dictionary: Vec<u32>,
    of_batch: Vec<u32>,
}

impl Names {
    /// Forgets the ids of the last batch.
    pub(crate) fn start_batch(&mut self) {
        self.of_dictionary.clear();
        self.of_batch.clear();
    }

    /// How many names are known.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// A name by its number.
    pub(crate) fn get(&self, number: u32) -> Option<&Name> {
        self.all.get(number as usize)
    }

    /// The number of a field's name.
    #[inline]
    pub(crate) fn number(&mut self, event: Event<'_>, dictionary: &Dictionary, id: FieldId) -> u32 {
        let (known, index) = match id.as_local() {
            Some(index) => (&self.of_batch, index),
            None => (&self.of_dictionary, id.index()),
        };
        match known.get(index) {
            Some(0) | None => self.learn(event, dictionary, id, index),
            Some(number) => number - 1,
        }
    }

    fn learn(&mut self, event: Event<'_>, dictionary: &Dictionary, id: FieldId, index: usize) -> u32 {
        let name = event.field_name(dictionary, id);
        let number = match self.numbers.get(name.as_ref()) {
            Some(number) => *number,
            None => self.add(&name),
        };
        let known = if id.as_local().is_some() { &mut self.of_batch } else { &mut self.of_dictionary };
        if known.len() <= index {
            known.resize(index + 1, 0);
        }
        if let Some(place) = known.get_mut(index) {
            *place = number + 1;
        }
        number
    }

    fn add(&mut self, name: &str) -> u32 {
        let number = self.all.len() as u32;
        let folded = name.to_ascii_lowercase();
        let fits = !name.is_empty()
            && name.len() <= NAME_LEN_MAX
            && !folded.starts_with(OWN)
            && !name.chars().any(char::is_control);
        let column = fits.then(|| {
            let next = self.folded.len() as u32;
            *self.folded.entry(folded).or_insert(next)
        });
        self.all.push(Name { text: name.to_owned(), column });
        self.numbers.insert(name.to_owned(), number);
        number
    }
}
