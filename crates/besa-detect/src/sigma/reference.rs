//! The slow twin: one rule against one event by walking the rule's syntax tree.
//!
//! No index, no memo, no triggers, no numbers for tests: every value is owned, every test is
//! asked of every value. It exists to be obviously right. The fast matcher is held equal to it by
//! tests and fuzzing, and `besa explain` shows its trace, since it alone knows why.

use std::collections::HashMap;

use besa_event::{Dictionary, Event, Value, ValueKind};
use besa_sigma::{Condition, DASHES, FieldRefKind, Item, Rule, Selection, Test, TextPart, TextPattern};
use regex_automata::meta::Regex;

use super::leaf::{LeafKey, LeafKind, RegexSource};
use crate::text::fold;

/// An event as owned values. Shape: one entry per field and value, in the order of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Name and value; `None` is null.
    pub values: Vec<(String, Datum)>,
}

/// A value of a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    /// Text, numbers and booleans in their source spelling.
    Text(Vec<u8>),
    /// Present without a value.
    Null,
    /// Holds other fields.
    Node,
}

impl Datum {
    fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Node => None,
        }
    }
}

impl Record {
    /// Copies an event.
    #[must_use]
    pub fn of(event: Event<'_>, dictionary: &Dictionary) -> Self {
        let datum = |value: Value<'_>| match value.kind {
            ValueKind::Null => Datum::Null,
            ValueKind::Node => Datum::Node,
            _ => Datum::Text(value.text().into_owned()),
        };
        let values = event
            .fields()
            .map(|field| (event.field_name(dictionary, field.name).into_owned(), datum(field.value)))
            .collect();
        Self { values }
    }

    fn of_field<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = &'a (String, Datum)> {
        self.values.iter().filter(move |(have, _)| name.is_none_or(|name| have.eq_ignore_ascii_case(name)))
    }
}

/// Evaluates rules one by one; keeps compiled regular expressions between calls.
#[derive(Debug, Default)]
pub struct Reference {
    regexes: HashMap<RegexSource, Option<Regex>>,
}

/// Why a rule did or did not match a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the rule matched; its log source is not looked at.
    pub matched: bool,
    /// Every search of the rule, in its order.
    pub searches: Vec<SearchTrace>,
}

/// One search of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchTrace {
    /// The search's name in the rule.
    pub name: String,
    /// Whether it held.
    pub held: bool,
    /// Its items in the rule's order.
    pub items: Vec<ItemTrace>,
}

/// One item of a [`SearchTrace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemTrace {
    /// The field; `None` for a keyword.
    pub field: Option<String>,
    /// Line in the rule.
    pub line: u32,
    /// What was asked, for people.
    pub asked: String,
    /// Whether the item held.
    pub held: bool,
    /// The field's values in the record; for a keyword those that passed. Empty: absent.
    pub values: Vec<String>,
}

impl Reference {
    /// Whether the rule matches the record. The log source is taken as matching.
    pub fn matches(&mut self, rule: &Rule, record: &Record) -> bool {
        self.condition(&rule.condition, rule, record)
    }

    /// The same with a trace of every search and item.
    pub fn explain(&mut self, rule: &Rule, record: &Record) -> Explanation {
        let matched = self.matches(rule, record);
        let mut searches = Vec::new();
        for search in &rule.searches {
            let held = self.selection(&search.selection, record);
            let mut items = Vec::new();
            self.trace(&search.selection, record, &mut items);
            searches.push(SearchTrace { name: search.name.clone(), held, items });
        }
        Explanation { matched, searches }
    }

    fn trace(&mut self, selection: &Selection, record: &Record, out: &mut Vec<ItemTrace>) {
        match selection {
            Selection::All(members) | Selection::Any(members) => {
                members.iter().for_each(|member| self.trace(member, record, out));
            }
            Selection::Item(item) => {
                let held = self.item(item, record);
                let shown = |datum: &Datum| match datum {
                    Datum::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    Datum::Null => "null".to_owned(),
                    Datum::Node => "(holds other fields)".to_owned(),
                };
                let mut values = Vec::new();
                for (name, datum) in record.of_field(item.field.as_deref()) {
                    if item.field.is_some() {
                        values.push(shown(datum));
                    } else if datum.text().is_some_and(|text| self.value(&item.test, text)) {
                        values.push(format!("{name}: {}", shown(datum)));
                    }
                }
                let not = if item.negated { "not " } else { "" };
                let asked = format!("{not}{}", describe(&item.test));
                out.push(ItemTrace { field: item.field.clone(), line: item.line, asked, held, values });
            }
        }
    }

