//! Which tokens of running text may meet one of many values, told without reading them whole.
//!
//! ```text
//! value ─key─▶ ┌──────────────────────────────────────────┐ ◀─key─ token
//!              │ Bloom filter, one word a key; networks: a │
//!              │ bit for each /24 below each /16 in use    │
//!              └──────────────────────────────────────────┘
//! ```
//! Nearly all tokens of a log meet nothing, so this is what the time goes into. A key is told from
//! at most 16 bytes that stand together, and each key costs one word of memory:
//!
//! | value | key |
//! |---|---|
//! | domain, URL, e-mail address | last labels of the host (`Site`), letters' case folded |
//! | IPv4 address | the address |
//! | IPv4 network | every /24 in it, or the one that it lies in |
//! | MD5, SHA-1, SHA-256, SHA-512 | the first 16 digits |
//! | all others | none: IPv6 is rare in text, and the rest is not looked for there |
//!
//! # Soundness
//! The sieve lets too much through, never too little: if [`scan`](super::observable::scan) gives a
//! token whose normal form is a value of the sieve, or below a domain or in an IPv4 network of it,
//! then [`Sieve::scan`] gives it too. What both sides have to agree on:
//! - The parts of a host that make its key are found from the end by the same code
//!   (`Site::of`), and the end of a host decides the key of all domains below it.
//! - Lower case of non-ASCII text is another text of another length, so that a token whose 16
//!   bytes are not all ASCII goes through.
//! - A URL is let through with its host where that is a dotted word up to the path; every other
//!   URL (user, IPv6, plain name) goes through.
//! - IPv4 addresses have one spelling in text (no leading zeros), hashes two, which folding joins.

use besa_simd::tokens::{self, Candidate, Visitor, Word};

use crate::observable::{
    ObservableKind as Kind, Scanner, ends_url, is_numeric, is_word, trim_dots, url_host_len,
};

/// Keys of many values, and the pass over text that they make short.
#[derive(Clone, Debug)]
pub struct Sieve {
    seed: [u64; 2],
    /// 64 bits for 5⅓ keys, four bits set for each key in one word.
    words: Vec<u64>,
    networks: Networks,
}

/// A number by which keys are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u128);

impl Sieve {
    /// Room for so many values. The seed is what keeps anyone from choosing values or text that
    /// collide.
    #[must_use]
    pub fn new(values: usize, seed: [u64; 2]) -> Self {
        Self { seed, words: vec![0; values * 3 / 16 + 1], networks: Networks::default() }
    }

    /// Adds a [normalised](super::observable::normalise) value.
    pub fn add(&mut self, kind: Kind, value: &[u8]) {
        match kind {
            Kind::Domain => self.add_site(value),
            Kind::Url => self.add_site(value.get(..url_host_len(value)).unwrap_or_default()),
            Kind::Email => self.add_site(value.rsplit(|byte| *byte == b'@').next().unwrap_or_default()),
            Kind::Ipv4 => {
                if let Ok(octets) = <[u8; 4]>::try_from(value) {
                    self.insert(Key::of_address(u32::from_be_bytes(octets)));
                }
            }
            Kind::Network => {
                if let [4, prefix, a, b, c, d] = value {
                    self.networks.add(u32::from_be_bytes([*a, *b, *c, *d]), *prefix);
                }
            }
            Kind::Md5 | Kind::Sha1 | Kind::Sha256 | Kind::Sha512 => {
                let digits = value.iter().take(8).flat_map(|byte| [byte >> 4, byte & 15]);
                let digits = digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'));
                let text: Vec<u8> = digits.map(|digit| digit as u8).collect();
                self.insert(Key::of_tail(tail(&text, text.len()), text.len()));
            }
            _ => {}
        }
    }

    fn add_site(&mut self, host: &[u8]) {
        let site = Site::of(host, &Word::of(host, 0, host.len()));
        let key = site.above.filter(|_| site.is_short()).unwrap_or(site.labels);
        self.insert(Key::of_tail(tail(host, site.end), key));
    }

    /// Brings what was added into its last form; nothing is added from now on.
    pub fn freeze(&mut self) {
        self.networks.freeze();
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        self.words.capacity() * 8 + self.networks.resident_bytes()
    }

