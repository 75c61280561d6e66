//! One run: window, call, validation, commit, record.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datanode_core::Timestamp;
use datanode_core::dependency::SELF_KEY;
use datanode_core::frame::OutputValidator;
use datanode_core::progress::Progress;
use datanode_core::run::{Coverage, Durations, RunError, RunRecord, RunStatus, StatisticsSummary};
use datanode_core::window::{self, Decided, Window, WindowRequest};
use datanode_sandbox::{CallReport, Interrupt, Limits, UpdateContext, engine};
use datanode_store::{
    CommitOutcome, CommitRun, HeldWindow, Lease, Opened, RunJournal, Snapshot, StoreError, Table,
    WindowError, WriteMode,
};
use serde_json::json;
use tracing::{Instrument as _, info_span};

use super::calls::{Collected, Output};
use super::inputs::Inputs;
use super::journal::end_journal;
use super::lease::HeldLease;
use super::sample::Frame;
use super::{RunCalls, RunOptions, spans};
use crate::events::{Pace, RunEvent};
use crate::{Host, PlannedNode, RuntimeError, clock};

/// For how long a record is sent again to a database that has failed. (A server that cannot be reached is tried for longer,
/// by the connections themselves.)
const RECORDING_PATIENCE: Duration = Duration::from_secs(10);
/// Before each time.
const RECORDING_PAUSE: Duration = Duration::from_millis(500);

/// What one run is to do, beside what all of its tree are given.
#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    /// Names of its dependencies that failed: it is blocked.
    pub(super) failed_dependencies: Vec<String>,
    /// Answer the first rows of the frame that was written: so many.
    pub(super) sample: Option<usize>,
    /// Do what this run has failed to do.
    pub(super) retry: Option<Retry>,
}

/// A run that is made again.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    /// The run that failed first.
    pub(super) of: String,
    /// Its window, and what it was told to be the latest time of its table: see [`window::decide_again`].
    pub(super) had: Decided,
}

impl Retry {
    /// Make a run again.
    pub(super) fn of(record: &RunRecord) -> Self {
        Self {
            of: record.retry_of.clone().unwrap_or_else(|| record.run_id.clone()),
            had: Decided { window: record.window, behind: record.statistics.max_time },
        }
    }
}

/// What decides about a run before it reads anything.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// Statistics that the guest is told in place of the table's own: of a dry run.
    pub(super) statistics: Option<Arc<Progress>>,
    /// The window of a backfill, or the one that the run had which is made again.
    pub(super) window: Option<Decided>,
    /// It is one of a backfill: it stays as it is, and every row of it counts, whatever the table holds.
    pub(super) is_backfill: bool,
}

/// What a run works on, read after its dependencies have committed.
pub(super) struct Prepared {
    pub(super) snapshot: Box<dyn Snapshot>,
    table: Table,
    /// What the table holds.
    progress: Arc<Progress>,
    /// What of it decides which rows are new: less than all where the run looks for rows that come late, or where others
    /// have written behind the start of its window.
    known: Arc<Progress>,
    /// What the guest is told that the table holds: the same, but in a dry run that says otherwise.
    statistics: Arc<Progress>,
    pub(super) window: Window,
    is_backfill: bool,
    /// Where the run looks for rows that come late: those that are there take the values that it computes now.
    overwrites: bool,
    /// Ends the guest from outside.
    pub(super) interrupt: Interrupt,
}

/// What is left to do after the guest has returned.
pub(super) struct Computed {
    pub(super) table: Table,
    /// What is done with rows that may be there already: there may be some where the run was told of less than the table
    /// has.
    pub(super) mode: WriteMode,
    pub(super) collected: Collected,
}

/// What of the output is wanted beside what the commit needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Looks {
    /// The first rows that are new: so many.
    pub(crate) sample: usize,
    /// The rows that are not new.
    pub(crate) dropped: bool,
}

/// One run, once it is over.
pub(super) struct Executed {
    pub(super) record: RunRecord,
    /// What was written, where it was wanted and the run succeeded.
    pub(super) frame: Option<Frame>,
    /// The commit was refused because others had written the table meanwhile: made again, the run may succeed.
    pub(super) was_overtaken: bool,
}

