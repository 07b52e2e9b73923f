//! The smallest question a rule asks: one test of one field.
//!
//! Rules share most of their tests (29,602 distinct ones in 2,856 rules of SigmaHQ for Windows),
//! so each distinct (field, test) is a leaf with a number, answered once per event.

use std::net::IpAddr;
use std::sync::Arc;

use besa_event::{EventTime, FieldId, Value};
use besa_sigma::{CompareOp, FieldRefKind, Test, TextPattern, TimeOp, TimeUnit};
use ipnet::IpNet;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::text::{Glob, fold};

/// A larger automaton is refused.
const REGEX_NFA_BYTES_MAX: usize = 64 << 20;

/// Position of a leaf in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LeafId(pub(crate) u32);

impl LeafId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One test of one field; `field` is `None` for a keyword, which looks at every value.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) field: Option<FieldId>,
    pub(crate) kind: LeafKind,
}

/// What the test is.
#[derive(Clone, Debug)]
pub(crate) enum LeafKind {
    /// The whole value is this text, folded unless `cased`.
    Exact { text: Arc<[u8]>, cased: bool },
    /// The value holds, starts or ends with this text, folded unless `cased`.
    Part { text: Arc<[u8]>, at: PartAt, cased: bool },
    /// Any other text with wildcards.
    Glob { glob: Arc<Glob>, cased: bool },
    /// Any value but null.
    AnyValue,
    /// A regular expression found in the value.
    Regex { regex: Arc<Regex>, source: Arc<RegexSource> },
    /// An address in a network.
    Cidr(IpNet),
    /// A number.
    Compare { op: CompareOp, number: f64 },
    /// A part of a time.
    Time { unit: TimeUnit, op: TimeOp, value: i64 },
    /// Absent, or null.
    Null,
    /// Present.
    Exists,
    /// Compared with another field.
    FieldRef { other: FieldId, how: FieldRefKind, cased: bool },
}

/// Where in the value a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PartAt {
    Anywhere,
    Start,
    End,
}

/// A regular expression as the rule wrote it; equal sources share one automaton.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RegexSource {
    pub(crate) pattern: String,
    pub(crate) case_insensitive: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
}

impl RegexSource {
    pub(crate) fn syntax(&self) -> syntax::Config {
        syntax::Config::new()
            .case_insensitive(self.case_insensitive)
            .multi_line(self.multi_line)
            .dot_matches_new_line(self.dot_all)
            .utf8(false)
    }

    /// Compiles it. besa-sigma has already refused what is invalid or too large.
    pub(crate) fn compile(&self) -> Result<Regex, String> {
        let config = Regex::config()
            .utf8_empty(false)
            .nfa_size_limit(Some(REGEX_NFA_BYTES_MAX))
            .hybrid_cache_capacity(1 << 20);
        Regex::builder()
            .configure(config)
            .syntax(self.syntax())
            .build(&self.pattern)
            .map_err(|error| error.to_string())
    }
}

/// Key under which equal leaves are found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LeafKey {
    Text(TextPattern, bool),
    Regex(RegexSource),
    Cidr(IpNet),
    Compare(CompareOp, u64),
    Time(TimeUnit, TimeOp, i64),
    Null,
    Exists,
    FieldRef(FieldId, FieldRefKind, bool),
}

impl LeafKey {
    /// The key of a test that is a leaf (not a list). `field` gives ids to field names.
    pub(crate) fn of(test: &Test, field: &mut dyn FnMut(&str) -> FieldId) -> Option<Self> {
        Some(match test {
            Test::Any(_) | Test::All(_) => return None,
            Test::Text { pattern, cased } => Self::Text(pattern.clone(), *cased),
            Test::Regex { source, case_insensitive, multi_line, dot_all } => Self::Regex(RegexSource {
                pattern: source.clone(),
                case_insensitive: *case_insensitive,
                multi_line: *multi_line,
                dot_all: *dot_all,
            }),
            Test::Cidr(network) => Self::Cidr(*network),
            Test::Compare { op, number } => Self::Compare(*op, number.to_bits()),
            Test::Time { unit, op, value } => Self::Time(*unit, *op, *value),
            Test::Null => Self::Null,
            Test::Exists(_) => Self::Exists,
            Test::FieldRef { field: other, how, cased } => Self::FieldRef(field(other), *how, *cased),
        })
    }

    /// The leaf's test.
    pub(crate) fn compile(&self) -> Result<LeafKind, String> {
        Ok(match self {
            Self::Text(pattern, cased) => text_kind(pattern, *cased),
            Self::Regex(source) => {
                LeafKind::Regex { regex: Arc::new(source.compile()?), source: Arc::new(source.clone()) }
            }
            Self::Cidr(network) => LeafKind::Cidr(*network),
            Self::Compare(op, bits) => LeafKind::Compare { op: *op, number: f64::from_bits(*bits) },
            Self::Time(unit, op, value) => LeafKind::Time { unit: *unit, op: *op, value: *value },
            Self::Null => LeafKind::Null,
            Self::Exists => LeafKind::Exists,
            Self::FieldRef(other, how, cased) => {
                LeafKind::FieldRef { other: *other, how: *how, cased: *cased }
            }
        })
    }
}

