//! The second half of the demonstration: three nodes as processes of their own. Each member keeps
//! its evidence in its archive; Albania releases the attackers' addresses; the allies' nodes search
//! their past and answer, signed. Every line comes out of the nodes' stores.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use besa_alliance::entry::Audience;
use besa_alliance::member::MemberId;
use besa_archive::Writer;
use besa_intel::{Batch, prepare_all};
use besa_node::picture::{Picture, picture};
use besa_node::release::Releaser;
use besa_server::now;
use serde_json::{Value, json};

use crate::commands::alliance::reader_line;
use crate::commands::hunt::workers;
use crate::exercise::Field;
use crate::hunt::defects::DefectLog;
use crate::hunt::interrupt::Interrupt;
use crate::hunt::knowledge::Knowledge;
use crate::hunt::observables::observe;
use crate::hunt::progress::Progress;
use crate::hunt::{Settings, keep};
use crate::scenario::MEMBERS;
use crate::terminal::{Paint, Terminal, counted, sized};

/// How long the allies may take to answer before the demonstration says that they did not.
const PATIENCE_SECONDS: u64 = 120;
/// Addresses in the replay are set aside for documentation (RFC 5737); its nodes take them for real.
const ASSETS: &str = r#"{"exercise_networks": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]}"#;

/// What the nodes did.
pub(super) struct Allied {
    /// Member, events kept, bytes on the disk, milliseconds.
    archives: Vec<(String, u64, u64, u128)>,
    /// Milliseconds until all nodes served.
    started_ms: u128,
    /// Objects released.
    released: usize,
    /// Milliseconds to judge and sign the release.
    release_ms: u128,
    /// Milliseconds from the release to the last answer, as Albania saw it.
    answered_ms: u128,
    picture: Picture,
    names: Vec<(MemberId, String)>,
    /// Nodes left running: name, URL, process.
    running: Vec<(String, String, u32)>,
}

/// Plays it, with the evidence in `dir` and the nodes' data below it.
pub(super) fn play(dir: &Path, leave: bool, terminal: &Terminal) -> Result<Allied> {
    let bundle = std::fs::read(dir.join("intel").join("albania-replay.json"))?;
    let objects: Vec<Value> = objects_of(&bundle)?;
    let author =
        objects.iter().find(|object| object["type"] == "identity").and_then(|one| one["id"].as_str());
    let author = MemberId::parse(author.context("the replay's intelligence has no author")?)?;
    let ids = MEMBERS.iter().enumerate().map(|(at, name)| (*name, (at == 0).then(|| author.clone())));
    let mut field = Field::found(&dir.join("nodes"), &ids.collect::<Vec<_>>(), Some(ASSETS))?;
    let mut archives = Vec::new();
    for site in &field.sites {
        terminal.say(&format!("archiving the evidence of {}\n", site.name));
        archives.push(archive(&dir.join(&site.name), &site.archive(), &site.name)?);
    }
    let started = Instant::now();
    field.start()?;
    let started_ms = started.elapsed().as_millis();
    let albania = field.sites.first().context("there is no first member")?.desk()?;
    let prepared = prepare_all(&bundle)?;
    albania.store.add_objects(Batch::new("command line", now(), None, prepared))?;
    let ids: Vec<String> = objects
        .iter()
        .filter(|object| object["type"] == "indicator" || object["type"] == "identity")
        .filter_map(|object| Some(object["id"].as_str()?.to_owned()))
        .collect();
    let releaser = Releaser {
        store: albania.store.as_ref(),
        directory: &albania.known.directory,
        me: &albania.settings.member,
        journal: &albania.journal,
    };
    let released = Instant::now();
    let done = releaser.release(&ids, &Audience::Charter, now())?;
    let release_ms = released.elapsed().as_millis();
    let Some((entry, _)) = done.entries.first() else {
        bail!("nothing was released: {:?}", done.withheld);
    };
    let look = || {
        let (store, directory) = (albania.store.as_ref(), &albania.known.directory);
        picture(store, directory, &albania.places, &albania.settings.member, &entry.id(), now())
    };
    let mut seen = look()?;
    while !seen.is_whole() && released.elapsed().as_secs() < PATIENCE_SECONDS {
        std::thread::sleep(std::time::Duration::from_millis(5));
        seen = look()?;
    }
    let answered_ms = released.elapsed().as_millis();
    let names = field.sites.iter().map(|site| (site.member.clone(), site.name.clone())).collect();
    let running = if leave { field.leave() } else { Vec::new() };
    Ok(Allied {
        archives,
        started_ms,
        released: ids.len(),
        release_ms,
        answered_ms,
        picture: seen,
        names,
        running,
    })
}

