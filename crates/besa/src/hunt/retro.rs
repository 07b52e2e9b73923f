//! A hunt through an archive: the same workers, correlations, order and account as over evidence.
//!
//! ```text
//! manifest ─window, log source─▶ row groups ─index─▶ hit: values sifted; rows that hold something asked
//!                                                 │       for are rebuilt whole: intelligence
//!                                                 ├▶ ruled: values sifted; rows that trigger a rule are
//!                                                 │       rebuilt by the columns of rules: rules
//!                                                 └▶ neither: not read
//! units ─▶ worker × N (read, match) ─▶ collector, in the order of the units
//! ```
//!
//! Invariants:
//! - A row group is left out only if no rule is about its log source, every pattern can be asked for
//!   by value, and a sound index run says that it holds nothing asked for. Rows are left out by those of
//!   the keys that the run says are there, or by all where it cannot say, and for rules by their triggers, unless some rule of the class has none or looks at
//!   every field. `--no-index` is the slow twin: it reads and matches every event.
//! - Of a row that is picked for indicators alone, values that hold nothing asked for are left empty: an
//!   indicator is met by one value, or by the parts of a URL, which are always there. Patterns get whole
//!   events.
//! - What was not read is told: files by name, index runs that could not be used by name.
//! - The result does not depend on the number of workers, unless a budget ends it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use besa_archive::index::{Hits, Sieve, SieveHand};
use besa_archive::turns::Hunt;
use besa_archive::{Archive, FileEntry, FileNumber, Judge, LookedUp, Reader, Source, Wanted, Window};
use besa_detect::intel::{IntelMatcher, values};
use besa_detect::{Detector, Outcome, SigmaTriggers, Worker};
use besa_event::{Defect, Keep, LogSource, LogSourceId, Origin, Place, Timestamp};
use crossbeam_channel::{Receiver, Sender, bounded};

use super::account::{Coverage, IndexCoverage, OverBudget, class_name};
use super::defects::DefectLog;
use super::guard;
use super::interrupt::Interrupt;
use super::knowledge::Knowledge;
use super::observables::{Question, observe};
use super::progress::Progress;
use super::{Collector, Hunted, concluded};

/// Units under way for each worker: so many are done while the collector waits for a slow one.
const UNITS_PER_WORKER: usize = 3;

/// What to hunt through.
pub(crate) struct Past<'a> {
    /// Folder or URL.
    pub(crate) archive: &'a str,
    /// The same as in the scope of the knowledge.
    pub(crate) window: Window,
    /// Whether the index may rule row groups out.
    pub(crate) index: bool,
    /// Threads that read and match.
    pub(crate) workers: usize,
    /// Whose turn to read a row group it is, and what the hunt may cost.
    pub(crate) turns: Arc<Hunt>,
    pub(crate) defects: DefectLog,
}

/// A row group to be read.
struct Unit<'a> {
    file: &'a FileEntry,
    group: usize,
    /// Whether the index says that something asked for may be there, or cannot say.
    hit: bool,
    /// What of it is there; absent if the index cannot say.
    holds: Option<Hits>,
    /// Whether a Sigma rule is about its events.
    ruled: bool,
}

/// What is read, and what is not.
struct Plan<'a> {
    units: Vec<Unit<'a>>,
    /// Whether intelligence is held against row groups that the index does not name.
    intel_everywhere: bool,
    files_passed_over: u64,
    index: Option<IndexCoverage>,
    /// Files that the index answers for and that are not there as they were written, each with the
    /// reason: what they held cannot be shown, so nothing found is no answer.
    missing: Vec<(FileNumber, String)>,
}

/// What came of a unit.
#[derive(Default)]
struct Read {
    outcome: Outcome,
    events: u64,
    failure: Option<String>,
    /// There was no turn for it.
    refused: bool,
}

