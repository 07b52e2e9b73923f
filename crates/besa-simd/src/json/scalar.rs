//! The slow, obvious twin: one byte after the other.

use super::{BLOCK_LEN, IS_ESCAPED, IS_SUSPECT, Mark, Masks, Quotes};

pub(super) fn masks(block: &[u8; BLOCK_LEN]) -> Masks {
    let mut masks = Masks::default();
    for (at, byte) in block.iter().enumerate() {
        let bit = |is_set: bool| u64::from(is_set) << at;
        masks.quote |= bit(*byte == b'"');
        masks.backslash |= bit(*byte == b'\\');
        masks.control |= bit(*byte < 0x20);
        masks.escapable |= bit(b"\"\\/bfnrtu".contains(byte));
        masks.unicode |= bit(*byte == b'u');
    }
    masks
}

pub(super) fn emit(room: &mut [Mark; BLOCK_LEN], base: u32, quotes: Quotes) {
    let mut left = quotes.quote;
    for mark in room {
        if left == 0 {
            return;
        }
        let at = left.trailing_zeros();
        *mark = mark_at(base, at, quotes);
        left &= left - 1;
    }
}

/// The mark of the quote at bit `at`.
#[inline(always)]
pub(super) fn mark_at(base: u32, at: u32, quotes: Quotes) -> Mark {
    let flag = |bits: u64, flag: u32| if bits >> at & 1 == 1 { flag } else { 0 };
    Mark((base + at) | flag(quotes.escaped, IS_ESCAPED) | flag(quotes.suspect, IS_SUSPECT))
}
