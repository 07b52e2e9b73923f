//! JSON: how records follow each other, and the decoder against `serde_json`.

use besa_event::Keep;
use besa_evidence::Limits;
use expect_test::{Expect, expect};
use serde_json::Value;

use crate::support::{read, summary, summary_with};

#[allow(clippy::needless_pass_by_value, reason = "as expect-test is used")]
fn check(input: &str, expected: Expect) {
    expected.assert_eq(&summary(input.as_bytes()));
}

#[test]
fn layouts() {
    check(
        "{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}",
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        4 // [-] host= a=#3
        = t json 25
    "#]],
    );
    check(
        "\u{feff}{\"a\":1}\n",
        expect![[r#"
        1 // [-] host= a=#1
        = t json 11
    "#]],
    );
    check(
        "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n{\n  \"a\": 2\n}\n",
        expect![[r#"
        1 // [-] host= a.b=#1
        2 // [-] host= a=#2
        = t json 41
    "#]],
    );
    check(
        "{\"a\":1}{\"a\":2} {\"a\":3}",
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        3 // [-] host= a=#3
        = t json 22
    "#]],
    );
    check(
        "[{\"a\":1},\n {\"a\":2}\n]",
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        = t json 20
    "#]],
    );
    check(
        "[]",
        expect![[r#"
        = t json 2
    "#]],
    );
    check(
        "{\"Records\":[{\"a\":1},{\"a\":2}],\"next\":{\"Records\":\"]}\"}}\n{\"Records\":[{\"a\":3}]}",
        expect![[r#"
            1 // [-] host= a=#1
            2 // [-] host= a=#2
            3 // [-] host= a=#3
            = t json 75
        "#]],
    );
    check(
        "[[{\"a\":1}],[{\"a\":2},{\"a\":3}]]",
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        2 // [-] host= a=#3
        = t json 29
    "#]],
    );
    // One line of two records, and a line that is an array.
    check(
        "{\"a\":1}\n{\"a\":2}{\"a\":3},\n[{\"a\":4},{\"a\":5}]\n",
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        2 // [-] host= a=#3
        3 // [-] host= a=#4
        3 // [-] host= a=#5
        = t json 42
    "#]],
    );
    check(
        r#"{"k\u0065y":"\u00e4\ud83d\ude00\n","a.b":{"c\"d":1},"":2,"dup":1,"dup":2}"#,
        expect![[r#"
        1 // [-] host= key=ä😀\n a.b.c"d=#1 =#2 dup=#1 dup=#2
        = t json 73
    "#]],
    );
}

#[test]
fn torn_records_cost_themselves_only() {
    check(
        "{\"a\":1}\n{\"a\":\n{\"a\":3}\n",
        expect![[r#"
        1 // [-] host= a=#1
        3 // [-] host= a=#3
        ! t record 2: no valid JSON: unexpected end at byte 5 of the record
        = t json 22
    "#]],
    );
    check(
        "b\":1}\n{\"a\":2}\n{\"a\":3",
        expect![[r#"
        2 // [-] host= a=#2
        ! t record 1: no valid JSON: no object at byte 0 of the record
        ! t record 3: no valid JSON: unexpected end at byte 6 of the record
        = t json 20
    "#]],
    );
    check(
        "[\n  {\n    \"a\": 1,\n    \"b\": \"to\n  {\n    \"a\": 2\n  }\n]\n",
        expect![[r#"
            2 // [-] host= a=#2
            ! t at offset 30: 3 bytes that are no JSON were skipped
            ! t record 1: no valid JSON: a control character in a string at byte 26 of the record
            = t json 52
        "#]],
    );
    check(
        "[{\"a\":1},{\"a\":2,{\"a\":3}]",
        expect![[r#"
            1 // [-] host= a=#1
            3 // [-] host= a=#3
            ! t record 2: no valid JSON: no name in double quotes at byte 7 of the record
            = t json 24
        "#]],
    );
    check(
        "{\n\"a\": 1\n}\nnoise, more noise\n{\n\"a\": 2\n}\n{\n\"a\": ",
        expect![[r#"
        1 // [-] host= a=#1
        2 // [-] host= a=#2
        ! t at offset 11: 18 bytes that are no JSON were skipped
        ! t record 3: no valid JSON: unexpected end at byte 7 of the record
        = t json 47
    "#]],
    );
    check(
        "{\"a\":01}\n{\"a\":1.}\n{\"a\":\"\t\"}\n{\"a\":\"\\x\"}\n{\"a\":tru}\n{\"a\" 1}\n{\"a\":1,}\n{a:1}\n",
        expect![[r#"
            ! t record 1: no valid JSON: a number with a leading zero at byte 7 of the record
            ! t record 2: no valid JSON: no digit in a number at byte 7 of the record
            ! t record 3: no valid JSON: a control character in a string at byte 6 of the record
            ! t record 4: no valid JSON: an unknown escape sequence at byte 7 of the record
            ! t record 5: no valid JSON: no value at byte 5 of the record
            ! t record 6: no valid JSON: no `:` after a name at byte 5 of the record
            ! t record 7: no valid JSON: no name in double quotes at byte 7 of the record
            ! t record 8: no valid JSON: no name in double quotes at byte 1 of the record
            = t json 72
        "#]],
    );
}

#[test]
fn limits_hold() {
    let limits = Limits { json_depth_max: 4, fields_max: 3, ..Limits::default() };
    let input = "{\"a\":{\"b\":{\"c\":{\"d\":1}}}}\n{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}\n{\"a\":[[[[1]]]]}\n{\"a\":[1,2,3,4,5]}\n";
    expect![[r#"
        1 // [-] host= a.b.c.d=#1
        4 // [-] host= a=#1 a=#2 a=#3
        ! t record 2: no valid JSON: nested too deep at byte 20 of the record
        ! t record 3: no valid JSON: nested too deep at byte 8 of the record
        ! t record 4: 2 fields were left out: more than 3, or with a path of more than 1024 bytes
        = t json 87
    "#]]
    .assert_eq(&summary_with(limits, input.as_bytes()));

    let long_name = "n".repeat(2_000);
    let input = format!("{{\"{long_name}\":{{\"a\":[{{\"b\":1}}]}},\"c\":{{\"{long_name}\":1}},\"d\":1}}");
    expect![[r#"
        1 // [-] host= d=#1
        ! t record 1: 2 fields were left out: more than 16384, or with a path of more than 1024 bytes
        = t json 4037
    "#]]
    .assert_eq(&summary(input.as_bytes()));

    let limits = Limits { record_len_bytes_max: 64, block_len_bytes: 16, ..Limits::default() };
    let long = "x".repeat(10_000);
    let lines = format!("{{\"a\":1}}\n{{\"a\":\"{long}\"}}\n{{\"a\":3}}\n");
    expect![[r#"
        1 // [-] host= a=#1
        3 // [-] host= a=#3
        ! t at offset 8: a record of 10009 bytes is over the limit of 64 bytes and was skipped
        = t json 10025
    "#]]
    .assert_eq(&summary_with(limits, lines.as_bytes()));
    let array = format!("[{{\"a\":1}},{{\"a\":\"{long}\"}},{{\"a\":3}}]");
    expect![[r#"
        1 // [-] host= a=#1
        3 // [-] host= a=#3
        ! t at offset 9: a record of 10008 bytes is over the limit of 64 bytes and was skipped
        = t json 10026
    "#]]
    .assert_eq(&summary_with(limits, array.as_bytes()));
    let unclosed = format!("[{{\"a\":1}},{{\"a\":\"{long}");
    expect![[r#"
        1 // [-] host= a=#1
        ! t at offset 9: a record of 10006 bytes is over the limit of 64 bytes and was skipped
        = t json 10015
    "#]]
    .assert_eq(&summary_with(limits, unclosed.as_bytes()));
}

/// Whatever the size of blocks, the events are the same.
#[test]
fn block_borders_do_not_show() {
    let mut random = Random(7);
    for round in 0..300 {
        let mut text = String::new();
        let layout = round % 4;
        let records = 1 + random.below(12);
        text.push_str(["", "[", "{\"Records\":[", ""][layout]);
        for index in 0..records {
            let record = random.object(3);
            text.push_str(
                &if layout == 3 {
                    serde_json::to_string_pretty(&record)
                } else {
                    serde_json::to_string(&record)
                }
                .unwrap(),
            );
            text.push_str(if index + 1 == records { "" } else { ["\n", ",", " , ", "\n"][layout] });
        }
        text.push_str(["", "]", "],\"x\":[1]}", "\n"][layout]);
        let whole = summary(text.as_bytes());
        assert!(!whole.contains('!'), "{text}\n{whole}");
        for block_len_bytes in [1, 7, 64, 500] {
            let limits = Limits { block_len_bytes, ..Limits::default() };
            assert_eq!(summary_with(limits, text.as_bytes()), whole, "{block_len_bytes}: {text}");
        }
    }
}

/// Both take the same documents, and find the same leaves in them.
#[test]
fn decoding_agrees_with_serde_json() {
    let mut random = Random(42);
    let (mut sound, mut damaged) = (0, 0);
    for _ in 0..4_000 {
        let mut text = serde_json::to_vec(&random.object(4)).unwrap();
        if random.below(2) == 0 {
            random.mutate(&mut text);
        }
        text.retain(|byte| *byte != b'\n');
        // The first line settles that these are lines; a mutated one may be anything.
        let input = [b"{\"a\":1}\n".as_slice(), &text, b"\n"].concat();
        let reading = read(Limits::default(), Keep::Everything, &input);
        let expected = std::str::from_utf8(&text).ok().map(serde_json::from_str::<Value>);
        match expected {
            Some(Ok(Value::Object(object))) => {
                sound += 1;
                assert_eq!(reading.account.defects, [], "{}", text.escape_ascii());
                // Names of Windows' shapes are renamed and names repeated in an object are kept:
                // compared are the values alone.
                let mut found = leaves_of_summary(&input);
                let mut wanted = Vec::new();
                leaves(&Value::Object(object), &mut wanted);
                found.sort();
                wanted.sort();
                if !has_repeated_names(&text) {
                    assert_eq!(found, wanted, "{}", text.escape_ascii());
                }
            }
            // Arrays and several records on a line are read too, lone surrogates are kept.
            Some(Err(error))
                if ["surrogate", "hex escape", "trailing"]
                    .iter()
                    .any(|reason| error.to_string().contains(reason)) => {}
            Some(Err(error)) if text.trim_ascii().is_empty() => assert!(error.is_eof()),
            Some(Err(error)) => {
                damaged += 1;
                let is_more =
                    text.trim_ascii_start().starts_with(b",") || text.trim_ascii_start().starts_with(b"[");
                assert!(is_more || !reading.account.defects.is_empty(), "{error}: {}", text.escape_ascii());
            }
            _ => {}
        }
    }
    assert!(sound > 1_500 && damaged > 500, "{sound} {damaged}");
}

fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Null => out.push("null".to_owned()),
        Value::Bool(_) => out.push(format!("#{value}")),
        // Numbers keep their spelling; serde_json normalises it.
        Value::Number(number) => out.push(format!("#{}", number.as_f64().unwrap())),
        Value::String(text) => out.push(format!("={text}")),
        Value::Array(values) => values.iter().for_each(|value| leaves(value, out)),
        Value::Object(object) => object.values().for_each(|value| leaves(value, out)),
    }
}

fn leaves_of_summary(input: &[u8]) -> Vec<String> {
    use besa_event::{Dictionary, LogSources, ValueKind};
    use besa_evidence::{Context, read_all};
    let (dictionary, sources) = (Dictionary::builder().build(), LogSources::new());
    let context = Context {
        dictionary: &dictionary,
        sources: &sources,
        keep: Keep::Everything,
        reference: None,
        carve: true,
        limits: Limits::default(),
    };
    let mut out = Vec::new();
    read_all(&context, "t", &mut &*input, &mut |batch| {
        for event in batch.events().skip(1) {
            for field in event.fields() {
                let text = field.value.display();
                out.push(match field.value.kind {
                    ValueKind::Null => "null".to_owned(),
                    ValueKind::Boolean => format!("#{text}"),
                    ValueKind::Number => format!("#{}", text.parse::<f64>().unwrap()),
                    _ => format!("={text}"),
                });
            }
        }
    });
    out
}

/// Whether serde_json would keep fewer values than there are: a name in an object that has it
/// already. A colon outside of strings follows each name of valid JSON.
fn has_repeated_names(text: &[u8]) -> bool {
    let (mut in_string, mut is_escaped, mut names) = (false, false, 0);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => names += 1,
            _ => {}
        }
    }
    names != names_kept(&serde_json::from_slice(text).unwrap())
}

fn names_kept(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(names_kept).sum(),
        Value::Object(object) => object.len() + object.values().map(names_kept).sum::<usize>(),
        _ => 0,
    }
}

/// A small generator with a fixed seed (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound.max(1)
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "a",
            "Image",
            "\\",
            "\"",
            "ä",
            "😀",
            "\n",
            " ",
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\u{1}",
            "longer text than eight",
            "/",
        ];
        (0..self.below(5)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    fn object(&mut self, depth: usize) -> Value {
        let members = (0..self.below(5)).map(|index| (format!("{}{index}", self.text()), self.value(depth)));
        Value::Object(members.collect())
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => Value::from(self.below(1 << 40)),
            3 => Value::from(self.below(1_000) as f64 / 8.0 - 50.0),
            4 | 5 => Value::String(self.text()),
            6 => Value::Array((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
            _ => self.object(depth - 1),
        }
    }

    fn mutate(&mut self, text: &mut Vec<u8>) {
        const PIECES: &[&[u8]] = &[
            b"\"", b"\\", b"{", b"}", b"[", b"]", b":", b",", b"0", b"-", b".", b"e", b"\\u12", b"\\ud83d",
            b"tru", b"null", b"\t",
        ];
        for _ in 0..=self.below(2) {
            let at = self.below(text.len() + 1);
            match self.below(3) {
                0 => text.truncate(at),
                1 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    text.splice(at..at, piece.iter().copied());
                }
                _ if at < text.len() => {
                    text.remove(at);
                }
                _ => {}
            }
        }
    }
}
