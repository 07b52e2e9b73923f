//! Log sources: what a Sigma rule's `logsource` means for a real event.
//!
//! A reader classifies each event once; a rule's `product`, `category` and `service` are then
//! held against the class, not against the event. The tables below follow the Sigma taxonomy
//! appendix and the log source table that SigmaHQ keeps for its own checks (`tests/thor.yml`).
//!
//! Invariants:
//! - The event's own channel and provider decide, never a file name: a file of forwarded events
//!   holds many channels.
//! - A class that no table knows admits only rules that ask for nothing it lacks. An unmapped
//!   log source means "not evaluated", never "matches everything".

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// A log source of one run, as a small number. The default is the class of events about which
/// nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSourceId(pub u16);

/// A class of events in Sigma's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSource {
    /// Sigma `product` (`windows`, `linux`, `zeek`, `aws` …), if known.
    pub product: Option<String>,
    /// Every Sigma `service` under which rules may ask for it.
    pub services: Vec<String>,
    /// Every Sigma `category` under which rules may ask for it.
    pub categories: Vec<String>,
}

impl LogSource {
    /// A class with the given parts; an empty product means unknown.
    #[must_use]
    pub fn new(product: &str, services: &[&str], categories: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            product: (!product.is_empty()).then(|| product.to_owned()),
            services: owned(services),
            categories: owned(categories),
        }
    }

    /// Whether a rule that asks for these parts is about this class. A part that the rule does
    /// not state is not asked for; comparison ignores ASCII case.
    #[must_use]
    pub fn admits(&self, product: Option<&str>, category: Option<&str>, service: Option<&str>) -> bool {
        let among = |asked: Option<&str>, have: &[String]| {
            asked.is_none_or(|asked| have.iter().any(|name| name.eq_ignore_ascii_case(asked)))
        };
        among(product, self.product.as_slice())
            && among(category, &self.categories)
            && among(service, &self.services)
    }
}

impl fmt::Display for LogSource {
    /// `product/service/category` with the first of each; unknown parts are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.product.as_ref(), self.services.first(), self.categories.first()];
        let known: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        f.write_str(if known.is_empty() { "unknown" } else { "" })?;
        f.write_str(&known.join("/"))
    }
}

/// The classes met in one run. Shared by all readers and matchers.
#[derive(Debug, Default)]
pub struct LogSources {
    classes: RwLock<Classes>,
    /// Nothing but its address, which no other run has while somebody holds it.
    identity: Arc<()>,
}

#[derive(Debug)]
struct Classes {
    all: Vec<Arc<LogSource>>,
    aliases: Vec<Arc<[usize]>>,
    ids: HashMap<Arc<LogSource>, LogSourceId>,
    /// Channel, provider (if no channel) and event id, joined by NUL.
    windows: HashMap<Box<[u8]>, LogSourceId>,
}

/// Bounds on what a stranger's records can make us remember.
const CLASSES_MAX: usize = 4_096;
const WINDOWS_KEYS_MAX: usize = 65_536;

impl Default for Classes {
    fn default() -> Self {
        let unknown = Arc::new(LogSource::default());
        Self {
            ids: HashMap::from([(Arc::clone(&unknown), LogSourceId(0))]),
            all: vec![unknown],
            aliases: vec![Arc::new([])],
            windows: HashMap::new(),
        }
    }
}

impl LogSources {
    /// No classes yet but the unknown one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a class. Past 4,096 classes everything new is unknown.
    pub fn intern(&self, class: LogSource) -> LogSourceId {
        if let Some(id) = self.classes.read().unwrap_or_else(PoisonError::into_inner).ids.get(&class) {
            return *id;
        }
        let mut classes = self.classes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = classes.ids.get(&class) {
            return *id;
        }
        if classes.all.len() >= CLASSES_MAX {
            return LogSourceId(0);
        }
        let id = LogSourceId(u16::try_from(classes.all.len()).unwrap_or(0));
        let class = Arc::new(class);
        classes.all.push(Arc::clone(&class));
        classes.aliases.push(alias_tables_of(&class).into());
        classes.ids.insert(class, id);
        id
    }

