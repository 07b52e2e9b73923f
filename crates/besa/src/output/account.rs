//! The account as people read it on standard error.

use std::fmt::Write as _;

use besa_sigma::Level;

use crate::hunt::account::Account;
use crate::hunt::defects::SHOWN_MAX;
use crate::terminal::{Paint, counted, fit, grouped, sized, visible};

/// Columns of the titles on the left.
const TITLE_LEN: usize = 12;
/// Characters of a place that are always shown.
const PLACE_LEN_MIN: usize = 30;
const SOURCES_SHOWN: usize = 12;
const REFUSED_SHOWN: usize = 5;
const IDLE_SHOWN: usize = 6;

/// Several lines, the last one ended.
pub(crate) fn account_text(account: &Account, paint: Paint, width: usize) -> String {
    let mut out = String::new();
    if !account.complete {
        out.push_str(
            &paint.yellow("PARTIAL: the hunt was interrupted; evidence behind this point was not read."),
        );
        out.push('\n');
    }
    let room = width.saturating_sub(TITLE_LEN + 1);
    let sections: [(&str, Vec<Line>); 7] = [
        ("read", read(account)),
        ("coverage", coverage(account)),
        ("log sources", log_sources(account)),
        ("rules", rules(account, room)),
        ("indicators", indicators(account)),
        ("defects", defects(account, room)),
        ("findings", findings(account, paint)),
    ];
    for (title, lines) in sections {
        for (at, line) in lines.iter().enumerate() {
            let title = if at == 0 { title } else { "" };
            let head = paint.bold(&format!("{title:<TITLE_LEN$}"));
            let _ = writeln!(out, "{head} {}", line.text(room));
        }
    }
    out
}

/// A line of the account.
enum Line {
    /// Made safe for a terminal and cut where it does not fit.
    Cut(String),
    /// Safe already, and shown whole.
    Whole(String),
}

impl Line {
    fn text(&self, room: usize) -> String {
        match self {
            Self::Cut(text) => fit(&visible(text), room),
            Self::Whole(text) => text.clone(),
        }
    }
}

/// A place and what is wrong there. Where both do not fit, the place loses its beginning: its end
/// tells files apart, and the reason is what the line is for.
fn reasoned(place: &str, rest: &str, room: usize) -> Line {
    let (place, rest) = (visible(place), visible(rest));
    let (have, max) = (place.chars().count(), room.saturating_sub(rest.chars().count()).max(PLACE_LEN_MIN));
    let place = if have <= max {
        place
    } else {
        format!("…{}", place.chars().skip(have + 1 - max).collect::<String>())
    };
    Line::Whole(format!("{place}{rest}"))
}

fn read(account: &Account) -> Vec<Line> {
    let rate =
        if account.seconds > 0.0 { account.events as f64 / account.seconds } else { account.events as f64 };
    let mut lines = vec![Line::Cut(format!(
        "{} in {}, {}, {:.1} s, {} events/s",
        counted(account.events, "event"),
        counted(account.files, "file"),
        sized(account.bytes),
        account.seconds,
        grouped(rate as u64),
    ))];
    let formats: Vec<String> = account
        .formats
        .iter()
        .map(|format| match format.events {
            0 => format!("{} ({})", format.format, counted(format.files, "file")),
            events => {
                format!("{} ({}, {})", format.format, counted(format.files, "file"), counted(events, "event"))
            }
        })
        .collect();
    if !formats.is_empty() {
        lines.push(Line::Cut(formats.join(", ")));
    }
    if account.events_outside_time > 0 {
        lines.push(Line::Cut(format!(
            "{} outside the window of time, or without time",
            counted(account.events_outside_time, "event")
        )));
    }
    lines
}

/// What of an archive was searched, and what was not.
/// Index runs that could not be used are shown up to this many.
const RUNS_SHOWN: usize = 5;

fn coverage(account: &Account) -> Vec<Line> {
    let Some(coverage) = &account.coverage else { return Vec::new() };
    let end = |text: &Option<String>, open: &str| text.clone().unwrap_or_else(|| open.to_owned());
    let mut lines = vec![Line::Cut(format!(
        "window {} to {}; {} held there, {} to {}",
        end(&coverage.from, "the beginning"),
        end(&coverage.to, "the end"),
        counted(coverage.events_held, "event"),
        end(&coverage.first, "no time"),
        end(&coverage.last, "no time"),
    ))];
    lines.push(Line::Cut(format!(
        "{} searched, {} passed over (outside the window, or no rule is about them)",
        counted(coverage.files_searched, "file"),
        grouped(coverage.files_passed_over),
    )));
    if let Some(index) = &coverage.index {
        lines.push(Line::Cut(format!(
            "index: {} in {} hold nothing asked for; {} without a usable index read whole",
            counted(index.events_ruled_out, "event"),
            counted(index.files_ruled_out, "file"),
            counted(index.files_without, "file"),
        )));
        for run in index.unusable.iter().take(RUNS_SHOWN) {
            lines.push(Line::Cut(format!("index not used (`besa archive compact` makes it anew): {run}")));
        }
        if index.unusable.len() > RUNS_SHOWN {
            lines.push(Line::Cut(format!("and {} more", index.unusable.len() - RUNS_SHOWN)));
        }
    }
    for (source, events) in &coverage.log_sources_passed_over {
        lines.push(Line::Cut(format!(
            "{source:<44} {:>12}   no rule is about them",
            counted(*events, "event")
        )));
    }
    if let Some(over) = &coverage.over_budget {
        let (groups, events) = (counted(over.row_groups, "row group"), counted(over.events, "event"));
        lines.push(Line::Whole(format!(
            "NOT SEARCHED: {groups} with {events}, which the budget does not hold"
        )));
    }
    for file in &coverage.files_missing {
        lines.push(Line::Whole(format!("NOT SEARCHED: {}", visible(file))));
    }
    lines
}

