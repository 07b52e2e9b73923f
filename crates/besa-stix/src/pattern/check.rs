//! What a pattern says wrongly although it parses: the checker's second half.

use std::collections::BTreeSet;

use super::ast::*;
use super::compare::{CompiledComparison, is_homogeneous};
use super::evaluate::EvaluateError;
use super::net::Net;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The pattern is invalid.
    Error,
    /// The pattern is well-formed, and something in it can never match or is never evaluated.
    Warning,
}

/// One thing found by [`Pattern::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which part, what is wrong, and the section that says so.
    pub message: String,
}

impl Pattern {
    /// Looks for invalid regular expressions and hashes (errors) and for parts that cannot match
    /// (warnings). Empty: nothing to say.
    ///
    /// Two MUSTs of the text are warnings, since the OASIS grammar and its published patterns
    /// pass over them and nothing is ever matched wrongly: AND over different object types
    /// (section 9.5, cannot match) and IN over mixed types (9.6.1, evaluation refuses).
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for leaf in self.comparison_exprs() {
            possible_types(leaf, &mut findings);
            if let Err(error @ EvaluateError::InvalidRegex { .. }) = CompiledComparison::new(leaf) {
                findings.push(Finding { severity: Severity::Error, message: error.to_string() });
            }
            leaf.comparisons().into_iter().for_each(|test| check_test(test, &mut findings));
        }
        check_windows(&self.root, &mut findings);
        findings
    }
}

/// The object types an expression can be true for; an AND without any is reported.
fn possible_types(expr: &ComparisonExpr, findings: &mut Vec<Finding>) -> BTreeSet<String> {
    match expr {
        ComparisonExpr::Test(test) => BTreeSet::from([test.path.object_type.clone()]),
        ComparisonExpr::Or(parts) => parts.iter().flat_map(|part| possible_types(part, findings)).collect(),
        ComparisonExpr::And(parts) => {
            let mut sets: Vec<_> = parts.iter().map(|part| possible_types(part, findings)).collect();
            let mut common = sets.pop().unwrap_or_default();
            let reported = sets.iter().any(BTreeSet::is_empty) || common.is_empty();
            common.retain(|object_type| sets.iter().all(|set| set.contains(object_type)));
            if common.is_empty() && !reported {
                let text: String = expr.to_string().chars().take(120).collect();
                findings.push(warning(format!(
                    "no object has all the types of `{text}`, so it never matches (section 9.5); join different types with OR, or write [ … ] AND [ … ]"
                )));
            }
            common
        }
    }
}

fn check_test(test: &Comparison, findings: &mut Vec<Finding>) {
    if let Operand::Set(constants) = &test.value
        && !is_homogeneous(constants)
    {
        findings.push(warning(format!(
            "the IN set of `{}` mixes data types (section 9.6.1); matching refuses it, so split it",
            test.path
        )));
    }
    match (&test.value, test.op) {
        (Operand::One(Constant::String(text)), Op::IsSubset | Op::IsSuperset)
            if Net::parse(text).is_none() =>
        {
            findings.push(warning(format!(
                "`{text}` is no address or network, so `{}` never matches (section 9.6.1)",
                test.path
            )));
        }
        (Operand::One(constant), Op::Eq | Op::NotEq) => check_hash(test, constant, findings),
        (Operand::Set(constants), Op::In) => {
            constants.iter().for_each(|constant| check_hash(test, constant, findings));
        }
        _ => {}
    }
}

/// A hash compared for equality must be one: length and digits by its algorithm (section 10.7).
fn check_hash(test: &Comparison, constant: &Constant, findings: &mut Vec<Finding>) {
    let (Constant::String(text), [.., Step::Property(parent), Step::Property(algorithm)]) =
        (constant, test.path.steps.as_slice())
    else {
        return;
    };
    if parent != "hashes" {
        return;
    }
    let name: String = algorithm.chars().filter(|letter| !matches!(letter, '-' | '_')).collect();
    let digits = match name.to_ascii_uppercase().as_str() {
        "MD5" => 32,
        "SHA1" => 40,
        "SHA256" | "SHA3256" => 64,
        "SHA512" | "SHA3512" => 128,
        _ => return,
    };
    if text.len() != digits || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let message = format!("`{text}` is no {algorithm} hash, which has {digits} hexadecimal digits");
        findings.push(Finding { severity: Severity::Error, message });
    }
}

fn check_windows(expr: &ObservationExpr, findings: &mut Vec<Finding>) {
    match expr {
        ObservationExpr::Comparison(_) => {}
        ObservationExpr::And(parts) | ObservationExpr::Or(parts) | ObservationExpr::FollowedBy(parts) => {
            parts.iter().for_each(|part| check_windows(part, findings));
        }
        ObservationExpr::Qualified(inner, qualifier) => {
            if let Qualifier::StartStop { start, stop } = qualifier
                && start >= stop
            {
                findings.push(warning(format!(
                    "STOP {stop} is not after START {start}, so nothing lies between (section 9.5.1)"
                )));
            }
            check_windows(inner, findings);
        }
    }
}

fn warning(message: String) -> Finding {
    Finding { severity: Severity::Warning, message }
}
