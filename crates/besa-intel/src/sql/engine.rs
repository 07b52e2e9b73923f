//! [`Database`]: one writer thread and a pool of readers over any [`Connection`].
//!
//! **Group commit.** Writers hand closures to the thread; it runs all that wait, each in a savepoint,
//! in one transaction and answers after the commit. So a hundred small writers share one fsync, a
//! failing one harms no other, and an answer means "durable". One that panics is undone like one that
//! fails: the writer outlives it.
//!
//! **A lost connection** (the database server was restarted) is opened anew at the next write or read.
//! What was under way is answered with [`StoreError::Busy`]: it may or may not be there, and sending
//! it again is harmless, since objects are named by id and version.
//!
//! Limits: [`QUEUE_MAX`] closures wait at most (then callers block); a group takes at most
//! [`GROUP_MAX`] closures or [`GROUP_TIME`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

use super::schema::{begin_write, migrate};
use super::{Connection, Val, first};
use crate::store::StoreError;

const QUEUE_MAX: usize = 1_024;
const GROUP_MAX: usize = 256;
const GROUP_TIME: Duration = Duration::from_millis(20);
/// Readers open at once; more wait.
const READERS_MAX: usize = 8;
/// How long the writer rests before it uses the time to index words.
const IDLE: Duration = Duration::from_millis(250);
/// Objects whose words are indexed in one go.
const WORDS_STEP: usize = 500;

/// A store over connections of one kind.
pub struct Database<C: Connection> {
    jobs: Option<SyncSender<Job<C>>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Readers<C>>,
}

/// What a write may use: the connection, and ids that were looked up before.
pub(crate) struct Write<'a, C> {
    pub(crate) connection: &'a mut C,
    pub(crate) cache: &'a mut Cache,
}

/// Numbers of texts that come again and again. Emptied when a write fails, since a savepoint that
/// was rolled back may have made them.
#[derive(Default)]
pub(crate) struct Cache {
    pub(crate) types: HashMap<String, i64>,
    pub(crate) ids: HashMap<String, i64>,
    /// Greatest number of an id, read anew by each batch: other processes may write too.
    pub(crate) last_oid: i64,
}

type Work<C> = Box<dyn FnOnce(&mut Write<'_, C>) -> Result<(), StoreError> + Send>;

struct Job<C> {
    run: Work<C>,
    /// `None` for writes nobody waits for.
    done: Option<SyncSender<Result<(), StoreError>>>,
}

type Opener<C> = Arc<dyn Fn(Use) -> Result<C, StoreError> + Send + Sync>;

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The one that writes, and makes the database if there is none.
    Writing,
    /// One of those that read.
    Reading,
}

struct Readers<C> {
    open: Opener<C>,
    idle: Mutex<(Vec<C>, usize)>,
    freed: Condvar,
}

impl<C: Connection> Database<C> {
    /// Opens the writer, migrates, and starts.
    pub fn start(
        open: impl Fn(Use) -> Result<C, StoreError> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let open: Opener<C> = Arc::new(open);
        let mut writer = open(Use::Writing)?;
        migrate(&mut writer)?;
        let (jobs, waiting) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("intel-writer".to_owned());
        let writer = thread
            .spawn({
                let open = Arc::clone(&open);
                move || write_loop(&mut writer, &open, &waiting)
            })
            .map_err(|error| StoreError::Busy(format!("no thread for the writer: {error}")))?;
        let readers = Readers { open, idle: Mutex::new((Vec::new(), 0)), freed: Condvar::new() };
        Ok(Self { jobs: Some(jobs), writer: Some(writer), readers: Arc::new(readers) })
    }

