//! Wakes threads when there may be something to do.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rung after each change; every thread that waits hears it.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    stopped: bool,
}

impl Bell {
    /// Something changed.
    pub fn ring(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).count += 1;
        self.rung.notify_all();
    }

    /// The end: nobody waits any more.
    pub fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.rung.notify_all();
    }

    /// Whether the end has come.
    pub fn is_stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// Waits for a ring after the one `seen`, but not longer than a time. False at the end.
    pub fn wait(&self, seen: &mut u64, most: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |state: &mut State| !state.stopped && state.count == *seen;
        let waited = self.rung.wait_timeout_while(state, most, quiet);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        *seen = state.count;
        !state.stopped
    }

    /// Waits for the end alone, but not longer than a time. False at the end.
    pub fn pause(&self, most: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(state, most, |state| !state.stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }
}
