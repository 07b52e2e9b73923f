//! An event as STIX objects, one value a property: what [`super::graph`] reads as one object with
//! several values are several objects.
//!
//! The quick way asks whether *some* value of a property satisfies each comparison, so an expression
//! of several could be satisfied by values that no one object has; what it finds is held against
//! these objects. It never misses: what one object satisfies, some values do.

use std::sync::Arc;

use besa_stix::pattern::Value as StixValue;
use serde_json::{Map, Value as Json, json};

use super::graph::EventGraph;
use super::mapping::{self, Object, Source};

/// Objects beyond which an event is judged by the quick way alone.
pub(crate) const OBJECTS_MAX: usize = 1_024;

/// The event as STIX objects in JSON: (key, object). Where a property can have several values
/// (a registry key of a user, a destination by name and by address), there is an object for each;
/// `None` if there were more than `limit` of them.
pub(crate) fn observe(graph: &EventGraph<'_>, limit: usize) -> Option<Vec<(String, Arc<Json>)>> {
    let mut builder = Builder { graph, limit, is_over: false, out: Vec::new() };
    for object in graph.objects {
        builder.add(object);
    }
    let objects = builder.out.into_iter().map(|(key, object)| (key, Arc::new(object)));
    (!builder.is_over).then(|| objects.collect())
}

struct Builder<'g, 'e> {
    graph: &'g EventGraph<'e>,
    limit: usize,
    is_over: bool,
    out: Vec<(String, Json)>,
}

impl Builder<'_, '_> {
    /// Adds the forms of an object; returns their keys.
    fn add(&mut self, object: &'static Object) -> Vec<String> {
        let forms = self.forms(object);
        forms
            .into_iter()
            .map(|form| {
                let key = format!("{}--{}", object.object_type, self.out.len());
                self.out.push((key.clone(), Json::Object(form)));
                key
            })
            .collect()
    }

    /// Every way to choose one value for each property that is no list; empty if nothing is there.
    fn forms(&mut self, object: &'static Object) -> Vec<Map<String, Json>> {
        let mut forms = vec![Map::new()];
        for row in object.rows {
            let values: Vec<Json> = match &row.source {
                Source::Fields(fields, part) => self.values(fields, *part),
                Source::Objects(objects) => objects
                    .iter()
                    .flat_map(|inner| {
                        if inner.object_type.is_empty() {
                            self.forms(inner).into_iter().map(Json::Object).collect::<Vec<_>>()
                        } else {
                            self.add(inner).into_iter().map(Json::String).collect()
                        }
                    })
                    .collect(),
            };
            if values.is_empty() {
                continue;
            }
            let choices = if row.list { vec![Json::Array(values)] } else { values };
            if self.is_over || choices.len() * forms.len() + self.out.len() > self.limit {
                self.is_over = true;
                return Vec::new();
            }
            forms = choices
                .iter()
                .flat_map(|choice| {
                    forms.iter().map(|form| {
                        let mut form = form.clone();
                        form.insert(row.property.to_owned(), choice.clone());
                        form
                    })
                })
                .collect();
        }
        forms.retain(|form| !form.is_empty());
        if !object.object_type.is_empty() {
            forms.iter_mut().for_each(|form| {
                form.insert("type".to_owned(), json!(object.object_type));
            });
        }
        forms
    }

    fn values(&self, fields: &'static [&'static str], part: mapping::Part) -> Vec<Json> {
        let mut values = Vec::new();
        self.graph.each_part(fields, part, &mut |value| values.push(json_of(value)));
        values
    }
}

fn json_of(value: StixValue<'_>) -> Json {
    match value {
        StixValue::String(text) => json!(text),
        StixValue::Integer(number) => i64::try_from(number).map_or(Json::Null, |number| json!(number)),
        StixValue::Float(number) => json!(number),
        StixValue::Boolean(value) => json!(value),
        StixValue::Composite | StixValue::Null => Json::Null,
    }
}
