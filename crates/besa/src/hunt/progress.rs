//! The progress bar: on a terminal only, so that a pipe or a log file stays clean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::{Terminal, fit, grouped, visible};

/// Shows bytes read of the total, events per second, findings, the file at hand and what is left.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for a hunt through these paths; hidden unless a person looks.
    pub(crate) fn new(paths: &[PathBuf], terminal: &Terminal) -> Self {
        if !terminal.interactive || terminal.is_quiet() {
            return Self { bar: ProgressBar::hidden() };
        }
        Self::shown(total_len(paths))
    }

    /// A bar for reading so many bytes; hidden unless a person looks.
    pub(crate) fn of(total: u64, terminal: &Terminal) -> Self {
        if !terminal.interactive || terminal.is_quiet() {
            return Self { bar: ProgressBar::hidden() };
        }
        Self::shown(Some(total))
    }

    /// None at all, for work that nobody waits for.
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    fn shown(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{bar:24.cyan/blue} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg} (left: {eta})",
            None => "{spinner} {bytes} {binary_bytes_per_sec} {msg}",
        };
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Bytes of the input that have been read.
    pub(crate) fn read(&self, input_bytes: u64) {
        self.bar.set_position(input_bytes);
    }

    /// What has come of it.
    pub(crate) fn matched(&self, events: u64, findings: u64, path: &str) {
        if self.bar.is_hidden() {
            return;
        }
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        let rate = grouped((events as f64 / seconds) as u64);
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let name = fit(&visible(name), 28);
        self.bar.set_message(format!("{rate} events/s, {} findings, {name}", grouped(findings)));
    }

    /// How many events have gone through.
    pub(crate) fn passed(&self, events: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} events", grouped(events)));
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes of all files; `None` if standard input is among them.
fn total_len(paths: &[PathBuf]) -> Option<u64> {
    if paths.iter().any(|path| path.as_os_str() == "-") {
        return None;
    }
    Some(paths.iter().map(|path| len_below(path)).sum())
}

fn len_below(path: &Path) -> u64 {
    let mut total = 0;
    each_file_below(path, &mut |_, len| total += len);
    total
}

/// Calls `take` with each file of evidence and its length in bytes. Like the walk itself, it
/// does not follow links to folders.
pub(crate) fn each_file_below(path: &Path, take: &mut dyn FnMut(&Path, u64)) {
    let mut stack = vec![path.to_path_buf()];
    while let Some(path) = stack.pop() {
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if !metadata.is_dir() {
            take(&path, metadata.len());
            continue;
        }
        let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
        stack.extend(entries.map(|entry| entry.path()).filter(|path| !path.is_symlink() || path.is_file()));
    }
}
