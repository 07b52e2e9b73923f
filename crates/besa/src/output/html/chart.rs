//! The timeline as inline SVG: stacked bars by level. Colours come from classes, since the content
//! security policy allows no style attributes.

use std::io::Write;

use besa_event::Timestamp;
use besa_sigma::Level;

use crate::hunt::summary::{LEVELS, Summary};
use crate::terminal::grouped;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 160.0;
/// A bar is at least this high, so that one finding beside thousands is still seen.
const BAR_HEIGHT_MIN: f64 = 3.0;

pub(super) fn write(summary: &Summary, out: &mut dyn Write) -> anyhow::Result<()> {
    let histogram = &summary.histogram;
    let buckets = histogram.span();
    if buckets == 0 {
        return Ok(());
    }
    let total = |counts: &[u64; 5]| counts.iter().sum::<u64>();
    let most = histogram.bars().map(|(_, _, counts)| total(counts)).max().unwrap_or(1).max(1);
    let step = WIDTH / (buckets as f64);
    writeln!(
        out,
        "<section><h2>When</h2>\n<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"Findings over time\">",
        HEIGHT + 24.0
    )?;
    writeln!(out, "<line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>")?;
    for (position, start, counts) in histogram.bars() {
        let x = position as f64 * step;
        let title = format!("{}: {}", day(start), described(counts));
        writeln!(out, "<g><title>{title}</title>")?;
        let mut top = HEIGHT;
        for level in LEVELS.into_iter().rev() {
            let count = counts[level as usize];
            if count == 0 {
                continue;
            }
            let height = (count as f64 / most as f64 * (HEIGHT - 5.0 * BAR_HEIGHT_MIN)).max(BAR_HEIGHT_MIN);
            top -= height;
            let width = (step - 1.0).clamp(1.5, 40.0);
            writeln!(
                out,
                "<rect class=\"{level}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            )?;
        }
        writeln!(out, "</g>")?;
    }
    axis(summary, out)?;
    writeln!(
        out,
        "</svg>\n<p class=\"note\">One bar is one {}; the highest has {}.</p></section>",
        histogram.width_name(),
        grouped(most)
    )?;
    Ok(())
}

/// The first and the last day; with room between them, the middle.
fn axis(summary: &Summary, out: &mut dyn Write) -> anyhow::Result<()> {
    let starts: Vec<i64> = summary.histogram.bars().map(|(_, start, _)| start).collect();
    let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return Ok(()) };
    let y = HEIGHT + 18.0;
    writeln!(out, "<text x=\"0\" y=\"{y}\">{}</text>", day(*first))?;
    if first != last {
        writeln!(out, "<text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{}</text>", day(*last))?;
        let middle = first + (last - first) / 2;
        writeln!(out, "<text x=\"{}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", WIDTH / 2.0, day(middle))?;
    }
    Ok(())
}

fn day(nanos: i64) -> String {
    let text = Timestamp(nanos).rfc3339(0);
    let midnight = text.strip_suffix("T00:00:00Z").map(str::to_owned);
    midnight.unwrap_or_else(|| text.replace('T', " ").trim_end_matches('Z').to_owned())
}

fn described(counts: &[u64; 5]) -> String {
    let parts: Vec<String> = LEVELS
        .into_iter()
        .filter_map(|level: Level| {
            let count = counts[level as usize];
            (count > 0).then(|| format!("{} {level}", grouped(count)))
        })
        .collect();
    parts.join(", ")
}
