//! Values held against what is asked for, one by one: the index's own test without an index.
//!
//! A row group that the index names holds something asked for, mostly in few of its rows. Which
//! rows these are is told by the same keys: a value is looked for exactly if one of the keys under
//! which a run would store it is asked for. So whatever the index finds, the sieve finds.
//!
//! The index also tells which of the keys a row group holds ([`Hits`]). Then these alone are looked
//! for, in few of the ways in which an indicator can stand in a value. Soundness: a key that is asked
//! for and that the row group does not hold is in none of its values; and of a key that it holds, all
//! values that ask for it are sought.

use std::sync::OnceLock;

use besa_event::LogSource;
use besa_event::observable::ObservableKind as Kind;
use besa_event::sieve::Sieve as TextSieve;

use super::build::{Observe, ObserveWork, Sought};
use super::key;
use super::search::{ANY_URL_VALUE, Asked};
use crate::read::sift::Judge;

/// Bits of the filter for each point: a key that is not asked for passes in one of 16 cases.
const BITS_PER_POINT: usize = 16;
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// What of that which is asked for a row group holds, as its index run tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Keys that are asked for by themselves, ascending.
    pub(crate) points: Vec<u64>,
    /// Numbers of ranges in which it has keys, ascending.
    pub(crate) ranges: Vec<u32>,
}

impl Hits {
    /// Adds a key that is asked for and not below those added before; tells how many entries that
    /// made. Whatever is not asked for makes none.
    pub fn add(&mut self, key: u64, asked: &Asked) -> usize {
        let before = self.len();
        let range = asked.range_of(key).and_then(|range| u32::try_from(range).ok());
        self.ranges.extend(range.filter(|range| self.ranges.last() != Some(range)));
        if self.points.last() != Some(&key) && asked.has_point(key) {
            self.points.push(key);
        }
        self.len() - before
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len() + self.ranges.len()
    }

    /// Adds those of another run.
    pub(crate) fn join(&mut self, other: Self) {
        self.points.extend(other.points);
        self.points.sort_unstable();
        self.points.dedup();
        self.ranges.extend(other.ranges);
        self.ranges.sort_unstable();
        self.ranges.dedup();
    }
}

/// What is asked for, ready for many values. Shared by threads.
pub struct Sieve<'a> {
    observe: &'a dyn Observe,
    asked: &'a Asked,
    value: &'a ValueOf<'a>,
    seed: [u64; 2],
    whole: OnceLock<Few>,
}

/// Gives kind and normal form of a value that is asked for, by its number.
pub type ValueOf<'a> = dyn Fn(u32) -> Option<(Kind, &'a [u8])> + Sync + 'a;

/// Some of what is asked for.
#[derive(Debug)]
struct Few {
    sought: Sought,
    /// One bit for each point, so that most keys cost one word and no search.
    filter: Vec<u64>,
    /// How far a product is shifted to become the number of a bit.
    shift: u32,
    /// Of a row group; absent where everything asked for is looked for.
    hits: Option<Hits>,
}

impl<'a> Sieve<'a> {
    /// For what is asked, of values as `observe` sees them. `value` gives the values that are asked
    /// for by their numbers; `seed` is what nobody who writes evidence may know.
    #[must_use]
    pub fn new(observe: &'a dyn Observe, asked: &'a Asked, value: &'a ValueOf<'a>, seed: [u64; 2]) -> Self {
        Self { observe, asked, value, seed, whole: OnceLock::new() }
    }

