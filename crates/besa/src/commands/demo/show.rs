//! The demonstration as text and as JSON.

use std::io::Write;

use besa_detect::FindingTime;
use besa_event::{EventTime, Timestamp};
use serde_json::{Value, json};

use super::Demo;
use super::story::{Chapter, Sight, Trace};
use crate::commands::scenario::summary;
use crate::hunt::summary::Summary;
use crate::scenario::{Checked, Fact, NextStep, Precision, SOURCES, Source, next_steps};
use crate::terminal::{Paint, Terminal, counted, fit, grouped, visible};

const RULES_SHOWN: usize = 4;
const NEXT_SHOWN: usize = 6;

pub(super) fn text(demo: &Demo<'_>, terminal: &Terminal, out: &mut dyn Write) -> anyhow::Result<()> {
    let page = Page { demo, paint: terminal.out, width: terminal.width() };
    page.opening(out)?;
    page.timeline(out)?;
    page.dwell(out)?;
    page.members(out)?;
    page.techniques(out)?;
    demo.allied.text(&terminal.out, out)?;
    page.next(out)?;
    page.account(out)
}

struct Page<'a> {
    demo: &'a Demo<'a>,
    paint: Paint,
    width: usize,
}

impl Page<'_> {
    fn heading(&self, text: &str, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(out, "\n{}", self.paint.bold(text))
    }

    fn opening(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(
            out,
            "{}",
            self.paint.bold("The attack on Albania's government, May 2021 to July 2022, replayed and hunted")
        )?;
        writeln!(out, "{}", fit(&summary(&self.demo.written), self.width))?;
        writeln!(
            out,
            "{}",
            self.paint.dim("The facts are published ones; names and addresses of the replay are invented.")
        )?;
        Ok(())
    }

    fn timeline(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        self.heading("TIMELINE: what was reported, and below it what the evidence shows", out)?;
        let last =
            self.demo.story.members.iter().filter_map(|(_, trace)| trace.last).map(|time| time.at).max();
        let last_day = last.map(|at| Timestamp(at).rfc3339(0)).unwrap_or_default();
        let (within, after): (Vec<&Chapter<'_>>, Vec<_>) =
            self.demo.story.chapters.iter().partition(|chapter| chapter.fact.from <= last_day.as_str());
        within.into_iter().try_for_each(|chapter| self.chapter(chapter, true, out))?;
        let elsewhere = &self.demo.story.elsewhere;
        if elsewhere.findings > 0 {
            let date = self.paint.cyan(&format!("{:<18}", "at other dates"));
            writeln!(out, "{date}  found, but not reported")?;
            self.trace(elsewhere, out)?;
        }
        after.into_iter().try_for_each(|chapter| self.chapter(chapter, false, out))
    }

    /// A fact; one that lies behind the evidence in a single line.
    fn chapter(&self, chapter: &Chapter<'_>, in_evidence: bool, out: &mut dyn Write) -> anyhow::Result<()> {
        let room = self.width.saturating_sub(20);
        let date = format!("{:<18}", dated(chapter.fact));
        let doubt = match chapter.fact.checked {
            Checked::Primary => String::new(),
            other => format!(" ({})", checked(other)),
        };
        if !in_evidence {
            let text = fit(chapter.fact.text, room.saturating_sub(doubt.len()));
            writeln!(out, "{}  {}", self.paint.dim(&date), self.paint.dim(&format!("{text}{doubt}")))?;
            return Ok(());
        }
        for (at, line) in wrap(&format!("{}{doubt}", chapter.fact.text), room).into_iter().enumerate() {
            let date = if at == 0 { self.paint.cyan(&date) } else { " ".repeat(18) };
            writeln!(out, "{date}  {line}")?;
        }
        self.trace(&chapter.trace, out)
    }

    fn trace(&self, trace: &Trace<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        let sights = trace.by_importance();
        for sight in sights.iter().take(RULES_SHOWN) {
            self.sight(sight, out)?;
        }
        let rest: u64 = sights.iter().skip(RULES_SHOWN).map(|sight| sight.count).sum();
        if rest > 0 {
            let rules = counted((sights.len() - RULES_SHOWN) as u64, "further rule");
            writeln!(
                out,
                "{:<20}{}",
                "",
                self.paint.dim(&format!("and {} of {rules}", counted(rest, "finding")))
            )?;
        }
        Ok(())
    }

    fn sight(&self, sight: &Sight<'_>, out: &mut dyn Write) -> std::io::Result<()> {
        let level = sight.rule.info.level;
        let badge = self.paint.level(level, &format!("{:<8}", fit(&level.as_str().to_uppercase(), 8)));
        let hosts: Vec<&str> = sight.hosts.keys().take(2).map(|host| short(host)).collect();
        let more = sight.hosts.len().saturating_sub(hosts.len());
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        let hosts = visible(&format!("{}{more}", hosts.join(", ")));
        let hosts = fit(&hosts, 30);
        let room = self.width.saturating_sub(20 + 9 + 17 + 8 + hosts.chars().count() + 2);
        let title = fit(&visible(&sight.rule.info.title), room);
        let when = Timestamp(sight.first.at).rfc3339(0).replace('T', " ");
        let when = when.get(..16).unwrap_or(&when);
        writeln!(
            out,
            "{:<20}{badge} {when} {:>5} × {title}  {}",
            "",
            grouped(sight.count),
            self.paint.dim(&hosts)
        )
    }

    fn dwell(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let Some(dwell) = &self.demo.story.dwell else {
            return Ok(());
        };
        let line = |(time, title): &(FindingTime, String)| format!("{}  {}", second(*time), visible(title));
        let span = format!(
            "DWELL TIME: {} months ({} days), as the evidence shows it",
            dwell.months(),
            dwell.days()
        );
        self.heading(&span, out)?;
        writeln!(out, "  first trace   {}", fit(&line(&dwell.first), self.width.saturating_sub(16)))?;
        writeln!(out, "  destruction   {}", fit(&line(&dwell.end), self.width.saturating_sub(16)))?;
        Ok(())
    }

    fn members(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        self.heading("MEMBERS (findings of level medium and above)", out)?;
        for (member, trace) in &self.demo.story.members {
            let line = match (trace.first, trace.last) {
                (Some(first), Some(last)) => {
                    let hosts: Vec<&str> = trace.hosts.keys().map(|host| short(host)).collect();
                    format!(
                        "{} by {}, {} to {}, on {}: {}",
                        counted(trace.findings, "finding"),
                        counted(trace.rules.len() as u64, "rule"),
                        day(first),
                        day(last),
                        counted(hosts.len() as u64, "host"),
                        hosts.join(", "),
                    )
                }
                _ => "nothing found".to_owned(),
            };
            writeln!(out, "  {member:<9} {}", fit(&visible(&line), self.width.saturating_sub(12)))?;
        }
        Ok(())
    }

    fn techniques(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let techniques = technique_ids(&self.demo.hunted.summary);
        self.heading(&format!("ATT&CK: {} techniques", techniques.len()), out)?;
        for line in wrap(&techniques.join(" "), self.width.saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }

    fn next(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let steps = next_steps(&technique_ids(&self.demo.hunted.summary));
        self.heading("WHERE TO LOOK NEXT", out)?;
        let room = self.width.saturating_sub(4);
        for step in steps.iter().take(NEXT_SHOWN) {
            for (at, line) in wrap(step.look, room).into_iter().enumerate() {
                writeln!(out, "  {} {line}", if at == 0 { "•" } else { " " })?;
            }
        }
        if steps.len() > NEXT_SHOWN {
            writeln!(
                out,
                "  {}",
                self.paint.dim(&format!("and {} more (--json)", steps.len() - NEXT_SHOWN))
            )?;
        }
        Ok(())
    }

    fn account(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (account, key) = (&self.demo.hunted.account, &self.demo.key);
        self.heading("HOW GOOD THAT IS, by the key of what was put in", out)?;
        writeln!(
            out,
            "  {} of {} events of the attack found, {} of {} correlations",
            key.found, key.expected, key.correlations_found, key.correlations_expected,
        )?;
        writeln!(
            out,
            "  {} of {} lookalikes reported, {} at level high or above on the everyday",
            key.lookalikes_reported,
            key.lookalikes,
            counted(key.false_alarms, "finding"),
        )?;
        let rate = account.events as f64 / account.seconds.max(0.001);
        writeln!(
            out,
            "  {} read in {:.1} s ({} events/s) against {} and {}; {}",
            counted(account.events, "event"),
            account.seconds,
            grouped(rate as u64),
            counted(account.rules.loaded, "rule"),
            counted(account.rules.correlations, "correlation"),
            counted(account.defects.count, "defect"),
        )?;
        if self.demo.kept {
            let dir = self.demo.dir.display();
            writeln!(
                out,
                "\nThe evidence is in {dir}. Hunt it yourself: besa hunt -i {dir}/intel -- {dir}/albania"
            )?;
        } else {
            writeln!(
                out,
                "\nKeep the evidence with --dir DIR; then: besa hunt --format html --out report.html DIR/albania"
            )?;
        }
        Ok(())
    }
}

/// A host without its domain; an address as it is.
fn short(host: &str) -> &str {
    if host.parse::<std::net::IpAddr>().is_ok() { host } else { host.split('.').next().unwrap_or(host) }
}

fn technique_ids(summary: &Summary) -> Vec<&str> {
    summary.techniques().into_keys().collect()
}

/// The date of a fact as exactly as it is known.
fn dated(fact: &Fact) -> String {
    let part = |date: &'static str| match fact.precision {
        Precision::Month => date.get(..7).unwrap_or(date),
        Precision::Day | Precision::Hour => date,
    };
    match fact.to {
        Some(to) if fact.precision == Precision::Month => format!("{} to {}", part(fact.from), part(to)),
        _ => part(fact.from).to_owned(),
    }
}

