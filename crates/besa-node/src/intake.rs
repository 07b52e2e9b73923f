//! What came in whole is worked off: poison goes to quarantine, the rest is put to use, and the
//! signer gets a signed receipt of what was done with each object.
//!
//! One inbox is worked off in the order of its log; an entry whose objects are still on their way
//! holds up those behind it, but not for longer than [`PATIENCE_SECONDS`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use besa_alliance::answer::read_sighting;
use besa_alliance::directory::Directory;
use besa_alliance::entry::{
    Audience, Content, Entry, EntryOutcome, ObjectOutcome, Receipt, ReceiptLine, ReleasedObject,
};
use besa_alliance::intake::{Arrivals, Assets, Checker, Intake as Defence, Limits, Verdict, Word};
use besa_alliance::member::{Digest, MemberId};
use besa_intel::{Batch, CollectionKey, Store, Stored, Time, VersionFilter};
use besa_stix::marking::TLP_2_AMBER;
use besa_stix::object::Object;

use crate::error::NodeError;
use crate::gate::Gate;
use crate::home::Home;
use crate::hunt::Question;
use crate::journal::{Draft, Journal, each_entry, prepared};
use crate::known::{Line, intake_cursor};
use crate::places::{Boxes, Places};
use crate::relay::pass_on;

/// How long the objects of an entry may be on their way.
pub const PATIENCE_SECONDS: i64 = 60;
/// The window in which objects of one member are counted against a flood.
const WINDOW_SECONDS: i64 = 3_600;

/// The name of the cursor over analysts' decisions.
const DECIDED: &str = "alliance decisions";

/// Judges patterns of other languages than STIX, as [`Checker`] says; shared by threads.
pub type Judge = fn(&str, &str) -> Option<Vec<String>>;

/// See the module.
pub struct Intake {
    store: Arc<dyn Store>,
    gate: Arc<Gate>,
    journal: Arc<Journal>,
    places: Places,
    home: Home,
    assets: Assets,
    judge: Judge,
    /// Releases that have a receipt.
    handled: HashSet<Digest>,
    /// Since when an entry waits for its objects.
    waiting: HashMap<Digest, i64>,
    /// Objects of a member in a window that began then.
    arrivals: HashMap<MemberId, (i64, u64)>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

/// What became of the objects of a release.
#[derive(Default)]
struct Sorting {
    accepted: Vec<String>,
    quarantined: Vec<String>,
    withdrawn: Vec<String>,
    lines: Vec<ReceiptLine>,
}

impl Intake {
    /// Goes on where the store says that it stopped. Gives the questions that wait for an answer.
    pub fn new(
        store: Arc<dyn Store>,
        gate: Arc<Gate>,
        journal: Arc<Journal>,
        places: Places,
        home: Home,
        assets: Assets,
        judge: Judge,
    ) -> Result<(Self, Vec<Question>), NodeError> {
        let (handled, waiting, arrivals) = (HashSet::new(), HashMap::new(), HashMap::new());
        let mut intake =
            Self { store, gate, journal, places, home, assets, judge, handled, waiting, arrivals };
        let mut open: BTreeMap<Digest, ()> = BTreeMap::new();
        let mut answered = HashSet::new();
        each_entry(intake.store.as_ref(), intake.places.sent, &mut 0, &mut |_, entry| {
            match entry.content() {
                Content::Receipt(receipt) => {
                    intake.handled.insert(receipt.receipt_for.entry_sha256);
                    open.insert(receipt.receipt_for.entry_sha256, ());
                }
                Content::Answer(answer) => {
                    answered.insert(answer.answer_to.entry_sha256);
                }
                _ => {}
            }
            Ok(true)
        })?;
        let unanswered = open.into_keys().filter(|digest| !answered.contains(digest));
        let questions = unanswered.filter_map(|digest| intake.question_again(&digest)).collect();
        Ok((intake, questions))
    }

