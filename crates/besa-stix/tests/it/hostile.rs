//! What a stranger may send: it must be answered or refused, quickly and without a panic.

use besa_stix::observation::read_observations;
use besa_stix::pattern::{
    CompiledPattern, DEFAULT_WORK, EvaluateError, Hit, MAX_PATTERN_BYTES, Pattern, Severity, combine,
    evaluate,
};
use besa_stix::time::Instant;
use besa_stix::validate::{is_valid, validate_text};

#[test]
fn patterns_are_bounded() {
    for text in [
        "x".repeat(10 << 20),
        "(".repeat(100_000),
        format!("[{}", "(".repeat(100_000)),
        format!("[a:b{} = 1]", "[0".repeat(100_000)),
        format!("{}[a:b = 1]{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("[a:b = {}]", "9".repeat(100_000)),
        format!("[a:b = {}.5]", "9".repeat(100_000)),
        "[a:b = 1] REPEATS 99999999999999999999 TIMES".to_owned(),
        "[a:b = 1] REPEATS 0 TIMES".to_owned(),
        "[a:b = 1] WITHIN 0.0 SECONDS".to_owned(),
        "[a:b = 'x".to_owned(),
        "[a:b = b'====']".to_owned(),
        "[a:b[-1] = 1]".to_owned(),
        "[a:b[99999999999999999999999] = 1]".to_owned(),
        "[a:b = 'C:\\x']".to_owned(),
        "/* ".repeat(10_000),
        "\u{feff}[a:b = 1]".to_owned(),
        String::new(),
    ] {
        assert!(Pattern::parse(&text).is_err(), "{}", &text[..text.len().min(60)]);
    }
    let long = vec!["[a:b = 1]"; MAX_PATTERN_BYTES / 14].join(" AND ");
    assert_eq!(Pattern::parse(&long).unwrap().comparison_exprs().len(), MAX_PATTERN_BYTES / 14);
    let error = Pattern::parse("[file:name = 'a' AND ]").unwrap_err();
    assert_eq!(
        (error.position, error.to_string().as_str()),
        (21, "at byte 21: found `]`, expected an object path, for example file:name")
    );
}

#[test]
fn regular_expressions_are_bounded() {
    let observations = read_observations(
        br#"[{"type": "observed-data", "first_observed": "2024-01-01T00:00:00Z", "last_observed": "2024-01-01T00:00:00Z",
        "number_observed": 1, "objects": {"0": {"type": "file", "name": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}}}]"#,
    )
    .unwrap()
    .0;
    let run = |pattern: &str| evaluate(&Pattern::parse(pattern).unwrap(), &observations, DEFAULT_WORK);
    for slow in [r"^(?:(a|aa)+\\1)+c", r"^(a*)*\\1(?!b)c", r"^((a|aa)+(?=b)c)$"] {
        let result = run(&format!("[file:name MATCHES '{slow}']"));
        assert!(matches!(result, Err(EvaluateError::RegexTooExpensive { .. })), "{slow}");
    }
    assert_eq!(run("[file:name MATCHES '^(a+)+c$']"), Ok(None));
    for bomb in
        ["(((a{1000}){1000}){1000}){1000}", "(a", r"\\p{Nonsense}", &"(?=".repeat(5_000), &"(".repeat(60_000)]
    {
        let pattern = format!("[file:name MATCHES '{bomb}']");
        assert!(
            matches!(run(&pattern), Err(EvaluateError::InvalidRegex { .. })),
            "{}",
            &bomb[..20.min(bomb.len())]
        );
        let findings = Pattern::parse(&pattern).unwrap().check();
        assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
    }
}

#[test]
fn reference_loops_and_stars_do_not_multiply() {
    let refs: Vec<String> = (0..40).map(|place| format!("\"{place}\"")).collect();
    let objects: Vec<String> = (0..40)
        .map(|place| format!(r#""{place}": {{"type": "x-a", "next_refs": [{}]}}"#, refs.join(",")))
        .collect();
    let json = format!(
        r#"{{"type": "observed-data", "first_observed": "2024-01-01T00:00:00Z", "last_observed": "2024-01-01T00:00:00Z",
        "number_observed": 1, "objects": {{{}}}}}"#,
        objects.join(",")
    );
    let (observations, _) = read_observations(json.as_bytes()).unwrap();
    // Twenty levels of forty references each, every object reached by every other.
    let pattern = format!("[x-a:{}name = 'x' AND x-a:next_refs[0].type = 'x-b']", "next_refs[*].".repeat(20));
    assert_eq!(evaluate(&Pattern::parse(&pattern).unwrap(), &observations, DEFAULT_WORK), Ok(None));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read_observations(deep.as_bytes()).is_err());
    assert!(!is_valid(&validate_text(deep.as_bytes())));
}

