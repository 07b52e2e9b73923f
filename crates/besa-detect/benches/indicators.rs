//! Indicators: raw lines held against 10⁴ to 10⁶ of them (other numbers with
//! `BESA_BENCH_INDICATORS=10000,10000000`), and what loading costs in time and memory.
//! `cargo bench -p besa-detect --bench indicators`.
//!
//! Lines and indicators come from a seeded generator, and each line is an event without fields,
//! the way unparsed text reaches the matcher. Beside the whole path stand a plain pass over the
//! bytes (newlines counted), the scan alone and its scalar twin. One line in a thousand holds an
//! indicator that the smallest set has; no other does, but one URL in twenty is at a host at which
//! indicators are too, as with public storage. What the lines hold and how many meet an indicator
//! is printed. `BESA_BENCH_LINES=FILE` takes the lines of a text file instead (up to 64 MiB).

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use besa_detect::intel::{Intel, IntelMatcher, IntelScratch};
use besa_event::observable::{scan, scan_scalar};
use besa_event::{Batch, Dictionary, Head, LogSources};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use support::{ProcessorTime, criterion};

const LINES: usize = 20_000;
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
/// Overridden by `BESA_BENCH_STIX`.
const STIX_INDICATORS: u64 = 100_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn address(&mut self) -> String {
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        format!("{}.{b}.{c}.{d}", a % 223 + 1)
    }

    fn word(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "ba", "cu", "login", "mail", "no", "ri", "secure", "ti", "up", "ve", "x", "cdn", "data", "ko",
            "lu", "net",
        ];
        (0..self.below(3) + 2).map(|_| PARTS[self.below(16) as usize]).collect()
    }

    fn domain(&mut self) -> String {
        const TOP: [&str; 6] = ["com", "net", "org", "info", "al", "co"];
        format!("{}{}.{}", self.word(), self.below(10_000), TOP[self.below(6) as usize])
    }

    /// A domain that no line holds by chance.
    fn evil_domain(&mut self) -> String {
        const LETTERS: &[u8; 16] = b"aeioubcdfghlmnrt";
        let name: String =
            (0..self.below(6) + 3).map(|_| char::from(LETTERS[self.below(16) as usize])).collect();
        format!("{name}-{}", self.domain())
    }

    /// Where harmless and harmful files lie side by side.
    fn storage(&mut self) -> &'static str {
        const HOSTS: [&str; 4] =
            ["docs.google.com", "raw.githubusercontent.com", "cdn.discordapp.com", "s3.amazonaws.com"];
        HOSTS[self.below(4) as usize]
    }

    fn digits(&mut self, bytes: usize) -> String {
        (0..bytes).fold(String::new(), |mut text, _| {
            let _ = write!(text, "{:02x}", self.next() as u8);
            text
        })
    }
}

/// An indicator by its number, as a STIX object path and its text.
fn indicator(number: u64) -> (&'static str, String) {
    let mut random = Random(number.wrapping_mul(0x517c_c1b7_2722_0a95));
    match number % 100 {
        0..40 => ("domain-name:value", random.evil_domain()),
        40..60 => ("ipv4-addr:value", random.address()),
        60..70 => {
            let host = if random.below(20) == 0 { random.storage().to_owned() } else { random.evil_domain() };
            ("url:value", format!("http://{host}/{}/{}.php", random.word(), random.below(1 << 40)))
        }
        70..85 => ("file:hashes.'SHA-256'", random.digits(32)),
        85..93 => ("file:hashes.MD5", random.digits(16)),
        // Public lists of bad networks name a few thousand; ten million would be the whole Internet.
        93..97 => {
            let prefix = if number < 100_000 { random.below(5) + 20 } else { random.below(4) + 28 };
            ("ipv4-addr:value", format!("{}/{prefix}", random.address()))
        }
        97..99 => ("email-addr:value", format!("{}@{}", random.word(), random.evil_domain())),
        _ => ("ipv6-addr:value", format!("2001:db8:{:x}::{:x}", random.below(65_536), random.below(65_536))),
    }
}

fn list(indicators: u64) -> String {
    (0..indicators).fold(String::new(), |mut text, number| {
        text.push_str(&indicator(number).1);
        text.push('\n');
        text
    })
}

