//! Text comparison as Sigma defines it: without regard to case, beyond ASCII too, and with
//! wildcards that span everything.

use besa_sigma::{DASHES, TextPart, TextPattern};
use memchr::memmem::Finder;

/// Appends the folded form of `text`: what case-insensitive comparison looks at.
///
/// Each character becomes one character (Unicode's simple case folding, reached by way of lower,
/// upper and lower again, so that `ſ` meets `s` and `ς` meets `σ`), hence a part of a text folds
/// to a part of the folded text and `?` still takes one character. Bytes that are not UTF-8 stay.
pub(crate) fn fold_into(text: &[u8], out: &mut Vec<u8>) {
    if text.is_ascii() {
        let start = out.len();
        out.extend_from_slice(text);
        out[start..].make_ascii_lowercase();
        return;
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let folded = fold_character(character);
            out.extend_from_slice(folded.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(chunk.invalid());
    }
}

fn fold_character(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let lower = match character {
        // Pairs that fold together although no case mapping joins them.
        '\u{1fd3}' => return '\u{390}',
        '\u{1fe3}' => return '\u{3b0}',
        '\u{fb05}' => return '\u{fb06}',
        _ => single(character.to_lowercase()).unwrap_or(character),
    };
    single(lower.to_uppercase()).and_then(|upper| single(upper.to_lowercase())).unwrap_or(lower)
}

/// The only character of a case mapping, if there is but one.
fn single(mut mapping: impl Iterator<Item = char>) -> Option<char> {
    let first = mapping.next();
    if mapping.next().is_some() { None } else { first }
}

/// The folded form of `text`.
#[must_use]
pub(crate) fn fold(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// A [`TextPattern`] ready to be held against whole values, its literals folded unless it is
/// case-sensitive.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    parts: Vec<GlobPart>,
}

#[derive(Clone, Debug)]
enum GlobPart {
    Literal(Box<[u8]>),
    /// A literal behind a `*`, which is searched for.
    Sought(Box<Finder<'static>>),
    AnyOne,
    AnyMany,
    Dash,
}

impl Glob {
    /// Prepares a pattern.
    #[must_use]
    pub(crate) fn new(pattern: &TextPattern, cased: bool) -> Self {
        let mut parts: Vec<GlobPart> = Vec::with_capacity(pattern.parts.len());
        for part in &pattern.parts {
            parts.push(match part {
                TextPart::Literal(text) => {
                    let text = if cased { text.as_bytes().to_vec() } else { fold(text.as_bytes()) };
                    match parts.last() {
                        Some(GlobPart::AnyMany) => {
                            GlobPart::Sought(Box::new(Finder::new(&text).into_owned()))
                        }
                        _ => GlobPart::Literal(text.into()),
                    }
                }
                TextPart::AnyOne => GlobPart::AnyOne,
                TextPart::AnyMany => GlobPart::AnyMany,
                TextPart::Dash => GlobPart::Dash,
            });
        }
        Self { parts }
    }

    /// The longest literal part: a text that every matching value holds.
    #[must_use]
    pub(crate) fn longest_literal(&self) -> Option<&[u8]> {
        let literals = self.parts.iter().filter_map(|part| match part {
            GlobPart::Literal(text) => Some(text.as_ref()),
            GlobPart::Sought(finder) => Some(finder.needle()),
            _ => None,
        });
        literals.max_by_key(|text| text.len())
    }

    /// Whether the whole of `value` (folded unless the pattern is case-sensitive) matches.
    ///
    /// Linear but for the last `*`, from which the search starts again one character further, or
    /// where the literal behind the `*` occurs next: at most `value.len() × parts` steps, whatever
    /// the pattern. A literal is whole characters, so it occurs nowhere but where one begins.
    #[must_use]
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        let (mut part_at, mut value_at) = (0, 0);
        let mut restart: Option<(usize, usize)> = None;
        loop {
            match self.parts.get(part_at) {
                None if value_at == value.len() => return true,
                Some(GlobPart::AnyMany) => {
                    part_at += 1;
                    if part_at == self.parts.len() {
                        return true;
                    }
                    let Some(found) = self.next_place(part_at, value, value_at) else { return false };
                    value_at = found;
                    restart = Some((part_at, value_at));
                    continue;
                }
                Some(part) => {
                    if let Some(len) = part.matches_at(&value[value_at..]) {
                        part_at += 1;
                        value_at += len;
                        continue;
                    }
                }
                None => {}
            }
            match restart {
                Some((part, at)) if at < value.len() => {
                    // By whole characters, lest `?` take a part of one.
                    let from = at + character_len(&value[at..]);
                    let Some(next) = self.next_place(part, value, from) else { return false };
                    restart = Some((part, next));
                    (part_at, value_at) = (part, next);
                }
                _ => return false,
            }
        }
    }

    /// Where from `from` on a part behind a `*` may begin.
    fn next_place(&self, part: usize, value: &[u8], from: usize) -> Option<usize> {
        match self.parts.get(part) {
            Some(GlobPart::Sought(finder)) => finder.find(&value[from..]).map(|at| from + at),
            _ => Some(from),
        }
    }
}

impl GlobPart {
    /// How many bytes at the start of `value` this part takes; `AnyMany` is not asked.
    fn matches_at(&self, value: &[u8]) -> Option<usize> {
        match self {
            Self::Literal(text) => value.starts_with(text).then_some(text.len()),
            Self::Sought(finder) => value.starts_with(finder.needle()).then_some(finder.needle().len()),
            Self::AnyOne => (!value.is_empty()).then(|| character_len(value)),
            Self::Dash => DASHES.iter().find_map(|dash| {
                let mut buffer = [0; 4];
                let dash = dash.encode_utf8(&mut buffer).as_bytes();
                value.starts_with(dash).then_some(dash.len())
            }),
            Self::AnyMany => Some(0),
        }
    }
}

/// Length in bytes of the first character; a byte that is not UTF-8 is a character by itself.
fn character_len(value: &[u8]) -> usize {
    if value.first().is_some_and(u8::is_ascii) {
        return 1;
    }
    let head = &value[..value.len().min(4)];
    head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> TextPattern {
        let mut pattern = TextPattern::default();
        for c in text.chars() {
            match c {
                '*' => pattern.push(TextPart::AnyMany),
                '?' => pattern.push(TextPart::AnyOne),
                '~' => pattern.push(TextPart::Dash),
                c => pattern.push_text(&c.to_string()),
            }
        }
        pattern
    }

    fn check(glob: &str, value: &str, expected: bool) {
        let found = Glob::new(&pattern(glob), false).matches(&fold(value.as_bytes()));
        assert_eq!(found, expected, "{glob} against {value}");
    }

    #[test]
    fn wildcards() {
        check("", "", true);
        check("", "x", false);
        check("*", "", true);
        check("abc", "ABC", true);
        check("ÄÖ", "äö", true);
        check("a*c", "a\nzz c", true);
        check("a?c", "ac", false);
        check("a?c", "aéc", true);
        check("a?c", "a€c", true);
        check("*b*d", "abcbd", true);
        check("*b*d", "abcbdx", false);
        check("* ~f*", "x –f y", true);
        check("* ~f*", "x /f y", true);
        check("* ~f*", "x +f y", false);
        check("*aab", "aaaab", true);
        check("?*?", "a", false);
        check("*??", "€", false);
    }

    /// The pattern by its definition: `*` tries every place.
    fn matches_slowly(parts: &[char], value: &[u8]) -> bool {
        let Some((part, rest)) = parts.split_first() else { return value.is_empty() };
        let behind = |len: usize| value.get(len..).is_some_and(|value| matches_slowly(rest, value));
        let has = |text: char| {
            let mut buffer = [0; 4];
            let text = text.encode_utf8(&mut buffer).as_bytes();
            value.starts_with(text) && behind(text.len())
        };
        match part {
            '*' => {
                matches_slowly(rest, value)
                    || !value.is_empty() && matches_slowly(parts, &value[character_len(value)..])
            }
            '?' => !value.is_empty() && behind(character_len(value)),
            '~' => DASHES.iter().any(|dash| has(*dash)),
            text => has(*text),
        }
    }

    proptest! {
        #[test]
        fn a_glob_is_what_its_definition_says(
            glob in "[ab\u{20ac}*?~]{0,8}",
            value in prop::collection::vec(prop::sample::select(vec![
                &b"a"[..], b"b", "\u{20ac}".as_bytes(), b"\xe2", b"\x82", b"-", "\u{2013}".as_bytes(), b"\xff",
            ]), 0..12),
        ) {
            let value = value.concat();
            let parts: Vec<char> = glob.chars().collect();
            prop_assert_eq!(Glob::new(&pattern(&glob), true).matches(&value), matches_slowly(&parts, &value));
        }
    }

    #[test]
    fn folding_joins_all_that_a_case_insensitive_regex_joins() {
        for character in ('\u{80}'..=char::MAX).chain('A'..='Z') {
            let mut class =
                regex_syntax::hir::ClassUnicode::new([regex_syntax::hir::ClassUnicodeRange::new(
                    character, character,
                )]);
            class.case_fold_simple();
            for range in class.ranges() {
                for other in range.start()..=range.end() {
                    assert_eq!(fold_character(character), fold_character(other), "{character} {other}");
                }
            }
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_exponential() {
        let glob = Glob::new(&pattern(&"a*".repeat(200)), false);
        assert!(!Glob::new(&pattern(&format!("{}b", "a*".repeat(200))), false).matches(&vec![b'a'; 5_000]));
        assert!(glob.matches(&vec![b'a'; 5_000]));
    }
}
