//! ATT&CK Navigator layer, format 4.5: the techniques of what was found.
//!
//! The score is the highest level among a technique's rules (1 informational to 5 critical), since
//! a count says more of the log's volume than of the attack; counts stand in the comment.

use std::io::Write;

use serde_json::{Value, json};

use super::{Report, short_time};
use crate::hunt::summary::Technique;
use crate::terminal::counted;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let techniques: Vec<Value> =
        report.summary.techniques().iter().map(|(id, technique)| entry(id, technique)).collect();
    let account = report.account;
    let partial = if account.complete { "" } else { "PARTIAL: the hunt was interrupted. " };
    let layer = json!({
        "name": "Besa hunt",
        "versions": {"attack": "19", "navigator": "5.1.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "description": format!(
            "{partial}{} by {} in {}, hunted {}.",
            counted(account.findings.total, "finding"),
            counted(account.findings.rules, "rule"),
            counted(account.events, "event"),
            report.now.rfc3339(0),
        ),
        "sorting": 3,
        "layout": {"layout": "side", "showID": true, "showName": true, "expandedSubtechniques": "annotated"},
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": {
            "colors": ["#cfe8ffff", "#ffe8a3ff", "#ffb26bff", "#f2604bff", "#b3123bff"],
            "minValue": 1,
            "maxValue": 5,
        },
        "legendItems": [
            {"label": "informational", "color": "#cfe8ff"},
            {"label": "low", "color": "#ffe8a3"},
            {"label": "medium", "color": "#ffb26b"},
            {"label": "high", "color": "#f2604b"},
            {"label": "critical", "color": "#b3123b"},
        ],
    });
    serde_json::to_writer_pretty(&mut *out, &layer)?;
    out.write_all(b"\n")?;
    Ok(())
}

fn entry(id: &str, technique: &Technique<'_>) -> Value {
    let lines: Vec<String> = technique
        .rules
        .iter()
        .map(|rule| {
            let from = rule.first.map_or_else(|| "no time".to_owned(), short_time);
            format!("{} × {} ({}), first {from}", rule.count, rule.info.title, rule.info.level)
        })
        .collect();
    json!({
        "techniqueID": id,
        "score": technique.level as u64 + 1,
        "comment": lines.join("\n"),
        "enabled": true,
        "metadata": [{"name": "findings", "value": technique.count.to_string()}],
        "links": [],
        "showSubtechniques": id.contains('.'),
    })
}
