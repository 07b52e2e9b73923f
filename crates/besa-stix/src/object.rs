//! A STIX object: its text exactly as received, and a small header.
//!
//! Nothing is ever written back from the header: unknown properties, key order and number spelling
//! stay as they came, so signatures hold (section 3.6). Everything else is read from the text when
//! it is needed, into [`serde_json::Value`] or a type such as [`Indicator`].
//!
//! Limits: an object has at most [`MAX_OBJECT_BYTES`] and [`MAX_VALUES`], and nests at most
//! [`MAX_DEPTH`] deep. Sixteen megabytes of `0,0,0…` would take a gigabyte once they are values.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::value::RawValue;

use crate::id::{contributing_properties, split_id};
use crate::time::Timestamp;

/// Largest object read, in bytes.
pub const MAX_OBJECT_BYTES: usize = 16 << 20;

/// Most values (members of lists and dictionaries at any depth) read of one object. A report may
/// name a hundred thousand objects.
pub const MAX_VALUES: usize = 250_000;

/// Deepest nesting of lists and dictionaries read.
pub const MAX_DEPTH: usize = 120;

/// An object as received.
#[derive(Clone, Debug)]
pub struct Object {
    raw: Box<RawValue>,
    header: Header,
}

/// The properties by which objects are found and judged (section 3.2). Absent ones are `None` or empty.
#[derive(Clone, Debug, Deserialize)]
pub struct Header {
    /// Object type, e.g. `indicator`; the same as in the id.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Identifier.
    pub id: String,
    /// `2.1`, as the object says. See [`Object::version`].
    pub spec_version: Option<String>,
    /// When the object was created.
    #[serde(default, deserialize_with = "timestamp")]
    pub created: Option<Timestamp>,
    /// When this version was made; with the id it names the version.
    #[serde(default, deserialize_with = "timestamp")]
    pub modified: Option<Timestamp>,
    /// The identity that made the object and alone may change it.
    pub created_by_ref: Option<String>,
    /// The object is withdrawn for good.
    #[serde(default)]
    pub revoked: bool,
    /// Markings of the whole object.
    #[serde(default)]
    pub object_marking_refs: Vec<String>,
    /// Markings of parts.
    #[serde(default)]
    pub granular_markings: Vec<GranularMarking>,
    /// SCO values are defanged and mean their re-fanged form.
    #[serde(default)]
    pub defanged: bool,
    /// 0 to 100.
    pub confidence: Option<i64>,
    /// Free labels.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// A marking or language of some properties (section 7.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GranularMarking {
    /// Which properties, e.g. `external_references.[0].url`.
    pub selectors: Vec<String>,
    /// The marking-definition.
    pub marking_ref: Option<String>,
    /// The language.
    pub lang: Option<String>,
}

/// The version of STIX an object is written in, judged object by object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecVersion {
    /// Domain, relationship or meta object without `spec_version`.
    V20,
    /// `spec_version` 2.1, or a cyber-observable object.
    V21,
}

/// Why bytes are no STIX object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Not JSON, or a header property of another type.
    #[error("the object cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Larger than [`MAX_OBJECT_BYTES`].
    #[error("the object has {0} bytes, at most {MAX_OBJECT_BYTES} are read")]
    TooLarge(usize),
    /// More values than [`MAX_VALUES`].
    #[error("the object has more than {MAX_VALUES} values")]
    TooMany,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the object nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The id is no identifier, or of another type than the object.
    #[error(
        "`{id}` is no identifier of a `{object_type}`; it must be `{object_type}--` and a UUID (section 2.9)"
    )]
    Id {
        /// The id.
        id: String,
        /// The object's type.
        object_type: String,
    },
}

impl Object {
    /// Reads one object.
    pub fn parse(json: &str) -> Result<Self, ObjectError> {
        Self::from_raw(serde_json::from_str::<&RawValue>(json)?)
    }

    /// Takes an object out of a larger text.
    pub fn from_raw(raw: &RawValue) -> Result<Self, ObjectError> {
        let text = raw.get();
        if text.len() > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge(text.len()));
        }
        let (depth, values) = extent(text.as_bytes());
        if depth > MAX_DEPTH {
            return Err(ObjectError::TooDeep);
        }
        if values > MAX_VALUES {
            return Err(ObjectError::TooMany);
        }
        let header: Header = serde_json::from_str(text)?;
        match split_id(&header.id) {
            Some((object_type, _)) if object_type == header.object_type => {
                Ok(Self { raw: raw.to_owned(), header })
            }
            _ => Err(ObjectError::Id { id: header.id, object_type: header.object_type }),
        }
    }

    /// The object's text as received.
    pub fn raw(&self) -> &str {
        self.raw.get()
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The version of STIX the object is written in.
    pub fn version(&self) -> SpecVersion {
        match self.header.spec_version.as_deref() {
            Some("2.0") => SpecVersion::V20,
            Some(_) => SpecVersion::V21,
            None if is_sco_type(&self.header.object_type) => SpecVersion::V21,
            // Custom observables may leave it out too, but have no `created`, unlike 2.0's objects.
            None if self.header.created.is_none() => SpecVersion::V21,
            None => SpecVersion::V20,
        }
    }

    /// The object as JSON.
    pub fn json(&self) -> Result<serde_json::Value, ObjectError> {
        self.read()
    }

    /// The object as a type of its own.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ObjectError> {
        Ok(serde_json::from_str(self.raw())?)
    }
}

