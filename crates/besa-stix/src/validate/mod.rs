//! Is this STIX 2.1? The MUSTs of the standard, and a few SHOULDs, each with its reason.
//!
//! ```
//! let problems = besa_stix::validate::validate_text(br#"{"type": "ipv4-addr", "value": "1.2.3.4.5",
//!     "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"}"#);
//! assert!(!besa_stix::validate::is_valid(&problems));
//! assert_eq!(problems[0].path, "value");
//! ```
//!
//! The catalogue of types is data (`catalogue.rs`), kinds of values are in `kinds.rs`, and rules that
//! fit neither are functions here. Unknown types and properties are legal (sections 7.3, 11) as long
//! as they are well-formed. Objects of STIX 2.0 are checked for identity and timestamps only.
//!
//! Not checked: registries too large to carry (media types, three-letter languages), the inside of
//! extensions beyond their form, and whether references can be resolved, which no object alone tells.

mod catalogue;
mod kinds;

use serde_json::{Map, Value};
use uuid::Version;

use crate::canonical::strict_value;
use crate::id::{is_type_name, sco_id, split_id};
use crate::marking::{TLP_1_CREATED, TLP_MARKINGS};
use crate::object::is_sco_type;
use crate::pattern::{ObjectPath, Pattern, Severity, Step};
use crate::time::Instant;
use catalogue::{COMMON, Class, RESERVED_PROPERTIES, RESERVED_TYPES, Rule, TYPES, TypeRules};

/// What kind of sentence of the standard is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// MUST: the object is invalid.
    Must,
    /// SHOULD: it is valid, and others may have trouble with it.
    Should,
}

/// One thing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// MUST or SHOULD.
    pub level: Level,
    /// The object's id, or its place in the bundle if it has none.
    pub object: String,
    /// Which property, written like a selector (`external_references.[0].url`); empty for the whole.
    pub path: String,
    /// What is wrong, with the section that says so.
    pub message: String,
}

/// Whether no MUST is broken.
pub fn is_valid(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| problem.level != Level::Must)
}

/// Validates the text of a bundle, an object, or a list of objects.
pub fn validate_text(json: &[u8]) -> Vec<Problem> {
    match strict_value(json) {
        Ok(value) => validate(&value),
        Err(error) => vec![Problem {
            level: Level::Must,
            object: "the text".to_owned(),
            path: String::new(),
            message: error.to_string(),
        }],
    }
}

/// Validates a bundle, an object, or a list of objects.
pub fn validate(value: &Value) -> Vec<Problem> {
    match value {
        Value::Array(list) => validate_list(list, false),
        Value::Object(bundle) if bundle.get("type").and_then(Value::as_str) == Some("bundle") => {
            validate_bundle(bundle)
        }
        other => validate_object(other, "the object", false),
    }
}

fn validate_list(list: &[Value], in_v20_bundle: bool) -> Vec<Problem> {
    let numbered = list.iter().enumerate();
    numbered
        .flat_map(|(place, object)| validate_object(object, &format!("object {place}"), in_v20_bundle))
        .collect()
}

fn validate_bundle(bundle: &Map<String, Value>) -> Vec<Problem> {
    let mut check = Check::new(bundle, "the bundle");
    match bundle.get("id").and_then(Value::as_str).map(split_id) {
        Some(Some(("bundle", _))) => {}
        _ => check.must("id", "a bundle needs an id `bundle--` and a UUID (section 8.1)"),
    }
    let v20 = bundle.get("spec_version").and_then(Value::as_str) == Some("2.0");
    if bundle.contains_key("spec_version") && !v20 {
        check.should("spec_version", "a bundle of 2.1 has no such property (section 8.1)");
    }
    match bundle.get("objects") {
        None => {}
        Some(Value::Array(list)) if !list.is_empty() => check.problems.extend(validate_list(list, v20)),
        Some(_) => {
            check.must("objects", "it must be a list of at least one object, or be left out (section 8.1)");
        }
    }
    check.problems
}

