//! The pass over an event.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use besa_event::observable::{ObservableKind as Kind, display};
use besa_event::sieve::Words;
use besa_event::{Dictionary, DictionaryBuilder, Event, LogSources, Timestamp, Value, ValueKind};
use besa_sigma::Level;
use besa_stix::observation::Observation;
use besa_stix::pattern::{DEFAULT_WORK, Hit};
use besa_stix::time::Instant;
use hashbrown::HashMap;

use super::PatternState;
use super::exact::{OBJECTS_MAX, observe};
use super::extract;
use super::graph::EventGraph;
use super::load::{Catalogue, Intel, Place, Record, Refusal};
use super::mapping::{self, Object};
use super::observer::{Observer, ObserverScratch, RAW, derived_keys, is_text};
use super::patterns::{Leaf, Patterns};
use super::simple;
use super::table::Table;
use crate::sigma::{Key, Memo};

/// Intelligence compiled for matching; shared by the workers of a run.
#[derive(Debug)]
pub struct IntelMatcher {
    table: Table,
    catalogue: Catalogue,
    patterns: Patterns,
    observer: Observer,
}

/// Which indicator or pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntelRef {
    /// An indicator by one of its values: the value's number, or that of the first value where a
    /// STIX indicator lists several.
    Indicator(u32),
    /// A STIX pattern that one event satisfied.
    Pattern(u32),
    /// A comparison expression of a pattern that needs several events; see [`PatternState`].
    PatternPart {
        /// The pattern.
        pattern: u32,
        /// The comparison expression, from left to right.
        part: u16,
    },
}

/// An indicator value as it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndicatorValue<'m> {
    /// What [`IntelMatcher::matches`] reports when the value is met. A STIX indicator that lists
    /// several values has the same number for all; one value of several sources has several.
    pub what: IntelRef,
    /// The kind; a `Network` is met by every address in it.
    pub kind: Kind,
    /// The normalised value.
    pub bytes: &'m [u8],
}

/// What an event holds that satisfies one comparison expression of a STIX pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternNeed {
    /// The pattern, or its part where several events are needed. A pattern that one event can
    /// satisfy comes once for each of its comparison expressions, any of which will do.
    pub what: IntelRef,
    /// Keys of which every such event has at least one among [`Observer::keys`] (a `Network`: an
    /// address in it). `None`: values do not decide it, so every event has to be looked at. The
    /// keys are necessary, not sufficient: the pattern has still to be evaluated.
    pub any_of: Option<Vec<(Kind, Vec<u8>)>>,
}

/// An indicator, pattern or part met in one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntelMatch {
    /// What was met.
    pub what: IntelRef,
    /// (field, value) for an indicator, (object path, value) for a pattern. Where the event lies
    /// outside the indicator's validity, `indicator.valid_from` or `indicator.valid_until` is
    /// among them.
    pub matched: Vec<(String, String)>,
}

/// What the source says of an indicator or pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntelInfo {
    /// STIX id; the value where there is none.
    pub id: String,
    /// Name of a STIX indicator, title of a MISP event; the value or pattern where there is none.
    pub title: String,
    /// Creator; empty if not stated.
    pub author: String,
    /// MISP's threat level, or by STIX's confidence (below 30 low, from 70 high); else medium.
    pub level: Level,
    /// 0 to 100, if stated.
    pub confidence: Option<u8>,
    /// ATT&CK tags in Sigma's spelling, labels, indicator types.
    pub tags: Vec<String>,
    /// Longer text; may be empty.
    pub description: String,
    /// The file.
    pub origin: String,
    /// Kind and normalised value of an indicator.
    pub value: Option<(Kind, String)>,
    /// The pattern's text, for patterns.
    pub pattern: Option<String>,
    /// Id of the STIX indicator or MISP event that it stems from.
    pub intel_ref: Option<String>,
    /// From when it is valid, if stated.
    pub valid_from: Option<Timestamp>,
    /// Until when, if stated.
    pub valid_until: Option<Timestamp>,
}

