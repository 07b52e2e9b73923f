//! One request, from the router to the answer.
//!
//! Health is asked without an account; metrics from this machine or by an administrator; everything
//! else is TAXII and needs a caller.
//!
//! Blocking work runs in the runtime's pool. What writes takes one of [`WRITES_MAX`] places first, so
//! that however many write, readers find a thread.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::routing::get;
use besa_exchange::release::Gate;
use besa_exchange::taxii::server::{self, About, Inlet};
use besa_exchange::taxii::{Caller, Registry};
use besa_intel::account::{Role, fresh_uuid};
use besa_intel::{AuditEntry, Store, StoreError, micros};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use tokio::sync::Semaphore;

use crate::auth::{Authenticator, Bucket, Credential, Denied, Known, credential, lock};
use crate::body::{BodyError, read_body};
use crate::memory::{Grant, Memory};
use crate::metrics::Metrics;
use crate::{Clock, Limits, Options, ServeError};

/// Requests whose objects are checked or stored at once; the pool has more threads.
const WRITES_MAX: usize = 12;
/// Entries of the audit log about refused strangers: so many a second, and at once.
const STRANGERS_PER_SECOND: f64 = 5.0;
const STRANGERS_AT_ONCE: f64 = 300.0;
/// Answers up to this length are not counted among those held.
const SMALL: u64 = 64 << 10;
/// How long an answer of `/ready` is good for.
const READY_TIME: Duration = Duration::from_secs(1);

/// What every request shares.
pub(crate) struct Node {
    store: Arc<dyn Store>,
    inlet: Arc<dyn Inlet>,
    gate: Arc<Gate>,
    registry: Mutex<Arc<Registry>>,
    auth: Authenticator,
    about: About,
    clock: Clock,
    limits: Limits,
    bodies: Memory,
    answers: Memory,
    writes: Semaphore,
    strangers: Mutex<Strangers>,
    ready: Mutex<Option<(Instant, bool)>>,
    pub(crate) metrics: Metrics,
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Fingerprint of its certificate, which TLS has verified.
    pub(crate) certificate: Option<String>,
}

impl Node {
    pub(crate) fn new(store: Arc<dyn Store>, options: &Options) -> Result<Self, ServeError> {
        let limits = options.limits;
        let registry = Registry::new(store.directory()?);
        Ok(Self {
            store,
            inlet: Arc::clone(&options.inlet.0),
            gate: Arc::clone(&options.gate),
            registry: Mutex::new(Arc::new(registry)),
            auth: Authenticator::new(limits)?,
            about: About { max_content_length: limits.body_bytes, ..options.about.clone() },
            clock: options.clock,
            limits,
            bodies: Memory::new(limits.bodies_bytes.max(limits.body_bytes), limits.body_bytes),
            answers: Memory::new(limits.answers_bytes, limits.answers_bytes / 4),
            writes: Semaphore::new(WRITES_MAX),
            strangers: Mutex::default(),
            ready: Mutex::default(),
            metrics: Metrics::default(),
        })
    }

    /// The directory as it is now: one small read tells whether it changed.
    fn registry(&self) -> Result<Arc<Registry>, StoreError> {
        let epoch = self.store.epoch()?;
        let mut held = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if held.directory().epoch != epoch {
            *held = Arc::new(Registry::new(self.store.directory()?));
        }
        Ok(Arc::clone(&held))
    }

    fn is_ready(&self) -> bool {
        let mut held = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, ready)) = *held
            && at.elapsed() < READY_TIME
        {
            return ready;
        }
        let ready = self.store.check().is_ok();
        *held = Some((Instant::now(), ready));
        ready
    }
}

pub(crate) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .fallback(taxii)
        .with_state(node)
}

async fn ready(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    match tokio::task::spawn_blocking(move || node.is_ready()).await {
        Ok(true) => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be used\n"),
    }
}

/// What one request is, without its body.
struct Head {
    id: String,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    peer: Peer,
}

async fn taxii(
    State(node): State<Arc<Node>>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let id = fresh_uuid().unwrap_or_default();
    let head = Arc::new(Head { id, method: parts.method, uri: parts.uri, headers: parts.headers, peer });
    let (response, actor, bytes_in) = answer(&node, &head, body).await;
    finish(&node, &head, &actor, started, bytes_in, response)
}

