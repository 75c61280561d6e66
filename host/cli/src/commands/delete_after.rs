//! `datanode table delete-after`

use std::io::{IsTerminal, Write};

use clap::Args;
use datanode_core::Timestamp;
use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::query::{Bound, ReadQuery, TimeRange};
use datanode_runtime::Host;
use datanode_store::{DeleteAfter, DeleteScope, Reopened, StoreError, Table};
use serde_json::{Map, Value, json};

use super::node_windows::{self, start};
use super::table::values;
use super::table_read::{does_not_fit, filters};
use crate::failure::{Failure, OrFail};
use crate::print::{self, Printer, count};
use crate::{say, usage};

/// Keys fetched at a time to count them.
const PAGE: usize = 50_000;

#[derive(Debug, Args)]
#[command(
    after_help = "There is no last moment: what is deleted is a tail, so that the next run of the node computes it again.\n\
    Without --where and --coordinate the tail of all coordinates goes. A run that is under way and has read the\n\
    table before stores nothing. The windows of all nodes that write the table are open again from there on, whatever\n\
    the scope. Tables that other nodes computed from these rows stay as they are.\n\
    On a terminal the command counts the rows and asks; a script says --yes.\n\n\
    Examples:\n  datanode table delete-after fx_log_returns 2024-01-01 --dry-run\n  \
    datanode table delete-after fx_log_returns 2024-01-01 --where currency=USD --where currency=GBP\n  \
    datanode table delete-after quotes 2024-01-01 --coordinate currency=USD,venue=1 --coordinate venue=2 --yes"
)]
pub(crate) struct DeleteAfterArguments {
    /// Identifier or uid of a time-indexed table
    table: String,
    /// Rows at this moment and later go: RFC 3339 or a date
    #[arg(value_name = "TIME")]
    after: Timestamp,
    /// Only rows of this value of an identity dimension; several of one dimension are alternatives
    #[arg(long = "where", value_name = "DIMENSION=VALUE")]
    filters: Vec<String>,
    /// Only rows that have all of these values; several coordinates are alternatives
    #[arg(long = "coordinate", value_name = "DIMENSION=VALUE,...", conflicts_with = "filters")]
    coordinates: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Count the rows that would go, and delete none
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

pub(crate) async fn run(
    arguments: DeleteAfterArguments,
    host: &Host,
    printer: Printer,
) -> anyhow::Result<()> {
    let table = host.store().table(&arguments.table).await.or_fail()?;
    let name = table.contract.identifier.clone();
    if table.contract.kind != TableKind::TimeIndexed {
        return Err(Failure::of(&StoreError::NoTail { table: name }).into());
    }
    let scope = scope(&table.contract, &arguments)?;
    let query = query(arguments.after, &scope);
    query.check(&table.contract).map_err(|error| does_not_fit(&table.contract, error))?;
    let after = arguments.after;
    let words = words(after, &scope);
    if arguments.dry_run {
        let (rows, all) = count_rows(&table, &query, host).await?;
        let reopened = would_reopen(&table, after, host).await?;
        let answer = document(&table, after, &scope, rows, rows == all, &Value::Null, &reopened);
        return printer.show(&answer, || {
            print::done(&format!("{name}: {} of {} rows would go: {words}", count(rows), count(all)));
            show_reopened("would be open again", &reopened);
        });
    }
    if !arguments.yes {
        confirm(&table, &query, &words, host).await?;
    }
    let delete = DeleteAfter { table_uid: table.uid.clone(), after, scope };
    let deleted = host.store().delete_after(&delete).await.or_fail()?;
    let progress = &deleted.progress;
    let statistics = json!({
        "rows": progress.rows(), "coordinates": progress.len(),
        "min_time": progress.min_time(), "max_time": progress.max_time(),
    });
    let answer = document(
        &deleted.table,
        after,
        &delete.scope,
        deleted.rows,
        progress.is_empty(),
        &statistics,
        &deleted.reopened,
    );
    printer.show(&answer, || {
        print::done(&format!("{name}: {} rows deleted: {words}", count(deleted.rows)));
        if progress.is_empty() {
            say!("the table is empty now");
            show_reopened("open again", &deleted.reopened);
            return;
        }
        let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), Timestamp::short);
        print::facts(&[
            ("rows left", count(progress.rows())),
            ("coordinates", count(progress.len() as u64)),
            ("first", time(progress.min_time())),
            ("last", time(progress.max_time())),
        ]);
        show_reopened("open again", &deleted.reopened);
    })
}

/// What the nodes that write a table would have to do again.
async fn would_reopen(table: &Table, after: Timestamp, host: &Host) -> anyhow::Result<Vec<Reopened>> {
    let mut reopened = Vec::new();
    let nodes = host.store().nodes().await.or_fail()?;
    for node in nodes.into_iter().filter(|node| node.table_uid == table.uid) {
        let windows = host.store().node_windows(&node.uid).await.or_fail()?.reopen(after, None);
        if !windows.is_empty() {
            reopened.push(Reopened { node_uid: node.uid, update_hash: node.update_hash, windows });
        }
    }
    Ok(reopened)
}

/// What the next runs of nodes do again.
fn show_reopened(verb: &str, reopened: &[Reopened]) {
    for node in reopened {
        let windows: Vec<String> = node
            .windows
            .iter()
            .map(|window| format!("{} to {} ({})", start(window), window.last.short(), window.state.as_str()))
            .collect();
        say!("{verb} for {}: {}", node.update_hash, windows.join(", "));
    }
}

