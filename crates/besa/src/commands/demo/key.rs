//! What was put into the evidence, held against what was found.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use besa_detect::RuleRef;
use besa_event::EventTime;
use besa_sigma::Level;
use serde_json::Value;

use super::below;
use crate::hunt::Hunted;

/// How the hunt did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyResult {
    /// Events of the attack that have a rule.
    pub(super) expected: u64,
    /// Those of them that one of their rules found.
    pub(super) found: u64,
    /// Correlations over the attack.
    pub(super) correlations_expected: u64,
    pub(super) correlations_found: u64,
    /// Events that only look like the attack.
    pub(super) lookalikes: u64,
    /// Those of them that were reported at level medium or above.
    pub(super) lookalikes_reported: u64,
    /// Findings at level high or above on events that were not put in: false alarms.
    pub(super) false_alarms: u64,
}

/// Path below the scenario's folder.
type File = String;

/// A finding of one record.
struct Mark {
    record: (File, u64),
    moment: Option<(File, i64)>,
    rule: String,
    level: Level,
}

/// Findings by record and by time. The key names forwarded events by the number that Windows gave
/// them, findings by their line, so time decides too.
#[derive(Default)]
struct Marks {
    all: Vec<Mark>,
    by_record: HashMap<(File, u64), Vec<usize>>,
    by_moment: HashMap<(File, i64), Vec<usize>>,
    /// Member and rule of each correlation that was found.
    correlations: BTreeSet<(String, String)>,
}

pub(super) fn hold_against(dir: &Path, hunted: &Hunted) -> anyhow::Result<KeyResult> {
    let path = dir.join("expected.json");
    let bytes = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let key: Value = serde_json::from_slice(&bytes).with_context(|| format!("`{}`", path.display()))?;
    let marks = Marks::of(dir, hunted)?;
    let list = |name: &str| key[name].as_array().cloned().unwrap_or_default();
    let (events, traps) = (list("events"), list("traps"));
    let mut result = KeyResult::default();
    for event in &events {
        let rules: Vec<&str> =
            event["rules"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !rules.is_empty() {
            result.expected += 1;
            result.found += u64::from(marks.at(event).any(|mark| rules.contains(&mark.rule.as_str())));
        }
    }
    for correlation in list("correlations") {
        let text = |name: &str| correlation[name].as_str().unwrap_or_default().to_owned();
        result.correlations_expected += 1;
        result.correlations_found += u64::from(marks.correlations.contains(&(text("member"), text("rule"))));
    }
    result.lookalikes = traps.len() as u64;
    let is_reported = |trap: &&Value| marks.at(trap).any(|mark| mark.level >= Level::Medium);
    result.lookalikes_reported = traps.iter().filter(is_reported).count() as u64;
    let records: BTreeSet<_> = events.iter().map(record_of).collect();
    let moments: BTreeSet<_> = events.iter().filter_map(moment_of).collect();
    let put_in = |mark: &Mark| {
        records.contains(&mark.record) || mark.moment.as_ref().is_some_and(|moment| moments.contains(moment))
    };
    let alarms = marks.all.iter().filter(|mark| mark.level >= Level::High && !put_in(mark));
    result.false_alarms = alarms.count() as u64;
    Ok(result)
}

fn record_of(entry: &Value) -> (File, u64) {
    (entry["path"].as_str().unwrap_or_default().to_owned(), entry["record"].as_u64().unwrap_or_default())
}

/// To the millisecond, which is what forwarded events state.
fn moment_of(entry: &Value) -> Option<(File, i64)> {
    let time = EventTime::parse_iso(entry["time"].as_str()?.as_bytes())?;
    Some((entry["path"].as_str()?.to_owned(), time.at.0.div_euclid(1_000_000)))
}

impl Marks {
    fn of(dir: &Path, hunted: &Hunted) -> anyhow::Result<Self> {
        let mut marks = Self::default();
        hunted.findings.visit::<anyhow::Error>(&mut |finding| {
            let (Some((member, path)), Some(rule)) =
                (below(dir, &finding.source.path), hunted.summary.rules.get(&finding.rule))
            else {
                return Ok(());
            };
            if matches!(finding.rule, RuleRef::Correlation(_)) {
                marks.correlations.insert((member.to_owned(), rule.info.id.clone()));
            }
            let file = path.replace(std::path::MAIN_SEPARATOR, "/");
            marks.add(Mark {
                record: (file.clone(), finding.source.record),
                moment: finding.time.map(|time| (file, time.at.div_euclid(1_000_000))),
                rule: rule.info.id.clone(),
                level: rule.info.level,
            });
            Ok(())
        })?;
        Ok(marks)
    }

    fn add(&mut self, mark: Mark) {
        let number = self.all.len();
        self.by_record.entry(mark.record.clone()).or_default().push(number);
        if let Some(moment) = mark.moment.clone() {
            self.by_moment.entry(moment).or_default().push(number);
        }
        self.all.push(mark);
    }

    /// Findings of an event of the key.
    fn at(&self, entry: &Value) -> impl Iterator<Item = &Mark> {
        let by_record = self.by_record.get(&record_of(entry));
        let by_moment = moment_of(entry).and_then(|moment| self.by_moment.get(&moment));
        by_record.into_iter().chain(by_moment).flatten().filter_map(|number| self.all.get(*number))
    }
}
