//! MISP: events and attributes in JSON, and the types of its attributes.
//!
//! Shapes read: an event (`{"Event": …}` or its inside), lists of events, `{"response": …}` of
//! either, attributes alone (`{"response": {"Attribute": […]}}`). Attributes of objects count as
//! those of the event.
//!
//! Only attributes with `to_ids` are indicators; MISP marks so what is meant for detection. Where
//! no attribute of a file has that property at all (cut-down exports), every one counts. Deleted
//! attributes are left out.

use std::borrow::Cow;

use besa_event::observable::{ObservableKind, refang};
use besa_sigma::Level;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::{Description, Loading, Place};

/// Events of a text.
pub(super) struct Shape<'a> {
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "Event")]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow, rename = "Attribute")]
    attributes: Option<&'a RawValue>,
    #[serde(borrow, rename = "Object")]
    objects: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    object_type: Option<&'a RawValue>,
}

/// The events of a text, if it is MISP's.
pub(super) fn recognise(bytes: &[u8]) -> Option<Shape<'_>> {
    let mut shape = Shape { events: Vec::new() };
    let whole: &RawValue = serde_json::from_slice(bytes).ok()?;
    collect(whole, 0, &mut shape.events)?;
    (!shape.events.is_empty()).then_some(shape)
}

fn collect<'a>(json: &'a RawValue, depth: usize, events: &mut Vec<&'a RawValue>) -> Option<()> {
    if depth > 4 {
        return None;
    }
    if json.get().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(json.get()).ok()?;
        return list.into_iter().try_for_each(|item| collect(item, depth + 1, events));
    }
    let envelope: Envelope<'_> = serde_json::from_str(json.get()).ok()?;
    if let Some(inner) = envelope.event.or(envelope.response) {
        return collect(inner, depth + 1, events);
    }
    let is_event =
        envelope.object_type.is_none() && (envelope.attributes.is_some() || envelope.objects.is_some());
    is_event.then(|| events.push(json))
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    info: String,
    #[serde(default)]
    threat_level_id: Json,
    #[serde(rename = "Orgc")]
    orgc: Option<Organisation>,
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
    #[serde(borrow, rename = "Attribute", default)]
    attributes: Vec<&'a RawValue>,
    #[serde(borrow, rename = "Object", default)]
    objects: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Organisation {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, rename = "Attribute", default)]
    attributes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attribute {
    uuid: Option<String>,
    #[serde(rename = "type")]
    attribute_type: String,
    value: String,
    to_ids: Option<Json>,
    #[serde(default)]
    deleted: Json,
}

/// MISP writes flags as booleans, numbers or digits.
fn is_set(flag: &Json) -> bool {
    match flag {
        Json::Bool(flag) => *flag,
        Json::Number(number) => number.as_i64() == Some(1),
        Json::String(text) => text == "1" || text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

pub(super) fn load(loading: &mut Loading<'_>, shape: &Shape<'_>) {
    let mut events = Vec::new();
    for (number, raw) in (1..).zip(&shape.events) {
        match serde_json::from_str::<Event<'_>>(raw.get()) {
            Ok(event) => {
                let attributes = read_attributes(loading, &event);
                events.push((event, attributes));
            }
            Err(error) => loading.refuse(Place::Object(format!("event {number}")), error.to_string()),
        }
    }
    let marked = events.iter().flat_map(|(_, attributes)| attributes).any(|each| each.to_ids.is_some());
    for (event, attributes) in events {
        add_event(loading, &event, attributes, marked);
    }
}

fn read_attributes(loading: &mut Loading<'_>, event: &Event<'_>) -> Vec<Attribute> {
    let mut raw = event.attributes.clone();
    for (number, object) in (1..).zip(&event.objects) {
        match serde_json::from_str::<Object<'_>>(object.get()) {
            Ok(object) => raw.extend(object.attributes),
            Err(error) => {
                loading.refuse(Place::Object(format!("{} object {number}", event.uuid)), error.to_string());
            }
        }
    }
    let mut attributes = Vec::with_capacity(raw.len());
    for (number, raw) in (1..).zip(raw) {
        match serde_json::from_str(raw.get()) {
            Ok(attribute) => attributes.push(attribute),
            Err(error) => {
                loading
                    .refuse(Place::Object(format!("{} attribute {number}", event.uuid)), error.to_string());
            }
        }
    }
    attributes
}

