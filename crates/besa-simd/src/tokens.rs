//! Where in a text a network observable can stand: words with a dot, hexadecimal digests,
//! `://`, runs of colons.
//!
//! ```text
//! 64 bytes ─▶ masks of classes (one bit a byte) ─▶ marks: what makes a run a candidate
//!                                              └─▶ runs around the marks ─▶ Candidate
//! ```
//! Whatever has no mark costs a few instructions per 64 bytes. Runs go over the borders of blocks:
//! where the open one began is carried along (`Runs`). Marks look backward only (a dot counts at
//! the byte after it), so that a block needs nothing of the next.
//!
//! # Classes
//! - word: ASCII letters and digits, `.`, `-`, `_`, bytes from 0x80 on; label: word without `.`;
//! - plain: ASCII letters and digits, bytes from 0x80 on;
//! - hex: hexadecimal digits; colons: hex, `:` and `.`.
//!
//! # Soundness
//! The only unsafe acts are loads of 16, 32 or 64 bytes from a reference to an array of 64, which
//! are inside it, and calls of functions that need AVX2 or AVX-512BW after both the processor and
//! the system were found to have it.
//!
//! [`find_scalar`] is the twin: it walks the definitions of [`Candidate`] byte by byte.

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// A maximal run of word bytes, of which some `.` has a label byte on either side.
    Dotted(Word),
    /// A maximal run of plain bytes, all of them hexadecimal digits, of length 32, 40, 64 or 128.
    Digest {
        /// First byte.
        start: usize,
        /// After the last byte.
        end: usize,
    },
    /// `://` after an ASCII letter, digit or a byte from 0x80 on.
    Scheme {
        /// The colon.
        colon: usize,
    },
    /// A maximal run of hex digits, colons and dots, with `::` somewhere or with at least six
    /// colons that each have a hex digit on either side.
    Colons {
        /// First byte.
        start: usize,
        /// After the last byte.
        end: usize,
    },
}

/// A run of word bytes, and what its last 64 bytes are; bit 63 speaks of the last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    /// First byte.
    pub start: usize,
    /// After the last byte.
    pub end: usize,
    /// The dots.
    pub dots: u64,
    /// The decimal digits.
    pub digits: u64,
}

impl Word {
    /// A word that is known otherwise. What is out of range holds neither dots nor digits.
    #[must_use]
    pub fn of(text: &[u8], start: usize, end: usize) -> Self {
        let word = text.get(start..end).unwrap_or_default();
        let mask = |is: fn(&u8) -> bool| {
            let last = word.iter().rev().take(64).enumerate();
            last.fold(0, |mask, (at, byte)| mask | u64::from(is(byte)) << (63 - at))
        };
        Self { start, end, dots: mask(|byte| *byte == b'.'), digits: mask(u8::is_ascii_digit) }
    }

    /// How long it is, in bytes.
    #[must_use]
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is nothing in it; not so for a candidate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Colons that a written-out IPv6 address has at least (eight groups, the last two as IPv4).
const COLONS_MIN: u32 = 6;

/// Classes of 64 bytes; bit n speaks of byte n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Masks {
    /// ASCII letters and digits, bytes from 0x80 on.
    plain: u64,
    hex: u64,
    digit: u64,
    dot: u64,
    /// `-` and `_`.
    joint: u64,
    colon: u64,
    slash: u64,
}

/// Who is told of candidates. Words are by far the most, so they come by a way of their own.
pub trait Visitor {
    /// Takes a [`Candidate::Dotted`].
    fn word(&mut self, word: Word);
    /// Takes any other.
    fn other(&mut self, candidate: Candidate);
}

impl<F: FnMut(Candidate)> Visitor for F {
    #[inline(always)]
    fn word(&mut self, word: Word) {
        self(Candidate::Dotted(word));
    }

    #[inline(always)]
    fn other(&mut self, candidate: Candidate) {
        self(candidate);
    }
}

