//! What patterns are evaluated on: observed-data with its cyber-observable objects (section 4.14).
//!
//! An [`Observation`] holds only the objects its observed-data lists: `object_refs`, or the
//! deprecated `objects` dictionary, whose keys are the references. A reference to anything else leads
//! nowhere (section 9.7.4). Values of objects marked `defanged` are re-fanged on reading (3.2).
//!
//! Limits: JSON nests at most 128 deep (the reader refuses more); a path is walked level by level
//! and visits no value twice, so lists of references cannot multiply the work.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::pattern::{ObjectGraph, Step, Value};
use crate::time::Instant;

/// One observed-data object with its objects at hand.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The id of the observed-data object; empty if it had none.
    pub id: String,
    /// When it was first seen.
    pub first_observed: Instant,
    /// When it was last seen; not before `first_observed`.
    pub last_observed: Instant,
    /// How many observations it stands for, at least 1.
    pub number_observed: u64,
    objects: Vec<(String, Arc<Json>)>,
    by_key: HashMap<String, usize>,
}

/// An input object that could not be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationDefect {
    /// The object's id, or its place if it has none.
    pub object: String,
    /// What is wrong.
    pub reason: String,
}

/// The input is no JSON, or JSON of another shape.
#[derive(Debug, thiserror::Error)]
pub enum ReadObservationsError {
    /// Not JSON, or nested too deep.
    #[error("the observations are no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but no object and no list.
    #[error("the observations are neither a STIX object, a bundle nor a list of these")]
    Shape,
}

impl Observation {
    /// An observation of the given objects under their keys (ids, or keys of an `objects`
    /// dictionary). A later object with the same key is dropped.
    pub fn new(
        id: String,
        (first_observed, last_observed): (Instant, Instant),
        number_observed: u64,
        objects: impl IntoIterator<Item = (String, Arc<Json>)>,
    ) -> Self {
        let mut observation = Self {
            id,
            first_observed,
            last_observed: last_observed.max(first_observed),
            number_observed: number_observed.max(1),
            objects: Vec::new(),
            by_key: HashMap::new(),
        };
        for (key, object) in objects {
            if !observation.by_key.contains_key(&key) {
                observation.by_key.insert(key.clone(), observation.objects.len());
                observation.objects.push((key, object));
            }
        }
        observation
    }

    /// Its objects with their keys.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.objects.iter().map(|(key, object)| (key.as_str(), object.as_ref()))
    }
}

impl ObjectGraph for Observation {
    fn any_object(&self, object_type: &str, see: &mut dyn FnMut(usize) -> bool) -> bool {
        let typed = |object: &Json| object.get("type").and_then(Json::as_str) == Some(object_type);
        self.objects.iter().enumerate().any(|(place, (_, object))| typed(object) && see(place))
    }

    fn any_value(&self, object: usize, steps: &[Step], see: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let Some((_, root)) = self.objects.get(object) else { return false };
        let mut level = vec![Place { value: root.as_ref(), is_reference: false }];
        for step in steps {
            level = self.step(&level, step);
            if level.is_empty() {
                return false;
            }
        }
        level.into_iter().any(|place| see(json_value(place.value)))
    }
}

/// A value on the way along a path.
#[derive(Clone, Copy)]
struct Place<'a> {
    value: &'a Json,
    /// It was reached by a property `*_ref` or `*_refs`, so text in it names an object.
    is_reference: bool,
}

impl Observation {
    fn step<'a>(&'a self, level: &[Place<'a>], step: &Step) -> Vec<Place<'a>> {
        let mut next = Vec::new();
        let mut add = |value: &'a Json, is_reference| next.push(Place { value, is_reference });
        for place in level {
            match step {
                Step::Property(name) => {
                    if let Some(value) = self.target(place).and_then(|object| object.get(name)) {
                        add(value, name.ends_with("_ref") || name.ends_with("_refs"));
                    }
                }
                Step::Index(index) => {
                    let index = usize::try_from(*index).unwrap_or(usize::MAX);
                    if let Some(value) = place.value.as_array().and_then(|list| list.get(index)) {
                        add(value, place.is_reference);
                    }
                }
                Step::AnyIndex => {
                    for value in place.value.as_array().into_iter().flatten() {
                        add(value, place.is_reference);
                    }
                }
            }
        }
        next.sort_by_key(|place| std::ptr::from_ref(place.value).addr());
        next.dedup_by_key(|place| std::ptr::from_ref(place.value).addr());
        next
    }

    /// The dictionary a property is looked up in, behind a reference if there is one.
    fn target<'a>(&'a self, place: &Place<'a>) -> Option<&'a Map<String, Json>> {
        match place.value {
            Json::Object(object) => Some(object),
            Json::String(key) if place.is_reference => {
                let (_, object) = self.objects.get(*self.by_key.get(key)?)?;
                object.as_object()
            }
            _ => None,
        }
    }
}

fn json_value(value: &Json) -> Value<'_> {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::String(text) => Value::String(text),
        Json::Array(_) | Json::Object(_) => Value::Composite,
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => Value::Integer(i128::from(integer)),
            (_, Some(integer), _) => Value::Integer(i128::from(integer)),
            (_, _, Some(float)) => Value::Float(float),
            _ => Value::Null,
        },
    }
}

