//! What can go wrong around a guest.

use std::fmt;

use datanode_core::component::ManifestError;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::guest_failure::{GuestFailure, StackFrame};
use thiserror::Error;

use crate::calls::HostCallError;
use crate::file_kind::FileKind;
use crate::imports::RefusedImport;
use crate::refused::Refused;

/// A limit of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// Instructions of `update`.
    Fuel,
    /// Instructions of `config` and `dependencies`.
    DescribeFuel,
    /// Linear memory.
    Memory,
    /// Table of functions.
    TableElements,
    /// Core instances, memories or tables of one component.
    Instances,
    /// Call depth.
    Stack,
    /// Arguments of one host call.
    MessageBytes,
    /// All emitted bytes.
    EmitBytes,
    /// All emitted rows.
    EmitRows,
    /// All bytes of frames and bodies that the guest is given.
    ReadBytes,
    /// Readers and bodies open at once.
    OpenHandles,
    /// Host calls.
    HostCalls,
    /// Frames opened and sources fetched.
    Opens,
    /// Time of one host call.
    HostCallTime,
    /// Time of the whole call.
    CallTime,
}

impl LimitKind {
    /// Stable dotted code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fuel | Self::DescribeFuel => "sandbox.limit.fuel",
            Self::Memory => "sandbox.limit.memory",
            Self::TableElements => "sandbox.limit.table_elements",
            Self::Instances => "sandbox.limit.instances",
            Self::Stack => "sandbox.limit.stack",
            Self::MessageBytes => "sandbox.limit.message_bytes",
            Self::EmitBytes => "sandbox.limit.emit_bytes",
            Self::EmitRows => "sandbox.limit.emit_rows",
            Self::ReadBytes => "sandbox.limit.read_bytes",
            Self::OpenHandles => "sandbox.limit.open_handles",
            Self::HostCalls => "sandbox.limit.host_calls",
            Self::Opens => "sandbox.limit.opens",
            Self::HostCallTime => "sandbox.limit.host_call_time",
            Self::CallTime => "sandbox.limit.call_time",
        }
    }

    /// The setting in `datanode.toml` under `[limits]`.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::DescribeFuel => "describe_fuel",
            Self::Memory => "memory_bytes",
            Self::TableElements => "table_elements",
            Self::Instances => "instances",
            Self::Stack => "stack_bytes",
            Self::MessageBytes => "message_bytes",
            Self::EmitBytes => "emit_bytes",
            Self::EmitRows => "emit_rows",
            Self::ReadBytes => "read_bytes",
            Self::OpenHandles => "open_handles",
            Self::HostCalls => "host_calls",
            Self::Opens => "opens",
            Self::HostCallTime => "host_call_ms",
            Self::CallTime => "call_seconds",
        }
    }

    /// What a limit of time or stack says is about this machine and this compiler, never about the data.
    pub(crate) fn class(self) -> ErrorClass {
        match self {
            Self::Stack | Self::HostCallTime | Self::CallTime => ErrorClass::Infrastructure,
            _ => ErrorClass::Failed,
        }
    }

    fn next_step(self) -> String {
        let first = match self {
            Self::Stack => "recurse less deeply",
            Self::Instances => "build the component from fewer modules",
            Self::HostCallTime => "see why the database or the source did not answer, and run again",
            _ => "do less per run",
        };
        format!("{first}, or raise `{}` under [limits] in datanode.toml", self.setting())
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fuel | Self::DescribeFuel => "units of fuel (about one per instruction)",
            Self::Memory => "bytes of memory",
            Self::TableElements => "elements of a function table",
            Self::Instances => "core instances, memories or tables in one component",
            Self::Stack => "bytes of stack",
            Self::MessageBytes => "bytes in one host call",
            Self::EmitBytes => "emitted bytes in all",
            Self::EmitRows => "emitted rows in all",
            Self::ReadBytes => "bytes of frames and bodies read in all",
            Self::OpenHandles => "frame readers and response bodies open at once",
            Self::HostCalls => "host calls",
            Self::Opens => "frames opened and sources fetched",
            Self::HostCallTime => "milliseconds in one host call",
            Self::CallTime => "seconds in one call",
        })
    }
}

/// Why a call of a guest ended in an error.
#[derive(Debug)]
pub enum GuestCause {
    /// A limit was reached.
    Limit {
        /// Which.
        kind: LimitKind,
        /// Its value.
        limit: u64,
        /// The host call that did not come back, where that is the limit.
        host_call: Option<&'static str>,
    },
    /// A trap: a bug of the guest, or of its language runtime.
    Trap {
        /// What kind of trap.
        reason: String,
    },
    /// An error value of the author: [`GuestFailure::author`].
    Author,
    /// A host call that ends the run.
    HostCall(HostCallError),
}

