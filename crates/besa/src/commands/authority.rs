//! `besa authority`: keys of a member, and what its authority signs. Files only.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use besa_alliance::charter::{Charter, KeyContents, KeyStatement};
use besa_alliance::exact::exact_value;
use besa_alliance::keys::{ArgonCost, SealRandom, SecretKey, key_fingerprint, public_key_of_file};
use besa_alliance::member::KeyId;
use besa_alliance::proof::Proof;
use besa_alliance::signed::{Kind, SIGNED_BYTES_MAX, Signed};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::chain::{self, text_of};
use super::new_file::{Readers, write};
use super::node::{note, say, secret_from_stdin};
use super::release::moment;
use crate::cli::{AuthorityCommand, KeyArgs, NewFile};
use crate::terminal::Terminal;

pub(super) fn run(command: &AuthorityCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        AuthorityCommand::Keygen { file, json, .. } => keygen(file, *json),
        AuthorityCommand::NodeKeygen { file, json } => node_keygen(file, *json),
        AuthorityCommand::Show { file, json } => show(file, *json),
        AuthorityCommand::Statement { spec, charter, file, at } => {
            statement(spec, charter, file, at.as_deref(), terminal)
        }
        AuthorityCommand::Sign { object, key, out, force } => {
            sign(object, key, out.as_deref(), *force, terminal)
        }
    }
}

fn keygen(file: &NewFile, as_json: bool) -> Result<u8> {
    let passphrase = passphrase()?;
    let key = fresh_key()?;
    let random = SealRandom { salt: *random::<16>()?, nonce: *random::<12>()? };
    let sealed = key.authority_file(&passphrase, &random, ArgonCost::default())?;
    write(&file.out, &sealed, Readers::Owner, file.force)?;
    tell_key(&key.id(), as_json)
}

fn node_keygen(file: &NewFile, as_json: bool) -> Result<u8> {
    let key = fresh_key()?;
    write(&file.out, &key.node_file(), Readers::Owner, file.force)?;
    tell_key(&key.id(), as_json)
}

fn show(file: &Path, as_json: bool) -> Result<u8> {
    let text = Zeroizing::new(text_of(file)?);
    let key = public_key_of_file(&text).with_context(|| format!("`{}`", file.display()))?;
    tell_key(&key, as_json)
}

fn tell_key(key: &KeyId, as_json: bool) -> Result<u8> {
    let fingerprint = key_fingerprint(key);
    if as_json {
        say(json!({ "public_key": key, "fingerprint": fingerprint }))?;
    } else {
        say(format_args!("public key   {key}\nfingerprint  {fingerprint}"))?;
    }
    Ok(0)
}

fn passphrase() -> Result<Zeroizing<String>> {
    Ok(Zeroizing::new(secret_from_stdin("passphrase")?))
}

fn fresh_key() -> Result<SecretKey> {
    Ok(SecretKey::from_seed(&*random::<32>()?))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).context("the system gives no random bytes")?;
    Ok(bytes)
}

/// Drafts a key statement from its specification.
fn statement(
    spec: &Path,
    charter: &Path,
    file: &NewFile,
    at: Option<&str>,
    terminal: &Terminal,
) -> Result<u8> {
    let mut written = chain::spec_of(spec)?;
    let charter = chain::draft_of(charter)?;
    let member = written.swap_remove("identity_ref").context("the specification has no `identity_ref`")?;
    written.insert("created_by_ref".to_owned(), member);
    written.insert("alliance".to_owned(), json!(charter.alliance()));
    let contents: KeyContents = serde_json::from_value(Value::Object(written))
        .with_context(|| format!("`{}` is no specification of a key statement", spec.display()))?;
    if charter.contents.member(&contents.created_by_ref).is_none() {
        bail!("{} is no member of the charter", contents.created_by_ref);
    }
    let draft = KeyStatement::draft(moment(at)?, contents)?;
    write(&file.out, &(draft.text() + "\n"), Readers::Usual, file.force)?;
    note(terminal, format_args!("`{}` is a draft; its member's authority signs it", file.out.display()));
    Ok(0)
}

fn sign(object: &Path, key: &KeyArgs, out: Option<&Path>, replace: bool, terminal: &Terminal) -> Result<u8> {
    let key_named = || format!("`{}`", key.key.display());
    let sealed = text_of(&key.key)?;
    let secret = SecretKey::from_authority_file(&sealed, &passphrase()?).with_context(key_named)?;
    let text = text_of(object)?;
    let signed = signed_by(&text, &secret).with_context(|| format!("`{}`", object.display()))?;
    match out {
        Some(path) => write(path, &(signed.text + "\n"), Readers::Usual, replace)?,
        None => say(&signed.text)?,
    }
    if signed.stranger {
        let key = key_fingerprint(&secret.id());
        note(
            terminal,
            format_args!(
                "the key {key} is no member's in this charter; its signature counts only if it was one's in the charter before"
            ),
        );
    }
    note(terminal, format_args!("signed {}", signed.id));
    Ok(0)
}

/// An object with one signature more.
struct Done {
    id: String,
    text: String,
    /// It is a charter, and the key is nobody's authority key in it.
    stranger: bool,
}

fn signed_by(text: &str, key: &SecretKey) -> Result<Done> {
    match kind_of(text)? {
        Kind::Charter => {
            let charter = Charter::parse_draft(text)?;
            let known = charter.contents.members.iter().any(|member| member.authority_key == key.id());
            Ok(Done { stranger: !known, ..done(charter, key) })
        }
        Kind::Keys => Ok(done(KeyStatement::parse_draft(text)?, key)),
        Kind::Proof => Ok(done(Proof::parse(text)?, key)),
        kind => bail!(
            "a {} bears one signature, that of the node which made it; an authority signs charters, key statements and proofs",
            kind.object_type()
        ),
    }
}

fn done<T>(mut object: Signed<T>, key: &SecretKey) -> Done {
    object.add_signature(key);
    Done { id: object.id(), text: object.text(), stranger: false }
}

fn kind_of(text: &str) -> Result<Kind> {
    let value = exact_value(text, 4 * SIGNED_BYTES_MAX)?;
    let object_type = value.as_object().and_then(|object: &Map<_, _>| object.get("type")?.as_str());
    let kind = object_type.and_then(Kind::of_type);
    kind.with_context(|| "it is no signed object of an alliance, nor a draft of one")
}
