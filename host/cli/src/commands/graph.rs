//! `datanode node graph`: what reads what, and how it stands.

use std::collections::{BTreeMap, HashSet};

use datanode_core::Timestamp;
use datanode_core::run::RunStatus;
use datanode_runtime::Host;
use datanode_store::{Node, RunFilter};
use serde::Serialize;

use crate::args::GraphFormat;
use crate::failure::OrFail;
use crate::print::{Printer, count, visible};
use crate::say;

/// The graph: nodes and published tables, and the edges along which data flow.
#[derive(Debug, Serialize)]
struct Graph {
    /// In the order of `node list`.
    nodes: Vec<GraphNode>,
    /// Tables that are read and that no node of the graph writes for its reader.
    published: Vec<PublishedTable>,
    edges: Vec<Edge>,
    /// Uids of the nodes that the graph was asked for.
    #[serde(skip)]
    roots: Vec<String>,
}

#[derive(Debug, Serialize)]
struct GraphNode {
    uid: String,
    update_hash: String,
    component: String,
    table: String,
    /// Rows of the table.
    rows: u64,
    last_run: Option<LastRun>,
}

#[derive(Debug, Serialize)]
struct LastRun {
    run_id: String,
    status: RunStatus,
    started_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct PublishedTable {
    uid: String,
    table: String,
    rows: u64,
}

#[derive(Debug, Serialize)]
struct Edge {
    /// Uid of the node that reads.
    reader: String,
    /// Key under which it reads.
    key: String,
    table_uid: String,
    /// Uid of the node that writes the table; null for a published table.
    writer: Option<String>,
}

pub(crate) async fn show(
    reference: Option<&str>,
    format: GraphFormat,
    host: &Host,
    printer: Printer,
) -> anyhow::Result<()> {
    let graph = collect(reference, host).await?;
    match format {
        GraphFormat::Json => say!("{}", serde_json::to_string_pretty(&graph)?),
        _ if printer.json => say!("{}", serde_json::to_string_pretty(&graph)?),
        GraphFormat::Dot => say!("{}", dot(&graph)),
        GraphFormat::Mermaid => say!("{}", mermaid(&graph)),
        GraphFormat::Text if graph.nodes.is_empty() => {
            say!("no nodes yet; add one: datanode node create COMPONENT --table TABLE");
        }
        GraphFormat::Text => say!("{}", text(&graph)),
    }
    Ok(())
}

async fn collect(reference: Option<&str>, host: &Host) -> anyhow::Result<Graph> {
    let all = host.store().nodes().await.or_fail()?;
    let roots: Vec<String> = if let Some(reference) = reference {
        vec![host.store().node(reference).await.or_fail()?.uid]
    } else {
        let read: HashSet<&str> = all.iter().flat_map(edges).filter_map(|(_, writer)| writer).collect();
        all.iter().map(|node| node.uid.clone()).filter(|uid| !read.contains(uid.as_str())).collect()
    };
    // Everything that the roots depend on.
    let mut wanted: HashSet<&str> = HashSet::new();
    let mut open: Vec<&str> = roots.iter().map(String::as_str).collect();
    while let Some(uid) = open.pop() {
        if wanted.insert(uid) {
            let node = all.iter().find(|node| node.uid == uid);
            open.extend(node.into_iter().flat_map(edges).filter_map(|(_, writer)| writer));
        }
    }
    let tables = host.store().tables().await.or_fail()?;
    let mut snapshot = host.store().snapshot().await.or_fail()?;
    let mut rows: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    for table in &tables {
        let held = snapshot.row_count(table).await.or_fail()?;
        rows.insert(&table.uid, (&table.contract.identifier, held));
    }
    drop(snapshot);
    let mut graph =
        Graph { nodes: Vec::new(), published: Vec::new(), edges: Vec::new(), roots: roots.clone() };
    for node in all.iter().filter(|node| wanted.contains(node.uid.as_str())) {
        let filter = RunFilter { node_uid: Some(node.uid.clone()), limit: Some(1), ..RunFilter::default() };
        let last = host.store().runs(&filter).await.or_fail()?.pop();
        for edge in &node.dependencies {
            graph.edges.push(Edge {
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

/// Keys of what a node reads, each with the uid of the node that writes it.
fn edges(node: &Node) -> impl Iterator<Item = (&str, Option<&str>)> {
    node.dependencies.iter().map(|edge| (edge.key.as_str(), edge.node_uid.as_deref()))
}

impl GraphNode {
    fn standing(&self) -> String {
        match &self.last_run {
            None => "never run".to_owned(),
            Some(run) => format!("{} {}", run.status, &run.started_at.to_string()[..16]),
        }
    }
}

/// A tree per root; what was shown before is only named again.
fn text(graph: &Graph) -> String {
    let mut lines = Vec::new();
    let mut shown = HashSet::new();
    for root in &graph.roots {
        branch(graph, root, "", ("", ""), &mut shown, &mut lines);
    }
    lines.join("\n")
}

fn branch<'g>(
    graph: &'g Graph,
    uid: &'g str,
    key: &str,
    (first, rest): (&str, &str),
    shown: &mut HashSet<&'g str>,
    lines: &mut Vec<String>,
) {
    let Some(node) = graph.nodes.iter().find(|node| node.uid == uid) else { return };
    let name = if key.is_empty() { node.table.clone() } else { format!("{key}: {}", node.table) };
    let again = !shown.insert(uid);
    let standing = if again {
        "(see above)".to_owned()
    } else {
        format!("{} rows, {}, {}", count(node.rows), node.standing(), node.update_hash)
    };
    lines.push(visible(&format!("{first}{name}  {standing}")));
    if again {
        return;
    }
    let edges: Vec<&Edge> = graph.edges.iter().filter(|edge| edge.reader == uid).collect();
    for (place, edge) in edges.iter().enumerate() {
        let is_last = place + 1 == edges.len();
        let first = format!("{rest}{}", if is_last { "└─ " } else { "├─ " });
        let deeper = format!("{rest}{}", if is_last { "   " } else { "│  " });
        if let Some(writer) = &edge.writer {
            branch(graph, writer, &edge.key, (&first, &deeper), shown, lines);
        } else if let Some(table) = graph.published.iter().find(|table| table.uid == edge.table_uid) {
            let rows = count(table.rows);
            lines.push(visible(&format!(
                "{first}{}: {}  {rows} rows, published table",
                edge.key, table.table
            )));
        }
    }
}

/// Graphviz. Data flow from left to right.
fn dot(graph: &Graph) -> String {
    let mut lines = vec!["digraph datanode {".to_owned(), "  rankdir=LR;".to_owned()];
    for node in &graph.nodes {
        let (table, rows, standing) = (&node.table, count(node.rows), node.standing());
        lines.push(format!("  \"{}\" [shape=box, label=\"{table}\\n{rows} rows\\n{standing}\"];", node.uid));
    }
    for table in &graph.published {
        let rows = count(table.rows);
        lines.push(format!("  \"{}\" [shape=cylinder, label=\"{}\\n{rows} rows\"];", table.uid, table.table));
    }
    for edge in &graph.edges {
        let from = edge.writer.as_ref().unwrap_or(&edge.table_uid);
        lines.push(format!("  \"{from}\" -> \"{}\" [label=\"{}\"];", edge.reader, edge.key));
    }
    lines.push("}".to_owned());
    lines.iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n")
}

/// Mermaid, as Markdown pages show it.
fn mermaid(graph: &Graph) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    // Its ids may not hold everything that a uid does.
    let id = |uid: &str| {
        let node = graph.nodes.iter().position(|node| node.uid == uid).map(|at| format!("n{at}"));
        let table = || graph.published.iter().position(|table| table.uid == uid).map(|at| format!("t{at}"));
        node.or_else(table).unwrap_or_default()
    };
    for node in &graph.nodes {
        let (table, rows, standing) = (&node.table, count(node.rows), node.standing());
        lines.push(format!("  {}[\"{table}<br>{rows} rows<br>{standing}\"]", id(&node.uid)));
    }
    for table in &graph.published {
        lines.push(format!("  {}[(\"{}<br>{} rows\")]", id(&table.uid), table.table, count(table.rows)));
    }
    for edge in &graph.edges {
        let from = edge.writer.as_ref().unwrap_or(&edge.table_uid);
        lines.push(format!("  {} -->|{}| {}", id(from), edge.key, id(&edge.reader)));
    }
    lines.iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n")
}
