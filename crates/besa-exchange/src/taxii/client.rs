//! A TAXII 2.1 client: discovery, pull with a durable cursor, push with retry.
//!
//! **Cursor.** Within one pull the server's `next` is followed. What is kept between pulls is the
//! `added_after` of the last page that is durable in our store, less [`OVERLAP_SECONDS`]: many
//! servers cut `date_added` to milliseconds or give one instant to many objects, and would lose
//! what shares it with the last object of a page. What comes twice is known to the store and harmless.
//!
//! **Quirks met in the field and taken:** `more` without `next`, numeric `next`, bundles for envelopes,
//! no `X-TAXII-Date-Added-Last`, media types without a version, empty pages with more behind them,
//! relative API roots, pending statuses. One bad object is reported and the rest is taken.
//!
//! **Retry.** 429, 502, 503, 504 and broken connections are tried [`TRIES_MAX`] times with doubling
//! pauses, `Retry-After` honoured. POST too: objects are named by id and version, so twice is once.
//!
//! **Credentials** go to the scheme, host and port that were asked first and to no other, whatever API
//! roots a server names; redirects are followed without them.

use std::sync::OnceLock;
use std::time::Duration;

use besa_alliance::policy::{Inside, Released, Text};
use besa_intel::{Batch, CollectionKey, PageQuery, Receipt, Store, StoreError, Time, prepare_request};
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::media::TAXII_21;

/// How far a pull goes back before the last object it has.
pub const OVERLAP_SECONDS: i64 = 1;
/// Tries of one request.
pub const TRIES_MAX: u32 = 6;
/// Largest response read, in bytes.
const RESPONSE_BYTES_MAX: u64 = 128 << 20;
/// Objects asked for in a page; fewer if a page is larger than what is read.
const LIMIT: usize = 1_000;
/// Most bytes and objects pushed in one request.
const PUSH_BYTES_MAX: usize = 4 << 20;
const PUSH_OBJECTS_MAX: usize = 1_000;
/// Ids asked for in one request: its line stays below 8 KiB.
const IDS_MAX: usize = 100;
/// Empty pages in a row before a server is thought to go in circles.
const EMPTY_PAGES_MAX: usize = 1_000;
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Looks at a pending status, a pause apart.
const STATUS_LOOKS_MAX: u32 = 60;

/// How to name oneself.
#[derive(Clone, Debug)]
pub enum Login {
    /// Not at all, or by the client certificate.
    None,
    /// Basic.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// Bearer.
    Token(String),
}

/// Certificates, all PEM.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Authorities to trust in place of the usual ones.
    pub authorities: Option<Vec<u8>>,
    /// Our own certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no.
    #[error("`{url}` answered {status}: {description}")]
    Status {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// What the server says, shortened.
        description: String,
    },
    /// The server cannot be reached or breaks off.
    #[error("`{url}` cannot be reached: {reason}")]
    Network {
        /// What was asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server's answer is not TAXII.
    #[error("`{url}` answered what is no TAXII 2.1: {reason}")]
    Protocol {
        /// What was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// An answer is larger than what is read.
    #[error("`{url}` answered with more than {RESPONSE_BYTES_MAX} bytes")]
    TooLarge {
        /// What was asked.
        url: String,
    },
    /// A certificate or key cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// Our own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A server's discovery resource, API roots made absolute.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Title.
    pub title: String,
    /// URLs of the API roots.
    pub api_roots: Vec<String>,
}

/// A collection of a server.
#[derive(Clone, Debug)]
pub struct Remote {
    /// URL, with a slash at the end.
    pub url: String,
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// Second name.
    pub alias: Option<String>,
    /// We may read.
    pub can_read: bool,
    /// We may write.
    pub can_write: bool,
}

/// What a pull brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Pages read.
    pub pages: u64,
    /// Objects received.
    pub received: u64,
    /// Of them new here.
    pub added: u64,
    /// Of them refused or in conflict: `(id, reason)`, the first thousand.
    pub failures: Vec<(String, String)>,
}

/// What a push brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Objects sent.
    pub sent: u64,
    /// Of them taken by the server.
    pub taken: u64,
    /// Objects that the server refused: `(id, reason)`, the first thousand.
    pub failures: Vec<(String, String)>,
}

/// Most failures kept in a report.
const FAILURES_MAX: usize = 1_000;

