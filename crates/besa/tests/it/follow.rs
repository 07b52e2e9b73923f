//! `besa follow`: findings come while the log is written.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use serde_json::Value;

use crate::{WHOAMI, WHOAMI_EXE, besa, process, text};

/// A `besa follow` that runs; dropping it kills it.
pub(crate) struct Following {
    child: Child,
    out: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
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
        let out = BufReader::new(child.stdout.take().unwrap());
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child, out, errors }
    }

    /// The next finding; a test that waits in vain is ended by whoever runs it.
    pub(crate) fn finding(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no finding: {line:?}"))
    }

    /// Reads messages until one holds a text.
    pub(crate) fn until_said(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(self.errors.read_line(&mut line).unwrap() > 0, "it never said `{what}`");
        }
    }

    /// Ends it as a service manager does; its last messages.
    #[cfg(unix)]
    fn ended(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.errors, &mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
        said
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
