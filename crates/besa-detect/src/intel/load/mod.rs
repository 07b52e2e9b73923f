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

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use besa_event::observable::{ObservableKind, normalise};
use besa_sigma::Level;
use besa_stix::pattern::Pattern;
use hashbrown::HashMap;

use super::column::{Numbers, Texts};
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
#[derive(Clone, Debug)]
pub(super) struct Record<'c> {
    /// Every value is an indicator of its own; else all together are one.
    pub(super) each: bool,
    pub(super) confidence: Option<u8>,
    pub(super) level: Level,
    pub(super) origin: &'c str,
    pub(super) id: Cow<'c, str>,
    pub(super) name: &'c str,
    pub(super) author: &'c str,
    /// Joined by line feeds.
    pub(super) tags: &'c str,
    pub(super) description: &'c str,
    /// Nanoseconds since 1970; `i64::MIN` and `i64::MAX` where not stated.
    pub(super) valid: (i64, i64),
}

/// What many records have in common; texts by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Common {
    each: bool,
    confidence: Option<u8>,
    level: Level,
    origin: usize,
    author: usize,
    tags: usize,
}

/// Records of all values and patterns, by columns, their texts shared where they repeat. A record
/// of a STIX indicator takes some 10 bytes besides its name and the 16 of its id.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    /// Of the runs: first value and record. The last one stands in `run`.
    firsts: Numbers,
    run_records: Numbers,
    run: Option<Run>,
    /// Of the records: places in `common`, in `ids` (see [`Catalogue::add_id`]), texts.
    commons: Numbers,
    id_numbers: Numbers,
    names: Texts,
    descriptions: Numbers,
    valid_from: Numbers,
    valid_until: Numbers,
    common: Vec<Common>,
    uuids: Vec<[u8; 16]>,
    shared: Texts,
    common_numbers: HashMap<Common, usize>,
    shared_numbers: HashMap<Box<str>, usize>,
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
        let common = Common {
            each: of.each,
            confidence: of.confidence,
            level: of.level.or(of.confidence.map(level_of_confidence)).unwrap_or(Level::Medium),
            origin: self.share(origin),
            author: self.share(of.author),
            tags: self.share(&of.tags.join("\n")),
        };
        let next = self.common.len();
        let common_number = *self.common_numbers.entry(common).or_insert(next);
        if common_number == next {
            self.common.push(common);
        }
        let (id, description) = (self.add_id(of.id), self.share(of.description));
        let record = self.commons.len();
        self.commons.push(number(common_number));
        self.id_numbers.push(id);
        self.names.push(of.name);
        self.descriptions.push(number(description));
        self.valid_from.push(of.valid_from.unwrap_or(i64::MIN));
        self.valid_until.push(of.valid_until.unwrap_or(i64::MAX));
        u32::try_from(record).unwrap_or(u32::MAX)
    }

    /// Keeps an id: the UUID of an indicator by its place in `uuids`, any other text by the number
    /// -1 - n of a shared text.
    fn add_id(&mut self, id: &str) -> i64 {
        let uuid = id.strip_prefix(INDICATOR).and_then(parse_uuid);
        match uuid {
            Some(uuid) => {
                self.uuids.push(uuid);
                number(self.uuids.len() - 1)
            }
            None => -1 - number(self.share(id)),
        }
    }

    fn id(&self, record: usize) -> Cow<'_, str> {
        let Some(number) = self.id_numbers.get(record) else { return Cow::Borrowed("") };
        match usize::try_from(number) {
            Ok(place) => match self.uuids.get(place) {
                Some(uuid) => Cow::Owned(format!("{INDICATOR}{}", uuid_text(uuid))),
                None => Cow::Borrowed(""),
            },
            Err(_) => Cow::Borrowed(self.shared.get(usize::try_from(-1 - number).unwrap_or(usize::MAX))),
        }
    }

    /// Values from `first` on belong to a record.
    fn add_run(&mut self, run: Run) {
        if let Some(last) = self.run.replace(run)
            && last.first != run.first
        {
            self.firsts.push(i64::from(last.first));
            self.run_records.push(i64::from(last.record));
        }
    }

    /// Gives back what was held for growth; nothing is added from now on.
    pub(super) fn freeze(&mut self) {
        let Self { firsts, run_records, commons, id_numbers, descriptions, valid_from, valid_until, .. } =
            self;
        for column in [firsts, run_records, commons, id_numbers, descriptions, valid_from, valid_until] {
            column.freeze();
        }
        self.names.freeze();
        self.shared.freeze();
        self.common.shrink_to_fit();
        self.uuids.shrink_to_fit();
        self.common_numbers = HashMap::new();
        self.shared_numbers = HashMap::new();
    }

    fn share(&mut self, text: &str) -> usize {
        if let Some(number) = self.shared_numbers.get(text) {
            return *number;
        }
        let number = self.shared.push(text);
        self.shared_numbers.insert(text.into(), number);
        number
    }

    /// What is said in a record.
    pub(super) fn record(&self, record: u32) -> Option<Record<'_>> {
        let record = record as usize;
        let at = |column: &Numbers| column.get(record).and_then(|number| usize::try_from(number).ok());
        let common = self.common.get(at(&self.commons)?)?;
        Some(Record {
            each: common.each,
            confidence: common.confidence,
            level: common.level,
            origin: self.shared.get(common.origin),
            id: self.id(record),
            name: self.names.get(record),
            author: self.shared.get(common.author),
            tags: self.shared.get(common.tags),
            description: self.shared.get(at(&self.descriptions)?),
            valid: (self.valid_from.get(record)?, self.valid_until.get(record)?),
        })
    }

    /// The run that a value belongs to.
    pub(super) fn run_of(&self, value: u32) -> Option<Run> {
        if let Some(last) = self.run.filter(|last| last.first <= value) {
            return Some(last);
        }
        let at = self.firsts.partition_point(|first| first <= i64::from(value)).checked_sub(1)?;
        let get = |column: &Numbers| column.get(at).and_then(|number| u32::try_from(number).ok());
        Some(Run { first: get(&self.firsts)?, record: get(&self.run_records)? })
    }

    /// The record of a value.
    pub(super) fn record_of(&self, value: u32) -> Option<Record<'_>> {
        self.record(self.run_of(value)?.record)
    }

    /// The number that stands for a value's indicator: its own, or the first of its group.
    pub(super) fn leader_of(&self, value: u32) -> u32 {
        let each = |run: &Run| {
            let common =
                self.commons.get(run.record as usize).and_then(|number| usize::try_from(number).ok());
            common.and_then(|number| self.common.get(number)).is_none_or(|common| common.each)
        };
        self.run_of(value).filter(|run| !each(run)).map_or(value, |run| run.first)
    }

    pub(super) fn resident_bytes(&self) -> usize {
        let Self { firsts, run_records, commons, id_numbers, descriptions, valid_from, valid_until, .. } =
            self;
        let columns = [firsts, run_records, commons, id_numbers, descriptions, valid_from, valid_until];
        columns.iter().map(|column| column.resident_bytes()).sum::<usize>()
            + self.names.resident_bytes()
            + self.shared.resident_bytes()
            + self.common.capacity() * size_of::<Common>()
            + self.uuids.capacity() * 16
    }
}

/// What the ids of STIX indicators begin with.
const INDICATOR: &str = "indicator--";

fn number(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// The 16 bytes of a UUID in its usual spelling, with lower-case digits.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|sign| *sign != '-').collect();
    let uuid = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    (uuid_text(&uuid) == text).then_some(uuid)
}

fn uuid_text(uuid: &[u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(*uuid));
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| digits.get(group).unwrap_or_default()).join("-")
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
        self.intel.catalogue.add_run(Run { first, record });
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
