//! Regular expressions of `|re`.
//!
//! The specification's flavour is a subset of PCRE without lookaround or back
//! references (appendix modifiers, "Regular Expression"), so an engine with
//! linear time suffices. Where PCRE and `regex-syntax` read one spelling
//! differently, the expression is rewritten to keep PCRE's meaning:
//!
//! | written | PCRE | rewritten to |
//! |---|---|---|
//! | `[^[]` | `[` in a class is itself | `[^\[]` |
//! | `[a&&b]`, `[a~~b]`, `[a--b]` | no set operators | `\&`, `\~`, `\-` |
//! | `a{`, `{x}` | a brace that is no repetition is itself | `a\{` |
//! | `\Z` | end of the text | `\z` |
//! | `\_`, `\ `, `\é` | an escaped other character is itself | the character |
//!
//! One difference stays: `$` without `m` is the very end, not also before a
//! last line feed.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::limits::{REGEX_BYTES_MAX, REGEX_DEPTH_MAX, REGEX_SIZE_MAX};

/// The sub-modifiers `i`, `m` and `s`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) case_insensitive: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
}

/// The expression as the matcher will compile it, or why it cannot be one.
pub(crate) fn check(source: &str, flags: Flags) -> Result<String, String> {
    if source.len() > REGEX_BYTES_MAX {
        return Err(format!(
            "regular expression has `{}` bytes, at most {REGEX_BYTES_MAX} are allowed",
            source.len()
        ));
    }
    let rewritten = from_pcre(source);
    let hir = regex_syntax::ParserBuilder::new()
        .nest_limit(REGEX_DEPTH_MAX)
        .case_insensitive(flags.case_insensitive)
        .multi_line(flags.multi_line)
        .dot_matches_new_line(flags.dot_all)
        .build()
        .parse(&rewritten)
        .map_err(|error| format!("regular expression `{}` is invalid: {}", shorten(source), cause(&error)))?;
    if size(&hir) > REGEX_SIZE_MAX {
        return Err(format!(
            "regular expression `{}` repeats too much to be matched in bounded memory",
            shorten(source)
        ));
    }
    Ok(rewritten)
}

fn cause(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "not understood".to_owned(),
    }
}

fn shorten(source: &str) -> String {
    const CHARS_MAX: usize = 120;
    match source.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", source.get(..end).unwrap_or_default()),
        None => source.to_owned(),
    }
}

/// One for each literal byte and class range, repetitions multiplied out.
fn size(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) => class.ranges().len(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
            size(&repetition.sub).saturating_mul(times.max(1) as usize)
        }
        HirKind::Capture(capture) => size(&capture.sub),
        HirKind::Concat(members) | HirKind::Alternation(members) => {
            members.iter().map(size).fold(0, usize::saturating_add)
        }
    }
}

/// See the table above.
fn from_pcre(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = chars.get(at + 1..).unwrap_or_default();
        match c {
            '\\' => at += push_escape(&mut out, rest),
            '[' => at += push_class(&mut out, rest),
            '{' if !is_repetition(rest) => out.push_str("\\{"),
            c => out.push(c),
        }
        at += 1;
    }
    out
}

/// Writes an escape; yields how many characters after the backslash it took.
fn push_escape(out: &mut String, rest: &[char]) -> usize {
    match rest {
        [] => out.push('\\'),
        ['Z', ..] => out.push_str("\\z"),
        // Braces belong to the escape and must not be read as a repetition.
        [kind @ ('x' | 'u' | 'U' | 'p' | 'P'), '{', ..] => {
            let end = rest.iter().position(|&c| c == '}').unwrap_or(1);
            out.extend(['\\', *kind]);
            out.extend(rest.get(1..=end).unwrap_or_default());
            return end + 1;
        }
        [c, ..]
            if c.is_ascii_alphanumeric() || (c.is_ascii_punctuation() && !matches!(c, '_' | '<' | '>')) =>
        {
            out.extend(['\\', *c]);
        }
        // Under `(?x)` a bare space would vanish.
        [' ', ..] => out.push_str("\\x20"),
        [c, ..] => out.push(*c),
    }
    rest.len().min(1)
}

/// Writes a class; yields how many characters after its `[` it took.
fn push_class(out: &mut String, rest: &[char]) -> usize {
    let mut at = 0;
    out.push('[');
    if rest.first() == Some(&'^') {
        out.push('^');
        at += 1;
    }
    if rest.get(at) == Some(&']') {
        out.push_str("\\]");
        at += 1;
    }
    while let Some(&c) = rest.get(at) {
        let after = rest.get(at + 1..).unwrap_or_default();
        match (c, after) {
            ('\\', _) => at += push_escape(out, after),
            (']', _) => {
                out.push(']');
                return at + 1;
            }
            ('[', [':', ..]) if posix_class(after).is_some() => {
                let length = posix_class(after).unwrap_or_default();
                out.push('[');
                out.extend(after.get(..length).unwrap_or_default());
                at += length;
            }
            ('[', _) => out.push_str("\\["),
            ('&', _) => out.push_str("\\&"),
            ('~', _) => out.push_str("\\~"),
            ('-', ['-', ..]) => out.push_str("\\-"),
            _ => out.push(c),
        }
        at += 1;
    }
    at
}

/// Length of `:name:]`.
fn posix_class(after: &[char]) -> Option<usize> {
    const NAME_CHARS_MAX: usize = 8;
    let end = after.iter().take(NAME_CHARS_MAX + 2).position(|&c| c == ']')?;
    let inner = after.get(1..end.checked_sub(1)?)?;
    let is_name = inner.iter().all(|c| c.is_ascii_lowercase() || *c == '^');
    (is_name && after.get(end - 1) == Some(&':')).then_some(end + 1)
}

/// Whether what follows a `{` is `n}`, `n,}` or `n,m}`.
fn is_repetition(rest: &[char]) -> bool {
    let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    if digits == 0 {
        return false;
    }
    match rest.get(digits..).unwrap_or_default() {
        ['}', ..] => true,
        [',', tail @ ..] => {
            let more = tail.iter().take_while(|c| c.is_ascii_digit()).count();
            tail.get(more) == Some(&'}')
        }
        _ => false,
    }
}

/// A literal for use inside an expression.
pub(crate) fn escape(text: &str) -> String {
    regex_syntax::escape(text)
}