impl Host {
    /// Run one node and record the outcome. An error here means that not even the record could be stored.
    pub(super) async fn execute(
        &self,
        planned: &PlannedNode,
        now: Timestamp,
        options: &RunOptions,
        task: Task,
    ) -> Result<Executed, RuntimeError> {
        let mut record = new_record(planned, options, self.sandbox.limits(), now);
        if let Some(retry) = &task.retry {
            record.window = retry.had.window;
            // Kept, too, where it is refused before it is told anything: it may be made again.
            record.statistics.max_time = retry.had.behind;
            record.retry_of = Some(retry.of.clone());
        }
        let span = spans::run(&record);
        // On the heap: futures around this one would carry all of a run with them.
        let executed = Box::pin(self.execute_recorded(planned, now, options, task, record));
        let executed = executed.instrument(span.clone()).await;
        spans::ended(&span, executed.as_ref().ok().map(|executed| &executed.record));
        executed
    }

    /// The same, of a run whose record has begun.
    async fn execute_recorded(
        &self,
        planned: &PlannedNode,
        now: Timestamp,
        options: &RunOptions,
        task: Task,
        mut record: RunRecord,
    ) -> Result<Executed, RuntimeError> {
        if !task.failed_dependencies.is_empty() {
            // It reads nothing that matters and writes nothing: it needs no lease.
            let prepared = self.prepare_run(planned, now, options, Given::default()).await;
            record.status = RunStatus::Blocked;
            if let Ok(prepared) = &prepared {
                note_start(&mut record, prepared);
                options.observer.event(&RunEvent::started(&record));
            }
            return self.end(record, None, RuntimeError::Blocked(task.failed_dependencies), options).await;
        }
        let claim = self.claim(&planned.node.uid, &record.run_id, options);
        let lease = match claim.instrument(info_span!("claim")).await {
            Ok(lease) => lease,
            Err(error) => return self.end(record, None, error, options).await,
        };
        let executed = Box::pin(self.execute_under(&lease, planned, now, options, task, record));
        let executed = lease.keep(executed).await?;
        lease.recorded();
        Ok(executed)
    }

    /// Run one node that is claimed.
    async fn execute_under(
        &self,
        lease: &HeldLease,
        planned: &PlannedNode,
        now: Timestamp,
        options: &RunOptions,
        task: Task,
        mut record: RunRecord,
    ) -> Result<Executed, RuntimeError> {
        let given = Given { window: task.retry.map(|retry| retry.had), ..Given::default() };
        let sample = task.sample;
        let prepared = match self.prepare_run(planned, now, options, given).await {
            Ok(prepared) => Prepared { interrupt: lease.heartbeat.interrupt.clone(), ..prepared },
            Err(error) => return self.end(record, None, error, options).await,
        };
        note_start(&mut record, &prepared);
        options.observer.event(&RunEvent::started(&record));
        if prepared.window.is_empty() && !options.force {
            record.status = RunStatus::Skipped;
            let record = self.record(record, None, None).await?;
            options.observer.event(&RunEvent::Finished(Box::new(record.clone())));
            return Ok(Executed { record, frame: None, was_overtaken: false });
        }

        let looks = Looks { sample: sample.unwrap_or(0), dropped: false };
        let mut journal = None;
        let computed = self.compute(planned, prepared, options, looks, &mut record, &mut journal).await;
        // What the guest ended in is, where it was ended, no more than that.
        let mut computed = match lease.heartbeat.check().and(computed) {
            Ok(computed) => computed,
            Err(error) => return self.end(record, journal.as_ref(), error, options).await,
        };
        let frame = sample.map(|_| Frame {
            contract: computed.table.contract.clone(),
            rows: computed.collected.summary.added.rows(),
            sample: std::mem::take(&mut computed.collected.sample),
        });
        let committed = match commit_of(lease.lease.clone(), computed, &record, journal.clone(), options) {
            Ok(commit) => {
                let commit = self.store.commit_run(commit).instrument(info_span!("commit"));
                commit.await.map_err(RuntimeError::from)
            }
            Err(error) => Err(error),
        };
        match committed {
            Ok(CommitOutcome { record, .. }) => {
                options.observer.event(&RunEvent::Finished(Box::new(record.clone())));
                Ok(Executed { record, frame, was_overtaken: false })
            }
            Err(error) => {
                let executed = self.end(record, journal.as_ref(), error, options).await?;
                let stands = matches!(executed.record.status, RunStatus::Ok | RunStatus::Empty);
                Ok(Executed { frame: frame.filter(|_| stands), ..executed })
            }
        }
    }

