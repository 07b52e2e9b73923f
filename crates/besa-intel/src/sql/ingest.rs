//! Objects in: one batch, one savepoint.
//!
//! For an id never seen before, one insert each into the ids, versions and listing, no look-ups. Else:
//! the exact version is looked up (same content: known; other content: conflict, kept aside), then
//! the creator, `created` and a revocation decide whether a new version is lawful (section 3.6).

use sha2::{Digest, Sha256};

use super::engine::{Write, counter, set_counter};
use super::schema::id_digest;
use super::{Connection, Val, all, first, origin};
use crate::account::fresh_uuid;
use crate::object::{Candidate, Prepared, Refusal, Role, mention_links, same_content};
use crate::store::{
    Batch, CollectionKey, OUTCOMES_KEPT_MAX, Origin, Outcome, Receipt, Sender, StoreError, Time, UNLAWFUL,
    Verdict, VersionKey, micros, micros_text,
};

/// The version is the latest of its object (and specification version) in the collection.
pub(crate) const FLAG_LAST: i64 = 1;
/// The earliest.
pub(crate) const FLAG_FIRST: i64 = 2;
/// Other contents of one version that are kept; more are only refused.
const CONFLICTS_MAX: i64 = 8;
/// Most ids remembered by the writer.
const CACHE_MAX: usize = 10_000;

/// What one batch needs to know all along.
struct Ingest {
    /// Last commit number given.
    seq: i64,
    request: i64,
    who: String,
    /// From whom, and under which markings; its number, if it is not the plain one.
    origin: Origin,
    origin_number: Option<i64>,
    /// Whether a version, an arrival or a conflict names the request.
    used: bool,
    received: i64,
    collection: Option<CollectionKey>,
    /// Last `date_added` given in the collection.
    added: i64,
    now: VersionKey,
    now_text: String,
}

/// What is known of an id.
struct Known {
    oid: i64,
    has_versions: bool,
    /// It was referred to before it came, so its row says nothing of it yet.
    needs_description: bool,
    creator: Option<i64>,
    created: Option<Vec<u8>>,
    revoked: Option<Vec<u8>>,
}

/// A version that is stored.
struct Version<'a> {
    seq: i64,
    oid: i64,
    object_type: i64,
    key: VersionKey,
    spec: i64,
    revoked: Option<&'a [u8]>,
}

pub(crate) fn add_objects<C: Connection>(
    write: &mut Write<'_, C>,
    batch: Batch,
) -> Result<Receipt, StoreError> {
    let request_id = fresh_uuid()?;
    let sql = "SELECT oid FROM object_name ORDER BY oid DESC LIMIT 1";
    write.cache.last_oid = first(write.connection, sql, &[], |row| row.int(0))?.unwrap_or(0);
    let total = batch.objects.len() as u64;
    let origin_number = origin::number(write.connection, &batch.origin)?;
    let request = first(
        write.connection,
        "INSERT INTO request (id, who, at, collection, total, failed, release_id, origin)
        VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7) RETURNING request",
        &[
            Val::Text(&request_id),
            Val::Text(&batch.who),
            Val::Int(micros(batch.at)),
            Val::opt_int(batch.collection.map(|key| key.0)),
            Val::Int(total.cast_signed()),
            Val::opt_text(batch.release.as_deref()),
            Val::opt_int(origin_number),
        ],
        |row| row.int(0),
    )?;
    let mut ingest = Ingest {
        seq: counter(write.connection, "commit")?,
        request: request.unwrap_or_default(),
        who: batch.who.clone(),
        origin: batch.origin,
        origin_number,
        used: false,
        received: micros(batch.at),
        collection: batch.collection,
        added: 0,
        now: VersionKey::unversioned(whole_micros(batch.at)),
        now_text: micros_text(micros(batch.at)),
    };
    if let Some(collection) = batch.collection {
        ingest.added = first(
            write.connection,
            "SELECT last_added FROM collection WHERE collection = ?1",
            &[Val::Int(collection.0)],
            |row| row.int(0),
        )?
        .ok_or_else(|| StoreError::Missing("there is no such collection".to_owned()))?;
    }
    let mut outcomes = Vec::with_capacity(batch.objects.len());
    for object in batch.objects {
        outcomes.push(ingest.one(write, object)?);
    }
    ingest.finish(write.connection)?;
    let failed = outcomes.iter().filter(|outcome| !outcome.is_success()).count() as u64;
    let outcomes = (outcomes.len() <= OUTCOMES_KEPT_MAX).then_some(outcomes);
    write.connection.run(
        "UPDATE request SET failed = ?2, outcomes = ?3, used = ?4 WHERE request = ?1",
        &[
            Val::Int(ingest.request),
            Val::Int(failed.cast_signed()),
            Val::opt_text(outcomes.as_deref().map(write_outcomes).as_deref()),
            Val::Int(i64::from(ingest.used)),
        ],
    )?;
    if let Some(entry) = &batch.audit {
        super::directory::insert_audit(write.connection, entry)?;
    }
    Ok(Receipt {
        request: request_id,
        who: batch.who,
        at: ingest.received,
        collection: batch.collection,
        total,
        failed,
        outcomes,
    })
}

