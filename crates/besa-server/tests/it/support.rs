//! A node on loopback and a client for it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use besa_intel::account::{Role, hash_password};
use besa_intel::{Access, Collection, NewCollection, Store, User};
use besa_server::{Options, Running, now, start};
use http::HeaderMap;
use serde_json::Value;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const TAXII: &str = "application/taxii+json;version=2.1";

pub(crate) struct Node {
    pub(crate) running: Running,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) feed: Collection,
    pub(crate) inbox: Collection,
    pub(crate) hidden: Collection,
    _folder: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::start_with(Options::loopback(0))
    }

    /// Users `writer` (rw on the feed, wo on the inbox), `reader` (ro on the feed), `boss`.
    pub(crate) fn start_with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(besa_intel::open_sqlite(&folder.path().join("intel.sqlite")).unwrap());
        let [feed, inbox, hidden] = set_up(store.as_ref());
        let running = start(Arc::clone(&store), options).unwrap();
        Self { running, store, feed, inbox, hidden, _folder: folder }
    }

    pub(crate) fn base(&self) -> String {
        self.running.url().trim_end_matches("/taxii2/").to_owned()
    }

    pub(crate) fn get(&self, user: &str, path: &str) -> Answer {
        self.send("GET", user, path, &[("accept", TAXII)], None)
    }

    pub(crate) fn post(&self, user: &str, path: &str, body: &str) -> Answer {
        self.send("POST", user, path, &[("accept", TAXII), ("content-type", TAXII)], Some(body))
    }

    pub(crate) fn send(
        &self,
        method: &str,
        user: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.base()));
        if !user.is_empty() {
            request = request.header("authorization", basic(user, PASSWORD));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .accept(ureq::config::AutoHeaderValue::None)
            .build()
            .into();
        let mut response = match body {
            Some(body) => agent.run(request.body(body.to_owned()).unwrap()),
            None => agent.run(request.body(()).unwrap()),
        }
        .unwrap();
        let body = response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
        Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{user}:{password}");
    let encoded: String = text
        .as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let mut bytes = [0u8; 3];
            bytes[..chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            (0..4).map(move |place| match place <= chunk.len() {
                true => LETTERS[(bits >> (18 - 6 * place) & 63) as usize] as char,
                false => '=',
            })
        })
        .collect();
    format!("Basic {encoded}")
}

/// A campaign's id.
pub(crate) fn id(number: u64) -> String {
    format!("campaign--00000000-0000-4000-8000-{number:012x}")
}

pub(crate) fn campaign(number: u64, modified: &str) -> String {
    let id = id(number);
    format!(
        r#"{{"type":"campaign","spec_version":"2.1","id":"{id}","created":"2020-01-01T00:00:00.000Z","modified":"{modified}","name":"c{number}"}}"#
    )
}

pub(crate) fn envelope(objects: &[String]) -> String {
    format!(r#"{{"objects":[{}]}}"#, objects.join(","))
}

/// One connection that stays open, for requests that a well-behaved client would not send.
pub(crate) struct Wire {
    stream: TcpStream,
    held: Vec<u8>,
}

/// What came back over a [`Wire`].
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream, held: Vec::new() })
    }

    pub(crate) fn get(&mut self, user: &str, target: &str) -> io::Result<Reply> {
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\naccept: {TAXII}\r\n\r\n",
            basic(user, PASSWORD)
        );
        self.exchange(head.as_bytes())
    }

    pub(crate) fn post(&mut self, user: &str, target: &str, body: &[u8]) -> io::Result<Reply> {
        let mut message = post_head(user, target, body.len() as u64);
        message.extend_from_slice(body);
        self.exchange(&message)
    }

    /// Sends octets and reads one response, which has a length.
    pub(crate) fn exchange(&mut self, message: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(message)?;
        self.held.clear();
        let mut buffer = [0; 65_536];
        loop {
            let end = self.held.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&self.held[..end]).into_owned();
                let status = head.get(9..12).and_then(|text| text.parse().ok()).unwrap_or(0);
                let reply = Reply { status, head, body: Vec::new() };
                let length: usize = reply.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
                while self.held.len() < end + 4 + length {
                    self.more(&mut buffer)?;
                }
                return Ok(Reply { body: self.held[end + 4..end + 4 + length].to_vec(), ..reply });
            }
            self.more(&mut buffer)?;
        }
    }

    fn more(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self.stream.read(buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.held.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }
}

/// The head of a POST by a user.
pub(crate) fn post_head(user: &str, target: &str, length: u64) -> Vec<u8> {
    let authorization = basic(user, PASSWORD);
    format!(
        "POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\naccept: {TAXII}\r\ncontent-type: {TAXII}\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// A number from the environment: how long a test that can run for hours shall.
pub(crate) fn rounds(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Xorshift: the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Waits until something is so; a minute and a half is more than any machine needs.
pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "{what}: not so after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long a test waits for what must come: long, since a slow machine is no fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Held by tests that take or measure much memory: all run in one process.
pub(crate) static HEAVY: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Resident memory of this process, in MiB.
pub(crate) fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Users `writer` (rw on the feed, wo on the inbox), `reader` (ro on the feed), `boss`.
pub(crate) fn set_up(store: &dyn Store) -> [Collection; 3] {
    let hash = hash_password(PASSWORD).unwrap();
    for (name, role) in
        [("writer", Role::Contributor), ("reader", Role::Reader), ("boss", Role::Administrator)]
    {
        let password = Some(hash.clone());
        let user =
            User { name: name.into(), role, password, certificate: None, disabled: false, member: None };
        store.add_user(&user).unwrap();
    }
    let make = |title: &str, alias: &str, root: &str| {
        let new = NewCollection {
            alias: Some(alias.into()),
            root: root.into(),
            description: Some("for tests".into()),
            ..NewCollection::titled(title)
        };
        store.add_collection(&new, now()).unwrap()
    };
    let (feed, inbox) = (make("Feed", "feed", "api"), make("Inbox", "inbox", "api"));
    let hidden = make("Hidden", "hidden", "secret");
    for (collection, user, access) in
        [(&feed, "writer", "rw"), (&inbox, "writer", "wo"), (&feed, "reader", "rw")]
    {
        store.set_access(collection.key, user, Access::parse(access).unwrap()).unwrap();
    }

    [feed, inbox, hidden]
}
