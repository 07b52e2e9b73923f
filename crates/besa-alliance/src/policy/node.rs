//! One object judged by itself: its markings, the parts that stay, and what it hangs on.

use std::collections::BTreeSet;

use besa_stix::canonical::strict_value;
use besa_stix::marking::Tlp;
use besa_stix::object::Object;
use serde_json::{Map, Value};

use super::explain::{Rule, Says, Step};
use super::judge::{Asking, Marks, allow, refuse};
use super::marking::{Attribution, Marking, Pap, clip};
use super::parts::{Path, mentions_of, resolve, selector};
use super::redact::{is_redactable, takes_all};
use super::{Held, Policy, explain::tlp_name, parts};

/// Most selectors of one object's granular markings.
const SELECTORS_MAX: usize = 10_000;

/// What becomes of an object if one that it refers to does not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// This part is cut out.
    Cut,
    /// The creator is left out.
    Anonymous,
    /// The whole stays.
    Stays,
    /// The whole stays also if the other goes as a redacted copy only.
    StaysUnlessWhole,
}

/// A reference to something that is not known to everybody.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) path: Path,
    pub(super) to: String,
    pub(super) effect: Effect,
}

/// An object after it was judged by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) raw: String,
    pub(super) id: String,
    pub(super) version: Option<String>,
    pub(super) source: Map<String, Value>,
    pub(super) out: BTreeSet<Path>,
    pub(super) edges: Vec<Edge>,
    /// Parts that only the named provider may be named for: no redacted copy has them.
    pub(super) attributed: Vec<Path>,
    pub(super) redactable: bool,
    pub(super) level: Option<Tlp>,
    pub(super) pap: Option<Pap>,
    pub(super) steps: Vec<Step>,
    pub(super) hidden: bool,
}

impl Node {
    pub(super) fn key(&self) -> String {
        self.id.to_ascii_lowercase()
    }

    pub(super) fn hide(&mut self, rule: Rule, why: String) {
        self.steps.push(refuse(rule, why));
        self.hidden = true;
        self.edges.clear();
    }

    pub(super) fn note(&mut self, rule: Rule, says: Says, why: String) {
        self.steps.push(Step { rule, says, why });
    }

