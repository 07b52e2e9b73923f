//! From batches to data files.
//!
//! ```text
//! Batch ─▶ Piece (one partition) ─▶ Column × n ─row group full─▶ Chunk × n ─file full─▶ Parquet
//! ```

pub(crate) mod column;
pub(crate) mod file;
pub(crate) mod names;
pub(crate) mod piece;
