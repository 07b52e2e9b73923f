//! Arguments of the commands that read evidence.

use std::path::PathBuf;

use besa_event::{EventTime, Timestamp};
use besa_sigma::Level;
use clap::{Args, ValueEnum};

use super::{PeerArgs, examples};

/// Hunt: evidence in, findings out.
///
/// Reads files, folders, archives or standard input (`-`) once and holds every event against all
/// rules, patterns and indicators. Formats are recognised by content, never by file name. A damaged
/// record, file or archive is reported and the rest is still hunted.
///
/// Findings go to standard output (or `--out`), the account of the run to standard error: what was
/// read, what could not be, which rules were loaded, refused, or had no events to look at. It is
/// given with zero findings too, so that "nothing found" can be judged.
#[derive(Debug, Args)]
#[command(after_help = examples::HUNT_SHORT, after_long_help = examples::HUNT)]
pub(crate) struct HuntArgs {
    /// Evidence: files, folders, archives; `-` for standard input.
    #[arg(required = true, value_name = "EVIDENCE")]
    pub(crate) evidence: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) rules: RuleArgs,

    #[command(flatten)]
    pub(crate) intel: IntelArgs,

    #[command(flatten)]
    pub(crate) findings: FindingsArgs,

    /// Also read what was deleted or overwritten in Windows event logs (carving); such records may
    /// double others. Without it they are counted among the defects.
    #[arg(long)]
    pub(crate) carve: bool,

    /// Threads that decode and match; the output does not depend on it [default: all cores].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// Send sightings, observed data and indicators to a node: the URL of a TAXII collection, or the
    /// node's data folder. The same hunt sent twice is there once.
    #[arg(long, value_name = "URL|DATA", help_heading = "Reporting")]
    pub(crate) report_to: Option<String>,

    /// The collection (id or alias) of the node whose data folder is given.
    #[arg(long, value_name = "NAME", requires = "report_to", help_heading = "Reporting")]
    pub(crate) report_collection: Option<String>,

    #[command(flatten, next_help_heading = "Reporting")]
    pub(crate) peer: PeerArgs,
}

/// What findings are asked for and where they go.
#[derive(Debug, Args)]
pub(crate) struct FindingsArgs {
    /// How findings are written.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Write findings to this file, which appears when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Only findings of this level or above.
    #[arg(long, value_parser = level, value_name = "LEVEL")]
    pub(crate) level: Option<Level>,

    /// Only events at or after this time (UTC unless a zone is given).
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) from: Option<Timestamp>,

    /// Only events before this time.
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) to: Option<Timestamp>,

    /// Write the account as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) account: Option<PathBuf>,

    /// Write every defect to this file, one JSON object a line (the account shows the first 20).
    #[arg(long, value_name = "FILE")]
    pub(crate) defects: Option<PathBuf>,

    /// How far the STIX objects may be passed on.
    #[arg(long, value_enum, default_value_t = Tlp::Amber, value_name = "TLP")]
    pub(crate) tlp: Tlp,

    /// Whose STIX objects these are: an organisation's name, or the id of its identity.
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) creator: Option<String>,
}

/// Which rules.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RuleArgs {
    /// Sigma rules: a file, or a folder searched for *.yml and *.yaml; may be given again
    /// [default: the built-in pack].
    #[arg(short, long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,

    /// Values for a placeholder of `|expand` (may be given again).
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = placeholder)]
    pub(crate) placeholder: Vec<(String, Vec<String>)>,
}

/// Which intelligence.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct IntelArgs {
    /// Intelligence: STIX bundle, MISP event, list of indicators (text, CSV), or a folder of them;
    /// may be given again.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) intel: Vec<PathBuf>,

    /// No rules, not even the built-in pack: indicators, patterns and rules of the intelligence alone.
    #[arg(long, requires = "intel", conflicts_with = "rules")]
    pub(crate) intel_only: bool,

    /// Also what allies released and this node uses: the node's data folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) allies: Option<String>,
}

impl IntelArgs {
    /// Whether no intelligence was named.
    pub(crate) fn is_empty(&self) -> bool {
        self.intel.is_empty() && self.allies.is_none()
    }
}

/// Replay a real attack and hunt it.
///
/// Writes the built-in scenario (the attack on Albania's government, May 2021 to July 2022, from
/// published facts) as the logs that real tools would have made, hunts it with the built-in rules
/// and the published indicators, and shows what was found beside what was reported.
///
/// Then three nodes, each a process with keys and an archive of its own, act as allies: Albania
/// releases the attackers' addresses, one ally finds them in its past, one honestly has nothing.
/// The nodes go on running on loopback unless told otherwise.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the evidence in this folder [default: a temporary folder, removed at the end].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Volume of benign events around the attack; 1 is about 200,000.
    #[arg(long, default_value_t = 0.1, value_name = "X")]
    pub(crate) scale: f64,

    /// Same seed, same evidence.
    #[arg(long, default_value_t = 2022, value_name = "N")]
    pub(crate) seed: u64,

    /// End the nodes when everything is shown.
    #[arg(long)]
    pub(crate) exit: bool,

    /// The result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Explain why one rule did or did not match one record.
///
/// Shows every search of the rule with its items, whether each held, and the record's values, with
/// the line numbers of the rule; and whether the rule is about this class of events at all.
/// Exit code 0: matches, 1: does not, 2: error.
#[derive(Debug, Args)]
#[command(after_help = examples::EXPLAIN)]
pub(crate) struct ExplainArgs {
    /// The rule: a file, or the id or title of one of `--rules` (or of the built-in pack).
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: String,

    /// The record as findings name it: path (with container path) and record number.
    #[arg(long, value_name = "FILE:N")]
    pub(crate) record: String,

    #[command(flatten)]
    pub(crate) rules: RuleArgs,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: grouped by rule, highest level first.
    Table,
    /// For programs: one JSON object a finding, oldest first.
    Jsonl,
    /// For spreadsheets; cells that could run as a formula get a leading `'`.
    Csv,
    /// STIX 2.1 bundle: observed data, sightings, indicators.
    Stix,
    /// ATT&CK Navigator layer.
    Navigator,
    /// Timeline for Timesketch, as JSON lines.
    Timesketch,
    /// Timeline for Timesketch, as CSV.
    TimesketchCsv,
    /// Report in one self-contained file.
    Html,
}

/// Traffic Light Protocol 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tlp {
    Clear,
    Green,
    Amber,
    #[value(name = "amber+strict")]
    AmberStrict,
    Red,
}

pub(super) fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| "use informational, low, medium, high or critical".to_owned())
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    EventTime::parse_iso(text.as_bytes())
        .map(|time| time.at)
        .ok_or_else(|| "write for example 2022-07-15 or 2022-07-15T13:04:05Z".to_owned())
}

pub(super) fn placeholder(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, values) = text.split_once('=').ok_or("write NAME=VALUE or NAME=VALUE,VALUE")?;
    let name = name.trim().trim_matches('%');
    if name.is_empty() {
        return Err("the name before `=` is empty".to_owned());
    }
    Ok((name.to_owned(), values.split(',').map(str::to_owned).collect()))
}
