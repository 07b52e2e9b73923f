//! Where any of many literals occurs in a text, found by one rare stretch of each literal.
//!
//! ```text
//! literal `\mimikatz.exe` ─▶ of its stretches of four bytes at even places, and of those at odd
//!                            places, the one that the fewest other literals hold: `ikat`, `mika`
//! text ─ four bytes at every second place ─▶ bit table ──no──▶ two bytes on
//!                                              └─yes─▶ literals under these four, compared in place
//! ```
//!
//! Wherever a literal stands, one of its two keys stands at an even place of the text, so every
//! second place is enough. Eight places are looked up before anything is decided, which keeps the
//! processor from waiting for one after the other.
//!
//! Against an automaton (Aho-Corasick) this needs a tenth of the memory and less than a third of
//! the time, since ordinary text meets the bit table in one cache line after the other and stops
//! there. Literals of four bytes are keyed by three; shorter ones by two bytes or one at every
//! place, in passes of their own that cost nothing when there are none.
//!
//! Limits: a text made of one key costs a comparison for each literal under that key at each place;
//! keys are chosen to be shared by few.

use std::collections::HashMap;

/// A set of literals, none of them empty.
#[derive(Debug, Default)]
pub(crate) struct LiteralSet {
    /// All literals, one after the other.
    text: Box<[u8]>,
    /// Per literal, its end in `text`.
    ends: Box<[u32]>,
    /// Of five bytes and more.
    long: Keys<4, 2>,
    /// Of four.
    fours: Keys<3, 2>,
    /// Of two and three.
    pairs: Keys<2, 1>,
    singles: Keys<1, 1>,
}

/// Literals under keys of `N` bytes (at most four), looked up at every `S`th place of a text. Each
/// literal is as long as a key that may begin at any of `S` places following each other.
#[derive(Debug, Default)]
struct Keys<const N: usize, const S: usize> {
    /// A power of two of bits; a key's bit is set if a literal has it.
    bits: Box<[u64]>,
    /// Right shift of the hash to a bit number.
    shift: u32,
    /// Sorted by key.
    under: Box<[Keyed]>,
    /// By hash, where a key's literals begin in `under`; `u32::MAX` is empty. A power of two, at
    /// most half full.
    first: Box<[u32]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Keyed {
    key: u32,
    literal: u32,
    /// Where in the literal the key stands.
    at: u32,
}

const HASH: u32 = 0x9E37_79B1;

impl LiteralSet {
    /// Prepares literals; their positions are their numbers. Empty ones are never found.
    pub(crate) fn build(literals: &[Vec<u8>]) -> Self {
        let mut ends = Vec::with_capacity(literals.len());
        let mut text = Vec::with_capacity(literals.iter().map(Vec::len).sum());
        for literal in literals {
            text.extend_from_slice(literal);
            ends.push(position(text.len()));
        }
        let of_len = |range: std::ops::Range<usize>| {
            let wanted = (0_u32..).zip(literals).filter(|(_, literal)| range.contains(&literal.len()));
            wanted.map(|(number, literal)| (number, literal.as_slice())).collect::<Vec<_>>()
        };
        Self {
            text: text.into(),
            ends: ends.into(),
            long: Keys::build(&of_len(5..usize::MAX)),
            fours: Keys::build(&of_len(4..5)),
            pairs: Keys::build(&of_len(2..4)),
            singles: Keys::build(&of_len(1..2)),
        }
    }

    /// Calls `found` with each literal (by number) and where it starts in `text`, in no order.
    #[inline]
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        self.long.scan(text, &mut |keyed, at| self.compare(text, keyed, at, &mut found));
        self.fours.scan(text, &mut |keyed, at| self.compare(text, keyed, at, &mut found));
        self.pairs.scan(text, &mut |keyed, at| self.compare(text, keyed, at, &mut found));
        self.singles.scan(text, &mut |keyed, at| self.compare(text, keyed, at, &mut found));
    }

    #[inline]
    fn compare(&self, text: &[u8], keyed: Keyed, at: usize, found: &mut impl FnMut(usize, usize)) {
        let number = keyed.literal as usize;
        if let Some(start) = at.checked_sub(keyed.at as usize)
            && text[start..].starts_with(self.literal(number))
        {
            found(number, start);
        }
    }