    fn condition(&mut self, condition: &Condition, rule: &Rule, record: &Record) -> bool {
        match condition {
            Condition::All(members) => members.iter().all(|member| self.condition(member, rule, record)),
            Condition::Any(members) => members.iter().any(|member| self.condition(member, rule, record)),
            Condition::Not(inner) => !self.condition(inner, rule, record),
            Condition::Search(index) => {
                rule.searches.get(*index).is_some_and(|search| self.selection(&search.selection, record))
            }
        }
    }

    fn selection(&mut self, selection: &Selection, record: &Record) -> bool {
        match selection {
            Selection::All(members) => members.iter().all(|member| self.selection(member, record)),
            Selection::Any(members) => members.iter().any(|member| self.selection(member, record)),
            Selection::Item(item) => self.item(item, record),
        }
    }

    fn item(&mut self, item: &Item, record: &Record) -> bool {
        self.test(item.field.as_deref(), &item.test, record) != item.negated
    }

    fn test(&mut self, field: Option<&str>, test: &Test, record: &Record) -> bool {
        match test {
            Test::Any(members) => members.iter().any(|member| self.test(field, member, record)),
            Test::All(members) => members.iter().all(|member| self.test(field, member, record)),
            Test::Null => record.of_field(field).all(|(_, datum)| *datum == Datum::Null),
            Test::Exists(wanted) => (record.of_field(field).next().is_some()) == *wanted,
            Test::FieldRef { field: other, how, cased } => record.of_field(field).any(|(_, value)| {
                record.of_field(Some(other)).any(|(_, other)| match (value.text(), other.text()) {
                    (Some(value), Some(other)) => field_ref(value, other, *how, *cased),
                    _ => false,
                })
            }),
            _ => record
                .of_field(field)
                .any(|(_, datum)| datum.text().is_some_and(|text| self.value(test, text))),
        }
    }

    fn value(&mut self, test: &Test, text: &[u8]) -> bool {
        match test {
            Test::Any(members) => members.iter().any(|member| self.value(member, text)),
            Test::All(members) => members.iter().all(|member| self.value(member, text)),
            Test::Text { pattern, cased: true } => text_matches(pattern, text, <[u8]>::to_vec),
            Test::Text { pattern, cased: false } => text_matches(pattern, &fold(text), fold),
            Test::Regex { .. } => self.regex(test).is_some_and(|regex| regex.is_match(text)),
            // Numbers, networks and times have one reading, shared with the fast matcher.
            _ => leaf(test).is_some_and(|leaf| leaf.holds(text, &fold(text))),
        }
    }

    fn regex(&mut self, test: &Test) -> Option<&Regex> {
        let Some(LeafKey::Regex(source)) = LeafKey::of(test, &mut |_| besa_event::FieldId(0)) else {
            return None;
        };
        self.regexes.entry(source.clone()).or_insert_with(|| source.compile().ok()).as_ref()
    }
}

fn leaf(test: &Test) -> Option<LeafKind> {
    LeafKey::of(test, &mut |_| besa_event::FieldId(0))?.compile().ok()
}

fn field_ref(value: &[u8], other: &[u8], how: FieldRefKind, cased: bool) -> bool {
    if !cased {
        return field_ref(&fold(value), &fold(other), how, true);
    }
    match how {
        FieldRefKind::Equals => value == other,
        FieldRefKind::StartsWith => value.starts_with(other),
        FieldRefKind::EndsWith => value.ends_with(other),
        FieldRefKind::Contains => contains(value, other),
    }
}

fn contains(value: &[u8], part: &[u8]) -> bool {
    part.is_empty() || value.windows(part.len()).any(|window| window == part)
}

