//! An alliance of nodes in one process, each with its own store, server and threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use besa_alliance::charter::{Charter, CharterContents, Limits, Quorum};
use besa_alliance::entry::{Audience, Entry};
use besa_alliance::keys::SecretKey;
use besa_alliance::member::{Member, MemberState, NodeKey, Role};
use besa_intel::{Batch, Store, Time, prepare_all};
use besa_node::home::Home;
use besa_node::hunt::{Hunter, NoHistory, Search, Searched, Sight};
use besa_node::node::{Desk, Node};
use besa_node::picture::{Picture, picture};
use besa_node::places;
use besa_node::release::{Done, Releaser};
use besa_node::settings::{Answers, Peer, Settings};
use besa_server::{Options, Running, Taking, now};

pub(crate) use crate::pen::*;
use crate::wire::Wire;

pub(crate) fn authority(member: u8) -> SecretKey {
    SecretKey::from_seed(&[member; 32])
}

pub(crate) fn node_key(member: u8) -> SecretKey {
    SecretKey::from_seed(&[100 + member; 32])
}

pub(crate) fn member(number: u8) -> Member {
    let start = now().unix_seconds();
    Member {
        identity_ref: id(number),
        name: format!("CSIRT {number}"),
        nation: None,
        state: MemberState::Active,
        // The last of three is a witness.
        roles: if number == 3 {
            BTreeSet::from([Role::Publisher, Role::Witness])
        } else {
            BTreeSet::from([Role::Publisher])
        },
        authority_key: authority(number).id(),
        node_keys: vec![NodeKey {
            node_key: node_key(number).id(),
            valid_from: Time::from_unix(start - 86_400, 0),
            valid_until: Time::from_unix(start + 86_400, 0),
        }],
    }
}

pub(crate) fn charter(members: u8) -> Charter {
    let contents = CharterContents {
        name: "Allies".to_owned(),
        alliance: None,
        sequence: 0,
        previous: None,
        members: (1..=members).map(member).collect(),
        quorum: Quorum {
            charter_signatures: u32::from(members / 2 + 1),
            witness_signatures: 0,
            block_confirmations: 1,
        },
        limits: Limits { objects_per_entry: 100, ..Limits::default() },
        revocations: Vec::new(),
        groups: Vec::new(),
    };
    sign(contents, now(), 1..=members)
}

pub(crate) fn sign(contents: CharterContents, at: Time, signers: impl IntoIterator<Item = u8>) -> Charter {
    let mut charter = Charter::draft(at, contents).unwrap();
    signers.into_iter().for_each(|signer| charter.add_signature(&authority(signer)));
    Charter::parse(&charter.text()).unwrap()
}

/// A history in which some indicators were seen.
pub(crate) struct Past(pub(crate) BTreeMap<String, Sight>);

pub(crate) fn window() -> std::ops::Range<Time> {
    Time::from_unix(1_600_000_000, 0)..Time::from_unix(1_700_000_000, 0)
}

impl Hunter for Past {
    fn search(&self, search: &Search<'_>) -> Result<Option<Searched>, String> {
        assert!(!search.indicators.is_empty());
        let sources = vec!["zeek/dns".to_owned()];
        Ok(Some(Searched { window: window(), sources, seen: self.0.clone() }))
    }
}

/// A member's node.
pub(crate) struct Ally {
    pub(crate) number: u8,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<dyn Store>,
    /// Stands before its server, which takes any free port.
    door: Wire,
    pub(crate) hunter: Arc<dyn Hunter>,
    running: Option<(Running, Node)>,
}

