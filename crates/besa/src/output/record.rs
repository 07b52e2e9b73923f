//! A finding as the fields that every row format shows.

use besa_detect::{Detector, Finding, Locator, RuleInfo};
use besa_event::EventTime;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{Report, time_text};
use crate::hunt::summary::RuleSummary;

/// One object of `--format jsonl`. These names are stable; others may be added.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    pub(super) rule_id: &'a str,
    pub(super) title: &'a str,
    pub(super) author: &'a str,
    pub(super) level: &'static str,
    pub(super) kind: &'static str,
    pub(super) tags: &'a [String],
    /// Canonical ATT&CK ids.
    pub(super) techniques: &'a [String],
    pub(super) time: Option<String>,
    pub(super) time_precision: Option<&'static str>,
    pub(super) time_zone: Option<&'static str>,
    pub(super) source: &'a Locator,
    pub(super) logsource: Class,
    pub(super) host: &'a str,
    pub(super) matched: Matched<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) related: &'a [Locator],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intel_ref: Option<&'a str>,
    #[serde(skip)]
    pub(super) info: &'a RuleInfo,
}

/// Class of an event; the first of each part.
#[derive(Debug, Serialize)]
pub(super) struct Class {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) category: Option<String>,
}

/// Field to value; a list where a field matched with several values.
#[derive(Debug)]
pub(super) struct Matched<'a>(pub(super) &'a [(String, String)]);

impl Serialize for Matched<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (at, (field, value)) in self.0.iter().enumerate() {
            if self.0[..at].iter().any(|(before, _)| before == field) {
                continue;
            }
            let mut values: Vec<&str> = vec![value];
            values.extend(
                self.0[at + 1..].iter().filter(|(name, _)| name == field).map(|(_, value)| value.as_str()),
            );
            match values.as_slice() {
                [one] => map.serialize_entry(field, one)?,
                several => map.serialize_entry(field, several)?,
            }
        }
        map.end()
    }
}

impl Matched<'_> {
    /// `field=value; field=value`.
    pub(super) fn text(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(field, value)| format!("{field}={value}")).collect();
        pairs.join("; ")
    }
}

impl<'a> Row<'a> {
    pub(super) fn new(finding: &'a Finding, rule: &'a RuleSummary, detector: &Detector) -> Self {
        let info = &rule.info;
        let time = finding.time.map(EventTime::from);
        let class = detector.sources().get(finding.logsource_id());
        Self {
            rule_id: &info.id,
            title: &info.title,
            author: &info.author,
            level: info.level.as_str(),
            kind: info.kind.as_str(),
            tags: &info.tags,
            techniques: &rule.techniques,
            time: finding.time.map(time_text),
            time_precision: time.map(|time| time.precision.name()),
            time_zone: time.map(|time| time.zone.name()),
            source: &finding.source,
            logsource: Class {
                product: class.product.clone(),
                service: class.services.first().cloned(),
                category: class.categories.first().cloned(),
            },
            host: &finding.host,
            matched: Matched(&finding.matched),
            related: &finding.related,
            intel_ref: info.intel_ref.as_deref(),
            info,
        }
    }
}

/// Goes through the findings, oldest first, as rows.
pub(super) fn each_row(
    report: &Report<'_>,
    show: &mut dyn FnMut(&Row<'_>, &Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    report.findings.visit(&mut |finding| match report.summary.rules.get(&finding.rule) {
        Some(rule) => show(&Row::new(finding, rule, report.detector), finding),
        None => anyhow::bail!("internal error: a finding without a summary; please report it"),
    })
}

#[cfg(test)]
mod tests {
    use super::Matched;

    #[test]
    fn fields_with_several_values_are_lists() {
        let pair = |field: &str, value: &str| (field.to_owned(), value.to_owned());
        let pairs = [pair("b", "1"), pair("a", "x"), pair("b", "2")];
        let json = serde_json::to_string(&Matched(&pairs)).unwrap();
        assert_eq!(json, r#"{"b":["1","2"],"a":"x"}"#);
    }
}
