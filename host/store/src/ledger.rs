//! What nodes have done, and how their runs are made.

use async_trait::async_trait;
use datanode_core::ledger::{Ledger, NodeWindow};
use datanode_core::node_settings::SettingChange;
use serde::{Deserialize, Serialize};

use crate::{Node, StoreError};

/// Windows of a node that are open again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reopened {
    /// Uid of the node.
    pub node_uid: String,
    /// Its identity, which people know.
    pub update_hash: String,
    /// The windows as they were, each cut to what is open now.
    pub windows: Vec<NodeWindow>,
}

/// The answer to a changed setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeSet {
    /// The node as it is now.
    pub node: Node,
    /// False when it was set so before.
    pub changed: bool,
}

/// Windows of nodes, kept by commits, failed runs and tail deletes.
#[async_trait]
pub trait Ledgers {
    /// The windows of a node, by its uid.
    async fn node_windows(&self, node_uid: &str) -> Result<Ledger, StoreError>;

    /// Change settings of a node, by its uid.
    async fn set_node(&self, node_uid: &str, changes: &[SettingChange]) -> Result<NodeSet, StoreError>;
}
