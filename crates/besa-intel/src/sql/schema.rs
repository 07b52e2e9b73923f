//! Numbered migrations: small steps, each in one transaction, never changed once released.
//!
//! `schema_version` holds the number of the last step done. A database of a later release is refused,
//! not guessed at.

use sha2::{Digest, Sha256};

use super::{Connection, Dialect, Val, all, first};
use crate::store::StoreError;

/// The schema this release writes.
pub const SCHEMA_LATEST: i64 = STEPS.len() as i64;

/// Steps in order; step n leads to version n + 1. `{int}`, `{key}`, `{text}`, `{blob}` and `{packed}` are
/// the dialect's words for a 64-bit integer, a number that the database assigns, text compared
/// octet by octet, octets, and a table kept in the order of its key.
const STEPS: [&str; 5] = [
    // 1: objects, collections, accounts.
    "CREATE TABLE counter (name {text} PRIMARY KEY, value {int} NOT NULL);
    INSERT INTO counter (name, value) VALUES ('commit', 0), ('epoch', 0), ('words', 0);
    CREATE TABLE object_type (type {key}, name {text} NOT NULL UNIQUE);
    CREATE TABLE object_id (oid {key}, id {text} NOT NULL UNIQUE, known {int} NOT NULL DEFAULT 0,
        creator {int}, created {blob}, revoked {blob});
    CREATE TABLE object_version (seq {int} PRIMARY KEY, oid {int} NOT NULL, type {int} NOT NULL,
        version {blob} NOT NULL, version_text {text} NOT NULL, spec {int} NOT NULL, revoked {int} NOT NULL,
        unversioned {int} NOT NULL, request {int} NOT NULL, raw {text} NOT NULL);
    CREATE UNIQUE INDEX object_version_key ON object_version (oid, spec, version);
    CREATE INDEX object_version_type ON object_version (type, seq);
    CREATE TABLE request (request {key}, id {text} NOT NULL UNIQUE, who {text} NOT NULL, at {int} NOT NULL,
        collection {int}, total {int} NOT NULL, failed {int} NOT NULL, outcomes {text});
    CREATE TABLE arrival (seq {int} NOT NULL, request {int} NOT NULL, PRIMARY KEY (seq, request)) {packed};
    CREATE TABLE conflict (conflict {key}, oid {int} NOT NULL, version {blob} NOT NULL, spec {int} NOT NULL,
        digest {blob} NOT NULL, request {int} NOT NULL, raw {text} NOT NULL, UNIQUE (oid, version, spec, digest));
    CREATE TABLE link (target {int} NOT NULL, role {int} NOT NULL, seq {int} NOT NULL,
        PRIMARY KEY (target, role, seq)) {packed};
    CREATE TABLE observable (value {text} NOT NULL, seq {int} NOT NULL, PRIMARY KEY (value, seq)) {packed};
    CREATE TABLE word (word {text} NOT NULL, seq {int} NOT NULL, PRIMARY KEY (word, seq)) {packed};
    CREATE TABLE api_root (name {text} PRIMARY KEY);
    INSERT INTO api_root (name) VALUES ('api');
    CREATE TABLE collection (collection {key}, id {text} NOT NULL UNIQUE, root {text} NOT NULL, alias {text},
        title {text} NOT NULL, description {text}, last_added {int} NOT NULL, UNIQUE (root, alias));
    CREATE TABLE member (collection {int} NOT NULL, seq {int} NOT NULL, object {int} NOT NULL, oid {int} NOT NULL,
        type {int} NOT NULL, version {blob} NOT NULL, spec {int} NOT NULL, flags {int} NOT NULL,
        added {int} NOT NULL, PRIMARY KEY (collection, seq)) {packed};
    CREATE INDEX member_type ON member (collection, type, seq);
    CREATE INDEX member_oid ON member (collection, oid, seq);
    CREATE INDEX member_version ON member (collection, oid, spec, version);
    CREATE TABLE account (name {text} PRIMARY KEY, role {text} NOT NULL, password {text},
        certificate {text} UNIQUE, disabled {int} NOT NULL);
    CREATE TABLE token (id {text} PRIMARY KEY, account {text} NOT NULL, label {text} NOT NULL, digest {blob} NOT NULL,
        scope {text} NOT NULL, collection {int}, created {int} NOT NULL, expires {int});
    CREATE TABLE access (collection {int} NOT NULL, account {text} NOT NULL, mode {int} NOT NULL,
        PRIMARY KEY (collection, account)) {packed};
    CREATE TABLE audit (entry {key}, at {int} NOT NULL, actor {text} NOT NULL, source {text} NOT NULL,
        action {text} NOT NULL, target {text} NOT NULL, outcome {text} NOT NULL);",
    // 2: cursors of our own pulls.
    "CREATE TABLE cursor_name (name {text} PRIMARY KEY, value {text} NOT NULL);",
    // 3: which requests are the origin of something, so that the others need not be kept for ever.
    "ALTER TABLE request ADD COLUMN used {int} NOT NULL DEFAULT 1;
    INSERT INTO counter (name, value) VALUES ('requests tidied', 0);",
    // 4: ids are found by sixteen octets of their SHA-256. Ids are random, so each insert touches a page
    // of its own; an index a third as large stays in memory and is copied less often.
    "CREATE TABLE object_name (oid {int} PRIMARY KEY, id {text} NOT NULL, known {int} NOT NULL DEFAULT 0,
        creator {int}, created {blob}, revoked {blob});
    INSERT INTO object_name (oid, id, known, creator, created, revoked)
        SELECT oid, id, known, creator, created, revoked FROM object_id;
    DROP TABLE object_id;
    CREATE TABLE object_key (digest {blob} PRIMARY KEY, oid {int} NOT NULL) {packed};",
    // 5: whose an account is, from whom and under which markings an object came, and what each reader
    // from outside was shown. Everything that is there already was brought in by the node's own people.
    "ALTER TABLE account ADD COLUMN member {text};
    ALTER TABLE request ADD COLUMN release_id {text};
    ALTER TABLE request ADD COLUMN origin {int};
    CREATE TABLE origin (origin {key}, sender {text} NOT NULL, markings {text} NOT NULL, UNIQUE (sender, markings));
    ALTER TABLE object_version ADD COLUMN origin {int};
    CREATE TABLE rebound (seq {int} PRIMARY KEY, oid {int} NOT NULL);
    CREATE TABLE ledger (ledger {key}, collection {int} NOT NULL, reader {text} NOT NULL, mark {text} NOT NULL,
        seen {int} NOT NULL, walked {int}, walk_began {int}, again_at {int}, last {int} NOT NULL,
        added {int} NOT NULL, UNIQUE (collection, reader));
    CREATE TABLE shown (ledger {int} NOT NULL, number {int} NOT NULL, object {int} NOT NULL, digest {blob} NOT NULL,
        id {text} NOT NULL, type {text} NOT NULL, version {blob} NOT NULL, version_text {text} NOT NULL,
        spec {int} NOT NULL, revoked {int} NOT NULL, added {int} NOT NULL, PRIMARY KEY (ledger, number)) {packed};
    CREATE UNIQUE INDEX shown_digest ON shown (ledger, digest);
    CREATE INDEX shown_id ON shown (ledger, id, number);
    CREATE INDEX shown_type ON shown (ledger, type, number);",
];

