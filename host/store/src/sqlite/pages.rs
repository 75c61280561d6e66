//! Pages: each of what is on one by one statement, however many there are of it.

use async_trait::async_trait;
use datanode_core::run::RunRecord;

use super::{SqliteStore, nodes, runs, tables};
use crate::{Node, NodeFilter, Pages, StoreError, Table};

const TABLES: &str = "reading tables";
const NODES: &str = "reading nodes";
const RUNS: &str = "reading runs";

#[async_trait]
impl Pages for SqliteStore {
    async fn tables_called(&self, references: &[String]) -> Result<Vec<Table>, StoreError> {
        let references = references.to_vec();
        self.read(TABLES, move |connection| tables::called(connection, &references)).await
    }

    async fn some_nodes(&self, filter: &NodeFilter) -> Result<Vec<Node>, StoreError> {
        let filter = filter.clone();
        self.read(NODES, move |connection| nodes::some(connection, &filter)).await
    }

    async fn last_runs(&self, node_uids: &[String]) -> Result<Vec<RunRecord>, StoreError> {
        let node_uids = node_uids.to_vec();
        self.read(RUNS, move |connection| runs::last(connection, &node_uids)).await
    }
}
