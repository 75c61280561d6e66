//! Replays: a run is executed again from its journal, and must do the same again.
//!
//! The guest runs in a fresh store, under the limits that it had. Neither tables nor sources are touched: what it asks for
//! is answered from the journal, as long as it asks for what it asked for then.

mod bundle;
mod compare;
mod matrix;
mod record;

use std::sync::Arc;
use std::time::Instant;

use datanode_core::component::ComponentClass;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digest;
use datanode_core::journal::{Ended, Header, Held, JournalMode};
use datanode_core::run::{RunRecord, RunStatus};
use datanode_sandbox::{Interrupt, LimitKind, Limits, Sandbox, UpdateContext, engine};
use datanode_store::StoreError;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::journal::{self, Contents, Replayer};
use crate::{Host, RuntimeError, Stop};

pub use bundle::{BundleError, bundle_in_cells, replay_bundle};
pub use matrix::{CellResult, CellVerdict, MatrixRun};

/// The most stack that a call is given, in bytes.
const MOST_STACK_BYTES: u64 = 256 << 20;
/// How many times as much fuel a guest has as in its run, where another version of the engine counted it: what an
/// instruction costs may have changed, and a run that was good may have been near its end of it.
const OTHER_FUEL: u64 = 8;
/// The most that a limit can be set to.
const UNBOUNDED: u64 = i64::MAX as u64;

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The guest did the same again, to the byte.
    Identical,
    /// It did not, or what is kept of the run is not what the run left.
    Different(Difference),
    /// It could not be executed.
    CannotReplay {
        /// What is missing.
        missing: String,
        /// What to do about it, where something can be done.
        next_step: Option<String>,
    },
}

/// The first thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is: a host call, the config, the output, ...
    pub what: String,
    /// The host call, counted from 1, where it is one.
    pub call: Option<u64>,
    /// What the run did, or was given.
    pub recorded: String,
    /// What the replay found in its place.
    pub replayed: String,
}

/// A run that was executed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The run.
    pub run_id: String,
    /// Identifier of its output table at the time.
    pub table: String,
    /// Component name.
    pub component: String,
    /// Component release.
    pub component_version: semver::Version,
    /// How the run ended.
    pub status: RunStatus,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Host calls that were compared.
    pub calls: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
}

/// All that a replay needs.
struct Material {
    record: RunRecord,
    /// As it is stored: compressed. None: removed.
    document: Option<Vec<u8>>,
    /// None: removed.
    component: Option<Vec<u8>>,
    contents: Contents,
    /// Ends its guest from outside.
    interrupt: Interrupt,
}

impl Host {
    /// Execute a run of the catalogue again, unless it is told to stop. An error is one of looking it up, or of this machine.
    pub async fn replay(&self, reference: &str, stop: &Stop) -> Result<Replayed, RuntimeError> {
        let material = self.material(self.store.run(reference).await?).await?;
        let (sandbox, guest) = (self.sandbox.clone(), material.interrupt.clone());
        let work = tokio::task::spawn_blocking(move || replay(&sandbox, material));
        until(stop, &guest, work).await
    }

    async fn material(&self, record: RunRecord) -> Result<Material, RuntimeError> {
        let document = self.store.run_journal(&record.run_id).await?;
        let component = match self.store.component_bytes(&record.component_digest).await {
            Ok(bytes) => Some(bytes),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let (contents, interrupt) = (self.journals.contents.clone(), Interrupt::default());
        Ok(Material { record, document, component, contents, interrupt })
    }
}

/// What work with this guest answers; an error once it is told to stop, for what the guest has done then says nothing.
async fn until<T>(
    stop: &Stop,
    guest: &Interrupt,
    work: JoinHandle<Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    let answer = stop.ends(guest, work).await;
    let answer = answer.map_err(|_| RuntimeError::Panicked("a run was being replayed"))?;
    if stop.is_stopped() { Err(RuntimeError::Interrupted) } else { answer }
}

fn replay(sandbox: &Sandbox, material: Material) -> Result<Replayed, RuntimeError> {
    let begin = Instant::now();
    let (verdict, calls) = match execute(sandbox, &material, 1) {
        Ok(Executed { verdict, calls, .. }) => (verdict, calls),
        Err(Ends::Verdict(verdict)) => (*verdict, 0),
        Err(Ends::Error(error)) => return Err(*error),
    };
    let record = material.record;
    Ok(Replayed {
        run_id: record.run_id,
        table: record.table,
        component: record.component,
        component_version: record.component_version,
        status: record.status,
        verdict,
        calls,
        duration_us: u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX),
    })
}

/// Why a replay ends before its guest is called.
enum Ends {
    Verdict(Box<Verdict>),
    Error(Box<RuntimeError>),
}

impl<E: Into<RuntimeError>> From<E> for Ends {
    fn from(error: E) -> Self {
        Self::Error(Box::new(error.into()))
    }
}

fn cannot(missing: impl Into<String>, next_step: Option<String>) -> Ends {
    Ends::Verdict(Box::new(Verdict::CannotReplay { missing: missing.into(), next_step }))
}

/// A guest that was called again.
struct Executed {
    verdict: Verdict,
    /// Host calls that were compared.
    calls: u64,
    output_digest: Option<Digest>,
    fuel: u64,
}

