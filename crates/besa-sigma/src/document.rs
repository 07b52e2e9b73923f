//! One YAML document to a rule, correlation or filter, references unresolved.

use crate::condition::{self, ConditionFault, Names};
use crate::correlation::{self, ParsedCorrelation};
use crate::filter::{self, ParsedFilter};
use crate::modifiers::{lower_entry, lower_keywords};
use crate::refusal::{Doubt, Fault, RefusalKind};
use crate::rule::{Condition, Level, Logsource, Meta, Place, Related, Rule, Search, Selection};
use crate::text::Placeholders;
use crate::yaml::{Entry, Node, Value};

/// What a document holds.
pub(crate) enum Document {
    Rule(Box<Rule>),
    Correlation(Box<ParsedCorrelation>),
    Filter(Box<ParsedFilter>),
}

/// What every part of a document needs while it is read.
pub(crate) struct Context<'a> {
    pub(crate) placeholders: &'a Placeholders,
    pub(crate) doubts: Vec<Doubt>,
}

impl Context<'_> {
    pub(crate) fn doubt(&mut self, line: u32, message: impl Into<String>) {
        self.doubts.push(Doubt { line, message: message.into() });
    }
}

/// Reads one document.
pub(crate) fn read(node: &Node, origin: &str, context: &mut Context<'_>) -> Result<Document, Fault> {
    if node.as_map().is_none() {
        let reason = format!("is not a Sigma rule: the document is {}, no map", node.shape());
        return Err(Fault::new(node.line, RefusalKind::NotSigma, reason));
    }
    if let Some(section) = node.get("correlation") {
        let meta = meta(node, origin, context)?;
        return correlation::read(meta, section, context)
            .map(|parsed| Document::Correlation(Box::new(parsed)));
    }
    if let Some(section) = node.get("filter") {
        let meta = meta(node, origin, context)?;
        let logsource = logsource(node)?;
        return filter::read(meta, logsource, section, context)
            .map(|parsed| Document::Filter(Box::new(parsed)));
    }
    let Some(section) = node.get("detection") else {
        return Err(Fault::new(
            node.line,
            RefusalKind::NotSigma,
            "is not a Sigma rule: it has no `detection`, `correlation` or `filter`",
        ));
    };
    let meta = meta(node, origin, context)?;
    let logsource = logsource(node)?;
    let detection = detection(section, "detection", context)?;
    Ok(Document::Rule(Box::new(Rule {
        meta,
        logsource,
        searches: detection.searches,
        condition: detection.condition,
        generates: true,
    })))
}

/// What a document is called, as far as it can be read, for its refusal.
pub(crate) fn label(node: &Node) -> (Option<String>, Option<String>) {
    let text = |key| node.get(key).and_then(Node::as_text).map(str::to_owned);
    (text("title"), text("id"))
}

fn meta(node: &Node, origin: &str, context: &mut Context<'_>) -> Result<Meta, Fault> {
    let text = |key: &str| {
        let joined = texts(node.get(key)).join(", ");
        (!joined.is_empty()).then_some(joined)
    };
    let Some(title) = text("title") else {
        return Err(Fault::new(node.line, RefusalKind::Attribute, "has no `title`, which is mandatory"));
    };
    let level = text("level");
    let parsed_level = level.as_deref().and_then(Level::parse);
    if let (Some(word), None) = (&level, parsed_level) {
        context.doubt(
            node.get("level").map_or(node.line, |level| level.line),
            format!("level `{word}` is none of the specification's; the rule counts as one without a level"),
        );
    }
    Ok(Meta {
        title,
        id: text("id"),
        name: text("name"),
        author: text("author"),
        description: text("description"),
        status: text("status"),
        date: text("date"),
        modified: text("modified"),
        license: text("license"),
        level: parsed_level,
        tags: texts(node.get("tags")),
        references: texts(node.get("references")),
        falsepositives: texts(node.get("falsepositives")),
        fields: texts(node.get("fields")),
        scope: texts(node.get("scope")),
        related: related(node.get("related")),
        place: Place { origin: origin.to_owned(), line: node.line },
    })
}

/// A text or a list of texts; what is neither is left out.
pub(crate) fn texts(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items.iter().filter_map(Node::as_text).map(str::to_owned).collect(),
        Some(Value::Scalar(_)) => node.and_then(Node::as_text).map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn related(node: Option<&Node>) -> Vec<Related> {
    let Some(Value::List(items)) = node.map(|node| &node.value) else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| {
            Some(Related {
                id: item.get("id")?.as_text()?.to_owned(),
                kind: item.get("type")?.as_text()?.to_owned(),
            })
        })
        .collect()
}

