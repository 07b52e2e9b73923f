//! All indicator values in four flat arrays, and the look-up over them.
//!
//! ```text
//! bytes    [kind][length, where it varies][normalised value] …     1 to 2 B per value, rarely 4
//! starts   start of every eighth value in the arena                0.5 B
//! slots    open addressing at 85 %: number of the value            4.7 B
//! tags     8 bits of the hash beside each slot                     1.2 B
//! filter   one word per 5⅓ values, 4 bits set for each (Bloom)     1.5 B
//! sieve    the same by what can be told of a token in running text without reading it whole
//!          ([`Sieve`])                                             1.5 B
//! ```
//! 10.5 to 11 bytes resident per value besides its kind and the value itself. A value that no indicator has is
//! refused by one word of the filter in 98 of 100 cases. The hash is seeded, so that neither a
//! list nor the evidence can be written to collide.
//!
//! Equal values of several sources are one value in the table; the others stand in `duplicates`.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::ops::Range;

use besa_event::observable::{ObservableKind, network_key};
use besa_event::sieve::Sieve;
use foldhash::quality::RandomState;
use hashbrown::HashMap;

/// Values one after the other, each with its kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    /// Where every eighth value starts.
    starts: Vec<u32>,
    len: usize,
}

/// Values to be gone through from the start of one that is known.
const STRIDE: usize = 8;
/// Stands for a length of two bytes that follow.
const LONG: u8 = 255;

/// How many bytes the values of a kind have, where it is always as many.
fn fixed_len(kind: ObservableKind) -> Option<usize> {
    match kind {
        ObservableKind::Ipv4 => Some(4),
        ObservableKind::Ipv6 | ObservableKind::Md5 | ObservableKind::Imphash | ObservableKind::Ja3 => {
            Some(16)
        }
        ObservableKind::Sha1 => Some(20),
        ObservableKind::Sha256 => Some(32),
        ObservableKind::Sha512 => Some(64),
        _ => None,
    }
}

impl Values {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a value by letting `write` append its normalised bytes; nothing is added when `write`
    /// gives no kind. `Err` when the arena is full.
    pub(crate) fn push(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Option<ObservableKind>,
    ) -> Result<Option<ObservableKind>, ArenaFull> {
        let start = self.bytes.len();
        self.bytes.push(0);
        let kind = write(&mut self.bytes);
        let Some(kind) = kind else {
            self.bytes.truncate(start);
            return Ok(None);
        };
        self.bytes[start] = kind as u8;
        let len = self.bytes.len() - start - 1;
        match (fixed_len(kind), u8::try_from(len), u16::try_from(len)) {
            (Some(fixed), ..) if fixed == len => {}
            (None, Ok(short), _) if short < LONG => self.bytes.insert(start + 1, short),
            (None, _, Ok(long)) => {
                let [low, high] = long.to_le_bytes();
                self.bytes.splice(start + 1..start + 1, [LONG, low, high]);
            }
            _ => {
                self.bytes.truncate(start);
                return Ok(None);
            }
        }
        match u32::try_from(start) {
            Ok(start) if self.len < NUMBERS_MAX => {
                if self.len.is_multiple_of(STRIDE) {
                    self.starts.push(start);
                }
                self.len += 1;
                Ok(Some(kind))
            }
            _ => {
                self.bytes.truncate(start);
                Err(ArenaFull)
            }
        }
    }