/// Finds every candidate of a text, in no particular order.
///
/// ```
/// use besa_simd::tokens::{Candidate, find};
///
/// let mut found = Vec::new();
/// find(b"GET http://evil.example/ 10 ms", &mut |candidate| found.push(candidate));
/// found.sort();
/// assert_eq!(found[1], Candidate::Scheme { colon: 8 });
/// assert!(matches!(found[0], Candidate::Dotted(word) if (word.start, word.end) == (11, 23)));
/// ```
#[inline]
pub fn find(text: &[u8], see: &mut impl Visitor) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") {
            // SAFETY: the feature was found just now.
            unsafe { x86::find_avx512(text, see) };
        } else if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was found just now.
            unsafe { x86::find_avx2(text, see) };
        } else {
            x86::find_sse2(text, see);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    drive(text, see, masks_scalar);
}

/// Runs of one class with a mark in them, followed over the borders of blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Marked {
    /// Where the run began that a byte at the start of the next block would belong to.
    open_start: usize,
    /// Whether it has a mark.
    open: bool,
}

impl Marked {
    /// Takes the next 64 bytes; `see` is told start and end of every run with a mark that ended.
    /// Marks lie in runs.
    #[inline(always)]
    fn block(&mut self, base: usize, run: u64, marks: u64, see: &mut impl FnMut(usize, usize)) {
        // A mark carries to the byte behind its run; what others of the same run add stays inside.
        let (sum, out) = run.overflowing_add(marks);
        let (sum, open_out) = sum.overflowing_add(u64::from(self.open));
        self.open = out | open_out;
        let mut ends = sum & !run;
        while ends != 0 {
            let end = ends.trailing_zeros();
            let gaps = !run & below(end);
            let start = if gaps == 0 { self.open_start } else { base + 64 - gaps.leading_zeros() as usize };
            see(start, base + end as usize);
            ends &= ends - 1;
        }
        self.open_start = open_start(self.open_start, base, run);
    }
}

/// Where the run began that goes on in the next block, told from where it began before.
#[inline(always)]
fn open_start(before: usize, base: usize, run: u64) -> usize {
    let open = run.leading_ones() as usize;
    if open < 64 { base + 64 - open } else { before }
}

/// The same where the marks of a run count.
#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    /// Where the run began that a word byte at the start of the next block would belong to.
    open_start: usize,
    /// Marks in the open run so far.
    open_marks: u32,
}

impl Runs {
    /// Takes the next 64 bytes; `see` is told start, end and marks of every run with a mark that
    /// ended. A heavy mark counts [`COLONS_MIN`] more.
    #[inline(always)]
    fn block(
        &mut self,
        base: usize,
        run: u64,
        marks: u64,
        heavy: u64,
        see: &mut impl FnMut(usize, usize, u32),
    ) {
        let mut marks = marks;
        let all = marks;
        let count = |range: u64| (all & range).count_ones() + COLONS_MIN * (heavy & range).count_ones();
        if self.open_marks > 0 {
            let end = run.trailing_ones();
            self.open_marks = self.open_marks.saturating_add(count(below(end)));
            if end == 64 {
                return;
            }
            see(self.open_start, base + end as usize, self.open_marks);
            self.open_marks = 0;
            marks &= !below(end);
        }
        while marks != 0 {
            let at = marks.trailing_zeros();
            let gaps = !run & below(at);
            let start = if gaps == 0 { self.open_start } else { base + 64 - gaps.leading_zeros() as usize };
            let end = at + (run >> at).trailing_ones();
            let inside = count(below(end) & !below(at));
            if end == 64 {
                self.open_marks = inside;
                self.open_start = start;
                break;
            }
            see(start, base + end as usize, inside);
            marks &= !below(end);
        }
        self.open_start = open_start(self.open_start, base, run);
    }
}

