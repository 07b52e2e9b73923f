//! From `Field|modifier|…: value` to tests (appendix modifiers).
//!
//! The chain of modifiers is read into a [`Plan`], which refuses what cannot
//! stand together, and the plan is applied to each value. Order matters only
//! where the specification makes it matter: character set before Base64,
//! Base64 before `contains`.
//!
//! `base64` and `base64offset` results are compared without regard to case,
//! as every published evaluator does, although Base64 is case-sensitive: the
//! rule's matches then agree with theirs. `|cased` makes the comparison exact.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::limits::{ENCODED_DASHES_MAX, EXPANSIONS_MAX};
use crate::refusal::{Doubt, Fault, RefusalKind};
use crate::regex::{self, Flags};
use crate::rule::{CompareOp, FieldRefKind, Item, Selection, Test, TextPart, TextPattern, TimeOp, TimeUnit};
use crate::text::{
    ExpandError, Placeholders, cut_placeholders, expand, parse_pattern, windash, write_out_dashes,
};
use crate::yaml::{Node, Scalar, Value};

/// Lowers one entry of a map: a field with its values, or keywords under a
/// key such as `'|all'`.
pub(crate) fn lower_entry(
    key: &str,
    line: u32,
    value: &Node,
    placeholders: &Placeholders,
    doubts: &mut Vec<Doubt>,
) -> Result<Selection, Fault> {
    let mut words = key.split('|');
    let field = words.next().filter(|field| !field.is_empty()).map(str::to_owned);
    let plan = Plan::read(words).map_err(|reason| {
        let reason = format!("`{key}`: {reason}");
        Fault::new(line, RefusalKind::Modifier, reason)
    })?;
    let lowering = Lowering { key, field, plan, placeholders };
    lowering.entry(line, value, doubts)
}

/// Lowers keywords that stand in a list or alone, without any modifier.
pub(crate) fn lower_keywords(
    line: u32,
    values: &[&Node],
    placeholders: &Placeholders,
) -> Result<Selection, Fault> {
    let lowering = Lowering { key: "", field: None, plan: Plan::default(), placeholders };
    let tests = lowering.tests(values)?;
    Ok(Selection::Item(lowering.item(line, any(tests))))
}

/// What a chain of modifiers asks for.
#[derive(Debug, Default)]
struct Plan {
    kind: Kind,
    anchor: Option<Anchor>,
    encodings: Vec<Encoding>,
    flags: Flags,
    compare: Option<CompareOp>,
    time: Option<TimeUnit>,
    windash: bool,
    expand: bool,
    cased: bool,
    all: bool,
    neq: bool,
}

/// What the value is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Text,
    Regex,
    Cidr,
    Exists,
    FieldRef,
    Number,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Regex => "re",
            Self::Cidr => "cidr",
            Self::Exists => "exists",
            Self::FieldRef => "fieldref",
            Self::Number => "a number",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Anchor {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Utf16Le,
    Utf16Be,
    /// Little endian with byte order mark.
    Utf16,
    Base64,
    Base64Offset,
}

impl Encoding {
    fn is_base64(self) -> bool {
        matches!(self, Self::Base64 | Self::Base64Offset)
    }
}

