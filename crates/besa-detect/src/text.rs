//! Text comparison as Sigma defines it: without regard to case, beyond ASCII too, and with
//! wildcards that span everything.

use besa_sigma::{DASHES, TextPart, TextPattern};

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Glob {
    parts: Vec<GlobPart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum GlobPart {
    Literal(Box<[u8]>),
    AnyOne,
    AnyMany,
    Dash,
}

impl Glob {
    /// Prepares a pattern.
    #[must_use]
    pub(crate) fn new(pattern: &TextPattern, cased: bool) -> Self {
        let parts = pattern
            .parts
            .iter()
            .map(|part| match part {
                TextPart::Literal(text) if cased => GlobPart::Literal(text.as_bytes().into()),
                TextPart::Literal(text) => GlobPart::Literal(fold(text.as_bytes()).into()),
                TextPart::AnyOne => GlobPart::AnyOne,
                TextPart::AnyMany => GlobPart::AnyMany,
                TextPart::Dash => GlobPart::Dash,
            })
            .collect();
        Self { parts }
    }

    /// The longest literal part: a text that every matching value holds.
    #[must_use]
    pub(crate) fn longest_literal(&self) -> Option<&[u8]> {
        let literals = self.parts.iter().filter_map(|part| match part {
            GlobPart::Literal(text) => Some(text.as_ref()),
            _ => None,
        });
        literals.max_by_key(|text| text.len())
    }

    /// Whether the whole of `value` (folded unless the pattern is case-sensitive) matches.
    ///
    /// Linear but for the last `*`, from which the search starts again one character further: at
    /// most `value.len() × parts` steps, whatever the pattern.
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
                    let next = at + character_len(&value[at..]);
                    restart = Some((part, next));
                    (part_at, value_at) = (part, next);
                }
                _ => return false,
            }
        }
    }
}

impl GlobPart {
    /// How many bytes at the start of `value` this part takes; `AnyMany` is not asked.
    fn matches_at(&self, value: &[u8]) -> Option<usize> {
        match self {
            Self::Literal(text) => value.starts_with(text).then_some(text.len()),
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
    let head = &value[..value.len().min(4)];
    head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
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
