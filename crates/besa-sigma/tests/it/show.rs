//! Searches and conditions in one short line.

use besa_sigma::{Condition, FieldRefKind, Item, Rule, Selection, Test, TextPart, TextPattern, TimeOp};

fn list<T>(name: &str, members: &[T], show: impl Fn(&T) -> String) -> String {
    let members: Vec<String> = members.iter().map(show).collect();
    format!("{name}({})", members.join(", "))
}

pub(crate) fn condition(shown: &Condition, rule: &Rule) -> String {
    match shown {
        Condition::All(members) => list("all", members, |member| condition(member, rule)),
        Condition::Any(members) => list("any", members, |member| condition(member, rule)),
        Condition::Not(inner) => format!("not({})", condition(inner, rule)),
        Condition::Search(index) => rule.searches[*index].name.clone(),
    }
}

pub(crate) fn selection(shown: &Selection) -> String {
    match shown {
        Selection::All(members) => list("all", members, selection),
        Selection::Any(members) => list("any", members, selection),
        Selection::Item(item) => self::item(item),
    }
}

fn item(item: &Item) -> String {
    let not = if item.negated { "not " } else { "" };
    let field = item.field.as_deref().unwrap_or("<any>");
    format!("{not}{field} {}", test(&item.test))
}

fn test(shown: &Test) -> String {
    let cased = |cased: &bool| if *cased { " cased" } else { "" };
    match shown {
        Test::Any(members) => list("any", members, test),
        Test::All(members) => list("all", members, test),
        Test::Text { pattern, cased: c } => format!("{}{}", text(pattern), cased(c)),
        Test::Regex { source, case_insensitive, multi_line, dot_all } => {
            let flags = [(case_insensitive, 'i'), (multi_line, 'm'), (dot_all, 's')];
            let flags: String = flags.iter().filter(|(on, _)| **on).map(|(_, c)| c).collect();
            format!("/{source}/{flags}")
        }
        Test::Cidr(network) => format!("in {network}"),
        Test::Compare { op, number } => format!("{op:?} {number}"),
        Test::Null => "null".to_owned(),
        Test::Exists(exists) => format!("exists={exists}"),
        Test::FieldRef { field, how, cased: c } => {
            let how = match how {
                FieldRefKind::Equals => "=",
                FieldRefKind::StartsWith => "starts",
                FieldRefKind::EndsWith => "ends",
                FieldRefKind::Contains => "contains",
            };
            format!("{how} ${field}{}", cased(c))
        }
        Test::Time { unit, op, value } => match op {
            TimeOp::Equal => format!("{unit:?} = {value}"),
            TimeOp::Compare(op) => format!("{unit:?} {op:?} {value}"),
        },
    }
}

/// Literals in quotes, wildcards and dash classes bare.
fn text(pattern: &TextPattern) -> String {
    let parts: Vec<String> = pattern
        .parts
        .iter()
        .map(|part| match part {
            TextPart::Literal(text) => format!("{text:?}"),
            TextPart::AnyOne => "?".to_owned(),
            TextPart::AnyMany => "*".to_owned(),
            TextPart::Dash => "[-]".to_owned(),
        })
        .collect();
    format!("[{}]", parts.join(" "))
}
