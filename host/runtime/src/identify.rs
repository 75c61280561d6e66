//! Which identity a config has, without a node that has it.

use std::cell::RefCell;
use std::collections::HashSet;

use datanode_core::config::ConfigSchema;
use datanode_core::digest::Digest;
use datanode_core::producer::PRODUCER;
use datanode_core::{hash, metadata_digest};
use datanode_store::{Node, StoreError, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Host, RuntimeError};

/// A config whose identity is asked for.
#[derive(Debug, Clone)]
pub struct IdentityRequest {
    /// Component name; its highest enabled release says what the config means.
    pub component: String,
    /// Config as JSON text.
    pub config: String,
    /// Hash namespace, empty for none.
    pub hash_namespace: String,
    /// Identifier or uid of the output table: only the metadata digest needs it.
    pub table: Option<String>,
}

/// An identity with everything that it is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// Identity of the update process.
    pub update_hash: String,
    /// SHA-256 of the document, whole.
    pub sha256: Digest,
    /// The exact document that is hashed: canonical JSON.
    pub hashed_document: String,
    /// Component name.
    pub component: String,
    /// Release that says what the config means; none when none is enabled.
    pub version: Option<String>,
    /// Config with defaults filled in.
    pub config: Value,
    /// Hash namespace, empty for none.
    pub hash_namespace: String,
    /// Digest of descriptions, examples and labels; none without an output table or an enabled release.
    pub metadata_digest: Option<Digest>,
}

impl Host {
    /// The identity that a node of this component and config has or would have. Nothing is created.
    pub async fn identify(&self, request: IdentityRequest) -> Result<Identity, RuntimeError> {
        let release = self.release(&request.component, None).await?;
        let component = release.manifest.name.clone();
        let in_config = |source| RuntimeError::Config { component: component.clone(), source };
        let schema = release.manifest.schema_of_configs().map_err(in_config)?;
        let (text, max_bytes) = (&request.config, self.bounds().config_bytes);
        let (mut tables, mut asked) = (Vec::<Table>::new(), HashSet::<String>::new());
        let config = loop {
            let uid = |reference: &str| {
                let known = |table: &&Table| table.uid == reference || table.contract.identifier == reference;
                tables.iter().find(known).map(|table| table.uid.clone())
            };
            let unknown = unknown_tables(&schema, text, max_bytes, |table| asked.contains(table), uid);
            if unknown.is_empty() {
                break schema.resolve(text, max_bytes, uid).map_err(in_config)?;
            }
            tables.extend(self.seen_tables_called(&unknown).await?);
            asked.extend(unknown);
        };
        let document = hash::canonical_document(&component, &config, &request.hash_namespace);
        let metadata_digest = match &request.table {
            None => None,
            Some(table) => {
                let contract = self.seen_table(table).await?.contract;
                Some(metadata_digest::metadata_digest(&release.manifest, &contract))
            }
        };
        Ok(Identity {
            update_hash: hash::update_hash(&component, &config, &request.hash_namespace),
            sha256: Digest::of(document.as_bytes()),
            hashed_document: document,
            component,
            version: Some(release.manifest.version.to_string()),
            config: config.value,
            hash_namespace: request.hash_namespace,
            metadata_digest,
        })
    }

    /// The identity of a node as it was created, with what its words are now.
    pub async fn identity_of(&self, node: &Node) -> Result<Identity, RuntimeError> {
        let contract = self.store.table(&node.table_uid).await?.contract;
        let release = match self.release(&node.component, node.pinned_digest.as_ref()).await {
            Ok(release) => Some(release),
            // The node is what it is, whether it can run or not.
            Err(RuntimeError::Store(StoreError::ComponentDisabled { .. })) => None,
            Err(RuntimeError::Store(StoreError::NotFound { .. })) if node.component == PRODUCER => None,
            Err(error) => return Err(error),
        };
        Ok(Identity {
            update_hash: node.update_hash.clone(),
            sha256: Digest::of(node.hashed_document.as_bytes()),
            hashed_document: node.hashed_document.clone(),
            component: node.component.clone(),
            version: release.as_ref().map(|release| release.manifest.version.to_string()),
            config: node.config.clone(),
            hash_namespace: node.hash_namespace.clone(),
            metadata_digest: release
                .map(|release| metadata_digest::metadata_digest(&release.manifest, &contract)),
        })
    }
}

/// References to tables in a config that are to be asked for before it can be resolved: those that are not known, whether there
/// is such a table or not. Again, until there are none: what a reference stands for may decide what else is looked at.
pub(crate) fn unknown_tables(
    schema: &ConfigSchema,
    config: &str,
    max_bytes: usize,
    is_known: impl Fn(&str) -> bool,
    uid: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let unknown = RefCell::new(Vec::new());
    let resolved = schema.resolve(config, max_bytes, |table| {
        if !is_known(table) {
            unknown.borrow_mut().push(table.to_owned());
        }
        uid(table)
    });
    // What is wrong with it is told when it is resolved in earnest.
    drop(resolved);
    unknown.into_inner()
}
