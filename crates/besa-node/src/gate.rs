//! The gate: what allies post is judged before anything of it is stored.
//!
//! | object | taken if |
//! |---|---|
//! | entry | its signer may say this, and it follows what is held of its log |
//! | any other object | an entry names its id, version and hash, and its signer may release it |
//! | charter, key statement | it follows the chain; then it is passed on to all allies |
//! | proof | the breach can be worked out again from what it holds |
//!
//! Everything else is refused with a reason that starts with its name; the sender reads it in the
//! status of its request. What a breach proves against its author goes to every ally as a proof.
//! An object that differs from the one signed never gets into the store, so that nobody can spoil
//! an id by coming first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use besa_alliance::charter::{Charter, KeyStatement};
use besa_alliance::directory::Directory;
use besa_alliance::entry::{Audience, Content, Entry, log_id};
use besa_alliance::log::Head;
use besa_alliance::member::{Digest, MemberId};
use besa_alliance::proof::Proof;
use besa_alliance::refusal::Refusal;
use besa_alliance::signed::{Kind, id_of};
use besa_exchange::taxii::server::Inlet;
use besa_intel::{
    AuditEntry, Batch, Candidate, Collection, Origin, Prepared, Receipt, Sender, Store, StoreError, Time,
    micros,
};
use besa_stix::object::Object;

use crate::bell::Bell;
use crate::error::NodeError;
use crate::home::Home;
use crate::journal::{ENTRY_KINDS, Journal};
use crate::known::Known;
use crate::places::{Places, is_inbox};
use crate::settings::Settings;

/// One proof of a kind against one member in so many seconds: a member that repeats a breach must
/// not make us repeat its proof to all.
const PROOF_EVERY_SECONDS: i64 = 3_600;

/// See the module.
pub struct Gate {
    known: Mutex<Known>,
    store: Arc<dyn Store>,
    places: Places,
    journal: Arc<Journal>,
    home: Home,
    me: MemberId,
    bell: Arc<Bell>,
    proved: Mutex<HashMap<(MemberId, String), Time>>,
    /// Requests of each member: whoever sends can be reached, most likely.
    heard: Mutex<HashMap<MemberId, u64>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("me", &self.me).finish_non_exhaustive()
    }
}

/// What judging a request led to besides its objects.
#[derive(Default)]
struct Aftermath {
    proofs: Vec<Proof>,
    /// Charters and statements to keep and pass on.
    chain: Vec<(Kind, String, String)>,
    refused: Vec<(String, String)>,
    revoked: bool,
}

/// The entries that brought the objects of a request.
#[derive(Default)]
struct Came {
    entries: Vec<Arc<Entry>>,
}

impl Came {
    /// From whom the objects are and what binds them. Those of one request share it: of several
    /// entries the markings of all bind each, which may be stricter than it had to be.
    fn origin(&self, sender: &MemberId) -> (Origin, Option<String>) {
        let members: BTreeSet<&MemberId> = self.entries.iter().map(|entry| entry.member()).collect();
        let digests: BTreeSet<&Digest> = self.entries.iter().map(|entry| &entry.digest).collect();
        let markings = self.entries.iter().flat_map(|entry| &entry.envelope().object_marking_refs);
        let under: BTreeSet<String> = markings.cloned().collect();
        let from = if members.len() == 1 { members.first().copied() } else { None };
        let origin = Origin {
            from: Sender::Member(from.unwrap_or(sender).to_string()),
            under: under.into_iter().collect(),
        };
        let release = if digests.len() == 1 { self.entries.first().map(|entry| entry.id()) } else { None };
        (origin, release)
    }
}

impl Gate {
    /// A gate over what is known.
    pub fn new(
        known: Known,
        store: Arc<dyn Store>,
        places: Places,
        journal: Arc<Journal>,
        home: Home,
        me: MemberId,
        bell: Arc<Bell>,
    ) -> Self {
        let known = Mutex::new(known);
        Self {
            known,
            store,
            places,
            journal,
            home,
            me,
            bell,
            proved: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    /// What is known.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose node this is.
    pub(crate) fn me(&self) -> &MemberId {
        &self.me
    }

    /// How many requests of a member there were since the start.
    pub(crate) fn heard(&self, member: &MemberId) -> u64 {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(member).copied().unwrap_or(0)
    }

    /// Whether the node is being stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.bell.is_stopped()
    }

    /// Judges what a member sent and stores what may be stored.
    pub fn judge(&self, sender: &MemberId, mut batch: Batch) -> Result<Receipt, StoreError> {
        let now = batch.at;
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner).entry(sender.clone()).or_default() += 1;
        let mut after = Aftermath::default();
        {
            let mut known = self.known();
            if known.is_full() {
                return Err(StoreError::Busy("too many objects of allies are under way".to_owned()));
            }
            for object in &mut batch.objects {
                self.judge_signed(&mut known, object, now, &mut after);
            }
        }
        let mut came = Came::default();
        for object in &mut batch.objects {
            self.judge_plain(sender, object, now, &mut came, &mut after);
        }
        (batch.origin, batch.release) = came.origin(sender);
        let stored = self.store.add_objects(batch);
        // Also when nothing was stored: a charter that is known now must not be forgotten.
        self.conclude(sender, after, now);
        self.bell.ring();
        stored
    }

