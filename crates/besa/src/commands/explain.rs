//! `besa explain`: why one rule did or did not match one record.
//!
//! Asked of the slow twin of the matcher, which walks the rule as it is written and therefore
//! knows which part held.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use besa_detect::sigma::SigmaMatcher;
use besa_detect::sigma::reference::{Explanation, ItemTrace, Record, Reference};
use besa_event::{Batch, Dictionary, Event, Keep, LogSources};
use besa_evidence::{Context, Decoder, Item, Limits, decode, read_all, walk};
use besa_sigma::{Placeholders, Rule, parse_rule};
use serde_json::{Value, json};

use crate::cli::{ExplainArgs, RuleArgs};
use crate::hunt::knowledge;
use crate::terminal::{Terminal, visible};

pub(super) fn explain(arguments: &ExplainArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let rule = find_rule(&arguments.rule, &arguments.rules)?;
    let (path, number) = place(&arguments.record)?;
    let (names, _) = dictionary(&rule);
    // A deleted record may bear the number of a later one, which is the one meant.
    let found = match find_record(path, number, &names, false)? {
        Some(found) => Some(found),
        None => find_record(path, number, &names, true)?,
    };
    let Some(found) = found else {
        bail!("`{path}` has no record {number}; findings name records as PATH:NUMBER");
    };
    let explained = Explained { trace: Reference::default().explain(&rule, &found.record), rule, found };
    let mut out = terminal.stdout();
    if arguments.json {
        writeln!(out, "{:#}", explained.json(&arguments.record))?;
    } else {
        explained.text(&arguments.record, terminal, &mut out)?;
    }
    out.flush()?;
    Ok(u8::from(!explained.matched()))
}

/// A rule by file, or by id, name or title among those loaded.
fn find_rule(wanted: &str, arguments: &RuleArgs) -> anyhow::Result<Rule> {
    let path = Path::new(wanted);
    if path.is_file() {
        let bytes = super::input::read(path)?;
        let placeholders: Placeholders = arguments.placeholder.iter().cloned().collect();
        return parse_rule(wanted, &bytes, &placeholders)
            .map_err(|refusal| anyhow::anyhow!("rule refused: {refusal}"));
    }
    let set = knowledge::load_rules(arguments, false)?.set;
    let is_wanted = |meta: &besa_sigma::Meta| {
        let names = [meta.id.as_deref(), meta.name.as_deref(), Some(meta.title.as_str())];
        names.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(wanted))
    };
    if let Some(rule) = set.rules.into_iter().find(|rule| is_wanted(&rule.meta)) {
        return Ok(rule);
    }
    if let Some(correlation) = set.correlations.iter().find(|correlation| is_wanted(&correlation.meta)) {
        let members: Vec<&str> = correlation.rules.iter().map(|rule| rule.reference.as_str()).collect();
        bail!(
            "`{wanted}` is a correlation, which looks at many records; explain one of its rules: {}",
            members.join(", ")
        );
    }
    if let Some(refusal) = set.refused.iter().find(|refusal| refusal.id.as_deref() == Some(wanted)) {
        bail!("rule refused: {refusal}");
    }
    bail!(
        "`{wanted}` is no file, and no rule has that id, name or title; give `--rules` if it is not built in"
    )
}

/// `FILE:N`.
fn place(text: &str) -> anyhow::Result<(&str, u64)> {
    let parts = text.rsplit_once(':').and_then(|(path, number)| Some((path, number.parse().ok()?)));
    parts.with_context(|| format!("record `{text}` has no number; write FILE:N as findings do"))
}

/// A record and its class.
struct Found {
    record: Record,
    time: Option<String>,
    host: String,
    class: String,
    admits: Box<dyn Fn(&Rule) -> bool>,
}

/// The file on the disk that an origin lies in: what stands before the first `!` that leads to
/// something, since file names may hold a `!` themselves.
fn file_of(origin: &str) -> anyhow::Result<PathBuf> {
    let ends = origin.match_indices('!').map(|(at, _)| at).chain([origin.len()]);
    let mut candidates: Vec<&str> = ends.filter_map(|end| origin.get(..end)).collect();
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.len()));
    let found = candidates.iter().find(|candidate| Path::new(candidate).exists());
    found.map(PathBuf::from).with_context(|| format!("`{origin}` does not exist"))
}

