//! Masks by vector instructions of x86-64.
//!
//! `unsafe` stands at three kinds of places, each with its argument: calling a function that is
//! compiled for instructions that [`has`] has found on this machine; reading a block of 64 bytes
//! through an array reference of that length; writing 16 marks through an array reference of at
//! least that length. All arithmetic is safe code.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::*;

use super::scalar::mark_at;
use super::{BLOCK_LEN, Carry, IS_ESCAPED, IS_SUSPECT, Level, Mark, Masks, Quotes, drive};

/// Whether this machine, and its operating system, has a level's instructions: exactly those that
/// the function of that level is compiled for. The answers are cached by the standard library.
pub(super) fn has(level: Level) -> bool {
    match level {
        Level::Scalar => true,
        Level::Sse42 => is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt"),
        Level::Avx2 => {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
        }
        Level::Avx512 => {
            has(Level::Avx2)
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("avx512vbmi2")
        }
    }
}

/// [`super::Indexer::index`] at a level that [`has`] holds of.
pub(super) fn index(
    level: Level,
    carry: &mut Carry,
    text: &[u8],
    from: usize,
    to: usize,
    marks: &mut [Mark],
) -> usize {
    // SAFETY: an `Indexer` is only built with a level that `is_available`, so `has(level)` holds,
    // which asks for each instruction set that the function is compiled for.
    unsafe {
        match level {
            Level::Avx512 => index_avx512(carry, text, from, to, marks),
            Level::Avx2 => index_avx2(carry, text, from, to, marks),
            _ => index_sse42(carry, text, from, to, marks),
        }
    }
}

#[target_feature(enable = "sse4.2,popcnt")]
fn index_sse42(carry: &mut Carry, text: &[u8], from: usize, to: usize, marks: &mut [Mark]) -> usize {
    drive(carry, text, from, to, marks, |block| masks_sse42(block), emit)
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn index_avx2(carry: &mut Carry, text: &[u8], from: usize, to: usize, marks: &mut [Mark]) -> usize {
    drive(carry, text, from, to, marks, |block| masks_avx2(block), emit)
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi2")]
fn index_avx512(carry: &mut Carry, text: &[u8], from: usize, to: usize, marks: &mut [Mark]) -> usize {
    drive(
        carry,
        text,
        from,
        to,
        marks,
        |block| masks_avx512(block),
        |room, base, quotes| emit_avx512(room, base, quotes),
    )
}

/// Tables by which a byte that may follow a backslash is told: looked up by its lower and by its
/// upper half, they share a bit. A shuffle gives 0 for bytes from 0x80 up.
///
/// | upper half | bytes | bit |
/// |---|---|---|
/// | 2 | `"` 22, `/` 2F | 1 |
/// | 5 | `\` 5C | 2 |
/// | 6 | `b` 62, `f` 66, `n` 6E | 4 |
/// | 7 | `r` 72, `t` 74, `u` 75 | 8 |
const LOWER: [u8; 16] = [0, 0, 1 | 4 | 8, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1];
const UPPER: [u8; 16] = [0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0];

#[target_feature(enable = "sse4.2")]
#[inline]
fn table_sse(table: &[u8; 16]) -> __m128i {
    // SAFETY: the reference is to 16 bytes, and `loadu` asks for no alignment.
    unsafe { _mm_loadu_si128(table.as_ptr().cast()) }
}

#[target_feature(enable = "sse4.2")]
#[inline]
fn masks_sse42(block: &[u8; BLOCK_LEN]) -> Masks {
    let (lower, upper) = (table_sse(&LOWER), table_sse(&UPPER));
    let mut masks = Masks::default();
    for (index, quarter) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = table_sse(quarter);
        let place = |found: __m128i| u64::from(_mm_movemask_epi8(found).cast_unsigned()) << (16 * index);
        let is = |byte: u8| place(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed())));
        masks.quote |= is(b'"');
        masks.backslash |= is(b'\\');
        masks.unicode |= is(b'u');
        masks.control |= place(_mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes));
        let high = _mm_and_si128(_mm_srli_epi16::<4>(bytes), _mm_set1_epi8(0x0F));
        let shared = _mm_and_si128(_mm_shuffle_epi8(lower, bytes), _mm_shuffle_epi8(upper, high));
        masks.escapable |= place(_mm_cmpgt_epi8(shared, _mm_setzero_si128()));
    }
    masks
}

