//! Upkeep: nothing is lost by compaction, nothing held is deleted, damage is told.

use std::sync::Arc;

use besa_archive::index::{Asked, Observe};
use besa_archive::{Archive, Error, Hold, IngestOptions, Retention, Store, Window, Writer};
use besa_event::observable::ObservableKind;
use besa_event::{LogSources, Timestamp};

use crate::support::{DAY, Made, Words, add, batch, dictionary, scan};

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

/// A writer that died between deleting and saying so leaves names that nobody can delete again.
#[test]
fn what_is_gone_already_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    archive_of(&url);
    let mut writer = Writer::open(&url, None).unwrap();
    writer.compact(Timestamp(0), &|| false).unwrap();
    assert_eq!(writer.manifest().removed.len(), 6);
    for path in writer.manifest().removed.keys().take(4) {
        std::fs::remove_file(folder.path().join("a").join(path)).unwrap();
    }
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 2);
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
    let store = Store::object_store(Arc::new(object_store::memory::InMemory::new()), "a");
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
    let named: Vec<&str> = report.defects.iter().map(|defect| &*defect.origin.path).collect();
    assert_eq!(named, [&files[0].path, &files[1].path, &files[2].path]);
    assert_eq!(report.events, 10);
    let verified = archive.verify(None, &|| false).unwrap();
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

fn words() -> Arc<dyn Observe> {
    Arc::new(Words)
}

/// Files that may hold `7.exe`, and what the index could not say.
fn look_up(archive: &Archive, value: &str) -> (Vec<u64>, usize, usize) {
    let asked = Asked::new([(ObservableKind::ServiceName, value.as_bytes())]);
    let found = archive.look_up(&asked, 1);
    let mut files: Vec<u64> = found.groups.keys().map(|file| file.0).collect();
    files.sort_unstable();
    (files, found.unindexed.len(), found.unusable.len())
}

/// An archive of so many files, the `n`th of which holds `n.exe` alone.
fn many_files(url: &str, count: i64) {
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let writer = Writer::open(url, Some(words())).unwrap();
    let mut ingest = writer.ingest(IngestOptions::default()).unwrap();
    for n in 0..count {
        let field = ("Image".to_owned(), 0, format!("{n}.exe").into_bytes());
        let made = Made { time: Some(n * DAY), class: 1, fields: vec![field], ..Made::default() };
        ingest
            .append(&batch("x", &[made], &dictionary, &sources), &dictionary, &sources, Timestamp(0))
            .unwrap();
        ingest.flush(Timestamp(0)).unwrap();
        ingest.tend(Timestamp(0)).unwrap();
    }
}

#[test]
fn runs_are_merged_in_tiers_and_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    many_files(&url, 200);
    let archive = Archive::open(&url).unwrap();
    let mut sizes: Vec<usize> = archive.manifest().runs.values().map(|run| run.files.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [vec![1; 200 - 3 * 64], vec![64; 3]].concat());
    for n in [0, 63, 64, 150, 199] {
        assert_eq!(look_up(&archive, &format!("{n}.exe")), (vec![n], 0, 0), "{n}");
    }
    assert_eq!(look_up(&archive, "200.exe"), (vec![], 0, 0));
    assert_eq!(archive.verify(Some(&words()), &|| false).unwrap().defects, []);
    drop(archive);
    // Most of the first run's files are deleted: it is written anew without them.
    let mut writer = Writer::open(&url, Some(words())).unwrap();
    writer.retain(&Retention { before: 40 * DAY, sources: vec![] }, Timestamp(0)).unwrap();
    let done = writer.compact(Timestamp(0), &|| false).unwrap();
    assert_eq!((done.runs.merged, done.runs.rebuilt), (1, 0));
    writer.collect(Timestamp(0)).unwrap();
    let archive = Archive::open(&url).unwrap();
    assert_eq!(archive.manifest().runs.values().filter(|run| run.files.len() == 24).count(), 1);
    assert_eq!(look_up(&archive, "39.exe"), (vec![], 0, 0));
    assert_eq!(look_up(&archive, "40.exe"), (vec![40], 0, 0));
    assert_eq!(archive.verify(Some(&words()), &|| false).unwrap().defects, []);
    let runs = std::fs::read_dir(folder.path().join("a/index")).unwrap().count();
    assert_eq!(runs, archive.manifest().runs.len(), "runs that were merged stayed");
}

type Damage = fn(&std::path::Path);

