//! A history to measure the archive on: events of a made-up country's networks, as JSON lines, with
//! the cardinality of real ones.
//!
//! ```text
//! history events 50000000 [--days 30] [--seed 1]     events in order of time, to standard output
//! history indicators 1000 [--seed 1]                  a list of indicators, one in fifty in the events
//! history hours 8760 500 ARCHIVE [--seed 1]          an archive of one file for each hour, of one log source
//! ```
//!
//! What decides how fast a search is, and what is therefore not flattered: addresses, names and
//! users follow Zipf's law over large populations (2 million addresses, 300,000 domains) with a tail
//! that is seen once (one address in ten, one host name in seven); identifiers of connections and
//! processes never come again; command lines and paths of URLs mostly do not. Zeek connections 45 %,
//! DNS 20 %, HTTP 8 %, Windows logons 9 %, process creations (Sysmon) 8 %, network connections
//! (Sysmon) 10 %. An event is about 420 bytes of JSON.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output")]

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Instant;

use besa_archive::{IngestOptions, Writer};
use besa_event::{Dictionary, Keep, LogSources, Timestamp};
use besa_evidence::{Context, Limits, read_all};

#[path = "../src/hunt/observables.rs"]
#[allow(dead_code, reason = "hunting is not needed here")]
mod observables;

const ADDRESSES: u64 = 2_000_000;
const DOMAINS: u64 = 300_000;
const PROGRAMS: u64 = 20_000;
const MACHINES: u64 = 4_000;
const USERS: u64 = 8_000;
/// 1 November 2025.
const START: u64 = 1_761_955_200;

/// A number that depends on its argument alone and looks random (splitmix64).
fn mixed(of: u64) -> u64 {
    let mut x = of.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mixed(self.0)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// A rank by Zipf's law with exponent 1: each order of magnitude is equally likely.
    fn rank(&mut self, population: u64) -> u64 {
        let part = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((part * (population as f64).ln()).exp() as u64 - 1).min(population - 1)
    }
}

/// The address of a rank: somewhere outside of private networks.
fn address(rank: u64) -> String {
    let bits = mixed(rank ^ 0xadd5) as u32;
    let first = 1 + (bits >> 24) % 170;
    let first = if [10, 127, 169].contains(&first) { 11 } else { first };
    format!("{first}.{}.{}.{}", bits >> 16 & 255, bits >> 8 & 255, bits & 255)
}

fn inner(machine: u64) -> String {
    format!("10.{}.{}.{}", machine >> 10 & 31, machine >> 5 & 255, 1 + machine % 250)
}

fn domain(rank: u64) -> String {
    const SYLLABLES: [&str; 16] =
        ["ba", "co", "di", "fen", "gra", "ho", "in", "ka", "lo", "mar", "net", "or", "pe", "ra", "so", "ti"];
    const ENDS: [&str; 8] = ["com", "net", "org", "al", "io", "eu", "info", "cloud"];
    let mut bits = mixed(rank ^ 0xd0ba);
    let mut name = String::new();
    for _ in 0..2 + bits % 3 {
        bits = bits.rotate_right(4);
        name.push_str(SYLLABLES[(bits % 16) as usize]);
    }
    // The rank keeps equal names apart.
    format!("{name}{}.{}", rank % 997, ENDS[(bits >> 32) as usize % 8])
}

fn sha256(program: u64, version: u64) -> String {
    (0..4).fold(String::new(), |mut text, part| {
        let _ = write!(text, "{:016X}", mixed(program << 8 ^ version << 2 ^ part ^ 0x5a5a_0000));
        text
    })
}

/// Writes events one by one.
struct Events {
    random: Random,
    line: String,
}

impl Events {
    fn new(seed: u64) -> Self {
        Self { random: Random(mixed(seed)), line: String::new() }
    }

    fn outer(&mut self) -> String {
        let rank = if self.random.below(10) == 0 {
            self.random.next() | 1 << 40
        } else {
            self.random.rank(ADDRESSES)
        };
        address(rank)
    }

    fn host(&mut self) -> String {
        let name = domain(self.random.rank(DOMAINS));
        match self.random.below(7) {
            0 => format!("{:x}.cdn.{name}", self.random.next() >> 20),
            1 | 2 => format!("www.{name}"),
            _ => name,
        }
    }

    fn machine(&mut self) -> u64 {
        self.random.rank(MACHINES)
    }

    /// An event of a time in microseconds; a line with its end.
    fn event(&mut self, micros: u64) -> &str {
        self.line.clear();
        match self.random.below(100) {
            0..45 => self.connection(micros),
            45..65 => self.name(micros),
            65..73 => self.request(micros),
            73..82 => self.logon(micros),
            82..90 => self.process(micros),
            _ => self.program_connects(micros),
        }
        self.line.push('\n');
        &self.line
    }

