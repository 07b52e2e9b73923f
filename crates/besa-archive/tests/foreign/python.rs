//! Python with foreign packages, in a folder of its own below `target/`.
//!
//! Made once and kept. A machine without Python or without a network cannot have it; then tests
//! that need it say so and pass, unless `BESA_FOREIGN` is `required`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Versions are fixed, so that a test which fails does so because of us.
const PACKAGES: &[(&str, &[&str])] =
    &[("readers", &["duckdb==2.0.1", "pyarrow==26.0.1"]), ("s3", &["moto[server]==5.2.5"])];

/// The interpreter with that set of packages; `None`, said on standard error, if it cannot be had.
pub(crate) fn python(set: &str) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, packages) = PACKAGES.iter().find(|(name, _)| *name == set).unwrap();
    // target/debug/deps/test
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(3).unwrap().join(format!("python-{set}"));
    let (interpreter, ready) = (folder.join("bin/python"), folder.join("ready"));
    if std::fs::read_to_string(&ready).is_ok_and(|have| have == packages.join(" ")) {
        return Some(interpreter);
    }
    match make(&folder, &interpreter, packages) {
        Ok(()) => {
            std::fs::write(ready, packages.join(" ")).unwrap();
            Some(interpreter)
        }
        Err(reason) => {
            assert!(std::env::var("BESA_FOREIGN").as_deref() != Ok("required"), "{reason}");
            skipped(&format!("{}: {reason}", packages.join(", ")));
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped(what: &str) {
    eprintln!("SKIPPED, no foreign reader was tried: {what}");
}

fn make(folder: &Path, interpreter: &Path, packages: &[&str]) -> Result<(), String> {
    let run = |command: &mut Command| match command.output() {
        Err(error) => Err(format!("{error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    };
    let _ = std::fs::remove_dir_all(folder);
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    run(Command::new(interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--retries", "1", "--timeout", "20", "--only-binary", ":all:"])
        .args(packages))
}