/// A call of a guest that ended in an error.
#[derive(Debug)]
pub struct GuestError {
    /// Why.
    pub cause: GuestCause,
    /// Everything else that is known of it.
    pub failure: GuestFailure,
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GuestFailure { component, function, place, author, .. } = &self.failure;
        if let GuestCause::HostCall(error) = &self.cause {
            return error.0.fmt(f);
        }
        write!(f, "component `{component}`: `{function}` ")?;
        match &self.cause {
            GuestCause::Limit { kind, limit, host_call } => {
                write!(f, "reached the limit of {limit} {kind}")?;
                host_call.map_or(Ok(()), |call| write!(f, " (`{call}`)"))
            }
            GuestCause::Trap { reason } => {
                write!(f, "trapped: {reason}")?;
                match place {
                    Some(StackFrame { function, location: Some(location) }) => {
                        write!(f, ", at {location} ({function})")
                    }
                    Some(StackFrame { function, location: None }) => write!(f, ", in {function}"),
                    None => Ok(()),
                }
            }
            GuestCause::Author | GuestCause::HostCall(_) => {
                f.write_str("returned an error")?;
                author.as_ref().map_or(Ok(()), |author| write!(f, "\n  {author}"))
            }
        }
    }
}

/// Why a component is refused or a call of it failed.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The bytes are no WebAssembly at all.
    #[error("not a WebAssembly component: {0}")]
    NotWebAssembly(FileKind),
    /// WebAssembly, but a module where a component is wanted.
    #[error("not a WebAssembly component: this is a core module")]
    CoreModule,
    /// More bytes than a component may have.
    #[error("not a WebAssembly component: {bytes} bytes, where {limit} are allowed")]
    TooLarge {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// It begins as WebAssembly does, and cannot be read to its end.
    #[error("not a WebAssembly component: it is damaged: {0}")]
    Damaged(String),
    /// Machine code in the place of WebAssembly.
    #[error("this is compiled machine code, which is never taken from outside: it would run unchecked")]
    Precompiled,
    /// Imports outside the contract.
    #[error("the component imports what a DataNode cannot have:\n{}", .0.iter().map(|import| format!("  {import}")).collect::<Vec<_>>().join("\n"))]
    ImportsRefused(Vec<RefusedImport>),
    /// No `datanode:node/node` export.
    #[error("the component does not export `{expected}`; it exports {}", if .found.is_empty() { "nothing".to_owned() } else { .found.join(", ") })]
    NoNodeExport {
        /// The interface that must be there.
        expected: &'static str,
        /// The exports that are there.
        found: Vec<String>,
    },
    /// Valid imports, but the code does not compile or link.
    #[error("the component cannot be prepared: {problem}")]
    Prepare {
        /// What is wrong with it, and where.
        problem: String,
        /// What its author can do.
        next: String,
    },
    /// Compiling took too long.
    #[error("component `{component}` was not compiled within {limit_ms} ms")]
    CompileTime {
        /// Component.
        component: String,
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// Compiling took too much memory.
    #[error("component `{component}` was not compiled within {limit_bytes} bytes of memory")]
    CompileMemory {
        /// Component.
        component: String,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The process that compiles failed for a reason of its own.
    #[error("the compiling process failed: {0}")]
    Compiler(String),
    /// No room for one more guest.
    #[error("too many guests run at once in this process: {0}")]
    Busy(String),
    /// What the component says of itself is unusable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Two calls, two answers.
    #[error(
        "component `{component}`: `{function}` answered differently when called twice:\n  first:  {first}\n  second: {second}"
    )]
    Nondeterministic {
        /// Component.
        component: String,
        /// Exported function.
        function: &'static str,
        /// First answer.
        first: String,
        /// Second answer.
        second: String,
    },
    /// A call of it ended in an error.
    #[error("{0}")]
    Guest(Box<GuestError>),
    /// A setting of the host makes no sense.
    #[error("`{setting}` = {value} under [limits] makes no sense: it may be {min} to {max}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The least that it may be.
        min: u64,
        /// The most that it may be.
        max: u64,
    },
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Engine(String),
}

impl From<Refused> for SandboxError {
    fn from(Refused { problem, next }: Refused) -> Self {
        Self::Prepare { problem, next }
    }
}