/// The answer, who asked, and how long the body was.
async fn answer(node: &Arc<Node>, head: &Arc<Head>, body: Body) -> (Response<Vec<u8>>, String, u64) {
    let header = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = credential(header, head.peer.certificate.as_deref());
    let has_body = head.method == Method::POST;
    let writes = has_body || head.method == Method::DELETE;
    let work = {
        let (node, head) = (Arc::clone(node), Arc::clone(head));
        move || first_step(&node, &head, credential, writes)
    };
    let step = match tokio::task::spawn_blocking(work).await {
        Ok(step) => step,
        Err(_) => return (internal(head), String::new(), 0),
    };
    let caller = match step {
        Step::Done(response, actor) => return (response, actor, 0),
        Step::Caller(caller) => caller,
        Step::Check { name, user, password, key } => {
            let address = head.peer.address;
            match node.auth.check(address, &name, user, password, key, &node.metrics).await {
                Ok(caller) if node.auth.within_rate(&caller.name) => caller,
                Ok(caller) => return (too_many(node, head), caller.name, 0),
                Err(denied) => return (denied_response(node, head, denied), name, 0),
            }
        }
    };
    let actor = caller.name.clone();
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let (bytes, grant) = if has_body {
        match read_body(body, announced, node.limits.body_bytes, &node.bodies, &actor).await {
            Ok((bytes, grant)) => (bytes, Some(grant)),
            Err(error) => return (body_error(node, head, &error), actor, 0),
        }
    } else {
        (Vec::new(), None)
    };
    let Ok(place) = node.writes.acquire().await else { return (internal(head), actor, 0) };
    let length = bytes.len() as u64;
    let work = {
        let (node, head) = (Arc::clone(node), Arc::clone(head));
        move || respond(&node, &head, &caller, &bytes)
    };
    let response = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| internal(head));
    drop((grant, place));
    (response, actor, length)
}

enum Step {
    Done(Response<Vec<u8>>, String),
    Caller(Caller),
    Check { name: String, user: Option<besa_intel::User>, password: String, key: ring::hmac::Tag },
}

/// Everything that can be done without waiting for a password check or a body; most requests end here.
fn first_step(node: &Node, head: &Head, credential: Credential, writes: bool) -> Step {
    let registry = match node.registry() {
        Ok(registry) => registry,
        Err(error) => return Step::Done(store_error(head, &error), String::new()),
    };
    match node.auth.look_up(&registry, &credential, (node.clock)()) {
        Known::Yes(caller) => {
            if matches!(credential, Credential::Basic { .. }) {
                node.metrics.logins_cached.fetch_add(1, Relaxed);
            }
            if !node.auth.within_rate(&caller.name) {
                return Step::Done(too_many(node, head), caller.name);
            }
            if writes {
                return Step::Caller(caller);
            }
            Step::Done(respond(node, head, &caller, &[]), caller.name)
        }
        Known::Check { user, password, key } => {
            let Credential::Basic { user: name, .. } = credential else {
                return Step::Done(denied_response(node, head, Denied::Wrong), String::new());
            };
            Step::Check { name, user, password, key }
        }
        Known::No if head.uri.path() == "/metrics" && head.peer.address.is_loopback() => {
            Step::Done(metrics(node), String::new())
        }
        Known::No => Step::Done(denied_response(node, head, Denied::Wrong), String::new()),
    }
}

fn respond(node: &Node, head: &Head, caller: &Caller, body: &[u8]) -> Response<Vec<u8>> {
    if head.uri.path() == "/metrics" && caller.role == Role::Administrator {
        return metrics(node);
    }
    let registry = match node.registry() {
        Ok(registry) => registry,
        Err(error) => return store_error(head, &error),
    };
    let source = head.peer.address.to_string();
    let request = server::Request {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query(),
        headers: &head.headers,
        body,
        caller,
        source: &source,
        id: &head.id,
        now: (node.clock)(),
    };
    server::respond(node.store.as_ref(), node.inlet.as_ref(), &node.gate, &registry, &node.about, &request)
}

