//! BinXML values as text ([MS-EVEN6] 2.2.12 `ValueType`), in the spelling of Windows' own XML.
//!
//! | type | text |
//! |---|---|
//! | integers, floats | decimal |
//! | `Bool` | `true`, `false`; other values (some providers store masks) as the number |
//! | `Binary` | upper-case hexadecimal |
//! | `GUID` | `{1f2e3d4c-…}`, lower case, as `EvtRender` writes it |
//! | `FILETIME`, `SYSTEMTIME` | `2022-07-15T10:11:12.1234567Z` |
//! | `SID` | `S-1-5-18` |
//! | `HexInt32`, `HexInt64`, `SizeT` | `0x` and lower-case hexadecimal without leading zeros |
//!
//! Strings end at their first NUL, as in Windows. A value shorter than its type is shown as
//! `Binary` is: nothing of a damaged record is lost, and nothing is made up.

use besa_event::ValueKind;

/// Codes of the value types that the decoder itself asks for.
pub(super) const NULL: u8 = 0x00;
pub(super) const STRING: u8 = 0x01;
pub(super) const FILETIME: u8 = 0x11;
pub(super) const BINXML: u8 = 0x21;
/// Set in the code of an array of that type.
pub(super) const ARRAY: u8 = 0x80;

/// Appends the text of a single value and tells what kind of text it is.
#[inline]
pub(super) fn render(value_type: u8, bytes: &[u8], out: &mut Vec<u8>) -> ValueKind {
    if value_type == STRING {
        utf16(bytes, out);
        return ValueKind::Text;
    }
    render_typed(value_type, bytes, out).unwrap_or_else(|| {
        hex_upper(bytes, out);
        ValueKind::Text
    })
}

/// `None` when the bytes are too few for the type, or the type is unknown.
fn render_typed(value_type: u8, bytes: &[u8], out: &mut Vec<u8>) -> Option<ValueKind> {
    match value_type {
        NULL => return Some(ValueKind::Null),
        0x02 => ansi(bytes, out),
        0x03 => return signed(i64::from(i8::from_le_bytes(first(bytes)?)), out),
        0x04 => return unsigned(u64::from(u8::from_le_bytes(first(bytes)?)), out),
        0x05 => return signed(i64::from(i16::from_le_bytes(first(bytes)?)), out),
        0x06 => return unsigned(u64::from(u16::from_le_bytes(first(bytes)?)), out),
        0x07 => return signed(i64::from(i32::from_le_bytes(first(bytes)?)), out),
        0x08 => return unsigned(u64::from(u32::from_le_bytes(first(bytes)?)), out),
        0x09 => return signed(i64::from_le_bytes(first(bytes)?), out),
        0x0A => return unsigned(u64::from_le_bytes(first(bytes)?), out),
        0x0B => return Some(float(f32::from_le_bytes(first(bytes)?), out)),
        0x0C => return Some(float(f64::from_le_bytes(first(bytes)?), out)),
        0x0D => return boolean(i32::from_le_bytes(first(bytes)?), out),
        0x0E => hex_upper(bytes, out),
        0x0F => guid(&first(bytes)?, out),
        FILETIME => filetime(u64::from_le_bytes(first(bytes)?), out),
        0x12 => systemtime(&first(bytes)?, out),
        0x13 => sid(bytes, out)?,
        0x14 => hex_number(u64::from(u32::from_le_bytes(first(bytes)?)), out),
        0x15 => hex_number(u64::from_le_bytes(first(bytes)?), out),
        // SizeT and EvtHandle have the width of the machine that wrote them.
        0x10 | 0x20 if bytes.len() == 4 => hex_number(u64::from(u32::from_le_bytes(first(bytes)?)), out),
        0x10 | 0x20 => hex_number(u64::from_le_bytes(first(bytes)?), out),
        // EvtXml: XML as text.
        0x23 => utf16(bytes, out),
        _ => return None,
    }
    Some(ValueKind::Text)
}

fn first<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

/// Length of a value in a token stream, where none is stored; `None` where the type has none of
/// its own.
pub(super) fn fixed_len(value_type: u8) -> Option<usize> {
    match value_type {
        NULL => Some(0),
        0x03 | 0x04 => Some(1),
        0x05 | 0x06 => Some(2),
        0x07 | 0x08 | 0x0B | 0x0D | 0x14 => Some(4),
        0x09 | 0x0A | 0x0C | 0x11 | 0x15 => Some(8),
        0x0F | 0x12 => Some(16),
        _ => None,
    }
}

/// Cuts the next item from the bytes of an array of `item_type`; `None` at the end.
pub(super) fn next_item(item_type: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let len = match item_type {
        STRING => {
            let units = bytes.as_chunks::<2>().0;
            let len = units.iter().position(|unit| *unit == [0, 0]).map_or(bytes.len(), |at| at * 2);
            return Some((bytes.get(..len)?, bytes.get(len + 2..).unwrap_or_default()));
        }
        0x02 => {
            let len = memchr::memchr(0, bytes).unwrap_or(bytes.len());
            return Some((bytes.get(..len)?, bytes.get(len + 1..).unwrap_or_default()));
        }
        0x13 => 8 + 4 * usize::from(*bytes.get(1)?),
        other => fixed_len(other).filter(|len| *len > 0).unwrap_or(bytes.len()),
    };
    Some(bytes.split_at_checked(len).unwrap_or((bytes, &[])))
}

