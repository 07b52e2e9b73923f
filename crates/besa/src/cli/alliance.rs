//! Arguments of the commands about the alliance: what may leave, what may come in.

use std::path::PathBuf;

use besa_alliance::member::MemberId;
use besa_alliance::policy::Exit;
use clap::{Args, Subcommand};

use super::{DataArgs, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    Explain(Box<ReleaseExplainArgs>),
}

/// Say why an object may go to a member, or why not.
///
/// Every rule asked, in order; the rules are in docs/RELEASE-POLICY.md. What the object refers to is
/// looked up in the same file and in the node's store. Nothing is sent.
/// Exit code 0: all may go (perhaps redacted), 1: something stays, 2: error.
#[derive(Debug, Args)]
#[command(after_help = examples::RELEASE_EXPLAIN)]
pub(crate) struct ReleaseExplainArgs {
    /// A file of objects (`-` for standard input), or an object's id in the store.
    #[arg(value_name = "OBJECT-FILE|ID")]
    pub(crate) object: String,

    /// The member's identity, or `public`.
    #[arg(long, value_name = "MEMBER")]
    pub(crate) to: String,

    /// This node's own member [default: the one as which the data folder has joined].
    #[arg(long = "as", value_name = "MEMBER", value_parser = MemberId::parse)]
    pub(crate) holder: Option<MemberId>,

    /// Charters and key statements, in any order [default: those of the data folder's alliance].
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) charter: Vec<PathBuf>,

    /// Fingerprint or hash of the first charter.
    #[arg(long, value_name = "FINGERPRINT", requires = "charter")]
    pub(crate) pin: Option<String>,

    /// In place of charters: `members` (each `identity_ref` and `state`) and sharing `groups` as JSON,
    /// signed by nobody, to see what would be.
    #[arg(long, value_name = "FILE", conflicts_with = "charter")]
    pub(crate) members: Option<PathBuf>,

    /// The way out: release, taxii, misp, export, page, mail or log.
    #[arg(long, value_name = "EXIT", default_value = "release", value_parser = exit)]
    pub(crate) exit: Exit,

    /// The moment, as a STIX timestamp [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,

    /// As JSON, one line an object.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IntakeCommand {
    /// Say which objects would be used, which would wait for an analyst, and which are refused.
    ///
    /// Nothing is stored. Exit code 0: all accepted, 1: some not, 2: error.
    #[command(after_help = examples::INTAKE_CHECK)]
    Check {
        /// A file of objects; `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Own networks, domains, hosts and lists, as JSON [default: those of the data folder's member].
        #[arg(long, value_name = "FILE")]
        assets: Option<PathBuf>,

        #[command(flatten)]
        data: DataArgs,

        /// The moment, as a STIX timestamp [default: now].
        #[arg(long, value_name = "TIME")]
        at: Option<String>,

        /// As JSON, one line an object.
        #[arg(long)]
        json: bool,
    },
}

fn exit(text: &str) -> Result<Exit, String> {
    Exit::parse(text).ok_or_else(|| "it is one of release, taxii, misp, export, page, mail, log".to_owned())
}
