//! A TAXII 2.1 server as a function: request in, response out, over a [`Store`].
//!
//! | path | methods | section |
//! |---|---|---|
//! | `/taxii2/` | GET | 4.1 |
//! | `/{root}/` | GET | 4.2 |
//! | `/{root}/status/{id}/` | GET | 4.3 |
//! | `/{root}/collections/` | GET | 5.1 |
//! | `/{root}/collections/{id or alias}/` | GET | 5.2 |
//! | `…/manifest/` | GET | 5.3 |
//! | `…/objects/` | GET, POST | 5.4, 5.5 |
//! | `…/objects/{id}/` | GET, DELETE | 5.6, 5.7 |
//! | `…/objects/{id}/versions/` | GET | 5.8 |
//!
//! HEAD is answered as GET, the body dropped by whoever sends it. A missing slash at the end is
//! forgiven.
//!
//! Invariants: no input makes a 5xx, only the store's own trouble does; a collection that the caller
//! may not use is answered exactly as one that does not exist; one POST is one transaction, and its
//! 202 means "durable".
//!
//! **The one gate.** Objects, their ids and versions get into a response through [`Gate::page`] and
//! nowhere else: objects, manifest, versions, and whether an object is there at all. A body can be made
//! in `resource` only, from what the gate gave or from what holds no objects; to forget the gate does
//! not compile. A status tells its own sender what became of each object; one from outside is told
//! what is wrong with what it sent, and nothing of what is held already.

use besa_alliance::policy::{Party, Recipient};
use besa_intel::{
    Access, AuditEntry, Batch, Collection, Origin, PageQuery, Receipt, Sender, Store, StoreError, Time,
    VersionFilter, micros, micros_text, prepare_request,
};
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::media::{TAXII_21, accepts, is_taxii};
use super::query::{Filters, decode, read};
use super::registry::{Caller, Registry};
use super::resource::{self, Body};
use crate::release::{Gate, Sheet};

/// The path of discovery.
pub const DISCOVERY: &str = "/taxii2/";
/// Most objects in one envelope.
pub const ENVELOPE_OBJECTS_MAX: usize = 100_000;

/// What the server says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Title of the discovery resource.
    pub title: String,
    /// Its description.
    pub description: String,
    /// Whom to write to.
    pub contact: Option<String>,
    /// Largest body of a request, in bytes.
    pub max_content_length: u64,
}

/// A request, read whole and authenticated.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path, percent-encoded as it came.
    pub path: &'a str,
    /// What stood behind `?`.
    pub query: Option<&'a str>,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body.
    pub body: &'a [u8],
    /// Who asks.
    pub caller: &'a Caller,
    /// From where, for the audit log.
    pub source: &'a str,
    /// The request's own id, given back in errors.
    pub id: &'a str,
    /// When it was received.
    pub now: Time,
}

/// Takes what is posted. A node of an alliance judges what allies send before any of it is stored;
/// a node without allies stores it ([`Straight`]).
pub trait Inlet: Send + Sync {
    /// Stores of a batch what may be stored; on return it is durable.
    fn take(&self, store: &dyn Store, collection: &Collection, batch: Batch) -> Result<Receipt, StoreError>;
}

/// Stores everything that is valid STIX.
#[derive(Clone, Copy, Debug, Default)]
pub struct Straight;

impl Inlet for Straight {
    fn take(&self, store: &dyn Store, _: &Collection, batch: Batch) -> Result<Receipt, StoreError> {
        store.add_objects(batch)
    }
}

/// Answers a request.
pub fn respond(
    store: &dyn Store,
    inlet: &dyn Inlet,
    gate: &Gate,
    registry: &Registry,
    about: &About,
    request: &Request<'_>,
) -> Response<Vec<u8>> {
    let party = Party::of_account(request.caller.member.as_deref());
    let exchange = Exchange { store, inlet, gate, party, registry, about, request };
    exchange.route().unwrap_or_else(|failure| exchange.fail(&failure)).map(Body::into_bytes)
}

/// Why a request is not done.
struct Failure {
    status: StatusCode,
    description: String,
    allow: Option<&'static str>,
}

