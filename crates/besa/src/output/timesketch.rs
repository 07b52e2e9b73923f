//! Timesketch: `message`, `datetime` and `timestamp_desc` are mandatory; all else becomes
//! attributes. A finding without a time is put at 1970 and says so, since Timesketch drops rows
//! without one.

use std::io::Write;

use serde_json::{Value, json};

use super::Report;
use super::csv::{place, write_row};
use super::record::{Row, each_row};

const UNDATED: &str = "1970-01-01T00:00:00Z";

pub(super) fn write_jsonl(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    each_row(report, &mut |row, _| {
        let mut object = json!({
            "message": message(row),
            "datetime": row.time.as_deref().unwrap_or(UNDATED),
            "timestamp_desc": described(row),
            "tag": tags(row),
            "data_type": format!("besa:{}", row.kind),
            "rule_id": row.rule_id,
            "rule_title": row.title,
            "rule_author": row.author,
            "level": row.level,
            "hostname": row.host,
            "source_file": &*row.source.path,
            "source_record": row.source.record,
            "time_precision": row.time_precision,
            "time_zone": row.time_zone,
            "intel_ref": row.intel_ref,
        });
        for (field, value) in row.matched.0 {
            object[format!("matched_{field}")] = Value::from(value.as_str());
        }
        serde_json::to_writer(&mut *out, &object)?;
        out.write_all(b"\n")?;
        Ok(())
    })
}

pub(super) fn write_csv(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let header = [
        "message",
        "datetime",
        "timestamp_desc",
        "tag",
        "rule_id",
        "rule_title",
        "rule_author",
        "level",
        "hostname",
        "source_file",
        "source_record",
        "matched",
        "related",
    ];
    write_row(out, &header)?;
    each_row(report, &mut |row, _| {
        let related: Vec<String> = row.related.iter().map(place).collect();
        let cells = [
            message(row),
            row.time.clone().unwrap_or_else(|| UNDATED.to_owned()),
            described(row).to_owned(),
            tags(row).join(","),
            row.rule_id.to_owned(),
            row.title.to_owned(),
            row.author.to_owned(),
            row.level.to_owned(),
            row.host.to_owned(),
            row.source.path.to_string(),
            row.source.record.to_string(),
            row.matched.text(),
            related.join("; "),
        ];
        write_row(out, &cells)?;
        Ok(())
    })
}

fn message(row: &Row<'_>) -> String {
    let on = if row.host.is_empty() { String::new() } else { format!(" on {}", row.host) };
    format!("[{}] {}{on}: {}", row.level, row.title, row.matched.text())
}

fn described(row: &Row<'_>) -> &'static str {
    if row.time.is_some() { "Event Time" } else { "Not a time: the record has none" }
}

fn tags(row: &Row<'_>) -> Vec<String> {
    let mut tags = vec![format!("besa-{}", row.level)];
    tags.extend(row.techniques.iter().cloned());
    tags
}
