//! An alliance on this machine: members with keys of their own, a charter, and a node each as a
//! process of its own on loopback. For the demonstration and for measuring; nothing in it is
//! special to an exercise but that all authority keys are at hand, and made for this once.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use besa_alliance::charter::{Charter, CharterContents, Limits, Quorum};
use besa_alliance::keys::SecretKey;
use besa_alliance::member::{Member, MemberId, MemberState, NodeKey, Role};
use besa_intel::account::fresh_uuid;
use besa_intel::{Store, Time};
use besa_node::home::Home;
use besa_node::node::Desk;
use besa_node::places;
use besa_node::settings::{Answers, Peer, Settings};
use besa_server::now;

/// Days for which the keys of an exercise are good.
const KEY_DAYS: i64 = 366;

/// A member and its node.
pub(crate) struct Site {
    /// Its identity.
    pub(crate) member: MemberId,
    /// Its name for people.
    pub(crate) name: String,
    /// Its data folder.
    pub(crate) data: PathBuf,
    /// Port of its node.
    port: u16,
    /// Holds the port until the node takes it.
    held: Option<TcpListener>,
    process: Option<Child>,
}

/// The members of an exercise. Dropping it ends their nodes.
pub(crate) struct Field {
    /// In the order of their names as given.
    pub(crate) sites: Vec<Site>,
}

impl Field {
    /// Makes keys, charter and data folders for members, below a folder. Members are named; those
    /// without an identity get one. `assets` is the file of own assets of each.
    pub(crate) fn found(
        folder: &Path,
        names: &[(&str, Option<MemberId>)],
        assets: Option<&str>,
    ) -> Result<Self> {
        let mut sites = Vec::new();
        for (name, member) in names {
            let fresh = || Ok(MemberId::parse(&format!("identity--{}", fresh_uuid()?))?);
            let member = member.clone().map_or_else(fresh, Ok::<_, anyhow::Error>)?;
            let data = folder.join(name);
            let held = TcpListener::bind("127.0.0.1:0")?;
            let (name, port) = ((*name).to_owned(), held.local_addr()?.port());
            sites.push(Site { member, name, data, port, held: Some(held), process: None });
        }
        let mut field = Self { sites };
        field.join(assets)?;
        field.introduce()?;
        Ok(field)
    }

    fn join(&mut self, assets: Option<&str>) -> Result<()> {
        let now = now();
        let keys: Vec<(SecretKey, SecretKey)> =
            self.sites.iter().map(|_| Ok((random_key()?, random_key()?))).collect::<Result<_>>()?;
        let members = self.sites.iter().zip(&keys);
        let mut members: Vec<Member> =
            members.map(|(site, (authority, node))| member_of(site, authority, node, now)).collect();
        members.sort_by(|a, b| a.identity_ref.cmp(&b.identity_ref));
        let contents = CharterContents {
            name: "Exercise".to_owned(),
            alliance: None,
            sequence: 0,
            previous: None,
            quorum: Quorum {
                charter_signatures: u32::try_from(members.len() / 2 + 1)?,
                witness_signatures: 0,
                block_confirmations: 1,
            },
            members,
            limits: Limits::default(),
            revocations: Vec::new(),
            groups: Vec::new(),
        };
        let mut charter = Charter::draft(now, contents)?;
        keys.iter().for_each(|(authority, _)| charter.add_signature(authority));
        let charter = Charter::parse(&charter.text())?;
        for (site, (_, node)) in self.sites.iter().zip(&keys) {
            std::fs::create_dir_all(&site.data).with_context(|| format!("`{}`", site.data.display()))?;
            let file = site.data.join("assets.json");
            if let Some(assets) = assets {
                std::fs::write(&file, assets).with_context(|| format!("`{}`", file.display()))?;
            }
            let settings = Settings {
                member: site.member.clone(),
                alliance: charter.digest,
                answers: Answers::Automatic,
                objects_per_hour: 1_000_000,
                bytes_per_question: u64::MAX,
                assets: assets.map(|_| file),
                peers: Vec::new(),
            };
            Home::below(&site.data).create(
                &settings,
                &node.node_file(),
                std::slice::from_ref(&charter),
                &[],
            )?;
        }
        Ok(())
    }

