//! The one form of everything that is signed: a STIX 2.1 object of a type of our own.
//!
//! The standard's way for such types is an extension definition (section 7.3): [`EXTENSION_ID`],
//! whose definition [`extension_objects`] gives. `docs/release-format.md` tells the format byte by
//! byte; in short, of an object without its properties `id` and `signatures`:
//!
//! ```text
//! hash      = SHA-256(JCS(object))                              (RFC 8785)
//! message   = "besa-alliance-1\n" type "\n" hash                (hash: 32 bytes)
//! signature = Ed25519(secret key, message)
//! id        = type "--" UUIDv5(namespace, hash)
//! ```
//!
//! Invariants: the signature covers every property but itself and the id, and the id follows from
//! the hash; unknown properties are refused, so nothing unread is ever signed for; the type in the
//! message keeps a signature over one kind from counting for another, and its first line from
//! counting for another protocol. Times have one spelling. A text has exactly one meaning
//! ([`crate::exact`]), so whoever re-writes it without changing it (white space, order, escapes)
//! keeps the signature, and whoever changes anything else breaks it.

use besa_stix::canonical::canonical;
use besa_stix::id::named_id;
use besa_stix::time::Instant;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::exact::{ExactError, exact_value, sha_256};
use crate::keys::{PublicKey, SecretKey};
use crate::member::{Digest, KeyId, NameError, hex_exact, hex_text, moment};

/// The extension definition of all our types and of the extension of sightings.
pub const EXTENSION_ID: &str = "extension-definition--bdc8f2d3-09c5-5f0f-8a54-7b8b6b6a2c11";
/// The identity that made the extension definition.
const EXTENSION_AUTHOR: &str = "identity--0b3c5a0e-6c5f-5d1b-9c8e-1f2d7a4e9b60";
/// The namespace of the ids of signed objects.
const ID_NAMESPACE: Uuid = Uuid::from_u128(0x5f3a9c52_7d0e_4b86_9a41_c7e2d8b1f604);
/// First line of every message that is signed.
const DOMAIN: &[u8] = b"besa-alliance-1\n";
/// Largest signed object read, in bytes; a proof, which holds two others, may have four times that.
pub const SIGNED_BYTES_MAX: usize = 4 << 20;
/// Most signatures on one object.
pub const SIGNATURES_MAX: usize = 512;

/// The kinds of signed objects, each a STIX object type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Who the members are and by which rules.
    #[serde(rename = "besa-charter")]
    Charter,
    /// Node keys certified and revoked by a member's authority.
    #[serde(rename = "besa-keys")]
    Keys,
    /// Objects released to an audience.
    #[serde(rename = "besa-release")]
    Release,
    /// What a receiver did with a release.
    #[serde(rename = "besa-receipt")]
    Receipt,
    /// Sightings that answer a release.
    #[serde(rename = "besa-answer")]
    Answer,
    /// Heads of others' logs, countersigned.
    #[serde(rename = "besa-witness")]
    Witness,
    /// Evidence of a breach, which needs no signature of its own.
    #[serde(rename = "besa-proof")]
    Proof,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Charter, Self::Keys, Self::Release, Self::Receipt, Self::Answer, Self::Witness, Self::Proof];

    /// The STIX object type.
    pub fn object_type(self) -> &'static str {
        match self {
            Self::Charter => "besa-charter",
            Self::Keys => "besa-keys",
            Self::Release => "besa-release",
            Self::Receipt => "besa-receipt",
            Self::Answer => "besa-answer",
            Self::Witness => "besa-witness",
            Self::Proof => "besa-proof",
        }
    }

    /// The kind of a STIX object type.
    pub fn of_type(object_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.object_type() == object_type)
    }

    /// Whether it stands in a log, signed by a node's key.
    pub fn is_entry(self) -> bool {
        matches!(self, Self::Release | Self::Receipt | Self::Answer | Self::Witness)
    }
}

