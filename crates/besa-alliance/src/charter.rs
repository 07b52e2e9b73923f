//! The charter: who the members are and by which rules, and how it changes.
//!
//! Charters form a chain by hash. The first is trusted by its fingerprint, read out between people;
//! all its active members have signed it. A later one is valid when a quorum of the active members
//! of the one before has signed it with their authority keys, and when every member who is newly
//! active, or has a new authority key, has signed it with that key: nobody is made a member against
//! its will or with a key that it does not hold. A quorum is more than half, so two charters that
//! both follow one charter have a signer in common, who has thereby been caught.
//!
//! Between charters a member's authority may certify and revoke keys of its own node alone
//! ([`KeyStatement`]): a stolen node must not wait for ten capitals. Such statements only add; the
//! order of their arrival is of no account. Nothing revoked ever comes back.
//!
//! Invariants: a member once named stays named; a removed one stays removed; a key belongs to one
//! member for ever and is authority key or node key, never both.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use besa_stix::time::Instant;
use serde::{Deserialize, Serialize};

use crate::keys::{PublicKey, SecretKey};
use crate::member::{Digest, KeyId, Member, MemberId, MemberState, NodeKey, Role, moment};
use crate::refusal::Refusal;
use crate::signed::{FormatError, Kind, Opened, SIGNATURES_MAX, Signed, check_text};

/// Most members of an alliance.
pub const MEMBERS_MAX: usize = SIGNATURES_MAX / 2;
/// Most node keys of one member, past ones included.
pub const NODE_KEYS_MAX: usize = 256;
/// Most sharing groups of an alliance.
pub const GROUPS_MAX: usize = 256;
/// Most heads in one revocation.
pub const REVOCATION_HEADS_MAX: usize = 4096;

/// A charter with its signatures.
pub type Charter = Signed<CharterContents>;
/// A statement about keys with its signature.
pub type KeyStatement = Signed<KeyContents>;

/// What a charter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterContents {
    /// The alliance's name for people.
    pub name: String,
    /// The alliance: the hash of its first charter, which cannot hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alliance: Option<Digest>,
    /// 0 for the first charter, then one more each.
    pub sequence: u64,
    /// The hash of the charter before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// All who are or ever were members, sorted by id.
    pub members: Vec<Member>,
    /// How many must agree.
    pub quorum: Quorum,
    /// How much and how fast.
    pub limits: Limits,
    /// Node keys that are no longer trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocations: Vec<Revocation>,
    /// Sharing groups, sorted by name: what a marking's audience may name in place of members. All
    /// members know them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<SharingGroup>,
}

/// Members of the charter under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharingGroup {
    /// The name, as markings write it.
    pub group: String,
    /// Who is in it, sorted, each once.
    pub group_refs: Vec<MemberId>,
}

/// How many must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// Signatures of active members under the next charter; more than half of them.
    pub charter_signatures: u32,
    /// Witnesses that must name a head before it counts as witnessed.
    pub witness_signatures: u32,
    /// Members that must have confirmed an indicator before anything is blocked by it.
    pub block_confirmations: u32,
}

/// How much and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most objects of one release or answer, and lines of one receipt or witness.
    pub objects_per_entry: u32,
    /// Most entries of one log within an hour of the times that they state.
    pub entries_per_hour: u32,
    /// Most logs (audiences) of one member.
    pub logs_per_member: u32,
    /// How far the clocks of two members may differ.
    pub clock_skew_seconds: u32,
    /// How long after a new charter entries may still name the one before.
    pub charter_grace_seconds: u32,
    /// When the answer to a release is late.
    pub answer_seconds: u32,
    /// When the acknowledgement of a revoked object is late.
    pub acknowledge_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects_per_entry: 1_000,
            entries_per_hour: 3_600,
            logs_per_member: 1_000,
            clock_skew_seconds: 300,
            charter_grace_seconds: 7 * 86_400,
            answer_seconds: 3_600,
            acknowledge_seconds: 86_400,
        }
    }
}

/// A node key that is no longer trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The key.
    pub node_key: KeyId,
    /// Entries stated to be made from then on are void.
    #[serde(with = "moment")]
    pub revoked_from: Instant,
    /// Somebody else may have the key: what times its entries state is worth nothing.
    pub compromised: bool,
    /// The last entries that the member stands for, log by log. What follows them under this key is
    /// void; what leads up to them is good, whenever it arrives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<PinnedHead>,
}

