//! What a new release does to the identity of the nodes that would run it.
//!
//! A config field with a default that a release adds enters the hashed document of every node of the component: each
//! then is another update process. That is sometimes meant and never noticed in time, so it is asked for at upload.
//! It is asked once: a node that the release before has given another identity already is not asked about again.

use datanode_core::component::Manifest;
use datanode_core::config::ConfigSchema;
use datanode_core::hash;
use datanode_store::{Node, StoredComponent, Table};

use crate::{Host, RuntimeError, moved};

impl Host {
    /// Refuse a release that would run in place of another and gives one of its nodes another `update_hash`, or a
    /// config that it does not take any more.
    pub(crate) async fn refuse_new_identity(&self, manifest: &Manifest) -> Result<(), RuntimeError> {
        let mut releases = self.store.components().await?;
        releases.retain(|release| release.manifest.name == manifest.name);
        let Some(before) = replaced(&releases, manifest) else { return Ok(()) };
        let schema = manifest
            .schema_of_configs()
            .map_err(|source| RuntimeError::Config { component: manifest.name.clone(), source })?;
        // One that an older host took and this one does not read gave every node the identity that it has.
        let schema_before = before.manifest.schema_of_configs().ok();
        let tables = self.store.tables().await?;
        let mut concerned = Vec::new();
        for node in self.store.nodes().await? {
            if node.component != manifest.name || node.pinned_digest.is_some() {
                continue;
            }
            let becomes = self.identity_under(&schema, &node, &tables);
            let changed_before =
                || schema_before.as_ref().is_some_and(|schema| !self.keeps(schema, &node, &tables));
            if becomes.as_ref() != Ok(&node.update_hash) && !changed_before() {
                let becomes = becomes.unwrap_or_else(|refused| refused);
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

    /// The `update_hash` of a node's config under a schema, or why the schema refuses it.
    fn identity_under(&self, schema: &ConfigSchema, node: &Node, tables: &[Table]) -> Result<String, String> {
        // A node stays with the tables that its references meant when it was created.
        let bound = moved::bound(node);
        let uid = |reference: &str| {
            let same = |table: &&Table| table.uid == reference || table.contract.identifier == reference;
            let named = || tables.iter().find(same).map(|table| table.uid.clone());
            bound.get(reference).cloned().or_else(named)
        };
        match schema.resolve(&node.config.to_string(), self.bounds().config_bytes, uid) {
            Ok(config) => Ok(hash::update_hash(&node.component, &config, &node.hash_namespace)),
            Err(error) => Err(format!("refused: {}", error.to_string().replace('\n', " "))),
        }
    }

    fn keeps(&self, schema: &ConfigSchema, node: &Node, tables: &[Table]) -> bool {
        self.identity_under(schema, node, tables).as_ref() == Ok(&node.update_hash)
    }
}

/// The release in whose place a new one would run: the highest that is enabled; where none is, the highest of all, for
/// its nodes will run the new one too. None when the new one would not run, or is there already.
fn replaced<'r>(releases: &'r [StoredComponent], new: &Manifest) -> Option<&'r StoredComponent> {
    let version = |release: &StoredComponent| release.manifest.version.clone();
    let would_not_run = |release: &StoredComponent| {
        version(release) == new.version || (release.enabled && version(release) > new.version)
    };
    if releases.iter().any(would_not_run) {
        return None;
    }
    releases.iter().max_by_key(|release| (release.enabled, version(release)))
}
