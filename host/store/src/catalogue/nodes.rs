//! Which node is meant.

use datanode_core::node_settings::NodeSettings;
use uuid::Uuid;

use super::reference::{MAX_CANDIDATES, ambiguous, range};
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

/// The node that a reference means among some, by the rules of [`Store::node`](crate::Store::node): for one who may not see
/// all of them, and to whom the others are not there.
///
/// # Errors
///
/// [`StoreError::NotFound`] and [`StoreError::Ambiguous`].
pub fn node_among(reference: &str, nodes: &[Node]) -> Result<Node, StoreError> {
    let whole: [fn(&Node) -> &str; 3] =
        [|node| node.uid.as_str(), |node| node.update_hash.as_str(), |node| node.table.as_str()];
    for name in whole {
        let found = plain_first(nodes.iter().filter(|node| name(node) == reference).cloned().collect());
        if !found.is_empty() {
            return only(reference, found, nodes);
        }
    }
    let begins = |node: &&Node| range(reference).is_some() && node.update_hash.starts_with(reference);
    let mut found: Vec<Node> = nodes.iter().filter(begins).cloned().collect();
    found.sort_by(|one, other| one.update_hash.cmp(&other.update_hash));
    only(reference, found, nodes)
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