    /// The class of an id; the unknown class for an id of another run.
    #[must_use]
    pub fn get(&self, id: LogSourceId) -> Arc<LogSource> {
        let classes = self.classes.read().unwrap_or_else(PoisonError::into_inner);
        classes.all.get(usize::from(id.0)).cloned().unwrap_or_default()
    }

    /// How many classes have been met.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.read().unwrap_or_else(PoisonError::into_inner).all.len()
    }

    /// Never: the unknown class is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions in [`ALIASES`] that apply to a class.
    fn alias_tables(&self, id: LogSourceId) -> Arc<[usize]> {
        let classes = self.classes.read().unwrap_or_else(PoisonError::into_inner);
        classes.aliases.get(usize::from(id.0)).cloned().unwrap_or_default()
    }

    /// The class of a Windows event by its own channel and event id; the provider counts only
    /// where there is no channel.
    #[must_use]
    pub fn windows(&self, channel: &str, provider: &str, event_id: &str) -> LogSourceId {
        let provider = if channel.is_empty() { provider } else { "" };
        let key = [channel, provider, event_id].join("\0").into_bytes().into_boxed_slice();
        if let Some(id) = self.classes.read().unwrap_or_else(PoisonError::into_inner).windows.get(&key) {
            return *id;
        }
        let id = self.intern(windows_class(channel, provider, event_id));
        let mut classes = self.classes.write().unwrap_or_else(PoisonError::into_inner);
        if classes.windows.len() < WINDOWS_KEYS_MAX {
            classes.windows.insert(key, id);
        }
        id
    }
}

/// What [`LogSources`] says of classes that were met, kept where events are made: asking it for
/// each event would have all workers write to one place in memory.
#[derive(Debug, Default)]
pub(crate) struct KnownAliases {
    of: Option<Arc<()>>,
    /// Shape: index = number of the class.
    tables: Vec<Option<Arc<[usize]>>>,
}

impl KnownAliases {
    /// Positions in [`ALIASES`] that apply to a class.
    #[inline]
    pub(crate) fn of(&mut self, sources: &LogSources, id: LogSourceId) -> &[usize] {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &sources.identity)) {
            *self = Self { of: Some(Arc::clone(&sources.identity)), tables: Vec::new() };
        }
        let at = usize::from(id.0);
        if self.tables.len() <= at {
            self.tables.resize(at + 1, None);
        }
        self.tables.get_mut(at).map_or(&[], |known| known.get_or_insert_with(|| sources.alias_tables(id)))
    }
}

fn windows_class(channel: &str, provider: &str, event_id: &str) -> LogSource {
    let (table, name) = if channel.is_empty() { (PROVIDERS, provider) } else { (CHANNELS, channel) };
    let services: Vec<&str> = table
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, service)| *service)
        .collect();
    let categories: Vec<&str> = CATEGORIES
        .iter()
        .filter(|row| services.contains(&row.service) && row.event_ids.contains(&event_id))
        .map(|row| row.category)
        .collect();
    let product = if services.contains(&"sysmon-linux") { "linux" } else { "windows" };
    let services: Vec<&str> = services
        .into_iter()
        .map(|service| if service == "sysmon-linux" { "sysmon" } else { service })
        .collect();
    LogSource::new(product, &services, &categories)
}

fn alias_tables_of(class: &LogSource) -> Vec<usize> {
    let has = |list: &[String], name: &str| list.iter().any(|have| have == name);
    let product = class.product.as_deref().unwrap_or_default();
    let tables = [
        has(&class.services, "security") && has(&class.categories, "process_creation"),
        has(&class.services, "windefend"),
        product == "zeek" && has(&class.services, "http"),
        product == "zeek",
        product == "zeek" && has(&class.services, "dns"),
        product == "suricata",
        has(&class.categories, "webserver"),
        product == "linux" && has(&class.services, "auditd"),
    ];
    tables.iter().enumerate().filter(|(_, applies)| **applies).map(|(index, _)| index).collect()
}