/// An entry that is vouched for, and with it everything before it in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedHead {
    /// The log.
    pub head_log: Digest,
    /// The entry's number.
    pub head_sequence: u64,
    /// The entry's hash.
    pub head_sha256: Digest,
}

/// What a member's authority says of its node keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyContents {
    /// The alliance.
    pub alliance: Digest,
    /// The member whose keys they are.
    pub created_by_ref: MemberId,
    /// New keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certified: Vec<NodeKey>,
    /// Keys no longer trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocations: Vec<Revocation>,
}

fn broken(reason: impl Into<String>) -> Refusal {
    Refusal::Charter(reason.into())
}

impl Charter {
    /// Reads a charter and checks the rules that it can break alone. Signatures and its place in the
    /// chain are judged by [`crate::directory::Directory`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::opened(Opened::read(text)?)
    }

    /// Reads a charter that may still lack every signature, for those who sign it. Nobody takes one
    /// from the network this way.
    pub fn parse_draft(text: &str) -> Result<Self, Refusal> {
        Self::opened(Opened::read_draft(text)?)
    }

    pub(crate) fn opened(opened: Opened) -> Result<Self, Refusal> {
        if opened.kind != Kind::Charter {
            return Err(FormatError::Type(opened.kind.object_type().to_owned()).into());
        }
        let charter: Self = opened.into_signed()?;
        charter.contents.check()?;
        Ok(charter)
    }

    /// The alliance that it belongs to.
    pub fn alliance(&self) -> Digest {
        self.contents.alliance.unwrap_or(self.digest)
    }

    /// A new charter with nobody's signature yet.
    pub fn draft(created: Instant, contents: CharterContents) -> Result<Self, Refusal> {
        contents.check()?;
        Ok(Self::unsigned(Kind::Charter, created, contents)?)
    }

    /// Whether a member of this charter has signed another with the authority key that it has here.
    pub(crate) fn member_signed(&self, member: &Member, other: &Self) -> bool {
        debug_assert!(self.contents.member(&member.identity_ref).is_some());
        PublicKey::new(&member.authority_key).is_ok_and(|key| other.is_signed_by(&key))
    }

    /// The active members whose authority keys have signed `next`.
    pub fn signers_of(&self, next: &Self) -> Vec<&MemberId> {
        let signed = self.contents.active().filter(|member| self.member_signed(member, next));
        signed.map(|member| &member.identity_ref).collect()
    }

    /// The members of `next` who must sign it with the keys they have there: newly active ones and
    /// those with a new authority key. For a first charter (`before` is none): all active ones.
    pub fn must_accept<'a>(before: Option<&Self>, next: &'a Self) -> Vec<&'a Member> {
        let settled = |member: &Member| {
            let was = before.and_then(|before| before.contents.member(&member.identity_ref));
            was.is_some_and(|was| was.is_active() && was.authority_key == member.authority_key)
        };
        next.contents.active().filter(|member| !settled(member)).collect()
    }

    /// Checks a first charter: number 0 and signed by all its active members.
    pub fn check_first(&self) -> Result<(), Refusal> {
        let contents = &self.contents;
        if contents.sequence != 0 || contents.previous.is_some() || contents.alliance.is_some() {
            return Err(broken("a first charter has number 0, no `previous` and no `alliance`"));
        }
        self.check_accepted(None)
    }

    /// Checks that this charter follows another.
    pub fn check_follows(&self, before: &Self) -> Result<(), Refusal> {
        let (new, old) = (&self.contents, &before.contents);
        if self.alliance() != before.alliance() {
            return Err(Refusal::OtherAlliance { found: self.alliance(), ours: before.alliance() });
        }
        let next = old.sequence.checked_add(1) == Some(new.sequence);
        if !next || new.previous != Some(before.digest) {
            return Err(broken(format!("it does not follow charter {} ({})", old.sequence, before.digest)));
        }
        if self.created < before.created {
            return Err(broken("it is older than the charter it follows"));
        }
        new.check_keeps(old)?;
        let (found, needed) = (before.signers_of(self).len(), old.quorum.charter_signatures as usize);
        if found < needed {
            return Err(Refusal::NoQuorum { found, needed });
        }
        self.check_accepted(Some(before))
    }

    fn check_accepted(&self, before: Option<&Self>) -> Result<(), Refusal> {
        for member in Self::must_accept(before, self) {
            if !self.member_signed(member, self) {
                return Err(broken(format!(
                    "{} has not signed it with its authority key",
                    member.identity_ref
                )));
            }
        }
        Ok(())
    }
}

