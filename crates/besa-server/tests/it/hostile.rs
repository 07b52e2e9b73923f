//! What a stranger, or a user gone bad, may send: answered with 4xx, readers unharmed, memory bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use besa_server::{Limits, Options};

use crate::support::{
    HEAVY, Node, PATIENCE, Random, Wire, campaign, envelope, id, post_head, resident_mib, rounds, wait_until,
};

const OBJECTS: &str = "/api/collections/feed/objects/";
const V1: &str = "2021-01-01T00:00:00.000Z";
/// What mutated requests are made of, beside random octets.
const PIECES: [&[u8]; 16] = [
    b"\"",
    b"{",
    b"]",
    b",",
    b"null",
    b"\\u0000",
    b"\xff",
    b"1e999",
    b"-0",
    b"\"revoked\":true,",
    b"[[[[",
    b"9999-12-31T23:59:59.999Z",
    b"%00",
    b"..",
    b"match[version]=",
    b"\xf0\x9f\x98\x80",
];

/// Every endpoint that writes, with mutated bodies, targets and headers. `BESA_MUTATIONS` sets the
/// number of requests (4,000 unless told; a million by hand).
#[test]
fn mutated_requests_never_make_a_5xx() {
    let _alone = HEAVY.lock();
    let limits = Limits { requests_per_second: 1_000_000, ..Limits::default() };
    let node = Node::start_with(Options { limits, ..Options::loopback(0) });
    let good = envelope(&[campaign(1, V1), campaign(2, V1), indicator(3)]);
    assert_eq!(node.post("writer", OBJECTS, &good).status, 202);
    let total = rounds("BESA_MUTATIONS", 4_000);
    let (before, done) = (resident_mib(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&node, &done));
        let (node, good) = (&node, good.as_bytes());
        let attackers: Vec<_> =
            (1..=4).map(|seed| scope.spawn(move || attack(node, good, seed, total / 4))).collect();
        let seen: u64 = attackers.into_iter().map(|one| one.join().unwrap()).sum();
        assert!(seen >= total / 4 * 4 * 9 / 10, "{seen} of {total} were answered");
        done.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0);
    });
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 300, "{grown} MiB more after {total} requests");
    let page = node.get("reader", &format!("{OBJECTS}?match[version]=all&limit=1000"));
    assert!(!page.json()["objects"].as_array().unwrap().is_empty());
    node.store.check().unwrap();
}

