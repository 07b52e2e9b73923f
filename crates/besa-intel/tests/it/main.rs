//! The store's tests: one suite over every database, then what is SQLite's alone.

#![expect(clippy::print_stderr, reason = "tests say what they skip and where they are")]

mod crash;
mod files;
mod postgres;
mod suite;
mod support;

#[test]
fn suite_over_sqlite() {
    for (name, check) in suite::CASES {
        let folder = tempfile::tempdir().unwrap();
        let store = besa_intel::open_sqlite(&folder.path().join("intel.sqlite")).unwrap();
        eprintln!("sqlite: {name}");
        check(&store);
    }
}

#[test]
fn suite_over_postgres() {
    let Some(cluster) = postgres::Cluster::start() else { return };
    for (name, check) in suite::CASES {
        let store = besa_intel::open_postgres(&cluster.fresh_database()).unwrap();
        eprintln!("postgres: {name}");
        check(&store);
    }
    let url = cluster.fresh_database();
    drop(besa_intel::open_postgres(&url).unwrap());
    besa_intel::open_postgres(&url).unwrap().into_checked();
    survives_a_restart(&cluster);
}

/// The database server is restarted below a store in use: the next calls work, at the latest the one
/// after a "try again".
fn survives_a_restart(cluster: &postgres::Cluster) {
    use besa_intel::{PageQuery, Store, StoreError};
    let store = besa_intel::open_postgres(&cluster.fresh_database()).unwrap();
    let feed = support::collection(&store, "feed");
    let object = |number| [support::campaign(number, "2024-01-01T00:00:00.000Z", "")];
    support::add(&store, support::now(), Some(feed), &object(1));
    // Several readers become idle.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| (0..20).for_each(|_| drop(store.page(feed, &PageQuery::default()).unwrap())));
        }
    });
    cluster.restart();
    assert_eq!(store.page(feed, &PageQuery::default()).unwrap().entries.len(), 1);
    let batch = || {
        besa_intel::Batch::new(
            "x",
            support::now(),
            Some(feed),
            besa_intel::prepare_all(object(2)[0].as_bytes()).unwrap(),
        )
    };
    let mut written = store.add_objects(batch());
    if let Err(error) = &written {
        assert!(matches!(error, StoreError::Busy(_)), "{error}");
        written = store.add_objects(batch());
    }
    assert_eq!(written.unwrap().failures(), 0);
    assert_eq!(store.page(feed, &PageQuery::default()).unwrap().entries.len(), 2);
}

/// A database that was made can be opened again.
trait IntoChecked {
    fn into_checked(self);
}

impl<S: besa_intel::Store> IntoChecked for S {
    fn into_checked(self) {
        self.check().unwrap();
    }
}
