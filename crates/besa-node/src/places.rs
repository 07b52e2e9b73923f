//! The collections of the alliance in the store.
//!
//! | alias | holds |
//! |---|---|
//! | `alliance-sent` | one's own logs: entries, with the objects they bring |
//! | `alliance-accepted` | objects of allies that are used |
//! | `alliance-quarantine` | objects of allies that wait for an analyst |
//! | `from-UUID` | what the member with this identity sent; it may write there |
//! | `to-UUID` | what is for that member; it may read there |
//! | `relay-UUID` | what a witness has of others and that member may have, too; it may read there |
//!
//! Members come while the node runs: all who hold a [`Places`] see those that [`Places::admit`] adds.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use besa_alliance::member::MemberId;
use besa_intel::account::{Role, Scope, fresh_token};
use besa_intel::{Access, Collection, CollectionKey, NewCollection, Store, StoreError, Time, User};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// One's own logs.
    pub sent: CollectionKey,
    /// What is used.
    pub accepted: CollectionKey,
    /// What waits.
    pub quarantine: CollectionKey,
    allies: Arc<RwLock<BTreeMap<MemberId, Boxes>>>,
}

/// The collections of one ally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boxes {
    /// What it sent.
    pub inbox: CollectionKey,
    /// What is for it.
    pub outbox: CollectionKey,
    /// What others have signed for it, too.
    pub relay: CollectionKey,
}

/// Alias of the collection of one's own logs.
pub const SENT: &str = "alliance-sent";
/// Alias of the collection of what is used.
pub const ACCEPTED: &str = "alliance-accepted";
/// Alias of the collection of what waits.
pub const QUARANTINE: &str = "alliance-quarantine";

/// Alias of the collection of what a member sent.
pub fn inbox(member: &MemberId) -> String {
    format!("from-{}", uuid(member))
}

/// Alias of the collection of what is for a member.
pub fn outbox(member: &MemberId) -> String {
    format!("to-{}", uuid(member))
}

/// Alias of the collection of what others have signed for a member, too.
pub fn relay(member: &MemberId) -> String {
    format!("relay-{}", uuid(member))
}

/// Whether a collection is the inbox of somebody, member or not.
pub(crate) fn is_inbox(collection: &Collection) -> bool {
    let alias = collection.alias.as_deref().unwrap_or_default();
    alias.strip_prefix("from-").is_some_and(|uuid| MemberId::parse(&format!("identity--{uuid}")).is_ok())
}

/// Name of a member's account.
pub fn account(member: &MemberId) -> String {
    format!("ally-{}", uuid(member))
}

fn uuid(member: &MemberId) -> &str {
    member.as_str().strip_prefix("identity--").unwrap_or_else(|| member.as_str())
}

impl Places {
    /// Finds the collections, and makes those that are missing.
    pub fn open<'a>(
        store: &dyn Store,
        allies: impl IntoIterator<Item = &'a MemberId>,
        now: Time,
    ) -> Result<Self, StoreError> {
        let mut finder = Finder { store, held: store.directory()?.collections, now };
        let places = Self {
            sent: finder.find(SENT, "What this node signed")?,
            accepted: finder.find(ACCEPTED, "Objects of allies in use")?,
            quarantine: finder.find(QUARANTINE, "Objects of allies that wait")?,
            allies: Arc::default(),
        };
        places.admit(store, allies, now)?;
        Ok(places)
    }

    /// Adds allies that are not known yet, with their collections. Gives those.
    pub fn admit<'a>(
        &self,
        store: &dyn Store,
        allies: impl IntoIterator<Item = &'a MemberId>,
        now: Time,
    ) -> Result<Vec<MemberId>, StoreError> {
        let new: Vec<MemberId> =
            allies.into_iter().filter(|ally| self.boxes(ally).is_none()).cloned().collect();
        if new.is_empty() {
            return Ok(new);
        }
        let mut finder = Finder { store, held: store.directory()?.collections, now };
        let mut found = Vec::new();
        for ally in &new {
            let boxes = Boxes {
                inbox: finder.find(&inbox(ally), &format!("From {ally}"))?,
                outbox: finder.find(&outbox(ally), &format!("For {ally}"))?,
                relay: finder.find(&relay(ally), &format!("Of others for {ally}"))?,
            };
            found.push((ally.clone(), boxes));
        }
        // All or none: whoever fails here asks for all of them again.
        self.allies.write().unwrap_or_else(PoisonError::into_inner).extend(found);
        Ok(new)
    }

    /// The collections of an ally.
    pub fn boxes(&self, ally: &MemberId) -> Option<Boxes> {
        self.allies.read().unwrap_or_else(PoisonError::into_inner).get(ally).copied()
    }

    /// All allies and their collections, by id.
    pub fn allies(&self) -> Vec<(MemberId, Boxes)> {
        let allies = self.allies.read().unwrap_or_else(PoisonError::into_inner);
        allies.iter().map(|(ally, boxes)| (ally.clone(), *boxes)).collect()
    }

    /// Whose inbox a collection is.
    pub fn sender(&self, collection: &Collection) -> Option<MemberId> {
        let of = |(ally, boxes): (MemberId, Boxes)| (boxes.inbox == collection.key).then_some(ally);
        self.allies().into_iter().find_map(of)
    }
}

/// Finds collections by alias among those that are held.
struct Finder<'a> {
    store: &'a dyn Store,
    held: Vec<Collection>,
    now: Time,
}

impl Finder<'_> {
    fn find(&mut self, alias: &str, title: &str) -> Result<CollectionKey, StoreError> {
        if let Some(found) = self.held.iter().find(|one| one.alias.as_deref() == Some(alias)) {
            return Ok(found.key);
        }
        let new = NewCollection { alias: Some(alias.to_owned()), ..NewCollection::titled(title) };
        let made = self.store.add_collection(&new, self.now)?;
        let key = made.key;
        self.held.push(made);
        Ok(key)
    }
}

/// Days for which an ally's token is good.
const TOKEN_DAYS: i64 = 366;

/// Makes the account of an ally's node, or renews its token: it may write to its inbox and read what
/// is for it, and nothing else. Gives the token, which is shown once.
pub fn welcome(store: &dyn Store, places: &Places, ally: &MemberId, now: Time) -> Result<String, StoreError> {
    let missing = || StoreError::Missing(format!("`{ally}` is no other member of the charter"));
    let boxes = places.boxes(ally).ok_or_else(missing)?;
    let name = account(ally);
    if !store.directory()?.users.iter().any(|user| user.name == name) {
        let (password, certificate, disabled) = (None, None, false);
        let role = Role::Contributor;
        // It reads nothing but collections into which nothing is put but what was judged for it.
        let member = None;
        store.add_user(&User { name: name.clone(), role, password, certificate, disabled, member })?;
    }
    store.set_access(boxes.inbox, &name, Access { read: false, write: true })?;
    store.set_access(boxes.outbox, &name, Access { read: true, write: false })?;
    store.set_access(boxes.relay, &name, Access { read: true, write: false })?;
    let token = fresh_token()?;
    let end = Time::from_unix(now.unix_seconds() + TOKEN_DAYS * 86_400, 0);
    store.add_token(&token.record(&name, "node", Scope::ReadWrite, None, Some(end), now))?;
    Ok(token.text)
}
