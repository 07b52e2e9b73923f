//! The collections of the alliance in the store.
//!
//! | alias | holds |
//! |---|---|
//! | `alliance-sent` | one's own logs: entries, with the objects they bring |
//! | `alliance-accepted` | objects of allies that are used |
//! | `alliance-quarantine` | objects of allies that wait for an analyst |
//! | `from-UUID` | what the member with this identity sent; it may write there |
//! | `to-UUID` | what is for that member; it may read there |

use std::collections::BTreeMap;

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
    /// What each member sent.
    pub inboxes: BTreeMap<MemberId, CollectionKey>,
    /// What is for each member.
    pub outboxes: BTreeMap<MemberId, CollectionKey>,
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
        let mut held = store.directory()?.collections;
        let mut find = |alias: String, title: String| -> Result<CollectionKey, StoreError> {
            if let Some(found) = held.iter().find(|one| one.alias.as_deref() == Some(&alias)) {
                return Ok(found.key);
            }
            let new = NewCollection { alias: Some(alias), ..NewCollection::titled(&title) };
            let made = store.add_collection(&new, now)?;
            let key = made.key;
            held.push(made);
            Ok(key)
        };
        let mut places = Self {
            sent: find(SENT.to_owned(), "What this node signed".to_owned())?,
            accepted: find(ACCEPTED.to_owned(), "Objects of allies in use".to_owned())?,
            quarantine: find(QUARANTINE.to_owned(), "Objects of allies that wait".to_owned())?,
            inboxes: BTreeMap::new(),
            outboxes: BTreeMap::new(),
        };
        for ally in allies {
            places.inboxes.insert(ally.clone(), find(inbox(ally), format!("From {ally}"))?);
            places.outboxes.insert(ally.clone(), find(outbox(ally), format!("For {ally}"))?);
        }
        Ok(places)
    }

    /// Whose inbox a collection is.
    pub fn sender(&self, collection: &Collection) -> Option<&MemberId> {
        self.inboxes.iter().find(|(_, key)| **key == collection.key).map(|(member, _)| member)
    }
}

/// Days for which an ally's token is good.
const TOKEN_DAYS: i64 = 366;

/// Makes the account of an ally's node, or renews its token: it may write to its inbox and read its
/// outbox, and nothing else. Gives the token, which is shown once.
pub fn welcome(store: &dyn Store, places: &Places, ally: &MemberId, now: Time) -> Result<String, StoreError> {
    let missing = || StoreError::Missing(format!("`{ally}` is no other member of the charter"));
    let inbox = places.inboxes.get(ally).ok_or_else(missing)?;
    let outbox = places.outboxes.get(ally).ok_or_else(missing)?;
    let name = account(ally);
    if !store.directory()?.users.iter().any(|user| user.name == name) {
        let (password, certificate, disabled) = (None, None, false);
        let role = Role::Contributor;
        // It reads nothing but its outbox, into which nothing is put but what was released to it.
        let member = None;
        store.add_user(&User { name: name.clone(), role, password, certificate, disabled, member })?;
    }
    store.set_access(*inbox, &name, Access { read: false, write: true })?;
    store.set_access(*outbox, &name, Access { read: true, write: false })?;
    let token = fresh_token()?;
    let end = Time::from_unix(now.unix_seconds() + TOKEN_DAYS * 86_400, 0);
    store.add_token(&token.record(&name, "node", Scope::ReadWrite, None, Some(end), now))?;
    Ok(token.text)
}
