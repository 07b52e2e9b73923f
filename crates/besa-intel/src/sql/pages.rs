//! Pages of a collection: constant work whatever the collection's size.
//!
//! Listings are read in commit order as one or more **streams** (the whole collection, one per type
//! or one per id asked for), each along an index, and the other filters are judged row by row over
//! these narrow rows. At most [`BUDGET_ROWS`] are looked at for one page; when a filter rejects
//! nearly everything the page is short or empty, and says that there is more. So it does when the
//! objects' texts reach [`PAGE_BYTES_MAX`]: a thousand objects may have sixteen gigabytes.
//!
//! `added_after` is turned into a commit number by bisection, since `date_added` rises with it.

use super::engine::{Write, counter, set_counter};
use super::ingest::{FLAG_FIRST, FLAG_LAST, reflag};
use super::schema::id_digest;
use super::{Connection, Row, Val, all, first};
use crate::store::{
    CollectionKey, Entry, PAGE_MAX, Page, PageQuery, StoreError, Time, VersionFilter, VersionKey, micros,
};

/// Rows looked at for one page.
const BUDGET_ROWS: usize = 8_192;
/// Bytes of objects after which a page ends; its last object may lie beyond.
pub(crate) const PAGE_BYTES_MAX: usize = 4 << 20;
/// Rows read from one stream at a time.
const CHUNK_MAX: usize = 2_048;
/// Ids or types in one query.
const STREAMS_MAX: usize = 1_000;

// SQLite would rather walk the whole collection in order than an index that it has no counts of.
const WHOLE: &str = "SELECT seq, object, oid, version, spec, flags, added FROM member
    WHERE collection = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
const OF_TYPE: &str =
    "SELECT seq, object, oid, version, spec, flags, added FROM member INDEXED BY member_type
    WHERE collection = ?1 AND seq > ?2 AND type = ?4 ORDER BY seq LIMIT ?3";
const OF_ID: &str = "SELECT seq, object, oid, version, spec, flags, added FROM member INDEXED BY member_oid
    WHERE collection = ?1 AND seq > ?2 AND oid = ?4 ORDER BY seq LIMIT ?3";

#[derive(Clone, Copy)]
enum Stream {
    Whole,
    Type(i64),
    Id(i64),
}

/// A narrow row of a collection.
struct Member {
    seq: i64,
    object: i64,
    oid: i64,
    version: VersionKey,
    spec: i64,
    flags: i64,
    added: i64,
}

pub(crate) fn page(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    query: &PageQuery,
) -> Result<Page, StoreError> {
    let mut after = i64::try_from(query.after).unwrap_or(i64::MAX);
    if let Some(time) = query.added_after {
        match added_after(connection, collection, time)? {
            Some(start) => after = after.max(start),
            None => return Ok(Page { next: query.after, ..Page::default() }),
        }
    }
    let limit = query.limit.clamp(1, PAGE_MAX);
    let streams = streams(connection, query)?;
    let (members, next, more) = scan(connection, collection, query, &streams, after, limit)?;
    let mut page = Page { entries: Vec::with_capacity(members.len()), next: next.cast_unsigned(), more };
    let (count, mut bytes) = (members.len(), 0);
    for (index, member) in members.iter().enumerate() {
        let entry = entry(connection, member, query.content)?;
        bytes += entry.raw.len();
        page.entries.push(entry);
        if bytes >= PAGE_BYTES_MAX && index + 1 < count {
            return Ok(Page { next: member.seq.cast_unsigned(), more: true, ..page });
        }
    }
    Ok(page)
}

