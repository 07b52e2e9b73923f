//! STIX 2.1 bundles and objects: indicators with what the bundle says of them.
//!
//! Only indicators are matched. Cyber-observable objects that stand in a bundle by themselves are
//! no indicators: reports carry harmless ones too (section 4.7 makes the indicator the statement).
//! Of several versions of an indicator the latest counts; a revoked one is never matched.
//!
//! `pattern_type` `stix` is matched, `sigma` handed to the caller, any other is refused with its
//! name.

use std::sync::Arc;

use besa_event::observable::normalise;
use besa_stix::bundle::read_objects;
use besa_stix::object::{Indicator, Object};
use besa_stix::pattern::{CompiledPattern, Pattern, Severity};
use besa_stix::time::Timestamp;
use hashbrown::HashMap;
use serde::Deserialize;

use super::{Description, Loading, Place, SigmaText, StixPattern};
use crate::intel::simple;

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
    #[serde(default)]
    external_references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    source_name: String,
    external_id: Option<String>,
}

#[derive(Deserialize)]
struct Relationship {
    relationship_type: String,
    source_ref: String,
    target_ref: String,
}

/// What other objects say of the indicators.
#[derive(Default)]
struct Context {
    /// Identity → name.
    names: HashMap<String, String>,
    /// Attack pattern → tag.
    techniques: HashMap<String, String>,
    /// Indicator → attack patterns.
    indicates: HashMap<String, Vec<String>>,
}

