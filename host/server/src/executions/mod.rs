//! Long work: runs, backfills, replays. Each is a task of this process, which whoever asked for it can watch and end.
//!
//! What a run leaves behind is in the database, whatever becomes of this process; what is here is how it goes on. It is
//! bounded in every direction: so many at once, so many that wait, so many events of each, so many that are over.

mod events;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use datanode_core::Timestamp;
use datanode_core::access::Principal;
use datanode_runtime::{BackfillObserver, Observer, RunEvent, Stop};
use datanode_store::Backfill;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch as channel};
use tracing::Instrument as _;

use crate::metrics::Metrics;
use crate::settings::{ServerSettings, size};
use crate::{Problem, traces};

pub(crate) use events::Told;
pub(crate) use watch::{END, follow, follow_log, last_seen};

use events::Ring;

/// Bytes of results and events of all executions that are over.
const KEPT_BYTES: usize = 128 << 20;

/// What an execution does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Run,
    DryRun,
    Retry,
    Backfill,
    Replay,
    Check,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::DryRun => "dry_run",
            Self::Retry => "retry",
            Self::Backfill => "backfill",
            Self::Replay => "replay",
            Self::Check => "check",
        }
    }
}

/// How an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Waiting,
    Running,
    /// It has a result, which may say that a run failed.
    Done,
    /// It has an error.
    Failed,
    /// It was ended before it had a result.
    Cancelled,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// What an execution is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) kind: Kind,
    /// Uid of the table that it may write; None: no table's.
    pub(crate) table_uid: Option<String>,
    /// Uids of the other tables that its tree writes: its events and its result tell of them too.
    pub(crate) others: Vec<String>,
    /// Uids of tables whose rows its events and its result may show, as a difference to what a run was given.
    pub(crate) reads: Vec<String>,
    /// Whether they may show what was fetched from sources.
    pub(crate) sources: bool,
    /// Identifier of it.
    pub(crate) table: Option<String>,
    /// What was asked for, as it was written: a node, a run, a backfill.
    pub(crate) subject: String,
    /// Who has asked.
    pub(crate) by: String,
}

impl About {
    /// Whether everything that is told of it is of the table that it may write.
    fn is_of_one_table(&self) -> bool {
        self.others.is_empty() && self.reads.is_empty() && !self.sources
    }
}

/// One of them.
pub(crate) struct Execution {
    pub(crate) id: String,
    pub(crate) about: About,
    pub(crate) stop: Stop,
    created_at: Timestamp,
    inner: Mutex<Inner>,
    /// Counts what has changed, for those who watch.
    changes: channel::Sender<u64>,
    metrics: Metrics,
}

struct Inner {
    state: State,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    result: Option<Value>,
    error: Option<Value>,
    events: Ring,
    /// Runs that have begun in it.
    runs: Vec<KnownRun>,
}

/// A run that has begun in an execution.
struct KnownRun {
    id: String,
    /// Identifier of its table.
    table: String,
    /// Lines of its log so far.
    lines: u64,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution").field("id", &self.id).field("about", &self.about).finish_non_exhaustive()
    }
}

/// Runs of one execution that can be followed by their id.
const MOST_RUNS: usize = 1_000;

impl Execution {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Hears of changes.
    fn changes(&self) -> channel::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tell those who watch.
    pub(crate) fn tell(&self, name: &'static str, data: String) {
        self.inner().events.push(name, data);
        self.changed();
    }

    /// How it stands.
    pub(crate) fn state(&self) -> State {
        self.inner().state
    }

    /// How it stands, for programs: with the result, which is what the command prints.
    pub(crate) fn document(&self) -> Value {
        self.document_of(&self.inner())
    }

    fn document_of(&self, inner: &Inner) -> Value {
        let runs: Vec<&str> = inner.runs.iter().map(|run| run.id.as_str()).collect();
        json!({
            "execution_id": self.id,
            "kind": self.about.kind,
            "state": inner.state,
            "subject": self.about.subject,
            "table": self.about.table,
            "table_uid": self.about.table_uid,
            "by": self.about.by,
            "created_at": self.created_at,
            "started_at": inner.started_at,
            "finished_at": inner.finished_at,
            "runs": runs,
            "result": inner.result,
            "error": inner.error,
        })
    }

    /// Events behind one, and whether there will be more.
    fn events_after(&self, seen: u64) -> (Vec<Arc<Told>>, bool) {
        let inner = self.inner();
        (inner.events.after(seen), !inner.state.is_over())
    }

    fn begin(&self) {
        let mut inner = self.inner();
        inner.state = State::Running;
        inner.started_at = Some(datanode_runtime::now());
        drop(inner);
        self.changed();
    }

    fn end(&self, state: State, result: Option<Value>, error: Option<Value>) {
        traces::ended(state.as_str(), state == State::Failed);
        {
            let mut inner = self.inner();
            inner.state = state;
            inner.finished_at = Some(datanode_runtime::now());
            inner.result = result;
            inner.error = error;
            // In one step: whoever finds it over looks for no more events, and must have been told of the end.
            let document = self.document_of(&inner).to_string();
            inner.events.push(END, document);
        }
        self.metrics.execution_ended(self.about.kind.as_str(), state.as_str());
        self.changed();
    }

