//! Sorting more than memory holds: bounded runs, spilled to temporary files, merged on reading.
//!
//! ```text
//! push ─▶ run in memory (16 MiB) ─full: sort, spill─▶ level 0: up to 32 files
//!                                                     └─full: merge─▶ level 1: up to 32 files …
//! visit: all files and the last run merged, each record seen once, in order
//! ```
//!
//! Invariants:
//! - The sort is stable: records that compare equal come out in the order in which they went in.
//!   Higher levels hold older records, so ties are decided by the age of the run.
//! - Memory: one run, and one buffer for each file (at most 32 a level).
//! - Files are unlinked as soon as they are made; nothing stays behind after a crash.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use besa_detect::{Finding, Hit, HitPart};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of records held before they are spilled.
const RUN_LEN_BYTES: usize = 16 << 20;
/// Records shown at a time.
const SOME: usize = 256;
/// Files of one level before they are merged into one of the next.
const FAN_IN: usize = 32;

/// What can be sorted and spilled.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// The order.
    fn order(&self, other: &Self) -> Ordering;
    /// Roughly what it takes in memory, in bytes.
    fn weight(&self) -> usize;
}

impl Record for Finding {
    fn order(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }

    fn weight(&self) -> usize {
        let matched: usize = self.matched.iter().map(|(field, value)| field.len() + value.len() + 48).sum();
        let related: usize = self.related.iter().map(|place| place.path.len() + 32).sum();
        size_of::<Self>() + self.source.path.len() + self.host.len() + matched + related
    }
}

impl Record for Hit {
    fn order(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }

    fn weight(&self) -> usize {
        let part = match &self.part {
            HitPart::Correlation { group, values, .. } => group.len_bytes() + values.len_bytes(),
            HitPart::Pattern { .. } => 0,
        };
        size_of::<Self>() + self.source.path.len() + self.host.len() + part
    }
}

/// Takes records in any order.
#[derive(Debug)]
pub(crate) struct Sorter<T> {
    run: Vec<T>,
    run_len_bytes: usize,
    run_len_bytes_max: usize,
    /// Shape: `[level][run]`, oldest run first.
    levels: Vec<Vec<File>>,
    len: u64,
}

impl<T: Record> Sorter<T> {
    pub(crate) fn new() -> Self {
        Self::with_run(RUN_LEN_BYTES)
    }

    fn with_run(run_len_bytes_max: usize) -> Self {
        Self { run: Vec::new(), run_len_bytes: 0, run_len_bytes_max, levels: Vec::new(), len: 0 }
    }

    /// Adds a record; may write to the disk.
    pub(crate) fn push(&mut self, record: T) -> io::Result<()> {
        self.run_len_bytes += record.weight();
        self.len += 1;
        self.run.push(record);
        if self.run_len_bytes >= self.run_len_bytes_max { self.spill() } else { Ok(()) }
    }

    /// All records are in.
    pub(crate) fn finish(mut self) -> Sorted<T> {
        self.run.sort_by(T::order);
        let files = self.levels.into_iter().rev().flatten().collect();
        Sorted { files, run: self.run, len: self.len }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.run.sort_by(T::order);
        let mut out = Spill::new()?;
        self.run.iter().try_for_each(|record| out.write(record))?;
        self.run.clear();
        self.run_len_bytes = 0;
        self.add_file(0, out.finish()?)
    }

    fn add_file(&mut self, level: usize, file: File) -> io::Result<()> {
        if self.levels.len() <= level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(file);
        if self.levels[level].len() < FAN_IN {
            return Ok(());
        }
        let files = std::mem::take(&mut self.levels[level]);
        let mut out = Spill::new()?;
        merge::<T, io::Error>(&files, &[], &mut |record| out.write(record))?;
        self.add_file(level + 1, out.finish()?)
    }
}

/// Records in order; can be gone through any number of times.
#[derive(Debug)]
pub(crate) struct Sorted<T> {
    files: Vec<File>,
    run: Vec<T>,
    len: u64,
}

