//! One's own logs: an entry is signed, put behind the one before, and durable.
//!
//! The running node and the command line may both sign. A lock file lets one of them work at a
//! time, and under it the heads are read on from the store, so that no two entries get one number:
//! a fork would be a breach that every ally could prove.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use besa_alliance::entry::{Audience, Content, Entry, Envelope, log_id};
use besa_alliance::keys::SecretKey;
use besa_alliance::log::Head;
use besa_alliance::member::{Digest, MemberId};
use besa_alliance::signed::Kind;
use besa_intel::{Batch, CollectionKey, PageQuery, Prepared, Store, Time, VersionFilter, prepare};

use crate::error::NodeError;

/// The kinds of entries.
pub(crate) const ENTRY_KINDS: [Kind; 4] = [Kind::Release, Kind::Receipt, Kind::Answer, Kind::Witness];

/// One's own logs.
pub struct Journal {
    store: Arc<dyn Store>,
    sent: CollectionKey,
    me: MemberId,
    key: SecretKey,
    lock: PathBuf,
    state: Mutex<State>,
}

/// How far the store was read, and the head of each log there.
#[derive(Debug, Default)]
struct State {
    after: u64,
    heads: HashMap<Digest, Head>,
}

/// What to sign.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The alliance.
    pub alliance: Digest,
    /// The charter in force.
    pub charter: u64,
    /// To whom.
    pub audience: Audience,
    /// Under which markings.
    pub markings: Vec<String>,
    /// What.
    pub content: Content,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Journal {
    /// The logs of a member, signed with its node's key.
    pub fn new(
        store: Arc<dyn Store>,
        sent: CollectionKey,
        me: MemberId,
        key: SecretKey,
        lock: PathBuf,
    ) -> Self {
        Self { store, sent, me, key, lock, state: Mutex::default() }
    }

    /// Signs an entry, and makes it and the objects that it brings durable, in one transaction.
    pub fn append(&self, draft: Draft, objects: &[String], now: Time) -> Result<Entry, NodeError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| NodeError::File(self.lock.clone(), error);
        let file =
            File::options().create(true).truncate(false).write(true).open(&self.lock).map_err(failed)?;
        file.lock().map_err(failed)?;
        self.read_on(&mut state)?;
        let head = state.heads.get(&log_id(&draft.alliance, &self.me, &draft.audience));
        let created = head.map_or(now, |head| head.created.max(now));
        let envelope = Envelope {
            created_by_ref: self.me.clone(),
            alliance: draft.alliance,
            charter: draft.charter,
            audience: draft.audience,
            object_marking_refs: draft.markings,
            sequence: head.map_or(1, |head| head.sequence + 1),
            previous: head.map(|head| head.digest),
        };
        let entry = Entry::sign(created, envelope, draft.content, &self.key)?;
        self.put(objects.iter().map(String::as_str).chain([entry.text().as_str()]), now)?;
        Ok(entry)
    }

    /// Puts something that carries its own signatures (a charter, a proof) where allies get it.
    pub fn enclose(&self, text: &str, now: Time) -> Result<(), NodeError> {
        self.put([text], now)
    }

    fn put<'a>(&self, texts: impl IntoIterator<Item = &'a str>, now: Time) -> Result<(), NodeError> {
        let receipt =
            self.store.add_objects(Batch::new("alliance", now, Some(self.sent), prepared(texts)?))?;
        let failed = receipt.outcomes.unwrap_or_default().into_iter().find(|one| !one.is_success());
        match failed {
            Some(failed) => {
                Err(NodeError::Input(format!("`{}` cannot be stored: {}", failed.id, failed.message)))
            }
            None if receipt.failed > 0 => Err(NodeError::Input("an object cannot be stored".to_owned())),
            None => Ok(()),
        }
    }

    fn read_on(&self, state: &mut State) -> Result<(), NodeError> {
        each_entry(self.store.as_ref(), self.sent, &mut state.after, &mut |_, entry| {
            let log = entry.log();
            state.heads.insert(log, Head::of_first(&entry, log));
            Ok(true)
        })
    }
}

/// Texts of objects as the store takes them.
pub(crate) fn prepared<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Prepared>, NodeError> {
    let one = |text| serde_json::from_str(text).map(prepare);
    let all: Result<_, _> = texts.into_iter().map(one).collect();
    all.map_err(|error: serde_json::Error| NodeError::Input(error.to_string()))
}

/// Visits the entries of a collection behind a commit number, in order, and moves it on. The visitor
/// says with `false` that it does not go on, and the number stays before that entry.
pub(crate) fn each_entry(
    store: &dyn Store,
    collection: CollectionKey,
    after: &mut u64,
    visit: &mut dyn FnMut(u64, Entry) -> Result<bool, NodeError>,
) -> Result<(), NodeError> {
    let types = ENTRY_KINDS.iter().map(|kind| kind.object_type().to_owned()).collect();
    each_object(store, collection, types, after, &mut |seq, raw| match Entry::parse(raw) {
        Ok(entry) => visit(seq, entry),
        Err(error) => {
            // Nothing gets into these collections that was not read before.
            tracing::error!(%error, seq, "an entry in the store cannot be read");
            Ok(true)
        }
    })
}

/// Visits the texts of some types in a collection behind a commit number, as [`each_entry`] does.
pub(crate) fn each_object(
    store: &dyn Store,
    collection: CollectionKey,
    types: Vec<String>,
    after: &mut u64,
    visit: &mut dyn FnMut(u64, &str) -> Result<bool, NodeError>,
) -> Result<(), NodeError> {
    let mut query = PageQuery {
        after: *after,
        types,
        versions: VersionFilter::all(),
        specs: Some(vec![20, 21]),
        ..PageQuery::default()
    };
    loop {
        let page = store.page(collection, &query)?;
        for entry in &page.entries {
            if !visit(entry.seq, &entry.raw)? {
                return Ok(());
            }
            *after = entry.seq;
        }
        if !page.more {
            return Ok(());
        }
        *after = page.next;
        query.after = page.next;
    }
}
