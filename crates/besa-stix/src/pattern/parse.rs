//! Tokens → tree: recursive descent with a depth cap, one function a rule of the grammar.

use super::ast::*;
use super::lexer::{KEYWORDS, Lexer, Token};

/// Longest pattern read, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Deepest nesting of parentheses read.
pub const MAX_PATTERN_DEPTH: usize = 128;

/// Why a text is no STIX pattern, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {message}")]
pub struct PatternError {
    /// Byte offset into the pattern's text.
    pub position: usize,
    /// What was found and what would be right.
    pub message: String,
}

impl Pattern {
    /// Reads a pattern: syntax (OASIS grammar for 2.1), constants (section 9.2) and the rule that an
    /// expression has at most one qualifier of a kind (section 9.5.1).
    ///
    /// What a pattern says beyond that (regular expressions, hash lengths, types that cannot meet)
    /// is looked at by [`Pattern::check`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            let message =
                format!("the pattern has {} bytes, at most {MAX_PATTERN_BYTES} are read", text.len());
            return Err(PatternError { position: MAX_PATTERN_BYTES, message });
        }
        let mut parser = Parser::new(text)?;
        let root = parser.followed_by()?;
        match parser.token {
            Token::End => Ok(Self { root }),
            _ => Err(parser.unexpected("the end, a qualifier, AND, OR or FOLLOWEDBY")),
        }
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, PatternError> {
        let mut lexer = Lexer::new(text);
        let (token, at) = lexer.next()?;
        Ok(Self { lexer, token, at, depth: 0 })
    }

    fn followed_by(&mut self) -> Result<ObservationExpr, PatternError> {
        let mut parts = vec![self.or()?];
        while self.take_word("FOLLOWEDBY")? {
            parts.push(self.or()?);
        }
        Ok(flatten(parts, ObservationExpr::FollowedBy, |part| match part {
            ObservationExpr::FollowedBy(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    fn or(&mut self) -> Result<ObservationExpr, PatternError> {
        let mut parts = vec![self.and()?];
        while self.take_word("OR")? {
            parts.push(self.and()?);
        }
        Ok(flatten(parts, ObservationExpr::Or, |part| match part {
            ObservationExpr::Or(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    fn and(&mut self) -> Result<ObservationExpr, PatternError> {
        let mut parts = vec![self.qualified()?];
        while self.take_word("AND")? {
            parts.push(self.qualified()?);
        }
        Ok(flatten(parts, ObservationExpr::And, |part| match part {
            ObservationExpr::And(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    fn qualified(&mut self) -> Result<ObservationExpr, PatternError> {
        let mut expr = self.observation()?;
        let mut seen = Vec::new();
        while let Token::Word(word @ ("WITHIN" | "REPEATS" | "START")) = self.token {
            if seen.contains(&word) {
                let message = format!(
                    "a second `{word}` on one expression (section 9.5.1); put parentheses around the first"
                );
                return Err(self.error(message));
            }
            seen.push(word);
            self.advance()?;
            let qualifier = self.qualifier(word)?;
            expr = ObservationExpr::Qualified(Box::new(expr), qualifier);
        }
        Ok(expr)
    }

    fn observation(&mut self) -> Result<ObservationExpr, PatternError> {
        if self.take_sign("[")? {
            let comparison = self.comparison_or()?;
            self.expect_sign("]")?;
            return Ok(ObservationExpr::Comparison(comparison));
        }
        if !self.take_sign("(")? {
            return Err(self.unexpected("`[` or `(`"));
        }
        self.enter()?;
        let inner = self.followed_by()?;
        self.depth -= 1;
        self.expect_sign(")")?;
        Ok(inner)
    }

    fn qualifier(&mut self, word: &str) -> Result<Qualifier, PatternError> {
        match word {
            "WITHIN" => {
                let seconds = match self.token {
                    Token::Integer(seconds) => seconds as f64,
                    Token::Float(seconds) => seconds,
                    _ => return Err(self.unexpected("a number of seconds")),
                };
                if seconds <= 0.0 {
                    return Err(self.error("the window must be longer than 0 seconds"));
                }
                self.advance()?;
                self.expect_word("SECONDS")?;
                Ok(Qualifier::Within { seconds })
            }
            "REPEATS" => {
                let Token::Integer(times) = self.token else {
                    return Err(self.unexpected("an integer"));
                };
                let Some(times) = u64::try_from(times).ok().filter(|times| *times > 0) else {
                    return Err(self.error("an expression repeats at least 1 time"));
                };
                self.advance()?;
                self.expect_word("TIMES")?;
                Ok(Qualifier::Repeats { times })
            }
            _ => {
                let start = self.instant()?;
                self.expect_word("STOP")?;
                Ok(Qualifier::StartStop { start, stop: self.instant()? })
            }
        }
    }

    fn instant(&mut self) -> Result<crate::time::Instant, PatternError> {
        let Token::Timestamp(instant) = self.token else {
            return Err(self.unexpected("a timestamp, for example t'2024-01-01T00:00:00Z'"));
        };
        self.advance()?;
        Ok(instant)
    }

    fn comparison_or(&mut self) -> Result<ComparisonExpr, PatternError> {
        let mut parts = vec![self.comparison_and()?];
        while self.take_word("OR")? {
            parts.push(self.comparison_and()?);
        }
        Ok(flatten(parts, ComparisonExpr::Or, |part| match part {
            ComparisonExpr::Or(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    fn comparison_and(&mut self) -> Result<ComparisonExpr, PatternError> {
        let mut parts = vec![self.property_test()?];
        while self.take_word("AND")? {
            parts.push(self.property_test()?);
        }
        Ok(flatten(parts, ComparisonExpr::And, |part| match part {
            ComparisonExpr::And(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    fn property_test(&mut self) -> Result<ComparisonExpr, PatternError> {
        if self.take_sign("(")? {
            self.enter()?;
            let inner = self.comparison_or()?;
            self.depth -= 1;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        if self.take_word("EXISTS")? {
            let path = self.object_path()?;
            return Ok(ComparisonExpr::Test(Comparison {
                path,
                negated: false,
                op: Op::Exists,
                value: Operand::None,
            }));
        }
        let path = self.object_path()?;
        let negated = self.take_word("NOT")?;
        let op = self.operator()?;
        let value = self.operand(op)?;
        Ok(ComparisonExpr::Test(Comparison { path, negated, op, value }))
    }

    fn operator(&mut self) -> Result<Op, PatternError> {
        let op = match self.token {
            Token::Sign("=" | "==") => Op::Eq,
            Token::Sign("!=" | "<>") => Op::NotEq,
            Token::Sign("<") => Op::Lt,
            Token::Sign("<=") => Op::Lte,
            Token::Sign(">") => Op::Gt,
            Token::Sign(">=") => Op::Gte,
            Token::Word("IN") => Op::In,
            Token::Word("LIKE") => Op::Like,
            Token::Word("MATCHES") => Op::Matches,
            Token::Word("ISSUBSET") => Op::IsSubset,
            Token::Word("ISSUPERSET") => Op::IsSuperset,
            _ => return Err(self.unexpected("a comparison operator")),
        };
        self.advance()?;
        Ok(op)
    }

    fn operand(&mut self, op: Op) -> Result<Operand, PatternError> {
        match op {
            Op::In => self.set().map(Operand::Set),
            Op::Like | Op::Matches | Op::IsSubset | Op::IsSuperset => match self.token {
                Token::String(_) => self.constant().map(Operand::One),
                _ => Err(self.unexpected("a string in single quotes")),
            },
            Op::Lt | Op::Lte | Op::Gt | Op::Gte if matches!(self.token, Token::Word("true" | "false")) => {
                Err(self.error("booleans have no order; use `=` or `!=`"))
            }
            _ => self.constant().map(Operand::One),
        }
    }

    fn set(&mut self) -> Result<Vec<Constant>, PatternError> {
        self.expect_sign("(")?;
        let mut constants = Vec::new();
        if self.take_sign(")")? {
            return Ok(constants);
        }
        loop {
            constants.push(self.constant()?);
            if !self.take_sign(",")? {
                self.expect_sign(")")?;
                return Ok(constants);
            }
        }
    }

    fn constant(&mut self) -> Result<Constant, PatternError> {
        let constant = match &mut self.token {
            Token::String(text) => Constant::String(std::mem::take(text)),
            Token::Integer(number) => Constant::Integer(*number),
            Token::Float(number) => Constant::Float(*number),
            Token::Word("true") => Constant::Boolean(true),
            Token::Word("false") => Constant::Boolean(false),
            Token::Binary(bytes) => Constant::Binary(std::mem::take(bytes)),
            Token::Hex(bytes) => Constant::Hex(std::mem::take(bytes)),
            Token::Timestamp(instant) => Constant::Timestamp(*instant),
            _ => return Err(self.unexpected("a constant")),
        };
        self.advance()?;
        Ok(constant)
    }

    fn object_path(&mut self) -> Result<ObjectPath, PatternError> {
        let object_type = match self.token {
            Token::Word(word) if !KEYWORDS.contains(&word) => word.to_owned(),
            _ => return Err(self.unexpected("an object path, for example file:name")),
        };
        self.advance()?;
        self.expect_sign(":")?;
        let mut steps = vec![self.property()?];
        loop {
            if self.take_sign(".")? {
                steps.push(self.property()?);
            } else if self.take_sign("[")? {
                steps.push(self.index()?);
                self.expect_sign("]")?;
            } else {
                return Ok(ObjectPath { object_type, steps });
            }
        }
    }

    fn property(&mut self) -> Result<Step, PatternError> {
        let name = match &mut self.token {
            Token::String(name) => std::mem::take(name),
            Token::Word(word) if word.contains('-') => {
                let message = format!("quote the property: '{word}' (section 9.7)");
                return Err(self.error(message));
            }
            Token::Word(word) if !KEYWORDS.contains(word) => (*word).to_owned(),
            _ => return Err(self.unexpected("a property name")),
        };
        self.advance()?;
        Ok(Step::Property(name))
    }

    fn index(&mut self) -> Result<Step, PatternError> {
        let step = match self.token {
            Token::Sign("*") => Step::AnyIndex,
            Token::Integer(index) => match u64::try_from(index) {
                Ok(index) => Step::Index(index),
                Err(_) => return Err(self.error("a list index counts from 0 (section 9.7.2)")),
            },
            _ => return Err(self.unexpected("a list index or `*`")),
        };
        self.advance()?;
        Ok(step)
    }

    fn advance(&mut self) -> Result<(), PatternError> {
        (self.token, self.at) = self.lexer.next()?;
        Ok(())
    }

    fn take_word(&mut self, word: &str) -> Result<bool, PatternError> {
        let found = matches!(self.token, Token::Word(found) if found == word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn take_sign(&mut self, sign: &str) -> Result<bool, PatternError> {
        let found = matches!(self.token, Token::Sign(found) if found == sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect_word(&mut self, word: &str) -> Result<(), PatternError> {
        if self.take_word(word)? { Ok(()) } else { Err(self.unexpected(&format!("`{word}`"))) }
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), PatternError> {
        if self.take_sign(sign)? { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn enter(&mut self) -> Result<(), PatternError> {
        self.depth += 1;
        if self.depth > MAX_PATTERN_DEPTH {
            return Err(self.error(format!("parentheses nest deeper than {MAX_PATTERN_DEPTH}")));
        }
        Ok(())
    }

    fn error(&self, message: impl Into<String>) -> PatternError {
        PatternError { position: self.at, message: message.into() }
    }

    fn unexpected(&self, wanted: &str) -> PatternError {
        let found = match &self.token {
            Token::Word(word) => format!("`{}`", word.chars().take(40).collect::<String>()),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::String(_) => "a string".to_owned(),
            Token::Integer(number) => format!("`{number}`"),
            Token::Float(number) => format!("`{number}`"),
            Token::Binary(_) => "a binary constant".to_owned(),
            Token::Hex(_) => "a hex constant".to_owned(),
            Token::Timestamp(_) => "a timestamp".to_owned(),
            Token::End => "the end of the pattern".to_owned(),
        };
        let hint = match self.token {
            Token::Word(word)
                if KEYWORDS.contains(&word.to_ascii_uppercase().as_str()) && !KEYWORDS.contains(&word) =>
            {
                "; keywords are written in upper case"
            }
            _ => "",
        };
        self.error(format!("found {found}, expected {wanted}{hint}"))
    }
}

/// Makes one node of a chain; operands that are chains of the same operator are taken in flat.
/// This keeps the meaning: all the operators are associative, FOLLOWEDBY too (a ≤ b, a and b ≤ c).
fn flatten<T>(mut parts: Vec<T>, node: fn(Vec<T>) -> T, open: fn(T) -> Result<Vec<T>, T>) -> T {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            let mut flat = Vec::with_capacity(parts.len() + 1);
            for part in parts.into_iter().chain(last) {
                match open(part) {
                    Ok(inner) => flat.extend(inner),
                    Err(part) => flat.push(part),
                }
            }
            node(flat)
        }
    }
}
