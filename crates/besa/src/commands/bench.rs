//! `besa bench`: how fast a hunt is, by the pipeline of `besa hunt` itself.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use besa_detect::Scope;
use besa_sigma::Logsource;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::hunt::{check_paths, workers};
use crate::cli::{BenchArgs, BenchCommand, Format, Tlp};
use crate::hunt::clock::of_process;
use crate::hunt::defects::DefectLog;
use crate::hunt::interrupt::Interrupt;
use crate::hunt::knowledge::{self, Knowledge};
use crate::hunt::progress::{Progress, each_file_below};
use crate::hunt::{self, Hunted, Settings};
use crate::output::{self, Report};
use crate::terminal::{Paint, Terminal, counted, grouped, sized};

pub(super) fn bench(arguments: &BenchArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    if let Some(BenchCommand::Alliance(arguments)) = &arguments.what {
        return super::bench_alliance::bench(arguments, terminal);
    }
    check_paths(&arguments.evidence)?;
    if arguments.evidence.iter().any(|path| path.as_os_str() == "-") {
        bail!("the evidence is read several times; standard input can be read once");
    }
    let measured = measure(arguments, terminal)?;
    let mut out = terminal.stdout();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&measured)?)?;
    } else {
        out.write_all(measured.text().as_bytes())?;
    }
    out.flush()?;
    Ok(0)
}

/// All that was measured. Times are seconds, the best of the runs.
#[derive(Debug, Serialize)]
struct Measured {
    runs: u16,
    evidence: EvidenceRead,
    rules: usize,
    refused: usize,
    indicators: usize,
    /// Seconds to load and compile rules and intelligence.
    start_seconds: f64,
    plain_read: Rate,
    /// The hunt with one job, and with as many as asked for if that is more.
    hunts: Vec<HuntMeasured>,
    /// Each event against each rule, with one job.
    unrouted: HuntMeasured,
    /// Times faster with all jobs than on one core: the processor time of one job over the seconds
    /// of all. One job has a reader and a collector beside its worker, so its own seconds are those
    /// of more than one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    scaling: Option<f64>,
}

#[derive(Debug, Serialize)]
struct EvidenceRead {
    files: u64,
    bytes_on_disk: u64,
    /// After decompression.
    bytes: u64,
    events: u64,
    defects: u64,
}

/// Work over all bytes and events of the evidence.
#[derive(Clone, Copy, Debug, Serialize)]
struct Rate {
    seconds: f64,
    bytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<f64>,
    /// Bytes per second over those of the plain read.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_plain_read: Option<f64>,
}

#[derive(Debug, Serialize)]
struct HuntMeasured {
    jobs: usize,
    /// Processor time of the workers.
    decode: Rate,
    #[serde(rename = "match")]
    matching: Rate,
    decode_and_match: Rate,
    /// By the clock, from the first read to the last finding in order.
    whole: Rate,
    /// The slowest of the runs.
    whole_seconds_worst: f64,
    /// Processor time of the process, reading included.
    processor_seconds: f64,
    /// Of the process until then; absent where the system does not tell.
    peak_memory_bytes: Option<u64>,
    findings: u64,
    /// Of `besa hunt --format jsonl`.
    findings_sha256: String,
}

fn measure(arguments: &BenchArgs, terminal: &Terminal) -> anyhow::Result<Measured> {
    let scope = Scope::default();
    let load = || Knowledge::load(&arguments.rules, &arguments.intel, scope, false);
    let started = Instant::now();
    let knowledge = load()?;
    let mut start = started.elapsed();
    let bench = Bench { arguments, terminal, read: plain_read(arguments)? };
    let mut hunts = vec![bench.hunts(&knowledge, 1)?];
    let jobs = workers(arguments.jobs);
    if jobs > 1 {
        hunts.push(bench.hunts(&knowledge, jobs)?);
        let digests: Vec<&str> = hunts.iter().map(|(hunt, _)| hunt.findings_sha256.as_str()).collect();
        ensure!(digests[0] == digests[1], "findings depend on the number of jobs; please report it");
    }
    let (rules, refused) = (knowledge.detector.rules().rules.len(), knowledge.refused.len());
    let indicators = knowledge.detector.intel().values() + knowledge.detector.intel().patterns();
    drop(knowledge);
    for _ in 1..arguments.runs {
        let started = Instant::now();
        drop(load()?);
        start = start.min(started.elapsed());
    }
    let (unrouted, _) = bench.hunts(&without_log_sources(arguments, scope)?, 1)?;
    let evidence = hunts.remove(0);
    let scaling = hunts.first().map(|(all, _)| evidence.0.processor_seconds / all.whole.seconds);
    Ok(Measured {
        runs: arguments.runs,
        rules,
        refused,
        indicators,
        start_seconds: start.as_secs_f64(),
        plain_read: bench.read.rate(None),
        evidence: evidence.1,
        hunts: std::iter::once(evidence.0).chain(hunts.into_iter().map(|(hunt, _)| hunt)).collect(),
        unrouted,
        scaling,
    })
}

