//! What can go wrong around a guest.

use std::fmt;

use datanode_core::component::ManifestError;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use serde::Serialize;
use thiserror::Error;

use crate::calls::HostCallError;
use crate::imports::RefusedImport;

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
    /// Call depth.
    Stack,
    /// Arguments of one host call.
    MessageBytes,
    /// All emitted bytes.
    EmitBytes,
    /// Readers and bodies open at once.
    OpenHandles,
    /// Host calls.
    HostCalls,
    /// Frames opened and sources fetched.
    Opens,
}

impl LimitKind {
    /// Stable dotted code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fuel | Self::DescribeFuel => "sandbox.limit.fuel",
            Self::Memory => "sandbox.limit.memory",
            Self::TableElements => "sandbox.limit.table_elements",
            Self::Stack => "sandbox.limit.stack",
            Self::MessageBytes => "sandbox.limit.message_bytes",
            Self::EmitBytes => "sandbox.limit.emit_bytes",
            Self::OpenHandles => "sandbox.limit.open_handles",
            Self::HostCalls => "sandbox.limit.host_calls",
            Self::Opens => "sandbox.limit.opens",
        }
    }

    /// The setting in `datanode.toml` under `[limits]`, where there is one.
    pub fn setting(self) -> Option<&'static str> {
        match self {
            Self::Fuel => Some("fuel"),
            Self::DescribeFuel => Some("describe_fuel"),
            Self::Memory => Some("memory_bytes"),
            Self::TableElements => Some("table_elements"),
            Self::Stack => None,
            Self::MessageBytes => Some("message_bytes"),
            Self::EmitBytes => Some("emit_bytes"),
            Self::OpenHandles => Some("open_handles"),
            Self::HostCalls => Some("host_calls"),
            Self::Opens => Some("opens"),
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fuel | Self::DescribeFuel => "units of fuel (about one per instruction)",
            Self::Memory => "bytes of memory",
            Self::TableElements => "elements of a function table",
            Self::Stack => "bytes of stack",
            Self::MessageBytes => "bytes in one host call",
            Self::EmitBytes => "emitted bytes in all",
            Self::OpenHandles => "frame readers and response bodies open at once",
            Self::HostCalls => "host calls",
            Self::Opens => "frames opened and sources fetched",
        })
    }
}

/// An error that the author's code returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorError {
    /// Word or dotted path of the author's choice.
    pub kind: String,
    /// Text.
    pub message: String,
    /// Facts.
    pub fields: Vec<(String, String)>,
    /// Where, in the form usual for the language.
    pub traceback: Option<String>,
}

impl fmt::Display for AuthorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        for (name, value) in &self.fields {
            write!(f, "\n    {name}: {value}")?;
        }
        if let Some(traceback) = &self.traceback {
            write!(f, "\n{traceback}")?;
        }
        Ok(())
    }
}

/// Why a component is refused or a call of it failed.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The bytes are no component.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
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
    #[error("the component cannot be prepared: {0}")]
    Prepare(String),
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
    /// A limit was reached.
    #[error("component `{component}`: `{function}` reached the limit of {limit} {kind}")]
    Limit {
        /// Component.
        component: String,
        /// Exported function.
        function: &'static str,
        /// Which limit.
        kind: LimitKind,
        /// Its value.
        limit: u64,
    },
    /// A trap: a bug of the guest, or of its language runtime.
    #[error("component `{component}`: `{function}` trapped: {reason}{}", if .stack.is_empty() { String::new() } else { format!("\n{}", .stack) })]
    Trap {
        /// Component.
        component: String,
        /// Exported function.
        function: &'static str,
        /// What kind of trap.
        reason: String,
        /// Frames of the guest, innermost first; empty where the component has no names.
        stack: String,
    },
    /// An error value of the author.
    #[error("component `{component}`: `{function}` returned an error\n  {error}")]
    Author {
        /// Component.
        component: String,
        /// Exported function.
        function: &'static str,
        /// The error.
        error: Box<AuthorError>,
    },
    /// A host call that ends the run.
    #[error("{}", .0.0)]
    HostCall(HostCallError),
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Engine(String),
}

impl Diagnostic for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAComponent(_) => "sandbox.not_a_component",
            Self::ImportsRefused(_) => "sandbox.imports_refused",
            Self::NoNodeExport { .. } => "sandbox.no_node_export",
            Self::Prepare(_) => "sandbox.prepare",
            Self::CompileTime { .. } => "sandbox.limit.compile_time",
            Self::CompileMemory { .. } => "sandbox.limit.compile_memory",
            Self::Compiler(_) => "sandbox.compiler",
            Self::Busy(_) => "sandbox.busy",
            Self::Manifest(error) => error.code(),
            Self::Nondeterministic { .. } => "sandbox.nondeterministic",
            Self::Limit { kind, .. } => kind.code(),
            Self::Trap { .. } => "sandbox.trap",
            Self::Author { .. } => "node.error",
            Self::HostCall(error) => error.0.code(),
            Self::Engine(_) => "sandbox.engine",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::NotAComponent(_)
            | Self::ImportsRefused(_)
            | Self::NoNodeExport { .. }
            | Self::Prepare(_)
            | Self::CompileMemory { .. }
            | Self::Manifest(_)
            | Self::Nondeterministic { .. } => ErrorClass::Refused,
            // How long a compilation takes depends on what else the machine does, and the depth at overflow on the
            // compiled code: neither says anything about the data.
            Self::Engine(_)
            | Self::CompileTime { .. }
            | Self::Compiler(_)
            | Self::Busy(_)
            | Self::Limit { kind: LimitKind::Stack, .. } => ErrorClass::Infrastructure,
            Self::HostCall(error) => error.0.class(),
            Self::Limit { .. } | Self::Trap { .. } | Self::Author { .. } => ErrorClass::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotAComponent(_) => {
                "turn the core module into a component: `wasm-tools component new core.wasm -o node.wasm`, or let the SDK's build do it".to_owned()
            }
            Self::ImportsRefused(imports) => crate::imports::how_to_build_without(imports),
            Self::NoNodeExport { .. } => "export a node: in Rust `datanode_sdk::export!(MyNode)`".to_owned(),
            Self::Nondeterministic { .. } => {
                "make the function depend on its arguments alone: no random order of maps, no addresses".to_owned()
            }
            Self::Limit { kind, .. } => match kind.setting() {
                Some(setting) => format!("do less per run, or raise `{setting}` under [limits] in datanode.toml"),
                None => "recurse less deeply".to_owned(),
            },
            Self::Trap { .. } => {
                "read the log in the run's record, and test the node natively with the SDK's stub host".to_owned()
            }
            Self::CompileTime { .. } => {
                "try again when the machine has less to do, or raise `time_ms` under [compile] in datanode.toml".to_owned()
            }
            Self::CompileMemory { .. } => {
                "make the component smaller (optimise for size, leave out what it does not use), or raise `memory_bytes` under [compile] in datanode.toml".to_owned()
            }
            Self::Busy(_) => "try again when fewer nodes run".to_owned(),
            Self::Compiler(_) => "try again; if it stays, see whether this machine lets the datanode command start itself".to_owned(),
            Self::Manifest(error) => return error.next_step(),
            Self::HostCall(error) => return error.0.next_step(),
            Self::Author { .. } | Self::Prepare(_) | Self::Engine(_) => return None,
        })
    }
}
