//! Runs that are made again, over the window that they had, or from what has become open before it: by themselves, when others
//! have written their table meanwhile, and when a person asks for it.

use datanode_core::Timestamp;
use datanode_core::run::RunStatus;

use super::execute::{Executed, Retry, Task};
use super::{RunOptions, RunTree};
use crate::{Host, PlannedNode, RuntimeError, clock};

/// How often a run is made again whose commit was refused, unless a setting says otherwise.
pub const DEFAULT_RETRIES: u32 = 2;

impl Host {
    /// Run one node, and again as often as it is set while its commit is refused because others have written its table
    /// meanwhile. Each attempt is a run with its own record and lease.
    pub(super) async fn execute_again(
        &self,
        planned: &PlannedNode,
        now: Timestamp,
        options: &RunOptions,
        task: Task,
    ) -> Result<Executed, RuntimeError> {
        let retries = planned.node.settings.retries.unwrap_or(self.retries);
        let mut executed = self.execute(planned, now, options, task.clone()).await?;
        for _ in 0..retries {
            if !executed.was_overtaken || options.stop.is_stopped() {
                break;
            }
            let task = Task { retry: Some(Retry::of(&executed.record)), ..task.clone() };
            executed = self.execute(planned, now, options, task).await?;
        }
        Ok(executed)
    }

    /// Make a failed run again: its node alone, over the window that it had, from what is open before it, by the release that
    /// runs now. Of the options, those of the guest are the failed run's, but for those that are given, and the window's end
    /// is not looked at.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::NotFailed`] when the run has not failed, [`RuntimeError::WindowOfBackfill`] when it was one of a
    /// backfill, which makes it again itself, and what planning may end with; what goes wrong in the run
    /// is in its record.
    pub async fn retry_run(&self, reference: &str, options: &RunOptions) -> Result<RunTree, RuntimeError> {
        let failed = self.store.run(reference).await?;
        if failed.status != RunStatus::Failed {
            return Err(RuntimeError::NotFailed { run_id: failed.run_id, status: failed.status });
        }
        // It is a backfill that knows what is to become of rows that are there already.
        if let Some(place) = failed.backfill {
            let (run_id, backfill) = (failed.run_id, place.backfill_id);
            return Err(RuntimeError::WindowOfBackfill { run_id, window: place.window, backfill });
        }
        let node = self.store.node(&failed.node_uid).await?;
        let planned = self.plan_node(&node, "").await?;
        let Some(planned) = planned.last() else {
            return Err(RuntimeError::Panicked("a node was being resolved"));
        };
        let task = Task { sample: options.sample, retry: Some(Retry::of(&failed)), ..Task::default() };
        let mut again = options.clone();
        again.options = failed.options;
        again.options.extend(options.options.clone());
        let executed = self.execute_again(planned, clock::now(), &again, task).await?;
        Ok(RunTree { runs: vec![executed.record], frame: executed.frame, is_cut_short: false })
    }
}
