//! One record: its value tables walked along compiled templates.

use std::collections::HashMap;
use std::sync::Arc;

use besa_event::{Batch, EventTime, FieldId, Head, Keep, LogSourceId, Span, ValueKind};
use foldhash::quality::RandomState;

use super::binxml::{self, DEFINITION_HEADER_LEN, END_OF_STREAM, FRAGMENT_HEADER, INSTANCE, Work};
use super::cursor::{Cursor, Result, u32_at};
use super::template::{self, Name, Op, Part, Parts, Program, Role, Scope};
use super::value;
use crate::Context;

/// Embedded fragments within each other; real events have one.
const FRAGMENT_DEPTH_MAX: usize = 32;
/// Templates kept across chunks; past this the cache starts anew.
const PROGRAMS_MAX: usize = 4_096;
/// Canonical bytes kept across chunks; past this the cache starts anew.
const CANONICAL_BYTES_MAX: usize = 4 << 20;
/// Remembered log sources; past this they are asked for anew.
const CLASSES_MAX: usize = 4_096;

/// What a worker keeps from block to block: compiled templates and scratch space. Compiled
/// templates hold ids of one dictionary, so a decoder belongs to one run.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Scope and canonical form of a template to its position in `programs`.
    known: HashMap<Box<[u8]>, usize, RandomState>,
    known_bytes: usize,
    programs: Vec<Arc<Program>>,
    /// Position for position with `programs`.
    bindings: Vec<Binding>,
    /// Which batch is being filled; bindings of others are stale.
    batch_number: u64,
    /// Definitions of this chunk that were met: offset, scope, and program or what is wrong.
    in_chunk: Vec<(usize, Scope, Result<usize>)>,
    pub(super) work: Work,
    slots: Vec<Slot>,
    canonical: Vec<u8>,
    name: Vec<u8>,
    facts: Facts,
    classes: HashMap<Box<[u8]>, LogSourceId, RandomState>,
    fields_left: usize,
    pub(super) too_many_fields: bool,
    /// Record ids of this chunk.
    pub(super) seen: Vec<u64>,
}

/// A program's texts as they stand in the batch being filled.
#[derive(Debug, Default)]
struct Binding {
    batch_number: u64,
    names: Vec<FieldId>,
    literals: Vec<Span>,
}

/// A value of a value table: where in the chunk, and what.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: u32,
    len: u16,
    value_type: u8,
}

/// What the head of the event is made of.
#[derive(Debug, Default)]
struct Facts {
    channel: Vec<u8>,
    provider: Vec<u8>,
    event_id: Vec<u8>,
    key: Vec<u8>,
    host: Span,
    time: Option<EventTime>,
}

impl Facts {
    fn clear(&mut self) {
        for text in [&mut self.channel, &mut self.provider, &mut self.event_id] {
            text.clear();
        }
        self.host = Span::default();
        self.time = None;
    }

    fn note(&mut self, role: Role, text: &[u8]) {
        let kept = match role {
            Role::Channel => &mut self.channel,
            Role::Provider => &mut self.provider,
            Role::EventId => &mut self.event_id,
            Role::Time => {
                self.time = EventTime::parse_iso(text);
                return;
            }
            Role::None | Role::Computer => return,
        };
        kept.clear();
        kept.extend_from_slice(text);
    }
}

impl Decoder {
    /// How many templates are compiled.
    #[cfg(test)]
    pub(super) fn templates(&self) -> usize {
        self.programs.len()
    }

    /// To be called when another batch is filled.
    pub(super) fn start_batch(&mut self) {
        self.batch_number += 1;
    }

    /// To be called at each chunk.
    pub(super) fn start_chunk(&mut self) {
        self.in_chunk.clear();
        self.seen.clear();
        self.work = Work::default();
        if self.programs.len() > PROGRAMS_MAX || self.known_bytes > CANONICAL_BYTES_MAX {
            self.known.clear();
            self.known_bytes = 0;
            self.programs.clear();
            self.bindings.clear();
        }
    }
}