    /// Whether an IPv4 address may lie in a network of the sieve.
    #[must_use]
    #[inline]
    pub fn may_hold_network_of(&self, address: u32) -> bool {
        let page = self.networks.page_of(address);
        page.is_some_and(|page| self.networks.holds(page as u32, (address >> 8) as u8))
    }

    /// [`scan`](super::observable::scan) without the tokens that meet nothing.
    pub fn scan<'t>(&self, text: &'t [u8], words: &mut Words, emit: &mut dyn FnMut(Kind, &'t [u8])) {
        words.len = 0;
        let mut pass = Pass { sieve: self, text, words, scanner: Scanner::new(text, emit) };
        tokens::find(text, &mut pass);
        pass.finish_words();
    }

    /// Whether a text that is one short word by itself may be, or be below, a domain of the sieve, or be
    /// an IPv4 address that meets it. Of any other text it may be said, too.
    #[must_use]
    #[inline]
    pub fn may_hold_word(&self, text: &[u8]) -> bool {
        let Some(start) = SHORT_WORD.checked_sub(text.len()) else { return true };
        let mut padded = [0; SHORT_WORD];
        if let Some(place) = padded.get_mut(start..) {
            place.copy_from_slice(text);
        }
        let Some(word) = short_word(&padded, start) else { return true };
        match self.test(&padded, &word) {
            Test::Through => true,
            Test::HeldBack => false,
            Test::Place(place) => self.holds(place) | self.networks.holds(place.page, place.network),
        }
    }

    /// How it is told whether a dotted word, or what stands around it, may meet a value.
    #[inline(always)]
    fn test(&self, text: &[u8], word: &Word) -> Test {
        let inside = if word.len() < 64 { !(u64::MAX >> word.len()) } else { u64::MAX };
        if (word.dots | word.digits) == inside {
            return self.test_number(text, word);
        }
        // A range of two addresses, a dash at the end of one.
        if (word.dots.count_ones() >= 3 || word.len() > 64) && is_numeric(slice(text, word)) {
            return Test::Through;
        }
        let site = Site::of(text, word);
        let last = tail(text, site.end);
        let (key, is_ascii) = Key::of_text(last, site.labels);
        let place = self.place(key);
        match site.above.filter(|_| site.is_short()) {
            Some(above) => {
                let (above, above_is_ascii) = Key::of_text(last, above);
                let through = !(is_ascii && above_is_ascii) || self.holds(self.place(above));
                if through { Test::Through } else { Test::Place(place) }
            }
            None if is_ascii => Test::Place(place),
            None => Test::Through,
        }
    }

    /// The same of a word of digits and dots: an address, or the host of a URL.
    #[inline(always)]
    fn test_number(&self, text: &[u8], word: &Word) -> Test {
        let dots = word.dots.count_ones();
        let before = word.start.checked_sub(1).and_then(|at| text.get(at));
        let is_host =
            before == Some(&b'/') && text.get(word.start.saturating_sub(3)..word.start) == Some(b"://");
        if is_host || word.len() > 64 {
            return Test::Through;
        }
        if dots < 3 {
            return Test::HeldBack;
        }
        // Dots at the edges are not the address's, as at the end of a sentence.
        let is_plain = dots == 3 && word.dots >> 63 == 0 && text.get(word.start) != Some(&b'.');
        if !is_plain {
            let is_long = (7..=15).contains(&trim_dots(slice(text, word)).len());
            return if is_long { Test::Through } else { Test::HeldBack };
        }
        match address_of(tail(text, word.end), word) {
            Some(address) => {
                let page = self.networks.page_of(address).map_or(NO_PAGE, |page| page as u32);
                let network = (address >> 8) as u8;
                Test::Place(Place { page, network, ..self.place(Key::of_address(address)) })
            }
            None => Test::HeldBack,
        }
    }

