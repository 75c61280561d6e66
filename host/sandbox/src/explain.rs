//! Why a call of a guest ended early: from the engine's error to a cause with a name, a place and a stack.

use datanode_core::guest_failure::{GuestFailure, ReachedLimit, StackFrame};
use wasmtime::{FrameInfo, PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::SandboxError;
use crate::bindings::datanode::node::types;
use crate::convert;
use crate::debug_info::Symbol;
use crate::error::{GuestCause, GuestError, LimitKind};
use crate::guest::Component;
use crate::limits::LimitReached;
use crate::linker::State;
use crate::supervise::Watched;
use crate::symbols::Symbols;

/// Frames of a guest's stack that an error keeps.
const MAX_FRAMES: usize = 16;
/// Characters of the name of a function or file.
const MAX_NAME: usize = 200;

/// The error value of an author.
pub(crate) fn author(
    component: &str,
    function: &'static str,
    error: types::NodeError,
    state: &State,
) -> SandboxError {
    let mut failure = failure(component, function, &state.watched);
    failure.author = Some(convert::author_error(error));
    guest_error(GuestCause::Author, failure)
}

/// A call that was left behind.
pub(crate) fn left_behind(
    component: &str,
    function: &'static str,
    reached: LimitReached,
    host_call: Option<&'static str>,
    watched: &Watched,
) -> SandboxError {
    limit(reached.kind, reached.limit, host_call, failure(component, function, watched))
}

/// A call that the engine ended.
pub(crate) fn ended(
    component: &Component,
    function: &'static str,
    error: &wasmtime::Error,
    state: &mut State,
    fuel: u64,
) -> SandboxError {
    let mut failure = failure(component.label(), function, &state.watched);
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let symbols = Symbols::of(component.lines());
        let frames = backtrace.frames().iter().flat_map(|frame| frames(frame, &symbols));
        let mut stack: Vec<StackFrame> = frames.collect();
        failure.place = stack.iter().find(|frame| !is_glue(frame)).cloned();
        // Twelve frames of a panic's machinery, or of one recursion, would hide what the author can mend.
        if failure.place.is_some() {
            stack.retain(|frame| !is_library(frame));
        }
        stack.dedup();
        stack.truncate(MAX_FRAMES);
        failure.stack = stack;
    }
    if let Some(refused) = state.failure.take() {
        return guest_error(GuestCause::HostCall(refused), failure);
    }
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return SandboxError::Busy(full.to_string());
    }
    if let Some(reached) = error.chain().find_map(|cause| cause.downcast_ref::<LimitReached>()) {
        return limit(reached.kind, reached.limit, None, failure);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) if function == "update" => return limit(LimitKind::Fuel, fuel, None, failure),
        Some(Trap::OutOfFuel) => return limit(LimitKind::DescribeFuel, fuel, None, failure),
        Some(Trap::StackOverflow) => {
            return limit(LimitKind::Stack, state.limits.stack_bytes, None, failure);
        }
        _ => {}
    }
    let reason = error.root_cause().to_string();
    // The types of these two errors are private to the engine; tests fail when their texts change.
    if reason.contains("fuel allocated for hostcalls has been exhausted") {
        return limit(LimitKind::MessageBytes, state.limits.message_bytes, None, failure);
    }
    if reason.starts_with("resource limit exceeded") && reason.contains("count too high") {
        return limit(LimitKind::Instances, state.limits.instances, None, failure);
    }
    let reason = reason.strip_prefix("wasm trap: ").unwrap_or(&reason).to_owned();
    guest_error(GuestCause::Trap { reason }, failure)
}

fn failure(component: &str, function: &'static str, watched: &Watched) -> GuestFailure {
    GuestFailure {
        component: component.to_owned(),
        function: function.to_owned(),
        log_tail: watched.log_tail(),
        ..GuestFailure::default()
    }
}

