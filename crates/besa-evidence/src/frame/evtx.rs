//! EVTX: a file header, which stays with the first chunks, then chunks of 64 KiB that stand for
//! themselves.

use super::{Flow, Pump};
use crate::evtx::{CHUNK_LEN, first_chunk};
use crate::format::Kind;

pub(super) fn frame(pump: &mut Pump<'_>) -> Flow {
    let chunks_len = (pump.outlet.limits().block_len_bytes / CHUNK_LEN).max(1) * CHUNK_LEN;
    pump.fill(chunks_len);
    let mut block_len = first_chunk(&pump.buffer) + chunks_len;
    loop {
        pump.fill(block_len);
        let len = pump.buffer.len().min(block_len);
        pump.emit(&Kind::Evtx, len, 0)?;
        if pump.ended && pump.buffer.is_empty() {
            return Flow::Continue(());
        }
        block_len = chunks_len;
    }
}
