//! Many documents to one set of rules: filters applied, references resolved.

use std::collections::{HashMap, VecDeque};

use crate::correlation::ParsedCorrelation;
use crate::document::{self, Context, Document};
use crate::filter::ParsedFilter;
use crate::refusal::{Fault, Refusal, RefusalKind, Warning};
use crate::rule::{Alias, AliasField, Correlation, Filter, Meta, Place, Rule, RuleRef, Target};
use crate::text::Placeholders;
use crate::yaml::{self, Entry, Node, Value};

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    /// Detection rules in the order read, filters ANDed in.
    pub rules: Vec<Rule>,
    /// Correlations, each after those it refers to.
    pub correlations: Vec<Correlation>,
    /// Filters in the order read; their searches stand in `rules` already.
    pub filters: Vec<Filter>,
    /// What was not loaded, with the reason.
    pub refused: Vec<Refusal>,
    /// What was loaded although a person should look at it.
    pub warnings: Vec<Warning>,
}

/// Reads all documents of one input: `Loader` with a single `add`.
#[must_use]
pub fn parse(origin: &str, bytes: &[u8], placeholders: &Placeholders) -> RuleSet {
    let mut loader = Loader::new(placeholders.clone());
    loader.add(origin, bytes);
    loader.finish()
}

/// Reads the text of exactly one detection rule; filters in the same text that
/// name it are applied.
///
/// # Errors
/// The reason why it is refused, or why the text is something else.
pub fn parse_rule(origin: &str, bytes: &[u8], placeholders: &Placeholders) -> Result<Rule, Box<Refusal>> {
    let set = parse(origin, bytes, placeholders);
    if let Some(refusal) = set.refused.into_iter().next() {
        return Err(Box::new(refusal));
    }
    let instead = |kind, reason: String| {
        Box::new(Refusal {
            place: Place { origin: origin.to_owned(), line: 1 },
            title: None,
            id: None,
            kind,
            reason,
        })
    };
    if let Some(correlation) = set.correlations.first() {
        return Err(instead(
            RefusalKind::Correlation,
            format!(
                "`{}` is a correlation, which looks at many events; one rule is wanted here",
                correlation.meta.title
            ),
        ));
    }
    let count = set.rules.len();
    match (count, set.rules.into_iter().next()) {
        (1, Some(rule)) => Ok(rule),
        _ => Err(instead(
            RefusalKind::NotSigma,
            format!("holds `{count}` detection rules; exactly one is wanted here"),
        )),
    }
}

/// Takes documents one input at a time, then resolves what they say about each
/// other. The order of inputs decides the order of rules and nothing else.
#[derive(Default)]
pub struct Loader {
    placeholders: Placeholders,
    set: RuleSet,
    filters: Vec<ParsedFilter>,
    correlations: Vec<ParsedCorrelation>,
}

impl Loader {
    /// A loader that replaces placeholders of `|expand` by these values.
    #[must_use]
    pub fn new(placeholders: Placeholders) -> Self {
        Self { placeholders, ..Self::default() }
    }

    /// Reads every document of one input. `origin` names it in messages.
    pub fn add(&mut self, origin: &str, bytes: &[u8]) {
        let documents = yaml::documents(bytes);
        if documents.is_empty() {
            let fault = Fault::new(1, RefusalKind::NotSigma, "holds no document");
            self.refuse(origin, (None, None), fault);
        }
        let mut global = GlobalSections::default();
        for document in documents {
            let merged = document.map_err(|fault| (fault, (None, None))).and_then(|node| {
                let label = document::label(&node);
                global.merge(node).map_err(|fault| (fault, label))
            });
            match merged {
                Ok(Some(node)) => self.add_document(origin, &node),
                Ok(None) => {}
                Err((fault, label)) => self.refuse(origin, label, fault),
            }
        }
        if let Some(line) = global.unused_line {
            let reason = "no rule follows the section with `action: global`";
            let fault = Fault::new(line, RefusalKind::NotSigma, reason);
            self.refuse(origin, (None, None), fault);
        }
    }

    fn add_document(&mut self, origin: &str, node: &Node) {
        let mut context = Context { placeholders: &self.placeholders, doubts: Vec::new() };
        let read = document::read(node, origin, &mut context);
        let doubts = context.doubts;
        let label = document::label(node);
        match read {
            Ok(document) => {
                for doubt in doubts {
                    self.set.warnings.push(Warning {
                        place: place(origin, doubt.line),
                        title: label.0.clone(),
                        id: label.1.clone(),
                        message: doubt.message,
                    });
                }
                match document {
                    Document::Rule(rule) => self.set.rules.push(*rule),
                    Document::Correlation(parsed) => self.correlations.push(*parsed),
                    Document::Filter(parsed) => self.filters.push(*parsed),
                }
            }
            Err(fault) => self.refuse(origin, label, fault),
        }
    }

