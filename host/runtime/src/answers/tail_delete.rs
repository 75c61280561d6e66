//! Tails of tables that go, or would go.

use std::collections::BTreeMap;

use datanode_core::Timestamp;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::query::{Bound, ReadQuery, TimeRange};
use datanode_store::{DeleteAfter, DeleteScope, NodeFilter, Reopened, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WindowDocument;
use super::tables::values;
use crate::{Host, RuntimeError};

/// Keys fetched at a time to count them.
const PAGE: usize = 50_000;

/// What a tail delete did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletedTail {
    /// Uid of the table.
    pub uid: String,
    /// Its identifier.
    pub table: String,
    /// Rows at this moment and later.
    pub after: Timestamp,
    /// Of which coordinates.
    pub scope: ScopeDocument,
    /// Whether rows were counted only.
    pub dry_run: bool,
    /// Rows that went, or would go.
    pub rows: u64,
    /// Whether no row is left, or would be.
    pub is_empty: bool,
    /// What the table holds now; none of a dry run.
    pub statistics: Option<TailStatistics>,
    /// What the nodes that write the table do again.
    pub reopened: Vec<ReopenedNode>,
}

/// Which coordinates of a table: all of them where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeDocument {
    /// Identity dimension → allowed values; all conditions hold together.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<BTreeMap<String, Vec<Value>>>,
    /// Partial coordinates, any of which may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Vec<BTreeMap<String, Value>>>,
}

impl From<&DeleteScope> for ScopeDocument {
    fn from(scope: &DeleteScope) -> Self {
        match scope {
            DeleteScope::All => Self::default(),
            DeleteScope::DimensionFilters(filters) => {
                let one = |(name, allowed): &(String, Vec<CoordinateValue>)| {
                    (name.clone(), values(&Coordinate(allowed.clone())))
                };
                Self { filters: Some(filters.iter().map(one).collect()), coordinates: None }
            }
            DeleteScope::IndexCoordinates(coordinates) => {
                let one = |partial: &Vec<(String, CoordinateValue)>| {
                    let (names, wanted): (Vec<String>, Vec<CoordinateValue>) =
                        partial.iter().cloned().unzip();
                    names.into_iter().zip(values(&Coordinate(wanted))).collect()
                };
                Self { filters: None, coordinates: Some(coordinates.iter().map(one).collect()) }
            }
        }
    }
}

/// What a table holds after a tail delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailStatistics {
    /// Rows.
    pub rows: u64,
    /// Coordinates with rows.
    pub coordinates: u64,
    /// Earliest time.
    pub min_time: Option<Timestamp>,
    /// Latest time.
    pub max_time: Option<Timestamp>,
}

/// A node whose windows are open again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReopenedNode {
    /// Uid of the node.
    pub node_uid: String,
    /// Its identity.
    pub update_hash: String,
    /// The windows as they were, each cut to what is open now.
    pub windows: Vec<WindowDocument>,
}

impl From<Reopened> for ReopenedNode {
    fn from(reopened: Reopened) -> Self {
        Self {
            node_uid: reopened.node_uid,
            update_hash: reopened.update_hash,
            windows: reopened.windows.iter().map(WindowDocument::from).collect(),
        }
    }
}

/// The rows that a tail delete means, without any column beside the key.
pub fn tail_query(after: Timestamp, scope: &DeleteScope) -> ReadQuery {
    let mut query = ReadQuery {
        range: TimeRange { start: Some(Bound { time: after, inclusive: true }), end: None },
        columns: Some(Vec::new()),
        ..ReadQuery::default()
    };
    match scope {
        DeleteScope::All => {}
        DeleteScope::DimensionFilters(filters) => query.dimension_filters.clone_from(filters),
        DeleteScope::IndexCoordinates(coordinates) => query.index_coordinates.clone_from(coordinates),
    }
    query
}

impl Host {
    /// Delete a tail, by the rules of [`datanode_store::TailDeletes::delete_after`].
    pub async fn delete_tail(&self, delete: &DeleteAfter) -> Result<DeletedTail, RuntimeError> {
        let deleted = self.store.delete_after(delete).await?;
        let progress = &deleted.progress;
        Ok(DeletedTail {
            uid: deleted.table.uid,
            table: deleted.table.contract.identifier,
            after: delete.after,
            scope: ScopeDocument::from(&delete.scope),
            dry_run: false,
            rows: deleted.rows,
            is_empty: progress.is_empty(),
            statistics: Some(TailStatistics {
                rows: progress.rows(),
                coordinates: progress.len() as u64,
                min_time: progress.min_time(),
                max_time: progress.max_time(),
            }),
            reopened: deleted.reopened.into_iter().map(ReopenedNode::from).collect(),
        })
    }

    /// Count the rows that would go, and tell what nodes would have to do again. Nothing is deleted.
    pub async fn count_tail(&self, delete: &DeleteAfter) -> Result<DeletedTail, RuntimeError> {
        let table = self.store.table(&delete.table_uid).await?;
        let mut snapshot = self.store.snapshot().await?;
        let all = snapshot.row_count(&table).await?;
        let read = snapshot.read(&table, &tail_query(delete.after, &delete.scope));
        let (mut rows, mut after) = (0, None);
        while let Some(page) = read.page(after.as_ref(), PAGE).await? {
            rows += page.batch.num_rows() as u64;
            after = Some(page.last);
        }
        drop(snapshot);
        Ok(DeletedTail {
            after: delete.after,
            scope: ScopeDocument::from(&delete.scope),
            dry_run: true,
            rows,
            is_empty: rows == all,
            statistics: None,
            reopened: self.would_reopen(&table, delete.after).await?,
            uid: table.uid,
            table: table.contract.identifier,
        })
    }

    /// What the nodes that write a table would have to do again.
    async fn would_reopen(&self, table: &Table, after: Timestamp) -> Result<Vec<ReopenedNode>, RuntimeError> {
        let mut reopened = Vec::new();
        for node in self.store.some_nodes(&NodeFilter::writing(&table.uid)).await? {
            let windows = self.store.node_windows(&node.uid).await?.reopen(after, None);
            if !windows.is_empty() {
                let open = Reopened { node_uid: node.uid, update_hash: node.update_hash, windows };
                reopened.push(ReopenedNode::from(open));
            }
        }
        Ok(reopened)
    }
}
