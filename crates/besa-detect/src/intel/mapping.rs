//! Log events as STIX observations: which observable stands in which field.
//!
//! ```text
//! Sysmon 1                      process ─image_ref──▶ file ─parent_directory_ref─▶ directory
//!   Image, Hashes, CommandLine,    │  └parent_ref──▶ process ─image_ref─▶ file …
//!   ParentImage, User, …           └creator_user_ref▶ user-account
//! ```
//! The tables are the whole mapping; nothing is built from them. The graph (`graph.rs`) walks an object
//! path through them and reads the field at its end. An object is there when one of its fields is.
//! Besides being referred to, files, addresses and accounts stand in the observation themselves.
//!
//! Decided here, where the standard has no word for what logs hold:
//! - a PowerShell script block and an Exchange cmdlet are `process:command_line`: pattern authors
//!   look for commands there;
//! - `process:name` (a property of STIX 2.0 that patterns still use) is the file name;
//! - registry keys have their hive spelt out (section 6.18); a key under `HKU\<SID>` is offered as
//!   it is and as `HKEY_CURRENT_USER`;
//! - hashes are offered in lower case, addresses in canonical text;
//! - a host name that a connection goes to is an alternative for `dst_ref`.
//!
//! A class of events without a table of its own is mapped by all field names that are unambiguous
//! ([`ANY`]).

use besa_event::LogSource;

/// An object, or a dictionary inside one (then its type is empty).
#[derive(Debug)]
pub struct Object {
    /// STIX type.
    pub object_type: &'static str,
    /// Its properties.
    pub rows: &'static [Row],
}

/// A property.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub property: &'static str,
    /// Whether it is a list.
    pub list: bool,
    /// Where its value comes from.
    pub source: Source,
}

/// Where a value comes from.
#[derive(Debug)]
pub enum Source {
    /// The first of these fields that has a value.
    Fields(&'static [&'static str], Part),
    /// Another object; of several, those that are there.
    Objects(&'static [&'static Object]),
}

/// Which part of a field's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The file name of a path.
    Name,
    /// The directory of a path.
    Directory,
    /// A decimal or `0x…` number.
    Integer,
    /// The hash of that algorithm in `SHA1=…,MD5=…`.
    Hash(&'static str),
    /// Hexadecimal digits, lower case, colons left out.
    Digits,
    /// An IPv4 address; nothing if it is none.
    Ipv4,
    /// An IPv6 address; nothing if it is none.
    Ipv6,
    /// IPv4 addresses in a list (`;`).
    Ipv4List,
    /// IPv6 addresses in a list (`;`).
    Ipv6List,
    /// A domain name; nothing if it is none.
    Domain,
    /// A URL with its scheme; nothing if it is none.
    Url,
    /// An e-mail address without name and angle brackets.
    Email,
    /// What follows the last `\` (the account in `DOMAIN\account`).
    Account,
    /// Lower case.
    Lower,
    /// A registry key with its hive spelt out.
    RegistryKey,
    /// The same without the last component, which is the name of a value.
    RegistryParent,
    /// The last component.
    RegistryValue,
}

impl Part {
    /// Whether a text constant that equals the part stands in the field as it is (letters' case
    /// aside), so that its presence can be a precondition.
    pub(crate) fn is_verbatim(self) -> bool {
        !matches!(
            self,
            Self::Integer
                | Self::Digits
                | Self::Ipv4
                | Self::Ipv6
                | Self::Ipv4List
                | Self::Ipv6List
                | Self::RegistryKey
                | Self::RegistryParent
        )
    }

    /// Whether only the beginning (the hive) differs from the field.
    pub(crate) fn is_registry(self) -> bool {
        matches!(self, Self::RegistryKey | Self::RegistryParent)
    }
}

