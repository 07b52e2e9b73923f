//! Do two patterns mean the same? By a normal form, after the semantics of python-stix2.
//!
//! Inside `[ … ]` and outside of it alike, a pattern becomes a choice (OR) of alternatives:
//! 1. AND, and outside FOLLOWEDBY, are distributed over OR;
//! 2. an alternative that asks for more than another one is dropped (absorption: `A OR (A AND B)` is
//!    `A`), as is an AND inside `[ … ]` of tests of different object types, which no object satisfies
//!    (section 9.5);
//! 3. what commutes is sorted; inside `[ … ]` equal tests are one. Outside, `[A] AND [A]` stays: it
//!    wants two observations (section 9.5.2).
//!
//! Values that are written in several ways become one: addresses and networks without host bits, IPv6
//! shortened, registry keys and value names in lower case, the members of IN sorted. By the letter of
//! section 9.6.2 `=` compares code points, so this is what patterns are *meant* to say; evaluation
//! does not use it.
//!
//! Equal normal forms mean equivalent patterns. The reverse does not hold: no arithmetic is done on
//! operators (`a > 1` implies `a > 0`), regular expressions or time windows.
//!
//! Limit: [`ALTERNATIVES_MAX`], since distribution may grow exponentially.

use super::ast::*;
use super::net::Net;

/// Most alternatives of one choice.
pub const ALTERNATIVES_MAX: usize = 1_024;

/// Most tests in all alternatives of one `[ … ]` together.
const TESTS_MAX: usize = 65_536;

/// A pattern with more than [`ALTERNATIVES_MAX`] alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern has more than {ALTERNATIVES_MAX} alternatives once it is spelt out")]
pub struct TooManyAlternatives;

impl Pattern {
    /// The normal form: equal for patterns that mean the same as far as this module can tell.
    pub fn normal_form(&self) -> Result<Self, TooManyAlternatives> {
        Ok(Self { root: observation(&self.root)? })
    }

    /// Whether two patterns have one normal form.
    pub fn is_equivalent(&self, other: &Self) -> Result<bool, TooManyAlternatives> {
        // As text: the order of equal sort keys cannot differ, and floats compare.
        Ok(self.normal_form()?.to_string() == other.normal_form()?.to_string())
    }
}

fn observation(expr: &ObservationExpr) -> Result<ObservationExpr, TooManyAlternatives> {
    let mut found = alternatives(expr)?;
    sort(&mut found);
    found.dedup_by_key(|one| one.to_string());
    let kept = absorb(found, implies);
    Ok(joined(kept, ObservationExpr::Or))
}

