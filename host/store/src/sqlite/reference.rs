//! References that people shorten: a prefix, at least four characters long, that one thing alone answers to.

use rusqlite::Connection;

use super::stored::failed;
use crate::StoreError;

/// The shortest prefix that is looked for.
const MIN_PREFIX: usize = 4;
/// The most candidates that an answer names.
pub(super) const MAX_CANDIDATES: usize = 10;

/// The values of a column of the catalogue that begin with `prefix`, in order; one more than an answer would name.
/// `column` and `table` are text of this crate.
pub(super) fn starting_with(
    connection: &Connection,
    column: &'static str,
    table: &'static str,
    prefix: &str,
) -> Result<Vec<String>, StoreError> {
    if prefix.chars().count() < MIN_PREFIX {
        return Ok(Vec::new());
    }
    let failed = failed("looking a reference up");
    // A range, so that the index is used and nothing in the prefix is a pattern. Texts sort by their bytes, and no
    // byte of UTF-8 reaches 0xFF: what begins with the prefix lies below the prefix followed by the last character.
    let mut statement = connection
        .prepare(&format!(
            "SELECT DISTINCT {column} FROM {table} WHERE {column} >= ?1 AND {column} < ?2 ORDER BY {column} LIMIT ?3"
        ))
        .map_err(&failed)?;
    let limit = i64::try_from(MAX_CANDIDATES + 1).unwrap_or(i64::MAX);
    let rows = statement
        .query_map((prefix, format!("{prefix}{}", char::MAX), limit), |row| row.get(0))
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}

/// The answer for a reference that several things answer to.
pub(super) fn ambiguous(kind: &'static str, reference: &str, mut candidates: Vec<String>) -> StoreError {
    if candidates.len() > MAX_CANDIDATES {
        candidates.truncate(MAX_CANDIDATES);
        candidates.push("and more".to_owned());
    }
    StoreError::Ambiguous { kind, reference: reference.to_owned(), candidates }
}