    /// One of the literals.
    #[inline]
    pub(crate) fn literal(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[number] as usize]
    }
}

/// Places looked up before anything is decided.
const PLACES: usize = 8;
/// Length of the stretch of text that one step looks at, where keys are looked up at every second
/// place; never shorter than a key is read.
const STEP_LEN_MAX: usize = (PLACES - 1) * 2 + 4;

impl<const N: usize, const S: usize> Keys<N, S> {
    /// Bytes that one step looks at: the last key is read with up to three bytes behind it.
    const STEP_LEN: usize = (PLACES - 1) * S + 4;

    fn build(literals: &[(u32, &[u8])]) -> Self {
        if literals.is_empty() {
            return Self::default();
        }
        // In how many literals a key stands, so that each literal gets its rarest ones.
        let mut shared: HashMap<u32, u32> = HashMap::new();
        for (_, literal) in literals {
            let mut keys: Vec<u32> = literal.windows(N).map(key).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().for_each(|key| *shared.entry(key).or_default() += 1);
        }
        let mut under: Vec<Keyed> = Vec::with_capacity(literals.len() * S);
        for (literal, text) in literals {
            for first in 0..S {
                let places = (0_u32..).zip(text.windows(N)).skip(first).step_by(S);
                let rarest = places.min_by_key(|(_, window)| shared[&key(window)]);
                under.extend(rarest.map(|(at, window)| Keyed { key: key(window), literal: *literal, at }));
            }
        }
        under.sort_unstable();
        let mut keys = Self { under: under.into(), ..Self::default() };
        keys.fill();
        keys
    }

    /// Sets the bits and the table of keys.
    fn fill(&mut self) {
        // One bit in 32 set at most, as long as the table is not larger than 64 KiB.
        let bits = (self.under.len() * 32).next_power_of_two().clamp(1 << 9, 1 << 19);
        self.shift = 32 - bits.ilog2();
        self.bits = vec![0; bits / 64].into();
        let len = (self.under.len() * 2).next_power_of_two();
        self.first = vec![u32::MAX; len].into();
        let mut before = None;
        for (number, keyed) in self.under.iter().enumerate() {
            if before.replace(keyed.key) == Some(keyed.key) {
                continue;
            }
            let hash = keyed.key.wrapping_mul(HASH);
            let bit = (hash >> self.shift) as usize;
            self.bits[bit / 64] |= 1 << (bit % 64);
            let mut at = hash as usize >> 7 & (len - 1);
            while self.first[at] != u32::MAX {
                at = (at + 1) & (len - 1);
            }
            self.first[at] = position(number);
        }
    }

    #[inline]
    fn scan(&self, text: &[u8], candidate: &mut impl FnMut(Keyed, usize)) {
        if self.bits.is_empty() || text.len() < N {
            return;
        }
        let places_end = text.len() - N + 1;
        let mut from = 0;
        while let Some(step) = text.get(from..from + Self::STEP_LEN) {
            self.step(step, from, places_end, candidate);
            from += PLACES * S;
        }
        while from < places_end {
            let rest = &text[from..];
            let mut step = [0; STEP_LEN_MAX];
            let len = rest.len().min(STEP_LEN_MAX);
            step[..len].copy_from_slice(&rest[..len]);
            self.step(&step[..Self::STEP_LEN], from, places_end, candidate);
            from += PLACES * S;
        }
    }

    /// Looks up eight places, the first of them `from` of the text.
    #[inline]
    fn step(&self, step: &[u8], from: usize, places_end: usize, candidate: &mut impl FnMut(Keyed, usize)) {
        let bits = &*self.bits;
        let mut met = 0_u32;
        for place in 0..PLACES {
            let hash = key_at::<N>(step, place * S).wrapping_mul(HASH);
            let bit = (hash >> self.shift) as usize;
            // As many words as the hash has values; the mask tells it to the compiler.
            let word = bits[(bit / 64) & (bits.len() - 1)];
            met |= ((word >> (bit % 64)) as u32 & 1) << place;
        }
        while met != 0 {
            let place = met.trailing_zeros() as usize * S;
            met &= met - 1;
            if from + place < places_end {
                self.of_key(key_at::<N>(step, place), from + place, candidate);
            }
        }
    }