/// The answer; `statistics` are null of a dry run.
fn document(
    table: &Table,
    after: Timestamp,
    scope: &DeleteScope,
    rows: u64,
    is_empty: bool,
    statistics: &Value,
    reopened: &[Reopened],
) -> Value {
    let windows = |node: &Reopened| node.windows.iter().map(node_windows::document).collect::<Vec<_>>();
    let reopened = reopened.iter().map(
        |node| json!({"node_uid": node.node_uid, "update_hash": node.update_hash, "windows": windows(node)}),
    );
    let reopened: Vec<Value> = reopened.collect();
    json!({
        "uid": table.uid, "table": table.contract.identifier, "after": after, "scope": scope_document(scope),
        "dry_run": statistics.is_null(), "rows": rows, "is_empty": is_empty, "statistics": statistics,
        "reopened": reopened,
    })
}

fn scope_document(scope: &DeleteScope) -> Value {
    match scope {
        DeleteScope::All => json!({}),
        DeleteScope::DimensionFilters(filters) => {
            let filters = filters
                .iter()
                .map(|(name, allowed)| (name.clone(), json!(values(&Coordinate(allowed.clone())))));
            json!({"where": filters.collect::<Map<_, _>>()})
        }
        DeleteScope::IndexCoordinates(coordinates) => {
            let one = |partial: &Vec<(String, CoordinateValue)>| {
                let (names, wanted): (Vec<String>, Vec<CoordinateValue>) = partial.iter().cloned().unzip();
                names.into_iter().zip(values(&Coordinate(wanted))).collect::<Map<_, _>>()
            };
            json!({"coordinates": coordinates.iter().map(one).collect::<Vec<_>>()})
        }
    }
}

fn scope(contract: &Contract, arguments: &DeleteAfterArguments) -> anyhow::Result<DeleteScope> {
    if !arguments.filters.is_empty() {
        return Ok(DeleteScope::DimensionFilters(filters(contract, &arguments.filters)?));
    }
    if arguments.coordinates.is_empty() {
        return Ok(DeleteScope::All);
    }
    let coordinates = arguments.coordinates.iter().map(|text| coordinate(contract, text));
    Ok(DeleteScope::IndexCoordinates(coordinates.collect::<anyhow::Result<_>>()?))
}

fn coordinate(contract: &Contract, text: &str) -> anyhow::Result<Vec<(String, CoordinateValue)>> {
    let conditions: Vec<String> = text.split(',').map(str::to_owned).collect();
    let one = |(name, mut values): (String, Vec<CoordinateValue>)| match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok((name, value)),
        _ => Err(usage(format!(
            "`{text}` wants two values of `{name}`, which no row has; give several --coordinate for alternatives"
        ))),
    };
    filters(contract, &conditions)?.into_iter().map(one).collect()
}

fn query(after: Timestamp, scope: &DeleteScope) -> ReadQuery {
    let mut query = ReadQuery {
        range: TimeRange { start: Some(Bound { time: after, inclusive: true }), end: None },
        columns: Some(Vec::new()),
        ..ReadQuery::default()
    };
    match scope {
        DeleteScope::All => {}
        DeleteScope::DimensionFilters(filters) => query.dimension_filters.clone_from(filters),
        DeleteScope::IndexCoordinates(coordinates) => query.index_coordinates.clone_from(coordinates),
    }
    query
}

/// Rows that would go, and rows in all.
async fn count_rows(table: &Table, query: &ReadQuery, host: &Host) -> anyhow::Result<(u64, u64)> {
    let mut snapshot = host.store().snapshot().await.or_fail()?;
    let all = snapshot.row_count(table).await.or_fail()?;
    let read = snapshot.read(table, query);
    let (mut rows, mut after) = (0, None);
    while let Some(page) = read.page(after.as_ref(), PAGE).await.or_fail()? {
        rows += page.batch.num_rows() as u64;
        after = Some(page.last);
    }
    Ok((rows, all))
}

/// Ask a person; an error unless they say yes.
async fn confirm(table: &Table, query: &ReadQuery, words: &str, host: &Host) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::usage("there is no terminal on which the deletion could be confirmed")
            .with_next_step("look with --dry-run what would go, then say --yes")
            .into());
    }
    let (rows, all) = count_rows(table, query, host).await?;
    let mut errors = anstream::stderr();
    let name = &table.contract.identifier;
    write!(errors, "Delete {} of {} rows of {name}: {words}? [y/N] ", count(rows), count(all))?;
    errors.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::usage("not confirmed: nothing was deleted").with_code("cli.not_confirmed").into())
}

/// Which rows, in words.
fn words(after: Timestamp, scope: &DeleteScope) -> String {
    let time = after.short();
    match scope {
        DeleteScope::All => format!("{time} and later, all coordinates"),
        DeleteScope::DimensionFilters(filters) => {
            let one = |(name, allowed): &(String, Vec<CoordinateValue>)| {
                let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                format!("{name} = {}", print::visible(&allowed.join(" or ")))
            };
            let filters: Vec<String> = filters.iter().map(one).collect();
            format!("{time} and later, where {}", filters.join(" and "))
        }
        DeleteScope::IndexCoordinates(coordinates) => {
            let one = |partial: &Vec<(String, CoordinateValue)>| {
                let values: Vec<String> =
                    partial.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                format!("({})", print::visible(&values.join(", ")))
            };
            let coordinates: Vec<String> = coordinates.iter().map(one).collect();
            format!("{time} and later, coordinates {}", coordinates.join(" or "))
        }
    }
}
