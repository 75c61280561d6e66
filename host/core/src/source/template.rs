//! Values of headers and parameters that the host writes, with secrets by name.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RuleError;
use crate::name::check_name;

/// The longest template, in bytes.
const MAX_BYTES: usize = 4_096;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// `{secret:NAME}`: the value of a secret.
    Secret(String),
    /// `{basic:USER:NAME}`: the value of `Authorization` in HTTP's basic authentication: `Basic `, and then `USER:` with the
    /// value of a secret in base64.
    Basic {
        /// The user.
        user: String,
        /// Name of the secret.
        secret: String,
    },
}

/// A text with secrets by name, such as `Bearer {secret:ecb_token}`. Never the secrets themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Read one; `name` is that of the header or parameter.
    pub fn parse(name: &str, text: &str) -> Result<Self, RuleError> {
        let wrong = |problem| RuleError::Template { name: name.chars().take(80).collect(), problem };
        if text.len() > MAX_BYTES {
            return Err(wrong("the value is too long"));
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inside, behind)) = after.split_once('}') else {
                return Err(wrong("`{` without `}`"));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match inside.split_once(':') {
                Some(("secret", secret)) => Part::Secret(secret.to_owned()),
                Some(("basic", login)) => match login.rsplit_once(':') {
                    // A user with a colon would be another one to the server.
                    Some((user, secret)) if !user.contains(':') => {
                        Part::Basic { user: user.to_owned(), secret: secret.to_owned() }
                    }
                    _ => return Err(wrong("a login is written {basic:USER:NAME}")),
                },
                _ => return Err(wrong("between `{` and `}` stands secret:NAME or basic:USER:NAME")),
            });
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let template = Self { text: text.to_owned(), parts };
        template.check(name)?;
        Ok(template)
    }

    /// Whether it can be the value of a header or parameter.
    pub(super) fn check(&self, name: &str) -> Result<(), RuleError> {
        let wrong = |problem| RuleError::Template { name: name.chars().take(80).collect(), problem };
        if self.text.contains('}') && self.text.matches('}').count() != self.text.matches('{').count() {
            return Err(wrong("`}` without `{`"));
        }
        if !self.text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return Err(wrong("only visible ASCII characters and spaces are possible"));
        }
        if self.secrets().any(|secret| check_name("secret name", secret).is_err()) {
            return Err(wrong("the name of a secret matches [a-z][a-z0-9_]*"));
        }
        Ok(())
    }

    /// Its pieces.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Names of its secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Secret(secret) | Part::Basic { secret, .. } => Some(secret.as_str()),
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse("value", &String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
