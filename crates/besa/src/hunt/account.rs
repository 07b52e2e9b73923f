//! The account of a run: what was read, what could not be, what was looked for, what was found.
//!
//! It is given after every hunt, above all after one without findings: "nothing found" means
//! little without what was looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use besa_detect::{Detector, RuleRef};
use besa_event::LogSourceId;
use serde::Serialize;
use serde_json::json;

use super::clock::Spent;
use super::defects::{self, DefectLog};
use super::knowledge::Refused;
use super::summary::{LEVELS, Summary};

/// Plain counts that come up while a hunt runs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Per format: files and events.
    pub(crate) formats: BTreeMap<&'static str, (u64, u64)>,
    pub(crate) events: u64,
    pub(crate) events_outside: u64,
    /// Events looked at. Shape: index = log source number.
    pub(crate) events_of_source: Vec<u64>,
    pub(crate) hits_unplaced: u64,
    pub(crate) hits_dropped: u64,
    /// Per STIX pattern: events on which it gave up.
    pub(crate) unevaluated: BTreeMap<u32, u64>,
    pub(crate) spent: Spent,
}

/// The account, as it is shown and as it is written with `--account`.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    /// `false` if Ctrl-C ended the hunt: then all of this is partial.
    pub(crate) complete: bool,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) events: u64,
    pub(crate) events_outside_time: u64,
    pub(crate) formats: Vec<FormatAccount>,
    pub(crate) log_sources: Vec<SourceAccount>,
    pub(crate) defects: DefectAccount,
    pub(crate) rules: RulesAccount,
    /// Absent if no intelligence was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intel: Option<IntelAccount>,
    pub(crate) findings: FindingsAccount,
    /// What of an archive was searched; absent if evidence was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coverage: Option<Coverage>,
    /// Matches that a correlation could not place, since the event has no time or lacks a field
    /// of `group-by`.
    pub(crate) hits_unplaced: u64,
    /// Groups of correlations dropped to bound memory: if not 0, findings may be missing.
    pub(crate) hits_dropped: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct FormatAccount {
    pub(crate) format: &'static str,
    pub(crate) files: u64,
    pub(crate) events: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct SourceAccount {
    pub(crate) log_source: String,
    pub(crate) events: u64,
    /// Rules that are about it.
    pub(crate) rules: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct DefectAccount {
    pub(crate) count: u64,
    pub(crate) by_reason: BTreeMap<String, u64>,
    /// The first ones.
    pub(crate) first: Vec<serde_json::Value>,
    /// The first ones for people: the file, and what is wrong at which place in it.
    #[serde(skip)]
    pub(crate) first_texts: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RulesAccount {
    /// Detection rules that were loaded and compiled.
    pub(crate) loaded: u64,
    pub(crate) correlations: u64,
    pub(crate) filters: u64,
    pub(crate) refused: Vec<Refused>,
    /// Loaded rules without an event of their log source, and which log sources those are.
    pub(crate) not_applicable: u64,
    pub(crate) not_applicable_by_log_source: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FindingsAccount {
    pub(crate) total: u64,
    /// Levels from the highest.
    pub(crate) by_level: serde_json::Map<String, serde_json::Value>,
    pub(crate) rules: u64,
}

/// The indicators and patterns of a hunt.
#[derive(Debug, Serialize)]
pub(crate) struct IntelAccount {
    /// Plain indicator values.
    pub(crate) values: u64,
    /// STIX patterns that are more than a list of values.
    pub(crate) patterns: u64,
    /// Patterns that gave up on some events, each with the number of events: they may have
    /// matched.
    pub(crate) unevaluated: BTreeMap<String, u64>,
}

/// What an account is made of.
pub(crate) struct Parts<'a> {
    pub(crate) detector: &'a Detector,
    pub(crate) refused: &'a [Refused],
    pub(crate) tally: &'a Tally,
    pub(crate) defects: &'a DefectLog,
    pub(crate) summary: &'a Summary,
    pub(crate) complete: bool,
    pub(crate) elapsed: Duration,
    pub(crate) coverage: Option<Coverage>,
}

/// What of an archive was searched.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Coverage {
    pub(crate) archive: String,
    /// Version of the archive.
    pub(crate) version: u64,
    /// The window asked for; absent is without end.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    /// Times of the earliest and latest event that the archive holds within it, to the row group.
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
    /// Events of files that the window touches.
    pub(crate) events_held: u64,
    pub(crate) files_searched: u64,
    /// Files outside the window, or of a log source that no rule is about.
    pub(crate) files_passed_over: u64,
    /// Row groups read.
    pub(crate) row_groups_searched: u64,
    /// What the index ruled out; absent if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<IndexCoverage>,
    /// What the budget of the hunt did not hold, so that it was not searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) over_budget: Option<OverBudget>,
    /// Files that could not be searched whole.
    pub(crate) files_missing: Vec<String>,
    /// Log sources within the window that no rule is about, with their events.
    pub(crate) log_sources_passed_over: BTreeMap<String, u64>,
}

/// What was not searched for its cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct OverBudget {
    pub(crate) row_groups: u64,
    /// Their events.
    pub(crate) events: u64,
}

/// What the index of observables spared.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct IndexCoverage {
    /// Index runs asked.
    pub(crate) runs: u64,
    /// Events that hold nothing of what was asked for, and files of nothing but such events: they
    /// are searched without having been read.
    pub(crate) events_ruled_out: u64,
    pub(crate) files_ruled_out: u64,
    /// The same events by log source.
    pub(crate) log_sources_ruled_out: BTreeMap<String, u64>,
    /// Files without a usable index, read whole.
    pub(crate) files_without: u64,
    /// Runs that could not be used, with the reason.
    pub(crate) unusable: Vec<String>,
}