impl Plan {
    fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut plan = Self::default();
        for word in words {
            plan.add(word)?;
        }
        plan.check()?;
        Ok(plan)
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        match word {
            "contains" => self.set_anchor(Anchor::Contains)?,
            "startswith" => self.set_anchor(Anchor::StartsWith)?,
            "endswith" => self.set_anchor(Anchor::EndsWith)?,
            "all" => self.all = true,
            "cased" => self.cased = true,
            "neq" => self.neq = true,
            "expand" => self.expand = true,
            "windash" => self.set_windash()?,
            "wide" | "utf16le" => self.add_encoding(word, Encoding::Utf16Le)?,
            "utf16be" => self.add_encoding(word, Encoding::Utf16Be)?,
            "utf16" => self.add_encoding(word, Encoding::Utf16)?,
            "base64" => self.add_encoding(word, Encoding::Base64)?,
            "base64offset" => self.add_encoding(word, Encoding::Base64Offset)?,
            "re" => self.set_kind(Kind::Regex)?,
            "i" | "ignorecase" => self.flag(word)?.case_insensitive = true,
            "m" | "multiline" => self.flag(word)?.multi_line = true,
            "s" | "dotall" => self.flag(word)?.dot_all = true,
            "cidr" => self.set_kind(Kind::Cidr)?,
            "exists" => self.set_kind(Kind::Exists)?,
            "fieldref" => self.set_kind(Kind::FieldRef)?,
            "lt" => self.set_compare(CompareOp::Lt)?,
            "lte" => self.set_compare(CompareOp::Lte)?,
            "gt" => self.set_compare(CompareOp::Gt)?,
            "gte" => self.set_compare(CompareOp::Gte)?,
            "minute" => self.set_time(TimeUnit::Minute)?,
            "hour" => self.set_time(TimeUnit::Hour)?,
            "day" => self.set_time(TimeUnit::Day)?,
            "week" => self.set_time(TimeUnit::Week)?,
            "month" => self.set_time(TimeUnit::Month)?,
            "year" => self.set_time(TimeUnit::Year)?,
            unknown => {
                return Err(format!("modifier `{unknown}` is unknown"));
            }
        }
        Ok(())
    }

    fn set_kind(&mut self, kind: Kind) -> Result<(), String> {
        if self.kind != Kind::Text && self.kind != kind {
            return Err(format!(
                "`{}` and `{}` contradict each other: a value is one or the other",
                self.kind.word(),
                kind.word()
            ));
        }
        self.kind = kind;
        Ok(())
    }

    fn set_anchor(&mut self, anchor: Anchor) -> Result<(), String> {
        if self.anchor.is_some_and(|known| known != anchor) {
            return Err(
                "only one of `contains`, `startswith` and `endswith` can stand; `contains` covers both ends"
                    .to_owned(),
            );
        }
        self.anchor = Some(anchor);
        Ok(())
    }

    fn set_windash(&mut self) -> Result<(), String> {
        if !self.encodings.is_empty() {
            return Err("`windash` has to stand before the encoding".to_owned());
        }
        self.windash = true;
        Ok(())
    }

    fn add_encoding(&mut self, word: &str, encoding: Encoding) -> Result<(), String> {
        if self.anchor.is_some() {
            return Err(format!(
                "`{word}` has to stand before `contains`, `startswith` and `endswith`: wildcards cannot be encoded"
            ));
        }
        if self.encodings.contains(&Encoding::Base64Offset) {
            return Err(format!("`{word}` cannot follow `base64offset`"));
        }
        if !encoding.is_base64() && !self.encodings.is_empty() {
            return Err(format!("`{word}` has to be the first encoding and the only character set"));
        }
        if self.encodings.len() >= 4 {
            return Err("more than four encodings".to_owned());
        }
        self.encodings.push(encoding);
        Ok(())
    }

    fn flag(&mut self, word: &str) -> Result<&mut Flags, String> {
        if self.kind != Kind::Regex {
            return Err(format!("`{word}` can only stand after `re`"));
        }
        Ok(&mut self.flags)
    }

    fn set_compare(&mut self, op: CompareOp) -> Result<(), String> {
        self.set_kind(Kind::Number)?;
        if self.compare.is_some_and(|known| known != op) {
            return Err(
                "only one of `lt`, `lte`, `gt` and `gte` can stand; write a second key for the other bound"
                    .to_owned(),
            );
        }
        self.compare = Some(op);
        Ok(())
    }

    fn set_time(&mut self, unit: TimeUnit) -> Result<(), String> {
        self.set_kind(Kind::Number)?;
        if self.time.is_some_and(|known| known != unit) {
            return Err("only one time modifier can stand".to_owned());
        }
        self.time = Some(unit);
        Ok(())
    }

    /// What can only be judged when the whole chain is known.
    fn check(&self) -> Result<(), String> {
        let word = self.kind.word();
        if self.kind == Kind::Text {
            return Ok(());
        }
        if !self.encodings.is_empty() || self.windash {
            return Err(format!("encodings and `windash` change text, but the value is `{word}`"));
        }
        if self.cased && self.kind != Kind::FieldRef {
            return Err(format!("`cased` has no meaning with `{word}`"));
        }
        if self.expand && matches!(self.kind, Kind::Exists | Kind::Number) {
            return Err(format!("`expand` needs text, but the value is `{word}`"));
        }
        match (self.anchor, self.kind) {
            // A regular expression is found anywhere already.
            (None, _) | (_, Kind::FieldRef) | (Some(Anchor::Contains), Kind::Regex) => Ok(()),
            (_, Kind::Regex) => {
                Err("`startswith` and `endswith` do not anchor a regular expression; write `^` or `$`"
                    .to_owned())
            }
            _ => Err(format!("`contains`, `startswith` and `endswith` need text, but the value is `{word}`")),
        }
    }
}