fn objects_of(bundle: &[u8]) -> Result<Vec<Value>> {
    let bundle: Value = serde_json::from_slice(bundle)?;
    Ok(bundle["objects"].as_array().cloned().unwrap_or_default())
}

fn archive(evidence: &Path, archive: &Path, name: &str) -> Result<(String, u64, u64, u128)> {
    let started = Instant::now();
    let writer = Writer::open(&archive.display().to_string(), Some(observe()))?;
    let settings = Settings {
        evidence: vec![evidence.to_owned()],
        workers: workers(None),
        carve: false,
        defects: DefectLog::default(),
    };
    let kept = keep::add(writer, &Knowledge::nothing(), settings, &Progress::hidden(), &Interrupt::new())?;
    Ok((name.to_owned(), kept.receipt.events, kept.receipt.bytes, started.elapsed().as_millis()))
}

impl Allied {
    fn name<'s>(&'s self, member: &'s MemberId) -> &'s str {
        self.names.iter().find(|(id, _)| id == member).map_or(member.as_str(), |(_, name)| name)
    }

    /// The story, line by line.
    pub(super) fn text(&self, paint: &Paint, out: &mut dyn Write) -> Result<()> {
        writeln!(
            out,
            "\n{}",
            paint.bold("ALLIANCE: three nodes, each a process with keys and history of its own")
        )?;
        for (name, events, bytes, millis) in &self.archives {
            writeln!(
                out,
                "  {name:<9} keeps {} in {}, {millis} ms",
                counted(*events, "event"),
                sized(*bytes)
            )?;
        }
        let objects = counted(self.released as u64, "object");
        writeln!(out, "  nodes     serve after {} ms", self.started_ms)?;
        writeln!(out, "  albania   releases {objects}, judged and signed in {} ms", self.release_ms)?;
        for (member, reader) in &self.picture.readers {
            writeln!(out, "  {:<9} {}", self.name(member), reader_line(reader))?;
        }
        if self.picture.is_whole() {
            writeln!(
                out,
                "  {}",
                paint.bold(&format!("all allies have answered {} ms after the release", self.answered_ms))
            )?;
        } else {
            writeln!(out, "  not everybody has answered after {} ms", self.answered_ms)?;
        }
        self.left(out)
    }

    fn left(&self, out: &mut dyn Write) -> Result<()> {
        if self.running.is_empty() {
            return Ok(());
        }
        let processes: Vec<String> = self.running.iter().map(|(.., id)| id.to_string()).collect();
        for (name, url, _) in &self.running {
            writeln!(out, "  {name:<9} goes on at {url}")?;
        }
        writeln!(out, "  end them with: kill {}", processes.join(" "))?;
        Ok(())
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let archives: Vec<Value> = self
            .archives
            .iter()
            .map(|(name, events, bytes, millis)| {
                json!({"member": name, "events": events, "bytes": bytes, "milliseconds": millis})
            })
            .collect();
        let answers: Vec<Value> = self
            .picture
            .readers
            .iter()
            .map(|(member, reader)| json!({"member": self.name(member), "answer": reader}))
            .collect();
        let running: Vec<Value> = self
            .running
            .iter()
            .map(|(name, url, process)| json!({"member": name, "url": url, "process": process}))
            .collect();
        json!({
            "archives": archives, "started_ms": self.started_ms, "released": self.released,
            "release_ms": self.release_ms, "answered_ms": self.answered_ms,
            "complete": self.picture.is_whole(), "answers": answers, "running": running,
        })
    }
}
