//! `datanode check --determinism`: recorded runs in every way in which this machine can execute them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use datanode_core::ErrorClass;
use datanode_core::run::RunStatus;
use datanode_runtime::{CellResult, CellVerdict, MatrixRun, Stop, bundle_in_cells};
use datanode_sandbox::{Cell, Processor};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::replay::is_file;
use crate::args::CheckArguments;
use crate::failure::OrFail;
use crate::home::{self, Home};
use crate::place::{Place, WantedRuns};
use crate::print::{self, Heading, Printer, count};
use crate::{exit_code, interrupt, say, usage};

/// Whether files are named, and not nodes or components of a catalogue.
pub(crate) fn is_of_bundles(arguments: &CheckArguments) -> bool {
    let named = &arguments.subject;
    arguments.determinism && !named.is_empty() && named.iter().all(|name| is_file(name))
}

pub(crate) async fn run(
    arguments: &CheckArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    if let Some(file) = arguments.subject.iter().find(|name| is_file(name)) {
        return Err(usage(format!("`{file}` is a file and the others are not: name either nodes or files")));
    }
    let runs = chosen(arguments, place).await?;
    let cells = Cell::all();
    let stop = Stop::default();
    interrupt::stops(&stop, printer);
    let bar = progress(runs.len() * cells.len());
    let mut found = Vec::with_capacity(runs.len());
    for run in &runs {
        let counted = bar.clone();
        match place.run_in_cells(run, &cells, &stop, move || counted.inc(1)).await {
            Ok(run) => found.push(run),
            // What was executed until then is told.
            Err(_) if stop.is_stopped() => break,
            Err(error) => return Err(error),
        }
    }
    bar.finish_and_clear();
    if stop.is_stopped() && found.is_empty() && !printer.json {
        say!("nothing was executed: it was ended before");
        return Ok(interrupt::cut_short());
    }
    let code = answer(&found, !arguments.subject.is_empty(), printer)?;
    Ok(if stop.is_stopped() { interrupt::cut_short() } else { code })
}

/// Files, without any catalogue.
pub(crate) fn bundles(arguments: &CheckArguments, home: &Home, printer: Printer) -> anyhow::Result<ExitCode> {
    let sandbox = home::sandbox(home)?;
    let cells = Cell::all();
    let bar = progress(arguments.subject.len() * cells.len());
    let mut found = Vec::with_capacity(arguments.subject.len());
    for file in &arguments.subject {
        found.push(bundle_in_cells(&sandbox, Path::new(file), &cells, &mut || bar.inc(1)).or_fail()?);
    }
    bar.finish_and_clear();
    answer(&found, true, printer)
}

/// The latest runs that have a journal: of the nodes that are named, of all nodes of the components that are named, or of
/// all nodes; the oldest first.
async fn chosen(arguments: &CheckArguments, place: &Place) -> anyhow::Result<Vec<String>> {
    let mut nodes = Vec::new();
    let mut components = Vec::new();
    for name in &arguments.subject {
        match place.node(name).await {
            Ok(node) => nodes.push(node.uid),
            // Neither a node nor a component: the error of the node says more, for it knows the ways to name one.
            Err(error) if place.component(name, None).await.is_err() => return Err(error),
            Err(_) => components.push(name),
        }
    }
    let all = arguments.subject.is_empty();
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let mut runs = Vec::new();
    for run in place.runs(WantedRuns::default()).await? {
        let called = matches!(run.status, RunStatus::Ok | RunStatus::Empty | RunStatus::Failed);
        let wanted = all || nodes.contains(&run.node_uid) || components.contains(&&run.component);
        let taken = taken.entry(run.node_uid.clone()).or_default();
        if called && wanted && run.journal.is_some() && *taken < arguments.runs {
            *taken += 1;
            runs.push(run.run_id);
        }
    }
    runs.reverse();
    Ok(runs)
}

/// Hidden when standard error is no terminal.
fn progress(cells: usize) -> ProgressBar {
    let bar = ProgressBar::new(cells as u64);
    if let Ok(style) = ProgressStyle::with_template("executing  {bar:30} {pos}/{len} cells, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn answer(runs: &[MatrixRun], named: bool, printer: Printer) -> anyhow::Result<ExitCode> {
    let equal = runs.iter().all(|run| run.equal != Some(false));
    let document = json!({ "equal": equal, "runs": runs });
    printer.show(&document, || show(runs))?;
    Ok(if !equal {
        exit_code(ErrorClass::Failed)
    } else if named && runs.iter().all(|run| run.equal.is_none()) {
        exit_code(ErrorClass::Refused)
    } else {
        ExitCode::SUCCESS
    })
}

fn show(runs: &[MatrixRun]) {
    if runs.is_empty() {
        say!("no run that could be executed again: run a node first");
    }
    for (place, run) in runs.iter().enumerate() {
        if place > 0 {
            say!("");
        }
        let MatrixRun { component, component_version, component_class, table, run_id, .. } = run;
        say!("{component} {component_version} ({component_class}) → {table}, run {run_id}");
        if let Some(missing) = &run.missing {
            say!("  cannot be executed again: {}", print::visible(missing));
            continue;
        }
        let digest = run.recorded.as_ref().map_or("nothing".to_owned(), datanode_core::digest::Digest::short);
        say!("  recorded output: {digest}\n");
        let headings = [
            Heading::Text("  processor"),
            Heading::Text("optimised"),
            Heading::Text("memory"),
            Heading::Text("output"),
            Heading::Number("calls"),
            Heading::Number("fuel"),
            Heading::Text("verdict"),
        ];
        print::table(&headings, run.cells.iter().map(row).collect(), "  no cells");
        for CellResult { cell, verdict, .. } in &run.cells {
            match verdict {
                CellVerdict::Different(difference) => {
                    say!("\n  {}: {} is different", cell.name(), print::visible(&difference.what));
                    print::facts(&[
                        ("    recorded", difference.recorded.clone()),
                        ("    here", difference.replayed.clone()),
                    ]);
                }
                CellVerdict::NotFinished { why } => {
                    say!("\n  {}: not executed to its end: {}", cell.name(), print::visible(why));
                }
                CellVerdict::Equal | CellVerdict::NotHere { .. } => {}
            }
        }
    }
}

fn row(result: &CellResult) -> Vec<String> {
    let CellResult { cell, verdict, output_digest, calls, fuel } = result;
    let was_run = !matches!(verdict, CellVerdict::NotHere { .. } | CellVerdict::NotFinished { .. });
    let number = |number: u64| if was_run { count(number) } else { String::new() };
    let output = output_digest.as_ref().map_or("nothing".to_owned(), datanode_core::digest::Digest::short);
    let processor = match cell.processor {
        Processor::Baseline => "this one, baseline",
        Processor::Newer => "this one, newer level",
        Processor::Interpreter => "interpreter",
    };
    vec![
        format!("  {processor}"),
        cell.optimisation.to_string(),
        cell.allocation.as_str().to_owned(),
        if was_run { output } else { String::new() },
        number(*calls),
        number(*fuel),
        match verdict {
            CellVerdict::Equal => "equal".to_owned(),
            CellVerdict::Different(_) => "DIFFERENT".to_owned(),
            CellVerdict::NotHere { why } => format!("not here: {why}"),
            CellVerdict::NotFinished { .. } => "NOT FINISHED".to_owned(),
        },
    ]
}