/// Decodes the record whose BinXML lies at `from..to` of `chunk` and adds it to the batch.
///
/// # Errors
/// When the record is damaged; nothing is added then.
pub(super) fn decode(
    context: &Context<'_>,
    chunk: &[u8],
    (from, to): (usize, usize),
    (record, filetime): (u64, u64),
    decoder: &mut Decoder,
    batch: &mut Batch,
) -> Result<()> {
    decoder.slots.clear();
    decoder.facts.clear();
    decoder.fields_left = context.limits.fields_max;
    decoder.too_many_fields = false;
    let mut machine = Machine { context, chunk, decoder, batch };
    let outcome = machine.stream(from, to, Scope::Top, 0);
    let is_empty = batch.open_fields().is_empty() && decoder.facts.event_id.is_empty();
    if let Err(reason) = outcome.and(if is_empty { Err("it holds no event") } else { Ok(()) }) {
        batch.abandon_event();
        return Err(reason);
    }
    let head = Head {
        raw: Span::default(),
        host: decoder.facts.host,
        time: decoder.facts.time.or_else(|| EventTime::from_filetime(filetime)),
        record,
        logsource: logsource(context, decoder),
    };
    batch.end_event(context.dictionary, context.sources, head);
    Ok(())
}

/// The event's class. The provider counts only where there is no channel: the memo's key leaves it
/// out elsewhere.
fn logsource(context: &Context<'_>, decoder: &mut Decoder) -> LogSourceId {
    let facts = &mut decoder.facts;
    if !facts.channel.is_empty() {
        facts.provider.clear();
    }
    facts.key.clear();
    for text in [&facts.channel, &facts.provider, &facts.event_id] {
        facts.key.extend_from_slice(text);
        facts.key.push(0);
    }
    if let Some(id) = decoder.classes.get(facts.key.as_slice()) {
        return *id;
    }
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let id = context.sources.windows(text(&facts.channel), text(&facts.provider), text(&facts.event_id));
    if decoder.classes.len() >= CLASSES_MAX {
        decoder.classes.clear();
    }
    decoder.classes.insert(facts.key.as_slice().into(), id);
    id
}

struct Machine<'m, 'c> {
    context: &'m Context<'c>,
    chunk: &'m [u8],
    decoder: &'m mut Decoder,
    batch: &'m mut Batch,
}

impl Machine<'_, '_> {
    /// A run of tokens: nearly always one template instance and nothing else.
    fn stream(&mut self, from: usize, to: usize, scope: Scope, depth: usize) -> Result<()> {
        if depth > FRAGMENT_DEPTH_MAX {
            return Err("its fragments are nested too deeply");
        }
        let mut cursor = Cursor::new(self.chunk, from, to);
        loop {
            match cursor.peek() {
                None | Some(END_OF_STREAM) => return Ok(()),
                Some(FRAGMENT_HEADER) => cursor.skip(4)?,
                Some(INSTANCE) => {
                    cursor.skip(1)?;
                    self.instance(&mut cursor, scope, depth)?;
                }
                Some(_) => return self.plain(cursor, scope, depth),
            }
        }
    }

    /// A template instance, from behind its token.
    fn instance(&mut self, cursor: &mut Cursor<'_>, scope: Scope, depth: usize) -> Result<()> {
        let instance = binxml::instance(cursor)?;
        let base = self.decoder.slots.len();
        let has_fragments = self.values(cursor)?;
        let index = self.program(instance, scope)?;
        let Some(program) = self.decoder.programs.get(index).map(Arc::clone) else {
            return Err("its template was not found");
        };
        let mut binding = self.decoder.bindings.get_mut(index).map(std::mem::take).unwrap_or_default();
        self.bind(&program, &mut binding);
        let outcome = self.run(&program, &binding, base, depth);
        if let Some(place) = self.decoder.bindings.get_mut(index) {
            *place = binding;
        }
        outcome?;
        if has_fragments {
            self.splice(&program, base, depth)?;
        }
        self.decoder.slots.truncate(base);
        Ok(())
    }

    /// Elements that stand in the record itself, without a template.
    fn plain(&mut self, mut cursor: Cursor<'_>, scope: Scope, depth: usize) -> Result<()> {
        let mut canonical = Vec::new();
        binxml::canonical(self.chunk, &mut cursor, false, &mut self.decoder.work, &mut canonical)?;
        let program = template::compile(&canonical, scope, self.context)?;
        let mut binding = Binding::default();
        self.bind(&program, &mut binding);
        self.run(&program, &binding, self.decoder.slots.len(), depth)
    }