    fn refuse(&mut self, origin: &str, label: (Option<String>, Option<String>), fault: Fault) {
        self.set.refused.push(Refusal {
            place: place(origin, fault.line),
            title: label.0,
            id: label.1,
            kind: fault.kind,
            reason: fault.reason,
        });
    }

    /// Applies filters, resolves correlations, and gives out the set.
    #[must_use]
    pub fn finish(mut self) -> RuleSet {
        warn_of_duplicates(&mut self.set, &self.correlations);
        let index = Index::new(&self.set.rules, &self.correlations);
        for filter in self.filters {
            apply_filter(&mut self.set, &index, filter);
        }
        resolve_correlations(&mut self.set, &index, self.correlations);
        mark_generating(&mut self.set);
        self.set
    }
}

fn place(origin: &str, line: u32) -> Place {
    Place { origin: origin.to_owned(), line }
}

/// Sigma 1's `action`: what `global` says is merged into the documents after
/// it, until `reset`; `repeat` is the document before with changes.
#[derive(Default)]
struct GlobalSections {
    global: Option<Node>,
    previous: Option<Node>,
    /// Line of a global section that no document has used yet.
    unused_line: Option<u32>,
    copied_cost: usize,
}

impl GlobalSections {
    fn merge(&mut self, mut node: Node) -> Result<Option<Node>, Fault> {
        let action = take_action(&mut node);
        let base = match action.as_deref() {
            None => {
                self.unused_line = None;
                self.global.as_ref()
            }
            Some("global") => {
                self.unused_line = Some(node.line);
                self.global = Some(node);
                return Ok(None);
            }
            Some("reset") => {
                self.global = None;
                None
            }
            Some("repeat") => self.previous.as_ref(),
            Some(other) => {
                return Err(Fault::new(
                    node.line,
                    RefusalKind::Attribute,
                    format!("action `{other}` is unknown; Sigma 1 had `global`, `reset` and `repeat`"),
                ));
            }
        };
        let merged = match base {
            None => node,
            Some(base) => {
                yaml::spend(&mut self.copied_cost, base.cost(), node.line)?;
                overlaid(base.clone(), node)
            }
        };
        if self.global.is_some() || action.is_some() {
            yaml::spend(&mut self.copied_cost, merged.cost(), merged.line)?;
            self.previous = Some(merged.clone());
        }
        Ok(Some(merged))
    }
}

fn take_action(node: &mut Node) -> Option<String> {
    let Value::Map(entries) = &mut node.value else {
        return None;
    };
    let at = entries.iter().position(|entry| entry.key == "action")?;
    let entry = entries.remove(at);
    entry.value.as_text().map(str::to_owned)
}

/// `over` on top of `base`; maps are merged, anything else is replaced.
fn overlaid(base: Node, over: Node) -> Node {
    let line = over.line;
    let value = match (base.value, over.value) {
        (Value::Map(mut entries), Value::Map(changes)) => {
            let mut at: HashMap<String, usize> =
                entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
            for change in changes {
                let known = at.get(&change.key).copied();
                match known.and_then(|index| entries.get_mut(index)) {
                    Some(entry) => overlay_entry(entry, change),
                    None => {
                        at.insert(change.key.clone(), entries.len());
                        entries.push(change);
                    }
                }
            }
            Value::Map(entries)
        }
        (_, over) => over,
    };
    Node { line, value }
}

fn overlay_entry(entry: &mut Entry, change: Entry) {
    let empty = Node { line: change.line, value: Value::List(Vec::new()) };
    let base = std::mem::replace(&mut entry.value, empty);
    entry.line = change.line;
    entry.value = overlaid(base, change.value);
}

/// Ids and names to what bears them.
struct Index {
    targets: HashMap<String, Vec<Target>>,
}

impl Index {
    fn new(rules: &[Rule], correlations: &[ParsedCorrelation]) -> Self {
        let mut targets: HashMap<String, Vec<Target>> = HashMap::new();
        let metas = rules.iter().enumerate().map(|(index, rule)| (&rule.meta, Target::Rule(index))).chain(
            correlations.iter().enumerate().map(|(index, parsed)| (&parsed.meta, Target::Correlation(index))),
        );
        for (meta, target) in metas {
            for key in keys(meta) {
                let bearers = targets.entry(key).or_default();
                if bearers.last() != Some(&target) {
                    bearers.push(target);
                }
            }
        }
        Self { targets }
    }

