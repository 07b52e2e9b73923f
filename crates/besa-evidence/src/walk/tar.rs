//! tar: POSIX ustar, pax and GNU (POSIX.1-2024 `pax`, "ustar Interchange Format").
//!
//! Our own reader, because the common crate reads long names and pax records into memory as long
//! as a header says they are, and ends at the first damaged header. This one bounds them and
//! looks for the next sound header, block by block.

use std::io::{self, Read};
use std::sync::Arc;

use besa_event::{Origin, Place};

use super::containers::shown;
use super::input::Peeked;
use super::{Stream, Walker};
use crate::frame::{self, Flow};

/// Everything in a tar stands on this border.
pub(crate) const BLOCK_LEN: usize = 512;
/// Long names and pax records past this are not read.
const EXTENSION_LEN_MAX: u64 = 1 << 20;

/// Whether a block is a header: its checksum, which no other content has by accident.
pub(crate) fn is_header(block: &[u8]) -> bool {
    let Some(stated) = block.get(148..156).and_then(octal) else { return false };
    let sum: u64 = block.iter().take(BLOCK_LEN).map(|byte| u64::from(*byte)).sum();
    let field: u64 = block.iter().skip(148).take(8).map(|byte| u64::from(*byte)).sum();
    stated == sum - field + 8 * u64::from(b' ')
}

/// What extension headers say of the next member.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

struct Archive<'a> {
    input: Peeked<'a>,
    offset: u64,
}

impl Walker<'_> {
    pub(super) fn tar(&mut self, origin: &Arc<Origin>, depth: usize, input: Peeked<'_>) -> Flow {
        let mut archive = Archive { input, offset: 0 };
        let mut extension = Extension::default();
        let mut members = 0;
        let mut is_lost = false;
        loop {
            let place = Place::Offset(archive.offset);
            let block = match archive.block() {
                Ok(Some(block)) => block,
                Ok(None) => return Flow::Continue(()),
                Err(failure) => return self.defect_at(origin, place, frame::describe(&failure)),
            };
            if block.iter().all(|byte| *byte == 0) {
                continue;
            }
            if !is_header(&block) {
                if !std::mem::replace(&mut is_lost, true) {
                    let reason = "no tar header where one must be; the next one is looked for";
                    self.defect_at(origin, place, reason.to_owned())?;
                }
                continue;
            }
            is_lost = false;
            if self.is_over(origin, members, u64::MAX)? {
                return Flow::Continue(());
            }
            members += 1;
            self.entry(origin, depth, &mut archive, &block, &mut extension)?;
        }
    }

    fn entry(
        &mut self,
        origin: &Arc<Origin>,
        depth: usize,
        archive: &mut Archive<'_>,
        header: &[u8],
        extension: &mut Extension,
    ) -> Flow {
        let stated = header.get(124..136).and_then(number).unwrap_or(0);
        let kind = header.get(156).copied().unwrap_or(0);
        if matches!(kind, b'L' | b'K' | b'x' | b'g') {
            let place = Place::Offset(archive.offset);
            return match archive.extension(kind, stated, extension) {
                Ok(true) => Flow::Continue(()),
                Ok(false) => {
                    self.defect_at(origin, place, format!("tar extension of {stated} bytes left out"))
                }
                Err(failure) => self.defect_at(origin, place, frame::describe(&failure)),
            };
        }
        let Extension { path, size, is_sparse } = std::mem::take(extension);
        let path = path.unwrap_or_else(|| path_of(header));
        let size = size.unwrap_or(stated);
        let member = origin.member(&shown(&path));
        let mut content = (&mut archive.input).take(size);
        match kind {
            b'0' | 0 | b'7' if !is_sparse && !path.ends_with(b"/") => {
                self.content(Stream { input: &mut content, file: None, origin: &member, depth: depth + 1 })?;
            }
            // Folders and links hold nothing of their own.
            b'0' | 0 | b'5' | b'1' | b'2' if !is_sparse => {}
            _ if is_sparse || kind == b'S' => {
                self.refuse(&member, "sparse file in a tar: not read; unpack the archive first".to_owned())?;
            }
            _ => {
                let kind = kind.escape_ascii();
                self.refuse(&member, format!("tar entry of type `{kind}`: not read"))?;
            }
        }
        let left = content.limit();
        let padding = size.wrapping_neg() % BLOCK_LEN as u64;
        archive.offset = archive.offset.saturating_add(size - left);
        if let Err(failure) = archive.skip(left.saturating_add(padding)) {
            return self.defect_at(&member, Place::Whole, frame::describe(&failure));
        }
        Flow::Continue(())
    }
}

impl Archive<'_> {
    /// The next block; `None` at the end.
    fn block(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut block = Vec::with_capacity(BLOCK_LEN);
        (&mut self.input).take(BLOCK_LEN as u64).read_to_end(&mut block)?;
        self.offset += block.len() as u64;
        match block.len() {
            0 => Ok(None),
            BLOCK_LEN => Ok(Some(block)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn skip(&mut self, len: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.input).take(len), &mut io::sink())?;
        self.offset += skipped;
        if skipped == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads a long name or pax records; whether it could be taken in.
    fn extension(&mut self, kind: u8, size: u64, extension: &mut Extension) -> io::Result<bool> {
        let padding = size.wrapping_neg() % BLOCK_LEN as u64;
        if size > EXTENSION_LEN_MAX || matches!(kind, b'K' | b'g') {
            self.skip(size.saturating_add(padding))?;
            return Ok(size <= EXTENSION_LEN_MAX);
        }
        let mut content = Vec::new();
        (&mut self.input).take(size).read_to_end(&mut content)?;
        self.offset += content.len() as u64;
        self.skip(padding)?;
        if kind == b'L' {
            extension.path = content.split(|byte| *byte == 0).next().map(<[u8]>::to_vec);
        } else {
            pax(&content, extension);
        }
        Ok(true)
    }
}

/// Records `length key=value\n`, the length counting all of it.
fn pax(mut records: &[u8], extension: &mut Extension) {
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let Some(len) = records.get(..space).and_then(decimal) else { return };
        let Some((record, rest)) = usize::try_from(len).ok().and_then(|len| records.split_at_checked(len))
        else {
            return;
        };
        let Some(record) = record.get(space + 1..) else { return };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if let Some(path) = record.strip_prefix(b"path=") {
            extension.path = Some(path.to_vec());
        } else if let Some(size) = record.strip_prefix(b"size=") {
            extension.size = decimal(size);
        } else if record.starts_with(b"GNU.sparse.") {
            extension.is_sparse = true;
        }
        records = rest;
    }
}

fn path_of(header: &[u8]) -> Vec<u8> {
    let text = |range: std::ops::Range<usize>| {
        let field = header.get(range).unwrap_or_default();
        field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
    };
    let name = text(0..100);
    // GNU keeps other things where ustar keeps the prefix.
    let prefix = if header.get(257..263) == Some(b"ustar\0") { text(345..500) } else { Vec::new() };
    if prefix.is_empty() { name } else { [prefix, name].join(&b'/') }
}

/// An octal number, or with the high bit of its first byte set a big-endian one (GNU).
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first()? {
        (first, rest) if first & 0x80 != 0 => rest.iter().try_fold(u64::from(first & 0x7F), |value, byte| {
            Some(value.checked_mul(256)? + u64::from(*byte))
        }),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let digits = field.get(..end)?.trim_ascii();
    if digits.is_empty() || digits.len() > 12 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => Some(value * 8 + u64::from(digit - b'0')),
        _ => None,
    })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
