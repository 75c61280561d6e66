//! Calling a component: each call in a fresh store.

use std::sync::Arc;

use datanode_core::component::{ComponentClass, Manifest};
use datanode_core::dependency::Dependency;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digest;
use datanode_core::progress::Progress;
use datanode_core::window::Window;
use serde::Serialize;
use wasmtime::component::{Component as Code, Linker};
use wasmtime::{Engine, Store};

use crate::bindings::datanode::node::types;
use crate::bindings::{DataNode, DataNodePre};
use crate::cache::{CodeCache, Compiled};
use crate::calls::{HostCall, HostCallError, HostCalls, HostReply};
use crate::cell::Cell;
use crate::compile::{Compiler, Made};
use crate::engine::Allocation;
use crate::explain;
use crate::limits::Limits;
use crate::linker::{self, State};
use crate::refused::Refused;
use crate::stubs::Stubs;
use crate::supervise::{self, Lost, Watched};
use crate::symbols::Lines;
use crate::threads::Threads;
use crate::{SandboxError, convert, engine, imports};

/// Characters of an answer that an error shows.
const SHOWN_ANSWER: usize = 4_096;

/// Runs components under one set of limits.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    cell: Cell,
    linker: Arc<Linker<State>>,
    limits: Limits,
    threads: Arc<Threads>,
    compiler: Compiler,
    cache: Option<CodeCache>,
}

/// A component that passed the import policy and was compiled and linked.
#[derive(Clone)]
pub struct Component {
    label: String,
    digest: Digest,
    pre: DataNodePre<State>,
    /// What tells lines of its source where it fails.
    lines: Lines,
}

/// What `update` gets besides its config.
#[derive(Debug, Clone)]
pub struct UpdateContext {
    /// Index of the output table: `time_index`, then the identity dimensions.
    pub index: Vec<String>,
    /// What the output table holds.
    pub progress: Arc<Progress>,
    /// What the run may cover.
    pub window: Window,
    /// Whether an explicit range of the past is filled.
    pub is_backfill: bool,
}

/// How a call of `update` went.
#[derive(Debug)]
pub struct CallReport {
    /// The outcome.
    pub result: Result<(), SandboxError>,
    /// Fuel used; 0 when the call was left behind.
    pub fuel: u64,
    /// Largest linear memory, in bytes; 0 when the call was left behind.
    pub peak_memory: u64,
}

