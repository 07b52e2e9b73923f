//! The courier to one ally: what is for it goes to it, in the order in which it was signed.
//!
//! Each entry of one's own logs that the ally may read is judged once more for it, listed with its
//! objects in the ally's outbox (which the ally may pull), and pushed to the ally's node. A cursor
//! in the store says how far that went; it moves when the ally has it durable. An ally that is away
//! for a day gets everything in order when it is back.
//!
//! An ally that lacks entries before (it restored an old backup) says so, and gets all from the
//! beginning: repetitions do nothing.

use std::sync::Arc;
use std::time::Duration;

use besa_alliance::member::MemberId;
use besa_alliance::policy::{Recipient, Released, Text};
use besa_alliance::signed::Kind;
use besa_exchange::taxii::client::{Client, Pushed};
use besa_intel::{CollectionKey, Store, Time};

use crate::bell::Bell;
use crate::error::NodeError;
use crate::gate::Gate;
use crate::intake::list;
use crate::journal::each_object;
use crate::places::{Boxes, Places, inbox, outbox, relay};
use crate::relay::Fetch;
use crate::release::signed_for;
use crate::settings::Peer;

/// Entries and objects in one request.
const LOAD_MAX: usize = 1_000;
/// First and longest pause after a failure.
pub(crate) const PAUSE_FIRST: Duration = Duration::from_millis(200);
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Reasons of an ally that may pass when something else has arrived.
const PASSING: [&str; 3] = ["unknown-charter", "from-the-future", "gap"];

/// See the module.
pub struct Courier {
    store: Arc<dyn Store>,
    gate: Arc<Gate>,
    places: Places,
    me: MemberId,
    ally: MemberId,
    /// Its node as the settings have it.
    peer: Option<Peer>,
    /// Its node, if it can be reached, and the URL of its API root.
    remote: Option<(Client, String)>,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("ally", &self.ally).finish_non_exhaustive()
    }
}

/// What a round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Everything there was has arrived.
    Done,
    /// The ally is not ready for it; to be tried again.
    Again,
}

impl Courier {
    /// A courier to an ally. Until it knows where the ally's node is, its outbox is filled and nothing
    /// pushed.
    pub fn new(store: Arc<dyn Store>, gate: Arc<Gate>, places: Places, me: MemberId, ally: MemberId) -> Self {
        Self { store, gate, places, me, ally, peer: None, remote: None }
    }

    /// To whom.
    pub fn ally(&self) -> &MemberId {
        &self.ally
    }

    /// Waits until the ally is tried again: for a time, or until it is heard of, since the way back is
    /// there then. False at the end.
    pub(crate) fn rest(&self, bell: &Bell, most: Duration) -> bool {
        let (heard, mut rested) = (self.gate.heard(&self.ally), Duration::ZERO);
        while rested < most && self.gate.heard(&self.ally) == heard {
            if !bell.pause(PAUSE_FIRST) {
                return false;
            }
            rested += PAUSE_FIRST;
        }
        true
    }

    /// Brings what is new.
    pub fn deliver(&self, now: Time) -> Result<Round, NodeError> {
        let Some(Boxes { outbox, .. }) = self.places.boxes(&self.ally) else { return Ok(Round::Done) };
        let before: u64 =
            self.store.cursor(&cursor(&self.ally))?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (mut after, mut delivered) = (before, before);
        let (mut load, mut again) = (Vec::new(), false);
        let types = Kind::ALL.iter().map(|kind| kind.object_type().to_owned()).collect();
        each_object(self.store.as_ref(), self.places.sent, types, &mut after, &mut |seq, raw| {
            load.extend(self.released(raw, now)?);
            if load.len() >= LOAD_MAX {
                again = self.carry(outbox, &load, now)? == Round::Again;
                load.clear();
                if !again {
                    delivered = seq;
                    self.store.set_cursor(&cursor(&self.ally), &seq.to_string())?;
                }
            }
            Ok(!again)
        })?;
        if again {
            return Ok(Round::Again);
        }
        if self.carry(outbox, &load, now)? == Round::Again {
            return Ok(Round::Again);
        }
        if after != delivered {
            self.store.set_cursor(&cursor(&self.ally), &after.to_string())?;
        }
        Ok(Round::Done)
    }

