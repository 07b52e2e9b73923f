//! The alliance's picture of a release: who has it, who used it, who was hit, who is late.

use std::collections::{BTreeMap, BTreeSet};

use besa_alliance::answer::{Seen, read_sighting};
use besa_alliance::directory::Directory;
use besa_alliance::entry::{Content, Entry, EntryOutcome, ObjectOutcome};
use besa_alliance::member::MemberId;
use besa_alliance::signed::Kind;
use besa_intel::{Store, Time};
use serde::Serialize;

use crate::error::NodeError;
use crate::intake::held;
use crate::journal::each_entry;
use crate::places::Places;

/// What is known of one reader of a release.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reader {
    /// Milliseconds from the release to its receipt, by the two members' clocks.
    pub receipt_ms: Option<i64>,
    /// Objects it accepted.
    pub accepted: u64,
    /// Objects it put into quarantine or refused: id and reason.
    pub not_used: Vec<(String, String)>,
    /// Revoked objects that it took out of use.
    pub withdrawn: u64,
    /// Milliseconds from the release to its last answer.
    pub answer_ms: Option<i64>,
    /// How often objects were seen, all together.
    pub seen: u64,
    /// First time that one of them was seen.
    pub first_seen: Option<String>,
    /// Last time.
    pub last_seen: Option<String>,
    /// What it searched: start, end, kinds of evidence.
    pub searched: Option<(String, String, Vec<String>)>,
    /// Whether it should have answered by now.
    pub late: bool,
}

/// The picture of one release of one's own.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// Id of the release.
    pub release: String,
    /// When it was signed.
    pub created: String,
    /// Objects in it.
    pub objects: u64,
    /// Its readers.
    pub readers: BTreeMap<MemberId, Reader>,
    /// Witnesses that have stated to have it, or what follows it in its log.
    pub witnesses: BTreeSet<MemberId>,
}

impl Picture {
    /// Everybody has answered.
    pub fn is_whole(&self) -> bool {
        self.readers.values().all(|reader| reader.answer_ms.is_some())
    }
}

/// The picture of a release by its id.
pub fn picture(
    store: &dyn Store,
    directory: &Directory,
    places: &Places,
    me: &MemberId,
    release: &str,
    now: Time,
) -> Result<Picture, NodeError> {
    let stored = store.object(release, None)?;
    let stored = stored.ok_or_else(|| NodeError::Input(format!("the store has no `{release}`")))?;
    let entry = Entry::parse(&stored.raw)?;
    if entry.content().kind() != Kind::Release || entry.member() != me {
        return Err(NodeError::Input(format!("`{release}` is no release of this node")));
    }
    let limits = &directory.charter().contents.limits;
    let age = now.unix_seconds() - entry.created.unix_seconds();
    let (mut readers, mut witnesses) = (BTreeMap::new(), BTreeSet::new());
    for member in directory.charter().contents.active().map(|member| &member.identity_ref) {
        if member == me || !entry.envelope().audience.includes(member) {
            continue;
        }
        let mut reader = Reader::default();
        if let Some(boxes) = places.boxes(member) {
            // Nobody replies to what was not there yet.
            each_entry(store, boxes.inbox, &mut stored.seq.clone(), &mut |_, reply| {
                if reply.member() == member {
                    reader.take(store, &entry, &reply);
                    witnesses.extend(has_witnessed(&entry, &reply).then(|| member.clone()));
                }
                Ok(true)
            })?;
        }
        reader.late = reader.answer_ms.is_none() && age > i64::from(limits.answer_seconds);
        readers.insert(member.clone(), reader);
    }
    let objects = entry.content().lines() as u64;
    Ok(Picture { release: entry.id(), created: entry.created.to_millis_text(), objects, readers, witnesses })
}

fn has_witnessed(entry: &Entry, reply: &Entry) -> bool {
    let Content::Witness(witness) = reply.content() else { return false };
    witness.heads.iter().any(|head| {
        head.entry_log == entry.log()
            && (head.entry_sequence > entry.sequence() || head.entry_sha256 == entry.digest)
    })
}

impl Reader {
    fn take(&mut self, store: &dyn Store, question: &Entry, reply: &Entry) {
        let millis = (reply.created.unix_nanos() - question.created.unix_nanos()) / 1_000_000;
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        match reply.content() {
            Content::Receipt(receipt) if receipt.receipt_for == question.reference() => {
                self.receipt_ms = Some(millis);
                if receipt.outcome == EntryOutcome::Accepted {
                    self.accepted = question.content().lines().saturating_sub(receipt.results.len()) as u64;
                }
                for line in &receipt.results {
                    if line.outcome == ObjectOutcome::Withdrawn {
                        self.withdrawn += 1;
                    } else {
                        let reason = line.reason.clone().unwrap_or_default();
                        self.not_used.push((line.object_ref.clone(), reason));
                    }
                }
            }
            Content::Answer(answer) if answer.answer_to == question.reference() => {
                self.answer_ms = Some(millis);
                let texts = answer.objects.iter().filter_map(|line| held(store, line));
                for seen in texts.filter_map(|one| read_sighting(reply, question, &one.raw).ok()) {
                    self.sighted(&seen);
                }
            }
            _ => {}
        }
    }

    fn sighted(&mut self, seen: &Seen) {
        self.seen += seen.count;
        let coverage = &seen.coverage;
        self.searched.get_or_insert_with(|| {
            let (start, end) = (coverage.window_start.to_millis_text(), coverage.window_end.to_millis_text());
            (start, end, coverage.sources.clone())
        });
        if let Some((first, last)) = seen.span {
            let (first, last) = (first.to_millis_text(), last.to_millis_text());
            if self.first_seen.as_ref().is_none_or(|known| *known > first) {
                self.first_seen = Some(first);
            }
            if self.last_seen.as_ref().is_none_or(|known| *known < last) {
                self.last_seen = Some(last);
            }
        }
    }
}