    /// For one thread.
    #[must_use]
    pub fn hand(&'a self) -> SieveHand<'a> {
        SieveHand { sieve: self, few: None, work: ObserveWork::default() }
    }

    fn whole(&self) -> &Few {
        self.whole.get_or_init(|| {
            let all = 0..u32::try_from(self.asked.ranges().len()).unwrap_or(u32::MAX);
            Few {
                hits: None,
                ..self.few(Hits { points: self.asked.points().to_vec(), ranges: all.collect() })
            }
        })
    }

    fn few(&self, hits: Hits) -> Few {
        let bits = (hits.points.len() * BITS_PER_POINT).next_power_of_two().max(64);
        let sought =
            Sought { kinds: 0, text: TextSieve::new(hits.points.len() + hits.ranges.len(), self.seed) };
        let (filter, shift) = (vec![0; bits / 64], u64::BITS - bits.trailing_zeros());
        let mut few = Few { sought, filter, shift, hits: None };
        for point in &hits.points {
            let (word, bit) = few.place(*point);
            if let Some(word) = few.filter.get_mut(word) {
                *word |= bit;
            }
        }
        // A point that several ask for comes for each of them where all are looked for.
        for same in hits.points.chunk_by(|one, other| one == other) {
            let values = same.first().map_or(&[][..], |point| self.asked.values_of(*point));
            values.iter().for_each(|number| self.seek(&mut few.sought, *number));
        }
        for range in &hits.ranges {
            if let Some((first, last)) = self.asked.ranges().get(*range as usize) {
                few.sought.kinds |= key::ADDRESSES;
                each_network(*first, *last, &mut |network| few.sought.text.add(Kind::Network, &network));
            }
        }
        few.sought.text.freeze();
        few.hits = Some(hits);
        few
    }

    fn seek(&self, sought: &mut Sought, number: u32) {
        if number == ANY_URL_VALUE {
            sought.kinds |= key::kinds_asked(Kind::Url);
        } else if let Some((kind, value)) = (self.value)(number) {
            sought.kinds |= key::kinds_asked(kind);
            sought.text.add(kind, value);
        }
    }

    #[inline]
    fn holds(&self, few: &Few, key: u64) -> bool {
        let (word, bit) = few.place(key);
        let may_be_point = few.filter.get(word).is_some_and(|word| word & bit != 0);
        match &few.hits {
            None => (may_be_point && self.asked.has_point(key)) || self.asked.in_range(key),
            Some(hits) => {
                let of_hits = |range: usize| hits.ranges.iter().any(|have| *have as usize == range);
                (may_be_point && hits.points.binary_search(&key).is_ok())
                    || (!hits.ranges.is_empty() && self.asked.range_of(key).is_some_and(of_hits))
            }
        }
    }
}

impl std::fmt::Debug for Sieve<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sieve")
            .field("observe", &self.observe)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

/// Shows networks in normal form that hold the IPv4 addresses of a range of keys, and no others.
/// (Keys of IPv6 need none: a [`TextSieve`] holds back no address of that family.)
fn each_network(first: u64, last: u64, see: &mut dyn FnMut([u8; 6])) {
    let mut next = first;
    while let Some([a, b, c, d]) = key::ipv4_of(next).filter(|_| next <= last) {
        let room = (last - next + 1).ilog2().min(32);
        let hosts = if next == 0 { room } else { room.min(next.trailing_zeros()) };
        see([4, u8::try_from(32 - hosts).unwrap_or(32), a, b, c, d]);
        next += 1 << hosts;
    }
}

impl Few {
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
    few: Option<Few>,
    work: ObserveWork,
}

impl SieveHand<'_> {
    /// From now on looks for what the index says that a row group holds; for everything that is asked
    /// for if it cannot say.
    pub fn look_for(&mut self, hits: Option<&Hits>) {
        self.few = hits.map(|hits| self.sieve.few(hits.clone()));
    }
}

impl Judge for SieveHand<'_> {
    fn ways(&mut self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        self.sieve.observe.ways(class, names)
    }

    fn meets(&mut self, way: u32, text: &[u8]) -> bool {
        let (sieve, mut met) = (self.sieve, false);
        let few = self.few.as_ref().unwrap_or_else(|| sieve.whole());
        sieve.observe.observe_sought(way, text, &few.sought, &mut self.work, &mut |observed| {
            if !met {
                key::stored(observed, &mut |key| met |= sieve.holds(few, key));
            }
        });
        met
    }

    fn may_meet(&mut self, way: u32, bytes: &[u8], longest: usize) -> bool {
        let few = self.few.as_ref().unwrap_or_else(|| self.sieve.whole());
        self.sieve.observe.may_show(way, &few.sought, bytes, longest)
    }

    /// Observables are looked for in texts; a number, as evidence writes it, is none and no part of one.
    fn looks_at_numbers(&self) -> bool {
        false
    }

    /// Only URLs stand in several values.
    fn is_part(&self, way: u32) -> bool {
        let few = self.few.as_ref().unwrap_or_else(|| self.sieve.whole());
        few.sought.kinds & key::kinds_asked(Kind::Url) != 0 && self.sieve.observe.is_part(way)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn networks_hold_the_range_and_nothing_else(first in any::<u32>(), len in prop_oneof![0_u32..600, any::<u32>()]) {
            let last = first.saturating_add(len);
            let mut next = u64::from(first);
            each_network(first.into(), last.into(), &mut |[_, prefix, a, b, c, d]| {
                assert_eq!(u64::from(u32::from_be_bytes([a, b, c, d])), next);
                next += 1 << (32 - prefix);
            });
            prop_assert_eq!(next, u64::from(last) + 1);
        }
    }

    #[test]
    fn all_addresses_are_one_network() {
        let mut all = Vec::new();
        each_network(0, u32::MAX.into(), &mut |network| all.push(network));
        assert_eq!(all, [[4, 0, 0, 0, 0, 0]]);
        each_network(1 << 46, 1 << 47, &mut |network| panic!("{network:?}"));
    }
}