/// The lowest `bits` bits, of 0 to 64.
#[inline(always)]
fn below(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// Shifts to the bytes that follow, with what the block before hands over.
#[inline(always)]
fn after(mask: u64, before: u64, bytes: u32) -> u64 {
    mask << bytes | before >> (64 - bytes)
}

/// The topmost bits, as many as a run is long.
#[inline(always)]
fn above(len: usize) -> u64 {
    if len >= 64 { u64::MAX } else { !(u64::MAX >> len) }
}

/// The 64 bytes before place `end` (0 to 64) of the block, from this block and the one before.
#[inline(always)]
fn until(before: u64, now: u64, end: usize) -> u64 {
    ((u128::from(now) << 64 | u128::from(before)) >> end) as u64
}

/// The topmost bit of every 16-bit lane that is all ones. Whatever has 31 ones in a row has such
/// a lane.
#[inline(always)]
fn full_lanes(mask: u64) -> u64 {
    const TOP: u64 = 0x8000_8000_8000_8000;
    // The lower 15 bits of a lane carry into its top bit only from all ones.
    ((mask & !TOP) + 0x0001_0001_0001_0001) & mask & TOP
}

/// State of a pass.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    before: Masks,
    words: Marked,
    digests: Marked,
    colons: Runs,
}

impl Pass {
    /// Takes the next blocks; each kind of candidate on its own, so that its few numbers stay in
    /// registers.
    #[inline(always)]
    fn blocks(&mut self, text: &[u8], base: usize, blocks: &[Masks], see: &mut impl Visitor) {
        self.words(base, blocks, see);
        self.digests(text, base, blocks, see);
        self.colons(base, blocks, see);
        self.schemes(base, blocks, see);
        self.before = blocks.last().copied().unwrap_or(self.before);
    }

    #[inline(always)]
    fn words(&mut self, mut base: usize, blocks: &[Masks], see: &mut impl Visitor) {
        let mut before = self.before;
        for masks in blocks {
            let label = masks.plain | masks.joint;
            let label_before = before.plain | before.joint;
            let dotted = label & after(masks.dot, before.dot, 1) & after(label, label_before, 2);
            self.words.block(base, label | masks.dot, dotted, &mut |start, end| {
                let inside = above(end - start);
                let dots = until(before.dot, masks.dot, end - base) & inside;
                let digits = until(before.digit, masks.digit, end - base) & inside;
                see.word(Word { start, end, dots, digits });
            });
            before = *masks;
            base += 64;
        }
    }

    #[inline(always)]
    fn digests(&mut self, text: &[u8], mut base: usize, blocks: &[Masks], see: &mut impl Visitor) {
        for masks in blocks {
            self.digests.block(base, masks.plain, full_lanes(masks.hex), &mut |start, end| {
                if is_digest(text, start, end) {
                    see.other(Candidate::Digest { start, end });
                }
            });
            base += 64;
        }
    }

    #[inline(always)]
    fn colons(&mut self, mut base: usize, blocks: &[Masks], see: &mut impl Visitor) {
        let mut before = self.before;
        for masks in blocks {
            let colon_before = after(masks.colon, before.colon, 1);
            let spaced = masks.hex & colon_before & after(masks.hex, before.hex, 2);
            let double = masks.colon & colon_before;
            let run = masks.hex | masks.colon | masks.dot;
            self.colons.block(base, run, spaced | double, double, &mut |start, end, count| {
                if count >= COLONS_MIN {
                    see.other(Candidate::Colons { start, end });
                }
            });
            before = *masks;
            base += 64;
        }
    }

    #[inline(always)]
    fn schemes(&mut self, mut base: usize, blocks: &[Masks], see: &mut impl Visitor) {
        let mut before = self.before;
        for masks in blocks {
            let mut schemes = masks.slash
                & after(masks.slash, before.slash, 1)
                & after(masks.colon, before.colon, 2)
                & after(masks.plain, before.plain, 3);
            while schemes != 0 {
                see.other(Candidate::Scheme { colon: base + schemes.trailing_zeros() as usize - 2 });
                schemes &= schemes - 1;
            }
            before = *masks;
            base += 64;
        }
    }
}

/// Blocks whose masks are held at once.
const BLOCKS_MAX: usize = 8;