impl Failure {
    fn new(status: StatusCode, description: impl Into<String>) -> Self {
        Self { status, description: description.into(), allow: None }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Input(_) => StatusCode::BAD_REQUEST,
            StoreError::Exists(_) => StatusCode::CONFLICT,
            StoreError::Missing(_) => StatusCode::NOT_FOUND,
            StoreError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Broken(_) => {
                let description = "the store cannot be used; the operator finds the reason in the log";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, description);
            }
        };
        Self::new(status, error.to_string())
    }
}

type Answer = Result<Response<Body>, Failure>;

struct Exchange<'a> {
    store: &'a dyn Store,
    inlet: &'a dyn Inlet,
    gate: &'a Gate,
    party: Party,
    registry: &'a Registry,
    about: &'a About,
    request: &'a Request<'a>,
}

impl Exchange<'_> {
    fn route(&self) -> Answer {
        let path = self.request.path.trim_matches('/');
        let parts: Option<Vec<String>> = path.split('/').map(decode).collect();
        let parts = parts.ok_or_else(not_found)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["taxii2"] => self.get(|| self.discovery()),
            [root] if self.shows(root) => self.get(|| Ok(self.body(StatusCode::OK, self.api_root(root)))),
            [root, "status", id] if self.shows(root) => self.get(|| self.status(id)),
            [root, "collections"] if self.shows(root) => self.get(|| {
                let visible = self.registry.visible(self.request.caller, root);
                Ok(self.body(StatusCode::OK, resource::collections(&visible)))
            }),
            [root, "collections", name, rest @ ..] => {
                let found = self.registry.collection(self.request.caller, root, name);
                let (collection, access) = found.ok_or_else(not_found)?;
                self.in_collection(collection, access, rest)
            }
            _ => Err(not_found()),
        }
    }

    fn in_collection(&self, collection: &Collection, access: Access, rest: &[&str]) -> Answer {
        match rest {
            [] => self.get(|| Ok(self.body(StatusCode::OK, resource::collection(collection, access)))),
            ["manifest"] => self.get(|| {
                let query = PageQuery { content: false, ..self.query(Filters::All)? };
                let page = self.page(collection, access, &query)?;
                Ok(self.paged(&page, resource::manifest(&page)))
            }),
            ["objects"] if *self.request.method == Method::POST => self.add(collection, access),
            ["objects"] => self.only_get("GET, HEAD, POST", || {
                let page = self.page(collection, access, &self.query(Filters::All)?)?;
                Ok(self.paged(&page, resource::envelope(&page)))
            }),
            ["objects", id] if *self.request.method == Method::DELETE => self.delete(collection, access, id),
            ["objects", id] => self.only_get("GET, HEAD, DELETE", || {
                let query = PageQuery { ids: vec![(*id).to_owned()], ..self.query(Filters::Object)? };
                let page = self.page(collection, access, &query)?;
                self.listed(collection, access, id, &page)?;
                Ok(self.paged(&page, resource::envelope(&page)))
            }),
            ["objects", id, "versions"] => self.get(|| {
                let query = self.query(Filters::Versions)?;
                let query = PageQuery { ids: vec![(*id).to_owned()], content: false, ..query };
                let page = self.page(collection, access, &query)?;
                self.listed(collection, access, id, &page)?;
                Ok(self.paged(&page, resource::versions(&page)))
            }),
            _ => Err(not_found()),
        }
    }

    fn discovery(&self) -> Answer {
        let caller = self.request.caller;
        let roots = &self.registry.directory().roots;
        let mut shown: Vec<&str> =
            roots.iter().map(String::as_str).filter(|root| self.registry.shows_root(caller, root)).collect();
        // The first is the default.
        shown.sort_by_key(|root| *root != besa_intel::DEFAULT_ROOT);
        let about = self.about;
        let body = resource::discovery(&about.title, &about.description, about.contact.as_deref(), &shown);
        Ok(self.body(StatusCode::OK, body))
    }

    fn api_root(&self, root: &str) -> Body {
        let title = format!("{} ({root})", self.about.title);
        resource::api_root(&title, self.about.max_content_length)
    }

    /// A status is for the one who sent the request, and for administrators.
    fn status(&self, id: &str) -> Answer {
        let receipt = self.store.request(&id.to_ascii_lowercase())?.ok_or_else(not_found)?;
        let caller = self.request.caller;
        if receipt.who != caller.name && caller.role != besa_intel::account::Role::Administrator {
            return Err(not_found());
        }
        Ok(self.body(StatusCode::OK, resource::status(&receipt, self.is_outside())))
    }

    fn is_outside(&self) -> bool {
        matches!(self.party, Party::Outside(_))
    }

    /// From whom what is posted here is.
    fn origin(&self) -> Origin {
        let from = match &self.party {
            Party::Inside(_) => Sender::Here,
            Party::Outside(Recipient::Member(member)) => Sender::Member(member.as_str().to_owned()),
            Party::Outside(_) => Sender::Outside,
        };
        Origin { from, under: Vec::new() }
    }

    fn add(&self, collection: &Collection, access: Access) -> Answer {
        self.acceptable()?;
        if !access.write {
            return Err(forbidden("write to"));
        }
        let content_type = header(self.request.headers, &CONTENT_TYPE);
        if !is_taxii(content_type) {
            let description = format!("the body must be `{TAXII_21}` by its Content-Type");
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, description));
        }
        if self.request.body.len() as u64 > self.about.max_content_length {
            let description = format!(
                "the body is longer than {} bytes; send fewer objects",
                self.about.max_content_length
            );
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, description));
        }
        let objects = prepare_request(&envelope_objects(self.request.body)?);
        let caller = &self.request.caller.name;
        let mut batch = Batch::new(caller, self.request.now, Some(collection.key), objects);
        batch.audit = Some(self.audit("202"));
        batch.origin = self.origin();
        let receipt = self.inlet.take(self.store, collection, batch)?;
        Ok(self.body(StatusCode::ACCEPTED, resource::status(&receipt, self.is_outside())))
    }

    fn delete(&self, collection: &Collection, access: Access, id: &str) -> Answer {
        self.acceptable()?;
        if !(access.read && access.write) {
            return Err(forbidden("delete from"));
        }
        let query = self.query(Filters::Object)?;
        let (versions, specs): (&VersionFilter, _) = (&query.versions, query.specs.as_deref());
        let gone = self.store.unlist(collection.key, id, versions, specs, Some(self.audit("200")))?;
        if gone == 0 {
            return Err(not_found());
        }
        Ok(self.body(StatusCode::OK, Body::default()))
    }

    /// The gate: see the head of this file.
    fn page(&self, collection: &Collection, access: Access, query: &PageQuery) -> Result<Sheet, Failure> {
        if !access.read {
            return Err(forbidden("read from"));
        }
        let sheet = self.gate.page(self.store, &self.party, collection.key, query, self.request.now)?;
        sheet.ok_or_else(|| forbidden("read from"))
    }

    /// 404 if no version of the object is in the collection at all.
    fn listed(&self, collection: &Collection, access: Access, id: &str, page: &Sheet) -> Result<(), Failure> {
        if !page.items.is_empty() {
            return Ok(());
        }
        let any = PageQuery {
            ids: vec![id.to_owned()],
            versions: VersionFilter::all(),
            specs: Some(vec![20, 21]),
            content: false,
            limit: 1,
            ..PageQuery::default()
        };
        if self.page(collection, access, &any)?.items.is_empty() {
            return Err(not_found());
        }
        Ok(())
    }

    fn query(&self, filters: Filters) -> Result<PageQuery, Failure> {
        read(self.request.query, filters)
            .map_err(|description| Failure::new(StatusCode::BAD_REQUEST, description))
    }

    fn shows(&self, root: &str) -> bool {
        self.registry.shows_root(self.request.caller, root)
    }

    fn get(&self, answer: impl FnOnce() -> Answer) -> Answer {
        self.only_get("GET, HEAD", answer)
    }

    fn only_get(&self, allow: &'static str, answer: impl FnOnce() -> Answer) -> Answer {
        if !matches!(*self.request.method, Method::GET | Method::HEAD) {
            let description = format!("this resource knows {allow}");
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Failure { allow: Some(allow), ..Failure::new(status, description) });
        }
        self.acceptable()?;
        answer()
    }

    fn acceptable(&self) -> Result<(), Failure> {
        if self.request.headers.get_all(ACCEPT).iter().any(|value| accepts(value.to_str().ok()))
            || !self.request.headers.contains_key(ACCEPT)
        {
            return Ok(());
        }
        Err(Failure::new(StatusCode::NOT_ACCEPTABLE, format!("this server answers in `{TAXII_21}` only")))
    }

    fn audit(&self, outcome: &str) -> AuditEntry {
        AuditEntry {
            at: micros(self.request.now),
            actor: self.request.caller.name.clone(),
            source: self.request.source.to_owned(),
            action: self.request.method.to_string(),
            target: self.request.path.to_owned(),
            outcome: outcome.to_owned(),
        }
    }

    fn fail(&self, failure: &Failure) -> Response<Body> {
        let body = resource::error(failure.status, &failure.description, self.request.id);
        let mut response = self.body(failure.status, body);
        if let Some(allow) = failure.allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        if failure.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// A page with the times of its first and last object (section 3.3.2).
    fn paged(&self, page: &Sheet, body: Body) -> Response<Body> {
        let mut response = self.body(StatusCode::OK, body);
        let ends = [
            (HeaderName::from_static("x-taxii-date-added-first"), page.items.first()),
            (HeaderName::from_static("x-taxii-date-added-last"), page.items.last()),
        ];
        for (name, entry) in ends {
            let value = entry.and_then(|entry| HeaderValue::try_from(micros_text(entry.added)).ok());
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn body(&self, status: StatusCode, body: Body) -> Response<Body> {
        message(status, body)
    }
}

/// A TAXII error outside of any exchange, e.g. 401 before there is a caller.
pub fn error(status: StatusCode, description: &str, id: &str) -> Response<Vec<u8>> {
    message(status, resource::error(status, description, id)).map(Body::into_bytes)
}

fn message(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TAXII_21));
    response
}