impl CharterContents {
    /// The member with an id.
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        let at = self.members.binary_search_by(|member| member.identity_ref.cmp(id)).ok()?;
        self.members.get(at)
    }

    /// The active members.
    pub fn active(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_active())
    }

    /// The rules that a charter can break alone.
    pub fn check(&self) -> Result<(), Refusal> {
        check_text(&self.name, "name of an alliance", 200).map_err(|error| broken(error.to_string()))?;
        if self.members.len() > MEMBERS_MAX {
            return Err(broken(format!(
                "it has {} members, at most {MEMBERS_MAX} are allowed",
                self.members.len()
            )));
        }
        if !self.members.is_sorted_by(|a, b| a.identity_ref < b.identity_ref) {
            return Err(broken("`members` must be sorted by `identity_ref`, each once"));
        }
        self.members.iter().try_for_each(check_member)?;
        self.check_keys()?;
        self.check_quorum()?;
        self.limits.check()?;
        check_revocations(&self.revocations)?;
        self.check_groups()?;
        let owners = self.key_owners();
        match self.revocations.iter().find(|revocation| !owners.contains_key(&revocation.node_key)) {
            Some(revocation) => Err(broken(format!("it revokes {}, which is nobody's", revocation.node_key))),
            None => Ok(()),
        }
    }

    fn check_keys(&self) -> Result<(), Refusal> {
        let mut seen = HashSet::new();
        for member in &self.members {
            let keys = member.node_keys.iter().map(|key| &key.node_key);
            for key in keys.chain([&member.authority_key]) {
                PublicKey::new(key).map_err(|error| broken(error.to_string()))?;
                if !seen.insert(key) {
                    return Err(broken(format!("the key {key} stands there twice")));
                }
            }
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), Refusal> {
        if self.groups.len() > GROUPS_MAX || !self.groups.is_sorted_by(|a, b| a.group < b.group) {
            return Err(broken(format!(
                "`groups` must be at most {GROUPS_MAX}, sorted by `group`, each once"
            )));
        }
        for SharingGroup { group, group_refs } in &self.groups {
            check_text(group, "name of a group", 200).map_err(|error| broken(error.to_string()))?;
            if !group_refs.is_sorted_by(|a, b| a < b) {
                return Err(broken(format!("the members of the group `{group}` must be sorted, each once")));
            }
            if let Some(stranger) = group_refs.iter().find(|id| self.member(id).is_none()) {
                return Err(broken(format!("{stranger} in the group `{group}` is no member")));
            }
        }
        Ok(())
    }

    fn check_quorum(&self) -> Result<(), Refusal> {
        let active = self.active().count();
        let (needed, witnesses) = (self.quorum.charter_signatures as usize, self.witnesses().count());
        if needed > active || needed <= active / 2 {
            return Err(broken(format!(
                "a quorum of {needed} is not more than half of {active} active members and at most all"
            )));
        }
        if self.quorum.witness_signatures as usize > witnesses {
            return Err(broken(format!("it asks for more witnesses than the {witnesses} it has")));
        }
        if self.quorum.block_confirmations as usize > active {
            return Err(broken("it asks for more confirmations than it has active members"));
        }
        Ok(())
    }

    /// The active witnesses.
    pub fn witnesses(&self) -> impl Iterator<Item = &Member> {
        self.active().filter(|member| member.roles.contains(&Role::Witness))
    }

    /// Every node key and whose it is.
    pub fn key_owners(&self) -> BTreeMap<KeyId, &MemberId> {
        let keys = self
            .members
            .iter()
            .flat_map(|member| member.node_keys.iter().map(|key| (key.node_key, &member.identity_ref)));
        keys.collect()
    }

    /// What no later charter may undo.
    fn check_keeps(&self, old: &Self) -> Result<(), Refusal> {
        for member in &old.members {
            let id = &member.identity_ref;
            let Some(now) = self.member(id) else {
                return Err(broken(format!("{id} has vanished; it can be removed")));
            };
            if member.state == MemberState::Removed && now.state != MemberState::Removed {
                return Err(broken(format!("{id} was removed for good")));
            }
        }
        let (owners, authorities) = (self.key_owners(), self.authorities());
        for (key, owner) in old.key_owners() {
            if owners.get(&key).is_some_and(|now| *now != owner) || authorities.contains_key(&key) {
                return Err(broken(format!("the key {key} was a node key of {owner}")));
            }
        }
        for (key, owner) in old.authorities() {
            if authorities.get(&key).is_some_and(|now| *now != owner) || owners.contains_key(&key) {
                return Err(broken(format!("the key {key} was the authority key of {owner}")));
            }
        }
        Ok(())
    }

    fn authorities(&self) -> BTreeMap<KeyId, &MemberId> {
        self.members.iter().map(|member| (member.authority_key, &member.identity_ref)).collect()
    }
}

