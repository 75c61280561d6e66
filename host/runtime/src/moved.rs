//! Identifiers that have moved to another table since a node was created.

use std::collections::HashMap;
use std::fmt;

use datanode_core::binding::{Binding, bindings};
use datanode_store::{Node, Table};
use serde::{Deserialize, Serialize};

use crate::{Host, RuntimeError};

/// An identifier in a node's config that does not name the node's table any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedIdentifier {
    /// As the config has it.
    pub identifier: String,
    /// Uid of the table that the node stays with.
    pub bound_uid: String,
    /// What that table is called now.
    pub bound_table: Option<String>,
    /// Uid of the table that holds the identifier now; None when none does.
    pub names_uid: Option<String>,
}

impl fmt::Display for MovedIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identifier, bound_uid, bound_table, names_uid } = self;
        match names_uid {
            Some(uid) => {
                write!(f, "the identifier `{identifier}` in this node's config has moved to table {uid}")?;
            }
            None => write!(f, "the identifier `{identifier}` in this node's config names no table any more")?,
        }
        write!(f, "; the node stays with table {bound_uid}")?;
        match bound_table {
            Some(table) => write!(f, ", which is called `{table}` now"),
            None => Ok(()),
        }
    }
}

/// Identifier → uid, of all references in a node's config.
pub(crate) fn bound(node: &Node) -> HashMap<String, String> {
    let bindings = bindings(&node.config, &node.hashed_document);
    bindings.into_iter().map(|Binding { identifier, uid }| (identifier, uid)).collect()
}

/// A node's config with each table named by uid, as it is hashed: identifiers may have moved since it was created.
pub(crate) fn bound_config(node: &Node) -> String {
    let document: serde_json::Value = serde_json::from_str(&node.hashed_document).unwrap_or_default();
    document.get("config").unwrap_or(&node.config).to_string()
}

/// A node's config that means the same today: with the identifiers of its tables, unless one of these has moved.
pub(crate) fn config_today(node: &Node, tables: &[Table]) -> String {
    let stays = |binding: &Binding| {
        tables.iter().any(|table| table.uid == binding.uid && table.contract.identifier == binding.identifier)
    };
    if bindings(&node.config, &node.hashed_document).iter().all(stays) {
        node.config.to_string()
    } else {
        bound_config(node)
    }
}

impl Host {
    /// The identifiers in a node's config that name another table now, or none. The node stays with its tables.
    pub async fn moved_identifiers(&self, node: &Node) -> Result<Vec<MovedIdentifier>, RuntimeError> {
        let bindings = bindings(&node.config, &node.hashed_document);
        let named: Vec<String> =
            bindings.iter().flat_map(|binding| [binding.identifier.clone(), binding.uid.clone()]).collect();
        let tables = self.store.tables_called(&named).await?;
        let moved = |Binding { identifier, uid }| {
            let names = tables.iter().find(|table: &&Table| table.contract.identifier == identifier);
            let held = tables.iter().find(|table| table.uid == uid);
            names.is_none_or(|table| table.uid != uid).then(|| MovedIdentifier {
                names_uid: names.map(|table| table.uid.clone()),
                bound_table: held.map(|table| table.contract.identifier.clone()),
                identifier,
                bound_uid: uid,
            })
        };
        Ok(bindings.into_iter().filter_map(moved).collect())
    }
}