/// Why a text is no signed object of ours. Nothing about signatures has been judged yet.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The text has no single meaning.
    #[error(transparent)]
    Exact(#[from] ExactError),
    /// It is no object of one of our types.
    #[error("`{0}` is no type of a signed object")]
    Type(String),
    /// A property is missing, unknown or of another form.
    #[error("the {kind} cannot be read: {reason}")]
    Shape {
        /// Its type.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The id is not the one that follows from the contents.
    #[error("the id is {found}, its contents make it {expected}")]
    Id {
        /// The id found.
        found: String,
        /// The id that follows.
        expected: String,
    },
    /// Signatures missing, too many, unsorted or twice by one key.
    #[error("`signatures` must hold 1 to {SIGNATURES_MAX} signatures, sorted by key, one a key")]
    Signatures,
}

impl FormatError {
    pub(crate) fn shape(kind: Kind, reason: impl std::fmt::Display) -> Self {
        Self::Shape { kind: kind.object_type(), reason: reason.to_string() }
    }
}

impl From<besa_stix::canonical::CanonicalError> for FormatError {
    fn from(error: besa_stix::canonical::CanonicalError) -> Self {
        Self::Exact(error.into())
    }
}

/// A signature and whose it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySignature {
    /// The key.
    pub key: KeyId,
    /// The signature, unverified.
    pub signature: [u8; 64],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSignature {
    public_key: KeyId,
    ed25519: String,
}

/// What every signed object has in common, apart from its contents `T`.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    /// Its kind.
    pub kind: Kind,
    /// When it was made, by its maker's clock.
    pub created: Instant,
    /// SHA-256 of everything that is signed: its name in logs and proofs.
    pub digest: Digest,
    /// At least one, sorted by key; unverified until asked for.
    pub signatures: Vec<KeySignature>,
    /// The properties of its kind.
    pub contents: T,
    body: Map<String, Value>,
}

/// The properties that STIX demands, in their only form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    #[serde(rename = "type")]
    kind: Kind,
    spec_version: String,
    #[serde(with = "moment")]
    created: Instant,
    #[serde(with = "moment")]
    modified: Instant,
    extensions: Value,
}

const FRAME: [&str; 5] = ["type", "spec_version", "created", "modified", "extensions"];

/// A text read as far as all kinds agree.
pub(crate) struct Opened {
    pub(crate) kind: Kind,
    body: Map<String, Value>,
    id: String,
    signatures: Vec<KeySignature>,
}

impl Opened {
    /// Reads the text of an object of any kind but a proof, which may be larger.
    pub(crate) fn read(text: &str) -> Result<Self, FormatError> {
        Self::from_value(exact_value(text, SIGNED_BYTES_MAX)?)
    }

    /// The same for a draft, which need not bear a signature yet.
    pub(crate) fn read_draft(text: &str) -> Result<Self, FormatError> {
        Self::take(exact_value(text, SIGNED_BYTES_MAX)?, |_| true)
    }

    /// Takes an object whose text has one meaning.
    pub(crate) fn from_value(value: Value) -> Result<Self, FormatError> {
        Self::take(value, |kind| kind == Kind::Proof)
    }

    fn take(value: Value, may_be_unsigned: impl Fn(Kind) -> bool) -> Result<Self, FormatError> {
        let Value::Object(mut body) = value else { return Err(FormatError::Type("no object".to_owned())) };
        let object_type = body.get("type").and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::of_type(object_type)
            .ok_or_else(|| FormatError::Type(object_type.chars().take(80).collect()))?;
        // Order does not matter to canonical JSON.
        let id = match body.swap_remove("id") {
            Some(Value::String(id)) => id,
            _ => return Err(FormatError::shape(kind, "it has no `id`")),
        };
        let signatures = match body.swap_remove("signatures") {
            None if may_be_unsigned(kind) => Vec::new(),
            signatures => read_signatures(signatures)?,
        };
        Ok(Self { kind, body, id, signatures })
    }

    /// Checks the frame and the id, and reads the contents of its kind.
    pub(crate) fn into_signed<T: DeserializeOwned>(self) -> Result<Signed<T>, FormatError> {
        self.into_signed_by(|_, contents| serde_json::from_value(Value::Object(contents)))
    }

