//! `besa taxii`: exchange with other servers.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use besa_alliance::policy::Inside;
use besa_exchange::taxii::client::{Client, Login, Trust};
use besa_intel::prepare_all;
use besa_server::now;

use super::node::{collection, log, note, refused, say, secret_from_stdin};
use crate::cli::{PeerArgs, TaxiiCommand};
use crate::terminal::{Terminal, visible};

pub(super) fn run(command: &TaxiiCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        TaxiiCommand::Ls { url, json, peer } => {
            let client = client(peer)?;
            let found = client.discover(url)?;
            for root in &found.api_roots {
                for one in client.collections(root)? {
                    if *json {
                        say(serde_json::json!({
                            "url": one.url, "id": one.id, "title": one.title, "alias": one.alias,
                            "can_read": one.can_read, "can_write": one.can_write, "api_root": root,
                        }))?;
                        continue;
                    }
                    let read = if one.can_read { "r" } else { "-" };
                    let write = if one.can_write { "w" } else { "-" };
                    say(format_args!("{read}{write}\t{}\t{}", visible(&one.url), visible(&one.title)))?;
                }
            }
            Ok(0)
        }
        TaxiiCommand::Pull { url, collection: into, peer, data } => {
            let client = client(peer)?;
            let store = data.open()?;
            let directory = store.directory()?;
            let into = into.as_deref().map(|name| collection(&directory, name)).transpose()?;
            let pulled = client.pull(store.as_ref(), url, into.map(|found| found.key), &now)?;
            log(store.as_ref(), "taxii pull", url)?;
            pulled.failures.iter().for_each(|(id, reason)| refused(terminal, format_args!("{id}: {reason}")));
            note(
                terminal,
                format_args!("{} received, {} new, {} pages", pulled.received, pulled.added, pulled.pages),
            );
            Ok(u8::from(!pulled.failures.is_empty()))
        }
        TaxiiCommand::Push { url, collection: from, file, peer, data } => {
            let client = client(peer)?;
            let pushed = match (from, file) {
                (Some(name), _) => {
                    let store = data.open()?;
                    let key = collection(&store.directory()?, name)?.key;
                    let pushed = client.push_new(store.as_ref(), key, url, &Inside::by_the_operator())?;
                    log(store.as_ref(), "taxii push", url)?;
                    pushed
                }
                (None, Some(file)) => {
                    client.push(url, &Inside::by_the_operator().texts(objects_of(file, terminal)?))?
                }
                (None, None) => bail!("say what to push: --collection or --file"),
            };
            pushed.failures.iter().for_each(|(id, reason)| refused(terminal, format_args!("{id}: {reason}")));
            note(terminal, format_args!("{} sent, {} taken", pushed.sent, pushed.taken));
            Ok(u8::from(pushed.sent != pushed.taken))
        }
    }
}

/// The valid objects of a file; the others are named and left out.
fn objects_of(file: &PathBuf, terminal: &Terminal) -> Result<Vec<String>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let mut objects = Vec::new();
    for object in prepare_all(&bytes)? {
        match object {
            Ok(object) => objects.push(object.raw().to_owned()),
            Err(refusal) => {
                refused(terminal, format_args!("{}: {}", refusal.id.unwrap_or_default(), refusal.reason));
            }
        }
    }
    Ok(objects)
}

/// A client as the arguments say.
pub(super) fn client(peer: &PeerArgs) -> Result<Client> {
    let secret = if peer.password_stdin {
        Some(secret_from_stdin("password or token")?)
    } else {
        std::env::var("BESA_TAXII_PASSWORD").ok()
    };
    let login = match (&peer.user, secret) {
        (Some(user), Some(password)) => Login::Basic { user: user.clone(), password },
        (Some(_), None) => bail!("give the password with --password-stdin or in BESA_TAXII_PASSWORD"),
        (None, Some(token)) => Login::Token(token),
        (None, None) => Login::None,
    };
    let read =
        |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
    let identity = match (&peer.certificate, &peer.key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    Ok(Client::new(&login, &Trust { authorities: peer.ca.as_ref().map(read).transpose()?, identity })?)
}
