//! Bringing the catalogue to this host's version.

use std::time::Instant;

use sqlx::migrate::Migrator;
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime::Handle;

use super::connection::{self, PATIENCE, PAUSE};
use crate::StoreError;

const DOING: &str = "migrating the catalogue";

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Apply what is missing. A catalogue that a newer host wrote is refused.
pub(super) async fn migrate(mut connection: SqliteConnection) -> Result<SqliteConnection, StoreError> {
    let failed = |source| StoreError::Database { doing: "reading the catalogue's version", source };
    // Only a catalogue that needs it waits for the write lock: opening must not queue behind a long commit.
    if is_current(&mut connection).await.map_err(failed)? {
        return Ok(connection);
    }
    let runtime = Handle::current();
    // Not awaited here: of the migrator's future the compiler cannot tell that it may move between threads, and then
    // no future that opens a store could be spawned.
    connection::blocking(DOING, move || {
        runtime.block_on(apply(&mut connection))?;
        Ok(connection)
    })
    .await?
}

/// In one transaction, which waits for its lock: sqlx does not lock SQLite while it migrates, and two hosts that open a
/// new file at once would both create it.
async fn apply(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let failed = |source| StoreError::Database { doing: DOING, source };
    let give_up = Instant::now() + PATIENCE;
    loop {
        match connection.begin_with("BEGIN IMMEDIATE").await {
            Ok(mut transaction) => {
                MIGRATIONS.run(&mut *transaction).await?;
                return transaction.commit().await.map_err(failed);
            }
            Err(error) if connection::is_busy(&error) && Instant::now() < give_up => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

async fn is_current(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let migrated: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !migrated {
        return Ok(false);
    }
    let applied: Vec<(i64, Vec<u8>, bool)> =
        sqlx::query_as("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await?;
    let known = MIGRATIONS.iter().map(|migration| (migration.version, migration.checksum.to_vec(), true));
    Ok(known.eq(applied))
}