/// Whatever happens to a run, its files are named, and `compact` makes it anew.
#[test]
fn a_run_that_cannot_be_used_hides_nothing() {
    let damage: [(&str, Damage); 5] = [
        ("deleted", |path| std::fs::remove_file(path).unwrap()),
        ("empty", |path| std::fs::write(path, b"").unwrap()),
        ("cut", |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("changed", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[12] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }),
        ("another's", |path| {
            let other = path.parent().unwrap().read_dir().unwrap().map(|entry| entry.unwrap().path());
            let other =
                other.filter(|other| other != path).max_by_key(|other| other.metadata().unwrap().len());
            std::fs::copy(other.unwrap(), path).unwrap();
        }),
    ];
    let whole = tempfile::tempdir().unwrap();
    many_files(&whole.path().join("a").display().to_string(), 66);
    for (name, damage) in damage {
        let folder = tempfile::tempdir().unwrap();
        copy(&whole.path().join("a"), &folder.path().join("a"));
        let url = folder.path().join("a").display().to_string();
        let merged = |archive: &Archive| {
            archive.manifest().runs.values().find(|run| run.files.len() == 64).unwrap().clone()
        };
        let run = merged(&Archive::open(&url).unwrap());
        damage(&folder.path().join("a").join(&run.path));
        let archive = Archive::open(&url).unwrap();
        let (files, unindexed, unusable) = look_up(&archive, "7.exe");
        assert!(files.contains(&7), "{name}: {files:?}");
        assert_eq!((unindexed, unusable), (64, 1), "{name}");
        assert!(!archive.verify(Some(&words()), &|| false).unwrap().defects.is_empty(), "{name}");
        drop(archive);
        let mut writer = Writer::open(&url, Some(words())).unwrap();
        let done = writer.compact(Timestamp(0), &|| false).unwrap();
        assert_eq!((done.runs.rebuilt, done.runs.dropped), (64, 1), "{name}");
        drop(writer);
        let archive = Archive::open(&url).unwrap();
        assert_eq!(look_up(&archive, "7.exe"), (vec![7], 0, 0), "{name}");
        assert_eq!(archive.verify(Some(&words()), &|| false).unwrap().defects, [], "{name}");
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// An index of another version of Besa is not asked.
#[test]
fn a_run_of_another_version_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    many_files(&url, 3);
    let archive = Archive::open(&url).unwrap();
    let asked = Asked::new([(ObservableKind::ServiceName, &b"nowhere.exe"[..])]);
    let found = archive.look_up(&asked, 2);
    assert_eq!((found.groups.len(), found.unindexed.len(), found.unusable.len()), (3, 3, 3));
}

/// Rebuilt runs are to the byte those that ingest made; second names are among it.
#[test]
fn an_index_made_later_is_the_same() {
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let of = |observe: Option<Arc<dyn Observe>>, compact: bool| {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("a").display().to_string();
        let mut ingest = Writer::open(&url, observe).unwrap().ingest(IngestOptions::default()).unwrap();
        let batch = crate::support::with_second_names("x", 300, &dictionary, &sources);
        ingest.append(&batch, &dictionary, &sources, Timestamp(0)).unwrap();
        ingest.flush(Timestamp(0)).unwrap();
        drop(ingest);
        if compact {
            let done = Writer::open(&url, Some(words())).unwrap().compact(Timestamp(0), &|| false).unwrap();
            assert_eq!(done.runs.rebuilt, 1);
        }
        let archive = Archive::open(&url).unwrap();
        let run = archive.manifest().runs.values().next().unwrap().path.clone();
        let (events, _) = scan(&archive, Window::default(), &dictionary);
        assert_eq!(look_up(&archive, "value7").0, [0]);
        assert_eq!(look_up(&archive, "other7").0, Vec::<u64>::new());
        (std::fs::read(folder.path().join("a").join(run)).unwrap(), events)
    };
    let (at_once, events) = of(Some(words()), false);
    let (later, same) = of(None, true);
    assert_eq!(events, same);
    assert!(at_once == later, "{} bytes, {}", at_once.len(), later.len());
}

#[test]
fn compaction_keeps_second_names() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    let (dictionary, sources) = (dictionary(), LogSources::new());
    for part in ["x", "y"] {
        add(
            &url,
            &[crate::support::with_second_names(part, 50, &dictionary, &sources)],
            &dictionary,
            &sources,
        );
    }
    let (before, _) = scan(&Archive::open(&url).unwrap(), Window::default(), &dictionary);
    assert!(before.iter().all(|event| event.contains("Image:Text=value")), "{}", before[0]);
    let done = Writer::open(&url, Some(words())).unwrap().compact(Timestamp(0), &|| false).unwrap();
    assert_eq!((done.files_removed, done.files_made), (2, 1));
    let archive = Archive::open(&url).unwrap();
    assert_eq!(scan(&archive, Window::default(), &dictionary).0, before);
    assert_eq!(look_up(&archive, "value7").0.len(), 1);
}
