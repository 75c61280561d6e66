//! One order out of two scores.

use serde::{Deserialize, Serialize};

/// Whether a query names a table, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matched {
    /// It is its identifier, uid or physical name; case, blanks and `_` do not matter.
    Identifier,
    /// Its identifier begins so.
    Prefix,
    /// It was found by its score.
    Score,
}

impl Matched {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Prefix => "prefix",
            Self::Score => "score",
        }
    }
}

/// Where a table stands in an answer, and why. All numbers are rounded to 6 digits: what differs by less is equal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rank {
    /// Weighted sum of both scores, as they are: a trigram score of 0.5 and a cosine of 0.5 mean about the same to people,
    /// and scores that are not rescaled by the other hits do not change when tables are added.
    pub score: f64,
    /// Trigram score, 0 to 1.
    pub trigram: f64,
    /// Embedding score, 0 to 1.
    pub embedding: f64,
    /// Whether the query names it.
    pub matched: Matched,
}

/// To 6 digits.
pub(super) fn rounded(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}
