//! Bounds-checked reading from a chunk.

/// Why a record or template could not be read: a phrase that follows "record 7: ".
pub(super) type Result<T> = std::result::Result<T, &'static str>;

/// The phrase for bytes that end before the structure in them does.
pub(super) const TOO_SHORT: &str = "its binary XML ends too early";

/// A position in a chunk. Positions are offsets from the chunk's start, as the format's are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    /// Offset of the next byte.
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `chunk` from `at` up to `end`.
    pub(super) fn new(chunk: &'a [u8], at: usize, end: usize) -> Self {
        Self { data: chunk.get(..end).unwrap_or(chunk), at }
    }

    /// The next byte, not consumed.
    pub(super) fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.data.get(self.at..).and_then(|rest| rest.get(..len)).ok_or(TOO_SHORT)?;
        self.at += len;
        Ok(bytes)
    }

    pub(super) fn skip(&mut self, len: usize) -> Result<()> {
        self.take(len).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<N>).ok_or(TOO_SHORT)?;
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 32-bit length or offset.
    pub(super) fn length(&mut self) -> Result<usize> {
        self.u32().map(|value| value as usize)
    }
}

/// The 32-bit number at `at`, or `None` past the end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// The 64-bit number at `at`, or `None` past the end.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
