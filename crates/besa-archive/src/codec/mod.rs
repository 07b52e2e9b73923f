//! Encodings: what Parquet defines for pages, and our own two columns, layout and overflow.
//!
//! Everything that decodes takes a stranger's bytes: it returns `None` for what is not well
//! formed and allocates no more than the input's length allows.

pub(crate) mod delta;
pub(crate) mod hybrid;
pub(crate) mod layout;
pub(crate) mod page;
pub(crate) mod varint;
