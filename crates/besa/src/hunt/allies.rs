//! What allies release: searched in this node's archive for them, and used in its own hunts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use besa_archive::turns::{Budget, Turns};
use besa_archive::{Archive, Error, Window};
use besa_detect::Scope;
use besa_intel::{CollectionKey, PageQuery, Store};
use besa_node::hunt::{Hunter, Search, Searched, Sight};
use besa_node::places;
use besa_stix::time::Instant;

use super::account::Account;
use super::defects::DefectLog;
use super::interrupt::Interrupt;
use super::knowledge::Knowledge;
use super::progress::Progress;
use super::retro::{self, Past};
use super::summary::{RuleSummary, Summary};
use crate::cli::DataArgs;

/// Most sources that one answer names; two places are for what it could not search.
const SOURCES_MAX: usize = besa_alliance::answer::SOURCES_MAX - 2;

/// The archive of a node.
#[derive(Debug)]
pub(crate) struct ArchiveHunter {
    /// Folder or URL.
    pub(crate) archive: String,
    /// Ends a search when the node ends.
    pub(crate) interrupt: Arc<Interrupt>,
    /// Searches read one row group at a time, all together.
    turns: Arc<Turns>,
}

impl ArchiveHunter {
    /// The archive below a data folder, wherever it is said to be.
    pub(crate) fn new(archive: Option<&str>, data: &Path) -> Self {
        let usual = || data.join("archive").display().to_string();
        Self {
            archive: archive.map_or_else(usual, str::to_owned),
            interrupt: Interrupt::new(),
            turns: Turns::new(1),
        }
    }
}

impl Hunter for ArchiveHunter {
    fn search(&self, search: &Search<'_>) -> Result<Option<Searched>, String> {
        match Archive::open(&self.archive) {
            Ok(_) => {}
            Err(Error::NoArchive(_)) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        let list = format!("[{}]", search.indicators.join(","));
        let knowledge = Knowledge::of_intel("an ally's release", list.as_bytes(), Scope::default());
        let budget = Budget { bytes: search.bytes_max, ..Budget::default() };
        let past = Past {
            archive: &self.archive,
            window: Window::default(),
            index: true,
            // All hunts for allies together take one core; theirs take turns at each row group.
            workers: 1,
            turns: self.turns.hunt(search.asker.as_str(), budget),
            defects: DefectLog::default(),
        };
        let hunted = retro::hunt(&knowledge, past, &Progress::hidden(), &self.interrupt);
        let hunted = hunted.map_err(|error| format!("{error:#}"))?;
        if !hunted.account.complete {
            return Err("the search was interrupted".to_owned());
        }
        Ok(searched(&hunted.account, &hunted.summary))
    }
}

/// Indicators of allies that a node uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Armed {
    /// A list of STIX objects.
    pub(crate) list: Vec<u8>,
    /// How many.
    pub(crate) count: u64,
}

/// What a node uses of its allies, from now on.
pub(crate) struct InUse {
    store: Arc<dyn Store>,
    accepted: CollectionKey,
    /// The last commit that was looked at.
    commit: Option<u64>,
    armed: Armed,
}

impl InUse {
    /// Of the node with a data folder.
    pub(crate) fn open(data: &str) -> anyhow::Result<Self> {
        let store = DataArgs { data: data.to_owned() }.open_existing()?;
        let collections = store.directory()?.collections;
        let found = collections.iter().find(|one| one.alias.as_deref() == Some(places::ACCEPTED));
        let found = found.with_context(|| format!("`{data}` has not joined an alliance"))?;
        Ok(Self { accepted: found.key, store, commit: None, armed: Armed::default() })
    }

    /// All that is used now.
    pub(crate) fn now(&self) -> anyhow::Result<Armed> {
        let mut query = PageQuery { types: vec!["indicator".to_owned()], ..PageQuery::default() };
        let mut texts = Vec::new();
        loop {
            let page = self.store.page(self.accepted, &query)?;
            texts.extend(page.entries.into_iter().map(|entry| entry.raw));
            if !page.more {
                let list = format!("[{}]", texts.join(",")).into_bytes();
                return Ok(Armed { list, count: texts.len() as u64 });
            }
            query.after = page.next;
        }
    }

    /// All that is used now, if it is another set than at the last call.
    pub(crate) fn changed(&mut self) -> anyhow::Result<Option<Armed>> {
        let commit = self.store.last_commit()?;
        if self.commit == Some(commit) {
            return Ok(None);
        }
        let (first, armed) = (self.commit.is_none(), self.now()?);
        self.commit = Some(commit);
        if armed == self.armed && !first {
            return Ok(None);
        }
        self.armed = armed.clone();
        Ok(Some(armed))
    }
}

