//! Intake: an ally's indicators are data, not orders. What would hurt its receiver goes to
//! quarantine with a reason; an analyst's word, once recorded, stands.
//!
//! [`Intake::check`] is a pure function of one object, the receiver's own assets and lists, and the moment.
//! It looks at every value that would be searched for: observables, and the constants of STIX
//! patterns. What it cannot judge it does not accept: other pattern languages go to quarantine
//! unless the caller's own checker ([`Checker`]) has said yes.
//!
//! Invariants: deterministic; no clock, no I/O; nothing is accepted that was not understood; bounded
//! by the limits of `besa_stix` and [`Limits`].
//!
//! Limits: public suffixes are judged by a list that the operator supplies and by single labels;
//! domains in constants of `LIKE` and `MATCHES` are judged by their literal text only.

mod assets;
mod pattern;
mod values;

use besa_stix::canonical::strict_value;
use besa_stix::object::Object;
use besa_stix::time::Instant;
use besa_stix::validate::{Level, validate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use assets::{Assets, AssetsError};
pub use values::{SearchKind, Searched};

/// Limits of what is taken without a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest pattern, in bytes.
    pub pattern_bytes: usize,
    /// Most comparisons in one pattern.
    pub comparisons: usize,
    /// Most observation expressions in one pattern.
    pub observations: usize,
    /// Most regular expressions in one pattern.
    pub regexes: usize,
    /// Highest `REPEATS n TIMES`.
    pub repeats: u64,
    /// Farthest `valid_from` in the future and longest validity, in seconds.
    pub validity_seconds: i64,
    /// Most objects of one release.
    pub per_release: u64,
    /// Most objects of one member in one window.
    pub per_window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pattern_bytes: 16 << 10,
            comparisons: 1_000,
            observations: 16,
            regexes: 8,
            repeats: 1_000,
            validity_seconds: 5 * 366 * 86_400,
            per_release: 100_000,
            per_window: 500_000,
        }
    }
}

/// Which check found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// It is no valid STIX object.
    Invalid,
    /// It would hit the receiver itself.
    OwnAsset,
    /// It would hit what everybody uses.
    AllowList,
    /// It lies in networks that mean something else to everybody (RFC 6890).
    ReservedNetwork,
    /// It would hit far too much.
    Unspecific,
    /// It would cost too much.
    Costly,
    /// It is not valid now, or for too long.
    Validity,
    /// Too many objects at once.
    Flood,
    /// Nobody here can judge it.
    NotJudged,
    /// An analyst denied it for good.
    Denied,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// By which check.
    pub check: Check,
    /// What, in words.
    pub why: String,
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "reasons", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is used.
    Accept,
    /// It is kept and not used until an analyst releases it.
    Quarantine(Vec<Reason>),
    /// It is not taken.
    Refuse(Vec<Reason>),
}

/// An analyst's word about an id, newest last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The object.
    pub object: String,
    /// The SHA-256 of the canonical text that was looked at; a release holds for that text only.
    pub sha256: String,
    /// What was decided.
    pub word: Word,
    /// By whom.
    pub analyst: String,
    /// When, as a STIX timestamp.
    pub at: String,
    /// Why.
    pub why: String,
}

/// What an analyst decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Use this very text.
    Release,
    /// Never, in whatever version.
    Deny,
}

/// The caller's judge of other pattern languages: `None` if it knows none of that name, else the
/// reasons it found (none: it is fine).
pub type Checker<'a> = &'a dyn Fn(&str, &str) -> Option<Vec<String>>;

/// Everything a verdict depends on but the object.
pub struct Intake<'a> {
    /// The receiver's own and what it never wants hit.
    pub assets: &'a Assets,
    /// Limits.
    pub limits: Limits,
    /// The moment.
    pub now: Instant,
    /// Judges Sigma, YARA and so on.
    pub checker: Option<Checker<'a>>,
    /// What analysts decided, oldest first.
    pub decisions: &'a [Decision],
}

/// How much came from one member: in this release, and in the window up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Objects of this release, this one included.
    pub in_release: u64,
    /// Objects of this member in the window, this one included.
    pub in_window: u64,
}

