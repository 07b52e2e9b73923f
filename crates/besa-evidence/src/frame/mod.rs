//! Framing: a stream of bytes becomes blocks of whole records, without decoding them.
//!
//! ```text
//! stream ──fill──▶ buffer  [rec][rec][rec][re…   ──emit──▶ Block (whole records)
//!                                        [re…    stays and is completed by the next fill
//! ```
//!
//! A buffer grows past the size of a block only while a single record is longer than it; a
//! record longer than [`Limits::record_len_bytes_max`] is skipped and reported with its offset
//! and length. Growth doubles, so a long record is looked at a logarithmic number of times.
//! When a stream fails (a torn gz), what was read before is framed, then the failure reported.

use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use besa_event::Place;

use crate::context::{Limits, Position};
use crate::format::Kind;

use self::window::Window;

mod csv;
mod evtx;
mod json;
mod lines;
mod window;

/// Whether the caller wants more.
pub(crate) type Flow = ControlFlow<()>;

/// Where framing puts what it finds.
pub(crate) trait Outlet {
    fn limits(&self) -> &Limits;
    /// A buffer, recycled if there is one; what it holds is of no use.
    fn buffer(&mut self) -> Vec<u8>;
    fn block(&mut self, kind: &Kind, bytes: Vec<u8>, position: Position) -> Flow;
    fn defect(&mut self, place: Place, reason: String) -> Flow;
}

/// Frames a whole stream whose first byte is at `offset` of its origin; returns how many bytes
/// there were.
pub(crate) fn frame(
    kind: Kind,
    input: &mut dyn Read,
    offset: u64,
    outlet: &mut dyn Outlet,
) -> ControlFlow<(), u64> {
    let mut pump = Pump::new(input, offset, outlet);
    match &kind {
        Kind::Evtx => evtx::frame(&mut pump)?,
        Kind::Json(crate::json::Layout::Values) => json::frame(&mut pump)?,
        Kind::Csv(header) => csv::frame(&mut pump, header)?,
        Kind::Zeek(_) | Kind::Iis(_) => lines::frame_with_headers(&mut pump, kind)?,
        _ => lines::frame(&mut pump, &kind)?,
    }
    pump.finish()
}

/// The stream, and the stretch of it that is being cut.
struct Pump<'a> {
    input: &'a mut dyn Read,
    outlet: &'a mut dyn Outlet,
    buffer: Window,
    /// Where the buffer's first byte stands.
    position: Position,
    ended: bool,
    failure: Option<io::Error>,
    /// A block is cut at this length; never above the longest record, so that no record in a
    /// block can be over that limit.
    block_len: usize,
    record_len_max: usize,
}

impl<'a> Pump<'a> {
    fn new(input: &'a mut dyn Read, offset: u64, outlet: &'a mut dyn Outlet) -> Self {
        let record_len_max = outlet.limits().record_len_bytes_max.max(1);
        let block_len = outlet.limits().block_len_bytes.clamp(1, record_len_max);
        let buffer = Window::new(outlet.buffer());
        let position = Position { offset, first_record: 1 };
        Self { input, outlet, buffer, position, ended: false, failure: None, block_len, record_len_max }
    }

    /// Reads until the buffer holds `len` bytes or the stream ends.
    fn fill(&mut self, len: usize) {
        while !self.ended && self.buffer.len() < len {
            match self.buffer.read(self.input, len) {
                Ok(count) => self.ended = count == 0,
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => {
                    self.ended = true;
                    self.failure = Some(failure);
                }
            }
        }
    }

    /// Sends the first `len` bytes, which hold `records` records, as a block.
    fn emit(&mut self, kind: &Kind, len: usize, records: u64) -> Flow {
        if len == 0 {
            return Flow::Continue(());
        }
        let mut next = Window::new(self.outlet.buffer());
        next.extend(self.buffer.get(len..).unwrap_or_default());
        let bytes = std::mem::replace(&mut self.buffer, next).into_bytes(len);
        let position = self.position;
        self.advance(len, records);
        self.outlet.block(kind, bytes, position)
    }

    /// Sends a copy of a part of the buffer, which stays.
    fn emit_copy(&mut self, kind: &Kind, range: Range<usize>, first_record: u64) -> Flow {
        if range.is_empty() {
            return Flow::Continue(());
        }
        let offset = self.position.offset + range.start as u64;
        let mut bytes = self.outlet.buffer();
        bytes.clear();
        bytes.extend_from_slice(self.buffer.get(range).unwrap_or_default());
        self.outlet.block(kind, bytes, Position { offset, first_record })
    }

    /// Drops the first `len` bytes, which hold `records` records.
    fn discard(&mut self, len: usize, records: u64) {
        let len = len.min(self.buffer.len());
        self.buffer.discard(len);
        self.advance(len, records);
    }

    fn advance(&mut self, len: usize, records: u64) {
        self.position.offset += len as u64;
        self.position.first_record += records;
    }

    fn defect(&mut self, place: Place, reason: String) -> Flow {
        self.outlet.defect(place, reason)
    }

    /// Reports a record over the limit; `offset` is where it begins.
    fn oversize(&mut self, offset: u64, len: u64) -> Flow {
        let max = self.record_len_max;
        let reason = format!("a record of {len} bytes is over the limit of {max} bytes and was skipped");
        self.defect(Place::Offset(offset), reason)
    }

    fn finish(mut self) -> ControlFlow<(), u64> {
        let end = self.position.offset + self.buffer.len() as u64;
        if let Some(failure) = self.failure.take() {
            self.defect(Place::Offset(end), describe(&failure))?;
        }
        ControlFlow::Continue(end)
    }
}

/// Why a stream could not be read to its end.
pub(crate) fn describe(failure: &io::Error) -> String {
    match failure.kind() {
        io::ErrorKind::UnexpectedEof => "the stream ends too early; what stands before was read".to_owned(),
        _ => format!("cannot be read further: {failure}"),
    }
}
