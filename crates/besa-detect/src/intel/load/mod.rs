//! Intelligence from bytes: what is in a file is told by its content.
//!
//! | content | read as |
//! |---|---|
//! | JSON with `type`/`objects`, or a list or lines of STIX objects | STIX 2.1 ([`stix`]) |
//! | JSON with `Event`, `response` or `Attribute` | MISP ([`misp`]) |
//! | text whose first line names known columns, or with columns throughout | CSV ([`csv`]) |
//! | any other text | one value a line ([`list`]) |
//!
//! One bad line or object never hides the others: it is a [`Refusal`] that says where and why.

mod csv;
mod list;
mod misp;
mod stix;

use std::fmt;
use std::sync::Arc;

use besa_event::observable::{ObservableKind, normalise};
use besa_sigma::Level;
use besa_stix::pattern::Pattern;
use hashbrown::HashMap;

use super::table::{ArenaFull, Values};

/// Refusals kept of one file; the others are counted.
const REFUSALS_MAX: usize = 1_000;

/// Everything loaded: hand it to [`IntelMatcher::compile`](super::IntelMatcher::compile).
#[derive(Clone, Debug, Default)]
pub struct Intel {
    /// Sigma rules that stood in STIX indicators, for the caller to load as rules.
    pub sigma: Vec<SigmaText>,
    pub(super) values: Values,
    pub(super) patterns: Vec<StixPattern>,
    pub(super) catalogue: Catalogue,
}

/// A Sigma rule in a STIX indicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigmaText {
    /// The file.
    pub origin: Arc<str>,
    /// STIX id of the indicator.
    pub indicator: String,
    /// The rule's YAML.
    pub text: String,
}

/// A pattern to be evaluated as it stands.
#[derive(Clone, Debug)]
pub(super) struct StixPattern {
    pub(super) record: u32,
    pub(super) pattern: Pattern,
}

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// STIX objects.
    Stix,
    /// MISP events or attributes.
    Misp,
    /// Columns.
    Csv,
    /// One value a line.
    List,
}

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What it was read as.
    pub format: Format,
    /// Indicator values taken.
    pub values: usize,
    /// STIX patterns taken as patterns.
    pub patterns: usize,
    /// Sigma rules found.
    pub sigma: usize,
    /// What was not taken, at most 1,000.
    pub refusals: Vec<Refusal>,
    /// How many were not taken in all.
    pub refused: usize,
}

/// Something that is not matched, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file.
    pub origin: Arc<str>,
    /// Where in it.
    pub place: Place,
    /// Why.
    pub reason: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole of it.
    File,
    /// A line, from 1.
    Line(usize),
    /// An object: its id, or its number from 1 where it has none.
    Object(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File => write!(f, "{}: {}", self.origin, self.reason),
            Place::Line(line) => write!(f, "{}:{line}: {}", self.origin, self.reason),
            Place::Object(id) => write!(f, "{}: `{id}`: {}", self.origin, self.reason),
        }
    }
}

/// What is said of many values at once. Values from `first` on, up to the next run's, belong to
/// `record`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) record: u32,
}

/// What a source says of an indicator, or of all values of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Every value is an indicator of its own; else all together are one.
    pub(super) each: bool,
    pub(super) confidence: Option<u8>,
    pub(super) level: Level,
    pub(super) origin: u32,
    pub(super) id: TextAt,
    pub(super) name: TextAt,
    pub(super) author: u32,
    /// Joined by line feeds.
    pub(super) tags: u32,
    pub(super) description: u32,
    /// Nanoseconds since 1970; `i64::MIN` and `i64::MAX` where not stated.
    pub(super) valid: (i64, i64),
}

/// A piece of the catalogue's text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextAt {
    start: u32,
    len: u32,
}

/// Records of all values and patterns, their texts shared where they repeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    pub(super) runs: Vec<Run>,
    pub(super) records: Vec<Record>,
    texts: String,
    shared: Vec<Box<str>>,
    shared_numbers: HashMap<Box<str>, u32>,
}

/// What a record is made of.
#[derive(Clone, Debug, Default)]
struct Description<'a> {
    each: bool,
    confidence: Option<u8>,
    level: Option<Level>,
    id: &'a str,
    name: &'a str,
    author: &'a str,
    tags: Vec<String>,
    description: &'a str,
    valid_from: Option<i64>,
    valid_until: Option<i64>,
}

