//! The members, keys and revocations that a node knows, and its judgement of who may say what.
//!
//! A directory starts from a first charter, trusted by its hash, and only grows: charters that
//! follow one another, key statements by members' authorities, revocations.
//!
//! **What a verifier does with an entry whose key was revoked.** Entries already taken stay taken as
//! long as [`Directory::is_void`] does not name them. Of others:
//!
//! | revocation | entry | judgement |
//! |---|---|---|
//! | rotated (`compromised` false) | states a time before `revoked_from` | good |
//! | any | the pinned head of its log, or leading up to it by hash | good ([`crate::log::Ledger::admit_pinned`]) |
//! | rotated | states `revoked_from` or later | refused |
//! | compromised | anything else, whatever time it states | refused |
//!
//! A member that is suspended or removed in the last charter known says nothing new, whatever time
//! it states; what leads up to a head pinned by a revocation stays good.

use std::collections::HashMap;

use besa_stix::time::Instant;

use crate::charter::{Charter, KeyStatement, PinnedHead, Revocation};
use crate::entry::{Content, Entry};
use crate::keys::PublicKey;
use crate::member::{Digest, KeyId, Member, MemberId, NodeKey, Role};
use crate::refusal::Refusal;

/// Most charters of one alliance.
pub const CHARTERS_MAX: usize = 100_000;
/// Most key statements held.
pub const STATEMENTS_MAX: usize = 100_000;

/// A node key, whose it is, and when it signs.
#[derive(Clone, Debug)]
struct Holder {
    member: MemberId,
    key: PublicKey,
    term: NodeKey,
    /// Listed by the last charter, or certified since by the authority that it names.
    current: bool,
}

/// What is known of an alliance.
#[derive(Clone, Debug)]
pub struct Directory {
    charters: Vec<Charter>,
    statements: Vec<KeyStatement>,
    holders: HashMap<KeyId, Holder>,
    revocations: HashMap<KeyId, Revocation>,
}

impl Directory {
    /// Starts from a first charter whose hash people have compared.
    pub fn found(first: Charter, trusted: &Digest) -> Result<Self, Refusal> {
        if first.digest != *trusted {
            return Err(Refusal::OtherAlliance { found: first.digest, ours: *trusted });
        }
        first.check_first()?;
        let (statements, holders, revocations) = (Vec::new(), HashMap::new(), HashMap::new());
        let mut directory = Self { charters: vec![first], statements, holders, revocations };
        directory.settle();
        Ok(directory)
    }

    /// Puts a chain together from its parts in any order: charters by number, each key statement
    /// under the charter that was in force when it says it was made.
    pub fn of_chain(
        mut charters: Vec<Charter>,
        mut statements: Vec<KeyStatement>,
        trusted: &Digest,
    ) -> Result<Self, Refusal> {
        charters.sort_by_key(|charter| charter.contents.sequence);
        statements.sort_by_key(|statement| statement.created);
        let mut charters = charters.into_iter();
        let first = charters.next().ok_or_else(|| Refusal::Charter("there is no charter".to_owned()))?;
        let mut directory = Self::found(first, trusted)?;
        let mut statements = statements.into_iter().peekable();
        for next in charters {
            while let Some(statement) = statements.next_if(|one| one.created < next.created) {
                directory.take_keys(statement)?;
            }
            directory.advance(next)?;
        }
        statements.try_for_each(|statement| directory.take_keys(statement))?;
        Ok(directory)
    }

    /// All charters, first to last.
    pub fn charters(&self) -> &[Charter] {
        &self.charters
    }

    /// The key statements held, in the order they were taken.
    pub fn statements(&self) -> &[KeyStatement] {
        &self.statements
    }