fn logsource(node: &Node) -> Result<Logsource, Fault> {
    let Some(section) = node.get("logsource") else {
        return Err(Fault::new(node.line, RefusalKind::Attribute, "has no `logsource`, which is mandatory"));
    };
    let text = |key: &str| -> Result<Option<String>, Fault> {
        match section.get(key) {
            None => Ok(None),
            Some(value) if value.is_null() => Ok(None),
            Some(value) => value.as_text().map(|text| Some(text.to_owned())).ok_or_else(|| {
                let reason = format!("`logsource: {key}` has to be a text, but is {}", value.shape());
                Fault::new(value.line, RefusalKind::Attribute, reason)
            }),
        }
    };
    let lower = |key: &str| text(key).map(|text| text.map(|text| text.to_lowercase()));
    let logsource = Logsource {
        product: lower("product")?,
        category: lower("category")?,
        service: lower("service")?,
        definition: text("definition").unwrap_or_default(),
    };
    if logsource.product.is_none() && logsource.category.is_none() && logsource.service.is_none() {
        return Err(Fault::new(
            section.line,
            RefusalKind::Attribute,
            "`logsource` names no `product`, `category` or `service`",
        ));
    }
    Ok(logsource)
}

/// Searches with the condition over them.
pub(crate) struct Detection {
    pub(crate) searches: Vec<Search>,
    pub(crate) condition: Condition,
}

/// Reads a `detection`, or the like part of a `filter`.
pub(crate) fn detection(section: &Node, called: &str, context: &mut Context<'_>) -> Result<Detection, Fault> {
    let Some(entries) = section.as_map() else {
        let reason = format!("`{called}` has to be a map, but is {}", section.shape());
        return Err(Fault::new(section.line, RefusalKind::Attribute, reason));
    };
    let mut searches = Vec::new();
    for entry in entries {
        match entry.key.as_str() {
            "condition" => {}
            "rules" if called == "filter" => {}
            "timeframe" if entry.value.as_scalar().is_some() => context.doubt(
                entry.line,
                "`timeframe` belongs to Sigma 1 and is not looked at; write a correlation rule",
            ),
            _ => searches.push(search(entry, context)?),
        }
    }
    let condition = conditions(section, called, &searches)?;
    Ok(Detection { searches, condition })
}

fn search(entry: &Entry, context: &mut Context<'_>) -> Result<Search, Fault> {
    let selection = selection(&entry.value, context).map_err(|mut fault| {
        fault.reason = format!("search `{}`: {}", entry.key, fault.reason);
        fault
    })?;
    Ok(Search { name: entry.key.clone(), line: entry.line, selection })
}

/// Recursion is bounded by the YAML tree's depth.
fn selection(node: &Node, context: &mut Context<'_>) -> Result<Selection, Fault> {
    match &node.value {
        Value::Scalar(_) => lower_keywords(node.line, &[node], context.placeholders),
        Value::Map(entries) => {
            let members = entries
                .iter()
                .map(|entry| {
                    lower_entry(
                        &entry.key,
                        entry.line,
                        &entry.value,
                        context.placeholders,
                        &mut context.doubts,
                    )
                })
                .collect::<Result<Vec<_>, _>>()?;
            some_of(members, node.line, Selection::All)
        }
        Value::List(items) => {
            let mut members = Vec::new();
            let keywords: Vec<&Node> = items.iter().filter(|item| item.as_scalar().is_some()).collect();
            if let Some(first) = keywords.first() {
                members.push(lower_keywords(first.line, &keywords, context.placeholders)?);
            }
            for item in items.iter().filter(|item| item.as_scalar().is_none()) {
                members.push(selection(item, context)?);
            }
            some_of(members, node.line, Selection::Any)
        }
    }
}

fn some_of(
    members: Vec<Selection>,
    line: u32,
    wrap: impl Fn(Vec<Selection>) -> Selection,
) -> Result<Selection, Fault> {
    if members.is_empty() {
        return Err(Fault::new(line, RefusalKind::Value, "is empty"));
    }
    Ok(wrap(members))
}

/// `condition`: one, or a list of which one has to hold.
fn conditions(section: &Node, called: &str, searches: &[Search]) -> Result<Condition, Fault> {
    let Some(node) = section.get("condition") else {
        let reason = format!("`{called}` has no `condition`");
        return Err(Fault::new(section.line, RefusalKind::Condition, reason));
    };
    let at = |(kind, reason): ConditionFault| Fault::new(node.line, kind, reason);
    let listed = texts(Some(node));
    let members = match &node.value {
        Value::List(items) => items.len(),
        _ => 1,
    };
    if listed.len() != members || listed.is_empty() {
        return Err(Fault::new(
            node.line,
            RefusalKind::Condition,
            "`condition` has to be a text or a list of texts",
        ));
    }
    let exprs =
        listed.iter().map(|text| condition::parse(text)).collect::<Result<Vec<_>, _>>().map_err(at)?;
    if searches.is_empty() {
        let reason = format!("`{called}` has no search");
        return Err(Fault::new(section.line, RefusalKind::Condition, reason));
    }
    let names: Vec<String> = searches.iter().map(|search| search.name.clone()).collect();
    Names::new(&names).resolve_list(&exprs).map_err(at)
}
