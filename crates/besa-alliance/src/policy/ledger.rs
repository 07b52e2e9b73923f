//! Pages for one recipient that do not tell what is left out.
//!
//! A cursor that counts the store's commits shows how many of them were for others. So each
//! recipient has a **ledger**: what became visible to it, numbered 1, 2, 3 without gaps, in the
//! order in which it became visible. Cursors are numbers of the ledger; counts, `more` and ETags
//! come from what is released and nothing else. An object that becomes visible later (a member
//! joins a group, a marking arrives) is appended then, so no poll misses it.
//!
//! A redacted copy that changes is a new entry; the entry of what may go no longer is passed over,
//! which only one who could have had it can notice.
//!
//! The server keeps [`Ledger::entries`] per recipient (32 bytes each) and calls [`Ledger::advance`]
//! in the order of its commits before it answers.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::exit::Exit;
use super::explain::Explanation;
use super::membership::Recipient;
use super::released::{Released, Text, envelope};

/// What tells one visible text from another: the SHA-256 of its bytes.
type Digest = [u8; 32];

/// What was ever visible to one recipient, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    recipient: Recipient,
    exit: Exit,
    entries: Vec<Digest>,
    seen: BTreeSet<Digest>,
}

/// A page of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// A TAXII envelope (without `more` and `next`), empty objects as `{}`.
    pub body: String,
    /// How many objects it holds.
    pub count: usize,
    /// Whether there is something after it.
    pub more: bool,
    /// The cursor after it: the number of its last entry, or the one asked for.
    pub next: u64,
    /// Changes if and only if body, `more` or `next` do.
    pub etag: String,
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// A text is for another recipient than the ledger.
    #[error("a text is for another recipient than the ledger")]
    Recipient,
}

impl Ledger {
    /// The ledger of a recipient at an exit, from the entries kept (empty at first).
    pub fn new(recipient: Recipient, exit: Exit, entries: Vec<[u8; 32]>) -> Self {
        let seen = entries.iter().copied().collect();
        Self { recipient, exit, entries, seen }
    }

    /// The entries to keep: SHA-256 of each text.
    pub fn entries(&self) -> &[[u8; 32]] {
        &self.entries
    }

    /// Appends what became visible, in the order given (that of the store's commits). Returns how
    /// many entries were appended.
    pub fn advance(&mut self, visible: &[Released<Text>]) -> Result<usize, PageError> {
        if visible.iter().any(|text| *text.recipient() != self.recipient) {
            return Err(PageError::Recipient);
        }
        let before = self.entries.len();
        for text in visible {
            let digest = digest(text);
            if self.seen.insert(digest) {
                self.entries.push(digest);
            }
        }
        Ok(self.entries.len() - before)
    }

    /// The page after a cursor (0 for the first), of at most `limit` objects, out of what is visible
    /// now. A cursor beyond the end is an empty page.
    pub fn page(
        &self,
        visible: &[Released<Text>],
        after: u64,
        limit: usize,
    ) -> Result<Released<Page>, PageError> {
        if visible.iter().any(|text| *text.recipient() != self.recipient) {
            return Err(PageError::Recipient);
        }
        let by_digest: BTreeMap<Digest, &Released<Text>> =
            visible.iter().map(|text| (digest(text), text)).collect();
        let start = usize::try_from(after).unwrap_or(usize::MAX).min(self.entries.len());
        let rest = self.entries.iter().enumerate().skip(start);
        let mut found = rest.filter_map(|(at, digest)| Some((at, *by_digest.get(digest)?)));
        let limit = limit.max(1);
        let (mut texts, mut next) = (Vec::new(), after);
        for (at, text) in found.by_ref().take(limit) {
            texts.push(text.clone());
            next = at as u64 + 1;
        }
        let more = found.next().is_some();
        let body = if texts.is_empty() { "{}".to_owned() } else { envelope(&texts).unwrap_or_default() };
        let etag = etag(&body, more, next);
        let page = Page { body, count: texts.len(), more, next, etag };
        let mut explanation = Explanation::bare("(page)", &self.recipient, self.exit);
        explanation.released = true;
        Ok(Released::new(page, self.recipient.clone(), explanation))
    }
}

fn digest(text: &Released<Text>) -> Digest {
    Sha256::digest(text.get().json().as_bytes()).into()
}

fn etag(body: &str, more: bool, next: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(next.to_be_bytes());
    hash.update([u8::from(more)]);
    hash.update(body.as_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    format!("\"{}\"", crate::member::hex_text(&bytes))
}
