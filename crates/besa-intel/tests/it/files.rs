//! A fresh, an old, a foreign and a damaged file; backups.

use besa_intel::{PageQuery, Store, StoreError, Time, open_sqlite};

use crate::support::{add, campaign, collection, now, uuid, verdicts, walk};

#[test]
fn foreign_damaged_and_later_files_are_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let foreign = rusqlite::Connection::open(path("foreign")).unwrap();
    foreign.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(foreign);
    std::fs::write(path("text"), "no database at all, but long enough to be read as one".repeat(99)).unwrap();
    drop(open_sqlite(&path("later")).unwrap());
    let later = rusqlite::Connection::open(path("later")).unwrap();
    later.execute_batch("UPDATE schema_version SET version = 99").unwrap();
    drop(later);
    for name in ["foreign", "text", "later"] {
        let before = std::fs::read(path(name)).unwrap();
        let Err(StoreError::Broken(reason)) = open_sqlite(&path(name)) else { panic!("{name} was opened") };
        assert!(reason.len() > 20, "{reason}");
        if name != "later" {
            assert_eq!(std::fs::read(path(name)).unwrap(), before, "{name} was changed");
        }
    }
    let damaged = path("damaged");
    let store = open_sqlite(&damaged).unwrap();
    let feed = collection(&store, "feed");
    let objects: Vec<String> = (0..500).map(|n| campaign(n, "2024-01-01T00:00:00.000Z", "")).collect();
    add(&store, now(), Some(feed), &objects);
    drop(store);
    let mut bytes = std::fs::read(&damaged).unwrap();
    let len = bytes.len();
    bytes[4096..len].iter_mut().step_by(3).for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&damaged, bytes).unwrap();
    // Refused at once or at the first read; never wrong objects, never a panic.
    if let Ok(store) = open_sqlite(&damaged) {
        assert!(matches!(store.page(feed, &PageQuery::default()), Err(StoreError::Broken(_))));
    }
}

#[test]
fn a_backup_of_a_store_in_use_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a"), folder.path().join("b"));
    let store = open_sqlite(&from).unwrap();
    let feed = collection(&store, "feed");
    add(&store, now(), Some(feed), &[campaign(1, "2024-01-01T00:00:00.000Z", "")]);
    besa_intel::backup_sqlite(&from, &to).unwrap();
    add(&store, now(), Some(feed), &[campaign(2, "2024-01-01T00:00:00.000Z", "")]);
    let restored = open_sqlite(&to).unwrap();
    assert_eq!(walk(&restored, feed, &PageQuery::default()).len(), 1);
    assert_eq!(walk(&store, feed, &PageQuery::default()).len(), 2);
    assert!(matches!(besa_intel::backup_sqlite(&from, &to), Err(StoreError::Exists(_))));
    // Both hold password hashes.
    for path in [&from, &to] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    // What is no store of ours is not copied, and nothing is left behind.
    let (other, copy) = (folder.path().join("other"), folder.path().join("copy"));
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(besa_intel::backup_sqlite(&other, &copy), Err(StoreError::Broken(_))));
    assert_eq!(
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("copy") })
            .count(),
        0
    );
}

/// A store left at each earlier schema is brought up to date with what is in it.
#[test]
fn migrations_from_every_earlier_version() {
    for version in 0..besa_intel::sql::SCHEMA_LATEST {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old");
        besa_intel::make_old_sqlite(&path, version).unwrap();
        if version > 0 {
            let old = rusqlite::Connection::open(&path).unwrap();
            old.execute_batch(
                "INSERT INTO collection (id, root, title, last_added) VALUES ('00000000-0000-4000-8000-000000000001', 'api', 'old', 5)",
            )
            .unwrap();
            put_old_object(&old, version);
            old.execute_batch("INSERT INTO account (name, role, disabled) VALUES ('ana', 'reader', 0)")
                .unwrap();
        }
        let store = open_sqlite(&path).unwrap();
        let titles: Vec<String> =
            store.directory().unwrap().collections.into_iter().map(|found| found.title).collect();
        assert_eq!(titles, vec!["old"; usize::from(version > 0)]);
        if version > 0 {
            let found = store.object(OLD_ID, None).unwrap().unwrap();
            assert_eq!((found.raw.as_str(), found.seq), (OLD_RAW, 1));
            assert_eq!(
                found.origin,
                besa_intel::Origin::default(),
                "it was brought in by the node's own people"
            );
            assert_eq!(store.directory().unwrap().users[0].member, None);
            // Ids in texts of what was there are found too.
            let feed = store.directory().unwrap().collections[0].key;
            let listed = add(&store, now(), Some(feed), &[OLD_RAW.to_owned()]);
            assert_eq!(verdicts(&listed), [besa_intel::Verdict::Added], "version {version}: {listed:?}");
            let before = store.last_commit().unwrap();
            add(&store, now(), None, &[campaign(3, "2024-01-01T00:00:00.000Z", "")]);
            let changed = store.affected(feed, before, store.last_commit().unwrap(), 10).unwrap().unwrap();
            assert_eq!(changed.iter().map(|(_, object)| *object).collect::<Vec<_>>(), [1]);
            let newer = campaign(7, "2024-01-01T00:00:00.000Z", "")
                .replace(&format!("campaign--{}", uuid(7)), OLD_ID)
                .replace("2020-01-01", "2020-01-02");
            assert_eq!(
                verdicts(&add(&store, now(), None, &[newer])),
                [besa_intel::Verdict::Refused],
                "`created` differs"
            );
        }
        let feed = collection(&store, "new");
        add(&store, Time::from_unix(0, 0), Some(feed), &[campaign(1, "2024-01-01T00:00:00.000Z", "")]);
        store.set_cursor("a", "b").unwrap();
    }
}

/// The key of 2020-01-01.
const OLD_KEY: &str = "800000005e0be10000000000";
const OLD_RAW: &str = r#"{"type":"campaign","spec_version":"2.1","id":"campaign--00000000-0000-4000-8000-00000000001d","created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000Z","name":"see campaign--00000000-0000-4000-8000-000000000003"}"#;
const OLD_ID: &str = "campaign--00000000-0000-4000-8000-00000000001d";

/// An object as the first schemas kept it.
fn put_old_object(old: &rusqlite::Connection, version: i64) {
    let names = if version < 4 { "object_id" } else { "object_name" };
    if version >= 4 {
        // SHA-256 of the id, its first half.
        let key = "INSERT INTO object_key (digest, oid) VALUES (x'36fb29095821d7e6657e89c324ef3160', 1)";
        old.execute_batch(key).unwrap();
    }
    old.execute_batch(&format!(
        "INSERT INTO {names} (oid, id, known, created) VALUES (1, '{OLD_ID}', 1, x'{OLD_KEY}');
        INSERT INTO object_type (name) VALUES ('campaign');
        INSERT INTO request (id, who, at, total, failed) VALUES ('r', 'w', 1, 1, 0);
        INSERT INTO object_version (seq, oid, type, version, version_text, spec, revoked, unversioned, request, raw)
            VALUES (1, 1, 1, x'{OLD_KEY}', '2020-01-01T00:00:00.000Z', 21, 0, 0, 1, '{OLD_RAW}');
        UPDATE counter SET value = 1 WHERE name = 'commit'"
    ))
    .unwrap();
}
