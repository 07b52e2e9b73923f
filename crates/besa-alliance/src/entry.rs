//! What a node signs: releases, receipts, answers and witnessed heads, each an entry of a log.
//!
//! A member has **one log per audience**. A single log for all would tell every ally how much it
//! is not shown; a log per audience has no gaps for those who may read it, and nobody else sees
//! that it exists. A log is named by a hash over alliance, member and audience ([`log_id`]), so
//! that an entry cannot be moved to another.
//!
//! Only the creator of an object releases it: relays pass the creator's entry on as it is, and its
//! origin stays verifiable after any number of them. Objects whose creator is no member may be
//! released by anybody.

use std::collections::BTreeSet;

use besa_stix::canonical::canonical;
use besa_stix::id::split_id;
use besa_stix::time::Instant;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use crate::exact::{object_digest, sha_256};
use crate::keys::SecretKey;
use crate::member::{Digest, KeyId, MemberId};
use crate::refusal::Refusal;
use crate::signed::{FormatError, Kind, Opened, Signed, check_text};

/// Most lines of an entry, whatever the charter says.
pub const LINES_MAX: usize = 10_000;
/// Greatest number of an entry: beyond it JSON readers lose digits.
pub const SEQUENCE_MAX: u64 = (1 << 53) - 1;

/// An entry with its one signature.
pub type Entry = Signed<EntryContents>;

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryContents {
    /// Who says it, to whom, where in which log.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The part of its kind.
    #[serde(flatten)]
    pub content: Content,
}

/// Who says something, to whom, and where it stands in which log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The member.
    pub created_by_ref: MemberId,
    /// The alliance.
    pub alliance: Digest,
    /// The number of the charter that the member had when it signed.
    pub charter: u64,
    /// Who may read it.
    pub audience: Audience,
    /// Markings under which it goes, at least one.
    pub object_marking_refs: Vec<String>,
    /// Its number in the log, from 1.
    pub sequence: u64,
    /// The hash of the entry before; the first has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
}

const ENVELOPE: [&str; 7] =
    ["created_by_ref", "alliance", "charter", "audience", "object_marking_refs", "sequence", "previous"];

/// Who may read an entry: the members of the charter, or members by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// All active members, whoever they are at the time.
    Charter,
    /// These; at least one.
    Members(BTreeSet<MemberId>),
}

/// How [`Audience::Charter`] is written.
const WHOLE_CHARTER: &str = "charter";

impl Audience {
    /// Whether a member is in it.
    pub fn includes(&self, member: &MemberId) -> bool {
        match self {
            Self::Charter => true,
            Self::Members(members) => members.contains(member),
        }
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Charter => serializer.collect_seq([WHOLE_CHARTER]),
            Self::Members(members) => serializer.collect_seq(members),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Vec::<String>::deserialize(deserializer)?;
        if written == [WHOLE_CHARTER] {
            return Ok(Self::Charter);
        }
        if written.is_empty() || !written.is_sorted_by(|a, b| a < b) {
            return Err(de::Error::custom(
                "an audience is [\"charter\"] or a sorted list of members, each once",
            ));
        }
        let members: Result<_, _> = written.iter().map(|text| MemberId::parse(text)).collect();
        members.map(Self::Members).map_err(de::Error::custom)
    }
}

/// The part of an entry that its kind decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Objects for the audience.
    Release(Release),
    /// What was done with an entry of another.
    Receipt(Receipt),
    /// Sightings that answer a release.
    Answer(Answer),
    /// Heads of others' logs.
    Witness(Witness),
}

impl Content {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Release(_) => Kind::Release,
            Self::Receipt(_) => Kind::Receipt,
            Self::Answer(_) => Kind::Answer,
            Self::Witness(_) => Kind::Witness,
        }
    }

    /// How many lines it has.
    pub fn lines(&self) -> usize {
        match self {
            Self::Release(release) => release.objects.len(),
            Self::Receipt(receipt) => receipt.results.len(),
            Self::Answer(answer) => answer.objects.len(),
            Self::Witness(witness) => witness.heads.len(),
        }
    }

    /// The objects that it brings.
    pub fn objects(&self) -> &[ReleasedObject] {
        match self {
            Self::Release(release) => &release.objects,
            Self::Answer(answer) => &answer.objects,
            Self::Receipt(_) | Self::Witness(_) => &[],
        }
    }
}

/// Objects for the audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The objects, sorted by id and version.
    pub objects: Vec<ReleasedObject>,
}

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedObject {
    /// Its id.
    pub object_ref: String,
    /// Its `modified` as written; objects without one have no versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_modified: Option<String>,
    /// SHA-256 of its canonical form.
    pub object_sha256: Digest,
}

/// An entry of another member's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryRef {
    /// Whose.
    pub entry_member: MemberId,
    /// Its log.
    pub entry_log: Digest,
    /// Its number.
    pub entry_sequence: u64,
    /// Its hash.
    pub entry_sha256: Digest,
}

