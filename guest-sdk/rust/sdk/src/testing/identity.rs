//! Who a node is: its `update_hash`, and the hash namespace that keeps tests and experiments apart.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Harness;
use super::complete::complete;
use crate::{DataNode, NodeError, Target, Timestamp, config_schema};

/// The environment variable that holds the hash namespace of native tests that name none themselves.
pub const HASH_NAMESPACE_VARIABLE: &str = "DATANODE_HASH_NAMESPACE";

/// The reserved, hashed field that says where a first run begins.
const OFFSET_START: &str = "offset_start";
/// Characters of the component's name kept in an `update_hash`.
const NAME_CHARS: usize = 30;
/// Bytes of the digest kept in an `update_hash`.
const DIGEST_BYTES: usize = 16;

/// Where a hash namespace comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Namespace {
    /// Said by the test, the empty one too.
    explicit: Option<String>,
    /// That of the node whose dependency this is, the empty one too.
    inherited: Option<String>,
}

impl Namespace {
    /// Explicit, else inherited, else ambient, else empty.
    fn resolve(&self, ambient: Option<String>) -> Result<String, NodeError> {
        let namespace =
            self.explicit.clone().or_else(|| self.inherited.clone()).or(ambient).unwrap_or_default();
        let is_name = |name: &str| {
            name.len() <= 63
                && name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        if namespace.is_empty() || (namespace.len() <= 255 && namespace.split('.').all(is_name)) {
            return Ok(namespace);
        }
        Err(NodeError::new(
            "testing.hash_namespace",
            format!(
                "`{namespace}` is not a hash namespace: lower-case names of letters, digits and `_`, joined by dots"
            ),
        ))
    }
}

impl<T: DataNode> Harness<T> {
    /// Give this node, and all that it [depends on](Self::dependency_node), an identity of their own. The empty
    /// namespace changes nothing. Without this call the one of the environment holds, if there is one
    /// (`DATANODE_HASH_NAMESPACE`).
    ///
    /// A namespace isolates identity only: leases, record of runs, de-duplication. Rows are isolated by another table.
    /// The node itself never sees it.
    ///
    /// ```
    /// # use datanode_sdk::prelude::*;
    /// # struct Rates;
    /// # impl DataNode for Rates {
    /// #     type Config = NoConfig;
    /// #     const NAME: &str = "rates";
    /// #     const VERSION: &str = "0.1.0";
    /// #     const DESCRIPTION: &str = "Rates.";
    /// #     fn output() -> Output { Output::new(["time_index"]) }
    /// #     fn update(_: &NoConfig, _: &mut Context) -> Result<(), NodeError> { Ok(()) }
    /// # }
    /// use datanode_sdk::testing::Harness;
    /// let published = Harness::<Rates>::new().hash_namespace("");
    /// let experiment = published.clone().hash_namespace("experiments.alice");
    /// assert_eq!(published.update_hash()?, "rates_fdace6d686fe4a613e4fecc0d6bafc72");
    /// assert_ne!(experiment.update_hash()?, published.update_hash()?);
    /// # Ok::<(), NodeError>(())
    /// ```
    #[must_use]
    pub fn hash_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace.explicit = Some(namespace.into());
        self
    }

    /// The uid of a table that a config names by its identifier. [`update_hash`](Self::update_hash) is that of a host
    /// only when each table reference of the config is a uid, or has one by this.
    #[must_use]
    pub fn table_uid(mut self, identifier: impl Into<String>, uid: impl Into<String>) -> Self {
        self.table_uids.insert(identifier.into(), uid.into());
        self
    }

    /// The hash namespace that holds: of this harness, else of the node whose dependency it is, else of the environment,
    /// else the empty one.
    ///
    /// # Errors
    ///
    /// `testing.hash_namespace` when it is not made of names joined by dots.
    pub fn resolved_hash_namespace(&self) -> Result<String, NodeError> {
        // Lossy: what is not Unicode is refused as a name, rather than ignored.
        let ambient = std::env::var_os(HASH_NAMESPACE_VARIABLE);
        self.namespace.resolve(ambient.map(|text| text.to_string_lossy().into_owned()))
    }

    /// The identity of this node: the `update_hash` that a host gives to this component, config and hash namespace. A
    /// table reference that is no uid and has none ([`table_uid`](Self::table_uid)) is hashed as it stands.
    ///
    /// # Errors
    ///
    /// `config.invalid` when the config does not fit its type; `time.parse` for an `offset_start` that is no time;
    /// `testing.hash_namespace`.
    pub fn update_hash(&self) -> Result<String, NodeError> {
        self.parsed_config()?;
        let uid = |table: &str| self.table_uids.get(table).cloned();
        let start = T::default_offset_start();
        let config = hashed_config(&config_schema::<T::Config>(), self.config.clone(), start, uid)?;
        Ok(update_hash(&canonical(T::NAME, &config, &self.resolved_hash_namespace()?)?, T::NAME))
    }

