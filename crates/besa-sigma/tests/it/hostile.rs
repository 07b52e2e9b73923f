//! Any bytes: an answer, in bounded time, without a panic.

use std::time::{Duration, Instant};

use besa_sigma::{Placeholders, RefusalKind, RuleSet, parse};

/// Generous for a debug build on a busy machine; what is quadratic or
/// exponential takes minutes.
const SECONDS_MAX: u64 = 20;

fn timed(name: &str, bytes: &[u8]) -> RuleSet {
    let start = Instant::now();
    let set = parse("hostile.yml", bytes, &Placeholders::new());
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(SECONDS_MAX), "{name} took {elapsed:?}");
    set
}

fn rule_with(condition: &str) -> String {
    format!("title: t\nlogsource: {{product: x}}\ndetection:\n  s: {{A: x}}\n  condition: {condition}\n")
}

#[test]
fn refused_in_bounded_time() {
    fn check(name: &str, bytes: &[u8], kind: RefusalKind) {
        let set = timed(name, bytes);
        assert!(set.rules.is_empty(), "{name}");
        let kinds: Vec<_> = set.refused.iter().map(|refusal| refusal.kind).collect();
        assert_eq!(kinds, [kind], "{name}: {:?}", set.refused);
    }
    check("empty", b"", RefusalKind::NotSigma);
    check("comment", b"# nothing\n---\n", RefusalKind::NotSigma);
    check("NUL", b"title: a\ndetection: \0", RefusalKind::Yaml);
    check("invalid UTF-8", b"title: a\n\xFF\xFE", RefusalKind::Yaml);
    check("UTF-16", b"\xFF\xFEt\0i\0", RefusalKind::Yaml);
    check("tab", b"a:\n\t- b", RefusalKind::Yaml);
    check("unknown alias", b"a: *b", RefusalKind::Yaml);
    check("alias in itself", b"a: &a [*a]", RefusalKind::Yaml);
    check("map as key", b"{a: b}: c", RefusalKind::Yaml);

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let inner = format!("*a{}, ", level - 1).repeat(9);
        bomb += &format!("a{level}: &a{level} [{inner}]\n");
    }
    check("alias bomb", bomb.as_bytes(), RefusalKind::Limit);
    check("some flow nesting", "[".repeat(100).as_bytes(), RefusalKind::Limit);
    check("some map nesting", "{a: ".repeat(100).as_bytes(), RefusalKind::Limit);
    check("flow nesting", "[".repeat(10_000).as_bytes(), RefusalKind::Yaml);
    check("map nesting", "{a: ".repeat(10_000).as_bytes(), RefusalKind::Yaml);
    check("dash nesting", "- ".repeat(10_000).as_bytes(), RefusalKind::Limit);
    let parentheses = rule_with(&format!("'{}'", "(".repeat(1 << 20)));
    check("parentheses", parentheses.as_bytes(), RefusalKind::Limit);
    let nots = rule_with(&"not ".repeat(1 << 18));
    check("nots", nots.as_bytes(), RefusalKind::Limit);
    let regex = rule_with("s").replace("A: x", &format!("'A|re': '{}'", "(".repeat(60_000)));
    check("regular expression", regex.as_bytes(), RefusalKind::Value);
    let percents = rule_with("s").replace("A: x", &format!("'A|expand': '{}%a%'", "%b%".repeat(9_999)));
    check("placeholders", percents.as_bytes(), RefusalKind::Placeholder);
}

#[test]
fn large_but_sound() {
    fn check(name: &str, text: &str) {
        let set = timed(name, text.as_bytes());
        assert!(set.refused.is_empty(), "{name}: {:?}", set.refused);
        assert!(!set.rules.is_empty(), "{name}");
    }
    check("long or", &rule_with(&format!("s{}", " or s".repeat(100_000))));
    let values = (0..200_000).map(|n| format!("v{n}, ")).collect::<String>();
    check("long list", &rule_with("s").replace("A: x", &format!("A: [{values}]")));
    let keys = (0..50_000).map(|n| format!("A{n}: x, ")).collect::<String>();
    check("many keys", &rule_with("s").replace("A: x", &keys));
    let dashes = " -a".repeat(100_000);
    check("many dashes", &rule_with("s").replace("A: x", &format!("'A|windash': '{dashes}'")));
    let percents = "%".repeat(500_000);
    check("percents", &rule_with("s").replace("A: x", &format!("'A|expand': 'x {percents}'")));
    check("many documents", &format!("{}---\n", rule_with("s")).repeat(5_000));
}

/// One damaged document does not take the next with it.
#[test]
fn the_next_document_is_read() {
    let sound = rule_with("s");
    let text = format!("%YAML 1.2\n---\n{sound}---\ntitle: [\n---\n{sound}...\n---\nnull\n---\n{sound}");
    let set = timed("damaged", text.as_bytes());
    let lines: Vec<u32> = set.rules.iter().map(|rule| rule.meta.place.line).collect();
    assert_eq!(lines, [3, 11, 20]);
    assert_eq!(set.refused.len(), 1);
    assert_eq!(set.refused[0].kind, RefusalKind::Yaml);
}

/// Every prefix of a rule, and every byte of it replaced.
#[test]
fn torn_and_altered_rules() {
    let text = "title: t\nlogsource: {product: x}\ndetection:\n  s:\n    - 'A|re|i': '[a-z]{2}\\x41'\n    \
                - \"B|base64offset\": &x \"k\\u00e4\\\\*\"\n  k: [*x, '%p%']\n  condition: 1 of s* or not (k)\n";
    assert_eq!(timed("whole", text.as_bytes()).rules.len(), 1);
    for end in 0..text.len() {
        timed("torn", &text.as_bytes()[..end]);
        for byte in [b'\'', b'[', b'*', b'\\', b'\n', b'|', b'%', 0xC3] {
            let mut altered = text.as_bytes().to_vec();
            altered[end] = byte;
            timed("altered", &altered);
        }
    }
}