fn text_kind(pattern: &TextPattern, cased: bool) -> LeafKind {
    use besa_sigma::TextPart::{AnyMany, Literal};
    let bytes = |text: &str| -> Arc<[u8]> {
        if cased { text.as_bytes().into() } else { fold(text.as_bytes()).into() }
    };
    let part = |text: &str, at| LeafKind::Part { text: bytes(text), at, cased };
    match pattern.parts.as_slice() {
        [] => LeafKind::Exact { text: bytes(""), cased },
        [Literal(text)] => LeafKind::Exact { text: bytes(text), cased },
        [AnyMany] => LeafKind::AnyValue,
        [AnyMany, Literal(text), AnyMany] => part(text, PartAt::Anywhere),
        [Literal(text), AnyMany] => part(text, PartAt::Start),
        [AnyMany, Literal(text)] => part(text, PartAt::End),
        _ => LeafKind::Glob { glob: Arc::new(Glob::new(pattern, cased)), cased },
    }
}

impl LeafKind {
    /// Whether a value decides it; the others look at presence or at another field.
    pub(crate) fn looks_at_value(&self) -> bool {
        !matches!(self, Self::Null | Self::Exists | Self::FieldRef { .. })
    }

    /// Whether one value passes. `folded` is the lower-case form of `text`. Only for kinds that
    /// look at the value.
    pub(crate) fn holds(&self, text: &[u8], folded: &[u8]) -> bool {
        let pick = |cased: bool| if cased { text } else { folded };
        match self {
            Self::Exact { text: wanted, cased } => pick(*cased) == &**wanted,
            Self::Part { text: wanted, at, cased } => part_holds(pick(*cased), wanted, *at),
            Self::Glob { glob, cased } => glob.matches(pick(*cased)),
            Self::AnyValue => true,
            Self::Regex { regex, .. } => regex.is_match(text),
            Self::Cidr(network) => parse_address(text).is_some_and(|address| in_network(network, address)),
            Self::Compare { op, number } => {
                parse_number(text).is_some_and(|value| compare(value, *op, *number))
            }
            Self::Time { unit, op, value } => {
                parse_time(text).is_some_and(|time| time_holds(time, *unit, *op, *value))
            }
            Self::Null | Self::Exists | Self::FieldRef { .. } => false,
        }
    }

    /// Whether a number passes; only for comparisons.
    pub(crate) fn holds_number(&self, value: f64) -> bool {
        matches!(self, Self::Compare { op, number } if compare(value, *op, *number))
    }
}

pub(crate) fn part_holds(value: &[u8], wanted: &[u8], at: PartAt) -> bool {
    match at {
        PartAt::Anywhere => memchr::memmem::find(value, wanted).is_some(),
        PartAt::Start => value.starts_with(wanted),
        PartAt::End => value.ends_with(wanted),
    }
}

/// How two fields stand to each other (`fieldref`); numbers compare as their text.
pub(crate) fn field_ref_holds(value: Value<'_>, other: Value<'_>, how: FieldRefKind, cased: bool) -> bool {
    let (mut value, mut other) = (value.text(), other.text());
    if !cased {
        value = fold(&value).into();
        other = fold(&other).into();
    }
    match how {
        FieldRefKind::Equals => value == other,
        FieldRefKind::StartsWith => value.starts_with(&other),
        FieldRefKind::EndsWith => value.ends_with(&other),
        FieldRefKind::Contains => memchr::memmem::find(&value, &other).is_some(),
    }
}

/// An address in any spelling; brackets and an IPv6 zone are taken off.
pub(crate) fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let text = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse().ok()
}

/// Whether an address lies in a network; an IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`, as
/// Windows logs it) lies in IPv4 networks too.
pub(crate) fn in_network(network: &IpNet, address: IpAddr) -> bool {
    match (network, address) {
        (IpNet::V4(network), IpAddr::V6(address)) => {
            address.to_ipv4_mapped().is_some_and(|address| network.contains(&address))
        }
        _ => network.contains(&address),
    }
}

/// A decimal number; words that Rust reads as numbers (`inf`, `nan`) are not.
pub(crate) fn parse_number(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    let numeric = text.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
    if !numeric || !text.iter().any(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn compare(value: f64, op: CompareOp, number: f64) -> bool {
    match op {
        CompareOp::Lt => value < number,
        CompareOp::Lte => value <= number,
        CompareOp::Gt => value > number,
        CompareOp::Gte => value >= number,
    }
}

pub(crate) fn parse_time(text: &[u8]) -> Option<EventTime> {
    EventTime::parse_iso(text).or_else(|| EventTime::parse_unix(text))
}

fn time_holds(time: EventTime, unit: TimeUnit, op: TimeOp, value: i64) -> bool {
    let civil = time.at.civil();
    let part = match unit {
        TimeUnit::Minute => i64::from(civil.minute),
        TimeUnit::Hour => i64::from(civil.hour),
        TimeUnit::Day => i64::from(civil.day),
        TimeUnit::Week => i64::from(civil.iso_week()),
        TimeUnit::Month => i64::from(civil.month),
        TimeUnit::Year => civil.year,
    };
    match op {
        TimeOp::Equal => part == value,
        TimeOp::Compare(CompareOp::Lt) => part < value,
        TimeOp::Compare(CompareOp::Lte) => part <= value,
        TimeOp::Compare(CompareOp::Gt) => part > value,
        TimeOp::Compare(CompareOp::Gte) => part >= value,
    }
}
