//! A binary fuse filter of 8 bits: refuses a key that is not in a set in 255 of 256 cases.
//!
//! Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters" (2022). A key has
//! three cells in three neighbouring windows of an array; the exclusive or of the cells is the
//! key's fingerprint. 9.0 to 9.7 bits for each key of a large set.
//!
//! ```text
//! log2 of the window (u8) · windows where the first cell can lie (u32) · seed (u8) · cells
//! ```
//! A filter without cells passes everything; it stands where none could be built (which at 64
//! seeds does not happen by chance).

/// Bytes before the cells.
const HEADER: usize = 6;
const SEEDS_MAX: u8 = 64;
const WINDOW_LOG_MAX: u32 = 18;

/// Builds the filter of distinct keys.
pub(super) fn build(keys: &[u64]) -> Vec<u8> {
    let shape = Shape::for_keys(keys.len());
    for seed in 0..SEEDS_MAX {
        if let Some(cells) = fill(&Shape { seed, ..shape }, keys) {
            let mut out = Vec::with_capacity(HEADER + cells.len());
            out.push(u8::try_from(shape.window_log).unwrap_or(0));
            out.extend_from_slice(&shape.windows.to_le_bytes());
            out.push(seed);
            out.extend_from_slice(&cells);
            return out;
        }
    }
    vec![0; HEADER]
}

/// A filter read from its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter<'a> {
    shape: Shape,
    cells: &'a [u8],
}

impl<'a> Filter<'a> {
    /// `None` when the bytes are no filter.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, cells) = bytes.split_first_chunk::<HEADER>()?;
        let [log, w0, w1, w2, w3, seed] = *header;
        let windows = u32::from_le_bytes([w0, w1, w2, w3]);
        let shape = Shape { window_log: u32::from(log), windows, seed };
        let fits =
            cells.is_empty() || (shape.window_log <= WINDOW_LOG_MAX && shape.cells() == Some(cells.len()));
        fits.then_some(Self { shape, cells })
    }

    /// Whether the key may be in the set.
    #[inline]
    pub(super) fn may_hold(&self, key: u64) -> bool {
        if self.cells.is_empty() {
            return true;
        }
        let hash = self.shape.hash(key);
        let cell = |at: usize| self.cells.get(at).copied().unwrap_or(0);
        let [first, second, third] = self.shape.places(hash);
        fingerprint(hash) == cell(first) ^ cell(second) ^ cell(third)
    }
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    /// log2 of the cells of a window.
    window_log: u32,
    /// Windows in which a key's first cell can lie; two more follow.
    windows: u32,
    seed: u8,
}

impl Shape {
    /// The sizes that the authors found to work.
    fn for_keys(count: usize) -> Self {
        let n = count.max(2) as f64;
        let window_log = ((n.ln() / 3.33_f64.ln() + 2.25).floor() as u32).min(WINDOW_LOG_MAX);
        let factor = (0.875 + 0.25 * 1e6_f64.ln() / n.ln()).max(1.125);
        let capacity = (n * factor).ceil() as u64;
        let windows = capacity.div_ceil(1 << window_log).saturating_sub(2).max(1);
        Self { window_log, windows: u32::try_from(windows).unwrap_or(u32::MAX), seed: 0 }
    }

    fn cells(&self) -> Option<usize> {
        (self.windows as usize).checked_add(2)?.checked_mul(1 << self.window_log)
    }

    #[inline]
    fn hash(&self, key: u64) -> u64 {
        let mut h = key.wrapping_add(u64::from(self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        h = (h ^ h >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        h = (h ^ h >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        h ^ h >> 33
    }

    #[inline]
    fn places(&self, hash: u64) -> [usize; 3] {
        let starts = u128::from(self.windows) << self.window_log;
        let first = ((u128::from(hash) * starts) >> 64) as usize;
        let window = 1_usize << self.window_log;
        let mask = window - 1;
        [
            first,
            (first + window) ^ ((hash >> 18) as usize & mask),
            (first + 2 * window) ^ (hash as usize & mask),
        ]
    }
}

#[inline]
fn fingerprint(hash: u64) -> u8 {
    (hash ^ hash >> 32) as u8
}

/// Cells for all keys, or nothing if this seed does not peel.
fn fill(shape: &Shape, keys: &[u64]) -> Option<Vec<u8>> {
    let len = shape.cells()?;
    // Per cell: how many keys have it, and the exclusive or of their hashes.
    let mut degree = vec![0_u32; len];
    let mut sums = vec![0_u64; len];
    for key in keys {
        let hash = shape.hash(*key);
        for place in shape.places(hash) {
            *degree.get_mut(place)? += 1;
            *sums.get_mut(place)? ^= hash;
        }
    }
    let mut alone: Vec<usize> = (0..len).filter(|place| degree.get(*place) == Some(&1)).collect();
    let mut peeled: Vec<(u64, usize)> = Vec::with_capacity(keys.len());
    while let Some(place) = alone.pop() {
        if degree.get(place) != Some(&1) {
            continue;
        }
        let hash = *sums.get(place)?;
        peeled.push((hash, place));
        for other in shape.places(hash) {
            let left = degree.get_mut(other)?;
            *left -= 1;
            *sums.get_mut(other)? ^= hash;
            if *left == 1 {
                alone.push(other);
            }
        }
    }
    if peeled.len() != keys.len() {
        return None;
    }
    let mut cells = vec![0_u8; len];
    for (hash, place) in peeled.into_iter().rev() {
        let of_all = shape
            .places(hash)
            .iter()
            .fold(fingerprint(hash), |sum, at| sum ^ cells.get(*at).copied().unwrap_or(0));
        *cells.get_mut(place)? ^= of_all;
    }
    Some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_pass_and_others_rarely_do() {
        for count in [0_u64, 1, 2, 3, 10, 100, 1_000, 65_536] {
            // Neighbouring numbers, as addresses of one network are.
            let keys: Vec<u64> = (0..count).map(|number| 0x0A00_0000 + number).collect();
            let bytes = build(&keys);
            let filter = Filter::read(&bytes).unwrap();
            assert!(keys.iter().all(|key| filter.may_hold(*key)), "{count}");
            assert!(bytes.len() > HEADER, "{count} keys found no seed");
            let passed = (0..100_000_u64).filter(|key| filter.may_hold(1 << 40 | key)).count();
            assert!(passed < 600, "{passed} of 100,000 strangers passed among {count}");
            if count >= 65_536 {
                assert!((bytes.len() as u64) * 8 < count * 97 / 10, "{} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn other_bytes_are_refused_or_harmless() {
        assert!(Filter::read(&[]).is_none());
        assert!(Filter::read(&[3, 255, 255, 255, 255, 0, 1]).is_none());
        assert!(Filter::read(&[255, 1, 0, 0, 0, 0, 1]).is_none());
        assert!(Filter::read(&[0; HEADER]).unwrap().may_hold(7));
    }
}