    /// Reads a value table onto the stack of slots; tells whether a value holds elements.
    fn values(&mut self, cursor: &mut Cursor<'_>) -> Result<bool> {
        let descriptors = binxml::descriptors(cursor)?;
        self.decoder.work.spend(descriptors.len())?;
        let mut at = cursor.at;
        let mut has_fragments = false;
        self.decoder.slots.extend(descriptors.iter().map(|[low, high, value_type, _]| {
            let len = u16::from_le_bytes([*low, *high]);
            let slot = Slot { at: u32::try_from(at).unwrap_or(u32::MAX), len, value_type: *value_type };
            has_fragments |= *value_type == value::BINXML;
            at += usize::from(len);
            slot
        }));
        cursor.skip(at - cursor.at)?;
        Ok(has_fragments)
    }

    /// The compiled form of the definition that an instance names.
    fn program(&mut self, instance: binxml::Instance, scope: Scope) -> Result<usize> {
        let at = instance.definition;
        if self.decoder.work.is_strict
            && u32_at(self.chunk, at.saturating_add(4)) != Some(instance.template_id)
        {
            return Err("its template has been overwritten");
        }
        let met = self.decoder.in_chunk.iter().find(|(offset, of, _)| *offset == at && *of == scope);
        if let Some((.., program)) = met {
            return *program;
        }
        let program = self.load(at, scope);
        self.decoder.in_chunk.push((at, scope, program));
        program
    }

    #[cold]
    fn load(&mut self, at: usize, scope: Scope) -> Result<usize> {
        const OUTSIDE: &str = "its template lies outside the chunk";
        let len = u32_at(self.chunk, at.saturating_add(DEFINITION_HEADER_LEN - 4)).ok_or(OUTSIDE)? as usize;
        let from = at.saturating_add(DEFINITION_HEADER_LEN);
        let to = from.checked_add(len).filter(|to| *to <= self.chunk.len()).ok_or(OUTSIDE)?;
        let decoder = &mut *self.decoder;
        decoder.canonical.clear();
        decoder.canonical.push(scope as u8);
        let mut cursor = Cursor::new(self.chunk, from, to);
        binxml::canonical(self.chunk, &mut cursor, true, &mut decoder.work, &mut decoder.canonical)?;
        if let Some(index) = decoder.known.get(decoder.canonical.as_slice()) {
            return Ok(*index);
        }
        let tokens = decoder.canonical.get(1..).unwrap_or_default();
        let program = template::compile(tokens, scope, self.context)?;
        let index = decoder.programs.len();
        decoder.programs.push(Arc::new(program));
        decoder.bindings.push(Binding::default());
        decoder.known_bytes += decoder.canonical.len();
        decoder.known.insert(decoder.canonical.as_slice().into(), index);
        Ok(index)
    }

    /// Puts a program's own texts into the batch, once for each batch.
    fn bind(&mut self, program: &Program, binding: &mut Binding) {
        if binding.batch_number == self.decoder.batch_number {
            return;
        }
        let batch = &mut *self.batch;
        let local = |name: &String| {
            let span = batch.append(name.as_bytes());
            batch.local_name(span)
        };
        binding.names = program.names.iter().map(local).collect();
        binding.literals = program.literals.iter().map(|literal| self.batch.append(&literal.text)).collect();
        binding.batch_number = self.decoder.batch_number;
    }

