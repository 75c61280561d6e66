//! `datanode node`

use std::collections::BTreeMap;
use std::process::ExitCode;

use datanode_core::ErrorClass;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_runtime::{Host, NodeRequest, RunOptions, RunTree};
use datanode_store::{Node, RunFilter};
use serde_json::{Value, json};

use crate::args::NodeCommand;
use crate::failure::{self, OrFail};
use crate::print::{self, Heading, Printer};
use crate::say;
use crate::{progress, usage};

pub(crate) async fn run(command: NodeCommand, host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        NodeCommand::Create { component, table, config, hash_namespace, pin } => {
            let config = match config.strip_prefix('@') {
                None => config,
                Some(file) => {
                    std::fs::read_to_string(file).map_err(|error| usage(format!("{file}: {error}")))?
                }
            };
            if !hash_namespace.is_empty() {
                datanode_core::name::check_namespace("hash namespace", &hash_namespace)
                    .map_err(|error| usage(error.to_string()))?;
            }
            let request = NodeRequest { component, pinned_digest: pin, config, table, hash_namespace };
            let planned = host.plan(request).await.or_fail()?;
            let answer: Vec<Value> =
                planned.iter().map(|node| json!({"node": node.node, "created": node.created})).collect();
            // The shortest reference that means this node alone.
            let reference = match planned.last() {
                Some(last) if host.store().node(&last.node.table).await.is_ok() => last.node.table.clone(),
                Some(last) => last.node.uid.clone(),
                None => String::new(),
            };
            printer.show(&answer, || {
                for node in &planned {
                    let verb = if node.created { "created" } else { "already there:" };
                    print::done(&format!("{verb} {} → {}", node.node.update_hash, node.node.table));
                }
                say!("next: datanode node run {reference}");
            })?;
        }
        NodeCommand::List => {
            let nodes = host.store().nodes().await.or_fail()?;
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
            let node = host.store().node(&node).await.or_fail()?;
            let filter =
                RunFilter { node_uid: Some(node.uid.clone()), limit: Some(5), ..RunFilter::default() };
            let runs = host.store().runs(&filter).await.or_fail()?;
            printer.show(&json!({"node": node, "runs": runs}), || show(&node, &runs))?;
        }
        NodeCommand::Graph { node, format } => {
            super::graph::show(node.as_deref(), format, host, printer).await?;
        }
        NodeCommand::Run { node, until, force, options, progress } => {
            let options = RunOptions {
                until,
                force,
                options: options
                    .iter()
                    .map(|text| option(text))
                    .collect::<anyhow::Result<BTreeMap<_, _>>>()?,
                observer: progress::observer(progress),
            };
            let tree = host.run_node(&node, &options).await.or_fail()?;
            // Clears the moving line before the summary is printed.
            drop(options);
            printer.show(&tree.runs, || super::run::summary(&tree.runs))?;
            return Ok(finish(&tree, printer));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Say what failed, and answer the exit code of the worst outcome.
fn finish(tree: &RunTree, printer: Printer) -> ExitCode {
    let mut classes = Vec::new();
    for run in &tree.runs {
        let Some(error) = &run.error else { continue };
        if !printer.json {
            failure::print(
                &error.code,
                &format!("{}: {}", run.table, error.message),
                error.next_step.as_deref(),
                error.guest.as_ref(),
            );
            eprintln!("see:  datanode run show {}", run.run_id);
        }
        if run.status == RunStatus::Failed {
            let all = [ErrorClass::Infrastructure, ErrorClass::Refused, ErrorClass::Usage];
            let class = all.into_iter().find(|class| class.as_str() == error.class);
            classes.push(class.unwrap_or(ErrorClass::Failed));
        }
    }
    let class = failure::worst(classes);
    // A blocked node is told by its own code, unless trying again may be all that it takes.
    let blocked = tree.runs.last().is_some_and(|last| last.status == RunStatus::Blocked);
    match class {
        Some(ErrorClass::Infrastructure) => crate::exit_code(ErrorClass::Infrastructure),
        _ if blocked => crate::exit_code(ErrorClass::Blocked),
        Some(class) => crate::exit_code(class),
        None => ExitCode::SUCCESS,
    }
}

fn option(text: &str) -> anyhow::Result<(String, Value)> {
    let (name, value) = text.split_once('=').ok_or_else(|| usage(format!("`{text}` is not NAME=VALUE")))?;
    datanode_core::name::check_name("option name", name).map_err(|error| usage(error.to_string()))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

fn show(node: &Node, runs: &[RunRecord]) {
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
        ("reads", if edges.is_empty() { "nothing of this host".to_owned() } else { edges.join("\n") }),
        ("created", node.created_at.to_string()),
    ]);
    say!("\nlast runs");
    super::run::summary(runs);
}
