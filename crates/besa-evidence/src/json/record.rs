//! What is known of the record being read besides its fields.

use std::ops::Range;

use besa_event::{FieldId, Span, ValueKind, json_unescape};

use super::shapes::{Role, Scope};

/// Which text a range lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// The block.
    #[default]
    Block,
    /// What was unescaped from a string of the record.
    Embedded,
}

/// A value by its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) source: Source,
    pub(super) kind: ValueKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A second name of a field, due if the record turns out to be of that scope and has no such
/// field of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecondName {
    pub(super) scope: Scope,
    pub(super) name: FieldId,
    /// The path that it is a second name of.
    pub(super) path: u32,
    pub(super) kind: ValueKind,
    pub(super) span: Span,
}

/// A string of the record that may hold a document of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inner {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Path under which its fields stand.
    pub(super) prefix: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    filled: u128,
    slots: Vec<Option<Slot>>,
    pub(super) second_names: Vec<SecondName>,
    pub(super) inner: Vec<Inner>,
    /// Unescaped text of strings that hold documents.
    pub(super) embedded: Vec<u8>,
    /// `Data` elements: a name that waits for its text.
    pub(super) pair_name: Option<Slot>,
    pub(super) fields: usize,
    pub(super) left_out: usize,
}

impl Record {
    pub(super) fn clear(&mut self) {
        self.filled = 0;
        self.second_names.clear();
        self.inner.clear();
        self.embedded.clear();
        self.pair_name = None;
        self.fields = 0;
        self.left_out = 0;
    }

    /// Remembers the first value of a role.
    pub(super) fn fill(&mut self, role: Role, slot: Slot) {
        let index = role as usize;
        if self.has(role) {
            return;
        }
        if self.slots.len() <= index {
            self.slots.resize(index + 1, None);
        }
        if let Some(place) = self.slots.get_mut(index) {
            *place = Some(slot);
            self.filled |= 1 << index;
        }
    }

    #[inline]
    pub(super) fn has(&self, role: Role) -> bool {
        self.filled & (1 << role as u32) != 0
    }

    /// Whether each of these was seen.
    pub(super) fn has_all(&self, roles: &[Role]) -> bool {
        roles.iter().all(|role| self.has(*role))
    }

    /// Whether one of these was seen.
    pub(super) fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }

    pub(super) fn slot(&self, role: Role) -> Option<Slot> {
        if self.has(role) { self.slots.get(role as usize).copied().flatten() } else { None }
    }

    /// The bytes of a value as they stand, escapes included.
    pub(super) fn bytes<'a>(&'a self, block: &'a [u8], slot: Slot) -> &'a [u8] {
        let text = match slot.source {
            Source::Block => block,
            Source::Embedded => &self.embedded,
        };
        text.get(slot.start..slot.end).unwrap_or_default()
    }

    /// The bytes of a role's value; empty if it was not seen or has none.
    pub(super) fn text<'a>(&'a self, block: &'a [u8], role: Role) -> &'a [u8] {
        self.slot(role).map_or(&[], |slot| self.bytes(block, slot))
    }

    /// Appends the unescaped text of a role's value.
    pub(super) fn append_text(&self, block: &[u8], role: Role, out: &mut Vec<u8>) {
        if let Some(slot) = self.slot(role) {
            let bytes = self.bytes(block, slot);
            match slot.kind {
                ValueKind::JsonText => json_unescape(bytes, out),
                _ => out.extend_from_slice(bytes),
            }
        }
    }
}

impl Slot {
    pub(super) fn new(source: Source, kind: ValueKind, range: &Range<usize>) -> Self {
        Self { source, kind, start: range.start, end: range.end }
    }
}
