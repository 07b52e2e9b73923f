//! Why something goes out or stays: every rule that was asked, in order, in words and as JSON.
//!
//! An explanation is for the operator and names hidden things; it is no [`super::Released`] and no
//! exit accepts it.

use std::fmt;

use besa_stix::marking::Tlp;
use serde::Serialize;

use super::exit::Exit;
use super::marking::Pap;
use super::membership::Recipient;

/// The rules of `docs/RELEASE-POLICY.md`, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The object can be read without doubt.
    Readable,
    /// The recipient is an active member, or the public.
    Recipient,
    /// What its markings mean.
    Marking,
    /// The recipient belongs to every audience.
    Audience,
    /// The level allows the recipient.
    Tlp,
    /// The provider may be named (IEP).
    Attribution,
    /// The exit may carry it.
    Exit,
    /// Markings of single properties.
    Granular,
    /// The newest version may go too.
    Version,
    /// What it refers to goes too.
    Reference,
    /// What is left is a valid object.
    Derivative,
    /// The graph around it is small enough to judge.
    Reach,
}

/// What a rule said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Nothing against it.
    Allows,
    /// A part has to be left out.
    Redacts,
    /// The whole stays here.
    Refuses,
    /// How it may be used.
    Notes,
}

/// One rule's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which rule.
    pub rule: Rule,
    /// What it said.
    pub says: Says,
    /// Why, in words.
    pub why: String,
}

/// The decision about one object for one recipient through one exit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The object's id, as far as it has one.
    pub object: String,
    /// The member's identity, or `public`.
    pub recipient: String,
    /// The way out.
    pub exit: Exit,
    /// Whether it goes.
    pub released: bool,
    /// Whether it goes as a redacted copy.
    pub redacted: bool,
    /// The level under which it goes: the strictest of the whole object's markings.
    #[serde(serialize_with = "level")]
    pub tlp: Tlp,
    /// How it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pap: Option<Pap>,
    /// Every rule asked.
    pub steps: Vec<Step>,
}

impl Explanation {
    /// One without any rule asked, which releases nothing.
    pub(super) fn bare(object: &str, recipient: &Recipient, exit: Exit) -> Self {
        Self {
            object: object.to_owned(),
            recipient: recipient.as_str().to_owned(),
            exit,
            released: false,
            redacted: false,
            tlp: Tlp::Red,
            pap: None,
            steps: Vec::new(),
        }
    }
}

/// A level's name.
pub fn tlp_name(level: Tlp) -> &'static str {
    match level {
        Tlp::Clear => "TLP:CLEAR",
        Tlp::Green => "TLP:GREEN",
        Tlp::Amber => "TLP:AMBER",
        Tlp::AmberStrict => "TLP:AMBER+STRICT",
        Tlp::Red => "TLP:RED",
    }
}

fn level<S: serde::Serializer>(level: &Tlp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(tlp_name(*level))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.released, self.redacted) {
            (true, true) => "released as a redacted copy",
            (true, false) => "released as it is",
            (false, _) => "withheld",
        };
        let exit = self.exit.as_str();
        writeln!(f, "{} to {} by {exit}: {verdict} ({})", self.object, self.recipient, tlp_name(self.tlp))?;
        for (number, step) in self.steps.iter().enumerate() {
            let rule = serde_json::to_string(&step.rule).unwrap_or_default();
            let says = serde_json::to_string(&step.says).unwrap_or_default();
            let (rule, says) = (rule.trim_matches('"'), says.trim_matches('"'));
            writeln!(f, "  {:>2}. {rule:<11} {says:<8} {}", number + 1, step.why)?;
        }
        Ok(())
    }
}
