//! The stretch of a stream that is being cut, in a buffer that is never cleared.
//!
//! ```text
//! bytes  [read from the stream      |whatever the buffer held before      ]
//!                                   len
//! ```
//!
//! A reader of no known kind wants a buffer that is initialised; what recycled buffers hold is.

use std::io::{self, Read};
use std::ops::{Deref, DerefMut};

#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// How much of it was read; never more than there is.
    len: usize,
}

impl Window {
    /// An empty one, in a buffer that may hold anything.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, len: 0 }
    }

    /// Reads once, up to `len` bytes in all; returns how many came. With none missing nothing is
    /// read.
    pub(super) fn read(&mut self, input: &mut dyn Read, len: usize) -> io::Result<usize> {
        self.grow(len);
        let room = self.bytes.get_mut(self.len..len).unwrap_or_default();
        let count = input.read(room)?.min(room.len());
        self.len += count;
        Ok(count)
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.grow(end);
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn grow(&mut self, len: usize) {
        if let Some(missing) = len.checked_sub(self.bytes.len()) {
            // Not more than that: growing by doubling would take up to twice a block.
            self.bytes.reserve_exact(missing);
            self.bytes.resize(len, 0);
        }
    }

    /// Drops the first bytes.
    pub(super) fn discard(&mut self, len: usize) {
        let len = len.min(self.len);
        self.bytes.copy_within(len..self.len, 0);
        self.len -= len;
    }

    /// The first bytes, at most all that were read.
    pub(super) fn into_bytes(mut self, len: usize) -> Vec<u8> {
        self.bytes.truncate(len.min(self.len));
        self.bytes
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Window {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_read_is_there() {
        let mut window = Window::new(b"old and of no use".to_vec());
        assert!(window.is_empty());
        let mut input: &[u8] = b"0123456789";
        assert_eq!(window.read(&mut input, 4).unwrap(), 4);
        assert_eq!(window.read(&mut input, 4).unwrap(), 0, "nothing is missing");
        assert_eq!(window.read(&mut input, 40).unwrap(), 6);
        assert_eq!(&*window, b"0123456789");
        window.discard(3);
        window.extend(b"ab");
        assert_eq!(&*window, b"3456789ab");
        window.discard(100);
        assert!(window.is_empty());
        window.extend(b"xyz");
        assert_eq!(window.into_bytes(2), b"xy");
        assert_eq!(Window::new(b"old".to_vec()).into_bytes(2), b"");
    }
}
