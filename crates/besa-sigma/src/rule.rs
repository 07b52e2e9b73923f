//! What a rule is once it has been read: plain data, every reference resolved,
//! every modifier applied.
//!
//! A matcher never sees a modifier, a wildcard character or an escape: they
//! have become [`Test`]s and [`TextPart`]s. It never sees `1 of sel*` either:
//! the [`Condition`] holds indices into [`Rule::searches`].
//!
//! ```text
//! detection:                          Rule
//!   sel:                                searches[0] "sel": All
//!     Image|endswith: '\cmd.exe'          Item Image  Text [*, "\cmd.exe"]
//!     CommandLine|contains:               Item CommandLine  Any
//!       - ' /c '                            Text [*, " /c ", *]
//!       - ' /k '                            Text [*, " /k ", *]
//!   filter_x:                           searches[1] "filter_x": All
//!     User: null                          Item User  Null
//!   condition: sel and not 1 of filter_*
//!                                       condition: All[Search(0), Not(Search(1))]
//! ```

use ipnet::IpNet;

/// Where something stands in the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Name of the input as the caller gave it, commonly a file's path.
    pub origin: String,
    /// Line in that input, from 1.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.origin, self.line)
    }
}

/// `level`: how much a match matters. Ordered, `Informational` is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Enriches events, is no alert by itself.
    Informational,
    /// Notable, rarely an incident.
    Low,
    /// Relevant, to be reviewed more often.
    Medium,
    /// Relevant, to be reviewed quickly.
    High,
    /// Indicates an incident.
    Critical,
}

impl Level {
    /// The word a rule writes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads the word, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of `related`: another rule and how this one stands to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Id of the other rule.
    pub id: String,
    /// `derived`, `obsolete`, `merged`, `renamed`, `similar` or `correlation`.
    pub kind: String,
}

/// What a rule, correlation or filter says about itself.
///
/// Texts are as written; nothing here takes part in matching.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// `title`; empty when the rule has none.
    pub title: String,
    /// `id`, a UUID in most rules.
    pub id: Option<String>,
    /// `name`, by which correlations and filters may refer to the rule.
    pub name: Option<String>,
    /// `author`. The Detection Rule License asks that a finding carry it.
    pub author: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `status`: `stable`, `test`, `experimental`, `deprecated`, `unsupported`.
    pub status: Option<String>,
    /// `date`, as written.
    pub date: Option<String>,
    /// `modified`, as written.
    pub modified: Option<String>,
    /// `license`, an SPDX identifier.
    pub license: Option<String>,
    /// `level`; `None` when absent or no word of the specification.
    pub level: Option<Level>,
    /// `tags`, as written; see [`crate::attack`] for the ATT&CK ids in them.
    pub tags: Vec<String>,
    /// `references`.
    pub references: Vec<String>,
    /// `falsepositives`.
    pub falsepositives: Vec<String>,
    /// `fields`: those an analyst wants to see first.
    pub fields: Vec<String>,
    /// `scope`: the services or machines the rule is meant for.
    pub scope: Vec<String>,
    /// `related`.
    pub related: Vec<Related>,
    /// Where the document starts.
    pub place: Place,
}

impl Meta {
    /// What to call the rule in a message: its id, else name, else title.
    #[must_use]
    pub fn key(&self) -> &str {
        self.id.as_deref().or(self.name.as_deref()).unwrap_or(&self.title)
    }
}

/// `logsource`: the events a rule is about. All of it absent means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Logsource {
    /// `product`, such as `windows`. Lower case.
    pub product: Option<String>,
    /// `category`, such as `process_creation`. Lower case.
    pub category: Option<String>,
    /// `service`, such as `security`. Lower case.
    pub service: Option<String>,
    /// `definition`: for people, what has to be logged.
    pub definition: Option<String>,
}

impl std::fmt::Display for Logsource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        write!(f, "{}/{}/{}", part(&self.product), part(&self.category), part(&self.service))
    }
}

