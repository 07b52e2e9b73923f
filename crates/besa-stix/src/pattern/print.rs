//! Tree → text, the inverse of parsing.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::*;
use super::lexer::KEYWORDS;
use crate::encoding::{encode_base64, encode_hex};

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Display for ObservationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comparison(comparison) => write!(f, "[{comparison}]"),
            Self::And(parts) => join(f, parts, " AND ", |part| part.rank() < 3),
            Self::Or(parts) => join(f, parts, " OR ", |part| part.rank() < 2),
            Self::FollowedBy(parts) => join(f, parts, " FOLLOWEDBY ", |part| part.rank() < 1),
            Self::Qualified(inner, qualifier) => {
                let parentheses = inner.rank() < 3 || inner.has_outer_qualifier(qualifier);
                write_part(f, inner, parentheses)?;
                write!(f, " {qualifier}")
            }
        }
    }
}

impl ObservationExpr {
    /// Binding strength: FOLLOWEDBY 0, OR 1, AND 2, brackets and qualifiers 3.
    fn rank(&self) -> u8 {
        match self {
            Self::FollowedBy(_) => 0,
            Self::Or(_) => 1,
            Self::And(_) => 2,
            Self::Comparison(_) | Self::Qualified(..) => 3,
        }
    }

    /// A chain of qualifiers may hold one of a kind; a second needs parentheses between.
    fn has_outer_qualifier(&self, wanted: &Qualifier) -> bool {
        let mut expr = self;
        let mut seen = vec![std::mem::discriminant(wanted)];
        while let Self::Qualified(inner, qualifier) = expr {
            let kind = std::mem::discriminant(qualifier);
            if kind == std::mem::discriminant(wanted) {
                return true;
            }
            if seen.contains(&kind) {
                return false;
            }
            seen.push(kind);
            expr = inner;
        }
        false
    }
}

impl Display for Qualifier {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within { seconds } => write!(f, "WITHIN {} SECONDS", float(*seconds)),
            Self::Repeats { times } => write!(f, "REPEATS {times} TIMES"),
            Self::StartStop { start, stop } => write!(f, "START t'{start}' STOP t'{stop}'"),
        }
    }
}

impl Display for ComparisonExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(test) => test.fmt(f),
            Self::And(parts) => join(f, parts, " AND ", |part| !matches!(part, Self::Test(_))),
            Self::Or(parts) => join(f, parts, " OR ", |part| matches!(part, Self::Or(_))),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "NOT " } else { "" };
        match &self.value {
            Operand::None => write!(f, "EXISTS {}", self.path),
            Operand::One(constant) => write!(f, "{} {not}{} {constant}", self.path, self.op),
            Operand::Set(constants) => {
                write!(f, "{} {not}{} (", self.path, self.op)?;
                join(f, constants, ", ", |_| false)?;
                f.write_char(')')
            }
        }
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::NotEq => "!=",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::In => "IN",
            Self::Like => "LIKE",
            Self::Matches => "MATCHES",
            Self::IsSubset => "ISSUBSET",
            Self::IsSuperset => "ISSUPERSET",
            Self::Exists => "EXISTS",
        })
    }
}

impl Display for ObjectPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.object_type)?;
        for (place, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::AnyIndex => f.write_str("[*]")?,
                Step::Property(name) => {
                    f.write_str(if place == 0 { "" } else { "." })?;
                    if is_plain(name) { f.write_str(name)? } else { quote(f, name)? }
                }
            }
        }
        Ok(())
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => quote(f, text),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => f.write_str(&float(*number)),
            Self::Boolean(value) => value.fmt(f),
            Self::Binary(bytes) => write!(f, "b'{}'", encode_base64(bytes)),
            Self::Hex(bytes) => write!(f, "h'{}'", encode_hex(bytes)),
            Self::Timestamp(instant) => write!(f, "t'{instant}'"),
        }
    }
}

fn join<T: Display>(f: &mut Formatter<'_>, parts: &[T], between: &str, wrap: fn(&T) -> bool) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        write_part(f, part, wrap(part))?;
    }
    Ok(())
}

fn write_part<T: Display>(f: &mut Formatter<'_>, part: &T, parentheses: bool) -> fmt::Result {
    if parentheses { write!(f, "({part})") } else { part.fmt(f) }
}

/// Without exponent, which the grammar does not know, and never looking like an integer.
fn float(number: f64) -> String {
    let text = number.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

fn is_plain(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !KEYWORDS.contains(&name)
}

fn quote(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('\'')?;
    for letter in text.chars() {
        if matches!(letter, '\'' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(letter)?;
    }
    f.write_char('\'')
}