fn validate_object(value: &Value, place: &str, in_v20_bundle: bool) -> Vec<Problem> {
    let Some(object) = value.as_object() else {
        let message = "it is no JSON object (section 3)".to_owned();
        return vec![Problem { level: Level::Must, object: place.to_owned(), path: String::new(), message }];
    };
    let mut check = Check::new(object, place);
    let Some(object_type) = check.identity() else { return check.problems };
    let v20 = match object.get("spec_version").and_then(Value::as_str) {
        Some(version) => version == "2.0",
        None => in_v20_bundle && !is_sco_type(object_type),
    };
    check.forbidden_values();
    if v20 {
        check.class(Class::Versioned, true);
        return check.problems;
    }
    let rules = TYPES.iter().find(|rules| rules.name == object_type);
    check.class(class_of(object, rules), false);
    check.property_names(rules);
    if let Some(rules) = rules {
        check.type_rules(rules);
    }
    check.common();
    check.markings();
    check.special(value, object_type);
    check.problems
}

/// New observables are known by their extension; custom ones of before by having no timestamps.
fn class_of(object: &Map<String, Value>, rules: Option<&TypeRules>) -> Class {
    if let Some(rules) = rules {
        return rules.class;
    }
    let extensions = object.get("extensions").and_then(Value::as_object);
    let new_sco = extensions.is_some_and(|all| {
        all.values().any(|extension| extension.get("extension_type") == Some(&"new-sco".into()))
    });
    let timeless = !object.contains_key("created") && !object.contains_key("modified");
    if new_sco || timeless { Class::Observable } else { Class::Versioned }
}