    #[inline(always)]
    fn place(&self, key: Key) -> Place {
        let mix = |one: u64, other: u64| {
            let wide = u128::from(one ^ self.seed[0]) * u128::from(other ^ self.seed[1]);
            wide as u64 ^ (wide >> 64) as u64
        };
        let hash = mix(mix(key.0 as u64, (key.0 >> 64) as u64), 0x9e37_79b9_7f4a_7c15);
        let bit = |shift: u32| 1_u64 << (hash >> shift & 63);
        let word = (u128::from(hash.rotate_left(32)) * self.words.len() as u128) >> 64;
        Place { word: word as usize, bits: bit(0) | bit(6) | bit(12) | bit(18), page: NO_PAGE, network: 0 }
    }

    #[inline(always)]
    fn holds(&self, place: Place) -> bool {
        self.words[place.word] & place.bits == place.bits
    }

    fn insert(&mut self, key: Key) {
        let Place { word, bits, .. } = self.place(key);
        self.words[word] |= bits;
    }
}

/// A pass over a text.
struct Pass<'s, 't, 'e> {
    sieve: &'s Sieve,
    text: &'t [u8],
    words: &'s mut Words,
    scanner: Scanner<'t, 'e>,
}

impl Visitor for Pass<'_, '_, '_> {
    #[inline(always)]
    fn word(&mut self, word: Word) {
        if self.words.len == WORDS_MAX {
            self.finish_words();
        }
        if let Some(place) = self.words.all.get_mut(self.words.len) {
            *place = word;
            self.words.len += 1;
        }
    }

    fn other(&mut self, candidate: Candidate) {
        match candidate {
            Candidate::Digest { start, .. } => {
                let key = Key::of_tail(tail(self.text, start + 16), 16);
                if !self.sieve.holds(self.sieve.place(key)) {
                    return;
                }
            }
            Candidate::Scheme { colon } => {
                if is_told(self.text, colon + 3) {
                    return;
                }
                // In their order, so that URLs are read in one pass.
                self.finish_words();
            }
            Candidate::Colons { .. } | Candidate::Dotted(_) => {}
        }
        self.scanner.candidate(candidate);
    }
}

impl Pass<'_, '_, '_> {
    /// Hands on those of the words that may meet a value, and the URLs whose hosts they are. First
    /// all are asked for where they would stand, so that memory answers many at once.
    fn finish_words(&mut self) {
        let Self { sieve, text, words, scanner } = self;
        let (mut through, mut tested) = (0_u64, 0_u64);
        for (at, (word, asked)) in words.all.iter().take(words.len).zip(&mut words.asked).enumerate() {
            match sieve.test(text, word) {
                Test::Through => through |= 1 << at,
                Test::HeldBack => {}
                Test::Place(place) => {
                    tokens::prefetch(&sieve.words, place.word);
                    tokens::prefetch(&sieve.networks.pages, place.page as usize);
                    *asked = place;
                    tested |= 1 << at;
                }
            }
        }
        while tested != 0 {
            let at = tested.trailing_zeros();
            let place = words.asked[at as usize];
            through |= u64::from(sieve.holds(place) | sieve.networks.holds(place.page, place.network)) << at;
            tested &= tested - 1;
        }
        while through != 0 {
            let word = words.all[through.trailing_zeros() as usize];
            scanner.candidate(Candidate::Dotted(word));
            let scheme = word.start.saturating_sub(3);
            if text.get(scheme..word.start) == Some(b"://") && is_told(text, word.start) {
                scanner.candidate(Candidate::Scheme { colon: scheme });
            }
            through &= through - 1;
        }
        words.len = 0;
    }
}

/// What decides about a word.
#[derive(Clone, Copy, Debug)]
enum Test {
    /// It may meet a value.
    Through,
    /// It meets nothing.
    HeldBack,
    /// It meets nothing unless the filter holds this.
    Place(Place),
}

/// A word of the filter and the bits that a key sets in it; of an address also the page of its /16
/// and its /24 therein.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    word: usize,
    bits: u64,
    page: u32,
    network: u8,
}

/// Stands for a /16 in which there is nothing.
const NO_PAGE: u32 = u32::MAX;

/// Words that are looked up together.
const WORDS_MAX: usize = 16;

/// Buffers of one who scans.
#[derive(Clone, Debug, Default)]
pub struct Words {
    all: [Word; WORDS_MAX],
    asked: [Place; WORDS_MAX],
    len: usize,
}

