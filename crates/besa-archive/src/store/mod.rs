//! Where an archive lies: a folder, or a prefix in an S3 bucket.
//!
//! Both do the same few things, synchronously: create an object if it is absent, put one, read
//! ranges, list, delete. The folder is driven by `std::fs`, not by `object_store`'s local
//! implementation, so that the order of writing, syncing and linking is in plain sight
//! (`store::local`); S3 goes through `object_store` (`store::remote`).

mod local;
mod remote;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use local::Local;
pub(crate) use local::WriteLock;
use remote::Remote;

use crate::error::{Error, Result};
use crate::index::ReadAt;

/// An archive's place.
#[derive(Clone, Debug)]
pub struct Store(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Local(Local),
    Remote(Remote),
}

/// An object that a listing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// When it was last written, by the store's clock, in ns since 1970.
    pub(crate) modified: i64,
}

/// An object that can be read in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    store: Store,
    path: String,
    file: Option<Arc<std::fs::File>>,
    len: u64,
}

impl Store {
    /// The place that `url` names: `s3://bucket/prefix` with the usual `AWS_…` variables of the
    /// environment, else a folder.
    ///
    /// # Errors
    /// When the URL or the environment make no sense.
    pub fn new(url: &str) -> Result<Self> {
        let kind = match url.split_once("://") {
            Some(("s3", _)) => Kind::Remote(Remote::s3(url)?),
            Some(("file", path)) => Kind::Local(Local::new(path)),
            Some((scheme, _)) => {
                return Err(Error::Invalid(format!(
                    "`{scheme}` is no place for an archive; give a folder or s3://bucket/prefix"
                )));
            }
            None => Kind::Local(Local::new(url)),
        };
        Ok(Self(Arc::new(kind)))
    }

    /// A place of `object_store`'s making, for stores that URLs do not name.
    #[must_use]
    pub fn object_store(store: Arc<dyn object_store::ObjectStore>, prefix: &str) -> Self {
        Self(Arc::new(Kind::Remote(Remote::new(store, prefix))))
    }

    /// Whether only this machine's processes write to it, which a lock can then keep apart.
    pub(crate) fn is_local(&self) -> bool {
        matches!(*self.0, Kind::Local(_))
    }

    /// Takes the lock of the one writer. Nothing is locked in a bucket: there the manifest's
    /// versions alone decide.
    pub(crate) fn lock(&self) -> Result<Option<WriteLock>> {
        match &*self.0 {
            Kind::Local(local) => local.lock().map(Some),
            Kind::Remote(_) => Ok(None),
        }
    }

    /// Tells that somebody reads, until the value is dropped.
    pub(crate) fn reading(&self) -> Result<Option<std::fs::File>> {
        match &*self.0 {
            Kind::Local(local) => local.reading(),
            Kind::Remote(_) => Ok(None),
        }
    }

    /// Whether nobody reads just now. Always false in a bucket, where it cannot be known.
    pub(crate) fn nobody_reads(&self) -> Result<Option<std::fs::File>> {
        match &*self.0 {
            Kind::Local(local) => local.nobody_reads(),
            Kind::Remote(_) => Ok(None),
        }
    }

    /// Creates an object unless it is there; durable and whole when this returns `true`.
    pub(crate) fn create(&self, path: &str, bytes: Vec<u8>) -> Result<bool> {
        match &*self.0 {
            Kind::Local(local) => local.create(path, &bytes),
            Kind::Remote(remote) => remote.create(path, bytes),
        }
    }

