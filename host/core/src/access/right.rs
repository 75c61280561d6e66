//! What a token may be used for at most.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// What a token may be used for. A right gives nothing by itself: whoever uses the token needs the role, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To look: the catalogue, rows, SQL, searches, records of runs.
    Read,
    /// To change tables: register, label, describe, repoint, revise, load, delete tails; rows of the producer protocol.
    Write,
    /// To create and run nodes: runs, backfills, their end, replays.
    Run,
    /// To upload, enable, disable and remove components.
    Upload,
    /// To let components reach sources: sources, grants, secrets.
    Grant,
    /// To say who may do what: users, teams, roles, tokens; to read the audit log.
    Manage,
}

impl Right {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::Read, Self::Write, Self::Run, Self::Upload, Self::Grant, Self::Manage];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Run => "run",
            Self::Upload => "upload",
            Self::Grant => "grant",
            Self::Manage => "manage",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no right: they are read, write, run, upload, grant, manage")]
pub struct UnknownRight(String);

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|right| right.as_str() == word);
        known.ok_or_else(|| UnknownRight(word.chars().take(80).collect()))
    }
}

/// A set of rights. Its text is the words with commas between them; in JSON it is an array of words.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Rights(u8);

impl Rights {
    /// Every right.
    pub fn all() -> Self {
        Self::of(&Right::ALL)
    }

    /// These rights.
    pub fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |bits, right| bits | Self::bit(*right)))
    }

    fn bit(right: Right) -> u8 {
        1 << (right as u8)
    }

    /// Whether this right is one of them.
    pub fn has(self, right: Right) -> bool {
        self.0 & Self::bit(right) != 0
    }

    /// The same, and this one.
    #[must_use]
    pub fn and(self, right: Right) -> Self {
        Self(self.0 | Self::bit(right))
    }

    /// Whether all of these are among those of `other`.
    pub fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Those that `other` does not have.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Right::as_str).collect();
        f.pad(&words.join(","))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromStr for Rights {
    type Err = UnknownRight;

    /// Words with commas between them; the empty text is no right at all.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::parse).try_fold(Self::default(), |rights, right| Ok(rights.and(right?)))
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Right>::deserialize(deserializer).map(|rights| Self::of(&rights))
    }
}
