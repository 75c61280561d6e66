//! A copy of a whole store, for trying things out.

use std::path::Path;

use sqlx::ConnectOptions;

use super::{SqliteStore, lease};
use crate::StoreError;

/// Name of the copy's file.
const FILE: &str = "scratch.db";

impl SqliteStore {
    /// Copy the last committed state into a new file of this directory, and open the copy. Writers of the original are
    /// not held up: the copy is made from a snapshot.
    pub(super) async fn copy_into(&self, directory: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database { doing: "copying the database", source };
        let file = directory.join(FILE);
        let Some(target) = file.to_str() else {
            return Err(StoreError::Open {
                path: file.clone(),
                source: sqlx::Error::Configuration("the path is not UTF-8".into()),
            });
        };
        // A connection of its own: those of the pools are for short work, and only a writer's may write anywhere.
        let reading = self.pools.reading.clone();
        let mut connection = reading.pragma("query_only", "OFF").connect().await.map_err(failed)?;
        sqlx::query("VACUUM INTO ?1").bind(target).execute(&mut connection).await.map_err(failed)?;
        let copy = Self::open(&file).await?;
        // Who holds a node there has nothing to do with the copy.
        copy.write("copying the database", lease::release_all).await?;
        Ok(copy)
    }
}
