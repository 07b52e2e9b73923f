//! JSON lines: one object a finding, oldest first.

use std::io::Write;

use super::Report;
use super::record::each_row;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    each_row(report, &mut |row, _| {
        serde_json::to_writer(&mut *out, row)?;
        out.write_all(b"\n")?;
        Ok(())
    })
}
