//! Processor time as criterion's measure: other work on the machine lengthens the clock's time many
//! times over, this hardly.

use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Processor time of the process, shown as time.
pub(crate) struct ProcessorTime;

static AS_TIME: WallTime = WallTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, from: Duration) -> Duration {
        now().saturating_sub(from)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        AS_TIME.formatter()
    }
}

/// For `criterion_group!`.
pub(crate) fn criterion() -> Criterion<ProcessorTime> {
    Criterion::default().with_measurement(ProcessorTime)
}

#[cfg(unix)]
fn now() -> Duration {
    let clock = rustix::time::ClockId::ProcessCPUTime;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// Where the system has no such clock, the wall's.
#[cfg(not(unix))]
fn now() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}
