//! Formats of one record a line.

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::{Flow, Pump};
use crate::format::Kind;

pub(super) fn frame(pump: &mut Pump<'_>, kind: &Kind) -> Flow {
    each_run(pump, |pump, end| {
        let lines = pump.buffer.get(..end).unwrap_or_default();
        let end = match kind {
            Kind::Auditd if !pump.ended => before_last_event(lines),
            _ => end,
        };
        let records = count(pump.buffer.get(..end).unwrap_or_default());
        pump.emit(kind, end, records)
    })
}

/// auditd writes an event as several lines of one serial number, which are read together: where
/// the last event of these whole lines begins, or their end where they are all of one event.
fn before_last_event(lines: &[u8]) -> usize {
    let mut begin = lines.len();
    let mut serial: Option<&[u8]> = None;
    while let Some(rest) = lines.get(..begin.saturating_sub(1)).filter(|rest| !rest.is_empty()) {
        let at = memrchr(b'\n', rest).map_or(0, |newline| newline + 1);
        let line = rest.get(at..).unwrap_or_default();
        let Some(this) = serial_of(line) else { break };
        if serial.is_some_and(|serial| serial != this) {
            break;
        }
        serial = Some(this);
        begin = at;
    }
    if begin == 0 { lines.len() } else { begin }
}

/// `1364481363.243:24287` of `type=SYSCALL msg=audit(1364481363.243:24287): …`.
fn serial_of(line: &[u8]) -> Option<&[u8]> {
    let from = memmem::find(line, b"audit(")? + b"audit(".len();
    let rest = line.get(from..)?;
    rest.get(..memchr(b')', rest)?)
}

/// Lines that begin with `#` may change the header for what follows; a block is cut there, so
/// that it never mixes two headers.
pub(super) fn frame_with_headers(pump: &mut Pump<'_>, mut kind: Kind) -> Flow {
    each_run(pump, |pump, end| {
        let mut from = 0;
        let mut record = pump.position.first_record;
        while let Some((at, next, changed)) = next_header(&kind, &pump.buffer, from, end) {
            pump.emit_copy(&kind, from..at, record)?;
            record += count(pump.buffer.get(from..next).unwrap_or_default());
            kind = changed;
            from = next;
        }
        let rest = count(pump.buffer.get(from..end).unwrap_or_default());
        if from == 0 {
            return pump.emit(&kind, end, rest);
        }
        pump.emit_copy(&kind, from..end, record)?;
        pump.discard(end, record - pump.position.first_record + rest);
        Flow::Continue(())
    })
}

/// The next line that changes the header: where it begins, where the line after it begins, and
/// the format from there on.
fn next_header(kind: &Kind, bytes: &[u8], from: usize, end: usize) -> Option<(usize, usize, Kind)> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..end)?;
        let begin = match rest.first()? {
            b'#' => at,
            _ => at + memmem::find(rest, b"\n#")? + 1,
        };
        let line = bytes.get(begin..end)?;
        let len = memchr(b'\n', line).map_or(line.len(), |newline| newline + 1);
        let line = line.get(..len)?;
        let changed = match kind {
            Kind::Zeek(header) => header.update(line).map(|header| Kind::Zeek(header.into())),
            Kind::Iis(header) => header.update(line).map(|header| Kind::Iis(header.into())),
            _ => None,
        };
        if let Some(changed) = changed {
            return Some((begin, begin + len, changed));
        }
        at = begin + len;
    }
}

/// Calls `run` with the end of a run of whole lines that begins with the buffer, and which it is
/// to remove, until the stream ends. Lines over the limit are skipped and reported.
fn each_run(pump: &mut Pump<'_>, mut run: impl FnMut(&mut Pump<'_>, usize) -> Flow) -> Flow {
    let mut target = pump.block_len;
    let mut looked_at = 0;
    loop {
        pump.fill(target);
        let fresh = pump.buffer.get(looked_at..).unwrap_or_default();
        let newline = memrchr(b'\n', fresh).map(|at| looked_at + at + 1);
        match newline {
            _ if pump.ended => {
                let end = pump.buffer.len();
                return if end == 0 { Flow::Continue(()) } else { run(pump, end) };
            }
            Some(end) => {
                run(pump, end)?;
                target = pump.block_len;
                looked_at = 0;
            }
            None if pump.buffer.len() >= pump.record_len_max => {
                skip_line(pump)?;
                target = pump.block_len;
                looked_at = 0;
            }
            None => {
                looked_at = pump.buffer.len();
                target = target.saturating_mul(2).min(pump.record_len_max);
            }
        }
    }
}

/// Reads on to the end of a line that is too long, keeping nothing of it.
fn skip_line(pump: &mut Pump<'_>) -> Flow {
    let begin = pump.position.offset;
    loop {
        let newline = memchr(b'\n', &pump.buffer);
        let len = newline.map_or(pump.buffer.len(), |at| at + 1);
        pump.discard(len, 0);
        if newline.is_some() || (pump.ended && pump.buffer.is_empty()) {
            pump.position.first_record += 1;
            return pump.oversize(begin, pump.position.offset - begin);
        }
        pump.fill(pump.block_len);
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_event_is_not_torn() {
        let check = |lines: &str, expected: usize| {
            assert_eq!(before_last_event(lines.as_bytes()), expected, "{lines}");
        };
        check("type=A msg=audit(1.0:1): x\ntype=A msg=audit(1.0:2): x\ntype=B msg=audit(1.0:2): y\n", 27);
        check("type=A msg=audit(1.0:2): x\ntype=B msg=audit(1.0:2): y\n", 54);
        check("type=A msg=audit(1.0:1): x\nfree text\n", 37);
        check("\n", 1);
        check("", 0);
    }
}
