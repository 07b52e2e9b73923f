//! Decompression in pieces, in line or on a thread of its own beside the reader.
//!
//! ```text
//! compressed ─▶ decompressor ──pieces──▶ Metered ─▶ recognise, frame
//!                    ▲                      │
//!                    └──── empty pieces ◀───┘
//! ```
//!
//! Both ways fill the same pieces: a piece is full unless its stream ends or fails, and it bears how
//! much compressed input had been read when it was filled. All caps are judged where pieces are
//! taken, on the reader's thread, so whatever is damaged or too large gives the same bytes and the
//! same defect at the same offset both ways.
//!
//! Bounds: [`PIECES`] pieces of [`PIECE_LEN`] bytes are in being. A stream of one piece starts no
//! thread. Only the outermost container of a file gets one: what is nested in it is decompressed
//! by the reader meanwhile, and its budget is spent in one order.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::input::{Count, Metered, Spend};

/// Decompressed bytes that are handed over at once.
const PIECE_LEN: usize = 128 << 10;
/// Pieces between the threads: one being filled, one being read, two to even out the pace.
const PIECES: usize = 4;

/// Decompressed bytes of one stream, in their order.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// Compressed bytes read since the walk began, when this was filled.
    pub(super) compressed: u64,
    /// Why there is no further piece.
    pub(super) failure: Option<io::Error>,
    pub(super) is_last: bool,
}

/// What pieces come from.
pub(super) trait Source: Send {
    /// Fills an emptied piece.
    fn fill(&mut self, piece: &mut Piece);
}

/// A decompressor and the count of what it read.
pub(super) struct Decompressor<R> {
    pub(super) inner: R,
    pub(super) compressed: Count,
}

impl<R: Read + Send> Source for Decompressor<R> {
    fn fill(&mut self, piece: &mut Piece) {
        piece.bytes.clear();
        piece.bytes.reserve_exact(PIECE_LEN);
        let outcome = (&mut self.inner).take(PIECE_LEN as u64).read_to_end(&mut piece.bytes);
        piece.is_last = !matches!(outcome, Ok(PIECE_LEN));
        piece.failure = outcome.err();
        piece.compressed = self.compressed.get();
    }
}

/// Pieces that another thread fills.
struct Beside {
    filled: Receiver<Piece>,
    emptied: SyncSender<Piece>,
}

impl Source for Beside {
    fn fill(&mut self, piece: &mut Piece) {
        // There is room for every piece in being; a thread that has ended needs none.
        let _ = self.emptied.try_send(std::mem::take(piece));
        // The thread sends its last piece before it ends, and nobody asks for more after that.
        *piece = self.filled.recv().unwrap_or_else(|_| Piece {
            failure: Some(io::Error::other("decompression ended without a word")),
            is_last: true,
            ..Piece::default()
        });
    }
}

/// Hands a decompressed stream to `take`, metered; with `threads`, what is longer than a piece is
/// decompressed on another thread meanwhile.
pub(super) fn read<T>(
    source: &mut dyn Source,
    spend: Spend,
    threads: usize,
    take: impl FnOnce(&mut Metered<'_>) -> T,
) -> T {
    let mut first = Piece::default();
    source.fill(&mut first);
    if first.is_last || threads == 0 {
        return take(&mut Metered::new(source, first, spend));
    }
    let tried = thread::scope(|scope| {
        let (fill, filled) = sync_channel(PIECES);
        let (empty, emptied) = sync_channel(PIECES);
        for _ in 1..PIECES {
            // Both ends are at hand, and there is room.
            let _ = empty.try_send(Piece::default());
        }
        let lent = &mut *source;
        let started = thread::Builder::new()
            .name("decompression".to_owned())
            .spawn_scoped(scope, move || pump(lent, &emptied, &fill));
        if started.is_err() {
            return Err((first, spend, take));
        }
        // Dropping its ends of the channels ends the thread.
        let mut beside = Beside { filled, emptied: empty };
        Ok(take(&mut Metered::new(&mut beside, first, spend)))
    });
    match tried {
        Ok(taken) => taken,
        // No thread to be had.
        Err((first, spend, take)) => take(&mut Metered::new(source, first, spend)),
    }
}

fn pump(source: &mut dyn Source, emptied: &Receiver<Piece>, filled: &SyncSender<Piece>) {
    while let Ok(mut piece) = emptied.recv() {
        source.fill(&mut piece);
        let is_last = piece.is_last;
        if filled.send(piece).is_err() || is_last {
            return;
        }
    }
}