impl Catalogue {
    fn add(&mut self, origin: &str, of: &Description<'_>) -> u32 {
        let record = Record {
            each: of.each,
            confidence: of.confidence,
            level: of.level.or(of.confidence.map(level_of_confidence)).unwrap_or(Level::Medium),
            origin: self.share(origin),
            id: self.text_at(of.id),
            name: self.text_at(of.name),
            author: self.share(of.author),
            tags: self.share(&of.tags.join("\n")),
            description: self.share(of.description),
            valid: (of.valid_from.unwrap_or(i64::MIN), of.valid_until.unwrap_or(i64::MAX)),
        };
        self.records.push(record);
        u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX)
    }

    /// Gives back what was held for growth; nothing is added from now on.
    pub(super) fn freeze(&mut self) {
        self.runs.shrink_to_fit();
        self.records.shrink_to_fit();
        self.texts.shrink_to_fit();
        self.shared.shrink_to_fit();
        self.shared_numbers = HashMap::new();
    }

    fn text_at(&mut self, text: &str) -> TextAt {
        let place = (u32::try_from(self.texts.len()), u32::try_from(text.len()));
        let (Ok(start), Ok(len)) = place else { return TextAt::default() };
        self.texts.push_str(text);
        TextAt { start, len }
    }

    fn share(&mut self, text: &str) -> u32 {
        if let Some(number) = self.shared_numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.shared.len()).unwrap_or(u32::MAX);
        self.shared.push(text.into());
        self.shared_numbers.insert(text.into(), number);
        number
    }

    pub(super) fn text(&self, at: TextAt) -> &str {
        self.texts.get(at.start as usize..at.start as usize + at.len as usize).unwrap_or_default()
    }

    pub(super) fn shared(&self, number: u32) -> &str {
        self.shared.get(number as usize).map_or("", AsRef::as_ref)
    }

    /// The run that a value belongs to.
    pub(super) fn run_of(&self, number: u32) -> Option<Run> {
        let after = self.runs.partition_point(|run| run.first <= number);
        self.runs.get(after.checked_sub(1)?).copied()
    }

    /// The record of a value.
    pub(super) fn record_of(&self, number: u32) -> Option<&Record> {
        self.records.get(self.run_of(number)?.record as usize)
    }

    /// The number that stands for a value's indicator: its own, or the first of its group.
    pub(super) fn leader_of(&self, number: u32) -> u32 {
        match self.run_of(number) {
            Some(run) if !self.records.get(run.record as usize).is_none_or(|record| record.each) => run.first,
            _ => number,
        }
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
            + self.records.capacity() * size_of::<Record>()
            + self.texts.capacity()
            + self.shared.iter().map(|text| text.len() * 2 + 64).sum::<usize>()
    }
}

/// By the scale of STIX 2.1 appendix A (none, low, medium, high).
fn level_of_confidence(confidence: u8) -> Level {
    match confidence {
        0..30 => Level::Low,
        30..70 => Level::Medium,
        _ => Level::High,
    }
}

impl Intel {
    /// Reads one file. `origin` is its name for people.
    pub fn load(&mut self, origin: &str, bytes: &[u8]) -> Loaded {
        let decoded = decode_utf16(bytes);
        let bytes = decoded.as_deref().unwrap_or(bytes);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut loading = Loading {
            origin: origin.into(),
            before: (self.values.len(), self.patterns.len(), self.sigma.len()),
            intel: self,
            refusals: Vec::new(),
            refused: 0,
        };
        let format = match bytes.trim_ascii_start().first() {
            Some(b'{' | b'[') => match misp::recognise(bytes) {
                Some(shape) => {
                    misp::load(&mut loading, &shape);
                    Format::Misp
                }
                None => {
                    stix::load(&mut loading, bytes);
                    Format::Stix
                }
            },
            _ => match csv::recognise(bytes) {
                Some(shape) => {
                    csv::load(&mut loading, bytes, &shape);
                    Format::Csv
                }
                None => {
                    list::load(&mut loading, bytes);
                    Format::List
                }
            },
        };
        loading.finish(format)
    }

    /// How many indicator values there are.
    #[must_use]
    pub fn values(&self) -> usize {
        self.values.len()
    }

    /// How many STIX patterns there are that are evaluated as such.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there is nothing to match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values() == 0 && self.patterns() == 0
    }
}

/// One file on its way in.
struct Loading<'i> {
    intel: &'i mut Intel,
    origin: Arc<str>,
    before: (usize, usize, usize),
    refusals: Vec<Refusal>,
    refused: usize,
}

impl Loading<'_> {
    fn refuse(&mut self, place: Place, reason: impl Into<String>) {
        self.refused += 1;
        if self.refusals.len() < REFUSALS_MAX {
            self.refusals.push(Refusal { origin: Arc::clone(&self.origin), place, reason: reason.into() });
        }
    }

    fn record(&mut self, of: &Description<'_>) -> u32 {
        self.intel.catalogue.add(&self.origin, of)
    }

    /// Values added from now on belong to a record.
    fn run(&mut self, record: u32) {
        let first = u32::try_from(self.intel.values.len()).unwrap_or(u32::MAX);
        let runs = &mut self.intel.catalogue.runs;
        match runs.last_mut() {
            Some(last) if last.first == first => last.record = record,
            _ => runs.push(Run { first, record }),
        }
    }

    /// Adds a value of a known kind.
    fn value(&mut self, kind: ObservableKind, text: &str) -> Result<(), String> {
        match self.intel.values.push(|out| normalise(kind, text.as_bytes(), out)) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!("`{}` is no {}", cut(text), kind.name())),
            Err(ArenaFull) => Err("the table of indicators is full; split the lists".to_owned()),
        }
    }

    fn finish(self, format: Format) -> Loaded {
        let (values, patterns, sigma) = self.before;
        Loaded {
            format,
            values: self.intel.values.len() - values,
            patterns: self.intel.patterns.len() - patterns,
            sigma: self.intel.sigma.len() - sigma,
            refusals: self.refusals,
            refused: self.refused,
        }
    }
}

/// The start of a value for a message.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(100).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn decode_utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let unit: fn([u8; 2]) -> u16 = match bytes.get(..2)? {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String =
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(text.into_bytes())
}
