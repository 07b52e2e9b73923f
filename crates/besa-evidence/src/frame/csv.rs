//! CSV: a record may go on over several lines inside quotes, so borders are asked of the format.
//! The header row stays in its block; decoding knows it.

use std::sync::Arc;

use memchr::{memchr, memchr_iter};

use super::{Flow, Pump};
use crate::csv::{Header, record_end};
use crate::format::Kind;

pub(super) fn frame(pump: &mut Pump<'_>, header: &Arc<Header>) -> Flow {
    let kind = Kind::Csv(Arc::clone(header));
    let mut target = pump.block_len;
    loop {
        pump.fill(target);
        let end = if pump.ended { pump.buffer.len() } else { whole_records(&pump.buffer, header) };
        if end > 0 {
            let lines = memchr_iter(b'\n', pump.buffer.get(..end).unwrap_or_default()).count();
            pump.emit(&kind, end, lines as u64)?;
            target = pump.block_len;
        } else if pump.ended {
            return Flow::Continue(());
        } else if pump.buffer.len() >= pump.record_len_max {
            skip_line(pump)?;
            target = pump.block_len;
        } else {
            target = target.saturating_mul(2).min(pump.record_len_max);
        }
    }
}

/// Where the last whole record ends.
fn whole_records(bytes: &[u8], header: &Header) -> usize {
    let mut end = 0;
    while let Some(len) = record_end(bytes.get(end..).unwrap_or_default(), header)
        && len > 0
    {
        end += len;
    }
    end
}

/// A record over the limit mostly means a quote that was never closed: reading resumes at the
/// next line, not at the next quote.
fn skip_line(pump: &mut Pump<'_>) -> Flow {
    let begin = pump.position.offset;
    loop {
        let newline = memchr(b'\n', &pump.buffer);
        pump.discard(newline.map_or(pump.buffer.len(), |at| at + 1), 0);
        if newline.is_some() || pump.ended {
            pump.position.first_record += 1;
            let max = pump.record_len_max;
            let reason = format!(
                "a record over the limit of {max} bytes, perhaps for a quote that was never closed; its first line was skipped"
            );
            return pump.defect(besa_event::Place::Offset(begin), reason);
        }
        pump.fill(pump.block_len);
    }
}
