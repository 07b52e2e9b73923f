//! The figures of the store and the TAXII server, on this machine.
//!
//! `cargo run --release -p besa-server --example figures -- 1000000 [folder | postgres://…]`
//!
//! Prints processor time, not wall time, except where it says so. Every page is asked from the server
//! function as a request over HTTP would be, without the socket; `http` pages go over a loopback
//! connection with a cached Basic password and count the server's and the client's time together.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

use besa_exchange::release::Gate;
use besa_exchange::taxii::server::{About, Request, Straight, respond};
use besa_exchange::taxii::{Caller, Registry};
use besa_intel::account::{Role, hash_password};
use besa_intel::{Batch, NewCollection, Prepared, Store, User, prepare_all};
use besa_server::{Options, now};

const BATCH: usize = 1_000;
const PAGES: u32 = 1_000;
const SENDERS: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let wanted: usize = args.next().map_or(Ok(100_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let place = args.next().unwrap_or_else(|| folder.path().display().to_string());
    let store: Arc<dyn Store> = if place.starts_with("postgres") {
        Arc::new(besa_intel::open_postgres(&place)?)
    } else {
        Arc::new(besa_intel::open_sqlite(&std::path::Path::new(&place).join("figures.sqlite"))?)
    };
    let mut out = std::io::stdout().lock();
    let feed = store.add_collection(&NewCollection::titled("feed"), now())?;
    let password = Some(hash_password("correct horse battery")?);
    store.add_user(&User {
        name: "a".into(),
        role: Role::Administrator,
        password,
        certificate: None,
        disabled: false,
        member: None,
    })?;

    let text = envelope(0, BATCH);
    let (cpu, rounds) = (cpu_seconds(), 20);
    for _ in 0..rounds {
        assert_eq!(prepare_all(text.as_bytes())?.iter().filter(|object| object.is_ok()).count(), BATCH);
    }
    let rate = (rounds * BATCH) as f64 / (cpu_seconds() - cpu);
    writeln!(out, "validated, {} bytes each: {rate:.0} objects per CPU-second", text.len() / BATCH)?;

    let mut prepared_cpu = 0.0;
    let (start, start_cpu) = (Instant::now(), cpu_seconds());
    for first in (0..wanted).step_by(BATCH) {
        let before = cpu_seconds();
        let objects: Vec<Prepared> = prepare_all(envelope(first, BATCH).as_bytes())?;
        prepared_cpu += cpu_seconds() - before;
        let receipt = store.add_objects(Batch::new("bench", now(), Some(feed.key), objects))?;
        assert_eq!(receipt.failures(), 0);
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - start_cpu);
    let count = wanted as f64;
    writeln!(
        out,
        "in, durable, transactions of {BATCH}: {:.0}/s wall with validation, {:.0}/s per CPU-second storing alone (without words)",
        count / wall,
        count / (cpu - prepared_cpu)
    )?;
    // As several clients do it: one checks while another stores, and they share commits.
    let (start, cpu, more) = (Instant::now(), cpu_seconds(), wanted / 5 / SENDERS / BATCH);
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let store = &store;
            scope.spawn(move || {
                for batch in 0..more {
                    let first = wanted + (sender * more + batch) * BATCH;
                    let objects = prepare_all(envelope(first, BATCH).as_bytes()).unwrap_or_default();
                    let stored = store.add_objects(Batch::new("bench", now(), Some(feed.key), objects));
                    assert!(stored.is_ok_and(|receipt| receipt.failures() == 0));
                }
            });
        }
    });
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let count = (more * SENDERS * BATCH) as f64;
    writeln!(
        out,
        "the same by {SENDERS} senders: {:.0}/s wall, {:.0} per CPU-second, both with validation",
        count / wall,
        count / cpu
    )?;
    writeln!(out, "resident: {} MiB", resident_mib())?;

    let registry = Registry::new(store.directory()?);
    let gate = Gate::shut();
    let about =
        About { title: "x".into(), description: "x".into(), contact: None, max_content_length: 1 << 20 };
    let caller =
        Caller { name: "a".into(), role: Role::Administrator, scope: None, only: None, member: None };
    let headers = http::HeaderMap::new();
    let ask = |path: &str, query: &str| {
        let request = Request {
            method: &http::Method::GET,
            path,
            query: Some(query),
            headers: &headers,
            body: b"",
            caller: &caller,
            source: "bench",
            id: "bench",
            now: now(),
        };
        let response = respond(store.as_ref(), &Straight, &gate, &registry, &about, &request);
        assert_eq!(response.status(), 200, "{query}");
        let last = response
            .headers()
            .get("x-taxii-date-added-last")
            .map(|value| value.to_str().unwrap_or_default().to_owned());
        (response.into_body(), last)
    };
    let objects = format!("/api/collections/{}/objects/", feed.id);
    let manifest = format!("/api/collections/{}/manifest/", feed.id);
    let commit = store.last_commit()?;
    let (half, tail) =
        (format!("limit=100&next=c{:x}", commit / 2), format!("limit=100&next=c{:x}", commit - 100));
    let (_, middle) = ask(&objects, &half);
    let after = format!("limit=100&added_after={}", middle.unwrap_or_default());
    let one = format!("match[id]={}", id(wanted / 3));
    for (name, path, query) in [
        ("first page", &objects, "limit=100"),
        ("middle page", &objects, half.as_str()),
        ("last page", &objects, tail.as_str()),
        ("added_after the middle", &objects, after.as_str()),
        ("nothing new", &objects, "limit=100&added_after=2999-01-01T00:00:00Z"),
        ("match[type]=campaign", &objects, "limit=100&match[type]=campaign"),
        ("match[type], one in a thousand", &objects, "limit=100&match[type]=tool"),
        ("match[version]=all", &objects, "limit=100&match[version]=all"),
        ("match[id]", &objects, one.as_str()),
        ("manifest", &manifest, "limit=100"),
    ] {
        // Of this thread: the writer's may be indexing words.
        let (cpu, mut bytes) = (cpu_seconds_of("thread-self"), 0);
        for _ in 0..PAGES {
            bytes = ask(path, query).0.len();
        }
        let micros = (cpu_seconds_of("thread-self") - cpu) * 1e6 / f64::from(PAGES);
        writeln!(out, "{name}: {micros:.0} µs CPU, {bytes} bytes")?;
    }

    let running = besa_server::start(Arc::clone(&store), Options::loopback(0))?;
    let mut stream = std::net::TcpStream::connect(running.address())?;
    stream.set_nodelay(true)?;
    let mut pages = |rounds: u32| -> std::io::Result<()> {
        for _ in 0..rounds {
            write!(
                stream,
                "GET {objects}?limit=100 HTTP/1.1\r\nhost: x\r\nauthorization: Basic YTpjb3JyZWN0IGhvcnNlIGJhdHRlcnk=\r\n\r\n"
            )?;
            read_response(&mut stream)?;
        }
        Ok(())
    };
    pages(20)?;
    let (cpu, start) = (cpu_seconds(), Instant::now());
    pages(PAGES)?;
    let (cpu, wall) = (
        (cpu_seconds() - cpu) * 1e6 / f64::from(PAGES),
        start.elapsed().as_secs_f64() * 1e6 / f64::from(PAGES),
    );
    writeln!(out, "http page of 100, with log and audit: {cpu:.0} µs CPU (both sides), {wall:.0} µs wall")?;
    writeln!(out, "resident: {} MiB", resident_mib())?;
    running.stop();
    Ok(())
}

