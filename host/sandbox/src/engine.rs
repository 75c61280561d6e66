//! Every setting of the engine that decides whether two runs give the same bytes, in one place; and where the memory of
//! guests comes from, which decides nothing but speed.

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::cell::{Cell, Optimisation, Processor};
use crate::{Limits, SandboxError};

/// Version of the engine and of the rewriting of components, as recorded with each run. Fuel compares only within one.
pub const ENGINE_VERSION: &str = "wasmtime 48.0.8, rewriting 1";

/// The configuration of all engines of this host that run nodes.
pub fn config(limits: &Limits) -> Result<Config, SandboxError> {
    config_of(Cell::production(Allocation::Pooling), limits)
}

/// The same for a cell of the determinism matrix, but for where memory comes from.
fn config_of(cell: Cell, limits: &Limits) -> Result<Config, SandboxError> {
    let mut config = Config::new();

    // -- What guests can be -----------------------------------------------------------------------------------
    // Components only talk through typed interfaces; core modules are refused at upload.
    config.wasm_component_model(true);
    // wasmtime default: true. The WIT is synchronous, calls are three times cheaper without, and no scheduler order
    // can leak into results.
    config.concurrency_support(false);

    // -- Sources of nondeterminism in WebAssembly itself --------------------------------------------------------
    // default: false, and false where nodes run. NaN bit patterns differ between processors, so components are rewritten before
    // they are compiled, by `datanode-rewrite`, and make NaN canonical themselves where its bits can be seen. The engine would
    // do it behind each operation, which costs up to a quarter of a run. It does, beside that, in the cells of the matrix that are
    // not optimised: should the rewriting ever miss a NaN, they differ from the others.
    config.cranelift_nan_canonicalization(cell.optimisation == Optimisation::None && !cell.leaves_nan());
    // default: true. Relaxed SIMD may answer differently per processor; off rather than emulated, no toolchain needs it.
    config.wasm_relaxed_simd(false);
    // default: off with concurrency. Threads and shared memory make the order of events observable.
    config.shared_memory(false);
    // default: on. Wider than what the SDKs emit; each would widen what must be proven deterministic. (Threads, GC,
    // exceptions and stack switching are not compiled into this host.)
    config.wasm_memory64(false);
    // default: on, and on: the engine's own code between the parts of a component, such as those of JavaScript, has two. All
    // memories count as one against the limit.
    config.wasm_multi_memory(true);

    // -- How long guests may run --------------------------------------------------------------------------------
    // default: false. Fuel decides limits, because it counts the same on every machine. It is the kill switch, too: a
    // guest comes back after each `FUEL_SLICE`, and goes no further when it must end (`supervise.rs`).
    config.consume_fuel(true);
    // default: false, and false: each turn of a loop would look at the epoch beside its fuel, which costs up to a fifth
    // of a run, to end what fuel can end.
    config.epoch_interruption(false);
    // default: 512 KiB.
    let stack = stack_bytes(limits.stack_bytes);
    config.max_wasm_stack(stack);
    // default: 2 MiB. A guest computes on a stack of the engine's, from which it can come back, and host calls are made
    // there. Twice what a guest may use: the answer of a host call is put where the guest's allocator says, and for that
    // one the engine counts anew from there. It calls nobody else.
    config.async_stack_size(stack.saturating_mul(2).saturating_add(stack_bytes(HOST_STACK)));

    // -- One machine code for all machines ----------------------------------------------------------------------
    // default: features of this processor. A fixed level gives every host the same code, so that compiled artefacts
    // and results travel.
    let target = match cell.processor {
        Processor::Interpreter => INTERPRETER.to_owned(),
        Processor::Baseline | Processor::Newer => target_lexicon::Triple::host().to_string(),
    };
    config.target(&target).map_err(|error| SandboxError::Engine(error.to_string()))?;
    // default: speed. Nodes run optimised; the matrix shows that it does not matter.
    config.cranelift_opt_level(match cell.optimisation {
        Optimisation::Speed => OptLevel::Speed,
        Optimisation::None => OptLevel::None,
    });
    for feature in cell.processor.flags() {
        // SAFETY: the flag only lets Cranelift use instructions of that level. `Engine::new` compares the flags with
        // the processor it runs on and fails where one is missing, so no code that needs it is ever executed there.
        #[allow(unsafe_code)]
        unsafe {
            config.cranelift_flag_enable(feature);
        }
    }

    // -- What authors see when it fails -------------------------------------------------------------------------
    // default: 20. Enough to find the author's function below the SDK's.
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(64));
    // default: what an environment variable says. Debug information tells of places in the component as it was given, and what
    // is compiled has none: `symbols.rs` reads it when a guest has trapped.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    Ok(config)
}

