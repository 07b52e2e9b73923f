//! One JSON value to fields (RFC 8259), in one pass, without unescaping.
//!
//! The parser steps from token to token and checks each. Strings it takes from the marks of their
//! quotes (see [`strings`](super::strings)) where there are some; without them it reads every
//! byte, which is the slow twin that tests hold the marks to.

use std::ops::Range;

use besa_event::{Batch, Span, ValueKind, json_unescape};

use super::names::{Found, Name, Names, PathHash, Use};
use super::record::{Inner, Record, SecondName, Slot, Source};
use super::shapes::Role;
use super::strings::Strings;
use crate::context::Context;

/// Where and how a value departs from RFC 8259.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Position in the text that was parsed.
    pub(super) at: usize,
    pub(super) what: &'static str,
}

type Parsed<T> = Result<T, Fault>;

/// A dotted path longer than this has no name: hashing it for each field under it would let a
/// stranger make us spend the square of a record's length.
pub(super) const PATH_LEN_MAX: usize = 1_024;

pub(super) struct Parser<'a, 't> {
    context: &'a Context<'a>,
    bytes: &'a [u8],
    /// Of `bytes` and what lies behind; `None` where they are not the block's.
    strings: Option<&'a mut Strings<'t>>,
    source: Source,
    /// Added to positions that are remembered.
    base: usize,
    at: usize,
    /// Whether a line break ends the text.
    pub(super) is_in_line: bool,
    names: &'a mut Names,
    record: &'a mut Record,
    /// Path of the object under way.
    path: &'a mut Vec<u8>,
    /// The same, hashed.
    path_hash: PathHash,
    batch: &'a mut Batch,
}

impl<'a, 't> Parser<'a, 't> {
    pub(super) fn new(
        context: &'a Context<'a>,
        bytes: &'a [u8],
        strings: Option<&'a mut Strings<'t>>,
        names: &'a mut Names,
        record: &'a mut Record,
        path: &'a mut Vec<u8>,
        batch: &'a mut Batch,
    ) -> Self {
        Self {
            context,
            bytes,
            strings,
            source: Source::Block,
            base: 0,
            at: 0,
            is_in_line: false,
            names,
            record,
            path,
            path_hash: PathHash::default(),
            batch,
        }
    }

    /// For text that is not the block's: values are copied to the batch.
    pub(super) fn embedded(mut self, base: usize) -> Self {
        self.source = Source::Embedded;
        self.base = base;
        self
    }

    /// Reads the object at `begin`; returns where it ends.
    pub(super) fn record(&mut self, begin: usize) -> Parsed<usize> {
        self.at = begin;
        if self.peek() != Some(b'{') {
            return self.fault("no object");
        }
        self.object(0)?;
        self.end_of_pairs();
        Ok(self.at)
    }