impl Key {
    /// The last `len` (at most 16) of 16 bytes, with bit 0x20 set in each: that joins the cases of
    /// letters, and a few signs that no host holds.
    #[inline(always)]
    fn of_tail(last: u128, len: usize) -> Self {
        Self::of_text(last, len).0
    }

    /// The same, and whether all of the bytes are ASCII.
    #[inline(always)]
    fn of_text(last: u128, len: usize) -> (Self, bool) {
        const FOLD: u128 = 0x2020_2020_2020_2020_2020_2020_2020_2020;
        const HIGH: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
        let mask = if len == 0 { 0 } else { u128::MAX << (8 * (16 - len.min(16))) };
        (Self((last | FOLD) & mask), last & mask & HIGH == 0)
    }

    #[inline(always)]
    fn of_address(address: u32) -> Self {
        // No text of one byte or more has such a key: its first byte has bit 0x20.
        Self(u128::from(address) << 32 | 1)
    }
}

/// The end of a host by which it is known: its last two labels, or three where the second last is
/// so short (`co.uk`, `gov.al`) that many sites share it. Dots and dashes at the edges do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Site {
    /// After the last byte.
    end: usize,
    /// Length of the last two labels with their dot, or of all.
    labels: usize,
    /// Length of the last three, if there are more than two.
    above: Option<usize>,
    /// Length of the second last label.
    second: usize,
}

/// Words of fewer bytes hold no digest.
const SHORT_WORD: usize = 32;

/// What stands from `start` on, if that is one word without a digest; zeros stand before it. Without a
/// branch for each byte.
#[inline(always)]
fn short_word(padded: &[u8; SHORT_WORD], start: usize) -> Option<Word> {
    let is_dot = |byte: u8| byte == b'.';
    let is_digit = |byte: u8| byte.wrapping_sub(b'0') < 10;
    let is_word = |byte: u8| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        is_letter | is_digit(byte) | is_dot(byte) | (byte == b'-') | (byte == b'_') | (byte >= 0x80)
    };
    let of_word = u32::MAX.checked_shl(u32::try_from(start).unwrap_or(u32::MAX)).unwrap_or(0);
    let upper = |bits: u32| u64::from(bits) << 32;
    let is_one = start > 0 && bits(&padded.map(is_word)) == of_word;
    is_one.then(|| Word {
        start,
        end: SHORT_WORD,
        dots: upper(bits(&padded.map(is_dot))),
        digits: upper(bits(&padded.map(is_digit))),
    })
}

/// A bit for each, the first lowest.
#[inline(always)]
fn bits(flags: &[bool; SHORT_WORD]) -> u32 {
    let (eights, _) = flags.as_chunks::<8>();
    eights.iter().enumerate().fold(0, |bits, (at, eight)| {
        // Each byte's lowest bit is moved to the top byte, in order.
        let bytes = u64::from_le_bytes(eight.map(u8::from)).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits | (bytes as u32) << (8 * at)
    })
}

/// From where on what stands before a host's end is not told apart.
const SITE_BYTES_MAX: usize = 56;

impl Site {
    #[inline(always)]
    fn of(text: &[u8], word: &Word) -> Self {
        let is_edge = |at: usize| matches!(text.get(at), Some(b'.' | b'-'));
        let mut end = word.end;
        while end > word.start && is_edge(end - 1) {
            end -= 1;
        }
        let cut = word.end - end;
        let dots = if cut <= 8 { word.dots << cut } else { Word::of(text, word.start, end).dots };
        // Dots count as far as they are known whatever was cut.
        let dots = dots & u64::MAX << (64 - SITE_BYTES_MAX);
        let len = end - word.start;
        let trimmed = |len: usize| {
            let mut len = len;
            while 0 < len && len < SITE_BYTES_MAX && is_edge(end - len) {
                len -= 1;
            }
            len
        };
        let top = dots.leading_zeros() as usize;
        let below_top = dots.checked_shl(top as u32 + 1).unwrap_or(0);
        if below_top == 0 {
            return Self { end, labels: trimmed(len), above: None, second: 0 };
        }
        let second = below_top.leading_zeros() as usize;
        let labels = top + 1 + second;
        let below_second = dots.checked_shl(labels as u32 + 1).unwrap_or(0);
        let above = match below_second {
            0 => len,
            _ => labels + 1 + below_second.leading_zeros() as usize,
        };
        Self { end, labels: trimmed(labels), above: Some(trimmed(above)), second }
    }

