//! Accounts, collections, rights, the audit log, and [`Store`] itself over [`Database`].

use super::engine::{Database, Write, counter, set_counter};
use super::{Connection, Row, Val, all, first, ingest, ledger, lookups, pages, tidy};
use crate::account::{Role, Scope, fresh_uuid};
use crate::object::Role as LinkRole;
use crate::store::{
    Access, AuditEntry, Batch, Collection, CollectionKey, Conflict, Directory, Keep, Ledger, MEMBER_PUBLIC,
    NewCollection, Page, PageQuery, Receipt, RowsOf, Shown, Store, StoreError, Stored, Tidied, Time, Token,
    User, VersionFilter, micros,
};

/// Names that no API root may have: they are paths of their own.
const RESERVED_ROOTS: [&str; 7] = ["taxii2", "health", "ready", "metrics", "static", "ui", "admin"];

impl<C: Connection> Store for Database<C> {
    fn add_objects(&self, batch: Batch) -> Result<Receipt, StoreError> {
        self.write(move |write| ingest::add_objects(write, batch))
    }

    fn request(&self, id: &str) -> Result<Option<Receipt>, StoreError> {
        self.read(|connection| lookups::request(connection, id))
    }

    fn page(&self, collection: CollectionKey, query: &PageQuery) -> Result<Page, StoreError> {
        self.read(|connection| pages::page(connection, collection, query))
    }

    fn unlist(
        &self,
        collection: CollectionKey,
        id: &str,
        versions: &VersionFilter,
        specs: Option<&[i64]>,
        audit: Option<AuditEntry>,
    ) -> Result<u64, StoreError> {
        let id = id.to_owned();
        let versions = versions.clone();
        let query = PageQuery { versions, specs: specs.map(<[i64]>::to_vec), ..PageQuery::default() };
        self.write(move |write| {
            let gone = pages::unlist(write, collection, &id, &query)?;
            if let Some(entry) = &audit {
                insert_audit(write.connection, entry)?;
            }
            Ok(gone)
        })
    }

    fn versions(&self, id: &str) -> Result<Vec<Stored>, StoreError> {
        self.read(|connection| lookups::versions(connection, id))
    }

    fn object(&self, id: &str, version: Option<Time>) -> Result<Option<Stored>, StoreError> {
        self.read(|connection| lookups::object(connection, id, version))
    }

    fn since(&self, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.read(|connection| lookups::since(connection, after, limit))
    }

    fn by_type(&self, object_type: &str, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.read(|connection| lookups::by_type(connection, object_type, after, limit))
    }

    fn by_observable(&self, value: &str, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.read(|connection| lookups::by_observable(connection, value, after, limit))
    }

    fn by_reference(
        &self,
        id: &str,
        role: Option<LinkRole>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.read(|connection| lookups::by_reference(connection, id, role, after, limit))
    }

    fn search(&self, words: &str, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        while self.write(|write| lookups::index_words(write, 2_000))? {}
        self.read(|connection| lookups::search(connection, words, after, limit))
    }

    fn conflicts(&self, after: u64, limit: usize) -> Result<Vec<Conflict>, StoreError> {
        self.read(|connection| lookups::conflicts(connection, after, limit))
    }

