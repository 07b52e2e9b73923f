//! Normal forms of observable values, so that `198.51.100[.]3`, `Example.COM.` and a hash in upper
//! case are found however they were written.
//!
//! An object's values are those of its own SCO properties, or, for an indicator, the constants that
//! its STIX pattern compares with `=` or `IN`. Values over [`VALUE_BYTES_MAX`] bytes are indexed by
//! their SHA-256. The index may name an object that a closer look rejects; it never misses one.

use std::net::{Ipv4Addr, Ipv6Addr};

use besa_stix::pattern::{Constant, Op, Operand, Pattern};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::object::INDEXED_MAX;

/// Longest value indexed as it is.
pub const VALUE_BYTES_MAX: usize = 512;

/// Properties of SCO types that hold a value worth looking for.
const VALUE_PROPERTIES: [(&str, &str); 16] = [
    ("autonomous-system", "number"),
    ("directory", "path"),
    ("domain-name", "value"),
    ("email-addr", "value"),
    ("email-message", "subject"),
    ("file", "name"),
    ("ipv4-addr", "value"),
    ("ipv6-addr", "value"),
    ("mac-addr", "value"),
    ("mutex", "name"),
    ("process", "command_line"),
    ("software", "name"),
    ("url", "value"),
    ("user-account", "account_login"),
    ("windows-registry-key", "key"),
    ("x509-certificate", "serial_number"),
];

/// The normal form of a value: re-fanged, addresses in their shortest text without a full-length
/// prefix, everything else trimmed and in lower case.
pub fn normal_form(value: &str) -> String {
    let refanged = refang(value.trim());
    let bare = refanged.strip_suffix("/32").unwrap_or(&refanged);
    if let Ok(address) = bare.parse::<Ipv4Addr>() {
        return address.to_string();
    }
    let bare = refanged.strip_suffix("/128").unwrap_or(&refanged);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return address.to_string();
    }
    let lower = refanged.to_lowercase().replace('\0', "\u{fffd}");
    let lower = lower.strip_suffix('.').filter(|name| !name.contains(['/', ' '])).unwrap_or(&lower);
    if lower.len() <= VALUE_BYTES_MAX {
        return lower.to_owned();
    }
    let digest = Sha256::digest(lower.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256 of value: {hex}")
}

/// Values of an object, in normal form, each once.
pub(crate) fn observables(object: &Value) -> Vec<String> {
    let mut values = Vec::new();
    match object.get("type").and_then(Value::as_str) {
        Some("indicator") => pattern_values(object, &mut values),
        Some(object_type) => sco_values(object_type, object, &mut values),
        None => {}
    }
    values.sort_unstable();
    values.dedup();
    values.truncate(INDEXED_MAX);
    values
}

fn sco_values(object_type: &str, object: &Value, values: &mut Vec<String>) {
    for (_, property) in VALUE_PROPERTIES.iter().filter(|(name, _)| *name == object_type) {
        match object.get(property) {
            Some(Value::String(text)) => values.push(normal_form(text)),
            Some(Value::Number(number)) => values.push(number.to_string()),
            _ => {}
        }
    }
    if besa_stix::object::is_sco_type(object_type)
        && let Some(hashes) = object.get("hashes").and_then(Value::as_object)
    {
        values.extend(hashes.values().filter_map(Value::as_str).map(normal_form));
    }
}

fn pattern_values(indicator: &Value, values: &mut Vec<String>) {
    let text = |property| indicator.get(property).and_then(Value::as_str);
    if text("pattern_type").unwrap_or("stix") != "stix" {
        return;
    }
    let Some(Ok(pattern)) = text("pattern").map(Pattern::parse) else { return };
    for test in pattern.comparison_exprs().into_iter().flat_map(|leaf| leaf.comparisons()) {
        if test.negated || !matches!(test.op, Op::Eq | Op::In | Op::IsSubset) {
            continue;
        }
        match &test.value {
            Operand::One(constant) => values.extend(constant_text(constant)),
            Operand::Set(constants) => values.extend(constants.iter().filter_map(constant_text)),
            Operand::None => {}
        }
    }
}

fn constant_text(constant: &Constant) -> Option<String> {
    match constant {
        Constant::String(text) => Some(normal_form(text)),
        Constant::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Undoes the usual ways of making a value unclickable.
fn refang(value: &str) -> String {
    let mut text = value.replace("[.]", ".").replace("(.)", ".").replace("[:]", ":").replace("[@]", "@");
    if let Some(rest) = text.strip_prefix("hxxp") {
        text = format!("http{rest}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value() {
        for (one, other) in [
            ("198.51.100[.]3", "198.51.100.3/32"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("Example.COM.", "example.com"),
            ("hxxps://Evil[.]example/A", "https://evil.example/a"),
            ("D41D8CD98F00B204E9800998ECF8427E", " d41d8cd98f00b204e9800998ecf8427e"),
        ] {
            assert_eq!(normal_form(one), normal_form(other));
        }
        assert!(normal_form(&"x".repeat(100_000)).len() < 100);
    }

    #[test]
    fn values_of_patterns() {
        let indicator = serde_json::json!({"type": "indicator", "pattern_type": "stix",
            "pattern": "[ipv4-addr:value = '198.51.100.3' OR domain-name:value IN ('A.example', 'b.example')] AND [url:value NOT = 'http://c.example/']"});
        assert_eq!(observables(&indicator), ["198.51.100.3", "a.example", "b.example"]);
    }
}