    /// Whether many sites share the last two labels. Told only of what fits into a key, so that
    /// text beyond ASCII, whose lower case has another length, cannot be judged in two ways.
    #[inline(always)]
    fn is_short(&self) -> bool {
        self.second <= 3 && self.labels <= 16
    }
}

/// The 16 bytes before `end`, the last one topmost; zeros before the text's start.
#[inline(always)]
fn tail(text: &[u8], end: usize) -> u128 {
    if let Some(last) = text.get(..end).and_then(|text| text.last_chunk::<16>()) {
        return u128::from_le_bytes(*last);
    }
    let start = text.get(..end.min(text.len())).unwrap_or_default();
    start.iter().fold(0, |last, byte| last >> 8 | u128::from(*byte) << 120)
}

fn slice<'t>(text: &'t [u8], word: &Word) -> &'t [u8] {
    text.get(word.start..word.end).unwrap_or_default()
}

/// Reads an address of four groups of one to three digits; `last` are the 16 bytes before its end.
/// What is above 255 gives some number.
#[inline(always)]
fn address_of(last: u128, word: &Word) -> Option<u32> {
    let (mut dots, mut last, mut rest) = (word.dots, last, word.len());
    let mut address = 0;
    for group in 0..4 {
        let len = if group < 3 { dots.leading_zeros() as usize } else { rest };
        if !(1..=3).contains(&len) {
            return None;
        }
        // Hundreds, tens and ones in the upper three bytes, zero where there are fewer digits.
        let digits = (last >> 96) as u32 & 0x0f0f_0f0f & u32::MAX << (8 * (4 - len));
        let number = (u64::from(digits) * (1 | 10 << 8 | 100 << 16)) >> 24 & 0xff;
        address |= (number as u32) << (8 * group);
        last <<= 8 * (len + 1);
        dots <<= len + 1;
        rest -= (len + 1).min(rest);
    }
    Some(address)
}

/// Whether the host of a URL, from behind `://` on, is a dotted word up to its path or end, with a
/// port or not: then it is its candidate that decides.
fn is_told(text: &[u8], from: usize) -> bool {
    const HOST_BYTES_MAX: usize = 300;
    let rest = text.get(from..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(HOST_BYTES_MAX)).unwrap_or_default();
    let len = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
    let (host, behind) = rest.split_at_checked(len).unwrap_or_default();
    let port = match behind.split_first() {
        Some((b':', port)) => port.iter().take_while(|byte| byte.is_ascii_digit()).count() + 1,
        _ => 0,
    };
    let ends = match behind.get(port) {
        Some(byte) => matches!(byte, b'/' | b'?' | b'#') || ends_url(*byte),
        None => rest.len() < HOST_BYTES_MAX,
    };
    let inner = |three: &[u8]| matches!(three, [one, b'.', other] if *one != b'.' && *other != b'.');
    ends && host.windows(3).any(inner)
}

/// Ranges that do not overlap, so that large networks in any number cost no more than one.
fn union(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let meets = next.0 <= kept.1;
        if meets {
            kept.1 = kept.1.max(next.1);
        }
        meets
    });
    ranges
}

/// The /24 networks in which some value lies, or which lie in one.
#[derive(Clone, Debug, Default)]
struct Networks {
    /// What was added and is not yet in its last form: first and last /24.
    added: Vec<(u32, u32)>,
    /// A bit for each /16 that has a page; empty where there are no networks.
    used: Vec<u64>,
    /// Pages before those of each word of `used`.
    before: Vec<u32>,
    /// 256 bits for the /24 networks of a /16.
    pages: Vec<[u64; 4]>,
}

impl Networks {
    fn add(&mut self, address: u32, prefix: u8) {
        let host = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
        self.added.push((address >> 8, (address | host) >> 8));
    }