    fn arrivals(&self, seq: u64) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(|connection| lookups::arrivals(connection, seq))
    }

    fn ledger(&self, collection: CollectionKey, reader: &str) -> Result<Ledger, StoreError> {
        self.read(|connection| ledger::ledger(connection, collection, reader))
    }

    fn advance_ledger(&self, before: &Ledger, after: &Ledger, shown: Vec<Shown>) -> Result<bool, StoreError> {
        let (before, after) = (before.clone(), after.clone());
        self.write(move |write| ledger::advance(write, &before, &after, &shown))
    }

    fn ledger_rows(
        &self,
        ledger: &Ledger,
        of: &RowsOf<'_>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Shown>, StoreError> {
        let Some(key) = ledger.key else { return Ok(Vec::new()) };
        self.read(|connection| ledger::rows(connection, key, of, after, limit))
    }

    fn ledger_until(&self, ledger: &Ledger, time: Time) -> Result<u64, StoreError> {
        self.read(|connection| ledger::until(connection, ledger, time))
    }

    fn listings(
        &self,
        collection: CollectionKey,
        after: u64,
        until: u64,
        limit: usize,
    ) -> Result<Vec<(u64, u64)>, StoreError> {
        self.read(|connection| ledger::listings(connection, collection, after, until, limit))
    }

    fn affected(
        &self,
        collection: CollectionKey,
        after: u64,
        until: u64,
        most: usize,
    ) -> Result<Option<Vec<(u64, u64)>>, StoreError> {
        self.read(|connection| ledger::affected(connection, collection, after, until, most))
    }

    fn listed(&self, collection: CollectionKey, objects: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.read(|connection| ledger::listed(connection, collection, objects))
    }

    fn add_collection(&self, new: &NewCollection, at: Time) -> Result<Collection, StoreError> {
        check_collection(new)?;
        let new = new.clone();
        self.write(move |write| add_collection(write, new, at))
    }

    fn set_access(&self, collection: CollectionKey, user: &str, access: Access) -> Result<(), StoreError> {
        let user = user.to_owned();
        self.write(move |write| {
            need_user(write.connection, &user)?;
            let mode = i64::from(access.read) | i64::from(access.write) << 1;
            let sql = "SELECT member FROM account WHERE name = ?1";
            let member = first(write.connection, sql, &[Val::Text(&user)], |row| row.opt_text(0))?.flatten();
            if member.is_some() && access.read && access.write {
                return Err(one_way_only(&user));
            }
            write.connection.run(
                "INSERT INTO access (collection, account, mode) VALUES (?1, ?2, ?3)
                ON CONFLICT (collection, account) DO UPDATE SET mode = ?3",
                &[Val::Int(collection.0), Val::Text(&user), Val::Int(mode)],
            )?;
            bump(write.connection)
        })
    }

    fn add_user(&self, user: &User) -> Result<(), StoreError> {
        check_name(&user.name)?;
        check_member(user)?;
        let user = user.clone();
        self.write(move |write| {
            let made = write.connection.run(
                "INSERT INTO account (name, role, password, certificate, disabled, member)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                &user_values(&user),
            )?;
            if made == 0 {
                return Err(StoreError::Exists(format!(
                    "a user `{}`, or one with this certificate, is there already",
                    user.name
                )));
            }
            bump(write.connection)
        })
    }

    fn update_user(&self, user: &User) -> Result<(), StoreError> {
        check_member(user)?;
        let user = user.clone();
        self.write(move |write| {
            need_user(write.connection, &user.name)?;
            let sql = "SELECT mode FROM access WHERE account = ?1 AND mode = 3 LIMIT 1";
            let both = first(write.connection, sql, &[Val::Text(&user.name)], |row| row.int(0))?;
            if user.member.is_some() && both.is_some() {
                return Err(one_way_only(&user.name));
            }
            let sql =
                "UPDATE account SET role = ?2, password = ?3, certificate = ?4, disabled = ?5, member = ?6
                WHERE name = ?1";
            write.connection.run(sql, &user_values(&user))?;
            bump(write.connection)
        })
    }

    fn remove_user(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |write| {
            need_user(write.connection, &name)?;
            let name = [Val::Text(&name)];
            write.connection.run("DELETE FROM token WHERE account = ?1", &name)?;
            write.connection.run("DELETE FROM access WHERE account = ?1", &name)?;
            write.connection.run("DELETE FROM account WHERE name = ?1", &name)?;
            bump(write.connection)
        })
    }

    fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        let token = token.clone();
        self.write(move |write| {
            need_user(write.connection, &token.user)?;
            write.connection.run(
                "INSERT INTO token (id, account, label, digest, scope, collection, created, expires)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                &[
                    Val::Text(&token.id),
                    Val::Text(&token.user),
                    Val::Text(&token.label),
                    Val::Blob(&token.hash),
                    Val::Text(token.scope.name()),
                    Val::opt_int(token.collection.map(|key| key.0)),
                    Val::Int(token.created),
                    Val::opt_int(token.expires),
                ],
            )?;
            bump(write.connection)
        })
    }

    fn remove_token(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |write| {
            let gone = write.connection.run("DELETE FROM token WHERE id = ?1", &[Val::Text(&id)])?;
            if gone == 0 {
                return Err(StoreError::Missing(format!("there is no token `{id}`")));
            }
            bump(write.connection)
        })
    }

    fn epoch(&self) -> Result<i64, StoreError> {
        self.read(|connection| counter(connection, "epoch"))
    }

    fn directory(&self) -> Result<Directory, StoreError> {
        self.read(|connection| directory(connection))
    }

    fn audit_soon(&self, entry: AuditEntry) -> bool {
        self.write_soon(move |write| insert_audit(write.connection, &entry))
    }

    fn audit(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        self.write(move |write| entries.iter().try_for_each(|entry| insert_audit(write.connection, entry)))
    }

    fn audit_log(&self, after: u64, limit: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        let sql = "SELECT entry, at, actor, source, action, target, outcome FROM audit
            WHERE entry > ?1 ORDER BY entry LIMIT ?2";
        let values = [Val::Int(i64::try_from(after).unwrap_or(i64::MAX)), Val::Int(limit as i64)];
        self.read(|connection| {
            all(connection, sql, &values, |row| {
                let entry = AuditEntry {
                    at: row.int(1)?,
                    actor: row.text(2)?,
                    source: row.text(3)?,
                    action: row.text(4)?,
                    target: row.text(5)?,
                    outcome: row.text(6)?,
                };
                Ok((row.int(0)?.cast_unsigned(), entry))
            })
        })
    }

    fn tidy(&self, keep: &Keep, now: Time) -> Result<Tidied, StoreError> {
        tidy::tidy(self, keep, now)
    }

    fn cursor(&self, name: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM cursor_name WHERE name = ?1";
        self.read(|connection| first(connection, sql, &[Val::Text(name)], |row| row.text(0)))
    }

    fn set_cursor(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.write(move |write| {
            let sql = "INSERT INTO cursor_name (name, value) VALUES (?1, ?2)
                ON CONFLICT (name) DO UPDATE SET value = ?2";
            write.connection.run(sql, &[Val::Text(&name), Val::Text(&value)])?;
            Ok(())
        })
    }

    fn check(&self) -> Result<(), StoreError> {
        self.read(|connection| counter(connection, "commit"))?;
        self.write(|write| counter(write.connection, "commit").map(|_| ()))
    }

    fn last_commit(&self) -> Result<u64, StoreError> {
        self.read(|connection| counter(connection, "commit").map(i64::cast_unsigned))
    }
}

