//! Arguments of `besa bench`.

use std::path::PathBuf;

use clap::Args;

use super::{IntelArgs, RuleArgs, examples};

/// Measure how fast a hunt is on your own evidence.
///
/// Hunts the evidence by the same pipeline as `besa hunt` and prints, for one core, the rates of
/// decoding and matching beside a plain read of the same files; the time to load and compile the
/// rules; the whole hunt with one job and with all; peak memory; and the findings, so that a faster
/// run with fewer of them does not pass for better.
///
/// It also matches every event against every rule, as if no event said what kind it is
/// ("unrouted"): what knowing the log source is worth. Those findings are not a hunt's.
#[derive(Debug, Args)]
#[command(after_help = examples::BENCH)]
pub(crate) struct BenchArgs {
    /// Evidence: files, folders, archives. It is read several times.
    #[arg(required = true, value_name = "EVIDENCE")]
    pub(crate) evidence: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) rules: RuleArgs,

    #[command(flatten)]
    pub(crate) intel: IntelArgs,

    /// Threads that decode and match, beside the run with one [default: all cores].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// How often each thing is measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) runs: u16,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
