//! `besa follow`: a hunt through logs that grow.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use besa_detect::{Finding, Scope};
use besa_event::{Defect, Place};

use crate::cli::{FollowArgs, IntelArgs};
use crate::hunt::allies::{Armed, InUse};
use crate::hunt::follow::{FILES_MAX, Lane, Notice, Piece, Seen, Trail};
use crate::hunt::interrupt::Interrupt;
use crate::hunt::knowledge::Knowledge;
use crate::output;
use crate::terminal::{Terminal, counted, visible};

/// How often the logs are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often is looked whether this node uses something new of its allies'.
const ARM_EVERY: Duration = Duration::from_secs(1);
/// Defects of one piece that are said one by one.
const DEFECTS_SAID_MAX: usize = 3;

pub(super) fn follow(arguments: &FollowArgs, terminal: &Terminal) -> Result<u8> {
    let scope = Scope { level_min: arguments.level, ..Scope::default() };
    // What the allies release changes while this runs, and is compiled apart: the windows of the
    // rules' correlations stay as they are.
    let own = IntelArgs { allies: None, ..arguments.intel.clone() };
    let knowledge = Knowledge::load(&arguments.rules, &own, scope, false)?;
    let mut in_use = arguments.intel.allies.as_deref().map(InUse::open).transpose()?;
    let interrupt = Interrupt::new();
    interrupt.listen();
    let mut run = Run {
        trail: Trail::new(arguments.paths.clone(), arguments.from_start),
        rules: Lane::new(&knowledge.detector),
        out: Out { json: arguments.json, terminal, found: 0 },
    };
    let mut armed = in_use.as_mut().map(InUse::changed).transpose()?.flatten();
    loop {
        let allies = armed.map(|armed| {
            run.out.say(&format!("{} of allies armed", counted(armed.count, "indicator")));
            Knowledge::of_intel("allies", &armed.list, scope)
        });
        armed = run.until_armed_anew(allies.as_ref(), in_use.as_mut(), &interrupt)?;
        if armed.is_none() {
            run.end();
            return Ok(0);
        }
    }
}

struct Run<'a> {
    trail: Trail,
    rules: Lane<'a>,
    out: Out<'a>,
}

impl Run<'_> {
    /// Follows until the allies' indicators are others, which it gives, or to the end.
    fn until_armed_anew(
        &mut self,
        allies: Option<&Knowledge>,
        mut in_use: Option<&mut InUse>,
        interrupt: &Interrupt,
    ) -> Result<Option<Armed>> {
        let mut allies = allies.map(|allies| Lane::new(&allies.detector));
        let mut asked = Instant::now();
        loop {
            self.look(allies.as_mut())?;
            if interrupt.is_stopped() {
                self.settle(allies.as_mut(), true)?;
                return Ok(None);
            }
            self.settle(allies.as_mut(), false)?;
            if asked.elapsed() >= ARM_EVERY
                && let Some(in_use) = in_use.as_deref_mut()
            {
                asked = Instant::now();
                if let Some(armed) = in_use.changed()? {
                    // What the old ones have met by halves is judged as it stands.
                    self.out.settled(allies.as_mut(), true)?;
                    return Ok(Some(armed));
                }
            }
            interrupt.waiting().recv_timeout(LOOK).ok();
        }
    }

    /// Takes what has been appended.
    fn look(&mut self, mut allies: Option<&mut Lane<'_>>) -> Result<()> {
        let Self { trail, rules, out } = self;
        let mut result = Ok(());
        trail.poll(&mut |seen| match seen {
            Seen::Piece(piece) if result.is_ok() => result = out.piece(&piece, rules, allies.as_deref_mut()),
            Seen::Piece(_) => {}
            Seen::Notice(notice) => out.say(&notice_text(&notice)),
        });
        result
    }

    /// Gives what correlations have come to.
    fn settle(&mut self, allies: Option<&mut Lane<'_>>, is_end: bool) -> Result<()> {
        self.out.settled(Some(&mut self.rules), is_end)?;
        self.out.settled(allies, is_end)
    }

    fn end(&self) {
        let (events, files) = (counted(self.rules.events, "event"), self.trail.len() as u64);
        let (found, unread) = (counted(self.out.found, "finding"), counted(self.rules.defects, "defect"));
        self.out.say(&format!("stopped: {events} of {}, {found}, {unread}", counted(files, "file")));
        if self.rules.late > 0 {
            self.out.say(&format!("{} came too late to be held against correlations", self.rules.late));
        }
    }
}

/// Where findings go as they come.
struct Out<'a> {
    json: bool,
    terminal: &'a Terminal,
    found: u64,
}

impl Out<'_> {
    /// What one piece holds; what cannot be read in it is said once.
    fn piece(&mut self, piece: &Piece, rules: &mut Lane<'_>, allies: Option<&mut Lane<'_>>) -> Result<()> {
        let (found, defects) = rules.take(piece);
        self.defects(&defects);
        self.findings(rules, &found)?;
        let Some(allies) = allies else { return Ok(()) };
        let (found, _) = allies.take(piece);
        self.findings(allies, &found)
    }

    fn settled(&mut self, lane: Option<&mut Lane<'_>>, is_end: bool) -> Result<()> {
        let Some(lane) = lane else { return Ok(()) };
        let found = lane.settle(is_end);
        self.findings(lane, &found)
    }

    fn say(&self, text: &str) {
        self.terminal.say(&format!("{}\n", visible(text)));
    }

    fn findings(&mut self, lane: &Lane<'_>, findings: &[Finding]) -> Result<()> {
        if findings.is_empty() {
            return Ok(());
        }
        let mut out = self.terminal.stdout();
        for finding in findings {
            let Some(rule) = lane.summary.rules.get(&finding.rule) else { continue };
            output::write_one(self.json, finding, rule, lane.detector(), self.terminal.out, &mut out)
                .context("cannot write findings to standard output")?;
        }
        self.found += findings.len() as u64;
        // Whoever reads them waits for them now.
        out.flush().context("cannot write findings to standard output")
    }

    fn defects(&self, defects: &[Defect]) {
        for defect in defects.iter().take(DEFECTS_SAID_MAX) {
            let place = match defect.place {
                Place::Record(record) => format!(":{record}"),
                Place::Offset(_) | Place::Whole => String::new(),
            };
            self.say(&format!("not read: {}{place}: {}", defect.origin.path, defect.reason));
        }
        let more = defects.len().saturating_sub(DEFECTS_SAID_MAX);
        if more > 0 {
            self.say(&format!("and {} more", counted(more as u64, "defect")));
        }
    }
}

fn notice_text(notice: &Notice) -> String {
    match notice {
        Notice::Begun(path) => format!("following {}", path.display()),
        Notice::Renamed(from, to) => format!("{} is {} now", from.display(), to.display()),
        Notice::Shortened(path) => format!("{} was cut short; it is read from its start", path.display()),
        Notice::Binary(path) => format!("{} is no text and is not followed", path.display()),
        Notice::TooMany(path) => format!("{} is not followed: more than {FILES_MAX} files", path.display()),
        Notice::Unreadable(path, why) => format!("{} cannot be read: {why}", path.display()),
    }
}
