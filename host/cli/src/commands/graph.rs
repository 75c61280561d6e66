//! `datanode node graph`: what reads what, and how it stands.

use std::collections::HashSet;

use datanode_runtime::answers::{GraphEdge, GraphNode, NodeGraph};

use crate::args::GraphFormat;
use crate::place::Place;
use crate::print::{Printer, count, visible};
use crate::say;

pub(crate) async fn show(
    reference: Option<&str>,
    format: GraphFormat,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<()> {
    let graph = place.graph(reference).await?;
    match format {
        GraphFormat::Json => say!("{}", serde_json::to_string_pretty(&graph)?),
        _ if printer.json => say!("{}", serde_json::to_string_pretty(&graph)?),
        GraphFormat::Dot => say!("{}", dot(&graph)),
        GraphFormat::Mermaid => say!("{}", mermaid(&graph)),
        GraphFormat::Text if graph.nodes.is_empty() => {
            say!("no nodes yet; add one: datanode node create COMPONENT --table TABLE");
        }
        GraphFormat::Text => {
            let roots = match reference {
                Some(reference) => vec![place.node(reference).await?.uid],
                None => graph.roots(),
            };
            say!("{}", text(&graph, &roots));
        }
    }
    Ok(())
}

/// What became of a node last.
fn standing(node: &GraphNode) -> String {
    match &node.last_run {
        None => "never run".to_owned(),
        Some(run) => format!("{} {}", run.status, &run.started_at.to_string()[..16]),
    }
}

/// A tree per root; what was shown before is only named again.
fn text(graph: &NodeGraph, roots: &[String]) -> String {
    let mut lines = Vec::new();
    let mut shown = HashSet::new();
    for root in roots {
        branch(graph, root, "", ("", ""), &mut shown, &mut lines);
    }
    lines.join("\n")
}

fn branch<'g>(
    graph: &'g NodeGraph,
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
        format!("{} rows, {}, {}", count(node.rows), standing(node), node.update_hash)
    };
    lines.push(visible(&format!("{first}{name}  {standing}")));
    if again {
        return;
    }
    let edges: Vec<&GraphEdge> = graph.edges.iter().filter(|edge| edge.reader == uid).collect();
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
fn dot(graph: &NodeGraph) -> String {
    let mut lines = vec!["digraph datanode {".to_owned(), "  rankdir=LR;".to_owned()];
    for node in &graph.nodes {
        let (table, rows, standing) = (&node.table, count(node.rows), standing(node));
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
fn mermaid(graph: &NodeGraph) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    // Its ids may not hold everything that a uid does.
    let id = |uid: &str| {
        let node = graph.nodes.iter().position(|node| node.uid == uid).map(|at| format!("n{at}"));
        let table = || graph.published.iter().position(|table| table.uid == uid).map(|at| format!("t{at}"));
        node.or_else(table).unwrap_or_default()
    };
    for node in &graph.nodes {
        let (table, rows, standing) = (&node.table, count(node.rows), standing(node));
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