/// What one worker needs while it matches; belongs to one matcher.
#[derive(Debug, Default)]
pub struct IntelScratch {
    memo: Memo,
    entries: Vec<u32>,
    observer: ObserverScratch,
    network_key: Vec<u8>,
    folded: Vec<u8>,
    words: Words,
    /// (leader, place of the field among the event's).
    found: Vec<(u32, usize)>,
    leaves: Vec<u32>,
    /// Per leaf, the round in which it became a candidate.
    marks: Vec<u32>,
    round: u32,
    /// Per log source, what its events hold.
    objects: Vec<Option<Box<[&'static Object]>>>,
    unevaluated: HashMap<u32, u64>,
}

impl IntelScratch {
    /// Patterns that could not be evaluated on some event (a regular expression that backtracks
    /// too often), with the number of events; empties the account. They may have matched.
    pub fn take_unevaluated(&mut self) -> Vec<(u32, u64)> {
        let mut all: Vec<_> = self.unevaluated.drain().collect();
        all.sort_unstable();
        all
    }
}

/// Entries of the memo: numbers of values; with this bit, of literals.
const LITERAL: u32 = 1 << 31;
/// Fields named in one match.
const MATCHED_MAX: usize = 32;
/// Bytes of a raw record shown in a match.
const RAW_SHOWN_BYTES_MAX: usize = 4_096;

impl IntelMatcher {
    /// Compiles; field names go into the dictionary under construction. What cannot be matched is
    /// named with its reason; all else works.
    #[must_use]
    pub fn compile(intel: Intel, names: &mut DictionaryBuilder) -> (Self, Vec<Refusal>) {
        let Intel { values, patterns, mut catalogue, .. } = intel;
        catalogue.freeze();
        let (patterns, refused) = Patterns::new(patterns);
        let refusals =
            refused.into_iter().map(|(record, reason)| refusal(&catalogue, record, reason)).collect();
        let observer = if values.len() > 0 { Observer::new(names) } else { Observer::default() };
        if !patterns.all.is_empty() {
            mapping::fields().for_each(|field| {
                names.intern(field);
            });
        }
        let same_run = |first: u32, second: u32| {
            catalogue.run_of(first).map(|run| run.first) == catalogue.run_of(second).map(|run| run.first)
        };
        let table = Table::new(values, same_run);
        (Self { table, catalogue, patterns, observer }, refusals)
    }

    /// Whether there is nothing to match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0 && self.patterns.all.is_empty()
    }

    /// How many indicator values there are.
    #[must_use]
    pub fn values(&self) -> usize {
        self.table.len()
    }