fn log_sources(account: &Account) -> Vec<Line> {
    let mut lines: Vec<Line> = account
        .log_sources
        .iter()
        .take(SOURCES_SHOWN)
        .map(|source| {
            let rules = if source.rules == 0 {
                "no rule is about them".to_owned()
            } else {
                counted(source.rules, "rule")
            };
            Line::Cut(format!(
                "{:<44} {:>12} {:>14}",
                source.log_source,
                counted(source.events, "event"),
                rules
            ))
        })
        .collect();
    let more = account.log_sources.len().saturating_sub(SOURCES_SHOWN);
    if more > 0 {
        lines.push(Line::Cut(format!("and {more} more (--account FILE has them all)")));
    }
    if lines.is_empty() {
        lines.push(Line::Cut("no event to look at".to_owned()));
    }
    lines
}

fn rules(account: &Account, room: usize) -> Vec<Line> {
    let rules = &account.rules;
    let mut lines = vec![Line::Cut(format!(
        "{} loaded, {}, {}; {} refused",
        counted(rules.loaded, "rule"),
        counted(rules.correlations, "correlation"),
        counted(rules.filters, "filter"),
        grouped(rules.refused.len() as u64),
    ))];
    for refused in rules.refused.iter().take(REFUSED_SHOWN) {
        lines.push(reasoned(&refused.place, &format!(": {}", refused.reason), room));
    }
    if rules.refused.len() > REFUSED_SHOWN {
        let more = rules.refused.len() - REFUSED_SHOWN;
        lines.push(Line::Cut(format!("and {more} more (`besa rules check` shows each)")));
    }
    if rules.not_applicable > 0 {
        lines.push(Line::Cut(format!(
            "{} had no event of their log source: {}",
            counted(rules.not_applicable, "rule"),
            idle(account)
        )));
    }
    if account.hits_unplaced > 0 {
        lines.push(Line::Cut(format!(
            "{} a correlation could not place: no time, or no field to group by",
            counted(account.hits_unplaced, "hit"),
        )));
    }
    if account.hits_dropped > 0 {
        lines.push(Line::Cut(format!(
            "{} of correlations dropped to bound memory: findings may be missing",
            counted(account.hits_dropped, "group"),
        )));
    }
    lines
}

/// The log sources with the most rules that had nothing to look at.
fn indicators(account: &Account) -> Vec<Line> {
    let Some(intel) = &account.intel else { return Vec::new() };
    let mut lines = vec![Line::Cut(format!(
        "{}, {}",
        counted(intel.values, "value"),
        counted(intel.patterns, "STIX pattern")
    ))];
    for (pattern, events) in &intel.unevaluated {
        let events = counted(*events, "event");
        lines.push(Line::Cut(format!("{pattern} gave up on {events}, which it may have matched")));
    }
    lines
}

fn idle(account: &Account) -> String {
    let mut sources: Vec<_> = account.rules.not_applicable_by_log_source.iter().collect();
    sources.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let mut parts: Vec<String> =
        sources.iter().take(IDLE_SHOWN).map(|(source, count)| format!("{source} {count}")).collect();
    if sources.len() > IDLE_SHOWN {
        parts.push("…".to_owned());
    }
    parts.join(", ")
}

fn defects(account: &Account, room: usize) -> Vec<Line> {
    let defects = &account.defects;
    if defects.count == 0 {
        return vec![Line::Cut("none".to_owned())];
    }
    let mut lines = vec![Line::Cut(format!("{}; all else was read", counted(defects.count, "defect")))];
    lines.extend(defects.first_texts.iter().map(|(place, rest)| reasoned(place, rest, room)));
    if defects.count > SHOWN_MAX as u64 {
        lines.push(Line::Cut(format!(
            "and {} more (--defects FILE has them all); by reason:",
            grouped(defects.count - SHOWN_MAX as u64)
        )));
        let mut reasons: Vec<_> = defects.by_reason.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        lines.extend(
            reasons
                .iter()
                .take(5)
                .map(|(reason, count)| Line::Cut(format!("{:>9} × {reason}", grouped(**count)))),
        );
    }
    lines
}

fn findings(account: &Account, paint: Paint) -> Vec<Line> {
    let findings = &account.findings;
    if findings.total == 0 {
        return vec![Line::Cut("none".to_owned())];
    }
    let levels: Vec<String> = findings
        .by_level
        .iter()
        .filter_map(|(name, count)| {
            let count = count.as_u64().filter(|count| *count > 0)?;
            let text = format!("{} {name}", grouped(count));
            Some(Level::parse(name).map_or(text.clone(), |level| paint.level(level, &text)))
        })
        .collect();
    vec![Line::Whole(format!(
        "{} of {}: {}",
        counted(findings.total, "finding"),
        counted(findings.rules, "rule"),
        levels.join(", ")
    ))]
}
