//! The condition's grammar (rules specification, "Condition"):
//!
//! ```text
//! or      = and { "or" and }              binds least
//! and     = not { "and" not }
//! not     = "not" not | primary
//! primary = "(" or ")" | ("1" | "any" | "all") "of" pattern | name
//! ```
//!
//! Operators are words, in either case; `android` is a name. `*` may stand
//! anywhere in a pattern and `them` is `*`. Names that start with `_` are left
//! out of `them` and of patterns, unless the pattern itself starts with `_`.
//! A pattern without a hit is a fault: the condition would silently change.

use crate::limits::{CONDITION_DEPTH_MAX, CONDITION_EXPANSION_MAX};
use crate::refusal::RefusalKind;
use crate::rule::{Condition, TemporalExpression};

/// A condition before its names are resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Name(String),
    /// `1 of pattern` (`all` is false) or `all of pattern`.
    Of {
        all: bool,
        pattern: String,
    },
}

/// Why a condition cannot be used.
pub(crate) type ConditionFault = (RefusalKind, String);

/// Reads a condition.
pub(crate) fn parse(text: &str) -> Result<Expr, ConditionFault> {
    let tokens = tokens(text);
    if let Some(fault) = aggregation(&tokens) {
        return Err(fault);
    }
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let expr = parser.or(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(token.unexpected("`and`, `or` or the end")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Token<'a> {
    text: &'a str,
    /// From 1, in characters.
    column: usize,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    fn is_operator(&self) -> bool {
        ["and", "or", "not", "of"].iter().any(|word| self.is(word))
    }

    fn unexpected(&self, wanted: &str) -> ConditionFault {
        (
            RefusalKind::Condition,
            format!("condition has `{}` at column {} where {wanted} should stand", self.text, self.column),
        )
    }
}

/// Words, and `(`, `)`, `|` by themselves.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut word: Option<(usize, usize)> = None;
    for (index, (offset, c)) in text.char_indices().enumerate() {
        let single = matches!(c, '(' | ')' | '|');
        if !single && !c.is_whitespace() {
            word.get_or_insert((offset, index + 1));
            continue;
        }
        if let Some((start, column)) = word.take() {
            out.extend(text.get(start..offset).map(|text| Token { text, column }));
        }
        if single {
            let end = offset + c.len_utf8();
            out.extend(text.get(offset..end).map(|text| Token { text, column: index + 1 }));
        }
    }
    if let Some((start, column)) = word {
        out.extend(text.get(start..).map(|text| Token { text, column }));
    }
    out
}

/// Sigma 1 wrote `| count() by x > 5` and `| near y` into conditions.
fn aggregation(tokens: &[Token<'_>]) -> Option<ConditionFault> {
    let at = tokens.iter().position(|token| token.text == "|")?;
    let what = tokens.get(at + 1).map_or("", |token| token.text);
    Some((
        RefusalKind::Aggregation,
        format!(
            "condition uses the aggregation `| {what}` of Sigma 1, which Sigma 2 does not have; \
             write a correlation rule that refers to this rule"
        ),
    ))
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(word));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Expr, ConditionFault> {
        let mut members = vec![self.and(depth)?];
        while self.take_word("or") {
            members.push(self.and(depth)?);
        }
        Ok(single_or(members, Expr::Any))
    }

    fn and(&mut self, depth: usize) -> Result<Expr, ConditionFault> {
        let mut members = vec![self.not(depth)?];
        while self.take_word("and") {
            members.push(self.not(depth)?);
        }
        Ok(single_or(members, Expr::All))
    }

    fn not(&mut self, depth: usize) -> Result<Expr, ConditionFault> {
        if depth > CONDITION_DEPTH_MAX {
            return Err((RefusalKind::Limit, format!("condition nests deeper than {CONDITION_DEPTH_MAX}")));
        }
        if self.take_word("not") {
            return Ok(Expr::Not(Box::new(self.not(depth + 1)?)));
        }
        self.primary(depth)
    }

    fn primary(&mut self, depth: usize) -> Result<Expr, ConditionFault> {
        const WANTED: &str = "the name of a search, `(`, `not` or `1 of`";
        let Some(token) = self.peek() else {
            return Err((RefusalKind::Condition, format!("condition ends where {WANTED} should stand")));
        };
        self.at += 1;
        match token.text {
            "(" => {
                let inner = self.or(depth + 1)?;
                match self.peek() {
                    Some(close) if close.text == ")" => {
                        self.at += 1;
                        Ok(inner)
                    }
                    Some(other) => Err(other.unexpected("`)`, `and` or `or`")),
                    None => Err((
                        RefusalKind::Condition,
                        format!("condition does not close the `(` at column {}", token.column),
                    )),
                }
            }
            ")" => Err(token.unexpected(WANTED)),
            _ if token.is_operator() => Err(token.unexpected(WANTED)),
            _ if self.peek().is_some_and(|next| next.is("of")) => self.of(token),
            name => Ok(Expr::Name(name.to_owned())),
        }
    }

    /// `quantifier of pattern`; the quantifier is read, `of` is next.
    fn of(&mut self, quantifier: Token<'a>) -> Result<Expr, ConditionFault> {
        self.at += 1;
        let all = quantifier.is("all");
        if !all && quantifier.text != "1" && !quantifier.is("any") {
            return Err((
                RefusalKind::Condition,
                format!("condition has `{} of`; only `1 of`, `any of` and `all of` exist", quantifier.text),
            ));
        }
        match self.peek() {
            Some(token) if !matches!(token.text, "(" | ")") && !token.is_operator() => {
                self.at += 1;
                Ok(Expr::Of { all, pattern: token.text.to_owned() })
            }
            Some(token) => Err(token.unexpected("`them` or a pattern such as `selection_*`")),
            None => Err((RefusalKind::Condition, format!("condition ends after `{} of`", quantifier.text))),
        }
    }
}

/// The one member, or all of them under `wrap`.
fn single_or<T>(mut members: Vec<T>, wrap: impl Fn(Vec<T>) -> T) -> T {
    match members.pop() {
        Some(only) if members.is_empty() => only,
        Some(last) => {
            members.push(last);
            wrap(members)
        }
        None => wrap(members),
    }
}

/// Resolves names against a rule's searches.
pub(crate) struct Names<'a> {
    names: &'a [String],
    looked_at: usize,
}

