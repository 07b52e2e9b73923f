//! What readers from outside were shown, and which listings a change may concern.
//!
//! The store judges nothing: it keeps the rows that it is told, and finds by its index of references
//! and mentions what hangs on what. Rows are never changed; whether what a row names may still be
//! shown is judged anew whenever it is read.

use std::collections::BTreeSet;

use super::engine::Write;
use super::lookups::{STORED_LISTED, stored};
use super::pages::oid;
use super::{Connection, Row, Val, all, first};
use crate::object::ANYTHING;
use crate::store::{CollectionKey, Ledger, RowsOf, Shown, StoreError, Stored, Time, VersionKey, micros};

pub(crate) fn ledger(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    reader: &str,
) -> Result<Ledger, StoreError> {
    let sql = "SELECT ledger, mark, seen, walked, walk_began, again_at, last, added FROM ledger
        WHERE collection = ?1 AND reader = ?2";
    let found = first(connection, sql, &[Val::Int(collection.0), Val::Text(reader)], |row| {
        let walk = row.opt_int(3)?.zip(row.opt_int(4)?);
        Ok(Ledger {
            collection,
            reader: reader.to_owned(),
            key: Some(row.int(0)?),
            mark: row.text(1)?,
            seen: row.int(2)?.cast_unsigned(),
            walk: walk.map(|(at, began)| (at.cast_unsigned(), began.cast_unsigned())),
            again_at: row.opt_int(5)?,
            last: row.int(6)?.cast_unsigned(),
            added: row.int(7)?,
        })
    })?;
    Ok(found.unwrap_or_else(|| Ledger {
        collection,
        reader: reader.to_owned(),
        key: None,
        mark: String::new(),
        seen: 0,
        walk: None,
        again_at: None,
        last: 0,
        added: 0,
    }))
}

pub(crate) fn advance<C: Connection>(
    write: &mut Write<'_, C>,
    before: &Ledger,
    after: &Ledger,
    shown: &[Shown],
) -> Result<bool, StoreError> {
    let connection: &mut dyn Connection = write.connection;
    let held = ledger(connection, before.collection, &before.reader)?;
    if held != *before {
        return Ok(false);
    }
    let key = match held.key {
        Some(key) => key,
        None => {
            let sql = "INSERT INTO ledger (collection, reader, mark, seen, last, added) VALUES (?1, ?2, '', 0, 0, 0)
                RETURNING ledger";
            let values = [Val::Int(before.collection.0), Val::Text(&before.reader)];
            first(connection, sql, &values, |row| row.int(0))?.unwrap_or_default()
        }
    };
    let (mut last, mut added) = (held.last, held.added);
    for row in shown {
        let at = after.added.max(added + 1);
        let appended = connection.run(
            "INSERT INTO shown (ledger, number, object, digest, id, type, version, version_text, spec, revoked, added)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
            &[
                Val::Int(key),
                Val::Int((last + 1).cast_signed()),
                Val::Int(row.object.cast_signed()),
                Val::Blob(&row.digest),
                Val::Text(&row.id),
                Val::Text(&row.object_type),
                Val::Blob(&row.version.0.0),
                Val::Text(&row.version.1),
                Val::Int(row.spec),
                Val::Int(i64::from(row.revoked)),
                Val::Int(at),
            ],
        )?;
        if appended > 0 {
            (last, added) = (last + 1, at);
        }
    }
    let (walked, began) = after.walk.map_or((Val::Null, Val::Null), |(at, began)| {
        (Val::Int(at.cast_signed()), Val::Int(began.cast_signed()))
    });
    connection.run(
        "UPDATE ledger SET mark = ?2, seen = ?3, walked = ?4, walk_began = ?5, again_at = ?6, last = ?7, added = ?8
        WHERE ledger = ?1",
        &[
            Val::Int(key),
            Val::Text(&after.mark),
            Val::Int(after.seen.cast_signed()),
            walked,
            began,
            Val::opt_int(after.again_at),
            Val::Int(last.cast_signed()),
            Val::Int(added),
        ],
    )?;
    Ok(true)
}

macro_rules! rows {
    ($rest:literal) => {
        concat!(
            "SELECT number, object, digest, id, type, version, version_text, spec, revoked, added FROM shown ",
            $rest
        )
    };
}

