//! Ed25519 keys: public ones that are safe to trust, secret ones in files, fingerprints for people.
//!
//! * A **public key** is taken only in its one canonical encoding and only if it is no point of
//!   small order, for which one signature fits many messages. Signatures are verified strictly (RFC
//!   8032 with `S` below the group's order, no small-order `R`), so none can be altered into another.
//! * The **authority key** file is sealed with a passphrase: Argon2id, then ChaCha20-Poly1305 with
//!   the file's other fields as associated data. What a file may ask of Argon2id is bounded.
//! * The **node key** file holds the bare seed; whoever writes it makes it readable for its owner
//!   alone.
//!
//! Randomness (seeds, salts) is an argument: this crate asks no system for anything. Seeds are wiped
//! from memory when dropped.

use argon2::{Algorithm, Argon2, Params, Version};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exact::{ExactError, exact_value, sha_256};
use crate::member::{Digest, KeyId, hex_exact, hex_text};

/// `format` of an authority key file.
pub const AUTHORITY_KEY_FORMAT: &str = "besa-authority-key-1";
/// `format` of a node key file.
pub const NODE_KEY_FORMAT: &str = "besa-node-key-1";
/// Shortest passphrase that seals an authority key, in characters.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// Memory that a key file may ask Argon2id to fill, in KiB.
pub const ARGON2_KIB_MAX: u32 = 1 << 20;
/// Passes that a key file may ask of Argon2id.
pub const ARGON2_PASSES_MAX: u32 = 16;

const KEY_FILE_BYTES_MAX: usize = 4096;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No point of the curve, or not in its canonical encoding.
    #[error("{0} is no Ed25519 public key")]
    NoPoint(KeyId),
    /// A point of small order.
    #[error("{0} is a key of small order; its signatures prove nothing")]
    SmallOrder(KeyId),
    /// The key file is no JSON of a known form.
    #[error("the key file cannot be read: {0}")]
    File(String),
    /// Argon2id is asked for too little or too much.
    #[error(
        "the key file asks for {memory} KiB and {passes} passes of Argon2id; 8 to {ARGON2_KIB_MAX} KiB and 1 to {ARGON2_PASSES_MAX} passes are allowed"
    )]
    Cost {
        /// KiB asked for.
        memory: u32,
        /// Passes asked for.
        passes: u32,
    },
    /// The passphrase is wrong, or the file was altered; the two look the same.
    #[error("the passphrase is wrong or the file was altered")]
    Sealed,
    /// The passphrase is too short to seal with.
    #[error("the passphrase has fewer than {PASSPHRASE_CHARS_MIN} characters")]
    ShortPassphrase,
    /// The secret does not belong to the public key in the file.
    #[error("the secret key does not belong to the public key in the file")]
    Mismatch,
}

impl From<ExactError> for KeyError {
    fn from(error: ExactError) -> Self {
        Self::File(error.to_string())
    }
}