    /// The same where the kind decides how the contents are read.
    pub(crate) fn into_signed_by<T>(
        self,
        read: impl FnOnce(Kind, Map<String, Value>) -> Result<T, serde_json::Error>,
    ) -> Result<Signed<T>, FormatError> {
        let Self { kind, body, id, signatures } = self;
        let shape = |error: serde_json::Error| FormatError::shape(kind, error);
        let (frame, contents): (Map<_, _>, Map<_, _>) =
            body.clone().into_iter().partition(|(key, _)| FRAME.contains(&key.as_str()));
        let frame: Frame = serde_json::from_value(Value::Object(frame)).map_err(shape)?;
        if frame.spec_version != "2.1" || frame.modified != frame.created || frame.extensions != extensions()
        {
            return Err(FormatError::shape(
                kind,
                "`spec_version` must be 2.1, `modified` the same as `created`, `extensions` our own and no other",
            ));
        }
        let contents = read(kind, contents).map_err(shape)?;
        let (digest, body) = hash_of(body)?;
        let expected = id_of(kind, &digest);
        if id != expected {
            return Err(FormatError::Id { found: id.chars().take(120).collect(), expected });
        }
        Ok(Signed { kind, created: frame.created, digest, signatures, contents, body })
    }
}

fn hash_of(body: Map<String, Value>) -> Result<(Digest, Map<String, Value>), FormatError> {
    let body = Value::Object(body);
    let digest = sha_256(canonical(&body)?.as_bytes());
    let Value::Object(body) = body else { return Err(FormatError::Signatures) };
    Ok((digest, body))
}

fn extensions() -> Value {
    json!({ EXTENSION_ID: { "extension_type": "new-sdo" } })
}

/// The STIX id that a signed object of a kind has by its hash.
pub fn id_of(kind: Kind, digest: &Digest) -> String {
    named_id(kind.object_type(), ID_NAMESPACE, digest.as_bytes())
}

fn read_signatures(value: Option<Value>) -> Result<Vec<KeySignature>, FormatError> {
    let written: Vec<WrittenSignature> =
        serde_json::from_value(value.unwrap_or_default()).map_err(|_| FormatError::Signatures)?;
    let signatures: Option<Vec<_>> = written
        .into_iter()
        .map(|one| hex_exact(&one.ed25519).map(|signature| KeySignature { key: one.public_key, signature }))
        .collect();
    let signatures = signatures.ok_or(FormatError::Signatures)?;
    let sorted = signatures.is_sorted_by(|a, b| a.key < b.key);
    if !sorted || signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
        return Err(FormatError::Signatures);
    }
    Ok(signatures)
}

/// The bytes that are signed.
pub fn message(kind: Kind, digest: &Digest) -> Vec<u8> {
    let mut message = DOMAIN.to_vec();
    message.extend_from_slice(kind.object_type().as_bytes());
    message.push(b'\n');
    message.extend_from_slice(digest.as_bytes());
    message
}

impl<T> Signed<T> {
    /// Its STIX id.
    pub fn id(&self) -> String {
        id_of(self.kind, &self.digest)
    }