fn add_event(loading: &mut Loading<'_>, event: &Event<'_>, attributes: Vec<Attribute>, marked: bool) {
    let tags: Vec<String> =
        event.tags.iter().map(|tag| technique(&tag.name).unwrap_or_else(|| tag.name.clone())).collect();
    let record = loading.record(&Description {
        each: true,
        level: Some(level(&event.threat_level_id)),
        id: &event.uuid,
        name: &event.info,
        author: event.orgc.as_ref().map_or("", |organisation| &organisation.name),
        tags,
        ..Description::default()
    });
    loading.run(record);
    let mut unmarked = 0_usize;
    for attribute in attributes {
        if is_set(&attribute.deleted) {
            continue;
        }
        if marked && !attribute.to_ids.as_ref().is_some_and(is_set) {
            unmarked += 1;
            continue;
        }
        let place = || Place::Object(attribute.uuid.clone().unwrap_or_else(|| attribute.value.clone()));
        match typed(&attribute.attribute_type, &attribute.value) {
            Typed::Values(values) => {
                for (kind, text) in values {
                    if let Err(reason) = loading.value(kind, &plain(kind, text)) {
                        loading.refuse(place(), reason);
                    }
                }
            }
            Typed::NotApplicable | Typed::Unknown => {
                let reason = format!(
                    "attributes of type `{}` are not found in logs",
                    super::cut(&attribute.attribute_type)
                );
                loading.refuse(place(), reason);
            }
        }
    }
    if unmarked > 0 {
        let reason = format!("{unmarked} attributes are not marked for detection (`to_ids`)");
        loading.refuse(Place::Object(event.uuid.clone()), reason);
    }
}

/// MISP's threat levels: 1 high, 2 medium, 3 low, 4 undefined.
fn level(id: &Json) -> Level {
    let id = id.as_i64().or_else(|| id.as_str()?.parse().ok());
    match id {
        Some(1) => Level::High,
        Some(3) => Level::Low,
        _ => Level::Medium,
    }
}

/// `attack.t1059` of a galaxy tag `misp-galaxy:mitre-attack-pattern="… - T1059"`.
fn technique(tag: &str) -> Option<String> {
    let inside = tag.strip_prefix("misp-galaxy:mitre-attack-pattern=\"")?.strip_suffix('"')?;
    let id = inside.rsplit(" - ").next()?;
    let is_id = id.starts_with('T') && id[1..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_id.then(|| format!("attack.{}", id.to_ascii_lowercase()))
}

/// What a value of a stated type is.
pub(super) enum Typed<'v> {
    /// These observables.
    Values(Vec<(ObservableKind, &'v str)>),
    /// Nothing that stands in logs.
    NotApplicable,
    /// The type is not known.
    Unknown,
}

/// The value re-fanged where its kind is one that people defang.
pub(super) fn plain(kind: ObservableKind, value: &str) -> Cow<'_, str> {
    use ObservableKind as Kind;
    match kind {
        Kind::Ipv4 | Kind::Ipv6 | Kind::Network | Kind::Domain | Kind::Url | Kind::Email => {
            refang(value).into()
        }
        _ => value.into(),
    }
}

/// The observables in a value, by the words of MISP, STIX and plain lists for its type.
pub(super) fn typed<'v>(stated: &str, value: &'v str) -> Typed<'v> {
    let stated = stated.trim().to_ascii_lowercase();
    let value = value.trim();
    // `a|b` holds both; of `ip-dst|port` the second is no observable.
    if let Some((first, second)) = stated.split_once('|') {
        let (one, other) = value.split_once('|').unwrap_or((value, ""));
        let one = kind_of(first).map(|kind| (kind, one));
        let other = kind_of(second).filter(|_| !other.is_empty()).map(|kind| (kind, other));
        // Of a name and a hash the hash counts: the name alone says little.
        let pair =
            if first == "filename" || first == "malware-sample" { (None, other) } else { (one, other) };
        let found: Vec<_> = if first == "regkey" {
            vec![(ObservableKind::RegistryKey, value.split('|').next().unwrap_or(value))]
        } else {
            [pair.0, pair.1].into_iter().flatten().collect()
        };
        return if found.is_empty() { Typed::NotApplicable } else { Typed::Values(found) };
    }
    if stated == "malware-sample" {
        return match value.split_once('|') {
            Some((_, hash)) => Typed::Values(vec![(ObservableKind::Md5, hash)]),
            None => Typed::NotApplicable,
        };
    }
    if stated == "filename" && value.contains(['/', '\\']) {
        return Typed::Values(vec![(ObservableKind::FilePath, value)]);
    }
    match kind_of(&stated) {
        Some(kind) => Typed::Values(vec![(kind, value)]),
        None if NOT_APPLICABLE.iter().any(|known| stated.starts_with(known)) => Typed::NotApplicable,
        None => Typed::Unknown,
    }
}