/// Fuel after which a guest comes back to its thread, to be ended there when it must end. Coming back takes a fraction of
/// a microsecond and a slice takes tens of them, a few milliseconds in the interpreter. No larger: what the engine does
/// between the parts of a component (texts in another encoding) costs no fuel by its length.
pub const FUEL_SLICE: u64 = 100_000;

/// What host calls may use of the stack, beyond what the guest may.
pub(crate) const HOST_STACK: u64 = 2 << 20;

/// A size of a stack, as it is given to the system.
pub(crate) fn stack_bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The target whose code every processor can execute, instruction by instruction.
const INTERPRETER: &str = "pulley64";

/// Where the memory of guests comes from. Results and fuel are the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Slots that are reserved once and used again: a fresh store costs microseconds. Needs about 520 GiB of address
    /// space, none of it memory until it is touched.
    Pooling,
    /// For machines whose address space is short (`ulimit -v`, some containers): small reservations, so that compiled
    /// code checks each access itself. Slower, and compiled apart.
    Compact,
}

impl Allocation {
    /// The name by which a compiling process is told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pooling => "pooling",
            Self::Compact => "compact",
        }
    }

    /// The allocation of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pooling, Self::Compact].into_iter().find(|allocation| allocation.as_str() == name)
    }
}

/// Components that can run at once in this process. Each has a stack: it is given back before the slot is.
const POOL_SLOTS: u32 = 64;
/// Core instances, memories and tables that the pool has per slot, on average: builders of components add a few small
/// instances, some with a table each, beside the one with the memory.
const POOL_INSTANCES: u32 = 16;
const POOL_MEMORIES: u32 = 2;
const POOL_TABLES: u32 = 8;
/// Instances, memories or tables that one component can have at most: all memories of the pool. Beyond that it is the
/// pool that would refuse, and not the limit.
pub(crate) const MOST_INSTANCES: u64 = POOL_SLOTS as u64 * POOL_MEMORIES as u64;
/// Bytes of one memory: all that a 32-bit one can have.
const POOL_MEMORY_BYTES: usize = 4 << 30;
/// Elements of one table at least.
const POOL_ELEMENTS: usize = 1 << 20;
/// Tables of one core instance: what WebAssembly validation allows.
const POOL_TABLES_PER_INSTANCE: u32 = 100;
/// What the host keeps per core instance, in bytes: language runtimes have tens of thousands of functions.
const POOL_INSTANCE_BYTES: usize = 16 << 20;
/// Memory and tables that a slot keeps when it is used again, in bytes. Cleared by writing zeros, which for so little
/// is faster than giving it back to the system.
const POOL_KEPT_BYTES: usize = 512 << 10;

/// Reserved per memory, and for its growth, where address space is short, in bytes.
const COMPACT_RESERVED: u64 = 1 << 20;
/// Guard behind such a memory, in bytes.
const COMPACT_GUARD: u64 = 64 << 10;

/// The settings of an engine for this kind of allocation under these limits.
pub fn config_for(allocation: Allocation, limits: &Limits) -> Result<Config, SandboxError> {
    whole_config(Cell::production(allocation), limits)
}