/// The step after which [`fill_keys`] runs.
const KEYS_STEP: i64 = 4;
/// The step after which ids in the texts of the objects that are there are indexed.
const MENTIONS_STEP: i64 = 5;

/// Makes the keys of ids that were there before there were keys.
fn fill_keys(connection: &mut dyn Connection) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let sql = "SELECT oid, id FROM object_name WHERE oid > ?1 ORDER BY oid LIMIT 10000";
        let ids = all(connection, sql, &[Val::Int(after)], |row| Ok((row.int(0)?, row.text(1)?)))?;
        let Some((last, _)) = ids.last() else { return Ok(()) };
        after = *last;
        for (oid, id) in &ids {
            let values = [Val::Blob(&id_digest(id)), Val::Int(*oid)];
            connection.run("INSERT INTO object_key (digest, oid) VALUES (?1, ?2)", &values)?;
        }
    }
}

/// By what an id is found.
pub(crate) fn id_digest(id: &str) -> [u8; 16] {
    let digest = Sha256::digest(id.as_bytes());
    let mut key = [0; 16];
    key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    key
}

/// Brings a database to [`SCHEMA_LATEST`], or fails without changing it.
pub(crate) fn migrate(connection: &mut dyn Connection) -> Result<(), StoreError> {
    migrate_to(connection, SCHEMA_LATEST)
}

