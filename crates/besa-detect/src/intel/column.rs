//! Columns of numbers and texts that take little more room than what differs in them.
//!
//! ```text
//! numbers  chunks of 256: a line (start, rise), a unit, and for each number its height above the
//!          line in as many bytes as the greatest height takes: 0 where all are equal or count up,
//!          1 for ends of texts of like length, 5 for times of one year in milliseconds
//! texts    one arena; the ends are such a column
//! ```
//! A chunk costs 32 bytes, 0.1 a number.

/// Whole numbers that are only added to.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    chunks: Vec<Chunk>,
    bytes: Vec<u8>,
    /// Those of the last chunk as long as it is not full.
    open: Vec<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// Where the line starts below the first number.
    start: i64,
    /// How much it rises from number to number.
    rise: i64,
    /// Start of the heights.
    at: usize,
    /// Bytes of each height.
    width: u8,
    /// Place in [`UNITS`]: heights are whole numbers of it.
    unit: u8,
}

/// Times in nanoseconds are mostly of seconds or milliseconds.
const UNITS: [u64; 3] = [1_000_000_000, 1_000_000, 1];
const CHUNK: usize = 256;

impl Chunk {
    /// The narrowest with such a rise.
    fn of(numbers: &[i64], rise: i64, at: usize) -> Self {
        let mut chunk = Self { start: 0, rise, at, width: 8, unit: 0 };
        // Above a line from zero; what wraps around wraps back.
        chunk.start = chunk.heights(numbers).map(u64::cast_signed).min().unwrap_or(0);
        let fits = |unit: &u64| chunk.heights(numbers).all(|height| height.is_multiple_of(*unit));
        let unit = UNITS.iter().position(fits).unwrap_or(UNITS.len() - 1);
        let greatest = chunk.heights(numbers).max().unwrap_or(0) / UNITS[unit];
        chunk.width = 8 - (greatest.leading_zeros() / 8) as u8;
        chunk.unit = unit as u8;
        chunk
    }

    fn line(&self, index: usize) -> i64 {
        self.start.wrapping_add(self.rise.wrapping_mul(index as i64))
    }

    fn heights(&self, numbers: &[i64]) -> impl Iterator<Item = u64> {
        numbers.iter().enumerate().map(|(index, number)| self.height(index, *number))
    }

    fn height(&self, index: usize, number: i64) -> u64 {
        number.wrapping_sub(self.line(index)).cast_unsigned()
    }
}

impl Numbers {
    pub(super) fn len(&self) -> usize {
        self.chunks.len() * CHUNK + self.open.len()
    }

    pub(super) fn push(&mut self, number: i64) {
        self.open.push(number);
        if self.open.len() == CHUNK {
            self.close();
        }
    }

    fn close(&mut self) {
        let at = self.bytes.len();
        let flat = Chunk::of(&self.open, 0, at);
        let rise = match self.open.as_slice() {
            [first, .., last] => last.checked_sub(*first).unwrap_or(0) / (CHUNK as i64 - 1),
            _ => 0,
        };
        let sloping = Chunk::of(&self.open, rise, at);
        let chunk = if sloping.width < flat.width { sloping } else { flat };
        for (index, number) in self.open.drain(..).enumerate() {
            let height = chunk.height(index, number) / UNITS[usize::from(chunk.unit)];
            self.bytes.extend_from_slice(&height.to_le_bytes()[..usize::from(chunk.width)]);
        }
        self.chunks.push(chunk);
    }

    pub(super) fn get(&self, index: usize) -> Option<i64> {
        let Some(chunk) = self.chunks.get(index / CHUNK) else {
            return self.open.get(index.checked_sub(self.chunks.len() * CHUNK)?).copied();
        };
        let width = usize::from(chunk.width);
        let at = chunk.at + index % CHUNK * width;
        let mut height = [0; 8];
        height[..width].copy_from_slice(self.bytes.get(at..at + width)?);
        let height = u64::from_le_bytes(height).wrapping_mul(UNITS[usize::from(chunk.unit)]);
        Some(chunk.line(index % CHUNK).wrapping_add_unsigned(height))
    }

    /// How many numbers at the start fulfil what all before some place do and none from it on.
    pub(super) fn partition_point(&self, holds: impl Fn(i64) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&holds) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Gives back what was held for growth.
    pub(super) fn freeze(&mut self) {
        self.chunks.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.open.shrink_to_fit();
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>() + self.bytes.capacity() + self.open.capacity() * 8
    }
}

/// Texts that are only added to.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    text: String,
    ends: Numbers,
}

impl Texts {
    /// Adds a text and tells its number.
    pub(super) fn push(&mut self, text: &str) -> usize {
        self.text.push_str(text);
        self.ends.push(i64::try_from(self.text.len()).unwrap_or(i64::MAX));
        self.ends.len() - 1
    }

    /// A text by its number; empty for a number that none has.
    pub(super) fn get(&self, number: usize) -> &str {
        let end = |number| self.ends.get(number).and_then(|end| usize::try_from(end).ok());
        let start = number.checked_sub(1).map_or(Some(0), end);
        start.zip(end(number)).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    pub(super) fn freeze(&mut self) {
        self.text.shrink_to_fit();
        self.ends.freeze();
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.text.capacity() + self.ends.resident_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_kept(numbers in prop::collection::vec(prop_oneof![
            any::<i64>(),
            Just(i64::MIN),
            Just(i64::MAX),
            Just(7),
            (0_i64..1_000).prop_map(|second| 1_790_000_000_000_000_000 + second * 1_000_000_000),
            (0_i64..1_000).prop_map(|number| 1_790_000_000_000_000_000 + number * 1_000_000),
        ], 0..300), repeat in 1_usize..20) {
            let numbers: Vec<i64> = numbers.iter().flat_map(|number| std::iter::repeat_n(*number, repeat)).collect();
            let mut column = Numbers::default();
            numbers.iter().for_each(|number| column.push(*number));
            prop_assert_eq!(column.len(), numbers.len());
            column.freeze();
            for (at, number) in numbers.iter().enumerate() {
                prop_assert_eq!(column.get(at), Some(*number));
            }
            prop_assert_eq!(column.get(numbers.len()), None);
        }

        #[test]
        fn texts_are_kept(texts in prop::collection::vec("[a-zé]{0,9}", 0..200)) {
            let mut column = Texts::default();
            for (number, text) in texts.iter().enumerate() {
                prop_assert_eq!(column.push(text), number);
            }
            for (number, text) in texts.iter().enumerate() {
                prop_assert_eq!(column.get(number), text);
            }
            prop_assert_eq!(column.get(texts.len()), "");
        }
    }

    #[test]
    fn little_room_for_what_hardly_differs() {
        let mut column = Numbers::default();
        (0..64_000).for_each(|number| column.push(5_000_000_000 + number));
        column.freeze();
        assert!(column.resident_bytes() < 64_000 / 4);
        assert_eq!(column.partition_point(|number| number < 5_000_000_777), 777);
    }
}
