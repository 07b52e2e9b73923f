//! Arguments of the archive: events kept, and searched again.

use std::path::PathBuf;

use besa_event::Timestamp;
use clap::{Args, Subcommand, ValueEnum};

use super::hunt::{FindingsArgs, time};
use super::{IntelArgs, RuleArgs, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    Add(Box<ArchiveAddArgs>),
    Hunt(Box<ArchiveHuntArgs>),
    Export(Box<ArchiveExportArgs>),
    /// What an archive holds: days, log sources, events, bytes.
    Stats {
        #[command(flatten)]
        place: ArchiveArgs,

        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read everything and compare it with what was written, and the index with the events.
    ///
    /// Exit code 0: whole, 1: something is missing or damaged.
    Verify {
        #[command(flatten)]
        place: ArchiveArgs,
    },
    /// Delete files all of whose events are older than so many days; what is held stays.
    Retain {
        #[command(flatten)]
        place: ArchiveArgs,

        /// Age in days, of the events; of events without a time, since they were added.
        #[arg(long, value_name = "N")]
        days: u32,

        /// Only this log source, as `stats` shows it or a leading part (may be given again).
        #[arg(long, value_name = "NAME")]
        source: Vec<String>,
    },
    Hold(ArchiveHoldArgs),
    /// Make larger files of the small ones of each day and log source, and look after the index.
    ///
    /// No event changes. Index runs that are missing, damaged or of an older version are made anew.
    Compact {
        #[command(flatten)]
        place: ArchiveArgs,
    },
}

/// Where the archive is.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// The archive: a folder, or s3://bucket/prefix with the usual AWS_… variables.
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: String,
}

/// Keep the events of evidence, so that they can be hunted through again.
///
/// Reads what `besa hunt` reads and writes Parquet files by day and log source, which other tools
/// read too. When it ends, everything is on the disk; Ctrl-C ends reading and keeps what was read.
/// The same evidence added twice is there twice.
///
/// With `--rules` or `--intel` it hunts in the same pass and gives findings as `besa hunt` does;
/// `--level`, `--from` and `--to` choose among findings, everything is kept. Exit code 0: kept, and
/// nothing found; 1: findings; 2: error; 130: stopped before anything was found.
#[derive(Debug, Args)]
#[command(after_help = examples::ARCHIVE_ADD)]
pub(crate) struct ArchiveAddArgs {
    /// Evidence: files, folders, archives; `-` for standard input.
    #[arg(required = true, value_name = "EVIDENCE")]
    pub(crate) evidence: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) place: ArchiveArgs,

    #[command(flatten, next_help_heading = "Hunting")]
    pub(crate) rules: RuleArgs,

    #[command(flatten, next_help_heading = "Hunting")]
    pub(crate) intel: IntelArgs,

    #[command(flatten, next_help_heading = "Hunting")]
    pub(crate) findings: FindingsArgs,

    /// Also keep what was deleted or overwritten in Windows event logs.
    #[arg(long)]
    pub(crate) carve: bool,

    /// Threads that decode [default: all cores].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// What was kept as JSON on standard output; findings then need `--out`.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Hunt through what was kept.
///
/// Rules, indicators, output and account are those of `besa hunt`, and so are the findings. The
/// account says which window, files and log sources were searched, and names files that are
/// missing or damaged; then the exit code is never 0. Row groups are chosen by time, by log source,
/// and, for indicators and patterns, by the index of observables. With `--intel-only` no rule has
/// to look at every event, so the index decides what is read. Exit codes: 0 nothing found, 1 findings, 2 error or
/// nothing found in what could be read, 130 stopped before anything was found.
#[derive(Debug, Args)]
#[command(after_help = examples::ARCHIVE_HUNT)]
pub(crate) struct ArchiveHuntArgs {
    #[command(flatten)]
    pub(crate) place: ArchiveArgs,

    #[command(flatten)]
    pub(crate) rules: RuleArgs,

    #[command(flatten)]
    pub(crate) intel: IntelArgs,

    #[command(flatten)]
    pub(crate) findings: FindingsArgs,

    /// Read no more than so many MiB of data files; what is left unsearched is told, and the exit
    /// code is then never 0.
    #[arg(long, value_name = "MIB")]
    pub(crate) budget: Option<u32>,

    /// Read also what the index of observables rules out: slower, the same findings.
    #[arg(long)]
    pub(crate) no_index: bool,

    /// Threads that read and match; the output does not depend on it [default: all cores].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
}

/// Write kept events as JSON lines or CSV.
///
/// By day, log source and file, in the order in which they were added. A JSON line holds `time`,
/// `time_precision`, `time_zone`, `host`, `logsource`, `source` (path and record) and `fields`; a
/// field with several values is a list. CSV has a column for each name; several values of one
/// cell are joined by `; `, and cells that could run as a formula get a leading `'`. Exit code 0;
/// 2 error, or a file is missing or damaged: the others are written all the same; 130 stopped.
#[derive(Debug, Args)]
#[command(after_help = examples::ARCHIVE_EXPORT)]
pub(crate) struct ArchiveExportArgs {
    #[command(flatten)]
    pub(crate) place: ArchiveArgs,

    /// How events are written.
    #[arg(short, long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(crate) format: ExportFormat,

    /// Write to this file, which appears when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Only events at or after this time (UTC unless a zone is given).
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) from: Option<Timestamp>,

    /// Only events before this time.
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) to: Option<Timestamp>,

    /// Only this log source, as `stats` shows it or a leading part (may be given again).
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Vec<String>,

    /// Only this field; rules' names work too, `Image` for the `NewProcessName` of Security 4688
    /// (may be given again).
    #[arg(long, value_name = "NAME")]
    pub(crate) field: Vec<String>,

    /// The record as it stood in the evidence, too, where that was text.
    #[arg(long)]
    pub(crate) raw: bool,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON object an event.
    Jsonl,
    /// A row an event.
    Csv,
}

/// Place a legal hold: while it stands, `retain` deletes nothing that it touches.
#[derive(Debug, Args)]
pub(crate) struct ArchiveHoldArgs {
    #[command(flatten)]
    pub(crate) place: ArchiveArgs,

    /// Name of the case; a hold of the same name is replaced.
    #[arg(value_name = "CASE")]
    pub(crate) case: String,

    /// Hold events at or after this time.
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) from: Option<Timestamp>,

    /// Hold events before this time.
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) to: Option<Timestamp>,

    /// Only this log source (may be given again).
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Vec<String>,

    /// Release the hold instead.
    #[arg(long, conflicts_with_all = ["from", "to", "source"])]
    pub(crate) release: bool,
}
