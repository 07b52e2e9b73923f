//! What must not be hit: the receiver's own assets and what everybody relies on.
//!
//! The built-in list is small on purpose and says where each entry comes from; operators bring
//! their own (`besa intake check --assets FILE`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// Addresses of public resolvers, as their operators publish them (Google, Cloudflare, Quad9,
/// OpenDNS).
const RESOLVERS: [&str; 14] = [
    "8.8.8.8",
    "8.8.4.4",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "1.1.1.1",
    "1.0.0.1",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "9.9.9.9",
    "149.112.112.112",
    "2620:fe::fe",
    "2620:fe::9",
    "208.67.222.222",
    "208.67.220.220",
];

/// Domains whose blocking stops work or updates nearly everywhere: vendors of operating systems,
/// large mail and search services, and the standards bodies.
const DOMAINS: [&str; 14] = [
    "google.com",
    "gmail.com",
    "microsoft.com",
    "windowsupdate.com",
    "office.com",
    "office365.com",
    "apple.com",
    "icloud.com",
    "mozilla.org",
    "debian.org",
    "ubuntu.com",
    "iana.org",
    "ietf.org",
    "root-servers.net",
];

/// Hashes of nothing at all (MD5, SHA-1, SHA-256, SHA-512 of the empty text, FIPS 180-4).
pub(super) const EMPTY_HASHES: [&str; 4] = [
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
];

/// Special networks of RFC 6890 and its registries (IANA), with multicast.
const RESERVED: [&str; 22] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::1/128",
    "::/128",
    "100::/64",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    bits: u128,
    pub(super) length: u32,
    pub(super) v4: bool,
}

impl Net {
    /// Reads an address or network; host bits are ignored, an IPv4 in IPv6 is an IPv4.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        match (address, length) {
            (IpAddr::V4(v4), length) => Self::v4(v4, length.unwrap_or(32)),
            (IpAddr::V6(v6), length) => match (v6.to_ipv4_mapped(), length.unwrap_or(128)) {
                (Some(v4), length @ 96..=128) => Self::v4(v4, length - 96),
                (_, length) => Self::v6(v6, length),
            },
        }
    }

    fn v4(address: Ipv4Addr, length: u32) -> Option<Self> {
        let bits = u128::from(u32::from(address)) << 96;
        (length <= 32).then_some(Self { bits, length, v4: true })
    }

    fn v6(address: Ipv6Addr, length: u32) -> Option<Self> {
        (length <= 128).then_some(Self { bits: u128::from(address), length, v4: false })
    }

    /// Whether the two have an address in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        let length = self.length.min(other.length);
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        self.v4 == other.v4 && (self.bits ^ other.bits) & mask == 0
    }
}

/// The receiver's own assets and lists.
#[derive(Clone, Debug)]
pub struct Assets {
    own_nets: Vec<Net>,
    own_domains: Vec<String>,
    own_hosts: Vec<String>,
    allowed_nets: Vec<Net>,
    allowed_domains: Vec<String>,
    allowed_hashes: Vec<String>,
    suffixes: Vec<String>,
    reserved: Vec<Net>,
    exercise_nets: Vec<Net>,
}

/// Why a file of assets is no such file.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    /// Not the JSON expected.
    #[error("the assets cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// No network.
    #[error("`{0}` in the assets is neither an address nor a network")]
    Net(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    networks: Vec<String>,
    domains: Vec<String>,
    email_domains: Vec<String>,
    hosts: Vec<String>,
    allowed_networks: Vec<String>,
    allowed_domains: Vec<String>,
    allowed_hashes: Vec<String>,
    public_suffixes: Vec<String>,
    exercise_networks: Vec<String>,
}

impl Default for Assets {
    /// The built-in lists and no asset of one's own.
    fn default() -> Self {
        let nets = |list: &[&str]| list.iter().filter_map(|text| Net::parse(text)).collect::<Vec<_>>();
        Self {
            own_nets: Vec::new(),
            own_domains: Vec::new(),
            own_hosts: Vec::new(),
            allowed_nets: nets(&RESOLVERS),
            allowed_domains: DOMAINS.map(str::to_owned).into(),
            allowed_hashes: EMPTY_HASHES.map(str::to_owned).into(),
            suffixes: Vec::new(),
            reserved: nets(&RESERVED),
            exercise_nets: Vec::new(),
        }
    }
}

