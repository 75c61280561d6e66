//! References that people shorten: a prefix, at least four characters long, that one thing alone answers to.

use crate::StoreError;

/// The shortest prefix that is looked for.
const MIN_PREFIX: usize = 4;
/// The most candidates that an answer names.
pub(crate) const MAX_CANDIDATES: usize = 10;

/// Where the texts lie that begin with `prefix`: the first one inclusive, the end exclusive. None: it is too short.
///
/// A range, so that an index is used and nothing in the prefix is a pattern. Texts sort by their bytes, and no byte of
/// UTF-8 reaches 0xFF: what begins with the prefix lies below the prefix followed by the last character.
pub(crate) fn range(prefix: &str) -> Option<(String, String)> {
    (prefix.chars().count() >= MIN_PREFIX).then(|| (prefix.to_owned(), format!("{prefix}{}", char::MAX)))
}

/// The answer for a reference that several things answer to.
pub(crate) fn ambiguous(kind: &'static str, reference: &str, mut candidates: Vec<String>) -> StoreError {
    if candidates.len() > MAX_CANDIDATES {
        candidates.truncate(MAX_CANDIDATES);
        candidates.push("and more".to_owned());
    }
    StoreError::Ambiguous { kind, reference: reference.to_owned(), candidates }
}
