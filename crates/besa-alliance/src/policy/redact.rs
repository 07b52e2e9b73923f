//! The redacted copy: what is left of an object, as the releaser's own object.
//!
//! Only the creator may publish a version of its object (section 3.6), so a copy with parts left out
//! is an object of its own: new id, `created_by_ref` the releaser, and it says twice what it is: by
//! our extension for programs and by an external reference for people. It names its source, so
//! references to the source still lead somewhere.
//!
//! The id is a UUIDv5 over the releaser, the source and the *shape* of what is left (the selectors
//! of its leaves). Two recipients with the same view get the same id; another view gets another id,
//! and a new version or a revocation of the source becomes a new version of the same copy. Nothing
//! of what was left out goes into it.

use std::collections::{BTreeMap, BTreeSet};

use besa_stix::canonical::canonical;
use besa_stix::id::named_id;
use besa_stix::marking::{TLP_MARKINGS, Tlp, tlp_marking};
use besa_stix::object::is_sco_type;
use besa_stix::validate::{is_valid, validate};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::parts::{Path, Step, cut, leaves, property, resolve, selector};
use crate::member::MemberId;

/// The extension by which a redacted copy says what it is.
pub const REDACTED_EXTENSION: &str = "extension-definition--252aa03d-0b25-471c-af66-60852e523795";
/// The namespace of redacted copies' ids.
pub const REDACTED_NAMESPACE: Uuid = Uuid::from_u128(0x1b6f4e80_a182_45fa_b689_4337e21f7d5a);

/// Properties without which an object is not the same kind of thing: hidden, they hide the whole.
const PROTECTED: [&str; 8] = [
    "type",
    "id",
    "spec_version",
    "created",
    "modified",
    "revoked",
    "object_marking_refs",
    "granular_markings",
];

/// Properties that are true only as a whole, by type.
const WHOLE: [(&str, &str); 7] = [
    ("relationship", "source_ref"),
    ("relationship", "target_ref"),
    ("sighting", "sighting_of_ref"),
    ("observed-data", "object_refs"),
    ("observed-data", "objects"),
    ("note", "object_refs"),
    ("opinion", "object_refs"),
];

/// Whether an object can have a redacted copy at all: versioned domain and relationship objects of
/// STIX 2.1. Observables have none since their ids are hashes of their values.
pub(super) fn is_redactable(object: &Map<String, Value>) -> bool {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = text("type");
    text("spec_version") == "2.1"
        && object.contains_key("created")
        && object.contains_key("modified")
        && !is_sco_type(kind)
        && !matches!(kind, "marking-definition" | "language-content" | "extension-definition" | "bundle")
}

/// Whether the whole has to stay if this part does.
pub(super) fn takes_all(kind: &str, path: &[Step]) -> bool {
    let property = property(path);
    PROTECTED.contains(&property) || WHOLE.contains(&(kind, property))
}

/// The redacted copy, or why there is none.
pub(super) fn redacted(
    source: &Map<String, Value>,
    out: &BTreeSet<Path>,
    releaser: &MemberId,
    level: Tlp,
) -> Result<(String, String), String> {
    let text = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, source_id, modified) = (text("type"), text("id"), text("modified"));
    let mut out: BTreeSet<Path> = out.iter().map(|path| widened(path)).collect();
    if kind == "sighting"
        && out.iter().any(|path| matches!(property(path), "observed_data_refs" | "where_sighted_refs"))
    {
        out.insert(vec![Step::Key("count".to_owned())]);
    }
    let left = cut(source, &out);
    let mut object = left.object;
    mark_again(&mut object, source, &left.moved);
    let id = copy_id(&object, &kind, &source_id, releaser)?;
    object.insert("id".to_owned(), Value::String(id.clone()));
    object.insert("created_by_ref".to_owned(), Value::String(releaser.as_str().to_owned()));
    say_level(&mut object, level);
    say_redacted(&mut object, &source_id, &modified);
    let object = Value::Object(object);
    let problems = validate(&object);
    if !is_valid(&problems) {
        let first = problems.first().map_or_else(String::new, |problem| problem.message.clone());
        return Err(format!("what is left is no valid `{kind}`: {first}"));
    }
    let json = canonical(&object).map_err(|error| error.to_string())?;
    Ok((id, json))
}