/// What was done with an entry, signed by the receiver. Objects not listed share the entry's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The entry.
    pub receipt_for: EntryRef,
    /// What was done with it.
    pub outcome: EntryOutcome,
    /// Why it was refused: a [`Refusal::name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Objects with another outcome, sorted by id and version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ReceiptLine>,
}

/// What was done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryOutcome {
    /// Taken, but for the objects listed.
    Accepted,
    /// Not taken.
    Refused,
}

/// What was done with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptLine {
    /// Its id.
    pub object_ref: String,
    /// Its `modified` as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_modified: Option<String>,
    /// What was done.
    pub outcome: ObjectOutcome,
    /// Why it was refused or quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was done with an object that was not simply taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectOutcome {
    /// Not taken.
    Refused,
    /// Kept apart until an analyst decides.
    Quarantined,
    /// It was revoked by its creator, and is out of use here: the acknowledgement of a revocation.
    Withdrawn,
}

/// Sightings that answer a release; see [`crate::answer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The release.
    pub answer_to: EntryRef,
    /// The sightings, sorted by id and version.
    pub objects: Vec<ReleasedObject>,
}

/// Heads of others' logs as the witness has verified them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// The heads, sorted by member and log, one a log.
    pub heads: Vec<EntryRef>,
}

/// The name of a member's log for an audience.
pub fn log_id(alliance: &Digest, member: &MemberId, audience: &Audience) -> Digest {
    let name = json!({ "alliance": alliance, "audience": audience, "member": member });
    // Three texts always have a canonical form.
    canonical(&name).map(|name| sha_256(name.as_bytes())).unwrap_or_else(|_| sha_256(&[]))
}

impl Entry {
    /// Reads an entry and checks the rules that it can break alone. Who signed it, and whether it
    /// fits its log, is judged by [`crate::directory`] and [`crate::log`].
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Self::opened(Opened::read(text)?)
    }

    pub(crate) fn opened(opened: Opened) -> Result<Self, FormatError> {
        if !opened.kind.is_entry() {
            return Err(FormatError::Type(opened.kind.object_type().to_owned()));
        }
        let entry = opened.into_signed_by(read_contents)?;
        entry.contents.check(entry.kind)?;
        if entry.signatures.len() != 1 {
            return Err(FormatError::Signatures);
        }
        Ok(entry)
    }

    /// Signs an entry with a node's key.
    pub fn sign(
        created: Instant,
        envelope: Envelope,
        content: Content,
        key: &SecretKey,
    ) -> Result<Self, FormatError> {
        let kind = content.kind();
        let contents = EntryContents { envelope, content };
        contents.check(kind)?;
        Self::new(kind, created, contents, key)
    }

    /// Who, to whom, where.
    pub fn envelope(&self) -> &Envelope {
        &self.contents.envelope
    }

    /// What.
    pub fn content(&self) -> &Content {
        &self.contents.content
    }

    /// The member that says it.
    pub fn member(&self) -> &MemberId {
        &self.contents.envelope.created_by_ref
    }

    /// Its number in its log.
    pub fn sequence(&self) -> u64 {
        self.contents.envelope.sequence
    }

    /// The log it stands in.
    pub fn log(&self) -> Digest {
        let envelope = self.envelope();
        log_id(&envelope.alliance, &envelope.created_by_ref, &envelope.audience)
    }

    /// The key that is said to have signed it.
    pub fn key(&self) -> Option<KeyId> {
        self.signatures.first().map(|one| one.key)
    }

    /// How others refer to it.
    pub fn reference(&self) -> EntryRef {
        EntryRef {
            entry_member: self.member().clone(),
            entry_log: self.log(),
            entry_sequence: self.sequence(),
            entry_sha256: self.digest,
        }
    }

    /// Whether an object's text is one that this entry brings: listed, unaltered, and the signer's
    /// to release, which `is_member` decides for its creator.
    pub fn check_object(&self, text: &str, is_member: impl Fn(&MemberId) -> bool) -> Result<Digest, Refusal> {
        let (wanted, creator) = object_key(text)?;
        let lines = self.content().objects();
        let wanted_key = (wanted.0.as_str(), wanted.1.as_deref());
        let at = lines.binary_search_by(|line| {
            (line.object_ref.as_str(), line.object_modified.as_deref()).cmp(&wanted_key)
        });
        let line = at.ok().and_then(|at| lines.get(at));
        let Some(line) = line else { return Err(Refusal::NotReleased(wanted.0)) };
        let found = object_digest(text)?;
        if found != line.object_sha256 {
            return Err(Refusal::Altered { found, released: line.object_sha256 });
        }
        match creator.filter(|creator| creator != self.member() && is_member(creator)) {
            Some(creator) => {
                Err(Refusal::WrongCreator { signer: self.member().clone(), creator, object: wanted.0 })
            }
            None => Ok(found),
        }
    }
}

/// Id and version of an object, and its creator if that has the form of a member's id.
type ObjectKey = ((String, Option<String>), Option<MemberId>);

