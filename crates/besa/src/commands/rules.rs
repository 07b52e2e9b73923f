//! `besa rules check` and `besa rules test`.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Context as _;
use besa_detect::Scope;
use besa_sigma::{Level, Placeholders, parse_rule};
use serde_json::json;

use super::input;
use crate::EXIT_ERROR;
use crate::cli::{RulesCheckArgs, RulesCommand, RulesTestArgs};
use crate::hunt::knowledge::{self, Knowledge};
use crate::terminal::{Terminal, counted, visible};

pub(super) fn run(command: &RulesCommand, terminal: &Terminal) -> anyhow::Result<u8> {
    match command {
        RulesCommand::Check(arguments) => check(arguments, terminal),
        RulesCommand::Test(arguments) => test(arguments, terminal),
    }
}

fn check(arguments: &RulesCheckArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let loaded = knowledge::load_rules(&arguments.rules(), false)?;
    let files = loaded.files;
    let knowledge = Knowledge::of_rules(loaded, Scope::default());
    let mut out = terminal.stdout();
    if arguments.json {
        check_json(&knowledge, files, &mut out)?;
    } else {
        check_text(&knowledge, files, terminal, &mut out)?;
    }
    out.flush()?;
    Ok(u8::from(!knowledge.refused.is_empty()))
}

fn check_text(
    knowledge: &Knowledge,
    files: u64,
    terminal: &Terminal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let set = knowledge.detector.rules();
    let paint = terminal.out;
    for refused in &knowledge.refused {
        writeln!(out, "{} {}: {}", paint.red("refused"), visible(&refused.place), visible(&refused.reason))?;
    }
    for warning in &set.warnings {
        writeln!(out, "{} {}", paint.yellow("warning"), visible(&warning.to_string()))?;
    }
    for (source, count) in by_log_source(knowledge) {
        writeln!(out, "{count:>9}  {}", visible(&source))?;
    }
    writeln!(
        out,
        "{} loaded, {}, {} from {}; {} refused, {}",
        counted(loaded_count(knowledge), "rule"),
        counted(set.correlations.len() as u64, "correlation"),
        counted(set.filters.len() as u64, "filter"),
        counted(files, "file"),
        knowledge.refused.len(),
        counted(set.warnings.len() as u64, "warning"),
    )?;
    Ok(())
}

fn check_json(knowledge: &Knowledge, files: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let set = knowledge.detector.rules();
    let warnings: Vec<_> = set
        .warnings
        .iter()
        .map(|warning| json!({"place": warning.place.to_string(), "title": warning.title, "id": warning.id, "message": warning.message}))
        .collect();
    let by_log_source: BTreeMap<_, _> = by_log_source(knowledge).into_iter().collect();
    let report = json!({
        "files": files,
        "loaded": loaded_count(knowledge),
        "correlations": set.correlations.len(),
        "filters": set.filters.len(),
        "refused": knowledge.refused,
        "warnings": warnings,
        "by_log_source": by_log_source,
        "by_level": by_level(knowledge),
    });
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)?;
    Ok(())
}

fn loaded_count(knowledge: &Knowledge) -> u64 {
    let broken = knowledge.refused.iter().filter(|refused| refused.kind == "compile").count();
    (knowledge.detector.rules().rules.len() - broken) as u64
}

/// Log sources with their rules, those with the most first.
fn by_log_source(knowledge: &Knowledge) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for rule in &knowledge.detector.rules().rules {
        *counts.entry(rule.logsource.to_string()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

fn by_level(knowledge: &Knowledge) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for rule in &knowledge.detector.rules().rules {
        *counts.entry(rule.meta.level.map_or("none", Level::as_str)).or_default() += 1;
    }
    counts
}

/// Prints `true`, `false` or the reason of refusal.
fn test(arguments: &RulesTestArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let bytes = input::read(&arguments.rule)?;
    let placeholders: Placeholders = arguments.placeholder.iter().cloned().collect();
    let origin = arguments.rule.display().to_string();
    let verdict = match parse_rule(&origin, &bytes, &placeholders) {
        Err(refusal) => Err(format!("{}: {}", refusal.place, refusal.reason)),
        Ok(rule) => {
            let event = input::read(&arguments.event)?;
            super::explain::matches_event(&rule, &event)
                .with_context(|| format!("event `{}`", arguments.event.display()))?
        }
    };
    let mut out = terminal.stdout();
    match (&verdict, arguments.json) {
        (Ok(matched), true) => writeln!(out, "{}", json!({"matched": matched}))?,
        (Err(reason), true) => writeln!(out, "{}", json!({"refused": reason}))?,
        (Ok(matched), false) => writeln!(out, "{matched}")?,
        (Err(reason), false) => writeln!(out, "refused: {}", visible(reason))?,
    }
    out.flush()?;
    Ok(match verdict {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(_) => EXIT_ERROR,
    })
}
