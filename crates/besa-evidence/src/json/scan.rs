//! Where a JSON value ends, without reading it: brackets are counted outside of strings.
//!
//! Damage shows where no valid JSON could stand: a line break inside a string, or a `{` that
//! follows neither `:` nor `,` nor `[`. A torn record is given up there, so that it costs
//! itself and not everything behind it.

use memchr::memchr3;

/// The state between two stretches of one value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    depth: u64,
    /// Whether each open bracket is an array's, the innermost in the lowest bit.
    arrays: u64,
    in_string: bool,
    escaped: bool,
    /// The last byte that was no white space and not inside a string.
    last: u8,
}

/// How far a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// It ends before this position.
    Complete(usize),
    /// It is damaged at this position.
    Torn(usize),
    /// It goes on behind the bytes given.
    More,
}

impl Scan {
    /// As if `depth` brackets had been opened before.
    pub(crate) fn inside(depth: u64) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Goes on at `from`, the first byte that was not scanned yet.
    pub(crate) fn advance(&mut self, bytes: &[u8], from: usize) -> Scanned {
        let mut at = from;
        loop {
            if self.in_string {
                match self.string(bytes, at) {
                    Scanned::Complete(end) => at = end,
                    other => return other,
                }
            }
            let Some(byte) = bytes.get(at) else { return Scanned::More };
            match byte {
                b'"' => self.in_string = true,
                b'{' if self.is_misplaced() => return Scanned::Torn(at),
                b'{' | b'[' => {
                    self.depth += 1;
                    self.arrays = self.arrays << 1 | u64::from(*byte == b'[');
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.arrays >>= 1;
                    if self.depth == 0 {
                        return Scanned::Complete(at + 1);
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            self.last = *byte;
            at += 1;
        }
    }

    /// Whether no object can begin here.
    fn is_misplaced(&self) -> bool {
        match self.last {
            _ if self.depth == 0 || self.depth > 64 => false,
            b',' | b'[' => self.arrays & 1 == 0,
            last => last != b':',
        }
    }

    fn string(&mut self, bytes: &[u8], from: usize) -> Scanned {
        let mut at = from;
        loop {
            if self.escaped {
                if at >= bytes.len() {
                    return Scanned::More;
                }
                self.escaped = false;
                at += 1;
            }
            let Some(found) = memchr3(b'"', b'\\', b'\n', bytes.get(at..).unwrap_or_default()) else {
                return Scanned::More;
            };
            at += found;
            match bytes.get(at) {
                Some(b'"') => {
                    self.in_string = false;
                    return Scanned::Complete(at + 1);
                }
                Some(b'\\') => self.escaped = true,
                _ => return Scanned::Torn(at),
            }
            at += 1;
        }
    }
}