/// Hunts through an archive. An interrupt ends it early; what was found until then is the result.
pub(crate) fn hunt(
    knowledge: &Knowledge,
    past: Past<'_>,
    progress: &Progress,
    interrupt: &Arc<Interrupt>,
) -> anyhow::Result<Hunted> {
    let started = Instant::now();
    let detector = &knowledge.detector;
    let archive = Archive::open(past.archive)?;
    let classes = Classes::new(detector);
    let mut coverage = held(&classes, &archive, &past);
    let question = (past.index && !detector.intel().is_empty()).then(|| Question::of(detector.intel()));
    let observe = observe();
    let value = |number| question.as_ref().and_then(|question| question.value(detector.intel(), number));
    let seed = [0_u8, 1].map(|number| RandomState::new().hash_one(number));
    let sieve = question.as_ref().map(|question| Sieve::new(&*observe, &question.asked, &value, seed));
    let plan = Plan::new(&classes, &archive, &past, question.as_ref());
    coverage.files_passed_over = plan.files_passed_over;
    coverage.index.clone_from(&plan.index);
    let mut collector = Collector::new(detector, past.defects, progress);
    let mut searched = Searched::default();
    for (number, reason) in &plan.missing {
        let path = archive.manifest().files.get(number).map_or("", |file| file.path.as_str());
        searched.note_damage(*number, path, reason.clone(), &mut collector)?;
    }
    let hands = Hands {
        detector,
        archive: &archive,
        window: past.window,
        plan: &plan,
        sifts: past.index && question.as_ref().is_none_or(|question| question.told_by_values),
        literals: question.as_ref().is_some_and(|question| question.open),
        sieve: sieve.as_ref(),
        turns: &past.turns,
        interrupt,
    };
    hands.run(past.workers.max(1), &mut |unit, read| searched.take(unit, read, &mut collector, &plan))?;
    coverage.files_searched =
        searched.files.iter().filter(|number| !searched.damaged.contains_key(number)).count() as u64;
    coverage.row_groups_searched = searched.groups;
    coverage.over_budget = (searched.refused.row_groups > 0).then_some(searched.refused);
    coverage.files_missing = searched.damaged.values().cloned().collect();
    collector.tally.files = searched.files.len() as u64;
    collector.tally.bytes = searched.bytes;
    concluded(collector, knowledge, interrupt, started, Some(coverage))
}

/// Which classes of events are looked at; asked once for each.
struct Classes<'d> {
    detector: &'d Detector,
    ruled: std::cell::RefCell<HashMap<Source, bool>>,
}

impl<'d> Classes<'d> {
    fn new(detector: &'d Detector) -> Self {
        Self { detector, ruled: std::cell::RefCell::default() }
    }

    /// Whether a Sigma rule is about a class.
    fn has_rules(&self, source: &Source) -> bool {
        if let Some(known) = self.ruled.borrow().get(source) {
            return *known;
        }
        let class = self.detector.sources().intern(LogSource::from(source));
        let ruled = !self.detector.applicable(class).is_empty();
        self.ruled.borrow_mut().insert(source.clone(), ruled);
        ruled
    }

    /// As the account shows a class.
    fn name(&self, source: &Source) -> String {
        class_name(self.detector, self.detector.sources().intern(LogSource::from(source)))
    }

    /// Whether anything that is looked for may be in events of a class.
    fn is_looked_at(&self, source: &Source) -> bool {
        !self.detector.intel().is_empty() || self.has_rules(source)
    }
}

impl<'a> Plan<'a> {
    fn new(
        classes: &Classes<'_>,
        archive: &'a Archive,
        past: &Past<'_>,
        question: Option<&Question>,
    ) -> Self {
        let looked = question
            .filter(|question| !question.open || !question.asked.is_empty())
            .map(|question| archive.look_up(&question.asked, values::VERSION));
        let intel_everywhere = looked.is_some() && question.is_some_and(|question| question.open);
        let mut plan = Self {
            units: Vec::new(),
            intel_everywhere,
            files_passed_over: 0,
            index: None,
            missing: Vec::new(),
        };
        let mut ruled_out = Vec::new();
        let mut index = IndexCoverage::default();
        let mut files: Vec<&FileEntry> = archive.manifest().files.values().collect();
        files.sort_by_key(|file| (file.day, &file.source, file.number));
        for file in files {
            let groups = file.groups_in(past.window);
            if groups == 0 || !classes.is_looked_at(&file.source) {
                plan.files_passed_over += 1;
                continue;
            }
            let before = index.events_ruled_out;
            if plan.add(file, groups, looked.as_ref(), classes.has_rules(&file.source), &mut index) == 0 {
                ruled_out.push(file);
            }
            let events = index.events_ruled_out - before;
            if events > 0 {
                *index.log_sources_ruled_out.entry(classes.name(&file.source)).or_default() += events;
            }
        }
        plan.missing = archive.missing(&ruled_out);
        if let Some(looked) = looked {
            index.runs = looked.runs;
            index.unusable = looked.unusable;
            plan.index = Some(index);
        }
        plan
    }