fn read_response(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = stream.read(&mut buffer)?;
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let head = String::from_utf8_lossy(bytes.get(..2_000.min(bytes.len())).unwrap_or_default())
            .to_ascii_lowercase();
        let Some(end) = head.find("\r\n\r\n") else { continue };
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if count == 0 || bytes.len() >= end + 4 + length.unwrap_or(0) {
            return Ok(());
        }
    }
}

fn envelope(first: usize, count: usize) -> String {
    let objects: Vec<String> = (first..first + count).map(object).collect();
    format!("{{\"objects\":[{}]}}", objects.join(","))
}

fn id(number: usize) -> String {
    let kind = kind(number);
    // Spread as random ids are.
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{kind}--{:08x}-{:04x}-4000-8000-{number:012x}", mixed >> 32, mixed >> 16 & 0xffff)
}

fn kind(number: usize) -> &'static str {
    match number % 1_000 {
        0 => "tool",
        rest if rest % 10 < 7 => "indicator",
        _ => "campaign",
    }
}

fn object(number: usize) -> String {
    let (id, kind) = (id(number), kind(number));
    let more = if kind == "indicator" {
        format!(
            r#","pattern":"[domain-name:value = 'host{number}.example.com']","pattern_type":"stix","valid_from":"2024-01-01T00:00:00Z","indicator_types":["malicious-activity"]"#
        )
    } else {
        String::new()
    };
    format!(
        r#"{{"type":"{kind}","spec_version":"2.1","id":"{id}","created_by_ref":"identity--0000000a-0000-4000-8000-00000000000a","created":"2024-01-01T00:00:00.000Z","modified":"2024-01-01T00:00:00.000Z","name":"object {number} of the figures","description":"A description of the usual length, so that an object has about seven hundred bytes on the wire. {number}","object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]{more}}}"#
    )
}

/// Processor time of this process, all threads, in seconds.
fn cpu_seconds() -> f64 {
    cpu_seconds_of("self")
}

fn cpu_seconds_of(what: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{what}/stat")).unwrap_or_default();
    let after = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}
