//! Foreign corpora, read from end to end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use besa_event::{Batch, Dictionary, Keep, LogSourceId, LogSources};
use besa_evidence::{Context, Decoder, Item, Limits, decode, walk};

use crate::support::corpora;

/// Reads a corpus; returns events by log source and the defects.
fn read(folder: &str) -> Option<(BTreeMap<String, u64>, Vec<String>)> {
    let path = corpora(folder)?;
    let mut names = Dictionary::builder();
    for name in ["Image", "CommandLine", "Channel", "EventID"] {
        names.intern(name);
    }
    let (dictionary, sources) = (names.build(), LogSources::new());
    let limits = Limits::default();
    let context = Context {
        dictionary: &dictionary,
        sources: &sources,
        keep: Keep::Named,
        reference: None,
        carve: true,
        limits,
    };
    let mut decoder = Decoder::new();
    let mut batch = Batch::default();
    let mut counts: BTreeMap<LogSourceId, u64> = BTreeMap::new();
    let mut defects = Vec::new();
    let (mut bytes, mut spent) = (0_u64, std::time::Duration::ZERO);
    let _ = walk(&[path], &limits, &mut Vec::new, &mut |item| {
        match item {
            Item::Block(block) => {
                bytes += block.bytes.len() as u64;
                let start = std::time::Instant::now();
                decode(&context, &mut decoder, block, &mut batch);
                spent += start.elapsed();
                defects.extend(batch.defects.iter().map(ToString::to_string));
                for event in batch.events() {
                    assert!(
                        event.time().is_some() || event.raw().len() < 2_000,
                        "no time: {}",
                        event.raw().escape_ascii()
                    );
                    *counts.entry(event.logsource()).or_default() += 1;
                }
            }
            Item::Defect(defect) => defects.push(defect.to_string()),
            Item::Done(_) | Item::Progress { .. } => {}
        }
        ControlFlow::Continue(())
    });
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for (id, count) in counts {
        *by_name.entry(sources.get(id).to_string()).or_default() += count;
    }
    #[allow(clippy::print_stderr, reason = "the account of the corpus is what one runs this for")]
    {
        let events: u64 = by_name.values().sum();
        eprintln!("{folder}: {events} events, {bytes} bytes decoded in {spent:?}");
        by_name.iter().for_each(|(name, count)| eprintln!("{count:>9} {name}"));
        defects.iter().for_each(|defect| eprintln!("{defect}"));
    }
    Some((by_name, defects))
}

#[test]
fn otrf_security_datasets() {
    let Some((counts, defects)) = read("otrf-security-datasets") else { return };
    for defect in &defects {
        // Three archives lack gzip's trailer (`gzip -t` says so too); all of their content is there.
        let is_explained = [
            "packet capture: not read",
            "AppleDouble file",
            "encrypted: not read",
            "empire_enable_rdp.tar at offset 8509440: the stream ends too early",
            "empire_scm_dll_hijack_ikeext.tar at offset 38604800: the stream ends too early",
            "empire_wdigest_downgrade.tar at offset 12800000: the stream ends too early",
        ];
        assert!(is_explained.iter().any(|reason| defect.contains(reason)), "{defect}");
    }
    let at_least = |name: &str, least: u64| {
        let count: u64 = counts.iter().filter(|(found, _)| found.starts_with(name)).map(|(_, n)| n).sum();
        assert!(count >= least, "{name}: {count}");
    };
    at_least("windows/sysmon", 100_000);
    at_least("windows/security", 40_000);
    at_least("windows/powershell", 1_000);
    at_least("zeek/conn", 100);
    at_least("zeek/dns", 100);
    at_least("azure/auditlogs", 4);
    at_least("m365/audit", 1);
    at_least("linux/auditd", 1);
    // The lines of the licence, and a record that states neither channel nor provider.
    assert_eq!(counts.get("unknown"), Some(&18));
}
