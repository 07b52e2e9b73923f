//! Where the time of a run goes: processor time, which other work on the machine does not change.

use std::time::Duration;

/// Processor time that blocks took on the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Making events of bytes.
    pub(crate) decode: Duration,
    /// The [`Stage`](super::pipeline::Stage): for a hunt, matching.
    pub(crate) stage: Duration,
}

impl Spent {
    pub(crate) fn add(&mut self, other: Self) {
        self.decode += other.decode;
        self.stage += other.stage;
    }
}

/// Measures stretches of work of one thread.
#[derive(Debug)]
pub(crate) struct Lap {
    from: Duration,
}

impl Lap {
    pub(crate) fn start() -> Self {
        Self { from: of_thread() }
    }

    /// Time since the start or the last call.
    pub(crate) fn next(&mut self) -> Duration {
        let now = of_thread();
        now.saturating_sub(std::mem::replace(&mut self.from, now))
    }
}

/// Processor time of this thread so far.
#[cfg(unix)]
fn of_thread() -> Duration {
    read(rustix::time::ClockId::ThreadCPUTime)
}

/// Processor time of this process so far, all threads together.
#[cfg(unix)]
pub(crate) fn of_process() -> Duration {
    read(rustix::time::ClockId::ProcessCPUTime)
}

#[cfg(unix)]
fn read(clock: rustix::time::ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// Where the system has no such clock, time by the wall since the first call.
#[cfg(not(unix))]
fn of_thread() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// Where the system has no such clock, time by the wall.
#[cfg(not(unix))]
pub(crate) fn of_process() -> Duration {
    of_thread()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        let (mut lap, process) = (Lap::start(), of_process());
        let mut total = Duration::ZERO;
        let mut sum = 0_u64;
        // Whatever the clock's resolution, work is seen in the end.
        while total.is_zero() {
            sum = std::hint::black_box((0..100_000_u64).fold(sum, u64::wrapping_add));
            total += lap.next();
        }
        assert!(of_process() > process);
    }
}
