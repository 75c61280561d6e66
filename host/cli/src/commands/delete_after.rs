//! `datanode table delete-after`

use std::io::{IsTerminal, Write};

use clap::Args;
use datanode_core::Timestamp;
use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::query_text;
use datanode_runtime::answers::{ReopenedNode, tail_query};
use datanode_store::{DeleteAfter, DeleteScope, StoreError};

use super::node_windows::start;
use super::table_read::{does_not_fit, filters};
use crate::failure::Failure;
use crate::place::Place;
use crate::print::{self, Printer, count};
use crate::say;

#[derive(Debug, Args)]
#[command(
    after_help = "There is no last moment: what is deleted is a tail, so that the next run of the node computes it again.\n\
    Without --where and --coordinate the tail of all coordinates goes. A run that is under way and has read the\n\
    table before stores nothing. The windows of all nodes that write the table are open again from there on, whatever\n\
    the scope. Tables that other nodes computed from these rows stay as they are.\n\
    On a terminal the command counts the rows and asks; a script says --yes.\n\
    Commas divide values: one that has a comma or a quote in it stands in double quotes, and a quote in those is written\n\
    twice. The shell takes quotes away, so the whole stands in single ones.\n\n\
    Examples:\n  datanode table delete-after fx_log_returns 2024-01-01 --dry-run\n  \
    datanode table delete-after fx_log_returns 2024-01-01 --where currency=USD --where currency=GBP\n  \
    datanode table delete-after quotes 2024-01-01 --coordinate currency=USD,venue=1 --coordinate venue=2 --yes\n  \
    datanode table delete-after prices 2024-01-01 --where 'name=\"Acme, Inc\"' --dry-run"
)]
pub(crate) struct DeleteAfterArguments {
    /// Identifier or uid of a time-indexed table
    table: String,
    /// Rows at this moment and later go: RFC 3339 or a date
    #[arg(value_name = "TIME")]
    after: Timestamp,
    /// Only rows of these values of an identity dimension, which are alternatives; a value with a comma stands in double
    /// quotes
    #[arg(long = "where", value_name = "DIMENSION=VALUE,...")]
    filters: Vec<String>,
    /// Only rows that have all of these values, quoted in the same way; several coordinates are alternatives
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
    place: &Place,
    printer: Printer,
) -> anyhow::Result<()> {
    let table = place.table(&arguments.table).await?;
    let name = table.contract.identifier.clone();
    if table.contract.kind != TableKind::TimeIndexed {
        return Err(Failure::of(&StoreError::NoTail { table: name }).into());
    }
    let scope = scope(&table.contract, &arguments)?;
    tail_query(arguments.after, &scope)
        .check(&table.contract)
        .map_err(|error| does_not_fit(&table.contract, error))?;
    let after = arguments.after;
    let words = words(after, &scope);
    let delete = DeleteAfter { table_uid: table.uid.clone(), after, scope };
    if arguments.dry_run {
        let answer = place.count_tail(&delete).await?;
        let all = place.table_detail(&table.uid).await?.listed.rows;
        return printer.show(&answer, || {
            let rows = count(answer.rows);
            print::done(&format!("{name}: {rows} of {} rows would go: {words}", count(all)));
            show_reopened("would be open again", &answer.reopened);
        });
    }
    if !arguments.yes {
        confirm(&delete, &name, &words, place).await?;
    }
    let answer = place.delete_tail(&delete).await?;
    printer.show(&answer, || {
        print::done(&format!("{name}: {} rows deleted: {words}", count(answer.rows)));
        let Some(left) = answer.statistics.filter(|_| !answer.is_empty) else {
            say!("the table is empty now");
            show_reopened("open again", &answer.reopened);
            return;
        };
        let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), Timestamp::short);
        print::facts(&[
            ("rows left", count(left.rows)),
            ("coordinates", count(left.coordinates)),
            ("first", time(left.min_time)),
            ("last", time(left.max_time)),
        ]);
        show_reopened("open again", &answer.reopened);
    })
}

/// What the next runs of nodes do again.
fn show_reopened(verb: &str, reopened: &[ReopenedNode]) {
    for node in reopened {
        let windows: Vec<String> = node
            .windows
            .iter()
            .map(|window| format!("{} to {} ({})", start(window), window.end.short(), window.state.as_str()))
            .collect();
        say!("{verb} for {}: {}", node.update_hash, windows.join(", "));
    }
}

fn scope(contract: &Contract, arguments: &DeleteAfterArguments) -> anyhow::Result<DeleteScope> {
    if !arguments.filters.is_empty() {
        return Ok(DeleteScope::DimensionFilters(filters(contract, &arguments.filters)?));
    }
    if arguments.coordinates.is_empty() {
        return Ok(DeleteScope::All);
    }
    let coordinates = arguments.coordinates.iter().map(|text| {
        query_text::index_coordinate(contract, text).map_err(|error| does_not_fit(contract, error))
    });
    Ok(DeleteScope::IndexCoordinates(coordinates.collect::<anyhow::Result<_>>()?))
}

/// Ask a person; an error unless they say yes.
async fn confirm(delete: &DeleteAfter, name: &str, words: &str, place: &Place) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::usage("there is no terminal on which the deletion could be confirmed")
            .with_next_step("look with --dry-run what would go, then say --yes")
            .into());
    }
    let rows = place.count_tail(delete).await?.rows;
    let all = place.table_detail(&delete.table_uid).await?.listed.rows;
    let mut errors = anstream::stderr();
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