/// Entries of these lists are valid only as a whole, and an extension only with its type: so what
/// is left never becomes valid again by cutting more, and the order of cutting does not matter.
fn widened(path: &[Step]) -> Path {
    let last = path.get(2);
    let narrow = match property(path) {
        "external_references" | "kill_chain_phases" => last.is_some(),
        "extensions" => last == Some(&Step::Key("extension_type".to_owned())),
        _ => false,
    };
    path.get(..2).filter(|_| narrow).unwrap_or(path).to_vec()
}

/// Granular markings of what is left, with selectors that fit.
fn mark_again(object: &mut Map<String, Value>, source: &Map<String, Value>, moved: &BTreeMap<Path, Path>) {
    let Some(markings) = source.get("granular_markings").and_then(Value::as_array) else { return };
    let whole = Value::Object(source.clone());
    let mut left = Vec::new();
    for marking in markings {
        let Some(mut marking) = marking.as_object().cloned() else { continue };
        let selectors = marking.get("selectors").and_then(Value::as_array).into_iter().flatten();
        let kept: Vec<Value> = selectors
            .filter_map(|old| moved.get(&resolve(&whole, old.as_str()?)?))
            .map(|new| Value::String(selector(new)))
            .collect();
        if !kept.is_empty() {
            marking.insert("selectors".to_owned(), Value::Array(kept));
            left.push(Value::Object(marking));
        }
    }
    if left.is_empty() {
        object.shift_remove("granular_markings");
    } else {
        object.insert("granular_markings".to_owned(), Value::Array(left));
    }
}

fn copy_id(
    object: &Map<String, Value>,
    kind: &str,
    source: &str,
    releaser: &MemberId,
) -> Result<String, String> {
    let mut shape = object.clone();
    for aside in ["id", "modified", "revoked", "created_by_ref", "granular_markings"] {
        shape.shift_remove(aside);
    }
    let name = json!([releaser.as_str(), source, leaves(&shape)]);
    let name = canonical(&name).map_err(|error| error.to_string())?;
    Ok(named_id(kind, REDACTED_NAMESPACE, name.as_bytes()))
}

/// The copy bears the level under which it goes, unless a TLP marking on it says so already.
fn say_level(object: &mut Map<String, Value>, level: Tlp) {
    let refs = object.get("object_marking_refs").and_then(Value::as_array).into_iter().flatten();
    let said = refs.filter_map(Value::as_str).filter_map(tlp_marking).any(|marking| marking.level == level);
    let marking = TLP_MARKINGS.iter().find(|marking| marking.version == 2 && marking.level == level);
    if let Some(marking) = marking.filter(|_| !said) {
        append(object, "object_marking_refs", Value::String(marking.id.to_owned()));
    }
}

fn say_redacted(object: &mut Map<String, Value>, source: &str, modified: &str) {
    let reference = json!({
        "source_name": "besa-redacted",
        "external_id": source,
        "description": format!("Redacted copy of {source} of {modified}: parts that may not go here are left out."),
    });
    append(object, "external_references", reference);
    let extension = json!({
        "extension_type": "property-extension",
        "redacted": true,
        "derived_from_ref": source,
        "derived_from_modified": modified,
    });
    let extensions = object.entry("extensions").or_insert_with(|| Value::Object(Map::new()));
    if let Some(extensions) = extensions.as_object_mut() {
        extensions.insert(REDACTED_EXTENSION.to_owned(), extension);
    }
}

fn append(object: &mut Map<String, Value>, key: &str, value: Value) {
    let list = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    if let Some(list) = list.as_array_mut() {
        list.push(value);
    }
}
