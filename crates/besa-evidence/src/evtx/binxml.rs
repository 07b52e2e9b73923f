//! BinXML tokens ([MS-EVEN6] 2.2.12) copied into a form that means the same in every chunk.
//!
//! A template definition refers to its names by offsets into its own chunk, so one template has
//! other bytes in each chunk. The canonical form spells the names out and leaves lengths, hashes
//! and processing instructions away. Equal canonical bytes are therefore the same template, by
//! content and not by the GUID that the file claims.
//!
//! ```text
//! 01 dependency:u16 name        element        name = count:u16, UTF-16 units
//! 02 | 03 | 04                  end of start tag | empty element | end of element
//! 05 type:u8 length:u32 bytes   value
//! 06 name                       attribute
//! 07 length:u32 bytes           CDATA
//! 08 unit:u16 | 09 name         character | entity reference
//! 0D slot:u16 | 0E slot:u16     substitution | optional substitution
//! 0C at:u32                     template instance at that offset   (outside definitions)
//! 21 at:u32 length:u32          embedded fragment                  (outside definitions)
//! ```

use super::cursor::{Cursor, Result};
use super::value;

/// Tokens, as in the file and in the canonical form. In the file, 0x40 may be added where more
/// of the same follows.
pub(super) const END_OF_STREAM: u8 = 0x00;
pub(super) const OPEN: u8 = 0x01;
pub(super) const CLOSE_START: u8 = 0x02;
pub(super) const CLOSE_EMPTY: u8 = 0x03;
pub(super) const END: u8 = 0x04;
pub(super) const VALUE: u8 = 0x05;
pub(super) const ATTRIBUTE: u8 = 0x06;
pub(super) const CDATA: u8 = 0x07;
pub(super) const CHARACTER: u8 = 0x08;
pub(super) const ENTITY: u8 = 0x09;
const PI_TARGET: u8 = 0x0A;
const PI_DATA: u8 = 0x0B;
pub(super) const INSTANCE: u8 = 0x0C;
pub(super) const SUBSTITUTION: u8 = 0x0D;
pub(super) const OPTIONAL: u8 = 0x0E;
pub(super) const FRAGMENT_HEADER: u8 = 0x0F;
/// Only in the canonical form.
pub(super) const FRAGMENT: u8 = 0x21;

/// An element that depends on no value.
pub(super) const NO_DEPENDENCY: u16 = 0xFFFF;

/// Appends the canonical form of the tokens from `cursor` to the end of the stream.
/// `definition` tells a template definition from a record's own tokens.
///
/// # Errors
/// When the tokens are not BinXML, or the chunk's `work` is used up.
pub(super) fn canonical(
    chunk: &[u8],
    cursor: &mut Cursor<'_>,
    definition: bool,
    work: &mut Work,
    out: &mut Vec<u8>,
) -> Result<()> {
    while let Some(token) = cursor.peek() {
        work.spend(16)?;
        cursor.skip(1)?;
        match token {
            END_OF_STREAM => break,
            FRAGMENT_HEADER => cursor.skip(3)?,
            0x01 | 0x41 => {
                let dependency = if definition { cursor.u16()? } else { NO_DEPENDENCY };
                cursor.skip(4)?;
                out.push(OPEN);
                out.extend_from_slice(&dependency.to_le_bytes());
                name(chunk, cursor, work, out)?;
                if token == 0x41 {
                    cursor.skip(4)?;
                }
            }
            CLOSE_START | CLOSE_EMPTY | END => out.push(token),
            0x05 | 0x45 => literal(cursor, definition, out)?,
            0x06 | 0x46 => {
                out.push(ATTRIBUTE);
                name(chunk, cursor, work, out)?;
            }
            0x07 | 0x47 => {
                out.push(CDATA);
                let bytes = counted_string(cursor)?;
                sized(bytes, out);
            }
            0x08 | 0x48 => {
                out.push(CHARACTER);
                out.extend_from_slice(cursor.take(2)?);
            }
            0x09 | 0x49 => {
                out.push(ENTITY);
                name(chunk, cursor, work, out)?;
            }
            PI_TARGET => name(chunk, cursor, work, &mut Vec::new())?,
            PI_DATA => {
                counted_string(cursor)?;
            }
            SUBSTITUTION | OPTIONAL if definition => {
                out.push(token);
                out.extend_from_slice(cursor.take(2)?);
                cursor.skip(1)?;
            }
            INSTANCE if !definition => {
                out.push(INSTANCE);
                out.extend_from_slice(&offset(cursor.at - 1));
                skip_instance(cursor)?;
            }
            SUBSTITUTION | OPTIONAL => return Err("a substitution stands outside a template"),
            INSTANCE => return Err("a template definition holds a template instance"),
            _ => return Err("its binary XML holds an unknown token"),
        }
    }
    Ok(())
}

