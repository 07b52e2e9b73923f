//! What a hunt found, in a size that does not grow with the number of findings.

use std::collections::BTreeMap;

use besa_detect::{Detector, Finding, FindingTime, RuleInfo, RuleRef};
use besa_sigma::Level;
use besa_sigma::attack::{self, AttackTag};

/// Levels from the highest.
pub(crate) const LEVELS: [Level; 5] =
    [Level::Critical, Level::High, Level::Medium, Level::Low, Level::Informational];
/// Hosts remembered for one rule.
const HOSTS_MAX: usize = 256;

/// Findings by rule, level and time.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// One entry for each rule with findings.
    pub(crate) rules: BTreeMap<RuleRef, RuleSummary>,
    /// Findings in all.
    pub(crate) findings: u64,
    /// Findings without a time.
    pub(crate) undated: u64,
    /// When, at what level.
    pub(crate) histogram: Histogram,
}

/// The findings of one rule, pattern or indicator.
#[derive(Debug)]
pub(crate) struct RuleSummary {
    pub(crate) info: RuleInfo,
    /// Canonical ATT&CK ids, as in [`besa_sigma::attack`].
    pub(crate) techniques: Vec<String>,
    pub(crate) count: u64,
    pub(crate) first: Option<FindingTime>,
    pub(crate) last: Option<FindingTime>,
    /// Hosts and how often; at most 256 of them.
    pub(crate) hosts: BTreeMap<String, u64>,
    /// Whether there were more hosts than are remembered.
    pub(crate) more_hosts: bool,
}

impl Summary {
    /// Counts a finding.
    pub(crate) fn add(&mut self, finding: &Finding, detector: &Detector) {
        let rule =
            self.rules.entry(finding.rule).or_insert_with(|| RuleSummary::new(detector.info(finding.rule)));
        rule.add(finding);
        self.findings += 1;
        match finding.time {
            Some(time) => self.histogram.add(time.at, rule.info.level),
            None => self.undated += 1,
        }
    }

    /// Findings of a level.
    pub(crate) fn of_level(&self, level: Level) -> u64 {
        self.rules.values().filter(|rule| rule.info.level == level).map(|rule| rule.count).sum()
    }

    /// Rules with findings, highest level first, then by first sight, then by title.
    pub(crate) fn by_importance(&self) -> Vec<(RuleRef, &RuleSummary)> {
        let mut rules: Vec<_> = self.rules.iter().map(|(rule, summary)| (*rule, summary)).collect();
        rules.sort_by(|(_, a), (_, b)| {
            (b.info.level.cmp(&a.info.level))
                .then_with(|| a.first.is_none().cmp(&b.first.is_none()))
                .then_with(|| a.first.map(|time| time.at).cmp(&b.first.map(|time| time.at)))
                .then_with(|| a.info.title.cmp(&b.info.title))
        });
        rules
    }

    /// Techniques with their rules and counts, ascending by id.
    pub(crate) fn techniques(&self) -> BTreeMap<&str, Technique<'_>> {
        let mut techniques: BTreeMap<&str, Technique<'_>> = BTreeMap::new();
        for (_, rule) in self.by_importance() {
            for id in &rule.techniques {
                let entry = techniques.entry(id).or_insert_with(|| Technique::new(rule.info.level));
                entry.count += rule.count;
                entry.level = entry.level.max(rule.info.level);
                entry.rules.push(rule);
            }
        }
        techniques
    }
}

/// Findings of one technique.
#[derive(Debug)]
pub(crate) struct Technique<'s> {
    pub(crate) level: Level,
    pub(crate) count: u64,
    pub(crate) rules: Vec<&'s RuleSummary>,
}

impl Technique<'_> {
    fn new(level: Level) -> Self {
        Self { level, count: 0, rules: Vec::new() }
    }
}

impl RuleSummary {
    fn new(info: RuleInfo) -> Self {
        Self {
            techniques: attack::techniques(info.tags.iter().map(String::as_str)),
            info,
            count: 0,
            first: None,
            last: None,
            hosts: BTreeMap::new(),
            more_hosts: false,
        }
    }

    fn add(&mut self, finding: &Finding) {
        self.count += 1;
        if let Some(time) = finding.time {
            self.first = Some(self.first.map_or(time, |first| if time.at < first.at { time } else { first }));
            self.last = Some(self.last.map_or(time, |last| if time.at > last.at { time } else { last }));
        }
        if finding.host.is_empty() {
            return;
        }
        if let Some(count) = self.hosts.get_mut(&finding.host) {
            *count += 1;
        } else if self.hosts.len() < HOSTS_MAX {
            self.hosts.insert(finding.host.clone(), 1);
        } else {
            self.more_hosts = true;
        }
    }

