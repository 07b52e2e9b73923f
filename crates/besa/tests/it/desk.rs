//! Keys, charters and files of an alliance, made by the commands that people use.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use besa_alliance::keys::{ArgonCost, SealRandom, SecretKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::besa;

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
pub(crate) const SIGN: [&str; 2] = ["authority", "sign"];

/// A folder with files, and the commands run in it.
pub(crate) struct Desk(TempDir);

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers hand over what they made for it")]
    pub(crate) fn put(&self, name: &str, text: impl ToString) {
        std::fs::write(self.path(name), text.to_string()).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn run(&self, stdin: &str, args: &[&str]) -> Ended {
        let mut child = besa()
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be gone already.
        writeln!(child.stdin.take().unwrap(), "{stdin}").ok();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs what must end with 0.
    pub(crate) fn good(&self, stdin: &str, args: &[&str]) -> Ended {
        let ended = self.run(stdin, args);
        assert_eq!(ended.code, 0, "besa {}: {}{}", args.join(" "), ended.out, ended.err);
        ended
    }

    /// The name of the reason why files are not valid.
    pub(crate) fn reason(&self, args: &[&str]) -> String {
        let ended = self.run("", &[args, &["--json"]].concat());
        let shown = ended.json();
        assert_eq!((ended.code, &shown["valid"]), (1, &json!(false)), "{shown}");
        shown["reason"].as_str().unwrap().to_owned()
    }

    /// An authority key that costs little to open; its public key.
    pub(crate) fn cheap_key(&self, name: &str, seed: u8) -> String {
        let key = SecretKey::from_seed(&[seed; 32]);
        let (random, cost) =
            (SealRandom { salt: [seed; 16], nonce: [seed; 12] }, ArgonCost { memory_kib: 8, passes: 1 });
        self.put(name, key.authority_file(PASSPHRASE, &random, cost).unwrap());
        key.id().to_string()
    }

    pub(crate) fn sign(&self, object: &str, key: &str, out: &str) {
        let args = [&SIGN[..], &[object, "--key", key, "--passphrase-stdin", "--out", out]].concat();
        self.good(PASSPHRASE, &args);
    }

    /// Signs a draft by several keys, each on a copy of its own, and merges the copies.
    pub(crate) fn sign_all(&self, draft: &str, keys: &[&str], out: &str) {
        let copies: Vec<_> = keys.iter().map(|key| format!("{draft}.by-{key}")).collect();
        for (key, copy) in keys.iter().zip(&copies) {
            self.sign(draft, key, copy);
        }
        let copies: Vec<_> = copies.iter().map(String::as_str).collect();
        self.good("", &[&["charter", "merge"], &copies[..], &["--out", out]].concat());
    }

    /// Three members with cheap authority keys and node keys; their first charter is `c0`.
    pub(crate) fn founded() -> Self {
        let desk = Self::new();
        desk.found(&json!({}), "2026-10-01T00:00:00Z");
        desk
    }

    /// The same with other properties of the charter.
    pub(crate) fn found(&self, properties: &Value, at: &str) {
        let authorities: Vec<_> =
            (1..=3u8).map(|number| self.cheap_key(&format!("a{number}"), number)).collect();
        let nodes: Vec<_> = (1..=3).map(|number| self.node_key(&format!("n{number}"))).collect();
        let mut spec = spec(&authorities, &nodes);
        for (name, value) in properties.as_object().unwrap() {
            spec[name] = value.clone();
        }
        self.put("spec", spec);
        self.good("", &["charter", "new", "spec", "--out", "draft0", "--at", at]);
        self.sign_all("draft0", &["a1", "a2", "a3"], "c0");
    }

    pub(crate) fn node_key(&self, name: &str) -> String {
        let made = self.good("", &["authority", "node-keygen", "--out", name, "--json"]).json();
        made["public_key"].as_str().unwrap().to_owned()
    }

    /// Drafts what follows a charter.
    pub(crate) fn amend(&self, before: &str, changes: &Value, out: &str, at: &str) -> Ended {
        self.put("changes", changes);
        self.run("", &["charter", "amend", "changes", "--charter", before, "--out", out, "--at", at])
    }
}

pub(crate) fn id(member: usize) -> String {
    format!("identity--00000000-0000-4000-8000-00000000000{member}")
}

pub(crate) fn spec(authorities: &[String], nodes: &[String]) -> Value {
    let members = authorities.iter().zip(nodes).enumerate().map(|(at, (authority, node))| {
        json!({
            "identity_ref": id(at + 1), "name": format!("CSIRT {}", at + 1), "nation": "AL",
            "roles": ["publisher", "witness"], "authority_key": authority,
            "node_keys": [{ "node_key": node, "valid_from": "2026-01-01", "valid_until": "2030-01-01" }],
        })
    });
    // The order of people is not that of the charter.
    json!({
        "name": "Allies", "members": members.rev().collect::<Vec<_>>(),
        "quorum": { "charter_signatures": 2, "witness_signatures": 1, "block_confirmations": 2 },
        "limits": { "objects_per_entry": 10 },
    })
}
