//! What the node's commands share: opening the store, reading secrets, looking names up.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use besa_intel::{AuditEntry, Collection, Directory, Store, micros};
use besa_server::now;

use crate::cli::DataArgs;
use crate::terminal::{Terminal, visible};

/// Name of the store's file in the data folder.
const STORE_FILE: &str = "intel.sqlite";

impl DataArgs {
    /// The data folder; for PostgreSQL, the current one (certificates are kept there).
    pub(super) fn folder(&self) -> PathBuf {
        if self.is_postgres() { PathBuf::from("besa-data") } else { PathBuf::from(&self.data) }
    }

    /// The file of an embedded store.
    pub(super) fn file(&self) -> Result<PathBuf> {
        if self.is_postgres() {
            bail!("the store is in PostgreSQL; use its own tools (pg_dump) for that");
        }
        Ok(Path::new(&self.data).join(STORE_FILE))
    }

    /// Whether there is a store; a PostgreSQL one is taken to be there.
    pub(super) fn exists(&self) -> bool {
        self.is_postgres() || Path::new(&self.data).join(STORE_FILE).exists()
    }

    /// Opens the store, making it if there is none.
    pub(super) fn open(&self) -> Result<Arc<dyn Store>> {
        if self.is_postgres() {
            return Ok(Arc::new(besa_intel::open_postgres(&self.data)?));
        }
        let file = self.file()?;
        self.make_folder()?;
        Ok(Arc::new(besa_intel::open_sqlite(&file)?))
    }

    /// Opens a store that must be there.
    pub(crate) fn open_existing(&self) -> Result<Arc<dyn Store>> {
        if !self.is_postgres() && !self.file()?.exists() {
            bail!("there is no store in `{}`", self.data);
        }
        self.open()
    }

    /// Makes the data folder if there is none; only its owner may look into it.
    pub(super) fn make_folder(&self) -> Result<()> {
        let folder = self.folder();
        private_folder(&folder).with_context(|| format!("cannot make `{}`", folder.display()))
    }

    fn is_postgres(&self) -> bool {
        self.data.starts_with("postgres://") || self.data.starts_with("postgresql://")
    }
}

/// Makes a folder that only its owner may look into.
fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The first line of standard input.
pub(super) fn secret_from_stdin(what: &str) -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).with_context(|| format!("the {what} cannot be read"))?;
    let secret = line.trim_end_matches(['\r', '\n']).to_owned();
    if secret.is_empty() {
        bail!("there is no {what} on standard input");
    }
    Ok(secret)
}

/// A collection by id or alias.
pub(super) fn collection(directory: &Directory, name: &str) -> Result<Collection> {
    let mut found = directory
        .collections
        .iter()
        .filter(|collection| collection.id == name || collection.alias.as_deref() == Some(name));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => bail!("there is no collection `{name}`; `besa collection list` shows them"),
        _ => bail!("`{name}` is the alias of collections in several API roots; give the id"),
    }
}

/// Writes to the audit log what was done on the command line.
pub(super) fn log(store: &dyn Store, action: &str, target: &str) -> Result<()> {
    let actor = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    store.audit(vec![AuditEntry {
        at: micros(now()),
        actor,
        source: "command line".to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: "done".to_owned(),
    }])?;
    Ok(())
}

/// Prints a line to standard output; an error when nobody reads any more.
pub(super) fn say(line: impl std::fmt::Display) -> Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Tells people on standard error how it went.
pub(super) fn note(terminal: &Terminal, line: impl std::fmt::Display) {
    terminal.say(&format!("{}\n", visible(&line.to_string())));
}

/// Says on standard error what was not taken and why; also when quiet, since it is an error.
pub(super) fn refused(terminal: &Terminal, line: impl std::fmt::Display) {
    use std::io::Write;
    let line = visible(&line.to_string());
    writeln!(std::io::stderr().lock(), "{} {line}", terminal.err.red("refused")).ok();
}