fn bump(connection: &mut dyn Connection) -> Result<(), StoreError> {
    let epoch = counter(connection, "epoch")?;
    set_counter(connection, "epoch", epoch + 1)
}

fn need_user(connection: &mut dyn Connection, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT role FROM account WHERE name = ?1";
    let found = first(connection, sql, &[Val::Text(name)], |row| row.text(0))?;
    found.map(|_| ()).ok_or_else(|| {
        StoreError::Missing(format!("there is no user `{name}`; make it with `besa user add {name}`"))
    })
}

fn user_values(user: &User) -> [Val<'_>; 6] {
    [
        Val::Text(&user.name),
        Val::Text(user.role.name()),
        Val::opt_text(user.password.as_deref()),
        Val::opt_text(user.certificate.as_deref()),
        Val::Int(i64::from(user.disabled)),
        Val::opt_text(user.member.as_deref()),
    ]
}

/// Who stands for somebody outside is none of the node's own people.
fn check_member(user: &User) -> Result<(), StoreError> {
    let Some(member) = user.member.as_deref() else { return Ok(()) };
    let identity = besa_stix::id::split_id(member).is_some_and(|(object_type, _)| object_type == "identity");
    if !(identity || member == MEMBER_PUBLIC) || member.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(StoreError::Input(format!(
            "`{member}` is no member: give the identity's id in lower case, or `{MEMBER_PUBLIC}`"
        )));
    }
    if user.role > Role::Contributor {
        let role = user.role.name();
        return Err(StoreError::Input(format!(
            "an account that stands for a member cannot be an {role}; make it a reader or contributor"
        )));
    }
    Ok(())
}

/// What comes back of what one sends oneself would show what is held already.
fn one_way_only(user: &str) -> StoreError {
    StoreError::Input(format!(
        "`{user}` stands for a member, and may read a collection or write to it, not both; give `ro` or `wo`"
    ))
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@'));
    if fits {
        return Ok(());
    }
    Err(StoreError::Input(format!("`{name}` is no user name; use 1 to 64 of a-z, A-Z, 0-9, `-_.@`")))
}

fn check_collection(new: &NewCollection) -> Result<(), StoreError> {
    let path_part = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !path_part(&new.root) || RESERVED_ROOTS.contains(&new.root.as_str()) {
        let root = &new.root;
        return Err(StoreError::Input(format!(
            "`{root}` cannot be an API root; use 1 to 64 of a-z, 0-9, `-`"
        )));
    }
    if let Some(alias) = new.alias.as_deref().filter(|alias| !path_part(alias)) {
        return Err(StoreError::Input(format!("`{alias}` cannot be an alias; use 1 to 64 of a-z, 0-9, `-`")));
    }
    let uuid = |id: &str| besa_stix::id::split_id(&format!("uuid--{id}")).is_some();
    if let Some(id) = new.id.as_deref().filter(|id| !uuid(id)) {
        return Err(StoreError::Input(format!("`{id}` is no UUID")));
    }
    if new.title.trim().is_empty() || new.title.contains('\0') {
        return Err(StoreError::Input("a collection needs a title".to_owned()));
    }
    Ok(())
}

