//! Boundary tests: one `check` per boundary, cases as data.

mod corpora;
mod hostile;
mod lowering;
mod resolving;
mod show;

/// The folder of foreign test data, or `None` with a note that tests that need
/// it were skipped.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn shared(folder: &str) -> Option<std::path::PathBuf> {
    let root = std::env::var_os("BESA_SHARED").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        std::path::PathBuf::from,
    );
    let path = root.join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no foreign vectors at {}", path.display());
    None
}
