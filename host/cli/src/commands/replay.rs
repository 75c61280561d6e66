//! `datanode run replay`, `export` and `prune`: runs that are executed again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use datanode_core::run::RunStatus;
use datanode_core::{ErrorClass, Timestamp};
use datanode_runtime::{Replayed, Stop, Verdict, replay_bundle};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::failure::OrFail;
use crate::home::{self, Home};
use crate::place::{Place, WantedRuns};
use crate::print::{self, Heading, Printer, count, duration};
use crate::{exit_code, interrupt, say, usage};

/// Which runs are executed again.
#[derive(Debug, Args)]
#[command(
    after_help = "Each run is executed in a fresh sandbox under the limits that it had. What it asks for is answered from its\n\
    journal: neither tables nor sources are touched, and nothing is stored. Every host call and the digest of the output\n\
    are compared. Verdicts:\n\n  \
    identical      the same calls, the same answers, the same bytes\n  \
    different      the first difference is shown, with both sides\n  \
    cannot replay  what it takes is not there, which is named\n\n\
    The exit code is 1 when a run is different, and 3 when one that was named cannot be replayed.\n\n\
    Examples:\n  datanode run replay 01a204a9-91c4\n  datanode run replay --all --since 2026-01-01\n  \
    datanode run replay run.tar"
)]
pub(crate) struct ReplayArguments {
    /// Run ids, or beginnings of them; or files that `run export` wrote, which need no data directory
    #[arg(value_name = "RUN|FILE", required_unless_present_any = ["all", "since"])]
    runs: Vec<String>,
    /// All runs whose component was called
    #[arg(long, conflicts_with = "runs")]
    all: bool,
    /// All of these that started at this moment or later
    #[arg(long, value_name = "TIME", conflicts_with = "runs")]
    since: Option<Timestamp>,
}

impl ReplayArguments {
    /// Whether files are named, and not runs of a catalogue.
    pub(crate) fn is_of_bundles(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| is_file(run))
    }
}

/// Run ids have neither a dot nor a slash.
pub(super) fn is_file(run: &str) -> bool {
    run.contains(['.', '/', std::path::MAIN_SEPARATOR])
}

