//! Templates compiled into flat lists of operations.
//!
//! ```text
//! <EventData>                               Slot { slot: 0, name: Image }
//!   <Data Name="Image">%1</Data>      ──▶   Slot { slot: 1, name: CommandLine }
//!   <Data Name="Command Line">%2</Data>
//! </EventData>
//! ```
//!
//! What a field is called, and whether anyone asked for it, is decided here, once; decoding a
//! record walks the operations and its value table. The names are those that Sigma rules use:
//!
//! | in the event | field |
//! |---|---|
//! | `System/EventID`, `System/Channel`, … | `EventID`, `Channel`, … |
//! | `System/Provider/@Name`, `System/EventID/@Qualifiers`, … | `Provider_Name`, `EventID_Qualifiers`, … |
//! | `EventData/Data[@Name='Threat Name']` | `ThreatName` (white space taken out) |
//! | `EventData/Data` without a name | `Data`, one field for each |
//! | `EventData/Binary` | `Binary` |
//! | `UserData/…/Param1` (any depth) and its attribute `x` | `Param1`, `Param1_x` |
//! | `RenderingInfo/Message` (forwarded events) | `RenderingInfo_Message`: its `Level` is not `System`'s |
//!
//! An element without content and without attributes is a field with empty text; one that only
//! bears attributes (`Provider`) or other elements is none. An element whose DependencyId names
//! a null value, or that holds an optional substitution of a null value, is absent
//! ([MS-EVEN6] 2.2.12, 3.1.4.7.2); a null value in an ordinary substitution is
//! [`ValueKind::Null`]. Sigma's `null` holds for both, `exists` for the second alone.

use besa_event::{FieldId, Keep, ValueKind};

use super::binxml::{
    ATTRIBUTE, CDATA, CHARACTER, CLOSE_EMPTY, CLOSE_START, END, ENTITY, FRAGMENT, INSTANCE, NO_DEPENDENCY,
    OPEN, OPTIONAL, SUBSTITUTION, VALUE,
};
use super::cursor::{Cursor, Result};
use super::value;
use crate::Context;

/// How deep elements may be nested. Windows' events have five levels.
const ELEMENT_DEPTH_MAX: usize = 128;

/// Where in an event an element stands; decides how its fields are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Scope {
    /// The root, `Event`.
    Top,
    /// A child of the root.
    Section,
    System,
    EventData,
    UserData,
    RenderingInfo,
}

impl Scope {
    /// Where the children of an element of that name stand.
    fn inside(self, name: &str) -> Self {
        match (self, name) {
            (Self::Top, _) => Self::Section,
            (Self::Section, "System") => Self::System,
            (Self::Section, "EventData") => Self::EventData,
            (Self::Section, "RenderingInfo") => Self::RenderingInfo,
            (Self::Section, _) => Self::UserData,
            (scope, _) => scope,
        }
    }
}

/// What the decoder itself needs of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    None,
    Channel,
    Provider,
    EventId,
    Computer,
    Time,
}

/// How an operation's field is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Nobody asked for it.
    None,
    Known(FieldId),
    /// Position in [`Program::names`].
    Local(u32),
    /// The `Name` of a `Data` element is itself substituted: parts to join.
    Computed(Parts),
}

/// A range of [`Program::parts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    first: u32,
    count: u32,
}

/// A piece of a text that is joined from several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Position in [`Program::literals`].
    Literal(u32),
    Slot {
        slot: u16,
        optional: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// A value of the table as a field; an array is a field for each of its items.
    Slot { slot: u16, optional: bool, name: Name, role: Role },
    /// Text of the template as a field.
    Literal { literal: u32, name: Name, role: Role },
    /// Joined text as a field.
    Joined { parts: Parts, name: Name, role: Role },
    /// Goes on at `to` when the value is null: the element in between depends on it.
    SkipIfNull { slot: u16, to: u32 },
    /// A template instance in place (records without a template only).
    Instance { at: u32, scope: Scope },
    /// An embedded fragment in place (records without a template only).
    Fragment { at: u32, len: u32, scope: Scope },
}

/// A value that holds more elements if its type is BinXml.
#[derive(Clone, Copy, Debug)]
pub(super) struct Splice {
    pub(super) slot: u16,
    pub(super) scope: Scope,
    /// Range of [`Program::dependencies`]: slots none of which may be null.
    dependencies: (u32, u32),
}

