//! What can go wrong around a run.

use datanode_core::component::ManifestError;
use datanode_core::config::ConfigError;
use datanode_core::contract::ContractError;
use datanode_core::dependency::DependencyError;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::frame::FrameError;
use datanode_core::guest_failure::GuestFailure;
use datanode_core::name::NameError;
use datanode_sandbox::SandboxError;
use datanode_store::StoreError;
use thiserror::Error;

/// Why an operation of the host is refused or failed.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// What a component says of itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A config.
    #[error("component `{component}`: {source}")]
    Config {
        /// Component.
        component: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// Dependencies.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    /// An output frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A bad name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The component emits other columns than the table has.
    #[error("component `{component}` does not fit table `{table}`:\n{}", .problems.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    OutputMismatch {
        /// Component.
        component: String,
        /// Identifier of the table.
        table: String,
        /// What does not fit.
        problems: Vec<String>,
    },
    /// The highest release of the component computes another identity from the node's config.
    #[error(
        "node {update_hash}: release {version} of component `{component}` gives its config the identity {now}"
    )]
    IdentityChanged {
        /// The node.
        update_hash: String,
        /// Component.
        component: String,
        /// Release that would run.
        version: String,
        /// The identity it computes.
        now: String,
    },
    /// A release would give nodes another identity.
    #[error("release {version} of component `{component}` gives nodes another identity:\n{}", .nodes.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    NewIdentity {
        /// Component.
        component: String,
        /// The release.
        version: String,
        /// Each node, and what it would become.
        nodes: Vec<String>,
    },
    /// The pinned bytes are another component.
    #[error("the pinned bytes are a release of component `{found}`, not of `{asked}`")]
    PinOfAnother {
        /// The component asked for.
        asked: String,
        /// The component that the bytes are.
        found: String,
    },
    /// A source that the component cannot do without is missing.
    #[error("component `{component}` needs the source `{source_name}` ({description}), which {problem}")]
    SourceMissing {
        /// Component.
        component: String,
        /// Source.
        source_name: String,
        /// What the component reads from it.
        description: String,
        /// What is missing: the source, or the grant.
        problem: &'static str,
        /// The command that mends it.
        command: String,
    },
    /// A directory that a source should lead to.
    #[error("source `{name}`: {path}: {problem}")]
    SourcePath {
        /// Source.
        name: String,
        /// Path as given.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A dependency failed.
    #[error("not run, because {} did not succeed", .0.join(", "))]
    Blocked(Vec<String>),
    /// A thread of the host panicked.
    #[error("the host panicked while {0}; this is a bug of datanode")]
    Panicked(&'static str),
}

impl Diagnostic for RuntimeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Sandbox(error) => error.code(),
            Self::Contract(error) => error.code(),
            Self::Manifest(error) => error.code(),
            Self::Config { source, .. } => source.code(),
            Self::Dependency(error) => error.code(),
            Self::Frame(error) => error.code(),
            Self::Name(_) => "name.invalid",
            Self::OutputMismatch { .. } => "node.output_mismatch",
            Self::IdentityChanged { .. } => "node.identity_changed",
            Self::NewIdentity { .. } => "component.new_identity",
            Self::PinOfAnother { .. } => "node.pin_of_another",
            Self::SourceMissing { .. } => "source.missing",
            Self::SourcePath { .. } => "source.path",
            Self::Blocked(_) => "run.blocked",
            Self::Panicked(_) => "runtime.panicked",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Store(error) => error.class(),
            Self::Sandbox(error) => error.class(),
            Self::Contract(error) => error.class(),
            Self::Manifest(error) => error.class(),
            Self::Config { source, .. } => source.class(),
            Self::Dependency(error) => error.class(),
            Self::Frame(error) => error.class(),
            Self::Name(_) | Self::SourcePath { .. } | Self::PinOfAnother { .. } => ErrorClass::Usage,
            Self::OutputMismatch { .. }
            | Self::IdentityChanged { .. }
            | Self::NewIdentity { .. }
            | Self::SourceMissing { .. } => ErrorClass::Refused,
            Self::Blocked(_) => ErrorClass::Blocked,
            Self::Panicked(_) => ErrorClass::Infrastructure,
        }
    }

    fn guest(&self) -> Option<&GuestFailure> {
        match self {
            Self::Sandbox(error) => error.guest(),
            _ => None,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.next_step(),
            Self::Sandbox(error) => error.next_step(),
            Self::Contract(error) => error.next_step(),
            Self::Manifest(error) => error.next_step(),
            Self::Config { component, source } => {
                source.next_step().or_else(|| Some(format!("see its fields: datanode component show {component}")))
            }
            Self::Dependency(error) => error.next_step(),
            Self::Frame(error) => error.next_step(),
            Self::SourceMissing { command, .. } => Some(command.clone()),
            Self::OutputMismatch { .. } => {
                Some("write another table, or register one whose contract has the component's columns".to_owned())
            }
            Self::IdentityChanged { .. } => Some(
                "create the node again with `datanode node create`: its rows stay where they are, its identity is new"
                    .to_owned(),
            ),
            Self::NewIdentity { .. } => Some(
                "if that is meant, upload it with --accept-new-identity and create the nodes again; else give the new \
                 field no default, or move it to the runtime options"
                    .to_owned(),
            ),
            Self::PinOfAnother { asked, .. } => Some(format!("see its releases: datanode component show {asked}")),
            Self::Blocked(_) => Some("mend the failed dependency and run again".to_owned()),
            Self::SourcePath { .. } => Some("give the path of a readable directory".to_owned()),
            Self::Name(_) | Self::Panicked(_) => None,
        }
    }
}