/// One detection rule, ready to be compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it says about itself.
    pub meta: Meta,
    /// Which events it is about.
    pub logsource: Logsource,
    /// The named searches under `detection`, in the order written, then those
    /// of the filters that were applied. Searches the condition does not name
    /// are kept: they are part of the rule as written.
    pub searches: Vec<Search>,
    /// When it matches. Filters are already ANDed in.
    pub condition: Condition,
    /// Whether a match is a finding by itself. `false` for a rule that only
    /// feeds correlations, none of which has `generate: true`
    /// (correlation specification, "Generate").
    pub generates: bool,
}

/// One named search (`selection`, `filter_main_x`, `keywords`, …).
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Its key under `detection`.
    pub name: String,
    /// Line of that key, from 1.
    pub line: u32,
    /// What it looks for.
    pub selection: Selection,
}

/// The condition with `x of y` written out and every name resolved.
///
/// `All` and `Any` hold at least one member; a list of conditions is an `Any`.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `and`, `all of`.
    All(Vec<Condition>),
    /// `or`, `1 of`, `any of`, a list of conditions.
    Any(Vec<Condition>),
    /// `not`.
    Not(Box<Condition>),
    /// The search at this index of [`Rule::searches`].
    Search(usize),
}

/// The body of a search. `All` and `Any` hold at least one member.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// A map: every member; or keywords under `'|all'`.
    All(Vec<Selection>),
    /// A list: at least one member.
    Any(Vec<Selection>),
    /// One field with its values, or keywords.
    Item(Item),
}

/// One line of a selection: a field and what its value has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The field's name as the rule writes it. `None` is a keyword: the test
    /// holds when *any* value of the event, however deep, or the raw text
    /// passes it. A keyword's `Text` is already unanchored (`AnyMany` at both
    /// ends, unless the rule says `startswith` or `endswith`). Its test never
    /// holds a [`Test::All`]: keywords under `'|all'` are one item each, since
    /// each may stand in another field.
    pub field: Option<String>,
    /// Line of the key (of the value for a keyword in a list), from 1.
    pub line: u32,
    /// `|neq`: the item holds when the test does not. On a list: none of the
    /// values. On an absent field: holds, since the test does not.
    pub negated: bool,
    /// What the value has to be.
    pub test: Test,
}

/// A test of one field's value.
///
/// `Any` and `All` hold at least two members and come from a list of values,
/// from `|base64offset` and from placeholders with several values.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// At least one: a list of values.
    Any(Vec<Test>),
    /// Every one, of the same field: a list under `|all`.
    All(Vec<Test>),
    /// The whole value, as text, is this pattern. Numbers and booleans of the
    /// rule are their text (`4688`, `true`).
    Text {
        /// What the value has to look like.
        pattern: TextPattern,
        /// `|cased`. Otherwise letters match in either case, beyond ASCII too.
        cased: bool,
    },
    /// The regular expression is found somewhere in the value. Valid for
    /// `regex-syntax` with [`crate::limits`]' caps. Case-sensitive unless said.
    Regex {
        /// The expression as the rule writes it.
        source: String,
        /// `|re|i`.
        case_insensitive: bool,
        /// `|re|m`: `^` and `$` match at lines.
        multi_line: bool,
        /// `|re|s`: `.` matches a line feed.
        dot_all: bool,
    },
    /// The value is an address, in any spelling, inside this network.
    Cidr(IpNet),
    /// The value is a number, or text of one, that compares so to `number`.
    Compare {
        /// value `op` number.
        op: CompareOp,
        /// The rule's number; finite.
        number: f64,
    },
    /// The field is absent or null.
    Null,
    /// The field is present, whatever its value (`true`), or absent (`false`).
    Exists(bool),
    /// The value compared with another field of the same event. Does not hold
    /// when either is absent.
    FieldRef {
        /// The other field.
        field: String,
        /// How this field's value stands to the other's.
        how: FieldRefKind,
        /// `|cased`.
        cased: bool,
    },
    /// A part of the value read as a timestamp, in UTC.
    Time {
        /// Which part.
        unit: TimeUnit,
        /// part `op` value.
        op: TimeOp,
        /// The rule's number.
        value: i64,
    },
}

/// `|lt`, `|lte`, `|gt`, `|gte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// Less than.
    Lt,
    /// Less than or equal.
    Lte,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Gte,
}