struct Lowering<'a> {
    /// As written, for messages; empty for bare keywords.
    key: &'a str,
    field: Option<String>,
    plan: Plan,
    placeholders: &'a Placeholders,
}

impl Lowering<'_> {
    fn entry(&self, line: u32, value: &Node, doubts: &mut Vec<Doubt>) -> Result<Selection, Fault> {
        let values: Vec<&Node> = match &value.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![value],
        };
        if values.is_empty() {
            return Err(self.fault(line, "the list of values is empty"));
        }
        if let Value::List(items) = &value.value
            && let Some(null) = items.iter().find(|item| item.is_null())
        {
            // "Special Field Values"; the two halves need a search each.
            let reason = "null cannot stand in a list; write a second search for it";
            return Err(self.fault(null.line, reason));
        }
        if self.plan.kind == Kind::Exists && matches!(value.value, Value::List(_)) {
            return Err(self.fault(line, "`exists` takes one `true` or `false`, no list"));
        }
        if self.plan.all && values.len() < 2 {
            doubts.push(Doubt {
                line,
                message: format!(
                    "`{}`: `all` has no meaning with a single value (the specification forbids it)",
                    self.key
                ),
            });
        }
        let tests = self.tests(&values)?;
        if !self.plan.all {
            return Ok(Selection::Item(self.item(line, any(tests))));
        }
        if self.field.is_some() {
            return Ok(Selection::Item(self.item(line, all(tests))));
        }
        Ok(self.every_keyword(line, tests))
    }

    /// Each keyword may stand in another field, so each is an item; negated,
    /// one that is not found suffices.
    fn every_keyword(&self, line: u32, tests: Vec<Test>) -> Selection {
        let members = tests.into_iter().map(|test| Selection::Item(self.item(line, test))).collect();
        if self.plan.neq { Selection::Any(members) } else { Selection::All(members) }
    }

    fn item(&self, line: u32, test: Test) -> Item {
        Item { field: self.field.clone(), line, negated: self.plan.neq, test }
    }

    /// One test for each value.
    fn tests(&self, values: &[&Node]) -> Result<Vec<Test>, Fault> {
        values
            .iter()
            .map(|value| {
                let scalar = value.as_scalar().ok_or_else(|| {
                    let reason = format!("{} stands where a value should", value.shape());
                    self.fault(value.line, &reason)
                })?;
                self.test(scalar).map_err(|(kind, reason)| self.fault_of(kind, value.line, &reason))
            })
            .collect()
    }

    fn fault(&self, line: u32, reason: &str) -> Fault {
        self.fault_of(RefusalKind::Value, line, reason)
    }

    fn fault_of(&self, kind: RefusalKind, line: u32, reason: &str) -> Fault {
        let reason =
            if self.key.is_empty() { reason.to_owned() } else { format!("`{}`: {reason}", self.key) };
        Fault::new(line, kind, reason)
    }

    fn test(&self, value: &Scalar) -> Result<Test, ValueFault> {
        let needs_field =
            matches!(self.plan.kind, Kind::Exists | Kind::FieldRef | Kind::Number) || value.is_null();
        if self.field.is_none() && needs_field {
            let what = if value.is_null() { "null" } else { self.plan.kind.word() };
            return Err(bad_value(format!("`{what}` needs a field")));
        }
        if value.is_null() {
            return self.null();
        }
        match self.plan.kind {
            Kind::Text => self.text(value),
            Kind::Regex => self.regex(value),
            Kind::Cidr => self.cidr(value),
            Kind::Exists => value
                .as_bool()
                .map(Test::Exists)
                .ok_or_else(|| bad_value(format!("`exists` takes `true` or `false`, not `{}`", value.text))),
            Kind::FieldRef => self.field_ref(value),
            Kind::Number => self.number(value),
        }
    }

    fn null(&self) -> Result<Test, ValueFault> {
        let plan = &self.plan;
        let changed = plan.kind != Kind::Text
            || plan.anchor.is_some()
            || !plan.encodings.is_empty()
            || plan.windash
            || plan.expand
            || plan.cased;
        if changed {
            return Err(bad_value("no modifier but `neq` can be applied to null"));
        }
        Ok(Test::Null)
    }

    fn text(&self, value: &Scalar) -> Result<Test, ValueFault> {
        let patterns = match value.as_bool() {
            Some(boolean) => vec![TextPattern::literal(if boolean { "true" } else { "false" })],
            None if self.plan.expand => self.expanded_patterns(&value.text)?,
            None => vec![parse_pattern(&value.text)],
        };
        let mut tests = Vec::new();
        for pattern in patterns {
            let pattern = if self.plan.windash { windash(&pattern) } else { pattern };
            for mut pattern in self.encoded(pattern)? {
                self.open_ends(&mut pattern);
                tests.push(Test::Text { pattern, cased: self.plan.cased });
            }
        }
        Ok(any(tests))
    }

    fn expanded_patterns(&self, text: &str) -> Result<Vec<TextPattern>, ValueFault> {
        let join = |head: &mut TextPattern, tail: &TextPattern| {
            for part in &tail.parts {
                head.push(part.clone());
            }
        };
        let pieces = cut_placeholders(text);
        expand(&pieces, self.placeholders, parse_pattern, parse_pattern, join).map_err(expand_fault)
    }

    fn expanded_texts(&self, text: &str, value: impl Fn(&str) -> String) -> Result<Vec<String>, ValueFault> {
        if !self.plan.expand {
            return Ok(vec![text.to_owned()]);
        }
        let pieces = cut_placeholders(text);
        expand(&pieces, self.placeholders, str::to_owned, value, |head, tail| {
            head.push_str(tail);
        })
        .map_err(expand_fault)
    }

    /// Applies the encodings; `base64offset` makes three of one.
    fn encoded(&self, pattern: TextPattern) -> Result<Vec<TextPattern>, ValueFault> {
        if self.plan.encodings.is_empty() {
            return Ok(vec![pattern]);
        }
        let dashes = pattern.parts.iter().filter(|part| **part == TextPart::Dash).count();
        if dashes > ENCODED_DASHES_MAX {
            return Err(bad_value(format!(
                "more than {ENCODED_DASHES_MAX} dashes of one value under `windash` cannot be encoded; split the value"
            )));
        }
        let mut out = Vec::new();
        for written_out in write_out_dashes(&pattern) {
            encode(&written_out, &self.plan.encodings, &mut out)?;
        }
        Ok(out)
    }

    /// `contains`, `startswith`, `endswith`; keywords and `base64offset`
    /// without one of them are `contains`.
    fn open_ends(&self, pattern: &mut TextPattern) {
        let implied = self.field.is_none() || self.plan.encodings.contains(&Encoding::Base64Offset);
        let anchor = self.plan.anchor.or(implied.then_some(Anchor::Contains));
        if matches!(anchor, Some(Anchor::Contains | Anchor::EndsWith)) {
            pattern.open_start();
        }
        if matches!(anchor, Some(Anchor::Contains | Anchor::StartsWith)) {
            pattern.open_end();
        }
    }

    fn regex(&self, value: &Scalar) -> Result<Test, ValueFault> {
        let flags = self.plan.flags;
        let sources = self.expanded_texts(&value.text, regex::escape)?;
        let tests = sources
            .iter()
            .map(|source| {
                Ok(Test::Regex {
                    source: regex::check(source, flags).map_err(bad_value)?,
                    case_insensitive: flags.case_insensitive,
                    multi_line: flags.multi_line,
                    dot_all: flags.dot_all,
                })
            })
            .collect::<Result<Vec<_>, ValueFault>>()?;
        Ok(any(tests))
    }

    fn cidr(&self, value: &Scalar) -> Result<Test, ValueFault> {
        let networks = self.expanded_texts(&value.text, str::to_owned)?;
        let tests = networks
            .iter()
            .map(|text| network(text).map(Test::Cidr))
            .collect::<Result<Vec<_>, ValueFault>>()?;
        Ok(any(tests))
    }

    fn field_ref(&self, value: &Scalar) -> Result<Test, ValueFault> {
        let tests = self
            .expanded_texts(&value.text, str::to_owned)?
            .iter()
            .map(|text| {
                let pattern = parse_pattern(text);
                match pattern.as_literal() {
                    Some(field) if !field.is_empty() => Ok(Test::FieldRef {
                        field: field.to_owned(),
                        how: self.field_ref_kind(),
                        cased: self.plan.cased,
                    }),
                    _ => Err(bad_value(format!(
                        "`fieldref` needs the name of a field without wildcards, not `{text}`"
                    ))),
                }
            })
            .collect::<Result<Vec<_>, ValueFault>>()?;
        Ok(any(tests))
    }

    fn field_ref_kind(&self) -> FieldRefKind {
        match self.plan.anchor {
            None => FieldRefKind::Equals,
            Some(Anchor::Contains) => FieldRefKind::Contains,
            Some(Anchor::StartsWith) => FieldRefKind::StartsWith,
            Some(Anchor::EndsWith) => FieldRefKind::EndsWith,
        }
    }

    fn number(&self, value: &Scalar) -> Result<Test, ValueFault> {
        let number = value.as_number().ok_or_else(|| {
            let hint = if value.plain { "" } else { " in quotes" };
            bad_value(format!("needs a number, not `{}`{hint}", value.text))
        })?;
        let Some(unit) = self.plan.time else {
            // A plan is a number only by a comparison or a time modifier.
            let op = self.plan.compare.unwrap_or(CompareOp::Gte);
            return Ok(Test::Compare { op, number });
        };
        if number.fract() != 0.0 || number.abs() > 1e9 {
            return Err(bad_value(format!("needs a whole number, not `{}`", value.text)));
        }
        Ok(Test::Time {
            unit,
            op: self.plan.compare.map_or(TimeOp::Equal, TimeOp::Compare),
            value: number as i64,
        })
    }
}

