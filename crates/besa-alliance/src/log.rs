//! The hash-chained logs of all members, entry by entry from any trusted head.
//!
//! A [`Ledger`] holds one head a log; the caller stores entries and tells, when asked, the hash that
//! it has at a number. An entry is taken if it follows the head; one that is known is known; one
//! that skips numbers waits ([`Refusal::Gap`]); one that contradicts what is held is a fork
//! ([`Refusal::Fork`]), whose proof is the two entries ([`crate::proof`]).
//!
//! Bounded: logs a member and entries an hour, as the charter says. The hours are counted by the
//! times that entries state, so a flood is proved by two of them.

use std::collections::HashMap;

use besa_stix::time::Instant;
use serde::{Deserialize, Serialize};

use crate::charter::Limits;
use crate::directory::Directory;
use crate::entry::{Content, Entry, EntryRef};
use crate::member::{Digest, MemberId, moment};
use crate::refusal::Refusal;

/// How far a log has been verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose log.
    pub member: MemberId,
    /// The log.
    pub log: Digest,
    /// The number of the last entry taken.
    pub sequence: u64,
    /// Its hash.
    pub digest: Digest,
    /// When it says it was made.
    #[serde(with = "moment")]
    pub created: Instant,
    /// The number at which the hour began that is being counted.
    pub hour_sequence: u64,
    /// When that was.
    #[serde(with = "moment")]
    pub hour_created: Instant,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is new and follows what was there.
    New,
    /// It was there already: a repetition does nothing.
    Known,
}

/// The heads of all logs.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    heads: HashMap<Digest, Head>,
    logs: HashMap<MemberId, u32>,
}

impl Ledger {
    /// Goes on from heads that were verified earlier.
    pub fn resume(heads: impl IntoIterator<Item = Head>) -> Self {
        let mut ledger = Self::default();
        heads.into_iter().for_each(|head| ledger.put(head));
        ledger
    }

    /// The head of a log.
    pub fn head(&self, log: &Digest) -> Option<&Head> {
        self.heads.get(log)
    }

    /// All heads, in no order.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        self.heads.values()
    }

    /// Judges an entry for the member `me` and takes it if it is right. `held` gives the hash of the
    /// entry that the caller has at a number of this log, if it still has it.
    pub fn admit(
        &mut self,
        directory: &Directory,
        entry: &Entry,
        me: &MemberId,
        now: Instant,
        held: impl Fn(u64) -> Option<Digest>,
    ) -> Result<Admitted, Refusal> {
        if !entry.envelope().audience.includes(me) && entry.member() != me {
            return Err(Refusal::NotForUs(me.clone()));
        }
        directory.judge(entry, now)?;
        self.place(directory, entry, held)
    }

    /// Takes entries of one log that lead up to a head pinned by a revocation of their key
    /// ([`Directory::pinned`]), although that key is trusted no more. All or none.
    pub fn admit_pinned(
        &mut self,
        directory: &Directory,
        run: &[Entry],
        me: &MemberId,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some((last, before)) = run.split_last() else { return Ok(()) };
        let pinned = directory.pinned(last).filter(|head| head.head_sha256 == last.digest);
        if pinned.is_none() {
            return Err(last.key().map_or(Refusal::TooOld(0), Refusal::RevokedKey));
        }
        let mut next = last;
        for entry in before.iter().rev() {
            if next.envelope().previous != Some(entry.digest) || entry.log() != next.log() {
                return Err(Refusal::Gap { first: entry.sequence() + 1, last: next.sequence() });
            }
            next = entry;
        }
        let mut trial = self.clone();
        for entry in run {
            if !entry.envelope().audience.includes(me) {
                return Err(Refusal::NotForUs(me.clone()));
            }
            directory.judge_signer(entry, now)?;
            trial.place(directory, entry, |_| None)?;
        }
        *self = trial;
        Ok(())
    }

    /// Sets a log back to where its member stands by it, after a revocation. True if that took
    /// entries away, which the caller then drops with all that came of them.
    pub fn set_back(&mut self, head: Head) -> bool {
        let shorter = self.heads.get(&head.log).is_some_and(|known| {
            known.sequence > head.sequence || (known.sequence == head.sequence && known.digest != head.digest)
        });
        if shorter {
            self.put(head);
        }
        shorter
    }

    fn put(&mut self, head: Head) {
        let member = head.member.clone();
        if self.heads.insert(head.log, head).is_none() {
            *self.logs.entry(member).or_default() += 1;
        }
    }

    fn place(
        &mut self,
        directory: &Directory,
        entry: &Entry,
        held: impl Fn(u64) -> Option<Digest>,
    ) -> Result<Admitted, Refusal> {
        let limits = &directory.charter().contents.limits;
        let log = entry.log();
        let head = match self.heads.get(&log) {
            Some(head) => match head.follow(entry, limits, held)? {
                Some(head) => head,
                None => return Ok(Admitted::Known),
            },
            None => self.first(entry, log, limits)?,
        };
        self.put(head);
        Ok(Admitted::New)
    }

    fn first(&self, entry: &Entry, log: Digest, limits: &Limits) -> Result<Head, Refusal> {
        if entry.sequence() != 1 {
            return Err(Refusal::Gap { first: 1, last: entry.sequence() - 1 });
        }
        let found = u64::from(self.logs.get(entry.member()).copied().unwrap_or(0)) + 1;
        let limit = u64::from(limits.logs_per_member);
        if found > limit {
            return Err(Refusal::OverLimit { what: "logs", found, limit });
        }
        Ok(Head::of_first(entry, log))
    }
}

