//! Whose turn it is: hunts of several askers share the readers of an archive.
//!
//! ```text
//! asker "KEN" ──▶ hunt, hunt ─┐
//! asker "ALB" ──▶ hunt ───────┴▶ Turns: one row group each in turn, so many at a time
//! ```
//!
//! Invariants:
//! - The turn goes round by asker, not by hunt: who asks for a hundred hunts has one place.
//! - A hunt pays for a row group before it reads it, and is refused what its budget does not hold;
//!   it never reads more than that.
//! - A hunt that is cancelled stops waiting. A turn ends when its value is dropped, whatever
//!   happened meanwhile.
//!
//! It reads no clock and starts no thread; whoever reads calls [`Hunt::turn`] before each row
//! group.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a hunt may cost. The default is without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Row groups that it may read.
    pub row_groups: u64,
    /// Bytes of data files that it may read, as they are on the disk; a row group counts its share
    /// of its file.
    pub bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { row_groups: u64::MAX, bytes: u64::MAX }
    }
}

/// What a hunt has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Row groups read or being read.
    pub row_groups: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The budget does not hold what was asked for.
    OverBudget,
    /// [`Hunt::cancel`] was called.
    Cancelled,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OverBudget => "the budget of this hunt is used up",
            Self::Cancelled => "cancelled",
        })
    }
}

/// The readers that hunts share.
#[derive(Debug)]
pub struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

/// One hunt of an asker; shared by its threads.
#[derive(Debug)]
pub struct Hunt {
    turns: Arc<Turns>,
    asker: Arc<str>,
    budget: Budget,
    purse: Mutex<Purse>,
}

/// A row group's turn; ends when it is dropped.
#[derive(Debug)]
pub struct Turn<'h>(&'h Turns);

#[derive(Debug, Default)]
struct Purse {
    spent: Spent,
    cancelled: bool,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Askers with somebody who waits and was not granted a turn yet, in order.
    ring: VecDeque<Arc<str>>,
    places: BTreeMap<Arc<str>, Place>,
}

#[derive(Debug, Default)]
struct Place {
    waiting: usize,
    granted: usize,
    in_ring: bool,
}

impl State {
    /// Grants turns as long as there are readers.
    fn deal(&mut self) {
        while self.free > 0 {
            let Some(asker) = self.ring.pop_front() else { return };
            let Some(place) = self.places.get_mut(&asker) else { continue };
            place.in_ring = false;
            if place.waiting > place.granted {
                place.granted += 1;
                self.free -= 1;
            }
            self.enter(&asker);
        }
    }

    /// Puts an asker at the end of the ring if somebody waits there without a turn.
    fn enter(&mut self, asker: &Arc<str>) {
        let Some(place) = self.places.get_mut(asker) else { return };
        if place.waiting > place.granted && !place.in_ring {
            place.in_ring = true;
            self.ring.push_back(Arc::clone(asker));
        } else if place.waiting == 0 && place.granted == 0 && !place.in_ring {
            self.places.remove(asker);
        }
    }

    /// Takes a granted turn, if there is one.
    fn take(&mut self, asker: &Arc<str>) -> bool {
        let Some(place) = self.places.get_mut(asker).filter(|place| place.granted > 0) else { return false };
        place.granted -= 1;
        place.waiting -= 1;
        self.enter(asker);
        true
    }

    /// Somebody no longer waits; a turn that was granted for it goes to others.
    fn leave(&mut self, asker: &Arc<str>) {
        let Some(place) = self.places.get_mut(asker) else { return };
        place.waiting = place.waiting.saturating_sub(1);
        if place.granted > place.waiting {
            place.granted -= 1;
            self.free += 1;
        }
        self.enter(asker);
        self.deal();
    }
}

