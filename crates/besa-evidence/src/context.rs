//! What decoding needs to know besides the bytes.

use besa_event::{Dictionary, Keep, LogSources};

/// Shared by every decoder of a run.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Field names to ids.
    pub dictionary: &'a Dictionary,
    /// Classes of events.
    pub sources: &'a LogSources,
    /// Whether fields that the dictionary lacks are kept.
    pub keep: Keep,
    /// The year for records that state none (RFC 3164), and the month (1 to 12) up to which it
    /// holds: a record of a later month belongs to the year before. A log of the last twelve
    /// months is then read right. `None` leaves such records without time.
    pub reference: Option<(i64, u32)>,
    /// Whether records in the unallocated space of EVTX chunks are read: what was overwritten or
    /// cleared. They may double what was read elsewhere; if not wanted, they are counted.
    pub carve: bool,
    /// Caps on one record.
    pub limits: Limits,
}

/// Where a block's bytes stand in their origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Offset of the first byte in the (decompressed) origin.
    pub offset: u64,
    /// Number of the first record.
    pub first_record: u64,
}

/// Caps on what evidence may make us spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Target size of a block in bytes.
    pub block_len_bytes: usize,
    /// A record longer than this is skipped and reported.
    pub record_len_bytes_max: usize,
    /// How deep containers may be nested.
    pub container_depth_max: usize,
    /// Decompressed bytes of one file of evidence, over all its members.
    pub decompressed_len_bytes_max: u64,
    /// Decompressed to compressed bytes of one member, once it is past 64 MiB.
    pub ratio_max: u64,
    /// Threads that decompress beside the reader: 0 or 1.
    pub decompression_threads_max: usize,
    /// Members of one container.
    pub members_max: u64,
    /// Nesting of a JSON record.
    pub json_depth_max: usize,
    /// Fields of one event; further ones are left out and reported.
    pub fields_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            block_len_bytes: 1 << 20,
            record_len_bytes_max: 64 << 20,
            container_depth_max: 6,
            decompressed_len_bytes_max: 1 << 40,
            ratio_max: 1_000,
            decompression_threads_max: 1,
            members_max: 1_000_000,
            json_depth_max: 64,
            fields_max: 16_384,
        }
    }
}
