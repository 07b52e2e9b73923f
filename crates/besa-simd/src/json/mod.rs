//! The quotes of JSON text, found without reading it: where strings begin and end.
//!
//! ```text
//! text     {"Image":"C:\\a.exe","N":1,"Q":"say \"x\""}
//! quotes    ^     ^ ^        ^ ^ ^   ^ ^ ^          ^      escaped ones are no quotes
//! marks     0     0 0        e 0 0   0 0 0          e      e: an escape sequence before it
//! ```
//!
//! Text goes by in blocks of 64 bytes, each of which becomes a few masks of 64 bits
//! (`simdjson`'s method, Langdale and Lemire 2019); all else is arithmetic on the masks. Each
//! unescaped quote gives a [`Mark`]: its position, and what stands between the quote before it
//! and itself: whether an escape sequence does, and whether anything does that no string may
//! hold (RFC 8259 section 7). For a quote that closes a string this is all that reading the
//! string would tell; for one that opens a string it means nothing.
//!
//! Why quotes need no knowledge of what is a string: a backslash stands only in strings, and the
//! run of backslashes before a quote cannot reach past the opening quote. So torn text, in which
//! quotes do not pair up, spoils nothing behind it.
//!
//! Invariants:
//! - What is marked does not depend on the [`Level`]; a property test holds each to the scalar
//!   one, and the scalar one to the definition, read byte by byte.
//! - [`Mark::is_suspect`] may hold of a sound string at the end of the text (digits of a torn
//!   `\u` would lie beyond); it never fails to hold of an unsound one.
//! - Work is linear in the text, memory is the caller's.

#[cfg(target_arch = "x86_64")]
mod x86;

mod scalar;
#[cfg(test)]
mod tests;

/// Length of a block: one bit of a mask for each byte.
const BLOCK_LEN: usize = 64;

/// Longer text cannot be marked: positions have 30 bits.
pub const TEXT_LEN_MAX: usize = 1 << 30;

/// Room that [`Indexer::index`] wants beyond one mark for each byte.
pub const SLACK: usize = BLOCK_LEN;

const IS_ESCAPED: u32 = 1 << 31;
const IS_SUSPECT: u32 = 1 << 30;

/// An unescaped quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Mark(u32);

impl Mark {
    /// Its position in the text.
    #[must_use]
    #[inline]
    pub fn at(self) -> usize {
        (self.0 & !(IS_ESCAPED | IS_SUSPECT)) as usize
    }

    /// Whether a backslash stands between the quote before and this one.
    #[must_use]
    #[inline]
    pub fn is_escaped(self) -> bool {
        self.0 & IS_ESCAPED != 0
    }

    /// Whether a control character or an invalid escape sequence stands there.
    #[must_use]
    #[inline]
    pub fn is_suspect(self) -> bool {
        self.0 & IS_SUSPECT != 0
    }
}

/// Which instructions are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None beyond those of every machine.
    Scalar,
    /// x86-64-v2: SSSE3 to SSE4.2, POPCNT.
    Sse42,
    /// x86-64-v3: AVX2, BMI.
    Avx2,
    /// x86-64-v4, VBMI and VBMI2 (Intel since Ice Lake, AMD since Zen 4).
    Avx512,
}

impl Level {
    /// Every level, the slowest first.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Sse42, Self::Avx2, Self::Avx512];

    /// Whether this machine has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            _ => x86::has(self),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// Marks quotes, stretch by stretch of one text.
#[derive(Clone, Debug)]
pub struct Indexer {
    /// Always available on this machine: [`Indexer::at_level`] sees to it.
    level: Level,
    carry: Carry,
}

/// What one block hands to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Carry {
    /// Whether the first byte is escaped.
    escaped: u64,
    /// Whether a backslash, and something unsound, stands behind the last quote.
    has_escape: bool,
    has_fault: bool,
}

/// What stands where in a block, one bit a byte, the first in the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Masks {
    quote: u64,
    backslash: u64,
    /// Below 0x20.
    control: u64,
    /// May follow a backslash: `"`, `\`, `/`, `b`, `f`, `n`, `r`, `t`, `u`.
    escapable: u64,
    /// `u`.
    unicode: u64,
}

impl Default for Indexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Indexer {
    /// At the best level of this machine.
    #[must_use]
    pub fn new() -> Self {
        let best = Level::ALL.into_iter().rev().find(|level| level.is_available());
        Self { level: best.unwrap_or(Level::Scalar), carry: Carry::default() }
    }

    /// At a level of the caller's choice; `None` where this machine lacks it.
    #[must_use]
    pub fn at_level(level: Level) -> Option<Self> {
        level.is_available().then(|| Self { level, carry: Carry::default() })
    }

    /// To be called before the first stretch of a text.
    pub fn start(&mut self) {
        self.carry = Carry::default();
    }

