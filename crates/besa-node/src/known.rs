//! What a node has verified of the alliance: members and keys, the heads of all logs, and which
//! objects may still arrive. Read from the store and the files at the start, then kept in step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use besa_alliance::directory::Directory;
use besa_alliance::entry::{Content, Entry, EntryRef};
use besa_alliance::log::{Admitted, Head, Ledger};
use besa_alliance::member::{Digest, MemberId};
use besa_alliance::refusal::Refusal;
use besa_intel::{Store, Time};

use crate::error::NodeError;
use crate::journal::each_entry;
use crate::places::{Boxes, Places};

/// An object and its version, as an entry names it.
pub type Line = (String, Option<String>);

/// How long what a witness has may be on its way to us before it is asked for there.
pub(crate) const LACKING_SECONDS: i64 = 10;

/// Lines of entries whose objects have not all arrived; beyond, allies are asked to wait.
const EXPECTED_MAX: usize = 200_000;

/// See the module.
#[derive(Debug)]
pub struct Known {
    /// Members, keys, revocations; shared, since many look at it while few change it.
    pub directory: Arc<Directory>,
    ledger: Ledger,
    /// The hash of entry n of a log stands at place n - 1.
    hashes: HashMap<Digest, Vec<Digest>>,
    expected: HashMap<String, Vec<Arc<Entry>>>,
    expected_lines: usize,
    /// Objects that came from the signer itself and are not what it signed, by entry.
    faults: HashMap<Digest, BTreeMap<Line, &'static str>>,
    /// Heads that witnesses name and that are not held, since when, in seconds since 1970.
    lacking: BTreeMap<Digest, (EntryRef, i64)>,
    /// Logs in which a fork was found: what else there is of them is of no use.
    forked: BTreeSet<Digest>,
    /// Files of the chain when it was read.
    pub(crate) chain_len: usize,
}

/// The name of the cursor up to which a member's inbox was worked off.
pub(crate) fn intake_cursor(member: &MemberId) -> String {
    format!("alliance intake {member}")
}

impl Known {
    /// Reads everything on from the files and the store.
    pub fn load(directory: Directory, store: &dyn Store, places: &Places) -> Result<Self, NodeError> {
        let mut known = Self {
            directory: Arc::new(directory),
            ledger: Ledger::default(),
            hashes: HashMap::new(),
            expected: HashMap::new(),
            expected_lines: 0,
            faults: HashMap::new(),
            lacking: BTreeMap::new(),
            forked: BTreeSet::new(),
            chain_len: 0,
        };
        let mut heads: HashMap<Digest, Head> = HashMap::new();
        for (member, Boxes { inbox, .. }) in places.allies() {
            let worked = store.cursor(&intake_cursor(&member))?;
            let worked: u64 = worked.and_then(|text| text.parse().ok()).unwrap_or(0);
            let mut after = 0;
            each_entry(store, inbox, &mut after, &mut |seq, entry| {
                // What a revocation took away is no head: the log goes on from where its member stands by it.
                if known.directory.is_void(&entry) {
                    return Ok(true);
                }
                let log = entry.log();
                known.place(&entry);
                if heads.get(&log).is_none_or(|head| head.sequence < entry.sequence()) {
                    heads.insert(log, Head::of_first(&entry, log));
                }
                if seq > worked {
                    known.expect(entry);
                }
                Ok(true)
            })?;
        }
        known.ledger = Ledger::resume(heads.into_values());
        Ok(known)
    }

    fn place(&mut self, entry: &Entry) {
        let held = self.hashes.entry(entry.log()).or_default();
        let at = usize::try_from(entry.sequence() - 1).unwrap_or(usize::MAX);
        if at >= held.len() {
            held.resize(at + 1, Digest::from_bytes([0; 32]));
        }
        if let Some(place) = held.get_mut(at) {
            *place = entry.digest;
        }
    }

    /// The hash of an entry that is held.
    pub fn held(&self, log: &Digest, sequence: u64) -> Option<Digest> {
        let at = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.hashes.get(log)?.get(at).copied()
    }

    /// The head of a log.
    pub fn head(&self, log: &Digest) -> Option<&Head> {
        self.ledger.head(log)
    }

