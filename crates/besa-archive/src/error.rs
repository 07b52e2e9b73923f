//! What can go wrong, and who is to blame: the store, the archive's own files, or the caller.

use std::fmt;

/// Why an operation on an archive failed. Names the file that it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store (disk, bucket) refused.
    #[error("`{path}`: {reason}")]
    Store {
        /// The object, as a path within the archive.
        path: String,
        /// What the store said.
        reason: String,
    },
    /// A file that the manifest names is not there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A file is not what was written.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The object, as a path within the archive.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process writes to this archive.
    #[error("another process is writing to this archive; try again when it is done")]
    Busy,
    /// Another process committed a change that this one cannot be put on top of.
    #[error("another process changed the archive meanwhile ({0}); nothing was changed, try again")]
    Conflict(String),
    /// There is no archive.
    #[error("there is no archive at `{0}`; `besa archive add` makes one")]
    NoArchive(String),
    /// The caller asked for something impossible.
    #[error("{0}")]
    Invalid(String),
    /// The caller's visitor or the user ended the operation.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// A damaged file.
    #[must_use]
    pub fn damaged(path: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Damaged { path: path.into(), reason: reason.to_string() }
    }

    /// A refusal of the store.
    #[must_use]
    pub fn store(path: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Store { path: path.into(), reason: reason.to_string() }
    }
}

/// Of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
