//! Memory of a correlation: elements by number, and numbers by hash.

use besa_simd::tokens::prefetch;

/// No element.
pub(super) const NONE: u32 = u32::MAX;

/// Elements by number; numbers of removed ones are given again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    all: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Adds an element; its number. The caller keeps their number below [`NONE`].
    pub(super) fn add(&mut self, element: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self.all[number as usize] = element;
            return number;
        }
        self.all.push(element);
        (self.all.len() - 1) as u32
    }

    /// Gives the number free. What stood there stays until it is given again.
    pub(super) fn remove(&mut self, number: u32) {
        self.free.push(number);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// One more than the highest number ever given.
    pub(super) fn numbers(&self) -> u32 {
        self.all.len() as u32
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.all[number as usize]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.all[number as usize]
    }

    pub(super) fn prefetch(&self, number: u32) {
        prefetch(&self.all, number as usize);
    }
}

/// Numbers by hash: open addressing, one word a place with 32 bits of the hash and the number. The
/// place follows from those 32 bits, so that neither growing nor removing looks at an element.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A power of two, or none yet. 0 is empty, else `bits << 32 | number + 1`.
    places: Vec<u64>,
    len: usize,
}

/// Places of an index that holds anything.
const PLACES_MIN: usize = 1 << 6;

impl Index {
    /// The number of that hash for which `is` holds.
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let place = *self.places.get(at)?;
            if place == 0 {
                return None;
            }
            if place >> 32 == hash >> 32 && is(number(place)) {
                return Some(number(place));
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    /// Some number with nearly that hash, to be asked for ahead.
    pub(super) fn likely(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.places, self.home(hash));
    }

    /// Adds a number that is not there.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        if self.len * 4 >= self.places.len() * 3 {
            self.grow();
        }
        self.len += 1;
        self.put((hash >> 32 << 32) | (u64::from(number) + 1));
    }

    /// Removes a number that is there, and closes the gap.
    pub(super) fn remove(&mut self, hash: u64, number: u32) {
        let sought = (hash >> 32 << 32) | (u64::from(number) + 1);
        let mask = self.places.len().wrapping_sub(1);
        let mut gap = self.home(hash);
        while self.places.get(gap).is_some_and(|place| *place != sought && *place != 0) {
            gap = (gap + 1) & mask;
        }
        if self.places.get(gap) != Some(&sought) {
            return;
        }
        self.len -= 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let place = self.places[at];
            if place == 0 {
                break;
            }
            // A word may move back to the gap unless its home lies behind the gap.
            let from_home = at.wrapping_sub(self.home(place)) & mask;
            let from_gap = at.wrapping_sub(gap) & mask;
            if from_home >= from_gap {
                self.places[gap] = place;
                gap = at;
            }
        }
        self.places[gap] = 0;
    }

    fn home(&self, hash: u64) -> usize {
        // The highest bits; with fewer than 2^32 places the 32 kept ones are enough.
        let bits = self.places.len().trailing_zeros();
        (hash >> 32 << bits.min(32) >> 32) as usize
    }

    fn put(&mut self, word: u64) {
        let mask = self.places.len() - 1;
        let mut at = self.home(word);
        while self.places[at] != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = word;
    }

    fn grow(&mut self) {
        let wider = vec![0; (self.places.len() * 2).max(PLACES_MIN)];
        let before = std::mem::replace(&mut self.places, wider);
        before.into_iter().filter(|place| *place != 0).for_each(|place| self.put(place));
    }
}

fn number(place: u64) -> u32 {
    (place as u32).wrapping_sub(1)
}

/// Bytes in place where they are short, so that comparing them takes no other cache line.
#[derive(Debug)]
pub(super) enum Short<const LEN_BYTES_MAX: usize> {
    InPlace(u8, [u8; LEN_BYTES_MAX]),
    Boxed(Box<[u8]>),
}

impl<const LEN_BYTES_MAX: usize> Short<LEN_BYTES_MAX> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::InPlace(len, bytes) => &bytes[..usize::from(*len)],
            Self::Boxed(bytes) => bytes,
        }
    }
}

impl<const LEN_BYTES_MAX: usize> Default for Short<LEN_BYTES_MAX> {
    fn default() -> Self {
        Self::InPlace(0, [0; LEN_BYTES_MAX])
    }
}

impl<const LEN_BYTES_MAX: usize> From<&[u8]> for Short<LEN_BYTES_MAX> {
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() > LEN_BYTES_MAX {
            return Self::Boxed(bytes.into());
        }
        let mut held = [0; LEN_BYTES_MAX];
        held[..bytes.len()].copy_from_slice(bytes);
        Self::InPlace(bytes.len() as u8, held)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, so that many share a place or a home: against a map of lists.
        #[test]
        fn an_index_finds_what_is_in_it(
            steps in prop::collection::vec((any::<bool>(), 0..40_u64, 0..2_u64), 0..400),
        ) {
            let mut index = Index::default();
            let mut expected: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            let mut next = 0;
            for (adds, high, low) in steps {
                let hash = (high * 0x0633_3333) << 32 | low << 32;
                let numbers = expected.entry(hash).or_default();
                if adds {
                    index.insert(hash, next);
                    numbers.push(next);
                    next += 1;
                } else if let Some(number) = numbers.pop() {
                    index.remove(hash, number);
                }
                for hash in expected.keys() {
                    let mut found = Vec::new();
                    index.find(*hash, |number| { found.push(number); false });
                    found.sort_unstable();
                    let mut all = expected[hash].clone();
                    all.sort_unstable();
                    prop_assert_eq!(&found, &all);
                    prop_assert_eq!(index.find(*hash, |_| true).is_some(), !all.is_empty());
                }
            }
        }

        #[test]
        fn short_bytes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let short = Short::<62>::from(bytes.as_slice());
            prop_assert_eq!(short.as_bytes(), &bytes);
        }
    }
}