/// What decoding one chunk may cost: canonical tokens, operations and bytes of text. An honest
/// chunk takes a tenth of it; a crafted one (a huge template, used by a thousand tiny records)
/// is cut off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    left: u32,
    /// Whether names must bear their own hash: what a record in unallocated space refers to may
    /// have been overwritten.
    pub(super) is_strict: bool,
}

impl Default for Work {
    fn default() -> Self {
        Self { left: 2 << 20, is_strict: false }
    }
}

impl Work {
    /// # Errors
    /// When less than `amount` is left; then nothing is left any more.
    #[inline]
    pub(super) fn spend(&mut self, amount: usize) -> Result<()> {
        let left = u32::try_from(amount).ok().and_then(|amount| self.left.checked_sub(amount));
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or("decoding it takes more work than one chunk may")
    }

    pub(super) fn is_used_up(self) -> bool {
        self.left == 0
    }
}

/// A name reference: the offset of a name in the chunk, which follows in place where the chunk
/// uses the name for the first time. A name is `next:u32 hash:u16 count:u16 units NUL`; the
/// chain of `next` is for writers and never followed here.
fn name(chunk: &[u8], cursor: &mut Cursor<'_>, work: &mut Work, out: &mut Vec<u8>) -> Result<()> {
    let at = cursor.length()?;
    let (hash, bytes) = name_at(chunk, at).map_err(|_| "a name lies outside the chunk")?;
    work.spend(bytes.len())?;
    let (count, units) = bytes.split_at_checked(2).unwrap_or_default();
    if work.is_strict && hash != name_hash(units.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit))) {
        return Err("a name has been overwritten");
    }
    out.extend_from_slice(count);
    out.extend_from_slice(units);
    if at == cursor.at {
        cursor.skip(6 + bytes.len() + 2)?;
    }
    Ok(())
}

/// The hash, and the units with their count before them.
fn name_at(chunk: &[u8], at: usize) -> Result<(u16, &[u8])> {
    let mut cursor = Cursor::new(chunk, at, chunk.len());
    cursor.skip(4)?;
    let hash = cursor.u16()?;
    let mut count = cursor;
    let len = 2 + 2 * usize::from(count.u16()?);
    Ok((hash, cursor.take(len)?))
}

/// The lower half of the sum over the UTF-16 units times powers of 65,599.
pub(super) fn name_hash(units: impl Iterator<Item = u16>) -> u16 {
    let sum = units.fold(0_u32, |sum, unit| sum.wrapping_mul(65_599).wrapping_add(u32::from(unit)));
    u16::try_from(sum & 0xFFFF).unwrap_or(0)
}

fn counted_string<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8]> {
    let count = usize::from(cursor.u16()?);
    cursor.take(2 * count)
}

fn literal(cursor: &mut Cursor<'_>, definition: bool, out: &mut Vec<u8>) -> Result<()> {
    let value_type = cursor.u8()?;
    let bytes = match value_type {
        value::STRING => counted_string(cursor)?,
        value::BINXML if !definition => {
            let len = usize::from(cursor.u16()?);
            out.push(FRAGMENT);
            out.extend_from_slice(&offset(cursor.at));
            out.extend_from_slice(&offset(len));
            return cursor.skip(len);
        }
        other => cursor.take(value::fixed_len(other).ok_or("a value in its binary XML has no length")?)?,
    };
    out.extend_from_slice(&[VALUE, value_type]);
    sized(bytes, out);
    Ok(())
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&offset(bytes.len()));
    out.extend_from_slice(bytes);
}

/// Offsets and lengths inside a chunk fit 32 bits.
fn offset(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// A template instance's fixed part, read from behind its token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instance {
    /// First part of the GUID of the definition that the writer meant.
    pub(super) template_id: u32,
    /// Offset of the definition in the chunk.
    pub(super) definition: usize,
}

/// Length of a definition's header: next definition, GUID, length of the body.
pub(super) const DEFINITION_HEADER_LEN: usize = 24;

/// Reads an instance up to its value table; a definition that stands in place is passed over.
pub(super) fn instance(cursor: &mut Cursor<'_>) -> Result<Instance> {
    cursor.skip(1)?;
    let template_id = cursor.u32()?;
    let definition = cursor.length()?;
    if definition == cursor.at {
        cursor.skip(DEFINITION_HEADER_LEN - 4)?;
        let len = cursor.length()?;
        cursor.skip(len)?;
    }
    Ok(Instance { template_id, definition })
}

fn skip_instance(cursor: &mut Cursor<'_>) -> Result<()> {
    instance(cursor)?;
    let descriptors = descriptors(cursor)?;
    let len = descriptors.iter().map(|[low, high, ..]| usize::from(u16::from_le_bytes([*low, *high]))).sum();
    cursor.skip(len)
}

/// The value table's head: for each value its length (two bytes), type, and a zero.
pub(super) fn descriptors<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [[u8; 4]]> {
    let count = cursor.length()?;
    let bytes = cursor.take(count.checked_mul(4).ok_or("its value table is too long")?)?;
    Ok(bytes.as_chunks().0)
}
