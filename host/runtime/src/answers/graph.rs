//! What reads what, and how it stands.

use std::collections::{BTreeSet, HashMap, HashSet};

use datanode_core::Timestamp;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_store::Node;
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
        let by_uid: HashMap<&str, &Node> = all.iter().map(|node| (node.uid.as_str(), node)).collect();
        let mut open: Vec<String> = match reference {
            Some(reference) => vec![self.store.node(reference).await?.uid],
            None => all.iter().map(|node| node.uid.clone()).collect(),
        };
        // Everything that these depend on.
        let mut wanted: HashSet<String> = HashSet::new();
        while let Some(uid) = open.pop() {
            let node = by_uid.get(uid.as_str());
            if wanted.insert(uid) {
                open.extend(node.into_iter().flat_map(|node| writers(node)));
            }
        }
        let nodes: Vec<&Node> = all.iter().filter(|node| wanted.contains(&node.uid)).collect();
        let tables = self.store.tables_called(&tables_of(&nodes)).await?;
        let extents = self.store.snapshot().await?.extents(&tables).await?;
        let rows: HashMap<&str, (&str, u64)> = tables
            .iter()
            .zip(extents)
            .map(|(table, held)| (table.uid.as_str(), (table.contract.identifier.as_str(), held.rows)))
            .collect();
        let uids: Vec<String> = nodes.iter().map(|node| node.uid.clone()).collect();
        let last_runs = self.store.last_runs(&uids).await?;
        let mut last_runs: HashMap<String, RunRecord> =
            last_runs.into_iter().map(|run| (run.node_uid.clone(), run)).collect();
        let mut graph = NodeGraph { nodes: Vec::new(), published: Vec::new(), edges: Vec::new() };
        let mut published: HashSet<&str> = HashSet::new();
        for node in nodes {
            for edge in &node.dependencies {
                graph.edges.push(GraphEdge {
                    reader: node.uid.clone(),
                    key: edge.key.clone(),
                    table_uid: edge.table_uid.clone(),
                    writer: edge.node_uid.clone(),
                });
                if let (None, Some((table, rows))) = (&edge.node_uid, rows.get(edge.table_uid.as_str()))
                    && published.insert(&edge.table_uid)
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
                last_run: last_runs.remove(&node.uid).map(|run| LastRun {
                    run_id: run.run_id,
                    status: run.status,
                    started_at: run.started_at,
                }),
            });
        }
        Ok(graph)
    }
}

/// Uids of the tables that nodes write and read, each once.
fn tables_of(nodes: &[&Node]) -> Vec<String> {
    let read = |node: &&Node| node.dependencies.iter().map(|edge| edge.table_uid.clone()).collect::<Vec<_>>();
    let written = nodes.iter().map(|node| node.table_uid.clone());
    let all: BTreeSet<String> = written.chain(nodes.iter().flat_map(read)).collect();
    all.into_iter().collect()
}

/// Uids of the nodes that write what a node reads.
fn writers(node: &Node) -> impl Iterator<Item = String> {
    node.dependencies.iter().filter_map(|edge| edge.node_uid.clone())
}
