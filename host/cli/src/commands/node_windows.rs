//! `datanode node windows` and `datanode node set`

use clap::Args;
use datanode_core::Timestamp;
use datanode_core::node_settings::NodeSettings;
use datanode_runtime::answers::WindowDocument;
use datanode_store::NodeSet;

use crate::place::Place;
use crate::print::{self, Heading, Printer, count};

#[derive(Debug, Args)]
#[command(
    after_help = "A window is `done` up to the latest row that the node brought, `empty` where it was and had nothing to bring,\n\
    and `failed` where its last run failed. What is not listed is open: the node has not been there, or the rows were\n\
    deleted since.\n\n\
    Examples:\n  datanode node windows fx_log_returns\n  datanode node windows fx_log_returns --state failed"
)]
pub(crate) struct WindowsArguments {
    /// Update hash (or the beginning of it), or the table that it alone writes
    node: String,
    /// Only those in this state
    #[arg(long, value_parser = ["done", "empty", "failed"])]
    state: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Settings are never hashed: they say how runs are made, and change nothing that the node computes.\n\n  \
    lookback=7d          look for rows that come late, so far before the latest row of each coordinate\n  \
    late_rows=overwrite  rows that are there take the values of those that a lookback brings again (else `keep`)\n  \
    retries=3            make a run again, so often, whose commit was refused because others wrote the table meanwhile\n\n\
    A name without a value takes the setting back.\n\n\
    Examples:\n  datanode node set fx_log_returns lookback=7d\n  datanode node set fx_log_returns lookback= retries=0"
)]
pub(crate) struct SetArguments {
    /// Update hash (or the beginning of it), or the table that it alone writes
    node: String,
    /// Settings
    #[arg(required = true, value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

pub(crate) async fn windows(
    arguments: WindowsArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<()> {
    let mut windows = place.windows(&arguments.node).await?;
    windows.retain(|window| arguments.state.as_deref().is_none_or(|state| state == window.state.as_str()));
    printer.show(&windows, || {
        let rows = windows.iter().map(|window| {
            vec![
                start(window),
                window.end.short(),
                window.state.as_str().to_owned(),
                count(window.failures.into()),
                window.kind.clone(),
                window.run_id.clone(),
            ]
        });
        let headings = [
            Heading::Text("from"),
            Heading::Text("until"),
            Heading::Text("state"),
            Heading::Number("failures"),
            Heading::Text("kind"),
            Heading::Text("last run"),
        ];
        let empty = match &arguments.state {
            Some(state) => format!("no window of this node is {state}"),
            None => format!("the node has not been run yet; run it: datanode node run {}", arguments.node),
        };
        print::table(&headings, rows.collect(), &empty);
    })
}

pub(crate) async fn set(arguments: SetArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let NodeSet { node, changed } = place.set_node(&arguments.node, &arguments.settings).await?;
    printer.show(&node, || {
        let verb = if changed { "set" } else { "already set:" };
        print::done(&format!("{verb} {} → {}: {}", node.update_hash, node.table, settings(node.settings)));
    })
}

/// Settings in one line, for people.
pub(crate) fn settings(settings: NodeSettings) -> String {
    let lookback = settings.lookback.map(|lookback| format!("lookback {lookback}"));
    let retries = settings.retries.map(|retries| format!("retries {retries}"));
    let late_rows = settings.late_rows.map(|late_rows| format!("late rows {}", late_rows.as_str()));
    let set: Vec<String> = lookback.into_iter().chain(late_rows).chain(retries).collect();
    if set.is_empty() { "-".to_owned() } else { set.join(", ") }
}

/// Where a window begins, for people.
pub(crate) fn start(window: &WindowDocument) -> String {
    window.start.map_or("the beginning".to_owned(), Timestamp::short)
}
