//! The account as people read it on standard error.

use std::fmt::Write as _;

use besa_sigma::Level;

use crate::hunt::account::Account;
use crate::hunt::defects::SHOWN_MAX;
use crate::terminal::{Paint, counted, fit, grouped, sized, visible};

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
    let sections: [(&str, Vec<String>); 5] = [
        ("read", read(account)),
        ("log sources", log_sources(account)),
        ("rules", rules(account)),
        ("defects", defects(account)),
        ("findings", findings(account, paint)),
    ];
    for (title, lines) in sections {
        for (at, line) in lines.iter().enumerate() {
            let title = if at == 0 { title } else { "" };
            let head = paint.bold(&format!("{title:<12}"));
            let line = fit_painted(line, width.saturating_sub(13));
            let _ = writeln!(out, "{head} {line}");
        }
    }
    out
}

/// Lines with colour are short and left as they are.
fn fit_painted(line: &str, width: usize) -> String {
    if line.contains('\x1b') { line.to_owned() } else { fit(&visible(line), width) }
}

fn read(account: &Account) -> Vec<String> {
    let rate =
        if account.seconds > 0.0 { account.events as f64 / account.seconds } else { account.events as f64 };
    let mut lines = vec![format!(
        "{} in {}, {}, {:.1} s, {} events/s",
        counted(account.events, "event"),
        counted(account.files, "file"),
        sized(account.bytes),
        account.seconds,
        grouped(rate as u64),
    )];
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
        lines.push(formats.join(", "));
    }
    if account.events_outside_time > 0 {
        lines.push(format!(
            "{} outside the window of time, or without time",
            counted(account.events_outside_time, "event")
        ));
    }
    lines
}

fn log_sources(account: &Account) -> Vec<String> {
    let mut lines: Vec<String> = account
        .log_sources
        .iter()
        .take(SOURCES_SHOWN)
        .map(|source| {
            let rules = if source.rules == 0 {
                "no rule is about them".to_owned()
            } else {
                counted(source.rules, "rule")
            };
            format!("{:<44} {:>12} {:>14}", source.log_source, counted(source.events, "event"), rules)
        })
        .collect();
    let more = account.log_sources.len().saturating_sub(SOURCES_SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more (--account FILE has them all)"));
    }
    if lines.is_empty() {
        lines.push("no event to look at".to_owned());
    }
    lines
}

fn rules(account: &Account) -> Vec<String> {
    let rules = &account.rules;
    let mut lines = vec![format!(
        "{} loaded, {}, {}; {} refused",
        counted(rules.loaded, "rule"),
        counted(rules.correlations, "correlation"),
        counted(rules.filters, "filter"),
        grouped(rules.refused.len() as u64),
    )];
    for refused in rules.refused.iter().take(REFUSED_SHOWN) {
        lines.push(format!("refused: {}: {}", refused.place, refused.reason));
    }
    if rules.refused.len() > REFUSED_SHOWN {
        let more = rules.refused.len() - REFUSED_SHOWN;
        lines.push(format!("and {more} more (`besa rules check` shows each)"));
    }
    if rules.not_applicable > 0 {
        lines.push(format!(
            "{} had no event of their log source: {}",
            counted(rules.not_applicable, "rule"),
            idle(account)
        ));
    }
    if account.hits_unplaced > 0 {
        lines.push(format!(
            "{} a correlation could not place: no time, or no field to group by",
            counted(account.hits_unplaced, "hit"),
        ));
    }
    if account.hits_dropped > 0 {
        lines.push(format!(
            "{} of correlations dropped to bound memory: findings may be missing",
            counted(account.hits_dropped, "group"),
        ));
    }
    lines
}

/// The log sources with the most rules that had nothing to look at.
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

fn defects(account: &Account) -> Vec<String> {
    let defects = &account.defects;
    if defects.count == 0 {
        return vec!["none".to_owned()];
    }
    let mut lines = vec![format!("{} could not be read; the rest was", counted(defects.count, "place"))];
    lines.extend(defects.first_texts.iter().cloned());
    if defects.count > SHOWN_MAX as u64 {
        lines.push(format!(
            "and {} more (--defects FILE has them all); by reason:",
            grouped(defects.count - SHOWN_MAX as u64)
        ));
        let mut reasons: Vec<_> = defects.by_reason.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        lines.extend(
            reasons.iter().take(5).map(|(reason, count)| format!("{:>9} × {reason}", grouped(**count))),
        );
    }
    lines
}

fn findings(account: &Account, paint: Paint) -> Vec<String> {
    let findings = &account.findings;
    if findings.total == 0 {
        return vec!["none".to_owned()];
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
    vec![format!(
        "{} of {}: {}",
        counted(findings.total, "finding"),
        counted(findings.rules, "rule"),
        levels.join(", ")
    )]
}
