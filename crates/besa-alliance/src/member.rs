//! Who is a member: the words that charter, log and policy share.
//!
//! A member is named by the id of its STIX identity, so that `created_by_ref` of its objects names
//! the same thing as the charter. Names are compared byte by byte and have one spelling only
//! (lower case); a second spelling of an id is refused, not folded, since hashes are taken over it.

use std::collections::BTreeSet;
use std::fmt;

use besa_stix::id::split_id;
use besa_stix::time::Instant;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A member, by the id of its STIX identity: `identity--` and a UUID in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MemberId(Box<str>);

/// Why a text names no member, nation, key or hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct NameError {
    /// The start of the text.
    pub text: String,
    /// What was expected.
    pub what: &'static str,
}

impl NameError {
    pub(crate) fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), what }
    }
}

impl MemberId {
    /// Reads the id of an identity.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let identity = split_id(text).is_some_and(|(object_type, _)| object_type == "identity");
        if identity && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(Self(text.into()));
        }
        Err(NameError::new(text, "identity's id in lower case"))
    }

    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Stands for everybody who is no member: no charter names it.
    pub fn outsider() -> Self {
        Self("identity--7f1b6c0e-5d0f-4c55-9d5e-0f6a3d1c2b47".into())
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A nation: two capital letters (ISO 3166-1 alpha-2). Whether the code is assigned is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nation([u8; 2]);

impl Nation {
    /// Reads a code, e.g. `AL`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Ok(Self([*a, *b])),
            _ => Err(NameError::new(text, "nation (two capital letters)")),
        }
    }
}

impl fmt::Display for Nation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0.map(char::from);
        write!(f, "{a}{b}")
    }
}

impl Serialize for Nation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// 32 bytes, written as 64 digits in lower-case hexadecimal and in no other way.
pub(crate) fn hex_32(text: &str, what: &'static str) -> Result<[u8; 32], NameError> {
    hex_exact(text).ok_or_else(|| NameError::new(text, what))
}

/// `N` bytes in lower-case hexadecimal.
pub(crate) fn hex_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

macro_rules! hex_name {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Reads 64 lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                Ok(Self(hex_32(text, $what)?))
            }

            /// From its bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex_text(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    };
}

/// An Ed25519 public key, which is its own name. That it is a point of the curve is checked where it
/// enters a charter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);
hex_name!(KeyId, "public key (64 hexadecimal digits)");

/// A SHA-256 of canonical JSON (RFC 8785).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);
hex_name!(Digest, "SHA-256 (64 hexadecimal digits)");

/// Where a member stands in the charter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// Named, has not accepted: gets nothing, says nothing, has no vote.
    Proposed,
    /// A full member.
    Active,
    /// For the time being gets nothing, says nothing, has no vote.
    Suspended,
    /// For good; its id is never used again.
    Removed,
}

/// What an active member does beyond receiving and answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May release objects to others.
    Publisher,
    /// Countersigns the heads of others' logs.
    Witness,
}

/// A member as the charter in force has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its STIX identity.
    pub identity_ref: MemberId,
    /// Its name for people.
    pub name: String,
    /// Its nation; international organisations have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nation: Option<Nation>,
    /// Where it stands.
    pub state: MemberState,
    /// What it does.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<Role>,
    /// The key that is kept offline: charters, certificates and revocations of node keys.
    pub authority_key: KeyId,
    /// The keys of its node, in force, past and revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_keys: Vec<NodeKey>,
}

/// A node's key and when it may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeKey {
    /// The key.
    pub node_key: KeyId,
    /// From when it signs.
    #[serde(with = "moment")]
    pub valid_from: Instant,
    /// From when it signs no more.
    #[serde(with = "moment")]
    pub valid_until: Instant,
}

impl Member {
    /// Whether the member takes part now.
    pub fn is_active(&self) -> bool {
        self.state == MemberState::Active
    }
}

/// Instants as STIX timestamps with three sub-second digits, the only spelling accepted.
pub(crate) mod moment {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(instant: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&instant.to_millis_text())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant = Instant::parse(&text).map_err(de::Error::custom)?;
        if instant.to_millis_text() != text {
            return Err(de::Error::custom("a timestamp here has exactly three sub-second digits"));
        }
        Ok(instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        let id = "identity--3c10e93f-798e-5a26-a0c1-08156efab7f5";
        assert_eq!(MemberId::parse(id).unwrap().as_str(), id);
        for bad in [
            id.to_uppercase().as_str(),
            &id.replace("3c", "3C"),
            "identity--1",
            "tool--3c10e93f-798e-5a26-a0c1-08156efab7f5",
            "",
        ] {
            assert!(MemberId::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Nation::parse("AL").unwrap().to_string(), "AL");
        for bad in ["al", "A", "ALB", "ÄL", ""] {
            assert!(Nation::parse(bad).is_err(), "{bad}");
        }
        let hex = "00ff".repeat(16);
        assert_eq!(Digest::parse(&hex).unwrap().to_string(), hex);
        for bad in ["00FF".repeat(16).as_str(), &hex[2..], &hex.replace("00", " 0"), "é".repeat(32).as_str()]
        {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn instants_have_one_spelling() {
        let key = |from: &str| {
            let hex = "00".repeat(32);
            format!(
                r#"{{"node_key":"{hex}","valid_from":"{from}","valid_until":"2030-01-01T00:00:00.000Z"}}"#
            )
        };
        let good = key("2026-01-01T00:00:00.000Z");
        let read: NodeKey = serde_json::from_str(&good).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), good);
        for bad in
            ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.0000Z", "2026-01-01", "2016-12-31T23:59:60.000Z"]
        {
            assert!(serde_json::from_str::<NodeKey>(&key(bad)).is_err(), "{bad}");
        }
    }
}
