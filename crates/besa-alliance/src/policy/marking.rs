//! What one marking-definition means: TLP 1 and 2.0, PAP, IEP 2.0, statements, and audiences.
//!
//! Invariant: whatever is not understood in full is *unknown*, and unknown is RED. The fixed ids of
//! TLP and PAP mean the same whether or not the objects are at hand; nobody else may bear them.
//!
//! An **audience** is an extension of ours on a marking-definition: `members` (identities) and
//! `groups` (of the charter). It limits to whom a thing may go and names recipients of RED.

use std::collections::BTreeSet;

use besa_stix::marking::{TLP_2_EXTENSION, Tlp, tlp_marking};
use besa_stix::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::member::MemberId;

/// The extension by which a marking-definition names its audience.
pub const AUDIENCE_EXTENSION: &str = "extension-definition--f036aa16-4b04-4030-b803-722d6213aa7f";
/// The extension-definition of PAP (OASIS, STIX common objects).
pub const PAP_EXTENSION: &str = "extension-definition--f8d78575-edfd-406e-8e84-6162a8450f5b";
/// The extension-definition of IEP 2.0 (OASIS, STIX common objects).
pub const IEP_EXTENSION: &str = "extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a";
/// Most names in one audience.
const AUDIENCE_MAX: usize = 1_000;

/// Permissible actions: how something may be *used*; greater is stricter. It never limits release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pap {
    /// No restriction (PAP 1: WHITE).
    Clear,
    /// Active actions are allowed: block, ping, configure a honeypot.
    Green,
    /// Passive cross checks are allowed, at third parties too; nothing the target can see.
    Amber,
    /// Only actions on one's own logs that nobody outside can detect.
    Red,
}

impl Pap {
    /// What a recipient may do, in words.
    pub fn means(self) -> &'static str {
        match self {
            Self::Clear => "PAP:CLEAR: no limit of use",
            Self::Green => "PAP:GREEN: active use is allowed (block, ping, honeypot)",
            Self::Amber => "PAP:AMBER: passive checks only, nothing that the target can see",
            Self::Red => "PAP:RED: only on one's own logs; no outbound look-up, no blocking that shows",
        }
    }
}

/// The fixed PAP marking-definitions.
pub const PAP_MARKINGS: [(&str, Pap, &str); 5] = [
    ("marking-definition--ad15a0cd-55b6-4588-a14c-a66105329b92", Pap::Clear, "clear"),
    ("marking-definition--a3bea94c-b469-41dc-9cfe-d6e7daba7730", Pap::Clear, "white"),
    ("marking-definition--c43594d1-4b11-4c59-93ab-1c9b14d53ce9", Pap::Green, "green"),
    ("marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab", Pap::Amber, "amber"),
    ("marking-definition--740d36e5-7714-4c30-961a-3ae632ceee0e", Pap::Red, "red"),
];

/// Who may have something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Members named one by one.
    pub members: BTreeSet<MemberId>,
    /// Groups of the charter.
    pub groups: BTreeSet<String>,
}

/// IEP's `provider_attribution`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribution {
    /// The provider may be named.
    #[default]
    May,
    /// The provider has to be named.
    Must,
    /// The provider must not be named by those who pass it on.
    MustNot,
}

/// What a marking-definition demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marking {
    /// Its level, if it is about levels; RED if it is unknown.
    pub tlp: Option<Tlp>,
    /// Why it is not understood.
    pub unknown: Option<String>,
    /// Its audience, if it names one.
    pub audience: Option<Audience>,
    /// Its limit of use.
    pub pap: Option<Pap>,
    /// It may travel encrypted only (IEP).
    pub encrypt: bool,
    /// Naming the provider (IEP).
    pub attribution: Attribution,
    /// What recipients may do (IEP `permitted_actions`).
    pub actions: Option<String>,
}

impl Marking {
    fn unknown(reason: impl Into<String>) -> Self {
        Self { tlp: Some(Tlp::Red), unknown: Some(reason.into()), ..Self::default() }
    }

    /// A marking that is known by its id alone.
    pub fn fixed(id: &str) -> Option<Self> {
        if let Some(tlp) = tlp_marking(id) {
            return Some(Self { tlp: Some(tlp.level), ..Self::default() });
        }
        let pap = PAP_MARKINGS.iter().find(|(fixed, ..)| fixed.eq_ignore_ascii_case(id))?.1;
        Some(Self { pap: Some(pap), ..Self::default() })
    }

    /// The marking for a reference that leads nowhere.
    pub fn missing(id: &str) -> Self {
        Self::unknown(format!("the marking-definition `{id}` is not at hand"))
    }

    /// What an object says that it is. `now` decides whether an IEP is in force.
    pub fn read(object: &Value, now: Instant) -> Self {
        let read = Self::read_parts(object, now);
        read.unwrap_or_else(Self::unknown)
    }

    fn read_parts(object: &Value, now: Instant) -> Result<Self, String> {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        if text("type") != Some("marking-definition") {
            return Err("it is no marking-definition".to_owned());
        }
        let id = text("id").unwrap_or_default();
        let mut marking = Self::default();
        let defined = match (object.get("definition_type"), object.get("definition")) {
            (None, None) => false,
            (Some(kind), Some(definition)) => {
                marking.definition(id, kind.as_str().unwrap_or_default(), definition)?;
                true
            }
            _ => return Err("`definition_type` and `definition` go together".to_owned()),
        };
        match object.get("extensions").map(Value::as_object) {
            None if defined => {}
            None => return Err("it defines nothing".to_owned()),
            Some(None) => return Err("`extensions` is no dictionary".to_owned()),
            Some(Some(extensions)) if extensions.is_empty() => return Err("it defines nothing".to_owned()),
            Some(Some(extensions)) => {
                for (key, extension) in extensions {
                    let extension = extension.as_object().ok_or("an extension is no dictionary")?;
                    marking.extension(id, key, extension, now)?;
                }
            }
        }
        Ok(marking)
    }

