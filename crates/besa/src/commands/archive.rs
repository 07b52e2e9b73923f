//! `besa archive`: events kept, looked after, and hunted through again.

mod export;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::{Context as _, bail};
use besa_archive::turns::{Budget, Turns};
use besa_archive::{Archive, Hold, Manifest, Retention, Upkeep, Window, Writer};
use besa_detect::Scope;
use besa_event::{LogSource, Timestamp};
use serde_json::{Value, json};

use super::hunt::{check_paths, exit_code, give, workers};
use crate::cli::{ArchiveAddArgs, ArchiveArgs, ArchiveCommand, ArchiveHoldArgs, ArchiveHuntArgs, Format};
use crate::hunt::defects::DefectLog;
use crate::hunt::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::hunt::keep::{self, Kept};
use crate::hunt::knowledge::Knowledge;
use crate::hunt::observables::observe;
use crate::hunt::progress::Progress;
use crate::hunt::retro::{self, Past};
use crate::hunt::{Hunted, Settings, now};
use crate::terminal::{Terminal, counted, sized, visible};

const DAY_NANOS: i64 = 86_400 * 1_000_000_000;

pub(super) fn run(command: &ArchiveCommand, terminal: &Terminal) -> anyhow::Result<u8> {
    match command {
        ArchiveCommand::Add(arguments) => add(arguments, terminal),
        ArchiveCommand::Hunt(arguments) => hunt(arguments, terminal),
        ArchiveCommand::Export(arguments) => export::export(arguments, terminal),
        ArchiveCommand::Stats { place, json } => stats(place, *json, terminal),
        ArchiveCommand::Verify { place } => verify(place, terminal),
        ArchiveCommand::Retain { place, days, source } => {
            let before = now().0.saturating_sub(i64::from(*days).saturating_mul(DAY_NANOS));
            let retention = Retention { before, sources: source.clone() };
            upkeep(place, terminal, &mut |writer| writer.retain(&retention, now()))
        }
        ArchiveCommand::Hold(arguments) => hold(arguments, terminal),
        ArchiveCommand::Compact { place } => {
            let interrupt = Interrupt::new();
            interrupt.listen();
            upkeep(place, terminal, &mut |writer| writer.compact(now(), &|| interrupt.is_stopped()))
        }
    }
}

fn open(place: &ArchiveArgs) -> anyhow::Result<Archive> {
    Ok(Archive::open(&place.archive)?)
}

/// For changing what is there; makes no archive.
fn change(place: &ArchiveArgs) -> anyhow::Result<Writer> {
    open(place)?;
    Ok(Writer::open(&place.archive, Some(observe()))?)
}