pub(crate) fn rows(
    connection: &mut dyn Connection,
    key: i64,
    of: &RowsOf<'_>,
    after: u64,
    limit: usize,
) -> Result<Vec<Shown>, StoreError> {
    let after = Val::Int(i64::try_from(after).unwrap_or(i64::MAX));
    let (key, limit) = (Val::Int(key), Val::Int(limit as i64));
    match of {
        RowsOf::Everything => {
            let sql = rows!("WHERE ledger = ?1 AND number > ?2 ORDER BY number LIMIT ?3");
            all(connection, sql, &[key, after, limit], shown)
        }
        RowsOf::Type(name) => {
            let sql = rows!("WHERE ledger = ?1 AND number > ?2 AND type = ?4 ORDER BY number LIMIT ?3");
            all(connection, sql, &[key, after, limit, Val::Text(name)], shown)
        }
        RowsOf::Id(id) => {
            let sql = rows!("WHERE ledger = ?1 AND number > ?2 AND id = ?4 ORDER BY number LIMIT ?3");
            all(connection, sql, &[key, after, limit, Val::Text(id)], shown)
        }
    }
}

fn shown(row: &dyn Row) -> Result<Shown, StoreError> {
    let digest = row.blob(2)?.try_into();
    Ok(Shown {
        number: row.int(0)?.cast_unsigned(),
        object: row.int(1)?.cast_unsigned(),
        digest: digest.map_err(|_| StoreError::Broken("a digest has not 32 bytes".to_owned()))?,
        id: row.text(3)?,
        object_type: row.text(4)?,
        version: (VersionKey::from_slice(&row.blob(5)?)?, row.text(6)?),
        spec: row.int(7)?,
        revoked: row.int(8)? != 0,
        added: row.int(9)?,
    })
}

/// By bisection: the times rise with the numbers, which have no gaps.
pub(crate) fn until(connection: &mut dyn Connection, ledger: &Ledger, time: Time) -> Result<u64, StoreError> {
    let Some(key) = ledger.key else { return Ok(0) };
    let limit = micros(time);
    let (mut low, mut high) = (0, ledger.last + 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        let sql = "SELECT added FROM shown WHERE ledger = ?1 AND number = ?2";
        let values = [Val::Int(key), Val::Int(middle.cast_signed())];
        match first(connection, sql, &values, |row| row.int(0))? {
            Some(added) if added <= limit => low = middle,
            _ => high = middle,
        }
    }
    Ok(low)
}

pub(crate) fn listings(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    after: u64,
    until: u64,
    limit: usize,
) -> Result<Vec<(u64, u64)>, StoreError> {
    let sql = "SELECT seq, object FROM member WHERE collection = ?1 AND seq > ?2 AND seq <= ?3
        ORDER BY seq LIMIT ?4";
    let values = [
        Val::Int(collection.0),
        Val::Int(after.cast_signed()),
        Val::Int(until.cast_signed()),
        Val::Int(limit as i64),
    ];
    all(connection, sql, &values, pair)
}

fn pair(row: &dyn Row) -> Result<(u64, u64), StoreError> {
    Ok((row.int(0)?.cast_unsigned(), row.int(1)?.cast_unsigned()))
}

pub(crate) fn affected(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    after: u64,
    until: u64,
    most: usize,
) -> Result<Option<Vec<(u64, u64)>>, StoreError> {
    let range = [Val::Int(after.cast_signed()), Val::Int(until.cast_signed()), Val::Int(most as i64 + 1)];
    let mut found = BTreeSet::new();
    for sql in [
        "SELECT oid FROM object_version WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
        "SELECT oid FROM rebound WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    ] {
        found.extend(all(connection, sql, &range, |row| row.int(0))?);
    }
    let mut todo: Vec<i64> = found.iter().copied().collect();
    if !todo.is_empty() {
        todo.extend(oid(connection, ANYTHING)?);
    }
    while let Some(one) = todo.pop() {
        if found.len() > most {
            return Ok(None);
        }
        let sql =
            "SELECT v.oid FROM link l JOIN object_version v ON v.seq = l.seq WHERE l.target = ?1 LIMIT ?2";
        for dependent in all(connection, sql, &[Val::Int(one), Val::Int(most as i64 + 1)], |row| row.int(0))?
        {
            if found.insert(dependent) {
                todo.push(dependent);
            }
        }
    }
    let mut listed: BTreeSet<(u64, u64)> =
        listings(connection, collection, after, until, most + 1)?.into_iter().collect();
    for one in found {
        let sql = "SELECT seq, object FROM member WHERE collection = ?1 AND oid = ?2 AND seq <= ?3";
        let values = [Val::Int(collection.0), Val::Int(one), Val::Int(until.cast_signed())];
        listed.extend(all(connection, sql, &values, pair)?);
        if listed.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(listed.into_iter().collect()))
}

pub(crate) fn listed(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    objects: &[u64],
) -> Result<Vec<Stored>, StoreError> {
    let mut found = Vec::new();
    for object in objects {
        let values = [Val::Int(collection.0), Val::Int(object.cast_signed())];
        found.extend(first(connection, STORED_LISTED, &values, stored)?);
    }
    Ok(found)
}
