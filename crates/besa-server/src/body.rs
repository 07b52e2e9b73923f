//! Reading a body: at most so many bytes, at no less than so slow a pace, and all bodies together and
//! those of one user within bounds ([`Memory`]).

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::memory::{Grant, Memory};

/// Time a body may take before its pace is looked at.
const GRACE: Duration = Duration::from_secs(10);
/// Slowest pace after that, in bytes per second.
const PACE_MIN: u64 = 32 << 10;

/// Why a body was not read.
pub(crate) enum BodyError {
    TooLarge,
    TooSlow,
    /// Others, or the same user's other requests, hold the memory for bodies.
    Crowded,
    Broken,
}

/// Reads a body. The grant stands for its memory; keep it as long as the bytes.
pub(crate) async fn read_body(
    mut body: Body,
    announced: Option<u64>,
    most: u64,
    memory: &Memory,
    user: &str,
) -> Result<(Vec<u8>, Grant), BodyError> {
    if announced.is_some_and(|length| length > most) {
        return Err(BodyError::TooLarge);
    }
    let grant = memory.take(user, announced.unwrap_or(most)).await.ok_or(BodyError::Crowded)?;
    let started = Instant::now();
    let mut bytes = Vec::with_capacity(usize::try_from(announced.unwrap_or(0)).unwrap_or(0));
    loop {
        let earned = Duration::from_secs(bytes.len() as u64 / PACE_MIN);
        let frame =
            timeout_at(started + GRACE + earned, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = frame else { return Ok((bytes, grant)) };
        let frame = frame.map_err(|_| BodyError::Broken)?;
        if let Some(data) = frame.data_ref() {
            if (bytes.len() + data.len()) as u64 > most {
                return Err(BodyError::TooLarge);
            }
            bytes.extend_from_slice(data);
        }
    }
}
