//! Why something that a member sent is not taken: one list of reasons, each with a name.
//!
//! The name goes into receipts, logs and counters; the text is for people. [`Refusal::is_passing`]
//! tells what may be right later (a charter or an entry that is still on its way) from what never
//! will be.

use crate::exact::ExactError;
use crate::member::{Digest, KeyId, MemberId, MemberState};
use crate::signed::FormatError;

/// A reason.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The text is no signed object of ours.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It belongs to another alliance.
    #[error("it belongs to the alliance {found}, ours is {ours}")]
    OtherAlliance {
        /// Whose it is.
        found: Digest,
        /// Ours.
        ours: Digest,
    },
    /// It names a charter that has not arrived.
    #[error("it was made under charter {named}, the last one known is {known}")]
    UnknownCharter {
        /// The charter's number.
        named: u64,
        /// The last number known.
        known: u64,
    },
    /// It names a charter that had been out of force for too long when it was made.
    #[error("it was made under charter {named}, long after charter {next} replaced it")]
    StaleCharter {
        /// The charter's number.
        named: u64,
        /// The number after it.
        next: u64,
    },
    /// The signer is no member.
    #[error("{0} is no member")]
    NoMember(MemberId),
    /// The signer is a member without a say.
    #[error("{member} is {state:?} in charter {charter}")]
    NotActive {
        /// The member.
        member: MemberId,
        /// Where it stands.
        state: MemberState,
        /// In which charter.
        charter: u64,
    },
    /// The member has not the role that this takes.
    #[error("{member} has not the role that a {what} takes")]
    NoRole {
        /// The member.
        member: MemberId,
        /// What it did.
        what: &'static str,
    },
    /// No signature by a key of the member.
    #[error("{key} is no key of {member}")]
    ForeignKey {
        /// The key that signed.
        key: KeyId,
        /// Whose it should be.
        member: MemberId,
    },
    /// The key was not valid at the time stated.
    #[error("the key {0} was not valid at the time stated")]
    KeyNotValid(KeyId),
    /// The key was revoked.
    #[error("the key {0} is revoked")]
    RevokedKey(KeyId),
    /// The signature is wrong.
    #[error("the signature of {0} is wrong")]
    BadSignature(KeyId),
    /// Made later than now.
    #[error("it says it was made {seconds} s from now")]
    FromTheFuture {
        /// How far ahead.
        seconds: i64,
    },
    /// It is not for us.
    #[error("{0} is not in its audience")]
    NotForUs(MemberId),
    /// More than the charter allows.
    #[error("it has {found} {what}, the charter allows {limit}")]
    OverLimit {
        /// What is counted.
        what: &'static str,
        /// How many.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// Entries before it are missing.
    #[error("entries {first} to {last} of the log are missing")]
    Gap {
        /// First missing number.
        first: u64,
        /// Last missing number.
        last: u64,
    },
    /// Two entries at one number, or an entry that follows another history.
    #[error("the log forks at {sequence}: {ours} is there, {theirs} is claimed")]
    Fork {
        /// The number.
        sequence: u64,
        /// The hash that we have.
        ours: Digest,
        /// The hash that is claimed.
        theirs: Digest,
    },
    /// An entry older than what is still held; whether it is a replay or a fork cannot be told here.
    #[error("entry {0} is older than what is held of the log")]
    TooOld(u64),
    /// Made before the entry that it follows.
    #[error("it says it was made before the entry it follows")]
    TimeBackwards,
    /// The object is not the one released.
    #[error("the object's hash is {found}, released was {released}")]
    Altered {
        /// Of the object at hand.
        found: Digest,
        /// In the release.
        released: Digest,
    },
    /// The object is in none of the entry's lines.
    #[error("`{0}` is not in the release")]
    NotReleased(String),
    /// An object by one member, released by another.
    #[error("{signer} released `{object}`, which only its creator {creator} may")]
    WrongCreator {
        /// Who released it.
        signer: MemberId,
        /// Whose it is.
        creator: MemberId,
        /// The object's id.
        object: String,
    },
    /// The object is no good STIX.
    #[error("the object cannot be read: {0}")]
    Object(String),
    /// A charter or key statement that breaks a rule of its own.
    #[error("{0}")]
    Charter(String),
    /// Too few of those who decide have signed.
    #[error("{found} of {needed} needed signatures are there")]
    NoQuorum {
        /// Signatures that count.
        found: usize,
        /// Signatures needed.
        needed: usize,
    },
    /// A proof that proves nothing.
    #[error("the proof does not hold: {0}")]
    NoProof(String),
}

impl From<ExactError> for Refusal {
    fn from(error: ExactError) -> Self {
        Self::Format(error.into())
    }
}

impl Refusal {
    /// A stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Format(_) => "malformed",
            Self::OtherAlliance { .. } => "other-alliance",
            Self::UnknownCharter { .. } => "unknown-charter",
            Self::StaleCharter { .. } => "stale-charter",
            Self::NoMember(_) => "no-member",
            Self::NotActive { .. } => "not-active",
            Self::NoRole { .. } => "no-role",
            Self::ForeignKey { .. } => "foreign-key",
            Self::KeyNotValid(_) => "key-not-valid",
            Self::RevokedKey(_) => "revoked-key",
            Self::BadSignature(_) => "bad-signature",
            Self::FromTheFuture { .. } => "from-the-future",
            Self::NotForUs(_) => "not-for-us",
            Self::OverLimit { .. } => "over-limit",
            Self::Gap { .. } => "gap",
            Self::Fork { .. } => "fork",
            Self::TooOld(_) => "too-old",
            Self::TimeBackwards => "time-backwards",
            Self::Altered { .. } => "altered",
            Self::NotReleased(_) => "not-released",
            Self::WrongCreator { .. } => "wrong-creator",
            Self::Object(_) => "bad-object",
            Self::Charter(_) => "bad-charter",
            Self::NoQuorum { .. } => "no-quorum",
            Self::NoProof(_) => "no-proof",
        }
    }

    /// Whether the same thing may be taken later, when something missing has arrived.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::UnknownCharter { .. } | Self::Gap { .. } | Self::FromTheFuture { .. })
    }
}
