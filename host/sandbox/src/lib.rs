//! One component in one store: the only place of the host that runs code of strangers.
//!
//! **One idea:** a call of a guest is a pure function of its arguments and of the answers to its host calls. The engine
//! is set up so that nothing else can reach it ([`engine`]), and each host call goes through the one method of
//! [`HostCalls`], shaped as (function, arguments) → result, so that it can be answered, recorded or replayed.
//!
//! **May depend on:** `datanode-core`, `datanode-rewrite`, wasmtime, wasmparser, gimli. **Never on:** a database, the network, the clock (but for
//! the watcher's patience, which decides nothing about data), tokio.
//!
//! Invariants:
//!
//! * *Imports are judged by name from the bytes, before anything is compiled* ([`imports::check`]).
//! * *What is compiled was rewritten before* (`datanode-rewrite`), so that no bit of a NaN depends on a machine.
//! * *A fresh store for each call*: nothing that a guest kept survives it.
//! * *A limit is an error with a name*, never a `-1` that the guest could hide ([`GuestCause::Limit`]).
//! * *`config` and `dependencies` may only log*, and must answer the same twice.

mod bindings;
mod cache;
mod calls;
mod cell;
mod compile;
mod convert;
mod debug_info;
mod docs;
pub mod engine;
mod error;
mod explain;
mod file_kind;
mod guest;
pub mod imports;
mod limits;
mod linker;
mod log_tail;
mod producers;
mod refused;
mod stubs;
mod supervise;
mod symbols;
mod threads;

pub use cache::CodeCache;
pub use calls::{
    ByteRange, FetchRequest, FetchResponse, HostCall, HostCallError, HostCalls, HostReply, Interrupt,
    LogLevel, Refusal,
};
pub use cell::{Cell, Optimisation, Processor};
pub use compile::{CompileLimits, Compiler, compile_child};
#[doc(hidden)]
pub use debug_info::explain_address;
pub use docs::{DOCS_SECTION, docs};
pub use error::{GuestCause, GuestError, LimitKind, SandboxError};
pub use file_kind::FileKind;
pub use guest::{CallReport, Component, Sandbox, UpdateContext};
pub use limits::Limits;
pub use producers::{Producers, producers};
pub use stubs::STUBBED_IMPORTS;
