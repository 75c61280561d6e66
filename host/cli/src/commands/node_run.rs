//! `datanode node run`

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use datanode_core::ErrorClass;
use datanode_core::contract::Contract;
use datanode_core::options::{self, MAX_OPTIONS_BYTES, Options};
use datanode_core::run::{DRY_RUN, RunRecord, RunStatus};
use datanode_core::statistics::MAX_STATISTICS_BYTES;
use datanode_runtime::answers::{DryRunDocument, FrameDocument, RowExample};
use datanode_runtime::{DryRunRequest, RunOptions, Scope, Stop};
use serde_json::{Map, Value};

use crate::failure::{self, Failure, OrFail};
use crate::place::{Place, TreeRuns};
use crate::print::{self, Printer, count};
use crate::run_args::RunArguments;
use crate::{cells, interrupt, progress, say};

pub(crate) async fn run(
    arguments: RunArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let namespace = arguments.hash_namespace.resolve()?;
    let sample = usize::from(arguments.sample);
    let options = RunOptions {
        scope: match (arguments.no_tree, arguments.tree_only) {
            (true, _) => Scope::NodeAlone,
            (_, true) => Scope::DependenciesAlone,
            _ => Scope::Tree,
        },
        until: arguments.until,
        force: arguments.force,
        wait: Duration::from_secs(arguments.wait),
        options: runtime_options(arguments.options.as_deref(), &arguments.option)?,
        sample: arguments.debug.then_some(sample),
        journal: arguments.journal.map(Into::into),
        observer: progress::observer(arguments.progress),
        stop: Stop::default(),
    };
    interrupt::stops(&options.stop, printer);
    if arguments.dry_run {
        let statistics = arguments.statistics.as_deref();
        let statistics = statistics.map(|file| read_at_most(file, MAX_STATISTICS_BYTES)).transpose()?;
        let request = DryRunRequest { statistics, sample };
        let dry = place.dry_run(&arguments.node, &namespace, &options, &request).await.map_err(not_there)?;
        // Clears the moving line before the summary is printed.
        drop(options);
        let contract = contract_of(dry.frame.as_ref(), place).await?;
        printer.show(&dry, || show_dry(&dry, contract.as_ref()))?;
        return Ok(finish(std::slice::from_ref(&dry.run), printer));
    }
    let tree = place.run_node(&arguments.node, &namespace, &options).await?;
    let is_debug = options.sample.is_some();
    drop(options);
    let contract = contract_of(tree.runs.frame.as_ref(), place).await?;
    let people = || show_tree(&arguments.node, &tree, contract.as_ref());
    if is_debug {
        printer.show(&tree.runs, people)?;
    } else {
        printer.show(&tree.runs.runs, people)?;
    }
    let code = finish(&tree.runs.runs, printer);
    super::replay::prune_due(place).await;
    Ok(if tree.is_cut_short { interrupt::cut_short() } else { code })
}

/// Runtime options of a file and of single arguments.
pub(super) fn runtime_options(file: Option<&Path>, single: &[String]) -> anyhow::Result<Options> {
    let options = match file {
        None => Options::new(),
        Some(file) => {
            let text = read_at_most(file, MAX_OPTIONS_BYTES)?;
            options::parse(&text).map_err(|error| Failure::of(&error).at(&file.display().to_string()))?
        }
    };
    options::with_single(options, single).or_fail()
}

/// The text of a file, or of its beginning when it is longer than anything that would be accepted: it may be a device
/// that has no end.
fn read_at_most(path: &Path, bytes: usize) -> anyhow::Result<String> {
    let cannot = |problem: String, step: String| {
        Failure::usage(format!("{}: {problem}", path.display())).with_next_step(step)
    };
    let unreadable =
        |error: std::io::Error| cannot(error.to_string(), "name a file that this user can read".to_owned());
    let mut read = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(bytes as u64 + 1).read_to_end(&mut read).map_err(unreadable)?;
    if read.len() > bytes {
        let step = format!("name a file of at most {bytes} bytes");
        return Err(cannot(format!("more than the {bytes} bytes that are allowed"), step).into());
    }
    String::from_utf8(read)
        .map_err(|_| cannot("not UTF-8".to_owned(), "name a file of text".to_owned()).into())
}

/// A dry run creates nothing, so the next step is to create.
fn not_there(error: anyhow::Error) -> anyhow::Error {
    let failure = match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => return error,
    };
    if failure.code == "store.node_not_found" {
        return failure
            .with_next_step(
                "a dry run needs a node that is there: datanode node create COMPONENT --table TABLE; or see what there \
                 is: datanode node list",
            )
            .into();
    }
    failure.into()
}

/// The contract that says how the rows of a frame are shown.
async fn contract_of(frame: Option<&FrameDocument>, place: &Place) -> anyhow::Result<Option<Contract>> {
    Ok(match frame {
        Some(frame) => Some(place.table(&frame.table).await?.contract),
        None => None,
    })
}

