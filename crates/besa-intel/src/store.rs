//! The store as the rest of Besa sees it: one trait in domain types, whichever database is behind it.

use std::fmt;

pub use besa_stix::time::Instant as Time;

use crate::account::{Role, Scope};
use crate::object::{Prepared, Role as LinkRole};

/// Largest page given out, in objects.
pub const PAGE_MAX: usize = 1_000;
/// Requests with more objects than this keep their counts but not each object's outcome.
pub const OUTCOMES_KEPT_MAX: usize = 10_000;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller's input is wrong.
    #[error("{0}")]
    Input(String),
    /// Something of that name is there already.
    #[error("{0}")]
    Exists(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// The database is locked by others or shut; trying again may help.
    #[error("the database is busy: {0}; try again")]
    Busy(String),
    /// The database cannot be used: damaged, foreign, of a later release, or out of space.
    #[error("the database cannot be used: {0}")]
    Broken(String),
}

/// The instant of a version: 12 bytes that sort as time does. Not its text: `…000Z` and
/// `…000000Z` are one version (section 3.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey(pub(crate) [u8; 12]);

impl VersionKey {
    /// The key of an instant.
    pub fn of(instant: Time) -> Self {
        let seconds = instant.unix_seconds().cast_unsigned() ^ (1 << 63);
        let joined = u128::from(seconds) << 32 | u128::from(instant.subsec_nanos());
        let mut bytes = [0; 12];
        bytes.copy_from_slice(joined.to_be_bytes().get(4..).unwrap_or(&[0; 12]));
        Self(bytes)
    }

    /// The key by which `match[version]` names this version.
    pub fn is_shown_as(self, other: Self) -> bool {
        self.shown() == other
    }

    /// The key of an object without timestamps, received at an instant. It differs from every key of
    /// a real version, so nobody can make the two collide by choosing a `modified`.
    pub fn unversioned(received: Time) -> Self {
        let mut key = Self::of(received);
        if let Some(byte) = key.0.get_mut(8) {
            *byte |= 0x80;
        }
        key
    }

    /// The key by which TAXII's `match[version]` names this version.
    pub(crate) fn shown(mut self) -> Self {
        if let Some(byte) = self.0.get_mut(8) {
            *byte &= 0x7f;
        }
        self
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Result<Self, StoreError> {
        let bytes = bytes.try_into();
        bytes.map(Self).map_err(|_| StoreError::Broken("a version key has not 12 bytes".to_owned()))
    }
}

impl fmt::Debug for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A collection's number in this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionKey(pub i64);

/// Microseconds since 1970, as `date_added` is kept.
pub fn micros(time: Time) -> i64 {
    let limit = i128::from(i64::MAX / 4);
    i64::try_from((time.unix_nanos().div_euclid(1_000)).clamp(-limit, limit)).unwrap_or_default()
}

/// `2026-01-31T23:59:59.000000Z`: microseconds as TAXII writes `date_added`.
pub fn micros_text(micros: i64) -> String {
    let time = Time::from_unix_nanos(i128::from(micros) * 1_000).unwrap_or(Time::from_unix(0, 0));
    let whole = Time::from_unix(time.unix_seconds(), 0).to_string();
    format!("{}.{:06}Z", whole.trim_end_matches('Z'), time.subsec_nanos() / 1_000)
}

/// From whom something came, as far as it matters for passing it on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// Made or brought in by the node's own people.
    #[default]
    Here,
    /// A member of the alliance, by its identity.
    Member(String),
    /// Somebody else: a feed, a server that is no member's.
    Outside,
}

/// What binds an object beside its own markings: who sent it, and under which markings.
///
/// Of an object of our own it stays as it is, whoever sends it back. Of another's it is the first
/// sender's, and the markings of all who sent it: each gave it under theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who sent it first.
    pub from: Sender,
    /// Ids of the marking-definitions of the releases under which it came, sorted.
    pub under: Vec<String>,
}