    /// How many STIX patterns there are.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.patterns.all.len()
    }

    /// Every indicator value that can be met, by ascending number: what an index is asked for.
    pub fn indicators(&self) -> impl Iterator<Item = IndicatorValue<'_>> {
        let numbers = 0..u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        numbers.filter(|number| self.table.is_listed(*number)).filter_map(|number| {
            let (kind, bytes) = self.table.value(number)?;
            Some(IndicatorValue { what: IntelRef::Indicator(self.catalogue.leader_of(number)), kind, bytes })
        })
    }

    /// Kind and normal form of every value that there is, by ascending number from 0 on: those of
    /// [`IntelMatcher::indicators`], and among them repetitions, which nothing is found under.
    pub fn all_values(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        self.table.values()
    }

    /// One of [`IntelMatcher::all_values`] by its number.
    #[must_use]
    pub fn value(&self, number: u32) -> Option<(Kind, &[u8])> {
        self.table.value(number)
    }

    /// For each comparison expression of each STIX pattern, what an event holds that satisfies it.
    /// Patterns that only list values are among [`IntelMatcher::indicators`] instead.
    pub fn pattern_needs(&self) -> impl Iterator<Item = PatternNeed> + '_ {
        self.patterns.leaves.iter().filter_map(|leaf| {
            let pattern = self.patterns.all.get(leaf.pattern as usize)?;
            let exprs = pattern.compiled.pattern().comparison_exprs();
            let any_of = simple::required(exprs.get(usize::from(leaf.part))?);
            Some(PatternNeed { what: pattern.what(*leaf), any_of })
        })
    }

    /// Whether values alone tell of every event if it can satisfy a pattern: by keys
    /// ([`PatternNeed::any_of`]), or by a literal that one of them holds
    /// ([`IntelMatcher::holds_literal`]).
    #[must_use]
    pub fn is_told_by_values(&self) -> bool {
        let exprs = |leaf: &Leaf| {
            self.patterns
                .all
                .get(leaf.pattern as usize)?
                .compiled
                .pattern()
                .comparison_exprs()
                .into_iter()
                .nth(usize::from(leaf.part))
        };
        let by_keys = |leaf: &Leaf| exprs(leaf).and_then(simple::required).is_some();
        self.patterns
            .always
            .iter()
            .all(|number| self.patterns.leaves.get(*number as usize).is_none_or(by_keys))
    }

    /// Whether a value holds a literal without which some pattern cannot be satisfied. `folded` is for
    /// work.
    pub fn holds_literal(&self, text: &[u8], folded: &mut Vec<u8>) -> bool {
        self.patterns.hold_literal(text, folded)
    }

    /// Bytes held in memory by values and what is said of them (patterns not counted).
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        self.table.resident_bytes() + self.catalogue.resident_bytes()
    }

    /// What finds the observables of events for it; without effect where it has no indicators.
    #[must_use]
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Whether a pattern needs several events: then its parts are reported, for
    /// [`IntelMatcher::state`].
    #[must_use]
    pub fn needs_several(&self, pattern: u32) -> bool {
        self.patterns.all.get(pattern as usize).is_some_and(|pattern| !pattern.single)
    }

    /// Brings the parts of a pattern together; `None` for a number that is no pattern's.
    #[must_use]
    pub fn state(&self, pattern: u32) -> Option<PatternState<'_>> {
        self.patterns.all.get(pattern as usize).map(|pattern| PatternState::new(&pattern.compiled))
    }

    /// Appends what the event meets: indicators, then patterns and parts of patterns, each once
    /// and by ascending number.
    pub fn matches(
        &self,
        event: Event<'_>,
        dictionary: &Dictionary,
        sources: &LogSources,
        scratch: &mut IntelScratch,
        out: &mut Vec<IntelMatch>,
    ) {
        self.begin(scratch);
        if event.raw_fields().is_empty() {
            // Most of what takes this way is short and meets nothing.
            self.examine(Value { kind: ValueKind::Text, bytes: event.raw() }, 0, scratch);
            self.note(RAW, scratch);
        } else {
            for place in self.observer.places(event) {
                self.look(place.value, place.classes, place.at, scratch);
            }
            if self.table.has(Kind::Url) {
                self.split_urls(event, scratch);
            }
        }
        if !scratch.found.is_empty() {
            self.report_indicators(event, dictionary, scratch, out);
        }
        if !self.patterns.all.is_empty() {
            self.report_patterns(event, dictionary, sources, scratch, out);
        }
    }

    fn begin(&self, scratch: &mut IntelScratch) {
        scratch.found.clear();
        scratch.leaves.clear();
        scratch.round = scratch.round.wrapping_add(1);
        if scratch.round == 0 || scratch.marks.len() != self.patterns.leaves.len() {
            scratch.marks.clear();
            scratch.marks.resize(self.patterns.leaves.len(), 0);
            scratch.round = 1;
        }
    }

    fn look(&self, value: Value<'_>, classes: u16, place: usize, scratch: &mut IntelScratch) {
        let key = Key { slot: classes, value };
        if let Some(known) = scratch.memo.get(key) {
            scratch.entries.clear();
            scratch.entries.extend_from_slice(known);
        } else {
            self.examine(value, classes, scratch);
            scratch.memo.put(key, &scratch.entries);
        }
        self.note(place, scratch);
    }

    /// Notes the entries of a value: indicators it meets, leaves it makes candidates.
    fn note(&self, place: usize, scratch: &mut IntelScratch) {
        let IntelScratch { entries, found, leaves, marks, round, .. } = scratch;
        for entry in entries.iter() {
            if entry & LITERAL == 0 {
                found.push((self.catalogue.leader_of(*entry), place));
                continue;
            }
            for leaf in self.patterns.needing.get((entry & !LITERAL) as usize).into_iter().flatten() {
                let mark = &mut marks[*leaf as usize];
                if *mark != *round {
                    *mark = *round;
                    leaves.push(*leaf);
                }
            }
        }
    }

    /// Fills `scratch.entries` with what a value holds.
    fn examine(&self, value: Value<'_>, classes: u16, scratch: &mut IntelScratch) {
        let IntelScratch { entries, observer, network_key, folded, words, .. } = scratch;
        entries.clear();
        let text = value.text();
        if self.table.len() > 0 && is_text(value.kind) {
            extract::observables(
                classes,
                &text,
                extract::ALL_KINDS,
                &mut observer.key,
                Some((self.table.sieve(), words)),
                &mut |kind, bytes| {
                    self.look_up(kind, bytes, network_key, entries);
                },
            );
            if entries.len() > 1 {
                entries.sort_unstable();
                entries.dedup();
            }
        }
        if self.patterns.has_literals() {
            let from = entries.len();
            self.patterns.literals_in(&text, folded, entries);
            entries[from..].iter_mut().for_each(|literal| *literal |= LITERAL);
        }
    }

    fn look_up(&self, kind: Kind, bytes: &[u8], network_key: &mut Vec<u8>, out: &mut Vec<u32>) {
        self.table.look_up(kind, bytes, out);
        derived_keys(kind, bytes, &mut |kind, bytes| self.table.look_up(kind, bytes, out));
        if matches!(kind, Kind::Ipv4 | Kind::Ipv6)
            && let Some(address) = address(bytes)
        {
            self.table.look_up_networks(address, network_key, out);
        }
    }

    /// URLs whose host and path stand in two fields.
    fn split_urls(&self, event: Event<'_>, scratch: &mut IntelScratch) {
        let IntelScratch { entries, observer, network_key, found, .. } = scratch;
        self.observer.split_urls(event, observer, &mut |place, kind, bytes| {
            entries.clear();
            self.look_up(kind, bytes, network_key, entries);
            found.extend(entries.iter().map(|number| (self.catalogue.leader_of(*number), place)));
        });
    }

    fn report_indicators(
        &self,
        event: Event<'_>,
        dictionary: &Dictionary,
        scratch: &mut IntelScratch,
        out: &mut Vec<IntelMatch>,
    ) {
        scratch.found.sort_unstable();
        scratch.found.dedup();
        for same in scratch.found.chunk_by(|one, other| one.0 == other.0) {
            let leader = same[0].0;
            let mut matched: Vec<(String, String)> = Vec::new();
            for (_, place) in same.iter().take(MATCHED_MAX) {
                let (name, value) = shown(event, dictionary, *place);
                // An alias (`Image` of `NewProcessName`) says the same again.
                if !matched.iter().any(|(_, known)| *known == value) {
                    matched.push((name, value));
                }
            }
            if let Some(record) = self.catalogue.record_of(leader) {
                note_validity(&record, event, &mut matched);
            }
            out.push(IntelMatch { what: IntelRef::Indicator(leader), matched });
        }
    }

    fn report_patterns(
        &self,
        event: Event<'_>,
        dictionary: &Dictionary,
        sources: &LogSources,
        scratch: &mut IntelScratch,
        out: &mut Vec<IntelMatch>,
    ) {
        let IntelScratch { leaves, objects, unevaluated, .. } = scratch;
        leaves.extend_from_slice(&self.patterns.always);
        if leaves.is_empty() {
            return;
        }
        leaves.sort_unstable();
        leaves.dedup();
        let class = usize::from(event.logsource().0);
        if objects.len() <= class {
            objects.resize_with(class + 1, || None);
        }
        let objects =
            objects[class].get_or_insert_with(|| mapping::objects_of(&sources.get(event.logsource())).into());
        let graph = EventGraph { event, dictionary, objects };
        let exact = OnceCell::new();
        let mut reported = None;
        for leaf in leaves.iter().filter_map(|leaf| self.patterns.leaves.get(*leaf as usize)) {
            if reported == Some(leaf.pattern) {
                continue;
            }
            match self.leaf_holds(*leaf, &graph, &exact) {
                Ok(false) => {}
                Ok(true) => {
                    let pattern = &self.patterns.all[leaf.pattern as usize];
                    if pattern.single {
                        reported = Some(leaf.pattern);
                    }
                    let what = pattern.what(*leaf);
                    let mut matched = self.patterns.matched(*leaf, &graph);
                    if let Some(record) = self.catalogue.record(pattern.record) {
                        note_validity(&record, event, &mut matched);
                    }
                    out.push(IntelMatch { what, matched });
                }
                Err(()) => *unevaluated.entry(leaf.pattern).or_default() += 1,
            }
        }
    }

    /// Whether a leaf holds, and with it a pattern that one event can satisfy.
    fn leaf_holds(
        &self,
        leaf: Leaf,
        graph: &EventGraph<'_>,
        exact: &OnceCell<Option<Observation>>,
    ) -> Result<bool, ()> {
        let pattern = &self.patterns.all[leaf.pattern as usize];
        if !pattern.leaf_holds(leaf.part, graph).map_err(|_| ())? {
            return Ok(false);
        }
        if pattern.has_several_comparisons(leaf.part)
            && let Some(exact) = exact.get_or_init(|| observation(graph))
            && !pattern.leaf_holds(leaf.part, exact).map_err(|_| ())?
        {
            return Ok(false);
        }
        if !pattern.single || !pattern.timed {
            return Ok(true);
        }
        let Some(at) = graph.event.time().and_then(|time| Instant::from_unix_nanos(i128::from(time.at.0)))
        else {
            return Ok(false);
        };
        let mut hits = vec![Vec::new(); pattern.compiled.leaves().len()];
        hits[usize::from(leaf.part)].push(Hit { observation: 0, first: at, last: at, count: 1 });
        let binding = pattern.compiled.combine(&hits, DEFAULT_WORK).map_err(|_| ())?;
        Ok(binding.is_some())
    }

    /// What the source says. A part is explained by its pattern.
    #[must_use]
    pub fn info(&self, what: IntelRef) -> IntelInfo {
        let catalogue = &self.catalogue;
        let (record, value, pattern) = match what {
            IntelRef::Indicator(number) => {
                let value = self.table.value(number).map(|(kind, bytes)| (kind, display(kind, bytes)));
                (catalogue.record_of(number), value, None)
            }
            IntelRef::Pattern(number) | IntelRef::PatternPart { pattern: number, .. } => {
                let pattern = self.patterns.all.get(number as usize);
                let record = pattern.and_then(|pattern| catalogue.record(pattern.record));
                (record, None, pattern.map(|pattern| pattern.compiled.pattern().to_string()))
            }
        };
        let own =
            value.as_ref().map(|(_, value)| value.clone()).or_else(|| pattern.clone()).unwrap_or_default();
        let mut info = IntelInfo {
            id: own.clone(),
            title: own,
            author: String::new(),
            level: Level::Medium,
            confidence: None,
            tags: Vec::new(),
            description: String::new(),
            origin: String::new(),
            value,
            pattern,
            intel_ref: None,
            valid_from: None,
            valid_until: None,
        };
        if let Some(record) = record {
            describe(&record, &mut info);
        }
        info
    }
}

