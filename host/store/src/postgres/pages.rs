//! Pages: each of what is on one by one statement, however many there are of it.

use async_trait::async_trait;
use datanode_core::run::RunRecord;

use super::{PostgresStore, nodes, runs, tables};
use crate::{Node, NodeFilter, Pages, StoreError, Table};

#[async_trait]
impl Pages for PostgresStore {
    async fn tables_called(&self, references: &[String]) -> Result<Vec<Table>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        tables::called(&mut transaction, references).await
    }

    async fn some_nodes(&self, filter: &NodeFilter) -> Result<Vec<Node>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        nodes::some(&mut transaction, filter).await
    }

    async fn last_runs(&self, node_uids: &[String]) -> Result<Vec<RunRecord>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        runs::last(&mut transaction, node_uids).await
    }
}