/// The pass over a text; `masks` tells the classes of 64 bytes.
#[inline(always)]
fn drive(text: &[u8], see: &mut impl Visitor, masks: impl Fn(&[u8; 64]) -> Masks) {
    let mut pass = Pass::default();
    let mut held = [Masks::default(); BLOCKS_MAX];
    let (blocks, rest) = text.as_chunks::<64>();
    let mut base = 0;
    let mut groups = blocks.chunks_exact(BLOCKS_MAX);
    for group in &mut groups {
        for (block, held) in group.iter().zip(&mut held) {
            *held = masks(block);
        }
        pass.blocks(text, base, &held, see);
        base += BLOCKS_MAX * 64;
    }
    let group = groups.remainder();
    for (block, held) in group.iter().zip(&mut held) {
        *held = masks(block);
    }
    // What is no byte of the text is of no class and ends every run, the open ones too.
    let last = match text.last_chunk::<64>() {
        Some(chunk) => masks(chunk).without_first(64 - rest.len()),
        None => {
            let mut last = [0; 64];
            if let Some(start) = last.get_mut(..rest.len()) {
                start.copy_from_slice(rest);
            }
            masks(&last)
        }
    };
    if let Some(held) = held.get_mut(group.len()) {
        *held = last;
    }
    pass.blocks(text, base, held.get(..=group.len()).unwrap_or_default(), see);
}

impl Masks {
    /// The classes behind the first so many bytes (0 to 64) of the block.
    #[inline(always)]
    fn without_first(self, place: usize) -> Self {
        let from = |mask: u64| mask.checked_shr(place as u32).unwrap_or(0);
        Self {
            plain: from(self.plain),
            hex: from(self.hex),
            digit: from(self.digit),
            dot: from(self.dot),
            joint: from(self.joint),
            colon: from(self.colon),
            slash: from(self.slash),
        }
    }
}

fn is_digest(text: &[u8], start: usize, end: usize) -> bool {
    // Without a way out of the loop, so that it takes many bytes at a time.
    let all_hex = |run: &[u8]| run.iter().fold(true, |all, byte| all & byte.is_ascii_hexdigit());
    matches!(end - start, 32 | 40 | 64 | 128) && text.get(start..end).is_some_and(all_hex)
}

/// The classes byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn masks_scalar(block: &[u8; 64]) -> Masks {
    let mut masks = Masks::default();
    for (at, byte) in block.iter().enumerate() {
        let bit = |holds: bool| u64::from(holds) << at;
        masks.plain |= bit(byte.is_ascii_alphanumeric() || *byte >= 0x80);
        masks.hex |= bit(byte.is_ascii_hexdigit());
        masks.digit |= bit(byte.is_ascii_digit());
        masks.dot |= bit(*byte == b'.');
        masks.joint |= bit(matches!(byte, b'-' | b'_'));
        masks.colon |= bit(*byte == b':');
        masks.slash |= bit(*byte == b'/');
    }
    masks
}

/// The slow twin of [`find`]: the definitions of [`Candidate`], word for word.
pub fn find_scalar(text: &[u8], see: &mut impl FnMut(Candidate)) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
    let label = |byte: u8| plain(byte) || matches!(byte, b'-' | b'_');
    let hex = |byte: u8| byte.is_ascii_hexdigit();
    let between = |run: &[u8], inner: u8, side: &dyn Fn(u8) -> bool| {
        run.windows(3).filter(|three| side(three[0]) && three[1] == inner && side(three[2])).count()
    };
    runs(text, |byte| label(byte) || byte == b'.', &mut |start, end| {
        if between(&text[start..end], b'.', &label) > 0 {
            see(Candidate::Dotted(Word::of(text, start, end)));
        }
    });
    runs(text, plain, &mut |start, end| {
        if is_digest(text, start, end) {
            see(Candidate::Digest { start, end });
        }
    });
    runs(text, |byte| hex(byte) || matches!(byte, b':' | b'.'), &mut |start, end| {
        let run = &text[start..end];
        let double = run.windows(2).any(|two| two == b"::");
        if double || between(run, b':', &hex) >= COLONS_MIN as usize {
            see(Candidate::Colons { start, end });
        }
    });
    for (at, four) in text.windows(4).enumerate() {
        if plain(four[0]) && four[1..] == *b"://" {
            see(Candidate::Scheme { colon: at + 1 });
        }
    }
}

