//! `datanode node windows` and `datanode node set`

use clap::Args;
use datanode_core::Timestamp;
use datanode_core::ledger::NodeWindow;
use datanode_core::node_settings::{NodeSettings, SettingChange};
use datanode_core::run::BACKFILL;
use datanode_runtime::Host;
use datanode_store::NodeSet;
use serde_json::{Value, json};

use crate::failure::OrFail;
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
    host: &Host,
    printer: Printer,
) -> anyhow::Result<()> {
    let node = host.store().node(&arguments.node).await.or_fail()?;
    let ledger = host.store().node_windows(&node.uid).await.or_fail()?;
    let wanted =
        |window: &&NodeWindow| arguments.state.as_deref().is_none_or(|state| state == window.state.as_str());
    let windows: Vec<&NodeWindow> = ledger.windows().iter().filter(wanted).collect();
    printer.show(&windows.iter().map(|window| document(window)).collect::<Vec<_>>(), || {
        let rows = windows.iter().map(|window| {
            vec![
                start(window),
                window.last.short(),
                window.state.as_str().to_owned(),
                count(window.failures.into()),
                kind(window).to_owned(),
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

pub(crate) async fn set(arguments: SetArguments, host: &Host, printer: Printer) -> anyhow::Result<()> {
    let changes = arguments.settings.iter().map(|text| SettingChange::parse(text));
    let changes = changes.collect::<Result<Vec<_>, _>>().or_fail()?;
    let node = host.store().node(&arguments.node).await.or_fail()?;
    let NodeSet { node, changed } = host.store().set_node(&node.uid, &changes).await.or_fail()?;
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

/// What the last run over a window was.
fn kind(window: &NodeWindow) -> &'static str {
    if window.is_backfill { BACKFILL } else { "update" }
}

/// A window for programs.
pub(crate) fn document(window: &NodeWindow) -> Value {
    json!({
        "start": window.start(), "end": window.last, "state": window.state, "failures": window.failures,
        "run_id": window.run_id, "kind": kind(window), "updated_at": window.updated_at,
    })
}

/// Where a window begins, for people.
pub(crate) fn start(window: &NodeWindow) -> String {
    window.start().map_or("the beginning".to_owned(), Timestamp::short)
}