pub(super) fn load(loading: &mut Loading<'_>, bytes: &[u8]) {
    let found = match read_objects(bytes) {
        Ok(found) => found,
        Err(error) => {
            loading.refuse(Place::File, error.to_string());
            return;
        }
    };
    for defect in &found.defects {
        let place = defect.id.clone().unwrap_or_else(|| format!("object {}", defect.index + 1));
        loading.refuse(Place::Object(place), defect.reason.clone());
    }
    let context = Context::of(&found.objects);
    for object in latest(&found.objects) {
        if object.header().revoked {
            loading.refuse(Place::Object(object.header().id.clone()), "it is revoked");
            continue;
        }
        let added = match object.read::<Indicator>() {
            Ok(indicator) => add(loading, &context, &indicator),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = added {
            loading.refuse(Place::Object(object.header().id.clone()), reason);
        }
    }
}

/// Every indicator in its latest version, in the order of first mention.
fn latest(objects: &[Object]) -> Vec<&Object> {
    let mut order: Vec<&Object> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for object in objects.iter().filter(|object| object.header().object_type == "indicator") {
        let version = |object: &Object| object.header().modified.as_ref().map(|modified| modified.instant);
        match places.get(object.header().id.as_str()) {
            Some(place) => {
                let known = &mut order[*place];
                // Revoked is for good, whatever comes after (section 3.6).
                if !known.header().revoked && (object.header().revoked || version(object) > version(known)) {
                    *known = object;
                }
            }
            None => {
                places.insert(&object.header().id, order.len());
                order.push(object);
            }
        }
    }
    order
}

impl Context {
    fn of(objects: &[Object]) -> Self {
        let mut context = Self::default();
        for object in objects {
            let id = || object.header().id.clone();
            match object.header().object_type.as_str() {
                "identity" => {
                    if let Ok(Named { name: Some(name), .. }) = object.read() {
                        context.names.insert(id(), name);
                    }
                }
                "attack-pattern" => {
                    if let Ok(named) = object.read::<Named>()
                        && let Some(tag) = technique(&named)
                    {
                        context.techniques.insert(id(), tag);
                    }
                }
                "relationship" => {
                    if let Ok(Relationship { relationship_type, source_ref, target_ref }) = object.read()
                        && relationship_type == "indicates"
                    {
                        context.indicates.entry(source_ref).or_default().push(target_ref);
                    }
                }
                _ => {}
            }
        }
        context
    }
}

fn technique(named: &Named) -> Option<String> {
    let reference = named.external_references.iter().find(|each| each.source_name.starts_with("mitre"))?;
    Some(format!("attack.{}", reference.external_id.as_ref()?.to_ascii_lowercase()))
}

fn add(loading: &mut Loading<'_>, context: &Context, indicator: &Indicator) -> Result<(), String> {
    match indicator.pattern_type.as_str() {
        "stix" => {
            let pattern = Pattern::parse(&indicator.pattern).map_err(|error| error.to_string())?;
            let errors = pattern.check().into_iter().find(|finding| finding.severity == Severity::Error);
            if let Some(error) = errors {
                return Err(error.message);
            }
            add_pattern(loading, context, indicator, pattern)
        }
        "sigma" => {
            loading.intel.sigma.push(SigmaText {
                origin: Arc::clone(&loading.origin),
                indicator: indicator.id.clone(),
                text: indicator.pattern.clone(),
            });
            Ok(())
        }
        other => Err(format!("patterns of type `{}` do not apply to log events", super::cut(other))),
    }
}

fn add_pattern(
    loading: &mut Loading<'_>,
    context: &Context,
    indicator: &Indicator,
    pattern: Pattern,
) -> Result<(), String> {
    if let Some(values) = simple::values(&pattern) {
        let before = loading.intel.values.len();
        let mut all = true;
        for (kind, text) in values {
            let added = loading.intel.values.push(|out| normalise(kind, text.as_bytes(), out));
            all &= added.map_err(|_| "the table of indicators is full; split the files")?.is_some();
        }
        if all && loading.intel.values.len() > before {
            let record = record(loading, context, indicator);
            let first = u32::try_from(before).unwrap_or(u32::MAX);
            loading.intel.catalogue.add_run(super::Run { first, record });
            return Ok(());
        }
        // A value without a normal form: the pattern is evaluated as it stands.
        loading.intel.values.truncate(before);
    }
    let leaves = pattern.comparison_exprs().len();
    if leaves > usize::from(u16::MAX) {
        return Err(format!(
            "the pattern has {leaves} comparison expressions, at most {} are matched",
            u16::MAX
        ));
    }
    CompiledPattern::new(pattern.clone()).map_err(|error| error.to_string())?;
    let record = record(loading, context, indicator);
    loading.intel.patterns.push(StixPattern { record, pattern });
    Ok(())
}

fn record(loading: &mut Loading<'_>, context: &Context, indicator: &Indicator) -> u32 {
    let nanos = |time: &Option<Timestamp>| {
        let nanos = time.as_ref()?.instant.unix_nanos();
        Some(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    };
    let author = indicator.created_by_ref.as_ref();
    loading.record(&Description {
        each: false,
        confidence: indicator.confidence.and_then(|confidence| u8::try_from(confidence).ok()),
        level: None,
        id: &indicator.id,
        name: indicator.name.as_deref().unwrap_or_default(),
        author: author.map_or("", |id| context.names.get(id).unwrap_or(id)),
        tags: tags(context, indicator),
        description: indicator.description.as_deref().unwrap_or_default(),
        valid_from: nanos(&indicator.valid_from),
        valid_until: nanos(&indicator.valid_until),
    })
}

/// Techniques and tactics in Sigma's spelling, then types and labels.
fn tags(context: &Context, indicator: &Indicator) -> Vec<String> {
    let targets = context.indicates.get(&indicator.id).into_iter().flatten();
    let techniques = targets.filter_map(|target| context.techniques.get(target)).cloned();
    let phases = indicator.kill_chain_phases.iter().map(|phase| match phase.kill_chain_name.as_str() {
        "mitre-attack" => format!("attack.{}", phase.phase_name),
        other => format!("{other}:{}", phase.phase_name),
    });
    let words = indicator.indicator_types.iter().chain(&indicator.labels).cloned();
    let mut tags: Vec<String> = Vec::new();
    for tag in techniques.chain(phases).chain(words) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}
