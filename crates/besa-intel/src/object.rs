//! An object on its way into the store: checked against the standard and taken apart for the
//! indexes, outside the write lock.
//!
//! A MUST that is broken refuses this object and no other; a SHOULD is a warning. The text itself is
//! never changed. Limits are those of [`besa_stix::object`], [`VERSION_BYTES_MAX`] and, for what comes in
//! one request, [`REGEXES_MAX`].

use std::collections::BTreeSet;

use besa_stix::canonical::strict_value;
use besa_stix::object::Object;
use besa_stix::time::Instant;
use besa_stix::validate::{Level, validate};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::observable::observables;
use crate::store::{StoreError, VersionKey};

/// Most warnings and reasons kept for one object.
const REASONS_MAX: usize = 8;
/// Longest reason kept, in characters.
const REASON_CHARS_MAX: usize = 400;
/// Longest `created` or `modified` taken, in bytes. The standard allows any number of sub-second
/// digits, and they are given back in manifests and statuses a thousand at a time.
pub const VERSION_BYTES_MAX: usize = 64;
/// Most patterns with regular expressions in one request: checking a hostile one takes tens of
/// milliseconds.
pub const REGEXES_MAX: usize = 2_000;
/// Most references, observable values or words indexed of one object.
pub(crate) const INDEXED_MAX: usize = 4_096;

/// An object that may be stored.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub(crate) raw: Box<str>,
    pub(crate) id: String,
    pub(crate) object_type: String,
    pub(crate) spec: i64,
    pub(crate) revoked: bool,
    pub(crate) created: Option<VersionKey>,
    /// `modified`, else `created`, else nothing.
    pub(crate) version: Option<(VersionKey, String)>,
    pub(crate) creator: Option<String>,
    /// `(role, id)`
    pub(crate) links: Vec<(Role, String)>,
    pub(crate) observables: Vec<String>,
    /// SHOULDs that are broken.
    pub warnings: Vec<String>,
}

impl Candidate {
    /// The object's text as received.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// An object that may not be stored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its id, as far as it has one.
    pub id: Option<String>,
    /// Its version as written, as far as it has one.
    pub version: Option<String>,
    /// What is wrong, with the sections of the standard.
    pub reason: String,
}

/// A checked object, good or bad.
pub type Prepared = Result<Candidate, Refusal>;

/// How one object refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `created_by_ref`
    Creator = 1,
    /// `object_marking_refs`, and `marking_ref` of granular markings.
    Marking = 2,
    /// `source_ref` of a relationship.
    Source = 3,
    /// `target_ref` of a relationship.
    Target = 4,
    /// `sighting_of_ref`
    SightingOf = 5,
    /// Any other property that ends in `_ref` or `_refs`.
    Other = 6,
    /// An id in a text: no reference, but what may be shown can hang on it.
    Mention = 7,
    /// A marking of the release under which the object came.
    Under = 8,
}

/// Stands for everything in links of objects that mention more ids than are indexed.
pub(crate) const ANYTHING: &str = "x-anything--00000000-0000-4000-8000-000000000000";

/// Checks one object.
pub fn prepare(raw: &RawValue) -> Prepared {
    let object = Object::from_raw(raw).map_err(|error| refusal(raw, &error.to_string()))?;
    let header = object.header();
    if [&header.created, &header.modified].into_iter().flatten().any(|at| at.text.len() > VERSION_BYTES_MAX) {
        let reason = format!("a version is longer than the {VERSION_BYTES_MAX} bytes that are taken");
        return Err(refusal(raw, &reason));
    }
    let value = strict_value(raw.get().as_bytes()).map_err(|error| refusal(raw, &error.to_string()))?;
    let problems = validate(&value);
    let reasons = |wanted: Level| {
        let found = problems.iter().filter(move |problem| problem.level == wanted);
        found.take(REASONS_MAX).map(|problem| clip(&format!("`{}`: {}", problem.path, problem.message)))
    };
    let broken: Vec<String> = reasons(Level::Must).collect();
    if !broken.is_empty() {
        return Err(refusal(raw, &broken.join("; ")));
    }
    let warnings = reasons(Level::Should).collect();
    if object.header().object_type == "bundle" {
        return Err(refusal(raw, "a bundle is no object; send its objects (section 8)"));
    }
    Ok(candidate(&object, &value, warnings))
}

