//! What a hunt finds: plain data that can be printed, sorted, stored and compared.

use std::sync::Arc;

use besa_event::{EventTime, LogSourceId, Precision, Timestamp, Zone};
use besa_sigma::{Correlation, Level, Meta, Rule};
use serde::{Deserialize, Serialize};

use crate::intel::IntelInfo;
use crate::joined::Joined;

/// What kind of knowledge a finding rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Sigma rule.
    Sigma,
    /// A STIX pattern.
    Stix,
    /// A plain indicator value.
    Indicator,
    /// A Sigma correlation rule.
    Correlation,
}

impl Kind {
    /// The name used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sigma => "sigma",
            Self::Stix => "stix",
            Self::Indicator => "indicator",
            Self::Correlation => "correlation",
        }
    }
}

/// Which rule, correlation, pattern or indicator: a number that its detector explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RuleRef {
    /// A Sigma rule, by its position in the rule set.
    Sigma(u32),
    /// A correlation, by its position in the rule set.
    Correlation(u32),
    /// A plain indicator.
    Indicator(u32),
    /// A STIX pattern.
    Pattern(u32),
}

/// What a rule, pattern or indicator says of itself, for output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// What it is.
    pub kind: Kind,
    /// Its id (UUID of a rule, STIX id of an indicator); its title or value where it has none.
    pub id: String,
    /// Title of a rule, name or value of an indicator.
    pub title: String,
    /// Author of the rule (the Detection Rule License asks that it be shown), creator of the
    /// indicator; empty if not stated.
    pub author: String,
    /// How much it matters. A rule that states none is shown as medium.
    pub level: Level,
    /// Tags as written, ATT&CK ones among them.
    pub tags: Vec<String>,
    /// What it is about, for people; may be empty.
    pub description: String,
    /// What may look like it without being it.
    pub falsepositives: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// Licence of the rule; empty if not stated.
    pub license: String,
    /// File (and line) that it came from.
    pub place: String,
    /// The STIX object that it stems from, if any.
    pub intel_ref: Option<String>,
}

impl Default for RuleInfo {
    fn default() -> Self {
        Self::of_meta(Kind::Sigma, &Meta::default())
    }
}

impl RuleInfo {
    /// Of an indicator or STIX pattern.
    #[must_use]
    pub fn of_intel(intel: IntelInfo) -> Self {
        Self {
            kind: if intel.value.is_some() { Kind::Indicator } else { Kind::Stix },
            id: intel.id,
            title: intel.title,
            author: intel.author,
            level: intel.level,
            tags: intel.tags,
            description: intel.description,
            falsepositives: Vec::new(),
            references: Vec::new(),
            license: String::new(),
            place: intel.origin,
            intel_ref: intel.intel_ref,
        }
    }

    /// Of a Sigma rule.
    #[must_use]
    pub fn of_rule(rule: &Rule) -> Self {
        Self::of_meta(Kind::Sigma, &rule.meta)
    }

    /// Of a correlation.
    #[must_use]
    pub fn of_correlation(correlation: &Correlation) -> Self {
        Self::of_meta(Kind::Correlation, &correlation.meta)
    }

    fn of_meta(kind: Kind, meta: &Meta) -> Self {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        Self {
            kind,
            id: meta.key().to_owned(),
            title: meta.title.clone(),
            author: text(&meta.author),
            level: meta.level.unwrap_or(Level::Medium),
            tags: meta.tags.clone(),
            description: text(&meta.description),
            falsepositives: meta.falsepositives.clone(),
            references: meta.references.clone(),
            license: text(&meta.license),
            place: meta.place.to_string(),
            intel_ref: None,
        }
    }
}

/// A record in the evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Locator {
    /// Path with container path; shared by what comes from one file.
    #[serde(with = "shared")]
    pub path: Arc<str>,
    /// EVTX record id, line number or object number.
    pub record: u64,
}

/// A shared text, written and read as a text.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}

