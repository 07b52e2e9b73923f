//! What column names of W3C extended logs and CSV exports say about the log.
//!
//! Sigma's proxy and web server taxonomies are the W3C extended format's names; real headers
//! differ in spelling and in who is meant (`cs-host` of a proxy is the server asked for).

use super::Class;

const PROXY: Class = Class { product: "", services: &[], categories: &["proxy"] };
const WEBSERVER: Class = Class { product: "", services: &[], categories: &["webserver"] };
const IIS: Class = Class { product: "", services: &["iis"], categories: &["webserver"] };
const FIREWALL: Class = Class { product: "", services: &[], categories: &["firewall"] };
const WINDOWS_FIREWALL: Class =
    Class { product: "windows", services: &["firewall"], categories: &["firewall"] };
const DNS: Class = Class { product: "", services: &[], categories: &["dns"] };
const UNKNOWN: Class = Class { product: "", services: &[], categories: &[] };

/// Columns that only a proxy writes.
const PROXY_ONLY: &[&str] = &[
    "c-uri",
    "c-useragent",
    "cs-categories",
    "cs-uri-scheme",
    "r-dns",
    "r-host",
    "s-action",
    "s-hierarchy",
    "s-supplier-name",
    "sc-filter-result",
    "x-exception-id",
];

/// Columns that mark a web server's log.
const WEB: &[&str] = &["cs-uri-stem", "cs-uri", "cs-uri-query", "cs-method"];

/// A column's name as rules write it: `cs(User-Agent)` is `cs-user-agent`.
pub(crate) fn normalised(name: &[u8]) -> Vec<u8> {
    let name = name.trim_ascii();
    match name.strip_suffix(b")").and_then(|name| super::split_at_byte(name, b'(')) {
        Some((prefix, inner)) if matches!(prefix, b"cs" | b"sc" | b"rs" | b"sr" | b"c" | b"s" | b"x") => {
            [prefix, b"-", inner].concat().to_ascii_lowercase()
        }
        _ => name.to_vec(),
    }
}

/// The class of a log by its column names; `software` is what the log says wrote it.
pub(crate) fn class(names: &[Vec<u8>], software: &[u8]) -> Class {
    let has = |wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted.as_bytes()));
    let any = |wanted: &[&str]| wanted.iter().any(|wanted| has(wanted));
    let iis = super::contains_ignore_case(software, b"Internet Information Services");
    if !iis && any(PROXY_ONLY) {
        PROXY
    } else if iis || (has("cs-uri-stem") && any(&["s-computername", "s-sitename", "sc-win32-status"])) {
        IIS
    } else if any(WEB) {
        WEBSERVER
    } else if super::contains_ignore_case(software, b"Windows Firewall") {
        WINDOWS_FIREWALL
    } else if (has("src-ip") && has("dst-ip")) || (has("src_ip") && has("dst_ip")) {
        FIREWALL
    } else if has("query") && any(&["record_type", "answer", "answers", "qtype_name", "qtype"]) {
        DNS
    } else {
        UNKNOWN
    }
}

/// Second names of a proxy's columns.
const PROXY_SECOND: &[(&str, &str)] = &[
    ("cs-user-agent", "c-useragent"),
    ("cs-uri-extension", "c-uri-extension"),
    ("cs-uri-query", "c-uri-query"),
    ("cs-host", "r-dns"),
    ("cs-referer", "cs-referrer"),
    ("c-ip", "src_ip"),
    ("r-ip", "dst_ip"),
    ("s-supplier-ip", "dst_ip"),
];
/// Second names of a firewall's columns.
const FIREWALL_SECOND: &[(&str, &str)] =
    &[("src-ip", "src_ip"), ("dst-ip", "dst_ip"), ("src-port", "src_port"), ("dst-port", "dst_port")];

/// A second name under which rules of the class ask for a column.
pub(crate) fn second_name(class: &Class, name: &[u8]) -> Option<&'static str> {
    let table: &[(&str, &str)] = match class.categories {
        ["proxy"] => PROXY_SECOND,
        ["firewall"] => FIREWALL_SECOND,
        _ => &[],
    };
    table.iter().find(|(from, _)| name.eq_ignore_ascii_case(from.as_bytes())).map(|(_, to)| *to)
}

/// All second names of columns.
pub(crate) fn second_names() -> impl Iterator<Item = &'static str> {
    PROXY_SECOND.iter().chain(FIREWALL_SECOND).map(|(_, to)| *to)
}
