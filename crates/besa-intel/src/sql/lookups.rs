//! Objects by id, type, observable value, reference and words; requests and conflicts.
//!
//! Lists are in commit order and go on after a commit number. Words are indexed after the commit,
//! when the writer rests or when someone searches; `counter('words')` says how far.
//!
//! A list ends early, never empty, once its texts have [`PAGE_BYTES_MAX`] bytes.

use super::engine::{Write, counter, set_counter};
use super::ingest::read_outcomes;
use super::pages::{PAGE_BYTES_MAX, oid};
use super::{Connection, Row, Val, all, first};
use crate::object::{Role, texts, words};
use crate::observable::normal_form;
use crate::store::{CollectionKey, Conflict, PAGE_MAX, Receipt, StoreError, Stored, Time, VersionKey};

macro_rules! stored {
    ($rest:literal) => {
        concat!(
            "SELECT v.seq, i.id, v.version_text, v.revoked, v.raw, r.who, r.at, r.id, r.release_id,
            g.sender, g.markings, v.spec FROM object_version v
            JOIN object_name i ON i.oid = v.oid JOIN request r ON r.request = v.request
            LEFT JOIN origin g ON g.origin = v.origin ",
            $rest
        )
    };
}

/// A version by number, if it is listed in a collection.
pub(crate) const STORED_LISTED: &str = stored!(
    "WHERE v.seq = ?2 AND EXISTS (SELECT 1 FROM member m
    WHERE m.collection = ?1 AND m.oid = v.oid AND m.spec = v.spec AND m.version = v.version)"
);

pub(crate) fn stored(row: &dyn Row) -> Result<Stored, StoreError> {
    Ok(Stored {
        seq: row.int(0)?.cast_unsigned(),
        id: row.text(1)?,
        version: row.text(2)?,
        revoked: row.int(3)? != 0,
        raw: row.text(4)?,
        who: row.text(5)?,
        received: row.int(6)?,
        request: row.text(7)?,
        spec: row.int(11)?,
        release: row.opt_text(8)?,
        origin: super::origin::read(row.opt_text(9)?.as_deref(), row.opt_text(10)?.as_deref()),
    })
}

/// The rows of a list until their texts reach [`PAGE_BYTES_MAX`].
fn list(
    connection: &mut dyn Connection,
    sql: &'static str,
    values: &[Val<'_>],
) -> Result<Vec<Stored>, StoreError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    connection.rows(sql, values, &mut |row| {
        let one = stored(row)?;
        bytes += one.raw.len();
        found.push(one);
        Ok(bytes < PAGE_BYTES_MAX)
    })?;
    Ok(found)
}

/// Bounds of a list as parameters.
fn bounds(after: u64, limit: usize) -> (Val<'static>, Val<'static>) {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    (Val::Int(after), Val::Int(limit.clamp(1, PAGE_MAX) as i64))
}

pub(crate) fn versions(connection: &mut dyn Connection, id: &str) -> Result<Vec<Stored>, StoreError> {
    let Some(oid) = oid(connection, id)? else { return Ok(Vec::new()) };
    let sql = stored!("WHERE v.oid = ?1 ORDER BY v.version, v.spec");
    all(connection, sql, &[Val::Int(oid)], stored)
}

pub(crate) fn object(
    connection: &mut dyn Connection,
    id: &str,
    version: Option<Time>,
) -> Result<Option<Stored>, StoreError> {
    let Some(oid) = oid(connection, id)? else { return Ok(None) };
    match version {
        Some(time) => {
            let key = VersionKey::of(time);
            let sql = stored!("WHERE v.oid = ?1 AND v.version = ?2 ORDER BY v.spec DESC LIMIT 1");
            first(connection, sql, &[Val::Int(oid), Val::Blob(&key.0)], stored)
        }
        None => {
            let sql =
                stored!("WHERE v.oid = ?1 ORDER BY v.revoked DESC, v.spec DESC, v.version DESC LIMIT 1");
            first(connection, sql, &[Val::Int(oid)], stored)
        }
    }
}

pub(crate) fn since(
    connection: &mut dyn Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let (after, limit) = bounds(after, limit);
    list(connection, stored!("WHERE v.seq > ?1 ORDER BY v.seq LIMIT ?2"), &[after, limit])
}

pub(crate) fn by_type(
    connection: &mut dyn Connection,
    object_type: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let (after, limit) = bounds(after, limit);
    let sql = "SELECT type FROM object_type WHERE name = ?1";
    let number = first(connection, sql, &[Val::Text(object_type)], |row| row.int(0))?;
    let Some(number) = number else { return Ok(Vec::new()) };
    let sql = stored!("WHERE v.type = ?3 AND v.seq > ?1 ORDER BY v.seq LIMIT ?2");
    list(connection, sql, &[after, limit, Val::Int(number)])
}

pub(crate) fn by_observable(
    connection: &mut dyn Connection,
    value: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let (after, limit) = bounds(after, limit);
    let value = normal_form(value);
    let sql = stored!(
        "JOIN observable o ON o.seq = v.seq WHERE o.value = ?3 AND o.seq > ?1 ORDER BY o.seq LIMIT ?2"
    );
    list(connection, sql, &[after, limit, Val::Text(&value)])
}

