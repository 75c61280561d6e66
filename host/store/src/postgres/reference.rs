//! References that people shorten: a prefix that one thing alone answers to.

use sqlx::PgConnection;

use super::stored::failed;
use crate::StoreError;
use crate::catalogue::reference::{MAX_CANDIDATES, range};

/// The values that begin with `prefix`, in order; one more than an answer would name. `sql` selects them between `$1` and
/// `$2`, at most `$3`.
pub(super) async fn starting_with(
    connection: &mut PgConnection,
    sql: &'static str,
    prefix: &str,
) -> Result<Vec<String>, StoreError> {
    let Some((first, end)) = range(prefix) else { return Ok(Vec::new()) };
    let limit = i64::try_from(MAX_CANDIDATES + 1).unwrap_or(i64::MAX);
    sqlx::query_scalar(sql)
        .bind(first)
        .bind(end)
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(failed("looking a reference up"))
}
