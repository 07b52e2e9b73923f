//! gz, zstd and zip; tar has a file of its own.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::sync::Arc;

use besa_event::Origin;
use flate2::bufread::MultiGzDecoder;
use zip::read::{ZipArchive, read_zipfile_from_stream};

use super::input::{Count, Counted, Peeked, Spend};
use super::pieces::{self, Decompressor};
use super::{Stream, Walker};
use crate::frame::{self, Flow};

/// The largest window that a zstd frame may ask for, as a power of two: the memory it costs.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

impl Walker<'_> {
    /// One or more gz members, one after the other (RFC 1952 section 2.2): one stream.
    pub(super) fn gz(&mut self, origin: &Arc<Origin>, depth: usize, input: Peeked<'_>) -> Flow {
        let compressed = Count::default();
        let input = Counted { inner: input, count: compressed.clone() };
        let gz = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, input));
        let stored = gz.header().and_then(|header| header.filename()).map(shown);
        let name = stored.unwrap_or_else(|| inner_name(origin, &[".gz", ".gzip", ".tgz"]));
        self.compressed(&origin.member(&name), depth, Decompressor { inner: gz, compressed }, 0)
    }

    /// One or more zstd frames (RFC 8878 section 3.1): one stream.
    pub(super) fn zstd(&mut self, origin: &Arc<Origin>, depth: usize, input: Peeked<'_>) -> Flow {
        let compressed = Count::default();
        let input = Counted { inner: input, count: compressed.clone() };
        let opened = zstd::stream::read::Decoder::new(input).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Ok(decoder)
        });
        let member = origin.member(&inner_name(origin, &[".zst", ".zstd", ".tzst"]));
        match opened {
            Ok(inner) => self.compressed(&member, depth, Decompressor { inner, compressed }, 0),
            Err(failure) => self.refuse(&member, frame::describe(&failure)),
        }
    }

    /// Reads on in what a decompressor gives, which had read `before` bytes when it began.
    fn compressed(
        &mut self,
        member: &Arc<Origin>,
        depth: usize,
        mut source: Decompressor<impl Read + Send>,
        before: u64,
    ) -> Flow {
        let spend = Spend { budget: Arc::clone(&self.budget), compressed_before: before };
        let is_nested = std::mem::replace(&mut self.is_decompressing, true);
        let threads = if is_nested { 0 } else { self.limits.decompression_threads_max };
        let flow = pieces::read(&mut source, spend, threads, |content| {
            self.content(Stream { input: content, file: None, origin: member, depth: depth + 1 })
        });
        self.is_decompressing = is_nested;
        flow
    }

    /// A zip archive; one that is not a file on disk is spooled to a temporary file first.
    pub(super) fn zip(
        &mut self,
        origin: &Arc<Origin>,
        depth: usize,
        mut input: Peeked<'_>,
        file: Option<&File>,
    ) -> Flow {
        if let Some(file) = file {
            // The start of the file was read, and counted, to recognise it.
            self.consumed.take_back(input.head().len());
            let consumed = self.consumed.clone();
            return self.zip_archive(origin, depth, Counted { inner: file, count: consumed });
        }
        let remaining = self.budget.remaining();
        let spooled = tempfile::tempfile().map(|mut spool| {
            let copied = io::copy(&mut (&mut input).take(remaining), &mut spool);
            (spool, copied)
        });
        match spooled {
            Err(failure) => self.refuse(origin, format!("cannot be spooled to a temporary file: {failure}")),
            Ok((spool, copied)) => {
                if let Err(failure) = copied {
                    self.defect(origin, frame::describe(&failure))?;
                }
                self.zip_archive(origin, depth, Counted { inner: &spool, count: Count::default() })
            }
        }
    }

    fn zip_archive(&mut self, origin: &Arc<Origin>, depth: usize, file: Counted<&File>) -> Flow {
        let raw = file.inner;
        let compressed = file.count.clone();
        if let Err(failure) = (&mut &*raw).rewind() {
            return self.refuse(origin, frame::describe(&failure));
        }
        let mut archive = match ZipArchive::new(BufReader::with_capacity(64 << 10, file)) {
            Ok(archive) => archive,
            Err(failure) => {
                let reason = format!(
                    "the zip's directory cannot be read ({failure}); its members are looked for one after the other"
                );
                self.defect(origin, reason)?;
                return self.zip_without_directory(origin, depth, Counted { inner: raw, count: compressed });
            }
        };
        let members = archive.len();
        for index in 0..members {
            if self.is_over(origin, index as u64, members as u64)? {
                break;
            }
            self.zip_member(origin, depth, &mut archive, index, &compressed)?;
        }
        Flow::Continue(())
    }

    fn zip_member(
        &mut self,
        origin: &Arc<Origin>,
        depth: usize,
        archive: &mut ZipArchive<BufReader<Counted<&File>>>,
        index: usize,
        compressed: &Count,
    ) -> Flow {
        let (name, is_folder, is_encrypted) = match archive.by_index_data(index) {
            Ok(entry) => (shown(entry.name_raw()), entry.is_dir(), entry.encrypted()),
            Err(failure) => return self.defect(origin, format!("member {index} of the zip: {failure}")),
        };
        if is_folder {
            return Flow::Continue(());
        }
        let member = origin.member(&name);
        if is_encrypted {
            return self.refuse(&member, "encrypted: not read; decrypt the archive first".to_owned());
        }
        let before = compressed.get();
        match archive.by_index(index) {
            Ok(inner) => {
                let source = Decompressor { inner, compressed: compressed.clone() };
                self.compressed(&member, depth, source, before)
            }
            Err(failure) => self.refuse(&member, format!("member of the zip cannot be read: {failure}")),
        }
    }

    /// What can be had of a torn zip: members are found by their own headers.
    fn zip_without_directory(&mut self, origin: &Arc<Origin>, depth: usize, file: Counted<&File>) -> Flow {
        if let Err(failure) = (&mut &*file.inner).rewind() {
            return self.defect(origin, frame::describe(&failure));
        }
        let compressed = file.count.clone();
        let mut file = BufReader::with_capacity(64 << 10, file);
        for index in 0.. {
            if self.is_over(origin, index, u64::MAX)? {
                break;
            }
            let before = compressed.get();
            match read_zipfile_from_stream(&mut file) {
                Ok(Some(content)) if content.is_dir() => {}
                Ok(Some(content)) => {
                    let member = origin.member(&shown(content.name_raw()));
                    let source = Decompressor { inner: content, compressed: compressed.clone() };
                    self.compressed(&member, depth, source, before)?;
                }
                Ok(None) => break,
                Err(failure) => {
                    return self.defect(origin, format!("the zip cannot be read further: {failure}"));
                }
            }
        }
        Flow::Continue(())
    }

    /// Whether a container has used up what its members may cost; reports it.
    pub(super) fn is_over(&mut self, origin: &Arc<Origin>, read: u64, members: u64) -> ControlFlow<(), bool> {
        let max = self.limits.members_max;
        let reason = if self.budget.is_spent() {
            "members left out: the limit on decompressed bytes was reached before".to_owned()
        } else if read >= max && read < members {
            format!("has more than {max} members; the rest was left out")
        } else {
            return ControlFlow::Continue(false);
        };
        self.defect(origin, reason)?;
        ControlFlow::Continue(true)
    }
}

/// What the stream inside a single-stream container is called: its file's name without the
/// container's suffix.
fn inner_name(origin: &Origin, suffixes: &[&str]) -> String {
    let name = origin.path.rsplit(['/', '\\', '!']).next().unwrap_or_default();
    for suffix in suffixes {
        let cut = name.len().saturating_sub(suffix.len());
        if let (Some(stem), Some(end)) = (name.get(..cut), name.get(cut..))
            && !stem.is_empty()
            && end.eq_ignore_ascii_case(suffix)
        {
            return if suffix.starts_with(".t") { format!("{stem}.tar") } else { stem.to_owned() };
        }
    }
    "content".to_owned()
}

/// A member's name for people: without control characters, which could rule a terminal.
pub(super) fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
