//! Tables of another store, under the uids that they have there: for a copy to try things out on.

use arrow_array::RecordBatch;
use datanode_core::progress::Progress;
use rusqlite::{Connection, params};

use super::stored::{failed, to_json};
use super::{SqliteStore, append, connection, ddl, foreign_keys, progress};
use crate::{StoreError, Table};

const DOING: &str = "copying a table";

impl SqliteStore {
    /// Enter a table in the catalogue, without storage.
    pub(crate) async fn adopt(&self, tables: Vec<Table>) -> Result<(), StoreError> {
        self.write(DOING, move |connection| tables.iter().try_for_each(|table| enter(connection, table)))
            .await
    }

    /// Create the storage of an adopted table. Those that its foreign keys lead to must be adopted.
    pub(crate) async fn adopt_storage(&self, table: Table) -> Result<(), StoreError> {
        self.write(DOING, move |connection| {
            let targets = foreign_keys::targets(connection, &table.contract, None)?;
            let create = ddl::create_table(&table.contract, &targets)?;
            connection.execute_batch(&create).map_err(failed(DOING))
        })
        .await
    }

    /// Add rows to an adopted table. They were there together, in whatever order they refer to each other.
    pub(crate) async fn adopt_rows(&self, table: &Table, batch: RecordBatch) -> Result<(), StoreError> {
        let contract = table.contract.clone();
        connection::write_without_foreign_keys(&self.pools.path, DOING, move |connection| {
            let rows = Box::new(std::iter::once(Ok(batch)));
            append::append(connection, &contract, &ddl::quote(contract.physical_name()), rows, &|_| {}).map(|_| ())
        })
        .await
    }

    /// Keep the progress of an adopted table, once all of its rows are there.
    pub(crate) async fn adopt_progress(&self, table: Table, held: Progress) -> Result<(), StoreError> {
        self.write(DOING, move |connection| progress::extend(connection, &table.uid, &table.contract, &held))
            .await
    }
}

fn enter(connection: &Connection, table: &Table) -> Result<(), StoreError> {
    let contract = &table.contract;
    connection
        .execute(
            "INSERT INTO _tables (uid, identifier, physical_name, contract, epoch, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                table.uid,
                contract.identifier,
                contract.physical_name(),
                to_json(DOING, contract)?,
                table.epoch,
                table.created_at.micros()
            ],
        )
        .map(|_| ())
        .map_err(failed(DOING))
}
