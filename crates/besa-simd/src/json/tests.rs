//! Every level against the definition, byte by byte.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Marks by the definition: bytes are read from the left, a backslash takes the next byte along.
fn by_definition(text: &[u8]) -> Vec<(usize, bool, bool)> {
    let mut found = Vec::new();
    let (mut has_escape, mut has_fault) = (false, false);
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                found.push((at, has_escape, has_fault));
                (has_escape, has_fault) = (false, false);
            }
            b'\\' => {
                has_escape = true;
                has_fault |= text.get(at + 1).is_some_and(|byte| !b"\"\\/bfnrtu".contains(byte));
                if text.get(at + 1) == Some(&b'u') {
                    let digits = text.get(at + 2..at + 6);
                    has_fault |= !digits.is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit));
                }
                at += 1;
            }
            0..0x20 => has_fault = true,
            _ => {}
        }
        at += 1;
    }
    found
}

fn marks(level: Level, text: &[u8], stretch: usize) -> Option<Vec<(usize, bool, bool)>> {
    let mut indexer = Indexer::at_level(level)?;
    // Left over from another text.
    let _ = indexer.index(b"\\", 0, 1, &mut [Mark::default(); 1 + SLACK]);
    indexer.start();
    let mut room = vec![Mark(u32::MAX); stretch + SLACK];
    let mut found = Vec::new();
    for from in (0..text.len()).step_by(stretch) {
        let to = text.len().min(from + stretch);
        let count = indexer.index(text, from, to, &mut room);
        found.extend(room[..count].iter().map(|mark| (mark.at(), mark.is_escaped(), mark.is_suspect())));
    }
    Some(found)
}

fn check(text: &[u8]) {
    let expected = by_definition(text);
    for level in Level::ALL {
        for stretch in [64, 192, 4096] {
            if let Some(found) = marks(level, text, stretch) {
                assert_eq!(found, expected, "{level:?} {stretch}: {}", text.escape_ascii());
            }
        }
    }
}

#[test]
fn quotes_escapes_and_faults() {
    check(b"");
    check(b"\"");
    check(br#"{"Image":"C:\\a.exe","N":1,"Q":"say \"x\""}"#);
    check(b"\"\\u00e4\",\"\\u00e\",\"\\u00\"x\",\"\\x\",\"\t\",\"\\\n\"\n\"a\"");
    check(b"\"\\u00e");
    check(b"\"\\");
    // Runs of backslashes of any length at any place of a block, and what follows them.
    for before in 0..130 {
        for run in 0..70 {
            for behind in [b"\"x\"".as_slice(), b"u0041\"\"", b"u004\"\"", b"q\"\"", b"n\"", b"\x01\""] {
                let text = [vec![b' '; before], vec![b'\\'; run], behind.to_vec()].concat();
                check(&text);
            }
        }
    }
}

/// Each single byte in each half of a block: masks of all levels agree on it.
#[test]
fn every_byte() {
    for byte in 0..=255 {
        for text in [vec![byte; 130], [b'\\', byte, b'"'].repeat(70)] {
            check(&text);
        }
    }
}

#[test]
fn this_machine_tests_what_it_can() {
    assert!(Level::Scalar.is_available());
    let missing: Vec<Level> = Level::ALL.into_iter().filter(|level| !level.is_available()).collect();
    if !missing.is_empty() {
        eprintln!("skipped: this machine lacks {missing:?}");
    }
    assert_eq!(Indexer::new().level, Level::ALL.into_iter().rfind(|level| level.is_available()).unwrap());
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => Just(b"\"".to_vec()),
        4 => (1_usize..5).prop_map(|len| vec![b'\\'; len]),
        1 => (60_usize..70).prop_map(|len| vec![b'\\'; len]),
        4 => vec(b'a'..=b'z', 0..40),
        2 => "[0-9a-fA-F]{1,6}".prop_map(String::into_bytes),
        2 => "\\\\u[0-9a-fA-F]{0,5}".prop_map(String::into_bytes),
        2 => "[{}\\[\\]:, \\r\\n\\t]{1,4}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..10),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn levels_agree_with_the_definition(pieces in vec(piece(), 0..60)) {
        check(&pieces.concat());
    }

    #[test]
    fn flags_are_those_of_their_segment(quote in any::<u64>(), bits in any::<u64>(), carry in any::<bool>()) {
        let bits = bits & !quote;
        let (mut expected, mut open) = (0, carry);
        for at in 0..64 {
            if quote >> at & 1 == 1 {
                expected |= u64::from(open) << at;
                open = false;
            }
            open |= bits >> at & 1 == 1;
        }
        prop_assert_eq!(before_quotes(quote, bits, carry), (expected, open));
    }
}
