//! The collective hunt: what an ally released is searched in one's own past, and answered signed.
//!
//! Questions wait in a queue with a place for each ally, of whom each has one answered at a time and
//! in turn; the answers of several allies are searched for at once and share the archive, so that
//! nobody who asks much keeps others waiting. What an ally asks for in an hour is bounded
//! ([`crate::settings::Settings::objects_per_hour`]), and what one question reads
//! ([`crate::settings::Settings::bytes_per_question`]). A node without a history answers nothing:
//! "nothing found" is said only of what was searched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use besa_alliance::answer::{COUNT_MAX, Coverage, Seen, sighting};
use besa_alliance::directory::Directory;
use besa_alliance::entry::{Answer, Content, Entry, EntryRef, ReleasedObject, released_object};
use besa_alliance::exact::object_digest;
use besa_alliance::member::MemberId;
use besa_intel::Time;
use besa_stix::object::Object;
use serde::{Deserialize, Serialize};

use crate::bell::Bell;
use crate::error::NodeError;
use crate::gate::Gate;
use crate::home::Home;
use crate::intake::reply;
use crate::journal::Journal;
use crate::settings::{Answers, Current};

/// Searches a node's past.
pub trait Hunter: Send + Sync {
    /// Searches for what an ally asks; `None` if there is no history. Several may be called at once.
    fn search(&self, search: &Search<'_>) -> Result<Option<Searched>, String>;
}

/// What is to be searched for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// For whom: allies share what the machine has.
    pub asker: &'a MemberId,
    /// Texts of STIX indicators.
    pub indicators: &'a [String],
    /// Bytes that may be read of the history.
    pub bytes_max: u64,
}

/// A node without a history.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHistory;

impl Hunter for NoHistory {
    fn search(&self, _: &Search<'_>) -> Result<Option<Searched>, String> {
        Ok(None)
    }
}

/// What was searched and what was found in it.
#[derive(Clone, Debug)]
pub struct Searched {
    /// The time searched, its end not included.
    pub window: Range<Time>,
    /// Kinds of evidence searched.
    pub sources: Vec<String>,
    /// How often each indicator was seen, by id; those not seen are absent.
    pub seen: BTreeMap<String, Sight>,
}

/// How often and when something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// How often.
    pub count: u64,
    /// First time.
    pub first: Time,
    /// Last time.
    pub last: Time,
}

/// Indicators that an ally released, to be searched for.
#[derive(Clone, Debug)]
pub struct Question {
    /// The release.
    pub entry: Entry,
    /// Texts of the indicators in it that are used here.
    pub indicators: Vec<String>,
}

impl Question {
    /// The indicators among objects of a release; none, no question.
    pub(crate) fn about(entry: &Entry, mut texts: Vec<String>) -> Option<Self> {
        texts.retain(|text| Object::parse(text).is_ok_and(|one| one.header().object_type == "indicator"));
        (!texts.is_empty()).then(|| Self { entry: entry.clone(), indicators: texts })
    }
}

/// An answer that waits for an analyst.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// The release.
    pub question: EntryRef,
    /// Texts of the sightings.
    pub sightings: Vec<String>,
}

/// Questions in the order in which they are answered.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: BTreeMap<MemberId, VecDeque<Question>>,
    /// Allies of whom one is being answered.
    answering: BTreeSet<MemberId>,
    /// Who had the last turn.
    last: Option<MemberId>,
    /// Since when an hour is counted, and what was searched for in it.
    spent: BTreeMap<MemberId, (i64, u64)>,
}

