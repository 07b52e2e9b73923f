//! Evidence through reader, workers and collector.
//!
//! ```text
//! reader ──jobs──▶ worker × N ──done──▶ collector ──▶ findings, hits, defects, counts
//!    ▲  walk         decode, stage        puts back into the reader's order       │
//!    └───────────────── permits: one for each job under way ◀─────────────────────┘
//! ```
//!
//! The [`Stage`] is what is done with a decoded block: a hunt matches it, an archive keeps it.
//!
//! Invariants:
//! - Output does not depend on the number of workers: every job bears a number, and the
//!   collector takes them by that number.
//! - Memory is bounded by the permits: a job goes to the workers only when one is free, and it is
//!   freed when the collector is done with the job. A block that a long record has made larger
//!   than others takes a permit for each block's length in it, so the bytes under way are bounded
//!   too. Buffers of blocks are recycled, but for those of long records, which no worker keeps.
//! - A panic while one block is decoded or worked on costs that block, is reported as a defect,
//!   and the rest goes on.
//! - The reader may hang in a read of standard input for ever; nobody waits for it once the run
//!   is interrupted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use besa_detect::{Detector, Outcome, Worker};
use besa_event::{Batch, Block, Defect, Dictionary, Keep, LogSources, Place};
use besa_evidence::{Context, Decoder, FileAccount, Format, Item, Limits, decode, walk};
use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};

use super::clock::{Lap, Spent};
use super::guard;
use super::interrupt::Interrupt;
use super::progress::Progress;

/// Jobs under way for each worker: enough to keep it busy while the collector waits for a slow
/// one.
const JOBS_PER_WORKER: usize = 4;
/// A buffer past this many blocks has held a single long record and is given back to the system.
const BUFFER_BLOCKS_MAX: usize = 2;

/// Where evidence is and how it is read.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) limits: Limits,
    /// Whether deleted records of Windows event logs are read.
    pub(crate) carve: bool,
    /// Year and month (1 to 12) of the youngest record that states no year.
    pub(crate) reference: Option<(i64, u32)>,
}

/// What is done with the events of a block.
pub(crate) trait Stage: Sync {
    /// What a worker thread keeps from block to block.
    type Hand<'s>
    where
        Self: 's;
    /// What comes of a block; nothing by default.
    type Outcome: Default + Send;

    /// Names by which fields are kept.
    fn dictionary(&self) -> &Dictionary;
    /// Log sources of the run.
    fn sources(&self) -> &LogSources;
    /// Whether fields without such a name are kept.
    fn keep(&self) -> Keep;
    /// For a new worker, or after a panic.
    fn hand(&self) -> Self::Hand<'_>;
    /// Sees a block before it is decoded for [`Stage::run`].
    fn meet(&self, _hand: &mut Self::Hand<'_>, _context: &Context<'_>, _block: &Block<Format>) {}
    /// Works on a block. What is left of the batch is used again; its defects are taken already.
    fn run<'s>(&'s self, hand: &mut Self::Hand<'s>, batch: &mut Batch) -> Self::Outcome;
}

/// A hunt.
impl Stage for Detector {
    type Hand<'s> = Worker<'s>;
    type Outcome = Outcome;

    fn dictionary(&self) -> &Dictionary {
        self.dictionary()
    }

    fn sources(&self) -> &LogSources {
        self.sources()
    }

    fn keep(&self) -> Keep {
        self.keep()
    }

    fn hand(&self) -> Worker<'_> {
        self.worker()
    }

    fn run<'s>(&'s self, hand: &mut Worker<'s>, batch: &mut Batch) -> Outcome {
        let mut outcome = Outcome::default();
        hand.run(batch, &mut outcome);
        outcome
    }
}

/// What came of one job, in the order of the evidence.
pub(crate) enum Done<T> {
    /// A block was worked on.
    Block {
        path: Arc<besa_event::Origin>,
        format: &'static str,
        outcome: T,
        events: u64,
        defects: Vec<Defect>,
        spent: Spent,
    },
    Defect(Defect),
    File(FileAccount),
}

struct Job<T> {
    ticket: Ticket,
    work: Work<T>,
}

/// A job's place in the order of the evidence, and the permits to be given back for it.
#[derive(Clone, Copy)]
struct Ticket {
    number: u64,
    permits: usize,
}