fn bundle(indicators: u64) -> String {
    let mut text = String::from(
        r#"{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000001","objects":[{"type":"identity","spec_version":"2.1","id":"identity--00000000-0000-4000-8000-000000000001","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z","name":"CERT"}"#,
    );
    for number in 0..indicators {
        let (path, value) = indicator(number);
        let relation = if value.starts_with(|first: char| first.is_ascii_digit()) && value.contains('/') {
            "ISSUBSET"
        } else {
            "="
        };
        // Scattered over a year, as when feeds of many are merged.
        let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = |shift: u32, bound: u64| (scattered >> shift) % bound;
        let (month, day, hour, minute) = (at(4, 12) + 1, at(11, 28) + 1, at(18, 24), at(25, 60));
        let (second, milli) = (at(32, 60), at(40, 1_000));
        let time = format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
        let _ = write!(
            text,
            r#",{{"type":"indicator","spec_version":"2.1","id":"indicator--{number:08x}-0000-4000-8000-000000000000","created_by_ref":"identity--00000000-0000-4000-8000-000000000001","created":"{time}","modified":"{time}","name":"Indicator {number}","pattern":"[{path} {relation} '{value}']","pattern_type":"stix","valid_from":"{time}","labels":["malicious-activity"],"confidence":80}}"#,
        );
    }
    text.push_str("]}");
    text
}

/// Lines of a firewall, a proxy, a mail relay and a host, of 150 to 300 bytes.
fn lines() -> Vec<String> {
    let mut random = Random(7);
    let line = |at: usize| {
        let time = format!("2026-11-{:02}T10:{:02}:{:02}Z", at % 28 + 1, at % 60, at % 59);
        if at.is_multiple_of(1_000) {
            return format!("{time} fw01 seen {}", indicator(random.below(10_000)).1);
        }
        match random.below(10) {
            0..4 => format!(
                "{time} proxy01 squid[1811]: {} 10.{}.{}.{} TCP_MISS/200 {} GET https://www.{}/{}/{}?session={}&lang=sq - HIER_DIRECT/{} text/html \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36\"",
                random.below(1_000),
                random.below(256),
                random.below(256),
                random.below(256),
                random.below(100_000),
                if random.below(20) == 0 { random.storage().to_owned() } else { random.domain() },
                random.word(),
                random.word(),
                random.below(1 << 40),
                random.address()
            ),
            4..7 => format!(
                "<134>{time} fw01 kernel: [ACCEPT] IN=eth0 OUT=eth1 MAC=00:16:3e:{:02x}:5f:9a SRC=10.{}.{}.{} DST={} LEN={} TOS=0x00 PREC=0x00 TTL=63 ID={} DF PROTO=TCP SPT={} DPT=443 WINDOW=64240 RES=0x00 SYN URGP=0",
                random.below(256),
                random.below(256),
                random.below(256),
                random.below(256),
                random.address(),
                random.below(1_500),
                random.below(65_536),
                random.below(65_536)
            ),
            7 => format!(
                "{time} mx01 postfix/smtp[2291]: {}: to=<{}@{}>, relay=mx.{}[{}]:25, delay=0.61, delays=0.02/0/0.2/0.38, dsn=2.0.0, status=sent (250 2.0.0 OK queued)",
                random.digits(5),
                random.word(),
                random.domain(),
                random.domain(),
                random.address()
            ),
            8 => format!(
                "{time} ws{:04} edr[77]: process created pid={} image=C:\\Program Files\\{}\\{}.exe sha256={} parent=services.exe user=CORP\\{} integrity=medium session=1",
                random.below(10_000),
                random.below(65_536),
                random.word(),
                random.word(),
                random.digits(32),
                random.word()
            ),
            _ => format!(
                "{time} srv{:02} sshd[{}]: Accepted publickey for {} from 10.0.{}.{} port {} ssh2: RSA SHA256 session opened for user by uid 0, logname and tty unset, service started after the usual delay",
                random.below(100),
                random.below(65_536),
                random.word(),
                random.below(256),
                random.below(256),
                random.below(65_536)
            ),
        }
    };
    (0..LINES).map(line).collect()
}

fn lines_of(path: &str) -> Vec<String> {
    let text = std::fs::read(path).expect("BESA_BENCH_LINES names a file that can be read");
    let text = String::from_utf8_lossy(&text[..text.len().min(64 << 20)]);
    text.lines().map(str::to_owned).collect()
}

struct Matching {
    matcher: IntelMatcher,
    dictionary: Dictionary,
    sources: LogSources,
}

fn compile(origin: &str, text: &str) -> Matching {
    let mut intel = Intel::default();
    let loaded = intel.load(origin, text.as_bytes());
    assert_eq!((loaded.refused, loaded.patterns), (0, 0), "{:?}", loaded.refusals.first());
    let mut names = Dictionary::builder();
    let (matcher, _) = IntelMatcher::compile(intel, &mut names);
    Matching { matcher, dictionary: names.build(), sources: LogSources::new() }
}

fn batch_of(lines: &[String], matching: &Matching) -> Batch {
    let mut batch = Batch::default();
    for line in lines {
        let raw = batch.append(line.as_bytes());
        batch.end_event(&matching.dictionary, &matching.sources, Head { raw, ..Head::default() });
    }
    batch
}

