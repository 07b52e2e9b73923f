//! `besa hunt`.

use std::path::Path;
use std::thread;

use anyhow::{Context as _, bail};
use besa_detect::Scope;
use serde_json::to_writer_pretty;

use super::report;
use crate::cli::{Format, HuntArgs};
use crate::hunt::defects::DefectLog;
use crate::hunt::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::hunt::knowledge::Knowledge;
use crate::hunt::progress::Progress;
use crate::hunt::{self, Hunted, Settings};
use crate::output::{self, Report};
use crate::terminal::Terminal;
use crate::{EXIT_ERROR, is_broken_pipe};

pub(super) fn hunt(arguments: &HuntArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    check_paths(arguments)?;
    let scope = Scope { level_min: arguments.level, from: arguments.from, to: arguments.to };
    let target = arguments.report_to.as_deref().map(|to| report::Target::open(to, arguments)).transpose()?;
    let keep_texts = arguments.format == Format::Stix || target.is_some();
    let knowledge = Knowledge::load(&arguments.rules, &arguments.intel, scope, keep_texts)?;
    let settings = Settings {
        evidence: arguments.evidence.clone(),
        workers: workers(arguments.jobs),
        carve: arguments.carve,
        defects: DefectLog::new(arguments.defects.as_deref()).context("cannot write the file of defects")?,
    };
    let interrupt = Interrupt::new();
    interrupt.listen();
    let progress = Progress::new(&arguments.evidence, terminal);
    let hunted = hunt::hunt(&knowledge, settings, &progress, &interrupt);
    progress.clear();
    let hunted = hunted?;
    write(arguments, &knowledge, &hunted, terminal)?;
    if let Some(path) = &arguments.account {
        write_account(path, &hunted)?;
    }
    terminal.say(&output::account_text(&hunted.account, terminal.err, terminal.width()));
    if let Some(target) = target {
        // After all else: what was found is on the disk, whether or not the node can be reached.
        report::send(&report(arguments, &knowledge, &hunted, terminal), &target, terminal)?;
    }
    Ok(exit_code(&hunted))
}

/// Threads to use: those asked for, or one for each core.
pub(super) fn workers(jobs: Option<u16>) -> usize {
    jobs.map(usize::from).unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// What was named and is not there is a mistake to be told at once; what is there and cannot be
/// read is a defect of the evidence.
fn check_paths(arguments: &HuntArgs) -> anyhow::Result<()> {
    for path in &arguments.evidence {
        if path.as_os_str() != "-"
            && path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        {
            bail!("evidence `{}` does not exist", path.display());
        }
    }
    if arguments.evidence.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        bail!("`-` is given twice; standard input can be read once");
    }
    Ok(())
}

fn to_file(arguments: &HuntArgs) -> Option<&Path> {
    arguments.out.as_deref().filter(|path| path.as_os_str() != "-")
}

fn report<'a>(
    arguments: &'a HuntArgs,
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
        tlp: arguments.tlp,
        creator: arguments.creator.as_deref(),
        now: hunt::now(),
        paint: if to_file(arguments).is_some() { crate::terminal::Paint(false) } else { terminal.out },
        width: terminal.width(),
    }
}

fn write(
    arguments: &HuntArgs,
    knowledge: &Knowledge,
    hunted: &Hunted,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let report = report(arguments, knowledge, hunted, terminal);
    if let Some(path) = to_file(arguments) {
        return output::write_file(path, &mut |out| output::write(arguments.format, &report, out));
    }
    let mut out = terminal.stdout();
    let written = output::write(arguments.format, &report, &mut out)
        .and_then(|()| Ok(std::io::Write::flush(&mut out)?));
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
fn exit_code(hunted: &Hunted) -> u8 {
    let account = &hunted.account;
    let nothing_read = account.events == 0 && account.defects.count > 0;
    match account.findings.total {
        0 if !account.complete => EXIT_INTERRUPTED,
        0 if nothing_read => EXIT_ERROR,
        0 => 0,
        _ => 1,
    }
}
