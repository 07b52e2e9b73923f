//! The store as the release policy looks things up in it.

use std::borrow::Cow;

use besa_alliance::member::MemberId;
use besa_alliance::policy::{Catalogue, Held};
use besa_intel::{Sender, Store, Stored};

/// See the module.
pub struct Shelf<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// This node's member.
    pub me: &'a MemberId,
}

impl std::fmt::Debug for Shelf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Shelf<'_> {
    /// An object with where it came from and the markings under which it came.
    pub fn held<'h>(&self, stored: Stored) -> Held<'h> {
        let from = match &stored.origin.from {
            Sender::Here => None,
            Sender::Member(member) if member == self.me.as_str() => None,
            Sender::Member(member) => Some(MemberId::parse(member).unwrap_or_else(|_| stranger())),
            Sender::Outside => Some(stranger()),
        };
        Held { raw: Cow::Owned(stored.raw), from, under: Cow::Owned(stored.origin.under) }
    }
}

impl Catalogue for Shelf<'_> {
    fn held(&self, id: &str) -> Option<Held<'_>> {
        let found = self.store.object(id, None).ok()??;
        Some(Shelf::held(self, found))
    }
}

/// Somebody who is no member of any charter.
#[expect(clippy::expect_used, reason = "a constant")]
fn stranger() -> MemberId {
    MemberId::parse("identity--00000000-0000-0000-0000-000000000000").expect("a well-formed identity")
}