impl Queue {
    /// Puts a question at the end of its ally's.
    pub fn push(&self, question: Question) {
        let mut state = self.state();
        state.waiting.entry(question.entry.member().clone()).or_default().push_back(question);
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().waiting.values().map(VecDeque::len).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next question: of the ally whose turn it is, who has not used up its hour and of whom none
    /// is being answered; until [`Queue::done`] it is. One question is always answered, however large,
    /// when nothing else was in the hour.
    pub fn pop(&self, objects_per_hour: u64, now: Time) -> Option<Question> {
        let mut state = self.state();
        let QueueState { waiting, answering, last, spent } = &mut *state;
        let behind = waiting.keys().filter(|id| last.as_ref().is_some_and(|last| *id > last));
        let order: Vec<MemberId> = behind.chain(waiting.keys()).cloned().collect();
        for member in order.into_iter().filter(|member| !answering.contains(member)) {
            let Some(questions) = waiting.get_mut(&member) else { continue };
            let hour = spent.entry(member.clone()).or_insert((now.unix_seconds(), 0));
            if now.unix_seconds() - hour.0 >= 3_600 {
                *hour = (now.unix_seconds(), 0);
            }
            let cost = questions.front().map_or(0, |question| question.indicators.len() as u64);
            if hour.1 > 0 && hour.1 + cost > objects_per_hour {
                continue;
            }
            let Some(question) = questions.pop_front() else { continue };
            if questions.is_empty() {
                waiting.remove(&member);
            }
            hour.1 += cost;
            answering.insert(member.clone());
            *last = Some(member);
            return Some(question);
        }
        None
    }

    /// A question of an ally is answered, or pushed again.
    pub fn done(&self, ally: &MemberId) {
        self.state().answering.remove(ally);
    }
}

/// Answers questions.
pub struct Answerer {
    /// Searches the past.
    pub hunter: Arc<dyn Hunter>,
    /// What is known.
    pub gate: Arc<Gate>,
    /// One's own logs.
    pub journal: Arc<Journal>,
    /// Where answers wait.
    pub home: Home,
    /// How to answer.
    pub settings: Arc<Current>,
    /// Tells the couriers.
    pub bell: Arc<Bell>,
}

impl std::fmt::Debug for Answerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answerer").finish_non_exhaustive()
    }
}

impl Answerer {
    /// Searches and answers, or lets the answer wait for an analyst.
    pub fn answer(&self, question: &Question, clock: fn() -> Time) -> Result<(), NodeError> {
        let search = Search {
            asker: question.entry.member(),
            indicators: &question.indicators,
            bytes_max: self.settings.get().bytes_per_question,
        };
        let searched = self.hunter.search(&search).map_err(NodeError::Input)?;
        let Some(searched) = searched else {
            tracing::info!(ally = %question.entry.member(), "not answered: there is no history");
            return Ok(());
        };
        let sightings = self.sightings(question, &searched, clock())?;
        let pending = Pending { question: question.entry.reference(), sightings };
        match self.settings.get().answers {
            Answers::Automatic => {
                let directory = Arc::clone(&self.gate.known().directory);
                send(&directory, &self.journal, &question.entry, &pending.sightings, clock())?;
            }
            Answers::Confirmed => {
                let text =
                    serde_json::to_vec(&pending).map_err(|error| NodeError::Input(error.to_string()))?;
                self.home.write(&format!("pending/{}.json", question.entry.digest), &text)?;
                tracing::info!(ally = %question.entry.member(), "an answer waits for an analyst");
            }
        }
        self.bell.ring();
        Ok(())
    }

    fn sightings(
        &self,
        question: &Question,
        searched: &Searched,
        now: Time,
    ) -> Result<Vec<String>, NodeError> {
        let settings = self.settings.get();
        let markings = [besa_stix::marking::TLP_2_AMBER.to_owned()];
        let mut sightings = Vec::new();
        for text in &question.indicators {
            let object = Object::parse(text).map_err(|error| NodeError::Input(error.to_string()))?;
            let digest = object_digest(text).map_err(besa_alliance::refusal::Refusal::from)?;
            let sight = searched.seen.get(&object.header().id);
            let seen = Seen {
                object_ref: object.header().id.clone(),
                count: sight.map_or(0, |sight| sight.count.min(COUNT_MAX)),
                span: sight.map(|sight| (sight.first, sight.last)),
                coverage: Coverage::new(digest, searched.window.clone(), searched.sources.clone()),
            };
            sightings.push(sighting(&settings.member, now, &markings, &seen)?.to_string());
        }
        Ok(sightings)
    }
}

/// Signs an answer, in as many entries as the charter's limit takes.
pub fn send(
    directory: &Directory,
    journal: &Journal,
    question: &Entry,
    sightings: &[String],
    now: Time,
) -> Result<(), NodeError> {
    let limit = directory.charter().contents.limits.objects_per_entry as usize;
    for part in sightings.chunks(limit.max(1)) {
        let mut objects: Vec<ReleasedObject> =
            part.iter().map(|text| released_object(text)).collect::<Result<_, _>>()?;
        objects.sort_unstable();
        let content = Content::Answer(Answer { answer_to: question.reference(), objects });
        let draft = reply(directory, question, content);
        journal.append(draft, part, now)?;
    }
    Ok(())
}
