//! The trait that an author implements, and what it declares.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Context, NodeError, Output, TableRef, Timestamp};

/// An incremental updater of one time-indexed table. The example is on the [crate's page](crate).
pub trait DataNode {
    /// The config. Every field enters the identity of a node, so give it what changes the *result*; how a run is
    /// done (batch sizes, retries) is a runtime option. Doc comments become the descriptions that people read;
    /// `#[serde(deny_unknown_fields)]` turns a typing error into a message.
    type Config: Serialize + DeserializeOwned + JsonSchema;

    /// `[a-z][a-z0-9_]*`. Enters the identity of every node of this component: a release keeps it.
    const NAME: &'static str;

    /// SemVer, usually `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;

    /// What the data mean, for whoever finds them by search.
    const DESCRIPTION: &'static str;

    /// What an operator must grant.
    fn sources() -> Vec<Source> {
        Vec::new()
    }

    /// The index and the columns of the frames that `update` emits.
    fn output() -> Output;

    /// Where a first run begins when the config has no `offset_start`. It counts, and is hashed, like one that was written:
    /// a release with another default gives nodes that leave the field out another identity.
    fn default_offset_start() -> Option<Timestamp> {
        None
    }

    /// What this node reads: a pure function of the config. May log, nothing else.
    fn dependencies(config: &Self::Config) -> Result<Vec<Dependency>, NodeError> {
        let _ = config;
        Ok(Vec::new())
    }

    /// Compute the rows that are missing and [emit](Context::emit) them. No rows at all is a fine answer.
    fn update(config: &Self::Config, context: &mut Context) -> Result<(), NodeError>;
}

/// Something outside that a component reads, once an operator has granted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name under which [`Context::fetch`] asks for it.
    pub name: String,
    /// What is read from it and in which form; shown to the operator who grants it.
    pub description: String,
    /// False when `update` copes without it.
    pub required: bool,
}

impl Source {
    /// A source without which a run makes no sense.
    pub fn required(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { name: name.into(), description: description.into(), required: true }
    }

    /// A source that `update` can do without.
    pub fn optional(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { name: name.into(), description: description.into(), required: false }
    }
}

/// An edge to what this node reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The key for [`Context::read`]: short, lower case, unique; `self` is reserved.
    pub key: String,
    /// What is read.
    pub target: Target,
}

/// What a dependency points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Another node, which runs first. The host finds or creates it.
    Node {
        /// Its component.
        component: String,
        /// Its config.
        config: Value,
        /// Its output table.
        table: TableRef,
    },
    /// A published table, read only.
    Table(TableRef),
}

impl Dependency {
    /// An edge to another node, by its component, config and output table.
    pub fn node(
        key: impl Into<String>,
        component: impl Into<String>,
        config: Value,
        table: &TableRef,
    ) -> Self {
        let target = Target::Node { component: component.into(), config, table: table.clone() };
        Self { key: key.into(), target }
    }

    /// An edge to a published table.
    pub fn table(key: impl Into<String>, table: &TableRef) -> Self {
        Self { key: key.into(), target: Target::Table(table.clone()) }
    }
}
