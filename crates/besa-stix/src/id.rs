//! STIX identifiers (section 2.9): `object-type--UUID`.
//!
//! A cyber-observable object's id SHOULD be a UUIDv5 over the canonical JSON of its contributing
//! properties, so that the same address has the same id everywhere. Ids of others that were made
//! differently are legal and never rewritten.
//!
//! ```
//! let address = serde_json::json!({"type": "ipv4-addr", "value": "198.51.100.3"});
//! let id = besa_stix::id::sco_id(&address).unwrap();
//! assert_eq!(id.as_deref(), Some("ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"));
//! ```

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::canonical::{CanonicalError, canonical};

/// The namespace of deterministic SCO ids (section 2.9).
pub const SCO_NAMESPACE: Uuid = Uuid::from_u128(0x00abedb4_aa42_466c_9c01_fed23315a9b7);

/// "ID Contributing Properties" of section 6, type by type. `process` has none: its ids are random.
const CONTRIBUTING: [(&str, &[&str]); 17] = [
    ("artifact", &["hashes", "payload_bin"]),
    ("autonomous-system", &["number"]),
    ("directory", &["path"]),
    ("domain-name", &["value"]),
    ("email-addr", &["value"]),
    ("email-message", &["from_ref", "subject", "body"]),
    ("file", &["hashes", "name", "extensions", "parent_directory_ref"]),
    ("ipv4-addr", &["value"]),
    ("ipv6-addr", &["value"]),
    ("mac-addr", &["value"]),
    ("mutex", &["name"]),
    (
        "network-traffic",
        &["start", "end", "src_ref", "dst_ref", "src_port", "dst_port", "protocols", "extensions"],
    ),
    ("software", &["name", "cpe", "swid", "vendor", "version"]),
    ("url", &["value"]),
    ("user-account", &["account_type", "user_id", "account_login"]),
    ("windows-registry-key", &["key", "values"]),
    ("x509-certificate", &["hashes", "serial_number"]),
];

/// Hashes in the order in which one is chosen to contribute.
const HASH_ORDER: [&str; 4] = ["MD5", "SHA-1", "SHA-256", "SHA-512"];

/// The properties that make the id of an SCO type; `None` for other types and for `process`.
pub fn contributing_properties(object_type: &str) -> Option<&'static [&'static str]> {
    CONTRIBUTING.iter().find(|(name, _)| *name == object_type).map(|(_, properties)| *properties)
}

/// The deterministic id of an SCO, from its `type` and contributing properties.
///
/// `None` if the type has none or none is present: such an object takes a random (version 4) id.
/// Fails only for values that have no canonical JSON.
pub fn sco_id(object: &Value) -> Result<Option<String>, CanonicalError> {
    let Some(object_type) = object.get("type").and_then(Value::as_str) else { return Ok(None) };
    let Some(properties) = contributing_properties(object_type) else { return Ok(None) };
    let mut contributing = Map::new();
    for property in properties {
        match object.get(property) {
            None | Some(Value::Null) => {}
            Some(Value::Object(hashes)) if *property == "hashes" => {
                if let Some((algorithm, hash)) = chosen_hash(hashes) {
                    let one = Map::from_iter([(algorithm.clone(), hash.clone())]);
                    contributing.insert("hashes".to_owned(), Value::Object(one));
                }
            }
            Some(value) => {
                contributing.insert((*property).to_owned(), value.clone());
            }
        }
    }
    if contributing.is_empty() {
        return Ok(None);
    }
    let name = canonical(&Value::Object(contributing))?;
    Ok(Some(named_id(object_type, SCO_NAMESPACE, name.as_bytes())))
}

/// `type--UUIDv5(namespace, name)`: for objects of our own that should get the same id each time.
pub fn named_id(object_type: &str, namespace: Uuid, name: &[u8]) -> String {
    format!("{object_type}--{}", Uuid::new_v5(&namespace, name))
}

/// Splits an identifier into type and UUID; `None` if it has another form. The UUID may be of any
/// version, its digits of either case.
pub fn split_id(id: &str) -> Option<(&str, Uuid)> {
    let (object_type, uuid) = id.split_at_checked(id.len().checked_sub(36)?)?;
    let hyphenated = uuid.char_indices().all(|(at, digit)| match at {
        8 | 13 | 18 | 23 => digit == '-',
        _ => digit.is_ascii_hexdigit(),
    });
    let object_type = object_type.strip_suffix("--")?;
    let uuid = Uuid::try_parse(uuid).ok().filter(|_| hyphenated)?;
    is_type_name(object_type).then_some((object_type, uuid))
}

/// Whether a text can be an object type: 3 to 250 of a–z, 0–9 and `-`, no two hyphens in a row,
/// none at an end (sections 3.1 and 11.2.1).
pub fn is_type_name(text: &str) -> bool {
    (3..=250).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.contains("--")
        && !text.ends_with('-')
}

fn chosen_hash(hashes: &Map<String, Value>) -> Option<(&String, &Value)> {
    let preferred = HASH_ORDER.into_iter().find_map(|algorithm| hashes.get_key_value(algorithm));
    preferred.or_else(|| hashes.iter().min_by_key(|(algorithm, _)| *algorithm))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_hash_contributes() {
        let id =
            |hashes: Value| sco_id(&json!({"type": "file", "size": 1, "hashes": hashes})).unwrap().unwrap();
        assert_eq!(id(json!({"SHA-256": "b", "MD5": "a", "SHA-1": "c"})), id(json!({"MD5": "a"})));
        assert_eq!(id(json!({"TLSH": "b", "SSDEEP": "a"})), id(json!({"SSDEEP": "a"})));
        assert_eq!(sco_id(&json!({"type": "file", "size": 1})).unwrap(), None);
        assert_eq!(sco_id(&json!({"type": "process", "pid": 1})).unwrap(), None);
        assert_eq!(sco_id(&json!({"type": "campaign", "name": "x"})).unwrap(), None);
    }

    #[test]
    fn identifiers() {
        let upper = "x509-certificate--595F18A0-EE16-526B-9DA9-C31E3F5D7C4A";
        assert_eq!(split_id(upper).unwrap().0, "x509-certificate");
        for bad in [
            "",
            "tool--blablabla",
            "595f18a0-ee16-526b-9da9-c31e3f5d7c4a",
            "--595f18a0-ee16-526b-9da9-c31e3f5d7c4a",
            "x--thing--595f18a0-ee16-526b-9da9-c31e3f5d7c4a",
            "tool-595f18a0-ee16-526b-9da9-c31e3f5d7c4a",
            "tool--595f18a0ee16526b9da9c31e3f5d7c4a5555",
            "Tool--595f18a0-ee16-526b-9da9-c31e3f5d7c4a",
            "ü",
        ] {
            assert_eq!(split_id(bad), None, "{bad}");
        }
    }
}
