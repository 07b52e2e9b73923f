//! The `correlation` section (correlation rules specification 2.1).
//!
//! Beyond the text of the specification, as pySigma reads it: the type
//! `value_median`, the time units `w`, `M` (2,629,746 s) and `y`
//! (31,556,952 s), and temporal conditions that are an expression over the
//! names of `rules`. `value_percentile` needs `percentile`: without it the
//! specification does not say which one is meant.

use crate::condition;
use crate::document::{Context, texts};
use crate::refusal::{Fault, RefusalKind};
use crate::rule::{Comparison, CorrelationCondition, CorrelationKind, CorrelationOp, Meta};
use crate::yaml::{Entry, Node, Scalar, Value};

/// A correlation whose references are still text.
pub(crate) struct ParsedCorrelation {
    pub(crate) meta: Meta,
    pub(crate) line: u32,
    pub(crate) kind: CorrelationKind,
    pub(crate) rules: Vec<String>,
    pub(crate) group_by: Vec<String>,
    pub(crate) timespan_seconds: u64,
    pub(crate) condition: CorrelationCondition,
    pub(crate) aliases: Vec<ParsedAlias>,
    pub(crate) generate: bool,
}

/// Its name and, as written, rule → field.
pub(crate) type ParsedAlias = (String, Vec<(String, String)>);

const KINDS: [CorrelationKind; 8] = [
    CorrelationKind::EventCount,
    CorrelationKind::ValueCount,
    CorrelationKind::ValueSum,
    CorrelationKind::ValueAvg,
    CorrelationKind::ValueMedian,
    CorrelationKind::ValuePercentile,
    CorrelationKind::Temporal,
    CorrelationKind::TemporalOrdered,
];

const KEYS: [&str; 7] = ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];

/// Reads the section.
pub(crate) fn read(
    meta: Meta,
    section: &Node,
    context: &mut Context<'_>,
) -> Result<ParsedCorrelation, Fault> {
    let Some(entries) = section.as_map() else {
        let reason = format!("`correlation` has to be a map, but is {}", section.shape());
        return Err(fault(section.line, reason));
    };
    for entry in entries {
        if !KEYS.contains(&entry.key.as_str()) {
            let message = format!("`correlation` has the unknown key `{}`", entry.key);
            context.doubt(entry.line, message);
        }
    }
    let kind = kind(section)?;
    let written = texts(section.get("rules"));
    let (rules, condition) = rules_and_condition(section, kind, written)?;
    Ok(ParsedCorrelation {
        meta,
        line: section.line,
        kind,
        rules,
        group_by: texts(section.get("group-by")),
        timespan_seconds: timespan(section)?,
        condition,
        aliases: aliases(section)?,
        generate: generate(section)?,
    })
}

fn fault(line: u32, reason: impl Into<String>) -> Fault {
    Fault::new(line, RefusalKind::Correlation, reason)
}

fn is_temporal(kind: CorrelationKind) -> bool {
    matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered)
}

fn kind(section: &Node) -> Result<CorrelationKind, Fault> {
    let words = || KINDS.map(CorrelationKind::as_str).join("`, `");
    let Some(node) = section.get("type") else {
        let reason = format!("`correlation` has no `type`; give one of `{}`", words());
        return Err(fault(section.line, reason));
    };
    let word = node.as_text().unwrap_or_default();
    KINDS.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word)).ok_or_else(|| {
        let reason = format!("correlation type `{word}` is unknown; give one of `{}`", words());
        fault(node.line, reason)
    })
}

/// They are read together, since an expression may name the rules instead.
fn rules_and_condition(
    section: &Node,
    kind: CorrelationKind,
    mut rules: Vec<String>,
) -> Result<(Vec<String>, CorrelationCondition), Fault> {
    let mut condition = CorrelationCondition::default();
    match section.get("condition").filter(|node| !node.is_null()) {
        None if is_temporal(kind) => {}
        None => {
            let reason = format!("`{}` needs a `condition`", kind.as_str());
            return Err(fault(section.line, reason));
        }
        Some(node) => match &node.value {
            Value::Map(entries) => condition = comparison_map(node, entries, kind)?,
            Value::Scalar(scalar) if is_temporal(kind) => {
                let at = |(kind, reason)| Fault::new(node.line, kind, reason);
                let expr = condition::parse(&scalar.text).map_err(at)?;
                if section.get("rules").is_none() {
                    rules = condition::names_of(&expr);
                }
                condition.expression = Some(condition::resolve_temporal(&expr, &rules).map_err(at)?);
            }
            _ => {
                let reason = format!(
                    "`condition` of `{}` has to be a map such as `gte: 10`, but is {}",
                    kind.as_str(),
                    node.shape()
                );
                return Err(fault(node.line, reason));
            }
        },
    }
    if rules.is_empty() {
        return Err(fault(section.line, "`correlation` names no `rules`"));
    }
    Ok((rules, condition))
}