    /// Each gives each other an account, and tells where it is.
    fn introduce(&self) -> Result<()> {
        for host in &self.sites {
            let desk = host.desk()?;
            for guest in self.sites.iter().filter(|guest| guest.member != host.member) {
                let token = places::welcome(desk.store.as_ref(), &desk.places, &guest.member, now())?;
                let home = Home::below(&guest.data);
                let mut settings = home.settings()?;
                settings.peers.push(Peer {
                    member: host.member.clone(),
                    url: Some(format!("http://127.0.0.1:{}/api/", host.port)),
                    token: Some(token),
                    authorities: None,
                    identity: None,
                });
                home.save(&settings)?;
            }
        }
        Ok(())
    }

    /// Starts all nodes and waits until they serve.
    pub(crate) fn start(&mut self) -> Result<()> {
        for site in &mut self.sites {
            site.start()?;
        }
        Ok(())
    }

    /// Leaves the nodes running when this ends.
    pub(crate) fn leave(mut self) -> Vec<(String, String, u32)> {
        let sites = std::mem::take(&mut self.sites);
        let running = sites.into_iter().filter_map(|mut site| {
            let process = site.process.take()?;
            Some((site.name.clone(), site.url(), process.id()))
        });
        running.collect()
    }
}

impl Site {
    /// URL of its API root.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/", self.port)
    }

    /// Its archive.
    pub(crate) fn archive(&self) -> PathBuf {
        self.data.join("archive")
    }

    /// Its store.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(besa_intel::open_sqlite(&self.data.join("intel.sqlite"))?))
    }

    /// Its alliance, as its own command line opens it.
    pub(crate) fn desk(&self) -> Result<Desk> {
        Ok(Desk::open(self.store()?, &self.data, now())?)
    }

    /// Starts its node and waits until it serves.
    pub(crate) fn start(&mut self) -> Result<()> {
        let program = std::env::current_exe().context("this program cannot be found")?;
        let log = std::fs::File::options().create(true).append(true).open(self.data.join("node.log"));
        let log = log.with_context(|| format!("`{}`", self.data.display()))?;
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        self.held = None;
        // In our process group: Ctrl-C while this runs ends the nodes too.
        let mut process = command.spawn().context("a node cannot be started")?;
        let said = process.stdout.take();
        self.process = Some(process);
        // It says where it serves as soon as it does.
        let mut url = String::new();
        said.map(|said| BufReader::new(said).read_line(&mut url)).transpose()?;
        if url.is_empty() {
            bail!("the node of {} does not serve: {}", self.name, self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = std::fs::File::open(self.data.join("node.log"));
        let lines = log.map(|log| BufReader::new(log).lines().map_while(std::io::Result::ok));
        lines.ok().and_then(Iterator::last).unwrap_or_default()
    }

    /// Ends its node at once, as a power failure would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

fn member_of(site: &Site, authority: &SecretKey, node: &SecretKey, now: Time) -> Member {
    let day = |days: i64| Time::from_unix(now.unix_seconds() + days * 86_400, 0);
    Member {
        identity_ref: site.member.clone(),
        name: site.name.clone(),
        nation: None,
        state: MemberState::Active,
        roles: BTreeSet::from([Role::Publisher]),
        authority_key: authority.id(),
        node_keys: vec![NodeKey { node_key: node.id(), valid_from: day(-1), valid_until: day(KEY_DAYS) }],
    }
}

/// A key from the system's random numbers.
fn random_key() -> Result<SecretKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(SecretKey::from_seed(&seed))
}
