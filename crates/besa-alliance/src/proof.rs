//! Proof of a breach that any member can check from the charter and key statements alone.
//!
//! A proof is an object `besa-proof` that holds the signed objects which contradict each other or the
//! charter. It needs no signature: what it holds is signed by the accused. Whoever receives one does
//! not believe its words but works the breach out again ([`Proof::verify`]).
//!
//! | breach | evidence |
//! |---|---|
//! | `fork` | two entries at one number of one log, or an entry and one that follows another history |
//! | `time-backwards` | an entry and its successor, stated to be made earlier |
//! | `over-limit` | one entry with too many lines, or two of one hour with too many between them |
//! | `two-bodies` | two entries with different hashes for one version of an object |
//! | `wrong-creator` | an entry and the object in it, which another member created |
//! | `two-heads` | two statements of a witness with different hashes for one number of a log |
//! | `not-active`, `no-role`, `stale-charter`, `key-not-valid` | one entry, against the charter it names |
//! | `charter-fork` | two charters that follow one charter; those who signed both are accused |
//!
//! What no signature proves, and no proof claims: a gap (entries may be late), a replay (anybody can
//! repeat), who altered an object on the way (only that it is not what its creator released).

use besa_stix::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::charter::Charter;
use crate::directory::Directory;
use crate::entry::{Content, Entry};
use crate::exact::exact_value;
use crate::log::within_hour;
use crate::member::{Digest, MemberId};
use crate::refusal::Refusal;
use crate::signed::{FormatError, Kind, Opened, SIGNED_BYTES_MAX, Signed};

/// Largest proof read, in bytes.
pub const PROOF_BYTES_MAX: usize = 4 * SIGNED_BYTES_MAX + (1 << 16);

/// A proof, unverified until [`Proof::verify`].
pub type Proof = Signed<ProofContents>;

/// What a proof claims and holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofContents {
    /// The alliance.
    pub alliance: Digest,
    /// The breach, by the name in the table above.
    pub breach: String,
    /// Who did it.
    pub accused: Vec<MemberId>,
    /// One or two signed objects.
    pub evidence: Vec<Value>,
    /// The object of a `wrong-creator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed_object: Option<Value>,
}

/// A breach that has been proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub breach: &'static str,
    /// Who did it.
    pub accused: Vec<MemberId>,
}

impl Proof {
    /// Reads a proof; it proves nothing yet.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let opened = Opened::from_value(exact_value(text, PROOF_BYTES_MAX)?)?;
        if opened.kind != Kind::Proof {
            return Err(FormatError::Type(opened.kind.object_type().to_owned()));
        }
        opened.into_signed()
    }

    /// From one entry: what it breaks by itself.
    pub fn entry(directory: &Directory, entry: &Entry, now: Instant) -> Result<Self, Refusal> {
        Self::build(directory, now, vec![entry.json()], None)
    }

    /// From two entries of one member that cannot both be honest.
    pub fn entries(
        directory: &Directory,
        first: &Entry,
        second: &Entry,
        now: Instant,
    ) -> Result<Self, Refusal> {
        Self::build(directory, now, vec![first.json(), second.json()], None)
    }

    /// From an entry and an object in it that another member created.
    pub fn creator(
        directory: &Directory,
        entry: &Entry,
        object: &str,
        now: Instant,
    ) -> Result<Self, Refusal> {
        Self::build(directory, now, vec![entry.json()], Some(exact_value(object, SIGNED_BYTES_MAX)?))
    }

    /// From two charters that follow one charter.
    pub fn charters(
        directory: &Directory,
        first: &Charter,
        second: &Charter,
        now: Instant,
    ) -> Result<Self, Refusal> {
        Self::build(directory, now, vec![first.json(), second.json()], None)
    }

    fn build(
        directory: &Directory,
        now: Instant,
        evidence: Vec<Value>,
        disputed_object: Option<Value>,
    ) -> Result<Self, Refusal> {
        let alliance = directory.alliance();
        let verdict = weigh(directory, &evidence, disputed_object.as_ref())?;
        let Verdict { breach, accused } = verdict;
        let contents =
            ProofContents { alliance, breach: breach.to_owned(), accused, evidence, disputed_object };
        Ok(Self::unsigned(Kind::Proof, now, contents)?)
    }

    /// Works the breach out again; an error if there is none, or another than claimed.
    pub fn verify(&self, directory: &Directory) -> Result<Verdict, Refusal> {
        let contents = &self.contents;
        if contents.alliance != directory.alliance() {
            return Err(Refusal::OtherAlliance { found: contents.alliance, ours: directory.alliance() });
        }
        let verdict = weigh(directory, &contents.evidence, contents.disputed_object.as_ref())?;
        if verdict.breach != contents.breach || verdict.accused != contents.accused {
            return Err(no_proof("it proves something other than it claims"));
        }
        Ok(verdict)
    }
}

fn no_proof(reason: impl Into<String>) -> Refusal {
    Refusal::NoProof(reason.into())
}

