//! Memory that strangers and users may hold: the bodies being read, the answers not yet taken.
//!
//! There is a bound on all together and one for each user, so that one who holds all they may (a body
//! sent at the slowest pace allowed, answers never read) leaves the rest to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Memory is handed out in units of so many bytes.
const UNIT: u64 = 64 << 10;
/// How long one waits for others to give back theirs.
const WAIT: Duration = Duration::from_secs(10);
/// Users remembered while they hold nothing.
const USERS_MAX: usize = 1_000;

/// A bound on bytes held, in all and by user.
pub(crate) struct Memory {
    all: Arc<Semaphore>,
    users: Mutex<HashMap<String, Arc<Semaphore>>>,
    of_one: usize,
}

/// Bytes that are held until this is dropped.
pub(crate) struct Grant(#[expect(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 2]);

impl Memory {
    pub(crate) fn new(bytes: u64, bytes_of_one: u64) -> Self {
        let units = |bytes| usize::try_from(u64::from(units(bytes))).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(units(bytes))),
            users: Mutex::default(),
            of_one: units(bytes_of_one),
        }
    }

    /// Waits a while for so many bytes; `None` if others, or the user, hold too much.
    pub(crate) async fn take(&self, user: &str, bytes: u64) -> Option<Grant> {
        let units = units(bytes);
        let of_user = self.of(user);
        let waiting = async {
            // One's own share first: who waits for it keeps nothing from others.
            let own = of_user.acquire_many_owned(units).await.ok()?;
            let all = Arc::clone(&self.all).acquire_many_owned(units).await.ok()?;
            Some(Grant([own, all]))
        };
        timeout(WAIT, waiting).await.ok().flatten()
    }

    /// The same without waiting.
    pub(crate) fn try_take(&self, user: &str, bytes: u64) -> Option<Grant> {
        let units = units(bytes);
        let own = self.of(user).try_acquire_many_owned(units).ok()?;
        let all = Arc::clone(&self.all).try_acquire_many_owned(units).ok()?;
        Some(Grant([own, all]))
    }

    fn of(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= USERS_MAX && !users.contains_key(user) {
            users.retain(|_, share| Arc::strong_count(share) > 1 || share.available_permits() < self.of_one);
        }
        Arc::clone(users.entry(user.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.of_one))))
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_the_rest_to_others() {
        let memory = Memory::new(4 * UNIT, 2 * UNIT);
        let held: Vec<_> = (0..3).map(|_| memory.try_take("a", UNIT)).collect();
        assert_eq!(held.iter().filter(|grant| grant.is_some()).count(), 2);
        let other = memory.try_take("b", 2 * UNIT);
        assert!(other.is_some() && memory.try_take("c", 1).is_none());
        drop(held);
        assert!(memory.try_take("a", 2 * UNIT).is_some());
    }
}
