//! Which fields can hold which observables besides those found in any text.
//!
//! Names are those of Sigma's taxonomy, Sysmon and Windows Security events, ECS, Zeek, Suricata
//! EVE and W3C logs; they compare without regard to ASCII case. A field that is not listed is
//! scanned as text: addresses, domains, URLs, hashes and e-mail addresses are found wherever they
//! stand, so this table only adds what cannot be told from the value alone, and takes out what
//! would be mistaken.

use besa_event::{Dictionary, DictionaryBuilder, FieldId};

/// What a field holds. Every class but `Version` and `Hashes` is also scanned as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FieldClass {
    /// Anything.
    #[default]
    Text,
    /// A path, or a file name alone.
    Path,
    /// A command line or script: its dotted words may be file names.
    Command,
    /// `SHA1=…,MD5=…,IMPHASH=…` (Sysmon) or one hash.
    Hashes,
    /// The import hash by itself.
    Imphash,
    /// A JA3 fingerprint.
    Ja3,
    /// A host: address or name.
    Host,
    /// A URL, possibly without its scheme.
    Url,
    /// A registry key, possibly with the name of a value.
    RegistryKey,
    /// A named pipe.
    Pipe,
    /// A mutex.
    Mutex,
    /// The name of a service.
    Service,
    /// A `User-Agent` header.
    UserAgent,
    /// A version number, which looks like an address: not scanned.
    Version,
}

use FieldClass as Class;

/// Fields and their classes.
pub const FIELDS: &[(FieldClass, &[&str])] = &[
    (
        Class::Path,
        &[
            "Image",
            "ParentImage",
            "SourceImage",
            "TargetImage",
            "ImageLoaded",
            "TargetFilename",
            "SourceFilename",
            "Device",
            "NewProcessName",
            "ParentProcessName",
            "ProcessName",
            "CallerProcessName",
            "Application",
            "ImagePath",
            "ServiceFileName",
            "OriginalFileName",
            "OriginalFilename",
            "Filename",
            "FileName",
            "Path",
            "FilePath",
            "FullPath",
            "ObjectName",
            "RelativeTargetName",
            "ProcessPath",
            "ModulePath",
            "DriverName",
            "TaskName",
            "ScriptName",
            "exe",
            "name",
            "filename",
            "fuid_filename",
            "cs-uri-stem",
            "process.executable",
            "process.name",
            "process.parent.executable",
            "process.parent.name",
            "file.path",
            "file.name",
            "file.target_path",
            "dll.path",
            "dll.name",
            "driver.path",
            "fileinfo.filename",
            "email.attachments.file.name",
            "smb.filename",
            "InitiatingProcessFolderPath",
            "FolderPath",
            "InitiatingProcessFileName",
            "deviceProcessName",
            "fname",
            "filePath",
            "sourceProcessName",
            "destinationProcessName",
        ],
    ),
    (
        Class::Command,
        &[
            "CommandLine",
            "ParentCommandLine",
            "ProcessCommandLine",
            "ScriptBlockText",
            "Payload",
            "HostApplication",
            "ContextInfo",
            "process.command_line",
            "process.parent.command_line",
            "process.args",
            "proctitle",
            "InitiatingProcessCommandLine",
            "powershell.file.script_block_text",
            "TaskContent",
            "Details",
            "cmd",
            "command",
            "Data",
        ],
    ),
    (Class::Hashes, &["Hashes", "Hash", "ConfigurationFileHash"]),
    (Class::Imphash, &["Imphash", "process.pe.imphash", "file.pe.imphash", "dll.pe.imphash"]),
    (Class::Ja3, &["ja3", "ja3.hash", "tls.ja3.hash", "tls.client.ja3", "tls.ja3"]),
    (
        Class::Host,
        &[
            "SourceIp",
            "DestinationIp",
            "SourceHostname",
            "DestinationHostname",
            "QueryName",
            "IpAddress",
            "SourceAddress",
            "DestAddress",
            "WorkstationName",
            "ClientAddress",
            "src_ip",
            "dst_ip",
            "dest_ip",
            "src",
            "dst",
            "c-ip",
            "s-ip",
            "cs-host",
            "r-dns",
            "query",
            "id.orig_h",
            "id.resp_h",
            "host",
            "server_name",
            "source.ip",
            "destination.ip",
            "client.ip",
            "server.ip",
            "source.address",
            "destination.address",
            "source.domain",
            "destination.domain",
            "dns.question.name",
            "dns.rrname",
            "url.domain",
            "http.hostname",
            "tls.sni",
            "sourceIPAddress",
            "RemoteIP",
            "RemoteUrl",
            "answer",
            "answers",
        ],
    ),
    (
        Class::Url,
        &[
            "url",
            "uri",
            "c-uri",
            "cs-uri",
            "cs-referer",
            "cs-referrer",
            "referrer",
            "url.full",
            "url.original",
            "http.url",
            "http.http_refer",
            "http.request.referrer",
            "request",
            "RemoteName",
            "urls",
        ],
    ),
    (
        Class::RegistryKey,
        &[
            "TargetObject",
            "ObjectName",
            "NewName",
            "KeyPath",
            "RegistryKey",
            "registry.path",
            "registry.key",
            "RelativeName",
        ],
    ),
    (Class::Pipe, &["PipeName", "ShareName", "NamedPipe", "named_pipe", "RelativeTargetName"]),
    (Class::Mutex, &["MutexName", "Mutex", "MutantName"]),
    (Class::Service, &["ServiceName", "service.name", "DisplayName"]),
    (
        Class::UserAgent,
        &[
            "c-useragent",
            "cs-user-agent",
            "user_agent",
            "http.http_user_agent",
            "user_agent.original",
            "UserAgent",
            "userAgent",
        ],
    ),
    (
        Class::Version,
        &[
            "FileVersion",
            "ProductVersion",
            "EngineVersion",
            "HostVersion",
            "Version",
            "version",
            "file.pe.file_version",
            "process.pe.file_version",
            "SchemaVersion",
            "Signature_Version",
        ],
    ),
];

