//! `besa follow`: findings come while the log is written.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::{WHOAMI, WHOAMI_EXE, besa, process, text};

/// How long a slow machine may take to say the next thing.
const PATIENCE: Duration = Duration::from_secs(180);

/// A `besa follow` that runs; dropping it kills it.
pub(crate) struct Following {
    child: Child,
    findings: Receiver<String>,
    messages: Receiver<String>,
}

/// The lines of a stream, as they come.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

impl Following {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = besa()
            .args(["follow", "--json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let findings = lines_of(child.stdout.take().unwrap());
        let messages = lines_of(child.stderr.take().unwrap());
        Self { child, findings, messages }
    }

    /// The next finding.
    #[track_caller]
    pub(crate) fn finding(&mut self) -> Value {
        let line = self.findings.recv_timeout(PATIENCE).expect("no finding");
        serde_json::from_str(&line).unwrap()
    }

    /// Waits until a message holds a text.
    #[track_caller]
    pub(crate) fn until_said(&mut self, what: &str) {
        while !self.messages.recv_timeout(PATIENCE).expect("it is never said").contains(what) {}
    }

    /// Ends it as a service manager does; its last messages.
    #[cfg(unix)]
    fn ended(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let said: Vec<String> = self.messages.iter().collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said:?}");
        said.join("\n")
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn append(path: &Path, lines: &[String]) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
}

const MANY: &str = r"title: Many
id: 11111111-2222-4333-8444-666666666666
level: critical
correlation:
  type: event_count
  generate: true
  rules: [11111111-2222-4333-8444-555555555555]
  group-by: [Computer]
  timespan: 5m
  condition: {gte: 3}
";

#[cfg(unix)]
#[test]
fn findings_come_while_the_log_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (rules, logs) = (folder.path().join("rules"), folder.path().join("logs"));
    std::fs::create_dir(&rules).unwrap();
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(rules.join("a.yml"), WHOAMI).unwrap();
    std::fs::write(rules.join("b.yml"), MANY).unwrap();
    let log = logs.join("sysmon.json");
    append(&log, &[process(WHOAMI_EXE, 1), process("C:\\\\a.exe", 2)]);
    let mut following = Following::start(&["-r", text(&rules), text(&logs)]);
    following.until_said("following");
    append(&log, &[process("C:\\\\b.exe", 3), process(WHOAMI_EXE, 4)]);
    let first = following.finding();
    assert_eq!((&first["title"], &first["source"]["record"]), (&"Whoami".into(), &4.into()), "{first}");
    // Half a line is no record yet.
    let whole = process(WHOAMI_EXE, 5);
    let (half, rest) = whole.split_at(whole.len() / 2);
    write!(File::options().append(true).open(&log).unwrap(), "{half}").unwrap();
    std::fs::rename(&log, logs.join("sysmon.json.1")).unwrap();
    append(&logs.join("sysmon.json.1"), &[rest.to_owned()]);
    assert_eq!(following.finding()["source"]["record"], 5);
    append(&log, &[process(WHOAMI_EXE, 6)]);
    let third = following.finding();
    assert_eq!((&third["source"]["path"], &third["source"]["record"]), (&text(&log).into(), &1.into()));
    // What looks at many records comes when they have settled.
    let many = following.finding();
    assert_eq!((&many["title"], &many["related"].as_array().unwrap().len()), (&"Many".into(), &2), "{many}");
    append(&log, &["{\"torn\" 1}".to_owned(), process(WHOAMI_EXE, 7)]);
    assert_eq!(following.finding()["source"]["record"], 3);
    let said = following.ended();
    assert!(said.contains("sysmon.json:2") && said.contains("stopped: "), "{said}");
}
