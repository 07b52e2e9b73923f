//! One data file: its columns, row group by row group.
//!
//! Page headers, decompression and checksums are the `parquet` crate's; pages are decoded by
//! `codec::page`. The files are ours, yet a disk may have changed them: whatever is not well
//! formed, a panic of a decoder included, is [`Error::Damaged`] with the file's name.

use std::collections::HashMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use besa_event::LogSource;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::codec::page::{Coding, Texts, read_ints};
use crate::entry::FileEntry;
use crate::error::{Error, Result};
use crate::store::{Blob, Store};
use crate::write::file::{FORMAT, KEY_FORMAT};
use crate::write::names::OWN;
use crate::write::piece::GROUP_ROWS_MAX;

/// An open data file.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub(crate) entry: FileEntry,
    pub(crate) class: LogSource,
    blob: Blob,
    metadata: ParquetMetaData,
    /// Position of a column by its name in lower case.
    columns: HashMap<String, usize>,
}

impl DataFile {
    /// Opens a file and holds it against what the manifest says of it.
    pub(crate) fn open(store: &Store, entry: &FileEntry) -> Result<Self> {
        let path = entry.path.as_str();
        let blob = store.open(path)?;
        if blob.len() != entry.bytes {
            let reason = format!("it has {} bytes, {} were written", blob.len(), entry.bytes);
            return Err(Error::damaged(path, reason));
        }
        let metadata = sound(path, || ParquetMetaDataReader::new().parse_and_finish(&Whole(&blob)))?;
        let pairs = metadata.file_metadata().key_value_metadata();
        let format = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == KEY_FORMAT));
        if format.and_then(|pair| pair.value.as_deref()) != Some(FORMAT) {
            return Err(Error::damaged(path, "not of a format that this version reads"));
        }
        let rows: Vec<i64> =
            metadata.row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).collect();
        if !rows.iter().eq(entry.groups.iter().map(|group| i64::from(group.rows)).collect::<Vec<_>>().iter())
        {
            return Err(Error::damaged(path, "its row groups are not those that were written"));
        }
        let schema = metadata.file_metadata().schema_descr();
        let names = schema.columns().iter().map(|column| column.name().to_ascii_lowercase());
        let columns = names.enumerate().map(|(position, name)| (name, position)).collect();
        Ok(Self { entry: entry.clone(), class: LogSource::from(&entry.source), blob, metadata, columns })
    }

    /// Names of its columns of fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let columns = self.metadata.file_metadata().schema_descr().columns();
        columns.iter().map(|column| column.name()).filter(|name| !name.starts_with(OWN))
    }

    /// How many row groups it has.
    pub(crate) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Rows of a row group.
    pub(crate) fn rows(&self, group: usize) -> usize {
        self.entry.groups.get(group).map_or(0, |group| group.rows as usize)
    }

    /// A column of texts of a row group; `None` if the file has no such column. Case of the name
    /// does not matter.
    pub(crate) fn texts(&self, group: usize, name: &str) -> Result<Option<Texts>> {
        let Some(position) = self.columns.get(&name.to_ascii_lowercase()) else { return Ok(None) };
        let path = self.entry.path.as_str();
        let damaged =
            || Error::damaged(path, format!("column `{name}` of row group {group} is not well formed"));
        let rows = self.rows(group);
        let mut texts = Texts::default();
        for page in self.pages(group, *position)? {
            match page {
                Page::DictionaryPage { buf, num_values, .. } => {
                    texts.read_dictionary(&buf, num_values as usize).ok_or_else(damaged)?;
                }
                Page::DataPage { buf, num_values, encoding, .. } => {
                    let coding = match encoding {
                        Encoding::RLE_DICTIONARY => Coding::Dictionary,
                        Encoding::DELTA_LENGTH_BYTE_ARRAY => Coding::DeltaLength,
                        _ => return Err(damaged()),
                    };
                    let count = num_values as usize;
                    if count > GROUP_ROWS_MAX {
                        return Err(damaged());
                    }
                    texts.read_data(&buf, count, coding).ok_or_else(damaged)?;
                }
                Page::DataPageV2 { .. } => return Err(damaged()),
            }
        }
        if texts.ids.len() != rows {
            return Err(damaged());
        }
        Ok(Some(texts))
    }

    /// A column of integers of a row group.
    pub(crate) fn ints(&self, group: usize, name: &str) -> Result<Vec<Option<i64>>> {
        let path = self.entry.path.as_str();
        let damaged =
            || Error::damaged(path, format!("column `{name}` of row group {group} is not well formed"));
        let position = *self.columns.get(name).ok_or_else(damaged)?;
        let mut values = Vec::new();
        for page in self.pages(group, position)? {
            match page {
                Page::DataPage { buf, num_values, encoding: Encoding::DELTA_BINARY_PACKED, .. }
                    if num_values as usize <= GROUP_ROWS_MAX =>
                {
                    values.extend(read_ints(&buf, num_values as usize).ok_or_else(damaged)?);
                }
                _ => return Err(damaged()),
            }
        }
        if values.len() != self.rows(group) { Err(damaged()) } else { Ok(values) }
    }

    fn pages(&self, group: usize, position: usize) -> Result<Vec<Page>> {
        let path = self.entry.path.as_str();
        sound(path, || {
            let chunk = self.metadata.row_group(group).column(position);
            let (start, len) = chunk.byte_range();
            let len =
                usize::try_from(len).map_err(|_| ParquetError::General("a column is too long".into()))?;
            let bytes = self.blob.range(start, len).map_err(|error| ParquetError::External(error.into()))?;
            read_pages(Part { start, bytes }, chunk, self.rows(group))
        })
    }
}

