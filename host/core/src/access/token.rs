//! The text of a token, and what is kept of it.
//!
//! A token is `dn_<id>_<secret>`: its id, which the catalogue knows it by and people may see, and 256 random bits, which
//! are shown once. What is kept is a digest of these bits and a random salt. A slow hash, as passwords need one, would
//! protect nothing here: nobody can try 2^256 secrets.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of an id.
pub const TOKEN_ID_BYTES: usize = 8;

/// What every token begins with, so that people and scanners of secrets know it.
const PREFIX: &str = "dn_";

/// A token, as it is shown once and sent with every request. It cannot be printed by accident.
#[derive(Clone)]
pub struct TokenText {
    id: String,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

/// A text that is no token. It says nothing else, for it must not say a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no token of a datanode host: one begins with `dn_` and was shown when it was created")]
pub struct BadToken;

/// What is kept of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash {
    salt: [u8; SALT_BYTES],
    digest: [u8; 32],
}

impl TokenText {
    /// A token of these random bytes.
    pub fn new(id: [u8; TOKEN_ID_BYTES], secret: [u8; SECRET_BYTES]) -> Self {
        Self { id: hex(&id), secret: Zeroizing::new(secret) }
    }

    /// Read one.
    pub fn parse(text: &str) -> Result<Self, BadToken> {
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(BadToken)?;
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        let mut id_bytes = [0; TOKEN_ID_BYTES];
        if !unhex(id, &mut id_bytes) || !unhex(secret, bytes.as_mut_slice()) {
            return Err(BadToken);
        }
        Ok(Self { id: id.to_owned(), secret: bytes })
    }

    /// Its id, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole text: for the one moment in which it is shown, and for requests.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}_{}", self.id, hex(self.secret.as_slice())))
    }

    /// What is kept of it, with this random salt.
    pub fn hash(&self, salt: [u8; SALT_BYTES]) -> TokenHash {
        let digest = Sha256::new().chain_update(salt).chain_update(self.secret.as_slice()).finalize();
        TokenHash { salt, digest: digest.into() }
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenText").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenHash {
    /// What an unknown token is compared with, so that it takes as long as a known one.
    pub const NOTHING: Self = Self { salt: [0; SALT_BYTES], digest: [0; 32] };

    /// Whether it is that of this token. How long it takes tells nothing of where they differ.
    pub fn is_of(&self, token: &TokenText) -> bool {
        bool::from(token.hash(self.salt).digest.ct_eq(&self.digest))
    }

    /// As it is kept: salt and digest in hexadecimal.
    pub fn to_text(&self) -> String {
        format!("{}:{}", hex(&self.salt), hex(&self.digest))
    }

    /// Read it back; None: this is none.
    pub fn from_text(text: &str) -> Option<Self> {
        let (salt_text, digest_text) = text.split_once(':')?;
        let (mut salt, mut digest) = ([0; SALT_BYTES], [0; 32]);
        (unhex(salt_text, &mut salt) && unhex(digest_text, &mut digest)).then_some(Self { salt, digest })
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenHash").finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

/// Lower-case hexadecimal of exactly as many bytes.
fn unhex(text: &str, bytes: &mut [u8]) -> bool {
    let text = text.as_bytes();
    if text.len() != bytes.len() * 2 {
        return false;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return false };
        *byte = high << 4 | low;
    }
    true
}