    fn freeze(&mut self) {
        if self.added.is_empty() {
            return;
        }
        let added = union(std::mem::take(&mut self.added));
        self.used = vec![0; 1 << 10];
        for (first, last) in &added {
            for page in first >> 8..=last >> 8 {
                self.used[page as usize / 64] |= 1 << (page % 64);
            }
        }
        let mut pages = 0;
        for word in &self.used {
            self.before.push(pages);
            pages += word.count_ones();
        }
        self.pages = vec![[0; 4]; pages as usize];
        for (first, last) in added {
            for network in first..=last {
                let page = self.page(network >> 8);
                self.pages[page][network as usize / 64 % 4] |= 1 << (network % 64);
            }
        }
    }

    /// Where the page of a /16 that has one is.
    #[inline(always)]
    fn page(&self, number: u32) -> usize {
        let at = number as usize / 64;
        let below = self.used[at] & ((1 << (number % 64)) - 1);
        (self.before[at] + below.count_ones()) as usize
    }

    /// The page of an address, if anything is in its /16.
    #[inline(always)]
    fn page_of(&self, address: u32) -> Option<usize> {
        let page = address >> 16;
        let is_used = self.used.get(page as usize / 64).is_some_and(|word| word >> (page % 64) & 1 == 1);
        is_used.then(|| self.page(page))
    }

    #[inline(always)]
    fn holds(&self, page: u32, network: u8) -> bool {
        let bits = self.pages.get(page as usize);
        bits.is_some_and(|bits| bits[usize::from(network / 64)] >> (network % 64) & 1 == 1)
    }

    fn resident_bytes(&self) -> usize {
        self.used.capacity() * 8 + self.before.capacity() * 4 + self.pages.capacity() * 32
    }
}