    /// Record a run that has stored nothing, and why. Where its commit is there all the same, because only the answer was
    /// lost, the record of the commit is the one that stands.
    pub(super) async fn end(
        &self,
        record: RunRecord,
        journal: Option<&RunJournal>,
        error: RuntimeError,
        options: &RunOptions,
    ) -> Result<Executed, RuntimeError> {
        self.end_of(None, record, journal, error, options).await
    }

    /// The same; with a window of a backfill, that this has failed for good is stored with the record.
    pub(super) async fn end_of(
        &self,
        window: Option<(&HeldWindow, &WindowError)>,
        mut record: RunRecord,
        journal: Option<&RunJournal>,
        error: RuntimeError,
        options: &RunOptions,
    ) -> Result<Executed, RuntimeError> {
        if record.status != RunStatus::Blocked {
            record.status = RunStatus::Failed;
        }
        record.error = Some(RunError::from_diagnostic(&error));
        record.violations.extend_from_slice(error.violations());
        let record = self.record(record, journal, window).await?;
        options.observer.event(&RunEvent::Finished(Box::new(record.clone())));
        let was_overtaken = error.is_overtaken() && record.status == RunStatus::Failed;
        Ok(Executed { record, frame: None, was_overtaken })
    }

    pub(super) async fn prepare_run(
        &self,
        planned: &PlannedNode,
        now: Timestamp,
        options: &RunOptions,
        given: Given,
    ) -> Result<Prepared, RuntimeError> {
        let Opened { mut snapshot, table, progress } = self.store.snapshot_of(&planned.table.uid).await?;
        let progress = Arc::new(progress);
        let ledger = snapshot.node_windows(&planned.node.uid).await?;
        let (contract, lookback) = (&table.contract, planned.node.settings.lookback);
        let dimensions = contract.dimensions().len();
        let latest = match &given.statistics {
            Some(statistics) => statistics.max_time(),
            // Rows that the node has brought may be gone by other ways than a tail delete.
            None => ledger.latest().zip(progress.max_time()).map(|(brought, stored)| brought.min(stored)),
        };
        let request = WindowRequest {
            now,
            until: options.until,
            cadence: contract.cadence,
            offset_start: planned.config.offset_start,
            latest,
            ledger: given.statistics.is_none().then_some(&ledger),
            lookback,
            dimensions,
        };
        let Decided { window, behind } = match given.window {
            Some(window) if given.is_backfill => window,
            Some(had) => window::decide_again(&request, had),
            None => window::decide(&request),
        };
        let known = match (&given.statistics, lookback) {
            _ if given.is_backfill => Arc::clone(&progress),
            (None, _) if dimensions == 0 => Arc::new(progress.ending(|_| behind)),
            (_, Some(lookback)) if dimensions > 0 => Arc::new(progress.ending(|max| lookback.previous(max))),
            // Of a dry run that is told otherwise the table still says which rows are new.
            _ => Arc::clone(&progress),
        };
        let statistics = given.statistics.unwrap_or_else(|| Arc::clone(&known));
        Ok(Prepared {
            snapshot,
            table,
            progress,
            known,
            statistics,
            window,
            is_backfill: given.is_backfill,
            overwrites: planned.node.settings.overwrites_late_rows(),
            interrupt: Interrupt::default(),
        })
    }

