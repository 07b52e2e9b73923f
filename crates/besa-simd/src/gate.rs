//! Whether any of a few literals can occur in a text, whatever the case of its letters.
//!
//! ```text
//! literal  mimikatz ─▶ key: four bytes of it      ikat
//! text     64 places ─▶ a table by lower and by upper half of a byte, for each byte of a key
//!                       (both cases of a letter share the lower half)
//!                    ─▶ candidates, one bit a place ─▶ literals whose key may stand there, compared
//! ```
//!
//! Keys fall into eight groups, one bit of a table's byte each: a place is a candidate where one
//! group's bit is in all eight entries. This is `Teddy` of the Hyperscan library (Wang et al. 2019),
//! with a text's case folded by the tables and not by a copy of the text.
//!
//! # Soundness
//! The only unsafe acts are loads of 16, 32 or 64 bytes from a reference to an array of 67 bytes
//! (`WINDOW_LEN`), at most three bytes behind one of its four quarters, two halves or its
//! beginning, which are inside it, and of tables from references to arrays of 16 or 64 bytes; and calls of functions that need instructions which a [`Level`]
//! stands for, after this machine was found to have that level.
//!
//! [`Gate::meets_scalar`] is the twin: it compares each literal at each place.

use crate::json::Level;

/// Bytes of a key.
const KEY_LEN: usize = 4;
/// Places that one step looks at: a bit of a mask for each.
const PLACES: usize = 64;
/// Bytes that one step looks at.
const WINDOW_LEN: usize = PLACES + KEY_LEN - 1;
/// Groups of keys: bits of a byte.
const GROUPS: usize = 8;
/// Shorter literals would be met everywhere.
const LITERAL_LEN_MIN: usize = 3;
/// More literals would make nearly every place a candidate.
const LITERALS_MAX: usize = 64;

/// A few literals to be looked for.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Always available on this machine: [`Gate::at_level`] sees to it.
    level: Level,
    tables: Tables,
    /// Literals by the group of their keys.
    groups: [Vec<Keyed>; GROUPS],
}

/// Which groups have a key whose `n`th byte has that lower, and that upper half; and whose `n`th
/// byte has those lower six bits, for machines that look up by so many.
#[derive(Clone, Copy, Debug)]
struct Tables {
    lower: [[u8; 16]; KEY_LEN],
    upper: [[u8; 16]; KEY_LEN],
    six: [[u8; 64]; KEY_LEN],
}

#[derive(Clone, Debug)]
struct Keyed {
    literal: Box<[u8]>,
    /// Where in the literal its key begins.
    key_at: usize,
}

/// What a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    /// One of the literals, letters in any case.
    pub literal: bool,
    /// Only ASCII; not said where a literal was met.
    pub is_ascii: bool,
}

/// What may stand at 64 places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places {
    /// Some key, one bit a place.
    candidates: u64,
    /// A byte from 0x80 on stands at one of them.
    has_high: bool,
}

impl Gate {
    /// For literals of ASCII, at the best level of this machine. `None` if there is none, if there
    /// are more than 64, or one is shorter than three bytes or not ASCII.
    ///
    /// ```
    /// use besa_simd::gate::Gate;
    ///
    /// let gate = Gate::new(&[b"mimikatz", b"sekurlsa"]).unwrap();
    /// assert!(gate.meets(b"run C:\\MimiKatz.exe").literal);
    /// assert!(!gate.meets(b"nothing to be seen here").literal);
    /// ```
    #[must_use]
    pub fn new(literals: &[&[u8]]) -> Option<Self> {
        let best = Level::ALL.into_iter().rev().find(|level| level.is_available());
        Self::at_level(literals, best.unwrap_or(Level::Scalar))
    }

    /// The same at a level of the caller's choice; `None` where this machine lacks it, too.
    #[must_use]
    pub fn at_level(literals: &[&[u8]], level: Level) -> Option<Self> {
        let is_fit = |literal: &&[u8]| literal.len() >= LITERAL_LEN_MIN && literal.is_ascii();
        let are_fit = (1..=LITERALS_MAX).contains(&literals.len()) && literals.iter().all(is_fit);
        if !are_fit || !level.is_available() {
            return None;
        }
        let mut all: Vec<Keyed> = literals.iter().map(|literal| Keyed::new(literal)).collect();
        // Keys that are alike share their groups, so that a group's tables stay sparse.
        all.sort_by(|a, b| a.key().cmp(b.key()));
        let mut gate = Self { level, tables: Tables::EMPTY, groups: Default::default() };
        let count = all.len();
        for (number, keyed) in all.into_iter().enumerate() {
            let group = number * GROUPS / count;
            gate.tables.add(keyed.key(), group);
            gate.groups[group].push(keyed);
        }
        Some(gate)
    }

