//! A run tree: a node after everything it depends on, each node once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use datanode_core::Timestamp;
use datanode_core::journal::JournalMode;
use datanode_core::run::{RunRecord, RunStatus};
use serde_json::Value;

use super::Stop;
use super::execute::Task;
use super::sample::Frame;
use crate::events::{Observer, Silent};
use crate::{Host, PlannedNode, RuntimeError, clock};

/// Which nodes of a tree are run. All are resolved in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Dependencies first, then the node.
    #[default]
    Tree,
    /// The node alone, on what its dependencies have stored.
    NodeAlone,
    /// The dependencies, and not the node.
    DependenciesAlone,
}

/// How a tree is run.
#[derive(Clone)]
pub struct RunOptions {
    /// Which nodes are run.
    pub scope: Scope,
    /// Window end for every node of the tree, instead of the one by cadence.
    pub until: Option<Timestamp>,
    /// Call nodes whose window is empty too.
    pub force: bool,
    /// For how long a run waits for a node that another run holds, before it fails.
    pub wait: Duration,
    /// Runtime options that guests may ask for: never hashed.
    pub options: BTreeMap<String, Value>,
    /// Answer the first rows that the node asked for wrote: so many.
    pub sample: Option<usize>,
    /// What is kept of that which the guests are given, in place of the host's own setting.
    pub journal: Option<JournalMode>,
    /// Hears of everything that happens.
    pub observer: Arc<dyn Observer>,
    /// Ends what is under way.
    pub stop: Stop,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            until: None,
            force: false,
            wait: Duration::ZERO,
            options: BTreeMap::new(),
            sample: None,
            journal: None,
            observer: Arc::new(Silent),
            stop: Stop::default(),
        }
    }
}

impl std::fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunOptions")
            .field("scope", &self.scope)
            .field("until", &self.until)
            .field("force", &self.force)
            .finish_non_exhaustive()
    }
}

/// What became of a run tree.
#[derive(Debug, Clone)]
pub struct RunTree {
    /// One record per node in the order of execution, that of its last run where it was made again; the node asked for is
    /// the last.
    pub runs: Vec<RunRecord>,
    /// What the node asked for wrote, where [`RunOptions::sample`] wants it and the run succeeded.
    pub frame: Option<Frame>,
    /// It was told to stop before each node had its turn: see [`RunOptions::stop`].
    pub is_cut_short: bool,
}

impl RunTree {
    /// True when no run of the tree failed or was blocked, and each had its turn.
    pub fn succeeded(&self) -> bool {
        !self.is_cut_short
            && self.runs.iter().all(|run| !matches!(run.status, RunStatus::Failed | RunStatus::Blocked))
    }
}

impl Host {
    /// Run a node after its dependencies. With a hash namespace (not the empty one) the node of the same component,
    /// config and table under it is run instead, and created with its dependencies where it is not there. An error is
    /// one of planning; what goes wrong in a run is in its record.
    pub async fn run_node(
        &self,
        reference: &str,
        hash_namespace: &str,
        options: &RunOptions,
    ) -> Result<RunTree, RuntimeError> {
        let planned = self.plan_reference(reference, hash_namespace).await?;
        self.run_planned(&planned, options).await
    }

    /// Run nodes in the order in which [`Host::plan`] gave them: the last one is the node asked for.
    pub async fn run_planned(
        &self,
        planned: &[PlannedNode],
        options: &RunOptions,
    ) -> Result<RunTree, RuntimeError> {
        // One "now" for the whole tree: dependencies and dependants agree on what is complete.
        let now = clock::now();
        let dependencies = planned.len().saturating_sub(1);
        let chosen = match options.scope {
            Scope::Tree => planned,
            Scope::NodeAlone => &planned[dependencies..],
            Scope::DependenciesAlone => &planned[..dependencies],
        };
        let mut frame = None;
        let mut outcomes: HashMap<&str, RunStatus> = HashMap::new();
        let mut runs = Vec::with_capacity(chosen.len());
        for (place, node) in chosen.iter().enumerate() {
            if options.stop.is_stopped() {
                return Ok(RunTree { runs, frame: None, is_cut_short: true });
            }
            let failed: Vec<String> = node
                .node
                .dependencies
                .iter()
                .filter_map(|edge| edge.node_uid.as_deref())
                .filter(|uid| matches!(outcomes.get(uid), Some(RunStatus::Failed | RunStatus::Blocked)))
                .filter_map(|uid| planned.iter().find(|other| other.node.uid == uid))
                .map(|other| format!("{} ({})", other.table.contract.identifier, other.node.update_hash))
                .collect();
            // The dependencies' frames are read through their tables.
            let is_asked_for = options.scope != Scope::DependenciesAlone && place + 1 == chosen.len();
            let sample = options.sample.filter(|_| is_asked_for);
            let task = Task { failed_dependencies: failed, sample, retry: None };
            let executed = self.execute_again(node, now, options, task).await?;
            outcomes.insert(&node.node.uid, executed.record.status);
            runs.push(executed.record);
            frame = executed.frame;
        }
        Ok(RunTree { runs, frame, is_cut_short: false })
    }
}