fn points(seconds: impl IntoIterator<Item = i64>, offset: usize) -> Vec<Hit> {
    let hit = |(place, second)| {
        let instant = Instant::from_unix(second, 0);
        Hit { observation: place + offset, first: instant, last: instant, count: 1 }
    };
    seconds.into_iter().enumerate().map(hit).collect()
}

/// Large inputs that must be decided, not given up.
#[test]
fn searches_over_many_events_are_decided() {
    let n = 100_000;
    let every =
        |step: i64, start: i64, offset: usize| points((0..n).map(|place| start + place * step), offset);
    let cases = [
        (
            "([a:x = 1] FOLLOWEDBY [a:x = 2]) WITHIN 5 SECONDS",
            vec![every(10, 6, 0), every(10, 0, 1 << 20)],
            true,
        ),
        (
            "([a:x = 1] FOLLOWEDBY [a:x = 2]) WITHIN 4 SECONDS",
            vec![every(10, 6, 0), every(10, 0, 1 << 20)],
            false,
        ),
        (
            "([a:x = 1] AND [a:x = 2] AND [a:x = 3]) WITHIN 5 SECONDS",
            vec![every(1, 0, 0), every(1, 0, 1 << 20), every(1, 1 << 40, 2 << 20)],
            false,
        ),
        (
            "[a:x = 1] FOLLOWEDBY [a:x = 2] FOLLOWEDBY [a:x = 3] FOLLOWEDBY [a:x = 4]",
            vec![
                every(1, 1 << 40, 0),
                every(1, 1 << 40, 1 << 20),
                every(1, 1 << 40, 2 << 20),
                every(1, 0, 3 << 20),
            ],
            false,
        ),
        ("[a:x = 1] REPEATS 5 TIMES WITHIN 10 SECONDS", vec![every(3, 0, 0)], false),
        ("[a:x = 1] REPEATS 5 TIMES WITHIN 13 SECONDS", vec![every(3, 0, 0)], true),
        ("[a:x = 1] REPEATS 100001 TIMES", vec![every(1, 0, 0)], false),
        ("[a:x = 1] REPEATS 100000 TIMES", vec![every(1, 0, 0)], true),
        (
            "([a:x = 1] FOLLOWEDBY [a:x = 2]) REPEATS 100 TIMES",
            vec![every(1, 0, 0), every(1, 0, 1 << 20)],
            true,
        ),
        (
            "([a:x = 1] FOLLOWEDBY [a:x = 2]) REPEATS 9000000000000000000 TIMES",
            vec![every(1, 0, 0), every(1, 0, 1 << 20)],
            false,
        ),
    ];
    for (pattern, hits, expected) in cases {
        let found = combine(&Pattern::parse(pattern).unwrap(), &hits, DEFAULT_WORK);
        assert_eq!(found.map(|binding| binding.is_some()), Ok(expected), "{pattern}");
    }
}

/// Searches that may be given up, but only with an error and soon.
#[test]
fn searches_end() {
    let pairs: Vec<String> =
        (0..12).map(|place| format!("([a:x = {place}] FOLLOWEDBY [a:y = {place}])")).collect();
    let all = |leaves: usize| vec![points(0..40, 0); leaves];
    for (pattern, leaves) in [
        (format!("({}) REPEATS 30 TIMES", pairs.join(" OR ")), 24),
        (format!("({}) WITHIN 3 SECONDS", pairs.join(" AND ")), 24),
        (format!("(({}) WITHIN 3 SECONDS) REPEATS 3 TIMES", pairs.join(" AND ")), 24),
        ("(([a:x = 1] FOLLOWEDBY [a:x = 2]) WITHIN 1 SECONDS) REPEATS 15 TIMES".to_owned(), 2),
        (vec!["([a:x = 1] OR ([a:x = 2] AND [a:x = 3]))"; 30].join(" AND "), 90),
        (vec!["[a:x = 1]"; 400].join(" FOLLOWEDBY "), 400),
        (vec!["[a:x = 1]"; 20_000].join(" FOLLOWEDBY "), 20_000),
    ] {
        let pattern = Pattern::parse(&pattern).unwrap();
        let result = combine(&pattern, &all(leaves), 2_000_000);
        assert!(matches!(result, Ok(_) | Err(EvaluateError::TooExpensive { .. })));
    }
    assert_eq!(combine(&Pattern::parse("[a:x = 1]").unwrap(), &[], 10), Ok(None));
}

#[test]
fn an_invalid_constant_matches_nothing() {
    let mixed = Pattern::parse("[a:x IN (1, 'b')]").unwrap();
    assert!(matches!(CompiledPattern::new(mixed.clone()), Err(EvaluateError::MixedSet { .. })));
    assert_eq!(mixed.check().len(), 1);
    let types = Pattern::parse("[a:x = 1 AND b:y = 2] OR [(a:x = 1 OR b:x = 1) AND b:y = 2]").unwrap();
    assert_eq!(types.check().iter().map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::Warning]);
}