/// A client of one server.
pub struct Client {
    agent: ureq::Agent,
    authorization: Option<String>,
    /// Scheme, host and port that get the credentials: those asked first.
    origin: OnceLock<String>,
    /// Tries of one request.
    tries: u32,
}

/// Where a pull puts what it brings: the store itself, or whoever judges it first.
pub type Sink<'a> = &'a dyn Fn(Batch) -> Result<Receipt, StoreError>;

impl Client {
    /// Makes a client; nothing is sent yet.
    pub fn new(login: &Login, trust: &Trust) -> Result<Self, ClientError> {
        let authorization = match login {
            Login::None => None,
            Login::Basic { user, password } => {
                Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())))
            }
            Login::Token(token) => Some(format!("Bearer {token}")),
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls(trust)?)
            .user_agent(concat!("besa/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .timeout_global(Some(Duration::from_secs(600)));
        Ok(Self { agent: config.build().into(), authorization, origin: OnceLock::new(), tries: TRIES_MAX })
    }

    /// The same with another number of tries of one request, for callers that come again by themselves.
    #[must_use]
    pub fn with_tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// Asks a discovery URL.
    pub fn discover(&self, url: &str) -> Result<Discovery, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            title: String,
            #[serde(default)]
            api_roots: Vec<String>,
        }
        let body: Body = self.get(url)?.read(url)?;
        let api_roots = body.api_roots.iter().map(|root| slashed(&join(url, root))).collect();
        Ok(Discovery { title: body.title, api_roots })
    }

    /// The collections of an API root.
    pub fn collections(&self, root: &str) -> Result<Vec<Remote>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            collections: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            id: String,
            #[serde(default)]
            title: String,
            alias: Option<String>,
            #[serde(default)]
            can_read: bool,
            #[serde(default)]
            can_write: bool,
        }
        let url = format!("{}collections/", slashed(root));
        let body: Body = self.get(&url)?.read(&url)?;
        let remote = |One { id, title, alias, can_read, can_write }| Remote {
            url: format!("{url}{id}/"),
            id,
            title,
            alias,
            can_read,
            can_write,
        };
        Ok(body.collections.into_iter().map(remote).collect())
    }

    /// Pulls what is new in a server's collection into the store, and into one of its collections.
    /// The cursor is kept in the store after each page; `clock` tells the time of receipt.
    pub fn pull(
        &self,
        store: &dyn Store,
        collection: &str,
        into: Option<CollectionKey>,
        clock: &dyn Fn() -> Time,
    ) -> Result<Pulled, ClientError> {
        self.pull_through(store, collection, into, clock, &|batch| store.add_objects(batch))
    }

    /// Pulls as [`Client::pull`] does; each page goes through `sink`, the cursor is kept in `store`.
    pub fn pull_through(
        &self,
        store: &dyn Store,
        collection: &str,
        into: Option<CollectionKey>,
        clock: &dyn Fn() -> Time,
        sink: Sink<'_>,
    ) -> Result<Pulled, ClientError> {
        let objects_url = format!("{}objects/", slashed(collection));
        let name = format!("pull {objects_url} {}", into.map_or(0, |key| key.0));
        let mut cursor = store.cursor(&name)?;
        let mut from = Place { added_after: cursor.clone(), next: None };
        let mut pulled = Pulled::default();
        let (mut empty, mut limit) = (0, LIMIT);
        loop {
            let url = from.url(&objects_url, limit);
            let answer = match self.get(&url) {
                Err(ClientError::TooLarge { .. }) if limit > 1 => {
                    limit = (limit / 10).max(1);
                    continue;
                }
                answer => answer?,
            };
            let last = answer.last_added.clone();
            let (page, objects) = envelope(&answer.body, &url)?;
            empty = if objects.is_empty() { empty + 1 } else { 0 };
            pulled.pages += 1;
            take(sink, &objects, Batch::new(&objects_url, clock(), into, Vec::new()), &mut pulled)?;
            if let Some(place) = last.as_deref().and_then(overlapped) {
                // Never back: a server may give an old page last.
                if cursor.as_deref().is_none_or(|held| held < place.as_str()) {
                    store.set_cursor(&name, &place)?;
                    cursor = Some(place);
                }
            }
            if !page.more.unwrap_or(false) {
                return Ok(pulled);
            }
            let following = Place::after(&from, page.next_text(), last);
            if following == from || empty > EMPTY_PAGES_MAX {
                let reason = "it says that there is more, and does not go on".to_owned();
                return Err(ClientError::Protocol { url, reason });
            }
            from = following;
        }
    }

    /// All versions of objects that a server's collection holds, by id; those it has not are left out.
    pub fn named(&self, collection: &str, ids: &[String]) -> Result<Vec<String>, ClientError> {
        let objects_url = format!("{}objects/", slashed(collection));
        let mut texts = Vec::new();
        for part in ids.chunks(IDS_MAX) {
            let mut from = Place::default();
            loop {
                let names = encode(&part.join(","));
                let url = format!("{}&match%5Bid%5D={names}", from.url(&objects_url, LIMIT));
                let answer = self.get(&url)?;
                let (page, objects) = envelope(&answer.body, &url)?;
                texts.extend(objects.iter().map(|object| object.get().to_owned()));
                let following = Place::after(&from, page.next_text(), answer.last_added.clone());
                if !page.more.unwrap_or(false) || following == from {
                    break;
                }
                from = following;
            }
        }
        Ok(texts)
    }

    /// Pushes objects to a server's collection, in requests it can take. They leave the node, so
    /// the release policy or the operator has said so.
    pub fn push(&self, collection: &str, objects: &[Released<Text>]) -> Result<Pushed, ClientError> {
        let mut pushed = Pushed::default();
        let mut rest = objects;
        while !rest.is_empty() {
            let (chunk, others) = rest.split_at(chunk_len(rest));
            self.push_chunk(collection, chunk, &mut pushed)?;
            rest = others;
        }
        Ok(pushed)
    }

    /// Pushes everything of a local collection that is new since the last push to the same place: to
    /// whom the operator says, whatever its markings are.
    pub fn push_new(
        &self,
        store: &dyn Store,
        from: CollectionKey,
        collection: &str,
        operator: &Inside,
    ) -> Result<Pushed, ClientError> {
        let name = format!("push {} {}", from.0, slashed(collection));
        let held = store.cursor(&name)?;
        let mut query = PageQuery {
            after: held.and_then(|held| held.parse().ok()).unwrap_or(0),
            versions: besa_intel::VersionFilter::all(),
            specs: Some(vec![20, 21]),
            ..PageQuery::default()
        };
        let mut pushed = Pushed::default();
        loop {
            let page = store.page(from, &query)?;
            let last = page.entries.last().map(|entry| entry.seq);
            let objects = operator.texts(page.entries.into_iter().map(|entry| entry.raw));
            let part = self.push(collection, &objects)?;
            pushed.sent += part.sent;
            pushed.taken += part.taken;
            pushed.failures.extend(part.failures);
            pushed.failures.truncate(FAILURES_MAX);
            if let Some(last) = last {
                store.set_cursor(&name, &last.to_string())?;
            }
            if !page.more {
                return Ok(pushed);
            }
            query.after = page.next;
        }
    }

    fn push_chunk(
        &self,
        collection: &str,
        chunk: &[Released<Text>],
        pushed: &mut Pushed,
    ) -> Result<(), ClientError> {
        let url = format!("{}objects/", slashed(collection));
        let texts: Vec<&str> = chunk.iter().map(|text| text.get().json()).collect();
        let body = format!("{{\"objects\":[{}]}}", texts.join(","));
        let answer = match self.send(&url, Some(&body)) {
            Err(ClientError::Status { status: 413, .. }) if chunk.len() > 1 => {
                let (one, other) = chunk.split_at(chunk.len() / 2);
                self.push_chunk(collection, one, pushed)?;
                return self.push_chunk(collection, other, pushed);
            }
            other => other?,
        };
        let mut status: Status = answer.read(&url)?;
        let status_url = join(&slashed(collection), &format!("../../status/{}/", status.id));
        for _ in 0..STATUS_LOOKS_MAX {
            if status.status != "pending" {
                break;
            }
            std::thread::sleep(PAUSE_FIRST);
            status = self.get(&status_url)?.read(&status_url)?;
        }
        pushed.sent += chunk.len() as u64;
        pushed.taken += status.success_count;
        for failure in status.failures {
            if pushed.failures.len() < FAILURES_MAX {
                pushed.failures.push((failure.id, failure.message.unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn get(&self, url: &str) -> Result<Answer, ClientError> {
        self.send(url, None)
    }

    /// One request with its retries.
    fn send(&self, url: &str, body: Option<&str>) -> Result<Answer, ClientError> {
        let mut pause = PAUSE_FIRST;
        for attempt in 1.. {
            let (error, wanted) = match self.once(url, body) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err((error, wanted))) => (error, wanted),
                Err(error) => (error, None),
            };
            let again = match &error {
                ClientError::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
                ClientError::Network { .. } => true,
                _ => false,
            };
            if !again || attempt >= self.tries {
                return Err(error);
            }
            std::thread::sleep(wanted.unwrap_or(pause).min(PAUSE_MAX));
            pause *= 2;
        }
        Err(ClientError::Network { url: url.to_owned(), reason: "no try was made".to_owned() })
    }

    /// One try; a refusal comes with the pause that the server asks for.
    fn once(
        &self,
        url: &str,
        body: Option<&str>,
    ) -> Result<Result<Answer, (ClientError, Option<Duration>)>, ClientError> {
        let network = |error: ureq::Error| failed(url, &error);
        let sent = match body {
            None => self.login(url, self.agent.get(url)).call(),
            Some(body) => self.login(url, self.agent.post(url)).header("content-type", TAXII_21).send(body),
        };
        let mut response = sent.map_err(network)?;
        let status = response.status();
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (last_added, retry_after) = (header("x-taxii-date-added-last"), header("retry-after"));
        let bytes =
            response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_vec().map_err(network)?;
        if matches!(status, StatusCode::OK | StatusCode::ACCEPTED) {
            return Ok(Ok(Answer { body: bytes, last_added }));
        }
        let description = described(&bytes);
        let error = ClientError::Status { url: url.to_owned(), status: status.as_u16(), description };
        let seconds = retry_after.and_then(|text| text.trim().parse().ok());
        Ok(Err((error, seconds.map(Duration::from_secs))))
    }

    fn login<B>(&self, url: &str, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = request.header("accept", TAXII_21);
        let ours = self.origin.get_or_init(|| origin(url)) == &origin(url);
        match &self.authorization {
            Some(authorization) if ours => request.header("authorization", authorization),
            _ => request,
        }
    }
}

struct Answer {
    body: Vec<u8>,
    last_added: Option<String>,
}

impl Answer {
    fn read<'a, T: Deserialize<'a>>(&'a self, url: &str) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ClientError::Protocol { url: url.to_owned(), reason: error.to_string() })
    }
}

#[derive(Deserialize)]
struct Status {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    success_count: u64,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    id: String,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    more: Option<bool>,
    next: Option<serde_json::Value>,
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
}

impl Envelope<'_> {
    fn next_text(&self) -> Option<String> {
        match self.next.as_ref()? {
            serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    added_after: Option<String>,
    next: Option<String>,
}

impl Place {
    /// With `next` if there is one (the same question goes on), else by the last time seen.
    fn after(from: &Self, next: Option<String>, last: Option<String>) -> Self {
        match next {
            Some(next) => Self { added_after: from.added_after.clone(), next: Some(next) },
            None => Self { added_after: last.or_else(|| from.added_after.clone()), next: None },
        }
    }

    fn url(&self, objects_url: &str, limit: usize) -> String {
        let mut url = format!("{objects_url}?match%5Bversion%5D=all&limit={limit}");
        for (name, value) in [("added_after", &self.added_after), ("next", &self.next)] {
            if let Some(value) = value {
                url.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        url
    }
}

fn envelope<'a>(body: &'a [u8], url: &str) -> Result<(Envelope<'a>, Vec<&'a RawValue>), ClientError> {
    let wrong = |reason: String| ClientError::Protocol { url: url.to_owned(), reason };
    let text = std::str::from_utf8(body).map_err(|error| wrong(error.to_string()))?;
    let mut page: Envelope<'a> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let objects = std::mem::take(&mut page.objects);
    Ok((page, objects))
}

fn take(sink: Sink<'_>, objects: &[&RawValue], empty: Batch, pulled: &mut Pulled) -> Result<(), ClientError> {
    if objects.is_empty() {
        return Ok(());
    }
    let receipt = sink(Batch { objects: prepare_request(objects), ..empty })?;
    pulled.received += receipt.total;
    for outcome in receipt.outcomes.unwrap_or_default() {
        if outcome.verdict == besa_intel::Verdict::Added {
            pulled.added += 1;
        } else if !outcome.is_success() && pulled.failures.len() < FAILURES_MAX {
            pulled.failures.push((outcome.id, outcome.message));
        }
    }
    Ok(())
}

/// The time from which the next pull starts.
fn overlapped(last: &str) -> Option<String> {
    let time = Time::parse(last.trim()).ok()?;
    let back = Time::from_unix(time.unix_seconds() - OVERLAP_SECONDS, time.subsec_nanos());
    Some(besa_intel::micros_text(besa_intel::micros(back)))
}

fn chunk_len(objects: &[Released<Text>]) -> usize {
    let mut bytes = 0;
    let fits = objects.iter().take(PUSH_OBJECTS_MAX).take_while(|object| {
        bytes += object.get().json().len() + 1;
        bytes <= PUSH_BYTES_MAX
    });
    fits.count().max(1)
}

fn described(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        title: Option<String>,
        description: Option<String>,
    }
    let text = match serde_json::from_slice::<Message>(body) {
        Ok(message) => message.description.or(message.title).unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned(),
    };
    text.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

fn tls(trust: &Trust) -> Result<TlsConfig, ClientError> {
    let wrong = |error: ureq::Error| ClientError::Tls(error.to_string());
    let mut config = TlsConfig::builder();
    if let Some(pem) = &trust.authorities {
        let found: Result<Vec<_>, _> = ureq::tls::parse_pem(pem).collect();
        let certificates: Vec<Certificate<'static>> = found
            .map_err(wrong)?
            .into_iter()
            .filter_map(|item| match item {
                ureq::tls::PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        config = config.root_certs(RootCerts::new_with_certs(&certificates));
    }
    if let Some((certificate, key)) = &trust.identity {
        let chain = [Certificate::from_pem(certificate).map_err(wrong)?];
        let key = PrivateKey::from_pem(key).map_err(wrong)?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(config.build())
}

/// What of a failure a new try may mend; a certificate that is not trusted stays so.
fn failed(url: &str, error: &ureq::Error) -> ClientError {
    let url = url.to_owned();
    match error {
        ureq::Error::BodyExceedsLimit(_) => ClientError::TooLarge { url },
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            ClientError::Protocol { url, reason: error.to_string() }
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => {
            ClientError::Tls(format!("`{url}`: {error}"))
        }
        ureq::Error::Io(inner) if inner.kind() == std::io::ErrorKind::InvalidData => {
            ClientError::Tls(format!("`{url}`: {inner}"))
        }
        _ => ClientError::Network { url, reason: error.to_string() },
    }
}

/// Scheme, host and port of a URL, in lower case.
fn origin(url: &str) -> String {
    let scheme_end = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(scheme_end);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}{host}").to_ascii_lowercase()
}

fn slashed(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

/// Resolves a reference against a URL (RFC 3986 section 5, as far as API roots need it).
fn join(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let scheme_end = base.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = base.split_at(scheme_end);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut parts: Vec<&str> = if reference.starts_with('/') {
        Vec::new()
    } else {
        path.rsplit_once('/').map_or_else(Vec::new, |(folder, _)| folder.split('/').collect())
    };
    for part in reference.trim_start_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    format!("{scheme}{host}/{}", parts.join("/"))
}

/// Percent-encodes a value of a URL parameter.
fn encode(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4usize {
            let index = (bits >> (18 - 6 * place) & 63) as usize;
            let letter = LETTERS.get(index).map_or('=', |letter| char::from(*letter));
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (base, reference, expected) in [
            ("https://a.example/taxii2/", "/api/", "https://a.example/api/"),
            ("https://a.example:1/taxii2/", "api/", "https://a.example:1/taxii2/api/"),
            ("https://a.example/taxii2/", "https://b.example/x/", "https://b.example/x/"),
            ("http://a/api/collections/1/", "../../status/2/", "http://a/api/status/2/"),
            ("http://a", "/api/", "http://a/api/"),
        ] {
            assert_eq!(join(base, reference), expected);
        }
        assert_eq!(encode("2026-01-01T00:00:00Z/+"), "2026-01-01T00%3A00%3A00Z%2F%2B");
        assert_eq!(base64(b"user:pass"), "dXNlcjpwYXNz");
        assert_eq!(overlapped("2026-01-01T00:00:00.25Z").unwrap(), "2025-12-31T23:59:59.250000Z");
    }
}
