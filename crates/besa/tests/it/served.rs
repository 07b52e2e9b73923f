//! A node as a process, on a port that the system chose.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::besa;

/// It is killed when this is dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    /// Its discovery URL.
    pub(crate) url: String,
}

impl Served {
    /// Starts the node of a data folder, and waits until it serves.
    pub(crate) fn start(data: &str) -> Self {
        let mut command = besa();
        command.args(["-q", "serve", "--listen", "127.0.0.1:0", "--data", data]).stdout(Stdio::piped());
        // Cheats and broken networks fill the log with what the tests look for elsewhere.
        command.env("BESA_LOG", "off");
        let mut served = Self { child: command.spawn().unwrap(), url: String::new() };
        let mut said = BufReader::new(served.child.stdout.take().unwrap());
        said.read_line(&mut served.url).unwrap();
        assert!(served.url.ends_with("/taxii2/\n"), "the node does not say where it serves: {}", served.url);
        served.url.pop();
        served
    }

    pub(crate) fn port(&self) -> u16 {
        let port = self.url.rsplit(':').next().unwrap().split('/').next().unwrap();
        port.parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
