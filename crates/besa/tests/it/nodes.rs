//! An alliance of three as people set it up: keys, charter, data folders, accounts and addresses by
//! the command line alone, and each node a process of its own. Between them lie ways that can be
//! broken, so that a node comes back on whatever port is free.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::desk::{Desk, Ended};
use crate::pen::{domain, id, indicator, indicator_id};
use crate::served::Served;
use crate::wire::Wire;

pub(crate) const MEMBERS: [u8; 3] = [1, 2, 3];

pub(crate) struct Nodes {
    /// First, so that they end before their folders go.
    running: BTreeMap<u8, Served>,
    /// Keys `a1` and `n1`, charter `c0`, and so on.
    pub(crate) desk: Desk,
    /// The ways, by who asks whom.
    pub(crate) wires: BTreeMap<(u8, u8), Wire>,
    /// The tokens, by who asks whom.
    pub(crate) tokens: BTreeMap<(u8, u8), String>,
}

impl Nodes {
    /// Founds the alliance with properties of its charter, and what each member says is its own.
    pub(crate) fn founded(properties: &Value, assets: &Value) -> Self {
        let desk = Desk::new();
        desk.found(properties, "2026-10-01T00:00:00Z");
        desk.put("assets", assets);
        let shown = desk.good("", &["charter", "show", "c0", "--json"]).json();
        let pin = shown["fingerprint"].as_str().unwrap();
        let wires = pairs().map(|pair| (pair, Wire::to(0))).collect();
        let mut nodes = Self { desk, wires, tokens: BTreeMap::new(), running: BTreeMap::new() };
        for member in MEMBERS {
            let (as_member, key) = (id(member), format!("n{member}"));
            let join = ["alliance", "join", "c0", "--assets", "assets", "--as", as_member.as_str()];
            nodes.good(member, "", &[&join[..], &["--node-key", &key, "--pin", pin]].concat());
        }
        for (guest, host) in pairs() {
            let token = nodes.good(host, "", &["alliance", "welcome", id(guest).as_str()]).out;
            let url = nodes.wires[&(guest, host)].url();
            let peer =
                ["alliance", "peer", id(host).as_str(), "--url", &url, "--token-stdin"].map(str::to_owned);
            nodes.good(guest, token.trim(), &peer.each_ref().map(String::as_str));
            nodes.tokens.insert((guest, host), token.trim().to_owned());
        }
        nodes
    }

    /// The file or folder of a name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }

    /// The data folder of a member.
    pub(crate) fn data(&self, member: u8) -> String {
        self.path(&format!("data-{member}")).display().to_string()
    }

    /// Runs a command over a member's data, which must end with 0.
    #[track_caller]
    pub(crate) fn good(&self, member: u8, stdin: &str, args: &[&str]) -> Ended {
        self.desk.good(stdin, &[args, &["--data", &self.data(member)]].concat())
    }

    /// Starts the node of a member; all ways to it lead there.
    pub(crate) fn serve(&mut self, member: u8) {
        let served = Served::start(&self.data(member));
        let to_it = self.wires.iter().filter(|((_, host), _)| *host == member);
        to_it.for_each(|(_, wire)| wire.lead_to(served.port()));
        self.running.insert(member, served);
    }

    /// Starts the node of a member if it does not run.
    pub(crate) fn serve_if_down(&mut self, member: u8) {
        if !self.running.contains_key(&member) {
            self.serve(member);
        }
    }

    /// The port of a node that runs.
    pub(crate) fn port(&self, member: u8) -> u16 {
        self.running[&member].port()
    }

    /// Ends a node as a power failure would.
    pub(crate) fn kill(&mut self, member: u8) {
        self.running.remove(&member);
    }

    /// An event in the archive of a member: somebody asked for a name.
    pub(crate) fn evidence(&self, member: u8, name: &str) {
        let log = json!({
            "_path": "dns", "ts": "2022-03-01T12:00:00.000000Z", "uid": "C1", "id.orig_h": "10.0.0.5",
            "id.orig_p": 5353, "id.resp_h": "10.0.0.1", "id.resp_p": 53, "proto": "udp", "query": name,
        });
        self.desk.put("dns.log", format_args!("{log}\n"));
        let archive = format!("{}/archive", self.data(member));
        self.desk.good("", &["-q", "archive", "add", "dns.log", "--archive", &archive]);
    }

    /// A member's own indicator, put into its store.
    pub(crate) fn import(&self, member: u8, number: u32) {
        self.desk.put("import.json", indicator(member, number, &domain(number)));
        self.good(member, "", &["intel", "import", "import.json"]);
    }

    /// Releases an indicator to all: the id of the release.
    pub(crate) fn release(&self, member: u8, number: u32) -> String {
        let done = self.good(member, "", &["alliance", "release", "--json", &indicator_id(number)]).json();
        done["releases"][0]["release"].as_str().unwrap().to_owned()
    }

    /// What the others did with a release, by member.
    pub(crate) fn readers(&self, member: u8, release: &str) -> Value {
        self.good(member, "", &["alliance", "picture", "--json", release]).json()["readers"].take()
    }

    /// Whether all others have answered a release.
    pub(crate) fn is_answered(&self, member: u8, release: &str) -> bool {
        let readers = self.readers(member, release);
        let mut others = MEMBERS.into_iter().filter(|other| *other != member);
        others.all(|other| !readers[id(other).as_str()]["answer_ms"].is_null())
    }

    pub(crate) fn status(&self, member: u8) -> Value {
        self.good(member, "", &["alliance", "status", "--json"]).json()
    }

    /// The objects in a collection of a member, in the order of their arrival.
    pub(crate) fn listed(&self, member: u8, collection: &str) -> Vec<Value> {
        let exported = self.good(member, "", &["intel", "export", "--collection", collection]).json();
        exported["objects"].as_array().cloned().unwrap_or_default()
    }
}

/// Everybody with everybody else.
pub(crate) fn pairs() -> impl Iterator<Item = (u8, u8)> {
    MEMBERS.into_iter().flat_map(|guest| {
        MEMBERS.into_iter().filter(move |host| *host != guest).map(move |host| (guest, host))
    })
}

/// Waits until something holds; a slow machine may take long.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(180), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