    fn judge_signed(&self, known: &mut Known, object: &mut Prepared, now: Time, after: &mut Aftermath) {
        let Some((kind, text)) = signed(object) else { return };
        let judged = match kind {
            Kind::Charter => self.charter(known, text, now, after),
            Kind::Keys => self.statement(known, text, after),
            Kind::Proof => proof(known, text),
            _ => self.entry(known, text, now, after),
        };
        if let Err(refusal) = judged {
            refuse(object, &refusal, after);
        }
    }

    fn entry(&self, known: &mut Known, text: &str, now: Time, after: &mut Aftermath) -> Result<(), Refusal> {
        let entry = Entry::parse(text)?;
        if *entry.member() == self.me {
            return self.own_entry(&entry);
        }
        let refusal = match known.admit(entry.clone(), &self.me, now) {
            Ok(_) => {
                self.compare(known, &entry, now);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        if matches!(refusal, Refusal::Fork { .. }) {
            known.forked(entry.log());
        }
        after.proofs.extend(self.proof_of(known, &entry, &refusal, now));
        Err(refusal)
    }

    /// Holds the heads that a witness names against those that are held. What is not here is asked for
    /// after a while ([`crate::relay`]); a difference means that somebody shows different logs to
    /// different allies, and the other entry is the proof.
    fn compare(&self, known: &mut Known, entry: &Entry, now: Time) {
        let Content::Witness(witness) = entry.content() else { return };
        let alliance = known.directory.alliance();
        for head in &witness.heads {
            let (member, number) = (&head.entry_member, head.entry_sequence);
            // Other logs than those for all members may not be for this one.
            let for_all = log_id(&alliance, member, &Audience::Charter) == head.entry_log;
            if for_all && *member != self.me && known.witnessed(head, now) {
                tracing::error!(
                    witness = %entry.member(), %member, number,
                    "the witness has another entry there than this node: a fork"
                );
            }
        }
    }

    /// An entry of one's own that comes back is fine if it was made here.
    fn own_entry(&self, entry: &Entry) -> Result<(), Refusal> {
        if self.text_of(&entry.digest).is_some() {
            return Ok(());
        }
        tracing::error!(entry = %entry.digest, "an entry is signed with this node's key and was not made here");
        let (ours, theirs) = (Digest::from_bytes([0; 32]), entry.digest);
        Err(Refusal::Fork { sequence: entry.sequence(), ours, theirs })
    }

    /// The proof of what an entry breaks, as far as it can be proved.
    fn proof_of(&self, known: &Known, entry: &Entry, refusal: &Refusal, now: Time) -> Option<Proof> {
        let directory = &known.directory;
        let other = match refusal {
            Refusal::Fork { ours, .. } => *ours,
            Refusal::TimeBackwards => known.head(&entry.log())?.digest,
            Refusal::OverLimit { what: "entries in an hour", .. } => {
                known.held(&entry.log(), known.head(&entry.log())?.hour_sequence)?
            }
            _ => return Proof::entry(directory, entry, now).ok(),
        };
        let other = Entry::parse(&self.text_of(&other)?).ok()?;
        Proof::entries(directory, &other, entry, now).ok()
    }

    /// The text of an entry that is held.
    pub(crate) fn text_of(&self, digest: &Digest) -> Option<String> {
        let find = |kind: &Kind| self.store.object(&id_of(*kind, digest), None).ok().flatten();
        ENTRY_KINDS.iter().find_map(find).map(|stored| stored.raw)
    }

    fn charter(
        &self,
        known: &mut Known,
        text: &str,
        now: Time,
        after: &mut Aftermath,
    ) -> Result<(), Refusal> {
        let charter = Charter::parse(text)?;
        let ours = known.directory.charter_at(charter.contents.sequence).cloned();
        let advanced = Arc::make_mut(&mut known.directory).advance(charter.clone());
        match (&advanced, ours) {
            (Ok(()), None) => after.chain.push((Kind::Charter, charter.id(), charter.text())),
            (Err(Refusal::Fork { .. }), Some(ours)) => {
                after.proofs.extend(Proof::charters(&known.directory, &ours, &charter, now).ok());
            }
            _ => {}
        }
        advanced
    }

    fn statement(&self, known: &mut Known, text: &str, after: &mut Aftermath) -> Result<(), Refusal> {
        let statement = KeyStatement::parse(text)?;
        let is_known = known.directory.statements().iter().any(|one| one.digest == statement.digest);
        Arc::make_mut(&mut known.directory).take_keys(statement.clone())?;
        if !is_known {
            after.revoked |= !statement.contents.revocations.is_empty();
            after.chain.push((Kind::Keys, statement.id(), statement.text()));
        }
        Ok(())
    }

    fn judge_plain(
        &self,
        sender: &MemberId,
        object: &mut Prepared,
        now: Time,
        came: &mut Came,
        after: &mut Aftermath,
    ) {
        let Ok(candidate) = object.as_ref() else { return };
        if kind_of(candidate).is_some() {
            return;
        }
        match self.released(sender, candidate, now, after) {
            Ok(entry) => came.entries.extend(entry),
            Err(refusal) => refuse(object, &refusal, after),
        }
    }

    /// The entry that brings an object; none if it is held with this very text.
    fn released(
        &self,
        sender: &MemberId,
        candidate: &Candidate,
        now: Time,
        after: &mut Aftermath,
    ) -> Result<Option<Arc<Entry>>, Refusal> {
        let text = candidate.raw();
        let (entries, directory) = {
            let known = self.known();
            (known.expecting(candidate.id()), Arc::clone(&known.directory))
        };
        let mut reason = None;
        for entry in &entries {
            match entry.check_object(text, |id| directory.member(id).is_some()) {
                Ok(_) => return Ok(Some(Arc::clone(entry))),
                Err(refusal) => {
                    self.at_fault(sender, entry, text, &refusal, now, after);
                    reason = Some(refusal);
                }
            }
        }
        match reason {
            _ if self.is_held(text) => Ok(None),
            Some(refusal) => Err(refusal),
            None => Err(Refusal::NotReleased(candidate.id().to_owned())),
        }
    }

    fn at_fault(
        &self,
        sender: &MemberId,
        entry: &Entry,
        text: &str,
        refusal: &Refusal,
        now: Time,
        after: &mut Aftermath,
    ) {
        if matches!(refusal, Refusal::WrongCreator { .. }) {
            after.proofs.extend(Proof::creator(&self.known().directory, entry, text, now).ok());
        }
        // Others may have altered it on the way; the true one may still come.
        let final_word = !matches!(refusal, Refusal::NotReleased(_));
        if sender == entry.member()
            && final_word
            && let Ok(object) = Object::parse(text)
        {
            let header = object.header();
            let version = header.modified.as_ref().map(|stamp| stamp.text.clone());
            self.known().fault(&entry.digest, (header.id.clone(), version), refusal.name());
        }
    }

    fn is_held(&self, text: &str) -> bool {
        let Ok(object) = Object::parse(text) else { return false };
        let header = object.header();
        let version = header.modified.as_ref().map(|stamp| stamp.instant);
        let held = self.store.object(&header.id, version).ok().flatten();
        held.is_some_and(|held| held.raw == text)
    }

    /// Records, passes on, proves; what fails here is repeated by whoever sends again.
    fn conclude(&self, sender: &MemberId, after: Aftermath, now: Time) {
        for (target, outcome) in after.refused {
            tracing::warn!(ally = %sender, object = target, outcome, "refused");
            self.store.audit_soon(AuditEntry {
                at: micros(now),
                actor: sender.to_string(),
                source: "alliance".to_owned(),
                action: "refuse".to_owned(),
                target,
                outcome,
            });
        }
        for (kind, id, text) in after.chain {
            let kept = self.home.keep(kind, &id, &text).and_then(|()| self.journal.enclose(&text, now));
            if let Err(error) = kept {
                tracing::error!(%error, id, "a part of the charter's chain cannot be kept");
            }
        }
        for proof in after.proofs {
            self.prove(&proof, now);
        }
        if after.revoked
            && let Err(error) = self.withdraw_void()
        {
            tracing::error!(%error, "what a revoked key signed cannot be withdrawn");
        }
    }

    fn prove(&self, proof: &Proof, now: Time) {
        let contents = &proof.contents;
        let Some(accused) = contents.accused.first() else { return };
        let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (accused.clone(), contents.breach.clone());
        let last = proved.get(&name).map(|last| now.unix_seconds() - last.unix_seconds());
        if last.is_some_and(|seconds| (0..PROOF_EVERY_SECONDS).contains(&seconds)) {
            return;
        }
        proved.insert(name, now);
        tracing::error!(%accused, breach = contents.breach, "a breach is proved; all allies get the proof");
        if let Err(error) = self.journal.enclose(&proof.text(), now) {
            tracing::error!(%error, "the proof cannot be kept");
        }
    }

    /// Looks at entries taken earlier again, after a key was revoked: objects of those that are void
    /// now are out of use, and their logs go back to where their members stand by them.
    pub(crate) fn withdraw_void(&self) -> Result<(), NodeError> {
        let directory = Arc::clone(&self.known().directory);
        let (mut void, mut heads) = (Vec::new(), Vec::new());
        for (_, boxes) in self.places.allies() {
            crate::journal::each_entry(self.store.as_ref(), boxes.inbox, &mut 0, &mut |_, entry| {
                if directory.is_void(&entry) {
                    void.push(entry);
                } else if directory.pinned(&entry).is_some_and(|head| head.head_sha256 == entry.digest) {
                    heads.push(Head::of_first(&entry, entry.log()));
                }
                Ok(true)
            })?;
        }
        let all = besa_intel::VersionFilter::all();
        for entry in &void {
            for line in entry.content().objects() {
                self.store.unlist(self.places.accepted, &line.object_ref, &all, None, None)?;
            }
        }
        self.known().set_back(heads);
        Ok(())
    }

    /// Reads the files of the chain again if there are others than before, and passes them on.
    pub(crate) fn refresh_chain(&self, settings: &Settings, now: Time) -> Result<(), NodeError> {
        let files = self.home.chain_len();
        if files == self.known().chain_len {
            return Ok(());
        }
        let directory = self.home.directory(settings)?;
        self.enclose_chain(&directory, now)?;
        {
            let mut known = self.known();
            known.chain_len = files;
            let newer = directory.charters().len() >= known.directory.charters().len()
                && directory.statements().len() >= known.directory.statements().len();
            if newer {
                known.directory = Arc::new(directory);
            }
        }
        self.withdraw_void()
    }

    /// Puts charters and key statements where allies get them; what is there already stays.
    pub(crate) fn enclose_chain(&self, directory: &Directory, now: Time) -> Result<(), NodeError> {
        let charters = directory.charters().iter().map(Charter::text);
        let statements = directory.statements().iter().map(KeyStatement::text);
        charters.chain(statements).try_for_each(|text| self.journal.enclose(&text, now))
    }
}

impl Inlet for Gate {
    fn take(&self, store: &dyn Store, collection: &Collection, batch: Batch) -> Result<Receipt, StoreError> {
        match self.places.sender(collection) {
            Some(sender) => self.judge(&sender, batch),
            // Whose it is will be known when the charter that names it is.
            None if is_inbox(collection) => Err(StoreError::Busy("no member is served here yet".to_owned())),
            None => store.add_objects(batch),
        }
    }
}

fn kind_of(candidate: &Candidate) -> Option<Kind> {
    Kind::of_type(candidate.id().split("--").next().unwrap_or_default())
}

fn signed(object: &Prepared) -> Option<(Kind, &str)> {
    let candidate = object.as_ref().ok()?;
    Some((kind_of(candidate)?, candidate.raw()))
}

fn proof(known: &Known, text: &str) -> Result<(), Refusal> {
    let verdict = Proof::parse(text)?.verify(&known.directory)?;
    let accused: Vec<String> = verdict.accused.iter().map(ToString::to_string).collect();
    tracing::error!(breach = verdict.breach, accused = accused.join(", "), "an ally proved a breach");
    Ok(())
}

fn refuse(object: &mut Prepared, refusal: &Refusal, after: &mut Aftermath) {
    let Ok(candidate) = object.as_ref() else { return };
    let id = candidate.id().to_owned();
    let version = Object::parse(candidate.raw())
        .ok()
        .and_then(|object| object.header().modified.as_ref().map(|stamp| stamp.text.clone()));
    let reason = format!("{}: {refusal}", refusal.name());
    after.refused.push((id.clone(), reason.clone()));
    *object = Err(besa_intel::Refusal { id: Some(id), version, reason });
}
