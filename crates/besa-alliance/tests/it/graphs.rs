//! Random graphs of STIX objects with random markings: what the policy is tried on.
//!
//! One seed, one case, always the same. Small worlds (a dozen objects) with everything at once:
//! references of all kinds, circles, texts that name ids, granular markings, unknown and hidden
//! marking-definitions, older versions, objects of other members, broken objects.

use std::borrow::Cow;
use std::collections::BTreeMap;

use besa_alliance::member::MemberId;
use besa_alliance::policy::{
    AUDIENCE_EXTENSION, Exit, Held, IEP_EXTENSION, Membership, PAP_MARKINGS, Recipient,
};
use besa_stix::marking::{TLP_MARKINGS, Tlp};
use serde_json::{Map, Value, json};

/// SplitMix64: enough for choices, and the same everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len());
        &from[at]
    }

    fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        let b = (b & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let hex = format!("{a:016x}{b:016x}");
        format!("{}-{}-4{}-{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[16..20], &hex[20..])
    }
}

/// An object of a case.
#[derive(Clone)]
pub(crate) struct Thing {
    pub(crate) id: String,
    pub(crate) raw: String,
    pub(crate) from: Option<MemberId>,
    pub(crate) under: Vec<String>,
    pub(crate) newest: bool,
}

impl Thing {
    pub(crate) fn held(&self) -> Held<'_> {
        let under = Cow::Borrowed(self.under.as_slice());
        Held { raw: Cow::Borrowed(&self.raw), from: self.from.clone(), under }
    }
}

/// A world and a question to it.
pub(crate) struct Case {
    pub(crate) things: Vec<Thing>,
    pub(crate) membership: Membership,
    members: Value,
    groups: Value,
    pub(crate) releaser: MemberId,
    pub(crate) recipient: Recipient,
    pub(crate) exit: Exit,
    pub(crate) unmarked: Tlp,
}

pub(crate) const NOW: &str = "2026-06-01T00:00:00Z";

const LEVELS: [(Tlp, &str); 5] = [
    (Tlp::Clear, "clear"),
    (Tlp::Green, "green"),
    (Tlp::Amber, "amber"),
    (Tlp::AmberStrict, "amber+strict"),
    (Tlp::Red, "red"),
];

fn member(number: usize) -> MemberId {
    MemberId::parse(&format!("identity--00000000-0000-4000-8000-{number:012}")).unwrap()
}

impl Case {
    pub(crate) fn catalogue(&self) -> BTreeMap<String, Held<'_>> {
        let newest = self.things.iter().filter(|thing| thing.newest);
        newest.map(|thing| (thing.id.to_ascii_lowercase(), thing.held())).collect()
    }

    /// The case as the oracle reads it.
    pub(crate) fn line(&self) -> String {
        let objects: Vec<Value> = self
            .things
            .iter()
            .map(|thing| {
                let from = thing.from.as_ref().map(MemberId::as_str);
                json!({"id": thing.id, "raw": thing.raw, "from": from, "under": thing.under, "newest": thing.newest})
            })
            .collect();
        let unmarked = LEVELS.iter().find(|(level, _)| *level == self.unmarked).unwrap().1;
        json!({
            "objects": objects, "members": self.members, "groups": self.groups, "now": NOW,
            "releaser": self.releaser.as_str(), "recipient": self.recipient.as_str(),
            "exit": self.exit.as_str(), "unmarked": unmarked,
        })
        .to_string()
    }
}

