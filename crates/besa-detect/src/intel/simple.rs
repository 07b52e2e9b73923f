//! Patterns that only list observable values, as plain indicators.

use besa_event::observable::{ObservableKind, normalise};
use besa_stix::pattern::{Comparison, ComparisonExpr, Constant, ObservationExpr, Op, Operand, Pattern, Step};

/// The values whose presence in one event satisfies the pattern, each with its kind; `None` when
/// the pattern says more than "one of these values".
///
/// Whatever event satisfies the pattern holds one of the values, as [`super::fields`] and the
/// scanner look for them.
pub(crate) fn values(pattern: &Pattern) -> Option<Vec<(ObservableKind, &str)>> {
    let mut out = Vec::new();
    of_observation(&pattern.root, &mut out)?;
    Some(out)
}

/// Normalised values of which every event that satisfies the expression holds at least one, as
/// few as can be told; `None` where values do not decide it.
pub(crate) fn required(expr: &ComparisonExpr) -> Option<Vec<(ObservableKind, Vec<u8>)>> {
    match expr {
        ComparisonExpr::Test(test) => {
            let mut values = Vec::new();
            of_test(test, &mut values)?;
            values.into_iter().map(|(kind, text)| key(kind, text)).collect()
        }
        ComparisonExpr::And(parts) => parts.iter().filter_map(required).min_by_key(Vec::len),
        ComparisonExpr::Or(parts) => {
            let all: Vec<_> = parts.iter().map(required).collect::<Option<_>>()?;
            Some(all.into_iter().flatten().collect())
        }
    }
}

fn key(kind: ObservableKind, text: &str) -> Option<(ObservableKind, Vec<u8>)> {
    let mut bytes = Vec::new();
    let kind = normalise(kind, text.as_bytes(), &mut bytes)?;
    Some((kind, bytes))
}

fn of_observation<'p>(expr: &'p ObservationExpr, out: &mut Vec<(ObservableKind, &'p str)>) -> Option<()> {
    match expr {
        ObservationExpr::Comparison(expr) => of_comparison(expr, out),
        ObservationExpr::Or(parts) => parts.iter().try_for_each(|part| of_observation(part, out)),
        ObservationExpr::And(_) | ObservationExpr::FollowedBy(_) | ObservationExpr::Qualified(..) => None,
    }
}

fn of_comparison<'p>(expr: &'p ComparisonExpr, out: &mut Vec<(ObservableKind, &'p str)>) -> Option<()> {
    match expr {
        ComparisonExpr::Or(parts) => parts.iter().try_for_each(|part| of_comparison(part, out)),
        ComparisonExpr::And(_) => None,
        ComparisonExpr::Test(test) => of_test(test, out),
    }
}

fn of_test<'p>(test: &'p Comparison, out: &mut Vec<(ObservableKind, &'p str)>) -> Option<()> {
    let kind = kind_of(test)?;
    let constants: &[Constant] = match (&test.op, &test.value) {
        _ if test.negated => return None,
        (Op::Eq, Operand::One(constant)) => std::slice::from_ref(constant),
        (Op::IsSubset, Operand::One(constant)) if kind == ObservableKind::Network => {
            std::slice::from_ref(constant)
        }
        (Op::In, Operand::Set(constants)) => constants,
        _ => return None,
    };
    for constant in constants {
        let Constant::String(text) = constant else { return None };
        if kind == ObservableKind::FileName && text.contains(['/', '\\']) {
            return None;
        }
        out.push((kind, text));
    }
    Some(())
}

fn kind_of(test: &Comparison) -> Option<ObservableKind> {
    let steps: Vec<&str> = test
        .path
        .steps
        .iter()
        .map(|step| match step {
            Step::Property(name) => Some(name.as_str()),
            Step::Index(_) | Step::AnyIndex => None,
        })
        .collect::<Option<_>>()?;
    Some(match (test.path.object_type.as_str(), steps.as_slice()) {
        ("ipv4-addr" | "ipv6-addr", ["value"]) => ObservableKind::Network,
        ("domain-name", ["value"]) => ObservableKind::Domain,
        ("url", ["value"]) => ObservableKind::Url,
        ("email-addr", ["value"]) => ObservableKind::Email,
        ("file", ["name"]) => ObservableKind::FileName,
        ("file", ["hashes", algorithm]) => hash_kind(algorithm)?,
        ("mutex", ["name"]) => ObservableKind::Mutex,
        ("windows-registry-key", ["key"]) => ObservableKind::RegistryKey,
        _ => return None,
    })
}

/// By the names of section 10.7 and the spellings that feeds use.
fn hash_kind(algorithm: &str) -> Option<ObservableKind> {
    let name: String = algorithm.chars().filter(|letter| !matches!(letter, '-' | '_')).collect();
    match name.to_ascii_uppercase().as_str() {
        "MD5" => Some(ObservableKind::Md5),
        "SHA1" => Some(ObservableKind::Sha1),
        "SHA256" => Some(ObservableKind::Sha256),
        "SHA512" => Some(ObservableKind::Sha512),
        _ => None,
    }
}