    /// Bytes that it takes, about.
    fn weight(&self) -> usize {
        let inner = self.inner();
        let of = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.to_string().len());
        inner.events.bytes() + of(&inner.result) + of(&inner.error)
    }
}

impl Observer for Execution {
    fn event(&self, event: &RunEvent) {
        let mut line = None;
        let name = match event {
            RunEvent::Started { run_id, table, .. } => {
                let mut inner = self.inner();
                if inner.runs.len() < MOST_RUNS {
                    inner.runs.push(KnownRun { id: run_id.clone(), table: table.clone(), lines: 0 });
                }
                "started"
            }
            RunEvent::Loading { .. } => "loading",
            RunEvent::Updating { .. } => "updating",
            RunEvent::Logged { run_id, .. } => {
                let mut inner = self.inner();
                line = inner.runs.iter_mut().find(|run| run.id == *run_id).map(|run| {
                    run.lines += 1;
                    run.lines
                });
                "logged"
            }
            RunEvent::RowsRead { .. } => "rows_read",
            RunEvent::RowsEmitted { .. } => "rows_emitted",
            RunEvent::Committing { .. } => "committing",
            RunEvent::RowsWritten { .. } => "rows_written",
            RunEvent::Finished(record) => {
                self.metrics.run(record.status.as_str());
                "finished"
            }
        };
        if let Ok(data) = serde_json::to_string(event) {
            self.inner().events.push_line(name, data, line);
            self.changed();
        }
    }
}

impl BackfillObserver for Execution {
    fn stands(&self, backfill: &Backfill) {
        let document = datanode_runtime::answers::BackfillDocument::from(backfill);
        if let Ok(data) = serde_json::to_string(&document) {
            self.tell("backfill", data);
        }
    }
}

/// All of them.
#[derive(Clone)]
pub(crate) struct Executions {
    all: Arc<Mutex<HashMap<String, Arc<Execution>>>>,
    turns: Arc<Semaphore>,
    waiting: usize,
    /// Places of executions that are about to begin.
    reserved: Arc<AtomicUsize>,
    kept: usize,
    events: usize,
    metrics: Metrics,
    /// Nothing is begun any more.
    closed: Arc<AtomicBool>,
}

/// A place for an execution that is about to begin: whoever has it is not refused any more. Given back when it is dropped.
pub(crate) struct Reserved(Executions);

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.reserved.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Executions {
    pub(crate) fn new(settings: &ServerSettings, metrics: Metrics) -> Self {
        Self {
            all: Arc::default(),
            turns: Arc::new(Semaphore::new(size(settings.executions))),
            waiting: size(settings.executions_waiting),
            reserved: Arc::default(),
            kept: size(settings.executions_kept),
            events: size(settings.events),
            metrics,
            closed: Arc::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Execution>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one, before anything is stored or noted of it: what is refused here has not happened.
    pub(crate) fn reserve(&self) -> Result<Reserved, Problem> {
        // One after the other: so no two have the last place.
        let all = self.all();
        if self.closed.load(Ordering::Acquire) {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "server.not_ready",
                "the server is about to end",
            )
            .retry_after(Duration::from_secs(5)));
        }
        let waiting = all.values().filter(|other| other.state() == State::Waiting).count();
        let waiting = waiting + self.reserved.load(Ordering::Acquire);
        if waiting >= self.waiting {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "server.busy",
                format!("{waiting} runs, backfills and replays wait for their turn already"),
            )
            .with_next("try again later, or cancel some")
            .retry_after(Duration::from_secs(10)));
        }
        self.reserved.fetch_add(1, Ordering::AcqRel);
        drop(all);
        Ok(Reserved(self.clone()))
    }

    /// Begin one: `work` is called when its turn has come.
    pub(crate) fn begin<W, F>(&self, about: About, work: W) -> Result<Arc<Execution>, Problem>
    where
        W: FnOnce(Arc<Execution>) -> F + Send + 'static,
        F: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        Ok(self.reserve()?.begin(about, work))
    }

    fn add<W, F>(&self, about: About, work: W) -> Arc<Execution>
    where
        W: FnOnce(Arc<Execution>) -> F + Send + 'static,
        F: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        let execution = Arc::new(Execution {
            id: uuid::Uuid::now_v7().to_string(),
            about,
            stop: Stop::default(),
            created_at: datanode_runtime::now(),
            inner: Mutex::new(Inner {
                state: State::Waiting,
                started_at: None,
                finished_at: None,
                result: None,
                error: None,
                events: Ring::new(self.events),
                runs: Vec::new(),
            }),
            changes: channel::Sender::new(0),
            metrics: self.metrics.clone(),
        });
        {
            let mut all = self.all();
            if self.closed.load(Ordering::Acquire) {
                // The server has begun to end since: it is one of those that are ended before their turn.
                execution.stop.stop();
            }
            self.forget(&mut all);
            all.insert(execution.id.clone(), Arc::clone(&execution));
        }
        let (this, turns) = (Arc::clone(&execution), Arc::clone(&self.turns));
        let span = traces::of_execution(execution.about.kind.as_str(), &execution.id);
        tokio::spawn(async move { this.work(&turns, work).await }.instrument(span));
        execution
    }

    /// Make room: the oldest of those that are over go first.
    fn forget(&self, all: &mut HashMap<String, Arc<Execution>>) {
        // Ids sort by time.
        let mut over: Vec<(String, usize)> = all
            .values()
            .filter(|execution| execution.state().is_over())
            .map(|execution| (execution.id.clone(), execution.weight()))
            .collect();
        over.sort_unstable();
        let mut bytes: usize = over.iter().map(|(_, weight)| weight).sum();
        let mut many = over.len();
        for (id, weight) in over {
            if many <= self.kept && bytes <= KEPT_BYTES {
                break;
            }
            all.remove(&id);
            many -= 1;
            bytes -= weight;
        }
    }

    /// One by id.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Execution>, Problem> {
        self.all().get(id).cloned().ok_or_else(|| not_found(id))
    }

    /// The one in which a run has begun, and the identifier of the run's table.
    pub(crate) fn of_run(&self, run_id: &str) -> Option<(Arc<Execution>, String)> {
        let table_of = |execution: &Arc<Execution>| {
            let inner = execution.inner();
            let known = inner.runs.iter().find(|run| run.id == run_id);
            known.map(|run| run.table.clone())
        };
        self.all().values().find_map(|execution| Some((Arc::clone(execution), table_of(execution)?)))
    }

    /// All of them, the newest first.
    pub(crate) fn list(&self) -> Vec<Arc<Execution>> {
        let mut all: Vec<Arc<Execution>> = self.all().values().cloned().collect();
        all.sort_unstable_by(|one, other| other.id.cmp(&one.id));
        all
    }

    /// End all of them, and wait until they have ended, but not for longer than this.
    pub(crate) async fn end_all(&self, patience: Duration) -> usize {
        self.closed.store(true, Ordering::Release);
        let open = || -> Vec<Arc<Execution>> {
            self.all().values().filter(|execution| !execution.state().is_over()).cloned().collect()
        };
        for execution in open() {
            execution.stop.stop();
        }
        let wait = async {
            for execution in open() {
                let mut changes = execution.changes();
                while !execution.state().is_over() {
                    if changes.changed().await.is_err() {
                        break;
                    }
                }
            }
        };
        let _ = tokio::time::timeout(patience, wait).await;
        open().len()
    }
}