/// Objects that came in one request.
#[derive(Debug)]
pub struct Batch {
    /// Who sent them: a user, a peer, a file.
    pub who: String,
    /// When they were received.
    pub at: Time,
    /// Where they shall be listed, if anywhere.
    pub collection: Option<CollectionKey>,
    /// The objects, good and bad, in their order.
    pub objects: Vec<Prepared>,
    /// What the audit log shall say, in the same transaction.
    pub audit: Option<AuditEntry>,
    /// From whom they are, and under which markings.
    pub origin: Origin,
    /// Id of the signed release under which they came, if any.
    pub release: Option<String>,
}

impl Batch {
    /// A batch of our own, without an entry in the audit log.
    pub fn new(who: &str, at: Time, collection: Option<CollectionKey>, objects: Vec<Prepared>) -> Self {
        Self {
            who: who.to_owned(),
            at,
            collection,
            objects,
            audit: None,
            origin: Origin::default(),
            release: None,
        }
    }
}

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Stored, or newly listed in the collection.
    Added,
    /// Was there already with the same content.
    Known,
    /// The same version is there with other content; this one is kept aside.
    Conflict,
    /// Not stored.
    Refused,
}

/// Why an object may not become a new version (section 3.6): its creator, its `created`, a revocation.
pub(crate) const UNLAWFUL: [&str; 3] = [
    "only its creator may version or revoke an object (section 3.6); `created_by_ref` differs from the versions held",
    "`created` differs from the versions held (section 3.6)",
    "the object is revoked; a later version must not exist (section 3.6)",
];

/// What became of one object, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The object's id; `unknown` if it has none.
    pub id: String,
    /// Its version as written; empty if it has none.
    pub version: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, or warnings; may be empty.
    pub message: String,
}

impl Outcome {
    /// Whether the object is good in itself, and was not taken for what is held under its id.
    pub fn is_about_what_is_held(&self) -> bool {
        let refused = self.verdict == Verdict::Refused && UNLAWFUL.contains(&self.message.as_str());
        self.verdict == Verdict::Conflict || refused
    }

    /// Whether the object is in the store as it was sent.
    pub fn is_success(&self) -> bool {
        matches!(self.verdict, Verdict::Added | Verdict::Known)
    }
}

/// The record of a request: the base of TAXII's status resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// UUID of the request.
    pub request: String,
    /// Who sent it.
    pub who: String,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// The collection written to.
    pub collection: Option<CollectionKey>,
    /// Objects sent.
    pub total: u64,
    /// Of them refused or in conflict.
    pub failed: u64,
    /// Object by object; `None` if there were more than [`OUTCOMES_KEPT_MAX`].
    pub outcomes: Option<Vec<Outcome>>,
}

impl Receipt {
    /// Objects that are now in the store as sent.
    pub fn successes(&self) -> u64 {
        self.total.saturating_sub(self.failed)
    }

    /// Objects that were refused or are in conflict.
    pub fn failures(&self) -> u64 {
        self.failed
    }
}

/// Which versions of an object (TAXII 2.1 section 3.4.1). Several may be asked for at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionFilter {
    /// Every version.
    pub all: bool,
    /// The earliest.
    pub first: bool,
    /// The latest; a revocation counts as the latest.
    pub last: bool,
    /// These.
    pub exact: Vec<VersionKey>,
}

impl VersionFilter {
    /// The latest version only: the standard's default.
    pub fn last() -> Self {
        Self { last: true, ..Self::default() }
    }

    /// Every version.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }
}

/// A page asked for.
#[derive(Clone, Debug)]
pub struct PageQuery {
    /// Only what has a greater commit number.
    pub after: u64,
    /// Only what was added later.
    pub added_after: Option<Time>,
    /// At most so many objects; [`PAGE_MAX`] at most.
    pub limit: usize,
    /// Only these ids; empty for all.
    pub ids: Vec<String>,
    /// Only these types; empty for all.
    pub types: Vec<String>,
    /// Which versions.
    pub versions: VersionFilter,
    /// Only objects of these versions of STIX (20, 21); `None` for the latest that each object has.
    pub specs: Option<Vec<i64>>,
    /// Whether the objects' texts are wanted.
    pub content: bool,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self {
            after: 0,
            added_after: None,
            limit: PAGE_MAX,
            ids: Vec::new(),
            types: Vec::new(),
            versions: VersionFilter::last(),
            specs: None,
            content: true,
        }
    }
}

