//! `kill -9` of the server below writers and readers over HTTP, and a clock that is set back.
//!
//! The test starts itself again as the server. Long runs by hand:
//! `BESA_POLL_KILLS` (kills while 10 readers poll below 100 writers; 3 unless told) and
//! `BESA_CRASH_ROUNDS` (kills while POSTs are under way; 5 unless told, 200 by hand).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use besa_intel::Time;
use besa_server::{Limits, Options, now};

use crate::support::{Wire, campaign, envelope, id, rounds, set_up};

const OBJECTS: &str = "/api/collections/feed/objects/";

/// Runs as the server when the environment says so; a test that does nothing otherwise.
#[test]
fn serve_until_killed() {
    let Ok(folder) = std::env::var("BESA_SERVE_FOLDER") else { return };
    let address: SocketAddr = std::env::var("BESA_SERVE_ADDRESS").unwrap().parse().unwrap();
    let store = besa_intel::open_sqlite(&Path::new(&folder).join("intel.sqlite")).unwrap();
    let limits = Limits { requests_per_second: 1_000_000, ..Limits::default() };
    let options = Options { listen: address, clock: shifted, limits, ..Options::loopback(0) };
    besa_server::start(Arc::new(store), options).unwrap().wait();
}

/// The clock of a machine whose time was set.
fn shifted() -> Time {
    static SECONDS: OnceLock<i64> = OnceLock::new();
    let seconds = SECONDS.get_or_init(|| std::env::var("BESA_SERVE_SHIFT").unwrap().parse().unwrap());
    let real = now();
    Time::from_unix(real.unix_seconds() + seconds, real.subsec_nanos())
}