/// Why a value cannot be used.
type ValueFault = (RefusalKind, String);

fn bad_value(reason: impl Into<String>) -> ValueFault {
    (RefusalKind::Value, reason.into())
}

fn expand_fault(error: ExpandError) -> ValueFault {
    match error {
        ExpandError::NoValue(name) => (
            RefusalKind::Placeholder,
            format!("placeholder `%{name}%` has no value; give it one to use the rule"),
        ),
        ExpandError::TooMany => {
            (RefusalKind::Limit, format!("placeholders make more than {EXPANSIONS_MAX} values of one"))
        }
    }
}

/// A network without host bits, or one address.
fn network(text: &str) -> Result<IpNet, ValueFault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet =
        text.parse().map_err(|_| bad_value(format!("`{text}` is no network; write it as `10.0.0.0/8`")))?;
    if network.trunc() != network {
        return Err(bad_value(format!(
            "`{text}` has bits set beyond its prefix; the network is `{}`",
            network.trunc()
        )));
    }
    Ok(network)
}

/// The one test, or any of them; an `Any` within is dissolved.
fn any(tests: Vec<Test>) -> Test {
    let mut flat = Vec::with_capacity(tests.len());
    for test in tests {
        match test {
            Test::Any(members) => flat.extend(members),
            other => flat.push(other),
        }
    }
    let mut tests = flat;
    match (tests.len(), tests.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            tests.extend(last);
            Test::Any(tests)
        }
    }
}

