//! Bringing the catalogue to this host's version.

use sqlx::migrate::Migrator;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::runtime::Handle;

use super::connection;
use crate::StoreError;

const DOING: &str = "migrating the catalogue";

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Apply what is missing. A catalogue that a newer host wrote is refused.
pub(super) async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    let failed = |source| StoreError::Database { doing: "reading the catalogue's version", source };
    let current = is_current(&mut *writer.acquire().await.map_err(failed)?).await.map_err(failed)?;
    // Only a catalogue that needs it waits for the write lock: opening must not queue behind a long commit.
    if current {
        return Ok(());
    }
    // sqlx does not lock SQLite while it migrates; two hosts that open a new file at once would both create it.
    let mut transaction = connection::begin_write(writer).await?;
    let runtime = Handle::current();
    // Not awaited here: of the migrator's future the compiler cannot tell that it may move between threads, and then
    // no future that opens a store could be spawned.
    let (transaction, result) = connection::blocking(DOING, move || {
        let result = runtime.block_on(MIGRATIONS.run(&mut *transaction));
        (transaction, result)
    })
    .await?;
    result?;
    transaction.commit().await.map_err(|source| StoreError::Database { doing: DOING, source })
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
