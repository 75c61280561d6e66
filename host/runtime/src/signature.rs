//! Signatures of components: plain Ed25519 over the 32 bytes of the SHA-256 of a component's file.
//!
//! Keys and signatures are read in the forms in which tools write them (raw, hexadecimal, base64; public keys in PEM, too).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digest;
use datanode_core::provenance::Signed;
use ring::signature::{ED25519, UnparsedPublicKey};
use thiserror::Error;

/// What stands before the 32 bytes of a public key in its DER form (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a component is not taken, by its signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// A key of the settings.
    #[error("the trusted key `{name}` is no public key of Ed25519")]
    Key {
        /// Its name.
        name: String,
    },
    /// The file of the signature.
    #[error(
        "the signature has {bytes} bytes that are no signature of Ed25519 (64 bytes, as they are or as hexadecimal or base64 text)"
    )]
    Format {
        /// Length of the file.
        bytes: usize,
    },
    /// A signature was given, and nobody is trusted.
    #[error("the settings name no trusted key that a signature could be of")]
    NoKeys,
    /// None of the trusted keys has signed these bytes.
    #[error("no trusted key ({}) has signed this component: it has the sha256 {digest}", .keys.join(", "))]
    Untrusted {
        /// Names of the keys.
        keys: Vec<String>,
        /// What should have been signed.
        digest: String,
    },
    /// A signature is demanded.
    #[error("{component} is not signed by a trusted key, which the settings demand")]
    Missing {
        /// The file or release.
        component: String,
    },
    /// The bytes are others than those that were asked for.
    #[error("the component has the sha256 {found}, where {expected} was asked for")]
    OtherBytes {
        /// What was asked for.
        expected: String,
        /// What it has.
        found: String,
    },
}

impl Diagnostic for SignatureError {
    fn code(&self) -> &'static str {
        match self {
            Self::Key { .. } => "signature.key",
            Self::Format { .. } => "signature.format",
            Self::NoKeys => "signature.no_keys",
            Self::Untrusted { .. } => "signature.untrusted",
            Self::Missing { .. } => "signature.missing",
            Self::OtherBytes { .. } => "component.other_bytes",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Key { .. } | Self::Format { .. } | Self::NoKeys => ErrorClass::Usage,
            Self::Untrusted { .. } | Self::Missing { .. } | Self::OtherBytes { .. } => ErrorClass::Refused,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Key { .. } => {
                "mend [components.trusted_keys] in datanode.toml: 32 bytes as hexadecimal or base64, or the PEM text of a public key"
                    .to_owned()
            }
            Self::Format { .. } => "sign it again: docs/operator-guide.md, \"Signatures\"".to_owned(),
            Self::NoKeys => "name whose signatures you trust under [components.trusted_keys] in datanode.toml".to_owned(),
            Self::Untrusted { .. } | Self::OtherBytes { .. } => {
                "do not use this file; get it again from whom you trust".to_owned()
            }
            Self::Missing { .. } => {
                "upload it with its signature: datanode component upload FILE --signature FILE.sig".to_owned()
            }
        })
    }
}

/// Whose signatures count, and whether components need one.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    keys: BTreeMap<String, [u8; 32]>,
    required: bool,
}

impl TrustedKeys {
    /// Public keys by name, as texts.
    pub fn new(keys: &BTreeMap<String, String>, required: bool) -> Result<Self, SignatureError> {
        let read = |(name, text): (&String, &String)| {
            let key = public_key(text).ok_or_else(|| SignatureError::Key { name: name.clone() })?;
            Ok((name.clone(), key))
        };
        let keys: BTreeMap<_, _> = keys.iter().map(read).collect::<Result<_, _>>()?;
        if keys.is_empty() && required {
            return Err(SignatureError::NoKeys);
        }
        Ok(Self { keys, required })
    }

    /// Judge what is handed over as the signature of a component: who has signed it.
    pub(crate) fn judge(
        &self,
        label: &str,
        digest: &Digest,
        signature: Option<&[u8]>,
    ) -> Result<Option<Signed>, SignatureError> {
        match signature {
            Some(file) => {
                if self.keys.is_empty() {
                    return Err(SignatureError::NoKeys);
                }
                let signature = read_signature(file).ok_or(SignatureError::Format { bytes: file.len() })?;
                self.signer(digest, &signature).map(Some).ok_or_else(|| SignatureError::Untrusted {
                    keys: self.keys.keys().cloned().collect(),
                    digest: digest.to_string(),
                })
            }
            None if self.required => Err(SignatureError::Missing { component: label.to_owned() }),
            None => Ok(None),
        }
    }

    /// Refuse a release that is run although nobody who is trusted today has signed it, where that is demanded.
    pub(crate) fn allow(
        &self,
        release: &str,
        digest: &Digest,
        signed: Option<&Signed>,
    ) -> Result<(), SignatureError> {
        let verified = || {
            let signature = read_signature(signed?.signature.as_bytes())?;
            self.signer(digest, &signature)
        };
        if self.required && verified().is_none() {
            return Err(SignatureError::Missing { component: release.to_owned() });
        }
        Ok(())
    }

