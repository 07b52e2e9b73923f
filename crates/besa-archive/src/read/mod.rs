//! From data files back to batches.

pub(crate) mod columns;
pub(crate) mod file;
#[cfg(test)]
mod foreign;
pub(crate) mod rebuild;
pub(crate) mod scan;
pub(crate) mod sift;
