//! One value that would be searched for: would searching it, or blocking it, hurt?

use serde_json::Value;

use super::assets::{Assets, Net, plain_domain};
use super::{Check, Reason, clip};

/// Shortest domain taken without a look, in characters.
const DOMAIN_MIN: usize = 4;
/// Shortest other text taken without a look, in characters.
const TEXT_MIN: usize = 4;
/// Shortest network prefixes taken without a look.
const PREFIX_MIN: (u32, u32) = (20, 40);

/// File names that every machine has, or that build and admin tools bear; alone they say nothing.
const COMMON_FILES: [&str; 24] = [
    "cl.exe",
    "cmd.exe",
    "powershell.exe",
    "pwsh.exe",
    "svchost.exe",
    "explorer.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "lsass.exe",
    "services.exe",
    "winlogon.exe",
    "wscript.exe",
    "cscript.exe",
    "mshta.exe",
    "setup.exe",
    "install.exe",
    "update.exe",
    "chrome.exe",
    "msedge.exe",
    "firefox.exe",
    "bash",
    "sh",
    "python",
    "sshd",
];

/// What kind of thing a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchKind {
    /// An address or network.
    Address,
    /// A domain.
    Domain,
    /// A URL.
    Url,
    /// A mail address.
    Email,
    /// A hash.
    Hash,
    /// A file's name.
    File,
    /// Anything else.
    Text,
}

/// A value that would be searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Searched {
    /// Its kind.
    pub kind: SearchKind,
    /// The value.
    pub text: String,
}

impl Searched {
    /// From the object type and property that bear it.
    pub(super) fn new(object_type: &str, property: &str, text: &str) -> Self {
        let kind = match (object_type, property) {
            ("ipv4-addr" | "ipv6-addr", "value") => SearchKind::Address,
            ("domain-name", "value") => SearchKind::Domain,
            ("url", "value") => SearchKind::Url,
            ("email-addr", "value") => SearchKind::Email,
            (_, "hashes") => SearchKind::Hash,
            ("file" | "process" | "directory" | "email-message", "name") => SearchKind::File,
            (_, "value") if Net::parse(text).is_some() => SearchKind::Address,
            (_, "value") if text.contains('@') => SearchKind::Email,
            (_, "value") if text.contains('.') => SearchKind::Domain,
            _ => SearchKind::Text,
        };
        Self { kind, text: text.to_owned() }
    }
}

/// What an observable object would be searched by.
pub(super) fn of_observable(object: &Value) -> Vec<Searched> {
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut found = Vec::new();
    let searched = ["ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr"];
    if searched.contains(&kind) {
        found.extend(
            object.get("value").and_then(Value::as_str).map(|text| Searched::new(kind, "value", text)),
        );
    }
    if kind == "file" {
        let hashes = object.get("hashes").and_then(Value::as_object);
        let hashes = hashes.into_iter().flat_map(|hashes| hashes.values()).filter_map(Value::as_str);
        found.extend(hashes.map(|hash| Searched::new(kind, "hashes", hash)));
        if found.is_empty() {
            let name = object.get("name").and_then(Value::as_str);
            found.extend(name.map(|name| Searched::new(kind, "name", name)));
        }
    }
    found
}

/// Adds what speaks against a value.
pub(super) fn check(searched: &Searched, assets: &Assets, reasons: &mut Vec<Reason>) {
    let text = searched.text.trim();
    match searched.kind {
        SearchKind::Address => match Net::parse(text) {
            Some(net) => address(text, net, assets, reasons),
            None => say(reasons, Check::NotJudged, text, "is no address"),
        },
        SearchKind::Domain => domain(text, assets, reasons),
        SearchKind::Url => url(text, assets, reasons),
        SearchKind::Email => match text.rsplit_once('@') {
            Some((_, host)) => domain(host, assets, reasons),
            None => say(reasons, Check::NotJudged, text, "is no mail address"),
        },
        SearchKind::Hash if assets.is_allowed_hash(text) => {
            say(reasons, Check::AllowList, text, "is the hash of nothing, or of an allowed file");
        }
        SearchKind::Hash => {}
        SearchKind::File => file(text, assets, reasons),
        SearchKind::Text if text.chars().count() < TEXT_MIN => {
            say(reasons, Check::Unspecific, text, "is too short");
        }
        SearchKind::Text if assets.is_own_host(&text.to_lowercase()) => {
            say(reasons, Check::OwnAsset, text, "is a host of our own");
        }
        SearchKind::Text => {}
    }
}

fn say(reasons: &mut Vec<Reason>, check: Check, text: &str, what: &str) {
    let why = format!("`{}` {what}", clip(text));
    if !reasons.iter().any(|reason| reason.why == why) {
        reasons.push(Reason { check, why });
    }
}

fn address(text: &str, net: Net, assets: &Assets, reasons: &mut Vec<Reason>) {
    if net.length < if net.v4 { PREFIX_MIN.0 } else { PREFIX_MIN.1 } {
        say(reasons, Check::Unspecific, text, "is too large a network");
    }
    if assets.is_own_net(net) {
        say(reasons, Check::OwnAsset, text, "touches a network of our own");
    } else if assets.is_allowed_net(net) {
        say(reasons, Check::AllowList, text, "is one that everybody uses");
    } else if assets.is_reserved(net) {
        say(reasons, Check::ReservedNetwork, text, "is in a reserved network (RFC 6890)");
    }
}

fn domain(text: &str, assets: &Assets, reasons: &mut Vec<Reason>) {
    let name = plain_domain(text);
    if let Some(net) = Net::parse(&name) {
        return address(text, net, assets, reasons);
    }
    if assets.is_own_domain(&name) {
        say(reasons, Check::OwnAsset, text, "is, or holds, a domain of our own");
    } else if assets.is_allowed_domain(&name) {
        say(reasons, Check::AllowList, text, "is one that everybody uses");
    } else if assets.is_suffix(&name) {
        say(reasons, Check::Unspecific, text, "is a public suffix");
    } else if name.chars().count() < DOMAIN_MIN {
        say(reasons, Check::Unspecific, text, "is too short");
    }
}

/// A URL of a provider's is as good as its path: only the bare host is judged as one.
fn url(text: &str, assets: &Assets, reasons: &mut Vec<Reason>) {
    let Some((_, rest)) = text.split_once("://") else {
        return say(reasons, Check::NotJudged, text, "has no host");
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let mut found = Vec::new();
    domain(host, assets, &mut found);
    let bare = path.trim_matches('/').is_empty();
    reasons.extend(found.into_iter().filter(|reason| bare || reason.check != Check::AllowList));
}

fn file(text: &str, assets: &Assets, reasons: &mut Vec<Reason>) {
    let name = text.rsplit(['/', '\\']).next().unwrap_or_default().to_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    if COMMON_FILES.contains(&name.as_str()) || stem.chars().count() < 3 {
        say(reasons, Check::Unspecific, text, "is a file name that is found everywhere");
    } else if assets.is_own_host(stem) {
        say(reasons, Check::OwnAsset, text, "is a host of our own");
    }
}