    /// Plans the row groups of a file; returns the set of those that are read.
    fn add(
        &mut self,
        file: &'a FileEntry,
        groups: u64,
        looked: Option<&LookedUp>,
        ruled: bool,
        index: &mut IndexCoverage,
    ) -> u64 {
        let hits = looked.map_or(groups, |looked| groups & looked.groups.get(&file.number).unwrap_or(&0));
        index.files_without +=
            u64::from(looked.is_some_and(|looked| looked.unindexed.contains(&file.number)));
        let read = if ruled || self.intel_everywhere { groups } else { hits };
        for (group, entry) in file.groups.iter().enumerate() {
            let is_in = |set: u64| set >> group & 1 == 1;
            if is_in(read) {
                let at = (file.number, u32::try_from(group).unwrap_or(u32::MAX));
                let holds = looked.and_then(|looked| looked.hits.get(&at)).cloned();
                self.units.push(Unit { file, group, hit: is_in(hits), holds, ruled });
            } else if is_in(groups) {
                index.events_ruled_out += u64::from(entry.rows);
            }
        }
        index.files_ruled_out += u64::from(read == 0);
        read
    }
}

/// What was searched so far.
#[derive(Default)]
struct Searched {
    files: BTreeSet<FileNumber>,
    bytes: u64,
    groups: u64,
    /// What the budget did not hold.
    refused: OverBudget,
    /// Files that could not be read whole, with what is wrong.
    damaged: BTreeMap<FileNumber, String>,
}

impl Searched {
    fn take(
        &mut self,
        unit: &Unit<'_>,
        read: Read,
        collector: &mut Collector<'_>,
        plan: &Plan<'_>,
    ) -> anyhow::Result<()> {
        let file = unit.file;
        if read.refused {
            self.refused.row_groups += 1;
            self.refused.events += file.groups.get(unit.group).map_or(0, |group| u64::from(group.rows));
            return Ok(());
        }
        if self.files.insert(file.number) {
            self.bytes += file.bytes;
        }
        self.groups += 1;
        collector.tally.events += read.events;
        collector.take_outcome(read.outcome)?;
        let at = format!("{} of {} row groups", self.groups, plan.units.len());
        collector.progress.matched(collector.tally.events, collector.summary.findings, &at);
        match read.failure {
            Some(reason) => self.note_damage(file.number, &file.path, reason, collector),
            None => Ok(()),
        }
    }

    fn note_damage(
        &mut self,
        number: FileNumber,
        path: &str,
        reason: String,
        collector: &mut Collector<'_>,
    ) -> anyhow::Result<()> {
        if let std::collections::btree_map::Entry::Vacant(place) = self.damaged.entry(number) {
            place.insert(format!("{path}: {reason}"));
            let defect = Defect { origin: Origin::new(path), place: Place::Whole, reason };
            collector.defects.push(defect).context(super::CANNOT_LOG)?;
        }
        Ok(())
    }
}

/// The workers.
struct Hands<'a> {
    detector: &'a Detector,
    archive: &'a Archive,
    window: Window,
    plan: &'a Plan<'a>,
    /// Whether rows are picked by their values.
    sifts: bool,
    /// Whether some pattern is told by its literals alone.
    literals: bool,
    /// Picks the rows in which something asked for is; absent if nothing is.
    sieve: Option<&'a Sieve<'a>>,
    turns: &'a Hunt,
    interrupt: &'a Interrupt,
}

/// What one worker keeps.
struct Hand<'a> {
    reader: Reader<'a>,
    worker: Worker<'a>,
    sieve: Option<Asking<'a>>,
    /// By class of events.
    triggers: HashMap<LogSourceId, Option<Triggers<'a>>>,
}

/// Picks the rows in which something asked for is, and those with a literal of a pattern that cannot
/// be asked for.
struct Asking<'a> {
    keys: SieveHand<'a>,
    literals: Option<&'a IntelMatcher>,
    folded: Vec<u8>,
    /// Whether indicators alone are looked for, which are met by single values.
    by_values: bool,
}

/// The way of looking for literals, beside those of looking for keys.
const LITERALS: u32 = u32::MAX;

