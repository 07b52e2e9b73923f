//! Containers, nested, torn and hostile.

use std::io::{Cursor, Write};

use besa_evidence::Limits;
use expect_test::{Expect, expect};
use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::support::{summary, summary_with};

const JSON: &[u8] = b"{\"a\":1}\n{\"a\":2}\n";

pub(crate) fn gz(name: &str, content: &[u8]) -> Vec<u8> {
    let builder =
        if name.is_empty() { flate2::GzBuilder::new() } else { flate2::GzBuilder::new().filename(name) };
    let mut encoder: GzEncoder<Vec<u8>> = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn tar_member(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[156] = kind;
    header[257..263].copy_from_slice(b"ustar\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = header.to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub(crate) fn tar(members: &[(u8, &str, &[u8])]) -> Vec<u8> {
    let mut out: Vec<u8> =
        members.iter().flat_map(|(kind, name, content)| tar_member(*kind, name, content)).collect();
    out.extend([0; 1024]);
    out
}

#[allow(clippy::needless_pass_by_value, reason = "as expect-test is used")]
fn check(input: &[u8], expected: Expect) {
    expected.assert_eq(&summary(input));
}

#[test]
fn containers_are_read_in_any_nesting() {
    check(
        &gz("x.json", JSON),
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        = t!x.json json 16
    "#]],
    );
    check(
        &[gz("", b"{\"a\":1}\n"), gz("", b"{\"a\":2}\n")].concat(),
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        = t!content json 16
    "#]],
    );
    let frames =
        [zstd::encode_all(&JSON[..8], 1).unwrap(), zstd::encode_all(&JSON[8..], 1).unwrap()].concat();
    check(
        &frames,
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        = t!content json 16
    "#]],
    );
    let inner = zip(&[("deep/a.json", JSON), ("empty", b"")]);
    check(
        &zip(&[("logs/b.json.gz", &gz("", JSON)), ("c.zip", &inner)]),
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        = t!logs/b.json.gz!b.json json 16
        = t!c.zip!deep/a.json json 16
        = t!c.zip!empty - 0
    "#]],
    );
    let pax = b"29 path=from/pax/record.json\n\0".split(|byte| *byte == 0).next().unwrap();
    let archive = tar(&[
        (b'5', "logs/", b""),
        (b'0', "logs/a.json", JSON),
        (b'L', "././@LongLink", b"long/name.json\0"),
        (b'0', "cut", JSON),
        (b'x', "pax", pax),
        (b'0', "cut", b"{\"b\":1}"),
        (b'2', "link", b""),
        (b'S', "sparse", b"x"),
        (b'3', "device", b""),
        (b'0', "e.gz", &gz("", JSON)),
    ]);
    check(
        &gz("x.tar", &archive),
        expect![[r#"
            1 // [-] host= a=#1
            2 // [-] host= a=#2
            1 // [-] host= a=#1
            2 // [-] host= a=#2
            1 // [-] host= b=#1
            1 // [-] host= a=#1
            2 // [-] host= a=#2
            ! t!x.tar!sparse: sparse file in a tar: not read; unpack the archive first
            ! t!x.tar!device: tar entry of type `3`: not read
            = t!x.tar!logs/a.json json 16
            = t!x.tar!long/name.json json 16
            = t!x.tar!from/pax/record.json json 7
            = t!x.tar!sparse - 0
            = t!x.tar!device - 0
            = t!x.tar!e.gz!e json 16
        "#]],
    );
}

#[test]
fn damaged_containers_give_what_they_hold() {
    let lines: String = (0..2_000).map(|n| format!("{{\"n\":{}}}\n", n * 7919 % 10_007)).collect();
    let whole = gz("", lines.as_bytes());
    let text = summary(&whole[..whole.len() / 2]);
    let events = text.lines().filter(|line| line.contains(" n=")).count();
    assert!(events > 500, "{events}");
    assert!(text.contains("! t!content at offset"), "{text}");
    assert!(text.contains("the stream ends too early; what stands before was read"), "{text}");

    check(
        &[gz("", JSON), b"trailing".to_vec()].concat(),
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        ! t!content at offset 16: the stream ends too early; what stands before was read
        = t!content json 16
    "#]],
    );
    let archive = zip(&[("a.json", JSON), ("b.json", JSON)]);
    check(
        &archive[..archive.len() - 40],
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        ! t: the zip's directory cannot be read (invalid Zip archive: Could not find EOCD); its members are looked for one after the other
        = t!a.json json 16
        = t!b.json json 16
    "#]],
    );
    let mut archive = tar(&[(b'0', "a.json", JSON), (b'0', "b.json", JSON), (b'0', "c.json", JSON)]);
    archive[1024 + 200] ^= 0xFF;
    check(
        &archive,
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        ! t at offset 1024: no tar header where one must be; the next one is looked for
        = t!a.json json 16
        = t!c.json json 16
    "#]],
    );
    let archive = tar(&[(b'0', "a.json", JSON), (b'0', "b.json", JSON)]);
    check(
        &archive[..1024 + 512 + 9],
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        1 // [-] host= a=#1
        ! t!b.json record 2: no valid JSON: unexpected end at byte 1 of the record
        ! t!b.json: the stream ends too early; what stands before was read
        = t!a.json json 16
        = t!b.json json 9
    "#]],
    );
}

#[test]
fn what_is_not_read_says_why() {
    check(
        b"\xD4\xC3\xB2\xA1\x02\0\x04\0",
        expect![[r#"
        ! t: packet capture: not read; convert it with Zeek or Suricata
        = t - 0
    "#]],
    );
    check(
        b"\x0A\x0D\x0D\x0A\x1C\0\0\0",
        expect![[r#"
        ! t: packet capture: not read; convert it with Zeek or Suricata
        = t - 0
    "#]],
    );
    check(
        b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ",
        expect![[r#"
        ! t: AppleDouble file of macOS: attributes of another file, no records
        = t - 0
    "#]],
    );
    let noise: Vec<u8> = (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    check(
        &noise,
        expect![[r#"
        ! t: not recognised: neither text nor a format that is read
        = t - 0
    "#]],
    );
    let name = "evil\u{1b}[31m\nname";
    check(
        &zip(&[(name, b"\xFD7zXZ\0")]),
        expect![[r#"
        ! t!evil�[31m�name: a compression that is not read; decompress it first, or repack it as gz, zstd or zip
        = t!evil�[31m�name - 0
    "#]],
    );
}

#[test]
fn bombs_are_capped_and_the_rest_goes_on() {
    let zeros = vec![b' '; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..1024 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let limits =
        Limits { decompressed_len_bytes_max: 4 << 20, record_len_bytes_max: 1 << 20, ..Limits::default() };
    expect![[r#"
        ! t!content at offset 0: a record of 4194304 bytes is over the limit of 1048576 bytes and was skipped
        ! t!content at offset 4194304: cannot be read further: more than 4194304 bytes came out of this file of evidence; the rest was left (raise the limit on decompressed bytes to read it)
        = t!content text 4194304
    "#]].assert_eq(&summary_with(limits, &bomb));
    let limits = Limits { ratio_max: 100, record_len_bytes_max: 1 << 20, ..Limits::default() };
    let archive = zip(&[("bomb.gz", &bomb), ("a.json", JSON)]);
    expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        ! t!bomb.gz!bomb at offset 0: a record of 67239936 bytes is over the limit of 1048576 bytes and was skipped
        ! t!bomb.gz!bomb at offset 67239936: cannot be read further: more than 100 bytes came out of each compressed byte; the rest was left (a decompression bomb, or raise the limit on the ratio)
        = t!bomb.gz!bomb text 67239936
        = t!a.json json 16
    "#]].assert_eq(&summary_with(limits, &archive));

    let mut nested = JSON.to_vec();
    for _ in 0..8 {
        nested = gz("x", &nested);
    }
    check(
        &nested,
        expect![[r#"
        ! t!x!x!x!x!x!x: containers are nested deeper than 6: not read
        = t!x!x!x!x!x!x - 0
    "#]],
    );
    let limits = Limits { members_max: 1, ..Limits::default() };
    let archive = zip(&[("a.json", JSON), ("b.json", JSON)]);
    expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        ! t: has more than 1 members; the rest was left out
        = t!a.json json 16
    "#]]
    .assert_eq(&summary_with(limits, &archive));
}
