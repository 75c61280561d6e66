//! Backfills: an explicit range of the past, window by window, each a run of its own.
//!
//! A process that works on a backfill claims windows until there are none left, so many at once; what it has claimed is in
//! the database, so that another one can go on when it is gone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datanode_core::Timestamp;
use datanode_core::backfill::{BackfillMode, BackfillRequest, RangeBounds, Step};
use datanode_core::journal::JournalMode;
use datanode_core::window;
use datanode_store::{Backfill, ClaimWindow, ClaimedWindow, NewBackfill, NodeFilter, WriteMode};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::{RunOptions, Stop};
use crate::events::{Observer, Silent};
use crate::{Host, PlannedNode, RuntimeError, clock};

/// Between two looks at windows that others work on.
const PAUSE: Duration = Duration::from_millis(250);
/// Coordinates that a warning names.
const EXAMPLES: usize = 3;

/// A backfill that is asked for.
#[derive(Debug, Clone)]
pub struct BackfillOrder {
    /// First moment, inclusive.
    pub from: Timestamp,
    /// Last moment, inclusive.
    pub to: Timestamp,
    /// How long each window is; None: all of it is one window.
    pub step: Option<Step>,
    /// What is done with rows that are there already.
    pub mode: BackfillMode,
    /// Windows that a process works on at once.
    pub concurrency: u16,
    /// Go on with the other windows when one has failed.
    pub keep_going: bool,
    /// Runtime options that guests may ask for: never hashed.
    pub options: BTreeMap<String, Value>,
    /// With a hash namespace (not the empty one), the node of the same component, config and table under it is run, and
    /// created where it is not there.
    pub hash_namespace: String,
}

/// A backfill that was begun, of which no window has been worked on yet.
#[derive(Debug, Clone)]
pub struct BegunBackfill {
    /// The backfill.
    pub backfill: Backfill,
    /// Things a person should look at.
    pub warnings: Vec<String>,
}

/// How a process works on a backfill.
#[derive(Clone)]
pub struct BackfillWork {
    /// Windows at once, in place of what was asked for when it was begun.
    pub concurrency: Option<u16>,
    /// Runtime options, in the place of single ones that it was begun with.
    pub options: BTreeMap<String, Value>,
    /// What is kept of that which the guests are given, in place of the host's own setting.
    pub journal: Option<JournalMode>,
    /// Hears of everything that happens in its runs.
    pub observer: Arc<dyn Observer>,
    /// Hears how the backfill stands.
    pub progress: Arc<dyn BackfillObserver>,
    /// Ends what is under way, and gives the windows back that were not finished.
    pub stop: Stop,
}

impl Default for BackfillWork {
    fn default() -> Self {
        let options = BTreeMap::new();
        Self {
            concurrency: None,
            options,
            journal: None,
            observer: Arc::new(Silent),
            progress: Arc::new(Silent),
            stop: Stop::default(),
        }
    }
}

impl std::fmt::Debug for BackfillWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackfillWork").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}

/// Is told how a backfill stands, a few times a second at most.
pub trait BackfillObserver: Send + Sync {
    /// It stands like this now.
    fn stands(&self, backfill: &Backfill);
}

impl BackfillObserver for Silent {
    fn stands(&self, _: &Backfill) {}
}

/// What all windows of one process share.
pub(super) struct Job {
    pub(super) backfill: Backfill,
    pub(super) planned: PlannedNode,
    pub(super) options: RunOptions,
    pub(super) mode: WriteMode,
    /// Read once.
    pub(super) now: Timestamp,
    /// Other nodes that write the table.
    pub(super) sharing: HashSet<String>,
    /// Windows commit one after the other: so they do not wait for each other's lease.
    pub(super) committing: Mutex<()>,
}

impl Host {
    /// Begin a backfill of a node: its range is checked and cut into windows. [`Host::work_on_backfill`] does the work.
    ///
    /// # Errors
    ///
    /// [`BackfillError`](datanode_core::backfill::BackfillError) when the range or its step cannot be, and what planning may
    /// end with.
    pub async fn begin_backfill(
        &self,
        node: &str,
        order: BackfillOrder,
    ) -> Result<BegunBackfill, RuntimeError> {
        let planned = self.planned_alone(node, &order.hash_namespace).await?;
        let contract = &planned.table.contract;
        let (table, cadence) = (contract.identifier.as_str(), contract.cadence);
        let step = order.step.map(|step| step.of_table(table, cadence)).transpose()?;
        let BackfillOrder { from, to, mode, concurrency, keep_going, options, .. } = order;
        let request = BackfillRequest { from, to, step, mode, concurrency, keep_going, options };
        let progress = self.store.snapshot_of(&planned.table.uid).await?.progress;
        let has_dimensions = !contract.dimensions().is_empty();
        let now = clock::now();
        let windows = request.windows(&RangeBounds {
            table,
            end: window::end(now, None, cadence),
            offset_start: planned.config.offset_start,
            latest: progress.max_time().filter(|_| has_dimensions),
            cadence,
        })?;
        let mut warnings = Vec::new();
        let behind: Vec<String> = progress
            .iter()
            .filter(|(_, held)| {
                has_dimensions && cadence.map_or(Some(held.max), |c| c.next(held.max)) < Some(from)
            })
            .map(|(coordinate, held)| format!("{coordinate} at {}", held.max.short()))
            .collect();
        if !behind.is_empty() {
            warnings.push(format!(
                "{} coordinates end before {}, as {}: where this brings rows of them, later runs go on behind these, and look \
                 for nothing in between",
                behind.len(),
                from.short(),
                behind.iter().take(EXAMPLES).map(String::as_str).collect::<Vec<_>>().join(", ")
            ));
        }
        let uid = clock::run_id();
        let node_uid = planned.node.uid.clone();
        let backfill = NewBackfill { uid, node_uid, request, windows, created_at: now };
        Ok(BegunBackfill { backfill: self.store.add_backfill(&backfill).await?, warnings })
    }

