//! However many threads encode, the same files come of it.

use std::sync::Arc;

use besa_archive::{Archive, IngestOptions, Window, Writer};
use besa_event::{LogSources, Timestamp};

use crate::support::{DAY, Made, Words, batch, dictionary, scan};

/// Events of one large partition and of many small ones; every value of some fields is new.
fn made(part: u64) -> Vec<Made> {
    let mut state = part;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    let event = |number: u64| {
        let long: String = (0..40).map(|_| format!("{:x}", next())).collect();
        let fields = vec![
            ("Image".to_owned(), 1, format!(r"C:\\Windows\\{}.exe", next() % 300).into_bytes()),
            ("Long".to_owned(), 0, long.into_bytes()),
            (format!("Field{}", next() % 60), 0, b"\xff".repeat(next() as usize % 3)),
            ("Image".to_owned(), 2, (next() % 100).to_string().into_bytes()),
        ];
        let large = !number.is_multiple_of(4);
        let day = if large { 1 } else { (next() % 40).cast_signed() };
        let class = if large { 1 } else { (number % 3) as u8 };
        Made {
            time: Some(day * DAY + number.cast_signed()),
            class,
            host: "h".into(),
            fields,
            raw: number.is_multiple_of(2),
        }
    };
    (0..400).map(event).collect()
}

/// Paths of files and runs, which hold hashes of what is in them.
fn paths(archive: &Archive) -> Vec<String> {
    let manifest = archive.manifest();
    let files = manifest.files.values().map(|file| format!("{:?} {}", file.number, file.path));
    files.chain(manifest.runs.values().map(|run| format!("{:?} {}", run.files, run.path))).collect()
}

#[test]
fn any_number_of_threads_makes_the_same_files() {
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let of = |threads: usize| {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("a").display().to_string();
        let options = IngestOptions { memory: 8 << 20, threads, ..IngestOptions::default() };
        let mut ingest = Writer::open(&url, Some(Arc::new(Words))).unwrap().ingest(options).unwrap();
        for part in 0..60 {
            let batch = batch("x", &made(part), &dictionary, &sources);
            ingest.append(&batch, &dictionary, &sources, Timestamp(0)).unwrap();
            if part == 40 {
                assert_eq!(ingest.flush(Timestamp(0)).unwrap().events, 41 * 400);
            }
        }
        ingest.flush(Timestamp(0)).unwrap();
        drop(ingest);
        let archive = Archive::open(&url).unwrap();
        (paths(&archive), (threads == 3).then(|| (scan(&archive, Window::default(), &dictionary), folder)))
    };
    let (alone, _) = of(0);
    assert_eq!(of(1).0, alone);
    let (three, scanned) = of(3);
    assert_eq!(three, alone);
    let ((events, report), folder) = scanned.unwrap();
    assert_eq!((events.len(), report.defects), (60 * 400, vec![]));
    let archive = Archive::open(&folder.path().join("a").display().to_string()).unwrap();
    assert!(
        archive.manifest().files.values().any(|file| file.groups.len() > 1),
        "no file has two row groups"
    );
    let observe: Arc<dyn besa_archive::index::Observe> = Arc::new(Words);
    assert_eq!(archive.verify(Some(&observe), &|| false).unwrap().defects, []);
}

/// What an ingest that is given up has written goes with it, whatever is still under way.
#[test]
fn what_is_given_up_leaves_nothing() {
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    let options = IngestOptions { memory: 1 << 20, threads: 2, ..IngestOptions::default() };
    let mut ingest = Writer::open(&url, Some(Arc::new(Words))).unwrap().ingest(options).unwrap();
    for part in 0..8 {
        let batch = batch("x", &made(part), &dictionary, &sources);
        ingest.append(&batch, &dictionary, &sources, Timestamp(0)).unwrap();
    }
    ingest.discard();
    let mut writer = Writer::open(&url, None).unwrap();
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 0);
    assert_eq!(writer.manifest().files.len(), 0);
}
