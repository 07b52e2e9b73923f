//! Bodies of messages (sections 3.7, 3.6.1, 4, 5). Objects are put in as they were received.

use besa_intel::{Access, Collection, Entry, Outcome, Page, Receipt, micros_text};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::media::{STIX_20, STIX_21, TAXII_21};
use super::query::token;

pub(crate) fn discovery(title: &str, description: &str, contact: Option<&str>, roots: &[&str]) -> Value {
    let urls: Vec<String> = roots.iter().map(|root| format!("/{root}/")).collect();
    let mut body = json!({"title": title, "description": description, "api_roots": urls});
    if let Some(default) = urls.first() {
        put(&mut body, "default", json!(default));
    }
    if let Some(contact) = contact {
        put(&mut body, "contact", json!(contact));
    }
    body
}

pub(crate) fn api_root(title: &str, max_content_length: u64) -> Value {
    json!({"title": title, "versions": [TAXII_21], "max_content_length": max_content_length})
}

pub(crate) fn collections(visible: &[(&Collection, Access)]) -> Value {
    if visible.is_empty() {
        return json!({});
    }
    let list: Vec<Value> = visible.iter().map(|(found, access)| collection(found, *access)).collect();
    json!({"collections": list})
}

pub(crate) fn collection(found: &Collection, access: Access) -> Value {
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
pub(crate) fn envelope(page: &Page) -> Vec<u8> {
    wrap(page, "objects", |entry, body| body.extend_from_slice(entry.raw.as_bytes()))
}

pub(crate) fn manifest(page: &Page) -> Vec<u8> {
    wrap(page, "objects", |entry, body| {
        let media_type = if entry.spec == 20 { STIX_20 } else { STIX_21 };
        let (id, version) = (quoted(&entry.id), quoted(&entry.version));
        let added = micros_text(entry.added);
        let record = format!(
            r#"{{"id":{id},"date_added":"{added}","version":{version},"media_type":"{media_type}"}}"#
        );
        body.extend_from_slice(record.as_bytes());
    })
}

pub(crate) fn versions(page: &Page) -> Vec<u8> {
    wrap(page, "versions", |entry, body| {
        body.extend_from_slice(quoted(&entry.version).as_bytes());
    })
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn wrap(page: &Page, list: &str, mut write: impl FnMut(&Entry, &mut Vec<u8>)) -> Vec<u8> {
    let size: usize = page.entries.iter().map(|entry| entry.raw.len() + 160).sum();
    let mut body = Vec::with_capacity(size + 64);
    match (page.more, page.entries.is_empty()) {
        (false, true) => return b"{}".to_vec(),
        (true, _) => {
            let more = format!(r#"{{"more":true,"next":"{}""#, token(page.next));
            body.extend_from_slice(more.as_bytes());
        }
        (false, false) => body.extend_from_slice(br#"{"more":false"#),
    }
    if !page.entries.is_empty() {
        body.extend_from_slice(format!(r#","{list}":["#).as_bytes());
        for (index, entry) in page.entries.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write(entry, &mut body);
        }
        body.push(b']');
    }
    body.push(b'}');
    body
}

/// A status (section 4.3.1). Everything is done when it is answered, so it is always complete.
pub(crate) fn status(receipt: &Receipt) -> Value {
    let received = micros_text(receipt.at);
    let mut body = json!({
        "id": receipt.request,
        "status": "complete",
        "request_timestamp": received,
        "total_count": receipt.total,
        "success_count": receipt.successes(),
        "failure_count": receipt.failures(),
        "pending_count": 0,
    });
    if let Some(outcomes) = &receipt.outcomes {
        for (name, wanted) in [("successes", true), ("failures", false)] {
            let chosen = outcomes.iter().filter(|outcome| outcome.is_success() == wanted);
            let list: Vec<Value> = chosen.map(|outcome| detail(outcome, &received)).collect();
            if !list.is_empty() {
                put(&mut body, name, Value::Array(list));
            }
        }
    }
    body
}

fn detail(outcome: &Outcome, received: &str) -> Value {
    let version = if outcome.version.is_empty() { received } else { &outcome.version };
    let mut detail = json!({"id": outcome.id, "version": version});
    if !outcome.message.is_empty() {
        put(&mut detail, "message", json!(outcome.message));
    }
    detail
}

/// An error message (section 3.6.1).
pub(crate) fn error(status: StatusCode, description: &str, error_id: &str) -> Value {
    json!({
        "title": status.canonical_reason().unwrap_or("Error"),
        "description": description,
        "error_id": error_id,
        "http_status": status.as_str(),
    })
}

fn put(body: &mut Value, name: &str, value: Value) {
    let empty = &mut Map::new();
    body.as_object_mut().unwrap_or(empty).insert(name.to_owned(), value);
}
