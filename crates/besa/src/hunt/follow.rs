//! Logs that grow: what was appended, in whole lines, and a hunt that takes it as it comes.
//!
//! ```text
//! files, folders ─▶ Trail (where each file was read to) ─▶ Piece ─▶ Lane ─▶ findings, at once
//!                                                                    └─▶ hits, a moment later in order ─▶ findings
//! ```
//!
//! - A file is known by device and number: one that was renamed is followed under its new name, one that
//!   was renamed out of sight or deleted for [`GRACE`] more, one that was cut short is begun again.
//! - Only whole lines are taken. What stands at the top of a log and explains the rest (`#fields` of
//!   Zeek, `#Fields:` of IIS, the first line of a CSV) goes before each piece again.
//! - Correlations need hits in the order of time, and logs are written a little out of order: hits
//!   wait [`SETTLE`]. What comes later still is counted, and takes part in nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use besa_detect::{Deferred, Detector, Finding, Hit, Outcome, Worker};
use besa_event::Defect;
use besa_evidence::{Context, Limits, read_all};

use super::guard;
use super::summary::Summary;

/// Bytes taken of a file in one go; a longer line is cut there.
const PIECE_LEN: u64 = 4 << 20;
/// Bytes at the top of a file in which its head is looked for.
const HEAD_LEN: u64 = 64 << 10;
/// Lines of a head that are kept.
const HEAD_LINES_MAX: usize = 64;
/// Files followed at a time: each is held open.
pub(crate) const FILES_MAX: usize = 512;
/// How long a file without a name is still followed.
const GRACE: Duration = Duration::from_secs(30);
/// How long hits wait for older ones.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// Whole lines that were appended to a file.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The file.
    pub(crate) name: String,
    /// What has to go before them to understand them.
    head: Vec<u8>,
    lines: Vec<u8>,
    /// Lines of the file before these.
    before: u64,
}

/// What a look at the files gives, in its order.
#[derive(Debug)]
pub(crate) enum Seen {
    Piece(Piece),
    Notice(Notice),
}

/// Gets what is seen.
type See<'s> = dyn FnMut(Seen) + 's;

/// What there is to say about a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Begun(PathBuf),
    Renamed(PathBuf, PathBuf),
    Shortened(PathBuf),
    Binary(PathBuf),
    TooMany(PathBuf),
    Unreadable(PathBuf, String),
}

/// The files and folders that are followed.
#[derive(Debug)]
pub(crate) struct Trail {
    paths: Vec<PathBuf>,
    files: HashMap<FileId, Followed>,
    /// Files that are not followed and have been said.
    passed_over: HashSet<FileId>,
    /// Folders that cannot be read and have been said.
    closed: HashSet<PathBuf>,
    /// Whether files found next are read from their start.
    from_start: bool,
}

/// Device and number; where there are none, a file is what bears its name.
type FileId = (u64, u64);

#[derive(Debug)]
struct Followed {
    path: PathBuf,
    file: File,
    offset: u64,
    lines: u64,
    head: Head,
    /// Since when it has no name among those followed.
    gone: Option<Instant>,
}

impl Trail {
    /// Follows files, and all files in folders. Those that are there already are followed from their
    /// end unless told otherwise; those that appear later from their start.
    pub(crate) fn new(paths: Vec<PathBuf>, from_start: bool) -> Self {
        Self { paths, files: HashMap::new(), passed_over: HashSet::new(), closed: HashSet::new(), from_start }
    }

    /// How many files are followed.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Takes what is new everywhere.
    pub(crate) fn poll(&mut self, see: &mut See<'_>) {
        let found = self.found(see);
        let ids: HashSet<FileId> = found.iter().map(|(_, id)| *id).collect();
        for (path, id) in found {
            if let Err(error) = self.look(&path, id, see) {
                see(Seen::Notice(Notice::Unreadable(path, error.to_string())));
                self.files.remove(&id);
                self.passed_over.insert(id);
            }
        }
        // Whoever writes may go on for a while in a file that was renamed or deleted.
        self.files.retain(|id, file| {
            if ids.contains(id) {
                file.gone = None;
                return true;
            }
            let is_over = file.gone.get_or_insert_with(Instant::now).elapsed() > GRACE;
            file.pieces(is_over, see).is_ok() && !is_over
        });
        self.passed_over.retain(|id| ids.contains(id));
        self.from_start = true;
    }

