//! Reading a table from outside: batch by batch, from one snapshot.

use std::sync::Arc;

use arrow_array::RecordBatch;
use datanode_core::content_digest::ContentDigester;
use datanode_core::contract::{Column, TableKind};
use datanode_core::digest::Digest;
use datanode_core::query::{QueryError, ReadQuery};
use datanode_store::{IndexKey, Snapshot, Table, TableRead};

use crate::{Host, RuntimeError};

/// Rows fetched at a time.
const PAGE: usize = 16_384;

/// The rows of a query, in the order of the key.
pub struct TableReader {
    /// The table, as the snapshot sees it.
    pub table: Table,
    /// What the columns of each batch are.
    pub columns: Vec<Column>,
    /// Rows that the whole table has.
    pub rows_of_table: u64,
    read: Arc<dyn TableRead>,
    /// The read ends with its snapshot.
    _snapshot: Box<dyn Snapshot>,
    left: u64,
    after: Option<IndexKey>,
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader").field("table", &self.table.uid).finish_non_exhaustive()
    }
}

impl TableReader {
    /// The next rows; None when there are no more, or as many as were wanted have been read.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, RuntimeError> {
        let rows = usize::try_from(self.left).unwrap_or(PAGE).min(PAGE);
        if rows == 0 {
            return Ok(None);
        }
        let Some(page) = self.read.page(self.after.as_ref(), rows).await? else {
            self.left = 0;
            return Ok(None);
        };
        self.left -= page.batch.num_rows() as u64;
        self.after = Some(page.last);
        Ok(Some(page.batch))
    }

    /// Whether rows are left that were not wanted.
    pub async fn is_cut(&self) -> Result<bool, RuntimeError> {
        Ok(self.left == 0 && self.after.is_some() && self.read.page(self.after.as_ref(), 1).await?.is_some())
    }
}

/// Which rows of a table.
#[derive(Debug, Clone, Default)]
pub struct TableQuery {
    /// The filters, columns and limit.
    pub query: ReadQuery,
    /// Only the last row of each coordinate. The query then has no range of time.
    pub last: bool,
}

impl Host {
    /// Read a table by its uid. The query must fit its contract.
    pub async fn read_table(&self, uid: &str, wanted: &TableQuery) -> Result<TableReader, ReadError> {
        let mut snapshot = self.store.snapshot().await?;
        let table = snapshot.table(uid).await?;
        wanted.query.check(&table.contract)?;
        if wanted.last && table.contract.kind == TableKind::Reference {
            return Err(QueryError::NoTime { table: table.contract.identifier }.into());
        }
        let rows_of_table = snapshot.row_count(&table).await?;
        let query = if wanted.last {
            let progress = snapshot.progress(&table).await?;
            wanted.query.last_observations(&table.contract, &progress)
        } else {
            wanted.query.clone()
        };
        let columns = query.output_columns(&table.contract).into_iter().cloned().collect();
        let read = snapshot.read(&table, &query);
        let left = query.limit.unwrap_or(u64::MAX);
        Ok(TableReader { table, columns, rows_of_table, read, _snapshot: snapshot, left, after: None })
    }

    /// The digest of a table's rows in the order of its key, and how many there are. `progress` is told how many rows have
    /// been digested.
    pub async fn digest_table(
        &self,
        uid: &str,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(Digest, u64), RuntimeError> {
        let mut snapshot = self.store.snapshot().await?;
        let table = snapshot.table(uid).await?;
        let read = snapshot.read(&table, &ReadQuery::default());
        let mut digester = ContentDigester::new(table.contract.columns.iter());
        let (mut after, mut rows) = (None, 0);
        while let Some(page) = read.page(after.as_ref(), PAGE).await? {
            rows += page.batch.num_rows() as u64;
            digester.update(&page.batch);
            progress(rows);
            after = Some(page.last);
        }
        Ok(digester.finish())
    }
}

/// Why a read does not begin.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The query does not fit the table.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The database.
    #[error(transparent)]
    Store(#[from] datanode_store::StoreError),
}
