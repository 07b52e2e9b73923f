//! Arguments of the commands about rules, patterns, the scenario and the shell.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::{RuleArgs, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    Check(RulesCheckArgs),
    Test(RulesTestArgs),
}

/// Load rules and say which were refused, where and why.
///
/// One line per refused rule: file, line, reason; then warnings and a summary by log source.
/// Exit code 0: all loaded, 1: some refused, 2: error (nothing could be read).
#[derive(Debug, Args)]
#[command(after_help = examples::RULES_CHECK)]
pub(crate) struct RulesCheckArgs {
    /// Rule files, or folders searched for *.yml and *.yaml [default: the built-in pack].
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Values for a placeholder of `|expand` (may be given again).
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = super::hunt::placeholder)]
    pub(crate) placeholder: Vec<(String, Vec<String>)>,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Hold one rule against one event.
///
/// Prints `true`, `false`, or the reason why the rule is refused; exit code 0, 1 or 2. The log
/// source is taken as matching. Correlations look at many events and are refused here.
#[derive(Debug, Args)]
#[command(after_help = examples::RULES_TEST)]
pub(crate) struct RulesTestArgs {
    /// The rule; filters in the same file are applied.
    #[arg(value_name = "RULE.yml")]
    pub(crate) rule: PathBuf,

    /// The event, one JSON object, flat or nested; `-` for standard input.
    #[arg(value_name = "EVENT.json")]
    pub(crate) event: PathBuf,

    /// Values for a placeholder of `|expand` (may be given again).
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = super::hunt::placeholder)]
    pub(crate) placeholder: Vec<(String, Vec<String>)>,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PatternCommand {
    /// Say whether a STIX pattern is valid, or where it is not.
    ///
    /// Also warns of parts that can never match. Exit code 0: valid, 2: invalid.
    #[command(after_help = examples::PATTERN_CHECK)]
    Check {
        /// The pattern.
        #[arg(value_name = "PATTERN")]
        pattern: String,

        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    Match(PatternMatchArgs),
}

/// Hold a STIX pattern against observed data.
///
/// Reads STIX bundles (or a list of them) with observed-data and their objects, by `object_refs` or
/// the deprecated `objects`. Prints `match` with the observations it binds, or `no match`.
/// Exit code 0: match, 1: no match, 2: the pattern is invalid or nothing could be read.
#[derive(Debug, Args)]
#[command(after_help = examples::PATTERN_MATCH)]
pub(crate) struct PatternMatchArgs {
    /// The pattern.
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: String,

    /// The observations; `-` for standard input.
    #[arg(value_name = "OBSERVATIONS.json")]
    pub(crate) observations: PathBuf,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    Write(ScenarioWriteArgs),
}

/// Write the evidence of the attack on Albania's government, 2021 to 2022.
///
/// Three members' logs as the real tools would have written them, from published facts, with benign
/// traffic around; deterministic by seed. `expected.json` says what was put in.
#[derive(Debug, Args)]
pub(crate) struct ScenarioWriteArgs {
    /// The folder to write to; it is created.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Volume of benign events around the attack; 1 is about 200,000.
    #[arg(long, default_value_t = 0.1, value_name = "X")]
    pub(crate) scale: f64,

    /// Same seed, same evidence.
    #[arg(long, default_value_t = 2022, value_name = "N")]
    pub(crate) seed: u64,

    /// What was written, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = examples::COMPLETIONS)]
pub(crate) struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Print the manual page.
#[derive(Debug, Args)]
#[command(after_help = examples::MAN)]
pub(crate) struct ManArgs {
    /// Write one page per command into this folder instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

impl RulesCheckArgs {
    /// The same as other commands take rules.
    pub(crate) fn rules(&self) -> RuleArgs {
        RuleArgs { rules: self.paths.clone(), placeholder: self.placeholder.clone() }
    }
}