    /// All files there are now, each once, in the order of their names.
    fn found(&mut self, see: &mut See<'_>) -> Vec<(PathBuf, FileId)> {
        let (mut found, mut open) = (BTreeMap::new(), self.paths.clone());
        while let Some(path) = open.pop() {
            match fs::metadata(&path) {
                Ok(about) if about.is_dir() => match fs::read_dir(&path) {
                    // Not through links inside of a folder: they may go in circles.
                    Ok(entries) => {
                        let entries = entries.flatten().filter(|entry| {
                            entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file())
                        });
                        open.extend(entries.map(|entry| entry.path()));
                    }
                    Err(error) if self.closed.insert(path.clone()) => {
                        see(Seen::Notice(Notice::Unreadable(path, error.to_string())));
                    }
                    Err(_) => {}
                },
                Ok(about) if about.is_file() => {
                    found.insert(file_id(&path, &about), path);
                }
                // One named and not there yet, or just being renamed, may come.
                _ => {}
            }
        }
        let mut found: Vec<(PathBuf, FileId)> = found.into_iter().map(|(id, path)| (path, id)).collect();
        found.sort();
        found
    }

    fn look(&mut self, path: &Path, id: FileId, see: &mut See<'_>) -> io::Result<()> {
        if self.passed_over.contains(&id) {
            return Ok(());
        }
        let Some(known) = self.files.get_mut(&id) else { return self.begin(path, id, see) };
        if known.path != path {
            see(Seen::Notice(Notice::Renamed(known.path.clone(), path.to_owned())));
            path.clone_into(&mut known.path);
        }
        if known.pieces(false, see)? {
            see(Seen::Notice(Notice::Shortened(path.to_owned())));
        }
        Ok(())
    }

    fn begin(&mut self, path: &Path, id: FileId, see: &mut See<'_>) -> io::Result<()> {
        if self.files.len() >= FILES_MAX {
            self.passed_over.insert(id);
            see(Seen::Notice(Notice::TooMany(path.to_owned())));
            return Ok(());
        }
        let mut file = File::open(path)?;
        let mut top = Vec::new();
        (&mut file).take(HEAD_LEN).read_to_end(&mut top)?;
        if top.contains(&0) {
            self.passed_over.insert(id);
            see(Seen::Notice(Notice::Binary(path.to_owned())));
            return Ok(());
        }
        let path = path.to_owned();
        let mut followed = Followed { path, file, offset: 0, lines: 0, head: Head::default(), gone: None };
        if !self.from_start {
            followed.skip(&top)?;
        }
        // What is written from now on is seen; nobody is told so before.
        see(Seen::Notice(Notice::Begun(followed.path.clone())));
        followed.pieces(false, see)?;
        self.files.insert(id, followed);
        Ok(())
    }
}

impl Followed {
    /// Goes to the end of the last whole line that is there.
    fn skip(&mut self, top: &[u8]) -> io::Result<()> {
        self.head.learn(top, true);
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = io::BufReader::with_capacity(1 << 20, &self.file);
        let mut at = 0;
        loop {
            let bytes = io::BufRead::fill_buf(&mut reader)?;
            let len = bytes.len();
            if len == 0 {
                return Ok(());
            }
            if let Some(last) = memchr::memrchr(b'\n', bytes) {
                self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
                self.offset = at + last as u64 + 1;
            }
            at += len as u64;
            io::BufRead::consume(&mut reader, len);
        }
    }

    /// Takes the whole lines that are new; at the end of a file that goes no further also what stands
    /// behind the last line break. True if the file had been cut short.
    fn pieces(&mut self, is_end: bool, see: &mut See<'_>) -> io::Result<bool> {
        let shortened = self.file.metadata()?.len() < self.offset;
        if shortened {
            (self.offset, self.lines, self.head) = (0, 0, Head::default());
        }
        loop {
            let mut lines = Vec::new();
            self.file.seek(SeekFrom::Start(self.offset))?;
            (&mut self.file).take(PIECE_LEN).read_to_end(&mut lines)?;
            let whole = memchr::memrchr(b'\n', &lines).map_or(0, |last| last + 1);
            let is_full = lines.len() as u64 == PIECE_LEN;
            if whole == 0 && !is_full && !is_end {
                return Ok(shortened);
            }
            if whole > 0 {
                lines.truncate(whole);
            }
            if lines.is_empty() {
                return Ok(shortened);
            }
            let is_top = self.offset == 0;
            let head = if is_top { Vec::new() } else { self.head.text() };
            self.offset += lines.len() as u64;
            let before = self.lines;
            self.lines += memchr::memchr_iter(b'\n', &lines).count() as u64;
            self.head.learn(&lines, is_top);
            see(Seen::Piece(Piece { name: self.path.display().to_string(), head, lines, before }));
        }
    }
}

/// What stands at the top of a log and says how the rest is to be read.
#[derive(Clone, Debug, Default)]
struct Head {
    /// Lines that begin with `#`: the last of each sort, in the order of their first.
    directives: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first line of a CSV.
    columns: Vec<u8>,
}