/// A reader meanwhile: every page is whole JSON.
fn read_until(node: &Node, done: &AtomicBool) -> u64 {
    let mut pages = 0;
    while !done.load(Ordering::SeqCst) {
        for what in ["objects/", "manifest/"] {
            let page =
                node.get("reader", &format!("/api/collections/feed/{what}?match[version]=all&limit=100"));
            assert_eq!(page.status, 200, "{}", page.body);
            page.json();
            pages += 1;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    pages
}

/// Sends mutated requests; gives how many were answered. A connection that the server closes, as it
/// may after a head that is no HTTP, is opened anew.
fn attack(node: &Node, good: &[u8], seed: u64, count: u64) -> u64 {
    let mut random = Random(seed * 88_172_645_463_325_252 + 1);
    let mut wire = Wire::connect(node.running.address()).unwrap();
    let mut answered = 0;
    for round in 0..count {
        let message = mutated(&mut random, good);
        match wire.exchange(&message) {
            Ok(reply) => {
                answered += 1;
                assert!(
                    (200..500).contains(&reply.status),
                    "round {round} of {seed}: {} for {:?}",
                    reply.status,
                    String::from_utf8_lossy(&message)
                );
                if reply.header("connection") == Some("close") {
                    wire = Wire::connect(node.running.address()).unwrap();
                }
            }
            Err(_) => wire = Wire::connect(node.running.address()).unwrap(),
        }
    }
    answered
}

/// A POST with a mutated body (two of three), or a POST or DELETE with mutated target and headers.
fn mutated(random: &mut Random, good: &[u8]) -> Vec<u8> {
    if random.below(3) > 0 {
        let mut body = good.to_vec();
        mutate(random, &mut body);
        let mut message = post_head("writer", OBJECTS, body.len() as u64);
        message.extend_from_slice(&body);
        return message;
    }
    let deletes = random.below(2) == 0;
    let method = if deletes { "DELETE" } else { "POST" };
    let mut target = if deletes {
        format!("{OBJECTS}{}/?match[version]=all&match[spec_version]=2.1", id(1 + random.below(3) as u64))
    } else {
        format!("{OBJECTS}?match[version]={V1}&limit=1&next=c1&added_after={V1}")
    }
    .into_bytes();
    if random.below(2) == 0 {
        // The first octet stays, or it is no target at all.
        let mut rest = target.split_off(1);
        mutate(random, &mut rest);
        target.extend(rest.into_iter().filter(|byte| !matches!(byte, b' ' | b'\r' | b'\n')));
    }
    let body = if deletes { &[][..] } else { good };
    let head = String::from_utf8(post_head("writer", "/", body.len() as u64)).unwrap();
    let mut message = [method.as_bytes(), b" ", &target, b" HTTP/1.1\r\n"].concat();
    for line in head.lines().skip(1).filter(|line| !line.is_empty()) {
        let mut line = line.as_bytes().to_vec();
        // A wrong length makes another message, and the test would wait for the end of this one.
        if !line.starts_with(b"content-length") && random.below(3) == 0 {
            mutate(random, &mut line);
            line.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        }
        if !line.is_empty() {
            message.extend_from_slice(&[line.as_slice(), b"\r\n"].concat());
        }
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(body);
    message
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.below(256) as u8,
            1 => drop(bytes.remove(at)),
            2 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            3 => {
                // A part comes twice: keys, members, whole objects.
                let end = (at + random.below(200)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
}

fn indicator(number: u64) -> String {
    format!(
        r#"{{"type":"indicator","spec_version":"2.1","id":"indicator--00000000-0000-4000-8000-{number:012x}","created":"{V1}","modified":"{V1}","valid_from":"{V1}","pattern_type":"stix","pattern":"[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e' AND file:name MATCHES '^a[b-d]+$'] FOLLOWEDBY [url:value LIKE '%x'] WITHIN 5 SECONDS","external_references":[{{"source_name":"a","url":"http://a.example/"}}],"granular_markings":[{{"marking_ref":"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb","selectors":["pattern"]}}]}}"#
    )
}

#[test]
fn large_deep_and_many() {
    let _alone = HEAVY.lock();
    let node = Node::start();
    let nested = format!(r#"{{"objects":[{}{}]}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(matches!(node.post("writer", OBJECTS, &nested).status, 400 | 422 | 202));
    let deep_object = format!(
        r#"{{"objects":[{{"type":"campaign","x_a":{}1{}}}]}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert!(matches!(node.post("writer", OBJECTS, &deep_object).status, 400 | 422 | 202));
    // Ten million values: the envelope's list, or one object's.
    let before = resident_mib();
    let values = "0,".repeat(10_000_000);
    assert_eq!(node.post("writer", OBJECTS, &format!(r#"{{"objects":[{values}0]}}"#)).status, 413);
    let wide = campaign(1, V1).replace(r#""name""#, &format!(r#""x_a":[{}0],"name""#, &values[..12_000_000]));
    let answer = node.post("writer", OBJECTS, &envelope(&[wide])).json();
    assert_eq!(answer["failure_count"], 1, "{answer}");
    assert!(resident_mib().saturating_sub(before) < 250, "{} MiB from {before}", resident_mib());
    // A gigabyte is refused by its announcement, unread.
    let mut stream = TcpStream::connect(node.running.address()).unwrap();
    stream.write_all(&post_head("writer", OBJECTS, 1 << 30)).unwrap();
    assert_eq!(status_of(&mut stream), 413);
    assert_eq!(node.get("reader", OBJECTS).status, 200);
}

/// A gigabyte without an announcement is read as far as the limit, and no further.
#[test]
fn a_gigabyte_in_chunks() {
    let limits = Limits { body_bytes: 1 << 20, ..Limits::default() };
    let node = Node::start_with(Options { limits, ..Options::loopback(0) });
    let mut stream = TcpStream::connect(node.running.address()).unwrap();
    let head = String::from_utf8(post_head("writer", OBJECTS, 0)).unwrap();
    let head = head.replace("content-length: 0", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let sent = (0..16_384).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok()).count();
    // Some lies in the sockets' buffers.
    assert!(sent < 1_000, "{sent} chunks were taken");
    assert_eq!(node.get("reader", OBJECTS).status, 200);
}

#[test]
fn a_hundred_thousand_objects_in_one_envelope() {
    let _alone = HEAVY.lock();
    let node = Node::start();
    let many: Vec<String> = (0..100_000).map(|n| campaign(n, V1)).collect();
    let body = envelope(&many);
    let status = node.post("writer", OBJECTS, &body).json();
    assert_eq!(status["success_count"], 100_000, "{status}");
    assert_eq!(status.get("successes"), None, "counts only, beyond ten thousand");
    let last = node.get("reader", &format!("{OBJECTS}?match[id]={}", id(99_999))).json();
    assert_eq!(last["objects"].as_array().unwrap().len(), 1);
    let more: Vec<String> = (0..100_001).map(|_| "0".to_owned()).collect();
    assert_eq!(node.post("writer", OBJECTS, &envelope(&more)).status, 413);
}

/// Regular expressions of a request are checked up to a number; the rest of them is refused.
#[test]
fn regular_expressions_are_rationed() {
    let node = Node::start();
    let objects: Vec<String> = (0..2_100).map(indicator).collect();
    let status = node.post("writer", OBJECTS, &envelope(&objects)).json();
    assert_eq!((&status["success_count"], &status["failure_count"]), (&2_000.into(), &100.into()));
}

/// A client that sends its body byte by byte harms nobody; neither does one that sends half a head,
/// and that one is let go.
#[test]
fn slow_clients_are_let_wait_and_let_go() {
    let limits = Limits { head_time: Duration::from_secs(3), ..Limits::default() };
    let node = Node::start_with(Options { limits, ..Options::loopback(0) });
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|n| {
            let mut stream = TcpStream::connect(node.running.address()).unwrap();
            let text = if n % 2 == 0 {
                post_head("writer", OBJECTS, 1_000)
            } else {
                b"GET /taxii2/ HTTP/1.1\r\nhost: x\r\nx-a: ".to_vec()
            };
            stream.write_all(&text).unwrap();
            stream
        })
        .collect();
    assert_eq!(node.get("reader", OBJECTS).status, 200);
    // One octet at a time keeps no head alive.
    let loris = &mut slow[1];
    loris.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    wait_until("half a head is waited for no longer than it may take", || {
        let refused = loris.write_all(b"a").is_err();
        let mut answer = [0; 64];
        refused
            || matches!(loris.read(&mut answer), Ok(count) if count == 0 || answer.starts_with(b"HTTP/1.1 408"))
    });
}

/// One who announces all they may send, and sends nothing, leaves room for the others.
#[test]
fn announced_bodies_hold_ones_own_share_only() {
    let limits = Limits { body_bytes: 4 << 20, bodies_bytes: 8 << 20, ..Limits::default() };
    let node = Node::start_with(Options { limits, ..Options::loopback(0) });
    let idle: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut stream = TcpStream::connect(node.running.address()).unwrap();
            stream.write_all(&post_head("writer", OBJECTS, 4 << 20)).unwrap();
            stream
        })
        .collect();
    // Most have been read by now; if not, the test asks less than it could and fails no more for it.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(node.post("boss", OBJECTS, &envelope(&[campaign(1, V1)])).status, 202);
    drop(idle);
}

/// Answers that nobody takes fill their asker's share and no more, and are thrown away in time.
#[test]
fn answers_that_are_not_read_are_bounded() {
    let _alone = HEAVY.lock();
    let limits = Limits { answers_bytes: 64 << 20, write_time: Duration::from_secs(8), ..Limits::default() };
    let node = Node::start_with(Options { limits, ..Options::loopback(0) });
    let padding = format!(r#""description":"{}","name""#, "x".repeat(990_000));
    let objects: Vec<String> = (0..8).map(|n| campaign(n, V1).replace(r#""name""#, &padding)).collect();
    assert_eq!(node.post("writer", OBJECTS, &envelope(&objects)).status, 202);
    let before = resident_mib();
    let head = format!(
        "GET {OBJECTS} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\r\n",
        crate::support::basic("reader", crate::support::PASSWORD)
    );
    let mut asked: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(node.running.address()).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let statuses: Vec<u16> = asked.iter_mut().map(status_of).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 250, "{grown} MiB for answers that nobody reads");
    assert_eq!(node.get("boss", OBJECTS).status, 200, "another user is served");
    wait_until("what was not taken is gone", || node.get("reader", OBJECTS).status == 200);
}

/// A flood without an account leaves a bounded trace, which says how much was left out.
#[test]
fn strangers_do_not_fill_the_audit_log() {
    let node = Node::start();
    let mut wire = Wire::connect(node.running.address()).unwrap();
    let started = Instant::now();
    for _ in 0..2_000 {
        assert_eq!(wire.exchange(b"GET /taxii2/ HTTP/1.1\r\nhost: x\r\n\r\n").unwrap().status, 401);
    }
    node.store.audit(Vec::new()).unwrap();
    let entries = node.store.audit_log(0, 10_000).unwrap().len();
    // Some at once, then so many a second: the slower the machine, the more.
    let most = 350 + 5 * usize::try_from(started.elapsed().as_secs() + 1).unwrap();
    assert!((300..most.min(2_000)).contains(&entries), "{entries}");
    wait_until("the log says how many were left out", || {
        assert_eq!(wire.exchange(b"GET /taxii2/ HTTP/1.1\r\nhost: x\r\n\r\n").unwrap().status, 401);
        node.store.audit(Vec::new()).unwrap();
        let log = node.store.audit_log(0, 10_000).unwrap();
        log.iter().any(|(_, entry)| entry.outcome.contains("more not written"))
    });
}

fn status_of(stream: &mut TcpStream) -> u16 {
    let mut buffer = [0; 12];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut buffer).unwrap();
    std::str::from_utf8(&buffer[9..12]).unwrap().parse().unwrap()
}
