//! What the index of an archive is filled with: the observables that indicators are held against.

use std::sync::Arc;

use besa_archive::index::{Asked, Observe, Observed};
use besa_detect::intel::IntelMatcher;
use besa_detect::intel::values::{self, Seen, Way};
use besa_event::LogSource;

/// The observables of `besa-detect`.
#[derive(Debug)]
struct Observables;

/// What an archive is opened with for writing and for verification.
pub(crate) fn observe() -> Arc<dyn Observe> {
    Arc::new(Observables)
}

impl Observe for Observables {
    fn version(&self) -> u32 {
        values::VERSION
    }

    fn ways(&self, class: &LogSource, names: &[&str]) -> Vec<u32> {
        values::ways_of(class, names).into_iter().map(|way| way.0).collect()
    }

    fn observe(&self, way: u32, text: &[u8], buffer: &mut Vec<u8>, see: &mut dyn FnMut(Observed<'_>)) {
        values::observe(Way(way), text, buffer, &mut |seen| {
            see(match seen {
                Seen::Key(kind, key) => Observed::Value(kind, key),
                Seen::UrlPath(path) => Observed::UrlPath(path),
                Seen::AnyUrl => Observed::AnyUrl,
            });
        });
    }
}

/// What the index is asked for intelligence.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) asked: Asked,
    /// Whether some pattern cannot be asked for: no key decides it, so that the index rules nothing
    /// out.
    pub(crate) open: bool,
    /// Whether values still tell which events have to be looked at, by keys and literals.
    pub(crate) told_by_values: bool,
}

impl Question {
    /// What events have to hold that an indicator or pattern meets.
    pub(crate) fn of(intel: &IntelMatcher) -> Self {
        let needs: Vec<_> = intel.pattern_needs().map(|need| need.any_of).collect();
        let open = needs.iter().any(Option::is_none);
        let keys = needs.iter().flatten().flatten().map(|(kind, bytes)| (*kind, bytes.as_slice()));
        let values = intel.indicators().map(|value| (value.kind, value.bytes));
        Self {
            asked: Asked::new(values.chain(keys)),
            open,
            told_by_values: !open || intel.is_told_by_values(),
        }
    }
}
