//! Sigma: events held against 100, 1,000, all of SigmaHQ's rules for Windows, and 10,000; start-up.
//! `cargo bench -p besa-detect --bench matcher`.
//!
//! Events are OTRF's Security Datasets, decoded beforehand, so only matching is measured; rules and
//! events are looked for in `../shared` beside the checkout (or `BESA_SHARED`), and without them
//! nothing is measured. Rules beyond SigmaHQ's own are copies in which every literal of four bytes
//! or more has one letter changed: other literals that share most of their bytes with real values,
//! which is harder than foreign ones. `with others` adds instead SigmaHQ's rules for everything but
//! Windows, and its deprecated ones, each with the log source of a rule for Windows: foreign rules,
//! of which there are no more. `unrouted` lets each rule look at every event.

#![allow(clippy::print_stderr, reason = "what is measured, and that it cannot be, goes there")]

mod support;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use besa_detect::sigma::{SigmaMatcher, SigmaScratch};
use besa_event::{Batch, Dictionary, Keep, LogSources};
use besa_evidence::{Context, Decoder, Item, Limits, decode, walk};
use besa_sigma::{Logsource, Rule, RuleSet, Selection, Test, TextPart};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use support::{ProcessorTime, criterion};

/// Decoded text held for all runs.
const BYTES_MAX: usize = 160 << 20;

fn shared(what: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let root = std::env::var_os("BESA_SHARED").map_or_else(beside, PathBuf::from);
    let path = root.join(what);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: nothing at {}", path.display());
    None
}

fn yaml_files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            found.push((path.display().to_string(), std::fs::read(&path).expect("a readable file")));
        }
    }
}

/// SigmaHQ's rules for Windows, and its other ones.
const WINDOWS: &[&str] = &["rules/windows", "rules-emerging-threats", "rules-threat-hunting"];
const OTHERS: &[&str] = &[
    "rules/application",
    "rules/category",
    "rules/cloud",
    "rules/identity",
    "rules/linux",
    "rules/macos",
    "rules/network",
    "rules/web",
    "rules-compliance",
    "deprecated",
];

/// Texts of rules in these folders, in the order of their paths.
fn rule_files(folders: &[&str]) -> Option<Vec<(String, Vec<u8>)>> {
    let root = shared("corpora/sigma")?;
    let mut files = Vec::new();
    folders.iter().for_each(|folder| yaml_files(&root.join(folder), &mut files));
    files.sort();
    Some(files)
}

fn load(files: &[(String, Vec<u8>)]) -> RuleSet {
    let mut loader = besa_sigma::Loader::new(besa_sigma::Placeholders::default());
    files.iter().for_each(|(path, text)| loader.add(path, text));
    loader.finish()
}

/// Every `n`th rule, so that few rules are of all kinds.
fn some(rules: &[Rule], count: usize) -> Vec<Rule> {
    (0..count).map(|at| rules[at * rules.len() / count].clone()).collect()
}

/// The rules, and copies with other literals until there are so many.
fn many(rules: &[Rule], count: usize) -> Vec<Rule> {
    let mut out = rules.to_vec();
    let mut seed = 1;
    while out.len() < count {
        for rule in rules.iter().take(count - out.len()) {
            let mut copy = rule.clone();
            copy.searches.iter_mut().for_each(|search| mutate_selection(&mut search.selection, &mut seed));
            out.push(copy);
        }
    }
    out
}

/// The rules, and others with the log sources of these.
fn with_others(rules: &[Rule], others: Vec<Rule>) -> Vec<Rule> {
    let logsources = rules.iter().map(|rule| rule.logsource.clone()).cycle();
    let moved = others.into_iter().zip(logsources).map(|(rule, logsource)| Rule { logsource, ..rule });
    rules.iter().cloned().chain(moved).collect()
}

fn mutate_selection(selection: &mut Selection, seed: &mut u64) {
    match selection {
        Selection::All(members) | Selection::Any(members) => {
            members.iter_mut().for_each(|member| mutate_selection(member, seed));
        }
        Selection::Item(item) => mutate_test(&mut item.test, seed),
    }
}

fn mutate_test(test: &mut Test, seed: &mut u64) {
    match test {
        Test::Any(members) | Test::All(members) => {
            members.iter_mut().for_each(|member| mutate_test(member, seed));
        }
        Test::Text { pattern, .. } => {
            for part in &mut pattern.parts {
                if let TextPart::Literal(text) = part {
                    *text = mutated(text, seed);
                }
            }
        }
        _ => {}
    }
}

