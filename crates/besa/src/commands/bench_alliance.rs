//! `besa bench alliance`: the time to collective answer, from a release to the last signed answer,
//! between nodes that are processes of their own with histories of their own.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use besa_alliance::entry::Audience;
use besa_archive::Writer;
use besa_event::Timestamp;
use besa_intel::{Batch, prepare_all};
use besa_node::node::Desk;
use besa_node::picture::picture;
use besa_node::release::Releaser;
use besa_server::now;
use besa_stix::marking::TLP_2_GREEN;
use serde::Serialize;
use serde_json::json;

use super::hunt::workers;
use crate::cli::BenchAllianceArgs;
use crate::exercise::{Field, Site};
use crate::hunt::defects::DefectLog;
use crate::hunt::interrupt::Interrupt;
use crate::hunt::knowledge::Knowledge;
use crate::hunt::observables::observe;
use crate::hunt::progress::Progress;
use crate::hunt::{Settings, keep};
use crate::scenario::rng::Rng;
use crate::terminal::{Terminal, counted, grouped, sized};

/// How long a release may wait for its answers before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// Chance that an indicator is in the past of an ally.
const PLANTED: f64 = 0.3;
/// Distinct names in the histories; the most frequent ones make most of the events.
const NAMES: f64 = 200_000.0;
const DAY_NANOS: i64 = 86_400 * 1_000_000_000;
/// The histories end with 14 July 2022.
const LAST_DAY: i64 = 19_187;

#[derive(Debug, Serialize)]
struct Measured {
    nodes: u16,
    days: u16,
    events: u64,
    archive_bytes: u64,
    history_seconds: f64,
    start_seconds: f64,
    releases: u32,
    indicators: u32,
    hits: u64,
    hits_planted: u64,
    /// Milliseconds from a release to its last receipt, as the member that asked saw it.
    receipts_ms: Spread,
    /// Milliseconds from a release to its last answer.
    answers_ms: Spread,
}

#[derive(Debug, Serialize)]
struct Spread {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (share * (values.len() as f64)).ceil() as usize;
            values.get(place.saturating_sub(1)).or(values.last()).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

pub(super) fn bench(arguments: &BenchAllianceArgs, terminal: &Terminal) -> Result<u8> {
    let folder = tempfile::Builder::new().prefix("besa-bench-").tempdir().context("no temporary folder")?;
    let names: Vec<String> = (1..=arguments.nodes).map(|number| format!("node-{number}")).collect();
    let members: Vec<(&str, _)> = names.iter().map(|name| (name.as_str(), None)).collect();
    let mut field = Field::found(folder.path(), &members, None)?;
    let mut past = Past::new(arguments);
    let started = Instant::now();
    for (number, site) in field.sites.iter().enumerate() {
        terminal.say(&format!("the history of {}\n", site.name));
        past.write(arguments, number, &site.data, &site.archive())?;
    }
    let history_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    field.start()?;
    let start_seconds = started.elapsed().as_secs_f64();
    let desks: Vec<Desk> = field.sites.iter().map(Site::desk).collect::<Result<_>>()?;
    let (mut receipts, mut answers, mut hits) = (Vec::new(), Vec::new(), 0);
    for release in 0..arguments.releases {
        let asker = release as usize % desks.len();
        let desk = desks.get(asker).context("there are no nodes")?;
        let timed = ask(desk, release, arguments.indicators)?;
        receipts.push(timed.receipts_ms);
        answers.push(timed.answers_ms);
        hits += timed.hits;
        terminal.say(&format!(
            "release {} of {}: {:.0} ms\n",
            release + 1,
            arguments.releases,
            timed.answers_ms
        ));
    }
    let measured = Measured {
        nodes: arguments.nodes,
        days: arguments.days,
        events: past.events,
        archive_bytes: past.bytes,
        history_seconds,
        start_seconds,
        releases: arguments.releases,
        indicators: arguments.indicators,
        hits,
        hits_planted: past.planted(),
        receipts_ms: Spread::of(receipts),
        answers_ms: Spread::of(answers),
    };
    let mut out = terminal.stdout();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&measured)?)?;
    } else {
        out.write_all(measured.text().as_bytes())?;
    }
    out.flush()?;
    if measured.hits != measured.hits_planted {
        bail!("{} hits were planted and {} answered: that is wrong", measured.hits_planted, measured.hits);
    }
    Ok(0)
}

