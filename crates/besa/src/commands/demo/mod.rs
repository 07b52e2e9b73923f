//! `besa demo`: writes the scenario, hunts it as any evidence is hunted, and holds what was found
//! against the published facts and against the key of what was put in.
//!
//! Nothing here knows what will be found: each line comes out of the hunt. The key is read after
//! the hunt and only to count.

mod allies;
mod key;
mod show;
mod story;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use besa_detect::Scope;
use besa_sigma::Level;

use super::{hunt::workers, scenario::write_shown};
use crate::cli::{DemoArgs, IntelArgs, RuleArgs};
use crate::hunt::defects::DefectLog;
use crate::hunt::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::hunt::knowledge::Knowledge;
use crate::hunt::progress::Progress;
use crate::hunt::{self, Hunted, Settings};
use crate::scenario::{MEMBERS, Options, Written};
use crate::terminal::Terminal;
use allies::Allied;
use key::KeyResult;
use story::Story;

/// Everything that is shown.
struct Demo<'a> {
    dir: &'a Path,
    /// Whether the evidence is still there afterwards.
    kept: bool,
    written: Written,
    hunted: &'a Hunted,
    story: Story<'a>,
    key: KeyResult,
    allied: Allied,
}

/// A file name or a command alone, which indicators of low confidence name, is seen on machines
/// that nobody attacked: scanners ask for the names of web shells everywhere.
const SCOPE: Scope = Scope { level_min: Some(Level::Medium), from: None, to: None };

pub(super) fn demo(arguments: &DemoArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let mut temporary = match &arguments.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("besa-demo-").tempdir().context("no temporary folder")?),
    };
    let dir: PathBuf = match (&arguments.dir, &temporary) {
        (Some(dir), _) => dir.clone(),
        (None, Some(temporary)) => temporary.path().to_path_buf(),
        (None, None) => PathBuf::new(),
    };
    let options = Options { scale: arguments.scale, seed: arguments.seed };
    let written = write_shown(&dir, &options, terminal)?;
    // The published indicators alone: those that the replay invented are for the allies to share.
    let published =
        IntelArgs { intel: vec![dir.join("intel").join("homeland-justice.json")], ..IntelArgs::default() };
    let knowledge = Knowledge::load(&RuleArgs::default(), &published, SCOPE, false)?;
    let Some(hunted) = run(&dir, &knowledge, terminal)? else {
        terminal.say("Interrupted.\n");
        return Ok(EXIT_INTERRUPTED);
    };
    let allied = allies::play(&dir, !arguments.exit, terminal)?;
    if let Some(temporary) = temporary.as_mut() {
        // Nodes that go on need their data.
        temporary.disable_cleanup(!arguments.exit);
    }
    let demo = Demo {
        dir: &dir,
        allied,
        kept: temporary.is_none() || !arguments.exit,
        written,
        story: Story::of(&dir, &hunted)?,
        key: key::hold_against(&dir, &hunted)?,
        hunted: &hunted,
    };
    let mut out = terminal.stdout();
    if arguments.json {
        writeln!(out, "{:#}", show::json(&demo))?;
    } else {
        show::text(&demo, terminal, &mut out)?;
    }
    out.flush()?;
    Ok(0)
}

/// Hunts the members' evidence; `None` if Ctrl-C ended it.
fn run(dir: &Path, knowledge: &Knowledge, terminal: &Terminal) -> anyhow::Result<Option<Hunted>> {
    let evidence: Vec<PathBuf> = MEMBERS.iter().map(|member| dir.join(member)).collect();
    let interrupt = Interrupt::new();
    interrupt.listen();
    let progress = Progress::new(&evidence, terminal);
    let settings = Settings { evidence, workers: workers(None), carve: false, defects: DefectLog::default() };
    let hunted = hunt::hunt(knowledge, settings, &progress, &interrupt);
    progress.clear();
    let hunted = hunted?;
    Ok(hunted.account.complete.then_some(hunted))
}

/// Member and path below the scenario's folder of a place in evidence; container members are cut.
fn below<'p>(dir: &Path, path: &'p str) -> Option<(&'p str, &'p str)> {
    let file = path.split('!').next().unwrap_or(path);
    let rest = file.strip_prefix(dir.to_str()?)?.trim_start_matches(std::path::MAIN_SEPARATOR);
    let member = rest.split(std::path::MAIN_SEPARATOR).next()?;
    Some((member, rest))
}