/// Reads observations from JSON text: a bundle, one observed-data object, or a list of bundles and
/// objects. References are resolved inside their bundle; the loose objects of a list count as one
/// bundle. Defects say which observed-data could not be used.
pub fn read_observations(
    json: &[u8],
) -> Result<(Vec<Observation>, Vec<ObservationDefect>), ReadObservationsError> {
    let mut found = (Vec::new(), Vec::new());
    match serde_json::from_slice(json)? {
        object @ Json::Object(_) => read_scope(vec![object], &mut found),
        Json::Array(list) => read_scope(list, &mut found),
        _ => return Err(ReadObservationsError::Shape),
    }
    Ok(found)
}

type Found = (Vec<Observation>, Vec<ObservationDefect>);

/// Reads what stands in one list, bundles in it being scopes of their own.
fn read_scope(list: Vec<Json>, found: &mut Found) {
    let mut scope: HashMap<String, Arc<Json>> = HashMap::new();
    let mut observed = Vec::new();
    for (place, mut object) in list.into_iter().enumerate() {
        match object.get("type").and_then(Json::as_str) {
            Some("bundle") => match object.get_mut("objects").map(Json::take) {
                Some(Json::Array(objects)) => read_bundle(objects, found),
                None => {}
                Some(_) => found.1.push(defect(&object, place, "its `objects` is no list")),
            },
            Some("observed-data") => observed.push((place, object)),
            Some(_) => {
                if let Some(id) = object.get("id").and_then(Json::as_str).map(str::to_owned) {
                    scope.entry(id).or_insert_with(|| Arc::new(refanged(object)));
                }
            }
            None => found.1.push(defect(&object, place, "it has no `type`")),
        }
    }
    for (place, object) in observed {
        match observation(&object, &scope) {
            Ok(observation) => found.0.push(observation),
            Err(reason) => found.1.push(defect(&object, place, &reason)),
        }
    }
}

/// As [`read_scope`], but a bundle inside a bundle is a defect, so that nesting stays flat.
fn read_bundle(objects: Vec<Json>, found: &mut Found) {
    let is_bundle = |object: &Json| object.get("type").and_then(Json::as_str) == Some("bundle");
    let (nested, objects): (Vec<Json>, Vec<Json>) = objects.into_iter().partition(is_bundle);
    for object in &nested {
        found.1.push(defect(object, 0, "a bundle stands inside a bundle (section 8.1)"));
    }
    read_scope(objects, found);
}

fn observation(object: &Json, scope: &HashMap<String, Arc<Json>>) -> Result<Observation, String> {
    let instant = |property: &str| {
        let text =
            object.get(property).and_then(Json::as_str).ok_or_else(|| format!("it has no `{property}`"))?;
        Instant::parse(text).map_err(|error| format!("its `{property}`: {error}"))
    };
    let times = (instant("first_observed")?, instant("last_observed")?);
    if times.1 < times.0 {
        return Err("its `last_observed` is before `first_observed` (section 4.14)".to_owned());
    }
    let number_observed = match object.get("number_observed") {
        None => 1,
        Some(number) => number
            .as_u64()
            .filter(|number| (1..=999_999_999).contains(number))
            .ok_or("its `number_observed` is no integer from 1 to 999999999 (section 4.14)")?,
    };
    let id = object.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let references =
        object.get("object_refs").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let mut objects: Vec<(String, Arc<Json>)> =
        references.filter_map(|id| Some((id.to_owned(), Arc::clone(scope.get(id)?)))).collect();
    for (key, object) in object.get("objects").and_then(Json::as_object).into_iter().flatten() {
        objects.push((key.clone(), Arc::new(refanged(object.clone()))));
    }
    Ok(Observation::new(id, times, number_observed, objects))
}

fn defect(object: &Json, place: usize, reason: &str) -> ObservationDefect {
    let id = object.get("id").and_then(Json::as_str).map(str::to_owned);
    ObservationDefect { object: id.unwrap_or_else(|| format!("object {place}")), reason: reason.to_owned() }
}