    /// Something signed and the objects it brings, as far as they may go to the ally now.
    fn released(&self, raw: &str, now: Time) -> Result<Vec<Released<Text>>, NodeError> {
        let directory = Arc::clone(&self.gate.known().directory);
        let recipient = Recipient::Member(self.ally.clone());
        signed_for(self.store.as_ref(), &directory, &self.me, &recipient, raw, now)
    }

    /// The one way out to an ally: into its outbox, and to its node.
    fn carry(&self, outbox: CollectionKey, load: &[Released<Text>], now: Time) -> Result<Round, NodeError> {
        debug_assert!(load.iter().all(|text| text.recipient().member() == Some(&self.ally)));
        let texts: Vec<String> = load.iter().map(|text| text.get().json().to_owned()).collect();
        if texts.is_empty() {
            return Ok(Round::Done);
        }
        list(self.store.as_ref(), outbox, &texts, now)?;
        let Some((client, url)) = &self.remote else { return Ok(Round::Done) };
        let pushed = client.push(&collection_url(url, &inbox(&self.me)), load)?;
        self.judge(&pushed)
    }

    fn judge(&self, pushed: &Pushed) -> Result<Round, NodeError> {
        let mut again = false;
        for (id, reason) in &pushed.failures {
            let name = reason.split(':').next().unwrap_or_default();
            tracing::warn!(ally = %self.ally, object = id, reason, "the ally refuses it");
            if PASSING.contains(&name) {
                again = true;
            }
            if name == "gap" {
                // It lacks what it had: everything once more.
                self.store.set_cursor(&cursor(&self.ally), "0")?;
            }
        }
        Ok(if again { Round::Again } else { Round::Done })
    }

    /// Fetches what the ally has for us, in case that it cannot reach us. True if there was something.
    pub fn fetch(&self, clock: fn() -> Time) -> Result<bool, NodeError> {
        let (Some((client, url)), Some(boxes)) = (&self.remote, self.places.boxes(&self.ally)) else {
            return Ok(false);
        };
        let url = collection_url(url, &outbox(&self.me));
        let pulled = client.pull_through(self.store.as_ref(), &url, Some(boxes.inbox), &clock, &|batch| {
            self.gate.judge(&self.ally, batch)
        })?;
        Ok(pulled.added > 0)
    }

    /// Fetches from the ally, if it is a witness, what others could not bring to us. True if there was
    /// something.
    pub fn fetch_lacking(&self, now: Time) -> Result<bool, NodeError> {
        let (Some((client, url)), Some(boxes)) = (&self.remote, self.places.boxes(&self.ally)) else {
            return Ok(false);
        };
        let fetch = Fetch {
            gate: &self.gate,
            client,
            witness: &self.ally,
            relay: collection_url(url, &relay(&self.me)),
            into: boxes.inbox,
        };
        fetch.run(now)
    }

    /// Takes where the ally's node is from the settings, as they are now.
    pub(crate) fn meet(&mut self, peer: Option<&Peer>) -> Result<(), NodeError> {
        if self.peer.as_ref() != peer {
            self.remote = remote(peer)?;
            self.peer = peer.cloned();
        }
        Ok(())
    }
}

fn remote(peer: Option<&Peer>) -> Result<Option<(Client, String)>, NodeError> {
    match peer.and_then(|peer| Some((peer, peer.url.clone()?))) {
        Some((peer, url)) => Ok(Some((peer.client()?, url))),
        None => Ok(None),
    }
}

/// The name of the cursor that says how far the courier to an ally has come in one's own logs.
pub fn cursor(ally: &MemberId) -> String {
    format!("alliance courier {ally}")
}

fn collection_url(root: &str, alias: &str) -> String {
    format!("{}/collections/{alias}/", root.trim_end_matches('/'))
}
