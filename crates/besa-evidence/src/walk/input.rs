//! Readers that count, bound and look ahead.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use crate::context::Limits;

/// Counts what is read through it.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// What decompressing one file of evidence, with everything nested in it, may still produce.
#[derive(Debug)]
pub(super) struct Budget {
    produced: Cell<u64>,
    max: u64,
    ratio_max: u64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Rc<Self> {
        let (max, ratio_max) = (limits.decompressed_len_bytes_max, limits.ratio_max);
        Rc::new(Self { produced: Cell::new(0), max, ratio_max })
    }

    pub(super) fn is_spent(&self) -> bool {
        self.produced.get() > self.max
    }

    pub(super) fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.produced.get())
    }

    pub(super) fn spend(&self, len: u64) {
        self.produced.set(self.produced.get().saturating_add(len));
    }
}

/// Small members may have any ratio: they cannot cost much.
const RATIO_FREE_LEN: u64 = 64 << 20;

/// Decompressed bytes of one member, bounded in total and in ratio to what was read for them.
pub(super) struct Metered<R> {
    inner: R,
    produced: u64,
    compressed: Rc<Cell<u64>>,
    compressed_before: u64,
    budget: Rc<Budget>,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R, compressed: Rc<Cell<u64>>, budget: &Rc<Budget>) -> Self {
        let compressed_before = compressed.get();
        Self { inner, produced: 0, compressed, compressed_before, budget: Rc::clone(budget) }
    }

    fn check(&self) -> io::Result<()> {
        let Budget { max, ratio_max, .. } = *self.budget;
        if self.budget.is_spent() {
            let reason = format!(
                "more than {max} bytes came out of this file of evidence; the rest was left (raise the limit on decompressed bytes to read it)"
            );
            return Err(io::Error::other(reason));
        }
        let compressed = (self.compressed.get() - self.compressed_before).max(1);
        if self.produced > RATIO_FREE_LEN && self.produced / compressed > ratio_max {
            let reason = format!(
                "more than {ratio_max} bytes came out of each compressed byte; the rest was left (a decompression bomb, or raise the limit on the ratio)"
            );
            return Err(io::Error::other(reason));
        }
        Ok(())
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let count = self.inner.read(out)?;
        self.produced += count as u64;
        self.budget.spend(count as u64);
        Ok(count)
    }
}

/// A reader whose first bytes have been looked at; a failure met there comes up when they have
/// been read.
pub(super) struct Peeked<'a> {
    inner: &'a mut dyn Read,
    head: Vec<u8>,
    head_from: usize,
    failure: Option<io::Error>,
}

impl<'a> Peeked<'a> {
    pub(super) fn new(inner: &'a mut dyn Read, len: usize) -> Self {
        let mut head = Vec::new();
        let failure = (&mut *inner).take(len as u64).read_to_end(&mut head).err();
        Self { inner, head, head_from: 0, failure }
    }

    pub(super) fn head(&self) -> &[u8] {
        self.head.get(self.head_from..).unwrap_or_default()
    }

    pub(super) fn skip(&mut self, len: usize) {
        self.head_from = (self.head_from + len).min(self.head.len());
    }
}

impl Read for Peeked<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.head().read(out)?;
        if count > 0 {
            self.head_from += count;
            return Ok(count);
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.inner.read(out),
        }
    }
}