impl Account {
    pub(crate) fn new(parts: &Parts<'_>) -> Self {
        let Parts { detector, refused, tally, summary, .. } = *parts;
        let formats = tally.formats.iter();
        Self {
            complete: parts.complete,
            files: tally.files,
            bytes: tally.bytes,
            seconds: (parts.elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0,
            events: tally.events,
            events_outside_time: tally.events_outside,
            formats: formats
                .map(|(format, (files, events))| FormatAccount { format, files: *files, events: *events })
                .collect(),
            log_sources: log_sources(detector, tally),
            defects: DefectAccount {
                count: parts.defects.count,
                by_reason: parts.defects.by_reason.clone(),
                first: parts.defects.shown.iter().map(defects::as_json).collect(),
                first_texts: parts.defects.shown.iter().map(defects::as_text).collect(),
            },
            rules: rules_account(detector, refused, tally),
            intel: intel_account(detector, tally),
            findings: FindingsAccount {
                total: summary.findings,
                by_level: LEVELS
                    .iter()
                    .map(|level| (level.as_str().to_owned(), json!(summary.of_level(*level))))
                    .collect(),
                rules: summary.rules.len() as u64,
            },
            coverage: parts.coverage.clone(),
            hits_unplaced: tally.hits_unplaced,
            hits_dropped: tally.hits_dropped,
        }
    }
}

/// Classes with events, those with the most first. Two classes of one name are told apart by
/// their further categories.
fn log_sources(detector: &Detector, tally: &Tally) -> Vec<SourceAccount> {
    let mut sources: Vec<SourceAccount> = met(tally)
        .map(|(class, events)| SourceAccount {
            log_source: class_name(detector, class),
            events,
            rules: detector.applicable(class).len() as u64,
        })
        .collect();
    sources.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.log_source.cmp(&b.log_source)));
    sources
}

/// Classes of which there were events.
fn met(tally: &Tally) -> impl Iterator<Item = (LogSourceId, u64)> {
    let counts = tally.events_of_source.iter().copied().enumerate();
    counts
        .filter(|(_, events)| *events > 0)
        .map(|(number, events)| (LogSourceId(u16::try_from(number).unwrap_or(0)), events))
}

pub(super) fn class_name(detector: &Detector, class: LogSourceId) -> String {
    let source = detector.sources().get(class);
    let mut parts: Vec<String> = source.product.iter().cloned().collect();
    parts.extend((!source.services.is_empty()).then(|| source.services.join("+")));
    parts.extend((!source.categories.is_empty()).then(|| source.categories.join("+")));
    if parts.is_empty() { "unknown".to_owned() } else { parts.join("/") }
}

fn intel_account(detector: &Detector, tally: &Tally) -> Option<IntelAccount> {
    let intel = detector.intel();
    let unevaluated = tally
        .unevaluated
        .iter()
        .map(|(pattern, events)| (detector.info(RuleRef::Pattern(*pattern)).id, *events));
    (!intel.is_empty()).then(|| IntelAccount {
        values: intel.values() as u64,
        patterns: intel.patterns() as u64,
        unevaluated: unevaluated.collect(),
    })
}

fn rules_account(detector: &Detector, refused: &[Refused], tally: &Tally) -> RulesAccount {
    let set = detector.rules();
    let applicable: BTreeSet<u32> = met(tally).flat_map(|(class, _)| detector.applicable(class)).collect();
    let mut by_log_source: BTreeMap<String, u64> = BTreeMap::new();
    let mut idle = 0;
    for (number, rule) in set.rules.iter().enumerate() {
        if !u32::try_from(number).is_ok_and(|number| applicable.contains(&number)) {
            idle += 1;
            *by_log_source.entry(rule.logsource.to_string()).or_default() += 1;
        }
    }
    let broken = refused.iter().filter(|refused| refused.kind == "compile").count();
    RulesAccount {
        loaded: (set.rules.len() - broken) as u64,
        correlations: set.correlations.len() as u64,
        filters: set.filters.len() as u64,
        refused: refused.to_vec(),
        not_applicable: idle,
        not_applicable_by_log_source: by_log_source,
    }
}