    /// A question that was receipted and not answered before the node ended.
    fn question_again(&self, digest: &Digest) -> Option<Question> {
        let entry = Entry::parse(&self.gate.text_of(digest)?).ok()?;
        let texts: Vec<String> =
            entry.content().objects().iter().filter_map(|line| self.held(line)).map(|one| one.raw).collect();
        let in_use = |text: &&String| {
            let object = Object::parse(text).ok();
            object.is_some_and(|object| self.is_listed(self.places.accepted, &object.header().id))
        };
        Question::about(&entry, texts.iter().filter(in_use).cloned().collect())
    }

    fn is_listed(&self, collection: CollectionKey, id: &str) -> bool {
        let query = besa_intel::PageQuery {
            ids: vec![id.to_owned()],
            content: false,
            limit: 1,
            ..besa_intel::PageQuery::default()
        };
        self.store.page(collection, &query).is_ok_and(|page| !page.entries.is_empty())
    }

    /// Works off what is there, and hands each question of an ally to `ask` as soon as its receipt is
    /// signed: what fails afterwards must not lose it.
    pub fn work(&mut self, now: Time, ask: &mut dyn FnMut(Question)) -> Result<(), NodeError> {
        self.decided(now, ask)?;
        for (member, Boxes { inbox, .. }) in self.places.allies() {
            let name = intake_cursor(&member);
            let before: u64 = self.store.cursor(&name)?.and_then(|text| text.parse().ok()).unwrap_or(0);
            let mut after = before;
            let store = Arc::clone(&self.store);
            each_entry(store.as_ref(), inbox, &mut after, &mut |_, entry| self.entry(&entry, now, ask))?;
            if after != before {
                self.store.set_cursor(&name, &after.to_string())?;
            }
        }
        Ok(())
    }

    /// Does what analysts have decided since: an object released is used and searched for, one denied
    /// is out of use.
    fn decided(&self, now: Time, ask: &mut dyn FnMut(Question)) -> Result<(), NodeError> {
        let done: usize = self.store.cursor(DECIDED)?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let decisions = self.home.decisions()?;
        for decision in decisions.iter().skip(done) {
            let all = VersionFilter::all();
            self.store.unlist(self.places.quarantine, &decision.object, &all, None, None)?;
            if decision.word == Word::Deny {
                self.store.unlist(self.places.accepted, &decision.object, &all, None, None)?;
            } else if let Some(stored) = self.store.object(&decision.object, None)? {
                self.list(self.places.accepted, std::slice::from_ref(&stored.raw), now)?;
                self.question_of(&stored)?.into_iter().for_each(&mut *ask);
            }
        }
        if decisions.len() > done {
            self.store.set_cursor(DECIDED, &decisions.len().to_string())?;
        }
        Ok(())
    }

    /// The question that an object came with.
    fn question_of(&self, stored: &Stored) -> Result<Option<Question>, NodeError> {
        let mut found = None;
        for (_, boxes) in self.places.allies() {
            each_entry(self.store.as_ref(), boxes.inbox, &mut 0, &mut |_, entry| {
                let mut lines = entry.content().objects().iter();
                if matches!(entry.content(), Content::Release(_))
                    && lines.any(|line| line.object_ref == stored.id)
                {
                    found = Question::about(&entry, vec![stored.raw.clone()]);
                }
                Ok(true)
            })?;
        }
        Ok(found)
    }

