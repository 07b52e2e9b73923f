//! PostgreSQL, by the synchronous client. Writers take turns by an advisory lock held to the end of
//! the transaction, so several nodes may share a database and numbers become visible in their order.
//!
//! TLS to the database is not built in: use a Unix socket, loopback or a tunnel.

use std::collections::HashMap;

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, NoTls, Statement};

use crate::sql::{Connection, Database, Dialect, Row, Val};
use crate::store::StoreError;

/// Words for SQLite's planner; PostgreSQL counts for itself.
const SQLITE_HINTS: [&str; 2] = ["INDEXED BY member_type", "INDEXED BY member_oid"];

/// Opens a store by a connection string (`postgres://user@host/database` or `host=… dbname=…`).
pub fn open(url: &str) -> Result<Database<Postgres>, StoreError> {
    let url = url.to_owned();
    Database::start(move |_| connect(&url))
}

/// A connection.
pub struct Postgres {
    client: Client,
    /// By address of the statement's text: texts are static.
    prepared: HashMap<(usize, usize), Statement>,
}

fn connect(url: &str) -> Result<Postgres, StoreError> {
    let mut client = Client::connect(url, NoTls).map_err(|error| StoreError::Busy(error.to_string()))?;
    client.batch_execute("SET synchronous_commit = on").map_err(|error| broken(&error))?;
    Ok(Postgres { client, prepared: HashMap::new() })
}

impl Postgres {
    fn prepare(&mut self, sql: &'static str) -> Result<Statement, StoreError> {
        let key = (sql.as_ptr() as usize, sql.len());
        if let Some(statement) = self.prepared.get(&key) {
            return Ok(statement.clone());
        }
        let mut text = sql.replace('?', "$");
        for hint in SQLITE_HINTS {
            text = text.replace(hint, "");
        }
        let statement = self.client.prepare(&text).map_err(|error| broken(&error))?;
        self.prepared.insert(key, statement.clone());
        Ok(statement)
    }
}

impl Connection for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).map_err(|error| broken(&error))
    }

    fn run(&mut self, sql: &'static str, values: &[Val<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepare(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        self.client.execute(&statement, &values).map_err(|error| broken(&error))
    }

    fn rows(
        &mut self,
        sql: &'static str,
        values: &[Val<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare(sql)?;
        let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
        let mut rows = self.client.query_raw(&statement, values).map_err(|error| broken(&error))?;
        while let Some(row) = rows.next().map_err(|error| broken(&error))? {
            if !each(&PostgresRow(&row))? {
                break;
            }
        }
        Ok(())
    }

    fn is_alive(&self) -> bool {
        !self.client.is_closed()
    }
}

impl ToSql for Val<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Val::Null => Ok(IsNull::Yes),
            Val::Int(number) => number.to_sql(ty, out),
            Val::Text(text) => text.to_sql(ty, out),
            Val::Blob(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

struct PostgresRow<'a>(&'a postgres::Row);

impl PostgresRow<'_> {
    fn get<'a, T: postgres::types::FromSql<'a>>(&'a self, column: usize) -> Result<T, StoreError> {
        self.0.try_get(column).map_err(|error| broken(&error))
    }
}

impl Row for PostgresRow<'_> {
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

fn broken(error: &postgres::Error) -> StoreError {
    if error.is_closed() || is_passing(error) {
        return StoreError::Busy(error.to_string());
    }
    let reason = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    StoreError::Broken(reason)
}

/// Whether trying again may help: the server stops or restarts (class 57), is out of something (53),
/// chose another transaction (40), or the socket broke.
fn is_passing(error: &postgres::Error) -> bool {
    match error.code() {
        Some(code) => ["57P", "53", "40"].iter().any(|class| code.code().starts_with(class)),
        None => std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>),
    }
}
