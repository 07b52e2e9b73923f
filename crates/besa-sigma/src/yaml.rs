//! A small YAML tree with line numbers.
//!
//! What YAML libraries commonly do to rules, and this does not: plain scalars
//! stay text in the spelling of the source (`4688`, `0x10`, `yes`, `1e3`), so
//! that a value is compared as written; a key that stands twice is a fault,
//! not the last one wins; aliases are copied under a budget.
//!
//! The stream is cut at its `---` lines before it is parsed, so that a fault
//! in one document does not hide the next. The cut is exact: YAML forbids a
//! line that begins with `---` inside any scalar (YAML 1.2.2, 9.1.2).

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::limits::{COPIED_COST_MAX, INPUT_BYTES_MAX, YAML_DEPTH_MAX};
use crate::refusal::{Fault, RefusalKind};

/// A value and the line it starts at, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key: value` of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) value: Node,
}

/// A scalar in its source spelling; quoted ones are text whatever they hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) plain: bool,
}

impl Scalar {
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The core schema's booleans. `yes` and `on` stay text.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    /// A finite number, decimal or hexadecimal.
    pub(crate) fn as_number(&self) -> Option<f64> {
        if !self.plain {
            return None;
        }
        if let Some(digits) = self.text.strip_prefix("0x") {
            return u32::from_str_radix(digits, 16).ok().map(f64::from);
        }
        let numeric =
            self.text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
        numeric.then(|| self.text.parse::<f64>().ok()).flatten().filter(|number| number.is_finite())
    }
}

impl Node {
    pub(crate) fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// A scalar's text, unless it is null.
    pub(crate) fn as_text(&self) -> Option<&str> {
        self.as_scalar().filter(|scalar| !scalar.is_null()).map(|scalar| scalar.text.as_str())
    }

    pub(crate) fn as_map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(Scalar::is_null)
    }

    /// Bytes of text plus one for each node: what a copy costs.
    pub(crate) fn cost(&self) -> usize {
        match &self.value {
            Value::Scalar(scalar) => 1 + scalar.text.len(),
            Value::List(items) => 1 + items.iter().map(Self::cost).sum::<usize>(),
            Value::Map(entries) => {
                1 + entries.iter().map(|entry| 1 + entry.key.len() + entry.value.cost()).sum::<usize>()
            }
        }
    }

    /// What a person calls the shape in a message.
    pub(crate) fn shape(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// The documents of an input, each read or with its fault. Empty ones are left
/// out.
pub(crate) fn documents(bytes: &[u8]) -> Vec<Result<Node, Fault>> {
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(fault) => return vec![Err(fault)],
    };
    let mut out = Vec::new();
    let mut copied_cost = 0;
    for (first_line, chunk) in chunks(text) {
        read_chunk(chunk, first_line, &mut copied_cost, &mut out);
    }
    out
}

fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(Fault::new(
            1,
            RefusalKind::Limit,
            format!("input has `{}` bytes, at most {INPUT_BYTES_MAX} are read; split the file", bytes.len()),
        ));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let fault = |offset: usize, reason: &str| {
        let before = bytes.get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Fault::new(to_line(line), RefusalKind::Yaml, reason)
    };
    // The scanner takes NUL for the end of its input: the rest would be lost.
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        return Err(fault(offset, "holds a NUL byte, so it is no YAML text"));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| fault(error.valid_up_to(), "is not UTF-8; save the file with that encoding"))
}

fn to_line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Cuts before each `---` line; yields the number of lines before each piece.
fn chunks(text: &str) -> Vec<(usize, &str)> {
    let mut cuts = vec![(0, 0)];
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && index > 0 {
            cuts.push((index, offset));
        }
        offset += line.len();
    }
    let ends = cuts.iter().skip(1).map(|&(_, start)| start).chain([text.len()]);
    cuts.iter()
        .zip(ends)
        .filter_map(|(&(line, start), end)| Some((line, text.get(start..end)?)))
        .filter(|(_, chunk)| !is_only_directives(chunk))
        .collect()
}

/// Comments, blank lines and `%YAML` directives, which the next piece's `---`
/// would have ended.
fn is_only_directives(chunk: &str) -> bool {
    chunk.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line.starts_with('%')
    })
}

fn read_chunk(chunk: &str, lines_before: usize, copied_cost: &mut usize, out: &mut Vec<Result<Node, Fault>>) {
    let mut builder = Builder::new(lines_before, *copied_cost);
    for event in Parser::new_from_str(chunk) {
        let step = match event {
            Ok((event, span)) => {
                let line = to_line(lines_before + span.start.line());
                builder.take(event, line)
            }
            Err(error) => Err(Fault::new(
                to_line(lines_before + error.marker().line()),
                RefusalKind::Yaml,
                format!("is no valid YAML: {}", error.info()),
            )),
        };
        match step {
            Ok(Some(node)) if node.is_null() => {}
            Ok(Some(node)) => out.push(Ok(node)),
            Ok(None) => {}
            Err(fault) => {
                out.push(Err(fault));
                break;
            }
        }
    }
    *copied_cost = builder.copied_cost;
}

/// Builds nodes from events without recursion.
struct Builder {
    stack: Vec<Frame>,
    /// Anchored nodes of the current document, with their own depth.
    anchors: HashMap<usize, (Node, usize)>,
    copied_cost: usize,
    document_line: u32,
}

