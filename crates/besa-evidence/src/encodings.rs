//! Encodings of text: all becomes UTF-8 before a decoder sees it.
//!
//! UTF-16, with a byte order mark or told by its zero bytes, is transcoded while it is read;
//! offsets and lengths of such a stream are those of its UTF-8 text. Single bytes that are not
//! UTF-8 are read as Windows-1252 when a block is decoded (see [`crate::decode`]).

use std::io::{self, Read};

/// Byte order of UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Utf16 {
    LittleEndian,
    BigEndian,
}

/// Whether a sample is UTF-16: by its mark, or because one byte of its pairs is mostly zero and
/// the other nearly never (text whose characters are mostly ASCII).
pub(crate) fn utf16_of(sample: &[u8]) -> Option<Utf16> {
    match sample.get(..2)? {
        [0xFF, 0xFE] => return Some(Utf16::LittleEndian),
        [0xFE, 0xFF] => return Some(Utf16::BigEndian),
        _ => {}
    }
    let head = sample.get(..sample.len().min(4_096))?;
    let (mut first_zero, mut second_zero, mut units) = (0_usize, 0_usize, 0_usize);
    for pair in head.chunks_exact(2) {
        units += 1;
        first_zero += usize::from(pair.first() == Some(&0));
        second_zero += usize::from(pair.last() == Some(&0));
    }
    let mostly = |zero: usize, other: usize| units >= 4 && zero * 10 >= units * 6 && other * 20 <= units;
    if mostly(second_zero, first_zero) {
        return Some(Utf16::LittleEndian);
    }
    mostly(first_zero, second_zero).then_some(Utf16::BigEndian)
}

/// Reads UTF-16 as UTF-8; the byte order mark is left out, what is not a character becomes
/// U+FFFD.
pub(crate) struct Utf16Reader<'a> {
    inner: &'a mut (dyn Read + Send),
    order: Utf16,
    raw: Vec<u8>,
    /// An odd byte or a high surrogate that waits for what follows.
    kept: Vec<u8>,
    ready: Vec<u8>,
    ready_from: usize,
    begun: bool,
    ended: bool,
}

impl<'a> Utf16Reader<'a> {
    pub(crate) fn new(inner: &'a mut (dyn Read + Send), order: Utf16) -> Self {
        Self {
            inner,
            order,
            raw: vec![0; 32 * 1_024],
            kept: Vec::new(),
            ready: Vec::new(),
            ready_from: 0,
            begun: false,
            ended: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.ready_from = 0;
        let count = self.inner.read(&mut self.raw)?;
        self.kept.extend_from_slice(self.raw.get(..count).unwrap_or_default());
        self.ended = count == 0;
        let whole = if self.ended { self.kept.len() } else { self.whole_len() };
        let (text, rest) = self.kept.split_at_checked(whole).unwrap_or((&self.kept, &[]));
        let order = self.order;
        let units = text.chunks(2).map(|pair| match (pair, order) {
            ([a, b], Utf16::LittleEndian) => u16::from_le_bytes([*a, *b]),
            ([a, b], Utf16::BigEndian) => u16::from_be_bytes([*a, *b]),
            _ => 0xFFFD,
        });
        let mut utf8 = [0; 4];
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            if character != '\u{FEFF}' || self.begun {
                self.ready.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
            }
            self.begun = true;
        }
        self.kept = rest.to_vec();
        Ok(())
    }

    /// Length of what can be transcoded now: whole units, without a high surrogate at the end.
    fn whole_len(&self) -> usize {
        let even = self.kept.len() & !1;
        let last = even.checked_sub(2).and_then(|at| self.kept.get(at..even));
        let high = match (last, self.order) {
            (Some([_, high]), Utf16::LittleEndian) | (Some([high, _]), Utf16::BigEndian) => *high,
            _ => 0,
        };
        if (0xD8..0xDC).contains(&high) { even - 2 } else { even }
    }
}

impl Read for Utf16Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ready_from == self.ready.len() && !self.ended {
            self.refill()?;
        }
        let ready = self.ready.get(self.ready_from..).unwrap_or_default();
        let count = ready.len().min(out.len());
        if let (Some(target), Some(source)) = (out.get_mut(..count), ready.get(..count)) {
            target.copy_from_slice(source);
        }
        self.ready_from += count;
        Ok(count)
    }
}

/// Whether bytes are UTF-8, looked at stretch by stretch: logs are ASCII with a few characters
/// beyond it, and stretches of ASCII are told many times faster than others.
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    const STRETCH_LEN: usize = 512;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let stretch = rest.get(..STRETCH_LEN).unwrap_or(rest);
        if stretch.is_ascii() {
            at += stretch.len();
            continue;
        }
        at += match std::str::from_utf8(stretch) {
            Ok(_) => stretch.len(),
            // A character goes on behind the stretch, and with it the next one begins.
            Err(fault) if fault.error_len().is_none() && stretch.len() < rest.len() => fault.valid_up_to(),
            Err(_) => return false,
        };
    }
    true
}

/// Characters of Windows-1252 at 0x80 to 0x9F; the five unassigned bytes keep their Latin-1
/// meaning (WHATWG Encoding, index windows-1252).
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Appends `bytes` as UTF-8: what is UTF-8 stays, any other byte is read as Windows-1252.
pub(crate) fn to_utf8(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + bytes.len() / 8);
    let mut utf8 = [0; 4];
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            let high = usize::from(*byte).wrapping_sub(0x80);
            let character = WINDOWS_1252.get(high).copied().unwrap_or(char::from(*byte));
            out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One byte at a time, so that units and surrogates are torn between reads.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn utf16_is_transcoded_across_any_border() {
        let text = "\u{feff}Zeile 1: Käse 😀\r\nZeile 2\n";
        for order in [Utf16::LittleEndian, Utf16::BigEndian] {
            let mut bytes: Vec<u8> = Vec::new();
            for unit in text.encode_utf16() {
                bytes.extend(match order {
                    Utf16::LittleEndian => unit.to_le_bytes(),
                    Utf16::BigEndian => unit.to_be_bytes(),
                });
            }
            assert_eq!(utf16_of(&bytes), Some(order));
            assert_eq!(utf16_of(&bytes[2..]), Some(order), "without a mark");
            let mut out = String::new();
            Utf16Reader::new(&mut Drip(&bytes), order).read_to_string(&mut out).unwrap();
            assert_eq!(out, text.trim_start_matches('\u{feff}'));
        }
        let mut out = String::new();
        Utf16Reader::new(&mut Drip(b"a\0\x3d\xd8x"), Utf16::LittleEndian).read_to_string(&mut out).unwrap();
        assert_eq!(out, "a\u{fffd}\u{fffd}");
    }

    proptest! {
        #[test]
        fn utf8_is_told_by_stretches(
            fill in 0..520_usize,
            parts in prop::collection::vec((0..600_usize, prop::sample::select(vec![
                "\u{e4}".as_bytes(), "\u{20ac}".as_bytes(), "\u{1f600}".as_bytes(), b"\xe2\x82", b"\xff", b"\x82", b"",
            ]), 0..8_usize), 0..3),
        ) {
            let mut text = vec![b'x'; fill];
            for (ascii, part, times) in parts {
                text.extend(part.repeat(times));
                text.resize(text.len() + ascii, b'y');
            }
            prop_assert_eq!(is_utf8(&text), std::str::from_utf8(&text).is_ok());
        }
    }

    #[test]
    fn single_bytes_are_read_as_windows_1252() {
        let mut out = Vec::new();
        to_utf8(b"K\xe4se \x80 \xc3\xa4 \x81", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "Käse € ä \u{81}");
    }
}