impl Diagnostic for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotWebAssembly(_) | Self::CoreModule | Self::TooLarge { .. } | Self::Damaged(_) => {
                "sandbox.not_a_component"
            }
            Self::Precompiled => "sandbox.precompiled",
            Self::ImportsRefused(_) => "sandbox.imports_refused",
            Self::NoNodeExport { .. } => "sandbox.no_node_export",
            Self::Prepare { .. } => "sandbox.prepare",
            Self::CompileTime { .. } => "sandbox.limit.compile_time",
            Self::CompileMemory { .. } => "sandbox.limit.compile_memory",
            Self::Compiler(_) => "sandbox.compiler",
            Self::Busy(_) => "sandbox.busy",
            Self::Manifest(error) => error.code(),
            Self::Nondeterministic { .. } => "sandbox.nondeterministic",
            Self::Guest(error) => match &error.cause {
                GuestCause::Limit { kind, .. } => kind.code(),
                GuestCause::Trap { .. } => "sandbox.trap",
                GuestCause::Author => "node.error",
                GuestCause::HostCall(error) => error.0.code(),
            },
            Self::Setting { .. } => "sandbox.setting",
            Self::Engine(_) => "sandbox.engine",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::NotWebAssembly(_)
            | Self::CoreModule
            | Self::TooLarge { .. }
            | Self::Damaged(_)
            | Self::Precompiled
            | Self::ImportsRefused(_)
            | Self::NoNodeExport { .. }
            | Self::Prepare { .. }
            | Self::CompileMemory { .. }
            | Self::Manifest(_)
            | Self::Nondeterministic { .. } => ErrorClass::Refused,
            Self::Setting { .. } => ErrorClass::Usage,
            // How long a compilation takes depends on what else the machine does.
            Self::Engine(_) | Self::CompileTime { .. } | Self::Compiler(_) | Self::Busy(_) => {
                ErrorClass::Infrastructure
            }
            Self::Guest(error) => match &error.cause {
                GuestCause::Limit { kind, .. } => kind.class(),
                GuestCause::Trap { .. } | GuestCause::Author => ErrorClass::Failed,
                GuestCause::HostCall(error) => error.0.class(),
            },
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotWebAssembly(kind) => kind.next_step(),
            Self::TooLarge { .. } => {
                "make the component smaller: optimise for size, and leave out debug information and what it does not use".to_owned()
            }
            Self::Damaged(_) => {
                "build it again, or fetch the whole file again: `--sha256 DIGEST` tells whether all of it arrived".to_owned()
            }
            Self::CoreModule => {
                "turn the core module into a component: `wasm-tools component new core.wasm -o node.wasm`, or let the SDK's build do it".to_owned()
            }
            Self::Precompiled => "upload the component (.wasm) that it was made of; this host compiles it itself".to_owned(),
            Self::ImportsRefused(imports) => crate::imports::how_to_build_without(imports),
            Self::NoNodeExport { .. } => "export a node: in Rust `datanode_sdk::export!(MyNode)`".to_owned(),
            Self::Nondeterministic { .. } => {
                "make the function depend on its arguments alone: no random order of maps, no addresses".to_owned()
            }
            Self::Setting { .. } => "mend datanode.toml; a setting that is left out has its default".to_owned(),
            Self::Guest(error) => match &error.cause {
                GuestCause::Limit { kind, .. } => kind.next_step(),
                GuestCause::Trap { .. } if error.failure.place.as_ref().is_some_and(|place| place.location.is_some()) => {
                    "run the node natively with the SDK's harness to step through it".to_owned()
                }
                GuestCause::Trap { .. } => {
                    "build it with `debug = \"line-tables-only\"` to see source lines, or run it natively with the SDK's harness".to_owned()
                }
                GuestCause::Author => return None,
                GuestCause::HostCall(error) => return error.0.next_step(),
            },
            Self::CompileTime { .. } => {
                "try again when the machine has less to do, or raise `time_ms` under [compile] in datanode.toml".to_owned()
            }
            Self::CompileMemory { .. } => {
                "make the component smaller (optimise for size, leave out what it does not use), or raise `memory_bytes` under [compile] in datanode.toml".to_owned()
            }
            Self::Busy(_) => "try again when fewer nodes run".to_owned(),
            Self::Compiler(_) => "try again; if it stays, see whether this machine lets the datanode command start itself".to_owned(),
            Self::Manifest(error) => return error.next_step(),
            Self::Prepare { next, .. } => next.clone(),
            Self::Engine(_) => {
                "see that the processor is of level x86-64-v2 at least (or arm64), that the process may reserve address space and begin threads (`ulimit -a`), and try again; if it stays, report it".to_owned()
            }
        })
    }

    fn guest(&self) -> Option<&GuestFailure> {
        match self {
            Self::Guest(error) => Some(&error.failure),
            _ => None,
        }
    }
}
