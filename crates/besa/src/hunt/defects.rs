//! What could not be read: counted by reason, the first ones kept, all of them written out if asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use besa_event::{Defect, Place};
use serde_json::json;

/// Defects shown in the account.
pub(crate) const SHOWN_MAX: usize = 20;
/// Reasons counted apart; what comes after is counted together.
const REASONS_MAX: usize = 200;

/// Collects the defects of a run in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct DefectLog {
    pub(crate) count: u64,
    /// The first [`SHOWN_MAX`], in the order of the evidence.
    pub(crate) shown: Vec<Defect>,
    /// Reasons with values left out, and how often each was met.
    pub(crate) by_reason: BTreeMap<String, u64>,
    file: Option<BufWriter<File>>,
}

impl DefectLog {
    /// A log that also writes each defect to a file, one JSON object a line.
    pub(crate) fn new(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?.map(BufWriter::new);
        Ok(Self { file, ..Self::default() })
    }

    pub(crate) fn push(&mut self, defect: Defect) -> io::Result<()> {
        self.count += 1;
        let reason = kind_of(&defect.reason);
        if self.by_reason.len() < REASONS_MAX || self.by_reason.contains_key(&reason) {
            *self.by_reason.entry(reason).or_default() += 1;
        } else {
            *self.by_reason.entry("other reasons".to_owned()).or_default() += 1;
        }
        if let Some(file) = &mut self.file {
            serde_json::to_writer(&mut *file, &as_json(&defect))?;
            file.write_all(b"\n")?;
        }
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(defect);
        }
        Ok(())
    }

    /// Everything is written out.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// `{"path", "offset" or "record", "reason"}`.
pub(crate) fn as_json(defect: &Defect) -> serde_json::Value {
    let mut object = json!({"path": &*defect.origin.path});
    match defect.place {
        Place::Whole => {}
        Place::Offset(offset) => object["offset"] = offset.into(),
        Place::Record(record) => object["record"] = record.into(),
    }
    object["reason"] = defect.reason.as_str().into();
    object
}

/// The file, and what is wrong at which place in it.
pub(crate) fn as_text(defect: &Defect) -> (String, String) {
    let path = defect.origin.path.to_string();
    let rest = defect.to_string().strip_prefix(&path).map(str::to_owned);
    (path, rest.unwrap_or_else(|| format!(": {}", defect.reason)))
}

/// A reason without its values, so that a thousand torn records are one reason met a thousand
/// times: what stands in backticks becomes `…`, numbers become `N`.
fn kind_of(reason: &str) -> String {
    let mut out = String::with_capacity(reason.len());
    for (at, part) in reason.split('`').enumerate() {
        if at % 2 == 1 {
            out.push_str("`…`");
            continue;
        }
        let mut in_number = false;
        for c in part.chars() {
            let after_word = out.chars().next_back().is_some_and(char::is_alphanumeric);
            if c.is_ascii_digit() && (in_number || !after_word) {
                if !in_number {
                    out.push('N');
                }
                in_number = true;
            } else {
                in_number = false;
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn reasons_are_grouped_without_their_values() {
        let cases = [
            ("ends 17 bytes before the length of `ab`", "ends N bytes before the length of `…`"),
            ("chunk 3: checksum of UTF16 text", "chunk N: checksum of UTF16 text"),
            ("no newline", "no newline"),
        ];
        for (reason, expected) in cases {
            assert_eq!(kind_of(reason), expected);
        }
    }
}
