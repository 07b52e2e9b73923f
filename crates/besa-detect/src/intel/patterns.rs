//! STIX patterns made ready: which comparison expressions to try on an event, and how.
//!
//! Soundness of the choice: a leaf (`[ … ]`) is tried when one of its required literals stands in
//! some value of the event, letters' case aside. A literal is required only if every event that
//! satisfies the leaf holds it: it comes from a comparison that is not negated, on a path that the
//! mapping fills with text as it stands in a field. Leaves without such a literal are tried on
//! every event. So too much may be tried, never too little.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use besa_stix::pattern::{
    Comparison, ComparisonExpr, CompiledComparison, CompiledPattern, Constant, EvaluateError, ObjectGraph,
    ObjectPath, ObservationExpr, Op, Operand, Qualifier, Step, Value,
};
use hashbrown::HashMap;

use super::IntelRef;
use super::load::StixPattern;
use super::mapping::{self, Object, Part, Source};
use crate::sigma::{RegexSource, required};
use crate::text::fold_into;

/// Shorter literals say nothing.
const LITERAL_LEN_BYTES_MIN: usize = 3;
/// Leaves with more alternatives than this are tried on every event.
const LITERALS_MAX: usize = 10_000;

/// All patterns of a run.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    pub(crate) all: Vec<ReadyPattern>,
    pub(crate) leaves: Vec<Leaf>,
    automaton: Option<AhoCorasick>,
    /// Per literal, the leaves that need it.
    pub(crate) needing: Vec<Vec<u32>>,
    /// Leaves without a literal.
    pub(crate) always: Vec<u32>,
}

/// A pattern with what the source says of it.
#[derive(Debug)]
pub(crate) struct ReadyPattern {
    pub(crate) record: u32,
    pub(crate) compiled: CompiledPattern,
    /// One event can satisfy it.
    pub(crate) single: bool,
    /// A START … STOP stands somewhere.
    pub(crate) timed: bool,
    /// For each comparison expression, whether it has more than one comparison.
    several: Vec<bool>,
}

/// A comparison expression of a pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    pub(crate) pattern: u32,
    pub(crate) part: u16,
}

impl Patterns {
    /// Compiles. Returned besides: numbers of the patterns that cannot be matched, with the reason.
    pub(crate) fn new(patterns: Vec<StixPattern>) -> (Self, Vec<(u32, String)>) {
        let mut ready = Self::default();
        let mut refused = Vec::new();
        let mut literals: HashMap<String, usize> = HashMap::new();
        for StixPattern { record, pattern } in patterns {
            let number = u32::try_from(ready.all.len()).unwrap_or(u32::MAX);
            let impossible = is_impossible(&pattern.root);
            let exprs: Vec<ComparisonExpr> = pattern.comparison_exprs().into_iter().cloned().collect();
            let (single, timed) = (is_single(&pattern.root), is_timed(&pattern.root));
            let compiled = match (impossible, CompiledPattern::new(pattern)) {
                (None, Ok(compiled)) => compiled,
                (Some(path), _) => {
                    refused.push((
                        record,
                        format!("no log source yields `{path}`, so the pattern cannot match"),
                    ));
                    continue;
                }
                (None, Err(error)) => {
                    refused.push((record, error.to_string()));
                    continue;
                }
            };
            for (part, expr) in (0..=u16::MAX).zip(&exprs) {
                ready.place(Leaf { pattern: number, part }, expr, &mut literals);
            }
            let several = compiled
                .pattern()
                .comparison_exprs()
                .iter()
                .map(|expr| expr.comparisons().len() > 1)
                .collect();
            ready.all.push(ReadyPattern { record, compiled, single, timed, several });
        }
        ready.build(literals);
        (ready, refused)
    }

    fn place(&mut self, leaf: Leaf, expr: &ComparisonExpr, literals: &mut HashMap<String, usize>) {
        let number = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        self.leaves.push(leaf);
        match required_of(expr).filter(|found| found.len() <= LITERALS_MAX) {
            None => self.always.push(number),
            Some(found) => {
                for literal in found {
                    let next = literals.len();
                    let at = *literals.entry(literal).or_insert(next);
                    if at == self.needing.len() {
                        self.needing.push(Vec::new());
                    }
                    if self.needing[at].last() != Some(&number) {
                        self.needing[at].push(number);
                    }
                }
            }
        }
    }

