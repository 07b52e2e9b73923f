//! Elastic Common Schema records that are no Windows event log records: Elastic Defend,
//! Auditbeat and others, on any system.

use besa_event::LogSource;

/// Sigma category by `event.category`, and words of which `event.type` or `event.action` must
/// hold one (none: any).
const CATEGORIES: &[(&str, &[&str], &str)] = &[
    ("process", &["start", "exec", "fork", "creation"], "process_creation"),
    ("process", &["end", "terminat"], "process_termination"),
    ("network", &["start", "connection", "allowed"], "network_connection"),
    ("network", &["lookup", "dns"], "dns_query"),
    ("dns", &[], "dns_query"),
    ("file", &["creation", "create"], "file_event"),
    ("file", &["change", "modif", "overwrite", "rename"], "file_event"),
    ("file", &["deletion", "delete"], "file_delete"),
    ("registry", &[], "registry_event"),
    ("registry", &["change", "modif", "set"], "registry_set"),
    ("library", &[], "image_load"),
    ("driver", &[], "driver_load"),
    ("web", &[], "webserver"),
];

pub(super) fn class(os: &str, platform: &str, category: &str, kind: &str, action: &str) -> LogSource {
    let os = if os.is_empty() { platform } else { os };
    let product = match os {
        "windows" => "windows",
        "macos" | "darwin" => "macos",
        "linux" | "ubuntu" | "debian" | "rhel" | "centos" | "redhat" | "fedora" | "suse" | "sles"
        | "amzn" | "alpine" | "arch" => "linux",
        _ => "",
    };
    let says = |word: &&str| kind.contains(*word) || action.contains(*word);
    let categories: Vec<&str> = CATEGORIES
        .iter()
        .filter(|(wanted, words, _)| *wanted == category && (words.is_empty() || words.iter().any(says)))
        .map(|(_, _, name)| *name)
        .collect();
    LogSource::new(product, &[], &categories)
}
