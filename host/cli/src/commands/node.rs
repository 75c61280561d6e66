//! `datanode node`

use std::process::ExitCode;

use datanode_runtime::NodeRequest;
use datanode_runtime::answers::{CreatedNode, NodeDetail};

use crate::args::NodeCommand;
use crate::place::Place;
use crate::print::{self, Heading, Printer};
use crate::{say, usage};

pub(crate) async fn run(command: NodeCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        NodeCommand::Create { component, table, config, hash_namespace, pin } => {
            let config = self::config(&config)?;
            let hash_namespace = hash_namespace.resolve()?;
            let request = NodeRequest { component, pinned_digest: pin, config, table, hash_namespace };
            let planned = place.create_node(request).await?;
            // The shortest reference that means this node alone.
            let reference = match planned.last() {
                Some(CreatedNode { node, .. }) => match place.node(&node.table).await {
                    Ok(found) if found.uid == node.uid => node.table.clone(),
                    _ => node.uid.clone(),
                },
                None => String::new(),
            };
            printer.show(&planned, || {
                for node in &planned {
                    let verb = if node.created { "created" } else { "already there:" };
                    print::done(&format!("{verb} {} → {}", node.node.update_hash, node.node.table));
                }
                say!("next: datanode node run {reference}");
            })?;
        }
        NodeCommand::Hash(arguments) => super::hash::show(arguments, place, printer).await?,
        NodeCommand::List => {
            let nodes = place.nodes().await?;
            printer.show(&nodes, || {
                let rows = nodes.iter().map(|node| {
                    let reads: Vec<&str> = node.dependencies.iter().map(|edge| edge.key.as_str()).collect();
                    vec![
                        node.table.clone(),
                        node.component.clone(),
                        node.update_hash.clone(),
                        if reads.is_empty() { "-".to_owned() } else { reads.join(", ") },
                        node.created_at.short(),
                    ]
                });
                let headings = [
                    Heading::Text("table"),
                    Heading::Text("component"),
                    Heading::Text("update hash"),
                    Heading::Text("reads"),
                    Heading::Text("created"),
                ];
                let empty = "no nodes yet; add one: datanode node create COMPONENT --table TABLE";
                print::table(&headings, rows.collect(), empty);
            })?;
        }
        NodeCommand::Show { node } => {
            let detail = place.node_detail(&node).await?;
            printer.show(&detail, || show(&detail))?;
            for moved in &detail.moved {
                print::warning(&moved.to_string());
            }
        }
        NodeCommand::Graph { node, format } => {
            super::graph::show(node.as_deref(), format, place, printer).await?;
        }
        NodeCommand::Run(arguments) => return super::node_run::run(arguments, place, printer).await,
        NodeCommand::Backfill(arguments) => return super::backfill::run(arguments, place, printer).await,
        NodeCommand::Windows(arguments) => super::node_windows::windows(arguments, place, printer).await?,
        NodeCommand::Unpin { node } => {
            let node = place.unpin_node(&node).await?;
            printer.show(&node, || {
                print::done(&format!("{} → {} is not pinned", node.update_hash, node.table));
            })?;
        }
        NodeCommand::Set(arguments) => super::node_windows::set(arguments, place, printer).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A config as text, written out or read from `@FILE`.
pub(crate) fn config(given: &str) -> anyhow::Result<String> {
    match given.strip_prefix('@') {
        None => Ok(given.to_owned()),
        Some(file) => std::fs::read_to_string(file).map_err(|error| usage(format!("{file}: {error}"))),
    }
}

fn show(detail: &NodeDetail) {
    let NodeDetail { node, metadata_digest, runs, .. } = detail;
    let namespace = if node.hash_namespace.is_empty() { "-" } else { &node.hash_namespace };
    let edges: Vec<String> =
        node.dependencies.iter().map(|edge| format!("{} → {}", edge.key, edge.declared.table())).collect();
    print::facts(&[
        ("update hash", node.update_hash.clone()),
        ("uid", node.uid.clone()),
        ("component", node.component.clone()),
        (
            "release",
            node.pinned_digest
                .map_or("the highest version".to_owned(), |digest| format!("pinned to sha256 {digest}")),
        ),
        ("table", format!("{} ({})", node.table, node.table_uid)),
        ("hash namespace", namespace.to_owned()),
        ("config", serde_json::to_string_pretty(&node.config).unwrap_or_default()),
        ("hashed", node.hashed_document.clone()),
        ("metadata digest", metadata_digest.map_or("-".to_owned(), |digest| digest.to_string())),
        ("reads", if edges.is_empty() { "nothing of this host".to_owned() } else { edges.join("\n") }),
        ("settings", super::node_windows::settings(node.settings)),
        ("created", node.created_at.to_string()),
    ]);
    say!("\nlast runs");
    super::run::summary(runs);
}
