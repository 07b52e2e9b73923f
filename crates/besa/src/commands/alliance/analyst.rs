//! What waits for an analyst: objects in quarantine, and answers to confirm.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use besa_alliance::entry::Entry;
use besa_alliance::intake::{Arrivals, Decision, Intake, Limits, Verdict, Word, fingerprint};
use besa_alliance::signed::{Kind, id_of};
use besa_intel::PageQuery;
use besa_node::hunt::{Pending, send};
use besa_node::node::Desk;
use besa_server::now;
use serde_json::{Value, json};

use super::super::intake::foreign;
use super::super::node::{log, note, say};
use super::desk;
use crate::cli::{AnswersCommand, DecideArgs, QuarantineCommand};
use crate::terminal::{Terminal, counted, visible};

pub(super) fn quarantine(command: &QuarantineCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        QuarantineCommand::List { json, data } => list(&desk(data)?, *json),
        QuarantineCommand::Release(arguments) => decide(arguments, Word::Release, terminal),
        QuarantineCommand::Deny(arguments) => decide(arguments, Word::Deny, terminal),
    }
}

fn list(desk: &Desk, as_json: bool) -> Result<u8> {
    let assets = desk.home.assets(&desk.settings)?;
    let decisions = desk.home.decisions()?;
    let intake = Intake {
        assets: &assets,
        limits: Limits::default(),
        now: now(),
        checker: Some(&foreign),
        decisions: &decisions,
    };
    let mut query = PageQuery::default();
    loop {
        let page = desk.store.page(desk.places.quarantine, &query)?;
        for entry in &page.entries {
            let object: Value = serde_json::from_str(&entry.raw)?;
            let verdict = intake.check(&entry.raw, Arrivals::default());
            let reasons = match &verdict {
                Verdict::Accept => &[][..],
                Verdict::Quarantine(reasons) | Verdict::Refuse(reasons) => reasons.as_slice(),
            };
            if as_json {
                let from = &object["created_by_ref"];
                say(
                    json!({"id": object["id"], "created_by_ref": from, "pattern": object["pattern"], "reasons": reasons}),
                )?;
                continue;
            }
            let text = |name: &str| visible(object[name].as_str().unwrap_or_default()).to_string();
            say(format_args!("{}  by {}  {}", text("id"), text("created_by_ref"), text("pattern")))?;
            for reason in reasons {
                say(format_args!("    {}", visible(&reason.why)))?;
            }
        }
        if !page.more {
            return Ok(0);
        }
        query.after = page.next;
    }
}

fn decide(arguments: &DecideArgs, word: Word, terminal: &Terminal) -> Result<u8> {
    let desk = desk(&arguments.data)?;
    let stored = desk.store.object(&arguments.object, None)?;
    let stored = stored.with_context(|| format!("the store has no `{}`", arguments.object))?;
    let value: Value = serde_json::from_str(&stored.raw)?;
    let analyst = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    desk.home.decide(&Decision {
        object: stored.id.clone(),
        sha256: fingerprint(&value).context("the object has no canonical form")?,
        word,
        analyst,
        at: now().to_millis_text(),
        why: arguments.why.clone(),
    })?;
    let done = if word == Word::Release { "quarantine release" } else { "quarantine deny" };
    log(desk.store.as_ref(), done, &stored.id)?;
    note(terminal, "kept; the running node does it at once");
    Ok(0)
}

pub(super) fn answers(command: &AnswersCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        AnswersCommand::List { json, data } => {
            for (name, pending) in drafts(&desk(data)?)? {
                let hits = pending.sightings.iter().filter(|text| is_hit(text)).count() as u64;
                if *json {
                    say(
                        json!({"release": name, "ally": pending.question.entry_member, "sightings": pending.sightings, "hits": hits}),
                    )?;
                } else {
                    let all = counted(pending.sightings.len() as u64, "sighting");
                    say(format_args!(
                        "{name}  to {}: {all}, {hits} with a hit",
                        pending.question.entry_member
                    ))?;
                }
            }
            Ok(0)
        }
        AnswersCommand::Confirm { release, data } => {
            let desk = desk(data)?;
            let (path, pending) = draft(&desk, release)?;
            let id = id_of(Kind::Release, &pending.question.entry_sha256);
            let question = desk.store.object(&id, None)?.context("the release is not in the store")?;
            let question = Entry::parse(&question.raw)?;
            send(&desk.known.directory, &desk.journal, &question, &pending.sightings, now())?;
            std::fs::remove_file(&path).with_context(|| format!("`{}`", path.display()))?;
            log(desk.store.as_ref(), "answer confirm", release)?;
            note(terminal, "signed; the running node delivers it");
            Ok(0)
        }
        AnswersCommand::Drop { release, data } => {
            let desk = desk(data)?;
            let (path, _) = draft(&desk, release)?;
            std::fs::remove_file(&path).with_context(|| format!("`{}`", path.display()))?;
            log(desk.store.as_ref(), "answer drop", release)?;
            Ok(0)
        }
    }
}

fn is_hit(sighting: &str) -> bool {
    serde_json::from_str::<Value>(sighting).is_ok_and(|one| one["count"].as_u64().unwrap_or(0) > 0)
}

fn drafts(desk: &Desk) -> Result<Vec<(String, Pending)>> {
    let folder = desk.home.file("pending");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("`{}`", folder.display()))?;
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push((name.clone(), draft(desk, &name)?.1));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn draft(desk: &Desk, name: &str) -> Result<(PathBuf, Pending)> {
    if !name.chars().all(|letter| letter.is_ascii_hexdigit()) {
        bail!("`{name}` is no hash of a release; `besa alliance answers list` shows them");
    }
    let path = desk.home.file(&format!("pending/{name}.json"));
    let bytes = std::fs::read(&path).with_context(|| format!("no answer waits for `{name}`"))?;
    Ok((path, serde_json::from_slice(&bytes)?))
}