/// The alternatives of an expression, each without OR but below qualifiers.
fn alternatives(expr: &ObservationExpr) -> Result<Vec<ObservationExpr>, TooManyAlternatives> {
    match expr {
        ObservationExpr::Comparison(leaf) => Ok(vec![ObservationExpr::Comparison(comparison(leaf)?)]),
        ObservationExpr::Qualified(inner, qualifier) => {
            Ok(vec![ObservationExpr::Qualified(Box::new(observation(inner)?), qualifier.clone())])
        }
        ObservationExpr::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(alternatives(part)?);
                bounded(all.len())?;
            }
            Ok(all)
        }
        ObservationExpr::And(parts) => products(parts, |chosen| {
            let mut flat = Vec::new();
            for part in chosen {
                match part {
                    ObservationExpr::And(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            sort(&mut flat);
            ObservationExpr::And(flat)
        }),
        ObservationExpr::FollowedBy(parts) => products(parts, |chosen| {
            let mut flat = Vec::new();
            for part in chosen {
                match part {
                    ObservationExpr::FollowedBy(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            ObservationExpr::FollowedBy(flat)
        }),
    }
}

/// One alternative of each part, in every combination.
fn products(
    parts: &[ObservationExpr],
    join: impl Fn(Vec<ObservationExpr>) -> ObservationExpr,
) -> Result<Vec<ObservationExpr>, TooManyAlternatives> {
    let mut chosen: Vec<Vec<ObservationExpr>> = vec![Vec::new()];
    for part in parts {
        let of_part = alternatives(part)?;
        bounded(chosen.len().saturating_mul(of_part.len()))?;
        let longer = |before: &Vec<ObservationExpr>| {
            let before = before.clone();
            of_part.iter().map(move |one| before.iter().chain([one]).cloned().collect()).collect::<Vec<_>>()
        };
        chosen = chosen.iter().flat_map(longer).collect();
    }
    Ok(chosen.into_iter().map(join).collect())
}

/// A pattern has a megabyte; so many alternatives of so many tests each may not become gigabytes.
fn sized(count: usize, tests: usize) -> Result<(), TooManyAlternatives> {
    if count > 1 && count.saturating_mul(tests) > TESTS_MAX { Err(TooManyAlternatives) } else { Ok(()) }
}

fn bounded(count: usize) -> Result<(), TooManyAlternatives> {
    if count > ALTERNATIVES_MAX { Err(TooManyAlternatives) } else { Ok(()) }
}

fn sort(parts: &mut [ObservationExpr]) {
    parts.sort_by_cached_key(ToString::to_string);
}

/// Drops each alternative that implies another one. They are all different.
fn absorb<T>(found: Vec<T>, implies: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let needed: Vec<bool> = (0..found.len())
        .map(|at| {
            let one = found.get(at);
            let mut others = found.iter().enumerate().filter(|(other, _)| *other != at);
            !others.any(|(_, other)| one.is_some_and(|one| implies(one, other)))
        })
        .collect();
    found.into_iter().zip(needed).filter_map(|(one, needed)| needed.then_some(one)).collect()
}

/// Whether whatever satisfies `one` satisfies `other`; false where that cannot be told.
fn implies(one: &ObservationExpr, other: &ObservationExpr) -> bool {
    if one == other {
        return true;
    }
    match (one, other) {
        (ObservationExpr::FollowedBy(parts), ObservationExpr::FollowedBy(wanted))
            if is_subsequence(wanted, parts) =>
        {
            true
        }
        (ObservationExpr::And(parts) | ObservationExpr::FollowedBy(parts), ObservationExpr::And(wanted))
            if is_subset(wanted, parts) =>
        {
            true
        }
        (ObservationExpr::And(parts) | ObservationExpr::FollowedBy(parts), _) => {
            parts.iter().any(|part| implies(part, other))
        }
        _ => false,
    }
}

fn is_subsequence(wanted: &[ObservationExpr], parts: &[ObservationExpr]) -> bool {
    let mut rest = parts.iter();
    wanted.iter().all(|one| rest.any(|part| part == one))
}

/// Each wanted part has one of its own.
fn is_subset(wanted: &[ObservationExpr], parts: &[ObservationExpr]) -> bool {
    let mut free: Vec<&ObservationExpr> = parts.iter().collect();
    wanted.iter().all(|one| match free.iter().position(|part| *part == one) {
        Some(at) => {
            free.swap_remove(at);
            true
        }
        None => false,
    })
}

/// A sorted set of tests that all hold of one object.
type Tests = Vec<(String, Comparison)>;

fn comparison(expr: &ComparisonExpr) -> Result<ComparisonExpr, TooManyAlternatives> {
    let mut found = choices(expr)?;
    found.retain(|tests| {
        let mut types = tests.iter().map(|(_, test)| test.path.object_type.as_str());
        let first = types.next();
        types.all(|object_type| Some(object_type) == first)
    });
    let key = |tests: &Tests| tests.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
    found.sort_by_cached_key(key);
    found.dedup_by_key(|tests| key(tests));
    let has = |tests: &Tests, wanted: &str| tests.iter().any(|(text, _)| text == wanted);
    let kept = absorb(found, |one, other| other.iter().all(|(text, _)| has(one, text)));
    let and = |tests: Tests| {
        let tests = tests.into_iter().map(|(_, test)| ComparisonExpr::Test(test)).collect();
        joined(tests, ComparisonExpr::And)
    };
    let kept: Vec<ComparisonExpr> = kept.into_iter().map(and).collect();
    Ok(if kept.is_empty() { never() } else { joined(kept, ComparisonExpr::Or) })
}

fn choices(expr: &ComparisonExpr) -> Result<Vec<Tests>, TooManyAlternatives> {
    match expr {
        ComparisonExpr::Test(test) => {
            let test = usual(test);
            Ok(vec![vec![(test.to_string(), test)]])
        }
        ComparisonExpr::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(choices(part)?);
                bounded(all.len())?;
            }
            Ok(all)
        }
        ComparisonExpr::And(parts) => {
            let mut chosen: Vec<Tests> = vec![Vec::new()];
            for part in parts {
                let of_part = choices(part)?;
                let longest = |all: &[Tests]| all.iter().map(Vec::len).max().unwrap_or(0);
                let count = chosen.len().saturating_mul(of_part.len());
                bounded(count)?;
                sized(count, longest(&chosen) + longest(&of_part))?;
                let longer = |before: &Tests| {
                    let before = before.clone();
                    let with = move |more: &Tests| {
                        let mut tests: Tests = before.iter().chain(more).cloned().collect();
                        tests.sort_by(|one, other| one.0.cmp(&other.0));
                        tests.dedup_by(|one, other| one.0 == other.0);
                        tests
                    };
                    of_part.iter().map(with).collect::<Vec<_>>()
                };
                chosen = chosen.iter().flat_map(longer).collect();
            }
            Ok(chosen)
        }
    }
}

fn joined<T>(mut parts: Vec<T>, join: impl Fn(Vec<T>) -> T) -> T {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}

/// What no object satisfies.
fn never() -> ComparisonExpr {
    let path =
        ObjectPath { object_type: "artifact".to_owned(), steps: vec![Step::Property("id".to_owned())] };
    ComparisonExpr::Test(Comparison { path, negated: false, op: Op::In, value: Operand::Set(Vec::new()) })
}

/// A test with its values in their usual spelling.
fn usual(test: &Comparison) -> Comparison {
    let mut test = test.clone();
    let path = &test.path;
    match &mut test.value {
        Operand::One(constant) if !matches!(test.op, Op::Like | Op::Matches) => respell(path, constant),
        Operand::Set(constants) => {
            constants.iter_mut().for_each(|constant| respell(path, constant));
            constants.sort_by_cached_key(ToString::to_string);
            constants.dedup_by_key(|constant| constant.to_string());
        }
        Operand::One(_) | Operand::None => {}
    }
    test
}

fn respell(path: &ObjectPath, constant: &mut Constant) {
    let Constant::String(text) = constant else { return };
    let steps: Vec<&str> = path
        .steps
        .iter()
        .map(|step| match step {
            Step::Property(name) => name.as_str(),
            Step::Index(_) | Step::AnyIndex => "[]",
        })
        .collect();
    match (path.object_type.as_str(), steps.as_slice()) {
        ("ipv4-addr" | "ipv6-addr", ["value"]) => {
            if let Some(net) = Net::parse(text).filter(|net| net.is_v6() == (path.object_type == "ipv6-addr"))
            {
                *text = net.to_string();
            }
        }
        ("windows-registry-key", ["key"] | ["values", "[]", "name"]) => *text = text.to_lowercase(),
        _ => {}
    }
}