impl<'a> Names<'a> {
    pub(crate) fn new(names: &'a [String]) -> Self {
        Self { names, looked_at: 0 }
    }

    /// Several conditions are an OR.
    pub(crate) fn resolve_list(&mut self, exprs: &[Expr]) -> Result<Condition, ConditionFault> {
        let members = exprs.iter().map(|expr| self.resolve(expr)).collect::<Result<Vec<_>, _>>()?;
        Ok(single_or(members, Condition::Any))
    }

    fn resolve(&mut self, expr: &Expr) -> Result<Condition, ConditionFault> {
        Ok(match expr {
            Expr::All(members) => Condition::All(self.resolve_each(members)?),
            Expr::Any(members) => Condition::Any(self.resolve_each(members)?),
            Expr::Not(inner) => Condition::Not(Box::new(self.resolve(inner)?)),
            Expr::Name(name) => {
                self.spend()?;
                let index = self.names.iter().position(|known| known == name);
                let index = index.ok_or_else(|| {
                    let reason = format!(
                        "condition names `{name}`, which is no search of this rule (it has {})",
                        self.listing()
                    );
                    (RefusalKind::Condition, reason)
                })?;
                Condition::Search(index)
            }
            Expr::Of { all, pattern } => {
                let wrap = if *all { Condition::All } else { Condition::Any };
                single_or(self.hits(pattern)?, wrap)
            }
        })
    }

