//! Rules as Boolean expressions over shared leaves, and for each rule the cheapest set of leaves
//! one of which must hold (its trigger).

use std::collections::HashMap;

use besa_event::{DictionaryBuilder, FieldId};
use besa_sigma::{Condition, Item, Logsource, Rule, Selection, Test};

use super::leaf::{Leaf, LeafId, LeafKey, LeafKind, PartAt};

/// A rule that could not be compiled: its position among the rules given, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// Position of the rule.
    pub rule: usize,
    /// Why.
    pub reason: String,
}

/// Everything that does not depend on the log source of an event.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) rules: Vec<CompiledRule>,
    /// Conditions of the rules as candidates are judged by them.
    pub(crate) nodes: Vec<Node>,
}

/// A part of a condition, behind which its members stand one after the other. Boxed parts would be
/// a wait for memory each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Each member holds; `end` is where the last of them ends.
    All { end: u32 },
    /// One member holds. Those that are leaves come first.
    Any { end: u32 },
    /// The only member does not hold.
    Not,
    /// A test.
    Leaf(LeafId),
}

impl Program {
    /// Where the node at a position ends, members included.
    #[inline]
    pub(crate) fn end(&self, at: usize) -> usize {
        match self.nodes[at] {
            Node::All { end } | Node::Any { end } => end as usize,
            Node::Not => self.end(at + 1),
            Node::Leaf(_) => at + 1,
        }
    }

    /// Appends an expression.
    fn flatten(&mut self, expr: &Expr) {
        let at = self.nodes.len();
        self.nodes.push(Node::Not);
        let is_leaf = |member: &&Expr| matches!(member, Expr::Leaf(_));
        match expr {
            Expr::Leaf(id) => self.nodes[at] = Node::Leaf(*id),
            Expr::Not(inner) => self.flatten(inner),
            Expr::All(members) => {
                members.iter().for_each(|member| self.flatten(member));
                self.nodes[at] = Node::All { end: position(self.nodes.len()) };
            }
            Expr::Any(members) => {
                members.iter().filter(is_leaf).for_each(|leaf| self.flatten(leaf));
                let others = members.iter().filter(|member| !is_leaf(member));
                others.for_each(|member| self.flatten(member));
                self.nodes[at] = Node::Any { end: position(self.nodes.len()) };
            }
        }
    }
}

/// Rules are limited to far fewer tests than 32 bits count.
fn position(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) logsource: Logsource,
    pub(crate) expr: Expr,
    /// Where the same begins in [`Program::nodes`], of each conjunction first what is least likely
    /// to hold.
    pub(crate) root: u32,
    /// Leaves one of which holds whenever the rule does. `None`: the rule can hold without any
    /// leaf that looks at a value, so it is evaluated for every event of its log source.
    pub(crate) trigger: Option<Box<[LeafId]>>,
}

/// A condition with its searches written in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    All(Box<[Expr]>),
    Any(Box<[Expr]>),
    Not(Box<Expr>),
    Leaf(LeafId),
}

/// Fills a [`Program`].
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    program: Program,
    known: HashMap<(Option<FieldId>, LeafKey), LeafId>,
    /// Per leaf its [`cost`]; `None` for one that looks at no value.
    costs: Vec<Option<u64>>,
    /// Whether the item at hand is about one of [`OF_CLASS`].
    is_of_class: bool,
}

impl Compiler {
    /// Adds a rule. One that cannot be compiled takes its place all the same, but never holds.
    pub(crate) fn add(&mut self, rule: &Rule, names: &mut DictionaryBuilder) -> Result<(), String> {
        let compiled = self.condition(&rule.condition, rule, names);
        let failure = compiled.as_ref().err().cloned();
        let expr = compiled.unwrap_or_else(|_| Expr::Any(Box::new([])));
        let trigger = trigger(&expr, &self.costs).map(|(_, leaves)| leaves.into());
        let root = position(self.program.nodes.len());
        self.program.flatten(&rarest_first(&expr, &self.costs));
        self.program.rules.push(CompiledRule { logsource: rule.logsource.clone(), expr, root, trigger });
        failure.map_or(Ok(()), Err)
    }

    pub(crate) fn finish(self) -> Program {
        self.program
    }

    fn condition(
        &mut self,
        condition: &Condition,
        rule: &Rule,
        names: &mut DictionaryBuilder,
    ) -> Result<Expr, String> {
        let mut each = |members: &[Condition]| -> Result<Box<[Expr]>, String> {
            members.iter().map(|member| self.condition(member, rule, names)).collect()
        };
        Ok(match condition {
            Condition::All(members) => Expr::All(each(members)?),
            Condition::Any(members) => Expr::Any(each(members)?),
            Condition::Not(inner) => Expr::Not(Box::new(self.condition(inner, rule, names)?)),
            Condition::Search(index) => {
                let search =
                    rule.searches.get(*index).ok_or("the condition names a search that is not there")?;
                self.selection(&search.selection, names)?
            }
        })
    }