/// A list or map that is not yet complete.
struct Frame {
    line: u32,
    anchor: usize,
    /// Depth of the deepest member so far.
    depth: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, keys: HashSet<String>, pending: Option<(String, u32)>, merges: Vec<Node> },
}

impl Builder {
    fn new(lines_before: usize, copied_cost: usize) -> Self {
        Self {
            stack: Vec::new(),
            anchors: HashMap::new(),
            copied_cost,
            document_line: to_line(lines_before + 1),
        }
    }

    /// Takes one event; yields a document when it is complete.
    fn take(&mut self, event: Event<'_>, line: u32) -> Result<Option<Node>, Fault> {
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.document_line = line;
                Ok(None)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let string_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let scalar =
                    Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain && !string_tag };
                let node = Node { line, value: Value::Scalar(scalar) };
                self.place(node, anchor, 0)
            }
            Event::Alias(anchor) => self.alias(anchor, line),
            Event::SequenceStart(anchor, _) => self.open(line, anchor, FrameKind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(
                line,
                anchor,
                FrameKind::Map {
                    entries: Vec::new(),
                    keys: HashSet::new(),
                    pending: None,
                    merges: Vec::new(),
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => Ok(None),
        }
    }

    fn open(&mut self, line: u32, anchor: usize, kind: FrameKind) -> Result<Option<Node>, Fault> {
        self.check_depth(line, 1)?;
        self.stack.push(Frame { line, anchor, depth: 0, kind });
        Ok(None)
    }

    fn check_depth(&self, line: u32, more: usize) -> Result<(), Fault> {
        if self.stack.len() + more > YAML_DEPTH_MAX {
            return Err(Fault::new(
                line,
                RefusalKind::Limit,
                format!("lists and maps nest deeper than {YAML_DEPTH_MAX}"),
            ));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<Option<Node>, Fault> {
        let Some(frame) = self.stack.pop() else {
            return Ok(None);
        };
        let value = match frame.kind {
            FrameKind::List(items) => Value::List(items),
            FrameKind::Map { mut entries, mut keys, merges, .. } => {
                for merged in merges {
                    merge_into(&mut entries, &mut keys, merged);
                }
                Value::Map(entries)
            }
        };
        let node = Node { line: frame.line, value };
        self.place(node, frame.anchor, frame.depth + 1)
    }

    fn alias(&mut self, anchor: usize, line: u32) -> Result<Option<Node>, Fault> {
        let Some((node, depth)) = self.anchors.get(&anchor) else {
            return Err(Fault::new(line, RefusalKind::Yaml, "an alias stands inside the value it names"));
        };
        let (cost, depth) = (node.cost(), *depth);
        self.check_depth(line, depth)?;
        spend(&mut self.copied_cost, cost, line)?;
        let node = self.anchors.get(&anchor).map(|(node, _)| node.clone());
        match node {
            Some(node) => self.place(node, 0, depth),
            None => Ok(None),
        }
    }

    /// Puts a complete node where it belongs. `depth` is that of the node.
    fn place(&mut self, node: Node, anchor: usize, depth: usize) -> Result<Option<Node>, Fault> {
        if anchor != 0 {
            spend(&mut self.copied_cost, node.cost(), node.line)?;
            self.anchors.insert(anchor, (node.clone(), depth));
        }
        let Some(frame) = self.stack.last_mut() else {
            return Ok(Some(node));
        };
        frame.depth = frame.depth.max(depth);
        match &mut frame.kind {
            FrameKind::List(items) => items.push(node),
            FrameKind::Map { entries, keys, pending, merges } => match pending.take() {
                None => *pending = Some(map_key(node)?),
                Some((key, _)) if key == "<<" => merges.push(node),
                Some((key, line)) => {
                    if !keys.insert(key.clone()) {
                        return Err(Fault::new(
                            line,
                            RefusalKind::Yaml,
                            format!("key `{key}` stands twice in one map; one of the two would be lost"),
                        ));
                    }
                    entries.push(Entry { key, line, value: node });
                }
            },
        }
        Ok(None)
    }
}

fn map_key(node: Node) -> Result<(String, u32), Fault> {
    let line = node.line;
    match node.value {
        Value::Scalar(scalar) => Ok((scalar.text, line)),
        _ => Err(Fault::new(line, RefusalKind::Yaml, "a list or map stands as a key; only text can")),
    }
}

/// The merge key `<<` (YAML 1.1 type repository): what is not yet there.
fn merge_into(entries: &mut Vec<Entry>, keys: &mut HashSet<String>, merged: Node) {
    let maps = match merged.value {
        Value::List(items) => items,
        value => vec![Node { line: merged.line, value }],
    };
    for map in maps {
        let Value::Map(members) = map.value else {
            continue;
        };
        for entry in members {
            if keys.insert(entry.key.clone()) {
                entries.push(entry);
            }
        }
    }
}

/// Counts a copy against [`COPIED_COST_MAX`].
pub(crate) fn spend(copied_cost: &mut usize, cost: usize, line: u32) -> Result<(), Fault> {
    *copied_cost = copied_cost.saturating_add(cost);
    if *copied_cost > COPIED_COST_MAX {
        return Err(Fault::new(
            line,
            RefusalKind::Limit,
            format!("aliases and global sections copy more than {COPIED_COST_MAX} bytes"),
        ));
    }
    Ok(())
}