/// A public key that may be trusted with verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes a key: canonical, on the curve, not of small order.
    pub fn new(id: &KeyId) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(id.as_bytes()).map_err(|_| KeyError::NoPoint(*id))?;
        if key.is_weak() {
            return Err(KeyError::SmallOrder(*id));
        }
        // The same point in another spelling would be another name for the same key.
        if key.to_edwards().compress().as_bytes() != id.as_bytes() {
            return Err(KeyError::NoPoint(*id));
        }
        Ok(Self(key))
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        KeyId::from_bytes(self.0.to_bytes())
    }

    /// Whether a signature over a message is this key's, strictly.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// A secret key.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its public key's name.
    pub fn id(&self) -> KeyId {
        KeyId::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs a message as it is; objects of the alliance are signed through [`crate::signed`].
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The text of a node key file.
    pub fn node_file(&self) -> Zeroizing<String> {
        let (id, seed) = (self.id(), Zeroizing::new(hex_text(self.0.as_bytes())));
        let mut text = Zeroizing::new(String::with_capacity(256));
        for part in [
            "{\n  \"format\": \"",
            NODE_KEY_FORMAT,
            "\",\n  \"public_key\": \"",
            &id.to_string(),
            "\",\n  \"secret_key\": \"",
            seed.as_str(),
            "\"\n}\n",
        ] {
            text.push_str(part);
        }
        text
    }

    /// Reads a node key file.
    pub fn from_node_file(text: &str) -> Result<Self, KeyError> {
        let file: NodeFile = read_file(text)?;
        if file.format != NODE_KEY_FORMAT {
            return Err(KeyError::File(format!("`format` is not {NODE_KEY_FORMAT}")));
        }
        let secret = Zeroizing::new(file.secret_key);
        Self::checked(&secret, file.public_key)
    }

    /// The text of an authority key file, sealed with a passphrase.
    pub fn authority_file(
        &self,
        passphrase: &str,
        random: &SealRandom,
        cost: ArgonCost,
    ) -> Result<String, KeyError> {
        if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(KeyError::ShortPassphrase);
        }
        let mut file = AuthorityFile {
            format: AUTHORITY_KEY_FORMAT.to_owned(),
            public_key: self.id(),
            kdf: Kdf {
                name: "argon2id".to_owned(),
                memory_kib: cost.memory_kib,
                passes: cost.passes,
                salt: hex_text(&random.salt),
            },
            cipher: "chacha20-poly1305".to_owned(),
            nonce: hex_text(&random.nonce),
            sealed: String::new(),
        };
        let key = file.sealing_key(passphrase)?;
        let mut secret = Zeroizing::new(self.0.as_bytes().to_vec());
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(random.nonce),
                file.associated(),
                &mut secret,
            )
            .map_err(|_| KeyError::Sealed)?;
        file.sealed = hex_text(&secret) + &hex_text(tag.as_ref());
        serde_json::to_string_pretty(&file)
            .map(|text| text + "\n")
            .map_err(|error| KeyError::File(error.to_string()))
    }

    /// Opens an authority key file.
    pub fn from_authority_file(text: &str, passphrase: &str) -> Result<Self, KeyError> {
        let file = AuthorityFile::read(text)?;
        let key = file.sealing_key(passphrase)?;
        let bad = || KeyError::File("`nonce` or `sealed` is not of its length in hexadecimal".to_owned());
        let nonce = hex_exact::<12>(&file.nonce).ok_or_else(bad)?;
        let mut sealed = Zeroizing::new(hex_exact::<48>(&file.sealed).ok_or_else(bad)?);
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), file.associated(), sealed.as_mut_slice())
            .map_err(|_| KeyError::Sealed)?;
        let seed = Zeroizing::new(<[u8; 32]>::try_from(&*opened).map_err(|_| KeyError::Sealed)?);
        Self::matching(Self::from_seed(&seed), file.public_key)
    }

    fn checked(secret: &str, public: KeyId) -> Result<Self, KeyError> {
        let seed = hex_exact::<32>(secret)
            .ok_or_else(|| KeyError::File("`secret_key` is not 64 hexadecimal digits".to_owned()))?;
        Self::matching(Self::from_seed(&Zeroizing::new(seed)), public)
    }

    fn matching(key: Self, public: KeyId) -> Result<Self, KeyError> {
        if key.id() == public { Ok(key) } else { Err(KeyError::Mismatch) }
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.id())
    }
}

/// Fresh random bytes for sealing; never used twice.
pub struct SealRandom {
    /// Argon2id's salt.
    pub salt: [u8; 16],
    /// The cipher's nonce.
    pub nonce: [u8; 12],
}

