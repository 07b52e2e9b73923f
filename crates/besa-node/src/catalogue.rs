//! The store as the release policy looks things up in it.

use std::borrow::Cow;

use besa_alliance::member::MemberId;
use besa_alliance::policy::{Catalogue, Held};
use besa_intel::{Store, Stored};
use besa_stix::marking::TLP_2_RED;
use besa_stix::object::Object;

use crate::places;

/// See the module.
pub struct Shelf<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The members, by whose accounts the sender of an object is told.
    pub members: &'a [MemberId],
    /// This node's member.
    pub me: &'a MemberId,
}

impl std::fmt::Debug for Shelf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Shelf<'_> {
    /// An object with where it came from. Under which markings an ally released it is not looked up
    /// here, so it counts as TLP:RED: its creator gets it back, and nobody else.
    pub fn held<'h>(&self, stored: Stored) -> Held<'h> {
        let creator =
            Object::parse(&stored.raw).ok().and_then(|object| object.header().created_by_ref.clone());
        let creator = creator.and_then(|creator| MemberId::parse(&creator.to_ascii_lowercase()).ok());
        let sender = self.members.iter().find(|member| places::account(member) == stored.who).cloned();
        let from = sender.clone().or(creator.filter(|id| id != self.me && self.members.contains(id)));
        let under = if sender.is_some() { vec![TLP_2_RED.to_owned()] } else { Vec::new() };
        Held { raw: Cow::Owned(stored.raw), from, under: Cow::Owned(under) }
    }
}

impl Catalogue for Shelf<'_> {
    fn held(&self, id: &str) -> Option<Held<'_>> {
        let found = self.store.object(id, None).ok()??;
        Some(Shelf::held(self, found))
    }
}