fn read_pages(
    part: Part,
    chunk: &ColumnChunkMetaData,
    rows: usize,
) -> std::result::Result<Vec<Page>, ParquetError> {
    let mut reader = SerializedPageReader::new(Arc::new(part), chunk, rows, None)?;
    let mut pages = Vec::with_capacity(2);
    while let Some(page) = reader.get_next_page()? {
        pages.push(page);
    }
    Ok(pages)
}

/// Runs a decoder of bytes that may be anything.
fn sound<T>(path: &str, decode: impl FnOnce() -> std::result::Result<T, ParquetError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ParquetError::External(error))) => match error.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(error) => Err(Error::damaged(path, error)),
        },
        Ok(Err(error)) => Err(Error::damaged(path, error)),
        Err(_) => Err(Error::damaged(path, "it cannot be decoded")),
    }
}

/// A file as the reader of footers sees it.
struct Whole<'a>(&'a Blob);

impl Length for Whole<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Whole<'_> {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> std::result::Result<Self::T, ParquetError> {
        let len = self.0.len().saturating_sub(start);
        self.get_bytes(start, usize::try_from(len).unwrap_or(0)).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, len: usize) -> std::result::Result<Bytes, ParquetError> {
        self.0.range(start, len).map_err(|error| ParquetError::External(error.into()))
    }
}

/// A column chunk that was read at once, under its offsets in the file.
struct Part {
    start: u64,
    bytes: Bytes,
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Part {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> std::result::Result<Self::T, ParquetError> {
        let from = usize::try_from(start.saturating_sub(self.start)).unwrap_or(usize::MAX);
        Ok(Cursor::new(self.bytes.slice(from.min(self.bytes.len())..)))
    }

    fn get_bytes(&self, start: u64, len: usize) -> std::result::Result<Bytes, ParquetError> {
        let from = usize::try_from(start.saturating_sub(self.start)).unwrap_or(usize::MAX);
        match from.checked_add(len) {
            Some(end) if end <= self.bytes.len() && start >= self.start => Ok(self.bytes.slice(from..end)),
            _ => Err(ParquetError::EOF("a page reaches past its column".into())),
        }
    }
}