    pub(super) fn kind(&self) -> &str {
        self.source.get("type").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Resolves a marking by its id.
pub(super) type Lookup<'a> = &'a mut dyn FnMut(&str) -> Marking;

pub(super) fn judge(policy: &Policy<'_>, held: &Held<'_>, lookup: Lookup<'_>) -> Node {
    let mut node = read(&held.raw);
    if node.hidden {
        return node;
    }
    if let Err(why) = policy.admits() {
        node.hide(Rule::Recipient, why);
        return node;
    }
    node.steps.push(allow(Rule::Recipient, format!("`{}` may be served", policy.recipient.as_str())));
    let creator = node.source.get("created_by_ref").and_then(Value::as_str);
    let creator = creator.map(str::to_ascii_lowercase);
    let member = policy.recipient.member().map(crate::member::MemberId::as_str);
    let asking = Asking {
        recipient: policy.recipient,
        membership: policy.membership,
        exit: policy.exit,
        holder: member == Some(policy.releaser.as_str()),
        creator: member.is_some() && creator.as_deref() == member,
        own: held.from.is_none() && creator.is_none_or(|creator| creator == policy.releaser.as_str()),
    };
    let marks = object_marks(policy, held, &mut node, lookup);
    node.level = Some(marks.level());
    answer(&mut node, &asking, &marks);
    if !node.hidden {
        granular(&mut node, policy, &asking, &marks, lookup);
    }
    if !node.hidden {
        references(&mut node, policy, &held.under);
    }
    node
}

/// The object, if there is one way only to read it.
fn read(raw: &str) -> Node {
    let mut node = Node { raw: raw.to_owned(), ..Node::default() };
    let object = match Object::parse(raw) {
        Ok(object) => object,
        Err(error) => {
            node.hide(Rule::Readable, format!("it cannot be read: {}", clip(&error.to_string())));
            return node;
        }
    };
    let header = object.header();
    node.id.clone_from(&header.id);
    node.version = header.modified.as_ref().or(header.created.as_ref()).map(|stamp| stamp.text.clone());
    match strict_value(raw.as_bytes()) {
        Ok(Value::Object(map)) if header.object_type != "bundle" => {
            node.redactable = is_redactable(&map);
            node.source = map;
            node.steps.push(allow(Rule::Readable, "it can be read in one way only".to_owned()));
        }
        Ok(_) => node.hide(Rule::Readable, "a bundle is no object; its objects are judged".to_owned()),
        Err(error) => node.hide(Rule::Readable, format!("it is ambiguous: {}", clip(&error.to_string()))),
    }
    node
}

fn object_marks(policy: &Policy<'_>, held: &Held<'_>, node: &mut Node, lookup: Lookup<'_>) -> Marks {
    let refs = node.source.get("object_marking_refs").and_then(Value::as_array);
    let refs = refs.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let ids: Vec<String> = refs.chain(held.under.iter().cloned()).collect();
    let mut marks = Marks::default();
    for id in ids {
        let marking = lookup(&id);
        note_marking(node, &id, &marking);
        marks.add(&marking);
    }
    let is_marking = node.kind() == "marking-definition";
    if is_marking {
        let own = Marking::read(&Value::Object(node.source.clone()), policy.now);
        // It is about others; only who may know of it, and doubt, bind itself.
        let own = Marking { tlp: own.unknown.as_ref().and(own.tlp), pap: None, ..own };
        marks.add(&Marking { encrypt: false, attribution: Attribution::May, actions: None, ..own });
    }
    if marks.tlp.is_none() {
        let level = if is_marking { Tlp::Clear } else { policy.settings.unmarked };
        let why = format!("no marking says a level, so {} applies", tlp_name(level));
        node.note(Rule::Marking, Says::Notes, why);
        marks.tlp = Some(level);
    }
    marks
}

fn note_marking(node: &mut Node, id: &str, marking: &Marking) {
    let why = match (&marking.unknown, marking.tlp, marking.pap) {
        (Some(why), ..) => format!("`{id}` is unknown, so it is TLP:RED: {why}"),
        (None, Some(level), _) => format!("`{id}` is {}", tlp_name(level)),
        (None, None, Some(pap)) => {
            format!("`{id}` is PAP:{}: it limits use, not release", format!("{pap:?}").to_ascii_uppercase())
        }
        (None, None, None) if marking.audience.is_some() => format!("`{id}` names an audience"),
        (None, None, None) => format!("`{id}` is a statement: it limits nothing"),
    };
    node.note(Rule::Marking, Says::Notes, why);
    if let Some(actions) = &marking.actions {
        node.note(Rule::Marking, Says::Notes, format!("`{id}` permits the actions `{actions}` (IEP)"));
    }
    node.pap = node.pap.max(marking.pap);
}

fn answer(node: &mut Node, asking: &Asking<'_>, marks: &Marks) {
    let steps = asking.judge(marks);
    node.hidden = steps.iter().any(|step| step.says == Says::Refuses);
    if marks.must_attribute && !asking.own {
        node.redactable = false;
    }
    node.steps.extend(steps);
}

/// A granular marking with the paths that its selectors lead to.
struct Selected {
    id: String,
    marking: Marking,
    paths: Vec<Path>,
}

fn granular(node: &mut Node, policy: &Policy<'_>, asking: &Asking<'_>, marks: &Marks, lookup: Lookup<'_>) {
    let selected = match selections(&node.source, lookup) {
        Ok(selected) => selected,
        Err(why) => return node.hide(Rule::Granular, why),
    };
    let paths: BTreeSet<&Path> = selected.iter().flat_map(|one| &one.paths).collect();
    for path in paths {
        let mut here = marks.clone();
        for one in selected.iter().filter(|one| one.paths.iter().any(|above| path.starts_with(above))) {
            here.add(&one.marking);
        }
        let refused = asking.judge(&here).into_iter().find(|step| step.says == Says::Refuses);
        let lost = (!policy.exit.keeps_granular_markings())
            .then(|| format!("the exit `{}` loses granular markings", policy.exit.as_str()));
        if let Some(why) = refused.map(|step| step.why).or(lost) {
            let why = format!("`{}` stays here: {why}", selector(path));
            node.note(Rule::Granular, Says::Redacts, why);
            node.out.insert(path.clone());
        }
    }
    if let Some(path) = node.out.iter().find(|path| takes_all(node.kind(), path)) {
        let why = format!("without `{}` the object says something else", selector(path));
        return node.hide(Rule::Granular, why);
    }
    for one in &selected {
        stays_marked(node, policy, asking, one);
    }
}

/// What a granular marking demands of the parts that it leaves in.
fn stays_marked(node: &mut Node, policy: &Policy<'_>, asking: &Asking<'_>, one: &Selected) {
    let to = one.id.to_ascii_lowercase();
    for path in one.paths.iter().filter(|path| !is_out(&node.out, path)).cloned().collect::<Vec<_>>() {
        node.pap = node.pap.max(one.marking.pap);
        if one.marking.attribution == Attribution::Must && !asking.own {
            node.attributed.push(path.clone());
        }
        if !policy.is_known(&to) {
            // Hidden or absent, the part goes; the two must not differ.
            let effect = if takes_all(node.kind(), &path) { Effect::Stays } else { Effect::Cut };
            node.edges.push(Edge { path, to: to.clone(), effect });
        }
    }
}

fn selections(source: &Map<String, Value>, lookup: Lookup<'_>) -> Result<Vec<Selected>, String> {
    let whole = Value::Object(source.clone());
    let mut selected = Vec::new();
    let mut count = 0;
    for marking in source.get("granular_markings").and_then(Value::as_array).into_iter().flatten() {
        let Some(id) = marking.get("marking_ref").and_then(Value::as_str) else { continue };
        let selectors = marking.get("selectors").and_then(Value::as_array).into_iter().flatten();
        let paths: Option<Vec<Path>> =
            selectors.map(|one| one.as_str().and_then(|one| resolve(&whole, one))).collect();
        let paths = paths.ok_or_else(|| format!("a selector of `{}` points at nothing", clip(id)))?;
        count += paths.len();
        if count > SELECTORS_MAX {
            return Err(format!("it has more than {SELECTORS_MAX} selectors"));
        }
        selected.push(Selected { id: id.to_owned(), marking: lookup(id), paths });
    }
    Ok(selected)
}

fn is_out(out: &BTreeSet<Path>, path: &[parts::Step]) -> bool {
    (1..=path.len()).any(|length| path.get(..length).is_some_and(|above| out.contains(above)))
}

/// A marking has to go along, or the recipient could not obey it.
fn marking_edge(node: &mut Node, policy: &Policy<'_>, id: &str) {
    let to = id.to_ascii_lowercase();
    if !policy.is_known(&to) {
        let path = vec![parts::Step::Key("object_marking_refs".to_owned())];
        node.edges.push(Edge { path, to, effect: Effect::Stays });
    }
}

fn references(node: &mut Node, policy: &Policy<'_>, under: &[String]) {
    let refs = node.source.get("object_marking_refs").and_then(Value::as_array);
    let refs: Vec<String> = refs.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    refs.iter().chain(under).for_each(|id| marking_edge(node, policy, id));
    let creator = node.source.get("created_by_ref").and_then(Value::as_str).map(str::to_ascii_lowercase);
    let path = vec![parts::Step::Key("created_by_ref".to_owned())];
    if let Some(to) = creator.filter(|to| !policy.is_known(to) && !node.out.contains(&path)) {
        let effect = if node.redactable { Effect::Anonymous } else { Effect::Stays };
        node.edges.push(Edge { path, to, effect });
    }
    let own = node.key();
    for (path, to) in mentions_of(&node.source) {
        if to != own && !policy.is_known(&to) && !is_out(&node.out, &path) {
            let effect = effect(node, &path);
            node.edges.push(Edge { path, to, effect });
        }
    }
}

fn effect(node: &Node, path: &[parts::Step]) -> Effect {
    if node.kind() == "language-content" && parts::property(path) == "object_ref" {
        // A translation holds what a redacted copy leaves out.
        return Effect::StaysUnlessWhole;
    }
    if !node.redactable || takes_all(node.kind(), path) { Effect::Stays } else { Effect::Cut }
}
