//! One data file: its columns, row group by row group.
//!
//! The footer is read by the `parquet` crate, pages by `codec::page`. The files are ours, yet a disk
//! may have changed them: whatever is not well formed, a panic of a decoder included, is
//! [`Error::Damaged`] with the file's name.

use std::collections::HashMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use besa_event::LogSource;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};

use crate::codec::page::{Coding, Page, PageKind, Texts, read_ints};
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

    /// A column of texts of a row group, of which nothing was decoded yet; `None` if the file has no
    /// such column. Case of the name does not matter.
    pub(crate) fn column(&self, group: usize, name: &str) -> Result<Option<TextColumn<'_>>> {
        let Some(position) = self.columns.get(&name.to_ascii_lowercase()) else { return Ok(None) };
        let pages = self.pages(group, *position)?;
        let rows = self.rows(group);
        Ok(Some(TextColumn { file: self, group, position: *position, rows, pages, texts: Texts::default() }))
    }

    /// A column of integers of a row group.
    pub(crate) fn ints(&self, group: usize, name: &str) -> Result<Vec<Option<i64>>> {
        let path = self.entry.path.as_str();
        let damaged =
            || Error::damaged(path, format!("column `{name}` of row group {group} is not well formed"));
        let position = *self.columns.get(name).ok_or_else(damaged)?;
        let mut values = Vec::new();
        let mut pages = self.pages(group, position)?;
        while let Some(page) = pages.next().ok_or_else(damaged)? {
            if page.kind != PageKind::Data(Coding::Delta) || page.count > GROUP_ROWS_MAX {
                return Err(damaged());
            }
            values.extend(read_ints(&page.plain, page.count).ok_or_else(damaged)?);
        }
        if values.len() != self.rows(group) { Err(damaged()) } else { Ok(values) }
    }

    fn pages(&self, group: usize, position: usize) -> Result<Pages> {
        let (start, len) = sound(&self.entry.path, || {
            let (start, len) = self.metadata.row_group(group).column(position).byte_range();
            let len = usize::try_from(len);
            Ok((start, len.map_err(|_| ParquetError::General("a column is too long".into()))?))
        })?;
        Ok(Pages { bytes: self.blob.range(start, len)?, at: 0 })
    }
}

/// The pages of a column chunk, which was read at once.
struct Pages {
    bytes: Bytes,
    at: usize,
}

impl Pages {
    /// The next page, if there is one; the outer `None` if it is not well formed.
    #[allow(clippy::option_option, reason = "damage and the end are different things")]
    fn next(&mut self) -> Option<Option<Page>> {
        let mut rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty());
        let Some(rest) = &mut rest else { return Some(None) };
        let page = Page::take(rest)?;
        self.at = self.bytes.len() - rest.len();
        Some(Some(page))
    }
}

/// A column of texts of a row group, decoded as far as it is asked for: its distinct values are
/// often enough to know that its rows are not needed.
pub(crate) struct TextColumn<'f> {
    file: &'f DataFile,
    group: usize,
    position: usize,
    rows: usize,
    pages: Pages,
    texts: Texts,
}

impl TextColumn<'_> {
    /// All values that occur; a column of values that hardly repeat may show one several times.
    pub(crate) fn distinct(&mut self) -> Result<&Texts> {
        let chunk = self.file.metadata.row_group(self.group).column(self.position);
        let in_dictionary = chunk.dictionary_page_offset().is_some()
            && chunk.encodings().all(|encoding| encoding != Encoding::DELTA_LENGTH_BYTE_ARRAY);
        match in_dictionary {
            true if self.texts.spans.is_empty() => self.page()?,
            true => true,
            false => self.finish()?,
        };
        Ok(&self.texts)
    }

    /// The distinct values and all rows.
    pub(crate) fn whole(&mut self) -> Result<&Texts> {
        self.finish()?;
        Ok(&self.texts)
    }

    /// The same, and the column is done with.
    pub(crate) fn into_texts(mut self) -> Result<Texts> {
        self.finish()?;
        Ok(self.texts)
    }

    fn finish(&mut self) -> Result<bool> {
        while self.page()? {}
        if self.texts.ids.len() == self.rows { Ok(true) } else { Err(self.damaged()) }
    }

    /// Decodes the next page; tells whether there was one.
    fn page(&mut self) -> Result<bool> {
        let Some(page) = self.pages.next().ok_or_else(|| self.damaged())? else { return Ok(false) };
        let read = match page.kind {
            PageKind::Dictionary => self.texts.read_dictionary(page.plain, page.count),
            PageKind::Data(_) if page.count > GROUP_ROWS_MAX => None,
            PageKind::Data(coding) => self.texts.read_data(page.plain, page.count, coding),
        };
        read.map(|()| true).ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> Error {
        let group = self.group;
        let schema = self.file.metadata.file_metadata().schema_descr();
        let name = schema.columns().get(self.position).map_or("", |column| column.name());
        let reason = format!("column `{name}` of row group {group} is not well formed");
        Error::damaged(&self.file.entry.path, reason)
    }
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
