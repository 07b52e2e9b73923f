//! Set-up by script, before and while the node runs; import, search, pull, backup, an orderly end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use crate::besa;

const PASSWORD: &str = "correct horse battery";
const OBJECT: &str = r#"{"type":"domain-name","id":"domain-name--3c10e93f-798e-5a26-a0c1-08156efab7f5","value":"example.com"}"#;

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_node_set_up_by_script() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (data, other, file) = (path("data"), path("other"), path("bundle.json"));
    std::fs::write(&file, OBJECT).unwrap();
    let add_user = ["user", "add", "ana", "--role", "contributor", "--password-stdin", "--data", &data];
    assert_eq!(run(&add_user, PASSWORD), (0, String::new()));
    assert_eq!(run(&add_user, PASSWORD).0, 2, "there already");
    assert_eq!(
        run(&["user", "add", "bob", "--role", "reader", "--password-stdin", "--data", &data], "short").0,
        2
    );
    let (mut served, url) = serve(&data);
    // While it runs.
    let add = [
        "collection",
        "add",
        "--title",
        "T",
        "--alias",
        "feed",
        "--access",
        "ana=rw",
        "--data",
        &data,
        "--id-only",
    ];
    let (code, id) = run(&add, "");
    assert_eq!((code, id.trim().len()), (0, 36));
    assert_eq!(run(&["collection", "add", "--title", "T", "--access", "eve=rw", "--data", &data], "").0, 2);
    assert_eq!(run(&["intel", "import", &file, "--collection", "feed", "--data", &data], "").0, 0);
    let found = run(&["intel", "search", "--value", "EXAMPLE[.]com", "--data", &data], "");
    assert_eq!(found, (0, format!("{OBJECT}\n")));
    assert_eq!(run(&["intel", "search", "nothing", "--data", &data], ""), (1, String::new()));
    let collection = url.replace("/taxii2/", &format!("/api/collections/{}/", id.trim()));
    let ls = run(&["taxii", "ls", &url, "--user", "ana", "--password-stdin"], PASSWORD);
    assert_eq!(ls, (0, format!("rw\t{collection}\tT\n")));
    let pull = ["taxii", "pull", &collection, "--user", "ana", "--password-stdin", "--data", &other];
    assert_eq!(run(&pull, PASSWORD).0, 0);
    let exported = run(&["intel", "export", "--data", &other], "").1;
    assert!(exported.contains(OBJECT), "{exported}");
    let token = run(&["token", "add", "ana", "--scope", "ro", "--data", &data], "").1;
    assert_eq!(
        run(&["taxii", "ls", &url, "--password-stdin"], token.trim()).1,
        format!("r-\t{collection}\tT\n")
    );
    let copy = path("copy.sqlite");
    assert_eq!(run(&["backup", "make", &copy, "--data", &data], "").0, 0);
    assert_eq!(run(&["backup", "restore", &copy, "--data", &path("restored")], "").0, 0);
    assert_eq!(run(&["backup", "restore", &copy, "--data", &path("restored")], "").0, 2);
    assert_eq!(run(&["intel", "export", "--collection", "feed", "--data", &path("restored")], "").0, 0);
    // SIGTERM ends it in order.
    let pid = served.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(served.0.wait().unwrap().code(), Some(0));
}

/// Runs a command with a line on standard input: exit code and standard output.
#[expect(clippy::print_stderr, reason = "a failing test shows what was run")]
fn run(args: &[&str], stdin: &str) -> (i32, String) {
    let mut child = besa()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    writeln!(child.stdin.take().unwrap(), "{stdin}").ok();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    eprintln!("besa {}: {status} {}", args.join(" "), String::from_utf8_lossy(&stderr));
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap())
}

/// A node on a free port, and its discovery URL.
fn serve(data: &str) -> (Served, String) {
    let mut child = besa()
        .args(["serve", "--listen", "127.0.0.1:0", "--data", data])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let served = Served(child);
    let mut lines = BufReader::new(stderr).lines();
    let url = loop {
        let line = lines.next().expect("the node says where it serves").unwrap();
        if let Some(url) = line.strip_prefix("serving ") {
            break url.to_owned();
        }
    };
    // Its log must be read, or it would wait for us.
    std::thread::spawn(move || lines.for_each(drop));
    (served, url)
}