    fn zeek(&mut self, path: &str, micros: u64, port: u64) {
        let (machine, other) = (self.machine(), self.outer());
        let (from, uid) = (1_024 + self.random.below(60_000), self.random.next());
        let _ = write!(
            self.line,
            r#"{{"_path":"{path}","ts":{}.{:06},"uid":"C{uid:016x}","id.orig_h":"{}","id.orig_p":{from},"id.resp_h":"{other}","id.resp_p":{port}"#,
            micros / 1_000_000,
            micros % 1_000_000,
            inner(machine),
        );
    }

    fn connection(&mut self, micros: u64) {
        let port = [443, 443, 443, 80, 53, 22, 445, 3389, 8443, 123][self.random.below(10) as usize];
        self.zeek("conn", micros, port);
        let (sent, received) = (self.random.rank(10_000_000), self.random.rank(100_000_000));
        let state = ["SF", "SF", "SF", "S0", "REJ", "RSTO"][self.random.below(6) as usize];
        let duration = self.random.rank(100_000_000);
        let _ = write!(
            self.line,
            r#","proto":"tcp","service":"ssl","duration":{}.{:06},"orig_bytes":{sent},"resp_bytes":{received},"conn_state":"{state}","missed_bytes":0,"history":"ShADadFf","orig_pkts":{},"resp_pkts":{}}}"#,
            duration / 1_000_000,
            duration % 1_000_000,
            1 + sent / 900,
            1 + received / 1_300,
        );
    }

    fn name(&mut self, micros: u64) {
        self.zeek("dns", micros, 53);
        let (host, answer, id) = (self.host(), self.outer(), self.random.below(65_536));
        let _ = write!(
            self.line,
            r#","proto":"udp","trans_id":{id},"query":"{host}","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"answers":["{answer}"],"TTLs":[300.0],"rejected":false}}"#
        );
    }

    fn request(&mut self, micros: u64) {
        self.zeek("http", micros, 80);
        let (host, part, size) = (self.host(), self.random.next(), self.random.rank(1_000_000));
        let page = self.random.rank(50_000);
        let agent = self.random.rank(400);
        let uri = if part.is_multiple_of(3) { format!("/p/{page}") } else { format!("/p/{page}?s={part:x}") };
        let _ = write!(
            self.line,
            r#","trans_depth":1,"method":"GET","host":"{host}","uri":"{uri}","version":"1.1","user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Build/{agent}","request_body_len":0,"response_body_len":{size},"status_code":200,"status_msg":"OK","tags":[]}}"#
        );
    }

    fn windows(&mut self, micros: u64, channel: &str, provider: &str, id: u32) {
        let machine = self.machine();
        let time = Timestamp((micros * 1_000).cast_signed()).rfc3339(6);
        let record = self.random.next() >> 24;
        let _ = write!(
            self.line,
            r#"{{"@timestamp":"{time}","Channel":"{channel}","SourceName":"{provider}","EventID":{id},"RecordNumber":{record},"Hostname":"ws{machine:05}.corp.example""#
        );
    }

    fn logon(&mut self, micros: u64) {
        self.windows(micros, "Security", "Microsoft-Windows-Security-Auditing", 4624);
        let (user, from, id) = (self.random.rank(USERS), self.machine(), self.random.next() >> 32);
        let kind = [3, 3, 3, 2, 10, 5][self.random.below(6) as usize];
        let _ = write!(
            self.line,
            r#","SubjectUserSid":"S-1-0-0","TargetUserSid":"S-1-5-21-1004336348-1177238915-682003330-{}","TargetUserName":"user{user}","TargetDomainName":"CORP","TargetLogonId":"0x{id:x}","LogonType":"{kind}","LogonProcessName":"Kerberos","AuthenticationPackageName":"Kerberos","WorkstationName":"WS{from:05}","IpAddress":"{}","IpPort":"{}"}}"#,
            1_000 + user,
            inner(from),
            49_152 + self.random.below(16_000),
        );
    }

    fn program(&mut self) -> (u64, String) {
        let program = self.random.rank(PROGRAMS);
        let folder = ["Windows\\\\System32", "Program Files\\\\Common", "Windows", "ProgramData\\\\App"]
            [(program % 4) as usize];
        (program, format!("C:\\\\{folder}\\\\prog{program}.exe"))
    }

    fn sysmon(&mut self, micros: u64, id: u32) -> (u64, String) {
        self.windows(micros, "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", id);
        let (program, path) = self.program();
        let (guid, process, user) = (self.random.next(), self.random.below(30_000), self.random.rank(USERS));
        let _ = write!(
            self.line,
            r#","ProcessGuid":"{{{guid:016x}-0000-0010}}","ProcessId":"{process}","Image":"{path}","User":"CORP\\user{user}""#
        );
        (program, path)
    }

