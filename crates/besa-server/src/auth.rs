//! Who asks: Basic, Bearer or a client certificate.
//!
//! **Cached passwords.** argon2id costs tens of milliseconds by design, so a password that was right
//! is remembered for [`CACHE_TIME`] as HMAC-SHA-256 of (user, password) under a key that this process
//! drew at random, together with the hash that it was checked against. A changed password, a disabled
//! or deleted user is refused at once: the directory is asked for each request.
//!
//! **Limits that lock nobody out.** Failures are counted per address and per (address, name), never
//! per name. What is in the cache, tokens and certificates are let in without looking at them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use besa_exchange::taxii::{Caller, Registry};
use besa_intel::account::{hash_password, read_token, verify_password};
use besa_intel::{Time, User, micros};
use ring::hmac;
use tokio::sync::Semaphore;

use crate::metrics::Metrics;
use crate::{Limits, ServeError};

const CACHE_TIME: Duration = Duration::from_secs(300);
const CACHE_MAX: usize = 10_000;
const BUCKETS_MAX: usize = 50_000;
/// Passwords checked at the same time; each takes 19 MiB and a core.
const CHECKS_MAX: usize = 2;
/// Checks of one address waiting or running.
const CHECKS_PER_ADDRESS_MAX: usize = 256;

/// What came with a request.
pub(crate) enum Credential {
    Basic { user: String, password: String },
    Bearer(String),
    Certificate(String),
    None,
}

/// What is known without checking a password.
pub(crate) enum Known {
    Yes(Caller),
    /// The password must be checked against this hash.
    Check {
        user: Option<User>,
        password: String,
        key: hmac::Tag,
    },
    No,
}

/// Why nobody is let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Wrong,
    TooMany,
}

pub(crate) struct Authenticator {
    key: hmac::Key,
    /// Checked in place of the hash of a user who is not there, so that both take the same time.
    decoy: String,
    cache: Mutex<HashMap<Vec<u8>, Remembered>>,
    buckets: Mutex<HashMap<(IpAddr, Option<u64>), Bucket>>,
    users: Mutex<HashMap<String, Bucket>>,
    running: Mutex<HashMap<IpAddr, usize>>,
    checks: Semaphore,
    limits: Limits,
    seed: std::hash::RandomState,
}

struct Remembered {
    hash: String,
    until: Instant,
}

/// A leaky bucket: what is in it drains with time.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    pub(crate) level: f64,
    at: Instant,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { level: 0.0, at: Instant::now() }
    }
}

