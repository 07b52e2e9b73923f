//! [`Released`]: the only thing that leaves a node.
//!
//! Only the policy makes one, for one named recipient, and it carries the decision. There is no way
//! to put something else into one: no public constructor, no `map`, no deserialiser.
//!
//! ```compile_fail
//! use besa_alliance::policy::{Released, Text};
//! // Private fields: a secret cannot be dressed up as released.
//! let forged = Released { value: "secret", explanation: todo!(), recipient: todo!() };
//! ```
//!
//! ```compile_fail
//! use besa_alliance::policy::{Released, Text};
//! fn forge(text: Text) -> Released<Text> { text.into() }
//! ```
//!
//! ```compile_fail
//! use besa_alliance::policy::{Released, Text};
//! // Nor can what is inside be exchanged.
//! fn swap(released: &mut Released<Text>) { *released.get_mut() = todo!(); }
//! ```
//!
//! ```compile_fail
//! use besa_alliance::policy::{Released, Text};
//! fn read(json: &str) -> Released<Text> { serde_json::from_str(json).unwrap() }
//! ```
//!
//! ```compile_fail
//! // An exit takes released texts only.
//! besa_alliance::policy::envelope(&["secret".to_owned()]);
//! ```

use super::explain::Explanation;
use super::membership::Recipient;

/// Something that may go to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released<T> {
    value: T,
    recipient: Recipient,
    explanation: Explanation,
}

/// A STIX object's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub(super) json: String,
    pub(super) id: String,
    pub(super) version: Option<String>,
    pub(super) source: String,
}

impl<T> Released<T> {
    pub(super) fn new(value: T, recipient: Recipient, explanation: Explanation) -> Self {
        Self { value, recipient, explanation }
    }

    /// What may go.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// To whom.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// Why. For the operator: it may name what is hidden.
    pub fn explanation(&self) -> &Explanation {
        &self.explanation
    }
}

impl Text {
    /// The object's JSON: as received, or canonical (RFC 8785) if it is a redacted copy.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Its id; a redacted copy has one of its own.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its `modified`, else `created`, as written.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The id of the object it is, or is a redacted copy of; empty for one of the holder's own.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// A TAXII envelope or bundle's `objects` list of what one recipient may have.
///
/// `None` if the texts are for different recipients.
pub fn envelope(texts: &[Released<Text>]) -> Option<String> {
    let first = texts.first().map(Released::recipient);
    if texts.iter().any(|text| Some(text.recipient()) != first) {
        return None;
    }
    let objects: Vec<&str> = texts.iter().map(|text| text.get().json()).collect();
    Some(format!("{{\"objects\":[{}]}}", objects.join(",")))
}