/// Checks the objects of one request of a stranger. Those with regular expressions beyond
/// [`REGEXES_MAX`] are refused unchecked.
pub fn prepare_request(objects: &[&RawValue]) -> Vec<Prepared> {
    let mut regexes = 0;
    let mut one = |raw: &&RawValue| {
        // A superset: escapes inside JSON cannot hide an operator written in plain letters, and one
        // written in escapes is found by its backslash-u.
        let text = raw.get();
        regexes +=
            usize::from(text.contains("MATCHES") || (text.contains("\\u00") && text.contains("pattern")));
        if regexes > REGEXES_MAX {
            let reason =
                format!("the request has more than {REGEXES_MAX} patterns with MATCHES; send fewer at once");
            return Err(refusal(raw, &reason));
        }
        prepare(raw)
    };
    objects.iter().map(&mut one).collect()
}

/// Checks every object of a TAXII envelope, bundle, list, single object or JSON lines.
pub fn prepare_all(bytes: &[u8]) -> Result<Vec<Prepared>, StoreError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        StoreError::Input(format!("the text is not UTF-8 (byte {})", error.valid_up_to()))
    })?;
    let list = match serde_json::from_str::<&RawValue>(text) {
        Ok(whole) => raw_objects(whole)?,
        Err(error) => raw_lines(text)
            .ok_or_else(|| StoreError::Input(format!("the text is neither JSON nor JSON lines: {error}")))?,
    };
    Ok(list.into_iter().map(prepare).collect())
}

/// The objects of an envelope or bundle as they stand; a list gives its members, an object itself.
fn raw_objects(whole: &RawValue) -> Result<Vec<&RawValue>, StoreError> {
    let input = |error: serde_json::Error| StoreError::Input(format!("the JSON cannot be read: {error}"));
    match whole.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(whole.get()).map_err(input),
        Some(b'{') => {
            let envelope: Envelope<'_> = serde_json::from_str(whole.get()).map_err(input)?;
            let is_object = envelope.object_type.is_some_and(|found| found != "bundle");
            match envelope.objects {
                Some(list) if !is_object => serde_json::from_str(list.get()).map_err(input),
                _ if is_object => Ok(vec![whole]),
                _ => Ok(Vec::new()),
            }
        }
        _ => Err(StoreError::Input("the JSON is neither a bundle, a STIX object nor a list".to_owned())),
    }
}

fn raw_lines(text: &str) -> Option<Vec<&RawValue>> {
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).ok()).collect()
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow, default)]
    object_type: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    objects: Option<&'a RawValue>,
}

fn candidate(object: &Object, value: &Value, warnings: Vec<String>) -> Candidate {
    let header = object.header();
    let stamp = header.modified.as_ref().or(header.created.as_ref());
    Candidate {
        raw: object.raw().into(),
        id: header.id.clone(),
        object_type: header.object_type.clone(),
        spec: match object.version() {
            besa_stix::object::SpecVersion::V20 => 20,
            besa_stix::object::SpecVersion::V21 => 21,
        },
        revoked: header.revoked,
        created: header.created.as_ref().map(|created| VersionKey::of(created.instant)),
        version: stamp.map(|stamp| (VersionKey::of(stamp.instant), stamp.text.clone())),
        creator: header.created_by_ref.clone(),
        links: links(value),
        observables: observables(value),
        warnings,
    }
}

