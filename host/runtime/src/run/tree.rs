//! A run tree: a node after everything it depends on, each node once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datanode_core::Timestamp;
use datanode_core::run::{RunRecord, RunStatus};
use serde::Serialize;
use serde_json::Value;

use crate::events::{Observer, Silent};
use crate::{Host, PlannedNode, RuntimeError, clock};

/// How a tree is run.
#[derive(Clone)]
pub struct RunOptions {
    /// Window end for every node of the tree, instead of the one by cadence.
    pub until: Option<Timestamp>,
    /// Call nodes whose window is empty too.
    pub force: bool,
    /// Runtime options that guests may ask for: never hashed.
    pub options: BTreeMap<String, Value>,
    /// Hears of everything that happens.
    pub observer: Arc<dyn Observer>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { until: None, force: false, options: BTreeMap::new(), observer: Arc::new(Silent) }
    }
}

impl std::fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunOptions")
            .field("until", &self.until)
            .field("force", &self.force)
            .finish_non_exhaustive()
    }
}

/// What became of a run tree.
#[derive(Debug, Clone, Serialize)]
pub struct RunTree {
    /// One record per node in the order of execution; the node asked for is the last.
    pub runs: Vec<RunRecord>,
}

impl RunTree {
    /// True when no run of the tree failed or was blocked.
    pub fn succeeded(&self) -> bool {
        self.runs.iter().all(|run| !matches!(run.status, RunStatus::Failed | RunStatus::Blocked))
    }
}

impl Host {
    /// Run a node after its dependencies. An error is one of planning; what goes wrong in a run is in its record.
    pub async fn run_node(&self, reference: &str, options: &RunOptions) -> Result<RunTree, RuntimeError> {
        let node = self.store.node(reference).await?;
        let planned = self.plan_node(&node).await?;
        self.run_planned(&planned, options).await
    }

    /// Run nodes in the order in which [`Host::plan`] gave them.
    pub async fn run_planned(
        &self,
        planned: &[PlannedNode],
        options: &RunOptions,
    ) -> Result<RunTree, RuntimeError> {
        // One "now" for the whole tree: dependencies and dependants agree on what is complete.
        let now = clock::now();
        let mut outcomes: HashMap<&str, RunStatus> = HashMap::new();
        let mut runs = Vec::with_capacity(planned.len());
        for node in planned {
            let failed: Vec<String> = node
                .node
                .dependencies
                .iter()
                .filter_map(|edge| edge.node_uid.as_deref())
                .filter(|uid| matches!(outcomes.get(uid), Some(RunStatus::Failed | RunStatus::Blocked)))
                .filter_map(|uid| planned.iter().find(|other| other.node.uid == uid))
                .map(|other| format!("{} ({})", other.table.contract.identifier, other.node.update_hash))
                .collect();
            let record = self.execute(node, now, options, failed).await?;
            outcomes.insert(&node.node.uid, record.status);
            runs.push(record);
        }
        Ok(RunTree { runs })
    }
}
