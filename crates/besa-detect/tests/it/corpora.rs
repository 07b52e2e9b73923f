//! The fast matcher against its slow twin on real evidence, every SigmaHQ rule of the event's log
//! source.
//!
//! By default a sample: of each class of events the first [`EVENTS_PER_CLASS`], spread over all
//! files. With `BESA_FULL=1` every event, which takes the better part of an hour; with `BESA_FULL=N`
//! every Nth.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use besa_detect::sigma::reference::{Record, Reference};
use besa_detect::sigma::{SigmaMatcher, SigmaScratch};
use besa_event::{Batch, Dictionary, Keep, LogSourceId, LogSources};
use besa_evidence::{Context, Decoder, Item, Limits, decode, walk};

use crate::support::{shared, yaml_files};

const EVENTS_PER_CLASS: usize = 60;
/// Of one file and class, so that no single file makes up the sample.
const EVENTS_PER_FILE: usize = 8;

#[test]
fn fast_equals_slow_on_the_corpora() {
    let (Some(rules), Some(samples), Some(regression), Some(datasets)) = (
        shared("corpora/sigma"),
        shared("corpora/evtx-attack-samples"),
        shared("corpora/sigma-regression"),
        shared("corpora/otrf-security-datasets"),
    ) else {
        return;
    };
    let mut loader = besa_sigma::Loader::new(besa_sigma::Placeholders::default());
    for folder in ["rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance"] {
        for path in yaml_files(&rules.join(folder)) {
            loader.add(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
    let set = loader.finish();
    let mut names = Dictionary::builder();
    let (matcher, errors) = SigmaMatcher::compile(&set.rules, &mut names);
    assert!(errors.is_empty(), "{errors:?}");
    let comparison = Comparison {
        rules: &set.rules,
        matcher,
        dictionary: names.build(),
        sources: LogSources::new(),
        every: std::env::var("BESA_FULL").ok().and_then(|every| every.parse().ok()),
    };
    let (events, matches) = comparison.run(&[&samples, &regression, &datasets]);
    eprintln!("compared {events} events, {matches} matches");
    assert!(events > 1_000 && matches > 100, "{events} events, {matches} matches");
}

struct Comparison<'r> {
    rules: &'r [besa_sigma::Rule],
    matcher: SigmaMatcher,
    dictionary: Dictionary,
    sources: LogSources,
    /// Every so many events; `None` is a sample of each class.
    every: Option<usize>,
}

impl Comparison<'_> {
    fn run(&self, folders: &[&Path]) -> (usize, usize) {
        let context = Context {
            dictionary: &self.dictionary,
            sources: &self.sources,
            keep: Keep::Everything,
            reference: Some((2022, 12)),
            carve: true,
            limits: Limits::default(),
        };
        let paths: Vec<_> = folders.iter().map(|folder| folder.to_path_buf()).collect();
        let (mut decoder, mut batch) = (Decoder::new(), Batch::default());
        let mut taken = Taken::default();
        let (mut twin, mut scratch) = (Reference::default(), SigmaScratch::default());
        let (mut met, mut events, mut matches) = (0, 0, 0);
        let _ = walk(&paths, &context.limits, &mut Vec::new, &mut |item| {
            if let Item::Block(block) = item {
                decode(&context, &mut decoder, block, &mut batch);
                for event in batch.events() {
                    met += 1;
                    let is_taken = match self.every {
                        Some(every) => met % every.max(1) == 0,
                        None => taken.takes(event.logsource(), &batch.origin.path),
                    };
                    if !is_taken {
                        continue;
                    }
                    events += 1;
                    let fast = self.matcher.matches(event, &self.dictionary, &self.sources, &mut scratch);
                    let record = Record::of(event, &self.dictionary);
                    let slow: Vec<u32> = self
                        .matcher
                        .applicable(&self.dictionary, &self.sources, event.logsource())
                        .into_iter()
                        .filter(|rule| twin.matches(&self.rules[*rule as usize], &record))
                        .collect();
                    assert_eq!(fast, slow, "{} record {}", batch.origin, event.head().record);
                    matches += slow.len();
                }
            }
            ControlFlow::Continue(())
        });
        (events, matches)
    }
}

/// How much of each class has been looked at.
#[derive(Default)]
struct Taken {
    classes: HashMap<LogSourceId, usize>,
    files: HashMap<(LogSourceId, String), usize>,
}

impl Taken {
    fn takes(&mut self, class: LogSourceId, file: &str) -> bool {
        let of_class = self.classes.entry(class).or_default();
        let of_file = self.files.entry((class, file.to_owned())).or_default();
        if *of_class >= EVENTS_PER_CLASS || *of_file >= EVENTS_PER_FILE {
            return false;
        }
        *of_class += 1;
        *of_file += 1;
        true
    }
}