/// Brings a database to a version; tests make old databases with it.
pub(crate) fn migrate_to(connection: &mut dyn Connection, wanted: i64) -> Result<(), StoreError> {
    let dialect = connection.dialect();
    begin_write(connection)?;
    let done = steps(connection, dialect, wanted);
    match done {
        Ok(()) => connection.script("COMMIT"),
        Err(error) => {
            connection.script("ROLLBACK").ok();
            Err(error)
        }
    }
}

fn steps(connection: &mut dyn Connection, dialect: Dialect, wanted: i64) -> Result<(), StoreError> {
    let table = "CREATE TABLE IF NOT EXISTS schema_version (version {int} NOT NULL)";
    connection.script(&spell(dialect, table))?;
    let found = first(connection, "SELECT version FROM schema_version", &[], |row| row.int(0))?;
    if found.is_none() {
        connection.script("INSERT INTO schema_version (version) VALUES (0)")?;
    }
    let found = found.unwrap_or(0);
    if found > SCHEMA_LATEST {
        return Err(StoreError::Broken(format!(
            "its schema has number {found}, this release knows {SCHEMA_LATEST}; use the release that wrote it"
        )));
    }
    let todo = STEPS.iter().take(usize::try_from(wanted).unwrap_or(0));
    for (number, step) in (1..).zip(todo).skip(usize::try_from(found).unwrap_or(0)) {
        connection.script(&spell(dialect, step))?;
        if number == KEYS_STEP {
            fill_keys(connection)?;
        }
        if number == MENTIONS_STEP {
            super::ingest::fill_mentions(connection)?;
        }
    }
    connection.run("UPDATE schema_version SET version = ?1", &[Val::Int(wanted.max(found))])?;
    Ok(())
}

/// Starts a transaction that no other writer shares, in this process or another.
pub(crate) fn begin_write(connection: &mut dyn Connection) -> Result<(), StoreError> {
    match connection.dialect() {
        Dialect::Sqlite => connection.script("BEGIN IMMEDIATE"),
        // Held to the end of the transaction, so numbers become visible in their order.
        Dialect::Postgres => connection.script("BEGIN; SELECT pg_advisory_xact_lock(4774431)"),
    }
}

fn spell(dialect: Dialect, sql: &str) -> String {
    let words = match dialect {
        Dialect::Sqlite => [
            ("{int}", "INTEGER"),
            ("{key}", "INTEGER PRIMARY KEY"),
            ("{text}", "TEXT"),
            ("{blob}", "BLOB"),
            ("{packed}", "WITHOUT ROWID"),
        ],
        Dialect::Postgres => [
            ("{int}", "BIGINT"),
            ("{key}", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
            ("{text}", "TEXT COLLATE \"C\""),
            ("{blob}", "BYTEA"),
            ("{packed}", ""),
        ],
    };
    words.iter().fold(sql.to_owned(), |sql, (name, word)| sql.replace(name, word))
}
