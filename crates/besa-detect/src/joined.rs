//! Texts in one piece of memory.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of texts, each present or absent, in one allocation: a hit is moved, hashed and compared
/// as one run of bytes. Equal lists have equal bytes, and no list's bytes begin another's of the same
/// number of texts.
///
/// Each text stands behind its length plus one (seven bits a byte, low ones first); an absent one is
/// a zero. Serialised as a list of texts and nulls.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Joined(Box<[u8]>);

impl Joined {
    /// Appends a text to bytes that will be a list.
    pub(crate) fn append(text: Option<&str>, bytes: &mut Vec<u8>) {
        let mut head = text.map_or(0, |text| text.len() + 1);
        while head >= 0x80 {
            bytes.push((head & 0x7f) as u8 | 0x80);
            head >>= 7;
        }
        bytes.push(head as u8);
        bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    /// A list of what was appended.
    pub(crate) fn of_appended(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.0.len()
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        texts(&self.0)
    }
}

/// The texts in a list's bytes.
pub(crate) fn texts(mut bytes: &[u8]) -> impl Iterator<Item = Option<&str>> {
    std::iter::from_fn(move || {
        let (mut head, mut shift) = (0_usize, 0_u32);
        loop {
            let (first, rest) = bytes.split_first()?;
            bytes = rest;
            head |= usize::from(first & 0x7f).checked_shl(shift).unwrap_or_default();
            shift += 7;
            if first & 0x80 == 0 {
                break;
            }
        }
        let Some(len) = head.checked_sub(1) else { return Some(None) };
        let (text, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        // Appended as text; never otherwise.
        Some(std::str::from_utf8(text).ok())
    })
}

impl<T: AsRef<str>> FromIterator<Option<T>> for Joined {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(texts: I) -> Self {
        let mut bytes = Vec::new();
        texts.into_iter().for_each(|text| Self::append(text.as_ref().map(AsRef::as_ref), &mut bytes));
        Self(bytes.into())
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Joined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Joined {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Option<String>>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_come_out_as_they_went_in(
            texts in prop::collection::vec(prop::option::of(prop_oneof![".{0,20}", ".{100,200}", "x{16370,16400}"]), 0..5),
        ) {
            let joined: Joined = texts.iter().cloned().collect();
            let out: Vec<Option<String>> = joined.iter().map(|text| text.map(str::to_owned)).collect();
            prop_assert_eq!(&out, &texts);
            let read: Joined = serde_json::from_str(&serde_json::to_string(&joined).unwrap()).unwrap();
            prop_assert_eq!(read, joined);
        }

        #[test]
        fn damaged_bytes_give_texts_and_end(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(texts(&bytes).count() <= bytes.len());
        }
    }
}