/// An object's place in a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Commit number of the listing.
    pub seq: u64,
    /// `date_added`, microseconds since 1970.
    pub added: i64,
    /// 20 or 21.
    pub spec: i64,
    /// Identifier; empty if the text was asked for.
    pub id: String,
    /// Version as TAXII names it; empty if the text was asked for.
    pub version: String,
    /// The object's text as received, if asked for.
    pub raw: String,
}

/// A page. It may hold fewer objects than asked for, even none, and `more` still be true: the work
/// for one page is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In order of commit.
    pub entries: Vec<Entry>,
    /// From where the next page goes on.
    pub next: u64,
    /// Whether there is a next page.
    pub more: bool,
}

/// An object with its provenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Commit number.
    pub seq: u64,
    /// Identifier.
    pub id: String,
    /// Version as written, or when it was first received if it has none.
    pub version: String,
    /// 20 or 21.
    pub spec: i64,
    /// Whether this version revokes the object.
    pub revoked: bool,
    /// Text as received.
    pub raw: String,
    /// Who sent it first.
    pub who: String,
    /// When, in microseconds since 1970.
    pub received: i64,
    /// In which request.
    pub request: String,
    /// Id of the signed release under which it came first, if any.
    pub release: Option<String>,
    /// What binds it beside its own markings.
    pub origin: Origin,
}

/// Another content of a version that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Number of the conflict.
    pub number: u64,
    /// The object's id.
    pub id: String,
    /// The text that was not taken.
    pub raw: String,
    /// Who sent it.
    pub who: String,
    /// When, in microseconds since 1970.
    pub received: i64,
}

/// How far a collection was looked at for one reader from outside. The numbers of its rows are the
/// reader's cursors: they count what it was shown, and nothing of what it was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The collection.
    pub collection: CollectionKey,
    /// The reader: a member's identity, or `public`.
    pub reader: String,
    /// Its number in this store; `None` before the first row.
    pub key: Option<i64>,
    /// What the verdicts depend on beside the store; when it changes, everything is looked at again.
    pub mark: String,
    /// Everything up to this commit was looked at.
    pub seen: u64,
    /// A walk through the whole collection that is under way: up to which listing it is, and at which
    /// commit it began.
    pub walk: Option<(u64, u64)>,
    /// Everything is to be looked at again from this moment on, microseconds since 1970.
    pub again_at: Option<i64>,
    /// Number of the last row.
    pub last: u64,
    /// When it was added, microseconds since 1970.
    pub added: i64,
}

/// A row of a ledger: what once was visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its number: 1, 2, 3 and so on. Not asked for when it is appended.
    pub number: u64,
    /// The version that was shown.
    pub object: u64,
    /// SHA-256 of the text that was shown.
    pub digest: [u8; 32],
    /// Id of what was shown; a redacted copy has its own.
    pub id: String,
    /// Its type.
    pub object_type: String,
    /// Its version, as a key and as written.
    pub version: (VersionKey, String),
    /// 20 or 21.
    pub spec: i64,
    /// Whether it says that it is revoked.
    pub revoked: bool,
    /// When it became visible, microseconds since 1970. Not asked for when it is appended.
    pub added: i64,
}

/// Which rows of a ledger.
#[derive(Clone, Copy, Debug)]
pub enum RowsOf<'a> {
    /// All.
    Everything,
    /// Of one type.
    Type(&'a str),
    /// Of one id.
    Id(&'a str),
}

/// A collection to be made.
#[derive(Clone, Debug)]
pub struct NewCollection {
    /// UUID; made if `None`.
    pub id: Option<String>,
    /// API root it belongs to; made if it is not there.
    pub root: String,
    /// A second name, unique in the root.
    pub alias: Option<String>,
    /// Title.
    pub title: String,
    /// Description.
    pub description: Option<String>,
}

impl NewCollection {
    /// A collection in the root `api`.
    pub fn titled(title: &str) -> Self {
        let title = title.to_owned();
        Self { id: None, root: DEFAULT_ROOT.to_owned(), alias: None, title, description: None }
    }
}

/// The API root that every store has.
pub const DEFAULT_ROOT: &str = "api";

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its number.
    pub key: CollectionKey,
    /// UUID.
    pub id: String,
    /// API root.
    pub root: String,
    /// Second name.
    pub alias: Option<String>,
    /// Title.
    pub title: String,
    /// Description.
    pub description: Option<String>,
}

