//! STIX 2.1 bundle: what was observed, and of which rule or indicator it is a sighting.
//!
//! ```text
//! identity (Besa) ◀─created_by─ indicator (the Sigma rule, its text as pattern)
//!                                   ▲ sighting_of_ref
//!                               sighting ─observed_data_refs─▶ observed-data ─object_refs─▶ SCOs
//! ```
//!
//! A finding becomes one observed-data and one sighting, so that the bundle can be written while
//! findings are read. Where the rule came as a STIX indicator, the sighting is of that indicator
//! and it is not repeated.
//!
//! Ids are derived (UUIDv5) from creator, rule and record, and `created` is the time of the record: the
//! same evidence gives the same objects, and a node that gets them twice has them once. Only a
//! record without a time is dated by the hunt, which is when it was seen.
//!
//! SCOs are made from matched fields by [`SCO_FIELDS`]; what else the record said stands in an
//! extension of the observed-data. Memory: ids of at most [`SEEN_MAX`] SCOs are remembered to
//! write each once; past that an SCO may stand twice, with the same id and content.

use std::collections::HashSet;
use std::io::Write;

use besa_detect::{Finding, Kind, RuleRef};
use besa_event::{EventTime, Timestamp};
use besa_stix::id::{named_id, sco_id, split_id};
use besa_stix::marking::{
    TLP_2_AMBER, TLP_2_AMBER_STRICT, TLP_2_CLEAR, TLP_2_CREATED, TLP_2_EXTENSION, TLP_2_GREEN, TLP_2_RED,
    tlp_marking,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Report;
use super::record::{Row, each_row};
use crate::cli::Tlp;
use crate::hunt::summary::RuleSummary;

/// Namespace of the ids of our own objects.
const NAMESPACE: Uuid = Uuid::from_u128(0xf2e1_7b6c_8d4a_4c55_9a0e_1d2b_6b65_7361);
/// When the identity and the extension were defined.
const DEFINED: &str = "2026-11-23T00:00:00.000Z";
const SEEN_MAX: usize = 1_000_000;
/// Longest text taken into a property; evidence may hold megabytes in one field.
const TEXT_LEN_MAX: usize = 4_096;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let id = format!("bundle--{}", Uuid::new_v4());
    write!(out, "{{\"type\":\"bundle\",\"id\":\"{id}\",\"objects\":[")?;
    let mut separator: &[u8] = b"\n";
    each_object(report, &mut |object| {
        out.write_all(separator)?;
        separator = b",\n";
        Ok(serde_json::to_writer(&mut *out, object)?)
    })?;
    writeln!(out, "\n]}}")?;
    Ok(())
}

/// Gives every object of the bundle, each referred to before or at once after what refers to it.
pub(super) fn each_object(
    report: &Report<'_>,
    take: &mut dyn FnMut(&Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut bundle = Bundle::new(report, take);
    bundle.open()?;
    each_row(report, &mut |row, finding| bundle.finding(row, finding))
}

struct Bundle<'a> {
    report: &'a Report<'a>,
    take: &'a mut dyn FnMut(&Value) -> anyhow::Result<()>,
    /// Who made the objects.
    identity: String,
    /// Of the ids of what this creator makes: two creators never share an id.
    namespace: Uuid,
    extension: String,
    marking: &'static str,
    indicators: HashSet<RuleRef>,
    scos: HashSet<String>,
}

impl<'a> Bundle<'a> {
    fn new(report: &'a Report<'a>, take: &'a mut dyn FnMut(&Value) -> anyhow::Result<()>) -> Self {
        let (identity, namespace) = match report.creator {
            None => (tool_identity(), NAMESPACE),
            Some(creator) => {
                let id = match split_id(creator) {
                    Some(("identity", _)) => creator.to_owned(),
                    _ => named_id("identity", NAMESPACE, format!("creator\0{creator}").as_bytes()),
                };
                let namespace = Uuid::new_v5(&NAMESPACE, id.as_bytes());
                (id, namespace)
            }
        };
        Self {
            report,
            take,
            identity,
            namespace,
            extension: named_id("extension-definition", NAMESPACE, b"record"),
            marking: match report.tlp {
                Tlp::Clear => TLP_2_CLEAR,
                Tlp::Green => TLP_2_GREEN,
                Tlp::Amber => TLP_2_AMBER,
                Tlp::AmberStrict => TLP_2_AMBER_STRICT,
                Tlp::Red => TLP_2_RED,
            },
            indicators: HashSet::new(),
            scos: HashSet::new(),
        }
    }

