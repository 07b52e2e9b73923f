//! Becoming a member's node, and knowing the allies' nodes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use besa_alliance::directory::Directory;
use besa_alliance::keys::SecretKey;
use besa_alliance::signed::Kind;
use besa_node::home::Home;
use besa_node::node::Desk;
use besa_node::places;
use besa_node::settings::{Peer, Settings};
use besa_server::now;

use super::super::chain::{Bad, Chain, text_of};
use super::super::node::{log, note, refused, say, secret_from_stdin};
use super::desk;
use crate::cli::{AllyArgs, JoinArgs, UpdateArgs, WelcomeArgs};
use crate::terminal::Terminal;

pub(super) fn join(arguments: &JoinArgs, terminal: &Terminal) -> Result<u8> {
    let Some((chain, directory)) = judged(&arguments.chain, Some(&arguments.pin), terminal)? else {
        return Ok(1);
    };
    let member = directory.member(&arguments.member);
    let member = member.with_context(|| format!("the charter names no `{}`", arguments.member))?;
    let text = text_of(&arguments.node_key)?;
    let key = SecretKey::from_node_file(&text)
        .with_context(|| format!("`{}` is no node key", arguments.node_key.display()))?;
    let certified = member.node_keys.iter().map(|one| one.node_key);
    let stated = directory.statements().iter().flat_map(|one| &one.contents.certified);
    if !certified.chain(stated.map(|one| one.node_key)).any(|id| id == key.id()) {
        bail!("the node key {} is not certified for `{}`", key.id(), arguments.member);
    }
    let assets = arguments.assets.as_ref().map(std::fs::canonicalize).transpose();
    let settings = Settings {
        member: arguments.member.clone(),
        alliance: directory.alliance(),
        answers: arguments.answers.into(),
        objects_per_hour: arguments.objects_per_hour,
        bytes_per_question: u64::from(arguments.question_gib) << 30,
        assets: assets.context("the file of assets")?,
        peers: Vec::new(),
    };
    let store = arguments.data.open()?;
    let home = Home::below(&arguments.data.folder());
    let charters: Vec<_> = chain.charters.into_iter().map(|one| one.object).collect();
    let statements: Vec<_> = chain.statements.into_iter().map(|one| one.object).collect();
    home.create(&settings, &text, &charters, &statements)?;
    Desk::open(std::sync::Arc::clone(&store), &arguments.data.folder(), now())?;
    log(store.as_ref(), "alliance join", arguments.member.as_str())?;
    note(
        terminal,
        format_args!("this is the node of {} in `{}`", member.name, directory.charter().contents.name),
    );
    Ok(0)
}

/// Reads a chain and verifies it; `None` and a message if it is not valid.
fn judged(files: &[PathBuf], pin: Option<&str>, terminal: &Terminal) -> Result<Option<(Chain, Directory)>> {
    let bad = |bad: &Bad| refused(terminal, bad.text());
    let chain = match Chain::read(files)? {
        Ok(chain) => chain,
        Err(error) => {
            bad(&error);
            return Ok(None);
        }
    };
    match chain.judge(pin) {
        Ok(directory) => Ok(Some((chain, directory))),
        Err(error) => {
            bad(&error);
            Ok(None)
        }
    }
}

pub(super) fn welcome(arguments: &WelcomeArgs) -> Result<u8> {
    let desk = desk(&arguments.data)?;
    let token = places::welcome(desk.store.as_ref(), &desk.places, &arguments.member, now())?;
    log(desk.store.as_ref(), "alliance welcome", arguments.member.as_str())?;
    say(token)?;
    Ok(0)
}

pub(super) fn peer(arguments: &AllyArgs, terminal: &Terminal) -> Result<u8> {
    let desk = desk(&arguments.data)?;
    if desk.places.boxes(&arguments.member).is_none() {
        bail!("`{}` is no other member of the charter", arguments.member);
    }
    let token = if arguments.token_stdin { Some(secret_from_stdin("token")?) } else { None };
    let whole = |path: &PathBuf| {
        std::fs::canonicalize(path).with_context(|| format!("cannot find `{}`", path.display()))
    };
    let identity = arguments.certificate.as_ref().zip(arguments.key.as_ref());
    let identity = match identity {
        Some((certificate, key)) => Some((whole(certificate)?, whole(key)?)),
        None => None,
    };
    let peer = Peer {
        member: arguments.member.clone(),
        url: Some(arguments.url.clone()),
        token,
        authorities: arguments.ca.as_ref().map(whole).transpose()?,
        identity,
    };
    peer.client()?;
    let mut settings = desk.settings.clone();
    settings.peers.retain(|known| known.member != peer.member);
    settings.peers.push(peer);
    desk.home.save(&settings)?;
    log(desk.store.as_ref(), "alliance peer", arguments.member.as_str())?;
    note(terminal, "a running node takes it at once");
    Ok(0)
}

pub(super) fn update(arguments: &UpdateArgs, terminal: &Terminal) -> Result<u8> {
    let desk = desk(&arguments.data)?;
    let held: Vec<PathBuf> = files(&desk.home.file("chain"))?;
    let pin = desk.settings.alliance.to_string();
    let all = held.into_iter().chain(arguments.chain.iter().cloned()).collect::<Vec<_>>();
    // What is there and what is new are one chain, or nothing is taken.
    let mut seen = std::collections::BTreeSet::new();
    let mut distinct = Vec::new();
    for file in all {
        if seen.insert(text_of(&file)?.trim().to_owned()) {
            distinct.push(file);
        }
    }
    let Some((chain, _)) = judged(&distinct, Some(&pin), terminal)? else { return Ok(1) };
    for charter in &chain.charters {
        desk.home.keep(Kind::Charter, &charter.object.id(), &charter.object.text())?;
    }
    for statement in &chain.statements {
        desk.home.keep(Kind::Keys, &statement.object.id(), &statement.object.text())?;
    }
    log(desk.store.as_ref(), "alliance update", &format!("{} files", arguments.chain.len()))?;
    Ok(0)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect())
}