impl Reserved {
    /// Begin what the place is for: `work` is called when its turn has come.
    pub(crate) fn begin<W, F>(self, about: About, work: W) -> Arc<Execution>
    where
        W: FnOnce(Arc<Execution>) -> F + Send + 'static,
        F: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        self.0.add(about, work)
    }
}

impl Execution {
    async fn work<W, F>(self: Arc<Self>, turns: &Semaphore, work: W)
    where
        W: FnOnce(Arc<Self>) -> F + Send + 'static,
        F: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        let waits = self.metrics.execution_waits();
        let turn = tokio::select! {
            biased;
            () = self.stop.stopped() => None,
            turn = turns.acquire() => turn.ok(),
        };
        drop(waits);
        let Some(_turn) = turn else {
            return self.end(State::Cancelled, None, None);
        };
        let _runs = self.metrics.execution_runs();
        self.begin();
        // A task of its own: a panic is an outcome, and ends nothing else.
        let outcome = tokio::spawn(work(Arc::clone(&self)).in_current_span()).await;
        match outcome {
            Ok(Ok(result)) if self.stop.is_stopped() => self.end(State::Cancelled, Some(result), None),
            Ok(Ok(result)) => self.end(State::Done, Some(result), None),
            Ok(Err(problem)) => {
                let state = if self.stop.is_stopped() { State::Cancelled } else { State::Failed };
                self.end(state, None, Some(error_of(&problem)));
            }
            Err(_) => {
                let problem = Problem::bug("an execution panicked");
                self.end(State::Failed, None, Some(error_of(&problem)));
            }
        }
    }
}

/// That there is no such execution, for this caller.
pub(crate) fn not_found(id: &str) -> Problem {
    let id: String = id.chars().take(80).collect();
    let text = format!("there is no execution `{id}` here");
    Problem::new(StatusCode::NOT_FOUND, "server.execution_not_found", text).with_next(
        "executions are known to the server that they were begun at, and for a while; the records of runs stay: \
         datanode run list",
    )
}

/// An error as commands print it, with the status that it would have as an answer.
fn error_of(problem: &Problem) -> Value {
    json!({
        "code": problem.code, "class": problem.class.as_str(), "message": problem.detail,
        "next_step": problem.next, "guest": problem.guest, "status": problem.status.as_u16(),
    })
}

/// What somebody is called who begins one.
pub(crate) fn by(principal: &Principal) -> String {
    principal.actor(None).name().to_owned()
}
