//! Files that are written whole or not at all, and never in the place of another unless told.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Who may read a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Its owner alone (0600).
    Owner,
    /// As any file that the user makes.
    Usual,
}

/// Writes beside the place, to the disk, then puts it there.
pub(super) fn write(path: &Path, text: &str, readers: Readers, replace: bool) -> Result<()> {
    let named = || format!("cannot write `{}`", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = beside(folder, readers).with_context(named)?;
    file.write_all(text.as_bytes()).with_context(named)?;
    file.as_file().sync_all().with_context(named)?;
    let put = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    match put {
        Ok(_) => sync_folder(folder).with_context(named),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("`{}` is there; give --force to replace it", path.display())
        }
        Err(error) => Err(error.error).with_context(named),
    }
}

fn beside(folder: &Path, readers: Readers) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".besa-");
    // A temporary file is its owner's alone from its first moment.
    #[cfg(unix)]
    if readers == Readers::Usual {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = readers;
    builder.tempfile_in(folder)
}

/// The name of a file is on the disk when its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
