//! What a manifest lists: data files, index runs, legal holds.

use std::fmt;

use besa_event::{LogSource, Timestamp};
use serde::{Deserialize, Serialize};

const DAY_NANOS: i64 = 86_400 * 1_000_000_000;

/// Number of a data file: never given twice within an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileNumber(pub u64);

/// The day of a partition: days since 1970-01-01 in UTC, or `None` for events without a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub Option<i32>);

impl Day {
    /// The day of an instant.
    #[must_use]
    pub fn of(time: Option<Timestamp>) -> Self {
        Self(time.and_then(|time| i32::try_from(time.0.div_euclid(DAY_NANOS)).ok()))
    }
}

impl fmt::Display for Day {
    /// `2022-07-15` or `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("unknown"),
            Some(days) => {
                let day = Timestamp(i64::from(days) * DAY_NANOS).civil();
                write!(f, "{:04}-{:02}-{:02}", day.year, day.month, day.day)
            }
        }
    }
}

/// A log source as stored; the conversion to and from [`LogSource`] is exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Sigma `product`, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Sigma `service` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Sigma `category` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

impl From<&LogSource> for Source {
    fn from(class: &LogSource) -> Self {
        Self {
            product: class.product.clone(),
            services: class.services.clone(),
            categories: class.categories.clone(),
        }
    }
}

impl From<&Source> for LogSource {
    fn from(source: &Source) -> Self {
        Self {
            product: source.product.clone(),
            services: source.services.clone(),
            categories: source.categories.clone(),
        }
    }
}

/// A row group of a data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// How many events.
    pub rows: u32,
    /// Time of the earliest event, in ns since 1970; `None` if none has a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
    /// Time of the latest event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
}

/// A data file. Its partition is `day` and `source`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its number.
    pub number: FileNumber,
    /// Where it is, within the archive.
    pub path: String,
    /// UTC day of its events.
    pub day: Day,
    /// Log source of its events.
    pub source: Source,
    /// How many events.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its row groups in order, at most 64, so that a set of them is a `u64`.
    pub groups: Vec<GroupEntry>,
    /// When it was added (the caller's clock), in ns since 1970.
    pub added: i64,
}

impl FileEntry {
    /// Times of the earliest and latest event; `None` if none has a time.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let first = self.groups.iter().filter_map(|group| group.first).min()?;
        let last = self.groups.iter().filter_map(|group| group.last).max()?;
        Some((first, last))
    }
}

/// An index run: values of one or several data files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Where it is, within the archive.
    pub path: String,
    /// The data files it covers. A position in this list is what the run itself speaks of; files
    /// that the manifest no longer lists are passed over.
    pub files: Vec<FileNumber>,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// Version of what it was filled with ([`Observe::version`](crate::index::Observe::version)); 0
    /// is never asked.
    #[serde(default)]
    pub observes: u32,
}

/// A half-open stretch of time: `from ≤ t < to`, in ns since 1970; `None` is without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// The first instant after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
}

impl Window {
    /// Whether it is all of time.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Whether an event of that time lies inside. An event without a time lies only in the window
    /// without any end.
    #[must_use]
    pub fn holds(&self, time: Option<i64>) -> bool {
        match time {
            None => self.is_everything(),
            Some(at) => self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to),
        }
    }

    /// Whether any instant from `first` to `last`, both included, lies inside.
    #[must_use]
    pub fn touches(&self, first: i64, last: i64) -> bool {
        self.from.is_none_or(|from| from <= last) && self.to.is_none_or(|to| first < to)
    }
}

/// A legal hold: while it stands, no file that it touches is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Name of the case.
    pub case: String,
    /// Events of this time are held; events without a time always are.
    #[serde(flatten)]
    pub window: Window,
    /// Log sources held, as [`LogSource`] displays them or a leading part (`windows`,
    /// `windows/sysmon`); none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// When it was placed (the caller's clock), in ns since 1970.
    pub placed: i64,
}

impl Hold {
    /// Whether a file is held.
    #[must_use]
    pub fn touches(&self, file: &FileEntry) -> bool {
        let in_time =
            file.day.0.is_none() || file.span().is_none_or(|(first, last)| self.window.touches(first, last));
        in_time
            && (self.sources.is_empty() || self.sources.iter().any(|name| names_source(name, &file.source)))
    }
}

/// Whether `name` names a log source: its displayed form, or whole leading parts of it. Upper and
/// lower case are one.
#[must_use]
pub fn names_source(name: &str, source: &Source) -> bool {
    let shown = LogSource::from(source).to_string().to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    shown.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_times() {
        let check = |time: Option<i64>, expected: &str| {
            assert_eq!(Day::of(time.map(Timestamp)).to_string(), expected);
        };
        check(Some(0), "1970-01-01");
        check(Some(-1), "1969-12-31");
        check(Some(DAY_NANOS), "1970-01-02");
        check(None, "unknown");
    }

    #[test]
    fn holds_touch_windows_and_sources() {
        let file = |day, first, last| FileEntry {
            day: Day(day),
            groups: vec![GroupEntry { rows: 1, first, last }],
            source: Source {
                product: Some("windows".into()),
                services: vec!["sysmon".into()],
                categories: vec![],
            },
            ..FileEntry::default()
        };
        let hold = |from, to, sources: &[&str]| Hold {
            window: Window { from, to },
            sources: sources.iter().map(|name| (*name).to_owned()).collect(),
            ..Hold::default()
        };
        let dated = file(Some(0), Some(10), Some(20));
        for (held, expected) in [
            (hold(None, None, &[]), true),
            (hold(Some(20), None, &[]), true),
            (hold(Some(21), None, &[]), false),
            (hold(None, Some(10), &[]), false),
            (hold(None, Some(11), &["Windows"]), true),
            (hold(None, None, &["windows/sysmon"]), true),
            (hold(None, None, &["windows/sys"]), false),
            (hold(None, None, &["linux"]), false),
        ] {
            assert_eq!(held.touches(&dated), expected, "{held:?}");
        }
        assert!(hold(Some(0), Some(1), &[]).touches(&file(None, None, None)));
    }
}
