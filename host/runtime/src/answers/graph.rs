//! What reads what, and how it stands.

use std::collections::{BTreeMap, HashSet};

use datanode_core::Timestamp;
use datanode_core::run::RunStatus;
use datanode_store::{Node, RunFilter};
use serde::{Deserialize, Serialize};

use crate::{Host, RuntimeError};

/// The graph: nodes and published tables, and the edges along which data flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeGraph {
    /// In the order of the catalogue.
    pub nodes: Vec<GraphNode>,
    /// Tables that are read and that no node of the graph writes for its reader.
    pub published: Vec<PublishedTable>,
    /// Who reads what.
    pub edges: Vec<GraphEdge>,
}

/// A node of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Uid.
    pub uid: String,
    /// Identity.
    pub update_hash: String,
    /// Component name.
    pub component: String,
    /// Identifier of the output table.
    pub table: String,
    /// Rows of the table.
    pub rows: u64,
    /// Its last run.
    pub last_run: Option<LastRun>,
}

/// How a node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Timestamp,
}

/// A table that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTable {
    /// Uid.
    pub uid: String,
    /// Identifier.
    pub table: String,
    /// Rows.
    pub rows: u64,
}

/// What a node reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// Uid of the node that reads.
    pub reader: String,
    /// Key under which it reads.
    pub key: String,
    /// Uid of the table.
    pub table_uid: String,
    /// Uid of the node that writes the table; none for a published table.
    pub writer: Option<String>,
}

impl NodeGraph {
    /// Uids of the nodes that no other node of the graph reads, in the order of the graph.
    pub fn roots(&self) -> Vec<String> {
        let read: HashSet<&str> = self.edges.iter().filter_map(|edge| edge.writer.as_deref()).collect();
        self.nodes.iter().map(|node| node.uid.clone()).filter(|uid| !read.contains(uid.as_str())).collect()
    }
}

impl Host {
    /// The graph of all nodes, or of one with everything that it depends on.
    pub async fn node_graph(&self, reference: Option<&str>) -> Result<NodeGraph, RuntimeError> {
        let all = self.store.nodes().await?;
        let mut open: Vec<String> = match reference {
            Some(reference) => vec![self.store.node(reference).await?.uid],
            None => all.iter().map(|node| node.uid.clone()).collect(),
        };
        // Everything that these depend on.
        let mut wanted: HashSet<String> = HashSet::new();
        while let Some(uid) = open.pop() {
            let node = all.iter().find(|node| node.uid == uid);
            if wanted.insert(uid) {
                open.extend(node.into_iter().flat_map(writers));
            }
        }
        let tables = self.store.tables().await?;
        let mut snapshot = self.store.snapshot().await?;
        let mut rows: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
        for table in &tables {
            let held = snapshot.row_count(table).await?;
            rows.insert(&table.uid, (&table.contract.identifier, held));
        }
        drop(snapshot);
        let mut graph = NodeGraph { nodes: Vec::new(), published: Vec::new(), edges: Vec::new() };
        for node in all.iter().filter(|node| wanted.contains(&node.uid)) {
            let filter =
                RunFilter { node_uid: Some(node.uid.clone()), limit: Some(1), ..RunFilter::default() };
            let last = self.store.runs(&filter).await?.pop();
            for edge in &node.dependencies {
                graph.edges.push(GraphEdge {
                    reader: node.uid.clone(),
                    key: edge.key.clone(),
                    table_uid: edge.table_uid.clone(),
                    writer: edge.node_uid.clone(),
                });
                let known = graph.published.iter().any(|table| table.uid == edge.table_uid);
                if let (None, false, Some((table, rows))) =
                    (&edge.node_uid, known, rows.get(edge.table_uid.as_str()))
                {
                    let table = (*table).to_owned();
                    graph.published.push(PublishedTable { uid: edge.table_uid.clone(), table, rows: *rows });
                }
            }
            graph.nodes.push(GraphNode {
                uid: node.uid.clone(),
                update_hash: node.update_hash.clone(),
                component: node.component.clone(),
                table: node.table.clone(),
                rows: rows.get(node.table_uid.as_str()).map_or(0, |(_, rows)| *rows),
                last_run: last.map(|run| LastRun {
                    run_id: run.run_id,
                    status: run.status,
                    started_at: run.started_at,
                }),
            });
        }
        Ok(graph)
    }
}

/// Uids of the nodes that write what a node reads.
fn writers(node: &Node) -> impl Iterator<Item = String> {
    node.dependencies.iter().filter_map(|edge| edge.node_uid.clone())
}