    /// Marks the quotes in `text[from..to]`, writing them to the front of `marks`, and returns
    /// how many there are. Stretches must follow each other, and each but the last must be a
    /// multiple of 64 bytes long.
    ///
    /// # Panics
    /// When `text` is longer than [`TEXT_LEN_MAX`], the range does not lie in it, or `marks` is
    /// shorter than the range and [`SLACK`].
    pub fn index(&mut self, text: &[u8], from: usize, to: usize, marks: &mut [Mark]) -> usize {
        assert!(text.len() <= TEXT_LEN_MAX, "positions have 30 bits");
        assert!(from <= to && to <= text.len(), "the range lies in the text");
        assert!(marks.len() >= to - from + SLACK, "there is a mark for each byte");
        match self.level {
            #[cfg(target_arch = "x86_64")]
            level @ (Level::Sse42 | Level::Avx2 | Level::Avx512) => {
                x86::index(level, &mut self.carry, text, from, to, marks)
            }
            _ => drive(&mut self.carry, text, from, to, marks, scalar::masks, scalar::emit),
        }
    }
}

/// Block by block: masks of bytes to masks of quotes and faults to marks. Inlined into a function
/// for each level, so that all of it is compiled for that level's instructions.
#[inline(always)]
fn drive(
    carry: &mut Carry,
    text: &[u8],
    from: usize,
    to: usize,
    marks: &mut [Mark],
    masks: impl Fn(&[u8; BLOCK_LEN]) -> Masks,
    emit: impl Fn(&mut [Mark; BLOCK_LEN], u32, Quotes),
) -> usize {
    let mut count = 0;
    let (blocks, tail) = text[from..to].as_chunks::<BLOCK_LEN>();
    for (block, at) in blocks.iter().zip((from..to).step_by(BLOCK_LEN)) {
        let quotes = carry.quotes(masks(block), text, at);
        count += put(&mut marks[count..], at, quotes, &emit);
    }
    if !tail.is_empty() {
        let mut block = [b' '; BLOCK_LEN];
        block[..tail.len()].copy_from_slice(tail);
        let at = to - tail.len();
        let quotes = carry.quotes(masks(&block), text, at);
        count += put(&mut marks[count..], at, quotes, &emit);
    }
    count
}

/// Writes a block's marks to the front of `marks`; returns how many there are. No block has more
/// marks than bytes, so the room that was asked for never ends.
#[inline(always)]
fn put(
    marks: &mut [Mark],
    at: usize,
    quotes: Quotes,
    emit: &impl Fn(&mut [Mark; BLOCK_LEN], u32, Quotes),
) -> usize {
    let room = marks.first_chunk_mut::<BLOCK_LEN>().expect("slack is one block");
    emit(room, u32::try_from(at).unwrap_or(0), quotes);
    quotes.quote.count_ones() as usize
}

/// The unescaped quotes of a block.
#[derive(Clone, Copy, Debug)]
struct Quotes {
    quote: u64,
    /// Those of them before which an escape sequence stands, and something unsound.
    escaped: u64,
    suspect: u64,
}

impl Carry {
    #[inline(always)]
    fn quotes(&mut self, masks: Masks, text: &[u8], at: usize) -> Quotes {
        let escaped = self.escaped(masks.backslash);
        let quote = masks.quote & !escaped;
        let mut fault = masks.control | (escaped & !masks.escapable);
        let unicode = escaped & masks.unicode;
        if unicode != 0 {
            fault |= torn_unicode(unicode, text, at);
        }
        // An unescaped quote is no backslash, but it may be what a `\u` lacks a digit for; the
        // fault then lies at the `u`, before it.
        let (has_escape, escape_goes_on) = before_quotes(quote, masks.backslash, self.has_escape);
        let (has_fault, fault_goes_on) = before_quotes(quote, fault, self.has_fault);
        (self.has_escape, self.has_fault) = (escape_goes_on, fault_goes_on);
        Quotes { quote, escaped: has_escape, suspect: has_fault }
    }

    /// Which bytes a backslash before them escapes: every second one of a run of backslashes, and
    /// what follows a run of odd length (simdjson, `json_escape_scanner`).
    #[inline(always)]
    fn escaped(&mut self, backslash: u64) -> u64 {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        if backslash == 0 {
            return std::mem::take(&mut self.escaped);
        }
        // A subtraction that borrows through each run tells where it ends: at an odd or an even
        // position, counted from where it began.
        let begins = backslash & !self.escaped;
        let behind_or_odd = begins << 1 | ODD;
        let ends = behind_or_odd.wrapping_sub(begins) ^ ODD;
        let escaped = ends ^ (backslash | self.escaped);
        self.escaped = (ends & backslash) >> 63;
        escaped
    }
}

/// For each quote whether one of `bits`, none of which is a quote, lies between the quote before
/// it and itself; and whether one lies behind the last quote. `carry`: one lies before the block,
/// behind its last quote.
///
/// Between quotes the complement of `quote` is a run of ones: adding a bit to it carries out of
/// its upper end, into the quote's zero, and a further bit in the same run meets the carry and
/// changes nothing of that.
#[inline(always)]
fn before_quotes(quote: u64, bits: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = (!quote).overflowing_add(bits);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum & quote, first | second)
}

/// Which of these escaped `u` have less than four hexadecimal digits behind them.
#[cold]
fn torn_unicode(mut unicode: u64, text: &[u8], at: usize) -> u64 {
    let mut torn = 0;
    while unicode != 0 {
        let bit = unicode & unicode.wrapping_neg();
        let digits = at + bit.trailing_zeros() as usize + 1;
        let is_whole =
            text.get(digits..digits + 4).is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit));
        torn |= if is_whole { 0 } else { bit };
        unicode ^= bit;
    }
    torn
}