    /// Whether one of the literals occurs, and whether the text is ASCII.
    #[must_use]
    pub fn meets(&self, text: &[u8]) -> Met {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            level @ (Level::Sse42 | Level::Avx2 | Level::Avx512) => x86::meets(level, self, text),
            _ => self.drive(text, |window| self.tables.places(window)),
        }
    }

    /// The slow twin of [`Gate::meets`].
    #[must_use]
    pub fn meets_scalar(&self, text: &[u8]) -> Met {
        let literals = || self.groups.iter().flatten().map(|keyed| &keyed.literal);
        let has = |literal: &[u8]| text.windows(literal.len()).any(|part| part.eq_ignore_ascii_case(literal));
        Met { literal: literals().any(|literal| has(literal)), is_ascii: text.is_ascii() }
    }

    /// Window by window. Inlined into a function for each level, so that all of it is compiled for
    /// that level's instructions.
    #[inline(always)]
    fn drive(&self, text: &[u8], places: impl Fn(&[u8; WINDOW_LEN]) -> Places) -> Met {
        let mut has_high = false;
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let found = match rest.first_chunk() {
                Some(window) => places(window),
                None => {
                    let mut window = [0; WINDOW_LEN];
                    window[..rest.len()].copy_from_slice(rest);
                    places(&window)
                }
            };
            has_high |= found.has_high;
            if found.candidates != 0 && self.any_stands(text, at, found.candidates) {
                return Met { literal: true, is_ascii: !has_high };
            }
            at += PLACES;
        }
        Met { literal: false, is_ascii: !has_high }
    }

    /// Whether a literal stands with its key at one of these places.
    #[cold]
    fn any_stands(&self, text: &[u8], at: usize, mut candidates: u64) -> bool {
        while candidates != 0 {
            let key_at = at + candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let mut groups = self.tables.groups(text.get(key_at..).unwrap_or_default());
            while groups != 0 {
                let group = groups.trailing_zeros() as usize;
                groups &= groups - 1;
                if self.groups[group].iter().any(|keyed| keyed.stands(text, key_at)) {
                    return true;
                }
            }
        }
        false
    }
}

impl Keyed {
    /// The key lies where letters are rare; a literal shorter than a key is its own.
    fn new(literal: &[u8]) -> Self {
        let literal: Box<[u8]> = literal.to_ascii_lowercase().into();
        let rarity = |key: &[u8]| key.iter().map(|byte| rarity(*byte)).sum::<u32>();
        let places = (0..).zip(literal.windows(KEY_LEN.min(literal.len())));
        let key_at = places.max_by_key(|(_, key)| rarity(key)).map_or(0, |(at, _)| at);
        Self { literal, key_at }
    }

    fn key(&self) -> &[u8] {
        let rest = &self.literal[self.key_at..];
        &rest[..rest.len().min(KEY_LEN)]
    }

    fn stands(&self, text: &[u8], key_at: usize) -> bool {
        let Some(start) = key_at.checked_sub(self.key_at) else { return false };
        let part = text.get(start..start + self.literal.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(&self.literal))
    }
}

/// How rare a byte is in logs, roughly: what makes one key better than another.
fn rarity(byte: u8) -> u32 {
    match byte {
        b' ' | b'0'..=b'9' | b'-' | b'.' | b':' => 0,
        b'e' | b's' | b't' | b'i' | b'n' | b'o' | b'r' | b'a' => 1,
        b'c' | b'd' | b'l' | b'm' | b'u' | b'p' | b'\\' => 2,
        b'j' | b'q' | b'x' | b'z' | b'k' => 5,
        _ => 3,
    }
}

impl Tables {
    const EMPTY: Self =
        Self { lower: [[0; 16]; KEY_LEN], upper: [[0; 16]; KEY_LEN], six: [[0; 64]; KEY_LEN] };

