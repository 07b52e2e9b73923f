//! The fast matcher against its slow twin, on rules and events made to collide.

use besa_detect::sigma::reference::{Record, Reference};
use besa_event::{Batch, LogSource, Origin};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{TestEvent, hunt, push, shared, yaml_files};

/// Short words over few letters, so that values and patterns meet.
fn word() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[aAbB\\\\ /äÄſs*?–-]{0,6}").expect("a valid expression")
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["F", "G", "H"])
}

fn item() -> impl Strategy<Value = String> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let text = (
        prop::sample::select(vec![
            "",
            "|contains",
            "|startswith",
            "|endswith",
            "|contains|cased",
            "|cased",
            "|contains|windash",
            "|contains|all",
            "|neq",
            "|base64offset|contains",
            "|startswith|cased",
        ]),
        prop::collection::vec(word(), 1..4),
    )
        .prop_map(move |(modifier, words)| {
            let needs_two = modifier.ends_with("|all");
            let mut words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            if needs_two && words.len() == 1 {
                words.push("'a'".to_owned());
            }
            if words.len() == 1 {
                (modifier, words.remove(0))
            } else {
                (modifier, format!("[{}]", words.join(", ")))
            }
        });
    let other = prop::sample::select(vec![
        ("|re", "'a.*b'"),
        ("|re|i", "'abb?s'"),
        ("|re", "'(ab|ba)+'"),
        ("|exists", "true"),
        ("|exists", "false"),
        ("", "null"),
        ("|fieldref", "G"),
        ("|fieldref|contains", "H"),
        ("|gte", "5"),
        ("|lt", "7.5"),
        ("|cidr", "10.0.0.0/8"),
    ])
    .prop_map(|(modifier, value)| (modifier, value.to_owned()));
    (field(), prop_oneof![3 => text, 1 => other])
        .prop_map(|(field, (modifier, value))| format!("{field}{modifier}: {value}"))
}

/// Words and null as a list, or under a modifier without a field.
fn keywords() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => word().prop_map(|word| format!("'{}'", word.replace('\'', "''"))),
        // Long enough for the sweep over a whole event.
        3 => proptest::string::string_regex("[abkKſs\u{212a}/\\\\]{3,5}")
            .expect("a valid expression")
            .prop_map(|word| format!("'{word}'")),
        1 => Just("null".to_owned()),
    ];
    let list = |words: &[String]| words.iter().map(|word| format!("    - {word}\n")).collect::<String>();
    let plain = prop::collection::vec(word.clone(), 1..3).prop_map(move |words| list(&words));
    let modifier =
        prop::sample::select(vec!["|contains", "|all", "|cased", "|startswith", "|contains|all", "|neq"]);
    let modified = (modifier, prop::collection::vec(word, 1..3))
        .prop_map(|(modifier, words)| format!("    '{modifier}': [{}]\n", words.join(", ")));
    let other = prop::sample::select(vec![
        "'|exists': true",
        "'|exists': false",
        "'': null",
        "'|re': 'a.*b'",
        "'|re|i': '(abb?s|kk)'",
        "'|gte': 5",
        "'|cidr': '10.0.0.0/8'",
    ])
    .prop_map(|item| format!("    {item}\n"));
    prop_oneof![3 => plain, 2 => modified, 1 => other]
}

fn rule() -> impl Strategy<Value = String> {
    let selection = prop::collection::btree_map(field(), item(), 1..3)
        .prop_map(|items| items.into_values().map(|item| format!("    {item}\n")).collect::<String>());
    let body = prop_oneof![4 => selection, 1 => keywords()];
    let condition = prop::sample::select(vec![
        "a",
        "not a",
        "a and not b",
        "a or b",
        "1 of them",
        "all of them",
        "not (a or b)",
        "a and b",
    ]);
    (body.clone(), body, condition).prop_map(|(a, b, condition)| {
        format!("title: t\nlogsource: {{product: windows}}\ndetection:\n  a:\n{a}  b:\n{b}  condition: {condition}\n")
    })
}