    /// Runs a write and waits until it is durable.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Write<'_, C>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let run = Box::new(move |write: &mut Write<'_, C>| {
            let value = work(write)?;
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        });
        let (done, answer) = sync_channel(1);
        let gone = || StoreError::Busy("the writer has stopped".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(Job { run, done: Some(done) }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())??;
        let value = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(gone)
    }

    /// Hands in a write without waiting for it; false if the queue is full.
    pub(crate) fn write_soon(
        &self,
        work: impl FnOnce(&mut Write<'_, C>) -> Result<(), StoreError> + Send + 'static,
    ) -> bool {
        let Some(jobs) = &self.jobs else { return false };
        !matches!(
            jobs.try_send(Job { run: Box::new(work), done: None }),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_))
        )
    }

    /// Runs a read on one state of the database.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&mut C) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut turn = self.begin_read()?;
        let Some(connection) = turn.connection.as_mut() else {
            return Err(StoreError::Busy("no connection".to_owned()));
        };
        let result = work(connection);
        if connection.script("COMMIT").is_err() {
            // A connection that cannot end its transaction is not used again.
            turn.connection = None;
        }
        result
    }

    /// A reader in a transaction. Idle ones may all have been lost with the database server, so a
    /// failing one is followed by the next and at last by a fresh one.
    fn begin_read(&self) -> Result<Turn<'_, C>, StoreError> {
        let mut turn = self.readers.take()?;
        for _ in 0..=READERS_MAX {
            let Some(connection) = turn.connection.as_mut() else { break };
            let begun = connection.script(match connection.dialect() {
                super::Dialect::Sqlite => "BEGIN",
                super::Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            });
            match begun {
                Ok(()) => return Ok(turn),
                Err(error) if connection.is_alive() => {
                    turn.connection = None;
                    return Err(error);
                }
                Err(_) => turn.connection = None,
            }
            drop(turn);
            turn = self.readers.take()?;
        }
        Err(StoreError::Busy("the database server breaks every connection".to_owned()))
    }
}

impl<C: Connection> Drop for Database<C> {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

/// The use of one reader. Given back when dropped, also by a panic, unless it was taken out.
struct Turn<'a, C: Connection> {
    readers: &'a Readers<C>,
    connection: Option<C>,
}

impl<C: Connection> Drop for Turn<'_, C> {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) if !std::thread::panicking() => self.readers.give_back(connection),
            _ => self.readers.lose(),
        }
    }
}

impl<C: Connection> Readers<C> {
    fn take(&self) -> Result<Turn<'_, C>, StoreError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = idle.0.pop() {
                return Ok(Turn { readers: self, connection: Some(connection) });
            }
            if idle.1 < READERS_MAX {
                idle.1 += 1;
                break;
            }
            idle = self.freed.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        drop(idle);
        let mut turn = Turn { readers: self, connection: None };
        turn.connection = Some((self.open)(Use::Reading)?);
        Ok(turn)
    }

    fn give_back(&self, connection: C) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).0.push(connection);
        self.freed.notify_one();
    }

    fn lose(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.1 = idle.1.saturating_sub(1);
        drop(idle);
        self.freed.notify_one();
    }
}

fn write_loop<C: Connection>(connection: &mut C, open: &Opener<C>, waiting: &Receiver<Job<C>>) {
    let mut cache = Cache::default();
    let mut idle_work = true;
    loop {
        let job = match waiting.recv_timeout(IDLE) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                if idle_work {
                    let (job, more) = idle_job();
                    group(connection, &mut cache, job, waiting);
                    idle_work = more.load(Ordering::Relaxed);
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        idle_work = true;
        if !connection.is_alive()
            && let Ok(fresh) = open(Use::Writing)
        {
            (*connection, cache) = (fresh, Cache::default());
        }
        group(connection, &mut cache, job, waiting);
    }
}

/// Indexes words of what came last, and tells whether more is to be done; harmless if it fails.
fn idle_job<C: Connection>() -> (Job<C>, Arc<AtomicBool>) {
    let more = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&more);
    let run = Box::new(move |write: &mut Write<'_, C>| {
        said.store(super::lookups::index_words(write, WORDS_STEP)?, Ordering::Relaxed);
        Ok(())
    });
    (Job { run, done: None }, more)
}