    fn process(&mut self, micros: u64) {
        let (program, path) = self.sysmon(micros, 1);
        let (parent, version) = (self.program().1, self.random.rank(6));
        let argument = self.random.next();
        let command = match argument % 5 {
            0 | 1 => path,
            2 | 3 => format!("{path} --job {:x} /quiet", argument >> 16),
            _ => format!("{path} -k netsvcs -s task{}", argument % 300),
        };
        let hash = sha256(program, version);
        let _ = write!(
            self.line,
            r#","CommandLine":"{command}","CurrentDirectory":"C:\\Windows\\system32\\","IntegrityLevel":"System","Hashes":"SHA1={},MD5={},SHA256={hash}","ParentImage":"{parent}","ParentCommandLine":"{parent} -run"}}"#,
            &hash[..40],
            &hash[8..40],
        );
    }

    fn program_connects(&mut self, micros: u64) {
        self.sysmon(micros, 3);
        let (machine, other, host) = (self.machine(), self.outer(), self.host());
        let _ = write!(
            self.line,
            r#","Protocol":"tcp","Initiated":"true","SourceIp":"{}","SourcePort":"{}","DestinationIp":"{other}","DestinationHostname":"{host}","DestinationPort":"443"}}"#,
            inner(machine),
            49_152 + self.random.below(16_000),
        );
    }
}

/// Time of an event, in order, spread over the days.
fn micros(number: u64, events: u64, days: u64) -> u64 {
    let whole = u128::from(days) * 86_400_000_000;
    START * 1_000_000 + (whole * u128::from(number) / u128::from(events.max(1))) as u64
}

fn write_events(count: u64, days: u64, seed: u64) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut events = Events::new(seed);
    for number in 0..count {
        out.write_all(events.event(micros(number, count, days)).as_bytes())?;
    }
    out.flush()
}

/// Three in five are addresses, one in four domains, the rest hashes. One in fifty comes from the
/// populations of the events; of those that come first, most are rare. The rest is nowhere.
fn write_indicators(count: u64, seed: u64) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut random = Random(mixed(seed ^ 0x10c5));
    for number in 0..count {
        let present = number.is_multiple_of(50);
        // Rare ones: from the less frequent half of the magnitudes.
        let rank =
            |random: &mut Random, population: u64| population / 50 + random.below(population * 49 / 50);
        let kind = if number == 0 { 0 } else { random.below(20) };
        let line = match (kind, present) {
            (0..12, true) => address(rank(&mut random, ADDRESSES)),
            (0..12, false) => format!(
                "{}.{}.{}.{}",
                172 + random.below(18),
                random.below(256),
                random.below(256),
                random.below(256)
            ),
            (12..17, true) => domain(rank(&mut random, DOMAINS)),
            (12..17, false) => format!("{:x}.absent.example", random.next()),
            (_, true) => sha256(random.below(PROGRAMS), random.below(4)).to_lowercase(),
            (_, false) => sha256(random.next(), 77).to_lowercase(),
        };
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// An archive as a node with one busy log writes it: a file an hour, its runs merged as they come.
fn write_hours(
    hours: u64,
    per_hour: u64,
    archive: &str,
    seed: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let (dictionary, sources) = (Dictionary::builder().build(), LogSources::new());
    let (keep, limits) = (Keep::History, Limits::default());
    let context =
        Context { dictionary: &dictionary, sources: &sources, keep, reference: None, carve: false, limits };
    let writer = Writer::open(archive, Some(observables::observe()))?;
    let mut ingest = writer.ingest(IngestOptions::default())?;
    let mut events = Events::new(seed);
    let started = Instant::now();
    let mut bytes = 0;
    for hour in 0..hours {
        let mut text = String::new();
        for number in 0..per_hour {
            events.line.clear();
            events.connection((START + hour * 3_600) * 1_000_000 + 3_600_000_000 * number / per_hour);
            text.push_str(&events.line);
            text.push('\n');
        }
        bytes += text.len();
        let now = Timestamp(((START + (hour + 1) * 3_600) * 1_000_000_000).cast_signed());
        let mut failure = None;
        read_all(&context, "conn.log", &mut text.as_bytes(), &mut |batch| {
            failure = ingest.append(batch, &dictionary, &sources, now).err().or(failure.take());
        });
        failure.map_or(Ok(()), Err)?;
        ingest.flush(now)?;
        ingest.tend(now)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let events = hours * per_hour;
    println!(r#"{{"hours":{hours},"events":{events},"json_bytes":{bytes},"seconds":{seconds:.1}}}"#);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: u64| -> Result<u64, std::num::ParseIntError> {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(Ok(default), |value| value.parse())
    };
    let number = |at: usize| arguments.get(at).map_or("", String::as_str).parse::<u64>();
    let seed = option("--seed", 1)?;
    match arguments.first().map(String::as_str) {
        Some("events") => write_events(number(1)?, option("--days", 30)?, seed)?,
        Some("indicators") => write_indicators(number(1)?, seed)?,
        Some("hours") => {
            write_hours(number(1)?, number(2)?, arguments.get(3).map_or("", String::as_str), seed)?;
        }
        _ => return Err("events N | indicators N | hours HOURS EVENTS ARCHIVE".into()),
    }
    Ok(())
}