    /// Call `update` and collect what it saw and made. What it was given is left in `journal`, whether it succeeds or not.
    pub(super) async fn compute(
        &self,
        planned: &PlannedNode,
        mut prepared: Prepared,
        options: &RunOptions,
        looks: Looks,
        record: &mut RunRecord,
        journal: &mut Option<RunJournal>,
    ) -> Result<Computed, RuntimeError> {
        let run_id = record.run_id.clone();
        let component = planned.release.manifest.name.clone();
        let known_sources = match planned.release.manifest.sources.as_slice() {
            [] => Vec::new(),
            _ => self.store.sources().await?,
        };
        require_sources(planned, &known_sources)?;

        let observer = Arc::clone(&options.observer);
        observer.event(&RunEvent::Loading { run_id: run_id.clone(), component: component.clone() });
        // At hand since the planning, which asked it for its dependencies.
        let compiled = self.prepare(&planned.release).instrument(info_span!("load")).await?;
        record.durations.load_us = planned.load_us;

        let mut tables = HashMap::from([(SELF_KEY.to_owned(), prepared.table.clone())]);
        for edge in &planned.node.dependencies {
            tables.insert(edge.key.clone(), prepared.snapshot.table(&edge.table_uid).await?);
        }
        let contract = Arc::new(prepared.table.contract.clone());
        let validator =
            OutputValidator::new(Arc::clone(&contract), prepared.window, Arc::clone(&prepared.known))
                .map_err(|error| StoreError::Damaged(format!("table `{}`: {error}", contract.identifier)))?;
        let validator = if prepared.is_backfill { validator.covering_window() } else { validator };
        let context = UpdateContext {
            index: contract.index.clone(),
            progress: Arc::clone(&prepared.statistics),
            window: prepared.window,
            is_backfill: prepared.is_backfill,
        };
        let sources = self.sources_of(&planned.release.manifest, known_sources).await?;
        let writer = self.begin_journal(planned, &context, options, record, &tables)?;
        let calls = RunCalls::new(
            &run_id,
            Inputs::new(prepared.snapshot, tables),
            Output::new(&contract, validator, self.spill.clone(), looks),
            sources,
            options.options.clone(),
            Arc::clone(&observer),
            self.sandbox.limits(),
        )
        .with_journal(writer)
        .until(prepared.interrupt);

        observer.event(&RunEvent::Updating { run_id });
        let updating = Instant::now();
        let (sandbox, config, door) = (self.sandbox.clone(), planned.guest_config.clone(), calls.clone());
        let report =
            tokio::task::spawn_blocking(move || sandbox.update(&compiled, &config, &context, Box::new(door)))
                .instrument(info_span!("update"))
                .await
                .map_err(|_| RuntimeError::Panicked("a component was updating"))?;
        record.durations.update_us = micros_since(updating);
        let Some(mut collected) = calls.finish().await else {
            // A host call that did not come back holds the other handle: what it saw so far is out of reach.
            report.result?;
            return Err(RuntimeError::Panicked("a run was being collected"));
        };
        note(record, &report, &collected);
        if let Some(writer) = collected.journal.take() {
            *journal = end_journal(writer, &report, record).await?;
        }
        report.result?;
        record.coverage =
            Coverage::of(collected.summary.coordinates, &prepared.progress, &collected.summary.added);
        // All rows are known, and none is stored yet.
        let newest = prepared.progress.max_time().max(collected.summary.added.max_time());
        let warnings = collected.quality.finish(newest, prepared.window.end)?;
        record.warnings.extend(warnings.iter().map(ToString::to_string));
        record.violations.extend(warnings);
        let mode = match prepared.overwrites {
            _ if prepared.known == prepared.progress => WriteMode::Append,
            true => WriteMode::Overwrite,
            false => WriteMode::FillGaps,
        };
        Ok(Computed { table: prepared.table, mode, collected })
    }

    /// Store the record of a run that stores no rows, which gives up the lease that the run may hold; the record that
    /// stands. A database that was lost is asked again for a while: without an answer nobody knows how the run ended.
    async fn record(
        &self,
        mut record: RunRecord,
        journal: Option<&RunJournal>,
        window: Option<(&HeldWindow, &WindowError)>,
    ) -> Result<RunRecord, RuntimeError> {
        record.finished_at = clock::now();
        let begin = Instant::now();
        loop {
            let recorded = match window {
                Some((held, error)) => self.store.fail_window(held, error, &record, journal).await,
                None => self.store.record_run(&record, journal).await,
            };
            match recorded {
                Err(StoreError::Database { .. }) if begin.elapsed() < RECORDING_PATIENCE => {
                    tokio::time::sleep(RECORDING_PAUSE).await;
                }
                answer => break Ok(answer?),
            }
        }
    }
}

/// What stores rows, progress and record together, and gives the lease up with them.
pub(super) fn commit_of(
    lease: Lease,
    computed: Computed,
    record: &RunRecord,
    journal: Option<RunJournal>,
    options: &RunOptions,
) -> Result<CommitRun, RuntimeError> {
    let Computed { table, mode, collected } = computed;
    let rows = collected.summary.added.rows();
    let status = if rows > 0 { RunStatus::Ok } else { RunStatus::Empty };
    let record = RunRecord { status, finished_at: clock::now(), ..record.clone() };
    let (observer, run_id) = (Arc::clone(&options.observer), record.run_id.clone());
    observer.event(&RunEvent::Committing { run_id: run_id.clone(), rows });
    let pace = Mutex::new(Pace::default());
    Ok(CommitRun {
        lease,
        table,
        record,
        journal,
        mode,
        rows: collected.kept.into_rows().map_err(StoreError::Rows)?,
        added: collected.summary.added,
        on_rows: Box::new(move |rows| {
            if pace.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
                observer.event(&RunEvent::RowsWritten { run_id: run_id.clone(), rows });
            }
        }),
    })
}

