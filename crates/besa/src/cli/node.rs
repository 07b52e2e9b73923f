//! Arguments of the node: serving, who may do what, backup.

use std::net::SocketAddr;
use std::path::PathBuf;

use besa_intel::account::{Role, Scope};
use besa_intel::{Access, DEFAULT_ROOT};
use clap::{Args, Subcommand};

use super::examples;

/// Where the node's data lies.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Folder of the node's data, or a PostgreSQL address (postgres://user@host/database).
    #[arg(long, value_name = "DIR", default_value = "besa-data")]
    pub(crate) data: String,
}

/// Serve the store of intelligence over TAXII 2.1.
///
/// Listens until SIGTERM or Ctrl-C, then ends what is under way; exit code 0. As soon as it serves,
/// it writes its URL to standard output, and nothing else. Where other machines can reach it, it
/// speaks TLS, with a certificate of its own unless one is given. Users, tokens and collections may
/// be changed while it runs. The log goes to standard error; `BESA_LOG` chooses what (`info` unless
/// told, `error` with --quiet).
#[derive(Debug, Args)]
#[command(after_help = examples::SERVE)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6443")]
    pub(crate) listen: SocketAddr,

    /// Certificate chain (PEM). Without it the node makes its own where others can reach it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,

    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Names in the node's own certificate.
    #[arg(long, value_name = "NAME", default_values_t = [String::from("localhost")])]
    pub(crate) tls_name: Vec<String>,

    /// Use TLS on loopback too.
    #[arg(long)]
    pub(crate) tls: bool,

    /// Authorities (PEM) whose client certificates are taken.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,

    /// Plain HTTP although other machines can reach it; passwords and objects go in the clear.
    #[arg(long, conflicts_with_all = ["tls", "tls_certificate"])]
    pub(crate) insecure_http: bool,

    /// Title that TAXII clients see.
    #[arg(long, default_value = "Besa")]
    pub(crate) title: String,

    /// Whom TAXII clients shall write to.
    #[arg(long)]
    pub(crate) contact: Option<String>,

    /// Largest request body, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) body_mib: u64,

    /// Days that entries of the audit log are kept; 0 for ever. The log says what was cut.
    #[arg(long, value_name = "DAYS", default_value_t = 366)]
    pub(crate) audit_days: u32,

    /// Days that the status of a request is kept object by object.
    #[arg(long, value_name = "DAYS", default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) status_days: u32,

    /// Archive that is searched for what allies release [default: `archive` in the data folder].
    #[arg(long, value_name = "FOLDER|URL")]
    pub(crate) archive: Option<String>,

    /// Write the log as JSON lines.
    #[arg(long)]
    pub(crate) log_json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user.
    #[command(after_help = examples::USER_ADD)]
    Add {
        /// Name.
        name: String,

        /// What the user may do.
        #[arg(long, value_parser = role)]
        role: Role,

        /// Read the password from the first line of standard input.
        #[arg(long)]
        password_stdin: bool,

        /// Client certificate (PEM) by which the user logs in.
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,

        /// Whom the user stands for: a member's identity, or `public` for somebody outside of the
        /// charter. They get what the release policy lets out to them; without it the user is one of the
        /// node's own and reads everything in the collections they may read.
        #[arg(long, value_name = "ID|public")]
        member: Option<String>,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Change a user.
    Set {
        /// Name.
        name: String,

        /// New role.
        #[arg(long, value_parser = role)]
        role: Option<Role>,

        /// Read a new password from the first line of standard input.
        #[arg(long)]
        password_stdin: bool,

        /// New client certificate (PEM).
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,

        /// Whom the user stands for from now on: a member's identity, or `public`.
        #[arg(long, value_name = "ID|public")]
        member: Option<String>,

        /// Make the user one of the node's own: they read everything in the collections they may read.
        #[arg(long, conflicts_with = "member")]
        no_member: bool,

        /// Let the user in no more.
        #[arg(long, conflicts_with = "enable")]
        disable: bool,

        /// Let the user in again.
        #[arg(long)]
        enable: bool,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Delete a user with tokens and rights.
    Remove {
        /// Name.
        name: String,

        #[command(flatten)]
        data: DataArgs,
    },

    /// List users.
    List {
        /// As JSON, an object a line.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, once.
    #[command(after_help = examples::TOKEN_ADD)]
    Add {
        /// Whose.
        user: String,

        /// What for, to tell tokens apart.
        #[arg(long, default_value = "")]
        label: String,

        /// What it allows at most: ro, wo or rw.
        #[arg(long, default_value = "ro", value_parser = scope)]
        scope: Scope,

        /// Only for this collection (id or alias).
        #[arg(long)]
        collection: Option<String>,

        /// Days until it ends; 0 for never.
        #[arg(long, default_value_t = 90)]
        days: u32,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Delete a token by its id.
    Remove {
        /// The part between the underscores.
        id: String,

        #[command(flatten)]
        data: DataArgs,
    },

    /// List tokens, not their secrets.
    List {
        /// As JSON, an object a line.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CollectionCommand {
    /// Add a collection and print it.
    #[command(after_help = examples::COLLECTION_ADD)]
    Add {
        /// Title.
        #[arg(long)]
        title: String,

        /// A second name for URLs.
        #[arg(long)]
        alias: Option<String>,

        /// Description.
        #[arg(long)]
        description: Option<String>,

        /// API root; made if there is none of that name.
        #[arg(long, default_value = DEFAULT_ROOT)]
        root: String,

        /// Who may do what, e.g. ana=rw; may be given again.
        #[arg(long, value_name = "USER=rw|ro|wo|none", value_parser = grant)]
        access: Vec<(String, Access)>,

        /// A UUID of one's own choice.
        #[arg(long, value_name = "UUID")]
        id: Option<String>,

        /// Print the id only.
        #[arg(long)]
        id_only: bool,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Say who may do what.
    Access {
        /// Id or alias.
        collection: String,

        /// Who may do what; may be given again.
        #[arg(value_name = "USER=rw|ro|wo|none", value_parser = grant, required = true)]
        access: Vec<(String, Access)>,

        #[command(flatten)]
        data: DataArgs,
    },

    /// List collections.
    List {
        /// As JSON, an object a line.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy the store, which may be in use, into a new file.
    Make {
        /// The new file.
        file: PathBuf,

        #[command(flatten)]
        data: DataArgs,
    },

    /// Put a copy in the place of a store that is not there (move the old one away first).
    Restore {
        /// The copy.
        file: PathBuf,

        #[command(flatten)]
        data: DataArgs,
    },
}

/// Read the audit log: every access and change, oldest first.
///
/// Exit code 0: entries printed, 1: none, 2: error.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only entries with a greater number, to go on where one stopped.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u64,

    /// Only entries of this user.
    #[arg(long)]
    pub(crate) actor: Option<String>,

    /// Most entries printed.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) limit: usize,

    /// As JSON, an object a line.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "it is one of reader, contributor, analyst, administrator".to_owned())
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "it is one of ro, wo, rw".to_owned())
}

fn grant(text: &str) -> Result<(String, Access), String> {
    let form = || "it has the form USER=rw, USER=ro, USER=wo or USER=none".to_owned();
    let (user, access) = text.split_once('=').ok_or_else(form)?;
    Ok((user.to_owned(), Access::parse(access).ok_or_else(form)?))
}
