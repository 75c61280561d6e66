//! What can go wrong around a run.

use std::sync::Arc;

use datanode_core::backfill::BackfillError;
use datanode_core::component::ManifestError;
use datanode_core::config::ConfigError;
use datanode_core::contract::ContractError;
use datanode_core::dependency::DependencyError;
use datanode_core::diagnostic::{Diagnostic, ErrorClass, shell_word};
use datanode_core::frame::FrameError;
use datanode_core::guest_failure::GuestFailure;
use datanode_core::name::NameError;
use datanode_core::producer::UploadError;
use datanode_core::quality::{QualityError, Violation};
use datanode_core::revision::RevisionError;
use datanode_core::run::{RunError, RunStatus};
use datanode_core::search::SearchError;
use datanode_core::source::RuleError;
use datanode_core::statistics::StatisticsError;
use datanode_embedding::EmbeddingError;
use datanode_sandbox::SandboxError;
use datanode_store::StoreError;
use thiserror::Error;

use crate::signature::SignatureError;
use crate::{AccessError, BundleError, ContentError, LoadError, SecretError};

/// Why an operation of the host is refused or failed.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Revisions of a table.
    #[error(transparent)]
    Revision(#[from] RevisionError),
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
    /// Checks of the output's contract.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// An output frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A bad name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A backfill that cannot be begun.
    #[error(transparent)]
    Backfill(#[from] BackfillError),
    /// A window of a backfill that was computed before those that it reads were stored.
    #[error(
        "window {window} of backfill {backfill} has read its own table before all earlier windows were stored; nothing was \
         stored"
    )]
    WindowAhead {
        /// The backfill.
        backfill: String,
        /// The window, counted from 1.
        window: u32,
    },
    /// A window of a backfill that reads what somebody has opened again since earlier windows were stored.
    #[error(
        "window {window} of backfill {backfill} has read its own table, from which rows before it were deleted after the \
         backfill had stored them; nothing was stored"
    )]
    RangeOpened {
        /// The backfill.
        backfill: String,
        /// The window, counted from 1.
        window: u32,
        /// Update hash of the node.
        node: String,
    },
    /// A file of rows.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Rows that a producer sent.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// An update of a producer that had ended before, and not well.
    #[error("update {run_id} has ended before: {}", .error.as_ref().map_or("without a reason", |error| &error.message))]
    Production {
        /// The run.
        run_id: String,
        /// Why.
        error: Option<Arc<RunError>>,
    },
    /// Contents of journals.
    #[error(transparent)]
    Contents(#[from] ContentError),
    /// A bundle of a run.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The rules of a source.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A request about people that does not say enough.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The signature of a component.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A search that cannot be made.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The model that makes vectors for searches.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// A reference table as the output of a node.
    #[error("table `{table}` is a reference table: its rows are loaded from files, no node can write it")]
    OutputIsReference {
        /// Identifier of the table.
        table: String,
    },
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
        /// The command that creates a node of the same component, config and table.
        create: String,
    },
    /// There is no place for a copy of the store.
    #[error("a copy of the store for trial runs cannot be made in {path}: {problem}")]
    Scratch {
        /// Directory.
        path: String,
        /// What the system says.
        problem: String,
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
    /// A node that cannot be dry-run, since a dry run creates nothing.
    #[error(
        "there is no node {update_hash} that writes table `{table}`{} yet, and a dry run creates none",
        if .hash_namespace.is_empty() { String::new() } else { format!(" in the hash namespace `{hash_namespace}`") }
    )]
    NotCreated {
        /// Its identity.
        update_hash: String,
        /// Component.
        component: String,
        /// Identifier of the output table.
        table: String,
        /// Config as JSON.
        config: String,
        /// Hash namespace, empty for none.
        hash_namespace: String,
    },
    /// Statistics given to a dry run.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
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
    /// A directory or file that a source should lead to.
    #[error("source `{name}`: {path}: {problem}")]
    SourcePath {
        /// Source.
        name: String,
        /// Path as given.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A run that is to be made again has not failed.
    #[error("run {run_id} ended `{status}`: only a failed run is made again over its own window")]
    NotFailed {
        /// The run.
        run_id: String,
        /// How it ended.
        status: RunStatus,
    },
    /// A run that is to be made again is a window of a backfill.
    #[error("run {run_id} was over window {window} of backfill {backfill}: only the backfill makes it again")]
    WindowOfBackfill {
        /// The run.
        run_id: String,
        /// The window, counted from 1.
        window: u32,
        /// The backfill.
        backfill: String,
    },
    /// Ended from outside before it was over.
    #[error("ended from outside before it was over; nothing was stored")]
    Interrupted,
    /// A dependency failed.
    #[error("not run, because {} did not succeed", .0.join(", "))]
    Blocked(Vec<String>),
    /// A thread of the host panicked.
    #[error("the host panicked while {0}; this is a bug of datanode")]
    Panicked(&'static str),
}

impl RuntimeError {
    /// Whether a commit was refused because others had written the table meanwhile, or the producer had sent more: made
    /// again, the run may succeed.
    pub(crate) fn is_overtaken(&self) -> bool {
        use datanode_core::producer::ProducerError;
        matches!(
            self,
            Self::Store(
                StoreError::TableMoved { .. }
                    | StoreError::ProgressMoved { .. }
                    | StoreError::Producer(ProducerError::MoreUploads { .. })
            )
        )
    }

    /// What checks of the contract found, where that is why the run failed.
    pub(crate) fn violations(&self) -> &[Violation] {
        match self {
            Self::Quality(error) | Self::Store(StoreError::Quality(error)) => &error.violations,
            _ => &[],
        }
    }
}

impl Diagnostic for RuntimeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Revision(error) => error.code(),
            Self::Sandbox(error) => error.code(),
            Self::Contract(error) => error.code(),
            Self::Manifest(error) => error.code(),
            Self::Config { source, .. } => source.code(),
            Self::Dependency(error) => error.code(),
            Self::Frame(error) => error.code(),
            Self::Quality(error) => error.code(),
            Self::Name(_) => "name.invalid",
            Self::Backfill(error) => error.code(),
            Self::WindowAhead { .. } => "backfill.window_ahead",
            Self::RangeOpened { .. } => "backfill.range_opened",
            Self::Load(error) => error.code(),
            Self::Upload(error) => error.code(),
            Self::Production { .. } => "producer.ended",
            Self::Contents(error) => error.code(),
            Self::Bundle(error) => error.code(),
            Self::Rule(error) => error.code(),
            Self::Secret(error) => error.code(),
            Self::Access(error) => error.code(),
            Self::Signature(error) => error.code(),
            Self::Search(error) => error.code(),
            Self::Embedding(error) => error.code(),
            Self::OutputIsReference { .. } => "node.output_is_reference",
            Self::OutputMismatch { .. } => "node.output_mismatch",
            Self::IdentityChanged { .. } => "node.identity_changed",
            Self::NewIdentity { .. } => "component.new_identity",
            Self::PinOfAnother { .. } => "node.pin_of_another",
            Self::NotCreated { .. } => "node.not_created",
            Self::Statistics(error) => error.code(),
            Self::SourceMissing { .. } => "source.missing",
            Self::SourcePath { .. } => "source.path",
            Self::Scratch { .. } => "check.scratch",
            Self::NotFailed { .. } => "run.not_failed",
            Self::WindowOfBackfill { .. } => "run.of_a_backfill",
            Self::Interrupted => "run.interrupted",
            Self::Blocked(_) => "run.blocked",
            Self::Panicked(_) => "runtime.panicked",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Store(error) => error.class(),
            Self::Revision(error) => error.class(),
            Self::Sandbox(error) => error.class(),
            Self::Contract(error) => error.class(),
            Self::Manifest(error) => error.class(),
            Self::Config { source, .. } => source.class(),
            Self::Dependency(error) => error.class(),
            Self::Frame(error) => error.class(),
            Self::Quality(error) => error.class(),
            Self::Statistics(error) => error.class(),
            Self::Name(_) | Self::SourcePath { .. } | Self::PinOfAnother { .. } | Self::NotCreated { .. } => {
                ErrorClass::Usage
            }
            Self::Backfill(error) => error.class(),
            Self::Load(error) => error.class(),
            Self::Upload(error) => error.class(),
            Self::Contents(error) => error.class(),
            Self::Bundle(error) => error.class(),
            Self::Rule(error) => error.class(),
            Self::Secret(error) => error.class(),
            Self::Access(error) => error.class(),
            Self::Signature(error) => error.class(),
            Self::Search(error) => error.class(),
            Self::Embedding(error) => error.class(),
            Self::OutputMismatch { .. }
            | Self::OutputIsReference { .. }
            | Self::IdentityChanged { .. }
            | Self::NewIdentity { .. }
            | Self::NotFailed { .. }
            | Self::WindowOfBackfill { .. }
            | Self::RangeOpened { .. }
            | Self::Production { .. }
            | Self::SourceMissing { .. } => ErrorClass::Refused,
            Self::Blocked(_) => ErrorClass::Blocked,
            Self::Scratch { .. } | Self::WindowAhead { .. } | Self::Interrupted | Self::Panicked(_) => {
                ErrorClass::Infrastructure
            }
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
            Self::Revision(error) => error.next_step(),
            Self::Sandbox(error) => error.next_step(),
            Self::Contract(error) => error.next_step(),
            Self::Manifest(error) => error.next_step(),
            Self::Config { component, source } => {
                source.next_step().or_else(|| Some(format!("see its fields: datanode component show {component}")))
            }
            Self::Dependency(error) => error.next_step(),
            Self::Frame(error) => error.next_step(),
            Self::Quality(error) => error.next_step(),
            Self::Statistics(error) => error.next_step(),
            Self::NotCreated { component, table, config, hash_namespace, .. } => {
                Some(format!("create it: {}", create_command(component, table, config, hash_namespace)))
            }
            Self::SourceMissing { command, .. } => Some(command.clone()),
            Self::Backfill(error) => error.next_step(),
            Self::WindowAhead { .. } => Some(
                "nothing is to be done: the backfill makes it again, and goes on one window after the other".to_owned(),
            ),
            Self::RangeOpened { backfill, node, .. } => Some(format!(
                "store again what was deleted: datanode node run {node}; then go on with the backfill: datanode node backfill \
                 resume {backfill}"
            )),
            Self::Load(error) => error.next_step(),
            Self::Upload(error) => error.next_step(),
            Self::Production { run_id, .. } => Some(format!("see it: datanode run show {run_id}; then run the producer again")),
            Self::Contents(error) => error.next_step(),
            Self::Bundle(error) => error.next_step(),
            Self::Rule(error) => error.next_step(),
            Self::Secret(error) => error.next_step(),
            Self::Access(error) => error.next_step(),
            Self::Signature(error) => error.next_step(),
            Self::Search(error) => error.next_step(),
            Self::Embedding(error) => error.next_step(),
            Self::OutputIsReference { table } => {
                Some(format!("load its rows: datanode table load {table} FILE; for a node, name a time-indexed table"))
            }
            Self::OutputMismatch { .. } => {
                Some("write another table, or register one whose contract has the component's columns".to_owned())
            }
            Self::IdentityChanged { create, .. } => Some(format!(
                "create the node again, with another identity; its rows stay where they are: {create}"
            )),
            Self::NewIdentity { .. } => Some(
                "if that is meant, create the nodes again after: datanode component upload FILE --accept-new-identity\n\
                 else give the new field no default, or move it to the runtime options"
                    .to_owned(),
            ),
            Self::PinOfAnother { asked, .. } => Some(format!("see its releases: datanode component show {asked}")),
            Self::Scratch { .. } => Some("make it writable for this user, with room for a copy of the database".to_owned()),
            Self::NotFailed { .. } => Some(
                "for what has become open since, run the node: datanode node run NODE; see which runs failed: datanode run \
                 list --status failed"
                    .to_owned(),
            ),
            Self::WindowOfBackfill { backfill, .. } => {
                Some(format!("go on with the backfill: datanode node backfill resume {backfill}"))
            }
            Self::Interrupted => Some("begin it again: nothing is held, and nothing is to be cleaned up".to_owned()),
            Self::Blocked(_) => Some("mend the failed dependency and run again".to_owned()),
            Self::SourcePath { .. } => Some("give the path of a readable directory or file".to_owned()),
            Self::Name(_) | Self::Panicked(_) => None,
        }
    }
}

/// Characters of a config that a command spells out.
const CONFIG_CHARS: usize = 1_000;

/// The command that creates a node.
pub(crate) fn create_command(component: &str, table: &str, config: &str, hash_namespace: &str) -> String {
    let config = if config.len() > CONFIG_CHARS {
        " --config @FILE".to_owned()
    } else if config == "{}" {
        String::new()
    } else {
        format!(" --config {}", shell_word(config))
    };
    let namespace =
        if hash_namespace.is_empty() { String::new() } else { format!(" --hash-namespace {hash_namespace}") };
    format!("datanode node create {component} --table {table}{config}{namespace}")
}
