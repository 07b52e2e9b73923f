//! Signed answers to a hunt: sightings with what was searched, also when nothing was found.
//!
//! A sighting with `count` 0 says nothing unless it says where one looked. Our property extension
//! of the sighting says it: the window of time and the sources searched, and which object (by hash)
//! was looked for. The sighting is an object like others, listed in the answer's entry.

use besa_stix::id::named_id;
use besa_stix::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entry::{Content, Entry};
use crate::exact::exact_value;
use crate::member::{Digest, MemberId, moment};
use crate::refusal::Refusal;
use crate::signed::{EXTENSION_ID, SIGNED_BYTES_MAX, check_text};

/// Most sources named in one sighting.
pub const SOURCES_MAX: usize = 1_000;
/// Greatest `count` of a sighting (section 5.2).
pub const COUNT_MAX: u64 = 999_999_999;

const SIGHTING_NAMESPACE: Uuid = Uuid::from_u128(0x2d0c8f7e_61b4_4c3f_8c55_0e9a7b13d284);

/// Where and when one looked, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Always `property-extension`.
    extension_type: String,
    /// SHA-256 of the object that was looked for.
    pub object_sha256: Digest,
    /// Start of the time searched.
    #[serde(with = "moment")]
    pub window_start: Instant,
    /// End of the time searched, not included.
    #[serde(with = "moment")]
    pub window_end: Instant,
    /// Kinds of evidence searched, e.g. `windows/sysmon`, `zeek/dns`; at least one.
    pub sources: Vec<String>,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The object looked for.
    pub object_ref: String,
    /// How often it was seen; at most [`COUNT_MAX`].
    pub count: u64,
    /// First and last time; none exactly if `count` is 0.
    pub span: Option<(Instant, Instant)>,
    /// Where one looked.
    pub coverage: Coverage,
}

impl Coverage {
    /// Names a search.
    pub fn new(object_sha256: Digest, window: std::ops::Range<Instant>, sources: Vec<String>) -> Self {
        let extension_type = "property-extension".to_owned();
        Self { extension_type, object_sha256, window_start: window.start, window_end: window.end, sources }
    }
}

/// The sighting object by which a member answers.
pub fn sighting(
    member: &MemberId,
    created: Instant,
    markings: &[String],
    seen: &Seen,
) -> Result<Value, Refusal> {
    seen.check()?;
    let created = created.to_millis_text();
    let name = format!("{member}\n{}\n{}\n{created}", seen.object_ref, seen.coverage.object_sha256);
    let mut object = json!({
        "type": "sighting", "spec_version": "2.1",
        "id": named_id("sighting", SIGHTING_NAMESPACE, name.as_bytes()),
        "created_by_ref": member, "created": created, "modified": created,
        "count": seen.count, "sighting_of_ref": seen.object_ref, "where_sighted_refs": [member],
        "object_marking_refs": markings,
        "extensions": { EXTENSION_ID: seen.coverage },
    });
    if let (Some((first, last)), Some(object)) = (seen.span, object.as_object_mut()) {
        object.insert("first_seen".to_owned(), first.to_millis_text().into());
        object.insert("last_seen".to_owned(), last.to_millis_text().into());
    }
    Ok(object)
}

#[derive(Deserialize)]
struct ReadSighting {
    #[serde(rename = "type")]
    object_type: String,
    created_by_ref: MemberId,
    count: Option<u64>,
    sighting_of_ref: String,
    first_seen: Option<String>,
    last_seen: Option<String>,
    #[serde(default)]
    extensions: serde_json::Map<String, Value>,
}

/// Reads a sighting of an answer: listed there and unaltered, the answerer's own, about an object of
/// the question, with its coverage.
pub fn read_sighting(answer: &Entry, question: &Entry, text: &str) -> Result<Seen, Refusal> {
    let bad = |reason: &str| Refusal::Object(reason.to_owned());
    match answer.content() {
        Content::Answer(contents) if contents.answer_to == question.reference() => {}
        _ => return Err(bad("it is no answer to that release")),
    }
    answer.check_object(text, |_| true)?;
    let value = exact_value(text, SIGNED_BYTES_MAX)?;
    let read: ReadSighting =
        serde_json::from_value(value).map_err(|error| Refusal::Object(error.to_string()))?;
    if read.object_type != "sighting" || read.created_by_ref != *answer.member() {
        return Err(bad("an answer holds sightings made by the member that answers"));
    }
    let coverage =
        read.extensions.get(EXTENSION_ID).cloned().ok_or_else(|| bad("it does not say what was searched"))?;
    let coverage: Coverage =
        serde_json::from_value(coverage).map_err(|error| Refusal::Object(error.to_string()))?;
    let asked = |one: &crate::entry::ReleasedObject| {
        one.object_ref == read.sighting_of_ref && one.object_sha256 == coverage.object_sha256
    };
    if !question.content().objects().iter().any(asked) {
        return Err(bad("it is about an object that was not asked for"));
    }
    let span = match (read.first_seen, read.last_seen) {
        (None, None) => None,
        (Some(first), Some(last)) => Some((instant(&first)?, instant(&last)?)),
        _ => return Err(bad("`first_seen` and `last_seen` go together")),
    };
    let count = read.count.ok_or_else(|| bad("it has no `count`"))?;
    let seen = Seen { object_ref: read.sighting_of_ref, count, span, coverage };
    seen.check()?;
    Ok(seen)
}

fn instant(text: &str) -> Result<Instant, Refusal> {
    Instant::parse(text).map_err(|error| Refusal::Object(error.to_string()))
}

impl Seen {
    fn check(&self) -> Result<(), Refusal> {
        let bad = |reason: &str| Err(Refusal::Object(reason.to_owned()));
        let Coverage { extension_type, window_start, window_end, sources, .. } = &self.coverage;
        if extension_type != "property-extension" || window_start >= window_end {
            return bad("its coverage is no property-extension with a window of time");
        }
        let named = sources.iter().all(|source| check_text(source, "source", 200).is_ok());
        if sources.is_empty() || sources.len() > SOURCES_MAX || !named {
            return bad("its coverage must name 1 to 1000 sources");
        }
        if self.count > COUNT_MAX || (self.count == 0) != self.span.is_none() {
            return bad("a count above 0 has `first_seen` and `last_seen`, a count of 0 has neither");
        }
        match self.span {
            Some((first, last)) if first < *window_start || last < first || last >= *window_end => {
                bad("it was seen outside the window searched")
            }
            _ => Ok(()),
        }
    }
}
