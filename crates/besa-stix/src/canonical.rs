//! RFC 8785 (JSON Canonicalization Scheme): one spelling for equal JSON, the base of deterministic
//! ids (section 2.9) and of signatures.
//!
//! Numbers are ECMAScript doubles: `1.0` becomes `1`, and integers beyond 2^53 lose digits, by the
//! standard's own rule. RFC 8785 builds on I-JSON, so duplicate keys are refused, not dropped.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// JSON that cannot be read or has no canonical form.
#[derive(Debug, thiserror::Error)]
#[error("no canonical JSON: {0}")]
pub struct CanonicalError(#[from] serde_json::Error);

/// The canonical text of a value.
pub fn canonical(value: &Value) -> Result<String, CanonicalError> {
    Ok(serde_json_canonicalizer::to_string(value)?)
}

/// The canonical text of JSON text; duplicate keys and nesting over 128 levels are errors.
pub fn canonical_text(json: &[u8]) -> Result<String, CanonicalError> {
    canonical(&strict_value(json)?)
}

/// Parses JSON, refusing duplicate keys at any depth.
pub fn strict_value(json: &[u8]) -> Result<Value, CanonicalError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("the key `{key}` stands twice in one object")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8785() {
        for (json, expected) in [
            (
                r#"{"b":1.0,"a":[1e21,1E-7,-0,333333333.33333329]}"#,
                r#"{"a":[1e+21,1e-7,0,333333333.3333333],"b":1}"#,
            ),
            (r#"{"\u20ac":"\u0007\"\\/","\u000a":1}"#, "{\"\\n\":1,\"€\":\"\\u0007\\\"\\\\/\"}"),
            // Keys sort by UTF-16 units: U+1F600 (d83d…) before U+FB33.
            ("{\"\u{fb33}\":1,\"\u{1f600}\":2}", "{\"\u{1f600}\":2,\"\u{fb33}\":1}"),
            ("9007199254740993", "9007199254740992"),
            ("9007199254740991", "9007199254740991"),
        ] {
            assert_eq!(canonical_text(json.as_bytes()).unwrap(), expected);
        }
        for bad in
            [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"a":3}}]"#, "1 2", "{", "1e999", "\"\\ud800\"", ""]
        {
            assert!(canonical_text(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(canonical_text(&vec![b'['; 100_000]).is_err());
    }
}
