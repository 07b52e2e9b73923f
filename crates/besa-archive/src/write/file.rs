//! A piece as a Parquet file.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{
    Compression, ConvertedType, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, Type, TypePtr};

use super::piece::{
    ColumnType, Group, HOST, LAYOUT, MORE, ORIGIN, PRECISION, Piece, RAW, RECORD, TIME, ZONE,
};
use crate::codec::page::{Chunk, Coding, Distinct, PageWriter};
use crate::entry::{Day, Source};
use crate::error::{Error, Result};

/// Version of the file format, in the file's own metadata.
pub(crate) const FORMAT: &str = "1";
/// Keys of the file's metadata.
pub(crate) const KEY_FORMAT: &str = "besa.format";
pub(crate) const KEY_DAY: &str = "besa.day";
pub(crate) const KEY_SOURCE: &str = "besa.source";

const OWN: [(&str, ColumnType); 9] = [
    (TIME, ColumnType::Time),
    (PRECISION, ColumnType::Text),
    (ZONE, ColumnType::Text),
    (RECORD, ColumnType::Number),
    (HOST, ColumnType::Text),
    (ORIGIN, ColumnType::Text),
    (LAYOUT, ColumnType::Bytes),
    (RAW, ColumnType::Bytes),
    (MORE, ColumnType::Bytes),
];

/// The bytes of the file, of all row groups that the piece took.
pub(crate) fn assemble(piece: &mut Piece, pages: &mut PageWriter) -> Result<Vec<u8>> {
    let groups = std::mem::take(&mut piece.groups);
    write(groups, piece, pages).map_err(|error| Error::Invalid(format!("cannot write Parquet: {error}")))
}

fn write(groups: Vec<Group>, piece: &Piece, pages: &mut PageWriter) -> Result<Vec<u8>, ParquetError> {
    // Columns in the order of their names, so that the order of the evidence does not show.
    let mut used = vec![false; piece.columns_named.len()];
    for (column, _) in groups.iter().flat_map(|group| &group.fields) {
        used.get_mut(*column).into_iter().for_each(|used| *used = true);
    }
    let mut order: Vec<usize> = (0..used.len()).filter(|column| used.get(*column) == Some(&true)).collect();
    order.sort_by_cached_key(|column| piece.columns_named.get(*column).map(|name| name.to_ascii_lowercase()));
    let names = order.iter().filter_map(|column| piece.columns_named.get(*column));
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema(names)?, properties(piece.day, &piece.source))?;
    for group in groups {
        let descriptors: Vec<ColumnDescPtr> = writer.schema_descr().columns().to_vec();
        let mut descriptors = descriptors.into_iter();
        let mut out = writer.next_row_group()?;
        let rows = group.entry.rows as usize;
        let mut fields: Vec<Option<Chunk>> = used.iter().map(|_| None).collect();
        for (column, chunk) in group.fields {
            if let Some(place) = fields.get_mut(column) {
                *place = Some(chunk);
            }
        }
        let mut own = group.own;
        let own = OWN.iter().map(|(name, _)| {
            let at = own.iter().position(|(have, ..)| have == name)?;
            Some(own.swap_remove(at).2)
        });
        let fields = order.iter().map(|column| fields.get_mut(*column).and_then(Option::take));
        for chunk in own.chain(fields) {
            let descriptor =
                descriptors.next().ok_or_else(|| ParquetError::General("too many columns".into()))?;
            append(&mut out, descriptor, chunk.map_or_else(|| empty(rows, pages), Ok)?)?;
        }
        out.close()?;
    }
    writer.into_inner()
}

fn empty(rows: usize, pages: &mut PageWriter) -> Result<Chunk, ParquetError> {
    let nothing = Distinct { arena: &[], spans: &[] };
    pages.text(nothing, &[], rows).map_err(|error| ParquetError::General(error.to_string()))
}

fn append(
    out: &mut parquet::file::writer::SerializedRowGroupWriter<'_, Vec<u8>>,
    descriptor: ColumnDescPtr,
    chunk: Chunk,
) -> Result<(), ParquetError> {
    let encodings = match chunk.coding {
        Coding::Dictionary => vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY],
        Coding::DeltaLength => vec![Encoding::RLE, Encoding::DELTA_LENGTH_BYTE_ARRAY],
        Coding::Delta => vec![Encoding::RLE, Encoding::DELTA_BINARY_PACKED],
    };
    let dictionary_len = chunk.dictionary_len as i64;
    let mut metadata = ColumnChunkMetaData::builder(descriptor)
        .set_encodings(encodings)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_total_compressed_size(chunk.bytes.len() as i64)
        .set_total_uncompressed_size(chunk.uncompressed as i64)
        .set_num_values(chunk.rows as i64)
        .set_data_page_offset(dictionary_len)
        .set_dictionary_page_offset((dictionary_len > 0).then_some(0));
    if let Some((least, greatest)) = chunk.range {
        let nulls = Some(chunk.nulls as u64);
        let range = ValueStatistics::new(Some(least), Some(greatest), None, nulls, false);
        metadata = metadata.set_statistics(Statistics::Int64(range));
    }
    let close = ColumnCloseResult {
        bytes_written: chunk.bytes.len() as u64,
        rows_written: chunk.rows as u64,
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    out.append_column(&Bytes::from(chunk.bytes), close)
}

fn properties(day: Day, source: &Source) -> Arc<WriterProperties> {
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let source = serde_json::to_string(source).unwrap_or_default();
    let properties = WriterProperties::builder()
        .set_created_by("besa".to_owned())
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(vec![
            pair(KEY_FORMAT, FORMAT.to_owned()),
            pair(KEY_DAY, day.to_string()),
            pair(KEY_SOURCE, source),
        ]));
    Arc::new(properties.build())
}

fn schema<'a>(names: impl Iterator<Item = &'a String>) -> Result<TypePtr, ParquetError> {
    let own = OWN.iter().map(|(name, kind)| column(name, *kind));
    let fields = names.map(|name| column(name, ColumnType::Text));
    let columns: Vec<TypePtr> = own.chain(fields).collect::<Result<_, _>>()?;
    Ok(Arc::new(Type::group_type_builder("besa").with_fields(columns).build()?))
}

fn column(name: &str, kind: ColumnType) -> Result<TypePtr, ParquetError> {
    let (physical, logical, converted) = match kind {
        ColumnType::Time => {
            let logical = LogicalType::timestamp(true, TimeUnit::NANOS);
            (Physical::INT64, Some(logical), ConvertedType::NONE)
        }
        ColumnType::Number => {
            let logical = LogicalType::integer(64, false);
            (Physical::INT64, Some(logical), ConvertedType::UINT_64)
        }
        ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String), ConvertedType::UTF8),
        ColumnType::Bytes => (Physical::BYTE_ARRAY, None, ConvertedType::NONE),
    };
    let builder = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .with_converted_type(converted);
    Ok(Arc::new(builder.build()?))
}