fn weigh(directory: &Directory, evidence: &[Value], object: Option<&Value>) -> Result<Verdict, Refusal> {
    let opened: Vec<_> = evidence.iter().cloned().map(Opened::from_value).collect::<Result<_, _>>()?;
    if opened.iter().any(|one| one.kind == Kind::Charter) {
        let charters: Vec<_> = opened.into_iter().map(Charter::opened).collect::<Result<_, _>>()?;
        return match (charters.as_slice(), object) {
            ([first, second], None) => weigh_charters(directory, first, second),
            _ => Err(no_proof("a fork of the charter takes two charters")),
        };
    }
    let entries: Vec<_> = opened.into_iter().map(Entry::opened).collect::<Result<_, _>>()?;
    for entry in &entries {
        directory.check_attributable(entry)?;
    }
    let (breach, entry) = match (entries.as_slice(), object) {
        ([entry], None) => (weigh_entry(directory, entry)?, entry),
        ([entry], Some(object)) => (weigh_object(directory, entry, object)?, entry),
        ([first, second], None) => (weigh_pair(directory, first, second)?, first),
        _ => return Err(no_proof("it holds no evidence of a known form")),
    };
    Ok(Verdict { breach, accused: vec![entry.member().clone()] })
}

fn weigh_entry(directory: &Directory, entry: &Entry) -> Result<&'static str, Refusal> {
    match directory.own_breach(entry) {
        Some(
            breach @ (Refusal::NotActive { .. }
            | Refusal::NoRole { .. }
            | Refusal::StaleCharter { .. }
            | Refusal::KeyNotValid(_)
            | Refusal::OverLimit { .. }),
        ) => Ok(breach.name()),
        _ => Err(no_proof("the entry by itself breaks nothing")),
    }
}

fn weigh_object(directory: &Directory, entry: &Entry, object: &Value) -> Result<&'static str, Refusal> {
    match entry.check_object(&object.to_string(), |id| directory.member(id).is_some()) {
        Err(breach @ Refusal::WrongCreator { .. }) => Ok(breach.name()),
        Err(other) => Err(other),
        Ok(_) => Err(no_proof("the object is the signer's to release")),
    }
}

fn weigh_pair(directory: &Directory, a: &Entry, b: &Entry) -> Result<&'static str, Refusal> {
    if a.member() != b.member() || a.digest == b.digest {
        return Err(no_proof("it takes two entries of one member"));
    }
    let (first, second) = if a.sequence() <= b.sequence() { (a, b) } else { (b, a) };
    if first.log() == second.log()
        && let Some(breach) = weigh_log(directory, first, second)
    {
        return Ok(breach);
    }
    let bodies = first.content().objects().iter().any(|one| {
        let same = |other: &&_| version(one) == version(other) && one.object_modified.is_some();
        second
            .content()
            .objects()
            .iter()
            .find(same)
            .is_some_and(|other| other.object_sha256 != one.object_sha256)
    });
    if bodies {
        return Ok("two-bodies");
    }
    match (first.content(), second.content()) {
        (Content::Witness(one), Content::Witness(other)) if two_heads(one, other) => Ok("two-heads"),
        _ => Err(no_proof("the two entries do not contradict each other")),
    }
}

fn version(object: &crate::entry::ReleasedObject) -> (&str, Option<&str>) {
    (&object.object_ref, object.object_modified.as_deref())
}

fn two_heads(one: &crate::entry::Witness, other: &crate::entry::Witness) -> bool {
    let place =
        |head: &crate::entry::EntryRef| (head.entry_member.clone(), head.entry_log, head.entry_sequence);
    one.heads.iter().any(|head| {
        let same = other.heads.iter().find(|other| place(other) == place(head));
        same.is_some_and(|other| other.entry_sha256 != head.entry_sha256)
    })
}

fn weigh_log(directory: &Directory, first: &Entry, second: &Entry) -> Option<&'static str> {
    let distance = second.sequence() - first.sequence();
    let follows = second.envelope().previous == Some(first.digest);
    if distance == 0 || (distance == 1 && !follows) {
        return Some("fork");
    }
    if distance == 1 && second.created < first.created {
        return Some("time-backwards");
    }
    // The charter that the later entry names, since its maker knew it.
    let limits = &directory.charter_at(second.envelope().charter)?.contents.limits;
    let flood = distance + 1 > u64::from(limits.entries_per_hour);
    let ordered = second.created >= first.created;
    (flood && ordered && within_hour(first.created, second.created)).then_some("over-limit")
}

fn weigh_charters(directory: &Directory, a: &Charter, b: &Charter) -> Result<Verdict, Refusal> {
    if a.digest == b.digest || a.contents.previous != b.contents.previous {
        return Err(no_proof("it takes two charters that follow one charter"));
    }
    let before = a.contents.sequence.checked_sub(1).and_then(|number| directory.charter_at(number));
    let before = before.filter(|before| Some(before.digest) == a.contents.previous);
    let before = before.ok_or_else(|| no_proof("the charter that both follow is not known"))?;
    let signers = before.signers_of(b);
    let both: Vec<_> = before.signers_of(a).into_iter().filter(|id| signers.contains(id)).cloned().collect();
    if both.is_empty() {
        return Err(no_proof("nobody has signed both charters"));
    }
    Ok(Verdict { breach: "charter-fork", accused: both })
}
