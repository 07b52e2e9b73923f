//! Buckets: of the `object_store` crate's making, and of moto's, which speaks S3 over a socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use besa_event::Timestamp;
use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;

use super::Store;
use crate::archive::Writer;
use crate::error::Error;
use crate::python;

const CHILD: &str = "BESA_UPLOAD_CHILD";
/// Longer than two parts.
const OBJECT_LEN: usize = 20 << 20;
const WEEK: i64 = 7 * 86_400 * 1_000_000_000;

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// moto with an empty bucket named `bucket`; `None`, said on standard error, without Python.
fn moto() -> Option<(Ended, u16)> {
    let python = python::python("s3")?;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new(python)
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Ended(server);
    let until = Instant::now() + Duration::from_secs(120);
    let is_made = || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        let request = "PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20220101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n";
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        asked.is_ok() && answer.contains(" 200 ")
    };
    while !is_made() {
        assert!(Instant::now() < until, "moto makes no bucket");
        std::thread::sleep(Duration::from_millis(100));
    }
    Some((server, port))
}

fn bucket(port: u16) -> Store {
    // As for a bucket that a URL names.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = AmazonS3Builder::new()
        .with_endpoint(format!("http://127.0.0.1:{port}"))
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .with_bucket_name("bucket")
        .build();
    Store::object_store(Arc::new(store.unwrap()), "a/history")
}

/// Writes `len` bytes that are like no others, a few at a time, and then does something.
fn upload(store: &Store, path: &str, len: usize, then: &dyn Fn()) -> Result<((u64, String), Vec<u8>), Error> {
    let mut all = Vec::new();
    let put = store.put_with(path, &mut |out| {
        all.clear();
        for number in 0_u64.. {
            let piece: Vec<u8> = (0..125)
                .flat_map(|n| (number * 125 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())
                .collect();
            out.write_all(&piece).map_err(|error| Error::store(path, error))?;
            all.extend_from_slice(&piece);
            if all.len() >= len {
                break;
            }
        }
        then();
        Ok(())
    })?;
    Ok((put, all))
}

/// What the child does: with `part`, sends two parts of three and waits; with `whole`, puts an object
/// and waits before anything names it.
#[test]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn child() {
    let Ok(spec) = std::env::var(CHILD) else { return };
    let (port, what) = spec.split_once(' ').unwrap();
    let store = bucket(port.parse().unwrap());
    let wait = || {
        println!("\nready");
        std::thread::sleep(Duration::from_secs(600));
    };
    match what {
        "part" => drop(upload(&store, "index/torn.run", OBJECT_LEN, &wait)),
        _ => {
            upload(&store, "index/unnamed.run", OBJECT_LEN, &|| ()).unwrap();
            wait();
        }
    }
}

fn kill_child(port: u16, what: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store::tests::child", "--exact", "--nocapture"])
        .env(CHILD, format!("{port} {what}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"), "the child ended");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// An object of several parts arrives whole or not at all, and what nobody names is collected.
#[test]
fn objects_of_several_parts() {
    let Some((_server, port)) = moto() else { return };
    let store = bucket(port);
    let mut writer = Writer::open_store(store.clone(), "a", None).unwrap();
    let ((len, sha256), all) = upload(&store, "index/whole.run", OBJECT_LEN, &|| ()).unwrap();
    let got = store.get("index/whole.run").unwrap();
    assert_eq!((len, &sha256), (all.len() as u64, &super::digest(&all)));
    assert!(got == all, "{} bytes came back of {len}", got.len());
    assert_eq!(
        store.open("index/whole.run").unwrap().range(9 << 20, 5_000).unwrap(),
        all[9 << 20..][..5_000]
    );

    kill_child(port, "part");
    assert!(matches!(store.get("index/torn.run"), Err(Error::Missing(_))), "half an object is visible");
    let listed = || {
        let mut paths: Vec<String> =
            store.list("index").unwrap().into_iter().map(|object| object.path).collect();
        paths.sort_unstable();
        paths
    };
    assert_eq!(listed(), ["index/whole.run"]);
    // A writer that fails takes back what it has sent.
    let failed = store.put_with("index/torn.run", &mut |out| {
        out.write_all(&all).map_err(|error| Error::store("", error))?;
        Err(Error::Cancelled)
    });
    assert!(matches!(failed, Err(Error::Cancelled)));
    assert_eq!(listed(), ["index/whole.run"]);
    // The name of the torn one is free.
    upload(&store, "index/torn.run", OBJECT_LEN, &|| ()).unwrap();

    kill_child(port, "whole");
    assert_eq!(listed(), ["index/torn.run", "index/unnamed.run", "index/whole.run"]);
    let now = store.list("index").unwrap().iter().map(|object| object.modified).max().unwrap();
    assert_eq!(writer.collect(Timestamp(now)).unwrap(), 0, "somebody may just be going to name it");
    assert_eq!(writer.collect(Timestamp(now + WEEK + WEEK)).unwrap(), 3);
    assert_eq!(listed(), Vec::<String>::new());
}

/// Lengths of many objects are what was put; one in ten is missing.
fn check_lengths(store: &Store, count: usize) {
    let path = |number: usize| format!("data/day={}/source={}/{number:05}.parquet", number % 7, number % 3);
    for number in (0..count).filter(|number| number % 10 != 3) {
        store.put(&path(number), vec![0; number % 9]).unwrap();
    }
    for number in [1, count / 2, count] {
        store.put(&format!("data/day=3/other-{number}"), vec![1]).unwrap();
    }
    for step in [1, 2, 50, count] {
        let paths: Vec<String> = (0..count).step_by(step).rev().map(path).collect();
        let asked: Vec<&str> = paths.iter().map(String::as_str).collect();
        let numbers = (0..count).step_by(step).rev();
        for ((number, path), found) in numbers.zip(&paths).zip(store.lengths(&asked)) {
            match found {
                Ok(found) => assert_eq!((number % 10 != 3, found), (true, number as u64 % 9), "{path}"),
                Err(Error::Missing(_)) => assert_eq!(number % 10, 3, "{path}"),
                Err(error) => panic!("{path}: {error}"),
            }
        }
    }
    assert!(store.lengths(&[]).is_empty());
}

/// The same where S3 is spoken; `BESA_OBJECTS` says of how many, and how long it takes is told.
#[test]
#[expect(clippy::print_stderr, reason = "figures, when they are asked for")]
fn lengths_of_many_objects_in_a_bucket() {
    let Some((_server, port)) = moto() else { return };
    let store = bucket(port);
    let count = std::env::var("BESA_OBJECTS").ok().and_then(|count| count.parse().ok()).unwrap_or(60);
    check_lengths(&store, count);
    if count >= 1_000 {
        let paths: Vec<String> = store.list("data").unwrap().into_iter().map(|object| object.path).collect();
        let asked: Vec<&str> = paths.iter().map(String::as_str).collect();
        let started = Instant::now();
        store.list("data").unwrap();
        let listed = started.elapsed();
        store.lengths(&asked);
        eprintln!("{count} objects: listed in {listed:?}, lengths in {:?}", started.elapsed() - listed);
    }
}

#[test]
fn lengths_of_many_objects() {
    check_lengths(&Store::object_store(Arc::new(InMemory::new()), "a/history"), 5_000);
    check_lengths(&Store::object_store(Arc::new(InMemory::new()), ""), 40);
}
