//! The `filter` section (filters specification): searches and a condition that
//! are ANDed into the rules it names, **as written**. A filter that is to drop
//! events therefore says `not selection`; the specification's own example does
//! not and would keep only the administrators it means to leave out. pySigma
//! and others AND as written too, so we do, and warn.

use crate::document::{Context, detection, texts};
use crate::refusal::{Fault, RefusalKind};
use crate::rule::{Condition, Logsource, Meta, Rule, Search, Selection};
use crate::yaml::{Node, Value};

/// A filter that has not yet been applied.
pub(crate) struct ParsedFilter {
    pub(crate) meta: Meta,
    pub(crate) logsource: Logsource,
    /// Ids or names; empty means any rule.
    pub(crate) rules: Vec<String>,
    pub(crate) searches: Vec<Search>,
    pub(crate) condition: Condition,
}

/// Reads the section.
pub(crate) fn read(
    meta: Meta,
    logsource: Logsource,
    section: &Node,
    context: &mut Context<'_>,
) -> Result<ParsedFilter, Fault> {
    let rules = rules(section)?;
    let condition_node = section.get("condition");
    if condition_node.is_some_and(|node| matches!(node.value, Value::List(_))) {
        return Err(Fault::new(section.line, RefusalKind::Filter, "a filter has one `condition`, no list"));
    }
    let detection = detection(section, "filter", context)?;
    if !negates(&detection.condition) && !detection.searches.iter().any(search_negates) {
        context.doubt(
            condition_node.map_or(section.line, |node| node.line),
            "filter has no `not`: it is ANDed as written, so its rules keep only the events it describes",
        );
    }
    Ok(ParsedFilter { meta, logsource, rules, searches: detection.searches, condition: detection.condition })
}

/// `any`, one reference or a list of them. Absent is refused, not taken for
/// `any`: a filter that hides too much is worse than one that is missing.
fn rules(section: &Node) -> Result<Vec<String>, Fault> {
    let Some(node) = section.get("rules").filter(|node| !node.is_null()) else {
        return Err(Fault::new(
            section.line,
            RefusalKind::Filter,
            "filter has no `rules`; list ids or names, or write `any`",
        ));
    };
    let listed = texts(Some(node));
    match &node.value {
        Value::Scalar(scalar) if scalar.text.eq_ignore_ascii_case("any") => Ok(Vec::new()),
        Value::Scalar(_) => Ok(listed),
        Value::List(items) if items.len() == listed.len() => Ok(listed),
        _ => Err(Fault::new(
            node.line,
            RefusalKind::Filter,
            "`rules` of a filter has to be `any`, an id or name, or a list of them",
        )),
    }
}

fn negates(condition: &Condition) -> bool {
    match condition {
        Condition::All(members) | Condition::Any(members) => members.iter().any(negates),
        Condition::Not(_) => true,
        Condition::Search(_) => false,
    }
}

fn search_negates(search: &Search) -> bool {
    fn walk(selection: &Selection) -> bool {
        match selection {
            Selection::All(members) | Selection::Any(members) => members.iter().any(walk),
            Selection::Item(item) => item.negated,
        }
    }
    walk(&search.selection)
}

impl ParsedFilter {
    /// Whether every part of the filter's log source is the rule's.
    pub(crate) fn fits(&self, logsource: &Logsource) -> bool {
        let same = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        same(&self.logsource.product, &logsource.product)
            && same(&self.logsource.category, &logsource.category)
            && same(&self.logsource.service, &logsource.service)
    }

    /// ANDs the filter into a rule; its searches are named after the filter.
    pub(crate) fn apply(&self, rule: &mut Rule) {
        let base = rule.searches.len();
        for search in &self.searches {
            let mut search = search.clone();
            search.name = format!("filter {}: {}", self.meta.key(), search.name);
            rule.searches.push(search);
        }
        let own = std::mem::replace(&mut rule.condition, Condition::All(Vec::new()));
        rule.condition = Condition::All(vec![own, shifted(&self.condition, base)]);
    }
}

fn shifted(condition: &Condition, base: usize) -> Condition {
    let each = |members: &[Condition]| members.iter().map(|m| shifted(m, base)).collect();
    match condition {
        Condition::All(members) => Condition::All(each(members)),
        Condition::Any(members) => Condition::Any(each(members)),
        Condition::Not(inner) => Condition::Not(Box::new(shifted(inner, base))),
        Condition::Search(index) => Condition::Search(base + index),
    }
}