/// What a user may do in a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Read from it.
    pub read: bool,
    /// Write to it.
    pub write: bool,
}

impl Access {
    /// Reads `rw`, `ro`, `wo` or `none`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "rw" => Self { read: true, write: true },
            "ro" => Self { read: true, write: false },
            "wo" => Self { read: false, write: true },
            "none" => Self::default(),
            _ => return None,
        })
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// argon2id hash in PHC form, if there is a password.
    pub password: Option<String>,
    /// SHA-256 of the client certificate (DER), lower-case hexadecimal.
    pub certificate: Option<String>,
    /// May not log in.
    pub disabled: bool,
    /// For whom it stands: a member's identity, `public` for somebody outside of the charter, nothing
    /// for the node's own people and programs.
    pub member: Option<String>,
}

/// [`User::member`] of those who are nobody's member.
pub const MEMBER_PUBLIC: &str = "public";

/// An API token as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Public half.
    pub id: String,
    /// Whose.
    pub user: String,
    /// What for.
    pub label: String,
    /// SHA-256 of the secret half.
    pub hash: Vec<u8>,
    /// What it allows at most.
    pub scope: Scope,
    /// Only for this collection.
    pub collection: Option<CollectionKey>,
    /// Made at, microseconds since 1970.
    pub created: i64,
    /// Ends at, microseconds since 1970.
    pub expires: Option<i64>,
}

/// Accounts, collections and rights: small, and read as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Rises with every change of what is in here.
    pub epoch: i64,
    /// API roots, by name.
    pub roots: Vec<String>,
    /// All collections in the order they were made.
    pub collections: Vec<Collection>,
    /// All users.
    pub users: Vec<User>,
    /// All tokens.
    pub tokens: Vec<Token>,
    /// Rights, by collection and user.
    pub access: Vec<(CollectionKey, String, Access)>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, microseconds since 1970.
    pub at: i64,
    /// Who; empty if unknown.
    pub actor: String,
    /// From where: an address, or `command line`.
    pub source: String,
    /// What was done, e.g. `GET` or `user add`.
    pub action: String,
    /// To what, e.g. a path or a user's name.
    pub target: String,
    /// How it ended, e.g. `200`.
    pub outcome: String,
}

/// What is not kept for ever.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Audit entries, in days; `None` for ever.
    pub audit_days: Option<u32>,
    /// Outcomes of requests object by object, and records of requests that brought nothing, in days.
    /// TAXII wants a status to be there for at least a day (section 4.3).
    pub status_days: u32,
}

impl Default for Keep {
    /// A year of audit, a month of statuses.
    fn default() -> Self {
        Self { audit_days: Some(366), status_days: 31 }
    }
}

/// What was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Entries of the audit log.
    pub audit: u64,
    /// Statuses shortened to their counts or removed.
    pub statuses: u64,
}

/// The store. Every method may block on disk; none holds the write lock for longer than its own work.
pub trait Store: Send + Sync {
    /// Stores a batch in one transaction; on return it is durable.
    fn add_objects(&self, batch: Batch) -> Result<Receipt, StoreError>;
    /// The record of a request.
    fn request(&self, id: &str) -> Result<Option<Receipt>, StoreError>;
    /// A page of a collection; constant work whatever the collection's size.
    fn page(&self, collection: CollectionKey, query: &PageQuery) -> Result<Page, StoreError>;
    /// Takes versions of an object out of a collection; the store keeps them. Gives how many.
    fn unlist(
        &self,
        collection: CollectionKey,
        id: &str,
        versions: &VersionFilter,
        specs: Option<&[i64]>,
        audit: Option<AuditEntry>,
    ) -> Result<u64, StoreError>;