    /// All heads, in no order.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        self.ledger.heads()
    }

    /// Notes a head that a witness names. True if another entry is held there: a fork.
    pub(crate) fn witnessed(&mut self, head: &EntryRef, now: Time) -> bool {
        let held = self.held(&head.entry_log, head.entry_sequence);
        if held == Some(head.entry_sha256) || self.forked.contains(&head.entry_log) {
            return false;
        }
        let lacking = self.lacking.entry(head.entry_log);
        let (known, _) = lacking.or_insert_with(|| (head.clone(), now.unix_seconds()));
        if known.entry_sequence < head.entry_sequence {
            *known = head.clone();
        }
        held.is_some()
    }

    /// What has been lacking for so long that it should be asked for.
    pub(crate) fn lacking(&mut self, now: Time) -> Vec<EntryRef> {
        let mut lacking = std::mem::take(&mut self.lacking);
        lacking.retain(|log, (head, _)| self.held(log, head.entry_sequence) != Some(head.entry_sha256));
        let due = |since: &i64| now.unix_seconds() - since >= LACKING_SECONDS;
        let found = lacking.values().filter(|(_, since)| due(since)).map(|(head, _)| head.clone()).collect();
        self.lacking = lacking;
        found
    }

    /// A fork was found in a log: nothing of it is lacking any more.
    pub(crate) fn forked(&mut self, log: Digest) {
        self.lacking.remove(&log);
        self.forked.insert(log);
    }

    /// Takes an entry if it is right; its objects may arrive from then on.
    pub(crate) fn admit(&mut self, entry: Entry, me: &MemberId, now: Time) -> Result<Admitted, Refusal> {
        let log = entry.log();
        let hashes = self.hashes.get(&log);
        let held = |sequence: u64| {
            let at = usize::try_from(sequence.checked_sub(1)?).ok()?;
            hashes?.get(at).copied()
        };
        let admitted = self.ledger.admit(&self.directory, &entry, me, now, held)?;
        if admitted == Admitted::New {
            self.place(&entry);
            self.expect(entry);
        }
        Ok(admitted)
    }

    fn expect(&mut self, entry: Entry) {
        if !matches!(entry.content(), Content::Release(_) | Content::Answer(_)) {
            return;
        }
        let entry = Arc::new(entry);
        let ids: BTreeSet<&str> =
            entry.content().objects().iter().map(|line| line.object_ref.as_str()).collect();
        self.expected_lines += ids.len();
        for id in ids {
            self.expected.entry(id.to_owned()).or_default().push(Arc::clone(&entry));
        }
    }

    /// The entries whose objects may still arrive and that name an id.
    pub(crate) fn expecting(&self, id: &str) -> Vec<Arc<Entry>> {
        self.expected.get(id).cloned().unwrap_or_default()
    }

    /// Whether so much is under way that allies have to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.expected_lines > EXPECTED_MAX
    }

    /// Everything of an entry was worked off: nothing of it is expected any more.
    pub(crate) fn settle(&mut self, entry: &Entry) {
        self.faults.remove(&entry.digest);
        for line in entry.content().objects() {
            let Some(waiting) = self.expected.get_mut(&line.object_ref) else { continue };
            let before = waiting.len();
            waiting.retain(|one| one.digest != entry.digest);
            self.expected_lines -= before - waiting.len();
            if waiting.is_empty() {
                self.expected.remove(&line.object_ref);
            }
        }
    }

    /// Notes that the signer itself sent something else than it signed.
    pub(crate) fn fault(&mut self, entry: &Digest, line: Line, reason: &'static str) {
        self.faults.entry(*entry).or_default().insert(line, reason);
    }

    /// What the signer sent wrong.
    pub(crate) fn faults_of(&self, entry: &Digest) -> BTreeMap<Line, &'static str> {
        self.faults.get(entry).cloned().unwrap_or_default()
    }

    /// Sets logs back to the heads that their members still stand by. Gives those that got shorter.
    pub(crate) fn set_back(&mut self, heads: Vec<Head>) -> Vec<Digest> {
        let mut shorter = Vec::new();
        for head in heads {
            // What parted from the log after this head is void; its member goes on from here.
            self.forked.remove(&head.log);
            let (log, length) = (head.log, usize::try_from(head.sequence).unwrap_or(usize::MAX));
            if self.ledger.set_back(head) {
                if let Some(hashes) = self.hashes.get_mut(&log) {
                    hashes.truncate(length);
                }
                shorter.push(log);
            }
        }
        shorter
    }
}