/// The case of a seed.
pub(crate) fn case(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let states = ["active", "active", "active", "active", "suspended", "removed"];
    let members: Vec<Value> = states
        .iter()
        .enumerate()
        .map(|(number, state)| json!({"identity_ref": member(number).as_str(), "state": state}))
        .collect();
    let groups = json!({"g": [member(1).as_str(), member(4).as_str()], "h": [member(2).as_str()]});
    let membership = serde_json::from_value(json!({"members": members, "groups": groups})).unwrap();
    let recipient = match dice.below(12) {
        0 => Recipient::Public,
        1 => Recipient::Member(member(4 + dice.below(3))),
        2 => Recipient::Member(member(0)),
        other => Recipient::Member(member(1 + other % 3)),
    };
    let exit = if dice.one_in(2) { Exit::Taxii } else { *dice.pick(&Exit::ALL) };
    let unmarked = *dice.pick(&[Tlp::Red, Tlp::Green, Tlp::Clear, Tlp::Green]);
    let things = World::new(dice).things();
    Case {
        things,
        membership,
        members: members.into(),
        groups,
        releaser: member(0),
        recipient,
        exit,
        unmarked,
    }
}

struct World {
    dice: Dice,
    ids: Vec<String>,
    markings: Vec<String>,
}

const KINDS: [&str; 14] = [
    "indicator",
    "malware",
    "report",
    "grouping",
    "note",
    "opinion",
    "relationship",
    "sighting",
    "observed-data",
    "identity",
    "threat-actor",
    "ipv4-addr",
    "language-content",
    "x-custom",
];

impl World {
    fn new(mut dice: Dice) -> Self {
        let count = 3 + dice.below(10);
        let ids = (0..count).map(|_| format!("{}--{}", dice.pick(&KINDS), dice.uuid())).collect();
        let markings = (0..4).map(|_| format!("marking-definition--{}", dice.uuid())).collect();
        Self { dice, ids, markings }
    }

    fn things(mut self) -> Vec<Thing> {
        let mut things = Vec::new();
        for id in self.markings.clone() {
            // Some are not in the store at all.
            if !self.dice.one_in(5) {
                let object = self.marking_definition(&id);
                things.push(self.thing(id, &object, true));
            }
        }
        for id in self.ids.clone() {
            if self.dice.one_in(10) {
                continue;
            }
            let object = self.object(&id, "2026-02-01T00:00:00.000Z");
            if self.dice.one_in(8) {
                let older = self.object(&id, "2026-01-01T00:00:00.000Z");
                things.push(self.thing(id.clone(), &older, false));
            }
            things.push(self.thing(id, &object, true));
        }
        things
    }

