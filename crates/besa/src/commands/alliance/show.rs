//! The alliance as text and as JSON.

use std::io::Write as _;

use anyhow::Result;
use besa_alliance::directory::Directory;
use besa_alliance::member::MemberId;
use besa_intel::{CollectionKey, PageQuery};
use besa_node::node::Desk;
use besa_node::picture::{Picture, Reader};
use besa_node::release::Done;
use serde_json::{Value, json};

use super::super::node::say;
use super::desk;
use crate::cli::StatusArgs;
use crate::terminal::{Terminal, counted, visible};

pub(super) fn released_json(done: &Done, pictures: &[Picture]) -> Value {
    let entries = done.entries.iter().map(|(entry, readers)| {
        json!({
            "release": entry.id(), "sequence": entry.sequence(), "objects": entry.content().lines(),
            "readers": readers, "markings": entry.envelope().object_marking_refs,
        })
    });
    let withheld: Vec<Value> =
        done.withheld.iter().map(|one| serde_json::to_value(one).unwrap_or_default()).collect();
    json!({ "releases": entries.collect::<Vec<_>>(), "withheld": withheld, "pictures": pictures })
}

pub(super) fn released(done: &Done, pictures: &[Picture], terminal: &Terminal) -> Result<()> {
    let mut out = terminal.stdout();
    for (entry, readers) in &done.entries {
        let objects = counted(entry.content().lines() as u64, "object");
        let members = counted(readers.len() as u64, "member");
        writeln!(out, "{}  {objects} to {members}", entry.id())?;
    }
    for explanation in &done.withheld {
        for line in explanation.to_string().lines() {
            writeln!(out, "{}", visible(line))?;
        }
    }
    for picture in pictures {
        readers(picture, None, &mut out)?;
    }
    Ok(out.flush()?)
}

pub(super) fn picture(picture: &Picture, directory: &Directory, terminal: &Terminal) -> Result<()> {
    let mut out = terminal.stdout();
    let objects = counted(picture.objects, "object");
    writeln!(out, "{} of {}: {objects}", picture.release, picture.created)?;
    readers(picture, Some(directory), &mut out)?;
    Ok(out.flush()?)
}

fn readers(picture: &Picture, directory: Option<&Directory>, out: &mut dyn std::io::Write) -> Result<()> {
    for (member, reader) in &picture.readers {
        let name = directory.and_then(|directory| directory.member(member));
        let name = name.map_or_else(|| member.to_string(), |member| member.name.clone());
        writeln!(out, "  {:<24} {}", visible(&name), visible(&line(reader)))?;
    }
    Ok(())
}

/// What an ally did, in one line.
pub(crate) fn line(reader: &Reader) -> String {
    let Some(receipt) = reader.receipt_ms else {
        return if reader.late { "no receipt: late".to_owned() } else { "not received yet".to_owned() };
    };
    let mut text = format!("receipt after {receipt} ms, {} in use", reader.accepted);
    if !reader.not_used.is_empty() {
        text.push_str(&format!(", {} not", reader.not_used.len()));
    }
    if reader.withdrawn > 0 {
        text.push_str(&format!(", {} withdrawn", reader.withdrawn));
    }
    match (reader.answer_ms, &reader.searched) {
        (None, _) if reader.late => text.push_str("; no answer: late"),
        (None, _) => text.push_str("; not answered yet"),
        (Some(answer), searched) if reader.seen == 0 => {
            let window = searched.as_ref().map(|(start, end, sources)| {
                format!(" in {} to {}, {}", day(start), day(end), counted(sources.len() as u64, "source"))
            });
            text.push_str(&format!(
                "; answer after {answer} ms: nothing found{}",
                window.unwrap_or_default()
            ));
        }
        (Some(answer), _) => {
            let (first, last) = (reader.first_seen.as_deref(), reader.last_seen.as_deref());
            text.push_str(&format!(
                "; answer after {answer} ms: HIT, seen {} times, {} to {}",
                reader.seen,
                day(first.unwrap_or_default()),
                day(last.unwrap_or_default())
            ));
        }
    }
    text
}

