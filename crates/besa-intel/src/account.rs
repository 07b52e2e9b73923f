//! Passwords, API tokens, roles.
//!
//! Passwords are kept as argon2id (RFC 9106) in PHC form. A token is 256 random bits, so its plain
//! SHA-256 is kept: nothing can be guessed from it, and checking costs a microsecond.
//!
//! A token reads `besa_<id>_<secret>`, both in lower-case hexadecimal (32 and 64 digits).

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};

use crate::store::{CollectionKey, StoreError, Time, Token, micros};

/// Shortest password taken, in characters.
pub const PASSWORD_CHARS_MIN: usize = 10;

/// What a user may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads the collections it was given.
    Reader,
    /// Also writes to those it was given for writing.
    Contributor,
    /// Also looks through the whole store.
    Analyst,
    /// Everything, on every collection.
    Administrator,
}

impl Role {
    /// All roles with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Reader, "reader"),
        (Self::Contributor, "contributor"),
        (Self::Analyst, "analyst"),
        (Self::Administrator, "administrator"),
    ];

    /// The role's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(role, _)| *role == self).map_or("reader", |(_, name)| name)
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, found)| *found == name).map(|(role, _)| *role)
    }
}

/// What a token may be used for, at most; the user's own rights limit it further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reading only.
    Read,
    /// Writing only.
    Write,
    /// Both.
    ReadWrite,
}

impl Scope {
    /// `ro`, `wo` or `rw`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "ro",
            Self::Write => "wo",
            Self::ReadWrite => "rw",
        }
    }

    /// The scope of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::ReadWrite].into_iter().find(|scope| scope.name() == name)
    }

    /// Whether reading is in it.
    pub fn reads(self) -> bool {
        self != Self::Write
    }

    /// Whether writing is in it.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// Hashes a password; refuses short ones.
pub fn hash_password(password: &str) -> Result<String, StoreError> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(StoreError::Input(format!(
            "the password is too short; use at least {PASSWORD_CHARS_MIN} characters"
        )));
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| StoreError::Input(format!("the password cannot be hashed: {error}")))
}

/// Whether a password has this hash. Costs about 50 ms and 19 MiB by design.
pub fn verify_password(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// A token just made: shown once, never stored.
#[derive(Clone, Debug)]
pub struct FreshToken {
    /// Its public half, by which it is listed and revoked.
    pub id: String,
    /// The whole token.
    pub text: String,
    /// What is stored of the secret half.
    pub hash: Vec<u8>,
}

impl FreshToken {
    /// What the store keeps of it.
    pub fn record(
        &self,
        user: &str,
        label: &str,
        scope: Scope,
        collection: Option<CollectionKey>,
        expires: Option<Time>,
        at: Time,
    ) -> Token {
        Token {
            id: self.id.clone(),
            user: user.to_owned(),
            label: label.to_owned(),
            hash: self.hash.clone(),
            scope,
            collection,
            created: micros(at),
            expires: expires.map(micros),
        }
    }
}

/// Makes a token from the operating system's random numbers.
pub fn fresh_token() -> Result<FreshToken, StoreError> {
    let id = random_hex(16)?;
    let secret = random_hex(32)?;
    Ok(FreshToken { text: format!("besa_{id}_{secret}"), hash: secret_hash(&secret), id })
}

/// Splits a token into its id and the hash of its secret; `None` if it has another form.
pub fn read_token(text: &str) -> Option<(String, Vec<u8>)> {
    let (id, secret) = text.strip_prefix("besa_")?.split_once('_')?;
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(id, 32) && hex(secret, 64)).then(|| (id.to_owned(), secret_hash(secret)))
}

/// A random UUID (version 4) in text form.
pub fn fresh_uuid() -> Result<String, StoreError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(no_random)?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    Ok(format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)))
}

fn random_hex(bytes: usize) -> Result<String, StoreError> {
    let mut buffer = vec![0u8; bytes];
    getrandom::fill(&mut buffer).map_err(no_random)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn no_random(error: getrandom::Error) -> StoreError {
    StoreError::Broken(format!("the operating system gives no random numbers: {error}"))
}

fn secret_hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.to_ascii_lowercase().as_bytes()).to_vec()
}
