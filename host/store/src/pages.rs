//! What lists and pages are made of: one question to the database for all that a page shows of a kind, however many things
//! are on it.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::progress::Progress;
use datanode_core::run::RunRecord;

use crate::{Node, StoreError, Table};

/// How much a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Rows.
    pub rows: u64,
    /// Coordinates with rows; a reference table has none.
    pub coordinates: u64,
    /// Earliest time.
    pub min_time: Option<Timestamp>,
    /// Latest time.
    pub max_time: Option<Timestamp>,
}

impl Extent {
    /// The sum of a table's progress, beside rows that were counted.
    pub fn of(progress: &Progress, rows: u64) -> Self {
        Self {
            rows,
            coordinates: progress.len() as u64,
            min_time: progress.min_time(),
            max_time: progress.max_time(),
        }
    }
}

/// Where a node stands among all: they come by the identifier of the output table and `update_hash`, which are of one alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NodePlace {
    /// Identifier of the output table.
    pub table: String,
    /// Identity of the update process.
    pub update_hash: String,
}

/// Which nodes are meant; the default means all. The conditions hold together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFilter {
    /// Those of these uids.
    pub uids: Option<Vec<String>>,
    /// Those that write one of these tables, by uid.
    pub table_uids: Option<Vec<String>>,
    /// Those behind this place, whether a node is there or not.
    pub after: Option<NodePlace>,
    /// At most so many; None: all.
    pub limit: Option<u32>,
}

impl NodeFilter {
    /// The nodes that write a table.
    pub fn writing(table_uid: &str) -> Self {
        Self { table_uids: Some(vec![table_uid.to_owned()]), ..Self::default() }
    }
}

/// Many things at once.
#[async_trait]
pub trait Pages {
    /// Tables by identifier or uid, in the order in which they are asked for. One that is not there is left out.
    async fn tables_called(&self, references: &[String]) -> Result<Vec<Table>, StoreError>;

    /// Nodes, by output table and `update_hash`.
    async fn some_nodes(&self, filter: &NodeFilter) -> Result<Vec<Node>, StoreError>;

    /// The last run of each of these nodes, by uid, in no order. Of a node without runs there is none.
    async fn last_runs(&self, node_uids: &[String]) -> Result<Vec<RunRecord>, StoreError>;
}
