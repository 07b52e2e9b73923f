//! Who stands before an exit: the holder's own people, or somebody else.
//!
//! The holder's people and machines have what the node has; giving it to them is no release, and
//! nothing is cut for them. But every way out takes [`Released`] texts only, so it has to be said, at
//! one place that can be looked for, that somebody is the holder's own.

use super::exit::Exit;
use super::explain::Explanation;
use super::membership::Recipient;
use super::released::{Released, Text};
use crate::member::MemberId;

/// Somebody of the holder's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside(());

/// Who stands before an exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// One of the holder's own.
    Inside(Inside),
    /// Somebody else: the policy decides.
    Outside(Recipient),
}

impl Party {
    /// Whom an account stands for: nobody but the node's own people, the public (`public`), or a
    /// member. What can be read as none of these is a stranger to every charter.
    ///
    /// ```
    /// use besa_alliance::policy::{Party, Recipient};
    /// assert!(matches!(Party::of_account(None), Party::Inside(_)));
    /// assert_eq!(Party::of_account(Some("public")), Party::Outside(Recipient::Public));
    /// assert!(matches!(Party::of_account(Some("")), Party::Outside(Recipient::Member(_))));
    /// ```
    pub fn of_account(member: Option<&str>) -> Self {
        match member {
            None => Self::Inside(Inside(())),
            Some("public") => Self::Outside(Recipient::Public),
            Some(member) => {
                let member = MemberId::parse(member).unwrap_or_else(|_| MemberId::outsider());
                Self::Outside(Recipient::Member(member))
            }
        }
    }
}

impl Inside {
    /// The operator says so, at the node's own command line: what is printed or sent stays with them.
    pub fn by_the_operator() -> Self {
        Self(())
    }

    /// Texts of objects that the operator sends to a place of their own choice.
    pub fn texts(&self, texts: impl IntoIterator<Item = String>) -> Vec<Released<Text>> {
        texts.into_iter().map(|json| self.text(json, String::new(), None)).collect()
    }

    /// An object as it is held.
    pub fn text(&self, json: String, id: String, version: Option<String>) -> Released<Text> {
        let mut explanation = Explanation::bare("", &Recipient::Inside, Exit::Taxii);
        explanation.released = true;
        let text = Text { json, source: String::new(), id, version };
        Released::new(text, Recipient::Inside, explanation)
    }
}
