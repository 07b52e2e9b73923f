//! Paths and hosts that the hits of a window share, by number.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::slab::{Index, Slab};

/// Texts below which none is let go.
const TEXTS_MIN: usize = 1 << 12;
/// Texts that are known again by their address.
const RECENT: usize = 64;

/// Texts by number, with the number of hits that hold each. Those that no hit holds any more are let
/// go now and then.
#[derive(Debug, Default)]
pub(super) struct Texts {
    seed: foldhash::quality::RandomState,
    texts: Slab<Text>,
    index: Index,
    /// By address: hits of one file share its path. Holding a text keeps its address its own.
    recent: Vec<Option<(Arc<str>, u32)>>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Text {
    /// `None` once it was let go.
    text: Option<Arc<str>>,
    hash: u64,
    holders: u64,
}

impl Texts {
    pub(super) fn get(&self, number: u32) -> Arc<str> {
        self.texts.get(number).text.clone().unwrap_or_default()
    }

    /// The number of a text, held once more.
    pub(super) fn hold(&mut self, text: &str) -> u32 {
        self.hold_or(text, || text.into())
    }

    /// As `hold`; mostly known by its address.
    pub(super) fn hold_shared(&mut self, text: &Arc<str>) -> u32 {
        let address = Arc::as_ptr(text).cast::<u8>() as usize;
        let at = (address >> 4 ^ address >> 10) % RECENT;
        if let Some(Some((known, number))) = self.recent.get(at)
            && Arc::ptr_eq(known, text)
        {
            self.texts.get_mut(*number).holders += 1;
            return *number;
        }
        let number = self.hold_or(text, || Arc::clone(text));
        self.recent.resize(RECENT, None);
        self.recent[at] = Some((Arc::clone(text), number));
        number
    }

    /// One hit holds it no more.
    pub(super) fn release(&mut self, number: u32) {
        self.texts.get_mut(number).holders -= 1;
    }

    fn hold_or(&mut self, text: &str, make: impl FnOnce() -> Arc<str>) -> u32 {
        let hash = self.seed.hash_one(text);
        if let Some(number) =
            self.index.find(hash, |number| self.texts.get(number).text.as_deref() == Some(text))
        {
            self.texts.get_mut(number).holders += 1;
            return number;
        }
        if self.texts.len() >= self.sweep_at.max(TEXTS_MIN) {
            self.sweep();
        }
        let number = self.texts.add(Text { text: Some(make()), hash, holders: 1 });
        self.index.insert(hash, number);
        number
    }

    fn sweep(&mut self) {
        self.recent.clear();
        for number in 0..self.texts.numbers() {
            let text = self.texts.get_mut(number);
            if text.holders == 0 && text.text.take().is_some() {
                self.index.remove(text.hash, number);
                self.texts.remove(number);
            }
        }
        // Paid for by as many new texts as were looked through.
        self.sweep_at = self.texts.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty thousand texts, each held by two of the last hundred hits at most.
    #[test]
    fn texts_that_nobody_holds_are_let_go_and_others_stay() {
        let mut texts = Texts::default();
        let mut held = std::collections::VecDeque::new();
        for number in 0..40_000 {
            let text: Arc<str> = format!("text {}", number / 2).into();
            let number = if number % 3 == 0 { texts.hold(&text) } else { texts.hold_shared(&text) };
            held.push_back((number, text));
            if held.len() > 100 {
                let (number, text) = held.pop_front().unwrap();
                assert_eq!(texts.get(number), text);
                texts.release(number);
            }
            assert!(texts.texts.len() <= TEXTS_MIN);
        }
        assert!(held.iter().all(|(number, text)| texts.get(*number) == *text));
        assert!(held.iter().all(|(number, text)| texts.hold(text) == *number));
    }
}