/// How a part of a timestamp is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeOp {
    /// `|hour: 3`.
    Equal,
    /// `|hour|gte: 3`.
    Compare(CompareOp),
}

/// `|minute` … `|year`: a part of a timestamp, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Day of the month, 1 to 31.
    Day,
    /// Week of the year, ISO 8601, 1 to 53.
    Week,
    /// 1 to 12.
    Month,
    /// Such as 2026.
    Year,
}

/// How a field stands to the field `|fieldref` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldRefKind {
    /// Same value.
    Equals,
    /// This value starts with the other's.
    StartsWith,
    /// This value ends with the other's.
    EndsWith,
    /// This value contains the other's.
    Contains,
}

/// A text with wildcards, to be matched against a whole value.
///
/// No two [`TextPart::Literal`] and no two [`TextPart::AnyMany`] stand side by
/// side and no literal is empty; no part at all is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TextPattern {
    /// The parts in order.
    pub parts: Vec<TextPart>,
}

/// A part of a [`TextPattern`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextPart {
    /// This text, in the rule's own case; never empty.
    Literal(String),
    /// `?`: exactly one character, a line feed too.
    AnyOne,
    /// `*`: any number of characters, none and line feeds too.
    AnyMany,
    /// From `|windash`: one of [`DASHES`].
    Dash,
}

/// The characters [`TextPart::Dash`] stands for: `-`, `/`, en dash, em dash
/// and horizontal bar (appendix modifiers, "String Modifiers").
pub const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

impl TextPattern {
    /// The pattern that matches exactly this text.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let mut pattern = Self::default();
        pattern.push_text(text);
        pattern
    }

    /// The text, when the pattern has neither wildcard nor dash.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [TextPart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends a part and keeps the invariants.
    pub fn push(&mut self, part: TextPart) {
        match part {
            TextPart::Literal(text) => self.push_text(&text),
            TextPart::AnyMany if self.parts.last() == Some(&TextPart::AnyMany) => {}
            part => self.parts.push(part),
        }
    }

    /// Appends literal text and keeps the invariants.
    pub fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(TextPart::Literal(last)) = self.parts.last_mut() {
            last.push_str(text);
        } else {
            self.parts.push(TextPart::Literal(text.to_owned()));
        }
    }

    /// Lets any text stand before: `|endswith`.
    pub fn open_start(&mut self) {
        if self.parts.first() != Some(&TextPart::AnyMany) {
            self.parts.insert(0, TextPart::AnyMany);
        }
    }

    /// Lets any text stand after: `|startswith`.
    pub fn open_end(&mut self) {
        self.push(TextPart::AnyMany);
    }
}

/// Writes the pattern as a rule would, wildcards of its text escaped; a dash
/// class is written as `[-/–—―]`. For people.
impl std::fmt::Display for TextPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                TextPart::Literal(text) => {
                    for c in text.chars() {
                        if matches!(c, '*' | '?' | '\\') {
                            f.write_str("\\")?;
                        }
                        write!(f, "{c}")?;
                    }
                }
                TextPart::AnyOne => f.write_str("?")?,
                TextPart::AnyMany => f.write_str("*")?,
                TextPart::Dash => f.write_str("[-/–—―]")?,
            }
        }
        Ok(())
    }
}

/// One correlation rule, its references resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    /// What it says about itself.
    pub meta: Meta,
    /// `type`.
    pub kind: CorrelationKind,
    /// `rules`, in the order written (which `temporal_ordered` goes by).
    pub rules: Vec<RuleRef>,
    /// `group-by`: field names or alias names.
    pub group_by: Vec<String>,
    /// `timespan`, in seconds; at least 1. The window slides: it is not
    /// restricted to fixed boundaries ("Temporal Proximity").
    pub timespan_seconds: u64,
    /// `condition`.
    pub condition: CorrelationCondition,
    /// `aliases`.
    pub aliases: Vec<Alias>,
    /// `generate`: the rules it refers to fire on their own as well.
    pub generate: bool,
    /// Whether a match is a finding by itself. `false` when it only feeds other
    /// correlations, none of which has `generate: true`.
    pub generates: bool,
}