fn comparison_map(
    node: &Node,
    entries: &[Entry],
    kind: CorrelationKind,
) -> Result<CorrelationCondition, Fault> {
    let mut condition = CorrelationCondition::default();
    for entry in entries {
        if let Some(op) = operator(&entry.key) {
            let number = number(&entry.value)?;
            condition.comparisons.push(Comparison { op, number });
            continue;
        }
        match entry.key.as_str() {
            "field" => condition.fields = texts(Some(&entry.value)),
            "percentile" => condition.percentile = Some(percentile(&entry.value)?),
            unknown => {
                let reason = format!(
                    "`condition` has `{unknown}`; only `lt`, `lte`, `gt`, `gte`, `eq`, `neq`, `field` and `percentile` can stand"
                );
                return Err(fault(entry.line, reason));
            }
        }
    }
    check_condition(node, kind, &condition)?;
    Ok(condition)
}

fn check_condition(
    node: &Node,
    kind: CorrelationKind,
    condition: &CorrelationCondition,
) -> Result<(), Fault> {
    let word = kind.as_str();
    let counts_values = !is_temporal(kind) && kind != CorrelationKind::EventCount;
    let reason = if condition.comparisons.is_empty() {
        "`condition` has no comparison such as `gte: 10`".to_owned()
    } else if condition.comparisons.len() > 2 {
        "`condition` has more than two comparisons; two make a range".to_owned()
    } else if counts_values && condition.fields.is_empty() {
        format!("`{word}` needs a `field` in its `condition`")
    } else if !counts_values && !condition.fields.is_empty() {
        format!("`{word}` looks at no `field`; use `value_count` to count values")
    } else if condition.fields.len() > 1 && kind != CorrelationKind::ValueCount {
        format!("`{word}` looks at one `field` only; `value_count` can take several")
    } else if kind == CorrelationKind::ValuePercentile && condition.percentile.is_none() {
        "`value_percentile` needs `percentile` in its `condition`, such as `percentile: 95`".to_owned()
    } else if kind != CorrelationKind::ValuePercentile && condition.percentile.is_some() {
        format!("`percentile` has no meaning with `{word}`")
    } else {
        return Ok(());
    };
    Err(fault(node.line, reason))
}

fn operator(word: &str) -> Option<CorrelationOp> {
    Some(match word {
        "lt" => CorrelationOp::Lt,
        "lte" => CorrelationOp::Lte,
        "gt" => CorrelationOp::Gt,
        "gte" => CorrelationOp::Gte,
        "eq" => CorrelationOp::Eq,
        "neq" => CorrelationOp::Neq,
        _ => return None,
    })
}

/// A number; quotes are forgiven, as pySigma does.
fn number(node: &Node) -> Result<f64, Fault> {
    node.as_text()
        .and_then(|text| text.trim().parse::<f64>().ok())
        .filter(|number| number.is_finite())
        .ok_or_else(|| {
            let shown = node.as_text().unwrap_or(node.shape());
            fault(node.line, format!("`{shown}` is no number to compare with"))
        })
}

fn percentile(node: &Node) -> Result<f64, Fault> {
    let percentile = number(node)?;
    if !(0.0..=100.0).contains(&percentile) {
        let reason = format!("percentile `{percentile}` is not between 0 and 100");
        return Err(fault(node.line, reason));
    }
    Ok(percentile)
}

fn timespan(section: &Node) -> Result<u64, Fault> {
    let Some(node) = section.get("timespan") else {
        return Err(fault(section.line, "`correlation` has no `timespan`; give one such as `15m`"));
    };
    let text = node.as_text().unwrap_or_default();
    parse_timespan(text).ok_or_else(|| {
        let reason = format!(
            "timespan `{text}` is not a number above 0 and one of `s`, `m`, `h`, `d` (or `w`, `M`, `y`)"
        );
        fault(node.line, reason)
    })
}

fn parse_timespan(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    let unit_seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        'M' => 2_629_746,
        'y' => 31_556_952,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    count.checked_mul(unit_seconds).filter(|&seconds| seconds > 0)
}

fn aliases(section: &Node) -> Result<Vec<ParsedAlias>, Fault> {
    let Some(node) = section.get("aliases").filter(|node| !node.is_null()) else {
        return Ok(Vec::new());
    };
    let Some(entries) = node.as_map() else {
        return Err(fault(node.line, "`aliases` has to be a map"));
    };
    entries
        .iter()
        .map(|alias| {
            let fields = alias.value.as_map().and_then(|fields| {
                fields
                    .iter()
                    .map(|field| Some((field.key.clone(), field.value.as_text()?.to_owned())))
                    .collect::<Option<Vec<_>>>()
            });
            fields.map(|fields| (alias.key.clone(), fields)).ok_or_else(|| {
                let reason = format!("alias `{}` has to be a map from rule to field", alias.key);
                fault(alias.line, reason)
            })
        })
        .collect()
}

fn generate(section: &Node) -> Result<bool, Fault> {
    let Some(node) = section.get("generate").filter(|node| !node.is_null()) else {
        return Ok(false);
    };
    node.as_scalar()
        .and_then(Scalar::as_bool)
        .ok_or_else(|| fault(node.line, "`generate` has to be `true` or `false`"))
}
