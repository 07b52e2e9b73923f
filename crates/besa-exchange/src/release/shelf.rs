//! The store as the release policy looks things up in it.
//!
//! A look-up that fails is no absence: the decision is thrown away and the reader told to come again.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use besa_alliance::member::MemberId;
use besa_alliance::policy::{Catalogue, Held, IEP_EXTENSION};
use besa_intel::{Sender, Store, StoreError, Stored, Time, micros};

/// Objects remembered for one decision.
const KNOWN_MAX: usize = 10_000;
const KNOWN_BYTES_MAX: usize = 16 << 20;

/// The store during one decision.
pub struct Shelf<'a> {
    store: &'a dyn Store,
    holder: &'a MemberId,
    now: Time,
    /// Ids as they are written, by their lower case, of what is judged.
    spelt: HashMap<String, String>,
    known: RefCell<(HashMap<String, Option<Held<'static>>>, usize)>,
    until: Cell<Option<i64>>,
    failure: RefCell<Option<StoreError>>,
}

impl<'a> Shelf<'a> {
    /// For a decision about some objects.
    pub fn new(store: &'a dyn Store, holder: &'a MemberId, now: Time, judged: &[Stored]) -> Self {
        let spelt = judged.iter().map(|one| (one.id.to_ascii_lowercase(), one.id.clone()));
        let spelt = spelt.filter(|(lower, id)| lower != id).collect();
        Self {
            store,
            holder,
            now,
            spelt,
            known: RefCell::default(),
            until: Cell::new(None),
            failure: RefCell::new(None),
        }
    }

    /// When at the earliest the decision may be another by time alone, in microseconds since 1970; or
    /// why it does not count.
    pub fn finish(self) -> Result<Option<i64>, StoreError> {
        match self.failure.into_inner() {
            Some(error) => Err(error),
            None => Ok(self.until.get()),
        }
    }

    fn look_up(&self, id: &str) -> Option<Held<'static>> {
        let found = self.store.object(id, None).and_then(|found| match (found, self.spelt.get(id)) {
            (None, Some(spelt)) => self.store.object(spelt, None),
            (found, _) => Ok(found),
        });
        match found {
            Ok(found) => found.map(|stored| owned(&stored, self.holder)),
            Err(error) => {
                self.failure.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    /// An IEP begins and ends at a time; nothing else depends on it.
    fn note_times(&self, raw: &str) {
        if !raw.contains(IEP_EXTENSION) {
            return;
        }
        let Ok(value) = serde_json::from_str::<serde_json::Value>(raw) else { return };
        for name in ["start_date", "end_date"] {
            let time = value.pointer(&format!("/extensions/{IEP_EXTENSION}/{name}"));
            let time = time.and_then(serde_json::Value::as_str).and_then(|text| Time::parse(text).ok());
            if let Some(at) = time.filter(|time| *time > self.now) {
                // The first microsecond at which it is so, whatever is cut off.
                let at = micros(at) + 1;
                self.until.set(Some(self.until.get().map_or(at, |found| found.min(at))));
            }
        }
    }
}

impl Catalogue for Shelf<'_> {
    fn held(&self, id: &str) -> Option<Held<'_>> {
        if let Some(found) = self.known.borrow().0.get(id) {
            return found.clone();
        }
        let found = self.look_up(id);
        if let Some(found) = &found {
            self.note_times(&found.raw);
        }
        let mut known = self.known.borrow_mut();
        known.1 += found.as_ref().map_or(0, |found| found.raw.len());
        if known.0.len() >= KNOWN_MAX || known.1 > KNOWN_BYTES_MAX {
            *known = (HashMap::new(), 0);
        }
        known.0.insert(id.to_owned(), found.clone());
        found
    }
}

fn from(sender: &Sender, holder: &MemberId) -> Option<MemberId> {
    match sender {
        Sender::Here => None,
        Sender::Outside => Some(MemberId::outsider()),
        Sender::Member(member) if member == holder.as_str() => None,
        Sender::Member(member) => Some(MemberId::parse(member).unwrap_or_else(|_| MemberId::outsider())),
    }
}

/// A stored object as the policy judges it.
pub fn held<'a>(stored: &'a Stored, holder: &MemberId) -> Held<'a> {
    Held {
        raw: Cow::Borrowed(&stored.raw),
        from: from(&stored.origin.from, holder),
        under: Cow::Borrowed(&stored.origin.under),
    }
}

fn owned(stored: &Stored, holder: &MemberId) -> Held<'static> {
    Held {
        raw: Cow::Owned(stored.raw.clone()),
        from: from(&stored.origin.from, holder),
        under: Cow::Owned(stored.origin.under.clone()),
    }
}