    fn build(&mut self, literals: HashMap<String, usize>) {
        if literals.is_empty() {
            return;
        }
        let mut texts = vec![String::new(); literals.len()];
        for (literal, at) in literals {
            texts[at] = literal;
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&texts);
        match automaton {
            Ok(automaton) => self.automaton = Some(automaton),
            // Too many states for the automaton: every leaf is tried.
            Err(_) => {
                self.always = (0..u32::try_from(self.leaves.len()).unwrap_or(u32::MAX)).collect();
                self.needing.clear();
            }
        }
    }

    /// Appends the numbers of the literals in a value, each once.
    pub(crate) fn literals_in(&self, text: &[u8], folded: &mut Vec<u8>, out: &mut Vec<u32>) {
        let Some(automaton) = &self.automaton else { return };
        fold_value(text, folded);
        let from = out.len();
        let full = from + 4 * self.needing.len() + 1_024;
        for found in automaton.find_overlapping_iter(folded.as_slice()) {
            out.push(found.pattern().as_u32());
            if out.len() >= full {
                each_once(out, from);
            }
        }
        each_once(out, from);
    }

    /// Whether a value holds any literal.
    pub(crate) fn hold_literal(&self, text: &[u8], folded: &mut Vec<u8>) -> bool {
        let Some(automaton) = &self.automaton else { return false };
        fold_value(text, folded);
        automaton.is_match(folded.as_slice())
    }

    /// Whether any literal is looked for.
    pub(crate) fn has_literals(&self) -> bool {
        self.automaton.is_some()
    }

    /// The values that made a leaf hold: (object path, value), each once.
    pub(crate) fn matched(&self, leaf: Leaf, graph: &dyn ObjectGraph) -> Vec<(String, String)> {
        let Some(pattern) = self.all.get(leaf.pattern as usize) else { return Vec::new() };
        let exprs = pattern.compiled.pattern().comparison_exprs();
        let mut out = Vec::new();
        for test in exprs.get(usize::from(leaf.part)).into_iter().flat_map(|expr| expr.comparisons()) {
            let Ok(alone) = CompiledComparison::new(&ComparisonExpr::Test(test.clone())) else { continue };
            graph.any_object(&test.path.object_type, &mut |object| {
                graph.any_value(object, &test.path.steps, &mut |value| {
                    if alone.matches(&OneValue(value)).unwrap_or(false) {
                        let pair = (test.path.to_string(), shown(value));
                        if !out.contains(&pair) {
                            out.push(pair);
                        }
                    }
                    out.len() >= 64
                })
            });
        }
        out
    }
}

/// Sorts what stands from `from` on and takes out what is there twice.
fn each_once(numbers: &mut Vec<u32>, from: usize) {
    numbers[from..].sort_unstable();
    let mut end = from;
    for at in from..numbers.len() {
        if end == from || numbers[end - 1] != numbers[at] {
            numbers[end] = numbers[at];
            end += 1;
        }
    }
    numbers.truncate(end);
}

/// Folds letters' case, and the two characters that NFC turns into ASCII punctuation (LIKE and
/// MATCHES look at the NFC form; the Kelvin sign folds to `k` by itself).
fn fold_value(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    fold_into(text, out);
    if out.is_ascii() {
        return;
    }
    for (special, plain) in [("\u{37e}", b';'), ("\u{1fef}", b'`')] {
        if memchr::memmem::find(out, special.as_bytes()).is_some() {
            let mut plain_text = Vec::with_capacity(out.len());
            let mut from = 0;
            for at in memchr::memmem::find_iter(out, special.as_bytes()) {
                plain_text.extend_from_slice(&out[from..at]);
                plain_text.push(plain);
                from = at + special.len();
            }
            plain_text.extend_from_slice(&out[from..]);
            *out = plain_text;
        }
    }
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::String(text) => text.to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Composite => "present".to_owned(),
        Value::Null => String::new(),
    }
}