    fn signer(&self, digest: &Digest, signature: &[u8; 64]) -> Option<Signed> {
        let message = bytes_of(digest);
        let verifies =
            |key: &[u8; 32]| UnparsedPublicKey::new(&ED25519, key).verify(&message, signature).is_ok();
        let (name, key) = self.keys.iter().find(|(_, key)| verifies(key))?;
        Some(Signed { key: name.clone(), public_key: digits(key), signature: STANDARD.encode(signature) })
    }
}

/// Bytes in hexadecimal.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

fn bytes_of(digest: &Digest) -> Vec<u8> {
    hex(&digest.to_string()).unwrap_or_default()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Bytes that are written as hexadecimal or base64; `digits` is what decides.
fn bytes(text: &str, digits: usize) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    if text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit()) {
        return hex(&text);
    }
    STANDARD.decode(text).ok()
}

fn public_key(text: &str) -> Option<[u8; 32]> {
    let text: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("-----")).collect();
    let bytes = bytes(&text.join("\n"), 64)?;
    let key = if bytes.len() == 44 { bytes.strip_prefix(&SPKI)? } else { &bytes };
    key.try_into().ok()
}

fn read_signature(file: &[u8]) -> Option<[u8; 64]> {
    if let Ok(signature) = file.try_into() {
        return Some(signature);
    }
    bytes(std::str::from_utf8(file).ok()?, 128)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn trusting(texts: &[(&str, String)], required: bool) -> TrustedKeys {
        let keys = texts.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
        TrustedKeys::new(&keys, required).unwrap()
    }

    #[test]
    fn keys_and_signatures_are_read_as_tools_write_them() {
        let (pair, digest) = (pair(1), Digest::of(b"component"));
        let public = pair.public_key().as_ref();
        let spki = [&SPKI[..], public].concat();
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
        let signature = pair.sign(&bytes_of(&digest));
        let signature = signature.as_ref();
        for text in [digits(public), STANDARD.encode(public), STANDARD.encode(&spki), pem] {
            let keys = trusting(
                &[("other", digits(super::tests::pair(9).public_key().as_ref())), ("me", text)],
                true,
            );
            for file in [
                signature.to_vec(),
                digits(signature).into_bytes(),
                format!("{}\n", STANDARD.encode(signature)).into_bytes(),
            ] {
                let signed = keys.judge("a.wasm", &digest, Some(&file)).unwrap().unwrap();
                assert_eq!((signed.key.as_str(), &signed.public_key), ("me", &digits(public)));
                keys.allow("a", &digest, Some(&signed)).unwrap();
            }
        }
        for text in ["", "abc", &"00".repeat(31), "not a key"] {
            let keys = BTreeMap::from([("me".to_owned(), (*text).to_owned())]);
            assert_eq!(TrustedKeys::new(&keys, false).unwrap_err().code(), "signature.key", "{text}");
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_own_name() {
        let (good, digest) = (pair(1), Digest::of(b"component"));
        let signature = good.sign(&bytes_of(&digest)).as_ref().to_vec();
        let keys = trusting(&[("me", digits(good.public_key().as_ref()))], true);
        let code = |keys: &TrustedKeys, digest: &Digest, signature: Option<&[u8]>| {
            keys.judge("a.wasm", digest, signature).unwrap_err().code()
        };
        assert_eq!(code(&keys, &Digest::of(b"other bytes"), Some(&signature)), "signature.untrusted");
        assert_eq!(
            code(&keys, &digest, Some(pair(2).sign(&bytes_of(&digest)).as_ref())),
            "signature.untrusted"
        );
        let mut flipped = signature.clone();
        flipped[20] ^= 1;
        assert_eq!(code(&keys, &digest, Some(&flipped)), "signature.untrusted");
        for cut in [0, 1, 63] {
            assert_eq!(code(&keys, &digest, Some(&signature[..cut])), "signature.format");
        }
        assert_eq!(code(&keys, &digest, None), "signature.missing");
        assert_eq!(code(&trusting(&[], false), &digest, Some(&signature)), "signature.no_keys");
        assert_eq!(TrustedKeys::new(&BTreeMap::new(), true).unwrap_err(), SignatureError::NoKeys);
        assert_eq!(trusting(&[], false).judge("a.wasm", &digest, None), Ok(None));

        // A key that is not trusted any more, and a record that somebody wrote.
        let signed = keys.judge("a", &digest, Some(&signature)).unwrap().unwrap();
        let others = trusting(&[("you", digits(pair(3).public_key().as_ref()))], true);
        assert_eq!(others.allow("a", &digest, Some(&signed)).unwrap_err().code(), "signature.missing");
        let forged = Signed { signature: STANDARD.encode([0; 64]), ..signed };
        assert!(keys.allow("a", &digest, Some(&forged)).is_err() && keys.allow("a", &digest, None).is_err());
    }
}
