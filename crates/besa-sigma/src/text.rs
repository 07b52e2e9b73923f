//! Sigma's text values: escapes, wildcards, placeholders, dashes
//! (rules specification, "Escape Character", "String Wildcard",
//! "Placeholders"; appendix modifiers, "String Modifiers").

use std::collections::BTreeMap;

use crate::limits::EXPANSIONS_MAX;
use crate::rule::{DASHES, TextPart, TextPattern};

/// Values for the placeholders of `|expand`: name without the percent signs →
/// values. A value is Sigma text: `*` and `?` in it are wildcards, a backslash
/// escapes them (inside `|re` a value is literal text instead).
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// Reads `*`, `?` and the escapes `\*`, `\?`, `\\`; any other backslash is one.
pub(crate) fn parse_pattern(text: &str) -> TextPattern {
    let mut pattern = TextPattern::default();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let wildcard = match c {
            '*' => TextPart::AnyMany,
            '?' => TextPart::AnyOne,
            '\\' => {
                let escaped = chars.next_if(|next| matches!(next, '*' | '?' | '\\'));
                literal.push(escaped.unwrap_or('\\'));
                continue;
            }
            c => {
                literal.push(c);
                continue;
            }
        };
        pattern.push_text(&literal);
        literal.clear();
        pattern.push(wildcard);
    }
    pattern.push_text(&literal);
    pattern
}

/// A value under `|expand`, cut at its placeholders.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// Text as written, its wildcard escapes still in it.
    Text(String),
    /// The name between the percent signs.
    Placeholder(String),
}

/// Cuts at `%name%`. `\%` is a literal percent sign; a lone one too.
pub(crate) fn cut_placeholders(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\\' {
            match after.chars().next() {
                Some('%') => piece.push('%'),
                Some(next) => piece.extend(['\\', next]),
                None => piece.push('\\'),
            }
            let escaped = after.chars().next().map_or(0, char::len_utf8);
            rest = after.get(escaped..).unwrap_or_default();
            continue;
        }
        match placeholder_name(c, after) {
            Some(name) => {
                if !piece.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut piece)));
                }
                pieces.push(Piece::Placeholder(name.to_owned()));
                rest = after.get(name.len() + 1..).unwrap_or_default();
            }
            None => {
                piece.push(c);
                rest = after;
            }
        }
    }
    if !piece.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(piece));
    }
    pieces
}

/// The name when `c` opens a placeholder. Names are short, so that a text full
/// of percent signs is not searched to its end again and again.
fn placeholder_name(c: char, after: &str) -> Option<&str> {
    const NAME_BYTES_MAX: usize = 256;
    if c != '%' {
        return None;
    }
    let end = after.bytes().take(NAME_BYTES_MAX).position(|byte| matches!(byte, b'%' | b'\\'))?;
    let name = after.get(..end)?;
    (!name.is_empty() && after.as_bytes().get(end) == Some(&b'%')).then_some(name)
}

/// Replaces placeholders: every combination of their values. `text` and
/// `value` turn a piece and a placeholder's value into `T`, `join` appends.
pub(crate) fn expand<T: Clone + Default>(
    pieces: &[Piece],
    placeholders: &Placeholders,
    text: impl Fn(&str) -> T,
    value: impl Fn(&str) -> T,
    join: impl Fn(&mut T, &T),
) -> Result<Vec<T>, ExpandError> {
    let mut out = vec![T::default()];
    for piece in pieces {
        let tails: Vec<T> = match piece {
            Piece::Text(piece) => vec![text(piece)],
            Piece::Placeholder(name) => match placeholders.get(name) {
                Some(values) if !values.is_empty() => values.iter().map(|member| value(member)).collect(),
                _ => return Err(ExpandError::NoValue(name.clone())),
            },
        };
        if out.len().saturating_mul(tails.len()) > EXPANSIONS_MAX {
            return Err(ExpandError::TooMany);
        }
        let mut longer = Vec::with_capacity(out.len() * tails.len());
        for head in &out {
            for tail in &tails {
                let mut joined = head.clone();
                join(&mut joined, tail);
                longer.push(joined);
            }
        }
        out = longer;
    }
    Ok(out)
}

/// Why placeholders could not be replaced.
#[derive(Debug, PartialEq)]
pub(crate) enum ExpandError {
    NoValue(String),
    TooMany,
}

/// Makes each dash that may start a Windows option a [`TextPart::Dash`]: the
/// ones pySigma permutes, `\B[-/–—―]\b` on each literal part. The dash inside
/// `-param-name` stays as it is.
pub(crate) fn windash(pattern: &TextPattern) -> TextPattern {
    let mut out = TextPattern::default();
    for part in &pattern.parts {
        match part {
            TextPart::Literal(text) => push_dashed(&mut out, text),
            other => out.push(other.clone()),
        }
    }
    out
}

fn push_dashed(out: &mut TextPattern, text: &str) {
    let mut literal = String::new();
    let mut after_word = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let before_word = chars.peek().is_some_and(|&next| is_word(next));
        if DASHES.contains(&c) && !after_word && before_word {
            out.push_text(&literal);
            literal.clear();
            out.push(TextPart::Dash);
        } else {
            literal.push(c);
        }
        after_word = is_word(c);
    }
    out.push_text(&literal);
}

/// `\w`.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Writes every combination of a pattern's dashes out, for encodings.
pub(crate) fn write_out_dashes(pattern: &TextPattern) -> Vec<TextPattern> {
    let mut out = vec![TextPattern::default()];
    for part in &pattern.parts {
        if *part != TextPart::Dash {
            for member in &mut out {
                member.push(part.clone());
            }
            continue;
        }
        out = out
            .iter()
            .flat_map(|head| {
                DASHES.map(|dash| {
                    let mut member = head.clone();
                    member.push_text(dash.encode_utf8(&mut [0; 4]));
                    member
                })
            })
            .collect();
    }
    out
}
