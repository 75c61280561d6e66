//! References that people shorten: a prefix that one thing alone answers to.

use rusqlite::Connection;

use super::stored::failed;
use crate::StoreError;
use crate::catalogue::reference::{MAX_CANDIDATES, range};

/// The values of a column of the catalogue that begin with `prefix`, in order; one more than an answer would name.
/// `column` and `table` are text of this crate.
pub(super) fn starting_with(
    connection: &Connection,
    column: &'static str,
    table: &'static str,
    prefix: &str,
) -> Result<Vec<String>, StoreError> {
    let Some((first, end)) = range(prefix) else { return Ok(Vec::new()) };
    let failed = failed("looking a reference up");
    let mut statement = connection
        .prepare(&format!(
            "SELECT DISTINCT {column} FROM {table} WHERE {column} >= ?1 AND {column} < ?2 ORDER BY {column} LIMIT ?3"
        ))
        .map_err(&failed)?;
    let limit = i64::try_from(MAX_CANDIDATES + 1).unwrap_or(i64::MAX);
    let rows = statement.query_map((first, end, limit), |row| row.get(0)).map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}
