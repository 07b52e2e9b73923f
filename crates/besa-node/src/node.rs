//! A member's node in threads: intake, answers, and a courier for each ally.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use besa_alliance::directory::Directory;
use besa_alliance::member::MemberId;
use besa_intel::{Store, StoreError, Time};

use crate::bell::Bell;
use crate::courier::{Courier, PAUSE_FIRST, PAUSE_MAX, Round};
use crate::error::NodeError;
use crate::gate::Gate;
use crate::home::Home;
use crate::hunt::{Answerer, Hunter, Queue};
use crate::intake::{Intake, Judge};
use crate::journal::Journal;
use crate::known::Known;
use crate::places::Places;
use crate::settings::{Current, Settings};
use crate::witness::Witness;

/// Tells the time.
pub type Clock = fn() -> Time;

/// How often the store is looked at for what other processes wrote.
const LOOK: Duration = Duration::from_millis(20);
/// How often the files of the alliance's folder are looked at, in looks.
const REFRESH_LOOKS: u64 = 50;
/// How often an ally is asked for what it has for us.
const FETCH_EVERY: Duration = Duration::from_secs(60);
/// How often a witness is asked for what is lacking; it may not have it, or not any more.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How often a witness states the heads that have moved.
const WITNESS_EVERY: Duration = Duration::from_secs(2);
/// Allies that are searched for at once: one whose question reads all of the archive is not waited
/// for by those that the index answers.
const ANSWERED_AT_ONCE: usize = 4;
/// A thread that hears nothing looks by itself after so long.
const IDLE: Duration = Duration::from_secs(5);

/// A running node. Dropping it ends its threads.
pub struct Node {
    gate: Arc<Gate>,
    queue: Arc<Queue>,
    crew: Arc<Crew>,
}

/// The threads; members come while the node runs, and a courier for each.
struct Crew {
    bell: Arc<Bell>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// What a node and its command line share: the alliance as this data folder has it.
pub struct Desk {
    /// The folder.
    pub home: Home,
    /// Its settings.
    pub settings: Settings,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The collections.
    pub places: Places,
    /// One's own logs.
    pub journal: Arc<Journal>,
    /// What is known.
    pub known: Known,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Desk {
    /// Opens the alliance of a data folder.
    pub fn open(store: Arc<dyn Store>, data: &Path, now: Time) -> Result<Self, NodeError> {
        let home = Home::below(data);
        let settings = home.settings()?;
        let chain_len = home.chain_len();
        let directory = home.directory(&settings)?;
        let key = home.key()?;
        let me = settings.member.clone();
        let places = Places::open(store.as_ref(), allies(&directory, &me), now)?;
        let mut known = Known::load(directory, store.as_ref(), &places)?;
        known.chain_len = chain_len;
        let lock = home.file("journal.lock");
        let journal = Arc::new(Journal::new(Arc::clone(&store), places.sent, me, key, lock));
        Ok(Self { home, settings, store, places, journal, known })
    }
}

impl Node {
    /// Starts the node of a data folder.
    pub fn start(desk: Desk, hunter: Arc<dyn Hunter>, judge: Judge, clock: Clock) -> Result<Self, NodeError> {
        let Desk { home, settings, store, places, journal, known } = desk;
        let me = settings.member.clone();
        let assets = home.assets(&settings)?;
        let allies: Vec<MemberId> = places.allies().into_iter().map(|(ally, _)| ally).collect();
        let directory = Arc::clone(&known.directory);
        let settings = Arc::new(Current::new(settings));
        let (bell, queue) = (Arc::new(Bell::default()), Arc::new(Queue::default()));
        let gate = Arc::new(Gate::new(
            known,
            Arc::clone(&store),
            places.clone(),
            Arc::clone(&journal),
            home.clone(),
            me.clone(),
            Arc::clone(&bell),
        ));
        gate.enclose_chain(&directory, clock())?;
        let (intake, open) = Intake::new(
            Arc::clone(&store),
            Arc::clone(&gate),
            Arc::clone(&journal),
            places.clone(),
            home.clone(),
            assets,
            judge,
        )?;
        open.into_iter().for_each(|question| queue.push(question));
        let witness = Witness::new(Arc::clone(&gate), Arc::clone(&journal), me.clone());
        let answerer = Arc::new(Answerer {
            hunter,
            gate: Arc::clone(&gate),
            journal,
            home: home.clone(),
            settings: Arc::clone(&settings),
            bell: Arc::clone(&bell),
        });
        let crew = Arc::new(Crew { bell, threads: Mutex::default() });
        let node = Self { gate: Arc::clone(&gate), queue: Arc::clone(&queue), crew: Arc::clone(&crew) };
        let looking = Looking { store, home, settings, places, gate, crew: Arc::clone(&crew), clock };
        looking.serve(allies)?;
        crew.run("look", looking, Looking::look)?;
        crew.run("intake", (intake, Arc::clone(&queue), clock), take_in)?;
        for _ in 0..ANSWERED_AT_ONCE {
            crew.run("answers", (Arc::clone(&answerer), Arc::clone(&queue), clock), answer)?;
        }
        crew.run("witness", (witness, clock), countersign)?;
        Ok(node)
    }

