//! Arguments of the offline commands of the alliance: authority keys, charters, signed releases.

use std::path::PathBuf;

use besa_alliance::keys::is_fingerprint;
use besa_alliance::member::Digest;
use clap::{Args, Subcommand};

use super::examples;

/// Where a command writes, and whether it may replace what is there.
#[derive(Debug, Args)]
pub(crate) struct NewFile {
    /// The file to write; one that is there is left alone.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// Replace the file if it is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// An authority key and what opens it.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The sealed authority key.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,

    /// Read the passphrase from the first line of standard input.
    #[arg(long, required = true)]
    pub(crate) passphrase_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Make an authority key, sealed with a passphrase.
    ///
    /// The key speaks for the member: charters, certificates and revocations of node keys. Make it
    /// and keep it on a machine without network, with a copy elsewhere; the passphrase cannot be
    /// recovered. It has at least 12 characters. The file is readable for its owner alone.
    #[command(after_help = examples::AUTHORITY_KEYGEN)]
    Keygen {
        #[command(flatten)]
        file: NewFile,

        /// Read the passphrase from the first line of standard input.
        #[arg(long, required = true)]
        passphrase_stdin: bool,

        /// As JSON.
        #[arg(long)]
        json: bool,
    },

    /// Make a node key, which signs releases. The file is bare, and readable for its owner alone.
    #[command(after_help = examples::AUTHORITY_NODE_KEYGEN)]
    NodeKeygen {
        #[command(flatten)]
        file: NewFile,

        /// As JSON.
        #[arg(long)]
        json: bool,
    },

    /// Show the public key of a key file and its fingerprint, without the passphrase.
    #[command(after_help = examples::AUTHORITY_SHOW)]
    Show {
        /// An authority or node key file.
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// As JSON.
        #[arg(long)]
        json: bool,
    },

    /// Draft a statement that certifies or revokes node keys of one member, for its authority to sign.
    ///
    /// Between charters a member does this alone. The specification is JSON: `identity_ref`, and
    /// `certified` (each `node_key`, `valid_from`, `valid_until`) or `revocations` (each `node_key`,
    /// `revoked_from`, `compromised`, perhaps `heads`) or both.
    #[command(after_help = examples::AUTHORITY_STATEMENT)]
    Statement {
        /// The specification; `-` for standard input.
        #[arg(value_name = "SPEC.json")]
        spec: PathBuf,

        /// A charter of the alliance.
        #[arg(long, value_name = "FILE")]
        charter: PathBuf,

        #[command(flatten)]
        file: NewFile,

        /// When it is made, as a STIX timestamp [default: now].
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },

    /// Add this authority's signature to a charter, key statement or proof.
    ///
    /// Files only, no network. Look at what you sign first: `besa charter show`.
    #[command(after_help = examples::AUTHORITY_SIGN)]
    Sign {
        /// The charter, key statement or proof, signed by others or by nobody yet.
        #[arg(value_name = "OBJECT-FILE")]
        object: PathBuf,

        #[command(flatten)]
        key: KeyArgs,

        /// The file to write [default: standard output]; one that is there is left alone.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,

        /// Replace the file if it is there.
        #[arg(long, requires = "out")]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CharterCommand {
    /// Draft a first charter, for all its active members to sign.
    ///
    /// The specification is JSON: `name`, `members` (each `identity_ref`, `name`, `authority_key`;
    /// perhaps `nation`, `state`, `roles` of publisher and witness, `node_keys`), `quorum`, perhaps
    /// `limits`. Members are active unless they say another state; limits not given have the
    /// defaults that `besa charter show` shows. Times may be dates. docs/ALLIANCE.md has a whole one.
    #[command(after_help = examples::CHARTER_NEW)]
    New {
        /// The specification; `-` for standard input.
        #[arg(value_name = "SPEC.json")]
        spec: PathBuf,

        #[command(flatten)]
        file: NewFile,

        /// When it is made, as a STIX timestamp [default: now].
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },

    /// Draft the charter that follows another.
    ///
    /// The changes are JSON like the specification of `besa charter new`, with what changes only.
    /// Of a member named, the properties given replace those it has (lists as a whole; `null`
    /// takes one away); a member not named yet is added; so are groups; `revocations` are added. What no later
    /// charter may do is refused here already.
    #[command(after_help = examples::CHARTER_AMEND)]
    Amend {
        /// The changes; `-` for standard input.
        #[arg(value_name = "CHANGES.json")]
        changes: PathBuf,

        /// The charter in force.
        #[arg(long, value_name = "FILE")]
        charter: PathBuf,

        #[command(flatten)]
        file: NewFile,

        /// When it is made, as a STIX timestamp [default: now].
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },

    /// Put the signatures of several copies of one charter together.
    ///
    /// Copies of different charters, and signatures that are wrong, are refused.
    #[command(after_help = examples::CHARTER_MERGE)]
    Merge {
        /// The copies.
        #[arg(value_name = "FILE", required = true)]
        copies: Vec<PathBuf>,

        #[command(flatten)]
        file: NewFile,
    },

    /// Show a charter, a draft of one, or a key statement: what it says and who has signed it.
    ///
    /// That its chain is valid is for `besa charter verify` to say.
    #[command(after_help = examples::CHARTER_SHOW)]
    Show {
        /// The charter or key statement.
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// As JSON.
        #[arg(long)]
        json: bool,
    },

    /// Check a chain of charters from the first to the last, with key statements.
    ///
    /// The files may stand in any order. Exit code 0: valid, 1: not, with the reason by name, 2: error.
    #[command(after_help = examples::CHARTER_VERIFY)]
    Verify(ChainVerifyArgs),

    /// Check a signed release with its objects: who released them, and that they are unaltered.
    ///
    /// Checked: the chain of charters, the signature, that its key was the member's and not revoked,
    /// the member's role, the hash of each object, and that none is missing. Not checked: its place
    /// in the member's log, which takes the log.
    /// Exit code 0: valid, 1: not, with the reasons by name, 2: error.
    #[command(after_help = examples::CHARTER_CHECK_RELEASE)]
    CheckRelease(Box<ReleaseCheckArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ChainVerifyArgs {
    /// Charters and key statements.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// The fingerprint or hash of the first charter, as people have compared it.
    #[arg(long, value_name = "FINGERPRINT", value_parser = pin)]
    pub(crate) pin: Option<String>,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseCheckArgs {
    /// The signed release (or answer).
    #[arg(value_name = "ENTRY-FILE")]
    pub(crate) entry: PathBuf,

    /// Its objects: bundles, lists, or one object a line.
    #[arg(value_name = "OBJECTS")]
    pub(crate) objects: Vec<PathBuf>,

    /// Charters from the first on, and key statements.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) charter: Vec<PathBuf>,

    /// The fingerprint or hash of the first charter, as people have compared it.
    #[arg(long, value_name = "FINGERPRINT", value_parser = pin)]
    pub(crate) pin: Option<String>,

    /// The moment, as a STIX timestamp [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn pin(text: &str) -> Result<String, String> {
    if is_fingerprint(text) || Digest::parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("a fingerprint has eight groups of four characters, a hash 64 hexadecimal digits".to_owned())
}