/// Refuse a run whose component cannot do without a source that it does not have.
fn require_sources(planned: &PlannedNode, known: &[datanode_store::Source]) -> Result<(), RuntimeError> {
    let component = &planned.release.manifest.name;
    for declared in planned.release.manifest.sources.iter().filter(|source| source.required) {
        let (problem, command) = match known.iter().find(|source| source.name == declared.name) {
            None => (
                "does not exist",
                format!("datanode source add {} --path PATH --grant {component}", declared.name),
            ),
            Some(source) if !source.granted_to.contains(component) => {
                ("is not granted to it", format!("datanode source grant {} {component}", declared.name))
            }
            Some(_) => continue,
        };
        return Err(RuntimeError::SourceMissing {
            component: component.clone(),
            source_name: declared.name.clone(),
            description: declared.description.clone(),
            problem,
            command,
        });
    }
    Ok(())
}

/// The record of a run that has not begun; it stays like this when not even its table can be read.
pub(super) fn new_record(
    planned: &PlannedNode,
    options: &RunOptions,
    limits: &Limits,
    now: Timestamp,
) -> RunRecord {
    let release = &planned.release;
    RunRecord {
        run_id: clock::run_id(),
        node_uid: planned.node.uid.clone(),
        update_hash: planned.node.update_hash.clone(),
        table_uid: planned.table.uid.clone(),
        table: planned.table.contract.identifier.clone(),
        kind: "update".to_owned(),
        status: RunStatus::Failed,
        started_at: clock::now().max(now),
        finished_at: now,
        window: Window { start: None, end: window::end(now, options.until, planned.table.contract.cadence) },
        retry_of: None,
        lookback: planned.node.settings.lookback,
        late_rows: planned.node.settings.late_rows.filter(|_| planned.node.settings.lookback.is_some()),
        producer: None,
        backfill: None,
        component: release.manifest.name.clone(),
        component_version: release.manifest.version.clone(),
        component_digest: release.digest,
        component_class: release.class,
        config: planned.node.config.clone(),
        hash_namespace: planned.node.hash_namespace.clone(),
        options: options.options.clone(),
        statistics: StatisticsSummary::default(),
        inputs: Vec::new(),
        fetches: Vec::new(),
        rows_emitted: 0,
        rows_dropped: 0,
        rows_inserted: 0,
        rows_updated: 0,
        rows_unchanged: 0,
        coverage: Coverage::default(),
        bytes_emitted: 0,
        output_digest: None,
        fuel: 0,
        peak_memory: 0,
        durations: Durations::default(),
        limits: json!(limits),
        host: BTreeMap::from([
            ("datanode".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("engine".to_owned(), engine::ENGINE_VERSION.to_owned()),
            ("contract".to_owned(), "datanode:node@0.1.0".to_owned()),
        ]),
        error: None,
        warnings: Vec::new(),
        violations: Vec::new(),
        logs: Vec::new(),
        logs_dropped: 0,
        journal: None,
    }
}

/// Write into the record what the run works on.
pub(super) fn note_start(record: &mut RunRecord, prepared: &Prepared) {
    record.window = prepared.window;
    record.table.clone_from(&prepared.table.contract.identifier);
    record.statistics = StatisticsSummary {
        coordinates: prepared.statistics.len() as u64,
        rows: prepared.statistics.rows(),
        min_time: prepared.statistics.min_time(),
        max_time: prepared.statistics.max_time(),
    };
}

/// Write into the record what the guest did, whether it succeeded or not.
fn note(record: &mut RunRecord, report: &CallReport, collected: &Collected) {
    record.fuel = report.fuel;
    record.peak_memory = report.peak_memory;
    record.inputs.clone_from(&collected.inputs);
    record.fetches.clone_from(&collected.fetches);
    record.logs.clone_from(&collected.logs);
    record.logs_dropped = collected.logs_dropped;
    record.rows_emitted = collected.summary.emitted;
    record.rows_dropped = collected.summary.dropped;
    record.bytes_emitted = collected.bytes_emitted;
    record.output_digest = collected.output_digest;
    if record.rows_dropped * 2 > record.rows_emitted {
        record.warnings.push(format!(
            "{} of {} emitted rows were dropped: the table has their times already, or they lie before the window; \
             read and emit only what is new (see `statistics` in the context)",
            record.rows_dropped, record.rows_emitted
        ));
    }
}

fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