impl Judge for Asking<'_> {
    fn ways(&mut self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        let mut ways = self.keys.ways(class, names);
        ways.extend(self.literals.map(|_| LITERALS));
        ways
    }

    fn meets(&mut self, way: u32, text: &[u8]) -> bool {
        match self.literals.filter(|_| way == LITERALS) {
            Some(intel) => intel.holds_literal(text, &mut self.folded),
            None => self.keys.meets(way, text),
        }
    }

    fn may_meet(&mut self, way: u32, bytes: &[u8], longest: usize) -> bool {
        (self.literals.is_some() && way == LITERALS) || self.keys.may_meet(way, bytes, longest)
    }

    fn looks_at_numbers(&self) -> bool {
        self.literals.is_some()
    }

    fn is_part(&self, way: u32) -> bool {
        way != LITERALS && self.keys.is_part(way)
    }

    fn suffices(&self) -> bool {
        self.by_values
    }
}

/// Picks the rows in which a value triggers a Sigma rule.
struct Triggers<'a>(SigmaTriggers<'a>);

impl Judge for Triggers<'_> {
    fn ways(&mut self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        self.0.slots(class, names)
    }

    fn meets(&mut self, way: u32, text: &[u8]) -> bool {
        self.0.fires(way, text)
    }

    fn looks_at_numbers(&self) -> bool {
        true
    }
}

impl<'a> Hands<'a> {
    /// Reads all units; `take` gets what comes of them in their order.
    fn run(
        &self,
        workers: usize,
        take: &mut dyn FnMut(&Unit<'_>, Read) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let workers = workers.min(self.plan.units.len());
        let under_way = workers * UNITS_PER_WORKER;
        let (permit, permits) = bounded(under_way);
        let (done, results) = bounded(under_way);
        (0..under_way).try_for_each(|_| permit.send(())).context("the channel of permits is new and open")?;
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..workers {
                let (permits, done, next) = (permits.clone(), done.clone(), &next);
                thread::Builder::new()
                    .name(format!("worker {number}"))
                    .spawn_scoped(scope, move || self.work(next, &permits, &done))
                    .context("no thread for a worker")?;
            }
            drop((permits, done));
            let collected = self.collect(&results, &permit, take);
            // Whoever waits for a permit ends, and whoever has a result to hand over.
            drop((permit, results));
            collected
        })
    }

    /// Puts results back into the order of the units.
    fn collect(
        &self,
        results: &Receiver<(usize, Read)>,
        permit: &Sender<()>,
        take: &mut dyn FnMut(&Unit<'_>, Read) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut early = BTreeMap::new();
        let mut units = self.plan.units.iter().enumerate().peekable();
        for (number, read) in results {
            early.insert(number, read);
            while let Some((_, unit)) = units.next_if(|(number, _)| early.contains_key(number)) {
                if let Some((_, read)) = early.pop_first() {
                    take(unit, read)?;
                    // The workers may have ended already.
                    let _ = permit.send(());
                }
            }
        }
        Ok(())
    }

    fn work(&self, next: &AtomicUsize, permits: &Receiver<()>, done: &Sender<(usize, Read)>) {
        let mut hand = self.hand();
        while permits.recv().is_ok() && !self.interrupt.is_stopped() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(unit) = self.plan.units.get(number) else { return };
            let read = guard::catch(|| self.read(&mut hand, unit)).unwrap_or_else(|panic| {
                // What a panic left behind cannot be trusted.
                hand = self.hand();
                let failure = format!("internal error, please report it: {panic} (row group {})", unit.group);
                Read { failure: Some(failure), ..Read::default() }
            });
            if done.send((number, read)).is_err() {
                return;
            }
        }
    }

    fn hand(&self) -> Hand<'a> {
        let Self { detector, archive, window, .. } = *self;
        Hand {
            reader: Reader::new(archive, window, detector.dictionary(), detector.sources()),
            worker: detector.worker(),
            sieve: self.sieve.map(|sieve| Asking {
                keys: sieve.hand(),
                literals: self.literals.then(|| detector.intel()),
                folded: Vec::new(),
                by_values: detector.intel().patterns() == 0,
            }),
            triggers: HashMap::new(),
        }
    }

    fn read(&self, hand: &mut Hand<'a>, unit: &Unit<'_>) -> Read {
        let mut read = Read::default();
        let bytes = unit.file.bytes / unit.file.groups.len().max(1) as u64;
        let Ok(_turn) = self.turns.turn(bytes) else { return Read { refused: true, ..read } };
        let result = match self.sifts {
            true => self.sift(hand, unit, &mut read),
            false => self.match_all(hand, unit, &mut read),
        };
        read.failure = result.err().map(|error| error.to_string());
        read
    }

    /// Rules on events with a value that triggers one, intelligence on events that hold something
    /// asked for. All are counted: of the others it is known that nothing matches.
    fn sift(&self, hand: &mut Hand<'a>, unit: &Unit<'_>, read: &mut Read) -> besa_archive::Result<()> {
        let class = self.detector.sources().intern(LogSource::from(&unit.file.source));
        let Hand { reader, worker, sieve, triggers } = hand;
        let Read { outcome, events, .. } = read;
        let mut inside = None;
        if unit.ruled {
            let wanted = Wanted { keep: self.keep_elsewhere(), raw: false };
            let triggers =
                triggers.entry(class).or_insert_with(|| self.detector.triggers(class).map(Triggers));
            if let Some(triggers) = triggers {
                inside = Some(reader.sift(unit.file, unit.group, wanted, triggers, &mut |batch| {
                    worker.run_picked_by_rules(batch, outcome);
                    Ok(())
                })?);
            } else {
                let mut seen = 0;
                reader.read(unit.file, unit.group, wanted, &mut |batch| {
                    seen += batch.len() as u64;
                    worker.run_picked_by_rules(batch, outcome);
                    Ok(())
                })?;
                inside = Some(seen);
            }
        }
        if let Some(sieve) = sieve.as_mut().filter(|_| unit.hit || self.plan.intel_everywhere) {
            let wanted = Wanted { keep: self.detector.keep(), raw: false };
            sieve.keys.look_for(unit.holds.as_ref());
            inside = Some(reader.sift(unit.file, unit.group, wanted, sieve, &mut |batch| {
                worker.run_picked_by_intel(batch, outcome);
                Ok(())
            })?);
        }
        *events += inside.unwrap_or(0);
        outcome.looked_at(class, inside.unwrap_or(0));
        Ok(())
    }

    /// Every event of a row group.
    fn match_all(&self, hand: &mut Hand<'_>, unit: &Unit<'_>, read: &mut Read) -> besa_archive::Result<()> {
        let Hand { reader, worker, .. } = hand;
        let keep = if unit.hit { self.detector.keep() } else { self.keep_elsewhere() };
        let wanted = Wanted { keep, raw: false };
        let intel = unit.hit || self.plan.intel_everywhere;
        reader.read(unit.file, unit.group, wanted, &mut |batch| {
            read.events += batch.len() as u64;
            if intel {
                worker.run(batch, &mut read.outcome);
            } else {
                worker.run_rules(batch, &mut read.outcome);
            }
            Ok(())
        })
    }

    /// Patterns that no value decides look at fields that the dictionary names.
    fn keep_elsewhere(&self) -> Keep {
        self.detector.keep_for_rules()
    }
}

