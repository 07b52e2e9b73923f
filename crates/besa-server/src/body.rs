//! Reading a body: at most so many bytes, at no less than so slow a pace, and all bodies together
//! within a bound.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Time a body may take before its pace is looked at.
const GRACE: Duration = Duration::from_secs(10);
/// Slowest pace after that, in bytes per second.
const PACE_MIN: u64 = 32 << 10;
/// Memory is handed out in units of so many bytes.
pub(crate) const UNIT: u64 = 64 << 10;

/// Why a body was not read.
pub(crate) enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads a body. The permit stands for its memory; keep it as long as the bytes.
pub(crate) async fn read_body<'a>(
    mut body: Body,
    announced: Option<u64>,
    most: u64,
    memory: &'a Semaphore,
) -> Result<(Vec<u8>, SemaphorePermit<'a>), BodyError> {
    if announced.is_some_and(|length| length > most) {
        return Err(BodyError::TooLarge);
    }
    let reserved = announced.unwrap_or(most);
    let units = u32::try_from(reserved.div_ceil(UNIT)).unwrap_or(u32::MAX);
    let started = Instant::now();
    let permit = timeout_at(started + GRACE, memory.acquire_many(units)).await;
    let permit = permit.map_err(|_| BodyError::TooSlow)?.map_err(|_| BodyError::Broken)?;
    let started = Instant::now();
    let mut bytes = Vec::with_capacity(usize::try_from(announced.unwrap_or(0)).unwrap_or(0));
    loop {
        let earned = Duration::from_secs(bytes.len() as u64 / PACE_MIN);
        let frame =
            timeout_at(started + GRACE + earned, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = frame else { return Ok((bytes, permit)) };
        let frame = frame.map_err(|_| BodyError::Broken)?;
        if let Some(data) = frame.data_ref() {
            if (bytes.len() + data.len()) as u64 > most {
                return Err(BodyError::TooLarge);
            }
            bytes.extend_from_slice(data);
        }
    }
}
