//! Arguments of the commands about the store of intelligence and its exchange.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DataArgs, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum IntelCommand {
    /// Take in bundles, envelopes, lists or JSON lines.
    ///
    /// Each object is kept as received. Exit code 0: all taken, 1: some refused or in conflict
    /// with what is there, 2: error.
    #[command(after_help = examples::INTEL_IMPORT)]
    Import {
        /// Files; `-` for standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,

        /// List the objects in this collection too (id or alias).
        #[arg(long)]
        collection: Option<String>,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Write a bundle of a collection, or of everything.
    Export {
        /// Only this collection (id or alias).
        #[arg(long)]
        collection: Option<String>,

        /// Every version, not only the latest of a collection.
        #[arg(long)]
        all_versions: bool,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Print an object as it was received.
    ///
    /// Exit code 0: found, 1: not there, 2: error.
    // `--version` is the object's here, not the program's.
    #[command(disable_version_flag = true)]
    Get {
        /// Id.
        id: String,

        /// Version, as a timestamp.
        #[arg(long)]
        version: Option<String>,

        /// Every version with who sent it and when.
        #[arg(long, conflicts_with = "version")]
        history: bool,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Find objects, one a line.
    ///
    /// Exit code 0: found, 1: none, 2: error.
    #[command(after_help = examples::INTEL_SEARCH)]
    Search {
        /// Words that all occur.
        words: Option<String>,

        /// An observable value, however it is spelt.
        #[arg(long, conflicts_with = "words")]
        value: Option<String>,

        /// Objects that refer to this id.
        #[arg(long, conflicts_with_all = ["words", "value"])]
        references: Option<String>,

        /// Objects of this type.
        #[arg(long = "type", conflicts_with_all = ["words", "value", "references"])]
        object_type: Option<String>,

        /// Most objects printed.
        #[arg(long, default_value_t = 100)]
        limit: usize,

        #[command(flatten)]
        data: DataArgs,
    },
}

/// How to reach and trust a server, and who one is there.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// User name there; the password comes from --password-stdin or BESA_TAXII_PASSWORD.
    #[arg(long)]
    pub(crate) user: Option<String>,

    /// Read the password (or, without --user, a token) from the first line of standard input.
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Authorities to trust (PEM), in place of the usual ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Our client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,

    /// Key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaxiiCommand {
    /// List what a server offers.
    Ls {
        /// Discovery URL, e.g. `https://node.example/taxii2/`
        url: String,

        /// As JSON, one line a collection.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        peer: PeerArgs,
    },

    /// Pull what is new in a server's collection.
    ///
    /// The next pull goes on where this one ended. Exit code 0: all taken, 1: some refused,
    /// 2: error.
    #[command(after_help = examples::TAXII_PULL)]
    Pull {
        /// Collection URL, e.g. `https://node.example/api/collections/feed/`
        url: String,

        /// List the objects in this collection of ours (id or alias).
        #[arg(long)]
        collection: Option<String>,

        #[command(flatten)]
        peer: PeerArgs,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Push what is new in a collection of ours, or a file.
    ///
    /// Exit code 0: all taken, 1: some refused, 2: error.
    Push {
        /// Collection URL.
        url: String,

        /// Our collection (id or alias).
        #[arg(long, conflicts_with = "file")]
        collection: Option<String>,

        /// A bundle, list or JSON lines.
        #[arg(long)]
        file: Option<PathBuf>,

        #[command(flatten)]
        peer: PeerArgs,

        #[command(flatten)]
        data: DataArgs,
    },
}
