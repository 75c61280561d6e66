//! Which node is meant.

use datanode_core::node_settings::NodeSettings;
use uuid::Uuid;

use super::reference::{MAX_CANDIDATES, ambiguous};
use crate::{NewNode, Node, StoreError};

pub(crate) fn not_found(reference: &str) -> StoreError {
    StoreError::NotFound { kind: "node", reference: reference.to_owned() }
}

/// Of nodes that a reference finds, those without a hash namespace, if there are any. A hash namespace isolates: a run
/// under one must not make what others call a node ambiguous.
pub(crate) fn plain_first(mut found: Vec<Node>) -> Vec<Node> {
    let is_plain = |node: &Node| node.hash_namespace.is_empty();
    if found.iter().any(is_plain) {
        found.retain(is_plain);
    }
    found
}

/// The one node that a reference finds. `sharing` are all nodes that have the `update_hash` of one of those found: people
/// know the hash, unless nodes of several tables share it.
pub(crate) fn only(reference: &str, mut found: Vec<Node>, sharing: &[Node]) -> Result<Node, StoreError> {
    if found.len() > 1 {
        let unambiguous = |node: &Node| {
            let same = sharing.iter().filter(|other| other.update_hash == node.update_hash).count();
            if same == 1 { node.update_hash.clone() } else { node.uid.clone() }
        };
        let candidates = found.iter().take(MAX_CANDIDATES + 1).map(unambiguous).collect();
        return Err(ambiguous("node", reference, candidates));
    }
    found.pop().ok_or_else(|| not_found(reference))
}

/// A node as it is created, in a table that is called `table`.
pub(crate) fn created(node: NewNode, table: String) -> Node {
    Node {
        uid: Uuid::new_v4().to_string(),
        update_hash: node.update_hash,
        component: node.component,
        pinned_digest: node.pinned_digest,
        config: node.config,
        hashed_document: node.hashed_document,
        hash_namespace: node.hash_namespace,
        table_uid: node.table_uid,
        table,
        dependencies: node.dependencies,
        settings: NodeSettings::default(),
        created_at: node.created_at,
    }
}