/// One value at the end of every path.
struct OneValue<'v>(Value<'v>);

impl ObjectGraph for OneValue<'_> {
    fn any_object(&self, _: &str, see: &mut dyn FnMut(usize) -> bool) -> bool {
        see(0)
    }

    fn any_value(&self, _: usize, _: &[Step], see: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        see(self.0)
    }
}

impl ReadyPattern {
    /// What is reported when one of its leaves holds.
    pub(crate) fn what(&self, leaf: Leaf) -> IntelRef {
        match self.single {
            true => IntelRef::Pattern(leaf.pattern),
            false => IntelRef::PatternPart { pattern: leaf.pattern, part: leaf.part },
        }
    }

    /// Whether a comparison expression has more than one comparison.
    pub(crate) fn has_several_comparisons(&self, part: u16) -> bool {
        self.several.get(usize::from(part)).is_some_and(|several| *several)
    }

    /// Whether a leaf holds for an event.
    pub(crate) fn leaf_holds(&self, part: u16, graph: &dyn ObjectGraph) -> Result<bool, EvaluateError> {
        self.compiled.leaves().get(usize::from(part)).map_or(Ok(false), |leaf| leaf.matches(graph))
    }
}

fn is_single(expr: &ObservationExpr) -> bool {
    match expr {
        ObservationExpr::Comparison(_) => true,
        ObservationExpr::Or(parts) => parts.iter().all(is_single),
        ObservationExpr::And(_) | ObservationExpr::FollowedBy(_) => false,
        ObservationExpr::Qualified(inner, Qualifier::Repeats { times }) => *times == 1 && is_single(inner),
        ObservationExpr::Qualified(inner, Qualifier::Within { .. } | Qualifier::StartStop { .. }) => {
            is_single(inner)
        }
    }
}

fn is_timed(expr: &ObservationExpr) -> bool {
    match expr {
        ObservationExpr::Comparison(_) => false,
        ObservationExpr::Or(parts) | ObservationExpr::And(parts) | ObservationExpr::FollowedBy(parts) => {
            parts.iter().any(is_timed)
        }
        ObservationExpr::Qualified(_, Qualifier::StartStop { .. }) => true,
        ObservationExpr::Qualified(inner, _) => is_timed(inner),
    }
}

/// A path that the expression needs and no log source has.
fn is_impossible(expr: &ObservationExpr) -> Option<ObjectPath> {
    match expr {
        ObservationExpr::Comparison(expr) => comparison_impossible(expr),
        ObservationExpr::And(parts) | ObservationExpr::FollowedBy(parts) => {
            parts.iter().find_map(is_impossible)
        }
        ObservationExpr::Or(parts) => all_impossible(parts.iter().map(is_impossible)),
        ObservationExpr::Qualified(inner, _) => is_impossible(inner),
    }
}

fn comparison_impossible(expr: &ComparisonExpr) -> Option<ObjectPath> {
    match expr {
        ComparisonExpr::Test(test) => ends_of(&test.path).is_empty().then(|| test.path.clone()),
        ComparisonExpr::And(parts) => parts.iter().find_map(comparison_impossible),
        ComparisonExpr::Or(parts) => all_impossible(parts.iter().map(comparison_impossible)),
    }
}

fn all_impossible(mut parts: impl Iterator<Item = Option<ObjectPath>>) -> Option<ObjectPath> {
    let first = parts.next()??;
    parts.all(|part| part.is_some()).then_some(first)
}

/// What the mapping can put at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Field(Part),
    /// A type, an object or a list: no text of a field.
    Other,
}

fn ends_of(path: &ObjectPath) -> Vec<End> {
    let mut ends = Vec::new();
    let objects = mapping::every_object().filter(|object| object.object_type == path.object_type);
    objects.for_each(|object| collect_ends(object, &path.steps, &mut ends));
    ends.dedup();
    ends
}