/// The object with its text re-fanged if it says `defanged`.
fn refanged(mut object: Json) -> Json {
    if object.get("defanged") == Some(&Json::Bool(true)) {
        refang_texts(&mut object);
    }
    object
}

fn refang_texts(value: &mut Json) {
    match value {
        Json::String(text) => *text = refang(text),
        Json::Array(list) => list.iter_mut().for_each(refang_texts),
        Json::Object(object) => object.values_mut().for_each(refang_texts),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Turns the usual defanged spellings back: `hxxp`, `[.]`, `(.)`, `[dot]`, `[:]`, `[at]`, `[@]`, `[/]`.
pub fn refang(text: &str) -> String {
    let mut text = text.to_owned();
    for (defanged, original) in [
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("(dot)", "."),
        ("[:]", ":"),
        ("[://]", "://"),
        ("[@]", "@"),
        ("[at]", "@"),
        ("(at)", "@"),
        ("[/]", "/"),
    ] {
        text = text.replace(defanged, original);
    }
    let scheme = ["hxxps://", "hxxp://", "hXXps://", "hXXp://", "fxp://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme));
    match scheme {
        Some("fxp://") => text.replacen("fxp://", "ftp://", 1),
        Some(scheme) => text.replacen(scheme, &scheme.to_ascii_lowercase().replace("xx", "tt"), 1),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{DEFAULT_WORK, Pattern, evaluate};

    fn times(first: &str, last: &str) -> String {
        format!(r#""first_observed":"2024-01-01T00:00:{first}Z","last_observed":"2024-01-01T00:00:{last}Z""#)
    }

    #[test]
    fn shapes_and_defects() {
        let (good, bad) = (times("00", "01"), times("01", "00"));
        let observed = format!(
            r#"{{"type":"observed-data","id":"observed-data--1",{good},"objects":{{"0":{{"type":"file"}}}}}}"#
        );
        let reversed = format!(r#"{{"type":"observed-data","id":"observed-data--2",{bad}}}"#);
        let bundle = format!(r#"{{"type":"bundle","objects":[{observed},{reversed},{{"x":1}}]}}"#);
        let nested = format!(r#"{{"type":"bundle","objects":[{bundle}]}}"#);
        for (json, found, defects) in [
            (observed.clone(), 1, 0),
            (bundle.clone(), 1, 2),
            (format!("[{bundle},{observed},{bundle}]"), 3, 4),
            (nested, 0, 1),
            (r#"{"type":"bundle"}"#.to_owned(), 0, 0),
            (observed.replace("{\"type\":\"observed", "{\"number_observed\":0,\"type\":\"observed"), 0, 1),
        ] {
            let (observations, problems) = read_observations(json.as_bytes()).unwrap();
            assert_eq!((observations.len(), problems.len()), (found, defects), "{json} {problems:?}");
        }
        assert!(read_observations(b"17").is_err());
    }

    #[test]
    fn references_stay_inside_and_defanged_values_are_refanged() {
        let time = times("00", "00");
        let json = format!(
            r#"[{{"type":"observed-data",{time},"object_refs":["email-message--1","email-addr--1","url--1"]}},
            {{"type":"email-message","id":"email-message--1","from_ref":"email-addr--1","to_refs":["email-addr--2","email-addr--1"]}},
            {{"type":"email-addr","id":"email-addr--1","value":"a@example.com","display_name":"email-addr--1"}},
            {{"type":"email-addr","id":"email-addr--2","value":"b@example.com"}},
            {{"type":"url","id":"url--1","defanged":true,"value":"hxxp://example[.]com/a[.]b"}}]"#
        );
        let (observations, _) = read_observations(json.as_bytes()).unwrap();
        for (pattern, expected) in [
            ("[email-message:from_ref.value = 'a@example.com']", true),
            ("[email-message:from_ref = 'email-addr--1']", true),
            ("[email-message:to_refs[*].value = 'a@example.com']", true),
            ("[email-message:to_refs[0].value = 'b@example.com']", false),
            ("[email-addr:display_name.value = 'a@example.com']", false),
            ("[email-addr:value = 'b@example.com']", false),
            ("[url:value = 'http://example.com/a.b']", true),
            ("[EXISTS email-message:to_refs]", true),
        ] {
            let found = evaluate(&Pattern::parse(pattern).unwrap(), &observations, DEFAULT_WORK).unwrap();
            assert_eq!(found.is_some(), expected, "{pattern}");
        }
    }
}
