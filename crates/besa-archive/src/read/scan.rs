//! A pass over what an archive holds, in a fixed order: partitions by day and log source, files
//! by number, rows as they were added.
//!
//! A file that cannot be read is a defect; the pass goes on, and what was given of that file
//! before stays given. The report says what was searched, so that nothing found is an answer.

use std::collections::HashMap;

use besa_event::{Batch, Defect, Dictionary, LogSource, LogSources, Origin, Place};

use super::file::DataFile;
use super::rebuild::{Columns, Rebuilder, Rows, Wanted};
use super::sift::{Judge, sift};
use crate::archive::Archive;
use crate::entry::{FileEntry, FileNumber, Window};
use crate::error::{Error, Result};
use crate::write::piece::TIME;

/// What to read.
pub struct Scan<'a> {
    /// Only events of this time.
    pub window: Window,
    /// Only log sources that this admits.
    pub admits: &'a dyn Fn(&LogSource) -> bool,
    /// Fields and raw records.
    pub wanted: Wanted,
    /// Names of the reading run.
    pub dictionary: &'a Dictionary,
    /// Log sources of the reading run.
    pub sources: &'a LogSources,
    /// Only these row groups (bit n is row group n) of only these files; `None` is all.
    pub groups: Option<&'a HashMap<FileNumber, u64>>,
    /// Asked before each row group; true ends the pass with [`Error::Cancelled`].
    pub cancelled: &'a dyn Fn() -> bool,
    /// Told after each row group.
    pub progress: &'a dyn Fn(&Scanned),
}

/// What a pass searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Files opened.
    pub files: u64,
    /// Files that window, log source or index ruled out.
    pub files_passed_over: u64,
    /// Row groups read.
    pub groups: u64,
    /// Events handed over.
    pub events: u64,
    /// Size of the files opened, in bytes.
    pub bytes: u64,
    /// What could not be read; each names its file.
    pub defects: Vec<Defect>,
}

/// Reads row groups one by one; one for each thread. Keeps the file open that it read from last.
pub struct Reader<'a> {
    archive: &'a Archive,
    dictionary: &'a Dictionary,
    window: Window,
    rebuilder: Rebuilder<'a>,
    open: Option<DataFile>,
}

impl<'a> Reader<'a> {
    /// A reader that hands over events inside the window, with the names and log sources of a run.
    #[must_use]
    pub fn new(
        archive: &'a Archive,
        window: Window,
        dictionary: &'a Dictionary,
        sources: &'a LogSources,
    ) -> Self {
        let rebuilder = Rebuilder::new(dictionary, sources);
        Self { archive, dictionary, window, rebuilder, open: None }
    }

    /// Hands the events of a row group to `visit`, in order.
    ///
    /// # Errors
    /// A file that cannot be read, with its name; or whatever `visit` gives. What was handed over
    /// before an error stays handed over.
    pub fn read(
        &mut self,
        file: &FileEntry,
        group: usize,
        wanted: Wanted,
        visit: &mut dyn FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        let data = opened(&mut self.open, self.archive, file)?;
        let rows = Rows::read(Columns::new(data, group), self.dictionary, wanted, None)?;
        let class = self.rebuilder.class_of(&data.class);
        self.rebuilder.run(&rows, class, self.window, None, visit)
    }

    /// Hands those events of a row group to `visit` of which some value matters, in order. Returns
    /// how many events lie inside the window, handed over or not.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn sift(
        &mut self,
        file: &FileEntry,
        group: usize,
        wanted: Wanted,
        judge: &mut dyn Judge,
        visit: &mut dyn FnMut(&Batch) -> Result<()>,
    ) -> Result<u64> {
        let data = opened(&mut self.open, self.archive, file)?;
        let mut columns = Columns::new(data, group);
        let chosen = sift(&mut columns, &data.class, judge)?;
        let inside = match self.window.is_everything() {
            true => data.rows(group),
            false => columns.ints(TIME)?.iter().filter(|time| self.window.holds(**time)).count(),
        };
        if !chosen.rows.is_empty() {
            let rows = Rows::read(columns, self.dictionary, wanted, Some(&chosen))?;
            let class = self.rebuilder.class_of(&data.class);
            self.rebuilder.run(&rows, class, self.window, Some(&chosen.rows), visit)?;
        }
        Ok(inside as u64)
    }
}

/// The data file, opened unless it is the one that was read from last.
fn opened<'o>(
    open: &'o mut Option<DataFile>,
    archive: &Archive,
    file: &FileEntry,
) -> Result<&'o mut DataFile> {
    let data = match open.take() {
        Some(data) if data.entry.number == file.number => data,
        _ => DataFile::open(archive.store(), file)?,
    };
    Ok(open.insert(data))
}

impl FileEntry {
    /// The row groups (bit n is row group n) that may hold events of a window.
    #[must_use]
    pub fn groups_in(&self, window: Window) -> u64 {
        let touched = self.groups.iter().enumerate().filter(|(_, group)| match group.first.zip(group.last) {
            Some((first, last)) => window.touches(first, last),
            None => window.is_everything(),
        });
        touched.fold(0, |all, (group, _)| all | 1_u64.checked_shl(group as u32).unwrap_or(0))
    }
}

impl Archive {
    /// Hands every event asked for to `visit`, in order.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or whatever `visit` gives. A file that cannot be read is no error
    /// but a defect of the report.
    pub fn scan(&self, scan: &Scan<'_>, visit: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<Scanned> {
        let mut report = Scanned::default();
        let mut files: Vec<&FileEntry> = self.manifest().files.values().collect();
        files.sort_by_key(|file| (file.day, &file.source, file.number));
        let mut reader = Reader::new(self, scan.window, scan.dictionary, scan.sources);
        for file in files {
            let groups = scan.groups_of(file);
            if groups == 0 {
                report.files_passed_over += 1;
                continue;
            }
            match scan_file(scan, file, groups, &mut reader, &mut report, visit) {
                Err(error @ (Error::Damaged { .. } | Error::Missing(_) | Error::Store { .. })) => {
                    let origin = Origin::new(file.path.clone());
                    report.defects.push(Defect { origin, place: Place::Whole, reason: error.to_string() });
                }
                result => result?,
            }
        }
        Ok(report)
    }
}

fn scan_file(
    scan: &Scan<'_>,
    file: &FileEntry,
    groups: u64,
    reader: &mut Reader<'_>,
    report: &mut Scanned,
    visit: &mut dyn FnMut(&Batch) -> Result<()>,
) -> Result<()> {
    for group in (0..file.groups.len()).filter(|group| groups >> group & 1 == 1) {
        if (scan.cancelled)() {
            return Err(Error::Cancelled);
        }
        let events = &mut report.events;
        reader.read(file, group, scan.wanted, &mut |batch| {
            *events += batch.len() as u64;
            visit(batch)
        })?;
        report.groups += 1;
        (scan.progress)(report);
    }
    report.files += 1;
    report.bytes += file.bytes;
    Ok(())
}

impl Scan<'_> {
    /// Row groups of a file that may hold what is asked for.
    pub(super) fn groups_of(&self, file: &FileEntry) -> u64 {
        if !(self.admits)(&LogSource::from(&file.source)) {
            return 0;
        }
        let asked = self.groups.map_or(u64::MAX, |groups| groups.get(&file.number).copied().unwrap_or(0));
        file.groups_in(self.window) & asked
    }
}