    /// Reads the value at `begin` as the value of what `path` holds.
    pub(super) fn value_of_path(&mut self, begin: usize) -> Parsed<usize> {
        self.at = begin;
        let found = self.names.find_path(self.context, self.path, self.batch);
        self.path_hash = found.hash;
        self.value(&self.names.name(found), 0)?;
        self.end_of_pairs();
        Ok(self.at)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault<T>(&self, what: &'static str) -> Parsed<T> {
        let what = if self.at >= self.bytes.len() { "unexpected end" } else { what };
        Err(Fault { at: self.at, what })
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\n' | b'\r' | b'\t')) = self.peek() {
            if self.is_in_line && byte == b'\n' {
                return;
            }
            self.at += 1;
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<()> {
        if depth >= self.context.limits.json_depth_max {
            return self.fault("nested too deep");
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let path_len = self.path.len();
        loop {
            while self.plain_member() {}
            if self.peek() != Some(b'"') {
                return self.fault("no name in double quotes");
            }
            let (key, is_escaped) = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return self.fault("no `:` after a name");
            }
            self.at += 1;
            self.skip_space();
            self.member(&key, is_escaped, depth)?;
            self.path.truncate(path_len);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.fault("no `,` or `}` after a value"),
            }
            self.skip_space();
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a member as most are written, and the comma behind it: `"name":"text",` or
    /// `"name":12,`, with another name to follow. Reads nothing and says no to any other, which
    /// [`Parser::object`] then reads token by token.
    #[inline]
    fn plain_member(&mut self) -> bool {
        let Some(strings) = &mut self.strings else { return false };
        let open = self.at;
        let (close, kind, value, marks) = if let Some((close, end, is_escaped)) = strings.pair(open)
            && self.bytes.get(close + 1) == Some(&b':')
        {
            let kind = if is_escaped { ValueKind::JsonText } else { ValueKind::Text };
            (close, kind, close + 3..end, 4)
        } else if let Some(close) = strings.name(open)
            && let Some(len) = plain_number_len(self.bytes, close)
        {
            (close, ValueKind::Number, close + 2..close + 2 + len, 2)
        } else {
            return false;
        };
        let behind = value.end + usize::from(kind != ValueKind::Number);
        if self.bytes.get(behind..).and_then(<[u8]>::first_chunk) != Some(b",\"") {
            return false;
        }
        let Some(key) = self.bytes.get(open + 1..close) else { return false };
        if self.path.len() + key.len() > PATH_LEN_MAX {
            return false;
        }
        strings.use_up(marks);
        self.at = behind + 1;
        let found = self.names.find_leaf(self.context, (self.path, self.path_hash), key, self.batch);
        match self.names.use_of(found) {
            Use::Field(field) if self.source == Source::Block => {
                if self.count_field() {
                    self.batch.push_field(field, kind, Span::new(value));
                }
            }
            Use::Idle => {
                self.count_field();
            }
            _ => self.leaf(&self.names.name(found), kind, value),
        }
        true
    }

    #[inline]
    fn member(&mut self, key: &Range<usize>, is_escaped: bool, depth: usize) -> Parsed<()> {
        let is_nested = matches!(self.peek(), Some(b'{' | b'['));
        if self.path.len() + key.len() > PATH_LEN_MAX {
            self.record.left_out += usize::from(!is_nested);
            return self.skip_value(depth);
        }
        if is_escaped || is_nested {
            return self.member_with_path(key, is_escaped, depth);
        }
        let key = self.bytes.get(key.clone()).unwrap_or_default();
        let found = self.names.find_leaf(self.context, (self.path, self.path_hash), key, self.batch);
        self.leaf_value(found, depth)
    }

    /// A member whose path is written out: things stand below it, or its name has to be unescaped.
    fn member_with_path(&mut self, key: &Range<usize>, is_escaped: bool, depth: usize) -> Parsed<()> {
        let key = self.bytes.get(key.clone()).unwrap_or_default();
        let parent_len = self.path.len();
        let is_top = parent_len == 0;
        if !is_top {
            self.path.push(b'.');
        }
        if is_escaped {
            json_unescape(key, self.path);
        } else {
            self.path.extend_from_slice(key);
        }
        let (parent, key) = self.path.split_at_checked(parent_len).unwrap_or_default();
        let key = if is_top { key } else { key.get(1..).unwrap_or_default() };
        let found = self.names.find(self.context, (parent, self.path_hash), key, self.batch);
        let name = self.names.name(found);
        let parent_hash = std::mem::replace(&mut self.path_hash, found.hash);
        let parsed = if is_top && self.is_envelope(&name) {
            self.path.clear();
            self.path_hash = PathHash::default();
            self.object(depth + 1)
        } else {
            self.value(&name, depth)
        };
        self.path_hash = parent_hash;
        parsed
    }

    /// A value with nothing below it; nothing is done with one that nobody wants.
    #[inline]
    fn leaf_value(&mut self, found: Found, depth: usize) -> Parsed<()> {
        if self.names.use_of(found) != Use::Idle {
            return self.value(&self.names.name(found), depth);
        }
        self.plain_value()?;
        self.count_field();
        Ok(())
    }

    /// Whether an object at the top only wraps the record: an Elasticsearch hit, or a result as
    /// Splunk exports it, which nothing but Splunk's own names may precede.
    fn is_envelope(&self, name: &Name) -> bool {
        self.peek() == Some(b'{')
            && match name.role {
                Role::EnvelopeElastic => true,
                Role::EnvelopeSplunk => self.record.fields == 0,
                _ => false,
            }
    }

    fn value(&mut self, name: &Name, depth: usize) -> Parsed<()> {
        match self.peek() {
            Some(b'{') => {
                self.node(name);
                self.object(depth + 1)
            }
            Some(b'[') => self.array(name, depth + 1),
            _ => {
                let (kind, range) = self.plain_value()?;
                self.leaf(name, kind, range);
                Ok(())
            }
        }
    }

    /// Reads a string, number, truth value or null.
    #[inline]
    fn plain_value(&mut self) -> Parsed<(ValueKind, Range<usize>)> {
        let begin = self.at;
        let kind = match self.peek() {
            Some(b'"') => {
                let (range, is_escaped) = self.string()?;
                return Ok((if is_escaped { ValueKind::JsonText } else { ValueKind::Text }, range));
            }
            Some(b't') => self.literal(b"true", ValueKind::Boolean)?,
            Some(b'f') => self.literal(b"false", ValueKind::Boolean)?,
            Some(b'n') => self.literal(b"null", ValueKind::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return self.fault("no value"),
        };
        let end = if kind == ValueKind::Null { begin } else { self.at };
        Ok((kind, begin..end))
    }

    fn array(&mut self, name: &Name, depth: usize) -> Parsed<()> {
        if depth >= self.context.limits.json_depth_max {
            return self.fault("nested too deep");
        }
        self.at += 1;
        self.skip_space();
        // An array of plain values is those values; of any other only its presence counts.
        if matches!(self.peek(), Some(b'{' | b'[' | b']')) {
            self.node(name);
        }
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let path_len = self.path.len();
        loop {
            match self.peek() {
                Some(b'{') => self.object(depth)?,
                _ => self.value(name, depth)?,
            }
            self.path.truncate(path_len);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.fault("no `,` or `]` after a value"),
            }
            self.skip_space();
        }
        self.at += 1;
        Ok(())
    }

    /// Checks a value whose path is too long to name, without keeping anything of it.
    fn skip_value(&mut self, depth: usize) -> Parsed<()> {
        let nameless = Name::default();
        match self.peek() {
            Some(b'{') => {
                // Names inside are looked up under the path so far, which is as long as a path
                // may be: none of them is kept either.
                let path_len = self.path.len();
                self.path.resize(PATH_LEN_MAX + 1, b'.');
                self.object(depth + 1)?;
                self.path.truncate(path_len);
                Ok(())
            }
            Some(b'[') => {
                let path_len = self.path.len();
                self.path.resize(PATH_LEN_MAX + 1, b'.');
                self.array(&nameless, depth + 1)?;
                self.path.truncate(path_len);
                Ok(())
            }
            _ => self.value(&nameless, depth),
        }
    }

    fn literal(&mut self, word: &'static [u8], kind: ValueKind) -> Parsed<ValueKind> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.fault("no value");
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Parsed<ValueKind> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let has_leading_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if has_leading_zero && whole > 1 {
            return self.fault("a number with a leading zero");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(ValueKind::Number)
    }

    fn digits(&mut self) -> Parsed<usize> {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == begin { self.fault("no digit in a number") } else { Ok(self.at - begin) }
    }

    /// Reads a string; returns its inside and whether it holds escape sequences.
    #[inline]
    fn string(&mut self) -> Parsed<(Range<usize>, bool)> {
        if let Some(strings) = &mut self.strings
            && let Some((close, is_escaped)) = strings.close(self.at)
            && close < self.bytes.len()
        {
            let begin = self.at + 1;
            self.at = close + 1;
            return Ok((begin..close, is_escaped));
        }
        self.string_by_bytes()
    }

    fn string_by_bytes(&mut self) -> Parsed<(Range<usize>, bool)> {
        let begin = self.at + 1;
        let mut is_escaped = false;
        self.at = begin;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((begin..self.at - 1, is_escaped));
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                _ => return self.fault("a control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<()> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|digit| digit.is_ascii_hexdigit()) {
                        return self.fault("an escape sequence without four digits");
                    }
                    self.at += 1;
                }
            }
            _ => return self.fault("an unknown escape sequence"),
        }
        Ok(())
    }

    fn leaf(&mut self, name: &Name, kind: ValueKind, range: Range<usize>) {
        match name.role {
            Role::None => {}
            Role::Namespace => return,
            // What Splunk puts before a result is not the result's.
            Role::EnvelopeName => {
                self.push(name, kind, range);
                self.record.fields -= 1;
                return;
            }
            Role::PairName => {
                self.end_of_pairs();
                self.record.pair_name = Some(self.slot(kind, &range));
                return;
            }
            Role::PairText => {
                if let Some(pair) = self.record.pair_name.take() {
                    return self.pair(pair, kind, range);
                }
            }
            role => self.record.fill(role, self.slot(kind, &range)),
        }
        self.push(name, kind, range);
    }

    fn slot(&self, kind: ValueKind, range: &Range<usize>) -> Slot {
        Slot::new(self.source, kind, &(self.base + range.start..self.base + range.end))
    }

    fn push(&mut self, name: &Name, kind: ValueKind, range: Range<usize>) {
        if !self.count_field() {
            return;
        }
        if let Some(prefix) = name.inner
            && self.source == Source::Block
        {
            self.record.inner.push(Inner { start: range.start, end: range.end, prefix });
        }
        if name.field.is_none() && name.second_names.is_empty() {
            return;
        }
        let span = match self.source {
            Source::Block => Span::new(range),
            Source::Embedded => self.batch.append(self.bytes.get(range).unwrap_or_default()),
        };
        if let Some(field) = name.field {
            self.batch.push_field(field, kind, span);
        }
        let path = name.path;
        for (scope, name) in name.second_names.iter() {
            self.record.second_names.push(SecondName { scope, name, path, kind, span });
        }
    }

    /// Counts a value; tells whether there is still room for it.
    #[inline]
    fn count_field(&mut self) -> bool {
        self.record.fields += 1;
        let has_room = self.record.fields <= self.context.limits.fields_max;
        self.record.left_out += usize::from(!has_room);
        has_room
    }

    /// An object, or an array of them: whoever asks for it asks for its presence.
    fn node(&mut self, name: &Name) {
        if let Some(field) = name.field
            && !name.is_renamed
            && field.as_local().is_none()
            && self.record.fields < self.context.limits.fields_max
        {
            self.record.fields += 1;
            self.batch.push_field(field, ValueKind::Node, Span::default());
        }
    }

    /// `{"#attributes":{"Name":"Image"},"#text":"C:\\a.exe"}`: a field called as the value of
    /// another.
    fn pair(&mut self, pair: Slot, kind: ValueKind, range: Range<usize>) {
        let mut path = std::mem::take(self.path);
        let path_len = path.len();
        path.extend_from_slice(b"Event.EventData.");
        let text = self.bytes.get(pair.start - self.base..pair.end - self.base).unwrap_or_default();
        if text.len() <= PATH_LEN_MAX {
            match pair.kind {
                ValueKind::JsonText => json_unescape(text, &mut path),
                _ => path.extend_from_slice(text),
            }
        }
        let path_of_pair = path.get(path_len..).unwrap_or_default();
        let found = self.names.find_path(self.context, path_of_pair, self.batch);
        let name = self.names.name(found);
        path.truncate(path_len);
        *self.path = path;
        match name.role {
            Role::None | Role::PairName | Role::PairText | Role::Namespace => {}
            role => self.record.fill(role, self.slot(kind, &range)),
        }
        self.push(&name, kind, range);
    }

    /// A name whose element had no text: the field is there and empty.
    fn end_of_pairs(&mut self) {
        if let Some(pair) = self.record.pair_name.take()
            && pair.source == self.source
        {
            let end = pair.end - self.base;
            self.pair(pair, ValueKind::Text, end..end);
        }
    }
}

/// Length of the whole number behind the `:` behind a name that closes at `close`, without a
/// fraction or exponent; `None` if none is there.
#[inline]
fn plain_number_len(bytes: &[u8], close: usize) -> Option<usize> {
    let (colon, number) = bytes.get(close + 1..)?.split_first()?;
    let sign = usize::from(number.first() == Some(&b'-'));
    let digits = number.get(sign..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let has_leading_zero = digits > 1 && number.get(sign) == Some(&b'0');
    (*colon == b':' && digits > 0 && !has_leading_zero).then_some(sign + digits)
}

/// The first position from `at` that holds `"`, `\` or a control character, eight bytes a step.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest byte so marked is truly zero (or below the bound): a borrow only travels up.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(eight) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        let quotes = zeros(word ^ (ONES * b'"' as u64));
        let backslashes = zeros(word ^ (ONES * b'\\' as u64));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = quotes | backslashes | controls;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}
