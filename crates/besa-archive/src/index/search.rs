//! Many values looked up in a run at once: sorted keys against sorted blocks.
//!
//! Of each segment only the blocks that a key can lie in are read. Where several keys fall into a
//! segment its filter is read first, and only keys that pass it cost a block.

use super::fuse::Filter;
use super::key;
use super::run::{BLOCK_KEYS, Block, IndexError, ReadAt, Run, Segment};
use besa_event::observable::ObservableKind;

/// From so many keys in a segment on, its filter is read before its blocks.
const FILTER_FROM: usize = 32;
/// Up to one key for so many of the segment: past that, reading all of its blocks costs less than asking
/// the filter.
const FILTER_UP_TO: usize = 8;

/// What indicators ask for: keys, and ranges of keys for networks.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Ascending; one that several values ask for is there for each.
    points: Vec<u64>,
    /// For each point the number of the value that asks, or [`ANY_URL_VALUE`].
    values: Vec<u32>,
    /// First and last key; neither overlapping nor touching.
    ranges: Vec<(u64, u64)>,
}

/// Stands for a value of which it does not matter which: a part of a URL.
pub(super) const ANY_URL_VALUE: u32 = u32::MAX;

/// What a search cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Blocks read.
    pub blocks: u64,
    /// Filters read.
    pub filters: u64,
    /// Keys found.
    pub keys: u64,
}

impl Asked {
    /// Collects the values of indicators, in normal form. They are numbered in their order.
    #[must_use]
    pub fn new<'v>(values: impl IntoIterator<Item = (ObservableKind, &'v [u8])>) -> Self {
        let (mut points, mut ranges): (Vec<(u64, u32)>, _) = (Vec::new(), Vec::new());
        for (number, (kind, value)) in (0_u32..).zip(values) {
            let mut asks_for = number;
            key::asked(kind, value, &mut |first, last| {
                match first == last {
                    true => points.push((first, asks_for)),
                    false => ranges.push((first, last)),
                }
                // The value's own key comes first; of a URL, those of its parts follow.
                asks_for = if kind == ObservableKind::Url { ANY_URL_VALUE } else { number };
            });
        }
        points.sort_unstable();
        points.dedup();
        ranges.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        let (points, values) = points.into_iter().unzip();
        Self { points, values, ranges: joined }
    }

    /// Asks for keys as they are.
    pub(crate) fn of_keys(mut points: Vec<u64>) -> Self {
        points.sort_unstable();
        points.dedup();
        Self { points, ..Self::default() }
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.ranges.is_empty()
    }

    /// Whether a key is asked for.
    #[must_use]
    pub fn holds(&self, key: u64) -> bool {
        self.has_point(key) || self.in_range(key)
    }

    pub(super) fn points(&self) -> &[u64] {
        &self.points
    }

    pub(crate) fn has_point(&self, key: u64) -> bool {
        self.points.binary_search(&key).is_ok()
    }

    /// The numbers of the values that ask for a point.
    pub(super) fn values_of(&self, point: u64) -> &[u32] {
        let from = self.points.partition_point(|have| *have < point);
        let same = self.points.get(from..).unwrap_or_default().iter().take_while(|have| **have == point);
        self.values.get(from..from + same.count()).unwrap_or_default()
    }

    pub(super) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    #[inline]
    pub(super) fn in_range(&self, key: u64) -> bool {
        self.range_of(key).is_some()
    }

    /// The number of the range in which a key lies.
    #[inline]
    pub(crate) fn range_of(&self, key: u64) -> Option<usize> {
        let at = self.ranges.partition_point(|(first, _)| *first <= key).checked_sub(1)?;
        self.ranges.get(at).is_some_and(|(_, last)| key <= *last).then_some(at)
    }

    fn has_range_in(&self, from: u64, to: u64) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < from);
        self.ranges.get(at).is_some_and(|(first, _)| *first < to)
    }

    /// The points from a key on, up to another.
    fn points_in(&self, from: u64, to: u64) -> &[u64] {
        let start = self.points.partition_point(|point| *point < from);
        let end = self.points.partition_point(|point| *point < to);
        self.points.get(start..end).unwrap_or_default()
    }
}

