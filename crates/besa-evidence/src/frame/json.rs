//! JSON that is not one object a line: pretty-printed objects, objects one after the other,
//! arrays, and exports that wrap their records (`{"Records":[…]}`).
//!
//! ```text
//! {"Records":[ {…} , {…} ],"NextToken":"x"}        what the stream holds
//!              {…} , {…}                            what the block holds: the rest is blanked
//! ```
//!
//! What is no record is overwritten with spaces, so offsets stay true and decoding has nothing to
//! know of wrappers. Everything is looked at once; damage never makes reading go back.

use besa_event::Place;
use memchr::memchr;

use super::{Flow, Pump};
use crate::format::Kind;
use crate::json::{Layout, Scan, Scanned, WRAPPER_HEAD_LEN_MAX, wrapper_head};

pub(super) fn frame(pump: &mut Pump<'_>) -> Flow {
    let mut cutter = Cutter::default();
    let mut target = pump.block_len;
    loop {
        pump.fill(target);
        cutter.run(pump)?;
        if pump.ended && !cutter.waits_for_head {
            return cutter.finish(pump);
        }
        if cutter.end > 0 {
            cutter.emit(pump)?;
            target = pump.block_len;
        } else if cutter.is_idle() {
            cutter.drop_blanks(pump);
            target = pump.block_len;
        } else if cutter.drop_before_record(pump) {
            target = pump.block_len;
        } else if pump.buffer.len() >= pump.record_len_max && !cutter.waits_for_head {
            cutter.drop_record_so_far(pump);
            target = pump.block_len;
        } else {
            target = (target.max(pump.buffer.len()).saturating_mul(2)).min(pump.record_len_max);
        }
        // A wrapper's head must be seen as a whole, whatever the limits.
        target = target.max(if cutter.waits_for_head { cutter.at + WRAPPER_HEAD_LEN_MAX } else { 0 });
    }
}

/// How deep arrays and wrappers around records may be nested; deeper ones are records.
const ENCLOSING_MAX: usize = 8;

#[derive(Clone, Copy, Debug)]
enum Enclosing {
    Array,
    /// A wrapper's array; behind it this many objects are still open.
    Wrapper(u64),
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    Record(Scan),
    /// The rest of a wrapper behind its array.
    Tail(Scan),
    /// Bytes that are no JSON, up to the next line on which a record could begin.
    Garbage,
}

#[derive(Debug, Default)]
struct Cutter {
    state: State,
    enclosing: Vec<Enclosing>,
    /// The next byte to look at.
    at: usize,
    /// Where the record under way begins.
    begin: usize,
    /// Where the last whole record ends.
    end: usize,
    records: u64,
    /// White space before the `{` of the record under way, if its line begins with it.
    indent: Option<usize>,
    /// Offset of a record over the limit, of which nothing is kept.
    oversize_from: Option<u64>,
    /// Offset of bytes that are no JSON, not yet reported.
    garbage_from: Option<u64>,
    /// The buffer ends where a wrapper's head may stand.
    waits_for_head: bool,
}

impl Cutter {
    fn is_idle(&self) -> bool {
        !matches!(self.state, State::Record(_)) && !self.waits_for_head
    }

    /// Looks at everything in the buffer.
    fn run(&mut self, pump: &mut Pump<'_>) -> Flow {
        self.waits_for_head = false;
        while self.at < pump.buffer.len() && !self.waits_for_head {
            match &mut self.state {
                State::Between => self.between(pump)?,
                State::Record(scan) => {
                    let scanned = scan.advance(&pump.buffer, self.at);
                    self.record(pump, scanned)?;
                }
                State::Tail(scan) => {
                    let scanned = scan.advance(&pump.buffer, self.at);
                    self.tail(pump, scanned);
                }
                State::Garbage => self.garbage(pump),
            }
        }
        Flow::Continue(())
    }

