//! `besa intel`: objects in and out of the store by hand.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use besa_intel::account::fresh_uuid;
use besa_intel::{Batch, PageQuery, Store, Stored, Time, Verdict, VersionFilter, prepare_all};
use besa_server::now;

use super::node::{collection, log, note, refused, say};
use crate::cli::{DataArgs, IntelCommand};
use crate::terminal::Terminal;

/// Objects taken in one transaction.
const BATCH_MAX: usize = 5_000;

pub(super) fn run(command: &IntelCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        IntelCommand::Import { files, collection, data } => {
            import(files, collection.as_deref(), data, terminal)
        }
        IntelCommand::Export { collection, all_versions, data } => {
            export(collection.as_deref(), *all_versions, data, terminal)
        }
        IntelCommand::Get { id, version, history, data } => {
            let store = data.open()?;
            let found = if *history {
                store.versions(id)?
            } else {
                let version = version.as_deref().map(Time::parse).transpose()?;
                store.object(id, version)?.into_iter().collect()
            };
            for one in &found {
                if *history {
                    let when = besa_intel::micros_text(one.received);
                    note(
                        terminal,
                        format_args!("{} from {} at {when} in {}", one.version, one.who, one.request),
                    );
                }
                say(&one.raw)?;
            }
            Ok(u8::from(found.is_empty()))
        }
        IntelCommand::Search { words, value, references, object_type, limit, data } => {
            let store = data.open()?;
            let find = |after, limit| -> Result<Vec<Stored>> {
                Ok(match (words, value, references, object_type) {
                    (Some(words), ..) => store.search(words, after, limit)?,
                    (_, Some(value), ..) => store.by_observable(value, after, limit)?,
                    (.., Some(id), _) => store.by_reference(id, None, after, limit)?,
                    (.., Some(object_type)) => store.by_type(object_type, after, limit)?,
                    _ => bail!("say what to look for: words, --value, --references or --type"),
                })
            };
            let (mut after, mut printed) = (0, 0);
            while printed < *limit {
                let found = find(after, (*limit - printed).min(1_000))?;
                let Some(last) = found.last() else { break };
                after = last.seq;
                printed += found.len();
                for one in &found {
                    say(&one.raw)?;
                }
            }
            Ok(u8::from(printed == 0))
        }
    }
}

fn import(files: &[PathBuf], into: Option<&str>, data: &DataArgs, terminal: &Terminal) -> Result<u8> {
    let store = data.open()?;
    let directory = store.directory()?;
    let into = into.map(|name| collection(&directory, name)).transpose()?.map(|found| found.key);
    let (mut added, mut known, mut failed) = (0u64, 0u64, 0u64);
    for file in files {
        let name = file.display().to_string();
        let mut bytes = Vec::new();
        if name == "-" {
            std::io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
        } else {
            bytes = std::fs::read(file).with_context(|| format!("cannot read `{name}`"))?;
        }
        let mut objects = prepare_all(&bytes).with_context(|| format!("`{name}`"))?;
        while !objects.is_empty() {
            let rest = objects.split_off(objects.len().min(BATCH_MAX));
            let batch = std::mem::replace(&mut objects, rest);
            let receipt = store.add_objects(Batch::new(&format!("file {name}"), now(), into, batch))?;
            for outcome in receipt.outcomes.unwrap_or_default() {
                match outcome.verdict {
                    Verdict::Added => added += 1,
                    Verdict::Known => known += 1,
                    Verdict::Conflict | Verdict::Refused => {
                        failed += 1;
                        refused(terminal, format_args!("{name}: {}: {}", outcome.id, outcome.message));
                    }
                }
            }
        }
        log(store.as_ref(), "intel import", &name)?;
    }
    note(terminal, format_args!("{added} added, {known} known, {failed} refused or in conflict"));
    Ok(u8::from(failed > 0))
}

fn export(from: Option<&str>, all_versions: bool, data: &DataArgs, terminal: &Terminal) -> Result<u8> {
    let store = data.open()?;
    let mut out = terminal.stdout();
    write!(out, "{{\"type\":\"bundle\",\"id\":\"bundle--{}\"", fresh_uuid()?)?;
    let mut count = 0u64;
    let mut each = |raw: &str| -> Result<()> {
        let before = if count == 0 { ",\"objects\":[\n" } else { ",\n" };
        count += 1;
        Ok(write!(out, "{before}{raw}")?)
    };
    match from {
        Some(name) => export_collection(store.as_ref(), name, all_versions, &mut each)?,
        None => {
            let mut after = 0;
            loop {
                let found = store.since(after, 1_000)?;
                let Some(last) = found.last() else { break };
                after = last.seq;
                found.iter().try_for_each(|one| each(&one.raw))?;
            }
        }
    }
    // The standard forbids an empty list.
    out.write_all(if count == 0 { b"}\n" } else { b"\n]}\n" })?;
    out.flush()?;
    Ok(0)
}

fn export_collection(
    store: &dyn Store,
    name: &str,
    all_versions: bool,
    each: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let key = collection(&store.directory()?, name)?.key;
    let versions = if all_versions { VersionFilter::all() } else { VersionFilter::last() };
    let specs = all_versions.then(|| vec![20, 21]);
    let mut query = PageQuery { versions, specs, ..PageQuery::default() };
    loop {
        let page = store.page(key, &query)?;
        page.entries.iter().try_for_each(|entry| each(&entry.raw))?;
        if !page.more {
            return Ok(());
        }
        query.after = page.next;
    }
}