    /// False if the entry has to wait.
    fn entry(&mut self, entry: &Entry, now: Time, ask: &mut dyn FnMut(Question)) -> Result<bool, NodeError> {
        let brings = matches!(entry.content(), Content::Release(_) | Content::Answer(_));
        let is_void = self.gate.known().directory.is_void(entry);
        if !brings || is_void || self.handled.contains(&entry.digest) {
            self.settle(entry, is_void, now)?;
            return Ok(true);
        }
        let (held, missing) = self.objects(entry);
        let faults = self.gate.known().faults_of(&entry.digest);
        let open = missing.iter().any(|line| !faults.contains_key(line));
        let since = *self.waiting.entry(entry.digest).or_insert(now.unix_seconds());
        if open && now.unix_seconds() - since < PATIENCE_SECONDS {
            return Ok(false);
        }
        match entry.content() {
            Content::Answer(_) => self.answer(entry, &held, now)?,
            _ => self.release(entry, &held, &missing, &faults, now)?.into_iter().for_each(&mut *ask),
        }
        self.waiting.remove(&entry.digest);
        self.settle(entry, false, now)?;
        Ok(true)
    }

    /// An entry is worked off. What of it came in can go round now.
    fn settle(&self, entry: &Entry, is_void: bool, now: Time) -> Result<(), NodeError> {
        self.gate.known().settle(entry);
        if !is_void {
            pass_on(self.store.as_ref(), &self.gate, &self.places, entry, now)?;
        }
        Ok(())
    }

    /// The objects of an entry that are held as it names them, and the lines of the others.
    fn objects(&self, entry: &Entry) -> (Vec<Stored>, Vec<Line>) {
        let (mut held, mut missing) = (Vec::new(), Vec::new());
        for line in entry.content().objects() {
            match self.held(line) {
                Some(stored) => held.push(stored),
                None => missing.push((line.object_ref.clone(), line.object_modified.clone())),
            }
        }
        (held, missing)
    }

    fn held(&self, line: &ReleasedObject) -> Option<Stored> {
        held(self.store.as_ref(), line)
    }

    fn release(
        &mut self,
        entry: &Entry,
        held: &[Stored],
        missing: &[Line],
        faults: &BTreeMap<Line, &'static str>,
        now: Time,
    ) -> Result<Option<Question>, NodeError> {
        let mut sorting = self.sort(entry, held, now)?;
        sorting.lines.extend(missing.iter().map(|line| ReceiptLine {
            object_ref: line.0.clone(),
            object_modified: line.1.clone(),
            outcome: ObjectOutcome::Refused,
            reason: Some((*faults.get(line).unwrap_or(&"missing")).to_owned()),
        }));
        sorting
            .lines
            .sort_by(|a, b| (&a.object_ref, &a.object_modified).cmp(&(&b.object_ref, &b.object_modified)));
        self.list(self.places.accepted, &sorting.accepted, now)?;
        self.list(self.places.quarantine, &sorting.quarantined, now)?;
        for id in &sorting.withdrawn {
            let all = VersionFilter::all();
            self.store.unlist(self.places.accepted, id, &all, None, None)?;
            self.store.unlist(self.places.quarantine, id, &all, None, None)?;
        }
        self.receipt(entry, sorting.lines, now)?;
        Ok(Question::about(entry, sorting.accepted))
    }