/// Text of the template.
#[derive(Debug)]
pub(super) struct Literal {
    pub(super) text: Vec<u8>,
    pub(super) kind: ValueKind,
}

/// A compiled template.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) splices: Vec<Splice>,
    pub(super) names: Vec<String>,
    pub(super) literals: Vec<Literal>,
    parts: Vec<Part>,
    dependencies: Vec<u16>,
}

impl Program {
    pub(super) fn parts(&self, parts: Parts) -> &[Part] {
        self.parts
            .get(parts.first as usize..)
            .and_then(|rest| rest.get(..parts.count as usize))
            .unwrap_or(&[])
    }

    pub(super) fn dependencies(&self, splice: &Splice) -> &[u16] {
        self.dependencies.get(splice.dependencies.0 as usize..splice.dependencies.1 as usize).unwrap_or(&[])
    }
}

/// Compiles canonical tokens (see [`binxml`](super::binxml)) that stand at `scope`.
///
/// # Errors
/// When elements are not closed, or are nested too deeply.
pub(super) fn compile(canonical: &[u8], scope: Scope, context: &Context<'_>) -> Result<Program> {
    let mut compiler = Compiler { context, program: Program::default(), frames: Vec::new(), scope };
    let mut cursor = Cursor::new(canonical, 0, canonical.len());
    while let Some(token) = cursor.peek() {
        cursor.skip(1)?;
        compiler.token(token, &mut cursor)?;
    }
    if compiler.frames.is_empty() { Ok(compiler.program) } else { Err("an element in it is not closed") }
}

struct Compiler<'c, 'd> {
    context: &'c Context<'d>,
    program: Program,
    frames: Vec<Frame>,
    scope: Scope,
}

/// An element being read.
struct Frame {
    scope: Scope,
    name: String,
    dependency: Option<u16>,
    /// Where the operation that skips it stands.
    skip: Option<usize>,
    attributes: Vec<(String, Vec<Piece>)>,
    /// Whether its start tag is still open, so that text belongs to the last attribute.
    in_start_tag: bool,
    /// Whether it has attributes that become fields.
    has_attributes: bool,
    has_children: bool,
    content: Vec<Piece>,
    field: Name,
    role: Role,
}

/// Text as the template gives it.
enum Piece {
    Literal(Vec<u8>, ValueKind),
    Slot { slot: u16, optional: bool },
}

const NOT_NESTED: &str = "its elements are not nested";

impl Compiler<'_, '_> {
    fn token(&mut self, token: u8, cursor: &mut Cursor<'_>) -> Result<()> {
        match token {
            OPEN => self.open(cursor),
            CLOSE_START => self.close_start(),
            CLOSE_EMPTY => self.close_start().and_then(|()| self.close()),
            END => self.close(),
            ATTRIBUTE => {
                let name = name(cursor)?;
                let frame = self.frames.last_mut().filter(|frame| frame.in_start_tag).ok_or(NOT_NESTED)?;
                frame.attributes.push((name, Vec::new()));
                Ok(())
            }
            INSTANCE => {
                let at = cursor.u32()?;
                self.child()?;
                let scope = self.inner_scope();
                self.program.ops.push(Op::Instance { at, scope });
                Ok(())
            }
            FRAGMENT => {
                let (at, len) = (cursor.u32()?, cursor.u32()?);
                self.child()?;
                let scope = self.inner_scope();
                self.program.ops.push(Op::Fragment { at, len, scope });
                Ok(())
            }
            _ => {
                let piece = piece(token, cursor)?;
                self.text(piece)
            }
        }
    }

