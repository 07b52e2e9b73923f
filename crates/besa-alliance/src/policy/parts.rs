//! Parts of an object: paths, the ids that its texts mention, and cutting parts out.
//!
//! A *mention* is an identifier anywhere in a text or key, not only in `*_ref` properties: a hidden
//! id in a description tells as much as one in a list. Paths are written as selectors
//! (section 7.2.3): `external_references.[0].url`.
//!
//! Limits: nesting is bounded by `besa_stix::object::MAX_DEPTH`, which the caller has checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A step down into an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

pub(super) type Path = Vec<Step>;

/// The property at the top that a path leads into.
pub(super) fn property(path: &[Step]) -> &str {
    match path.first() {
        Some(Step::Key(key)) => key,
        _ => "",
    }
}

/// A path as a selector.
pub(super) fn selector(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        let dot = if text.is_empty() { "" } else { "." };
        match step {
            Step::Key(key) => write!(text, "{dot}{key}"),
            Step::Index(index) => write!(text, "{dot}[{index}]"),
        }
        .unwrap_or_default();
    }
    text
}

/// The path of a selector, if it points at something.
pub(super) fn resolve(object: &Value, selector: &str) -> Option<Path> {
    let mut value = object;
    let mut path = Path::new();
    for part in selector.split('.') {
        match part.strip_prefix('[').and_then(|part| part.strip_suffix(']')) {
            Some(digits) => {
                let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
                let index = digits.parse::<usize>().ok().filter(|_| plain)?;
                value = value.as_array()?.get(index)?;
                path.push(Step::Index(index));
            }
            None => {
                value = value.as_object()?.get(part)?;
                path.push(Step::Key(part.to_owned()));
            }
        }
    }
    Some(path)
}

/// Every identifier that a text mentions, in lower case: `--` and a UUID, with the run of letters,
/// digits and hyphens before it.
pub(super) fn mentions(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for (at, pair) in bytes.windows(2).enumerate() {
        if pair != b"--" {
            continue;
        }
        let Some(uuid) = bytes.get(at + 2..at + 38).filter(|uuid| is_uuid(uuid)) else { continue };
        let before = bytes.get(..at).unwrap_or_default();
        let run = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-');
        let kind = before.get(at - run.count()..).unwrap_or_default();
        if kind.is_empty() {
            continue;
        }
        let id = [kind, b"--", uuid].concat();
        found.push(String::from_utf8_lossy(&id).to_ascii_lowercase());
    }
    found
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// Every mention in an object with its path, but for the properties that have rules of their own:
/// the id, the creator, markings, and the keys of `extensions`.
pub(super) fn mentions_of(object: &Map<String, Value>) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    for (key, value) in object {
        if matches!(key.as_str(), "id" | "created_by_ref" | "object_marking_refs" | "granular_markings") {
            continue;
        }
        let mut path = vec![Step::Key(key.clone())];
        found.extend(mentions(key).into_iter().map(|id| (path.clone(), id)));
        walk(value, &mut path, &mut found);
    }
    found
}

