//! The fast matcher against its slow twin: a rule and an event's values, split at NUL.
#![no_main]

use besa_detect::sigma::reference::{Record, Reference};
use besa_detect::sigma::{SigmaMatcher, SigmaScratch};
use besa_event::{Batch, Dictionary, Head, LogSource, LogSources, Origin, ValueKind};

const NAMES: [&str; 4] = ["F", "G", "H", "Other"];
const MODIFIERS: [&str; 16] = [
    "", "|contains", "|startswith", "|endswith", "|cased", "|contains|cased", "|contains|windash", "|re", "|re|i",
    "|base64offset|contains", "|neq", "|cidr", "|gte", "|lt", "|fieldref", "|contains|all",
];
const CONDITIONS: [&str; 6] = ["a", "not a", "a and not b", "a or b", "1 of them", "not (a or b)"];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first_chunk::<4>() else { return };
    let mut pieces = rest.split(|byte| *byte == 0);
    let mut word = || String::from_utf8_lossy(pieces.next().unwrap_or_default()).replace('\'', "''");
    let modifier = |byte: u8| MODIFIERS[usize::from(byte) % MODIFIERS.len()];
    let rule = format!(
        "title: t\nlogsource: {{product: windows}}\ndetection:\n  a:\n    F{}: ['{}', '{}']\n  b:\n    G{}: '{}'\n  k:\n    - '{}'\n  condition: {}\n",
        modifier(choice[0]), word(), word(), modifier(choice[1]), word(), word(),
        CONDITIONS[usize::from(choice[2]) % CONDITIONS.len()],
    );
    let Ok(rule) = besa_sigma::parse_rule("fuzz.yml", rule.as_bytes(), &besa_sigma::Placeholders::default()) else {
        return;
    };

    let mut names = Dictionary::builder();
    let (matcher, _) = SigmaMatcher::compile([&rule], &mut names);
    let (dictionary, sources) = (names.build(), LogSources::new());
    let mut batch = Batch::default();
    batch.reset(Origin::new("fuzz"), 0, Vec::new());
    for (number, value) in pieces.take(8).enumerate() {
        let name = NAMES[(number + usize::from(choice[3])) % NAMES.len()];
        let span = batch.append(value);
        let id = dictionary.lookup(name.as_bytes()).unwrap_or_else(|| {
            let name = batch.append(name.as_bytes());
            batch.local_name(name)
        });
        let kind = if value.contains(&b'\\') && choice[3] & 1 == 1 { ValueKind::JsonText } else { ValueKind::Text };
        batch.push_field(id, kind, span);
    }
    let logsource = sources.intern(LogSource::new("windows", &[], &[]));
    batch.end_event(&dictionary, &sources, Head { logsource, ..Head::default() });

    let event = batch.event(0);
    let mut scratch = SigmaScratch::default();
    let fast = !matcher.matches(event, &dictionary, &sources, &mut scratch).is_empty();
    let slow = Reference::default().matches(&rule, &Record::of(event, &dictionary));
    assert_eq!(fast, slow, "{rule:?}");
});