fn day(time: &str) -> &str {
    time.get(..10).unwrap_or(time)
}

pub(super) fn status(arguments: &StatusArgs, terminal: &Terminal) -> Result<u8> {
    let desk = desk(&arguments.data)?;
    let charter = &desk.known.directory.charter().contents;
    let members: Vec<Value> = charter.members.iter().map(|member| member_json(&desk, member)).collect();
    let proofs = proofs(&desk)?;
    if arguments.json {
        say(json!({
            "alliance": desk.settings.alliance, "name": charter.name, "charter": charter.sequence,
            "member": desk.settings.member, "members": members, "proofs": proofs,
        }))?;
        return Ok(0);
    }
    let mut out = terminal.stdout();
    writeln!(
        out,
        "{}, charter {}; this is {}",
        visible(&charter.name),
        charter.sequence,
        desk.settings.member
    )?;
    for member in &members {
        let text = |name: &str| member[name].as_str().unwrap_or_default().to_owned();
        writeln!(
            out,
            "  {:<24} {:<10} {:<40} {} entries held, {}",
            visible(&text("name")),
            text("state"),
            visible(&text("url")),
            member["entries"],
            if member["delivered"] == true { "all delivered" } else { "deliveries open" },
        )?;
    }
    for proof in &proofs {
        let accused = proof["accused"].to_string();
        writeln!(out, "  PROVED: {} by {}", proof["breach"].as_str().unwrap_or_default(), visible(&accused))?;
    }
    out.flush()?;
    Ok(0)
}

fn member_json(desk: &Desk, member: &besa_alliance::member::Member) -> Value {
    let id = &member.identity_ref;
    let entries: u64 = desk.known.heads().filter(|head| head.member == *id).map(|head| head.sequence).sum();
    let peer = desk.settings.peers.iter().find(|peer| peer.member == *id);
    json!({
        "identity_ref": id, "name": member.name, "state": member.state, "entries": entries,
        "url": peer.and_then(|peer| peer.url.clone()), "delivered": *id == desk.settings.member || delivered(desk, id),
    })
}

/// Whether everything signed here that an ally may read has been brought to it.
fn delivered(desk: &Desk, ally: &MemberId) -> bool {
    let cursor = desk.store.cursor(&besa_node::courier::cursor(ally)).ok().flatten();
    let after = cursor.and_then(|text| text.parse().ok()).unwrap_or(0);
    let types = besa_alliance::signed::Kind::ALL.iter().map(|kind| kind.object_type().to_owned()).collect();
    let query = PageQuery { after, types, limit: 1, content: false, ..PageQuery::default() };
    desk.store.page(desk.places.sent, &query).is_ok_and(|page| page.entries.is_empty())
}

/// Breaches proved here, or by allies to us.
fn proofs(desk: &Desk) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let inboxes = desk.places.allies().into_iter().map(|(_, boxes)| boxes.inbox);
    for collection in inboxes.chain([desk.places.sent]) {
        for raw in of_type(desk, collection, besa_alliance::signed::Kind::Proof.object_type())? {
            let proof: Value = serde_json::from_str(&raw)?;
            let one = json!({"breach": proof["breach"], "accused": proof["accused"], "id": proof["id"]});
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

/// The texts of a type in a collection.
pub(super) fn of_type(desk: &Desk, collection: CollectionKey, object_type: &str) -> Result<Vec<String>> {
    let mut query = PageQuery { types: vec![object_type.to_owned()], ..PageQuery::default() };
    let mut texts = Vec::new();
    loop {
        let page = desk.store.page(collection, &query)?;
        texts.extend(page.entries.into_iter().map(|entry| entry.raw));
        if !page.more {
            return Ok(texts);
        }
        query.after = page.next;
    }
}
