//! The table for people: one entry a rule, highest level first.
//!
//! ```text
//! CRITICAL      12  SharePoint Exploit Request, Then a Shell       T1190 T1059.003
//!                   2021-05-22 10:00:01 to 2021-06-01 11:22:33   WEB01, WEB02 and 3 others
//!                   by A. Author
//! ```

use std::io::Write;

use super::{Report, short_time};
use crate::hunt::summary::RuleSummary;
use crate::terminal::{Paint, fit, grouped, visible};

/// Columns before the title: level and count.
const INDENT: usize = 25;
const HOSTS_SHOWN: usize = 4;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    for (_, rule) in report.summary.by_importance() {
        entry(rule, report.paint, report.width, out)?;
    }
    if report.summary.rules.is_empty() {
        writeln!(out, "Nothing found.")?;
    }
    Ok(())
}

fn entry(rule: &RuleSummary, paint: Paint, width: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let info = &rule.info;
    let level = paint.level(info.level, &format!("{:<13}", info.level.as_str().to_uppercase()));
    let techniques = rule.techniques.join(" ");
    let room = width.saturating_sub(INDENT);
    let title_room =
        room.saturating_sub(if techniques.is_empty() { 0 } else { techniques.chars().count() + 2 });
    let title = fit(&visible(&info.title), title_room.max(20));
    let gap = " ".repeat(title_room.saturating_sub(title.chars().count()) + 2);
    let line =
        format!("{level} {:>9}  {}{gap}{}", grouped(rule.count), paint.bold(&title), paint.cyan(&techniques));
    writeln!(out, "{}", line.trim_end())?;
    let indent = " ".repeat(INDENT);
    let seen = seen(rule);
    let hosts = hosts(rule, room.saturating_sub(seen.chars().count() + 3).max(12));
    let second = if hosts.is_empty() { seen } else { format!("{seen}   {hosts}") };
    writeln!(out, "{indent}{second}")?;
    if let Some(third) = origin(rule) {
        writeln!(out, "{indent}{}", paint.dim(&fit(&visible(&third), room)))?;
    }
    Ok(())
}

/// As many hosts as fit, and how many there are besides.
fn hosts(rule: &RuleSummary, room: usize) -> String {
    let texts = (1..=HOSTS_SHOWN).rev().map(|shown| visible(&rule.hosts_text(shown)));
    let fitting = texts.into_iter().find(|text| text.chars().count() <= room);
    fitting.unwrap_or_else(|| fit(&visible(&rule.hosts_text(1)), room))
}

/// First and last sight.
fn seen(rule: &RuleSummary) -> String {
    match (rule.first, rule.last) {
        (Some(first), Some(last)) if first.at / 1_000_000_000 == last.at / 1_000_000_000 => short_time(first),
        (Some(first), Some(last)) => format!("{} to {}", short_time(first), short_time(last)),
        _ => "the records have no time".to_owned(),
    }
}

/// Who wrote it (the Detection Rule License asks that it be shown) or which intelligence it is.
fn origin(rule: &RuleSummary) -> Option<String> {
    let mut parts = Vec::new();
    if !rule.info.author.is_empty() {
        parts.push(format!("by {}", rule.info.author));
    }
    parts.extend(rule.info.intel_ref.clone());
    (!parts.is_empty()).then(|| parts.join(", "))
}