fn collect_ends(object: &Object, steps: &[Step], ends: &mut Vec<End>) {
    let Some((Step::Property(name), rest)) = steps.split_first() else { return };
    if name == "type" && rest.is_empty() && !object.object_type.is_empty() {
        ends.push(End::Other);
    }
    for row in object.rows.iter().filter(|row| row.property == name) {
        let indexed = matches!(rest.first(), Some(Step::Index(_) | Step::AnyIndex));
        let below = if row.list && indexed { &rest[1..] } else { rest };
        match &row.source {
            Source::Fields(_, part) if below.is_empty() => {
                ends.push(if row.list && !indexed { End::Other } else { End::Field(*part) });
            }
            Source::Objects(_) if below.is_empty() => ends.push(End::Other),
            Source::Objects(objects) => objects.iter().for_each(|object| collect_ends(object, below, ends)),
            Source::Fields(..) => {}
        }
    }
}

/// Literals of which every event that satisfies the expression holds at least one.
fn required_of(expr: &ComparisonExpr) -> Option<Vec<String>> {
    match expr {
        ComparisonExpr::Test(test) => required_of_test(test),
        ComparisonExpr::And(parts) => parts
            .iter()
            .filter_map(required_of)
            .max_by_key(|found| found.iter().map(String::len).min().unwrap_or(0)),
        ComparisonExpr::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(required_of(part)?);
            }
            Some(all)
        }
    }
}

fn required_of_test(test: &Comparison) -> Option<Vec<String>> {
    let ends = ends_of(&test.path);
    if test.negated || ends.is_empty() {
        return None;
    }
    let verbatim = ends.iter().all(|end| matches!(end, End::Field(part) if part.is_verbatim()));
    let registry = ends.iter().all(|end| matches!(end, End::Field(part) if part.is_registry()));
    if !verbatim && !registry {
        return None;
    }
    let one = |text: &str| longest_piece(text, registry);
    match (test.op, &test.value) {
        (Op::Eq, Operand::One(Constant::String(text))) => Some(vec![one(text)?]),
        (Op::In, Operand::Set(constants)) if !constants.is_empty() => constants
            .iter()
            .map(|constant| match constant {
                Constant::String(text) => one(text),
                _ => None,
            })
            .collect(),
        (Op::Like, Operand::One(Constant::String(text))) => {
            let pieces = text.split(['%', '_']).filter_map(one);
            Some(vec![pieces.max_by_key(String::len)?])
        }
        (Op::Matches, Operand::One(Constant::String(text))) if verbatim => required_of_regex(text),
        _ => None,
    }
}

/// The longest run of ASCII in the folded text; of a registry key, the longest component that is
/// no part of a hive's name.
fn longest_piece(text: &str, registry: bool) -> Option<String> {
    const HIVES: &str = "hkey_local_machine hkey_current_user hkey_users hkey_classes_root software classes";
    let mut folded = Vec::new();
    fold_into(text.as_bytes(), &mut folded);
    let pieces = folded
        .split(|byte| !byte.is_ascii() || (registry && *byte == b'\\'))
        .filter_map(|piece| std::str::from_utf8(piece).ok())
        .filter(|piece| piece.len() >= LITERAL_LEN_BYTES_MIN && !(registry && HIVES.contains(piece)));
    pieces.max_by_key(|piece| piece.len()).map(str::to_owned)
}

/// Constructs that PCRE reads otherwise than the parser used here (see `besa_stix`'s `pcre`).
const READ_OTHERWISE: &[&str] = &[
    "&&", "--", "~~", "[[", r"\<", r"\>", r"\h", r"\H", r"\v", r"\V", r"\Q", r"\E", r"\g", r"\0", "(?x", "{",
];

fn required_of_regex(pattern: &str) -> Option<Vec<String>> {
    if READ_OTHERWISE.iter().any(|construct| pattern.contains(construct)) || has_class_with_bracket(pattern) {
        return None;
    }
    let source = RegexSource {
        pattern: pattern.to_owned(),
        case_insensitive: false,
        multi_line: false,
        dot_all: true,
    };
    let found = required(&source)?;
    found.into_iter().map(|literal| longest_piece(std::str::from_utf8(&literal).ok()?, false)).collect()
}

/// `[` inside a class is itself in PCRE and opens another class here.
fn has_class_with_bracket(pattern: &str) -> bool {
    let mut inside = false;
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '[' if inside => return true,
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
    }
    false
}
