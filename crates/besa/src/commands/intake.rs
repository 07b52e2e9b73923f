//! `besa intake check`: the poison defence on a file.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use anyhow::Result;
use besa_alliance::intake::{Arrivals, Assets, Decision, Intake, Limits, Verdict};
use besa_node::home::Home;
use besa_sigma::Placeholders;
use besa_stix::bundle::read_objects;
use serde_json::json;

use super::{input, release::moment};
use crate::cli::IntakeCommand;
use crate::terminal::{Terminal, visible};

pub(super) fn run(command: &IntakeCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        IntakeCommand::Check { file, assets, data, at, json } => {
            check(file, &Known::of(&data.folder(), assets.as_deref())?, at.as_deref(), *json, terminal)
        }
    }
}

/// What a member's node judges by: its assets, and what its analysts have decided.
struct Known {
    assets: Assets,
    decisions: Vec<Decision>,
}

impl Known {
    /// Of a data folder that has joined an alliance; assets given come before its own.
    fn of(data: &Path, assets: Option<&Path>) -> Result<Self> {
        let home = Home::below(data);
        let given =
            |path: &Path| Assets::read(&input::read(path)?).with_context(|| format!("`{}`", path.display()));
        let joined = home.exists();
        Ok(Self {
            assets: match assets {
                Some(path) => given(path)?,
                None if joined => home.assets(&home.settings()?)?,
                None => Assets::default(),
            },
            decisions: if joined { home.decisions()? } else { Vec::new() },
        })
    }
}

fn check(file: &Path, known: &Known, at: Option<&str>, json: bool, terminal: &Terminal) -> Result<u8> {
    let read = read_objects(&input::read(file)?)?;
    let intake = Intake {
        assets: &known.assets,
        limits: Limits::default(),
        now: moment(at)?,
        checker: Some(&foreign),
        decisions: &known.decisions,
    };
    let mut out = terminal.stdout();
    let mut held = !read.defects.is_empty();
    for defect in &read.defects {
        let line = json!({"object": defect.id, "verdict": "refuse", "reasons": [{"check": "invalid", "why": defect.reason}]});
        let name = defect.id.clone().unwrap_or_else(|| format!("object {}", defect.index));
        let text = format!("refuse     {name}\n             invalid: {}", defect.reason);
        write(&mut out, json, &line, &text)?;
    }
    for (number, object) in read.objects.iter().enumerate() {
        let arrived = number as u64 + 1;
        let verdict = intake.check(object.raw(), Arrivals { in_release: arrived, in_window: arrived });
        held |= verdict != Verdict::Accept;
        let id = &object.header().id;
        let mut line = serde_json::to_value(&verdict)?;
        if let Some(line) = line.as_object_mut() {
            line.insert("object".to_owned(), id.clone().into());
        }
        write(&mut out, json, &line, &shown(id, &verdict))?;
    }
    out.flush()?;
    Ok(u8::from(held))
}

/// Sigma rules are judged by whether they load; of other languages nobody here knows anything.
pub(super) fn foreign(language: &str, text: &str) -> Option<Vec<String>> {
    if language != "sigma" {
        return None;
    }
    let rule = besa_sigma::parse_rule("the indicator", text.as_bytes(), &Placeholders::default());
    Some(rule.err().map(|refusal| refusal.to_string()).into_iter().collect())
}

fn write(out: &mut dyn Write, json: bool, line: &serde_json::Value, text: &str) -> Result<()> {
    if json {
        writeln!(out, "{line}")?;
    } else {
        for line in text.lines() {
            writeln!(out, "{}", visible(line))?;
        }
    }
    Ok(())
}

fn shown(id: &str, verdict: &Verdict) -> String {
    let (word, reasons) = match verdict {
        Verdict::Accept => ("accept", &[][..]),
        Verdict::Quarantine(reasons) => ("quarantine", reasons.as_slice()),
        Verdict::Refuse(reasons) => ("refuse", reasons.as_slice()),
    };
    let reasons = reasons.iter().map(|reason| format!("\n             {}", reason.why));
    format!("{word:<10} {id}{}", reasons.collect::<String>())
}