impl Ingest {
    fn one<C: Connection>(
        &mut self,
        write: &mut Write<'_, C>,
        object: Prepared,
    ) -> Result<Outcome, StoreError> {
        let object = match object {
            Ok(object) => object,
            Err(Refusal { id, version, reason }) => {
                return Ok(Outcome {
                    id: id.unwrap_or_else(|| "unknown".to_owned()),
                    version: version.unwrap_or_default(),
                    verdict: Verdict::Refused,
                    message: reason,
                });
            }
        };
        let (verdict, message) = self.store(write, &object)?;
        let message = message.unwrap_or_else(|| object.warnings.join("; "));
        let version = object.version.map_or_else(String::new, |(_, text)| text);
        Ok(Outcome { id: object.id, version, verdict, message })
    }

    fn store<C: Connection>(
        &mut self,
        write: &mut Write<'_, C>,
        object: &Candidate,
    ) -> Result<(Verdict, Option<String>), StoreError> {
        let object_type = type_number(write, &object.object_type)?;
        let creator = object.creator.as_deref().map(|id| id_number(write, id)).transpose()?;
        let known = introduced(write, object, creator)?;
        if known.has_versions {
            if let Some((seq, key, raw)) = held(write.connection, &known, object)? {
                if !same_content(&raw, &object.raw) {
                    self.keep_conflict(write.connection, &known, key, object)?;
                    let message =
                        "this version is held with other content; this content is kept as a conflict";
                    return Ok((Verdict::Conflict, Some(message.to_owned())));
                }
                self.note_arrival(write, seq)?;
                let revoked = known.revoked.as_deref();
                let version = Version { seq, oid: known.oid, object_type, key, spec: object.spec, revoked };
                let listed = self.list(write.connection, &version, false)?;
                return Ok((if listed { Verdict::Added } else { Verdict::Known }, None));
            }
            if let Some(reason) = unlawful(&known, creator, object) {
                if self.origin.from != Sender::Here {
                    // Who sent it may not be told why, so it is not lost either.
                    let key = object.version.as_ref().map_or(self.now, |(key, _)| *key);
                    self.keep_conflict(write.connection, &known, key, object)?;
                }
                return Ok((Verdict::Refused, Some(reason.to_owned())));
            }
        }
        self.insert(write, object, &known, creator, object_type)?;
        Ok((Verdict::Added, None))
    }

