//! Releasing: objects are judged for each recipient, and signed for those who get the same.
//!
//! An entry names hashes, so all its readers must get the same texts. Recipients for whom the policy
//! decides alike share an entry; who gets a redacted copy or fewer objects gets an entry of its
//! own, in a log that the others do not see.

use std::collections::{BTreeMap, BTreeSet};

use besa_alliance::entry::{Audience, Content, Entry, Release, ReleasedObject, released_object};
use besa_alliance::member::MemberId;
use besa_alliance::policy::{
    Exit, Explanation, Membership, Outcome, Policy, Recipient, Released, Settings, Text,
};
use besa_exchange::release::{Shelf, held};
use besa_intel::{Store, Time};
use besa_stix::marking::{TLP_2_AMBER, TLP_2_AMBER_STRICT, TLP_2_CLEAR, TLP_2_GREEN, TLP_2_RED, Tlp};
use besa_stix::object::Object;

use crate::error::NodeError;
use crate::journal::{Draft, Journal};
use besa_alliance::directory::Directory;

/// Bytes of objects in one entry: entry and objects travel in one request.
const ENTRY_BYTES_MAX: usize = 3 << 20;

/// What was released and what was not.
#[derive(Debug, Default)]
pub struct Done {
    /// The entries signed, with their readers.
    pub entries: Vec<(Entry, Vec<MemberId>)>,
    /// What stays, for whom, and why.
    pub withheld: Vec<Explanation>,
}

/// The objects that one recipient gets: text by id and version.
type Share = BTreeMap<ReleasedObject, String>;

/// Everything a release needs.
pub struct Releaser<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The alliance.
    pub directory: &'a Directory,
    /// This node's member.
    pub me: &'a MemberId,
    /// Its logs.
    pub journal: &'a Journal,
}

impl std::fmt::Debug for Releaser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Releaser").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Releaser<'_> {
    /// Releases the newest versions of objects of the store to an audience.
    pub fn release(&self, ids: &[String], audience: &Audience, now: Time) -> Result<Done, NodeError> {
        let mut done = Done::default();
        let mut groups: Vec<(Share, Tlp, BTreeSet<MemberId>)> = Vec::new();
        let recipients = self.recipients(audience)?;
        let stored = self.stored(ids)?;
        for member in &recipients {
            let (share, level) = self.share(member, &stored, now, &mut done.withheld)?;
            match groups.iter_mut().find(|(known, ..)| *known == share) {
                _ if share.is_empty() => {}
                Some((_, strictest, members)) => {
                    *strictest = level.max(*strictest);
                    members.insert(member.clone());
                }
                None => groups.push((share, level, BTreeSet::from([member.clone()]))),
            }
        }
        for (share, level, members) in groups {
            let everybody = members.len() == recipients.len();
            let readers = if everybody { audience.clone() } else { Audience::Members(members.clone()) };
            for part in self.parts(&share) {
                let entry = self.sign(&part, &share, level, &readers, now)?;
                done.entries.push((entry, members.iter().cloned().collect()));
            }
        }
        Ok(done)
    }

    /// The active members of an audience, without oneself.
    fn recipients(&self, audience: &Audience) -> Result<Vec<MemberId>, NodeError> {
        let active = self.directory.charter().contents.active().map(|member| &member.identity_ref);
        let found: Vec<MemberId> =
            active.filter(|id| *id != self.me && audience.includes(id)).cloned().collect();
        if let Audience::Members(named) = audience
            && let Some(other) = named.iter().find(|id| !found.contains(id))
        {
            return Err(NodeError::Input(format!("`{other}` is no other active member of the charter")));
        }
        Ok(found)
    }

    fn stored(&self, ids: &[String]) -> Result<Vec<besa_intel::Stored>, NodeError> {
        let mut found = Vec::new();
        for id in ids {
            let stored = self.store.object(id, None)?;
            found.push(stored.ok_or_else(|| NodeError::Input(format!("the store has no `{id}`")))?);
        }
        Ok(found)
    }

    fn share(
        &self,
        member: &MemberId,
        stored: &[besa_intel::Stored],
        now: Time,
        withheld: &mut Vec<Explanation>,
    ) -> Result<(Share, Tlp), NodeError> {
        let recipient = Recipient::Member(member.clone());
        let (store, directory, me) = (self.store, self.directory, self.me);
        let outcomes = judging(store, directory, me, &recipient, now, stored, |policy| {
            let judged: Vec<_> = stored.iter().map(|one| held(one, me)).collect();
            policy.decide_all(&judged)
        })?;
        let (mut share, mut level) = (Share::new(), Tlp::Clear);
        for outcome in outcomes {
            match outcome {
                Outcome::Withheld(explanation) => withheld.push(explanation),
                Outcome::Released(released) => {
                    let text = released.get().json();
                    self.check_creator(text)?;
                    level = level.max(released.explanation().tlp);
                    share.insert(released_object(text)?, text.to_owned());
                }
            }
        }
        Ok((share, level))
    }

    /// Only the creator releases an object that a member made.
    fn check_creator(&self, text: &str) -> Result<(), NodeError> {
        let object = Object::parse(text).map_err(|error| NodeError::Input(error.to_string()))?;
        let creator = object.header().created_by_ref.as_deref().map(str::to_ascii_lowercase);
        let creator = creator.and_then(|creator| MemberId::parse(&creator).ok());
        match creator.filter(|creator| creator != self.me && self.directory.member(creator).is_some()) {
            Some(creator) => {
                let object = object.header().id.clone();
                Err(besa_alliance::refusal::Refusal::WrongCreator {
                    signer: self.me.clone(),
                    creator,
                    object,
                }
                .into())
            }
            None => Ok(()),
        }
    }

    /// Lines for one entry each, as the charter and the size of a request allow.
    fn parts(&self, share: &Share) -> Vec<Vec<ReleasedObject>> {
        let limit = self.directory.charter().contents.limits.objects_per_entry as usize;
        let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (line, text) in share {
            if part.len() >= limit || (bytes + text.len() > ENTRY_BYTES_MAX && !part.is_empty()) {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += text.len();
            part.push(line.clone());
        }
        if !part.is_empty() {
            parts.push(part);
        }
        parts
    }

    fn sign(
        &self,
        part: &[ReleasedObject],
        share: &Share,
        level: Tlp,
        audience: &Audience,
        now: Time,
    ) -> Result<Entry, NodeError> {
        let texts: Vec<String> = part.iter().filter_map(|line| share.get(line).cloned()).collect();
        let draft = Draft {
            alliance: self.directory.alliance(),
            charter: self.directory.charter().contents.sequence,
            audience: audience.clone(),
            markings: vec![marking_of(level).to_owned()],
            content: Content::Release(Release { objects: part.to_vec() }),
        };
        self.journal.append(draft, &texts, now)
    }
}