/// One letter changed, if there is one and the text is long enough to be anything's name.
fn mutated(text: &str, seed: &mut u64) -> String {
    *seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    let letters: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphabetic()).map(|(at, _)| at).collect();
    let mut bytes = text.as_bytes().to_vec();
    if text.len() >= 4 && !letters.is_empty() {
        let random = (*seed >> 33) as usize;
        let at = letters[random % letters.len()];
        bytes[at] = b'a' + ((bytes[at] | 0x20) - b'a' + 1 + (random / 64 % 25) as u8) % 26;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

struct Matching {
    matcher: SigmaMatcher,
    dictionary: Dictionary,
    sources: LogSources,
    batches: Vec<Batch>,
}

impl Matching {
    fn new(rules: &[Rule], evidence: &Path) -> Self {
        let mut names = Dictionary::builder();
        let (matcher, errors) = SigmaMatcher::compile(rules, &mut names);
        assert!(errors.is_empty(), "{errors:?}");
        let keep = if matcher.has_keywords() { Keep::Everything } else { Keep::Named };
        let mut matching =
            Self { matcher, dictionary: names.build(), sources: LogSources::new(), batches: Vec::new() };
        matching.decode(evidence, keep);
        matching
    }

    fn decode(&mut self, evidence: &Path, keep: Keep) {
        let limits = Limits::default();
        let (dictionary, sources) = (&self.dictionary, &self.sources);
        let context = Context { dictionary, sources, keep, reference: None, carve: false, limits };
        let (mut decoder, mut bytes, batches) = (Decoder::new(), 0, &mut self.batches);
        let _ = walk(&[evidence.to_path_buf()], &limits, &mut Vec::new, &mut |item| {
            if let Item::Block(block) = item
                && block.format.name() == "json"
            {
                bytes += block.bytes.len();
                let mut batch = Batch::default();
                decode(&context, &mut decoder, block, &mut batch);
                batches.push(batch);
            }
            if bytes < BYTES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }

    fn events(&self) -> u64 {
        self.batches.iter().map(|batch| batch.len() as u64).sum()
    }

    /// How many pairs of event and rule match.
    fn run(&self, scratch: &mut SigmaScratch) -> usize {
        let events = self.batches.iter().flat_map(Batch::events);
        events.map(|event| self.matcher.matches(event, &self.dictionary, &self.sources, scratch).len()).sum()
    }
}

fn matching(criterion: &mut Criterion<ProcessorTime>) {
    let files = (rule_files(WINDOWS), rule_files(OTHERS), shared("corpora/otrf-security-datasets"));
    let (Some(files), Some(others), Some(evidence)) = files else { return };
    let rules = load(&files).rules;
    let all = with_others(&rules, load(&others).rules);
    let unrouted = |rules: &[Rule]| -> Vec<Rule> {
        let each = rules.iter().cloned();
        each.map(|rule| Rule { logsource: Logsource::default(), ..rule }).collect()
    };
    let sets = [
        ("100".to_owned(), some(&rules, 100)),
        ("1000".to_owned(), some(&rules, 1_000)),
        (format!("all {}", rules.len()), rules.clone()),
        (format!("{} with others", all.len()), all),
        ("10000".to_owned(), many(&rules, 10_000)),
        ("100 unrouted".to_owned(), unrouted(&some(&rules, 100))),
        (format!("all {} unrouted", rules.len()), unrouted(&rules)),
    ];
    let mut group = criterion.benchmark_group("match");
    group.sample_size(10);
    for (name, rules) in sets {
        let matching = Matching::new(&rules, &evidence);
        let mut scratch = SigmaScratch::default();
        let found = matching.run(&mut scratch);
        eprintln!("{name}: {} events, {found} matches", matching.events());
        group.throughput(Throughput::Elements(matching.events()));
        group.bench_with_input(BenchmarkId::from_parameter(name), &matching, |b, matching| {
            b.iter(|| black_box(matching.run(&mut scratch)));
        });
    }
    group.finish();
}

fn start(criterion: &mut Criterion<ProcessorTime>) {
    let Some(files) = rule_files(WINDOWS) else { return };
    let set = load(&files);
    let mut group = criterion.benchmark_group("start");
    group.sample_size(10).throughput(Throughput::Elements(set.rules.len() as u64));
    group.bench_function("load", |b| b.iter(|| black_box(load(&files)).rules.len()));
    group.bench_function("compile", |b| {
        b.iter(|| {
            let mut names = Dictionary::builder();
            black_box(SigmaMatcher::compile(&set.rules, &mut names)).0.len()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = matching, start
}
criterion_main!(benches);
