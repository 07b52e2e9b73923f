//! From data files back to batches.

pub(crate) mod file;
pub(crate) mod rebuild;
pub(crate) mod scan;
