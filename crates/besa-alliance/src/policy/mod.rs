//! The release policy: may this object go to that recipient, whole, in part, or not at all.
//!
//! One pure function, [`Policy::decide`], from an object's bytes, one recipient, the charter at that
//! moment, the store and the instant to a [`Released`] text or an [`Explanation`] why not. The rules
//! are written out for auditors in `docs/RELEASE-POLICY.md`; the test `noninterference` holds this
//! code against a second one written from that page, byte by byte.
//!
//! Invariants:
//! - What is in doubt stays: unknown markings, unreadable objects, references to nowhere.
//! - Nothing leaves but as [`Released`], which only this module can make; what the holder's own people
//!   see goes through [`Inside`], by an explicit word.
//! - **Non-interference.** What a recipient gets is the same, byte for byte, whether or not the
//!   objects hidden from it exist, and whatever they hold. A hidden object is never told from an
//!   absent one.
//! - Bounded work, no clock, no I/O, no panic.
//!
//! Not covered: what an author writes about a hidden object in words without naming an id; the time
//! an answer takes; [`Settings::reach_max`], which counts objects that turn out hidden (it fails
//! closed).

mod exit;
mod explain;
mod graph;
mod inside;
mod judge;
mod ledger;
mod marking;
mod membership;
mod node;
mod parts;
mod redact;
mod released;
mod signed;

use std::borrow::Cow;
use std::collections::BTreeMap;

use besa_stix::marking::Tlp;
use besa_stix::time::Instant;

pub use exit::Exit;
pub use explain::{Explanation, Rule, Says, Step, tlp_name};
pub use inside::{Inside, Party};
pub use ledger::{Ledger, Page, PageError};
pub use marking::{
    AUDIENCE_EXTENSION, Attribution, Audience, IEP_EXTENSION, Marking, PAP_EXTENSION, PAP_MARKINGS, Pap,
};
pub use membership::{Membership, Recipient};
pub use redact::{REDACTED_EXTENSION, REDACTED_NAMESPACE};
pub use released::{Released, Text, envelope};

use crate::member::MemberId;

/// An object as the node holds it.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// Its text.
    pub raw: Cow<'a, str>,
    /// The member it came from; `None` if it was made or brought in at this node. What came from
    /// somebody who is no member came from [`MemberId::outsider`].
    pub from: Option<MemberId>,
    /// Ids of the markings of the release under which it came: they bind as its own do.
    pub under: Cow<'a, [String]>,
}

impl<'a> Held<'a> {
    /// An object made or brought in at this node.
    pub fn here(raw: &'a str) -> Self {
        Self { raw: Cow::Borrowed(raw), from: None, under: Cow::Borrowed(&[]) }
    }
}

/// Where the policy looks up what an object refers to.
pub trait Catalogue {
    /// The newest version of an object. The id is in lower case.
    fn held(&self, id: &str) -> Option<Held<'_>>;
}

impl Catalogue for BTreeMap<String, Held<'_>> {
    fn held(&self, id: &str) -> Option<Held<'_>> {
        self.get(id).cloned()
    }
}

/// What the operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The level of objects without any. RED unless told otherwise.
    pub unmarked: Tlp,
    /// Most objects judged for one decision; beyond, nothing is released.
    pub reach_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { unmarked: Tlp::Red, reach_max: 100_000 }
    }
}

/// Everything a decision depends on.
pub struct Policy<'a> {
    /// Who releases: this node's member.
    pub releaser: &'a MemberId,
    /// To whom.
    pub recipient: &'a Recipient,
    /// By which way.
    pub exit: Exit,
    /// The charter at this moment.
    pub membership: &'a Membership,
    /// The store.
    pub catalogue: &'a dyn Catalogue,
    /// The moment.
    pub now: Instant,
    /// The operator's choices.
    pub settings: Settings,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may go.
    Released(Released<Text>),
    /// It stays, and why.
    Withheld(Explanation),
}

impl Outcome {
    /// The text, if it may go.
    pub fn released(self) -> Option<Released<Text>> {
        match self {
            Self::Released(released) => Some(released),
            Self::Withheld(_) => None,
        }
    }

    /// Why or why not.
    pub fn explanation(&self) -> &Explanation {
        match self {
            Self::Released(released) => released.explanation(),
            Self::Withheld(explanation) => explanation,
        }
    }
}

impl Policy<'_> {
    /// Decides about one object.
    pub fn decide(&self, object: &Held<'_>) -> Outcome {
        let mut outcomes = self.decide_all(std::slice::from_ref(object));
        outcomes.pop().unwrap_or_else(|| Outcome::Withheld(Explanation::bare("", self.recipient, self.exit)))
    }

    /// Decides about several objects at once, each as [`Policy::decide`] would, in their order.
    pub fn decide_all(&self, objects: &[Held<'_>]) -> Vec<Outcome> {
        graph::Graph::new(self).decide(objects)
    }

    /// Whether the recipient may be served at all.
    fn admits(&self) -> Result<(), String> {
        match self.recipient {
            Recipient::Public => Ok(()),
            Recipient::Inside => {
                Err("nothing is released to the holder's own people: they have it".to_owned())
            }
            Recipient::Member(member) if member == self.releaser => Ok(()),
            Recipient::Member(member) if self.membership.is_active(member) => Ok(()),
            Recipient::Member(member) => match self.membership.members.get(member) {
                Some(state) => Err(format!("`{member}` is not active in the charter but {state:?}")),
                None => Err(format!("the charter knows no `{member}`")),
            },
        }
    }

    /// Ids, in lower case, that tell a recipient nothing: the standards' markings and the members.
    fn is_known(&self, id: &str) -> bool {
        id == self.releaser.as_str() || self.membership.knows(id) || Marking::fixed(id).is_some()
    }

    fn marking(&self, id: &str) -> Marking {
        graph::read_marking(self, id)
    }
}