/// Names under which rules ask for fields of a class of events: (record's name, rule's name). What
/// an event of the class gets by [`Batch::end_event`](crate::Batch::end_event) is among them.
pub fn aliases_of(class: &LogSource) -> impl Iterator<Item = (&'static str, &'static str)> {
    let tables = alias_tables_of(class).into_iter().filter_map(|table| ALIASES.get(table));
    tables.flat_map(|table| table.iter().copied())
}

/// Names under which rules ask for fields that the record calls otherwise: (record's, rule's).
/// A table applies to a class of events (`alias_tables_of`, same order).
pub(crate) const ALIASES: &[&[(&str, &str)]] = &[
    // Security 4688 (taxonomy appendix, process_creation).
    &[("NewProcessName", "Image"), ("ParentProcessName", "ParentImage"), ("SubjectUserName", "User")],
    // Windows Defender as `category: antivirus`.
    &[("ThreatName", "Signature"), ("Path", "Filename")],
    // Zeek http as `category: proxy` and `webserver`.
    &[
        ("method", "cs-method"),
        ("host", "cs-host"),
        ("host", "r-dns"),
        ("uri", "c-uri"),
        ("uri", "cs-uri-query"),
        ("uri", "cs-uri-stem"),
        ("user_agent", "c-useragent"),
        ("user_agent", "cs-user-agent"),
        ("referrer", "cs-referrer"),
        ("status_code", "sc-status"),
        ("id.orig_h", "c-ip"),
    ],
    // Every Zeek log with a connection as `category: firewall` and `network_connection`.
    &[("id.orig_h", "src_ip"), ("id.orig_p", "src_port"), ("id.resp_h", "dst_ip"), ("id.resp_p", "dst_port")],
    // Zeek dns as `category: dns`.
    &[("answers", "answer"), ("qtype_name", "record_type")],
    // Suricata EVE.
    &[
        ("http.hostname", "cs-host"),
        ("http.hostname", "r-dns"),
        ("http.url", "c-uri"),
        ("http.url", "cs-uri-query"),
        ("http.url", "cs-uri-stem"),
        ("http.http_user_agent", "c-useragent"),
        ("http.http_user_agent", "cs-user-agent"),
        ("http.http_method", "cs-method"),
        ("http.http_refer", "cs-referrer"),
        ("http.status", "sc-status"),
        ("dest_ip", "dst_ip"),
        ("dest_port", "dst_port"),
        ("dns.rrname", "query"),
        ("dns.rrtype", "record_type"),
    ],
    // Web server logs: names of the W3C extended format that rules spell in several ways.
    &[
        ("cs-user-agent", "c-useragent"),
        ("cs-referer", "cs-referrer"),
        ("cs-referer", "c-referer"),
        ("cs-uri-stem", "c-uri"),
        ("cs-uri-query", "c-uri-query"),
    ],
    // auditd EXECVE, SYSCALL as `category: process_creation`.
    &[("exe", "Image"), ("proctitle", "CommandLine")],
];

struct CategoryRow {
    service: &'static str,
    event_ids: &'static [&'static str],
    category: &'static str,
}

const fn row(
    service: &'static str,
    event_ids: &'static [&'static str],
    category: &'static str,
) -> CategoryRow {
    CategoryRow { service, event_ids, category }
}