/// The same rules, each about every event.
fn without_log_sources(arguments: &BenchArgs, scope: Scope) -> anyhow::Result<Knowledge> {
    let mut loaded = knowledge::load_rules(&arguments.rules, false)?;
    loaded.set.rules.iter_mut().for_each(|rule| rule.logsource = Logsource::default());
    Ok(Knowledge::of_rules(loaded, scope))
}

struct Bench<'a> {
    arguments: &'a BenchArgs,
    terminal: &'a Terminal,
    read: PlainRead,
}

impl Bench<'_> {
    /// Hunts as often as asked for; all runs must find the same.
    fn hunts(&self, knowledge: &Knowledge, jobs: usize) -> anyhow::Result<(HuntMeasured, EvidenceRead)> {
        forget_peak_memory();
        let mut best = self.hunt(knowledge, jobs)?;
        for _ in 1..self.arguments.runs {
            let run = self.hunt(knowledge, jobs)?;
            ensure!(run.digest == best.digest, "two runs found different things; please report it");
            best.take_best(&run);
        }
        Ok(best.rates(jobs, &self.read))
    }

    fn hunt(&self, knowledge: &Knowledge, jobs: usize) -> anyhow::Result<Run> {
        let interrupt = Interrupt::new();
        let progress = Progress::new(&self.arguments.evidence, self.terminal);
        let settings = Settings {
            evidence: self.arguments.evidence.clone(),
            workers: jobs,
            carve: false,
            defects: DefectLog::new(None).context("cannot keep defects")?,
        };
        let (started, processor) = (Instant::now(), of_process());
        let hunted = hunt::hunt(knowledge, settings, &progress, &interrupt)?;
        let (whole, processor) = (started.elapsed(), of_process().saturating_sub(processor));
        progress.clear();
        Ok(Run {
            whole,
            whole_worst: whole,
            processor,
            decode: hunted.spent.decode,
            matching: hunted.spent.stage,
            peak_memory: peak_memory(),
            digest: digest(knowledge, &hunted)?,
            hunted,
        })
    }
}

/// One hunt; times become the best of several.
struct Run {
    whole: Duration,
    whole_worst: Duration,
    processor: Duration,
    decode: Duration,
    matching: Duration,
    peak_memory: Option<u64>,
    digest: String,
    hunted: Hunted,
}

impl Run {
    fn take_best(&mut self, run: &Self) {
        self.whole = self.whole.min(run.whole);
        self.whole_worst = self.whole_worst.max(run.whole);
        self.processor = self.processor.min(run.processor);
        self.decode = self.decode.min(run.decode);
        self.matching = self.matching.min(run.matching);
        self.peak_memory = self.peak_memory.max(run.peak_memory);
    }

    fn rates(self, jobs: usize, read: &PlainRead) -> (HuntMeasured, EvidenceRead) {
        let account = &self.hunted.account;
        let rate = |time: Duration| {
            let work = Work { bytes: account.bytes, seconds: time.as_secs_f64().max(1e-9) };
            Rate { events_per_second: Some(account.events as f64 / work.seconds), ..work.rate(Some(read)) }
        };
        let measured = HuntMeasured {
            jobs,
            decode: rate(self.decode),
            matching: rate(self.matching),
            decode_and_match: rate(self.decode + self.matching),
            whole: rate(self.whole),
            whole_seconds_worst: self.whole_worst.as_secs_f64(),
            processor_seconds: self.processor.as_secs_f64(),
            peak_memory_bytes: self.peak_memory,
            findings: account.findings.total,
            findings_sha256: self.digest,
        };
        let evidence = EvidenceRead {
            files: account.files,
            bytes_on_disk: read.0.bytes,
            bytes: account.bytes,
            events: account.events,
            defects: account.defects.count,
        };
        (measured, evidence)
    }
}

struct Work {
    bytes: u64,
    seconds: f64,
}

impl Work {
    fn rate(&self, read: Option<&PlainRead>) -> Rate {
        let bytes_per_second = self.bytes as f64 / self.seconds;
        Rate {
            seconds: self.seconds,
            bytes_per_second,
            events_per_second: None,
            of_plain_read: read.map(|read| bytes_per_second / read.rate(None).bytes_per_second),
        }
    }
}

/// The files of the evidence, read and thrown away.
struct PlainRead(Work);

impl PlainRead {
    fn rate(&self, read: Option<&Self>) -> Rate {
        self.0.rate(read)
    }
}