fn say(terminal: &Terminal, line: &str) -> anyhow::Result<()> {
    let mut out = terminal.stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn add(arguments: &ArchiveAddArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    check_paths(&arguments.evidence)?;
    let asked = &arguments.findings;
    let hunts = !(arguments.rules.rules.is_empty() && arguments.intel.is_empty());
    if hunts && arguments.json && asked.out.is_none() {
        bail!("findings and `--json` both go to standard output; give `--out FILE` for the findings");
    }
    let knowledge = if hunts {
        let scope = Scope { level_min: asked.level, from: asked.from, to: asked.to };
        Knowledge::load(&arguments.rules, &arguments.intel, scope, asked.format == Format::Stix)?
    } else {
        Knowledge::nothing()
    };
    let writer = Writer::open(&arguments.place.archive, Some(observe()))?;
    let settings = Settings {
        evidence: arguments.evidence.clone(),
        workers: workers(arguments.jobs),
        carve: arguments.carve,
        defects: DefectLog::new(asked.defects.as_deref()).context("cannot write the file of defects")?,
    };
    let interrupt = Interrupt::new();
    interrupt.listen();
    let progress = Progress::new(&arguments.evidence, terminal);
    let kept = keep::add(writer, &knowledge, settings, &progress, &interrupt);
    progress.clear();
    let kept = kept?;
    if arguments.json {
        say(terminal, &added(&kept).to_string())?;
    }
    terminal.say(&added_text(&kept));
    if hunts {
        give(asked, &knowledge, &kept.hunted, terminal)?;
        return Ok(exit_code(&kept.hunted));
    }
    let account = &kept.hunted.account;
    Ok(if !account.complete {
        EXIT_INTERRUPTED
    } else if account.events == 0 && account.defects.count > 0 {
        crate::EXIT_ERROR
    } else {
        0
    })
}

fn added(kept: &Kept) -> Value {
    let Kept { hunted: Hunted { account, .. }, receipt } = kept;
    json!({
        "complete": account.complete, "files": account.files, "bytes": account.bytes, "events": receipt.events,
        "defects": account.defects,
        "archive": {"version": receipt.version, "files_made": receipt.files, "bytes_made": receipt.bytes,
            "index_bytes_made": receipt.index_bytes},
    })
}

fn added_text(kept: &Kept) -> String {
    let Kept { hunted: Hunted { account, .. }, receipt } = kept;
    let mut text = String::new();
    if !account.complete {
        text.push_str("PARTIAL: it was interrupted; evidence behind this point is not in the archive.\n");
    }
    text.push_str(&format!(
        "{} of {} ({}) kept in {} ({}, and {} of index); {}\n",
        counted(receipt.events, "event"),
        counted(account.files, "file"),
        sized(account.bytes),
        counted(receipt.files, "file"),
        sized(receipt.bytes),
        sized(receipt.index_bytes),
        counted(account.defects.count, "defect"),
    ));
    for (place, reason) in &account.defects.first_texts {
        text.push_str(&format!("  {}{}\n", visible(place), visible(reason)));
    }
    text
}

fn hunt(arguments: &ArchiveHuntArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let asked = &arguments.findings;
    let scope = Scope { level_min: asked.level, from: asked.from, to: asked.to };
    let keep_texts = asked.format == Format::Stix;
    let knowledge = Knowledge::load(&arguments.rules, &arguments.intel, scope, keep_texts)?;
    let past = Past {
        archive: &arguments.place.archive,
        window: window(asked.from, asked.to),
        index: !arguments.no_index,
        workers: workers(arguments.jobs),
        turns: Turns::new(workers(arguments.jobs)).hunt("local", budget(arguments.budget)),
        defects: DefectLog::new(asked.defects.as_deref()).context("cannot write the file of defects")?,
    };
    let interrupt = Interrupt::new();
    interrupt.listen();
    let progress = Progress::new(&[], terminal);
    let hunted = retro::hunt(&knowledge, past, &progress, &interrupt);
    progress.clear();
    let hunted = hunted?;
    give(asked, &knowledge, &hunted, terminal)?;
    Ok(exit_code(&hunted))
}

fn budget(mib: Option<u32>) -> Budget {
    mib.map_or_else(Budget::default, |mib| Budget { bytes: u64::from(mib) << 20, ..Budget::default() })
}

fn window(from: Option<Timestamp>, to: Option<Timestamp>) -> Window {
    Window { from: from.map(|from| from.0), to: to.map(|to| to.0) }
}

fn stats(place: &ArchiveArgs, as_json: bool, terminal: &Terminal) -> anyhow::Result<u8> {
    let archive = open(place)?;
    let stats = stats_of(archive.manifest());
    if as_json {
        say(terminal, &stats.to_string())?;
        return Ok(0);
    }
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    say(
        terminal,
        &format!(
            "version {}: {} in {}, {} and {} of index; {} to {}; {}, {}",
            stats["version"],
            counted(number(&stats["events"]), "event"),
            counted(number(&stats["files"]), "file"),
            sized(number(&stats["bytes"])),
            sized(number(&stats["index"]["bytes"])),
            text(&stats["first"]),
            text(&stats["last"]),
            counted(number(&stats["partitions"]), "partition"),
            counted(stats["holds"].as_array().map_or(0, Vec::len) as u64, "hold"),
        ),
    )?;
    for source in stats["log_sources"].as_array().into_iter().flatten() {
        let events = counted(number(&source["events"]), "event");
        let bytes = sized(number(&source["bytes"]));
        say(terminal, &format!("{:<44} {events:>16} {bytes:>10}", visible(&text(&source["log_source"]))))?;
    }
    Ok(0)
}

fn stats_of(manifest: &Manifest) -> Value {
    let files = || manifest.files.values();
    let mut partitions: BTreeMap<_, u64> = BTreeMap::new();
    let mut sources: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    for file in files() {
        *partitions.entry((file.day, &file.source)).or_default() += 1;
        let of = sources.entry(LogSource::from(&file.source).to_string()).or_default();
        *of = (of.0 + 1, of.1 + file.rows, of.2 + file.bytes);
    }
    let runs = manifest.runs.values().filter(|run| run.observes == observe().version());
    let covered: BTreeSet<_> = runs.flat_map(|run| &run.files).collect();
    let indexed = manifest.files.keys().filter(|file| covered.contains(file)).count();
    let time = |at: Option<i64>| at.map(|at| Timestamp(at).rfc3339(3));
    let sources = sources.into_iter().map(
        |(name, (files, events, bytes))| json!({"log_source": name, "files": files, "events": events, "bytes": bytes}),
    );
    json!({
        "version": manifest.version,
        "partitions": partitions.len(),
        "files": manifest.files.len(),
        "events": manifest.events(),
        "bytes": files().map(|file| file.bytes).sum::<u64>(),
        "index": {
            "runs": manifest.runs.len(),
            "bytes": manifest.runs.values().map(|run| run.bytes).sum::<u64>(),
            "files": indexed,
        },
        "first": time(files().filter_map(|file| Some(file.span()?.0)).min()),
        "last": time(files().filter_map(|file| Some(file.span()?.1)).max()),
        "log_sources": sources.collect::<Vec<_>>(),
        "holds": manifest.holds.values().collect::<Vec<_>>(),
    })
}

fn verify(place: &ArchiveArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let interrupt = Interrupt::new();
    interrupt.listen();
    let verified = open(place)?.verify(Some(&observe()), &|| interrupt.is_stopped())?;
    for defect in &verified.defects {
        say(terminal, &visible(&defect.reason))?;
    }
    let (files, events) = (counted(verified.files, "file"), counted(verified.events, "event"));
    let defects = counted(verified.defects.len() as u64, "defect");
    let indexed = verified.files_indexed;
    say(terminal, &format!("{files}, {events} read; {indexed} held against the index; {defects}"))?;
    if verified.files_without_run > 0 {
        let without = counted(verified.files_without_run, "file");
        say(terminal, &format!("{without} without an index; `besa archive compact` makes it"))?;
    }
    Ok(u8::from(!verified.defects.is_empty()))
}

fn hold(arguments: &ArchiveHoldArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let mut writer = change(&arguments.place)?;
    let case = arguments.case.clone();
    if arguments.release {
        writer.release(&case)?;
        terminal.say(&format!("the hold of case `{}` is released\n", visible(&case)));
        return Ok(0);
    }
    let window = window(arguments.from, arguments.to);
    let hold = Hold { case, window, sources: arguments.source.clone(), placed: now().0 };
    let held = writer.manifest().files.values().filter(|file| hold.touches(file)).count();
    let said = format!("case `{}` holds {}\n", visible(&hold.case), counted(held as u64, "file"));
    writer.hold(hold)?;
    terminal.say(&said);
    Ok(0)
}

fn upkeep(
    place: &ArchiveArgs,
    terminal: &Terminal,
    work: &mut dyn FnMut(&mut Writer) -> besa_archive::Result<Upkeep>,
) -> anyhow::Result<u8> {
    let mut writer = change(place)?;
    let done = work(&mut writer)?;
    let collected = writer.collect(now())?;
    terminal.say(&format!(
        "{} removed, {} made, {} deleted, {} kept by holds, {} collected; \
         index: {} merged, {} made anew, {} dropped\n",
        counted(done.files_removed, "file"),
        done.files_made,
        counted(done.events_removed, "event"),
        done.files_held,
        counted(collected, "object"),
        counted(done.runs.merged, "run"),
        done.runs.rebuilt,
        done.runs.dropped,
    ));
    Ok(0)
}