    /// The harness of a node that this one depends on: the config that this one gives it, in the same window, hash
    /// namespace and with the same uids of tables. It still wants its files, tables and options.
    ///
    /// # Errors
    ///
    /// `testing.no_dependency` when `dependencies` names no node under this key, or one of another component; and
    /// whatever `dependencies` answers.
    pub fn dependency_node<D: DataNode>(&self, key: &str) -> Result<Harness<D>, NodeError> {
        let dependencies = T::dependencies(&self.parsed_config()?)?;
        let target = dependencies.into_iter().find(|known| known.key == key).map(|known| known.target);
        let wrong =
            |problem: &str| Err(NodeError::new("testing.no_dependency", format!("`{key}` {problem}")));
        let config = match target {
            Some(Target::Node { component, config, .. }) if component == D::NAME => config,
            Some(Target::Node { component, .. }) => {
                return wrong(&format!("is a node of `{component}`, not of `{}`", D::NAME));
            }
            Some(Target::Table(table)) => return wrong(&format!("is the table `{table}`, not a node")),
            None => return wrong("is not among the dependencies"),
        };
        let mut harness = Harness::<D>::new().config(config);
        harness.namespace.inherited = Some(self.resolved_hash_namespace()?);
        harness.table_uids.clone_from(&self.table_uids);
        harness.window = self.window;
        Ok(harness)
    }
}

/// The config without the reserved field, unless its schema declares it: then with the component's own default, where
/// neither config nor schema has one.
pub(super) fn guest_document(schema: &Value, mut config: Value, default_start: Option<Timestamp>) -> Value {
    match schema.pointer("/properties/offset_start") {
        None => {
            if let Some(fields) = config.as_object_mut() {
                fields.remove(OFFSET_START);
            }
        }
        Some(declared) if declared.get("default").is_none() => fill_offset_start(&mut config, default_start),
        Some(_) => {}
    }
    config
}

/// Where nothing else says where a first run begins, the component's default counts like a value that was written.
fn fill_offset_start(config: &mut Value, default_start: Option<Timestamp>) {
    let Some((start, fields)) = default_start.zip(config.as_object_mut()) else { return };
    if fields.get(OFFSET_START).is_none_or(Value::is_null) {
        fields.insert(OFFSET_START.to_owned(), Value::from(start.to_string()));
    }
}

/// The config as it is hashed: complete, tables by their uids, `offset_start` in one form.
fn hashed_config(
    schema: &Value,
    mut config: Value,
    default_start: Option<Timestamp>,
    table_uid: impl Fn(&str) -> Option<String>,
) -> Result<Value, NodeError> {
    // Before, so that null is none and a default takes its place; after, for a default that has another form.
    canonical_offset_start(&mut config)?;
    complete(schema, &mut config, &table_uid);
    fill_offset_start(&mut config, default_start);
    canonical_offset_start(&mut config)?;
    Ok(config)
}

/// UTC with six digits of a second; null is none.
fn canonical_offset_start(config: &mut Value) -> Result<(), NodeError> {
    let Some(fields) = config.as_object_mut() else { return Ok(()) };
    match fields.remove(OFFSET_START) {
        None | Some(Value::Null) => Ok(()),
        Some(given) => {
            let text = given.as_str().map_or_else(|| given.to_string(), ToOwned::to_owned);
            let start = text.parse::<Timestamp>()?.datetime().ok_or_else(|| {
                NodeError::new("time.parse", format!("`{text}` is beyond the years of a calendar"))
            })?;
            let canonical = start.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            fields.insert(OFFSET_START.to_owned(), Value::from(canonical));
            Ok(())
        }
    }
}

/// The exact text that is hashed.
fn canonical(component: &str, config: &Value, hash_namespace: &str) -> Result<String, NodeError> {
    let mut document = json!({ "component": component, "config": config });
    if !hash_namespace.is_empty() {
        document["hash_namespace"] = Value::from(hash_namespace);
    }
    Ok(serde_json_canonicalizer::to_string(&document)?)
}

fn update_hash(canonical: &str, component: &str) -> String {
    let digest = Sha256::digest(canonical.as_bytes());
    let first = digest.iter().take(DIGEST_BYTES).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    // Component names are ASCII, so characters are bytes.
    format!("{}_{first:032x}", component.get(..NAME_CHARS).unwrap_or(component))
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
