//! Arguments of `besa bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
#[command(after_help = examples::BENCH, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) what: Option<BenchCommand>,

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

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    Alliance(BenchAllianceArgs),
}

/// Measure how long an alliance takes to answer.
///
/// Founds an alliance on this machine: nodes as processes, each with a history of its own in its
/// archive. One after the other releases an indicator, of which some are in the past of some allies,
/// and the time is taken until the last signed answer has arrived at the one that asked.
#[derive(Debug, Args)]
pub(crate) struct BenchAllianceArgs {
    /// Nodes.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=100))]
    pub(crate) nodes: u16,

    /// Days of history of each node.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3_660))]
    pub(crate) days: u16,

    /// Events of each day of each node.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(crate) events: u32,

    /// Releases.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) releases: u32,

    /// Indicators in each release.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) indicators: u32,

    /// Same seed, same histories.
    #[arg(long, value_name = "N", default_value_t = 2022)]
    pub(crate) seed: u64,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