fn find_record(
    origin: &str,
    number: u64,
    dictionary: &Dictionary,
    carve: bool,
) -> anyhow::Result<Option<Found>> {
    let file = file_of(origin)?;
    let sources = LogSources::new();
    let context = Context { carve, ..context(dictionary, &sources) };
    let (mut decoder, mut batch) = (Decoder::new(), Batch::default());
    let mut found = None;
    let mut sink = |item: Item| {
        let Item::Block(block) = item else { return ControlFlow::Continue(()) };
        if *block.origin.path != *origin {
            return ControlFlow::Continue(());
        }
        decode(&context, &mut decoder, block, &mut batch);
        let event = batch.events().find(|event| event.head().record == number);
        found = event.map(|event| Found::new(event, dictionary, &sources));
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let _ = walk(&[file], &context.limits, &mut Vec::new, &mut sink);
    Ok(found)
}

fn context<'a>(dictionary: &'a Dictionary, sources: &'a LogSources) -> Context<'a> {
    let limits = Limits::default();
    Context { dictionary, sources, keep: Keep::Everything, reference: None, carve: false, limits }
}

impl Found {
    fn new(event: Event<'_>, dictionary: &Dictionary, sources: &LogSources) -> Self {
        let class = sources.get(event.logsource());
        Self {
            record: Record::of(event, dictionary),
            time: event.time().map(|time| time.to_string()),
            host: event.host().into_owned(),
            class: class.to_string(),
            admits: Box::new(move |rule| {
                let asked = &rule.logsource;
                class.admits(asked.product.as_deref(), asked.category.as_deref(), asked.service.as_deref())
            }),
        }
    }
}

struct Explained {
    rule: Rule,
    found: Found,
    trace: Explanation,
}

impl Explained {
    fn applies(&self) -> bool {
        (self.found.admits)(&self.rule)
    }

    fn matched(&self) -> bool {
        self.trace.matched && self.applies()
    }

    fn json(&self, place: &str) -> Value {
        let item = |item: &ItemTrace| json!({"field": item.field, "line": item.line, "asked": item.asked, "held": item.held, "values": item.values});
        let searches: Vec<Value> = self
            .trace
            .searches
            .iter()
            .map(|search| {
                let items: Vec<Value> = search.items.iter().map(item).collect();
                json!({"name": search.name, "held": search.held, "items": items})
            })
            .collect();
        json!({
            "rule": {"id": self.rule.meta.id, "title": self.rule.meta.title, "place": self.rule.meta.place.to_string()},
            "record": place,
            "time": self.found.time,
            "host": self.found.host,
            "log_source": {"event": self.found.class, "rule": self.rule.logsource.to_string(), "applies": self.applies()},
            "condition_held": self.trace.matched,
            "matched": self.matched(),
            "searches": searches,
        })
    }

    fn text(&self, place: &str, terminal: &Terminal, out: &mut dyn Write) -> anyhow::Result<()> {
        let paint = terminal.out;
        let tick = |held: bool| if held { paint.green("✓") } else { paint.red("✗") };
        let meta = &self.rule.meta;
        writeln!(
            out,
            "rule        {} ({})",
            paint.bold(&visible(&meta.title)),
            visible(&meta.place.to_string())
        )?;
        let parts = [Some(place), self.found.time.as_deref(), Some(self.found.host.as_str())];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        writeln!(out, "record      {}", visible(&parts.join("  ")))?;
        writeln!(
            out,
            "log source  {} the record is {}, the rule asks for {}",
            tick(self.applies()),
            visible(&self.found.class),
            visible(&self.rule.logsource.to_string()),
        )?;
        for search in &self.trace.searches {
            let line =
                self.rule.searches.iter().find(|rule| rule.name == search.name).map_or(0, |rule| rule.line);
            writeln!(
                out,
                "{} {}  {}",
                tick(search.held),
                paint.bold(&visible(&search.name)),
                paint.dim(&format!("line {line}"))
            )?;
            for item in &search.items {
                let field = item.field.as_deref().unwrap_or("(any field)");
                let asked = format!("{} {}", visible(field), visible(&item.asked));
                writeln!(
                    out,
                    "  {} {asked}  {}",
                    tick(item.held),
                    paint.dim(&format!("line {}", item.line))
                )?;
                values(item, out)?;
            }
        }
        let verdict = match (self.matched(), self.trace.matched) {
            (true, _) => paint.green("matches"),
            (false, true) => {
                paint.red("does not match: the condition holds, but the rule is about another log source")
            }
            (false, false) => paint.red("does not match: the condition does not hold"),
        };
        writeln!(out, "{verdict}")?;
        Ok(())
    }
}

/// The record's values; that a field is absent is said, since it is the commonest surprise.
fn values(item: &ItemTrace, out: &mut dyn Write) -> anyhow::Result<()> {
    if item.values.is_empty() && item.field.is_some() {
        writeln!(out, "      the record has no such field")?;
    }
    for value in &item.values {
        writeln!(out, "      {}", visible(value))?;
    }
    Ok(())
}

/// The names that a rule asks for, as a hunt would have them: a field that an event's log source
/// knows under another name is then there under both. Also says why the rule cannot be compiled.
fn dictionary(rule: &Rule) -> (Dictionary, Option<String>) {
    let mut names = Dictionary::builder();
    let (_, errors) = SigmaMatcher::compile([rule], &mut names);
    (names.build(), errors.into_iter().next().map(|error| error.reason))
}

/// Holds a rule against exactly one event, in any shape that evidence may have; the log source is
/// taken as matching. `Ok(Err)` is the reason why the rule cannot be compiled.
pub(super) fn matches_event(rule: &Rule, event: &[u8]) -> anyhow::Result<Result<bool, String>> {
    let (dictionary, refusal) = dictionary(rule);
    if let Some(reason) = refusal {
        return Ok(Err(reason));
    }
    let sources = LogSources::new();
    let mut records = Vec::new();
    let account = read_all(&context(&dictionary, &sources), "event", &mut &*event, &mut |batch| {
        records.extend(batch.events().map(|event| Record::of(event, &dictionary)));
    });
    if let Some(defect) = account.defects.first() {
        bail!("{}", defect.reason);
    }
    if account.files.first().and_then(|file| file.format) != Some("json") {
        bail!("is no JSON object");
    }
    match records.as_slice() {
        [record] => Ok(Ok(Reference::default().matches(rule, record))),
        several => bail!("holds `{}` events; exactly one is wanted here", several.len()),
    }
}
