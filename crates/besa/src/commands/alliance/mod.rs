//! `besa alliance`: joining, releasing, and looking at what allies do.

mod analyst;
mod join;
mod show;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use besa_alliance::entry::Audience;
use besa_node::node::Desk;
use besa_node::picture::{Picture, picture};
use besa_node::release::{Done, Releaser};
use besa_server::now;

pub(super) use show::line as reader_line;

use super::node::{log, say};
use crate::cli::{AllianceCommand, DataArgs, PictureArgs, SendArgs};
use crate::terminal::Terminal;

/// How often is looked for answers while somebody waits.
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn run(command: &AllianceCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        AllianceCommand::Join(arguments) => join::join(arguments, terminal),
        AllianceCommand::Welcome(arguments) => join::welcome(arguments),
        AllianceCommand::Peer(arguments) => join::peer(arguments, terminal),
        AllianceCommand::Update(arguments) => join::update(arguments, terminal),
        AllianceCommand::Release(arguments) => release(arguments, terminal),
        AllianceCommand::Picture(arguments) => shown(arguments, terminal),
        AllianceCommand::Status(arguments) => show::status(arguments, terminal),
        AllianceCommand::Quarantine(command) => analyst::quarantine(command, terminal),
        AllianceCommand::Answers(command) => analyst::answers(command, terminal),
    }
}

/// The alliance of a data folder that has joined one.
fn desk(data: &DataArgs) -> Result<Desk> {
    let store = data.open_existing()?;
    Ok(Desk::open(store, &data.folder(), now())?)
}

fn release(arguments: &SendArgs, terminal: &Terminal) -> Result<u8> {
    let desk = desk(&arguments.data)?;
    let audience = if arguments.to.is_empty() {
        Audience::Charter
    } else {
        Audience::Members(arguments.to.iter().cloned().collect())
    };
    let ids: BTreeSet<&String> = arguments.objects.iter().collect();
    let ids: Vec<String> = ids.into_iter().cloned().collect();
    let releaser = Releaser {
        store: desk.store.as_ref(),
        directory: &desk.known.directory,
        me: &desk.settings.member,
        journal: &desk.journal,
    };
    let done = releaser.release(&ids, &audience, now())?;
    for (entry, readers) in &done.entries {
        let target = format!("{} to {} members", entry.id(), readers.len());
        log(desk.store.as_ref(), "alliance release", &target)?;
    }
    let waited = arguments.wait.map(|seconds| wait(&desk, &done, Duration::from_secs(seconds)));
    let pictures = waited.transpose()?.unwrap_or_default();
    if arguments.json {
        say(show::released_json(&done, &pictures))?;
    } else {
        show::released(&done, &pictures, terminal)?;
    }
    Ok(u8::from(!done.withheld.is_empty()))
}

/// Waits for all answers to all entries.
fn wait(desk: &Desk, done: &Done, most: Duration) -> Result<Vec<Picture>> {
    let started = Instant::now();
    loop {
        let pictures: Result<Vec<Picture>> =
            done.entries.iter().map(|(entry, _)| picture_of(desk, &entry.id())).collect();
        let pictures = pictures?;
        if pictures.iter().all(Picture::is_whole) || started.elapsed() >= most {
            return Ok(pictures);
        }
        std::thread::sleep(LOOK);
    }
}

fn picture_of(desk: &Desk, release: &str) -> Result<Picture> {
    let Desk { store, known, places, settings, .. } = desk;
    let store = Arc::clone(store);
    Ok(picture(store.as_ref(), &known.directory, places, &settings.member, release, now())?)
}

fn shown(arguments: &PictureArgs, terminal: &Terminal) -> Result<u8> {
    let desk = desk(&arguments.data)?;
    let picture = picture_of(&desk, &arguments.release)?;
    if arguments.json {
        say(serde_json::to_string(&picture)?)?;
    } else {
        show::picture(&picture, &desk.known.directory, terminal)?;
    }
    Ok(0)
}