#[target_feature(enable = "avx2")]
#[inline]
fn masks_avx2(block: &[u8; BLOCK_LEN]) -> Masks {
    let lower = _mm256_broadcastsi128_si256(table_sse(&LOWER));
    let upper = _mm256_broadcastsi128_si256(table_sse(&UPPER));
    let mut masks = Masks::default();
    for (index, half) in block.as_chunks::<32>().0.iter().enumerate() {
        // SAFETY: the reference is to 32 bytes, and `loadu` asks for no alignment.
        let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
        let place = |found: __m256i| u64::from(_mm256_movemask_epi8(found).cast_unsigned()) << (32 * index);
        let is = |byte: u8| place(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte.cast_signed())));
        masks.quote |= is(b'"');
        masks.backslash |= is(b'\\');
        masks.unicode |= is(b'u');
        masks.control |= place(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes));
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0F));
        let shared = _mm256_and_si256(_mm256_shuffle_epi8(lower, bytes), _mm256_shuffle_epi8(upper, high));
        masks.escapable |= place(_mm256_cmpgt_epi8(shared, _mm256_setzero_si256()));
    }
    masks
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn masks_avx512(block: &[u8; BLOCK_LEN]) -> Masks {
    // SAFETY: the reference is to 64 bytes, and `loadu` asks for no alignment.
    let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()));
    let lower = _mm512_broadcast_i32x4(table_sse(&LOWER));
    let upper = _mm512_broadcast_i32x4(table_sse(&UPPER));
    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(0x0F));
    Masks {
        quote: is(b'"'),
        backslash: is(b'\\'),
        unicode: is(b'u'),
        control: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
        escapable: _mm512_test_epi8_mask(_mm512_shuffle_epi8(lower, bytes), _mm512_shuffle_epi8(upper, high)),
    }
}

/// Marks written eight at a time, whether or not there are as many: what is written beyond them
/// is overwritten by the next block's.
#[inline(always)]
fn emit(room: &mut [Mark; BLOCK_LEN], base: u32, quotes: Quotes) {
    let mut left = quotes.quote;
    let (eights, _) = room.as_chunks_mut::<8>();
    for eight in eights {
        for mark in eight {
            // With none left the position is 64, which no shift may be by.
            let at = left.trailing_zeros() & 63;
            *mark = mark_at(base, at, quotes);
            left &= left.wrapping_sub(1);
        }
        if left == 0 {
            return;
        }
    }
}

/// As [`emit`], sixteen at a time: the positions of the set bits are what is left of 0 to 63 when
/// the others are pressed out.
#[target_feature(enable = "bmi2,avx512f,avx512bw,avx512vbmi2")]
#[inline]
fn emit_avx512(room: &mut [Mark; BLOCK_LEN], base: u32, quotes: Quotes) {
    const POSITIONS: [u8; BLOCK_LEN] = {
        let mut positions = [0; BLOCK_LEN];
        let mut at = 0;
        while at < BLOCK_LEN {
            positions[at] = at as u8;
            at += 1;
        }
        positions
    };
    // SAFETY: the reference is to 64 bytes, and `loadu` asks for no alignment.
    let positions = unsafe { _mm512_loadu_si512(POSITIONS.as_ptr().cast()) };
    let positions = _mm512_maskz_compress_epi8(quotes.quote, positions);
    let escaped = _pext_u64(quotes.escaped, quotes.quote);
    let suspect = _pext_u64(quotes.suspect, quotes.quote);
    let count = quotes.quote.count_ones();
    let (sixteens, _) = room.as_chunks_mut::<16>();
    let sixteen_positions = [
        _mm512_extracti32x4_epi32::<0>(positions),
        _mm512_extracti32x4_epi32::<1>(positions),
        _mm512_extracti32x4_epi32::<2>(positions),
        _mm512_extracti32x4_epi32::<3>(positions),
    ];
    for (index, (out, positions)) in (0_u32..).zip(sixteens.iter_mut().zip(sixteen_positions)) {
        if 16 * index >= count {
            return;
        }
        let flags = |bits: u64| (bits >> (16 * index)) as u16;
        let marks = _mm512_add_epi32(_mm512_cvtepu8_epi32(positions), _mm512_set1_epi32(base.cast_signed()));
        let set = |marks, bits, flag: u32| {
            _mm512_mask_or_epi32(marks, flags(bits), marks, _mm512_set1_epi32(flag.cast_signed()))
        };
        let marks = set(set(marks, escaped, IS_ESCAPED), suspect, IS_SUSPECT);
        // SAFETY: the reference is to 16 marks, each a transparent `u32`, together 64 bytes; and
        // `storeu` asks for no alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), marks) };
    }
}