/// Whether a token of a kind, in normal form, meets a value: what a [`Sieve`] may not hold back, by
/// the words of this module's documentation. The slow twin of a sieve of that one value.
#[must_use]
pub fn is_met((kind, value): (Kind, &[u8]), token_kind: Kind, token: &[u8]) -> bool {
    match kind {
        Kind::Domain if token_kind == Kind::Domain => {
            token == value || token.strip_suffix(value).is_some_and(|below| below.ends_with(b"."))
        }
        Kind::Url if token_kind == Kind::Url => {
            token == value || token.split(|byte| *byte == b'?').next() == Some(value)
        }
        Kind::Network if token_kind == Kind::Ipv4 => match (value, <[u8; 4]>::try_from(token)) {
            ([4, prefix, network @ ..], Ok(address)) => {
                let shift = 32_u32.saturating_sub(u32::from(*prefix));
                let above = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                let network = network.try_into().map(u32::from_be_bytes);
                network.is_ok_and(|network| above(network) == above(u32::from_be_bytes(address)))
            }
            _ => false,
        },
        _ => kind == token_kind && value == token,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::observable::{normalise, parse_address, scan};

    fn sieve_of(values: &[(Kind, Vec<u8>)]) -> Sieve {
        let mut sieve = Sieve::new(values.len(), [0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211]);
        values.iter().for_each(|(kind, value)| sieve.add(*kind, value));
        sieve.freeze();
        sieve
    }

    /// Tokens in the order of their places; (start, length, kind).
    fn places(text: &[u8], scan: impl FnOnce(&mut dyn FnMut(Kind, &[u8]))) -> Vec<(usize, usize, Kind)> {
        let mut all = Vec::new();
        scan(&mut |kind, token: &[u8]| {
            all.push((token.as_ptr() as usize - text.as_ptr() as usize, token.len(), kind));
        });
        all.sort_unstable();
        all
    }

    /// What a short word is, as a whole or a token of it, goes through.
    fn check_word(values: &[(Kind, Vec<u8>)], text: &[u8]) {
        let through = sieve_of(values).may_hold_word(text);
        let mut all = Vec::new();
        let mut take = |kind, token: &[u8]| {
            let mut normal = Vec::new();
            all.extend(normalise(kind, token, &mut normal).map(|kind| (kind, normal)));
        };
        for start in 0..SHORT_WORD {
            let mut padded = [0; SHORT_WORD];
            if let Some(text) = text.get(..SHORT_WORD - start) {
                padded[start..].copy_from_slice(text);
                let is_word = start > 0 && text.iter().all(|byte| is_word(*byte));
                let expected = is_word.then(|| Word::of(&padded, start, SHORT_WORD));
                assert_eq!(short_word(&padded, start), expected, "{text:?}");
            }
        }
        [Kind::Ipv4, Kind::Domain].into_iter().for_each(|kind| take(kind, text));
        scan(text, &mut take);
        for (kind, normal) in all {
            let met = values.iter().any(|(of, value)| is_met((*of, value), kind, &normal));
            assert!(!met || through, "{:?} for {values:?}", String::from_utf8_lossy(text));
        }
    }

    /// What meets a value goes through; nothing does that is no token. Gives what went through.
    fn check(values: &[(Kind, Vec<u8>)], text: &[u8]) -> usize {
        let through = places(text, |emit| sieve_of(values).scan(text, &mut Words::default(), emit));
        let all = places(text, |emit| scan(text, emit));
        assert!(through.iter().all(|token| all.contains(token)), "{}", String::from_utf8_lossy(text));
        for token @ (start, len, kind) in all {
            let mut normal = Vec::new();
            let Some(kind) = normalise(kind, &text[start..start + len], &mut normal) else { continue };
            let met = values.iter().find(|(of, value)| is_met((*of, value), kind, &normal));
            assert!(
                met.is_none() || through.contains(&token),
                "{:?} of {:?} for {met:?}",
                String::from_utf8_lossy(&text[start..start + len]),
                String::from_utf8_lossy(text)
            );
        }
        through.len()
    }

    /// Values as a list would have them, and texts made of them and of what is close to them.
    fn pieces() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "([ab-]{1,3}[.]){1,4}(com|co[.]uk|al|x1|7)",
            1 => "[aé_-]{1,3}[.]([aİK-]{0,4}|-{20,70})[.][a-z]{2,20}",
            1 => "[a-z]{40,63}[.][a-z]{1,30}[.](com|[a-z]{10,60})",
            2 => "(https?|x)://([ab]{1,2}(:b)?@)?([.]?[ab-]{1,3}[.-]){1,3}(com|7|a)?(:[0-9]{0,3})?([/?#][a?/#b]{0,4})?",
            1 => "http://(1[.]2[.]3[.][0-9]{1,3}|300[.]1[.]1[.]1|1[.]2|intranet|\\[::1\\])/[ab]?",
            2 => "[ab+]{1,3}@[ab]{1,3}[.](com|co[.]uk)",
            3 => "(1|10|210)[.](2|25)[.](3|255)[.][0-9]{1,3}",
            1 => "(1|10|210)[.](2|25)[.](3|255)[.][0-9]{1,3}/(0|4|8|12|15|16|17|2[0-9]|3[01])",
            1 => "1[.]2[.]3[.]4(-1[.]2[.]3[.]5|[.-]{1,3}|[.]5)",
            1 => "[0-9.]{55,80}(-1[.]2[.]3[.]4)?",
            2 => "([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})",
            1 => "::ffff:1[.]2[.]3[.][0-9]{1,3}|2001:db8::[0-9]",
        ]
    }

    fn values_of(pieces: &[String]) -> Vec<(Kind, Vec<u8>)> {
        const KINDS: [Kind; 9] = [
            Kind::Domain,
            Kind::Url,
            Kind::Email,
            Kind::Ipv4,
            Kind::Network,
            Kind::Md5,
            Kind::Sha1,
            Kind::Sha256,
            Kind::Sha512,
        ];
        let one = |kind: Kind, piece: &str| {
            let mut value = Vec::new();
            normalise(kind, piece.as_bytes(), &mut value).map(|kind| (kind, value))
        };
        pieces.iter().flat_map(|piece| KINDS.iter().filter_map(move |kind| one(*kind, piece))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_meets_a_value_goes_through(
            values in prop::collection::vec(pieces(), 1..12),
            others in prop::collection::vec(pieces(), 0..4),
            parts in prop::collection::vec((
                0_usize..16,
                "([ab]{1,2}[.]|[.]|-|://|a@|/|[a-z ]{0,70}|é|\")",
                "([.]|-|/a|:8?|@| |\"|[a-z ]{0,70}|[.-]{7,60}|é)",
                any::<bool>(),
            ), 0..10),
        ) {
            let mut text = String::new();
            for (which, before, behind, upper) in parts {
                let piece = values.iter().chain(&others).nth(which % (values.len() + others.len())).unwrap();
                text.push_str(&before);
                text.push_str(&if upper { piece.to_uppercase() } else { piece.clone() });
                text.push_str(&behind);
            }
            check(&values_of(&values), text.as_bytes());
        }

        #[test]
        fn whatever_a_short_word_meets_lets_it_through(
            values in prop::collection::vec(pieces(), 1..12),
            which in 0_usize..12,
            before in "(www[.]|a[.]|[.]|-|x-|1[.]|é|)",
            behind in "([.]|-|[.]-|x|é|)",
            upper in any::<bool>(),
        ) {
            let piece = &values[which % values.len()];
            let text = format!("{before}{piece}{behind}");
            check_word(&values_of(&values), if upper { text.to_uppercase() } else { text }.as_bytes());
        }

        #[test]
        fn addresses_in_text_are_read_as_such(bits in any::<u32>(), gap in 0_usize..20) {
            let written = std::net::Ipv4Addr::from(bits).to_string();
            let text = format!("{}{written}", " ".repeat(gap));
            let word = Word::of(text.as_bytes(), gap, text.len());
            assert_eq!(address_of(tail(text.as_bytes(), text.len()), &word), Some(bits));
            assert_eq!(parse_address(written.as_bytes()), Some(std::net::Ipv4Addr::from(bits).into()));
        }
    }

    /// Each value at every place of the blocks of 64 bytes.
    #[test]
    fn values_over_the_borders_of_blocks() {
        for piece in [
            "evil.example",
            "http://evil.example/a",
            "mail@evil.example",
            "203.0.113.77",
            "d41d8cd98f00b204e9800998ecf8427e",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            let values = values_of(&[piece.to_owned()]);
            for before in [" ", "\"", "www.", "http://www.", "x@a.", "10.0.0.1-"] {
                for gap in 0..140 {
                    for behind in ["", " ", ".", ":80/", "\n", "--------------", "-10.0.0.1"] {
                        let text =
                            format!("{}{before}{piece}{behind}{}", "-".repeat(gap), " x".repeat(gap % 40));
                        check(&values, text.as_bytes());
                        check(&values, text.replacen('-', " ", gap).as_bytes());
                    }
                }
            }
        }
    }

    #[test]
    fn what_meets_nothing_is_held_back() {
        let values =
            values_of(&["evil.example", "bad.gov.al", "203.0.113.0/24", "198.51.100.7"].map(String::from));
        for (text, through) in [
            ("GET http://good.example/a?b from 10.1.2.3, version 10.0.19041.1 at 12.5 s, file a.exe", 0),
            ("www.mfa.gov.al and http://e-albania.al/", 0),
            ("www.bad.gov.al", 1),
            ("http://www.evil.example/ from 203.0.113.9", 3),
            ("198.51.100.7", 1),
            ("198.51.100.8", 0),
            ("d41d8cd98f00b204e9800998ecf8427e", 0),
        ] {
            assert_eq!(check(&values, text.as_bytes()), through, "{text}");
        }
    }

    #[test]
    fn bytes_of_words() {
        for byte in 0..=u8::MAX {
            let mut padded = [0; SHORT_WORD];
            padded[SHORT_WORD - 1] = byte;
            let expected = is_word(byte).then(|| Word::of(&padded, SHORT_WORD - 1, SHORT_WORD));
            assert_eq!(short_word(&padded, SHORT_WORD - 1), expected, "{byte}");
        }
    }

    #[test]
    fn large_networks_in_any_number() {
        let mut sieve = Sieve::new(1, [1, 2]);
        for number in 0..100_000_u32 {
            sieve.add(Kind::Network, &[4, 1, (number << 7) as u8, 0, 0, 0]);
        }
        sieve.freeze();
        assert!(sieve.may_hold_network_of(0) && sieve.may_hold_network_of(u32::MAX));
    }
}
