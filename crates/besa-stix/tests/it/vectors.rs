//! Reading the foreign vectors, which are not part of the project.

use serde_json::Value;

/// The rows of a file of JSON lines, or `None` (and a note) where the vectors are not at hand.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn rows(file: &str) -> Option<Vec<Value>> {
    let shared = std::env::var("BESA_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned());
    let path = format!("{shared}/vectors/{file}");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no foreign vectors at {path}");
        return None;
    };
    let rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a vector is one line of JSON")).collect();
    assert!(!rows.is_empty(), "{path} is empty");
    Some(rows)
}

pub(crate) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// Compares the rows that came out otherwise with the listed exceptions, each with its reason.
/// An exception that no longer is one fails as well; rows not at hand are no exceptions.
pub(crate) fn settle(rows: &[Value], wrong: &[(String, String)], exceptions: &[(&str, &str)]) {
    let mut problems = Vec::new();
    for (id, what) in wrong {
        if !exceptions.iter().any(|(exception, _)| exception == id) {
            problems.push(format!("{id}: {what}"));
        }
    }
    for (id, reason) in exceptions {
        let present = rows.iter().any(|row| row["id"] == **id);
        if present && !wrong.iter().any(|(wrong, _)| wrong == id) {
            problems.push(format!("{id} agrees now, drop the exception ({reason})"));
        }
    }
    assert!(problems.is_empty(), "{} of {} rows:\n{}", problems.len(), rows.len(), problems.join("\n"));
}
