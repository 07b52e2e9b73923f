//! Bodies of messages (sections 3.7, 3.6.1, 4, 5). Objects are put in as they were received.
//!
//! A [`Body`] can be made here only: from objects that the gate let out, or from what holds none.

use besa_intel::{Access, Collection, Outcome, Receipt, micros_text};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::media::{STIX_20, STIX_21, TAXII_21};
use super::query::token;
use crate::release::{Item, Sheet};

/// The octets of a message that may leave. No octets can be made into one.
#[derive(Debug, Default)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    /// To the one who asked.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn of(value: &Value) -> Self {
        Self(value.to_string().into_bytes())
    }
}

pub(crate) fn discovery(title: &str, description: &str, contact: Option<&str>, roots: &[&str]) -> Body {
    let urls: Vec<String> = roots.iter().map(|root| format!("/{root}/")).collect();
    let mut body = json!({"title": title, "description": description, "api_roots": urls});
    if let Some(default) = urls.first() {
        put(&mut body, "default", json!(default));
    }
    if let Some(contact) = contact {
        put(&mut body, "contact", json!(contact));
    }
    Body::of(&body)
}

pub(crate) fn api_root(title: &str, max_content_length: u64) -> Body {
    Body::of(&json!({"title": title, "versions": [TAXII_21], "max_content_length": max_content_length}))
}

pub(crate) fn collections(visible: &[(&Collection, Access)]) -> Body {
    if visible.is_empty() {
        return Body::of(&json!({}));
    }
    let list: Vec<Value> = visible.iter().map(|(found, access)| described(found, *access)).collect();
    Body::of(&json!({"collections": list}))
}

pub(crate) fn collection(found: &Collection, access: Access) -> Body {
    Body::of(&described(found, access))
}

fn described(found: &Collection, access: Access) -> Value {
    let mut body = json!({"id": found.id, "title": found.title});
    if let Some(description) = &found.description {
        put(&mut body, "description", json!(description));
    }
    if let Some(alias) = &found.alias {
        put(&mut body, "alias", json!(alias));
    }
    put(&mut body, "can_read", json!(access.read));
    put(&mut body, "can_write", json!(access.write));
    put(&mut body, "media_types", json!([STIX_21, STIX_20]));
    body
}

/// An envelope. The objects' texts are JSON, checked when they were stored.
pub(crate) fn envelope(page: &Sheet) -> Body {
    wrap(page, "objects", |item, body| body.extend_from_slice(item.text.get().json().as_bytes()))
}

pub(crate) fn manifest(page: &Sheet) -> Body {
    wrap(page, "objects", |item, body| {
        let media_type = if item.spec == 20 { STIX_20 } else { STIX_21 };
        let (id, version) = (quoted(item.text.get().id()), quoted(&item.version));
        let added = micros_text(item.added);
        let record = format!(
            r#"{{"id":{id},"date_added":"{added}","version":{version},"media_type":"{media_type}"}}"#
        );
        body.extend_from_slice(record.as_bytes());
    })
}

pub(crate) fn versions(page: &Sheet) -> Body {
    wrap(page, "versions", |item, body| {
        body.extend_from_slice(quoted(&item.version).as_bytes());
    })
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn wrap(page: &Sheet, list: &str, mut write: impl FnMut(&Item, &mut Vec<u8>)) -> Body {
    let size: usize = page.items.iter().map(|item| item.text.get().json().len() + 160).sum();
    let mut body = Vec::with_capacity(size + 64);
    match (page.more, page.items.is_empty()) {
        (false, true) => return Body(b"{}".to_vec()),
        (true, _) => {
            let more = format!(r#"{{"more":true,"next":"{}""#, token(page.next));
            body.extend_from_slice(more.as_bytes());
        }
        (false, false) => body.extend_from_slice(br#"{"more":false"#),
    }
    if !page.items.is_empty() {
        body.extend_from_slice(format!(r#","{list}":["#).as_bytes());
        for (index, item) in page.items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write(item, &mut body);
        }
        body.push(b']');
    }
    body.push(b'}');
    Body(body)
}

/// A status (section 4.3.1). Everything is done when it is answered, so it is always complete.
///
/// One from outside is told what is wrong with an object in itself. That something else is held under
/// its id is none of its business: the object was taken, to be looked at by people.
pub(crate) fn status(receipt: &Receipt, outside: bool) -> Body {
    let taken = |outcome: &Outcome| outcome.is_success() || (outside && outcome.is_about_what_is_held());
    let hidden =
        receipt.outcomes.iter().flatten().filter(|one| !one.is_success() && taken(one)).count() as u64;
    let failed = if outside && receipt.outcomes.is_none() { 0 } else { receipt.failures() - hidden };
    let received = micros_text(receipt.at);
    let mut body = json!({
        "id": receipt.request,
        "status": "complete",
        "request_timestamp": received,
        "total_count": receipt.total,
        "success_count": receipt.total.saturating_sub(failed),
        "failure_count": failed,
        "pending_count": 0,
    });
    if let Some(outcomes) = &receipt.outcomes {
        for (name, wanted) in [("successes", true), ("failures", false)] {
            let chosen = outcomes.iter().filter(|outcome| taken(outcome) == wanted);
            let list: Vec<Value> = chosen.map(|outcome| detail(outcome, &received, outside)).collect();
            if !list.is_empty() {
                put(&mut body, name, Value::Array(list));
            }
        }
    }
    Body::of(&body)
}

fn detail(outcome: &Outcome, received: &str, outside: bool) -> Value {
    let version = if outcome.version.is_empty() { received } else { &outcome.version };
    let mut detail = json!({"id": outcome.id, "version": version});
    // Warnings are not kept of what was put aside, so one from outside gets them of nothing.
    if !outcome.message.is_empty() && (!outside || !(outcome.is_success() || outcome.is_about_what_is_held()))
    {
        put(&mut detail, "message", json!(outcome.message));
    }
    detail
}

/// An error message (section 3.6.1).
pub(crate) fn error(status: StatusCode, description: &str, error_id: &str) -> Body {
    Body::of(&json!({
        "title": status.canonical_reason().unwrap_or("Error"),
        "description": description,
        "error_id": error_id,
        "http_status": status.as_str(),
    }))
}

fn put(body: &mut Value, name: &str, value: Value) {
    let empty = &mut Map::new();
    body.as_object_mut().unwrap_or(empty).insert(name.to_owned(), value);
}
