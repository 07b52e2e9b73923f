//! Text → tokens. The words and literals are those of the OASIS grammar `STIXPattern.g4` for 2.1.

use super::parse::PatternError;
use crate::encoding::{decode_base64, decode_hex};
use crate::time::Instant;

/// Words which the grammar keeps for itself: a property of that name has to be quoted.
pub(super) const KEYWORDS: [&str; 19] = [
    "AND",
    "OR",
    "NOT",
    "FOLLOWEDBY",
    "LIKE",
    "MATCHES",
    "ISSUPERSET",
    "ISSUBSET",
    "EXISTS",
    "LAST",
    "IN",
    "START",
    "STOP",
    "SECONDS",
    "true",
    "false",
    "WITHIN",
    "REPEATS",
    "TIMES",
];

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// Letters, digits, `_` and `-`: a keyword, an object type or a property.
    Word(&'a str),
    /// One of `[ ] ( ) : . , *` or a comparison operator.
    Sign(&'static str),
    String(String),
    Integer(i64),
    Float(f64),
    Binary(Vec<u8>),
    Hex(Vec<u8>),
    Timestamp(Instant),
    End,
}

const SIGNS: [&str; 16] =
    ["==", "!=", "<>", "<=", ">=", "=", "<", ">", "[", "]", "(", ")", ":", ".", ",", "*"];

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token and the byte at which it starts.
    pub(super) fn next(&mut self) -> Result<(Token<'a>, usize), PatternError> {
        self.skip_blank()?;
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, start));
        };
        let token = match first {
            '\'' => Token::String(self.string()?),
            'a'..='z' | 'A'..='Z' | '_' => self.word_or_literal()?,
            '0'..='9' | '-' => self.number()?,
            '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.number()?,
            '+' => return Err(self.error(start, "a number is written without `+`")),
            _ => self.sign()?,
        };
        Ok((token, start))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, position: usize, message: impl Into<String>) -> PatternError {
        PatternError { position, message: message.into() }
    }

    /// White space (section 9.4) and the grammar's comments.
    fn skip_blank(&mut self) -> Result<(), PatternError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(['\r', '\n']).unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                let end =
                    trimmed.find("*/").ok_or_else(|| self.error(self.at, "the comment is not closed"))?;
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn sign(&mut self) -> Result<Token<'a>, PatternError> {
        let rest = self.rest();
        match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => {
                let letter = rest.chars().next().unwrap_or_default();
                Err(self.error(self.at, format!("`{}` has no meaning here", letter.escape_debug())))
            }
        }
    }

    fn word_or_literal(&mut self) -> Result<Token<'a>, PatternError> {
        let start = self.at;
        let rest = self.rest();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(length);
        self.at += length;
        if !tail.starts_with('\'') || !matches!(word, "t" | "b" | "h") {
            return Ok(Token::Word(word));
        }
        let text = self.raw_literal()?;
        match word {
            "t" => Instant::parse(text)
                .map(Token::Timestamp)
                .map_err(|error| self.error(start, error.to_string())),
            "b" => decode_base64(text)
                .map(Token::Binary)
                .ok_or_else(|| self.error(start, "this is no Base64; write for example b'ABI='")),
            _ => decode_hex(text).map(Token::Hex).ok_or_else(|| {
                self.error(start, "this is no even number of hexadecimal digits; write for example h'ffc3'")
            }),
        }
    }

    /// What stands between the quotes after `t`, `b` or `h`, where nothing can be escaped.
    fn raw_literal(&mut self) -> Result<&'a str, PatternError> {
        let start = self.at;
        let inner = self.rest().get(1..).unwrap_or_default();
        let end = inner.find('\'').ok_or_else(|| self.error(start, "the closing `'` is missing"))?;
        self.at += end + 2;
        Ok(inner.get(..end).unwrap_or_default())
    }

    fn string(&mut self) -> Result<String, PatternError> {
        let start = self.at;
        let mut value = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '\'' => {
                    self.at += offset + 1;
                    return Ok(value);
                }
                '\\' => match letters.next() {
                    Some((_, escaped @ ('\'' | '\\'))) => value.push(escaped),
                    _ => {
                        let hint = "only `\\'` and `\\\\` may follow a backslash; double the backslash";
                        return Err(self.error(start + offset, hint));
                    }
                },
                _ => value.push(letter),
            }
        }
        Err(self.error(start, "the closing `'` is missing"))
    }

    /// `-?(0|[1-9][0-9]*)` or `-?[0-9]*\.[0-9]+`.
    fn number(&mut self) -> Result<Token<'a>, PatternError> {
        let start = self.at;
        let rest = self.rest();
        let unsigned = rest.strip_prefix('-').unwrap_or(rest);
        let whole = digits(unsigned);
        let fraction = unsigned.get(whole..).and_then(|tail| tail.strip_prefix('.')).map_or(0, digits);
        let length = rest.len() - unsigned.len() + whole + if fraction > 0 { fraction + 1 } else { 0 };
        let text = rest.get(..length).unwrap_or_default();
        self.at += length;
        if fraction > 0 {
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
            return value.map(Token::Float).ok_or_else(|| self.error(start, "the number is too large"));
        }
        if whole == 0 {
            return Err(self.error(start, "a number is missing after `-`"));
        }
        if whole > 1 && unsigned.starts_with('0') {
            return Err(self.error(start, "an integer has no leading zeros"));
        }
        text.parse().map(Token::Integer).map_err(|_| self.error(start, "the integer does not fit 64 bits"))
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}