/// The one test, or all of them.
fn all(mut tests: Vec<Test>) -> Test {
    match (tests.len(), tests.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            tests.extend(last);
            Test::All(tests)
        }
    }
}

fn encode(
    pattern: &TextPattern,
    encodings: &[Encoding],
    out: &mut Vec<TextPattern>,
) -> Result<(), ValueFault> {
    let Some(text) = pattern.as_literal() else {
        return encode_around_wildcards(pattern, encodings, out);
    };
    let mut bytes = text.as_bytes().to_vec();
    for encoding in encodings {
        bytes = match encoding {
            Encoding::Base64 => base64(&bytes).into_bytes(),
            Encoding::Base64Offset => {
                for variant in base64_offsets(&bytes)? {
                    out.push(TextPattern::literal(&variant));
                }
                return Ok(());
            }
            charset => utf16(text, *charset),
        };
    }
    out.push(TextPattern::literal(&to_text(bytes)?));
    Ok(())
}

/// A character set alone can be applied around wildcards, Base64 cannot.
fn encode_around_wildcards(
    pattern: &TextPattern,
    encodings: &[Encoding],
    out: &mut Vec<TextPattern>,
) -> Result<(), ValueFault> {
    let mut encoded = TextPattern::default();
    for part in &pattern.parts {
        let TextPart::Literal(text) = part else {
            encoded.push(part.clone());
            continue;
        };
        match encodings {
            [charset] if !charset.is_base64() => {
                encoded.push_text(&to_text(utf16(text, *charset))?);
            }
            _ => {
                return Err(bad_value(format!(
                    "`{pattern}` has wildcards, which cannot be encoded; escape them as `\\*` and `\\?`"
                )));
            }
        }
    }
    if encodings.iter().any(|encoding| encoding.is_base64()) {
        return Err(bad_value("wildcards cannot be encoded"));
    }
    out.push(encoded);
    Ok(())
}