    fn insert<C: Connection>(
        &mut self,
        write: &mut Write<'_, C>,
        object: &Candidate,
        known: &Known,
        creator: Option<i64>,
        object_type: i64,
    ) -> Result<(), StoreError> {
        self.seq += 1;
        self.used = true;
        let seq = self.seq;
        let (key, text) = match &object.version {
            Some((key, text)) => (*key, text.as_str()),
            None => (self.now, self.now_text.as_str()),
        };
        write.connection.run(
            "INSERT INTO object_version (seq, oid, type, version, version_text, spec, revoked, unversioned, request, raw, origin)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            &[
                Val::Int(seq),
                Val::Int(known.oid),
                Val::Int(object_type),
                Val::Blob(&key.0),
                Val::Text(text),
                Val::Int(object.spec),
                Val::Int(i64::from(object.revoked)),
                Val::Int(i64::from(object.version.is_none())),
                Val::Int(self.request),
                Val::Text(&object.raw),
                Val::opt_int(self.origin_number),
            ],
        )?;
        let revoked = if object.revoked { Some(key.0.as_slice()) } else { known.revoked.as_deref() };
        if known.needs_description || (known.has_versions && object.revoked) {
            let created = known.created.as_deref().or(object.created.as_ref().map(|key| key.0.as_slice()));
            write.connection.run(
                "UPDATE object_name SET known = 1, creator = ?2, created = ?3, revoked = ?4 WHERE oid = ?1",
                &[
                    Val::Int(known.oid),
                    Val::opt_int(creator),
                    created.map_or(Val::Null, Val::Blob),
                    revoked.map_or(Val::Null, Val::Blob),
                ],
            )?;
        }
        for (role, id) in &object.links {
            let target = match (role, creator) {
                (Role::Creator, Some(creator)) => creator,
                _ => id_number(write, id)?,
            };
            write.connection.run(
                "INSERT INTO link (target, role, seq) VALUES (?1, ?2, ?3)",
                &[Val::Int(target), Val::Int(*role as i64), Val::Int(seq)],
            )?;
        }
        for id in self.origin.under.clone() {
            link_under(write, &id, seq)?;
        }
        for value in &object.observables {
            write.connection.run(
                "INSERT INTO observable (value, seq) VALUES (?1, ?2)",
                &[Val::Text(value), Val::Int(seq)],
            )?;
        }
        let version = Version { seq, oid: known.oid, object_type, key, spec: object.spec, revoked };
        self.list(write.connection, &version, !known.has_versions)?;
        Ok(())
    }

    /// Lists a version in the batch's collection; false if it was there, or there is none.
    fn list(
        &mut self,
        connection: &mut dyn Connection,
        version: &Version<'_>,
        id_is_new: bool,
    ) -> Result<bool, StoreError> {
        let Some(collection) = self.collection else { return Ok(false) };
        let before = if id_is_new { (None, None) } else { ends(connection, collection, version)? };
        if before.1.is_some() {
            let there = first(
                connection,
                "SELECT seq FROM member WHERE collection = ?1 AND oid = ?2 AND spec = ?3 AND version = ?4",
                &[
                    Val::Int(collection.0),
                    Val::Int(version.oid),
                    Val::Int(version.spec),
                    Val::Blob(&version.key.0),
                ],
                |row| row.int(0),
            )?;
            if there.is_some() {
                return Ok(false);
            }
        }
        // A listing that is not also a new object takes a number of its own.
        if version.seq != self.seq {
            self.seq += 1;
        }
        self.added = (self.added + 1).max(self.received);
        connection.run(
            "INSERT INTO member (collection, seq, object, oid, type, version, spec, flags, added)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            &[
                Val::Int(collection.0),
                Val::Int(self.seq),
                Val::Int(version.seq),
                Val::Int(version.oid),
                Val::Int(version.object_type),
                Val::Blob(&version.key.0),
                Val::Int(version.spec),
                Val::Int(if before.1.is_none() { FLAG_LAST | FLAG_FIRST } else { 0 }),
                Val::Int(self.added),
            ],
        )?;
        if before.1.is_some() {
            let after = ends(connection, collection, version)?;
            flag_ends(connection, collection, before, after)?;
        }
        Ok(true)
    }

    /// Notes who sent a version that is held: each sender once under the same markings, or a peer that
    /// is polled every minute would fill the disk. The markings bind from now on.
    fn note_arrival<C: Connection>(&mut self, write: &mut Write<'_, C>, seq: i64) -> Result<(), StoreError> {
        let noted = write.connection.run(
            "INSERT INTO arrival (seq, request) SELECT ?1, ?2 WHERE NOT EXISTS (
                SELECT 1 FROM object_version v JOIN request r ON r.request = v.request
                WHERE v.seq = ?1 AND r.who = ?3 AND coalesce(r.origin, 0) = ?4)
            AND NOT EXISTS (SELECT 1 FROM arrival a JOIN request r ON r.request = a.request
                WHERE a.seq = ?1 AND r.who = ?3 AND coalesce(r.origin, 0) = ?4)",
            &[
                Val::Int(seq),
                Val::Int(self.request),
                Val::Text(&self.who),
                Val::Int(self.origin_number.unwrap_or(0)),
            ],
        )?;
        self.used |= noted > 0;
        if noted == 0 || self.origin.under.is_empty() {
            return Ok(());
        }
        let added = origin::bind(write.connection, seq, &self.origin.under)?;
        if added.is_empty() {
            return Ok(());
        }
        for id in &added {
            link_under(write, id, seq)?;
        }
        // A commit of its own: whoever follows the commits has to look at the version again.
        self.seq += 1;
        write.connection.run(
            "INSERT INTO rebound (seq, oid) SELECT ?1, oid FROM object_version WHERE seq = ?2",
            &[Val::Int(self.seq), Val::Int(seq)],
        )?;
        Ok(())
    }

    fn keep_conflict(
        &mut self,
        connection: &mut dyn Connection,
        known: &Known,
        key: VersionKey,
        object: &Candidate,
    ) -> Result<(), StoreError> {
        let digest = Sha256::digest(object.raw.as_bytes());
        let kept = connection.run(
            "INSERT INTO conflict (oid, version, spec, digest, request, raw) SELECT ?1, ?2, ?3, ?4, ?5, ?6
            WHERE (SELECT count(*) FROM conflict WHERE oid = ?1 AND version = ?2 AND spec = ?3) < ?7
            ON CONFLICT DO NOTHING",
            &[
                Val::Int(known.oid),
                Val::Blob(&key.0),
                Val::Int(object.spec),
                Val::Blob(&digest),
                Val::Int(self.request),
                Val::Text(&object.raw),
                Val::Int(CONFLICTS_MAX),
            ],
        )?;
        self.used |= kept > 0;
        Ok(())
    }

    fn finish(&self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        set_counter(connection, "commit", self.seq)?;
        if let Some(collection) = self.collection {
            connection.run(
                "UPDATE collection SET last_added = ?2 WHERE collection = ?1",
                &[Val::Int(collection.0), Val::Int(self.added)],
            )?;
        }
        Ok(())
    }
}

