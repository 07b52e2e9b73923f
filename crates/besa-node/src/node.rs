//! A member's node in threads: intake, answers, and a courier for each ally.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
use crate::settings::Settings;
use crate::witness::Witness;

/// Tells the time.
pub type Clock = fn() -> Time;

/// How often the store is looked at for what other processes wrote.
const LOOK: Duration = Duration::from_millis(20);
/// How often the files of the chain are looked at, in looks.
const CHAIN_LOOKS: u64 = 50;
/// How often an ally is asked for what it has for us.
const FETCH_EVERY: Duration = Duration::from_secs(60);
/// How often a witness states the heads that have moved.
const WITNESS_EVERY: Duration = Duration::from_secs(2);
/// A thread that hears nothing looks by itself after so long.
const IDLE: Duration = Duration::from_secs(5);

/// A running node. Dropping it ends its threads.
pub struct Node {
    gate: Arc<Gate>,
    bell: Arc<Bell>,
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
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
        let members = directory.charter().contents.members.iter().map(|member| &member.identity_ref);
        let allies: Vec<MemberId> = members.filter(|id| **id != me).cloned().collect();
        let places = Places::open(store.as_ref(), &allies, now)?;
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
        let allies: Vec<MemberId> = places.inboxes.keys().cloned().collect();
        let directory = Arc::clone(&known.directory);
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
        let answerer = Answerer {
            hunter,
            gate: Arc::clone(&gate),
            journal,
            home,
            settings: settings.clone(),
            bell: Arc::clone(&bell),
        };
        let mut couriers = Vec::new();
        for ally in allies {
            let peer = settings.peers.iter().find(|peer| peer.member == ally);
            let (store, gate, places) = (Arc::clone(&store), Arc::clone(&gate), places.clone());
            couriers.push(Courier::new(store, gate, places, me.clone(), ally, peer)?);
        }
        let mut node = Self { gate, bell, queue, threads: Vec::new() };
        node.run("look", Looking { store, settings, gate: Arc::clone(&node.gate), clock }, look)?;
        node.run("intake", (intake, Arc::clone(&node.queue), clock), take_in)?;
        node.run("answers", (answerer, Arc::clone(&node.queue), clock), answer)?;
        node.run("witness", (witness, clock), countersign)?;
        for courier in couriers {
            node.run("courier", (courier, clock), carry)?;
        }
        Ok(node)
    }

    fn run<T: Send + 'static>(&mut self, name: &str, work: T, body: fn(T, &Bell)) -> Result<(), NodeError> {
        let bell = Arc::clone(&self.bell);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || body(work, &bell));
        let thread = thread.map_err(|error| NodeError::Input(format!("no thread: {error}")))?;
        self.threads.push(thread);
        Ok(())
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
        self.bell.stop();
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

struct Looking {
    store: Arc<dyn Store>,
    settings: Settings,
    gate: Arc<Gate>,
    clock: Clock,
}

/// Rings when the store has grown, whoever wrote, and takes new charters from the files.
fn look(work: Looking, bell: &Bell) {
    let Looking { store, settings, gate, clock } = work;
    let (mut last, mut looks) = (0, 0u64);
    while bell.pause(LOOK) {
        match store.last_commit() {
            Ok(commit) if commit != last => {
                last = commit;
                bell.ring();
            }
            Ok(_) => {}
            Err(error) => report("the store cannot be looked at", &error.into(), bell),
        }
        looks += 1;
        if looks.is_multiple_of(CHAIN_LOOKS)
            && let Err(error) = gate.refresh_chain(&settings, clock())
        {
            report("the charter's files cannot be read", &error, bell);
        }
    }
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

fn answer(work: (Answerer, Arc<Queue>, Clock), bell: &Bell) {
    let (answerer, queue, clock) = work;
    let mut seen = 0;
    loop {
        while let Some(question) = queue.pop(answerer.settings.objects_per_hour, clock()) {
            if bell.is_stopped() {
                return;
            }
            if let Err(error) = answerer.answer(&question, clock) {
                report("a question cannot be answered", &error, bell);
                queue.push(question);
            }
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

fn carry(work: (Courier, Clock), bell: &Bell) {
    let (courier, clock) = work;
    let (mut seen, mut pause) = (0, PAUSE_FIRST);
    let mut fetched: Option<Instant> = None;
    loop {
        let due = fetched.is_none_or(|at| at.elapsed() >= FETCH_EVERY);
        if due {
            fetched = Some(Instant::now());
            if let Err(error) = courier.fetch(clock) {
                tracing::info!(ally = %courier.ally(), %error, "nothing can be fetched");
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
                let goes_on = bell.pause(pause);
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