/// An indicator (section 4.7), as far as matching needs it.
#[derive(Clone, Debug, Deserialize)]
pub struct Indicator {
    /// Identifier.
    pub id: String,
    /// Short name.
    pub name: Option<String>,
    /// Longer text.
    pub description: Option<String>,
    /// The pattern, in the language of `pattern_type`.
    pub pattern: String,
    /// `stix`, `sigma`, `yara`, …; STIX 2.0 knew `stix` only and did not say so.
    #[serde(default = "stix")]
    pub pattern_type: String,
    /// Version of the pattern language.
    pub pattern_version: Option<String>,
    /// From when it is thought valid.
    #[serde(deserialize_with = "timestamp")]
    pub valid_from: Option<Timestamp>,
    /// When it stops being valid.
    #[serde(default, deserialize_with = "timestamp")]
    pub valid_until: Option<Timestamp>,
    /// Kinds of indicator, e.g. `malicious-activity`.
    #[serde(default)]
    pub indicator_types: Vec<String>,
    /// Free labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// 0 to 100.
    pub confidence: Option<i64>,
    /// Withdrawn.
    #[serde(default)]
    pub revoked: bool,
    /// Who made it.
    pub created_by_ref: Option<String>,
    /// Phases of kill chains, ATT&CK tactics among them.
    #[serde(default)]
    pub kill_chain_phases: Vec<KillChainPhase>,
}

/// A phase in a kill chain (section 2.11).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KillChainPhase {
    /// E.g. `mitre-attack`.
    pub kill_chain_name: String,
    /// E.g. `defense-evasion`.
    pub phase_name: String,
}

/// Whether a type is one of section 6's cyber-observable objects.
pub fn is_sco_type(object_type: &str) -> bool {
    object_type == "process" || contributing_properties(object_type).is_some()
}

fn stix() -> String {
    "stix".to_owned()
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| Timestamp::parse(&text).map_err(D::Error::custom)).transpose()
}

/// Depth of brackets and number of values outside strings, in one pass without recursion. Every
/// value follows a comma or an opening bracket.
fn extent(json: &[u8]) -> (usize, usize) {
    let (mut depth, mut deepest, mut values, mut in_string, mut escaped) = (0usize, 0, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' if !in_string => values += 1,
            b'[' | b'{' if !in_string => {
                values += 1;
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (deepest, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_version() {
        let uuid = "595f18a0-ee16-526b-9da9-c31e3f5d7c4a";
        for (kind, rest, version) in [
            ("indicator", r#""spec_version":"2.1","created":"2024-01-01T00:00:00.000Z""#, SpecVersion::V21),
            ("indicator", r#""created":"2024-01-01T00:00:00.000Z""#, SpecVersion::V20),
            ("ipv4-addr", r#""value":"1.1.1.1""#, SpecVersion::V21),
            ("x-sensor", r#""x_value":1"#, SpecVersion::V21),
        ] {
            let text = format!(r#"{{"type":"{kind}","id":"{kind}--{uuid}",{rest}}}"#);
            let object = Object::parse(&text).unwrap();
            assert_eq!((object.version(), object.raw()), (version, text.as_str()));
        }
        let marked = format!(
            r#"{{"type":"tool","id":"tool--{uuid}","modified":"2024-01-01T00:00:00.1Z","revoked":true,
            "granular_markings":[{{"selectors":["name"],"lang":"de"}}],"x_big":123456789012345678901234567890}}"#
        );
        let object = Object::parse(&marked).unwrap();
        let header = object.header();
        assert_eq!(header.modified.as_ref().unwrap().text, "2024-01-01T00:00:00.1Z");
        assert!(header.revoked && header.granular_markings[0].lang.as_deref() == Some("de"));
        assert!(object.raw().contains("123456789012345678901234567890"));
        for bad in
            ["17", "{}", r#"{"type":"tool","id":"tool--1"}"#, r#"{"type":"tool","type":"tool","id":"x"}"#]
        {
            assert!(Object::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_counted_outside_texts() {
        let of = |list: &str| {
            Object::parse(&format!(
                r#"{{"type":"tool","id":"tool--595f18a0-ee16-526b-9da9-c31e3f5d7c4a","x_a":["{}"{list}]}}"#,
                ",".repeat(MAX_VALUES)
            ))
        };
        assert!(of("").is_ok());
        assert!(matches!(of(&",0".repeat(MAX_VALUES)), Err(ObjectError::TooMany)));
    }
}
