//! What is not kept for ever: old audit entries, and the details of old requests.
//!
//! Both tables are walked in the order of their numbers, [`STEP`] rows a transaction, so that writers
//! never wait long. An entry's time may run backwards where the clock was set back; the greatest
//! number that is old enough decides, and everything below goes with it.
//!
//! Requests that are the origin of a version, an arrival or a conflict stay, without their outcomes.

use super::engine::{Database, Write, counter, set_counter};
use super::{Connection, Val, all, directory};
use crate::store::{AuditEntry, Keep, StoreError, Tidied, Time, micros, micros_text};

/// Rows in one transaction.
const STEP: i64 = 10_000;
const DAY_MICROS: i64 = 86_400_000_000;

pub(crate) fn tidy<C: Connection>(
    database: &Database<C>,
    keep: &Keep,
    now: Time,
) -> Result<Tidied, StoreError> {
    let now = micros(now);
    let mut tidied = Tidied::default();
    if let Some(days) = keep.audit_days {
        let before = now.saturating_sub(i64::from(days) * DAY_MICROS);
        while let gone @ 1.. = database.write(move |write| cut_audit(write.connection, before, now))? {
            tidied.audit += gone;
        }
    }
    let before = now.saturating_sub(i64::from(keep.status_days.max(1)) * DAY_MICROS);
    while let gone @ 1.. = database.write(move |write| shorten_requests(write, before))? {
        tidied.statuses += gone;
    }
    Ok(tidied)
}

fn cut_audit(connection: &mut dyn Connection, before: i64, now: i64) -> Result<u64, StoreError> {
    let sql = "SELECT entry, at FROM audit ORDER BY entry LIMIT ?1";
    let rows = all(connection, sql, &[Val::Int(STEP)], |row| Ok((row.int(0)?, row.int(1)?)))?;
    let Some(end) = rows.iter().rposition(|(_, at)| *at < before) else { return Ok(0) };
    let cut = rows.get(..=end).unwrap_or_default();
    let (Some((first, from)), Some((last, to))) = (cut.first(), cut.last()) else { return Ok(0) };
    let gone = connection.run("DELETE FROM audit WHERE entry <= ?1", &[Val::Int(*last)])?;
    let target = format!("entries {first} to {last}, {} to {}", micros_text(*from), micros_text(*to));
    let entry = AuditEntry {
        at: now,
        actor: "besa".to_owned(),
        source: "retention".to_owned(),
        action: "audit cut".to_owned(),
        target,
        outcome: format!("{gone} entries removed"),
    };
    directory::insert_audit(connection, &entry)?;
    Ok(gone)
}

fn shorten_requests<C: Connection>(write: &mut Write<'_, C>, before: i64) -> Result<u64, StoreError> {
    let connection: &mut dyn Connection = write.connection;
    let done = counter(connection, "requests tidied")?;
    let sql = "SELECT request, at FROM request WHERE request > ?1 ORDER BY request LIMIT ?2";
    let values = [Val::Int(done), Val::Int(STEP)];
    let rows = all(connection, sql, &values, |row| Ok((row.int(0)?, row.int(1)?)))?;
    let Some(end) = rows.iter().rposition(|(_, at)| *at < before) else { return Ok(0) };
    let Some((last, _)) = rows.get(end) else { return Ok(0) };
    let range = [Val::Int(done), Val::Int(*last)];
    connection.run("DELETE FROM request WHERE request > ?1 AND request <= ?2 AND used = 0", &range)?;
    connection.run("UPDATE request SET outcomes = NULL WHERE request > ?1 AND request <= ?2", &range)?;
    set_counter(connection, "requests tidied", *last)?;
    Ok(end as u64 + 1)
}