/// Listings that match, where the scan ended, and whether more may follow.
fn scan(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    query: &PageQuery,
    streams: &[Stream],
    mut after: i64,
    limit: usize,
) -> Result<(Vec<Member>, i64, bool), StoreError> {
    let mut found: Vec<Member> = Vec::new();
    let mut looked_at = 0;
    let mut chunk = limit + 1;
    loop {
        let (rows, horizon) = chunk_of(connection, collection, streams, after, chunk)?;
        looked_at += rows.len();
        for row in rows {
            let seq = row.seq;
            if matches(connection, collection, query, &row)? {
                if found.len() == limit {
                    // One more matches: the page ends at its last object.
                    return Ok((found, after, true));
                }
                found.push(row);
            }
            after = seq;
        }
        let Some(horizon) = horizon else { return Ok((found, after, false)) };
        after = after.max(horizon);
        if looked_at >= BUDGET_ROWS {
            return Ok((found, after, true));
        }
        chunk = (chunk * 4).min(CHUNK_MAX);
    }
}

/// The next rows of all streams in commit order, as far as every stream was read: the horizon, or
/// `None` if every stream was read to its end.
fn chunk_of(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    streams: &[Stream],
    after: i64,
    chunk: usize,
) -> Result<(Vec<Member>, Option<i64>), StoreError> {
    let mut rows = Vec::new();
    let mut horizon = None;
    // Many streams share the chunk, so that a thousand ids cost no more than one type.
    let each = (chunk / streams.len().max(1)).max(2);
    for stream in streams {
        let (sql, key) = match stream {
            Stream::Whole => (WHOLE, None),
            Stream::Type(number) => (OF_TYPE, Some(*number)),
            Stream::Id(number) => (OF_ID, Some(*number)),
        };
        let values =
            [Val::Int(collection.0), Val::Int(after), Val::Int(each as i64), Val::Int(key.unwrap_or(0))];
        let used = if key.is_some() { values.as_slice() } else { values.get(..3).unwrap_or_default() };
        let part = all(connection, sql, used, member)?;
        if part.len() == each {
            let end = part.last().map_or(after, |row| row.seq);
            horizon = Some(horizon.map_or(end, |found: i64| found.min(end)));
        }
        rows.extend(part);
    }
    if streams.len() > 1 {
        rows.sort_by_key(|row| row.seq);
    }
    if let Some(horizon) = horizon {
        rows.retain(|row| row.seq <= horizon);
    }
    Ok((rows, horizon))
}

fn member(row: &dyn Row) -> Result<Member, StoreError> {
    Ok(Member {
        seq: row.int(0)?,
        object: row.int(1)?,
        oid: row.int(2)?,
        version: VersionKey::from_slice(&row.blob(3)?)?,
        spec: row.int(4)?,
        flags: row.int(5)?,
        added: row.int(6)?,
    })
}

fn matches(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    query: &PageQuery,
    row: &Member,
) -> Result<bool, StoreError> {
    if !version_matches(&query.versions, row) {
        return Ok(false);
    }
    match &query.specs {
        Some(specs) => Ok(specs.contains(&row.spec)),
        None if row.spec >= 21 => Ok(true),
        // Of an object held as 2.0 and 2.1, only 2.1 is given by default.
        None => {
            let newer = first(
                connection,
                "SELECT seq FROM member WHERE collection = ?1 AND oid = ?2 AND spec = 21 LIMIT 1",
                &[Val::Int(collection.0), Val::Int(row.oid)],
                |row| row.int(0),
            )?;
            Ok(newer.is_none())
        }
    }
}

fn version_matches(wanted: &VersionFilter, row: &Member) -> bool {
    wanted.all
        || (wanted.last && row.flags & FLAG_LAST != 0)
        || (wanted.first && row.flags & FLAG_FIRST != 0)
        || wanted.exact.contains(&row.version.shown())
}

