//! A witness signs what it has seen of the others' logs, for all to read.
//!
//! Who shows one history to one ally and another to the next is found out as soon as both compare
//! theirs with what a witness names. Only logs for the whole charter are named: that there is a
//! log for fewer readers is theirs to know.

use std::collections::HashMap;
use std::sync::Arc;

use besa_alliance::entry::{Audience, Content, EntryRef, Witness as Statement, log_id};
use besa_alliance::member::{Digest, MemberId, Role};
use besa_intel::Time;
use besa_stix::marking::TLP_2_GREEN;

use crate::error::NodeError;
use crate::gate::Gate;
use crate::journal::{Draft, Journal};

/// See the module.
pub struct Witness {
    gate: Arc<Gate>,
    journal: Arc<Journal>,
    me: MemberId,
    /// The number last stated of each log.
    stated: HashMap<Digest, u64>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Witness {
    /// A witness that has stated nothing yet; what it stated in an earlier life it states once more.
    pub fn new(gate: Arc<Gate>, journal: Arc<Journal>, me: MemberId) -> Self {
        Self { gate, journal, me, stated: HashMap::new() }
    }

    /// States the heads that have moved, if this member is a witness. Statements of other witnesses
    /// move their logs too, so a head that moved by such alone is not worth a statement.
    pub fn state(&mut self, now: Time) -> Result<(), NodeError> {
        let Some((heads, draft)) = self.draft() else { return Ok(()) };
        self.journal.append(draft, &[], now)?;
        self.stated.extend(heads.into_iter().map(|head| (head.entry_log, head.entry_sequence)));
        Ok(())
    }

    fn draft(&self) -> Option<(Vec<EntryRef>, Draft)> {
        let known = self.gate.known();
        let directory = &known.directory;
        let charter = &directory.charter().contents;
        let me = charter.active().find(|member| member.identity_ref == self.me)?;
        if !me.roles.contains(&Role::Witness) {
            return None;
        }
        let alliance = directory.alliance();
        let logs = charter.active().map(|member| log_id(&alliance, &member.identity_ref, &Audience::Charter));
        let moved = |head: &&besa_alliance::log::Head| {
            self.stated.get(&head.log).is_none_or(|stated| *stated < head.sequence)
        };
        let mut heads: Vec<EntryRef> = logs
            .filter_map(|log| known.head(&log))
            .filter(moved)
            .map(besa_alliance::log::Head::reference)
            .collect();
        let worth = |head: &EntryRef| {
            let text = self.gate.text_of(&head.entry_sha256);
            let entry = text.and_then(|text| besa_alliance::entry::Entry::parse(&text).ok());
            entry.is_some_and(|entry| !matches!(entry.content(), Content::Witness(_)))
        };
        if !heads.iter().any(worth) {
            return None;
        }
        heads.sort_by(|a, b| (&a.entry_member, a.entry_log).cmp(&(&b.entry_member, b.entry_log)));
        heads.truncate(charter.limits.objects_per_entry as usize);
        let draft = Draft {
            alliance,
            charter: charter.sequence,
            audience: Audience::Charter,
            markings: vec![TLP_2_GREEN.to_owned()],
            content: Content::Witness(Statement { heads: heads.clone() }),
        };
        Some((heads, draft))
    }
}
