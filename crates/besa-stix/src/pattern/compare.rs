//! One comparison expression against one observation (sections 9.6, 9.7).
//!
//! Three-level truth, in this order:
//! 1. A path that leads to nothing makes its comparison false, whatever the operator, also under
//!    NOT (section 9.6).
//! 2. Operands of incompatible types are false, for `!=` true (9.6.1).
//! 3. NOT turns the result of 2 around.
//!
//! A path with `[*]`, or one that reaches several values, is true if any value is (9.7.2). All
//! comparisons of an expression start from the same object (9.5).

use std::borrow::Cow;
use std::cmp::Ordering;

use fancy_regex::Regex;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::ast::*;
use super::evaluate::EvaluateError;
use super::net::Net;
use super::pcre;
use crate::encoding::{decode_base64, decode_hex, latin1};
use crate::time::Instant;

/// A value found at the end of an object path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text; that of `*_bin` and `*_hex` properties is decoded by the comparison.
    String(&'a str),
    /// An integer of any JSON size.
    Integer(i128),
    /// A number with a fraction or exponent.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list or dictionary: it exists, and compares with nothing.
    Composite,
    /// JSON `null`, which STIX forbids: it does not exist, and compares with nothing.
    Null,
}

/// What a pattern is tested on: the objects of one observation, however they are stored.
///
/// Both functions are "is there any": they stop and return true as soon as the callback does.
pub trait ObjectGraph {
    /// Offers the objects of a type, as numbers that mean something to the graph only.
    fn any_object(&self, object_type: &str, see: &mut dyn FnMut(usize) -> bool) -> bool;

    /// Offers every value that the steps lead to from an object: dictionary keys, list indexes
    /// (`[*]` all elements), and references, which are followed when a property step comes after.
    fn any_value(&self, object: usize, steps: &[Step], see: &mut dyn FnMut(Value<'_>) -> bool) -> bool;
}

/// A comparison expression ready for testing: expressions compiled, constants decoded.
#[derive(Clone, Debug)]
pub struct CompiledComparison {
    expr: Node,
    types: Vec<String>,
}

#[derive(Clone, Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Test(Box<Test>),
}

#[derive(Clone, Debug)]
struct Test {
    path: ObjectPath,
    octets: Octets,
    negated: bool,
    kind: Kind,
}

/// How a property writes octets, told by the end of its name (section 9.6.4).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Octets {
    None,
    Base64,
    Hex,
}

#[derive(Clone, Debug)]
enum Kind {
    Compare(Op, Constant),
    In(Vec<Constant>),
    Like {
        text: Vec<char>,
        octets: Option<Vec<u8>>,
    },
    Matches(Regex),
    Subset(Net),
    Superset(Net),
    Exists,
    /// The constant can be met by no value.
    Never,
}

impl CompiledComparison {
    /// Compiles; fails on an invalid regular expression and on an IN set of mixed types (9.6.1).
    pub fn new(expr: &ComparisonExpr) -> Result<Self, EvaluateError> {
        let mut types: Vec<String> = Vec::new();
        for test in expr.comparisons() {
            if !types.contains(&test.path.object_type) {
                types.push(test.path.object_type.clone());
            }
        }
        Ok(Self { expr: compile(expr)?, types })
    }

    /// The object types its paths start from, each once.
    pub fn object_types(&self) -> &[String] {
        &self.types
    }

