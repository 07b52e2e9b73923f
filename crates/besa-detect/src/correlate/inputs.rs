//! What workers need in order to turn a rule's match into hits.

use besa_event::{DictionaryBuilder, Event, FieldId};
use besa_sigma::{RuleSet, Target};
use hashbrown::HashMap;

use super::field_of_slot;
use crate::finding::{Hit, HitPart, Locator};
use crate::joined::Joined;

/// Values longer than this are compared by their beginning.
const VALUE_LEN_BYTES_MAX: usize = 1_024;

/// Per rule of the set: the correlations that it feeds.
#[derive(Debug, Default)]
pub(crate) struct CorrelationInputs {
    feeds: HashMap<u32, Vec<Feed>>,
}

#[derive(Debug)]
struct Feed {
    correlation: u32,
    slot: u16,
    group: Vec<FieldId>,
    values: Vec<FieldId>,
}

impl CorrelationInputs {
    pub(crate) fn compile(rules: &RuleSet, names: &mut DictionaryBuilder) -> Self {
        let mut inputs = Self::default();
        for (number, correlation) in (0_u32..).zip(&rules.correlations) {
            for (slot, reference) in correlation.rules.iter().enumerate() {
                for target in &reference.targets {
                    let Target::Rule(rule) = target else { continue };
                    let mut ids = |fields: &[String]| -> Vec<FieldId> {
                        fields
                            .iter()
                            .map(|name| names.intern(field_of_slot(correlation, slot, name)))
                            .collect()
                    };
                    let feed = Feed {
                        correlation: number,
                        slot: u16::try_from(slot).unwrap_or(u16::MAX),
                        group: ids(&correlation.group_by),
                        values: ids(&correlation.condition.fields),
                    };
                    inputs.feeds.entry(u32::try_from(*rule).unwrap_or(u32::MAX)).or_default().push(feed);
                }
            }
        }
        inputs
    }

    /// Appends the hits that a rule's match gives; returns how many could not be placed because
    /// the event lacks a time or a `group-by` field.
    pub(crate) fn hits(&self, rule: u32, event: Event<'_>, out: &mut Vec<Hit>) -> u64 {
        let mut left_out = 0;
        let mut bytes = Vec::new();
        for feed in self.feeds.get(&rule).map_or(&[][..], Vec::as_slice) {
            let is_grouped = join(event, &feed.group, &mut bytes);
            let (Some(time), true) = (event.time(), is_grouped) else {
                left_out += 1;
                continue;
            };
            let group = Joined::of_appended(&bytes);
            join(event, &feed.values, &mut bytes);
            let values = Joined::of_appended(&bytes);
            out.push(Hit {
                time: time.into(),
                part: HitPart::Correlation { correlation: feed.correlation, slot: feed.slot, group, values },
                source: Locator { path: event.batch().origin.path.clone(), record: event.head().record },
                logsource: event.logsource().0,
                host: event.host().into_owned(),
            });
        }
        left_out
    }

    /// The `group-by` and condition fields that rules of a correlation need are in the
    /// dictionary; whether a rule feeds any correlation.
    pub(crate) fn is_fed_by(&self, rule: u32) -> bool {
        self.feeds.contains_key(&rule)
    }
}

/// Makes `bytes` the list of an event's values of some fields; whether it has all of them.
fn join(event: Event<'_>, fields: &[FieldId], bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    let mut has_all = true;
    for field in fields {
        let value = event.all(*field).find(|value| crate::sigma::is_comparable(value.kind));
        has_all &= value.is_some();
        let text = value.as_ref().map(|value| value.display());
        Joined::append(text.as_deref().map(shortened), bytes);
    }
    has_all
}

fn shortened(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_LEN_BYTES_MAX)]
}