/// `None` if nothing that has a time was there to be searched.
fn searched(account: &Account, summary: &Summary) -> Option<Searched> {
    let coverage = account.coverage.as_ref()?;
    let time = |text: &Option<String>| Instant::parse(text.as_deref()?).ok();
    let (first, last) = (time(&coverage.first)?, time(&coverage.last)?);
    let window = whole_millis(first, 0)..whole_millis(last, 1);
    let searched = account.log_sources.iter().filter(|source| source.events > 0);
    // What the index rules out is searched as well.
    let ruled_out = coverage.index.iter().flat_map(|index| index.log_sources_ruled_out.keys());
    let names: BTreeSet<&String> = searched.map(|source| &source.log_source).chain(ruled_out).collect();
    let mut sources: Vec<String> = names.into_iter().map(|name| clip(name)).take(SOURCES_MAX).collect();
    if sources.is_empty() {
        // The index named no place to look; all of it was covered all the same.
        sources.push("all".to_owned());
    }
    if !coverage.files_missing.is_empty() {
        sources.push(format!("incomplete: {} files cannot be read", coverage.files_missing.len()));
    }
    if let Some(over) = &coverage.over_budget {
        sources.push(format!("incomplete: {} events are more than one question may search", over.events));
    }
    let mut seen = BTreeMap::new();
    for rule in summary.rules.values() {
        if let Some(id) = indicator_of(rule) {
            let sight = sight(rule, &window);
            let known = seen.entry(id).or_insert(Sight { count: 0, ..sight });
            known.count += sight.count;
            known.first = known.first.min(sight.first);
            known.last = known.last.max(sight.last);
        }
    }
    Some(Searched { window, sources, seen })
}

/// The indicator that a finding is about: named by its values and patterns; a Sigma rule in an
/// indicator has it in the place it was read from.
fn indicator_of(rule: &RuleSummary) -> Option<String> {
    let in_place = || {
        let place = rule.info.place.split("(indicator--").nth(1)?.split(')').next()?;
        Some(format!("indicator--{place}"))
    };
    rule.info.intel_ref.clone().or_else(in_place)
}

/// Findings without a time were seen at some time within the window.
fn sight(rule: &RuleSummary, window: &std::ops::Range<Instant>) -> Sight {
    let at = |time: Option<besa_detect::FindingTime>| {
        Instant::from_unix_nanos(i128::from(time?.at)).map(|at| whole_millis(at, 0))
    };
    let end = Instant::from_unix_nanos(window.end.unix_nanos() - 1_000_000).unwrap_or(window.start);
    let first = at(rule.first).unwrap_or(window.start).clamp(window.start, end);
    let last = at(rule.last).unwrap_or(end).clamp(first, end);
    Sight { count: rule.count, first, last }
}

/// Signed times have milliseconds.
fn whole_millis(at: Instant, more: i128) -> Instant {
    let millis = at.unix_nanos().div_euclid(1_000_000) + more;
    Instant::from_unix_nanos(millis * 1_000_000).unwrap_or(at)
}

fn clip(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use besa_alliance::member::MemberId;
    use besa_archive::{IngestOptions, Writer};
    use besa_event::{Batch, Dictionary, EventTime, Head, LogSources, Origin, Precision};
    use besa_event::{Timestamp, ValueKind, Zone};

    use super::*;

    /// An archive in which a name was asked for once.
    fn archive(place: &str) {
        let (dictionary, sources) = (Dictionary::builder().build(), LogSources::new());
        let mut batch = Batch::default();
        batch.reset(Origin::new("dns.log"), 0, Vec::new());
        let (name, value) = (batch.append(b"query"), batch.append(b"evil.example"));
        let name = batch.local_name(name);
        batch.push_field(name, ValueKind::Text, value);
        let at = Timestamp(1_650_000_000_000_000_000);
        let time = Some(EventTime { at, precision: Precision::HundredNanoseconds, zone: Zone::Assumed });
        batch.end_event(&dictionary, &sources, Head { time, ..Head::default() });
        let writer = Writer::open(place, Some(super::super::observables::observe())).unwrap();
        let mut ingest = writer.ingest(IngestOptions::default()).unwrap();
        ingest.append(&batch, &dictionary, &sources, Timestamp(1)).unwrap();
        ingest.flush(Timestamp(2)).unwrap();
    }

    #[test]
    fn what_a_question_may_not_read_is_no_part_of_nothing_found() {
        let folder = tempfile::tempdir().unwrap();
        let hunter = ArchiveHunter::new(None, folder.path());
        archive(&hunter.archive);
        let asker = MemberId::parse("identity--6bb07fea-0000-4000-8000-000000000001").unwrap();
        let id = "indicator--6bb07fea-0000-4000-8000-000000000002";
        let text = serde_json::json!({
            "type": "indicator", "spec_version": "2.1", "id": id,
            "created": "2022-07-15T00:00:00.000Z", "modified": "2022-07-15T00:00:00.000Z",
            "valid_from": "2020-01-01T00:00:00Z", "pattern_type": "stix",
            "pattern": "[domain-name:value = 'evil.example']",
        });
        let indicators = [text.to_string()];
        let search = |bytes_max| {
            let search = Search { asker: &asker, indicators: &indicators, bytes_max };
            hunter.search(&search).unwrap().unwrap()
        };
        let (all, none) = (search(u64::MAX), search(1));
        assert_eq!(all.seen.get(id).map(|sight| sight.count), Some(1), "{all:?}");
        assert!(!all.sources.iter().any(|source| source.starts_with("incomplete")), "{all:?}");
        assert_eq!(none.seen.len(), 0);
        let said = "incomplete: 1 events are more than one question may search";
        assert!(none.sources.iter().any(|source| source == said), "{none:?}");
    }
}