    /// Notes that an element stands here.
    fn child(&mut self) -> Result<()> {
        match self.frames.last_mut() {
            Some(frame) if frame.in_start_tag => Err(NOT_NESTED),
            Some(frame) => {
                frame.has_children = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn inner_scope(&self) -> Scope {
        self.frames.last().map_or(self.scope, |frame| frame.scope.inside(&frame.name))
    }

    fn open(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let dependency = cursor.u16()?;
        let name = name(cursor)?;
        self.child()?;
        if self.frames.len() >= ELEMENT_DEPTH_MAX {
            return Err("its elements are nested too deeply");
        }
        // A template's root cannot be left out of anything.
        let dependency = Some(dependency).filter(|slot| *slot != NO_DEPENDENCY && !self.frames.is_empty());
        let skip = dependency.map(|slot| {
            self.program.ops.push(Op::SkipIfNull { slot, to: 0 });
            self.program.ops.len() - 1
        });
        self.frames.push(Frame {
            scope: self.inner_scope(),
            name,
            dependency,
            skip,
            attributes: Vec::new(),
            in_start_tag: true,
            has_attributes: false,
            has_children: false,
            content: Vec::new(),
            field: Name::None,
            role: Role::None,
        });
        Ok(())
    }

    fn text(&mut self, piece: Piece) -> Result<()> {
        let Some(frame) = self.frames.last_mut() else {
            return Err("it holds text outside of elements");
        };
        if !frame.in_start_tag {
            frame.content.push(piece);
        } else if let Some((_, pieces)) = frame.attributes.last_mut() {
            pieces.push(piece);
        } else {
            return Err(NOT_NESTED);
        }
        Ok(())
    }

    /// The start tag is complete: the element's field can be named, and its attributes are
    /// fields.
    fn close_start(&mut self) -> Result<()> {
        let mut frame = self.frames.pop().filter(|frame| frame.in_start_tag).ok_or(NOT_NESTED)?;
        frame.in_start_tag = false;
        self.name_field(&mut frame);
        for (name, pieces) in std::mem::take(&mut frame.attributes) {
            if name.starts_with("xmlns") {
                continue;
            }
            frame.has_attributes = true;
            let role = match (frame.scope, frame.name.as_str(), name.as_str()) {
                (Scope::System, "Provider", "Name") => Role::Provider,
                (Scope::System, "TimeCreated", "SystemTime") => Role::Time,
                _ => Role::None,
            };
            let field = self.name(&format!("{}{}_{name}", prefix(frame.scope), frame.name));
            if !pieces.is_empty() {
                self.emit(pieces, field, role);
            }
        }
        self.frames.push(frame);
        Ok(())
    }

    fn name_field(&mut self, frame: &mut Frame) {
        if matches!(frame.scope, Scope::Top | Scope::Section) {
            return;
        }
        let named = (frame.scope != Scope::System && frame.name == "Data")
            .then(|| frame.attributes.iter().position(|(name, _)| name == "Name"))
            .flatten();
        if let Some(at) = named {
            let (_, pieces) = frame.attributes.remove(at);
            if pieces.iter().any(|piece| matches!(piece, Piece::Slot { .. })) {
                frame.field = Name::Computed(self.parts(pieces));
                return;
            }
            let mut text = Vec::new();
            for piece in pieces {
                if let Piece::Literal(literal, _) = piece {
                    text.extend_from_slice(&literal);
                }
            }
            let name: String = String::from_utf8_lossy(&text).split_whitespace().collect();
            if !name.is_empty() {
                frame.field = self.name(&name);
                return;
            }
        }
        frame.field = self.name(&format!("{}{}", prefix(frame.scope), frame.name));
        frame.role = match (frame.scope, frame.name.as_str()) {
            (Scope::System, "Channel") => Role::Channel,
            (Scope::System, "EventID") => Role::EventId,
            (Scope::System, "Computer") => Role::Computer,
            _ => Role::None,
        };
    }

    fn close(&mut self) -> Result<()> {
        let Some(mut frame) = self.frames.pop().filter(|frame| !frame.in_start_tag) else {
            return Err(NOT_NESTED);
        };
        self.splices(&frame);
        let content = std::mem::take(&mut frame.content);
        let blank = content.iter().all(|piece| match piece {
            Piece::Literal(text, _) => text.trim_ascii().is_empty(),
            Piece::Slot { .. } => false,
        });
        let is_leaf = !frame.has_children && !frame.has_attributes;
        let is_layout = blank && frame.has_children;
        if !(content.is_empty() || is_layout) {
            self.emit(content, frame.field, frame.role);
        } else if is_leaf && frame.field != Name::None {
            self.emit(vec![Piece::Literal(Vec::new(), ValueKind::Text)], frame.field, frame.role);
        }
        self.end_skip(&frame);
        Ok(())
    }

    /// Notes which values of the content may hold elements.
    fn splices(&mut self, frame: &Frame) {
        let first = self.program.dependencies.len();
        if frame.content.iter().all(|piece| matches!(piece, Piece::Literal(..))) {
            return;
        }
        let outer = self.frames.iter().chain([frame]).filter_map(|frame| frame.dependency);
        self.program.dependencies.extend(outer);
        let dependencies = (index(first), index(self.program.dependencies.len()));
        let scope = frame.scope.inside(&frame.name);
        for piece in &frame.content {
            if let Piece::Slot { slot, .. } = *piece {
                self.program.splices.push(Splice { slot, scope, dependencies });
            }
        }
    }

    fn end_skip(&mut self, frame: &Frame) {
        let Some(at) = frame.skip else { return };
        let end = self.program.ops.len();
        if at + 1 == end {
            self.program.ops.pop();
        } else if let Some(Op::SkipIfNull { to, .. }) = self.program.ops.get_mut(at) {
            *to = index(end);
        }
    }

    fn name(&mut self, name: &str) -> Name {
        if let Some(id) = self.context.dictionary.lookup(name.as_bytes()) {
            return Name::Known(id);
        }
        if self.context.keep == Keep::Named {
            return Name::None;
        }
        self.program.names.push(name.to_owned());
        Name::Local(index(self.program.names.len() - 1))
    }

    fn emit(&mut self, mut pieces: Vec<Piece>, name: Name, role: Role) {
        if name == Name::None && role == Role::None {
            return;
        }
        let op = match (pieces.len(), pieces.pop()) {
            (1, Some(Piece::Slot { slot, optional })) => Op::Slot { slot, optional, name, role },
            (1, Some(Piece::Literal(text, kind))) => {
                Op::Literal { literal: self.literal(text, kind), name, role }
            }
            (_, last) => {
                pieces.extend(last);
                Op::Joined { parts: self.parts(pieces), name, role }
            }
        };
        self.program.ops.push(op);
    }

    fn parts(&mut self, pieces: Vec<Piece>) -> Parts {
        let first = index(self.program.parts.len());
        let count = index(pieces.len());
        for piece in pieces {
            let part = match piece {
                Piece::Literal(text, kind) => Part::Literal(self.literal(text, kind)),
                Piece::Slot { slot, optional } => Part::Slot { slot, optional },
            };
            self.program.parts.push(part);
        }
        Parts { first, count }
    }

    fn literal(&mut self, text: Vec<u8>, kind: ValueKind) -> u32 {
        self.program.literals.push(Literal { text, kind });
        index(self.program.literals.len() - 1)
    }
}

fn prefix(scope: Scope) -> &'static str {
    if scope == Scope::RenderingInfo { "RenderingInfo_" } else { "" }
}

/// Positions within one template, whose length a chunk bounds.
fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

fn piece(token: u8, cursor: &mut Cursor<'_>) -> Result<Piece> {
    let mut text = Vec::new();
    let mut kind = ValueKind::Text;
    match token {
        SUBSTITUTION | OPTIONAL => {
            return Ok(Piece::Slot { slot: cursor.u16()?, optional: token == OPTIONAL });
        }
        VALUE => {
            let value_type = cursor.u8()?;
            let len = cursor.length()?;
            kind = value::render(value_type, cursor.take(len)?, &mut text);
        }
        CDATA => {
            let len = cursor.length()?;
            value::utf16(cursor.take(len)?, &mut text);
        }
        CHARACTER => {
            let code = u32::from(cursor.u16()?);
            value::push_char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), &mut text);
        }
        ENTITY => entity(&name(cursor)?, &mut text),
        _ => return Err(NOT_NESTED),
    }
    Ok(Piece::Literal(text, kind))
}

/// The predefined entities of XML; others stay as written.
fn entity(name: &str, text: &mut Vec<u8>) {
    match name {
        "amp" => text.push(b'&'),
        "lt" => text.push(b'<'),
        "gt" => text.push(b'>'),
        "quot" => text.push(b'"'),
        "apos" => text.push(b'\''),
        other => text.extend_from_slice(format!("&{other};").as_bytes()),
    }
}

fn name(cursor: &mut Cursor<'_>) -> Result<String> {
    let count = usize::from(cursor.u16()?);
    let mut text = Vec::new();
    value::utf16(cursor.take(2 * count)?, &mut text);
    Ok(String::from_utf8(text).unwrap_or_default())
}
