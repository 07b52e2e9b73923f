//! A folder.
//!
//! Invariants:
//! - An object is written beside its place, synced, and linked to its name, which fails if the
//!   name is taken: nobody ever sees half of it, and of two writers one creates it.
//! - What was put is durable after `persist`: the file and every folder up to the archive's own
//!   are synced. A commit persists all it speaks of before its manifest version is created.
//! - `LOCK` is held by the one writer, `READERS` is shared by all readers and taken whole only by
//!   who deletes. The system frees both when a process dies.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
#[cfg(not(unix))]
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::Listed;
use crate::error::{Error, Result};

/// Threads that sync many small files: the disk's own queue makes one wait for all of them.
const SYNC_THREADS: usize = 8;
/// Folder of what is being written.
const TEMPORARY: &str = "tmp";

#[derive(Debug)]
pub(super) struct Local {
    root: PathBuf,
    temporaries: AtomicU64,
}

/// Held by the one writer of an archive.
#[derive(Debug)]
pub(crate) struct WriteLock {
    _file: File,
}

impl Local {
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), temporaries: AtomicU64::new(0) }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether the folder is empty or does not exist yet.
    pub(super) fn is_vacant(&self) -> Result<bool> {
        match fs::read_dir(&self.root) {
            // What is being written when an archive is made.
            Ok(mut entries) => {
                Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == TEMPORARY)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Error::store(self.root.display().to_string(), error)),
        }
    }

    pub(super) fn lock(&self) -> Result<WriteLock> {
        let file = self.lock_file("LOCK")?;
        match file.try_lock() {
            Ok(()) => {
                // Whatever a writer that died left behind.
                let _ = fs::remove_dir_all(self.at(TEMPORARY));
                Ok(WriteLock { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(Error::Busy),
            Err(TryLockError::Error(error)) => Err(Error::store("LOCK", error)),
        }
    }

    pub(super) fn reading(&self) -> Result<Option<File>> {
        // An archive that cannot be written to has no lock to share, and nobody who deletes.
        let Ok(file) = self.lock_file("READERS") else { return Ok(None) };
        file.lock_shared().map_err(|error| Error::store("READERS", error))?;
        Ok(Some(file))
    }

    pub(super) fn nobody_reads(&self) -> Result<Option<File>> {
        let file = self.lock_file("READERS")?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::store("READERS", error)),
        }
    }

    fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.at(name);
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| Error::store(path.display().to_string(), error))
    }

    pub(super) fn create(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        let refused = |error: io::Error| Error::store(path, error);
        let target = self.at(path);
        let temporary = self.write_temporary(bytes).map_err(refused)?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(refused)?;
        }
        let linked = fs::hard_link(&temporary, &target);
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => {
                self.sync_folders([target.as_path()].into_iter()).map_err(refused)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(refused(error)),
        }
    }

    fn write_temporary(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let folder = self.at(TEMPORARY);
        fs::create_dir_all(&folder)?;
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}", std::process::id()));
        let mut file = File::create(&path)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.map(|()| path)
    }

    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let target = self.at(path);
        let write = || {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = create_or_replace(&target)?;
            file.write_all(bytes).inspect_err(|_| {
                let _ = fs::remove_file(&target);
            })
        };
        write().map_err(|error| Error::store(path, error))
    }

    pub(super) fn put_with<T>(
        &self,
        path: &str,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<T>,
    ) -> Result<T> {
        let target = self.at(path);
        let refused = |error: io::Error| Error::store(path, error);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(refused)?;
        }
        let mut file = BufWriter::with_capacity(1 << 16, create_or_replace(&target).map_err(refused)?);
        let written = write(&mut file).and_then(|made| file.flush().map(|()| made).map_err(refused));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&target);
        })
    }

    pub(super) fn persist(&self, paths: &[&str]) -> Result<()> {
        let share = paths.len().div_ceil(SYNC_THREADS).max(1);
        std::thread::scope(|scope| {
            let hands: Vec<_> =
                paths.chunks(share).map(|part| scope.spawn(|| self.sync_files(part))).collect();
            hands.into_iter().try_for_each(|hand| {
                hand.join().unwrap_or_else(|_| Err(Error::Invalid("a thread that syncs files ended".into())))
            })
        })?;
        let full: Vec<PathBuf> = paths.iter().map(|path| self.at(path)).collect();
        self.sync_folders(full.iter().map(PathBuf::as_path)).map_err(|error| Error::store("", error))
    }

    fn sync_files(&self, paths: &[&str]) -> Result<()> {
        paths.iter().try_for_each(|path| {
            File::open(self.at(path))
                .and_then(|file| file.sync_all())
                .map_err(|error| Error::store(*path, error))
        })
    }

    /// Syncs the folders of files, up to the archive's own and the one that holds it.
    fn sync_folders<'a>(&self, files: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for file in files {
            let inside = file.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root));
            folders.extend(inside.map(Path::to_path_buf));
        }
        folders.extend(self.root.canonicalize()?.parent().map(Path::to_path_buf));
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    pub(super) fn get(&self, path: &str) -> Result<Bytes> {
        fs::read(self.at(path)).map(Bytes::from).map_err(|error| missing_or(path, &error))
    }

    pub(super) fn open(&self, path: &str) -> Result<(File, u64)> {
        let open = || {
            let file = File::open(self.at(path))?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        open().map_err(|error| missing_or(path, &error))
    }

    pub(super) fn len(&self, path: &str) -> Result<u64> {
        fs::metadata(self.at(path)).map(|data| data.len()).map_err(|error| missing_or(path, &error))
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let mut folders = vec![prefix.trim_end_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.at(&folder)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::store(folder, error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| Error::store(&folder, error))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                match entry.metadata() {
                    Ok(data) if data.is_dir() => folders.push(path),
                    Ok(data) => found.push(Listed { path, bytes: data.len(), modified: modified(&data) }),
                    // Deleted meanwhile.
                    Err(_) => {}
                }
            }
        }
        Ok(found)
    }

    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let target = self.at(path);
        match fs::remove_file(&target) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::store(path, error)),
            _ => {
                // Folders of partitions that are empty now go with them; others refuse.
                let inside = target.ancestors().skip(1).take_while(|folder| *folder != self.root);
                for folder in inside {
                    if fs::remove_dir(folder).is_err() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Opens a file that no manifest names. One of that name is the rest of a writer that died at the
/// same place.
fn create_or_replace(target: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(target)
}

/// Reads `len` bytes from `start`, whatever the file's position.
pub(super) fn read_at(file: &File, start: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    #[cfg(unix)]
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, start)?;
    #[cfg(not(unix))]
    {
        let mut file = file;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
    }
    Ok(Bytes::from(bytes))
}

fn missing_or(path: &str, error: &io::Error) -> Error {
    if error.kind() == ErrorKind::NotFound {
        Error::Missing(path.to_owned())
    } else {
        Error::store(path, error)
    }
}

fn modified(data: &fs::Metadata) -> i64 {
    let since = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        // The folder that holds the archive may be closed to us.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Other systems have no handle of a folder that could be synced.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
