//! What a stranger, or a user gone bad, may send: answered with 4xx, readers unharmed.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{Node, PASSWORD, basic, campaign, envelope};

const OBJECTS: &str = "/api/collections/feed/objects/";

/// `BESA_MUTATIONS` sets the number of bodies (2,000 unless told; a million by hand).
#[test]
fn mutated_bodies_never_make_a_5xx() {
    let node = Node::start();
    let good = envelope(&[campaign(1, "2021-01-01T00:00:00.000Z"), campaign(2, "2021-01-01T00:00:00.000Z")]);
    assert_eq!(node.post("writer", OBJECTS, &good).status, 202);
    let rounds: u64 = std::env::var("BESA_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let mut stream = TcpStream::connect(node.running.address()).unwrap();
    let mut random = 88_172_645_463_325_252u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % limit as u64) as usize
    };
    let pieces: [&[u8]; 10] = [
        b"\"",
        b"{",
        b"]",
        b"null",
        b"\\u0000",
        b"\xff",
        b"1e999",
        b"-0",
        b"\"revoked\":true,",
        b"9999-12-31T23:59:59.999Z",
    ];
    for round in 0..rounds {
        let mut body = good.clone().into_bytes();
        for _ in 0..=below(4) {
            if body.is_empty() {
                break;
            }
            let at = below(body.len());
            match below(4) {
                0 => body[at] = below(256) as u8,
                1 => drop(body.remove(at)),
                2 => drop(body.splice(at..at, pieces[below(pieces.len())].iter().copied())),
                _ => body.truncate(at.max(1)),
            }
        }
        let (status, _) = post(&mut stream, &body);
        assert!(
            matches!(status, 202 | 400 | 422),
            "round {round}: {status} for {:?}",
            String::from_utf8_lossy(&body)
        );
    }
    let page = node.get("reader", &format!("{OBJECTS}?match[version]=all&limit=1000"));
    assert_eq!(page.status, 200);
    assert!(!page.json()["objects"].as_array().unwrap().is_empty());
}

#[test]
fn large_deep_and_many() {
    let node = Node::start();
    let nested = format!(r#"{{"objects":[{}{}]}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(matches!(node.post("writer", OBJECTS, &nested).status, 400 | 422 | 202));
    let deep_object = format!(
        r#"{{"objects":[{{"type":"campaign","x_a":{}1{}}}]}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert!(matches!(node.post("writer", OBJECTS, &deep_object).status, 400 | 422 | 202));
    let many: Vec<String> = (0..20_000).map(|n| campaign(n, "2021-01-01T00:00:00.000Z")).collect();
    let status = node.post("writer", OBJECTS, &envelope(&many)).json();
    assert_eq!(status["success_count"], 20_000);
    assert_eq!(status.get("successes"), None, "counts only, beyond ten thousand");
    // A gigabyte is refused by its announcement, unread.
    let mut stream = TcpStream::connect(node.running.address()).unwrap();
    stream.write_all(&head(1 << 30)).unwrap();
    assert_eq!(status_of(&mut stream), 413);
    assert_eq!(node.get("reader", OBJECTS).status, 200);
}

/// A client that sends its body byte by byte harms nobody; neither does one that sends half a head.
#[test]
fn slow_clients_are_let_wait() {
    let node = Node::start();
    let slow: Vec<TcpStream> = (0..50)
        .map(|n| {
            let mut stream = TcpStream::connect(node.running.address()).unwrap();
            let text =
                if n % 2 == 0 { head(1_000) } else { b"GET /taxii2/ HTTP/1.1\r\nhost: x\r\nx-a: ".to_vec() };
            stream.write_all(&text).unwrap();
            stream
        })
        .collect();
    let started = std::time::Instant::now();
    assert_eq!(node.get("reader", OBJECTS).status, 200);
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    drop(slow);
}

fn head(length: u64) -> Vec<u8> {
    let authorization = basic("writer", PASSWORD);
    format!(
        "POST {OBJECTS} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\naccept: application/taxii+json\r\ncontent-type: application/taxii+json;version=2.1\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// One POST on a connection that stays open.
fn post(stream: &mut TcpStream, body: &[u8]) -> (u16, Vec<u8>) {
    let mut message = head(body.len() as u64);
    message.extend_from_slice(body);
    stream.write_all(&message).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the connection was closed: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length: usize = text[..end]
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            return (text[9..12].parse().unwrap(), bytes);
        }
    }
}

fn status_of(stream: &mut TcpStream) -> u16 {
    let mut buffer = [0; 12];
    stream.read_exact(&mut buffer).unwrap();
    std::str::from_utf8(&buffer[9..12]).unwrap().parse().unwrap()
}