struct Timed {
    receipts_ms: f64,
    answers_ms: f64,
    hits: u64,
}

/// Releases indicators and waits for the last answer.
fn ask(desk: &Desk, release: u32, indicators: u32) -> Result<Timed> {
    let (store, directory, me) = (desk.store.as_ref(), &desk.known.directory, &desk.settings.member);
    let objects: Vec<_> = (0..indicators)
        .map(|number| {
            json!({
                "type": "indicator", "spec_version": "2.1", "id": indicator_id(release, number),
                "created_by_ref": me, "created": "2022-07-15T00:00:00.000Z",
                "modified": "2022-07-15T00:00:00.000Z", "indicator_types": ["malicious-activity"],
                "pattern": format!("[domain-name:value = '{}']", wanted(release, number)),
                "pattern_type": "stix", "valid_from": "2022-07-15T00:00:00Z", "object_marking_refs": [TLP_2_GREEN],
            })
        })
        .collect();
    let text = serde_json::to_vec(&objects)?;
    store.add_objects(Batch::new("command line", now(), None, prepare_all(&text)?))?;
    let ids: Vec<String> = (0..indicators).map(|number| indicator_id(release, number)).collect();
    let started = Instant::now();
    let releaser = Releaser { store, directory, me, journal: &desk.journal };
    let done = releaser.release(&ids, &Audience::Charter, now())?;
    let Some((entry, _)) = done.entries.first() else { bail!("nothing was released") };
    let (mut commit, mut receipts_ms) = (0, None);
    loop {
        let last = store.last_commit()?;
        if last != commit {
            commit = last;
            let seen = picture(store, directory, &desk.places, me, &entry.id(), now())?;
            let millis = started.elapsed().as_secs_f64() * 1_000.0;
            if seen.readers.values().all(|reader| reader.receipt_ms.is_some()) {
                receipts_ms.get_or_insert(millis);
            }
            if seen.is_whole() {
                let hits = seen.readers.values().map(|reader| reader.seen).sum();
                return Ok(Timed { receipts_ms: receipts_ms.unwrap_or(millis), answers_ms: millis, hits });
            }
        }
        if started.elapsed() > PATIENCE {
            bail!("not everybody has answered after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn indicator_id(release: u32, number: u32) -> String {
    format!("indicator--00000000-0000-4000-8000-{release:06}{number:06}")
}

fn wanted(release: u32, number: u32) -> String {
    format!("c2-{release}-{number}.evil-example.com")
}

/// The histories, and what was planted in them.
struct Past {
    seed: u64,
    events: u64,
    bytes: u64,
    /// By node: the releases whose indicators were planted there.
    planted: Vec<(usize, u32, u32)>,
    nodes: usize,
}

impl Past {
    fn new(arguments: &BenchAllianceArgs) -> Self {
        let nodes = usize::from(arguments.nodes);
        Self { seed: arguments.seed, events: 0, bytes: 0, planted: Vec::new(), nodes }
    }

    /// Those that an ally of the asker has, not the asker itself.
    fn planted(&self) -> u64 {
        let asked = |one: &&(usize, u32, u32)| one.1 as usize % self.nodes != one.0;
        self.planted.iter().filter(asked).count() as u64
    }

    /// Writes a node's Zeek logs and keeps them in its archive.
    fn write(
        &mut self,
        arguments: &BenchAllianceArgs,
        node: usize,
        data: &Path,
        archive: &Path,
    ) -> Result<()> {
        let file = data.join("history.log");
        let mut rng = Rng::new(self.seed, &format!("history {node}"));
        let mut out = std::io::BufWriter::new(
            std::fs::File::create(&file).with_context(|| format!("`{}`", file.display()))?,
        );
        let mut plants = Vec::new();
        for release in 0..arguments.releases {
            for number in 0..arguments.indicators {
                if rng.chance(PLANTED) {
                    self.planted.push((node, release, number));
                    plants.push((rng.below(u64::from(arguments.days)), wanted(release, number)));
                }
            }
        }
        for day in 0..arguments.days {
            let start = (LAST_DAY - i64::from(arguments.days) + 1 + i64::from(day)) * DAY_NANOS;
            for name in plants.iter().filter(|(planted, _)| *planted == u64::from(day)).map(|(_, name)| name)
            {
                line(&mut out, &mut rng, start, name)?;
            }
            for _ in 0..arguments.events {
                // Few names make most of the traffic, most names come once or twice.
                let rank = (NAMES * rng.unit().powi(4)) as u64;
                line(&mut out, &mut rng, start, &format!("host-{rank}.site-{}.example.org", rank % 5_003))?;
            }
        }
        out.flush()?;
        drop(out);
        let settings = Settings {
            evidence: vec![file.clone()],
            workers: workers(None),
            carve: false,
            defects: DefectLog::default(),
        };
        let writer = Writer::open(&archive.display().to_string(), Some(observe()))?;
        let kept =
            keep::add(writer, &Knowledge::nothing(), settings, &Progress::hidden(), &Interrupt::new())?;
        self.events += kept.receipt.events;
        self.bytes += kept.receipt.bytes;
        std::fs::remove_file(&file).with_context(|| format!("`{}`", file.display()))
    }
}

/// A line of Zeek's dns.log or http.log.
fn line(out: &mut dyn Write, rng: &mut Rng, day: i64, name: &str) -> Result<()> {
    let time = Timestamp(day + rng.below(DAY_NANOS.unsigned_abs()).cast_signed()).rfc3339(6);
    let uid = rng.next();
    let (from, to) = (rng.below(4_000), rng.below(60_000));
    let orig = format!("10.{}.{}.{}", from / 1_000, from % 1_000 / 250, from % 250 + 1);
    let resp = format!("185.{}.{}.{}", to / 16_384, to / 250 % 64, to % 250 + 1);
    let ports = (1_024 + rng.below(60_000), 443);
    if rng.chance(0.7) {
        writeln!(
            out,
            r#"{{"_path":"dns","ts":"{time}","uid":"C{uid:x}","id.orig_h":"{orig}","id.orig_p":{},"id.resp_h":"10.0.0.53","id.resp_p":53,"proto":"udp","trans_id":{},"query":"{name}","qtype_name":"A","rcode_name":"NOERROR","answers":["{resp}"],"rejected":false}}"#,
            ports.0,
            uid & 0xffff
        )?;
    } else {
        writeln!(
            out,
            r#"{{"_path":"http","ts":"{time}","uid":"C{uid:x}","id.orig_h":"{orig}","id.orig_p":{},"id.resp_h":"{resp}","id.resp_p":{},"method":"GET","host":"{name}","uri":"/p/{}","user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64)","status_code":200,"response_body_len":{}}}"#,
            ports.0,
            ports.1,
            uid % 977,
            uid % 90_000
        )?;
    }
    Ok(())
}

impl Measured {
    fn text(&self) -> String {
        let mut text = String::new();
        let nodes = counted(u64::from(self.nodes), "node");
        let days = counted(u64::from(self.days), "day");
        let _ = writeln!(
            text,
            "{nodes}, {days} of history each: {} events in {} (written in {:.1} s); all serve after {:.2} s",
            grouped(self.events),
            sized(self.archive_bytes),
            self.history_seconds,
            self.start_seconds
        );
        let _ = writeln!(
            text,
            "{} of {} each; {} hits answered, {} planted",
            counted(u64::from(self.releases), "release"),
            counted(u64::from(self.indicators), "indicator"),
            self.hits,
            self.hits_planted
        );
        for (what, spread) in [("last receipt", &self.receipts_ms), ("last answer", &self.answers_ms)] {
            let Spread { p50, p90, p99, max } = spread;
            let _ = writeln!(
                text,
                "{what:<13} p50 {p50:>8.1} ms   p90 {p90:>8.1} ms   p99 {p99:>8.1} ms   max {max:>8.1} ms"
            );
        }
        text
    }
}