/// What `datanode run prune` is asked for.
#[derive(Debug, Args)]
#[command(
    after_help = "The records of the runs stay, but they cannot be executed again. What guests were given is kept once, however\n\
    many runs were given it, and goes with the last journal that names it; what is younger than a day always stays.\n\
    `journal_days` under [runs] in datanode.toml has old journals removed by themselves.\n\n\
    Examples:\n  datanode run prune --before 2026-01-01 --dry-run\n  datanode run prune --before 2026-01-01"
)]
pub(crate) struct PruneArguments {
    /// Of runs that started before this moment
    #[arg(long, value_name = "TIME")]
    before: Timestamp,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(
    arguments: ReplayArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    if let Some(file) = arguments.runs.iter().find(|run| is_file(run)) {
        return Err(usage(format!("`{file}` is a file and the others are not: name either runs or files")));
    }
    let named = !arguments.runs.is_empty();
    let runs = if named { arguments.runs } else { called(place, arguments.since).await? };
    let stop = Stop::default();
    interrupt::stops(&stop, printer);
    let bar = progress(runs.len());
    let mut replayed = Vec::with_capacity(runs.len());
    for run in &runs {
        match place.replay(run, &stop).await {
            Ok(run) => replayed.push(run),
            // What was replayed until then is told.
            Err(_) if stop.is_stopped() => break,
            Err(error) => return Err(error),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if stop.is_stopped() && replayed.is_empty() {
        printer.show(&replayed, || say!("nothing was replayed: it was ended before"))?;
        return Ok(interrupt::cut_short());
    }
    let code = answer(&replayed, named, printer)?;
    Ok(if stop.is_stopped() { interrupt::cut_short() } else { code })
}

/// The runs whose component was called, the oldest first.
async fn called(place: &Place, since: Option<Timestamp>) -> anyhow::Result<Vec<String>> {
    let runs = place.runs(WantedRuns::default()).await?;
    let called = |status| matches!(status, RunStatus::Ok | RunStatus::Empty | RunStatus::Failed);
    Ok(runs
        .into_iter()
        .rev()
        .filter(|run| called(run.status) && since.is_none_or(|since| run.started_at >= since))
        .map(|run| run.run_id)
        .collect())
}

/// Replay files, without any catalogue.
pub(crate) fn bundles(
    arguments: &ReplayArguments,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let sandbox = home::sandbox(home)?;
    let bar = progress(arguments.runs.len());
    let mut replayed = Vec::with_capacity(arguments.runs.len());
    for file in &arguments.runs {
        replayed.push(replay_bundle(&sandbox, &PathBuf::from(file)).or_fail()?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    answer(&replayed, true, printer)
}

/// Hidden when standard error is no terminal.
fn progress(runs: usize) -> ProgressBar {
    let bar = ProgressBar::new(runs as u64);
    if let Ok(style) = ProgressStyle::with_template("replaying  {bar:30} {pos}/{len} runs, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn answer(replayed: &[Replayed], named: bool, printer: Printer) -> anyhow::Result<ExitCode> {
    printer.show(&replayed, || show(replayed))?;
    let any = |wanted: fn(&Verdict) -> bool| replayed.iter().any(|run| wanted(&run.verdict));
    Ok(if any(|verdict| matches!(verdict, Verdict::Different(_))) {
        exit_code(ErrorClass::Failed)
    } else if named && any(|verdict| matches!(verdict, Verdict::CannotReplay { .. })) {
        exit_code(ErrorClass::Refused)
    } else {
        ExitCode::SUCCESS
    })
}

fn show(replayed: &[Replayed]) {
    let verdict = |run: &Replayed| match run.verdict {
        Verdict::Identical => "identical",
        Verdict::Different(_) => "different",
        Verdict::CannotReplay { .. } => "cannot replay",
    };
    let rows = replayed.iter().map(|run| {
        vec![
            run.table.clone(),
            format!("{} {}", run.component, run.component_version),
            run.status.to_string(),
            verdict(run).to_owned(),
            count(run.calls),
            duration(run.duration_us),
            run.run_id.clone(),
        ]
    });
    let headings = [
        Heading::Text("table"),
        Heading::Text("component"),
        Heading::Text("outcome"),
        Heading::Text("verdict"),
        Heading::Number("calls"),
        Heading::Number("time"),
        Heading::Text("run"),
    ];
    print::table(&headings, rows.collect(), "no run whose component was called");
    for run in replayed {
        match &run.verdict {
            Verdict::Identical => {}
            Verdict::Different(difference) => {
                say!("\nrun {}: {} is different", run.run_id, print::visible(&difference.what));
                print::facts(&[
                    ("  recorded", difference.recorded.clone()),
                    ("  replayed", difference.replayed.clone()),
                ]);
            }
            Verdict::CannotReplay { missing, next_step } => {
                say!("\nrun {} cannot be replayed: {}", run.run_id, print::visible(missing));
                if let Some(next_step) = next_step {
                    say!("  next: {}", print::visible(next_step));
                }
            }
        }
    }
}

pub(crate) async fn export(run: &str, output: &Path, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let bytes = place.export_run(run, output).await?;
    let run = place.run(run).await?;
    let document = json!({"run_id": run.run_id, "file": output, "bytes": bytes});
    printer.show(&document, || {
        print::done(&format!("wrote run {} to {} ({} bytes)", run.run_id, output.display(), count(bytes)));
    })
}

/// After runs: remove the journals that are older than the settings say. Their outcome has nothing to do with it.
pub(super) async fn prune_due(place: &Place) {
    if let Err(error) = place.prune_due().await {
        print::warning(&format!("old journals were not removed: {error:#}"));
    }
}

pub(crate) async fn prune(arguments: &PruneArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let pruned = place.prune(arguments.before, arguments.dry_run).await?;
    printer.show(&pruned, || {
        let what = format!(
            "{} journals, and {} files of contents with {} bytes",
            count(pruned.journals),
            count(pruned.files),
            count(pruned.bytes)
        );
        if arguments.dry_run {
            say!("would remove {what}");
        } else {
            print::done(&format!("removed {what}"));
        }
    })
}
