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

/// What is changed of a node at once: all of it, or nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeChange {
    /// Its settings.
    pub settings: Vec<SettingChange>,
    /// Whether its pin is taken back, if it has one.
    pub unpin: bool,
    /// The node as whoever changes it has seen it: refused where its settings or its pin are others by then
    /// ([`StoreError::Changed`]).
    pub seen: Option<Node>,
}

impl NodeChange {
    /// Refuse a node that is another than was seen.
    pub(crate) fn refuse_changed(&self, node: &Node) -> Result<(), StoreError> {
        let is_same =
            |seen: &Node| seen.settings == node.settings && seen.pinned_digest == node.pinned_digest;
        if self.seen.as_ref().is_none_or(is_same) {
            return Ok(());
        }
        Err(StoreError::Changed { kind: "node", name: node.update_hash.clone() })
    }
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
    async fn set_node(&self, node_uid: &str, changes: &[SettingChange]) -> Result<NodeSet, StoreError> {
        let change = NodeChange { settings: changes.to_vec(), ..NodeChange::default() };
        self.change_node(node_uid, &change).await
    }

    /// Change what people change of a node, by its uid, in one transaction.
    async fn change_node(&self, node_uid: &str, change: &NodeChange) -> Result<NodeSet, StoreError>;
}
