//! Arguments of `besa alliance`: what a member's people do with its node.

use std::path::PathBuf;

use besa_alliance::member::MemberId;
use besa_node::settings::Answers;
use clap::{Args, Subcommand, ValueEnum};

use super::{DataArgs, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum AllianceCommand {
    Join(Box<JoinArgs>),
    Welcome(WelcomeArgs),
    Peer(Box<AllyArgs>),
    Update(UpdateArgs),
    Release(SendArgs),
    Picture(PictureArgs),
    Status(StatusArgs),
    /// Objects of allies that wait for an analyst.
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Answers to allies that wait for an analyst.
    #[command(subcommand)]
    Answers(AnswersCommand),
}

/// Make this data folder the node of a member.
///
/// The charter's files are verified from the first on, whose fingerprint people have compared. The
/// node key is copied; the authority key stays offline.
#[derive(Debug, Args)]
#[command(after_help = examples::ALLIANCE_JOIN)]
pub(crate) struct JoinArgs {
    /// Charters and key statements, in any order.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) chain: Vec<PathBuf>,

    /// Fingerprint or hash of the first charter.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) pin: String,

    /// The member's identity.
    #[arg(long = "as", value_name = "MEMBER", value_parser = MemberId::parse)]
    pub(crate) member: MemberId,

    /// The node key, as `besa authority node-keygen` wrote it.
    #[arg(long, value_name = "FILE")]
    pub(crate) node_key: PathBuf,

    /// Who confirms answers to allies.
    #[arg(long, value_enum, default_value = "automatic")]
    pub(crate) answers: AnswersRule,

    /// Own networks, domains, hosts and lists, as JSON (see `besa intake check`).
    #[arg(long, value_name = "FILE")]
    pub(crate) assets: Option<PathBuf>,

    /// Objects that one ally may have searched for in an hour.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) objects_per_hour: u64,

    /// GiB of the archive that one question of an ally may have read.
    ///
    /// What the index answers costs none of it. What lies beyond is not searched, and the answer
    /// says so.
    #[arg(long, value_name = "GIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) question_gib: u32,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswersRule {
    /// They go at once.
    Automatic,
    /// An analyst confirms each.
    Confirmed,
}

impl From<AnswersRule> for Answers {
    fn from(rule: AnswersRule) -> Self {
        match rule {
            AnswersRule::Automatic => Self::Automatic,
            AnswersRule::Confirmed => Self::Confirmed,
        }
    }
}

/// Make an account for an ally's node and print its token, for the ally's `besa alliance peer`.
///
/// The account may write to the inbox of that ally and read what is for it, nothing else. A token
/// is good for a year; a new one can be made at any time.
#[derive(Debug, Args)]
pub(crate) struct WelcomeArgs {
    /// The ally's identity.
    #[arg(value_name = "MEMBER", value_parser = MemberId::parse)]
    pub(crate) member: MemberId,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Say where an ally's node is, and how to log in there. A running node takes it at once.
#[derive(Debug, Args)]
#[command(after_help = examples::ALLIANCE_PEER)]
pub(crate) struct AllyArgs {
    /// The ally's identity.
    #[arg(value_name = "MEMBER", value_parser = MemberId::parse)]
    pub(crate) member: MemberId,

    /// URL of its API root, e.g. `https://ally.example:6443/api/`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,

    /// Read the token that the ally made for us from standard input.
    #[arg(long)]
    pub(crate) token_stdin: bool,

    /// Certificates (PEM) to trust for it, e.g. the ally's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Our client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,

    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Take newer charters and key statements; a running node sees them, and passes them on.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Files, in any order.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) chain: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Release objects of the store to allies.
///
/// Each is judged for each recipient; what stays is said, with the reason. The release is signed and
/// durable when this returns; the running node delivers it.
/// Exit code 0: all goes to all, 1: something stays, 2: error.
#[derive(Debug, Args)]
#[command(after_help = examples::ALLIANCE_RELEASE)]
pub(crate) struct SendArgs {
    /// Ids of objects in the store.
    #[arg(value_name = "ID", required = true)]
    pub(crate) objects: Vec<String>,

    /// Members to release to, by identity [default: all active members].
    #[arg(long, value_name = "MEMBER", value_parser = MemberId::parse)]
    pub(crate) to: Vec<MemberId>,

    /// Wait so many seconds for everybody's answer, then show the picture.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Show who received a release, who used it, who was hit, and who is late.
#[derive(Debug, Args)]
pub(crate) struct PictureArgs {
    /// Id of the release (besa-release--…).
    #[arg(value_name = "RELEASE")]
    pub(crate) release: String,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Show the members, their logs as this node has them, and the breaches proved.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// What waits, from whom, and why.
    List {
        /// As JSON, one line an object.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        data: DataArgs,
    },
    /// Use an object after all, in this version; it is searched for at once.
    Release(DecideArgs),
    /// Never use an object, in whatever version.
    Deny(DecideArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The object's id.
    #[arg(value_name = "ID")]
    pub(crate) object: String,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: String,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AnswersCommand {
    /// What would be answered.
    List {
        /// As JSON, one line an answer.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        data: DataArgs,
    },
    /// Sign an answer and send it.
    Confirm {
        /// Hash of the release, as listed.
        #[arg(value_name = "RELEASE-HASH")]
        release: String,

        #[command(flatten)]
        data: DataArgs,
    },
    /// Throw an answer away.
    Drop {
        /// Hash of the release, as listed.
        #[arg(value_name = "RELEASE-HASH")]
        release: String,

        #[command(flatten)]
        data: DataArgs,
    },
}