enum Work<T> {
    Block(Block<Format>),
    Pass(Box<Done<T>>),
}

/// Runs evidence through the stage; `take` gets what comes of it in the order of the
/// evidence and ends the run by an error.
pub(crate) fn run<S: Stage<Outcome: 'static>>(
    stage: &S,
    evidence: Evidence,
    workers: usize,
    progress: &Progress,
    interrupt: &Arc<Interrupt>,
    take: &mut dyn FnMut(Done<S::Outcome>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let under_way = workers * JOBS_PER_WORKER + 1;
    let (jobs_to_workers, jobs) = bounded(under_way);
    let (done_to_collector, done) = bounded(under_way);
    let (permits_to_reader, permits) = bounded(under_way);
    let (buffers_to_reader, buffers) = unbounded();
    for _ in 0..under_way {
        permits_to_reader.send(()).context("the channel of permits is new and open")?;
    }
    let Evidence { limits, reference, carve, .. } = evidence;
    let reader = {
        let (progress, interrupt) = (progress.clone(), Arc::clone(interrupt));
        let outlet = Outlet {
            jobs: jobs_to_workers,
            permits,
            permits_max: under_way,
            block_len: limits.block_len_bytes.max(1),
            next: 0,
        };
        thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || read(&evidence, outlet, &buffers, &progress, &interrupt))
            .context("no thread for reading")?
    };
    let context = Context {
        dictionary: stage.dictionary(),
        sources: stage.sources(),
        keep: stage.keep(),
        reference,
        carve,
        limits,
    };
    let result = thread::scope(|scope| {
        for number in 0..workers {
            let (jobs, done, buffers) = (jobs.clone(), done_to_collector.clone(), buffers_to_reader.clone());
            let waiting = interrupt.waiting();
            thread::Builder::new()
                .name(format!("worker {number}"))
                .spawn_scoped(scope, move || {
                    Hand::new(stage, context, buffers).work(&jobs, waiting, &done);
                })
                .context("no thread for a worker")?;
        }
        drop((jobs, done_to_collector));
        let result = collect(&done, &permits_to_reader, take);
        if result.is_err() {
            // Whoever waits for evidence has to wake up and end.
            interrupt.stop();
        }
        drop((done, permits_to_reader));
        result
    });
    result?;
    if interrupt.is_stopped() {
        return Ok(());
    }
    if reader.join().is_err() {
        anyhow::bail!("internal error while reading evidence; please report it with the message above");
    }
    Ok(())
}

/// The reader's end of the channels.
struct Outlet<T> {
    jobs: Sender<Job<T>>,
    permits: Receiver<()>,
    permits_max: usize,
    block_len: usize,
    next: u64,
}

impl<T> Outlet<T> {
    fn send(&mut self, work: Work<T>) -> ControlFlow<()> {
        let permits = match &work {
            Work::Block(block) => permits(block.bytes.len(), self.block_len, self.permits_max),
            Work::Pass(_) => 1,
        };
        let ticket = Ticket { number: self.next, permits };
        self.next += 1;
        // Nobody else takes permits, so those that are missing come back in time.
        let are_granted = (0..permits).all(|_| self.permits.recv().is_ok());
        if !are_granted || self.jobs.send(Job { ticket, work }).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Permits that a block takes: one for each usual block's length begun, or all there are.
fn permits(len: usize, block_len: usize, permits_max: usize) -> usize {
    len.div_ceil(block_len).clamp(1, permits_max)
}

fn read<T>(
    evidence: &Evidence,
    mut outlet: Outlet<T>,
    buffers: &Receiver<Vec<u8>>,
    progress: &Progress,
    interrupt: &Interrupt,
) {
    let mut recycle = || buffers.try_recv().unwrap_or_default();
    let mut sink = |item: Item| {
        if interrupt.is_stopped() {
            return ControlFlow::Break(());
        }
        match item {
            Item::Block(block) => outlet.send(Work::Block(block)),
            Item::Defect(defect) => outlet.send(Work::Pass(Box::new(Done::Defect(defect)))),
            Item::Done(file) => outlet.send(Work::Pass(Box::new(Done::File(file)))),
            Item::Progress { input_bytes } => {
                progress.read(input_bytes);
                ControlFlow::Continue(())
            }
        }
    };
    // Whether it went to the end, the interrupt tells.
    let _ = walk(&evidence.paths, &evidence.limits, &mut recycle, &mut sink);
}

/// What one worker thread keeps from block to block.
struct Hand<'d, S: Stage> {
    stage: &'d S,
    context: Context<'d>,
    decoder: Decoder,
    worker: S::Hand<'d>,
    batch: Batch,
    buffers: Sender<Vec<u8>>,
}

impl<'d, S: Stage> Hand<'d, S> {
    fn new(stage: &'d S, context: Context<'d>, buffers: Sender<Vec<u8>>) -> Self {
        let (decoder, worker, batch) = (Decoder::new(), stage.hand(), Batch::default());
        Self { stage, context, decoder, worker, batch, buffers }
    }

