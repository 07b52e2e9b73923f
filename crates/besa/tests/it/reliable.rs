//! The archive where things go wrong around it: the disk is full, two want to write, the bucket is
//! another program's.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{besa, code, python, run, stderr, stdout, text};

/// Waits until something holds, however slow the machine is.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lines(count: u32, length: usize) -> String {
    (0..count)
        .map(|n| {
            // Bytes that do not compress, so that it is known how many there will be.
            let noise: String = (0..length as u64)
                .map(|at| char::from(b'a' + ((u64::from(n) * 1_000_003 + at * at * 7_919) % 26) as u8))
                .collect();
            format!("{{\"@timestamp\":\"2022-07-15T05:00:00Z\",\"n\":{n},\"noise\":\"{noise}\"}}\n")
        })
        .collect()
}

fn stats(archive: &str) -> Value {
    let output = run(&["archive", "stats", "--json", "--archive", archive]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// In a small file system of its own, which needs a kernel that lets users have one.
const SCRIPT: &str = r#"
set -u
mount -t tmpfs -o size=3m tmpfs "$1" || exit 77
"$2" -q archive add "$3/little.jsonl" --archive "$1/a" || exit 10
"$2" archive add "$3/much.jsonl" --archive "$1/a" 2>"$3/said"; [ $? -eq 2 ] || exit 11
"$2" archive stats --json --archive "$1/a" > "$3/after" || exit 12
"$2" archive verify --archive "$1/a" || exit 13
"$2" -q archive add "$3/little.jsonl" --archive "$1/a" || exit 14
"$2" archive stats --json --archive "$1/a" > "$3/again" || exit 15
head -c 3m /dev/zero > "$1/ballast" 2>/dev/null
"$2" archive retain --days 1 --archive "$1/a" 2>"$3/retain"; echo $? > "$3/retained"
"$2" archive stats --json --archive "$1/a" > "$3/full" || exit 16
rm "$1/ballast"
"$2" archive verify --archive "$1/a" || exit 17
"#;

#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_full_disk_is_said_and_costs_nothing_that_was_kept() {
    let dir = TempDir::new().unwrap();
    let small = dir.path().join("small");
    fs::create_dir(&small).unwrap();
    fs::write(dir.path().join("little.jsonl"), lines(50, 300)).unwrap();
    fs::write(dir.path().join("much.jsonl"), random_lines(14_000)).unwrap();
    let command =
        ["-r", "-m", "sh", "-c", SCRIPT, "sh", text(&small), env!("CARGO_BIN_EXE_besa"), text(dir.path())];
    let output = match Command::new("unshare").args(command).output() {
        Ok(output) if !matches!(output.status.code(), Some(1 | 77) | None) => output,
        refused => {
            eprintln!("SKIPPED, no file system of one's own here: {refused:?}");
            return;
        }
    };
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    let told = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let events = |name: &str| serde_json::from_str::<Value>(&told(name)).unwrap()["events"].as_u64().unwrap();
    assert!(told("said").contains("No space left on device"), "{}", told("said"));
    assert_eq!((events("after"), events("again")), (50, 100));
    // Deleting needs a new version of the manifest: it is there, or nothing is gone.
    match told("retained").trim() {
        "0" => assert_eq!(events("full"), 0),
        _ => {
            assert!(told("retain").contains("No space left on device"), "{}", told("retain"));
            assert_eq!(events("full"), 100);
        }
    }
}

/// Lines that no compression makes small.
fn random_lines(count: u64) -> String {
    let mut state = 7_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|n| {
            let noise: String = (0..40).map(|_| format!("{:016x}", next())).collect();
            format!("{{\"@timestamp\":\"2022-07-15T05:00:00Z\",\"n\":{n},\"noise\":\"{noise}\"}}\n")
        })
        .collect()
}

