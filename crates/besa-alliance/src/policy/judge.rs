//! One set of markings against one recipient and exit: the ladder of levels, audiences, exits.
//!
//! | level | own object | passed on for another |
//! |---|---|---|
//! | CLEAR | anybody | anybody |
//! | GREEN | active members | active members |
//! | AMBER | active members | back to its creator |
//! | AMBER+STRICT | named by an audience, as a member or by a group | back to its creator |
//! | RED | named by an audience as a member | back to its creator |
//!
//! Several markings: the strictest level, and every audience.

use besa_stix::marking::Tlp;

use super::exit::Exit;
use super::explain::{Rule, Says, Step, tlp_name};
use super::marking::{Attribution, Audience, Marking, Pap};
use super::membership::{Membership, Recipient};

/// Markings taken together.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) tlp: Option<Tlp>,
    pub(super) pap: Option<Pap>,
    pub(super) actions: Vec<String>,
    audiences: Vec<Audience>,
    encrypt: bool,
    pub(super) must_attribute: bool,
    must_not_attribute: bool,
}

impl Marks {
    pub(super) fn add(&mut self, marking: &Marking) {
        self.tlp = self.tlp.max(marking.tlp);
        self.pap = self.pap.max(marking.pap);
        self.encrypt |= marking.encrypt;
        self.must_attribute |= marking.attribution == Attribution::Must;
        self.must_not_attribute |= marking.attribution == Attribution::MustNot;
        self.audiences.extend(marking.audience.clone());
        self.actions.extend(marking.actions.clone());
    }

    /// The level; markings that say nothing of levels leave it to the caller's default.
    pub(super) fn level(&self) -> Tlp {
        self.tlp.unwrap_or(Tlp::Red)
    }
}

/// Who asks for what, as far as markings care.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) recipient: &'a Recipient,
    pub(super) membership: &'a Membership,
    pub(super) exit: Exit,
    /// The recipient is the holder itself.
    pub(super) holder: bool,
    /// The recipient made the object.
    pub(super) creator: bool,
    /// The holder made the object.
    pub(super) own: bool,
}

impl Asking<'_> {
    /// Whether these markings let the thing through; one answer per rule, the last one decides.
    pub(super) fn judge(&self, marks: &Marks) -> Vec<Step> {
        let rules = [Self::audience, Self::ladder, Self::attribution, Self::exit];
        let mut steps = Vec::new();
        for rule in rules {
            let step = rule(self, marks);
            let refused = step.says == Says::Refuses;
            steps.push(step);
            if refused {
                break;
            }
        }
        steps
    }

    fn audience(&self, marks: &Marks) -> Step {
        if self.holder || self.creator {
            let who = if self.holder { "holds it" } else { "made it" };
            return allow(Rule::Audience, format!("the recipient {who}; audiences do not bind it"));
        }
        match marks.audiences.iter().find(|audience| !self.is_in(audience)) {
            Some(_) => refuse(Rule::Audience, "the recipient is not in every audience".to_owned()),
            None if marks.audiences.is_empty() => {
                allow(Rule::Audience, "no marking names an audience".to_owned())
            }
            None => allow(Rule::Audience, "the recipient is in every audience".to_owned()),
        }
    }

    fn is_in(&self, audience: &Audience) -> bool {
        self.recipient.member().is_some_and(|member| {
            audience.members.contains(member)
                || audience.groups.iter().any(|group| self.membership.is_in(member, group))
        })
    }

    fn ladder(&self, marks: &Marks) -> Step {
        let level = marks.level();
        let name = tlp_name(level);
        if self.holder {
            return allow(Rule::Tlp, format!("{name}: the recipient is the holder itself"));
        }
        if self.creator {
            return allow(Rule::Tlp, format!("{name}: it goes back to its creator"));
        }
        let member = self.recipient.member().is_some_and(|member| self.membership.is_active(member));
        let named = self
            .recipient
            .member()
            .is_some_and(|member| marks.audiences.iter().any(|audience| audience.members.contains(member)));
        let (fits, need) = match level {
            Tlp::Clear => (true, "anybody may have it"),
            Tlp::Green => (member, "active members may have it"),
            Tlp::Amber if self.own => (member, "its creator may give it to active members"),
            Tlp::AmberStrict if self.own => (
                member && !marks.audiences.is_empty(),
                "its creator may give it to members that an audience names",
            ),
            Tlp::Red if self.own => {
                (member && named, "its creator may give it to members that an audience names one by one")
            }
            _ => (false, "who got it from another passes it to nobody but its creator"),
        };
        let why = format!("{name}: {need}");
        if fits { allow(Rule::Tlp, why) } else { refuse(Rule::Tlp, why) }
    }

    fn attribution(&self, marks: &Marks) -> Step {
        if marks.must_not_attribute && !self.own && !self.creator && !self.holder {
            let why = "its IEP forbids to name the provider, and it names one".to_owned();
            return refuse(Rule::Attribution, why);
        }
        allow(Rule::Attribution, "nothing forbids to name the provider".to_owned())
    }

    fn exit(&self, marks: &Marks) -> Step {
        let (exit, level) = (self.exit, marks.level());
        if level > exit.ceiling() {
            let most = tlp_name(exit.ceiling());
            return refuse(Rule::Exit, format!("the exit `{}` carries at most {most}", exit.as_str()));
        }
        if marks.encrypt && !exit.is_encrypted() {
            let why = format!("its IEP demands encryption, and the exit `{}` has none", exit.as_str());
            return refuse(Rule::Exit, why);
        }
        allow(Rule::Exit, format!("the exit `{}` may carry it", exit.as_str()))
    }
}

pub(super) fn allow(rule: Rule, why: String) -> Step {
    Step { rule, says: Says::Allows, why }
}

pub(super) fn refuse(rule: Rule, why: String) -> Step {
    Step { rule, says: Says::Refuses, why }
}