fn show_tree(node: &str, tree: &TreeRuns, contract: Option<&Contract>) {
    let runs = &tree.runs;
    if runs.runs.is_empty() {
        if tree.is_cut_short {
            say!("nothing was run: it was ended before");
        } else {
            say!("nothing was run: {node} has no dependencies");
        }
        return;
    }
    super::run::summary(&runs.runs);
    if let Some((frame, contract)) = runs.frame.as_ref().zip(contract) {
        say!("");
        show_frame("written", frame, contract);
    }
}

/// A frame under a heading that says how much of it is shown.
fn show_frame(what: &str, frame: &FrameDocument, contract: &Contract) {
    let (table, rows) = (&frame.table, count(frame.rows));
    if frame.rows == 0 {
        say!("{what} into {table}: no rows");
        return;
    }
    let shown = frame.sample.len();
    if shown as u64 == frame.rows {
        say!("{what} into {table}: {rows} rows");
    } else {
        say!("{what} into {table}: {rows} rows, of which the first {shown}");
    }
    if shown > 0 {
        let rows = frame.sample.iter().map(|row| texts(contract, row)).collect();
        print::rows(&names(contract), &numeric(contract), rows);
    }
}

fn show_dry(dry: &DryRunDocument, contract: Option<&Contract>) {
    let run = &dry.run;
    let start = run.window.start.map_or("the beginning".to_owned(), datanode_core::Timestamp::short);
    say!("dry run of {} ({}): {}; nothing was written", run.table, run.update_hash, run.status);
    let statistics = &run.statistics;
    let until = statistics.max_time.map_or(String::new(), |time| format!(", until {}", time.short()));
    print::facts(&[
        ("window", format!("{start} to {}", run.window.end.short())),
        ("statistics", format!("{} coordinates{until}", count(statistics.coordinates))),
        ("read", format!("{} rows", count(run.inputs.iter().map(|input| input.rows).sum()))),
        (
            "emitted",
            format!("{} rows of {} coordinates", count(run.rows_emitted), count(run.coverage.coordinates)),
        ),
        ("dropped", format!("{} rows", count(run.rows_dropped))),
        ("would insert", format!("{} rows", count(run.rows_inserted))),
        ("would update", format!("{} rows", count(run.rows_updated))),
        ("gaps", super::run::gaps(&run.coverage)),
    ]);
    for warning in &run.warnings {
        print::warning(warning);
    }
    let Some((frame, contract)) = dry.frame.as_ref().zip(contract) else { return };
    say!("");
    show_frame("would be written", frame, contract);
    let Some(stored) = &dry.stored else { return };
    if run.rows_dropped == 0 {
        return;
    }
    say!(
        "\nof the dropped rows, {} are stored as they were emitted, {} are stored with other values, {} are not stored",
        count(stored.equal),
        count(stored.different),
        count(stored.absent)
    );
    if stored.not_compared > 0 {
        say!("{} more were not compared: too many stored rows lie between them", count(stored.not_compared));
    }
    if !stored.examples.is_empty() {
        let line = |example: &RowExample| {
            let (old, new) = (texts(contract, &example.stored), texts(contract, &example.emitted));
            old.into_iter()
                .zip(new)
                .map(|(old, new)| if old == new { old } else { format!("{old} → {new}") })
                .collect()
        };
        print::rows(&names(contract), &numeric(contract), stored.examples.iter().map(line).collect());
    }
}

fn names(contract: &Contract) -> Vec<String> {
    contract.columns.iter().map(|column| column.name.clone()).collect()
}

fn numeric(contract: &Contract) -> Vec<bool> {
    contract.columns.iter().map(|column| cells::is_number(column.data_type)).collect()
}

/// A row, for people.
fn texts(contract: &Contract, row: &Map<String, Value>) -> Vec<String> {
    let cell = |name: &str| row.get(name).unwrap_or(&Value::Null);
    contract.columns.iter().map(|column| cells::text(cell(&column.name), column.data_type)).collect()
}

/// Say what failed, and answer the exit code of the worst outcome.
pub(super) fn finish(runs: &[RunRecord], printer: Printer) -> ExitCode {
    let mut classes = Vec::new();
    for run in runs {
        let Some(error) = &run.error else { continue };
        if !printer.json {
            failure::print(
                &error.code,
                &format!("{}: {}", run.table, error.message),
                error.next_step.as_deref(),
                error.guest.as_ref(),
            );
            // The record of a dry run is stored nowhere.
            if run.kind != DRY_RUN {
                eprintln!("see:  datanode run show {}", run.run_id);
            }
        }
        if run.status == RunStatus::Failed {
            let all = [ErrorClass::Infrastructure, ErrorClass::Refused, ErrorClass::Usage];
            let class = all.into_iter().find(|class| class.as_str() == error.class);
            classes.push(class.unwrap_or(ErrorClass::Failed));
        }
    }
    let class = failure::worst(classes);
    // A blocked node is told by its own code, unless trying again may be all that it takes.
    let blocked = runs.last().is_some_and(|last| last.status == RunStatus::Blocked);
    match class {
        Some(ErrorClass::Infrastructure) => crate::exit_code(ErrorClass::Infrastructure),
        _ if blocked => crate::exit_code(ErrorClass::Blocked),
        Some(class) => crate::exit_code(class),
        None => ExitCode::SUCCESS,
    }
}