/// Whether the whole of `value` matches, by a table over (position in the pattern, position in
/// the value); the usual shapes are compared directly.
fn text_matches(pattern: &TextPattern, value: &[u8], prepare: fn(&[u8]) -> Vec<u8>) -> bool {
    use TextPart::{AnyMany, Literal};
    let ready = |text: &str| prepare(text.as_bytes());
    match pattern.parts.as_slice() {
        [] => value.is_empty(),
        [Literal(text)] => value == ready(text),
        [AnyMany, Literal(text), AnyMany] => contains(value, &ready(text)),
        [Literal(text), AnyMany] => value.starts_with(&ready(text)),
        [AnyMany, Literal(text)] => value.ends_with(&ready(text)),
        parts => table(parts, value, prepare),
    }
}

fn table(parts: &[TextPart], value: &[u8], prepare: fn(&[u8]) -> Vec<u8>) -> bool {
    let value: Vec<&[u8]> = characters(value);
    // reach[i]: the parts so far can take exactly the first i characters.
    let mut reach = vec![false; value.len() + 1];
    reach[0] = true;
    for part in parts {
        let mut next = vec![false; value.len() + 1];
        match part {
            TextPart::AnyMany => {
                let mut any = false;
                for (to, from) in next.iter_mut().zip(&reach) {
                    any |= *from;
                    *to = any;
                }
            }
            TextPart::AnyOne | TextPart::Dash => {
                for (i, character) in value.iter().enumerate() {
                    let fits = *part == TextPart::AnyOne
                        || DASHES.iter().any(|dash| dash.to_string().as_bytes() == *character);
                    next[i + 1] = reach[i] && fits;
                }
            }
            TextPart::Literal(text) => {
                let text = prepare(text.as_bytes());
                let text = characters(&text);
                for i in 0..=value.len() {
                    if reach[i] && value[i..].starts_with(&text) {
                        next[i + text.len()] = true;
                    }
                }
            }
        }
        reach = next;
    }
    reach[value.len()]
}

/// The characters of a text; bytes that are not UTF-8 one by one.
fn characters(text: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut at = 0;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            out.push(&text[at..at + character.len_utf8()]);
            at += character.len_utf8();
        }
        for _ in chunk.invalid() {
            out.push(&text[at..=at]);
            at += 1;
        }
    }
    out
}

/// A test for people.
fn describe(test: &Test) -> String {
    let join = |members: &[Test], word: &str| {
        let parts: Vec<String> = members.iter().take(8).map(describe).collect();
        let more =
            if members.len() > 8 { format!(" {word} … ({} in all)", members.len()) } else { String::new() };
        format!("{}{more}", parts.join(&format!(" {word} ")))
    };
    match test {
        Test::Any(members) => join(members, "or"),
        Test::All(members) => join(members, "and"),
        Test::Text { pattern, cased } => format!("{}`{pattern}`", if *cased { "cased " } else { "" }),
        Test::Regex { source, .. } => format!("re `{source}`"),
        Test::Cidr(network) => format!("in {network}"),
        Test::Compare { op, number } => format!("{} {number}", compare_word(*op)),
        Test::Time { unit, op, value } => match op {
            besa_sigma::TimeOp::Equal => format!("{unit:?} is {value}").to_lowercase(),
            besa_sigma::TimeOp::Compare(op) => {
                format!("{unit:?} {} {value}", compare_word(*op)).to_lowercase()
            }
        },
        Test::Null => "null".to_owned(),
        Test::Exists(true) => "exists".to_owned(),
        Test::Exists(false) => "does not exist".to_owned(),
        Test::FieldRef { field, how, .. } => format!(
            "{} field `{field}`",
            match how {
                FieldRefKind::Equals => "equals",
                FieldRefKind::StartsWith => "starts with",
                FieldRefKind::EndsWith => "ends with",
                FieldRefKind::Contains => "contains",
            }
        ),
    }
}

fn compare_word(op: besa_sigma::CompareOp) -> &'static str {
    match op {
        besa_sigma::CompareOp::Lt => "<",
        besa_sigma::CompareOp::Lte => "<=",
        besa_sigma::CompareOp::Gt => ">",
        besa_sigma::CompareOp::Gte => ">=",
    }
}
