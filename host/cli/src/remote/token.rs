//! The token by which a server knows who asks.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::usage;

/// The longest file that is read.
const MOST_BYTES: u64 = 4_096;

/// A token: nothing shows it, and it is overwritten when it is dropped.
#[derive(Clone)]
pub(crate) struct Token(Zeroizing<String>);

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            // Not the text itself.
            return Err("a token is one word of visible characters");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The token that a file holds, and nothing else.
    pub(crate) fn of_file(file: &Path) -> anyhow::Result<Self> {
        let name = file.display();
        let unreadable = |error: std::io::Error| {
            Failure::usage(format!("the token file {name}: {error}"))
                .with_next_step("name a file that this user can read and that holds a token alone")
        };
        let mut text = Zeroizing::new(String::new());
        let opened = std::fs::File::open(file).map_err(unreadable)?;
        opened.take(MOST_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        text.parse().map_err(|problem| usage(format!("the token file {name}: {problem}")))
    }

    /// As it is sent.
    pub(crate) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", *self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token: Token = " dn_a_secret\n".parse().unwrap();
        assert_eq!(*token.header(), "Bearer dn_a_secret");
        assert!(!format!("{token:?}").contains("secret"));
        assert!("two words".parse::<Token>().is_err());
        assert!("a\r\nX-Other: b".parse::<Token>().is_err());
        assert!("".parse::<Token>().is_err());
    }
}