/// Counts, logs and audits, and makes the response one that can be sent.
fn finish(
    node: &Node,
    head: &Head,
    actor: &str,
    started: Instant,
    bytes_in: u64,
    response: Response<Vec<u8>>,
) -> Response<Body> {
    let held = held_answer(node, actor, response.body().len());
    let (response, grant) = match held {
        Ok(grant) => (response, grant),
        // It is dropped here: who does not read what was asked for gets no more.
        Err(()) => (too_many(node, head), None),
    };
    let (mut parts, body) = response.into_parts();
    let (status, took) = (parts.status.as_u16(), started.elapsed());
    node.metrics.request(status, took, bytes_in, body.len() as u64);
    let path = head.uri.path();
    let micros_taken = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(
        target: "access", id = %head.id, peer = %head.peer.address, user = actor, method = %head.method,
        path, status, micros = micros_taken, bytes_in, bytes_out = body.len()
    );
    // What changes something is in the log already, in the same transaction. Refusals by a limit are
    // only counted, and those of strangers beyond a rate, or a flood would fill the disk.
    let changed = matches!(head.method, Method::POST | Method::DELETE) && parts.status.is_success();
    let left_out = if status == 401 { lock(&node.strangers).admit() } else { Some(0) };
    if left_out.is_none() {
        node.metrics.audit_left_out.fetch_add(1, Relaxed);
    }
    if let Some(left_out) = left_out
        && !changed
        && status != 429
        && path != "/metrics"
    {
        let more = if left_out > 0 { format!(" and {left_out} more not written") } else { String::new() };
        let entry = AuditEntry {
            at: micros((node.clock)()),
            actor: actor.to_owned(),
            source: head.peer.address.to_string(),
            action: head.method.to_string(),
            target: path.to_owned(),
            outcome: format!("{status}{more}"),
        };
        if !node.store.audit_soon(entry) {
            node.metrics.audit_lost.fetch_add(1, Relaxed);
        }
    }
    parts.headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    parts.headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response::from_parts(parts, Body::from(Bytes::from_owner(Held(body, grant))))
}

/// A place among the answers held, if it is large enough to need one.
fn held_answer(node: &Node, actor: &str, length: usize) -> Result<Option<Grant>, ()> {
    let length = length as u64;
    if length <= SMALL { Ok(None) } else { node.answers.try_take(actor, length).map(Some).ok_or(()) }
}

/// An answer's octets with the grant for them, until the last is sent.
struct Held(Vec<u8>, #[expect(dead_code, reason = "held, not read")] Option<Grant>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What is written to the audit log about refused strangers, who could fill the disk otherwise.
#[derive(Default)]
struct Strangers {
    bucket: Bucket,
    left_out: u64,
}

impl Strangers {
    /// How many were left out since the last entry; `None` if this one is to be left out too.
    fn admit(&mut self) -> Option<u64> {
        self.bucket.drain(STRANGERS_PER_SECOND);
        if self.bucket.level >= STRANGERS_AT_ONCE {
            self.left_out += 1;
            return None;
        }
        self.bucket.level += 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

fn metrics(node: &Node) -> Response<Vec<u8>> {
    let text = node.metrics.text(node.store.last_commit().unwrap_or_default());
    let mut response = Response::new(text.into_bytes());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}

fn denied_response(node: &Node, head: &Head, denied: Denied) -> Response<Vec<u8>> {
    if denied == Denied::TooMany {
        return too_many(node, head);
    }
    let description = "give a user name and password, a token, or a certificate that this node knows";
    let mut response = server::error(StatusCode::UNAUTHORIZED, description, &head.id);
    let headers = response.headers_mut();
    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"besa\", charset=\"UTF-8\""));
    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"besa\""));
    response
}

fn too_many(node: &Node, head: &Head) -> Response<Vec<u8>> {
    node.metrics.refused_by_limit.fetch_add(1, Relaxed);
    let description = "too many requests, failed passwords, or octets under way from there; wait";
    let mut response = server::error(StatusCode::TOO_MANY_REQUESTS, description, &head.id);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

fn body_error(node: &Node, head: &Head, error: &BodyError) -> Response<Vec<u8>> {
    let (status, description) = match error {
        BodyError::TooLarge => {
            let most = node.limits.body_bytes;
            (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is longer than {most} bytes; send fewer objects"),
            )
        }
        BodyError::Crowded => {
            let mut response = too_many(node, head);
            response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly".to_owned()),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "the body was not sent whole".to_owned()),
    };
    let mut response = server::error(status, &description, &head.id);
    // The rest of the body is not read, so the connection cannot go on.
    response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn store_error(head: &Head, error: &StoreError) -> Response<Vec<u8>> {
    tracing::error!(id = %head.id, %error, "the store failed");
    let status = match error {
        StoreError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    server::error(status, "the store cannot be used now", &head.id)
}

fn internal(head: &Head) -> Response<Vec<u8>> {
    tracing::error!(id = %head.id, "a request panicked");
    server::error(StatusCode::INTERNAL_SERVER_ERROR, "an error of this server; it is in the log", &head.id)
}