/// An event as objects with one value a property; `None` if there are too many.
fn observation(graph: &EventGraph<'_>) -> Option<Observation> {
    let at = Instant::from_unix_nanos(i128::from(graph.event.time().map_or(0, |time| time.at.0)))?;
    Some(Observation::new(String::new(), (at, at), 1, observe(graph, OBJECTS_MAX)?))
}

fn describe(record: &Record<'_>, info: &mut IntelInfo) {
    if !record.id.is_empty() {
        info.intel_ref = Some(record.id.clone().into_owned());
        if !record.each {
            info.id = record.id.clone().into_owned();
        }
    }
    if !record.name.is_empty() {
        record.name.clone_into(&mut info.title);
    }
    record.author.clone_into(&mut info.author);
    record.description.clone_into(&mut info.description);
    record.origin.clone_into(&mut info.origin);
    info.tags = record.tags.split('\n').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    info.level = record.level;
    info.confidence = record.confidence;
    info.valid_from = (record.valid.0 != i64::MIN).then_some(Timestamp(record.valid.0));
    info.valid_until = (record.valid.1 != i64::MAX).then_some(Timestamp(record.valid.1));
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
    }
}

fn shown(event: Event<'_>, dictionary: &Dictionary, place: usize) -> (String, String) {
    match event.raw_fields().get(place) {
        Some(field) => {
            let name = event.field_name(dictionary, field.name).into_owned();
            (name, event.value(field).display().into_owned())
        }
        None => {
            let raw = event.raw();
            let raw = &raw[..raw.len().min(RAW_SHOWN_BYTES_MAX)];
            ("raw".to_owned(), String::from_utf8_lossy(raw).into_owned())
        }
    }
}

fn note_validity(record: &Record<'_>, event: Event<'_>, matched: &mut Vec<(String, String)>) {
    let Some(at) = event.time().map(|time| time.at.0) else { return };
    let text = |nanos: i64| Timestamp(nanos).rfc3339(if nanos % 1_000_000_000 == 0 { 0 } else { 9 });
    if at < record.valid.0 {
        matched.push(("indicator.valid_from".to_owned(), text(record.valid.0)));
    }
    if at >= record.valid.1 {
        matched.push(("indicator.valid_until".to_owned(), text(record.valid.1)));
    }
}

fn refusal(catalogue: &Catalogue, record: u32, reason: String) -> Refusal {
    let record = catalogue.record(record);
    Refusal {
        origin: Arc::from(record.as_ref().map_or("", |record| record.origin)),
        place: Place::Object(record.map(|record| record.id.into_owned()).unwrap_or_default()),
        reason,
    }
}