impl Head {
    fn learn(&mut self, lines: &[u8], is_top: bool) {
        let whole = |line: &[u8]| line.ends_with(b"\n");
        for line in lines.split_inclusive(|byte| *byte == b'\n').filter(|line| line.starts_with(b"#")) {
            let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default().to_vec();
            if !whole(line) || word == b"#close" || line.len() > HEAD_LEN as usize {
                continue;
            }
            if let Some((_, text)) = self.directives.iter_mut().find(|(known, _)| *known == word) {
                line.clone_into(text);
            } else if self.directives.len() < HEAD_LINES_MAX {
                self.directives.push((word, line.to_vec()));
            }
        }
        if is_top && self.directives.is_empty() && is_csv(lines) {
            let first = lines.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
            first.clone_into(&mut self.columns);
        }
    }

    fn text(&self) -> Vec<u8> {
        let directives = self.directives.iter().flat_map(|(_, line)| line.iter().copied());
        self.columns.iter().copied().chain(directives).collect()
    }
}

fn is_csv(top: &[u8]) -> bool {
    let nothing = super::knowledge::Knowledge::nothing();
    let account = read_all(&context(&nothing.detector), "", &mut &*top, &mut |_| {});
    account.files.first().and_then(|file| file.format) == Some("csv")
}

fn context(detector: &Detector) -> Context<'_> {
    Context {
        dictionary: detector.dictionary(),
        sources: detector.sources(),
        keep: detector.keep(),
        reference: Some(super::this_month()),
        carve: false,
        limits: Limits::default(),
    }
}

#[cfg(unix)]
fn file_id(_: &Path, about: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    (about.dev(), about.ino())
}

#[cfg(not(unix))]
fn file_id(path: &Path, _: &fs::Metadata) -> FileId {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    (0, hasher.finish())
}

/// What one detector makes of all pieces.
pub(crate) struct Lane<'d> {
    detector: &'d Detector,
    worker: Worker<'d>,
    deferred: Deferred<'d>,
    /// Hits by time and arrival, until they have settled.
    waiting: BTreeMap<(i64, u64), (Instant, Hit)>,
    arrived: u64,
    /// The time of the last hit that was worked on.
    worked: i64,
    pub(crate) summary: Summary,
    pub(crate) events: u64,
    pub(crate) defects: u64,
    /// Hits that came too late for correlations.
    pub(crate) late: u64,
}

impl<'d> Lane<'d> {
    pub(crate) fn new(detector: &'d Detector) -> Self {
        Self {
            detector,
            worker: detector.worker(),
            deferred: Deferred::new(detector),
            waiting: BTreeMap::new(),
            arrived: 0,
            worked: i64::MIN,
            summary: Summary::default(),
            events: 0,
            defects: 0,
            late: 0,
        }
    }