    fn selection(&mut self, selection: &Selection, names: &mut DictionaryBuilder) -> Result<Expr, String> {
        let mut each = |members: &[Selection]| -> Result<Box<[Expr]>, String> {
            members.iter().map(|member| self.selection(member, names)).collect()
        };
        Ok(match selection {
            Selection::All(members) => Expr::All(each(members)?),
            Selection::Any(members) => Expr::Any(each(members)?),
            Selection::Item(item) => self.item(item, names)?,
        })
    }

    fn item(&mut self, item: &Item, names: &mut DictionaryBuilder) -> Result<Expr, String> {
        let field = item.field.as_deref().map(|name| names.intern(name));
        self.is_of_class = item
            .field
            .as_deref()
            .is_some_and(|name| OF_CLASS.iter().any(|each| name.eq_ignore_ascii_case(each)));
        let test = self.test(field, &item.test, names)?;
        Ok(if item.negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn test(
        &mut self,
        field: Option<FieldId>,
        test: &Test,
        names: &mut DictionaryBuilder,
    ) -> Result<Expr, String> {
        let mut each = |members: &[Test]| -> Result<Box<[Expr]>, String> {
            members.iter().map(|member| self.test(field, member, names)).collect()
        };
        match test {
            Test::Any(members) => return Ok(Expr::Any(each(members)?)),
            Test::All(members) => return Ok(Expr::All(each(members)?)),
            _ => {}
        }
        let key =
            LeafKey::of(test, &mut |name| names.intern(name)).ok_or("a list where a test was expected")?;
        let leaf = Expr::Leaf(self.leaf(field, key)?);
        Ok(if *test == Test::Exists(false) { Expr::Not(Box::new(leaf)) } else { leaf })
    }

    fn leaf(&mut self, field: Option<FieldId>, key: LeafKey) -> Result<LeafId, String> {
        let key = (field, key);
        if let Some(id) = self.known.get(&key) {
            return Ok(*id);
        }
        let kind = key.1.compile()?;
        let id = LeafId(u32::try_from(self.program.leaves.len()).map_err(|_| "too many tests")?);
        let floor = if self.is_of_class { OF_CLASS_COST_MIN } else { 0 };
        self.costs.push(kind.looks_at_value().then(|| cost(&kind).max(floor)));
        self.program.leaves.push(Leaf { field, kind });
        self.known.insert(key, id);
        Ok(id)
    }
}

/// The cheapest set of leaves one of which must hold, with its cost. Sound because each step only
/// weakens: of a conjunction any member will do, of a disjunction every member is needed, and
/// nothing is concluded from a negation.
fn trigger(expr: &Expr, costs: &[Option<u64>]) -> Option<(u64, Vec<LeafId>)> {
    match expr {
        Expr::Leaf(id) => costs.get(id.index())?.map(|cost| (cost, vec![*id])),
        Expr::All(members) => {
            members.iter().filter_map(|member| trigger(member, costs)).min_by_key(|(cost, _)| *cost)
        }
        Expr::Any(members) => {
            let mut sum = (0_u64, Vec::new());
            for member in members {
                let (cost, ids) = trigger(member, costs)?;
                sum.0 = sum.0.saturating_add(cost);
                sum.1.extend(ids);
            }
            Some(sum)
        }
        Expr::Not(_) => None,
    }
}

/// An expression whose conjunctions are ordered by [`cost`], what has none behind; and as flat as
/// it can be, since each level is a place in memory of its own.
fn rarest_first(expr: &Expr, costs: &[Option<u64>]) -> Expr {
    let (members, is_all) = match expr {
        Expr::All(members) => (members, true),
        Expr::Any(members) => (members, false),
        Expr::Not(inner) => return Expr::Not(Box::new(rarest_first(inner, costs))),
        Expr::Leaf(id) => return Expr::Leaf(*id),
    };
    let mut flat = Vec::with_capacity(members.len());
    for member in members {
        match (rarest_first(member, costs), is_all) {
            (Expr::All(inner), true) | (Expr::Any(inner), false) => flat.extend(inner),
            (member, _) => flat.push(member),
        }
    }
    if flat.len() == 1 {
        return flat.remove(0);
    }
    if !is_all {
        return Expr::Any(flat.into());
    }
    flat.sort_by_cached_key(|member| trigger(member, costs).map_or(u64::MAX, |(cost, _)| cost));
    Expr::All(flat.into())
}

/// What stands in many values of ordinary logs, and so tells little of an event however long it is;
/// what begins another stands behind it.
const COMMONPLACES: [&[u8]; 26] = [
    br"\software\microsoft\windows\currentversion",
    br"\system\currentcontrolset",
    br"\program files (x86)\",
    br"\program files\",
    br"\registry\machine",
    br"\windows\system32\",
    br"\windows\syswow64\",
    br"\appdata\local\",
    br"\windows\",
    br"\users\",
    b"microsoft-windows-",
    b"microsoft corporation",
    b"nt authority",
    b"svchost.exe",
    b"kernelbase.dll",
    b"kernel32.dll",
    b"ntdll.dll",
    b"binary data",
    b"powershell",
    b"dword (0x",
    b"0000",
    b".exe",
    b".dll",
    b"false",
    b"valid",
    b"true",
];

/// Fields that are nearly the same in all events of a class, because classes are told by them.
const OF_CLASS: [&str; 3] = ["Channel", "EventID", "Provider_Name"];

/// Length of a text without its commonplaces.
fn telling_len(text: &[u8]) -> usize {
    let (mut len, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let begins =
            |common: &&&[u8]| rest.get(..common.len()).is_some_and(|part| part.eq_ignore_ascii_case(common));
        match COMMONPLACES.iter().find(begins) {
            Some(common) => at += common.len(),
            None => (len, at) = (len + 1, at + 1),
        }
    }
    len
}

/// Cost at least of a test of one of [`OF_CLASS`]: as that of a text that tells nothing.
const OF_CLASS_COST_MIN: u64 = 4_000;

/// Whether a text is a decimal number, or a hexadecimal one with `0x`: an access mask, a port, a
/// status; not a hash.
fn is_number(text: &[u8]) -> bool {
    match text.strip_prefix(b"0x") {
        Some(digits) => !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit),
        None => !text.is_empty() && text.iter().all(u8::is_ascii_digit),
    }
}

/// How often a leaf may be expected to hold, as a relative weight: long literals are rare, short
/// ones, commonplaces and numbers common, ranges and wildcards alone nearly always.
fn cost(kind: &LeafKind) -> u64 {
    let literal = |text: &[u8]| 4_000_u64 / (telling_len(text) as u64 + 1).pow(2).min(4_000) + 1;
    match kind {
        // There are few numbers: one is met as often as a text of a third of its length.
        LeafKind::Exact { text, .. } if is_number(text) => literal(&text[..text.len() / 3]) / 2 + 1,
        LeafKind::Exact { text, .. } => literal(text) / 2 + 1,
        LeafKind::Part { text, at, .. } if *at != PartAt::Anywhere => literal(text) * 3 / 4 + 1,
        LeafKind::Part { text, .. } => literal(text),
        LeafKind::Glob { glob, .. } => literal(glob.longest_literal().unwrap_or_default()),
        LeafKind::Regex { source, .. } => {
            let guard = super::literals::required(source);
            guard.map_or(8_000, |all| all.iter().map(|text| literal(text)).sum::<u64>() + 100)
        }
        LeafKind::Cidr(network) => 1_000 + 100 * u64::from(network.max_prefix_len() - network.prefix_len()),
        LeafKind::Compare { .. } | LeafKind::Time { .. } => 8_000,
        LeafKind::AnyValue => 16_000,
        LeafKind::Null | LeafKind::Exists | LeafKind::FieldRef { .. } => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commonplaces_tell_nothing() {
        let check =
            |text: &str, expected: usize| assert_eq!(telling_len(text.as_bytes()), expected, "{text}");
        check("", 0);
        check("mimikatz", 8);
        check(r"C:\Windows\System32\ntdll.dll+", 3);
        check(r"\windows\temp\a.exe", 6);
        check(r"\svchost.exe", 1);
        check("Valid", 0);
        check(r"\powershell.exe", 1);
    }

    /// What a rule is triggered by, of these tests all of which must hold.
    fn check_trigger(tests: &str, expected: &str) {
        let rule = format!(
            "title: t\nlogsource:\n  product: windows\ndetection:\n  a:\n{tests}\n  condition: a\nlevel: low\n"
        );
        let mut loader = besa_sigma::Loader::new(besa_sigma::Placeholders::default());
        loader.add("rule.yml", rule.as_bytes());
        let (set, mut names, mut compiler) =
            (loader.finish(), DictionaryBuilder::default(), Compiler::default());
        compiler.add(&set.rules[0], &mut names).unwrap();
        let (program, names) = (compiler.finish(), names.build());
        let trigger = program.rules[0].trigger.as_deref().unwrap();
        let fields: Vec<&str> =
            trigger.iter().filter_map(|id| Some(names.name(program.leaves[id.index()].field?))).collect();
        assert_eq!(fields, [expected], "{tests}");
    }

    #[test]
    fn a_rule_is_triggered_by_what_is_rare() {
        check_trigger("    EventID: 5145\n    ShareName|endswith: C$", "ShareName");
        check_trigger("    provider_name: MsiInstaller\n    Data|contains: 'msi'", "Data");
        check_trigger("    GrantedAccess: '0x1400'\n    TargetImage|contains: Sysmon", "TargetImage");
        check_trigger(
            "    Image|endswith: '\\powershell.exe'\n    CommandLine|contains: ' -enc '",
            "CommandLine",
        );
        check_trigger("    EventID: 1102", "EventID");
    }
}