/// Appends UTF-16LE up to its first NUL as UTF-8; unpaired surrogates become U+FFFD.
///
/// Text is ASCII nearly always: it goes block by block, the last block reaching back over bytes
/// that are there already.
#[inline]
pub(super) fn utf16(bytes: &[u8], out: &mut Vec<u8>) {
    let units = bytes.as_chunks::<2>().0;
    out.reserve(units.len());
    let (blocks, tail) = units.as_chunks::<16>();
    for (index, block) in blocks.iter().enumerate() {
        let Some(ascii) = ascii16(block) else {
            return utf16_any(units.get(16 * index..).unwrap_or_default(), out);
        };
        out.extend_from_slice(&ascii);
    }
    match units.last_chunk::<16>() {
        _ if tail.is_empty() => {}
        None => short(units, out),
        Some(last) => match ascii16(last) {
            None => utf16_any(tail, out),
            Some(ascii) => {
                out.truncate(out.len() - (16 - tail.len()));
                out.extend_from_slice(&ascii);
            }
        },
    }
}

fn short(units: &[[u8; 2]], out: &mut Vec<u8>) {
    let (blocks, tail) = units.as_chunks::<4>();
    for (index, block) in blocks.iter().enumerate() {
        let Some(ascii) = ascii4(block) else {
            return utf16_any(units.get(4 * index..).unwrap_or_default(), out);
        };
        out.extend_from_slice(&ascii);
    }
    for (index, [low, high]) in tail.iter().enumerate() {
        if *high != 0 || !(1..0x80).contains(low) {
            return utf16_any(tail.get(index..).unwrap_or_default(), out);
        }
        out.push(*low);
    }
}

/// The block as bytes if every unit is ASCII and none is NUL. No branches within: the compiler
/// makes vector instructions of it.
#[inline(always)]
fn ascii16(block: &[[u8; 2]; 16]) -> Option<[u8; 16]> {
    let units = block.map(u16::from_le_bytes);
    // A NUL less one borrows into the bits that no ASCII character has.
    let beyond = units.iter().fold(0, |all, unit| all | unit | unit.wrapping_sub(1));
    (beyond & 0xFF80 == 0).then(|| units.map(|unit| unit.to_le_bytes()[0]))
}

/// As [`ascii16`], in one 64-bit word.
#[inline(always)]
fn ascii4(block: &[[u8; 2]; 4]) -> Option<[u8; 4]> {
    let [[a, b], [c, d], [e, f], [g, h]] = *block;
    let word = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let beyond = word | word.wrapping_sub(0x0001_0001_0001_0001);
    (beyond & 0xFF80_FF80_FF80_FF80 == 0).then_some([a, c, e, g])
}

#[cold]
fn utf16_any(units: &[[u8; 2]], out: &mut Vec<u8>) {
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0);
    for decoded in char::decode_utf16(units) {
        push_char(decoded.unwrap_or(char::REPLACEMENT_CHARACTER), out);
    }
}

/// Appends a character as UTF-8.
pub(super) fn push_char(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Windows-1252 without its NULs. The format does not state the code page; this is the one of
/// nearly all machines that write such values.
fn ansi(bytes: &[u8], out: &mut Vec<u8>) {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    for byte in bytes.iter().filter(|byte| **byte != 0) {
        let upper = byte.checked_sub(0x80).and_then(|at| UPPER.get(usize::from(at)));
        push_char(upper.copied().unwrap_or(char::from(*byte)), out);
    }
}

#[allow(clippy::unnecessary_wraps, reason = "all arms of `render_typed` return alike")]
fn signed(value: i64, out: &mut Vec<u8>) -> Option<ValueKind> {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out)
}

#[allow(clippy::unnecessary_wraps, reason = "all arms of `render_typed` return alike")]
fn unsigned(value: u64, out: &mut Vec<u8>) -> Option<ValueKind> {
    decimal(value, out);
    Some(ValueKind::Number)
}

/// Appends a number in decimal.
pub(super) fn decimal(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut len = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        len += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - len..).unwrap_or_default());
}

fn boolean(value: i32, out: &mut Vec<u8>) -> Option<ValueKind> {
    match value {
        0 => out.extend_from_slice(b"false"),
        1 => out.extend_from_slice(b"true"),
        mask => return signed(i64::from(mask), out),
    }
    Some(ValueKind::Boolean)
}

/// The shortest decimal that reads back as the same number; not-a-number and infinities are
/// text.
fn float<T: Into<f64> + std::fmt::Debug + Copy>(value: T, out: &mut Vec<u8>) -> ValueKind {
    out.extend_from_slice(format!("{value:?}").as_bytes());
    if value.into().is_finite() { ValueKind::Number } else { ValueKind::Text }
}