/// How a call of any function went.
struct Called<T> {
    result: Result<T, SandboxError>,
    fuel: u64,
    peak_memory: u64,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Component {
    /// The name in errors.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// What tells lines of its source.
    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl Sandbox {
    /// A sandbox with the engine settings of [`engine::config`], which compiles in this process and keeps nothing.
    pub fn new(limits: Limits) -> Result<Self, SandboxError> {
        limits.check()?;
        let (engine, allocation) = engine::engine(&limits)?;
        Self::over(engine, Cell::production(allocation), limits)
    }

    /// A sandbox in one cell of the determinism matrix. An error where this machine has no such cell.
    pub fn in_cell(cell: Cell, limits: Limits) -> Result<Self, SandboxError> {
        limits.check()?;
        Self::over(engine::engine_of(cell, &limits)?, cell, limits)
    }

    fn over(engine: Engine, cell: Cell, limits: Limits) -> Result<Self, SandboxError> {
        let linker = linker::linker(&engine).map_err(|error| SandboxError::Engine(error.to_string()))?;
        let (linker, threads) = (Arc::new(linker), Arc::new(supervise::threads()));
        Ok(Self { engine, cell, linker, limits, threads, compiler: Compiler::InProcess, cache: None })
    }

    /// Keep compiled code in this cache.
    #[must_use]
    pub fn with_cache(mut self, cache: CodeCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Compile by this compiler.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// The same sandbox under other limits: compiled code is shared, for limits leave no trace in it.
    pub fn under(&self, limits: Limits) -> Result<Self, SandboxError> {
        let other = if self.cell == Cell::production(self.cell.allocation) {
            Self::new(limits)?
        } else {
            Self::in_cell(self.cell, limits)?
        };
        Ok(Self { compiler: self.compiler.clone(), cache: self.cache.clone(), ..other })
    }

    /// The limits of each call.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where the memory of guests comes from.
    pub fn allocation(&self) -> Allocation {
        self.cell.allocation
    }

    /// The same compiler, cache and limits in a cell of the determinism matrix.
    pub fn moved_to(&self, cell: Cell) -> Result<Self, SandboxError> {
        let other = Self::in_cell(cell, self.limits.clone())?;
        // The engine cannot tell code with the planted fault from that of nodes: it is rewritten otherwise, not compiled otherwise.
        let cache = self.cache.clone().filter(|_| !cell.leaves_nan());
        Ok(Self { compiler: self.compiler.clone(), cache, ..other })
    }

    /// Remove the compiled form of a component from the cache, where there is one.
    pub fn forget(&self, digest: &Digest) {
        if let Some(cache) = &self.cache {
            cache.forget(&self.engine, digest);
        }
    }

    /// A component that this host compiled before, by the digest of its bytes; None where there is no cache or it has
    /// no entry that this host wrote. `label` names the component in errors.
    pub fn cached(&self, label: &str, digest: &Digest) -> Option<Component> {
        let compiled = self.cache.as_ref()?.find(&self.engine, digest)?;
        self.link(label, digest, compiled).ok()
    }

    /// Judge the imports, of which no more is admitted than `most`, then compile and link. `label` names the component
    /// in errors: its name, or its file before the name is known.
    pub fn prepare(
        &self,
        label: &str,
        bytes: &[u8],
        most: ComponentClass,
    ) -> Result<Component, SandboxError> {
        imports::check(bytes, most)?;
        let digest = Digest::of(bytes);
        if let Some(component) = self.cached(label, &digest) {
            return Ok(component);
        }
        let Made { spans, code } = self.compiler.compile(label, &self.engine, self.cell, bytes)?;
        // SAFETY: `deserialize` must only see what a compatible engine made. These bytes came this moment from this
        // engine, or over a pipe from the process that this host started to run the same program on the same settings.
        // Where the two differ (the program was replaced meanwhile), the engine finds another version and refuses.
        #[allow(unsafe_code)]
        let compiled = unsafe { Code::deserialize(&self.engine, &code) }.map_err(prepare_error)?;
        let lines = Lines::of(bytes, &spans);
        if let Some(cache) = &self.cache {
            cache.keep(&self.engine, &digest, &lines, &code);
        }
        self.link(label, &digest, Compiled { code: compiled, lines })
    }

    fn link(&self, label: &str, digest: &Digest, compiled: Compiled) -> Result<Component, SandboxError> {
        let Compiled { code, lines } = compiled;
        let pre = self.linker.instantiate_pre(&code).and_then(DataNodePre::new).map_err(prepare_error)?;
        Ok(Component { label: label.to_owned(), digest: *digest, pre, lines })
    }

    /// Ask the component what it is: twice, and the answers must be equal.
    pub fn manifest(&self, component: &Component) -> Result<Manifest, SandboxError> {
        let config = self.twice(component, "config", "", &async |guest, store| {
            Ok(Ok(convert::manifest(guest.datanode_node_node().call_config(store).await?)))
        })?;
        let manifest = config.map_err(|problem| datanode_core::component::ManifestError::Rule {
            component: component.label.clone(),
            problem,
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Ask the component what it depends on under a validated config: twice, and the answers must be equal.
    pub fn dependencies(&self, component: &Component, config: &str) -> Result<Vec<Dependency>, SandboxError> {
        let owned = config.to_owned();
        self.twice(component, "dependencies", config, &async move |guest, store| {
            let answer = guest.datanode_node_node().call_dependencies(store, &owned).await?;
            Ok(answer.map(|list| list.into_iter().map(convert::dependency).collect()))
        })
    }

    /// Compute: the guest's host calls are answered by `calls`. When the answer is that a limit of time was reached,
    /// `calls` may still be alive: a host call that does not come back is left behind.
    pub fn update(
        &self,
        component: &Component,
        config: &str,
        context: &UpdateContext,
        calls: Box<dyn HostCalls>,
    ) -> CallReport {
        let stubs = Stubs::of_update(&component.digest, config, context.window, context.is_backfill);
        let context = types::UpdateContext {
            statistics: types::UpdateStatistics {
                index_names: context.index.clone(),
                min_time: context.progress.min_time().map(datanode_core::Timestamp::micros),
                max_time: context.progress.max_time().map(datanode_core::Timestamp::micros),
                progress: convert::progress(&context.progress),
            },
            window: types::Window {
                start: context.window.start.map(datanode_core::Timestamp::micros),
                end: context.window.end.micros(),
            },
            is_backfill: context.is_backfill,
        };
        let config = config.to_owned();
        let Called { result, fuel, peak_memory } =
            self.call(component, "update", self.limits.fuel, (calls, stubs), async move |guest, store| {
                guest.datanode_node_node().call_update(store, &config, &context).await
            });
        CallReport { result, fuel, peak_memory }
    }

    /// What each call begins with, and no call: for measurements.
    #[doc(hidden)]
    pub fn instantiate(&self, component: &Component, calls: Box<dyn HostCalls>) -> Result<(), SandboxError> {
        let store = self.store(calls, Arc::default(), Stubs::of(&component.digest, "", ""));
        call_in(store, component, "update", self.limits.fuel, async |_, _| Ok(Ok(()))).result
    }

    /// Call a function of a guest in a fresh store, watched from here.
    fn call<T: Send + 'static>(
        &self,
        component: &Component,
        function: &'static str,
        fuel: u64,
        (calls, stubs): (Box<dyn HostCalls>, Stubs),
        call: impl Ask<T>,
    ) -> Called<T> {
        let watched = Arc::new(Watched::until(calls.interrupt()));
        let store = self.store(calls, Arc::clone(&watched), stubs);
        let theirs = component.clone();
        let called = supervise::run(&self.threads, &self.limits, &watched, move || {
            // The store is gone when the answer is sent: who gets it may take `calls` apart.
            call_in(store, &theirs, function, fuel, call)
        });
        called.unwrap_or_else(|lost| {
            let error = match lost {
                Lost::LeftBehind(reached, host_call) => {
                    explain::left_behind(&component.label, function, reached, host_call, &watched)
                }
                Lost::NoThread(error) => SandboxError::Engine(format!("no thread for a guest: {error}")),
            };
            Called { result: Err(error), fuel: 0, peak_memory: 0 }
        })
    }

    fn store(&self, calls: Box<dyn HostCalls>, watched: Arc<Watched>, stubs: Stubs) -> Store<State> {
        let mut store = Store::new(&self.engine, State::new(&self.limits, calls, watched, stubs));
        store.limiter(|state| &mut state.watch);
        // Charged for every list that crosses into the host; the excess is mapped to `message_bytes`.
        store.set_hostcall_fuel(usize::try_from(self.limits.message_bytes).unwrap_or(usize::MAX));
        store
    }

    fn twice<T: PartialEq + Serialize + Send + 'static>(
        &self,
        component: &Component,
        function: &'static str,
        argument: &str,
        call: &(impl Ask<T> + Clone),
    ) -> Result<T, SandboxError> {
        let once = || {
            let (calls, stubs) =
                (Box::new(LogOnly { function }), Stubs::of(&component.digest, function, argument));
            self.call(component, function, self.limits.describe_fuel, (calls, stubs), call.clone()).result
        };
        let (first, second) = (once()?, once()?);
        agreed(&component.label, function, first, &second)
    }
}

/// The answer that two calls in fresh stores gave, or the error that shows both.
fn agreed<T: PartialEq + Serialize>(
    component: &str,
    function: &'static str,
    first: T,
    second: &T,
) -> Result<T, SandboxError> {
    if first == *second {
        return Ok(first);
    }
    let text = |answer: &T| {
        let text = serde_json::to_string(answer).unwrap_or_else(|error| error.to_string());
        text.chars().take(SHOWN_ANSWER).collect::<String>()
    };
    Err(SandboxError::Nondeterministic {
        component: component.to_owned(),
        function,
        first: text(&first),
        second: text(second),
    })
}

// By value, as `map_err` hands it over.
#[allow(clippy::needless_pass_by_value)]
fn prepare_error(error: wasmtime::Error) -> SandboxError {
    Refused::of_words(&format!("{error:#}")).into()
}

/// Asks an instance of a guest: the engine's outcome, and in it the author's.
trait Ask<T>:
    AsyncFnOnce(&DataNode, &mut Store<State>) -> wasmtime::Result<Result<T, types::NodeError>> + Send + 'static
{
}

impl<T, F> Ask<T> for F where
    F: AsyncFnOnce(&DataNode, &mut Store<State>) -> wasmtime::Result<Result<T, types::NodeError>>
        + Send
        + 'static
{
}

fn call_in<T>(
    mut store: Store<State>,
    component: &Component,
    function: &'static str,
    fuel: u64,
    call: impl Ask<T>,
) -> Called<T> {
    let watched = Arc::clone(&store.data().watched);
    let outcome = supervise::in_slices(&watched, async {
        store.fuel_async_yield_interval(Some(engine::FUEL_SLICE))?;
        store.set_fuel(fuel)?;
        let guest = component.pre.instantiate_async(&mut store).await?;
        call(&guest, &mut store).await
    });
    let outcome = outcome.unwrap_or_else(|| Err(store.data().out_of_time().into()));
    // A line that a guest of class stubbed had begun. Whom a host call has ended makes no more of them.
    let ended = if store.data().failure.is_none() { store.data_mut().end_output() } else { Ok(()) };
    let outcome = outcome.and_then(|answer| ended.map(|()| answer));
    let used = fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let label = &component.label;
    let result = match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(explain::author(label, function, error, store.data())),
        Err(error) => Err(explain::ended(component, function, &error, store.data_mut(), fuel)),
    };
    Called { result, fuel: used, peak_memory: store.data().watch.peak_memory() }
}

/// Answers the host calls of `config` and `dependencies`: log lines are taken, all else is denied by name.
struct LogOnly {
    function: &'static str,
}

impl HostCalls for LogOnly {
    fn call(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError> {
        match call {
            HostCall::Log { .. } => Ok(HostReply::Done),
            other => Err(NotInThisPhase { function: self.function, call: other.function() }.into()),
        }
    }
}

/// A host call in a phase that may only log.
#[derive(Debug, thiserror::Error)]
#[error("`{function}` may only log, but it called `{call}`")]
struct NotInThisPhase {
    function: &'static str,
    call: &'static str,
}

impl Diagnostic for NotInThisPhase {
    fn code(&self) -> &'static str {
        "sandbox.not_in_this_phase"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Refused
    }

    fn next_step(&self) -> Option<String> {
        Some("move the call into `update`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine gives a guest nothing to differ by: only the rule can be shown.
    #[test]
    fn two_answers_are_shown_side_by_side() {
        assert_eq!(agreed("c", "dependencies", [1, 2], &[1, 2]).unwrap(), [1, 2]);
        let error = agreed("c", "dependencies", ["rates", "prices"], &["prices", "rates"]).unwrap_err();
        let next = error.next_step().unwrap();
        insta::assert_snapshot!(format!("error[{}]: {error}\nnext: {next}", error.code()), @r#"
        error[sandbox.nondeterministic]: component `c`: `dependencies` answered differently when called twice:
          first:  ["rates","prices"]
          second: ["prices","rates"]
        next: make the function depend on its arguments alone: no random order of maps, no addresses
        "#);
        let long = agreed("c", "config", "a".repeat(100_000), &"b".repeat(100_000)).unwrap_err();
        assert!(long.to_string().len() < 3 * SHOWN_ANSWER + 200);
    }
}