    fn definition(&mut self, id: &str, kind: &str, definition: &Value) -> Result<(), String> {
        match kind {
            "statement" if definition.get("statement").is_some_and(Value::is_string) => Ok(()),
            "tlp" => self.tlp_value(id, definition.get("tlp"), 1),
            _ => Err(format!("markings of the kind `{}` are not known", clip(kind))),
        }
    }

    fn extension(
        &mut self,
        id: &str,
        key: &str,
        extension: &Map<String, Value>,
        now: Instant,
    ) -> Result<(), String> {
        match key {
            TLP_2_EXTENSION => self.tlp_value(id, extension.get("tlp_2_0"), 2),
            PAP_EXTENSION => {
                let value = extension.get("pap").and_then(Value::as_str);
                let found = PAP_MARKINGS.iter().find(|(.., name)| Some(*name) == value);
                self.pap = Some(found.ok_or("PAP has no such level")?.1);
                Ok(())
            }
            AUDIENCE_EXTENSION => {
                self.audience = Some(read_audience(extension)?);
                Ok(())
            }
            IEP_EXTENSION => self.iep(extension, now),
            _ => Err(format!("the extension `{}` is not known", clip(key))),
        }
    }

    /// TLP's markings are the fixed ones and no others.
    fn tlp_value(&mut self, id: &str, value: Option<&Value>, version: u8) -> Result<(), String> {
        let value = value.and_then(Value::as_str);
        let fixed = tlp_marking(id).filter(|fixed| fixed.version == version && Some(fixed.value) == value);
        self.tlp = Some(fixed.ok_or("it says TLP but is none of TLP's fixed markings")?.level);
        Ok(())
    }

    fn iep(&mut self, extension: &Map<String, Value>, now: Instant) -> Result<(), String> {
        const ACTIONS: [&str; 5] = [
            "none",
            "contact-for-instruction",
            "internally-visible-actions",
            "externally-visible-indirect-actions",
            "externally-visible-direct-actions",
        ];
        let text = |key: &str| extension.get(key).and_then(Value::as_str);
        if extension.get("iep_version").and_then(Value::as_f64) != Some(2.0) {
            return Err("the IEP is not of version 2.0".to_owned());
        }
        let time = |key: &str| Instant::parse(text(key).unwrap_or_default()).ok();
        let start = time("start_date").ok_or("the IEP has no `start_date`")?;
        let ended = match extension.get("end_date") {
            None => false,
            Some(_) => time("end_date").ok_or("the IEP's `end_date` is no timestamp")? <= now,
        };
        if now < start || ended {
            return Err("the IEP is not in force at this moment".to_owned());
        }
        self.tlp = Some(match text("tlp") {
            Some("white" | "clear") => Tlp::Clear,
            Some("green") => Tlp::Green,
            Some("amber") => Tlp::Amber,
            Some("amber+strict") => Tlp::AmberStrict,
            Some("red") => Tlp::Red,
            _ => return Err("the IEP's `tlp` is no level".to_owned()),
        });
        self.encrypt = match text("encrypt_in_transit") {
            Some("must") => true,
            Some("may") => false,
            _ => return Err("the IEP's `encrypt_in_transit` is neither must nor may".to_owned()),
        };
        self.attribution = match text("provider_attribution") {
            Some("may") => Attribution::May,
            Some("must") => Attribution::Must,
            Some("must-not") => Attribution::MustNot,
            _ => return Err("the IEP's `provider_attribution` is not known".to_owned()),
        };
        let actions = text("permitted_actions").filter(|actions| ACTIONS.contains(actions));
        self.actions = Some(actions.ok_or("the IEP's `permitted_actions` is not known")?.to_owned());
        Ok(())
    }
}

fn read_audience(extension: &Map<String, Value>) -> Result<Audience, String> {
    let mut audience = Audience::default();
    for (key, value) in extension {
        match key.as_str() {
            "extension_type" if value == "property-extension" => {}
            "members" => {
                for name in names(value)? {
                    let member = MemberId::parse(name);
                    audience.members.insert(member.map_err(|error| error.to_string())?);
                }
            }
            "groups" => audience.groups.extend(names(value)?.into_iter().map(str::to_owned)),
            _ => return Err(format!("an audience knows no `{}`", clip(key))),
        }
    }
    if audience == Audience::default() {
        return Err("the audience names nobody".to_owned());
    }
    Ok(audience)
}

fn names(value: &Value) -> Result<Vec<&str>, String> {
    let list = value.as_array().filter(|list| !list.is_empty() && list.len() <= AUDIENCE_MAX);
    let list = list.ok_or_else(|| format!("an audience's list has 1 to {AUDIENCE_MAX} names"))?;
    let names = list.iter().map(|name| name.as_str().filter(|name| !name.is_empty()));
    names.collect::<Option<_>>().ok_or_else(|| "an audience's names are texts".to_owned())
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(120).collect()
}