fn add_collection<C: Connection>(
    write: &mut Write<'_, C>,
    new: NewCollection,
    at: Time,
) -> Result<Collection, StoreError> {
    let id = new.id.map_or_else(fresh_uuid, Ok)?.to_ascii_lowercase();
    let sql = "INSERT INTO api_root (name) VALUES (?1) ON CONFLICT DO NOTHING";
    write.connection.run(sql, &[Val::Text(&new.root)])?;
    let key = first(
        write.connection,
        "INSERT INTO collection (id, root, alias, title, description, last_added) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT DO NOTHING RETURNING collection",
        &[
            Val::Text(&id),
            Val::Text(&new.root),
            Val::opt_text(new.alias.as_deref()),
            Val::Text(&new.title),
            Val::opt_text(new.description.as_deref()),
            Val::Int(micros(at)),
        ],
        |row| row.int(0),
    )?;
    let key = key
        .ok_or_else(|| StoreError::Exists("a collection of this id or alias is there already".to_owned()))?;
    bump(write.connection)?;
    let (root, alias, title, description) = (new.root, new.alias, new.title, new.description);
    Ok(Collection { key: CollectionKey(key), id, root, alias, title, description })
}

fn directory(connection: &mut dyn Connection) -> Result<Directory, StoreError> {
    let sql_collections =
        "SELECT collection, id, root, alias, title, description FROM collection ORDER BY collection";
    let sql_users = "SELECT name, role, password, certificate, disabled, member FROM account ORDER BY name";
    let sql_tokens = "SELECT id, account, label, digest, scope, collection, created, expires FROM token ORDER BY created, id";
    let sql_access = "SELECT collection, account, mode FROM access ORDER BY collection, account";
    Ok(Directory {
        epoch: counter(connection, "epoch")?,
        roots: all(connection, "SELECT name FROM api_root ORDER BY name", &[], |row| row.text(0))?,
        collections: all(connection, sql_collections, &[], read_collection)?,
        users: all(connection, sql_users, &[], read_user)?,
        tokens: all(connection, sql_tokens, &[], read_token)?,
        access: all(connection, sql_access, &[], |row| {
            let mode = row.int(2)?;
            let access = Access { read: mode & 1 != 0, write: mode & 2 != 0 };
            Ok((CollectionKey(row.int(0)?), row.text(1)?, access))
        })?,
    })
}

fn read_collection(row: &dyn Row) -> Result<Collection, StoreError> {
    Ok(Collection {
        key: CollectionKey(row.int(0)?),
        id: row.text(1)?,
        root: row.text(2)?,
        alias: row.opt_text(3)?,
        title: row.text(4)?,
        description: row.opt_text(5)?,
    })
}

fn read_user(row: &dyn Row) -> Result<User, StoreError> {
    let role = row.text(1)?;
    Ok(User {
        name: row.text(0)?,
        role: Role::parse(&role).ok_or_else(|| StoreError::Broken(format!("`{role}` is no role")))?,
        password: row.opt_text(2)?,
        certificate: row.opt_text(3)?,
        disabled: row.int(4)? != 0,
        member: row.opt_text(5)?,
    })
}

fn read_token(row: &dyn Row) -> Result<Token, StoreError> {
    let scope = row.text(4)?;
    Ok(Token {
        id: row.text(0)?,
        user: row.text(1)?,
        label: row.text(2)?,
        hash: row.blob(3)?,
        scope: Scope::parse(&scope).ok_or_else(|| StoreError::Broken(format!("`{scope}` is no scope")))?,
        collection: row.opt_int(5)?.map(CollectionKey),
        created: row.int(6)?,
        expires: row.opt_int(7)?,
    })
}

/// Longest text in one column of the audit log, in characters: a stranger chooses some of them.
const AUDIT_CHARS_MAX: usize = 300;

pub(crate) fn insert_audit(connection: &mut dyn Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    let clip = |text: &str| text.replace('\0', "\u{fffd}").chars().take(AUDIT_CHARS_MAX).collect::<String>();
    connection.run(
        "INSERT INTO audit (at, actor, source, action, target, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            Val::Int(entry.at),
            Val::Text(&clip(&entry.actor)),
            Val::Text(&clip(&entry.source)),
            Val::Text(&clip(&entry.action)),
            Val::Text(&clip(&entry.target)),
            Val::Text(&clip(&entry.outcome)),
        ],
    )?;
    Ok(())
}
