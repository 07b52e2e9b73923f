//! Arguments of `besa follow`.

use std::path::PathBuf;

use besa_sigma::Level;
use clap::Args;

use super::hunt::level;
use super::{IntelArgs, RuleArgs, examples};

/// Hunt through logs while they grow.
///
/// Follows text logs (JSON lines, Suricata EVE, Zeek, syslog, web logs, CSV and so on): each finding
/// is written as soon as its line is there. Files in folders are found as they appear; files may
/// be rotated, renamed and cut short. With --allies, what allies release is looked for from the
/// moment at which this node uses it.
///
/// Correlations are evaluated two seconds later, so that lines a little out of order still count.
/// Runs until Ctrl-C or SIGTERM. Exit code 0, or 2 on an error.
#[derive(Debug, Args)]
#[command(after_help = examples::FOLLOW)]
pub(crate) struct FollowArgs {
    /// Logs: files (they may come later) and folders.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) rules: RuleArgs,

    #[command(flatten)]
    pub(crate) intel: IntelArgs,

    /// Only findings of this level or above.
    #[arg(long, value_parser = level, value_name = "LEVEL")]
    pub(crate) level: Option<Level>,

    /// Read what is in the logs already, too.
    #[arg(long)]
    pub(crate) from_start: bool,

    /// As JSON, one line a finding, as `besa hunt --format jsonl` writes it.
    #[arg(long)]
    pub(crate) json: bool,
}
