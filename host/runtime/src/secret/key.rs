//! The key by which secrets are sealed, and where the values of all kinds are found.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_core::digest::Digest;
use datanode_store::{SecretPlace, StoredSecret};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{SecretError, SecretValue};
use crate::signature::digits;

/// The most bytes that are read of a file with a secret or a key.
const MAX_FILE: u64 = 8_192;
/// Hexadecimal digits of the key.
const KEY_DIGITS: usize = 64;

/// Where the key is: given, or in a file that is made when the first secret is sealed.
#[derive(Clone, Default)]
pub struct SecretKeys {
    file: PathBuf,
    given: Option<Zeroizing<String>>,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeys").field("file", &self.file).finish_non_exhaustive()
    }
}

struct Key {
    bytes: Zeroizing<Vec<u8>>,
    /// Tells it from others.
    name: String,
}

impl SecretKeys {
    /// The key of this file, or in its place the one that is given: 64 hexadecimal digits both.
    pub fn new(file: PathBuf, given: Option<String>) -> Self {
        Self { file, given: given.map(Zeroizing::new) }
    }

    /// Seal a value under its name: what is stored under another name does not open.
    pub(super) fn seal(&self, name: &str, value: &SecretValue) -> Result<SecretPlace, SecretError> {
        let key = match self.key()? {
            Some(key) => key,
            None => self.make()?,
        };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| self.unusable(error))?;
        let mut sealed = value.reveal().as_bytes().to_vec();
        self.aead(&key)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to(name), &mut sealed)
            .map_err(|error| self.unusable(error))?;
        Ok(SecretPlace::Sealed {
            key: key.name,
            nonce: STANDARD.encode(nonce),
            sealed: STANDARD.encode(sealed),
        })
    }

    /// The value of a secret.
    pub(super) fn open(&self, secret: &StoredSecret) -> Result<SecretValue, SecretError> {
        let name = &secret.name;
        let unavailable = |place: &str, problem: String| SecretError::Unavailable {
            name: name.clone(),
            place: place.to_owned(),
            problem,
        };
        let text = match &secret.place {
            SecretPlace::Env { variable } => {
                let place = format!("variable {variable}");
                Zeroizing::new(std::env::var(variable).map_err(|error| match error {
                    std::env::VarError::NotPresent => unavailable(&place, "not set".to_owned()),
                    std::env::VarError::NotUnicode(_) => unavailable(&place, "no text".to_owned()),
                })?)
            }
            SecretPlace::File { path } => read(Path::new(path))
                .map_err(|error| unavailable(&format!("file {path}"), error.to_string()))?,
            SecretPlace::Sealed { key: sealed_by, nonce, sealed } => {
                let key = self.key()?;
                let held = key.as_ref().map_or("none".to_owned(), |key| format!("key {}", key.name));
                let other = || SecretError::Sealed {
                    name: name.clone(),
                    sealed_by: sealed_by.clone(),
                    held: held.clone(),
                };
                let key = key.filter(|key| key.name == *sealed_by).ok_or_else(other)?;
                let nonce =
                    STANDARD.decode(nonce).ok().and_then(|nonce| nonce.try_into().ok()).ok_or_else(other)?;
                let mut sealed = Zeroizing::new(STANDARD.decode(sealed).map_err(|_| other())?);
                let opened = self
                    .aead(&key)?
                    .open_in_place(Nonce::assume_unique_for_key(nonce), bound_to(name), &mut sealed)
                    .map_err(|_| other())?;
                Zeroizing::new(std::str::from_utf8(opened).map_err(|_| other())?.to_owned())
            }
        };
        SecretValue::new(&text).map_err(|problem| SecretError::Unfit { name: name.clone(), problem })
    }

    fn aead(&self, key: &Key) -> Result<LessSafeKey, SecretError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key.bytes).map_err(|error| self.unusable(error))?;
        Ok(LessSafeKey::new(key))
    }

    fn place(&self) -> String {
        match self.given {
            Some(_) => "variable DATANODE_SECRET_KEY".to_owned(),
            None => self.file.display().to_string(),
        }
    }

    fn unusable(&self, problem: impl fmt::Display) -> SecretError {
        SecretError::Key { place: self.place(), problem: problem.to_string() }
    }

    /// The key, where there is one already.
    fn key(&self) -> Result<Option<Key>, SecretError> {
        let text = if let Some(given) = &self.given {
            given.clone()
        } else {
            match read(&self.file) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(self.unusable(error)),
            }
        };
        let text = text.trim();
        let wrong = || self.unusable("it is not 64 hexadecimal digits");
        if text.len() != KEY_DIGITS || !text.is_ascii() {
            return Err(wrong());
        }
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong());
        let bytes = Zeroizing::new((0..KEY_DIGITS).step_by(2).map(digit).collect::<Result<Vec<u8>, _>>()?);
        let mut named = Zeroizing::new(b"the name of a key of datanode secrets\0".to_vec());
        named.extend_from_slice(&bytes);
        Ok(Some(Key { name: Digest::of(&named).short(), bytes }))
    }

    /// Make the file. Of two that do it at once, the first one's key is used by both.
    fn make(&self) -> Result<Key, SecretError> {
        let mut bytes = Zeroizing::new([0_u8; KEY_DIGITS / 2]);
        getrandom::fill(&mut bytes[..]).map_err(|error| self.unusable(error))?;
        let text: Zeroizing<String> = Zeroizing::new(digits(&bytes[..]));
        let directory = self.file.parent().unwrap_or(Path::new("."));
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut file| {
            // Temporary files are readable by their user alone.
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(&self.file) {
                Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
                _ => Ok(()),
            }
        });
        written.map_err(|error| self.unusable(error))?;
        self.key()?.ok_or_else(|| self.unusable("it is gone again"))
    }
}

