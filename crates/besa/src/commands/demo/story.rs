//! What was found, put beside the published facts by date and technique.

use std::collections::BTreeMap;
use std::path::Path;

use besa_detect::{Finding, FindingTime, RuleRef};
use besa_event::Timestamp;
use besa_sigma::Level;
use besa_sigma::attack::canonical;

use super::below;
use crate::hunt::Hunted;
use crate::hunt::summary::RuleSummary;
use crate::scenario::{Fact, MEMBERS, Precision, chronicle};

/// Techniques that are the destruction itself: data encrypted, disks wiped.
const DESTRUCTION: [&str; 2] = ["T1486", "T1561.002"];

pub(super) struct Story<'a> {
    /// One for each published fact, in order of time.
    pub(super) chapters: Vec<Chapter<'a>>,
    /// Found at the first member, but at no published date.
    pub(super) elsewhere: Trace<'a>,
    /// What was found at each member.
    pub(super) members: Vec<(&'static str, Trace<'a>)>,
    pub(super) dwell: Option<Dwell>,
}

/// A published fact and what was found of it.
pub(super) struct Chapter<'a> {
    pub(super) fact: &'static Fact,
    pub(super) trace: Trace<'a>,
}

/// Findings, by rule.
#[derive(Default)]
pub(super) struct Trace<'a> {
    pub(super) rules: BTreeMap<RuleRef, Sight<'a>>,
    pub(super) findings: u64,
    pub(super) hosts: BTreeMap<String, u64>,
    pub(super) first: Option<FindingTime>,
    pub(super) last: Option<FindingTime>,
}

/// One rule's findings in a [`Trace`].
pub(super) struct Sight<'a> {
    pub(super) rule: &'a RuleSummary,
    pub(super) count: u64,
    pub(super) first: FindingTime,
    pub(super) hosts: BTreeMap<String, u64>,
}

/// From the first trace to the destruction, both as found.
pub(super) struct Dwell {
    pub(super) first: (FindingTime, String),
    pub(super) end: (FindingTime, String),
}

impl<'a> Story<'a> {
    pub(super) fn of(dir: &Path, hunted: &'a Hunted) -> anyhow::Result<Self> {
        let chapters = chronicle().iter().map(|fact| Chapter { fact, trace: Trace::default() }).collect();
        let members = MEMBERS.iter().map(|member| (*member, Trace::default())).collect();
        let mut story = Self { chapters, elsewhere: Trace::default(), members, dwell: None };
        let (mut first, mut end) = (None, None);
        hunted.findings.visit::<anyhow::Error>(&mut |finding| {
            let (Some((member, _)), Some(rule), Some(time)) =
                (below(dir, &finding.source.path), hunted.summary.rules.get(&finding.rule), finding.time)
            else {
                return Ok(());
            };
            if let Some((_, trace)) = story.members.iter_mut().find(|(name, _)| *name == member) {
                trace.add(finding, time, rule);
            }
            if member != MEMBERS[0] {
                return Ok(());
            }
            if rule.info.level >= Level::High {
                first.get_or_insert_with(|| (time, rule.info.title.clone()));
            }
            if rule.techniques.iter().any(|id| DESTRUCTION.contains(&id.as_str())) {
                end.get_or_insert_with(|| (time, rule.info.title.clone()));
            }
            story.chapter_of(time, rule).add(finding, time, rule);
            Ok(())
        })?;
        story.dwell = first.zip(end).map(|(first, end)| Dwell { first, end });
        Ok(story)
    }

    /// The fact of that date that shares a technique with the rule; else the one of that date
    /// that is known most exactly.
    fn chapter_of(&mut self, time: FindingTime, rule: &RuleSummary) -> &mut Trace<'a> {
        let day = Timestamp(time.at).rfc3339(0).chars().take(10).collect::<String>();
        let fits = |fact: &Fact| {
            let shared =
                fact.techniques.iter().filter_map(|id| canonical(id)).any(|id| rule.techniques.contains(&id));
            (shared, fact.precision != Precision::Month)
        };
        let of_day = self.chapters.iter().enumerate().filter(|(_, chapter)| covers(chapter.fact, &day));
        let best =
            of_day.max_by_key(|(at, chapter)| (fits(chapter.fact), std::cmp::Reverse(*at))).map(|(at, _)| at);
        match best {
            Some(at) => &mut self.chapters[at].trace,
            None => &mut self.elsewhere,
        }
    }
}

/// Whether a day (`YYYY-MM-DD`) lies in the time of a fact.
fn covers(fact: &Fact, day: &str) -> bool {
    let end = fact.to.unwrap_or(fact.from);
    let end = match fact.precision {
        Precision::Month => format!("{}-31", end.get(..7).unwrap_or(end)),
        Precision::Day | Precision::Hour => end.to_owned(),
    };
    fact.from <= day && day <= end.as_str()
}

impl<'a> Trace<'a> {
    fn add(&mut self, finding: &Finding, time: FindingTime, rule: &'a RuleSummary) {
        self.findings += 1;
        self.first.get_or_insert(time);
        self.last = Some(time);
        let sight = self.rules.entry(finding.rule).or_insert_with(|| Sight {
            rule,
            count: 0,
            first: time,
            hosts: BTreeMap::new(),
        });
        sight.count += 1;
        if !finding.host.is_empty() {
            *sight.hosts.entry(finding.host.clone()).or_default() += 1;
            *self.hosts.entry(finding.host.clone()).or_default() += 1;
        }
    }

    /// Highest level first, then oldest first.
    pub(super) fn by_importance(&self) -> Vec<&Sight<'a>> {
        let mut sights: Vec<_> = self.rules.values().collect();
        sights.sort_by(|a, b| {
            (b.rule.info.level.cmp(&a.rule.info.level))
                .then_with(|| a.first.at.cmp(&b.first.at))
                .then_with(|| a.rule.info.title.cmp(&b.rule.info.title))
        });
        sights
    }
}

impl Dwell {
    pub(super) fn days(&self) -> i64 {
        (self.end.0.at - self.first.0.at).div_euclid(86_400 * 1_000_000_000)
    }

    /// Whole months by the calendar.
    pub(super) fn months(&self) -> i64 {
        let (from, to) = (Timestamp(self.first.0.at).civil(), Timestamp(self.end.0.at).civil());
        let months = (to.year - from.year) * 12 + i64::from(to.month) - i64::from(from.month);
        months - i64::from(to.day < from.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_whole_ones() {
        let day = 86_400 * 1_000_000_000_i64;
        let time = |at| FindingTime { at, digits: 0, zone: 0 };
        // 8 May 2021 and 15 July 2022 are days 18,755 and 19,188 since 1970.
        let dwell = |from: i64, to: i64| Dwell {
            first: (time(from * day), String::new()),
            end: (time(to * day), String::new()),
        };
        assert_eq!((dwell(18_755, 19_188).months(), dwell(18_755, 19_188).days()), (14, 433));
        assert_eq!(dwell(18_763, 19_188).months(), 13);
    }
}