pub(crate) fn by_reference(
    connection: &mut dyn Connection,
    id: &str,
    role: Option<Role>,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let Some(oid) = oid(connection, id)? else { return Ok(Vec::new()) };
    let (from, most) = bounds(after, limit);
    if let Some(role) = role {
        let sql = stored!(
            "JOIN link l ON l.seq = v.seq WHERE l.target = ?3 AND l.role = ?4 AND l.seq > ?1 ORDER BY l.seq LIMIT ?2"
        );
        return list(connection, sql, &[from, most, Val::Int(oid), Val::Int(role as i64)]);
    }
    let sql = stored!(
        "WHERE v.seq IN (SELECT seq FROM link WHERE target = ?3 AND seq > ?1 AND role < 7) ORDER BY v.seq LIMIT ?2"
    );
    list(connection, sql, &[from, most, Val::Int(oid)])
}

/// Objects that have all of the words: those of the first are looked at one by one.
pub(crate) fn search(
    connection: &mut dyn Connection,
    text: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let mut wanted = words(text);
    // The longest word is likely the rarest.
    wanted.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let Some((rarest, others)) = wanted.split_first() else { return Ok(Vec::new()) };
    let limit = limit.clamp(1, PAGE_MAX);
    let mut after = i64::try_from(after).unwrap_or(i64::MAX);
    let (mut found, mut bytes) = (Vec::new(), 0);
    loop {
        let sql = "SELECT seq FROM word WHERE word = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let step = PAGE_MAX;
        let values = [Val::Text(rarest), Val::Int(after), Val::Int(step as i64)];
        let seqs = all(connection, sql, &values, |row| row.int(0))?;
        for seq in &seqs {
            if has_all(connection, others, *seq)? {
                found.extend(first(connection, stored!("WHERE v.seq = ?1"), &[Val::Int(*seq)], stored)?);
                bytes += found.last().map_or(0, |one: &Stored| one.raw.len());
                if found.len() == limit || bytes >= PAGE_BYTES_MAX {
                    return Ok(found);
                }
            }
        }
        match seqs.last() {
            Some(last) if seqs.len() == step => after = *last,
            _ => return Ok(found),
        }
    }
}

fn has_all(connection: &mut dyn Connection, words: &[String], seq: i64) -> Result<bool, StoreError> {
    for word in words {
        let sql = "SELECT seq FROM word WHERE word = ?1 AND seq = ?2";
        if first(connection, sql, &[Val::Text(word), Val::Int(seq)], |row| row.int(0))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Indexes the words of the next objects; true if there are more.
pub(crate) fn index_words<C: Connection>(write: &mut Write<'_, C>, step: usize) -> Result<bool, StoreError> {
    let connection: &mut dyn Connection = write.connection;
    let done = counter(connection, "words")?;
    if done >= counter(connection, "commit")? {
        return Ok(false);
    }
    let sql = "SELECT seq, raw FROM object_version WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let values = [Val::Int(done), Val::Int(step as i64)];
    let (mut rows, mut bytes) = (Vec::new(), 0);
    connection.rows(sql, &values, &mut |row| {
        let text = row.text(1)?;
        bytes += text.len();
        rows.push((row.int(0)?, text));
        Ok(bytes < PAGE_BYTES_MAX)
    })?;
    for (seq, raw) in &rows {
        for word in words(&texts(raw)) {
            let sql = "INSERT INTO word (word, seq) VALUES (?1, ?2)";
            connection.run(sql, &[Val::Text(&word), Val::Int(*seq)])?;
        }
    }
    let more = rows.len() == step || bytes >= PAGE_BYTES_MAX;
    let last = match rows.last() {
        Some((seq, _)) if more => *seq,
        _ => counter(connection, "commit")?,
    };
    set_counter(connection, "words", last)?;
    Ok(more)
}

pub(crate) fn request(connection: &mut dyn Connection, id: &str) -> Result<Option<Receipt>, StoreError> {
    if id.contains('\0') {
        return Ok(None);
    }
    let sql = "SELECT id, who, at, collection, total, failed, outcomes FROM request WHERE id = ?1";
    first(connection, sql, &[Val::Text(id)], |row| {
        Ok(Receipt {
            request: row.text(0)?,
            who: row.text(1)?,
            at: row.int(2)?,
            collection: row.opt_int(3)?.map(CollectionKey),
            total: row.int(4)?.cast_unsigned(),
            failed: row.int(5)?.cast_unsigned(),
            outcomes: row.opt_text(6)?.as_deref().and_then(read_outcomes),
        })
    })
}

pub(crate) fn conflicts(
    connection: &mut dyn Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<Conflict>, StoreError> {
    let (after, limit) = bounds(after, limit);
    let sql =
        "SELECT c.conflict, i.id, c.raw, r.who, r.at FROM conflict c JOIN object_name i ON i.oid = c.oid
        JOIN request r ON r.request = c.request WHERE c.conflict > ?1 ORDER BY c.conflict LIMIT ?2";
    let (mut found, mut bytes) = (Vec::new(), 0);
    connection.rows(sql, &[after, limit], &mut |row| {
        let raw = row.text(2)?;
        bytes += raw.len();
        let (number, id) = (row.int(0)?.cast_unsigned(), row.text(1)?);
        found.push(Conflict { number, id, raw, who: row.text(3)?, received: row.int(4)? });
        Ok(bytes < PAGE_BYTES_MAX)
    })?;
    Ok(found)
}

pub(crate) fn arrivals(connection: &mut dyn Connection, seq: u64) -> Result<Vec<(String, i64)>, StoreError> {
    let sql = "SELECT r.who, r.at FROM arrival a JOIN request r ON r.request = a.request
        WHERE a.seq = ?1 ORDER BY r.request";
    all(connection, sql, &[Val::Int(seq.cast_signed())], |row| Ok((row.text(0)?, row.int(1)?)))
}