/// What deriving the sealing key costs; one lane.
#[derive(Clone, Copy, Debug)]
pub struct ArgonCost {
    /// Memory to fill, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for ArgonCost {
    /// 256 MiB, three passes: about a second, once per signing.
    fn default() -> Self {
        Self { memory_kib: 256 << 10, passes: 3 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    format: String,
    public_key: KeyId,
    secret_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityFile {
    format: String,
    public_key: KeyId,
    kdf: Kdf,
    cipher: String,
    nonce: String,
    sealed: String,
}

impl AuthorityFile {
    fn read(text: &str) -> Result<Self, KeyError> {
        let file: Self = read_file(text)?;
        for (found, expected) in [
            (&file.format, AUTHORITY_KEY_FORMAT),
            (&file.kdf.name, "argon2id"),
            (&file.cipher, "chacha20-poly1305"),
        ] {
            if found != expected {
                return Err(KeyError::File(format!("it says `{found}` where only {expected} is known")));
            }
        }
        Ok(file)
    }

    fn sealing_key(&self, passphrase: &str) -> Result<LessSafeKey, KeyError> {
        let (memory, passes) = (self.kdf.memory_kib, self.kdf.passes);
        if !(8..=ARGON2_KIB_MAX).contains(&memory) || !(1..=ARGON2_PASSES_MAX).contains(&passes) {
            return Err(KeyError::Cost { memory, passes });
        }
        let salt = hex_exact::<16>(&self.kdf.salt)
            .ok_or_else(|| KeyError::File("`salt` is not 32 hexadecimal digits".to_owned()))?;
        let failed = |error: argon2::Error| KeyError::File(error.to_string());
        let params = Params::new(memory, passes, 1, Some(32)).map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice())
            .map_err(failed)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).map_err(|_| KeyError::Sealed)?;
        Ok(LessSafeKey::new(key))
    }

    /// Every other field, so that none can be changed without the passphrase.
    fn associated(&self) -> Aad<Vec<u8>> {
        let Kdf { name, memory_kib, passes, salt } = &self.kdf;
        let (format, public, cipher) = (&self.format, self.public_key, &self.cipher);
        Aad::from(
            format!("{format}\n{public}\n{name}\n{memory_kib}\n{passes}\n{salt}\n{cipher}\n").into_bytes(),
        )
    }
}

/// The public key of an authority or node key file, without its secret.
pub fn public_key_of_file(text: &str) -> Result<KeyId, KeyError> {
    match read_file::<NodeFile>(text) {
        Ok(_) => Ok(SecretKey::from_node_file(text)?.id()),
        Err(_) => Ok(AuthorityFile::read(text)?.public_key),
    }
}

fn read_file<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, KeyError> {
    let value = exact_value(text, KEY_FILE_BYTES_MAX)?;
    serde_json::from_value(value).map_err(|error| KeyError::File(error.to_string()))
}

/// What a fingerprint is of; the same bytes as another thing have another fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FingerprintOf {
    /// A public key.
    Key,
    /// A charter's hash.
    Charter,
}

/// The fingerprint of a key, to be read out: eight groups of four characters (160 bits).
pub fn key_fingerprint(key: &KeyId) -> String {
    fingerprint(FingerprintOf::Key, key.as_bytes())
}

/// The fingerprint of a charter, to be read out: eight groups of four characters (160 bits).
pub fn charter_fingerprint(charter: &Digest) -> String {
    fingerprint(FingerprintOf::Charter, charter.as_bytes())
}

/// Crockford's base 32: no `I`, `L`, `O` or `U`, which people mistake for others.
fn fingerprint(of: FingerprintOf, bytes: &[u8; 32]) -> String {
    const ALPHABET: [char; 32] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K',
        'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z',
    ];
    let prefix: &[u8] = match of {
        FingerprintOf::Key => b"besa-fingerprint-1\nkey\n",
        FingerprintOf::Charter => b"besa-fingerprint-1\ncharter\n",
    };
    let hash = sha_256(&[prefix, bytes.as_slice()].concat());
    let (fives, _) = hash.as_bytes().as_chunks::<5>();
    let mut text = String::with_capacity(39);
    for (at, five) in fives.iter().take(4).enumerate() {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for group in 0..8u32 {
            if group % 4 == 0 && (at, group) != (0, 0) {
                text.push(' ');
            }
            let index = (bits >> (35 - 5 * group) & 31) as usize;
            text.extend(ALPHABET.get(index));
        }
    }
    text
}

/// Whether two fingerprints are the same to a person: case and spaces do not count, and the letters
/// left out of the alphabet mean the digits they look like.
pub fn same_fingerprint(a: &str, b: &str) -> bool {
    plain_fingerprint(a) == plain_fingerprint(b)
}

/// Whether a text has the form of a fingerprint, as people may write it.
pub fn is_fingerprint(text: &str) -> bool {
    let plain = plain_fingerprint(text);
    plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() && byte != b'U')
}