    /// Takes jobs until there are none; after an interrupt, those that have been read already.
    fn work(
        &mut self,
        jobs: &Receiver<Job<S::Outcome>>,
        interrupted: &Receiver<()>,
        done: &Sender<(Ticket, Done<S::Outcome>)>,
    ) {
        loop {
            let job = select! {
                recv(jobs) -> job => job.ok(),
                recv(interrupted) -> _ => jobs.try_recv().ok(),
            };
            let Some(Job { ticket, work }) = job else { return };
            let result = match work {
                Work::Pass(result) => *result,
                Work::Block(block) => self.block(block),
            };
            if done.send((ticket, result)).is_err() {
                return;
            }
        }
    }

    fn block(&mut self, block: Block<Format>) -> Done<S::Outcome> {
        let path = Arc::clone(&block.origin);
        let format = block.format.name();
        let (first_record, offset) = (block.first_record, block.offset);
        let mut lap = Lap::start();
        let worked = guard::catch(|| {
            self.stage.meet(&mut self.worker, &self.context, &block);
            let recycled = decode(&self.context, &mut self.decoder, block, &mut self.batch);
            if recycled.capacity() <= BUFFER_BLOCKS_MAX * self.context.limits.block_len_bytes {
                // The reader may be gone; then nobody needs buffers.
                let _ = self.buffers.send(recycled);
            }
            let (events, defects) = (self.batch.len() as u64, std::mem::take(&mut self.batch.defects));
            let decode = lap.next();
            let outcome = self.stage.run(&mut self.worker, &mut self.batch);
            (events, defects, outcome, Spent { decode, stage: lap.next() })
        });
        let (events, defects, outcome, spent) = worked.unwrap_or_else(|panic| {
            let reason = format!(
                "internal error, please report it: {panic} (block at offset {offset}, records from {first_record}, is left out)"
            );
            let defect = Defect { origin: Arc::clone(&path), place: Place::Offset(offset), reason };
            // What a panic left behind cannot be trusted.
            *self = Self::new(self.stage, self.context, self.buffers.clone());
            (0, vec![defect], S::Outcome::default(), Spent::default())
        });
        self.let_go_of_long_records();
        Done::Block { path, format, outcome, events, defects, spent }
    }

    /// What has grown with a long record does not stay.
    fn let_go_of_long_records(&mut self) {
        if self.batch.bytes.capacity() > BUFFER_BLOCKS_MAX * self.context.limits.block_len_bytes {
            self.batch = Batch::default();
            self.decoder = Decoder::new();
        }
    }
}

/// Puts results back into the order of their numbers. After an interrupt numbers may be missing
/// at the end; what came behind the gap is taken all the same.
fn collect<T>(
    done: &Receiver<(Ticket, Done<T>)>,
    permits: &Sender<()>,
    take: &mut dyn FnMut(Done<T>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (ticket, result) in done {
        early.insert(ticket.number, (ticket.permits, result));
        while let Some((freed, result)) = early.remove(&next) {
            next += 1;
            take(result)?;
            for _ in 0..freed {
                // The reader may have ended already.
                let _ = permits.send(());
            }
        }
    }
    early.into_values().try_for_each(|(_, result)| take(result))
}

#[cfg(test)]
mod tests {
    use super::permits;

    #[test]
    fn a_long_record_takes_permits_for_its_length() {
        let check = |len, expected| assert_eq!(permits(len, 100, 9), expected, "{len}");
        check(0, 1);
        check(100, 1);
        check(101, 2);
        check(900, 9);
        check(100_000, 9);
    }
}