/// Category of an event by service and event id.
const CATEGORIES: &[CategoryRow] = &[
    row("sysmon", &["1"], "process_creation"),
    row("security", &["4688"], "process_creation"),
    row("sysmon", &["2"], "file_change"),
    row("sysmon", &["3"], "network_connection"),
    row("sysmon", &["4", "16"], "sysmon_status"),
    row("sysmon", &["5"], "process_termination"),
    row("sysmon", &["6"], "driver_load"),
    row("sysmon", &["7"], "image_load"),
    row("sysmon", &["8"], "create_remote_thread"),
    row("sysmon", &["9"], "raw_access_thread"),
    row("sysmon", &["10"], "process_access"),
    row("sysmon", &["11"], "file_event"),
    row("sysmon", &["12", "13", "14"], "registry_event"),
    // The taxonomy appendix gives both to event id 12, whatever its `EventType`; rules that care
    // ask for it.
    row("sysmon", &["12"], "registry_add"),
    row("sysmon", &["12"], "registry_delete"),
    row("sysmon", &["13"], "registry_set"),
    row("sysmon", &["14"], "registry_rename"),
    row("sysmon", &["15"], "create_stream_hash"),
    row("sysmon", &["17", "18"], "pipe_created"),
    row("sysmon", &["19", "20", "21"], "wmi_event"),
    row("sysmon", &["22"], "dns_query"),
    row("sysmon", &["23"], "file_delete"),
    row("sysmon", &["24"], "clipboard_change"),
    row("sysmon", &["24"], "clipboard_capture"),
    row("sysmon", &["25"], "process_tampering"),
    row("sysmon", &["26"], "file_delete_detected"),
    row("sysmon", &["27"], "file_block_executable"),
    row("sysmon", &["28"], "file_block_shredding"),
    row("sysmon", &["29"], "file_executable_detected"),
    row("sysmon", &["255"], "sysmon_error"),
    row("sysmon-linux", &["1"], "process_creation"),
    row("sysmon-linux", &["3"], "network_connection"),
    row("sysmon-linux", &["4", "16"], "sysmon_status"),
    row("sysmon-linux", &["5"], "process_termination"),
    row("sysmon-linux", &["9"], "raw_access_thread"),
    row("sysmon-linux", &["11"], "file_event"),
    row("sysmon-linux", &["23"], "file_delete"),
    row("powershell", &["4103"], "ps_module"),
    row("powershell", &["4104"], "ps_script"),
    row("powershell-classic", &["400"], "ps_classic_start"),
    row("powershell-classic", &["600"], "ps_classic_provider_start"),
    row("powershell-classic", &["800"], "ps_classic_script"),
    row(
        "windefend",
        &[
            "1006", "1007", "1008", "1009", "1010", "1011", "1012", "1017", "1018", "1019", "1115", "1116",
            "1117",
        ],
        "antivirus",
    ),
];