fn kind_of(stated: &str) -> Option<ObservableKind> {
    use ObservableKind as Kind;
    Some(match stated {
        "ip-src" | "ip-dst" | "ip" | "ipv4" | "ipv6" | "ipv4-addr" | "ipv6-addr" | "ip address" | "cidr"
        | "network" | "ip:port" | "domain-ip" => Kind::Network,
        "domain" | "hostname" | "domain-name" | "fqdn" => Kind::Domain,
        "url" | "uri" | "link" => Kind::Url,
        "md5" | "md5_hash" | "filehash-md5" => Kind::Md5,
        "sha1" | "sha-1" | "sha1_hash" | "filehash-sha1" | "x509-fingerprint-sha1" => Kind::Sha1,
        "sha256" | "sha-256" | "sha256_hash" | "filehash-sha256" | "x509-fingerprint-sha256" => Kind::Sha256,
        "sha512" | "sha-512" | "filehash-sha512" => Kind::Sha512,
        "imphash" => Kind::Imphash,
        "ja3-fingerprint-md5" | "ja3" | "jarm-ja3" => Kind::Ja3,
        "email" | "email-src" | "email-dst" | "email-reply-to" | "email-addr" | "email address"
        | "target-email" => Kind::Email,
        "filename" | "file name" | "file-name" | "email-attachment" => Kind::FileName,
        "filepath" | "file path" | "path" => Kind::FilePath,
        "regkey" | "registry key" | "windows-registry-key" => Kind::RegistryKey,
        "mutex" => Kind::Mutex,
        "named pipe" | "named-pipe" | "pipe" => Kind::NamedPipe,
        "windows-service-name" | "service name" => Kind::ServiceName,
        "user-agent" | "http-user-agent" => Kind::UserAgent,
        _ => return None,
    })
}

/// Types (and their beginnings) that name nothing a log holds as such.
const NOT_APPLICABLE: &[&str] = &[
    "yara",
    "snort",
    "zeek",
    "bro",
    "sigma",
    "ssdeep",
    "tlsh",
    "authentihash",
    "vhash",
    "impfuzzy",
    "telfhash",
    "cdhash",
    "sha224",
    "sha384",
    "sha3",
    "sha512/",
    "pehash",
    "attachment",
    "comment",
    "text",
    "other",
    "vulnerability",
    "cpe",
    "weakness",
    "port",
    "as",
    "size-in-bytes",
    "datetime",
    "counter",
    "float",
    "hex",
    "boolean",
    "btc",
    "xmr",
    "dash",
    "iban",
    "bic",
    "bank-",
    "phone",
    "whois",
    "threat-actor",
    "campaign",
    "target-",
    "github",
    "jabber",
    "twitter",
    "stix2-pattern",
    "pattern-in",
    "pgp",
    "email-subject",
    "email-body",
    "email-header",
    "email-message-id",
    "email-mime",
    "email-thread",
    "email-x-mailer",
    "windows-service-displayname",
    "windows-scheduled-task",
    "process-state",
    "mime-type",
    "gene",
    "kusto",
    "mac-",
    "hassh",
    "jarm",
    "ja4",
    "favicon",
    "dns-soa",
    "pdb",
    "cookie",
    "http-method",
    "uri-",
    "ssh-",
];