impl Turns {
    /// So many row groups are read at a time.
    #[must_use]
    pub fn new(readers: usize) -> Arc<Self> {
        let state = State { free: readers.max(1), ring: VecDeque::new(), places: BTreeMap::new() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// A hunt for an asker.
    #[must_use]
    pub fn hunt(self: &Arc<Self>, asker: &str, budget: Budget) -> Arc<Hunt> {
        Arc::new(Hunt { turns: Arc::clone(self), asker: asker.into(), budget, purse: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hunt {
    /// Waits until it is the asker's turn to read a row group of so many bytes.
    ///
    /// # Errors
    /// Why there is none; then nothing was paid.
    pub fn turn(&self, bytes: u64) -> Result<Turn<'_>, Refused> {
        self.pay(bytes)?;
        let mut state = self.turns.state();
        state.places.entry(Arc::clone(&self.asker)).or_default().waiting += 1;
        state.enter(&self.asker);
        state.deal();
        self.turns.changed.notify_all();
        loop {
            if self.purse().cancelled {
                state.leave(&self.asker);
                drop(state);
                self.turns.changed.notify_all();
                self.give_back(bytes);
                return Err(Refused::Cancelled);
            }
            if state.take(&self.asker) {
                return Ok(Turn(&self.turns));
            }
            state = self.turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends waiting, now and in future.
    pub fn cancel(&self) {
        // Under the lock of those who wait, so that nobody misses it between looking and waiting.
        let state = self.turns.state();
        self.purse().cancelled = true;
        drop(state);
        self.turns.changed.notify_all();
    }

    /// What it has cost so far.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.purse().spent
    }

    fn pay(&self, bytes: u64) -> Result<(), Refused> {
        let mut purse = self.purse();
        let spent =
            Spent { row_groups: purse.spent.row_groups + 1, bytes: purse.spent.bytes.saturating_add(bytes) };
        if purse.cancelled {
            return Err(Refused::Cancelled);
        }
        if spent.row_groups > self.budget.row_groups || spent.bytes > self.budget.bytes {
            return Err(Refused::OverBudget);
        }
        purse.spent = spent;
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let spent = &mut self.purse().spent;
        spent.row_groups = spent.row_groups.saturating_sub(1);
        spent.bytes = spent.bytes.saturating_sub(bytes);
    }

    fn purse(&self) -> MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.free += 1;
        state.deal();
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Waits until so many threads of an asker are in line.
    fn await_line(turns: &Turns, asker: &str, waiting: usize) {
        while turns.state().places.get(asker).map_or(0, |place| place.waiting) != waiting {
            thread::yield_now();
        }
    }

    #[test]
    fn a_greedy_asker_has_one_place() {
        let turns = Turns::new(1);
        let first = turns.hunt("local", Budget::default());
        let held = first.turn(1).unwrap();
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let hunts = [("greedy", 6), ("modest", 2)];
            for (asker, count) in hunts {
                for number in 0..count {
                    // Every hunt of the greedy one is another.
                    let hunt = turns.hunt(asker, Budget::default());
                    let order = &order;
                    scope.spawn(move || {
                        let turn = hunt.turn(1).unwrap();
                        order.lock().unwrap().push(asker);
                        drop(turn);
                    });
                    await_line(&turns, asker, number + 1);
                }
            }
            drop(held);
        });
        let order = order.into_inner().unwrap();
        assert_eq!(order[..4], ["greedy", "modest", "greedy", "modest"], "{order:?}");
        assert_eq!(order.len(), 8);
        assert!(turns.state().places.is_empty());
        assert_eq!(turns.state().free, 1);
    }

    #[test]
    fn budgets_are_kept() {
        let turns = Turns::new(2);
        let hunt = turns.hunt("a", Budget { row_groups: 3, bytes: 100 });
        drop(hunt.turn(60).unwrap());
        assert_eq!(hunt.turn(41).unwrap_err(), Refused::OverBudget);
        drop(hunt.turn(40).unwrap());
        drop(hunt.turn(0).unwrap());
        assert_eq!(hunt.turn(0).unwrap_err(), Refused::OverBudget);
        assert_eq!(hunt.spent(), Spent { row_groups: 3, bytes: 100 });
    }

    #[test]
    fn who_is_cancelled_stops_waiting_and_costs_nothing() {
        let turns = Turns::new(1);
        let (busy, waiting) = (turns.hunt("a", Budget::default()), turns.hunt("b", Budget::default()));
        let held = busy.turn(1).unwrap();
        thread::scope(|scope| {
            let hand = scope.spawn(|| waiting.turn(7).map(drop));
            await_line(&turns, "b", 1);
            waiting.cancel();
            assert_eq!(hand.join().unwrap(), Err(Refused::Cancelled));
        });
        assert_eq!(waiting.spent(), Spent::default());
        assert_eq!(waiting.turn(1).map(drop), Err(Refused::Cancelled));
        drop(held);
        drop(busy.turn(1).unwrap());
        assert!(turns.state().places.is_empty());
    }

    #[test]
    fn no_more_than_allowed_read_at_a_time() {
        let turns = Turns::new(3);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for asker in ["a", "b", "c", "d"] {
                for _ in 0..4 {
                    let hunt = turns.hunt(asker, Budget::default());
                    let (now, most) = (&now, &most);
                    scope.spawn(move || {
                        for _ in 0..50 {
                            let turn = hunt.turn(1).unwrap();
                            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            now.fetch_sub(1, Ordering::SeqCst);
                            drop(turn);
                        }
                    });
                }
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(turns.state().free, 3);
    }
}
