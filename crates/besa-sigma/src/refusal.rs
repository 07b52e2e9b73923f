//! Why something was not loaded, or was loaded with doubts.

use crate::Place;

/// A document that was not loaded, and why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Refusal {
    /// Where the reason lies; the line is that of the offending part if known.
    pub place: Place,
    /// `title` of the document, if it could be read.
    pub title: Option<String>,
    /// `id` of the document, if it could be read.
    pub id: Option<String>,
    /// What sort of reason it is, for counting.
    pub kind: RefusalKind,
    /// The reason: lower case, offending value in backticks, what can be done.
    pub reason: String,
}

/// A sort of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The bytes are no UTF-8 or no YAML; or a key stands twice.
    Yaml,
    /// YAML, but neither rule, correlation nor filter.
    NotSigma,
    /// A mandatory attribute is absent or of the wrong shape.
    Attribute,
    /// A modifier is unknown, or stands where it cannot.
    Modifier,
    /// A value its modifiers cannot take: a bad regular expression, network, …
    Value,
    /// `|expand` with a placeholder that was given no value.
    Placeholder,
    /// The condition cannot be read or names what is not there.
    Condition,
    /// Sigma 1 aggregation (`| count() by`, `near`).
    Aggregation,
    /// The correlation section is incomplete or contradicts itself.
    Correlation,
    /// A correlation refers to what is unknown, refused or itself.
    Reference,
    /// The filter section is incomplete.
    Filter,
    /// One of [`crate::limits`].
    Limit,
}

impl RefusalKind {
    /// One word for tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::NotSigma => "not sigma",
            Self::Attribute => "attribute",
            Self::Modifier => "modifier",
            Self::Value => "value",
            Self::Placeholder => "placeholder",
            Self::Condition => "condition",
            Self::Aggregation => "aggregation",
            Self::Correlation => "correlation",
            Self::Reference => "reference",
            Self::Filter => "filter",
            Self::Limit => "limit",
        }
    }
}

impl std::fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that was loaded although a person should look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// `title` of the document.
    pub title: Option<String>,
    /// `id` of the document.
    pub id: Option<String>,
    /// What is doubtful, in the manner of [`Refusal::reason`].
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A reason before it is known which document it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) line: u32,
    pub(crate) kind: RefusalKind,
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn new(line: u32, kind: RefusalKind, reason: impl Into<String>) -> Self {
        Self { line, kind, reason: reason.into() }
    }
}

/// A doubt before it is known which document it belongs to.
pub(crate) struct Doubt {
    pub(crate) line: u32,
    pub(crate) message: String,
}