    fn between(&mut self, pump: &mut Pump<'_>) -> Flow {
        let Some(byte) = pump.buffer.get(self.at) else { return Flow::Continue(()) };
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => self.at += 1,
            b'{' => {
                self.end_of_garbage(pump)?;
                self.object(pump);
            }
            b'[' if self.enclosing.len() < ENCLOSING_MAX
                && !matches!(self.enclosing.last(), Some(Enclosing::Array)) =>
            {
                self.end_of_garbage(pump)?;
                self.enclosing.push(Enclosing::Array);
                self.blank(pump, self.at + 1);
            }
            b'[' => self.open_record(pump),
            b']' if !self.enclosing.is_empty() => {
                self.end_of_garbage(pump)?;
                if let Some(Enclosing::Wrapper(levels)) = self.enclosing.pop() {
                    self.state = State::Tail(Scan::inside(levels));
                }
                self.blank(pump, self.at + 1);
            }
            _ => {
                self.garbage_from.get_or_insert(pump.position.offset + self.at as u64);
                self.state = State::Garbage;
            }
        }
        Flow::Continue(())
    }

    fn object(&mut self, pump: &mut Pump<'_>) {
        let rest = pump.buffer.get(self.at..).unwrap_or_default();
        if rest.len() < WRAPPER_HEAD_LEN_MAX && !pump.ended {
            self.waits_for_head = true;
            return;
        }
        let head = if self.enclosing.len() < ENCLOSING_MAX { wrapper_head(rest) } else { None };
        match head {
            Some((len, levels)) => {
                self.enclosing.push(Enclosing::Wrapper(levels));
                self.blank(pump, self.at + len);
            }
            None => self.open_record(pump),
        }
    }

    fn open_record(&mut self, pump: &Pump<'_>) {
        let before = pump.buffer.get(..self.at).unwrap_or_default();
        let spaces = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_begin = before.len() - spaces;
        let begins_line = match line_begin.checked_sub(1) {
            Some(at) => before.get(at) == Some(&b'\n'),
            None => pump.position.offset == 0,
        };
        self.indent = begins_line.then_some(spaces);
        self.begin = self.at;
        self.state = State::Record(Scan::default());
    }

    fn record(&mut self, pump: &mut Pump<'_>, scanned: Scanned) -> Flow {
        let (end, next) = match scanned {
            Scanned::More => {
                self.at = pump.buffer.len();
                return Flow::Continue(());
            }
            Scanned::Complete(end) => (end, State::Between),
            Scanned::Torn(end) if pump.buffer.get(end) == Some(&b'{') => (end, State::Between),
            Scanned::Torn(end) => {
                self.garbage_from = Some(pump.position.offset + end as u64);
                (end, State::Garbage)
            }
        };
        self.state = next;
        self.at = end;
        match self.oversize_from.take() {
            None => {
                self.end = end;
                self.records += 1;
                Flow::Continue(())
            }
            Some(from) => {
                self.blank_range(pump, self.begin, end);
                pump.position.first_record += 1;
                pump.oversize(from, pump.position.offset + end as u64 - from)
            }
        }
    }

    fn tail(&mut self, pump: &mut Pump<'_>, scanned: Scanned) {
        let end = match scanned {
            Scanned::More => pump.buffer.len(),
            Scanned::Complete(end) | Scanned::Torn(end) => {
                self.state = State::Between;
                end.max(self.at)
            }
        };
        self.blank(pump, end);
    }

    /// Skips to the next line that begins as the damaged record's did: with `{` behind as much
    /// white space.
    fn garbage(&mut self, pump: &mut Pump<'_>) {
        let rest = pump.buffer.get(self.at..).unwrap_or_default();
        let Some(newline) = memchr(b'\n', rest) else {
            self.blank(pump, pump.buffer.len());
            return;
        };
        let line = rest.get(newline + 1..).unwrap_or_default();
        let spaces = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let fits = self.indent.is_none_or(|indent| indent == spaces);
        match line.get(spaces) {
            Some(b'{') if fits => self.state = State::Between,
            // Not enough read to tell: wait at the line break, unless nothing more comes.
            None if !pump.ended && newline > 0 => {
                self.blank(pump, self.at + newline);
                return;
            }
            None if !pump.ended && spaces < WRAPPER_HEAD_LEN_MAX => {
                self.waits_for_head = true;
                return;
            }
            _ => {}
        }
        self.blank(pump, self.at + newline + 1);
    }

    fn end_of_garbage(&mut self, pump: &mut Pump<'_>) -> Flow {
        let Some(from) = self.garbage_from.take() else { return Flow::Continue(()) };
        let len = (pump.position.offset + self.at as u64).saturating_sub(from);
        pump.defect(Place::Offset(from), format!("{len} bytes that are no JSON were skipped"))
    }

    /// Blanks up to `to` and goes on there.
    fn blank(&mut self, pump: &mut Pump<'_>, to: usize) {
        self.blank_range(pump, self.at, to);
        self.at = to;
    }

    fn blank_range(&self, pump: &mut Pump<'_>, from: usize, to: usize) {
        for byte in pump.buffer.get_mut(from..to).unwrap_or_default() {
            // Line breaks stay: decoding must see a torn string end where framing saw it.
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }

    fn emit(&mut self, pump: &mut Pump<'_>) -> Flow {
        let end = self.end;
        let records = std::mem::take(&mut self.records);
        self.at -= end.min(self.at);
        self.begin = self.begin.saturating_sub(end);
        self.end = 0;
        pump.emit(&Kind::Json(Layout::Values), end, records)
    }

    fn drop_blanks(&mut self, pump: &mut Pump<'_>) {
        pump.discard(self.at, 0);
        self.at = 0;
    }

    /// Makes room when what stands before the record under way is of no use any more.
    fn drop_before_record(&mut self, pump: &mut Pump<'_>) -> bool {
        let useless = if self.waits_for_head { 0 } else { self.begin };
        pump.discard(useless, 0);
        self.at -= useless;
        self.begin -= useless;
        useless > 0
    }

    /// The record under way is over the limit: nothing of it is kept.
    fn drop_record_so_far(&mut self, pump: &mut Pump<'_>) {
        self.oversize_from.get_or_insert(pump.position.offset + self.begin as u64);
        pump.discard(self.at, 0);
        (self.at, self.begin) = (0, 0);
    }

    /// The stream is over: a record under way is torn, and decoding says so.
    fn finish(mut self, pump: &mut Pump<'_>) -> Flow {
        if let Some(from) = self.oversize_from {
            let len = pump.position.offset + self.at as u64 - from;
            self.drop_blanks(pump);
            return pump.oversize(from, len);
        }
        if matches!(self.state, State::Record(_)) {
            self.end = pump.buffer.len();
            self.records += 1;
        }
        self.end_of_garbage(pump)?;
        self.emit(pump)?;
        pump.discard(pump.buffer.len(), 0);
        Flow::Continue(())
    }
}
