//! SQLite: write-ahead log, `synchronous=FULL`, one file.
//!
//! A missing file is made; a file of another application, of a later release or damaged is refused
//! with its name. It is for its owner alone: it holds password hashes. Several processes may use one file: writers wait for each other up to
//! [`BUSY_MS`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, ErrorCode, OpenFlags, ToSql};

use crate::sql::{Connection, Database, Dialect, Row, Use, Val};
use crate::store::StoreError;

/// Marks the file as Besa's in its header.
const APPLICATION_ID: i64 = 0x4245_5341;
const BUSY_MS: u64 = 10_000;
/// Pages in the log before they are copied into the file. Ids are random, so one transaction touches
/// many pages of their index; a longer log copies each of them less often.
const CHECKPOINT_PAGES: u32 = 40_000;
/// Page cache of the writer and of a reader, in KiB.
const WRITER_CACHE_KIB: i64 = 32_768;
const READER_CACHE_KIB: i64 = 4_096;

/// Opens a store, making or migrating the file as needed.
pub fn open(path: &Path) -> Result<Database<Sqlite>, StoreError> {
    let path: PathBuf = path.to_owned();
    Database::start(move |use_for| connect(&path, use_for == Use::Writing))
}

/// Makes a file as an earlier schema left it, to test migrations on.
#[doc(hidden)]
pub fn make_old(path: &Path, schema: i64) -> Result<(), StoreError> {
    crate::sql::make_old(&mut connect(path, true)?, schema)
}

/// Copies a store that may be in use into a new file, which is whole and of one moment.
pub fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    if to.exists() {
        return Err(StoreError::Exists(format!("`{}` is there already; name a new file", to.display())));
    }
    if !from.exists() {
        return Err(StoreError::Missing(format!("there is no `{}`", from.display())));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let copied = copy(from, &partial).and_then(|()| {
        std::fs::rename(&partial, to).and_then(|()| sync_folder(to)).map_err(|error| named_io(to, &error))
    });
    if copied.is_err() {
        std::fs::remove_file(&partial).ok();
    }
    copied
}

/// Copies and checks: a backup that cannot be read is worse than none.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = connect(from, false)?;
    let id: i64 = source
        .inner
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(|error| broken(&error))?;
    if id != APPLICATION_ID {
        return Err(StoreError::Broken(format!("`{}` is no store of ours", from.display())));
    }
    let target = to.to_str().ok_or_else(|| StoreError::Input("the path is not UTF-8".to_owned()))?;
    std::fs::remove_file(to).ok();
    make_private(to).map_err(|error| named_io(to, &error))?;
    source.inner.execute("VACUUM INTO ?1", [target]).map_err(|error| broken(&error))?;
    let made = connect(to, false)?;
    let told: String = made
        .inner
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| broken(&error))?;
    if told != "ok" {
        return Err(StoreError::Broken(format!("the copy is damaged: {told}")));
    }
    drop(made);
    // The copy was written without waiting for the disk.
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| named_io(to, &error))
}

/// Makes an empty file that only its owner may read, or leaves the one that is there.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A new name is durable once its folder is.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn named_io(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Broken(format!("`{}`: {error}", path.display()))
}

/// A connection to one file.
pub struct Sqlite {
    inner: rusqlite::Connection,
}

fn connect(path: &Path, writer: bool) -> Result<Sqlite, StoreError> {
    let named = |error: rusqlite::Error| match broken(&error) {
        StoreError::Broken(reason) => StoreError::Broken(format!("`{}`: {reason}", path.display())),
        other => other,
    };
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if writer {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        make_private(path).map_err(|error| named_io(path, &error))?;
    }
    let inner = rusqlite::Connection::open_with_flags(path, flags).map_err(named)?;
    inner.busy_timeout(Duration::from_millis(BUSY_MS)).map_err(named)?;
    inner.set_prepared_statement_cache_capacity(128);
    if writer {
        claim(&inner, path)?;
        inner.pragma_update(None, "journal_mode", "WAL").map_err(named)?;
    }
    let cache = if writer { WRITER_CACHE_KIB } else { READER_CACHE_KIB };
    inner
        .execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -{cache}; PRAGMA temp_store = MEMORY;
            PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = 268435456;
            PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"
        ))
        .map_err(named)?;
    Ok(Sqlite { inner })
}

/// Refuses a file of another application; marks a fresh one.
fn claim(inner: &rusqlite::Connection, path: &Path) -> Result<(), StoreError> {
    let number = |pragma: &str| -> Result<i64, StoreError> {
        inner.query_row(pragma, [], |row| row.get(0)).map_err(|error| match broken(&error) {
            StoreError::Broken(reason) => StoreError::Broken(format!("`{}`: {reason}", path.display())),
            other => other,
        })
    };
    let found = number("PRAGMA application_id")?;
    if found == APPLICATION_ID {
        return Ok(());
    }
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if found != 0 || tables != 0 {
        return Err(StoreError::Broken(format!(
            "`{}` is a database of another application; name another folder",
            path.display()
        )));
    }
    inner.pragma_update(None, "application_id", APPLICATION_ID).map_err(|error| broken(&error))
}

impl Connection for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        // The transaction words come all the time; they are prepared once.
        if sql.contains(';') || sql.starts_with("CREATE") {
            return self.inner.execute_batch(sql).map_err(|error| broken(&error));
        }
        let mut statement = self.inner.prepare_cached(sql).map_err(|error| broken(&error))?;
        statement.raw_execute().map(|_| ()).map_err(|error| broken(&error))
    }

    fn run(&mut self, sql: &'static str, values: &[Val<'_>]) -> Result<u64, StoreError> {
        let mut statement = self.bound(sql, values)?;
        statement.raw_execute().map(|count| count as u64).map_err(|error| broken(&error))
    }

    fn rows(
        &mut self,
        sql: &'static str,
        values: &[Val<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.bound(sql, values)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| broken(&error))? {
            if !each(&SqliteRow(row))? {
                break;
            }
        }
        Ok(())
    }

    fn is_alive(&self) -> bool {
        true
    }
}

impl Sqlite {
    fn bound(&self, sql: &'static str, values: &[Val<'_>]) -> Result<CachedStatement<'_>, StoreError> {
        let mut statement = self.inner.prepare_cached(sql).map_err(|error| broken(&error))?;
        for (index, value) in values.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, value).map_err(|error| broken(&error))?;
        }
        Ok(statement)
    }
}

impl ToSql for Val<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Val::Null => ToSqlOutput::Owned(Value::Null),
            Val::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Val::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Val::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

struct SqliteRow<'a, 'b>(&'a rusqlite::Row<'b>);

impl SqliteRow<'_, '_> {
    fn get<T: rusqlite::types::FromSql>(&self, column: usize) -> Result<T, StoreError> {
        self.0.get(column).map_err(|error| broken(&error))
    }
}

impl Row for SqliteRow<'_, '_> {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.get(column)
    }

    fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    fn text(&self, column: usize) -> Result<String, StoreError> {
        self.get(column)
    }

    fn opt_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    fn opt_blob(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(column)
    }
}

fn broken(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(error.to_string()),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Broken(format!("the file is damaged or no database ({error}); restore a backup"))
        }
        Some(ErrorCode::DiskFull) => StoreError::Broken("the disk is full".to_owned()),
        _ => StoreError::Broken(error.to_string()),
    }
}
