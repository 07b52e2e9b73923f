//! The one implementation of [`crate::Store`], in SQL that SQLite and PostgreSQL both speak.
//!
//! Where they differ, [`Dialect`] says how: names of types, how writers take turns. Statements write
//! parameters as `?1`; the PostgreSQL connection turns them into `$1`.
//!
//! | file | what |
//! |---|---|
//! | `schema` | numbered migrations |
//! | `engine` | [`Database`]: one writer thread with group commit, a pool of readers |
//! | `ingest` | objects in: versions, conflicts, listing |
//! | `pages` | pages of a collection |
//! | `lookups` | objects by id, type, value, reference, words |
//! | `origin` | from whom and under which markings objects came |
//! | `ledger` | what readers from outside were shown; what a change may affect |
//! | `directory` | accounts, collections, rights, audit log |
//! | `tidy` | what is not kept for ever |

mod directory;
mod engine;
mod ingest;
mod ledger;
mod lookups;
mod origin;
mod pages;
mod schema;
mod tidy;

pub use engine::{Database, Use};
pub use schema::SCHEMA_LATEST;
pub(crate) use schema::migrate_to as make_old;

use crate::store::StoreError;

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Val<'a> {
    /// No value.
    Null,
    /// 64-bit integer.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Octets.
    Blob(&'a [u8]),
}

impl<'a> Val<'a> {
    pub(crate) fn opt_int(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }

    pub(crate) fn opt_text(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }
}

/// A row of a result. Columns are counted from 0.
pub trait Row {
    /// An integer.
    fn int(&self, column: usize) -> Result<i64, StoreError>;
    /// An integer or NULL.
    fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError>;
    /// Text.
    fn text(&self, column: usize) -> Result<String, StoreError>;
    /// Text or NULL.
    fn opt_text(&self, column: usize) -> Result<Option<String>, StoreError>;
    /// Octets or NULL.
    fn opt_blob(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError>;
    /// Octets.
    fn blob(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        self.opt_blob(column)?.ok_or_else(|| StoreError::Broken("a value is missing".to_owned()))
    }
}

/// What differs between the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A connection. Statements are prepared once and kept.
pub trait Connection: Send + 'static {
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;
    /// Runs statements without parameters.
    fn script(&mut self, sql: &str) -> Result<(), StoreError>;
    /// Runs one statement; gives the number of rows changed.
    fn run(&mut self, sql: &'static str, values: &[Val<'_>]) -> Result<u64, StoreError>;
    /// Runs one query row by row, until `each` says false.
    fn rows(
        &mut self,
        sql: &'static str,
        values: &[Val<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;
    /// False once the connection is lost for good and must be opened anew.
    fn is_alive(&self) -> bool;
}

/// The first row of a query, read by `read`.
pub(crate) fn first<T>(
    connection: &mut dyn Connection,
    sql: &'static str,
    values: &[Val<'_>],
    mut read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut found = None;
    connection.rows(sql, values, &mut |row| {
        found = Some(read(row)?);
        Ok(false)
    })?;
    Ok(found)
}

/// All rows of a query, read by `read`.
pub(crate) fn all<T>(
    connection: &mut dyn Connection,
    sql: &'static str,
    values: &[Val<'_>],
    mut read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    connection.rows(sql, values, &mut |row| {
        found.push(read(row)?);
        Ok(true)
    })?;
    Ok(found)
}