impl Authenticator {
    pub(crate) fn new(limits: Limits) -> Result<Self, ServeError> {
        let random = ring::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random)
            .map_err(|_| ServeError::System("no random numbers".to_owned()))?;
        Ok(Self {
            key,
            decoy: hash_password("a password that nobody has")?,
            cache: Mutex::default(),
            buckets: Mutex::default(),
            users: Mutex::default(),
            running: Mutex::default(),
            checks: Semaphore::new(CHECKS_MAX),
            limits,
            seed: std::hash::RandomState::new(),
        })
    }

    /// Tells who it is as far as that is cheap.
    pub(crate) fn look_up(&self, registry: &Registry, credential: &Credential, now: Time) -> Known {
        let users = &registry.directory().users;
        let enabled = |name: &str| users.iter().find(|user| user.name == name && !user.disabled);
        match credential {
            Credential::None => Known::No,
            Credential::Certificate(fingerprint) => {
                let owner =
                    users.iter().find(|user| user.certificate.as_deref() == Some(fingerprint.as_str()));
                owner.filter(|user| !user.disabled).map_or(Known::No, |user| Known::Yes(caller(user)))
            }
            Credential::Bearer(text) => by_token(registry, text, now).map_or(Known::No, Known::Yes),
            Credential::Basic { user, password } => {
                let key = hmac::sign(&self.key, &joined(user, password));
                let found = enabled(user);
                match found {
                    Some(user) if self.remembers(&key, user) => Known::Yes(caller(user)),
                    _ => Known::Check { user: found.cloned(), password: password.clone(), key },
                }
            }
        }
    }

    /// Checks a password, within the limits.
    pub(crate) async fn check(
        &self,
        address: IpAddr,
        name: &str,
        user: Option<User>,
        password: String,
        key: hmac::Tag,
        metrics: &Metrics,
    ) -> Result<Caller, Denied> {
        let address = network(address);
        if self.is_over(address, name) {
            return Err(Denied::TooMany);
        }
        let _turn = Turn::take(&self.running, address).ok_or(Denied::TooMany)?;
        let permit = self.checks.acquire().await.map_err(|_| Denied::TooMany)?;
        // While this one waited, its like may have been let in, or too many refused.
        if let Some(user) = user.as_ref().filter(|user| self.remembers(&key, user)) {
            return Ok(caller(user));
        }
        if self.is_over(address, name) {
            return Err(Denied::TooMany);
        }
        metrics.logins_checked.fetch_add(1, Relaxed);
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let against = hash.clone().unwrap_or_else(|| self.decoy.clone());
        let right = tokio::task::spawn_blocking(move || verify_password(&password, &against)).await;
        drop(permit);
        match (right, user, hash) {
            (Ok(true), Some(user), Some(hash)) => {
                self.remember(&key, hash);
                Ok(caller(&user))
            }
            _ => {
                metrics.logins_failed.fetch_add(1, Relaxed);
                self.count_failure(address, name);
                Err(Denied::Wrong)
            }
        }
    }

    /// Whether a user may send one more request now.
    pub(crate) fn within_rate(&self, user: &str) -> bool {
        let rate = f64::from(self.limits.requests_per_second.max(1));
        let mut users = lock(&self.users);
        let bucket = users.entry(user.to_owned()).or_default();
        bucket.drain(rate);
        let fits = bucket.level < rate * 2.0;
        if fits {
            bucket.level += 1.0;
        }
        fits
    }

    fn remembers(&self, key: &hmac::Tag, user: &User) -> bool {
        let cache = lock(&self.cache);
        cache.get(key.as_ref()).is_some_and(|found| {
            found.until > Instant::now() && user.password.as_deref() == Some(found.hash.as_str())
        })
    }

    fn remember(&self, key: &hmac::Tag, hash: String) {
        let now = Instant::now();
        let mut cache = lock(&self.cache);
        if cache.len() >= CACHE_MAX {
            cache.retain(|_, found| found.until > now);
        }
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(key.as_ref().to_vec(), Remembered { hash, until: now + CACHE_TIME });
    }

    fn is_over(&self, address: IpAddr, name: &str) -> bool {
        let most = f64::from(self.limits.failures_per_minute.max(5));
        let mut buckets = lock(&self.buckets);
        [(None, most), (Some(self.mark(name)), most / 5.0)].into_iter().any(|(mark, most)| {
            buckets.get_mut(&(address, mark)).is_some_and(|bucket| {
                bucket.drain(most / 60.0);
                bucket.level + 0.5 >= most
            })
        })
    }

    fn count_failure(&self, address: IpAddr, name: &str) {
        let most = f64::from(self.limits.failures_per_minute.max(5));
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= BUCKETS_MAX {
            let now = Instant::now();
            buckets.retain(|_, bucket| now.duration_since(bucket.at) < Duration::from_secs(60));
        }
        for (mark, most) in [(None, most), (Some(self.mark(name)), most / 5.0)] {
            if buckets.len() < BUCKETS_MAX || buckets.contains_key(&(address, mark)) {
                let bucket = buckets.entry((address, mark)).or_default();
                bucket.drain(most / 60.0);
                bucket.level += 1.0;
            }
        }
    }

    /// Names are a stranger's text of any length: a seeded hash stands for them.
    fn mark(&self, name: &str) -> u64 {
        std::hash::BuildHasher::hash_one(&self.seed, name)
    }
}

impl Bucket {
    pub(crate) fn drain(&mut self, per_second: f64) {
        let now = Instant::now();
        let gone = now.duration_since(self.at).as_secs_f64() * per_second;
        self.level = (self.level - gone).max(0.0);
        self.at = now;
    }
}

/// A place among the checks of one address.
struct Turn<'a> {
    running: &'a Mutex<HashMap<IpAddr, usize>>,
    address: IpAddr,
}

impl<'a> Turn<'a> {
    fn take(running: &'a Mutex<HashMap<IpAddr, usize>>, address: IpAddr) -> Option<Self> {
        let mut counts = lock(running);
        let count = counts.entry(address).or_insert(0);
        if *count >= CHECKS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Self { running, address })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut counts = lock(self.running);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Reads what came with a request: the header if there is one, else the certificate.
pub(crate) fn credential(header: Option<&str>, certificate: Option<&str>) -> Credential {
    let Some(header) = header else {
        return certificate.map_or(Credential::None, |found| Credential::Certificate(found.to_owned()));
    };
    let Some((scheme, rest)) = header.trim().split_once(' ') else { return Credential::None };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Credential::Bearer(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Credential::None;
    }
    let text = decode_base64(rest).and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    pair.map_or(Credential::None, |(user, password)| Credential::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// The network that an address is counted with: IPv6 strangers own a /64 at least.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(found) => IpAddr::V6(Ipv6Addr::from_bits(found.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

fn by_token(registry: &Registry, text: &str, now: Time) -> Option<Caller> {
    let (id, hash) = read_token(text)?;
    let directory = registry.directory();
    let token = directory.tokens.iter().find(|token| token.id == id)?;
    let same = token.hash.len() == hash.len()
        && token.hash.iter().zip(&hash).fold(0, |found, (one, other)| found | (one ^ other)) == 0;
    let alive = token.expires.is_none_or(|end| micros(now) < end);
    let user = directory.users.iter().find(|user| user.name == token.user && !user.disabled)?;
    (same && alive).then(|| Caller { scope: Some(token.scope), only: token.collection, ..caller(user) })
}

fn caller(user: &User) -> Caller {
    Caller { name: user.name.clone(), role: user.role, scope: None, only: None, member: user.member.clone() }
}

/// The length first, so that no two pairs are the same octets.
fn joined(user: &str, password: &str) -> Vec<u8> {
    let mut bytes = (user.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(user.as_bytes());
    bytes.extend_from_slice(password.as_bytes());
    bytes
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