/// Asks the policy about one recipient at the exit of signed releases. An answer for which the store
/// could not be read does not count.
pub(crate) fn judging<T>(
    store: &dyn Store,
    directory: &Directory,
    me: &MemberId,
    recipient: &Recipient,
    now: Time,
    judged: &[besa_intel::Stored],
    ask: impl FnOnce(&Policy<'_>) -> T,
) -> Result<T, NodeError> {
    let membership = Membership::of(&directory.charter().contents);
    let shelf = Shelf::new(store, me, now, judged);
    let policy = Policy {
        releaser: me,
        recipient,
        exit: Exit::Release,
        membership: &membership,
        catalogue: &shelf,
        now,
        settings: Settings::default(),
    };
    let answer = ask(&policy);
    shelf.finish()?;
    Ok(answer)
}

/// Something that `releaser` has signed and the objects that it brings, as far as they may go to a
/// recipient now.
pub(crate) fn signed_for(
    store: &dyn Store,
    directory: &Directory,
    releaser: &MemberId,
    recipient: &Recipient,
    raw: &str,
    now: Time,
) -> Result<Vec<Released<Text>>, NodeError> {
    let entry = Entry::parse(raw).ok();
    let lines = entry.iter().flat_map(|entry| entry.content().objects());
    let stored: Vec<_> = lines.filter_map(|line| crate::intake::held(store, line)).collect();
    judging(store, directory, releaser, recipient, now, &stored, |policy| {
        let Some(signed) = policy.decide_signed(raw) else { return Vec::new() };
        let mut texts = vec![signed];
        let objects: Vec<_> = stored.iter().map(|one| held(one, releaser)).collect();
        for (outcome, one) in policy.decide_all(&objects).into_iter().zip(&stored) {
            match outcome {
                // A copy redacted since it was signed has another hash; the ally could not check it.
                Outcome::Released(text) if text.get().json() == one.raw => texts.push(text),
                outcome => {
                    let (ally, why) = (recipient.as_str(), outcome.explanation().to_string());
                    tracing::warn!(ally, object = one.id, why, "released, but may not go now");
                }
            }
        }
        texts
    })
}

/// The TLP 2.0 marking of a level.
pub(crate) fn marking_of(level: Tlp) -> &'static str {
    match level {
        Tlp::Clear => TLP_2_CLEAR,
        Tlp::Green => TLP_2_GREEN,
        Tlp::Amber => TLP_2_AMBER,
        Tlp::AmberStrict => TLP_2_AMBER_STRICT,
        Tlp::Red => TLP_2_RED,
    }
}
