//! The key: what was put into the evidence, where it is, and which rules must find it.

use serde_json::{Value, json};

use super::attack::{CORRELATIONS, Item, Mark, STEPS};
use super::calendar::Time;
use super::streams;
use super::{Options, Written, rule_ids};

/// The places noted while writing.
#[derive(Debug, Default)]
pub(super) struct Key {
    events: Vec<Value>,
    traps: Vec<Value>,
}

impl Key {
    /// Notes where an event ended up, if it was put in on purpose.
    pub(super) fn note(&mut self, path: &str, record: u64, time: Time, item: &Item) {
        match &item.mark {
            None => {}
            Some(Mark::Step { id, rules }) => self.events.push(json!({
                "step": id,
                "path": path,
                "record": record,
                "time": time.rfc3339(),
                "rules": rules.iter().filter_map(|rule| rule_ids::id(rule)).collect::<Vec<_>>(),
            })),
            Some(Mark::Trap { why }) => self.traps.push(json!({
                "why": why,
                "path": path,
                "record": record,
                "time": time.rfc3339(),
            })),
        }
    }

    /// The key as JSON. `record` is the `EventRecordID` of Windows events and else the line
    /// number, from 1; rules are ids of our own rules.
    pub(super) fn json(&self, options: &Options, written: &Written) -> String {
        let steps: Vec<Value> = STEPS
            .iter()
            .map(|step| {
                json!({
                    "id": step.id,
                    "member": step.member,
                    "techniques": step.techniques,
                    "text": step.text,
                    "sources": step.sources,
                })
            })
            .collect();
        let correlations: Vec<Value> = CORRELATIONS
            .iter()
            .map(|(member, rule)| json!({"member": member, "rule": rule_ids::id(rule), "name": rule}))
            .collect();
        let document = json!({
            "schema": "besa.scenario.expected/1",
            "scale": options.scale,
            "seed": options.seed,
            "from": Time(streams::first_day().0 * 86_400_000_000).rfc3339(),
            "to": Time(streams::end_day().0 * 86_400_000_000).rfc3339(),
            "benign": written.benign,
            "injected": written.injected,
            "steps": steps,
            "events": self.events,
            "correlations": correlations,
            "traps": self.traps,
        });
        format!("{document:#}\n")
    }
}
