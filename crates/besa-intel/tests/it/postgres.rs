//! A private PostgreSQL cluster from Debian's packages, as an unprivileged user, on a Unix socket.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Stopped and deleted when dropped.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
    databases: AtomicU32,
}

impl Cluster {
    /// Starts one, or says why not.
    pub(crate) fn start() -> Option<Self> {
        let Some(bin) = newest_bin() else {
            eprintln!("skipped: no PostgreSQL under /usr/lib/postgresql (apt-get install postgresql)");
            return None;
        };
        // A socket's path is short, whatever TMPDIR says.
        let folder = tempfile::Builder::new().prefix("besa-pg").tempdir_in("/tmp").unwrap();
        let cluster = Self { folder, bin, databases: AtomicU32::new(0) };
        if is_root() {
            let path = cluster.folder.path();
            run(Command::new("chown").arg("nobody").arg(path));
        }
        let data = cluster.data();
        run(cluster.command("initdb").args(["-A", "trust", "-U", "besa", "--no-sync", "-D", &data]));
        let options = format!("-c listen_addresses='' -c unix_socket_directories='{}'", cluster.socket());
        run(cluster.command("pg_ctl").args([
            "-w",
            "-D",
            &data,
            "-o",
            &options,
            "-l",
            &format!("{data}.log"),
            "start",
        ]));
        Some(cluster)
    }

    /// Stops the server and starts it again, as an upgrade would.
    pub(crate) fn restart(&self) {
        let options = format!("-c listen_addresses='' -c unix_socket_directories='{}'", self.socket());
        let (data, log) = (self.data(), format!("{}.log", self.data()));
        run(self
            .command("pg_ctl")
            .args(["-w", "-m", "fast", "-D", &data, "-o", &options, "-l", &log, "restart"]));
    }

    /// The address of an empty database.
    pub(crate) fn fresh_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        run(self.command("createdb").args(["-h", &self.socket(), "-U", "besa", &name]));
        format!("host={} user=besa dbname={name}", self.socket())
    }

    fn socket(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn command(&self, program: &str) -> Command {
        let path = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The folder goes next, so the server must; a failing test shall not fail twice.
        let stop = ["-w", "-m", "immediate", "-D", &self.data(), "stop"];
        self.command("pg_ctl").args(stop).stdin(Stdio::null()).stdout(Stdio::null()).status().ok();
    }
}

fn newest_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut bins: Vec<PathBuf> =
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).filter(|bin| has(bin)).collect();
    bins.sort();
    bins.pop()
}

fn has(bin: &Path) -> bool {
    ["initdb", "pg_ctl", "createdb"].iter().all(|program| bin.join(program).exists())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(done.success(), "{command:?}: {done}");
}