/// As large as a reader's window.
const READ_LEN: usize = 1 << 20;

fn plain_read(arguments: &BenchArgs) -> anyhow::Result<PlainRead> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in &arguments.evidence {
        each_file_below(path, &mut |file, _| files.push(file.to_path_buf()));
    }
    let mut buffer = vec![0; READ_LEN];
    let mut best = Work { bytes: 0, seconds: f64::INFINITY };
    // Once more than asked: the first time may wait for the disk.
    for _ in 0..=arguments.runs {
        let started = Instant::now();
        let mut bytes = 0;
        for path in &files {
            // What cannot be read is told as a defect of the hunt.
            let Ok(mut file) = std::fs::File::open(path) else { continue };
            while let Ok(len @ 1..) = file.read(&mut buffer) {
                bytes += len as u64;
            }
        }
        let seconds = started.elapsed().as_secs_f64().max(1e-9);
        best = Work { bytes, seconds: seconds.min(best.seconds) };
    }
    ensure!(best.bytes > 0, "the evidence holds no bytes that can be read");
    Ok(PlainRead(best))
}

/// SHA-256 of what `besa hunt --format jsonl` prints.
fn digest(knowledge: &Knowledge, hunted: &Hunted) -> anyhow::Result<String> {
    struct Hashing(Sha256);
    impl Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let report = Report {
        detector: &knowledge.detector,
        findings: &hunted.findings,
        summary: &hunted.summary,
        account: &hunted.account,
        texts: &knowledge.texts,
        tlp: Tlp::Amber,
        creator: None,
        now: hunt::now(),
        paint: Paint(false),
        width: 120,
    };
    let mut hashing = Hashing(Sha256::new());
    let mut out = io::BufWriter::new(&mut hashing);
    output::write(Format::Jsonl, &report, &mut out)?;
    out.flush()?;
    drop(out);
    let digest = hashing.0.finalize();
    Ok(digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// The most memory that this process has held, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Lets the peak begin anew at what is held now; where that cannot be, it stays the higher one.
fn forget_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

impl Measured {
    fn text(&self) -> String {
        let mut text = String::new();
        let EvidenceRead { files, bytes, events, defects, bytes_on_disk } = self.evidence;
        let _ = writeln!(
            text,
            "{} in {} of {} ({} on disk), {}; {}, {} refused; {}; best of {}",
            counted(events, "event"),
            sized(bytes),
            counted(files, "file"),
            sized(bytes_on_disk),
            counted(defects, "defect"),
            counted(self.rules as u64, "rule"),
            grouped(self.refused as u64),
            counted(self.indicators as u64, "indicator"),
            self.runs,
        );
        let _ =
            writeln!(text, "\n{:28} {:>9} {:>9} {:>12} {:>7}", "", "seconds", "GB/s", "events/s", "× read");
        let mut row = |name: &str, rate: &Rate| {
            let events = rate.events_per_second.map_or_else(String::new, |rate| grouped(rate as u64));
            let ratio = rate.of_plain_read.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
            let gigabytes = rate.bytes_per_second / 1e9;
            let _ =
                writeln!(text, "{name:28} {:>9.3} {gigabytes:>9.3} {events:>12} {ratio:>7}", rate.seconds);
        };
        row("plain read", &self.plain_read);
        if let Some(one) = self.hunts.first() {
            row("decode, one core", &one.decode);
            row("match, one core", &one.matching);
            row("decode and match, one core", &one.decode_and_match);
        }
        row("match unrouted, one core", &self.unrouted.matching);
        row("both unrouted, one core", &self.unrouted.decode_and_match);
        for hunt in &self.hunts {
            row(&format!("hunt, {}", counted(hunt.jobs as u64, "job")), &hunt.whole);
        }
        let _ = writeln!(text, "\nstart (load and compile)  {:.3} s", self.start_seconds);
        for hunt in &self.hunts {
            let peak = hunt.peak_memory_bytes.map_or_else(|| "unknown".to_owned(), sized);
            let _ = writeln!(
                text,
                "{:25} {:.3} to {:.3} s, {:.3} s of processor time, peak memory {peak}",
                counted(hunt.jobs as u64, "job"),
                hunt.whole.seconds,
                hunt.whole_seconds_worst,
                hunt.processor_seconds,
            );
        }
        if let Some(scaling) = self.scaling {
            let _ = writeln!(text, "scaling                   {scaling:.2} × the processor time of 1 job");
        }
        if let Some(one) = self.hunts.first() {
            let _ = writeln!(
                text,
                "findings                  {}, SHA-256 {}",
                grouped(one.findings),
                one.findings_sha256
            );
        }
        let _ = writeln!(text, "findings unrouted         {}", grouped(self.unrouted.findings));
        text
    }
}