    /// Work on a backfill until none of its windows can be begun any more: all are done, one has failed, or somebody has
    /// paused it. How it stands then. Several processes may do so at once.
    ///
    /// # Errors
    ///
    /// What planning may end with, and a database that cannot even be told how a run ended; what goes wrong in a run is in
    /// its record and in its window.
    pub async fn work_on_backfill(
        &self,
        reference: &str,
        work: &BackfillWork,
    ) -> Result<Backfill, RuntimeError> {
        let backfill = self.store.backfill(reference).await?;
        let planned = self.planned_alone(&backfill.node_uid, "").await?;
        let nodes = self.store.some_nodes(&NodeFilter::writing(&backfill.table_uid)).await?.into_iter();
        let sharing = nodes.filter(|node| node.uid != backfill.node_uid).map(|node| node.uid).collect();
        let mut options = backfill.request.options.clone();
        options.extend(work.options.clone());
        let job = Arc::new(Job {
            options: RunOptions {
                options,
                journal: work.journal,
                observer: Arc::clone(&work.observer),
                stop: work.stop.clone(),
                ..RunOptions::default()
            },
            mode: match backfill.request.mode {
                BackfillMode::Overwrite => WriteMode::Overwrite,
                BackfillMode::AppendOnly => WriteMode::FillGaps,
            },
            now: clock::now(),
            planned,
            sharing,
            committing: Mutex::default(),
            backfill,
        });
        let at_once = usize::from(work.concurrency.unwrap_or(job.backfill.request.concurrency).max(1));
        let worked = self.work(&job, at_once, &*work.progress).await;
        let left = self.store.leave_backfill(&job.backfill.uid).await;
        worked?;
        left?;
        let backfill = self.store.backfill(&job.backfill.uid).await?;
        work.progress.stands(&backfill);
        Ok(backfill)
    }

    async fn work(
        &self,
        job: &Arc<Job>,
        at_once: usize,
        progress: &dyn BackfillObserver,
    ) -> Result<(), RuntimeError> {
        let mut runs: JoinSet<Result<(), RuntimeError>> = JoinSet::new();
        let mut told: Option<Instant> = None;
        let mut failed = None;
        loop {
            let mut waits = false;
            while failed.is_none() && !job.options.stop.is_stopped() && runs.len() < at_once {
                match self.claim_a_window(job).await {
                    Ok(ClaimedWindow::Window(held)) => {
                        let (host, job) = (self.clone(), Arc::clone(job));
                        runs.spawn(async move { host.run_window(&job, held).await }.in_current_span());
                    }
                    Ok(ClaimedWindow::Wait) => {
                        waits = true;
                        break;
                    }
                    Ok(ClaimedWindow::Nothing) => break,
                    Err(error) => failed = Some(error),
                }
            }
            if told.is_none_or(|last| last.elapsed() >= PAUSE) {
                progress.stands(&self.store.backfill(&job.backfill.uid).await?);
                told = Some(Instant::now());
            }
            if runs.is_empty() {
                match failed {
                    Some(error) => return Err(error),
                    None if waits => tokio::time::sleep(PAUSE).await,
                    None => return Ok(()),
                }
                continue;
            }
            // Others may leave windows behind meanwhile: those that are idle here look again.
            let idle = waits && runs.len() < at_once;
            let ended = tokio::select! {
                ended = runs.join_next() => ended,
                () = tokio::time::sleep(PAUSE), if idle => None,
            };
            match ended {
                Some(Ok(Err(error))) => failed = failed.or(Some(error)),
                Some(Err(_)) => {
                    failed = failed.or(Some(RuntimeError::Panicked("a window of a backfill was being run")));
                }
                Some(Ok(Ok(()))) | None => {}
            }
        }
    }

    async fn claim_a_window(&self, job: &Job) -> Result<ClaimedWindow, RuntimeError> {
        let claim = ClaimWindow {
            backfill_uid: job.backfill.uid.clone(),
            holder: self.leases.holder.clone(),
            run_id: clock::run_id(),
            duration: self.leases.duration,
        };
        Ok(self.store.claim_window(&claim).await?)
    }

    /// A node as its runs see it, without those that it depends on.
    async fn planned_alone(&self, node: &str, hash_namespace: &str) -> Result<PlannedNode, RuntimeError> {
        let node = self.store.node(node).await?;
        let planned = self.plan_node(&node, hash_namespace).await?;
        planned.into_iter().last().ok_or(RuntimeError::Panicked("a node was being resolved"))
    }
}
