//! Bringing the catalogue to this host's version.

use std::borrow::Cow;

use sqlx::migrate::Migrator;
use sqlx::{PgConnection, PgPool};
use tokio::runtime::Handle;

use super::stored::failed;
use crate::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// Beside the catalogue, where it disturbs nobody else's.
const TABLE: &str = "datanode.migrations";
const SCHEMA: &str = "datanode";

/// Apply what is missing; hosts that start at once take turns. A catalogue that a newer host wrote is refused.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    let failed = failed("reading the catalogue's version");
    let mut connection = pool.acquire().await.map_err(&failed)?;
    // Only a catalogue that needs it is written to: a role that may not make schemas can use one that is there.
    if is_current(&mut connection).await.map_err(&failed)? {
        return Ok(());
    }
    let mut migrator = Migrator { migrations: Cow::Borrowed(&MIGRATIONS.migrations), ..Migrator::DEFAULT };
    migrator.dangerous_set_table_name(TABLE);
    migrator.create_schema(SCHEMA);
    let runtime = Handle::current();
    // Not awaited here: of the migrator's future the compiler cannot tell that it may move between threads, and then
    // no future that opens a store could be spawned.
    let migrating = tokio::task::spawn_blocking(move || runtime.block_on(migrator.run(&mut *connection)));
    match migrating.await {
        Ok(result) => Ok(result?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(failed(sqlx::Error::WorkerCrashed)),
        },
    }
}

async fn is_current(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let migrated: bool = sqlx::query_scalar("SELECT to_regclass('datanode.migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !migrated {
        return Ok(false);
    }
    let applied: Vec<(i64, Vec<u8>, bool)> =
        sqlx::query_as("SELECT version, checksum, success FROM datanode.migrations ORDER BY version")
            .fetch_all(connection)
            .await?;
    let known = MIGRATIONS.iter().map(|migration| (migration.version, migration.checksum.to_vec(), true));
    Ok(known.eq(applied))
}
