//! Regular expressions of MATCHES (section 9.6.1): PCRE syntax, search, DOTALL.
//!
//! The engine is `fancy-regex`, which has lookaround, backreferences, atomic groups and a
//! backtracking limit. Its syntax is that of the `regex` crate, so the places where the same text
//! means something else to PCRE are rewritten first:
//!
//! | PCRE | meaning | rewritten as |
//! |---|---|---|
//! | `$` (not multi-line) | end, or before a final line feed | `(?=\n?\z)` |
//! | `[` inside a class | itself | `\[` |
//! | `&&`, `--`, `~~` inside a class | themselves | escaped |
//! | `{` that starts no quantifier | itself | `\{` |
//! | `\<`, `\>` | `<`, `>` | without backslash |
//! | `\h`, `\H`, `\v`, `\V` | blank, line end | a class |
//! | `\Q…\E` | verbatim text | each character escaped |
//! | `\g{1}`, `\g1` | backreference | `\1` |
//! | `\0`, `\012` | octal code | `\x{…}` |
//!
//! Not available: recursion, callouts, backtracking verbs other than `(*FAIL)`, branch reset,
//! look-behind of variable length. Such an expression is refused with the engine's reason.

use std::iter::Peekable;
use std::str::Chars;

use fancy_regex::{BytesMode, Regex, RegexBuilder};

/// Steps of backtracking before a search is given up.
pub(super) const BACKTRACK_LIMIT: usize = 1_000_000;
/// Longest expression compiled, in bytes.
const MAX_REGEX_BYTES: usize = 64 * 1024;
/// Largest automaton built, in bytes.
const MAX_REGEX_SIZE: usize = 8 << 20;

/// Compiles an expression for strings: Unicode classes.
pub(super) fn compile_text(pcre: &str) -> Result<Regex, String> {
    build(&translate(pcre), BytesMode::Unicode)
}

/// Compiles an expression for octets: classes are ASCII, a character below U+0100 is one octet.
/// `None` when it holds a character that is no octet and so can match nothing (section 9.6.4).
pub(super) fn compile_bytes(pcre: &str) -> Result<Option<Regex>, String> {
    let translated = translate(pcre);
    let mut octets = String::with_capacity(translated.len());
    let mut fits = true;
    for letter in translated.chars() {
        match u32::from(letter) {
            0..=0x7f => octets.push(letter),
            code @ 0x80..=0xff => octets.push_str(&format!("\\x{code:02x}")),
            _ => {
                fits = false;
                octets.push('_');
            }
        }
    }
    let regex = build(&octets, BytesMode::Ascii)?;
    Ok(fits.then_some(regex))
}

fn build(translated: &str, mode: BytesMode) -> Result<Regex, String> {
    if translated.len() > MAX_REGEX_BYTES {
        return Err(format!("it is longer than {MAX_REGEX_BYTES} bytes"));
    }
    RegexBuilder::new(translated)
        .dot_matches_new_line(true)
        .bytes_mode(mode)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(MAX_REGEX_SIZE)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

fn translate(pcre: &str) -> String {
    let mut out = String::with_capacity(pcre.len() + 16);
    let multi_line = sets_multi_line(pcre);
    let mut rest = pcre.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => escape(&mut rest, &mut out, in_class),
            '[' if in_class => posix_class_or_bracket(&mut rest, &mut out),
            '[' => {
                in_class = true;
                open_class(&mut rest, &mut out);
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' | '-' if in_class && rest.peek() == Some(&letter) => {
                out.push('\\');
                out.push(letter);
            }
            '{' if !in_class && !starts_quantifier(rest.clone()) => out.push_str("\\{"),
            '$' if !in_class && !multi_line => {
                let last = rest.peek().is_none();
                out.push_str(if last { "(?:\\n?\\z)" } else { "(?=\\n?\\z)" });
            }
            _ => out.push(letter),
        }
    }
    out
}

/// `[`, an optional `^` and a `]` that stands first and so means itself.
fn open_class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if rest.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
}

fn posix_class_or_bracket(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let ahead: String = rest.clone().take(12).collect();
    let named = ahead.strip_prefix(':').and_then(|name| name.split_once(":]"));
    match named {
        Some((name, _)) if name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '^') => {
            out.push_str(&format!("[:{name}:]"));
            for _ in 0..name.len() + 3 {
                rest.next();
            }
        }
        _ => out.push_str("\\["),
    }
}

fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    const BLANK: &str = r" \t\x{a0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}";
    const LINE_END: &str = r"\n\x{b}\x{c}\r\x{85}\x{2028}\x{2029}";
    let Some(letter) = rest.next() else {
        out.push('\\');
        return;
    };
    let class = |out: &mut String, negated: bool, members: &str| match (in_class, negated) {
        (true, false) => out.push_str(members),
        (_, negated) => out.push_str(&format!("[{}{members}]", if negated { "^" } else { "" })),
    };
    match letter {
        'h' => class(out, false, BLANK),
        'H' => class(out, true, BLANK),
        'v' => class(out, false, LINE_END),
        'V' => class(out, true, LINE_END),
        '<' | '>' => out.push(letter),
        'Q' => verbatim(rest, out),
        'E' => {}
        '0' => octal(rest, out),
        'g' if !in_class => backreference(rest, out),
        '/' | '"' | '\'' | ':' | ';' | ',' | '=' | '!' | '@' | '%' | '`' | '_' => out.push(letter),
        _ => {
            out.push('\\');
            out.push(letter);
        }
    }
}

fn verbatim(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(letter) = rest.next() {
        if letter == '\\' && rest.next_if_eq(&'E').is_some() {
            return;
        }
        if letter.is_ascii_punctuation() {
            out.push('\\');
        }
        out.push(letter);
    }
}

fn octal(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut code = 0;
    for _ in 0..2 {
        let Some(digit) = rest.next_if(|letter| matches!(letter, '0'..='7')) else { break };
        code = code * 8 + digit.to_digit(8).unwrap_or_default();
    }
    out.push_str(&format!("\\x{code:02x}"));
}

/// `\g1` and `\g{1}`; anything else is left to the engine.
fn backreference(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut ahead = rest.clone();
    let braces = ahead.next_if_eq(&'{').is_some();
    let mut number = String::new();
    while let Some(digit) = ahead.next_if(char::is_ascii_digit) {
        number.push(digit);
    }
    let closed = !braces || ahead.next_if_eq(&'}').is_some();
    if number.is_empty() || !closed {
        out.push_str("\\g");
        return;
    }
    out.push_str(&format!("(?:\\{number})"));
    *rest = ahead;
}

/// Digits, optionally a comma and digits, then `}`.
fn starts_quantifier(mut rest: Peekable<Chars<'_>>) -> bool {
    let mut digits = 0;
    while rest.next_if(char::is_ascii_digit).is_some() {
        digits += 1;
    }
    if rest.next_if_eq(&',').is_some() {
        while rest.next_if(char::is_ascii_digit).is_some() {}
    }
    digits > 0 && rest.next() == Some('}')
}

/// Whether an inline flag group such as `(?im)` or `(?m:` stands anywhere.
fn sets_multi_line(pcre: &str) -> bool {
    pcre.split("(?").skip(1).any(|group| {
        let flags: String = group.chars().take_while(char::is_ascii_lowercase).collect();
        let end = group.chars().nth(flags.len());
        flags.contains('m') && matches!(end, Some(')' | ':' | '-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcre_meanings() {
        for (pcre, text, found) in [
            ("a$", "a\n", true),
            ("a$", "a\n\n", false),
            ("(a$|b)c?", "xa\n", true),
            ("(?m)a$", "a\nb", true),
            ("[[]x]", "[x]", true),
            ("[[:digit:]]{2}", "a12", true),
            ("[a&&b]", "&", true),
            ("a{b}", "a{b}", true),
            ("a{2,}", "aa", true),
            (r"\<b\>", "<b>", true),
            (r"a\hb", "a\tb", true),
            (r"\Qa.b*\E+", "a.b**", true),
            (r"\Qa.b\E", "axb", false),
            (r"(ab)\g{1}", "abab", true),
            (r"(ab)\1", "abab", true),
            (r"(?<=x)y(?!z)", "xya", true),
            (r"^[]a]+$", "]a", true),
            (r"\/\-\.", "/-.", true),
            (r"a.b", "a\nb", true),
            (r"\w", "é", true),
            (r"\0a", "\0a", true),
        ] {
            assert_eq!(compile_text(pcre).unwrap().is_match(text).unwrap(), found, "{pcre}");
        }
        for bad in ["(", "[a", "*", r"(?<n"] {
            assert!(compile_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn octets() {
        for (pcre, bytes, found) in [
            (r"\xd4\xc3", &b"\0\xd4\xc3\0"[..], true),
            ("Ô", b"\xd4", true),
            (r"^.$", b"\xff", true),
            (r"\w", b"\xe9", false),
            (r"\n.\z", b"\n\n", true),
        ] {
            let regex = compile_bytes(pcre).unwrap().unwrap();
            assert_eq!(regex.is_match(bytes).unwrap(), found, "{pcre}");
        }
        assert!(compile_bytes("ă").unwrap().is_none());
    }
}