    fn open(&mut self) -> anyhow::Result<()> {
        let identity = |id: &str, name: &str, class: &str| {
            json!({
                "type": "identity", "spec_version": "2.1", "id": id, "created": DEFINED, "modified": DEFINED,
                "name": name, "identity_class": class,
            })
        };
        let tool = tool_identity();
        // One who is named by an id has an identity object already.
        let creator = self.report.creator.filter(|creator| split_id(creator).is_none());
        let creator = creator.map(|name| identity(&self.identity, name, "organization"));
        let extension = json!({
            "type": "extension-definition", "spec_version": "2.1", "id": self.extension,
            "created_by_ref": tool, "created": DEFINED, "modified": DEFINED,
            "name": "Besa record",
            "description": "Where an observation stands in the evidence, and what of it matched.",
            "schema": "path, record: the place; host; matched: field to value or values; related: places of further records",
            "version": "1.0.0",
            "extension_types": ["property-extension"],
        });
        let marking = tlp_marking(self.marking).map(|marking| {
            json!({
                "type": "marking-definition", "spec_version": "2.1", "id": marking.id, "created": TLP_2_CREATED,
                "name": marking.name,
                "extensions": {TLP_2_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": marking.value}},
            })
        });
        let tool = identity(&tool, "Besa hunt", "system");
        for object in [Some(tool), creator, Some(extension), marking].into_iter().flatten() {
            self.object(&object)?;
        }
        Ok(())
    }

    fn object(&mut self, object: &Value) -> anyhow::Result<()> {
        (self.take)(object)
    }

    fn finding(&mut self, row: &Row<'_>, finding: &Finding) -> anyhow::Result<()> {
        let indicator = self.indicator(row, finding)?;
        let at = finding.time.map_or(self.report.now, |time| EventTime::from(time).at);
        let seen = at.rfc3339(3);
        let refs = self.scos(row)?;
        let key = self.key(row, finding, at);
        let observed = named_id("observed-data", self.namespace, key.as_bytes());
        let mut record = json!({
            "extension_type": "property-extension", "path": &*row.source.path, "record": row.source.record,
            "rule_id": row.rule_id, "matched": row.matched,
        });
        if !row.host.is_empty() {
            record["host"] = row.host.into();
        }
        if !row.related.is_empty() {
            record["related"] = serde_json::to_value(row.related)?;
        }
        self.object(&json!({
            "type": "observed-data", "spec_version": "2.1", "id": observed, "created_by_ref": self.identity,
            "created": seen, "modified": seen, "first_observed": seen, "last_observed": seen,
            "number_observed": 1, "object_refs": refs, "object_marking_refs": [self.marking],
            "extensions": {&self.extension: record},
        }))?;
        let host = if row.host.is_empty() { String::new() } else { format!(" on {}", row.host) };
        let mut sighting = json!({
            "type": "sighting", "spec_version": "2.1", "id": named_id("sighting", self.namespace, key.as_bytes()),
            "created_by_ref": self.identity, "created": seen, "modified": seen,
            "description": format!("{}{host}, record {} of {}", row.title, row.source.record, row.source.path),
            "first_seen": seen, "last_seen": seen, "count": 1, "sighting_of_ref": indicator,
            "observed_data_refs": [observed], "object_marking_refs": [self.marking],
        });
        if self.report.creator.is_some() {
            sighting["where_sighted_refs"] = json!([self.identity]);
        }
        self.object(&sighting)
    }

    /// What makes a finding this finding; one without a time is one of this hunt.
    fn key(&self, row: &Row<'_>, finding: &Finding, at: Timestamp) -> String {
        let matched = if row.info.kind == Kind::Correlation { row.matched.text() } else { String::new() };
        let Finding { source, .. } = finding;
        format!("{}\0{}\0{}\0{}\0{matched}", row.rule_id, source.path, source.record, at.0)
    }

    /// Id of the indicator that a finding is a sighting of; written once.
    fn indicator(&mut self, row: &Row<'_>, finding: &Finding) -> anyhow::Result<String> {
        if let Some(known) = row.intel_ref {
            return Ok(known.to_owned());
        }
        let id = named_id("indicator", self.namespace, row.rule_id.as_bytes());
        if self.indicators.insert(finding.rule) {
            let object = self.indicator_object(&id, row, finding)?;
            self.object(&object)?;
        }
        Ok(id)
    }

    fn indicator_object(&self, id: &str, row: &Row<'_>, finding: &Finding) -> anyhow::Result<Value> {
        let info = row.info;
        let rule = self.report.summary.rules.get(&finding.rule);
        let (pattern_type, pattern) = match info.kind {
            Kind::Sigma | Kind::Correlation => ("sigma", self.rule_text(&info.place)),
            Kind::Stix | Kind::Indicator => ("stix", value_pattern(row)),
        };
        let (created, modified) = self.dated(finding.rule);
        let mut object = json!({
            "type": "indicator", "spec_version": "2.1", "id": id, "created_by_ref": self.identity,
            "created": created, "modified": modified, "name": info.title, "pattern": pattern,
            "pattern_type": pattern_type, "valid_from": created, "object_marking_refs": [self.marking],
            "labels": [format!("level:{}", info.level)],
        });
        let by = if info.author.is_empty() { String::new() } else { format!("\nRule by {}.", info.author) };
        let description = format!("{}{by}", info.description);
        if !description.trim().is_empty() {
            object["description"] = description.trim().into();
        }
        let mut references: Vec<Value> = row
            .techniques
            .iter()
            .map(|id| json!({"source_name": "mitre-attack", "external_id": id, "url": format!("https://attack.mitre.org/techniques/{}", id.replace('.', "/"))}))
            .collect();
        references.push(json!({"source_name": "rule", "external_id": row.rule_id}));
        object["external_references"] = references.into();
        let phases: Vec<Value> = rule
            .map(RuleSummary::tactics)
            .unwrap_or_default()
            .into_iter()
            .map(|phase| json!({"kill_chain_name": "mitre-attack", "phase_name": phase}))
            .collect();
        if !phases.is_empty() {
            object["kill_chain_phases"] = phases.into();
        }
        Ok(object)
    }

    /// When the rule says that it was written and changed: the same in every hunt, as the object
    /// with that id has to be.
    fn dated(&self, rule: RuleRef) -> (String, String) {
        let set = self.report.detector.rules();
        let meta = match rule {
            RuleRef::Sigma(number) => set.rules.get(number as usize).map(|rule| &rule.meta),
            RuleRef::Correlation(number) => set.correlations.get(number as usize).map(|rule| &rule.meta),
            RuleRef::Indicator(_) | RuleRef::Pattern(_) => None,
        };
        let read = |text: Option<&String>| EventTime::parse_iso(text?.as_bytes()).map(|time| time.at);
        let created = read(meta.and_then(|meta| meta.date.as_ref()));
        let modified = read(meta.and_then(|meta| meta.modified.as_ref())).max(created);
        let text = |time: Option<Timestamp>| time.map_or_else(|| DEFINED.to_owned(), |time| time.rfc3339(3));
        (text(created), text(created.and(modified)))
    }

    /// The rule file as it was loaded: several documents if the file holds several.
    fn rule_text(&self, place: &str) -> String {
        let origin = place.rsplit_once(':').map_or(place, |(origin, _)| origin);
        self.report
            .texts
            .get(origin)
            .filter(|text| !text.trim().is_empty())
            .cloned()
            .unwrap_or_else(|| place.to_owned())
    }

    /// Writes the SCOs of a finding that are new; gives the ids of all of them, never none.
    fn scos(&mut self, row: &Row<'_>) -> anyhow::Result<Vec<String>> {
        let mut objects = objects_of(row);
        if objects.is_empty() {
            objects.push(evidence_file(&row.source.path));
        }
        let mut ids = Vec::new();
        for mut object in objects {
            let Some(id) = sco_id(&object)? else { continue };
            object["id"] = id.as_str().into();
            object["spec_version"] = "2.1".into();
            if ids.contains(&id) {
                continue;
            }
            if !self.scos.contains(&id) {
                if self.scos.len() < SEEN_MAX {
                    self.scos.insert(id.clone());
                }
                self.object(&object)?;
            }
            ids.push(id);
        }
        Ok(ids)
    }
}

/// The hunt itself, as the creator where nobody else is named.
fn tool_identity() -> String {
    named_id("identity", NAMESPACE, b"besa")
}

/// An indicator of a plain list has no STIX pattern of its own: the value that it matched is one.
fn value_pattern(row: &Row<'_>) -> String {
    let objects = objects_of(row);
    let object = objects.first().cloned().unwrap_or_else(|| json!({"type": "artifact", "payload_bin": ""}));
    let path = ["value", "name", "key", "command_line"].into_iter().find(|path| object.get(path).is_some());
    let text = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let of = |part: &str| object.get(part).and_then(Value::as_str).unwrap_or_default().to_owned();
    match path {
        Some(path) => format!("[{}:{path} = '{}']", of("type"), text(&of(path))),
        None => {
            let hash =
                object.get("hashes").and_then(Value::as_object).and_then(|hashes| hashes.iter().next());
            match hash.and_then(|(name, value)| Some((name, value.as_str()?))) {
                Some((name, value)) => format!("[file:hashes.'{name}' = '{value}']"),
                None => format!("[artifact:payload_bin = '{}']", text(row.title)),
            }
        }
    }
}

/// What a field's value is an observable of.
#[derive(Clone, Copy, Debug)]
enum Sco {
    Address,
    Domain,
    Url,
    Email,
    Path,
    Hashes,
    RegistryKey,
    Account,
}

/// Field names (as Sigma, Zeek, ECS and web logs have them) and what their values are.
const SCO_FIELDS: &[(&str, Sco)] = &[
    ("Image", Sco::Path),
    ("ParentImage", Sco::Path),
    ("OriginalFileName", Sco::Path),
    ("TargetFilename", Sco::Path),
    ("ImageLoaded", Sco::Path),
    ("SourceImage", Sco::Path),
    ("TargetImage", Sco::Path),
    ("NewProcessName", Sco::Path),
    ("ParentProcessName", Sco::Path),
    ("ImagePath", Sco::Path),
    ("RelativeTargetName", Sco::Path),
    ("filename", Sco::Path),
    ("Hashes", Sco::Hashes),
    ("md5", Sco::Hashes),
    ("sha1", Sco::Hashes),
    ("sha256", Sco::Hashes),
    ("Imphash", Sco::Hashes),
    ("TargetObject", Sco::RegistryKey),
    ("ObjectName", Sco::RegistryKey),
    ("DestinationIp", Sco::Address),
    ("SourceIp", Sco::Address),
    ("IpAddress", Sco::Address),
    ("id.orig_h", Sco::Address),
    ("id.resp_h", Sco::Address),
    ("src_ip", Sco::Address),
    ("dest_ip", Sco::Address),
    ("dst_ip", Sco::Address),
    ("c-ip", Sco::Address),
    ("s-ip", Sco::Address),
    ("client_ip", Sco::Address),
    ("QueryResults", Sco::Address),
    ("QueryName", Sco::Domain),
    ("query", Sco::Domain),
    ("DestinationHostname", Sco::Domain),
    ("cs-host", Sco::Domain),
    ("r-dns", Sco::Domain),
    ("host_header", Sco::Domain),
    ("server_name", Sco::Domain),
    ("c-uri", Sco::Url),
    ("url", Sco::Url),
    ("uri", Sco::Url),
    ("User", Sco::Account),
    ("TargetUserName", Sco::Account),
    ("SubjectUserName", Sco::Account),
    ("cs-username", Sco::Account),
    ("mailfrom", Sco::Email),
    ("rcptto", Sco::Email),
    ("sender", Sco::Email),
];

fn objects_of(row: &Row<'_>) -> Vec<Value> {
    let mut objects = Vec::new();
    for (field, value) in row.matched.0 {
        let kind =
            SCO_FIELDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, kind)| *kind);
        let value = value.trim();
        if value.is_empty() || value.len() > TEXT_LEN_MAX {
            continue;
        }
        let object = match kind {
            None => guessed(field, value),
            Some(kind) => object_of(kind, value),
        };
        objects.extend(object);
    }
    objects
}

