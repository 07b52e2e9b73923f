//! `besa audit`: the log of every access and change, for people and for programs.

use anyhow::Result;
use besa_intel::{AuditEntry, micros_text};
use serde_json::json;

use super::node::say;
use crate::cli::AuditArgs;
use crate::terminal::visible;

/// Entries read at once.
const STEP: usize = 1_000;

pub(super) fn audit(args: &AuditArgs) -> Result<u8> {
    let store = args.data.open_existing()?;
    let (mut after, mut printed) = (args.after, 0);
    while printed < args.limit {
        let entries = store.audit_log(after, STEP)?;
        let Some((last, _)) = entries.last() else { break };
        after = *last;
        let wanted = |entry: &AuditEntry| args.actor.as_ref().is_none_or(|actor| entry.actor == *actor);
        for (number, entry) in entries.iter().filter(|(_, entry)| wanted(entry)).take(args.limit - printed) {
            printed += 1;
            line(*number, entry, args.json)?;
        }
    }
    Ok(u8::from(printed == 0))
}

fn line(number: u64, entry: &AuditEntry, as_json: bool) -> Result<()> {
    let AuditEntry { at, actor, source, action, target, outcome } = entry;
    let at = micros_text(*at);
    if as_json {
        return say(json!({
            "entry": number, "at": at, "actor": actor, "source": source, "action": action, "target": target,
            "outcome": outcome,
        }));
    }
    let texts = [actor, source, action, target, outcome].map(|text| visible(text));
    say(format_args!("{number}\t{at}\t{}", texts.join("\t")))
}