    /// Takes back all values from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        if let Some(start) = self.start(len) {
            self.bytes.truncate(start);
            self.starts.truncate(len.div_ceil(STRIDE));
            self.len = len;
        }
    }

    /// Kind and normalised bytes of a value.
    pub(crate) fn get(&self, number: u32) -> Option<(ObservableKind, &[u8])> {
        let (kind, value) = self.spans(self.start(number as usize)?)?;
        Some((kind, self.bytes.get(value)?))
    }

    /// All of them in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObservableKind, &[u8])> {
        let mut at = 0;
        (0..self.len).map_while(move |_| {
            let (kind, value) = self.spans(at)?;
            at = value.end;
            Some((kind, self.bytes.get(value)?))
        })
    }

    /// Where a value starts that there is.
    fn start(&self, number: usize) -> Option<usize> {
        if number >= self.len {
            return None;
        }
        let mut at = *self.starts.get(number / STRIDE)? as usize;
        for _ in 0..number % STRIDE {
            at = self.spans(at)?.1.end;
        }
        Some(at)
    }

    /// The kind of the value that starts there, and where its bytes are.
    #[inline]
    fn spans(&self, start: usize) -> Option<(ObservableKind, Range<usize>)> {
        let kind = ObservableKind::from_number(*self.bytes.get(start)?)?;
        let (from, len) = match (fixed_len(kind), self.bytes.get(start + 1)) {
            (Some(len), _) => (start + 1, len),
            (None, Some(&LONG)) => {
                let long = self.bytes.get(start + 2..start + 4)?.try_into().ok()?;
                (start + 4, usize::from(u16::from_le_bytes(long)))
            }
            (None, short) => (start + 2, usize::from(*short?)),
        };
        Some((kind, from..from + len))
    }
}

/// More than 4 GiB of values, or 2³¹ of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArenaFull;

const NUMBERS_MAX: usize = 1 << 31;
const EMPTY: u32 = u32::MAX;

/// Values ready for look-up.
#[derive(Debug)]
pub(crate) struct Table {
    values: Values,
    seed: RandomState,
    slots: Vec<u32>,
    tags: Vec<u8>,
    filter: Vec<u64>,
    sieve: Sieve,
    /// (first number, other number) of equal values, ascending.
    duplicates: Vec<(u32, u32)>,
    prefixes_v4: Prefixes,
    prefixes_v6: Prefixes,
    kinds: u32,
}

/// Lengths of network prefixes that occur. Bit = length.
#[derive(Clone, Copy, Debug, Default)]
struct Prefixes([u64; 3]);

impl Prefixes {
    fn add(&mut self, length: u8) {
        self.0[usize::from(length) / 64] |= 1 << (length % 64);
    }

    fn iter(self) -> impl Iterator<Item = u8> {
        let mut words = self.0;
        std::iter::from_fn(move || {
            let at = words.iter().position(|word| *word != 0)?;
            let bit = words[at].trailing_zeros();
            words[at] &= words[at] - 1;
            u8::try_from(at * 64 + bit as usize).ok()
        })
    }
}

impl Table {
    /// Builds the table. `same_source` tells of two numbers whether the second can be dropped when
    /// their values are equal; the values of a source stand together.
    pub(crate) fn new(values: Values, same_source: impl Fn(u32, u32) -> bool) -> Self {
        let mut table = Self::with_room(values);
        // Of each value with duplicates, the last of them.
        let mut last_of: HashMap<u32, u32> = HashMap::new();
        for number in 0..u32::try_from(table.values.len()).unwrap_or(EMPTY) {
            let Some((kind, value)) = table.values.get(number) else { break };
            table.kinds |= 1 << kind as u8;
            table.sieve.add(kind, value);
            if let (ObservableKind::Network, [family, prefix, ..]) = (kind, value) {
                let prefixes = if *family == 4 { &mut table.prefixes_v4 } else { &mut table.prefixes_v6 };
                prefixes.add(*prefix);
            }
            let Some((kind, value)) = table.values.get(number) else { break };
            let hash = table.hash(kind, value);
            match table.find(hash, kind, value) {
                Some(first) if same_source(last_of.get(&first).copied().unwrap_or(first), number) => {}
                Some(first) => {
                    table.duplicates.push((first, number));
                    last_of.insert(first, number);
                }
                None => table.insert(hash, number),
            }
        }
        table.sieve.freeze();
        table.duplicates.sort_unstable();
        table.duplicates.shrink_to_fit();
        table
    }

    fn with_room(mut values: Values) -> Self {
        values.bytes.shrink_to_fit();
        values.starts.shrink_to_fit();
        let len = values.len();
        let slots = len + len / 6 + 2;
        let seed = RandomState::default();
        Self {
            slots: vec![EMPTY; slots],
            tags: vec![0; slots],
            filter: vec![0; len * 3 / 16 + 1],
            sieve: Sieve::new(len, [seed.hash_one(0_u8), seed.hash_one(1_u8)]),
            seed,
            values,
            duplicates: Vec::new(),
            prefixes_v4: Prefixes::default(),
            prefixes_v6: Prefixes::default(),
            kinds: 0,
        }
    }

