//! One self-contained HTML file to send on: no external resource, no script but a small one for
//! sorting, under a content security policy that allows nothing else.
//!
//! Everything from evidence and rules is escaped for text and attributes ([`Text`]); a log line
//! with `<script>` in it is shown, not run. Rows of single findings are capped, since a browser
//! is no database: the most severe ones are shown, and what is left out is said.

mod chart;

use std::fmt;
use std::io::Write;

use besa_detect::Finding;
use besa_sigma::Level;
use uuid::Uuid;

use super::record::{Row, each_row};
use super::{Report, account_text, short_time};
use crate::hunt::summary::{LEVELS, RuleSummary, Summary};
use crate::terminal::{Paint, counted, fit, grouped, sized};

const ROWS_MAX: u64 = 5_000;
/// Characters of one value.
const VALUE_LEN_MAX: usize = 2_000;
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    head(out)?;
    overview(report, out)?;
    chart::write(report.summary, out)?;
    techniques(report.summary, out)?;
    rules(report.summary, out)?;
    findings(report, out)?;
    account(report, out)?;
    writeln!(out, "</main>\n</body>\n</html>")?;
    Ok(())
}

/// Text for an HTML element or a quoted attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => f.write_str("\u{FFFD}")?,
                '\n' | '\t' => fmt::Write::write_char(f, c)?,
                c if c.is_control() => f.write_str("\u{FFFD}")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

fn head(out: &mut dyn Write) -> anyhow::Result<()> {
    let nonce = Uuid::new_v4().simple().to_string();
    writeln!(
        out,
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Besa hunt report</title>
<style nonce="{nonce}">
{STYLE}</style>
<script nonce="{nonce}">
{SCRIPT}</script>
</head>
<body>
<main>"#
    )?;
    Ok(())
}

fn overview(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let account = report.account;
    writeln!(out, "<header><h1>Hunt report</h1>")?;
    writeln!(
        out,
        "<p>{} in {} ({}), held against {} and {}. Hunted {} UTC with Besa {}.</p>",
        counted(account.events, "event"),
        counted(account.files, "file"),
        sized(account.bytes),
        counted(account.rules.loaded, "rule"),
        counted(account.rules.correlations, "correlation"),
        report.now.rfc3339(0).replace('T', " ").trim_end_matches('Z'),
        env!("CARGO_PKG_VERSION"),
    )?;
    if !account.complete {
        writeln!(out, "<p class=\"warn\">Partial: the hunt was interrupted; not all evidence was read.</p>")?;
    }
    if account.defects.count > 0 {
        let places = counted(account.defects.count, "place");
        writeln!(
            out,
            "<p class=\"warn\">{places} in the evidence could not be read; see the account below.</p>"
        )?;
    }
    writeln!(out, "</header>\n<section class=\"cards\" aria-label=\"Findings by level\">")?;
    for level in LEVELS {
        let count = report.summary.of_level(level);
        let none = if count == 0 { " none" } else { "" };
        writeln!(
            out,
            "<div class=\"card {level}{none}\"><b>{}</b><span>{level}</span></div>",
            grouped(count)
        )?;
    }
    writeln!(out, "</section>")?;
    Ok(())
}

fn techniques(summary: &Summary, out: &mut dyn Write) -> anyhow::Result<()> {
    let techniques = summary.techniques();
    if techniques.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section><h2>ATT&amp;CK techniques</h2>\n<ul class=\"chips\">")?;
    for (id, technique) in techniques {
        let titles: Vec<&str> = technique.rules.iter().map(|rule| rule.info.title.as_str()).collect();
        writeln!(
            out,
            "<li class=\"{}\" title=\"{}\"><b>{}</b> {}</li>",
            technique.level,
            Text(&titles.join("\n")),
            Text(id),
            grouped(technique.count),
        )?;
    }
    writeln!(out, "</ul></section>")?;
    Ok(())
}

fn rules(summary: &Summary, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "<section><h2>Rules with findings</h2>")?;
    if summary.rules.is_empty() {
        writeln!(out, "<p>Nothing found. The account below says what was looked at.</p></section>")?;
        return Ok(());
    }
    writeln!(
        out,
        "<table class=\"sortable\"><thead><tr><th data-kind=\"number\">Level</th><th data-kind=\"number\">Count</th>\
         <th>Rule</th><th>First seen</th><th>Last seen</th><th>Hosts</th><th>Techniques</th></tr></thead><tbody>"
    )?;
    for (_, rule) in summary.by_importance() {
        rule_row(rule, out)?;
    }
    writeln!(out, "</tbody></table></section>")?;
    Ok(())
}