/// Of a field that no table knows: addresses are told by their form.
fn guessed(field: &str, value: &str) -> Option<Value> {
    let field = field.to_ascii_lowercase();
    (field.contains("ip") || field.contains("addr")).then(|| address(value)).flatten()
}

fn object_of(kind: Sco, value: &str) -> Option<Value> {
    match kind {
        Sco::Address => address(value),
        Sco::Domain => is_domain(value).then(|| json!({"type": "domain-name", "value": value})),
        Sco::Url => value.contains("://").then(|| json!({"type": "url", "value": value})),
        Sco::Email => value.contains('@').then(|| json!({"type": "email-addr", "value": value})),
        Sco::Path => file(value),
        Sco::Hashes => hashes(value),
        Sco::RegistryKey => {
            value.contains('\\').then(|| json!({"type": "windows-registry-key", "key": hive(value)}))
        }
        Sco::Account => Some(json!({"type": "user-account", "account_login": value})),
    }
}

fn address(value: &str) -> Option<Value> {
    let address: std::net::IpAddr = value.strip_prefix("::ffff:").unwrap_or(value).parse().ok()?;
    let kind = if address.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
    Some(json!({"type": kind, "value": address.to_string()}))
}

fn is_domain(value: &str) -> bool {
    let value = value.trim_end_matches('.');
    value.contains('.')
        && value.parse::<std::net::IpAddr>().is_err()
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// A file by its name; the whole path would need a directory object, and stands in the record.
fn file(path: &str) -> Option<Value> {
    let name = path.rsplit(['\\', '/']).next().filter(|name| !name.is_empty())?;
    Some(json!({"type": "file", "name": name}))
}

/// `SHA256=…,MD5=…` as Sysmon writes it, or one bare hash.
fn hashes(value: &str) -> Option<Value> {
    let mut found = Map::new();
    for part in value.split(',') {
        let digits = part.rsplit('=').next().unwrap_or(part).trim();
        let is_imphash = part.to_ascii_uppercase().starts_with("IMPHASH");
        let name = match digits.len() {
            32 if !is_imphash => "MD5",
            40 => "SHA-1",
            64 => "SHA-256",
            _ => continue,
        };
        if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            found.insert(name.to_owned(), digits.to_ascii_lowercase().into());
        }
    }
    (!found.is_empty()).then(|| json!({"type": "file", "hashes": found}))
}

/// Hives are to be written out (STIX 2.1 section 6.17).
fn hive(key: &str) -> String {
    for (short, long) in [
        ("HKLM\\", "HKEY_LOCAL_MACHINE\\"),
        ("HKU\\", "HKEY_USERS\\"),
        ("HKCU\\", "HKEY_CURRENT_USER\\"),
        ("HKCR\\", "HKEY_CLASSES_ROOT\\"),
    ] {
        if let Some(rest) = key.strip_prefix(short) {
            return format!("{long}{rest}");
        }
    }
    key.to_owned()
}

/// The file of evidence itself, where nothing that matched is an observable.
fn evidence_file(path: &str) -> Value {
    let name = path.rsplit(['\\', '/', '!']).next().filter(|name| !name.is_empty()).unwrap_or("-");
    json!({"type": "file", "name": name})
}
