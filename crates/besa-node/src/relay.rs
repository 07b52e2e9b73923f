//! What a signer cannot bring to an ally itself goes round: a witness keeps it for the others, and who
//! lacks it fetches it there.
//!
//! ```text
//! A ──✂── C      A ──▶ W: worked off ─▶ relay-C      W's witness statement ─▶ C: "A's log is at 7"
//!                C, after [`LACKING_SECONDS`]: asks W for entry 7, 6 … back to what it has, then for
//!                the objects that they name, oldest first; all of it goes through C's own gate
//! ```
//!
//! - Only logs for all members go round. Each entry and object is judged for each reader **as if its
//!   signer released it**: the signer has named the reader, the relay adds nobody and nothing.
//! - Nothing goes round that arrived in time: an ally asks for what it lacks, nobody pushes.
//! - The way back serves as proof: where a witness names another entry than the one held, the other
//!   is fetched, and the two entries are a fork that every ally can verify.

use std::sync::Arc;

use besa_alliance::entry::{Audience, Entry, EntryRef};
use besa_alliance::member::{Digest, MemberId, Role};
use besa_alliance::policy::Recipient;
use besa_alliance::signed::id_of;
use besa_exchange::taxii::client::Client;
use besa_intel::{Batch, CollectionKey, Store, Time};

use crate::error::NodeError;
use crate::gate::Gate;
use crate::intake::list;
use crate::journal::{ENTRY_KINDS, prepared};
use crate::places::Places;
use crate::release::signed_for;

/// Entries fetched of one log in one go; what is farther back waits for the next.
const STEPS_MAX: usize = 10_000;

/// Keeps for each other member what a witness has worked off. Repetition does nothing.
pub(crate) fn pass_on(
    store: &dyn Store,
    gate: &Gate,
    places: &Places,
    entry: &Entry,
    now: Time,
) -> Result<(), NodeError> {
    let directory = Arc::clone(&gate.known().directory);
    if entry.envelope().audience != Audience::Charter || !is_witness(&directory, gate.me()) {
        return Ok(());
    }
    let text = entry.text();
    for (ally, boxes) in places.allies() {
        if ally == *entry.member() {
            continue;
        }
        let recipient = Recipient::Member(ally);
        let released = signed_for(store, &directory, entry.member(), &recipient, &text, now)?;
        let texts: Vec<String> = released.iter().map(|text| text.get().json().to_owned()).collect();
        list(store, boxes.relay, &texts, now)?;
    }
    Ok(())
}

fn is_witness(directory: &besa_alliance::directory::Directory, member: &MemberId) -> bool {
    let found = directory.charter().contents.member(member);
    found.is_some_and(|member| member.is_active() && member.roles.contains(&Role::Witness))
}

/// Fetches from a witness what it has and this node lacks.
pub(crate) struct Fetch<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) client: &'a Client,
    /// The witness.
    pub(crate) witness: &'a MemberId,
    /// URL of the collection that it keeps for this node.
    pub(crate) relay: String,
    /// Where it goes here: the witness's inbox.
    pub(crate) into: CollectionKey,
}

impl Fetch<'_> {
    /// Fetches all that is due. True if there was something.
    pub(crate) fn run(&self, now: Time) -> Result<bool, NodeError> {
        let (due, is_witness) = {
            let mut known = self.gate.known();
            (known.lacking(now), is_witness(&known.directory, self.witness))
        };
        if !is_witness {
            return Ok(false);
        }
        let mut came = false;
        for head in due {
            for digest in self.way_back(&head)?.into_iter().rev() {
                let Some(entry) = self.entry(&digest)? else { break };
                if !self.take(&entry, now)? {
                    break;
                }
                came = true;
            }
        }
        Ok(came)
    }

    /// The entries from a head back to the first that is not held, newest first.
    fn way_back(&self, head: &EntryRef) -> Result<Vec<Digest>, NodeError> {
        let (mut way, mut sequence) = (vec![head.entry_sha256], head.entry_sequence);
        let mut next = self.entry(&head.entry_sha256)?;
        while let Some(entry) = next.take() {
            if entry.log() != head.entry_log || entry.sequence() != sequence || self.gate.is_stopped() {
                return Ok(Vec::new());
            }
            sequence = sequence.saturating_sub(1);
            let before = entry.envelope().previous;
            let held = self.gate.known().held(&head.entry_log, sequence);
            let Some(before) = before.filter(|before| held != Some(*before)) else { return Ok(way) };
            if way.len() >= STEPS_MAX {
                tracing::info!(log = %head.entry_log, "far behind in a log; a part is fetched now");
                way.clear();
            }
            way.push(before);
            next = self.entry(&before)?;
        }
        // The witness has not all of it: nothing could be joined on.
        Ok(Vec::new())
    }

    /// An entry by its hash, if the witness has it.
    fn entry(&self, digest: &Digest) -> Result<Option<Entry>, NodeError> {
        let ids: Vec<String> = ENTRY_KINDS.iter().map(|kind| id_of(*kind, digest)).collect();
        let texts = self.client.named(&self.relay, &ids)?;
        let mut entries = texts.iter().filter_map(|text| Entry::parse(text).ok());
        Ok(entries.rfind(|entry| entry.digest == *digest))
    }

    /// Puts an entry with its objects through the gate. False if it was refused.
    fn take(&self, entry: &Entry, now: Time) -> Result<bool, NodeError> {
        let ids: Vec<String> = entry.content().objects().iter().map(|line| line.object_ref.clone()).collect();
        let mut texts = vec![entry.text()];
        texts.extend(self.client.named(&self.relay, &ids)?);
        let prepared = prepared(texts.iter().map(String::as_str))?;
        let batch = Batch::new("alliance relay", now, Some(self.into), prepared);
        self.gate.judge(self.witness, batch)?;
        Ok(self.gate.known().held(&entry.log(), entry.sequence()) == Some(entry.digest))
    }
}
