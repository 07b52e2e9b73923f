//! From a specification that people write to the contents of a charter.
//!
//! One function serves a first charter and a change: what is given is laid over what is there. A
//! property that is not known is an error, never left out in silence.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use besa_alliance::charter::{CharterContents, SharingGroup};
use besa_alliance::member::{Member, MemberId};
use serde_json::{Map, Value, json};

/// What of a charter people write; the rest follows from the charter before.
const PARTS: [&str; 6] = ["name", "members", "quorum", "limits", "revocations", "groups"];

/// The contents that come of laying a specification over others.
pub(super) fn applied(base: Value, spec: Map<String, Value>) -> Result<CharterContents> {
    let Value::Object(mut contents) = base else { bail!("there is nothing to change") };
    for (part, value) in spec {
        match part.as_str() {
            "name" => drop(contents.insert(part, value)),
            "quorum" | "limits" => overlay(&mut contents, &part, value)?,
            "members" => put_members(&mut contents, value)?,
            "revocations" => append(&mut contents, &part, value)?,
            "groups" => put_groups(&mut contents, value)?,
            other => bail!("`{other}` is no part of a specification; these are {}", PARTS.join(", ")),
        }
    }
    if !contents.contains_key("members") {
        bail!("it names no `members`");
    }
    serde_json::from_value(Value::Object(contents)).context("the charter is not complete")
}

/// Properties given replace those there; `null` takes one away.
fn overlay(contents: &mut Map<String, Value>, part: &str, value: Value) -> Result<()> {
    let Value::Object(changes) = value else { bail!("`{part}` is no JSON object") };
    let place = contents.entry(part).or_insert_with(|| json!({}));
    let Value::Object(place) = place else { bail!("`{part}` is no JSON object") };
    lay_over(place, changes);
    Ok(())
}

fn lay_over(place: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, value) in changes {
        if value.is_null() {
            place.swap_remove(&name);
        } else {
            place.insert(name, value);
        }
    }
}

fn list(value: Value, part: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        _ => bail!("`{part}` is no list"),
    }
}

fn append(contents: &mut Map<String, Value>, part: &str, value: Value) -> Result<()> {
    let mut all = list(contents.swap_remove(part).unwrap_or_else(|| json!([])), part)?;
    all.extend(list(value, part)?);
    contents.insert(part.to_owned(), Value::Array(all));
    Ok(())
}

fn put_members(contents: &mut Map<String, Value>, value: Value) -> Result<()> {
    let mut all = list(contents.swap_remove("members").unwrap_or_else(|| json!([])), "members")?;
    let mut named = BTreeSet::new();
    for (at, changes) in list(value, "members")?.into_iter().enumerate() {
        let Value::Object(changes) = changes else { bail!("member {} is no JSON object", at + 1) };
        let id = changes.get("identity_ref").and_then(Value::as_str).map(str::to_owned);
        let id = id.with_context(|| format!("member {} has no `identity_ref`", at + 1))?;
        if !named.insert(id.clone()) {
            bail!("the member {id} stands there twice");
        }
        let same = |one: &Value| one.get("identity_ref").and_then(Value::as_str) == Some(id.as_str());
        match all.iter().position(same) {
            Some(at) => {
                if let Some(Value::Object(member)) = all.get_mut(at) {
                    lay_over(member, changes);
                }
            }
            None => all.push(newcomer(changes)),
        }
    }
    let mut members = all.into_iter().map(member).collect::<Result<Vec<_>>>()?;
    members.sort_by(|a, b| a.identity_ref.cmp(&b.identity_ref));
    contents.insert("members".to_owned(), serde_json::to_value(members)?);
    Ok(())
}

/// Groups as people write them, names and members in an object: given ones replace those there;
/// `null` takes one away.
fn put_groups(contents: &mut Map<String, Value>, value: Value) -> Result<()> {
    let Value::Object(changes) = value else { bail!("`groups` is no JSON object of names and members") };
    let there = contents.swap_remove("groups").unwrap_or_else(|| json!([]));
    let mut groups: BTreeMap<String, BTreeSet<MemberId>> = BTreeMap::new();
    for SharingGroup { group, group_refs } in serde_json::from_value::<Vec<SharingGroup>>(there)? {
        groups.insert(group, group_refs.into_iter().collect());
    }
    for (name, members) in changes {
        if members.is_null() {
            groups.remove(&name);
        } else {
            let members = serde_json::from_value(members).with_context(|| format!("the group `{name}`"))?;
            groups.insert(name, members);
        }
    }
    let groups: Vec<SharingGroup> = groups
        .into_iter()
        .map(|(group, members)| SharingGroup { group, group_refs: members.into_iter().collect() })
        .collect();
    contents.insert("groups".to_owned(), serde_json::to_value(groups)?);
    Ok(())
}

/// Members are active unless they say another state.
fn newcomer(changes: Map<String, Value>) -> Value {
    let mut member = Map::from_iter([("state".to_owned(), json!("active"))]);
    lay_over(&mut member, changes);
    Value::Object(member)
}

fn member(value: Value) -> Result<Member> {
    let id = value.get("identity_ref").and_then(Value::as_str).unwrap_or_default().to_owned();
    serde_json::from_value(value).with_context(|| format!("the member {id}"))
}
