//! Paths that guests ask for, and patterns of them.
//!
//! A path is judged as it is written, before anything decodes it: what two programs could read in two ways (encoded
//! separators, backslashes, dots) is refused, so that all of them mean the same place.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RuleError;

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 2_048;

/// What is wrong with a path.
type Problem = &'static str;

/// Judge the path of a guest, relative to the base URL: segments between `/`, none empty but the last. It is sent as it is.
pub fn check_path(path: &str) -> Result<(), Problem> {
    if path.contains('%') {
        return Err("`%` is not possible: a path is written without encoding; put values into the query");
    }
    check_encoded_path(path)
}

/// Judge a path that a server wrote: the same, with encoded characters that separate nothing.
pub fn check_encoded_path(path: &str) -> Result<(), Problem> {
    if path.len() > MAX_PATH_BYTES {
        return Err("too long");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(c);
    if !path.chars().all(is_plain) {
        return Err("only ASCII letters, digits and -._~!$&'()*+,;=:@ are possible in a path");
    }
    for (at, _) in path.match_indices('%') {
        let digits = path.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            None => return Err("a broken encoding"),
            Some(b'/' | b'\\' | b'.' | b'%' | b';' | 0..=0x1f | 0x7f) => return Err("an encoded separator"),
            Some(_) => {}
        }
    }
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        // Some servers cut parameters off before they look at the dots.
        let name = segment.split(';').next().unwrap_or_default();
        if name == "." || name == ".." {
            return Err("`.` and `..` lead elsewhere");
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err("it begins with `/`, or has `//` in it; it is relative to the source");
        }
    }
    Ok(())
}

/// Paths, as a text: `*` stands for anything within one segment, `**` for any number of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    /// Every path.
    pub fn everything() -> Self {
        Self("**".to_owned())
    }

    /// Read one.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let wrong = |problem| RuleError::Pattern { pattern: text.chars().take(200).collect(), problem };
        check_path(text).map_err(wrong)?;
        if text.split('/').any(|segment| segment.contains("**") && segment != "**") {
            return Err(wrong("`**` stands alone between two `/`"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path that was judged fits.
    pub fn matches(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        // Of each beginning of the path whether the pattern so far fits it: bounded by the product of both lengths.
        let mut fits = vec![false; path.len() + 1];
        fits[0] = true;
        for part in pattern {
            let mut next = vec![false; path.len() + 1];
            for at in 0..=path.len() {
                if part == "**" {
                    next[at] = fits[at] || (at > 0 && next[at - 1]);
                } else if at > 0 {
                    next[at] = fits[at - 1] && segment_matches(part, path[at - 1]);
                }
            }
            fits = next;
        }
        fits[path.len()]
    }
}

/// Whether a segment fits a pattern with `*`.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| segment.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PathPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
