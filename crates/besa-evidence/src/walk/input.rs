//! Readers that count, bound and look ahead.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pieces::{Piece, Source};
use crate::context::Limits;

/// How many bytes were read; shared with a thread that reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<AtomicU64>);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, len: usize) {
        self.0.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Takes back what is going to be read again.
    pub(super) fn take_back(&self, len: usize) {
        self.0.fetch_sub(len as u64, Ordering::Relaxed);
    }
}

/// Counts what is read through it.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) count: Count,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.count.add(count);
        Ok(count)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// What decompressing one file of evidence, with everything nested in it, may still produce.
///
/// Only one thread at a time spends, in the order in which evidence is read; that makes the byte
/// at which a limit is reached the same in every run.
#[derive(Debug)]
pub(super) struct Budget {
    produced: AtomicU64,
    max: u64,
    ratio_max: u64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let (max, ratio_max) = (limits.decompressed_len_bytes_max, limits.ratio_max);
        Arc::new(Self { produced: AtomicU64::new(0), max, ratio_max })
    }

    fn produced(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.produced() > self.max
    }

    pub(super) fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.produced())
    }

    fn spend(&self, len: usize) {
        self.produced.store(self.produced().saturating_add(len as u64), Ordering::Relaxed);
    }

    fn spent(&self) -> Failure {
        let max = self.max;
        let reason = format!(
            "more than {max} bytes came out of this file of evidence; the rest was left (raise the limit on decompressed bytes to read it)"
        );
        (io::ErrorKind::Other, reason)
    }
}

/// Small members may have any ratio: they cannot cost much.
const RATIO_FREE_LEN: u64 = 64 << 20;

/// Why a stream cannot be read further; every further read says it again.
type Failure = (io::ErrorKind, String);

/// What a stream's decompressed bytes are charged to.
pub(super) struct Spend {
    pub(super) budget: Arc<Budget>,
    /// Compressed bytes that had been read before the stream began.
    pub(super) compressed_before: u64,
}

/// Decompressed bytes of one member, bounded in total and in ratio to what was read for them.
pub(super) struct Metered<'a> {
    source: &'a mut dyn Source,
    piece: Piece,
    piece_from: usize,
    failure: Option<Failure>,
    produced: u64,
    spend: Spend,
}

impl<'a> Metered<'a> {
    /// `first` is the first piece of the source.
    pub(super) fn new(source: &'a mut dyn Source, first: Piece, spend: Spend) -> Self {
        let mut metered = Self { source, piece: first, piece_from: 0, failure: None, produced: 0, spend };
        metered.charge();
        metered
    }

    /// Charges a fresh piece, and cuts off what is over the budget.
    fn charge(&mut self) {
        let Piece { bytes, failure, .. } = &mut self.piece;
        self.piece_from = 0;
        self.failure = failure.take().map(|failure| (failure.kind(), failure.to_string()));
        let budget = &self.spend.budget;
        let (len, remaining) = (bytes.len(), budget.remaining());
        if len as u64 > remaining || budget.is_spent() {
            bytes.truncate(usize::try_from(remaining).unwrap_or(len));
            self.failure = Some(budget.spent());
        }
        budget.spend(len);
        self.produced += len as u64;
    }

    fn next(&mut self) {
        let ratio_max = self.spend.budget.ratio_max;
        let compressed = (self.piece.compressed - self.spend.compressed_before).max(1);
        if self.produced > RATIO_FREE_LEN && self.produced / compressed > ratio_max {
            let reason = format!(
                "more than {ratio_max} bytes came out of each compressed byte; the rest was left (a decompression bomb, or raise the limit on the ratio)"
            );
            self.failure = Some((io::ErrorKind::Other, reason));
            return;
        }
        self.source.fill(&mut self.piece);
        self.charge();
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.bytes.get(self.piece_from..).unwrap_or_default().read(out)?;
            self.piece_from += count;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            match &self.failure {
                Some((kind, reason)) => return Err(io::Error::new(*kind, reason.clone())),
                None if self.piece.is_last => return Ok(0),
                None => self.next(),
            }
        }
    }
}

/// A reader whose first bytes have been looked at; a failure met there comes up when they have
/// been read.
pub(super) struct Peeked<'a> {
    inner: &'a mut (dyn Read + Send),
    head: Vec<u8>,
    head_from: usize,
    failure: Option<io::Error>,
}

impl<'a> Peeked<'a> {
    pub(super) fn new(inner: &'a mut (dyn Read + Send), len: usize) -> Self {
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