/// A rule with so many tests of each field that they are not answered together: the others' are
/// then run one by one, until there have been too many of them.
fn crowd() -> String {
    let words = |last: &str| (0..150).map(|n| format!("'{n}{last}'")).collect::<Vec<_>>().join(", ");
    let few = "'ab', 'ba', '/', 'ä', 's', 'a b', 'bb', 'aa', 'b/', '/a', 'ka', 'kk', 'xs', 'ss', 'sk', '–'";
    let items = ["F", "G", "H"]
        .map(|name| {
            format!("    {name}|contains: [{}]\n    {name}|endswith: [{few}, {}]\n", words("x"), words("y"))
        })
        .concat();
    format!(
        "title: t\nlogsource: {{product: windows}}\ndetection:\n  a:\n{items}  b:\n    F|re: '.'\n  condition: b and not a\n"
    )
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => word().prop_map(Value::from),
        2 => proptest::string::string_regex("[abkKſs\u{212a}/\\\\é]{0,9}").expect("a valid expression").prop_map(Value::from),
        1 => prop::sample::select(vec!["10.1.2.3", "::ffff:10.0.0.1", "5", "7.5", "YWJi", "x"]).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => (0..10).prop_map(Value::from),
        1 => prop::collection::vec(word(), 0..3).prop_map(Value::from),
        1 => word().prop_map(|inner| serde_json::json!({ "x": inner })),
    ]
}

fn event() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(vec!["F", "g", "H", "K"]), value(), 0..4).prop_map(
        |fields| Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What is accepted of keywords under `exists` and null, too, means the same to both.
    #[test]
    fn fast_equals_slow(rules in prop::collection::vec(rule(), 1..8), events in prop::collection::vec(event(), 1..8), is_crowded in any::<bool>()) {
        // Words may spell what the specification refuses (a lone `*` under base64): left out.
        let accepted: Vec<String> = rules
            .into_iter()
            .chain(is_crowded.then(crowd))
            .filter(|rule| besa_sigma::parse_rule("t", rule.as_bytes(), &besa_sigma::Placeholders::default()).is_ok())
            .collect();
        prop_assume!(!accepted.is_empty());
        let class = LogSource::new("windows", &[], &[]);
        let hunted = hunt(&accepted.join("---\n"), class.clone(), &events);
        let found: Vec<(u64, u32)> = hunted.findings.iter().map(|finding| match finding.rule {
            besa_detect::RuleRef::Sigma(rule) => (finding.source.record, rule),
            other => panic!("{other:?}"),
        }).collect();

        let mut expected = Vec::new();
        let mut twin = Reference::default();
        let (dictionary, sources) = (hunted.detector.dictionary(), hunted.detector.sources());
        let class = sources.intern(class);
        for (record, fields) in (1..).zip(&events) {
            let mut batch = Batch::default();
            batch.reset(Origin::new("events.json"), 0, Vec::new());
            push(&mut batch, dictionary, sources, &TestEvent { fields, class, record });
            let owned = Record::of(batch.event(0), dictionary);
            for (number, rule) in (0..).zip(&hunted.detector.rules().rules) {
                if twin.matches(rule, &owned) {
                    expected.push((record, number));
                }
            }
        }
        prop_assert_eq!(found, expected, "{}", accepted.join("---\n"));
    }
}

/// SigmaHQ's regression events, each against every rule of its log source.
#[test]
fn fast_equals_slow_on_sigma_regression() {
    let (Some(vectors), Some(rules)) =
        (shared("vectors/sigma_regression_vectors.jsonl"), shared("corpora/sigma/rules"))
    else {
        return;
    };
    let mut loader = besa_sigma::Loader::new(besa_sigma::Placeholders::default());
    for path in yaml_files(&rules.join("windows")) {
        loader.add(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
    let (detector, errors) = besa_detect::Detector::new(
        loader.finish(),
        besa_detect::intel::Intel::default(),
        besa_detect::Scope::default(),
    );
    assert_eq!(errors, besa_detect::NotCompiled::default());
    let (dictionary, sources) = (detector.dictionary(), detector.sources());
    let mut batch = Batch::default();
    batch.reset(Origin::new("regression"), 0, Vec::new());
    let mut record = 0;
    for line in std::fs::read_to_string(vectors).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        for fields in row["events_flat"].as_array().unwrap() {
            let text = |name: &str| match &fields[name] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let class = sources.windows(&text("Channel"), "", &text("EventID"));
            record += 1;
            push(&mut batch, dictionary, sources, &TestEvent { fields, class, record });
        }
    }
    let mut outcome = besa_detect::Outcome::default();
    detector.worker().run(&batch, &mut outcome);
    let found: Vec<(u64, besa_detect::RuleRef)> =
        outcome.findings.iter().map(|finding| (finding.source.record, finding.rule)).collect();

    let mut twin = Reference::default();
    let mut expected = Vec::new();
    for event in batch.events() {
        let owned = Record::of(event, dictionary);
        for rule in detector.applicable(event.logsource()) {
            if twin.matches(&detector.rules().rules[rule as usize], &owned) {
                expected.push((event.head().record, besa_detect::RuleRef::Sigma(rule)));
            }
        }
    }
    assert_eq!(found, expected);
    assert!(found.len() > 150, "{} matches in {record} events", found.len());
}