    /// Whether a key has signed it: its signature is there and right.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let found = self.signatures.binary_search_by_key(&key.id(), |one| one.key).ok();
        let signature = found.and_then(|at| self.signatures.get(at));
        signature.is_some_and(|one| key.verifies(&message(self.kind, &self.digest), &one.signature))
    }

    /// Adds a key's signature, in the place of an earlier one of that key.
    pub fn add_signature(&mut self, key: &SecretKey) {
        let signature = key.sign(&message(self.kind, &self.digest));
        self.put_signature(KeySignature { key: key.id(), signature });
    }

    /// Adds the signatures of a copy of the same object, e.g. one that was signed elsewhere.
    /// False and nothing done if it is another object.
    pub fn merge_signatures(&mut self, other: &Self) -> bool {
        if (self.kind, self.digest) != (other.kind, other.digest) {
            return false;
        }
        for signature in &other.signatures {
            self.put_signature(signature.clone());
        }
        true
    }

    fn put_signature(&mut self, new: KeySignature) {
        match self.signatures.binary_search_by_key(&new.key, |one| one.key) {
            Ok(at) => {
                if let Some(place) = self.signatures.get_mut(at) {
                    *place = new;
                }
            }
            Err(at) => self.signatures.insert(at, new),
        }
    }

    /// The whole object as JSON.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        for first in ["type", "spec_version"] {
            if let Some(value) = self.body.get(first) {
                object.insert(first.to_owned(), value.clone());
            }
        }
        object.insert("id".to_owned(), self.id().into());
        let rest = self.body.iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "spec_version"));
        object.extend(rest.map(|(name, value)| (name.clone(), value.clone())));
        if !self.signatures.is_empty() {
            object.insert("signatures".to_owned(), self.signatures.iter().map(written).collect());
        }
        Value::Object(object)
    }

    /// The whole object as text on one line.
    pub fn text(&self) -> String {
        self.json().to_string()
    }
}

fn written(one: &KeySignature) -> Value {
    json!({ "public_key": one.key.to_string(), "ed25519": hex_text(&one.signature) })
}

impl<T: Serialize> Signed<T> {
    /// A new object with its first signature. Fails only for contents that are no dictionary.
    pub fn new(kind: Kind, created: Instant, contents: T, key: &SecretKey) -> Result<Self, FormatError> {
        let mut unsigned = Self::unsigned(kind, created, contents)?;
        unsigned.add_signature(key);
        Ok(unsigned)
    }

    /// A new object without signatures, for others to sign; read back as a draft only.
    pub fn unsigned(kind: Kind, created: Instant, contents: T) -> Result<Self, FormatError> {
        let created = to_millis(created);
        let frame = Frame {
            kind,
            spec_version: "2.1".to_owned(),
            created,
            modified: created,
            extensions: extensions(),
        };
        let shape = |error: serde_json::Error| FormatError::shape(kind, error);
        let mut body = Map::new();
        for part in
            [serde_json::to_value(&frame).map_err(shape)?, serde_json::to_value(&contents).map_err(shape)?]
        {
            let Value::Object(part) = part else {
                return Err(FormatError::shape(kind, "it is no dictionary"));
            };
            body.extend(part);
        }
        let (digest, body) = hash_of(body)?;
        Ok(Self { kind, created, digest, signatures: Vec::new(), contents, body })
    }
}

/// The instant that is written.
fn to_millis(instant: Instant) -> Instant {
    Instant::from_unix(instant.unix_seconds(), instant.subsec_nanos() / 1_000_000 * 1_000_000)
}

/// A text for people in a signed object: no control characters, of bounded length, not empty.
pub(crate) fn check_text(text: &str, what: &'static str, chars_max: usize) -> Result<(), NameError> {
    let good = !text.is_empty() && text.chars().count() <= chars_max && !text.chars().any(char::is_control);
    if good { Ok(()) } else { Err(NameError::new(text, what)) }
}

/// The identity and the extension definition that stand behind our types, as STIX objects; whoever
/// publishes a signed object publishes these once.
pub fn extension_objects() -> [Value; 2] {
    let created = "2026-11-27T00:00:00.000Z";
    let identity = json!({
        "type": "identity", "spec_version": "2.1", "id": EXTENSION_AUTHOR, "created": created, "modified": created,
        "name": "Besa", "identity_class": "organization",
    });
    let definition = json!({
        "type": "extension-definition", "spec_version": "2.1", "id": EXTENSION_ID, "created": created,
        "modified": created, "created_by_ref": EXTENSION_AUTHOR, "name": "Besa alliance",
        "description": "Charter, keys, releases, receipts, answers, witnessed heads and proofs of an alliance, and the coverage of a sighting.",
        "schema": "Besa, docs/release-format.md", "version": "1.0.0",
        "extension_types": ["new-sdo", "property-extension"],
    });
    [identity, definition]
}