/// Why an object may not become a new version (section 3.6).
fn unlawful(known: &Known, creator: Option<i64>, object: &Candidate) -> Option<&'static str> {
    let [other_creator, other_created, revoked_before] = UNLAWFUL;
    if known.creator != creator {
        return Some(other_creator);
    }
    let created = object.created.as_ref().map(|key| key.0.as_slice());
    if known.created.as_deref() != created {
        return Some(other_created);
    }
    let version = object.version.as_ref().map(|(key, _)| key.0.as_slice());
    if known.revoked.as_deref().is_some_and(|revoked| version > Some(revoked)) {
        return Some(revoked_before);
    }
    None
}

/// The version with the object's key, if it is held: `(seq, key, text)`.
fn held(
    connection: &mut dyn Connection,
    known: &Known,
    object: &Candidate,
) -> Result<Option<(i64, VersionKey, String)>, StoreError> {
    let read = |row: &dyn super::Row| Ok((row.int(0)?, VersionKey::from_slice(&row.blob(1)?)?, row.text(2)?));
    match &object.version {
        Some((key, _)) => first(
            connection,
            "SELECT seq, version, raw FROM object_version
            WHERE oid = ?1 AND spec = ?2 AND version = ?3",
            &[Val::Int(known.oid), Val::Int(object.spec), Val::Blob(&key.0)],
            read,
        ),
        // An object without timestamps has one version only.
        None => first(
            connection,
            "SELECT seq, version, raw FROM object_version
            WHERE oid = ?1 AND spec = ?2 AND unversioned = 1 LIMIT 1",
            &[Val::Int(known.oid), Val::Int(object.spec)],
            read,
        ),
    }
}

/// Members of a collection that are the last and the first version of an object: `(last, first)`.
fn ends(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    version: &Version<'_>,
) -> Result<(Option<i64>, Option<i64>), StoreError> {
    let key = [Val::Int(collection.0), Val::Int(version.oid), Val::Int(version.spec)];
    let earliest = first(
        connection,
        "SELECT seq FROM member WHERE collection = ?1 AND oid = ?2 AND spec = ?3 ORDER BY version LIMIT 1",
        &key,
        |row| row.int(0),
    )?;
    if earliest.is_none() {
        return Ok((None, None));
    }
    // A revocation is final, even if it came after later versions.
    let mut latest = None;
    if let Some(revoked) = version.revoked {
        let [collection, oid, spec] = key;
        latest = first(
            connection,
            "SELECT seq FROM member WHERE collection = ?1 AND oid = ?2 AND spec = ?3 AND version = ?4",
            &[collection, oid, spec, Val::Blob(revoked)],
            |row| row.int(0),
        )?;
    }
    if latest.is_none() {
        latest = first(
            connection,
            "SELECT seq FROM member WHERE collection = ?1 AND oid = ?2 AND spec = ?3
            ORDER BY version DESC LIMIT 1",
            &key,
            |row| row.int(0),
        )?;
    }
    Ok((latest, earliest))
}

