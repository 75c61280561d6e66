//! Secrets of the catalogue.

use async_trait::async_trait;
use datanode_core::Timestamp;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::stored::{failed, from_json, timestamp, to_json};
use crate::catalogue::audit as entries;
use crate::{SecretPlace, Secrets, StoreError, StoredSecret};

#[async_trait]
impl Secrets for SqliteStore {
    async fn set_secret(&self, name: &str, place: &SecretPlace, now: Timestamp) -> Result<(), StoreError> {
        const DOING: &str = "storing a secret";
        let entry = entries::secret_set(name, place);
        let (name, place) = (name.to_owned(), to_json(DOING, place)?);
        let work = move |connection: &Connection| {
            connection
                .execute(
                    "INSERT INTO _secrets (name, definition, set_at) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, set_at = excluded.set_at",
                    params![name, place, now.micros()],
                )
                .map(|_| ())
                .map_err(failed(DOING))
        };
        self.change(DOING, work, move |()| entry).await
    }

    async fn secrets(&self) -> Result<Vec<StoredSecret>, StoreError> {
        const DOING: &str = "reading secrets";
        self.read(DOING, |connection| {
            let mut statement = connection
                .prepare("SELECT name, definition, set_at FROM _secrets ORDER BY name")
                .map_err(failed(DOING))?;
            let rows = statement
                .query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?)))
                .map_err(failed(DOING))?;
            rows.map(|row| {
                let (name, definition, set_at) = row.map_err(failed(DOING))?;
                let place = format!("secret {name}");
                Ok(StoredSecret {
                    place: from_json(&place, &definition)?,
                    set_at: timestamp(&place, set_at)?,
                    name,
                })
            })
            .collect()
        })
        .await
    }

    async fn remove_secret(&self, name: &str) -> Result<(), StoreError> {
        const DOING: &str = "removing a secret";
        let (name, entry) = (name.to_owned(), entries::secret_removed(name));
        let work = move |connection: &Connection| match connection
            .execute("DELETE FROM _secrets WHERE name = ?1", [&name])
            .map_err(failed(DOING))?
        {
            0 => Err(StoreError::NotFound { kind: "secret", reference: name }),
            _ => Ok(()),
        };
        self.change(DOING, work, move |()| entry).await
    }
}
