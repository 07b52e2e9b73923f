//! `besa pattern check` and `besa pattern match`.

use std::io::Write;

use anyhow::Context as _;
use besa_stix::observation::{Observation, read_observations};
use besa_stix::pattern::{Binding, DEFAULT_WORK, Finding, Pattern, Severity, evaluate};
use serde_json::{Value, json};

use super::input;
use crate::EXIT_ERROR;
use crate::cli::{PatternCommand, PatternMatchArgs};
use crate::terminal::{Terminal, visible};

pub(super) fn run(command: &PatternCommand, terminal: &Terminal) -> anyhow::Result<u8> {
    match command {
        PatternCommand::Check { pattern, json } => check(pattern, *json, terminal),
        PatternCommand::Match(arguments) => find(arguments, terminal),
    }
}

/// A pattern that parses and has no error, with its warnings; or why it is invalid.
fn read(text: &str) -> Result<(Pattern, Vec<String>), String> {
    let pattern = Pattern::parse(text).map_err(|error| error.to_string())?;
    let (errors, warnings): (Vec<Finding>, Vec<Finding>) =
        pattern.check().into_iter().partition(|finding| finding.severity == Severity::Error);
    match errors.into_iter().next() {
        Some(error) => Err(error.message),
        None => Ok((pattern, warnings.into_iter().map(|warning| warning.message).collect())),
    }
}

fn check(text: &str, as_json: bool, terminal: &Terminal) -> anyhow::Result<u8> {
    let verdict = read(text);
    let mut out = terminal.stdout();
    if as_json {
        let report = match &verdict {
            Ok((pattern, warnings)) => {
                json!({"valid": true, "pattern": pattern.to_string(), "warnings": warnings})
            }
            Err(reason) => json!({"valid": false, "reason": reason}),
        };
        writeln!(out, "{report}")?;
    } else {
        match &verdict {
            Ok((_, warnings)) => {
                writeln!(out, "{}", terminal.out.green("valid"))?;
                for warning in warnings {
                    writeln!(out, "{} {}", terminal.out.yellow("warning:"), visible(warning))?;
                }
            }
            Err(reason) => writeln!(out, "{} {}", terminal.out.red("invalid:"), visible(reason))?,
        }
    }
    out.flush()?;
    Ok(if verdict.is_ok() { 0 } else { EXIT_ERROR })
}

fn find(arguments: &PatternMatchArgs, terminal: &Terminal) -> anyhow::Result<u8> {
    let (pattern, _) =
        read(&arguments.pattern).map_err(|reason| anyhow::anyhow!("invalid pattern: {reason}"))?;
    let bytes = input::read(&arguments.observations)?;
    let named = || format!("observations `{}`", arguments.observations.display());
    let (observations, defects) = read_observations(&bytes).with_context(named)?;
    for defect in &defects {
        terminal.say(&format!("{} {}: {}\n", terminal.err.yellow("skipped:"), defect.object, defect.reason));
    }
    let binding = evaluate(&pattern, &observations, DEFAULT_WORK)?;
    let mut out = terminal.stdout();
    if arguments.json {
        writeln!(out, "{}", binding_json(binding.as_ref(), &observations))?;
    } else {
        binding_text(binding.as_ref(), &observations, terminal, &mut out)?;
    }
    out.flush()?;
    Ok(u8::from(binding.is_none()))
}

fn bound<'a>(binding: &Binding, observations: &'a [Observation]) -> impl Iterator<Item = &'a Observation> {
    binding.observations.iter().filter_map(|place| observations.get(*place))
}

fn binding_text(
    binding: Option<&Binding>,
    observations: &[Observation],
    terminal: &Terminal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Some(binding) = binding else {
        writeln!(out, "no match")?;
        return Ok(());
    };
    writeln!(out, "{}", terminal.out.green("match"))?;
    for observation in bound(binding, observations) {
        let name = if observation.id.is_empty() { "(observed-data without id)" } else { &observation.id };
        writeln!(out, "  {}  {}", observation.first_observed.to_millis_text(), visible(name))?;
        for (key, object) in observation.objects() {
            writeln!(out, "      {}", visible(&object_text(key, object)))?;
        }
    }
    Ok(())
}

/// The one property that tells most, else the object itself.
fn object_text(key: &str, object: &Value) -> String {
    let text = |property: &str| object.get(property).and_then(Value::as_str);
    let kind = text("type").unwrap_or(key);
    match ["value", "name", "key", "path", "command_line", "account_login"].into_iter().find_map(text) {
        Some(value) => format!("{kind} {value}"),
        None => crate::terminal::fit(&format!("{kind} {object}"), 200),
    }
}

fn binding_json(binding: Option<&Binding>, observations: &[Observation]) -> Value {
    let Some(binding) = binding else { return json!({"match": false}) };
    let bound: Vec<Value> = bound(binding, observations)
        .map(|observation| {
            let objects: Vec<&Value> = observation.objects().map(|(_, object)| object).collect();
            json!({"id": observation.id, "first_observed": observation.first_observed.to_millis_text(), "objects": objects})
        })
        .collect();
    json!({"match": true, "binding": bound})
}
