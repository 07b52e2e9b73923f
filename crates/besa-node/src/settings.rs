//! `alliance/settings.json`: who this node is, how it answers, and where its allies are.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use besa_alliance::member::{Digest, MemberId};
use besa_exchange::taxii::client::{Client, ClientError, Login, Trust};
use serde::{Deserialize, Serialize};

use crate::error::NodeError;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whose node this is.
    pub member: MemberId,
    /// The alliance: the hash of its first charter, compared by people.
    pub alliance: Digest,
    /// Who confirms answers.
    #[serde(default)]
    pub answers: Answers,
    /// Objects that one ally may have searched for in an hour; more wait for the next.
    #[serde(default = "objects_per_hour")]
    pub objects_per_hour: u64,
    /// Bytes of the archive's files that one question may have read (what the index answers costs
    /// none); what goes beyond is not searched, and the answer says so.
    #[serde(default = "bytes_per_question")]
    pub bytes_per_question: u64,
    /// A file of one's own networks, domains and hosts (see `besa intake check`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<PathBuf>,
    /// Allies whose nodes are asked and served.
    #[serde(default)]
    pub peers: Vec<Peer>,
}

fn objects_per_hour() -> u64 {
    10_000
}

/// Some minutes of one core.
fn bytes_per_question() -> u64 {
    16 << 30
}

/// Who confirms what is answered to an ally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// Nobody: answers go at once.
    #[default]
    Automatic,
    /// An analyst: answers wait for a word.
    Confirmed,
}

/// An ally's node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Whose.
    pub member: MemberId,
    /// URL of its API root, e.g. `https://ally.example/api/`. Without one it has to come and pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The API token that the ally has given us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Certificates (PEM) to trust for its node, in place of the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// Our client certificate and key (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The settings of a running node; the command line may change them meanwhile.
#[derive(Debug)]
pub struct Current(RwLock<Arc<Settings>>);

impl Current {
    /// As they are at the start.
    pub fn new(settings: Settings) -> Self {
        Self(RwLock::new(Arc::new(settings)))
    }

    /// As they are now.
    pub fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other ones. False if they are the same. Whose node it is, and in which alliance, stays.
    pub fn set(&self, settings: Settings) -> bool {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Settings { member, alliance, .. } = Settings::clone(&held);
        let settings = Settings { member, alliance, ..settings };
        let is_other = **held != settings;
        *held = Arc::new(settings);
        is_other
    }
}

impl Peer {
    /// A client of its node. It tries once: whoever uses it comes again by itself.
    pub fn client(&self) -> Result<Client, NodeError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| NodeError::File(path.clone(), error));
        let authorities = self.authorities.as_ref().map(read).transpose()?;
        let identity = match &self.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        let login = self.token.clone().map_or(Login::None, Login::Token);
        let client: Result<Client, ClientError> = Client::new(&login, &Trust { authorities, identity });
        Ok(client?.with_tries(1))
    }
}