impl Assets {
    /// Reads a JSON object of lists, all optional: `networks`, `domains`, `email_domains`, `hosts`,
    /// `allowed_networks`, `allowed_domains`, `allowed_hashes`, `public_suffixes`,
    /// `exercise_networks` (set aside for everybody else, taken for real here: exercises play in
    /// the networks of RFC 5737). The built-in lists stay.
    pub fn read(json: &[u8]) -> Result<Self, AssetsError> {
        let file: File = serde_json::from_slice(json)?;
        let nets = |list: &[String]| -> Result<Vec<Net>, AssetsError> {
            list.iter().map(|text| Net::parse(text).ok_or_else(|| AssetsError::Net(text.clone()))).collect()
        };
        let names = |list: &[String]| list.iter().map(|name| plain_domain(name)).collect::<Vec<_>>();
        let built_in = Self::default();
        Ok(Self {
            own_nets: nets(&file.networks)?,
            own_domains: [names(&file.domains), names(&file.email_domains)].concat(),
            own_hosts: names(&file.hosts),
            allowed_nets: [built_in.allowed_nets, nets(&file.allowed_networks)?].concat(),
            allowed_domains: [built_in.allowed_domains, names(&file.allowed_domains)].concat(),
            allowed_hashes: [built_in.allowed_hashes, file.allowed_hashes].concat(),
            suffixes: names(&file.public_suffixes),
            reserved: built_in.reserved,
            exercise_nets: nets(&file.exercise_networks)?,
        })
    }

    pub(super) fn is_own_net(&self, net: Net) -> bool {
        self.own_nets.iter().any(|own| own.overlaps(net))
    }

    pub(super) fn is_allowed_net(&self, net: Net) -> bool {
        self.allowed_nets.iter().any(|allowed| allowed.overlaps(net))
    }

    pub(super) fn is_reserved(&self, net: Net) -> bool {
        let exercise = |own: &Net| own.length <= net.length && own.overlaps(net);
        self.reserved.iter().any(|reserved| reserved.overlaps(net))
            && !self.exercise_nets.iter().any(exercise)
    }

    /// Own: the name, its children, and its parents, whose blocking takes it along.
    pub(super) fn is_own_domain(&self, domain: &str) -> bool {
        let own = self.own_domains.iter().any(|own| is_below(domain, own) || is_below(own, domain));
        own || self.own_hosts.iter().any(|host| host == domain || is_below(host, domain))
    }

    /// Whether a name is that of a host of one's own.
    pub(super) fn is_own_host(&self, name: &str) -> bool {
        let first = |host: &str| host.split('.').next().is_some_and(|label| label == name);
        self.own_hosts.iter().any(|host| host == name || first(host))
    }

    /// Allowed: the name and its parents. A child of a large provider may well be malicious.
    pub(super) fn is_allowed_domain(&self, domain: &str) -> bool {
        self.allowed_domains.iter().any(|allowed| is_below(allowed, domain))
            || self
                .allowed_domains
                .iter()
                .any(|allowed| domain.strip_prefix("www.") == Some(allowed.as_str()))
    }

    pub(super) fn is_allowed_hash(&self, hash: &str) -> bool {
        self.allowed_hashes.iter().any(|allowed| allowed.eq_ignore_ascii_case(hash))
    }

    pub(super) fn is_suffix(&self, domain: &str) -> bool {
        !domain.contains('.') || self.suffixes.iter().any(|suffix| suffix == domain)
    }
}

/// Lower case, without dots at the ends.
pub(super) fn plain_domain(text: &str) -> String {
    text.trim_matches('.').to_lowercase()
}

/// Whether a domain is another, or lies below it.
fn is_below(domain: &str, parent: &str) -> bool {
    domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