/// Service of a Windows event by channel.
const CHANNELS: &[(&str, &str)] = &[
    ("Application", "application"),
    ("Security", "security"),
    ("System", "system"),
    ("DNS Server", "dns-server"),
    ("Windows PowerShell", "powershell-classic"),
    ("MSExchange Management", "msexchange-management"),
    ("OpenSSH/Operational", "openssh"),
    ("PowerShellCore/Operational", "powershell"),
    ("Linux-Sysmon/Operational", "sysmon-linux"),
    ("Microsoft-IIS-Configuration/Operational", "iis-configuration"),
    ("Microsoft-ServiceBus-Client/Admin", "microsoft-servicebus-client"),
    ("Microsoft-ServiceBus-Client/Admin", "servicebus-client"),
    ("Microsoft-ServiceBus-Client/Operational", "microsoft-servicebus-client"),
    ("Microsoft-ServiceBus-Client/Operational", "servicebus-client"),
    ("Microsoft-Windows-AppLocker/EXE and DLL", "applocker"),
    ("Microsoft-Windows-AppLocker/MSI and Script", "applocker"),
    ("Microsoft-Windows-AppLocker/Packaged app-Deployment", "applocker"),
    ("Microsoft-Windows-AppLocker/Packaged app-Execution", "applocker"),
    ("Microsoft-Windows-AppModel-Runtime/Admin", "appmodel-runtime"),
    ("Microsoft-Windows-Application-Experience/Program-Compatibility-Assistant", "application-experience"),
    ("Microsoft-Windows-Application-Experience/Program-Telemetry", "application-experience"),
    ("Microsoft-Windows-AppXDeploymentServer/Operational", "appxdeployment-server"),
    ("Microsoft-Windows-AppxPackaging/Operational", "appxpackaging-om"),
    ("Microsoft-Windows-BitLocker/BitLocker Management", "bitlocker"),
    ("Microsoft-Windows-Bits-Client/Operational", "bits-client"),
    ("Microsoft-Windows-CAPI2/Operational", "capi2"),
    (
        "Microsoft-Windows-CertificateServicesClient-Lifecycle-System/Operational",
        "certificateservicesclient-lifecycle-system",
    ),
    ("Microsoft-Windows-CodeIntegrity/Operational", "codeintegrity-operational"),
    ("Microsoft-Windows-DHCP-Server/Operational", "dhcp"),
    ("Microsoft-Windows-Diagnosis-Scripted/Operational", "diagnosis-scripted"),
    ("Microsoft-Windows-DNS Client Events/Operational", "dns-client"),
    ("Microsoft-Windows-DNS-Client/Operational", "dns-client"),
    ("Microsoft-Windows-DNS-Server/Analytical", "dns-server-analytic"),
    ("Microsoft-Windows-DNS-Server/Audit", "dns-server-audit"),
    ("Microsoft-Windows-DriverFrameworks-UserMode/Operational", "driver-framework"),
    ("Microsoft-Windows-Hyper-V-Worker", "hyper-v-worker"),
    ("Microsoft-Windows-Hyper-V-Worker-Admin", "hyper-v-worker"),
    ("Microsoft-Windows-Kernel-EventTracing", "kernel-event-tracing"),
    ("Microsoft-Windows-Kernel-EventTracing/Admin", "kernel-event-tracing"),
    ("Microsoft-Windows-Kernel-ShimEngine/Diagnostic", "kernel-shimengine"),
    ("Microsoft-Windows-Kernel-ShimEngine/Operational", "kernel-shimengine"),
    ("Microsoft-Windows-LDAP-Client/Debug", "ldap"),
    ("Microsoft-Windows-LDAP-Client/Debug", "ldap_debug"),
    ("Microsoft-Windows-LSA/Operational", "lsa-server"),
    ("Microsoft-Windows-Ntfs/Operational", "ntfs"),
    ("Microsoft-Windows-NTLM/Operational", "ntlm"),
    ("Microsoft-Windows-PowerShell/Operational", "powershell"),
    ("Microsoft-Windows-PrintService/Admin", "printservice-admin"),
    ("Microsoft-Windows-PrintService/Operational", "printservice-operational"),
    ("Microsoft-Windows-Security-Mitigations/Kernel Mode", "security-mitigations"),
    ("Microsoft-Windows-Security-Mitigations/KernelMode", "security-mitigations"),
    ("Microsoft-Windows-Security-Mitigations/User Mode", "security-mitigations"),
    ("Microsoft-Windows-Security-Mitigations/UserMode", "security-mitigations"),
    ("Microsoft-Windows-SENSE/Operational", "sense"),
    ("Microsoft-Windows-Shell-Core/Operational", "shell-core"),
    ("Microsoft-Windows-SmbClient/Connectivity", "smbclient-connectivity"),
    ("Microsoft-Windows-SmbClient/Security", "smbclient-security"),
    ("Microsoft-Windows-SMBServer/Connectivity", "smbserver-connectivity"),
    ("Microsoft-Windows-Sysmon/Operational", "sysmon"),
    ("Microsoft-Windows-TaskScheduler/Operational", "taskscheduler"),
    (
        "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
        "terminalservices-localsessionmanager",
    ),
    ("Microsoft-Windows-VHDMP-Operational", "vhdmp"),
    ("Microsoft-Windows-VHDMP/Operational", "vhdmp"),
    ("Microsoft-Windows-Windows Defender/Operational", "windefend"),
    ("Microsoft-Windows-Windows Firewall With Advanced Security/Firewall", "firewall-as"),
    ("Microsoft-Windows-WMI-Activity/Operational", "wmi"),
];