    /// Takes the charter that follows. One that is known already changes nothing; another one in a
    /// known place is a fork, which [`crate::proof::Proof::charters`] proves.
    pub fn advance(&mut self, next: Charter) -> Result<(), Refusal> {
        if next.alliance() != self.alliance() {
            return Err(Refusal::OtherAlliance { found: next.alliance(), ours: self.alliance() });
        }
        let (named, known) = (next.contents.sequence, self.charter().contents.sequence);
        if let Some(ours) = self.charter_at(named) {
            let (ours, theirs) = (ours.digest, next.digest);
            return if ours == theirs {
                Ok(())
            } else {
                Err(Refusal::Fork { sequence: named, ours, theirs })
            };
        }
        if named > known + 1 || self.charters.len() >= CHARTERS_MAX {
            return Err(Refusal::UnknownCharter { named: named - 1, known });
        }
        next.check_follows(self.charter())?;
        self.check_owners(&next)?;
        self.charters.push(next);
        self.settle();
        Ok(())
    }

    /// Takes a member's statement about its node keys.
    pub fn take_keys(&mut self, statement: KeyStatement) -> Result<(), Refusal> {
        let contents = &statement.contents;
        if contents.alliance != self.alliance() {
            return Err(Refusal::OtherAlliance { found: contents.alliance, ours: self.alliance() });
        }
        if self.statements.iter().any(|known| known.digest == statement.digest) {
            return Ok(());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            return Err(over("key statements", self.statements.len() + 1, STATEMENTS_MAX));
        }
        let id = &contents.created_by_ref;
        let member = self.member(id).ok_or_else(|| Refusal::NoMember(id.clone()))?;
        if !self.is_by_authority(member, &statement) {
            return Err(Refusal::BadSignature(member.authority_key));
        }
        let claimed = contents.certified.iter().map(|key| key.node_key);
        let revoked = contents.revocations.iter().map(|one| one.node_key);
        for key in claimed.clone().chain(revoked) {
            self.check_owner(&key, id)?;
        }
        let certified: Vec<_> = claimed.collect();
        let known = |key: &KeyId| self.holders.contains_key(key) || certified.contains(key);
        if let Some(one) = contents.revocations.iter().find(|one| !known(&one.node_key)) {
            return Err(Refusal::ForeignKey { key: one.node_key, member: id.clone() });
        }
        self.statements.push(statement);
        self.settle();
        Ok(())
    }

    fn is_by_authority(&self, member: &Member, statement: &KeyStatement) -> bool {
        PublicKey::new(&member.authority_key).is_ok_and(|key| statement.is_signed_by(&key))
    }

    fn check_owners(&self, next: &Charter) -> Result<(), Refusal> {
        let owners = next.contents.key_owners();
        owners.into_iter().try_for_each(|(key, member)| self.check_owner(&key, member))
    }

    /// A key belongs to one member for ever, and never changes its office.
    fn check_owner(&self, key: &KeyId, member: &MemberId) -> Result<(), Refusal> {
        let foreign = self.holders.get(key).is_some_and(|holder| holder.member != *member);
        let authority = self.charter().contents.members.iter().any(|other| other.authority_key == *key);
        if foreign || authority {
            return Err(Refusal::ForeignKey { key: *key, member: member.clone() });
        }
        Ok(())
    }

    /// Works out keys and revocations from the last charter and the statements that it upholds.
    /// Revocations of before stay.
    fn settle(&mut self) {
        let contents = &self.charter().contents;
        let mut keys: Vec<(MemberId, NodeKey)> = Vec::new();
        for member in &contents.members {
            keys.extend(member.node_keys.iter().map(|key| (member.identity_ref.clone(), key.clone())));
        }
        let mut revoked = contents.revocations.clone();
        for statement in &self.statements {
            let id = &statement.contents.created_by_ref;
            if self.member(id).is_some_and(|member| self.is_by_authority(member, statement)) {
                let listed = |key: &NodeKey| keys.iter().any(|(_, known)| known.node_key == key.node_key);
                let new: Vec<_> = statement.contents.certified.iter().filter(|key| !listed(key)).collect();
                keys.extend(new.into_iter().map(|key| (id.clone(), key.clone())));
            }
            revoked.extend(statement.contents.revocations.iter().cloned());
        }
        self.holders.values_mut().for_each(|holder| holder.current = false);
        for (member, term) in keys {
            if let Ok(key) = PublicKey::new(&term.node_key) {
                self.holders.insert(term.node_key, Holder { member, key, term, current: true });
            }
        }
        revoked.into_iter().for_each(|revocation| self.revoke(revocation));
    }