    fn sort(&mut self, entry: &Entry, held: &[Stored], now: Time) -> Result<Sorting, NodeError> {
        let decisions = self.home.decisions()?;
        let defence = Defence {
            assets: &self.assets,
            limits: Limits::default(),
            now,
            checker: Some(&self.judge as Checker<'_>),
            decisions: &decisions,
        };
        let window = self.arrivals.entry(entry.member().clone()).or_insert((now.unix_seconds(), 0));
        if now.unix_seconds() - window.0 >= WINDOW_SECONDS {
            *window = (now.unix_seconds(), 0);
        }
        let mut sorting = Sorting::default();
        for (number, stored) in held.iter().enumerate() {
            window.1 += 1;
            let arrivals = Arrivals { in_release: number as u64 + 1, in_window: window.1 };
            if stored.revoked {
                sorting.withdrawn.push(stored.id.clone());
                sorting.lines.push(line(stored, ObjectOutcome::Withdrawn, None));
                continue;
            }
            match defence.check(&stored.raw, arrivals) {
                Verdict::Accept => sorting.accepted.push(stored.raw.clone()),
                Verdict::Quarantine(reasons) => {
                    sorting.quarantined.push(stored.raw.clone());
                    sorting.lines.push(line(stored, ObjectOutcome::Quarantined, Some(&reasons)));
                }
                Verdict::Refuse(reasons) => {
                    sorting.lines.push(line(stored, ObjectOutcome::Refused, Some(&reasons)));
                }
            }
        }
        Ok(sorting)
    }

    fn list(&self, collection: CollectionKey, texts: &[String], now: Time) -> Result<(), NodeError> {
        list(self.store.as_ref(), collection, texts, now)
    }

    fn receipt(&mut self, entry: &Entry, results: Vec<ReceiptLine>, now: Time) -> Result<(), NodeError> {
        let receipt = Receipt {
            receipt_for: entry.reference(),
            outcome: EntryOutcome::Accepted,
            reason: None,
            results,
        };
        let draft = reply(&self.gate.known().directory, entry, Content::Receipt(receipt));
        self.journal.append(draft, &[], now)?;
        self.handled.insert(entry.digest);
        Ok(())
    }

    /// Sightings that are about a release of ours are put to use; others are left where they are.
    fn answer(&self, entry: &Entry, held: &[Stored], now: Time) -> Result<(), NodeError> {
        let Content::Answer(answer) = entry.content() else { return Ok(()) };
        let question = self.gate.text_of(&answer.answer_to.entry_sha256);
        let Some(question) = question.and_then(|text| Entry::parse(&text).ok()) else {
            tracing::warn!(ally = %entry.member(), "an answer to what was not asked here");
            return Ok(());
        };
        let mut sightings = Vec::new();
        for stored in held {
            match read_sighting(entry, &question, &stored.raw) {
                Ok(_) => sightings.push(stored.raw.clone()),
                Err(error) => tracing::warn!(ally = %entry.member(), object = stored.id, %error, "no answer"),
            }
        }
        self.list(self.places.accepted, &sightings, now)
    }
}

/// The draft of an entry for the signer of another alone.
pub(crate) fn reply(directory: &Directory, to: &Entry, content: Content) -> Draft {
    Draft {
        alliance: directory.alliance(),
        charter: directory.charter().contents.sequence,
        audience: Audience::Members([to.member().clone()].into()),
        // What one was hit by, and what one has searched, is for the one who asked.
        markings: vec![TLP_2_AMBER.to_owned()],
        content,
    }
}

/// The object of a line, if it is held as the line names it.
pub(crate) fn held(store: &dyn Store, line: &ReleasedObject) -> Option<Stored> {
    let version = line.object_modified.as_deref().map(Time::parse).transpose().ok()?;
    let stored = store.object(&line.object_ref, version).ok()??;
    let digest = besa_alliance::exact::object_digest(&stored.raw).ok()?;
    (digest == line.object_sha256).then_some(stored)
}

/// Lists objects in a collection.
pub(crate) fn list(
    store: &dyn Store,
    collection: CollectionKey,
    texts: &[String],
    now: Time,
) -> Result<(), NodeError> {
    if !texts.is_empty() {
        let prepared = prepared(texts.iter().map(String::as_str))?;
        store.add_objects(Batch::new("alliance", now, Some(collection), prepared))?;
    }
    Ok(())
}

fn line(
    stored: &Stored,
    outcome: ObjectOutcome,
    reasons: Option<&[besa_alliance::intake::Reason]>,
) -> ReceiptLine {
    let object = Object::parse(&stored.raw).ok();
    let modified = object.and_then(|object| object.header().modified.as_ref().map(|at| at.text.clone()));
    // Which check it was is for the sender; what of ours it would hit is not.
    let reason = reasons.map(|reasons| {
        let first = reasons.first().and_then(|reason| serde_json::to_value(reason.check).ok());
        first.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_else(|| "not-judged".to_owned())
    });
    ReceiptLine { object_ref: stored.id.clone(), object_modified: modified, outcome, reason }
}