fn second(time: FindingTime) -> String {
    Timestamp(time.at).rfc3339(0).replace('T', " ").trim_end_matches('Z').to_owned()
}

fn day(time: FindingTime) -> String {
    Timestamp(time.at).rfc3339(0).chars().take(10).collect()
}

/// Lines of at most `width` characters, cut at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

pub(super) fn json(demo: &Demo<'_>) -> Value {
    let key = &demo.key;
    let exact = |time: FindingTime| EventTime::from(time).to_string();
    let trace = |trace: &Trace<'_>| -> Vec<Value> {
        trace
            .by_importance()
            .iter()
            .map(|sight| {
                json!({
                    "rule_id": sight.rule.info.id, "title": sight.rule.info.title,
                    "level": sight.rule.info.level.as_str(), "count": sight.count, "first": exact(sight.first),
                    "hosts": sight.hosts.keys().collect::<Vec<_>>(),
                })
            })
            .collect()
    };
    let chapters: Vec<Value> = demo
        .story
        .chapters
        .iter()
        .map(|chapter| {
            json!({
                "date": dated(chapter.fact), "fact": chapter.fact.text, "note": chapter.fact.note,
                "sources": chapter.fact.sources, "checked": checked(chapter.fact.checked), "found": trace(&chapter.trace),
            })
        })
        .collect();
    let members: Vec<Value> = demo
        .story
        .members
        .iter()
        .map(|(member, found)| {
            json!({
                "member": member, "findings": found.findings, "first": found.first.map(exact),
                "last": found.last.map(exact), "hosts": found.hosts.keys().collect::<Vec<_>>(),
            })
        })
        .collect();
    let dwell = demo.story.dwell.as_ref().map(|dwell| {
        json!({
            "months": dwell.months(), "days": dwell.days(), "first": exact(dwell.first.0),
            "destruction": exact(dwell.end.0),
        })
    });
    let techniques = technique_ids(&demo.hunted.summary);
    let next: Vec<Value> = next_steps(&techniques).into_iter().map(step_json).collect();
    json!({
        "events_written": demo.written.events(),
        "chapters": chapters,
        "sources": SOURCES.iter().map(source_json).collect::<Vec<_>>(),
        "elsewhere": trace(&demo.story.elsewhere),
        "members": members,
        "alliance": demo.allied.json(),
        "dwell": dwell,
        "techniques": techniques,
        "next": next,
        "key": {
            "expected": key.expected, "found": key.found,
            "correlations_expected": key.correlations_expected, "correlations_found": key.correlations_found,
            "lookalikes": key.lookalikes, "lookalikes_reported": key.lookalikes_reported,
            "false_alarms": key.false_alarms,
        },
        "account": demo.hunted.account,
    })
}

fn step_json(step: &NextStep) -> Value {
    json!({"look": step.look, "why": step.why, "techniques": step.techniques})
}

fn source_json(source: &Source) -> Value {
    json!({"key": source.key, "place": source.place, "checked": checked(source.checked)})
}

/// How a fact or source was checked.
fn checked(checked: Checked) -> &'static str {
    match checked {
        Checked::Primary => "read",
        Checked::Secondary => "read as quoted by another",
        Checked::Recalled => "from memory",
    }
}
