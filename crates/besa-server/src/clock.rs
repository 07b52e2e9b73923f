//! The one place that reads the clock.

use besa_intel::Time;

/// Now.
pub fn now() -> Time {
    #[expect(
        clippy::disallowed_methods,
        reason = "requests are received now; below here time is an argument"
    )]
    let now = std::time::SystemTime::now();
    match now.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => Time::from_unix(since.as_secs().cast_signed(), since.subsec_nanos()),
        Err(_) => Time::from_unix(0, 0),
    }
}