fn object_key(text: &str) -> Result<ObjectKey, Refusal> {
    let object =
        besa_stix::object::Object::parse(text).map_err(|error| Refusal::Object(error.to_string()))?;
    let header = object.header();
    let modified = header.modified.as_ref().map(|modified| modified.text.clone());
    let creator = header.created_by_ref.as_deref().map(str::to_ascii_lowercase);
    let creator = creator.and_then(|creator| MemberId::parse(&creator).ok());
    Ok(((header.id.clone(), modified), creator))
}

/// The line of a release for an object's text.
pub fn released_object(text: &str) -> Result<ReleasedObject, Refusal> {
    let ((object_ref, object_modified), _) = object_key(text)?;
    Ok(ReleasedObject { object_ref, object_modified, object_sha256: object_digest(text)? })
}

fn read_contents(kind: Kind, contents: Map<String, Value>) -> Result<EntryContents, serde_json::Error> {
    let (envelope, content): (Map<_, _>, Map<_, _>) =
        contents.into_iter().partition(|(key, _)| ENVELOPE.contains(&key.as_str()));
    let envelope = serde_json::from_value(Value::Object(envelope))?;
    let content = Value::Object(content);
    let content = match kind {
        Kind::Receipt => Content::Receipt(serde_json::from_value(content)?),
        Kind::Answer => Content::Answer(serde_json::from_value(content)?),
        Kind::Witness => Content::Witness(serde_json::from_value(content)?),
        _ => Content::Release(serde_json::from_value(content)?),
    };
    Ok(EntryContents { envelope, content })
}

impl EntryContents {
    fn check(&self, kind: Kind) -> Result<(), FormatError> {
        let bad = |reason: &str| Err(FormatError::shape(kind, reason));
        let envelope = &self.envelope;
        if !(1..=SEQUENCE_MAX).contains(&envelope.sequence) || envelope.charter > SEQUENCE_MAX {
            return bad("`sequence` and `charter` are whole numbers below 2^53, `sequence` from 1");
        }
        if (envelope.sequence == 1) != envelope.previous.is_none() {
            return bad("every entry but the first has `previous`");
        }
        let markings = &envelope.object_marking_refs;
        let marking = |id: &String| split_id(id).is_some_and(|(kind, _)| kind == "marking-definition");
        if markings.is_empty() || markings.len() > 16 || !markings.iter().all(marking) {
            return bad("`object_marking_refs` must name 1 to 16 marking-definitions");
        }
        if self.content.lines() > LINES_MAX {
            return bad("it has too many lines");
        }
        self.content.check().map_err(|reason| FormatError::shape(kind, reason))
    }
}

impl Content {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Release(Release { objects }) | Self::Answer(Answer { objects, .. }) => {
                check_objects(objects)
            }
            Self::Receipt(receipt) => receipt.check(),
            Self::Witness(Witness { heads }) => {
                let sorted = heads
                    .is_sorted_by(|a, b| (&a.entry_member, a.entry_log) < (&b.entry_member, b.entry_log));
                if heads.is_empty() || !sorted {
                    return Err("`heads` must be sorted by member and log, one a log, and not empty");
                }
                Ok(())
            }
        }
    }
}

fn check_objects(objects: &[ReleasedObject]) -> Result<(), &'static str> {
    let sorted = objects
        .is_sorted_by(|a, b| (&a.object_ref, &a.object_modified) < (&b.object_ref, &b.object_modified));
    if objects.is_empty() || !sorted {
        return Err(
            "`objects` must be sorted by `object_ref` and `object_modified`, each once, and not empty",
        );
    }
    if objects.iter().any(|object| split_id(&object.object_ref).is_none()) {
        return Err("`object_ref` must be a STIX id");
    }
    Ok(())
}

impl Receipt {
    fn check(&self) -> Result<(), &'static str> {
        let reasoned = |reason: &Option<String>| {
            reason.as_deref().is_some_and(|reason| check_text(reason, "reason", 500).is_ok())
        };
        let refused = self.outcome == EntryOutcome::Refused;
        if refused != self.reason.is_some()
            || (refused && (!reasoned(&self.reason) || !self.results.is_empty()))
        {
            return Err("a refused entry has a `reason` and no `results`, an accepted one no `reason`");
        }
        let sorted = self
            .results
            .is_sorted_by(|a, b| (&a.object_ref, &a.object_modified) < (&b.object_ref, &b.object_modified));
        if !sorted {
            return Err("`results` must be sorted by `object_ref` and `object_modified`, each once");
        }
        let good = |line: &ReceiptLine| match line.outcome {
            ObjectOutcome::Withdrawn => line.reason.is_none(),
            ObjectOutcome::Refused | ObjectOutcome::Quarantined => reasoned(&line.reason),
        };
        if self.results.iter().all(good) {
            Ok(())
        } else {
            Err("refused and quarantined objects need a `reason`")
        }
    }
}
