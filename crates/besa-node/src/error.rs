//! What can go wrong in a node.

use std::path::PathBuf;

use besa_alliance::refusal::Refusal;
use besa_exchange::taxii::client::ClientError;
use besa_intel::StoreError;

/// Why the node did not do it.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rule of the alliance says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An ally cannot be reached, or answers what it should not.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file cannot be read or written.
    #[error("`{0}`: {1}")]
    File(PathBuf, std::io::Error),
    /// A file is not what it should be.
    #[error("`{0}`: {1}")]
    Content(PathBuf, String),
    /// The caller asks for what cannot be done.
    #[error("{0}")]
    Input(String),
}

impl From<besa_alliance::signed::FormatError> for NodeError {
    fn from(error: besa_alliance::signed::FormatError) -> Self {
        Self::Refused(error.into())
    }
}
