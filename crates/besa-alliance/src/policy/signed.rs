//! What is signed leaves too: entries for their audience, and what every member has to know.
//!
//! An entry says itself who may read it ([`crate::entry::Envelope::audience`]), its signature binds
//! that, and the objects it names were judged for each of them before it was signed. Charters, key
//! statements and proofs are for all members: without them nobody can verify anything.

use super::Policy;
use super::explain::{Explanation, Rule, Says, Step};
use super::released::{Released, Text};
use crate::entry::Entry;
use crate::signed::Kind;

impl Policy<'_> {
    /// Whether a signed object may go to the recipient; `None` if not, or if it is none.
    pub fn decide_signed(&self, text: &str) -> Option<Released<Text>> {
        let member = self.recipient.member()?;
        self.admits().ok()?;
        let object = besa_stix::object::Object::parse(text).ok()?;
        let kind = Kind::of_type(&object.header().object_type)?;
        let why = if kind.is_entry() {
            let entry = Entry::parse(text).ok()?;
            let reads = entry.envelope().audience.includes(member) || entry.member() == member;
            reads.then(|| "it is in the entry's audience".to_owned())?
        } else {
            "charters, key statements and proofs are for every member".to_owned()
        };
        let header = object.header();
        let mut explanation = Explanation::bare(&header.id, self.recipient, self.exit);
        explanation.released = true;
        explanation.steps.push(Step { rule: Rule::Audience, says: Says::Allows, why });
        let text = Text {
            json: text.to_owned(),
            id: header.id.clone(),
            version: header.modified.as_ref().map(|stamp| stamp.text.clone()),
            source: header.id.clone(),
        };
        Some(Released::new(text, self.recipient.clone(), explanation))
    }
}