const fn field(property: &'static str, fields: &'static [&'static str], part: Part) -> Row {
    Row { property, list: false, source: Source::Fields(fields, part) }
}

const fn list(property: &'static str, fields: &'static [&'static str], part: Part) -> Row {
    Row { property, list: true, source: Source::Fields(fields, part) }
}

const fn object(property: &'static str, objects: &'static [&'static Object]) -> Row {
    Row { property, list: false, source: Source::Objects(objects) }
}

const fn objects(property: &'static str, objects: &'static [&'static Object]) -> Row {
    Row { property, list: true, source: Source::Objects(objects) }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident = $object_type:literal [$($row:expr),* $(,)?];)*) => {
        $($(#[$doc])* static $name: Object = Object { object_type: $object_type, rows: &[$($row),*] };)*
    };
}

const IMAGE: &[&str] = &["Image", "process.executable", "ProcessPath"];
const PARENT: &[&str] = &["ParentImage", "process.parent.executable"];
const TARGET: &[&str] = &["TargetFilename", "file.path"];
const LOADED: &[&str] = &["ImageLoaded", "dll.path", "driver.path"];
const SERVICE_FILE: &[&str] = &["ImagePath", "ServiceFileName"];
const SOURCE_IP: &[&str] = &[
    "SourceIp",
    "src_ip",
    "id.orig_h",
    "source.ip",
    "SourceAddress",
    "IpAddress",
    "c-ip",
    "sourceIPAddress",
    "src",
    "client.ip",
];
const DESTINATION_IP: &[&str] = &[
    "DestinationIp",
    "dst_ip",
    "id.resp_h",
    "dest_ip",
    "destination.ip",
    "DestAddress",
    "dst",
    "server.ip",
    "RemoteIP",
];
const HOST: &[&str] = &[
    "DestinationHostname",
    "cs-host",
    "http.hostname",
    "server_name",
    "tls.sni",
    "url.domain",
    "destination.domain",
    "r-dns",
    "host",
];
const NAME_ASKED: &[&str] = &["QueryName", "query", "dns.question.name", "dns.rrname"];
const URL: &[&str] =
    &["url.full", "url.original", "c-uri", "cs-uri", "url", "request", "http.url", "RemoteName", "RemoteUrl"];
const USER: &[&str] = &["User", "user.name", "SubjectUserName", "TargetUserName", "cs-username"];

objects! {
    HASHES = "" [
        field("MD5", &["Hashes", "Hash"], Part::Hash("MD5")),
        field("SHA-1", &["Hashes", "Hash"], Part::Hash("SHA1")),
        field("SHA-256", &["Hashes", "Hash"], Part::Hash("SHA256")),
        field("SHA-512", &["Hashes", "Hash"], Part::Hash("SHA512")),
        field("IMPHASH", &["Hashes", "Hash"], Part::Hash("IMPHASH")),
    ];
    PROCESS_HASHES = "" [
        field("MD5", &["process.hash.md5"], Part::Digits),
        field("SHA-1", &["process.hash.sha1"], Part::Digits),
        field("SHA-256", &["process.hash.sha256"], Part::Digits),
        field("SHA-512", &["process.hash.sha512"], Part::Digits),
    ];
    FILE_HASHES = "" [
        field("MD5", &["file.hash.md5", "md5", "fileinfo.md5"], Part::Digits),
        field("SHA-1", &["file.hash.sha1", "sha1", "fileinfo.sha1"], Part::Digits),
        field("SHA-256", &["file.hash.sha256", "sha256", "fileinfo.sha256"], Part::Digits),
        field("SHA-512", &["file.hash.sha512", "sha512"], Part::Digits),
    ];
    IMAGE_DIRECTORY = "directory" [field("path", IMAGE, Part::Directory)];
    PARENT_DIRECTORY = "directory" [field("path", PARENT, Part::Directory)];
    TARGET_DIRECTORY = "directory" [field("path", TARGET, Part::Directory)];
    LOADED_DIRECTORY = "directory" [field("path", LOADED, Part::Directory)];
    SERVICE_DIRECTORY = "directory" [field("path", SERVICE_FILE, Part::Directory)];
    WORKING_DIRECTORY = "directory" [field("path", &["CurrentDirectory", "process.working_directory"], Part::Whole)];
    /// The file of a process whose event also states the file's hashes.
    IMAGE_HASHED = "file" [
        field("name", IMAGE, Part::Name),
        object("parent_directory_ref", &[&IMAGE_DIRECTORY]),
        object("hashes", &[&HASHES, &PROCESS_HASHES]),
    ];
    IMAGE_FILE = "file" [field("name", IMAGE, Part::Name), object("parent_directory_ref", &[&IMAGE_DIRECTORY])];
    PARENT_FILE = "file" [field("name", PARENT, Part::Name), object("parent_directory_ref", &[&PARENT_DIRECTORY])];
    TARGET_HASHED = "file" [
        field("name", TARGET, Part::Name),
        object("parent_directory_ref", &[&TARGET_DIRECTORY]),
        object("hashes", &[&HASHES, &FILE_HASHES]),
    ];
    TARGET_FILE = "file" [field("name", TARGET, Part::Name), object("parent_directory_ref", &[&TARGET_DIRECTORY])];
    LOADED_HASHED = "file" [
        field("name", LOADED, Part::Name),
        object("parent_directory_ref", &[&LOADED_DIRECTORY]),
        object("hashes", &[&HASHES]),
    ];
    LOADED_FILE = "file" [field("name", LOADED, Part::Name), object("parent_directory_ref", &[&LOADED_DIRECTORY])];
    SERVICE_BINARY = "file" [field("name", SERVICE_FILE, Part::Name), object("parent_directory_ref", &[&SERVICE_DIRECTORY])];
    /// A file that a network sensor saw, or that is known by name and hash only.
    SEEN_FILE = "file" [
        field("name", &["filename", "fileinfo.filename", "file.name", "email.attachments.file.name"], Part::Name),
        field("mime_type", &["mime_type", "file.mime_type"], Part::Whole),
        object("hashes", &[&FILE_HASHES]),
    ];
    CREATOR = "user-account" [
        field("account_login", USER, Part::Account),
        field("display_name", USER, Part::Whole),
        field("user_id", &["SubjectUserSid", "user.id"], Part::Whole),
    ];
    TARGET_ACCOUNT = "user-account" [
        field("account_login", &["TargetUserName", "user.target.name"], Part::Account),
        field("user_id", &["TargetUserSid", "user.target.id"], Part::Whole),
    ];
    PARENT_PROCESS = "process" [
        field("command_line", &["ParentCommandLine", "process.parent.command_line"], Part::Whole),
        field("pid", &["ParentProcessId", "process.parent.pid"], Part::Integer),
        field("name", PARENT, Part::Name),
        object("image_ref", &[&PARENT_FILE]),
        object("binary_ref", &[&PARENT_FILE]),
    ];
    PROCESS = "process" [
        field("command_line", &["CommandLine", "process.command_line", "ProcessCommandLine", "proctitle"], Part::Whole),
        field("cwd", &["CurrentDirectory", "process.working_directory"], Part::Whole),
        field("pid", &["NewProcessId", "ProcessId", "process.pid"], Part::Integer),
        field("name", IMAGE, Part::Name),
        object("image_ref", &[&IMAGE_HASHED]),
        object("binary_ref", &[&IMAGE_HASHED]),
        object("parent_ref", &[&PARENT_PROCESS]),
        object("creator_user_ref", &[&CREATOR]),
    ];
    /// The process that did what an event is about; the event's hashes are not its own.
    ACTOR = "process" [
        field("command_line", &["CommandLine", "process.command_line"], Part::Whole),
        field("pid", &["ProcessId", "process.pid"], Part::Integer),
        field("name", IMAGE, Part::Name),
        object("image_ref", &[&IMAGE_FILE]),
        object("binary_ref", &[&IMAGE_FILE]),
        object("creator_user_ref", &[&CREATOR]),
    ];
    SCRIPT = "process" [
        field("command_line", &["ScriptBlockText", "powershell.file.script_block_text", "Payload", "Data"], Part::Whole),
        field("name", &["HostName"], Part::Name),
    ];
    HOST_APPLICATION = "process" [field("command_line", &["HostApplication", "ContextInfo"], Part::Whole)];
    SERVICE_EXT = "" [
        field("service_name", &["ServiceName", "service.name"], Part::Whole),
        field("display_name", &["DisplayName", "ServiceName"], Part::Whole),
    ];
    SERVICE_EXTENSIONS = "" [object("windows-service-ext", &[&SERVICE_EXT])];
    SERVICE = "process" [
        field("command_line", SERVICE_FILE, Part::Whole),
        field("name", SERVICE_FILE, Part::Name),
        object("image_ref", &[&SERVICE_BINARY]),
        object("binary_ref", &[&SERVICE_BINARY]),
        object("extensions", &[&SERVICE_EXTENSIONS]),
    ];
    SOURCE_V4 = "ipv4-addr" [field("value", SOURCE_IP, Part::Ipv4)];
    SOURCE_V6 = "ipv6-addr" [field("value", SOURCE_IP, Part::Ipv6)];
    DESTINATION_V4 = "ipv4-addr" [field("value", DESTINATION_IP, Part::Ipv4)];
    DESTINATION_V6 = "ipv6-addr" [field("value", DESTINATION_IP, Part::Ipv6)];
    HOST_NAME = "domain-name" [field("value", HOST, Part::Domain)];
    SOURCE_NAME = "domain-name" [field("value", &["SourceHostname", "source.domain"], Part::Domain)];
    RESOLVED_V4 = "ipv4-addr" [field("value", &["QueryResults", "answers", "answer", "dns.resolved_ip"], Part::Ipv4List)];
    RESOLVED_V6 = "ipv6-addr" [field("value", &["QueryResults", "answers", "answer", "dns.resolved_ip"], Part::Ipv6List)];
    ASKED_NAME = "domain-name" [
        field("value", NAME_ASKED, Part::Domain),
        objects("resolves_to_refs", &[&RESOLVED_V4, &RESOLVED_V6]),
    ];
    REQUEST_HEADER = "" [
        list("User-Agent", &["cs-user-agent", "user_agent", "http.http_user_agent", "user_agent.original", "c-useragent"], Part::Whole),
        list("Host", &["cs-host", "http.hostname", "host"], Part::Whole),
        list("Referer", &["cs-referer", "referrer", "http.http_refer", "http.request.referrer"], Part::Whole),
    ];
    HTTP_REQUEST = "" [
        field("request_method", &["cs-method", "method", "http.http_method", "http.request.method"], Part::Lower),
        field("request_value", &["cs-uri-stem", "uri", "http.url", "url.path"], Part::Whole),
        field("request_version", &["cs-version", "version", "http.protocol"], Part::Lower),
        object("request_header", &[&REQUEST_HEADER]),
    ];
    TRAFFIC_EXTENSIONS = "" [object("http-request-ext", &[&HTTP_REQUEST])];
    TRAFFIC = "network-traffic" [
        object("src_ref", &[&SOURCE_V4, &SOURCE_V6, &SOURCE_NAME]),
        object("dst_ref", &[&DESTINATION_V4, &DESTINATION_V6, &HOST_NAME]),
        field("src_port", &["SourcePort", "src_port", "id.orig_p", "source.port", "IpPort", "spt"], Part::Integer),
        field("dst_port", &["DestinationPort", "dst_port", "id.resp_p", "dest_port", "destination.port", "DestPort", "dpt", "s-port"], Part::Integer),
        field("src_byte_count", &["orig_bytes", "flow.bytes_toserver", "source.bytes"], Part::Integer),
        field("dst_byte_count", &["resp_bytes", "flow.bytes_toclient", "destination.bytes"], Part::Integer),
        list("protocols", &["Protocol", "proto", "network.transport", "service", "app_proto"], Part::Lower),
        object("extensions", &[&TRAFFIC_EXTENSIONS]),
    ];
    LINK = "url" [field("value", URL, Part::Url)];
    REGISTRY_VALUE = "" [
        field("name", &["TargetObject"], Part::RegistryValue),
        field("data", &["Details"], Part::Whole),
    ];
    /// Sysmon 13: the last component is the value that was set.
    REGISTRY_SET = "windows-registry-key" [
        field("key", &["TargetObject"], Part::RegistryParent),
        objects("values", &[&REGISTRY_VALUE]),
    ];
    REGISTRY_KEY = "windows-registry-key" [field("key", &["TargetObject"], Part::RegistryKey)];
    AUDITED_VALUE = "" [
        field("name", &["ObjectValueName", "registry.value"], Part::Whole),
        field("data", &["NewValue", "registry.data.strings"], Part::Whole),
    ];
    /// Security 4657 and ECS.
    AUDITED_KEY = "windows-registry-key" [
        field("key", &["ObjectName", "registry.key"], Part::RegistryKey),
        objects("values", &[&AUDITED_VALUE]),
    ];
    MUTEX = "mutex" [field("name", &["MutexName", "Mutex", "MutantName"], Part::Whole)];
    SENDER = "email-addr" [field("value", &["mailfrom", "sender-address", "email.from.address", "smtp.mail_from", "from"], Part::Email)];
    RECEIVER = "email-addr" [field("value", &["rcptto", "recipient-address", "email.to.address", "smtp.rcpt_to", "to"], Part::Email)];
    MESSAGE = "email-message" [
        object("from_ref", &[&SENDER]),
        object("sender_ref", &[&SENDER]),
        objects("to_refs", &[&RECEIVER]),
        field("subject", &["subject", "message-subject", "email.subject"], Part::Whole),
    ];
    CERTIFICATE_HASHES = "" [
        field("SHA-1", &["tls.fingerprint", "tls.server.hash.sha1", "fingerprint", "cert_chain_fps"], Part::Digits),
        field("SHA-256", &["tls.server.hash.sha256", "fingerprint", "cert_chain_fps"], Part::Digits),
    ];
    CERTIFICATE = "x509-certificate" [
        object("hashes", &[&CERTIFICATE_HASHES]),
        field("serial_number", &["tls.serial", "certificate.serial", "tls.server.x509.serial_number"], Part::Whole),
        field("subject", &["tls.subject", "certificate.subject"], Part::Whole),
        field("issuer", &["tls.issuerdn", "certificate.issuer"], Part::Whole),
    ];
}

/// The observables of a class of events.
#[derive(Debug)]
pub struct Template {
    /// Sigma categories that it is for.
    pub categories: &'static [&'static str],
    /// Sigma services that it is for.
    pub services: &'static [&'static str],
    /// What an event holds.
    pub objects: &'static [&'static Object],
}

/// Classes with tables of their own.
pub static TEMPLATES: &[Template] = &[
    Template {
        categories: &["process_creation", "process_termination", "process_tampering"],
        services: &[],
        objects: &[
            &PROCESS,
            &PARENT_PROCESS,
            &IMAGE_HASHED,
            &PARENT_FILE,
            &IMAGE_DIRECTORY,
            &PARENT_DIRECTORY,
            &WORKING_DIRECTORY,
            &CREATOR,
        ],
    },
    Template {
        categories: &["image_load", "driver_load"],
        services: &[],
        objects: &[&ACTOR, &IMAGE_FILE, &LOADED_HASHED, &LOADED_DIRECTORY, &CREATOR],
    },
    Template {
        categories: &[
            "file_event",
            "file_change",
            "file_delete",
            "file_delete_detected",
            "file_rename",
            "create_stream_hash",
            "file_executable_detected",
            "file_block_executable",
            "file_block_shredding",
            "file_access",
        ],
        services: &[],
        objects: &[&ACTOR, &IMAGE_FILE, &TARGET_HASHED, &TARGET_DIRECTORY, &CREATOR],
    },
    Template {
        categories: &["registry_set"],
        services: &[],
        objects: &[&ACTOR, &IMAGE_FILE, &REGISTRY_SET, &CREATOR],
    },
    Template {
        categories: &["registry_add", "registry_delete", "registry_rename", "registry_event"],
        services: &[],
        objects: &[&ACTOR, &IMAGE_FILE, &REGISTRY_KEY, &CREATOR],
    },
    Template {
        categories: &[
            "ps_script",
            "ps_module",
            "ps_classic_start",
            "ps_classic_script",
            "ps_classic_provider_start",
        ],
        services: &["msexchange-management"],
        objects: &[&SCRIPT, &HOST_APPLICATION, &CREATOR],
    },
];

/// Classes without a table of their own.
pub static ANY: &[&Object] = &[
    &PROCESS,
    &PARENT_PROCESS,
    &IMAGE_HASHED,
    &PARENT_FILE,
    &IMAGE_DIRECTORY,
    &PARENT_DIRECTORY,
    &TARGET_FILE,
    &LOADED_FILE,
    &SEEN_FILE,
    &SERVICE,
    &SERVICE_BINARY,
    &CREATOR,
    &TARGET_ACCOUNT,
    &TRAFFIC,
    &SOURCE_V4,
    &SOURCE_V6,
    &DESTINATION_V4,
    &DESTINATION_V6,
    &RESOLVED_V4,
    &RESOLVED_V6,
    &HOST_NAME,
    &SOURCE_NAME,
    &ASKED_NAME,
    &LINK,
    &REGISTRY_KEY,
    &AUDITED_KEY,
    &MUTEX,
    &SENDER,
    &RECEIVER,
    &MESSAGE,
    &CERTIFICATE,
];

/// What events of a class hold.
#[must_use]
pub fn objects_of(class: &LogSource) -> Vec<&'static Object> {
    let among = |wanted: &[&str], have: &[String]| have.iter().any(|name| wanted.contains(&name.as_str()));
    let own: Vec<&Template> = TEMPLATES
        .iter()
        .filter(|template| {
            among(template.categories, &class.categories) || among(template.services, &class.services)
        })
        .collect();
    // A registry_set event is a registry_event too; the closer table counts.
    match own.first() {
        Some(template) => template.objects.to_vec(),
        None => ANY.to_vec(),
    }
}

/// Every field that some object is read from.
pub fn fields() -> impl Iterator<Item = &'static str> {
    let mut names = Vec::new();
    for object in every_object() {
        collect_fields(object, &mut names);
    }
    names.sort_unstable();
    names.dedup();
    names.into_iter()
}

fn collect_fields(object: &Object, names: &mut Vec<&'static str>) {
    for row in object.rows {
        match &row.source {
            Source::Fields(fields, _) => names.extend(*fields),
            Source::Objects(objects) => objects.iter().for_each(|object| collect_fields(object, names)),
        }
    }
}

/// Every object that some class of events holds; an object may come more than once.
pub(crate) fn every_object() -> impl Iterator<Item = &'static Object> {
    TEMPLATES.iter().flat_map(|template| template.objects).chain(ANY).copied()
}