    /// Of two revocations of one key the stricter holds, point by point.
    fn revoke(&mut self, new: Revocation) {
        let Some(known) = self.revocations.get_mut(&new.node_key) else {
            self.revocations.insert(new.node_key, new);
            return;
        };
        known.revoked_from = known.revoked_from.min(new.revoked_from);
        known.compromised |= new.compromised;
        for head in new.heads {
            match known.heads.binary_search_by_key(&head.head_log, |one| one.head_log) {
                Ok(at) => {
                    if let Some(place) =
                        known.heads.get_mut(at).filter(|one| one.head_sequence > head.head_sequence)
                    {
                        *place = head;
                    }
                }
                Err(at) => known.heads.insert(at, head),
            }
        }
    }

    /// The alliance: the hash of its first charter.
    pub fn alliance(&self) -> Digest {
        self.charter().alliance()
    }

    /// The charter in force.
    #[expect(clippy::expect_used, reason = "a directory is made with a first charter and only grows")]
    pub fn charter(&self) -> &Charter {
        self.charters.last().expect("there is a first charter")
    }

    /// The charter with a number.
    pub fn charter_at(&self, sequence: u64) -> Option<&Charter> {
        self.charters.get(usize::try_from(sequence).ok()?)
    }

    /// A member as the charter in force has it.
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.charter().contents.member(id)
    }

    /// What revokes a key.
    pub fn revocation(&self, key: &KeyId) -> Option<&Revocation> {
        self.revocations.get(key)
    }

    /// The head that a revocation of the entry's key pins in its log.
    pub fn pinned(&self, entry: &Entry) -> Option<&PinnedHead> {
        let revocation = self.revocations.get(&entry.key()?)?;
        let at = revocation.heads.binary_search_by_key(&entry.log(), |head| head.head_log).ok()?;
        revocation.heads.get(at)
    }

    /// Whether an entry that was taken earlier is void by a revocation learnt since: after the pinned
    /// head of its log, or, where none is pinned, stated to be made after the revocation.
    pub fn is_void(&self, entry: &Entry) -> bool {
        let Some(revocation) = entry.key().and_then(|key| self.revocations.get(&key)) else { return false };
        match self.pinned(entry) {
            Some(head) => entry.sequence() > head.head_sequence,
            None => entry.created >= revocation.revoked_from,
        }
    }

    /// Judges an entry that is new here, at the time `now`: whether its signer may say this. Where
    /// it stands in its log is judged by [`crate::log::Ledger`].
    pub fn judge(&self, entry: &Entry, now: Instant) -> Result<(), Refusal> {
        self.judge_signer(entry, now)?;
        if self.pinned(entry).is_some_and(|head| head.head_sha256 == entry.digest) {
            return Ok(());
        }
        let revocation = entry.key().and_then(|key| self.revocations.get(&key));
        if let Some(revocation) = revocation.filter(|one| one.compromised || self.is_void(entry)) {
            return Err(Refusal::RevokedKey(revocation.node_key));
        }
        self.check_state(entry.member(), self.charter())
    }

    /// Everything but revocation and the state in the charter in force, which a pinned head outweighs.
    pub(crate) fn judge_signer(&self, entry: &Entry, now: Instant) -> Result<(), Refusal> {
        let ahead = entry.created.unix_seconds().saturating_sub(now.unix_seconds());
        if ahead > self.skew() {
            return Err(Refusal::FromTheFuture { seconds: ahead });
        }
        let holder = self.attribute(entry)?;
        if !holder.current {
            return Err(Refusal::KeyNotValid(holder.term.node_key));
        }
        match self.own_breach(entry) {
            Some(breach) => Err(breach),
            None => Ok(()),
        }
    }

    fn skew(&self) -> i64 {
        i64::from(self.charter().contents.limits.clock_skew_seconds)
    }

    /// Whose entry it is beyond doubt: the signature of a key that is or was the member's.
    fn attribute(&self, entry: &Entry) -> Result<&Holder, Refusal> {
        let (envelope, known) = (entry.envelope(), self.charter().contents.sequence);
        if envelope.alliance != self.alliance() {
            return Err(Refusal::OtherAlliance { found: envelope.alliance, ours: self.alliance() });
        }
        if envelope.charter > known {
            return Err(Refusal::UnknownCharter { named: envelope.charter, known });
        }
        let member = entry.member();
        if self.member(member).is_none() {
            return Err(Refusal::NoMember(member.clone()));
        }
        let key = entry.key().ok_or_else(|| Refusal::NoMember(member.clone()))?;
        let holder = self.holders.get(&key).filter(|holder| holder.member == *member);
        let holder = holder.ok_or_else(|| Refusal::ForeignKey { key, member: member.clone() })?;
        if entry.is_signed_by(&holder.key) { Ok(holder) } else { Err(Refusal::BadSignature(key)) }
    }

    /// The same for a proof: nor may the entry be void, since then anybody may have made it.
    pub(crate) fn check_attributable(&self, entry: &Entry) -> Result<(), Refusal> {
        let holder = self.attribute(entry)?;
        if self.is_void(entry) {
            return Err(Refusal::RevokedKey(holder.term.node_key));
        }
        Ok(())
    }

    /// What is wrong with an entry by its own words and the charter that it names: breaches that
    /// hold whoever looks, and whenever.
    pub(crate) fn own_breach(&self, entry: &Entry) -> Option<Refusal> {
        self.check_terms(entry).err()
    }

    fn check_terms(&self, entry: &Entry) -> Result<(), Refusal> {
        let (named, member) = (entry.envelope().charter, entry.member());
        let known = self.charter().contents.sequence;
        let charter = self.charter_at(named).ok_or(Refusal::UnknownCharter { named, known })?;
        self.check_state(member, charter)?;
        if entry.created.unix_seconds() < charter.created.unix_seconds() - self.skew() {
            return Err(Refusal::Charter(format!("it is older than the charter {named} that it names")));
        }
        if let Some(next) = self.charter_at(named + 1) {
            let grace = i64::from(next.contents.limits.charter_grace_seconds);
            if entry.created.unix_seconds() > next.created.unix_seconds().saturating_add(grace) {
                return Err(Refusal::StaleCharter { named, next: named + 1 });
            }
        }
        let key = entry.key().and_then(|key| self.holders.get(&key));
        if let Some(Holder { term, .. }) = key
            && !(term.valid_from..term.valid_until).contains(&entry.created)
        {
            return Err(Refusal::KeyNotValid(term.node_key));
        }
        let (what, role) = match entry.content() {
            Content::Release(_) => ("release", Some(Role::Publisher)),
            Content::Witness(_) => ("witness", Some(Role::Witness)),
            Content::Receipt(_) | Content::Answer(_) => ("", None),
        };
        let member_then = charter.contents.member(member);
        if role.is_some_and(|role| member_then.is_none_or(|member| !member.roles.contains(&role))) {
            return Err(Refusal::NoRole { member: member.clone(), what });
        }
        let (found, limit) = (entry.content().lines(), charter.contents.limits.objects_per_entry as usize);
        if found > limit { Err(over("lines", found, limit)) } else { Ok(()) }
    }

    fn check_state(&self, id: &MemberId, charter: &Charter) -> Result<(), Refusal> {
        let member = charter.contents.member(id).ok_or_else(|| Refusal::NoMember(id.clone()))?;
        if member.is_active() {
            return Ok(());
        }
        Err(Refusal::NotActive {
            member: id.clone(),
            state: member.state,
            charter: charter.contents.sequence,
        })
    }
}

fn over(what: &'static str, found: usize, limit: usize) -> Refusal {
    Refusal::OverLimit { what, found: found as u64, limit: limit as u64 }
}