/// Every reference of an object, each `(role, id)` once.
fn links(object: &Value) -> Vec<(Role, String)> {
    let mut found = Vec::new();
    let mut todo: Vec<&Value> = vec![object];
    while let Some(value) = todo.pop() {
        match value {
            Value::Array(list) => todo.extend(list),
            Value::Object(map) => {
                for (key, value) in map {
                    if key.ends_with("_ref") || key.ends_with("_refs") {
                        collect_refs(key, value, &mut found);
                    } else {
                        todo.push(value);
                    }
                }
            }
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    let mut mentioned = mentions(object);
    for id in
        object.get("id").and_then(Value::as_str).into_iter().chain(found.iter().map(|(_, id)| id.as_str()))
    {
        if mentioned.is_empty() {
            break;
        }
        mentioned.remove(&id.to_ascii_lowercase());
    }
    found.extend(mentioned.into_iter().map(|id| (Role::Mention, id)));
    if found.len() > INDEXED_MAX {
        found.truncate(INDEXED_MAX - 1);
        found.push((Role::Mention, ANYTHING.to_owned()));
    }
    found
}

/// Every id that a text or key mentions, in lower case, each once.
fn mentions(object: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<&Value> = vec![object];
    while let Some(value) = todo.pop() {
        match value {
            Value::String(text) => ids_in(text, &mut found),
            Value::Array(list) => todo.extend(list),
            Value::Object(map) => {
                for (key, value) in map {
                    ids_in(key, &mut found);
                    todo.push(value);
                }
            }
            _ => {}
        }
    }
    found
}

/// `--` and a UUID, with the run of letters, digits and hyphens before it, where that names a type.
fn ids_in(text: &str, found: &mut BTreeSet<String>) {
    let bytes = text.as_bytes();
    if bytes.len() < 40 {
        return;
    }
    for (at, pair) in bytes.windows(2).enumerate() {
        if pair != b"--" || bytes.get(at + 2..at + 38).is_none() {
            continue;
        }
        let before = bytes.get(..at).unwrap_or_default();
        let run =
            before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let id = text.get(at - run..at + 38).map(str::to_ascii_lowercase);
        found.extend(id.filter(|id| besa_stix::id::split_id(id).is_some()));
    }
}

/// The links of a stored text that the first schemas did not have.
pub(crate) fn mention_links(raw: &str) -> Vec<String> {
    let Ok(value) = strict_value(raw.as_bytes()) else { return Vec::new() };
    let mentioned = links(&value).into_iter().filter(|(role, _)| *role == Role::Mention);
    mentioned.map(|(_, id)| id).collect()
}

fn collect_refs(key: &str, value: &Value, found: &mut Vec<(Role, String)>) {
    let role = match key {
        "created_by_ref" => Role::Creator,
        "object_marking_refs" | "marking_ref" => Role::Marking,
        "source_ref" => Role::Source,
        "target_ref" => Role::Target,
        "sighting_of_ref" => Role::SightingOf,
        _ => Role::Other,
    };
    let single = value.as_str().into_iter();
    let several = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let ids = single.chain(several).filter(|id| besa_stix::id::split_id(id).is_some());
    found.extend(ids.map(|id| (role, id.to_owned())));
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    modified: Option<String>,
    #[serde(default)]
    created: Option<String>,
}

fn refusal(raw: &RawValue, reason: &str) -> Refusal {
    let named = serde_json::from_str::<Named>(raw.get()).ok();
    let (id, version) = named.map_or((None, None), |named| (named.id, named.modified.or(named.created)));
    Refusal {
        id: id.map(|id| clip(&id)),
        version: version.filter(|text| text.len() <= VERSION_BYTES_MAX && Instant::parse(text).is_ok()),
        reason: clip(reason),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

/// Words of an object's texts, for the full-text index: runs of letters and digits, lower case, 2 to
/// 64 bytes, each once.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| (2..=64).contains(&word.len()))
        .map(str::to_lowercase)
        .collect();
    words.sort_unstable();
    words.dedup();
    words.truncate(INDEXED_MAX);
    words
}

/// All texts of an object but ids, references and timestamps, for [`words`].
pub(crate) fn texts(raw: &str) -> String {
    let Ok(object) = serde_json::from_str::<Value>(raw) else { return String::new() };
    let mut text = String::new();
    let mut todo: Vec<&Value> = vec![&object];
    while let Some(value) = todo.pop() {
        match value {
            Value::String(found) => {
                let noise = besa_stix::id::split_id(found).is_some() || Instant::parse(found).is_ok();
                if !noise && text.len() < 1 << 20 {
                    text.push_str(found);
                    text.push(' ');
                }
            }
            Value::Array(list) => todo.extend(list),
            Value::Object(map) => {
                todo.extend(map.iter().filter(|(key, _)| *key != "id").map(|(_, value)| value));
            }
            _ => {}
        }
    }
    text
}

/// Whether two texts are one content: equal as canonical JSON (RFC 8785) once properties that stand
/// at their default are left out (section 3.6).
pub(crate) fn same_content(one: &str, other: &str) -> bool {
    one == other || matches!((normal(one), normal(other)), (Some(one), Some(other)) if one == other)
}

fn normal(raw: &str) -> Option<String> {
    let mut value = strict_value(raw.as_bytes()).ok()?;
    let object = value.as_object_mut()?;
    for defaulted in ["revoked", "defanged"] {
        if object.get(defaulted) == Some(&Value::Bool(false)) {
            object.shift_remove(defaulted);
        }
    }
    besa_stix::canonical::canonical(&value).ok()
}
