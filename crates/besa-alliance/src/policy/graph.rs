//! Transitive hiding: the greatest set of objects in which nothing refers to what is not in it.
//!
//! Every object that its own markings let through starts in the set; then whatever refers to
//! something outside is cut or taken out, until nothing changes. Both only ever grow what is left
//! out, so the order does not matter and cycles among released objects survive. A reference to
//! something that is not in the store counts as a reference to something hidden: a recipient cannot
//! tell the two apart.
//!
//! Bounded: `Settings::reach_max` objects; each is computed again at most once per reference it has.
//! Hidden objects are not followed, so what they refer to costs nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use besa_stix::marking::Tlp;
use serde_json::Value;

use super::explain::{Explanation, Rule, Says, Step};
use super::marking::Marking;
use super::node::{Edge, Effect, Node, judge};
use super::parts::selector;
use super::redact::{redacted, takes_all};
use super::released::{Released, Text};
use super::{Held, Outcome, Policy};

/// How an object goes, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    Copy(String, String),
}

pub(super) struct Graph<'a> {
    policy: &'a Policy<'a>,
    nodes: Vec<Node>,
    fates: Vec<Fate>,
    /// The newest version of each id.
    newest: BTreeMap<String, Option<usize>>,
    markings: BTreeMap<String, Marking>,
    /// Who refers to an id.
    dependents: BTreeMap<String, BTreeSet<usize>>,
    overflow: bool,
}

impl<'a> Graph<'a> {
    pub(super) fn new(policy: &'a Policy<'a>) -> Self {
        Self {
            policy,
            nodes: Vec::new(),
            fates: Vec::new(),
            newest: BTreeMap::new(),
            markings: BTreeMap::new(),
            dependents: BTreeMap::new(),
            overflow: false,
        }
    }

