//! `besa release explain`: the release policy on files and on the node's store.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use besa_alliance::member::MemberId;
use besa_alliance::policy::{Catalogue, Held, Membership, Policy, Recipient, Settings};
use besa_exchange::release::held;
use besa_intel::{Store, Stored};
use besa_node::home::Home;
use besa_stix::bundle::read_objects;
use besa_stix::object::Object;
use besa_stix::time::Instant;

use super::chain::Chain;
use super::input;
use crate::cli::{ReleaseCommand, ReleaseExplainArgs};
use crate::terminal::{Terminal, visible};

pub(super) fn run(command: &ReleaseCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        ReleaseCommand::Explain(arguments) => explain(arguments, terminal),
    }
}

/// The objects of the file before those of the store.
struct Shelf {
    objects: BTreeMap<String, String>,
    store: Option<Arc<dyn Store>>,
    holder: MemberId,
}

impl Catalogue for Shelf {
    fn held(&self, id: &str) -> Option<Held<'_>> {
        if let Some(raw) = self.objects.get(id) {
            return Some(Held::here(raw));
        }
        let found = self.store.as_ref()?.object(id, None).ok()??;
        Some(self.stored(&found))
    }
}

impl Shelf {
    /// With what the store keeps of whence it came, and under which markings.
    fn stored<'a>(&self, found: &Stored) -> Held<'a> {
        let Held { from, under, .. } = held(found, &self.holder);
        Held { raw: Cow::Owned(found.raw.clone()), from, under: Cow::Owned(under.into_owned()) }
    }
}

fn explain(arguments: &ReleaseExplainArgs, terminal: &Terminal) -> Result<u8> {
    let home = Home::below(&arguments.data.folder());
    let joined = if home.exists() { Some(home.settings()?) } else { None };
    let holder = arguments.holder.clone().or_else(|| joined.as_ref().map(|joined| joined.member.clone()));
    let holder = holder.context("the data folder has joined no alliance; say with --as who releases")?;
    let membership = membership(arguments, joined.as_ref().map(|joined| (&home, joined)))?;
    let recipient = match arguments.to.as_str() {
        "public" => Recipient::Public,
        member => Recipient::Member(MemberId::parse(member)?),
    };
    let (shelf, asked) = load(arguments, &holder, terminal)?;
    let policy = Policy {
        releaser: &holder,
        recipient: &recipient,
        exit: arguments.exit,
        membership: &membership,
        catalogue: &shelf,
        now: moment(arguments.at.as_deref())?,
        settings: Settings::default(),
    };
    let mut out = terminal.stdout();
    let mut stays = false;
    for outcome in policy.decide_all(&asked) {
        let explanation = outcome.explanation();
        stays |= !explanation.released;
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string(explanation)?)?;
        } else {
            for line in explanation.to_string().lines() {
                writeln!(out, "{}", visible(line))?;
            }
        }
    }
    out.flush()?;
    Ok(u8::from(stays))
}

/// The members and groups: of charters given, of a list, or of the alliance that was joined.
fn membership(
    arguments: &ReleaseExplainArgs,
    joined: Option<(&Home, &besa_node::settings::Settings)>,
) -> Result<Membership> {
    if let Some(file) = &arguments.members {
        let named = || format!("`{}` is no list of members", file.display());
        return serde_json::from_slice(&input::read(file)?).with_context(named);
    }
    let directory = match joined {
        _ if !arguments.charter.is_empty() => {
            let judged = Chain::read(&arguments.charter)?;
            let judged = judged.and_then(|chain| chain.judge(arguments.pin.as_deref()));
            judged.map_err(|bad| anyhow!("{}", bad.text()))?
        }
        Some((home, settings)) => home.directory(settings)?,
        None => bail!("the data folder has joined no alliance; give --charter or --members"),
    };
    Ok(Membership::of(&directory.charter().contents))
}

/// What is asked about, and where references are looked up.
fn load<'a>(
    arguments: &ReleaseExplainArgs,
    holder: &MemberId,
    terminal: &Terminal,
) -> Result<(Shelf, Vec<Held<'a>>)> {
    let store = if arguments.data.exists() { Some(arguments.data.open()?) } else { None };
    let mut shelf = Shelf { objects: BTreeMap::new(), store, holder: holder.clone() };
    if besa_stix::id::split_id(&arguments.object).is_some() && !Path::new(&arguments.object).exists() {
        let store = shelf.store.as_ref().context("there is no store to look the id up in")?;
        let found = store.object(&arguments.object, None)?;
        let found = found.with_context(|| format!("the store has no `{}`", arguments.object))?;
        let held = shelf.stored(&found);
        return Ok((shelf, vec![held]));
    }
    let read = read_objects(&input::read(Path::new(&arguments.object))?)?;
    for defect in &read.defects {
        let why = visible(&defect.reason);
        terminal.say(&format!("object {}: not judged: {why}\n", defect.index));
    }
    if read.objects.is_empty() {
        bail!("`{}` holds no object", arguments.object);
    }
    let mut asked = Vec::new();
    for object in &read.objects {
        asked.push(Held { raw: Cow::Owned(object.raw().to_owned()), ..Held::here("") });
        keep_newest(&mut shelf.objects, object);
    }
    Ok((shelf, asked))
}

fn keep_newest(objects: &mut BTreeMap<String, String>, object: &Object) {
    let key = object.header().id.to_ascii_lowercase();
    let modified = |object: &Object| object.header().modified.as_ref().map(|stamp| stamp.instant);
    let newer = objects
        .get(&key)
        .and_then(|raw| Object::parse(raw).ok())
        .is_none_or(|known| modified(&known) < modified(object));
    if newer {
        objects.insert(key, object.raw().to_owned());
    }
}

/// A moment given, or now.
pub(super) fn moment(at: Option<&str>) -> Result<Instant> {
    Ok(at.map(Instant::parse).transpose()?.unwrap_or_else(besa_server::now))
}