fn flag_ends(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    before: (Option<i64>, Option<i64>),
    after: (Option<i64>, Option<i64>),
) -> Result<(), StoreError> {
    let mut changed: Vec<i64> = [before.0, before.1, after.0, after.1].into_iter().flatten().collect();
    changed.sort_unstable();
    changed.dedup();
    for seq in changed {
        let last = if after.0 == Some(seq) { FLAG_LAST } else { 0 };
        let earliest = if after.1 == Some(seq) { FLAG_FIRST } else { 0 };
        connection.run(
            "UPDATE member SET flags = ?3 WHERE collection = ?1 AND seq = ?2",
            &[Val::Int(collection.0), Val::Int(seq), Val::Int(last | earliest)],
        )?;
    }
    Ok(())
}

/// Flags the ends of an object's versions anew after some were taken out.
pub(crate) fn reflag(
    connection: &mut dyn Connection,
    collection: CollectionKey,
    oid: i64,
) -> Result<(), StoreError> {
    let sql = "SELECT revoked FROM object_name WHERE oid = ?1";
    let revoked = first(connection, sql, &[Val::Int(oid)], |row| row.opt_blob(0))?.flatten();
    for spec in [20, 21] {
        let version = Version {
            seq: 0,
            oid,
            object_type: 0,
            key: VersionKey([0; 12]),
            spec,
            revoked: revoked.as_deref(),
        };
        let after = ends(connection, collection, &version)?;
        flag_ends(connection, collection, (None, None), after)?;
    }
    Ok(())
}

fn type_number<C: Connection>(write: &mut Write<'_, C>, name: &str) -> Result<i64, StoreError> {
    if let Some(number) = write.cache.types.get(name) {
        return Ok(*number);
    }
    let sql = "INSERT INTO object_type (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = ?1 RETURNING type";
    let number = first(write.connection, sql, &[Val::Text(name)], |row| row.int(0))?.unwrap_or_default();
    if write.cache.types.len() < CACHE_MAX {
        write.cache.types.insert(name.to_owned(), number);
    }
    Ok(number)
}

/// The number of an id that is referred to, made if it is new. Creators and markings recur, so these
/// are remembered.
fn id_number<C: Connection>(write: &mut Write<'_, C>, id: &str) -> Result<i64, StoreError> {
    if let Some(number) = write.cache.ids.get(id) {
        return Ok(*number);
    }
    let number = match look_up(write.connection, id)? {
        Some(known) => known.oid,
        None => {
            let oid = name_id(write, id)?;
            let values = [Val::Int(oid), Val::Text(id)];
            write.connection.run("INSERT INTO object_name (oid, id) VALUES (?1, ?2)", &values)?;
            oid
        }
    };
    if write.cache.ids.len() >= CACHE_MAX {
        write.cache.ids.clear();
    }
    write.cache.ids.insert(id.to_owned(), number);
    Ok(number)
}

/// A marking that binds a version by the release under which it came.
fn link_under<C: Connection>(write: &mut Write<'_, C>, id: &str, seq: i64) -> Result<(), StoreError> {
    let target = id_number(write, &id.to_ascii_lowercase())?;
    write.connection.run(
        "INSERT INTO link (target, role, seq) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        &[Val::Int(target), Val::Int(Role::Under as i64), Val::Int(seq)],
    )?;
    Ok(())
}