    /// Kind and normalised bytes of a value.
    pub(crate) fn value(&self, number: u32) -> Option<(ObservableKind, &[u8])> {
        self.values.get(number)
    }

    /// Kind and normalised bytes of all values, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = (ObservableKind, &[u8])> {
        self.values.iter()
    }

    /// Whether a look-up gives this number; not so for a repetition within one source.
    pub(crate) fn is_listed(&self, number: u32) -> bool {
        let Some((kind, value)) = self.value(number) else { return false };
        let first = self.find(self.hash(kind, value), kind, value);
        first == Some(number)
            || first.is_some_and(|first| self.duplicates.binary_search(&(first, number)).is_ok())
    }

    /// How many values there are, duplicates included.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether any value is of this kind.
    #[inline]
    pub(crate) fn has(&self, kind: ObservableKind) -> bool {
        self.kinds >> kind as u8 & 1 == 1
    }

    /// Bytes held in memory.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.values.bytes.capacity()
            + self.values.starts.capacity() * 4
            + self.slots.capacity() * 4
            + self.tags.capacity()
            + self.filter.capacity() * 8
            + self.sieve.resident_bytes()
            + self.duplicates.capacity() * 8
    }

    /// Appends the numbers of all indicators with this value.
    #[inline]
    pub(crate) fn look_up(&self, kind: ObservableKind, value: &[u8], out: &mut Vec<u32>) {
        if !self.has(kind) {
            return;
        }
        let hash = self.hash(kind, value);
        if !self.may_hold(hash) {
            return;
        }
        if let Some(first) = self.find(hash, kind, value) {
            out.push(first);
            let from = self.duplicates.partition_point(|(known, _)| *known < first);
            let same = self.duplicates[from..].iter().take_while(|(known, _)| *known == first);
            out.extend(same.map(|(_, other)| *other));
        }
    }

    /// Appends the numbers of all networks that an address lies in, whatever their length.
    pub(crate) fn look_up_networks(&self, ip: IpAddr, key: &mut Vec<u8>, out: &mut Vec<u32>) {
        if !self.has(ObservableKind::Network) {
            return;
        }
        let prefixes = match ip {
            IpAddr::V4(ip) if !self.sieve.may_hold_network_of(ip.to_bits()) => return,
            IpAddr::V4(_) => self.prefixes_v4,
            IpAddr::V6(_) => self.prefixes_v6,
        };
        // Without a branch between them, so that memory answers several at once.
        let mut held = Prefixes::default();
        for prefix in prefixes.iter() {
            key.clear();
            network_key(ip, prefix, key);
            let holds = self.may_hold(self.hash(ObservableKind::Network, key));
            held.0[usize::from(prefix) / 64] |= u64::from(holds) << (prefix % 64);
        }
        for prefix in held.iter() {
            key.clear();
            network_key(ip, prefix, key);
            self.look_up(ObservableKind::Network, key, out);
        }
    }

    #[inline]
    fn hash(&self, kind: ObservableKind, value: &[u8]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u8(kind as u8);
        hasher.write(value);
        hasher.finish()
    }

    /// Word of the filter and the bits that the hash sets in it.
    #[inline]
    fn filter_bits(&self, hash: u64) -> (usize, u64) {
        bloom(hash, self.filter.len())
    }

    /// What finds the tokens of a text that may meet a value.
    #[inline]
    pub(crate) fn sieve(&self) -> &Sieve {
        &self.sieve
    }

    #[inline]
    fn may_hold(&self, hash: u64) -> bool {
        let (word, bits) = self.filter_bits(hash);
        self.filter[word] & bits == bits
    }

    fn find(&self, hash: u64, kind: ObservableKind, value: &[u8]) -> Option<u32> {
        let tag = tag(hash);
        let mut at = scaled(hash, self.slots.len());
        loop {
            let number = self.slots[at];
            if number == EMPTY {
                return None;
            }
            if self.tags[at] == tag && self.values.get(number) == Some((kind, value)) {
                return Some(number);
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
    }

    fn insert(&mut self, hash: u64, number: u32) {
        let (word, bits) = self.filter_bits(hash);
        self.filter[word] |= bits;
        let mut at = scaled(hash, self.slots.len());
        while self.slots[at] != EMPTY {
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
        self.slots[at] = number;
        self.tags[at] = tag(hash);
    }
}

#[inline]
fn bloom(hash: u64, words: usize) -> (usize, u64) {
    let bit = |shift: u32| 1_u64 << (hash >> shift & 63);
    (scaled(hash.rotate_left(32), words), bit(0) | bit(6) | bit(12) | bit(18))
}

/// A hash spread over `len` places.
#[inline]
fn scaled(hash: u64, len: usize) -> usize {
    ((u128::from(hash) * len as u128) >> 64) as usize
}

#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 24) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use besa_event::observable::normalise;

    #[test]
    fn every_value_is_found_and_no_other() {
        let mut values = Values::default();
        for number in 0..5_000 {
            let text = format!("host{number}.example");
            values.push(|out| normalise(ObservableKind::Domain, text.as_bytes(), out)).unwrap();
        }
        values.push(|out| normalise(ObservableKind::Domain, b"host7.example", out)).unwrap();
        values.push(|out| normalise(ObservableKind::Domain, b"HOST7.example", out)).unwrap();
        assert_eq!(values.push(|_| None), Ok(None));
        let table = Table::new(values, |first, second| (first, second) == (5_000, 5_001));
        let look_up = |kind, text: &str| {
            let mut found = Vec::new();
            table.look_up(kind, text.as_bytes(), &mut found);
            found
        };
        assert_eq!(look_up(ObservableKind::Domain, "host4999.example"), [4_999]);
        assert_eq!(look_up(ObservableKind::Domain, "host7.example"), [7, 5_000]);
        assert!(look_up(ObservableKind::Url, "host7.example").is_empty());
        for number in 5_000..50_000 {
            assert!(look_up(ObservableKind::Domain, &format!("host{number}.example")).is_empty());
        }
    }

    #[test]
    fn values_of_all_lengths_are_kept_and_taken_back() {
        let mut values = Values::default();
        let text = |number: usize| match number % 4 {
            0 => (ObservableKind::FileName, "f".repeat(number * 3 + 1)),
            1 => (ObservableKind::Ipv4, format!("10.0.{}.{}", number / 256, number % 256)),
            2 => (ObservableKind::Sha256, format!("{number:064x}")),
            _ => (ObservableKind::Network, format!("2001:db8:{number:x}::/48")),
        };
        let push = |values: &mut Values, number: usize| {
            let (kind, text) = text(number);
            values.push(|out| normalise(kind, text.as_bytes(), out)).unwrap().unwrap();
        };
        (0..300).for_each(|number| push(&mut values, number));
        for len in [299, 297, 296, 64, 17] {
            values.truncate(len);
            assert_eq!((values.len(), values.get(len as u32)), (len, None));
            (len..300).for_each(|number| push(&mut values, number));
        }
        for number in 0..300 {
            let ((kind, text), mut out) = (text(number), Vec::new());
            let kind = normalise(kind, text.as_bytes(), &mut out).unwrap();
            assert_eq!(values.get(number as u32), Some((kind, &*out)));
        }
        values.truncate(300);
        assert_eq!(values.len(), 300);
        values.truncate(0);
        assert_eq!((values.len(), values.bytes.len()), (0, 0));
    }

    #[test]
    fn an_address_lies_in_several_networks() {
        let mut values = Values::default();
        for network in ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32", "192.168.0.0/16"] {
            values.push(|out| normalise(ObservableKind::Network, network.as_bytes(), out)).unwrap();
        }
        let table = Table::new(values, |_, _| false);
        let look_up = |ip: &str| {
            let mut found = Vec::new();
            table.look_up_networks(ip.parse().unwrap(), &mut Vec::new(), &mut found);
            found.sort_unstable();
            found
        };
        assert_eq!(look_up("10.1.2.3"), [0, 1, 2]);
        assert_eq!(look_up("10.2.0.0"), [0, 2]);
        assert_eq!(look_up("2001:db8:1::1"), [3]);
        assert!(look_up("2001:db9::1").is_empty());
    }
}
