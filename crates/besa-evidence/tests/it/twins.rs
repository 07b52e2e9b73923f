//! JSON by marks against its slow twin, which reads byte by byte: same events, same defects.

use std::ops::ControlFlow;

use besa_event::Keep;
use besa_evidence::{Item, Limits, decode_twice, walk};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::corpora;

fn check(text: &[u8]) {
    for keep in [Keep::Named, Keep::Everything] {
        for block_len_bytes in [1 << 20, 100] {
            let limits = Limits { block_len_bytes, ..Limits::default() };
            if let Err(difference) = decode_twice(text, keep, limits) {
                panic!("{keep:?}, blocks of {block_len_bytes}: {difference}\n{}", text.escape_ascii());
            }
        }
    }
}

#[test]
fn damage_at_every_place() {
    let sound = r#"{"Event":{"System":{"EventID":1,"Channel":"a\\b"},"EventData":{"Q":"say \"x\"","u":"\u00e4\ud83d"}},"a.b":[1,"x",{"c":null}],"a":{"b":true}}"#;
    let sound = sound.as_bytes();
    for at in 0..sound.len() {
        for byte in [b'"', b'\\', b'\n', 1, b'{', b'u', 0xFF] {
            let mut damaged = sound.to_vec();
            damaged[at] = byte;
            let lines = [b"{\"a\":1}\n".as_slice(), &damaged, b"\n", sound, b"\n"].concat();
            let array = [b"[".as_slice(), sound, b",", &damaged, b",", sound, b"]"].concat();
            for text in [lines, array] {
                if let Err(difference) = decode_twice(&text, Keep::Everything, Limits::default()) {
                    panic!("{difference}\n{}", text.escape_ascii());
                }
            }
        }
        check(&sound[..at]);
    }
}

/// Strings and records around the borders of what is marked at once.
#[test]
fn long_strings() {
    for len in [60, 64, 16_000, 16_384, 40_000] {
        for behind in 0..8 {
            let long = "\\\\x".repeat(len / 3) + &"y".repeat(behind);
            check(
                format!("{{\"a\":\"{long}\",\"b\":\"\\u00e4{long}\"}}\n{{\"c\":\"{long}\n{{\"d\":1}}\n")
                    .as_bytes(),
            );
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "\"[a-zA-Z.#@]{0,9}\":",
        6 => "\"[ -~]{0,40}\"",
        3 => "\"([a-z]|\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-f]{0,4}){0,20}\"",
        6 => "[{}\\[\\],]",
        2 => "[ \t\r\n]{1,3}",
        2 => "-?[0-9]{1,4}(\\.[0-9]{1,3})?([eE][+-]?[0-9])?",
        2 => Just("true".to_owned()),
        1 => Just("null".to_owned()),
        1 => "[\"\\\\]{1,70}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn anything_like_json(lines in vec(vec(piece(), 0..40), 1..6)) {
        let lines: Vec<String> = lines.iter().map(|pieces| format!("{{\"k\":1,{}", pieces.concat())).collect();
        check(format!("{{\"a\":1}}\n{}\n", lines.join("\n")).as_bytes());
        check(format!("[{}]", lines.join(",\n")).as_bytes());
    }
}

#[test]
fn corpus() {
    let Some(path) = corpora("otrf-security-datasets") else { return };
    let mut blocks = 0;
    let _ = walk(&[path], &Limits::default(), &mut Vec::new, &mut |item| {
        if let Item::Block(block) = item
            && block.format.name() == "json"
        {
            blocks += 1;
            // Everything is compared in every eighth block: it takes long without optimisation.
            let keep = if blocks % 8 == 0 { Keep::Everything } else { Keep::Named };
            decode_twice(&block.bytes, keep, Limits::default()).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert!(blocks > 100, "{blocks}");
}