/// Runs a job and all that wait in one transaction, then answers them.
fn group<C: Connection>(connection: &mut C, cache: &mut Cache, job: Job<C>, waiting: &Receiver<Job<C>>) {
    let mut answers = Vec::new();
    let mut failure = begin_write(connection).err();
    let started = Clock::now();
    let mut following = waiting.try_recv().ok();
    if following.is_none() && failure.is_none() {
        // Nobody else waits: the transaction itself is what is undone on failure. A savepoint would
        // copy every page before it is changed.
        let outcome = guarded(job.run, &mut Write { connection, cache });
        if outcome.is_err() {
            *cache = Cache::default();
            connection.script("ROLLBACK").ok();
            if let Some(done) = job.done {
                done.send(outcome).ok();
            }
            return;
        }
        answers.push((job.done, outcome));
    } else {
        let mut next = Some(job);
        while let Some(job) = next {
            let outcome = match &failure {
                None => run_alone(connection, cache, job.run),
                Some(_) => Ok(()),
            };
            answers.push((job.done, outcome));
            let full = answers.len() >= GROUP_MAX || started.elapsed() > GROUP_TIME;
            let held = following.take();
            next = held.or_else(|| if full { None } else { waiting.try_recv().ok() });
        }
    }
    if failure.is_none() {
        failure = connection.script("COMMIT").err();
        if failure.is_some() {
            connection.script("ROLLBACK").ok();
        }
    }
    if failure.is_some() {
        *cache = Cache::default();
    }
    for (done, outcome) in answers {
        let outcome = match &failure {
            Some(error) => Err(again(error)),
            None => outcome,
        };
        if let Some(done) = done {
            done.send(outcome).ok();
        }
    }
}

/// Runs one write in a savepoint.
fn run_alone<C: Connection>(connection: &mut C, cache: &mut Cache, run: Work<C>) -> Result<(), StoreError> {
    connection.script("SAVEPOINT job")?;
    let outcome = guarded(run, &mut Write { connection, cache });
    if outcome.is_err() {
        *cache = Cache::default();
        connection.script("ROLLBACK TO SAVEPOINT job")?;
    }
    connection.script("RELEASE SAVEPOINT job")?;
    outcome
}

/// A panic is an error of this job alone.
fn guarded<C: Connection>(run: Work<C>, write: &mut Write<'_, C>) -> Result<(), StoreError> {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(write)));
    caught.unwrap_or_else(|_| Err(StoreError::Broken("a write panicked and was undone".to_owned())))
}

fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Busy(reason) => StoreError::Busy(reason.clone()),
        other => StoreError::Broken(other.to_string()),
    }
}

/// The value of a counter.
pub(crate) fn counter(connection: &mut dyn Connection, name: &str) -> Result<i64, StoreError> {
    let sql = "SELECT value FROM counter WHERE name = ?1";
    Ok(first(connection, sql, &[Val::Text(name)], |row| row.int(0))?.unwrap_or(0))
}

/// Sets a counter.
pub(crate) fn set_counter(connection: &mut dyn Connection, name: &str, value: i64) -> Result<(), StoreError> {
    connection.run("UPDATE counter SET value = ?2 WHERE name = ?1", &[Val::Text(name), Val::Int(value)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::store::{Store, StoreError};

    /// A bug in one write is an error of that write: what it did is undone, the others go on.
    #[test]
    fn the_writer_outlives_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::open_sqlite(&folder.path().join("x")).unwrap();
        let epoch = store.epoch().unwrap();
        let failed = store.write::<()>(|write| {
            super::set_counter(write.connection, "epoch", 99)?;
            panic!("a bug");
        });
        assert!(matches!(failed, Err(StoreError::Broken(_))));
        assert_eq!(store.epoch().unwrap(), epoch);
        store.set_cursor("a", "b").unwrap();
        store.check().unwrap();
    }
}