impl<T: Record> Sorted<T> {
    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Shows every record in order, some at a time; the first error ends it.
    pub(crate) fn visit_some<E: From<io::Error>>(
        &self,
        see: &mut dyn FnMut(&[T]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.files.is_empty() {
            return self.run.chunks(SOME).try_for_each(see);
        }
        merge(&self.files, &self.run, &mut |record| see(std::slice::from_ref(record)))
    }

    /// Shows every record in order; the first error ends it.
    pub(crate) fn visit<E: From<io::Error>>(
        &self,
        see: &mut dyn FnMut(&T) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit_some(&mut |records| records.iter().try_for_each(&mut *see))
    }
}

/// A file being written: one JSON record a line.
struct Spill {
    out: BufWriter<File>,
}

impl Spill {
    fn new() -> io::Result<Self> {
        let context = |error: io::Error| {
            let folder = std::env::temp_dir();
            io::Error::new(
                error.kind(),
                format!("temporary file in `{}` (set TMPDIR to another folder): {error}", folder.display()),
            )
        };
        Ok(Self { out: BufWriter::with_capacity(1 << 18, tempfile::tempfile().map_err(context)?) })
    }

    fn write<T: Serialize>(&mut self, record: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, record)?;
        self.out.write_all(b"\n")
    }

    fn finish(self) -> io::Result<File> {
        self.out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// The next record of one run.
struct Front<T> {
    record: T,
    run_index: usize,
}

impl<T: Record> Ord for Front<T> {
    /// Reversed, since the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.record.order(&self.record).then_with(|| other.run_index.cmp(&self.run_index))
    }
}

impl<T: Record> PartialOrd for Front<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Record> PartialEq for Front<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T: Record> Eq for Front<T> {}

/// Merges files, oldest first, and a sorted run that is younger than all of them.
fn merge<T: Record, E: From<io::Error>>(
    files: &[File],
    youngest: &[T],
    see: &mut dyn FnMut(&T) -> Result<(), E>,
) -> Result<(), E> {
    let mut readers: Vec<Reader<'_>> = files.iter().map(Reader::new).collect::<io::Result<_>>()?;
    let mut heap = BinaryHeap::new();
    for (run_index, reader) in readers.iter_mut().enumerate() {
        if let Some(record) = reader.next()? {
            heap.push(Front { record, run_index });
        }
    }
    let mut youngest = youngest.iter().peekable();
    while let Some(front) = heap.pop() {
        while let Some(record) = youngest.next_if(|record| record.order(&front.record) == Ordering::Less) {
            see(record)?;
        }
        see(&front.record)?;
        if let Some(record) = readers[front.run_index].next()? {
            heap.push(Front { record, run_index: front.run_index });
        }
    }
    youngest.try_for_each(see)
}

struct Reader<'f> {
    input: BufReader<&'f File>,
    line: Vec<u8>,
}

impl<'f> Reader<'f> {
    fn new(mut file: &'f File) -> io::Result<Self> {
        file.rewind()?;
        Ok(Self { input: BufReader::with_capacity(1 << 16, file), line: Vec::new() })
    }

    fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        self.line.clear();
        if self.input.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&self.line)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use besa_detect::{FindingTime, Locator, RuleRef};

    fn finding(at: i64, record: u64, note: u64) -> Finding {
        Finding {
            rule: RuleRef::Sigma(1),
            time: (at >= 0).then_some(FindingTime { at, digits: 3, zone: 0 }),
            source: Locator { path: "a \"quoted\"\npath".into(), record },
            logsource: 0,
            host: String::new(),
            matched: vec![("note".to_owned(), note.to_string())],
            related: Vec::new(),
        }
    }

    /// 3,000 findings with many equal keys, runs of a few records: three levels of files.
    #[test]
    fn spilled_records_come_out_as_a_stable_sort_in_memory_would_give_them() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let all: Vec<Finding> =
            (0..3_000).map(|note| finding((next() % 40) as i64 - 1, next() % 3, note)).collect();
        for run_len_bytes in [600, 5_000, usize::MAX] {
            let mut sorter = Sorter::with_run(run_len_bytes);
            all.iter().for_each(|finding| sorter.push(finding.clone()).unwrap());
            let sorted = sorter.finish();
            let mut expected = all.clone();
            expected.sort_by(Finding::order);
            for _ in 0..2 {
                let mut seen = Vec::new();
                sorted
                    .visit::<io::Error>(&mut |finding| {
                        seen.push(finding.clone());
                        Ok(())
                    })
                    .unwrap();
                assert!(seen == expected, "runs of {run_len_bytes} bytes");
            }
            assert_eq!(sorted.len(), 3_000);
        }
    }
}
