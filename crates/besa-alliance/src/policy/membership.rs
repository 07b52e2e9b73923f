//! The charter as the policy needs it: who is a member at this moment, and which groups there are.
//!
//! A view, not the charter: it is made from the charter in force for one decision and thrown away.
//! Whoever is not in it is a stranger.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::charter::CharterContents;
use crate::member::{MemberId, MemberState};

/// Members and groups at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Membership {
    /// Every member the charter names, active or not.
    #[serde(deserialize_with = "members")]
    pub members: BTreeMap<MemberId, MemberState>,
    /// Sharing groups by name.
    #[serde(default)]
    pub groups: BTreeMap<String, BTreeSet<MemberId>>,
}

/// To whom something would go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recipient {
    /// One member.
    Member(MemberId),
    /// Everybody: a public page, an open feed.
    Public,
    /// The holder's own people and machines, to whom nothing is released: they have it. The policy
    /// lets nothing out to them; see [`super::Inside`].
    Inside,
}

impl Membership {
    /// The view of a charter.
    pub fn of(charter: &CharterContents) -> Self {
        let members = charter.members.iter().map(|member| (member.identity_ref.clone(), member.state));
        let groups = charter.groups.iter();
        let groups = groups.map(|one| (one.group.clone(), one.group_refs.iter().cloned().collect()));
        Self { members: members.collect(), groups: groups.collect() }
    }

    /// Whether a member is named and active.
    pub fn is_active(&self, member: &MemberId) -> bool {
        self.members.get(member) == Some(&MemberState::Active)
    }

    /// Whether an id, in lower case, is the identity of an active member: all members know it.
    pub(super) fn knows(&self, id: &str) -> bool {
        MemberId::parse(id).is_ok_and(|member| self.is_active(&member))
    }

    /// Whether an active member belongs to a group. An unknown group has no members.
    pub(super) fn is_in(&self, member: &MemberId, group: &str) -> bool {
        self.is_active(member) && self.groups.get(group).is_some_and(|members| members.contains(member))
    }
}

impl Recipient {
    /// The member, if it is one.
    pub fn member(&self) -> Option<&MemberId> {
        match self {
            Self::Member(member) => Some(member),
            Self::Public | Self::Inside => None,
        }
    }

    /// The member's id, or `public`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Member(member) => member.as_str(),
            Self::Public => "public",
            Self::Inside => "inside",
        }
    }
}

/// Entries as a charter lists them; what else they say is not the policy's business.
#[derive(Deserialize)]
struct Entry {
    identity_ref: MemberId,
    state: MemberState,
}

fn members<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<MemberId, MemberState>, D::Error> {
    let mut members = BTreeMap::new();
    for entry in Vec::<Entry>::deserialize(deserializer)? {
        if let Some(first) = members.insert(entry.identity_ref.clone(), entry.state)
            && first != entry.state
        {
            let id = entry.identity_ref;
            return Err(serde::de::Error::custom(format!("`{id}` stands twice with different states")));
        }
    }
    Ok(members)
}
