//! A prefix in an object store, driven synchronously.
//!
//! An object is visible only when it is whole; creating one if absent is the store's own
//! condition (`If-None-Match: *`, which S3 has since 2024). One thread of a small runtime waits
//! for the network.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
};
use tokio::runtime::Runtime;

use super::Listed;
use crate::error::{Error, Result};

/// Bytes of a part of an upload. S3 takes 10,000 parts of at least 5 MiB.
const PART_LEN_BYTES: usize = 8 << 20;

/// Objects that are asked for one by one rather than listed, at most.
const ASKED_ALONE_MAX: usize = 32;
/// Requests that are under way at the same time.
const REQUESTS_MAX: usize = 16;
/// Objects of one answer to a listing.
const LISTED_AT_ONCE: usize = 1_000;

pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Present until it is dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} under `{}`", self.store, self.prefix)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime within another one is not allowed; this way it is.
            runtime.shutdown_background();
        }
    }
}

/// Takes bytes and sends them on in parts; fewer than one part are put at once.
struct Parts<'r> {
    remote: &'r Remote,
    path: &'r str,
    at: &'r Path,
    part: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Parts<'_> {
    fn send(&mut self) -> Result<()> {
        let Self { remote, path, at, part, upload } = self;
        let mut begun = match upload.take() {
            Some(begun) => begun,
            None => remote.wait(path, async { remote.store.put_multipart(at).await })?,
        };
        let sent = remote.wait(path, begun.put_part(std::mem::take(part).into()));
        *upload = Some(begun);
        sent
    }

    fn finish(&mut self) -> Result<()> {
        if self.upload.is_none() {
            return self.remote.put(self.path, std::mem::take(&mut self.part));
        }
        if !self.part.is_empty() {
            self.send()?;
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        self.remote.wait(self.path, async { upload.complete().await.map(|_| ()) })?;
        self.upload = None;
        Ok(())
    }
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART_LEN_BYTES {
            self.send().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Remote {
    pub(super) fn s3(url: &str) -> Result<Self> {
        // Whoever installed a provider before us has the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let rest = url.strip_prefix("s3://").unwrap_or(url);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .build()
            .map_err(|error| Error::Invalid(format!("cannot use `{url}`: {error}")))?;
        Ok(Self::new(Arc::new(store), prefix))
    }

    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().ok();
        Self { store, prefix: Path::from(prefix), runtime }
    }

    fn at(&self, path: &str) -> Path {
        Path::from(format!("{}/{path}", self.prefix).trim_matches('/'))
    }

    fn wait<T>(&self, path: &str, work: impl Future<Output = object_store::Result<T>>) -> Result<T> {
        let runtime = self.runtime.as_ref().ok_or_else(|| Error::store(path, "no thread for the network"))?;
        runtime.block_on(work).map_err(|error| match error {
            object_store::Error::NotFound { .. } => Error::Missing(path.to_owned()),
            error => Error::store(path, error),
        })
    }

    pub(super) fn create(&self, path: &str, bytes: Vec<u8>) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let (at, bytes) = (self.at(path), Bytes::from(bytes));
        self.wait(path, async {
            match self.store.put_opts(&at, bytes.clone().into(), options).await {
                Ok(_) => Ok(true),
                // Whose answer was lost is asked again by the store's client, and finds what it made
                // itself. Versions of two writers are never alike: each says when, and of which files.
                Err(object_store::Error::AlreadyExists { .. }) => {
                    Ok(self.store.get(&at).await?.bytes().await? == bytes)
                }
                Err(error) => Err(error),
            }
        })
    }

    pub(super) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let at = self.at(path);
        self.wait(path, async { self.store.put(&at, bytes.into()).await.map(|_| ()) })
    }

    /// Uploads what `write` makes part by part, so that memory holds one part. What was begun and not
    /// completed is never visible; it is given up where the store answers.
    pub(super) fn put_with<T>(
        &self,
        path: &str,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<T>,
    ) -> Result<T> {
        let at = self.at(path);
        let mut parts = Parts { remote: self, path, at: &at, part: Vec::new(), upload: None };
        let written = write(&mut parts).and_then(|made| parts.finish().map(|()| made));
        if let (Err(_), Some(mut upload)) = (&written, parts.upload.take()) {
            // The store forgets unfinished uploads by its own rules otherwise.
            let _ = self.wait(path, async { upload.abort().await });
        }
        written
    }

    pub(super) fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let at = self.at(path);
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        self.wait(path, async { self.store.get_opts(&at, options).await?.bytes().await })
    }

    pub(super) fn len(&self, path: &str) -> Result<u64> {
        let at = self.at(path);
        self.wait(path, async { self.store.head(&at).await.map(|found| found.size) })
    }

    /// Lengths of objects in the folder `data`, in the order of the paths.
    ///
    /// Few are asked for one by one, many by listings, all of them at the same time. A listing names
    /// objects in the order of their paths, a thousand in an answer, so that each may begin before its
    /// own share of the paths and end behind it. What a store without that order does not show there
    /// is asked for once more.
    pub(super) fn lengths(&self, paths: &[&str]) -> Vec<Result<u64>> {
        let known = self.lengths_by_path(paths);
        let len = |path: &&str| match &known {
            Ok(known) => known.get(*path).copied().ok_or_else(|| Error::Missing((*path).to_owned())),
            Err(error) => Err(Error::store(*path, error)),
        };
        paths.iter().map(len).collect()
    }

    /// The same by path, without those that are not there.
    fn lengths_by_path(&self, paths: &[&str]) -> Result<HashMap<String, u64>> {
        let mut sorted = paths.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut known = match sorted.len() > ASKED_ALONE_MAX {
            true => self.wait("data", self.list_shares(&sorted))?,
            false => HashMap::new(),
        };
        let rest: Vec<&str> = sorted.into_iter().filter(|path| !known.contains_key(*path)).collect();
        if rest.len() > ASKED_ALONE_MAX * REQUESTS_MAX {
            known.extend(self.list("data")?.into_iter().map(|object| (object.path, object.bytes)));
        } else {
            let found = rest.iter().zip(self.wait("data", self.heads(&rest))?);
            known.extend(found.filter_map(|(path, len)| Some(((*path).to_owned(), len?))));
        }
        Ok(known)
    }

    /// Lengths of objects, each asked for by itself; `None` of one that is not there.
    async fn heads(&self, paths: &[&str]) -> object_store::Result<Vec<Option<u64>>> {
        let asked = paths.iter().map(|path| self.at(path));
        let answers = asked.map(|at| async move {
            match self.store.head(&at).await {
                Ok(found) => Ok(Some(found.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        stream::iter(answers).buffered(REQUESTS_MAX).try_collect().await
    }

    /// Lengths by path of what listings show of these paths, which are sorted.
    async fn list_shares(&self, sorted: &[&str]) -> object_store::Result<HashMap<String, u64>> {
        let shares = (sorted.len() / LISTED_AT_ONCE).clamp(1, REQUESTS_MAX);
        let folder = self.at("data");
        let before = |path: &str| self.at(path.get(..path.len().saturating_sub(1)).unwrap_or_default());
        let listings = sorted.chunks(sorted.len().div_ceil(shares).max(1)).map(|share| {
            let first = share.first().map(|path| before(path)).unwrap_or_default();
            let last = share.last().map(|path| self.at(path)).unwrap_or_default();
            let mut objects = self.store.list_with_offset(Some(&folder), &first);
            async move {
                let mut found = Vec::new();
                while let Some(object) = objects.try_next().await? {
                    if object.location > last {
                        break;
                    }
                    found.push(object);
                }
                Ok::<_, object_store::Error>(found)
            }
        });
        let found: Vec<Vec<_>> = stream::iter(listings).buffer_unordered(REQUESTS_MAX).try_collect().await?;
        let own = self.prefix.as_ref();
        let known = found.into_iter().flatten().filter_map(|object| {
            let path = object.location.as_ref().strip_prefix(own)?.trim_start_matches('/').to_owned();
            Some((path, object.size))
        });
        Ok(known.collect())
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let folder = self.at(prefix);
        let all = self.wait(prefix, self.store.list(Some(&folder)).try_collect::<Vec<_>>())?;
        let own = self.prefix.as_ref();
        Ok(all
            .into_iter()
            .filter_map(|object| {
                let path = object.location.as_ref().strip_prefix(own)?.trim_start_matches('/').to_owned();
                let modified = object.last_modified.timestamp_nanos_opt().unwrap_or(0);
                Some(Listed { path, bytes: object.size, modified })
            })
            .collect())
    }

    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let at = self.at(path);
        match self.wait(path, async { self.store.delete(&at).await }) {
            Err(Error::Missing(_)) => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn what_was_created_by_oneself_is_created() {
        let remote = Remote::new(Arc::new(InMemory::new()), "a");
        let create = |bytes: &[u8]| remote.create("manifest/1", bytes.to_vec()).unwrap();
        assert!(create(b"mine"));
        assert!(create(b"mine"), "asked again because the answer was lost");
        assert!(!create(b"another's"));
        assert_eq!(remote.get("manifest/1", None).unwrap(), &b"mine"[..]);
    }
}
