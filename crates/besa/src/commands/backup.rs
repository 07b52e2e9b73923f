//! `besa backup`: a whole copy of the store while it is in use, and back again.

use anyhow::{Result, bail};

use super::node::note;
use crate::cli::BackupCommand;
use crate::terminal::Terminal;

pub(super) fn run(command: &BackupCommand, terminal: &Terminal) -> Result<u8> {
    match command {
        BackupCommand::Make { file, data } => {
            besa_intel::backup_sqlite(&data.file()?, file)?;
            note(terminal, format_args!("`{}` is a whole copy", file.display()));
        }
        BackupCommand::Restore { file, data } => {
            let target = data.file()?;
            if target.exists() {
                bail!("`{}` is there; stop the node and move it away first", target.display());
            }
            data.make_folder()?;
            besa_intel::backup_sqlite(file, &target)?;
            // Opening checks that it is a store of ours, and migrates it.
            let store = data.open()?;
            let commits = store.last_commit()?;
            note(terminal, format_args!("restored up to commit {commits}"));
        }
    }
    Ok(0)
}
