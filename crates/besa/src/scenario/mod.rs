//! The attack on Albania of 2021 and 2022, replayed as evidence.
//!
//! [`write()`] makes three members' collected logs for May 2021 to July 2022, as the real tools would
//! have written them: Windows event logs, forwarded events of winlogbeat, IIS, Zeek, a web proxy,
//! syslog. At `albania` the published course of events; at `ally-b` the same cluster takes mail; at
//! `ally-c` nothing happened. Around it the everyday of a government, at a volume of choice, and
//! lookalikes that good rules leave alone.
//!
//! ```text
//! DIR/albania/sharepoint01/W3SVC1/u_ex2105.log
//! DIR/albania/sharepoint01/Microsoft-Windows-Sysmon%4Operational.evtx
//! DIR/albania/forwarded/winlogbeat-2022-07.json.gz …
//! DIR/ally-b/…   DIR/ally-c/…
//! DIR/intel/homeland-justice.json     the published indicators (STIX 2.1)
//! DIR/intel/albania-replay.json       the replay's own infrastructure, as Albania would share it
//! DIR/expected.json                   the key: each event that was put in, with its rules
//! ```
//!
//! Invariants:
//! - The same seed and scale give the same bytes; there is no clock.
//! - What is put in does not depend on the scale.
//! - Facts are published ones, each with its sources and how they were read ([`chronicle`]);
//!   what is invented has names and addresses that are reserved for it (RFC 2606, 5737, 3849).
//! - The hashes are published ones. Some of their file names are recalled, not read again; the
//!   published bundle says so with each.
//! - Memory holds one day of one stream, whatever the number of days.

mod attack;
mod benign;
mod calendar;
mod estate;
mod expected;
mod facts;
mod indicators;
mod intel;
pub(crate) mod rng;
mod rule_ids;
mod sink;
mod streams;
mod text;
mod windows;

use std::fs;
use std::io;
use std::path::Path;

pub use facts::{Checked, Fact, NextStep, Precision, SOURCES, Source, chronicle, next_steps};

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Volume of benign events: 1.0 is about 200,000 over the three members. Not negative.
    pub scale: f64,
    /// Same seed, same bytes.
    pub seed: u64,
}

impl Default for Options {
    /// A tenth of a small government, which a demonstration writes and reads in seconds.
    fn default() -> Self {
        Self { scale: 0.1, seed: 2022 }
    }
}

/// How far [`write()`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The stream just finished, as `member/stream`.
    pub stream: &'a str,
    /// Streams finished.
    pub done: usize,
    /// Streams in all.
    pub total: usize,
    /// Events written.
    pub events: u64,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files of evidence.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events of the everyday.
    pub benign: u64,
    /// Events of the attack.
    pub injected: u64,
    /// Lookalikes.
    pub traps: u64,
}

impl Written {
    /// All events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.benign + self.injected + self.traps
    }
}

/// Folders of the members, in the order in which they are written.
pub const MEMBERS: [&str; 3] = ["albania", "ally-b", "ally-c"];

/// Writes the scenario below `dir`, which is created. Files of an earlier run are overwritten.
///
/// # Errors
/// What the file system says; `InvalidInput` for a scale that is negative or no number.
pub fn write(dir: &Path, options: &Options, progress: &mut dyn FnMut(Progress<'_>)) -> io::Result<Written> {
    if !options.scale.is_finite() || options.scale < 0.0 {
        let message =
            format!("scale `{}` is no amount; give 0 or more, such as `--scale 0.1`", options.scale);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    fs::create_dir_all(dir.join("intel"))?;
    let members = estate::members(options.seed);
    let mut written = Written::default();
    let mut key = expected::Key::default();
    let total = members.iter().map(|member| streams::of(member).len()).sum();
    let mut done = 0;
    for member in &members {
        let story = attack::of(member, options.seed);
        for stream in streams::of(member) {
            stream.write(dir, member, &story, options, &mut written, &mut key)?;
            done += 1;
            let name = format!("{}/{}", member.key, stream.name);
            progress(Progress { stream: &name, done, total, events: written.events() });
        }
    }
    fs::write(dir.join("intel/homeland-justice.json"), intel::published())?;
    fs::write(dir.join("intel/albania-replay.json"), intel::of_the_replay())?;
    fs::write(dir.join("expected.json"), key.json(options, &written))?;
    Ok(written)
}

#[cfg(test)]
mod tests;
