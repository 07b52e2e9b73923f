//! Bits one after the other, lowest first: writing, reading, and the code of a set of numbers.
//!
//! A set of `n ≥ 1` numbers below `universe` is
//! ```text
//! γ(n)  n = 1:            the number, in the bits that `universe - 1` needs
//!       n = universe:     nothing: all of them
//!       else, each:       number - previous - 1 in a Rice code of ⌊log2(universe / n)⌋ bits
//! ```
//! γ is Elias' gamma code (as many zeros as bits follow the leading one, then the number from its
//! leading one down, lowest bit first after it). A Rice code is the upper part in unary (zeros,
//! ended by a one), then the lower bits. One number costs a bit more than its width, a dense set
//! about one bit for each number that could be in it.

/// Appends bits to bytes.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits not yet in `bytes`, lowest first.
    open: u64,
    open_len: u32,
}

impl BitWriter {
    /// The lowest `width` bits of `value`; at most 56.
    pub(super) fn put(&mut self, value: u64, width: u32) {
        debug_assert!(width <= 56 && value >> width == 0);
        self.open |= value << self.open_len;
        self.open_len += width;
        while self.open_len >= 8 {
            self.bytes.push(self.open.to_le_bytes()[0]);
            self.open >>= 8;
            self.open_len -= 8;
        }
    }

    fn zeros(&mut self, mut count: u64) {
        while count > 0 {
            let some = count.min(56);
            self.put(0, u32::try_from(some).unwrap_or(0));
            count -= some;
        }
    }

    fn gamma(&mut self, value: u64) {
        let width = value.max(1).ilog2();
        self.zeros(u64::from(width));
        self.put(1, 1);
        self.put(value & !(1 << width), width);
    }

    /// Whole bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes, the last one filled up with zeros; empties the writer.
    pub(super) fn take(&mut self) -> Vec<u8> {
        if self.open_len > 0 {
            self.put(0, 8 - self.open_len);
        }
        std::mem::take(&mut self.bytes)
    }

    /// A set: ascending, each below `universe`, at least one.
    pub(super) fn set(&mut self, numbers: &[u32], universe: u32) {
        let count = numbers.len() as u64;
        self.gamma(count);
        if let [one] = numbers {
            return self.put(u64::from(*one), width_of(universe));
        }
        if count == u64::from(universe) {
            return;
        }
        let low = rice_width(universe, count);
        let mut next = 0;
        for number in numbers {
            let gap = u64::from(number - next);
            self.zeros(gap >> low);
            self.put(1, 1);
            self.put(gap & ((1 << low) - 1), low);
            next = number + 1;
        }
    }
}

/// Reads bits; past the end there are none.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The same bytes from a bit on.
    pub(super) fn at(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// The bit that is read next.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next 57 bits or more, zeros past the end.
    #[inline]
    fn window(&self) -> u64 {
        let from = self.at / 8;
        let word = match self.bytes.get(from..from + 8) {
            Some(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
            None => {
                let mut word = [0; 8];
                let rest = self.bytes.get(from..).unwrap_or_default();
                word.iter_mut().zip(rest).for_each(|(into, byte)| *into = *byte);
                u64::from_le_bytes(word)
            }
        };
        word >> (self.at % 8)
    }

    /// The next `width` bits; at most 56.
    #[inline]
    pub(super) fn get(&mut self, width: u32) -> Option<u64> {
        let value = self.window() & ((1 << width) - 1);
        self.at += width as usize;
        (self.at <= self.bytes.len() * 8).then_some(value)
    }

    /// Zeros up to the next one, which is read as well.
    #[inline]
    fn unary(&mut self) -> Option<u64> {
        let mut count = 0;
        loop {
            let window = self.window();
            if window != 0 {
                let zeros = window.trailing_zeros();
                self.at += zeros as usize + 1;
                return Some(count + u64::from(zeros));
            }
            if self.at >= self.bytes.len() * 8 {
                return None;
            }
            let seen = 64 - self.at % 8;
            self.at += seen;
            count += seen as u64;
        }
    }

    fn gamma(&mut self) -> Option<u64> {
        let width = u32::try_from(self.unary()?).ok().filter(|width| *width <= 32)?;
        Some(self.get(width)? | (1 << width))
    }

    /// Shows the numbers of a set, ascending; `None` when this is no set below `universe`.
    pub(super) fn set(&mut self, universe: u32, see: &mut dyn FnMut(u32)) -> Option<()> {
        let count = self.gamma()?;
        if count == 1 {
            let one = u32::try_from(self.get(width_of(universe))?).ok()?;
            return (one < universe).then(|| see(one));
        }
        if count >= u64::from(universe) {
            return (count == u64::from(universe)).then(|| (0..universe).for_each(see));
        }
        let low = rice_width(universe, count);
        let mut next = 0_u64;
        for _ in 0..count {
            let number = next + (self.unary()? << low | self.get(low)?);
            see(u32::try_from(number).ok().filter(|number| *number < universe)?);
            next = number + 1;
        }
        Some(())
    }
}

/// Bits that the numbers below `universe` need.
fn width_of(universe: u32) -> u32 {
    u32::BITS - universe.saturating_sub(1).leading_zeros()
}

fn rice_width(universe: u32, count: u64) -> u32 {
    (u64::from(universe) / count.max(1)).max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sets_come_back(
            sets in prop::collection::vec((1_u32..5_000, prop::collection::btree_set(0_u32..5_000, 1..300)), 1..20),
        ) {
            let sets: Vec<(u32, Vec<u32>)> = sets
                .into_iter()
                .map(|(universe, set)| {
                    let mut numbers: Vec<u32> = set.into_iter().map(|number| number % universe).collect();
                    numbers.sort_unstable();
                    numbers.dedup();
                    (universe, numbers)
                })
                .collect();
            let mut writer = BitWriter::default();
            for (universe, numbers) in &sets {
                writer.set(numbers, *universe);
            }
            let bytes = writer.take();
            let mut reader = BitReader::new(&bytes);
            for (universe, numbers) in &sets {
                let mut seen = Vec::new();
                prop_assert_eq!(reader.set(*universe, &mut |number| seen.push(number)), Some(()));
                prop_assert_eq!(&seen, numbers);
            }
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..64), universe in 0_u32..1_000) {
            let mut reader = BitReader::new(&bytes);
            let mut seen = 0;
            while reader.set(universe, &mut |number| { assert!(number < universe); seen += 1; }).is_some() && seen < 100_000 {}
        }
    }

    #[test]
    fn what_a_set_costs() {
        let cost = |numbers: &[u32], universe| {
            let mut writer = BitWriter::default();
            (0..8).for_each(|_| writer.set(numbers, universe));
            writer.take().len()
        };
        assert_eq!(cost(&[7], 16), 5);
        assert_eq!(cost(&[0], 1), 1);
        assert_eq!(cost(&(0..16).collect::<Vec<_>>(), 16), 9);
        assert!(cost(&(0..15).collect::<Vec<_>>(), 16) <= 22);
    }
}