fn plain_fingerprint(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
    kept.map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: ArgonCost = ArgonCost { memory_kib: 64, passes: 1 };
    const PASSPHRASE: &str = "correct horse battery";

    fn random() -> SealRandom {
        SealRandom { salt: [7; 16], nonce: [9; 12] }
    }

    #[test]
    fn rfc_8032() {
        // Section 7.1, tests 1 to 3: seed, public key, message, signature.
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = SecretKey::from_seed(&hex_exact(seed).unwrap());
            assert_eq!(key.id().to_string(), public);
            let message: Vec<u8> = message
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            assert_eq!(hex_text(&key.sign(&message)), signature);
            let public = PublicKey::new(&key.id()).unwrap();
            assert!(public.verifies(&message, &hex_exact(signature).unwrap()));
            assert!(!public.verifies(b"other", &hex_exact(signature).unwrap()));
        }
    }

    #[test]
    fn keys_of_small_order_and_second_spellings_are_refused() {
        for bad in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            // y = 1 with the sign of x set; y beyond the field's prime; no point at all.
            "0100000000000000000000000000000000000000000000000000000000000080",
            "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0200000000000000000000000000000000000000000000000000000000000000",
        ] {
            assert!(PublicKey::new(&KeyId::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_signature_has_no_second_spelling() {
        let key = SecretKey::from_seed(&[1; 32]);
        let mut signature = key.sign(b"message");
        // S + L is the same scalar.
        let order =
            hex_exact::<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut carry = 0u16;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = (carry & 255) as u8;
            carry >>= 8;
        }
        assert!(!PublicKey::new(&key.id()).unwrap().verifies(b"message", &signature));
    }

    #[test]
    fn files_there_and_back() {
        let key = SecretKey::from_seed(&[3; 32]);
        let node = key.node_file();
        assert_eq!(SecretKey::from_node_file(&node).unwrap().id(), key.id());
        let sealed = key.authority_file(PASSPHRASE, &random(), CHEAP).unwrap();
        assert_eq!(SecretKey::from_authority_file(&sealed, PASSPHRASE).unwrap().id(), key.id());
        for file in [&*node, &sealed] {
            assert_eq!(public_key_of_file(file).unwrap(), key.id());
        }
        assert!(!sealed.contains(&hex_text(&[3; 32])));
        assert!(matches!(
            SecretKey::from_authority_file(&sealed, "wrong horse battery"),
            Err(KeyError::Sealed)
        ));
        assert!(matches!(key.authority_file("short", &random(), CHEAP), Err(KeyError::ShortPassphrase)));
    }

    #[test]
    fn altered_files_are_refused() {
        let key = SecretKey::from_seed(&[3; 32]);
        let sealed = key.authority_file(PASSPHRASE, &random(), CHEAP).unwrap();
        let other = SecretKey::from_seed(&[4; 32]).id().to_string();
        for (from, to) in [
            ("\"passes\": 1", "\"passes\": 2"),
            ("\"passes\": 1", "\"passes\": 4000000000"),
            ("\"memory_kib\": 64", "\"memory_kib\": 4000000000"),
            ("\"memory_kib\": 64", "\"memory_kib\": 0"),
            ("argon2id", "argon2i"),
            ("0909", "0908"),
            (&key.id().to_string(), &other),
            ("\"cipher\"", "\"x\": 1, \"cipher\""),
        ] {
            assert_ne!(sealed.replacen(from, to, 1), sealed, "{from}");
            assert!(
                SecretKey::from_authority_file(&sealed.replacen(from, to, 1), PASSPHRASE).is_err(),
                "{from} {to}"
            );
        }
        let node = key.node_file().replace(&key.id().to_string(), &other);
        assert!(matches!(SecretKey::from_node_file(&node), Err(KeyError::Mismatch)));
    }

    #[test]
    fn fingerprints() {
        let key = SecretKey::from_seed(&[3; 32]).id();
        let print = key_fingerprint(&key);
        assert_eq!(print.split(' ').map(str::len).collect::<Vec<_>>(), [4; 8]);
        assert_ne!(print, charter_fingerprint(&Digest::from_bytes(*key.as_bytes())));
        assert!(same_fingerprint(&print, &print.to_lowercase().replace(' ', "-").replace('0', "o")));
        assert!(!same_fingerprint(&print, &key_fingerprint(&SecretKey::from_seed(&[4; 32]).id())));
    }
}
