//! Where strings end, by the marks of their quotes.
//!
//! ```text
//! block   {"Image":"C:\\a.exe", …                    }   {"Image": …
//!         └── window of 16 KiB, marked at once ──┘└── marked when the parser comes to it
//! ```
//!
//! The parser reads everything but strings byte by byte; a string it leaves to the marks, which
//! know where it closes, whether it holds escape sequences, and whether it is sound. Most bytes
//! of a log stand in strings, so most bytes are looked at sixty-four at a time and only once.
//! A string that is not sound (or may not be) is read by the slow twin, which says what is wrong
//! and where; so both give the same events and the same faults. A window bounds the memory for
//! marks and keeps them, and the text under them, in the cache.

use besa_simd::json::{Indexer, Mark, SLACK, TEXT_LEN_MAX};

/// Bytes marked at once: a multiple of a block of 64.
const WINDOW_LEN: usize = 16 << 10;

/// What a decoder keeps from block to block.
#[derive(Debug, Default)]
pub(super) struct Store {
    indexer: Indexer,
    /// Empty before the first block.
    marks: Vec<Mark>,
    /// Whether every string is read byte by byte.
    is_off: bool,
}

impl Store {
    /// Marks nothing: the slow twin.
    pub(super) fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// For one block.
    pub(super) fn open<'t>(&'t mut self, text: &'t [u8]) -> Strings<'t> {
        if !self.is_off {
            // One mark of the window before may be left.
            self.marks.resize(WINDOW_LEN + 1 + SLACK, Mark::default());
        }
        self.indexer.start();
        let marked_to = if self.is_off || text.len() > TEXT_LEN_MAX { text.len() } else { 0 };
        Strings { text, store: self, marked_to, next: 0, count: 0 }
    }
}

/// The strings of one block.
#[derive(Debug)]
pub(super) struct Strings<'t> {
    text: &'t [u8],
    store: &'t mut Store,
    marked_to: usize,
    /// The first mark that was not used yet, and how many there are.
    next: usize,
    count: usize,
}

impl Strings<'_> {
    /// Whether marks are used at all, as they are but in the slow twin.
    pub(super) fn are_marked(&self) -> bool {
        !self.store.is_off
    }

    /// For the string whose opening quote stands at `open`: where it closes, and whether it holds
    /// escape sequences. `None` where it has to be read.
    #[inline]
    pub(super) fn close(&mut self, open: usize) -> Option<(usize, bool)> {
        if self.next + 2 > self.count || self.mark(self.next).at() != open {
            self.find(open)?;
        }
        let close = self.mark(self.next + 1);
        if close.is_suspect() {
            return None;
        }
        self.next += 2;
        Some((close.at(), close.is_escaped()))
    }

    /// For a name that opens at `open` and is followed by `:` and a string, as far as the marks at
    /// hand tell: where both close, and whether the string holds escape sequences. The name holds
    /// none. Nothing is used up before [`Strings::use_up`].
    #[inline]
    pub(super) fn pair(&self, open: usize) -> Option<(usize, usize, bool)> {
        let [first, name, second, value] = self.ahead()?;
        let is_pair = first.at() == open && second.at() == name.at() + 2;
        let is_sound = !name.is_suspect() && !name.is_escaped() && !value.is_suspect();
        (is_pair && is_sound).then(|| (name.at(), value.at(), value.is_escaped()))
    }

    /// For a name that opens at `open` and holds no escape sequence, as far as the marks at hand
    /// tell: where it closes. Nothing is used up.
    #[inline]
    pub(super) fn name(&self, open: usize) -> Option<usize> {
        let [first, name] = self.ahead()?;
        let is_sound = first.at() == open && !name.is_suspect() && !name.is_escaped();
        is_sound.then(|| name.at())
    }

    /// Goes on behind so many marks, which were seen ahead.
    #[inline]
    pub(super) fn use_up(&mut self, marks: usize) {
        self.next += marks;
    }

    /// The next marks, if so many are at hand.
    #[inline]
    fn ahead<const N: usize>(&self) -> Option<[Mark; N]> {
        let ahead = self.store.marks.get(self.next..self.count)?;
        ahead.first_chunk().copied()
    }

    #[inline]
    fn mark(&self, index: usize) -> Mark {
        self.store.marks.get(index).copied().unwrap_or_default()
    }

    /// Goes on to the quote at `open`, so that a mark follows it; `None` if none does.
    #[cold]
    fn find(&mut self, open: usize) -> Option<()> {
        loop {
            while self.next < self.count && self.mark(self.next).at() < open {
                self.next += 1;
            }
            if self.next + 2 <= self.count {
                return (self.mark(self.next).at() == open).then_some(());
            }
            if self.marked_to >= self.text.len() {
                return None;
            }
            self.mark_window();
        }
    }

    fn mark_window(&mut self) {
        let Store { indexer, marks, .. } = &mut *self.store;
        let kept = self.count.saturating_sub(self.next);
        marks.copy_within(self.next..self.next + kept, 0);
        let to = self.text.len().min(self.marked_to + WINDOW_LEN);
        let room = marks.get_mut(kept..).unwrap_or_default();
        self.count = kept + indexer.index(self.text, self.marked_to, to, room);
        self.next = 0;
        self.marked_to = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_close_across_windows_and_behind_torn_text() {
        let long = "x".repeat(3 * WINDOW_LEN);
        let text =
            format!("{{\"a\":\"{long}\"}}\n{{\"torn:1}}\n{{\"b\\\"\":\"\u{1}\",\"c\":\"{long}\\u12\"}}");
        let mut store = Store::default();
        let mut strings = store.open(text.as_bytes());
        let place = |part: &str| text.find(part).unwrap();
        let a = place("\"a\"");
        assert_eq!(strings.close(a), Some((a + 2, false)));
        assert_eq!(strings.close(a + 4), Some((a + 4 + long.len() + 1, false)));
        let b = place("\"b");
        assert_eq!(strings.close(b), Some((b + 4, true)));
        assert_eq!(strings.close(b + 6), None, "a control character");
        let c = place("\"c\"");
        assert_eq!(strings.close(c), Some((c + 2, false)));
        assert_eq!(strings.close(c + 4), None, "a torn escape sequence");
        let mut store = Store::off();
        assert_eq!(store.open(text.as_bytes()).close(a), None);
    }
}