fn rule_row(rule: &RuleSummary, out: &mut dyn Write) -> anyhow::Result<()> {
    let info = &rule.info;
    let time = |time: Option<besa_detect::FindingTime>| time.map_or_else(|| "–".to_owned(), short_time);
    writeln!(
        out,
        "<tr>{}<td class=\"n\" data-sort=\"{}\">{}</td><td><details><summary>{}</summary>{}</details></td>\
         <td class=\"t\">{}</td><td class=\"t\">{}</td><td>{}</td><td class=\"m\">{}</td></tr>",
        level_cell(info.level),
        rule.count,
        grouped(rule.count),
        Text(&info.title),
        rule_details(rule),
        time(rule.first),
        time(rule.last),
        Text(&rule.hosts_text(3)),
        Text(&rule.techniques.join(" ")),
    )?;
    Ok(())
}

fn level_cell(level: Level) -> String {
    format!("<td data-sort=\"{}\"><span class=\"badge {level}\">{level}</span></td>", level as u8)
}

fn rule_details(rule: &RuleSummary) -> String {
    let info = &rule.info;
    let mut out = String::new();
    let mut part = |name: &str, text: &str| {
        if !text.trim().is_empty() {
            out.push_str(&format!("<p><b>{name}</b> {}</p>", Text(&fit(text.trim(), VALUE_LEN_MAX))));
        }
    };
    part("", &info.description);
    part("May also be", &info.falsepositives.join("; "));
    part("Author", &info.author);
    part("Licence", &info.license);
    part("Id", &info.id);
    part("From", &info.place);
    part("Intelligence", info.intel_ref.as_deref().unwrap_or_default());
    part("Read more", &info.references.join(" "));
    out
}

/// Which findings are shown: those of the highest levels, as many as fit.
fn shown_per_level(summary: &Summary) -> [u64; 5] {
    let mut room = ROWS_MAX;
    let mut shown = [0; 5];
    for level in LEVELS {
        let count = summary.of_level(level).min(room);
        shown[level as usize] = count;
        room -= count;
    }
    shown
}

fn findings(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    if report.summary.findings == 0 {
        return Ok(());
    }
    let mut room = shown_per_level(report.summary);
    let shown: u64 = room.iter().sum();
    writeln!(out, "<section><h2>Timeline</h2>")?;
    if shown < report.findings.len() {
        writeln!(
            out,
            "<p class=\"warn\">{} of {} are shown, those of the highest levels first; <code>--format jsonl</code> has all.</p>",
            grouped(shown),
            counted(report.findings.len(), "finding"),
        )?;
    }
    if report.summary.undated > 0 {
        writeln!(out, "<p>{} without a time stand first.</p>", counted(report.summary.undated, "finding"))?;
    }
    writeln!(
        out,
        "<table class=\"sortable\"><thead><tr><th>Time (UTC)</th><th data-kind=\"number\">Level</th><th>Finding</th>\
         <th>Host</th><th>What matched</th><th>Record</th></tr></thead><tbody>"
    )?;
    each_row(report, &mut |row, finding| {
        let room = &mut room[row.info.level as usize];
        if *room > 0 {
            *room -= 1;
            finding_row(row, finding, out)?;
        }
        Ok(())
    })?;
    writeln!(out, "</tbody></table></section>")?;
    Ok(())
}

fn finding_row(row: &Row<'_>, finding: &Finding, out: &mut dyn Write) -> anyhow::Result<()> {
    let time = finding.time.map_or_else(|| "–".to_owned(), short_time);
    let exact = row.time.as_deref().unwrap_or("the record has no time");
    let zone = match row.time_zone {
        Some("stated") | None => "",
        Some(_) => " <abbr title=\"the record states no zone; UTC is assumed\">?</abbr>",
    };
    write!(
        out,
        "<tr><td class=\"t\" data-sort=\"{0}\"><span title=\"{0}\">{time}</span>{zone}</td>{1}<td>{2}</td><td class=\"h\">{3}</td><td><dl>",
        Text(exact),
        level_cell(row.info.level),
        Text(row.title),
        Text(row.host),
    )?;
    for (field, value) in row.matched.0 {
        write!(out, "<dt>{}</dt><dd>{}</dd>", Text(field), Text(&fit(value, VALUE_LEN_MAX)))?;
    }
    write!(out, "</dl></td><td class=\"p\">{}:{}", Text(&row.source.path), row.source.record)?;
    if !row.related.is_empty() {
        write!(out, "<details><summary>and {}</summary>", counted(row.related.len() as u64, "record"))?;
        for place in row.related {
            write!(out, "<div>{}:{}</div>", Text(&place.path), place.record)?;
        }
        write!(out, "</details>")?;
    }
    writeln!(out, "</td></tr>")?;
    Ok(())
}

fn account(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let text = account_text(report.account, Paint(false), 200);
    writeln!(out, "<section><h2>Account of the hunt</h2>\n<pre>{}</pre></section>", Text(&text))?;
    writeln!(
        out,
        "<footer>Rules belong to their authors, who are named with each rule. Times are UTC as the records state them.</footer>"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn a_strangers_text_cannot_leave_its_place() {
        let text = Text("<script>\"'&\u{202E}\u{1b}</script>").to_string();
        assert_eq!(text, "&lt;script&gt;&quot;&#39;&amp;\u{FFFD}\u{FFFD}&lt;/script&gt;");
    }
}