#[test]
fn the_second_writer_is_refused_and_readers_are_not() {
    let dir = TempDir::new().unwrap();
    let (archive, evidence) = (dir.path().join("a"), dir.path().join("x.jsonl"));
    fs::write(&evidence, lines(10, 5)).unwrap();
    let add = ["archive", "add", text(&evidence), "--archive", text(&archive)];
    assert_eq!(code(&run(&add)), 0);
    let start = || {
        let mut command = besa();
        command.args(["-q", "archive", "add", "-", "--archive", text(&archive)]);
        command.stdin(Stdio::piped()).spawn().unwrap()
    };
    // It has the lock before it has read anything.
    let (mut first, mut refused) = (start(), None);
    until("the first process takes the lock", || {
        // Looking takes the lock for a moment, which may have been in its way.
        if first.try_wait().unwrap().is_some() {
            first = start();
        }
        let output = run(&["archive", "compact", "--archive", text(&archive)]);
        let is_refused = code(&output) == 2;
        refused = is_refused.then_some(output);
        is_refused
    });
    assert!(stderr(&refused.unwrap()).contains("another process is writing"));
    let output = run(&add);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("another process is writing"), "{}", stderr(&output));
    assert_eq!(stats(text(&archive))["events"], 10);
    let hunted = run(&["archive", "hunt", "--archive", text(&archive)]);
    assert_eq!(code(&hunted), 0, "{}", stderr(&hunted));
    let mut input = first.stdin.take().unwrap();
    input.write_all(lines(7, 5).as_bytes()).unwrap();
    drop(input);
    assert!(first.wait().unwrap().success());
    assert_eq!(stats(text(&archive))["events"], 17);
    assert_eq!(code(&run(&add)), 0);
}

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody uses just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn in_bucket(port: u16) -> Command {
    let mut command = besa();
    command
        .env("AWS_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

/// An archive in a bucket of somebody else's making (moto): kept, searched, compacted, deleted; two
/// writers at once, of whom the manifest's create-if-absent lets none overwrite the other.
#[test]
fn an_archive_in_a_bucket() {
    let Some(python) = python::python("s3") else { return };
    let port = free_port();
    let server = Command::new(&python)
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Ended(server);
    until("the bucket is made", || {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
        let request = "PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20220101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n";
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        asked.is_ok() && answer.contains(" 200 ")
    });
    let url = "s3://bucket/history/of/a";
    let at =
        |rest: &[&str]| in_bucket(port).arg("archive").args(rest).args(["--archive", url]).output().unwrap();
    assert_eq!(code(&at(&["stats"])), 2, "there is none yet");
    let dir = TempDir::new().unwrap();
    let evidence = |name: &str, process: &str, count: u32| {
        let path = dir.path().join(name);
        let events: String = (0..count).map(|second| crate::process(process, second) + "\n").collect();
        fs::write(&path, events).unwrap();
        path
    };
    let (first, second) = (evidence("a.json", crate::WHOAMI_EXE, 3), evidence("b.json", r"C:\\x.exe", 5));
    let added = at(&["add", text(&first)]);
    assert_eq!(code(&added), 0, "{}", stderr(&added));
    both_write(port, url, [&first, &second]);
    let told = |output: &std::process::Output| -> Value { serde_json::from_str(&stdout(output)).unwrap() };
    assert_eq!(told(&at(&["stats", "--json"]))["events"], 11);
    let rule = crate::rule_file(dir.path());
    let hunted = at(&["hunt", "--rules", text(&rule), "--format", "jsonl"]);
    assert_eq!((code(&hunted), stdout(&hunted).lines().count()), (1, 6), "{}", stderr(&hunted));
    assert_eq!(code(&at(&["compact"])), 0);
    let compacted = told(&at(&["stats", "--json"]));
    assert_eq!((&compacted["events"], &compacted["files"]), (&11.into(), &1.into()));
    let verified = at(&["verify"]);
    assert_eq!(code(&verified), 0, "{}", stdout(&verified));
    assert_eq!(stdout(&at(&["export"])).lines().count(), 11);
    assert_eq!(code(&at(&["hold", "case-1"])), 0);
    assert_eq!(code(&at(&["retain", "--days", "1"])), 0);
    assert_eq!(told(&at(&["stats", "--json"]))["events"], 11);
    assert_eq!(code(&at(&["hold", "case-1", "--release"])), 0);
    assert_eq!(code(&at(&["retain", "--days", "1"])), 0);
    assert_eq!(told(&at(&["stats", "--json"]))["events"], 0);
}

/// Two at once: each either commits or says that the other was faster, then it tries again.
fn both_write(port: u16, url: &str, evidence: [&Path; 2]) {
    std::thread::scope(|scope| {
        for path in evidence {
            scope.spawn(move || {
                until("a writer gets through", || {
                    let output = in_bucket(port)
                        .args(["archive", "add", text(path), "--archive", url])
                        .output()
                        .unwrap();
                    let said = stderr(&output);
                    assert!(code(&output) == 0 || said.contains("another process"), "{said}");
                    code(&output) == 0
                });
            });
        }
    });
}