impl Ally {
    fn data(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn home(&self) -> Home {
        Home::below(&self.data())
    }

    pub(crate) fn desk(&self) -> Desk {
        Desk::open(Arc::clone(&self.store), &self.data(), now()).unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.door.port
    }

    pub(crate) fn url(&self) -> String {
        self.door.url()
    }

    pub(crate) fn start(&mut self) {
        let node = Node::start(self.desk(), Arc::clone(&self.hunter), |_, _| None, now).unwrap();
        let inlet = Taking(node.gate().clone());
        let options = Options { inlet, ..Options::loopback(0) };
        let server = besa_server::start(Arc::clone(&self.store), options).unwrap();
        self.door.lead_to(server.address().port());
        self.running = Some((server, node));
    }

    pub(crate) fn stop(&mut self) {
        if let Some((server, node)) = self.running.take() {
            server.stop();
            node.stop();
        }
    }

    /// Imports objects as this node's own.
    pub(crate) fn import(&self, objects: &[String]) {
        let prepared = prepare_all(format!("[{}]", objects.join(",")).as_bytes()).unwrap();
        let receipt = self.store.add_objects(Batch::new("import", now(), None, prepared)).unwrap();
        assert_eq!(receipt.failed, 0, "{receipt:?}");
    }

    pub(crate) fn release(&self, ids: &[String], audience: &Audience) -> Done {
        let desk = self.desk();
        let releaser = Releaser {
            store: self.store.as_ref(),
            directory: &desk.known.directory,
            me: &desk.settings.member,
            journal: &desk.journal,
        };
        releaser.release(ids, audience, now()).unwrap()
    }

    pub(crate) fn picture(&self, release: &str) -> Picture {
        let desk = self.desk();
        let directory = &desk.known.directory;
        picture(self.store.as_ref(), directory, &desk.places, &desk.settings.member, release, now()).unwrap()
    }

    pub(crate) fn holds(&self, id: &str) -> bool {
        self.store.object(id, None).unwrap().is_some()
    }

    /// Ids listed in one of the alliance's collections.
    pub(crate) fn listed(&self, alias: &str) -> Vec<String> {
        let directory = self.store.directory().unwrap();
        let found = directory.collections.iter().find(|one| one.alias.as_deref() == Some(alias)).unwrap();
        let query = besa_intel::PageQuery { content: false, ..besa_intel::PageQuery::default() };
        let page = self.store.page(found.key, &query).unwrap();
        page.entries.into_iter().map(|entry| entry.id).collect()
    }
}

impl Drop for Ally {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Members 1 to n, none of them running yet.
pub(crate) fn alliance(members: u8) -> Vec<Ally> {
    alliance_of(&charter(members), Answers::Automatic)
}

pub(crate) fn alliance_of(charter: &Charter, answers: Answers) -> Vec<Ally> {
    let members = u8::try_from(charter.contents.members.len()).unwrap();
    let allies: Vec<Ally> = (1..=members)
        .map(|number| joined(number, std::slice::from_ref(charter), answers, Arc::new(NoHistory)))
        .collect();
    for host in &allies {
        allies.iter().filter(|guest| guest.number != host.number).for_each(|guest| introduce(guest, host));
    }
    allies
}

/// A member that has joined by a chain of charters and knows nobody's node yet.
pub(crate) fn joined(number: u8, chain: &[Charter], answers: Answers, hunter: Arc<dyn Hunter>) -> Ally {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(besa_intel::open_sqlite(&folder.path().join("intel.sqlite")).unwrap());
    let settings = Settings {
        member: id(number),
        alliance: chain[0].digest,
        answers,
        objects_per_hour: 1_000,
        bytes_per_question: u64::MAX,
        assets: None,
        peers: Vec::new(),
    };
    let ally = Ally { number, folder, store, door: Wire::to(0), hunter, running: None };
    ally.home().create(&settings, &node_key(number).node_file(), chain, &[]).unwrap();
    ally
}

/// The host makes a token for the guest, and the guest learns where the host is.
pub(crate) fn introduce(guest: &Ally, host: &Ally) {
    let token = places::welcome(host.store.as_ref(), &host.desk().places, &id(guest.number), now()).unwrap();
    let mut settings = guest.home().settings().unwrap();
    settings.peers.push(Peer {
        member: id(host.number),
        url: Some(host.url()),
        token: Some(token),
        authorities: None,
        identity: None,
    });
    guest.home().save(&settings).unwrap();
}

/// The releases of a member that an ally holds: sequence and hash, sorted.
pub(crate) fn log_of(ally: &Ally, author: u8) -> Vec<(u64, String)> {
    let ids = ally.listed(&places::inbox(&id(author)));
    let entries = ids.iter().filter(|id| id.starts_with("besa-release"));
    let mut entries: Vec<_> = entries
        .map(|id| Entry::parse(&ally.store.object(id, None).unwrap().unwrap().raw).unwrap())
        .map(|entry| (entry.sequence(), entry.digest.to_string()))
        .collect();
    entries.sort_unstable();
    entries
}

/// Waits until something holds; a slow machine may take long.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(120), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Another version of an indicator.
pub(crate) fn versioned(creator: u8, number: u32, pattern: &str, modified: &str, revoked: bool) -> String {
    let mut object: serde_json::Value = serde_json::from_str(&indicator(creator, number, pattern)).unwrap();
    (object["modified"], object["revoked"]) = (modified.into(), revoked.into());
    object.to_string()
}

pub(crate) fn sight(count: u64) -> Sight {
    Sight { count, first: Time::from_unix(1_650_000_000, 0), last: Time::from_unix(1_650_000_100, 0) }
}
