//! Encodings, at the level of whole streams.

use expect_test::{Expect, expect};

use crate::support::summary;

#[allow(clippy::needless_pass_by_value, reason = "as expect-test is used")]
fn check(input: &[u8], expected: Expect) {
    expected.assert_eq(&summary(input));
}

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn encodings() {
    let json = "{\"Image\":\"käse.exe\"}\r\n{\"Image\":\"b.exe\"}\r\n";
    check(
        &utf16(json, true),
        expect![[r#"
        1 // [-] host= Image=käse.exe
        2 // [-] host= Image=b.exe
        = t json 42
    "#]],
    );
    check(
        &utf16(json, false),
        expect![[r#"
        1 // [-] host= Image=käse.exe
        2 // [-] host= Image=b.exe
        = t json 42
    "#]],
    );
    check(
        b"{\"Image\":\"k\xe4se\"}\n{\"Image\":\"k\xc3\xa4se \x80\"}\n",
        expect![[r#"
        1 // [-] host= Image=käse
        2 // [-] host= Image=käse €
        = t json 37
    "#]],
    );
    check(
        b"2022-07-15 10:11:12 k\xe4se\nsecond\r\n\r\nfourth\0",
        expect![[r#"
        1 // [2022-07-15T10:11:12Z assumed] host=
        2 // [-] host=
        4 // [-] host=
        = t text 42
    "#]],
    );
    check(
        b"",
        expect![[r#"
        = t - 0
    "#]],
    );
    check(
        b"\xEF\xBB\xBF",
        expect![[r#"
        = t text 3
    "#]],
    );
    check(
        b"\n\n",
        expect![[r#"
        = t text 2
    "#]],
    );
}
