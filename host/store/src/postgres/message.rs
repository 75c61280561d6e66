//! Several statements in one message.
//!
//! A statement that is prepared costs a way to the server and back before it is run, which is worth it where it is run again.
//! One that has its values in its text is not.

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Either, PgConnection};

/// What statements answer that are separated by semicolons: all rows, and of the last one how many it changed or answered. Cells
/// come as text, which changes nothing for whoever reads a value of a type. The first error ends them.
pub(super) async fn answers(connection: &mut PgConnection, sql: String) -> sqlx::Result<(Vec<PgRow>, u64)> {
    let mut answers = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
    let (mut rows, mut changed) = (Vec::new(), 0);
    while let Some(answer) = answers.try_next().await? {
        match answer {
            Either::Left(done) => changed = done.rows_affected(),
            Either::Right(row) => rows.push(row),
        }
    }
    Ok((rows, changed))
}