    fn add(&mut self, key: &[u8], group: usize) {
        let bit = 1 << group;
        let halves = self.lower.iter_mut().zip(&mut self.upper);
        for (number, ((lower, upper), six)) in halves.zip(&mut self.six).enumerate() {
            match key.get(number) {
                Some(byte) => {
                    for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                        lower[usize::from(byte & 0x0F)] |= bit;
                        upper[usize::from(byte >> 4)] |= bit;
                        six[usize::from(byte & 0x3F)] |= bit;
                    }
                }
                // Behind a short key anything may stand.
                None => lower.iter_mut().chain(upper).chain(six).for_each(|entry| *entry |= bit),
            }
        }
    }

    /// Groups a key of which may stand at the beginning of a text, behind which zeros are thought.
    fn groups(&self, text: &[u8]) -> u8 {
        let bytes = (0..KEY_LEN).map(|number| text.get(number).copied().unwrap_or(0));
        self.lower.iter().zip(&self.upper).zip(bytes).fold(u8::MAX, |groups, ((lower, upper), byte)| {
            groups & lower[usize::from(byte & 0x0F)] & upper[usize::from(byte >> 4)]
        })
    }

    /// Without vector instructions.
    fn places(&self, window: &[u8; WINDOW_LEN]) -> Places {
        let mut places = Places::default();
        for (place, key) in window.windows(KEY_LEN).enumerate() {
            places.candidates |= u64::from(self.groups(key) != 0) << place;
            places.has_high |= !key[0].is_ascii();
        }
        places
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Gate, KEY_LEN, Level, Met, PLACES, Places, Tables, WINDOW_LEN};

    /// [`Gate::meets`] at a level that is available.
    pub(super) fn meets(level: Level, gate: &Gate, text: &[u8]) -> Met {
        // SAFETY: a `Gate` is only built with a level that `is_available`, which asks for each
        // instruction set that the function is compiled for.
        unsafe {
            match level {
                Level::Avx512 => meets_avx512(gate, text),
                Level::Avx2 => meets_avx2(gate, text),
                _ => meets_sse42(gate, text),
            }
        }
    }

    #[target_feature(enable = "sse4.2,popcnt")]
    fn meets_sse42(gate: &Gate, text: &[u8]) -> Met {
        gate.drive(text, |window| places_sse42(&gate.tables, window))
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn meets_avx2(gate: &Gate, text: &[u8]) -> Met {
        gate.drive(text, |window| places_avx2(&gate.tables, window))
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi")]
    fn meets_avx512(gate: &Gate, text: &[u8]) -> Met {
        gate.drive(text, |window| places_avx512(&gate.tables, window))
    }

    #[target_feature(enable = "sse4.2")]
    #[inline]
    fn table(table: &[u8; 16]) -> __m128i {
        // SAFETY: the reference is to 16 bytes, and `loadu` asks for no alignment.
        unsafe { _mm_loadu_si128(table.as_ptr().cast()) }
    }

    #[target_feature(enable = "sse4.2")]
    #[inline]
    fn places_sse42(tables: &Tables, window: &[u8; WINDOW_LEN]) -> Places {
        let mut places = Places::default();
        for first in (0..PLACES).step_by(16) {
            let mut groups = _mm_set1_epi8(-1);
            for number in (0..KEY_LEN).rev() {
                // SAFETY: at most 48 + 3 + 16 = 67 bytes, the window's length.
                let bytes = unsafe { _mm_loadu_si128(window.as_ptr().add(first + number).cast()) };
                let half = _mm_set1_epi8(0x0F);
                let lower = _mm_shuffle_epi8(table(&tables.lower[number]), _mm_and_si128(bytes, half));
                let high = _mm_and_si128(_mm_srli_epi16::<4>(bytes), half);
                let upper = _mm_shuffle_epi8(table(&tables.upper[number]), high);
                groups = _mm_and_si128(groups, _mm_and_si128(lower, upper));
                if number == 0 {
                    places.has_high |= _mm_movemask_epi8(bytes) != 0;
                }
            }
            let none = _mm_movemask_epi8(_mm_cmpeq_epi8(groups, _mm_setzero_si128()));
            places.candidates |= u64::from(!none.cast_unsigned() & 0xFFFF) << first;
        }
        places
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn places_avx2(tables: &Tables, window: &[u8; WINDOW_LEN]) -> Places {
        let mut places = Places::default();
        for first in (0..PLACES).step_by(32) {
            let mut groups = _mm256_set1_epi8(-1);
            for number in (0..KEY_LEN).rev() {
                // SAFETY: at most 32 + 3 + 32 = 67 bytes, the window's length.
                let bytes = unsafe { _mm256_loadu_si256(window.as_ptr().add(first + number).cast()) };
                let half = _mm256_set1_epi8(0x0F);
                let wide = |halves: &[u8; 16]| _mm256_broadcastsi128_si256(table(halves));
                let lower = _mm256_shuffle_epi8(wide(&tables.lower[number]), _mm256_and_si256(bytes, half));
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), half);
                let upper = _mm256_shuffle_epi8(wide(&tables.upper[number]), high);
                groups = _mm256_and_si256(groups, _mm256_and_si256(lower, upper));
                if number == 0 {
                    places.has_high |= _mm256_movemask_epi8(bytes) != 0;
                }
            }
            let none = _mm256_movemask_epi8(_mm256_cmpeq_epi8(groups, _mm256_setzero_si256()));
            places.candidates |= u64::from(!none.cast_unsigned()) << first;
        }
        places
    }

    /// One look-up by six bits in place of two by four: a place is a candidate in vain where `0` to
    /// `9` stand for `p` to `y` and signs for other letters.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn places_avx512(tables: &Tables, window: &[u8; WINDOW_LEN]) -> Places {
        let mut places = Places::default();
        let mut groups = _mm512_set1_epi8(-1);
        for number in (0..KEY_LEN).rev() {
            // SAFETY: at most 3 + 64 = 67 bytes, the window's length.
            let bytes = unsafe { _mm512_loadu_si512(window.as_ptr().add(number).cast()) };
            // SAFETY: the table is 64 bytes.
            let six = unsafe { _mm512_loadu_si512(tables.six[number].as_ptr().cast()) };
            groups = _mm512_and_si512(groups, _mm512_permutexvar_epi8(bytes, six));
            if number == 0 {
                places.has_high = _mm512_movepi8_mask(bytes) != 0;
            }
        }
        places.candidates = _mm512_test_epi8_mask(groups, groups);
        places
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(literals: &[&[u8]], text: &[u8]) {
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let gate = Gate::at_level(literals, level).expect("fit literals");
            let (met, expected) = (gate.meets(text), gate.meets_scalar(text));
            assert_eq!(met.literal, expected.literal, "{level:?} {literals:?} {}", text.escape_ascii());
            if !met.literal {
                assert_eq!(met.is_ascii, expected.is_ascii, "{level:?} {}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn literals_at_every_place_in_any_case() {
        let literals: [&[u8]; 5] = [b"mimikatz", b"abc", br"\u00", b"xyz ", b"-[]{}@`"];
        for len in [0, 1, 3, 4, 63, 64, 66, 67, 68, 130, 200] {
            check(&literals, &vec![b'm'; len]);
            check(&literals, &vec![0xE1; len]);
            for literal in literals {
                for at in 0..=len {
                    let mut text = vec![b'.'; len];
                    text.splice(at..at, literal.to_ascii_uppercase());
                    check(&literals, &text);
                    assert!(Gate::new(&literals).unwrap().meets(&text).literal);
                    // The last byte another, or lacking.
                    text[at + literal.len() - 1] ^= 0x40;
                    check(&literals, &text);
                    text.truncate(at + literal.len() - 1);
                    check(&literals, &text);
                }
            }
        }
    }

    #[test]
    fn unfit_literals_are_refused() {
        let check = |literals: &[&[u8]]| assert!(Gate::new(literals).is_none(), "{literals:?}");
        check(&[]);
        check(&[b"ab"]);
        check(&[b"abcd", "äöü".as_bytes()]);
        check(&[b"abc".as_slice(); 65]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn levels_agree(
            literals in prop::collection::vec("[abAB@`\\[{ ]{3,6}", 1..20),
            text in prop_oneof!["[abAB@`\\[{ é]{0,300}", "[ -~]{0,100}"],
        ) {
            let literals: Vec<&[u8]> = literals.iter().map(String::as_bytes).collect();
            check(&literals, text.as_bytes());
        }
    }
}
