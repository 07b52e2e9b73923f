//! Base64 and hexadecimal, as STIX's `binary` and `hex` types write octets (sections 2.1, 2.8).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes Base64 (RFC 4648 section 4, padding required); line feeds are ignored (section 9.2).
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut sextets, mut padding) = (0u32, 0usize, 0usize);
    for byte in text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')) {
        let value = match byte {
            b'=' => {
                padding += 1;
                0
            }
            _ if padding > 0 => return None,
            _ => sextet(byte)?,
        };
        bits = bits << 6 | value;
        sextets += 1;
        if sextets == 4 {
            bytes.extend(bits.to_be_bytes().into_iter().skip(1));
            (bits, sextets) = (0, 0);
        }
    }
    if sextets != 0 || padding > 2 {
        return None;
    }
    bytes.truncate(bytes.len().checked_sub(padding)?);
    Some(bytes)
}

/// Encodes Base64 with padding, without line feeds.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place) & 63) as usize;
            let letter = ALPHABET.get(index).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// Decodes hexadecimal digits of either case, an even number of them.
pub(crate) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pair = |pair: &[u8]| {
        pair.iter().try_fold(0u8, |byte, digit| {
            let value = char::from(*digit).to_digit(16)?;
            Some(byte << 4 | u8::try_from(value).ok()?)
        })
    };
    digits.chunks(2).map(pair).collect()
}

/// Encodes lower-case hexadecimal.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The octets of a string whose code points are all below U+0100 (section 9.2, `string`).
pub(crate) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_there_and_back() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"\xff\xfe\0\x01", "//4AAQ=="),
        ] {
            assert_eq!(encode_base64(bytes), text);
            assert_eq!(decode_base64(text).as_deref(), Some(bytes));
        }
        assert_eq!(decode_base64("Zm\n9v\r\n").as_deref(), Some(&b"foo"[..]));
        for bad in ["Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zm9-", "Zé=="] {
            assert_eq!(decode_base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn hex_there_and_back() {
        assert_eq!(decode_hex("00fFa5"), Some(vec![0, 255, 0xa5]));
        assert_eq!(encode_hex(&[0, 255, 0xa5]), "00ffa5");
        assert_eq!(decode_hex("0"), None);
        assert_eq!(decode_hex("+1"), None);
    }
}
