//! `besa scenario write`.

use std::io::Write;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::{ScenarioCommand, ScenarioWriteArgs};
use crate::scenario::{self, Options, Written};
use crate::terminal::{Terminal, counted, sized};

pub(super) fn run(command: &ScenarioCommand, terminal: &Terminal) -> anyhow::Result<u8> {
    match command {
        ScenarioCommand::Write(arguments) => write(arguments, terminal),
    }
}

fn write(arguments: &ScenarioWriteArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let options = Options { scale: arguments.scale, seed: arguments.seed };
    let written = write_shown(&arguments.dir, &options, terminal)?;
    let mut out = terminal.stdout();
    if arguments.json {
        let report = json!({
            "dir": arguments.dir, "scale": options.scale, "seed": options.seed, "files": written.files,
            "bytes": written.bytes, "events": written.events(), "benign": written.benign,
            "injected": written.injected, "lookalikes": written.traps,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{}", summary(&written))?;
        writeln!(out, "evidence in {}, what was put in: expected.json", arguments.dir.display())?;
    }
    out.flush()?;
    Ok(0)
}

/// Writes the scenario; on a terminal, shows how far it is.
pub(super) fn write_shown(
    dir: &std::path::Path,
    options: &Options,
    terminal: &Terminal,
) -> anyhow::Result<Written> {
    let bar = if terminal.interactive && !terminal.is_quiet() {
        indicatif::ProgressBar::no_length()
    } else {
        indicatif::ProgressBar::hidden()
    };
    if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:24.cyan/blue} writing {msg}") {
        bar.set_style(style);
    }
    let written = scenario::write(dir, options, &mut |progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(format!("{}, {}", progress.stream, counted(progress.events, "event")));
    });
    bar.finish_and_clear();
    written.with_context(|| format!("cannot write the scenario to `{}`", dir.display()))
}

/// One line.
pub(super) fn summary(written: &Written) -> String {
    format!(
        "{} in {} ({}): {} of the attack, {} that only look like it, {} of the everyday",
        counted(written.events(), "event"),
        counted(written.files, "file"),
        sized(written.bytes),
        written.injected,
        written.traps,
        written.benign,
    )
}
