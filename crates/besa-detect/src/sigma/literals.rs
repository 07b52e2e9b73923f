//! Texts that a regular expression cannot match without.
//!
//! A regular expression is only tried on values that hold one of its required literals, found by
//! the field's automaton together with everything else. The literals are folded, the values too,
//! so the guard may let too much pass but never misses: folding is per character, hence any text
//! that the expression matches folds to a text that holds the folded literal.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::leaf::RegexSource;
use crate::text::fold;

/// Shorter literals guard nothing.
const LITERAL_LEN_BYTES_MIN: usize = 3;
const LITERALS_MAX: usize = 64;
const DEPTH_MAX: usize = 100;

/// Folded literals of which every match holds at least one; `None` when there are none worth
/// looking for.
pub(crate) fn required(source: &RegexSource) -> Option<Vec<Vec<u8>>> {
    let hir = ParserBuilder::new()
        .case_insensitive(source.case_insensitive)
        .multi_line(source.multi_line)
        .dot_matches_new_line(source.dot_all)
        .utf8(false)
        .build()
        .parse(&source.pattern)
        .ok()?;
    let found = required_of(&hir, 0)?;
    let useful =
        found.len() <= LITERALS_MAX && found.iter().all(|literal| literal.len() >= LITERAL_LEN_BYTES_MIN);
    useful.then_some(found)
}

fn required_of(hir: &Hir, depth: usize) -> Option<Vec<Vec<u8>>> {
    if depth > DEPTH_MAX {
        return None;
    }
    if let Some(literal) = exact(hir) {
        return Some(vec![literal]);
    }
    match hir.kind() {
        HirKind::Capture(capture) => required_of(&capture.sub, depth + 1),
        HirKind::Repetition(repetition) if repetition.min > 0 => required_of(&repetition.sub, depth + 1),
        HirKind::Concat(parts) => best_of(parts, depth),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(required_of(branch, depth + 1)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            Some(all)
        }
        _ => None,
    }
}

/// Of a sequence: neighbouring exact parts joined, then the member whose shortest literal is
/// longest.
fn best_of(parts: &[Hir], depth: usize) -> Option<Vec<Vec<u8>>> {
    let mut candidates: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut run = Vec::new();
    for part in parts {
        if let Some(literal) = exact(part) {
            run.extend(literal);
            continue;
        }
        if !run.is_empty() {
            candidates.push(vec![std::mem::take(&mut run)]);
        }
        candidates.extend(required_of(part, depth + 1));
    }
    if !run.is_empty() {
        candidates.push(vec![run]);
    }
    candidates.into_iter().max_by_key(|set| set.iter().map(Vec::len).min().unwrap_or(0))
}

/// The one folded text that this part matches, whatever the case of its letters.
fn exact(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) if std::str::from_utf8(&literal.0).is_ok() => Some(fold(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            let mut folded: Option<Vec<u8>> = None;
            // A letter in every case is two to four characters; wider classes are not one text.
            if class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum::<usize>() > 4 {
                return None;
            }
            for range in class.ranges() {
                for character in range.start()..=range.end() {
                    let this = fold(character.encode_utf8(&mut [0; 4]).as_bytes());
                    if folded.get_or_insert_with(|| this.clone()) != &this {
                        return None;
                    }
                }
            }
            folded
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, case_insensitive: bool, expected: Option<&[&str]>) {
        let source =
            RegexSource { pattern: pattern.to_owned(), case_insensitive, multi_line: false, dot_all: false };
        let found = required(&source);
        let found: Option<Vec<String>> =
            found.map(|all| all.into_iter().map(|text| String::from_utf8(text).unwrap()).collect());
        assert_eq!(
            found.as_deref(),
            expected.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref(),
            "{pattern}"
        );
    }

    #[test]
    fn literals_that_must_occur() {
        check("PowerShell.*-enc", false, Some(&["powershell"]));
        check("(?i)rundll32\\s+.{1,8}", false, Some(&["rundll32"]));
        check("(foo|barb)x+", false, Some(&["foo", "barb"]));
        check("a.c", false, None);
        check("[a-z]{8}", false, None);
        check("(abc)?d", false, None);
        check("(abcd){2,}", false, Some(&["abcd"]));
        check("x(ab|c)defg", true, Some(&["defg"]));
        // `k` and `s` have a third form (Kelvin sign, long s), which folds to the same letter.
        check("(?i)taSklist", false, Some(&["tasklist"]));
    }
}
