//! Secrets of the catalogue.

use datanode_core::Timestamp;
use sqlx::PgConnection;

use super::stored::{failed, from_json, timestamp, to_json};
use crate::{SecretPlace, StoreError, StoredSecret};

/// Set a secret, or set it anew.
pub(super) async fn set(
    connection: &mut PgConnection,
    name: &str,
    place: &SecretPlace,
    now: Timestamp,
) -> Result<(), StoreError> {
    const DOING: &str = "storing a secret";
    sqlx::query(
        "INSERT INTO datanode.secrets (name, definition, set_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, set_at = excluded.set_at",
    )
    .bind(name)
    .bind(to_json(DOING, place)?)
    .bind(now.micros())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(DOING))
}

/// All secrets, by name.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<StoredSecret>, StoreError> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT name, definition, set_at FROM datanode.secrets ORDER BY name")
            .fetch_all(connection)
            .await
            .map_err(failed("reading secrets"))?;
    let secret = |(name, definition, set_at): (String, String, i64)| {
        let place = format!("secret {name}");
        Ok(StoredSecret { place: from_json(&place, &definition)?, set_at: timestamp(&place, set_at)?, name })
    };
    rows.into_iter().map(secret).collect()
}

/// Remove a secret.
pub(super) async fn remove(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    let removed = sqlx::query("DELETE FROM datanode.secrets WHERE name = $1")
        .bind(name)
        .execute(connection)
        .await
        .map_err(failed("removing a secret"))?;
    if removed.rows_affected() == 0 {
        return Err(StoreError::NotFound { kind: "secret", reference: name.to_owned() });
    }
    Ok(())
}
