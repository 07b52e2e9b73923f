//! The intelligence that goes with the replay, as STIX 2.1 bundles: the published indicators, and
//! the replay's own infrastructure as the first member would share it with the others.
//!
//! Ids are derived from names, so that every run and every member has the same ones.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::attack::{ENTRY_ADDRESS, MAIL_ADDRESS};
use super::facts::{Checked, SOURCES};
use super::indicators::PUBLISHED;

const CREATED: &str = "2022-09-21T00:00:00.000Z";
const TLP_CLEAR: &str = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487";
const TLP_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";

/// The bundle of published indicators with their campaign and tools.
pub(super) fn published() -> String {
    let author = identity("Besa replay");
    let campaign = object(
        &author,
        "campaign",
        "HomeLand Justice",
        json!({
            "name": "HomeLand Justice",
            "description": "Disruptive campaign against Albania, May 2021 to September 2022 (ATT&CK C0038).",
            "first_seen": "2021-05-01T00:00:00.000Z",
            "last_seen": "2022-09-01T00:00:00.000Z",
            "external_references": [{
                "source_name": "mitre-attack",
                "external_id": "C0038",
                "url": "https://attack.mitre.org/campaigns/C0038",
            }],
        }),
    );
    let mut objects = vec![author.clone(), tlp_clear(), campaign.clone()];
    for published in PUBLISHED {
        let references: Vec<Value> = published.sources.iter().filter_map(|key| reference(key)).collect();
        let (confidence, label) = match published.checked {
            Checked::Primary => (90, "read"),
            Checked::Secondary => (80, "read as quoted"),
            Checked::Recalled => (50, "recalled"),
        };
        let confidence =
            if is_common(published.pattern) { confidence.min(NAME_CONFIDENCE) } else { confidence };
        let indicator = object(
            &author,
            "indicator",
            published.pattern,
            json!({
                "name": published.name,
                "description": format!("{} Historical: for replay and tests, not for blocking. Name: {label}.", published.note).trim(),
                "indicator_types": ["malicious-activity"],
                "pattern": published.pattern,
                "pattern_type": "stix",
                "pattern_version": "2.1",
                "valid_from": "2021-05-01T00:00:00.000Z",
                "confidence": confidence,
                "external_references": references,
            }),
        );
        objects.push(indicates(&author, &indicator, &campaign));
        objects.push(indicator);
    }
    bundle("published", &objects)
}

/// What is worth little by itself: anyone may probe for a file name, and administrators type
/// commands. Below 30, which every reader of STIX takes for low (appendix A).
const NAME_CONFIDENCE: u8 = 25;

fn is_common(pattern: &str) -> bool {
    let name_alone = pattern.starts_with("[file:name =") && !pattern.contains(" AND ");
    name_alone || pattern.starts_with("[process:command_line LIKE")
}

/// The bundle of the addresses that the replay invents for the attackers.
pub(super) fn of_the_replay() -> String {
    let author = identity("Albania (replay)");
    let mut objects = vec![author.clone(), tlp_clear()];
    for (address, role) in [(ENTRY_ADDRESS, "calls the web shells"), (MAIL_ADDRESS, "takes mail")] {
        let pattern = format!("[ipv4-addr:value = '{address}']");
        objects.push(object(&author, "indicator", &pattern, json!({
            "name": format!("{address} {role}"),
            "description": "Invented for the replay; the address is set aside for documentation (RFC 5737).",
            "indicator_types": ["malicious-activity"],
            "pattern": pattern,
            "pattern_type": "stix",
            "pattern_version": "2.1",
            "valid_from": "2021-05-01T00:00:00.000Z",
            "confidence": 90,
        })));
    }
    bundle("replay", &objects)
}

fn bundle(name: &str, objects: &[Value]) -> String {
    let bundle = json!({"type": "bundle", "id": id("bundle", name), "objects": objects});
    format!("{bundle:#}\n")
}

/// An id of version 5's form, from a hash of kind and name.
fn id(kind: &str, name: &str) -> String {
    let digest = Sha256::new()
        .chain_update("besa scenario\0")
        .chain_update(kind)
        .chain_update("\0")
        .chain_update(name)
        .finalize();
    let mut bytes: Vec<u8> = digest.iter().copied().take(16).collect();
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}--{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// An object of the author's with the common properties.
fn object(author: &Value, kind: &str, name: &str, properties: Value) -> Value {
    let mut object = json!({
        "type": kind,
        "spec_version": "2.1",
        "id": id(kind, name),
        "created_by_ref": author["id"],
        "created": CREATED,
        "modified": CREATED,
        "object_marking_refs": [TLP_CLEAR],
    });
    if let (Some(object), Value::Object(properties)) = (object.as_object_mut(), properties) {
        object.extend(properties);
    }
    object
}

fn identity(name: &str) -> Value {
    json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": id("identity", name),
        "created": CREATED,
        "modified": CREATED,
        "name": name,
        "identity_class": "organization",
        "object_marking_refs": [TLP_CLEAR],
    })
}

fn indicates(author: &Value, indicator: &Value, campaign: &Value) -> Value {
    let name = format!("{} indicates {}", indicator["id"], campaign["id"]);
    object(
        author,
        "relationship",
        &name,
        json!({
            "relationship_type": "indicates",
            "source_ref": indicator["id"],
            "target_ref": campaign["id"],
        }),
    )
}

/// TLP:CLEAR as OASIS publishes it for TLP 2.0.
fn tlp_clear() -> Value {
    json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TLP_CLEAR,
        "created": "2022-10-01T00:00:00.000Z",
        "name": "TLP:CLEAR",
        "extensions": {TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": "clear"}},
    })
}

fn reference(key: &str) -> Option<Value> {
    let source = SOURCES.iter().find(|source| source.key == key)?;
    Some(if source.place.starts_with("http") {
        json!({"source_name": key, "url": source.place})
    } else {
        json!({"source_name": key, "description": source.place})
    })
}