    fn resolve_each(&mut self, members: &[Expr]) -> Result<Vec<Condition>, ConditionFault> {
        members.iter().map(|member| self.resolve(member)).collect()
    }

    fn hits(&mut self, pattern: &str) -> Result<Vec<Condition>, ConditionFault> {
        self.spend()?;
        let glob = if pattern.eq_ignore_ascii_case("them") { "*" } else { pattern };
        let hits: Vec<Condition> = self
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| glob.starts_with('_') || !name.starts_with('_'))
            .filter(|(_, name)| glob_matches(glob, name))
            .map(|(index, _)| Condition::Search(index))
            .collect();
        if hits.is_empty() {
            return Err((
                RefusalKind::Condition,
                format!(
                    "condition has `of {pattern}`, but no search fits that (the rule has {})",
                    self.listing()
                ),
            ));
        }
        Ok(hits)
    }

    fn spend(&mut self) -> Result<(), ConditionFault> {
        self.looked_at = self.looked_at.saturating_add(self.names.len());
        if self.looked_at > CONDITION_EXPANSION_MAX {
            return Err((RefusalKind::Limit, "condition is too large when `of` is written out".to_owned()));
        }
        Ok(())
    }

    fn listing(&self) -> String {
        const SHOWN_MAX: usize = 12;
        let mut listing: Vec<String> =
            self.names.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
        if self.names.len() > SHOWN_MAX {
            listing.push("…".to_owned());
        }
        listing.join(", ")
    }
}

/// `*` is any run of characters; linear but for the last star's retries.
fn glob_matches(glob: &str, name: &str) -> bool {
    let mut rest = name;
    let mut pieces = glob.split('*');
    let Some(first) = pieces.next() else {
        return name.is_empty();
    };
    let Some(after) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after;
    let mut last: Option<&str> = None;
    for piece in pieces {
        if let Some(previous) = last.replace(piece) {
            let Some(found) = rest.find(previous) else {
                return false;
            };
            rest = rest.get(found + previous.len()..).unwrap_or_default();
        }
    }
    match last {
        None => rest.is_empty(),
        Some(last) => rest.ends_with(last),
    }
}

/// Resolves an extended temporal condition against a correlation's `rules`.
pub(crate) fn resolve_temporal(expr: &Expr, rules: &[String]) -> Result<TemporalExpression, ConditionFault> {
    let each = |members: &[Expr]| -> Result<Vec<_>, ConditionFault> {
        members.iter().map(|member| resolve_temporal(member, rules)).collect()
    };
    Ok(match expr {
        Expr::All(members) => TemporalExpression::All(each(members)?),
        Expr::Any(members) => TemporalExpression::Any(each(members)?),
        Expr::Not(inner) => TemporalExpression::Not(Box::new(resolve_temporal(inner, rules)?)),
        Expr::Name(name) => {
            let index = rules.iter().position(|rule| rule == name);
            TemporalExpression::Rule(index.ok_or_else(|| {
                let reason = format!("condition names `{name}`, which is not among its `rules`");
                (RefusalKind::Correlation, reason)
            })?)
        }
        Expr::Of { .. } => {
            return Err((
                RefusalKind::Correlation,
                "`of` cannot stand in a correlation's condition".to_owned(),
            ));
        }
    })
}

/// Every name in the order of first appearance.
pub(crate) fn names_of(expr: &Expr) -> Vec<String> {
    fn walk(expr: &Expr, seen: &mut std::collections::HashSet<String>, out: &mut Vec<String>) {
        match expr {
            Expr::All(members) | Expr::Any(members) => {
                for member in members {
                    walk(member, seen, out);
                }
            }
            Expr::Not(inner) => walk(inner, seen, out),
            Expr::Name(name) => {
                if seen.insert(name.clone()) {
                    out.push(name.clone());
                }
            }
            Expr::Of { .. } => {}
        }
    }
    let mut out = Vec::new();
    walk(expr, &mut std::collections::HashSet::new(), &mut out);
    out
}
