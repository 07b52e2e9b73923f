//! JSON string text: escaping and unescaping (RFC 8259 section 7).
//!
//! Events keep JSON strings as they stand in the record, escapes included, and only what is
//! looked at is unescaped; so the function lives at the waist and not with the reader.

use memchr::memchr;

/// Appends the text of a JSON string's inside (without its quotes) to `out`.
///
/// Lenient, because evidence is: an unknown or torn escape is kept as it stands, a lone
/// surrogate becomes U+FFFD. Readers validate separately and report the defect.
pub fn json_unescape(inside: &[u8], out: &mut Vec<u8>) {
    let mut rest = inside;
    while let Some(at) = memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = escape_sequence(escape, out);
    }
    out.extend_from_slice(rest);
}

/// Takes one escape sequence from the front of `escape` and returns what follows it.
fn escape_sequence<'a>(escape: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let plain = match escape.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(c @ (b'"' | b'\\' | b'/')) => *c,
        Some(b'u') => return unicode_escape(escape, out),
        _ => {
            out.push(b'\\');
            return escape.get(1..).unwrap_or_default();
        }
    };
    out.push(plain);
    escape.get(2..).unwrap_or_default()
}

fn unicode_escape<'a>(escape: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some(first) = hex4(escape.get(2..6)) else {
        out.push(b'\\');
        return escape.get(1..).unwrap_or_default();
    };
    let mut rest = escape.get(6..).unwrap_or_default();
    let mut code = u32::from(first);
    if (0xD800..0xDC00).contains(&first)
        && let Some([b'\\', b'u']) = rest.get(..2)
        && let Some(second @ 0xDC00..=0xDFFF) = hex4(rest.get(2..6))
    {
        code = 0x1_0000 + ((u32::from(first) - 0xD800) << 10) + (u32::from(second) - 0xDC00);
        rest = rest.get(6..).unwrap_or_default();
    }
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    rest
}

fn hex4(digits: Option<&[u8]>) -> Option<u16> {
    digits?.iter().try_fold(0_u16, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u16::try_from(digit).ok()?)
    })
}

/// Appends `text` to `out` as the inside of a JSON string. Bytes that are not UTF-8 become
/// U+FFFD.
pub fn json_escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

/// The slow twin of [`json_unescape_checked`]'s answer, and what it falls back on.
fn json_is_canonical(inside: &[u8]) -> bool {
    let mut rest = inside;
    while let Some(at) = memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        let len = canonical_escape(escape);
        if len == 0 || has_bare(before) {
            return false;
        }
        rest = escape.get(len..).unwrap_or_default();
    }
    // Escapes are ASCII: what stands between them is UTF-8 exactly if all of it is.
    !has_bare(rest) && std::str::from_utf8(inside).is_ok()
}

/// The same, and whether the inside is how [`json_escape`] writes its text, so that it can be told from
/// the text: UTF-8, nothing escaped in another way, nothing bare that has to be escaped.
#[must_use]
pub fn json_unescape_checked(inside: &[u8], out: &mut Vec<u8>) -> bool {
    let (start, mut rest, mut bare) = (out.len(), inside, false);
    while let Some(at) = memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        let plain = match escape.get(1) {
            Some(byte @ (b'"' | b'\\')) => *byte,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            // Whatever is rarer goes the long way.
            _ => {
                out.truncate(start);
                json_unescape(inside, out);
                return json_is_canonical(inside);
            }
        };
        bare |= has_bare(before);
        out.extend_from_slice(before);
        out.push(plain);
        rest = escape.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    !bare && !has_bare(rest) && std::str::from_utf8(inside).is_ok()
}

/// Length of the escape at the start, 0 if it is not the one that is written.
fn canonical_escape(escape: &[u8]) -> usize {
    match escape.get(1) {
        Some(b'"' | b'\\' | b'n' | b'r' | b't') => 2,
        Some(b'u') => match escape.get(2..6) {
            Some([b'0', b'0', b'0', b'0'..=b'8' | b'b' | b'c' | b'e' | b'f']) => 6,
            Some([b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f']) => 6,
            _ => 0,
        },
        _ => 0,
    }
}

/// Whether a byte has to be escaped. Without a branch for each: whole vectors at a time.
fn has_bare(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |any, byte| any | (*byte < 0x20) | (*byte == b'"'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn canonical_is_what_escaping_writes(
            parts in prop::collection::vec(prop_oneof![
                prop::sample::select(vec![
                    "\\\"", "\\\\", "\\n", "\\r", "\\t", "\\b", "\\f", "\\/", "\\", "\"", "\n", "a", "\u{e4}",
                    "\\u0000", "\\u0009", "\\u000a", "\\u000b", "\\u000B", "\\u000d", "\\u000e", "\\u001f", "\\u001F",
                    "\\u0020", "\\u0041", "\\u007f", "\\ud83d", "\\u00", "\\q",
                ]).prop_map(|part| part.as_bytes().to_vec()),
                prop::collection::vec(any::<u8>(), 0..3),
            ], 0..6),
        ) {
            let inside = parts.concat();
            let (mut text, mut back) = (Vec::new(), Vec::new());
            json_unescape(&inside, &mut text);
            json_escape(&text, &mut back);
            prop_assert_eq!(json_is_canonical(&inside), back == inside, "{}", inside.escape_ascii());
            let mut both = b"before".to_vec();
            prop_assert_eq!(json_unescape_checked(&inside, &mut both), back == inside, "{}", inside.escape_ascii());
            prop_assert_eq!(&both[6..], &text);
        }
    }

    fn check(inside: &str, expected: &str) {
        let mut out = Vec::new();
        json_unescape(inside.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{inside}");
    }

    #[test]
    fn unescape() {
        check("plain", "plain");
        check(r"C:\\Windows\\x", r"C:\Windows\x");
        check(r#"a\"b\/c\n\t\r\b\f"#, "a\"b/c\n\t\r\u{8}\u{c}");
        check(r"\u0041\u00e4\ud83d\ude00", "Aä😀");
        check(r"\ud83dx", "\u{FFFD}x");
        check(r"\ud83d\u0041", "\u{FFFD}A");
        check(r"\uZZZZ\q\", r"\uZZZZ\q\");
    }

    #[test]
    fn escape_is_the_inverse() {
        for text in ["", "a\"b\\c\n\u{1}ä😀", r"\\srv\share"] {
            let mut inside = Vec::new();
            json_escape(text.as_bytes(), &mut inside);
            check(std::str::from_utf8(&inside).unwrap(), text);
        }
        let mut inside = Vec::new();
        json_escape(b"a\xffb", &mut inside);
        assert_eq!(inside, "a\u{FFFD}b".as_bytes());
    }
}
