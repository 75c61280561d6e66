//! What a new release does to the identity of the nodes that would run it.
//!
//! A config field with a default that a release adds enters the hashed document of every node of the component: each
//! then is another update process. That is sometimes meant and never noticed in time, so it is asked for at upload.

use datanode_core::component::Manifest;
use datanode_core::config::ConfigSchema;
use datanode_core::hash;
use datanode_store::StoreError;

use crate::{Host, RuntimeError};

impl Host {
    /// Refuse a release that would run in place of another and gives one of its nodes another `update_hash`, or a
    /// config that it does not take any more.
    pub(crate) async fn refuse_new_identity(&self, manifest: &Manifest) -> Result<(), RuntimeError> {
        match self.store.component(&manifest.name, None).await {
            // Not the one that would run.
            Ok(running) if running.manifest.version >= manifest.version => return Ok(()),
            Err(StoreError::NotFound { .. }) => return Ok(()),
            other => other?,
        };
        let schema = ConfigSchema::parse(&manifest.config_schema)
            .map_err(|source| RuntimeError::Config { component: manifest.name.clone(), source })?;
        let tables = self.store.tables().await?;
        let uid = |reference: &str| {
            let same = |table: &&datanode_store::Table| {
                table.uid == reference || table.contract.identifier == reference
            };
            tables.iter().find(same).map(|table| table.uid.clone())
        };
        let mut concerned = Vec::new();
        for node in self.store.nodes().await? {
            if node.component != manifest.name || node.pinned_digest.is_some() {
                continue;
            }
            let becomes = match schema.resolve(&node.config.to_string(), self.bounds().config_bytes, uid) {
                Ok(config) => hash::update_hash(&manifest.name, &config, &node.hash_namespace),
                Err(error) => format!("refused: {}", error.to_string().replace('\n', " ")),
            };
            if becomes != node.update_hash {
                concerned.push(format!("{} (writes {}) → {becomes}", node.update_hash, node.table));
            }
        }
        if concerned.is_empty() {
            return Ok(());
        }
        Err(RuntimeError::NewIdentity {
            component: manifest.name.clone(),
            version: manifest.version.to_string(),
            nodes: concerned,
        })
    }
}