    fn find(&self, reference: &str) -> &[Target] {
        self.targets
            .get(reference)
            .or_else(|| self.targets.get(&reference.to_ascii_lowercase()))
            .map_or(&[], Vec::as_slice)
    }
}

/// What a reference may call it: its id in lower case, its name.
fn keys(meta: &Meta) -> impl Iterator<Item = String> {
    let id = meta.id.as_ref().map(|id| id.to_ascii_lowercase());
    id.into_iter().chain(meta.name.clone())
}

fn warn_of_duplicates(set: &mut RuleSet, correlations: &[ParsedCorrelation]) {
    let mut first: HashMap<String, &Place> = HashMap::new();
    let mut warnings = Vec::new();
    let metas = set.rules.iter().map(|rule| &rule.meta);
    for meta in metas.chain(correlations.iter().map(|parsed| &parsed.meta)) {
        for (what, key) in [("id", &meta.id), ("name", &meta.name)] {
            let Some(key) = key else { continue };
            match first.get(&format!("{what} {}", key.to_ascii_lowercase())) {
                Some(other) => warnings.push(warning(
                    meta,
                    format!("{what} `{key}` is already that of the rule at {other}; both are kept"),
                )),
                None => {
                    let entry = format!("{what} {}", key.to_ascii_lowercase());
                    first.insert(entry, &meta.place);
                }
            }
        }
    }
    set.warnings.extend(warnings);
}

fn warning(meta: &Meta, message: String) -> Warning {
    Warning { place: meta.place.clone(), title: Some(meta.title.clone()), id: meta.id.clone(), message }
}

fn refusal(meta: &Meta, line: u32, kind: RefusalKind, reason: String) -> Refusal {
    Refusal {
        place: place(&meta.place.origin, line),
        title: Some(meta.title.clone()),
        id: meta.id.clone(),
        kind,
        reason,
    }
}

fn apply_filter(set: &mut RuleSet, index: &Index, filter: ParsedFilter) {
    let mut applied_to = Vec::new();
    let candidates = if filter.rules.is_empty() {
        (0..set.rules.len()).collect()
    } else {
        filter_candidates(set, index, &filter)
    };
    for candidate in candidates {
        if let Some(rule) = set.rules.get_mut(candidate)
            && filter.fits(&rule.logsource)
        {
            filter.apply(rule);
            applied_to.push(candidate);
        }
    }
    if applied_to.is_empty() {
        let message = format!(
            "filter applies to no rule: none of its rules was loaded with a log source that fits `{}`",
            filter.logsource
        );
        set.warnings.push(warning(&filter.meta, message));
    }
    set.filters.push(Filter {
        meta: filter.meta,
        logsource: filter.logsource,
        rules: filter.rules,
        applied_to,
    });
}

fn filter_candidates(set: &mut RuleSet, index: &Index, filter: &ParsedFilter) -> Vec<usize> {
    let mut candidates = Vec::new();
    for reference in &filter.rules {
        let found = index.find(reference);
        if found.is_empty() {
            let message = format!("filter names the rule `{reference}`, which was not loaded");
            set.warnings.push(warning(&filter.meta, message));
        }
        candidates.extend(found.iter().filter_map(|target| match target {
            Target::Rule(rule) => Some(*rule),
            Target::Correlation(_) => None,
        }));
    }
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// Takes correlations in topological order (Kahn). One whose references all
/// have at least one accepted bearer is accepted; what is never taken stands
/// in a cycle or behind one.
fn resolve_correlations(set: &mut RuleSet, index: &Index, parsed: Vec<ParsedCorrelation>) {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); parsed.len()];
    let mut waiting_for: Vec<usize> = vec![0; parsed.len()];
    for (number, correlation) in parsed.iter().enumerate() {
        for target in correlation.rules.iter().flat_map(|rule| index.find(rule)) {
            if let Target::Correlation(other) = target
                && let (Some(list), Some(count)) = (dependents.get_mut(*other), waiting_for.get_mut(number))
            {
                list.push(number);
                *count += 1;
            }
        }
    }
    let mut ready: VecDeque<usize> =
        (0..parsed.len()).filter(|&number| waiting_for.get(number) == Some(&0)).collect();
    let mut open: Vec<Option<ParsedCorrelation>> = parsed.into_iter().map(Some).collect();
    // Index as read → index in `set.correlations`, for those accepted.
    let mut accepted: HashMap<usize, usize> = HashMap::new();
    while let Some(number) = ready.pop_front() {
        if let Some(correlation) = open.get_mut(number).and_then(Option::take) {
            match resolve(correlation, index, &accepted, set) {
                Ok(correlation) => {
                    accepted.insert(number, set.correlations.len());
                    set.correlations.push(correlation);
                }
                Err(refusal) => set.refused.push(*refusal),
            }
        }
        for &dependent in dependents.get(number).into_iter().flatten() {
            if let Some(count) = waiting_for.get_mut(dependent) {
                *count -= 1;
                if *count == 0 {
                    ready.push_back(dependent);
                }
            }
        }
    }
    for correlation in open.into_iter().flatten() {
        set.refused.push(refusal(
            &correlation.meta,
            correlation.line,
            RefusalKind::Reference,
            "correlation refers to itself, by way of its `rules` and theirs".to_owned(),
        ));
    }
}