fn check_member(member: &Member) -> Result<(), Refusal> {
    check_text(&member.name, "name of a member", 200).map_err(|error| broken(error.to_string()))?;
    check_node_keys(&member.node_keys)
}

fn check_node_keys(keys: &[NodeKey]) -> Result<(), Refusal> {
    if keys.len() > NODE_KEYS_MAX {
        return Err(broken(format!("a member has at most {NODE_KEYS_MAX} node keys")));
    }
    match keys.iter().find(|key| key.valid_from >= key.valid_until) {
        Some(key) => Err(broken(format!("the key {} is never valid", key.node_key))),
        None => Ok(()),
    }
}

fn check_revocations(revocations: &[Revocation]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for revocation in revocations {
        if !seen.insert(revocation.node_key) {
            return Err(broken(format!("the key {} is revoked twice", revocation.node_key)));
        }
        let sorted = revocation.heads.is_sorted_by(|a, b| a.head_log < b.head_log);
        if !sorted || revocation.heads.len() > REVOCATION_HEADS_MAX {
            return Err(broken(format!(
                "`heads` must be at most {REVOCATION_HEADS_MAX}, sorted by log, each once"
            )));
        }
    }
    Ok(())
}

impl Limits {
    fn check(&self) -> Result<(), Refusal> {
        for (name, value, min, max) in [
            ("objects_per_entry", self.objects_per_entry, 1, 10_000),
            ("entries_per_hour", self.entries_per_hour, 1, 1_000_000),
            ("logs_per_member", self.logs_per_member, 1, 100_000),
            ("clock_skew_seconds", self.clock_skew_seconds, 0, 86_400),
            ("charter_grace_seconds", self.charter_grace_seconds, 0, 366 * 86_400),
            ("answer_seconds", self.answer_seconds, 1, 366 * 86_400),
            ("acknowledge_seconds", self.acknowledge_seconds, 1, 366 * 86_400),
        ] {
            if !(min..=max).contains(&value) {
                return Err(broken(format!("`{name}` is {value}; {min} to {max} are allowed")));
            }
        }
        Ok(())
    }
}

impl KeyStatement {
    /// Reads a statement and checks the rules that it can break alone.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::opened(Opened::read(text)?)
    }

    /// Reads a statement that may still lack its signature, for the authority that signs it.
    pub fn parse_draft(text: &str) -> Result<Self, Refusal> {
        Self::opened(Opened::read_draft(text)?)
    }

    fn opened(opened: Opened) -> Result<Self, Refusal> {
        if opened.kind != Kind::Keys {
            return Err(FormatError::Type(opened.kind.object_type().to_owned()).into());
        }
        let statement: Self = opened.into_signed()?;
        statement.contents.check()?;
        Ok(statement)
    }

    /// A new statement without its signature yet.
    pub fn draft(created: Instant, contents: KeyContents) -> Result<Self, Refusal> {
        contents.check()?;
        Ok(Self::unsigned(Kind::Keys, created, contents)?)
    }

    /// A statement signed by a member's authority key.
    pub fn sign(created: Instant, contents: KeyContents, authority: &SecretKey) -> Result<Self, Refusal> {
        contents.check()?;
        Ok(Self::new(Kind::Keys, created, contents, authority)?)
    }
}

impl KeyContents {
    fn check(&self) -> Result<(), Refusal> {
        if self.certified.is_empty() && self.revocations.is_empty() {
            return Err(broken("it certifies and revokes nothing"));
        }
        check_node_keys(&self.certified)?;
        let mut seen = HashSet::new();
        for key in &self.certified {
            PublicKey::new(&key.node_key).map_err(|error| broken(error.to_string()))?;
            if !seen.insert(key.node_key) {
                return Err(broken(format!("the key {} stands there twice", key.node_key)));
            }
        }
        check_revocations(&self.revocations)
    }
}