fn walk(value: &Value, path: &mut Path, found: &mut Vec<(Path, String)>) {
    match value {
        Value::String(text) => found.extend(mentions(text).into_iter().map(|id| (path.clone(), id))),
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                path.push(Step::Index(index));
                walk(value, path, found);
                path.pop();
            }
        }
        Value::Object(map) => {
            let is_extensions = path.len() == 1 && property(path) == "extensions";
            for (key, value) in map {
                path.push(Step::Key(key.clone()));
                if !is_extensions {
                    found.extend(mentions(key).into_iter().map(|id| (path.clone(), id)));
                }
                walk(value, path, found);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What is left of an object.
pub(super) struct Cut {
    /// The object without the parts; containers that became empty are gone too.
    pub(super) object: Map<String, Value>,
    /// Where each part that is left was, and where it is now.
    pub(super) moved: BTreeMap<Path, Path>,
}

/// Cuts parts out of an object.
pub(super) fn cut(object: &Map<String, Value>, out: &BTreeSet<Path>) -> Cut {
    let mut moved = BTreeMap::new();
    let mut left = Map::new();
    for (key, value) in object {
        let mut path = vec![Step::Key(key.clone())];
        let mut new = path.clone();
        if let Some(value) = keep(value, &mut path, &mut new, out, &mut moved) {
            left.insert(key.clone(), value);
        }
    }
    Cut { object: left, moved }
}

fn keep(
    value: &Value,
    old: &mut Path,
    new: &mut Path,
    out: &BTreeSet<Path>,
    moved: &mut BTreeMap<Path, Path>,
) -> Option<Value> {
    if out.contains(old) {
        return None;
    }
    let kept = match value {
        Value::Array(list) => {
            let mut left = Vec::new();
            for (index, value) in list.iter().enumerate() {
                old.push(Step::Index(index));
                new.push(Step::Index(left.len()));
                left.extend(keep(value, old, new, out, moved));
                old.pop();
                new.pop();
            }
            (!left.is_empty() || list.is_empty()).then_some(Value::Array(left))
        }
        Value::Object(map) => {
            let mut left = Map::new();
            for (key, value) in map {
                old.push(Step::Key(key.clone()));
                new.push(Step::Key(key.clone()));
                left.extend(keep(value, old, new, out, moved).map(|value| (key.clone(), value)));
                old.pop();
                new.pop();
            }
            (!left.is_empty() || map.is_empty()).then_some(Value::Object(left))
        }
        other => Some(other.clone()),
    };
    if kept.is_some() {
        moved.insert(old.clone(), new.clone());
    }
    kept
}

/// The selectors of all leaves, sorted.
pub(super) fn leaves(object: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<(Path, &Value)> =
        object.iter().map(|(key, value)| (vec![Step::Key(key.clone())], value)).collect();
    let below = |path: &Path, step| path.iter().cloned().chain([step]).collect::<Path>();
    while let Some((path, value)) = todo.pop() {
        match value {
            Value::Array(list) if !list.is_empty() => {
                todo.extend(
                    list.iter().enumerate().map(|(at, value)| (below(&path, Step::Index(at)), value)),
                );
            }
            Value::Object(map) if !map.is_empty() => {
                todo.extend(map.iter().map(|(key, value)| (below(&path, Step::Key(key.clone())), value)));
            }
            _ => {
                found.insert(selector(&path));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "malware--595f18a0-ee16-426b-9da9-c31e3f5d7c4a";

    #[test]
    fn ids_are_found_wherever_they_stand() {
        for (text, found) in [
            (ID.to_owned(), vec![ID.to_owned()]),
            (format!("see ({}), twice {ID}", ID.to_uppercase()), vec![ID.to_owned(); 2]),
            (format!("urn:{ID}x"), vec![ID.to_owned()]),
            (format!("a---{}", &ID[9..]), vec![format!("a---{}", &ID[9..])]),
            (format!("--{}", &ID[9..]), vec![]),
            (format!("é--{}", &ID[9..]), vec![]),
            (ID[..44].to_owned(), vec![]),
            ("--".repeat(40), vec![]),
        ] {
            assert_eq!(mentions(&text), found, "{text}");
        }
        let object = json!({"id": ID, "x_n": {ID: 1, "b": [7, ID]}, "extensions": {ID: {"c": ID}}});
        let found: Vec<String> =
            mentions_of(object.as_object().unwrap()).iter().map(|(path, _)| selector(path)).collect();
        assert_eq!(found, [format!("x_n.{ID}"), "x_n.b.[1]".into(), format!("extensions.{ID}.c")]);
    }

    #[test]
    fn cutting_takes_empty_containers_along_and_says_what_moved() {
        let object = json!({"a": [1, 2, 3], "b": {"c": [{"d": 1}]}, "e": [], "f": {"g": 1, "h": 2}});
        let out = ["a.[0]", "b.c.[0].d", "f.h"]
            .iter()
            .map(|selector| resolve(&object, selector).unwrap())
            .collect();
        let cut = cut(object.as_object().unwrap(), &out);
        assert_eq!(Value::Object(cut.object), json!({"a": [2, 3], "e": [], "f": {"g": 1}}));
        let now = |old: &str| cut.moved.get(&resolve(&object, old).unwrap()).map(|path| selector(path));
        assert_eq!(now("a.[2]").as_deref(), Some("a.[1]"));
        assert_eq!((now("a.[0]"), now("b"), now("b.c.[0]"), now("f.h")), (None, None, None, None));
        for nothing in ["a.[3]", "a.0", "a.[]", "a.[-1]", "f.[0]", "f.i", "", "f."] {
            assert_eq!(resolve(&object, nothing), None, "{nothing}");
        }
    }
}