    fn thing(&mut self, id: String, object: &Value, newest: bool) -> Thing {
        let mut raw = if self.dice.one_in(3) {
            serde_json::to_string_pretty(object).unwrap()
        } else {
            object.to_string()
        };
        if self.dice.one_in(60) {
            raw = raw.replacen('{', r#"{"x_twice":1,"x_twice":2,"#, 1);
        }
        let from = self.dice.one_in(4).then(|| member(1 + self.dice.below(4)));
        let under = if from.is_some() && self.dice.one_in(2) { vec![self.marking_ref()] } else { Vec::new() };
        Thing { id, raw, from, under, newest }
    }

    fn marking_ref(&mut self) -> String {
        match self.dice.below(10) {
            0..=4 => TLP_MARKINGS[self.dice.below(TLP_MARKINGS.len())].id.to_owned(),
            5 => TLP_MARKINGS[5].id.to_uppercase().replace("MARKING-DEFINITION", "marking-definition"),
            6 => PAP_MARKINGS[self.dice.below(PAP_MARKINGS.len())].0.to_owned(),
            _ => self.dice.pick(&self.markings).clone(),
        }
    }

    fn lenient_ref(&mut self) -> String {
        if self.dice.one_in(2) { self.marking_ref() } else { TLP_MARKINGS[self.dice.below(2)].id.to_owned() }
    }

    fn marking_definition(&mut self, id: &str) -> Value {
        let mut object = json!({"type": "marking-definition", "spec_version": "2.1", "id": id,
            "created": "2026-01-01T00:00:00.000Z", "name": "m"});
        match self.dice.below(8) {
            0 => {
                object["extensions"] =
                    json!({"extension-definition--00000000-0000-4000-8000-00000000000f": {"a": 1}});
            }
            1 => {
                object["definition_type"] = "statement".into();
                object["definition"] = json!({"statement": "Copyright"});
            }
            2 => object["extensions"] = json!({IEP_EXTENSION: self.iep()}),
            3 => object["definition_type"] = "tlp".into(),
            _ => {
                let mut audience = json!({"extension_type": "property-extension"});
                if self.dice.one_in(2) {
                    audience["groups"] = json!([self.dice.pick(&["g", "h", "nobody"])]);
                }
                if self.dice.one_in(2) {
                    audience["members"] = json!([member(1 + self.dice.below(3)).as_str()]);
                }
                object["extensions"] = json!({AUDIENCE_EXTENSION: audience});
            }
        }
        if self.dice.one_in(5) {
            object["object_marking_refs"] = json!([self.marking_ref()]);
        }
        if self.dice.one_in(6) {
            object["created_by_ref"] = self.any_id().into();
        }
        object
    }

    fn iep(&mut self) -> Value {
        let mut iep = json!({
            "extension_type": "property-extension", "iep_version": 2.0, "start_date": "2026-01-01T00:00:00Z",
            "tlp": self.dice.pick(&["white", "green", "amber", "red", "green"]),
            "encrypt_in_transit": self.dice.pick(&["may", "must"]),
            "provider_attribution": self.dice.pick(&["may", "must", "must-not"]),
            "permitted_actions": self.dice.pick(&["none", "internally-visible-actions", "all"]),
        });
        if self.dice.one_in(4) {
            iep["end_date"] = (*self.dice.pick(&[NOW, "2026-06-01T00:00:00.001Z"])).into();
        }
        iep
    }

    fn any_id(&mut self) -> String {
        match self.dice.below(12) {
            0 => format!("malware--{}", self.dice.uuid()),
            1 => member(self.dice.below(5)).as_str().to_owned(),
            _ => self.dice.pick(&self.ids).clone(),
        }
    }

    /// The id of a domain object: what may be related or sighted.
    fn domain_id(&mut self) -> String {
        const NOT: [&str; 4] = ["relationship", "sighting", "language-content", "ipv4-addr"];
        let id = self.any_id();
        if NOT.iter().any(|kind| id.starts_with(kind)) {
            format!("malware--{}", self.dice.uuid())
        } else {
            id
        }
    }

    fn id_list(&mut self) -> Value {
        let count = 1 + self.dice.below(3);
        (0..count).map(|_| Value::from(self.any_id())).collect::<Vec<_>>().into()
    }

    fn object(&mut self, id: &str, modified: &str) -> Value {
        let kind = id.split("--").next().unwrap().to_owned();
        let mut object = json!({"type": kind, "id": id, "spec_version": "2.1"});
        let map = object.as_object_mut().unwrap();
        if kind != "ipv4-addr" {
            map.insert("created".into(), "2026-01-01T00:00:00.000Z".into());
            map.insert("modified".into(), modified.into());
            let creator = match self.dice.below(5) {
                0 => self.any_id(),
                1 => member(1 + self.dice.below(5)).as_str().to_owned(),
                _ => member(0).as_str().to_owned(),
            };
            if creator.starts_with("identity") {
                map.insert("created_by_ref".into(), creator.into());
            }
        }
        self.own_properties(&kind, map);
        self.extras(map);
        if !self.dice.one_in(5) {
            let count = 1 + self.dice.below(2);
            let refs: Vec<Value> = (0..count).map(|_| self.lenient_ref().into()).collect();
            map.insert("object_marking_refs".into(), refs.into());
        }
        if self.dice.one_in(3) {
            self.granular(map);
        }
        object
    }

    fn own_properties(&mut self, kind: &str, map: &mut Map<String, Value>) {
        let time = Value::from("2026-01-01T00:00:00Z");
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        match kind {
            "indicator" => {
                put("pattern", "[ipv4-addr:value = '198.51.100.7']".into());
                put("pattern_type", "stix".into());
                put("valid_from", time);
                put("name", "i".into());
            }
            "malware" => {
                put("is_family", self.dice.one_in(2).into());
                put("name", "m".into());
            }
            "report" => {
                put("name", "r".into());
                put("published", time);
                put("object_refs", self.id_list());
            }
            "grouping" => {
                put("context", "suspicious-activity".into());
                put("object_refs", self.id_list());
            }
            "note" => {
                put("content", "n".into());
                put("object_refs", self.id_list());
            }
            "opinion" => {
                put("opinion", "agree".into());
                put("object_refs", self.id_list());
            }
            "relationship" => {
                put("relationship_type", "related-to".into());
                put("source_ref", self.domain_id().into());
                put("target_ref", self.domain_id().into());
            }
            "sighting" => {
                put("sighting_of_ref", self.domain_id().into());
                put("count", 7.into());
                let seen = self.refs_to("observed-data");
                put("observed_data_refs", seen);
                let seen = self.refs_to("identity");
                put("where_sighted_refs", seen);
            }
            "observed-data" => {
                put("first_observed", time.clone());
                put("last_observed", time);
                put("number_observed", 3.into());
                let seen = self.refs_to("ipv4-addr");
                put("object_refs", seen);
            }
            "ipv4-addr" => put("value", "198.51.100.7".into()),
            "language-content" => {
                put("object_ref", self.any_id().into());
                put("contents", json!({"de": {"name": "x"}}));
            }
            _ => put("name", "x".into()),
        }
    }

    fn refs_to(&mut self, kind: &str) -> Value {
        let prefix = format!("{kind}--");
        let mut refs: Vec<Value> =
            self.ids.iter().filter(|id| id.starts_with(&prefix)).map(|id| id.clone().into()).collect();
        if refs.is_empty() || self.dice.one_in(4) {
            refs.push(format!("{kind}--{}", self.dice.uuid()).into());
        }
        refs.into()
    }

    fn extras(&mut self, map: &mut Map<String, Value>) {
        if self.dice.one_in(3) {
            let text = format!("see {}, and ({})!", self.any_id(), self.any_id().to_uppercase());
            map.insert("description".into(), text.into());
        }
        if self.dice.one_in(4) {
            map.insert("labels".into(), json!(["a", self.any_id(), "b"]));
        }
        if self.dice.one_in(4) {
            let references = json!([{"source_name": "s", "url": "https://example.com/a"},
                {"source_name": "t", "external_id": self.any_id(), "description": "d"}]);
            map.insert("external_references".into(), references);
        }
        if self.dice.one_in(4) {
            let key = "extension-definition--00000000-0000-4000-8000-00000000000e";
            let inner = json!({"extension_type": "property-extension", "x_refs": [self.any_id()],
                "x_map": {self.any_id(): 1, "deep": {"some_ref": self.any_id()}}, "x_half": 0.5});
            map.insert("extensions".into(), json!({key: inner}));
        }
        if self.dice.one_in(9) {
            map.insert("revoked".into(), true.into());
        }
    }

    fn granular(&mut self, map: &mut Map<String, Value>) {
        let mut all: Vec<String> = Vec::new();
        let mut todo: Vec<(String, &Value)> = map.iter().map(|(key, value)| (key.clone(), value)).collect();
        while let Some((path, value)) = todo.pop() {
            match value {
                Value::Array(list) => {
                    todo.extend(list.iter().enumerate().map(|(at, value)| (format!("{path}.[{at}]"), value)));
                }
                Value::Object(inner) => {
                    todo.extend(inner.iter().map(|(key, value)| (format!("{path}.{key}"), value)));
                }
                _ => {}
            }
            all.push(path);
        }
        if self.dice.one_in(30) {
            all.push("labels.[99]".to_owned());
        }
        let count = 1 + self.dice.below(3);
        let markings: Vec<Value> = (0..count)
            .map(|_| {
                let selectors: Vec<&String> =
                    (0..=self.dice.below(2)).map(|_| self.dice.pick(&all)).collect();
                if self.dice.one_in(6) {
                    json!({"selectors": selectors, "lang": "de"})
                } else {
                    json!({"selectors": selectors, "marking_ref": self.marking_ref()})
                }
            })
            .collect();
        map.insert("granular_markings".into(), markings.into());
    }
}
