//! Bundles (section 8): a heap of objects without order or meaning of its own.
//!
//! [`read_objects`] gives every good object and says of each bad one where it is and what is wrong;
//! one bad object never hides the others. Also read: a list of objects, one object, and JSON lines.
//!
//! Limits: the text is JSON as a whole (a bundle cut off in the middle is an error); at most
//! [`MAX_OBJECTS`] objects.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object::Object;

/// Most objects read from one text.
pub const MAX_OBJECTS: usize = 5_000_000;

/// What a text held.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The bundle's id, if it was a bundle.
    pub bundle_id: Option<String>,
    /// The bundle's `spec_version`, which only STIX 2.0 bundles have.
    pub bundle_spec_version: Option<String>,
    /// The good objects, in their order.
    pub objects: Vec<Object>,
    /// The others.
    pub defects: Vec<Defect>,
}

/// An object that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Its place in the list, from 0.
    pub index: usize,
    /// Its id, if that could be read.
    pub id: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// The text as a whole cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not UTF-8.
    #[error("the text is not UTF-8 (byte {0})")]
    Encoding(usize),
    /// Not JSON.
    #[error("the text is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error("the JSON is neither a bundle, a STIX object nor a list of objects")]
    Shape,
    /// More than [`MAX_OBJECTS`].
    #[error("the text holds {0} objects, at most {MAX_OBJECTS} are read; split it")]
    TooMany(usize),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    object_type: Option<String>,
    id: Option<String>,
    spec_version: Option<String>,
    #[serde(borrow)]
    objects: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct IdOnly {
    id: Option<String>,
}

/// Reads a bundle, a list of objects, one object, or one object a line.
pub fn read_objects(bytes: &[u8]) -> Result<Objects, BundleError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| BundleError::Encoding(error.valid_up_to()))?;
    let whole = match serde_json::from_str::<&RawValue>(text) {
        Ok(whole) => whole,
        Err(error) => return read_lines(text).ok_or(BundleError::Json(error)),
    };
    if whole.get().starts_with('[') {
        return read_list(Objects::default(), serde_json::from_str(whole.get())?);
    }
    if !whole.get().starts_with('{') {
        return Err(BundleError::Shape);
    }
    match serde_json::from_str::<Envelope<'_>>(whole.get()) {
        Ok(envelope) if envelope.object_type.as_deref() == Some("bundle") => {
            let found = Objects {
                bundle_id: envelope.id,
                bundle_spec_version: envelope.spec_version,
                ..Objects::default()
            };
            let list = envelope.objects.map(|list| serde_json::from_str(list.get())).transpose()?;
            read_list(found, list.unwrap_or_default())
        }
        _ => read_list(Objects::default(), vec![whole]),
    }
}

fn read_list(mut found: Objects, list: Vec<&RawValue>) -> Result<Objects, BundleError> {
    if list.len() > MAX_OBJECTS {
        return Err(BundleError::TooMany(list.len()));
    }
    for (index, raw) in list.into_iter().enumerate() {
        match Object::from_raw(raw) {
            Ok(object) => found.objects.push(object),
            Err(error) => {
                let id = serde_json::from_str::<IdOnly>(raw.get()).ok().and_then(|object| object.id);
                found.defects.push(Defect { index, id, reason: error.to_string() });
            }
        }
    }
    Ok(found)
}

/// One object a line, if the first non-blank line is a JSON object of its own; bad lines are defects.
fn read_lines(text: &str) -> Option<Objects> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    let (_, first) = lines.peek()?;
    serde_json::from_str::<&RawValue>(first).ok().filter(|raw| raw.get().starts_with('{'))?;
    let mut found = Objects::default();
    for (index, line) in lines.take(MAX_OBJECTS) {
        match Object::parse(line) {
            Ok(object) => found.objects.push(object),
            Err(error) => {
                let id = serde_json::from_str::<IdOnly>(line).ok().and_then(|object| object.id);
                found.defects.push(Defect { index, id, reason: error.to_string() });
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"type":"tool", "id":"tool--595f18a0-ee16-526b-9da9-c31e3f5d7c4a","x_n":1.0e0, "created":"2024-01-01T00:00:00.000Z"}"#;

    #[test]
    fn bad_objects_do_not_hide_good_ones() {
        let deep = format!(
            r#"{{"type":"tool","id":"tool--595f18a0-ee16-526b-9da9-c31e3f5d7c4a","a":{}1{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let bundle = format!(
            r#"{{"type":"bundle","id":"bundle--1","objects":[{GOOD},17,{{"id":"tool--x","type":"tool"}},{deep},{{"type":"tool","type":"tool","id":"q"}},{GOOD}]}}"#
        );
        let found = read_objects(bundle.as_bytes()).unwrap();
        assert_eq!(found.objects.iter().map(Object::raw).collect::<Vec<_>>(), [GOOD, GOOD]);
        let defects: Vec<_> =
            found.defects.iter().map(|defect| (defect.index, defect.id.as_deref())).collect();
        let id = "tool--595f18a0-ee16-526b-9da9-c31e3f5d7c4a";
        assert_eq!(defects, [(1, None), (2, Some("tool--x")), (3, Some(id)), (4, Some("q"))]);
        assert_eq!(found.bundle_id.as_deref(), Some("bundle--1"));
    }

    #[test]
    fn other_shapes() {
        for (text, objects, defects) in [
            (GOOD.to_owned(), 1, 0),
            (format!("[{GOOD},{GOOD}]"), 2, 0),
            (format!("{GOOD}\n\n{GOOD}\r\n{{bad\n"), 2, 1),
            (format!("\u{feff}{GOOD}"), 1, 0),
            (r#"{"type":"bundle","id":"bundle--1"}"#.to_owned(), 0, 0),
        ] {
            let found = read_objects(text.as_bytes()).unwrap();
            assert_eq!((found.objects.len(), found.defects.len()), (objects, defects), "{text}");
        }
        for bad in [&b"\xff\xfe"[..], b"", b"17", b"{\"type\":", br#"{"type":"bundle","objects":{}}"#] {
            assert!(read_objects(bad).is_err());
        }
    }
}
