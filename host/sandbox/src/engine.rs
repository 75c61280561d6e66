//! Every setting of the engine that decides whether two runs give the same bytes, in one place.

use wasmtime::{Config, Engine, WasmBacktraceDetails};

use crate::{Limits, SandboxError};

/// Version of the engine, as recorded with each run. Fuel compares only within one version.
pub const ENGINE_VERSION: &str = "wasmtime 48.0.8";

/// CPU features of the fixed level x86-64-v2, which every server processor since about 2009 has.
#[cfg(target_arch = "x86_64")]
const CPU_LEVEL: [&str; 5] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];
#[cfg(not(target_arch = "x86_64"))]
const CPU_LEVEL: [&str; 0] = [];

/// The configuration of all engines of this host.
pub fn config(limits: &Limits) -> Result<Config, SandboxError> {
    let mut config = Config::new();

    // -- What guests can be -----------------------------------------------------------------------------------
    // Components only talk through typed interfaces; core modules are refused at upload.
    config.wasm_component_model(true);
    // wasmtime default: true. The WIT is synchronous, calls are three times cheaper without, and no scheduler order
    // can leak into results.
    config.concurrency_support(false);

    // -- Sources of nondeterminism in WebAssembly itself --------------------------------------------------------
    // default: false. NaN bit patterns differ between processors; canonical NaNs do not.
    config.cranelift_nan_canonicalization(true);
    // default: true. Relaxed SIMD may answer differently per processor; off rather than emulated, no toolchain needs it.
    config.wasm_relaxed_simd(false);
    // default: off with concurrency. Threads and shared memory make the order of events observable.
    config.shared_memory(false);
    // default: on. Wider than what the SDKs emit; each would widen what must be proven deterministic. (Threads, GC,
    // exceptions and stack switching are not compiled into this host.)
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);

    // -- How long guests may run --------------------------------------------------------------------------------
    // default: false. Fuel decides limits, because it counts the same on every machine.
    config.consume_fuel(true);
    // default: false. The kill switch of the watcher (`supervise.rs`); it decides nothing. Measured against fuel alone:
    // the same fuel and the same output bytes, 6 % more processor time for the runs of `examples/fx`, and about 40 %
    // for a loop that does nothing but count, since each turn looks at the epoch.
    config.epoch_interruption(true);
    // default: 512 KiB. Each call has a thread whose stack holds this and what the host needs.
    config.max_wasm_stack(usize::try_from(limits.stack_bytes).unwrap_or(usize::MAX));

    // -- One machine code for all machines ----------------------------------------------------------------------
    // default: features of this processor. A fixed level gives every host the same code, so that compiled artefacts
    // and results travel.
    let target = target_lexicon::Triple::host().to_string();
    config.target(&target).map_err(|error| SandboxError::Engine(error.to_string()))?;
    for feature in CPU_LEVEL {
        // SAFETY: the flag only lets Cranelift use instructions of x86-64-v2. `Engine::new` compares the flags with
        // the processor it runs on and fails where one is missing, so no code that needs it is ever executed there.
        #[allow(unsafe_code)]
        unsafe {
            config.cranelift_flag_enable(feature);
        }
    }

    // -- What authors see when it fails -------------------------------------------------------------------------
    // default: 20. Enough to find the author's function below the SDK's.
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(64));
    // default: what an environment variable says. Source lines where the component has debug information; it is kept
    // beside the compiled code and read when a guest has trapped.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    Ok(config)
}

/// An engine with the settings of [`config`].
pub fn engine(limits: &Limits) -> Result<Engine, SandboxError> {
    Engine::new(&config(limits)?).map_err(|error| SandboxError::Engine(error.to_string()))
}