impl Intake<'_> {
    /// What becomes of an object.
    pub fn check(&self, raw: &str, arrivals: Arrivals) -> Verdict {
        let object = match readable(raw) {
            Ok(object) => object,
            Err(why) => return Verdict::Refuse(vec![Reason { check: Check::Invalid, why }]),
        };
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
        let about = self.decisions.iter().rev().filter(|one| one.object.eq_ignore_ascii_case(id));
        if let Some(denied) = about.clone().find(|one| one.word == Word::Deny) {
            let why = format!("{} denied it for good: {}", denied.analyst, denied.why);
            return Verdict::Refuse(vec![Reason { check: Check::Denied, why }]);
        }
        if let Some(reason) = self.flood(arrivals) {
            return Verdict::Quarantine(vec![reason]);
        }
        let hash = fingerprint(&object);
        if about.clone().any(|one| one.word == Word::Release && Some(&one.sha256) == hash.as_ref()) {
            return Verdict::Accept;
        }
        let mut reasons = Vec::new();
        self.validity(&object, &mut reasons);
        self.values(&object, &mut reasons);
        if reasons.is_empty() { Verdict::Accept } else { Verdict::Quarantine(reasons) }
    }

    fn flood(&self, arrivals: Arrivals) -> Option<Reason> {
        let (release, window) = (self.limits.per_release, self.limits.per_window);
        let why = if arrivals.in_release > release {
            format!("the release has more than {release} objects")
        } else if arrivals.in_window > window {
            format!("the member sent more than {window} objects in the window")
        } else {
            return None;
        };
        Some(Reason { check: Check::Flood, why })
    }

    fn validity(&self, object: &Value, reasons: &mut Vec<Reason>) {
        let instant =
            |key: &str| object.get(key).and_then(Value::as_str).and_then(|t| Instant::parse(t).ok());
        let (from, until) = (instant("valid_from"), instant("valid_until"));
        let mut say = |why: &str| reasons.push(Reason { check: Check::Validity, why: why.to_owned() });
        let far = self.now.unix_seconds().saturating_add(self.limits.validity_seconds);
        if until.is_some_and(|until| until <= self.now) {
            say("it is no longer valid");
        }
        if from.is_some_and(|from| from.unix_seconds() > far) {
            say("it becomes valid far in the future");
        }
        if until.is_some_and(|until| until.unix_seconds() > far) {
            say("it stays valid far into the future");
        }
    }

    fn values(&self, object: &Value, reasons: &mut Vec<Reason>) {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        if text("type") != Some("indicator") {
            for searched in values::of_observable(object) {
                values::check(&searched, self.assets, reasons);
            }
            return;
        }
        let pattern = text("pattern").unwrap_or_default();
        match text("pattern_type").unwrap_or("stix") {
            "stix" => pattern::check(pattern, self.assets, &self.limits, reasons),
            language => self.foreign(language, pattern, reasons),
        }
    }

    fn foreign(&self, language: &str, pattern: &str, reasons: &mut Vec<Reason>) {
        let found = self.checker.and_then(|checker| checker(language, pattern));
        match found {
            None => reasons.push(Reason {
                check: Check::NotJudged,
                why: format!("nobody here judges patterns of the type `{}`", clip(language)),
            }),
            Some(faults) => {
                reasons.extend(faults.into_iter().map(|why| Reason { check: Check::NotJudged, why }));
            }
        }
    }
}

/// The SHA-256 of an object's canonical text, as [`Decision::sha256`] has it.
pub fn fingerprint(object: &Value) -> Option<String> {
    use sha2::Digest as _;
    let canonical = besa_stix::canonical::canonical(object).ok()?;
    let bytes: [u8; 32] = sha2::Sha256::digest(canonical.as_bytes()).into();
    Some(crate::member::hex_text(&bytes))
}

fn readable(raw: &str) -> Result<Value, String> {
    Object::parse(raw).map_err(|error| error.to_string())?;
    let value = strict_value(raw.as_bytes()).map_err(|error| error.to_string())?;
    let problems = validate(&value);
    let broken = problems.iter().find(|problem| problem.level == Level::Must);
    match broken {
        Some(problem) => Err(format!("`{}`: {}", problem.path, problem.message)),
        None => Ok(value),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(120).collect()
}
