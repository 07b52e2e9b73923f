//! A STIX pattern: what it would search for, and what it would cost.
//!
//! A value inside an AND with another test is still judged: whoever blocks by values takes them
//! one by one. Regular expressions and LIKE are judged by their literal text.

use besa_stix::pattern::{
    Comparison, Constant, ObservationExpr, Op, Operand, Pattern, Qualifier, Severity, Step,
};

use super::assets::Assets;
use super::values::{self, Searched};
use super::{Check, Limits, Reason, clip};

pub(super) fn check(text: &str, assets: &Assets, limits: &Limits, reasons: &mut Vec<Reason>) {
    let mut say = |check, why: String| reasons.push(Reason { check, why });
    if text.len() > limits.pattern_bytes {
        return say(Check::Costly, format!("the pattern has {} bytes", text.len()));
    }
    let pattern = match Pattern::parse(text) {
        Ok(pattern) => pattern,
        Err(error) => return say(Check::Invalid, clip(&error.to_string())),
    };
    let leaves = pattern.comparison_exprs();
    let tests: Vec<&Comparison> = leaves.iter().flat_map(|leaf| leaf.comparisons()).collect();
    let regexes = tests.iter().filter(|test| test.op == Op::Matches).count();
    for (name, count, most) in [
        ("observation expressions", leaves.len(), limits.observations),
        ("comparisons", tests.len(), limits.comparisons),
        ("regular expressions", regexes, limits.regexes),
    ] {
        if count > most {
            say(Check::Costly, format!("the pattern has {count} {name}, at most {most} are taken"));
        }
    }
    let repeats = most_repeats(&pattern.root);
    if repeats > limits.repeats {
        say(Check::Costly, format!("the pattern repeats {repeats} times"));
    }
    for finding in pattern.check().into_iter().filter(|finding| finding.severity == Severity::Error) {
        say(Check::Invalid, clip(&finding.message));
    }
    for test in tests {
        test_values(test, assets, reasons);
    }
}

/// The product of nested REPEATS, which is what it comes to.
fn most_repeats(expr: &ObservationExpr) -> u64 {
    match expr {
        ObservationExpr::Comparison(_) => 1,
        ObservationExpr::And(parts) | ObservationExpr::Or(parts) | ObservationExpr::FollowedBy(parts) => {
            parts.iter().map(most_repeats).fold(0, u64::saturating_add)
        }
        ObservationExpr::Qualified(inner, Qualifier::Repeats { times }) => {
            most_repeats(inner).saturating_mul(*times)
        }
        ObservationExpr::Qualified(inner, _) => most_repeats(inner),
    }
}

fn test_values(test: &Comparison, assets: &Assets, reasons: &mut Vec<Reason>) {
    let constants: &[Constant] = match &test.value {
        Operand::One(constant) => std::slice::from_ref(constant),
        Operand::Set(constants) => constants,
        Operand::None => &[],
    };
    let unspecific = test.negated || matches!(test.op, Op::NotEq | Op::Exists);
    if unspecific {
        let why = format!("`{}` holds for nearly everything", clip(&test.path.to_string()));
        reasons.push(Reason { check: Check::Unspecific, why });
        return;
    }
    // References lead to other objects: `dst_ref.value` is an address too.
    let mut names = test.path.steps.iter().rev().filter_map(|step| match step {
        Step::Property(name) => Some(name.as_str()),
        _ => None,
    });
    let last = names.next().unwrap_or_default();
    let property = if last == "hashes" || names.any(|name| name == "hashes") { "hashes" } else { last };
    for text in constants.iter().filter_map(|constant| match constant {
        Constant::String(text) => Some(text),
        _ => None,
    }) {
        match test.op {
            Op::Like | Op::Matches => literal(test, text, assets, reasons),
            _ => values::check(&Searched::new(&test.path.object_type, property, text), assets, reasons),
        }
    }
}

/// What a wildcard or regular expression demands for sure: letters and digits, roughly.
fn literal(test: &Comparison, text: &str, assets: &Assets, reasons: &mut Vec<Reason>) {
    let plain: String = text.chars().filter(|letter| letter.is_alphanumeric()).collect();
    if plain.chars().count() < 4 {
        let why = format!("`{}` matches nearly everything", clip(text));
        reasons.push(Reason { check: Check::Unspecific, why });
        return;
    }
    let bare = text.trim_matches(|mark| matches!(mark, '%' | '^' | '$' | '*')).replace("\\.", ".");
    let bare = bare.trim_start_matches(".*").trim_end_matches(".*");
    let searched = Searched::new(&test.path.object_type, "value", bare);
    if matches!(test.path.object_type.as_str(), "domain-name" | "url") {
        values::check(&Searched { kind: values::SearchKind::Domain, ..searched }, assets, reasons);
    }
}