/// Maximal runs of bytes of a class.
fn runs(text: &[u8], class: impl Fn(u8) -> bool, see: &mut dyn FnMut(usize, usize)) {
    let mut at = 0;
    while at < text.len() {
        let len = text[at..].iter().take_while(|byte| class(**byte)).count();
        if len > 0 {
            see(at, at + len);
        }
        at += len.max(1);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Masks, Visitor, drive};

    pub(super) fn find_sse2(text: &[u8], see: &mut impl Visitor) {
        drive(text, see, |block| {
            let mut all = Masks::default();
            for (part, quarter) in block.as_chunks::<16>().0.iter().enumerate() {
                all.add(sse2(quarter), part as u32 * 16);
            }
            all
        });
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn find_avx2(text: &[u8], see: &mut impl Visitor) {
        drive(text, see, |block| {
            let mut all = Masks::default();
            for (part, half) in block.as_chunks::<32>().0.iter().enumerate() {
                all.add(avx2(half), part as u32 * 32);
            }
            all
        });
    }

    #[target_feature(enable = "avx512bw,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn find_avx512(text: &[u8], see: &mut impl Visitor) {
        drive(text, see, |block| avx512(block));
    }

    impl Masks {
        /// Puts the masks of a part of the block in their place.
        #[inline(always)]
        fn add(&mut self, part: Masks, shift: u32) {
            self.plain |= part.plain << shift;
            self.hex |= part.hex << shift;
            self.digit |= part.digit << shift;
            self.dot |= part.dot << shift;
            self.joint |= part.joint << shift;
            self.colon |= part.colon << shift;
            self.slash |= part.slash << shift;
        }
    }

    /// Letters are compared with bit 0x20 set. `x` lies in `low ..= low + span` when
    /// `x - low`, modulo 256, is at most `span`.
    #[inline]
    fn sse2(quarter: &[u8; 16]) -> Masks {
        // SAFETY: the reference is to 16 readable bytes; the load needs no alignment. SSE2 is part
        // of every x86-64 processor.
        unsafe {
            let bytes = _mm_loadu_si128(quarter.as_ptr().cast());
            let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
            let within = |of: __m128i, low: u8, span: u8| {
                let from = _mm_sub_epi8(of, _mm_set1_epi8(low.cast_signed()));
                _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8(span.cast_signed())), from)
            };
            let bits = |mask: __m128i| u64::from(_mm_movemask_epi8(mask).cast_unsigned());
            let folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
            let digit = within(bytes, b'0', 9);
            let letter = within(folded, b'a', 25);
            Masks {
                // The sign bits are those of bytes from 0x80 on.
                plain: bits(_mm_or_si128(_mm_or_si128(digit, letter), bytes)),
                hex: bits(_mm_or_si128(digit, within(folded, b'a', 5))),
                digit: bits(digit),
                dot: bits(is(b'.')),
                joint: bits(_mm_or_si128(is(b'-'), is(b'_'))),
                colon: bits(is(b':')),
                slash: bits(is(b'/')),
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn avx2(half: &[u8; 32]) -> Masks {
        // SAFETY: the reference is to 32 readable bytes; the load needs no alignment.
        let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
        let is = |byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte.cast_signed()));
        let within = |of: __m256i, low: u8, span: u8| {
            let from = _mm256_sub_epi8(of, _mm256_set1_epi8(low.cast_signed()));
            _mm256_cmpeq_epi8(_mm256_min_epu8(from, _mm256_set1_epi8(span.cast_signed())), from)
        };
        let bits = |mask: __m256i| u64::from(_mm256_movemask_epi8(mask).cast_unsigned());
        let folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        let digit = within(bytes, b'0', 9);
        let letter = within(folded, b'a', 25);
        Masks {
            plain: bits(_mm256_or_si256(_mm256_or_si256(digit, letter), bytes)),
            hex: bits(_mm256_or_si256(digit, within(folded, b'a', 5))),
            digit: bits(digit),
            dot: bits(is(b'.')),
            joint: bits(_mm256_or_si256(is(b'-'), is(b'_'))),
            colon: bits(is(b':')),
            slash: bits(is(b'/')),
        }
    }

    #[target_feature(enable = "avx512bw")]
    #[inline]
    fn avx512(block: &[u8; 64]) -> Masks {
        // SAFETY: the reference is to 64 readable bytes; the load needs no alignment.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()));
        let within = |of: __m512i, low: u8, span: u8| {
            let from = _mm512_sub_epi8(of, _mm512_set1_epi8(low.cast_signed()));
            _mm512_cmple_epu8_mask(from, _mm512_set1_epi8(span.cast_signed()))
        };
        let folded = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
        let digit = within(bytes, b'0', 9);
        Masks {
            plain: digit | within(folded, b'a', 25) | _mm512_movepi8_mask(bytes),
            hex: digit | within(folded, b'a', 5),
            digit,
            dot: is(b'.'),
            joint: is(b'-') | is(b'_'),
            colon: is(b':'),
            slash: is(b'/'),
        }
    }
}