    fn run(&mut self, program: &Program, binding: &Binding, base: usize, depth: usize) -> Result<()> {
        self.decoder.work.spend(16 * program.ops.len())?;
        let mut at = 0;
        while let Some(op) = program.ops.get(at) {
            at += 1;
            match *op {
                Op::Slot { slot, optional, name, role } => {
                    self.slot((base, slot), optional, (program, binding, name), role)?;
                }
                Op::Literal { literal, name, role } => {
                    self.literal(literal, (program, binding, name), role, base)?;
                }
                Op::Joined { parts, name, role } => {
                    self.joined(parts, (program, binding, name), role, base)?;
                }
                Op::SkipIfNull { slot, to } => {
                    if self.is_null(base, slot) {
                        at = to as usize;
                    }
                }
                Op::Instance { at, scope } => {
                    let mut cursor = Cursor::new(self.chunk, at as usize + 1, self.chunk.len());
                    self.decoder.work.spend(64)?;
                    self.deeper(depth)?;
                    self.instance(&mut cursor, scope, depth + 1)?;
                }
                Op::Fragment { at, len, scope } => {
                    self.stream(at as usize, at as usize + len as usize, scope, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<()> {
        if depth >= FRAGMENT_DEPTH_MAX { Err("its fragments are nested too deeply") } else { Ok(()) }
    }

    /// Decodes the values that hold elements.
    fn splice(&mut self, program: &Program, base: usize, depth: usize) -> Result<()> {
        for splice in &program.splices {
            let Some(slot) = self.get(base, splice.slot).filter(|slot| slot.value_type == value::BINXML)
            else {
                continue;
            };
            if program.dependencies(splice).iter().any(|slot| self.is_null(base, *slot)) {
                continue;
            }
            self.decoder.work.spend(64)?;
            let from = slot.at as usize;
            self.stream(from, from + usize::from(slot.len), splice.scope, depth + 1)?;
        }
        Ok(())
    }

    #[inline]
    fn get(&self, base: usize, slot: u16) -> Option<Slot> {
        self.decoder.slots.get(base + usize::from(slot)).copied()
    }

    fn is_null(&self, base: usize, slot: u16) -> bool {
        self.get(base, slot).is_some_and(|slot| slot.value_type == value::NULL)
    }

    #[inline]
    fn slot(
        &mut self,
        (base, slot): (usize, u16),
        optional: bool,
        (program, binding, name): (&Program, &Binding, Name),
        role: Role,
    ) -> Result<()> {
        let Some(slot) = self.get(base, slot) else { return Ok(()) };
        let bytes = self.chunk.get(slot.at as usize..).and_then(|rest| rest.get(..usize::from(slot.len)));
        let bytes = bytes.unwrap_or_default();
        self.decoder.work.spend(bytes.len())?;
        match slot.value_type {
            value::BINXML => return Ok(()),
            value::NULL if optional => return Ok(()),
            value::FILETIME if role == Role::Time => {
                let filetime = bytes.first_chunk().copied().map(u64::from_le_bytes);
                self.decoder.facts.time = filetime.and_then(EventTime::from_filetime);
                if name == Name::None {
                    return Ok(());
                }
            }
            _ => {}
        }
        let Some(id) = self.field(name, program, binding, base, role) else { return Ok(()) };
        if slot.value_type & value::ARRAY == 0 {
            self.push(id, role, |out| value::render(slot.value_type, bytes, out));
            return Ok(());
        }
        let item_type = slot.value_type & !value::ARRAY;
        let mut rest = bytes;
        if rest.is_empty() {
            self.push(id, role, |_| ValueKind::Text);
        }
        while let Some((item, after)) = value::next_item(item_type, rest) {
            self.decoder.work.spend(16)?;
            self.push(id, role, |out| value::render(item_type, item, out));
            rest = after;
        }
        Ok(())
    }

    fn literal(
        &mut self,
        literal: u32,
        (program, binding, name): (&Program, &Binding, Name),
        role: Role,
        base: usize,
    ) -> Result<()> {
        let Some(text) = program.literals.get(literal as usize) else { return Ok(()) };
        let span = binding.literals.get(literal as usize).copied().unwrap_or_default();
        self.decoder.facts.note(role, &text.text);
        if role == Role::Computer {
            self.decoder.facts.host = span;
        }
        if let Some(Some(id)) = self.field(name, program, binding, base, role) {
            self.push_span(id, text.kind, span);
        }
        Ok(())
    }

    fn joined(
        &mut self,
        parts: Parts,
        (program, binding, name): (&Program, &Binding, Name),
        role: Role,
        base: usize,
    ) -> Result<()> {
        let mut text = std::mem::take(&mut self.decoder.canonical);
        text.clear();
        let present = self.join(program.parts(parts), program, base, &mut text);
        if let Ok(true) = present
            && let Some(id) = self.field(name, program, binding, base, role)
        {
            self.push(id, role, |out| {
                out.extend_from_slice(&text);
                ValueKind::Text
            });
        }
        self.decoder.canonical = text;
        present.map(|_| ())
    }

    /// Joins parts; false when an optional one is null, and with it the whole is absent.
    fn join(&mut self, parts: &[Part], program: &Program, base: usize, text: &mut Vec<u8>) -> Result<bool> {
        for part in parts {
            match *part {
                Part::Literal(literal) => {
                    let literal = program.literals.get(literal as usize);
                    let literal = literal.map_or(&[][..], |literal| &literal.text);
                    self.decoder.work.spend(8 + literal.len())?;
                    text.extend_from_slice(literal);
                }
                Part::Slot { slot, optional } => {
                    let Some(slot) = self.get(base, slot) else { continue };
                    if slot.value_type == value::NULL && optional {
                        return Ok(false);
                    }
                    self.decoder.work.spend(8 + usize::from(slot.len))?;
                    self.join_slot(slot, text);
                }
            }
        }
        Ok(true)
    }

    fn join_slot(&self, slot: Slot, text: &mut Vec<u8>) {
        let bytes = self.chunk.get(slot.at as usize..).and_then(|rest| rest.get(..usize::from(slot.len)));
        let mut rest = bytes.unwrap_or_default();
        if slot.value_type == value::BINXML {
            return;
        }
        if slot.value_type & value::ARRAY == 0 {
            value::render(slot.value_type, rest, text);
            return;
        }
        let start = text.len();
        while let Some((item, after)) = value::next_item(slot.value_type & !value::ARRAY, rest) {
            if text.len() > start {
                text.push(b',');
            }
            value::render(slot.value_type & !value::ARRAY, item, text);
            rest = after;
        }
    }

    /// The id of a field. Outer `None`: neither kept nor of use for the head; inner `None`: of
    /// use for the head only.
    #[inline]
    #[allow(clippy::option_option, reason = "the two absences mean different things")]
    fn field(
        &mut self,
        name: Name,
        program: &Program,
        binding: &Binding,
        base: usize,
        role: Role,
    ) -> Option<Option<FieldId>> {
        match name {
            Name::Known(id) => Some(Some(id)),
            Name::Local(index) => Some(binding.names.get(index as usize).copied()),
            Name::None => (role != Role::None).then_some(None),
            Name::Computed(parts) => self.computed(parts, program, base).map(Some),
        }
    }

    /// A field whose name is itself a value.
    #[cold]
    fn computed(&mut self, parts: Parts, program: &Program, base: usize) -> Option<FieldId> {
        let mut name = std::mem::take(&mut self.decoder.name);
        name.clear();
        let joined = self.join(program.parts(parts), program, base, &mut name);
        name.retain(|byte| !byte.is_ascii_whitespace());
        if joined.is_err() || name.is_empty() {
            name.clear();
            name.extend_from_slice(b"Data");
        }
        let id = match self.context.dictionary.lookup(&name) {
            None if self.context.keep != Keep::Named => {
                let span = self.batch.append(&name);
                Some(self.batch.local_name(span))
            }
            found => found,
        };
        self.decoder.name = name;
        id
    }

    #[inline]
    fn push(&mut self, id: Option<FieldId>, role: Role, write: impl FnOnce(&mut Vec<u8>) -> ValueKind) {
        let facts = &mut self.decoder.facts;
        let mut kind = ValueKind::Text;
        let span = self.batch.append_with(|out| {
            let start = out.len();
            kind = write(out);
            if role != Role::None && !(role == Role::Time && facts.time.is_some()) {
                facts.note(role, out.get(start..).unwrap_or_default());
            }
        });
        if role == Role::Computer {
            facts.host = span;
        }
        if let Some(id) = id {
            self.push_span(id, kind, span);
        }
    }

    #[inline]
    fn push_span(&mut self, id: FieldId, kind: ValueKind, span: Span) {
        match self.decoder.fields_left.checked_sub(1) {
            Some(left) => {
                self.decoder.fields_left = left;
                self.batch.push_field(id, kind, span);
            }
            None => self.decoder.too_many_fields = true,
        }
    }
}
