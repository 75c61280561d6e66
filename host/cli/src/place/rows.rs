//! Rows of a table, batch by batch.

use arrow_array::RecordBatch;
use datanode_core::contract::Column;
use datanode_runtime::{ReadError, TableQuery, TableReader};
use datanode_store::Table;

use super::Place;
use crate::commands::table_read::does_not_fit;
use crate::failure::{Failure, OrFail};
use crate::remote::RemoteRows;

/// The code by which a server says that a query does not fit its table.
const UNFIT: &str = "server.query";

/// Rows in the order of the key.
pub(crate) struct RowSource {
    source: Source,
    /// Rows that the whole table has; 0 when nobody has counted them.
    pub(crate) rows_of_table: u64,
}

enum Source {
    Here(Box<TableReader>),
    There(Box<RemoteRows>),
}

impl Place {
    /// The rows of a query, which fits the contract of the table.
    pub(crate) async fn rows(&self, table: &Table, wanted: &TableQuery) -> anyhow::Result<RowSource> {
        match self {
            Self::Here(host) => {
                let reader = host.read_table(&table.uid, wanted).await.map_err(|error| match error {
                    ReadError::Query(error) => does_not_fit(&table.contract, error),
                    ReadError::Store(error) => Failure::of(&error).into(),
                })?;
                Ok(RowSource { rows_of_table: reader.rows_of_table, source: Source::Here(Box::new(reader)) })
            }
            Self::There(server) => {
                let rows =
                    server.rows(table, wanted).await.map_err(|error| match error.downcast::<Failure>() {
                        Ok(failure) if failure.code == UNFIT => {
                            does_not_fit(&table.contract, failure.message)
                        }
                        Ok(failure) => failure.into(),
                        Err(error) => error,
                    })?;
                Ok(RowSource { rows_of_table: 0, source: Source::There(Box::new(rows)) })
            }
        }
    }
}

impl RowSource {
    /// What the columns of each batch are.
    pub(crate) fn columns(&self) -> &[Column] {
        match &self.source {
            Source::Here(reader) => &reader.columns,
            Source::There(rows) => rows.columns(),
        }
    }

    /// The next rows; None when there are no more, or as many as were wanted have been read.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        match &mut self.source {
            Source::Here(reader) => reader.next().await.or_fail(),
            Source::There(rows) => rows.next().await,
        }
    }

    /// Whether there are more rows than were wanted. Asked at the end.
    pub(crate) async fn is_cut(&self) -> anyhow::Result<bool> {
        match &self.source {
            Source::Here(reader) => reader.is_cut().await.or_fail(),
            Source::There(rows) => Ok(rows.is_cut()),
        }
    }
}