fn bound_to(name: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("datanode secret\0{name}").into_bytes())
}

fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(name: &str, place: SecretPlace) -> StoredSecret {
        StoredSecret { name: name.to_owned(), place, set_at: crate::now() }
    }

    #[test]
    fn what_is_sealed_opens_under_its_name_and_key_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret.key");
        let keys = SecretKeys::new(file.clone(), None);
        let value = SecretValue::new("s3cr3t-value\n").unwrap();
        let place = keys.seal("token", &value).unwrap();
        assert!(!format!("{place:?} {value:?} {keys:?}").contains("s3cr3t"));
        assert_eq!(keys.open(&stored("token", place.clone())).unwrap().reveal(), "s3cr3t-value");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // Again, it looks different.
        assert_ne!(keys.seal("token", &value).unwrap(), place);
        let code = |keys: &SecretKeys, name: &str| {
            use datanode_core::Diagnostic as _;
            keys.open(&stored(name, place.clone())).unwrap_err().code()
        };
        assert_eq!(code(&keys, "other"), "secret.sealed");
        let given = SecretKeys::new(file.clone(), Some("ab".repeat(32)));
        assert_eq!(code(&given, "token"), "secret.sealed");
        assert_eq!(code(&SecretKeys::new(directory.path().join("none"), None), "token"), "secret.sealed");
        assert_eq!(code(&SecretKeys::new(file.clone(), Some("xy".repeat(32))), "token"), "secret.key");
        std::fs::write(&file, "short").unwrap();
        assert_eq!(code(&keys, "token"), "secret.key");
    }

    #[test]
    fn values_come_from_files_and_are_judged() {
        let directory = tempfile::tempdir().unwrap();
        let keys = SecretKeys::new(directory.path().join("secret.key"), None);
        let file = directory.path().join("token");
        let place = SecretPlace::File { path: file.to_str().unwrap().to_owned() };
        let open = || keys.open(&stored("token", place.clone()));
        assert!(matches!(open(), Err(SecretError::Unavailable { .. })));
        for (text, fits) in [
            ("12345678\r\n", true),
            ("1234567", false),
            ("1234 5678", true),
            ("12345678\n\n", false),
            ("größer als", false),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(open().is_ok(), fits, "{text:?}");
        }
        std::fs::write(&file, "x".repeat(5_000)).unwrap();
        assert!(matches!(open(), Err(SecretError::Unfit { .. })));
        let env = SecretPlace::Env { variable: "DATANODE_NO_SUCH_VARIABLE".to_owned() };
        assert!(matches!(keys.open(&stored("token", env)), Err(SecretError::Unavailable { .. })));
    }
}