    /// The gate, through which everything comes in.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Questions that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Ends the threads when what they are at is done.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.crew.bell.stop();
        // While one thread ends it may still start another.
        while let Some(thread) = self.crew.threads().pop() {
            thread.join().ok();
        }
    }
}

impl Crew {
    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T: Send + 'static>(&self, name: &str, work: T, body: fn(T, &Bell)) -> Result<(), NodeError> {
        let bell = Arc::clone(&self.bell);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || body(work, &bell));
        let thread = thread.map_err(|error| NodeError::Input(format!("no thread: {error}")))?;
        self.threads().push(thread);
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

struct Looking {
    store: Arc<dyn Store>,
    home: Home,
    settings: Arc<Current>,
    places: Places,
    gate: Arc<Gate>,
    crew: Arc<Crew>,
    clock: Clock,
}

impl Looking {
    /// Rings when the store has grown, whoever wrote, and takes what the command line has changed.
    fn look(self, bell: &Bell) {
        let (mut last, mut looks) = (0, 0u64);
        while bell.pause(LOOK) {
            match self.store.last_commit() {
                Ok(commit) if commit != last => {
                    last = commit;
                    bell.ring();
                }
                Ok(_) => {}
                Err(error) => report("the store cannot be looked at", &error.into(), bell),
            }
            looks += 1;
            if looks.is_multiple_of(REFRESH_LOOKS)
                && let Err(error) = self.refresh()
            {
                report("the alliance's folder cannot be read", &error, bell);
            }
        }
    }

    /// Takes charters and settings that the command line has changed, and serves new members.
    fn refresh(&self) -> Result<(), NodeError> {
        let now = (self.clock)();
        if self.settings.set(self.home.settings()?) {
            self.crew.bell.ring();
        }
        self.gate.refresh_chain(&self.settings.get(), now)?;
        let directory = Arc::clone(&self.gate.known().directory);
        let new =
            self.places.admit(self.store.as_ref(), allies(&directory, &self.settings.get().member), now)?;
        self.serve(new)
    }

    /// Starts a courier for each of some allies.
    fn serve(&self, allies: Vec<MemberId>) -> Result<(), NodeError> {
        let me = &self.settings.get().member;
        for ally in allies {
            let (store, gate, places) =
                (Arc::clone(&self.store), Arc::clone(&self.gate), self.places.clone());
            let courier = Courier::new(store, gate, places, me.clone(), ally);
            self.crew.run("courier", (courier, Arc::clone(&self.settings), self.clock), carry)?;
        }
        Ok(())
    }
}

/// All members but one.
fn allies<'a>(directory: &'a Directory, me: &'a MemberId) -> impl Iterator<Item = &'a MemberId> {
    let members = directory.charter().contents.members.iter().map(|member| &member.identity_ref);
    members.filter(move |id| *id != me)
}

fn take_in(work: (Intake, Arc<Queue>, Clock), bell: &Bell) {
    let (mut intake, queue, clock) = work;
    let mut seen = 0;
    loop {
        let mut ask = |question| {
            queue.push(question);
            bell.ring();
        };
        if let Err(error) = intake.work(clock(), &mut ask) {
            report("what came in cannot be worked off", &error, bell);
        }
        if !bell.wait(&mut seen, IDLE) {
            return;
        }
    }
}

fn answer(work: (Arc<Answerer>, Arc<Queue>, Clock), bell: &Bell) {
    let (answerer, queue, clock) = work;
    let mut seen = 0;
    loop {
        while let Some(question) = queue.pop(answerer.settings.get().objects_per_hour, clock()) {
            if bell.is_stopped() {
                return;
            }
            let ally = question.entry.member().clone();
            if let Err(error) = answerer.answer(&question, clock) {
                report("a question cannot be answered", &error, bell);
                queue.push(question);
            }
            queue.done(&ally);
            bell.ring();
        }
        if !bell.wait(&mut seen, IDLE) {
            return;
        }
    }
}

fn countersign(work: (Witness, Clock), bell: &Bell) {
    let (mut witness, clock) = work;
    while bell.pause(WITNESS_EVERY) {
        if let Err(error) = witness.state(clock()) {
            report("heads cannot be witnessed", &error, bell);
        }
    }
}

fn carry(work: (Courier, Arc<Current>, Clock), bell: &Bell) {
    let (mut courier, settings, clock) = work;
    let (mut seen, mut pause) = (0, PAUSE_FIRST);
    let (mut fetched, mut asked): (Option<Instant>, Option<Instant>) = (None, None);
    let is_due = |last: Option<Instant>, every| last.is_none_or(|at| at.elapsed() >= every);
    loop {
        let settings = settings.get();
        if let Err(error) = courier.meet(settings.peers.iter().find(|peer| peer.member == *courier.ally())) {
            tracing::error!(ally = %courier.ally(), %error, "its node cannot be asked");
        }
        if is_due(fetched, FETCH_EVERY) {
            fetched = Some(Instant::now());
            if let Err(error) = courier.fetch(clock) {
                tracing::info!(ally = %courier.ally(), %error, "nothing can be fetched");
            }
        }
        if is_due(asked, ASK_EVERY) {
            asked = Some(Instant::now());
            if let Err(error) = courier.fetch_lacking(clock()) {
                tracing::info!(ally = %courier.ally(), %error, "what is lacking cannot be fetched");
            }
        }
        let delivered = courier.deliver(clock());
        let goes_on = match delivered {
            Ok(Round::Done) => {
                pause = PAUSE_FIRST;
                bell.wait(&mut seen, IDLE)
            }
            not_yet => {
                if let Err(error) = not_yet {
                    tracing::info!(ally = %courier.ally(), %error, "not delivered yet");
                }
                let goes_on = courier.rest(bell, pause);
                pause = (pause * 2).min(PAUSE_MAX);
                goes_on
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Says what failed; the same is tried again after a moment.
fn report(what: &str, error: &NodeError, bell: &Bell) {
    match error {
        NodeError::Store(StoreError::Busy(_)) => tracing::debug!(%error, "{what}"),
        _ => tracing::error!(%error, "{what}"),
    }
    bell.pause(Duration::from_millis(500));
}
