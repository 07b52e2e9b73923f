//! What each modifier becomes, and which are refused.

use besa_sigma::{Placeholders, RefusalKind, parse_rule};

use crate::show;

fn rule(detection: &str) -> String {
    format!("title: t\nlogsource: {{category: process_creation}}\ndetection:\n{detection}\n")
}

fn placeholders() -> Placeholders {
    let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    Placeholders::from([
        ("one".to_owned(), values(&["x.y"])),
        ("two".to_owned(), values(&["a*", "b"])),
        ("net".to_owned(), values(&["10.0.0.0/8"])),
    ])
}

/// The only member of the search whose YAML is `body`.
fn lower(body: &str) -> String {
    let body = body.replace('\n', "\n    ");
    let text = rule(&format!("  sel:\n    {body}\n  condition: sel"));
    match parse_rule("r.yml", text.as_bytes(), &placeholders()) {
        Ok(rule) => show::selection(&rule.searches[0].selection),
        Err(refusal) => format!("{}: {}", refusal.kind, refusal.reason),
    }
}

#[test]
fn values_and_modifiers() {
    fn check(body: &str, expected: &str) {
        assert_eq!(lower(body), format!("all({expected})"), "{body}");
    }
    // Values as written.
    check("F: abc", r#"F ["abc"]"#);
    check("F: 4688", r#"F ["4688"]"#);
    check("F: 0x10", r#"F ["0x10"]"#);
    check("F: True", r#"F ["true"]"#);
    check("F: 'True'", r#"F ["True"]"#);
    check("F: yes", r#"F ["yes"]"#);
    check("F: !!str null", r#"F ["null"]"#);
    check("F: ''", "F []");
    check("F: null", "F null");
    check("F: ~", "F null");
    check("F:", "F null");
    check("F|neq: null", "not F null");
    check("F: [a, 2]", r#"F any(["a"], ["2"])"#);
    check("'A B': x", r#"A B ["x"]"#);
    // Escapes and wildcards.
    check(r"F: 'a*c'", r#"F ["a" * "c"]"#);
    check(r"F: 'a**?'", r#"F ["a" * ?]"#);
    check(r"F: 'a\*c'", r#"F ["a*c"]"#);
    check(r"F: 'a\\*c'", r#"F ["a\\" * "c"]"#);
    check(r"F: 'a\\\*c'", r#"F ["a\\*c"]"#);
    check(r"F: 'C:\Win\\x'", r#"F ["C:\\Win\\x"]"#);
    check(r"F: '\\\srv'", r#"F ["\\\\srv"]"#);
    check(r"F: '\\\\srv'", r#"F ["\\\\srv"]"#);
    // Where a value may stand.
    check("F|contains: a", r#"F [* "a" *]"#);
    check("F|contains: '*a'", r#"F [* "a" *]"#);
    check(r"F|contains: 'a\'", r#"F [* "a\\" *]"#);
    check("F|startswith: a", r#"F ["a" *]"#);
    check("F|endswith: a", r#"F [* "a"]"#);
    check("F|contains: 5", r#"F [* "5" *]"#);
    check("F|contains|cased: A", r#"F [* "A" *] cased"#);
    check("F|contains|all: [a, b]", r#"F all([* "a" *], [* "b" *])"#);
    check("F|neq: [a, b]", r#"not F any(["a"], ["b"])"#);
    check("F|neq|all: [a, b]", r#"not F all(["a"], ["b"])"#);
    // Encodings. The Base64 texts were made with another program.
    check("F|base64: foobar", r#"F ["Zm9vYmFy"]"#);
    check("F|base64: fooba", r#"F ["Zm9vYmE="]"#);
    check(
        "F|base64offset|contains: foobarbaz",
        r#"F any([* "Zm9vYmFyYmF6" *], [* "Zvb2JhcmJhe" *], [* "mb29iYXJiYX" *])"#,
    );
    check(
        "F|base64offset: foobarbaz",
        r#"F any([* "Zm9vYmFyYmF6" *], [* "Zvb2JhcmJhe" *], [* "mb29iYXJiYX" *])"#,
    );
    check(
        "F|base64offset|startswith: foobarbaz",
        r#"F any(["Zm9vYmFyYmF6" *], ["Zvb2JhcmJhe" *], ["mb29iYXJiYX" *])"#,
    );
    check("F|utf16be|base64: cmd", r#"F ["AGMAbQBk"]"#);
    check("F|utf16|base64: cmd", r#"F ["//5jAG0AZAA="]"#);
    check("F|utf16le|base64: cmd", r#"F ["YwBtAGQA"]"#);
    check("F|wide|base64: 'Ä€'", r#"F ["xACsIA=="]"#);
    check("F|wide: 'a*b'", r#"F ["a\0" * "b\0"]"#);
    check(r"F|base64: 'foo\*'", r#"F ["Zm9vKg=="]"#);
    check(
        "F|windash|base64: ' -f'",
        r#"F any(["IC1m"], ["IC9m"], ["IOKAk2Y="], ["IOKAlGY="], ["IOKAlWY="])"#,
    );
    // Dashes: an option's, not the one within a word or at the end.
    check("F|windash|contains: ' -f'", r#"F [* " " [-] "f" *]"#);
    check("F|contains|windash: ' /f'", r#"F [* " " [-] "f" *]"#);
    check("F|windash: '-a-b - /c'", r#"F [[-] "a-b - " [-] "c"]"#);
    check("F|windash: '–x ―y —z'", r#"F [[-] "x " [-] "y " [-] "z"]"#);
    check("F|endswith|windash: '*-'", r#"F [* "-"]"#);
    // Regular expressions: no escapes, no wildcards; PCRE's reading is kept.
    check(r"F|re: 'a\*.*c'", r"F /a\*.*c/");
    check("F|re|i: a", "F /a/i");
    check("F|re|i|m|s: ^a", "F /^a/ims");
    check("F|re|contains: a", "F /a/");
    check("F|re: 4688", "F /4688/");
    check(r"F|re: '[^[]x'", r"F /[^\[]x/");
    check(r"F|re: '[a&&b]'", r"F /[a\&\&b]/");
    check(r"F|re: '[[:alpha:]_-]'", r"F /[[:alpha:]_-]/");
    check(r"F|re: '\{?a{2,}{x}\Z'", r"F /\{?a{2,}\{x}\z/");
    check(r"F|re: '\x{41}\_'", r"F /\x{41}_/");
    // The other kinds.
    check("F|cidr: 10.0.0.0/8", "F in 10.0.0.0/8");
    check("F|cidr: ['2001:DB8::/32', ::1]", "F any(in 2001:db8::/32, in ::1/128)");
    check("F|exists: true", "F exists=true");
    check("F|exists: false", "F exists=false");
    check("F|gt: 4.5", "F Gt 4.5");
    check("F|lte: -1", "F Lte -1");
    check("F|neq|lt: 3", "not F Lt 3");
    check("F|hour: 3", "F Hour = 3");
    check("F|week|gte: 10", "F Week Gte 10");
    check("F|fieldref: G", "F = $G");
    check("F|fieldref|endswith: G", "F ends $G");
    check("F|fieldref|neq: G", "not F = $G");
    check("F|fieldref|contains|cased: G", "F contains $G cased");
    // Placeholders.
    check("F|expand: 'p-%two%-s'", r#"F any(["p-a" * "-s"], ["p-b-s"])"#);
    check("F|contains|expand: '%one%'", r#"F [* "x.y" *]"#);
    check(r"F|expand: '\%one\% 5%'", r#"F ["%one% 5%"]"#);
    check("F|re|expand: '^%one%$'", r"F /^x\.y$/");
    check("F|cidr|expand: '%net%'", "F in 10.0.0.0/8");
    check("F: '%name%'", r#"F ["%name%"]"#);
    // Keywords are found anywhere.
    check("'|contains': a", r#"<any> [* "a" *]"#);
    check("'|re': a", "<any> /a/");
    check("'|neq|all': [a, b]", r#"any(not <any> [* "a" *], not <any> [* "b" *])"#);
    check("'|endswith': a", r#"<any> [* "a"]"#);
    check("'|all': [a, b]", r#"all(<any> [* "a" *], <any> [* "b" *])"#);
}

#[test]
fn shapes_of_searches() {
    fn check(body: &str, expected: &str) {
        assert_eq!(lower(body), expected, "{body}");
    }
    check("a", r#"<any> [* "a" *]"#);
    check("[a, 'b*c']", r#"any(<any> any([* "a" *], [* "b" * "c" *]))"#);
    check("- A: x\n- B: y", r#"any(all(A ["x"]), all(B ["y"]))"#);
    check("- k\n- B: y\n- m", r#"any(<any> any([* "k" *], [* "m" *]), all(B ["y"]))"#);
    check("A: x\nB: y", r#"all(A ["x"], B ["y"])"#);
    check("A: &v [p, q]\nB: *v", r#"all(A any(["p"], ["q"]), B any(["p"], ["q"]))"#);
    check("<<: {A: x, B: y}\nB: z", r#"all(B ["z"], A ["x"])"#);
    check("A: x\nA: y", "yaml: key `A` stands twice in one map; one of the two would be lost");
}

#[test]
fn refused_values_and_modifiers() {
    fn check(body: &str, expected: &str) {
        let shown = lower(body);
        assert!(shown.contains(expected), "{body}\n{shown}\n{expected}");
    }
    check("F|foo: a", "modifier: search `sel`: `F|foo`: modifier `foo` is unknown");
    check("F|: a", "modifier `` is unknown");
    check("F|re|cidr: a", "`re` and `cidr` contradict each other");
    check("F|startswith|endswith: a", "only one of `contains`");
    check("F|lt|gt: 1", "only one of `lt`");
    check("F|hour|day: 1", "only one time modifier");
    check("F|i: a", "`i` can only stand after `re`");
    check("F|contains|base64: a", "has to stand before `contains`");
    check("F|base64|windash: a", "`windash` has to stand before the encoding");
    check("F|base64|wide: a", "has to be the first encoding");
    check("F|re|windash: a", "encodings and `windash` change text");
    check("F|re|cased: a", "`cased` has no meaning with `re`");
    check("F|re|startswith: a", "write `^` or `$`");
    check("F|cidr|contains: 10.0.0.0/8", "need text");
    check("F|re: '(a'", "regular expression `(a` is invalid: unclosed group");
    check("F|re: 'a(?=b)'", "is invalid: look-around");
    check("F|re: '((a{900}){900}){900}'", "repeats too much");
    check("F|cidr: 10.0.0.0/33", "`10.0.0.0/33` is no network");
    check("F|cidr: 10.0.0.1/8", "the network is `10.0.0.0/8`");
    check("F|gt: abc", "needs a number, not `abc`");
    check("F|gt: '5'", "needs a number, not `5` in quotes");
    check("F|hour: 1.5", "needs a whole number");
    check("F|exists: 'true'", "`exists` takes `true` or `false`, not `true`");
    check("F|exists: [true]", "no list");
    check("F|fieldref: 'G*'", "without wildcards");
    check("F|base64: 'foo*'", "wildcards, which cannot be encoded");
    check("F|utf16: a", "add `base64`");
    check("F|base64offset: a", "too short for `base64offset`");
    check("F|contains: null", "no modifier but `neq`");
    check("F: [a, null]", "null cannot stand in a list");
    check("F: []", "the list of values is empty");
    check("F: {a: b}", "a map stands where a value should");
    check("F: [[a]]", "a list stands where a value should");
    check("[]", "is empty");
    check("{}", "is empty");
    check("~", "`null` needs a field");
    check("'|exists': true", "`exists` needs a field");
    check("F|expand: '%none%'", "placeholder: search `sel`: `F|expand`: placeholder `%none%`");
}

#[test]
fn conditions() {
    fn check(condition: &str, expected: &str) {
        let text = rule(&format!(
            "  sel1: {{A: x}}\n  sel2: {{B: y}}\n  filter1: {{C: z}}\n  _hid: {{D: w}}\n  android: {{E: v}}\n  condition: {condition}"
        ));
        let shown = match parse_rule("r.yml", text.as_bytes(), &Placeholders::new()) {
            Ok(rule) => show::condition(&rule.condition, &rule),
            Err(refusal) => format!("{}: {}", refusal.kind, refusal.reason),
        };
        assert!(shown.starts_with(expected), "{condition}\n{shown}\n{expected}");
    }
    check("sel1", "sel1");
    check("android", "android");
    check("sel1 or sel2 and not filter1", "any(sel1, all(sel2, not(filter1)))");
    check("not sel1 and sel2", "all(not(sel1), sel2)");
    check("(sel1 or sel2) AND NOT filter1", "all(any(sel1, sel2), not(filter1))");
    check("not not (sel1)", "not(not(sel1))");
    check("1 of sel*", "any(sel1, sel2)");
    check("any of sel*", "any(sel1, sel2)");
    check("All Of sel*", "all(sel1, sel2)");
    check("1 of *1", "any(sel1, filter1)");
    check("1 of s*1", "sel1");
    check("1 of s*e*l*2", "sel2");
    check("1 of sel1", "sel1");
    check("1 of them", "any(sel1, sel2, filter1, android)");
    check("all of *", "all(sel1, sel2, filter1, android)");
    check("1 of _*", "_hid");
    check("_hid", "_hid");
    check("sel1 and not 1 of filter*", "all(sel1, not(filter1))");
    check("[sel1, sel2 and filter1]", "any(sel1, all(sel2, filter1))");
    check("sel3", "condition: condition names `sel3`, which is no search");
    check("1 of x*", "condition: condition has `of x*`, but no search fits");
    check("1 of *1*1", "condition: condition has `of *1*1`, but no search fits");
    check("2 of sel*", "condition: condition has `2 of`; only");
    check("1 of (sel1, sel2)", "condition: condition has `(` at column 6");
    check("sel1 sel2", "condition: condition has `sel2` at column 6");
    check("sel1 and", "condition: condition ends where");
    check("(sel1", "condition: condition does not close the `(` at column 1");
    check("sel1)", "condition: condition has `)` at column 5");
    check("and sel1", "condition: condition has `and` at column 1");
    check("''", "condition: condition ends where");
    check("{a: b}", "condition: `condition` has to be a text");
    check("[sel1, [sel2]]", "condition: `condition` has to be a text");
    check("sel1 | count() by X > 5", "aggregation: condition uses the aggregation `| count` of Sigma 1");
    check("sel1 | near sel2", "aggregation: condition uses the aggregation `| near`");
}

#[test]
fn what_is_mandatory() {
    fn check(text: &str, kind: RefusalKind, line: u32, expected: &str) {
        let refusal =
            parse_rule("r.yml", text.as_bytes(), &Placeholders::new()).expect_err("the text is refused");
        assert_eq!((refusal.kind, refusal.place.line), (kind, line), "{refusal}");
        assert!(refusal.reason.contains(expected), "{refusal}\n{expected}");
    }
    let detection = "detection: {s: {A: x}, condition: s}\n";
    let logsource = "logsource: {product: linux}\n";
    check("a: b", RefusalKind::NotSigma, 1, "no `detection`");
    check("- a", RefusalKind::NotSigma, 1, "a list, no map");
    check("", RefusalKind::NotSigma, 1, "no document");
    check(&format!("\n{logsource}{detection}"), RefusalKind::Attribute, 2, "no `title`");
    check(&format!("title: t\n{detection}"), RefusalKind::Attribute, 1, "no `logsource`");
    check(
        &format!("title: t\nlogsource: {{}}\n{detection}"),
        RefusalKind::Attribute,
        2,
        "names no `product`",
    );
    check(
        &format!("title: t\n{logsource}detection: {{s: {{A: x}}}}"),
        RefusalKind::Condition,
        3,
        "no `condition`",
    );
    check(
        &format!("title: t\n{logsource}detection: {{condition: s}}"),
        RefusalKind::Condition,
        3,
        "no search",
    );
    check(
        &format!("title: t\n{logsource}detection:\n  s:\n    A: x\n    B|re: '('\n  condition: s"),
        RefusalKind::Value,
        6,
        "unclosed group",
    );
    let rule = format!("title: t\n{logsource}{detection}");
    check(&format!("{rule}---\n{rule}"), RefusalKind::NotSigma, 1, "holds `2` detection rules");
}