fn streams(connection: &mut dyn Connection, query: &PageQuery) -> Result<Vec<Stream>, StoreError> {
    if query.ids.len().max(query.types.len()) > STREAMS_MAX {
        return Err(StoreError::Input(format!("more than {STREAMS_MAX} ids or types are asked for at once")));
    }
    if query.ids.is_empty() && query.types.is_empty() {
        return Ok(vec![Stream::Whole]);
    }
    let mut streams = Vec::new();
    if query.ids.is_empty() {
        for name in unique(&query.types) {
            let sql = "SELECT type FROM object_type WHERE name = ?1";
            streams.extend(first(connection, sql, &[Val::Text(name)], |row| row.int(0))?.map(Stream::Type));
        }
        return Ok(streams);
    }
    for id in unique(&query.ids) {
        let object_type = besa_stix::id::split_id(id).map(|(object_type, _)| object_type);
        let wanted = query.types.is_empty()
            || object_type.is_some_and(|found| query.types.iter().any(|name| name == found));
        if wanted {
            streams.extend(oid(connection, id)?.map(Stream::Id));
        }
    }
    Ok(streams)
}

fn unique(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.contains('\0')).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(crate) fn oid(connection: &mut dyn Connection, id: &str) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT oid FROM object_key WHERE digest = ?1";
    first(connection, sql, &[Val::Blob(&id_digest(id))], |row| row.int(0))
}

/// The commit number up to which everything was added at or before a time; `None` if that is all.
fn added_after(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    time: Time,
) -> Result<Option<i64>, StoreError> {
    let limit = micros(time);
    let key = Val::Int(collection.0);
    let read = |row: &dyn Row| Ok((row.int(0)?, row.int(1)?));
    let sql = "SELECT seq, added FROM member WHERE collection = ?1 ORDER BY seq DESC LIMIT 1";
    let Some((last, added)) = first(connection, sql, &[key], read)? else { return Ok(None) };
    if added <= limit {
        return Ok(None);
    }
    // Everything up to `low` is too early; `high` is late enough.
    let (mut low, mut high) = (0, last);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        let sql = "SELECT seq, added FROM member WHERE collection = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1";
        match first(connection, sql, &[key, Val::Int(middle)], read)? {
            Some((seq, added)) if added <= limit => low = seq.max(middle),
            _ => high = middle,
        }
    }
    Ok(Some(low))
}

fn entry(connection: &mut dyn Connection, member: &Member, content: bool) -> Result<Entry, StoreError> {
    let mut entry = Entry {
        seq: member.seq.cast_unsigned(),
        added: member.added,
        spec: member.spec,
        id: String::new(),
        version: String::new(),
        raw: String::new(),
    };
    let object = [Val::Int(member.object)];
    if content {
        let sql = "SELECT raw FROM object_version WHERE seq = ?1";
        entry.raw = first(connection, sql, &object, |row| row.text(0))?.unwrap_or_default();
    } else {
        let sql = "SELECT version_text FROM object_version WHERE seq = ?1";
        entry.version = first(connection, sql, &object, |row| row.text(0))?.unwrap_or_default();
        let sql = "SELECT id FROM object_name WHERE oid = ?1";
        entry.id = first(connection, sql, &[Val::Int(member.oid)], |row| row.text(0))?.unwrap_or_default();
    }
    Ok(entry)
}

pub(crate) fn unlist<C: Connection>(
    write: &mut Write<'_, C>,
    collection: CollectionKey,
    id: &str,
    query: &PageQuery,
) -> Result<u64, StoreError> {
    let connection: &mut dyn Connection = write.connection;
    let Some(oid) = oid(connection, id)? else { return Ok(0) };
    let values = [Val::Int(collection.0), Val::Int(0), Val::Int(i64::MAX), Val::Int(oid)];
    let mut gone = 0;
    for row in all(connection, OF_ID, &values, member)? {
        if matches(connection, collection, query, &row)? {
            let sql = "DELETE FROM member WHERE collection = ?1 AND seq = ?2";
            gone += connection.run(sql, &[Val::Int(collection.0), Val::Int(row.seq)])?;
        }
    }
    if gone > 0 {
        reflag(connection, collection, oid)?;
        // A commit of its own: what was read before is no longer so.
        let seq = counter(connection, "commit")?;
        set_counter(connection, "commit", seq + 1)?;
    }
    Ok(gone)
}