/// [`EventTime`] as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingTime {
    /// Nanoseconds since 1970.
    pub at: i64,
    /// Digits of fraction that the record states (0 to 9).
    pub digits: u8,
    /// 0 stated, 1 assumed, 2 year assumed too.
    pub zone: u8,
}

impl From<EventTime> for FindingTime {
    fn from(time: EventTime) -> Self {
        let zone = match time.zone {
            Zone::Stated => 0,
            Zone::Assumed => 1,
            Zone::AssumedWithYear => 2,
        };
        Self { at: time.at.0, digits: u8::try_from(time.precision.digits()).unwrap_or(9), zone }
    }
}

impl From<FindingTime> for EventTime {
    fn from(time: FindingTime) -> Self {
        let precision = match time.digits {
            0 => Precision::Second,
            1..=3 => Precision::Millisecond,
            4..=6 => Precision::Microsecond,
            7 => Precision::HundredNanoseconds,
            _ => Precision::Nanosecond,
        };
        let zone = match time.zone {
            0 => Zone::Stated,
            1 => Zone::Assumed,
            _ => Zone::AssumedWithYear,
        };
        Self { at: Timestamp(time.at), precision, zone }
    }
}

/// One rule, pattern or indicator met in one record (or, for correlations and patterns over
/// several observations, in several: then `source` is the last of them).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was met.
    pub rule: RuleRef,
    /// When, if the record says.
    pub time: Option<FindingTime>,
    /// Where.
    pub source: Locator,
    /// Class of the event, by its number.
    pub logsource: u16,
    /// The host that the record speaks of; empty if unknown.
    pub host: String,
    /// Fields and values that matched. Shape: (field, value) in the order of the rule.
    pub matched: Vec<(String, String)>,
    /// The other records of a correlation or pattern, oldest first, at most [`RELATED_MAX`].
    pub related: Vec<Locator>,
}

/// How many other records a finding names.
pub const RELATED_MAX: usize = 20;

impl Finding {
    /// The order of a timeline: by time (findings without one first), then by place, then rule.
    #[must_use]
    pub fn sort_key(&self) -> (i64, &Locator, RuleRef) {
        (self.time.map_or(i64::MIN, |time| time.at), &self.source, self.rule)
    }

    /// Its class of events.
    #[must_use]
    pub fn logsource_id(&self) -> LogSourceId {
        LogSourceId(self.logsource)
    }
}

/// A match that is not a finding yet: it takes part in a correlation, or in a pattern over
/// several observations. Hits are pushed into [`Deferred`](crate::Deferred) in the order of
/// [`Hit::sort_key`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// When.
    pub time: FindingTime,
    /// What it is a part of.
    pub part: HitPart,
    /// Where.
    pub source: Locator,
    /// Class of the event.
    pub logsource: u16,
    /// The host.
    pub host: String,
}

/// What a [`Hit`] is a part of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum HitPart {
    /// A rule of a correlation matched.
    Correlation {
        /// Position of the correlation in the rule set.
        correlation: u32,
        /// Position of the rule in the correlation.
        slot: u16,
        /// Values of `group-by`.
        group: Joined,
        /// Values of the condition's fields; `None` where the event lacks one.
        values: Joined,
    },
    /// One comparison expression of a STIX pattern matched.
    Pattern {
        /// Number of the pattern.
        pattern: u32,
        /// Number of the comparison expression.
        part: u16,
    },
}

impl Hit {
    /// The order in which hits are evaluated: time, then what they are a part of (so that hits
    /// of the same instant stand in the order of the rules, whatever the order of the evidence),
    /// then place.
    #[must_use]
    pub fn sort_key(&self) -> (i64, u32, u16, &Locator) {
        let (of, part) = match &self.part {
            HitPart::Correlation { correlation, slot, .. } => (*correlation, *slot),
            HitPart::Pattern { pattern, part } => (*pattern, *part),
        };
        (self.time.at, of, part, &self.source)
    }
}
