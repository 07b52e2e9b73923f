//! The border between the storage and the index of observables: plain bytes in both directions.
//!
//! The writer tells an [`Indexer`] every distinct value of every field of every row group while
//! it encodes them; what comes out is stored beside the data file as an index run and listed in
//! the manifest. The storage never looks into a run.

use std::fmt;

use bytes::Bytes;

use crate::entry::RunEntry;
use crate::error::Result;

/// Takes the values of one data file.
pub trait Indexer: Send {
    /// A distinct value of a field in a row group (0 to 63). `text` is the decoded text, or the
    /// bytes as they are where they are not UTF-8. A record without any field is told as a value
    /// of the field with the empty name.
    fn value(&mut self, row_group: u8, field: &str, text: &[u8]);

    /// The run.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// A kind of index.
pub trait Indexing: Send + Sync + fmt::Debug {
    /// Starts the run of one data file.
    fn start(&self) -> Box<dyn Indexer>;

    /// Makes one run of several. The files of the result are those of the inputs in order
    /// ([`RunEntry::files`] concatenated). Deterministic: the same inputs give the same bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) with the path of the run that cannot be read.
    fn merge(&self, runs: &[(RunEntry, Bytes)]) -> Result<Vec<u8>>;
}
