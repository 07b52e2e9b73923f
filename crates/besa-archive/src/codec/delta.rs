//! Parquet's `DELTA_BINARY_PACKED` (format specification, "Delta Encoding"): integers as packed
//! differences, blocks of 128 in four miniblocks of 32.
//!
//! ```text
//! header = varint 128, varint 4, varint count, zigzag first
//! block  = zigzag least difference, 4 × width (one byte each), 4 × 32 packed differences
//! ```

use super::hybrid::pack_bits;
use super::varint;

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// Appends `values`. Differences wrap, as the specification says.
pub(crate) fn encode(values: &[i64], out: &mut Vec<u8>) {
    varint::put(BLOCK as u64, out);
    varint::put(MINIBLOCKS as u64, out);
    varint::put(values.len() as u64, out);
    varint::put_signed(values.first().copied().unwrap_or(0), out);
    let mut deltas = Vec::with_capacity(BLOCK);
    for start in (1..values.len()).step_by(BLOCK) {
        deltas.clear();
        let window = values.get(start - 1..values.len().min(start + BLOCK)).unwrap_or_default();
        deltas.extend(window.iter().zip(window.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a)));
        encode_block(&deltas, out);
    }
}

fn encode_block(deltas: &[i64], out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    let above = |delta: &i64| delta.wrapping_sub(least).cast_unsigned();
    varint::put_signed(least, out);
    let widths: [u32; MINIBLOCKS] = std::array::from_fn(|index| {
        let mini = deltas.iter().skip(index * MINIBLOCK).take(MINIBLOCK);
        64 - mini.map(above).fold(0, |all, value| all | value).leading_zeros()
    });
    out.extend(widths.iter().map(|width| (width & 0xff) as u8));
    for (mini, width) in deltas.chunks(MINIBLOCK).zip(widths) {
        pack_bits(mini.iter().map(above), MINIBLOCK, width, out);
    }
}

/// Takes all values of one encoding, at most `max`; `None` if it is not well formed.
pub(crate) fn decode(bytes: &mut &[u8], max: usize) -> Option<Vec<i64>> {
    let block = varint::take_len(bytes)?;
    let minis = varint::take_len(bytes)?;
    let count = varint::take_len(bytes)?;
    let first = varint::take_signed(bytes)?;
    if block != BLOCK || minis != MINIBLOCKS || count > max {
        return None;
    }
    let mut values = Vec::new();
    if count > 0 {
        values.push(first);
    }
    while values.len() < count {
        decode_block(bytes, count, &mut values)?;
    }
    Some(values)
}

fn decode_block(bytes: &mut &[u8], count: usize, values: &mut Vec<i64>) -> Option<()> {
    let least = varint::take_signed(bytes)?;
    let (widths, rest) = bytes.split_first_chunk::<MINIBLOCKS>()?;
    *bytes = rest;
    for width in widths {
        if values.len() >= count {
            break;
        }
        let width = u32::from(*width);
        if width > 64 {
            return None;
        }
        let (packed, rest) = bytes.split_at_checked(MINIBLOCK * width as usize / 8)?;
        *bytes = rest;
        let wanted = (count - values.len()).min(MINIBLOCK);
        let mut last = *values.last()?;
        for index in 0..wanted {
            last = last.wrapping_add(least).wrapping_add(bits_at(packed, index * width as usize, width));
            values.push(last);
        }
    }
    Some(())
}

/// `width` ≤ 64 bits from bit `at`.
fn bits_at(packed: &[u8], at: usize, width: u32) -> i64 {
    if width == 0 {
        return 0;
    }
    let from = packed.get(at / 8..).unwrap_or_default();
    if let Some(word) = from.first_chunk::<8>().filter(|_| width <= 56) {
        return (u64::from_le_bytes(*word) >> (at % 8) & ((1 << width) - 1)).cast_signed();
    }
    let mut word = [0; 16];
    word.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
    let bits = u128::from_le_bytes(word) >> (at % 8);
    let mask = u128::from(u64::MAX >> (64 - width));
    ((bits & mask) as u64).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(values: &[i64]) {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(decode(&mut rest, values.len()).as_deref(), Some(values));
        assert!(rest.is_empty());
    }

    #[test]
    fn edges() {
        check(&[]);
        check(&[7]);
        check(&[i64::MIN, i64::MAX, i64::MIN, 0]);
        check(&(0..129).collect::<Vec<_>>());
        check(&(0..130).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn values_come_back(values in prop::collection::vec(any::<i64>(), 0..400)) {
            check(&values);
        }

        #[test]
        fn close_values_come_back(values in prop::collection::vec(-300_i64..300, 0..400)) {
            check(&values);
        }

        #[test]
        fn strange_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&mut bytes.as_slice(), 1_000);
        }
    }
}
