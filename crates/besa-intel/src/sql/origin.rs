//! From whom objects came and under which markings: few combinations, each kept once.
//!
//! A version without a number is of our own, under nothing.

use super::{Connection, Val, first};
use crate::store::{Origin, Sender, StoreError};

/// How [`Sender::Outside`] is written; a member is written as its identity.
const OUTSIDE: &str = "-";

fn sender_text(sender: &Sender) -> &str {
    match sender {
        Sender::Here => "",
        Sender::Member(member) => member,
        Sender::Outside => OUTSIDE,
    }
}

/// The origin of a row's two columns.
pub(crate) fn read(sender: Option<&str>, markings: Option<&str>) -> Origin {
    let from = match sender {
        None | Some("") => Sender::Here,
        Some(OUTSIDE) => Sender::Outside,
        Some(member) => Sender::Member(member.to_owned()),
    };
    let under = markings.unwrap_or_default();
    Origin { from, under: under.split_whitespace().map(str::to_owned).collect() }
}

/// The markings in lower case, sorted, each once.
fn tidy(under: &[String]) -> Vec<String> {
    let mut under: Vec<String> = under.iter().map(|id| id.to_ascii_lowercase()).collect();
    under.sort();
    under.dedup();
    under
}

/// The number of an origin, made if it is new; `None` for our own.
pub(crate) fn number(connection: &mut dyn Connection, origin: &Origin) -> Result<Option<i64>, StoreError> {
    let whole = |id: &String| besa_stix::id::split_id(id).is_some();
    if !origin.under.iter().all(whole) {
        return Err(StoreError::Input("a marking of the release is no identifier".to_owned()));
    }
    if let Sender::Member(member) = &origin.from
        && besa_stix::id::split_id(member).is_none_or(|(object_type, _)| object_type != "identity")
    {
        return Err(StoreError::Input(format!("`{member}` is no member's identity")));
    }
    if *origin == Origin::default() {
        return Ok(None);
    }
    let markings = tidy(&origin.under).join(" ");
    let sql = "INSERT INTO origin (sender, markings) VALUES (?1, ?2)
        ON CONFLICT (sender, markings) DO UPDATE SET sender = ?1 RETURNING origin";
    first(connection, sql, &[Val::Text(sender_text(&origin.from)), Val::Text(&markings)], |row| row.int(0))
}

/// Adds markings to those that bind another's version; gives those that are new. Our own are bound by
/// nothing that comes back.
pub(crate) fn bind(
    connection: &mut dyn Connection,
    seq: i64,
    under: &[String],
) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT o.sender, o.markings FROM object_version v JOIN origin o ON o.origin = v.origin
        WHERE v.seq = ?1";
    let held = first(connection, sql, &[Val::Int(seq)], |row| {
        Ok(read(row.opt_text(0)?.as_deref(), row.opt_text(1)?.as_deref()))
    })?;
    let Some(mut origin) = held.filter(|origin| origin.from != Sender::Here) else { return Ok(Vec::new()) };
    let mut added = tidy(under);
    added.retain(|id| !origin.under.contains(id));
    if added.is_empty() {
        return Ok(added);
    }
    origin.under.extend(added.iter().cloned());
    let together = number(connection, &origin)?;
    let sql = "UPDATE object_version SET origin = ?2 WHERE seq = ?1";
    connection.run(sql, &[Val::Int(seq), Val::opt_int(together)])?;
    Ok(added)
}