    /// Whether one object of the observation satisfies the expression.
    pub fn matches(&self, graph: &dyn ObjectGraph) -> Result<bool, EvaluateError> {
        let mut error = None;
        let mut found = false;
        for object_type in &self.types {
            found = graph.any_object(object_type, &mut |object| match holds(
                &self.expr,
                graph,
                object_type,
                object,
            ) {
                Ok(found) => found,
                Err(failure) => {
                    error = Some(failure);
                    true
                }
            });
            if found {
                break;
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok(found),
        }
    }
}

fn holds(
    node: &Node,
    graph: &dyn ObjectGraph,
    object_type: &str,
    object: usize,
) -> Result<bool, EvaluateError> {
    match node {
        Node::Test(test) => test_object(test, graph, object_type, object),
        Node::And(parts) => {
            for part in parts {
                if !holds(part, graph, object_type, object)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Node::Or(parts) => {
            for part in parts {
                if holds(part, graph, object_type, object)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

fn test_object(
    test: &Test,
    graph: &dyn ObjectGraph,
    object_type: &str,
    object: usize,
) -> Result<bool, EvaluateError> {
    if test.path.object_type != object_type {
        return Ok(false);
    }
    let mut error = None;
    let found = graph.any_value(object, &test.path.steps, &mut |value| match test.value(value) {
        Ok(found) => found,
        Err(failure) => {
            error = Some(failure);
            true
        }
    });
    match error {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

/// A value with its octets decoded.
enum Typed<'a> {
    Text(&'a str),
    Octets(Vec<u8>),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Other,
}

impl Test {
    fn value(&self, value: Value<'_>) -> Result<bool, EvaluateError> {
        if matches!(self.kind, Kind::Exists) {
            return Ok(value != Value::Null);
        }
        match self.decode(value) {
            Some(typed) => Ok(self.kind_holds(&typed)? != self.negated),
            // Octets that cannot be decoded are data that cannot be obtained: false (9.6).
            None => Ok(false),
        }
    }

    fn decode<'a>(&self, value: Value<'a>) -> Option<Typed<'a>> {
        Some(match (value, self.octets) {
            (Value::String(text), Octets::None) => Typed::Text(text),
            (Value::String(text), Octets::Base64) => Typed::Octets(decode_base64(text)?),
            (Value::String(text), Octets::Hex) => Typed::Octets(decode_hex(text)?),
            (Value::Integer(number), _) => Typed::Integer(number),
            (Value::Float(number), _) => Typed::Float(number),
            (Value::Boolean(value), _) => Typed::Boolean(value),
            (Value::Composite | Value::Null, _) => Typed::Other,
        })
    }

    fn kind_holds(&self, value: &Typed<'_>) -> Result<bool, EvaluateError> {
        Ok(match (&self.kind, value) {
            (Kind::Compare(op, constant), _) => compare(value, *op, constant),
            (Kind::In(constants), _) => constants.iter().any(|constant| equal(value, constant)),
            (Kind::Like { text, .. }, Typed::Text(value)) => {
                let value: Vec<char> = nfc(value).chars().collect();
                wildcard(&value, text, |pattern| match pattern {
                    '%' => Wildcard::Run,
                    '_' => Wildcard::One,
                    letter => Wildcard::Literal(letter),
                })
            }
            (Kind::Like { octets: Some(octets), .. }, Typed::Octets(value)) => {
                wildcard(value, octets, |pattern| match pattern {
                    b'%' => Wildcard::Run,
                    b'_' => Wildcard::One,
                    octet => Wildcard::Literal(octet),
                })
            }
            (Kind::Matches(regex), Typed::Text(value)) => {
                self.searched(regex.is_match(nfc(value).as_ref()))?
            }
            (Kind::Matches(regex), Typed::Octets(value)) => {
                self.searched(regex.is_match(value.as_slice()))?
            }
            (Kind::Subset(net), Typed::Text(value)) => {
                Net::parse(value).is_some_and(|value| value.is_subset(*net))
            }
            (Kind::Superset(net), Typed::Text(value)) => {
                Net::parse(value).is_some_and(|value| net.is_subset(value))
            }
            _ => false,
        })
    }

    fn searched(&self, result: fancy_regex::Result<bool>) -> Result<bool, EvaluateError> {
        result.map_err(|_| EvaluateError::RegexTooExpensive { path: self.path.to_string() })
    }
}

fn compile(expr: &ComparisonExpr) -> Result<Node, EvaluateError> {
    match expr {
        ComparisonExpr::And(parts) => Ok(Node::And(parts.iter().map(compile).collect::<Result<_, _>>()?)),
        ComparisonExpr::Or(parts) => Ok(Node::Or(parts.iter().map(compile).collect::<Result<_, _>>()?)),
        ComparisonExpr::Test(test) => {
            let octets = octets_of(&test.path);
            let kind = compile_kind(test, octets)?;
            Ok(Node::Test(Box::new(Test { path: test.path.clone(), octets, negated: test.negated, kind })))
        }
    }
}

fn compile_kind(test: &Comparison, octets: Octets) -> Result<Kind, EvaluateError> {
    let kind = match (test.op, &test.value) {
        (Op::In, Operand::Set(constants)) => {
            if !is_homogeneous(constants) {
                return Err(EvaluateError::MixedSet { path: test.path.to_string() });
            }
            Kind::In(constants.clone())
        }
        (Op::Like, Operand::One(Constant::String(text))) => {
            let text: String = text.nfc().collect();
            Kind::Like { octets: latin1(&text), text: text.chars().collect() }
        }
        (Op::Matches, Operand::One(Constant::String(text))) => {
            compile_regex(text, octets).map_err(|reason| EvaluateError::InvalidRegex {
                path: test.path.to_string(),
                regex: text.chars().take(200).collect(),
                reason,
            })?
        }
        (Op::IsSubset, Operand::One(Constant::String(text))) => {
            Net::parse(text).map_or(Kind::Never, Kind::Subset)
        }
        (Op::IsSuperset, Operand::One(Constant::String(text))) => {
            Net::parse(text).map_or(Kind::Never, Kind::Superset)
        }
        (Op::Exists, _) => Kind::Exists,
        (op, Operand::One(constant)) => Kind::Compare(op, constant.clone()),
        (_, Operand::Set(_) | Operand::None) => Kind::Never,
    };
    Ok(kind)
}

fn compile_regex(text: &str, octets: Octets) -> Result<Kind, String> {
    if octets == Octets::None {
        let text: String = text.nfc().collect();
        return pcre::compile_text(&text).map(Kind::Matches);
    }
    Ok(pcre::compile_bytes(text)?.map_or(Kind::Never, Kind::Matches))
}

/// By the last property on the path; indexes after it do not change what it holds.
fn octets_of(path: &ObjectPath) -> Octets {
    let last = path.steps.iter().rev().find_map(|step| match step {
        Step::Property(name) => Some(name.as_str()),
        Step::Index(_) | Step::AnyIndex => None,
    });
    match last {
        Some(name) if name.ends_with("_bin") => Octets::Base64,
        Some(name) if name.ends_with("_hex") => Octets::Hex,
        _ => Octets::None,
    }
}

/// Whether all constants are of one data type; integers and floats are both numbers, binary and
/// hex both octets.
pub(super) fn is_homogeneous(constants: &[Constant]) -> bool {
    let class = |constant: &Constant| match constant {
        Constant::String(_) => 0,
        Constant::Integer(_) | Constant::Float(_) => 1,
        Constant::Boolean(_) => 2,
        Constant::Binary(_) | Constant::Hex(_) => 3,
        Constant::Timestamp(_) => 4,
    };
    let mut classes = constants.iter().map(class);
    classes.next().is_none_or(|first| classes.all(|other| other == first))
}

fn compare(value: &Typed<'_>, op: Op, constant: &Constant) -> bool {
    match op {
        Op::Eq => equal(value, constant),
        Op::NotEq => !equal(value, constant),
        _ => order(value, constant).is_some_and(|order| match op {
            Op::Lt => order.is_lt(),
            Op::Lte => order.is_le(),
            Op::Gt => order.is_gt(),
            Op::Gte => order.is_ge(),
            _ => false,
        }),
    }
}

fn equal(value: &Typed<'_>, constant: &Constant) -> bool {
    match (value, constant) {
        (Typed::Boolean(value), Constant::Boolean(constant)) => value == constant,
        _ => order(value, constant) == Some(Ordering::Equal),
    }
}

/// How the value compares with the constant; `None` if their types are incompatible.
fn order(value: &Typed<'_>, constant: &Constant) -> Option<Ordering> {
    match (value, constant) {
        // UTF-8 bytes sort as code points do (9.6.2).
        (Typed::Text(value), Constant::String(constant)) => Some(value.as_bytes().cmp(constant.as_bytes())),
        (Typed::Text(value), Constant::Binary(constant) | Constant::Hex(constant)) => {
            Some(latin1(value)?.as_slice().cmp(constant))
        }
        (Typed::Text(value), Constant::Timestamp(constant)) => {
            Some(Instant::parse(value).ok()?.cmp(constant))
        }
        (Typed::Octets(value), Constant::Binary(constant) | Constant::Hex(constant)) => {
            Some(value.cmp(constant))
        }
        (Typed::Octets(value), Constant::String(constant)) => Some(value.cmp(&latin1(constant)?)),
        (Typed::Integer(value), Constant::Integer(constant)) => Some(value.cmp(&i128::from(*constant))),
        (Typed::Integer(value), Constant::Float(constant)) => order_integer_float(*value, *constant),
        (Typed::Float(value), Constant::Integer(constant)) => {
            order_integer_float(i128::from(*constant), *value).map(Ordering::reverse)
        }
        (Typed::Float(value), Constant::Float(constant)) => value.partial_cmp(constant),
        _ => None,
    }
}

/// Exact, also where the integer has no float of its own ("the full value must be compared", 9.2).
fn order_integer_float(integer: i128, float: f64) -> Option<Ordering> {
    const LIMIT: f64 = 1e38; // Below i128::MAX, far above any 64-bit integer.
    if float.is_nan() {
        return None;
    }
    if float.abs() >= LIMIT {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = float.floor();
    let order = integer.cmp(&(whole as i128));
    Some(if order.is_eq() && float > whole { Ordering::Less } else { order })
}

fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

enum Wildcard<T> {
    Run,
    One,
    Literal(T),
}

/// Whole-string match. On a mismatch only the last run is widened, which is enough because any
/// earlier one has already matched as little as it could.
fn wildcard<T: Copy + PartialEq>(value: &[T], pattern: &[T], read: fn(T) -> Wildcard<T>) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut last_run: Option<(usize, usize)> = None;
    while let Some(letter) = value.get(at) {
        match pattern.get(place).map(|wanted| read(*wanted)) {
            Some(Wildcard::Run) => {
                last_run = Some((place + 1, at));
                place += 1;
                continue;
            }
            Some(Wildcard::One) => {}
            Some(Wildcard::Literal(wanted)) if wanted == *letter => {}
            _ => match &mut last_run {
                Some((after, start)) => {
                    *start += 1;
                    (place, at) = (*after, *start);
                    continue;
                }
                None => return false,
            },
        }
        at += 1;
        place += 1;
    }
    pattern.iter().skip(place).all(|wanted| matches!(read(*wanted), Wildcard::Run))
}
