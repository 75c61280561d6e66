//! The value of a secret.

use std::fmt;

use zeroize::Zeroizing;

/// The shortest value, in bytes. Shorter ones would be found in every other text when answers are cleaned of them.
const MIN_BYTES: usize = 8;
/// The longest value, in bytes.
const MAX_BYTES: usize = 4_096;

/// The value of a secret. Nothing shows it, and its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Take a text that can be sent in a header: visible ASCII, spaces inside; a line break at its end is cut off.
    ///
    /// # Errors
    ///
    /// What is wrong, without the text.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.len() < MIN_BYTES {
            return Err("it is shorter than 8 characters");
        }
        if text.len() > MAX_BYTES {
            return Err("it is longer than 4096 characters");
        }
        if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) || text.trim() != text {
            return Err("only visible ASCII characters, and spaces between them, are possible");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for the request that it is for, and for a server that is to seal it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}