struct Check<'a> {
    object: &'a Map<String, Value>,
    name: String,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn new(object: &'a Map<String, Value>, place: &str) -> Self {
        let name = object.get("id").and_then(Value::as_str).unwrap_or(place).to_owned();
        Self { object, name, problems: Vec::new() }
    }

    fn must(&mut self, path: &str, message: impl Into<String>) {
        self.add(Level::Must, path, message.into());
    }

    fn should(&mut self, path: &str, message: impl Into<String>) {
        self.add(Level::Should, path, message.into());
    }

    fn add(&mut self, level: Level, path: &str, message: String) {
        self.problems.push(Problem { level, object: self.name.clone(), path: path.to_owned(), message });
    }

    fn text(&self, property: &str) -> Option<&'a str> {
        self.object.get(property).and_then(Value::as_str)
    }

    fn instant(&self, property: &str) -> Option<Instant> {
        Instant::parse(self.text(property)?).ok()
    }

    /// Type and id (sections 2.9, 3.2); `None` if the type cannot be told.
    fn identity(&mut self) -> Option<&'a str> {
        let Some(object_type) = self.text("type") else {
            self.must("type", "every object has a `type` (section 3.2)");
            return None;
        };
        if !is_type_name(object_type) {
            self.must("type", "a type has 3 to 250 of a-z, 0-9 and single hyphens (sections 3.1, 11.2.1)");
        }
        if RESERVED_TYPES.contains(&object_type) {
            self.must("type", "the name is reserved (section 3.8)");
        }
        match self.text("id").map(split_id) {
            None => self.must("id", "every object has an `id` (section 3.2)"),
            Some(None) => self.must("id", "it must be the type, `--` and a UUID (section 2.9)"),
            Some(Some((found, _))) if found != object_type => {
                self.must(
                    "id",
                    format!("it is the id of a `{found}`, not of a `{object_type}` (section 2.9)"),
                );
            }
            Some(Some((_, uuid))) => {
                if object_type == "process" && uuid.get_version() != Some(Version::Random) {
                    self.must("id", "a process takes a random (version 4) UUID (sections 2.9, 6.13)");
                }
                if !is_sco_type(object_type)
                    && uuid.get_version() != Some(Version::Random)
                    && uuid.get_version() != Some(Version::Sha1)
                {
                    self.should("id", "the UUID is of neither version 4 nor 5 (section 2.9)");
                }
            }
        }
        Some(object_type)
    }

    /// No null, no empty list, no empty dictionary, anywhere (sections 2.12, 3.1).
    fn forbidden_values(&mut self) {
        let mut todo: Vec<(String, &Value)> =
            self.object.iter().map(|(key, value)| (key.clone(), value)).collect();
        while let Some((path, value)) = todo.pop() {
            match value {
                Value::Null => self.must(&path, "null is not allowed (section 3.1)"),
                Value::Array(list) if list.is_empty() => {
                    self.must(&path, "an empty list is not allowed (section 2.12)");
                }
                Value::Object(object) if object.is_empty() => {
                    self.must(&path, "an empty dictionary is not allowed (section 2.3)");
                }
                Value::Array(list) => {
                    todo.extend(
                        list.iter().enumerate().map(|(index, value)| (format!("{path}.[{index}]"), value)),
                    );
                }
                Value::Object(object) => {
                    todo.extend(object.iter().map(|(key, value)| (format!("{path}.{key}"), value)));
                }
                Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }

    /// What the class demands: spec_version, created, modified (sections 3.2, 3.6).
    fn class(&mut self, class: Class, v20: bool) {
        match (self.object.get("spec_version"), class) {
            (None, Class::Observable) => {}
            (None, _) if v20 => {}
            (None, _) => self.must("spec_version", "it is required (section 3.2)"),
            (Some(Value::String(version)), _) if version == "2.1" || (v20 && version == "2.0") => {}
            (Some(_), _) => self.must("spec_version", "it must be 2.1 (section 3.2)"),
        }
        let required: &[&str] = match class {
            Class::Versioned => &["created", "modified"],
            Class::Marking => &["created"],
            Class::Observable => &[],
        };
        for property in required {
            if !self.object.contains_key(*property) {
                self.must(property, "it is required (section 3.2)");
            }
        }
        let own: &[&str] = match class {
            Class::Marking if self.object.contains_key("modified") => {
                self.must("modified", "a marking definition is not versioned (section 7.2.1)");
                &["created"]
            }
            Class::Observable => &[],
            _ => &["created", "modified"],
        };
        for property in own {
            match self.object.get(*property).map(Value::as_str) {
                None => {}
                Some(Some(text)) => match Instant::parse(text) {
                    Err(error) => self.must(property, error.to_string()),
                    Ok(_) if subsecond_digits(text) < 3 => {
                        self.must(property, "it needs at least three sub-second digits (section 3.2)");
                    }
                    Ok(_) => {}
                },
                Some(None) => self.must(property, "it must be a timestamp"),
            }
        }
        if let (Some(created), Some(modified)) = (self.instant("created"), self.instant("modified"))
            && modified < created
            && class == Class::Versioned
        {
            self.must("modified", "it is before `created` (section 3.6.1)");
        }
    }

    /// Names of custom properties (sections 3.1, 11.1.1).
    fn property_names(&mut self, rules: Option<&TypeRules>) {
        let known = |name: &str| {
            matches!(name, "type" | "id" | "spec_version" | "created" | "modified")
                || COMMON.iter().any(|(known, _)| *known == name)
                || rules.is_some_and(|rules| rules.properties.iter().any(|(known, _)| *known == name))
        };
        let extended = self.object.get("extensions").and_then(Value::as_object).is_some_and(|extensions| {
            extensions.values().any(|extension| {
                extension.get("extension_type").is_some_and(|kind| *kind != "property-extension")
            })
        });
        for name in self.object.keys().filter(|name| !known(name)) {
            let letters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            let first = name.starts_with(|first: char| first.is_ascii_lowercase());
            if !(3..=250).contains(&name.len()) || !letters || !first {
                self.must(name, "a property name has 3 to 250 of a-z, 0-9, `_` and starts with a letter (sections 3.1, 11.1.1)");
            } else if RESERVED_PROPERTIES.contains(&name.as_str()) && rules.is_some() {
                self.must(name, "the name is reserved (section 3.8)");
            } else if !extended && rules.is_some() {
                self.should(name, "a property of one's own belongs in an extension (section 11)");
            }
        }
    }

    fn type_rules(&mut self, rules: &TypeRules) {
        for property in rules.required.iter().filter(|property| !self.object.contains_key(**property)) {
            self.must(property, format!("it is required (section {})", rules.section));
        }
        self.kinds(rules.properties);
        for rule in rules.rules {
            self.rule(*rule, rules.section);
        }
    }

    fn common(&mut self) {
        self.kinds(COMMON);
        if let Some(author) = self.text("created_by_ref")
            && split_id(author).is_some_and(|(object_type, _)| object_type != "identity")
        {
            self.should("created_by_ref", "it should name an identity (section 3.2)");
        }
    }

    fn kinds(&mut self, properties: &[(&'static str, kinds::Kind)]) {
        let mut faults = Vec::new();
        for (property, kind) in properties {
            if let Some(value) = self.object.get(*property).filter(|value| !value.is_null()) {
                kind.check(value, property, &mut |path, message| faults.push((path, message)));
            }
        }
        for (path, message) in faults {
            self.must(&path, message);
        }
    }

    fn rule(&mut self, rule: Rule, section: &str) {
        let has = |property: &&&str| self.object.contains_key(**property);
        match rule {
            Rule::OneOf(properties) if !properties.iter().any(|property| has(&property)) => {
                self.must(
                    "",
                    format!("at least one of {} is needed (section {section})", quoted(properties)),
                );
            }
            Rule::ExactlyOneOf(properties) if properties.iter().filter(has).count() != 1 => {
                self.must("", format!("exactly one of {} is needed (section {section})", quoted(properties)));
            }
            Rule::Needs(property, others) if has(&&property) && !others.iter().all(|other| has(&other)) => {
                self.must(property, format!("with it goes {} (section {section})", quoted(others)));
            }
            Rule::NotBefore(first, then) => {
                if let (Some(start), Some(end)) = (self.instant(first), self.instant(then))
                    && end < start
                {
                    self.must(then, format!("it is before `{first}` (section {section})"));
                }
            }
            Rule::After(first, then) => {
                if let (Some(start), Some(end)) = (self.instant(first), self.instant(then))
                    && end <= start
                {
                    self.must(then, format!("it is not after `{first}` (section {section})"));
                }
            }
            Rule::OneOf(_) | Rule::ExactlyOneOf(_) | Rule::Needs(..) => {}
        }
    }

    /// Granular markings (section 7.2.3) and markings that mark themselves (section 7.2.1).
    fn markings(&mut self) {
        let own = self.text("id").unwrap_or_default();
        let refs = self.object.get("object_marking_refs").and_then(Value::as_array).into_iter().flatten();
        if refs.filter_map(Value::as_str).any(|id| id == own) {
            self.must("object_marking_refs", "a marking cannot mark itself (section 7.2.1)");
        }
        let markings = self.object.get("granular_markings").and_then(Value::as_array).into_iter().flatten();
        for (place, marking) in markings.enumerate() {
            let path = format!("granular_markings.[{place}]");
            match (marking.get("marking_ref"), marking.get("lang")) {
                (None, None) => self.must(&path, "it needs `marking_ref` or `lang` (section 7.2.3)"),
                (Some(_), Some(_)) => {
                    self.must(&path, "it has both `marking_ref` and `lang`; split it (section 7.2.3)");
                }
                (Some(id), None) => self.granular_ref(&path, id, own),
                (None, Some(language)) => {
                    let mut faults = Vec::new();
                    kinds::Kind::Language
                        .check(language, &path, &mut |path, message| faults.push((path, message)));
                    faults.into_iter().for_each(|(path, message)| self.must(&path, message));
                }
            }
            match marking.get("selectors").and_then(Value::as_array) {
                None => self.must(&path, "it needs a list `selectors` (section 7.2.3)"),
                Some(selectors) => {
                    for selector in selectors {
                        let selected =
                            selector.as_str().is_some_and(|selector| select(self.object, selector).is_some());
                        if !selected {
                            self.must(
                                &path,
                                format!("the selector {selector} points at nothing (section 7.2.3)"),
                            );
                        }
                    }
                }
            }
        }
    }

    fn granular_ref(&mut self, path: &str, id: &Value, own: &str) {
        let id = id.as_str().unwrap_or_default();
        if id == own {
            self.must(path, "a marking cannot mark itself (section 7.2.1)");
        }
        if split_id(id).is_none_or(|(object_type, _)| object_type != "marking-definition") {
            self.must(path, "`marking_ref` must name a marking-definition (section 7.2.3)");
        }
    }

    /// Rules of single types that are no table.
    fn special(&mut self, value: &Value, object_type: &str) {
        match object_type {
            "indicator" => self.indicator(),
            "malware"
                if self.object.get("is_family") == Some(&Value::Bool(true))
                    && !self.object.contains_key("name") =>
            {
                self.must("name", "a malware family has a name (section 4.11)");
            }
            "email-message" => self.email_message(),
            "network-traffic"
                if self.object.get("is_active") == Some(&Value::Bool(true))
                    && self.object.contains_key("end") =>
            {
                self.must("end", "active traffic has no end (section 6.12)");
            }
            "marking-definition" => self.marking_definition(),
            "extension-definition" => self.extension_definition(),
            _ => {}
        }
        if let (Some(id), Ok(Some(expected))) = (self.text("id"), sco_id(value))
            && !id.eq_ignore_ascii_case(&expected)
        {
            self.should("id", format!("the deterministic id is {expected} (section 2.9)"));
        }
    }

    fn indicator(&mut self) {
        let (Some("stix"), Some(pattern)) = (self.text("pattern_type"), self.text("pattern")) else { return };
        let pattern = match Pattern::parse(pattern) {
            Ok(pattern) => pattern,
            Err(error) => return self.must("pattern", error.to_string()),
        };
        for finding in pattern.check() {
            match finding.severity {
                Severity::Error => self.must("pattern", finding.message),
                Severity::Warning => self.should("pattern", finding.message),
            }
        }
        for leaf in pattern.comparison_exprs() {
            for test in leaf.comparisons() {
                if let Some(message) = path_fault(&test.path) {
                    self.must("pattern", message);
                }
            }
        }
    }

    fn email_message(&mut self) {
        let has = |property: &str| self.object.contains_key(property);
        match self.object.get("is_multipart") {
            Some(Value::Bool(false)) if has("body_multipart") => {
                self.must(
                    "body_multipart",
                    "a message that is not multipart has `body` instead (section 6.6)",
                );
            }
            Some(Value::Bool(true)) if has("body") => {
                self.must("body", "a multipart message has `body_multipart` instead (section 6.6)");
            }
            _ => {}
        }
    }

    /// The four TLP 1 markings and their ids belong together and to nothing else (section 7.2.1.4).
    fn marking_definition(&mut self) {
        let definition = self.object.get("definition");
        match self.text("definition_type") {
            Some("tlp") => {
                let level = definition.and_then(|definition| definition.get("tlp")).and_then(Value::as_str);
                let marking =
                    TLP_MARKINGS.iter().find(|marking| marking.version == 1 && Some(marking.value) == level);
                let created = self.instant("created") == Instant::parse(TLP_1_CREATED).ok();
                if !marking.is_some_and(|marking| self.text("id") == Some(marking.id) && created) {
                    self.must(
                        "definition",
                        "TLP markings are the four of section 7.2.1.4, with their ids and `created`",
                    );
                }
            }
            Some("statement")
                if definition
                    .and_then(|definition| definition.get("statement"))
                    .is_none_or(|text| !text.is_string()) =>
            {
                self.must("definition", "a statement marking needs the text `statement` (section 7.2.1.3)");
            }
            _ => {}
        }
    }

    fn extension_definition(&mut self) {
        let types = self.object.get("extension_types").and_then(Value::as_array).into_iter().flatten();
        let toplevel = types.filter_map(Value::as_str).any(|kind| kind == "toplevel-property-extension");
        if self.object.contains_key("extension_properties") && !toplevel {
            self.must(
                "extension_properties",
                "only a toplevel-property-extension lists properties (section 7.3)",
            );
        }
    }
}

/// Object types and properties in a pattern are names as in objects (sections 3.1, 9.7).
fn path_fault(path: &ObjectPath) -> Option<String> {
    if !is_type_name(&path.object_type) && path.object_type.len() < 3 {
        return Some(format!(
            "`{}` in the pattern is too short for an object type (section 3.1)",
            path.object_type
        ));
    }
    match path.steps.first() {
        Some(Step::Property(name)) if name.len() < 3 && name != "id" => {
            Some(format!("`{name}` in the pattern is too short for a property (section 3.1)"))
        }
        _ => None,
    }
}

/// What a selector `a.[0].b` points at (section 7.2.3).
fn select<'a>(object: &'a Map<String, Value>, selector: &str) -> Option<&'a Value> {
    let mut parts = selector.split('.');
    let mut value = object.get(parts.next()?)?;
    for part in parts {
        value = match part.strip_prefix('[').and_then(|part| part.strip_suffix(']')) {
            Some(index) if index.bytes().all(|digit| digit.is_ascii_digit()) => {
                value.as_array()?.get(index.parse::<usize>().ok()?)?
            }
            Some(_) => return None,
            None => value.as_object()?.get(part)?,
        };
    }
    Some(value)
}

fn subsecond_digits(timestamp: &str) -> usize {
    timestamp.split_once('.').map_or(0, |(_, digits)| digits.len().saturating_sub(1))
}

fn quoted(properties: &[&str]) -> String {
    properties.iter().map(|property| format!("`{property}`")).collect::<Vec<_>>().join(", ")
}
