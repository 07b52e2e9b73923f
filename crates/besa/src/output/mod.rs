//! Findings for people and programs, one file per format.
//!
//! Each `write` goes once through the sorted findings, or needs only the summary, so that output
//! takes no more memory than the summary. Whatever comes from evidence or rules is a stranger's
//! text: each format escapes it for its reader (terminal, spreadsheet, browser).

mod account;
mod csv;
mod html;
mod jsonl;
mod navigator;
mod record;
mod stix;
mod table;
mod timesketch;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use besa_detect::{Detector, Finding, FindingTime};
use besa_event::{EventTime, Timestamp};

use crate::cli::{Format, Tlp};
use crate::hunt::Sorted;
use crate::hunt::account::Account;
use crate::hunt::knowledge::RuleTexts;
use crate::hunt::summary::{RuleSummary, Summary};
use crate::terminal::{Paint, visible};

pub(crate) use account::account_text;
pub(crate) use csv::write_row;

/// Everything that output is made of.
pub(crate) struct Report<'a> {
    pub(crate) detector: &'a Detector,
    pub(crate) findings: &'a Sorted<Finding>,
    pub(crate) summary: &'a Summary,
    pub(crate) account: &'a Account,
    pub(crate) texts: &'a RuleTexts,
    pub(crate) tlp: Tlp,
    /// Whose STIX objects these are: a name, or the id of an identity.
    pub(crate) creator: Option<&'a str>,
    /// When the hunt took place.
    pub(crate) now: Timestamp,
    pub(crate) paint: Paint,
    pub(crate) width: usize,
}

/// Writes findings in a format.
pub(crate) fn write(format: Format, report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    match format {
        Format::Table => table::write(report, out),
        Format::Jsonl => jsonl::write(report, out),
        Format::Csv => csv::write(report, out),
        Format::Stix => stix::write(report, out),
        Format::Navigator => navigator::write(report, out),
        Format::Timesketch => timesketch::write_jsonl(report, out),
        Format::TimesketchCsv => timesketch::write_csv(report, out),
        Format::Html => html::write(report, out),
    }
}

/// Writes one finding, in one line: as `--format jsonl` does, or for people.
pub(crate) fn write_one(
    json: bool,
    finding: &Finding,
    rule: &RuleSummary,
    detector: &Detector,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let row = record::Row::new(finding, rule, detector);
    if json {
        serde_json::to_writer(&mut *out, &row)?;
        return out.write_all(b"\n");
    }
    let time = finding.time.map_or_else(|| "-".to_owned(), short_time);
    let level = paint.level(rule.info.level, &format!("{:<13}", row.level.to_uppercase()));
    let title = paint.bold(&visible(row.title).to_string());
    let place = format!("{}:{}", row.source.path, row.source.record);
    let parts = [row.host, &place, &row.matched.text()].map(|part| visible(part).to_string());
    let rest: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    writeln!(out, "{time:<19}  {level}  {title}  {}", paint.dim(&rest.join("  ")))
}

/// Gives the findings as STIX objects, one after the other.
pub(crate) fn each_stix_object(
    report: &Report<'_>,
    take: &mut dyn FnMut(&serde_json::Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    stix::each_object(report, take)
}

/// Writes a file beside its place and puts it there when it is complete, so that nobody reads
/// half of it.
pub(crate) fn write_file(
    path: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let named = || format!("cannot write `{}`", path.display());
    if path.exists() && !path.is_file() {
        // A device or a pipe has no place beside it.
        let mut out = BufWriter::new(File::create(path).with_context(named)?);
        write(&mut out)?;
        return out.flush().with_context(named);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = beside(folder).with_context(named)?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    write(&mut out).with_context(named)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(named)?;
    keep_permissions(file.as_file(), path).with_context(named)?;
    file.persist(path).map_err(|error| error.error).with_context(named)?;
    Ok(())
}

/// A new file that has the permissions of any file the user makes; a temporary file would be for
/// its owner alone.
fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".besa-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// What takes the place of a file keeps that one's permissions.
fn keep_permissions(file: &File, replaced: &Path) -> io::Result<()> {
    match std::fs::metadata(replaced) {
        Ok(metadata) => file.set_permissions(metadata.permissions()),
        Err(_) => Ok(()),
    }
}

/// RFC 3339 with the digits that the record states.
fn time_text(time: FindingTime) -> String {
    EventTime::from(time).to_string()
}

/// To the second, for people.
fn short_time(time: FindingTime) -> String {
    Timestamp(time.at).rfc3339(0).replace('T', " ").trim_end_matches('Z').to_owned()
}