fn not_found() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "there is no such resource, or you may not use it")
}

fn forbidden(what: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, format!("you may not {what} this collection"))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    objects: Option<&'a RawValue>,
}

/// The objects of an envelope, or of a bundle, which clients of the field send too.
fn envelope_objects(body: &[u8]) -> Result<Vec<&RawValue>, Failure> {
    let malformed = |error: &dyn std::fmt::Display| {
        Failure::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}"))
    };
    let no_envelope = |what: &str| {
        let description = format!("the body is no envelope: {what} (section 3.7)");
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, description)
    };
    let text = std::str::from_utf8(body).map_err(|error| malformed(&error))?;
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if !whole.get().starts_with('{') {
        return Err(no_envelope("it must be a JSON object"));
    }
    let envelope: Envelope<'_> =
        serde_json::from_str(whole.get()).map_err(|error| no_envelope(&error.to_string()))?;
    let list = envelope.objects.ok_or_else(|| no_envelope("it has no `objects`"))?;
    let Members(objects) =
        serde_json::from_str(list.get()).map_err(|_| no_envelope("`objects` must be a list"))?;
    if objects.is_empty() {
        return Err(no_envelope("`objects` is empty"));
    }
    if objects.len() > ENVELOPE_OBJECTS_MAX {
        let description =
            format!("the envelope has more than the {ENVELOPE_OBJECTS_MAX} objects that are read");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, description));
    }
    Ok(objects)
}

/// The members of a list, at most one more than [`ENVELOPE_OBJECTS_MAX`]: a body of `0,0,0…` must not
/// take eight times its length.
struct Members<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(MembersVisitor(std::marker::PhantomData))
    }
}

struct MembersVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> serde::de::Visitor<'de> for MembersVisitor<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() <= ENVELOPE_OBJECTS_MAX
            && let Some(member) = list.next_element::<&'de RawValue>()?
        {
            members.push(member);
        }
        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Members(members))
    }
}
