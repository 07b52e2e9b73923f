//! What readers cut evidence into, and what they say of damage.

use std::fmt;
use std::sync::Arc;

/// Where evidence came from: the path as the user gave it, then each container member after a
/// `!` (`disk.zip!logs/Security.evtx.gz!Security.evtx`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The path with container path.
    pub path: Arc<str>,
}

impl Origin {
    /// An origin of its own.
    #[must_use]
    pub fn new(path: impl Into<Arc<str>>) -> Arc<Self> {
        Arc::new(Self { path: path.into() })
    }

    /// A member inside this one.
    #[must_use]
    pub fn member(&self, name: &str) -> Arc<Self> {
        Self::new(format!("{}!{name}", self.path))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// A run of whole records of one origin, not yet decoded. `F` is the format with what decoding
/// needs to know (a header line, a column list), shared by the blocks of one origin.
#[derive(Clone, Debug)]
pub struct Block<F> {
    /// Where the bytes came from.
    pub origin: Arc<Origin>,
    /// How to decode them.
    pub format: F,
    /// Whole records.
    pub bytes: Vec<u8>,
    /// Offset of `bytes` in the (decompressed) origin.
    pub offset: u64,
    /// Number of the first record (lines count from 1; EVTX records bear their own).
    pub first_record: u64,
    /// Position of this block in the run, from 0; output is put in this order.
    pub sequence: u64,
}

/// Where in an origin a defect lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The whole file or member.
    Whole,
    /// A byte offset in the (decompressed) origin.
    Offset(u64),
    /// A record number: EVTX record id, line number from 1, or object number from 1.
    Record(u64),
}

/// Something that could not be read, and where the gap is. The rest was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defect {
    /// The file or member.
    pub origin: Arc<Origin>,
    /// Where in it.
    pub place: Place,
    /// What is wrong, lower case, without a full stop.
    pub reason: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Whole => write!(f, "{}: {}", self.origin, self.reason),
            Place::Offset(offset) => write!(f, "{} at offset {offset}: {}", self.origin, self.reason),
            Place::Record(record) => write!(f, "{} record {record}: {}", self.origin, self.reason),
        }
    }
}
