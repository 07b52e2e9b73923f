//! `besa hunt`.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, bail};
use besa_detect::Scope;
use serde_json::to_writer_pretty;

use super::report;
use crate::cli::{FindingsArgs, Format, HuntArgs};
use crate::hunt::defects::DefectLog;
use crate::hunt::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::hunt::knowledge::Knowledge;
use crate::hunt::progress::Progress;
use crate::hunt::{self, Hunted, Settings};
use crate::output::{self, Report};
use crate::terminal::Terminal;
use crate::{EXIT_ERROR, is_broken_pipe};

pub(super) fn hunt(arguments: &HuntArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    check_paths(&arguments.evidence)?;
    let asked = &arguments.findings;
    let scope = Scope { level_min: asked.level, from: asked.from, to: asked.to };
    let target = arguments.report_to.as_deref().map(|to| report::Target::open(to, arguments)).transpose()?;
    let keep_texts = asked.format == Format::Stix || target.is_some();
    let knowledge = Knowledge::load(&arguments.rules, &arguments.intel, scope, keep_texts)?;
    let settings = Settings {
        evidence: arguments.evidence.clone(),
        workers: workers(arguments.jobs),
        carve: arguments.carve,
        defects: DefectLog::new(asked.defects.as_deref()).context("cannot write the file of defects")?,
    };
    let interrupt = Interrupt::new();
    interrupt.listen();
    let progress = Progress::new(&arguments.evidence, terminal);
    let hunted = hunt::hunt(&knowledge, settings, &progress, &interrupt);
    progress.clear();
    let hunted = hunted?;
    give(asked, &knowledge, &hunted, terminal)?;
    if let Some(target) = target {
        // After all else: what was found is on the disk, whether or not the node can be reached.
        report::send(&report(asked, &knowledge, &hunted, terminal), &target, terminal)?;
    }
    Ok(exit_code(&hunted))
}

/// Findings and account to where they were asked for.
pub(super) fn give(
    asked: &FindingsArgs,
    knowledge: &Knowledge,
    hunted: &Hunted,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    write(asked, knowledge, hunted, terminal)?;
    if let Some(path) = &asked.account {
        write_account(path, hunted)?;
    }
    terminal.say(&output::account_text(&hunted.account, terminal.err, terminal.width()));
    Ok(())
}

/// Threads to use: those asked for, or one for each core.
pub(super) fn workers(jobs: Option<u16>) -> usize {
    jobs.map(usize::from).unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// What was named and is not there is a mistake to be told at once; what is there and cannot be
/// read is a defect of the evidence.
pub(super) fn check_paths(evidence: &[PathBuf]) -> anyhow::Result<()> {
    for path in evidence {
        if path.as_os_str() != "-"
            && path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        {
            bail!("evidence `{}` does not exist", path.display());
        }
    }
    if evidence.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        bail!("`-` is given twice; standard input can be read once");
    }
    Ok(())
}

fn to_file(asked: &FindingsArgs) -> Option<&Path> {
    asked.out.as_deref().filter(|path| path.as_os_str() != "-")
}

fn report<'a>(
    asked: &'a FindingsArgs,
    knowledge: &'a Knowledge,
    hunted: &'a Hunted,
    terminal: &Terminal,
) -> Report<'a> {
    Report {
        detector: &knowledge.detector,
        findings: &hunted.findings,
        summary: &hunted.summary,
        account: &hunted.account,
        texts: &knowledge.texts,
        tlp: asked.tlp,
        creator: asked.creator.as_deref(),
        now: hunt::now(),
        paint: if to_file(asked).is_some() { crate::terminal::Paint(false) } else { terminal.out },
        width: terminal.width(),
    }
}

fn write(
    asked: &FindingsArgs,
    knowledge: &Knowledge,
    hunted: &Hunted,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let report = report(asked, knowledge, hunted, terminal);
    if let Some(path) = to_file(asked) {
        return output::write_file(path, &mut |out| output::write(asked.format, &report, out));
    }
    let mut out = terminal.stdout();
    let written =
        output::write(asked.format, &report, &mut out).and_then(|()| Ok(std::io::Write::flush(&mut out)?));
    match written {
        // Who reads has seen enough; the account and the exit code still tell the whole.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        written => written.context("cannot write findings to standard output"),
    }
}

fn write_account(path: &Path, hunted: &Hunted) -> anyhow::Result<()> {
    output::write_file(path, &mut |out| {
        to_writer_pretty(&mut *out, &hunted.account)?;
        out.write_all(b"\n")?;
        Ok(())
    })
}

/// An unfinished hunt without findings, or one that could read nothing at all, must not look
/// like a clean one.
pub(super) fn exit_code(hunted: &Hunted) -> u8 {
    let account = &hunted.account;
    let nothing_read = account.events == 0 && account.defects.count > 0;
    let missing = account
        .coverage
        .as_ref()
        .is_some_and(|coverage| !coverage.files_missing.is_empty() || coverage.over_budget.is_some());
    match account.findings.total {
        0 if !account.complete => EXIT_INTERRUPTED,
        0 if nothing_read || missing => EXIT_ERROR,
        0 => 0,
        _ => 1,
    }
}