/// Each byte in two lower-case hexadecimal digits.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    #[allow(clippy::indexing_slicing, reason = "checked by the compiler, which runs it")]
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Each number below 100 in two decimal digits.
const DECIMAL: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    #[allow(clippy::indexing_slicing, reason = "checked by the compiler, which runs it")]
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

#[inline]
fn hex(byte: u8) -> [u8; 2] {
    HEX.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Writes two digits at a place.
#[inline]
fn write(text: &mut [u8], at: usize, pair: [u8; 2]) {
    if let Some(place) = text.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = pair;
    }
}

fn hex_upper(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.extend_from_slice(&hex(*byte).map(|digit| digit.to_ascii_uppercase()));
    }
}

fn hex_number(value: u64, out: &mut Vec<u8>) {
    let mut text = [b'0'; 18];
    for (number, byte) in value.to_be_bytes().into_iter().enumerate() {
        write(&mut text, 2 + 2 * number, hex(byte));
    }
    let digits = (u64::BITS - value.leading_zeros()).div_ceil(4).max(1) as usize;
    write(&mut text, 16 - digits, *b"0x");
    out.extend_from_slice(text.get(16 - digits..).unwrap_or_default());
}

/// [MS-DTYP] 2.3.4: three little-endian numbers, then eight bytes in order.
fn guid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    /// Where the digits of each byte stand.
    const PLACES: [usize; 16] = [7, 5, 3, 1, 12, 10, 17, 15, 20, 22, 25, 27, 29, 31, 33, 35];
    let mut text = *b"{00000000-0000-0000-0000-000000000000}";
    for (byte, at) in bytes.iter().zip(PLACES) {
        write(&mut text, at, hex(*byte));
    }
    out.extend_from_slice(&text);
}

/// [MS-DTYP] 2.4.2.2: revision, number of sub-authorities, authority (big-endian), then
/// sub-authorities (little-endian).
fn sid(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (head, tail) = bytes.split_first_chunk::<8>()?;
    let [revision, count, a, b, c, d, e, f] = *head;
    out.extend_from_slice(b"S-");
    decimal(u64::from(revision), out);
    out.push(b'-');
    decimal(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), out);
    for sub_authority in tail.as_chunks::<4>().0.iter().take(usize::from(count)) {
        out.push(b'-');
        decimal(u64::from(u32::from_le_bytes(*sub_authority)), out);
    }
    Some(())
}

const TICKS_PER_SECOND: u64 = 10_000_000;
const TICKS_PER_DAY: u64 = 86_400 * TICKS_PER_SECOND;

/// 100 ns since 1601-01-01; what is no time in Windows (above `i64::MAX`) is shown as zeros.
fn filetime(ticks: u64, out: &mut Vec<u8>) {
    if i64::try_from(ticks).is_err() {
        return date_time([0; 6], 0, out);
    }
    let (year, month, day) = civil_from_days_since_1601(ticks / TICKS_PER_DAY);
    let in_day = ticks % TICKS_PER_DAY;
    let seconds = in_day / TICKS_PER_SECOND;
    let clock = [seconds / 3_600, seconds / 60 % 60, seconds % 60];
    date_time([year % 10_000, month, day, clock[0], clock[1], clock[2]], in_day % TICKS_PER_SECOND, out);
}

/// [MS-DTYP] 2.3.13; what is no time is shown as 1601-01-01, as in Windows.
fn systemtime(bytes: &[u8; 16], out: &mut Vec<u8>) {
    let mut fields = [0_u64; 8];
    for (field, pair) in fields.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *field = u64::from(u16::from_le_bytes(*pair));
    }
    let [year, month, _, day, hour, minute, second, millisecond] = fields;
    let valid = (1601..=30_827).contains(&year)
        && (1..=12).contains(&month)
        && day >= 1
        && day <= days_in_month(year, month)
        && hour < 24
        && minute < 60
        && second < 60
        && millisecond < 1_000;
    if valid {
        date_time([year % 10_000, month, day, hour, minute, second], millisecond * 10_000, out);
    } else {
        date_time([1601, 1, 1, 0, 0, 0], 0, out);
    }
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn date_time(fields: [u64; 6], ticks: u64, out: &mut Vec<u8>) {
    let mut text = *b"0000-00-00T00:00:00.0000000Z";
    let [year, month, day, hour, minute, second] = fields;
    let places = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, hour),
        (14, minute),
        (17, second),
        (20, ticks / 100_000),
        (22, ticks / 1_000 % 100),
        (24, ticks / 10 % 100),
        // Its first digit is the one before, once more.
        (25, ticks % 100),
    ];
    for (at, number) in places {
        write(&mut text, at, DECIMAL.get(number as usize).copied().unwrap_or_default());
    }
    out.extend_from_slice(&text);
}

/// Year, month and day of the proleptic Gregorian calendar. Years are counted from March, in
/// eras of 400 years; 1601-01-01 is day 584,694 from 0000-03-01.
fn civil_from_days_since_1601(days: u64) -> (u64, u64, u64) {
    let shifted = days + 584_694;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