/// Asks for the cache line of an element, so that it is there when it is read soon. Without
/// effect on what any program computes; nothing happens for an index out of range.
#[inline]
pub fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = slice.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Finder = fn(&[u8]) -> Vec<Candidate>;

    macro_rules! finder {
        ($find:expr) => {
            |text| {
                let mut found = Vec::new();
                $find(text, &mut |candidate| found.push(candidate));
                found.sort_unstable();
                found
            }
        };
    }

    /// Every way that this processor knows.
    fn finders() -> Vec<(&'static str, Finder)> {
        let mut all: Vec<(&str, Finder)> =
            vec![("blocks", finder!(|text, see: &mut _| drive(text, see, masks_scalar)))];
        #[cfg(target_arch = "x86_64")]
        {
            all.push(("sse2", finder!(x86::find_sse2)));
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the feature was found just now.
                all.push(("avx2", finder!(|text, see: &mut _| unsafe { x86::find_avx2(text, see) })));
            }
            if is_x86_feature_detected!("avx512bw") {
                // SAFETY: the feature was found just now.
                all.push(("avx512", finder!(|text, see: &mut _| unsafe { x86::find_avx512(text, see) })));
            }
        }
        all.push(("dispatch", finder!(find)));
        all
    }

    fn check(text: &[u8]) {
        let expected = finder!(find_scalar)(text);
        for (name, find) in finders() {
            assert_eq!(find(text), expected, "{name} on {:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn every_byte_in_every_place() {
        for byte in 0..=u8::MAX {
            for (before, behind) in [
                ("a.", "b "),
                ("0123456789abcde", "f0123456789abcdef:"),
                ("a:/", "/"),
                ("1:2:3:4:5:6", ":8 "),
            ] {
                for gap in [0, 1, 47, 60, 61, 62, 63, 64] {
                    let mut text = vec![b' '; gap];
                    text.extend_from_slice(before.as_bytes());
                    text.push(byte);
                    text.extend_from_slice(behind.as_bytes());
                    check(&text);
                }
            }
        }
    }

    #[test]
    fn runs_over_the_borders_of_blocks() {
        for piece in ["a.", "0123456789abcdef", ":", "a:", "x", "://", "é.", "1::", "", "a://b.c "] {
            for times in 0..80 {
                check(piece.repeat(times).as_bytes());
                check(format!(" {} ", piece.repeat(times)).as_bytes());
            }
        }
        for digits in 28..140 {
            for gap in 0..70 {
                check(format!("{}{} ", " ".repeat(gap), "a".repeat(digits)).as_bytes());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn equal_to_the_scalar_twin(
            pieces in prop::collection::vec(prop_oneof![
                4 => "[a-c0-2.:/ _-]{0,12}".prop_map(String::into_bytes),
                1 => "[0-9a-f]{30,66}".prop_map(String::into_bytes),
                1 => "([0-9a-f]{1,4}:){5,8}[0-9a-f]".prop_map(String::into_bytes),
                1 => prop::collection::vec(any::<u8>(), 0..40),
                1 => "https?://[a-z.]{1,20}".prop_map(String::into_bytes),
            ], 0..24)
        ) {
            check(&pieces.concat());
        }
    }
}