    /// Every version of an object, oldest first.
    fn versions(&self, id: &str) -> Result<Vec<Stored>, StoreError>;
    /// One version of an object, or its latest.
    fn object(&self, id: &str, version: Option<Time>) -> Result<Option<Stored>, StoreError>;
    /// Everything after a commit number, at most `limit`.
    fn since(&self, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError>;
    /// Objects of a type after a commit number.
    fn by_type(&self, object_type: &str, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError>;
    /// Objects and indicators that name an observable value, however it is spelt.
    fn by_observable(&self, value: &str, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError>;
    /// Objects that refer to an object, in one role or any.
    fn by_reference(
        &self,
        id: &str,
        role: Option<LinkRole>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError>;
    /// Objects whose texts have all these words.
    fn search(&self, words: &str, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError>;
    /// Contents that were not taken because their version was held with another content.
    fn conflicts(&self, after: u64, limit: usize) -> Result<Vec<Conflict>, StoreError>;
    /// Who else sent an object's version, and when (microseconds): every later arrival.
    fn arrivals(&self, seq: u64) -> Result<Vec<(String, i64)>, StoreError>;

    /// What one reader from outside was shown of a collection, and how far that was looked at.
    fn ledger(&self, collection: CollectionKey, reader: &str) -> Result<Ledger, StoreError>;
    /// Appends what became visible and moves the marks on, in one transaction. False if another did so
    /// meanwhile: nothing was done.
    fn advance_ledger(&self, before: &Ledger, after: &Ledger, shown: Vec<Shown>) -> Result<bool, StoreError>;
    /// Rows of a ledger after a number, in order.
    fn ledger_rows(
        &self,
        ledger: &Ledger,
        of: &RowsOf<'_>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Shown>, StoreError>;
    /// The number of the last row that was added at or before a time.
    fn ledger_until(&self, ledger: &Ledger, time: Time) -> Result<u64, StoreError>;
    /// Listings of a collection after a commit and up to another, in order: `(listing, object)`.
    fn listings(
        &self,
        collection: CollectionKey,
        after: u64,
        until: u64,
        limit: usize,
    ) -> Result<Vec<(u64, u64)>, StoreError>;
    /// Listings of a collection that may look otherwise since a commit: those of objects that came or
    /// changed, and of all that refer to such, directly or not. `None` if that is more than `most`.
    fn affected(
        &self,
        collection: CollectionKey,
        after: u64,
        until: u64,
        most: usize,
    ) -> Result<Option<Vec<(u64, u64)>>, StoreError>;
    /// Versions by number, as far as they are listed in a collection now; in the order asked for.
    fn listed(&self, collection: CollectionKey, objects: &[u64]) -> Result<Vec<Stored>, StoreError>;

    /// Makes a collection.
    fn add_collection(&self, new: &NewCollection, at: Time) -> Result<Collection, StoreError>;
    /// Says what a user may do in a collection.
    fn set_access(&self, collection: CollectionKey, user: &str, access: Access) -> Result<(), StoreError>;
    /// Makes a user.
    fn add_user(&self, user: &User) -> Result<(), StoreError>;
    /// Replaces a user's role, password, certificate, state and member.
    fn update_user(&self, user: &User) -> Result<(), StoreError>;
    /// Deletes a user with tokens and rights.
    fn remove_user(&self, name: &str) -> Result<(), StoreError>;
    /// Keeps a new token.
    fn add_token(&self, token: &Token) -> Result<(), StoreError>;
    /// Deletes a token.
    fn remove_token(&self, id: &str) -> Result<(), StoreError>;
    /// The number that rises with every change of accounts, collections and rights.
    fn epoch(&self) -> Result<i64, StoreError>;
    /// All accounts, collections and rights.
    fn directory(&self) -> Result<Directory, StoreError>;

    /// Writes to the audit log soon, without waiting. False if the queue is full.
    fn audit_soon(&self, entry: AuditEntry) -> bool;
    /// Writes to the audit log, durably.
    fn audit(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError>;
    /// The audit log after an entry number.
    fn audit_log(&self, after: u64, limit: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError>;

    /// Cuts what is older than it is kept for, in small transactions. The audit log says what was cut
    /// from it, in the same transaction.
    fn tidy(&self, keep: &Keep, now: Time) -> Result<Tidied, StoreError>;

    /// Finds a number of a client's own (a pull's cursor) by name.
    fn cursor(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Keeps it.
    fn set_cursor(&self, name: &str, value: &str) -> Result<(), StoreError>;
    /// Fails if the database cannot be read or written.
    fn check(&self) -> Result<(), StoreError>;
    /// The number of the last commit.
    fn last_commit(&self) -> Result<u64, StoreError>;
}