/// Pairs of fields that make up a URL together: host, then path (the query may be a third).
pub const SPLIT_URLS: &[(&str, &str, Option<&str>)] = &[
    ("host", "uri", None),
    ("http.hostname", "http.url", None),
    ("cs-host", "cs-uri-stem", Some("cs-uri-query")),
    ("url.domain", "url.path", Some("url.query")),
];

/// The classes of a dictionary's fields. A field can be of several (Security's `ObjectName` is a
/// path or a registry key).
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldClasses {
    /// Per field of the dictionary, bits of its classes.
    of: Vec<u16>,
    /// [`SPLIT_URLS`] as ids.
    pub(crate) split_urls: Vec<(FieldId, FieldId, Option<FieldId>)>,
}

impl FieldClasses {
    /// Enters the names into a dictionary.
    pub(crate) fn intern(names: &mut DictionaryBuilder) -> Self {
        let mut classes = Self::default();
        for (class, fields) in FIELDS {
            for field in *fields {
                let at = names.intern(field).index();
                if classes.of.len() <= at {
                    classes.of.resize(at + 1, 0);
                }
                classes.of[at] |= 1 << *class as u8;
            }
        }
        classes.split_urls = SPLIT_URLS
            .iter()
            .map(|(host, path, query)| {
                (names.intern(host), names.intern(path), query.map(|query| names.intern(query)))
            })
            .collect();
        classes
    }

    /// Bits of the classes of a field, `1 << class`; 0 for plain text.
    #[inline]
    pub(crate) fn of(&self, field: FieldId) -> u16 {
        self.of.get(field.index()).copied().unwrap_or(0)
    }
}

/// Whether a set of classes has a class.
#[inline]
pub(crate) fn has(classes: u16, class: FieldClass) -> bool {
    classes >> class as u8 & 1 == 1
}

/// The classes of a field by name, for the slow twin and for tests.
pub(crate) fn classes_by_name(name: &str) -> u16 {
    let listed =
        FIELDS.iter().filter(|(_, fields)| fields.iter().any(|field| field.eq_ignore_ascii_case(name)));
    listed.fold(0, |classes, (class, _)| classes | 1 << *class as u8)
}

/// The classes of a field of an event by its name.
pub(crate) fn classes_of(dictionary: &Dictionary, field: FieldId) -> u16 {
    if field.as_local().is_some() { 0 } else { classes_by_name(dictionary.name(field)) }
}
