//! Any bytes as intelligence (STIX, MISP, CSV, list), then matched against its own text.
#![no_main]

use besa_detect::intel::{Intel, IntelMatcher, IntelScratch};
use besa_event::{Batch, Dictionary, Head, LogSources, Origin, ValueKind};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut intel = Intel::default();
    let _ = intel.load("fuzz", data);
    let mut names = Dictionary::builder();
    let command = names.intern("CommandLine");
    let (matcher, _) = IntelMatcher::compile(intel, &mut names);
    let (dictionary, sources) = (names.build(), LogSources::new());
    let mut batch = Batch::default();
    batch.reset(Origin::new("fuzz"), 0, Vec::new());
    let span = batch.append(data);
    batch.push_field(command, ValueKind::Text, span);
    batch.end_event(&dictionary, &sources, Head::default());
    let mut met = Vec::new();
    matcher.matches(batch.event(0), &dictionary, &sources, &mut IntelScratch::default(), &mut met);
});