    fn of_key(&self, key: u32, at: usize, candidate: &mut impl FnMut(Keyed, usize)) {
        let mask = self.first.len() - 1;
        let mut slot = key.wrapping_mul(HASH) as usize >> 7 & mask;
        while self.first[slot] != u32::MAX {
            let first = self.first[slot] as usize;
            if self.under[first].key == key {
                let same = self.under[first..].iter().take_while(|keyed| keyed.key == key);
                same.for_each(|keyed| candidate(*keyed, at));
                return;
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// Up to four bytes as a number.
#[inline]
fn key(window: &[u8]) -> u32 {
    match *window {
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
        [a, b] => u32::from_le_bytes([a, b, 0, 0]),
        [a] => u32::from(a),
        _ => 0,
    }
}

/// The key at a place, read with the bytes behind it.
#[inline]
fn key_at<const N: usize>(text: &[u8], at: usize) -> u32 {
    let four = [text[at], text[at + 1], text[at + 2], text[at + 3]];
    u32::from_le_bytes(four) & (u32::MAX >> (32 - 8 * N))
}

/// Rules are limited to far less than 4 GiB of text.
fn position(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every occurrence, once each: what a search byte by byte finds.
        #[test]
        fn equals_the_obvious_search(
            literals in prop::collection::btree_set("[ab\\\\é]{1,7}|[abc]{4,6}|[a-z]{2,12}", 0..40),
            text in "[ab\\\\éc]{0,60}|[abc]{30,90}",
        ) {
            let literals: Vec<Vec<u8>> = literals.into_iter().map(String::into_bytes).collect();
            let set = LiteralSet::build(&literals);
            let mut found = Vec::new();
            set.find(text.as_bytes(), |literal, start| found.push((literal, start)));
            found.sort_unstable();
            let mut expected = Vec::new();
            for (number, literal) in literals.iter().enumerate() {
                prop_assert_eq!(set.literal(number), literal.as_slice());
                for start in 0..text.len() {
                    if text.as_bytes()[start..].starts_with(literal) {
                        expected.push((number, start));
                    }
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    /// How many comparisons the worst text asks for at one place: literals under one key.
    fn worst<const N: usize, const S: usize>(keys: &Keys<N, S>) -> usize {
        keys.under.chunk_by(|a, b| a.key == b.key).map(<[Keyed]>::len).max().unwrap_or(0)
    }

    fn worst_of(set: &LiteralSet) -> usize {
        worst(&set.long).max(worst(&set.fours)).max(worst(&set.pairs)).max(worst(&set.singles))
    }

    /// A text of nothing but what literals have in common costs little, as long as each has
    /// something of its own.
    #[test]
    fn literals_with_a_common_beginning_do_not_crowd_one_key() {
        let literals: Vec<Vec<u8>> =
            (0..10_000).map(|number| format!("aaaaaaaaaaaaaaaa{number:05}aaaaaaaaaaaa").into()).collect();
        let set = LiteralSet::build(&literals);
        assert!(worst_of(&set) <= 40, "{}", worst_of(&set));
        let mut compared = 0;
        let text = [b'a'; 4_096];
        set.long.scan(&text, &mut |_, _| compared += 1);
        assert_eq!(compared, 0, "no literal is keyed by what all of them hold");
    }

    /// Literals that hold nothing but one key are compared at each place that has it: what a text
    /// costs is bounded by their number, and a literal longer than the text costs one look.
    #[test]
    fn literals_of_one_key_cost_at_most_their_number_at_each_place() {
        let literals: Vec<Vec<u8>> = (1..200).map(|len| vec![b'a'; len]).collect();
        let set = LiteralSet::build(&literals);
        let text = [b'a'; 1_000];
        let mut compared = 0;
        set.long.scan(&text, &mut |_, _| compared += 1);
        assert!(compared <= text.len() / 2 * literals.len() * 2, "{compared}");
        let mut found = 0;
        set.find(&text, |_, _| found += 1);
        assert_eq!(found, (1..200).map(|len| text.len() - len + 1).sum::<usize>());
    }
}
