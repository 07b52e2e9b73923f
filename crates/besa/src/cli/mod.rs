//! The arguments of `besa` and the help that teaches them; what they do is in `commands`.

mod alliance;
mod archive;
mod authority;
mod bench;
mod examples;
mod exchange;
mod follow;
mod hunt;
mod member;
mod node;
mod tools;

pub(crate) use alliance::{IntakeCommand, ReleaseCommand, ReleaseExplainArgs};
pub(crate) use archive::{
    ArchiveAddArgs, ArchiveArgs, ArchiveCommand, ArchiveExportArgs, ArchiveHoldArgs, ArchiveHuntArgs,
    ExportFormat,
};
pub(crate) use authority::{
    AuthorityCommand, ChainVerifyArgs, CharterCommand, KeyArgs, NewFile, ReleaseCheckArgs,
};
pub(crate) use bench::{BenchAllianceArgs, BenchArgs, BenchCommand};
pub(crate) use exchange::{IntelCommand, PeerArgs, TaxiiCommand};
pub(crate) use follow::FollowArgs;
pub(crate) use hunt::{DemoArgs, ExplainArgs, FindingsArgs, Format, HuntArgs, IntelArgs, RuleArgs, Tlp};
pub(crate) use member::{
    AllianceCommand, AllyArgs, AnswersCommand, DecideArgs, JoinArgs, PictureArgs, QuarantineCommand,
    SendArgs, StatusArgs, UpdateArgs, WelcomeArgs,
};
pub(crate) use node::{
    AuditArgs, BackupCommand, CollectionCommand, DataArgs, ServeArgs, TokenCommand, UserCommand,
};
pub(crate) use tools::{
    CompletionsArgs, ManArgs, PatternCommand, PatternMatchArgs, RulesCheckArgs, RulesCommand, RulesTestArgs,
    ScenarioCommand, ScenarioWriteArgs,
};

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Finds traces of attacks in logs and other evidence.
///
/// Besa reads evidence (Windows event logs, JSON, Zeek, Suricata, syslog, auditd, web server logs,
/// CEF, LEEF, CSV; in gz, zstd, zip and tar), holds it against Sigma rules, STIX patterns and
/// indicators in one pass, and gives every finding on one timeline. What could not be read, which
/// rules could not be loaded, and which could not apply is always said.
///
/// As a node it keeps intelligence as received and exchanges it over TAXII 2.1.
#[derive(Debug, Parser)]
#[command(name = "besa", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = examples::TOP_SHORT, after_long_help = examples::TOP)]
pub(crate) struct Cli {
    /// When to use colour; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,

    /// Say nothing on standard error but errors: no progress, no account.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Hunt(Box<HuntArgs>),
    Follow(Box<FollowArgs>),
    /// Events kept, and hunted through again.
    #[command(subcommand)]
    Archive(ArchiveCommand),
    Demo(DemoArgs),
    Explain(ExplainArgs),
    Bench(BenchArgs),
    /// Look at rules: which load, and what one says of an event.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Look at STIX patterns: is one valid, does it match observations.
    #[command(subcommand)]
    Pattern(PatternCommand),
    /// The built-in attack scenario.
    #[command(subcommand)]
    Scenario(ScenarioCommand),
    Serve(Box<ServeArgs>),
    /// The store of intelligence: objects in, out, and found.
    #[command(subcommand)]
    Intel(IntelCommand),
    /// An alliance: join it, release to allies, see who answers.
    #[command(subcommand)]
    Alliance(AllianceCommand),
    /// What may leave this node, to whom, and why.
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// What comes from allies: poison is held.
    #[command(subcommand)]
    Intake(IntakeCommand),
    /// A member's keys, and its signature; files only.
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// Who the members of an alliance are, by which rules; files only.
    #[command(subcommand)]
    Charter(CharterCommand),
    /// Exchange with other TAXII servers: look, pull, push.
    #[command(subcommand)]
    Taxii(TaxiiCommand),
    /// The node's collections, and who may use them.
    #[command(subcommand)]
    Collection(CollectionCommand),
    /// The node's users.
    #[command(subcommand)]
    User(UserCommand),
    /// API tokens of users.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Copy the store while it is in use, and put a copy back.
    #[command(subcommand)]
    Backup(BackupCommand),
    Audit(AuditArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also in a pipe.
    Always,
    /// Not at all.
    Never,
}

/// The command with all its help.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Reads the arguments; help, version and bad arguments end the process here (0 or 2).
pub(crate) fn parse() -> Cli {
    let arguments: Vec<_> = std::env::args_os().collect();
    let matches = command().color(help_color(&arguments)).get_matches_from(&arguments);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Help is shown while arguments are still being read, so its colour is looked for by hand.
fn help_color(arguments: &[std::ffi::OsString]) -> ColorChoice {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let stated = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--color") {
        Some("") => words.get(at + 1).map(ToString::to_string),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None => None,
    });
    match stated.as_deref() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        super::command().debug_assert();
    }
}