impl Head {
    /// The head after an entry with which a count of hours begins: the first of a log, or one from
    /// which a verified log is taken up again.
    pub fn of_first(entry: &Entry, log: Digest) -> Self {
        Self {
            member: entry.member().clone(),
            log,
            sequence: entry.sequence(),
            digest: entry.digest,
            created: entry.created,
            hour_sequence: entry.sequence(),
            hour_created: entry.created,
        }
    }

    /// How others refer to it.
    pub fn reference(&self) -> EntryRef {
        EntryRef {
            entry_member: self.member.clone(),
            entry_log: self.log,
            entry_sequence: self.sequence,
            entry_sha256: self.digest,
        }
    }

    /// The head after an entry; none if the entry is one that was taken earlier.
    fn follow(
        &self,
        entry: &Entry,
        limits: &Limits,
        held: impl Fn(u64) -> Option<Digest>,
    ) -> Result<Option<Self>, Refusal> {
        let sequence = entry.sequence();
        if sequence <= self.sequence {
            let ours = if sequence == self.sequence { Some(self.digest) } else { held(sequence) };
            return match ours {
                Some(ours) if ours == entry.digest => Ok(None),
                Some(ours) => Err(Refusal::Fork { sequence, ours, theirs: entry.digest }),
                None => Err(Refusal::TooOld(sequence)),
            };
        }
        if sequence > self.sequence + 1 {
            return Err(Refusal::Gap { first: self.sequence + 1, last: sequence - 1 });
        }
        match entry.envelope().previous {
            Some(theirs) if theirs != self.digest => {
                return Err(Refusal::Fork { sequence: self.sequence, ours: self.digest, theirs });
            }
            _ => {}
        }
        if entry.created < self.created {
            return Err(Refusal::TimeBackwards);
        }
        let mut next = Self::of_first(entry, self.log);
        if within_hour(self.hour_created, entry.created) {
            (next.hour_sequence, next.hour_created) = (self.hour_sequence, self.hour_created);
            let (found, limit) = (sequence - self.hour_sequence + 1, u64::from(limits.entries_per_hour));
            if found > limit {
                return Err(Refusal::OverLimit { what: "entries in an hour", found, limit });
            }
        }
        Ok(Some(next))
    }
}

pub(crate) fn within_hour(first: Instant, later: Instant) -> bool {
    later.unix_nanos() - first.unix_nanos() < 3_600_000_000_000
}

/// How many active witnesses other than its member have named a head, and whether the charter asks
/// for no more. `statements` are entries that have been taken; those of other kinds are passed over.
pub fn witnessed<'a>(
    directory: &Directory,
    head: &EntryRef,
    statements: impl IntoIterator<Item = &'a Entry>,
) -> (usize, bool) {
    let mut names: Vec<&MemberId> = Vec::new();
    for statement in statements {
        let Content::Witness(witness) = statement.content() else { continue };
        let of_other = statement.member() != &head.entry_member;
        let is_witness =
            directory.charter().contents.witnesses().any(|one| one.identity_ref == *statement.member());
        if of_other && is_witness && witness.heads.contains(head) && !directory.is_void(statement) {
            names.push(statement.member());
        }
    }
    names.sort_unstable();
    names.dedup();
    (names.len(), names.len() >= directory.charter().contents.quorum.witness_signatures as usize)
}