/// What the archive holds of what is asked for, before anything is read.
fn held(classes: &Classes<'_>, archive: &Archive, past: &Past<'_>) -> Coverage {
    let manifest = archive.manifest();
    let text = |at: Option<i64>| at.map(|at| Timestamp(at).rfc3339(3));
    let touched = |file: &&FileEntry| match file.span() {
        Some((first, last)) => past.window.touches(first, last),
        None => past.window.is_everything(),
    };
    let files: Vec<&FileEntry> = manifest.files.values().filter(touched).collect();
    let mut by_source: BTreeMap<&Source, u64> = BTreeMap::new();
    files.iter().for_each(|file| *by_source.entry(&file.source).or_default() += file.rows);
    let passed = by_source.into_iter().filter(|(source, _)| !classes.is_looked_at(source));
    let mut log_sources_passed_over = BTreeMap::new();
    for (source, events) in passed {
        *log_sources_passed_over.entry(LogSource::from(source).to_string()).or_default() += events;
    }
    let groups = || {
        let all = files.iter().flat_map(|file| &file.groups).filter_map(|group| group.first.zip(group.last));
        all.filter(|(first, last)| past.window.touches(*first, *last))
    };
    Coverage {
        archive: past.archive.to_owned(),
        version: manifest.version,
        from: text(past.window.from),
        to: text(past.window.to),
        first: text(groups().map(|(first, _)| first).min()),
        last: text(groups().map(|(_, last)| last).max()),
        events_held: files.iter().map(|file| file.rows).sum(),
        log_sources_passed_over,
        ..Coverage::default()
    }
}
