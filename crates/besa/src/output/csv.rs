//! CSV (RFC 4180): one row a finding, oldest first.
//!
//! Spreadsheets run what starts with `=`, `+`, `-` or `@` as a formula, and evidence is written by
//! attackers: such cells get a leading `'`. Whoever needs the exact bytes takes JSON lines.

use std::io::{self, Write};

use besa_detect::Locator;

use super::Report;
use super::record::each_row;

const HEADER: [&str; 18] = [
    "time",
    "time_precision",
    "time_zone",
    "level",
    "kind",
    "rule_id",
    "title",
    "author",
    "host",
    "product",
    "service",
    "category",
    "techniques",
    "source_path",
    "source_record",
    "matched",
    "related",
    "intel_ref",
];

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    write_row(out, &HEADER)?;
    each_row(report, &mut |row, _| {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let related: Vec<String> = row.related.iter().map(place).collect();
        let cells = [
            row.time.clone().unwrap_or_default(),
            row.time_precision.unwrap_or_default().to_owned(),
            row.time_zone.unwrap_or_default().to_owned(),
            row.level.to_owned(),
            row.kind.to_owned(),
            row.rule_id.to_owned(),
            row.title.to_owned(),
            row.author.to_owned(),
            row.host.to_owned(),
            part(&row.logsource.product),
            part(&row.logsource.service),
            part(&row.logsource.category),
            row.techniques.join(" "),
            row.source.path.to_string(),
            row.source.record.to_string(),
            row.matched.text(),
            related.join("; "),
            row.intel_ref.unwrap_or_default().to_owned(),
        ];
        write_row(out, &cells)?;
        Ok(())
    })
}

/// `path:record`.
pub(super) fn place(place: &Locator) -> String {
    format!("{}:{}", place.path, place.record)
}

/// One row; ends with CR LF.
pub(crate) fn write_row(out: &mut dyn Write, cells: &[impl AsRef<str>]) -> io::Result<()> {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        write_cell(out, cell.as_ref())?;
    }
    out.write_all(b"\r\n")
}

fn write_cell(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let formula = text != "-" && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains(['"', ',', '\r', '\n']) {
        return out.write_all(text.as_bytes());
    }
    let quote = if formula { "\"'" } else { "\"" };
    write!(out, "{quote}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::write_row;

    #[test]
    fn cells_are_quoted_and_formulas_disarmed() {
        let mut out = Vec::new();
        write_row(&mut out, &["a", "b,c", "say \"x\"", "=1+2", "two\nlines", ""]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a,\"b,c\",\"say \"\"x\"\"\",\"'=1+2\",\"two\nlines\",\r\n");
    }
}
