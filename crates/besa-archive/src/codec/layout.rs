//! The layout of an event: its fields in order, where each value is stored, and the raw record
//! with holes where values stand.
//!
//! Events of one kind share their layout, so the column of layouts is a dictionary of a few
//! entries. It is what makes the columns enough to rebuild an event to the byte.
//!
//! ```text
//! layout = version 1, flags (bit 0: the raw record is rebuilt from pieces; bit 1: it is stored)
//!          varint fields, fields × ( bits, bytes name )
//!          with pieces: varint holes, holes × varint field, (holes + 1) × bytes piece
//! bits   = kind (0 to 5) | place << 3 (0 to 4) | 64 if only a run that asks for the name gets it;
//!          a twin's name is followed by its original's position
//! bytes  = varint length, content
//! ```

use besa_event::ValueKind;

use super::varint;

const VERSION: u8 = 1;
const PIECES: u8 = 1;
const STORED: u8 = 2;
/// Bit of a field that only a run whose dictionary holds its name gets.
const IF_ASKED: u8 = 1 << 6;
/// Bounds of what is decoded; the writer keeps them.
pub(crate) const FIELDS_MAX: usize = 1 << 20;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the column of its name.
    Column,
    /// In the overflow only: a second value of the name, or a name without a column.
    More,
    /// Its text in the column; its bytes, from which the text cannot be told back, in the
    /// overflow.
    Both,
    /// Nowhere: it has no bytes.
    Nothing,
    /// Where that earlier field's value is: the reader of the evidence gave one value a second
    /// name because the dictionary of its run held that name. Only a run whose dictionary holds
    /// it gets the field.
    Twin(u32),
}

/// How the raw record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    /// There is none.
    Absent,
    /// In its own column.
    Stored,
    /// `pieces[0] value(holes[0]) pieces[1] … pieces[n]`; a hole is a position in the fields.
    Pieces { holes: Vec<usize>, pieces: Vec<&'a [u8]> },
}

/// A field of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayoutField<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: ValueKind,
    pub(crate) place: Place,
    /// Whether only a run whose dictionary holds the name gets it: a second name that the evidence
    /// made, see [`Keep::History`](besa_event::Keep).
    pub(crate) if_asked: bool,
}

/// A decoded layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout<'a> {
    pub(crate) fields: Vec<LayoutField<'a>>,
    pub(crate) raw: Raw<'a>,
}

const KINDS: [ValueKind; 6] = [
    ValueKind::Text,
    ValueKind::JsonText,
    ValueKind::Number,
    ValueKind::Boolean,
    ValueKind::Null,
    ValueKind::Node,
];

/// The byte that says what a field is and where; seven bits.
pub(crate) fn bits(kind: ValueKind, place: Place, if_asked: bool) -> u8 {
    let kind = match kind {
        ValueKind::Text => 0,
        ValueKind::JsonText => 1,
        ValueKind::Number => 2,
        ValueKind::Boolean => 3,
        ValueKind::Null => 4,
        ValueKind::Node => 5,
    };
    let place = match place {
        Place::Column => 0,
        Place::More => 1,
        Place::Both => 2,
        Place::Nothing => 3,
        Place::Twin(_) => 4,
    };
    kind | place << 3 | if if_asked { IF_ASKED } else { 0 }
}

/// The place of a twin still lacks the position of its original.
fn of_bits(bits: u8) -> Option<(ValueKind, Place)> {
    let place = match bits >> 3 {
        0 => Place::Column,
        1 => Place::More,
        2 => Place::Both,
        3 => Place::Nothing,
        4 => Place::Twin(0),
        _ => return None,
    };
    Some((*KINDS.get(usize::from(bits & 7))?, place))
}

impl<'a> Layout<'a> {
    /// Appends its encoding.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let flags = match self.raw {
            Raw::Absent => 0,
            Raw::Stored => STORED,
            Raw::Pieces { .. } => PIECES,
        };
        out.extend_from_slice(&[VERSION, flags]);
        varint::put(self.fields.len() as u64, out);
        for field in &self.fields {
            out.push(bits(field.kind, field.place, field.if_asked));
            varint::put_bytes(field.name.as_bytes(), out);
            if let Place::Twin(original) = field.place {
                varint::put(u64::from(original), out);
            }
        }
        if let Raw::Pieces { holes, pieces } = &self.raw {
            varint::put(holes.len() as u64, out);
            holes.iter().for_each(|hole| varint::put(*hole as u64, out));
            pieces.iter().for_each(|piece| varint::put_bytes(piece, out));
        }
    }

    /// Reads an encoding; `None` if it is not well formed.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let (flags, tail) = rest.split_first()?;
        rest = tail;
        let count = varint::take_len(&mut rest)?;
        if count > FIELDS_MAX {
            return None;
        }
        let mut fields = Vec::with_capacity(count.min(rest.len()));
        for position in 0..count as u64 {
            let (bits, tail) = rest.split_first()?;
            rest = tail;
            let (kind, mut place) = of_bits(*bits & !IF_ASKED)?;
            let name = std::str::from_utf8(varint::take_bytes(&mut rest)?).ok()?;
            if let Place::Twin(original) = &mut place {
                let at = varint::take(&mut rest)?;
                *original = u32::try_from(at).ok().filter(|_| at < position)?;
            }
            fields.push(LayoutField { name, kind, place, if_asked: bits & IF_ASKED != 0 });
        }
        let raw = match *flags {
            0 => Raw::Absent,
            STORED => Raw::Stored,
            PIECES => decode_pieces(&mut rest, &fields)?,
            _ => return None,
        };
        rest.is_empty().then_some(Self { fields, raw })
    }
}

fn decode_pieces<'a>(rest: &mut &'a [u8], fields: &[LayoutField<'_>]) -> Option<Raw<'a>> {
    let count = varint::take_len(rest)?;
    if count > fields.len() {
        return None;
    }
    let mut holes = Vec::with_capacity(count);
    for _ in 0..count {
        let hole = varint::take_len(rest)?;
        if hole >= fields.len() {
            return None;
        }
        holes.push(hole);
    }
    let mut pieces = Vec::with_capacity(count + 1);
    for _ in 0..=count {
        pieces.push(varint::take_bytes(rest)?);
    }
    Some(Raw::Pieces { holes, pieces })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_layout_comes_back() {
        let field = |name, kind, place| LayoutField { name, kind, place, if_asked: name == "twin" };
        let fields = vec![
            field("Image", ValueKind::JsonText, Place::Column),
            field("", ValueKind::Null, Place::Nothing),
            field("Näme", ValueKind::Number, Place::Both),
            field("twin", ValueKind::JsonText, Place::Twin(2)),
        ];
        let pieces = Raw::Pieces { holes: vec![2, 0], pieces: vec![b"a", b"", b"\xff"] };
        for raw in [Raw::Absent, Raw::Stored, pieces] {
            let layout = Layout { fields: fields.clone(), raw };
            let mut bytes = Vec::new();
            layout.encode(&mut bytes);
            assert_eq!(Layout::decode(&bytes), Some(layout));
            for len in 0..bytes.len() {
                assert_eq!(Layout::decode(&bytes[..len]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn strange_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut versioned = vec![VERSION];
            versioned.extend(bytes);
            let _ = Layout::decode(&versioned);
        }
    }
}
