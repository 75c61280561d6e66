//! Nodes: what they are, what they have done, who holds them.

use std::collections::HashMap;

use datanode_core::Timestamp;
use datanode_core::digest::Digest;
use datanode_core::ledger::{NodeWindow, WindowState};
use datanode_core::run::{BACKFILL, RunRecord};
use datanode_store::{Node, NodeFilter, RunFilter};
use serde::{Deserialize, Serialize};

use crate::{Host, MovedIdentifier, NodeRequest, RuntimeError};

/// Runs that are shown with a node.
const SHOWN_RUNS: u32 = 5;
/// What the run over a window was where it was no backfill.
const UPDATE: &str = "update";

/// A node of a tree that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreatedNode {
    /// The node.
    pub node: Node,
    /// False when it was there already.
    pub created: bool,
}

/// Everything that is shown of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDetail {
    /// The node.
    pub node: Node,
    /// Digest of descriptions, examples and labels; none without an enabled release.
    pub metadata_digest: Option<Digest>,
    /// Its last runs, the newest first.
    pub runs: Vec<RunRecord>,
    /// Identifiers in its config that name other tables now.
    pub moved: Vec<MovedIdentifier>,
}

/// A stretch of time of which a node knows one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowDocument {
    /// Its first moment; none where nothing bounds it.
    pub start: Option<Timestamp>,
    /// Its last moment.
    pub end: Timestamp,
    /// What is known.
    pub state: WindowState,
    /// How many runs in a row have failed here.
    pub failures: u32,
    /// The last run over it.
    pub run_id: String,
    /// What that run was: `update` or `backfill`.
    pub kind: String,
    /// When that run ended.
    pub updated_at: Timestamp,
}

impl From<&NodeWindow> for WindowDocument {
    fn from(window: &NodeWindow) -> Self {
        Self {
            start: window.start(),
            end: window.last,
            state: window.state,
            failures: window.failures,
            run_id: window.run_id.clone(),
            kind: if window.is_backfill { BACKFILL } else { UPDATE }.to_owned(),
            updated_at: window.updated_at,
        }
    }
}

/// A node that a run holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldNode {
    /// Uid of the node.
    pub node_uid: String,
    /// Its identity.
    pub update_hash: String,
    /// Identifier of its output table.
    pub table: String,
    /// Grows with each claim of this node.
    pub epoch: i64,
    /// Who holds it: host name and process.
    pub holder: String,
    /// The run that holds it.
    pub run_id: String,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Host {
    /// Create a node and everything that it depends on; what is there already is told too, the node itself last.
    pub async fn create_node(&self, request: NodeRequest) -> Result<Vec<CreatedNode>, RuntimeError> {
        let planned = self.plan(request).await?;
        Ok(planned.into_iter().map(|node| CreatedNode { node: node.node, created: node.created }).collect())
    }

    /// Everything that is shown of one node.
    pub async fn node_detail(&self, reference: &str) -> Result<NodeDetail, RuntimeError> {
        let node = self.store.node(reference).await?;
        let filter =
            RunFilter { node_uid: Some(node.uid.clone()), limit: Some(SHOWN_RUNS), ..RunFilter::default() };
        Ok(NodeDetail {
            runs: self.store.runs(&filter).await?,
            metadata_digest: self.identity_of(&node).await?.metadata_digest,
            moved: self.moved_identifiers(&node).await?,
            node,
        })
    }

    /// What a node has done, found empty or failed at, by time.
    pub async fn windows_of_node(&self, reference: &str) -> Result<Vec<WindowDocument>, RuntimeError> {
        let node = self.store.node(reference).await?;
        let ledger = self.store.node_windows(&node.uid).await?;
        Ok(ledger.windows().iter().map(WindowDocument::from).collect())
    }

    /// Who holds which node.
    pub async fn held_nodes(&self) -> Result<Vec<HeldNode>, RuntimeError> {
        let leases = self.store.leases().await?;
        let uids = leases.iter().map(|lease| lease.node_uid.clone()).collect();
        let held = NodeFilter { uids: Some(uids), ..NodeFilter::default() };
        let nodes = self.store.some_nodes(&held).await?;
        let nodes: HashMap<&str, &Node> = nodes.iter().map(|node| (node.uid.as_str(), node)).collect();
        let held = leases.into_iter().filter_map(|lease| {
            let node = nodes.get(lease.node_uid.as_str())?;
            Some(HeldNode {
                update_hash: node.update_hash.clone(),
                table: node.table.clone(),
                node_uid: lease.node_uid,
                epoch: lease.epoch,
                holder: lease.holder,
                run_id: lease.run_id,
                expires_at: lease.expires_at,
            })
        });
        Ok(held.collect())
    }
}
