//! Parquet's hybrid of run lengths and bit packing (format specification, "Run Length Encoding /
//! Bit-Packing Hybrid"): definition levels and positions in a dictionary.
//!
//! ```text
//! run   = varint(count << 1)       value in ceil(width / 8) bytes, little endian
//! pack  = varint(groups << 1 | 1)  groups × 8 values of `width` bits, lowest bit first
//! ```

use super::varint;

/// Repetitions from which a run is shorter than packing.
const RUN_MIN: usize = 8;

/// Appends `values`, each below `2^width`; width 1 to 32.
pub(crate) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut rest = values;
    let mut packed_from = rest;
    let mut packed_len = 0;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|value| *value == first).count();
        // Packing works in groups of eight, so a run may begin only at a group's border.
        let filler = (8 - packed_len % 8) % 8;
        if run >= RUN_MIN + filler {
            pack(packed_from.get(..packed_len + filler).unwrap_or_default(), width, out);
            repeat(*first, run - filler, width, out);
            rest = rest.get(run..).unwrap_or_default();
            packed_from = rest;
            packed_len = 0;
        } else {
            rest = rest.get(run..).unwrap_or_default();
            packed_len += run;
        }
    }
    pack(packed_from.get(..packed_len).unwrap_or_default(), width, out);
}

fn repeat(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    varint::put((count as u64) << 1, out);
    let bytes = value.to_le_bytes();
    out.extend_from_slice(bytes.get(..width.div_ceil(8) as usize).unwrap_or_default());
}

fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint::put((groups as u64) << 1 | 1, out);
    pack_bits(values.iter().map(|value| u64::from(*value)), groups * 8, width, out);
}

/// Appends `count` values (missing ones are 0) of `width` ≤ 64 bits, lowest bit first.
pub(crate) fn pack_bits(values: impl Iterator<Item = u64>, count: usize, width: u32, out: &mut Vec<u8>) {
    let (mut buffer, mut filled) = (0_u128, 0);
    for value in values.chain(std::iter::repeat(0)).take(count) {
        buffer |= u128::from(value) << filled;
        filled += width;
        while filled >= 32 {
            out.extend_from_slice(&((buffer & 0xffff_ffff) as u32).to_le_bytes());
            buffer >>= 32;
            filled -= 32;
        }
    }
    while filled > 0 {
        out.push((buffer & 0xff) as u8);
        buffer >>= 8;
        filled = filled.saturating_sub(8);
    }
}

/// Reads values of `width` ≤ 56 bits, lowest bit first.
pub(crate) fn unpack_bits(bytes: &[u8], width: u32, count: usize, mut each: impl FnMut(u64)) {
    let mask = (1_u64 << width) - 1;
    for index in 0..count {
        let bit = index * width as usize;
        let word = match bytes.get(bit / 8..).and_then(|from| from.first_chunk::<8>()) {
            Some(word) => *word,
            None => {
                let mut word = [0; 8];
                let from = bytes.get(bit / 8..).unwrap_or_default();
                word.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
                word
            }
        };
        each(u64::from_le_bytes(word) >> (bit % 8) & mask);
    }
}

/// The value of a run of width 1 that is all there is of `count` values.
pub(crate) fn one_run(mut bytes: &[u8], count: usize) -> Option<u8> {
    let header = varint::take_len(&mut bytes)?;
    (header & 1 == 0 && header >> 1 == count).then(|| bytes.first().copied()).flatten()
}

/// Reads `count` values; `None` if the bytes do not hold them.
pub(crate) fn decode(bytes: &mut &[u8], width: u32, count: usize, out: &mut Vec<u32>) -> Option<()> {
    if width > 32 {
        return None;
    }
    let end = out.len() + count;
    while out.len() < end {
        let header = varint::take_len(bytes)?;
        let wanted = end - out.len();
        if header & 1 == 0 {
            let (value, rest) = bytes.split_at_checked(width.div_ceil(8) as usize)?;
            *bytes = rest;
            let mut word = [0; 4];
            word.iter_mut().zip(value).for_each(|(to, byte)| *to = *byte);
            let run = header >> 1;
            if run == 0 {
                return None;
            }
            out.resize(out.len() + run.min(wanted), u32::from_le_bytes(word));
        } else {
            let groups = header >> 1;
            let (packed, rest) = bytes.split_at_checked(groups.checked_mul(width as usize)?)?;
            *bytes = rest;
            if groups == 0 {
                return None;
            }
            let count = wanted.min(groups.saturating_mul(8));
            unpack_bits(packed, width, count, |value| out.push((value & 0xffff_ffff) as u32));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back(
            runs in prop::collection::vec((any::<u32>(), 1_usize..30), 0..40),
            width in 1_u32..=32,
        ) {
            let mask = if width == 32 { u32::MAX } else { (1 << width) - 1 };
            let values: Vec<u32> =
                runs.iter().flat_map(|(value, count)| std::iter::repeat_n(value & mask, *count)).collect();
            let mut bytes = Vec::new();
            encode(&values, width, &mut bytes);
            let mut found = Vec::new();
            let mut rest = bytes.as_slice();
            prop_assert!(decode(&mut rest, width, values.len(), &mut found).is_some());
            prop_assert_eq!(&found, &values);
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn strange_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40), width in 0_u32..40) {
            let mut out = Vec::new();
            let _ = decode(&mut bytes.as_slice(), width, 1_000, &mut out);
            prop_assert!(out.len() <= 1_000);
        }
    }
}
