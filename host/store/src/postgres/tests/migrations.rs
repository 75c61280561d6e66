//! Bringing the catalogue up, file by file.

use super::Place;

/// A host that dies between a migration and the note that it was applied runs it once more. Each file is one statement: of
/// more a server prepares none.
#[tokio::test]
async fn each_migration_is_one_statement_that_may_run_again() {
    let place = Place::empty().await;
    let migrations = sqlx::migrate!("../../migrations/postgres");
    for migration in migrations.iter() {
        for time in ["first", "second"] {
            let statement = sqlx::query(migration.sql.clone()).persistent(false);
            if let Err(error) = statement.execute(&place.pool).await {
                panic!("{} {}, the {time} time: {error}", migration.version, migration.description);
            }
        }
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'datanode'";
    assert!(place.number(tables).await > 20);
}
