//! Decompression on a thread of its own against its slow twin, decompression in line.

use std::io::Write;

use besa_evidence::Limits;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::containers::{gz, tar, zip};
use crate::support::summary_with;

/// Events, defects and accounts both ways, which must be equal.
fn both_ways(limits: Limits, input: &[u8]) -> String {
    let of = |decompression_threads_max| summary_with(Limits { decompression_threads_max, ..limits }, input);
    let (in_line, beside) = (of(0), of(1));
    let differs = in_line.lines().zip(beside.lines()).find(|(in_line, beside)| in_line != beside);
    assert!(in_line == beside, "{} bytes: {differs:?}", input.len());
    beside
}

/// Lines that compress about as logs do; several pieces of them.
fn lines() -> Vec<u8> {
    let line = |n: u64| {
        let noise = n.wrapping_mul(6_364_136_223_846_793_005);
        format!("{{\"n\":{n},\"noise\":\"{noise:x}\",\"rest\":\"{}\"}}\n", "r".repeat(n as usize % 800))
    };
    (0..1_200).flat_map(|n| line(n).into_bytes()).collect()
}

fn containers() -> Vec<Vec<u8>> {
    let lines = lines();
    let half = lines.len() / 2;
    let archive = tar(&[(b'0', "a.json", &lines), (b'0', "b.json.gz", &gz("", &lines))]);
    vec![
        gz("x.json", &lines),
        [gz("", &lines[..half]), gz("", &lines[half..])].concat(),
        zstd::encode_all(lines.as_slice(), 1).unwrap(),
        zip(&[("a.json", &lines), ("b.json.gz", &gz("", &lines)), ("c.json", b"{}")]),
        gz("x.tar", &archive),
        gz("x.gz", &gz("x.json", &lines)),
        gz("x.zip", &zip(&[("a.json", &lines)])),
    ]
}

#[test]
fn damaged_streams_read_the_same_beside_and_in_line() {
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound.max(1)
    };
    let mut defects = 0;
    for sound in containers() {
        let text = both_ways(Limits::default(), &sound);
        assert!(text.lines().count() > 1_200 && !text.contains("\n! "), "sound evidence");
        for _ in 0..5 {
            let mut torn = sound.clone();
            torn.truncate(below(torn.len()).max(1));
            defects += usize::from(both_ways(Limits::default(), &torn).contains("! "));
            let mut damaged = sound.clone();
            let at = below(damaged.len());
            damaged[at] ^= 1 << below(8);
            defects += usize::from(both_ways(Limits::default(), &damaged).contains("! "));
        }
    }
    assert!(defects > 30, "{defects}: the damage is real");
}

#[test]
fn caps_hold_at_the_same_byte_beside_and_in_line() {
    for input in containers() {
        for decompressed_len_bytes_max in [0, 1, 128 << 10, (128 << 10) + 1, 300_000] {
            let limits = Limits { decompressed_len_bytes_max, ..Limits::default() };
            let text = both_ways(limits, &input);
            // A zip that is no file is spooled up to the limit, and then lacks its directory.
            let is_told = text.contains("came out of this file of evidence") || text.contains("directory");
            assert!(is_told, "{decompressed_len_bytes_max}: {text}");
        }
        // What refuses its content leaves the thread with pieces that nobody takes.
        let text = both_ways(Limits { container_depth_max: 1, ..Limits::default() }, &input);
        assert!(!text.is_empty());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let blanks = vec![b' '; 1 << 20];
    (0..80).for_each(|_| encoder.write_all(&blanks).unwrap());
    let limits = Limits { ratio_max: 100, record_len_bytes_max: 1 << 20, ..Limits::default() };
    let text = both_ways(limits, &encoder.finish().unwrap());
    assert!(text.contains("more than 100 bytes came out of each compressed byte"), "{text}");
}
