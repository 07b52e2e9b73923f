//! HTTP: sockets, TLS, accounts, limits, health and metrics around [`besa_exchange::taxii::server`].
//!
//! ```no_run
//! let store = std::sync::Arc::new(besa_intel::open_sqlite("/var/lib/besa/intel.sqlite".as_ref())?);
//! let running = besa_server::start(store, besa_server::Options::loopback(8080))?;
//! println!("{}", running.url());
//! running.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a stranger can make us spend is bounded:
//!
//! | what | bound | where |
//! |---|---|---|
//! | connections | in total and per address | `listen` |
//! | a slow head, handshake or reader | time | `listen` |
//! | a slow or large body | pace, size | `body` |
//! | bodies, and answers not taken | memory in all and by user | `memory` |
//! | objects being checked and stored | so many requests at once, so readers have threads left | `service` |
//! | the audit log | entries about strangers per second | `service` |
//! | password checks | two at a time, failures per address | `auth` |
//! | requests of one user | per second | `auth` |
//!
//! No bound is kept per account name alone: nobody can lock another out by failing in their name.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod auth;
mod body;
mod clock;
mod listen;
mod memory;
mod metrics;
mod service;
pub mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use besa_exchange::release::Gate;
use besa_exchange::taxii::server::{About, Inlet, Straight};
use besa_intel::{Keep, Store, Time};

pub use clock::now;
pub use listen::Running;

/// Tells the time. What was received when depends on it, what a reader gets does not.
pub type Clock = fn() -> Time;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// TLS, or none.
    pub tls: Option<tls::Identity>,
    /// Certificates (PEM) of authorities whose client certificates are taken.
    pub client_authorities: Option<Vec<u8>>,
    /// Plain HTTP although others than this machine can reach it.
    pub insecure_http: bool,
    /// What discovery says.
    pub about: About,
    /// Bounds.
    pub limits: Limits,
    /// Stop at SIGINT and SIGTERM.
    pub stop_at_signals: bool,
    /// Tells the time of receipt.
    pub clock: Clock,
    /// What is not kept for ever; cut hourly.
    pub keep: Keep,
    /// How often the files of the certificate are looked at; SIGHUP does it at once.
    pub certificate_check: Duration,
    /// What is done with objects that are posted.
    pub inlet: Taking,
    /// What leaves, to whom.
    pub gate: Arc<Gate>,
}

/// An [`Inlet`] shared by all requests.
#[derive(Clone)]
pub struct Taking(pub Arc<dyn Inlet>);

impl std::fmt::Debug for Taking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Taking")
    }
}

impl Default for Taking {
    fn default() -> Self {
        Self(Arc::new(Straight))
    }
}

/// Bounds on what strangers and users may spend.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address (IPv6: one /64).
    pub connections_per_address: usize,
    /// Requests of one user per second; bursts of twice as many.
    pub requests_per_second: u32,
    /// Failed passwords of one address per minute; per user name a fifth of it.
    pub failures_per_minute: u32,
    /// Largest body, in bytes.
    pub body_bytes: u64,
    /// All bodies being read or worked on, in bytes; those of one user take one largest body at most.
    pub bodies_bytes: u64,
    /// All answers not yet taken, in bytes; those of one user a quarter.
    pub answers_bytes: u64,
    /// For the head of a request, and for the rest between two.
    pub head_time: Duration,
    /// A reader has so long, and more for what it has taken (32 KiB a second).
    pub write_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            connections_per_address: 512,
            requests_per_second: 2_000,
            failures_per_minute: 50,
            body_bytes: 32 << 20,
            bodies_bytes: 128 << 20,
            answers_bytes: 128 << 20,
            head_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// Plain HTTP on this machine only.
    pub fn loopback(port: u16) -> Self {
        let limits = Limits::default();
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            tls: None,
            client_authorities: None,
            insecure_http: false,
            about: About {
                title: "Besa".to_owned(),
                description: "Threat intelligence of this node".to_owned(),
                contact: None,
                max_content_length: limits.body_bytes,
            },
            limits,
            stop_at_signals: false,
            clock: now,
            keep: Keep::default(),
            certificate_check: Duration::from_secs(30),
            inlet: Taking::default(),
            gate: Arc::new(Gate::shut()),
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{0}`: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// No TLS where others can listen in.
    #[error(
        "`{0}` can be reached from other machines and there is no TLS; give a certificate, or say --insecure-http"
    )]
    Plain(SocketAddr),
    /// A certificate, key or authority cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// No threads or random numbers.
    #[error("the server cannot start: {0}")]
    System(String),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] besa_intel::StoreError),
}

/// Starts serving in threads of its own.
pub fn start(store: Arc<dyn Store>, options: Options) -> Result<Running, ServeError> {
    if options.tls.is_none() && !options.insecure_http && !options.listen.ip().is_loopback() {
        return Err(ServeError::Plain(options.listen));
    }
    store.check()?;
    listen::start(store, options)
}