    pub(crate) fn detector(&self) -> &'d Detector {
        self.detector
    }

    /// Matches a piece. Gives what was found and what could not be read.
    pub(crate) fn take(&mut self, piece: &Piece) -> (Vec<Finding>, Vec<Defect>) {
        let mut outcome = Outcome::default();
        let (worker, detector) = (&mut self.worker, self.detector);
        let mut events = 0;
        let read = guard::catch(|| {
            let mut input = piece.head.as_slice().chain(piece.lines.as_slice());
            read_all(&context(detector), &piece.name, &mut input, &mut |batch| {
                events += batch.len() as u64;
                worker.run(batch, &mut outcome);
            })
        });
        self.events += events;
        let mut defects = match read {
            Ok(account) => account.defects,
            Err(panic) => {
                // What a panic left behind cannot be trusted.
                self.worker = self.detector.worker();
                let reason = format!("internal error, please report it: {panic}; a part is left out");
                let place = besa_event::Place::Record(piece.before + 1);
                vec![Defect { origin: besa_event::Origin::new(piece.name.as_str()), place, reason }]
            }
        };
        let in_head = memchr::memchr_iter(b'\n', &piece.head).count() as u64;
        let line = |record: u64| (piece.before + record).saturating_sub(in_head);
        for defect in &mut defects {
            if let besa_event::Place::Record(record) = &mut defect.place {
                *record = line(*record);
            }
        }
        self.defects += defects.len() as u64;
        outcome.findings.iter_mut().for_each(|finding| finding.source.record = line(finding.source.record));
        for mut hit in outcome.hits {
            hit.source.record = line(hit.source.record);
            self.arrived += 1;
            self.waiting.insert((hit.time.at, self.arrived), (Instant::now(), hit));
        }
        (self.counted(outcome.findings), defects)
    }

    /// Works on hits that have waited for older ones; on all of them at the end.
    pub(crate) fn settle(&mut self, is_end: bool) -> Vec<Finding> {
        let mut made = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            if !is_end && first.get().0.elapsed() < SETTLE {
                break;
            }
            let (_, hit) = first.remove();
            if hit.time.at < self.worked {
                self.late += 1;
                continue;
            }
            self.worked = hit.time.at;
            self.deferred.push(&hit, &mut made);
        }
        if is_end {
            self.deferred.finish(&mut made);
        }
        self.counted(made)
    }

    fn counted(&mut self, findings: Vec<Finding>) -> Vec<Finding> {
        findings.iter().for_each(|finding| self.summary.add(finding, self.detector));
        findings
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// What a trail gives at one look: name, lines before, text with its head.
    fn looked(trail: &mut Trail) -> (Vec<(u64, String)>, Vec<Notice>) {
        let (mut pieces, mut notices) = (Vec::new(), Vec::new());
        trail.poll(&mut |seen| match seen {
            Seen::Piece(Piece { head, lines, before, .. }) => {
                pieces.push((before, String::from_utf8([head, lines].concat()).unwrap()));
            }
            Seen::Notice(notice) => notices.push(notice),
        });
        (pieces, notices)
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn whole_lines_are_taken_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        append(&path, "old 1\nold 2\nhalf");
        let mut trail = Trail::new(vec![folder.path().to_owned()], false);
        assert_eq!(looked(&mut trail), (vec![], vec![Notice::Begun(path.clone())]));
        append(&path, " a line\nnew");
        assert_eq!(looked(&mut trail).0, [(2, "half a line\n".to_owned())]);
        assert_eq!(looked(&mut trail).0, []);
        append(&path, " line\n");
        assert_eq!(looked(&mut trail).0, [(3, "new line\n".to_owned())]);
        // A file that appears is read from its start.
        append(&folder.path().join("b.log"), "x\n");
        assert_eq!(looked(&mut trail).0, [(0, "x\n".to_owned())]);
    }

    #[cfg(unix)]
    #[test]
    fn rotation_and_truncation_lose_and_double_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        append(&path, "1\n");
        let mut one = Trail::new(vec![path.clone()], true);
        let mut all = Trail::new(vec![folder.path().to_owned()], true);
        for trail in [&mut one, &mut all] {
            assert_eq!(looked(trail).0, [(0, "1\n".to_owned())]);
        }
        append(&path, "2\nhalf");
        fs::rename(&path, &old).unwrap();
        append(&path, "3\n");
        for trail in [&mut one, &mut all] {
            let mut pieces = looked(trail).0;
            pieces.sort();
            assert_eq!(pieces, [(0, "3\n".to_owned()), (1, "2\n".to_owned())]);
        }
        // Whoever writes still has the old one.
        append(&old, " line\n");
        for trail in [&mut one, &mut all] {
            assert_eq!(looked(trail).0, [(2, "half line\n".to_owned())]);
            assert_eq!(trail.len(), 2);
        }
        fs::write(&path, "").unwrap();
        for trail in [&mut one, &mut all] {
            assert_eq!(looked(trail), (vec![], vec![Notice::Shortened(path.clone())]));
        }
        append(&path, "4\n");
        for trail in [&mut one, &mut all] {
            assert_eq!(looked(trail).0, [(0, "4\n".to_owned())]);
        }
    }

    #[test]
    fn heads_go_before_each_piece() {
        let folder = tempfile::tempdir().unwrap();
        let (zeek, csv) = (folder.path().join("conn.log"), folder.path().join("x.csv"));
        append(&zeek, "#separator \\x09\n#fields\tts\tuid\n1\ta\n");
        append(&csv, "time,host,what\n2026-01-01T00:00:00Z,a,b\n2026-01-01T00:00:01Z,a,b\n");
        let mut trail = Trail::new(vec![folder.path().to_owned()], false);
        assert_eq!(looked(&mut trail).0, []);
        append(&zeek, "2\tb\n#fields\tts\n3\n");
        append(&csv, "2026-01-01T00:00:02Z,c,d\n");
        let pieces = looked(&mut trail).0;
        assert_eq!(pieces[0], (3, "#separator \\x09\n#fields\tts\tuid\n2\tb\n#fields\tts\n3\n".to_owned()));
        assert_eq!(pieces[1], (3, "time,host,what\n2026-01-01T00:00:02Z,c,d\n".to_owned()));
        append(&zeek, "4\n");
        assert_eq!(looked(&mut trail).0, [(6, "#separator \\x09\n#fields\tts\n4\n".to_owned())]);
        // What is no text is said once and let be.
        let binary = folder.path().join("z.gz");
        fs::write(&binary, [0x1f, 0x8b, 8, 0, 0]).unwrap();
        assert_eq!(looked(&mut trail).1, [Notice::Binary(binary)]);
        assert_eq!(looked(&mut trail).1, []);
    }
}
