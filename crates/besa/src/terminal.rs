//! Where output goes: colour, width, and messages to people on standard error.

use std::io::{self, IsTerminal, Write};

use crate::cli::Color;

/// What is known of standard output and standard error.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    /// Colour on standard output.
    pub(crate) out: Paint,
    /// Colour on standard error.
    pub(crate) err: Paint,
    /// Whether a person looks at standard error, so that a progress bar makes sense.
    pub(crate) interactive: bool,
    quiet: bool,
}

impl Terminal {
    /// `NO_COLOR` (no-color.org) turns colour off unless `--color always` asks for it.
    pub(crate) fn new(color: Color, quiet: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let paint = |is_terminal: bool| {
            Paint(match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => is_terminal && !no_color,
            })
        };
        let interactive = io::stderr().is_terminal();
        Self { out: paint(io::stdout().is_terminal()), err: paint(interactive), interactive, quiet }
    }

    /// Columns that a table may take: those of the terminal, or 120 in a pipe.
    #[expect(clippy::unused_self, reason = "asked of the terminal at hand")]
    pub(crate) fn width(&self) -> usize {
        let stated = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let measured = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        stated.or_else(measured).unwrap_or(120).clamp(60, 240)
    }

    /// Standard output, buffered.
    #[expect(clippy::unused_self, reason = "asked of the terminal at hand")]
    pub(crate) fn stdout(&self) -> io::BufWriter<io::StdoutLock<'static>> {
        io::BufWriter::with_capacity(1 << 16, io::stdout().lock())
    }

    /// A message that `--quiet` silences. Failure to show it is no reason to stop.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            let _ = io::stderr().lock().write_all(text.as_bytes());
        }
    }

    /// Why the command failed.
    pub(crate) fn error(&self, message: &str) {
        let _ = writeln!(io::stderr().lock(), "{} {message}", self.err.red("error:"));
    }

    /// Whether messages other than errors are shown.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }
}

/// Adds colour, or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// A text in the colour of a level.
    pub(crate) fn level(self, level: besa_sigma::Level, text: &str) -> String {
        use besa_sigma::Level;
        let code = match level {
            Level::Critical => "1;37;41",
            Level::High => "1;31",
            Level::Medium => "33",
            Level::Low => "36",
            Level::Informational => "2",
        };
        self.wrap(code, text)
    }
}

/// Text from evidence or rules made safe for a terminal: control characters, which could move
/// the cursor or change its title, become visible.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            // Bidirectional controls reorder what is shown.
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
            c if c.is_control() => '\u{FFFD}',
            c => c,
        })
        .collect()
}

/// At most `width` characters; what is cut off is shown by `…`.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A number with thin groups: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 event`, `2 events`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Bytes for people: `1.5 GiB`.
pub(crate) fn sized(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_for_people() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!(sized(1023), "1023 bytes");
        assert_eq!(sized(1536 * 1024), "1.5 MiB");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abcd", 4), "abcd");
        assert_eq!(visible("a\x1b[2Jb\u{202E}\n"), "a\u{FFFD}[2Jb\u{FFFD} ");
    }
}