/// How many lines meet an indicator.
fn met(matching: &Matching, batch: &Batch, scratch: &mut IntelScratch) -> usize {
    let mut found = Vec::new();
    let mut lines = 0;
    for at in 0..batch.len() {
        found.clear();
        let Matching { matcher, dictionary, sources } = matching;
        matcher.matches(batch.event(at), dictionary, sources, scratch, &mut found);
        lines += usize::from(!found.is_empty());
    }
    lines
}

fn sizes() -> Vec<u64> {
    match std::env::var("BESA_BENCH_INDICATORS") {
        Ok(numbers) => {
            numbers.split(',').map(|number| number.parse().expect("numbers with commas")).collect()
        }
        Err(_) => SIZES.to_vec(),
    }
}

#[expect(clippy::print_stdout, reason = "what the lines hold belongs to the figures")]
fn raw_lines(c: &mut Criterion<ProcessorTime>) {
    let (lines, planted) = match std::env::var("BESA_BENCH_LINES") {
        Ok(path) => (lines_of(&path), 0),
        Err(_) => (lines(), LINES / 1_000),
    };
    let whole = lines.join("\n");
    let bytes: u64 = lines.iter().map(|line| line.len() as u64).sum();
    let mut group = c.benchmark_group("raw lines");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("newlines", |b| {
        b.iter(|| memchr::memchr_iter(b'\n', black_box(whole.as_bytes())).count());
    });
    let count = |find: &dyn Fn(&[u8], &mut usize)| {
        let mut tokens = 0;
        lines.iter().for_each(|line| find(black_box(line.as_bytes()), &mut tokens));
        tokens
    };
    println!(
        "{} lines of {} bytes, an observable every {} bytes",
        lines.len(),
        bytes / lines.len() as u64,
        bytes / count(&|line, tokens| scan(line, &mut |_, _| *tokens += 1)).max(1) as u64
    );
    group.bench_function("scan", |b| {
        b.iter(|| count(&|line, tokens| scan(line, &mut |_, _| *tokens += 1)));
    });
    group.bench_function("scan, scalar", |b| {
        b.iter(|| count(&|line, tokens| scan_scalar(line, &mut |_, _| *tokens += 1)));
    });
    for size in sizes() {
        let matching = compile("list", &list(size));
        let batch = batch_of(&lines, &matching);
        let mut scratch = IntelScratch::default();
        let met_lines = met(&matching, &batch, &mut scratch);
        assert!(met_lines >= planted);
        println!("{met_lines} of {} lines meet one of {size} indicators", lines.len());
        group.bench_with_input(BenchmarkId::new("whole", size), &matching, |b, matching| {
            b.iter(|| met(matching, &batch, &mut scratch));
        });
    }
    group.finish();
}

/// Resident memory of the process in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// Prints time and memory of one load; the memory by the matcher's own account and by the system,
/// whose figure holds what the allocator kept of the load.
#[expect(clippy::print_stdout, reason = "the figures of loading are what one runs this for")]
fn load_once(name: &str, indicators: u64, text: &str, said: u64) {
    let (before, start) = (resident().unwrap_or(0), Instant::now());
    let matching = compile(name, text);
    let seconds = start.elapsed().as_secs_f64();
    let grown = resident().unwrap_or(0).saturating_sub(before);
    let values: u64 = matching.matcher.indicators().map(|value| value.bytes.len() as u64 + 1).sum();
    let all = matching.matcher.resident_bytes() as u64;
    let each = |bytes: u64| bytes as f64 / indicators as f64;
    println!(
        "load {name} {indicators}: {:.0} records/s, per indicator {:.1} B accounted, of which values {:.1} B, \
         ids and names {:.1} B, all else {:.1} B; grown by {:.1} B resident",
        indicators as f64 / seconds,
        each(all),
        each(values),
        each(said),
        each(all.saturating_sub(values + said)),
        each(grown)
    );
}

/// Bytes of ids and names in the bundle, an id as 16 bytes.
fn said_in_bundle(indicators: u64) -> u64 {
    (0..indicators).map(|number| 16 + format!("Indicator {number}").len() as u64).sum()
}

fn loading(c: &mut Criterion<ProcessorTime>) {
    for size in sizes() {
        load_once("list", size, &list(size), 0);
    }
    let said = std::env::var("BESA_BENCH_STIX").ok().and_then(|number| number.parse().ok());
    let indicators = said.unwrap_or(STIX_INDICATORS);
    let text = bundle(indicators);
    load_once("stix", indicators, &text, said_in_bundle(indicators));
    drop(text);
    let mut group = c.benchmark_group("load");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).throughput(Throughput::Elements(10_000));
    for (name, text) in [("list", list(10_000)), ("stix", bundle(10_000))] {
        group.bench_function(name, |b| b.iter(|| compile(name, black_box(&text)).matcher.values()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = loading, raw_lines
}
criterion_main!(benches);