fn limit(
    kind: LimitKind,
    limit: u64,
    host_call: Option<&'static str>,
    mut failure: GuestFailure,
) -> SandboxError {
    failure.limit = Some(ReachedLimit { setting: kind.setting().to_owned(), value: limit });
    guest_error(GuestCause::Limit { kind, limit, host_call }, failure)
}

fn guest_error(cause: GuestCause, failure: GuestFailure) -> SandboxError {
    SandboxError::Guest(Box::new(GuestError { cause, failure }))
}

/// A frame of the engine is several of the author's where functions were inlined; innermost first.
fn frames(frame: &FrameInfo, symbols: &Symbols<'_>) -> Vec<StackFrame> {
    let named = |name: Option<&str>| {
        let name = name.or_else(|| frame.func_name());
        name.map_or_else(|| format!("function {}", frame.func_index()), readable)
    };
    let places = frame.module_offset().zip(frame.func_offset());
    let place = places.and_then(|(place, within)| Some((place.checked_sub(within)?, place)));
    let known = place.map(|(function, place)| symbols.at(function, place, MAX_FRAMES)).unwrap_or_default();
    if known.is_empty() {
        return vec![StackFrame { function: named(None), location: None }];
    }
    let symbol = |symbol: &Symbol| StackFrame {
        function: named(symbol.function.as_deref()),
        location: symbol.file.as_ref().map(|file| {
            let file: String = file.chars().take(MAX_NAME).collect();
            symbol.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"))
        }),
    };
    known.iter().map(symbol).collect()
}

/// The name as its author wrote it, without the hash of its compiler.
fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name)).chars().take(MAX_NAME).collect()
}

/// Whether a frame is of Rust's own library or runtime.
fn is_library(frame: &StackFrame) -> bool {
    const CRATES: [&str; 7] =
        ["core", "alloc", "std", "compiler_builtins", "dlmalloc", "panic_abort", "__rustc"];
    const FUNCTIONS: [&str; 3] = ["rust_", "__rust", "cabi_"];
    is_of(frame, &CRATES)
        || FUNCTIONS.iter().any(|start| frame.function.starts_with(start))
        || is_below(frame, &["/rust/library/", "/rustc/"])
}

/// Whether a frame is of a library, of our SDK or of an export's wrapper: true, but not what the author wants to hear
/// first.
fn is_glue(frame: &StackFrame) -> bool {
    is_library(frame)
        || is_of(frame, &["datanode_sdk", "wit_bindgen"])
        || is_below(frame, &["/.cargo/registry/", "/cargo/registry/"])
        || frame.function.starts_with("datanode:node/")
        || frame.function.starts_with("function ")
}

/// `<alloc::vec::Vec<T> as core::ops::Index>::index` is of `alloc`.
fn is_of(frame: &StackFrame, crates: &[&str]) -> bool {
    let name = frame.function.trim_start_matches(['<', '&', '[']);
    name.split_once("::").is_some_and(|(first, _)| crates.contains(&first))
}

fn is_below(frame: &StackFrame, directories: &[&str]) -> bool {
    let location = frame.location.as_ref();
    location.is_some_and(|location| directories.iter().any(|directory| location.contains(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_of_the_author_is_told_from_libraries() {
        let glue = |function: &str, location: Option<&str>| {
            is_glue(&StackFrame { function: function.into(), location: location.map(str::to_owned) })
        };
        assert!(glue("core::panicking::panic_fmt", None));
        assert!(glue("<alloc::vec::Vec<T> as core::ops::index::Index<I>>::index", None));
        assert!(glue("rust_panic", None));
        assert!(glue("<datanode_sdk::export::Component<T> as Guest>::update", None));
        assert!(glue("serde_json::de::from_str", Some("/cargo/registry/src/x/serde_json-1.0/src/de.rs:7")));
        assert!(!glue("<panics::Hostile as datanode_sdk::node::DataNode>::update", None));
        assert!(!glue("my_node::update", Some("examples/my_node/src/lib.rs:42")));
    }
}
