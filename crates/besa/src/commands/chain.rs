//! What the alliance's offline commands share: charters and key statements read from files, put in
//! order, and judged as one chain.
//!
//! Two kinds of failure are kept apart: what cannot be read from the disk is an error (exit code 2);
//! what can be read and is not valid is a [`Bad`], with the name of its reason (exit code 1).
//! A statement is judged under the charter that was in force when it says it was made, since a
//! member's authority key may change.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use besa_alliance::charter::{Charter, KeyStatement};
use besa_alliance::directory::Directory;
use besa_alliance::exact::exact_value;
use besa_alliance::keys::{charter_fingerprint, same_fingerprint};
use besa_alliance::member::Digest;
use besa_alliance::refusal::Refusal;
use besa_alliance::signed::{FormatError, Kind, SIGNED_BYTES_MAX};
use besa_stix::time::Instant;
use serde_json::{Map, Value, json};

use super::input;
use crate::terminal::visible;

/// What is not valid, and why.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) file: String,
    pub(super) reason: &'static str,
    pub(super) why: String,
}

impl Bad {
    pub(super) fn new(file: &Path, refusal: &Refusal) -> Self {
        Self { file: file.display().to_string(), reason: refusal.name(), why: refusal.to_string() }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "valid": false, "file": self.file, "reason": self.reason, "why": self.why })
    }

    pub(super) fn text(&self) -> String {
        visible(&format!("not valid: {}: {}: {}", self.file, self.reason, self.why))
    }
}

/// A charter or key statement and where it was read.
pub(super) struct Filed<T> {
    pub(super) file: PathBuf,
    pub(super) object: T,
}

/// Charters by number, key statements by time; nothing is judged yet but their form.
#[derive(Default)]
pub(super) struct Chain {
    pub(super) charters: Vec<Filed<Charter>>,
    pub(super) statements: Vec<Filed<KeyStatement>>,
}

impl Chain {
    /// Reads files in any order.
    pub(super) fn read(files: &[PathBuf]) -> Result<Result<Self, Bad>> {
        let mut chain = Self::default();
        for file in files {
            let text = text_of(file)?;
            if let Err(refusal) = chain.add(file, &text) {
                return Ok(Err(Bad::new(file, &refusal)));
            }
        }
        if chain.charters.is_empty() {
            bail!("there is no charter among the files");
        }
        chain.charters.sort_by_key(|one| one.object.contents.sequence);
        chain.statements.sort_by_key(|one| one.object.created);
        Ok(Ok(chain))
    }

    fn add(&mut self, file: &Path, text: &str) -> Result<(), Refusal> {
        let file = file.to_owned();
        match Charter::parse(text) {
            Ok(object) => self.charters.push(Filed { file, object }),
            Err(refusal) if is_statement(&refusal) => {
                self.statements.push(Filed { file, object: KeyStatement::parse(text)? });
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    /// Judges them from the first charter, which must be the pinned one if one is pinned.
    pub(super) fn judge(&self, pin: Option<&str>) -> Result<Directory, Bad> {
        let (mut charters, mut statements) = (self.charters.iter().peekable(), self.statements.as_slice());
        let Some(first) = charters.next() else {
            return Err(Bad { file: String::new(), reason: "bad-charter", why: "there is none".to_owned() });
        };
        check_pin(first, pin)?;
        let digest = first.object.digest;
        let mut directory = Directory::found(first.object.clone(), &digest)
            .map_err(|refusal| Bad::new(&first.file, &refusal))?;
        for next in charters {
            take_until(&mut directory, &mut statements, Some(next.object.created))?;
            directory.advance(next.object.clone()).map_err(|refusal| Bad::new(&next.file, &refusal))?;
        }
        take_until(&mut directory, &mut statements, None)?;
        Ok(directory)
    }
}

/// Takes the statements made before a time.
fn take_until(
    directory: &mut Directory,
    statements: &mut &[Filed<KeyStatement>],
    end: Option<Instant>,
) -> Result<(), Bad> {
    while let Some((one, rest)) = statements.split_first() {
        if end.is_some_and(|end| one.object.created >= end) {
            break;
        }
        directory.take_keys(one.object.clone()).map_err(|refusal| Bad::new(&one.file, &refusal))?;
        *statements = rest;
    }
    Ok(())
}

fn check_pin(first: &Filed<Charter>, pin: Option<&str>) -> Result<(), Bad> {
    let Some(pin) = pin else { return Ok(()) };
    let (digest, found) = (first.object.digest, charter_fingerprint(&first.object.digest));
    if Digest::parse(pin).is_ok_and(|pinned| pinned == digest) || same_fingerprint(pin, &found) {
        return Ok(());
    }
    let why = format!("the fingerprint of its first charter is {found}, pinned is {pin}");
    Err(Bad { file: first.file.display().to_string(), reason: "other-alliance", why })
}

/// Whether a charter was expected and a key statement found.
pub(super) fn is_statement(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Format(FormatError::Type(found)) if found == Kind::Keys.object_type())
}

/// A file's text.
pub(super) fn text_of(file: &Path) -> Result<String> {
    String::from_utf8(input::read(file)?).with_context(|| format!("`{}` is no text", file.display()))
}

/// A charter or a draft of one, its signatures not judged.
pub(super) fn draft_of(file: &Path) -> Result<Charter> {
    Charter::parse_draft(&text_of(file)?).with_context(|| format!("`{}`", file.display()))
}

/// A specification written by people: times get the one spelling that is signed.
pub(super) fn spec_of(file: &Path) -> Result<Map<String, Value>> {
    let named = || format!("`{}`", file.display());
    let mut value = exact_value(&text_of(file)?, SIGNED_BYTES_MAX).with_context(named)?;
    spell_times(&mut value).with_context(named)?;
    match value {
        Value::Object(spec) => Ok(spec),
        _ => bail!("`{}` is no JSON object", file.display()),
    }
}

fn spell_times(value: &mut Value) -> Result<()> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(spell_times),
        Value::Object(properties) => properties.iter_mut().try_for_each(|(name, value)| match value {
            Value::String(text) if matches!(name.as_str(), "valid_from" | "valid_until" | "revoked_from") => {
                *text = spelled(text).with_context(|| format!("`{name}`"))?;
                Ok(())
            }
            _ => spell_times(value),
        }),
        _ => Ok(()),
    }
}

/// A date means its first moment, UTC.
fn spelled(text: &str) -> Result<String> {
    let whole = if text.len() == "2027-01-01".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Ok(Instant::parse(&whole)?.to_millis_text())
}
