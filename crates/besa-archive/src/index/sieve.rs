//! Values held against what is asked for, one by one: the index's own test without an index.
//!
//! A row group that the index names holds something asked for, mostly in few of its rows. Which
//! rows these are is told by the same keys: a value is looked for exactly if one of the keys under
//! which a run would store it is asked for. So whatever the index finds, the sieve finds.

use besa_event::LogSource;

use super::build::Observe;
use super::key;
use super::search::Asked;
use crate::read::sift::Judge;

/// Bits of the filter for each point: a key that is not asked for passes in one of 16 cases.
const BITS_PER_POINT: usize = 16;
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// What is asked for, ready for many values. Shared by threads.
#[derive(Debug)]
pub struct Sieve<'a> {
    observe: &'a dyn Observe,
    asked: &'a Asked,
    /// One bit for each of its points, so that most keys cost one word and no search.
    filter: Vec<u64>,
    /// How far a product is shifted to become the number of a bit.
    shift: u32,
}

impl<'a> Sieve<'a> {
    /// For what is asked, of values as `observe` sees them.
    #[must_use]
    pub fn new(observe: &'a dyn Observe, asked: &'a Asked) -> Self {
        let bits = (asked.points().len() * BITS_PER_POINT).next_power_of_two().max(64);
        let mut sieve =
            Self { observe, asked, filter: vec![0; bits / 64], shift: u64::BITS - bits.trailing_zeros() };
        for point in asked.points() {
            let (word, bit) = sieve.place(*point);
            if let Some(word) = sieve.filter.get_mut(word) {
                *word |= bit;
            }
        }
        sieve
    }

    /// For one thread.
    #[must_use]
    pub fn hand(&'a self) -> SieveHand<'a> {
        SieveHand { sieve: self, buffer: Vec::new() }
    }

    #[inline]
    fn holds(&self, key: u64) -> bool {
        let (word, bit) = self.place(key);
        let may_be_point = self.filter.get(word).is_some_and(|word| word & bit != 0);
        (may_be_point && self.asked.has_point(key)) || self.asked.in_range(key)
    }

    #[inline]
    fn place(&self, key: u64) -> (usize, u64) {
        let at = key.wrapping_mul(FACTOR) >> self.shift;
        ((at / 64) as usize, 1 << (at % 64))
    }
}

/// A sieve with what one thread needs for work.
#[derive(Debug)]
pub struct SieveHand<'a> {
    sieve: &'a Sieve<'a>,
    buffer: Vec<u8>,
}

impl Judge for SieveHand<'_> {
    fn ways(&mut self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        self.sieve.observe.ways(class, names)
    }

    fn meets(&mut self, way: u32, text: &[u8]) -> bool {
        let (sieve, mut met) = (self.sieve, false);
        sieve.observe.observe(way, text, &mut self.buffer, &mut |observed| {
            if !met {
                key::stored(observed, &mut |key| met |= sieve.holds(key));
            }
        });
        met
    }

    /// Observables are looked for in texts; a number, as evidence writes it, is none and no part of one.
    fn looks_at_numbers(&self) -> bool {
        false
    }
}