/// The settings of an engine for one cell of the determinism matrix: for measurements.
#[doc(hidden)]
pub fn config_in(cell: Cell, limits: &Limits) -> Result<Config, SandboxError> {
    whole_config(cell, limits)
}

fn whole_config(cell: Cell, limits: &Limits) -> Result<Config, SandboxError> {
    let mut config = config_of(cell, limits)?;
    match cell.allocation {
        Allocation::Pooling => {
            let mut pool = PoolingAllocationConfig::new();
            // What does not fit a slot is refused by the pool in its own words, or answered by -1, which a guest can
            // hide: slots hold more than the limits allow, so that it is the limits that decide.
            let elements = usize::try_from(limits.table_elements).unwrap_or(usize::MAX).max(POOL_ELEMENTS);
            pool.total_component_instances(POOL_SLOTS)
                .total_core_instances(POOL_SLOTS * POOL_INSTANCES)
                .total_memories(POOL_SLOTS * POOL_MEMORIES)
                .total_tables(POOL_SLOTS * POOL_TABLES)
                .total_stacks(POOL_SLOTS)
                .max_component_instance_size(POOL_INSTANCE_BYTES)
                .max_core_instance_size(POOL_INSTANCE_BYTES)
                .max_tables_per_module(POOL_TABLES_PER_INSTANCE)
                .max_memory_size(POOL_MEMORY_BYTES)
                .table_elements(elements)
                .linear_memory_keep_resident(POOL_KEPT_BYTES)
                .table_keep_resident(POOL_KEPT_BYTES);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        Allocation::Compact => compact(&mut config),
    }
    Ok(config)
}

fn compact(config: &mut Config) {
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(COMPACT_RESERVED)
        .memory_reservation_for_growth(COMPACT_RESERVED)
        .memory_guard_size(COMPACT_GUARD)
        .memory_may_move(true);
}

/// An engine that makes the code which [`engine`] runs in this cell, and reserves nothing itself: a pool leaves no trace
/// in compiled code, and neither do limits.
pub(crate) fn compiling_engine(cell: Cell) -> Result<Engine, SandboxError> {
    let mut config = config_of(cell, &Limits::default())?;
    if cell.allocation == Allocation::Compact {
        compact(&mut config);
    }
    Engine::new(&config).map_err(|error| SandboxError::Engine(error.to_string()))
}

/// An engine for guests under these limits: with a pool, or without where the address space is too short for one.
pub fn engine(limits: &Limits) -> Result<(Engine, Allocation), SandboxError> {
    if let Ok(engine) = Engine::new(&config_for(Allocation::Pooling, limits)?) {
        return Ok((engine, Allocation::Pooling));
    }
    let engine = Engine::new(&config_for(Allocation::Compact, limits)?)
        .map_err(|error| SandboxError::Engine(error.to_string()))?;
    Ok((engine, Allocation::Compact))
}

/// An engine for one cell of the matrix, or why this machine has none.
pub(crate) fn engine_of(cell: Cell, limits: &Limits) -> Result<Engine, SandboxError> {
    Engine::new(&whole_config(cell, limits)?).map_err(|error| SandboxError::Engine(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The versions that runs record are those that are linked.
    #[test]
    fn the_versions_are_those_that_are_linked() {
        let lock = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        let locked =
            lock.split("name = \"wasmtime\"\nversion = \"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(ENGINE_VERSION, format!("wasmtime {locked}, rewriting {}", datanode_rewrite::VERSION));
    }

    /// Whatever stack the settings allow, the engine takes it, and has a pool all the same.
    #[test]
    fn every_stack_that_is_allowed_can_be_had() {
        let (_, usual) = engine(&Limits::default()).unwrap();
        for stack_bytes in [64 << 10, 1 << 20, 2 << 20, 256 << 20] {
            let limits = Limits { stack_bytes, ..Limits::default() };
            let sandbox = crate::Sandbox::new(limits).unwrap();
            assert_eq!(sandbox.allocation(), usual, "{stack_bytes}");
        }
    }
}