fn resolve(
    parsed: ParsedCorrelation,
    index: &Index,
    accepted: &HashMap<usize, usize>,
    set: &RuleSet,
) -> Result<Correlation, Box<Refusal>> {
    let refuse =
        |reason: String| Box::new(refusal(&parsed.meta, parsed.line, RefusalKind::Reference, reason));
    let mut rules = Vec::with_capacity(parsed.rules.len());
    for reference in &parsed.rules {
        let targets: Vec<Target> = index
            .find(reference)
            .iter()
            .filter_map(|target| match target {
                Target::Rule(_) => Some(*target),
                Target::Correlation(number) => accepted.get(number).copied().map(Target::Correlation),
            })
            .collect();
        if targets.is_empty() {
            return Err(refuse(missing(reference, set)));
        }
        rules.push(RuleRef { reference: reference.clone(), targets });
    }
    let aliases = resolve_aliases(&parsed, &rules, index).map_err(refuse)?;
    Ok(Correlation {
        meta: parsed.meta,
        kind: parsed.kind,
        rules,
        group_by: parsed.group_by,
        timespan_seconds: parsed.timespan_seconds,
        condition: parsed.condition,
        aliases,
        generate: parsed.generate,
        generates: true,
    })
}

/// Tells a reference to a refused rule from one to nothing.
fn missing(reference: &str, set: &RuleSet) -> String {
    let refused = set
        .refused
        .iter()
        .find(|refusal| refusal.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(reference)));
    match refused {
        Some(refusal) => {
            format!("correlation refers to `{reference}`, which was refused: {}", refusal.reason)
        }
        None => {
            format!("correlation refers to `{reference}`, which is the id or name of no rule that was loaded")
        }
    }
}

/// An alias may call a rule by another of its keys than `rules` does.
fn resolve_aliases(
    parsed: &ParsedCorrelation,
    rules: &[RuleRef],
    index: &Index,
) -> Result<Vec<Alias>, String> {
    let position = |reference: &str| {
        let bearers = index.find(reference);
        rules.iter().position(|rule| rule.reference == reference).or_else(|| {
            rules.iter().position(|rule| {
                let of_rule = index.find(&rule.reference);
                of_rule.iter().any(|target| bearers.contains(target))
            })
        })
    };
    parsed
        .aliases
        .iter()
        .map(|(name, fields)| {
            let fields = fields
                .iter()
                .map(|(reference, field)| match position(reference) {
                    Some(rule) => Ok(AliasField { rule, field: field.clone() }),
                    None => Err(format!(
                        "alias `{name}` refers to `{reference}`, which is not among the correlation's `rules`"
                    )),
                })
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Alias { name: name.clone(), fields })
        })
        .collect()
}

/// A rule fires on its own unless it feeds correlations and none of them says
/// `generate: true`.
fn mark_generating(set: &mut RuleSet) {
    let mut wanted: HashMap<Target, bool> = HashMap::new();
    for correlation in &set.correlations {
        for target in correlation.rules.iter().flat_map(|rule| &rule.targets) {
            *wanted.entry(*target).or_insert(false) |= correlation.generate;
        }
    }
    for (target, generates) in wanted {
        match target {
            Target::Rule(index) => {
                if let Some(rule) = set.rules.get_mut(index) {
                    rule.generates = generates;
                }
            }
            Target::Correlation(index) => {
                if let Some(correlation) = set.correlations.get_mut(index) {
                    correlation.generates = generates;
                }
            }
        }
    }
}
