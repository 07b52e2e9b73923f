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