/// A reference to a rule or correlation, with what it was found to mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRef {
    /// The id or name as written.
    pub reference: String,
    /// What bears it; at least one. Several when two rules share an id or
    /// name (there is a warning then): each of them counts.
    pub targets: Vec<Target>,
}

/// What a [`RuleRef`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Index in `RuleSet::rules`.
    Rule(usize),
    /// Index in `RuleSet::correlations`, lower than that of the correlation
    /// that holds the reference.
    Correlation(usize),
}

/// `type` of a correlation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CorrelationKind {
    /// Number of events.
    EventCount,
    /// Number of distinct values of a field, or of tuples of several fields.
    ValueCount,
    /// Sum of a field's values.
    ValueSum,
    /// Mean of a field's values.
    ValueAvg,
    /// Median of a field's values (pySigma; not in the specification's text).
    ValueMedian,
    /// A percentile of a field's values.
    ValuePercentile,
    /// Every rule (or the condition's expression) within the time span.
    Temporal,
    /// The same, in the order of `rules`.
    TemporalOrdered,
}

impl CorrelationKind {
    /// The word a rule writes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventCount => "event_count",
            Self::ValueCount => "value_count",
            Self::ValueSum => "value_sum",
            Self::ValueAvg => "value_avg",
            Self::ValueMedian => "value_median",
            Self::ValuePercentile => "value_percentile",
            Self::Temporal => "temporal",
            Self::TemporalOrdered => "temporal_ordered",
        }
    }
}

/// When a correlation matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CorrelationCondition {
    /// All of them have to hold for the count, sum, … of the group. Empty for
    /// the temporal kinds, where every rule has to be seen, unless the rule
    /// gives a number of distinct rules.
    pub comparisons: Vec<Comparison>,
    /// `field`: what the `value_` kinds look at; one name but for
    /// `value_count`, where several make a tuple. Field or alias names.
    pub fields: Vec<String>,
    /// `percentile`, 0 to 100; set for `value_percentile` only.
    pub percentile: Option<f64>,
    /// Extended temporal condition: which of the rules have to be seen. `None`
    /// means every one.
    pub expression: Option<TemporalExpression>,
}

/// One comparison of a correlation's condition: value `op` `number`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The operator.
    pub op: CorrelationOp,
    /// The rule's number; finite.
    pub number: f64,
}

/// `lt`, `lte`, `gt`, `gte`, `eq`, `neq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CorrelationOp {
    /// Less than.
    Lt,
    /// Less than or equal.
    Lte,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Gte,
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
}

impl CorrelationOp {
    /// Whether `value` stands so to `number`.
    #[must_use]
    pub fn holds(self, value: f64, number: f64) -> bool {
        match self {
            Self::Lt => value < number,
            Self::Lte => value <= number,
            Self::Gt => value > number,
            Self::Gte => value >= number,
            Self::Eq => value == number,
            Self::Neq => value != number,
        }
    }
}

/// Which rules of a temporal correlation have to be seen within the span.
#[derive(Clone, Debug, PartialEq)]
pub enum TemporalExpression {
    /// `and`.
    All(Vec<TemporalExpression>),
    /// `or`.
    Any(Vec<TemporalExpression>),
    /// `not`.
    Not(Box<TemporalExpression>),
    /// The rule at this index of [`Correlation::rules`] was seen.
    Rule(usize),
}

/// A common name for fields that different rules call differently
/// ("Field Name Aliases").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name used in `group-by` and in the condition's `field`.
    pub name: String,
    /// Per rule, the field that is meant.
    pub fields: Vec<AliasField>,
}

/// What an [`Alias`] means for one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasField {
    /// Index in [`Correlation::rules`].
    pub rule: usize,
    /// The field of that rule's events.
    pub field: String,
}

/// A filter that was read; its search already stands in the rules it applies
/// to.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// What it says about itself.
    pub meta: Meta,
    /// Which events it is about.
    pub logsource: Logsource,
    /// `rules`: ids or names; empty means any rule of its log source.
    pub rules: Vec<String>,
    /// Indices in `RuleSet::rules` it was ANDed into, ascending.
    pub applied_to: Vec<usize>,
}