    /// Writes a new object; durable only after [`Store::persist`].
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        match &*self.0 {
            Kind::Local(local) => local.put(path, &bytes),
            Kind::Remote(remote) => remote.put(path, bytes),
        }
    }

    /// The same for an object that `write` makes bit by bit. Returns its size and its SHA-256 in
    /// hexadecimal.
    pub(crate) fn put_with(
        &self,
        path: &str,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<(u64, String)> {
        match &*self.0 {
            Kind::Local(local) => local.put_with(path, &mut |file| {
                let mut hashing = Hashing::new(file);
                write(&mut hashing)?;
                Ok(hashing.finish())
            }),
            Kind::Remote(remote) => remote.put_with(path, &mut |parts| {
                let mut hashing = Hashing::new(parts);
                write(&mut hashing)?;
                Ok(hashing.finish())
            }),
        }
    }

    /// Makes objects durable that were put.
    pub(crate) fn persist(&self, paths: &[&str]) -> Result<()> {
        match &*self.0 {
            Kind::Local(local) => local.persist(paths),
            Kind::Remote(_) => Ok(()),
        }
    }

    /// Reads a whole object.
    pub(crate) fn get(&self, path: &str) -> Result<Bytes> {
        match &*self.0 {
            Kind::Local(local) => local.get(path),
            Kind::Remote(remote) => remote.get(path, None),
        }
    }

    /// Opens an object for reading in pieces.
    pub(crate) fn open(&self, path: &str) -> Result<Blob> {
        let (file, len) = match &*self.0 {
            Kind::Local(local) => {
                let (file, len) = local.open(path)?;
                (Some(Arc::new(file)), len)
            }
            Kind::Remote(remote) => (None, remote.len(path)?),
        };
        Ok(Blob { store: self.clone(), path: path.to_owned(), file, len })
    }

    /// Lengths of data files, in the order of the paths.
    pub(crate) fn lengths(&self, paths: &[&str]) -> Vec<Result<u64>> {
        match &*self.0 {
            Kind::Local(local) => paths.iter().map(|path| local.len(path)).collect(),
            Kind::Remote(remote) => remote.lengths(paths),
        }
    }

    /// Objects whose paths begin with the folder `prefix`, in no order.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        match &*self.0 {
            Kind::Local(local) => local.list(prefix),
            Kind::Remote(remote) => remote.list(prefix),
        }
    }

    /// Deletes an object; one that is not there is no error.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        match &*self.0 {
            Kind::Local(local) => local.delete(path),
            Kind::Remote(remote) => remote.delete(path),
        }
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_vacant(&self) -> Result<bool> {
        match &*self.0 {
            Kind::Local(local) => local.is_vacant(),
            Kind::Remote(remote) => Ok(remote.list("")?.is_empty()),
        }
    }

    /// Whether an object is there.
    pub(crate) fn exists(&self, path: &str) -> Result<bool> {
        match self.open(path) {
            Ok(_) => Ok(true),
            Err(Error::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Counts and hashes what is written.
struct Hashing<'w> {
    out: &'w mut dyn Write,
    len: u64,
    hash: Sha256,
}

impl<'w> Hashing<'w> {
    fn new(out: &'w mut dyn Write) -> Self {
        Self { out, len: 0, hash: Sha256::new() }
    }

    fn finish(self) -> (u64, String) {
        (self.len, hexadecimal(&self.hash.finalize()))
    }
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl ReadAt for Blob {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Cow<'_, [u8]>> {
        self.range(offset, len).map(|bytes| Cow::Owned(bytes.to_vec())).map_err(io::Error::other)
    }
}

impl Blob {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `len` bytes from `start`.
    pub(crate) fn range(&self, start: u64, len: usize) -> Result<Bytes> {
        let end = start.checked_add(len as u64);
        if end.is_none_or(|end| end > self.len) {
            let reason = format!("{len} bytes at {start} asked for, it has {}", self.len);
            return Err(Error::damaged(&self.path, reason));
        }
        match (&self.file, &*self.store.0) {
            (Some(file), _) => {
                local::read_at(file, start, len).map_err(|error| Error::store(&self.path, error))
            }
            (None, Kind::Remote(remote)) => remote.get(&self.path, Some(start..start + len as u64)),
            (None, Kind::Local(_)) => Err(Error::Missing(self.path.clone())),
        }
    }
}
