//! An archive as a reader or as its one writer sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use besa_event::Timestamp;

use crate::entry::{FileEntry, FileNumber};
use crate::error::{Error, Result};
use crate::index::Observe;
use crate::ingest::{Ingest, IngestOptions};
use crate::manifest::{Action, Log, Manifest};
use crate::store::{Store, WriteLock};

/// Says that a folder or prefix is an archive, so that nobody's other files are ever collected.
const MARKER: &str = "besa-archive.json";
/// In a bucket, objects that no manifest names are deleted after this age: longer than any
/// reader or writer works. ns.
const ORPHAN_AGE: i64 = 7 * 86_400 * 1_000_000_000;

/// A reader of one version of an archive.
#[derive(Debug)]
pub struct Archive {
    store: Store,
    manifest: Manifest,
    /// While it is held, nothing is deleted from a folder.
    _reading: Option<std::fs::File>,
}

/// The one writer of an archive.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    log: Log,
    manifest: Manifest,
    observe: Option<Arc<dyn Observe>>,
    _lock: Option<WriteLock>,
}

impl Archive {
    /// Opens the newest version for reading.
    ///
    /// # Errors
    /// [`Error::NoArchive`] if there is none.
    pub fn open(url: &str) -> Result<Self> {
        Self::open_store(&Store::new(url)?, url)
    }

    /// The same for a store.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_store(store: &Store, name: &str) -> Result<Self> {
        if !store.exists(MARKER)? {
            return Err(Error::NoArchive(name.to_owned()));
        }
        let reading = store.reading()?;
        let manifest = Log::new(store.clone()).load()?;
        Ok(Self { store: store.clone(), manifest, _reading: reading })
    }

    /// What it holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Which of these data files are not there, or not of the length that was written, each with the
    /// reason. They are not read: whoever lets the index answer for a file asks this.
    #[must_use]
    pub fn missing(&self, files: &[&FileEntry]) -> Vec<(FileNumber, String)> {
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let found = self.store.lengths(&paths);
        let reason = |(file, found): (&&FileEntry, Result<u64>)| match found {
            Ok(len) if len == file.bytes => None,
            Ok(len) => Some((file.number, format!("it has {len} bytes, {} were written", file.bytes))),
            Err(error) => Some((file.number, error.to_string())),
        };
        files.iter().zip(found).filter_map(reason).collect()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

impl Writer {
    /// Opens an archive for writing, or makes one where there is nothing. Files added without
    /// `observe` have no index until [`Writer::compact`] makes it.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process writes; [`Error::Invalid`] for a folder that holds
    /// something else.
    pub fn open(url: &str, observe: Option<Arc<dyn Observe>>) -> Result<Self> {
        Self::open_store(Store::new(url)?, url, observe)
    }

    /// The same for a store.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn open_store(store: Store, name: &str, observe: Option<Arc<dyn Observe>>) -> Result<Self> {
        if !store.exists(MARKER)? {
            if !store.is_vacant()? {
                return Err(Error::Invalid(format!("`{name}` holds something else; give an empty place")));
            }
            // Two who make it at once both find it made.
            store.create(MARKER, b"{\"besa_archive\":1}\n".to_vec())?;
        }
        let lock = store.lock()?;
        let log = Log::new(store.clone());
        let manifest = log.load()?;
        Ok(Self { store, log, manifest, observe, _lock: lock })
    }

    /// Starts an ingest.
    ///
    /// # Errors
    /// When the compression level does not exist.
    pub fn ingest(self, options: IngestOptions) -> Result<Ingest> {
        Ingest::new(self, options)
    }

    /// What the archive holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn observe(&self) -> Option<&Arc<dyn Observe>> {
        self.observe.as_ref()
    }

    /// A reader of the state that this writer knows.
    pub(crate) fn reader(&self) -> Archive {
        Archive { store: self.store.clone(), manifest: self.manifest.clone(), _reading: None }
    }

    pub(crate) fn commit(&mut self, actions: Vec<Action>) -> Result<()> {
        self.manifest = self.log.commit(&self.manifest, actions)?;
        Ok(())
    }

    /// Commits what `change` makes of the newest state; it is asked again when others were faster.
    pub(crate) fn commit_worked_out(
        &mut self,
        change: &mut dyn FnMut(&Manifest) -> Vec<Action>,
    ) -> Result<()> {
        self.manifest = self.log.commit_worked_out(&self.manifest, change)?;
        Ok(())
    }

    /// Deletes what no manifest names: files of writers that died, and files removed before. In
    /// a folder at once unless somebody reads; in a bucket after seven days. Returns how many.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn collect(&mut self, now: Timestamp) -> Result<u64> {
        let alone = self.store.nobody_reads()?;
        if self.store.is_local() && alone.is_none() {
            return Ok(0);
        }
        let files = self.manifest.files.values().map(|file| file.path.as_str());
        let named: BTreeSet<&str> = files.chain(self.manifest.runs.keys().map(String::as_str)).collect();
        let mut gone = 0;
        let there = [self.store.list("data")?, self.store.list("index")?].concat();
        // Deleted by a writer that died before it could say so.
        let listed: BTreeSet<&str> = there.iter().map(|found| found.path.as_str()).collect();
        let absent = self.manifest.removed.keys().filter(|path| !listed.contains(path.as_str()));
        let mut forgotten: Vec<Action> = absent.map(|path| Action::Forget { path: path.clone() }).collect();
        for found in there {
            let removed = self.manifest.removed.get(&found.path).copied();
            let since = removed.unwrap_or(found.modified);
            let old = alone.is_some() || now.0.saturating_sub(since) > ORPHAN_AGE;
            if !named.contains(found.path.as_str()) && old {
                self.store.delete(&found.path)?;
                gone += 1;
                forgotten.extend(removed.map(|_| Action::Forget { path: found.path }));
            }
        }
        drop(alone);
        if !forgotten.is_empty() {
            self.commit(forgotten)?;
        }
        Ok(gone)
    }
}