fn to_text(bytes: Vec<u8>) -> Result<String, ValueFault> {
    String::from_utf8(bytes)
        .map_err(|_| bad_value("its UTF-16 bytes are no text; add `base64` or `base64offset`"))
}

fn utf16(text: &str, charset: Encoding) -> Vec<u8> {
    let units = text.encode_utf16();
    match charset {
        Encoding::Utf16Be => units.flat_map(u16::to_be_bytes).collect(),
        Encoding::Utf16 => [0xFF, 0xFE].into_iter().chain(units.flat_map(u16::to_le_bytes)).collect(),
        _ => units.flat_map(u16::to_le_bytes).collect(),
    }
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: [char; 64] = alphabet();
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let octet = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = (octet(0) << 16) | (octet(1) << 8) | octet(2);
        for position in 0..4 {
            let sextet = (bits >> (18 - 6 * position)) & 0x3F;
            let symbol = ALPHABET.get(sextet as usize).copied().unwrap_or('=');
            out.push(if position > group.len() { '=' } else { symbol });
        }
    }
    out
}

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler only")]
const fn alphabet() -> [char; 64] {
    let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = ['='; 64];
    let mut at = 0;
    while at < 64 {
        out[at] = symbols[at] as char;
        at += 1;
    }
    out
}

/// The value at the three positions it can have in Base64, each cut to the
/// characters that its neighbours do not touch.
fn base64_offsets(bytes: &[u8]) -> Result<[String; 3], ValueFault> {
    /// Characters touched by 0, 1 and 2 bytes before.
    const CUT_START: [usize; 3] = [0, 2, 3];
    /// Characters touched after 0, 1 and 2 bytes of the last group.
    const CUT_END: [usize; 3] = [0, 3, 2];
    let mut out: [String; 3] = Default::default();
    for (shift, (variant, start)) in out.iter_mut().zip(CUT_START).enumerate() {
        let mut shifted = vec![b' '; shift];
        shifted.extend_from_slice(bytes);
        let encoded = base64(&shifted);
        let cut_end = CUT_END.get(shifted.len() % 3).copied().unwrap_or(0);
        let end = encoded.len().saturating_sub(cut_end);
        *variant = encoded.get(start..end).unwrap_or_default().to_owned();
        if variant.is_empty() {
            return Err(bad_value(
                "is too short for `base64offset`: nothing is left that does not depend on its neighbours",
            ));
        }
    }
    Ok(out)
}