/// `stack` times as much stack as the run had: code of another kind may need more of it for the same depth, and how much
/// there is, is no fact about the data.
fn execute(sandbox: &Sandbox, material: &Material, stack: u64) -> Result<Executed, Ends> {
    let Material { record, document, component, contents, interrupt } = material;
    let Some(summary) = &record.journal else { return Err(without_journal(record)) };
    if summary.mode == JournalMode::Digest {
        let next_step = "set `journal = \"full\"` under [runs] in datanode.toml for runs to come".to_owned();
        return Err(cannot("its journal has digests only: what it was given was not kept", Some(next_step)));
    }
    let Some(document) = document else {
        return Err(cannot("its journal was removed since", None));
    };
    let Some(component) = component else {
        let next_step = format!(
            "upload the file of `{}` {} with the SHA-256 {}",
            record.component, record.component_version, record.component_digest
        );
        return Err(cannot("the bytes of its component are not there", Some(next_step)));
    };
    let differs = |difference| Ends::Verdict(Box::new(Verdict::Different(difference)));
    let found = Digest::of(component);
    if found != record.component_digest {
        let (recorded, replayed) = (record.component_digest.to_string(), found.to_string());
        let what = "the bytes of the component".to_owned();
        return Err(differs(Difference { what, call: None, recorded, replayed }));
    }
    let damaged = |problem: String| Difference {
        what: "the journal".to_owned(),
        call: None,
        recorded: format!("a journal of {} calls with the digest {}", summary.calls, summary.sha256),
        replayed: problem,
    };
    let journal = journal::open(document.clone()).map_err(|error| differs(damaged(error.to_string())))?;
    let header = journal.header().clone();

    // One that fuel has ended proves nothing here, however much more it has.
    let is_ours = header.host.get("engine").is_some_and(|engine| engine == engine::ENGINE_VERSION);
    let ended_by_fuel = record.error.as_ref().is_some_and(|error| error.code == LimitKind::Fuel.code());
    let fuel = if is_ours || ended_by_fuel { 1 } else { OTHER_FUEL };
    let (sandbox, limits) = under_the_limits_of(sandbox, &header, stack, fuel)?;
    // What a component of class stubbed is answered are constants, so there is nothing to be admitted to here.
    let compiled = sandbox.prepare(&record.component, component, ComponentClass::Stubbed)?;
    let context = UpdateContext {
        index: header.index.clone(),
        progress: Arc::new(Held::progress(&header.statistics)),
        window: header.window,
        is_backfill: header.is_backfill,
    };
    let replayer = Replayer::new(journal, contents.clone(), &limits).until(interrupt.clone());
    let report = sandbox.update(&compiled, &header.guest_config, &context, Box::new(replayer.clone()));
    // What a host call ended the guest with then ends it now: by its code then.
    let ended = report.result.as_ref().err().map(|error| match replayer.failed() {
        Some(code) => Ended { code, author: None },
        None => Ended::of(error),
    });
    let seen = replayer.finish();
    if seen.stopped.is_none()
        && let Err(error) = report.result
        && error.class() == ErrorClass::Infrastructure
    {
        return Err(error.into());
    }
    let now = compare::Now {
        seen: &seen,
        ended,
        fuel: report.fuel,
        peak_memory: report.peak_memory,
        engine: engine::ENGINE_VERSION,
        is_ours,
    };
    let verdict = compare::verdict(record, summary, &header, &now);
    Ok(Executed { verdict, calls: seen.calls, output_digest: seen.totals.output_digest, fuel: report.fuel })
}

fn without_journal(record: &RunRecord) -> Ends {
    if record.producer.is_some() {
        return cannot("it was written by a producer: what it computed its rows from was never here", None);
    }
    let missing = match record.status {
        RunStatus::Skipped => "its window was empty: the component was not called",
        RunStatus::Blocked => "a dependency had failed: the component was not called",
        RunStatus::Failed => {
            "it failed before the component was called, or by the fault of a machine: no fact to replay"
        }
        RunStatus::Ok | RunStatus::Empty => "no journal was kept of it",
    };
    cannot(missing, None)
}

/// The same sandbox with the limits that a run had, and those. What a stranger's bundle asks for is granted as far as this
/// host would grant it to a run; `stack` and `fuel` say how many times as much of these there is beyond that.
fn under_the_limits_of(
    sandbox: &Sandbox,
    header: &Header,
    stack: u64,
    fuel: u64,
) -> Result<(Sandbox, Limits), Ends> {
    // A run of a host that did not bound yet what is read. It is not bounded here either: a replay keeps nothing of it.
    let read_at_will = header.format == 1 && header.limits.get("read_bytes").is_none();
    let had: Limits = serde_json::from_value(header.limits.clone())
        .map_err(|error| cannot(format!("its limits are not understood: {error}"), None))?;
    // Time says nothing about the data: how long a replay may take is this host's own matter.
    let Limits { host_call_ms, call_seconds, read_bytes, .. } = *sandbox.limits();
    let read_bytes = if read_at_will { read_bytes } else { had.read_bytes };
    let limits = Limits { host_call_ms, call_seconds, read_bytes, ..had };
    if stack == 1 && fuel == 1 && !read_at_will && limits == *sandbox.limits() {
        return Ok((sandbox.clone(), limits));
    }
    if let Some((setting, had, has)) = limits.beyond(sandbox.limits()) {
        let next_step = format!("raise `{setting}` under [limits] in datanode.toml to {had}");
        return Err(cannot(
            format!("it ran under `{setting}` = {had}, and this host allows {has}"),
            Some(next_step),
        ));
    }
    let stack_bytes = limits.stack_bytes.saturating_mul(stack).min(MOST_STACK_BYTES);
    let read_bytes = if read_at_will { UNBOUNDED } else { limits.read_bytes };
    let fuel = limits.fuel.saturating_mul(fuel).min(UNBOUNDED);
    let sandbox = sandbox.under(Limits { stack_bytes, read_bytes, fuel, ..limits })?;
    Ok((sandbox, limits))
}