/// Indexes the ids in texts of objects that were there before texts were looked at.
pub(crate) fn fill_mentions(connection: &mut dyn Connection) -> Result<(), StoreError> {
    let mut after = 0;
    let sql = "SELECT oid FROM object_name ORDER BY oid DESC LIMIT 1";
    let mut last_oid = first(connection, sql, &[], |row| row.int(0))?.unwrap_or(0);
    loop {
        let sql = "SELECT seq, raw FROM object_version WHERE seq > ?1 ORDER BY seq LIMIT 1000";
        let rows = all(connection, sql, &[Val::Int(after)], |row| Ok((row.int(0)?, row.text(1)?)))?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = *last;
        for (seq, raw) in &rows {
            for id in mention_links(raw) {
                let target = match super::pages::oid(connection, &id)? {
                    Some(oid) => oid,
                    None => {
                        last_oid += 1;
                        let key = [Val::Blob(&id_digest(&id)), Val::Int(last_oid)];
                        connection.run("INSERT INTO object_key (digest, oid) VALUES (?1, ?2)", &key)?;
                        let name = [Val::Int(last_oid), Val::Text(&id)];
                        connection.run("INSERT INTO object_name (oid, id) VALUES (?1, ?2)", &name)?;
                        last_oid
                    }
                };
                connection.run(
                    "INSERT INTO link (target, role, seq) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    &[Val::Int(target), Val::Int(Role::Mention as i64), Val::Int(*seq)],
                )?;
            }
        }
    }
}

/// What is known of an object's id; if nothing, its row is made with all it shall say.
fn introduced<C: Connection>(
    write: &mut Write<'_, C>,
    object: &Candidate,
    creator: Option<i64>,
) -> Result<Known, StoreError> {
    if let Some(known) = look_up(write.connection, &object.id)? {
        return Ok(known);
    }
    let oid = name_id(write, &object.id)?;
    let created = object.created.as_ref().map_or(Val::Null, |key| Val::Blob(&key.0));
    let revoked = object.version.as_ref().filter(|_| object.revoked);
    let revoked = revoked.map_or(Val::Null, |(key, _)| Val::Blob(&key.0));
    write.connection.run(
        "INSERT INTO object_name (oid, id, known, creator, created, revoked) VALUES (?1, ?2, 1, ?3, ?4, ?5)",
        &[Val::Int(oid), Val::Text(&object.id), Val::opt_int(creator), created, revoked],
    )?;
    Ok(Known {
        oid,
        has_versions: false,
        needs_description: false,
        creator: None,
        created: None,
        revoked: None,
    })
}

/// The next number, with the key by which the id is found.
fn name_id<C: Connection>(write: &mut Write<'_, C>, id: &str) -> Result<i64, StoreError> {
    write.cache.last_oid += 1;
    let values = [Val::Blob(&id_digest(id)), Val::Int(write.cache.last_oid)];
    write.connection.run("INSERT INTO object_key (digest, oid) VALUES (?1, ?2)", &values)?;
    Ok(write.cache.last_oid)
}

fn look_up(connection: &mut dyn Connection, id: &str) -> Result<Option<Known>, StoreError> {
    let Some(oid) = super::pages::oid(connection, id)? else { return Ok(None) };
    let sql = "SELECT oid, known, creator, created, revoked FROM object_name WHERE oid = ?1";
    first(connection, sql, &[Val::Int(oid)], |row| {
        Ok(Known {
            oid: row.int(0)?,
            has_versions: row.int(1)? != 0,
            needs_description: row.int(1)? == 0,
            creator: row.opt_int(2)?,
            created: row.opt_blob(3)?,
            revoked: row.opt_blob(4)?,
        })
    })
}

/// Cut to what [`micros_text`] shows, so that the version shown can be asked for.
fn whole_micros(time: Time) -> Time {
    Time::from_unix(time.unix_seconds(), time.subsec_nanos() / 1_000 * 1_000)
}

const VERDICTS: [(Verdict, &str); 4] = [
    (Verdict::Added, "added"),
    (Verdict::Known, "known"),
    (Verdict::Conflict, "conflict"),
    (Verdict::Refused, "refused"),
];

fn write_outcomes(outcomes: &[Outcome]) -> String {
    let rows: Vec<[&str; 4]> = outcomes
        .iter()
        .map(|outcome| {
            let verdict = VERDICTS.iter().find(|(verdict, _)| *verdict == outcome.verdict);
            let verdict = verdict.map_or("", |(_, name)| *name);
            [outcome.id.as_str(), outcome.version.as_str(), verdict, outcome.message.as_str()]
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

pub(crate) fn read_outcomes(text: &str) -> Option<Vec<Outcome>> {
    let rows: Vec<[String; 4]> = serde_json::from_str(text).ok()?;
    let outcome = |[id, version, verdict, message]: [String; 4]| {
        let (verdict, _) = VERDICTS.iter().find(|(_, name)| *name == verdict)?;
        Some(Outcome { id, version, verdict: *verdict, message })
    };
    rows.into_iter().map(outcome).collect()
}
