//! Upkeep: nothing is lost by compaction, nothing held is deleted, damage is told.

use besa_archive::{Archive, Error, Hold, IngestOptions, Retention, Store, Window, Writer};
use besa_event::{LogSources, Timestamp};

use crate::support::{DAY, Made, add, batch, dictionary, scan};

fn events(day: i64, class: u8, count: i64) -> Vec<Made> {
    let field = |n: i64| ("Image".to_owned(), 0, format!("{n}.exe").into_bytes());
    (0..count)
        .map(|n| Made {
            time: Some(day * DAY + n),
            class,
            fields: vec![field(n)],
            raw: true,
            ..Made::default()
        })
        .collect()
}

fn archive_of(url: &str) {
    let (dictionary, sources) = (dictionary(), LogSources::new());
    for (day, class) in [(1, 1), (1, 1), (2, 1), (2, 2), (1, 1)] {
        add(url, &[batch("x", &events(day, class, 5), &dictionary, &sources)], &dictionary, &sources);
    }
}

#[test]
fn compaction_changes_files_and_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    archive_of(&url);
    let (before, _) = scan(&Archive::open(&url).unwrap(), Window::default(), &dictionary());
    let mut writer = Writer::open(&url, None).unwrap();
    let done = writer.compact(Timestamp(0), &|| false).unwrap();
    assert_eq!((done.files_removed, done.files_made), (3, 1));
    assert!(matches!(Writer::open(&url, None), Err(Error::Busy)));
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 6, "three files and their runs");
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 0);
    let archive = Archive::open(&url).unwrap();
    let (after, report) = scan(&archive, Window::default(), &dictionary());
    assert_eq!((after, report.files, report.defects), (before, 3, vec![]));
    assert!(writer.manifest().removed.is_empty());
}

#[test]
fn files_in_use_wait_for_their_reader() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    archive_of(&url);
    let reader = Archive::open(&url).unwrap();
    let mut writer = Writer::open(&url, None).unwrap();
    writer.compact(Timestamp(0), &|| false).unwrap();
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 0);
    let (_, report) = scan(&reader, Window::default(), &dictionary());
    assert_eq!((report.events, report.defects), (25, vec![]));
    drop(reader);
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 6);
}

#[test]
fn retention_spares_what_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    archive_of(&url);
    let mut writer = Writer::open(&url, None).unwrap();
    let window = Window { from: Some(2 * DAY), to: None };
    writer.hold(Hold { case: "c".into(), window, sources: vec!["windows".into()], placed: 0 }).unwrap();
    let done = writer.retain(&Retention { before: 9 * DAY, sources: vec![] }, Timestamp(0)).unwrap();
    assert_eq!((done.files_removed, done.files_held, done.events_removed), (4, 1, 20));
    writer.release("c").unwrap();
    assert!(writer.release("c").is_err());
    let done =
        writer.retain(&Retention { before: 9 * DAY, sources: vec!["zeek".into()] }, Timestamp(0)).unwrap();
    assert_eq!(done.files_removed, 0);
    assert_eq!(writer.manifest().events(), 5);
}

/// In a bucket nothing is locked: another writer's hold comes between opening and deleting.
#[test]
fn retention_sees_a_hold_that_another_writer_placed_meanwhile() {
    let store = Store::object_store(std::sync::Arc::new(object_store::memory::InMemory::new()), "a");
    let writer = || Writer::open_store(store.clone(), "a", None).unwrap();
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let mut ingest = writer().ingest(IngestOptions::default()).unwrap();
    ingest
        .append(&batch("x", &events(1, 1, 5), &dictionary, &sources), &dictionary, &sources, Timestamp(0))
        .unwrap();
    ingest.flush(Timestamp(0)).unwrap();
    let mut deleting = writer();
    writer().hold(Hold { case: "c".into(), ..Hold::default() }).unwrap();
    let done = deleting.retain(&Retention { before: 9 * DAY, sources: vec![] }, Timestamp(0)).unwrap();
    assert_eq!((done.files_removed, done.files_held, deleting.manifest().events()), (0, 1, 5));
}

#[test]
fn damage_is_told_with_the_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    archive_of(&url);
    let archive = Archive::open(&url).unwrap();
    let files: Vec<_> = archive.manifest().files.values().cloned().collect();
    let at = |n: usize| folder.path().join("a").join(&files[n].path);
    let bytes = std::fs::read(at(0)).unwrap();
    std::fs::write(at(0), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::remove_file(at(1)).unwrap();
    let mut changed = std::fs::read(at(2)).unwrap();
    // In the middle of the pages.
    let middle = changed.len() / 4;
    changed[middle] ^= 0x55;
    std::fs::write(at(2), changed).unwrap();
    let (_, report) = scan(&archive, Window::default(), &dictionary());
    let named: Vec<&str> = report.defects.iter().map(|defect| defect.origin.path.as_str()).collect();
    assert_eq!(named, [&files[0].path, &files[1].path, &files[2].path]);
    assert_eq!(report.events, 10);
    let verified = archive.verify(&|| false).unwrap();
    assert_eq!(verified.defects.len(), 3);
}

#[test]
fn somebody_elses_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "x").unwrap();
    let url = folder.path().display().to_string();
    assert!(matches!(Writer::open(&url, None), Err(Error::Invalid(_))));
    assert!(matches!(Archive::open(&url), Err(Error::NoArchive(_))));
}