    /// Judges objects and everything they hang on.
    pub(super) fn decide(mut self, seeds: &[Held<'_>]) -> Vec<Outcome> {
        let places: Vec<usize> = seeds.iter().map(|seed| self.seed(seed)).collect();
        self.expand();
        self.settle();
        places.into_iter().map(|place| self.outcome(place)).collect()
    }

    fn add(&mut self, held: &Held<'_>) -> usize {
        let (policy, markings) = (self.policy, &mut self.markings);
        let mut lookup = |id: &str| {
            let key = id.to_ascii_lowercase();
            markings.entry(key).or_insert_with_key(|key| policy.marking(key)).clone()
        };
        let node = judge(policy, held, &mut lookup);
        self.nodes.push(node);
        self.fates.push(Fate::Whole);
        self.nodes.len() - 1
    }

    /// An older version, or the same that came another way, goes only where the newest may go: markings are raised by a new version.
    fn seed(&mut self, held: &Held<'_>) -> usize {
        let place = self.add(held);
        let Some(node) = self.nodes.get_mut(place) else { return place };
        let key = node.key();
        match self.policy.catalogue.held(&key) {
            Some(newest)
                if newest.raw != held.raw || newest.from != held.from || newest.under != held.under =>
            {
                if !node.hidden {
                    node.edges.push(Edge { path: Vec::new(), to: key, effect: Effect::Stays });
                }
            }
            _ => {
                self.newest.entry(key).or_insert(Some(place));
            }
        }
        place
    }

    /// Loads what is referred to, and what that refers to, and so on.
    fn expand(&mut self) {
        let mut next = 0;
        while let Some(node) = self.nodes.get(next) {
            let targets: Vec<String> = node.edges.iter().map(|edge| edge.to.clone()).collect();
            for target in targets {
                self.dependents.entry(target.clone()).or_default().insert(next);
                if self.newest.contains_key(&target) {
                    continue;
                }
                if self.nodes.len() >= self.policy.settings.reach_max {
                    self.overflow = true;
                    return;
                }
                let policy = self.policy;
                let place = policy.catalogue.held(&target).map(|held| self.add(&held));
                self.newest.insert(target, place);
            }
            next += 1;
        }
    }

    fn settle(&mut self) {
        let mut queue: VecDeque<usize> = (0..self.nodes.len()).collect();
        while let Some(place) = queue.pop_front() {
            let Some(key) = self.settle_one(place) else { continue };
            // Only the newest version is what others refer to.
            if self.newest.get(&key) == Some(&Some(place)) {
                queue.extend(self.dependents.get(&key).into_iter().flatten());
            }
        }
        // Those hidden by themselves were never news; their dependents were in the first round.
    }

    /// Computes one object again; its key if its state is news to those that refer to it.
    fn settle_one(&mut self, place: usize) -> Option<String> {
        let node = self.nodes.get(place).filter(|node| !node.hidden)?;
        let fate = self.fate(node);
        let key = node.key();
        match fate {
            Ok(fate) => {
                let old = self.fates.get_mut(place)?;
                let news = *old == Fate::Whole && fate != Fate::Whole;
                *old = fate;
                news.then_some(key)
            }
            Err(step) => {
                let node = self.nodes.get_mut(place)?;
                node.hidden = true;
                node.steps.push(step);
                Some(key)
            }
        }
    }

    fn fate(&self, node: &Node) -> Result<Fate, Step> {
        let refuse = |rule, why| Err(Step { rule, says: Says::Refuses, why });
        let (mut out, mut anonymous) = (node.out.clone(), false);
        for edge in &node.edges {
            let gone = match edge.effect {
                Effect::StaysUnlessWhole => !self.goes_whole(&edge.to),
                _ => !self.goes(&edge.to),
            };
            match edge.effect {
                _ if !gone => {}
                Effect::Cut => drop(out.insert(edge.path.clone())),
                Effect::Anonymous => anonymous = true,
                Effect::Stays | Effect::StaysUnlessWhole if edge.path.is_empty() => {
                    return refuse(Rule::Version, "the newest version of it stays here".to_owned());
                }
                Effect::Stays | Effect::StaysUnlessWhole => return refuse(Rule::Reference, self.why(edge)),
            }
        }
        if out.is_empty() && !anonymous {
            return Ok(Fate::Whole);
        }
        out.extend(node.attributed.iter().cloned());
        if !node.redactable || out.iter().any(|path| takes_all(node.kind(), path)) {
            let why = "a part has to stay here, and such an object has no redacted copy".to_owned();
            return refuse(Rule::Derivative, why);
        }
        let level = node.level.unwrap_or(Tlp::Red);
        match redacted(&node.source, &out, self.policy.releaser, level) {
            Ok((id, json)) => Ok(Fate::Copy(id, json)),
            Err(why) => refuse(Rule::Derivative, why),
        }
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.newest.get(id).copied().flatten()
    }

    fn goes(&self, id: &str) -> bool {
        self.place(id).and_then(|place| self.nodes.get(place)).is_some_and(|node| !node.hidden)
    }

    fn goes_whole(&self, id: &str) -> bool {
        self.goes(id) && self.place(id).and_then(|place| self.fates.get(place)) == Some(&Fate::Whole)
    }

    /// Why a reference leads nowhere, one level deep.
    fn why(&self, edge: &Edge) -> String {
        let (from, to) = (selector(&edge.path), &edge.to);
        let target = self.place(to).and_then(|place| self.nodes.get(place));
        match target.map(|node| node.steps.iter().rev().find(|step| step.says == Says::Refuses)) {
            None => format!("`{from}` refers to `{to}`, which is not at hand"),
            Some(Some(step)) => format!("`{from}` refers to `{to}`, which stays here: {}", step.why),
            Some(None) => format!("`{from}` refers to `{to}`, which goes as a redacted copy only"),
        }
    }

    fn outcome(&self, place: usize) -> Outcome {
        let (Some(node), Some(fate)) = (self.nodes.get(place), self.fates.get(place)) else {
            return Outcome::Withheld(self.explain(&Node::default(), &Fate::Whole));
        };
        let explanation = self.explain(node, fate);
        if !explanation.released {
            return Outcome::Withheld(explanation);
        }
        let (id, json) = match fate {
            Fate::Whole => (node.id.clone(), node.raw.clone()),
            Fate::Copy(id, json) => (id.clone(), json.clone()),
        };
        let text = Text { json, id, version: node.version.clone(), source: node.id.clone() };
        Outcome::Released(Released::new(text, self.policy.recipient.clone(), explanation))
    }

    fn explain(&self, node: &Node, fate: &Fate) -> Explanation {
        let mut steps = node.steps.clone();
        let mut say = |rule, says, why| steps.push(Step { rule, says, why });
        let released = !node.hidden && !self.overflow;
        if self.overflow {
            let most = self.policy.settings.reach_max;
            say(Rule::Reach, Says::Refuses, format!("more than {most} objects hang on it"));
        } else if released {
            for edge in node.edges.iter().filter(|edge| !self.goes(&edge.to)) {
                say(Rule::Reference, Says::Redacts, self.why(edge));
            }
            match fate {
                Fate::Whole => say(Rule::Reference, Says::Allows, "all it refers to goes too".to_owned()),
                Fate::Copy(id, _) => {
                    say(Rule::Derivative, Says::Allows, format!("it goes as the redacted copy `{id}`"));
                }
            }
        }
        let pap = node.pap;
        if let Some(pap) = pap.filter(|_| released) {
            say(Rule::Marking, Says::Notes, pap.means().to_owned());
        }
        Explanation {
            object: if node.id.is_empty() { "(unreadable)".to_owned() } else { node.id.clone() },
            recipient: self.policy.recipient.as_str().to_owned(),
            exit: self.policy.exit,
            released,
            redacted: released && matches!(fate, Fate::Copy(..)),
            tlp: node.level.unwrap_or(Tlp::Red),
            pap,
            steps,
        }
    }
}

/// The marking-definition with an id, from the catalogue.
pub(super) fn read_marking(policy: &Policy<'_>, id: &str) -> Marking {
    if let Some(fixed) = Marking::fixed(id) {
        return fixed;
    }
    let value = policy.catalogue.held(id).and_then(|held| {
        let value: Option<Value> = besa_stix::canonical::strict_value(held.raw.as_bytes()).ok();
        value.filter(|value| {
            let own = value.get("id").and_then(Value::as_str);
            own.is_some_and(|own| own.eq_ignore_ascii_case(id))
        })
    });
    value.map_or_else(|| Marking::missing(id), |value| Marking::read(&value, policy.now))
}