/// A server that is killed and started again at the same place.
struct Served {
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Mutex<Child>,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(set_up(&besa_intel::open_sqlite(&folder.path().join("intel.sqlite")).unwrap()));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Mutex::new(spawn(folder.path(), address, 0));
        let served = Self { folder, address, child };
        served.wait();
        served
    }

    /// Ends it without warning; it comes back with its clock so many seconds off.
    fn kill_and_restart(&self, shift: i64) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        *child = spawn(self.folder.path(), self.address, shift);
        drop(child);
        self.wait();
    }

    fn wait(&self) {
        let started = Instant::now();
        while !Wire::connect(self.address)
            .and_then(|mut wire| wire.exchange(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"))
            .is_ok_and(|reply| reply.status == 200)
        {
            assert!(started.elapsed() < Duration::from_secs(60), "the server does not come back");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        child.kill().ok();
        child.wait().ok();
    }
}

fn spawn(folder: &Path, address: SocketAddr, shift: i64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::serve_until_killed", "--nocapture"])
        .env("BESA_SERVE_FOLDER", folder)
        .env("BESA_SERVE_ADDRESS", address.to_string())
        .env("BESA_SERVE_SHIFT", shift.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Version `round` of an object.
fn version(number: u64, round: u64) -> String {
    campaign(number, &format!("2021-01-01T00:{:02}:{:02}.000Z", round / 60 % 60, round % 60))
}

/// Posts until it is acknowledged, whatever happens to the server.
fn post_until_taken(wire: &mut Option<Wire>, address: SocketAddr, body: &str) {
    loop {
        let reply = match wire.as_mut() {
            Some(wire) => wire.post("writer", OBJECTS, body.as_bytes()),
            None => Wire::connect(address).and_then(|mut fresh| {
                let reply = fresh.post("writer", OBJECTS, body.as_bytes());
                *wire = Some(fresh);
                reply
            }),
        };
        match reply {
            Ok(reply) if reply.status == 202 => {
                let text = String::from_utf8_lossy(&reply.body);
                assert!(text.contains(r#""failure_count":0"#), "{text}");
                return;
            }
            Ok(reply) if matches!(reply.status, 429 | 503) => std::thread::sleep(Duration::from_millis(50)),
            Ok(reply) => panic!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body)),
            Err(_) => {
                *wire = None;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Polls as TAXII clients do: pages by `next`, and by the time of the last object seen between polls.
fn poll(address: SocketAddr, limit: usize, done: &AtomicBool) -> HashMap<(String, String), u64> {
    let mut seen = HashMap::new();
    let mut wire = None;
    let (mut after, mut last, mut next) = (String::new(), String::new(), String::new());
    loop {
        let finished = done.load(Ordering::SeqCst);
        let target = format!("{OBJECTS}?match[version]=all&limit={limit}{after}{next}");
        let reply = match wire.as_mut() {
            None => {
                wire = Wire::connect(address).ok();
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            Some(open) => Wire::get(open, "reader", &target),
        };
        let Ok(reply) = reply else {
            wire = None;
            continue;
        };
        if reply.status == 503 || reply.status == 429 {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let page: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        for object in page["objects"].as_array().into_iter().flatten() {
            let key = (object["id"].as_str().unwrap(), object["modified"].as_str().unwrap());
            *seen.entry((key.0.to_owned(), key.1.to_owned())).or_insert(0) += 1;
        }
        if let Some(added) = reply.header("x-taxii-date-added-last") {
            last = format!("&added_after={added}");
        }
        match page["next"].as_str() {
            // Half of the readers go on by `next`, the others by time alone.
            Some(token) if limit.is_multiple_of(2) => next = format!("&next={token}"),
            _ => {
                next.clear();
                after.clone_from(&last);
                if page["more"] != true {
                    if finished {
                        return seen;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }
}

/// Ten readers below a hundred writers, the server killed and its clock set back: each version of
/// each object is seen exactly once by each reader.
#[test]
fn each_version_is_seen_once_by_every_reader() {
    const READERS: usize = 10;
    const WRITERS: u64 = 100;
    const ENOUGH: u64 = 400;
    let kills = rounds("BESA_POLL_KILLS", 3);
    let served = Served::start();
    let (stop, done, written) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (stop, done, written, address) = (&stop, &done, &written, served.address);
        let readers: Vec<_> =
            (0..READERS).map(|n| scope.spawn(move || poll(address, 5 + 9 * n, done))).collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let (mut wire, mut sent) = (None, Vec::new());
                    for round in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            return sent;
                        }
                        // A new object, and a new version of one of one's first ones.
                        let first = version(writer * 1_000_000 + round, 0);
                        let newer = version(writer * 1_000_000, round + 1);
                        post_until_taken(&mut wire, address, &envelope(&[first, newer]));
                        sent.push((writer * 1_000_000 + round, 0));
                        sent.push((writer * 1_000_000, round + 1));
                        written.fetch_add(2, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    sent
                })
            })
            .collect();
        for kill in 1..=kills {
            std::thread::sleep(Duration::from_millis(700));
            // Forwards once, then back again and again.
            served.kill_and_restart(if kill == 1 { 7_200 } else { -3_600 * kill.cast_signed() });
        }
        // However slow the machine is: enough is written before the writers stop.
        let started = Instant::now();
        while written.load(Ordering::Relaxed) < ENOUGH && started.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::SeqCst);
        let mut expected: HashMap<(String, String), u64> = HashMap::new();
        for (number, round) in writers.into_iter().flat_map(|writer| writer.join().unwrap()) {
            let object: serde_json::Value = serde_json::from_str(&version(number, round)).unwrap();
            expected.insert((id(number), object["modified"].as_str().unwrap().to_owned()), 1);
        }
        done.store(true, Ordering::SeqCst);
        assert!(expected.len() as u64 >= ENOUGH, "{}", expected.len());
        for (reader, seen) in readers.into_iter().map(|reader| reader.join().unwrap()).enumerate() {
            let doubled: Vec<_> = seen.iter().filter(|(_, count)| **count != 1).take(3).collect();
            let lost: Vec<_> = expected.keys().filter(|key| !seen.contains_key(*key)).take(3).collect();
            assert!(doubled.is_empty() && lost.is_empty(), "reader {reader}: {doubled:?} {lost:?}");
            assert_eq!(seen.len(), expected.len());
        }
    });
}

/// What got a 202 is there after `kill -9`, whole, and no half of anything else.
#[test]
fn what_was_answered_202_survives_kill_9() {
    const PER_POST: u64 = 5;
    let served = Served::start();
    let mut held_before = 0;
    for round in 0..rounds("BESA_CRASH_ROUNDS", 5) {
        let stop = AtomicBool::new(false);
        let answered = AtomicU64::new(0);
        let acknowledged: Vec<u64> = std::thread::scope(|scope| {
            let (stop, answered, address) = (&stop, &answered, served.address);
            let writers: Vec<_> = (0..4u64)
                .map(|writer| {
                    scope.spawn(move || {
                        let mut taken = Vec::new();
                        let mut wire = Wire::connect(address).unwrap();
                        for post in 0.. {
                            let first = (round * 4 + writer) * 1_000_000 + post * PER_POST;
                            let objects: Vec<String> =
                                (first..first + PER_POST).map(|number| version(number, 0)).collect();
                            match wire.post("writer", OBJECTS, envelope(&objects).as_bytes()) {
                                Ok(reply) if reply.status == 202 => {
                                    answered.fetch_add(1, Ordering::SeqCst);
                                    taken.push(first);
                                }
                                Ok(reply) => panic!("{}", reply.status),
                                Err(_) => break,
                            }
                            if stop.load(Ordering::SeqCst) {
                                break;
                            }
                        }
                        taken
                    })
                })
                .collect();
            // Odd rounds kill only after an answer, however slow the disk is; even rounds at any time.
            while round % 2 == 1 && answered.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(30 + round * 13 % 140));
            served.kill_and_restart(0);
            stop.store(true, Ordering::SeqCst);
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let held = everything(served.address);
        assert_eq!(held.len() as u64 % PER_POST, 0, "round {round}: a POST is there whole or not at all");
        assert!(held.len() >= held_before);
        held_before = held.len();
        for first in acknowledged {
            for number in first..first + PER_POST {
                let raw = held.get(&id(number)).unwrap_or_else(|| panic!("round {round}: {number} is lost"));
                assert_eq!(*raw, version(number, 0));
            }
        }
    }
    assert!(held_before > 0);
}

/// Every object of the feed, by id.
fn everything(address: SocketAddr) -> HashMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Page<'a> {
        next: Option<String>,
        #[serde(borrow, default)]
        objects: Vec<&'a serde_json::value::RawValue>,
    }
    let mut held = HashMap::new();
    let mut wire = Wire::connect(address).unwrap();
    let mut next = String::new();
    loop {
        let reply = wire.get("reader", &format!("{OBJECTS}?limit=1000{next}")).unwrap();
        let page: Page<'_> = serde_json::from_slice(&reply.body).unwrap();
        for raw in page.objects {
            let object: serde_json::Value = serde_json::from_str(raw.get()).unwrap();
            held.insert(object["id"].as_str().unwrap().to_owned(), raw.get().to_owned());
        }
        match page.next {
            Some(token) => next = format!("&next={token}"),
            None => return held,
        }
    }
}