    /// The tactics that its tags name, as in the matrix.
    pub(crate) fn tactics(&self) -> Vec<&'static str> {
        let mut tactics = Vec::new();
        for tag in &self.info.tags {
            if let Some(AttackTag::Tactic(tactic)) = attack::parse_tag(tag)
                && !tactics.contains(&tactic.short_name)
            {
                tactics.push(tactic.short_name);
            }
        }
        tactics
    }

    /// Up to `max` hosts and how many there are besides.
    pub(crate) fn hosts_text(&self, max: usize) -> String {
        let names: Vec<&str> = self.hosts.keys().take(max).map(String::as_str).collect();
        let rest = self.hosts.len().saturating_sub(max);
        let more = match (rest, self.more_hosts) {
            (0, false) => String::new(),
            (_, true) => format!(" and more than {rest} others"),
            (1, false) => " and 1 other".to_owned(),
            (_, false) => format!(" and {rest} others"),
        };
        format!("{}{more}", names.join(", "))
    }
}

/// Buckets of equal width that grow coarser as the span grows, so that there are never more than
/// [`BUCKETS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    width_index: usize,
    /// Bucket number to findings by level. Shape of the array: [`Level`], lowest first.
    buckets: BTreeMap<i64, [u64; 5]>,
}

const BUCKETS_MAX: i64 = 120;
const SECOND: i64 = 1_000_000_000;
/// Widths of a bucket; each divides the next, so that buckets can be joined.
const WIDTHS: [(i64, &str); 11] = [
    (SECOND, "second"),
    (10 * SECOND, "10 seconds"),
    (60 * SECOND, "minute"),
    (600 * SECOND, "10 minutes"),
    (3_600 * SECOND, "hour"),
    (21_600 * SECOND, "6 hours"),
    (86_400 * SECOND, "day"),
    (604_800 * SECOND, "week"),
    (4 * 604_800 * SECOND, "4 weeks"),
    (52 * 604_800 * SECOND, "52 weeks"),
    (1_040 * 604_800 * SECOND, "20 years"),
];

impl Histogram {
    fn add(&mut self, at: i64, level: Level) {
        let bucket = at.div_euclid(self.width());
        self.buckets.entry(bucket).or_default()[level as usize] += 1;
        while self.span() > BUCKETS_MAX && self.width_index + 1 < WIDTHS.len() {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        let before = self.width();
        self.width_index += 1;
        let factor = self.width() / before;
        let fine = std::mem::take(&mut self.buckets);
        for (bucket, counts) in fine {
            let into = self.buckets.entry(bucket.div_euclid(factor)).or_default();
            into.iter_mut().zip(counts).for_each(|(into, count)| *into += count);
        }
    }

    fn width(&self) -> i64 {
        WIDTHS[self.width_index].0
    }

    /// Buckets from the first to the last, empty ones included.
    pub(crate) fn span(&self) -> i64 {
        match (self.buckets.first_key_value(), self.buckets.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last - first + 1,
            _ => 0,
        }
    }

    /// What one bucket is, in words.
    pub(crate) fn width_name(&self) -> &'static str {
        WIDTHS[self.width_index].1
    }

    /// Buckets that hold something: position from the first, start in nanoseconds, findings by
    /// level (lowest first).
    pub(crate) fn bars(&self) -> impl Iterator<Item = (i64, i64, &[u64; 5])> {
        let first = self.buckets.keys().next().copied().unwrap_or_default();
        let width = self.width();
        self.buckets
            .iter()
            .map(move |(bucket, counts)| (bucket - first, bucket.saturating_mul(width), counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_stays_small_and_loses_nothing() {
        let mut histogram = Histogram::default();
        for day in 0..400 {
            for hour in 0..3 {
                histogram.add((day * 86_400 + hour * 3_600) * SECOND, Level::High);
            }
        }
        assert_eq!(histogram.width_name(), "week");
        assert!(histogram.span() <= BUCKETS_MAX);
        assert_eq!(histogram.bars().map(|(_, _, counts)| counts.iter().sum::<u64>()).sum::<u64>(), 1_200);
        histogram.add(-5, Level::Low);
        assert_eq!(histogram.bars().next().map(|(position, _, counts)| (position, counts[1])), Some((0, 1)));
        for pair in WIDTHS.windows(2) {
            assert_eq!(pair[1].0 % pair[0].0, 0, "{} in {}", pair[0].1, pair[1].1);
        }
    }
}