impl<R: ReadAt> Run<R> {
    /// Shows, for every key that is asked for and is there, each file by its position and the
    /// set of its row groups (bit = row group); a file may come often. Files that are indexed as
    /// incomplete are shown with all bits.
    ///
    /// # Errors
    /// A run that cannot be read: then nothing shown so far is an answer.
    pub fn search(&self, asked: &Asked, see: &mut dyn FnMut(u32, u64)) -> Result<Searched, IndexError> {
        self.incomplete.iter().for_each(|file| see(*file, u64::MAX));
        self.search_keys(asked, &mut |_, file, groups| see(file, groups))
    }

    /// The same with the key in front and one row group at a time; without files that are incomplete.
    pub(crate) fn search_keys(
        &self,
        asked: &Asked,
        see: &mut dyn FnMut(u64, u32, u64),
    ) -> Result<Searched, IndexError> {
        let mut searched = Searched::default();
        for segment in &self.segments {
            self.search_segment(segment, asked, &mut searched, see)?;
        }
        Ok(searched)
    }

    fn search_segment(
        &self,
        segment: &Segment,
        asked: &Asked,
        searched: &mut Searched,
        see: &mut dyn FnMut(u64, u32, u64),
    ) -> Result<(), IndexError> {
        let (from, to) = (self.first_of(segment.blocks.start), self.first_of(segment.blocks.end));
        let points = asked.points_in(from, to);
        let ranges = asked.has_range_in(from, to);
        if points.is_empty() && !ranges {
            return Ok(());
        }
        let filtered;
        let few = points.len() < segment.blocks.len() * BLOCK_KEYS / FILTER_UP_TO;
        let points = if points.len() >= FILTER_FROM && few {
            searched.filters += 1;
            let bytes = self.read_filter(segment)?;
            let filter = Filter::read(&bytes).ok_or(IndexError::Damaged("a filter"))?;
            filtered = points.iter().copied().filter(|point| filter.may_hold(*point)).collect::<Vec<_>>();
            &filtered
        } else {
            points
        };
        let mut block = Block::default();
        let mut rest = points;
        for number in segment.blocks.clone() {
            let (first, end) = (self.first_of(number), self.first_of(number + 1));
            let here;
            (here, rest) = rest.split_at(rest.partition_point(|point| *point < end));
            let Some(place) = self.blocks.get(number) else { break };
            if here.is_empty() && !(ranges && asked.has_range_in(first, end)) {
                continue;
            }
            self.read_block(*place, &mut block)?;
            searched.blocks += 1;
            self.search_block(&block, here, asked, searched, see)?;
        }
        Ok(())
    }

    /// The first key of a block; past the last block, past all keys.
    fn first_of(&self, block: usize) -> u64 {
        self.blocks.get(block).map_or(key::KEYS_END, |place| place.first)
    }

    fn search_block(
        &self,
        block: &Block,
        points: &[u64],
        asked: &Asked,
        searched: &mut Searched,
        see: &mut dyn FnMut(u64, u32, u64),
    ) -> Result<(), IndexError> {
        let mut rest = points;
        let wanted: Vec<bool> = block
            .keys
            .iter()
            .map(|key| {
                rest = from(rest, *key);
                rest.first() == Some(key) || asked.in_range(*key)
            })
            .collect();
        let Some(last) = wanted.iter().rposition(|wanted| *wanted) else { return Ok(()) };
        let mut sets = block.sets();
        for (key, show) in block.keys.iter().zip(wanted).take(last + 1) {
            searched.keys += u64::from(show);
            sets.set(self.universe(), &mut |unit| {
                if show {
                    let (file, group) = self.place_of(unit);
                    see(*key, file, 1_u64.checked_shl(group).unwrap_or(u64::MAX));
                }
            })
            .ok_or(IndexError::Damaged("a set"))?;
        }
        Ok(())
    }
}

/// The points from a key on, which mostly is not far from the first.
fn from(points: &[u64], key: u64) -> &[u64] {
    let mut bound = 1;
    while points.get(bound - 1).is_some_and(|point| *point < key) {
        bound *= 2;
    }
    let near = points.get(..points.len().min(bound)).unwrap_or_default();
    points.get(near.partition_point(|point| *point < key)..).unwrap_or_default()
}