/// Service of a Windows event by provider, for exports that drop the channel. Only providers
/// that write to one channel.
const PROVIDERS: &[(&str, &str)] = &[
    ("Linux-Sysmon", "sysmon-linux"),
    ("Microsoft-Windows-Bits-Client", "bits-client"),
    ("Microsoft-Windows-PowerShell", "powershell"),
    ("Microsoft-Windows-Security-Auditing", "security"),
    ("Microsoft-Windows-Sysmon", "sysmon"),
    ("Microsoft-Windows-TaskScheduler", "taskscheduler"),
    ("Microsoft-Windows-WMI-Activity", "wmi"),
    ("Microsoft-Windows-Windows Defender", "windefend"),
    ("MSExchange CmdletLogs", "msexchange-management"),
    ("PowerShell", "powershell-classic"),
    ("Service Control Manager", "system"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: [&str; 3], rule: [&str; 3], expected: bool) {
        let sources = LogSources::new();
        let class = sources.get(sources.windows(event[0], event[1], event[2]));
        let [product, category, service] = rule.map(|part| (!part.is_empty()).then_some(part));
        assert_eq!(class.admits(product, category, service), expected, "{event:?} {rule:?} {class}");
    }

    const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";

    #[test]
    fn rules_apply_by_the_events_own_channel() {
        check([SYSMON, "", "1"], ["windows", "process_creation", ""], true);
        check(["Security", "", "4688"], ["windows", "process_creation", ""], true);
        check(["security", "", "4688"], ["windows", "", "security"], true);
        check(["Security", "", "1"], ["windows", "process_creation", ""], false);
        check([SYSMON, "", "1"], ["linux", "process_creation", ""], false);
        check([SYSMON, "", "1"], ["windows", "", "sysmon"], true);
        check([SYSMON, "", "1"], ["", "", ""], true);
        check([SYSMON, "", "12"], ["windows", "registry_add", ""], true);
        check([SYSMON, "", "13"], ["windows", "registry_add", ""], false);
        check(["", "Microsoft-Windows-Sysmon", "22"], ["windows", "dns_query", ""], true);
        check(["Nobody's channel", "", "1"], ["windows", "", ""], true);
        check(["Nobody's channel", "", "1"], ["windows", "process_creation", ""], false);
        check(["Linux-Sysmon/Operational", "", "1"], ["linux", "process_creation", ""], true);
    }

    #[test]
    fn every_alias_table_has_its_condition() {
        let sources = LogSources::new();
        let all: Vec<LogSource> = [
            ("windows", "security", "process_creation"),
            ("windows", "windefend", ""),
            ("zeek", "http", ""),
            ("zeek", "dns", ""),
            ("suricata", "", ""),
            ("", "", "webserver"),
            ("linux", "auditd", ""),
        ]
        .map(|(product, service, category)| LogSource::new(product, &[service], &[category]))
        .into();
        let mut used: Vec<usize> = Vec::new();
        for class in all {
            used.extend(sources.alias_tables(sources.intern(class)).iter());
        }
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, (0..ALIASES.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_flood_of_classes_is_bounded() {
        let sources = LogSources::new();
        for n in 0..CLASSES_MAX + 100 {
            sources.intern(LogSource::new(&n.to_string(), &[], &[]));
        }
        assert_eq!(sources.len(), CLASSES_MAX);
    }
}
