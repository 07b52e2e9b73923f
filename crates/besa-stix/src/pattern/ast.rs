//! The syntax tree of a STIX 2.1 pattern (section 9).
//!
//! ```text
//! ([file:name = 'a' AND file:size > 9] FOLLOWEDBY [url:value LIKE '%x']) WITHIN 5 SECONDS
//!  ╰──────── one ComparisonExpr ─────╯             ╰── another one ───╯
//!  ╰────────────────────────── ObservationExpr ─────────────────────╯ ╰─ Qualifier ─╯
//! ```
//!
//! The tree holds what the pattern means, not how it was spelt: `==` and `=` give the same tree,
//! superfluous parentheses vanish, chains of one operator are flat lists. Printing
//! ([`Display`](std::fmt::Display)) and parsing again gives an equal tree.

use crate::time::Instant;

/// A whole pattern. Build it with [`Pattern::parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// The outermost observation expression.
    pub root: ObservationExpr,
}

/// What has to be seen, over one or several observations (section 9.5.2, 9.5.3).
#[derive(Clone, Debug, PartialEq)]
pub enum ObservationExpr {
    /// `[ … ]`: one observation satisfies the comparison expression.
    Comparison(ComparisonExpr),
    /// All operands, each by observations of its own. At least two operands, none an `And`.
    And(Vec<ObservationExpr>),
    /// Any one operand. At least two operands, none an `Or`.
    Or(Vec<ObservationExpr>),
    /// Each operand no earlier than the one before it, by observations of its own.
    /// At least two operands, none a `FollowedBy`.
    FollowedBy(Vec<ObservationExpr>),
    /// An expression with one qualifier; several qualifiers nest, the leftmost innermost.
    Qualified(Box<ObservationExpr>, Qualifier),
}

/// A restriction of an observation expression (section 9.5.1).
#[derive(Clone, Debug, PartialEq)]
pub enum Qualifier {
    /// `WITHIN x SECONDS`: all observations used lie in a window of that length, end excluded.
    Within {
        /// Finite and above zero.
        seconds: f64,
    },
    /// `REPEATS n TIMES`: the expression holds n times with different observations.
    Repeats {
        /// At least 1.
        times: u64,
    },
    /// `START t'…' STOP t'…'`: all observations used lie in `start <= t < stop`.
    StartStop {
        /// Inclusive.
        start: Instant,
        /// Exclusive. May be before `start`: such a pattern is legal and matches nothing.
        stop: Instant,
    },
}

/// What stands between `[` and `]` (section 9.6): a test of one observation.
#[derive(Clone, Debug, PartialEq)]
pub enum ComparisonExpr {
    /// All operands, starting from the same object. At least two, none an `And`.
    And(Vec<ComparisonExpr>),
    /// Any operand. At least two, none an `Or`.
    Or(Vec<ComparisonExpr>),
    /// One comparison.
    Test(Comparison),
}

/// `path [NOT] operator constant`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The property compared.
    pub path: ObjectPath,
    /// `NOT` stood before the operator. An absent path is false all the same.
    pub negated: bool,
    /// The operator.
    pub op: Op,
    /// The right-hand side.
    pub value: Operand,
}

/// Comparison operators (section 9.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Eq,
    /// `!=`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `IN ( … )`
    In,
    /// `LIKE '…'`: whole string, `%` any run, `_` one character.
    Like,
    /// `MATCHES '…'`: a PCRE searched for anywhere in the value.
    Matches,
    /// `ISSUBSET '…'`: the address or network lies in the constant's network.
    IsSubset,
    /// `ISSUPERSET '…'`: the network holds the constant's network.
    IsSuperset,
    /// `EXISTS path`: the path leads to a value.
    Exists,
}

/// The right-hand side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// One constant: every operator but `IN` and `EXISTS`.
    One(Constant),
    /// The set of `IN`. May be empty (matches nothing).
    Set(Vec<Constant>),
    /// Nothing: `EXISTS`.
    None,
}

/// `object-type:step.step[0]` (section 9.7).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectPath {
    /// The type of the object the path starts from, e.g. `network-traffic`.
    pub object_type: String,
    /// At least one, the first a [`Step::Property`].
    pub steps: Vec<Step>,
}

/// One step of an object path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A property or dictionary key, unquoted: `SHA-256` for `'SHA-256'`.
    Property(String),
    /// `[n]`, counted from 0.
    Index(u64),
    /// `[*]`: any element.
    AnyIndex,
}

/// A constant (section 9.2).
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// `'…'`, escapes resolved.
    String(String),
    /// A 64-bit integer.
    Integer(i64),
    /// A finite float.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// `b'…'`, decoded from Base64.
    Binary(Vec<u8>),
    /// `h'…'`, decoded.
    Hex(Vec<u8>),
    /// `t'…'`.
    Timestamp(Instant),
}

impl Pattern {
    /// The comparison expressions (`[ … ]`) from left to right. Their place in this list is the
    /// leaf number by which [`super::combine`] speaks of them.
    pub fn comparison_exprs(&self) -> Vec<&ComparisonExpr> {
        let mut leaves = Vec::new();
        collect_leaves(&self.root, &mut leaves);
        leaves
    }
}

impl ComparisonExpr {
    /// The single comparisons from left to right.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        let mut tests = Vec::new();
        collect_tests(self, &mut tests);
        tests
    }
}

fn collect_leaves<'a>(expr: &'a ObservationExpr, leaves: &mut Vec<&'a ComparisonExpr>) {
    match expr {
        ObservationExpr::Comparison(leaf) => leaves.push(leaf),
        ObservationExpr::And(parts) | ObservationExpr::Or(parts) | ObservationExpr::FollowedBy(parts) => {
            parts.iter().for_each(|part| collect_leaves(part, leaves));
        }
        ObservationExpr::Qualified(inner, _) => collect_leaves(inner, leaves),
    }
}

fn collect_tests<'a>(expr: &'a ComparisonExpr, tests: &mut Vec<&'a Comparison>) {
    match expr {
        ComparisonExpr::Test(test) => tests.push(test),
        ComparisonExpr::And(parts) | ComparisonExpr::Or(parts) => {
            parts.iter().for_each(|part| collect_tests(part, tests));
        }
    }
}
